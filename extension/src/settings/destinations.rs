//! Further destinations: a JSON list, each member of which is read as the variables of the first destination are.
//!
//! What is wrong in a member leaves it out, unless it has its data for itself (`only`): then what is meant for it, or may be, still
//! goes nowhere else.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use policy::sampling::Ratio;
use policy::{Destinations, FURTHER_MAX, Further, RequestLimit, RequestLimits, Signal, Takes};
use serde_json::{Map, Value};

use super::residency::Hosts;
use super::{Destination, Reader, Receivers, Vaults};

const LIST: &str = "PREFREEZE_DESTINATIONS";
const FILE: &str = "PREFREEZE_DESTINATIONS_FILE";
/// What variables of the first destination begin with.
const PREFIX: &str = "PREFREEZE_EXPORTER_OTLP_";
/// Of these, what holds for all destinations: a certificate to trust is often that of a proxy.
const SHARED: &str = "PREFREEZE_EXPORTER_OTLP_CERTIFICATE";
/// The fields that are variables of the first destination.
const VARIABLES: [&str; 8] = [
    "endpoint",
    "headers",
    "auth",
    "protocol",
    "compression",
    "certificate",
    "client_certificate",
    "client_key",
];
/// The name of the first destination.
pub(super) const FIRST: &str = "default";

/// A destination beside the first: what it is called, and where each signal goes.
pub struct Beside {
    /// Its name.
    pub name: Arc<str>,
    /// In the order of [`Signal::ALL`].
    pub destinations: [Option<Destination>; Signal::ALL.len()],
    /// What policy is told of it.
    pub(super) told: Further,
}

impl Beside {
    /// Where it takes what, for people.
    pub(super) fn describe(&self, text: &mut String) {
        for signal in Signal::ALL.into_iter().filter(|signal| self.told.signals.has(*signal)) {
            let to = &self.destinations[signal as usize];
            let url = to.as_ref().map_or_else(|| "nowhere".to_owned(), Destination::shown);
            let verb = if self.told.is_exclusive { "that match go only" } else { "go" };
            let _ = writeln!(text, "{signal:?} {verb} to {}: {url}", self.name);
        }
    }
}

/// A member of the list, as far as it could be read.
pub(super) struct Member {
    /// The variable that it is in, and its place there.
    list: String,
    place: String,
    told: Further,
    /// Reads its variables.
    reader: Reader,
    pub(super) destinations: [Option<Destination>; Signal::ALL.len()],
    is_wrong: bool,
}

impl Reader {
    /// The members of the list. What cannot be read at all may have been meant to keep something where it belongs.
    pub(super) fn members(&mut self, receivers: &Receivers) -> Vec<Member> {
        let Some((name, text)) = self.list() else { return Vec::new() };
        // A file that cannot be read may say anything.
        let is_meant = text.as_ref().map_or(true, |text| text.contains("only"));
        match text.and_then(|text| list_of(&text)) {
            Ok(list) => {
                let mut names = vec![FIRST.to_owned()];
                let members = list.iter().zip(1..);
                members
                    .filter_map(|(value, number)| self.member(name, number, value, &mut names, receivers))
                    .collect()
            }
            Err(reason) if is_meant => {
                let consequence = "nobody can tell what has to stay where it belongs, so no data is sent";
                self.problem(name, format!("{reason}; {consequence}"));
                vec![Member::closed(Reader::of(BTreeMap::new()))]
            }
            Err(reason) => {
                self.problem(name, reason);
                Vec::new()
            }
        }
    }

    /// The text of the list, under the name of its variable.
    fn list(&mut self) -> Option<(&'static str, Result<String, String>)> {
        let file = self.get(FILE).map(str::to_owned);
        match (self.get(LIST).map(str::to_owned), file) {
            (Some(text), file) => {
                if file.is_some() {
                    self.problem(FILE, format!("{LIST} is set too, and holds"));
                }
                Some((LIST, Ok(text)))
            }
            (None, Some(path)) => {
                let text = self.read_file(&path);
                Some((FILE, text.map_err(|error| format!("the file cannot be read: {error}"))))
            }
            (None, None) => None,
        }
    }

    fn member(
        &mut self,
        list: &str,
        number: usize,
        value: &Value,
        names: &mut Vec<String>,
        receivers: &Receivers,
    ) -> Option<Member> {
        let Some(fields) = value.as_object() else {
            self.problem(list, format!("member {number}: not an object"));
            // It may be an object in quotes, or in another list.
            let is_meant = value.to_string().contains("only");
            return is_meant.then(|| Member::closed(Self::of(BTreeMap::new())));
        };
        let mut read = Fields { member: Member::closed(self.beside()), signals: None, problems: Vec::new() };
        let name = fields.get("name").and_then(Value::as_str).unwrap_or_default();
        if !is_name(name) || names.iter().any(|known| known == name) {
            let reason = "not a name of its own, of letters, digits, -, _ and .";
            read.problems.push(("name".to_owned(), reason.to_owned()));
        }
        let named = if is_name(name) { name.to_owned() } else { number.to_string() };
        names.push(named.clone());
        read.take_in(fields);
        let Fields { mut member, signals, problems } = read;
        let signals = signals.unwrap_or(Destinations::ALL);
        member.place = format!("member {number} ({named})");
        (member.list, member.told.name) = (list.to_owned(), named.into());
        for (field, reason) in &problems {
            self.problem(list, format!("member {number}, {field}: {reason}"));
        }
        member.is_wrong = !problems.is_empty();
        member.told.signals = signals;
        if !fields.contains_key("endpoint") {
            self.problem(list, format!("member {number}, endpoint: there is none"));
            member.is_wrong = true;
        }
        for signal in Signal::ALL.into_iter().filter(|signal| signals.has(*signal)) {
            member.destinations[signal as usize] = member.reader.destination(signal, receivers);
        }
        self.hear(&mut member);
        let is_kept = member.told.is_exclusive || !member.is_wrong;
        is_kept.then_some(member)
    }

    /// Another reader, for one destination: what says where the first one is does not concern it.
    fn beside(&self) -> Self {
        let is_shared = |name: &String| !name.starts_with(PREFIX) || *name == SHARED;
        let set = self.set.iter().filter(|(name, _)| is_shared(name));
        Self::of(set.map(|(name, value)| (name.clone(), value.clone())).collect())
    }

    const fn of(set: BTreeMap<String, String>) -> Self {
        Self { set, problems: Vec::new(), refused: Vec::new() }
    }

    /// Takes over what the reader of a member has found wrong.
    fn hear(&mut self, member: &mut Member) {
        for problem in std::mem::take(&mut member.reader.problems) {
            // The other variables have their own word.
            if let Some(field) = problem.name.strip_prefix(PREFIX) {
                let field = field.to_ascii_lowercase();
                self.problem(&member.list, format!("{}, {field}: {}", member.place, problem.reason));
            } else if !self.problems.contains(&problem) {
                self.problems.push(problem);
            }
        }
        for refusal in std::mem::take(&mut member.reader.refused) {
            if refusal.name.starts_with(PREFIX) {
                self.refuse(&member.list, format!("{}: {}", member.place, refusal.reason));
            } else if !self.refused.contains(&refusal) {
                self.refused.push(refusal);
            }
        }
    }

    /// The destinations of `members`, without those that data may not go to.
    pub(super) fn beside_first(
        &mut self,
        hosts: Option<&Hosts>,
        vaults: &Vaults,
        members: Vec<Member>,
    ) -> Vec<Beside> {
        let within = |mut member: Member| {
            member.destinations = member.reader.keep_within(hosts, vaults, member.destinations.clone());
            self.hear(&mut member);
            let limit = |to: &Option<Destination>| to.as_ref().map_or(RequestLimit::NONE, |to| to.limit);
            let limits: RequestLimits = member.destinations.each_ref().map(limit);
            let [traces, metrics, logs] = member.destinations.each_ref().map(Option::is_some);
            let reaches = Destinations { traces, metrics, logs };
            let told = Further { reaches, limits, ..member.told };
            Beside { name: told.name.clone(), destinations: member.destinations, told }
        };
        members.into_iter().map(within).collect()
    }
}

impl Member {
    /// One that has everything for itself, and sends it nowhere.
    fn closed(reader: Reader) -> Self {
        let told = Further {
            name: "none".into(),
            signals: Destinations::ALL,
            reaches: Destinations::NONE,
            limits: [RequestLimit::NONE; Signal::ALL.len()],
            holds: true,
            when: Vec::new(),
            takes: Takes::Kept,
            is_exclusive: true,
        };
        Self {
            list: String::new(),
            place: String::new(),
            told,
            reader,
            destinations: [const { None }; Signal::ALL.len()],
            is_wrong: false,
        }
    }

    /// Whether a secret is to be read for it.
    pub(super) fn has_secrets(&self) -> bool {
        self.destinations.iter().flatten().any(|destination| !destination.secrets.is_empty())
    }
}

/// A member that is being read.
struct Fields {
    member: Member,
    signals: Option<Destinations>,
    /// What is wrong, by field.
    problems: Vec<(String, String)>,
}

impl Fields {
    /// Reads all fields but the name.
    fn take_in(&mut self, fields: &Map<String, Value>) {
        let told = &mut self.member.told;
        told.is_exclusive = false;
        let mut of_spans = None;
        for (key, value) in fields {
            let read = match key.as_str() {
                "name" => Ok(()),
                "match" => wire::rules::conditions("match", value)
                    .map(|when| {
                        of_spans = when.iter().any(|when| !when.is_of_resources()).then_some(());
                        told.when = when;
                    })
                    .map_err(|bad| bad.to_string()),
                "signals" => signals(value).map(|read| self.signals = Some(read)),
                "spans" => takes(value).map(|takes| told.takes = takes),
                "only" => flag(value).map(|only| told.is_exclusive = only).inspect_err(|_| {
                    told.is_exclusive = true;
                }),
                "hold" => flag(value).map(|holds| told.holds = holds),
                key if VARIABLES.contains(&key) => text(key, value).map(|text| {
                    let name = format!("{PREFIX}{}", key.to_ascii_uppercase());
                    self.member.reader.set.insert(name, text);
                }),
                _ => {
                    // It may be `only`, misspelled: what would be for nobody else must not go elsewhere for that.
                    told.is_exclusive |= flag(value) == Ok(true);
                    Err("no such field".to_owned())
                }
            };
            if let Err(reason) = read {
                self.problems.push((key.clone(), reason));
            }
        }
        let of_resources = |read: Destinations| !(read.metrics || read.logs);
        if of_spans.is_some() && self.signals.is_some_and(|read| !of_resources(read)) {
            let reason = "what only spans have cannot be asked of metrics and logs: name signals: [\"traces\"], or match by service and attributes of the resource";
            self.problems.push(("match".to_owned(), reason.to_owned()));
        }
        let default = match of_spans {
            Some(()) => Destinations { traces: true, ..Destinations::NONE },
            None => Destinations::ALL,
        };
        self.signals.get_or_insert(default);
    }
}

fn list_of(text: &str) -> Result<Vec<Value>, String> {
    match serde_json::from_str(text) {
        Ok(Value::Array(list)) if list.len() > FURTHER_MAX => Err(format!("more than {FURTHER_MAX} members")),
        Ok(Value::Array(list)) => Ok(list),
        Ok(_) => Err("not a list".to_owned()),
        // What stands there may be a secret.
        Err(error) => Err(format!("no JSON at line {}, column {}", error.line(), error.column())),
    }
}

/// Whether it may stand in lines and in names of metrics.
fn is_name(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (1..=64).contains(&name.len()) && name.bytes().all(is_plain)
}

fn flag(value: &Value) -> Result<bool, String> {
    value.as_bool().ok_or_else(|| "neither true nor false".to_owned())
}

/// A list of signals.
fn signals(value: &Value) -> Result<Destinations, String> {
    let reason = || "not a list of traces, metrics, logs".to_owned();
    let mut signals = Destinations::NONE;
    for name in value.as_array().filter(|list| !list.is_empty()).ok_or_else(reason)? {
        match name.as_str() {
            Some("traces") => signals.traces = true,
            Some("metrics") => signals.metrics = true,
            Some("logs") => signals.logs = true,
            _ => return Err(reason()),
        }
    }
    Ok(signals)
}

/// What it takes of the traces: `kept`, `failures`, or a share.
fn takes(value: &Value) -> Result<Takes, String> {
    match (value.as_str(), value.as_f64().and_then(Ratio::new)) {
        (Some("kept"), _) => Ok(Takes::Kept),
        (Some("failures"), _) => Ok(Takes::Failures),
        (None, Some(ratio)) => Ok(Takes::Share(ratio)),
        _ => Err("not one of kept, failures, or a number from 0 to 1".to_owned()),
    }
}

/// The value of a variable: text, or headers as an object.
fn text(key: &str, value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Object(headers) if key == "headers" => {
            let header = |(name, value): (&String, &Value)| {
                let value = value.as_str().ok_or_else(|| "a value is not text".to_owned())?;
                Ok(format!("{}={}", encoded(name), encoded(value)))
            };
            Ok(headers.iter().map(header).collect::<Result<Vec<_>, String>>()?.join(","))
        }
        _ if key == "headers" => Err("neither text nor an object".to_owned()),
        _ => Err("not text".to_owned()),
    }
}

/// Percent-encoded, as in a list of headers.
fn encoded(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~:/$#{}".contains(&byte);
    let one = |byte: u8| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(one).collect()
}

#[cfg(test)]
mod tests;

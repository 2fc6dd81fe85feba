//! Which attributes may go on, and how many values they may have: `PREFREEZE_ATTRIBUTES`.
//!
//! ```json
//! {"deny": ["debug.*"], "limit": {"user.id": {"distinct": 1000, "then": "hash"}, "cart.*": {"length": 256}},
//!  "names": 200, "templates": "always", "dimensions": 200}
//! ```

use serde_json::{Map, Value};

use crate::hash::Hasher;
use crate::keys::Verdict;

/// Different names of spans in one environment, by default: more make every table by operation useless.
const NAMES: usize = 200;
/// Different values of one dimension of a metric in one environment, by default.
const DIMENSIONS: usize = 200;
/// Rules of one kind.
const RULES_MAX: usize = 100;
/// Bounds that a setting may ask for: a hash of each admitted value is kept.
const BOUND_MAX: u64 = 10_000;

/// What is said of a hash that cannot be made.
const WITHOUT_KEY: &str = "hash needs a key (PREFREEZE_REDACT_KEY), for a plain hash can be undone by trying; the attribute is dropped instead";

/// A key, or the beginning of keys where it ends in `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern(String);

impl Pattern {
    fn is_met(&self, key: &[u8]) -> bool {
        match self.0.strip_suffix('*') {
            Some(beginning) => key.starts_with(beginning.as_bytes()),
            None => key == self.0.as_bytes(),
        }
    }

    /// Whether it names the key in full: a rule that does may be about a semantic convention.
    fn is_exact(&self) -> bool {
        !self.0.ends_with('*')
    }
}

/// What is done with the values of a key that has too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    Report,
    Hash,
    Truncate,
    Drop,
}

/// A rule on the values of a key.
#[derive(Clone, Debug)]
pub(crate) struct Limit {
    key: Pattern,
    /// More different values are too many; `None` when an identifier's are.
    pub(crate) distinct: Option<u64>,
    pub(crate) then: Then,
    /// Bytes of a value, 0 for no bound of its own; when its values are too many, if it truncates.
    pub(crate) length: usize,
}

/// Which names of spans have `{id}` put in place of ids in their paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Templates {
    /// Those beyond the bound: what nobody asked to be changed stays as long as it does no harm.
    Beyond,
    /// All, so that a name is the same in each environment.
    Always,
}

/// The rules on attributes; by default those that hold where nobody set any: names and dimensions are bounded,
/// and attributes only counted.
#[derive(Debug)]
pub struct Attributes {
    allow: Option<Vec<Pattern>>,
    deny: Vec<Pattern>,
    /// The most particular first: whole keys, then the longest beginnings.
    pub(crate) limits: Vec<Limit>,
    /// Whether a rule with `*`, and the bound on dimensions, hold for semantic conventions too.
    pub(crate) covers_conventions: bool,
    pub(crate) names: usize,
    pub(crate) templates: Templates,
    pub(crate) dimensions: usize,
    /// For values that are to be hashed.
    pub(crate) hasher: Option<Hasher>,
}

impl Default for Attributes {
    fn default() -> Self {
        Self {
            allow: None,
            deny: Vec::new(),
            limits: Vec::new(),
            covers_conventions: false,
            names: NAMES,
            templates: Templates::Beyond,
            dimensions: DIMENSIONS,
            hasher: None,
        }
    }
}

impl Attributes {
    /// Reads the rules; `key` is for keyed hashes. Each fault is named with its place, and the rest
    /// holds; what cannot be read at all is one fault, and the default.
    pub fn parse(text: &str, key: Option<&[u8]>) -> (Self, Vec<String>) {
        let rules = match serde_json::from_str::<Value>(text) {
            Ok(Value::Object(rules)) => rules,
            Ok(_) => return (Self::default(), vec!["neither off nor a JSON object".into()]),
            Err(error) => {
                let place = format!("line {} column {}", error.line(), error.column());
                return (Self::default(), vec![format!("neither off nor JSON, {place}")]);
            }
        };
        let (mut attributes, mut faults) =
            (Self { hasher: key.map(Hasher::new), ..Self::default() }, Vec::new());
        for (word, value) in &rules {
            if let Err(why) = attributes.add(word, value, &mut faults) {
                faults.push(format!("{word}: {why}"));
            }
        }
        (attributes, faults)
    }

    /// Whether attributes of spans may change by these rules.
    pub(crate) const fn is_ruling(&self) -> bool {
        self.allow.is_some() || !self.deny.is_empty() || !self.limits.is_empty()
    }

    fn add(&mut self, word: &str, value: &Value, faults: &mut Vec<String>) -> Result<(), String> {
        match word {
            "allow" => self.allow = Some(patterns(word, value, faults)?),
            "deny" => self.deny = patterns(word, value, faults)?,
            "limit" => self.limits = limits(value, self.hasher.is_some(), faults)?,
            "names" => self.names = bound(value)? as usize,
            "templates" => {
                self.templates = match value.as_str() {
                    Some("beyond") => Templates::Beyond,
                    Some("always") => Templates::Always,
                    _ => return Err("neither beyond nor always".into()),
                };
            }
            "dimensions" => self.dimensions = bound(value)? as usize,
            "semantic_conventions" => {
                self.covers_conventions = value.as_bool().ok_or("neither true nor false")?;
            }
            _ => {
                let words = "allow, deny, limit, names, templates, dimensions, semantic_conventions";
                return Err(format!("no such word; there are {words}"));
            }
        }
        Ok(())
    }

    /// What the rules say of `key`; `is_convention` when a semantic convention names it.
    pub(crate) fn verdict(&self, key: &[u8], is_convention: bool) -> Verdict {
        let covers = |pattern: &Pattern| {
            pattern.is_met(key) && (!is_convention || self.covers_conventions || pattern.is_exact())
        };
        if self.deny.iter().any(covers) {
            return Verdict::Deny;
        }
        let is_allowed = |allow: &Vec<Pattern>| allow.iter().any(|pattern| pattern.is_met(key));
        let is_spared = is_convention && !self.covers_conventions;
        if self.allow.as_ref().is_some_and(|allow| !is_spared && !is_allowed(allow)) {
            return Verdict::Deny;
        }
        let limit = self.limits.iter().position(|limit| covers(&limit.key));
        limit.map_or(Verdict::Keep, |index| Verdict::Limit(index as u8))
    }
}

fn patterns(word: &str, value: &Value, faults: &mut Vec<String>) -> Result<Vec<Pattern>, String> {
    let list = value.as_array().ok_or("not a list")?;
    let mut patterns = Vec::new();
    for (index, pattern) in list.iter().enumerate() {
        match pattern.as_str().map(pattern_of) {
            Some(Ok(pattern)) if patterns.len() < RULES_MAX => patterns.push(pattern),
            Some(Ok(_)) => faults.push(format!("{word} {}: more than {RULES_MAX}", index + 1)),
            Some(Err(why)) => faults.push(format!("{word} {}: {why}", index + 1)),
            None => faults.push(format!("{word} {}: not a text", index + 1)),
        }
    }
    Ok(patterns)
}

fn pattern_of(text: &str) -> Result<Pattern, String> {
    let has_star_inside = text.trim_end_matches('*').contains('*') || text.ends_with("**");
    if text.is_empty() || has_star_inside {
        return Err("not a key, or the beginning of keys with one * behind it".into());
    }
    Ok(Pattern(text.to_owned()))
}

fn limits(value: &Value, has_key: bool, faults: &mut Vec<String>) -> Result<Vec<Limit>, String> {
    let rules = value.as_object().ok_or("not an object")?;
    let mut limits = Vec::new();
    for (key, rule) in rules {
        match limit(key, rule) {
            Ok(_) if limits.len() == RULES_MAX => {
                faults.push(format!("limit {key:?}: more than {RULES_MAX}"));
            }
            Ok(limit) => {
                if limit.then == Then::Hash && !has_key {
                    faults.push(format!("limit {key:?}: {WITHOUT_KEY}"));
                }
                limits.push(limit);
            }
            Err(why) => faults.push(format!("limit {key:?}: {why}")),
        }
    }
    limits.sort_by_key(|limit: &Limit| (!limit.key.is_exact(), std::cmp::Reverse(limit.key.0.len())));
    Ok(limits)
}

fn limit(key: &str, rule: &Value) -> Result<Limit, String> {
    let rule: &Map<String, Value> = rule.as_object().ok_or("not an object")?;
    if let Some(unknown) = rule.keys().find(|word| !["distinct", "then", "length"].contains(&&***word)) {
        return Err(format!("no such word: {unknown:?}"));
    }
    let length = rule.get("length").map(bound).transpose()?.unwrap_or(0) as usize;
    let then = match rule.get("then").map(|word| word.as_str().unwrap_or_default()) {
        None if length > 0 => Then::Truncate,
        None | Some("report") => Then::Report,
        Some("hash") => Then::Hash,
        Some("truncate") => Then::Truncate,
        Some("drop") => Then::Drop,
        Some(_) => return Err("then is not one of report, hash, truncate, drop".into()),
    };
    if then == Then::Truncate && length == 0 {
        return Err("to truncate it needs a length".into());
    }
    // A length alone holds from the first value on.
    let default = (length > 0 && rule.get("then").is_none()).then_some(0);
    let distinct = rule.get("distinct").map(bound).transpose()?.or(default);
    Ok(Limit { key: pattern_of(key)?, distinct, then, length })
}

fn bound(value: &Value) -> Result<u64, String> {
    value.as_u64().filter(|bound| *bound <= BOUND_MAX).ok_or(format!("not a whole number up to {BOUND_MAX}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> Attributes {
        let (rules, faults) = Attributes::parse(text, None);
        assert_eq!(faults, Vec::<String>::new());
        rules
    }

    #[test]
    fn patterns_leave_semantic_conventions_alone_unless_they_name_them() {
        let deny = rules(r#"{"deny":["debug.*","http.*","url.full"]}"#);
        assert_eq!(deny.verdict(b"debug.x", false), Verdict::Deny);
        assert_eq!(deny.verdict(b"http.route", true), Verdict::Keep);
        assert_eq!(deny.verdict(b"url.full", true), Verdict::Deny);
        let allow = rules(r#"{"allow":["payment.*"]}"#);
        assert_eq!(allow.verdict(b"payment.id", false), Verdict::Keep);
        assert_eq!(allow.verdict(b"other", false), Verdict::Deny);
        assert_eq!(allow.verdict(b"http.route", true), Verdict::Keep);
        let all = rules(r#"{"allow":["payment.*"],"semantic_conventions":true}"#);
        assert_eq!(all.verdict(b"http.route", true), Verdict::Deny);
    }

    #[test]
    fn faults_are_named_by_their_place() {
        let text = r#"{"deny":["a*b",7,"ok"],"limit":{"x":{"then":"burn"},"y":{"then":"truncate"},"z":{"distinct":5}},
            "names":-1,"templates":"never","lmit":{}}"#;
        let (rules, faults) = Attributes::parse(text, None);
        assert_eq!((rules.deny.len(), rules.limits.len()), (1, 1), "the rest holds");
        assert_eq!(faults.len(), 7, "{faults:#?}");
        let (rules, faults) = Attributes::parse("[]", None);
        assert_eq!((rules.names, faults.len()), (NAMES, 1));
    }

    #[test]
    fn a_hash_without_a_key_is_named_by_the_key_it_is_about() {
        let text =
            r#"{"limit":{"a.*":{"then":"hash"},"user.id":{"distinct":9,"then":"hash"},"b":{"distinct":9}}}"#;
        let (rules, faults) = Attributes::parse(text, None);
        assert_eq!((rules.limits.len(), faults.len()), (3, 2), "{faults:#?}");
        assert!(faults[0].starts_with("limit \"a.*\": hash needs a key"), "{faults:#?}");
        assert!(faults[1].starts_with("limit \"user.id\": "), "{faults:#?}");
        assert_eq!(Attributes::parse(text, Some(b"key")).1, Vec::<String>::new());
    }

    #[test]
    fn the_most_particular_limit_holds() {
        let rules = rules(r#"{"limit":{"*":{"length":1},"cart.*":{"length":2},"cart.id":{"length":3}}}"#);
        let length = |key: &[u8]| match rules.verdict(key, false) {
            Verdict::Limit(index) => rules.limits[usize::from(index)].length,
            _ => 0,
        };
        assert_eq!([&b"cart.id"[..], b"cart.size", b"note"].map(length), [3, 2, 1]);
    }
}

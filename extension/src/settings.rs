//! The only file that reads the environment: variables into settings, and every problem with them.

#![expect(clippy::disallowed_methods, reason = "this is the file that the ban points to")]

mod aws;
mod destinations;
mod endpoint;
mod guarding;
mod limits;
mod measuring;
mod prices;
mod proxies;
mod queue;
mod residency;
mod sampling;
mod sdk;
mod table;
mod tls;
mod variables;

use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use policy::{Config, Destinations, FlushMode, LaneId, RequestLimit, Signal, SpoolMode, XrayParent};
use wire::key_values;
use wire::logs::Wanted;
use wire::otlp::Identity;

pub use self::tls::TlsFiles;
use crate::aws::{Queue, Scope, Source};
use crate::guarding::Guarding;
use aws::Making;
pub use aws::{SecretHeader, Vaults};
pub use destinations::Beside;
use destinations::FIRST;
use endpoint::{UrlPath, shown};
use proxies::Way;
use table::{Setting, TABLE};
pub use variables::Variables;

/// Everything the extension was told.
pub struct Settings {
    /// For the agent.
    pub policy: Config,
    /// Where each signal goes, in the order of [`Signal::ALL`].
    pub destinations: [Option<Destination>; Signal::ALL.len()],
    /// Further destinations.
    pub further: Vec<Beside>,
    /// Who signs requests, where any are signed.
    pub credentials: Option<Source>,
    /// Where secrets are read.
    pub vaults: Vaults,
    /// Who the function is.
    pub identity: Identity,
    /// Whether that has a `service.instance.id`.
    pub names_instance: bool,
    /// Where the function sends to.
    pub receivers: Receivers,
    /// Which log records are made of what the platform tells.
    pub logs: Wanted,
    /// The CloudWatch namespace of metrics that are written as lines.
    pub emf_namespace: String,
    /// The spool's folder.
    pub spool_dir: PathBuf,
    /// The longest request taken from the function, in bytes.
    pub max_body: usize,
    /// What must not leave.
    pub guarding: Guarding,
    /// What is wrong with the variables; each was ignored.
    pub problems: Vec<Problem>,
    /// Destinations and proxies that data may not go to, and does not.
    pub refused: Vec<Problem>,
    /// Variables of the function that are valid, and most likely not meant so.
    pub hints: Vec<Problem>,
    /// The variables that are set, for [`Settings::describe`].
    set: BTreeMap<String, String>,
}

/// A variable that was ignored, and why. Never its value: it may be a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The variable.
    pub name: String,
    /// Why.
    pub reason: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.reason)
    }
}

/// Where the function sends to; `None` where that was switched off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receivers {
    /// For OTLP/HTTP.
    pub http: Option<SocketAddr>,
    /// For OTLP/gRPC.
    pub grpc: Option<SocketAddr>,
    /// For either, over a Unix socket.
    pub socket: Option<PathBuf>,
}

/// How one signal reaches its backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// The full URL.
    pub url: String,
    /// Headers of every request.
    pub headers: Vec<(String, String)>,
    /// Further headers, whose values are secrets that have to be read.
    pub secrets: Vec<SecretHeader>,
    /// What requests are signed for, where they are.
    pub scope: Option<Scope>,
    /// How requests are made.
    pub protocol: Protocol,
    /// How requests are packed.
    pub packing: Packing,
    /// Files for TLS.
    pub tls: TlsFiles,
    /// Whether the proxies that the environment names are passed by.
    pub is_direct: bool,
    /// Host and port of the proxy that requests go through, where there is one.
    pub proxy: Option<String>,
    /// The most that the backend takes in one request, where that is known.
    pub limit: RequestLimit,
    /// The queue that requests are put into, where the URL is that of SQS.
    pub queue: Option<Queue>,
}

impl Destination {
    /// Its URL, for people: without what may be secret in it.
    pub fn shown(&self) -> String {
        self.queue.as_ref().map_or_else(|| shown(&self.url), |queue| format!("sqs:{}", queue.url))
    }
}

/// How a request is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// OTLP/HTTP with protobuf.
    HttpProtobuf,
    /// OTLP/gRPC.
    Grpc,
}

/// How a request is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// Not at all.
    None,
    /// gzip.
    Gzip,
    /// zstd, where the backend understands it.
    Zstd,
}

impl Packing {
    /// What headers call it; `None` when nothing is packed.
    pub const fn name(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Gzip => Some("gzip"),
            Self::Zstd => Some("zstd"),
        }
    }
}

/// `AWS_LAMBDA_RUNTIME_API`: host and port of the platform's API.
pub fn runtime_api() -> Option<String> {
    std::env::var("AWS_LAMBDA_RUNTIME_API").ok()
}

/// The path that this process was started by.
pub fn program() -> PathBuf {
    std::env::args_os().next().unwrap_or_default().into()
}

/// The reference of all settings, as a Markdown page.
pub fn reference() -> String {
    table::markdown()
}

impl Variables {
    /// Those of the process.
    pub fn from_environment() -> Self {
        Self::of(std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.to_string_lossy().into_owned()))
        }))
    }
}

impl Settings {
    /// Reads the environment of the process.
    pub fn from_environment() -> Self {
        Variables::from_environment().understand()
    }

    /// Reads `variables`; those that are empty count as not set, as OpenTelemetry has it.
    pub fn from_variables(variables: impl Iterator<Item = (String, String)>) -> Self {
        Variables::of(variables).understand()
    }

    fn read(mut reader: Reader, receivers: Receivers) -> Self {
        reader.report_unknown();
        let hosts = reader.allowed_hosts();
        let destinations = Signal::ALL.map(|signal| reader.destination(signal, &receivers));
        let members = reader.members(&receivers);
        let has_secrets = destinations.iter().flatten().any(|destination| !destination.secrets.is_empty());
        let has_secrets = has_secrets || members.iter().any(destinations::Member::has_secrets);
        let vaults = reader.vaults(hosts.as_ref(), has_secrets);
        let destinations = reader.keep_within(hosts.as_ref(), &vaults, destinations);
        let further = reader.beside_first(hosts.as_ref(), &vaults, members);
        let policy = reader.policy(&destinations, &further);
        let max_body =
            reader.number("PREFREEZE_RECEIVER_MAX_BODY_BYTES", 16 << 20, 1 << 10..=1 << 30) as usize;
        let guarding = Guarding::new(reader.guarding());
        let identity = reader.identity(&guarding);
        let resource = identity.texts().map(|(key, text)| (key.into(), text.into())).collect();
        let mut policy = Config { resource, ..policy };
        // Names of spans are where metrics go only if somebody asks for it.
        let is_asked = reader.get("PREFREEZE_METRICS_SPANS").is_some();
        policy.measuring.spans &= is_asked || !policy.tells_names_elsewhere();
        let names_instance = identity.has("service.instance.id");
        let spool_dir = reader.spool_dir();
        let levels = [("none", Wanted::None), ("errors", Wanted::Errors), ("all", Wanted::All)];
        let logs = reader.word("PREFREEZE_LOGS", Wanted::None, &levels);
        let emf_namespace = reader.get("PREFREEZE_METRICS_EMF_NAMESPACE").unwrap_or("Prefreeze").to_owned();
        let hints = reader.sdk_hints(&receivers);
        let is_signed = |to: &Destination| to.scope.is_some() || !to.secrets.is_empty();
        let mut all = destinations.iter().chain(further.iter().flat_map(|to| &to.destinations)).flatten();
        let credentials = reader.credentials().filter(|_| all.any(is_signed));
        let Reader { set, problems, refused } = reader;
        Self {
            policy,
            destinations,
            further,
            credentials,
            vaults,
            identity,
            names_instance,
            receivers,
            logs,
            emf_namespace,
            spool_dir,
            max_body,
            guarding,
            problems,
            refused,
            hints,
            set,
        }
    }

    /// What holds, and what is wrong, for people.
    pub fn describe(&self) -> String {
        let mut text = String::new();
        for setting in &TABLE {
            for name in setting.names() {
                let value = match self.set.get(&name) {
                    Some(_) if setting.is_secret => "(set, not shown)".to_owned(),
                    Some(value) if setting.kind == "URL" => shown(value),
                    Some(value) => value.clone(),
                    None if name == setting.name => setting.default.to_owned(),
                    None => continue,
                };
                let is_ignored = self.problems.iter().any(|problem| problem.name == name);
                let origin = match self.set.contains_key(&name) {
                    true if is_ignored => "   (ignored where it is wrong, see below)",
                    true => "",
                    false => "   (default)",
                };
                let _ = writeln!(text, "{name} = {value}{origin}");
            }
        }
        for (signal, destination) in Signal::ALL.iter().zip(&self.destinations) {
            let url = destination.as_ref().map_or("nowhere".to_owned(), Destination::shown);
            let _ = writeln!(text, "{signal:?} go to {url}");
        }
        for to in &self.further {
            to.describe(&mut text);
        }
        for problem in &self.problems {
            let _ = writeln!(text, "problem: {problem}");
        }
        for refusal in &self.refused {
            let _ = writeln!(text, "refused: {refusal}");
        }
        for hint in &self.hints {
            let _ = writeln!(text, "look at: {hint}");
        }
        if self.goes_nowhere() {
            let _ = writeln!(text, "problem: no data goes anywhere: set PREFREEZE_EXPORTER_OTLP_ENDPOINT");
        }
        text
    }

    /// Whether everything is as it should be: each value makes sense, and data goes somewhere.
    pub fn is_well(&self) -> bool {
        self.problems.is_empty() && self.refused.is_empty() && self.hints.is_empty() && !self.goes_nowhere()
    }

    fn goes_nowhere(&self) -> bool {
        self.routes().next().is_none()
    }

    /// Where each lane goes.
    pub fn routes(&self) -> impl Iterator<Item = (LaneId, &Destination)> {
        let all = std::iter::once(&self.destinations).chain(self.further.iter().map(|to| &to.destinations));
        (0..).zip(all).flat_map(|(destination, to)| {
            let lane = move |signal| LaneId { signal, destination };
            Signal::ALL.map(lane).into_iter().zip(to).filter_map(|(lane, to)| Some((lane, to.as_ref()?)))
        })
    }

    /// What people call each lane, and the URL that it goes to: all of the first destination, and those of the others that they
    /// take.
    pub fn lanes(&self) -> Vec<(String, LaneId, Option<String>)> {
        let of_first = Signal::ALL.into_iter().zip(&self.destinations);
        let mut lanes: Vec<_> = of_first
            .map(|(signal, to)| {
                let url = to.as_ref().map(Destination::shown);
                (crate::log::word(signal).to_owned(), LaneId::of(signal), url)
            })
            .collect();
        let of_others = self.routes().filter(|(lane, _)| lane.destination > 0);
        lanes.extend(of_others.map(|(lane, to)| {
            let name = &self.further[usize::from(lane.destination) - 1].name;
            (format!("{} to {name}", crate::log::word(lane.signal)), lane, Some(to.shown()))
        }));
        lanes
    }

    /// The names of all destinations, where there are several.
    pub fn names(&self) -> Vec<Arc<str>> {
        match &self.further[..] {
            [] => Vec::new(),
            further => {
                std::iter::once(FIRST.into()).chain(further.iter().map(|to| to.name.clone())).collect()
            }
        }
    }
}

impl Setting {
    /// The variable and its forms for one signal.
    fn names(&self) -> Vec<String> {
        let mut names = vec![self.name.to_owned()];
        if self.per_signal {
            names.extend(Signal::ALL.map(|signal| for_signal(self.name, signal)));
        }
        names
    }
}

/// Whether a variable is meant for us by its prefix, in whatever case.
fn is_ours(name: &str) -> bool {
    name.get(..PREFIX.len()).is_some_and(|prefix| prefix.eq_ignore_ascii_case(PREFIX))
}

const PREFIX: &str = "PREFREEZE_";

/// `PREFREEZE_EXPORTER_OTLP_X` as `PREFREEZE_EXPORTER_OTLP_TRACES_X`.
fn for_signal(name: &str, signal: Signal) -> String {
    let word = match signal {
        Signal::Traces => "OTLP_TRACES_",
        Signal::Metrics => "OTLP_METRICS_",
        Signal::Logs => "OTLP_LOGS_",
    };
    name.replacen("OTLP_", word, 1)
}

/// `v1/traces` and its like.
const fn path_of(signal: Signal) -> &'static str {
    match signal {
        Signal::Traces => "v1/traces",
        Signal::Metrics => "v1/metrics",
        Signal::Logs => "v1/logs",
    }
}

const COST_CAP: &str = "PREFREEZE_COST_CAP_MS_PER_MIN";
/// That part of the buffer is for what is being received and sent: a request of an SDK has 512 spans, a quarter of a
/// megabyte, and is there twice while it is read or packed; and the allocator leaves gaps, a tenth of what is held.
const IN_TRANSIT: u64 = 3;

/// A shorter time-out for exports is taken for one in seconds, which is what some SDKs have.
const TIMEOUT_MIN_MS: u64 = 50;

/// Reads variables, and keeps what is wrong with them.
struct Reader {
    set: BTreeMap<String, String>,
    problems: Vec<Problem>,
    refused: Vec<Problem>,
}

impl Reader {
    fn get(&self, name: &str) -> Option<&str> {
        self.set.get(name).map(|value| value.trim())
    }

    fn problem(&mut self, name: &str, reason: impl Into<String>) {
        let problem = Problem { name: name.to_owned(), reason: reason.into() };
        // What holds for several signals is said once.
        if !self.problems.contains(&problem) {
            self.problems.push(problem);
        }
    }

    /// A variable that is ours by its prefix and not in the table is a typing error worth naming.
    fn report_unknown(&mut self) {
        let is_known = |name: &String| {
            // Nearly all are there as they are: the forms for one signal are made for the others only.
            TABLE.iter().any(|setting| setting.name == name)
                || TABLE.iter().any(|setting| setting.per_signal && setting.names().contains(name))
        };
        let ours = self.set.keys().filter(|name| is_ours(name));
        let unknown: Vec<_> = ours.filter(|name| !is_known(name)).cloned().collect();
        for name in unknown {
            let is_small = is_known(&name.to_ascii_uppercase());
            let reason = if is_small { "names of settings are in capitals" } else { "no such setting" };
            self.problem(&name, reason);
        }
    }

    fn number(&mut self, name: &str, default: u64, range: std::ops::RangeInclusive<u64>) -> u64 {
        let Some(text) = self.get(name) else { return default };
        match text.parse() {
            Ok(number) if range.contains(&number) => number,
            _ => {
                let reason = format!("not a whole number from {} to {}", range.start(), range.end());
                self.problem(name, reason);
                default
            }
        }
    }

    fn millis(&mut self, name: &str, default: u64) -> Duration {
        Duration::from_millis(self.number(name, default, 0..=900_000))
    }

    fn word<T: Copy>(&mut self, name: &str, default: T, words: &[(&str, T)]) -> T {
        let Some(text) = self.get(name) else { return default };
        let named = |name: &str| words.iter().find(|(word, _)| word.eq_ignore_ascii_case(name));
        // `off` and `none` are one, and YAML writes `off` and `no` as `false`, `on` as `true`.
        let switched = || match text.to_ascii_lowercase().as_str() {
            "off" | "none" | "false" | "no" => named("off").or_else(|| named("none")),
            "true" | "yes" => named("on"),
            _ => None,
        };
        if let Some((_, value)) = named(text).or_else(switched) {
            return *value;
        }
        let list: Vec<_> = words.iter().map(|(word, _)| *word).collect();
        self.problem(name, format!("not one of {}", list.join(", ")));
        default
    }

    /// The form for `signal` when it is set, else the general one.
    fn form(&self, name: &str, signal: Signal) -> String {
        let own = for_signal(name, signal);
        if self.set.contains_key(&own) { own } else { name.to_owned() }
    }

    fn destination(&mut self, signal: Signal, receivers: &Receivers) -> Option<Destination> {
        let name = self.form("PREFREEZE_EXPORTER_OTLP_ENDPOINT", signal);
        let text = self.get(&name)?.to_owned();
        if let Some(queue) = text.strip_prefix(queue::PREFIX) {
            return self.queue(signal, &name, queue);
        }
        let protocol = self.form("PREFREEZE_EXPORTER_OTLP_PROTOCOL", signal);
        let protocols = [("http/protobuf", Protocol::HttpProtobuf), ("grpc", Protocol::Grpc)];
        let protocol = self.word(&protocol, Protocol::HttpProtobuf, &protocols);
        let path = match protocol {
            Protocol::HttpProtobuf if name == "PREFREEZE_EXPORTER_OTLP_ENDPOINT" => {
                UrlPath::Append(path_of(signal))
            }
            Protocol::HttpProtobuf => UrlPath::AsItIs,
            Protocol::Grpc => UrlPath::Method(wire::grpc::path_of(signal)),
        };
        let of_aws = self.endpoint_of_aws(&text, signal);
        let mut url = match of_aws.unwrap_or_else(|| endpoint::url(&text, path, receivers)) {
            Ok(url) => url,
            Err(reason) => {
                self.problem(&name, reason);
                return None;
            }
        };
        let packing = self.form("PREFREEZE_EXPORTER_OTLP_COMPRESSION", signal);
        let packings = [("gzip", Packing::Gzip), ("zstd", Packing::Zstd), ("none", Packing::None)];
        let packing = self.word(&packing, Packing::Gzip, &packings);
        let headers = self.headers(signal);
        let making = Making { protocol, packing, headers, secrets: Vec::new(), scope: None };
        let Making { protocol, packing, headers, secrets, scope } =
            self.suit_aws(signal, &mut url, making)?;
        let tls = self.tls_files(signal);
        let Way { is_direct, proxy } = self.way_to(&name, &url, protocol);
        let limit = limits::of(&url, signal);
        let queue = None;
        Some(Destination {
            url,
            headers,
            secrets,
            scope,
            protocol,
            packing,
            tls,
            is_direct,
            proxy,
            limit,
            queue,
        })
    }

    fn headers(&mut self, signal: Signal) -> Vec<(String, String)> {
        let name = self.form("PREFREEZE_EXPORTER_OTLP_HEADERS", signal);
        let text = self.get(&name).unwrap_or_default().to_owned();
        let mut headers = Vec::new();
        for (index, member) in key_values::parse(key_values::unquoted(text.trim())).enumerate() {
            match member {
                // Both come of a secret that was not filled in, and would be refused as a wrong key.
                Ok((_, value)) if value.is_empty() => {
                    self.problem(&name, format!("member {} has no value", index + 1));
                }
                Ok((_, value)) if is_placeholder(&value) => {
                    let reason = "is a placeholder that nothing has replaced";
                    self.problem(&name, format!("member {} {reason}", index + 1));
                }
                Ok((key, value)) if is_of_protobuf(&key, &value) => {}
                Ok((key, _)) if FRAMING.iter().any(|name| name.eq_ignore_ascii_case(&key)) => {
                    let reason = "tells how a request is made, which Prefreeze does itself";
                    self.problem(&name, format!("member {} {reason}", index + 1));
                }
                Ok((key, value)) if is_header(&key, &value) => headers.push((key, value)),
                Ok(_) => self.problem(&name, format!("member {} is not a valid header", index + 1)),
                Err(bad) => self.problem(&name, bad.to_string()),
            }
        }
        headers
    }

    fn policy(
        &mut self,
        destinations: &[Option<Destination>; Signal::ALL.len()],
        further: &[Beside],
    ) -> Config {
        let flush = [
            ("end", FlushMode::End),
            ("continuous", FlushMode::Continuous),
            ("adaptive", FlushMode::Adaptive),
        ];
        let xray =
            [("link", XrayParent::Link), ("parent", XrayParent::Parent), ("ignore", XrayParent::Ignore)];
        let spool = [("always", SpoolMode::Always), ("outage", SpoolMode::Outage), ("off", SpoolMode::Off)];
        let default = Config::default();
        let to_traces = destinations[Signal::Traces as usize].as_ref();
        let xray_default = Self::xray_parent_default(to_traces.and_then(|traces| traces.scope.as_ref()));
        let [traces, metrics, logs] = destinations.each_ref().map(Option::is_some);
        let limit = |destination: &Option<Destination>| {
            destination.as_ref().map_or(RequestLimit::NONE, |destination| destination.limit)
        };
        Config {
            function_name: self.get("AWS_LAMBDA_FUNCTION_NAME").unwrap_or("function").into(),
            function_version: self.get("AWS_LAMBDA_FUNCTION_VERSION").unwrap_or("$LATEST").into(),
            init_type: self.init_type(),
            flush: self.word("PREFREEZE_FLUSH", FlushMode::default(), &flush),
            flush_ceiling: self.millis("PREFREEZE_FLUSH_TIMEOUT_MS", 1_000),
            cost_cap: self.get(COST_CAP).is_some().then(|| self.millis(COST_CAP, 60_000)),
            staleness: self.millis("PREFREEZE_FLUSH_MAX_STALENESS_MS", 10_000),
            deadline_margin: self.millis("PREFREEZE_DEADLINE_MARGIN_MS", 500),
            thaw_gap: self.millis("PREFREEZE_RECONNECT_AFTER_MS", 20_000),
            export_timeouts: Signal::ALL.map(|signal| self.export_timeout(signal)),
            spool: self.word("PREFREEZE_SPOOL", SpoolMode::default(), &spool),
            xray_parent: self.word("PREFREEZE_XRAY_PARENT", xray_default, &xray),
            measuring: self.measuring(),
            prices: self.prices(),
            sampling: self.sampling(),
            destinations: Destinations { traces, metrics, logs },
            further: further.iter().map(|to| to.told.clone()).collect(),
            expects_spans: self.expects_spans(),
            bounds: self.bounds(default.bounds),
            request_limits: destinations.each_ref().map(limit),
            ..default
        }
    }

    fn export_timeout(&mut self, signal: Signal) -> Duration {
        let name = self.form("PREFREEZE_EXPORTER_OTLP_TIMEOUT", signal);
        match self.number(&name, 10_000, 0..=3_600_000) {
            // No limit of its own: that of the longest invocation holds all the same.
            0 => Duration::from_secs(900),
            millis @ 1..TIMEOUT_MIN_MS => {
                let reason =
                    format!("{millis} ms is shorter than any backend answers; the unit is milliseconds");
                self.problem(&name, reason);
                Duration::from_millis(10_000)
            }
            millis => Duration::from_millis(millis),
        }
    }

    fn bounds(&mut self, default: policy::Bounds) -> policy::Bounds {
        let tenth = (self.memory_mib() << 20) / 10;
        let buffer = self.number("PREFREEZE_BUFFER_BYTES", tenth.clamp(4 << 20, 32 << 20), 1 << 16..=1 << 32);
        policy::Bounds {
            held_bytes: (buffer - buffer / IN_TRANSIT) as usize,
            spooled_bytes: self.number("PREFREEZE_SPOOL_MAX_BYTES", 64 << 20, 1 << 16..=8 << 30) as usize / 2,
            batch_bytes: self.number("PREFREEZE_BATCH_BYTES", 4 << 20, 1 << 10..=64 << 20) as usize,
            ..default
        }
    }

    fn spool_dir(&self) -> PathBuf {
        let default = || self.temporary().join("prefreeze");
        self.get("PREFREEZE_SPOOL_DIR").map_or_else(default, PathBuf::from)
    }

    fn temporary(&self) -> &Path {
        Path::new(self.get("TMPDIR").unwrap_or("/tmp"))
    }

    /// Where the function's package is.
    fn package(&self) -> &Path {
        Path::new(self.get("LAMBDA_TASK_ROOT").unwrap_or("/var/task"))
    }

    fn memory_mib(&self) -> u64 {
        self.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE").and_then(|text| text.parse().ok()).unwrap_or(512)
    }

    /// # Source
    /// <https://opentelemetry.io/docs/specs/semconv/resource/faas/>
    fn identity(&mut self, guarding: &Guarding) -> Identity {
        let mut identity = Identity::default();
        identity.set("cloud.provider", "aws");
        identity.set("cloud.platform", "aws_lambda");
        for (name, key) in [
            ("AWS_REGION", "cloud.region"),
            ("AWS_LAMBDA_FUNCTION_NAME", "faas.name"),
            ("AWS_LAMBDA_FUNCTION_VERSION", "faas.version"),
            ("AWS_LAMBDA_FUNCTION_NAME", "service.name"),
        ] {
            if let Some(value) = self.get(name) {
                identity.set(key, value);
            }
        }
        if self.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE").is_some() {
            identity.set_int("faas.max_memory", self.memory_mib() << 20);
        }
        for (key, value) in self.resource_attributes() {
            if let Some(value) = guarding.value(&key, &value) {
                identity.set(&key, &value);
            }
        }
        let named = self.get("OTEL_SERVICE_NAME");
        if let Some(name) = named.and_then(|name| guarding.value("service.name", name)) {
            identity.set("service.name", &name);
        }
        identity
    }

    fn resource_attributes(&mut self) -> Vec<(String, String)> {
        const NAME: &str = "OTEL_RESOURCE_ATTRIBUTES";
        let parsed: Result<_, _> = key_values::parse(self.get(NAME).unwrap_or_default()).collect();
        parsed.unwrap_or_else(|bad: key_values::BadMember| {
            self.problem(NAME, format!("{bad}; all of it is discarded"));
            Vec::new()
        })
    }
}

/// Whether `value` holds `${…}`, or a dynamic reference of CloudFormation's that it does not resolve in variables.
fn is_placeholder(value: &str) -> bool {
    let holds = |begin: &str, end: &str| value.split_once(begin).is_some_and(|(_, rest)| rest.contains(end));
    holds("${", "}") || holds("{{resolve:", "}}")
}

/// Headers that say where a request ends and what its bytes are: another word for it would break each request.
const FRAMING: [&str; 10] = [
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// What pages of backends give along with a key, and is so anyway.
fn is_of_protobuf(name: &str, value: &str) -> bool {
    name.eq_ignore_ascii_case("content-type") && value.eq_ignore_ascii_case("application/x-protobuf")
}

fn is_header(name: &str, value: &str) -> bool {
    http::HeaderName::from_bytes(name.as_bytes()).is_ok() && http::HeaderValue::from_str(value).is_ok()
}

#[cfg(test)]
mod tests;

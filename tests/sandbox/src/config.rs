//! What a caller can choose about the service and about a function.

use std::ffi::OsString;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::Duration;

use crate::faults::Faults;
use crate::uplink::Uplink;

/// The smallest and largest memory size Lambda accepts, in MB.
const MEMORY_MB: std::ops::RangeInclusive<u32> = 128..=10_240;
/// The largest function timeout Lambda accepts.
const TIMEOUT_MAX: Duration = Duration::from_secs(900);

/// The service: where it listens and what all functions share.
#[derive(Clone, Debug)]
pub struct LambdaConfig {
    /// Address of the invoke endpoint; port 0 takes a free one.
    pub listen: SocketAddr,
    /// `AWS_REGION`, and part of every ARN.
    pub region: String,
    /// Twelve digits; part of every ARN.
    pub account_id: String,
    /// Source of every id the service makes up.
    pub seed: u64,
    /// What an on-demand environment may spend on init before it is killed and initialised inside the invocation.
    pub init_timeout: Duration,
    /// Entries of the timeline, and separately records of invocations, kept; the oldest go first.
    pub history_limit: usize,
    /// Where each environment gets its scratch directory (`TMPDIR`); default: the host's temporary directory.
    pub scratch_dir: Option<PathBuf>,
    /// What an invocation meets when every environment is busy and the concurrency limit is reached.
    pub overflow: Overflow,
    /// Pauses before each retry of a failed asynchronous (`Event`) invocation.
    pub async_retries: Vec<Duration>,
    /// An idle environment is shut down (spindown) after this long; `None` keeps it.
    pub idle_timeout: Option<Duration>,
    /// What the processes find in `AWS_ACCESS_KEY_ID` and its companions.
    pub credentials: Credentials,
}

impl Default for LambdaConfig {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 0).into(),
            region: "us-east-1".into(),
            account_id: "123456789012".into(),
            seed: 0,
            init_timeout: Duration::from_secs(10),
            history_limit: 10_000,
            scratch_dir: None,
            overflow: Overflow::Queue { limit: 1000 },
            async_retries: vec![Duration::from_secs(60), Duration::from_secs(120)],
            idle_timeout: None,
            credentials: Credentials::default(),
        }
    }
}

/// AWS credentials for the processes inside; nothing checks them.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// `AWS_ACCESS_KEY_ID`.
    pub access_key_id: String,
    /// `AWS_SECRET_ACCESS_KEY`.
    pub secret_access_key: String,
    /// `AWS_SESSION_TOKEN`.
    pub session_token: String,
}

impl Default for Credentials {
    fn default() -> Self {
        Self {
            access_key_id: "ASIASANDBOX000000000".into(),
            secret_access_key: "not-a-secret".into(),
            session_token: "not-a-token".into(),
        }
    }
}

/// What happens to an invocation beyond the concurrency limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overflow {
    /// It waits for an environment; beyond `limit` waiting invocations it is throttled.
    Queue {
        /// Invocations that may wait.
        limit: usize,
    },
    /// It is answered with 429 `TooManyRequestsException` at once.
    Throttle,
}

/// `AWS_LAMBDA_INITIALIZATION_TYPE`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InitType {
    /// Environments start with the invocation that needs them.
    #[default]
    OnDemand,
    /// Environments start when the function is created and wait for invocations.
    ProvisionedConcurrency {
        /// How many are started.
        environments: usize,
    },
    /// Environments are initialised ahead, as for a snapshot, and restored for their first invocation. Each has
    /// its own processes: stopped from the end of init on, they stand in for the copies of one snapshot.
    SnapStart {
        /// How many are prepared when the function is created.
        environments: usize,
    },
    /// Environments start when the function is created, serve many invocations at once and are never frozen:
    /// `AWS_LAMBDA_MAX_CONCURRENCY` says to the runtime how many workers it needs.
    ManagedInstances {
        /// How many are started; one that fails is replaced.
        environments: usize,
        /// Invocations that one takes at the same time.
        concurrency: usize,
    },
}

impl InitType {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::OnDemand => "on-demand",
            Self::ProvisionedConcurrency { .. } => "provisioned-concurrency",
            Self::SnapStart { .. } => "snap-start",
            Self::ManagedInstances { .. } => "lambda-managed-instances",
        }
    }

    /// Environments that start with the function.
    pub(crate) fn ahead(self) -> usize {
        match self {
            Self::OnDemand => 0,
            Self::ProvisionedConcurrency { environments }
            | Self::SnapStart { environments }
            | Self::ManagedInstances { environments, .. } => environments,
        }
    }

    pub(crate) fn is_managed(self) -> bool {
        matches!(self, Self::ManagedInstances { .. })
    }

    /// Invocations that one environment takes at the same time.
    pub(crate) fn room(self) -> usize {
        match self {
            Self::ManagedInstances { concurrency, .. } => concurrency,
            Self::OnDemand | Self::ProvisionedConcurrency { .. } | Self::SnapStart { .. } => 1,
        }
    }
}

/// `AWS_LAMBDA_LOG_FORMAT`: whether JSON log lines become objects in telemetry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines stay strings.
    #[default]
    Text,
    /// Lines that parse as JSON objects become objects for subscribers of schema 2022-12-13 and later.
    Json,
}

impl LogFormat {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Text => "Text",
            Self::Json => "JSON",
        }
    }
}

/// One function.
#[derive(Clone, Debug)]
pub struct FunctionSpec {
    /// Function name: letters, digits, `-` and `_`, at most 64.
    pub name: String,
    /// `$LATEST` or a number.
    pub version: String,
    /// The bootstrap: program and arguments. A program without `/` is looked up in `PATH`.
    pub command: Vec<OsString>,
    /// `_HANDLER`.
    pub handler: String,
    /// `LAMBDA_TASK_ROOT` and the runtime's working directory; default: the directory of the program, or the
    /// current one for a program that is looked up in `PATH`.
    pub working_dir: Option<PathBuf>,
    /// Memory size, 128 to 10240. Reported and billed; not enforced.
    pub memory_mb: u32,
    /// Function timeout, at most 900 s. Covers the runtime and the extensions.
    pub timeout: Duration,
    /// The customer's variables.
    pub env: Vec<(String, String)>,
    /// Names of ports: each environment has free ones of its own, whose numbers stand in its variables where those
    /// say `{name}`. Environments are machines of their own on the platform, and here they share one.
    pub ports: Vec<String>,
    /// Stands for `/opt/extensions`: every plain file in it is started as an extension.
    pub extensions_dir: Option<PathBuf>,
    /// Environments that may exist at the same time.
    pub max_concurrency: usize,
    /// How environments come to be.
    pub init_type: InitType,
    /// Sets `AWS_LAMBDA_EXEC_WRAPPER`, which is honoured as managed runtimes honour it.
    pub exec_wrapper: Option<PathBuf>,
    /// `AWS_LAMBDA_LOG_FORMAT`.
    pub log_format: LogFormat,
    /// A backend that the processes reach through the sandbox, so that a freeze does to its connections what the
    /// freeze of a virtual machine does.
    pub uplink: Option<Uplink>,
    /// Deliberate deviations.
    pub faults: Faults,
}

impl FunctionSpec {
    /// The same for one environment, with free ports in its variables. They are free for as long as nobody takes them.
    pub(crate) fn with_ports(&self) -> Self {
        // All are open at once, or two would be the same.
        let listeners: Vec<_> =
            self.ports.iter().map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).collect();
        let mut spec = self.clone();
        for (name, listener) in self.ports.iter().zip(listeners) {
            let Ok(address) = listener.and_then(|listener| listener.local_addr()) else { continue };
            let (place, port) = (format!("{{{name}}}"), address.port().to_string());
            spec.env.iter_mut().for_each(|(_, value)| *value = value.replace(&place, &port));
        }
        spec
    }
}

impl Default for FunctionSpec {
    fn default() -> Self {
        Self {
            name: "function".into(),
            version: "$LATEST".into(),
            command: Vec::new(),
            handler: "bootstrap".into(),
            working_dir: None,
            memory_mb: 128,
            timeout: Duration::from_secs(3),
            env: Vec::new(),
            ports: Vec::new(),
            extensions_dir: None,
            max_concurrency: 10,
            init_type: InitType::OnDemand,
            exec_wrapper: None,
            log_format: LogFormat::Text,
            uplink: None,
            faults: Faults::default(),
        }
    }
}

/// Why a function cannot be created.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SpecError {
    /// The name is empty, longer than 64, or has a character that Lambda does not allow.
    Name,
    /// A function of this name exists.
    Exists,
    /// `command` is empty.
    Command,
    /// The memory size is not within 128 to 10240 MB.
    Memory,
    /// The timeout is zero or above 900 s.
    Timeout,
    /// The concurrency limit is zero, or below the provisioned concurrency; or an environment is to take no invocation.
    Concurrency,
    /// The extensions directory cannot be read.
    ExtensionsDir(PathBuf),
    /// The function has no such variable, or there is no host and port in it.
    Uplink(String),
    /// The service is shutting down.
    Stopped,
}

impl fmt::Display for SpecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name => f.write_str("a function name is 1 to 64 letters, digits, '-' or '_'"),
            Self::Exists => f.write_str("a function of this name exists"),
            Self::Command => f.write_str("the command is empty"),
            Self::Memory => f.write_str("memory must be 128 to 10240 MB"),
            Self::Timeout => f.write_str("the timeout must be above 0 and at most 900 s"),
            Self::Concurrency => {
                f.write_str("the concurrency limit is below the provisioned concurrency or zero")
            }
            Self::ExtensionsDir(path) => write!(f, "cannot read the extensions directory {}", path.display()),
            Self::Uplink(name) => write!(f, "no variable {name} with a host and a port"),
            Self::Stopped => f.write_str("the service is shutting down"),
        }
    }
}

impl std::error::Error for SpecError {}

impl FunctionSpec {
    /// Checks what Lambda would check when the function is created.
    pub(crate) fn validate(&self) -> Result<(), SpecError> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        if self.name.is_empty() || self.name.len() > 64 || !self.name.bytes().all(allowed) {
            return Err(SpecError::Name);
        }
        if self.command.is_empty() {
            return Err(SpecError::Command);
        }
        if !MEMORY_MB.contains(&self.memory_mb) {
            return Err(SpecError::Memory);
        }
        if self.timeout.is_zero() || self.timeout > TIMEOUT_MAX {
            return Err(SpecError::Timeout);
        }
        let is_too_small = self.init_type.ahead() > self.max_concurrency || self.init_type.room() == 0;
        if self.max_concurrency == 0 || is_too_small {
            return Err(SpecError::Concurrency);
        }
        if let Some(uplink) = &self.uplink
            && self.backend(uplink).is_none()
        {
            return Err(SpecError::Uplink(uplink.variable.clone()));
        }
        match &self.extensions_dir {
            Some(dir) if std::fs::read_dir(dir).is_err() => Err(SpecError::ExtensionsDir(dir.clone())),
            _ => Ok(()),
        }
    }

    /// The backend of `uplink`: what stands before its host and port, these, and what stands behind.
    pub(crate) fn backend(&self, uplink: &Uplink) -> Option<(&str, &str, &str)> {
        // Of two of one name the last holds.
        let value = self.env.iter().rev().find(|(name, _)| *name == uplink.variable);
        value.and_then(|(_, value)| Uplink::split(value))
    }

    /// The wrapper in effect: the field, or the customer's own variable.
    pub(crate) fn wrapper(&self) -> Option<OsString> {
        let from_env =
            || self.env.iter().find(|(key, _)| key == "AWS_LAMBDA_EXEC_WRAPPER").map(|(_, v)| v.into());
        self.exec_wrapper.clone().map(PathBuf::into_os_string).or_else(from_env)
    }

    /// `LAMBDA_TASK_ROOT`.
    pub(crate) fn task_root(&self) -> PathBuf {
        let of_program = || {
            let program = std::path::Path::new(self.command.first()?);
            program.parent().filter(|dir| !dir.as_os_str().is_empty()).map(PathBuf::from)
        };
        let root = self.working_dir.clone().or_else(of_program).unwrap_or_else(|| ".".into());
        std::path::absolute(&root).unwrap_or(root)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::uplink::InFreeze;

    #[test]
    fn what_lambda_refuses_is_refused() {
        let good = || FunctionSpec { command: vec!["true".into()], ..FunctionSpec::default() };
        let provisioned = InitType::ProvisionedConcurrency { environments: 3 };
        let managed = InitType::ManagedInstances { environments: 1, concurrency: 0 };
        let uplink = |name: &str| Uplink { variable: name.into(), in_freeze: InFreeze::Lost };
        let env = |url: &str| vec![("URL".to_owned(), url.to_owned())];
        let cases = [
            (good(), Ok(())),
            (FunctionSpec { name: "a b".into(), ..good() }, Err(SpecError::Name)),
            (FunctionSpec { command: vec![], ..good() }, Err(SpecError::Command)),
            (FunctionSpec { memory_mb: 127, ..good() }, Err(SpecError::Memory)),
            (FunctionSpec { timeout: Duration::from_secs(901), ..good() }, Err(SpecError::Timeout)),
            (FunctionSpec { timeout: Duration::ZERO, ..good() }, Err(SpecError::Timeout)),
            (FunctionSpec { max_concurrency: 0, ..good() }, Err(SpecError::Concurrency)),
            (
                FunctionSpec { max_concurrency: 2, init_type: provisioned, ..good() },
                Err(SpecError::Concurrency),
            ),
            (FunctionSpec { init_type: managed, ..good() }, Err(SpecError::Concurrency)),
            (FunctionSpec { uplink: Some(uplink("URL")), env: env("http://a:1"), ..good() }, Ok(())),
            (
                FunctionSpec { uplink: Some(uplink("URL")), env: env("http://a"), ..good() },
                Err(SpecError::Uplink("URL".into())),
            ),
            (FunctionSpec { uplink: Some(uplink("B")), ..good() }, Err(SpecError::Uplink("B".into()))),
        ];
        for (spec, verdict) in cases {
            assert_eq!(spec.validate(), verdict, "{spec:?}");
        }
    }

    #[test]
    fn the_task_root_is_where_the_program_is() {
        let root = |program: &str| {
            FunctionSpec { command: vec![program.into()], ..FunctionSpec::default() }.task_root()
        };
        assert_eq!(root("/srv/app/bootstrap"), std::path::Path::new("/srv/app"));
        let here = std::env::current_dir().unwrap();
        assert_eq!(root("python3"), here);
        assert_eq!(root("target/debug/f"), here.join("target/debug"));
    }

    #[test]
    fn the_field_wins_over_the_customers_wrapper_variable() {
        let env = vec![("AWS_LAMBDA_EXEC_WRAPPER".to_owned(), "/opt/theirs".to_owned())];
        let spec = FunctionSpec { env, ..FunctionSpec::default() };
        assert_eq!(spec.wrapper(), Some("/opt/theirs".into()));
        assert_eq!(
            FunctionSpec { exec_wrapper: Some("/opt/ours".into()), ..spec }.wrapper(),
            Some("/opt/ours".into())
        );
    }
}

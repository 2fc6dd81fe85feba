//! What goes into the machine and what comes out.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;

use super::registry::Registration;
use crate::answer::Answer;
#[cfg(test)]
use crate::clock::Time;
use crate::config::InitType;
use crate::faults::{Faults, InvocationFaults, TelemetryFault};
use crate::history::{EnvironmentId, Record, What};
use crate::shutdown_report::EnvironmentShutdown;
use crate::telemetry::{Subscription, TelemetryEvent};

/// What the machine knows about its function and never changes.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) environment: EnvironmentId,
    pub(crate) function: String,
    pub(crate) version: String,
    pub(crate) handler: String,
    pub(crate) account_id: String,
    pub(crate) memory_mb: u32,
    pub(crate) timeout: Duration,
    pub(crate) init_timeout: Duration,
    pub(crate) init_type: InitType,
    /// Log stream name, and `instanceId` in telemetry.
    pub(crate) log_stream: String,
    /// Names of the files in the extensions directory.
    pub(crate) extensions: Vec<String>,
    pub(crate) faults: Faults,
}

/// One process of the current generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Role {
    Runtime,
    /// By its index in the registry.
    Extension(usize),
}

/// Stands for the pending answer to one HTTP request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Token(pub(crate) u64);

/// One invocation to run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Job {
    pub(crate) request_id: String,
    pub(crate) arn: String,
    pub(crate) payload: Bytes,
    /// `X-Amzn-Trace-Id`.
    pub(crate) trace: Option<String>,
    pub(crate) client_context: Option<String>,
    pub(crate) cognito_identity: Option<String>,
    pub(crate) tenant_id: Option<String>,
    pub(crate) telemetry_faults: Vec<TelemetryFault>,
    pub(crate) faults: Box<InvocationFaults>,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It exited with this code.
    Code(i32),
    /// This signal killed it.
    Signal(i32),
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit status {code}"),
            Self::Signal(6) => f.write_str("signal: aborted"),
            Self::Signal(9) => f.write_str("signal: killed"),
            Self::Signal(11) => f.write_str("signal: segmentation fault"),
            Self::Signal(15) => f.write_str("signal: terminated"),
            Self::Signal(signal) => write!(f, "signal: {signal}"),
        }
    }
}

/// Why an environment shuts down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShutdownReason {
    /// It is not needed any more.
    Spindown,
    /// An invocation reached its deadline.
    Timeout,
    /// A process failed.
    Failure,
}

impl ShutdownReason {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Spindown => "spindown",
            Self::Timeout => "timeout",
            Self::Failure => "failure",
        }
    }
}

#[derive(Debug)]
pub(crate) enum Input {
    /// Initialise without an invocation.
    Start,
    Invoke(Job),
    Shutdown(ShutdownReason),
    LaunchFail {
        role: Role,
        error_type: &'static str,
        error: String,
    },
    Exit {
        role: Role,
        exit: Exit,
    },
    Line {
        role: Role,
        text: String,
    },
    /// GET /runtime/invocation/next
    RuntimeNext {
        token: Token,
    },
    /// POST /runtime/invocation/{id}/response: its head.
    ResponseStart {
        token: Token,
        request_id: String,
        streaming: bool,
    },
    /// ... and its end.
    ResponseEnd {
        token: Token,
        request_id: String,
        end: ResponseEnd,
    },
    /// POST /runtime/invocation/{id}/error
    InvocationError {
        token: Token,
        request_id: String,
        error_type: Option<String>,
        body: Bytes,
    },
    /// POST /runtime/init/error
    InitError {
        token: Token,
        error_type: Option<String>,
        body: Bytes,
    },
    Register {
        token: Token,
        registration: Registration,
    },
    /// GET /extension/event/next
    ExtensionNext {
        token: Token,
        id: Option<String>,
    },
    /// POST /extension/init/error and /extension/exit/error
    ExtensionError {
        token: Token,
        id: Option<String>,
        at_init: bool,
        error_type: Option<String>,
        body: Bytes,
    },
    /// PUT /2022-07-01/telemetry
    Subscribe {
        token: Token,
        id: Option<String>,
        body: Bytes,
    },
    /// The processes hold more memory than there is, and this one is killed for it.
    OutOfMemory {
        role: Role,
    },
    /// The deadline came.
    Tick,
}

/// How a response body ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ResponseEnd {
    Complete(Bytes),
    /// It went to the caller as it came; `error_type` is the runtime's trailer.
    Streamed {
        bytes: usize,
        error_type: Option<String>,
    },
    TooLarge,
    /// The connection broke first.
    Truncated,
}

#[derive(Debug, PartialEq)]
pub(crate) enum Output {
    /// New processes follow: forget the old subscribers and open a fresh API address.
    BeginGeneration,
    /// All processes are gone.
    EndGeneration,
    Spawn(Role),
    Terminate(Role),
    Kill(Role),
    /// SIGSTOP to the process group, and SIGCONT after so long.
    Stall(Role, Duration),
    /// Stop every process; hold back telemetry.
    Freeze,
    Thaw,
    Answer(Token, Answer),
    /// The request's body may be read.
    Proceed(Token),
    Emit(TelemetryEvent),
    Subscribe {
        extension: String,
        subscription: Subscription,
    },
    /// Init is over: nobody can subscribe any more.
    CloseSubscriptions,
    /// A stream of events closed: do not wait for batches to fill.
    FlushTelemetry,
    /// The next invocation began: release what a fault holds back until now.
    ReleaseTelemetry(Vec<TelemetryFault>),
    /// The caller's answer.
    Reply {
        request_id: String,
        payload: Bytes,
        function_error: bool,
        log_tail: String,
        cold_start: bool,
    },
    /// The caller gets the body of this request.
    ReplyStream {
        request_id: String,
        token: Token,
        cold_start: bool,
    },
    /// The service stops before the callers that are left got an answer.
    ReplyStopped,
    Note(What, Option<String>),
    Finish(Box<Record>),
    /// Ready for the next job, or for one more.
    Idle,
    /// On Managed Instances: init is over.
    Ready,
    /// It will end by itself: no more jobs.
    Failing,
    Gone(EnvironmentShutdown),
}

#[cfg(test)]
impl Facts {
    pub(crate) fn example() -> Self {
        Self {
            environment: EnvironmentId(1),
            function: "orders".into(),
            version: "$LATEST".into(),
            handler: "app.handler".into(),
            account_id: "123456789012".into(),
            memory_mb: 128,
            timeout: Duration::from_secs(3),
            init_timeout: Duration::from_secs(10),
            init_type: InitType::OnDemand,
            log_stream: "2026/11/22/[$LATEST]0a".into(),
            extensions: vec!["tracer".into()],
            faults: Faults::default(),
        }
    }
}

/// A time that tests count from.
#[cfg(test)]
pub(crate) const T0: Time = Time::from_epoch(Duration::from_secs(1_764_000_000));

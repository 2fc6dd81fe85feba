//! What the platform tells: events of the Extensions API and of the Telemetry API, as policy's nouns.

use alloc::sync::Arc;

use crate::span::{RequestId, SpanId, TraceId};
use crate::time::{Duration, Instant, UnixNanos};

/// The X-Ray header of an invocation (`X-Amzn-Trace-Id`), as far as it could be read.
///
/// # Source
/// <https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader>
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct XrayContext {
    /// `Root`, as a W3C trace id.
    pub trace_id: TraceId,
    /// `Parent`: a segment that only X-Ray has; absent in the pass-through form.
    pub parent: Option<SpanId>,
    /// `Root` as it was written, for people who search X-Ray.
    pub root: Arc<str>,
    /// `Sampled`: whether X-Ray keeps the trace; `None` where it has not decided.
    pub sampled: Option<bool>,
}

/// An INVOKE event.
#[derive(Clone, Debug)]
pub struct Invoke {
    /// The invocation's request id.
    pub request_id: RequestId,
    /// When the platform kills the function and us, on the monotonic clock.
    pub deadline: Instant,
    /// The same on the wall clock (`deadlineMs`).
    pub deadline_at: UnixNanos,
    /// Wall time at which the event was received.
    pub received_at: UnixNanos,
    /// `invokedFunctionArn`, with the qualifier that the caller used.
    pub arn: Arc<str>,
    /// The X-Ray header, if there was one that could be read.
    pub xray: Option<XrayContext>,
    /// How long the wait for this event took: the only place where a freeze can lie.
    pub waited: Duration,
}

/// What became of the subscription to the Telemetry API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subscription {
    /// The platform delivers its events.
    Accepted,
    /// It does not: refused, or not answered. Nothing waits for an event.
    Refused,
    /// It does not, because it is a local emulator, which freezes nothing between invocations, and whose caller waits
    /// until every extension has asked `/next`.
    ///
    /// # Source
    /// AWS's emulator answers 202 (`Telemetry.NotSupported`):
    /// <https://github.com/aws/aws-lambda-runtime-interface-emulator/blob/main/internal/lambda/rapi/handler/runtimelogs_stub.go>
    Local,
}

impl Subscription {
    /// Whether the platform's events arrive.
    pub(crate) const fn delivers(self) -> bool {
        matches!(self, Self::Accepted)
    }
}

/// Why the environment is going away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShutdownReason {
    /// Not needed any more.
    Spindown,
    /// The function ran into its timeout.
    Timeout,
    /// The runtime or an extension died; also every reason not known here.
    Failure,
}

impl ShutdownReason {
    /// How an invocation has ended that was open when the environment went away for this reason.
    pub const fn status(self) -> EndStatus {
        match self {
            Self::Spindown => EndStatus::Success,
            Self::Timeout => EndStatus::Timeout,
            Self::Failure => EndStatus::Failure,
        }
    }

    /// Whether something went wrong.
    pub fn is_bad(self) -> bool {
        self != Self::Spindown
    }
}

/// A SHUTDOWN event.
#[derive(Clone, Debug)]
pub struct Shutdown {
    /// Why.
    pub reason: ShutdownReason,
    /// When SIGKILL comes, on the monotonic clock; may already have passed.
    pub deadline: Instant,
    /// Wall time at which the event was received.
    pub received_at: UnixNanos,
    /// How long the wait for this event took.
    pub waited: Duration,
}

/// How the environment came to be (`AWS_LAMBDA_INITIALIZATION_TYPE`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum InitType {
    /// Made for a waiting request.
    #[default]
    OnDemand,
    /// Made ahead of requests.
    ProvisionedConcurrency,
    /// Restored from a snapshot.
    SnapStart,
    /// Serves many invocations at once and never freezes.
    ManagedInstances,
}

impl InitType {
    /// The platform's own spelling.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OnDemand => "on-demand",
            Self::ProvisionedConcurrency => "provisioned-concurrency",
            Self::SnapStart => "snap-start",
            Self::ManagedInstances => "lambda-managed-instances",
        }
    }
}

/// In which phase init ran.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InitPhase {
    /// Before the first invocation.
    Init,
    /// Again inside the first invocation, after it failed or ran out of time ("suppressed init").
    Invoke,
}

/// The `error.type` of a time-out.
///
/// # Source
/// <https://opentelemetry.io/docs/specs/semconv/registry/attributes/error/>
const TIMEOUT: &str = "timeout";
/// What the platform calls one.
const TIMEOUTS: [&str; 3] = ["Sandbox.Timedout", "Sandbox.Timeout", "Runtime.InvokeTimeout"];

/// How something the platform ran has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    /// The platform's word for it; [`outcome`](Self::outcome) is what it means.
    pub status: EndStatus,
    /// The platform's class of the failure, if it named one (`errorType`).
    pub error_type: Option<Arc<str>>,
}

impl Ending {
    /// A good end.
    pub const SUCCESS: Self = Self { status: EndStatus::Success, error_type: None };

    /// How it ended: a time-out has a status of its own, or is an error of a class that says so.
    pub fn outcome(&self) -> EndStatus {
        let is_timeout = self.error_type.as_deref().is_some_and(|class| TIMEOUTS.contains(&class));
        match self.status {
            EndStatus::Error | EndStatus::Failure if is_timeout => EndStatus::Timeout,
            status => status,
        }
    }

    /// The `error.type` of a span that ended so, or `None` for a good end.
    ///
    /// Shape: `timeout` for every time-out; else the platform's `errorType` where it gave one, else `_OTHER`, which is the
    /// OpenTelemetry word for a class that is not known.
    pub fn error_class(&self) -> Option<Arc<str>> {
        match self.outcome() {
            EndStatus::Success => None,
            EndStatus::Timeout => Some(TIMEOUT.into()),
            EndStatus::Error | EndStatus::Failure => {
                Some(self.error_type.clone().unwrap_or_else(|| "_OTHER".into()))
            }
        }
    }
}

/// `status` of the Telemetry API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndStatus {
    /// It worked.
    Success,
    /// The function or its runtime failed.
    Error,
    /// The platform failed it; also every status not known here.
    Failure,
    /// It ran out of time.
    Timeout,
}

/// One event of the Telemetry API. Every field that AWS ever leaves out is optional.
///
/// # Source
/// <https://docs.aws.amazon.com/lambda/latest/dg/telemetry-schema-reference.html>
#[derive(Clone, Debug)]
pub enum PlatformEvent {
    /// `platform.initStart`, or `platform.restoreStart` where a snapshot is restored.
    InitStart {
        /// When.
        at: UnixNanos,
        /// In which phase.
        phase: InitPhase,
        /// `restoreStart`: what it says replaces what init said.
        restore: bool,
        /// The runtime's version, where the platform knows one.
        runtime_version: Option<Arc<str>>,
    },
    /// `platform.initRuntimeDone`, or `platform.restoreRuntimeDone`.
    InitRuntimeDone {
        /// When.
        at: UnixNanos,
        /// Whether a restore ended.
        restore: bool,
        /// How.
        ending: Ending,
    },
    /// `platform.initReport`, or `platform.restoreReport`.
    InitReport {
        /// When.
        at: UnixNanos,
        /// In which phase it ran.
        phase: InitPhase,
        /// Whether a restore is reported.
        restore: bool,
        /// How it ended.
        ending: Ending,
        /// How long all of it took.
        duration: Option<Duration>,
    },
    /// `platform.start`.
    Start {
        /// Of which invocation.
        request_id: RequestId,
        /// When.
        at: UnixNanos,
    },
    /// `platform.runtimeDone`.
    RuntimeDone {
        /// Of which invocation.
        request_id: RequestId,
        /// When.
        at: UnixNanos,
        /// How it ended.
        ending: Ending,
        /// From the hand-over to the runtime until the runtime asked for the next one.
        duration: Option<Duration>,
        /// Size of the response, in bytes.
        produced_bytes: Option<u64>,
        /// How the response went.
        response: Response,
    },
    /// `platform.report`.
    Report {
        /// Of which invocation.
        request_id: RequestId,
        /// When.
        at: UnixNanos,
        /// How it ended.
        ending: Ending,
        /// How long it took, extensions included.
        duration: Option<Duration>,
        /// What it used, and what is billed for it.
        usage: Usage,
    },
    /// `platform.logsDropped`: the platform gave up on delivering some events to us.
    LogsDropped {
        /// How many.
        records: u64,
        /// Their size in bytes.
        bytes: u64,
    },
}

/// The spans of `platform.runtimeDone`, as far as they were told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// `responseLatency`: from the hand-over to the runtime until the response begins.
    pub latency: Option<Duration>,
    /// `responseDuration`: from the response's first byte to its last.
    pub duration: Option<Duration>,
}

/// The metrics of `platform.report`, as far as they were told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// What is billed.
    pub billed: Option<Duration>,
    /// Memory of the function, in bytes.
    pub memory_bytes: Option<u64>,
    /// The most of it that was in use, in bytes.
    pub memory_used_bytes: Option<u64>,
    /// How long init took; in the first report of an environment made on demand.
    pub init: Option<Duration>,
    /// How long the restore of a snapshot took.
    pub restore: Option<Duration>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_says_how_an_open_invocation_has_ended() {
        for (reason, status, is_bad) in [
            (ShutdownReason::Spindown, EndStatus::Success, false),
            (ShutdownReason::Timeout, EndStatus::Timeout, true),
            (ShutdownReason::Failure, EndStatus::Failure, true),
        ] {
            assert_eq!((reason.status(), reason.is_bad()), (status, is_bad), "{reason:?}");
        }
    }

    #[test]
    fn the_ways_to_come_to_be_are_spelled_as_the_platform_spells_them() {
        for (kind, word) in [
            (InitType::OnDemand, "on-demand"),
            (InitType::ProvisionedConcurrency, "provisioned-concurrency"),
            (InitType::SnapStart, "snap-start"),
            (InitType::ManagedInstances, "lambda-managed-instances"),
        ] {
            assert_eq!(kind.as_str(), word);
        }
    }

    #[test]
    fn a_failure_has_a_class_and_a_success_has_none() {
        let class = |status, error_type: Option<&str>| {
            let ending = Ending { status, error_type: error_type.map(Into::into) };
            ending.error_class().as_deref().map(alloc::string::String::from)
        };
        assert_eq!(class(EndStatus::Success, None), None);
        assert_eq!(class(EndStatus::Success, Some("E")), None);
        assert_eq!(class(EndStatus::Timeout, None).as_deref(), Some("timeout"));
        assert_eq!(class(EndStatus::Timeout, Some("E")).as_deref(), Some("timeout"));
        for status in [EndStatus::Error, EndStatus::Failure] {
            assert_eq!(class(status, None).as_deref(), Some("_OTHER"));
            assert_eq!(class(status, Some("E")).as_deref(), Some("E"));
            for named in TIMEOUTS {
                assert_eq!(class(status, Some(named)).as_deref(), Some("timeout"), "{named}");
            }
        }
    }
}

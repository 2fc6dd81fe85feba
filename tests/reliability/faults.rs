//! The faults, one row each: what goes wrong, and what may come of it.

use std::time::Duration;

use sandbox::{EventKind, Fate, FunctionSpec, ShutdownReason, SubscribeAnswer, TelemetryFault};
use tests::collector::{Answer, State};

use super::backend::Backend;
use super::books::{self, PerInvocation};

/// One row.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    /// Who misbehaves.
    pub(crate) who: &'static str,
    /// How.
    pub(crate) what: &'static str,
    pub(crate) backend: Backend,
    /// How the function sends, and how it ends, while the fault lasts.
    pub(crate) send: &'static str,
    pub(crate) end: &'static str,
    /// For how many invocations the fault lasts.
    pub(crate) times: u64,
    /// Changes the function.
    pub(crate) shape: fn(&mut FunctionSpec),
    /// What its caller must see.
    pub(crate) caller: &'static str,
    /// The longest that the extension may hold an invocation.
    pub(crate) ceiling: Duration,
    /// What happens besides.
    pub(crate) drama: Drama,
    /// Whether a healthy invocation follows before the environment ends.
    pub(crate) is_followed: bool,
    /// Why the environment ends.
    pub(crate) reason: ShutdownReason,
}

impl Fault {
    /// Whether the backend is ill, and the same process has yet to send it what was accepted.
    pub(crate) fn outlasts_the_freeze(&self) -> bool {
        !matches!(self.backend, Backend::Well) && self.drama != Drama::Kill
    }

    /// The spans that the backend has.
    pub(crate) fn arrived(&self, state: &State) -> PerInvocation {
        // 200 is said, and so the data is taken; the recording backend counts whole answers only.
        let is_cut_short = matches!(self.backend, Backend::Answers(Answer::CutShort));
        books::arrived(state, self.send == "twice", is_cut_short)
    }
}

/// What a row does that needs somebody to do it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Drama {
    None,
    /// The fault is there from the first init on.
    FromTheStart,
    /// The extension is killed while the handler runs.
    Kill,
    /// The function sends once more when the extension has asked for the next event.
    Late,
}

/// In a usual row, the most that a flush may hold an invocation.
pub(crate) const CEILING: Duration = Duration::from_millis(500);

fn fault(who: &'static str, what: &'static str) -> Fault {
    Fault {
        who,
        what,
        backend: Backend::Well,
        send: "good",
        end: "respond",
        times: 1,
        shape: |_| {},
        caller: "ok",
        ceiling: CEILING,
        drama: Drama::None,
        is_followed: true,
        reason: ShutdownReason::Spindown,
    }
}

/// Every row, in the order of the page.
pub(crate) fn all() -> Vec<Fault> {
    let mut faults = vec![fault("nobody", "all is well")];
    faults.extend(of_the_backend());
    faults.extend(of_the_function());
    faults.extend(of_the_platform());
    faults.extend(of_the_sandbox());
    faults
}

fn of_the_backend() -> Vec<Fault> {
    let ill = |what, backend| Fault { backend, ..fault("backend", what) };
    let answers = |what, answer| ill(what, Backend::Answers(answer));
    // A second of patience, so that a slow answer comes in time on a busy machine too.
    let patient = Fault {
        ceiling: Duration::from_secs(1),
        ..answers("takes 400 ms", Answer::after(Duration::from_millis(400)))
    };
    vec![
        ill("refuses connections", Backend::Down),
        answers("accepts and never answers", Answer::Hold),
        patient,
        answers("429", Answer::status(429)),
        answers("429, Retry-After in seconds", Answer::retry_after(429, "1")),
        answers("503", Answer::status(503)),
        answers("503, Retry-After in seconds", Answer::retry_after(503, "1")),
        ill("503, Retry-After as a date", Backend::BackAt),
        answers("400", Answer::status(400)),
        answers("401", Answer::status(401)),
        ill("413, whatever the size", Backend::Choosy),
        answers("takes all spans but one", Answer::partial_success(1, "one too many")),
        answers("resets in the middle of the body", Answer::Reset(10)),
        answers("cuts its answer short", Answer::CutShort),
        Fault { times: 5, ..ill("down for five invocations", Backend::Down) },
        Fault { is_followed: false, ..ill("down until SHUTDOWN", Backend::Down) },
    ]
}

fn of_the_function() -> Vec<Fault> {
    let ends = |what, end, caller| Fault { send: "child", end, caller, ..fault("function", what) };
    let sends = |what, send| Fault { send, ..fault("function", what) };
    let one_second: fn(&mut FunctionSpec) = |spec| spec.timeout = Duration::from_secs(1);
    vec![
        Fault { shape: one_second, ..ends("times out", "hang", "Sandbox.Timedout") },
        ends("exits", "exit", "Runtime.ExitError"),
        ends("aborts", "abort", "Runtime.ExitError"),
        sends("sends nothing", "nothing"),
        Fault { drama: Drama::Late, ..sends("sends a span when the extension is done", "late") },
        // An unoptimised build unpacks, scans and packs two megabytes here.
        Fault { ceiling: Duration::from_secs(2), ..sends("sends 10 000 spans", "many") },
        sends("sends garbage", "garbage"),
        sends("sends a gzip bomb", "bomb"),
        sends("sends JSON", "json"),
        sends("sends a span twice", "twice"),
    ]
}

fn of_the_platform() -> Vec<Fault> {
    let subscribe = |what, shape| Fault { shape, drama: Drama::FromTheStart, ..fault("platform", what) };
    let shaped = |what, shape| Fault { shape, ..fault("platform", what) };
    let ends = |what, reason| Fault {
        backend: Backend::Down,
        is_followed: false,
        reason,
        ..fault("platform", what)
    };
    vec![
        shaped("drops its telemetry", |spec| telemetry(spec, Fate::Drop)),
        // Nothing tells that the invocation is over: the extension waits up to its margin before the deadline, once.
        Fault {
            send: "nothing",
            times: 3,
            ceiling: Duration::from_secs(2),
            ..shaped("drops its telemetry, and the function sends nothing", |spec| {
                spec.timeout = Duration::from_secs(2);
                telemetry(spec, Fate::Drop);
            })
        },
        shaped("delays its telemetry by 100 ms", |spec| {
            telemetry(spec, Fate::Delay(Duration::from_millis(100)));
        }),
        shaped("holds its telemetry until the next invocation", |spec| telemetry(spec, Fate::HoldUntilNext)),
        shaped("delivers its telemetry three times", |spec| telemetry(spec, Fate::Duplicate(2))),
        subscribe("answers the subscription 202", |spec| {
            spec.faults.subscribe = SubscribeAnswer::NotSupported;
        }),
        subscribe("answers the subscription 403", |spec| spec.faults.subscribe = SubscribeAnswer::Closed),
        subscribe("answers the subscription 404", |spec| spec.faults.subscribe = SubscribeAnswer::NotFound),
        subscribe("answers the subscription 500", |spec| {
            spec.faults.subscribe = SubscribeAnswer::ServerError;
        }),
        Fault {
            send: "nothing",
            times: 3,
            ceiling: Duration::from_secs(2),
            ..subscribe("answers the subscription 404, and the function sends nothing", |spec| {
                spec.timeout = Duration::from_secs(2);
                spec.faults.subscribe = SubscribeAnswer::NotFound;
            })
        },
        ends("SHUTDOWN for spindown, data unsent", ShutdownReason::Spindown),
        ends("SHUTDOWN for timeout, data unsent", ShutdownReason::Timeout),
        ends("SHUTDOWN for failure, data unsent", ShutdownReason::Failure),
        subscribe("initialises inside the invocation", |spec| {
            spec.env.push(("FAIL_FIRST_INIT".into(), "1".into()));
        }),
    ]
}

fn of_the_sandbox() -> Vec<Fault> {
    vec![
        Fault {
            backend: Backend::CutInFreeze,
            ..fault("sandbox", "frozen with a request in flight, its connection cut meanwhile")
        },
        Fault {
            send: "child",
            drama: Drama::Kill,
            caller: "Extension.Crash",
            // What was sent before the kill would prove nothing.
            backend: Backend::Down,
            ..fault("sandbox", "the extension is killed while the handler runs, data unsent")
        },
        Fault {
            drama: Drama::FromTheStart,
            shape: |spec| spec.env.push(("PREFREEZE_SPOOL_DIR".into(), "/proc/no/such/folder".into())),
            ..fault("sandbox", "no disk can be written")
        },
    ]
}

/// One fate for everything that the platform tells of invocations.
fn telemetry(spec: &mut FunctionSpec, fate: Fate) {
    let kinds = [EventKind::Start, EventKind::RuntimeDone, EventKind::Report];
    spec.faults.telemetry.extend(kinds.map(|kind| TelemetryFault { kind, fate }));
}

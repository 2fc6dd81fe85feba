//! The faults, one row each: what goes wrong, and what may come of it.

use std::time::Duration;

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::thread;

use sandbox::{
    EventKind, Fate, FunctionSpec, InvocationFaults, Moment, ShutdownReason, SubscribeAnswer, TelemetryFault,
};
use serde_json::json;
use tests::collector::{Answer, State};

use super::backend::Backend;
use super::books::{self, PerInvocation};
use super::stage::{self, EXTENSION};

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
    /// What the sandbox does wrong in the invocations of the fault.
    pub(crate) faults: fn() -> InvocationFaults,
    /// What happens besides.
    pub(crate) drama: Drama,
    /// Whether the extension dies in the first init.
    pub(crate) dies_in_init: bool,
    /// Whether the platform freezes the environment: a local emulator does not.
    pub(crate) freezes: bool,
    /// Whether a healthy invocation follows before the environment ends.
    pub(crate) is_followed: bool,
    /// Whether a flush has any time to be waited for: none, where the deadline seems to have passed.
    pub(crate) has_time: bool,
    /// Why the environment ends.
    pub(crate) reason: ShutdownReason,
}

impl Fault {
    /// Whether the backend is ill, and the same process has yet to send it what was accepted.
    pub(crate) fn outlasts_the_freeze(&self) -> bool {
        !matches!(self.backend, Backend::Well) && !self.kills()
    }

    /// Whether the extension is killed in it.
    pub(crate) fn kills(&self) -> bool {
        self.drama == Drama::Kill || (self.faults)().kill.is_some()
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
    /// Two callers at once, so that the second INVOKE follows the first without a pause.
    BackToBack,
    /// The environment stays frozen for longer than connections are trusted.
    LongFreeze,
    /// The function sends once more when the extension has asked for the next event.
    Late,
}

/// In a usual row, the most that a flush may hold an invocation.
pub(crate) const CEILING: Duration = Duration::from_millis(500);

/// How long the extension alone is stopped.
const STALL: Duration = Duration::from_millis(300);

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
        faults: InvocationFaults::default,
        drama: Drama::None,
        dies_in_init: false,
        freezes: true,
        is_followed: true,
        has_time: true,
        reason: ShutdownReason::Spindown,
    }
}

/// Every row, in the order of the page.
pub(crate) fn all() -> Vec<Fault> {
    let mut faults = vec![fault("nobody", "all is well")];
    faults.extend(of_the_backend());
    faults.extend(of_the_function());
    faults.extend(of_the_telemetry());
    faults.extend(of_the_platform());
    faults.extend(of_freezes_and_kills());
    faults.extend(of_the_machine());
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
        ill("503, Retry-After as a date", Backend::BackAt(503)),
        answers("400", Answer::status(400)),
        answers("401", Answer::status(401)),
        ill("429, Retry-After as a date", Backend::BackAt(429)),
        ill("413, whatever the size", Backend::Choosy),
        answers("takes all spans but one", Answer::partial_success(1, "one too many")),
        answers("resets in the middle of the body", Answer::Reset(10)),
        answers("cuts its answer short", Answer::CutShort),
        Fault { times: 5, ..ill("down for five invocations", Backend::Down) },
        Fault { is_followed: false, ..ill("down until SHUTDOWN", Backend::Down) },
        // Nothing that a test can mend while the process runs: it stays so, and what was accepted is kept.
        elsewhere("its name is not known (DNS)", |spec| {
            set(spec, ENDPOINT, |_| "http://backend.invalid:4318".into());
        }),
        elsewhere("speaks no TLS where it should", |spec| {
            set(spec, ENDPOINT, |url| url.replace("http://", "https://"));
        }),
    ]
}

fn of_the_function() -> Vec<Fault> {
    let ends = |what, end, caller| Fault { send: "child", end, caller, ..fault("function", what) };
    let sends = |what, send| Fault { send, ..fault("function", what) };
    let one_second: fn(&mut FunctionSpec) = |spec| spec.timeout = Duration::from_secs(1);
    vec![
        Fault { shape: one_second, ..ends("times out", "hang", "Sandbox.Timedout") },
        ends("exits", "exit", "Runtime.ExitError"),
        ends("exits with 0 and never responds", "exit0", "Runtime.ExitError"),
        ends("asks for the next event and never responds", "forget", "Runtime.ExitError"),
        ends("aborts", "abort", "Runtime.ExitError"),
        ends("fails, and says so", "error", "OutOfStock"),
        Fault { send: "good", ..ends("exits when it has responded", "respond, exit", "ok") },
        Fault {
            shape: one_second,
            send: "good",
            ..ends("responds and never asks for the next event", "respond, hang", "ok")
        },
        ends("ends its stream with an error", "tear", "an error without a type"),
        ends("responds with 3 MiB", "large", "ok"),
        ends("responds with more than 6 MiB", "too large", "Function.ResponseSizeTooLarge"),
        Fault {
            shape: |spec| {
                spec.faults.enforces_memory = true;
                spec.memory_mb = 256;
            },
            ..ends("is killed for want of memory", "grow", "Runtime.OutOfMemory")
        },
        Fault {
            shape: |spec| stage::fail_every_init(spec),
            drama: Drama::FromTheStart,
            is_followed: false,
            ..ends("fails to initialise, twice", "respond", "Runtime.ExitError")
        },
        Fault {
            // The whole second that init may take, of a runtime that never asks for an event.
            shape: |spec| {
                spec.env.push(("HANG_IN_FIRST_INIT".into(), "1".into()));
                spec.faults.init_timeout = Some(Duration::from_secs(1));
            },
            drama: Drama::FromTheStart,
            ..fault(
                "function",
                "takes longer to initialise than it may, and is initialised again in the invocation",
            )
        },
        sends("sends nothing", "nothing"),
        Fault { drama: Drama::Late, ..sends("sends a span when the extension is done", "late") },
        // An unoptimised build unpacks, scans and packs two megabytes here.
        Fault { ceiling: Duration::from_secs(2), ..sends("sends 10 000 spans", "many") },
        sends("sends garbage", "garbage"),
        sends("sends a gzip bomb", "bomb"),
        sends("sends JSON", "json"),
        sends("sends a span twice", "twice"),
        sends("sends half a body, and nothing more", "half"),
    ]
}

fn of_the_telemetry() -> Vec<Fault> {
    let shaped = |what, shape| Fault { shape, ..fault("platform", what) };
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
        shaped("never reports", |spec| fates(spec, &[EventKind::Report], Fate::Drop)),
        shaped("reports two invocations late", |spec| fates(spec, &[EventKind::Report], Fate::HoldForTwo)),
        Fault {
            drama: Drama::FromTheStart,
            ..shaped("says nothing of init", |spec| fates(spec, &INIT, Fate::Drop))
        },
        shaped("delivers its telemetry out of order", |spec| telemetry(spec, Fate::Swap)),
        shaped("drops its telemetry, and says so (logsDropped)", |spec| telemetry(spec, Fate::DropCounted)),
        Fault { faults: of_others, ..fault("platform", "tells of other requests, and of unknown events") },
        Fault {
            faults: || InvocationFaults { forged: vec![json!("no JSON")], ..InvocationFaults::default() },
            ..fault("platform", "delivers telemetry that is no JSON")
        },
        shaped("delivers its telemetry three times", |spec| telemetry(spec, Fate::Duplicate(2))),
    ]
}

fn of_the_platform() -> Vec<Fault> {
    let subscribe = |what, shape| Fault { shape, drama: Drama::FromTheStart, ..fault("platform", what) };
    // After an invocation in which the function has named itself: before, nothing says that it sends anything.
    let unsubscribed = |what, shape| Fault { drama: Drama::None, ..subscribe(what, shape) };
    let ends = |what, reason| Fault {
        backend: Backend::Down,
        is_followed: false,
        reason,
        ..fault("platform", what)
    };
    vec![
        Fault {
            freezes: false,
            ..unsubscribed("answers the subscription 202", |spec| {
                spec.faults.subscribe = SubscribeAnswer::NotSupported;
                spec.faults.never_freeze = true;
            })
        },
        unsubscribed("answers the subscription 403", |spec| spec.faults.subscribe = SubscribeAnswer::Closed),
        unsubscribed("answers the subscription 404", |spec| {
            spec.faults.subscribe = SubscribeAnswer::NotFound;
        }),
        unsubscribed("answers the subscription 500", |spec| {
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
        unsubscribed("does not answer the subscription", |spec| {
            spec.faults.subscribe = SubscribeAnswer::Silence;
        }),
        subscribe("answers /next 500 twice", |spec| spec.faults.next_failures = 2),
        subscribe("has given the receiver's port to another", |spec| {
            set(spec, "PREFREEZE_RECEIVER_HTTP", occupied);
        }),
        Fault { times: 2, drama: Drama::BackToBack, ..fault("platform", "two INVOKEs back to back") },
        Fault {
            shape: |spec| spec.faults.shutdown_deadline_shift_ms = -5_000,
            ..ends("SHUTDOWN with a deadline that has passed, data unsent", ShutdownReason::Spindown)
        },
        ends("SHUTDOWN for spindown, data unsent", ShutdownReason::Spindown),
        ends("SHUTDOWN for timeout, data unsent", ShutdownReason::Timeout),
        ends("SHUTDOWN for failure, data unsent", ShutdownReason::Failure),
        subscribe("initialises inside the invocation", |spec| {
            spec.env.push(("FAIL_FIRST_INIT".into(), "1".into()));
        }),
    ]
}

fn of_freezes_and_kills() -> Vec<Fault> {
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
        killed("the extension is killed when INVOKE has come", "Extension.Crash", || {
            killed_at(Moment::Invoke)
        }),
        killed("the extension is killed when the function is done, data unsent", "ok", || {
            killed_at(Moment::RuntimeDone)
        }),
        killed("the extension is killed while it is frozen, data unsent", "ok", || killed_at(Moment::Frozen)),
        Fault {
            drama: Drama::FromTheStart,
            shape: |spec| spec.faults.kill = Some(Moment::Register),
            dies_in_init: true,
            ..fault("sandbox", "the extension is killed when it has registered")
        },
        Fault {
            drama: Drama::LongFreeze,
            backend: Backend::CutInFreeze,
            ..fault("sandbox", "frozen for 21 s with a request in flight")
        },
        // From INVOKE on the function waits with it; when the function is done, only the freeze does.
        faulty("the extension alone stands still for 300 ms when INVOKE has come", || {
            stalled(Moment::Invoke)
        }),
        Fault {
            ceiling: CEILING + STALL,
            ..faulty("the extension alone stands still for 300 ms when the function is done", || {
                stalled(Moment::RuntimeDone)
            })
        },
    ]
}

fn of_the_machine() -> Vec<Fault> {
    vec![
        Fault {
            has_time: false,
            ..faulty("the clock is a minute ahead of the platform's", || stepped(-60_000))
        },
        faulty("the clock is a minute behind the platform's", || stepped(60_000)),
        Fault {
            // Seven hundredths of a core, as a function of 128 MB has, and an unoptimised build.
            shape: |spec| {
                spec.faults.cpu_percent = Some(7);
                spec.memory_mb = 128;
            },
            ceiling: Duration::from_secs(2),
            drama: Drama::FromTheStart,
            ..fault("sandbox", "128 MB, and 7 ms of CPU in every 100")
        },
        Fault {
            drama: Drama::FromTheStart,
            shape: |spec| within(spec, "trap '' XFSZ; ulimit -f 1"),
            backend: Backend::Down,
            ..fault("sandbox", "the disk is full after half a kilobyte, data unsent")
        },
        Fault {
            drama: Drama::FromTheStart,
            shape: |spec| within(spec, "ulimit -n 20"),
            ..fault("sandbox", "20 descriptors for the extension")
        },
        Fault {
            drama: Drama::FromTheStart,
            shape: |spec| spec.env.push(("PREFREEZE_SPOOL_DIR".into(), "/proc/no/such/folder".into())),
            ..fault("sandbox", "no disk can be written")
        },
    ]
}

const ENDPOINT: &str = "PREFREEZE_EXPORTER_OTLP_ENDPOINT";

/// A backend that cannot be reached from the first request to the last.
fn elsewhere(what: &'static str, shape: fn(&mut FunctionSpec)) -> Fault {
    Fault { shape, drama: Drama::FromTheStart, is_followed: false, ..fault("backend", what) }
}

fn faulty(what: &'static str, faults: fn() -> InvocationFaults) -> Fault {
    Fault { faults, ..fault("sandbox", what) }
}

/// Killed in some moment, with something to lose.
fn killed(what: &'static str, caller: &'static str, faults: fn() -> InvocationFaults) -> Fault {
    Fault { caller, backend: Backend::Down, ..faulty(what, faults) }
}

fn killed_at(moment: Moment) -> InvocationFaults {
    InvocationFaults { kill: Some(moment), ..InvocationFaults::default() }
}

fn stalled(moment: Moment) -> InvocationFaults {
    InvocationFaults { stall: Some((moment, STALL)), ..InvocationFaults::default() }
}

fn stepped(clock_step_ms: i64) -> InvocationFaults {
    InvocationFaults { clock_step_ms, ..InvocationFaults::default() }
}

/// What is said of an invocation that is none of ours, and in words that nobody knows.
fn of_others() -> InvocationFaults {
    let time = "2026-11-22T08:00:00.000Z";
    let done = |id: &str, status: &str| {
        json!({"time": time, "type": "platform.runtimeDone", "record": {
            "requestId": id, "status": status, "metrics": {"durationMs": 1.0}, "unheardOf": [1, {"a": null}],
        }})
    };
    let forged = vec![
        done("00000000-0000-0000-0000-000000000000", "success"),
        done("00000000-0000-0000-0000-000000000001", "unheardOf"),
        json!({"time": time, "type": "platform.unheardOf", "record": {"requestId": 7}}),
        json!({"type": "platform.report", "record": "not an object"}),
        json!([]),
    ];
    InvocationFaults { forged, ..InvocationFaults::default() }
}

/// Changes a variable that is there.
fn set(spec: &mut FunctionSpec, name: &str, change: impl FnOnce(&str) -> String) {
    let known = spec.env.iter_mut().find(|(known, _)| known == name);
    let (_, value) = known.expect("the stage sets it");
    *value = change(value);
}

/// Somebody else listens there, and hangs up on everybody. Until the tests end: nothing tells when it is over.
fn occupied(_: &str) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port is free");
    let address = listener.local_addr().expect("a bound port").to_string();
    thread::spawn(move || listener.incoming().for_each(drop));
    address
}

/// Starts the extension from a shell that has done this.
fn within(spec: &mut FunctionSpec, first: &str) {
    let file = spec.extensions_dir.as_ref().expect("the stage sets it").join(EXTENSION);
    let binary = fs::read_link(&file).expect("it is a link to the binary");
    fs::remove_file(&file).expect("the folder is ours");
    let script = format!("#!/bin/sh\n{first}\nexec '{}'\n", binary.display());
    fs::write(&file, script).expect("the folder is ours");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("the file is ours");
}

/// What the platform tells of init.
const INIT: [EventKind; 3] = [EventKind::InitStart, EventKind::InitRuntimeDone, EventKind::InitReport];

/// One fate for everything that the platform tells of invocations.
fn telemetry(spec: &mut FunctionSpec, fate: Fate) {
    fates(spec, &[EventKind::Start, EventKind::RuntimeDone, EventKind::Report], fate);
}

fn fates(spec: &mut FunctionSpec, kinds: &[EventKind], fate: Fate) {
    spec.faults.telemetry.extend(kinds.iter().map(|kind| TelemetryFault { kind: *kind, fate }));
}

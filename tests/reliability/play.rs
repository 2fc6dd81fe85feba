//! Plays one row: a healthy invocation, the fault, a healthy one again, and the end; then asks what became of it all.

use std::env;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use sandbox::{InvokeRequest, Moment, Outcome, Record, TimelineEntry, What};
use serde_json::{Value, json};
use tests::collector::State;
use tokio::time::sleep;

use super::books::{self, Books, PerInvocation};
use super::faults::{Drama, Fault};
use super::gate::Gate;
use super::stage::{EXTENSION, Stage};

/// How long the healthy handler may wait for what was left: a back-off, a probe, a Retry-After.
const RECOVERY: Duration = Duration::from_secs(5);

/// How long a handler waits for the extension to try a backend that is still ill.
const OFFER: Duration = Duration::from_secs(1);

/// After a freeze of twenty seconds, connections are not trusted.
const DISTRUSTED: Duration = Duration::from_secs(21);

/// Entries of the timeline that are kept; a row makes some hundreds.
const HISTORY: usize = 10_000;

/// How much longer than its ceiling a flush may seem to take: on two cores with a load of 14, processes that were ready
/// to run have waited for 360 ms.
pub(crate) const SCHEDULING: Duration = Duration::from_millis(500);

/// What only waiting for a deadline takes.
const LONG_MS: f64 = 1_200.0;

/// When data leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    End,
    Continuous,
}

impl Mode {
    pub(crate) const ALL: [Self; 2] = [Self::End, Self::Continuous];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::End => "end",
            Self::Continuous => "continuous",
        }
    }
}

/// When everything that was accepted during the fault had arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recovered {
    /// Before the freeze after the fault's last invocation.
    Same,
    /// In the SHUTDOWN that the fault itself brought about.
    Reset,
    /// Beside the next handler, or before the freeze after it.
    Next,
    /// As [`Self::Next`], in the first invocation after one whose handler ran while the backend was still ill.
    Later,
    /// When the environment ended.
    Shutdown,
    /// There was nothing to recover.
    Nothing,
    /// Some of it never came: the reasons say why.
    Never,
}

/// What one row gave.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    pub(crate) fault: Fault,
    pub(crate) caller: String,
    /// Runtime done to the extension's `/next`, the longest; `None` when it never asked.
    pub(crate) added_ms: Option<f64>,
    /// Invocations that were held for longer than [`LONG_MS`].
    pub(crate) held: usize,
    /// Spans that the function got a 200 for while the fault lasted.
    pub(crate) accepted: u64,
    /// How many of them the backend has.
    pub(crate) arrived: u64,
    /// Answers to the function that were no 200.
    pub(crate) refused: Vec<String>,
    pub(crate) books: Books,
    pub(crate) recovered: Recovered,
}

/// Plays `fault` in `mode`.
pub(crate) async fn play(fault: Fault, mode: Mode) -> Measured {
    let stage = Stage::set(HISTORY, |spec| {
        spec.env.push(("PREFREEZE_FLUSH".into(), mode.name().into()));
        spec.env.push(("PREFREEZE_FLUSH_TIMEOUT_MS".into(), fault.ceiling.as_millis().to_string()));
        (fault.shape)(spec);
    })
    .await;
    if fault.drama != Drama::FromTheStart {
        let (outcome, _) = stage.invoke(&event("before", 1, "good", "respond")).await;
        assert_eq!(caller(&outcome), "ok", "before the fault\n{}", stage.timeline());
    }
    fault.backend.fall_ill(&stage.collector);
    let mut outcomes = fail(&stage, &fault).await;
    let recovered = recover(&stage, &fault, mode, &mut outcomes).await;
    let (callers, records): (Vec<_>, Vec<_>) = outcomes.into_iter().unzip();
    let measured = measure(&stage, fault, &callers, &records, recovered);
    if env::var_os("TIMELINE").is_some() {
        println!("{measured:#?}\n{}", stage.timeline());
    }
    check(&stage, mode, &measured);
    measured
}

/// The invocations during the fault.
async fn fail(stage: &Stage, fault: &Fault) -> Vec<(Outcome, Record)> {
    let mut outcomes = Vec::new();
    for number in 0..fault.times {
        let event = event_of(fault, number);
        outcomes.push(match fault.drama {
            Drama::Kill => invoke_through(stage, event, "after sending", kill_extension(stage)).await,
            Drama::Late => invoke_through(stage, event, "after responding", extension_asks(stage)).await,
            Drama::BackToBack => {
                let other = event_of(fault, number + 1);
                let (one, two) = tokio::join!(stage.invoke(&event), stage.invoke(&other));
                outcomes.extend([one, two]);
                return outcomes;
            }
            Drama::None | Drama::FromTheStart | Drama::LongFreeze => request_with(stage, fault, event).await,
        });
    }
    if fault.drama == Drama::LongFreeze {
        sleep(DISTRUSTED).await;
    }
    outcomes
}

/// With the sandbox's own faults; a kill is over, and noticed, before anything else happens.
async fn request_with(stage: &Stage, fault: &Fault, mut event: Value) -> (Outcome, Record) {
    let faults = (fault.faults)();
    let kill = faults.kill;
    let crash = async {
        if kill.is_some() {
            stage.in_time("the crash", stage.lambda.wait_for(|entry| is_crash(&entry.what))).await;
        }
    };
    let seen = if kill == Some(Moment::Invoke) {
        let gate = Gate::new().await;
        event["gate"] = json!({ "before sending": gate.address().to_string() });
        let request = InvokeRequest { faults, ..InvokeRequest::json(&event) };
        tokio::join!(stage.request(request), gate.hold_if_it_comes(crash)).0
    } else {
        let request = InvokeRequest { faults, ..InvokeRequest::json(&event) };
        let seen = stage.request(request).await;
        crash.await;
        seen
    };
    // The environment is in order again.
    stage.in_time("the reset", stage.lambda.wait_idle()).await;
    seen
}

fn event_of(fault: &Fault, number: u64) -> Value {
    event(&format!("fault-{number}"), 100 + number, fault.send, fault.end)
}

/// Invokes a function that waits at a gate at this moment, until `happening` has happened.
pub(crate) async fn invoke_through<T>(
    stage: &Stage,
    mut event: Value,
    moment: &str,
    happening: impl Future<Output = T>,
) -> (Outcome, Record) {
    let gate = Gate::new().await;
    event["gate"] = json!({ moment: gate.address().to_string() });
    tokio::join!(stage.invoke(&event), gate.hold(happening)).0
}

/// Waits until the extension asks for the event after the one under way.
async fn extension_asks(stage: &Stage) {
    let is_invoke = |what: &What| matches!(what, What::Invoke { .. });
    let is_next = |what: &What| matches!(what, What::ExtensionNext { .. });
    let invocations = count(&stage.lambda.history(), is_invoke);
    let asked = AtomicUsize::new(0);
    // The first time is at the end of init.
    let has_asked = |what: &What| is_next(what) && asked.fetch_add(1, Ordering::Relaxed) == invocations;
    stage.in_time("/next", stage.lambda.wait_for(|entry| has_asked(&entry.what))).await;
}

/// Kills it as the kernel does when memory runs out, and waits until the platform has noticed.
pub(crate) async fn kill_extension(stage: &Stage) {
    let pid = i32::try_from(stage.extension_pid()).expect("Linux counts processes so");
    kill(Pid::from_raw(pid), Signal::SIGKILL).expect("it is ours and it runs");
    stage.in_time("the crash", stage.lambda.wait_for(|entry| is_crash(&entry.what))).await;
}

/// The backend becomes well; says when everything from the fault had arrived.
async fn recover(
    stage: &Stage,
    fault: &Fault,
    mode: Mode,
    outcomes: &mut Vec<(Outcome, Record)>,
) -> Recovered {
    let wanted = of_the_fault(&books::accepted(&stage.lambda.history()));
    let has_all = || books::missing(&wanted, &fault.arrived(&stage.collector.state())) == 0;
    let mut when = Vec::from_iter(recovered_at_once(stage, &wanted, has_all()));
    let is_carried = mode == Mode::Continuous && fault.outlasts_the_freeze();
    if is_carried {
        outcomes.push(carry(stage, fault, &wanted).await);
        when.extend(has_all().then_some(Recovered::Next));
    }
    fault.backend.recover(&stage.collector);
    if fault.is_followed {
        follow(stage, fault, &wanted).await;
        when.extend(has_all().then_some(if is_carried { Recovered::Later } else { Recovered::Next }));
    }
    stage.strike(fault.reason).await;
    when.push(if has_all() { Recovered::Shutdown } else { Recovered::Never });
    when[0]
}

fn recovered_at_once(stage: &Stage, wanted: &PerInvocation, has_all: bool) -> Option<Recovered> {
    let was_reset = count(&stage.lambda.history(), |what| matches!(what, What::Reset)) > 0;
    match (wanted.is_empty(), has_all, was_reset) {
        (true, ..) => Some(Recovered::Nothing),
        (false, true, true) => Some(Recovered::Reset),
        (false, true, false) => Some(Recovered::Same),
        (false, false, _) => None,
    }
}

/// An invocation while the backend is still ill: its handler lasts until the backend was offered what was left.
async fn carry(stage: &Stage, fault: &Fault, wanted: &PerInvocation) -> (Outcome, Record) {
    let is_offered = |state: &State| fault.backend.was_offered(wanted, state);
    let offered = stage.collector.wait_for_async(is_offered, OFFER);
    invoke_through(stage, event("carrier", 3, "good", "respond"), "before sending", offered).await
}

/// A healthy invocation, whose handler lasts until what was left has arrived, or can be expected to come no more.
async fn follow(stage: &Stage, fault: &Fault, wanted: &PerInvocation) {
    let has_all = |state: &State| books::missing(wanted, &fault.arrived(state)) == 0;
    let settled = stage.collector.wait_for_async(has_all, RECOVERY);
    let (outcome, _) =
        invoke_through(stage, event("after", 2, "good", "respond"), "before sending", settled).await;
    assert_eq!(caller(&outcome), "ok", "after the fault\n{}", stage.timeline());
}

fn measure(
    stage: &Stage,
    fault: Fault,
    outcomes: &[Outcome],
    records: &[Record],
    recovered: Recovered,
) -> Measured {
    let history = stage.lambda.history();
    let accepted = of_the_fault(&books::accepted(&history));
    let missing = books::missing(&accepted, &fault.arrived(&stage.collector.state()));
    let total: u64 = accepted.values().sum();
    let asked = records.iter().filter(|record| record.last_next_at.is_some());
    let mut callers: Vec<String> = outcomes.iter().map(caller).collect();
    callers.dedup();
    Measured {
        caller: callers.join(", "),
        added_ms: asked.map(|record| record.extension_overhead_ms).reduce(f64::max),
        held: records.iter().filter(|record| record.extension_overhead_ms > LONG_MS).count(),
        accepted: total,
        arrived: total - missing,
        refused: books::refusals(&history),
        books: Books::read(&history),
        recovered,
        fault,
    }
}

/// What holds in every row.
fn check(stage: &Stage, mode: Mode, measured: &Measured) {
    let Measured { fault, books, .. } = measured;
    let row = format!("{} {} in {}: {measured:#?}", fault.who, fault.what, mode.name());
    let assert = |holds: bool, what: &str| assert!(holds, "{what}\n{row}\n{}", stage.timeline());
    let history = stage.lambda.history();
    let (accepted, arrived) = (books::accepted(&history), fault.arrived(&stage.collector.state()));

    assert(measured.caller == fault.caller, "the caller does not see the function's own outcome");
    let bound = fault.ceiling + SCHEDULING;
    let added = Duration::from_secs_f64(measured.added_ms.unwrap_or_default() / 1_000.0);
    assert(added <= bound, "the invocation was held past the ceiling");
    assert(measured.held <= 1, "more than one invocation was held for long");
    let missing = books::missing(&accepted, &arrived);
    assert(missing <= books.given_up(), "something accepted is missing without a reason");
    let is_killed = fault.kills();
    let received = books.received;
    assert(is_killed || received == accepted.values().sum::<u64>(), "the books forget what was accepted");
    let told = count(&history, |what| matches!(what, What::ShutdownDelivered { .. }));
    assert(told == books.summaries, "a process that was told to end kept no books, or did not end in time");
    let crashes = usize::from(is_killed) + usize::from(fault.dies_in_init);
    assert(count(&history, is_crash) == crashes, "the extension did not live until SHUTDOWN");
    let recovers = fault.is_followed && is_killed;
    assert(!recovers || missing == 0, "what was accepted did not outlive the kill");
    let was_ready = count(&history, |what| matches!(what, What::InitDone { .. })) > 0;
    let was_frozen = count(&history, |what| matches!(what, What::Frozen { .. })) > 0;
    assert(was_frozen == (was_ready && fault.freezes), "nothing was ever frozen, or something was");
}

pub(crate) fn count(history: &[TimelineEntry], is_it: impl Fn(&What) -> bool) -> usize {
    history.iter().filter(|entry| is_it(&entry.what)).count()
}

pub(crate) fn is_crash(what: &What) -> bool {
    matches!(what, What::Crashed { process, .. } if process == EXTENSION)
}

fn of_the_fault(accepted: &PerInvocation) -> PerInvocation {
    accepted
        .iter()
        .filter(|(name, _)| name.starts_with("fault"))
        .map(|(name, n)| (name.clone(), *n))
        .collect()
}

pub(crate) fn event(name: &str, seed: u64, send: &str, end: &str) -> Value {
    json!({ "name": name, "seed": seed, "send": send, "end": end })
}

/// `ok`, or the type of the error.
pub(crate) fn caller(outcome: &Outcome) -> String {
    let answer = outcome.json();
    if outcome.function_error.is_none() {
        return answer.as_str().unwrap_or("something else").to_owned();
    }
    answer["errorType"].as_str().unwrap_or("an error without a type").to_owned()
}

//! The table of Managed Instances: four invocations at once in one process that nothing freezes, and one of them goes wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use sandbox::{EventKind, Fate, FunctionSpec, InitType, InvokeError, InvokeRequest, Outcome, ShutdownReason};
use sandbox::{TelemetryFault, What};
use serde_json::Value;
use tests::collector::{Answer, Request, SpanSeen, State};
use tests::otlp::Ids;
use tokio::sync::Barrier;

use super::backend::Backend;
use super::books::{self, Books, PerInvocation};
use super::gate::Gate;
use super::play::{caller, count, event, is_crash};
use super::stage::{FUNCTION, Stage};

/// Invocations that the environment takes at once.
const AT_ONCE: usize = 4;

/// Entries of the timeline that are kept; a row makes some hundreds.
const HISTORY: usize = 10_000;

/// How long the extension may take to send what was left, with nothing to wake it: a back-off, a probe, some beats.
const RECOVERY: Duration = Duration::from_secs(20);

/// One row.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// Who misbehaves.
    pub(crate) who: &'static str,
    /// How.
    pub(crate) what: &'static str,
    backend: Backend,
    /// How the first of the four sends, and how it ends.
    send: &'static str,
    end: &'static str,
    /// What its caller must see, and what those of the other three.
    caller: &'static str,
    others: &'static str,
    /// What makes the first go on, when all four have sent.
    then: Then,
    /// Changes the function.
    shape: fn(&mut FunctionSpec),
    /// Whether the backend is well again, and four healthy invocations follow, before the environment ends.
    is_followed: bool,
}

/// What happens when all four have sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    /// They end.
    End,
    /// The first ends, and the others only then: if they still can.
    FirstEnds,
    /// The first is too late, and answers when its caller has gone.
    FirstIsLate,
    /// SHUTDOWN.
    Shutdown,
}

/// What one row gave.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) row: Row,
    /// What the callers saw, the first of them first.
    pub(crate) callers: Vec<String>,
    /// From the moment when the backend was well and the invocations were over, until it had everything.
    pub(crate) settled: Duration,
    pub(crate) accepted: u64,
    pub(crate) arrived: u64,
    /// Whether all of it came while the environment lived, with no other invocation.
    pub(crate) came_by_itself: bool,
    pub(crate) books: Books,
    /// SERVER spans of the four in the backend, and those of them in error.
    pub(crate) roots: usize,
    pub(crate) in_error: usize,
}

fn row(who: &'static str, what: &'static str) -> Row {
    Row {
        who,
        what,
        backend: Backend::Well,
        send: "good",
        end: "respond",
        caller: "ok",
        others: "ok",
        then: Then::End,
        shape: |_| {},
        is_followed: true,
    }
}

/// Every row, in the order of the page.
pub(crate) fn all() -> Vec<Row> {
    let ill = |what, backend| Row { backend, ..row("backend", what) };
    let dies = |what, send, end| Row {
        send,
        end,
        caller: "Runtime.ExitError",
        others: "Runtime.ExitError",
        then: Then::FirstEnds,
        ..row("function", what)
    };
    let late = |what, send| Row {
        send,
        caller: "Sandbox.Timedout",
        then: Then::FirstIsLate,
        // Long enough for the others on a busy machine.
        shape: |spec| spec.timeout = Duration::from_secs(3),
        ..row("function", what)
    };
    vec![
        row("nobody", "all is well"),
        Row { end: "error", caller: "OutOfStock", ..row("function", "one of four fails, and says so") },
        Row { send: "nothing", ..row("function", "one of four sends nothing") },
        late("one of four times out, and answers when nobody waits", "announced"),
        late("one of four times out, and has sent nothing", "nothing"),
        dies("exits with four open, one of which only announced its span", "announced", "exit"),
        dies("aborts with four open, one of which sent nothing", "nothing", "abort"),
        ill("refuses connections, and is well again", Backend::Down),
        ill("accepts and never answers, and is well again", Backend::Answers(Answer::Hold)),
        ill("503, and is well again", Backend::Answers(Answer::status(503))),
        Row { is_followed: false, ..ill("down until SHUTDOWN", Backend::Down) },
        Row { shape: without_telemetry, ..row("platform", "drops its telemetry") },
        Row {
            caller: "stopped",
            others: "stopped",
            then: Then::Shutdown,
            is_followed: false,
            ..row("platform", "SHUTDOWN with four open")
        },
    ]
}

fn without_telemetry(spec: &mut FunctionSpec) {
    let lost = [EventKind::Start, EventKind::Report];
    spec.faults.telemetry = lost.map(|kind| TelemetryFault { kind, fate: Fate::Drop }).into();
}

impl Row {
    /// When the backend had everything, in words.
    pub(crate) fn arrives(&self) -> &'static str {
        match (self.then, self.is_followed) {
            (Then::FirstEnds, _) => "in the SHUTDOWN it caused",
            (_, true) => "while the environment lived",
            (_, false) => "SHUTDOWN",
        }
    }
}

/// Plays `row`.
pub(crate) async fn play(row: Row) -> Seen {
    let stage = Stage::set(HISTORY, |spec| {
        spec.init_type = InitType::ManagedInstances { environments: 1, concurrency: AT_ONCE };
        (row.shape)(spec);
    })
    .await;
    stage.in_time("init", stage.lambda.wait_idle()).await;
    let healthy = Row { send: "good", end: "respond", then: Then::End, ..row.clone() };
    let before = four(&stage, &healthy, "before", 10).await;
    assert!(before.iter().all(|caller| caller == "ok"), "before the fault: {before:?}\n{}", stage.timeline());
    row.backend.fall_ill(&stage.collector);
    let callers = four(&stage, &row, "fault", 100).await;
    if !matches!(row.backend, Backend::Well) {
        // It has tried, and said so.
        stage.in_time("a failed export", stage.lambda.wait_for(|entry| says_down(&entry.what))).await;
    }
    if row.is_followed {
        row.backend.recover(&stage.collector);
    }
    let began = Instant::now();
    let has_all = |state: &State| missing(&stage, state) == 0;
    let came_by_itself = row.is_followed && stage.collector.wait_for_async(has_all, RECOVERY).await;
    let mut settled = began.elapsed();
    if row.is_followed {
        stage.in_time("another environment", stage.lambda.wait_idle()).await;
        let after = four(&stage, &healthy, "after", 1_000).await;
        assert!(
            after.iter().all(|caller| caller == "ok"),
            "after the fault: {after:?}\n{}",
            stage.timeline()
        );
    } else {
        row.backend.recover(&stage.collector);
    }
    stage.strike(ShutdownReason::Spindown).await;
    if !row.is_followed {
        settled = began.elapsed();
    }
    let seen = measure(&stage, row, callers, settled, came_by_itself);
    check(&stage, &seen);
    seen
}

fn says_down(what: &What) -> bool {
    matches!(what, What::ExtensionLog { line, .. } if line.contains("\"backend_down\""))
}

/// How many of the spans that were accepted in the fault the backend does not have.
fn missing(stage: &Stage, state: &State) -> u64 {
    books::missing(&of_the_fault(stage), &books::arrived(state, false, false))
}

fn of_the_fault(stage: &Stage) -> PerInvocation {
    let mut accepted = books::accepted(&stage.lambda.history());
    accepted.retain(|name, _| name.starts_with("fault"));
    accepted
}

/// Four invocations that are open at the same time, the first as the row says; what their callers saw.
async fn four(stage: &Stage, row: &Row, name: &str, seed: u64) -> Vec<String> {
    let (all, first, others) = (Gate::new().await, Gate::new().await, Gate::new().await);
    let call = |number: usize| {
        let (send, end) = if number == 0 { (row.send, row.end) } else { ("good", "respond") };
        let mut event = event(&format!("{name}-{number}"), seed + number as u64, send, end);
        let after = if number == 0 { first.address() } else { others.address() };
        event["gate"] = serde_json::json!({
            "before sending": all.address().to_string(),
            "after sending": after.to_string(),
        });
        Box::pin(invoke(stage, event))
    };
    let (first_is_over, is_over) = tokio::sync::oneshot::channel();
    let calls = async {
        let first_call = async {
            let seen = call(0).await;
            // Nobody waits for it in most rows.
            let _ = first_is_over.send(());
            seen
        };
        let (one, two, three, four) = tokio::join!(first_call, call(1), call(2), call(3));
        vec![one, two, three, four]
    };
    let play = async {
        drop(all.filled(AT_ONCE).await);
        let (the_first, the_others) = tokio::join!(first.filled(1), others.filled(AT_ONCE - 1));
        match row.then {
            Then::End => {}
            Then::FirstEnds => {
                drop(the_first);
                // They are kept until there is nobody to keep.
                let _ = is_over.await;
            }
            Then::FirstIsLate => {
                drop(the_others);
                let _ = is_over.await;
            }
            Then::Shutdown => stage.strike(ShutdownReason::Spindown).await,
        }
    };
    stage.in_time("four invocations", async { tokio::join!(calls, play).0 }).await
}

async fn invoke(stage: &Stage, event: Value) -> String {
    let outcome: Result<Outcome, InvokeError> =
        stage.lambda.invoke(FUNCTION, InvokeRequest::json(&event)).await;
    match outcome {
        Ok(outcome) => caller(&outcome),
        Err(InvokeError::Stopped) => "stopped".to_owned(),
        Err(error) => error.to_string(),
    }
}

fn measure(stage: &Stage, row: Row, callers: Vec<String>, settled: Duration, came_by_itself: bool) -> Seen {
    let history = stage.lambda.history();
    let accepted: u64 = of_the_fault(stage).values().sum();
    let roots = roots_of_the_fault(stage);
    Seen {
        callers,
        settled,
        accepted,
        arrived: accepted - missing(stage, &stage.collector.state()),
        came_by_itself,
        books: Books::read(&history),
        roots: roots.len(),
        in_error: roots.values().filter(|root| is_error(root)).count(),
        row,
    }
}

/// The SERVER spans of the four, by the ids of their requests.
fn roots_of_the_fault(stage: &Stage) -> BTreeMap<String, SpanSeen> {
    let history = stage.lambda.history();
    let ids = history.iter().filter(|entry| matches!(entry.what, What::Invoke { .. }));
    let ids: Vec<String> = ids.filter_map(|entry| entry.request_id.clone()).collect();
    let of_the_fault = &ids[AT_ONCE..2 * AT_ONCE];
    let mut roots = BTreeMap::new();
    for seen in stage.collector.spans() {
        let id = seen.text("faas.invocation_id").filter(|id| of_the_fault.iter().any(|known| known == id));
        if let Some(id) = id.map(str::to_owned)
            && seen.span.kind == i32::from(SpanKind::Server)
        {
            let known = roots.insert(id, seen);
            assert!(known.is_none(), "two roots of one invocation\n{}", stage.timeline());
        }
    }
    roots
}

fn is_error(seen: &SpanSeen) -> bool {
    seen.span.status.as_ref().is_some_and(|status| status.code == i32::from(StatusCode::Error))
}

/// What holds in every row.
fn check(stage: &Stage, seen: &Seen) {
    let Seen { row, books, .. } = seen;
    let title = format!("{} {}: {seen:#?}", row.who, row.what);
    let assert = |holds: bool, what: &str| assert!(holds, "{what}\n{title}\n{}", stage.timeline());
    let history = stage.lambda.history();
    let expected = std::iter::once(row.caller).chain([row.others; AT_ONCE - 1]);
    assert(seen.callers.iter().eq(expected), "a caller does not see the outcome of its own invocation");
    assert(seen.arrived == seen.accepted, "something accepted is missing");
    assert(books.given_up() == 0, "the books give something up");
    let accepted: u64 = books::accepted(&history).values().sum();
    assert(books.received == accepted, "the books forget what was accepted");
    assert(books::refusals(&history).is_empty(), "something was refused");
    assert(seen.roots == AT_ONCE, "an invocation has no span of its own");
    let failed = seen.callers.iter().filter(|caller| !matches!(caller.as_str(), "ok" | "stopped")).count();
    assert(seen.in_error <= failed, "an invocation that went well is shown in error");
    assert(seen.came_by_itself == row.is_followed, "it took another invocation, or SHUTDOWN");
    let told = count(&history, |what| matches!(what, What::ShutdownDelivered { .. }));
    assert(told == books.summaries, "a process that was told to end kept no books, or did not end in time");
    assert(count(&history, is_crash) == 0, "the extension did not live until SHUTDOWN");
    assert(count(&history, |what| matches!(what, What::Frozen { .. })) == 0, "something was frozen");
    let done = |what: &What| matches!(what, What::Telemetry { kind: EventKind::RuntimeDone });
    assert(count(&history, done) == 0, "there is no runtimeDone there");
    no_orphans(stage, &assert);
    if row.send == "announced" {
        the_first_is_told_truly(stage, row, &assert);
    }
}

/// Every parent that a span names is there.
fn no_orphans(stage: &Stage, assert: &dyn Fn(bool, &str)) {
    let spans = stage.collector.spans();
    let is_there = |seen: &SpanSeen| {
        let parent = &seen.span.parent_span_id;
        parent.is_empty()
            || spans.iter().any(|it| it.span.span_id == *parent && it.span.trace_id == seen.span.trace_id)
    };
    let orphan = spans.iter().find(|seen| !is_there(seen)).map(|seen| format!("{:?}", seen.span));
    assert(orphan.is_none(), &format!("an orphan: {}", orphan.unwrap_or_default()));
}

/// The span that was announced and never came stands in the backend, closed, in error, and over its child.
fn the_first_is_told_truly(stage: &Stage, row: &Row, assert: &dyn Fn(bool, &str)) {
    let announced = Ids::new(100);
    let roots = roots_of_the_fault(stage);
    let Some(root) = roots.values().find(|root| root.span.span_id == announced.span) else {
        return assert(false, "the announced span did not come");
    };
    assert(is_error(root) && root.span.trace_id == announced.trace, "it is not in error");
    let class = if row.caller == "Sandbox.Timedout" { "timeout" } else { row.caller };
    assert(root.text("error.type") == Some(class), "it does not say why");
    let child = announced.sibling(1);
    let is_child =
        |seen: &SpanSeen| seen.span.span_id == child.span && seen.span.parent_span_id == announced.span;
    assert(stage.collector.spans().iter().any(is_child), "its child did not come");
}

/// Lanes in which one invocation follows the other, while the backend comes and goes.
const LANES: u64 = AT_ONCE as u64;
const IN_A_LANE: u64 = 40;
/// Every so many invocations the backend falls ill or becomes well.
const SPELL: u64 = 8;

/// The backend turns ill, or well, and the extension notices.
async fn turn(stage: &Stage, spell: u64) {
    let status = if spell % 2 == 1 { 503 } else { 200 };
    stage.collector.always(Answer::status(status));
    let answered = |request: &&Request| request.status == Some(status);
    let before = stage.collector.requests().iter().filter(answered).count();
    let notices = |state: &State| state.requests.iter().filter(answered).count() > before;
    assert!(stage.collector.wait_for_async(notices, RECOVERY).await, "{}", stage.timeline());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_lanes_and_a_backend_that_comes_and_goes_lose_nothing() {
    let stage = Stage::set(50_000, |spec| {
        spec.init_type = InitType::ManagedInstances { environments: 1, concurrency: AT_ONCE };
    })
    .await;
    stage.in_time("init", stage.lambda.wait_idle()).await;
    let (stage_of, together) = (&stage, &Barrier::new(AT_ONCE));
    let lane = |lane: u64| async move {
        for number in 0..IN_A_LANE {
            if number > 0 && number % SPELL == 0 {
                // What is left is offered to the backend as it is now, before anybody goes on.
                if together.wait().await.is_leader() {
                    turn(stage_of, number / SPELL).await;
                }
                together.wait().await;
            }
            let send = ["good", "nothing", "json"][(number % 3) as usize];
            let end = if number % 5 == lane { "error" } else { "respond" };
            let seed = 10_000 * (1 + lane) + 10 * number;
            let event = event(&format!("lane-{lane}-{number}"), seed, send, end);
            let seen = invoke(stage_of, event).await;
            assert_eq!(seen, if end == "error" { "OutOfStock" } else { "ok" }, "{}", stage_of.timeline());
        }
    };
    let lanes = async { tokio::join!(lane(0), lane(1), lane(2), lane(3)) };
    stage.in_time("four lanes", lanes).await;
    stage.collector.always(Answer::ok());
    stage.strike(ShutdownReason::Spindown).await;
    let history = stage.lambda.history();
    let wanted = books::accepted(&history);
    let missing = books::missing(&wanted, &books::arrived(&stage.collector.state(), false, false));
    assert_eq!(missing, 0, "{}", stage.timeline());
    let books = Books::read(&history);
    assert_eq!((books.given_up(), books.summaries), (0, 1), "{books:?}");
    let roots: BTreeSet<String> = stage
        .collector
        .spans()
        .iter()
        .filter(|seen| seen.span.kind == i32::from(SpanKind::Server))
        .filter_map(|seen| seen.text("faas.invocation_id").map(str::to_owned))
        .collect();
    assert_eq!(roots.len() as u64, LANES * IN_A_LANE, "an invocation has no span of its own");
}

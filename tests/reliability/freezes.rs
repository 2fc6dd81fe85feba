//! Long freezes of a virtual machine: what is under way then is delivered twice at most, and never for ever.
//!
//! Handlers are shorter than the backend's answer takes, so that what leaves beside them is cut off by a freeze, again and
//! again. Every pause counts as a long one, so that nothing sleeps; a freeze ends when the answer has come.

use std::collections::BTreeMap;
use std::time::Duration;

use sandbox::{InFreeze, ShutdownReason, Uplink};
use tests::collector::{Answer, Collector, State};

use super::books::{self, Books};
use super::play::event;
use super::stage::Stage;

/// Invocations of one environment, the last of which the backend is well in.
const INVOCATIONS: u64 = 24;
/// How long the backend takes: handlers are done in a fifth of it.
const BACKEND: Duration = Duration::from_millis(20);
/// Requests that it refuses, where it is ill at first: enough for the breaker to open.
const REFUSED: usize = 4;
/// How often a span may reach the backend. An answer that is lost leaves no choice but to send once more.
const DELIVERIES_MAX: usize = 2;

/// One row: when data leaves, what a freeze does to answers, and whether the backend is ill at first.
#[derive(Clone, Copy, Debug)]
struct Row {
    mode: &'static str,
    in_freeze: InFreeze,
    is_ill: bool,
}

/// What came of it.
#[derive(Debug)]
struct Seen {
    accepted: u64,
    missing: u64,
    /// How many spans were delivered so often.
    deliveries: BTreeMap<usize, usize>,
    books: Books,
}

async fn play(row: Row) -> (Stage, Seen) {
    let stage = Stage::set(20_000, |spec| {
        spec.env.push(("PREFREEZE_FLUSH".into(), row.mode.into()));
        spec.env.push(("PREFREEZE_RECONNECT_AFTER_MS".into(), "0".into()));
        spec.env.push(("PREFREEZE_METRICS".into(), "none".into()));
        let variable = "PREFREEZE_EXPORTER_OTLP_ENDPOINT".into();
        spec.uplink = Some(Uplink { variable, in_freeze: row.in_freeze });
    })
    .await;
    stage.collector.always(Answer::after(BACKEND));
    if row.is_ill {
        stage.collector.answer((0..REFUSED).map(|_| Answer::status(503)));
    }
    for number in 0..INVOCATIONS {
        stage.invoke(&event(&format!("r-{number}"), 1 + number, "good", "respond")).await;
        // It is frozen; what it asked for is answered now, and the freeze lasts longer than that.
        let is_answered = |state: &State| state.requests.iter().all(|request| request.answered.is_some());
        stage.collector.wait_for_async(is_answered, Duration::from_secs(10)).await;
    }
    stage.strike(ShutdownReason::Spindown).await;
    let history = stage.lambda.history();
    let accepted = books::accepted(&history);
    let seen = Seen {
        accepted: accepted.values().sum(),
        missing: books::missing(&accepted, &books::arrived(&stage.collector.state(), false, false)),
        deliveries: deliveries(&stage.collector),
        books: Books::read(&history),
    };
    (stage, seen)
}

/// For each number of times that a span was taken, how many there are.
fn deliveries(collector: &Collector) -> BTreeMap<usize, usize> {
    let mut of_span: BTreeMap<_, usize> = BTreeMap::new();
    for seen in collector.state().spans() {
        *of_span.entry((seen.span.trace_id, seen.span.span_id)).or_default() += 1;
    }
    of_span.into_values().fold(BTreeMap::new(), |mut counts, times| {
        *counts.entry(times).or_default() += 1;
        counts
    })
}

fn check(row: Row, stage: &Stage, seen: &Seen) {
    let assert = |holds: bool, what: &str| assert!(holds, "{what}: {row:?}\n{seen:#?}\n{}", stage.timeline());
    assert(seen.accepted > INVOCATIONS, "the function sends");
    assert(seen.missing == 0, "something accepted never arrived");
    assert(seen.books.given_up() == 0, "something is held or dropped at the end");
    let worst = seen.deliveries.keys().next_back().copied().unwrap_or_default();
    assert(worst <= DELIVERIES_MAX, "a span was delivered more than twice");
}

async fn assert_no_livelock(mode: &'static str) {
    let fates = [InFreeze::Buffered, InFreeze::Late(Duration::from_millis(5)), InFreeze::Lost];
    for in_freeze in fates {
        for is_ill in [false, true] {
            let row = Row { mode, in_freeze, is_ill };
            let (stage, seen) = play(row).await;
            println!("{mode:<10} {in_freeze:?} ill {is_ill}: {} spans, {:?}", seen.accepted, seen.deliveries);
            check(row, &stage, &seen);
        }
    }
}

#[tokio::test]
async fn short_handlers_before_a_slower_backend_deliver_in_end_mode() {
    assert_no_livelock("end").await;
}

#[tokio::test]
async fn short_handlers_before_a_slower_backend_deliver_in_continuous_mode() {
    assert_no_livelock("continuous").await;
}

#[tokio::test]
async fn short_handlers_before_a_slower_backend_deliver_in_adaptive_mode() {
    assert_no_livelock("adaptive").await;
}

//! Outages of minutes, in every way that a backend can be ill, then well again: nothing is lost, nobody waits.
//!
//! `make outages` runs each for three minutes, side by side; `make test` for two seconds.

use std::env;
use std::sync::Arc;
use std::time::Duration;

use sandbox::{Outcome, Record, ShutdownReason, What};
use tests::collector::{Answer, State};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::backend::Backend;
use super::books::{self, Books};
use super::faults::CEILING;
use super::gate::Gate;
use super::play::{SCHEDULING, caller, count, event, invoke_through, is_crash, kill_extension};
use super::stage::Stage;

/// How long the backend is ill, unless `OUTAGE_SECONDS` says so.
const SECONDS: u64 = 2;
/// Invocations during an outage.
const INVOCATIONS: u32 = 90;
/// Short outages side by side: other tests run beside them.
const AT_ONCE: usize = 3;
/// Longer than the longest pause between two probes, and than any pause that a backend asks for here.
const RECOVERY: Duration = Duration::from_secs(60);
/// Far more than an outage of some minutes makes.
const HISTORY: usize = 50_000;

/// One outage.
#[derive(Clone, Debug)]
struct Outage {
    what: &'static str,
    backend: Backend,
    /// Whether our process is killed in the middle of it.
    kills: bool,
}

fn all() -> Vec<Outage> {
    let ill = |what, backend| Outage { what, backend, kills: false };
    let says = |what, status| ill(what, Backend::Answers(Answer::status(status)));
    let asks = |what, status| ill(what, Backend::Answers(Answer::retry_after(status, "3")));
    let kinds = vec![
        ill("refuses connections", Backend::Down),
        ill("accepts and never answers", Backend::Answers(Answer::Hold)),
        ill("resets connections", Backend::Answers(Answer::Reset(10))),
        says("429", 429),
        asks("429, Retry-After: 3", 429),
        says("502", 502),
        asks("502, Retry-After: 3", 502),
        says("503", 503),
        asks("503, Retry-After: 3", 503),
        says("504", 504),
        asks("504, Retry-After: 3", 504),
    ];
    let killed = |outage: Outage| Outage { kills: true, ..outage };
    let killed = [kinds[0].clone(), kinds[1].clone(), kinds[7].clone()].map(killed);
    kinds.into_iter().chain(killed).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn outages_cost_nothing_but_time() {
    let wished =
        env::var("OUTAGE_SECONDS").ok().map(|text| text.parse().expect("OUTAGE_SECONDS is a number"));
    let length = Duration::from_secs(wished.unwrap_or(SECONDS));
    let turn = Arc::new(Semaphore::new(if wished.is_some() { all().len() } else { AT_ONCE }));
    let mut outages = JoinSet::new();
    for outage in all() {
        let turn = Arc::clone(&turn);
        outages.spawn(async move {
            let _turn = turn.acquire().await.expect("nobody closes it");
            Box::pin(live_through(outage, length)).await
        });
    }
    let mut lines = Vec::new();
    while let Some(line) = outages.join_next().await {
        lines.push(line.expect("each has said above what is wrong"));
    }
    lines.sort();
    println!(
        "| {} s of | invocations | spans accepted | arrived | held, first 5 | held, others | found after |",
        length.as_secs()
    );
    lines.iter().for_each(|line| println!("{line}"));
}

/// The outage and its end; a line on what was seen.
async fn live_through(outage: Outage, length: Duration) -> String {
    let stage = Stage::set(HISTORY, |spec| {
        spec.timeout = RECOVERY * 2;
        spec.env.push(("PREFREEZE_FLUSH_TIMEOUT_MS".into(), CEILING.as_millis().to_string()));
    })
    .await;
    stage.invoke(&event("before", 1, "good", "respond")).await;
    outage.backend.fall_ill(&stage.collector);
    let mut pace = interval(length / INVOCATIONS);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let began = Instant::now();
    let (mut records, mut number, mut is_killed) = (Vec::new(), 0, false);
    // At least twice, so that one can be the one in which it is killed.
    while began.elapsed() < length || number < 2 || (outage.kills && !is_killed) {
        pace.tick().await;
        number += 1;
        let event = event(&format!("outage-{number}"), 100 + number, "good", "respond");
        if outage.kills && !is_killed && began.elapsed() >= length / 2 {
            is_killed = true;
            invoke_through(&stage, event, "after sending", kill_extension(&stage)).await;
            continue;
        }
        let (outcome, record) = stage.invoke(&event).await;
        assert_ok(&outage, &stage, &outcome, &record);
        records.push(record);
    }
    outage.backend.recover(&stage.collector);
    let found_after = recover(&outage, &stage).await;
    stage.strike(ShutdownReason::Spindown).await;
    check(&outage, &stage);
    tell(&outage, &stage, &records, found_after)
}

fn assert_ok(outage: &Outage, stage: &Stage, outcome: &Outcome, record: &Record) {
    assert_eq!(caller(outcome), "ok", "{outage:?}\n{}", stage.timeline());
    let held = Duration::from_secs_f64(record.extension_overhead_ms / 1_000.0);
    assert!(held <= CEILING + SCHEDULING, "held for {held:?}: {outage:?}\n{}", stage.timeline());
}

/// One more invocation, whose handler lasts until everything has arrived; says how long that took.
async fn recover(outage: &Outage, stage: &Stage) -> Duration {
    let wanted = books::accepted(&stage.lambda.history());
    let has_all = |state: &State| books::missing(&wanted, &books::arrived(state, false, false)) == 0;
    let gate = Gate::new().await;
    let mut event = event("after", 2, "good", "respond");
    event["gate"] = serde_json::json!({ "before sending": gate.address().to_string() });
    let well = Instant::now();
    let arrived = gate.hold(stage.collector.wait_for_async(has_all, RECOVERY));
    let (_, is_in_time) = tokio::join!(stage.invoke(&event), arrived);
    assert!(is_in_time, "not everything arrived in {RECOVERY:?}: {outage:?}\n{}", stage.timeline());
    well.elapsed()
}

fn check(outage: &Outage, stage: &Stage) {
    let history = stage.lambda.history();
    let (accepted, state) = (books::accepted(&history), stage.collector.state());
    assert_eq!(books::missing(&accepted, &books::arrived(&state, false, false)), 0, "{outage:?}");
    let books = Books::read(&history);
    assert_eq!(books.given_up(), 0, "{outage:?}: {books:?}");
    let crashes = count(&history, is_crash);
    assert_eq!(crashes, usize::from(outage.kills), "the process did not live on: {outage:?}");
    let asked = count(&history, |what| matches!(what, What::ExtensionNext { .. }));
    let invoked = count(&history, |what| matches!(what, What::Invoke { .. }));
    // When init is over, and after each invocation; a kill brings another init with it.
    let is_asked = if outage.kills { asked > invoked } else { asked == invoked + 1 };
    assert!(is_asked, "/next was asked {asked} times, {invoked} invocations: {outage:?}");
}

fn tell(outage: &Outage, stage: &Stage, records: &[Record], found_after: Duration) -> String {
    let accepted: u64 = books::accepted(&stage.lambda.history()).values().sum();
    let held =
        |records: &[Record]| records.iter().map(|record| record.extension_overhead_ms).fold(0.0, f64::max);
    let (first, rest) = records.split_at(records.len().min(5));
    let (first, rest) = (held(first), held(rest));
    let what = if outage.kills {
        format!("{}; the extension is killed in it", outage.what)
    } else {
        outage.what.to_owned()
    };
    let count = records.len();
    let seconds = found_after.as_secs_f64();
    format!("| {what} | {count} | {accepted} | {accepted} | {first:.1} ms | {rest:.1} ms | {seconds:.1} s |")
}

//! Thousands of invocations with freezes and a backend that comes and goes: nothing is lost, and nothing grows.

use std::env;
use std::fs;
use std::ops::Range;
use std::time::Duration;

use sandbox::ShutdownReason;
use serde_json::{Value, json};
use tests::collector::{Answer, State};

use super::books::{self, Books, PerInvocation};
use super::faults::CEILING;
use super::gate::Gate;
use super::stage::Stage;

/// Invocations, unless `SOAK` says how many: more than [`SETTLED`].
const INVOCATIONS: u64 = 2_000;

/// In so many, and four outages, everything that is allocated once has been.
const SETTLED: u64 = 500;

/// Invocations from outage to outage; the backend is ill for the last ones.
const PERIOD: u64 = 125;
const ILL: u64 = 25;

/// How much larger the resident set may be at the end than in the beginning. The allocator takes memory in steps of
/// up to 2 MB, at any time, which over 20,000 invocations come to no more (`docs/performance.md`); a kilobyte lost per
/// invocation is already over this bound.
const GROWTH_KIB_MAX: u64 = 2048;

/// Longer than the longest pause between two probes of a backend that is down.
const RECOVERY: Duration = Duration::from_secs(40);

/// Entries of the timeline for each invocation, at the most.
const ENTRIES: usize = 64;

/// Spans of each invocation.
const SPANS: u64 = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_invocations_lose_nothing_and_leave_nothing() {
    let wished = env::var("SOAK").ok().map(|count| count.parse().expect("SOAK is a number"));
    let invocations = wished.unwrap_or(INVOCATIONS).max(SETTLED + PERIOD) / PERIOD * PERIOD;
    let entries = usize::try_from(invocations).expect("a number that fits") * ENTRIES;
    let stage = Stage::set(entries, |spec| {
        spec.timeout = RECOVERY * 2;
        spec.env.push(("PREFREEZE_FLUSH_TIMEOUT_MS".into(), CEILING.as_millis().to_string()));
    })
    .await;
    let mut resident = Vec::new();
    for period in 0..invocations / PERIOD {
        outage(&stage, period * PERIOD..(period + 1) * PERIOD).await;
        resident.push(resident_kib(stage.extension_pid()));
    }
    stage.strike(ShutdownReason::Spindown).await;
    check_books(&stage, invocations);
    check_growth(&resident);
}

/// A backend that is ill for ten of every hundred very fast invocations, and no time in between for anybody: what it
/// leaves behind must be gone long before it falls ill again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backlog_shrinks_while_the_backend_is_well() {
    const ROUNDS: u64 = 8;
    let stage = Stage::set(ENTRIES * 1_000, |spec| {
        spec.env.push(("PREFREEZE_FLUSH_TIMEOUT_MS".into(), CEILING.as_millis().to_string()));
    })
    .await;
    let mut missing = Vec::new();
    for round in 0..ROUNDS {
        for number in round * 100..(round + 1) * 100 {
            match number % 100 {
                0 => stage.collector.always(Answer::status(503)),
                10 => stage.collector.always(Answer::ok()),
                _ => {}
            }
            stage.invoke(&event(&name(number), number)).await;
        }
        let accepted = books::accepted(&stage.lambda.history());
        missing.push(books::missing(&accepted, &books::arrived(&stage.collector.state(), false, false)));
    }
    stage.strike(ShutdownReason::Spindown).await;
    check_all_arrived(&stage, ROUNDS * 100 * SPANS);
    println!("spans not delivered after each hundred: {missing:?}");
    // What the last invocations sent may still be under way on a busy machine; usually it is those of one.
    assert!(missing.iter().all(|left| *left <= 10 * SPANS), "a backlog stays: {missing:?}");
}

/// Healthy invocations, then some while the backend is ill, then one that waits until nothing is missing.
async fn outage(stage: &Stage, numbers: Range<u64>) {
    let known = stage.collector.state().requests.len();
    for number in numbers.clone() {
        if number == numbers.end - ILL {
            fall_ill(stage, number / PERIOD);
        }
        stage.invoke(&event(&name(number), number)).await;
    }
    stage.collector.always(Answer::ok());
    if is_refusing(numbers.start / PERIOD) {
        stage.collector.resume();
    }
    drain(stage, numbers, known).await;
}

/// Each time in another way.
fn fall_ill(stage: &Stage, period: u64) {
    match period % 4 {
        _ if is_refusing(period) => stage.collector.stop(),
        1 => stage.collector.always(Answer::status(503)),
        2 => stage.collector.always(Answer::Reset(10)),
        _ => stage.collector.always(Answer::Close),
    }
}

const fn is_refusing(period: u64) -> bool {
    period.is_multiple_of(4)
}

/// One more invocation, whose handler lasts until everything has arrived; `known` requests are older.
async fn drain(stage: &Stage, numbers: Range<u64>, known: usize) {
    let wanted: PerInvocation = numbers.clone().map(|number| (name(number), SPANS)).collect();
    let has_all = |state: &State| {
        let news = State { requests: state.requests[known..].to_vec(), ..State::default() };
        books::missing(&wanted, &books::arrived(&news, false, false)) == 0
    };
    let gate = Gate::new().await;
    let mut event = event(&format!("drain-{}", numbers.end), u64::MAX - numbers.end);
    event["gate"] = json!({ "before sending": gate.address().to_string() });
    let arrived = gate.hold(stage.collector.wait_for_async(has_all, RECOVERY));
    let (_, is_in_time) = tokio::join!(stage.invoke(&event), arrived);
    assert!(is_in_time, "not everything arrived in {RECOVERY:?}\n{}", stage.timeline());
}

fn check_books(stage: &Stage, invocations: u64) {
    let drains = invocations / PERIOD;
    check_all_arrived(stage, (invocations + drains) * SPANS);
}

fn check_all_arrived(stage: &Stage, sent: u64) {
    let history = stage.lambda.history();
    let accepted = books::accepted(&history);
    let arrived = books::arrived(&stage.collector.state(), false, false);
    assert_eq!(accepted.values().sum::<u64>(), sent, "a function was not heard");
    assert_eq!(books::refusals(&history), Vec::<String>::new());
    assert_eq!(books::missing(&accepted, &arrived), 0);
    let books = Books::read(&history);
    assert_eq!((books.summaries, books.given_up()), (1, 0), "{books:?}");
}

/// Compares what stays: the smallest of several, because each outage leaves a little that the next one uses again.
fn check_growth(resident: &[u64]) {
    let smallest = |sizes: &[u64]| *sizes.iter().min().expect("there is an outage in every period");
    let outages = usize::try_from(SETTLED / PERIOD).expect("a small number");
    let (before, after) = (smallest(&resident[..outages]), smallest(&resident[resident.len() - outages..]));
    println!("KiB resident after each {PERIOD} invocations: {resident:?}");
    assert!(after <= before + GROWTH_KIB_MAX, "the extension grew: {resident:?} KiB");
}

fn resident_kib(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("a frozen process has a status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("Linux says how much");
    line.trim().trim_end_matches(" kB").parse().expect("a number of KiB")
}

fn event(name: &str, number: u64) -> Value {
    json!({ "name": name, "seed": 1_000u64.wrapping_add(number), "send": "good", "end": "respond" })
}

fn name(number: u64) -> String {
    format!("soak-{number}")
}

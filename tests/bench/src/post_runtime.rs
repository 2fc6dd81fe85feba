//! What an invocation pays after its function is done, and what the extension uses over thousands of them.

use std::net::SocketAddr;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::Result;
use crate::body::{self, Ending};
use crate::environment::Environment;
use crate::http::{self, Client};
use crate::quota::Quota;
use crate::report::{Row, Section};
use crate::setup::Setup;
use crate::stats::Summary;

const INVOCATIONS_PER_ROUND: usize = 50;
/// A throttled process stands for most of each period: fewer do, and have to.
const THROTTLED_PER_ROUND: usize = 5;
/// Where memory is looked at, as shares of the whole run: 10 and 1,000 of 2,000.
const RSS_AT: [usize; 2] = [10, 1_000];
const HANDLER_TIME: Duration = Duration::from_millis(1);

/// How the extension is set, and what it gets to do.
struct Case {
    name: &'static str,
    flush: &'static str,
    spool: &'static str,
    /// Of one invocation, the function's own among them.
    spans: usize,
    is_throttled: bool,
}

const fn case(name: &'static str, flush: &'static str, spool: &'static str, spans: usize) -> Case {
    Case { name, flush, spool, spans, is_throttled: false }
}

/// What is compared.
const CASES: [Case; 9] = [
    case("`end`, 5 spans", "end", "always", 5),
    case("`end`, 5 spans, spool off", "end", "off", 5),
    case("`end`, 50 spans", "end", "always", 50),
    case("`end`, 500 spans", "end", "always", 500),
    case("`continuous`, 5 spans", "continuous", "always", 5),
    case("`continuous`, 50 spans", "continuous", "always", 50),
    case("`continuous`, 500 spans", "continuous", "always", 500),
    Case { is_throttled: true, ..case("`end`, 5 spans, 7 % of a CPU", "end", "always", 5) },
    Case { is_throttled: true, ..case("`continuous`, 5 spans, 7 % of a CPU", "continuous", "always", 5) },
];

/// What was measured of one mode.
#[derive(Default)]
struct Run {
    /// From the function's 200 to `/next`, in nanoseconds.
    after: Vec<u64>,
    /// The same spans from a plain client to the same backend and back.
    round_trip: Vec<u64>,
    invocations: u64,
    cpu_us: u64,
    rss_kib: Vec<u64>,
}

pub(crate) fn run(setup: &Setup) -> Result<Section> {
    let backend = http::serve_success()?;
    let mut rows = Vec::new();
    for (index, case) in CASES.iter().enumerate() {
        let settings = [("PREFREEZE_FLUSH", case.flush), ("PREFREEZE_SPOOL", case.spool)];
        let quota = if case.is_throttled { Quota::new(&index.to_string()) } else { None };
        if case.is_throttled && quota.is_none() {
            eprintln!("{}: left out, this machine lets us set no share of a processor", case.name);
            continue;
        }
        let per_round = if case.is_throttled { THROTTLED_PER_ROUND } else { INVOCATIONS_PER_ROUND };
        let environment = Environment::start(&setup.extension().path, backend, &settings)?;
        if let Some(quota) = &quota {
            environment.slow_down(quota)?;
        }
        let run = measure(environment, backend, case.spans, setup.rounds * per_round)?;
        rows.push(row(case.name, &run));
    }
    Ok(Section { title: "after the function's 200".to_owned(), rows })
}

fn measure(
    mut environment: Environment,
    backend: SocketAddr,
    spans: usize,
    invocations: usize,
) -> Result<Run> {
    let mut run = Run { invocations: invocations as u64, ..Run::default() };
    let mut plain = Client::connect(backend)?;
    let same_spans = http::post_spans(&body::of_spans(spans));
    let mut ending = Ending::of_spans(spans);
    let used_before = environment.usage()?.cpu_us;
    for invocation in 1..=invocations {
        environment.invoke()?;
        sleep(HANDLER_TIME);
        let timing = environment.finish(&mut ending)?;
        run.after.push(nanoseconds(timing.answered, timing.next)?);
        let (sent, answered) = plain.send(&same_spans)?;
        run.round_trip.push(nanoseconds(sent, answered)?);
        if RSS_AT.contains(&invocation) || invocation == invocations {
            run.rss_kib.push(environment.usage()?.rss_kib);
        }
    }
    run.cpu_us = (environment.usage()?.cpu_us - used_before) / invocations as u64;
    Ok(run)
}

/// Zero where `/next` came before the function had read its 200: then it paid nothing.
fn nanoseconds(from: Instant, to: Instant) -> Result<u64> {
    Ok(u64::try_from(to.saturating_duration_since(from).as_nanos())?)
}

fn row(name: &str, run: &Run) -> Row {
    let after = Summary::of(run.after.iter().copied());
    let round_trip = Summary::of(run.round_trip.iter().copied()).median;
    let rss = |index: usize| run.rss_kib.get(index).or(run.rss_kib.last()).copied().unwrap_or_default();
    Row::new(name)
        .with("invocations", run.invocations)
        .with("median us", after.median / 1_000)
        .with("p90 us", after.p90 / 1_000)
        .with("p99 us", after.p99 / 1_000)
        .with("round trip us", round_trip / 1_000)
        .with("median less it us", after.median.saturating_sub(round_trip) / 1_000)
        .with("CPU us", run.cpu_us)
        .with("RSS KiB after 10", rss(0))
        .with("after 1000", rss(1))
        .with("at the end", rss(2))
}

//! What an invocation pays after its function is done, and what the extension uses over thousands of them.

use std::net::SocketAddr;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::Result;
use crate::body::{self, Ending};
use crate::environment::Environment;
use crate::http::{self, Client};
use crate::report::{Row, Section};
use crate::setup::Setup;
use crate::stats::Summary;

/// A small function's spans, its own among them.
const SPANS: usize = 5;
const INVOCATIONS_PER_ROUND: usize = 125;
/// Where memory is looked at, as shares of the whole run: 10 and 1,000 of 5,000.
const RSS_AT: [usize; 2] = [10, 1_000];
const HANDLER_TIME: Duration = Duration::from_millis(1);

type Settings = [(&'static str, &'static str); 2];

/// What is compared.
const MODES: [(&str, Settings); 3] = [
    ("end", [("PREFREEZE_FLUSH", "end"), ("PREFREEZE_SPOOL", "always")]),
    ("end, spool off", [("PREFREEZE_FLUSH", "end"), ("PREFREEZE_SPOOL", "off")]),
    ("continuous", [("PREFREEZE_FLUSH", "continuous"), ("PREFREEZE_SPOOL", "always")]),
];

/// What was measured of one mode.
#[derive(Default)]
struct Run {
    /// From the function's 200 to `/next`, in nanoseconds.
    after: Vec<u64>,
    /// The same spans from a plain client to the same backend and back.
    round_trip: Vec<u64>,
    cpu_us: u64,
    rss_kib: Vec<u64>,
}

pub(crate) fn run(setup: &Setup) -> Result<Section> {
    let backend = http::serve_success()?;
    let invocations = setup.rounds * INVOCATIONS_PER_ROUND;
    let mut rows = Vec::new();
    for (name, settings) in MODES {
        let environment = Environment::start(&setup.extension().path, backend, &settings)?;
        rows.push(row(name, &measure(environment, backend, invocations)?));
    }
    let title = format!("after the function's 200, {SPANS} spans, {invocations} invocations");
    Ok(Section { title, rows })
}

fn measure(mut environment: Environment, backend: SocketAddr, invocations: usize) -> Result<Run> {
    let mut run = Run::default();
    let mut plain = Client::connect(backend)?;
    let same_spans = http::post_spans(&body::of_spans(SPANS));
    let mut ending = Ending::of_spans(SPANS);
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

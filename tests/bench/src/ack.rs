//! How long the function waits for the 200 to its spans, beside a server that only answers.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::Result;
use crate::body::{self, Ending};
use crate::environment::Environment;
use crate::http::{self, Client};
use crate::report::{Row, Section};
use crate::setup::Setup;
use crate::stats::Summary;

const SPANS: usize = 50;
/// Enough for a 99th percentile.
const REQUESTS_PER_ROUND: usize = 25;
/// Before each request: the server has long gone to sleep when a function sends.
const HANDLER_TIME: Duration = Duration::from_millis(1);

pub(crate) fn run(setup: &Setup) -> Result<Section> {
    let binary = &setup.extension().path;
    let backend = http::serve_success()?;
    let modes = ["off", "always"];
    let mut environments = Vec::new();
    for mode in modes {
        let settings = [("PREFREEZE_FLUSH", "end"), ("PREFREEZE_SPOOL", mode)];
        environments.push(Environment::start(binary, backend, &settings)?);
    }
    let mut floor = Client::connect(http::serve_success()?)?;
    let body = body::of_spans(SPANS);
    let request = http::post_spans(&body);
    let mut ending = Ending::of_spans(1);
    let (mut floor_ns, mut ours_ns) = (Vec::new(), modes.map(|_| Vec::new()));
    for _ in 0..setup.rounds * REQUESTS_PER_ROUND {
        sleep(HANDLER_TIME);
        floor_ns.push(nanoseconds(floor.send(&request)?)?);
        for (environment, timings) in environments.iter_mut().zip(&mut ours_ns) {
            environment.invoke()?;
            sleep(HANDLER_TIME);
            timings.push(nanoseconds(environment.send(&request)?)?);
            environment.finish(&mut ending)?;
        }
    }
    let [off, always] = ours_ns;
    let rows = [("floor", floor_ns), ("spool off", off), ("spool always", always)];
    let title = format!("POST of {SPANS} spans, {} bytes, until its 200", body.len());
    Ok(Section { title, rows: rows.map(|(name, timings)| row(name, timings)).into() })
}

fn row(name: &str, timings: Vec<u64>) -> Row {
    let summary = Summary::of(timings.into_iter());
    Row::new(name)
        .with("min us", summary.min / 1_000)
        .with("median us", summary.median / 1_000)
        .with("p90 us", summary.p90 / 1_000)
        .with("p99 us", summary.p99 / 1_000)
}

fn nanoseconds((sent, answered): (Instant, Instant)) -> Result<u64> {
    Ok(u64::try_from((answered - sent).as_nanos())?)
}

//! What an invocation costs as its spans grow, and that memory stays in its bounds, in a function of 128 MB.

use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;

use crate::Result;
use crate::body::{self, Ending};
use crate::environment::Environment;
use crate::http;
use crate::report::{Row, Section};
use crate::setup::Setup;
use crate::stats::Summary;

/// What an SDK puts into one request at most.
const SPANS_PER_REQUEST: usize = 512;
/// Spans per invocation, and how often it is invoked for each round of the others.
const SIZES: [(usize, usize, &str); 5] = [
    (1, 10, "1 span"),
    (10, 10, "10 spans"),
    (100, 5, "100 spans"),
    (1_000, 2, "1,000 spans"),
    (10_000, 1, "10,000 spans"),
];
/// Enough for a bound of 13 MB to be reached, and then some.
const INVOCATIONS_WITHOUT_BACKEND: usize = 20;

pub(crate) fn run(setup: &Setup) -> Result<Section> {
    let backend = http::serve_success()?;
    let mut rows = Vec::new();
    for (spans, weight, name) in SIZES {
        let invocations = (setup.rounds * weight / 4).max(3);
        rows.push(row(setup, backend, spans, invocations, name, "always")?);
    }
    // Nobody listens there: everything is kept, in memory and then on disk, or in memory alone.
    let nobody = SocketAddr::from(([127, 0, 0, 1], 9));
    for (name, spool) in
        [("10,000 spans, backend down", "always"), ("10,000 spans, backend down, spool off", "off")]
    {
        rows.push(row(setup, nobody, 10_000, INVOCATIONS_WITHOUT_BACKEND, name, spool)?);
    }
    Ok(Section { title: "one invocation in `end` mode, 128 MB, as its spans grow".to_owned(), rows })
}

fn row(
    setup: &Setup,
    backend: SocketAddr,
    spans: usize,
    invocations: usize,
    name: &str,
    spool: &'static str,
) -> Result<Row> {
    let settings = [("PREFREEZE_FLUSH", "end"), ("PREFREEZE_SPOOL", spool)];
    let mut environment = Environment::start(&setup.extension().path, backend, &settings)?;
    let requests = requests(spans - 1);
    let mut ending = Ending::of_spans(1);
    let (mut acknowledging, mut after) = (Vec::new(), Vec::new());
    let before = environment.usage()?.cpu_us;
    for _ in 0..invocations {
        environment.invoke()?;
        let began = Instant::now();
        for request in &requests {
            environment.send(request)?;
        }
        acknowledging.push(u64::try_from(began.elapsed().as_micros())?);
        let timing = environment.finish(&mut ending)?;
        let waited = timing.next.saturating_duration_since(timing.answered);
        after.push(u64::try_from(waited.as_micros())?);
    }
    let usage = environment.usage()?;
    let cpu_us = (usage.cpu_us - before) / invocations as u64;
    Ok(Row::new(name)
        .with("invocations", invocations as u64)
        .with("acknowledging us", Summary::of(acknowledging.into_iter()).median)
        .with("after us", Summary::of(after.into_iter()).median)
        .with("CPU us", cpu_us)
        .with("CPU ns per span", cpu_us * 1_000 / spans as u64)
        .with("RSS KiB", usage.rss_kib)
        .with("peak KiB", usage.peak_kib))
}

/// Spans in requests as an SDK sends them.
fn requests(spans: usize) -> Vec<Vec<u8>> {
    let full: Bytes = body::of_spans(SPANS_PER_REQUEST);
    let mut requests = vec![http::post_spans(&full); spans / SPANS_PER_REQUEST];
    if !spans.is_multiple_of(SPANS_PER_REQUEST) {
        requests.push(http::post_spans(&body::of_spans(spans % SPANS_PER_REQUEST)));
    }
    requests
}

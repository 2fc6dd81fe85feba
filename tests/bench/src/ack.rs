//! How long the function waits for the 200 to its spans, whichever way it sends them, beside a server that only answers.

use std::io::Write;
use std::thread::sleep;
use std::time::{Duration, Instant};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::Result;
use crate::body::{self, Ending};
use crate::environment::Environment;
use crate::grpc::{Caller, framed};
use crate::http::{self, Client};
use crate::report::{Row, Section};
use crate::setup::Setup;
use crate::stats::Summary;

const SPANS: usize = 50;
/// Enough for a 99th percentile.
const REQUESTS_PER_ROUND: usize = 25;
/// Before each request: the server has long gone to sleep when a function sends.
const HANDLER_TIME: Duration = Duration::from_millis(1);

/// A way to send, over a connection of its own.
enum Way {
    Http(Client, Vec<u8>),
    Grpc(Caller, Vec<u8>, bool),
}

impl Way {
    fn send(&mut self) -> Result<(Instant, Instant)> {
        match self {
            Self::Http(client, request) => client.send(request),
            Self::Grpc(caller, message, is_gzip) => caller.send(message, *is_gzip),
        }
    }
}

pub(crate) fn run(setup: &Setup) -> Result<Section> {
    let binary = &setup.extension().path;
    let backend = http::serve_success()?;
    let start = |spool| {
        let settings = [("PREFREEZE_FLUSH", "end"), ("PREFREEZE_SPOOL", spool)];
        Environment::start(binary, backend, &settings)
    };
    let (mut without_spool, mut environment) = (start("off")?, start("always")?);
    let body = body::of_spans(SPANS);
    let request = http::post_spans(&body);
    let mut floor = Client::connect(http::serve_success()?)?;
    let mut ways = ways(&environment, &body)?;
    let mut ending = Ending::of_spans(1);
    let (mut of_floor, mut of_off) = (Vec::new(), Vec::new());
    let mut of_ways: Vec<Vec<u64>> = ways.iter().map(|_| Vec::new()).collect();
    for _ in 0..setup.rounds * REQUESTS_PER_ROUND {
        sleep(HANDLER_TIME);
        of_floor.push(nanoseconds(floor.send(&request)?)?);
        without_spool.invoke()?;
        sleep(HANDLER_TIME);
        of_off.push(nanoseconds(without_spool.send(&request)?)?);
        without_spool.finish(&mut ending)?;
        for ((_, way), timings) in ways.iter_mut().zip(&mut of_ways) {
            environment.invoke()?;
            sleep(HANDLER_TIME);
            timings.push(nanoseconds(way.send()?)?);
            environment.finish(&mut ending)?;
        }
    }
    let mut rows = vec![row("floor", of_floor), row("protobuf, spool off", of_off)];
    rows.extend(ways.iter().zip(of_ways).map(|((name, _), timings)| row(name, timings)));
    Ok(Section { title: format!("{SPANS} spans, {} bytes of protobuf, until their 200", body.len()), rows })
}

fn ways(environment: &Environment, body: &Bytes) -> Result<Vec<(&'static str, Way)>> {
    let http =
        |request: Vec<u8>| Ok::<_, Box<dyn std::error::Error>>(Way::Http(environment.client()?, request));
    let packed = |name: &str, body: &[u8]| {
        http::post_spans_as(&format!("application/x-protobuf\r\nContent-Encoding: {name}"), body)
    };
    let json = body::of_spans_as_json(SPANS);
    let caller = || Caller::connect(environment.grpc);
    Ok(vec![
        ("protobuf", http(http::post_spans(body))?),
        ("protobuf, gzip", http(packed("gzip", &gzip(body)?))?),
        ("protobuf, zstd", http(packed("zstd", &zstd::bulk::compress(body, 1)?))?),
        ("protobuf, Unix socket", {
            Way::Http(Client::connect_to_socket(&environment.socket)?, http::post_spans(body))
        }),
        ("JSON", http(http::post_spans_as("application/json", json.as_bytes()))?),
        ("JSON, gzip", {
            let headers = "application/json\r\nContent-Encoding: gzip";
            http(http::post_spans_as(headers, &gzip(json.as_bytes())?))?
        }),
        ("gRPC", Way::Grpc(caller()?, framed(body, false)?, false)),
        ("gRPC, gzip", Way::Grpc(caller()?, framed(&gzip(body)?, true)?, true)),
    ])
}

fn gzip(raw: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(6));
    encoder.write_all(raw)?;
    Ok(encoder.finish()?)
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

//! What reading and rewriting spans costs: scan and splice, beside a decode and encode, beside a copy.

use std::hint::black_box;
use std::time::Instant;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use policy::{Content, Entry, Signal, Span};
use prost::Message;
use wire::otlp::{self, Body, Identity};

use crate::Result;
use crate::body;
use crate::report::{Row, Section};
use crate::setup::Setup;
use crate::stats::Summary;

/// How many spans a request holds, and the names of the columns that tell of it.
const SIZES: [(usize, &str, &str); 5] = [
    (5, "5: min ns/span", "5: median"),
    (50, "50: min", "50: median"),
    (200, "200: min", "200: median"),
    (1_000, "1000: min", "1000: median"),
    (10_000, "10000: min", "10000: median"),
];
/// Spans per timing at least: a shorter one would measure the clock, a longer one the neighbours too.
const SPANS_MIN: usize = 200;
/// The size whose speed in bytes is told.
const SPEED_OF: usize = 200;

type Way = (&'static str, fn(&Bytes, &Identity));

/// What is compared, the baseline first.
const WAYS: [Way; 5] = [
    ("decode and encode", decode_and_encode),
    ("scan and splice all", |bytes, identity| scan_and_splice(bytes, identity, 1)),
    ("scan and splice half", |bytes, identity| scan_and_splice(bytes, identity, 2)),
    ("scan", |bytes, _| drop(black_box(otlp::scan(Signal::Traces, bytes)))),
    ("copy", |bytes, _| drop(black_box(bytes.to_vec()))),
];

pub(crate) fn run(setup: &Setup) -> Result<Section> {
    let mut rows = WAYS.map(|(name, _)| Row::new(name));
    for (spans, min, median) in SIZES {
        let bytes = body::of_spans(spans);
        let timings = measure(&bytes, &identity(&bytes), spans, setup.rounds);
        for (row, timings) in rows.iter_mut().zip(timings) {
            let summary = Summary::of(timings.into_iter());
            row.add(min, summary.min / spans as u64);
            row.add(median, summary.median / spans as u64);
            if spans == SPEED_OF {
                row.add("200: MB/s", bytes.len() as u64 * 1_000 / summary.median.max(1));
            }
        }
    }
    let title =
        format!("ns per span of 12 attributes, in and out, {} rounds, by spans per request", setup.rounds);
    Ok(Section { title, rows: rows.into() })
}

/// Nanoseconds per request: for each way, one value per round.
fn measure(bytes: &Bytes, identity: &Identity, spans: usize, rounds: usize) -> [Vec<u64>; WAYS.len()] {
    let repeats = SPANS_MIN.div_ceil(spans) as u64;
    let mut timings = WAYS.map(|_| Vec::new());
    for round in 0..=rounds {
        for ((_, way), timings) in WAYS.iter().zip(&mut timings) {
            let began = Instant::now();
            for _ in 0..repeats {
                way(black_box(bytes), identity);
            }
            let took = u64::try_from(began.elapsed().as_nanos()).expect("a round takes less than an age");
            if round > 0 {
                timings.push(took / repeats);
            }
        }
    }
    timings
}

fn decode_and_encode(bytes: &Bytes, _: &Identity) {
    let request = ExportTraceServiceRequest::decode(&bytes[..]).expect("prost reads what it wrote");
    black_box(request.encode_to_vec());
}

/// What an invocation does with a request, `keep_one_in` of whose spans are kept.
fn scan_and_splice(bytes: &Bytes, identity: &Identity, keep_one_in: usize) {
    let scanned = otlp::scan(Signal::Traces, bytes).expect("prost writes valid requests");
    let kept = scanned.receipt.spans.into_iter().step_by(keep_one_in);
    let entries: Vec<Entry<Body>> = kept.map(entry).collect();
    black_box(otlp::request(&entries, identity));
}

fn entry(span: Span<Body>) -> Entry<Body> {
    Entry {
        signal: Signal::Traces,
        count: 1,
        size: span.size,
        is_precious: span.is_error,
        content: Content::Received(span.body),
        stamp: None,
        shared: None,
    }
}

/// As many attributes as the extension completes resources with, of a function that has sent such a request before.
fn identity(bytes: &Bytes) -> Identity {
    let mut identity = Identity::default();
    let known =
        [("cloud.provider", "aws"), ("cloud.platform", "aws_lambda"), ("cloud.region", "eu-central-1")];
    let function = [("faas.name", "bench"), ("faas.version", "$LATEST"), ("service.name", "bench")];
    for (key, value) in known.into_iter().chain(function) {
        identity.set(key, value);
    }
    identity.set_int("faas.max_memory", 134_217_728);
    let scanned = otlp::scan(Signal::Traces, bytes).expect("prost writes valid requests");
    identity.observe(&scanned.receipt.spans[0].body);
    identity
}

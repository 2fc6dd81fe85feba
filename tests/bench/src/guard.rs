//! What guarding costs: nothing asked for, limits alone as by default, redaction on clean and on dirty spans.

use std::hint::black_box;
use std::time::Instant;

use ::guard::{Attributes, Guard, Limits, Redaction, Rules};
use bytes::Bytes;
use policy::Signal;

use crate::Result;
use crate::body;
use crate::report::{Row, Section};
use crate::setup::Setup;
use crate::stats::Summary;

/// Spans in the request, as in the other tables' middle.
const SPANS: usize = 200;

/// What is compared, the baseline first.
fn variants() -> Vec<(&'static str, Option<Guard>)> {
    let payments = r#"["cards","aadhaar","pan","upi","emails","tokens","keys"]"#;
    let redaction = |rules: &str| Redaction::parse(rules, Some(b"key")).0;
    let guard = |redaction, limits, attributes| Guard::new(Rules { redaction, limits, attributes });
    vec![
        ("scan alone", None),
        ("limits (default)", guard(Redaction::default(), Limits::default(), None)),
        ("cards", guard(redaction(r#"["cards"]"#), Limits::default(), None)),
        ("seven kinds", guard(redaction(payments), Limits::default(), None)),
        ("all kinds", guard(redaction(r#"["all"]"#), Limits::default(), None)),
        ("one own pattern", guard(redaction(r#"[{"value":"ORD-[0-9]{6}"}]"#), Limits::default(), None)),
        ("attributes {}", guard(Redaction::default(), Limits::default(), Attributes::parse("{}").0)),
    ]
}

pub(crate) fn run(setup: &Setup) -> Result<Section> {
    let bytes = body::of_spans(SPANS);
    let mut variants = variants();
    let mut timings: Vec<Vec<u64>> = variants.iter().map(|_| Vec::new()).collect();
    for round in 0..=setup.rounds {
        for ((_, guard), timings) in variants.iter_mut().zip(&mut timings) {
            let took = pass(guard.as_mut(), &bytes);
            if round > 0 {
                timings.push(took);
            }
        }
    }
    let rows = variants.iter().zip(timings).map(|((name, _), timings)| {
        let summary = Summary::of(timings.into_iter());
        let spans = SPANS as u64;
        Row::new(name).with("min ns/span", summary.min / spans).with("median ns/span", summary.median / spans)
    });
    let title = format!("guarding: ns per span of 12 attributes, the scan included, {} rounds", setup.rounds);
    Ok(Section { title, rows: rows.collect() })
}

/// Nanoseconds for what the intake does with one request.
fn pass(guard: Option<&mut Guard>, bytes: &Bytes) -> u64 {
    // As from the socket: nobody else holds it.
    let sent = Bytes::from(bytes.to_vec());
    let began = Instant::now();
    let guarded = match guard {
        Some(guard) => guard.apply(Signal::Traces, sent).expect("prost writes valid requests"),
        None => sent,
    };
    black_box(wire::otlp::scan(Signal::Traces, &guarded).expect("still valid"));
    u64::try_from(began.elapsed().as_nanos()).expect("a round takes less than an age")
}

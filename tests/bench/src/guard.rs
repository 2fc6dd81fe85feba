//! What guarding costs, beside what reading the same request costs: off, as by default, and with rules.

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
/// Requests of one measurement; one alone is too short for a clock.
const REQUESTS: u64 = 10;

/// One way to be guarded, if at all.
struct Variant {
    name: &'static str,
    guard: Option<Guard>,
    /// Makes it anew for each round, for what the first spans cost.
    anew: Option<fn() -> Option<Guard>>,
}

fn rules(redaction: &str, limits: Limits, attributes: Option<Attributes>) -> Option<Guard> {
    let (redaction, faults) = Redaction::parse(redaction, Some(b"key"));
    assert!(faults.is_empty(), "{faults:?}");
    Guard::new(Rules { redaction, limits, attributes })
}

fn by_default(redaction: &str) -> Option<Guard> {
    rules(redaction, Limits::default(), Some(Attributes::default()))
}

fn variants() -> Vec<Variant> {
    let variant = |name, guard| Variant { name, guard, anew: None };
    let ruled = Attributes::parse(r#"{"limit":{"payment.*":{"distinct":1000,"then":"report"}}}"#, None).0;
    vec![
        variant("off", rules("[]", Limits::NONE, None)),
        variant("`PREFREEZE_ATTRIBUTES=off`: limits alone", rules("[]", Limits::default(), None)),
        variant("the default", by_default("[]")),
        Variant { name: "the default, the first 2,000 spans", guard: None, anew: Some(|| by_default("[]")) },
        variant("a limit on values, so that all are counted", rules("[]", Limits::default(), Some(ruled))),
        variant("`cards`", by_default(r#"["cards"]"#)),
        variant(
            "`cards`, `aadhaar`, `pan`, `upi`, `emails`, `tokens`, `keys`",
            by_default(r#"["cards","aadhaar","pan","upi","emails","tokens","keys"]"#),
        ),
        variant("`all`", by_default(r#"["all"]"#)),
        variant("one own pattern for values", by_default(r#"[{"value":"ORD-[0-9]{6}"}]"#)),
    ]
}

pub(crate) fn run(setup: &Setup) -> Result<Section> {
    let bytes = body::of_spans(SPANS);
    let mut variants = variants();
    let mut timings: Vec<Vec<u64>> = vec![Vec::new(); variants.len() + 1];
    for round in 0..=setup.rounds {
        let mut took = vec![nanos(&bytes, |bytes| {
            black_box(wire::otlp::scan(Signal::Traces, &bytes).expect("prost writes valid requests"));
        })];
        took.extend(variants.iter_mut().map(|variant| guarding(variant, &bytes)));
        // The first round warms everything up.
        for (timings, took) in timings.iter_mut().zip(took).filter(|_| round > 0) {
            timings.push(took);
        }
    }
    let names = std::iter::once("reading alone").chain(variants.iter().map(|variant| variant.name));
    let rows = names.zip(timings).map(|(name, timings)| row(name, &timings, bytes.len() as u64));
    let title = format!(
        "guarding: ns per span of 12 attributes, in requests of {SPANS} spans and {} bytes, {} rounds",
        bytes.len(),
        setup.rounds
    );
    Ok(Section { title, rows: rows.collect() })
}

fn row(name: &str, timings: &[u64], bytes: u64) -> Row {
    let summary = Summary::of(timings.iter().copied());
    let of_span = |nanos: u64| nanos / (REQUESTS * SPANS as u64);
    // Bytes per microsecond are megabytes per second; what takes no time has no speed.
    let speed = (bytes * REQUESTS * 1_000).checked_div(summary.min).unwrap_or_default();
    let speed = if of_span(summary.min) == 0 { 0 } else { speed };
    Row::new(name)
        .with("min ns/span", of_span(summary.min))
        .with("median ns/span", of_span(summary.median))
        .with("MB/s", speed)
}

fn guarding(variant: &mut Variant, bytes: &Bytes) -> u64 {
    if let Some(anew) = variant.anew {
        variant.guard = anew();
    }
    nanos(bytes, |sent| {
        // As in the intake: where there is no guard, nothing is called.
        let guarded = match &mut variant.guard {
            Some(guard) => guard.apply(Signal::Traces, sent).expect("prost writes valid requests"),
            None => sent,
        };
        black_box(guarded);
    })
}

/// How long `run` takes with [`REQUESTS`] requests, each as from the socket: nobody else holds it.
fn nanos(bytes: &Bytes, mut run: impl FnMut(Bytes)) -> u64 {
    let sent: Vec<Bytes> = (0..REQUESTS).map(|_| Bytes::from(bytes.to_vec())).collect();
    let began = Instant::now();
    sent.into_iter().for_each(&mut run);
    u64::try_from(began.elapsed().as_nanos()).expect("a round takes less than an age")
}

//! What is told of ourselves, and under which names.

use super::*;
use crate::guarded::Guarded;
use crate::metrics::{Architecture, ByteCost};
use alloc::string::String;

/// Books in which every number is another one, `times` as large.
fn gauges(times: u64) -> Gauges {
    let mut number = 0;
    let mut next = || {
        number += 1;
        number * times
    };
    let mut counts = || Counts {
        received: next() + 1_000 * times,
        recovered: next(),
        made: next(),
        delivered: next(),
        copied: 0,
        sampled_out: next(),
        dropped: core::array::from_fn(|_| next()),
    };
    let (spans, metrics, logs) = (counts(), counts(), counts());
    let decisions = core::array::from_fn(|_| next());
    let guarded = Guarded {
        redactions: core::array::from_fn(|_| next()),
        changes: core::array::from_fn(|_| next()),
        identifiers: next(),
    };
    let mut cost = || next() as f64;
    let mut bytes = || ByteCost { ingestion: cost(), egress: cost(), storage: cost() };
    let (sent, avoided) = (bytes(), bytes());
    let cost = Cost { sent, avoided, function: cost(), extension: cost() };
    let ledger = Ledger {
        spans,
        metrics,
        logs,
        resent: next(),
        raw_bytes: next(),
        sent_bytes: next(),
        sampled_out_bytes: next(),
        platform_events_lost: next(),
        boosts: next() + 100 * times,
        boosts_ended: next(),
        decisions,
        guarded,
        ..Ledger::default()
    };
    Gauges {
        ledger,
        in_memory: core::array::from_fn(|_| next()),
        in_flight: core::array::from_fn(|_| next()),
        spooled: core::array::from_fn(|_| next()),
        spooled_bytes: next(),
        is_continuous: true,
        flush_changes: next(),
        cost,
        lanes: Vec::new(),
    }
}

/// The points of counts, as lines.
fn told(own: &mut Own, gauges: &Gauges) -> Vec<String> {
    let mut store = Store::new(200, false);
    own.tell(&mut store, gauges, &Prices::listed(1 << 29, Architecture::X86));
    let mut lines: Vec<_> = store.take().iter().map(Point::line).collect();
    lines.sort();
    lines
}

#[test]
fn what_came_since_the_last_time_is_told() {
    let (mut whole, mut own) = (Own::default(), Own::default());
    let first = told(&mut own, &gauges(3));
    assert_eq!(first, told(&mut Own::default(), &gauges(3)), "the first time, all of it");
    assert_eq!(told(&mut own, &gauges(3)), Vec::<String>::new(), "nothing has come");
    assert_eq!(told(&mut own, &gauges(5)), told(&mut whole, &gauges(2)), "five times less three times");
}

#[test]
fn each_number_of_the_books_is_told_under_its_name() {
    let mut own = Own::default();
    let lines = told(&mut own, &gauges(1)).join("\n");
    let mut points = Vec::new();
    own.levels(&gauges(1), &mut points);
    let levels: Vec<_> = points.iter().map(Point::line).collect();
    let text = alloc::format!("{lines}\n\n{}\n", levels.join("\n"));
    assert_eq!(text, include_str!("../own.txt"), "what is left is what it says now");
}

#[test]
fn a_request_a_retry_and_a_flush_are_measured() {
    let mut store = Store::new(200, false);
    let took = Duration::from_millis(1_500);
    let own = Own::default();
    own.on_request(&mut store, LaneId::of(Signal::Traces), took, None);
    own.on_request(&mut store, LaneId::of(Signal::Logs), took, Some("503"));
    Own::on_retry(&mut store);
    Own::on_flush(&mut store, took);
    let lines: Vec<_> = store.take().iter().map(Point::line).collect();
    assert_eq!(
        lines,
        [
            "otel.sdk.exporter.operation.duration [otel.component.name=otlp_http_span_exporter/prefreeze, \
         otel.component.type=otlp_http_span_exporter] 1 values, 1.500000 in all",
            "otel.sdk.exporter.operation.duration [otel.component.name=otlp_http_log_exporter/prefreeze, \
         otel.component.type=otlp_http_log_exporter, error.type=503] 1 values, 1.500000 in all",
            "prefreeze.export.retries [] 1",
            "prefreeze.flush.duration [] 1 values, 1.500000 in all",
        ]
    );
}

/// Each destination tells of its own; what no lane has done is told without a destination, and all of it adds up.
#[test]
fn where_there_are_several_destinations_each_number_is_under_the_name_of_its_own() {
    let further = Further {
        name: "vendor".into(),
        signals: crate::Destinations::ALL,
        reaches: crate::Destinations::ALL,
        limits: [crate::RequestLimit::NONE; 3],
        holds: true,
        when: Vec::new(),
        takes: crate::config::Takes::Kept,
        is_exclusive: false,
    };
    let mut dropped = [0; DropReason::ALL.len()];
    dropped[DropReason::Rejected as usize] = 1;
    let lane = |destination, delivered| LaneGauges {
        id: LaneId { signal: Signal::Traces, destination },
        books: LaneBooks { taken: delivered + 6, delivered, dropped },
        held: 5,
        in_flight: 2,
        spooled: 3,
    };
    let mut ledger = Ledger::default();
    (ledger.spans.received, ledger.spans.copied, ledger.spans.delivered) = (30, 20, 24);
    ledger.spans.dropped[DropReason::Rejected as usize] = 2;
    ledger.spans.dropped[DropReason::OutboxFull as usize] = 4;
    let gauges = Gauges { ledger, lanes: alloc::vec![lane(0, 10), lane(1, 14)], ..gauges(0) };
    let mut own = Own::of(&[further]);
    let mut points = Vec::new();
    own.levels(&gauges, &mut points);
    let lines: Vec<_> = told(&mut own, &gauges).into_iter().chain(points.iter().map(Point::line)).collect();
    for line in [
        "prefreeze.items.delivered [signal=traces, prefreeze.destination=default] 10",
        "prefreeze.items.delivered [signal=traces, prefreeze.destination=vendor] 14",
        "prefreeze.items.dropped [signal=traces, prefreeze.destination=vendor, reason=rejected] 1",
        "prefreeze.items.dropped [signal=traces, reason=outbox_full] 4",
        "prefreeze.items.held [signal=traces, prefreeze.destination=default] 5",
        "prefreeze.items.held [signal=traces] 10",
        "prefreeze.spool.items [signal=traces, prefreeze.destination=vendor] 3",
        "otel.sdk.exporter.span.inflight [otel.component.name=otlp_http_span_exporter/vendor, otel.component.type=otlp_http_span_exporter] 2",
        "otel.sdk.exporter.span.exported [otel.component.name=otlp_http_span_exporter/vendor, otel.component.type=otlp_http_span_exporter] 14",
    ] {
        assert!(lines.iter().any(|told| told == line), "{line} in {lines:#?}");
    }
    assert!(told(&mut own, &gauges).is_empty(), "nothing has come since");
}

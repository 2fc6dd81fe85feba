//! Encoding the metrics that policy measures.
//!
//! # Source
//! Field numbers: <https://github.com/open-telemetry/opentelemetry-proto/blob/v1.11.0/opentelemetry/proto/metrics/v1/metrics.proto>

use policy::{
    Attributes, Buckets, Histogram, Instrument, Measured, Metric, Point, Reading, Temporality, UnixNanos,
};

use super::encode::put_scope;
use super::resource::{Identity, SCHEMA_URL};
use crate::proto::{put_bytes, put_double, put_fixed64, put_message, put_number, put_packed, put_signed};

const TEMPORALITY_DELTA: u64 = 1;
const TEMPORALITY_CUMULATIVE: u64 = 2;

const GAUGE: u32 = 5;
const SUM: u32 = 7;
const HISTOGRAM: u32 = 9;
const EXPONENTIAL_HISTOGRAM: u32 = 10;

/// A `ResourceMetrics` field that holds all of `measured`.
pub(super) fn put_measured(out: &mut Vec<u8>, measured: &[&Measured], identity: &Identity) {
    put_message(out, 1, |group| {
        put_bytes(group, 1, &identity.resource());
        put_message(group, 2, |scope_metrics| {
            put_message(scope_metrics, 1, put_scope);
            for measured in measured {
                for points in measured.points.chunk_by(is_one_metric) {
                    put_message(scope_metrics, 2, |out| put_metric(out, points, measured));
                }
            }
            put_bytes(scope_metrics, 3, SCHEMA_URL.as_bytes());
        });
        put_bytes(group, 3, SCHEMA_URL.as_bytes());
    });
}

/// Points of one metric stand together where they are of one kind: a sum of whole numbers may become one of fractions.
fn is_one_metric(one: &Point, two: &Point) -> bool {
    one.metric == two.metric && data_field(one) == data_field(two)
}

const fn data_field(point: &Point) -> u32 {
    match (&point.reading, point.metric.definition().instrument) {
        (Reading::Histogram(Histogram { buckets: Buckets::Exponential { .. }, .. }), _) => {
            EXPONENTIAL_HISTOGRAM
        }
        (Reading::Histogram(_), _) => HISTOGRAM,
        (_, Instrument::Gauge) => GAUGE,
        _ => SUM,
    }
}

/// A `Metric` of these points, which are all of one metric and one kind.
fn put_metric(out: &mut Vec<u8>, points: &[Point], measured: &Measured) {
    let Some(first) = points.first() else { return };
    let definition = first.metric.definition();
    put_bytes(out, 1, definition.name.as_bytes());
    put_bytes(out, 2, definition.description.as_bytes());
    put_bytes(out, 3, definition.unit.as_bytes());
    let field = data_field(first);
    put_message(out, field, |data| {
        for point in points {
            put_message(data, 1, |out| put_point(out, point, measured));
        }
        if field != GAUGE {
            let is_total = is_total(first.metric, measured);
            put_number(data, 2, if is_total { TEMPORALITY_CUMULATIVE } else { TEMPORALITY_DELTA });
        }
        if field == SUM {
            put_number(data, 3, u64::from(definition.instrument == Instrument::Counter));
        }
    });
}

fn put_point(out: &mut Vec<u8>, point: &Point, measured: &Measured) {
    let start = start_of(point.metric, measured);
    match &point.reading {
        Reading::Int(number) => {
            put_times(out, start, measured.at);
            put_fixed64(out, 6, number.cast_unsigned());
            put_attributes(out, 7, point);
        }
        Reading::Double(number) => {
            put_times(out, start, measured.at);
            put_double(out, 4, *number);
            put_attributes(out, 7, point);
        }
        Reading::Histogram(histogram) => put_histogram(out, point, histogram, measured),
    }
}

/// Whether values count from the begin of the environment, and not from the last points.
fn is_total(metric: Metric, measured: &Measured) -> bool {
    measured.temporality == Temporality::Cumulative
        || metric.definition().instrument == Instrument::UpDownCounter
}

fn start_of(metric: Metric, measured: &Measured) -> UnixNanos {
    if is_total(metric, measured) { measured.begun } else { measured.start }
}

fn put_times(out: &mut Vec<u8>, start: UnixNanos, at: UnixNanos) {
    put_fixed64(out, 2, start.0);
    put_fixed64(out, 3, at.0);
}

fn put_histogram(out: &mut Vec<u8>, point: &Point, histogram: &Histogram, measured: &Measured) {
    put_times(out, start_of(point.metric, measured), measured.at);
    put_fixed64(out, 4, histogram.count);
    put_double(out, 5, histogram.sum);
    match &histogram.buckets {
        Buckets::Exponential { scale, zeros, offset, counts } => {
            put_attributes(out, 1, point);
            put_signed(out, 6, *scale);
            put_fixed64(out, 7, *zeros);
            put_message(out, 8, |positive| {
                put_signed(positive, 1, *offset);
                put_packed(positive, 2, counts);
            });
            put_double(out, 12, histogram.min);
            put_double(out, 13, histogram.max);
        }
        Buckets::Explicit { bounds, counts } => {
            put_attributes(out, 9, point);
            let fixed = counts.iter().flat_map(|count| count.to_le_bytes());
            put_bytes(out, 6, &fixed.collect::<Vec<_>>());
            let fixed = bounds.iter().flat_map(|bound| bound.to_le_bytes());
            put_bytes(out, 7, &fixed.collect::<Vec<_>>());
            put_double(out, 11, histogram.min);
            put_double(out, 12, histogram.max);
        }
    }
}

/// The attributes of a point, whose field number depends on its kind.
fn put_attributes(out: &mut Vec<u8>, field: u32, point: &Point) {
    put_texts(out, field, &point.attributes);
    if point.is_overflow {
        put_message(out, field, |attribute| {
            put_bytes(attribute, 1, b"otel.metric.overflow");
            put_message(attribute, 2, |any| put_number(any, 2, 1));
        });
    }
}

fn put_texts(out: &mut Vec<u8>, field: u32, attributes: &Attributes) {
    for (key, value) in attributes {
        put_message(out, field, |attribute| {
            put_bytes(attribute, 1, key.as_bytes());
            put_message(attribute, 2, |any| put_bytes(any, 1, value.as_bytes()));
        });
    }
}

//! Telemetry with something in every field that OTLP has.

use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, KeyValueList};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::summary_data_point::ValueAtQuantile;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram,
    HistogramDataPoint, Metric, NumberDataPoint, Sum, Summary, SummaryDataPoint, exemplar, number_data_point,
};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use tests::otlp::{self, Ids, START_UNIX_NANO, SpanExt, key_value, text};

/// When a point ends.
const END_UNIX_NANO: u64 = START_UNIX_NANO + 1_000_000_000;

/// Attributes of every type that there is.
fn attributes() -> Vec<KeyValue> {
    let value = |value| AnyValue { value: Some(value) };
    let values = vec![value(Any::IntValue(-1)), value(Any::StringValue("ü€😀".to_owned()))];
    let pairs = vec![text("inner", "value"), key_value("flag", Any::BoolValue(false))];
    vec![
        text("text", "line\nline"),
        text("empty", ""),
        key_value("yes", Any::BoolValue(true)),
        key_value("least", Any::IntValue(i64::MIN)),
        key_value("double", Any::DoubleValue(-0.1)),
        key_value("list", Any::ArrayValue(ArrayValue { values })),
        key_value("map", Any::KvlistValue(KeyValueList { values: pairs })),
        key_value("bytes", Any::BytesValue(vec![0, 255, 128])),
    ]
}

/// A span below `parent`.
pub(super) fn span(parent: Ids) -> Span {
    let span = otlp::span("GET /ü", parent.sibling(1)).with_parent(parent);
    let mut span =
        span.with_link(Ids::new(99)).with_event("retry").with_status(StatusCode::Error, "declined");
    span.attributes = attributes();
    span.trace_state = "b=2,c=3".to_owned();
    span.flags = 0x101;
    (span.dropped_attributes_count, span.dropped_events_count, span.dropped_links_count) = (3, 4, 5);
    let (event, link) = (&mut span.events[0], &mut span.links[0]);
    (event.attributes, event.dropped_attributes_count) = (attributes(), 2);
    (link.attributes, link.dropped_attributes_count) = (attributes(), 1);
    (link.trace_state, link.flags) = ("a=1".to_owned(), 0x301);
    span
}

/// A log record.
pub(super) fn record() -> LogRecord {
    LogRecord {
        time_unix_nano: START_UNIX_NANO,
        observed_time_unix_nano: START_UNIX_NANO + 5,
        severity_number: 17,
        severity_text: "ERROR".to_owned(),
        body: Some(AnyValue { value: Some(Any::KvlistValue(KeyValueList { values: attributes() })) }),
        attributes: attributes(),
        dropped_attributes_count: 1,
        flags: 1,
        trace_id: Ids::new(7).trace.to_vec(),
        span_id: Ids::new(7).span.to_vec(),
        event_name: "order.declined".to_owned(),
    }
}

/// A metric of every kind.
pub(super) fn metrics() -> Vec<Metric> {
    let sum = |temporality: AggregationTemporality| {
        let (aggregation_temporality, is_monotonic) = (temporality.into(), true);
        Data::Sum(Sum {
            data_points: vec![number(number_data_point::Value::AsInt(-3))],
            aggregation_temporality,
            is_monotonic,
        })
    };
    let all = [
        ("gauge", Data::Gauge(Gauge { data_points: vec![number(number_data_point::Value::AsDouble(0.1))] })),
        ("delta", sum(AggregationTemporality::Delta)),
        ("total", sum(AggregationTemporality::Cumulative)),
        ("explicit", Data::Histogram(explicit())),
        ("exponential", Data::ExponentialHistogram(exponential())),
        ("summary", Data::Summary(summary())),
    ];
    let metric = |(name, data): (&str, Data)| Metric {
        name: name.to_owned(),
        description: "What it is.".to_owned(),
        unit: "By".to_owned(),
        data: Some(data),
        ..Metric::default()
    };
    all.into_iter().map(metric).collect()
}

fn exemplars() -> Vec<Exemplar> {
    vec![Exemplar {
        filtered_attributes: attributes(),
        time_unix_nano: START_UNIX_NANO + 3,
        span_id: Ids::new(7).span.to_vec(),
        trace_id: Ids::new(7).trace.to_vec(),
        value: Some(exemplar::Value::AsDouble(2.5)),
    }]
}

fn number(value: number_data_point::Value) -> NumberDataPoint {
    NumberDataPoint {
        attributes: attributes(),
        start_time_unix_nano: START_UNIX_NANO,
        time_unix_nano: END_UNIX_NANO,
        exemplars: exemplars(),
        flags: 0,
        value: Some(value),
    }
}

fn explicit() -> Histogram {
    let point = HistogramDataPoint {
        attributes: attributes(),
        start_time_unix_nano: START_UNIX_NANO,
        time_unix_nano: END_UNIX_NANO,
        count: 3,
        sum: Some(7.5),
        bucket_counts: vec![1, 2, 0],
        explicit_bounds: vec![1.0, 5.0],
        exemplars: exemplars(),
        flags: 0,
        min: Some(0.5),
        max: Some(4.0),
    };
    Histogram { data_points: vec![point], aggregation_temporality: AggregationTemporality::Delta.into() }
}

fn exponential() -> ExponentialHistogram {
    let point = ExponentialHistogramDataPoint {
        attributes: attributes(),
        start_time_unix_nano: START_UNIX_NANO,
        time_unix_nano: END_UNIX_NANO,
        count: 6,
        sum: Some(1.5),
        scale: 3,
        zero_count: 1,
        positive: Some(Buckets { offset: -4, bucket_counts: vec![1, 0, 3] }),
        negative: Some(Buckets { offset: 2, bucket_counts: vec![1] }),
        flags: 0,
        exemplars: exemplars(),
        min: Some(-2.0),
        max: Some(1.0),
        zero_threshold: 0.001,
    };
    let aggregation_temporality = AggregationTemporality::Delta.into();
    ExponentialHistogram { data_points: vec![point], aggregation_temporality }
}

fn summary() -> Summary {
    let point = SummaryDataPoint {
        attributes: attributes(),
        start_time_unix_nano: START_UNIX_NANO,
        time_unix_nano: END_UNIX_NANO,
        count: 2,
        sum: 3.0,
        quantile_values: vec![ValueAtQuantile { quantile: 0.5, value: 1.0 }],
        flags: 0,
    };
    Summary { data_points: vec![point] }
}

//! OTLP/JSON as others write it: converted, it must be the request that was written, for every signal.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList, any_value,
};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1 as metrics;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status, span};
use policy::Signal;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use prost::Message;
use wire::otlp::from_json;

const MAX: usize = 16 << 20;

/// What `sent` is, after someone else's JSON and our conversion.
#[track_caller]
fn back<M: Message + Default + serde::Serialize>(signal: Signal, sent: &M) -> M {
    let json = serde_json::to_vec(sent).expect("memory");
    let bytes = from_json(signal, &json, MAX)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&json)));
    M::decode(&bytes[..]).expect("what is written is valid")
}

fn double() -> impl Strategy<Value = f64> {
    // JSON has no word for the others: the tests beside the code have those.
    any::<f64>().prop_filter("finite", |value| value.is_finite())
}

fn any_value() -> impl Strategy<Value = AnyValue> {
    use any_value::Value;
    let leaf = prop_oneof![
        "\\PC{0,20}".prop_map(Value::StringValue),
        any::<bool>().prop_map(Value::BoolValue),
        any::<i64>().prop_map(Value::IntValue),
        double().prop_map(Value::DoubleValue),
        vec(any::<u8>(), 0..9).prop_map(Value::BytesValue),
    ];
    let any = |value| AnyValue { value: Some(value) };
    leaf.prop_map(any).prop_recursive(3, 12, 3, move |inner| {
        let list = vec(inner.clone(), 0..3)
            .prop_map(|values| AnyValue { value: Some(Value::ArrayValue(ArrayValue { values })) });
        let map = vec(("[a-z]{1,4}", inner), 0..3).prop_map(|members| {
            let values = members.into_iter().map(|(key, value)| key_value(key, value)).collect();
            AnyValue { value: Some(Value::KvlistValue(KeyValueList { values })) }
        });
        prop_oneof![list, map]
    })
}

fn key_value(key: String, value: AnyValue) -> KeyValue {
    KeyValue { key, value: Some(value), ..KeyValue::default() }
}

fn attributes() -> impl Strategy<Value = Vec<KeyValue>> {
    vec(("[a-z.]{1,9}", any_value()).prop_map(|(key, value)| key_value(key, value)), 0..4)
}

fn id<const N: usize>() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), N)
}

fn resource() -> impl Strategy<Value = Option<Resource>> {
    let some = (attributes(), any::<u32>()).prop_map(|(attributes, dropped)| Resource {
        attributes,
        dropped_attributes_count: dropped,
        ..Resource::default()
    });
    option::of(some)
}

fn scope() -> impl Strategy<Value = Option<InstrumentationScope>> {
    let some = ("\\PC{0,9}", "[0-9.]{0,5}", attributes()).prop_map(|(name, version, attributes)| {
        InstrumentationScope { name, version, attributes, ..InstrumentationScope::default() }
    });
    option::of(some)
}

fn any_span() -> impl Strategy<Value = Span> {
    let ids = (id::<16>(), id::<8>(), option::of(id::<8>()), "[a-z=,]{0,9}");
    let event = (any::<u64>(), "\\PC{0,9}", attributes(), any::<u32>()).prop_map(
        |(time_unix_nano, name, attributes, dropped_attributes_count)| span::Event {
            time_unix_nano,
            name,
            attributes,
            dropped_attributes_count,
        },
    );
    let link = (id::<16>(), id::<8>(), attributes(), any::<u32>()).prop_map(
        |(trace_id, span_id, attributes, flags)| span::Link {
            trace_id,
            span_id,
            attributes,
            flags,
            ..span::Link::default()
        },
    );
    let status = option::of(("\\PC{0,9}", 0..3_i32).prop_map(|(message, code)| Status { message, code }));
    let facts = (0..6_i32, any::<u64>(), any::<u64>(), any::<u32>(), "\\PC{0,20}");
    (ids, facts, attributes(), vec(event, 0..3), vec(link, 0..3), status).prop_map(
        |((trace_id, span_id, parent, trace_state), facts, attributes, events, links, status)| Span {
            trace_id,
            span_id,
            trace_state,
            parent_span_id: parent.unwrap_or_default(),
            kind: facts.0,
            start_time_unix_nano: facts.1,
            end_time_unix_nano: facts.2,
            flags: facts.3,
            dropped_links_count: facts.3 / 2,
            name: facts.4,
            attributes,
            events,
            links,
            status,
            ..Span::default()
        },
    )
}

fn any_record() -> impl Strategy<Value = LogRecord> {
    let facts = (any::<u64>(), any::<u64>(), 0..25_i32, "[A-Z]{0,5}", any::<u32>(), "[a-z]{0,5}");
    let ids = option::of((id::<16>(), id::<8>()));
    (facts, option::of(any_value()), attributes(), ids).prop_map(|(facts, body, attributes, ids)| {
        let (trace_id, span_id) = ids.unwrap_or_default();
        LogRecord {
            time_unix_nano: facts.0,
            observed_time_unix_nano: facts.1,
            severity_number: facts.2,
            severity_text: facts.3,
            flags: facts.4,
            event_name: facts.5,
            body,
            attributes,
            trace_id,
            span_id,
            ..LogRecord::default()
        }
    })
}

fn any_exemplar() -> impl Strategy<Value = metrics::Exemplar> {
    use metrics::exemplar::Value;
    let value =
        prop_oneof![double().prop_map(Value::AsDouble), any::<i64>().prop_map(Value::AsInt)].prop_map(Some);
    (attributes(), any::<u64>(), id::<8>(), id::<16>(), value).prop_map(
        |(filtered_attributes, time_unix_nano, span_id, trace_id, value)| metrics::Exemplar {
            filtered_attributes,
            time_unix_nano,
            span_id,
            trace_id,
            value,
        },
    )
}

fn any_number() -> impl Strategy<Value = metrics::NumberDataPoint> {
    use metrics::number_data_point::Value;
    let value =
        prop_oneof![double().prop_map(Value::AsDouble), any::<i64>().prop_map(Value::AsInt)].prop_map(Some);
    let facts = (any::<u64>(), any::<u64>(), any::<u32>());
    (facts, value, attributes(), vec(any_exemplar(), 0..2)).prop_map(
        |(facts, value, attributes, exemplars)| metrics::NumberDataPoint {
            start_time_unix_nano: facts.0,
            time_unix_nano: facts.1,
            flags: facts.2,
            value,
            attributes,
            exemplars,
        },
    )
}

fn any_histogram() -> impl Strategy<Value = metrics::HistogramDataPoint> {
    let facts = (any::<u64>(), any::<u64>(), any::<u64>());
    let some = (option::of(double()), option::of(double()), option::of(double()));
    (facts, some, vec(any::<u64>(), 0..4), vec(double(), 0..4), vec(any_exemplar(), 0..2)).prop_map(
        |(facts, some, bucket_counts, explicit_bounds, exemplars)| metrics::HistogramDataPoint {
            start_time_unix_nano: facts.0,
            time_unix_nano: facts.1,
            count: facts.2,
            sum: some.0,
            min: some.1,
            max: some.2,
            bucket_counts,
            explicit_bounds,
            exemplars,
            ..metrics::HistogramDataPoint::default()
        },
    )
}

fn any_exponential() -> impl Strategy<Value = metrics::ExponentialHistogramDataPoint> {
    use metrics::exponential_histogram_data_point::Buckets;
    let buckets = || {
        let some = (any::<i32>(), vec(any::<u64>(), 0..4));
        option::of(some.prop_map(|(offset, bucket_counts)| Buckets { offset, bucket_counts }))
    };
    let facts = (any::<u64>(), any::<u64>(), any::<i32>(), any::<u64>(), double());
    (facts, option::of(double()), buckets(), buckets(), attributes()).prop_map(
        |(facts, sum, positive, negative, attributes)| metrics::ExponentialHistogramDataPoint {
            time_unix_nano: facts.0,
            count: facts.1,
            scale: facts.2,
            zero_count: facts.3,
            zero_threshold: facts.4,
            sum,
            positive,
            negative,
            attributes,
            ..metrics::ExponentialHistogramDataPoint::default()
        },
    )
}

fn any_summary() -> impl Strategy<Value = metrics::SummaryDataPoint> {
    use metrics::summary_data_point::ValueAtQuantile;
    let quantile = (double(), double()).prop_map(|(quantile, value)| ValueAtQuantile { quantile, value });
    (any::<u64>(), any::<u64>(), double(), vec(quantile, 0..3)).prop_map(
        |(time_unix_nano, count, sum, quantile_values)| metrics::SummaryDataPoint {
            time_unix_nano,
            count,
            sum,
            quantile_values,
            ..metrics::SummaryDataPoint::default()
        },
    )
}

fn any_metric() -> impl Strategy<Value = metrics::Metric> {
    use metrics::metric::Data;
    let gauge = vec(any_number(), 0..3).prop_map(|data_points| Data::Gauge(metrics::Gauge { data_points }));
    let sum = (vec(any_number(), 0..3), 0..3_i32, any::<bool>()).prop_map(
        |(data_points, aggregation_temporality, is_monotonic)| {
            Data::Sum(metrics::Sum { data_points, aggregation_temporality, is_monotonic })
        },
    );
    let histogram =
        (vec(any_histogram(), 0..3), 0..3_i32).prop_map(|(data_points, aggregation_temporality)| {
            Data::Histogram(metrics::Histogram { data_points, aggregation_temporality })
        });
    let exponential =
        (vec(any_exponential(), 0..3), 0..3_i32).prop_map(|(data_points, aggregation_temporality)| {
            Data::ExponentialHistogram(metrics::ExponentialHistogram { data_points, aggregation_temporality })
        });
    let summary =
        vec(any_summary(), 0..3).prop_map(|data_points| Data::Summary(metrics::Summary { data_points }));
    let data = prop_oneof![gauge, sum, histogram, exponential, summary];
    ("[a-z.]{1,9}", "\\PC{0,9}", "[a-z]{0,3}", data, attributes()).prop_map(
        |(name, description, unit, data, metadata)| metrics::Metric {
            name,
            description,
            unit,
            metadata,
            data: Some(data),
        },
    )
}

fn any_traces() -> impl Strategy<Value = ExportTraceServiceRequest> {
    let scope = (scope(), vec(any_span(), 0..4), "[a-z:/]{0,9}")
        .prop_map(|(scope, spans, schema_url)| ScopeSpans { scope, spans, schema_url });
    let group = (resource(), vec(scope, 0..3), "[a-z:/]{0,9}")
        .prop_map(|(resource, scope_spans, schema_url)| ResourceSpans { resource, scope_spans, schema_url });
    vec(group, 0..3).prop_map(|resource_spans| ExportTraceServiceRequest { resource_spans })
}

fn any_logs() -> impl Strategy<Value = ExportLogsServiceRequest> {
    let scope = (scope(), vec(any_record(), 0..4), "[a-z:/]{0,9}")
        .prop_map(|(scope, log_records, schema_url)| ScopeLogs { scope, log_records, schema_url });
    let group = (resource(), vec(scope, 0..3)).prop_map(|(resource, scope_logs)| ResourceLogs {
        resource,
        scope_logs,
        schema_url: String::new(),
    });
    vec(group, 0..3).prop_map(|resource_logs| ExportLogsServiceRequest { resource_logs })
}

fn any_metrics() -> impl Strategy<Value = ExportMetricsServiceRequest> {
    let scope = (scope(), vec(any_metric(), 0..4)).prop_map(|(scope, list)| metrics::ScopeMetrics {
        scope,
        metrics: list,
        schema_url: String::new(),
    });
    let group = (resource(), vec(scope, 0..3)).prop_map(|(resource, scope_metrics)| {
        metrics::ResourceMetrics { resource, scope_metrics, schema_url: "s".into() }
    });
    vec(group, 0..3).prop_map(|resource_metrics| ExportMetricsServiceRequest { resource_metrics })
}

/// The same cases in every run: a failure anywhere is a failure everywhere.
fn fixed() -> ProptestConfig {
    ProptestConfig { rng_seed: RngSeed::Fixed(2_026), failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(fixed())]

    #[test]
    fn traces_come_back(sent in any_traces()) {
        prop_assert_eq!(back(Signal::Traces, &sent), sent);
    }

    #[test]
    fn metrics_come_back(sent in any_metrics()) {
        prop_assert_eq!(back(Signal::Metrics, &sent), sent);
    }

    #[test]
    fn logs_come_back(sent in any_logs()) {
        prop_assert_eq!(back(Signal::Logs, &sent), sent);
    }
}

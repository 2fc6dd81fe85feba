//! Metrics and logs against a full decode, and encodings that no SDK writes but a decoder must read.

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::{
    Gauge, Histogram, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, metric,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use policy::{Content, Entry, Signal};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use prost::Message;
use wire::otlp::{Identity, request, scan};

fn text(key: &str, value: &str) -> KeyValue {
    let value = any_value::Value::StringValue(value.to_owned());
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

fn resource(keys: &[String]) -> Option<Resource> {
    let attributes: Vec<_> = keys.iter().map(|key| text(key, "r")).collect();
    (!attributes.is_empty()).then(|| Resource { attributes, ..Resource::default() })
}

fn any_keys() -> impl Strategy<Value = Vec<String>> {
    vec("[a-z.]{1,9}", 0..4)
}

fn any_metric() -> impl Strategy<Value = Metric> {
    ("[a-z]{0,300}", 0..4_usize, 0..3_u8).prop_map(|(name, points, kind)| {
        let number = || vec![NumberDataPoint { time_unix_nano: 7, ..NumberDataPoint::default() }; points];
        let data = match kind {
            0 => metric::Data::Gauge(Gauge { data_points: number() }),
            1 => metric::Data::Sum(Sum { data_points: number(), is_monotonic: true, ..Sum::default() }),
            _ => {
                let data_points =
                    vec![HistogramDataPoint { count: 3, ..HistogramDataPoint::default() }; points];
                metric::Data::Histogram(Histogram { data_points, ..Histogram::default() })
            }
        };
        Metric { name, data: Some(data), ..Metric::default() }
    })
}

fn any_metrics() -> impl Strategy<Value = ExportMetricsServiceRequest> {
    let scope =
        vec(any_metric(), 0..4).prop_map(|metrics| ScopeMetrics { metrics, ..ScopeMetrics::default() });
    let group = (vec(scope, 0..3), any_keys()).prop_map(|(scope_metrics, keys)| ResourceMetrics {
        resource: resource(&keys),
        scope_metrics,
        ..ResourceMetrics::default()
    });
    vec(group, 0..3).prop_map(|resource_metrics| ExportMetricsServiceRequest { resource_metrics })
}

fn any_logs() -> impl Strategy<Value = ExportLogsServiceRequest> {
    let record = ("\\PC{0,200}", any::<u64>()).prop_map(|(body, time_unix_nano)| LogRecord {
        time_unix_nano,
        body: Some(AnyValue { value: Some(any_value::Value::StringValue(body)) }),
        ..LogRecord::default()
    });
    let scope = vec(record, 0..4).prop_map(|log_records| ScopeLogs { log_records, ..ScopeLogs::default() });
    let group = (vec(scope, 0..3), any_keys()).prop_map(|(scope_logs, keys)| ResourceLogs {
        resource: resource(&keys),
        scope_logs,
        ..ResourceLogs::default()
    });
    vec(group, 0..3).prop_map(|resource_logs| ExportLogsServiceRequest { resource_logs })
}

/// What a backend gets of `sent`, and how many items that is said to be.
fn passed_on(signal: Signal, sent: Vec<u8>, identity: &Identity) -> (Vec<u8>, u32) {
    let parcels = scan(signal, &sent.into()).expect("prost writes valid requests").receipt.parcels;
    let count = parcels.iter().map(|parcel| parcel.count).sum();
    let entries: Vec<_> = parcels
        .into_iter()
        .map(|parcel| Entry {
            signal,
            count: parcel.count,
            size: parcel.size,
            is_precious: false,
            content: Content::Received(parcel.body),
            stamp: None,
            shared: None,
        })
        .collect();
    (request(&entries, identity), count)
}

fn points(metric: &Metric) -> usize {
    match metric.data.as_ref().expect("each has data") {
        metric::Data::Gauge(gauge) => gauge.data_points.len(),
        metric::Data::Sum(sum) => sum.data_points.len(),
        metric::Data::Histogram(histogram) => histogram.data_points.len(),
        _ => 0,
    }
}

fn fixed() -> ProptestConfig {
    ProptestConfig { rng_seed: RngSeed::Fixed(2_026), failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(fixed())]

    #[test]
    fn metrics_are_the_same_to_a_decoder(sent in any_metrics()) {
        let (bytes, count) = passed_on(Signal::Metrics, sent.encode_to_vec(), &Identity::default());
        let metrics = sent.resource_metrics.iter().flat_map(|group| &group.scope_metrics).flat_map(|scope| &scope.metrics);
        let expected: usize = metrics.map(points).sum();
        prop_assert_eq!(count as usize, expected);
        // A group without a point has nothing to be sent for.
        let mut sent = sent;
        sent.resource_metrics.retain(|group| {
            group.scope_metrics.iter().flat_map(|scope| &scope.metrics).map(points).sum::<usize>() > 0
        });
        prop_assert_eq!(ExportMetricsServiceRequest::decode(&bytes[..]).expect("valid"), sent);
    }

    #[test]
    fn logs_are_the_same_to_a_decoder(sent in any_logs()) {
        let (bytes, count) = passed_on(Signal::Logs, sent.encode_to_vec(), &Identity::default());
        let scopes = sent.resource_logs.iter().flat_map(|group| &group.scope_logs);
        let expected: usize = scopes.map(|scope| scope.log_records.len()).sum();
        prop_assert_eq!(count as usize, expected);
        let mut sent = sent;
        sent.resource_logs.retain(|group| group.scope_logs.iter().any(|scope| !scope.log_records.is_empty()));
        prop_assert_eq!(ExportLogsServiceRequest::decode(&bytes[..]).expect("valid"), sent);
    }

    /// What a resource lacks is kept for the next request: that must not make a difference.
    #[test]
    fn a_resource_that_is_known_is_completed_as_one_that_is_not(sent in any_logs(), late in any::<bool>()) {
        let mut fresh = Identity::default();
        fresh.set("a", "ours");
        fresh.set("cloud.region", "eu-west-1");
        let mut knowing = fresh.clone();
        let bytes = Bytes::from(sent.encode_to_vec());
        if let Some(parcel) = scan(Signal::Logs, &bytes).expect("valid").receipt.parcels.first() {
            knowing.observe(&parcel.body);
        }
        if late {
            fresh.set("faas.instance", "2026/11/22/[$LATEST]1");
            knowing.set("faas.instance", "2026/11/22/[$LATEST]1");
        }
        let with = |identity| passed_on(Signal::Logs, bytes.to_vec(), identity).0;
        prop_assert_eq!(with(&knowing), with(&fresh));
    }
}

/// Wraps the bytes of a span into a request.
fn request_of(span: &[u8]) -> Bytes {
    let wrap = |tag: u8, content: &[u8]| {
        let mut out = vec![tag];
        prost::encode_length_delimiter(content.len(), &mut out).expect("memory");
        out.extend_from_slice(content);
        out
    };
    wrap(0x0a, &wrap(0x12, &wrap(0x12, span))).into()
}

/// Protobuf allows the fields of a message in any order, also those of a repeated field with others between them.
#[test]
fn attributes_are_found_wherever_they_stand() {
    let before = Span { attributes: vec![text("a", "b")], ..Span::default() };
    let ids = Span { trace_id: vec![1; 16], span_id: vec![2; 8], kind: 2, ..Span::default() };
    let long = "x".repeat(20_000);
    let rows = [text("faas.invocation_id", "request-1"), text(&long, &long)];
    for attributes in [rows.to_vec(), rows.iter().rev().cloned().collect()] {
        let after = Span { attributes, ..Span::default() };
        let split = [before.encode_to_vec(), ids.encode_to_vec(), after.encode_to_vec()].concat();
        let scanned = scan(Signal::Traces, &request_of(&split)).expect("valid");
        assert_eq!(scanned.receipt.spans[0].request_id.as_deref(), Some("request-1"));
    }
}

/// A number may take more bytes than it needs; and a run of attributes that ends early is no span.
#[test]
fn odd_lengths_are_read_and_wrong_ones_refused() {
    let span = Span { trace_id: vec![1; 16], span_id: vec![2; 8], ..Span::default() }.encode_to_vec();
    let padded = [&span[..], &[0x4a, 0x82, 0x80, 0x00, 0x0a, 0x00, 0x4a, 0x82, 0x00, 0x0a, 0x00]].concat();
    assert_eq!(scan(Signal::Traces, &request_of(&padded)).expect("valid").receipt.spans.len(), 1);
    for end in [&[0x4a_u8, 2, 0x0a, 0, 0x4a][..], &[0x4a, 2, 0x0a, 0, 0x4a, 9, 0x0a], &[0x4a, 0, 0x4a, 0x80]]
    {
        let short = [&span[..], end].concat();
        assert_eq!(
            scan(Signal::Traces, &request_of(&short)).expect("its envelope is whole").refused,
            1,
            "{end:?}"
        );
    }
}

/// Wraps a message of field `tag` into `content` around it.
fn field(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    prost::encode_length_delimiter(content.len(), &mut out).expect("memory");
    out.extend_from_slice(content);
    out
}

#[test]
fn one_record_or_metric_that_cannot_be_read_costs_no_other() {
    let record =
        LogRecord { body: None, severity_text: "INFO".into(), ..LogRecord::default() }.encode_to_vec();
    // Its severity's text is no text.
    let bad_record = [&record[..], &[0x1a, 1, 0xff]].concat();
    let gauge = field(0x2a, &field(0x0a, &[]));
    let metric = [&field(0x0a, b"m")[..], &gauge].concat();
    let bad_metric = [&field(0x0a, &[0xff])[..], &gauge].concat();
    for (signal, good, bad) in [(Signal::Logs, record, bad_record), (Signal::Metrics, metric, bad_metric)] {
        let scope = [&good, &bad, &good].map(|item| field(0x12, item)).concat();
        let request = Bytes::from(field(0x0a, &field(0x12, &scope)));
        let scanned = scan(signal, &request).expect("its envelope is whole");
        let count = scanned.receipt.parcels[0].count;
        assert_eq!((count, scanned.refused), (2, 1), "{signal:?}");
        let passed = passed_on(signal, request.to_vec(), &Identity::default());
        let expected = field(0x0a, &field(0x12, &[&good, &good].map(|item| field(0x12, item)).concat()));
        assert_eq!(passed, (expected, 2), "{signal:?}");
    }
}

#[test]
fn what_holds_nothing_is_not_remembered_and_there_is_an_end_to_what_is() {
    let empty = Bytes::from([0x0a, 0].repeat(100_000));
    for signal in Signal::ALL {
        let scanned = scan(signal, &empty).expect("it is protobuf");
        assert_eq!((scanned.receipt.spans.len(), scanned.receipt.parcels.len()), (0, 0));
    }
    let span = Span { trace_id: vec![1; 16], span_id: vec![2; 8], ..Span::default() }.encode_to_vec();
    let many = Bytes::from(request_of(&span).repeat(40_000));
    let scanned = scan(Signal::Traces, &many).expect("it is protobuf");
    assert_eq!((scanned.receipt.spans.len(), scanned.refused), (32_768, 40_000 - 32_768));
}

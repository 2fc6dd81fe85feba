//! Requests of metrics and logs that are cut for a backend that takes no more at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::metrics::v1::{
    Gauge, HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, metric,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use policy::{Body as _, Content, Entry, Parcel, RequestLimit, Signal};
use prost::Message;
use wire::otlp::{Body, Identity, keep, request, scan_within};

fn text(key: &str, value: &str) -> KeyValue {
    let value = Some(AnyValue { value: Some(Value::StringValue(value.to_owned())) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

fn scope(name: usize) -> Option<InstrumentationScope> {
    Some(InstrumentationScope { name: format!("scope {name}"), ..InstrumentationScope::default() })
}

fn resource(name: usize) -> Option<Resource> {
    let attributes = vec![text("service.name", &format!("service {name}"))];
    Some(Resource { attributes, ..Resource::default() })
}

/// Three resources of two scopes each, with a sum, a gauge and a histogram of so many points.
fn metrics(points: i64) -> ExportMetricsServiceRequest {
    let number = |at| NumberDataPoint { value: Some(Number::AsInt(at)), ..NumberDataPoint::default() };
    let metric = |name: &str, data| Metric {
        name: name.to_owned(),
        unit: "{item}".to_owned(),
        metadata: vec![text("of", name)],
        data: Some(data),
        ..Metric::default()
    };
    let scope_metrics = |name| {
        let sum = Sum {
            data_points: (0..points).map(number).collect(),
            aggregation_temporality: 2,
            is_monotonic: true,
        };
        let gauge = Gauge { data_points: (0..points).map(number).collect() };
        let histogram = opentelemetry_proto::tonic::metrics::v1::Histogram {
            data_points: (0..points.cast_unsigned())
                .map(|count| HistogramDataPoint { count, ..HistogramDataPoint::default() })
                .collect(),
            aggregation_temporality: 1,
        };
        let metrics = vec![
            metric("sum", metric::Data::Sum(sum)),
            metric("gauge", metric::Data::Gauge(gauge)),
            metric("histogram", metric::Data::Histogram(histogram)),
        ];
        ScopeMetrics { scope: scope(name), metrics, schema_url: "https://schema".to_owned() }
    };
    let group = |name| ResourceMetrics {
        resource: resource(name),
        scope_metrics: (0..2).map(scope_metrics).collect(),
        schema_url: "https://schema".to_owned(),
    };
    ExportMetricsServiceRequest { resource_metrics: (0..3).map(group).collect() }
}

/// Where each point is, what is around it, and what it says.
fn points_of(request: &ExportMetricsServiceRequest) -> Vec<String> {
    let mut found = Vec::new();
    for group in &request.resource_metrics {
        for scope in &group.scope_metrics {
            for metric in &scope.metrics {
                let around = Metric { data: None, ..metric.clone() };
                let mut note = |kind: &str, point: &dyn std::fmt::Debug| {
                    let (resource, of) = (&group.resource, &scope.scope);
                    let schemas = [&group.schema_url, &scope.schema_url];
                    found.push(format!("{resource:?} {of:?} {schemas:?} {around:?} {kind} {point:?}"));
                };
                match metric.data.as_ref().expect("it has data") {
                    metric::Data::Sum(sum) => {
                        let kind = format!("{} {}", sum.aggregation_temporality, sum.is_monotonic);
                        sum.data_points.iter().for_each(|point| note(&kind, point));
                    }
                    metric::Data::Gauge(gauge) => {
                        gauge.data_points.iter().for_each(|point| note("gauge", point));
                    }
                    metric::Data::Histogram(histogram) => {
                        let kind = format!("histogram {}", histogram.aggregation_temporality);
                        histogram.data_points.iter().for_each(|point| note(&kind, point));
                    }
                    _ => panic!("no such data was sent"),
                }
            }
        }
    }
    found
}

fn parcels(signal: Signal, sent: &impl Message, limit: RequestLimit) -> Vec<Parcel<Body>> {
    let bytes = Bytes::from(sent.encode_to_vec());
    scan_within(signal, &bytes, limit).expect("valid").receipt.parcels
}

/// The request that a parcel leaves in.
fn leaving(parcel: &Parcel<Body>) -> Vec<u8> {
    let content = Content::Received(parcel.body.clone());
    let Parcel { signal, count, size, .. } = *parcel;
    let entry = Entry { signal, count, size, is_precious: false, content, stamp: None, shared: None };
    request(&[entry], &Identity::default())
}

#[test]
fn points_are_in_pieces_within_the_limit_and_each_in_one() {
    let rows = [
        // Points of each metric, and the limit.
        (40, RequestLimit { items: 1_000, ..RequestLimit::NONE }, 1),
        (40, RequestLimit { items: 719, ..RequestLimit::NONE }, 2),
        (40, RequestLimit { items: 100, ..RequestLimit::NONE }, 9),
        (40, RequestLimit { items: 7, ..RequestLimit::NONE }, 108),
        (1, RequestLimit { items: 1, ..RequestLimit::NONE }, 18),
        (400, RequestLimit { bytes: 20_000, ..RequestLimit::NONE }, 5),
        (400, RequestLimit { bytes: 4_000, items: 150, ..RequestLimit::NONE }, 50),
        // There are three resources.
        (1, RequestLimit { parts_resources: true, ..RequestLimit::NONE }, 3),
        (40, RequestLimit { items: 719, parts_resources: true, ..RequestLimit::NONE }, 3),
    ];
    for (points, limit, at_least) in rows {
        let sent = metrics(points);
        let parcels = parcels(Signal::Metrics, &sent, limit);
        assert!((at_least..=at_least * 2).contains(&parcels.len()), "{limit:?}: {}", parcels.len());
        let mut found = Vec::new();
        for parcel in &parcels {
            let bytes = leaving(parcel);
            assert!(bytes.len() <= limit.bytes, "{limit:?}: {} bytes", bytes.len());
            let piece = points_of(&ExportMetricsServiceRequest::decode(&bytes[..]).expect("decodes"));
            assert!(piece.len() <= limit.items, "{limit:?}: {} points", piece.len());
            assert_eq!(piece.len(), parcel.count as usize);
            assert!(parcel.body.resources() == 1 || !limit.parts_resources, "{limit:?}");
            found.extend(piece);
        }
        assert_eq!(found, points_of(&sent), "{limit:?}");
    }
}

#[test]
fn records_are_in_pieces_within_the_limit_and_each_in_one() {
    let record = |number: usize| {
        let body = Some(AnyValue { value: Some(Value::StringValue(format!("{number:0>200}"))) });
        LogRecord { body, ..LogRecord::default() }
    };
    let scope_logs = |name| ScopeLogs {
        scope: scope(name),
        log_records: (0..50).map(record).collect(),
        ..ScopeLogs::default()
    };
    let group = |name| ResourceLogs {
        resource: resource(name),
        scope_logs: (0..2).map(scope_logs).collect(),
        ..ResourceLogs::default()
    };
    let sent = ExportLogsServiceRequest { resource_logs: (0..2).map(group).collect() };
    for limit in [
        RequestLimit { bytes: 6_000, ..RequestLimit::NONE },
        RequestLimit { items: 30, ..RequestLimit::NONE },
        RequestLimit { bytes: 6_000, items: 10, ..RequestLimit::NONE },
    ] {
        let records = |request: &ExportLogsServiceRequest| -> Vec<String> {
            let groups = request.resource_logs.iter();
            let scopes =
                groups.flat_map(|group| group.scope_logs.iter().map(move |scope| (&group.resource, scope)));
            let of = |(resource, scope): (&Option<Resource>, &ScopeLogs)| -> Vec<String> {
                let each = scope.log_records.iter();
                each.map(|record| format!("{resource:?} {:?} {record:?}", scope.scope)).collect()
            };
            scopes.flat_map(of).collect()
        };
        let mut found = Vec::new();
        for parcel in parcels(Signal::Logs, &sent, limit) {
            let bytes = leaving(&parcel);
            assert!(bytes.len() <= limit.bytes, "{limit:?}: {} bytes", bytes.len());
            let piece = records(&ExportLogsServiceRequest::decode(&bytes[..]).expect("decodes"));
            assert!(piece.len() <= limit.items, "{limit:?}: {} records", piece.len());
            found.extend(piece);
        }
        assert_eq!(found, records(&sent), "{limit:?}");
    }
}

/// What is too large by itself goes alone: the backend has the last word.
#[test]
fn what_cannot_be_cut_is_a_piece() {
    let record = |length: usize| {
        let body = Some(AnyValue { value: Some(Value::StringValue("x".repeat(length))) });
        LogRecord { body, ..LogRecord::default() }
    };
    let log_records = [10, 9_000, 10].map(record).into();
    let scope_logs = vec![ScopeLogs { log_records, ..ScopeLogs::default() }];
    let sent = ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs { scope_logs, ..ResourceLogs::default() }],
    };
    let parcels =
        parcels(Signal::Logs, &sent, RequestLimit { bytes: 5_000, items: 10, ..RequestLimit::NONE });
    let counts: Vec<_> = parcels.iter().map(|parcel| (parcel.count, parcel.size > 5_000)).collect();
    assert_eq!(counts, [(1, false), (1, true), (1, false)]);
}

/// Its record is settled when the last piece is let go of.
#[test]
fn the_record_of_a_request_stays_for_all_of_its_pieces() {
    struct Record(Arc<AtomicBool>);
    impl wire::otlp::Record for Record {
        fn leave_out(&self, _spans: &[u32]) {}
    }
    impl Drop for Record {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let bytes = Bytes::from(metrics(10).encode_to_vec());
    let limit = RequestLimit { items: 50, ..RequestLimit::NONE };
    let mut receipt = scan_within(Signal::Metrics, &bytes, limit).expect("valid").receipt;
    let is_settled = Arc::new(AtomicBool::new(false));
    keep(&receipt, Record(is_settled.clone()));
    assert!(receipt.parcels.len() > 2);
    while let Some(parcel) = receipt.parcels.pop() {
        assert!(!is_settled.load(Ordering::Relaxed), "{} pieces are held", receipt.parcels.len() + 1);
        drop(parcel);
    }
    assert!(is_settled.load(Ordering::Relaxed));
}

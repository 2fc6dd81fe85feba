//! Metrics as OTLP and as CloudWatch's lines, against decoders that are not ours.

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::metrics::v1::{Metric as Sent, metric::Data, number_data_point};
use policy::{
    Buckets, Content, Entry, Histogram, Measured, Metric, Point, Reading, Signal, Temporality, UnixNanos,
};
use prost::Message;
use wire::otlp::{Body, Identity, request, scan};

const BOUNDS: &[f64] = &[0.1, 1.0];

fn point(metric: Metric, class: Option<&str>, reading: Reading) -> Point {
    let attributes = class.map(|class| ("error.type", class.into())).into_iter().collect();
    Point { metric, attributes, is_overflow: false, reading }
}

fn exponential(offset: i32, counts: Vec<u64>) -> Histogram {
    let count = 3 + counts.iter().sum::<u64>();
    let buckets = Buckets::Exponential { scale: 3, zeros: 3, offset, counts };
    Histogram { count, sum: 7.5, min: 0.0, max: 4.0, buckets }
}

fn measured() -> Measured {
    let explicit = Buckets::Explicit { bounds: BOUNDS, counts: vec![1, 2, 3] };
    let explicit = Histogram { count: 6, sum: 9.0, min: 0.05, max: 3.0, buckets: explicit };
    let mut rest = point(Metric::Errors, None, Reading::Int(2));
    rest.is_overflow = true;
    let points = vec![
        point(Metric::Invocations, None, Reading::Int(1 << 40)),
        point(Metric::Errors, Some("Function.Error"), Reading::Int(3)),
        rest,
        point(Metric::InvokeDuration, None, Reading::Histogram(exponential(-9, vec![1, 0, 300]))),
        point(Metric::InvokeDuration, Some("timeout"), Reading::Histogram(exponential(4, vec![5]))),
        point(Metric::Duration, None, Reading::Histogram(explicit)),
        point(Metric::Held, None, Reading::Int(-4)),
        point(Metric::FlushContinuous, None, Reading::Int(1)),
    ];
    let [begun, start, at] = [5, 10, 20_000_000].map(UnixNanos);
    Measured { begun, start, at, temporality: Temporality::Delta, points }
}

fn encoded() -> Vec<u8> {
    encode(measured())
}

fn encode(measured: Measured) -> Vec<u8> {
    let count = measured.points.len() as u32;
    let content: Content<Body> = Content::Measured(measured.into());
    let mut identity = Identity::default();
    identity.set("service.name", "payments");
    request(
        &[Entry {
            signal: Signal::Metrics,
            count,
            size: 1,
            is_precious: true,
            content,
            stamp: None,
            shared: None,
        }],
        &identity,
    )
}

fn sent() -> Vec<Sent> {
    decoded(&encoded())
}

fn decoded(encoded: &[u8]) -> Vec<Sent> {
    let request = ExportMetricsServiceRequest::decode(encoded).expect("a valid request");
    let [group] = &request.resource_metrics[..] else { panic!("one resource: {request:?}") };
    assert_eq!(group.resource.as_ref().map(|resource| resource.attributes.len()), Some(1));
    group.scope_metrics[0].metrics.clone()
}

#[test]
fn a_decoder_reads_what_was_measured() {
    let sent = sent();
    let names: Vec<_> = sent.iter().map(|metric| metric.name.as_str()).collect();
    let expected = [
        "faas.invocations",
        "faas.errors",
        "faas.invoke_duration",
        "aws.lambda.duration",
        "prefreeze.items.held",
        "prefreeze.flush.continuous",
    ];
    assert_eq!(names, expected);
    let Some(Data::Sum(errors)) = &sent[1].data else { panic!("{:?}", sent[1]) };
    assert_eq!((errors.aggregation_temporality, errors.is_monotonic), (1, true), "delta");
    let of_rest = &errors.data_points[1];
    assert_eq!(of_rest.attributes[0].key, "otel.metric.overflow");
    let flag = of_rest.attributes[0].value.as_ref().and_then(|value| value.value.clone());
    assert_eq!(flag, Some(Value::BoolValue(true)));
    assert_eq!((of_rest.start_time_unix_nano, of_rest.time_unix_nano), (10, 20_000_000));
    let Some(Data::ExponentialHistogram(durations)) = &sent[2].data else { panic!("{:?}", sent[2]) };
    let first = &durations.data_points[0];
    let positive = first.positive.as_ref().expect("buckets");
    assert_eq!((first.scale, first.zero_count, first.count, first.sum), (3, 3, 304, Some(7.5)));
    assert_eq!((positive.offset, &positive.bucket_counts[..]), (-9, &[1, 0, 300][..]));
    assert_eq!((first.min, first.max), (Some(0.0), Some(4.0)));
    assert_eq!(durations.data_points[1].attributes[0].key, "error.type");
    let Some(Data::Histogram(given)) = &sent[3].data else { panic!("{:?}", sent[3]) };
    let given = &given.data_points[0];
    assert_eq!((&given.bucket_counts[..], &given.explicit_bounds[..]), (&[1, 2, 3][..], BOUNDS));
    assert_eq!((given.count, given.min, given.max), (6, Some(0.05), Some(3.0)));
    let Some(Data::Sum(held)) = &sent[4].data else { panic!("{:?}", sent[4]) };
    assert_eq!((held.aggregation_temporality, held.is_monotonic), (2, false), "cumulative");
    assert_eq!(held.data_points[0].start_time_unix_nano, 5);
    assert_eq!(held.data_points[0].value, Some(number_data_point::Value::AsInt(-4)));
    assert!(matches!(&sent[5].data, Some(Data::Gauge(gauge)) if gauge.data_points.len() == 1));
}

/// What a store needs that knows a series by its totals: they say so, and since when they count.
#[test]
fn totals_count_from_the_begin_of_the_environment() {
    let sent = decoded(&encode(Measured { temporality: Temporality::Cumulative, ..measured() }));
    let told: Vec<_> = sent
        .iter()
        .filter_map(|metric| match metric.data.as_ref()? {
            Data::Sum(sum) => Some((sum.aggregation_temporality, sum.data_points[0].start_time_unix_nano)),
            Data::Histogram(of) => Some((of.aggregation_temporality, of.data_points[0].start_time_unix_nano)),
            Data::ExponentialHistogram(of) => {
                Some((of.aggregation_temporality, of.data_points[0].start_time_unix_nano))
            }
            _ => None,
        })
        .collect();
    assert_eq!(told, [(2, 5); 5]);
}

#[test]
fn what_was_parked_comes_back_with_its_count() {
    let scanned = scan(Signal::Metrics, &Bytes::from(encoded())).expect("valid");
    let counts: Vec<_> = scanned.receipt.parcels.iter().map(|parcel| parcel.count).collect();
    assert_eq!(counts, [8]);
}

#[test]
fn a_line_for_cloudwatch_has_its_form() {
    let line = wire::emf::line(&measured(), "Prefreeze", "orders").expect("something to tell");
    assert!(!line.contains('\n'));
    let line: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!(line["_aws"]["Timestamp"], 20);
    let directive = &line["_aws"]["CloudWatchMetrics"][0];
    assert_eq!(directive["Namespace"], "Prefreeze");
    assert_eq!(directive["Dimensions"], serde_json::json!([["FunctionName"]]));
    assert_eq!(line["FunctionName"], "orders");
    let defined: Vec<_> = directive["Metrics"]
        .as_array()
        .expect("an array")
        .iter()
        .map(|metric| metric["Name"].clone())
        .collect();
    assert_eq!(defined, ["faas.invocations", "faas.errors", "faas.invoke_duration", "aws.lambda.duration"]);
    assert!(defined.iter().all(|name| !line[name.as_str().expect("a name")].is_null()));
    assert_eq!(directive["Metrics"][2]["Unit"], "Seconds");
    assert_eq!(line["faas.errors"], 5, "all series together");
    // 312 values do not fit into an array: values with counts.
    assert_eq!(line["faas.invoke_duration"]["Count"], 312);
    let counts = line["faas.invoke_duration"]["Counts"].as_array().expect("counts");
    assert_eq!(counts.iter().filter_map(serde_json::Value::as_u64).sum::<u64>(), 312);
    assert_eq!(line["aws.lambda.duration"].as_array().map(Vec::len), Some(6));
}

//! Metrics of which a rule makes points alike, built and read by a library that knows nothing of the guard.

use bytes::Bytes;
use guard::{Attributes, Guard, Limits, Redaction, Rules};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram,
    HistogramDataPoint, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, Summary,
    SummaryDataPoint, metric,
};
use policy::Signal;
use prost::Message;

const DELTA: i32 = AggregationTemporality::Delta as i32;
const CUMULATIVE: i32 = AggregationTemporality::Cumulative as i32;

fn text(key: &str, value: &str) -> KeyValue {
    let value = AnyValue { value: Some(Value::StringValue(value.into())) };
    KeyValue { key: key.into(), value: Some(value), ..KeyValue::default() }
}

/// Of user `index`, by card.
fn of(index: usize) -> Vec<KeyValue> {
    vec![text("user", &format!("user-{index}")), text("method", "card")]
}

fn guard() -> Guard {
    let (attributes, faults) = Attributes::parse(r#"{"dimensions":2}"#, None);
    assert_eq!(faults, Vec::<String>::new());
    let (redaction, attributes) = (Redaction::default(), Some(attributes));
    Guard::new(Rules { redaction, limits: Limits::NONE, attributes }).expect("rules")
}

fn request(data: metric::Data) -> Bytes {
    let metric = Metric { name: "m".into(), unit: "1".into(), data: Some(data), ..Metric::default() };
    let scope_metrics = vec![ScopeMetrics { metrics: vec![metric], ..ScopeMetrics::default() }];
    let group = ResourceMetrics { scope_metrics, ..ResourceMetrics::default() };
    ExportMetricsServiceRequest { resource_metrics: vec![group] }.encode_to_vec().into()
}

fn data_of(bytes: &[u8]) -> metric::Data {
    let mut request = ExportMetricsServiceRequest::decode(bytes).expect("decodes");
    let mut metric = request.resource_metrics.remove(0).scope_metrics.remove(0).metrics.remove(0);
    assert_eq!((&*metric.name, &*metric.unit), ("m", "1"));
    metric.data.take().expect("it has data")
}

/// What leaves of `data`, and how many points became part of another; the second time nothing changes.
fn pass(data: metric::Data) -> (metric::Data, u64) {
    let mut guard = guard();
    let guarded = guard.apply(Signal::Metrics, request(data)).expect("a good request");
    let merged = guard.counts().merged_points;
    let again = guard.apply(Signal::Metrics, guarded.clone()).expect("a good request");
    assert_eq!(again, guarded, "once is enough");
    (data_of(&guarded), merged)
}

fn number(index: usize, times: (u64, u64), value: Number) -> NumberDataPoint {
    NumberDataPoint {
        attributes: of(index),
        start_time_unix_nano: times.0,
        time_unix_nano: times.1,
        value: Some(value),
        ..NumberDataPoint::default()
    }
}

fn sum(temporality: i32, points: Vec<NumberDataPoint>) -> metric::Data {
    metric::Data::Sum(Sum { data_points: points, aggregation_temporality: temporality, is_monotonic: true })
}

fn points_of(data: metric::Data) -> Vec<NumberDataPoint> {
    match data {
        metric::Data::Sum(sum) => sum.data_points,
        metric::Data::Gauge(gauge) => gauge.data_points,
        other => panic!("{other:?}"),
    }
}

fn user(attributes: &[KeyValue]) -> String {
    let found = attributes.iter().find(|pair| pair.key == "user").and_then(|pair| pair.value.clone());
    match found.and_then(|any| any.value) {
        Some(Value::StringValue(text)) => text,
        other => panic!("{other:?}"),
    }
}

#[test]
fn sums_are_added() {
    for temporality in [DELTA, CUMULATIVE] {
        let points = (0..6).map(|index| number(index, (10 + index as u64, 100), Number::AsInt(1 << index)));
        let (data, merged) = pass(sum(temporality, points.collect()));
        let points = points_of(data);
        assert_eq!(
            points.iter().map(|point| user(&point.attributes)).collect::<Vec<_>>(),
            ["user-0", "user-1", "other"]
        );
        assert_eq!(points[1], number(1, (11, 100), Number::AsInt(2)), "what is not alike is untouched");
        let other = &points[2];
        assert_eq!(other.value, Some(Number::AsInt(4 + 8 + 16 + 32)));
        assert_eq!((other.start_time_unix_nano, other.time_unix_nano, merged), (12, 100, 3));
        assert_eq!(other.attributes[1], text("method", "card"));
    }
}

#[test]
fn a_cumulative_series_that_comes_twice_counts_once() {
    let points = |temporality| {
        let twice = [(3, 100, 5), (3, 200, 7), (4, 200, 100)];
        let all = (0..2).map(|index| (index, 200, 0)).chain(twice);
        sum(
            temporality,
            all.map(|(index, time, value)| number(index, (1, time), Number::AsInt(value))).collect(),
        )
    };
    for (temporality, expected) in [(CUMULATIVE, 107), (DELTA, 112)] {
        let points = points_of(pass(points(temporality)).0);
        assert_eq!((points.len(), points[2].value), (3, Some(Number::AsInt(expected))));
    }
}

#[test]
fn whole_and_broken_numbers_add_up() {
    let values =
        [Number::AsInt(0), Number::AsInt(0), Number::AsInt(1), Number::AsDouble(0.5), Number::AsInt(2)];
    let points = values.into_iter().enumerate().map(|(index, value)| number(index, (1, 2), value));
    let points = points_of(pass(sum(DELTA, points.collect())).0);
    assert_eq!(points[2].value, Some(Number::AsDouble(3.5)));
}

#[test]
fn of_gauges_the_last_one_stays() {
    let points = [(0, 1), (1, 1), (2, 50), (3, 90), (4, 70)];
    let points = points.map(|(index, time)| number(index, (0, time), Number::AsDouble(time as f64)));
    let (data, merged) = pass(metric::Data::Gauge(Gauge { data_points: points.to_vec() }));
    let points = points_of(data);
    assert_eq!((points.len(), points[2].value, merged), (3, Some(Number::AsDouble(90.0)), 2));
    assert_eq!(user(&points[2].attributes), "other");
}

#[test]
fn a_point_without_a_value_takes_nothing_away() {
    let mut points: Vec<_> = (0..5).map(|index| number(index, (1, 2), Number::AsInt(7))).collect();
    points[2] = NumberDataPoint { value: None, flags: 1, ..points[2].clone() };
    points[4] = NumberDataPoint { value: None, flags: 1, ..points[4].clone() };
    let points = points_of(pass(sum(DELTA, points)).0);
    assert_eq!((points.len(), points[2].value, points[2].flags), (3, Some(Number::AsInt(7)), 0));
}

fn histogram(index: usize, bounds: &[f64]) -> HistogramDataPoint {
    HistogramDataPoint {
        attributes: of(index),
        time_unix_nano: 9,
        count: 6,
        sum: Some(2.5),
        min: Some(index as f64),
        max: Some(10.0 * index as f64),
        bucket_counts: (1..=bounds.len() as u64 + 1).collect(),
        explicit_bounds: bounds.to_vec(),
        exemplars: vec![Exemplar { time_unix_nano: index as u64, ..Exemplar::default() }],
        ..HistogramDataPoint::default()
    }
}

fn histograms(points: Vec<HistogramDataPoint>) -> Vec<HistogramDataPoint> {
    let sent = Histogram { data_points: points, aggregation_temporality: DELTA };
    match pass(metric::Data::Histogram(sent)).0 {
        metric::Data::Histogram(histogram) => {
            assert_eq!(histogram.aggregation_temporality, DELTA);
            histogram.data_points
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn histograms_with_the_same_bounds_are_added() {
    let points = histograms((0..5).map(|index| histogram(index, &[1.0, 5.0])).collect());
    assert_eq!((points.len(), &points[0]), (3, &histogram(0, &[1.0, 5.0])));
    let other = &points[2];
    assert_eq!((other.count, other.sum, other.min, other.max), (18, Some(7.5), Some(2.0), Some(40.0)));
    assert_eq!((&other.bucket_counts[..], &other.explicit_bounds[..]), (&[3, 6, 9][..], &[1.0, 5.0][..]));
    assert_eq!(other.exemplars.iter().map(|exemplar| exemplar.time_unix_nano).collect::<Vec<_>>(), [2, 3, 4]);
}

#[test]
fn of_histograms_with_other_bounds_count_and_sum_stay() {
    let bounds = [&[1.0][..], &[1.0], &[1.0], &[2.0, 3.0]];
    let points =
        histograms(bounds.iter().enumerate().map(|(index, bounds)| histogram(index, bounds)).collect());
    let other = &points[2];
    assert_eq!((other.count, other.sum), (12, Some(5.0)));
    assert!(other.bucket_counts.is_empty() && other.explicit_bounds.is_empty());
}

#[test]
fn exponential_histograms_are_added_at_the_coarser_scale() {
    let point = |index: usize| ExponentialHistogramDataPoint {
        attributes: of(index),
        time_unix_nano: 9,
        count: 4,
        sum: Some(1.5),
        scale: index as i32,
        zero_count: 1,
        positive: Some(Buckets { offset: 4 << index, bucket_counts: vec![3] }),
        negative: Some(Buckets::default()),
        ..ExponentialHistogramDataPoint::default()
    };
    let sent = ExponentialHistogram {
        data_points: (0..4).map(point).collect(),
        aggregation_temporality: CUMULATIVE,
    };
    let metric::Data::ExponentialHistogram(got) = pass(metric::Data::ExponentialHistogram(sent)).0 else {
        panic!("another kind")
    };
    let other = &got.data_points[2];
    assert_eq!((got.data_points.len(), other.count, other.sum), (3, 8, Some(3.0)));
    assert_eq!((other.scale, other.zero_count), (2, 2));
    // 16 at scale 2, and 32 at scale 3, which is 16 at scale 2.
    assert_eq!(other.positive, Some(Buckets { offset: 16, bucket_counts: vec![6] }));
}

#[test]
fn of_summaries_count_and_sum_stay() {
    let point =
        |index: usize| SummaryDataPoint { attributes: of(index), count: 2, sum: 1.0, ..Default::default() };
    let sent = Summary { data_points: (0..5).map(point).collect() };
    let metric::Data::Summary(got) = pass(metric::Data::Summary(sent)).0 else { panic!("another kind") };
    assert_eq!((got.data_points.len(), got.data_points[2].count, got.data_points[2].sum), (3, 6, 3.0));
}

#[test]
fn what_the_function_says_twice_and_no_rule_touches_stays() {
    let points = vec![number(0, (1, 2), Number::AsInt(1)), number(0, (1, 2), Number::AsInt(1))];
    let (data, merged) = pass(sum(DELTA, points.clone()));
    assert_eq!((points_of(data), merged), (points, 0));
}

#[test]
fn values_that_redaction_makes_alike_are_one_series_too() {
    let (redaction, _) = Redaction::parse(r#"["emails"]"#, None);
    let mut guard = Guard::new(Rules { redaction, limits: Limits::NONE, attributes: None }).expect("rules");
    let points = ["jane@example.com", "john@example.com"].map(|mail| NumberDataPoint {
        attributes: vec![text("customer", mail)],
        value: Some(Number::AsInt(2)),
        ..NumberDataPoint::default()
    });
    let guarded = guard.apply(Signal::Metrics, request(sum(DELTA, points.to_vec()))).expect("good");
    let points = points_of(data_of(&guarded));
    assert_eq!((points.len(), points[0].value), (1, Some(Number::AsInt(4))));
    assert_eq!(points[0].attributes, [text("customer", "****@example.com")]);
}

#[test]
fn a_hundred_thousand_points_made_one_take_no_age() {
    let points = (0..100_000).map(|index| number(index, (1, 2), Number::AsInt(1)));
    let points = points_of(pass(sum(CUMULATIVE, points.collect())).0);
    assert_eq!((points.len(), points[2].value), (3, Some(Number::AsInt(99_998))));
}

/// Of a metric with more points than can be put together nothing is made alike: it is refused alone.
#[test]
fn a_metric_of_more_points_than_can_be_put_together_is_refused_alone() {
    for (count, refused) in [(131_071, 0), (131_072, 1)] {
        let mut points = vec![NumberDataPoint::default(); count];
        points.push(NumberDataPoint { attributes: of(1), ..NumberDataPoint::default() });
        let mut guard = guard();
        let gauge = metric::Data::Gauge(Gauge { data_points: points });
        let left = guard.apply(Signal::Metrics, request(gauge)).expect("a request");
        assert_eq!(guard.limited().refused, refused);
        assert_eq!(left.len() > count, refused == 0);
    }
}

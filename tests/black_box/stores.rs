//! The points of the real binary in metric stores, by the rules that those document: which queries give the true count, and
//! which do not. `tests/foreign` asks the stores themselves, where they are installed.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{AggregationTemporality, number_data_point};
use tests::collector::{Collector, Decoded, attribute_text};
use tests::otlp::{self, Ids};

use super::world::{World, server_span};

const TEMPORALITY: &str = "PREFREEZE_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE";
/// How often environments are invoked: from a single invocation with the environment's end to an hour of them.
const LIVES: [&[u64]; 4] = [&[3], &[12, 12], &[3, 3, 3, 3], &[60, 7]];

/// A point of `faas.invocations`: since when, at when, and the value.
type Point = (u64, u64, f64);

/// What the backend has of `faas.invocations`, by the environment that it is of.
fn series(collector: &Collector, temporality: AggregationTemporality) -> BTreeMap<String, Vec<Point>> {
    let mut series: BTreeMap<String, Vec<Point>> = BTreeMap::new();
    for request in collector.requests().into_iter().filter(tests::collector::Request::is_taken) {
        let Decoded::Metrics(request) = request.decoded else { continue };
        for group in request.resource_metrics {
            let resource = group.resource.expect("a resource");
            let instance = attribute_text(&resource.attributes, "service.instance.id").expect("an identity");
            let metrics = group.scope_metrics.into_iter().flat_map(|scope| scope.metrics);
            for metric in metrics.filter(|metric| metric.name == "faas.invocations") {
                let Some(Data::Sum(sum)) = metric.data else { panic!("a sum") };
                assert_eq!((sum.aggregation_temporality, sum.is_monotonic), (temporality as i32, true));
                series.entry(instance.to_owned()).or_default().extend(sum.data_points.iter().map(|point| {
                    let Some(number_data_point::Value::AsInt(value)) = point.value else {
                        panic!("a whole number")
                    };
                    (point.start_time_unix_nano, point.time_unix_nano, value as f64)
                }));
            }
        }
    }
    series
}

/// An environment that is invoked so often, and what the backend then has of it; metrics leave every so many milliseconds.
fn live(preference: &str, interval_ms: &str, invocations: u64) -> Vec<Point> {
    let world = World::with(|script| {
        script.with_metrics().env(TEMPORALITY, preference).env("PREFREEZE_METRICS_INTERVAL_MS", interval_ms)
    });
    for number in 0..invocations {
        let request_id = format!("r-{number}");
        world.invoke(&request_id);
        world.runtime_done(&request_id);
        world.platform.wait_next();
    }
    world.close();
    let temporality = match preference {
        "cumulative" => AggregationTemporality::Cumulative,
        _ => AggregationTemporality::Delta,
    };
    let mut series = series(&world.collector, temporality);
    assert_eq!(series.len(), 1, "one environment is one series");
    let mut points = series.pop_first().expect("one").1;
    // Requests of metrics may overtake each other: a store sorts its samples by time.
    points.sort_by_key(|(_, at, _)| *at);
    points
}

/// `sum_over_time` of what is stored as it came.
fn sum_over_time(points: &[Point]) -> f64 {
    points.iter().map(|(_, _, value)| value).sum()
}

/// `increase`, as Prometheus works it out over a range that holds all samples: the last less the first, extended to the
/// range's ends, but by no more than half of the mean distance between samples, nor below zero.
///
/// # Source
/// `extrapolatedRate` in <https://github.com/prometheus/prometheus/blob/main/promql/functions.go>
fn increase(samples: &[(u64, f64)]) -> f64 {
    let [(first_at, first), .., (last_at, last)] = samples else { return 0.0 };
    let (rise, sampled) = (last - first, (last_at - first_at) as f64);
    let half = sampled / (samples.len() - 1) as f64 / 2.0;
    let to_zero = if rise > 0.0 { sampled * first / rise } else { f64::MAX };
    rise * (sampled + half.min(to_zero) + half) / sampled
}

/// The same without any extension (`increase(… anchored)`).
fn anchored(samples: &[(u64, f64)]) -> f64 {
    let [(_, first), .., (_, last)] = samples else { return 0.0 };
    last - first
}

#[test]
fn points_that_are_stored_as_they_came_add_up() {
    for lives in LIVES {
        for interval in ["0", "60000"] {
            let stored: f64 = lives.iter().map(|times| sum_over_time(&live("delta", interval, *times))).sum();
            assert_eq!(stored, lives.iter().sum::<u64>() as f64, "{lives:?}, {interval} ms apart");
        }
    }
}

/// A store that begins a series with zero where its start time says so needs no more; the last value is the count in any case.
#[test]
fn totals_are_true_where_a_series_begins_with_zero() {
    for lives in LIVES {
        for interval in ["0", "60000"] {
            let all: Vec<_> = lives.iter().map(|times| live("cumulative", interval, *times)).collect();
            let expected = lives.iter().sum::<u64>() as f64;
            let begins: std::collections::BTreeSet<u64> = all.iter().map(|points| points[0].0).collect();
            assert_eq!(begins.len(), lives.len(), "each environment has begun by itself");
            let mut found = [0.0; 2];
            for points in &all {
                assert!(
                    points.iter().all(|(start, at, _)| *start == points[0].0 && at > start),
                    "{points:?}"
                );
                assert!(points.is_sorted_by(|one, two| one.1 < two.1 && one.2 <= two.2), "{points:?}");
                let stored: Vec<_> = points.iter().map(|(_, at, value)| (*at, *value)).collect();
                let with_zero: Vec<_> = std::iter::once((points[0].0, 0.0)).chain(stored.clone()).collect();
                found[0] += anchored(&with_zero);
                found[1] += stored.last().map_or(0.0, |(_, value)| *value);
            }
            assert_eq!(found, [expected; 2], "{lives:?}, {interval} ms apart");
        }
    }
}

/// What the page warns of: a first sample is no increase, and an extended one is a guess.
#[test]
fn increase_is_not_the_count_of_short_lives() {
    let once = live("cumulative", "60000", 3);
    let stored: Vec<_> = once.iter().map(|(_, at, value)| (*at, *value)).collect();
    assert_eq!((stored.len(), increase(&stored)), (1, 0.0), "one sample");
    let with_zero = [(once[0].0, 0.0), stored[0]];
    assert_eq!(
        (increase(&with_zero), anchored(&with_zero)),
        (4.5, 3.0),
        "half of the distance beyond the last one"
    );
}

/// A store keeps series by their whole resource: what a function calls itself comes late, and may change.
#[test]
fn an_environment_is_one_series_whatever_the_function_calls_itself() {
    let named = |name: &str| {
        let mut resource = otlp::resource();
        resource.attributes.retain(|attribute| attribute.key != "service.name");
        resource.attributes.push(otlp::text("service.name", name));
        resource
    };
    let names = [None, Some("one"), Some("two"), Some("one"), None, Some("two")];
    for (preference, is_total) in [("cumulative", true), ("delta", false)] {
        let world = World::with(|script| {
            script.with_metrics().env(TEMPORALITY, preference).env("PREFREEZE_METRICS_INTERVAL_MS", "0")
        });
        for (seed, name) in (1..).zip(names) {
            let request_id = format!("r-{seed}");
            world.invoke(&request_id);
            if let Some(name) = name {
                let spans = [server_span(&request_id, Ids::new(seed), &request_id)];
                world.post_traces(&otlp::traces_of(named(name), spans));
            }
            world.runtime_done(&request_id);
            world.platform.wait_next();
        }
        world.close();
        let mut by_resource: BTreeMap<String, Vec<(u64, i64)>> = BTreeMap::new();
        for request in world.collector.requests() {
            let Decoded::Metrics(request) = request.decoded else { continue };
            for group in request.resource_metrics {
                let resource = format!("{:?}", group.resource);
                let metrics = group.scope_metrics.into_iter().flat_map(|scope| scope.metrics);
                for metric in metrics.filter(|metric| metric.name == "faas.invocations") {
                    let Some(Data::Sum(sum)) = metric.data else { panic!("a sum") };
                    by_resource.entry(resource.clone()).or_default().extend(sum.data_points.iter().map(
                        |point| {
                            let Some(number_data_point::Value::AsInt(value)) = point.value else {
                                panic!("a whole number")
                            };
                            (point.time_unix_nano, value)
                        },
                    ));
                }
            }
        }
        let counted: i64 = by_resource
            .values()
            .map(|points| match is_total {
                true => points.iter().max().map_or(0, |(_, total)| *total),
                false => points.iter().map(|(_, delta)| delta).sum(),
            })
            .sum();
        assert_eq!(counted, names.len() as i64, "{preference}: {by_resource:#?}");
        assert!(by_resource.len() <= 2 - usize::from(is_total), "{preference}: {by_resource:#?}");
    }
}

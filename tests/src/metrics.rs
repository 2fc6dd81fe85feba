//! What a backend has been told in metrics, put together as a metrics backend would: sums of deltas, merged histograms.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    ExponentialHistogramDataPoint, HistogramDataPoint, Metric, number_data_point,
};

use crate::collector::{Collector, Decoded, attribute_text};

/// Delta temporality, in OTLP.
const DELTA: i32 = 1;

/// A point of any kind.
#[derive(Clone, Debug)]
pub enum Value {
    /// A number.
    Number(f64),
    /// An exponential histogram.
    Exponential(ExponentialHistogramDataPoint),
    /// A histogram with given buckets.
    Explicit(HistogramDataPoint),
}

/// A point, with its metric's name.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The metric's name.
    pub name: String,
    /// The metric's unit.
    pub unit: String,
    /// Whether points tell what came since the ones before.
    pub is_delta: bool,
    /// The attributes.
    pub attributes: Vec<KeyValue>,
    /// From when.
    pub start: u64,
    /// To when.
    pub time: u64,
    /// What it tells.
    pub value: Value,
}

impl Seen {
    /// The text of an attribute.
    pub fn text(&self, key: &str) -> Option<&str> {
        attribute_text(&self.attributes, key)
    }

    /// Whether it stands for series that found no place.
    pub fn is_overflow(&self) -> bool {
        let is_flag = |pair: &KeyValue| {
            let value = pair.value.as_ref().and_then(|value| value.value.as_ref());
            pair.key == "otel.metric.overflow" && value == Some(&any_value::Value::BoolValue(true))
        };
        self.attributes.iter().any(is_flag)
    }
}

/// All points that the backend has taken, in order.
#[derive(Clone, Debug, Default)]
pub struct Points(pub Vec<Seen>);

impl Points {
    /// Those of Prefreeze's own making that `collector` has taken so far.
    pub fn of(collector: &Collector) -> Self {
        let mut points = Vec::new();
        for request in collector.requests().into_iter().filter(crate::collector::Request::is_taken) {
            let Decoded::Metrics(request) = request.decoded else { continue };
            let scopes = request.resource_metrics.into_iter().flat_map(|group| group.scope_metrics);
            let own = scopes.filter(|scope| {
                scope.scope.as_ref().is_some_and(|scope| scope.name.starts_with("prefreeze"))
            });
            points.extend(own.flat_map(|scope| scope.metrics).flat_map(seen));
        }
        Self(points)
    }

    /// Those of one metric.
    pub fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Seen> {
        self.0.iter().filter(move |seen| seen.name == name)
    }

    /// The names of all metrics.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = self.0.iter().map(|seen| seen.name.clone()).collect();
        names.sort();
        names.dedup();
        names
    }

    /// The sum of a counter over all points and attributes.
    pub fn sum(&self, name: &str) -> f64 {
        self.sum_where(name, |_| true)
    }

    /// The same, of the points that `is_meant`.
    pub fn sum_where(&self, name: &str, is_meant: impl Fn(&Seen) -> bool) -> f64 {
        let meant = self.named(name).filter(|seen| is_meant(seen));
        let numbers = meant.map(|seen| match seen.value {
            Value::Number(number) => number,
            _ => panic!("{name} is no number"),
        });
        numbers.sum()
    }

    /// All points of an exponential histogram as one.
    pub fn distribution(&self, name: &str) -> Distribution {
        let mut all = Distribution::default();
        for seen in self.named(name) {
            match &seen.value {
                Value::Exponential(point) => all.merge(point),
                _ => panic!("{name} is no exponential histogram"),
            }
        }
        all
    }

    /// # Panics
    /// When two intervals of one series of deltas overlap, or one is empty.
    pub fn assert_intervals(&self) {
        let mut ends: BTreeMap<(String, String), u64> = BTreeMap::new();
        // What could not be sent at first may come after what was measured later.
        let mut deltas: Vec<_> = self.0.iter().filter(|seen| seen.is_delta).collect();
        deltas.sort_by_key(|seen| seen.start);
        for seen in deltas {
            assert!(seen.start < seen.time, "an empty interval: {seen:?}");
            let series = (seen.name.clone(), format!("{:?}", seen.attributes));
            let end = ends.insert(series, seen.time);
            assert!(end.is_none_or(|end| end <= seen.start), "overlaps the one before: {seen:?}");
        }
    }
}

/// A merged exponential histogram.
#[derive(Clone, Debug, Default)]
pub struct Distribution {
    /// How many values.
    pub count: u64,
    /// Their sum.
    pub sum: f64,
    zeros: u64,
    scale: Option<i32>,
    buckets: BTreeMap<i32, u64>,
}

impl Distribution {
    fn merge(&mut self, point: &ExponentialHistogramDataPoint) {
        self.count += point.count;
        self.sum += point.sum.unwrap_or_default();
        self.zeros += point.zero_count;
        let scale = self.scale.map_or(point.scale, |scale| scale.min(point.scale));
        let shift = self.scale.map_or(0, |old| old - scale);
        let old = std::mem::take(&mut self.buckets);
        for (index, times) in old {
            *self.buckets.entry(index >> shift).or_default() += times;
        }
        self.scale = Some(scale);
        let positive = point.positive.clone().unwrap_or_default();
        for (index, times) in (positive.offset..).zip(positive.bucket_counts) {
            *self.buckets.entry(index >> (point.scale - scale)).or_default() += times;
        }
        self.buckets.retain(|_, times| *times > 0);
    }

    fn base(&self) -> f64 {
        2_f64.powf(2_f64.powi(-self.scale.unwrap_or(0)))
    }

    /// The most that a quantile may be off, relative to the exact one.
    pub fn error(&self) -> f64 {
        self.base().sqrt() - 1.0
    }

    /// The value below which a share of `q` lies.
    pub fn quantile(&self, q: f64) -> f64 {
        let rank = (q * self.count as f64).ceil().max(1.0) as u64;
        let mut seen = self.zeros;
        for (index, times) in &self.buckets {
            if seen >= rank {
                break;
            }
            seen += times;
            if seen >= rank {
                return self.base().powf(f64::from(*index) + 0.5);
            }
        }
        0.0
    }
}

fn seen(metric: Metric) -> Vec<Seen> {
    let Metric { name, unit, data, .. } = metric;
    let new = |is_delta, attributes, start, time, value| {
        let (name, unit) = (name.clone(), unit.clone());
        Seen { name, unit, is_delta, attributes, start, time, value }
    };
    let number = |point: opentelemetry_proto::tonic::metrics::v1::NumberDataPoint, is_delta| {
        let number = match point.value {
            Some(number_data_point::Value::AsInt(int)) => int as f64,
            Some(number_data_point::Value::AsDouble(double)) => double,
            None => 0.0,
        };
        let (start, time) = (point.start_time_unix_nano, point.time_unix_nano);
        new(is_delta, point.attributes, start, time, Value::Number(number))
    };
    match data {
        Some(Data::Sum(sum)) => {
            let is_delta = sum.aggregation_temporality == DELTA;
            sum.data_points.into_iter().map(|point| number(point, is_delta)).collect()
        }
        Some(Data::Gauge(gauge)) => gauge.data_points.into_iter().map(|point| number(point, false)).collect(),
        Some(Data::ExponentialHistogram(histogram)) => {
            let points = histogram.data_points.into_iter().map(|point| {
                let (start, time) = (point.start_time_unix_nano, point.time_unix_nano);
                new(true, point.attributes.clone(), start, time, Value::Exponential(point))
            });
            points.collect()
        }
        Some(Data::Histogram(histogram)) => {
            let points = histogram.data_points.into_iter().map(|point| {
                let (start, time) = (point.start_time_unix_nano, point.time_unix_nano);
                new(true, point.attributes.clone(), start, time, Value::Explicit(point))
            });
            points.collect()
        }
        _ => Vec::new(),
    }
}

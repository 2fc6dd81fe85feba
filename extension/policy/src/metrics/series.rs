//! Series: values of one metric under one set of attributes, bounded in number, with one for everything else.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::histogram::Histogram;
use super::table::{Instrument, Metric};
use crate::time::UnixNanos;

/// An attribute as it is looked up: without an allocation.
pub(super) type Label<'a> = (&'static str, &'a str);

/// Attributes of a point, each key once.
pub type Attributes = Vec<(&'static str, Arc<str>)>;

/// The value of a point.
#[derive(Clone, Debug, PartialEq)]
pub enum Reading {
    /// A whole number.
    Int(i64),
    /// A number.
    Double(f64),
    /// A distribution.
    Histogram(Histogram),
}

/// One value of one metric.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// Of which metric.
    pub metric: Metric,
    /// Under which attributes.
    pub attributes: Attributes,
    /// Whether it stands for everything that found no place of its own (`otel.metric.overflow`).
    pub is_overflow: bool,
    /// The value.
    pub reading: Reading,
}

/// What was measured in one interval.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// When the environment began: where levels (up-down counters) count from.
    pub begun: UnixNanos,
    /// The begin of the interval: the end of the one before.
    pub start: UnixNanos,
    /// Its end; after its begin.
    pub at: UnixNanos,
    /// The points, in the order of [`Metric::ALL`].
    pub points: Vec<Point>,
}

impl Measured {
    /// In pieces of at most `max` points.
    pub(crate) fn pieces(&self, max: usize) -> impl Iterator<Item = Self> {
        self.points.chunks(max).map(|points| Self { points: points.to_vec(), ..*self })
    }

    /// A rough size, encoded: bounds need no better.
    pub(crate) fn size(&self) -> usize {
        self.points.iter().map(Point::size).sum()
    }
}

impl Point {
    fn size(&self) -> usize {
        use super::histogram::Buckets;
        let of_attributes: usize =
            self.attributes.iter().map(|(key, value)| key.len() + value.len() + 8).sum();
        let of_reading = match &self.reading {
            Reading::Int(_) | Reading::Double(_) => 9,
            Reading::Histogram(histogram) => match &histogram.buckets {
                Buckets::Exponential { counts, .. } => 60 + counts.len() * 2,
                Buckets::Explicit { bounds, .. } => 60 + bounds.len() * 16,
            },
        };
        // Times, and the metric's own name, unit and description.
        of_attributes + of_reading + 180
    }
}

/// One set of attributes.
#[derive(Debug)]
struct Series {
    attributes: Attributes,
    is_overflow: bool,
    /// What is left of counts that were no whole numbers: it counts with the next ones.
    carry: f64,
    /// `None` while nothing came since the last points.
    reading: Option<Reading>,
}

/// All series of all metrics.
#[derive(Debug)]
pub(crate) struct Store {
    metrics: Vec<Vec<Series>>,
    series_max: usize,
    explicit: bool,
    changes: u64,
}

impl Store {
    pub(super) fn new(series_max: usize, explicit: bool) -> Self {
        let metrics = Metric::ALL.iter().map(|_| Vec::new()).collect();
        Self { metrics, series_max: series_max.max(1), explicit, changes: 0 }
    }

    /// How often anything was counted or measured.
    pub(super) const fn changes(&self) -> u64 {
        self.changes
    }

    /// Counts `times` more.
    pub(super) fn count(&mut self, metric: Metric, labels: &[Label<'_>], times: u64) {
        if times > 0 {
            let reading = self.series(metric, labels).reading.get_or_insert(Reading::Int(0));
            if let Reading::Int(sum) = reading {
                *sum = sum.saturating_add_unsigned(times);
            }
        }
    }

    /// Measures `value` once.
    pub(super) fn measure(&mut self, metric: Metric, labels: &[Label<'_>], value: f64) {
        self.measure_weighted(metric, labels, value, 1.0);
    }

    /// Counts something that stands for `weight` of its kind.
    pub(super) fn count_weighted(&mut self, metric: Metric, labels: &[Label<'_>], weight: f64) {
        let times = self.series(metric, labels).whole(weight);
        self.count(metric, labels, times);
    }

    /// Measures something that stands for `weight` of its kind.
    pub(super) fn measure_weighted(&mut self, metric: Metric, labels: &[Label<'_>], value: f64, weight: f64) {
        let explicit = self.explicit;
        let series = self.series(metric, labels);
        let times = series.whole(weight);
        if times == 0 || !value.is_finite() {
            return;
        }
        let empty = || match metric.definition().buckets {
            [_, ..] if explicit => Histogram::explicit(metric.definition().buckets),
            _ => Histogram::exponential(),
        };
        if let Reading::Histogram(histogram) =
            series.reading.get_or_insert_with(|| Reading::Histogram(empty()))
        {
            histogram.record(value, times);
        }
    }

    /// The series under `labels`, or the one for everything else when there are too many.
    fn series(&mut self, metric: Metric, labels: &[Label<'_>]) -> &mut Series {
        self.changes += 1;
        let all = &mut self.metrics[metric as usize];
        let is_it = |series: &Series| {
            let same = |((key, value), (other, label)): (&(&str, Arc<str>), &Label<'_>)| {
                key == other && **value == **label
            };
            !series.is_overflow
                && series.attributes.len() == labels.len()
                && series.attributes.iter().zip(labels).all(same)
        };
        let index = all.iter().position(is_it).unwrap_or_else(|| {
            let is_overflow = all.len() + 1 >= self.series_max && !labels.is_empty();
            let known = all.iter().position(|series| series.is_overflow);
            known.filter(|_| is_overflow).unwrap_or_else(|| {
                let own = if is_overflow { &[][..] } else { labels };
                let attributes = own.iter().map(|(key, value)| (*key, Arc::from(*value))).collect();
                all.push(Series { attributes, is_overflow, carry: 0.0, reading: None });
                all.len() - 1
            })
        });
        &mut all[index]
    }

    /// Every value that is not empty, and an end of it; only what is left of fractions stays.
    pub(super) fn take(&mut self) -> Vec<Point> {
        let mut points = Vec::new();
        for (metric, all) in Metric::ALL.iter().zip(&mut self.metrics) {
            debug_assert!(
                matches!(metric.definition().instrument, Instrument::Counter | Instrument::Histogram)
                    || all.is_empty()
            );
            for series in all.iter_mut() {
                points.extend(series.reading.take().map(|reading| Point {
                    metric: *metric,
                    attributes: series.attributes.clone(),
                    is_overflow: series.is_overflow,
                    reading,
                }));
            }
            all.retain(|series| series.carry > 0.0);
        }
        points
    }
}

impl Series {
    /// How many whole ones `weight` is, with what was left from before.
    fn whole(&mut self, weight: f64) -> u64 {
        let sum = self.carry + weight;
        let whole = libm::floor(sum);
        self.carry = sum - whole;
        whole as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    fn sum(points: &[Point]) -> i64 {
        let ints = points.iter().map(|point| match point.reading {
            Reading::Int(int) => int,
            _ => panic!("{point:?}"),
        });
        ints.sum()
    }

    #[test]
    fn what_finds_no_place_of_its_own_is_counted_under_the_rest() {
        let mut store = Store::new(5, false);
        for n in 0..100 {
            store.count(Metric::Errors, &[("error.type", &format!("E{n}"))], 2);
        }
        store.count(Metric::Errors, &[("error.type", "E0")], 1);
        let points = store.take();
        assert_eq!(points.len(), 5);
        assert_eq!(sum(&points), 201);
        let rest: Vec<_> = points.iter().filter(|point| point.is_overflow).collect();
        assert_eq!((rest.len(), sum(&points[4..])), (1, 192));
        assert!(store.take().is_empty());
    }

    #[test]
    fn fractions_are_carried_until_they_are_whole() {
        let mut store = Store::new(5, false);
        let mut total = 0;
        for _ in 0..1_000 {
            store.count_weighted(Metric::SpanCalls, &[], 100.0 / 64.0);
            total += sum(&store.take());
        }
        assert_eq!(total, 1_562, "1562.5 in all, less what is still carried");
    }
}

//! Series: values of one metric under one set of attributes, bounded in number, with one for everything else.

mod digest;

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use self::digest::{digest, is_same, mix};
use super::histogram::{BUCKETS_MAX, Buckets, Histogram};
use super::measuring::Temporality;
use super::table::Metric;
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
    /// What the values of counters and histograms say.
    pub temporality: Temporality,
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

/// The most attributes of a series.
const LABELS_MAX: usize = 5;
/// Room for series of the metrics that have few.
const FEW: usize = 128;
/// Room for the texts of a series, in bytes; more is taken in steps that double.
const TEXT: usize = 96;

/// A stretch of [`Store::texts`]; series that were made one after the other under the same attributes share theirs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Text {
    start: u32,
    len: u32,
}

/// One set of attributes of one metric.
#[derive(Debug)]
struct Series {
    metric: Metric,
    labels: [(&'static str, Text); LABELS_MAX],
    count: u8,
    is_overflow: bool,
    /// What is left of counts that were no whole numbers: it counts with the next ones.
    carry: f64,
    /// `None` while nothing came since the last points.
    reading: Option<Reading>,
}

/// All series of all metrics.
///
/// Its memory is taken at once, at the first measurement: what is taken bit by bit, between the large buffers of
/// requests that come and go, keeps the allocator from using their place again. Series that came one by one cost
/// 200 KB each that way.
#[derive(Debug)]
pub(crate) struct Store {
    series: Vec<Series>,
    /// A digest of each one's metric and labels, in the same order: what is looked through to find one.
    digests: Vec<u64>,
    /// What their labels say.
    texts: String,
    /// Where those that stay are moved to.
    spare_texts: String,
    /// Room for buckets, while no series uses it.
    spare_counts: Vec<Vec<u64>>,
    series_max: usize,
    explicit: bool,
    changes: u64,
}

impl Store {
    pub(super) fn new(series_max: usize, explicit: bool) -> Self {
        Self {
            series: Vec::new(),
            digests: Vec::new(),
            texts: String::new(),
            spare_texts: String::new(),
            spare_counts: Vec::new(),
            series_max: series_max.max(1),
            explicit,
            changes: 0,
        }
    }

    /// How often anything was counted or measured.
    pub(super) const fn changes(&self) -> u64 {
        self.changes
    }

    /// Counts `times` more.
    pub(super) fn count(&mut self, metric: Metric, labels: &[Label<'_>], times: u64) {
        if times > 0 {
            let index = self.find(metric, labels);
            self.series[index].count(times);
        }
    }

    /// Counts what is no whole number.
    pub(super) fn add(&mut self, metric: Metric, labels: &[Label<'_>], more: f64) {
        if more > 0.0 {
            let index = self.find(metric, labels);
            if let Reading::Double(sum) = self.series[index].reading.get_or_insert(Reading::Double(0.0)) {
                *sum += more;
            }
        }
    }

    /// Measures `value` once.
    pub(super) fn measure(&mut self, metric: Metric, labels: &[Label<'_>], value: f64) {
        let index = self.find(metric, labels);
        self.measure_in(index, value, 1.0);
    }

    /// Counts something by the first metric and measures it by the second; it stands for `weight` of its kind.
    pub(super) fn count_and_measure(
        &mut self,
        [count, measure]: [Metric; 2],
        labels: &[Label<'_>],
        value: f64,
        weight: f64,
    ) {
        self.changes += 1;
        let digest = digest(labels);
        let index = self.find_digested(count, labels, digest);
        self.count_in(index, weight);
        let index = self.twin(index, measure).unwrap_or_else(|| self.find_digested(measure, labels, digest));
        self.measure_in(index, value, weight);
    }

    /// The series of `metric` that was made right after the one at `index`, under the same attributes: both are found at once
    /// for nearly every span.
    fn twin(&self, index: usize, metric: Metric) -> Option<usize> {
        let (one, other) = (&self.series[index], self.series.get(index + 1)?);
        let is_twin = other.metric == metric
            && !one.is_overflow
            && !other.is_overflow
            && one.count == other.count
            && one
                .labels()
                .iter()
                .zip(other.labels())
                .all(|((key, text), (others, other))| core::ptr::eq(*key, *others) && text == other);
        is_twin.then_some(index + 1)
    }

    fn count_in(&mut self, index: usize, weight: f64) {
        let series = &mut self.series[index];
        let times = series.whole(weight);
        if times > 0 {
            series.count(times);
        }
    }

    fn measure_in(&mut self, index: usize, value: f64, weight: f64) {
        let series = &mut self.series[index];
        let times = series.whole(weight);
        if times == 0 || !value.is_finite() {
            return;
        }
        let (explicit, spare, metric) = (self.explicit, &mut self.spare_counts, series.metric);
        let mut empty = || match metric.definition().buckets {
            bounds @ [_, ..] if explicit => Histogram::explicit(bounds),
            _ => Histogram::exponential(spare.pop().unwrap_or_default()),
        };
        if let Reading::Histogram(histogram) =
            series.reading.get_or_insert_with(|| Reading::Histogram(empty()))
        {
            histogram.record(value, times);
        }
    }

    /// Where the series under `labels` is, or the one for everything else when there are too many.
    fn find(&mut self, metric: Metric, labels: &[Label<'_>]) -> usize {
        self.changes += 1;
        self.find_digested(metric, labels, digest(labels))
    }

    fn find_digested(&mut self, metric: Metric, labels: &[Label<'_>], digest: u64) -> usize {
        let digest = mix(digest, metric as u64);
        let alike = self.digests.iter().enumerate().filter(|(_, known)| **known == digest);
        for (index, _) in alike {
            if self.series[index].is(metric, labels, &self.texts) {
                return index;
            }
        }
        let (mut known, mut overflow) = (0, None);
        for (index, series) in self.series.iter().enumerate().filter(|(_, series)| series.metric == metric) {
            known += 1;
            overflow = if series.is_overflow { Some(index) } else { overflow };
        }
        let is_overflow = known + 1 >= self.series_max && !labels.is_empty();
        if let Some(index) = overflow.filter(|_| is_overflow) {
            return index;
        }
        // What stands for everything else is never found by its digest.
        self.make(metric, if is_overflow { &[] } else { labels }, digest, is_overflow)
    }

    fn make(&mut self, metric: Metric, labels: &[Label<'_>], digest: u64, is_overflow: bool) -> usize {
        if self.series.capacity() == 0 {
            self.series.reserve(2 * self.series_max + FEW);
            self.digests.reserve(2 * self.series_max + FEW);
            self.texts.reserve((self.series_max + FEW) * TEXT);
            self.spare_texts.reserve((self.series_max + FEW) * TEXT);
            self.spare_counts.resize_with(self.series_max + FEW / 4, || Vec::with_capacity(BUCKETS_MAX));
        }
        let mut series =
            Series { metric, labels: Default::default(), count: 0, is_overflow, carry: 0.0, reading: None };
        let twin =
            self.series.last().filter(|last| last.is_under(labels, &self.texts)).map(|last| last.labels);
        for (at, (key, value)) in labels.iter().enumerate() {
            let text = twin.map_or_else(|| append(&mut self.texts, value), |labels| labels[at].1);
            series.labels[at] = (*key, text);
            series.count += 1;
        }
        self.series.push(series);
        self.digests.push(digest);
        self.series.len() - 1
    }

    /// Every value that is not empty, and an end of it; only what is left of fractions stays.
    pub(super) fn take(&mut self) -> Vec<Point> {
        let mut points = Vec::new();
        for series in &mut self.series {
            let Some(reading) = series.reading.take() else { continue };
            let labels = series.labels().iter();
            points.push(Point {
                metric: series.metric,
                attributes: labels.map(|(key, text)| (*key, text.of(&self.texts).into())).collect(),
                is_overflow: series.is_overflow,
                reading: kept(reading, &mut self.spare_counts),
            });
        }
        let mut stays = self.series.iter().map(|series| series.carry > 0.0);
        self.digests.retain(|_| stays.next().unwrap_or_default());
        self.series.retain(|series| series.carry > 0.0);
        for series in &mut self.series {
            for (_, text) in &mut series.labels[..usize::from(series.count)] {
                *text = append(&mut self.spare_texts, text.of(&self.texts));
            }
        }
        core::mem::swap(&mut self.texts, &mut self.spare_texts);
        self.spare_texts.clear();
        points
    }
}

/// A reading to send; the room for its buckets stays here.
fn kept(reading: Reading, spare: &mut Vec<Vec<u64>>) -> Reading {
    let mut reading = reading;
    if let Reading::Histogram(Histogram { buckets: Buckets::Exponential { counts, .. }, .. }) = &mut reading {
        let sent = counts.clone();
        let mut room = core::mem::replace(counts, sent);
        room.clear();
        spare.push(room);
    }
    reading
}

fn append(texts: &mut String, text: &str) -> Text {
    let start = texts.len() as u32;
    texts.push_str(text);
    Text { start, len: text.len() as u32 }
}

impl Text {
    fn of(self, texts: &str) -> &str {
        &texts[self.start as usize..(self.start + self.len) as usize]
    }
}

impl Series {
    fn labels(&self) -> &[(&'static str, Text)] {
        &self.labels[..usize::from(self.count)]
    }

    /// Whether it is that of `metric` under `labels`, and not the one for everything else.
    fn is(&self, metric: Metric, labels: &[Label<'_>], texts: &str) -> bool {
        self.metric == metric && self.is_under(labels, texts)
    }

    /// Whether it is under `labels`, and not the one for everything else.
    fn is_under(&self, labels: &[Label<'_>], texts: &str) -> bool {
        let own = self.labels();
        !self.is_overflow
            && own.len() == labels.len()
            && own
                .iter()
                .zip(labels)
                .all(|((key, text), (other, value))| is_same(key, other) && text.of(texts) == *value)
    }

    fn count(&mut self, times: u64) {
        if let Reading::Int(sum) = self.reading.get_or_insert(Reading::Int(0)) {
            *sum = sum.saturating_add_unsigned(times);
        }
    }

    /// How many whole ones `weight` is, with what was left from before.
    fn whole(&mut self, weight: f64) -> u64 {
        // What is carried is less than one, and stays.
        if weight == 1.0 {
            return 1;
        }
        let sum = self.carry + weight;
        let whole = libm::floor(sum);
        self.carry = sum - whole;
        whole as u64
    }
}

#[cfg(test)]
impl Point {
    /// As a line, which tests compare.
    pub(super) fn line(&self) -> String {
        use alloc::format;
        let labels: Vec<_> = self.attributes.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let reading = match &self.reading {
            Reading::Int(int) => format!("{int}"),
            Reading::Double(double) => format!("{double:.6}"),
            Reading::Histogram(of) => format!("{} values, {:.6} in all", of.count, of.sum),
        };
        let rest = if self.is_overflow { " (the rest)" } else { "" };
        format!("{} [{}] {reading}{rest}", self.metric.definition().name, labels.join(", "))
    }
}

#[cfg(test)]
mod tests;

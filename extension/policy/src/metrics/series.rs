//! Series: values of one metric under one set of attributes, bounded in number, with one for everything else.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::histogram::{BUCKETS_MAX, Buckets, Histogram};
use super::table::Metric;
use super::totals::Temporality;
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

/// A stretch of [`Store::texts`].
#[derive(Clone, Copy, Debug, Default)]
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
        let digest = digest(labels);
        let index = self.find_digested(count, labels, digest);
        self.count_in(index, weight);
        let index = self.find_digested(measure, labels, digest);
        self.measure_in(index, value, weight);
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
        self.find_digested(metric, labels, digest(labels))
    }

    fn find_digested(&mut self, metric: Metric, labels: &[Label<'_>], digest: u64) -> usize {
        self.changes += 1;
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
        for (place, (key, value)) in series.labels.iter_mut().zip(labels) {
            *place = (*key, append(&mut self.texts, value));
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

/// Tells nearly all labels apart, eight bytes at a time; keys by their lengths only, which order nearly decides.
fn digest(labels: &[Label<'_>]) -> u64 {
    let mut digest = 0;
    for (key, value) in labels {
        digest = mix(digest, (key.len() << 32 | value.len()) as u64);
        let mut words = value.as_bytes().chunks_exact(8);
        for word in &mut words {
            digest = mix(digest, u64::from_le_bytes(word.try_into().expect("eight bytes")));
        }
        digest = words.remainder().iter().fold(digest, |digest, byte| mix(digest, u64::from(*byte)));
    }
    digest
}

/// By the multiplier of FxHash, of which the upper half is mixed well.
const fn mix(digest: u64, word: u64) -> u64 {
    (digest.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95)
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
        let own = self.labels();
        self.metric == metric
            && !self.is_overflow
            && own.len() == labels.len()
            && own
                .iter()
                .zip(labels)
                .all(|((key, text), (other, value))| key == other && text.of(texts) == *value)
    }

    fn count(&mut self, times: u64) {
        if let Reading::Int(sum) = self.reading.get_or_insert(Reading::Int(0)) {
            *sum = sum.saturating_add_unsigned(times);
        }
    }

    /// How many whole ones `weight` is, with what was left from before.
    fn whole(&mut self, weight: f64) -> u64 {
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
mod tests {
    use super::*;
    use alloc::format;

    fn count(store: &mut Store, labels: &[Label<'_>], weight: f64) {
        let index = store.find(Metric::SpanCalls, labels);
        store.count_in(index, weight);
    }

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
    fn series_that_stay_are_found_again_where_they_have_moved_to() {
        let mut store = Store::new(50, false);
        let names: Vec<String> = (0..9).map(|n| format!("operation-{n}")).collect();
        for (n, name) in names.iter().enumerate() {
            // Every third has something left to carry, and stays.
            let weight = if n % 3 == 0 { 1.5 } else { 1.0 };
            count(&mut store, &[("span.name", name)], weight);
        }
        assert_eq!((store.take().len(), store.series.len(), store.digests.len()), (9, 3, 3));
        for name in &names {
            count(&mut store, &[("span.name", name)], 1.5);
        }
        let points = store.take();
        assert_eq!((points.len(), sum(&points)), (9, 6 + 3 * 2), "the carried half is found by its name");
    }

    #[test]
    fn fractions_are_carried_until_they_are_whole() {
        let mut store = Store::new(5, false);
        let mut total = 0;
        for _ in 0..1_000 {
            count(&mut store, &[], 100.0 / 64.0);
            total += sum(&store.take());
        }
        assert_eq!(total, 1_562, "1562.5 in all, less what is still carried");
    }

    #[test]
    fn what_cannot_be_measured_leaves_no_trace() {
        let mut store = Store::new(5, false);
        store.count(Metric::Errors, &[], 0);
        store.add(Metric::Billed, &[], 0.0);
        store.measure(Metric::Duration, &[], f64::NAN);
        store.measure(Metric::Duration, &[], f64::INFINITY);
        assert!(store.take().is_empty());
        store.add(Metric::Billed, &[], 0.5);
        store.add(Metric::Billed, &[], 1.0);
        store.measure(Metric::Duration, &[], 2.0);
        store.measure(Metric::Duration, &[], 3.0);
        let lines: Vec<_> = store.take().iter().map(Point::line).collect();
        assert_eq!(
            lines,
            ["prefreeze.billed.duration [] 1.500000", "aws.lambda.duration [] 2 values, 5.000000 in all",]
        );
    }

    #[test]
    fn labels_are_the_same_series_only_if_all_of_them_are() {
        let mut store = Store::new(50, false);
        let sets: [&[Label<'_>]; 8] = [
            &[],
            &[("error.type", "a")],
            &[("error.type", "b")],
            &[("signal", "a")],
            &[("error.type", "a"), ("signal", "b")],
            &[("error.type", "ab"), ("signal", "")],
            &[("error.type", "eight by")],
            &[("error.type", "eight by and more")],
        ];
        for metric in [Metric::Errors, Metric::Timeouts] {
            for _ in 0..2 {
                sets.iter().for_each(|labels| store.count(metric, labels, 1));
            }
        }
        let points = store.take();
        assert_eq!((points.len(), sum(&points)), (16, 32));
        assert!(points.iter().all(|point| point.reading == Reading::Int(2)));
        assert_eq!(store.changes(), 32);
    }

    #[test]
    fn digests_tell_labels_apart() {
        let digests = |texts: &mut dyn Iterator<Item = String>| {
            let mut digests: Vec<_> = texts.map(|text| digest(&[("error.type", &text)])).collect();
            digests.sort_unstable();
            digests.dedup();
            digests.len()
        };
        assert_eq!(digests(&mut (0..4_000).map(|n| format!("E{n}"))), 4_000, "short ones");
        assert_eq!(
            digests(&mut (0..4_000).map(|n| format!("{n:08}-and-a-long-end"))),
            4_000,
            "by their begins"
        );
        assert_eq!(digests(&mut (0..4_000).map(|n| format!("a-long-begin-{n:08}"))), 4_000, "by their ends");
        assert_eq!(digests(&mut (0..100).map(|n| "\0".repeat(n))), 100, "by their lengths");
        assert_ne!(digest(&[("a", "x"), ("a", "y")]), digest(&[("a", "y"), ("a", "x")]), "by their order");
        assert_ne!(digest(&[("a", "x")]), digest(&[("ab", "x")]), "by the lengths of their keys");
        assert_ne!(digest(&[("a", "xy"), ("a", "")]), digest(&[("a", "x"), ("a", "y")]));
    }

    #[test]
    fn memory_is_taken_at_the_first_measurement_and_not_again() {
        const MAX: usize = 40;
        let mut store = Store::new(MAX, false);
        store.count(Metric::Errors, &[], 1);
        let room = |store: &Store| {
            [
                store.series.capacity(),
                store.digests.capacity(),
                store.texts.capacity(),
                store.spare_texts.capacity(),
            ]
        };
        let taken = room(&store);
        let series = 2 * MAX + FEW;
        assert_eq!(taken, [series, series, (MAX + FEW) * TEXT, (MAX + FEW) * TEXT]);
        assert_eq!(store.spare_counts.len(), MAX + FEW / 4);
        assert!(store.spare_counts.iter().all(|room| room.capacity() >= BUCKETS_MAX));
        for _ in 0..3 {
            for metric in [Metric::SpanCalls, Metric::SpanDuration] {
                (0..2 * MAX).for_each(|n| store.measure(metric, &[("span.name", &format!("{n:090}"))], 1.0));
            }
            (0..FEW).for_each(|n| store.count(Metric::ALL[n % 12], &[], 1));
            assert_eq!(store.take().iter().filter(|point| point.is_overflow).count(), 2);
            assert_eq!(room(&store), taken);
            assert_eq!(store.spare_counts.len(), MAX + FEW / 4 + 2 * MAX - (MAX + FEW / 4));
        }
    }

    #[test]
    fn a_point_is_about_as_large_as_it_is_encoded() {
        let mut store = Store::new(50, true);
        store.count(Metric::Errors, &[("error.type", "abc")], 1);
        store.add(Metric::Billed, &[], 1.0);
        store.measure(Metric::Duration, &[], 1.0);
        let mut points = store.take();
        points.push(Point {
            reading: Reading::Histogram(Histogram::exponential(alloc::vec![1; 7])),
            ..points[1].clone()
        });
        let sizes: Vec<_> = points.iter().map(Point::size).collect();
        let seconds = Metric::Duration.definition().buckets.len();
        assert_eq!(sizes, [180 + 9 + 10 + 3 + 8, 180 + 9, 180 + 60 + seconds * 16, 180 + 60 + 14]);
        let at = UnixNanos(1);
        let measured = Measured { begun: at, start: at, at, temporality: Temporality::Delta, points };
        assert_eq!(measured.size(), sizes.iter().sum());
        let pieces: Vec<_> = measured.pieces(3).map(|piece| piece.points.len()).collect();
        assert_eq!(pieces, [3, 1]);
    }

    #[test]
    fn given_buckets_are_used_where_they_are_asked_for() {
        for explicit in [false, true] {
            let mut store = Store::new(50, explicit);
            store.measure(Metric::Duration, &[], 1.0);
            let points = store.take();
            let Reading::Histogram(Histogram { buckets, .. }) = &points[0].reading else {
                panic!("{points:?}")
            };
            assert_eq!(matches!(buckets, Buckets::Explicit { .. }), explicit);
        }
    }

    #[test]
    fn a_part_of_one_is_no_point_yet() {
        let mut store = Store::new(5, false);
        let both = [Metric::SpanCalls, Metric::SpanDuration];
        store.count_and_measure(both, &[], 2.0, 0.5);
        assert!(store.take().is_empty());
        store.count_and_measure(both, &[], 3.0, 0.5);
        let lines: Vec<_> = store.take().iter().map(Point::line).collect();
        assert_eq!(
            lines,
            ["traces.span.metrics.calls [] 1", "traces.span.metrics.duration [] 1 values, 3.000000 in all",]
        );
        assert_eq!((store.series.len(), store.digests.len()), (0, 0), "nothing is left to carry");
    }

    #[test]
    fn where_digests_are_alike_the_labels_themselves_decide() {
        let mut store = Store::new(2, false);
        store.count(Metric::Errors, &[("error.type", "a"), ("signal", "b")], 1);
        store.count(Metric::Errors, &[("error.type", "c")], 1);
        let is =
            |index: usize, metric, labels: &[Label<'_>]| store.series[index].is(metric, labels, &store.texts);
        assert!(is(0, Metric::Errors, &[("error.type", "a"), ("signal", "b")]));
        assert!(!is(0, Metric::Timeouts, &[("error.type", "a"), ("signal", "b")]));
        for labels in [
            &[("error.type", "a")][..],
            &[("error.type", "a"), ("signal", "b"), ("kind", "c")],
            &[("error.type", "a"), ("signal", "c")],
            &[("error.type", "b"), ("signal", "b")],
            &[("error.type", "a"), ("kind", "b")],
        ] {
            assert!(!is(0, Metric::Errors, labels), "{labels:?}");
        }
        assert!(store.series[1].is_overflow && !is(1, Metric::Errors, &[]), "it stands for everything else");
    }
}

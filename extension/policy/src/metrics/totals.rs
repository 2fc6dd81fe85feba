//! Totals since the environment began, for stores that keep series cumulative.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use super::measuring::Temporality;
use super::series::{Attributes, Measured, Point, Reading};
use super::table::{Instrument, Metric};

/// What tells series apart: the metric, its attributes, and whether it is the one for everything else.
type Key = (Metric, Attributes, bool);

/// The total of every series that has ever had a point.
#[derive(Debug)]
pub(super) struct Totals {
    points: Vec<Point>,
    /// Where each of them is.
    places: BTreeMap<Key, usize>,
    /// How many series each metric has.
    counts: BTreeMap<Metric, usize>,
    /// The most series of one metric, the one for everything else included.
    series_max: usize,
}

impl Totals {
    pub(super) const fn new(series_max: usize) -> Self {
        Self { points: Vec::new(), places: BTreeMap::new(), counts: BTreeMap::new(), series_max }
    }

    /// What `measured` says, with totals in the place of what came since the points before. Levels are totals already.
    pub(super) fn of(&mut self, measured: Measured) -> Measured {
        let mut changed = BTreeSet::new();
        let mut points = Vec::new();
        for point in measured.points {
            match point.metric.definition().instrument {
                Instrument::UpDownCounter | Instrument::Gauge => points.push(point),
                // Two may have become one: what stands for everything else.
                Instrument::Counter | Instrument::Histogram => {
                    changed.insert(self.add(point));
                }
            }
        }
        points.extend(changed.into_iter().map(|index| self.points[index].clone()));
        points.sort_by_key(|point| point.metric);
        Measured { points, temporality: Temporality::Cumulative, ..measured }
    }

    /// Adds a point to the total of its series; where that is.
    fn add(&mut self, mut point: Point) -> usize {
        let key = (point.metric, point.attributes.clone(), point.is_overflow);
        if let Some(index) = self.places.get(&key) {
            merge(&mut self.points[*index].reading, &point.reading);
            return *index;
        }
        let known = self.counts.entry(point.metric).or_default();
        if *known + 1 >= self.series_max && !point.attributes.is_empty() {
            (point.attributes, point.is_overflow) = (Vec::new(), true);
            return self.add(point);
        }
        *known += 1;
        self.points.push(point);
        self.places.insert(key, self.points.len() - 1);
        self.points.len() - 1
    }
}

/// Takes `more` in, which is of the same metric and so of the same kind.
fn merge(total: &mut Reading, more: &Reading) {
    match (total, more) {
        (Reading::Int(total), Reading::Int(more)) => *total = total.saturating_add(*more),
        (Reading::Double(total), Reading::Double(more)) => *total += more,
        (Reading::Histogram(total), Reading::Histogram(more)) => total.merge(more),
        _ => debug_assert!(false, "a metric has one kind of reading"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::histogram::Histogram;
    use super::*;
    use crate::time::UnixNanos;
    use alloc::string::String;

    fn counted(metric: Metric, value: &str, times: i64) -> Point {
        let attributes =
            if value.is_empty() { Vec::new() } else { alloc::vec![("error.type", value.into())] };
        Point { metric, attributes, is_overflow: false, reading: Reading::Int(times) }
    }

    fn measured(points: Vec<Point>) -> Measured {
        let [begun, start, at] = [5, 10, 20].map(UnixNanos);
        Measured { begun, start, at, temporality: Temporality::Delta, points }
    }

    fn lines(measured: &Measured) -> Vec<String> {
        measured.points.iter().map(Point::line).collect()
    }

    #[test]
    fn each_series_that_has_changed_is_told_with_its_total() {
        let mut totals = Totals::new(200);
        let news = alloc::vec![counted(Metric::Invocations, "", 2), counted(Metric::Errors, "A", 1)];
        assert_eq!(totals.of(measured(news)).temporality, Temporality::Cumulative);
        let told = totals
            .of(measured(alloc::vec![counted(Metric::Errors, "B", 1), counted(Metric::Errors, "A", 4)]));
        assert_eq!(lines(&told), ["faas.errors [error.type=A] 5", "faas.errors [error.type=B] 1"]);
        let told = totals.of(measured(alloc::vec![counted(Metric::Invocations, "", 3)]));
        assert_eq!(lines(&told), ["faas.invocations [] 5"]);
    }

    #[test]
    fn what_finds_no_place_is_told_once_and_under_the_rest() {
        let mut totals = Totals::new(3);
        let many = |times| ["A", "B", "C", "D"].map(|value| counted(Metric::Errors, value, times)).to_vec();
        for round in 1..=3 {
            let told = totals.of(measured(many(1)));
            let expected = [
                alloc::format!("faas.errors [error.type=A] {round}"),
                alloc::format!("faas.errors [error.type=B] {round}"),
                alloc::format!("faas.errors [] {} (the rest)", 2 * round),
            ];
            assert_eq!(lines(&told), expected);
        }
    }

    #[test]
    fn distributions_grow_and_levels_stay_as_they_are() {
        let mut totals = Totals::new(200);
        let distribution = |value: f64| {
            let mut histogram = Histogram::exponential(Vec::new());
            histogram.record(value, 2);
            Point { reading: Reading::Histogram(histogram), ..counted(Metric::InvokeDuration, "", 0) }
        };
        let level = |held| counted(Metric::Held, "", held);
        let cost = |spent| Point { reading: Reading::Double(spent), ..counted(Metric::Billed, "", 0) };
        for round in 1..=3 {
            let told = totals.of(measured(alloc::vec![level(7), distribution(1.0), cost(0.5)]));
            let expected = [
                alloc::format!("faas.invoke_duration [] {} values, {}.000000 in all", 2 * round, 2 * round),
                "prefreeze.items.held [] 7".into(),
                alloc::format!("prefreeze.billed.duration [] {:.6}", 0.5 * f64::from(round)),
            ];
            assert_eq!(lines(&told), expected);
        }
    }
}

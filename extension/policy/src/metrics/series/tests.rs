//! What a series sums up, and which labels make another series.

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

/// A count and its measurement are found together. With labels that differ in one word, in a key or in nothing but their number,
/// with fractions that keep one of the two and with too many of them, each pair is as if it had been looked for alone.
#[test]
fn what_is_counted_and_measured_at_once_is_as_if_each_were_alone() {
    let pair = [Metric::SpanCalls, Metric::SpanDuration];
    let mut seed = 7_u64;
    let mut next = move |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    for series_max in [3, 20, 200] {
        let (mut store, mut alone) = (Store::new(series_max, false), Store::new(series_max, false));
        for _ in 0..2_000 {
            let (name, peer) = (format!("name-{}", next(9)), format!("{}", next(3)));
            let peer = if peer == "0" { "" } else { peer.as_str() };
            let all = [("span.name", name.as_str()), ("server.address", peer), ("rpc.method", peer)];
            let labels = match next(5) {
                0 => &all[1..2],
                1 => &all[2..],
                len => &all[..len as usize - 2],
            };
            let (value, weight) = (next(100) as f64 / 16.0, [1.0, 1.0, 1.5, 2.25][next(4) as usize]);
            store.count_and_measure(pair, labels, value, weight);
            let index = alone.find(pair[0], labels);
            alone.count_in(index, weight);
            let index = alone.find(pair[1], labels);
            alone.measure_in(index, value, weight);
            if next(50) == 0 {
                // Sums of the same values in another order may differ in their last bit.
                let lines = |store: &mut Store| store.take().iter().map(Point::line).collect::<Vec<_>>();
                assert_eq!(lines(&mut store), lines(&mut alone), "{series_max}");
            }
        }
        assert!(store.changes() > 0);
    }
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
    assert_eq!(digests(&mut (0..4_000).map(|n| format!("{n:08}-and-a-long-end"))), 4_000, "by their begins");
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
        let Reading::Histogram(Histogram { buckets, .. }) = &points[0].reading else { panic!("{points:?}") };
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

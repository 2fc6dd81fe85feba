//! How exact a histogram is, and when it becomes coarser.

use super::*;
use crate::rng::Rng;

fn of(values: &[f64]) -> Histogram {
    let mut histogram = Histogram::exponential(Vec::new());
    values.iter().for_each(|value| histogram.record(*value, 1));
    histogram
}

fn exact(sorted: &[f64], q: f64) -> f64 {
    let rank = libm::ceil(q * sorted.len() as f64).max(1.0) as usize;
    sorted[rank - 1]
}

/// Values of one seed: as many, as wide and as skewed as it likes.
fn values(seed: u64) -> Vec<f64> {
    let mut rng = Rng::new(seed);
    let decades = 1 + rng.below(12) as i32;
    let count = 1 + rng.below(2_000);
    let mut any = || rng.below(1 << 53) as f64 / (1_u64 << 53) as f64;
    (0..count).map(|_| libm::pow(10.0, any() * f64::from(decades) - 6.0)).collect()
}

#[test]
fn quantiles_are_within_the_error_that_the_scale_promises() {
    for seed in 0..500 {
        let mut values = values(seed);
        let histogram = of(&values);
        values.sort_by(f64::total_cmp);
        for q in [0.0, 0.01, 0.25, 0.5, 0.9, 0.95, 0.99, 1.0] {
            let (told, exact) = (histogram.quantile(q), exact(&values, q));
            let off = (told - exact).abs() / exact;
            assert!(off <= histogram.error() + 1e-9, "seed {seed} q {q}: {told} for {exact}, {off}");
        }
        assert_eq!(histogram.count, values.len() as u64);
    }
}

#[test]
fn values_of_one_kind_are_told_finely() {
    // Durations from 5 to 500 ms: two decades in 160 buckets.
    let mut rng = Rng::new(1);
    let values: Vec<_> = (0..10_000).map(|_| 0.005 + rng.below(495_000) as f64 / 1e6).collect();
    assert!(of(&values).error() < 0.022, "{}", of(&values).error());
}

#[test]
fn the_order_of_values_and_of_merging_does_not_matter() {
    for seed in 0..200 {
        let values = values(seed);
        let whole = of(&values);
        let mut backwards = values.clone();
        backwards.reverse();
        assert_eq!(of(&backwards).buckets, whole.buckets, "seed {seed}");
        let (one, two) = values.split_at(values.len() / 3);
        for (one, two) in [(one, two), (two, one)] {
            let mut merged = of(one);
            merged.merge(&of(two));
            assert_eq!(merged.buckets, whole.buckets, "seed {seed}");
            assert_eq!((merged.count, merged.min, merged.max), (whole.count, whole.min, whole.max));
        }
    }
}

#[test]
fn no_value_needs_more_buckets_than_there_are_and_none_is_lost() {
    let extremes = [f64::MIN_POSITIVE / 4.0, f64::MIN_POSITIVE, 1e-300, 1.0, 2.0, 1e300, f64::MAX];
    let histogram = of(&extremes);
    let Buckets::Exponential { counts, .. } = &histogram.buckets else { panic!("exponential") };
    assert!(counts.len() <= BUCKETS_MAX, "{}", counts.len());
    assert_eq!(counts.iter().sum::<u64>(), extremes.len() as u64);
    let odd = of(&[0.0, -3.0, f64::NAN, f64::INFINITY, 1.0]);
    let Buckets::Exponential { zeros, .. } = odd.buckets else { panic!("exponential") };
    assert_eq!((odd.count, zeros), (3, 2));
}

#[test]
fn a_power_of_two_is_the_last_value_of_its_bucket() {
    for exponent in [-10, -1, 0, 1, 10] {
        let bound = libm::exp2(f64::from(exponent));
        assert_eq!(finest_index(bound) + 1, exponent << SCALE_MAX, "2^{exponent}");
        assert_eq!(finest_index(bound * (1.0 + f64::EPSILON)), exponent << SCALE_MAX, "above 2^{exponent}");
    }
}

#[test]
fn given_buckets_include_their_upper_bound() {
    let mut histogram = Histogram::explicit(&[1.0, 2.0]);
    [0.0, 1.0, 1.5, 2.0, 2.5].iter().for_each(|value| histogram.record(*value, 2));
    let Buckets::Explicit { counts, .. } = &histogram.buckets else { panic!("explicit") };
    assert_eq!(counts, &[4, 4, 2]);
    assert_eq!(histogram.values(100), [(1.0, 4), (2.0, 4), (2.5, 2)]);
}

#[test]
fn few_values_stand_for_all() {
    for seed in 0..200 {
        let histogram = of(&values(seed));
        let pairs = histogram.values(50);
        assert!(pairs.len() <= 50);
        assert_eq!(pairs.iter().map(|(_, times)| times).sum::<u64>(), histogram.count);
    }
}

#[test]
fn sums_count_each_value_as_often_as_it_was_measured() {
    let mut one = Histogram::exponential(Vec::new());
    one.record(2.0, 3);
    one.record(0.5, 4);
    one.record(7.0, 0);
    assert_eq!((one.count, one.sum, one.min, one.max), (7, 8.0, 0.5, 2.0));
    let mut other = of(&[0.0, 0.0, 1.0]);
    other.merge(&one);
    assert_eq!((other.count, other.sum, other.min, other.max), (10, 9.0, 0.0, 2.0));
    other.merge(&of(&[0.0]));
    let Buckets::Exponential { zeros, .. } = other.buckets else { panic!("exponential") };
    assert_eq!(zeros, 3);
}

#[test]
fn given_buckets_are_merged_one_by_one() {
    const BOUNDS: &[f64] = &[1.0, 2.0, 3.0];
    let (mut one, mut other) = (Histogram::explicit(BOUNDS), Histogram::explicit(BOUNDS));
    [0.5, 2.5].iter().for_each(|value| one.record(*value, 2));
    [0.5, 9.0].iter().for_each(|value| other.record(*value, 5));
    one.merge(&other);
    let Buckets::Explicit { counts, .. } = &one.buckets else { panic!("explicit") };
    assert_eq!((&counts[..], one.count), (&[7, 0, 2, 5][..], 14));
    assert_eq!(one.values(100), [(1.0, 7), (3.0, 2), (9.0, 5)], "nothing stands for an empty bucket");
    assert_eq!(one.values(2), [(1.0, 7), (3.0, 2)]);
    assert_eq!((one.error(), one.quantile(0.5)), (1.0, 1.0));
}

#[test]
fn values_are_as_fine_as_there_is_room_for() {
    // Far apart, with many empty buckets in between: both are told, and neither is put together with the other.
    let two = of(&[1.0, 1.5]);
    for max in [2, 3, 50] {
        let pairs = two.values(max);
        assert_eq!(pairs.iter().map(|(_, times)| *times).collect::<Vec<_>>(), [1, 1]);
        assert!((pairs[0].0 - 1.0).abs() < 0.01 && (pairs[1].0 - 1.5).abs() < 0.01, "{pairs:?}");
    }
    let with_zeros = of(&[0.0, 0.0, 1.1, 1.5, 1_000.0]);
    assert_eq!(with_zeros.values(50)[0], (0.0, 2));
    assert_eq!(with_zeros.values(50).len(), 4);
    let three = with_zeros.values(3);
    assert_eq!((three.len(), three[0], three[1].1, three[2].1), (3, (0.0, 2), 2, 1), "{three:?}");
    assert!(two.values(100).iter().all(|(value, _)| (1.0..=1.5).contains(value)));
    assert_eq!(of(&[]).values(50), []);
    assert_eq!((of(&[]).quantile(0.5), of(&[5.0]).values(9)), (0.0, [(5.0, 1)].into()));
}

#[test]
fn buckets_become_coarser_when_there_are_too_many_and_not_before() {
    // The middle of each bucket at the finest scale; which are recorded, and then: the scale and how many buckets.
    let last = BUCKETS_MAX as i32 - 1;
    for (indices, scale, buckets) in [
        (&[0, last, 5][..], 20, 160),
        (&[0, last, last + 1], 19, 81),
        (&[last, 0, 7, -1], 19, 81),
        (&[0, 2 * last + 2], 18, 81),
        (&[-3, -3], 20, 1),
    ] {
        let values: Vec<_> = indices.iter().map(|index| middle(SCALE_MAX, *index)).collect();
        let histogram = of(&values);
        let Buckets::Exponential { scale: told, counts, .. } = &histogram.buckets else {
            panic!("exponential")
        };
        assert_eq!((*told, counts.len()), (scale, buckets), "{indices:?}");
        assert_eq!(counts.iter().sum::<u64>(), indices.len() as u64);
        let mut merged = of(&[]);
        merged.merge(&histogram);
        assert_eq!(merged.buckets, histogram.buckets, "{indices:?} into nothing");
    }
}

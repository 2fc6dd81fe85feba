//! Distributions: exponential histograms that keep their error however wide the values spread, or given buckets.
//!
//! # Source
//! <https://opentelemetry.io/docs/specs/otel/metrics/data-model/#exponentialhistogram>

use alloc::vec::Vec;

/// Buckets of one exponential histogram: the size OpenTelemetry's SDKs use. 160 buckets hold 1 ms to 100 s with an
/// error of 4 %, and values of one invocation's kind, which lie closer together, with far less.
pub(crate) const BUCKETS_MAX: usize = 160;
/// The finest scale, at which every histogram begins; indices of all `f64` fit into 32 bits there.
const SCALE_MAX: i32 = 20;

/// What was measured, as a distribution.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    /// How many values.
    pub count: u64,
    /// Their sum.
    pub sum: f64,
    /// The least of them.
    pub min: f64,
    /// The greatest.
    pub max: f64,
    /// Where they lie.
    pub buckets: Buckets,
}

/// Where values lie.
#[derive(Clone, Debug, PartialEq)]
pub enum Buckets {
    /// Bucket `offset + i` holds `counts[i]` values in (base^index, base^(index+1)], base = 2^(2^-scale).
    Exponential {
        /// The finer, the greater; 20 at the most.
        scale: i32,
        /// Values that are zero (a negative one counts as zero: nothing measured here can be).
        zeros: u64,
        /// The index of the first bucket.
        offset: i32,
        /// 160 at the most.
        counts: Vec<u64>,
    },
    /// `counts[i]` values are at most `bounds[i]` and above the bound before; the last count has no bound.
    Explicit {
        /// Ascending.
        bounds: &'static [f64],
        /// One more than there are bounds.
        counts: Vec<u64>,
    },
}

impl Histogram {
    /// An empty one that keeps its relative error small for any values; `room` is empty, and used for its buckets.
    pub(crate) const fn exponential(room: Vec<u64>) -> Self {
        let buckets = Buckets::Exponential { scale: SCALE_MAX, zeros: 0, offset: 0, counts: room };
        Self { count: 0, sum: 0.0, min: f64::INFINITY, max: f64::NEG_INFINITY, buckets }
    }

    /// An empty one with these buckets.
    pub(crate) fn explicit(bounds: &'static [f64]) -> Self {
        let buckets = Buckets::Explicit { bounds, counts: alloc::vec![0; bounds.len() + 1] };
        Self { buckets, ..Self::exponential(Vec::new()) }
    }

    /// Takes `value` in, `times` times. What is not a number is no measurement.
    pub(crate) fn record(&mut self, value: f64, times: u64) {
        if !value.is_finite() || times == 0 {
            return;
        }
        let value = value.max(0.0);
        self.count += times;
        self.sum += value * times as f64;
        self.min = self.min.min(value);
        self.max = self.max.max(value);
        match &mut self.buckets {
            Buckets::Explicit { bounds, counts } => {
                counts[bounds.partition_point(|bound| *bound < value)] += times;
            }
            Buckets::Exponential { zeros, .. } if value == 0.0 => *zeros += times,
            Buckets::Exponential { scale, offset, counts, .. } => {
                put(scale, offset, counts, finest_index(value), times);
            }
        }
    }

    /// Takes everything in that `other` holds, which must be of the same kind.
    pub fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.sum += other.sum;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        match (&mut self.buckets, &other.buckets) {
            (Buckets::Explicit { counts, .. }, Buckets::Explicit { counts: more, .. }) => {
                counts.iter_mut().zip(more).for_each(|(count, more)| *count += more);
            }
            (
                Buckets::Exponential { scale, zeros, offset, counts },
                Buckets::Exponential { scale: theirs, zeros: more_zeros, offset: first, counts: more },
            ) => {
                *zeros += more_zeros;
                let shift = scale.saturating_sub(*theirs).max(0) as u32;
                coarsen(scale, offset, counts, shift);
                for (index, times) in (*first..).zip(more).filter(|(_, times)| **times > 0) {
                    // The lowest finest index of a coarse bucket falls into it at every scale up to its own.
                    let finest = index << (SCALE_MAX - theirs);
                    put(scale, offset, counts, finest, *times);
                }
            }
            _ => {}
        }
    }

    /// The value below which a share of `q` lies, as far as the buckets tell; zero when nothing was measured.
    ///
    /// Shape: between `min` and `max`; in exponential buckets within [`Histogram::error`] of the exact one, in given
    /// ones the upper bound of its bucket.
    pub fn quantile(&self, q: f64) -> f64 {
        let rank = libm::ceil(q.clamp(0.0, 1.0) * self.count as f64).max(1.0) as u64;
        let mut seen = 0;
        let reached = self.values(usize::MAX).into_iter().find(|(_, times)| {
            seen += times;
            seen >= rank
        });
        reached.map_or(0.0, |(value, _)| value)
    }

    /// The most by which a quantile may be off, relative to the exact value; one for given buckets.
    ///
    /// # Source
    /// (base − 1) / (base + 1), <https://opentelemetry.io/docs/specs/otel/metrics/data-model/#exponential-scale>;
    /// the middle taken here is the geometric one, whose error is √base − 1.
    pub fn error(&self) -> f64 {
        match &self.buckets {
            Buckets::Exponential { scale, .. } => libm::exp2(libm::exp2(-f64::from(*scale)) / 2.0) - 1.0,
            Buckets::Explicit { .. } => 1.0,
        }
    }

    /// Values to stand for the buckets that are not empty, with how many each stands for; the finest that fit into
    /// `max` pairs. For CloudWatch, which takes values and not buckets.
    pub fn values(&self, max: usize) -> Vec<(f64, u64)> {
        let mut pairs = Vec::new();
        match &self.buckets {
            Buckets::Exponential { scale, zeros, offset, counts } => {
                pairs.extend((*zeros > 0).then_some((0.0, *zeros)));
                let (mut scale, mut offset, mut counts) = (*scale, *offset, counts.clone());
                let filled = |counts: &[u64]| counts.iter().filter(|count| **count > 0).count();
                while filled(&counts) + pairs.len() > max.max(2) {
                    coarsen(&mut scale, &mut offset, &mut counts, 1);
                }
                let of_bucket = |(index, times)| (middle(scale, index).clamp(self.min, self.max), times);
                pairs.extend((offset..).zip(counts).filter(|(_, times)| *times > 0).map(of_bucket));
            }
            Buckets::Explicit { bounds, counts } => {
                let bounds = bounds.iter().copied().chain([f64::INFINITY]);
                let of_bucket = |(bound, times): (f64, &u64)| (bound.clamp(self.min, self.max), *times);
                pairs.extend(bounds.zip(counts).filter(|(_, times)| **times > 0).take(max).map(of_bucket));
            }
        }
        pairs
    }
}

/// The index of the bucket that holds `value`, which is above zero, at the finest scale. Coarser ones are its upper
/// bits, so that a histogram says the same in whatever order its values came.
fn finest_index(value: f64) -> i32 {
    const MANTISSA_BITS: u32 = 52;
    let value = value.max(f64::MIN_POSITIVE);
    let bits = value.to_bits();
    let exponent = (bits >> MANTISSA_BITS) as i32 - 1_023;
    let mantissa = bits & ((1 << MANTISSA_BITS) - 1);
    // Buckets include their upper bound: a power of two is the last value of the bucket below.
    if mantissa == 0 {
        return (exponent << SCALE_MAX) - 1;
    }
    let fraction = f64::from_bits(mantissa | 1_023 << MANTISSA_BITS);
    let within = libm::log2(fraction) * f64::from(1 << SCALE_MAX);
    (exponent << SCALE_MAX) + (libm::ceil(within) as i32 - 1).clamp(0, (1 << SCALE_MAX) - 1)
}

/// Counts `times` at a finest index, with coarser buckets where it would need too many.
fn put(scale: &mut i32, offset: &mut i32, counts: &mut Vec<u64>, finest: i32, times: u64) {
    if counts.is_empty() {
        *offset = finest >> (SCALE_MAX - *scale);
        counts.push(times);
        return;
    }
    let mut shift = 0;
    loop {
        let index = finest >> (SCALE_MAX - *scale) >> shift;
        let first = (*offset >> shift).min(index);
        let last = ((*offset + counts.len() as i32 - 1) >> shift).max(index);
        if ((last - first) as usize) < BUCKETS_MAX {
            break;
        }
        shift += 1;
    }
    coarsen(scale, offset, counts, shift);
    let index = finest >> (SCALE_MAX - *scale);
    if index < *offset {
        let more = (*offset - index) as usize;
        counts.splice(0..0, core::iter::repeat_n(0, more));
        *offset = index;
    }
    let at = (index - *offset) as usize;
    if at >= counts.len() {
        counts.resize(at + 1, 0);
    }
    counts[at] += times;
}

/// Puts 2^`shift` neighbours together; exact, for bounds of a coarser scale are bounds of the finer one too.
fn coarsen(scale: &mut i32, offset: &mut i32, counts: &mut Vec<u64>, shift: u32) {
    if shift == 0 {
        return;
    }
    let first = *offset >> shift;
    let mut last = 0;
    // In place: a sum never lies behind what it is summed from.
    for at in 0..counts.len() {
        let times = core::mem::take(&mut counts[at]);
        last = (((*offset + at as i32) >> shift) - first) as usize;
        counts[last] += times;
    }
    counts.truncate(last + 1);
    (*scale, *offset) = (*scale - shift as i32, first);
}

/// The geometric middle of a bucket.
fn middle(scale: i32, index: i32) -> f64 {
    libm::exp2((f64::from(index) + 0.5) * libm::exp2(-f64::from(scale)))
}

#[cfg(test)]
mod tests {
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
            assert_eq!(
                finest_index(bound * (1.0 + f64::EPSILON)),
                exponent << SCALE_MAX,
                "above 2^{exponent}"
            );
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
}

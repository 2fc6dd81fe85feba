//! Which durations of an operation are out of the ordinary: a decaying histogram, and a quantile of it.

use alloc::boxed::Box;

use crate::time::Duration;

/// Eight buckets per doubling, from a microsecond to more than the 15 minutes that an invocation may take:
/// a bound is at most 12.5 % above what it bounds.
const BUCKETS: usize = 8 * 31;
/// Below so many durations a quantile says nothing.
const SAMPLES_MIN: u32 = 100;
/// At so many, all counts are halved: what was an hour ago weighs less than what is now.
const SAMPLES_MAX: u32 = 4_096;

/// The durations of one operation: half a kilobyte.
#[derive(Clone, Debug)]
pub(crate) struct Durations {
    counts: Box<[u16; BUCKETS]>,
    total: u32,
}

impl Default for Durations {
    fn default() -> Self {
        Self { counts: Box::new([0; BUCKETS]), total: 0 }
    }
}

impl Durations {
    /// Whether `duration` lies above the quantile `share` of those before it; false while these are few.
    pub(crate) fn is_above(&self, share: f64, duration: Duration) -> bool {
        if self.total < SAMPLES_MIN {
            return false;
        }
        let rank = share * f64::from(self.total);
        let mut below = 0_u32;
        let bound = self.counts.iter().position(|count| {
            below += u32::from(*count);
            f64::from(below) >= rank
        });
        bound.is_some_and(|bound| bucket(duration) > bound)
    }

    /// Takes in one more.
    pub(crate) fn add(&mut self, duration: Duration) {
        let count = &mut self.counts[bucket(duration)];
        *count += 1;
        self.total += 1;
        if self.total == SAMPLES_MAX {
            self.counts.iter_mut().for_each(|count| *count /= 2);
            self.total = self.counts.iter().map(|count| u32::from(*count)).sum();
        }
    }
}

/// The exponent of the microseconds, and the three bits after the leading one.
fn bucket(duration: Duration) -> usize {
    let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX).max(1);
    let exponent = micros.ilog2() as usize;
    let rest = if exponent >= 3 { micros >> (exponent - 3) } else { micros << (3 - exponent) };
    (exponent * 8 + (rest & 7) as usize).min(BUCKETS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn nothing_is_slow_before_enough_is_known() {
        let mut durations = Durations::default();
        (1..SAMPLES_MIN).for_each(|_| durations.add(ms(10)));
        assert!(!durations.is_above(0.99, ms(10_000)));
        durations.add(ms(10));
        assert!(durations.is_above(0.99, ms(12)) && !durations.is_above(0.99, ms(10)));
    }

    #[test]
    fn a_hundredth_lies_above_the_99th_percentile() {
        let mut durations = Durations::default();
        (0..10_000).for_each(|n| durations.add(ms(100 + n % 1_000)));
        let slow = (0..1_000).filter(|n| durations.is_above(0.99, ms(100 + n))).count();
        // The quantile is 1,089 ms, and the bucket that holds it ends at most an eighth above.
        assert!(slow <= 10, "{slow} of 1000");
        assert!(durations.is_above(0.99, ms(1_240)));
    }

    #[test]
    fn what_becomes_ordinary_is_not_slow_for_long() {
        let mut durations = Durations::default();
        (0..10_000).for_each(|_| durations.add(ms(10)));
        assert!(durations.is_above(0.9, ms(100)));
        (0..4_096).for_each(|_| durations.add(ms(100)));
        assert!(!durations.is_above(0.9, ms(100)));
    }

    #[test]
    fn every_duration_has_a_bucket_and_longer_ones_no_lower_one() {
        let mut last = 0;
        for micros in (0..2_000).chain((1..40).map(|exponent| 1 << exponent)).chain([u64::MAX]) {
            let bucket = bucket(Duration::from_micros(micros));
            last = if micros == 2 { bucket } else { last.max(bucket) };
            assert!(bucket < BUCKETS && (micros < 2_000 || bucket == last));
        }
    }

    #[test]
    fn eight_buckets_for_each_doubling() {
        let rows = [
            // microseconds, bucket
            (0, 0),
            (1, 0),
            (2, 8),
            (3, 12),
            (4, 16),
            (7, 22),
            (8, 24),
            (9, 25),
            (15, 31),
            (16, 32),
            (17, 32),
            (18, 33),
            (1_023, 79),
            (1_024, 80),
            (1 << 30, 240),
            ((1 << 31) - 1, 247),
            (1 << 31, 247),
            (u64::MAX, 247),
        ];
        for (micros, expected) in rows {
            assert_eq!(bucket(Duration::from_micros(micros)), expected, "{micros} µs");
        }
        assert_eq!(BUCKETS, 248);
    }

    #[test]
    fn a_quantile_is_the_bucket_that_the_share_lies_in() {
        let mut durations = Durations::default();
        (0..90).for_each(|_| durations.add(ms(1)));
        (0..10).for_each(|_| durations.add(ms(100)));
        // Of a hundred, ninety took 1 ms: which share lies there, and what is above it.
        for (share, above_first) in [(0.0, true), (0.5, true), (0.9, true), (0.91, false), (1.0, false)] {
            assert_eq!(durations.is_above(share, ms(100)), above_first, "{share}");
            assert!(durations.is_above(share, ms(200)) && !durations.is_above(share, ms(1)) || share == 0.0);
        }
        assert!(!durations.is_above(0.9, ms(1)));
    }

    #[test]
    fn what_is_old_is_halved() {
        let mut durations = Durations::default();
        (1..SAMPLES_MAX).for_each(|_| durations.add(ms(10)));
        assert_eq!(durations.total, SAMPLES_MAX - 1);
        durations.add(ms(20));
        assert_eq!(durations.total, (SAMPLES_MAX - 1) / 2, "one of one is none when it is halved");
        assert_eq!(durations.counts.iter().map(|count| u32::from(*count)).sum::<u32>(), durations.total);
    }
}

//! A token bucket: so many per second, and no more than a burst at once.

use crate::time::Instant;

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Bucket {
    per_second: f64,
    burst: f64,
    tokens: f64,
    at: Instant,
}

impl Bucket {
    /// A full one.
    pub(crate) const fn new(per_second: f64, burst: f64) -> Self {
        Self { per_second, burst, tokens: burst, at: Instant::from_nanos(0) }
    }

    /// Takes one, if there is one at `now`.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        let gained = now.since(self.at).as_secs_f64() * self.per_second;
        self.at = now;
        self.tokens = (self.tokens + gained).min(self.burst);
        let is_there = self.tokens >= 1.0;
        if is_there {
            self.tokens -= 1.0;
        }
        is_there
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_and_then_the_rate() {
        let mut bucket = Bucket::new(2.0, 3.0);
        let mut taken_at = |ms: u64| {
            let now = Instant::from_nanos(ms * 1_000_000);
            (0..10).filter(|_| bucket.take(now)).count()
        };
        assert_eq!([0, 100, 500, 1_000, 100_000].map(&mut taken_at), [3, 0, 1, 1, 3]);
    }

    #[test]
    fn a_part_of_one_is_none_and_is_kept() {
        let mut bucket = Bucket::new(1.0, 1.0);
        let mut take = |ms: u64| bucket.take(Instant::from_nanos(ms * 1_000_000));
        assert_eq!([0, 999, 1_000, 1_500, 2_000].map(&mut take), [true, false, true, false, true]);
    }
}

//! What has not been seen for long, and is therefore worth keeping: bounded in memory and in number.

use super::bucket::Bucket;
use super::recent::Recent;
use crate::time::{Duration, Instant};

/// Kinds of executions remembered: 256 of them are 16 KB.
const KINDS_MAX: usize = 256;
/// What has not been seen for so long is rare again.
const RARE_AFTER: Duration = Duration::from_secs(600);
/// A new environment has seen nothing, and an operation whose name holds an id is always new: more than
/// this is not kept as rare.
const PER_SECOND: f64 = 0.1;
const BURST: f64 = 5.0;

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Rare {
    seen: Recent<u64, Instant>,
    bucket: Bucket,
}

impl Rare {
    pub(crate) const fn new() -> Self {
        Self { seen: Recent::new(KINDS_MAX), bucket: Bucket::new(PER_SECOND, BURST) }
    }

    /// Takes in one execution of `kind`; true when it is rare.
    pub(crate) fn add(&mut self, now: Instant, kind: u64) -> bool {
        match self.seen.touch(&kind) {
            Some(last) => now.since(core::mem::replace(last, now)) >= RARE_AFTER,
            None => {
                self.seen.put(kind, now);
                true
            }
        }
    }

    /// Whether one more may be kept as rare at `now`.
    pub(crate) fn may_keep(&mut self, now: Instant) -> bool {
        self.bucket.take(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: u64) -> Instant {
        Instant::from_nanos(s * 1_000_000_000)
    }

    #[test]
    fn the_first_of_a_kind_is_rare_and_so_is_one_after_long() {
        let mut rare = Rare::new();
        assert_eq!([0, 1, 2].map(|s| rare.add(at(s), 7)), [true, false, false]);
        assert!(rare.add(at(3), 8));
        assert_eq!([602, 603].map(|s| rare.add(at(s), 7)), [true, false]);
    }

    #[test]
    fn what_is_always_new_is_kept_only_so_often() {
        let mut rare = Rare::new();
        let kept =
            (0..100_000_u64).filter(|n| rare.add(at(n / 1_000), *n) && rare.may_keep(at(n / 1_000))).count();
        assert!((14..=15).contains(&kept), "{kept} in 100 s");
        assert_eq!(rare.seen.len(), KINDS_MAX);
    }
}

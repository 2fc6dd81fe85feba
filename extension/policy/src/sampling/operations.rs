//! What is known of each operation of this function: how long it takes, and how often it fails.

use super::Slow;
use super::adaptive::{Baseline, Turn};
use super::recent::Recent;
use super::slow::Durations;
use crate::time::Duration;

/// Operations remembered; a function has a few, unless its span names hold ids. 64 of them are 40 KB.
const OPERATIONS_MAX: usize = 64;

#[derive(Clone, Debug, Default)]
struct Operation {
    durations: Durations,
    baseline: Baseline,
}

/// What an execution is, beside what is known of its operation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Standing {
    pub(crate) is_slow: bool,
    /// Whether more of the operation is kept now.
    pub(crate) is_risen: bool,
    pub(crate) turn: Turn,
}

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Operations(Recent<u64, Operation>);

impl Operations {
    pub(crate) const fn new() -> Self {
        Self(Recent::new(OPERATIONS_MAX))
    }

    /// Takes in one execution of the operation `key`.
    pub(crate) fn add(&mut self, key: u64, is_error: bool, duration: Duration, slow: Slow) -> Standing {
        let mut standing = Standing { is_slow: false, is_risen: false, turn: Turn::None };
        if self.0.touch(&key).is_none() {
            self.0.put(key, Operation::default());
        }
        if let Some(operation) = self.0.touch(&key) {
            standing.is_slow = match slow {
                Slow::Never => false,
                Slow::From(least) => duration >= least,
                Slow::Above(share) => operation.durations.is_above(share, duration),
            };
            if matches!(slow, Slow::Above(_)) {
                operation.durations.add(duration);
            }
            standing.turn = operation.baseline.add(is_error, duration);
            standing.is_risen = operation.baseline.is_risen();
        }
        standing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_slow_follows_from_the_setting() {
        let ms = Duration::from_millis;
        let mut operations = Operations::new();
        let mut is_slow = |slow, took| operations.add(1, false, ms(took), slow).is_slow;
        assert!(!is_slow(Slow::Never, 900_000));
        let from = Slow::From(ms(500));
        assert_eq!([499, 500, 501].map(|took| is_slow(from, took)), [false, true, true]);
        // Nothing was learned of it so far: only a share needs to know how long others took.
        (0..100).for_each(|_| assert!(!is_slow(Slow::Above(0.99), 10)));
        assert!(is_slow(Slow::Above(0.99), 1_000));
        assert!(!operations.add(2, false, ms(1_000), Slow::Above(0.99)).is_slow, "another operation");
    }

    #[test]
    fn failures_raise_an_operation_alone() {
        let mut operations = Operations::new();
        let mut add = |key, is_error| operations.add(key, is_error, Duration::from_millis(10), Slow::Never);
        for _ in 0..200 {
            add(1, false);
            add(2, false);
        }
        let turns: u32 = (0..20).map(|_| u32::from(add(1, true).turn == Turn::Rises)).sum();
        assert_eq!((turns, add(1, true).is_risen, add(2, false).is_risen), (1, true, false));
    }
}

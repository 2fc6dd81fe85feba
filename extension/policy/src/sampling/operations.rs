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

//! The batches that the collector has, as far as this environment delivered them: SQS may deliver a message twice, and an
//! extension may send one twice.

use std::{
    collections::{HashSet, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// So many names are remembered, the oldest forgotten first: two megabytes.
const NAMES_MAX: usize = 10_000;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Seen(Mutex<Names>);

#[derive(Debug, Default)]
struct Names {
    known: HashSet<String>,
    /// In the order in which they came.
    order: VecDeque<String>,
}

impl Seen {
    fn names(&self) -> MutexGuard<'_, Names> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn has(&self, batch: &str) -> bool {
        self.names().known.contains(batch)
    }

    pub(crate) fn add(&self, batch: &str) {
        let mut names = self.names();
        if !names.known.insert(batch.to_owned()) {
            return;
        }
        names.order.push_back(batch.to_owned());
        if names.order.len() > NAMES_MAX
            && let Some(oldest) = names.order.pop_front()
        {
            names.known.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_names_are_forgotten() {
        let seen = Seen::default();
        for number in 0..=NAMES_MAX {
            seen.add(&number.to_string());
            seen.add(&number.to_string());
        }
        assert_eq!([0, 1, NAMES_MAX].map(|number| seen.has(&number.to_string())), [false, true, true]);
    }
}

//! What goes first when room runs out: plain entries, oldest first, then anything, oldest first. What is in flight stays.

use super::queue::Queue;
use super::{Outbox, SOURCES};
use crate::lane::batch::Batch;

/// So many precious entries at the front of a queue are looked at for one plain one behind them. What has more of them is cut
/// into batches, which know what they hold: each entry is looked at a bounded number of times, however many are given up.
const LOOKS_MAX: usize = 64;

impl<B: Clone> Outbox<B> {
    /// Gives up what is least valuable, of plain entries only or of all, and says how many items that were.
    pub(crate) fn evict(&mut self, only_plain: bool) -> Option<u64> {
        if only_plain {
            self.evict_plain_batch().or_else(|| self.evict_queued(true))
        } else {
            self.evict_batch().or_else(|| self.evict_queued(false))
        }
    }

    fn evict_plain_batch(&mut self) -> Option<u64> {
        let (index, (precious, count)) =
            self.ready.iter().enumerate().find_map(|(index, batch)| Some((index, batch.without_plain()?)))?;
        let old = self.ready.remove(index)?;
        self.forget(&old);
        if !precious.is_empty() {
            let id = self.next_id();
            let rest = Batch {
                attempts: old.attempts,
                launches: old.launches,
                not_before: old.not_before,
                is_doubtful: old.is_doubtful,
                was_cut_off: old.was_cut_off,
                ..Batch::new(id, old.source, precious, old.since)
            };
            self.hold(&rest.entries, rest.held());
            self.ready.insert(index, rest);
        }
        Some(count)
    }

    fn evict_batch(&mut self) -> Option<u64> {
        let batch = self.ready.pop_front()?;
        self.forget(&batch);
        Some(batch.count)
    }

    fn evict_queued(&mut self, only_plain: bool) -> Option<u64> {
        if only_plain {
            self.seal_precious();
        }
        // The source that holds most gives first, of those that have any to give.
        let first =
            |queue: &Queue<B>| queue.entries().iter().position(|entry| !(only_plain && entry.is_precious));
        let queues = self.queues.iter_mut().filter_map(|queue| Some((first(queue)?, queue)));
        let (index, queue) = queues.max_by_key(|(_, queue)| queue.size())?;
        let entry = queue.remove(index)?;
        self.let_go(core::slice::from_ref(&entry), entry.held());
        Some(u64::from(entry.count))
    }

    /// Cuts what is precious at the front of a queue into batches, where that is much.
    fn seal_precious(&mut self) {
        for (index, source) in SOURCES.into_iter().enumerate() {
            let is_long = |queue: &Queue<B>| {
                queue.entries().len() > LOOKS_MAX
                    && queue.entries().iter().take(LOOKS_MAX).all(|entry| entry.is_precious)
            };
            while is_long(&self.queues[index]) {
                let since = self.queues[index].since();
                let entries = self.take_batch(index, |entry| entry.is_precious);
                let batch = Batch::new(self.next_id(), source, entries, since);
                self.ready.push_back(batch);
            }
        }
    }
}

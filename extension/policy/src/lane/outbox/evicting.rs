//! What goes first when room runs out: plain entries, oldest first, then anything, oldest first. What is in flight stays.

use super::{Outbox, Queue};
use crate::lane::batch::Batch;

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
            self.held += rest.held();
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
        // The source that holds most gives first, of those that have any to give.
        let first =
            |queue: &Queue<B>| queue.entries.iter().position(|entry| !(only_plain && entry.is_precious));
        let queues = self.queues.iter_mut().filter_map(|queue| Some((first(queue)?, queue)));
        let (index, queue) = queues.max_by_key(|(_, queue)| queue.size)?;
        let entry = queue.entries.remove(index)?;
        queue.size -= entry.size as usize;
        queue.count -= entry.count as usize;
        debug_assert!(self.held >= entry.held(), "what is given up was held");
        self.held -= entry.held();
        Some(u64::from(entry.count))
    }
}

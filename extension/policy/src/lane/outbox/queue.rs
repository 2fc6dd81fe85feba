//! Entries of one source that are not in a batch yet.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::entry::Entry;
use crate::time::Instant;

/// See the module.
#[derive(Debug)]
pub(super) struct Queue<B> {
    entries: VecDeque<Entry<B>>,
    /// Encoded bytes, and items, of all entries.
    size: usize,
    count: usize,
    /// When the first entry came into the empty queue.
    since: Instant,
}

impl<B> Default for Queue<B> {
    fn default() -> Self {
        Self { entries: VecDeque::new(), size: 0, count: 0, since: Instant::default() }
    }
}

impl<B> Queue<B> {
    pub(super) fn push(&mut self, now: Instant, entry: Entry<B>) {
        if self.entries.is_empty() {
            self.since = now;
        }
        self.size += entry.size as usize;
        self.count += entry.count as usize;
        self.entries.push_back(entry);
    }

    /// Takes entries from the front, up to the first that is not `wanted` or with which they would not `fit` into one batch
    /// (asked with encoded bytes and items); at least one, however large.
    pub(super) fn take_batch(
        &mut self,
        fits: impl Fn(usize, usize) -> bool,
        wanted: impl Fn(&Entry<B>) -> bool,
    ) -> Vec<Entry<B>> {
        if fits(self.size, self.count) && self.entries.iter().all(&wanted) {
            // The usual case: nothing is moved, and a long queue's memory leaves with its entries.
            (self.size, self.count) = (0, 0);
            return core::mem::take(&mut self.entries).into();
        }
        let (mut entries, mut size, mut count) = (Vec::new(), 0, 0);
        while let Some(entry) = self.entries.pop_front() {
            let (next_size, next_count) = (size + entry.size as usize, count + entry.count as usize);
            let may_join = fits(next_size, next_count) && wanted(&entry);
            if !may_join && !entries.is_empty() {
                self.entries.push_front(entry);
                break;
            }
            (size, count) = (next_size, next_count);
            entries.push(entry);
        }
        self.size -= size;
        self.count -= count;
        entries
    }

    /// Takes the entry at `index` out.
    pub(super) fn remove(&mut self, index: usize) -> Option<Entry<B>> {
        let entry = self.entries.remove(index)?;
        self.size -= entry.size as usize;
        self.count -= entry.count as usize;
        Some(entry)
    }

    pub(super) const fn entries(&self) -> &VecDeque<Entry<B>> {
        &self.entries
    }

    pub(super) fn entries_mut(&mut self) -> impl Iterator<Item = &mut Entry<B>> {
        self.entries.iter_mut()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) const fn size(&self) -> usize {
        self.size
    }

    pub(super) const fn count(&self) -> usize {
        self.count
    }

    pub(super) const fn since(&self) -> Instant {
        self.since
    }
}

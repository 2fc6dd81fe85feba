//! What is sent together: entries of one lane, up to a bound in bytes and in items.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::LaneId;
use crate::config::BOOKKEEPING_BYTES;
use crate::entry::Entry;
use crate::time::Instant;

/// Where metrics come from. A backend that refuses ours must not take the function's with them: they never share a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Source {
    /// The function. Spans and log records are all taken for such.
    #[default]
    Function,
    /// Our own measurements.
    Own,
    /// A killed process put it on disk: it shares a request with nothing.
    Unknown,
}

impl Source {
    /// The source of `entry`, unless it comes from disk.
    pub(crate) const fn of<B>(entry: &Entry<B>) -> Self {
        if entry.is_measured() { Self::Own } else { Self::Function }
    }
}

/// The name of a batch, for as long as it is not acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BatchId {
    /// Whose it is.
    pub lane: LaneId,
    /// Its number there.
    pub number: u64,
}

/// Entries that are sent as one request.
#[derive(Clone, Debug)]
pub(crate) struct Batch<B> {
    pub(crate) id: BatchId,
    pub(crate) source: Source,
    pub(crate) entries: Arc<[Entry<B>]>,
    /// Sum of the entries' sizes.
    pub(crate) size: usize,
    /// Sum of the entries' counts.
    pub(crate) count: u64,
    /// Whether an entry of it may go before others do: it is not precious.
    pub(crate) has_plain: bool,
    /// Failed tries so far.
    pub(crate) attempts: u32,
    /// How often it was sent.
    pub(crate) launches: u32,
    /// Whether it is part of a batch that was too large: it is not put together with others again.
    pub(crate) is_part: bool,
    /// Whether a broken connection has been forgiven.
    pub(crate) was_lost: bool,
    /// Whether a freeze has cut off its answer.
    pub(crate) was_cut_off: bool,
    /// Whether the backend may have it already: it is sent again as it was, so that a backend can tell.
    pub(crate) is_doubtful: bool,
    /// Not to be tried before this.
    pub(crate) not_before: Option<Instant>,
    /// When its oldest entry came.
    pub(crate) since: Instant,
}

impl<B: Clone> Batch<B> {
    pub(crate) fn new(id: BatchId, source: Source, entries: Vec<Entry<B>>, since: Instant) -> Self {
        let size = entries.iter().map(|entry| entry.size as usize).sum();
        let count = entries.iter().map(|entry| u64::from(entry.count)).sum();
        let has_plain = entries.iter().any(|entry| !entry.is_precious);
        Self {
            id,
            source,
            entries: entries.into(),
            size,
            count,
            has_plain,
            attempts: 0,
            launches: 0,
            is_part: false,
            was_lost: false,
            was_cut_off: false,
            is_doubtful: false,
            not_before: None,
            since,
        }
    }

    /// What holding it costs in memory.
    pub(crate) fn held(&self) -> usize {
        self.size + self.entries.len() * BOOKKEEPING_BYTES
    }

    const fn is_alone(&self) -> bool {
        self.is_part || self.is_doubtful || matches!(self.source, Source::Unknown)
    }

    /// Whether `other` may follow in the same request.
    pub(crate) fn may_take(&self, other: &Self) -> bool {
        self.source == other.source && !(self.is_alone() || other.is_alone())
    }

    /// One batch of several, in order, under the name of the first. What is left of an outage goes in as few
    /// requests as it fits in.
    pub(crate) fn join(self, others: &[Self]) -> Self {
        if others.is_empty() {
            return self;
        }
        let parts = || core::iter::once(&self).chain(others);
        let entries = parts().flat_map(|batch| batch.entries.iter().cloned()).collect();
        let attempts = parts().map(|batch| batch.attempts).max().unwrap_or_default();
        let launches = parts().map(|batch| batch.launches).max().unwrap_or_default();
        // A connection is forgiven once, in whatever company.
        let was_lost = parts().any(|batch| batch.was_lost);
        Self { attempts, launches, was_lost, ..Self::new(self.id, self.source, entries, self.since) }
    }

    /// The first entries, as many as `room` takes and one at least, under this name, and the rest under a new one; the
    /// batch itself when it is a single entry.
    pub(crate) fn cut(self, room: usize, next_id: impl FnOnce() -> BatchId) -> Result<[Self; 2], Self> {
        let mut size = 0;
        let fitting = self.entries.iter().take_while(|entry| {
            size += entry.size as usize;
            size <= room
        });
        let at = fitting.count().max(1);
        if at >= self.entries.len() {
            return Err(self);
        }
        let (first, rest) = self.entries.split_at(at);
        let part = |id, entries: &[Entry<B>]| Self {
            attempts: self.attempts,
            launches: self.launches,
            is_part: self.is_part,
            was_lost: self.was_lost,
            was_cut_off: self.was_cut_off,
            is_doubtful: self.is_doubtful,
            ..Self::new(id, self.source, entries.to_vec(), self.since)
        };
        Ok([part(self.id, first), part(next_id(), rest)])
    }

    /// The two halves, under new names, or `None` when there is nothing to halve.
    pub(crate) fn halves(&self, mut next_id: impl FnMut() -> BatchId) -> Option<[Self; 2]> {
        let middle = self.entries.len() / 2;
        (middle > 0).then(|| {
            let (first, second) = self.entries.split_at(middle);
            [first, second].map(|half| Self {
                launches: self.launches,
                is_part: true,
                was_cut_off: self.was_cut_off,
                is_doubtful: self.is_doubtful,
                ..Self::new(next_id(), self.source, half.to_vec(), self.since)
            })
        })
    }

    /// The entries that go last, and how many items of others were left out; `None` when all are such.
    pub(crate) fn without_plain(&self) -> Option<(Vec<Entry<B>>, u64)> {
        if !self.has_plain {
            return None;
        }
        let precious: Vec<_> = self.entries.iter().filter(|entry| entry.is_precious).cloned().collect();
        let kept: u64 = precious.iter().map(|entry| u64::from(entry.count)).sum();
        Some((precious, self.count - kept))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry::Content;
    use crate::span::Signal;

    const LANE: LaneId = LaneId::of(Signal::Traces);

    /// A batch of three entries that has been through everything.
    fn tried(number: u64) -> Batch<()> {
        let content = Content::Received(());
        let entry = Entry {
            signal: Signal::Traces,
            count: 1,
            size: 10,
            is_precious: false,
            content,
            stamp: None,
            shared: None,
        };
        let id = BatchId { lane: LANE, number };
        Batch {
            attempts: 4,
            launches: 5,
            is_part: true,
            was_lost: true,
            was_cut_off: true,
            is_doubtful: true,
            ..Batch::new(id, Source::Function, alloc::vec![entry; 3], Instant::default())
        }
    }

    fn past(batch: &Batch<()>) -> ([u32; 2], [bool; 4]) {
        let flags = [batch.is_part, batch.was_lost, batch.was_cut_off, batch.is_doubtful];
        ([batch.attempts, batch.launches], flags)
    }

    /// What was tried counts for both parts: they are sent again as such, with pauses that go on, and no connection is
    /// forgiven twice.
    #[test]
    fn both_parts_of_a_batch_have_its_past() {
        let next = || BatchId { lane: LANE, number: 9 };
        let parts = tried(1).cut(20, next).expect("two of three fit");
        assert_eq!(
            parts.each_ref().map(|part| (part.count, past(part))),
            [(2, past(&tried(1))), (1, past(&tried(1)))]
        );
        // Halves are tried anew, for it was their size; the backend may have had them.
        let halves = tried(1).halves(next).expect("three entries");
        assert_eq!(halves.each_ref().map(past), [([0, 5], [true, false, true, true]); 2]);
    }

    #[test]
    fn what_is_sent_together_has_the_worst_past_of_all() {
        let fresh = |number| {
            let Batch { id, source, entries, since, .. } = tried(number);
            Batch::new(id, source, entries.to_vec(), since)
        };
        let lost = Batch { attempts: 2, launches: 3, was_lost: true, ..fresh(2) };
        let joined = fresh(1).join(&[lost]);
        assert_eq!((joined.count, past(&joined)), (6, ([2, 3], [false, true, false, false])));
        assert_eq!(past(&fresh(1).join(&[fresh(2)])), ([0, 0], [false; 4]));
    }
}

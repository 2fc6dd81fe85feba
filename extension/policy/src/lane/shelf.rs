//! What a lane has in the spool: known by place, size and count, while its bytes are on disk.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};

use super::LaneId;
use super::batch::{Batch, Source};
use crate::config::BOOKKEEPING_BYTES;
use crate::span::Signal;
use crate::time::Instant;

/// Where the shell has put something in its spool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place(pub u64);

/// Something in the spool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parked {
    /// Where.
    pub place: Place,
    /// The lane that it is owed to.
    pub lane: LaneId,
    /// How many spans, points or records.
    pub count: u64,
    /// Its size in bytes.
    pub size: usize,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Shelf<B> {
    parked: VecDeque<Parked>,
    /// Where they come from, of those that this process has put there.
    sources: BTreeMap<Place, Source>,
    /// Those of them that the backend may have already.
    doubtful: BTreeSet<Place>,
    bytes: usize,
    /// Batches that are being written; still in memory until the shell says that they are safe.
    writing: VecDeque<Batch<B>>,
    /// Being read back.
    reading: Option<Parked>,
    /// Nothing is read back before: what is there was put there in the middle of its pause, for want of room.
    rest: Option<Instant>,
    /// How often that had been tried.
    attempts: u32,
}

impl<B> Shelf<B> {
    pub(crate) fn new() -> Self {
        let (parked, sources, writing) = (VecDeque::new(), BTreeMap::new(), VecDeque::new());
        let doubtful = BTreeSet::new();
        Self { parked, sources, doubtful, bytes: 0, writing, reading: None, rest: None, attempts: 0 }
    }

    /// Reads nothing back `until` a batch may go, after so many `attempts`, which has no room to wait elsewhere.
    pub(crate) fn rest_for(&mut self, until: Option<Instant>, attempts: u32) {
        self.rest_until(until);
        self.attempts = attempts;
    }

    /// Reads nothing back until then.
    pub(crate) fn rest_until(&mut self, until: Option<Instant>) {
        self.rest = self.rest.max(until);
    }

    /// How often what it rested for had been tried; asked once.
    pub(crate) const fn take_attempts(&mut self) -> u32 {
        core::mem::replace(&mut self.attempts, 0)
    }

    /// When it goes on reading, if it rests.
    pub(crate) const fn wakes_at(&self) -> Option<Instant> {
        self.rest
    }

    /// Whether it rests; a rest that is over is forgotten.
    pub(crate) fn is_resting(&mut self, now: Instant) -> bool {
        self.rest = self.rest.filter(|until| *until > now);
        self.rest.is_some()
    }

    /// Forgets the rest, but for what of it the backend has `asked` for.
    pub(crate) fn end_rest(&mut self, asked: Option<Instant>) {
        // `None` is less than any.
        self.rest = self.rest.min(asked);
    }

    /// `batch` is being written.
    pub(crate) fn begin(&mut self, batch: Batch<B>) {
        self.writing.push_back(batch);
    }

    /// The oldest batch that was being written is on disk at `place`, or, without one, is not: then it is given back.
    pub(crate) fn end(&mut self, lane: LaneId, place: Option<Place>) -> Option<Batch<B>> {
        let batch = self.writing.pop_front()?;
        let Some(place) = place else { return Some(batch) };
        if batch.is_doubtful {
            self.doubtful.insert(place);
        }
        self.sources.insert(place, batch.source);
        self.add(Parked { place, lane, count: batch.count, size: batch.size });
        None
    }

    /// Something is in the spool that this process may not have put there.
    pub(crate) fn add(&mut self, parked: Parked) {
        self.bytes += parked.size;
        self.parked.push_back(parked);
    }

    /// What [`Shelf::take`] would give takes in memory. A record of metrics or logs comes back as one entry.
    pub(crate) fn oldest_held(&self) -> Option<usize> {
        self.parked.front().map(|parked| {
            let entries = if parked.lane.signal == Signal::Traces { parked.count as usize } else { 1 };
            parked.size + entries * BOOKKEEPING_BYTES
        })
    }

    /// The oldest thing to read back, if none is being read.
    pub(crate) fn take(&mut self) -> Option<Place> {
        if self.reading.is_some() {
            return None;
        }
        self.reading = self.parked.pop_front();
        self.reading.map(|parked| parked.place)
    }

    /// What was being read has been, or cannot be.
    pub(crate) fn taken(&mut self) -> Option<Taken> {
        let parked = self.reading.take()?;
        debug_assert!(self.bytes >= parked.size, "what is read was counted when it was written");
        self.bytes -= parked.size;
        let is_doubtful = self.doubtful.remove(&parked.place);
        // Spans and log records are all taken for the function's.
        let unknown = if parked.lane.signal == Signal::Metrics { Source::Unknown } else { Source::Function };
        let source = self.sources.remove(&parked.place).unwrap_or(unknown);
        Some(Taken { parked, is_doubtful, source })
    }

    /// Bytes on disk.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// The same, and those on their way there.
    pub(crate) fn claimed(&self) -> usize {
        self.bytes + self.writing.iter().map(|batch| batch.size).sum::<usize>()
    }

    /// Whether there is nothing to be read back.
    pub(crate) fn is_on_disk_empty(&self) -> bool {
        self.parked.is_empty()
    }

    /// Whether nothing is on disk, or on its way there or back.
    pub(crate) fn is_empty(&self) -> bool {
        self.parked.is_empty() && self.writing.is_empty() && self.reading.is_none()
    }

    /// Whether the disk has yet to answer.
    pub(crate) fn is_busy(&self) -> bool {
        self.is_reading() || !self.writing.is_empty()
    }

    /// Whether a read is under way.
    pub(crate) const fn is_reading(&self) -> bool {
        self.reading.is_some()
    }

    /// Items in all states.
    pub(crate) fn items(&self) -> u64 {
        let parked = self.parked.iter().chain(&self.reading).map(|parked| parked.count);
        parked.chain(self.writing.iter().map(|batch| batch.count)).sum()
    }
}

/// What was read back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taken {
    pub(crate) parked: Parked,
    /// Whether the backend may have it already.
    pub(crate) is_doubtful: bool,
    pub(crate) source: Source,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parked(signal: Signal) -> Parked {
        Parked { place: Place(1), lane: LaneId::of(signal), count: 3, size: 100 }
    }

    /// Spans come back one by one, and a request of metrics or logs as it was.
    #[test]
    fn what_a_record_takes_in_memory_is_known_before_it_is_read() {
        for (signal, entries) in [(Signal::Traces, 3), (Signal::Metrics, 1), (Signal::Logs, 1)] {
            let mut shelf = Shelf::<()>::new();
            assert_eq!(shelf.oldest_held(), None);
            shelf.add(parked(signal));
            assert_eq!(shelf.oldest_held(), Some(100 + entries * BOOKKEEPING_BYTES), "{signal:?}");
        }
    }

    #[test]
    fn a_rest_ends_with_what_the_backend_has_asked_for() {
        let at = Instant::from_nanos;
        for (asked, wakes_at) in [(None, None), (Some(at(3)), Some(at(3))), (Some(at(9)), Some(at(5)))] {
            let mut shelf = Shelf::<()>::new();
            shelf.rest_until(Some(at(5)));
            shelf.rest_until(Some(at(4)));
            assert_eq!(shelf.wakes_at(), Some(at(5)));
            shelf.end_rest(asked);
            assert_eq!(shelf.wakes_at(), wakes_at, "{asked:?}");
        }
    }
}

//! What is in the spool: known by place, size and count, while its bytes are on disk.

use alloc::collections::{BTreeSet, VecDeque};

use crate::batch::{BOOKKEEPING_BYTES, Batch};
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
    /// Its signal.
    pub signal: Signal,
    /// How many spans, points or records.
    pub count: u64,
    /// Its size in bytes.
    pub size: usize,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Shelf<B> {
    bound: usize,
    is_usable: bool,
    parked: VecDeque<Parked>,
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
    pub(crate) fn new(bound: usize, is_usable: bool) -> Self {
        let (parked, writing) = (VecDeque::new(), VecDeque::new());
        let doubtful = BTreeSet::new();
        Self { bound, is_usable, parked, doubtful, bytes: 0, writing, reading: None, rest: None, attempts: 0 }
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

    /// The signal of what [`Shelf::take`] would give.
    pub(crate) fn oldest_signal(&self) -> Option<Signal> {
        self.parked.front().map(|parked| parked.signal)
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

    /// Whether something of `size` may be put there.
    pub(crate) fn has_room(&self, size: usize) -> bool {
        let writing: usize = self.writing.iter().map(|batch| batch.size).sum();
        self.is_usable && self.bytes + writing + size <= self.bound
    }

    /// A write that failed may work again: somebody else had filled the disk.
    pub(crate) const fn try_again(&mut self, is_usable: bool) {
        self.is_usable = is_usable;
    }

    /// `batch` is being written.
    pub(crate) fn begin(&mut self, batch: Batch<B>) {
        self.writing.push_back(batch);
    }

    /// The oldest batch that was being written is on disk at `place`, or, without one, is not: then it is
    /// given back, and nothing more is tried until [`Shelf::try_again`].
    pub(crate) fn end(&mut self, place: Option<Place>) -> Option<Batch<B>> {
        let batch = self.writing.pop_front()?;
        let Some(place) = place else {
            self.is_usable = false;
            return Some(batch);
        };
        if batch.is_doubtful {
            self.doubtful.insert(place);
        }
        self.add(Parked { place, signal: batch.signal, count: batch.count, size: batch.size });
        None
    }

    pub(crate) fn add(&mut self, parked: Parked) {
        self.bytes += parked.size;
        self.parked.push_back(parked);
    }

    /// What [`Shelf::take`] would give takes in memory. A record of metrics or logs comes back as one entry.
    pub(crate) fn oldest_held(&self) -> Option<usize> {
        self.parked.front().map(|parked| {
            let entries = if parked.signal == Signal::Traces { parked.count as usize } else { 1 };
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

    /// What was being read has been, or cannot be; and whether the backend may have it already.
    pub(crate) fn taken(&mut self) -> Option<(Parked, bool)> {
        let parked = self.reading.take()?;
        debug_assert!(self.bytes >= parked.size, "what is read was counted when it was written");
        self.bytes -= parked.size;
        Some((parked, self.doubtful.remove(&parked.place)))
    }

    /// Bytes on disk.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
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

    /// Items of `signal` in all states.
    pub(crate) fn items(&self, signal: Signal) -> u64 {
        let parked = self.parked.iter().chain(&self.reading).filter(|parked| parked.signal == signal);
        let writing = self.writing.iter().filter(|batch| batch.signal == signal);
        parked.map(|parked| parked.count).chain(writing.map(|batch| batch.count)).sum()
    }
}

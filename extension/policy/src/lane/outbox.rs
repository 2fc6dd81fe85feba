//! What one lane holds in memory: queued, cut into batches, in flight.

mod evicting;
mod holding;
mod queue;

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::LaneId;
use super::batch::{Batch, BatchId, Source};
use super::flight::Flights;
use super::speed::PIECE_MIN;
use crate::config::Bounds;
use crate::entry::Entry;
use crate::shared::Twice;
use crate::time::{Duration, Instant};
use queue::Queue;

/// What is queued apart.
const SOURCES: [Source; 2] = [Source::Function, Source::Own];

/// See the module.
#[derive(Debug)]
pub(crate) struct Outbox<B> {
    lane: LaneId,
    bounds: Bounds,
    /// What a batch takes in memory at the most: it may have to come back from the disk while others hold the rest.
    share: usize,
    /// By source, in the order of [`SOURCES`].
    queues: [Queue<B>; SOURCES.len()],
    ready: VecDeque<Batch<B>>,
    /// Until when the backend has asked to be left alone.
    asked: Option<Instant>,
    flights: Flights<B>,
    held: usize,
    /// Where there are several destinations: what of their bytes counts twice.
    twice: Option<Twice>,
    last_number: u64,
}

impl<B: Clone> Outbox<B> {
    pub(crate) fn new(lane: LaneId, bounds: Bounds, share: usize) -> Self {
        Self {
            lane,
            bounds,
            share,
            queues: Default::default(),
            ready: VecDeque::new(),
            asked: None,
            flights: Flights::new(bounds.in_flight),
            held: 0,
            twice: None,
            last_number: 0,
        }
    }

    /// Takes `entry` in. Making room is the caller's next step.
    pub(crate) fn push(&mut self, now: Instant, source: Source, entry: Entry<B>) {
        debug_assert!(entry.signal == self.lane.signal, "an entry of another lane");
        self.hold(core::slice::from_ref(&entry), entry.held());
        self.queues[usize::from(source == Source::Own)].push(now, entry);
    }

    /// Takes entries in that stay batches of their own: the backend may have them already (`is_doubtful`), as one request, or
    /// nobody knows their source. Those are as many as one record brought, and more than fit into one request perhaps.
    pub(crate) fn push_apart(
        &mut self,
        now: Instant,
        source: Source,
        is_doubtful: bool,
        entries: Vec<Entry<B>>,
    ) {
        let mut queue = Queue::default();
        entries.into_iter().for_each(|entry| queue.push(now, entry));
        let (bounds, share) = (self.bounds, self.share);
        while !queue.is_empty() {
            let fits = |size, items| is_doubtful || bounds.fits_batch(share, size, items);
            let entries = queue.take_batch(fits, |_| true);
            let batch = Batch { is_doubtful, ..Batch::new(self.next_id(), source, entries, now) };
            self.hold(&batch.entries, batch.held());
            self.ready.push_back(batch);
        }
    }

    /// Cuts batches: all of what is queued, or only batches that are full.
    pub(crate) fn seal(&mut self, only_full: bool) {
        for (index, source) in SOURCES.into_iter().enumerate() {
            while self.has_full(index) || (!only_full && !self.queues[index].is_empty()) {
                let entries = self.take_batch(index, |_| true);
                let batch = Batch::new(self.next_id(), source, entries, self.queues[index].since());
                self.ready.push_back(batch);
            }
        }
    }

    /// What was cut last has been tried so often already.
    pub(crate) fn remember_attempts(&mut self, attempts: u32) {
        if let Some(batch) = self.ready.back_mut() {
            batch.attempts = batch.attempts.max(attempts);
        }
    }

    /// The next batch that may go at `now`, if there is a slot for it: of no more than `room` bytes, or else cut, where what
    /// is cut off is worth a request.
    pub(crate) fn take_ready(&mut self, now: Instant, room: usize) -> Option<Batch<B>> {
        self.forget_asked(now);
        if !self.flights.has_slot() || self.asked.is_some() {
            return None;
        }
        let may_go = |batch: &Batch<B>| batch.not_before.is_none_or(|at| at <= now);
        // A pause that is over is none: what does not fit now must not be woken for.
        self.ready.iter_mut().filter(|batch| may_go(batch)).for_each(|batch| batch.not_before = None);
        let index = self.ready.iter().position(may_go)?;
        let first = self.take_part(index, room)?;
        let (mut size, mut count, mut others) = (first.size, first.count, Vec::new());
        let mut at = index;
        while let Some(next) = self.ready.get(at) {
            if next.source != first.source {
                at += 1;
                continue;
            }
            (size, count) = (size + next.size, count + next.count);
            let fits = size <= room && self.fits_batch(size, count as usize);
            if !(fits && may_go(next) && first.may_take(next)) {
                break;
            }
            others.extend(self.ready.remove(at));
        }
        Some(first.join(&others))
    }

    /// Puts the batch first that was sent least often, and of those the oldest: a backend whose answers are never read may have
    /// what it was sent, and a probe must not offer it the same each time.
    pub(crate) fn rotate(&mut self) {
        let indices = 0..self.ready.len();
        let least = indices.min_by_key(|index| self.ready.get(*index).map(|batch| batch.launches));
        if let Some(batch) = least.and_then(|index| self.ready.remove(index)) {
            self.ready.push_front(batch);
        }
    }

    /// Whether a batch waits to be sent again whose answer a freeze has cut off.
    pub(crate) fn has_cut_off(&self) -> bool {
        self.ready.iter().any(|batch| batch.was_cut_off && self.pause_of(batch).is_none())
    }

    /// The next such batch, if there is a slot for it.
    pub(crate) fn take_cut_off(&mut self) -> Option<Batch<B>> {
        let is_it = |batch: &Batch<B>| batch.was_cut_off && self.pause_of(batch).is_none();
        let index = self.ready.iter().position(is_it).filter(|_| self.flights.has_slot())?;
        self.ready.remove(index)
    }

    /// The ready batch at `index`, or as much of it as fits into `room`; the rest stays where it was.
    fn take_part(&mut self, index: usize, room: usize) -> Option<Batch<B>> {
        let size = self.ready.get(index)?.size;
        if size <= room {
            return self.ready.remove(index);
        }
        if room < PIECE_MIN {
            return None;
        }
        let whole = self.ready.remove(index)?;
        match whole.cut(room, || self.next_id()) {
            Ok([part, rest]) => {
                self.ready.insert(index, rest);
                Some(part)
            }
            Err(single) => Some(single),
        }
    }

    /// When the first batch that is held back may go; `None` while there is no slot for it.
    pub(crate) fn next_retry(&self) -> Option<Instant> {
        let pauses = self.ready.iter().filter_map(|batch| self.pause_of(batch));
        if self.flights.has_slot() { pauses.min() } else { None }
    }

    /// When the pause of `batch` is over: its own, and the one that the backend asked for.
    pub(crate) fn pause_of(&self, batch: &Batch<B>) -> Option<Instant> {
        batch.not_before.max(self.asked)
    }

    /// The backend has asked to be left alone, which holds for all data, and not only for what it has refused: nothing else
    /// keeps new data from going there meanwhile.
    pub(crate) fn leave_alone(&mut self, until: Instant) {
        self.asked = self.asked.max(Some(until));
    }

    /// Until when the backend has asked to be left alone.
    pub(crate) const fn asked(&self) -> Option<Instant> {
        self.asked
    }

    /// A wish that has been granted is none.
    pub(crate) fn forget_asked(&mut self, now: Instant) {
        self.asked.take_if(|until| *until <= now);
    }

    /// Forgets pauses that we chose: a new invocation is a new chance. What the backend asked for stays.
    pub(crate) fn end_pauses(&mut self) {
        self.ready.iter_mut().for_each(|batch| batch.not_before = None);
    }

    /// Forgets every pause, and what makes the next ones long: this is the last chance.
    pub(crate) fn begin_anew(&mut self) {
        self.asked = None;
        let in_flight = self.flights.iter_mut().map(|flight| &mut flight.batch);
        for batch in self.ready.iter_mut().chain(in_flight) {
            (batch.not_before, batch.attempts) = (None, 0);
        }
    }

    /// The function's own bytes in all that is held, also in what is in flight.
    pub(crate) fn bodies_mut(&mut self) -> impl Iterator<Item = &mut B> {
        let queued = self.queues.iter_mut().flat_map(Queue::entries_mut);
        let in_flight = self.flights.iter_mut().map(|flight| &mut flight.batch);
        let batches = self.ready.iter_mut().chain(in_flight);
        queued.chain(batches.flat_map(|batch| Arc::make_mut(&mut batch.entries))).filter_map(Entry::body_mut)
    }

    /// Puts a batch back, to go before younger ones.
    pub(crate) fn put_back(&mut self, batch: Batch<B>) {
        let index = self.ready.iter().position(|other| other.since > batch.since).unwrap_or(self.ready.len());
        self.ready.insert(index, batch);
    }

    /// Takes a batch back that had been given away for good.
    pub(crate) fn readmit(&mut self, batch: Batch<B>) {
        self.hold(&batch.entries, batch.held());
        self.put_back(batch);
    }

    /// Gives the oldest batch away that is not in flight; what is queued is cut into batches for it.
    pub(crate) fn give_oldest(&mut self) -> Option<Batch<B>> {
        if self.ready.is_empty() {
            self.seal(false);
        }
        let batch = self.ready.pop_front()?;
        self.forget(&batch);
        Some(batch)
    }

    /// Whether what takes `held` in memory is more than may be held, even alone.
    pub(crate) const fn is_outsize(&self, held: usize) -> bool {
        held > self.bounds.held_bytes
    }

    /// Gives a batch away that is.
    pub(crate) fn give_outsize(&mut self) -> Option<Batch<B>> {
        let index = self.ready.iter().position(|batch| self.is_outsize(batch.held()))?;
        let batch = self.ready.remove(index)?;
        self.forget(&batch);
        Some(batch)
    }

    /// Encoded bytes of the batch that [`Outbox::give_oldest`] would give.
    pub(crate) fn oldest_size(&mut self) -> Option<usize> {
        if self.ready.is_empty() {
            self.seal(false);
        }
        self.ready.front().map(|batch| batch.size)
    }

    /// Puts the halves of a batch that was too large; gives the batch back when it cannot be halved.
    pub(crate) fn split(&mut self, batch: Batch<B>) -> Result<(), Batch<B>> {
        let Some([first, second]) = batch.halves(|| self.next_id()) else {
            return Err(batch);
        };
        self.ready.push_front(second);
        self.ready.push_front(first);
        Ok(())
    }

    /// Lets go of a batch for good.
    pub(crate) fn forget(&mut self, batch: &Batch<B>) {
        self.let_go(&batch.entries, batch.held());
    }

    /// Joins what waits into as few batches as it fits in: in SHUTDOWN each request of the function becomes a batch
    /// of its own, and hundreds of writes to the disk take longer than there is time.
    pub(crate) fn gather(&mut self) {
        self.seal(false);
        let mut waiting: Vec<_> = core::mem::take(&mut self.ready).into();
        waiting.sort_by_key(|batch| batch.source as usize);
        let mut waiting = waiting.into_iter().peekable();
        while let Some(first) = waiting.next() {
            let (mut size, mut count, mut others) = (first.size, first.count, Vec::new());
            while let Some(next) = waiting.next_if(|next| {
                first.may_take(next) && self.fits_batch(size + next.size, (count + next.count) as usize)
            }) {
                (size, count) = (size + next.size, count + next.count);
                others.push(next);
            }
            self.ready.push_back(first.join(&others));
        }
    }

    /// Takes everything out of flight.
    pub(crate) fn ground(&mut self) {
        for batch in self.flights.ground() {
            self.put_back(batch);
        }
    }

    /// Everything that is left, out of flight or not.
    pub(crate) fn drain(&mut self) -> Vec<Batch<B>> {
        self.ground();
        self.seal(false);
        let rest: Vec<_> = self.ready.drain(..).collect();
        rest.iter().for_each(|batch| self.forget(batch));
        rest
    }

    pub(crate) const fn flights(&self) -> &Flights<B> {
        &self.flights
    }

    pub(crate) const fn flights_mut(&mut self) -> &mut Flights<B> {
        &mut self.flights
    }

    /// Whether nothing waits to be sent (in flight does not count).
    pub(crate) fn is_all_sent(&self) -> bool {
        self.ready.is_empty() && self.queues.iter().all(Queue::is_empty)
    }

    /// Memory held in all states: encoded bytes and bookkeeping.
    pub(crate) const fn held_bytes(&self) -> usize {
        self.held
    }

    /// Of that, the encoded bytes.
    pub(crate) fn encoded_bytes(&self) -> usize {
        let ready: usize = self.ready.iter().map(|batch| batch.size).sum();
        let queued: usize = self.queues.iter().map(Queue::size).sum();
        ready + queued + self.flights.size()
    }

    /// Items held in all states: the ledger must agree.
    pub(crate) fn held_items(&self) -> u64 {
        let ready: u64 = self.ready.iter().map(|batch| batch.count).sum();
        let queued: usize = self.queues.iter().map(Queue::count).sum();
        ready + queued as u64 + self.flights.items()
    }

    /// Since when the oldest thing is held that is not in flight.
    pub(crate) fn oldest(&self) -> Option<Instant> {
        let queued = self.queues.iter().filter(|queue| !queue.is_empty()).map(Queue::since);
        queued.chain(self.ready.iter().map(|batch| batch.since)).min()
    }

    /// How long the oldest thing has been held.
    pub(crate) fn age(&self, now: Instant) -> Duration {
        self.oldest().map(|since| now.since(since)).unwrap_or_default()
    }

    fn fits_batch(&self, size: usize, items: usize) -> bool {
        self.bounds.fits_batch(self.share, size, items)
    }

    fn has_full(&self, index: usize) -> bool {
        let queue = &self.queues[index];
        // With one more it would be too large.
        !self.fits_batch(queue.size() + 1, queue.count() + 1)
    }

    /// One batch of entries from the front of a queue, of those before the first that is not `wanted`.
    fn take_batch(&mut self, index: usize, wanted: impl Fn(&Entry<B>) -> bool) -> Vec<Entry<B>> {
        let (bounds, share) = (self.bounds, self.share);
        self.queues[index].take_batch(|size, items| bounds.fits_batch(share, size, items), wanted)
    }

    const fn next_id(&mut self) -> BatchId {
        self.last_number += 1;
        BatchId { lane: self.lane, number: self.last_number }
    }
}

#[cfg(test)]
mod tests;

//! Everything accepted and not yet acknowledged: queued, ready, in flight; bounded, least valuable out first.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::batch::{Batch, BatchId, Entry};
use crate::config::Bounds;
use crate::span::Signal;
use crate::speed::PIECE_MIN;
use crate::time::{Duration, Instant};

/// A batch that is with the backend.
#[derive(Debug)]
pub(crate) struct InFlight<B> {
    pub(crate) batch: Batch<B>,
    /// When it was sent.
    pub(crate) launched: Instant,
    /// When it is given up on; re-armed after every wait for `/next`, in which no timer runs.
    pub(crate) due: Instant,
    /// Whether it was sent to find out whether the backend is back.
    pub(crate) is_probe: bool,
    /// Waits for `/next` that it has been through.
    pub(crate) waits: u32,
    /// After a long freeze: until when its answer, which may have come meanwhile, is waited for.
    pub(crate) grace_end: Option<Instant>,
    /// Whether a request that was sent later, and is not much smaller, was answered.
    pub(crate) is_overtaken: bool,
    /// When it was sent, or the last wait ended; and the time before that in which nothing was frozen.
    pub(crate) awake_since: Instant,
    pub(crate) awake: Duration,
}

impl<B> InFlight<B> {
    /// `batch` is sent now.
    pub(crate) const fn new(batch: Batch<B>, now: Instant, due: Instant, is_probe: bool) -> Self {
        Self {
            batch,
            launched: now,
            due,
            is_probe,
            waits: 0,
            grace_end: None,
            is_overtaken: false,
            awake_since: now,
            awake: Duration::ZERO,
        }
    }

    /// The wait that began at `asked_at` is over: no timer has run in it.
    pub(crate) fn after_wait(&mut self, asked_at: Instant, now: Instant, timeout: Duration) {
        self.awake += asked_at.since(self.awake_since);
        (self.awake_since, self.due) = (now, now + timeout);
        self.waits += 1;
    }

    /// When it will have been under way for `stall`, freezes left out.
    pub(crate) fn stalls_at(&self, stall: Duration) -> Instant {
        self.awake_since + stall.saturating_sub(self.awake)
    }
}

/// Entries of one signal that are not in a batch yet.
#[derive(Debug)]
struct Queue<B> {
    entries: VecDeque<Entry<B>>,
    size: usize,
    count: usize,
    since: Instant,
}

impl<B> Default for Queue<B> {
    fn default() -> Self {
        Self { entries: VecDeque::new(), size: 0, count: 0, since: Instant::default() }
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Outbox<B> {
    bounds: Bounds,
    queues: [Queue<B>; Signal::ALL.len()],
    ready: VecDeque<Batch<B>>,
    /// Until when the backend has asked to be left alone with a signal.
    asked: [Option<Instant>; Signal::ALL.len()],
    in_flight: Vec<InFlight<B>>,
    held: usize,
    /// Memory that is held outside and counts against the same bound.
    beside: usize,
    last_id: u64,
}

/// Items that had to go to keep within the bound.
pub(crate) type Evicted = (Signal, u64);

impl<B: Clone> Outbox<B> {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            queues: Default::default(),
            ready: VecDeque::new(),
            asked: Default::default(),
            in_flight: Vec::new(),
            held: 0,
            beside: 0,
            last_id: 0,
        }
    }

    /// Takes `entry` in. Making room is the caller's next step.
    pub(crate) fn push(&mut self, now: Instant, entry: Entry<B>) {
        self.held += entry.held();
        let queue = &mut self.queues[entry.signal as usize];
        if queue.entries.is_empty() {
            queue.since = now;
        }
        queue.size += entry.size as usize;
        queue.count += entry.count as usize;
        queue.entries.push_back(entry);
    }

    /// Takes entries back that the backend may have already: they stay a batch of their own.
    pub(crate) fn push_again(&mut self, now: Instant, signal: Signal, entries: Vec<Entry<B>>) {
        if !entries.is_empty() {
            let batch = Batch { is_doubtful: true, ..Batch::new(self.next_id(), signal, entries, now) };
            self.held += batch.held();
            self.ready.push_back(batch);
        }
    }

    /// A batch of `entry` alone, which is not held here.
    pub(crate) fn alone(&mut self, now: Instant, entry: Entry<B>) -> Batch<B> {
        Batch::new(self.next_id(), entry.signal, alloc::vec![entry], now)
    }

    /// Cuts batches: all of what is queued, or only batches that are full.
    pub(crate) fn seal(&mut self, only_full: bool) {
        for signal in Signal::ALL {
            while self.has_full(signal) || (!only_full && !self.queue(signal).entries.is_empty()) {
                let entries = self.take_batch(signal);
                let batch = Batch::new(self.next_id(), signal, entries, self.queue(signal).since);
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

    /// The next batch that may go at `now`, if there is room in flight for it: of no more than `room` bytes, or else cut,
    /// where what is cut off is worth a request.
    pub(crate) fn take_ready(&mut self, now: Instant, room: usize) -> Option<Batch<B>> {
        if self.in_flight.len() >= self.bounds.in_flight {
            return None;
        }
        self.forget_asked(now);
        let asked = self.asked;
        let may_go = |batch: &Batch<B>| {
            asked[batch.signal as usize].is_none() && batch.not_before.is_none_or(|at| at <= now)
        };
        // A pause that is over is none: what does not fit now must not be woken for.
        self.ready.iter_mut().filter(|batch| may_go(batch)).for_each(|batch| batch.not_before = None);
        let index = self.ready.iter().position(may_go)?;
        let first = self.take_part(index, room)?;
        let (mut size, mut count, mut others) = (first.size, first.count, Vec::new());
        let mut at = index;
        while let Some(next) = self.ready.get(at) {
            if next.signal != first.signal {
                at += 1;
                continue;
            }
            (size, count) = (size + next.size, count + next.count);
            let fits = size <= room && self.bounds.fits_batch(size, count as usize);
            if !(fits && may_go(next) && first.may_take(next)) {
                break;
            }
            others.extend(self.ready.remove(at));
        }
        Some(first.join(&others))
    }

    /// Whether a batch waits to be sent again whose answer a freeze has cut off.
    pub(crate) fn has_cut_off(&self) -> bool {
        self.ready.iter().any(|batch| batch.was_cut_off && self.pause_of(batch).is_none())
    }

    /// The next such batch, if there is room in flight for it.
    pub(crate) fn take_cut_off(&mut self) -> Option<Batch<B>> {
        let is_it = |batch: &Batch<B>| batch.was_cut_off && self.pause_of(batch).is_none();
        let has_room = self.in_flight.len() < self.bounds.in_flight;
        let index = self.ready.iter().position(is_it).filter(|_| has_room)?;
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

    /// When the first batch that is held back may go; `None` while there is no room in flight for it.
    pub(crate) fn next_retry(&self) -> Option<Instant> {
        if self.in_flight.len() >= self.bounds.in_flight {
            return None;
        }
        self.ready.iter().filter_map(|batch| self.pause_of(batch)).min()
    }

    /// When the pause of `batch` is over: its own, and the one that the backend asked for.
    pub(crate) fn pause_of(&self, batch: &Batch<B>) -> Option<Instant> {
        batch.not_before.max(self.asked[batch.signal as usize])
    }

    /// The backend has asked to be left alone with `signal`, which holds for all data of it, and not only for what it has
    /// refused: nothing else keeps new data from going there meanwhile.
    pub(crate) fn leave_alone(&mut self, signal: Signal, until: Instant) {
        let asked = &mut self.asked[signal as usize];
        *asked = (*asked).max(Some(until));
    }

    /// Until when the backend has asked to be left alone with `signal`.
    pub(crate) const fn asked_with(&self, signal: Signal) -> Option<Instant> {
        self.asked[signal as usize]
    }

    /// The same of any signal, at the latest.
    pub(crate) fn asked(&self) -> Option<Instant> {
        self.asked.into_iter().max().flatten()
    }

    /// When the first of what is cut may go as far as the backend's wishes are concerned, where none may before.
    pub(crate) fn asked_for_all(&self) -> Option<Instant> {
        // `None` is less than any: where one may go at once, so may something.
        self.ready.iter().map(|batch| self.asked_with(batch.signal)).min().flatten()
    }

    /// A wish that has been granted is none.
    pub(crate) fn forget_asked(&mut self, now: Instant) {
        for asked in &mut self.asked {
            asked.take_if(|until| *until <= now);
        }
    }

    /// Forgets pauses that we chose: a new invocation is a new chance. What the backend asked for stays.
    pub(crate) fn end_pauses(&mut self) {
        self.ready.iter_mut().for_each(|batch| batch.not_before = None);
    }

    /// Forgets every pause, and what makes the next ones long: this is the last chance.
    pub(crate) fn begin_anew(&mut self) {
        self.asked = Default::default();
        let in_flight = self.in_flight.iter_mut().map(|flight| &mut flight.batch);
        for batch in self.ready.iter_mut().chain(in_flight) {
            (batch.not_before, batch.attempts) = (None, 0);
        }
    }

    pub(crate) fn launch(&mut self, in_flight: InFlight<B>) {
        self.in_flight.push(in_flight);
    }

    /// Takes the batch `id` out of flight.
    pub(crate) fn land(&mut self, id: BatchId) -> Option<InFlight<B>> {
        let index = self.in_flight.iter().position(|flight| flight.batch.id == id)?;
        Some(self.in_flight.swap_remove(index))
    }

    /// `answered` has its answer: older requests of the same signal that are not much larger should have theirs. Those that
    /// a freeze has cut into get until `grace_end`.
    pub(crate) fn overtake(&mut self, answered: &InFlight<B>, grace_end: Instant) {
        for flight in &mut self.in_flight {
            let is_older = flight.launched <= answered.launched;
            let is_alike =
                flight.batch.signal == answered.batch.signal && flight.batch.size / 2 <= answered.batch.size;
            flight.is_overtaken |= is_older && is_alike;
            if flight.is_overtaken && flight.waits > 0 {
                flight.grace_end.get_or_insert(grace_end);
            }
        }
    }

    /// Puts a batch back, to go before younger ones.
    pub(crate) fn put_back(&mut self, batch: Batch<B>) {
        let index = self.ready.iter().position(|other| other.since > batch.since).unwrap_or(self.ready.len());
        self.ready.insert(index, batch);
    }

    /// Takes a batch back that had been given away for good.
    pub(crate) fn readmit(&mut self, batch: Batch<B>) {
        self.held += batch.held();
        self.put_back(batch);
    }

    /// Gives the oldest batch away that is not in flight; what is queued is cut into batches for it.
    pub(crate) fn give_oldest(&mut self) -> Option<Batch<B>> {
        if self.ready.is_empty() {
            self.seal(false);
        }
        let batch = self.ready.pop_front()?;
        self.held -= batch.held();
        Some(batch)
    }

    /// Whether more is held than may be.
    pub(crate) const fn is_over(&self) -> bool {
        self.held_bytes() > self.bounds.held_bytes
    }

    /// Whether what takes `held` in memory is more than may be held, even alone.
    pub(crate) const fn is_outsize(&self, held: usize) -> bool {
        held > self.bounds.held_bytes
    }

    /// Encoded bytes of the batch that [`Outbox::give_oldest`] would give, where it is cut already.
    pub(crate) fn oldest_size(&self) -> Option<usize> {
        self.ready.front().map(|batch| batch.size)
    }

    /// Whether something that takes `size` in memory fits without anything having to go.
    pub(crate) const fn has_room(&self, size: usize) -> bool {
        self.held_bytes() + size <= self.bounds.held_bytes
    }

    /// The same, were `gone` of what is held outside not there.
    pub(crate) const fn has_room_beside(&self, gone: usize, size: usize) -> bool {
        self.held_bytes() + size <= self.bounds.held_bytes + gone
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
        self.held -= batch.held();
    }

    /// Joins what waits into as few batches as it fits in: in SHUTDOWN each request of the function becomes a batch
    /// of its own, and hundreds of writes to the disk take longer than there is time.
    pub(crate) fn gather(&mut self) {
        self.seal(false);
        let mut waiting: Vec<_> = core::mem::take(&mut self.ready).into();
        waiting.sort_by_key(|batch| batch.signal as usize);
        let mut waiting = waiting.into_iter().peekable();
        while let Some(first) = waiting.next() {
            let (mut size, mut count, mut others) = (first.size, first.count, Vec::new());
            while let Some(next) = waiting.next_if(|next| {
                first.may_take(next)
                    && self.bounds.fits_batch(size + next.size, (count + next.count) as usize)
            }) {
                (size, count) = (size + next.size, count + next.count);
                others.push(next);
            }
            self.ready.push_back(first.join(&others));
        }
    }

    /// Takes everything out of flight.
    pub(crate) fn ground(&mut self) {
        for flight in core::mem::take(&mut self.in_flight) {
            self.put_back(flight.batch);
        }
    }

    /// Everything that is left, out of flight or not.
    pub(crate) fn drain(&mut self) -> Vec<Batch<B>> {
        self.seal(false);
        let mut rest: Vec<_> = self.in_flight.drain(..).map(|flight| flight.batch).collect();
        rest.extend(self.ready.drain(..));
        self.held = 0;
        rest
    }

    pub(crate) fn in_flight(&self) -> &[InFlight<B>] {
        &self.in_flight
    }

    pub(crate) fn in_flight_mut(&mut self) -> &mut [InFlight<B>] {
        &mut self.in_flight
    }

    /// Whether nothing waits to be sent (in flight does not count).
    pub(crate) fn is_all_sent(&self) -> bool {
        self.ready.is_empty() && self.queues.iter().all(|queue| queue.entries.is_empty())
    }

    /// Whether something of `signal` waits to be sent.
    pub(crate) fn has_waiting(&self, signal: Signal) -> bool {
        !self.queue(signal).entries.is_empty() || self.ready.iter().any(|batch| batch.signal == signal)
    }

    /// Memory held in all states: encoded bytes and bookkeeping.
    pub(crate) const fn held_bytes(&self) -> usize {
        self.held + self.beside
    }

    /// So much is held outside.
    pub(crate) const fn set_beside(&mut self, beside: usize) {
        self.beside = beside;
    }

    /// Items of `signal` held in all states: the ledger must agree.
    pub(crate) fn held_items(&self, signal: Signal) -> u64 {
        let batches = self.ready.iter().chain(self.in_flight.iter().map(|flight| &flight.batch));
        let batched: u64 = batches.filter(|batch| batch.signal == signal).map(|batch| batch.count).sum();
        batched + self.queue(signal).count as u64
    }

    /// How long the oldest thing has been held.
    pub(crate) fn oldest(&self, now: Instant) -> Duration {
        let queued = self.queues.iter().filter(|queue| !queue.entries.is_empty()).map(|queue| queue.since);
        let batched = self.ready.iter().map(|batch| batch.since);
        queued.chain(batched).map(|since| now.since(since)).max().unwrap_or_default()
    }

    const fn queue(&self, signal: Signal) -> &Queue<B> {
        &self.queues[signal as usize]
    }

    fn has_full(&self, signal: Signal) -> bool {
        let queue = self.queue(signal);
        // With one more it would be too large.
        !self.bounds.fits_batch(queue.size + 1, queue.count + 1)
    }

    /// Up to one batch of entries from the front of a queue; at least one, however large.
    fn take_batch(&mut self, signal: Signal) -> Vec<Entry<B>> {
        let bounds = self.bounds;
        let queue = &mut self.queues[signal as usize];
        if bounds.fits_batch(queue.size, queue.count) {
            // The usual case: nothing is moved, and a long queue's memory leaves with its entries.
            (queue.size, queue.count) = (0, 0);
            return core::mem::take(&mut queue.entries).into();
        }
        let (mut entries, mut size, mut count) = (Vec::new(), 0, 0);
        while let Some(entry) = queue.entries.pop_front() {
            let (next_size, next_count) = (size + entry.size as usize, count + entry.count as usize);
            if !bounds.fits_batch(next_size, next_count) && !entries.is_empty() {
                queue.entries.push_front(entry);
                break;
            }
            (size, count) = (next_size, next_count);
            entries.push(entry);
        }
        queue.size -= size;
        queue.count -= count;
        entries
    }

    const fn next_id(&mut self) -> BatchId {
        self.last_id += 1;
        BatchId(self.last_id)
    }

    /// Gives up what is least valuable: plain entries first, oldest first, then anything, oldest first. What
    /// is in flight stays.
    pub(crate) fn evict(&mut self) -> Option<Evicted> {
        self.evict_plain_batch()
            .or_else(|| self.evict_queued(true))
            .or_else(|| self.evict_batch())
            .or_else(|| self.evict_queued(false))
    }

    fn evict_plain_batch(&mut self) -> Option<Evicted> {
        let (index, (precious, count)) =
            self.ready.iter().enumerate().find_map(|(index, batch)| Some((index, batch.without_plain()?)))?;
        let old = self.ready.remove(index)?;
        self.held -= old.held();
        if !precious.is_empty() {
            let id = self.next_id();
            let rest = Batch {
                attempts: old.attempts,
                not_before: old.not_before,
                is_doubtful: old.is_doubtful,
                was_cut_off: old.was_cut_off,
                ..Batch::new(id, old.signal, precious, old.since)
            };
            self.held += rest.held();
            self.ready.insert(index, rest);
        }
        Some((old.signal, count))
    }

    fn evict_batch(&mut self) -> Option<Evicted> {
        let batch = self.ready.pop_front()?;
        self.held -= batch.held();
        Some((batch.signal, batch.count))
    }

    fn evict_queued(&mut self, only_plain: bool) -> Option<Evicted> {
        // The signal that holds most gives first, of those that have any to give.
        let first =
            |queue: &Queue<B>| queue.entries.iter().position(|entry| !(only_plain && entry.is_precious));
        let queues = self.queues.iter_mut().filter_map(|queue| Some((first(queue)?, queue)));
        let (index, queue) = queues.max_by_key(|(_, queue)| queue.size)?;
        let entry = queue.entries.remove(index)?;
        queue.size -= entry.size as usize;
        queue.count -= entry.count as usize;
        self.held -= entry.held();
        Some((entry.signal, u64::from(entry.count)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::{BOOKKEEPING_BYTES, Content};

    const BOUNDS: Bounds =
        Bounds { held_bytes: 1 << 20, spooled_bytes: 0, batch_bytes: 40, batch_items: 3, in_flight: 2 };

    fn push(outbox: &mut Outbox<u32>, now: Instant, entry: Entry<u32>) -> Vec<Evicted> {
        outbox.push(now, entry);
        core::iter::from_fn(|| if outbox.is_over() { outbox.evict() } else { None }).collect()
    }

    fn entry(size: u32, is_precious: bool) -> Entry<u32> {
        Entry {
            signal: Signal::Traces,
            count: 1,
            size,
            is_precious,
            content: Content::Received(size),
            stamp: None,
        }
    }

    fn at(n: u64) -> Instant {
        Instant::from_nanos(n)
    }

    #[test]
    fn batches_are_cut_by_bytes_and_by_items() {
        let mut outbox = Outbox::new(BOUNDS);
        for size in [10, 10, 10, 10, 25, 30] {
            outbox.push(at(0), entry(size, false));
        }
        outbox.seal(false);
        let sizes: Vec<_> =
            core::iter::from_fn(|| outbox.take_ready(at(0), usize::MAX)).map(|batch| batch.size).collect();
        assert_eq!(sizes, [30, 35, 30]);
    }

    #[test]
    fn a_batch_fits_into_memory_with_its_bookkeeping() {
        let mut outbox = Outbox::new(Bounds { held_bytes: 2 + 2 * BOOKKEEPING_BYTES, ..BOUNDS });
        for _ in 0..3 {
            outbox.push(at(0), entry(1, false));
        }
        outbox.seal(false);
        let parts: Vec<_> = core::iter::from_fn(|| outbox.give_oldest()).map(|batch| batch.count).collect();
        assert_eq!(parts, [2, 1]);
    }

    #[test]
    fn only_full_batches_leave_early() {
        let mut outbox = Outbox::new(BOUNDS);
        for _ in 0..4 {
            outbox.push(at(0), entry(1, false));
        }
        outbox.seal(true);
        assert_eq!(outbox.take_ready(at(0), usize::MAX).map(|batch| batch.count), Some(3));
        assert!(outbox.take_ready(at(0), usize::MAX).is_none());
        assert_eq!(outbox.held_items(Signal::Traces), 1);
    }

    #[test]
    fn the_least_valuable_goes_first_when_room_runs_out() {
        let two_of_fifty = 100 + 2 * BOOKKEEPING_BYTES;
        let mut outbox = Outbox::new(Bounds { held_bytes: two_of_fifty, ..BOUNDS });
        assert!(push(&mut outbox, at(0), entry(40, true)).is_empty());
        assert!(push(&mut outbox, at(1), entry(40, false)).is_empty());
        outbox.seal(false);
        assert_eq!(push(&mut outbox, at(2), entry(40, false)), [(Signal::Traces, 1)]);
        assert_eq!(outbox.held_bytes(), 80 + 2 * BOOKKEEPING_BYTES);
        assert_eq!(push(&mut outbox, at(3), entry(90, true)), [(Signal::Traces, 1), (Signal::Traces, 1)]);
        assert_eq!(outbox.held_bytes(), 90 + BOOKKEEPING_BYTES);
        assert_eq!(outbox.held_items(Signal::Traces), 1);
    }

    #[test]
    fn nothing_that_is_precious_goes_before_anything_that_is_not() {
        let mut outbox = Outbox::new(BOUNDS);
        outbox.push(at(0), entry(10, true));
        outbox.seal(false);
        outbox.push(at(1), entry(30, true));
        outbox.push(at(2), Entry { signal: Signal::Logs, ..entry(20, false) });
        outbox.push(at(3), Entry { signal: Signal::Metrics, ..entry(25, false) });
        let gone: Vec<_> = core::iter::from_fn(|| outbox.evict()).map(|(signal, _)| signal).collect();
        assert_eq!(gone, [Signal::Metrics, Signal::Logs, Signal::Traces, Signal::Traces]);
        assert_eq!(outbox.held_bytes(), 0);
    }

    #[test]
    fn a_batch_that_is_too_large_is_halved_down_to_one() {
        let mut outbox = Outbox::new(BOUNDS);
        for _ in 0..3 {
            outbox.push(at(0), entry(10, false));
        }
        outbox.seal(false);
        let batch = outbox.take_ready(at(0), usize::MAX).expect("three entries are queued");
        assert!(outbox.split(batch).is_ok());
        let single = outbox.take_ready(at(0), usize::MAX).expect("the first half");
        assert_eq!(single.count, 1);
        assert!(outbox.split(single).is_err());
    }

    #[test]
    fn what_does_not_fit_stays_for_later() {
        let mut outbox = Outbox::new(Bounds { batch_bytes: 1 << 20, batch_items: 100, ..BOUNDS });
        for _ in 0..5 {
            outbox.push(at(0), entry(10_000, false));
        }
        outbox.seal(false);
        assert!(outbox.take_ready(at(0), PIECE_MIN - 1).is_none(), "not worth a request");
        let mut all = outbox.take_ready(at(0), usize::MAX).expect("all of them");
        all.attempts = 4;
        outbox.put_back(all);
        let part = outbox.take_ready(at(0), 35_000).expect("three of five fit");
        assert_eq!((part.size, part.count, part.attempts), (30_000, 3, 4));
        let rest = outbox.take_ready(at(0), usize::MAX).expect("the others");
        assert_eq!((rest.size, rest.count, rest.attempts), (20_000, 2, 4));
        assert_eq!(outbox.held_items(Signal::Traces), 0, "both are handed out");
        outbox.put_back(rest);
        let single = outbox.take_ready(at(0), PIECE_MIN).expect("one at least");
        assert_eq!(single.count, 1);
    }

    #[test]
    fn older_batches_are_tried_first_after_a_failure() {
        let mut outbox = Outbox::new(BOUNDS);
        outbox.push(at(0), entry(1, false));
        outbox.seal(false);
        let old = outbox.take_ready(at(0), usize::MAX).expect("one is ready");
        outbox.push(at(5), entry(2, false));
        outbox.seal(false);
        outbox.put_back(old);
        let both = outbox.take_ready(at(5), usize::MAX).expect("two are ready, and fit into one request");
        let sizes: Vec<_> = both.entries.iter().map(|entry| entry.size).collect();
        assert_eq!((sizes, both.size, both.count), (alloc::vec![1, 2], 3, 2));
        assert!(outbox.take_ready(at(5), usize::MAX).is_none());
    }
}

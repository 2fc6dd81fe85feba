//! A lane: data of one signal on its way to one destination, with everything that its backend is believed to be.
//!
//! Lanes share nothing but memory and disk, whose bounds belong to [`crate::room`]: a backend that is slow, hangs or refuses
//! costs what waits for it, and nothing else. A lane knows no invocations. It is told in which [`Window`] it is, and until
//! when somebody waits for it.

pub(crate) mod batch;
mod breaker;
mod effort;
mod exports;
mod flight;
mod flush;
mod outbox;
pub(crate) mod retry;
pub(crate) mod shelf;
mod speed;
mod spooling;

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::config::Config;
use crate::entry::Entry;
use crate::io::Output;
use crate::ledger::{DropReason, LaneBooks, Ledger};
use crate::metrics::Metrics;
use crate::notice::Notice;
use crate::rng::Rng;
use crate::shared::Twice;
use crate::span::Signal;
use crate::time::{Duration, Instant};

pub(crate) use batch::BatchId;
use batch::{Batch, Source};
use breaker::Breaker;
pub use effort::Effort;
pub(crate) use exports::Answer;
use flush::Flush;
use outbox::Outbox;
use shelf::Shelf;
use speed::Speed;

/// Names a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LaneId {
    /// What goes there.
    pub signal: Signal,
    /// Which of the destinations of its signal.
    pub destination: u8,
}

impl LaneId {
    /// The lane to the first destination of `signal`.
    pub const fn of(signal: Signal) -> Self {
        Self { signal, destination: 0 }
    }
}

/// What may begin now, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Window {
    /// Beside a handler: nobody waits. Nobody knows when it ends either; packing is planned as if it were here.
    Beside(Instant),
    /// Nothing is ever frozen.
    Open,
    /// An invocation is held, for as long as [`Lane::begin_flush`] was told.
    Held,
    /// SHUTDOWN, until then.
    Last(Instant),
}

/// Where a lane puts what it wants done, and what has become of what it held.
pub(crate) struct Effects<'a, B> {
    pub(crate) outputs: &'a mut VecDeque<Output<B>>,
    pub(crate) ledger: &'a mut Ledger,
    pub(crate) metrics: &'a mut Metrics,
}

impl<B> Effects<'_, B> {
    pub(crate) fn say(&mut self, notice: Notice) {
        self.outputs.push_back(Output::Say(notice));
    }
}

/// What a lane has said already, so that it is said once.
#[derive(Debug, Default)]
struct Said {
    partly_rejected: bool,
    too_large: bool,
    spool_unreadable: bool,
    statuses: Vec<u16>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Lane<B> {
    id: LaneId,
    /// Whether an invocation may be held for it.
    holds: bool,
    /// The longest that one request may take, and that one flush may.
    timeout: Duration,
    ceiling: Duration,
    outbox: Outbox<B>,
    shelf: Shelf<B>,
    breaker: Breaker,
    speed: Speed,
    /// Its own: what others draw must not change its pauses.
    rng: Rng,
    /// Whether something had to go into the spool for want of room, and nothing has been answered since: what is read back
    /// now would only go there again.
    is_crowded: bool,
    /// Whether a flush has waited in vain since the backend was last heard of.
    was_vain: bool,
    /// Flushes that still wait for answers because a freeze has swallowed one.
    swallows: u8,
    flush: Flush,
    said: Said,
    books: LaneBooks,
    /// Whether its signal goes nowhere else.
    is_sole: bool,
}

impl<B: Clone> Lane<B> {
    /// The lane `id`, in which nothing has happened yet. `share` of memory is what it has a claim to.
    pub(crate) fn new(id: LaneId, config: &Config, share: usize, holds: bool) -> Self {
        Self {
            id,
            holds,
            timeout: config.export_timeouts[id.signal as usize],
            ceiling: config.flush_ceiling,
            outbox: Outbox::new(id, config.bounds_of(id.signal, id.destination), share),
            shelf: Shelf::new(),
            breaker: Breaker::new(),
            speed: Speed::default(),
            rng: Self::rng(id, config.seed),
            is_crowded: false,
            was_vain: false,
            swallows: 0,
            flush: Flush::default(),
            said: Said::default(),
            books: LaneBooks::default(),
            is_sole: true,
        }
    }

    /// The same, where others may hold one copy of what it holds, and its signal may go elsewhere, too.
    pub(crate) fn sharing(self, twice: Twice, is_sole: bool) -> Self {
        Self { outbox: self.outbox.sharing(twice), is_sole, ..self }
    }

    /// Whether its signal goes nowhere else.
    pub(crate) const fn is_sole(&self) -> bool {
        self.is_sole
    }

    pub(crate) const fn books(&self) -> &LaneBooks {
        &self.books
    }

    /// So many items of it are given up for `reason`; those of its signal count them, too.
    pub(crate) fn drop(&mut self, ledger: &mut Ledger, reason: DropReason, count: u64) {
        ledger.drop(self.id.signal, reason, count);
        self.books.dropped[reason as usize] += count;
    }

    /// The function's own bytes in all that is held in memory.
    pub(crate) fn bodies_mut(&mut self) -> impl Iterator<Item = &mut B> {
        self.outbox.bodies_mut()
    }

    fn rng(id: LaneId, seed: u64) -> Rng {
        Rng::new(seed ^ (((id.signal as u64) << 8 | u64::from(id.destination)) << 32))
    }

    /// Every environment restored from one snapshot wakes up with the same state: their pauses must differ.
    pub(crate) fn reseed(&mut self, seed: u64) {
        self.rng = Self::rng(self.id, seed);
    }

    pub(crate) const fn id(&self) -> LaneId {
        self.id
    }

    pub(crate) const fn signal(&self) -> Signal {
        self.id.signal
    }

    /// Whether an invocation may be held for it.
    pub(crate) const fn holds(&self) -> bool {
        self.holds
    }

    /// Takes `entry` in. Making room is the caller's next step.
    pub(crate) fn accept(&mut self, now: Instant, entry: Entry<B>) {
        self.books.taken += u64::from(entry.count);
        let source = Source::of(&entry);
        if self.outbox.is_outsize(entry.held()) {
            // Nothing else has to go to the disk with it.
            return self.outbox.push_apart(now, source, false, alloc::vec![entry]);
        }
        self.outbox.push(now, source, entry);
    }

    /// Gives up what is least valuable, of plain entries only or of all, and says how many items that were.
    pub(crate) fn evict(&mut self, only_plain: bool) -> Option<u64> {
        self.outbox.evict(only_plain)
    }

    /// Whether its backend is believed to be there.
    pub(crate) const fn is_well(&self) -> bool {
        self.breaker.is_closed()
    }

    /// Whether everything is sent and answered.
    pub(crate) fn is_safe(&self) -> bool {
        self.outbox.is_all_sent() && self.outbox.flights().is_empty()
    }

    /// Whether nothing is held at all, in memory or on disk.
    pub(crate) fn is_empty(&self) -> bool {
        self.is_safe() && self.shelf.is_empty()
    }

    /// Whether nothing waits to be sent; what is in flight does not count.
    pub(crate) fn is_all_sent(&self) -> bool {
        self.outbox.is_all_sent()
    }

    /// Whether there is nothing that this lane could do before something new happens.
    pub(crate) fn is_idle(&self) -> bool {
        self.is_safe() && !self.shelf.is_busy() && self.is_well()
    }

    /// Memory held in all states: encoded bytes and bookkeeping.
    pub(crate) const fn held_bytes(&self) -> usize {
        self.outbox.held_bytes()
    }

    /// Of that, the encoded bytes.
    pub(crate) fn encoded_bytes(&self) -> usize {
        self.outbox.encoded_bytes()
    }

    /// What waits of what is held: it could go to the disk, or be given up.
    pub(crate) fn waiting_bytes(&self) -> usize {
        self.outbox.held_bytes() - self.outbox.flights().held()
    }

    /// Items held, in memory or on disk.
    pub(crate) fn held_items(&self) -> u64 {
        self.items_in_memory() + self.items_on_disk()
    }

    pub(crate) fn items_in_memory(&self) -> u64 {
        self.outbox.held_items()
    }

    pub(crate) fn items_in_flight(&self) -> u64 {
        self.outbox.flights().items()
    }

    pub(crate) fn items_on_disk(&self) -> u64 {
        self.shelf.items()
    }

    /// Since when the oldest thing waits in memory.
    pub(crate) fn oldest(&self) -> Option<Instant> {
        self.outbox.oldest()
    }

    /// How long it has.
    pub(crate) fn age(&self, now: Instant) -> Duration {
        self.outbox.age(now)
    }

    /// When something is to be done about a request that is under way, if it has no answer by then.
    pub(crate) fn flight_due(&self) -> Option<Instant> {
        let stall = self.speed.stall();
        self.outbox.flights().iter().map(|flight| flight.acts_at(stall)).min()
    }

    /// When the first batch that is held back may go.
    pub(crate) fn retry_due(&self) -> Option<Instant> {
        self.outbox.next_retry()
    }

    /// When it goes on reading from the disk, if it rests.
    pub(crate) const fn rest_ends(&self) -> Option<Instant> {
        self.shelf.wakes_at()
    }

    /// When the next probe may go, if there is anything for it that the backend has not asked to be left alone with.
    pub(crate) fn probe_due(&self) -> Option<Instant> {
        let probe_at = self.breaker.probe_at().filter(|_| self.has_for_probe())?;
        Some(self.outbox.asked().map_or(probe_at, |asked| asked.max(probe_at)))
    }

    /// Whether a probe that is due could be sent, or read back to be sent.
    fn has_for_probe(&self) -> bool {
        let is_idle = self.outbox.flights().is_empty() && !self.shelf.is_reading();
        let may_read = is_idle && self.shelf.oldest_held().is_some() && self.shelf.wakes_at().is_none();
        !self.outbox.is_all_sent() || may_read
    }

    /// An invocation begins: what is left from before goes out beside the handler, where it costs nothing; pauses that the
    /// backend asked for last.
    pub(crate) fn begin_invocation(&mut self) {
        self.is_crowded = false;
        self.outbox.seal(false);
        self.outbox.end_pauses();
        self.shelf.end_rest(self.outbox.asked());
    }

    /// SHUTDOWN, until `end`: the last chance, whatever was before.
    pub(crate) fn begin_last(&mut self, now: Instant, end: Instant) {
        self.is_crowded = false;
        self.outbox.begin_anew();
        self.shelf.end_rest(None);
        // Its answer would have come before: there is still time for another try. However slow others were; what the backend
        // had lost by then would be awaited to the end.
        let half = now + end.since(now) / 2;
        for flight in self.outbox.flights_mut().iter_mut() {
            flight.due = flight.due.min(half);
        }
    }

    /// Cuts batches of all that is queued.
    pub(crate) fn seal(&mut self) {
        self.outbox.seal(false);
    }

    /// Goes as far as it can in this window without anything new happening.
    pub(crate) fn advance(&mut self, now: Instant, window: Window, effects: &mut Effects<'_, B>) {
        match window {
            Window::Beside(_) => {
                self.outbox.seal(true);
                self.export_or_probe(now, window, effects);
            }
            Window::Open => self.export_or_probe(now, window, effects),
            Window::Held => self.advance_flush(now, effects),
            Window::Last(_) => {
                self.outbox.seal(false);
                self.export_ready(now, window, effects);
            }
        }
        debug_assert!(
            !self.breaker.is_probing() || self.has_probe(),
            "nothing would ever end the wait for a probe"
        );
    }

    /// Whether nothing is left that could be sent before `end`: it is with nobody, and its pause is longer.
    pub(crate) fn is_pointless(&self, end: Instant) -> bool {
        let retry_comes = self.outbox.next_retry().is_some_and(|at| at < end);
        self.outbox.flights().is_empty() && !retry_comes
    }

    /// Whether SHUTDOWN need not wait for it: everything is safe, or will not be.
    pub(crate) fn has_done_its_best(&self, end: Instant) -> bool {
        let wakes_in_time = self.shelf.wakes_at().is_some_and(|at| at < end);
        self.is_empty() || self.is_pointless(end) && !self.shelf.is_busy() && !wakes_in_time
    }

    fn give_up(&mut self, batch: &Batch<B>, reason: DropReason, effects: &mut Effects<'_, B>) {
        self.drop(effects.ledger, reason, batch.count);
        self.outbox.forget(batch);
    }
}

#[cfg(test)]
mod tests;

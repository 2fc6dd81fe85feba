//! What is with the backend: requests without an answer yet, in a bounded number of slots.

use alloc::vec::Vec;

use super::batch::{Batch, BatchId};
use crate::time::{Duration, Instant};

/// In SHUTDOWN no answer is given up in less time than this: else the last moments are spent on sending and giving up, in ever
/// shorter turns.
const TRY_MIN: Duration = Duration::from_millis(20);

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
    /// In SHUTDOWN: when half of the time there was for it is over, and when all of it is.
    last: Option<(Instant, Instant)>,
    /// In SHUTDOWN, once it is overtaken: when another try has a better chance than its own answer.
    last_chance: Option<Instant>,
    /// When it was sent, or the last wait ended; and the time before that in which nothing was frozen.
    awake_since: Instant,
    awake: Duration,
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
            last: None,
            last_chance: None,
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

    /// In SHUTDOWN, which ends at `end`; answers take up to `usual`, by what is known.
    pub(crate) fn hasten(&mut self, now: Instant, end: Instant, usual: Duration) {
        let left = end.since(now);
        let half = (left / 2).max(TRY_MIN);
        // An answer that takes half of the time there is will not come, unless others took as long: there is still time for
        // another try. Where the slowest took longer than all of it, another try is the better chance, too.
        let is_hopeless = usual >= left * 2;
        self.due = self.due.min(now + if is_hopeless { half } else { usual.max(half) });
        self.last = Some((now + half, end));
    }

    /// A request like it, which was not sent earlier, has its answer now, after `took`. In SHUTDOWN that is no reason to give
    /// it up before twice as long, nor where another try could not be answered as soon: then the backend is slow for all.
    fn note_overtaken(&mut self, now: Instant, took: Duration) {
        self.is_overtaken = true;
        if let Some((half, end)) = self.last {
            let at = now.max(half).max(self.launched + took * 2);
            if at + took <= end {
                self.last_chance.get_or_insert(at);
            }
        }
    }

    /// For how long it has been under way by `now`, without the waits for `/next`.
    pub(crate) fn awake(&self, now: Instant) -> Duration {
        self.awake + now.since(self.awake_since)
    }

    /// When something is to be done about it, if it has no answer by then; `stall` is for how long a connection is trusted
    /// that is suspected. After a freeze, an answer that came meanwhile has its grace, whatever is suspected.
    pub(crate) fn acts_at(&self, stall: Duration) -> Instant {
        let stalls_at = self.awake_since + stall.saturating_sub(self.awake);
        let stalls_at = self.last_chance.map_or(stalls_at, |at| at.min(stalls_at));
        let stalls_at = self.may_stall().then_some(stalls_at);
        self.grace_end.or(stalls_at).map_or(self.due, |at| at.min(self.due))
    }

    /// Whether its connection is suspected: others answer. Each batch is moved to another one once.
    const fn may_stall(&self) -> bool {
        self.is_overtaken && !self.batch.was_lost
    }
}

/// The slots of one lane.
#[derive(Debug)]
pub(crate) struct Flights<B> {
    slots: usize,
    flying: Vec<InFlight<B>>,
}

impl<B: Clone> Flights<B> {
    /// What is under way was sent to find nothing out: that is known, or another request is to find it out.
    pub(crate) fn forget_probes(&mut self) {
        self.flying.iter_mut().for_each(|flight| flight.is_probe = false);
    }

    pub(crate) const fn new(slots: usize) -> Self {
        Self { slots, flying: Vec::new() }
    }

    pub(crate) const fn has_slot(&self) -> bool {
        self.flying.len() < self.slots
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.flying.is_empty()
    }

    pub(crate) fn iter(&self) -> core::slice::Iter<'_, InFlight<B>> {
        self.flying.iter()
    }

    pub(crate) fn iter_mut(&mut self) -> core::slice::IterMut<'_, InFlight<B>> {
        self.flying.iter_mut()
    }

    pub(crate) fn launch(&mut self, flight: InFlight<B>) {
        debug_assert!(self.has_slot(), "a batch is only taken where there is a slot for it");
        self.flying.push(flight);
    }

    /// Takes the batch `id` out of flight.
    pub(crate) fn land(&mut self, id: BatchId) -> Option<InFlight<B>> {
        let index = self.flying.iter().position(|flight| flight.batch.id == id)?;
        Some(self.flying.swap_remove(index))
    }

    /// Takes everything out of flight.
    pub(crate) fn ground(&mut self) -> Vec<Batch<B>> {
        self.flying.drain(..).map(|flight| flight.batch).collect()
    }

    /// `answered` has its answer: older requests that are not much larger should have theirs. Those that a freeze has cut
    /// into get until `grace_end`.
    pub(crate) fn overtake(&mut self, answered: &InFlight<B>, now: Instant, grace_end: Instant) {
        for flight in &mut self.flying {
            let is_older = flight.launched <= answered.launched;
            let is_alike = flight.batch.size / 2 <= answered.batch.size;
            if is_older && is_alike {
                flight.note_overtaken(now, answered.awake(now));
            }
            if flight.is_overtaken && flight.waits > 0 {
                flight.grace_end.get_or_insert(grace_end);
            }
        }
    }

    /// Encoded bytes under way.
    pub(crate) fn size(&self) -> usize {
        self.flying.iter().map(|flight| flight.batch.size).sum()
    }

    /// Items under way.
    pub(crate) fn items(&self) -> u64 {
        self.flying.iter().map(|flight| flight.batch.count).sum()
    }

    /// Memory of what is under way.
    pub(crate) fn held(&self) -> usize {
        self.flying.iter().map(|flight| flight.batch.held()).sum()
    }

    /// Names of those for which `is_meant`.
    pub(crate) fn ids(&self, is_meant: impl Fn(&InFlight<B>) -> bool) -> Vec<BatchId> {
        self.flying.iter().filter(|flight| is_meant(flight)).map(|flight| flight.batch.id).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::LaneId;
    use super::super::batch::Source;
    use super::*;
    use crate::span::Signal;

    fn ms(ms: u64) -> Instant {
        Instant::from_nanos(ms * 1_000_000)
    }

    /// A batch of this many bytes, sent at this time.
    fn flight(number: u64, size: usize, launched: u64) -> InFlight<()> {
        let id = BatchId { lane: LaneId::of(Signal::Traces), number };
        let batch = Batch { size, ..Batch::new(id, Source::Function, Vec::new(), ms(0)) };
        InFlight::new(batch, ms(launched), ms(5_000), false)
    }

    #[test]
    fn an_answer_overtakes_what_is_older_and_alike_and_a_freeze_gives_that_a_grace() {
        // Waits, bytes and time of another request, the end of a grace that it has, and then: overtaken, the end of its grace.
        // What is answered has 100 bytes, and is of 10 ms.
        for (waits, size, launched, had, is_overtaken, has) in [
            (0, 200, 10, None, true, None),
            (1, 200, 10, None, true, Some(50)),
            (3, 1, 0, None, true, Some(50)),
            (1, 200, 10, Some(40), true, Some(40)),
            (1, 202, 10, None, false, None),
            (1, 200, 11, None, false, None),
        ] {
            let mut flights = Flights::new(2);
            let grace_end = had.map(ms);
            flights.launch(InFlight { waits, grace_end, ..flight(1, size, launched) });
            flights.overtake(&flight(2, 100, 10), ms(20), ms(50));
            let found = flights.land(BatchId { lane: LaneId::of(Signal::Traces), number: 1 });
            let found = found.map(|flight| (flight.is_overtaken, flight.grace_end));
            assert_eq!(found, Some((is_overtaken, has.map(ms))), "{waits} {size} {launched} {had:?}");
        }
    }

    #[test]
    fn what_is_suspected_has_its_grace_after_a_freeze() {
        let stall = Duration::from_millis(200);
        // Whether others were answered; until when it has grace; when something is done about a request of time 0 which has
        // been awake for 150 ms before a freeze that ended at 1,000 ms.
        for (is_overtaken, grace_end, acts_at) in [
            (false, None, 5_000),
            (true, None, 1_050),
            (true, Some(1_100), 1_100),
            (false, Some(1_100), 1_100),
            (true, Some(9_000), 5_000),
        ] {
            let mut flight = flight(1, 0, 0);
            flight.after_wait(ms(150), ms(1_000), Duration::from_millis(4_000));
            (flight.is_overtaken, flight.grace_end) = (is_overtaken, grace_end.map(ms));
            assert_eq!(flight.acts_at(stall), ms(acts_at), "{is_overtaken} {grace_end:?}");
        }
    }

    /// However slow answers were before: others have theirs. But not before it is late by what those took, nor where another
    /// try would take longer than there is time.
    #[test]
    fn what_is_overtaken_in_shutdown_is_tried_again_where_that_may_be_answered_in_time() {
        // Half of the time and all of it, if it was sent in SHUTDOWN; when others were sent and answered; when something is
        // done about it. It was sent at 100 ms.
        for (last, sent, answered, acts_at) in [
            (Some((1_000, 1_900)), 100, 120, 1_000),
            (Some((1_000, 1_900)), 1_100, 1_120, 1_120),
            (Some((1_000, 1_900)), 100, 550, 1_000),
            (Some((1_000, 1_900)), 100, 600, 1_100),
            (Some((1_000, 1_900)), 100, 700, 1_300),
            (Some((1_000, 1_900)), 100, 701, 4_100),
            (Some((1_000, 1_900)), 1_200, 1_550, 1_550),
            (Some((1_000, 1_900)), 1_200, 1_551, 4_100),
            (Some((4_800, 9_600)), 100, 200, 4_100),
            (None, 100, 120, 4_100),
        ] {
            let mut flights = Flights::new(2);
            let last = last.map(|(half, end)| (ms(half), ms(end)));
            flights.launch(InFlight { last, ..flight(1, 100, 100) });
            flights.overtake(&flight(2, 100, sent), ms(answered), ms(9_999));
            let acts = flights.iter().next().map(|flight| flight.acts_at(Duration::from_secs(4)));
            assert_eq!(acts, Some(ms(acts_at)), "{last:?}, sent at {sent}, answered at {answered}");
        }
    }

    /// The first that overtook it says when: those that come later were slower.
    #[test]
    fn what_is_overtaken_again_keeps_its_last_chance() {
        let mut flights = Flights::new(2);
        flights.launch(InFlight { last: Some((ms(1_000), ms(1_900))), ..flight(1, 100, 100) });
        for answered in [120, 690] {
            flights.overtake(&flight(2, 100, 100), ms(answered), ms(9_999));
        }
        let acts = flights.iter().next().map(|flight| flight.acts_at(Duration::from_secs(4)));
        assert_eq!(acts, Some(ms(1_000)));
    }
}

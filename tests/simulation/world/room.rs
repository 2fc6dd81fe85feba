//! What may be given up for want of room, and how much may be held.

use policy::{Agent, DropReason, Input, Phase, Signal, SpoolMode};

use super::super::disk::Body;
use super::{Event, World};

/// What an item of this world takes in memory at the most, if it is not larger than memory.
const ITEM_HELD_MAX: usize = 900 + 2 * policy::BOOKKEEPING_BYTES;

/// How things stood before a step.
pub(super) struct Before {
    /// Memory that was held.
    held: usize,
    /// Items that had come.
    items: u64,
    /// Whether spans may wait to be judged in it.
    may_be_unjudged: bool,
    /// What the step brings back from the disk, or from where log records wait, takes so much at the most.
    read_back: usize,
    /// By signal.
    lanes: [LaneBefore; Signal::ALL.len()],
}

/// How one lane stood.
#[derive(Clone, Copy, Debug)]
pub(super) struct LaneBefore {
    /// Items that had to go for want of room, and that had come.
    given_up: u64,
    came: u64,
    /// Memory that it held, and items that waited in it.
    held: usize,
    waiting: u64,
    is_down: bool,
}

impl Before {
    fn of(agent: &Agent<Body>, input: &Input<Body>, lanes: [LaneBefore; Signal::ALL.len()]) -> Self {
        let may_be_unjudged =
            agent.unjudged_spans() > 0 || matches!(input, Input::Received(_) | Input::Recovered { .. });
        let held = |size: u32| size as usize + policy::BOOKKEEPING_BYTES;
        let read_back = match input {
            Input::Unparked { receipt, .. } => {
                let spans = receipt.spans.iter().map(|span| held(span.size));
                spans.chain(receipt.parcels.iter().map(|parcel| held(parcel.size))).sum()
            }
            // What could not be written is all there again.
            Input::Parked { place: None, .. } => usize::MAX / 2,
            _ => 0,
        };
        // Log records that wait for their span come on top of what is held, when they have waited.
        let read_back = read_back + agent.held_items(Signal::Logs) as usize * ITEM_HELD_MAX;
        Self { held: agent.held_bytes(), items: items(agent), may_be_unjudged, read_back, lanes }
    }
}

/// Items that have come so far, of every signal.
fn items(agent: &Agent<Body>) -> u64 {
    Signal::ALL.map(|signal| items_of(agent, signal)).into_iter().sum()
}

fn items_of(agent: &Agent<Body>, signal: Signal) -> u64 {
    let counts = agent.ledger().of(signal);
    counts.received + counts.recovered + counts.made
}

impl World {
    /// How things stand before `input` is heard.
    pub(super) fn before_step(&self, input: &Input<Body>) -> Before {
        Before::of(&self.agent, input, Signal::ALL.map(|signal| self.stand_of(signal)))
    }

    fn stand_of(&self, signal: Signal) -> LaneBefore {
        LaneBefore {
            given_up: self.books(signal).dropped_for(DropReason::OutboxFull),
            came: items_of(&self.agent, signal),
            held: self.agent.held_bytes_of(signal),
            waiting: self.waiting_items(signal).saturating_sub(self.under_way(signal)),
            is_down: self.held.down[signal as usize],
        }
    }

    /// What had to go for want of room.
    pub(super) fn given_up(&self) -> u64 {
        let ledger = self.agent.ledger();
        Signal::ALL.into_iter().map(|signal| ledger.of(signal).dropped_for(DropReason::OutboxFull)).sum()
    }

    /// What had to go is none of a lane that is well and keeps within its share, while one waits that is ill or has more.
    fn check_protected(&self, before: &Before) {
        if self.faults.sends_outsize {
            return;
        }
        let count = Signal::ALL.into_iter().filter(|signal| self.config.destinations.has(*signal)).count();
        let share = self.config.bounds.held_bytes / count.max(1);
        for signal in Signal::ALL {
            let (old, new) = (before.lanes[signal as usize], self.stand_of(signal));
            let came = (new.came - old.came) as usize * ITEM_HELD_MAX + before.read_back;
            let is_well = !old.is_down && !new.is_down && old.held.saturating_add(came) <= share;
            if new.given_up == old.given_up || !is_well || self.agent.phase() == Phase::Draining {
                continue;
            }
            for other in Signal::ALL.into_iter().filter(|other| *other != signal) {
                let (old, new) = (before.lanes[other as usize], self.stand_of(other));
                let gives = old.is_down && new.is_down || old.held.min(new.held) > share;
                // What the disk does not take is back in the next step, and what is being read is not here yet.
                let is_on_its_way = |event: &Event| match event {
                    Event::Spool(Input::Parked { lane, place: None } | Input::Unparked { lane, .. }) => {
                        lane.signal == other
                    }
                    _ => false,
                };
                if self.pending.values().any(is_on_its_way) {
                    continue;
                }
                // What has come in this step may have come when room was made.
                let waiting = if new.came == old.came { old.waiting.min(new.waiting) } else { 0 };
                assert!(
                    !gives || waiting == 0,
                    "{signal:?} are given up for want of room, are well and within their share, and {waiting} {other:?} wait"
                );
            }
        }
    }

    /// Items of `signal` that are with their backend.
    pub(super) fn under_way(&self, signal: Signal) -> u64 {
        let requests = self.network.live().filter(|request| request.id.lane.signal == signal);
        requests.flat_map(|request| request.entries.iter()).map(|entry| u64::from(entry.count)).sum()
    }

    /// Some more had to: then memory was full, and the disk was of no use, or not nearly empty either.
    pub(super) fn check_full(&mut self, before: &Before) {
        self.coverage.note("outbox full");
        if self.second.is_some() {
            // What one of them gives up, the other may hold: it makes no room.
            return self.coverage.note("outbox full beside a second destination");
        }
        self.check_protected(before);
        let bounds = self.config.bounds;
        let may_be_outsize = self.faults.sends_outsize;
        let came = (items(&self.agent) - before.items) as usize * ITEM_HELD_MAX + before.read_back;
        assert!(
            may_be_outsize || before.held + came > bounds.held_bytes,
            "given up for want of room: {} bytes of {} were held, and {came} came at the most",
            before.held,
            bounds.held_bytes
        );
        let (on_disk, bound) = (self.bytes_for_disk(), bounds.spooled_bytes);
        // What waits to be judged cannot be on disk: nobody knows yet whether it is to be sent.
        let is_unjudged = self.config.sampling.is_active() && (before.may_be_unjudged || came > 0);
        let is_useless = self.config.spool == SpoolMode::Off || self.is_disk_useless() || is_unjudged;
        // One batch must fit.
        assert!(
            is_useless || may_be_outsize || on_disk + bounds.batch_bytes > bound / 3,
            "given up for want of room, with {on_disk} of {bound} on disk or on the way there"
        );
    }

    /// No more is held than may be, but for what is with the backend.
    pub(super) fn check_held_bytes(&self) {
        let held = |entry: &policy::Entry<_>| entry.size as usize + policy::BOOKKEEPING_BYTES;
        let requests = self.network.live_of_all().flat_map(|request| request.entries.iter());
        let in_flight: usize = requests.map(held).sum();
        let most = self.config.bounds.held_bytes + in_flight;
        assert!(self.agent.held_bytes() <= most, "{} bytes are held, {most} may be", self.agent.held_bytes());
    }
}

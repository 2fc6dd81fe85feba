//! What may be given up for want of room, and how much may be held.

use policy::{Agent, DropReason, Input, Signal, SpoolMode};

use super::super::disk::Body;
use super::World;

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
}

impl Before {
    pub(super) fn of(agent: &Agent<Body>, input: &Input<Body>) -> Self {
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
        Self { held: agent.held_bytes(), items: items(agent), may_be_unjudged, read_back }
    }
}

/// Items that have come so far, of every signal.
fn items(agent: &Agent<Body>) -> u64 {
    let counts = Signal::ALL.map(|signal| *agent.ledger().of(signal));
    counts.iter().map(|counts| counts.received + counts.recovered + counts.made).sum()
}

impl World {
    /// What had to go for want of room.
    pub(super) fn given_up(&self) -> u64 {
        let ledger = self.agent.ledger();
        Signal::ALL.into_iter().map(|signal| ledger.of(signal).dropped_for(DropReason::OutboxFull)).sum()
    }

    /// Some more had to: then memory was full, and the disk was of no use, or not nearly empty either.
    pub(super) fn check_full(&mut self, before: &Before) {
        self.coverage.note("outbox full");
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
        let requests = self.network.live().flat_map(|request| request.entries.iter());
        let in_flight: usize = requests.map(held).sum();
        let most = self.config.bounds.held_bytes + in_flight;
        assert!(self.agent.held_bytes() <= most, "{} bytes are held, {most} may be", self.agent.held_bytes());
    }
}

//! What holds for each lane by itself, whatever becomes of the others: what it believes of its backend, when it asks that, and
//! what it waits for.

use std::collections::BTreeMap;

use policy::{DropReason, Entry, FlushMode, Input, Outcome, Phase, Place, Signal};

use super::super::disk::Body;
use super::super::function::MS;
use super::choices::{PAUSE_ENDED, asked};
use super::network::Request;
use super::{Event, World};

/// A backend that has refused the key is asked once in this time.
pub(super) const REFUSED: u64 = 60_000 * MS;
/// After so many failed requests in a row a backend counts as down.
const FAILURES: u32 = 3;

/// What has happened to one lane in this process.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lane {
    /// Requests in a row that were answered with a wish for another try.
    failures: u32,
    /// Whether one has failed, in whatever way, since one last succeeded.
    has_failed: bool,
    /// Since when its backend counts as down, if it does.
    down_since: u64,
    /// Until when its backend wants no request, and until when it perhaps wants none.
    alone_until: u64,
    perhaps_until: u64,
    launched_at: u64,
    /// Items that were delivered, refused for good with their request, and refused alone.
    delivered: u64,
    rejected: u64,
    partly_rejected: u64,
    /// Items that were answered when nothing was sent any more, perhaps.
    unheard: u64,
}

/// All lanes.
#[derive(Clone, Debug, Default)]
pub(super) struct Lanes {
    by_signal: [Lane; Signal::ALL.len()],
    /// Whose request was answered in this step, and whether it succeeded.
    answered: Option<(Signal, bool)>,
    /// When this step began, and the flush that runs.
    step_began: u64,
    flush_began: Option<u64>,
    /// Points that had been made when the function was listened to no more.
    made_by_then: Option<u64>,
    /// Items that each held in memory before this step.
    held_before: [u64; Signal::ALL.len()],
    /// What is on the disk: of which lane, and its size as it was written.
    pub(super) claims: BTreeMap<Place, (Signal, usize)>,
}

fn count(entries: &[Entry<Body>]) -> u64 {
    entries.iter().map(|entry| u64::from(entry.count)).sum()
}

impl World {
    const fn lane(&mut self, signal: Signal) -> &mut Lane {
        &mut self.lanes.by_signal[signal as usize]
    }

    /// Whether the backend of `signal` works again when all faults are over.
    pub(super) fn recovers(&self, signal: Signal) -> bool {
        !self.others.backend(signal).is_some_and(|backend| backend.is_dead)
    }

    /// An answer, or the end of a connection, is about to reach the agent.
    pub(super) fn note_verdict(&mut self, request: &Request) {
        let (signal, items, now) = (request.id.lane.signal, count(&request.entries), self.now);
        // An answer that is read before INVOKE tells how long a freeze has been: nobody knows when the backend gave it.
        let is_dated = self.agent.phase() != Phase::Waiting;
        // What is under way when nothing is sent any more goes to the disk: nobody waits for what it comes to.
        if self.lanes.made_by_then.is_some() {
            self.lane(signal).unheard += items;
            return;
        }
        // The agent reads it after some work of ours.
        let read_by = now + self.own_work();
        let lane = self.lane(signal);
        let mut is_success = true;
        match request.reply.outcome {
            Outcome::Delivered { rejected } => {
                let rejected = u64::from(rejected).min(items);
                lane.delivered += items - rejected;
                lane.partly_rejected += rejected;
            }
            Outcome::Rejected { .. } => lane.rejected += items,
            Outcome::TooLarge => {}
            Outcome::Retry { .. } | Outcome::Refused { .. } | Outcome::Lost => is_success = false,
        }
        let pause = match request.reply.outcome {
            Outcome::Retry { after } => asked(after),
            Outcome::Refused { .. } => Some(REFUSED),
            _ => None,
        };
        if let Some(pause) = pause {
            lane.perhaps_until = lane.perhaps_until.max(read_by + pause);
            lane.alone_until = if is_dated { lane.alone_until.max(now + pause) } else { lane.alone_until };
        }
        if is_success {
            (lane.failures, lane.has_failed) = (0, false);
        } else {
            lane.failures += u32::from(matches!(request.reply.outcome, Outcome::Retry { .. }));
            lane.has_failed = true;
        }
        if matches!(request.reply.outcome, Outcome::Refused { .. }) {
            lane.down_since = now;
        }
        self.lanes.answered = Some((signal, is_success));
    }

    /// A request is given up.
    pub(super) const fn note_failed(&mut self, signal: Signal) {
        self.lane(signal).has_failed = true;
    }

    /// The agent says that the backend of `signal` is down: something of that lane has failed, or waits for an answer.
    pub(super) fn check_down(&mut self, signal: Signal) {
        let is_waiting = self.network.live().any(|request| request.id.lane.signal == signal);
        let now = self.now;
        let lane = self.lane(signal);
        assert!(lane.has_failed || is_waiting, "{signal:?} count as down, and nothing of theirs has failed");
        lane.down_since = now;
    }

    /// The agent says that it is back: it has answered a request of that lane.
    pub(super) fn check_back(&self, signal: Signal) {
        let answered = self.lanes.answered;
        assert_eq!(answered, Some((signal, true)), "{signal:?} count as well, and what was answered is this");
    }

    /// A request of `signal` is about to be sent: its backend wants one, and where it counts as down, it gets one at a time.
    pub(super) fn check_turn_of(&mut self, signal: Signal) {
        let (now, is_down) = (self.now, self.held.down[signal as usize]);
        let is_last = matches!(self.agent.phase(), Phase::Draining | Phase::Exited);
        let lane = *self.lane(signal);
        self.lane(signal).launched_at = now;
        if is_last {
            return;
        }
        assert!(
            now + PAUSE_ENDED >= lane.alone_until,
            "{signal:?} are sent {} ms before their backend wants them",
            (lane.alone_until - now) / MS
        );
        let is_probe =
            |request: &&Request| request.id.lane.signal == signal && request.launched > lane.down_since;
        let probes = self.network.live().filter(is_probe).count();
        assert!(!is_down || probes == 0, "{signal:?} are down, and more than one request asks for them");
    }

    /// A step begins.
    pub(super) fn begin_lanes(&mut self, input: &Input<Body>) {
        self.lanes.step_began = self.now;
        let is_own = |input: &Input<Body>| matches!(input, Input::Exported { id, .. } if id.lane.destination == self.at);
        if !is_own(input) {
            self.lanes.answered = None;
        }
        self.lanes.held_before = Signal::ALL.map(|signal| self.waiting_items(signal));
        if matches!(input, Input::Closed) {
            self.lanes.made_by_then = Some(self.agent.ledger().metrics.made);
        }
    }

    /// What each lane believes of its backend is what that has answered, and it waits for no other lane.
    pub(super) fn check_lanes(&mut self, is_invoke: bool) {
        let phase = self.agent.phase();
        if phase != Phase::Flushing {
            self.lanes.flush_began = None;
        }
        for signal in Signal::ALL {
            let (is_down, lane) = (self.held.down[signal as usize], self.lanes.by_signal[signal as usize]);
            assert!(
                is_down || lane.failures < FAILURES,
                "{signal:?}: {} failures, and not down",
                lane.failures
            );
            let is_answered = self.lanes.answered == Some((signal, true));
            assert!(!(is_down && is_answered), "{signal:?}: answered, and down");
            // Where data is put off, nothing leaves in a flush but what a freeze has cut off.
            let is_flush = phase == Phase::Flushing
                && self.config.flush == FlushMode::End
                && self.config.cost_cap.is_none()
                && lane.launched_at < self.lanes.flush_began.unwrap_or(self.lanes.step_began)
                && self.deliveries.retries_until[signal as usize] <= self.now;
            if is_flush || phase == Phase::Running && is_invoke {
                self.check_served(signal);
            }
        }
        if phase == Phase::Flushing {
            self.lanes.flush_began.get_or_insert(self.lanes.step_began);
        }
    }

    /// The backend of `signal` is well as far as anyone knows, and nothing is with it: then nothing waits for it.
    fn check_served(&mut self, signal: Signal) {
        let is_busy = self.network.live().any(|request| request.id.lane.signal == signal);
        let is_disk_asked = self.pending.values().any(|event| matches!(event, Event::Spool(_)));
        if is_busy || self.is_left_alone(signal) || is_disk_asked || self.held.down[signal as usize] {
            return;
        }
        self.coverage.note("a lane with nothing under way");
        let waiting = self.waiting_items(signal);
        assert_eq!(waiting, 0, "{signal:?} wait, and their backend is well");
    }

    /// These go to the disk: where others hold anything, half of an even share of it is kept for each of them.
    pub(super) fn note_claim(&mut self, signal: Signal, place: Option<Place>, entries: &[Entry<Body>]) {
        let Some(place) = place.filter(|_| self.second.is_none()) else { return };
        let size = entries.iter().map(|entry| entry.size as usize).sum();
        self.lanes.claims.insert(place, (signal, size));
        let count = Signal::ALL.into_iter().filter(|signal| self.config.destinations.has(*signal)).count();
        let kept = self.config.bounds.spooled_bytes / (2 * count.max(1));
        let claimed = |signal| {
            let sizes = self.lanes.claims.values().filter(|(other, _)| *other == signal);
            sizes.map(|(_, size)| size).sum::<usize>()
        };
        let others =
            Signal::ALL.into_iter().filter(|other| *other != signal && self.config.destinations.has(*other));
        let kept_for = |other: Signal| {
            // It may have been empty in between.
            let is_answered = self.lanes.answered.is_some_and(|(signal, _)| signal == other);
            let holds =
                !is_answered && self.lanes.held_before[other as usize] > 0 && self.waiting_items(other) > 0;
            claimed(other).max(if holds || claimed(other) > 0 { kept } else { 0 })
        };
        let (own, others) = (claimed(signal), others.map(kept_for).sum::<usize>());
        let bound = self.config.bounds.spooled_bytes;
        assert!(
            own + others <= bound,
            "{own} bytes of {signal:?} on disk, {others} kept for others, of {bound}"
        );
    }

    /// Whether the backend of `signal` may want to be left alone yet.
    pub(super) fn is_left_alone(&self, signal: Signal) -> bool {
        self.lanes.by_signal[signal as usize].perhaps_until > self.now
    }

    /// Items of `signal` that were made when there was no time any more: points of what happened at the very end.
    pub(super) fn made_at_last(&self, signal: Signal) -> u64 {
        let made = self.agent.ledger().metrics.made;
        let by_then = self.lanes.made_by_then.unwrap_or(made);
        if signal == Signal::Metrics { made - by_then } else { 0 }
    }

    /// Items of `signal` in memory that could be sent, or are under way.
    pub(super) fn waiting_items(&self, signal: Signal) -> u64 {
        let elsewhere = match signal {
            Signal::Traces => self.agent.unjudged_spans(),
            Signal::Logs => self.agent.unplaced_logs(),
            Signal::Metrics => 0,
        };
        self.held_items(signal).saturating_sub(self.disk.parked(signal) + elsewhere)
    }

    /// A process leaves: its books say of each lane what its backend has said.
    pub(super) fn leave_lanes(&mut self) {
        for signal in Signal::ALL {
            let (books, lane) = (self.books(signal), self.lanes.by_signal[signal as usize]);
            let [rejected, partly_rejected, too_large] =
                [DropReason::Rejected, DropReason::PartlyRejected, DropReason::TooLarge]
                    .map(|reason| books.dropped_for(reason));
            let told = [books.delivered, rejected, partly_rejected, too_large];
            // This backend takes three at a time.
            let truth = [lane.delivered, lane.rejected, lane.partly_rejected, 0];
            let is_true = |(told, truth): (u64, u64)| told >= truth && told <= truth + lane.unheard;
            assert!(
                told.into_iter().zip(truth).all(is_true),
                "{signal:?} delivered, refused, partly refused, too large: {told:?} by the books, {truth:?} in truth"
            );
        }
        self.lanes = Lanes::default();
    }
}

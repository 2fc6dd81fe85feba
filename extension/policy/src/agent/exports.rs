//! Exports: what they come to, when they are tried again, and what goes out next.

use alloc::vec::Vec;

use crate::batch::{Batch, BatchId};
use crate::breaker::Change;
use crate::effort::effort;
use crate::facts::Body;
use crate::io::Output;
use crate::ledger::DropReason;
use crate::lifecycle::Phase;
use crate::notice::Notice;
use crate::outbox::InFlight;
use crate::retry::{self, Outcome};
use crate::speed::PIECE_MIN;
use crate::time::{Duration, Instant};

use super::Agent;

/// So many waits and invocations an answer may take. It may have come during the freeze, or be on its way while one
/// invocation after the other ends within a millisecond: a soak with a backend that was ill for ten of every hundred
/// such invocations never again had a probe answered when it was given one.
const WAITS_MAX: u32 = 5;

impl<B: Body> Agent<B> {
    pub(super) fn on_exported(
        &mut self,
        now: Instant,
        id: BatchId,
        outcome: Outcome,
        raw_bytes: u64,
        sent_bytes: u64,
    ) {
        let Some(flight) = self.outbox.land(id) else { return };
        self.is_crowded = false;
        self.outbox.overtake(&flight, now + self.speed.grace());
        self.ledger.exports += 1;
        let took = (flight.waits == 0).then(|| now.since(flight.launched));
        self.meter_request(flight.batch.signal, took, outcome);
        let mut batch = flight.batch;
        match outcome {
            Outcome::Lost => {
                batch.is_doubtful = true;
                if core::mem::replace(&mut batch.was_lost, true) {
                    self.count_failure(now);
                    self.retry_later(now, batch, None);
                } else {
                    self.breaker.on_probe_lost(now);
                    self.put_back(now, batch);
                }
            }
            Outcome::Delivered { rejected } => {
                if let Some(took) = took {
                    self.speed.on_answer(batch.size, took);
                }
                self.ledger.raw_bytes += raw_bytes;
                self.ledger.sent_bytes += sent_bytes;
                self.on_delivered(&batch, rejected);
            }
            Outcome::Retry { after } => {
                self.count_failure(now);
                self.retry_later(now, batch, after);
            }
            Outcome::TooLarge => {
                self.note_success();
                self.on_too_large(batch);
            }
            Outcome::Rejected { status } => {
                self.note_success();
                if !self.is_without_metrics(&batch, status) && !self.said.statuses.contains(&status) {
                    self.said.statuses.push(status);
                    self.say(Notice::Rejected { signal: batch.signal, status });
                }
                self.give_up(&batch, DropReason::Rejected);
            }
        }
    }

    pub(super) fn on_delivered(&mut self, batch: &Batch<B>, rejected: u32) {
        self.note_success();
        let rejected = u64::from(rejected).min(batch.count);
        self.ledger.of_mut(batch.signal).delivered += batch.count - rejected;
        if rejected > 0 {
            self.ledger.drop(batch.signal, DropReason::PartlyRejected, rejected);
            if !core::mem::replace(&mut self.said.partly_rejected[batch.signal as usize], true) {
                self.say(Notice::PartlyRejected(batch.signal));
            }
        }
        self.outbox.forget(batch);
    }

    pub(super) fn on_too_large(&mut self, batch: Batch<B>) {
        if let Err(single) = self.outbox.split(batch) {
            self.give_up(&single, DropReason::TooLarge);
            if !core::mem::replace(&mut self.said.too_large[single.signal as usize], true) {
                self.say(Notice::TooLarge(single.signal));
            }
        }
    }

    pub(super) fn give_up(&mut self, batch: &Batch<B>, reason: DropReason) {
        self.ledger.drop(batch.signal, reason, batch.count);
        self.outbox.forget(batch);
    }

    pub(super) fn retry_later(&mut self, now: Instant, mut batch: Batch<B>, after: Option<Duration>) {
        batch.attempts += 1;
        self.meter_retry();
        let until = now + retry::pause(batch.attempts, after, &mut self.rng);
        if after.is_some() {
            self.outbox.leave_alone(batch.signal, until);
        } else {
            batch.not_before = Some(until);
        }
        self.put_back(now, batch);
    }

    pub(super) fn note_success(&mut self) {
        if self.breaker.on_success() == Change::Closed {
            self.say(Notice::BackendBack);
        }
    }

    pub(super) fn count_failure(&mut self, now: Instant) {
        if self.breaker.on_failure(now) != Change::Opened {
            return;
        }
        self.say(Notice::BackendDown);
        let hanging: Vec<_> = self.outbox.in_flight().iter().map(|flight| flight.batch.id).collect();
        for id in hanging {
            self.cancel(now, id);
        }
    }

    /// Takes an export back into the outbox without counting it as a failed try. The backend may have it.
    pub(super) fn cancel(&mut self, now: Instant, id: BatchId) {
        if let Some(mut flight) = self.outbox.land(id) {
            self.outputs.push_back(Output::Cancel(id));
            flight.batch.is_doubtful = true;
            self.put_back(now, flight.batch);
        }
    }

    /// When something is to be done about `flight` that is under way, if it has no answer by then.
    pub(super) fn flight_due(&self, flight: &InFlight<B>) -> Instant {
        let stalls_at = Self::may_stall(flight).then(|| flight.stalls_at(self.speed.stall()));
        [flight.grace_end, stalls_at].into_iter().flatten().fold(flight.due, Instant::min)
    }

    /// Whether the connection of `flight` is suspected: others answer. Each batch is moved to another one once.
    const fn may_stall(flight: &InFlight<B>) -> bool {
        flight.is_overtaken && !flight.batch.was_lost
    }

    /// Gives up on exports whose time is over.
    pub(super) fn expire_exports(&mut self, now: Instant) {
        if self.deadline().is_none() {
            return;
        }
        let over: Vec<_> = {
            let in_flight = self.outbox.in_flight().iter();
            in_flight.filter(|flight| self.flight_due(flight) <= now).map(|flight| flight.batch.id).collect()
        };
        for id in over {
            let Some(mut flight) = self.outbox.land(id) else { continue };
            self.outputs.push_back(Output::Cancel(id));
            flight.batch.is_doubtful = true;
            if flight.due <= now {
                self.retry_later(now, flight.batch, None);
                self.count_failure(now);
            } else if flight.grace_end.is_some_and(|end| end <= now) {
                // Nobody knows whether it arrived; OTLP is at-least-once, and this is not the backend's failure.
                flight.batch.was_cut_off = true;
                self.note_swallowed();
                self.breaker.on_probe_lost(now);
                self.put_back(now, flight.batch);
            } else {
                flight.batch.was_lost = true;
                self.put_back(now, flight.batch);
            }
        }
    }

    /// Exports that have been through [`WAITS_MAX`] waits and invocations without an answer: probes have failed, others
    /// have when their time is over.
    pub(super) fn end_stale_exports(&mut self, now: Instant) {
        let timeouts = self.config.export_timeouts;
        let is_stale = |flight: &&InFlight<B>| {
            let limit = timeouts[flight.batch.signal as usize];
            flight.waits >= WAITS_MAX && (flight.is_probe || now.since(flight.launched) >= limit)
        };
        let stale: Vec<_> =
            self.outbox.in_flight().iter().filter(is_stale).map(|flight| flight.batch.id).collect();
        for id in stale {
            self.cancel(now, id);
            self.count_failure(now);
        }
    }

    /// Whether nothing is under way, and the first retry lies beyond the end of this flush.
    pub(super) fn is_pointless(&self) -> bool {
        let retry_comes = self.outbox.next_retry().is_some_and(|at| at < self.flush_end);
        self.outbox.in_flight().is_empty() && !retry_comes
    }

    pub(super) fn export_ready(&mut self, now: Instant) {
        while let Some(batch) = self.outbox.take_ready(now, self.room(now)) {
            self.launch(now, batch, false);
            self.flush_has_sent = true;
        }
    }

    /// Sends again what a freeze has cut off, and nothing else.
    pub(super) fn export_cut_off(&mut self, now: Instant) {
        if !self.breaker.is_closed() {
            return self.export_probe(now);
        }
        self.outbox.forget_asked(now);
        while let Some(batch) = self.outbox.take_cut_off() {
            self.launch(now, batch, false);
        }
    }

    /// How many bytes more can be sent and answered in the time there is. Never nothing where nobody waits, in
    /// SHUTDOWN, and for the first request of a flush: a backend that has become faster must be found out.
    fn room(&self, now: Instant) -> usize {
        let is_flushing = self.phase == Phase::Flushing;
        let timeout = self.config.export_timeouts.into_iter().min().unwrap_or_default();
        let left = match self.phase {
            Phase::Flushing | Phase::Draining => self.flush_end.since(now),
            // Managed Instances: nothing is frozen, and nobody waits.
            Phase::Waiting => timeout,
            // Beside a handler, no more is sent at once than a flush could wait for: nobody knows when it ends. What the
            // way takes is left out of that, and what is on its way meanwhile is in nobody's way: else a backend that is
            // far away would get next to nothing.
            _ => (self.config.flush_ceiling + self.speed.latency() * 2).min(timeout),
        };
        let under_way: usize = self.outbox.in_flight().iter().map(|flight| flight.batch.size).sum();
        let fits = self.speed.fits(left).saturating_sub(under_way);
        let may_try = under_way == 0 && !(is_flushing && self.flush_has_sent);
        if may_try { fits.max(PIECE_MIN) } else { fits }
    }

    /// What was sent in this flush and has no answer at its end.
    pub(super) fn note_late(&mut self, now: Instant) {
        for flight in self.outbox.in_flight().iter().filter(|flight| flight.launched >= self.flush_began) {
            self.speed.on_none(flight.batch.size, now.since(flight.launched));
        }
    }

    /// Whether a probe that is due could be sent, or read back to be sent.
    fn has_for_probe(&self) -> bool {
        let is_idle = self.outbox.in_flight().is_empty() && !self.shelf.is_reading();
        let may_read = is_idle && self.shelf.oldest_held().is_some() && self.shelf.wakes_at().is_none();
        !self.outbox.is_all_sent() || may_read
    }

    /// When the next probe may go, if there is anything for it that the backend has not asked to be left alone with.
    pub(super) fn probe_due(&self) -> Option<Instant> {
        let probe_at = self.breaker.probe_at().filter(|_| self.has_for_probe())?;
        Some(self.outbox.asked_for_all().map_or(probe_at, |asked| asked.max(probe_at)))
    }

    pub(super) fn export_or_probe(&mut self, now: Instant) {
        if self.breaker.is_closed() {
            self.export_ready(now);
        } else {
            self.export_probe(now);
        }
    }

    /// While the backend is believed to be down: one export at a time, to find out.
    pub(super) fn export_probe(&mut self, now: Instant) {
        self.outbox.forget_asked(now);
        let may_go = !self.outbox.is_all_sent() && self.outbox.asked_for_all().is_none();
        if !may_go || !self.breaker.take_probe(now) {
            return;
        }
        self.outbox.end_pauses();
        match self.outbox.take_ready(now, self.room(now).max(PIECE_MIN)) {
            Some(batch) => self.launch(now, batch, true),
            None => {
                self.breaker.on_failure(now);
            }
        }
    }

    pub(super) fn launch(&mut self, now: Instant, batch: Batch<B>, is_probe: bool) {
        let (id, signal, entries) = (batch.id, batch.signal, batch.entries.clone());
        // Beside a handler there is no more time than in a flush: the processor is the function's, and nobody knows when
        // it ends. On Managed Instances it is the function's, too, and no invocation has a deadline that we know.
        let beside = now + self.config.flush_ceiling;
        let end = match self.phase {
            Phase::Running => self.deadline.min(beside),
            Phase::Waiting => beside,
            _ => self.flush_end,
        };
        let effort = effort(end.since(now), batch.size);
        self.outputs.push_back(Output::Export { id, signal, entries, effort });
        self.ledger.resent += if batch.is_doubtful { batch.count } else { 0 };
        let mut due = now + self.config.export_timeouts[signal as usize];
        if self.phase == Phase::Draining {
            // An answer that takes half of the time there is will not come, unless others took as long: there is still time
            // for another try. Where the slowest took longer than that, too, another try is the better chance.
            let (left, usual) = (self.flush_end.since(now), self.speed.usual());
            let is_hopeless = usual >= left * 2;
            due = due.min(now + if is_hopeless { left / 2 } else { usual.max(left / 2) });
        }
        self.outbox.launch(InFlight::new(batch, now, due, is_probe));
    }
}

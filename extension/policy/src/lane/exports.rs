//! Exports: what they come to, when they are tried again, and what goes out next.

use super::batch::{Batch, BatchId, Source};
use super::breaker::Change;
use super::effort::effort;
use super::flight::InFlight;
use super::retry::{self, Outcome, REFUSED_PAUSE};
use super::speed::PIECE_MIN;
use super::{Effects, Lane, Window};
use crate::io::Output;
use crate::ledger::DropReason;
use crate::metrics::Own;
use crate::notice::Notice;
use crate::span::Signal;
use crate::time::{Duration, Instant};

/// So many waits and invocations an answer may take. It may have come during the freeze, or be on its way while one
/// invocation after the other ends within a millisecond: a soak with a backend that was ill for ten of every hundred
/// such invocations never again had a probe answered when it was given one.
const WAITS_MAX: u32 = 5;
/// Waits that a request goes through before its silence means anything.
const WAITS_MIN: u32 = 2;

/// What a backend that knows no metrics answers to them: not found, not allowed, not implemented; in gRPC UNIMPLEMENTED.
const NO_METRICS: [u16; 4] = [404, 405, 501, 12];

/// How an export ended, and how many bytes it had, raw and sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer {
    pub(crate) outcome: Outcome,
    pub(crate) raw_bytes: u64,
    pub(crate) sent_bytes: u64,
}

impl<B: Clone> Lane<B> {
    pub(crate) fn on_exported(
        &mut self,
        now: Instant,
        id: BatchId,
        answer: Answer,
        effects: &mut Effects<'_, B>,
    ) {
        let Some(flight) = self.outbox.flights_mut().land(id) else { return };
        self.is_crowded = false;
        // A connection that broke says nothing of others.
        if !matches!(answer.outcome, Outcome::Lost) {
            let grace_end = now + self.speed.grace();
            self.outbox.flights_mut().overtake(&flight, now, grace_end);
        }
        effects.ledger.exports += 1;
        let took = (flight.waits == 0).then(|| now.since(flight.launched));
        self.meter_request(took, answer.outcome, effects);
        let (awake, is_probe) = (flight.awake(now), flight.is_probe);
        let mut batch = flight.batch;
        match answer.outcome {
            Outcome::Lost => {
                batch.is_doubtful = true;
                if took.is_none() {
                    // It may have broken in a freeze, which would break the next one as well.
                    batch.was_cut_off = true;
                }
                if core::mem::replace(&mut batch.was_lost, true) {
                    self.count_failure(now, is_probe, effects);
                    self.retry_later(now, batch, None, effects);
                } else {
                    self.note_lost(now, is_probe);
                    self.outbox.put_back(batch);
                }
            }
            Outcome::Delivered { rejected } => {
                match took {
                    Some(took) => self.speed.on_answer(batch.size, took),
                    None => self.speed.on_thawed(now.since(flight.launched), awake),
                }
                effects.ledger.raw_bytes += answer.raw_bytes;
                effects.ledger.sent_bytes += answer.sent_bytes;
                self.note_success(effects);
                self.on_delivered(&batch, rejected, effects);
            }
            Outcome::Retry { after } => {
                self.count_failure(now, is_probe, effects);
                self.retry_later(now, batch, after, effects);
            }
            Outcome::TooLarge => {
                self.note_success(effects);
                self.on_too_large(batch, effects);
            }
            Outcome::Refused { status } => self.on_refused(now, status, batch, effects),
            Outcome::Rejected { status } => {
                self.note_success(effects);
                if !self.is_without_metrics(&batch, status, effects) && !self.said.statuses.contains(&status)
                {
                    self.said.statuses.push(status);
                    effects.say(Notice::Rejected { lane: self.id, status });
                }
                self.give_up(&batch, DropReason::Rejected, effects);
            }
        }
    }

    fn on_delivered(&mut self, batch: &Batch<B>, rejected: u32, effects: &mut Effects<'_, B>) {
        let rejected = u64::from(rejected).min(batch.count);
        effects.ledger.of_mut(self.id.signal).delivered += batch.count - rejected;
        self.books.delivered += batch.count - rejected;
        if rejected > 0 {
            self.drop(effects.ledger, DropReason::PartlyRejected, rejected);
            if !core::mem::replace(&mut self.said.partly_rejected, true) {
                effects.say(Notice::PartlyRejected(self.id));
            }
        }
        self.outbox.forget(batch);
    }

    /// What was refused is held, and nothing is asked of the backend but whether it has changed its mind.
    fn on_refused(&mut self, now: Instant, status: u16, batch: Batch<B>, effects: &mut Effects<'_, B>) {
        self.outbox.put_back(batch);
        self.outbox.leave_alone(now + REFUSED_PAUSE);
        self.breaker.on_refusal(now, REFUSED_PAUSE);
        self.outbox.flights_mut().forget_probes();
        if !self.said.statuses.contains(&status) {
            self.said.statuses.push(status);
            effects.say(Notice::Refused { lane: self.id, status });
        }
    }

    fn on_too_large(&mut self, batch: Batch<B>, effects: &mut Effects<'_, B>) {
        if let Err(single) = self.outbox.split(batch) {
            self.give_up(&single, DropReason::TooLarge, effects);
            if !core::mem::replace(&mut self.said.too_large, true) {
                effects.say(Notice::TooLarge(self.id));
            }
        }
    }

    fn retry_later(
        &mut self,
        now: Instant,
        mut batch: Batch<B>,
        after: Option<Duration>,
        effects: &mut Effects<'_, B>,
    ) {
        batch.attempts += 1;
        if effects.metrics.is_on() {
            Own::on_retry(effects.metrics.store());
        }
        match retry::asked(after) {
            Some(asked) => self.outbox.leave_alone(now + asked),
            None => batch.not_before = Some(now + retry::pause(batch.attempts, &mut self.rng)),
        }
        self.outbox.put_back(batch);
    }

    fn note_success(&mut self, effects: &mut Effects<'_, B>) {
        self.was_vain = false;
        self.flush.is_answered = true;
        if self.breaker.on_success() == Change::Closed {
            self.outbox.flights_mut().forget_probes();
            effects.say(Notice::BackendBack(self.id));
        }
    }

    /// A request has failed. While the backend counts as down, only its probe tells anything of it: what was under way before must
    /// not make way for a second probe beside that.
    pub(super) fn count_failure(&mut self, now: Instant, is_probe: bool, effects: &mut Effects<'_, B>) {
        let is_verdict = is_probe || self.breaker.is_closed();
        if !is_verdict || self.breaker.on_failure(now) != Change::Opened {
            return;
        }
        effects.say(Notice::BackendDown(self.id));
        for id in self.outbox.flights().ids(|_| true) {
            self.cancel(id, effects);
        }
    }

    /// A request has ended without a verdict; where it was the probe, another one may go out.
    fn note_lost(&mut self, now: Instant, is_probe: bool) {
        if is_probe {
            self.breaker.on_probe_lost(now);
        }
    }

    /// A flush has waited in vain. Where the backend counts as down for that, what is under way stays so, and the oldest request
    /// is the probe: a backend that is slow answers yet, and need not be sent it again.
    pub(super) fn count_vain_wait(&mut self, now: Instant, effects: &mut Effects<'_, B>) {
        if self.breaker.on_failure(now) != Change::Opened {
            return;
        }
        effects.say(Notice::BackendDown(self.id));
        let flights = self.outbox.flights_mut();
        if let Some(oldest) = flights.iter_mut().min_by_key(|flight| flight.launched) {
            oldest.is_probe = true;
            self.breaker.on_probe_under_way();
        }
    }

    /// Takes an export back into the outbox without counting it as a failed try, and says whether it was the probe. The backend may
    /// have it.
    fn cancel(&mut self, id: BatchId, effects: &mut Effects<'_, B>) -> bool {
        let Some(mut flight) = self.outbox.flights_mut().land(id) else { return false };
        effects.outputs.push_back(Output::Cancel(id));
        flight.batch.is_doubtful = true;
        self.outbox.put_back(flight.batch);
        flight.is_probe
    }

    /// Gives up on exports whose time is over. Not to be called while everything may be frozen.
    pub(crate) fn expire(&mut self, now: Instant, effects: &mut Effects<'_, B>) {
        let stall = self.speed.stall();
        for id in self.outbox.flights().ids(|flight| flight.acts_at(stall) <= now) {
            let Some(mut flight) = self.outbox.flights_mut().land(id) else { continue };
            effects.outputs.push_back(Output::Cancel(id));
            flight.batch.is_doubtful = true;
            let is_probe = flight.is_probe;
            if flight.due <= now {
                self.retry_later(now, flight.batch, None, effects);
                self.count_failure(now, is_probe, effects);
            } else if flight.grace_end.is_some_and(|end| end <= now) {
                // Nobody knows whether it arrived; OTLP is at-least-once, and this is not the backend's failure. Where
                // nobody ever waits for an answer, nothing else would tell that none comes.
                let is_again = core::mem::replace(&mut flight.batch.was_cut_off, true) && !self.holds;
                self.note_swallowed();
                self.note_lost(now, is_probe);
                self.outbox.put_back(flight.batch);
                if is_again {
                    self.count_failure(now, is_probe, effects);
                }
            } else {
                flight.batch.was_lost = true;
                self.note_lost(now, is_probe);
                self.outbox.put_back(flight.batch);
            }
        }
    }

    /// Exports that have been through [`WAITS_MAX`] waits and invocations without an answer: probes have failed when they are
    /// silent for longer than any answer took, others when their time is over.
    pub(crate) fn end_stale(&mut self, now: Instant, effects: &mut Effects<'_, B>) {
        let (timeout, silence) = (self.timeout, self.speed.silence(self.timeout));
        // Waits may be as short as an answer takes, or shorter.
        let is_stale = |flight: &InFlight<B>| {
            let most = if flight.is_probe { silence.min(timeout) } else { timeout };
            flight.waits >= WAITS_MAX && now.since(flight.launched) >= most
        };
        for id in self.outbox.flights().ids(is_stale) {
            let is_probe = self.cancel(id, effects);
            self.count_failure(now, is_probe, effects);
        }
    }

    /// The environment may have been frozen since `asked_at`: timers that ran before mean nothing now. An answer that came
    /// meanwhile is read in the next moments, so what is overdue gets until the end of this invocation. After a restore we
    /// are on another machine, where there is no answer to wait for.
    pub(crate) fn after_wait(&mut self, asked_at: Instant, now: Instant, is_long: bool, is_restored: bool) {
        let grace_end = if is_restored { now } else { now + self.speed.grace() };
        let (timeout, silence) = (self.timeout, self.speed.silence(self.timeout));
        let thawed = self.speed.silence_thawed();
        for flight in self.outbox.flights_mut().iter_mut() {
            flight.after_wait(asked_at, now, timeout);
            // A short freeze need not cut anything off; where others are answered, or nothing came for long, it has.
            let age = now.since(flight.launched);
            let is_silent = flight.waits >= WAITS_MIN && age >= silence;
            let is_late = thawed.is_some_and(|thawed| grace_end.since(flight.launched) > thawed);
            let is_cut_off = is_long || flight.is_overtaken || is_silent || is_late;
            flight.grace_end = is_cut_off.then_some(grace_end);
            if is_cut_off && flight.is_probe {
                self.breaker.on_probe_frozen();
            }
        }
    }

    pub(super) fn export_ready(&mut self, now: Instant, window: Window, effects: &mut Effects<'_, B>) {
        while let Some(batch) = self.outbox.take_ready(now, self.room(now, window)) {
            self.launch(now, window, batch, false, effects);
            self.flush.has_sent = true;
        }
    }

    /// Sends again what a freeze has cut off, and nothing else.
    pub(super) fn export_cut_off(&mut self, now: Instant, effects: &mut Effects<'_, B>) {
        if !self.breaker.is_closed() {
            return self.export_probe(now, Window::Held, effects);
        }
        self.outbox.forget_asked(now);
        while let Some(batch) = self.outbox.take_cut_off() {
            self.launch(now, Window::Held, batch, false, effects);
        }
    }

    pub(super) fn export_or_probe(&mut self, now: Instant, window: Window, effects: &mut Effects<'_, B>) {
        if self.breaker.is_closed() {
            self.export_ready(now, window, effects);
        } else {
            self.export_probe(now, window, effects);
        }
    }

    /// While the backend is believed to be down: one export at a time, to find out.
    fn export_probe(&mut self, now: Instant, window: Window, effects: &mut Effects<'_, B>) {
        self.outbox.forget_asked(now);
        let may_go = !self.outbox.is_all_sent() && self.outbox.asked().is_none();
        if !may_go || !self.breaker.take_probe(now) {
            return;
        }
        self.outbox.end_pauses();
        self.outbox.rotate();
        match self.outbox.take_ready(now, self.room(now, window).max(PIECE_MIN)) {
            Some(batch) => self.launch(now, window, batch, true, effects),
            None => {
                self.breaker.on_failure(now);
            }
        }
    }

    /// How many bytes more can be sent and answered in the time there is. Never nothing where nobody waits, in
    /// SHUTDOWN, and for the first request of a flush: a backend that has become faster must be found out.
    fn room(&self, now: Instant, window: Window) -> usize {
        let left = match window {
            Window::Held => self.flush.end.since(now),
            Window::Last(end) => end.since(now),
            Window::Open => self.timeout,
            // Beside a handler, no more is sent at once than a flush could wait for: nobody knows when it ends. What the
            // way takes is left out of that, and what is on its way meanwhile is in nobody's way: else a backend that is
            // far away would get next to nothing.
            Window::Beside(_) => (self.ceiling + self.speed.latency() * 2).min(self.timeout),
        };
        let under_way = self.outbox.flights().size();
        let fits = self.speed.fits(left).saturating_sub(under_way);
        let may_try = under_way == 0 && !(window == Window::Held && self.flush.has_sent);
        if may_try { fits.max(PIECE_MIN) } else { fits }
    }

    /// What was sent in this flush and has no answer at its end.
    pub(super) fn note_late(&mut self, now: Instant) {
        for flight in self.outbox.flights().iter().filter(|flight| flight.launched >= self.flush.began) {
            self.speed.on_none(flight.batch.size, now.since(flight.launched));
        }
    }

    fn launch(
        &mut self,
        now: Instant,
        window: Window,
        mut batch: Batch<B>,
        is_probe: bool,
        effects: &mut Effects<'_, B>,
    ) {
        batch.launches += 1;
        let (id, entries) = (batch.id, batch.entries.clone());
        // Beside a handler there is no more time than in a flush: the processor is the function's, and nobody knows when
        // it ends. On Managed Instances it is the function's, too, and no invocation has a deadline that we know.
        let beside = now + self.ceiling;
        let end = match window {
            Window::Beside(end) => end.min(beside),
            Window::Open => beside,
            Window::Held => self.flush.end,
            Window::Last(end) => end,
        };
        let effort = effort(end.since(now), batch.size);
        effects.outputs.push_back(Output::Export { id, lane: self.id, entries, effort });
        effects.ledger.resent += if batch.is_doubtful { batch.count } else { 0 };
        let mut flight = InFlight::new(batch, now, now + self.timeout, is_probe);
        if let Window::Last(end) = window {
            flight.hasten(now, end, self.speed.usual());
        }
        self.outbox.flights_mut().launch(flight);
    }

    /// A request has ended; `took` is `None` where a freeze was in it.
    fn meter_request(&self, took: Option<Duration>, outcome: Outcome, effects: &mut Effects<'_, B>) {
        if !effects.metrics.is_on() {
            return;
        }
        let class = match outcome {
            Outcome::Delivered { rejected: 0 } => None,
            Outcome::Delivered { .. } => Some("partly_rejected"),
            Outcome::Lost => Some("lost"),
            Outcome::Retry { .. } => Some("unavailable"),
            Outcome::TooLarge => Some("too_large"),
            Outcome::Refused { .. } => Some("refused"),
            Outcome::Rejected { .. } => Some("rejected"),
        };
        if let Some(took) = took {
            effects.metrics.on_request(self.id, took, class);
        }
    }

    /// Whether a backend that refused this batch does not know metrics at all: then no more are made, and that is no
    /// fault worth an alarm, for nobody had asked for them.
    fn is_without_metrics(&self, batch: &Batch<B>, status: u16, effects: &mut Effects<'_, B>) -> bool {
        let is_ours = self.is_sole && self.id.signal == Signal::Metrics && batch.source == Source::Own;
        let is_without = is_ours && NO_METRICS.contains(&status);
        if is_without && effects.metrics.has_otlp() {
            effects.metrics.stop_otlp();
            effects.say(Notice::NoMetrics(status));
        }
        is_without
    }
}

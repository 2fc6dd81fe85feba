//! One turn: from INVOKE to the next `/next`.

use crate::budget;
use crate::config::SpoolMode;
use crate::facts::Body;
use crate::io::Output;
use crate::lane::{Lane, Window};
use crate::lifecycle::{Event, Phase};
use crate::notice::Notice;
use crate::platform::{InitType, Invoke};
use crate::time::{Duration, Instant};

use super::Agent;
use super::holding::Hold;

/// After a signal said that the function is done, how long requests of it that are still being received
/// may take. They were begun before the signal, so this is only reached by a sender that stalls.
const RECEIVING_GRACE: Duration = Duration::from_millis(100);

impl<B: Body> Agent<B> {
    pub(super) fn on_ready(&mut self, now: Instant) {
        self.enter(Event::Ready);
        self.ask_next(now);
        // What is open in a snapshot is dead in every environment restored from it.
        if self.config.init_type != InitType::SnapStart {
            self.connect();
        }
    }

    /// Every environment that is restored from one snapshot wakes up with the same state: what is drawn from here on
    /// must not be the same in all of them.
    pub(super) fn on_restored(&mut self, seed: u64) {
        self.config.seed = seed;
        self.lanes.iter_mut().for_each(|lane| lane.reseed(seed));
    }

    pub(super) fn on_invoke(&mut self, now: Instant, invoke: Invoke) {
        if !self.enter(Event::Invoke) {
            return;
        }
        self.after_wait(now, invoke.waited);
        // What its function had sent before it died would have been read by now.
        self.close(now, false);
        if core::mem::take(&mut self.asked_early) {
            self.account.settle_ripe(now, &self.config, self.receiving > 0);
        }
        self.ledger.invocations += 1;
        self.forget_announced();
        self.metrics.on_time(now, invoke.received_at);
        self.metrics.on_invoke(&invoke.request_id, invoke.received_at);
        self.logs.begin(&invoke.request_id);
        self.pace.on_invoke(now);
        self.deadline = invoke.deadline + self.slept;
        self.give_up_at = budget::give_up_at(&self.config, now, self.deadline);
        if !self.delivers {
            self.give_up_at = self.give_up_at.min(now + self.pace.patience());
        }
        self.try_disk_again();
        self.lanes.iter_mut().for_each(Lane::begin_invocation);
        self.begin_judging(now, &invoke);
        self.hold = Some(Hold::new(now, &invoke));
        let deadline_at = Some(invoke.deadline_at);
        self.account.begin(now, &self.config, invoke, deadline_at);
        // Without the platform's events only the function can tell of its end: one that never has is not waited for.
        let is_mute = !self.delivers && !self.account.tells_ends();
        self.done_since = (self.is_unheard || is_mute).then_some(now);
        if self.done_since.is_some() {
            // There is no other moment at which what is put off can leave.
            self.advance_lanes(now, self.beside_handler());
        }
    }

    /// The environment may have been frozen: timers that ran before mean nothing now. An answer that came
    /// meanwhile is read in the next moments, so what is overdue gets until the end of this invocation.
    pub(super) fn after_wait(&mut self, now: Instant, waited: Duration) {
        let is_restored = self.config.init_type == InitType::SnapStart && self.ledger.invocations == 0;
        let is_long = is_restored || waited >= self.config.thaw_gap;
        let asked_at = self.asked_at;
        self.lanes.iter_mut().for_each(|lane| lane.after_wait(asked_at, now, is_long, is_restored));
        if is_long {
            self.outputs.push_back(Output::Reconnect);
            // Beside the handler the new handshake costs nothing; in SHUTDOWN a request follows anyway.
            if self.phase == Phase::Running {
                self.connect();
            }
        }
    }

    fn connect(&mut self) {
        let well = self.lanes.iter().filter(|lane| lane.is_well()).map(Lane::id);
        self.outputs.extend(well.map(Output::Connect));
    }

    pub(super) fn advance_running(&mut self, now: Instant) {
        let is_done = self.is_done(now);
        if !(is_done && self.pace.is_continuous_for(&self.config)) {
            self.unpark(now);
        }
        // What arrives with the end belongs to the flush, which has its own measure.
        if is_done {
            return self.begin_flush(now);
        }
        if self.may_ask_early() {
            return self.ask_early(now);
        }
        self.advance_lanes(now, self.beside_handler());
    }

    /// Nobody waits, and the handler may run until its deadline.
    const fn beside_handler(&self) -> Window {
        Window::Beside(self.deadline)
    }

    /// Whether the running invocation is over, by the first trustworthy signal.
    fn is_done(&mut self, now: Instant) -> bool {
        if self.account.is_current_over(self.delivers) {
            self.done_since.get_or_insert(now);
        }
        let is_over = |since: Instant| now >= since + RECEIVING_GRACE;
        if self.done_since.is_some_and(is_over) || now >= self.give_up_at {
            // What has had its time once is not waited for again.
            self.stalled = self.receiving;
        }
        let is_received = !self.is_receiving();
        now >= self.give_up_at || self.done_since.is_some_and(|_| is_received)
    }

    /// Whether a request of the function is being received that has not stalled.
    pub(super) const fn is_receiving(&self) -> bool {
        self.receiving > self.stalled
    }

    /// When the running invocation is taken to be over at the latest, as things stand.
    pub(super) fn done_at(&self) -> Instant {
        let grace = self.done_since.filter(|_| self.is_receiving()).map(|since| since + RECEIVING_GRACE);
        grace.map_or(self.give_up_at, |grace| grace.min(self.give_up_at))
    }

    /// Whether `/next` may be asked while the function runs: data leaves beside the next invocation anyway, nothing is
    /// left to send, and only the platform's event would tell of the end, 25 ms after it.
    fn may_ask_early(&self) -> bool {
        let is_idle = self.lanes.holders().all(Lane::is_idle);
        let is_kept = self.assembly.is_none();
        let is_brief = self.pace.is_continuous_for(&self.config) && self.pace.is_brief();
        is_idle && is_kept && is_brief && self.receiving == 0 && self.delivers && !self.account.tells_ends()
    }

    fn ask_early(&mut self, now: Instant) {
        self.asked_early = true;
        self.enter(Event::Done);
        self.store_logs(now);
        self.meter_if_due(now);
        // Of the one before, the end may be told in the next moments.
        self.account.close_older(now, &self.config, &self.announced, 2);
        self.close_known(now);
        self.enter(Event::Flushed);
        self.ask_next(now);
    }

    fn begin_flush(&mut self, now: Instant) {
        self.is_unheard |= self.done_since.is_none();
        if self.account.is_current_over(self.delivers) {
            self.note_end(now);
        }
        self.enter(Event::Done);
        // Of the one before, the end may be told in the next moments.
        let is_at_begin = self.hold.as_ref().is_some_and(|hold| hold.began == now);
        self.account.close_older(now, &self.config, &self.announced, 1 + usize::from(is_at_begin));
        self.account.settle_ripe(now, &self.config, self.receiving > 0);
        self.close_known(now);
        self.store_made(now);
        self.store_logs(now);
        self.meter_if_due(now);
        self.flush_began = now;
        self.flush_end = budget::flush_end(&self.config, now, self.deadline);
        let (lanes, mut effects) = self.lanes();
        lanes.iter_mut().for_each(|lane| lane.end_stale(now, &mut effects));
        self.flush_is_put_off = self.is_capped(now) || self.pace.defers(&self.config, self.lanes.age(now));
        let (end, is_put_off) = (self.flush_end, self.flush_is_put_off);
        self.lanes.iter_mut().for_each(|lane| lane.begin_flush(now, end, is_put_off));
        self.advance_flushing(now);
    }

    /// Whether flushes have cost this minute what they may; if not, this one is bounded by what is left.
    fn is_capped(&mut self, now: Instant) -> bool {
        self.flush_is_cut = false;
        let Some(left) = self.cap.left(now) else { return false };
        self.flush_is_cut = now + left < self.flush_end;
        self.flush_end = self.flush_end.min(now + left);
        let is_capped = left.is_zero();
        if is_capped && !core::mem::replace(&mut self.said.cost_cap, true) {
            self.say(Notice::CostCapReached);
        }
        is_capped
    }

    pub(super) fn advance_flushing(&mut self, now: Instant) {
        self.close_known(now);
        let (lanes, mut effects) = self.lanes();
        if !lanes.flush(now, &mut effects) {
            self.end_flush(now);
        }
    }

    fn end_flush(&mut self, now: Instant) {
        let is_cut = self.flush_is_cut;
        let (lanes, mut effects) = self.lanes();
        lanes.iter_mut().for_each(|lane| lane.end_flush(now, is_cut, &mut effects));
        let held = now.since(self.flush_began);
        if !self.flush_is_put_off || !held.is_zero() {
            self.ledger.flush += held;
            self.meter_flush(held);
            self.pace.on_flush(held);
            self.cap.on_flush(held);
        }
        self.enter(Event::Flushed);
        if self.config.spool == SpoolMode::Outage && !self.flush_is_put_off {
            self.park_all();
        }
        self.ask_next(now);
    }

    pub(super) fn ask_next(&mut self, now: Instant) {
        self.note_asked(now);
        self.asked_at = now;
        self.account.on_asked();
        self.outputs.push_back(Output::Next);
    }
}

//! One turn: from INVOKE to the next `/next`. What is known is gathered here, `turn.rs` decides, and it is carried out here.

use crate::budget;
use crate::config::SpoolMode;
use crate::facts::Body;
use crate::io::Output;
use crate::lane::{Lane, Window};
use crate::lifecycle::{Event, Phase};
use crate::notice::Notice;
use crate::platform::{InitType, Invoke};
use crate::time::{Duration, Instant};
use crate::turn::{Decision, Facts, Flushing, Running, Turn, Waiting};

use super::Agent;
use super::holding::Hold;

impl<B: Body> Agent<B> {
    /// Goes as far as it can without anything new happening.
    pub(super) fn advance(&mut self, now: Instant) {
        loop {
            let is_awaited = self.go_on(now);
            match self.decide(now, is_awaited) {
                Decision::Wait => return self.wait(now),
                Decision::Flush => self.begin_flush(now),
                Decision::Ask => return self.ask(now),
                Decision::Close => self.close_all(now),
                Decision::Shut => return self.shut(),
                Decision::Leave => self.leave(now),
                Decision::Exit => return self.exit(),
            }
        }
    }

    /// What is done in any case, before anything is decided. Whether an answer is worth waiting for, in a flush.
    fn go_on(&mut self, now: Instant) -> bool {
        match self.turn.phase() {
            Phase::Starting | Phase::Exited => {}
            Phase::Waiting => self.advance_waiting(now),
            Phase::Running => self.advance_running(now),
            Phase::Flushing => {
                self.close_known(now);
                let (lanes, mut effects) = self.lanes();
                return lanes.flush(now, &mut effects);
            }
            Phase::Draining => self.advance_draining(now),
        }
        false
    }

    pub(super) fn decide(&self, now: Instant, is_awaited: bool) -> Decision {
        let phase = self.turn.phase();
        let is_draining = phase == Phase::Draining;
        self.turn.decide(&Facts {
            now,
            is_receiving: self.reception.is_under_way(),
            freezes: self.freezes(),
            needs_no_end: phase == Phase::Running && self.needs_no_end(),
            is_awaited,
            is_all_told: is_draining && self.is_all_told(),
            is_all_tried: is_draining && self.is_all_tried(),
            is_disk_busy: is_draining && self.lanes.iter().any(Lane::is_busy),
        })
    }

    /// Nothing is to be done before something happens: beside a handler, data leaves meanwhile.
    fn wait(&mut self, now: Instant) {
        if self.turn.phase() == Phase::Running {
            self.advance_lanes(now, self.beside_handler());
        }
    }

    pub(super) fn on_ready(&mut self) {
        if let Turn::Starting(starting) = &mut self.turn {
            starting.is_ready = true;
        }
    }

    /// Every environment that is restored from one snapshot wakes up with the same state: what is drawn from here on
    /// must not be the same in all of them.
    pub(super) fn on_restored(&mut self, seed: u64) {
        self.config.seed = seed;
        self.lanes.iter_mut().for_each(|lane| lane.reseed(seed));
    }

    pub(super) fn on_invoke(&mut self, now: Instant, invoke: Invoke) {
        if !self.turn.takes(Event::Invoke) {
            return;
        }
        let was_asked_early = matches!(self.turn, Turn::Waiting(Waiting { is_early: true }));
        let deadline = invoke.deadline + self.slept;
        let give_up_at = budget::give_up_at(&self.config, now, deadline);
        self.turn.enter(Event::Invoke, Turn::Running(Running { done_since: None, give_up_at }));
        self.after_wait(now, invoke.waited);
        // What its function had sent before it died would have been read by now.
        self.close(now, false);
        if was_asked_early {
            self.account.settle_ripe(now, &self.config, self.reception.is_any());
        }
        self.ledger.invocations += 1;
        self.forget_announced();
        self.metrics.on_time(now, invoke.received_at);
        self.metrics.on_invoke(&invoke.request_id, invoke.received_at);
        self.logs.begin(&invoke.request_id, invoke.received_at);
        self.pace.on_invoke(now);
        self.try_disk_again();
        self.hold = Some(Hold::new(now, deadline, &invoke));
        self.begin_judging(now, &invoke);
        // What has just been judged goes out beside the handler, with what was left before.
        self.lanes.iter_mut().for_each(Lane::begin_invocation);
        let deadline_at = Some(invoke.deadline_at);
        self.account.begin(now, &self.config, invoke, deadline_at);
        self.hear_of_end(now);
        if self.running().is_some_and(|running| running.done_since.is_some()) || self.needs_no_end() {
            // There is no other moment at which what is put off can leave, or what no invocation is held for.
            self.advance_lanes(now, self.beside_handler());
        }
    }

    /// For how long the end of the invocation that begins is waited for, by what tells of ends here.
    fn hear_of_end(&mut self, now: Instant) {
        let patience = now + self.pace.patience();
        let (delivers, is_unheard) = (self.subscription.delivers(), self.is_unheard);
        // Without the platform's events only the function can tell of its end: one that never has is not waited for.
        let is_mute = !delivers && !self.account.tells_ends();
        if let Turn::Running(running) = &mut self.turn {
            if !delivers {
                running.give_up_at = running.give_up_at.min(patience);
            }
            running.done_since = (is_unheard || is_mute).then_some(now);
        }
    }

    const fn running(&self) -> Option<Running> {
        if let Turn::Running(running) = self.turn { Some(running) } else { None }
    }

    /// The environment may have been frozen: timers that ran before mean nothing now. An answer that came
    /// meanwhile is read in the next moments, so what is overdue gets until the end of this invocation.
    pub(super) fn after_wait(&mut self, now: Instant, waited: Duration) {
        if !self.freezes() {
            return;
        }
        let is_restored = self.config.init_type == InitType::SnapStart && self.ledger.invocations == 0;
        let is_long = is_restored || waited >= self.config.thaw_gap;
        let asked_at = self.asked_at;
        self.metrics.on_wait(waited);
        self.lanes.iter_mut().for_each(|lane| lane.after_wait(asked_at, now, is_long, is_restored));
        if is_long {
            self.outputs.push_back(Output::Reconnect);
            // Beside the handler the new handshake costs nothing; in SHUTDOWN a request follows anyway.
            if self.turn.phase() == Phase::Running {
                self.connect();
            }
        }
    }

    fn connect(&mut self) {
        let well = self.lanes.iter().filter(|lane| lane.is_well()).map(Lane::id);
        self.outputs.extend(well.map(Output::Connect));
    }

    fn advance_running(&mut self, now: Instant) {
        let is_told = self.account.is_current_over(self.subscription.delivers());
        if let Turn::Running(running) = &mut self.turn {
            if is_told {
                running.done_since.get_or_insert(now);
            }
            if running.is_overdue(now) {
                self.reception.stall();
            }
        }
        let is_receiving = self.reception.is_under_way();
        let is_over = self.running().is_some_and(|running| running.is_over(now, is_receiving));
        // What arrives with the end belongs to the flush, which has its own measure.
        if !(is_over && self.pace.is_continuous_for(&self.config)) {
            self.unpark(now);
        }
    }

    /// Nobody waits, and the handler may run until its deadline.
    fn beside_handler(&self) -> Window {
        Window::Beside(self.deadline_of_current())
    }

    /// When the invocation that runs, or ran last, is killed; or we are, in SHUTDOWN.
    pub(super) fn deadline_of_current(&self) -> Instant {
        let of_invocation = || self.hold.as_ref().map(|hold| hold.deadline);
        let draining = self.turn.draining().map(|draining| draining.deadline);
        draining.or_else(of_invocation).unwrap_or_default()
    }

    /// Whether `/next` may be asked while the function runs: data leaves beside the next invocation anyway, nothing is
    /// left to send, and only the platform's event would tell of the end, 25 ms after it.
    fn needs_no_end(&self) -> bool {
        let is_idle = self.lanes.holders().all(Lane::is_idle);
        let is_kept = self.assembly.is_none();
        let is_brief = self.pace.is_continuous_for(&self.config) && self.pace.is_brief();
        is_idle
            && is_kept
            && is_brief
            && !self.reception.is_any()
            && self.subscription.delivers()
            && !self.account.tells_ends()
    }

    /// Asks `/next`: the one place. What comes before it is as the phase has it.
    fn ask(&mut self, now: Instant) {
        let was_starting = matches!(self.turn, Turn::Starting(_));
        let is_early = matches!(self.turn, Turn::Running(_));
        let flushing = self.turn.flushing();
        if is_early {
            self.end_early(now);
        }
        if let Some(flushing) = flushing {
            self.end_flush(now, flushing);
        }
        let event = if was_starting { Event::Ready } else { Event::Flushed };
        self.turn.enter(event, Turn::Waiting(Waiting { is_early }));
        let parks = self.config.spool == SpoolMode::Outage;
        if flushing.is_some_and(|flushing| parks && !flushing.is_put_off) {
            self.park_all();
        } else if flushing.is_some() && self.config.spool == SpoolMode::Always {
            self.park_ill();
        }
        self.note_asked(now);
        self.asked_at = now;
        self.account.on_asked(now);
        self.outputs.push_back(Output::Next);
        // What is open in a snapshot is dead in every environment restored from it.
        if was_starting && self.config.init_type != InitType::SnapStart {
            self.connect();
        }
        if was_starting || !self.freezes() {
            self.advance_waiting(now);
        }
    }

    /// Nobody is held, and no end is known: what is measured goes on its way with the next invocation.
    fn end_early(&mut self, now: Instant) {
        self.turn.enter(Event::Done, Turn::Flushing(Flushing::at(now)));
        self.store_logs(now);
        self.meter_if_due(now);
        // Of the one before, the end may be told in the next moments.
        self.account.close_older(now, &self.config, &self.announced, 2);
        self.close_known(now);
        self.end_stale(now);
    }

    /// Requests that have been without an answer for too many invocations are given up.
    fn end_stale(&mut self, now: Instant) {
        let (lanes, mut effects) = self.lanes();
        lanes.iter_mut().for_each(|lane| lane.end_stale(now, &mut effects));
    }

    fn begin_flush(&mut self, now: Instant) {
        self.is_unheard |= self.running().is_some_and(|running| running.done_since.is_none());
        if self.account.is_current_over(self.subscription.delivers()) {
            let since = self.running().and_then(|running| running.done_since);
            self.note_end(now, since.unwrap_or(now));
        }
        self.turn.enter(Event::Done, Turn::Flushing(Flushing::at(now)));
        // Of the one before, the end may be told in the next moments.
        let is_at_begin = self.hold.as_ref().is_some_and(|hold| hold.began == now);
        self.account.close_older(now, &self.config, &self.announced, 1 + usize::from(is_at_begin));
        self.account.settle_ripe(now, &self.config, self.reception.is_any());
        self.close_known(now);
        self.store_made(now);
        self.store_logs(now);
        self.meter_if_due(now);
        self.end_stale(now);
        let flushing = self.measure_flush(now);
        self.lanes.iter_mut().for_each(|lane| lane.begin_flush(now, flushing.end, flushing.is_put_off));
        self.turn = Turn::Flushing(flushing);
    }

    /// Until when the invocation that is over may be held: not beyond its own time, nor beyond what flushes may still cost in
    /// this minute.
    fn measure_flush(&mut self, now: Instant) -> Flushing {
        let end = budget::flush_end(&self.config, now, self.deadline_of_current());
        let left = self.cap.left(now);
        let is_capped = left.is_some_and(|left| left.is_zero());
        if is_capped && !core::mem::replace(&mut self.said.cost_cap, true) {
            self.say(Notice::CostCapReached);
        }
        let cut = left.map(|left| now + left).filter(|cut| *cut < end);
        let is_put_off = is_capped || self.pace.defers(&self.config, self.lanes.age(now));
        Flushing { began: now, end: cut.unwrap_or(end), is_cut: cut.is_some(), is_put_off }
    }

    fn end_flush(&mut self, now: Instant, flushing: Flushing) {
        let Flushing { began, is_cut, is_put_off, .. } = flushing;
        let (lanes, mut effects) = self.lanes();
        lanes.iter_mut().for_each(|lane| lane.end_flush(now, is_cut, &mut effects));
        let held = now.since(began);
        if !is_put_off || !held.is_zero() {
            self.ledger.flush += held;
            self.meter_flush(held);
            self.pace.on_flush(held);
            self.cap.on_flush(held);
        }
    }
}

//! SHUTDOWN: what is open is closed, the last data leaves, and the books are closed.

use alloc::boxed::Box;

use crate::budget;
use crate::facts::Body;
use crate::io::Output;
use crate::lane::{Lane, Window};
use crate::lifecycle::Event;
use crate::notice::Notice;
use crate::platform::Shutdown;
use crate::span::Signal;
use crate::time::Instant;
use crate::turn::{Decision, Draining, Gate, Turn};

use super::Agent;

impl<B: Body> Agent<B> {
    pub(super) fn on_shutdown(&mut self, now: Instant, shutdown: &Shutdown) {
        if !self.turn.takes(Event::Shutdown) {
            return;
        }
        let deadline = shutdown.deadline + self.slept;
        let end = budget::shutdown_end(&self.config, now, deadline);
        let last_words_end = budget::last_words_end(now, end);
        let draining =
            Draining { shutdown: Some(shutdown.clone()), deadline, end, last_words_end, gate: Gate::Open };
        self.turn.enter(Event::Shutdown, Turn::Draining(draining));
        self.after_wait(now, shutdown.waited);
        self.metrics.on_time(now, shutdown.received_at);
        self.lanes.begin_last(now, end);
    }

    /// SHUTDOWN, while what it found open is not closed.
    fn shutdown(&self) -> Option<&Shutdown> {
        self.turn.draining()?.shutdown.as_ref()
    }

    pub(super) fn advance_draining(&mut self, now: Instant) {
        let Some(&Draining { gate, end, .. }) = self.turn.draining() else { return };
        match gate {
            Gate::Closing => return,
            Gate::Leaving => return self.keep_the_rest(),
            Gate::Open | Gate::Closed => {}
        }
        self.close_known(now);
        if self.decide(now, false) == Decision::Close {
            self.close_all(now);
        }
        if self.lanes.of(Signal::Metrics).all(Lane::is_all_sent) {
            self.meter_news(now);
        }
        if now < end {
            self.unpark(now);
        }
        self.advance_lanes(now, Window::Last(end));
    }

    /// Whether the platform will tell no more of the invocations that are open.
    pub(super) fn is_all_told(&self) -> bool {
        if !self.subscription.delivers() {
            return true;
        }
        let is_bad_end = self.shutdown().is_some_and(|shutdown| shutdown.reason.is_bad());
        let may_be_untold = self.account.may_be_untold() || self.account.awaits_death(&self.config);
        let may_be_told = self.account.has_unexplained() || self.account.awaits_last_word(&self.config);
        !(may_be_told || is_bad_end && may_be_untold)
    }

    /// Whether nothing is left that is worth another try.
    pub(super) fn is_all_tried(&self) -> bool {
        let end = self.turn.draining().map(|draining| draining.end).unwrap_or_default();
        self.lanes.iter().all(|lane| lane.has_done_its_best(end))
    }

    /// The function is listened to no more: what it has handed over by then is still sent, if there is time.
    pub(super) fn shut(&mut self) {
        if let Some(draining) = self.turn.draining_mut() {
            draining.gate = Gate::Closing;
        }
        self.outputs.push_back(Output::Close);
    }

    pub(super) fn on_closed(&mut self) {
        if let Some(draining) = self.turn.draining_mut().filter(|draining| draining.gate == Gate::Closing) {
            draining.gate = Gate::Closed;
        }
    }

    pub(super) fn close_all(&mut self, now: Instant) {
        if let Some(shutdown) = self.turn.draining_mut().and_then(|draining| draining.shutdown.take()) {
            for (request_id, at) in self.account.untold(shutdown.reason.is_bad()) {
                self.begin_without_invoke(now, &request_id, at);
            }
            self.account.close_all(now, &self.config, &shutdown, &self.announced);
            self.metrics.on_end(&self.config, &shutdown);
            self.weigh_end(now, shutdown.reason);
            self.store_made(now);
            self.bury_announced(now, &shutdown);
            self.judge_all(now);
            self.store_logs(now);
            self.meter_at_end(now);
        }
    }

    /// Nothing is sent any more: what is left goes to the disk, which answers at once. What could not be written is in the books
    /// too, and what was being read goes back.
    pub(super) fn leave(&mut self, now: Instant) {
        self.meter_news(now);
        if let Some(draining) = self.turn.draining_mut() {
            draining.gate = Gate::Leaving;
        }
    }

    pub(super) fn exit(&mut self) {
        self.turn.enter(Event::Drained, Turn::Exited);
        self.ledger.flush_mode_changes = self.pace.changes();
        self.ledger.is_continuous = self.pace.is_continuous();
        if !self.router.is_sole() {
            let summary = |lane: &Lane<B>| Output::Say(Notice::LaneSummary(lane.id(), *lane.books()));
            self.outputs.extend(self.lanes.iter().map(summary));
        }
        self.say(Notice::Summary(Box::new(self.ledger)));
        self.outputs.push_back(Output::Exit);
    }
}

//! SHUTDOWN: what is open is closed, the last data leaves, and the books are closed.

use alloc::boxed::Box;

use crate::budget;
use crate::facts::Body;
use crate::io::Output;
use crate::lifecycle::Event;
use crate::notice::Notice;
use crate::platform::Shutdown;
use crate::span::Signal;
use crate::time::Instant;

use super::{Agent, Gate};

impl<B: Body> Agent<B> {
    pub(super) fn on_shutdown(&mut self, now: Instant, shutdown: &Shutdown) {
        if !self.enter(Event::Shutdown) {
            return;
        }
        self.after_wait(now, shutdown.waited);
        self.metrics.on_time(now, shutdown.received_at);
        self.deadline = shutdown.deadline + self.slept;
        self.flush_began = now;
        self.flush_end = budget::shutdown_end(&self.config, now, self.deadline);
        self.last_words_end = budget::last_words_end(now, self.flush_end);
        self.outbox.begin_anew();
        self.shelf.end_rest(None);
        self.is_crowded = false;
        // An answer that is not there after half of the time will not come: there is still time for another try.
        let half = now + self.flush_end.since(now) / 2;
        for flight in self.outbox.in_flight_mut() {
            flight.due = flight.due.min(half);
        }
        self.shutdown = Some(shutdown.clone());
    }

    pub(super) fn advance_draining(&mut self, now: Instant) {
        match self.gate {
            Gate::Closing => return,
            Gate::Leaving => return self.leave(),
            Gate::Open | Gate::Closed => {}
        }
        self.close_known(now);
        let is_bad_end = self.shutdown.as_ref().is_some_and(|shutdown| shutdown.reason.is_bad());
        let may_be_untold = is_bad_end && self.account.may_be_untold();
        let may_be_told = self.account.has_unexplained() || self.account.awaits_last_word(&self.config);
        let may_close = !self.is_receiving() && !may_be_told && !may_be_untold;
        if may_close || now >= self.last_words_end {
            self.close_all(now);
        }
        if !self.outbox.has_waiting(Signal::Metrics) {
            self.meter_news(now);
        }
        if now < self.flush_end {
            self.unpark(now);
        }
        self.outbox.seal(false);
        self.export_ready(now);
        let is_closed = self.shutdown.is_none();
        let is_sent = self.outbox.is_all_sent() && self.outbox.in_flight().is_empty();
        let is_safe = is_sent && self.shelf.is_empty();
        let wakes_in_time = self.shelf.wakes_at().is_some_and(|at| at < self.flush_end);
        let is_lost = self.is_pointless() && !self.shelf.is_busy() && !wakes_in_time;
        if is_closed && (is_safe || is_lost) || now >= self.flush_end {
            self.close_all(now);
            if self.gate == Gate::Closed {
                self.meter_news(now);
                self.gate = Gate::Leaving;
                return self.leave();
            }
            self.gate = Gate::Closing;
            self.outputs.push_back(Output::Close);
        }
    }

    /// What was handed over since is still sent, if there is time.
    pub(super) fn on_closed(&mut self) {
        if self.gate == Gate::Closing {
            self.gate = Gate::Closed;
        }
    }

    pub(super) fn close_all(&mut self, now: Instant) {
        if let Some(shutdown) = self.shutdown.take() {
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

    /// Puts what is left on disk, and leaves when that has it: what could not be written is in the books too, and what
    /// was being read goes back. The disk answers at once.
    pub(super) fn leave(&mut self) {
        self.keep_the_rest();
        if self.shelf.is_busy() {
            return;
        }
        self.enter(Event::Drained);
        self.ledger.flush_mode_changes = self.pace.changes();
        self.ledger.is_continuous = self.pace.is_continuous();
        self.say(Notice::Summary(Box::new(self.ledger)));
        self.outputs.push_back(Output::Exit);
    }
}

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
        let end = self.flush_end;
        self.lanes.iter_mut().for_each(|lane| lane.begin_last(now, end));
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
        if self.lanes.of(Signal::Metrics).is_none_or(Lane::is_all_sent) {
            self.meter_news(now);
        }
        if now < self.flush_end {
            self.unpark(now);
        }
        self.advance_lanes(now, Window::Last(self.flush_end));
        let is_closed = self.shutdown.is_none();
        let is_over = self.lanes.iter().all(|lane| lane.has_done_its_best(self.flush_end));
        if is_closed && is_over || now >= self.flush_end {
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
        if self.lanes.iter().any(Lane::is_busy) {
            return;
        }
        self.enter(Event::Drained);
        self.ledger.flush_mode_changes = self.pace.changes();
        self.ledger.is_continuous = self.pace.is_continuous();
        self.say(Notice::Summary(Box::new(self.ledger)));
        self.outputs.push_back(Output::Exit);
    }
}

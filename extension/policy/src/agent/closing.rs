//! Closing invocations whose end is known: the spans that are made for them go where received ones go.

use crate::entry::Entry;
use crate::facts::Body;
use crate::lifecycle::Phase;
use crate::time::Instant;

use super::Agent;

impl<B: Body> Agent<B> {
    /// Late events of the platform close what is open, and the spans wait in their lanes.
    pub(super) fn advance_waiting(&mut self, now: Instant) {
        self.close_known(now);
        if !self.freezes() {
            self.advance_awake(now);
        }
    }

    /// A function that has died may have left a request with us: until that is read, and while the platform has
    /// nothing more for us anyway, its own spans may come, and need not be made up.
    pub(super) fn close_known(&mut self, now: Instant) {
        let is_idle = self.phase() == Phase::Waiting && !self.config.is_managed();
        self.close(now, is_idle || self.reception.is_under_way());
    }

    pub(super) fn close(&mut self, now: Instant, may_come: bool) {
        self.account.close_known(now, &self.config, &self.announced, may_come);
        self.store_made(now);
    }

    pub(super) fn store_made(&mut self, now: Instant) {
        let made = self.account.take_made();
        self.remember_stand_ins();
        self.ledger.spans.made += made.len() as u64;
        for span in &made {
            self.metrics.on_made(span);
            self.logs.on_made(span);
        }
        if self.assembly.is_some() {
            self.store_deaths(now);
            self.judge_with(now, made);
        } else {
            drop(self.account.take_closed());
            made.into_iter().for_each(|span| self.store(now, Entry::made(span)));
            self.store_deaths(now);
        }
    }
}

//! Announced spans: kept while their invocation runs, closed when it dies, forgotten when it has ended well.

use alloc::vec::Vec;

use crate::account::{Death, Invocation};
use crate::facts::Body;
use crate::io::Receipt;
use crate::ledger::DropReason;
use crate::lifecycle::Phase;
use crate::platform::{EndStatus, Ending, Shutdown};
use crate::span::{Signal, Span};
use crate::stand_ins::StandIns;
use crate::time::Instant;

use super::Agent;

impl<B: Body> Agent<B> {
    pub(super) fn on_announced(&mut self, now: Instant, spans: Vec<Span<B>>) {
        // While none is open, the next one may have begun before we heard of it. An open one may not be held any
        // more, but nobody said that it is over: it may run until its deadline.
        let is_over =
            now >= self.deadline_of_current() || self.account.current().is_none_or(Invocation::has_died);
        let is_between = self.phase() != Phase::Running && is_over;
        if !spans.is_empty() {
            self.account.on_sdk();
        }
        for span in spans {
            let is_of_next = is_between && !self.account.is_left_over(&span);
            self.announced.add(span, self.ledger.invocations + u64::from(is_of_next));
        }
    }

    /// An invocation begins. On Managed Instances it says nothing of the others.
    pub(super) fn forget_announced(&mut self) {
        if !self.config.is_managed() {
            self.announced.forget_before(self.ledger.invocations);
        }
    }

    /// What died with the invocations that were closed is sent as it was left.
    pub(super) fn store_deaths(&mut self, now: Instant) {
        for death in self.account.take_deaths() {
            let spans = self.close_announced(&death);
            self.judge_later(now, Receipt { spans, parcels: Vec::new() });
        }
    }

    /// The process that announced has gone, or is about to: no span of it will end.
    pub(super) fn bury_announced(&mut self, now: Instant, shutdown: &Shutdown) {
        if !shutdown.reason.is_bad() {
            return;
        }
        let ending = Ending { status: shutdown.reason.status(), error_type: None };
        let spans = self.close_announced(&Death { at: shutdown.received_at, ending, part: None });
        // The platform may yet tell of the invocation that one of them names: it has its span.
        spans.iter().for_each(|span| self.account.on_span(now, &self.config, span));
        self.judge_later(now, Receipt { spans, parcels: Vec::new() });
    }

    /// The process that announced has gone, and nobody knows in which invocation.
    pub(super) fn unattended(&mut self) -> Vec<Span<B>> {
        let begun = self.announced.in_order(None).into_iter().map(|span| span.start).max();
        let ending = Ending { status: EndStatus::Failure, error_type: None };
        begun.map(|at| self.close_announced(&Death { at, ending, part: None })).unwrap_or_default()
    }

    /// The spans that `death` closes: made here, as far as the books go.
    pub(super) fn close_announced(&mut self, death: &Death) -> Vec<Span<B>> {
        let Some(class) = death.ending.error_class() else { return Vec::new() };
        let spans = self.announced.close(death.part.as_ref(), death.at, &class);
        self.ledger.spans.made += spans.len() as u64;
        spans.iter().for_each(|span| self.metrics.on_span(span));
        spans.iter().for_each(|span| self.stand_ins.add((span.trace_id, span.span_id)));
        spans
    }

    /// Spans were made in the place of the function's own.
    pub(super) fn remember_stand_ins(&mut self) {
        for key in self.account.take_stand_ins() {
            self.stand_ins.add(key);
            self.announced.end(key.0, key.1);
        }
    }

    /// Takes out of `receipt` what `is_replaced` says was sent already, as it was when its function died, and says how much.
    pub(super) fn take_replaced(
        &self,
        receipt: &mut Receipt<B>,
        is_replaced: impl Fn(&StandIns, &Span<B>) -> bool,
    ) -> u64 {
        let before = receipt.spans.len();
        receipt.spans.retain(|span| !is_replaced(&self.stand_ins, span));
        (before - receipt.spans.len()) as u64
    }

    /// The same of what the function has just sent.
    pub(super) fn drop_replaced(&mut self, receipt: &mut Receipt<B>) {
        let replaced = self.take_replaced(receipt, StandIns::replace);
        self.ledger.drop(Signal::Traces, DropReason::Replaced, replaced);
    }
}

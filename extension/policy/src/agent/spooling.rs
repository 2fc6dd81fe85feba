//! The spool: what goes there when memory is full or the end has come, and how it comes back.

use alloc::vec::Vec;

use crate::facts::Body;
use crate::io::{Output, Receipt};
use crate::ledger::DropReason;
use crate::lifecycle::Phase;
use crate::notice::Notice;
use crate::platform::Invoke;
use crate::shelf::{Parked, Place};
use crate::span::{Signal, Span};
use crate::time::Instant;

use super::Agent;

impl<B: Body> Agent<B> {
    pub(super) fn on_parked(&mut self, now: Instant, place: Option<Place>) {
        if let Some(batch) = self.shelf.end(place) {
            if !core::mem::replace(&mut self.said.spool_unusable, true) {
                self.say(Notice::SpoolUnusable);
            }
            self.outbox.readmit(batch);
            self.make_room(now);
        }
    }

    pub(super) fn on_found(&mut self, parked: Parked) {
        self.ledger.of_mut(parked.signal).recovered += parked.count;
        self.shelf.add(parked);
    }

    pub(super) fn on_unparked(&mut self, now: Instant, receipt: Receipt<B>) {
        let Some(parked) = self.shelf.taken() else { return };
        let lost = parked.count.saturating_sub(receipt.count(parked.signal));
        self.ledger.drop(parked.signal, DropReason::SpoolUnreadable, lost);
        // It may be more than there is room for beside what waits to be judged: it was read to be sent, and room is
        // made when that has been seen to.
        receipt.into_entries().for_each(|entry| self.queue(now, entry));
        self.outbox.seal(false);
        self.outbox.remember_attempts(self.shelf.take_attempts());
    }

    /// The process before this one was killed in the middle of an invocation: its data is ours now, and
    /// its end is told as far as it is known.
    pub(super) fn on_recovered(
        &mut self,
        now: Instant,
        invoke: Option<Invoke>,
        mut receipt: Receipt<B>,
        announced: Vec<Span<B>>,
    ) {
        for signal in Signal::ALL {
            self.ledger.of_mut(signal).recovered += receipt.count(signal);
        }
        self.say(Notice::Recovered(receipt.count(Signal::Traces)));
        receipt.spans.iter().for_each(|span| self.announced.on_span(span));
        self.on_announced(announced);
        if let Some(invoke) = invoke {
            self.metrics.on_time(now, invoke.received_at);
            self.metrics.on_recovered(&invoke.request_id);
            self.invocations.recover(&self.config, invoke, &receipt.spans, &self.announced);
        } else {
            receipt.spans.extend(self.unattended());
        }
        self.keep_recovered(now, receipt);
        self.outbox.seal(false);
    }

    /// What is unsent at the end goes into the spool: after a reset the next process finds it there.
    pub(super) fn keep_the_rest(&mut self) {
        self.outbox.ground();
        self.outbox.gather();
        while self.park_oldest() {}
        for batch in self.outbox.drain() {
            self.ledger.drop(batch.signal, DropReason::Shutdown, batch.count);
        }
    }

    /// Keeps within the bound. The oldest goes into the spool, while that has room; then goes what is only held
    /// in case that it failed; log records wait no longer for their span; then what is least valuable is given up,
    /// unjudged spans before kept ones.
    pub(super) fn make_room(&mut self, now: Instant) {
        while self.outbox.is_over() {
            let is_less = self.park_oldest()
                || self.drop_doubted(now)
                || self.hurry_logs(now)
                || self.shed(now)
                || self.evict();
            if !is_less {
                return;
            }
        }
    }

    /// Puts the oldest batch that is not in flight into the spool; false when there is none, or no room.
    pub(super) fn park_oldest(&mut self) -> bool {
        if !self.shelf.has_room(self.config.bounds.batch_bytes) {
            return false;
        }
        let Some(batch) = self.outbox.give_oldest() else { return false };
        let (signal, entries) = (batch.signal, batch.entries.clone());
        if batch.held() > self.config.bounds.held_bytes {
            // It goes there whenever it is not under way, and would be read back and tried again at once.
            self.shelf.rest_for(&batch);
        }
        self.shelf.begin(batch);
        self.outputs.push_back(Output::Park { signal, entries });
        true
    }

    /// Reads the oldest thing back from the spool, where that is worth it now: while the backend is well and
    /// there is room, or, with nothing else at hand, to find out whether it is well again.
    pub(super) fn unpark(&mut self, now: Instant) {
        let is_idle = self.outbox.is_all_sent() && self.outbox.in_flight().is_empty();
        let may_try = self.phase == Phase::Draining || self.breaker.is_probe_due(now);
        let is_wanted = self.breaker.is_closed() || (is_idle && may_try);
        if !is_wanted || self.shelf.is_reading() || self.shelf.is_resting(now) {
            return;
        }
        let Some(size) = self.shelf.oldest_held() else { return };
        // What is larger than all the room there is has room as soon as it would be alone.
        let may_be_alone = may_try || (size > self.config.bounds.held_bytes && self.outbox.held_bytes() == 0);
        if self.outbox.has_room(size) || (is_idle && may_be_alone) {
            self.outputs.extend(self.shelf.take().map(Output::Unpark));
        }
    }

    pub(super) fn evict(&mut self) -> bool {
        let Some((signal, count)) = self.outbox.evict() else { return false };
        self.ledger.drop(signal, DropReason::OutboxFull, count);
        if !core::mem::replace(&mut self.said.outbox_full, true) {
            self.say(Notice::OutboxFull(signal));
        }
        true
    }
}

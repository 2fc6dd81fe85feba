//! The spool: what goes there when memory is full or the end has come, and how it comes back.

use alloc::vec::Vec;

use crate::batch::{Batch, Entry};
use crate::facts::Body;
use crate::io::{Output, Receipt};
use crate::ledger::DropReason;
use crate::lifecycle::Phase;
use crate::notice::Notice;
use crate::platform::Invoke;
use crate::shelf::{Parked, Place};
use crate::span::{RequestId, Signal, Span, SpanId, TraceId};
use crate::stand_ins::StandIns;
use crate::time::{Instant, UnixNanos};

use super::{Agent, Gate};

impl<B: Body> Agent<B> {
    pub(super) fn on_parked(&mut self, now: Instant, place: Option<Place>) {
        if let Some(batch) = self.shelf.end(place) {
            if !core::mem::replace(&mut self.said.spool_unusable, true) {
                self.say(Notice::SpoolUnusable);
            }
            if self.gate == Gate::Leaving {
                self.ledger.drop(batch.signal, DropReason::Shutdown, batch.count);
            } else if self.outbox.is_outsize(batch.held()) {
                self.drop_for_room(batch.signal, batch.count);
            } else {
                self.outbox.readmit(batch);
                self.make_room(now);
            }
        }
    }

    /// The function's own span of the invocation that began at `received_at`, once it has been accepted: a process that
    /// finds the invocation on record, and the span not, since it was delivered, must make no second one.
    pub fn own_root(&self, request_id: &RequestId, received_at: UnixNanos) -> Option<(TraceId, SpanId)> {
        self.account.own_root(request_id, received_at)
    }

    pub(super) fn on_found(&mut self, parked: Parked) {
        self.ledger.of_mut(parked.signal).recovered += parked.count;
        self.shelf.add(parked);
    }

    pub(super) fn on_unparked(&mut self, now: Instant, mut receipt: Receipt<B>) {
        let Some((parked, is_doubtful)) = self.shelf.taken() else { return };
        let lost = parked.count.saturating_sub(receipt.count(parked.signal));
        self.ledger.drop(parked.signal, DropReason::SpoolUnreadable, lost);
        if lost > 0 && !core::mem::replace(&mut self.said.spool_unreadable[parked.signal as usize], true) {
            self.say(Notice::SpoolUnreadable(parked.signal));
        }
        self.drop_replaced(&mut receipt, StandIns::replace_read);
        // It may be more than there is room for beside what waits to be judged: it was read to be sent, and room is
        // made when that has been seen to.
        if is_doubtful {
            self.outbox.push_again(now, parked.signal, receipt.into_entries().collect());
        } else {
            receipt.into_entries().for_each(|entry| self.outbox.push(now, entry));
        }
        self.outbox.seal(false);
        self.outbox.remember_attempts(self.shelf.take_attempts());
    }

    /// The process before this one was killed in the middle of an invocation: its data is ours now, and
    /// its end is told as far as it is known.
    pub(super) fn on_recovered(
        &mut self,
        now: Instant,
        begun: Option<(Invoke, u64)>,
        mut earlier: Receipt<B>,
        mut receipt: Receipt<B>,
        announced: Vec<Span<B>>,
    ) {
        for signal in Signal::ALL {
            self.ledger.of_mut(signal).recovered += earlier.count(signal) + receipt.count(signal);
        }
        self.say(Notice::Recovered(earlier.count(Signal::Traces) + receipt.count(Signal::Traces)));
        earlier.spans.iter().chain(&receipt.spans).for_each(|span| self.announced.on_span(span));
        self.on_announced(now, announced);
        if !(earlier.spans.is_empty() && receipt.spans.is_empty()) {
            self.account.on_sdk();
        }
        if let Some((invoke, seed)) = begun {
            self.metrics.on_time(now, invoke.received_at);
            self.metrics.on_recovered(&invoke.request_id, invoke.received_at);
            let spans = (earlier.spans.as_slice(), receipt.spans.as_slice());
            self.account.recover(&self.config, (invoke, seed), spans, &self.announced);
        } else {
            receipt.spans.extend(self.unattended());
        }
        earlier.spans.append(&mut receipt.spans);
        earlier.parcels.append(&mut receipt.parcels);
        self.keep_recovered(now, earlier);
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
            let is_parked = self.park_oldest();
            self.is_crowded |= is_parked;
            let is_less =
                is_parked || self.drop_doubted(now) || self.hurry_logs(now) || self.shed(now) || self.evict();
            if !is_less {
                return;
            }
        }
    }

    /// Queues `entry`. One that is larger than all that may be held goes straight into the spool, and is read back when
    /// nothing else is held; where the spool has no room for it either, it is given up. Nothing else has to go for it.
    pub(super) fn push(&mut self, now: Instant, entry: Entry<B>) {
        if !self.outbox.is_outsize(entry.held()) {
            self.outbox.push(now, entry);
        } else if self.shelf.has_room(entry.size as usize) {
            let batch = self.outbox.alone(now, entry);
            self.park(batch);
        } else {
            self.drop_for_room(entry.signal, u64::from(entry.count));
        }
    }

    /// Takes a batch back that was not delivered.
    pub(super) fn put_back(&mut self, now: Instant, batch: Batch<B>) {
        if !self.outbox.is_outsize(batch.held()) {
            self.outbox.put_back(batch);
            self.make_room(now);
            return;
        }
        self.outbox.forget(&batch);
        if self.shelf.has_room(batch.size) {
            self.park(batch);
        } else {
            self.drop_for_room(batch.signal, batch.count);
        }
    }

    /// Puts the oldest batch that is not in flight into the spool; false when there is none, or no room.
    pub(super) fn park_oldest(&mut self) -> bool {
        let size = self.outbox.oldest_size().unwrap_or_default().max(self.config.bounds.batch_bytes);
        if !self.shelf.has_room(size) {
            return false;
        }
        let Some(batch) = self.outbox.give_oldest() else { return false };
        self.park(batch);
        true
    }

    fn park(&mut self, batch: Batch<B>) {
        let (signal, entries) = (batch.signal, batch.entries.clone());
        if self.outbox.is_outsize(batch.held()) {
            // It goes there whenever it is not under way, and would be read back and tried again at once.
            self.shelf.rest_for(self.outbox.pause_of(&batch), batch.attempts);
        }
        self.shelf.begin(batch);
        self.outputs.push_back(Output::Park { signal, entries });
    }

    /// Reads the oldest thing back from the spool, where that is worth it now: while the backend is well and
    /// there is room, or, with nothing else at hand, to find out whether it is well again.
    pub(super) fn unpark(&mut self, now: Instant) {
        // What the backend has asked to be left alone with could not be sent: it may have to go back at once.
        self.outbox.forget_asked(now);
        let asked = self.shelf.oldest_signal().and_then(|signal| self.outbox.asked_with(signal));
        self.shelf.rest_until(asked);
        let is_idle = self.outbox.is_all_sent() && self.outbox.in_flight().is_empty();
        let is_resting = self.shelf.is_resting(now);
        let is_probe = is_idle && self.breaker.is_probe_due(now);
        let is_wanted = self.breaker.is_closed() || (is_idle && self.phase == Phase::Draining);
        if is_resting || self.shelf.is_reading() || !(is_wanted || is_probe) {
            return;
        }
        let Some(size) = self.shelf.oldest_held() else { return };
        // What may be larger than the bound is sent alone. What is only held in case that it failed goes first when room
        // runs out, and must not keep the rest on disk.
        let fits =
            || self.outbox.has_room(size) || (is_idle && self.outbox.has_room_beside(self.doubted(), size));
        let has_room = self.outbox.held_bytes() == 0 || (!self.is_crowded && fits());
        if is_probe || has_room {
            self.outputs.extend(self.shelf.take().map(Output::Unpark));
        }
    }

    pub(super) fn evict(&mut self) -> bool {
        let Some((signal, count)) = self.outbox.evict() else { return false };
        self.drop_for_room(signal, count);
        true
    }

    pub(super) fn drop_for_room(&mut self, signal: Signal, count: u64) {
        self.ledger.drop(signal, DropReason::OutboxFull, count);
        if count > 0 && !core::mem::replace(&mut self.said.outbox_full, true) {
            self.say(Notice::OutboxFull(signal));
        }
    }
}

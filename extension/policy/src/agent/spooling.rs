//! The spool: what goes there when memory is full or the end has come, and how it comes back.

use alloc::vec::Vec;

use crate::config::SpoolMode;
use crate::facts::Body;
use crate::io::{Output, Receipt};
use crate::lane::shelf::{Parked, Place};
use crate::lane::{Lane, LaneId};
use crate::lanes::Unwritten;
use crate::ledger::DropReason;
use crate::notice::Notice;
use crate::platform::Invoke;
use crate::span::{RequestId, Signal, Span, SpanId, TraceId};
use crate::stand_ins::StandIns;
use crate::time::{Instant, UnixNanos};
use crate::turn::{Turn, Waiting};

use super::Agent;

impl<B: Body> Agent<B> {
    /// A write that failed may work again: somebody else had filled the disk.
    pub(super) fn try_disk_again(&mut self) {
        self.lanes.room_mut().set_disk(self.config.spool != SpoolMode::Off);
    }

    pub(super) fn on_parked(&mut self, now: Instant, lane: LaneId, place: Option<Place>) {
        let is_end = self.turn.is_leaving();
        let Some(unwritten) = self.lanes.on_parked(lane, place, is_end) else { return };
        if !core::mem::replace(&mut self.said.spool_unusable, true) {
            self.say(Notice::SpoolUnusable);
        }
        match unwritten {
            Unwritten::GivenUp(count) if is_end => self.drop_of(lane, DropReason::Shutdown, count),
            Unwritten::GivenUp(count) => self.evict_of(lane, count),
            Unwritten::Readmitted => self.make_room(now),
        }
    }

    /// The function's own span of the invocation that began at `received_at`, once it has been accepted: a process that
    /// finds the invocation on record, and the span not, since it was delivered, must make no second one.
    pub fn own_root(&self, request_id: &RequestId, received_at: UnixNanos) -> Option<(TraceId, SpanId)> {
        self.account.own_root(request_id, received_at)
    }

    /// Whether the invocation of `request_id` may still run although `/next` is asked: it was asked before anything told of the
    /// end. A process that is killed meanwhile takes the function along.
    pub fn runs_on(&self, request_id: &RequestId) -> bool {
        matches!(self.turn, Turn::Waiting(Waiting { is_early: true })) && self.account.is_open(request_id)
    }

    pub(super) fn on_found(&mut self, parked: Parked) {
        let Parked { lane, place, count, .. } = parked;
        self.ledger.of_mut(lane.signal).recovered += count;
        match self.lanes.get_mut(lane) {
            Some(lane) => lane.on_found(parked),
            None => {
                self.go_nowhere(lane.signal, count);
                // What is read is settled, and nobody takes it.
                self.outputs.push_back(Output::Unpark { lane, place });
            }
        }
    }

    pub(super) fn on_unparked(&mut self, now: Instant, id: LaneId, mut receipt: Receipt<B>) {
        // A record holds one signal.
        receipt.spans.retain(|_| id.signal == Signal::Traces);
        receipt.parcels.retain(|parcel| parcel.signal == id.signal);
        let (lanes, mut effects) = self.lanes();
        let Some(lane) = lanes.get_mut(id) else { return };
        let Some(taken) = lane.on_read(receipt.count(id.signal), &mut effects) else { return };
        let replaced = self.take_replaced(&mut receipt, StandIns::replace_read);
        self.drop_of(id, DropReason::Replaced, replaced);
        let entries = receipt.into_entries().collect();
        if let Some(lane) = self.lanes.get_mut(id) {
            lane.take_back(now, taken, entries);
        }
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
        self.lanes.iter_mut().for_each(Lane::seal);
    }

    pub(super) fn on_left(&mut self, now: Instant, receipt: Receipt<B>) {
        for signal in Signal::ALL {
            self.ledger.of_mut(signal).recovered += receipt.count(signal);
        }
        self.keep_recovered(now, receipt);
        self.lanes.iter_mut().for_each(Lane::seal);
    }

    /// What is unsent at the end goes into the spool: after a reset the next process finds it there.
    pub(super) fn keep_the_rest(&mut self) {
        self.lanes.iter_mut().for_each(Lane::gather);
        self.park_all();
        self.lanes.iter_mut().for_each(|lane| lane.give_up_the_rest(&mut self.ledger));
    }

    /// The same of what destinations hold that are ill.
    pub(super) fn park_ill(&mut self) {
        let (lanes, mut effects) = self.lanes();
        lanes.park_ill(&mut effects);
    }

    /// Puts everything on disk that waits, while there is room.
    pub(super) fn park_all(&mut self) {
        let (lanes, mut effects) = self.lanes();
        lanes.park_all(&mut effects);
    }

    /// Keeps within the bound. What is larger than that alone goes straight into the spool. Then the oldest goes there, while
    /// it has room; then goes what is only held in case that it failed; log records wait no longer for their span; then what
    /// is least valuable is given up: of lanes that give for others, before spans that wait to be judged; those before kept ones.
    pub(super) fn make_room(&mut self, now: Instant) {
        if !self.lanes.is_over() {
            return;
        }
        self.settle_outsize();
        while self.lanes.is_over() {
            let is_less = self.park_for_room()
                || self.drop_doubted(now)
                || self.hurry_logs(now)
                || self.evict_for_unjudged()
                || self.shed(now)
                || self.evict();
            if !is_less {
                return;
            }
        }
    }

    /// Puts what is larger than all that may be held on disk, or gives it up.
    pub(super) fn settle_outsize(&mut self) {
        if !self.lanes.is_over() {
            return;
        }
        let (lanes, mut effects) = self.lanes();
        for (lane, count) in lanes.settle_outsize(&mut effects) {
            self.evict_of(lane, count);
        }
    }

    fn park_for_room(&mut self) -> bool {
        let (lanes, mut effects) = self.lanes();
        lanes.park_for_room(&mut effects)
    }

    /// Reads back from the spool what is worth it now.
    pub(super) fn unpark(&mut self, now: Instant) {
        let doubted = self.doubted();
        let (lanes, mut effects) = self.lanes();
        lanes.unpark(now, doubted, &mut effects);
    }

    /// Makes room for what waits to be judged: an ill lane must not cost a healthy one what it has not got yet.
    fn evict_for_unjudged(&mut self) -> bool {
        let unjudged = self.unjudged_bytes();
        let given = if unjudged > 0 { self.lanes.evict_for(Signal::Traces, unjudged) } else { None };
        self.note_evicted(given)
    }

    fn evict(&mut self) -> bool {
        let given = self.lanes.evict();
        self.note_evicted(given)
    }

    fn note_evicted(&mut self, given: Option<(LaneId, u64)>) -> bool {
        let Some((lane, count)) = given else { return false };
        self.evict_of(lane, count);
        true
    }

    fn evict_of(&mut self, lane: LaneId, count: u64) {
        self.drop_of(lane, DropReason::OutboxFull, count);
        self.say_full(lane.signal, count);
    }

    /// What waited to be judged had to go.
    pub(super) fn drop_for_room(&mut self, signal: Signal, count: u64) {
        self.ledger.drop(signal, DropReason::OutboxFull, count);
        self.say_full(signal, count);
    }

    fn say_full(&mut self, signal: Signal, count: u64) {
        if count > 0 && !core::mem::replace(&mut self.said.outbox_full, true) {
            self.say(Notice::OutboxFull(signal));
        }
    }
}

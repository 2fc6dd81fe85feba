//! Judging: spans wait until their invocation is done, and then go to the backend or nowhere.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::account::has_died;
use crate::config::{Config, SpoolMode};
use crate::entry::Entry;
use crate::facts::Body;
use crate::io::{Output, Receipt};
use crate::lifecycle::Phase;
use crate::platform::{Invoke, PlatformEvent, ShutdownReason};
use crate::routing::Router;
use crate::sampling::{Assembly, Circumstances, Item, Overlap, Owner, failure_of};
use crate::span::{PlatformSpan, RequestId, Signal, Span, TraceId};
use crate::time::Instant;

use super::Agent;

/// The invocation that the spans of each trace in a request are of, where some name it: what an SDK sends together of one
/// trace is of one invocation, unless several are named.
fn named_traces<B>(spans: &[Span<B>]) -> BTreeMap<TraceId, Option<RequestId>> {
    let mut named = BTreeMap::new();
    for span in spans {
        if let Some(request_id) = &span.request_id {
            let known = named.entry(span.trace_id).or_insert_with(|| Some(request_id.clone()));
            known.take_if(|known| known != request_id);
        }
    }
    named
}

impl<B: Body> Agent<B> {
    /// Nothing is judged where everything is kept, or where spans go nowhere.
    pub(super) fn assembly(config: &Config) -> Option<Assembly<B>> {
        let router = Router::new(config);
        let is_needed = config.sampling.is_active() || router.asks_traces();
        (is_needed && config.sends(Signal::Traces))
            .then(|| Assembly::new(config.sampling.clone()).routed(router))
    }

    /// Items of `signal` that wait to be judged.
    pub(super) fn unjudged(&self, signal: Signal) -> u64 {
        let assembly = self.assembly.as_ref().filter(|_| signal == Signal::Traces);
        assembly.map(Assembly::count).unwrap_or_default()
    }

    pub(super) fn begin_judging(&mut self, now: Instant, invoke: &Invoke) {
        if let Some(assembly) = &mut self.assembly {
            let over = |began| self.account.over_at(now, &self.config, began).cloned();
            assembly.begin(now, (&invoke.request_id, invoke.received_at), over);
            self.apply_rulings(now);
            self.make_room(now);
        }
    }

    /// What came from the function: spans wait, and everything else is queued.
    pub(super) fn judge_later(&mut self, now: Instant, mut receipt: Receipt<B>) {
        if let Some(assembly) = &mut self.assembly {
            // Where invocations overlap, a span that names none may be of any; and while none is known to run, it
            // may be of the next one already, whose INVOKE has not been read yet.
            let is_certain = !self.config.is_managed() && self.turn.phase() != Phase::Waiting;
            let current = self.account.current().filter(|_| is_certain);
            let running = current.map(|open| &open.invoke.request_id);
            // What does not fit into memory alone cannot wait in it.
            let before = receipt.spans.len();
            receipt.spans.retain(|span| !self.lanes.room().is_outsize(Item::<B>::held_of(span.size)));
            let given_up = (before - receipt.spans.len()) as u64;
            let named_in = named_traces(&receipt.spans);
            for span in receipt.spans.drain(..) {
                // On Managed Instances the platform tells of an invocation's begin when it may be over: what it says of
                // its end is waited for all the same.
                let is_known = |id: &&RequestId| self.config.is_managed() || !self.account.is_over(id);
                // An SDK that sends by a timer sends after a freeze what began before it.
                let by_trace = || self.account.over_in(&self.config, span.trace_id, span.start);
                let over = self.account.over_at(now, &self.config, span.start).or_else(by_trace);
                let beside = || named_in.get(&span.trace_id)?.as_ref();
                let told = span.request_id.as_ref().or_else(beside).filter(is_known).cloned();
                let owner = match (&told, over.or(running)) {
                    (Some(request_id), _) => Owner::Named(request_id),
                    (None, Some(request_id)) => Owner::Likely(request_id),
                    // Never on Managed Instances, where nothing tells what a span is left over from.
                    (None, None) if self.account.is_left_over(&span) => Owner::OfTrace,
                    (None, None) => Owner::Unknown,
                };
                assembly.add(now, Item::Received(span), owner);
            }
            if assembly.has_ended() {
                assembly.finish(now);
            }
            self.drop_for_room(Signal::Traces, given_up);
            self.apply_rulings(now);
            self.make_room(now);
        }
        self.take_in(now, receipt);
    }

    /// Judges what is ready, together with spans made here.
    pub(super) fn judge_with(&mut self, now: Instant, made: Vec<PlatformSpan>) {
        let closed = self.account.take_closed();
        let flushed = self.account.flushed(&self.config);
        let Some(assembly) = &mut self.assembly else { return };
        for span in made {
            let invocation = span.invocation().cloned();
            let owner = invocation.as_ref().map_or(Owner::OfTrace, Owner::Named);
            assembly.add(now, Item::Made(span.into()), owner);
        }
        closed.into_iter().chain(flushed.clone()).for_each(|word| assembly.learn(now, word));
        let is_flushed = |id: &RequestId| flushed.as_ref().is_some_and(|word| word.request_id == *id);
        let is_done = |id: &RequestId| !self.account.is_open(id) || is_flushed(id);
        let overlap = Overlap { oldest_open: self.account.oldest_open(), newest: self.ledger.invocations };
        assembly.judge(now, self.config.is_managed().then_some(overlap), is_done);
        if assembly.has_ended() {
            assembly.finish(now);
        }
        self.apply_rulings(now);
    }

    /// What the platform says of an invocation that is judged already; `is_of_earlier` where another try runs under its id.
    pub(super) fn weigh(&mut self, now: Instant, event: &PlatformEvent, is_of_earlier: bool) {
        let (PlatformEvent::RuntimeDone { request_id, ending, .. }
        | PlatformEvent::Report { request_id, ending, .. }) = event
        else {
            return;
        };
        if let Some(assembly) = &mut self.assembly {
            let failure = failure_of(ending.outcome(), has_died(ending));
            if is_of_earlier {
                assembly.learn_of_earlier_try(now, request_id, failure);
            } else {
                let request_id = request_id.clone();
                let word = Circumstances { request_id, failure, is_final: true, ..Circumstances::default() };
                assembly.learn(now, word);
            }
            self.apply_rulings(now);
        }
    }

    /// SHUTDOWN tells how the last invocation ended: its spans are judged by that, and its root may be among them.
    pub(super) fn weigh_end(&mut self, now: Instant, reason: ShutdownReason) {
        let failure = failure_of(reason.status(), reason.is_bad());
        if let Some((assembly, failure)) = self.assembly.as_mut().zip(failure) {
            assembly.fail_last(now, failure);
            self.apply_rulings(now);
        }
    }

    /// The environment ends: everything is judged, with what is known.
    pub(super) fn judge_all(&mut self, now: Instant) {
        if let Some(assembly) = &mut self.assembly {
            assembly.finish(now);
            self.apply_rulings(now);
        }
    }

    /// What a killed process leaves behind is kept.
    pub(super) fn keep_recovered(&mut self, now: Instant, mut receipt: Receipt<B>) {
        let made = self.account.take_made();
        self.remember_stand_ins();
        self.ledger.spans.made += made.len() as u64;
        for death in self.account.take_deaths() {
            receipt.spans.extend(self.close_announced(&death));
        }
        // Its end is known, and it is kept whatever that was.
        drop(self.account.take_closed());
        if let Some(assembly) = &mut self.assembly {
            let received = receipt.spans.drain(..).map(Item::Received);
            assembly.recover(received.chain(made.into_iter().map(|span| Item::Made(span.into()))));
            self.apply_rulings(now);
        } else {
            made.into_iter().for_each(|span| self.store(now, Entry::made(span)));
        }
        self.take_in(now, receipt);
    }

    /// Gives the oldest trace up that is only held in case that its invocation failed.
    pub(super) fn drop_doubted(&mut self, now: Instant) -> bool {
        let Some(assembly) = &mut self.assembly else { return false };
        let is_dropped = assembly.settle_oldest_doubt();
        self.apply_rulings(now);
        is_dropped
    }

    /// Memory of what is only held in case that its invocation failed.
    pub(super) fn doubted(&self) -> usize {
        self.assembly.as_ref().map(Assembly::doubted).unwrap_or_default()
    }

    /// Makes room with what is not judged yet.
    pub(super) fn shed(&mut self, now: Instant) -> bool {
        let Some(assembly) = &mut self.assembly else { return false };
        let Some(given_up) = assembly.shed(now) else { return false };
        self.drop_for_room(Signal::Traces, given_up);
        self.apply_rulings(now);
        true
    }

    /// What waits outside of the outbox, to be judged or to learn its span, counts against the same bound.
    pub(super) fn weigh_beside(&mut self) {
        let beside = self.unjudged_bytes() + self.logs.held_bytes();
        self.lanes.room_mut().set_beside(beside);
    }

    /// Memory of what waits to be judged.
    pub(super) fn unjudged_bytes(&self) -> usize {
        self.assembly.as_ref().map(Assembly::size).unwrap_or_default()
    }

    /// Puts what was kept into the outbox, and what was left out into the books. Room is made at the end.
    fn apply_rulings(&mut self, now: Instant) {
        let Some(assembly) = &mut self.assembly else { return };
        let rulings = assembly.take_rulings();
        (self.ledger.boosts, self.ledger.boosts_ended) = assembly.turns();
        self.lanes.room_mut().set_beside(assembly.size() + self.logs.held_bytes());
        self.ledger.spans.sampled_out += rulings.left_out;
        self.ledger.sampled_out_bytes += rulings.left_out_bytes;
        for decision in rulings.decisions {
            self.ledger.decisions[decision as usize] += 1;
        }
        self.tell_left_out(rulings.left_out_bodies);
        rulings.kept.into_iter().for_each(|kept| self.queue_kept(now, kept));
    }

    /// Where everything accepted is on record, what is left out should not come back after a kill: a record holds a whole
    /// request. Room may be made span by span; what is told of is told of together.
    fn tell_left_out(&mut self, bodies: Vec<B>) {
        if self.config.spool != SpoolMode::Always || bodies.is_empty() {
            return;
        }
        if let Some(Output::LeftOut(all)) = self.outputs.back_mut() {
            all.extend(bodies);
        } else {
            self.outputs.push_back(Output::LeftOut(bodies));
        }
    }
}

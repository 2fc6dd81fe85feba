//! Spans that wait for their trace to be judged, and the memory of what became of those before them.
//!
//! A trace is judged when its invocation is done. Where it would be left out although the platform has not
//! said yet how the invocation ended, it waits a little longer: a crash after the last span must not cost
//! the trace. What waits so is the first to go when room runs out.

mod awaiting;
mod settling;
mod shedding;

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::awaiting::Awaiting;
use super::fragments::{Doubt, Fragments};
use super::item::Item;
use super::judge::{Judge, Verdict};
use super::judged::{Judged, JudgedTraces, Owner};
use super::rulings::Rulings;
use super::tries::Tries;
use super::words::Words;
use super::{Circumstances, Decision, Sampling};
use crate::account::INVOCATION_MAX;
use crate::facts::Body;
use crate::routing::Router;
use crate::span::{RequestId, TraceId};
use crate::time::{Duration, Instant, UnixNanos};

/// Invocations that one trace is judged with, where it spans several.
const SPANNED_MAX: usize = 16;
/// Invocations that begin while the platform says nothing of an earlier one: then it ended well.
const PATIENCE: u64 = 2;
/// That is told some 25 ms after the end: invocations of a millisecond, one behind the other, begin before.
const PATIENCE_MIN: Duration = Duration::from_secs(1);
/// Where invocations overlap, a trace that does not say of which invocation it is waits this long to be judged.
const OVERLAP_AGE_MAX: Duration = Duration::from_secs(5);
/// The platform tells of an end within this time, where it tells of it at all.
const OVERLAP_PATIENCE: Duration = Duration::from_secs(15);

/// Which invocations run, where several run at once and a span need not say of which it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Overlap {
    /// The number of the oldest one that is open, in order of their begin.
    pub(crate) oldest_open: u64,
    /// The number of the last that has begun.
    pub(crate) newest: u64,
}

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Assembly<B> {
    judge: Judge,
    fragments: Fragments<B>,
    judged: JudgedTraces,
    words: Words,
    tries: Tries,
    /// Invocations begun.
    begun: u64,
    /// The last of them.
    last: Option<RequestId>,
    /// Whether invocations overlap.
    is_overlapping: bool,
    /// Whether the environment has ended: what still comes is judged at once.
    has_ended: bool,
    rulings: Rulings<B>,
    awaiting: Awaiting<B>,
}

impl<B: Body> Assembly<B> {
    pub(crate) fn new(sampling: Sampling) -> Self {
        Self {
            judge: Judge::new(sampling),
            fragments: Fragments::new(),
            judged: JudgedTraces::new(),
            words: Words::default(),
            tries: Tries::default(),
            begun: 0,
            last: None,
            is_overlapping: false,
            has_ended: false,
            rulings: Rulings::new(),
            awaiting: Awaiting::new(),
        }
    }

    /// The same, where there are several destinations.
    pub(crate) fn routed(self, router: Router) -> Self {
        Self { judge: self.judge.routed(router), ..self }
    }

    /// Memory of what waits: encoded bytes and bookkeeping.
    pub(crate) const fn size(&self) -> usize {
        self.fragments.size() + self.awaiting.size()
    }

    /// Of that, the encoded bytes.
    pub(crate) fn encoded_bytes(&self) -> usize {
        self.fragments.encoded_bytes() + self.awaiting.encoded_bytes()
    }

    /// Of that, what would be left out, unless its invocation failed.
    pub(crate) const fn doubted(&self) -> usize {
        self.fragments.doubted() + self.awaiting.size()
    }

    /// Spans that wait.
    pub(crate) const fn count(&self) -> u64 {
        self.fragments.count()
    }

    /// The function's own bytes in all that waits.
    pub(crate) fn bodies_mut(&mut self) -> impl Iterator<Item = &mut B> {
        self.fragments.bodies_mut().chain(self.awaiting.bodies_mut())
    }

    /// How often the ratio of an operation rose, and fell back.
    pub(crate) const fn turns(&self) -> (u64, u64) {
        self.judge.turns()
    }

    /// An invocation begins. What came since the last one was done, and belongs to none, is of this one, because the function
    /// may have been faster than the INVOKE that reached us; unless `over` finds an earlier one for the time at which it began.
    pub(crate) fn begin(
        &mut self,
        now: Instant,
        (request_id, received_at): (&RequestId, UnixNanos),
        over: impl Fn(UnixNanos) -> Option<RequestId>,
    ) {
        self.begun += 1;
        self.judged.on_clock(now, received_at);
        self.begin_retry(now, request_id, received_at);
        self.judged.begin(received_at);
        self.last = Some(request_id.clone());
        let tries = &self.tries;
        self.fragments.attribute(|began| {
            over(began).map(|id| tries.at(&id, began)).or_else(|| Some(request_id.clone()))
        });
    }

    /// A retry has the request id of the try before, which is judged by what is known of it: of the retry that says nothing.
    fn begin_retry(&mut self, now: Instant, request_id: &RequestId, received_at: UnixNanos) {
        let Some(name) = self.tries.begin(request_id, received_at, self.begun) else { return };
        for trace_id in self.fragments.of(Some(request_id), false) {
            self.judge_one(now, trace_id, false);
        }
        self.words.rename(request_id, &name);
        self.fragments.rename(request_id, &name);
        self.judged.rename(request_id, &name);
        self.awaiting.rename(request_id, &name);
    }

    /// Takes a span in.
    pub(crate) fn add(&mut self, now: Instant, item: Item<B>, owner: Owner<'_>) {
        let trace_id = item.trace_id();
        let judged = self.judged.find(trace_id);
        let invocation = match owner {
            Owner::Named(request_id) | Owner::Likely(request_id) => {
                Some(self.tries.at(request_id, item.start()))
            }
            Owner::OfTrace => self.last_of(trace_id),
            Owner::Unknown => None,
        };
        let invocation = invocation.as_ref();
        let late = judged.as_ref().filter(|judged| judged.concerns(&item, invocation));
        let is_late = late.is_some();
        self.let_go_of_many(trace_id, invocation);
        if let Some(fragment) = self.fragments.get(trace_id) {
            let doubt = fragment.doubt;
            let is_failure = item.is_failure();
            let added = invocation.filter(|id| !fragment.invocations.contains(id));
            // The trace has come here again: it is judged as a whole when all are done.
            let kept = doubt.filter(|_| is_late);
            if added.is_some() || kept.is_some() != doubt.is_some() {
                let of = fragment.invocations.iter().chain(added).cloned().collect();
                self.fragments.set(trace_id, of, kept);
            }
            self.fragments.push(now, item, invocation);
            if let (Some(doubt), true, true) = (doubt, is_late, is_failure) {
                self.settle(trace_id, self.judge.revise(doubt.verdict, Decision::Error));
            }
        } else if let Some(judged) = late {
            self.follow(judged, item, invocation);
        } else {
            self.fragments.push(now, item, invocation);
        }
    }

    /// The invocation that `trace` was last found to be of.
    fn last_of(&self, trace: TraceId) -> Option<RequestId> {
        let waiting = self.fragments.get(trace).and_then(|fragment| fragment.invocations.last());
        let judged = || self.judged.invocations(trace).and_then(|invocations| invocations.last());
        waiting.or_else(judged).cloned()
    }

    /// What waits of a trace waits for no more than [`SPANNED_MAX`] invocations: where nobody tells how they ended, and one more
    /// begins, it is settled.
    fn let_go_of_many(&mut self, trace_id: TraceId, invocation: Option<&RequestId>) {
        let Some(fragment) = self.fragments.get(trace_id) else { return };
        let is_new = invocation.is_some_and(|id| !fragment.invocations.contains(id));
        if let Some(doubt) = fragment.doubt.filter(|_| is_new && fragment.invocations.len() >= SPANNED_MAX) {
            self.settle(trace_id, doubt.verdict);
        }
    }

    /// Takes spans in that a killed process had accepted: all of them are kept.
    pub(crate) fn recover(&mut self, items: impl Iterator<Item = Item<B>>) {
        let mut traces = BTreeMap::<TraceId, Vec<Item<B>>>::new();
        for item in items {
            traces.entry(item.trace_id()).or_default().push(item);
        }
        for items in traces.into_values() {
            let verdict = self.judge.recovered(&items);
            self.rulings.keep(items, verdict, self.judge.router());
        }
    }

    /// Something was said of an invocation.
    pub(crate) fn learn(&mut self, now: Instant, mut word: Circumstances) {
        if let Some(at) = word.at {
            word.request_id = self.tries.at(&word.request_id, at);
        }
        let word = self.words.learn(now, word);
        if word.is_final {
            let traces = self.fragments.of(Some(&word.request_id), true);
            self.resolve(&word.request_id, word.failure, traces);
            self.resolve_awaiting(&word.request_id, word.failure);
        }
    }

    /// The platform has said how an earlier try of `request_id` ended, under which another one runs now.
    pub(crate) fn learn_of_earlier_try(
        &mut self,
        now: Instant,
        request_id: &RequestId,
        failure: Option<Decision>,
    ) {
        if let Some(request_id) = self.tries.last(request_id) {
            let word = Circumstances { request_id, failure, is_final: true, ..Circumstances::default() };
            self.learn(now, word);
        }
    }

    /// An invocation of `traces`, which are in doubt, has failed or not. Those that are of others, too, wait for these.
    fn resolve(&mut self, request_id: &RequestId, failure: Option<Decision>, mut traces: Vec<TraceId>) {
        if failure.is_none() {
            traces.retain(|trace_id| {
                let Some(fragment) = self.fragments.get(*trace_id) else { return false };
                let mut rest = fragment.invocations.clone();
                rest.retain(|id| id != request_id);
                if !rest.is_empty() {
                    let doubt = fragment.doubt;
                    self.fragments.set(*trace_id, rest, doubt);
                    return false;
                }
                true
            });
        }
        self.settle_doubts(failure, traces);
    }

    /// Judges what is ready: fragments of invocations that `is_done` says are done. Where invocations
    /// overlap, what has waited for [`OVERLAP_AGE_MAX`] is ready too: what is kept leaves then, and what would be left out
    /// waits for the ends of all that ran with it.
    pub(crate) fn judge(
        &mut self,
        now: Instant,
        overlap: Option<Overlap>,
        is_done: impl Fn(&RequestId) -> bool,
    ) {
        if let Some(overlap) = overlap {
            (self.is_overlapping, self.begun) = (true, overlap.newest);
        }
        let is_old = |since: Instant| overlap.is_some() && now.since(since) >= OVERLAP_AGE_MAX;
        // Where none overlap, what nobody knows the owner of is of the invocation whose INVOKE is read next.
        let mut ready = self.fragments.ready(is_old, is_done);
        ready.retain(|trace_id| overlap.is_some() || !self.fragments.is_unknown(*trace_id));
        for trace_id in ready {
            self.judge_one(now, trace_id, false);
        }
        let newest = self.begun;
        let ripe = self.fragments.ripe(|at, begun, is_of_some| match overlap {
            // The platform's word on an invocation that is known settles it; here it may be of any that ran then.
            Some(Overlap { oldest_open, .. }) => {
                let waited = now.since(at);
                waited >= INVOCATION_MAX || !is_of_some && waited >= OVERLAP_PATIENCE && begun < oldest_open
            }
            None => newest >= begun + PATIENCE && now.since(at) >= PATIENCE_MIN,
        });
        self.settle_doubts(None, ripe);
        self.forget_awaiting(now);
    }

    /// The environment ends with a failure of the invocation that began last.
    pub(crate) fn fail_last(&mut self, now: Instant, failure: Decision) {
        self.give_rest_to_last();
        if let Some(request_id) = self.last.clone() {
            let failure = Some(failure);
            let word = Circumstances { request_id, failure, is_final: true, ..Circumstances::default() };
            self.learn(now, word);
        }
    }

    /// The environment ends: everything is settled.
    pub(crate) fn finish(&mut self, now: Instant) {
        self.has_ended = true;
        self.give_rest_to_last();
        for trace_id in self.fragments.unjudged() {
            self.judge_one(now, trace_id, false);
        }
        self.settle_doubts(None, self.fragments.ripe(|_, _, _| true));
        self.awaiting.forget_all();
    }

    /// What came since the last invocation was done, and belongs to none, is of that one if no other follows.
    fn give_rest_to_last(&mut self) {
        self.fragments.attribute(|_| self.last.clone());
    }

    /// Whether the environment has ended.
    pub(crate) const fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// What was settled since the last call.
    pub(crate) fn take_rulings(&mut self) -> Rulings<B> {
        self.rulings.take()
    }

    /// A late span, of this `invocation`, goes the way of its trace; one that failed is kept whatever became of the others.
    fn follow(&mut self, judged: &Judged, item: Item<B>, invocation: Option<&RequestId>) {
        let trace_id = item.trace_id();
        let router = self.judge.router();
        let before = self.judged.before(trace_id, invocation.map_or(&[], core::slice::from_ref));
        let routes = before.map_or(judged.routes, |before| router.late(before, &item));
        if judged.verdict.decision.is_keep() {
            self.follow_awaiting(&item, routes);
            self.rulings.keep_late(item, Verdict { routes, ..judged.verdict }, self.judge.router());
        } else if item.is_failure() {
            let verdict = Verdict { routes, ..self.judge.revise(judged.verdict, Decision::Error) };
            if verdict.decision.is_keep() {
                self.judged.settle(trace_id, verdict);
                self.rulings.keep(alloc::vec![item], verdict, self.judge.router());
            } else {
                self.rulings.leave_out_late(item);
            }
        } else {
            self.rulings.leave_out_late(item);
        }
    }

    /// Judges what waits of a trace. False when it was to be judged early, before its invocation is done, and is only
    /// kept if that fails: then nothing is settled, for itself or for what may still come of it.
    fn judge_one(&mut self, now: Instant, trace_id: TraceId, is_early: bool) -> bool {
        let Some(fragment) = self.fragments.get(trace_id) else { return true };
        // Where invocations overlap, what has named none by now is of those that its trace was of.
        let is_unnamed = self.is_overlapping && fragment.invocations.is_empty();
        let of_trace = self.judged.invocations(trace_id).filter(|_| is_unnamed);
        let invocations = of_trace.unwrap_or(&fragment.invocations).clone();
        // Of an invocation that nobody knows, nobody will say more; unless its INVOKE has not been read yet.
        let is_nobodys = invocations.is_empty() && !is_early && (!self.is_overlapping || self.has_ended);
        let mut word = self.words.on(&invocations);
        word.is_final |= is_nobodys;
        let mut verdict = self.judge.judge(now, &fragment.items, &word);
        let before = self.judged.before(trace_id, &invocations);
        verdict.routes = self.judge.router().after(before, &fragment.items, verdict.routes);
        let is_settled = verdict.decision.is_keep() || word.is_final;
        if is_early && !is_settled {
            return false;
        }
        self.judged.note(now, trace_id, &fragment.items, (verdict, invocations.clone()));
        if is_settled {
            self.settle_at(Some(now), trace_id, verdict);
        } else {
            let mut open = invocations;
            open.retain(|id| !self.words.is_final(id));
            self.fragments.set(trace_id, open, Some(Doubt { verdict, begun: self.begun, at: now }));
        }
        true
    }
}

#[cfg(test)]
mod tests;

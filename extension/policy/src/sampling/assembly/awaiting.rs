//! What waits for destinations that take failures alone: see [`crate::sampling::awaiting`].

use alloc::vec::Vec;

use super::{Assembly, PATIENCE, PATIENCE_MIN};
use crate::account::INVOCATION_MAX;
use crate::facts::Body;
use crate::routing::Routes;
use crate::sampling::Decision;
use crate::sampling::fragments::Fragment;
use crate::sampling::item::Item;
use crate::sampling::judge::Verdict;
use crate::span::{RequestId, TraceId};
use crate::time::Instant;

impl<B: Body> Assembly<B> {
    /// What is kept of a trace, and has not failed, may yet turn out to have.
    pub(super) fn await_failure(
        &mut self,
        now: Instant,
        trace_id: TraceId,
        fragment: &Fragment<B>,
        verdict: Verdict,
    ) {
        let routes = self.judge.router().of_failures(verdict.routes);
        let mut open: Vec<_> = fragment.invocations.clone();
        open.retain(|id| !self.words.is_final(id));
        let is_failure = verdict.decision.is_failure() || fragment.items.iter().any(Item::is_failure);
        if !(routes.is_empty() || open.is_empty() || is_failure || self.has_ended) {
            let items = fragment.items.iter().cloned();
            self.awaiting.add((now, self.begun), trace_id, items, (verdict, routes), open);
        }
    }

    /// A late span of a trace, for `routes`: where it has failed, all that waits of the trace goes with it.
    pub(super) fn follow_awaiting(&mut self, item: &Item<B>, routes: Routes) {
        if item.is_failure() {
            self.send_awaiting(item.trace_id(), Decision::Error);
        } else {
            self.awaiting.follow(self.judge.router().of_failures(routes), item);
        }
    }

    /// The last word on an invocation.
    pub(super) fn resolve_awaiting(&mut self, request_id: &RequestId, failure: Option<Decision>) {
        for trace_id in self.awaiting.resolve(request_id, failure.is_some()) {
            self.send_awaiting(trace_id, failure.unwrap_or(Decision::Error));
        }
    }

    fn send_awaiting(&mut self, trace_id: TraceId, failure: Decision) {
        for part in self.awaiting.take(trace_id) {
            let verdict = self.judge.revise(part.verdict, failure);
            self.rulings.send_again(part.items, verdict, part.routes);
        }
    }

    /// Nobody will say more of what has waited so long.
    pub(super) fn forget_awaiting(&mut self, now: Instant) {
        let (newest, is_overlapping) = (self.begun, self.is_overlapping);
        self.awaiting.forget(|at, begun| match is_overlapping {
            true => now.since(at) >= INVOCATION_MAX,
            false => newest >= begun + PATIENCE && now.since(at) >= PATIENCE_MIN,
        });
    }
}

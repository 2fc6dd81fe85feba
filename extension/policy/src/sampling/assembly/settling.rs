//! The last word on what waits of a trace: kept, or left out.

use alloc::vec::Vec;

use super::Assembly;
use crate::facts::Body;
use crate::sampling::Decision;
use crate::sampling::judge::Verdict;
use crate::span::TraceId;
use crate::time::Instant;

impl<B: Body> Assembly<B> {
    /// Settles the doubts of `traces`: they have failed, or they are left out.
    pub(super) fn settle_doubts(&mut self, failure: Option<Decision>, traces: Vec<TraceId>) {
        for trace_id in traces {
            let Some(doubt) = self.fragments.get(trace_id).and_then(|fragment| fragment.doubt) else {
                continue;
            };
            let verdict = failure.map_or(doubt.verdict, |failure| self.judge.revise(doubt.verdict, failure));
            self.settle(trace_id, verdict);
        }
    }

    /// `verdict` is the last word on what waits of a trace.
    pub(super) fn settle(&mut self, trace_id: TraceId, verdict: Verdict) {
        self.settle_at(None, trace_id, verdict);
    }

    /// The same, `now` where its invocation may still turn out to have failed.
    pub(super) fn settle_at(&mut self, now: Option<Instant>, trace_id: TraceId, verdict: Verdict) {
        self.judged.settle(trace_id, verdict);
        let Some(fragment) = self.fragments.take(trace_id) else { return };
        if verdict.decision.is_keep() {
            if let Some(now) = now {
                self.await_failure(now, trace_id, &fragment, verdict);
            }
            self.rulings.keep(fragment.items, verdict, self.judge.router());
        } else {
            self.rulings.leave_out(fragment.items, verdict.decision);
        }
    }
}

//! The traces that were judged lately, and whether a span that arrives later goes the way of its trace.

use alloc::vec::Vec;

use super::item::Item;
use super::judge::Verdict;
use super::recent::Recent;
use crate::account::INVOKE_DELAY_MAX;
use crate::facts::Body;
use crate::routing::{Before, Router, Routes};
use crate::span::{RequestId, TraceId};
use crate::time::{Duration, Instant, UnixNanos};

/// Traces of which it is remembered what became of them, for spans that come late: 56 KB.
const JUDGED_MAX: usize = 512;

/// Which invocation a span is of.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Owner<'a> {
    /// The span names it, or what came with it does.
    Named(&'a RequestId),
    /// The one that ran when it began, or runs now.
    Likely(&'a RequestId),
    /// It is a part of what had ended before: of the one that its trace was of.
    OfTrace,
    Unknown,
}

/// What became of a trace, and of which part of it.
#[derive(Clone, Debug)]
pub(super) struct Judged {
    pub(super) verdict: Verdict,
    /// Which invocations that was of, as far as they were known.
    pub(super) invocations: Vec<RequestId>,
    /// The end of its last span: what began later is not a late part of it.
    pub(super) until: UnixNanos,
    /// Where parts of it go that do not tell themselves: with what one destination has for itself, if it had any.
    pub(super) routes: Routes,
    /// Whether the span that stands for its invocations has told that.
    is_told: bool,
}

impl Judged {
    /// Whether what became of the trace is the last word on `item`, too: it is a late part of what was judged. Where that was
    /// left out, and the item is of an `invocation` that had no part in it, that one may have failed.
    pub(super) fn concerns<B: Body>(&self, item: &Item<B>, invocation: Option<&RequestId>) -> bool {
        let is_part = |id: &RequestId| self.invocations.contains(id);
        let is_its = self.verdict.decision.is_keep() || invocation.is_none_or(is_part);
        item.start() <= self.until && is_its
    }
}

/// The traces that were judged lately.
#[derive(Clone, Debug)]
pub(super) struct JudgedTraces {
    recent: Recent<TraceId, Judged>,
    /// The latest end among them.
    latest: UnixNanos,
    /// When the last invocation began, and by which wall time; `None` where several run at once.
    clock: Option<(Instant, UnixNanos)>,
}

impl JudgedTraces {
    pub(super) const fn new() -> Self {
        Self { recent: Recent::new(JUDGED_MAX), latest: UnixNanos(0), clock: None }
    }

    /// The wall time at `now`, by the INVOKE that was read then.
    pub(super) const fn on_clock(&mut self, now: Instant, wall: UnixNanos) {
        self.clock = Some((now, wall));
    }

    /// What begins at `received_at` or later is no late part of anything: spans may claim any time, and clocks are set.
    pub(super) fn begin(&mut self, received_at: UnixNanos) {
        if self.latest >= received_at {
            let last = received_at.minus(Duration::from_nanos(1));
            self.recent.each(|judged| judged.until = judged.until.min(last));
            self.latest = last;
        }
    }

    /// What was judged under `request_id` is of another try, which is known as `name` from now on.
    pub(super) fn rename(&mut self, request_id: &RequestId, name: &RequestId) {
        self.recent.each(|judged| {
            judged.invocations.iter_mut().filter(|id| *id == request_id).for_each(|id| *id = name.clone());
        });
    }

    /// What became of a trace of which another span has come.
    pub(super) fn find(&mut self, trace_id: TraceId) -> Option<Judged> {
        self.recent.touch(&trace_id).cloned()
    }

    /// The invocations that a trace was judged with.
    pub(super) fn invocations(&self, trace_id: TraceId) -> Option<&Vec<RequestId>> {
        self.recent.peek(&trace_id).map(|judged| &judged.invocations)
    }

    /// Where an earlier part of a trace went, for one that is of `invocations`. Where several run at once, one that is of none that
    /// is known may be of any.
    pub(super) fn before(&self, trace: TraceId, invocations: &[RequestId]) -> Option<Before> {
        let judged = self.recent.peek(&trace)?;
        let is_clear = !invocations.is_empty() || self.clock.is_some();
        let is_part = invocations.iter().all(|id| judged.invocations.contains(id));
        Some(Before { routes: judged.routes, is_of_it: judged.is_told && is_clear && is_part })
    }

    /// `items` of a trace were judged.
    pub(super) fn note<B: Body>(
        &mut self,
        now: Instant,
        trace_id: TraceId,
        items: &[Item<B>],
        (verdict, invocations): (Verdict, Vec<RequestId>),
    ) {
        // What is here has ended by now: a span may claim any time, and what begins later is no late part of it.
        let latest =
            self.clock.map_or(UnixNanos(u64::MAX), |(at, wall)| wall + now.since(at) + INVOKE_DELAY_MAX);
        let ends = items.iter().map(Item::end).filter(|end| *end <= latest);
        let until = ends.max().unwrap_or_default();
        self.latest = self.latest.max(until);
        let before = self.before(trace_id, &invocations);
        let is_told = Router::tells(items) || before.is_some_and(|before| before.is_of_it);
        let exclusive = before.map(|before| before.routes).filter(|routes| routes.is_exclusive());
        let routes = exclusive.unwrap_or(verdict.routes);
        self.recent.put(trace_id, Judged { verdict, invocations, until, routes, is_told });
    }

    /// `verdict` is the last word on a trace.
    pub(super) fn settle(&mut self, trace_id: TraceId, verdict: Verdict) {
        if let Some(judged) = self.recent.touch(&trace_id) {
            judged.verdict = verdict;
        }
    }
}

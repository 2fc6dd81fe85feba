//! The spans of an environment's latest invocations, by when they began: where a missing root belongs.

mod family;

use alloc::collections::{BTreeMap, VecDeque};

use crate::span::{RequestId, Span, SpanId, TraceId};
use crate::time::{Duration, UnixNanos};

pub(super) use family::Family;

/// Spans remembered. What is older than the oldest of them is not known any more, and no root is rebuilt from it:
/// 4,096 × 80 bytes is what a 128 MB function can spare.
const RELATIVES_MAX: usize = 4_096;
/// Generations that are looked for above spans whose invocation nobody told the begin of.
const ANCESTORS_MAX: usize = 8;

/// Where in a trace a span stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) trace_id: TraceId,
    pub(crate) span_id: SpanId,
    pub(crate) parent: Option<SpanId>,
}

impl Place {
    pub(crate) const fn of<B>(span: &Span<B>) -> Self {
        Self { trace_id: span.trace_id, span_id: span.span_id, parent: span.parent }
    }
}

/// What is remembered of a span.
#[derive(Clone, Debug)]
pub(super) struct Relative {
    place: Place,
    start: UnixNanos,
    end: UnixNanos,
    parent_is_remote: Option<bool>,
    /// Whether it is of an entry kind, and whether it has failed.
    is_entry: bool,
    is_error: bool,
    /// The invocation that it names.
    request_id: Option<RequestId>,
    /// How often `/next` had been asked when it came.
    turn: u64,
}

impl Relative {
    pub(super) fn of<B>(span: &Span<B>, turn: u64) -> Self {
        Self {
            turn,
            place: Place::of(span),
            start: span.start,
            end: span.end,
            parent_is_remote: span.parent_is_remote,
            is_entry: span.kind.is_entry(),
            is_error: span.is_error,
            request_id: span.request_id.clone(),
        }
    }

    const fn id(&self) -> (TraceId, SpanId) {
        (self.place.trace_id, self.place.span_id)
    }

    fn parent(&self) -> Option<(TraceId, SpanId)> {
        self.place.parent.map(|parent| (self.place.trace_id, parent))
    }

    /// Its parent, where that is in the same process.
    fn local_parent(&self) -> Option<(TraceId, SpanId)> {
        self.parent().filter(|_| !self.has_remote_parent())
    }

    /// Whether its parent, if that has not come, is in another process. Many SDKs do not say: the parent of a span of an entry
    /// kind is its caller's.
    fn has_remote_parent(&self) -> bool {
        self.parent_is_remote.unwrap_or(self.is_entry)
    }
}

/// The time in which the spans of one invocation begin: from `from` on, and before `until`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) from: UnixNanos,
    pub(super) until: UnixNanos,
}

impl Window {
    pub(super) fn holds(self, start: UnixNanos) -> bool {
        self.from <= start && start < self.until
    }
}

/// What is remembered of a trace.
#[derive(Clone, Copy, Debug)]
struct Known {
    /// Its spans that are remembered.
    count: usize,
    /// When the earliest of them began, or of those that had to be forgotten meanwhile.
    earliest: UnixNanos,
}

/// The latest spans that were received; see the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Relatives {
    all: VecDeque<Relative>,
    /// Their traces: one large invocation asks of each of its spans what was before.
    traces: BTreeMap<TraceId, Known>,
    /// The latest begin of a span that had to be forgotten.
    forgotten: Option<UnixNanos>,
    /// How often `/next` was asked.
    turn: u64,
}

impl Relatives {
    /// `/next` is asked.
    pub(super) const fn next_turn(&mut self) {
        self.turn += 1;
    }

    pub(super) const fn turn(&self) -> u64 {
        self.turn
    }

    pub(super) fn add<B>(&mut self, span: &Span<B>) {
        if self.all.len() == RELATIVES_MAX
            && let Some(oldest) = self.all.pop_front()
        {
            self.forgotten = self.forgotten.max(Some(oldest.start));
            self.uncount(oldest.place.trace_id);
        }
        let relative = Relative::of(span, self.turn);
        self.count(&relative);
        self.all.push_back(relative);
    }

    fn count(&mut self, relative: &Relative) {
        let known = Known { count: 0, earliest: relative.start };
        let known = self.traces.entry(relative.place.trace_id).or_insert(known);
        (known.count, known.earliest) = (known.count + 1, known.earliest.min(relative.start));
    }

    fn uncount(&mut self, trace: TraceId) {
        if let Some(known) = self.traces.get_mut(&trace) {
            known.count -= 1;
            if known.count == 0 {
                self.traces.remove(&trace);
            }
        }
    }

    fn retain(&mut self, is_kept: impl Fn(UnixNanos) -> bool) {
        let before = self.all.len();
        self.all.retain(|relative| is_kept(relative.start));
        if self.all.len() < before {
            self.traces.clear();
            let all = core::mem::take(&mut self.all);
            all.iter().for_each(|relative| self.count(relative));
            self.all = all;
        }
    }

    /// Forgets what began before `from`: no invocation asks for it any more.
    pub(super) fn forget_before(&mut self, from: UnixNanos) {
        self.retain(|start| start >= from);
        self.forgotten.take_if(|start| *start < from);
    }

    /// Forgets what claims to have begun at `from` or later, which is in the future.
    pub(super) fn forget_from(&mut self, from: UnixNanos) {
        self.retain(|start| start < from);
        self.forgotten.take_if(|start| *start >= from);
    }

    /// Whether the oldest of them will be forgotten soon.
    pub(super) fn is_crowded(&self) -> bool {
        self.all.len() >= RELATIVES_MAX / 2
    }

    /// The spans that began in `window`. Where some of them had to be forgotten, none is known.
    pub(super) fn family(&self, window: Window) -> Family {
        let is_whole = self.forgotten.is_none_or(|start| !window.holds(start));
        let of_it = self.all.iter().filter(|relative| is_whole && window.holds(relative.start));
        Family::of(of_it.cloned())
    }

    /// The same, and spans that began after `window` and before `last`, if they came before `/next` was asked for the time of
    /// this number: no other invocation had begun by then.
    pub(super) fn family_before(&self, window: Window, last: UnixNanos, turn: u64) -> Family {
        let after = Window { from: window.until.max(window.from), until: last };
        self.family(window).join(self.family(after).before(turn))
    }

    /// `family`, and of the spans that began in `window` those that its own name as their parents, and so on. A caller's is of
    /// no family, although it may have come: in an invocation before.
    pub(super) fn with_ancestors(&self, mut family: Family, window: Window) -> Family {
        let mut present = family.present();
        let mut missing = family.local_parents();
        missing.retain(|parent| !present.contains(parent));
        for _ in 0..ANCESTORS_MAX {
            let is_missing =
                |relative: &&Relative| window.holds(relative.start) && missing.contains(&relative.id());
            let Some(ancestor) = self.all.iter().find(is_missing).cloned() else { break };
            missing.remove(&ancestor.id());
            present.insert(ancestor.id());
            missing.extend(ancestor.local_parent().filter(|parent| !present.contains(parent)));
            family.add(ancestor);
        }
        family
    }

    /// Whether `trace` has a span that began before `from`.
    pub(super) fn has_before(&self, trace: TraceId, from: UnixNanos) -> bool {
        self.traces.get(&trace).is_some_and(|known| known.earliest < from)
    }

    /// Whether `span_id` of `trace` was received.
    #[cfg(test)]
    pub(super) fn has(&self, trace: TraceId, span_id: SpanId) -> bool {
        self.all.iter().any(|relative| relative.id() == (trace, span_id))
    }

    /// Whether `span`, which is of an invocation that began at `from` with the turn of this number, is a part of one that was
    /// received: its parent was open when it began, or is of the same invocation. The parent of a message may be of an earlier
    /// one: what came before `/next` was asked is not open and of no invocation that began later, what claims to have ended
    /// after `latest`, which is in the future, tells nothing of when it was open, and what stands below the own span of another
    /// invocation is of that, whatever times they claim.
    pub(super) fn has_outer<B>(
        &self,
        span: &Span<B>,
        (from, turn): (UnixNanos, u64),
        latest: UnixNanos,
    ) -> bool {
        let outer = span.parent.map(|parent| (span.trace_id, parent));
        let ended = span.start + Duration::from_nanos(1)..=latest;
        let is_open = |relative: &Relative| relative.turn == self.turn && ended.contains(&relative.end);
        let is_outer =
            |relative: &Relative| is_open(relative) || relative.turn >= turn && relative.start >= from;
        let is_part = self.all.iter().any(|relative| Some(relative.id()) == outer && is_outer(relative));
        is_part && !self.is_of_other(outer, span.request_id.as_ref())
    }

    /// Whether the span `id`, or the nearest one above it that names an invocation, names another than `request_id`.
    fn is_of_other(&self, id: Option<(TraceId, SpanId)>, request_id: Option<&RequestId>) -> bool {
        let find = |id| self.all.iter().find(|relative| relative.id() == id);
        let line = core::iter::successors(id.and_then(find), |relative| relative.parent().and_then(find));
        let named = line.take(ANCESTORS_MAX).find_map(|relative| relative.request_id.as_ref());
        named.is_some_and(|named| Some(named) != request_id)
    }

    /// Whether `span` is a part of one that was received, and had ended when it began. The parent of a message is of a
    /// producer, in an invocation before.
    pub(super) fn has_ended_outer<B>(&self, span: &Span<B>) -> bool {
        let has_ended =
            |outer| self.all.iter().any(|relative| relative.id() == outer && relative.end <= span.start);
        Relative::of(span, self.turn).local_parent().is_some_and(has_ended)
    }

    /// Whether a span was received that began in `window`.
    pub(super) fn has_in(&self, window: Window) -> bool {
        self.all.iter().any(|relative| window.holds(relative.start))
    }
}

#[cfg(test)]
mod tests;

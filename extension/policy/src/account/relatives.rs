//! The spans of an environment's latest invocations, by when they began: where a missing root belongs.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;

use crate::span::{RequestId, Span, SpanId, TraceId};
use crate::time::UnixNanos;

/// Spans remembered. What is older than the oldest of them is not known any more, and no root is rebuilt from it:
/// 4,096 × 80 bytes is what a 128 MB function can spare.
const RELATIVES_MAX: usize = 4_096;
/// Parents of dead children for which a placeholder is made.
pub(super) const PLACEHOLDERS_MAX: usize = 16;

/// Generations that are looked for above spans whose invocation nobody told the begin of.
const ANCESTORS_MAX: usize = 8;
/// Traces of one invocation that are looked through for one that misses its root.
const TRACES_MAX: usize = 16;

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
        Family { relatives: of_it.cloned().collect() }
    }

    /// The same, and spans that began after `window` and before `last`, if they came before `/next` was asked for the time of
    /// this number: no other invocation had begun by then.
    pub(super) fn family_before(&self, window: Window, last: UnixNanos, turn: u64) -> Family {
        let mut family = self.family(window);
        let after = Window { from: window.until.max(window.from), until: last };
        let came = self.family(after).relatives.into_iter().filter(|relative| relative.turn < turn);
        family.relatives.extend(came);
        family
    }

    /// `family`, and of the spans that began in `window` those that its own name as their parents, and so on. A caller's is of
    /// no family, although it may have come: in an invocation before.
    pub(super) fn with_ancestors(&self, mut family: Family, window: Window) -> Family {
        let mut present = family.present();
        let mut missing: BTreeSet<_> = family.relatives.iter().filter_map(Relative::local_parent).collect();
        missing.retain(|parent| !present.contains(parent));
        for _ in 0..ANCESTORS_MAX {
            let is_missing =
                |relative: &&Relative| window.holds(relative.start) && missing.contains(&relative.id());
            let Some(ancestor) = self.all.iter().find(is_missing).cloned() else { break };
            missing.remove(&ancestor.id());
            present.insert(ancestor.id());
            missing.extend(ancestor.local_parent().filter(|parent| !present.contains(parent)));
            family.relatives.push(ancestor);
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
    /// one: what came before `/next` was asked is not open and of no invocation that began later, and what stands below the own
    /// span of another invocation is of that, whatever times they claim.
    pub(super) fn has_outer<B>(&self, span: &Span<B>, (from, turn): (UnixNanos, u64)) -> bool {
        let outer = span.parent.map(|parent| (span.trace_id, parent));
        let is_open = |relative: &Relative| relative.turn == self.turn && relative.end > span.start;
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

/// The spans of one invocation.
#[derive(Clone, Debug, Default)]
pub(super) struct Family {
    relatives: Vec<Relative>,
}

impl Family {
    /// The same with `spans`, wherever they are from.
    pub(super) fn and<B>(mut self, spans: &[&Span<B>]) -> Self {
        self.relatives.extend(spans.iter().map(|span| Relative::of(span, u64::MAX)));
        self
    }

    /// Those that came after `/next` had been asked for the time of this number: what came before is of no invocation that
    /// began later, whatever time it claims.
    pub(super) fn since(mut self, turn: u64) -> Self {
        self.relatives.retain(|relative| relative.turn >= turn);
        self
    }

    /// Leaves out spans that `is_other`, asked with their places and begins, says are another invocation's.
    pub(super) fn without(mut self, is_other: impl Fn(Place, UnixNanos) -> bool) -> Self {
        self.relatives.retain(|relative| !is_other(relative.place, relative.start));
        self
    }

    /// A span of an entry kind that can stand for the invocation although it does not name it: the first whose parent
    /// is not in the invocation too; and whether it has failed.
    pub(super) fn entry(&self) -> Option<(Place, bool)> {
        let present = self.present();
        let is_outer = |relative: &&Relative| {
            let parent = relative.parent().filter(|_| relative.parent_is_remote != Some(true));
            relative.is_entry
                && relative.request_id.is_none()
                && relative.parent_is_remote != Some(false)
                && parent.is_none_or(|parent| !present.contains(&parent))
        };
        self.relatives.iter().find(is_outer).map(|relative| (relative.place, relative.is_error))
    }

    /// Its spans, to look many up in: an invocation may have thousands.
    fn present(&self) -> BTreeSet<(TraceId, SpanId)> {
        self.relatives.iter().map(Relative::id).collect()
    }

    /// When the earliest span began.
    pub(super) fn earliest(&self) -> Option<UnixNanos> {
        self.relatives.iter().map(|relative| relative.start).min()
    }

    /// When the latest span ended, of those that ended by `until`: a span may claim any time.
    pub(super) fn latest(&self, until: UnixNanos) -> Option<UnixNanos> {
        self.relatives.iter().map(|relative| relative.end).filter(|end| *end <= until).max()
    }

    /// The traces of the spans, each once, in order of arrival; a few are enough to see that there are several.
    pub(super) fn traces(&self) -> Vec<TraceId> {
        let mut traces = Vec::new();
        for relative in &self.relatives {
            if !traces.contains(&relative.place.trace_id) {
                traces.push(relative.place.trace_id);
                if traces.len() == TRACES_MAX {
                    break;
                }
            }
        }
        traces
    }

    /// The trace that all spans are of; `None` where there are several, or none.
    pub(super) fn trace(&self) -> Option<TraceId> {
        let first = self.relatives.first()?.place.trace_id;
        self.relatives.iter().all(|relative| relative.place.trace_id == first).then_some(first)
    }

    /// Parents that spans of `trace` name and nobody sent, each once, in order of arrival.
    ///
    /// Shape: at most [`PLACEHOLDERS_MAX`]; without parents in other processes when `local_only`.
    pub(super) fn missing_parents(&self, trace: TraceId, local_only: bool) -> Vec<SpanId> {
        let of_trace = || self.relatives.iter().filter(|relative| relative.place.trace_id == trace);
        let mut present: Vec<SpanId> = of_trace().map(|relative| relative.place.span_id).collect();
        present.sort_unstable();
        let mut missing = Vec::new();
        for relative in of_trace().filter(|relative| !(local_only && relative.has_remote_parent())) {
            let Some(parent) = relative.place.parent else { continue };
            if present.binary_search(&parent).is_err() && !missing.contains(&parent) {
                missing.push(parent);
                if missing.len() == PLACEHOLDERS_MAX {
                    break;
                }
            }
        }
        missing
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::span::Kind;

    const ALL: Window = Window { from: UnixNanos(0), until: UnixNanos(u64::MAX) };

    fn id(number: u8) -> SpanId {
        SpanId::new([number; 8]).expect("not zero")
    }

    fn trace() -> TraceId {
        TraceId::new([9; 16]).expect("not zero")
    }

    /// A span that begins at its own number.
    fn span(number: u8, parent: Option<u8>, parent_is_remote: Option<bool>, kind: Kind) -> Span<()> {
        Span {
            trace_id: trace(),
            span_id: id(number),
            parent: parent.map(id),
            parent_is_remote,
            kind,
            start: UnixNanos(number.into()),
            end: UnixNanos(u64::from(number) + 10),
            is_error: false,
            request_id: None,
            size: 1,
            body: (),
        }
    }

    fn relatives(spans: &[Span<()>]) -> Relatives {
        let mut relatives = Relatives::default();
        spans.iter().for_each(|span| relatives.add(span));
        relatives
    }

    fn clients(spans: &[(u8, Option<u8>, Option<bool>)]) -> Family {
        let spans: Vec<_> = spans
            .iter()
            .map(|(number, parent, remote)| span(*number, *parent, *remote, Kind::Client))
            .collect();
        relatives(&spans).family(ALL)
    }

    #[test]
    fn it_names_the_parents_that_nobody_sent() {
        let family = clients(&[(1, Some(7), None), (2, Some(1), None), (3, Some(7), Some(false))]);
        assert_eq!(family.missing_parents(trace(), true), [id(7)]);
    }

    #[test]
    fn a_remote_parent_is_not_missing_here() {
        let family = clients(&[(1, Some(7), Some(true))]);
        assert!(family.missing_parents(trace(), true).is_empty());
        assert_eq!(family.missing_parents(trace(), false), [id(7)]);
    }

    #[test]
    fn of_a_span_of_an_entry_kind_the_parent_is_remote_unless_that_is_denied() {
        for (kind, is_remote, is_missing) in [
            (Kind::Server, None, false),
            (Kind::Consumer, None, false),
            (Kind::Server, Some(false), true),
            (Kind::Client, None, true),
            (Kind::Client, Some(true), false),
        ] {
            let family = relatives(&[span(1, Some(7), is_remote, kind)]).family(ALL);
            let missing = family.missing_parents(trace(), true);
            assert_eq!(missing.contains(&id(7)), is_missing, "{kind:?} {is_remote:?}");
            assert_eq!(family.missing_parents(trace(), false), [id(7)]);
        }
    }

    #[test]
    fn a_part_of_another_span_began_in_it_or_in_the_same_invocation() {
        // The other one is from 5 to 15.
        let relatives = relatives(&[span(5, None, None, Kind::Server)]);
        for (parent, start, from, turn, is_part) in [
            (Some(5), 14, u64::MAX, 0, true),
            (Some(5), 15, u64::MAX, 0, false),
            (Some(5), 20, 5, 0, true),
            (Some(5), 20, 5, 1, false),
            (Some(5), 20, 6, 0, false),
            (Some(6), 14, 0, 0, false),
            (None, 14, 0, 0, false),
        ] {
            let inner = Span { start: UnixNanos(start), ..span(9, parent, None, Kind::Consumer) };
            let other = Span { trace_id: TraceId::new([8; 16]).expect("not zero"), ..inner.clone() };
            let has_outer = |span| relatives.has_outer(span, (UnixNanos(from), turn));
            let seen = (has_outer(&inner), has_outer(&other));
            assert_eq!(seen, (is_part, false), "{parent:?} {start} {from} {turn}");
        }
        let mut later = relatives;
        later.next_turn();
        let inner = Span { start: UnixNanos(14), ..span(9, Some(5), None, Kind::Consumer) };
        assert!(!later.has_outer(&inner, (UnixNanos(6), 0)), "that had ended before `/next` was asked");
    }

    #[test]
    fn what_stands_below_the_own_span_of_another_invocation_is_no_part_of_this_one() {
        let named = |number, parent, request_id: &str| Span {
            request_id: Some(request_id.into()),
            ..span(number, parent, None, Kind::Server)
        };
        let relatives = relatives(&[
            named(1, None, "other"),
            named(2, Some(1), "r"),
            span(3, Some(2), None, Kind::Internal),
            span(4, None, None, Kind::Internal),
        ]);
        // The parent, and the invocation that a span names which is sent below it.
        for (parent, request_id, is_part) in [
            (1, "other", true),
            (1, "r", false),
            (2, "r", true),
            (2, "other", false),
            (3, "r", true),
            (3, "other", false),
            (4, "r", true),
        ] {
            let inner = named(9, Some(parent), request_id);
            assert_eq!(relatives.has_outer(&inner, (UnixNanos(0), 0)), is_part, "{parent} {request_id}");
        }
    }

    #[test]
    fn placeholders_are_bounded() {
        let children: Vec<_> = (1..=40).map(|number| (number, Some(100 + number), None)).collect();
        assert_eq!(clients(&children).missing_parents(trace(), true).len(), PLACEHOLDERS_MAX);
    }

    #[test]
    fn a_window_takes_what_begins_in_it() {
        let spans: Vec<_> = (1..=9).map(|number| span(number, None, None, Kind::Internal)).collect();
        let mut relatives = relatives(&spans);
        let window = Window { from: UnixNanos(4), until: UnixNanos(7) };
        let family = relatives.family(window);
        assert_eq!((family.relatives.len(), family.earliest()), (3, Some(UnixNanos(4))));
        assert_eq!(
            family.latest(UnixNanos(15)),
            Some(UnixNanos(15)),
            "what claims to end later is not believed"
        );
        assert!(relatives.has_before(trace(), UnixNanos(4)) && !relatives.has_before(trace(), UnixNanos(1)));
        relatives.forget_before(UnixNanos(6));
        assert!(relatives.has(trace(), id(6)) && !relatives.has(trace(), id(5)));
        assert!(relatives.has_in(window) && !relatives.has_in(Window { from: UnixNanos(10), ..ALL }));
    }

    #[test]
    fn an_invocation_with_more_spans_than_are_remembered_claims_nothing() {
        let mut relatives = relatives(&[span(1, None, None, Kind::Internal)]);
        (0..RELATIVES_MAX).for_each(|_| relatives.add(&span(9, Some(7), None, Kind::Client)));
        assert_eq!(relatives.family(ALL).trace(), None);
        let later = Window { from: UnixNanos(2), ..ALL };
        assert_eq!(relatives.family(later).trace(), Some(trace()), "what was forgotten is not of it");
        relatives.forget_before(UnixNanos(2));
        assert_eq!(relatives.family(ALL).relatives.len(), RELATIVES_MAX);
    }

    #[test]
    fn the_outermost_span_of_an_entry_kind_stands_for_the_invocation() {
        let server = |number, parent, remote| span(number, parent, remote, Kind::Server);
        let rows: [(&[Span<()>], Option<u8>); 5] = [
            (&[server(1, None, None)], Some(1)),
            (&[server(1, Some(7), Some(true))], Some(1)),
            (&[server(1, Some(7), Some(false))], None),
            (&[server(1, Some(2), None), server(2, Some(7), None)], Some(2)),
            (&[span(1, None, None, Kind::Internal)], None),
        ];
        for (spans, expected) in rows {
            let entry = relatives(spans).family(ALL).entry();
            assert_eq!(entry.map(|(place, _)| place.span_id), expected.map(id), "{spans:?}");
        }
    }

    #[test]
    fn several_traces_are_no_trace_of_the_invocation() {
        let other =
            Span { trace_id: TraceId::new([8; 16]).expect("not zero"), ..span(2, None, None, Kind::Client) };
        let both = relatives(&[span(1, None, None, Kind::Client), other]).family(ALL);
        assert_eq!(both.trace(), None);
        assert_eq!(both.without(|place, _| place.trace_id != trace()).trace(), Some(trace()));
    }

    fn of_trace(number: u8, span: Span<()>) -> Span<()> {
        Span { trace_id: TraceId::new([number; 16]).expect("not zero"), ..span }
    }

    #[test]
    fn traces_are_known_by_the_spans_that_are_remembered() {
        let other = TraceId::new([8; 16]).expect("not zero");
        let mut relatives = relatives(&[
            span(5, None, None, Kind::Client),
            of_trace(8, span(3, None, None, Kind::Client)),
            of_trace(8, span(2, None, None, Kind::Client)),
        ]);
        let before = |relatives: &Relatives| {
            [(trace(), 5), (trace(), 6), (other, 2), (other, 3)]
                .map(|(id, from)| relatives.has_before(id, UnixNanos(from)))
        };
        assert_eq!(before(&relatives), [false, true, false, true]);
        assert!(
            relatives.has(other, id(3)) && !relatives.has(trace(), id(3)) && !relatives.has(other, id(5))
        );
        relatives.forget_before(UnixNanos(3));
        assert_eq!(before(&relatives), [false, true, false, false], "the earliest is another one now");
        assert_eq!(relatives.traces.len(), 2);
        relatives.forget_from(UnixNanos(5));
        assert_eq!((relatives.all.len(), relatives.traces.len()), (1, 1));
        // What makes room for others is forgotten with its trace.
        (0..RELATIVES_MAX).for_each(|_| relatives.add(&span(9, None, None, Kind::Client)));
        assert_eq!((relatives.all.len(), relatives.traces.len()), (RELATIVES_MAX, 1));
        assert_eq!(relatives.traces[&trace()].count, RELATIVES_MAX);
        relatives.add(&of_trace(8, span(9, None, None, Kind::Client)));
        assert_eq!(
            (relatives.traces[&trace()].count, relatives.traces[&other].count),
            (RELATIVES_MAX - 1, 1)
        );
    }

    #[test]
    fn what_had_to_be_forgotten_hides_its_time_until_nobody_asks_for_that_any_more() {
        let forgotten = |start: u8| {
            let mut relatives = relatives(&[span(start, None, None, Kind::Client)]);
            (0..RELATIVES_MAX).for_each(|_| relatives.add(&span(9, None, None, Kind::Client)));
            relatives
        };
        let is_known = |relatives: &Relatives, from: u64, until: u64| {
            let window = Window { from: UnixNanos(from), until: UnixNanos(until) };
            !relatives.family(window).relatives.is_empty()
        };
        let relatives = forgotten(5);
        for (from, until, expected) in
            [(5, 10, false), (6, 10, true), (4, 10, false), (9, 10, true), (9, 9, false)]
        {
            assert_eq!(is_known(&relatives, from, until), expected, "from {from} until {until}");
        }
        // What is forgotten on purpose takes the mark along: that which begins before, or from then on.
        for (from, expected) in [(5, false), (6, true)] {
            let mut relatives = forgotten(5);
            relatives.forget_before(UnixNanos(from));
            assert_eq!(is_known(&relatives, 0, 10), expected, "before {from}");
        }
        for (from, expected) in [(9, false), (5, true)] {
            let mut relatives = forgotten(5);
            relatives.forget_from(UnixNanos(from));
            relatives.add(&span(1, None, None, Kind::Client));
            assert_eq!(is_known(&relatives, 0, 10), expected, "from {from}");
        }
        let mut twice = forgotten(5);
        twice.all[0].start = UnixNanos(3);
        twice.add(&span(9, None, None, Kind::Client));
        assert_eq!(twice.forgotten, Some(UnixNanos(5)), "the latest");
    }

    #[test]
    fn ancestors_are_looked_for_as_far_as_they_began_in_time_and_are_near() {
        // Each is the parent of the one before; the family knows the first.
        let chain: Vec<_> =
            (1..=12).map(|number| span(20 - number, Some(19 - number), None, Kind::Internal)).collect();
        let relatives = relatives(&chain);
        let youngest = Window { from: UnixNanos(19), until: UnixNanos(20) };
        let with = |from: u64| {
            let window = Window { from: UnixNanos(from), until: UnixNanos(20) };
            relatives.with_ancestors(relatives.family(youngest), window).relatives.len()
        };
        assert_eq!([with(19), with(18), with(15), with(0)], [1, 2, 5, 1 + ANCESTORS_MAX]);
        // What is there already is not looked for, and what no span names is not of it.
        let pair = relatives.family(Window { from: UnixNanos(18), until: UnixNanos(20) });
        let alone = Window { from: UnixNanos(18), until: UnixNanos(20) };
        assert_eq!(relatives.with_ancestors(pair, alone).relatives.len(), 2);
        assert_eq!(relatives.with_ancestors(Family::default(), ALL).relatives.len(), 0);
    }

    #[test]
    fn an_entry_names_no_invocation_and_its_parent_is_elsewhere() {
        let named = Span { request_id: Some("r".into()), ..span(1, None, None, Kind::Server) };
        let consumer = |remote| span(2, Some(1), remote, Kind::Consumer);
        let internal = span(1, None, None, Kind::Internal);
        let rows: [(&[Span<()>], Option<u8>); 5] = [
            (&[named], None),
            (&[internal.clone(), consumer(None)], None),
            (&[internal.clone(), consumer(Some(true))], Some(2)),
            (&[internal, consumer(Some(false))], None),
            (&[consumer(None)], Some(2)),
        ];
        for (spans, expected) in rows {
            let entry = relatives(spans).family(ALL).entry();
            assert_eq!(entry.map(|(place, _)| place.span_id), expected.map(id), "{spans:?}");
        }
    }

    #[test]
    fn traces_are_listed_once_in_their_order_and_only_a_few() {
        let spans: Vec<_> =
            [7, 3, 7].map(|number| of_trace(number, span(1, None, None, Kind::Client))).into();
        let ids = |numbers: &[u8]| {
            numbers.iter().map(|number| TraceId::new([*number; 16]).expect("not zero")).collect::<Vec<_>>()
        };
        assert_eq!(relatives(&spans).family(ALL).traces(), ids(&[7, 3]));
        let many: Vec<_> =
            (1..=40).map(|number| of_trace(number, span(1, None, None, Kind::Client))).collect();
        assert_eq!(relatives(&many).family(ALL).traces().len(), TRACES_MAX);
        assert_eq!(
            (Family::default().trace(), Family::default().earliest(), Family::default().latest(UnixNanos(9))),
            (None, None, None)
        );
    }

    #[test]
    fn a_parent_in_another_trace_is_missing_in_this_one() {
        let family = relatives(&[
            span(1, Some(7), None, Kind::Client),
            of_trace(8, span(7, None, None, Kind::Client)),
            of_trace(8, span(2, Some(6), None, Kind::Client)),
        ]);
        assert_eq!(family.family(ALL).missing_parents(trace(), true), [id(7)]);
    }

    #[test]
    fn a_trace_is_as_old_as_the_first_of_it_that_had_to_be_forgotten() {
        let mut relatives = relatives(&[span(2, None, None, Kind::Client)]);
        (0..RELATIVES_MAX).for_each(|_| relatives.add(&span(9, None, None, Kind::Client)));
        assert!(relatives.has_before(trace(), UnixNanos(3)));
        relatives.forget_before(UnixNanos(1));
        assert!(relatives.has_before(trace(), UnixNanos(3)), "nothing began before");
    }

    #[test]
    fn half_of_the_room_is_a_crowd() {
        let mut relatives = Relatives::default();
        (1..RELATIVES_MAX / 2).for_each(|_| relatives.add(&span(9, None, None, Kind::Client)));
        assert!(!relatives.is_crowded());
        relatives.add(&span(9, None, None, Kind::Client));
        assert!(relatives.is_crowded());
    }
}

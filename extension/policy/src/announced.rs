//! Spans that the function has announced and not ended: what it was at, should it be killed.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use crate::facts::Body;
use crate::span::{RequestId, Span, SpanId, TraceId};
use crate::time::UnixNanos;

/// Open spans that are remembered. Whoever announces more is told of as far as this: the outer spans, which
/// are announced first, tell most.
const OPEN_MAX: usize = 512;
/// Ended spans that are remembered, because an announcement may come after the span itself, and so may children that a
/// dead function has sent.
const ENDED_MAX: usize = 1_024;

/// Which invocation, in order of INVOKE, a span can have been announced in at the latest.
pub(crate) type Ordinal = u64;

/// What of the announced spans dies with one invocation, where others run beside it, and their functions live on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) trace: TraceId,
    pub(crate) request_id: RequestId,
}

/// Generations that are looked for above a span that names no invocation.
const ANCESTORS_MAX: usize = 16;

#[derive(Clone, Debug)]
struct Open<B> {
    span: Span<B>,
    ordinal: Ordinal,
    /// Counts announcements.
    number: u64,
}

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Announced<B> {
    open: BTreeMap<(TraceId, SpanId), Open<B>>,
    /// Sum of the open spans' sizes, and the most that it may be.
    bytes: usize,
    bytes_max: usize,
    ended: VecDeque<SpanId>,
    numbers: u64,
}

impl<B: Body> Announced<B> {
    /// Nothing is announced yet; at most `bytes_max` bytes of spans will be held.
    pub(crate) const fn new(bytes_max: usize) -> Self {
        Self { open: BTreeMap::new(), bytes: 0, bytes_max, ended: VecDeque::new(), numbers: 0 }
    }

    /// A span has begun. Its end, if it tells one, is none: a span without an end may say anything there.
    pub(crate) fn add(&mut self, mut span: Span<B>, ordinal: Ordinal) {
        let size = span.size as usize;
        let has_room = self.open.len() < OPEN_MAX && self.bytes + size <= self.bytes_max;
        if !has_room || self.has_come(span.span_id) {
            return;
        }
        span.end = span.start;
        self.numbers += 1;
        self.bytes += size;
        let open = Open { span, ordinal, number: self.numbers };
        let known = self.open.insert((open.span.trace_id, open.span.span_id), open);
        self.bytes -= known.map_or(0, |known| known.span.size as usize);
    }

    /// The span itself has come: it speaks for itself.
    pub(crate) fn on_span(&mut self, span: &Span<B>) {
        self.end(span.trace_id, span.span_id);
    }

    /// A span of this name is told of, whoever by.
    pub(crate) fn end(&mut self, trace_id: TraceId, span_id: SpanId) {
        if self.ended.len() == ENDED_MAX {
            self.ended.pop_front();
        }
        self.ended.push_back(span_id);
        self.take(trace_id, span_id);
    }

    /// Whether a span of this id was told of lately.
    pub(crate) fn has_come(&self, span_id: SpanId) -> bool {
        self.ended.contains(&span_id)
    }

    /// Forgets what was announced before invocation `ordinal` began: what it belonged to has ended well.
    pub(crate) fn forget_before(&mut self, ordinal: Ordinal) {
        self.forget(|open| open.ordinal < ordinal);
    }

    /// The same by time, where it is not known in which invocation a span was announced: the platform may tell of a begin
    /// later than the function announces spans in it.
    ///
    /// A span that names its invocation is of that, whatever time it claims.
    pub(crate) fn forget_begun_before(&mut self, at: UnixNanos, is_over: impl Fn(&RequestId) -> bool) {
        self.forget(|open| open.span.request_id.as_ref().map_or(open.span.start < at, &is_over));
    }

    fn forget(&mut self, is_meant: impl Fn(&Open<B>) -> bool) {
        let bytes = &mut self.bytes;
        self.open.retain(|_, open| {
            let is_kept = !is_meant(open);
            *bytes -= if is_kept { 0 } else { open.span.size as usize };
            is_kept
        });
    }

    /// The function's own bytes in all that is remembered.
    pub(crate) fn bodies_mut(&mut self) -> impl Iterator<Item = &mut B> {
        self.open.values_mut().map(|open| &mut open.span.body)
    }

    /// The open spans, in the order in which they were announced; those of `part` only, where one is given.
    pub(crate) fn in_order(&self, part: Option<&Part>) -> Vec<&Span<B>> {
        let is_meant = |open: &&Open<B>| {
            part.is_none_or(|part| open.span.trace_id == part.trace && !self.is_of_other(&open.span, part))
        };
        let mut open: Vec<_> = self.open.values().filter(is_meant).collect();
        open.sort_unstable_by_key(|open| open.number);
        open.into_iter().map(|open| &open.span).collect()
    }

    /// Whether `span`, or one that is open above it, names another invocation than that of `part`: one trace may span several.
    fn is_of_other(&self, span: &Span<B>, part: &Part) -> bool {
        let parent = |span: &&Span<B>| self.open.get(&(span.trace_id, span.parent?)).map(|open| &open.span);
        let line = core::iter::successors(Some(span), parent).take(ANCESTORS_MAX);
        let mut named = line.filter_map(|span| span.request_id.as_ref());
        named.next().is_some_and(|request_id| *request_id != part.request_id)
    }

    /// Takes the open spans out, closed at `at` with a failure of `class`.
    pub(crate) fn close(&mut self, part: Option<&Part>, at: UnixNanos, class: &str) -> Vec<Span<B>> {
        let spans: Vec<_> = self.in_order(part).into_iter().cloned().collect();
        let closed = spans.into_iter().filter_map(|span| {
            self.end(span.trace_id, span.span_id);
            let end = at.max(span.start);
            let (body, size) = span.body.closed(end, class)?;
            Some(Span { end, is_error: true, body, size, ..span })
        });
        closed.collect()
    }

    fn take(&mut self, trace_id: TraceId, span_id: SpanId) {
        if let Some(open) = self.open.remove(&(trace_id, span_id)) {
            self.bytes -= open.span.size as usize;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::span::Kind;
    use alloc::string::{String, ToString};

    /// A body that knows how it was closed.
    #[derive(Clone, Debug, Default)]
    struct Note(String);

    impl Body for Note {
        fn closed(&self, _end: UnixNanos, class: &str) -> Option<(Self, u32)> {
            Some((Self(class.to_string()), 20))
        }
    }

    fn span(id: u16) -> Span<Note> {
        let bytes = u64::from(id).to_be_bytes();
        Span {
            trace_id: TraceId::new([9; 16]).expect("not zero"),
            span_id: SpanId::new(bytes).expect("not zero"),
            parent: None,
            parent_is_remote: None,
            kind: Kind::Internal,
            start: UnixNanos(u64::from(id)),
            end: UnixNanos(0),
            is_error: false,
            request_id: None,
            size: 10,
            body: Note::default(),
        }
    }

    fn ids(spans: &[Span<Note>]) -> Vec<u64> {
        spans.iter().map(|span| u64::from_be_bytes(*span.span_id.bytes())).collect()
    }

    #[test]
    fn what_has_not_ended_is_closed_in_order_and_once() {
        let mut announced = Announced::new(1_000);
        for id in [3, 1, 2] {
            announced.add(span(id), 1);
        }
        announced.on_span(&span(1));
        let closed = announced.close(None, UnixNanos(2), "timeout");
        assert_eq!(ids(&closed), [3, 2]);
        assert_eq!(closed[0].end, UnixNanos(3), "never before its start");
        assert_eq!((closed[1].end, closed[1].is_error, &*closed[1].body.0), (UnixNanos(2), true, "timeout"));
        assert!(announced.close(None, UnixNanos(9), "timeout").is_empty());
        assert_eq!(announced.bytes, 0);
    }

    #[test]
    fn an_announcement_that_comes_after_its_span_means_nothing() {
        let mut announced = Announced::new(1_000);
        announced.on_span(&span(1));
        announced.add(span(1), 1);
        assert!(announced.in_order(None).is_empty());
    }

    #[test]
    fn what_an_earlier_invocation_announced_is_forgotten() {
        let mut announced = Announced::new(1_000);
        announced.add(span(1), 1);
        announced.add(span(2), 2);
        announced.forget_before(2);
        assert_eq!(announced.bytes, 10);
        assert_eq!(ids(&announced.close(None, UnixNanos(9), "x")), [2]);
    }

    #[test]
    fn it_holds_no_more_than_it_may() {
        let mut announced = Announced::new(25);
        (1..=5).for_each(|id| announced.add(span(id), 1));
        announced.add(span(1), 1);
        assert_eq!((announced.open.len(), announced.bytes), (2, 20));
        let mut announced = Announced::new(usize::MAX);
        (1..=2_000).for_each(|id| announced.add(span(id), 1));
        (3_000..=6_000).for_each(|id| announced.on_span(&span(id)));
        assert_eq!((announced.open.len(), announced.ended.len()), (OPEN_MAX, ENDED_MAX));
    }

    #[test]
    fn a_trace_is_told_of_alone() {
        let mut announced = Announced::new(1_000);
        let other = TraceId::new([8; 16]).expect("not zero");
        announced.add(span(1), 1);
        announced.add(Span { trace_id: other, ..span(2) }, 1);
        let part = Part { trace: other, request_id: "r".into() };
        assert_eq!(announced.in_order(Some(&part)).len(), 1);
        assert_eq!(ids(&announced.close(Some(&part), UnixNanos(9), "x")), [2]);
        assert_eq!(ids(&announced.close(None, UnixNanos(9), "x")), [1]);
    }

    #[test]
    fn where_a_trace_spans_several_invocations_what_another_has_begun_lives_on() {
        let parent = |id: u64| SpanId::new(id.to_be_bytes());
        let mut announced = Announced::new(1_000);
        // Two invocations in one trace, with a child and a grandchild each, and a span of nobody.
        for (id, request_id, above) in [
            (1, Some("r"), None),
            (2, Some("s"), None),
            (3, None, parent(1)),
            (4, None, parent(2)),
            (5, None, parent(3)),
            (6, None, parent(4)),
            (7, None, parent(99)),
        ] {
            announced.add(Span { request_id: request_id.map(Into::into), parent: above, ..span(id) }, 1);
        }
        let part = |request_id: &str| Part { trace: span(1).trace_id, request_id: request_id.into() };
        assert_eq!(ids(&announced.close(Some(&part("r")), UnixNanos(9), "x")), [1, 3, 5, 7]);
        assert_eq!(ids(&announced.close(Some(&part("s")), UnixNanos(9), "x")), [2, 4, 6]);
    }

    #[test]
    fn what_is_its_own_parent_is_looked_at_and_left() {
        let mut announced = Announced::new(1_000);
        announced.add(Span { parent: SpanId::new(1_u64.to_be_bytes()), ..span(1) }, 1);
        let part = Part { trace: span(1).trace_id, request_id: "r".into() };
        assert_eq!(announced.in_order(Some(&part)).len(), 1);
    }

    #[test]
    fn a_closed_span_ends_when_it_is_told_and_is_as_large_as_it_has_become() {
        let mut announced = Announced::new(1_000);
        announced.add(span(2), 1);
        let closed = announced.close(None, UnixNanos(7), "x");
        assert_eq!((closed[0].start, closed[0].end, closed[0].size), (UnixNanos(2), UnixNanos(7), 20));
    }

    #[test]
    fn what_is_announced_twice_is_held_once() {
        let mut announced = Announced::new(1_000);
        announced.add(span(1), 1);
        announced.add(Span { size: 30, ..span(1) }, 1);
        assert_eq!((announced.open.len(), announced.bytes), (1, 30));
    }

    #[test]
    fn what_began_before_all_that_run_is_forgotten() {
        let mut announced = Announced::new(1_000);
        (1..=3).for_each(|id| announced.add(span(id), 1));
        announced.forget_begun_before(UnixNanos(2), |_| false);
        assert_eq!((announced.open.len(), announced.bytes), (2, 20));
        assert_eq!(ids(&announced.close(None, UnixNanos(9), "x")), [2, 3]);
    }
}

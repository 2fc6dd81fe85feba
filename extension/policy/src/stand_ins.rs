//! Spans that were sent in the place of those that a dead function never ended: its own come too late.

use alloc::collections::{BTreeSet, VecDeque};

use crate::facts::Body;
use crate::span::{Span, SpanId, TraceId};

/// So many are remembered: twice what one death can close. What a dead function has sent arrives in the next moments.
const REMEMBERED_MAX: usize = 1_024;
/// What every span made here carries, and every one closed here: read back from the spool, it is no span of the
/// function's own.
const MARKS: [&str; 2] = ["prefreeze.unfinished", "prefreeze.synthetic"];

/// Names a span everywhere.
pub(crate) type Key = (TraceId, SpanId);

/// See the module.
#[derive(Clone, Debug, Default)]
pub(crate) struct StandIns {
    known: BTreeSet<Key>,
    /// The oldest first.
    order: VecDeque<Key>,
}

impl StandIns {
    /// A span of this name is sent in the place of the function's own.
    pub(crate) fn add(&mut self, key: Key) {
        if !self.known.insert(key) {
            return;
        }
        if self.order.len() == REMEMBERED_MAX {
            let oldest = self.order.pop_front();
            self.known.retain(|known| Some(*known) != oldest);
        }
        self.order.push_back(key);
    }

    /// Whether another was sent in the place of `span`.
    pub(crate) fn replace<B>(&self, span: &Span<B>) -> bool {
        !self.known.is_empty() && self.known.contains(&(span.trace_id, span.span_id))
    }

    /// The same of a span from the spool, where the other one may have been as well.
    pub(crate) fn replace_read<B: Body>(&self, span: &Span<B>) -> bool {
        self.replace(span) && MARKS.into_iter().all(|mark| span.body.attribute(mark).is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_are_remembered() {
        let key = |id: u64| {
            (TraceId::new([1; 16]).expect("not zero"), SpanId::new(id.to_be_bytes()).expect("not zero"))
        };
        let mut stand_ins = StandIns::default();
        let last = REMEMBERED_MAX as u64 + 5;
        for id in (1..=last).chain(1..=last) {
            stand_ins.add(key(id));
        }
        assert_eq!((stand_ins.known.len(), stand_ins.order.len()), (REMEMBERED_MAX, REMEMBERED_MAX));
        assert!(stand_ins.known.contains(&key(last)) && !stand_ins.known.contains(&key(1)));
    }

    /// A span with these attributes.
    #[derive(Clone)]
    struct Marked(&'static [&'static str]);

    impl Body for Marked {
        fn attribute(&self, key: &str) -> Option<crate::facts::Fact<'_>> {
            self.0.contains(&key).then_some(crate::facts::Fact::Flag(true))
        }
    }

    fn span(id: u8, marks: &'static [&'static str]) -> Span<Marked> {
        Span {
            trace_id: TraceId::new([1; 16]).expect("not zero"),
            span_id: SpanId::new([id; 8]).expect("not zero"),
            parent: None,
            parent_is_remote: None,
            kind: crate::span::Kind::Internal,
            start: crate::time::UnixNanos(1),
            end: crate::time::UnixNanos(2),
            is_error: false,
            request_id: None,
            size: 1,
            body: Marked(marks),
        }
    }

    #[test]
    fn the_functions_own_span_is_replaced_and_ours_from_the_spool_is_not() {
        let mut stand_ins = StandIns::default();
        assert!(!stand_ins.replace(&span(1, &[])));
        for _ in 0..2 {
            stand_ins.add((span(1, &[]).trace_id, span(1, &[]).span_id));
            assert_eq!(stand_ins.order.len(), 1, "once is enough");
        }
        assert!(stand_ins.replace(&span(1, &[])) && !stand_ins.replace(&span(2, &[])));
        assert!(stand_ins.replace_read(&span(1, &["other"])) && !stand_ins.replace_read(&span(2, &[])));
        for mark in MARKS {
            let marks: &'static [&'static str] = if mark == MARKS[0] { &[MARKS[0]] } else { &[MARKS[1]] };
            assert!(!stand_ins.replace_read(&span(1, marks)), "{mark}");
        }
    }
}

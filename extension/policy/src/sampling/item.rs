//! A span that waits for its trace to be judged: one of the function's, or one made here.

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::sync::Arc;

use crate::config::BOOKKEEPING_BYTES;
use crate::entry::{Content, Entry, PLATFORM_SPAN_SIZE, Stamp};
use crate::facts::{Body, Fact};
use crate::span::{Kind, PlatformSpan, Signal, Span, SpanId, TraceId, Value};
use crate::time::UnixNanos;

/// See the module.
#[derive(Clone, Debug)]
pub(crate) enum Item<B> {
    Received(Span<B>),
    Made(Arc<PlatformSpan>),
}

impl<B: Body> Item<B> {
    pub(crate) fn trace_id(&self) -> TraceId {
        match self {
            Self::Received(span) => span.trace_id,
            Self::Made(span) => span.trace_id,
        }
    }

    pub(crate) fn span_id(&self) -> SpanId {
        match self {
            Self::Received(span) => span.span_id,
            Self::Made(span) => span.span_id,
        }
    }

    /// Whether it is the function's own.
    pub(crate) const fn is_received(&self) -> bool {
        matches!(self, Self::Received(_))
    }

    pub(crate) fn parent(&self) -> Option<SpanId> {
        match self {
            Self::Received(span) => span.parent,
            Self::Made(span) => span.parent,
        }
    }

    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Received(span) => span.kind,
            Self::Made(span) => span.kind,
        }
    }

    pub(crate) fn start(&self) -> UnixNanos {
        match self {
            Self::Received(span) => span.start,
            Self::Made(span) => span.start,
        }
    }

    pub(crate) fn end(&self) -> UnixNanos {
        match self {
            Self::Received(span) => span.end,
            Self::Made(span) => span.end,
        }
    }

    pub(crate) fn is_failure(&self) -> bool {
        match self {
            Self::Received(span) => span.is_error,
            Self::Made(span) => span.error_type.is_some(),
        }
    }

    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Received(span) => span.body.name(),
            Self::Made(span) => &span.name,
        }
    }

    pub(crate) fn attribute(&self, key: &str) -> Option<Fact<'_>> {
        match self {
            Self::Received(span) => span.body.attribute(key),
            Self::Made(span) => {
                let value =
                    span.attributes.iter().find(|(known, _)| *known == key).map(|(_, value)| value)?;
                Some(match value {
                    Value::Text(text) => Fact::Text(text),
                    Value::Flag(flag) => Fact::Flag(*flag),
                    Value::Int(number) => Fact::Int(*number),
                })
            }
        }
    }

    pub(crate) fn attributes<const N: usize>(&self, keys: [&str; N]) -> [Option<Fact<'_>>; N] {
        match self {
            Self::Received(span) => span.body.attributes(keys),
            Self::Made(_) => keys.map(|key| self.attribute(key)),
        }
    }

    /// An attribute of its resource; that of a span made here is not known here.
    pub(crate) fn resource(&self, key: &str) -> Option<Fact<'_>> {
        match self {
            Self::Received(span) => span.body.resource(key),
            Self::Made(_) => None,
        }
    }

    pub(crate) fn trace_state(&self) -> &str {
        match self {
            Self::Received(span) => span.body.trace_state(),
            Self::Made(_) => "",
        }
    }

    /// What holding it costs in memory: the span's facts wait with it.
    pub(crate) const fn held(&self) -> usize {
        Self::held_of(self.size())
    }

    /// The same of an item of `size` bytes.
    pub(crate) const fn held_of(size: u32) -> usize {
        size as usize + 2 * BOOKKEEPING_BYTES
    }

    /// Its size in bytes, as an entry counts it.
    pub(crate) const fn size(&self) -> u32 {
        match self {
            Self::Received(span) => span.size,
            Self::Made(_) => PLATFORM_SPAN_SIZE,
        }
    }

    /// The function's own bytes, if it is of these.
    pub(crate) const fn body_mut(&mut self) -> Option<&mut B> {
        match self {
            Self::Received(span) => Some(&mut span.body),
            Self::Made(_) => None,
        }
    }

    /// The same, where nothing else of it is needed.
    pub(crate) fn into_body(self) -> Option<B> {
        match self {
            Self::Received(span) => Some(span.body),
            Self::Made(_) => None,
        }
    }

    /// What is queued for the backend.
    pub(crate) fn into_entry(self, stamp: Option<Stamp>) -> Entry<B> {
        let size = self.size() + stamp.map_or(0, Stamp::size);
        let (is_precious, content) = match self {
            Self::Received(span) => (span.is_error, Content::Received(span.body)),
            Self::Made(span) => (true, Content::Made(span)),
        };
        Entry {
            signal: Signal::Traces,
            count: 1,
            size,
            is_precious,
            content,
            stamp: stamp.map(Box::new),
            shared: None,
        }
    }
}

/// Which of a trace's spans stands for what this function did of it.
///
/// Shape: the first of an entry kind; else the first without a parent, or whose parent is not among them;
/// else the first. `None` only where there is none at all.
pub(crate) fn local_root<B: Body>(items: &[Item<B>]) -> Option<usize> {
    let entry = || items.iter().position(|item| item.kind().is_entry());
    let top = || {
        let present: BTreeSet<_> = items.iter().map(Item::span_id).collect();
        items.iter().position(|item| item.parent().is_none_or(|parent| !present.contains(&parent)))
    };
    entry().or_else(top).or_else(|| (!items.is_empty()).then_some(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampling::Decision;
    use crate::sampling::trace_state::ThresholdEdit;
    use alloc::vec::Vec;

    fn id(number: u8) -> SpanId {
        SpanId::new([number; 8]).expect("not zero")
    }

    fn received(number: u8, parent: Option<u8>, kind: Kind) -> Item<()> {
        Item::Received(Span {
            trace_id: TraceId::new([9; 16]).expect("not zero"),
            span_id: id(number),
            parent: parent.map(id),
            parent_is_remote: None,
            kind,
            start: UnixNanos(1),
            end: UnixNanos(2),
            is_error: false,
            request_id: None,
            size: 100,
            body: (),
        })
    }

    fn made(number: u8, error_type: Option<&str>) -> Item<()> {
        Item::Made(Arc::new(PlatformSpan {
            trace_id: TraceId::new([8; 16]).expect("not zero"),
            span_id: id(number),
            parent: Some(id(7)),
            name: "made".into(),
            kind: Kind::Server,
            start: UnixNanos(3),
            end: UnixNanos(4),
            error_type: error_type.map(Into::into),
            attributes: alloc::vec![
                ("a", Value::Text("t".into())),
                ("b", Value::Flag(true)),
                ("c", Value::Int(5))
            ],
            links: Vec::new(),
        }))
    }

    #[test]
    fn one_that_was_made_answers_as_one_that_was_received() {
        let item = made(1, None);
        assert_eq!((item.trace_id(), item.span_id()), (TraceId::new([8; 16]).expect("not zero"), id(1)));
        assert_eq!((item.parent(), item.kind(), item.name()), (Some(id(7)), Kind::Server, "made"));
        assert_eq!((item.start(), item.end(), item.trace_state()), (UnixNanos(3), UnixNanos(4), ""));
        let facts = [Some(Fact::Text("t")), Some(Fact::Flag(true)), Some(Fact::Int(5)), None];
        assert_eq!(item.attributes(["a", "b", "c", "d"]), facts);
        assert_eq!((item.attribute("c"), item.resource("a")), (Some(Fact::Int(5)), None));
        assert_eq!((made(1, None).is_failure(), made(1, Some("timeout")).is_failure()), (false, true));
        let item = received(1, Some(2), Kind::Client);
        assert_eq!(
            (item.parent(), item.kind(), item.name(), item.is_failure()),
            (Some(id(2)), Kind::Client, "", false)
        );
        assert_eq!((item.start(), item.end()), (UnixNanos(1), UnixNanos(2)));
    }

    #[test]
    fn it_costs_its_bytes_and_its_facts_and_is_queued_with_its_stamp() {
        let item = received(1, None, Kind::Client);
        assert_eq!((item.size(), item.held()), (100, 100 + 2 * BOOKKEEPING_BYTES));
        assert_eq!(made(1, None).size(), PLATFORM_SPAN_SIZE);
        let entry = item.clone().into_entry(None);
        assert_eq!((entry.size, entry.is_precious, entry.count), (100, false, 1));
        let stamp = Stamp { threshold: ThresholdEdit::Erase, reason: Some(Decision::Rule) };
        let entry = item.into_entry(Some(stamp));
        assert_eq!((entry.size, entry.stamp.as_deref()), (100 + stamp.size(), Some(&stamp)));
        assert!(made(1, None).into_entry(None).is_precious);
    }

    #[test]
    fn the_local_root_is_an_entry_or_the_top_or_the_first() {
        let client = |number, parent| received(number, parent, Kind::Client);
        let rows: [(&[Item<()>], Option<usize>); 7] = [
            (&[], None),
            (&[client(1, Some(2)), received(2, Some(3), Kind::Server)], Some(1)),
            (&[client(1, Some(2)), client(2, Some(9))], Some(1)),
            (&[client(1, Some(2)), client(2, None)], Some(1)),
            (&[client(1, None), client(2, None)], Some(0)),
            (&[client(1, Some(2)), client(2, Some(1))], Some(0)),
            (&[client(1, Some(2)), client(2, Some(9)), received(3, Some(1), Kind::Consumer)], Some(2)),
        ];
        for (items, root) in rows {
            assert_eq!(local_root(items), root, "{items:?}");
        }
    }
}

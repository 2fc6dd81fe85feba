//! A span that waits for its trace to be judged: one of the function's, or one made here.

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::sync::Arc;

use crate::entry::{BOOKKEEPING_BYTES, Content, Entry, PLATFORM_SPAN_SIZE, Stamp};
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

    /// What is queued for the backend.
    pub(crate) fn into_entry(self, stamp: Option<Stamp>) -> Entry<B> {
        let size = self.size() + stamp.map_or(0, Stamp::size);
        let (is_precious, content) = match self {
            Self::Received(span) => (span.is_error, Content::Received(span.body)),
            Self::Made(span) => (true, Content::Made(span)),
        };
        Entry { signal: Signal::Traces, count: 1, size, is_precious, content, stamp: stamp.map(Box::new) }
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

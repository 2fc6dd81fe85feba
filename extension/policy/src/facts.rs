//! What may be asked of a body: its name, its attributes, its trace state; read only when someone asks.

use crate::span::{SpanId, TraceId};
use crate::time::UnixNanos;

/// The value of an attribute, as far as decisions need it: arrays, maps and bytes are none.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fact<'a> {
    /// Text.
    Text(&'a str),
    /// A whole number.
    Int(i64),
    /// A number.
    Double(f64),
    /// A flag.
    Flag(bool),
}

impl<'a> Fact<'a> {
    /// The text of a text; `None` for anything else.
    pub const fn text(self) -> Option<&'a str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}

/// What policy carries unseen, and may ask a few things of.
///
/// Nothing is copied when a span comes in, because most questions are never asked: an implementation looks
/// into its bytes at each call. By default a body answers nothing, as one of metrics or logs does.
pub trait Body: Clone {
    /// The span's name; empty when it has none, or none that is text.
    fn name(&self) -> &str {
        ""
    }

    /// The span's attribute of this key; of several, the first.
    fn attribute(&self, _key: &str) -> Option<Fact<'_>> {
        None
    }

    /// The span's attributes of these keys, each as [`attribute`](Self::attribute) has it: to look once for several.
    fn attributes<const N: usize>(&self, keys: [&str; N]) -> [Option<Fact<'_>>; N] {
        keys.map(|key| self.attribute(key))
    }

    /// The attribute of this key of the resource that the span came under.
    fn resource(&self, _key: &str) -> Option<Fact<'_>> {
        None
    }

    /// How many resources a body of metrics or logs has.
    fn resources(&self) -> usize {
        0
    }

    /// The attribute of this key of one of them, counted from 0.
    fn resource_at(&self, _index: usize, _key: &str) -> Option<Fact<'_>> {
        None
    }

    /// The same log records, those without a span of their own under this one, and their size; `None` where that
    /// changes nothing.
    fn placed(&self, _trace_id: &TraceId, _span_id: &SpanId) -> Option<(Self, u32)> {
        None
    }

    /// The span's `tracestate`, as it was sent; empty when it has none.
    fn trace_state(&self) -> &str {
        ""
    }

    /// The span as it is when its function has died at `end`: a failure of `class`, and unfinished; with its
    /// encoded size in bytes. `None` for a body that has no end to be given.
    fn closed(&self, _end: UnixNanos, _class: &str) -> Option<(Self, u32)> {
        None
    }

    /// `bodies` are all that is held, in any order. What an implementation holds beside them, only because they were cut
    /// from it, it may let go of now. By default there is nothing of the kind.
    fn condense(_bodies: &mut [&mut Self]) {}
}

/// A body of which nothing is known.
impl Body for () {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_text_has_a_text() {
        assert_eq!(Fact::Text("a").text(), Some("a"));
        for other in [Fact::Int(1), Fact::Double(1.0), Fact::Flag(true)] {
            assert_eq!(other.text(), None, "{other:?}");
        }
    }

    #[test]
    fn a_body_of_which_nothing_is_known_answers_nothing() {
        let ids = (TraceId::new([1; 16]).expect("not zero"), SpanId::new([1; 8]).expect("not zero"));
        assert_eq!((().name(), ().trace_state()), ("", ""));
        assert_eq!((().attribute("a"), ().resource("a"), ().attributes(["a", "b"])), (None, None, [None; 2]));
        assert_eq!((().placed(&ids.0, &ids.1), ().closed(UnixNanos(1), "a")), (None, None));
    }
}

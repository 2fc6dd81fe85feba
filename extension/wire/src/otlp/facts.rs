//! What policy may ask of a received span, read from its bytes when it asks.

use std::str::from_utf8;

use policy::{Fact, SpanId, TraceId, UnixNanos};

use super::chunk::{Body, SpanAt, TextAt};
use super::resource::{RESOURCE_ATTRIBUTES, content};
use super::scan::{SPAN_ATTRIBUTES, SPAN_NAME, SPAN_TRACE_STATE, key_value};
use super::{announced, condense, placed};
use crate::proto::{Value, fields};

const VALUE_TEXT: u32 = 1;
const VALUE_FLAG: u32 = 2;
const VALUE_INT: u32 = 3;
const VALUE_DOUBLE: u32 = 4;

impl policy::Body for Body {
    fn name(&self) -> &str {
        self.text(SPAN_NAME, |at| at.name)
    }

    fn attribute(&self, key: &str) -> Option<Fact<'_>> {
        let [fact] = self.attributes([key]);
        fact
    }

    fn attributes<const N: usize>(&self, keys: [&str; N]) -> [Option<Fact<'_>>; N] {
        values(self.attribute_fields(), SPAN_ATTRIBUTES, keys).map(|value| value.and_then(fact))
    }

    fn resource(&self, key: &str) -> Option<Fact<'_>> {
        let span = self.chunk.places().spans.get(self.span? as usize)?;
        let group = self.chunk.places().scopes.get(span.scope as usize)?.group;
        self.resource_at(group as usize, key)
    }

    fn resources(&self) -> usize {
        if self.span.is_some() { 0 } else { self.chunk.places().groups.len() }
    }

    fn resource_at(&self, index: usize, key: &str) -> Option<Fact<'_>> {
        let resource = self.chunk.places().groups.get(index)?.resource?;
        let [value] = values(content(self.chunk.slice(resource)), RESOURCE_ATTRIBUTES, [key]);
        fact(value?)
    }

    fn trace_state(&self) -> &str {
        self.text(SPAN_TRACE_STATE, |at| at.trace_state)
    }

    fn placed(&self, trace_id: &TraceId, span_id: &SpanId) -> Option<(Self, u32)> {
        if self.span.is_some() { None } else { placed::placed(self, trace_id, span_id) }
    }

    fn closed(&self, end: UnixNanos, class: &str) -> Option<(Self, u32)> {
        announced::closed(self, end, class)
    }

    fn condense(bodies: &mut [&mut Self]) {
        condense::condense(bodies);
    }
}

impl Body {
    /// Where the span is, and its message; `None` for a body of metrics or logs.
    fn message(&self) -> Option<(&SpanAt, &[u8])> {
        let at = self.chunk.places().spans.get(self.span? as usize)?;
        Some((at, content(self.chunk.slice(at.field))))
    }

    /// The part of the span's message that its attributes are in.
    fn attribute_fields(&self) -> &[u8] {
        let Some((at, span)) = self.message() else { return &[] };
        at.attributes.map_or(span, |attributes| attributes.of(span))
    }

    /// A text field of the span; of several, the last, as in any decoder.
    fn text(&self, number: u32, place: impl FnOnce(&SpanAt) -> TextAt) -> &str {
        let Some((at, span)) = self.message() else { return "" };
        let text = match place(at).of(span) {
            Some([]) => return "",
            Some(field) => content(field),
            None => look_for(span, number),
        };
        from_utf8(text).unwrap_or_default()
    }
}

/// A field of `span` that is far from its beginning.
#[cold]
fn look_for(span: &[u8], number: u32) -> &[u8] {
    let (mut text, mut walk): (&[u8], _) = (&[], fields(span));
    // The scan has walked it before: it is whole.
    while let Ok(Some(field)) = walk.next() {
        if let (Value::Bytes(bytes), true) = (field.value, field.number == number) {
            text = bytes;
        }
    }
    text
}

/// Whether a span has an attribute of this key, whatever its value.
pub(super) fn has_attribute(span: &[u8], key: &str) -> bool {
    let [value] = values(span, SPAN_ATTRIBUTES, [key]);
    value.is_some()
}

/// The encoded value of each key among the `KeyValue` fields of this number; of several, the first.
fn values<'a, const N: usize>(message: &'a [u8], number: u32, keys: [&str; N]) -> [Option<&'a [u8]>; N] {
    let mut found = [None; N];
    find(message, number, &keys, &mut found);
    found
}

// Not generic, for it to be compiled with this crate's own optimisation wherever it is called.
fn find<'a>(message: &'a [u8], number: u32, keys: &[&str], found: &mut [Option<&'a [u8]>]) {
    // Most attributes are none of those that are asked for, as the length of their keys tells.
    let bit = |length: usize| 1_u64 << (length % 64);
    let lengths = keys.iter().fold(0, |all, key| all | bit(key.len()));
    let mut missing = keys.len();
    let mut visit = |name: &[u8], value: &'a [u8]| {
        for (key, found) in keys.iter().zip(found.iter_mut()) {
            if key.as_bytes() == name && found.is_none() {
                *found = Some(value);
                missing -= 1;
            }
        }
        missing == 0
    };
    let mut rest = message;
    loop {
        // Nearly all are as every encoder writes them, and most of these are passed over by the length of their keys.
        while let Some((key_len, attribute, after)) = usual_attribute(rest, number) {
            if lengths & bit(key_len) != 0 && visit(&attribute[2..2 + key_len], &attribute[4 + key_len..]) {
                return;
            }
            rest = after;
        }
        let mut walk = fields(rest);
        let Ok(Some(field)) = walk.next() else { return };
        rest = &rest[field.end..];
        if field.number == number {
            // A `KeyValue` was not necessarily looked into before: one that is broken has no key.
            let (name, value) = key_value(field.value.bytes()).unwrap_or_default();
            if lengths & bit(name.len()) != 0 && visit(name, value) {
                return;
            }
        }
    }
}

/// The attribute that `message` begins with, if all its lengths have one byte and it is its key and then its value: how long its
/// key is, all of it, and what follows.
#[inline(always)]
fn usual_attribute(message: &[u8], number: u32) -> Option<(usize, &[u8], &[u8])> {
    const KEY: u8 = 1 << 3 | 2;
    const VALUE: u8 = 2 << 3 | 2;
    let [tag, length @ ..0x80, rest @ ..] = message else { return None };
    let (attribute, after) = rest.split_at_checked(usize::from(*length))?;
    let [KEY, key_len, ..] = attribute else { return None };
    let key_len = usize::from(*key_len);
    // A value shorter than that would end before its length does, and a longer one is none of one byte.
    let value_len = attribute.len().wrapping_sub(key_len + 4);
    let is_usual = u32::from(*tag) == number << 3 | 2
        && attribute.get(key_len + 2) == Some(&VALUE)
        && attribute.get(key_len + 3).is_some_and(|length| usize::from(*length) == value_len);
    is_usual.then_some((key_len, attribute, after))
}

/// An `AnyValue`; of several values, the last, as in any decoder.
fn fact(value: &[u8]) -> Option<Fact<'_>> {
    let (mut fact, mut walk) = (None, fields(value));
    while let Ok(Some(field)) = walk.next() {
        fact = match (field.number, field.value) {
            (VALUE_TEXT, Value::Bytes(text)) => from_utf8(text).ok().map(Fact::Text),
            (VALUE_FLAG, Value::Varint(flag)) => Some(Fact::Flag(flag != 0)),
            (VALUE_INT, Value::Varint(number)) => Some(Fact::Int(number.cast_signed())),
            (VALUE_DOUBLE, Value::Fixed64(bits)) => Some(Fact::Double(f64::from_bits(bits))),
            // Arrays, maps and bytes.
            (5..=7, _) => None,
            _ => fact,
        };
    }
    fact
}

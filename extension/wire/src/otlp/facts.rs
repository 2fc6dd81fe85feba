//! What policy may ask of a received span, read from its bytes when it asks.

use std::str::from_utf8;

use policy::{Fact, SpanId, TraceId, UnixNanos};

use super::chunk::Body;
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
        self.text(SPAN_NAME)
    }

    fn attribute(&self, key: &str) -> Option<Fact<'_>> {
        let [fact] = self.attributes([key]);
        fact
    }

    fn attributes<const N: usize>(&self, keys: [&str; N]) -> [Option<Fact<'_>>; N] {
        let (_, attributes) = self.parts();
        values(attributes, SPAN_ATTRIBUTES, keys).map(|value| value.and_then(fact))
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
        self.text(SPAN_TRACE_STATE)
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
    /// Where in the span's message its texts are, and where its attributes: nothing, for a body of metrics or logs.
    fn parts(&self) -> (&[u8], &[u8]) {
        let at = self.span.and_then(|span| self.chunk.places().spans.get(span as usize));
        let Some(at) = at else { return (&[], &[]) };
        let span = content(self.chunk.slice(at.field));
        match at.attributes {
            Some(at) => at.split(span),
            None => (span, span),
        }
    }

    /// A text field of the span; of several, the last, as in any decoder.
    fn text(&self, number: u32) -> &str {
        let (texts, _) = self.parts();
        let (mut text, mut walk): (&[u8], _) = (&[], fields(texts));
        // The scan has walked it before: it is whole.
        while let Ok(Some(field)) = walk.next() {
            if let (Value::Bytes(bytes), true) = (field.value, field.number == number) {
                text = bytes;
            }
        }
        from_utf8(text).unwrap_or_default()
    }
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
    let (mut missing, mut walk) = (keys.len(), fields(message));
    while let Ok(Some(field)) = walk.next() {
        let mut next = (field.number == number).then(|| field.value.bytes());
        while let Some(attribute) = next {
            // A `KeyValue` was not necessarily looked into before: one that is broken has no key.
            let (name, value) = key_value(attribute).unwrap_or_default();
            if lengths & bit(name.len()) != 0 {
                for (key, found) in keys.iter().zip(found.iter_mut()) {
                    if key.as_bytes() == name && found.is_none() {
                        *found = Some(value);
                        missing -= 1;
                    }
                }
                if missing == 0 {
                    return;
                }
            }
            next = walk.more(number).unwrap_or_default();
        }
    }
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

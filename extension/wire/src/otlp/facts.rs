//! What policy may ask of a received span, read from its bytes when it asks.

use std::str::from_utf8;

use policy::{Fact, SpanId, TraceId, UnixNanos};

use super::chunk::Body;
use super::resource::{RESOURCE_ATTRIBUTES, content};
use super::scan::{SPAN_ATTRIBUTES, key_value};
use super::{announced, placed};
use crate::proto::{Value, fields};

pub(super) const SPAN_TRACE_STATE: u32 = 3;
const SPAN_NAME: u32 = 5;

const VALUE_TEXT: u32 = 1;
const VALUE_FLAG: u32 = 2;
const VALUE_INT: u32 = 3;
const VALUE_DOUBLE: u32 = 4;

impl policy::Body for Body {
    fn name(&self) -> &str {
        self.text(SPAN_NAME)
    }

    fn attribute(&self, key: &str) -> Option<Fact<'_>> {
        fact_of(self.span()?, SPAN_ATTRIBUTES, key)
    }

    fn resource(&self, key: &str) -> Option<Fact<'_>> {
        let span = self.chunk.places().spans.get(self.span? as usize)?;
        let group = self.chunk.places().scopes.get(span.scope as usize)?.group;
        let resource = self.chunk.places().groups.get(group as usize)?.resource?;
        fact_of(content(self.chunk.slice(resource)), RESOURCE_ATTRIBUTES, key)
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
}

impl Body {
    /// The span's message; `None` for a body of metrics or logs.
    fn span(&self) -> Option<&[u8]> {
        let span = self.chunk.places().spans.get(self.span? as usize)?;
        Some(content(self.chunk.slice(span.field)))
    }

    /// A text field of the span; of several, the last, as in any decoder.
    fn text(&self, number: u32) -> &str {
        let (mut text, mut walk): (&[u8], _) = (&[], fields(self.span().unwrap_or_default()));
        // The scan has walked it before: it is whole.
        while let Ok(Some(field)) = walk.next() {
            match field.value {
                Value::Bytes(bytes) if field.number == number => text = bytes,
                // They are most of a span.
                _ if field.number == SPAN_ATTRIBUTES => while let Ok(Some(_)) = walk.more(SPAN_ATTRIBUTES) {},
                _ => {}
            }
        }
        from_utf8(text).unwrap_or_default()
    }
}

/// Whether a span has an attribute of this key, whatever its value.
pub(super) fn has_attribute(span: &[u8], key: &str) -> bool {
    attribute(span, SPAN_ATTRIBUTES, key).is_some()
}

/// The value of `key` among the `KeyValue` fields of this number.
fn fact_of<'a>(message: &'a [u8], number: u32, key: &str) -> Option<Fact<'a>> {
    fact(attribute(message, number, key)?)
}

/// The encoded value of `key` among the `KeyValue` fields of this number.
fn attribute<'a>(message: &'a [u8], number: u32, key: &str) -> Option<&'a [u8]> {
    let mut walk = fields(message);
    while let Ok(Some(field)) = walk.next() {
        if field.number == number {
            let mut next = Some(field.value.bytes());
            while let Some(attribute) = next {
                // A `KeyValue` was not necessarily looked into before: one that is broken has no key.
                let (name, value) = key_value(attribute).unwrap_or_default();
                if name == key.as_bytes() {
                    return Some(value);
                }
                next = walk.more(number).ok()?;
            }
        }
    }
    None
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

//! OTLP/JSON into the protobuf that means the same, read and written in one pass, with no tree in between.
//!
//! Everything behind the receiver knows one encoding. Ids are hex and not base64, 64-bit numbers are numbers or
//! decimal strings, `null` is absent, unknown fields are passed over; original field names (`trace_id`) are not keys.
//!
//! # Source
//! <https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding>

mod value;

use std::fmt;

use policy::Signal;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::schema::{self, Kind, Row, Rows};
use crate::proto::{put_varint, varint_len};

/// Why a JSON body was not converted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonError {
    /// It is no JSON, or a value is not of the type of its field. Never says what was there: it may be a secret.
    Invalid {
        /// The line, from 1.
        line: usize,
        /// The column, from 1; zero when the line had not begun.
        column: usize,
    },
    /// It is longer than allowed, as protobuf.
    TooLong,
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid { line, column } => {
                write!(f, "the body is not OTLP/JSON, at line {line}, column {column}")
            }
            Self::TooLong => f.write_str("the body is too long as protobuf"),
        }
    }
}

impl std::error::Error for JsonError {}

/// The protobuf of an export request of `signal` that came as JSON.
///
/// Shape: at most `max` bytes; numbers in arrays may take four times the bytes that they take in JSON. An id that is
/// not hex is left out: its span is then refused by number, and the others are kept.
///
/// # Errors
/// When it is not such a request, or too long.
pub fn from_json(signal: Signal, json: &[u8], max: usize) -> Result<Vec<u8>, JsonError> {
    let mut out = Out { bytes: Vec::with_capacity((json.len() / 2).min(max)), max, is_over: false };
    let mut reader = serde_json::Deserializer::from_slice(json);
    let rows = schema::request(signal);
    let read = MessageSeed { rows, out: &mut out }.deserialize(&mut reader).and_then(|()| reader.end());
    match read {
        Ok(()) => Ok(out.bytes),
        Err(_) if out.is_over => Err(JsonError::TooLong),
        Err(error) => Err(JsonError::Invalid { line: error.line(), column: error.column() }),
    }
}

/// What is written, and its bound.
struct Out {
    bytes: Vec<u8>,
    max: usize,
    is_over: bool,
}

impl Out {
    fn check<E: Error>(&mut self) -> Result<(), E> {
        self.is_over |= self.bytes.len() > self.max;
        if self.is_over { Err(E::custom("too long")) } else { Ok(()) }
    }

    /// A length-delimited field whose content `fill` writes; the length is put before it once it is known.
    ///
    /// One byte is left for it, which is what nearly every message takes: a longer one is moved.
    fn nested<E: Error>(
        &mut self,
        number: u32,
        fill: impl FnOnce(&mut Self) -> Result<(), E>,
    ) -> Result<(), E> {
        put_varint(&mut self.bytes, u64::from(number << 3 | 2));
        let at = self.bytes.len();
        self.bytes.push(0);
        fill(self)?;
        let end = self.bytes.len();
        let mut length = end - at - 1;
        let last = at + varint_len(length as u64) - 1;
        if last > at {
            self.bytes.resize(end + last - at, 0);
            self.bytes.copy_within(at + 1..end, last + 1);
        }
        for byte in &mut self.bytes[at..last] {
            *byte = length as u8 | 0x80;
            length >>= 7;
        }
        self.bytes[last] = length as u8;
        Ok(())
    }
}

/// An object, as the fields of a message.
struct MessageSeed<'a> {
    rows: Rows,
    out: &'a mut Out,
}

impl<'de> DeserializeSeed<'de> for MessageSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for MessageSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut next = 0;
        while let Some(place) = map.next_key_seed(KeySeed { rows: self.rows, next })? {
            match place {
                Some(place) => {
                    next = place + 1;
                    let row = &self.rows[place];
                    map.next_value_seed(FieldSeed { row, out: self.out, is_item: false })?;
                }
                None => drop(map.next_value::<IgnoredAny>()?),
            }
            self.out.check()?;
        }
        Ok(())
    }
}

/// A key, as the place of the row that knows it: as a rule the next of those after the one before, for keys are written
/// in the order of the schema.
struct KeySeed {
    rows: Rows,
    next: usize,
}

impl<'de> DeserializeSeed<'de> for KeySeed {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_bytes(self)
    }
}

impl Visitor<'_> for KeySeed {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_bytes<E>(self, key: &[u8]) -> Result<Self::Value, E> {
        let is_here = |place: &usize| self.rows[*place].key.as_bytes() == key;
        Ok((self.next..self.rows.len()).find(is_here).or_else(|| (0..self.next).find(is_here)))
    }
}

/// The value of a field, or one item of a repeated one; `null` is none.
struct FieldSeed<'a> {
    row: &'static Row,
    out: &'a mut Out,
    is_item: bool,
}

impl<'de> DeserializeSeed<'de> for FieldSeed<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_option(self)
    }
}

impl<'de> Visitor<'de> for FieldSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_none<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        let Self { row, out, is_item } = self;
        if row.is_repeated && !is_item {
            return deserializer.deserialize_seq(ItemsSeed { row, out });
        }
        match row.kind {
            Kind::Message(rows) => {
                out.nested(row.number, |out| MessageSeed { rows, out }.deserialize(deserializer))
            }
            kind => value::put(&mut out.bytes, row.number, kind, deserializer),
        }
    }
}

/// An array: fields that follow each other, or numbers packed into one field.
struct ItemsSeed<'a> {
    row: &'static Row,
    out: &'a mut Out,
}

impl<'de> Visitor<'de> for ItemsSeed<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let Self { row, out } = self;
        if !row.kind.is_packed() {
            while items.next_element_seed(FieldSeed { row, out, is_item: true })?.is_some() {
                out.check()?;
            }
            return Ok(());
        }
        out.nested(row.number, |out| {
            while items.next_element_seed(value::Packed { kind: row.kind, out: &mut out.bytes })?.is_some() {
                out.check()?;
            }
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests;

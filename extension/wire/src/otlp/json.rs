//! OTLP/JSON into the protobuf that means the same, read and written in one pass, with no tree in between.
//!
//! Everything behind the receiver knows one encoding. Ids are hex and not base64, 64-bit numbers are numbers or
//! decimal strings, `null` is absent, unknown fields are passed over, unless nothing else is there; original field names (`trace_id`) are taken too,
//! as the OpenTelemetry Collector takes them.
//!
//! A value that is not of the type of its field costs no other: it is mended where its meaning is plain, and otherwise
//! its span, log record or metric is refused alone. Only text that is not JSON refuses a request.
//!
//! # Source
//! <https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding>

mod reader;
mod value;

use std::fmt;

use policy::Signal;

use super::schema::{self, Kind, Mended, Row, Rows};
use crate::proto::{fields, put_bytes, put_varint, varint_len};
use reader::{Reader, Unexpected};

/// Why a JSON body was not converted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonError {
    /// It is no JSON, or a value is not of the type of its field. Never says what was there: it may be a secret.
    Invalid {
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
    },
    /// It is JSON, and no field around its content is known: what is in it cannot be read. It may be of another signal.
    Unknown,
    /// It is longer than allowed, as protobuf.
    TooLong,
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid { line, column } => {
                write!(f, "the body is not OTLP/JSON, at line {line}, column {column}")
            }
            Self::Unknown => f.write_str(
                "the body is JSON, and has no spans, metrics or log records of this path where OTLP/JSON has them",
            ),
            Self::TooLong => f.write_str("the body is too long as protobuf"),
        }
    }
}

impl std::error::Error for JsonError {}

/// A request that came as JSON.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Converted {
    /// It as protobuf.
    pub bytes: Vec<u8>,
    /// Spans, log records and metrics that are not in it, because a value in them has no meaning.
    pub refused: u32,
    /// Values that were not of the type of their field, and are in it as the nearest type that holds them, or are left
    /// out: an attribute's value as its JSON text, an unknown name of a number as 0.
    pub mended: u32,
}

/// The protobuf of an export request of `signal` that came as JSON: the bytes of [`convert_json`].
///
/// # Errors
/// When it is not such a request, or too long.
pub fn from_json(signal: Signal, json: &[u8], max: usize) -> Result<Vec<u8>, JsonError> {
    convert_json(signal, json, max).map(|converted| converted.bytes)
}

/// Converts an export request of `signal` that came as JSON.
///
/// Shape: at most `max` bytes; numbers in arrays may take four times the bytes that they take in JSON. An id that is
/// not hex is left out: its span is then refused by number, and the others are kept.
///
/// # Errors
/// When it is not such a request, or too long.
pub fn convert_json(signal: Signal, json: &[u8], max: usize) -> Result<Converted, JsonError> {
    // How text is encoded stands before it where some of Microsoft's writers wrote it.
    let json = json.strip_prefix(b"\xef\xbb\xbf").unwrap_or(json);
    let out = Vec::with_capacity((json.len() / 2).min(max));
    let reader = Reader::new(json);
    let mut conversion = Conversion { json: reader, out, max, refused: 0, mended: 0, is_strange: false };
    let converted = conversion.message(schema::request(signal)).and_then(|()| Ok(conversion.json.end()?));
    match converted {
        Ok(()) if conversion.is_strange && conversion.refused == 0 && !has_items(&conversion.out) => {
            Err(JsonError::Unknown)
        }
        Ok(()) => {
            let Conversion { out: bytes, refused, mended, .. } = conversion;
            Ok(Converted { bytes, refused, mended })
        }
        Err(Stop::TooLong) => Err(JsonError::TooLong),
        Err(Stop::Unexpected) => {
            let (line, column) = conversion.json.place();
            Err(JsonError::Invalid { line, column })
        }
    }
}

/// Whether there is a span, a metric or a log record in a request.
#[cold]
fn has_items(request: &[u8]) -> bool {
    // Of each signal the groups are field 1, the scopes' parts field 2, and the items in them field 2.
    let within = |message: &[u8], number| -> Vec<Vec<u8>> {
        let (mut walk, mut found) = (fields(message), Vec::new());
        while let Ok(Some(field)) = walk.next() {
            if field.number == number {
                found.push(field.value.bytes().to_vec());
            }
        }
        found
    };
    let groups = within(request, 1);
    let scopes = groups.iter().flat_map(|group| within(group, 2));
    scopes.into_iter().any(|scope| !within(&scope, 2).is_empty())
}

/// Why a conversion has ended early.
enum Stop {
    Unexpected,
    TooLong,
}

impl From<Unexpected> for Stop {
    fn from(_: Unexpected) -> Self {
        Self::Unexpected
    }
}

/// What is read, what is written of it, and how much that may be.
struct Conversion<'a> {
    json: Reader<'a>,
    out: Vec<u8>,
    max: usize,
    refused: u32,
    mended: u32,
    /// Whether a field around the items is not known, and what it holds was passed over.
    is_strange: bool,
}

impl Conversion<'_> {
    /// An object, as the fields of a message.
    fn message(&mut self, rows: Rows) -> Result<(), Stop> {
        self.json.open(b'{')?;
        let (mut next, mut is_first) = (0, true);
        while self.json.has_more(b'}', is_first)? {
            is_first = false;
            let key = self.json.key()?;
            match place_of(&key, rows, next) {
                Some(place) => {
                    next = place + 1;
                    self.field(&rows[place])?;
                }
                None => {
                    self.json.pass_over()?;
                    self.is_strange |= schema::is_around_items(rows);
                }
            }
            self.check()?;
        }
        Ok(())
    }

    /// The value of a field; `null` is none.
    fn field(&mut self, row: &'static Row) -> Result<(), Stop> {
        if self.json.peek()? == b'n' {
            Ok(self.json.word("null")?)
        } else if !row.is_repeated {
            self.value(row)
        } else if row.kind.is_packed() {
            self.nested(row.number, |own| own.items(|own| Ok(value::put_packed(own, row.kind)?)))
        } else {
            self.items(|own| match own.json.peek()? {
                b'n' => Ok(own.json.word("null")?),
                _ => own.value(row),
            })
        }
    }

    /// An array, each item of which `put` writes.
    fn items(&mut self, put: impl Fn(&mut Self) -> Result<(), Stop>) -> Result<(), Stop> {
        self.json.open(b'[')?;
        let mut is_first = true;
        while self.json.has_more(b']', is_first)? {
            is_first = false;
            put(self)?;
            self.check()?;
        }
        Ok(())
    }

    fn value(&mut self, row: &'static Row) -> Result<(), Stop> {
        let (json, length) = (self.json.clone(), self.out.len());
        let put = match row.kind {
            Kind::Message(rows) => self.nested(row.number, |own| own.message(rows)),
            kind => value::put(self, row.number, kind).map_err(Stop::from),
        };
        match put {
            Err(Stop::Unexpected) => self.mend(row, json, length),
            put => put,
        }
    }

    /// What becomes of the value of `row` that `json` begins with, which is not of the type of its field: what has been
    /// written of it, from `length` on, is taken back.
    ///
    /// # Errors
    /// When that is for whom the value is a part of to say, or when no value ends there.
    #[cold]
    fn mend(&mut self, row: &'static Row, json: Reader<'_>, length: usize) -> Result<(), Stop> {
        let mended = schema::mended(row);
        let mut rest = json;
        if mended == Mended::Never {
            return Err(Stop::Unexpected);
        }
        let text = rest.pass_over()?;
        self.json.go_on_from(&rest);
        self.out.truncate(length);
        match mended {
            Mended::AsText => self.nested(row.number, |own| {
                put_bytes(&mut own.out, schema::ANY_TEXT, &value::unicode(text));
                Ok(())
            })?,
            Mended::AsWords => put_bytes(&mut self.out, row.number, &value::unicode(text)),
            Mended::Refused => {
                self.refused += 1;
                return Ok(());
            }
            Mended::LeftOut | Mended::Never => {}
        }
        self.mended += 1;
        Ok(())
    }

    /// A length-delimited field whose content `fill` writes; the length is put before it once it is known.
    ///
    /// One byte is left for it, which is what nearly every message takes: a longer one is moved.
    fn nested(&mut self, number: u32, fill: impl FnOnce(&mut Self) -> Result<(), Stop>) -> Result<(), Stop> {
        put_varint(&mut self.out, u64::from(number << 3 | 2));
        let at = self.out.len();
        self.out.push(0);
        fill(self)?;
        let end = self.out.len();
        let mut length = end - at - 1;
        let last = at + varint_len(length as u64) - 1;
        if last > at {
            self.out.resize(end + last - at, 0);
            self.out.copy_within(at + 1..end, last + 1);
        }
        for byte in &mut self.out[at..last] {
            *byte = length as u8 | 0x80;
            length >>= 7;
        }
        self.out[last] = length as u8;
        Ok(())
    }

    const fn check(&self) -> Result<(), Stop> {
        if self.out.len() > self.max { Err(Stop::TooLong) } else { Ok(()) }
    }
}

/// The place of the row that knows `key`: as a rule the `next` or one after it, for keys are written in the order of the
/// schema.
#[inline]
fn place_of(key: &[u8], rows: Rows, next: usize) -> Option<usize> {
    let is_here = |place: &usize| rows[*place].key.as_bytes() == key;
    let place = (next..rows.len()).find(is_here).or_else(|| (0..next).find(is_here));
    place.or_else(|| place_of_original(key, rows))
}

/// The same for a field's original name, `trace_id` for `traceId`: against the specification, and understood by the
/// Collector, so that there are senders that write it. And for its name before OTLP 1.0, when a scope was an
/// instrumentation library.
#[cold]
fn place_of_original(key: &[u8], rows: Rows) -> Option<usize> {
    if !key.contains(&b'_') {
        let today: &[u8] = match key {
            b"instrumentationLibrarySpans" => b"scopeSpans",
            b"instrumentationLibraryMetrics" => b"scopeMetrics",
            b"instrumentationLibraryLogs" => b"scopeLogs",
            b"instrumentationLibrary" => b"scope",
            _ => return None,
        };
        return rows.iter().position(|row| row.key.as_bytes() == today);
    }
    let mut camel = Vec::with_capacity(key.len());
    let mut is_word_start = false;
    for byte in key {
        match byte {
            b'_' => is_word_start = true,
            byte => {
                camel.push(if is_word_start { byte.to_ascii_uppercase() } else { *byte });
                is_word_start = false;
            }
        }
    }
    rows.iter().position(|row| row.key.as_bytes() == camel)
}

#[cfg(test)]
mod tests;

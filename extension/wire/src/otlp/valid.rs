//! Whether every decoder can read a message: one that cannot costs a backend's answer to all that was sent with it.
//!
//! As strict as the strictest of them, which are made of the same schema: every text is UTF-8, every field that is known is
//! of its type, ids have their length, lengths add up. Fields that are not known are passed on, whatever they hold.

use super::scan::usual_key_value;
use super::schema::{KEY_VALUE, Kind, Row, Rows};
use crate::proto::{Value, WireError, fields, varints};

/// Messages within messages that protobuf's decoders follow, the request itself not counted (Java, C++, prost: 100).
const DEPTH_MAX: u32 = 100;
/// How many messages deep a group, a scope and what stands in a scope are.
pub(super) const GROUP: u32 = 1;
pub(super) const SCOPE: u32 = 2;
pub(super) const SPAN: u32 = 3;

/// Checks a message of `rows` that is `depth` messages deep in its request.
///
/// # Errors
/// When a decoder would refuse it.
pub(super) fn message(bytes: &[u8], rows: Rows, depth: u32) -> Result<(), WireError> {
    if depth > DEPTH_MAX {
        return Err(WireError::Depth);
    }
    let mut walk = fields(bytes);
    while let Some(field) = walk.next()? {
        self::field(field.number, field.value, rows, depth)?;
    }
    Ok(())
}

/// The same for one field of such a message.
pub(super) fn field(number: u32, value: Value<'_>, rows: Rows, depth: u32) -> Result<(), WireError> {
    let Some(row) = row_of(rows, number) else { return Ok(()) };
    match (row.kind, value) {
        (Kind::Text, Value::Bytes(bytes)) => text(bytes),
        (Kind::Message(rows), Value::Bytes(bytes)) => {
            // It holds one more message, its value.
            let may_be_usual = std::ptr::eq(*rows, KEY_VALUE) && depth + 2 <= DEPTH_MAX;
            if may_be_usual && is_usual(bytes) { Ok(()) } else { message(bytes, rows, depth + 1) }
        }
        (Kind::Bytes, Value::Bytes(_)) => Ok(()),
        (Kind::Id(length), Value::Bytes(id)) if id.is_empty() || id.len() == length => Ok(()),
        (kind, Value::Bytes(bytes)) if row.is_repeated && kind.is_packed() => packed(bytes, kind),
        (kind, value) if is_of(kind, value) => Ok(()),
        _ => Err(WireError::Type),
    }
}

/// Most messages have most numbers from one on, so a row is most often found at its number.
fn row_of(rows: Rows, number: u32) -> Option<&'static Row> {
    let guess = rows.get(number as usize - 1).filter(|row| row.number == number);
    guess.or_else(|| rows.iter().find(|row| row.number == number))
}

const fn is_of(kind: Kind, value: Value<'_>) -> bool {
    match kind {
        Kind::Flag | Kind::Int | Kind::Whole | Kind::Unsigned | Kind::Zigzag | Kind::Enum(_) => {
            matches!(value, Value::Varint(_))
        }
        Kind::Fixed32 => matches!(value, Value::Fixed32(_)),
        Kind::Fixed64 | Kind::Signed64 | Kind::Double => matches!(value, Value::Fixed64(_)),
        Kind::Text | Kind::Id(_) | Kind::Bytes | Kind::Message(_) => false,
    }
}

fn packed(bytes: &[u8], kind: Kind) -> Result<(), WireError> {
    match kind {
        Kind::Fixed64 | Kind::Signed64 | Kind::Double if bytes.len().is_multiple_of(8) => Ok(()),
        Kind::Fixed32 if bytes.len().is_multiple_of(4) => Ok(()),
        Kind::Flag | Kind::Int | Kind::Whole | Kind::Unsigned | Kind::Zigzag | Kind::Enum(_) => {
            varints(bytes)
        }
        _ => Err(WireError::Truncated),
    }
}

fn text(bytes: &[u8]) -> Result<(), WireError> {
    if is_ascii(bytes) { Ok(()) } else { std::str::from_utf8(bytes).map(drop).map_err(|_| WireError::Text) }
}

/// A `KeyValue`, `depth` messages deep.
#[inline]
pub(super) fn attribute(bytes: &[u8], depth: u32) -> Result<(), WireError> {
    if is_usual(bytes) { Ok(()) } else { any_attribute(bytes, depth) }
}

/// Whether it is as nearly all attributes are: a key in ASCII with such a text, a number or a flag. A fifth of what the
/// schema's way takes, and most of a span is attributes.
#[inline]
fn is_usual(bytes: &[u8]) -> bool {
    const TEXT: u8 = 1 << 3 | 2;
    const FLAG: u8 = 2 << 3;
    const INT: u8 = 3 << 3;
    const DOUBLE: u8 = 4 << 3 | 1;
    let Some((key, value)) = usual_key_value(bytes) else { return false };
    match value {
        [TEXT, length @ ..0x80, text @ ..] => text.len() == usize::from(*length) && is_ascii(bytes),
        // With nine bytes no number has more than 64 bits.
        [FLAG | INT, more @ .., 0..0x80] => {
            more.len() < 9 && more.iter().all(|byte| *byte >= 0x80) && is_ascii(key)
        }
        [DOUBLE, bits @ ..] => bits.len() == 8 && is_ascii(key),
        _ => false,
    }
}

#[inline(never)]
fn any_attribute(bytes: &[u8], depth: u32) -> Result<(), WireError> {
    message(bytes, KEY_VALUE, depth)
}

/// What the standard library's does, for texts of less than a hundred bytes: that one takes the last ones singly.
///
/// The last words are taken from the end: what they have in common with those before is seen twice.
#[inline]
pub(super) fn is_ascii(bytes: &[u8]) -> bool {
    const HIGH: u128 = 0x8080_8080_8080_8080_8080_8080_8080_8080;
    let long = |word: &[u8; 16]| u128::from_ne_bytes(*word);
    let short = |word: &[u8; 8]| u128::from(u64::from_ne_bytes(*word));
    let seen = if let Some(last) = bytes.last_chunk::<16>() {
        bytes.as_chunks::<16>().0.iter().fold(long(last), |seen, word| seen | long(word))
    } else if let (Some(first), Some(last)) = (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        short(first) | short(last)
    } else {
        bytes.iter().fold(0, |seen, byte| seen | u128::from(*byte))
    };
    seen & HIGH == 0
}

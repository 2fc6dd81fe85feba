//! Looking into a `KeyValue` and an `AnyValue`.

use wire::proto::{Value, WireError, fields};

pub(crate) const KEY: u32 = 1;
pub(crate) const VALUE: u32 = 2;
const KEY_TAG: u8 = 0x0a;
const VALUE_TAG: u8 = 0x12;
pub(crate) const ANY_STRING: u32 = 1;
pub(crate) const ANY_ARRAY: u32 = 5;
pub(crate) const ANY_MAP: u32 = 6;
pub(crate) const ANY_BYTES: u32 = 7;

/// The key and the encoded `AnyValue` of a `KeyValue`; the last ones, should there be several.
pub(crate) fn key_and_value(message: &[u8]) -> Result<(&[u8], &[u8]), WireError> {
    // So everyone writes it, unless it is long: this takes a fifth of a walk.
    if let [KEY_TAG, length, ..] = *message
        && length < 0x80
        && let Some((key, [VALUE_TAG, left, value @ ..])) = message[2..].split_at_checked(usize::from(length))
        && usize::from(*left) == value.len()
        && *left < 0x80
    {
        return Ok((key, value));
    }
    let (mut key, mut value): (&[u8], &[u8]) = (&[], &[]);
    let mut walk = fields(message);
    while let Some(field) = walk.next()? {
        match (field.number, field.value) {
            (KEY, Value::Bytes(bytes)) => key = bytes,
            (VALUE, Value::Bytes(bytes)) => value = bytes,
            _ => {}
        }
    }
    Ok((key, value))
}

/// Whether any piece of the value of a `KeyValue` is more than a number or a flag.
pub(crate) fn is_any_text(pair: &[u8]) -> Result<bool, WireError> {
    let mut walk = fields(pair);
    while let Some(field) = walk.next()? {
        if let (VALUE, Value::Bytes(value)) = (field.number, field.value)
            && is_text(value)?
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether an `AnyValue` is more than a number or a flag.
pub(crate) fn is_text(value: &[u8]) -> Result<bool, WireError> {
    let mut walk = fields(value);
    while let Some(field) = walk.next()? {
        if matches!(field.number, ANY_STRING | ANY_ARRAY | ANY_MAP | ANY_BYTES) {
            return Ok(true);
        }
    }
    Ok(false)
}

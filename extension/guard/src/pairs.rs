//! Maps that are a name and its value: `{name: "x-api-key", value: …}`.

use wire::proto::{Value, WireError, fields};

use crate::detect::secrets::{NAMES, VALUES};
use crate::keys::{Naming, naming_in_text};
use crate::values::{ANY_STRING, key_and_value};

/// The text that an `AnyValue` is, if it is nothing else.
pub(crate) fn string_of(value: &[u8]) -> Option<&[u8]> {
    let field = fields(value).next().ok()??;
    match (field.number, field.value) {
        (ANY_STRING, Value::Bytes(text)) if field.end == value.len() => Some(text),
        _ => None,
    }
}

/// What the name in a map says of the value beside it, where the map has one.
///
/// # Errors
/// When the bytes are no message.
pub(crate) fn naming_of_pair(map: &[u8]) -> Result<Naming, WireError> {
    let mut walk = fields(map);
    while let Some(field) = walk.next()? {
        if let (1, Value::Bytes(entry)) = (field.number, field.value)
            && let (key, value) = key_and_value(entry)?
            && is_one_of(&NAMES, key)
            && let Some(name) = string_of(value)
        {
            let naming = naming_in_text(name);
            if naming != Naming::Plain {
                return Ok(naming);
            }
        }
    }
    Ok(Naming::Plain)
}

/// Whether the entry of this key has the value of the name beside it.
pub(crate) fn is_value(key: &[u8]) -> bool {
    is_one_of(&VALUES, key)
}

fn is_one_of(words: &[&[u8]], key: &[u8]) -> bool {
    words.iter().any(|word| key.eq_ignore_ascii_case(word))
}

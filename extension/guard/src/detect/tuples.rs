//! Names and values that a comma or a semicolon parts: `[password, hunter2]`, `{:password, "hunter2"}`,
//! `s:8:"password";s:7:"hunter2"`.

use std::ops::Range;

use super::before;
use super::secrets::{NAME_MAX, ends_value, is_name};
use crate::keys::{Naming, naming_in_text};

/// Bytes of a value that no quotation mark begins, in a pair in square brackets.
const VALUE_MAX: usize = 256;

/// Where the name of a secret is that ends at `end`, and the bracket before it.
pub(super) fn name(text: &[u8], end: usize) -> Option<(Range<usize>, u8)> {
    // Erlang's texts: `{<<"password">>, <<"hunter2">>}`.
    let (open, close) = (&b"<<\""[..], &b"\">>"[..]);
    let is_binary = text[..end].ends_with(close);
    let end = if is_binary { end - close.len() } else { end };
    let is_word = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    let length = text[..end].iter().rev().take(NAME_MAX).take_while(is_word).count();
    let place = end - length..end;
    if is_binary {
        let head = text[..place.start].strip_suffix(open)?;
        let opener = *head.last().filter(|byte| **byte == b'{')?;
        return (naming_in_text(&text[place.clone()]) != Naming::Plain).then_some((place, opener));
    }
    // The atom of Elixir and Erlang has a colon.
    let opener = match before(text, place.start)? {
        b':' => before(text, place.start - 1).filter(|byte| *byte == b'{')?,
        byte => byte,
    };
    let is_open = matches!(opener, b'[' | b'{');
    (length > 0 && is_open && naming_in_text(&text[place.clone()]) != Naming::Plain)
        .then_some((place, opener))
}

/// Whether what begins here is the last of a pair in square brackets, and no word like others: `[token, session]`.
pub(super) fn ends_pair(rest: &[u8]) -> bool {
    let length = rest.iter().take(VALUE_MAX).take_while(|byte| !ends_value(**byte)).count();
    let looks_secret = rest[..length].iter().any(|byte| !byte.is_ascii_lowercase() && *byte != b'_');
    rest.get(length) == Some(&b']') && looks_secret
}

/// Where the name is in `s:8:"password";s:11:"hunter2X9zz"`, as PHP writes a text with its length, which is `place`.
pub(super) fn serialized(text: &[u8], place: &Range<usize>) -> Option<Range<usize>> {
    let is_length = !place.is_empty() && text[place.clone()].iter().all(u8::is_ascii_digit);
    let head = text[..place.start].strip_suffix(b"\";s:").filter(|_| is_length)?;
    let length = head.iter().rev().take(NAME_MAX).take_while(|byte| is_name(**byte)).count();
    let name = head.len() - length..head.len();
    // A property that is not public has its class before it, or a star, between two zeros.
    let is_quoted = match text[..name.start].split_last() {
        Some((b'"', _)) => true,
        Some((0, class)) => class.iter().rev().take(NAME_MAX).any(|byte| *byte == 0),
        _ => false,
    };
    (is_quoted && naming_in_text(&text[name.clone()]) != Naming::Plain).then_some(name)
}

//! What a value can betray, one file for each kind: texts in, replaced stretches out, in linear time.
//!
//! Each looks at a byte a bounded number of times: behind what it has replaced or read to its end it goes on, and what it
//! looks back at is bounded. What may turn out to stay is read a bounded way, and what goes to its end. `growth.rs` in
//! `tests/counts` holds them to that.

pub(crate) mod aadhaar;
pub(crate) mod addresses;
pub(crate) mod cards;
mod codes;
pub(crate) mod commands;
mod extents;
mod frames;
pub(crate) mod ibans;
pub(crate) mod numbers;
pub(crate) mod pan;
pub(crate) mod phones;
mod prefixes;
mod quotes;
mod said;
pub(crate) mod secrets;
mod signs;
mod source;
mod spoken;
pub(crate) mod sql;
mod states;
pub(crate) mod tokens;
mod tuples;
mod unnamed;
pub(crate) mod urls;
mod wrapped;
mod yaml;

#[cfg(test)]
use crate::rewrite::{Action, Rewrite};
#[cfg(test)]
use crate::view::View;

/// Whether a value that begins or ends beside this byte goes on there. A star does not count, for whoever writes sets words
/// in bold with it; what is left of a number that was masked is too short to be one.
pub(crate) const fn is_inside(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
}

/// The byte before `at`, if there is one.
pub(crate) fn before(text: &[u8], at: usize) -> Option<u8> {
    at.checked_sub(1).map(|index| text[index])
}

/// Whether what begins at `at` goes on from what is before it.
pub(crate) fn goes_on(text: &[u8], at: usize) -> bool {
    before(text, at).is_some_and(is_inside)
}

/// Whether `text[start..end]` stands on its own.
pub(crate) fn is_apart(text: &[u8], start: usize, end: usize) -> bool {
    !goes_on(text, start) && !text.get(end).copied().is_some_and(is_inside)
}

/// Whether a number that ends at `end` goes on there. A letter that says its type, as in JavaScript's `41n`, does not.
pub(crate) fn number_goes_on(text: &[u8], end: usize) -> bool {
    let is_typed =
        matches!(text.get(end), Some(b'n' | b'L')) && !text.get(end + 1).copied().is_some_and(is_inside);
    !is_typed && text.get(end).copied().is_some_and(is_inside)
}

/// Whether `text` goes on with `word` at `at`, in any case.
pub(crate) fn has_word(text: &[u8], at: usize, word: &[u8]) -> bool {
    text.get(at..at + word.len()).is_some_and(|found| found.eq_ignore_ascii_case(word))
}

/// What is left of `text` after `redact`, which is given its reading.
#[cfg(test)]
fn redacted(text: &str, redact: impl FnOnce(&[u8], &mut Rewrite<'_>)) -> String {
    let view = View::of(text.as_bytes());
    let mut out = Rewrite::reading(text.as_bytes(), view.as_ref(), Action::Fitting, None);
    redact(view.as_ref().map_or(text.as_bytes(), |view| &view.bytes), &mut out);
    out.finish().map_or_else(|| text.to_owned(), |bytes| String::from_utf8(bytes).expect("UTF-8"))
}

//! Whether what stands behind the name of a secret is one: it has gone already, says how a secret is, or is a count.

use super::has_word;
use super::secrets::{
    CLOSERS_MAX, DIGITS_MIN, NAME_MAX, RANDOM_MIN, WHOLE_LINES, ends_value, ends_with_word, is_forbidden,
};
use crate::hash::LETTERS as HASH_LETTERS;
use crate::keys::{Naming, is_weak, naming_in_text};
use crate::rewrite::REDACTED;
use crate::words::STATES;

/// Words of a quoted value that are read to know that it says how a secret is.
const STATE_WORDS_MAX: usize = 8;
/// Bytes of a quoted value, or of a line, that are read to know the same.
const SENTENCE_MAX: usize = 128;
/// What stands for a value that has gone already.
const GONE: [&[u8]; 2] = [REDACTED, b"REDACTED"];

/// Whether a small word is what follows an arrow: a step of several, as in `lexer -> token -> parser`.
pub(super) fn is_step(rest: &[u8]) -> bool {
    let length = rest.iter().take(NAME_MAX).take_while(|byte| byte.is_ascii_lowercase()).count();
    length > 1 && rest.get(length).is_none_or(|byte| ends_value(*byte))
}

/// Whether what begins here, behind a `quote` where there is one, has gone already: it is nothing but a word that says so,
/// stars, or a hash.
pub(super) fn is_gone(rest: &[u8], quote: Option<u8>) -> bool {
    let ends = |rest: &[u8]| match rest.first() {
        Some(b' ') => quote.is_none(),
        byte => byte.is_none_or(|byte| ends_value(*byte) || *byte == b'<'),
    };
    let is_word = GONE.iter().any(|gone| rest.strip_prefix(*gone).is_some_and(ends));
    let stars = rest.iter().take_while(|byte| **byte == b'*').count();
    let are_stars = stars > 0 && ends(&rest[stars..]);
    let is_hash = rest.strip_prefix(b"{").is_some_and(|letters| {
        letters.len() > HASH_LETTERS
            && letters[..HASH_LETTERS].iter().all(|byte| (b'a'..=b'p').contains(byte))
            && letters[HASH_LETTERS] == b'}'
    });
    is_word || are_stars || is_hash
}

/// Whether a value says how a secret is and is none; or is a count, where the name is a word like others.
pub(super) fn is_plain(rest: &[u8], name: &[u8], quote: Option<u8>) -> bool {
    let is_behind = |at: usize| rest.get(at).is_none_or(|byte| ends_value(*byte) || *byte == b'<');
    // A full stop ends a sentence, or is a part of a password.
    let ends = |at: usize| is_behind(at) || (matches!(rest[at], b'.' | b'!') && is_behind(at + 1));
    let is_line = WHOLE_LINES.iter().any(|line| ends_with_word(name, line));
    if (is_line || quote.is_some()) && has_disorder(rest, quote) {
        return false;
    }
    let length = state_len(rest);
    let is_state = match quote {
        // A password may be a sentence: of one that is quoted each word has to say how it is.
        Some(quote) if !is_weak(name) => is_all_states(rest, quote),
        // One letter is a word where a sentence follows.
        _ if length == 1 => quote.is_none() && rest.get(1) == Some(&b' '),
        _ => length > 0 && ends(length),
    };
    if is_state {
        return true;
    }
    let digits = rest.iter().take(DIGITS_MIN).take_while(|byte| byte.is_ascii_digit()).count();
    // The working directory has the name of a password.
    let is_folder = rest[0] == b'/' && has_word(name, name.len().saturating_sub(3), b"pwd");
    // Nor has a one-time password: `erlang OTP: 26`.
    let is_counted = !is_forbidden(name) || ends_with_word(name, b"otp");
    (digits > 0 && digits < DIGITS_MIN && ends(digits) && is_weak(name) && is_counted) || is_folder
}

/// Whether a value is what a query has in its place: a variable that is called as a secret is, `$password`; or, where the name
/// before it `is_declared` as a variable, its type: `$password: String!`.
pub(super) fn is_of_query(rest: &[u8], is_declared: bool) -> bool {
    let word_of = |rest: &[u8]| rest.iter().take(NAME_MAX).take_while(|byte| is_of_name(**byte)).count();
    if let Some(variable) = rest.strip_prefix(b"$") {
        let length = word_of(variable);
        let ends = variable.get(length).is_none_or(|byte| ends_value(*byte));
        return ends && naming_in_text(&variable[..length]) != Naming::Plain;
    }
    let lists = rest.iter().take(CLOSERS_MAX).take_while(|byte| **byte == b'[').count();
    let name = &rest[lists..];
    let length = word_of(name);
    let is_type =
        name.first().is_some_and(u8::is_ascii_uppercase) && !name[..length].iter().any(u8::is_ascii_digit);
    let behind = &name[length..];
    let marks = behind.iter().take(CLOSERS_MAX).take_while(|byte| matches!(byte, b'!' | b']')).count();
    is_declared && is_type && behind.get(marks).is_none_or(|byte| ends_value(*byte) || *byte == b'=')
}

const fn is_of_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Whether one of the words up to `quote`, or of the line, is letters and digits in disorder: no sentence about a secret.
fn has_disorder(rest: &[u8], quote: Option<u8>) -> bool {
    let ends = |byte: &&u8| Some(**byte) != quote && !matches!(byte, b'\n' | b'\r');
    let length = rest.iter().take(SENTENCE_MAX).take_while(ends).count();
    let mut words = rest[..length].split(|byte| !byte.is_ascii_alphanumeric());
    words.any(|word| {
        word.len() >= RANDOM_MIN
            && word.iter().any(u8::is_ascii_digit)
            && word.iter().any(u8::is_ascii_alphabetic)
    })
}

/// The length of the word that `rest` begins with, if it says how a secret is.
fn state_len(rest: &[u8]) -> usize {
    let length = rest.iter().take(NAME_MAX).take_while(|byte| byte.is_ascii_alphabetic()).count();
    let word = rest[..length].to_ascii_lowercase();
    if STATES.contains(&&*word) { length } else { 0 }
}

/// Whether each word up to `quote` says how a secret is.
fn is_all_states(mut rest: &[u8], quote: u8) -> bool {
    if state_len(rest) < 2 {
        return false;
    }
    for _ in 0..STATE_WORDS_MAX {
        rest = &rest[state_len(rest)..];
        match rest.first() {
            None => return true,
            Some(byte) if *byte == quote => return rest.get(1) != Some(&quote),
            Some(b' ') if state_len(&rest[1..]) > 0 => rest = &rest[1..],
            _ => return false,
        }
    }
    false
}

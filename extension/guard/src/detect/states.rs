//! Whether what stands behind the name of a secret is one: it has gone already, says how a secret is, or is a count.

use super::extents::is_line;
use super::said::is_no_value;
use super::secrets::{
    CLOSERS_MAX, DIGITS_MIN, NAME_MAX, RANDOM_MIN, ends_value, ends_with_word, is_forbidden,
};
use super::signs::has_group;
use super::{before, has_word};
use crate::hash::{LENGTH as HASH_LENGTH, begins_with_hash};
use crate::keys::{Naming, is_scheme, is_weak, naming_in_text};
use crate::rewrite::REDACTED;
use crate::words::STATES;

/// Words of a quoted value that are read to know that it says how a secret is.
const STATE_WORDS_MAX: usize = 8;
/// Bytes of a quoted value, or of a line, that are read to know the same.
pub(super) const SENTENCE_MAX: usize = 128;
/// What stands for a value that has gone already.
const GONE: [&[u8]; 2] = [REDACTED, b"REDACTED"];

/// Whether a small word is what follows an arrow: a step of several, as in `lexer -> token -> parser`.
pub(super) fn is_step(rest: &[u8]) -> bool {
    let length = rest.iter().take(NAME_MAX).take_while(|byte| byte.is_ascii_lowercase()).count();
    length > 1 && rest.get(length).is_none_or(|byte| ends_value(*byte))
}

/// How long what stands for a value that has gone is at the beginning of `rest`: a word that says so, stars, or a hash.
pub(super) fn gone_len(rest: &[u8]) -> Option<usize> {
    if let Some(word) = GONE.iter().find(|word| rest.starts_with(word)) {
        return Some(word.len());
    }
    let stars = rest.iter().take_while(|byte| **byte == b'*').count();
    match stars {
        0 => begins_with_hash(rest).then_some(HASH_LENGTH),
        stars => Some(stars),
    }
}

/// Whether nothing of `value` is left: all that is in it stands for something that has gone, or stands between such.
///
/// Of several parts only the first may have gone, by another rule or where the text was written: the rest is a secret then.
pub(super) fn is_gone(value: &[u8]) -> bool {
    let is_between = |byte: u8| ends_value(byte) || matches!(byte, b'<' | b'(' | b'[' | b'{');
    let (mut at, mut may_begin, mut has_gone) = (0, true, false);
    while at < value.len() {
        // What stands for a value is no part of a longer word.
        let gone = gone_len(&value[at..]).filter(|_| may_begin);
        match gone {
            Some(length) => (at, may_begin, has_gone) = (at + length, false, true),
            None if is_between(value[at]) => (at, may_begin) = (at + 1, true),
            None => return false,
        }
    }
    has_gone
}

/// Whether a value says how a secret is and is none; or is a count, where the name is a word like others.
pub(super) fn is_plain(rest: &[u8], name: &[u8], quote: Option<u8>) -> bool {
    let is_behind = |at: usize| rest.get(at).is_none_or(|byte| ends_value(*byte) || *byte == b'<');
    // A full stop ends a sentence, or is a part of a password.
    let ends = |at: usize| is_behind(at) || (matches!(rest[at], b'.' | b'!') && is_behind(at + 1));
    let is_line = is_line(name);
    if is_only_scheme(rest, name, is_line) {
        return true;
    }
    if !is_line && is_no_value(rest, name, quote) {
        return true;
    }
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
    let is_folder = has_word(name, name.len().saturating_sub(3), b"pwd") && is_folder(rest);
    // Nor has a one-time password: `erlang OTP: 26`.
    let is_counted = !is_forbidden(name) || (ends_with_word(name, b"otp") && !has_group(rest));
    // `pass: 2/3`.
    let share = rest.get(digits..).and_then(|rest| rest.strip_prefix(b"/")).unwrap_or_default();
    let whole = share.iter().take(DIGITS_MIN).take_while(|byte| byte.is_ascii_digit()).count();
    let end = if whole > 0 { digits + 1 + whole } else { digits };
    let is_count = digits > 0 && digits < DIGITS_MIN && whole < DIGITS_MIN && ends(end);
    // `cookies: 3 of 5`; in JSON it is a value.
    let are_cookies = ends_with_word(name, b"cookies") && matches!(rest.get(end), None | Some(b' '));
    let may_count = is_weak(name) || are_cookies;
    (is_count && may_count && is_counted) || is_folder
}

/// Whether a path is what follows: its first part is a word, as in `/var/task`, and no sign of Base64 is in it.
fn is_folder(rest: &[u8]) -> bool {
    let Some(path) = rest.strip_prefix(b"/") else { return false };
    let length = path.iter().take(SENTENCE_MAX).take_while(|byte| !ends_value(**byte)).count();
    let first = path[..length].split(|byte| *byte == b'/').next().unwrap_or_default();
    // `/Users`.
    let is_word =
        first.iter().skip(1).all(|byte| byte.is_ascii_lowercase() || matches!(byte, b'-' | b'_' | b'.'))
            || !first.iter().any(u8::is_ascii_uppercase);
    is_word && !path[..length].iter().any(|byte| matches!(byte, b'+' | b'='))
}

/// Digits of the number of a place for a value.
const PLACE_DIGITS_MAX: usize = 3;
/// Letters of a word that follows `session:` in the name of a topic or the key of a cache.
const TOPIC_MAX: usize = 12;

/// Whether what begins at `start` stands for a value, and is none: `?`, `$1`, `:1`, `@p0`, `%s`, or the name again
/// (`password = :password`).
pub(super) fn is_place(text: &[u8], start: usize, name: &[u8]) -> bool {
    let rest = &text[start..];
    let digits = |from: usize| {
        rest.get(from..)
            .unwrap_or_default()
            .iter()
            .take(PLACE_DIGITS_MAX)
            .take_while(|byte| byte.is_ascii_digit())
            .count()
    };
    let ends = |at: usize| rest.get(at).is_none_or(|byte| ends_value(*byte));
    let word = |from: usize| {
        let is_word = |byte: &&u8| byte.is_ascii_alphanumeric() || **byte == b'_';
        from + rest[from..].iter().take(NAME_MAX).take_while(is_word).count()
    };
    let last = name.rsplit(|byte| !byte.is_ascii_alphanumeric()).next().unwrap_or(name);
    let is_name = |from: usize, to: usize| !last.is_empty() && ends_with_word(&rest[from..to], last);
    match rest.first() {
        Some(b'?') => ends(1 + digits(1)),
        Some(b'$') => digits(1) > 0 && ends(1 + digits(1)),
        Some(b'@') => {
            let end = word(1);
            let is_numbered = matches!(rest.get(1), Some(b'p' | b'P')) && end == 2 + digits(2);
            ends(end) && (is_numbered || is_name(1, end))
        }
        Some(b'%') if rest.starts_with(b"%(") => {
            let end = word(2);
            is_name(2, end) && rest[end..].starts_with(b")s") && ends(end + 2)
        }
        Some(b'%') => rest.get(1) == Some(&b's') && ends(2),
        // The colon was taken for a sign; another one is before it.
        Some(_) if before(text, start) == Some(b':') => {
            let signs = text[..start - 1].trim_ascii_end();
            let (number, end) = (digits(0), word(0));
            signs.ends_with(b"=") && ((number > 0 && ends(number)) || (is_name(0, end) && ends(end)))
        }
        _ => false,
    }
}

/// Whether what begins at `start` is a part of a topic or of the key of a cache: `session:events`, `session:17:cart`,
/// `token:refresh`.
pub(super) fn is_topic(text: &[u8], start: usize, name: &[u8]) -> bool {
    let (rest, is_session) = (&text[start..], name.eq_ignore_ascii_case(b"session"));
    let is_joined = start >= 2 && text[start - 1] == b':' && text[start - 2].is_ascii_alphanumeric();
    let length = rest.iter().take(TOPIC_MAX + 1).take_while(|byte| byte.is_ascii_lowercase()).count();
    let digits = rest.iter().take(TOPIC_MAX).take_while(|byte| byte.is_ascii_digit()).count();
    let ends = |byte: &u8| *byte == b':' || ends_value(*byte);
    let is_word = (1..=TOPIC_MAX).contains(&length) && rest.get(length).is_none_or(ends);
    let is_id = is_session && digits > 0 && rest.get(digits) == Some(&b':');
    is_joined && (is_session || name.eq_ignore_ascii_case(b"token")) && (is_word || is_id)
}

/// Whether nothing but the name of a scheme follows, or one and how it is: `auth: basic`, `auth : Authentication failed`.
fn is_only_scheme(rest: &[u8], name: &[u8], is_line: bool) -> bool {
    let is_word = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    let length = rest.iter().take(NAME_MAX).take_while(is_word).count();
    let ends = match rest.get(length) {
        None | Some(b'\n' | b'\r' | b'"' | b'\'') => true,
        Some(_) if is_line => false,
        Some(b' ') => state_len(&rest[length + 1..]) > 1,
        Some(byte) => ends_value(*byte) || matches!(byte, b'.' | b'<'),
    };
    ends && length > 0 && is_scheme(name, &rest[..length])
}

/// The length of the name of a scheme before the credentials themselves, with a blank: `auth: basic aHVudGVyMlg5eno=`.
pub(super) fn scheme_len(rest: &[u8], name: &[u8]) -> usize {
    let is_word = |byte: &&u8| byte.is_ascii_alphanumeric() || **byte == b'_';
    let length = rest.iter().take(NAME_MAX).take_while(is_word).count();
    let is_line = is_line(name);
    let is_before_one = rest.get(length) == Some(&b' ')
        && rest.get(length + 1).is_some_and(|byte| !ends_value(*byte))
        && state_len(&rest[length + 1..]) == 0;
    if !is_line && is_before_one && is_scheme(name, &rest[..length]) { length + 1 } else { 0 }
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
pub(super) fn state_len(rest: &[u8]) -> usize {
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

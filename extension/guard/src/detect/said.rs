//! Sentences and words behind the name of a secret that are none: what a check of a form says of it, that there is nothing, the
//! name of a test or of a secret.

use super::secrets::{NAME_MAX, ends_value, last_word};
use super::states::{SENTENCE_MAX, state_len};
use crate::exempt::{ASSERTS, CHECKS};
use crate::keys::{Naming, is_weak, naming_in_text};

/// What programs print in place of a value that is not there.
const NOTHING: [&[u8]; 16] = [
    b"<nil>",
    b"<null>",
    b"<none>",
    b"<empty>",
    b"<missing>",
    b"<unset>",
    b"<not set>",
    b"<no value>",
    b"<undefined>",
    b"(nil)",
    b"(null)",
    b"(none)",
    b"(empty)",
    b"(not set)",
    b"(unset)",
    b"n/a",
];
/// Dashes for nothing.
const DASHES_MAX: usize = 3;
/// Words that begin a sentence behind any name: `password: Path … is required`.
const SUBJECTS: [&[u8]; 8] =
    [b"path", b"field", b"value", b"argument", b"parameter", b"property", b"column", b"input"];
/// Words that begin one behind a name that is a word like others: `auth: user not found`.
const WEAK_SUBJECTS: [&[u8]; 20] = [
    b"access",
    b"account",
    b"certificate",
    b"client",
    b"connection",
    b"customer",
    b"database",
    b"endpoint",
    b"header",
    b"host",
    b"key",
    b"login",
    b"permission",
    b"provider",
    b"request",
    b"resource",
    b"role",
    b"server",
    b"service",
    b"user",
];
/// Texts in a list of what a check says.
const CHECKS_MAX: usize = 4;
/// Digits of a length that a check asks for.
const LENGTH_DIGITS_MAX: usize = 2;

/// Whether what follows a name is no value of it, but nothing, a name, or a sentence.
pub(super) fn is_no_value(rest: &[u8], name: &[u8], quote: Option<u8>) -> bool {
    match quote {
        Some(quote) => check_len(rest, quote).is_some(),
        None => {
            is_nothing(rest)
                || is_sentence(rest, name)
                || is_list_of_checks(rest)
                || (is_weak(name) && (is_test(rest, name) || is_resource(rest)))
        }
    }
}

fn ends(rest: &[u8], at: usize) -> bool {
    rest.get(at).is_none_or(|byte| ends_value(*byte))
}

fn is_nothing(rest: &[u8]) -> bool {
    let is_it = |word: &&[u8]| rest.get(..word.len()).is_some_and(|found| found.eq_ignore_ascii_case(word));
    let word = NOTHING.iter().find(|word| is_it(word) && ends(rest, word.len()));
    let dashes = rest.iter().take(DASHES_MAX).take_while(|byte| **byte == b'-').count();
    // Behind `>-` a block of YAML begins.
    let is_block = matches!(rest.get(dashes..), Some([b'\n', b' ', ..]));
    word.is_some() || (dashes > 0 && ends(rest, dashes) && !is_block)
}

/// Whether a subject and what is said of it follow: `Token is invalid`, `Signature "abc" does not match`.
fn is_sentence(rest: &[u8], name: &[u8]) -> bool {
    let length = rest.iter().take(NAME_MAX).take_while(|byte| byte.is_ascii_alphabetic()).count();
    let (word, behind) = rest.split_at(length);
    let Some(behind) = behind.strip_prefix(b" ") else { return false };
    let is_one_of = |words: &[&[u8]]| words.iter().any(|known| word.eq_ignore_ascii_case(known));
    let is_subject = is_one_of(&SUBJECTS)
        || (is_weak(name) && is_one_of(&WEAK_SUBJECTS))
        || naming_in_text(word) != Naming::Plain;
    is_subject && state_len(behind_quoted(behind)) > 1
}

/// What follows a word in quotation marks and a blank.
fn behind_quoted(rest: &[u8]) -> &[u8] {
    let Some((quote @ (b'"' | b'\'' | b'`'), inner)) = rest.split_first() else { return rest };
    let length = inner.iter().take(NAME_MAX).position(|byte| byte == quote);
    length.and_then(|length| inner[length + 1..].strip_prefix(b" ")).unwrap_or_default()
}

/// How long what is quoted is, if all of it are words of what a check of a form says: `This field is required.`
fn check_len(rest: &[u8], quote: u8) -> Option<usize> {
    let seen = &rest[..rest.len().min(SENTENCE_MAX)];
    let is_letter = |at: usize| rest.get(at).is_some_and(u8::is_ascii_alphabetic);
    // `can't`.
    let is_apostrophe = |at: usize| rest[at] == b'\'' && at > 0 && is_letter(at - 1) && is_letter(at + 1);
    let length = (0..seen.len()).find(|at| seen[*at] == quote && !is_apostrophe(*at))?;
    let said = &seen[..length];
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'\'' | b'-');
    let is_between = |byte: &u8| is_part(byte) || matches!(byte, b' ' | b'.' | b',' | b'(' | b')');
    let (mut count, mut asserts) = (0, false);
    let mut is_word = |word: &[u8]| {
        let lower = word.to_ascii_lowercase();
        count += 1;
        asserts |= ASSERTS.contains(&&*lower);
        let is_number = word.len() <= LENGTH_DIGITS_MAX && word.iter().all(u8::is_ascii_digit);
        is_number || state_len(word) == word.len() || CHECKS.contains(&&*lower) || ASSERTS.contains(&&*lower)
    };
    let mut words = said.split(|byte| !is_part(byte)).filter(|word| !word.is_empty());
    let is_said = said.iter().all(is_between) && words.all(&mut is_word);
    (is_said && asserts && count > 1).then_some(length)
}

/// `["This field is required."]`.
fn is_list_of_checks(rest: &[u8]) -> bool {
    let Some(mut rest) = rest.strip_prefix(b"[") else { return false };
    for _ in 0..CHECKS_MAX {
        rest = rest.strip_prefix(b" ").unwrap_or(rest);
        let Some((quote @ (b'"' | b'\''), inner)) = rest.split_first() else { return false };
        let Some(end) = check_len(inner, *quote) else { return false };
        match inner.get(end + 1) {
            Some(b']') => return true,
            Some(b',') => rest = &inner[end + 2..],
            _ => return false,
        }
    }
    false
}

/// `pass: test_login`: a test that has passed.
fn is_test(rest: &[u8], name: &[u8]) -> bool {
    let length =
        rest.iter().take(NAME_MAX).take_while(|byte| byte.is_ascii_alphabetic() || **byte == b'_').count();
    let is_named = rest[..length].len() > 4 && rest[..4].eq_ignore_ascii_case(b"test");
    last_word(name).eq_ignore_ascii_case(b"pass") && is_named && ends(rest, length)
}

/// `secret: prod/db`: the name of one.
fn is_resource(rest: &[u8]) -> bool {
    let is_part = |byte: &&u8| byte.is_ascii_lowercase() || matches!(byte, b'/' | b'-' | b'_');
    let length = rest.iter().take(NAME_MAX).take_while(is_part).count();
    let path = &rest[..length];
    let is_named = |part: &[u8]| part.first().is_some_and(u8::is_ascii_lowercase) && part.len() > 1;
    path.contains(&b'/') && path.split(|byte| *byte == b'/').all(is_named) && ends(rest, length)
}

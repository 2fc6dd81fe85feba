//! Values that only a blank parts from their names, as people write them: `password hunter2X9zz`, `OTP is 123456`.

use super::before;
use super::codes::{is_about_otp, is_code, is_named_behind, last_words};
use super::secrets::{NAME_MAX, RANDOM_MIN, STARS_MAX, Search, ends_value, name_before};
use super::signs::{GROUP, has_group};
use super::states::{is_gone, is_plain};
use crate::keys::{Naming, is_last_secret, is_weak, naming_in_text};
use crate::rewrite::REDACTED;

/// Digits that stand behind a name with nothing between but a blank: `cvv 123`, `OTP is 123456`.
const CODE_LENGTHS: std::ops::RangeInclusive<usize> = 3..=8;
/// Bytes before such digits that may name them.
const CODE_NAME_MAX: usize = 48;
/// Bytes of a word with signs in it that are read.
const WORD_MAX: usize = 128;
/// Shorter words in quotation marks are no passwords, and shorter ones with slashes are names.
const QUOTED_MIN: usize = 6;
const PATH_MIN: usize = 20;
/// Bytes of a value in psql's rows.
const LINE_MAX: usize = 1024;

impl Search<'_, '_, '_> {
    /// A name, a blank, and what is no word but letters and digits in disorder: `password hunter2X9zz`, and the same in
    /// quotation marks or brackets, or behind `is`.
    pub(super) fn spoken(&mut self, blank: usize) -> usize {
        let from = blank + 1;
        let opens =
            usize::from(matches!(self.text.get(from), Some(b'"' | b'\'' | b'(' | b'[' | b'<' | b'`')));
        let start = from + opens;
        let rest = &self.text[start..];
        let length = rest.iter().take(NAME_MAX).take_while(|byte| byte.is_ascii_alphanumeric()).count();
        let word = &rest[..length];
        let is_random = length >= RANDOM_MIN
            && word.iter().any(u8::is_ascii_digit)
            && word.iter().any(u8::is_ascii_alphabetic);
        let quote = self.text.get(from).copied().filter(|byte| matches!(byte, b'"' | b'\'' | b'`'));
        // Most words end in a blank.
        let goes_on = length > 0 && rest.get(length).is_some_and(|byte| !byte.is_ascii_whitespace());
        let is_signed = !is_random && goes_on && is_password(rest, quote);
        if !(is_random || is_signed) || start < self.out.done() {
            return from;
        }
        let name = last_words(&self.text[blank.saturating_sub(NAME_MAX)..blank]);
        let is_secret = || {
            let name = name.strip_suffix(b" is").unwrap_or(name);
            naming_in_text(name) == Naming::Secret
                && !is_last_secret(name)
                // A token that a parser quotes is a word.
                && !(is_signed && quote.is_some() && is_weak(name))
        };
        if name.is_empty() || !is_secret() {
            return from;
        }
        let ends = |byte: &u8| match quote {
            Some(quote) if is_signed => *byte == quote,
            _ => ends_value(*byte) || matches!(byte, b'>' | b'`'),
        };
        let end = start + rest.iter().position(ends).unwrap_or(rest.len());
        self.out.put(start, end, REDACTED);
        end
    }

    /// A name that begins a line, a bar between blanks, and a value to the end of the line: how psql prints a row, field by
    /// field.
    pub(super) fn piped(&mut self, sign: usize) -> usize {
        let from = sign + 1;
        if before(self.text, sign) != Some(b' ') || self.text.get(from) != Some(&b' ') {
            return from;
        }
        let place = name_before(self.text, sign);
        let begins = matches!(before(self.text, place.start), None | Some(b'\n' | b'\r'));
        let name = &self.text[place];
        if !begins || naming_in_text(name) == Naming::Plain || from < self.out.done() {
            return from;
        }
        let start = from + 1;
        let rest = &self.text[start..text_end(self.text, start)];
        let is_word = |byte: &u8| !byte.is_ascii_whitespace() && *byte != b'|';
        // A word of letters is the type of a column.
        let looks_secret = rest.iter().any(|byte| !byte.is_ascii_alphabetic() && *byte != b'_');
        if rest.is_empty() || !rest.iter().all(is_word) || !looks_secret || is_plain(rest, name, None) {
            return from;
        }
        if !is_gone(rest) {
            self.out.put(start, start + rest.len(), REDACTED);
        }
        start + rest.len()
    }

    /// Digits behind a name with nothing between but a blank, or `is`; or before it: data that must never be stored is
    /// hidden as people write it, too.
    pub(super) fn code(&mut self, start: usize) -> usize {
        let length = self.text[start..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let end = start + length;
        // It may be set in bold.
        let opened =
            self.text[..start].iter().rev().take(STARS_MAX).take_while(|byte| **byte == b'*').count();
        let first = start - opened;
        let is_apart = before(self.text, first).is_none_or(|byte| byte == b' ')
            && self
                .text
                .get(end)
                .is_none_or(|byte| ends_value(*byte) || matches!(byte, b'.' | b'!' | b'<' | b'*'));
        if !is_apart || !CODE_LENGTHS.contains(&length) || start < self.out.done() {
            return end;
        }
        let head = &self.text[first.saturating_sub(CODE_NAME_MAX)..first];
        // Both halves of one: `482 913`.
        let is_half = length == GROUP && has_group(&self.text[start..]);
        let (length, end) =
            if is_half && (is_code(last_words(head), 2 * GROUP) || is_about_otp(head, 2 * GROUP)) {
                (2 * GROUP, end + GROUP + 1)
            } else {
                (length, end)
            };
        if is_code(last_words(head), length)
            || (head.ends_with(b" is ") && is_about_otp(head, length))
            || is_named_behind(&self.text[end..], length)
        {
            self.out.put(start, end, REDACTED);
        }
        end
    }
}

/// Where the line ends that `start` is in, or so many bytes of it.
fn text_end(text: &[u8], start: usize) -> usize {
    let seen = &text[start..text.len().min(start + LINE_MAX)];
    start + seen.iter().position(|byte| matches!(byte, b'\n' | b'\r')).unwrap_or(seen.len())
}

/// Whether a word with signs in it is no word of a sentence: letters and digits, and a sign that names have not; or, in
/// quotation marks, letters and any of these.
fn is_password(rest: &[u8], quote: Option<u8>) -> bool {
    let seen = &rest[..rest.len().min(WORD_MAX)];
    let ends = |byte: &u8| match quote {
        Some(quote) => *byte == quote,
        None => ends_value(*byte) || matches!(byte, b'>' | b'`'),
    };
    let end = seen.iter().position(ends);
    let word = &seen[..end.unwrap_or(seen.len())];
    let has = |is_it: fn(&u8) -> bool| word.iter().any(is_it);
    let (digit, letter) = (has(u8::is_ascii_digit), has(u8::is_ascii_alphabetic));
    let sign = has(|byte| matches!(byte, b'@' | b'!' | b'$' | b'%' | b'^' | b'*' | b'~'));
    if quote.is_some() {
        let is_word = !has(u8::is_ascii_whitespace) && !has(|byte| matches!(byte, b':' | b'/' | b'='));
        return end.is_some() && word.len() >= QUOTED_MIN && letter && (digit || sign) && is_word;
    }
    let body = word.trim_ascii_end();
    let is_base64 = has(|byte| matches!(byte, b'/' | b'+'));
    // `jane1@example.com`.
    let is_address = word.split(|byte| *byte == b'@').skip(1).any(|host| host.contains(&b'.'));
    let padding = body.iter().rev().take_while(|byte| **byte == b'=').count();
    let is_named = body[..body.len() - padding].iter().any(|byte| matches!(byte, b'=' | b':' | b'(' | b'<'));
    if word.len() < RANDOM_MIN || !digit || !letter || is_address || is_named {
        return false;
    }
    match is_base64 {
        true => {
            word.len() >= PATH_MIN
                && has(u8::is_ascii_uppercase)
                && has(u8::is_ascii_lowercase)
                && !has(|byte| matches!(byte, b'.' | b'-' | b'_'))
        }
        false => sign,
    }
}

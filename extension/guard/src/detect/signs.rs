//! Signs that end a value elsewhere, and are a part of this one: `password: a;b`, `Server=db;Password=a&b;`, `a\&b`, `a"b`.

use super::before;
use super::secrets::{BLANKS_MAX, NAME_MAX, ends_value, ends_with_word, is_forbidden, is_name};

/// Digits of half of a one-time password.
pub(super) const GROUP: usize = 3;

/// How a name and its value are written: that tells which signs are between two of them.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// `name: value`.
    Colon,
    /// `name=value;name=value`.
    Connection,
    /// `name=value` in a query, a command or a log.
    Other,
}

/// How long the value is that begins `text[start..]`, of which `length` bytes have no sign that may end it. The sign behind
/// its `name` ends at `from`, and `mark` is before the name.
pub(super) fn whole(
    text: &[u8],
    start: usize,
    length: usize,
    from: usize,
    name: &[u8],
    mark: Option<u8>,
) -> usize {
    let rest = &text[start..];
    // `Stripe-Signature: t=1,v1=…`.
    let has_parts = ends_with_word(name, b"signature") && rest[..length].contains(&b'=');
    if is_forbidden(name) && length == GROUP && has_group(rest) {
        return 2 * GROUP + 1;
    }
    let form = form(text, from, &rest[length..]);
    let mut at = length;
    let comma = |at: usize| {
        let behind = rest.get(at..).and_then(|rest| rest.strip_prefix(b","));
        behind.filter(|behind| has_parts && begins_name(behind)).map(|_| 1)
    };
    while let Some(part) = part_len(rest, at, form, mark).or_else(|| comma(at)) {
        at += part;
        at += rest[at..].iter().position(|byte| ends_value(*byte)).unwrap_or(rest.len() - at);
    }
    at
}

/// Whether three digits, a blank and three digits are what follows: `482 913`.
pub(super) fn has_group(rest: &[u8]) -> bool {
    let Some(code) = rest.get(..2 * GROUP + 1) else { return false };
    let (first, second) = code.split_at(GROUP);
    let is_apart = rest.get(code.len()).is_none_or(|byte| !byte.is_ascii_alphanumeric());
    first.iter().chain(&second[1..]).all(u8::is_ascii_digit) && second[0] == b' ' && is_apart
}

fn form(text: &[u8], from: usize, behind: &[u8]) -> Form {
    if before(text, from) == Some(b':') {
        return Form::Colon;
    }
    let head = &text[..from.saturating_sub(1)];
    let is_blank = |byte: &&u8| matches!(byte, b' ' | b'\t');
    let without = |head: &[u8], is_it: &dyn Fn(&&u8) -> bool, most| {
        head.len() - head.iter().rev().take(most).take_while(is_it).count()
    };
    let name = &head[..without(head, &is_blank, BLANKS_MAX)];
    let head = &name[..without(name, &|byte| is_name(**byte), NAME_MAX)];
    let is_next = head[..without(head, &is_blank, BLANKS_MAX)].ends_with(b";");
    // The first of several: another name stands behind the next semicolon.
    let is_sign = matches!(behind.first(), Some(b'&' | b'|'));
    let length = behind.iter().skip(1).take(NAME_MAX).take_while(|byte| !ends_value(**byte)).count();
    let is_first = is_sign
        && behind.get(length + 1) == Some(&b';')
        && begins_name(behind[length + 2..].trim_ascii_start());
    if is_next || is_first { Form::Connection } else { Form::Other }
}

/// Whether a name and a sign are what follows.
fn begins_name(rest: &[u8]) -> bool {
    let length = rest.iter().take(NAME_MAX).take_while(|byte| is_name(**byte) || **byte == b' ').count();
    length > 0 && matches!(rest.get(length), Some(b'=' | b':'))
}

/// How much of the value the sign at `at` is, if it is a part of it.
fn part_len(rest: &[u8], at: usize, form: Form, mark: Option<u8>) -> Option<usize> {
    let (sign, behind) = rest[at..].split_first()?;
    let next = *behind.first()?;
    let goes_on = !ends_value(next) && !matches!(next, b'=' | b':');
    match sign {
        // What a shell escapes; all else that is escaped has been undone.
        b'\\' => (next == b' ' || !(next.is_ascii_whitespace() || matches!(next, b'"' | b'\''))).then_some(2),
        b'"' => (at > 0 && mark != Some(b'"') && next.is_ascii_alphanumeric()).then_some(1),
        b'&' | b'|' if form == Form::Connection => goes_on.then_some(1),
        b'&' | b'|' | b';' if form == Form::Colon => (goes_on && !begins_name(behind)).then_some(1),
        b'&' | b'|' if at == 0 => (goes_on && !begins_name(behind)).then_some(1),
        _ => None,
    }
}

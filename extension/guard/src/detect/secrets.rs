//! Values that their name gives away: `password=…`, `"cvv":"123"`, `Cookie: …` inside a text.

use crate::hash::LETTERS as HASH_LETTERS;
use crate::keys::{Naming, naming_in_text};
use crate::rewrite::{REDACTED, Rewrite};

/// Longer words are no names.
const NAME_MAX: usize = 64;
/// What stands for a value that has gone already.
const GONE: [&[u8]; 2] = [REDACTED, b"REDACTED"];
/// The values of these names go to the end of the line: they have spaces in them.
const WHOLE_LINES: [&[u8]; 2] = [b"authorization", b"cookie"];

pub(crate) fn redact(text: &[u8], out: &mut Rewrite<'_>) {
    let mut at = 0;
    while let Some(sign) = text[at..].iter().position(|byte| matches!(byte, b'=' | b':')) {
        let sign = at + sign;
        at = sign + 1;
        let name = name_before(text, sign);
        if name.is_empty() || naming_in_text(name) == Naming::Plain {
            continue;
        }
        let (start, end) = value_after(text, sign + 1, name);
        if start < end && start >= out.done() && !is_gone(&text[start..]) {
            out.put(start, end, REDACTED);
            at = end;
        }
    }
}

/// Whether what begins here has gone already: it is nothing but a word that says so, stars, or a hash.
fn is_gone(rest: &[u8]) -> bool {
    let ends = |rest: &[u8]| rest.first().is_none_or(|byte| ends_value(*byte));
    let is_word = GONE.iter().any(|gone| rest.strip_prefix(*gone).is_some_and(ends));
    let after = |is_part: fn(&u8) -> bool| {
        rest.iter().position(|byte| !is_part(byte)).map_or(&[][..], |at| &rest[at..])
    };
    let are_stars = rest.first() == Some(&b'*') && ends(after(|byte| *byte == b'*'));
    let is_hash = rest.strip_prefix(b"{").is_some_and(|letters| {
        letters.len() > HASH_LETTERS
            && letters[..HASH_LETTERS].iter().all(|byte| (b'a'..=b'p').contains(byte))
            && letters[HASH_LETTERS] == b'}'
    });
    is_word || are_stars || is_hash
}

/// The word before the sign at `sign`, without the quotes and spaces around it.
fn name_before(text: &[u8], sign: usize) -> &[u8] {
    let is_around = |byte: &u8| matches!(byte, b' ' | b'"' | b'\'' | b'\\' | b'`');
    let floor = sign.saturating_sub(NAME_MAX + 4);
    let around = text[floor..sign].iter().rev().take(4).take_while(|byte| is_around(byte)).count();
    let end = sign - around;
    let is_name =
        |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'[' | b']');
    let length = text[floor..end].iter().rev().take_while(|byte| is_name(byte)).count();
    &text[end - length..end]
}

/// Where the value behind a sign begins and ends.
fn value_after(text: &[u8], from: usize, name: &[u8]) -> (usize, usize) {
    let mut start = from + text[from..].iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    let escapes = text[start..].iter().take_while(|byte| **byte == b'\\').count();
    if let Some(quote) = text.get(start + escapes).copied().filter(|byte| matches!(byte, b'"' | b'\'' | b'`'))
    {
        start += escapes + 1;
        return (start, end_of_quoted(text, start, quote, escapes));
    }
    let is_line = WHOLE_LINES.iter().any(|line| ends_with_word(name, line));
    let rest = &text[start..];
    let length = match rest.first() {
        Some(b'[' | b'{') if !is_gone(rest) => bracketed(rest),
        _ if is_line => {
            rest.iter().position(|byte| matches!(byte, b'\n' | b'\r' | b'"')).unwrap_or(rest.len())
        }
        _ => rest.iter().position(|byte| ends_value(*byte)).unwrap_or(rest.len()),
    };
    (start, start + length)
}

fn ends_with_word(name: &[u8], word: &[u8]) -> bool {
    name.len() >= word.len() && name[name.len() - word.len()..].eq_ignore_ascii_case(word)
}

const fn ends_value(byte: u8) -> bool {
    byte.is_ascii_whitespace()
        || matches!(byte, b',' | b';' | b'&' | b'"' | b'\'' | b')' | b'}' | b']' | b'|' | b'\\')
}

/// The next quote that is escaped as the first one was.
fn end_of_quoted(text: &[u8], start: usize, quote: u8, escapes: usize) -> usize {
    let mut at = start;
    while at < text.len() {
        let slashes = text[at..].iter().take_while(|byte| **byte == b'\\').count();
        let here = at + slashes;
        if text.get(here) == Some(&quote) && slashes <= escapes {
            return at;
        }
        at = here + 1;
    }
    text.len()
}

/// The length of an array or object, or of all that is left of one that is cut off.
fn bracketed(rest: &[u8]) -> usize {
    let mut depth = 0_usize;
    for (index, byte) in rest.iter().enumerate() {
        match byte {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => {
                depth -= 1;
                if depth == 0 {
                    return index + 1;
                }
            }
            _ => {}
        }
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect;

    fn redacted(text: &str) -> String {
        detect::redacted(text, redact)
    }

    #[test]
    fn named_secrets_go_and_their_names_stay() {
        let rows = [
            ("password=hunter2&user=jane", "password=[redacted]&user=jane"),
            (r#"{"cvv":"123","amount":5}"#, r#"{"cvv":"[redacted]","amount":5}"#),
            (r#"{"pin": 1234}"#, r#"{"pin": [redacted]}"#),
            (r#"{\"password\":\"hun\\\"ter2\",\"a\":1}"#, r#"{\"password\":\"[redacted]\",\"a\":1}"#),
            ("Authorization: Token abc def\nHost: x", "Authorization: [redacted]\nHost: x"),
            ("set-cookie: a=b; c=d", "set-cookie: [redacted]"),
            ("{'api_key': 'x y'}", "{'api_key': '[redacted]'}"),
            ("client_secret=abc, x=1", "client_secret=[redacted], x=1"),
            (r#"{"password":["a",{"b":1}],"c":2}"#, r#"{"password":[redacted],"c":2}"#),
        ];
        for (text, expected) in rows {
            assert_eq!(redacted(text), expected);
            assert_eq!(redacted(expected), expected, "once is enough");
        }
    }

    #[test]
    fn other_names_stay() {
        for text in
            ["token_count=12", "https://x", "a=b", "12:30:45", "pin_code=560001", "=", ":", "password"]
        {
            assert_eq!(redacted(text), text);
        }
    }
}

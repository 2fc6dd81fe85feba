//! URLs: what is asked for stays, the values it is asked with go, and so does who asks.
//!
//! # Source
//! `REDACTED` in place of values and of user information: `url.full` and `url.query` in
//! <https://opentelemetry.io/docs/specs/semconv/registry/attributes/url/>

use crate::rewrite::Rewrite;

const REDACTED: &[u8] = b"REDACTED";

/// Replaces the values of every query and fragment in a text, and the user before a host. In a value that is
/// nothing but a query (`url.query`), there is no question mark before it.
pub(crate) fn redact(text: &[u8], is_query: bool, out: &mut Rewrite<'_>) {
    if is_query {
        values(text, usize::from(text.first() == Some(&b'?')), out);
        return;
    }
    let mut at = 0;
    while let Some(mark) = text[at..].iter().position(|byte| matches!(byte, b'?' | b'#' | b':')) {
        let mark = at + mark;
        at = match text[mark] {
            b':' => user(text, mark, out),
            _ if begins_pairs(&text[mark + 1..]) => values(text, mark + 1, out),
            _ => mark + 1,
        };
    }
}

/// Whether a name and `=` come next: a question in a sentence has none.
fn begins_pairs(rest: &[u8]) -> bool {
    let length = rest.iter().take_while(|byte| is_name(**byte)).count();
    length > 0 && rest.get(length) == Some(&b'=')
}

const fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'_' | b'-' | b'.' | b'[' | b']' | b'%' | b'~' | b'+' | b'$')
}

const fn ends_query(byte: u8) -> bool {
    byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'' | b'<' | b'>' | b'`' | b'\\')
}

/// Replaces the values of the pairs that begin at `start`; says where they end.
fn values(text: &[u8], start: usize, out: &mut Rewrite<'_>) -> usize {
    let mut at = start;
    loop {
        let rest = &text[at..];
        let length = rest
            .iter()
            .position(|byte| ends_query(*byte) || matches!(byte, b'&' | b';' | b'#' | b'?'))
            .unwrap_or(rest.len());
        if let Some(sign) = rest[..length].iter().position(|byte| *byte == b'=') {
            let value = at + sign + 1;
            if value < at + length {
                out.put(value, at + length, REDACTED);
            }
        }
        at += length;
        match text.get(at) {
            Some(byte) if !ends_query(*byte) => at += 1,
            _ => return at,
        }
    }
}

/// Replaces `name:password` in `://name:password@`; says where to go on.
fn user(text: &[u8], colon: usize, out: &mut Rewrite<'_>) -> usize {
    let start = colon + 3;
    if !text[colon..].starts_with(b"://") {
        return colon + 1;
    }
    let rest = &text[start..];
    let authority = rest
        .iter()
        .position(|byte| ends_query(*byte) || matches!(byte, b'/' | b'?' | b'#'))
        .map_or(rest, |length| &rest[..length]);
    if let Some(at) = authority.iter().rposition(|byte| *byte == b'@') {
        let with: &[u8] = if authority[..at].contains(&b':') { b"REDACTED:REDACTED" } else { REDACTED };
        out.put(start, start + at, with);
    }
    start + authority.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect;

    fn redacted(text: &str, is_query: bool) -> String {
        detect::redacted(text, |text, out| redact(text, is_query, out))
    }

    #[test]
    fn names_stay_and_values_go() {
        let rows = [
            ("https://a.io/p?x=1&y=2#z", "https://a.io/p?x=REDACTED&y=REDACTED#z"),
            ("/p?x=1&flag&y=", "/p?x=REDACTED&flag&y="),
            ("https://jane:pw@a.io/p", "https://REDACTED:REDACTED@a.io/p"),
            ("https://jane@a.io", "https://REDACTED@a.io"),
            ("GET /p?x=1 took 3 ms", "GET /p?x=REDACTED took 3 ms"),
            ("https://a.io/cb#access_token=abc&t=1", "https://a.io/cb#access_token=REDACTED&t=REDACTED"),
        ];
        for (text, expected) in rows {
            assert_eq!(redacted(text, false), expected);
            assert_eq!(redacted(expected, false), expected);
        }
        assert_eq!(redacted("x=1&y=2", true), "x=REDACTED&y=REDACTED");
        assert_eq!(redacted("?x=1", true), "?x=REDACTED");
    }

    #[test]
    fn texts_stay() {
        for text in ["https://a.io/p", "really? yes = no", "12:30", "a?b", "C#", "mailto:a@b.c", "?", "://"] {
            assert_eq!(redacted(text, false), text);
        }
    }
}

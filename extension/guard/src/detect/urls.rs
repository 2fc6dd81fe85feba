//! URLs: what is asked for stays, the values it is asked with go, and so does who asks.
//!
//! # Source
//! `REDACTED` in place of values and of user information: `url.full` and `url.query` in
//! <https://opentelemetry.io/docs/specs/semconv/registry/attributes/url/>

use crate::rewrite::Rewrite;

const REDACTED: &[u8] = b"REDACTED";
const BOTH: &[u8] = b"REDACTED:REDACTED";
/// Bytes of a name, and of a password behind it, where no scheme is before them.
const PART_MAX: usize = 64;
/// What stands behind the at-sign of a driver's address: `user:password@tcp(db:3306)/app`.
const PLACES: [&[u8]; 2] = [b"//", b"localhost"];
/// Go's networks.
const NETWORKS: [&[u8]; 4] = [b"tcp", b"tcp6", b"udp", b"unix"];
/// Letters of the name of a network before the bracket in `cloudsql(…)`.
const NETWORK_MAX: usize = 16;
/// A password before an account and a database that no port tells: shorter ones may be the tag of an image.
const GUESSED_MIN: usize = 8;
/// What Oracle's drivers write before `user/password@`.
const ORACLE: [&[u8]; 3] = [b"thin", b"oci", b"oci8"];

/// Replaces the values of every query and fragment in a text, and the user before a host. In a value that is
/// nothing but a query (`url.query`), there is no question mark before it.
///
/// In a value that `is_url` and nothing else, a query goes on to the end: a quotation mark or a blank is a part of it.
pub(crate) fn redact(text: &[u8], is_query: bool, is_url: bool, out: &mut Rewrite<'_>) {
    let ends = if is_query || is_url { |_: &[u8], _| false } else { ends_query };
    if is_query {
        values(text, usize::from(text.first() == Some(&b'?')), ends, out);
        return;
    }
    let mut at = 0;
    while let Some(mark) = text[at..].iter().position(|byte| matches!(byte, b'?' | b'#' | b':')) {
        let mark = at + mark;
        at = match text[mark] {
            b':' => user(text, mark, out),
            _ => values(text, mark + 1, ends, out),
        };
    }
}

/// Whether a query ends at `at`. An apostrophe is a part of a name (`O'Hara`) unless nothing of a query follows.
fn ends_query(text: &[u8], at: usize) -> bool {
    match text[at] {
        b'"' | b'<' | b'>' | b'`' | b'\\' => true,
        b'\'' => !text
            .get(at + 1)
            .is_some_and(|next| next.is_ascii_alphanumeric() || *next >= 0x80 || *next == b'%'),
        byte => byte.is_ascii_whitespace(),
    }
}

/// Replaces the values of the pairs that begin at `start`; says where the query ends. A part without `=` is the name of
/// something that is on; a question in a sentence has no `=` before its next blank.
fn values(text: &[u8], start: usize, ends: fn(&[u8], usize) -> bool, out: &mut Rewrite<'_>) -> usize {
    let mut at = start;
    let mut part = start;
    let mut value = None;
    loop {
        let is_end = at == text.len() || ends(text, at);
        if is_end || matches!(text[at], b'&' | b'#') {
            if let Some(value) = value.take().filter(|value| *value < at) {
                out.put(value, at, REDACTED);
            }
            part = at + 1;
        } else if text[at] == b'=' && value.is_none() && at > part {
            value = Some(at + 1);
        }
        if is_end {
            return at.max(start);
        }
        at += 1;
    }
}

/// Replaces `name:password` in `://name:password@`; says where to go on.
fn user(text: &[u8], colon: usize, out: &mut Rewrite<'_>) -> usize {
    let start = colon + 3;
    if !text[colon..].starts_with(b"://") {
        return user_of_driver(text, colon, out);
    }
    let rest = &text[start..];
    let ends = |at: &usize| ends_query(text, *at) || matches!(text[*at], b'/' | b'?' | b'#');
    let end = (start..text.len()).find(ends).unwrap_or(text.len());
    let authority = match behind(text, start, end) {
        Some(at) => &rest[..at - start],
        None => &rest[..end - start],
    };
    if let Some(at) = authority.iter().rposition(|byte| *byte == b'@') {
        let with: &[u8] = if authority[..at].contains(&b':') { BOTH } else { REDACTED };
        out.put(start, start + at, with);
    }
    start + authority.len()
}

/// Where the user ends whose password has a sign in it that ends a host: `//jane:p#ss@db`. What stands behind the colon of a
/// host is its port, and has digits only.
fn behind(text: &[u8], start: usize, end: usize) -> Option<usize> {
    let head = &text[start..end];
    let colon = head.iter().position(|byte| *byte == b':')?;
    let sign = *text.get(end)?;
    // A fragment behind a port has a slash or an equals sign before its at-sign.
    let mut behind = text[end..].iter().take(PART_MAX).take_while(|byte| **byte != b'@');
    let is_fragment = behind.any(|byte| matches!(byte, b'/' | b'?' | b'='));
    let is_port = head[colon + 1..].iter().all(u8::is_ascii_digit);
    if (is_port && (sign != b'#' || is_fragment)) || head.contains(&b'@') || head[0] == b'[' {
        return None;
    }
    let most = text.len().min(end + PART_MAX);
    let is_part = |at: usize| text[at] == b'"' && text.get(at + 1).is_some_and(u8::is_ascii_alphanumeric);
    let word = (end..most).take_while(|at| !ends_query(text, *at) || (*at == end && is_part(*at)));
    // With the at-sign.
    word.filter(|at| text[*at] == b'@').last().map(|at| at + 1)
}

/// Replaces `name:password` where no scheme is before it, and what follows is a place; says where to go on.
fn user_of_driver(text: &[u8], colon: usize, out: &mut Rewrite<'_>) -> usize {
    let is_name = |byte: &&u8| {
        !byte.is_ascii_whitespace() && !matches!(byte, b'/' | b':' | b'@' | b'"' | b'\'' | b'=' | b',' | b'(')
    };
    let head = &text[..colon];
    let start = colon - head.iter().rev().take(PART_MAX).take_while(is_name).count();
    // What is read behind the colon ends at the next one: each byte is read once.
    let rest = &text[colon + 1..];
    let word = &rest[..rest.len().min(PART_MAX)];
    let is_blank = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'');
    let word = &word[..word.iter().position(|byte| is_blank(byte) || *byte == b':').unwrap_or(word.len())];
    // Before the brackets of a network the password may have any sign in it.
    let is_network = |at: &usize| word[*at] == b'@' && has_brackets(&rest[at + 1..]);
    let network = (1..word.len()).rev().find(is_network);
    let first = word.iter().position(|byte| *byte == b'@');
    let Some(at) = network.or(first).filter(|at| *at > 0) else { return colon + 1 };
    let (password, place) = (&rest[..at], &rest[at + 1..]);
    let name = &text[start..colon];
    if ORACLE.iter().any(|driver| name.eq_ignore_ascii_case(driver)) {
        if password.contains(&b'/') {
            out.put(colon + 1, colon + 1 + at, REDACTED);
        }
        return colon + 1 + at;
    }
    let is_relative = text[..start].ends_with(b"//");
    let is_place = PLACES.iter().any(|known| place.starts_with(known))
        || has_port(place)
        || is_path(place)
        || (is_account(place) && is_guessed(password));
    let is_sure = network.is_some() || ((is_relative || is_place) && !password.contains(&b'/'));
    if !name.is_empty() && start >= out.done() && is_sure {
        out.put(start, colon + 1 + at, BOTH);
        return colon + 1 + at;
    }
    colon + 1
}

/// Whether a network follows with its address in brackets, as in Go's `tcp(db:3306)`, or only the brackets. One that a
/// program has registered itself has an address, and no argument: `@Inject(name)`.
fn has_brackets(place: &[u8]) -> bool {
    let length = place.iter().take(NETWORK_MAX).take_while(|byte| byte.is_ascii_alphanumeric()).count();
    let Some([b'(', address @ ..]) = place.get(length..) else { return false };
    let is_part = |byte: &&u8| !byte.is_ascii_whitespace() && **byte != b')';
    let mut address = address.iter().take(PART_MAX).take_while(is_part);
    length == 0 || NETWORKS.contains(&&place[..length]) || address.any(|byte| *byte == b':')
}

/// Whether a database follows, and no host: `@/orders`.
fn is_path(place: &[u8]) -> bool {
    place.starts_with(b"/") && place.get(1).is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
}

/// Whether an account and a database follow: `@acct/db`.
fn is_account(place: &[u8]) -> bool {
    let is_part = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    let account = place.iter().take(PART_MAX).take_while(is_part).count();
    place.first().is_some_and(u8::is_ascii_alphabetic) && is_path(&place[account..])
}

/// Whether a word is letters and digits as in a password, and no version or tag.
fn is_guessed(word: &[u8]) -> bool {
    word.len() >= GUESSED_MIN
        && word.iter().any(u8::is_ascii_digit)
        && word.iter().any(u8::is_ascii_alphabetic)
        && !word.iter().any(|byte| matches!(byte, b'/' | b'.'))
}

/// Whether a host and its port are what follows.
fn has_port(place: &[u8]) -> bool {
    let is_host = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    let host = place.iter().take(PART_MAX).take_while(is_host).count();
    let Some([b':', port @ ..]) = place.get(host..) else { return false };
    let digits = port.iter().take(6).take_while(|byte| byte.is_ascii_digit()).count();
    // `baz.js:12:4` is a line and a column.
    let goes_on = port.get(digits).is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b':');
    host > 0 && (1..=5).contains(&digits) && !goes_on
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect;
    use crate::rewrite::Action;

    fn redacted(text: &str, is_query: bool) -> String {
        let mut raw = Rewrite::new(text.as_bytes(), Action::Fitting, None);
        redact(text.as_bytes(), is_query, false, &mut raw);
        let raw = raw.finish().map_or_else(|| text.to_owned(), |raw| String::from_utf8(raw).expect("UTF-8"));
        detect::redacted(&raw, |text, out| redact(text, is_query, false, out))
    }

    #[test]
    fn names_stay_and_values_go() {
        let rows = [
            ("https://a.io/p?x=1&y=2#z", "https://a.io/p?x=REDACTED&y=REDACTED#z"),
            ("/p?x=1&flag&y=", "/p?x=REDACTED&flag&y="),
            ("/p?flag&dob=1990-01-01", "/p?flag&dob=REDACTED"),
            ("/p?name=O'Hara&dob=1990", "/p?name=REDACTED&dob=REDACTED"),
            ("'/p?name=O'Hara&dob=1990'", "'/p?name=REDACTED&dob=REDACTED'"),
            ("/p?a:b|c(d*e,f/g@h=1&x=2", "/p?a:b|c(d*e,f/g@h=REDACTED&x=REDACTED"),
            ("/p?naïve=1&x=é", "/p?naïve=REDACTED&x=REDACTED"),
            ("/p?q=a;b=c?d", "/p?q=REDACTED"),
            ("/p%3Fflag%26dob%3D1990-01-01", "/p%3Fflag%26dob%3DREDACTED"),
            ("/cb?x=y%26z", "/cb?x=REDACTED"),
            ("https://jane:pw@a.io/p", "https://REDACTED:REDACTED@a.io/p"),
            ("https://jane@a.io", "https://REDACTED@a.io"),
            ("app:pw@tcp(db:3306)/app", "REDACTED:REDACTED@tcp(db:3306)/app"),
            ("app:p/w@x@cloudsql(p:i)/app", "REDACTED:REDACTED@cloudsql(p:i)/app"),
            ("app:pw@/app", "REDACTED:REDACTED@/app"),
            ("app:hunter2X9zz@acct/app", "REDACTED:REDACTED@acct/app"),
            ("dsn=app:pw@db:5432/app", "dsn=REDACTED:REDACTED@db:5432/app"),
            ("'//app:pw@db/x'", "'//REDACTED:REDACTED@db/x'"),
            ("jdbc:oracle:thin:scott/tiger@//db:1521/o", "jdbc:oracle:thin:REDACTED@//db:1521/o"),
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
        for text in [
            "https://a.io/p",
            "really? yes = no",
            "12:30",
            "a?b",
            "C#",
            "mailto:a@b.c",
            "?",
            "://",
            "nginx:1.25@sha256:e3b0",
            "npm:react@18.2.0",
            "a:b@c",
            "foo:bar@baz.js:12:4",
            "npm:react@18.2.0/jsx-runtime",
            "stage:blue@edge/eu",
            "a:b@/",
            "code:x@Inject(name)",
            "error:handler@app(/x/y.js)",
        ] {
            assert_eq!(redacted(text, false), text);
        }
    }
}

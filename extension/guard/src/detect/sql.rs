//! Statements for databases: the literals become question marks, names and keywords stay. JSON queries keep their keys.

use super::before;
use crate::rewrite::Rewrite;

/// Words after which a double-quoted name is a name, and not MySQL's text.
const BEFORE_NAMES: [&[u8]; 6] = [b"from", b"join", b"into", b"update", b"table", b"as"];

/// In place of a literal.
pub(crate) const PLACEHOLDER: &[u8] = b"?";

pub(crate) fn redact(text: &[u8], out: &mut Rewrite<'_>) {
    let is_json = matches!(text.trim_ascii_start().first(), Some(b'{' | b'['));
    let mut at = 0;
    while at < text.len() {
        let (length, is_literal) = match token(text, at, is_json) {
            (length, true) if !is_json && is_ambiguous(text, at, length) => (text.len() - at, true),
            token => token,
        };
        if is_literal {
            out.put(at, at + length, if is_json && text[at] == b'"' { b"\"?\"" } else { PLACEHOLDER });
        }
        at += length.max(1);
    }
}

/// How long the token at `at` is, and whether it is a value.
fn token(text: &[u8], at: usize, is_json: bool) -> (usize, bool) {
    let rest = &text[at..];
    match rest[0] {
        b'\'' => (quoted(rest, b'\'', is_json), true),
        b'"' if is_json => {
            let length = quoted(rest, b'"', true);
            (length, rest[length..].trim_ascii_start().first() != Some(&b':'))
        }
        b'"' => {
            let length = quoted(rest, b'"', false);
            (length, !is_name(text, at, length))
        }
        b'-' if rest.starts_with(b"--") => (line(rest), true),
        // In PostgreSQL `#>` and `#-` are operators.
        b'#' if !is_json && !matches!(rest.get(1), Some(b'>' | b'-')) => (line(rest), true),
        b'/' if rest.starts_with(b"/*") => (comment(rest), true),
        b'$' if !is_json => dollar(rest),
        b'0'..=b'9' => (number(rest), true),
        b'_' | b'a'..=b'z' | b'A'..=b'Z' | 0x80.. => (word(rest), false),
        _ => (1, false),
    }
}

/// The length of a quoted text. A quote inside is doubled or follows a backslash.
fn quoted(rest: &[u8], quote: u8, is_json: bool) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            byte if byte == quote && rest.get(at + 1) == Some(&quote) && !is_json => at += 2,
            byte if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// Whether what is quoted ends elsewhere for a database in which a backslash escapes nothing: MySQL and PostgreSQL read
/// `'\'` each in its own way, and which of them reads this nobody here knows. What follows may be in or out of quotes, and
/// is hidden.
fn is_ambiguous(text: &[u8], at: usize, length: usize) -> bool {
    let quote = text[at];
    // In PostgreSQL `E'…'` says that a backslash escapes.
    let is_told = matches!(before(text, at), Some(b'E' | b'e'));
    let token = &text[at..at + length];
    let mut backslashes = 0_usize;
    matches!(quote, b'\'' | b'"' | b'`')
        && !is_told
        && token.iter().skip(1).any(|byte| {
            let is_escaped = *byte == quote && backslashes % 2 == 1;
            backslashes = if *byte == b'\\' { backslashes + 1 } else { 0 };
            is_escaped
        })
}

/// Whether what is in double quotes names a table or a column: beside a dot, or behind a word that asks for one.
fn is_name(text: &[u8], at: usize, length: usize) -> bool {
    let head = text[..at].trim_ascii_end();
    let start = head.iter().rposition(|byte| !byte.is_ascii_alphanumeric()).map_or(0, |index| index + 1);
    let asks = BEFORE_NAMES.iter().any(|word| head[start..].eq_ignore_ascii_case(word));
    asks || before(text, at) == Some(b'.') || text.get(at + length) == Some(&b'.')
}

fn line(rest: &[u8]) -> usize {
    rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len())
}

fn comment(rest: &[u8]) -> usize {
    rest[2..].windows(2).position(|part| part == b"*/").map_or(rest.len(), |length| length + 4)
}

/// `$1` is a place for a value; `$$…$$` and `$tag$…$tag$` are values.
fn dollar(rest: &[u8]) -> (usize, bool) {
    let name = 1 + rest[1..].iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
    if rest.get(name) != Some(&b'$') || rest.get(1).is_some_and(u8::is_ascii_digit) {
        return (name, false);
    }
    let tag = &rest[..=name];
    let body = rest[tag.len()..].windows(tag.len()).position(|part| part == tag);
    (body.map_or(rest.len(), |length| length + 2 * tag.len()), true)
}

fn number(rest: &[u8]) -> usize {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_');
    let length = rest.iter().take_while(|byte| is_part(byte)).count();
    let has_exponent =
        matches!(rest[length - 1], b'e' | b'E') && matches!(rest.get(length), Some(b'+' | b'-'));
    if !has_exponent {
        return length;
    }
    length + 1 + rest[length + 1..].iter().take_while(|byte| byte.is_ascii_digit()).count()
}

fn word(rest: &[u8]) -> usize {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | 0x80..);
    rest.iter().take_while(|byte| is_part(byte)).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rewrite::Action;

    fn redacted(text: &str) -> String {
        let mut out = Rewrite::new(text.as_bytes(), Action::Fitting, None);
        redact(text.as_bytes(), &mut out);
        out.finish().map_or_else(|| text.to_owned(), |bytes| String::from_utf8(bytes).expect("ASCII"))
    }

    #[test]
    fn literals_go() {
        let rows = [
            ("SELECT * FROM t1 WHERE a = 'O''Hara' AND b=42", "SELECT * FROM t1 WHERE a = ? AND b=?"),
            ("INSERT INTO p VALUES (1, -2.5e+3, 'x\\'y', 0xFF)", "INSERT INTO p VALUES (?, -?, ?"),
            (
                r"SELECT a FROM t WHERE a LIKE '%' ESCAPE '\' AND n = 'Jane' AND m = 'Doe'",
                "SELECT a FROM t WHERE a LIKE ? ESCAPE ?",
            ),
            (r"SELECT E'x\'y', b FROM t", "SELECT E?, b FROM t"),
            (r"SELECT 'a\\', b, 'c'", "SELECT ?, b, ?"),
            (r"SELECT 'C:\dir', b", "SELECT ?, b"),
            ("SELECT \"t\".\"a\" FROM \"t\" WHERE n = \"jane\"", "SELECT \"t\".\"a\" FROM \"t\" WHERE n = ?"),
            ("SELECT $1, $$body$$, $t$x$t$", "SELECT $1, ?, ?"),
            ("SELECT 1 -- jane\nFROM t /* 42 */", "SELECT ? ?\nFROM t ?"),
            ("SELECT 'cut off", "SELECT ?"),
            (
                r#"{"find":"users","filter":{"mail":"a@b.c","n":5}}"#,
                r#"{"find":"?","filter":{"mail":"?","n":?}}"#,
            ),
        ];
        for (text, expected) in rows {
            assert_eq!(redacted(text), expected);
            assert_eq!(redacted(expected), expected);
        }
    }

    #[test]
    fn a_statement_with_places_stays() {
        for text in ["SELECT a, b2 FROM t WHERE c = ? AND d = $1 AND e = :name", "COMMIT", "", "{}"] {
            assert_eq!(redacted(text), text);
        }
    }
}

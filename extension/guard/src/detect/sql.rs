//! Statements for databases: the literals become question marks, names and keywords stay. JSON queries keep their keys.

use std::ops::Range;

use super::before;
use crate::rewrite::Rewrite;

/// Words after which a double-quoted name is a name, and not MySQL's text.
const BEFORE_NAMES: [&[u8]; 6] = [b"from", b"join", b"into", b"update", b"table", b"as"];
/// Those of them behind which MySQL has no text: a statement that has a double-quoted name there is not of MySQL.
const BEFORE_TABLES: [&[u8]; 5] = [b"from", b"join", b"into", b"update", b"table"];
/// The last word before a value in double quotes, whosever statement it is.
const BEFORE_VALUES: [&[u8]; 8] =
    [b"values", b"value", b"in", b"like", b"ilike", b"rlike", b"regexp", b"between"];
/// Words beside a numbered place, as in `LIKE :1`.
const BEFORE_PLACES: [&[u8]; 13] = [
    b"like", b"between", b"and", b"or", b"limit", b"offset", b"then", b"else", b"when", b"set", b"by", b"in",
    b"escape",
];
/// Digits of the number of a place.
const PLACE_DIGITS_MAX: usize = 3;

/// In place of a literal.
pub(crate) const PLACEHOLDER: &[u8] = b"?";

pub(crate) fn redact(text: &[u8], out: &mut Rewrite<'_>) {
    let is_json = matches!(text.trim_ascii_start().first(), Some(b'{' | b'['));
    let is_strict = is_json && is_strict(text);
    let mut reader = Reader { text, is_json, has_names: !is_json && quotes_names(text), word: 0..0 };
    let mut at = 0;
    while at < text.len() {
        let (length, is_literal) = reader.token(at);
        let end = at + length;
        match text[at] {
            _ if !is_literal => {}
            b'"' if is_json && out.is_fitting() => out.put_as_it_is(at, end, b"\"?\""),
            // What is between them: JSON stays JSON.
            b'"' if is_json => {
                let is_closed = length > 1 && text[end - 1] == b'"';
                out.put_as_it_is(at + 1, end - usize::from(is_closed), PLACEHOLDER);
            }
            b'-' | b'0'..=b'9' if is_json && is_strict => out.put_quoted(at, end, PLACEHOLDER),
            _ => out.put_as_it_is(at, end, PLACEHOLDER),
        }
        at = end;
    }
}

/// Whether a query in brackets is JSON, by what stands behind the first ones: `{find: 'users'}` and `{call f(1)}` are none.
fn is_strict(text: &[u8]) -> bool {
    let is_open = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'{' | b'[');
    let first = text.iter().find(|byte| !is_open(byte));
    matches!(first, Some(b'"' | b'-' | b'0'..=b'9' | b'}' | b']'))
}

/// Whether what is in double quotes in this statement are names, as the standard has it, and not MySQL's texts: one stands
/// where a table does, or beside a dot.
fn quotes_names(text: &[u8]) -> bool {
    let mut reader = Reader { text, is_json: false, has_names: false, word: 0..0 };
    // Behind the last of them nothing tells.
    let end = text.iter().rposition(|byte| *byte == b'"').map_or(0, |last| last + 1);
    let mut at = 0;
    while at < end {
        let (length, _) = reader.token(at);
        if text[at] == b'"' {
            let is_table = reader.follows(at, &BEFORE_TABLES);
            // `EXTRACT(YEAR FROM "…")`.
            let is_argument = text[at + length..].trim_ascii_start().first() == Some(&b')');
            if is_beside_dot(text, at, length) || (is_table && !is_argument) {
                return true;
            }
        }
        at += length;
    }
    false
}

/// A statement, token by token.
struct Reader<'a> {
    text: &'a [u8],
    is_json: bool,
    /// Whether double quotes are around names.
    has_names: bool,
    /// The last word outside of quotation marks.
    word: Range<usize>,
}

impl Reader<'_> {
    /// How long the token at `at` is, at least 1, and whether it is a value.
    fn token(&mut self, at: usize) -> (usize, bool) {
        let token = match token(self.text, at, self.is_json) {
            (length, true) if self.text[at] == b'"' && self.is_name(at, length) => (length, false),
            (_, true) if self.is_place(at) => (digits(&self.text[at..]), false),
            token => token,
        };
        let (length, is_literal) = match token {
            (length, true) if !self.is_json && is_ambiguous(self.text, at, length) => {
                (self.text.len() - at, true)
            }
            (length, is_literal) => (length.max(1), is_literal),
        };
        if self.text[at].is_ascii_alphabetic() && !is_literal {
            self.word = at..at + length;
        }
        (length, is_literal)
    }

    /// Whether what is in double quotes is a name, in a statement that has such names.
    fn is_name(&self, at: usize, length: usize) -> bool {
        let sign = self.text[..at].trim_ascii_end().last();
        let is_compared = matches!(sign, Some(b'=' | b'<' | b'>' | b'!' | b'~' | b'|'));
        self.has_names
            && (is_beside_dot(self.text, at, length) || !(is_compared || self.is_word(&BEFORE_VALUES)))
    }

    /// Whether the number at `at` is that of a place for a value: `?1`, and Oracle's `:1`. In `{age:42}` it is a value.
    fn is_place(&self, at: usize) -> bool {
        let digits = digits(&self.text[at..]);
        let Some(sign) = at.checked_sub(1).filter(|_| (1..=PLACE_DIGITS_MAX).contains(&digits)) else {
            return false;
        };
        let before = self.text[..sign].trim_ascii_end().last();
        let is_open = matches!(
            before,
            Some(b'=' | b'<' | b'>' | b'(' | b',' | b'+' | b'-' | b'*' | b'/' | b'|' | b'!')
        );
        match self.text[sign] {
            b'?' => true,
            b':' => is_open || self.follows(sign, &BEFORE_PLACES),
            _ => false,
        }
    }

    /// Whether one of `words` stands before `at`, with nothing but blanks between.
    fn follows(&self, at: usize, words: &[&[u8]]) -> bool {
        let head = self.text[..at].trim_ascii_end();
        head.len() == self.word.end && head.len() < at && self.is_word(words)
    }

    fn is_word(&self, words: &[&[u8]]) -> bool {
        words.iter().any(|word| self.text[self.word.clone()].eq_ignore_ascii_case(word))
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
        b'-' if is_json && rest.get(1).is_some_and(u8::is_ascii_digit) => (1 + number(&rest[1..]), true),
        b'0'..=b'9' => (number(rest), true),
        b'q' | b'Q' | b'n' | b'N' if !is_json && oracle(rest).is_some() => (oracle(rest).unwrap_or(1), true),
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
    asks || is_beside_dot(text, at, length)
}

fn is_beside_dot(text: &[u8], at: usize, length: usize) -> bool {
    before(text, at) == Some(b'.') || text.get(at + length) == Some(&b'.')
}

/// The length of a text in Oracle's own quotation marks, `q'[…]'` or `nq'!…!'`: between the two that it names nothing is
/// escaped.
fn oracle(rest: &[u8]) -> Option<usize> {
    let mark = usize::from(matches!(rest[0], b'n' | b'N'));
    if !matches!(rest.get(mark..mark + 2)?, [b'q' | b'Q', b'\'']) {
        return None;
    }
    let closer = match *rest.get(mark + 2)? {
        b'[' => b']',
        b'(' => b')',
        b'{' => b'}',
        b'<' => b'>',
        byte if byte.is_ascii_whitespace() || byte == b'\'' => return None,
        byte => byte,
    };
    let body = mark + 3;
    let end = rest[body..].windows(2).position(|part| part == [closer, b'\'']);
    Some(end.map_or(rest.len(), |length| body + length + 2))
}

fn digits(rest: &[u8]) -> usize {
    rest.iter().take_while(|byte| byte.is_ascii_digit()).count()
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
            (
                "UPDATE \"t\" SET \"a\" = 'x' WHERE \"b\" IN (\"c\")",
                "UPDATE \"t\" SET \"a\" = ? WHERE \"b\" IN (?)",
            ),
            (
                "SELECT EXTRACT(YEAR FROM \"2026\") WHERE n LIKE \"Jane\"",
                "SELECT EXTRACT(YEAR FROM \"2026\") WHERE n LIKE ?",
            ),
            ("SELECT q'[O'Hara]', nq'!it's!', N'x', name, 'y'", "SELECT ?, ?, N?, name, ?"),
            ("SELECT q'[cut off", "SELECT ?"),
            ("VALUES (:1, :2) LIKE :3 OR ?4 AND {age:42}", "VALUES (:1, :2) LIKE :3 OR ?4 AND {age:?}"),
            ("SELECT 1 -- jane\nFROM t /* 42 */", "SELECT ? ?\nFROM t ?"),
            ("SELECT 'cut off", "SELECT ?"),
            (
                r#"{"find":"users","filter":{"mail":"a@b.c","n":5}}"#,
                r#"{"find":"?","filter":{"mail":"?","n":"?"}}"#,
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

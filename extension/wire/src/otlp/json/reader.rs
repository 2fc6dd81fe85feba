//! JSON, token by token, from bytes that are there as a whole: nothing is built of it but what a caller asks for.
//!
//! Our own, because it is what a function that sends JSON pays for every span (docs/performance.md), and because a text
//! need not be Unicode: JavaScript cuts texts in the middle of a pair of surrogates, and a batch is not lost for it.

use std::borrow::Cow;

/// Objects and arrays within each other: no reader here uses more of the stack than so many calls.
const DEPTH_MAX: u32 = 128;

/// What comes next is not what JSON, or the caller, wants there.
#[derive(Debug)]
pub(super) struct Unexpected;

pub(super) type Read<T> = Result<T, Unexpected>;

/// See the module.
#[derive(Clone)]
pub(super) struct Reader<'a> {
    json: &'a [u8],
    /// What has not been read yet.
    rest: &'a [u8],
    depth: u32,
}

impl<'a> Reader<'a> {
    pub(super) const fn new(json: &'a [u8]) -> Self {
        Self { json, rest: json, depth: 0 }
    }

    /// The first byte of the next token, which is not taken.
    #[inline]
    pub(super) fn peek(&mut self) -> Read<u8> {
        match self.rest {
            // Most writers leave out whatever can be left out.
            [byte, ..] if *byte > b' ' => Ok(*byte),
            _ => self.peek_further(),
        }
    }

    fn peek_further(&mut self) -> Read<u8> {
        while let [b' ' | b'\n' | b'\t' | b'\r', rest @ ..] = self.rest {
            self.rest = rest;
        }
        self.rest.first().copied().ok_or(Unexpected)
    }

    /// Takes a token of one byte.
    #[inline]
    pub(super) fn take(&mut self, byte: u8) -> Read<()> {
        if self.peek()? == byte {
            self.rest = &self.rest[1..];
            Ok(())
        } else {
            Err(Unexpected)
        }
    }

    /// Takes the byte that opens an object or an array.
    #[inline]
    pub(super) fn open(&mut self, byte: u8) -> Read<()> {
        self.depth += 1;
        if self.depth > DEPTH_MAX { Err(Unexpected) } else { self.take(byte) }
    }

    /// Whether another member or item comes, after `is_first` or not; takes the comma before it, or `close`.
    #[inline]
    pub(super) fn has_more(&mut self, close: u8, is_first: bool) -> Read<bool> {
        let byte = self.peek()?;
        if byte == close {
            self.rest = &self.rest[1..];
            self.depth -= 1;
            return Ok(false);
        }
        if !is_first {
            self.take(b',')?;
        }
        Ok(true)
    }

    /// Takes the key of a member, and its colon.
    #[inline]
    pub(super) fn key(&mut self) -> Read<Cow<'a, [u8]>> {
        let key = self.text()?;
        self.take(b':')?;
        Ok(key)
    }

    /// Takes `null`, `true` or `false`.
    pub(super) fn word(&mut self, word: &str) -> Read<()> {
        self.peek()?;
        self.rest = self.rest.strip_prefix(word.as_bytes()).ok_or(Unexpected)?;
        Ok(())
    }

    /// Takes a text: as it stands there, or without its escapes. Bytes that are no Unicode are passed on.
    #[inline]
    pub(super) fn text(&mut self) -> Read<Cow<'a, [u8]>> {
        self.take(b'"')?;
        let (text, rest) = self.rest.split_at(plain(self.rest));
        if let [b'"', rest @ ..] = rest {
            self.rest = rest;
            Ok(Cow::Borrowed(text))
        } else {
            self.escaped().map(Cow::Owned)
        }
    }

    /// A text in which something is escaped, after its quotation mark.
    #[cold]
    fn escaped(&mut self) -> Read<Vec<u8>> {
        let mut text = Vec::new();
        loop {
            let (run, rest) = self.rest.split_at(plain(self.rest));
            text.extend_from_slice(run);
            self.rest = rest;
            match rest {
                [b'"', rest @ ..] => {
                    self.rest = rest;
                    return Ok(text);
                }
                [b'\\', escape, rest @ ..] => {
                    self.rest = rest;
                    let mut utf8 = [0; 4];
                    text.extend_from_slice(self.unescaped(*escape)?.encode_utf8(&mut utf8).as_bytes());
                }
                _ => return Err(Unexpected),
            }
        }
    }

    /// What an escape stands for; half a pair of surrogates for the replacement character.
    fn unescaped(&mut self, escape: u8) -> Read<char> {
        Ok(match escape {
            b'"' | b'\\' | b'/' => char::from(escape),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let first = self.unit()?;
                let second = if matches!(first, 0xd800..0xdc00) { self.second_unit()? } else { None };
                let mut units = char::decode_utf16([first].into_iter().chain(second));
                units.next().and_then(Result::ok).unwrap_or(char::REPLACEMENT_CHARACTER)
            }
            _ => return Err(Unexpected),
        })
    }

    /// The second half of a pair of surrogates, if that is next; anything else stays.
    fn second_unit(&mut self) -> Read<Option<u16>> {
        let before = self.rest;
        if let Some(rest) = self.rest.strip_prefix(b"\\u") {
            self.rest = rest;
            let unit = self.unit()?;
            if matches!(unit, 0xdc00..0xe000) {
                return Ok(Some(unit));
            }
            self.rest = before;
        }
        Ok(None)
    }

    fn unit(&mut self) -> Read<u16> {
        let (digits, rest) = self.rest.split_first_chunk::<4>().ok_or(Unexpected)?;
        self.rest = rest;
        let digit = |byte: &u8| char::from(*byte).to_digit(16);
        let unit = digits.iter().try_fold(0, |unit, byte| Some(unit << 4 | digit(byte)?));
        unit.and_then(|unit| u16::try_from(unit).ok()).ok_or(Unexpected)
    }

    /// Takes a number, as it is spelled.
    pub(super) fn number(&mut self) -> Read<&'a str> {
        self.peek()?;
        let number = self.rest;
        self.skip_if(|byte| byte == b'-');
        if !self.skip_if(|byte| byte == b'0') {
            self.digits()?;
        }
        if self.skip_if(|byte| byte == b'.') {
            self.digits()?;
        }
        if self.skip_if(|byte| matches!(byte, b'e' | b'E')) {
            self.skip_if(|byte| matches!(byte, b'+' | b'-'));
            self.digits()?;
        }
        let number = &number[..number.len() - self.rest.len()];
        std::str::from_utf8(number).map_err(|_| Unexpected)
    }

    fn skip_if(&mut self, is_it: impl Fn(u8) -> bool) -> bool {
        match self.rest {
            [byte, rest @ ..] if is_it(*byte) => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    fn digits(&mut self) -> Read<()> {
        let is_digit = |byte: u8| byte.is_ascii_digit();
        if !self.skip_if(is_digit) {
            return Err(Unexpected);
        }
        while self.skip_if(is_digit) {}
        Ok(())
    }

    /// Takes any value, and gives it as it is spelled. Without calls within calls: what is nested deeper than anyone means
    /// is passed over like all else.
    pub(super) fn pass_over(&mut self) -> Read<&'a [u8]> {
        self.peek()?;
        let from = self.rest;
        // What closes each object and array that is open.
        let mut closing = Vec::new();
        loop {
            match self.peek()? {
                b'{' => {
                    self.take(b'{')?;
                    closing.push(b'}');
                    if self.peek()? != b'}' {
                        self.key()?;
                        continue;
                    }
                }
                b'[' => {
                    self.take(b'[')?;
                    closing.push(b']');
                    if self.peek()? != b']' {
                        continue;
                    }
                }
                b'"' => drop(self.text()?),
                b'n' => self.word("null")?,
                b't' => self.word("true")?,
                b'f' => self.word("false")?,
                _ => drop(self.number()?),
            }
            if !self.another(&mut closing)? {
                return Ok(&from[..from.len() - self.rest.len()]);
            }
        }
    }

    /// Takes what comes behind a value: whether another value comes, in what is open.
    fn another(&mut self, closing: &mut Vec<u8>) -> Read<bool> {
        while let Some(close) = closing.last().copied() {
            if self.peek()? != close {
                self.take(b',')?;
                if close == b'}' {
                    self.key()?;
                }
                return Ok(true);
            }
            self.take(close)?;
            closing.pop();
        }
        Ok(false)
    }

    /// Goes on where `other`, a copy of this, has come to.
    pub(super) fn go_on_from(&mut self, other: &Reader<'_>) {
        self.rest = &self.json[self.json.len() - other.rest.len()..];
        self.depth = other.depth;
    }

    /// Makes sure that nothing follows.
    pub(super) fn end(&mut self) -> Read<()> {
        if self.peek().is_ok() { Err(Unexpected) } else { Ok(()) }
    }

    /// Line and column of what comes next, from 1.
    pub(super) fn place(&self) -> (usize, usize) {
        let before = &self.json[..self.json.len() - self.rest.len()];
        let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        (line, before.len() - line_start + 1)
    }
}

/// How many bytes come before the next quotation mark or backslash: eight at a time, for texts are short.
#[inline]
fn plain(bytes: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    // The lowest byte that is zero has its highest bit set; bytes above it may have theirs set too.
    let zero = |word: u64| word.wrapping_sub(ONES) & !word & (ONES << 7);
    let mut rest = bytes;
    while let Some((word, more)) = rest.split_first_chunk::<8>() {
        let word = u64::from_le_bytes(*word);
        let found = zero(word ^ (ONES * b'"' as u64)) | zero(word ^ (ONES * b'\\' as u64));
        if found != 0 {
            return bytes.len() - rest.len() + found.trailing_zeros() as usize / 8;
        }
        rest = more;
    }
    let is_special = |byte: &u8| matches!(byte, b'"' | b'\\');
    bytes.len() - rest.len() + rest.iter().position(is_special).unwrap_or(rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(json: &str) -> Option<String> {
        let mut reader = Reader::new(json.as_bytes());
        let text = reader.text().ok()?.into_owned();
        reader.end().ok()?;
        Some(String::from_utf8(text).expect("it was Unicode"))
    }

    #[test]
    fn texts_lose_their_escapes() {
        let rows = [
            (r#""""#, Some("")),
            (r#" "plain, and longer than eight" "#, Some("plain, and longer than eight")),
            (r#""\"\\\/\b\f\n\r\t""#, Some("\"\\/\u{8}\u{c}\n\r\t")),
            (r#""é\u00E9 \ud83d\ude00!""#, Some("éé 😀!")),
            (r#""a\ud83d""#, Some("a\u{fffd}")),
            (r#""\ud83dabc""#, Some("\u{fffd}abc")),
            (r#""\ud83d\u0041\ude00\n""#, Some("\u{fffd}A\u{fffd}\n")),
            (r#""\x""#, None),
            (r#""\u12"#, None),
            (r#""\u12x4""#, None),
            (r#""open"#, None),
            (r#""open\"#, None),
            (r#""two" "texts""#, None),
        ];
        for (json, expected) in rows {
            assert_eq!(text(json).as_deref(), expected, "{json}");
        }
    }

    #[test]
    fn a_text_ends_at_its_quotation_mark_wherever_that_stands() {
        for length in 0..40 {
            let inner = "x".repeat(length);
            assert_eq!(text(&format!("\"{inner}\"")), Some(inner.clone()));
            // The byte above the mark is the one that the trick with zeroes may take for another.
            assert_eq!(plain(format!("{inner}\"#").as_bytes()), length);
            assert_eq!(plain(format!("{inner}\\]\"").as_bytes()), length);
        }
    }

    #[test]
    fn numbers_are_spelled_as_json_says() {
        for json in ["0", "-0", "7", "-12", "0.5", "1e9", "1E+9", "-1.25e-7", "18446744073709551616"] {
            let mut reader = Reader::new(json.as_bytes());
            assert_eq!(reader.number().ok(), Some(json));
            assert!(reader.end().is_ok(), "{json}");
        }
        for json in ["", "-", "01", "1.", ".5", "1e", "+1", "0x1", "NaN", "1_0"] {
            let mut reader = Reader::new(json.as_bytes());
            assert!(reader.number().is_err() || reader.end().is_err(), "{json}");
        }
    }

    #[test]
    fn anything_may_be_passed_over_but_nothing_that_is_not_json() {
        let deep = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        let rows = [
            (r#" {"a":[1,{"b":null},true,false,"x\n"],"c":{}} "#.to_owned(), true),
            (deep(128), true),
            (deep(100_000), true),
            ("[1,]".into(), false),
            ("[,1]".into(), false),
            ("[1 2]".into(), false),
            (r#"{"a" 1}"#.into(), false),
            (r#"{"a":1,}"#.into(), false),
            ("{a:1}".into(), false),
            ("[1}".into(), false),
            ("nul".into(), false),
            ("[] []".into(), false),
        ];
        for (json, is_json) in rows {
            let mut reader = Reader::new(json.as_bytes());
            assert_eq!(reader.pass_over().and_then(|_| reader.end()).is_ok(), is_json, "{json}");
        }
    }

    #[test]
    fn a_place_is_a_line_and_a_column() {
        let mut reader = Reader::new(b"[1,\n  x]");
        assert!(reader.pass_over().is_err());
        assert_eq!(reader.place(), (2, 3));
        assert_eq!(Reader::new(b"").place(), (1, 1));
    }
}

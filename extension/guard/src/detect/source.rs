//! Lines of programs, as tracebacks and error pages print them: `token = get_token(event)` says where a value comes from, and
//! has none. What is quoted in such a line may be one.

use std::ops::Range;

use super::before;
use super::extents::is_line;
use super::secrets::{NAME_MAX, ends_value, last_word};
use crate::keys::{Naming, naming_in_text};

/// Bytes of an expression that are read; what is longer is taken for a value.
const CODE_MAX: usize = 160;
/// Brackets within each other.
const DEPTH_MAX: usize = 8;
/// Blanks before a line of a traceback.
const INDENT_MAX: usize = 64;
/// Words before an operand.
const BEFORE: [&[u8]; 6] = [b"await ", b"new ", b"yield ", b"not ", b"async ", b"return "];
/// Words between two operands.
const BETWEEN: [&[u8]; 11] =
    [b" or ", b" and ", b" if ", b" else ", b" + ", b" || ", b" && ", b" ?? ", b" ? ", b" == ", b" is "];
/// Types of values, as the parameter of a function has one: `password: str`.
const TYPES: [&[u8]; 33] = [
    b"any",
    b"anystr",
    b"array",
    b"bool",
    b"boolean",
    b"byte",
    b"bytearray",
    b"bytes",
    b"char",
    b"dict",
    b"float",
    b"int",
    b"integer",
    b"list",
    b"literal",
    b"mapping",
    b"none",
    b"null",
    b"number",
    b"object",
    b"option",
    b"optional",
    b"secretbytes",
    b"secretstr",
    b"securestring",
    b"str",
    b"string",
    b"text",
    b"tuple",
    b"undefined",
    b"union",
    b"uuid",
    b"varchar",
];

/// What is quoted in an expression, and is no name: where each is, from the beginning of the expression.
pub(super) type Quoted = Vec<Range<usize>>;

/// What is quoted in the value of `name` that begins at `start`, behind a sign that ends at `from`, if the value is none that
/// is written there. A line that `is_source` for sure may have any expression.
pub(super) fn code(text: &[u8], start: usize, name: &[u8], from: usize, is_source: bool) -> Option<Quoted> {
    let rest = &text[start..text.len().min(start + CODE_MAX)];
    let is_whole = start + rest.len() == text.len();
    let is_named = before(text, from) == Some(b':');
    if is_named && is_line(name) {
        return None;
    }
    let is_equal = before(text, from) == Some(b'=');
    let is_compared = is_equal && text.get(from) == Some(&b'=');
    if (is_named && is_type(rest)) || is_name_again(rest, name, is_equal, is_compared) {
        return Some(Quoted::new());
    }
    let mut reader = Reader { rest, at: 0, is_whole, is_source, quoted: Quoted::new(), has_named: false };
    let is_code = reader.expression();
    let is_clear = reader.quoted.is_empty() || !reader.has_named;
    (is_code && is_clear).then_some(reader.quoted)
}

const fn begins_word(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_'
}

const fn is_of_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn word_len(rest: &[u8]) -> usize {
    if !rest.first().copied().is_some_and(begins_word) {
        return 0;
    }
    rest.iter().take(NAME_MAX).take_while(|byte| is_of_word(**byte)).count()
}

/// Words with dots between.
fn path_len(rest: &[u8]) -> usize {
    let mut at = word_len(rest);
    while at > 0 {
        let joint = [&b"."[..], b"->", b"::", b"?."].into_iter().find(|joint| rest[at..].starts_with(joint));
        let Some(joint) = joint else { break };
        let next = word_len(&rest[at + joint.len()..]);
        if next == 0 {
            break;
        }
        at += joint.len() + next;
    }
    at
}

/// Whether the words of `path` are no password: digits stand at the end of one.
fn is_wordy(path: &[u8]) -> bool {
    path.split(|byte| !byte.is_ascii_alphanumeric()).all(|word| {
        let digits = word.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
        word[..word.len() - digits].iter().all(u8::is_ascii_alphabetic)
    })
}

/// Whether a value ends at `at`; a colon ends a line of Python.
fn ends(rest: &[u8], at: usize) -> bool {
    let is_behind = |at: usize| rest.get(at).is_none_or(|byte| ends_value(*byte));
    is_behind(at) || (rest[at] == b':' && is_behind(at + 1))
}

/// Whether the type of a parameter is what follows: `str`, `&str`, `Optional[str] = None`, `string | null`.
fn is_type(rest: &[u8]) -> bool {
    let head =
        [&b"&'static "[..], b"&mut ", b"&", b"*", b"?"].into_iter().find(|head| rest.starts_with(head));
    let mut at = head.map_or(0, <[u8]>::len);
    let is_known = |word: &[u8]| TYPES.iter().any(|known| word.eq_ignore_ascii_case(known));
    let length = path_len(&rest[at..]);
    if length == 0 || !is_known(last_word(&rest[at..at + length])) {
        return false;
    }
    at += length;
    if let Some(close) = match rest.get(at) {
        Some(b'[') => Some(b']'),
        Some(b'<') => Some(b'>'),
        _ => None,
    } {
        let inner = &rest[at + 1..];
        let Some(end) = inner.iter().position(|byte| *byte == close) else { return false };
        let mut words = inner[..end].split(|byte| !byte.is_ascii_alphanumeric());
        if !words.all(|word| word.is_empty() || is_known(word)) {
            return false;
        }
        at += end + 2;
    }
    let behind = &rest[at..];
    // A blank ends a type only where a program goes on, for a sentence does so, too.
    match behind.first() {
        Some(b' ') => [&b" ="[..], b" |", b" ->", b" {"].iter().any(|sign| behind.starts_with(sign)),
        Some(b'?' | b'!') => true,
        _ => ends(rest, at),
    }
}

/// Whether a value is a name like its own: `token=token`, `password = settings.DB_PASSWORD`, `token == other`.
fn is_name_again(rest: &[u8], name: &[u8], is_equal: bool, is_compared: bool) -> bool {
    let length = path_len(rest);
    let path = &rest[..length];
    if length == 0 || path.iter().any(u8::is_ascii_digit) || !ends(rest, length) {
        return false;
    }
    let last = last_word(path);
    // A password may be called so, but no program prints it behind the same name and an equals sign.
    let is_same = is_equal && !last.is_empty() && last.eq_ignore_ascii_case(last_word(name));
    let is_of_object = path.contains(&b'.') && naming_in_text(path) != Naming::Plain;
    // What a program prints of an object begins with its type: `Password { Value = … }`.
    let is_printed = matches!(rest[length..], [b' ', b'{' | b'(' | b'[' | b'<' | b'"' | b'\'', ..]);
    !is_printed && (is_compared || is_same || is_of_object)
}

struct Reader<'a> {
    rest: &'a [u8],
    at: usize,
    /// Whether `rest` is all that there is.
    is_whole: bool,
    is_source: bool,
    quoted: Quoted,
    /// Whether an argument has the name of a secret: `password=…`.
    has_named: bool,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.rest.get(self.at).copied()
    }

    fn is_cut(&self) -> bool {
        self.at >= self.rest.len() && !self.is_whole
    }

    fn skip(&mut self, words: &[&[u8]]) -> bool {
        let found = words.iter().find(|word| self.rest[self.at..].starts_with(word));
        self.at += found.map_or(0, |word| word.len());
        found.is_some()
    }

    /// Whether an expression is read to its end: what something is called with, or taken from.
    fn expression(&mut self) -> bool {
        self.skip(&BEFORE);
        if !self.operand(true) {
            return false;
        }
        while self.skip(&BETWEEN) {
            self.skip(&BEFORE);
            if !self.operand(false) {
                return false;
            }
        }
        !self.is_cut() && ends(self.rest, self.at)
    }

    /// A word, what it is called with, or something quoted. The first one must be a call or the like, unless all is known to
    /// be a line of a program.
    fn operand(&mut self, is_first: bool) -> bool {
        if matches!(self.peek(), Some(b'"' | b'\'')) {
            return !is_first && self.string();
        }
        let begin = self.at;
        let length = path_len(&self.rest[begin..]);
        let path = &self.rest[begin..begin + length];
        if length == 0 {
            let is_number = self.peek().is_some_and(|byte| byte.is_ascii_digit());
            if is_number && !is_first {
                self.at += self.rest[begin..].iter().take_while(|byte| byte.is_ascii_digit()).count();
            }
            let is_group = self.is_source && matches!(self.peek(), Some(b'(' | b'['));
            return is_number && !is_first || (is_group && self.groups().is_some());
        }
        self.at += length;
        if !self.is_source && !is_wordy(path) {
            return false;
        }
        let Some((count, is_empty)) = self.groups() else { return false };
        // A type with something in it is how programs print a value: `Secret(value=…)`.
        let is_printed = path[0].is_ascii_uppercase() && !is_empty;
        self.is_source || !is_first || (count > 0 && !is_printed)
    }

    /// Brackets behind a word, and what is called of the result: how many, and whether there is nothing in any.
    fn groups(&mut self) -> Option<(usize, bool)> {
        let (mut count, mut is_empty) = (0, true);
        loop {
            match self.peek() {
                Some(b'(' | b'[') => {
                    let open = self.at;
                    self.group()?;
                    is_empty &= &self.rest[open..self.at] == b"()";
                    count += 1;
                }
                Some(b'.' | b'?' | b'!') if count > 0 => {
                    let joint = if self.rest[self.at..].starts_with(b"?.") { 2 } else { 1 };
                    let length = path_len(&self.rest[self.at + joint..]);
                    let is_wordy = is_wordy(&self.rest[self.at + joint..self.at + joint + length]);
                    if self.peek() != Some(b'.') && joint == 1 || length == 0 || !is_wordy {
                        return Some((count, is_empty));
                    }
                    self.at += joint + length;
                }
                _ => return Some((count, is_empty)),
            }
        }
    }

    /// What is in brackets: words, numbers, signs and what is quoted. One that is open at the end of its line goes on there.
    fn group(&mut self) -> Option<()> {
        let mut depth = 0;
        while let Some(byte) = self.peek() {
            match byte {
                b'(' | b'[' | b'{' => {
                    depth += 1;
                    self.at += 1;
                }
                b')' | b']' | b'}' => {
                    depth -= 1;
                    self.at += 1;
                    if depth == 0 {
                        return Some(());
                    }
                }
                b'"' | b'\'' => self.string().then_some(())?,
                b'\n' if self.is_last_line() => return Some(()),
                b'\\' | b';' | b'`' | 0x80.. => return None,
                byte if begins_word(byte) => {
                    let length = word_len(&self.rest[self.at..]);
                    let word = &self.rest[self.at..self.at + length];
                    if !self.is_source && !is_wordy(word) {
                        return None;
                    }
                    self.at += length;
                    let is_argument = matches!(self.peek(), Some(b'=' | b':'));
                    self.has_named |= is_argument && naming_in_text(word) != Naming::Plain;
                }
                byte if byte.is_ascii_digit() => {
                    self.at += self.rest[self.at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
                    if self.peek().is_some_and(is_of_word) && !self.is_source {
                        return None;
                    }
                }
                _ => self.at += 1,
            }
            if depth > DEPTH_MAX {
                return None;
            }
        }
        // The text ends within.
        self.is_whole.then_some(())
    }

    /// Whether a traceback has no more of what is open at the end of this line: another frame follows, or nothing.
    fn is_last_line(&self) -> bool {
        let next = self.rest[self.at..].trim_ascii_start();
        let is_open = matches!(self.rest[self.at - 1], b'(' | b'[' | b'{' | b',');
        is_open && (next.is_empty() || next.starts_with(b"File \"") || next.starts_with(b"^"))
    }

    /// Something quoted, which is noted unless it is a name.
    fn string(&mut self) -> bool {
        let (quote, start) = (self.rest[self.at], self.at + 1);
        let mut end = start;
        while let Some(byte) = self.rest.get(end).filter(|byte| **byte != quote) {
            end += if *byte == b'\\' { 2 } else { 1 };
        }
        if end >= self.rest.len() {
            return false;
        }
        let content = &self.rest[start..end];
        let is_name = !content.iter().any(u8::is_ascii_digit)
            && content.iter().all(|byte| is_of_word(*byte) || matches!(byte, b'-' | b'.'))
            && naming_in_text(content) != Naming::Plain;
        if !is_name && !content.is_empty() {
            self.quoted.push(start..end);
        }
        self.at = end + 1;
        true
    }
}

/// What the line that is read is in Python's traceback.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Line {
    Other,
    /// `File "…", …`.
    MayBeFrame,
    /// `File "…", line 7, in f`.
    Frame,
    /// A line of the program.
    Source,
}

/// The lines of a traceback; each byte is looked at once, however many signs ask.
pub(super) struct Lines<'a> {
    text: &'a [u8],
    read: usize,
    line: Line,
    /// Blanks before the last frame.
    indent: usize,
    /// Brackets that the line has opened.
    depth: usize,
    quote: Option<u8>,
}

impl<'a> Lines<'a> {
    pub(super) const fn of(text: &'a [u8]) -> Self {
        Self { text, read: 0, line: Line::Other, indent: 0, depth: 0, quote: None }
    }

    /// Whether the byte at `at` is of a program, and not in quotation marks there.
    pub(super) fn is_source(&mut self, at: usize) -> bool {
        while self.read < at {
            if before(self.text, self.read).is_none_or(|byte| byte == b'\n') {
                self.begin();
            }
            self.step();
            self.read += 1;
        }
        self.line == Line::Source && self.quote.is_none()
    }

    fn begin(&mut self) {
        let rest = &self.text[self.read..];
        let indent = rest.iter().take(INDENT_MAX).take_while(|byte| **byte == b' ').count();
        let goes_on = self.line == Line::Frame || (self.line == Line::Source && self.depth > 0);
        self.line = match () {
            () if rest[indent..].starts_with(b"File \"") => Line::MayBeFrame,
            () if goes_on && indent > self.indent => Line::Source,
            () => Line::Other,
        };
        if self.line == Line::MayBeFrame {
            self.indent = indent;
        }
        if self.line != Line::Source || !goes_on {
            self.depth = 0;
        }
        self.quote = None;
    }

    fn step(&mut self) {
        let byte = self.text[self.read];
        match self.line {
            Line::MayBeFrame if self.text[self.read..].starts_with(b", line ") => self.line = Line::Frame,
            Line::Source => match (byte, self.quote) {
                (byte, Some(quote)) if byte == quote => self.quote = None,
                (_, Some(_)) => {}
                (b'"' | b'\'', None) => self.quote = Some(byte),
                (b'(' | b'[' | b'{', None) => self.depth += 1,
                (b')' | b']' | b'}', None) => self.depth = self.depth.saturating_sub(1),
                _ => {}
            },
            _ => {}
        }
    }
}

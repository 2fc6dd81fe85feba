//! The quoted texts that a place is in: what is found inside one ends where that text ends, at the latest.
//!
//! In `{"q":"password=(x9Kq","user":"jane"}` the bracket is never closed, and the value still ends with the text of `q`. How
//! often a quotation mark is escaped tells which text it ends.

use super::secrets::ends_value;
use crate::rewrite::Rewrite;

/// Texts within each other. What is deeper is read as a part of the deepest one.
const DEPTH_MAX: usize = 8;
/// Bytes of JSON between two texts.
const BETWEEN_MAX: usize = 64;
/// Bytes of a list of what checks say.
const LIST_MAX: usize = 512;
/// Blanks beside a quotation mark.
const BLANKS_MAX: usize = 16;

/// A quotation mark, how often it is escaped, and what its escape begins with: `\`, `%` or `&`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) quote: u8,
    pub(super) level: u8,
    kind: u8,
}

impl Mark {
    /// The one at `at`.
    pub(super) fn of(text: &[u8], at: usize, out: &Rewrite<'_>) -> Self {
        Self { quote: text[at], level: out.level(at), kind: out.came_with(at) }
    }
}

/// Whether the texts of a list that begins at `start` are in quotation marks that are escaped alike: one that is escaped
/// more often is a part of a text, and so is what looks like the end of the list behind it.
pub(super) fn is_list_at_one_depth(text: &[u8], start: usize, out: &Rewrite<'_>) -> bool {
    let seen = start..text.len().min(start + LIST_MAX);
    let list = seen.take_while(|at| text[start] == b'[' && text[*at] != b']');
    let mut marks = list.filter(|at| matches!(text[*at], b'"' | b'\'')).map(|at| Mark::of(text, at, out));
    let Some(first) = marks.next() else { return true };
    marks.all(|mark| mark.quote != first.quote || mark == first)
}

struct Frame {
    mark: Mark,
    start: usize,
    /// Where it ends, once that was asked for.
    end: Option<usize>,
}

/// The quoted texts that are open at the place that has been read.
///
/// A byte is read once to follow them, and once more for each text around it whose end is asked for.
pub(super) struct Frames<'a> {
    text: &'a [u8],
    read: usize,
    open: Vec<Frame>,
}

impl<'a> Frames<'a> {
    pub(super) const fn of(text: &'a [u8]) -> Self {
        Self { text, read: 0, open: Vec::new() }
    }

    /// Where the innermost text around `at` ends: at its quotation mark, or at the end of all. Places are asked for in order.
    pub(super) fn end(&mut self, at: usize, out: &Rewrite<'_>) -> usize {
        self.end_of(at, out, |_| true)
    }

    /// The same of the innermost text in double quotation marks: a JSON text has apostrophes that end nothing.
    pub(super) fn end_of_double(&mut self, at: usize, out: &Rewrite<'_>) -> usize {
        self.end_of(at, out, |mark| mark.quote == b'"')
    }

    fn end_of(&mut self, at: usize, out: &Rewrite<'_>, is_it: fn(&Mark) -> bool) -> usize {
        self.read_to(at, out);
        while let Some(index) = self.open.iter().rposition(|frame| is_it(&frame.mark)) {
            let end = self.open[index].end.unwrap_or_else(|| {
                // What ends a text around it ends it, too.
                let around = &self.open[..=index];
                let ends = |at: &usize| around.iter().any(|frame| closes(self.text, *at, frame.mark, out));
                (at..self.text.len()).find(ends).unwrap_or(self.text.len())
            });
            self.open[index].end = Some(end);
            if !begins_word(self.text, end) {
                return end;
            }
            // The mark begins a text, and so what seemed to begin one before is none.
            self.open.truncate(index);
        }
        self.text.len()
    }

    fn read_to(&mut self, at: usize, out: &Rewrite<'_>) {
        while self.read < at {
            let byte = self.text[self.read];
            if matches!(byte, b'"' | b'\'' | b'`') {
                self.mark(self.read, out);
            }
            self.read += 1;
        }
    }

    fn mark(&mut self, at: usize, out: &Rewrite<'_>) {
        let closed = self.open.iter().position(|frame| closes(self.text, at, frame.mark, out));
        if let Some(index) = closed {
            self.open.truncate(index);
        } else if self.open.len() < DEPTH_MAX && self.opens(at) {
            self.open.push(Frame { mark: Mark::of(self.text, at, out), start: at, end: None });
        }
    }

    /// Whether a text begins with the quotation mark at `at`: one does behind what stands between values, and behind a blank
    /// where no other blank follows.
    fn opens(&self, at: usize) -> bool {
        let head = &self.text[..at];
        let is_blank = |byte: &&u8| byte.is_ascii_whitespace();
        let blanks = head.iter().rev().take(BLANKS_MAX).take_while(is_blank).count();
        let is_between = match head[..at - blanks].last() {
            None => true,
            Some(byte) => matches!(byte, b'{' | b'[' | b'(' | b',' | b':' | b'=' | b'>'),
        };
        let is_followed = self.text.get(at + 1).is_some_and(|byte| !ends_value(*byte));
        // `b"…"`, `u'…'`; and a mark that follows the one that opened the text around.
        let is_prefixed = matches!(head.last(), Some(b'b' | b'u' | b'r' | b'f'))
            && head.len().checked_sub(2).is_none_or(|index| !head[index].is_ascii_alphanumeric());
        let is_first = self.open.last().is_some_and(|frame| frame.start + 1 == at);
        is_between || (blanks > 0 && is_followed) || is_prefixed || is_first
    }
}

/// Whether the byte at `at` ends the text that `mark` has opened: the same one, that [`ends`]. An apostrophe with a letter
/// behind it is a part of a word.
fn closes(text: &[u8], at: usize, mark: Mark, out: &Rewrite<'_>) -> bool {
    let is_part = mark.quote == b'\'' && text.get(at + 1).is_some_and(u8::is_ascii_alphanumeric);
    text[at] == mark.quote && !is_part && ends(text, at, mark, out)
}

/// Whether the mark at `at` ends what one like it has begun: it is escaped in the same way, and no more often; or not at all.
/// A backslash before it may be escaped itself, as in `"C:\\"`.
pub(super) fn ends(text: &[u8], at: usize, mark: Mark, out: &Rewrite<'_>) -> bool {
    let (own, kind) = (out.level(at), out.came_with(at));
    own == 0
        || (own <= mark.level && kind == mark.kind)
        || (follows_backslash(own, mark.level)
            && out.came_behind_backslashes(at, mark.quote)
            && ends_in_json(text, at, mark, out))
}

/// Whether so many backslashes before a quotation mark, `own`, are escaped ones behind which the mark itself is escaped as
/// often as `level` says. `\\"` is a backslash and a mark, `\\\"` the mark of a text within a text.
const fn follows_backslash(own: u8, level: u8) -> bool {
    level & level.wrapping_add(1) == 0 && own.trailing_ones() == level.trailing_ones()
}

/// Whether what stands behind the mark at `at` is what JSON has behind a text: the end, or signs and numbers and then another
/// text that is escaped as often. Python prints JSON with its backslashes doubled: then `\\"` is a mark within the text.
fn ends_in_json(text: &[u8], at: usize, Mark { quote, level, .. }: Mark, out: &Rewrite<'_>) -> bool {
    let mut last = None;
    for (place, byte) in text.iter().enumerate().skip(at + 1).take(BETWEEN_MAX) {
        let own = out.level(place);
        match *byte {
            // What is escaped more often is within the text.
            _ if own > level => return false,
            b'\n' | b'\r' => return true,
            byte if byte == quote => {
                return own < level || matches!(last, Some(b',' | b':' | b'{' | b'['));
            }
            byte if byte.is_ascii_whitespace() => {}
            byte @ (b'}' | b']' | b',' | b':') => last = Some(byte),
            byte if last.is_some() && (byte.is_ascii_alphanumeric() || b"{[-+.".contains(&byte)) => {
                last = Some(byte);
            }
            _ => return false,
        }
    }
    text.len() <= at + BETWEEN_MAX
}

/// Whether a word follows the mark at `at` at once, as behind no text that ends.
fn begins_word(text: &[u8], at: usize) -> bool {
    let is_of_word = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'$' | b'_' | b'#' | b'@');
    text.get(at + 1).is_some_and(is_of_word)
}

//! Where a value ends that is not in quotation marks.

use super::frames::{Mark, ends};
use super::secrets::{BLANKS_MAX, Name, ends_value, ends_with_word};
use super::states::gone_len;
use super::wrapped::{Wrapped, closing, wrapped};
use crate::rewrite::Rewrite;

/// The values of these names go to the end of the line: they have spaces in them.
const WHOLE_LINES: [&[u8]; 3] = [b"authorization", b"cookie", b"cookies"];
/// What may stand behind such a name: `cookie_header`.
const LINE_TAILS: [&[u8]; 5] = [b"header", b"headers", b"value", b"string", b"raw"];

/// Whether the value of `name` goes to the end of its line.
pub(super) fn is_line(name: &[u8]) -> bool {
    let tail = LINE_TAILS.iter().find(|tail| ends_with_word(name, tail));
    let head = tail.map_or(name, |tail| {
        let head = &name[..name.len() - tail.len()];
        head.strip_suffix(b"_").or_else(|| head.strip_suffix(b"-")).unwrap_or(head)
    });
    WHOLE_LINES.iter().any(|line| ends_with_word(head, line))
}

/// A text in which the value of a name ends.
pub(super) struct Extent<'a, 'b, 'c> {
    pub(super) text: &'a [u8],
    pub(super) out: &'b Rewrite<'c>,
    /// How often what parts the pairs of a form is encoded at the most: `%26` is a part of the value in `password=hun%26ter`.
    pub(super) percents: u8,
    /// Whether the text is all of what is between two quotation marks, which none in it ends.
    pub(super) is_framed: bool,
}

impl Extent<'_, '_, '_> {
    /// How often what parts pairs is encoded where a value is that begins at `from`: as often as its sign, or the mark before it.
    pub(super) fn percents(text: &[u8], from: usize, out: &Rewrite<'_>) -> u8 {
        match from.checked_sub(1).filter(|sign| text[*sign] == b'=') {
            Some(sign) => {
                let mark = sign.checked_sub(1).filter(|mark| !text[*mark].is_ascii_alphanumeric());
                out.percents(sign).max(mark.map_or(0, |mark| out.percents(mark)))
            }
            // Only forms have values that are encoded in a text that is not.
            None => u8::MAX,
        }
    }

    /// Whether the byte at `at` is what it looks like, and no encoded part of a value.
    pub(super) fn is_bare(&self, at: usize) -> bool {
        self.percents == u8::MAX || self.out.percents(at) <= self.percents
    }

    /// Whether one of the first bytes of the value at `start` is encoded: then none of them is a quotation mark or a bracket
    /// of whoever wrote the form.
    pub(super) fn is_encoded(&self, start: usize) -> bool {
        /// As far as a value is read to know that it says how a secret is.
        const SEEN_MAX: usize = 128;
        let seen = start..self.text.len().min(start + SEEN_MAX);
        self.percents != u8::MAX && seen.take_while(|at| !self.ends(*at)).any(|at| !self.is_bare(at))
    }

    fn ends(&self, at: usize) -> bool {
        ends_value(self.text[at]) && self.is_bare(at)
    }

    /// Where the value ends that begins at `start`.
    pub(super) fn unquoted(&self, start: usize, name: Name<'_>) -> usize {
        let rest = &self.text[start..];
        let is_line = is_line(name.text) && !is_number(rest, name);
        match rest.first() {
            _ if self.is_encoded(start) => self.plain(start, name),
            // What stands for the beginning of a line that has gone is in brackets, too.
            // In Go's `map[Authorization:[…] Accept:[…]]` the brackets are those of the value.
            Some(b'[' | b'{' | b'(')
                if !is_line || gone_len(rest).is_none() || name.text.starts_with(b"map[") =>
            {
                self.behind(self.closing(start), name)
            }
            _ if is_line => self.line(start, name.before),
            // A password's hash in the form of PHC has commas in it.
            Some(b'$') => {
                let ends = |byte: u8| {
                    byte.is_ascii_whitespace()
                        || matches!(byte, b'"' | b'\'' | b'&' | b';' | b')' | b'}' | b']')
                };
                let end = (start..self.text.len()).find(|at| ends(self.text[*at]) && self.is_bare(*at));
                end.unwrap_or(self.text.len())
            }
            _ => self.plain(start, name),
        }
    }

    /// Where the bracket at `open` is closed.
    pub(super) fn closing(&self, open: usize) -> usize {
        open + closing(&self.text[open..], 0, &|mark, at| self.ends_quoted(open + mark, open + at))
    }

    /// How the value at `start` is wrapped, if it is.
    pub(super) fn wrapped(&self, start: usize) -> Option<Wrapped> {
        wrapped(&self.text[start..], &|mark, at| self.ends_quoted(start + mark, start + at))
    }

    fn ends_quoted(&self, mark: usize, at: usize) -> bool {
        ends(self.text, at, Mark::of(self.text, mark, self.out), self.out)
    }

    /// Where a value ends whose first part, in brackets, ends at `end`: a password may go on behind them.
    pub(super) fn behind(&self, mut end: usize, name: Name<'_>) -> usize {
        // Each of them is read once.
        while matches!(self.text.get(end), Some(b'(' | b'[')) {
            end = self.closing(end);
        }
        let Some(byte) = self.text.get(end) else { return end };
        let is_behind = |at: usize| at >= self.text.len() || self.ends(at);
        // A full stop ends a sentence, `:` and `=` end what is named.
        let length = self.text[end..].iter().take(BLANKS_MAX).take_while(|more| *more == byte).count();
        let is_last = matches!(byte, b'.' | b':' | b'!' | b'?' | b'=' | b'-') && is_behind(end + length);
        let stays = self.ends(end) || is_last || matches!(byte, b'<' | b'>' | b'{' | b'`');
        if stays { end } else { self.plain(end, name) }
    }

    fn plain(&self, start: usize, name: Name<'_>) -> usize {
        // A bracket or an apostrophe with more behind it is a part of a password.
        let is_part = |at: usize| {
            matches!(self.text[at], b')' | b'}' | b']' | b'\'')
                && name.before != Some(self.text[at])
                && self.text.get(at + 1).is_some_and(u8::is_ascii_alphanumeric)
        };
        let end = (start..self.text.len()).find(|at| self.ends(*at) && !is_part(*at));
        end.unwrap_or(self.text.len())
    }

    /// A value that goes to the end of the line, or to the quotation mark before its name: `-H 'Cookie: …'`. What is quoted
    /// within it (`username="jane"`, `prefs={"theme":"dark"}`) is a part of it.
    fn line(&self, start: usize, before: Option<u8>) -> usize {
        let mut open: Option<Mark> = None;
        for at in start..self.text.len() {
            let byte = self.text[at];
            match byte {
                b'\n' | b'\r' => return at,
                b'\'' if before == Some(b'\'') => return at,
                b'"' if self.is_framed => {}
                b'"' => match open {
                    Some(mark) if !ends(self.text, at, mark, self.out) => {}
                    Some(_) => open = None,
                    None if before != Some(b'"') && opens(&self.text[start..at]) => {
                        open = Some(Mark::of(self.text, at, self.out));
                    }
                    None => return at,
                },
                _ => {}
            }
        }
        self.text.len()
    }
}

/// Whether a quotation mark behind `head` begins something quoted.
fn opens(head: &[u8]) -> bool {
    let head =
        head.strip_suffix(b" ").filter(|head| head.ends_with(b":") || head.ends_with(b",")).unwrap_or(head);
    matches!(head.last(), Some(b'=' | b'{' | b'[' | b'(' | b',' | b':'))
}

/// Whether a number is all of the value, where the name is in quotation marks: `{"cookie":1234,"z":1}`.
fn is_number(rest: &[u8], name: Name<'_>) -> bool {
    let is_part = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'+' | b'e' | b'E');
    let length = rest.iter().take_while(|byte| is_part(byte)).count();
    name.is_quoted && length > 0 && rest.get(length).is_none_or(|byte| ends_value(*byte))
}

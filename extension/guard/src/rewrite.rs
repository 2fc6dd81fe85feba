//! A text of which some stretches are replaced: copied at the first replacement, and not before.

use std::ops::Range;

use crate::hash::{Hasher, LENGTH as HASH_LENGTH, begins_with_hash};
use crate::view::{View, percents};

/// What takes the place of a match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// What its rule says is best: for a card its first six and last four digits, and so on.
    Fitting,
    /// A star for every byte.
    Mask,
    /// A keyed hash: the same value gives the same letters, which tell nothing without the key.
    Hash,
    /// Nothing.
    Delete,
}

/// Blanks between the name of a number in JSON, its colon and the number, and behind that.
const BLANKS_MAX: usize = 16;
/// Bytes of a list of numbers in JSON back to its beginning, or to the last number of it that was replaced.
const LIST_MAX: usize = 64;

/// Bytes of a number of JSON beside the stretch of it that is replaced.
const NUMBER_MAX: usize = 32;

/// A value of JSON that gets quotation marks.
struct Literal<'a> {
    start: usize,
    end: usize,
    /// As it came.
    mark: &'a [u8],
}

/// What takes the place of a secret that leaves no trace of itself.
pub(crate) const REDACTED: &[u8] = b"[redacted]";

pub(crate) struct Rewrite<'a> {
    /// As it came.
    came: &'a [u8],
    /// As it reads, where something in it is escaped.
    view: Option<&'a View>,
    action: Action,
    hasher: Option<&'a Hasher>,
    /// The new text as far as `written`, once there is something to replace.
    out: Vec<u8>,
    /// How far the text as it came has been written.
    written: usize,
    /// The same of the text as it reads.
    done: usize,
    /// The value of JSON that the last stretch was a part of, of which the end has not been written yet.
    literal: Option<Literal<'a>>,
    /// The last quotation mark of the name of the list in JSON that the last stretch was a value of.
    list: Option<usize>,
    pub(crate) hits: u64,
    /// Hashes that may still be made.
    pub(crate) hashes_left: usize,
    /// More would have been made: what has taken their place is none.
    pub(crate) lacks_hashes: bool,
}

impl<'a> Rewrite<'a> {
    pub(crate) const fn new(text: &'a [u8], action: Action, hasher: Option<&'a Hasher>) -> Self {
        Self::reading(text, None, action, hasher)
    }

    /// Of a text that reads as `view` says: stretches are those of the reading.
    pub(crate) const fn reading(
        came: &'a [u8],
        view: Option<&'a View>,
        action: Action,
        hasher: Option<&'a Hasher>,
    ) -> Self {
        Self {
            came,
            view,
            action,
            hasher,
            out: Vec::new(),
            written: 0,
            done: 0,
            literal: None,
            list: None,
            hits: 0,
            hashes_left: usize::MAX,
            lacks_hashes: false,
        }
    }

    /// The keyed hash of `value`; `None` without a key, or when no more may be made.
    pub(crate) fn hash(&mut self, value: &[u8]) -> Option<Vec<u8>> {
        let hasher = self.hasher?;
        match self.hashes_left.checked_sub(1) {
            Some(left) => {
                self.hashes_left = left;
                Some(hasher.hash(value))
            }
            None => {
                self.lacks_hashes = true;
                None
            }
        }
    }

    /// How often the byte at `at` is escaped.
    pub(crate) fn level(&self, at: usize) -> u8 {
        self.view.map_or(0, |view| view.level(at))
    }

    /// How often the byte at `at` is encoded as in a URL.
    pub(crate) fn percents(&self, at: usize) -> u8 {
        self.view.map_or(0, |view| percents(&self.came[view.place(at, at).start..]))
    }

    /// The byte that the one at `at` came as, or with which its escape begins.
    pub(crate) fn came_with(&self, at: usize) -> u8 {
        self.came[self.place(at, at).start]
    }

    /// Whether the byte at `at` came as `byte` behind backslashes.
    pub(crate) fn came_behind_backslashes(&self, at: usize, byte: u8) -> bool {
        let came = &self.came[self.place(at, at + 1)];
        came.split_last().is_some_and(|(last, head)| *last == byte && head.iter().all(|byte| *byte == b'\\'))
    }

    /// Whether what takes the place of a match is up to its rule.
    pub(crate) fn is_fitting(&self) -> bool {
        self.action == Action::Fitting
    }

    /// How far the text has been replaced: no later match may begin before.
    pub(crate) const fn done(&self) -> usize {
        self.done
    }

    /// Replaces `start..end`, by `fitting` unless another action was asked for. Stretches come in order.
    ///
    /// What is a whole value of JSON without quotation marks (`"phone":9876543210`), or a part of such a number, gets those of
    /// its name around all of it: what takes its place is a text, and JSON stays JSON.
    pub(crate) fn put(&mut self, start: usize, end: usize, fitting: &[u8]) {
        // The one before may have gone on to the end of a character, into the beginning of this.
        let start = start.max(self.done);
        if start >= end {
            return;
        }
        let literal = match &mut self.literal {
            Some(open) if start < open.end => {
                open.end = open.end.max(end);
                None
            }
            _ => self.literal_around(start, end),
        };
        self.replace(start, end, fitting, literal);
    }

    /// The same, with nothing around it.
    pub(crate) fn put_as_it_is(&mut self, start: usize, end: usize, fitting: &[u8]) {
        self.replace(start, end, fitting, None);
    }

    /// The same, with quotation marks around it.
    pub(crate) fn put_quoted(&mut self, start: usize, end: usize, fitting: &[u8]) {
        self.replace(start, end, fitting, Some(Literal { start, end, mark: b"\"" }));
    }

    /// The value of JSON without quotation marks that `start..end` is, or is a part of.
    fn literal_around(&mut self, start: usize, end: usize) -> Option<Literal<'a>> {
        let text: &'a [u8] = self.view.map_or(self.came, |view| &view.bytes);
        let list_before = self.list.take();
        let is_blank = |byte: &u8| byte.is_ascii_whitespace();
        let is_of_number =
            |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'+' | b'e' | b'E');
        let floor = self.done.max(start.saturating_sub(NUMBER_MAX)).min(start);
        let head = &text[floor..start];
        let first = start - head.iter().rev().take_while(|byte| is_of_number(byte)).count();
        let start = if first < start && text[first] == b'+' { first + 1 } else { first };
        let end = end + text[end..].iter().take(NUMBER_MAX).take_while(|byte| is_of_number(byte)).count();
        let blanks = text[end..].iter().take(BLANKS_MAX).take_while(|byte| is_blank(byte)).count();
        let ends = matches!(text.get(end + blanks), None | Some(b',' | b'}' | b']'));
        if !ends || text[start] == b'"' {
            return None;
        }
        // In a form a blank is a plus sign.
        let is_between = |byte: &&u8| is_blank(byte) || **byte == b'+';
        let without = |head: &'a [u8]| {
            let blanks = head.iter().rev().take(BLANKS_MAX).take_while(is_between).count();
            &head[..head.len() - blanks]
        };
        // `name` ends in a quotation mark: a colon and what is behind it are taken off.
        let of = |head: &'a [u8]| {
            let name = without(without(head).strip_suffix(b":")?);
            name.ends_with(b"\"").then(|| name.len() - 1)
        };
        let literal = |mark: usize| {
            let place = self.place(mark, mark + 1);
            // In a text that is read as it came an escape is before it.
            let before = self.came[..place.start].iter().rev().take(NUMBER_MAX);
            let escapes = before.take_while(|byte| **byte == b'\\').count();
            Literal { start, end, mark: &self.came[place.start - escapes..place.end] }
        };
        if let Some(mark) = of(&text[..start]) {
            return Some(literal(mark));
        }
        // One of several numbers in a list.
        let is_of_list = |byte: &u8| is_blank(byte) || is_of_number(byte) || *byte == b',';
        let floor = self.done.max(start.saturating_sub(LIST_MAX)).min(start);
        let numbers = text[floor..start].iter().rev().take_while(|byte| is_of_list(byte)).count();
        let from = start - numbers;
        let separates = matches!(without(&text[..start]).last(), Some(b',' | b'['));
        let list = match from == self.done && from > 0 {
            true => list_before,
            false => text[..from].strip_suffix(b"[").and_then(of),
        };
        let list = list.filter(|_| separates);
        let literal = list.map(literal);
        self.list = list;
        literal
    }

    /// The stretch of the text as it came that `start..end` is.
    fn place(&self, start: usize, end: usize) -> Range<usize> {
        self.view.map_or(start..end, |view| view.place(start, end))
    }

    /// Writes the text as it came up to `end`, and then `mark`.
    fn write_to(&mut self, end: usize, mark: &[u8]) {
        let end = self.place(end, end).start;
        self.out.extend_from_slice(&self.came[self.written..end]);
        self.out.extend_from_slice(mark);
        self.written = end;
    }

    /// Writes what is left of a value of JSON, with the quotation mark behind it.
    fn close_literal(&mut self) {
        if let Some(literal) = self.literal.take() {
            self.write_to(literal.end, literal.mark);
        }
    }

    fn replace(&mut self, start: usize, end: usize, fitting: &[u8], literal: Option<Literal<'a>>) {
        let start = start.max(self.done);
        if start >= end {
            return;
        }
        let found = match self.view {
            Some(view) => &view.bytes[start..end],
            None => &self.came[start..end],
        };
        let hashed;
        let stars = || vec![b'*'; found.len()];
        let with: &[u8] = match self.action {
            Action::Fitting => fitting,
            Action::Delete => b"",
            // What has been hashed is: the hash of a hash would be another one in each pass.
            Action::Hash if found.len() == HASH_LENGTH && begins_with_hash(found) => found,
            // Without a key a hash would be as good as the value.
            Action::Hash => {
                hashed = self.hash(found).unwrap_or_else(stars);
                &hashed
            }
            Action::Mask => {
                hashed = stars();
                &hashed
            }
        };
        if with != found {
            self.hits += 1;
            // A detector that stops after so many bytes may stop inside a character: the rest of it goes, too.
            let text = self.view.map_or(self.came, |view| &view.bytes);
            let end = end + text[end..].iter().take(3).take_while(|byte| **byte & 0xc0 == 0x80).count();
            let found = &text[start..end];
            if self.literal.as_ref().is_some_and(|open| open.end <= start) {
                self.close_literal();
            }
            // Of one that begins in what has been replaced nobody knows what it was: it gets no marks.
            let literal =
                literal.filter(|literal| self.place(literal.start, literal.start).start >= self.written);
            if let Some(literal) = literal {
                self.write_to(literal.start, literal.mark);
                self.literal = Some(literal);
            }
            self.write_to(start, b"");
            match self.view {
                // What stays of it stays as it came, such as the `%20` between the groups of a card.
                Some(view) if with.len() == found.len() => {
                    for (index, byte) in with.iter().enumerate() {
                        let at = start + index;
                        match *byte == found[index] {
                            true => self.out.extend_from_slice(&self.came[view.place(at, at + 1)]),
                            false => self.out.push(*byte),
                        }
                    }
                }
                _ => self.out.extend_from_slice(with),
            }
            (self.written, self.done) = (self.place(start, end).end, end);
            if let Some(open) = &mut self.literal {
                open.end = open.end.max(end);
            }
        }
    }

    /// The new text, or `None` when nothing was replaced.
    pub(crate) fn finish(mut self) -> Option<Vec<u8>> {
        if self.hits == 0 {
            return None;
        }
        self.close_literal();
        self.out.extend_from_slice(&self.came[self.written..]);
        Some(self.out)
    }
}

/// `found` with a star in place of each byte that is a digit or letter and stands before `keep_last` of them.
pub(crate) fn stars(found: &[u8], keep_first: usize, keep_last: usize) -> Vec<u8> {
    let all = found.iter().filter(|byte| byte.is_ascii_alphanumeric()).count();
    let mut seen = 0;
    let star = |byte: &u8| {
        if !byte.is_ascii_alphanumeric() {
            return *byte;
        }
        seen += 1;
        if seen <= keep_first || seen + keep_last > all { *byte } else { b'*' }
    };
    found.iter().map(star).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_are_replaced_in_order_and_the_rest_stays() {
        let mut rewrite = Rewrite::new(b"one two three", Action::Fitting, None);
        rewrite.put(0, 3, b"1");
        rewrite.put(8, 13, b"3");
        assert_eq!(rewrite.finish().as_deref(), Some(&b"1 two 3"[..]));
        let mut same = Rewrite::new(b"one", Action::Fitting, None);
        same.put(0, 3, b"one");
        assert_eq!(same.finish(), None, "a text that stays is not copied");
    }

    #[test]
    fn a_stretch_that_ends_inside_a_character_takes_all_of_it_and_none_twice() {
        // `é` is two bytes: the first stretch ends inside it, and the second begins there.
        for (second, expected) in [((4, 6), "<>[]z"), ((5, 6), "<>[]z"), ((4, 5), "<>yz")] {
            let mut rewrite = Rewrite::new("abcéyz".as_bytes(), Action::Fitting, None);
            rewrite.put(0, 4, b"<>");
            rewrite.put(second.0, second.1, b"[]");
            let text = rewrite.finish().expect("it is replaced");
            assert_eq!(String::from_utf8(text).as_deref(), Ok(expected), "{second:?}");
        }
    }

    #[test]
    fn a_value_of_json_gets_the_quotation_marks_of_its_name() {
        let rows = [
            (r#"{"n":4111,"m":1}"#, r#"{"n":"****","m":1}"#),
            (r#"{"n" : 4111 }"#, r#"{"n" : "****" }"#),
            (r#"{\"n\":4111}"#, r#"{\"n\":\"****\"}"#),
            (r#"{"n":[17, 4111,4111],"m":[4111]}"#, r#"{"n":[17, "****","****"],"m":["****"]}"#),
            (r#"{"n":"4111"}"#, r#"{"n":"****"}"#),
            (r#"{"n":"a, 4111, b"}"#, r#"{"n":"a, ****, b"}"#),
            (r#"{"n":["4111",4111]}"#, r#"{"n":["****",****]}"#),
            (r#""n": 4111 was"#, r#""n": **** was"#),
            ("n: 4111, [4111]", "n: ****, [****]"),
        ];
        for (text, expected) in rows {
            let view = View::of(text.as_bytes());
            let mut out = Rewrite::reading(text.as_bytes(), view.as_ref(), Action::Fitting, None);
            let read = view.as_ref().map_or(text.as_bytes(), |view| &view.bytes);
            for at in 0..read.len() {
                if read[at..].starts_with(b"4111") {
                    out.put(at, at + 4, b"****");
                }
            }
            let left = out.finish().map(|bytes| String::from_utf8(bytes).expect("ASCII"));
            assert_eq!(left.as_deref(), Some(expected));
        }
    }

    #[test]
    fn any_two_stretches_are_replaced_and_the_rest_stays_in_order() {
        for text in [
            r#"{"n":-41.5,"m":[1, 2.5,-3]}"#,
            r#"{\"n\":[17,4.1]}"#,
            r#"{"n":\u0031.5,"m":true}"#,
            "n: 4.1, 5",
        ] {
            let view = View::of(text.as_bytes());
            let read = view.as_ref().map_or(text.as_bytes(), |view| &view.bytes);
            let ends = || 0..=read.len();
            for (one, two) in ends().flat_map(|one| ends().map(move |two| (one, two))) {
                for (start, end) in ends().flat_map(|start| ends().map(move |end| (start, end))) {
                    if one < two && two <= start && start < end {
                        let mut out = Rewrite::reading(text.as_bytes(), view.as_ref(), Action::Fitting, None);
                        out.put(one, two, b"<");
                        out.put(start, end, b">");
                        let left = out.finish().map(|bytes| String::from_utf8(bytes).expect("ASCII"));
                        let left = left.unwrap_or_default();
                        assert!(
                            left.find('<') < left.find('>'),
                            "{text} {one}..{two} {start}..{end}: {left}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn a_hash_without_a_key_is_a_mask() {
        let mut rewrite = Rewrite::new(b"id 42", Action::Hash, None);
        rewrite.put(3, 5, b"");
        assert_eq!(rewrite.finish().as_deref(), Some(&b"id **"[..]));
    }

    #[test]
    fn separators_are_kept() {
        assert_eq!(stars(b"4111 1111 1111 1111", 6, 4), b"4111 11** **** 1111");
    }
}

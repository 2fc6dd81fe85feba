//! A text of which some stretches are replaced: copied at the first replacement, and not before.

use crate::hash::Hasher;
use crate::view::View;

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

    /// How far the text has been replaced: no later match may begin before.
    pub(crate) const fn done(&self) -> usize {
        self.done
    }

    /// Replaces `start..end`, by `fitting` unless another action was asked for. Stretches come in order.
    ///
    /// What is a whole value of JSON without quotation marks (`"phone":9876543210`) gets those of its name: what takes its
    /// place is a text, and JSON stays JSON.
    pub(crate) fn put(&mut self, start: usize, end: usize, fitting: &[u8]) {
        let mark = self.mark_for(start, end);
        self.replace(start, end, fitting, mark);
    }

    /// The same, with nothing around it.
    pub(crate) fn put_as_it_is(&mut self, start: usize, end: usize, fitting: &[u8]) {
        self.replace(start, end, fitting, None);
    }

    /// The quotation mark, as it reads, that a value at `start..end` lacks.
    fn mark_for(&mut self, start: usize, end: usize) -> Option<usize> {
        let text: &'a [u8] = self.view.map_or(self.came, |view| &view.bytes);
        let list_before = self.list.take();
        let is_blank = |byte: &u8| byte.is_ascii_whitespace();
        let blanks = text[end..].iter().take(BLANKS_MAX).take_while(|byte| is_blank(byte)).count();
        let ends = matches!(text.get(end + blanks), None | Some(b',' | b'}' | b']'));
        if !ends || start >= end || text[start] == b'"' {
            return None;
        }
        let without = |head: &'a [u8]| {
            let blanks = head.iter().rev().take(BLANKS_MAX).take_while(|byte| is_blank(byte)).count();
            &head[..head.len() - blanks]
        };
        // `name` ends in a quotation mark: a colon and what is behind it are taken off.
        let of = |head: &'a [u8]| {
            let name = without(without(head).strip_suffix(b":")?);
            name.ends_with(b"\"").then(|| name.len() - 1)
        };
        if let Some(mark) = of(&text[..start]) {
            return Some(mark);
        }
        // One of several numbers in a list.
        let is_of_list =
            |byte: &u8| is_blank(byte) || byte.is_ascii_digit() || matches!(byte, b',' | b'.' | b'-');
        let floor = self.done.max(start.saturating_sub(LIST_MAX)).min(start);
        let numbers = text[floor..start].iter().rev().take_while(|byte| is_of_list(byte)).count();
        let from = start - numbers;
        let separates = matches!(without(&text[..start]).last(), Some(b',' | b'['));
        let list = match from == self.done && from > 0 {
            true => list_before,
            false => text[..from].strip_suffix(b"[").and_then(of),
        };
        self.list = list.filter(|_| separates);
        self.list
    }

    fn replace(&mut self, start: usize, end: usize, fitting: &[u8], mark: Option<usize>) {
        // The one before may have gone on to the end of a character, into the beginning of this.
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
            let place = self.view.map_or(start..end, |view| view.place(start, end));
            self.out.extend_from_slice(&self.came[self.written..place.start]);
            let mark =
                mark.map_or(0..0, |mark| self.view.map_or(mark..mark + 1, |view| view.place(mark, mark + 1)));
            self.out.extend_from_slice(&self.came[mark.clone()]);
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
            self.out.extend_from_slice(&self.came[mark]);
            (self.written, self.done) = (place.end, end);
        }
    }

    /// The new text, or `None` when nothing was replaced.
    pub(crate) fn finish(mut self) -> Option<Vec<u8>> {
        if self.hits == 0 {
            return None;
        }
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

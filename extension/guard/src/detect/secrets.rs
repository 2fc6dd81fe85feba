//! Values that their name gives away: `password=…`, `"cvv":"123"`, `[pin] => 1234`, `<secret>…</secret>`, `Cookie: …`, and
//! so on: the ways in which programs print a name and its value.

use super::has_word;
use crate::hash::LETTERS as HASH_LETTERS;
use crate::keys::{Naming, is_weak, naming_in_text};
use crate::rewrite::{REDACTED, Rewrite};
use crate::words::STATES;

/// Longer words are no names.
const NAME_MAX: usize = 64;
/// Blanks between a name, a sign and a value.
const BLANKS_MAX: usize = 256;
/// Quotation marks, brackets and backslashes between a name and a sign.
const CLOSERS_MAX: usize = 8;
/// Letters between a sign and a quotation mark: `b"…"`, `Some("…")`.
const WRAPPER_MAX: usize = 16;
/// The head of an element of XML, back from its end.
const TAG_MAX: usize = 128;
/// Between the name in `{"name": "password", "value": "…"}` and its value.
const PAIR_MAX: usize = 96;
/// Fewer digits are a number of something, where the name is a word like others: `session: 3`.
const DIGITS_MIN: usize = 4;
/// What stands for a value that has gone already.
const GONE: [&[u8]; 2] = [REDACTED, b"REDACTED"];
/// The values of these names go to the end of the line: they have spaces in them.
const WHOLE_LINES: [&[u8]; 2] = [b"authorization", b"cookie"];
/// Names whose value is a name, and names whose value is its value.
const NAMES: [&[u8]; 9] = [
    b"name",
    b"key",
    b"field",
    b"header",
    b"param",
    b"parameter",
    b"parametername",
    b"variable",
    b"attribute",
];
const VALUES: [&[u8]; 4] = [b"value", b"val", b"content", b"stringvalue"];

/// Each value is found from the sign before it. What is looked at of it is looked at once: it is replaced, or known by its
/// first bytes to stay.
pub(crate) fn redact(text: &[u8], out: &mut Rewrite<'_>) {
    let mut search = Search { text, out, named_until: 0 };
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        at = if SIGNS[usize::from(*byte)] { search.at(at).max(at + 1) } else { at + 1 };
    }
}

const fn is_sign(byte: u8) -> bool {
    matches!(byte, b'=' | b':' | b'>' | b',' | b'-' | b'\t')
}

const SIGNS: [bool; 256] = {
    let mut signs = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        signs[byte] = is_sign(byte as u8);
        byte += 1;
    }
    signs
};

struct Search<'a, 'b, 'c> {
    text: &'a [u8],
    out: &'b mut Rewrite<'c>,
    /// Before this, the value of `value` is that of a secret that has been named.
    named_until: usize,
}

impl Search<'_, '_, '_> {
    /// Hides the value behind the sign at `sign`, if its name says so; says where to go on.
    fn at(&mut self, sign: usize) -> usize {
        match self.text[sign] {
            b'>' if self.text[..sign].ends_with(b"-") => self.named(sign - 1, sign + 1),
            b'>' => self.element(sign),
            b',' => self.listed(sign),
            b'-' => self.option(sign),
            b'\t' => self.column(sign),
            _ => self.named(sign, sign + 1),
        }
    }

    /// `name = value` in all its spellings.
    fn named(&mut self, sign: usize, from: usize) -> usize {
        let name = name_before(self.text, sign);
        // The scheme of a URL, or a time: most signs are one of these.
        let is_url = self.text[from..].starts_with(b"//");
        if is_url || name.last().is_none_or(|last| last.is_ascii_digit() && name.len() < 3) {
            return from;
        }
        let start = self.skip_signs(from);
        if naming_in_text(name) != Naming::Plain {
            return self.value(start, name, from);
        }
        let last = last_word(name);
        let is_one_of = |words: &[&[u8]]| words.iter().any(|word| last.eq_ignore_ascii_case(word));
        if is_one_of(&NAMES) {
            self.note_name(start, from)
        } else if start < self.named_until && is_one_of(&VALUES) {
            self.value(start, name, from)
        } else {
            from
        }
    }

    /// Further signs and blanks: `=>`, `:=`, `==`, ` : `.
    fn skip_signs(&self, from: usize) -> usize {
        let is_more = |byte: &&u8| matches!(byte, b'=' | b':' | b'>' | b'~' | b' ' | b'\t');
        from + self.text[from..].iter().take(BLANKS_MAX).take_while(is_more).count()
    }

    /// A value that is a name: the `value` behind it is its value, and so is the next line but one of a form.
    fn note_name(&mut self, start: usize, from: usize) -> usize {
        let is_around = |byte: &u8| matches!(byte, b'"' | b'\'' | b'`' | b'\\');
        let rest = &self.text[start..];
        let around = rest.iter().take(CLOSERS_MAX).take_while(|byte| is_around(byte)).count();
        let length = rest[around..].iter().take(NAME_MAX).take_while(|byte| is_name(**byte)).count();
        let name = &rest[around..around + length];
        if length == 0 || naming_in_text(name) == Naming::Plain {
            return from;
        }
        let mut end = start + around + length;
        self.named_until = end + PAIR_MAX;
        end += self.text[end..].iter().take(CLOSERS_MAX).take_while(|byte| is_around(byte)).count();
        let breaks: [&[u8]; 2] = [b"\r\n\r\n", b"\n\n"];
        let body = breaks.iter().find(|lines| self.text[end..].starts_with(lines));
        body.map_or(from, |lines| self.value(end + lines.len(), name, from))
    }

    /// Hides the value that begins at `start`; goes on from `from` where it stays.
    fn value(&mut self, start: usize, name: &[u8], from: usize) -> usize {
        let (start, quote) = self.unwrapped(start);
        let rest = &self.text[start..];
        if rest.is_empty() || start < self.out.done() || is_gone(rest) || is_plain(rest, name) {
            return from;
        }
        let end = match quote {
            Some(quote) => self.end_of_quoted(start, quote),
            None => start + unquoted(rest, name),
        };
        if start < end {
            self.out.put(start, end, REDACTED);
        }
        end
    }

    /// Where the value begins behind a quotation mark and what is before that (`b"…"`, `Some("…")`), and the mark and how
    /// often it is escaped.
    fn unwrapped(&self, start: usize) -> (usize, Option<(u8, u8)>) {
        let rest = &self.text[start..];
        let is_word = |byte: &&u8| byte.is_ascii_alphanumeric() || **byte == b'_';
        let word = rest.iter().take(WRAPPER_MAX).take_while(is_word).count();
        let is_prefix = |byte: &&u8| {
            matches!(
                byte,
                b'b' | b'B'
                    | b'u'
                    | b'U'
                    | b'r'
                    | b'R'
                    | b'f'
                    | b'F'
                    | b'N'
                    | b'E'
                    | b'L'
                    | b'@'
                    | b'$'
                    | b'&'
            )
        };
        let prefix = rest.iter().take(2).take_while(is_prefix).count();
        let wrapper = if rest.get(word) == Some(&b'(') { word + 1 } else { prefix };
        let opens = |behind: Option<&u8>| behind.is_some_and(|byte| !ends_value(*byte));
        match rest.get(wrapper) {
            Some(quote @ (b'"' | b'\'' | b'`')) if wrapper == 0 || opens(rest.get(wrapper + 1)) => {
                let at = start + wrapper;
                (at + 1, Some((*quote, self.out.level(at))))
            }
            _ => (start, None),
        }
    }

    /// The next quotation mark that is escaped no more often than the first one.
    fn end_of_quoted(&self, start: usize, (quote, level): (u8, u8)) -> usize {
        let mut at = start;
        while let Some(byte) = self.text.get(at) {
            match byte {
                // In a text without escapes of its own one backslash still is before what it escapes.
                b'\\' if self.out.level(at) == 0 => at += 2,
                byte if *byte == quote && self.out.level(at) <= level => return at,
                _ => at += 1,
            }
        }
        self.text.len()
    }

    /// `<name>value<`.
    fn element(&mut self, sign: usize) -> usize {
        let head = &self.text[sign.saturating_sub(TAG_MAX)..sign];
        let Some(open) = head.iter().rposition(|byte| *byte == b'<') else { return sign + 1 };
        let tag = &head[open + 1..];
        let length = tag.iter().take_while(|byte| is_name(**byte) || **byte == b':').count();
        let name = tag[..length].rsplit(|byte| *byte == b':').next().unwrap_or(tag);
        if name.is_empty() || tag.ends_with(b"/") || naming_in_text(name) == Naming::Plain {
            return sign + 1;
        }
        let rest = &self.text[sign + 1..];
        let length = rest.iter().position(|byte| *byte == b'<').unwrap_or(rest.len());
        let is_value = rest[..length].iter().any(|byte| !byte.is_ascii_whitespace()) && !is_gone(rest);
        if is_value && sign + 1 >= self.out.done() {
            self.out.put(sign + 1, sign + 1 + length, REDACTED);
        }
        sign + 1 + length
    }

    /// `("name", "value")`: two quoted words beside each other, in round brackets or where the second looks like a secret.
    fn listed(&mut self, sign: usize) -> usize {
        let head = &self.text[..sign];
        let blanks = head.iter().rev().take(BLANKS_MAX).take_while(|byte| **byte == b' ').count();
        let Some((quote @ (b'"' | b'\''), head)) = head[..sign - blanks].split_last() else {
            return sign + 1;
        };
        let length = head.iter().rev().take(NAME_MAX).take_while(|byte| is_name(**byte)).count();
        let (before, name) = head.split_at(head.len() - length);
        let opens = before.last() == Some(quote);
        if name.is_empty() || !opens || naming_in_text(name) == Naming::Plain {
            return sign + 1;
        }
        let is_pair = matches!(before[..before.len() - 1].trim_ascii_end().last(), Some(b'('));
        let blanks = self.text[sign + 1..].iter().take(BLANKS_MAX).take_while(|byte| **byte == b' ').count();
        let (start, quote) = self.unwrapped(sign + 1 + blanks);
        let Some(quote) = quote else { return sign + 1 };
        let end = self.end_of_quoted(start, quote);
        let value = &self.text[start..end];
        let is_key = matches!(self.text.get(end + 1), Some(b':' | b'='));
        let looks_secret = value.iter().any(|byte| !byte.is_ascii_lowercase() && *byte != b'_');
        if is_key || !(is_pair || looks_secret) || is_gone(&self.text[start..]) {
            // A value that stays is read again from its sign: no further than it is long.
            return end.min(self.text.len());
        }
        self.value(sign + 1 + blanks, name, sign + 1)
    }

    /// `--name value`.
    fn option(&mut self, sign: usize) -> usize {
        if super::before(self.text, sign).is_some_and(is_name) {
            return sign + 1;
        }
        let start = sign + self.text[sign..].iter().take(2).take_while(|byte| **byte == b'-').count();
        let length = self.text[start..].iter().take(NAME_MAX).take_while(|byte| is_name(**byte)).count();
        let name = &self.text[start..start + length];
        let end = start + length;
        let is_option = length > 0 && self.text.get(end) == Some(&b' ');
        if !is_option || naming_in_text(name) == Naming::Plain || self.text.get(end + 1) == Some(&b'-') {
            return start;
        }
        self.value(end + 1, name, end)
    }

    /// A name that begins a line, and its value behind a tab.
    fn column(&mut self, sign: usize) -> usize {
        let name = name_before(self.text, sign);
        let begins = self.text[..sign].ends_with(name)
            && matches!(super::before(self.text, sign - name.len()), None | Some(b'\n' | b'\r'));
        if name.is_empty() || !begins || naming_in_text(name) == Naming::Plain {
            return sign + 1;
        }
        let start = self.skip_signs(sign + 1);
        self.value(start, name, sign + 1)
    }
}

/// Whether what begins here has gone already: it is nothing but a word that says so, stars, or a hash.
fn is_gone(rest: &[u8]) -> bool {
    let ends = |rest: &[u8]| rest.first().is_none_or(|byte| ends_value(*byte) || *byte == b'<');
    let is_word = GONE.iter().any(|gone| rest.strip_prefix(*gone).is_some_and(ends));
    let stars = rest.iter().take_while(|byte| **byte == b'*').count();
    let are_stars = stars > 0 && ends(&rest[stars..]);
    let is_hash = rest.strip_prefix(b"{").is_some_and(|letters| {
        letters.len() > HASH_LETTERS
            && letters[..HASH_LETTERS].iter().all(|byte| (b'a'..=b'p').contains(byte))
            && letters[HASH_LETTERS] == b'}'
    });
    is_word || are_stars || is_hash
}

/// Whether a value says how a secret is and is none; or is a count, where the name is a word like others.
fn is_plain(rest: &[u8], name: &[u8]) -> bool {
    let length = rest.iter().take(NAME_MAX).take_while(|byte| byte.is_ascii_alphabetic()).count();
    let word = rest[..length].to_ascii_lowercase();
    let ends =
        |at: usize| rest.get(at).is_none_or(|byte| ends_value(*byte) || matches!(byte, b'.' | b'!' | b'<'));
    if STATES.contains(&&*word) && ends(length) {
        return true;
    }
    let digits = rest.iter().take(DIGITS_MIN).take_while(|byte| byte.is_ascii_digit()).count();
    // The working directory has the name of a password.
    let is_folder = rest[0] == b'/' && has_word(name, name.len().saturating_sub(3), b"pwd");
    (digits > 0 && digits < DIGITS_MIN && ends(digits) && is_weak(name) && !is_forbidden(name)) || is_folder
}

fn is_forbidden(name: &[u8]) -> bool {
    naming_in_text(name) == Naming::Forbidden
}

const fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'[' | b']')
}

/// The word before the sign at `sign`, without the quotes, brackets and blanks around it.
fn name_before(text: &[u8], sign: usize) -> &[u8] {
    let count = |text: &[u8], max: usize, is_it: fn(u8) -> bool| {
        text.iter().rev().take(max).take_while(|byte| is_it(**byte)).count()
    };
    let head = &text[..sign];
    let head = &head[..head.len() - count(head, BLANKS_MAX, |byte| matches!(byte, b' ' | b'\t'))];
    let closers =
        count(head, CLOSERS_MAX, |byte| matches!(byte, b'"' | b'\'' | b'\\' | b'`' | b']' | b')' | b' '));
    let head = &head[..head.len() - closers];
    &head[head.len() - count(head, NAME_MAX, is_name)..]
}

/// The last word of a name: behind a dot, a bracket or a hyphen.
fn last_word(name: &[u8]) -> &[u8] {
    name.rsplit(|byte| !byte.is_ascii_alphanumeric()).next().unwrap_or(name)
}

/// The length of a value that is not quoted.
fn unquoted(rest: &[u8], name: &[u8]) -> usize {
    let is_line = WHOLE_LINES.iter().any(|line| ends_with_word(name, line));
    match rest.first() {
        Some(b'[' | b'{' | b'(') => bracketed(rest),
        _ if is_line => {
            rest.iter().position(|byte| matches!(byte, b'\n' | b'\r' | b'"')).unwrap_or(rest.len())
        }
        _ => rest.iter().position(|byte| ends_value(*byte)).unwrap_or(rest.len()),
    }
}

fn ends_with_word(name: &[u8], word: &[u8]) -> bool {
    name.len() >= word.len() && name[name.len() - word.len()..].eq_ignore_ascii_case(word)
}

const fn ends_value(byte: u8) -> bool {
    byte.is_ascii_whitespace()
        || matches!(byte, b',' | b';' | b'&' | b'"' | b'\'' | b')' | b'}' | b']' | b'|' | b'\\')
}

/// The length of an array or object, or of all that is left of one that is cut off.
fn bracketed(rest: &[u8]) -> usize {
    let mut depth = 0_usize;
    for (index, byte) in rest.iter().enumerate() {
        match byte {
            b'[' | b'{' | b'(' => depth += 1,
            b']' | b'}' | b')' => {
                depth -= 1;
                if depth == 0 {
                    return index + 1;
                }
            }
            _ => {}
        }
    }
    rest.len()
}
#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect;

    fn redacted(text: &str) -> String {
        detect::redacted(text, redact)
    }

    #[test]
    fn named_secrets_go_and_their_names_stay() {
        let rows = [
            ("password=hunter2&user=jane", "password=[redacted]&user=jane"),
            (r#"{"cvv":"123","amount":5}"#, r#"{"cvv":"[redacted]","amount":5}"#),
            (r#"{"pin": 1234}"#, r#"{"pin": [redacted]}"#),
            (r#"{\"password\":\"hun\\\"ter2\",\"a\":1}"#, r#"{\"password\":\"[redacted]\",\"a\":1}"#),
            ("Authorization: Token abc def\nHost: x", "Authorization: [redacted]\nHost: x"),
            ("set-cookie: a=b; c=d", "set-cookie: [redacted]"),
            ("{'api_key': 'x y'}", "{'api_key': '[redacted]'}"),
            ("client_secret=abc, x=1", "client_secret=[redacted], x=1"),
            (r#"{"password":["a",{"b":1}],"c":2}"#, r#"{"password":[redacted],"c":2}"#),
        ];
        for (text, expected) in rows {
            assert_eq!(redacted(text), expected);
            assert_eq!(redacted(expected), expected, "once is enough");
        }
    }

    #[test]
    fn other_names_stay() {
        for text in
            ["token_count=12", "https://x", "a=b", "12:30:45", "pin_code=560001", "=", ":", "password"]
        {
            assert_eq!(redacted(text), text);
        }
    }
}

//! Values that their name gives away: `password=…`, `"cvv":"123"`, `[pin] => 1234`, `<secret>…</secret>`, `Cookie: …`,
//! `--token …`, `OTP is 123456`, and so on: the ways in which programs and people write a name and its value.

use std::ops::Range;

use super::before;
use super::commands::{Commands, next_word};
use super::extents::Extent;
use super::frames::{Frames, Mark, ends, is_list_at_one_depth};
use super::quotes::{end_of_doubled, is_doubled};
use super::signs;
use super::source::{self, Lines};
use super::states::{SENTENCE_MAX, is_gone, is_of_query, is_place, is_plain, is_step, is_topic, scheme_len};
use super::tuples;
use super::unnamed::{is_in_arn, is_of_parser, is_path};
use super::wrapped::{Wrapped, inner_tag, last_of_list, new_len, rejected, visibility};
use super::yaml::block;
use crate::keys::{Naming, is_weak, naming_in_text};
use crate::rewrite::{REDACTED, Rewrite};

/// Longer words are no names.
pub(super) const NAME_MAX: usize = 64;
/// Blanks between a name, a sign and a value.
pub(super) const BLANKS_MAX: usize = 256;
/// Quotation marks, brackets and backslashes between a name and a sign.
pub(super) const CLOSERS_MAX: usize = 8;
/// Letters between a sign and a quotation mark: `b"…"`, `Some("…")`.
const WRAPPER_MAX: usize = 16;
/// The head of an element of XML, back from its end.
const TAG_MAX: usize = 128;
/// How often the signs of an element may be escaped, to be told from such as are escaped more often: each byte is read once
/// for each of them.
const TAG_LEVELS: u8 = 4;
/// Between the name in `{"name": "password", "value": "…"}` and its value.
const PAIR_MAX: usize = 96;
/// The same, where no bracket between them says that another object has begun.
const FAR_MAX: usize = 512;
/// Fewer digits are a number of something, where the name is a word like others: `session: 3`.
pub(super) const DIGITS_MIN: usize = 4;
/// Stars around what is set in bold or italics.
pub(super) const STARS_MAX: usize = 3;
/// Names whose value is a name, and names whose value is its value.
pub(crate) const NAMES: [&[u8]; 16] = [
    b"name",
    b"key",
    b"field",
    b"header",
    b"param",
    b"parameter",
    b"parametername",
    b"parameterkey",
    b"optionname",
    b"settingname",
    b"headername",
    b"propertyname",
    b"fieldname",
    b"attributename",
    b"variable",
    b"attribute",
];
pub(crate) const VALUES: [&[u8]; 12] = [
    b"value",
    b"val",
    b"content",
    b"stringvalue",
    b"parametervalue",
    b"settingvalue",
    b"headervalue",
    b"propertyvalue",
    b"fieldvalue",
    b"attributevalue",
    b"rejectedvalue",
    b"input",
];
/// What names of two words end in.
const SECOND_HALVES: [&[u8]; 6] = [b"key", b"code", b"word", b"phrase", b"answer", b"name"];
/// Letters and digits, some of each, that are no word: `password hunter2X9zz`.
pub(super) const RANDOM_MIN: usize = 8;
/// What `var_dump` writes before a text.
const PHP: &[u8] = b"string(";
/// Where XML has text as it is, and where that ends.
const CDATA: (&[u8], &[u8]) = (b"<![CDATA[", b"]]>");

/// Each value is found from the sign before it. What is looked at of it is looked at once: it is replaced, or known by its
/// first bytes to stay.
pub(crate) fn redact(text: &[u8], out: &mut Rewrite<'_>) {
    let mut search = Search {
        text,
        out,
        named_until: 0,
        named_at: None,
        commands: Commands::of(text),
        lines: Lines::of(text),
        frames: Frames::of(text),
    };
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        at = if SIGNS[usize::from(*byte)] { search.at(at).max(at + 1) } else { at + 1 };
    }
}

const fn is_sign(byte: u8) -> bool {
    matches!(byte, b'=' | b':' | b'>' | b',' | b'-' | b'\t' | b' ' | b'|' | b'0'..=b'9')
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

pub(super) struct Search<'a, 'b, 'c> {
    pub(super) text: &'a [u8],
    pub(super) out: &'b mut Rewrite<'c>,
    /// Before this, the value of `value` is that of a secret that has been named.
    named_until: usize,
    /// Behind this name it is, too, where it is in the same object.
    named_at: Option<usize>,
    commands: Commands<'a>,
    lines: Lines<'a>,
    frames: Frames<'a>,
}

/// A name, and what stands before it: a quotation mark there ends its value, too.
#[derive(Clone, Copy)]
pub(super) struct Name<'a> {
    pub(super) text: &'a [u8],
    pub(super) before: Option<u8>,
    /// Whether it stands in quotation marks.
    pub(super) is_quoted: bool,
}

impl<'a> Name<'a> {
    const fn alone(text: &'a [u8]) -> Self {
        Self { text, before: None, is_quoted: false }
    }
}

impl<'a> Search<'a, '_, '_> {
    /// Hides the value behind the sign at `sign`, if its name says so; says where to go on.
    fn at(&mut self, sign: usize) -> usize {
        match self.text[sign] {
            b'>' if self.text[..sign].ends_with(b"-") => self.named(sign - 1, sign + 1),
            b'>' => self.element(sign),
            b',' => self.listed(sign),
            b'-' => self.option(sign),
            b'\t' => self.column(sign),
            b'0'..=b'9' => self.code(sign),
            b' ' => self.spoken(sign),
            b'|' => self.piped(sign),
            _ => self.named(sign, sign + 1),
        }
    }

    /// `name = value` in all its spellings.
    fn named(&mut self, sign: usize, from: usize) -> usize {
        let place = name_before(self.text, sign);
        let name = &self.text[place.clone()];
        // The scheme of a URL, or a time: most signs are one of these. A secret in Base64 may begin so.
        if self.text[sign] == b':'
            && self.text.get(from) == Some(&b'"')
            && let Some(place) = tuples::serialized(self.text, &place)
        {
            return self.value(from, self.name(place), from);
        }
        let is_url = self.text[sign] == b':' && self.text[from..].starts_with(b"//");
        if is_url || name.last().is_none_or(|last| last.is_ascii_digit() && name.len() < 3) {
            return from;
        }
        if is_path(self.text, sign, place.end) {
            return from + 1;
        }
        let shown = if self.text[sign] == b':' { visibility(&self.text[from..]) } else { None };
        let from = from + shown.unwrap_or(0);
        let start = self.skip_bold(self.skip_signs(from), &place);
        if naming_in_text(name) != Naming::Plain {
            let is_no_name = is_in_arn(self.text, &place)
                || is_of_parser(self.text, &place)
                || (self.text[sign] == b'-' && is_weak(name) && is_step(&self.text[start..]));
            return if is_no_name { from } else { self.value(start, self.name(place), from) };
        }
        // `password is: …`.
        if matches!(name, b"is" | b"was") && before(self.text, place.start) == Some(b' ') {
            let said = name_before(self.text, place.start);
            if naming_in_text(&self.text[said.clone()]) != Naming::Plain {
                return self.value(start, self.name(said), from);
            }
        }
        let last = last_word(name);
        let is_one_of = |words: &[&[u8]]| words.iter().any(|word| last.eq_ignore_ascii_case(word));
        // `API key: …`: half of the name stands before a blank.
        if is_one_of(&SECOND_HALVES) && before(self.text, place.start) == Some(b' ') {
            let head = &self.text[..place.start - 1];
            let first =
                head.iter().rev().take(NAME_MAX).take_while(|byte| byte.is_ascii_alphabetic()).count();
            let both = head.len() - first..place.end;
            if naming_in_text(&self.text[both.clone()]) != Naming::Plain {
                return self.value(start, self.name(both), from);
            }
        }
        let is_path = is_one_of(&[b"path", b"loc"]) && before(self.text, place.start) == Some(b'"');
        if is_one_of(&NAMES) || is_path {
            self.note_name(start, from)
        } else if is_one_of(&VALUES) && (self.is_named(start) || self.is_named_behind(start)) {
            (self.named_until, self.named_at) = (0, None);
            self.value(start, self.name(place), from)
        } else {
            from
        }
    }

    fn name(&self, place: Range<usize>) -> Name<'a> {
        let before = before(self.text, place.start);
        let is_quoted = matches!(before, Some(b'"' | b'\'')) && self.text.get(place.end).copied() == before;
        Name { before, is_quoted, text: &self.text[place] }
    }

    /// Further signs and blanks: `=>`, `:=`, `==`, ` : `; and the next line, where a value in quotation marks begins it.
    fn skip_signs(&self, from: usize) -> usize {
        // In a form a blank is a plus sign.
        let is_form = from.checked_sub(1).is_some_and(|sign| self.out.percents(sign) > 0);
        let is_more = |byte: &&u8| {
            matches!(byte, b'=' | b':' | b'>' | b'~' | b' ' | b'\t') || (**byte == b'+' && is_form)
        };
        let end = from + self.text[from..].iter().take(BLANKS_MAX).take_while(is_more).count();
        if !matches!(self.text.get(end), Some(b'\n' | b'\r')) {
            return end;
        }
        let rest = &self.text[end..];
        let blanks = rest.iter().take(BLANKS_MAX).take_while(|byte| byte.is_ascii_whitespace()).count();
        let is_quoted = matches!(rest.get(blanks), Some(b'"' | b'\'')) || rest[blanks..].starts_with(PHP);
        if is_quoted { end + blanks } else { end }
    }

    /// The stars behind `**password:**`, as many as before the name, and what follows them.
    fn skip_bold(&self, start: usize, name: &Range<usize>) -> usize {
        let is_star = |byte: &&u8| **byte == b'*';
        let opened = self.text[..name.start].iter().rev().take(STARS_MAX + 1).take_while(is_star).count();
        let closed = self.text[start..].iter().take(STARS_MAX + 1).take_while(is_star).count();
        let is_bold = opened > 0 && opened == closed && opened <= STARS_MAX;
        if is_bold { self.skip_signs(start + closed) } else { start }
    }

    /// Whether the value at `start` is that of a secret whose name came before it.
    fn is_named(&self, start: usize) -> bool {
        let is_near = |at: usize| start < at + FAR_MAX && !self.text[at..start].contains(&b'}');
        start < self.named_until || self.named_at.is_some_and(is_near)
    }

    /// A value that is a name, or the path of one: the `value` behind it is its value, and so is the next line but one of a form.
    fn note_name(&mut self, start: usize, from: usize) -> usize {
        let is_around = |byte: &u8| matches!(byte, b'"' | b'\'' | b'`' | b'\\');
        let rest = &self.text[start..];
        let around = last_of_list(rest)
            .unwrap_or_else(|| rest.iter().take(CLOSERS_MAX).take_while(|byte| is_around(byte)).count());
        let is_path = |byte: &&u8| is_name(**byte) || matches!(byte, b'/' | b':');
        let length = rest[around..].iter().take(NAME_MAX).take_while(is_path).count();
        let name = &rest[around..around + length];
        if length == 0 || name.ends_with(b":") || naming_in_text(name) == Naming::Plain {
            (self.named_until, self.named_at) = (0, None);
            return from;
        }
        let name = Name::alone(name);
        let mut end = start + around + length;
        (self.named_until, self.named_at) = (end + PAIR_MAX, Some(end));
        end += self.text[end..].iter().take(CLOSERS_MAX).take_while(|byte| is_around(byte)).count();
        let breaks: [&[u8]; 2] = [b"\r\n\r\n", b"\n\n"];
        let body = breaks.iter().find(|lines| self.text[end..].starts_with(lines));
        body.map_or(from, |lines| self.value(end + lines.len(), name, from))
    }

    /// Whether the quoted value that begins at `start` is named behind it: `{"value": "…", "name": "password"}`.
    fn is_named_behind(&self, start: usize) -> bool {
        let (start, Some(mark)) = self.unwrapped(start) else { return false };
        let ends = |at: &usize| self.text[*at] == mark.quote && ends(self.text, *at, mark, self.out);
        let most = self.text.len().min(start + PAIR_MAX);
        let Some(end) = (start..most).find(ends) else { return false };
        // Each of the two words is found behind quotation marks, blanks and a sign.
        let word = |from: usize| {
            let rest = &self.text[from..];
            let is_between = |byte: &&u8| {
                byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'' | b'\\' | b',' | b':' | b'=')
            };
            let between = rest.iter().take(CLOSERS_MAX).take_while(is_between).count();
            let length = rest[between..].iter().take(NAME_MAX).take_while(|byte| is_name(**byte)).count();
            from + between..from + between + length
        };
        let key = word(end + 1);
        let is_of_name = NAMES.iter().any(|name| self.text[key.clone()].eq_ignore_ascii_case(name));
        is_of_name && naming_in_text(&self.text[word(key.end)]) != Naming::Plain
    }

    /// Hides the value that begins at `start`, in the text that its sign is in; goes on from `from` where it stays.
    fn value(&mut self, start: usize, name: Name<'_>, from: usize) -> usize {
        let end = self.frames.end(from, self.out);
        if start >= end {
            return from;
        }
        let whole = self.text;
        self.text = &whole[..end];
        let inner = start + new_len(&self.text[start..]);
        if self.unwrapped(inner).1.is_some_and(|mark| mark.quote == b'"') {
            self.text = &whole[..self.frames.end_of_double(from, self.out)];
        }
        let end = self.value_within(start, name, from, self.text.len() < whole.len());
        self.text = whole;
        end
    }

    /// The same, where nothing of the text is behind what it can be.
    fn value_within(&mut self, start: usize, name: Name<'_>, from: usize, is_framed: bool) -> usize {
        let whole = start;
        let is_encoded = self.extent(from, is_framed).is_encoded(start);
        let inner = start + new_len(&self.text[start..]);
        let (start, quote) = if is_encoded { (start, None) } else { self.unwrapped(inner) };
        let start = if quote.is_none() { start + scheme_len(&self.text[start..], name.text) } else { start };
        let rest = &self.text[start..];
        if rest.is_empty() || start < self.out.done() {
            return from;
        }
        if let Some(inner) = rejected(rest).filter(|_| quote.is_none()) {
            return self.hide_each(start, &[inner]).unwrap_or(from);
        }
        let is_none = is_place(self.text, start, name.text)
            || (quote.is_none() && is_topic(self.text, start, name.text))
            || (is_plain(rest, name.text, quote.map(|mark| mark.quote))
                && !is_encoded
                && quote.map_or_else(
                    || is_list_at_one_depth(self.text, start, self.out),
                    |mark| self.ends_at_first(start, mark),
                ));
        if is_none {
            return from;
        }
        let is_declared = name.before == Some(b'$') && before(self.text, from) == Some(b':');
        if quote.is_none() && is_of_query(rest, is_declared) {
            return from;
        }
        if let Some(quoted) = quote.is_none().then(|| self.expression(start, name, from)).flatten() {
            return self.hide_each(start, &quoted).unwrap_or(from);
        }
        let (start, end) = match quote {
            Some(quote) => match self.end_of_quoted(start, quote) {
                end if self.is_first_of_several(whole, start, end) => {
                    (whole, self.extent(from, is_framed).closing(start - 2))
                }
                end => (start, end),
            },
            None => (start, self.end_of_unquoted(start, name, from, is_framed)),
        };
        if start < end && !is_gone(&self.text[start..end]) {
            self.out.put(start, end, REDACTED);
        }
        end
    }

    fn extent(&self, from: usize, is_framed: bool) -> Extent<'_, '_, '_> {
        let percents = Extent::percents(self.text, from, self.out);
        Extent { text: self.text, out: self.out, percents, is_framed }
    }

    /// What is quoted in an expression of a program, if that is what stands behind a name.
    fn expression(&mut self, start: usize, name: Name<'_>, from: usize) -> Option<source::Quoted> {
        let of = |is_source| source::code(self.text, start, name.text, from, is_source);
        of(false).or_else(|| if self.lines.is_source(start) { of(true) } else { None })
    }

    /// Hides what is `quoted` behind `start`; says where the last of it ends.
    fn hide_each(&mut self, start: usize, quoted: &[Range<usize>]) -> Option<usize> {
        for place in quoted.iter().map(|place| start + place.start..start + place.end) {
            if !is_gone(&self.text[place.clone()]) {
                self.out.put(place.start, place.end, REDACTED);
            }
        }
        quoted.last().map(|place| start + place.end)
    }

    /// Whether more stands in the round brackets before what is quoted at `start..end`: `('jane', 'hunter2')`.
    fn is_first_of_several(&self, whole: usize, start: usize, end: usize) -> bool {
        let opens = start >= whole + 2 && self.text[start - 2] == b'(';
        let behind = self.text.get(end + 1..).unwrap_or_default();
        let blanks = behind.iter().take(BLANKS_MAX).take_while(|byte| byte.is_ascii_whitespace()).count();
        opens && behind.get(blanks).is_some_and(|byte| *byte != b')')
    }

    fn end_of_unquoted(&self, start: usize, name: Name<'_>, from: usize, is_framed: bool) -> usize {
        let extent = self.extent(from, is_framed);
        if extent.is_encoded(start) {
            return extent.unquoted(start, name);
        }
        if let Some(end) = block(self.text, start, from) {
            return end;
        }
        let inner = match extent.wrapped(start) {
            Some(Wrapped::Until(length)) => return extent.behind(start + length, name),
            Some(Wrapped::Before(length)) => start + length,
            None => {
                let length = extent.unquoted(start, name) - start;
                return start + signs::whole(self.text, start, length, from, name.text, name.before);
            }
        };
        match self.unwrapped(inner) {
            // With the quotation mark that ends it.
            (begin, Some(quote)) => self.text.len().min(self.end_of_quoted(begin, quote) + 1),
            _ => block(self.text, inner, from).unwrap_or_else(|| extent.unquoted(inner, name)),
        }
    }

    /// Where the value begins behind a quotation mark and what is before that (`b"…"`, `Some("…")`), and the mark and how
    /// often it is escaped.
    fn unwrapped(&self, start: usize) -> (usize, Option<Mark>) {
        let rest = &self.text[start..];
        if self.is_doubled(start + 2) {
            return (start + 2, Some(self.mark(start)));
        }
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
        let wrapper = match rest.get(word) {
            Some(b'(') if rest.starts_with(PHP) => {
                let digits =
                    rest[PHP.len()..].iter().take(WRAPPER_MAX).take_while(|byte| byte.is_ascii_digit());
                // A bracket and a blank follow.
                PHP.len() + digits.count() + 2
            }
            Some(b'(') => word + 1,
            _ => prefix,
        };
        let opens = |behind: Option<&u8>| behind.is_some_and(|byte| !ends_value(*byte));
        match rest.get(wrapper) {
            Some(b'"' | b'\'' | b'`') if wrapper == 0 || opens(rest.get(wrapper + 1)) => {
                let at = start + wrapper;
                (at + 1, Some(self.mark(at)))
            }
            _ => (start, None),
        }
    }

    /// Whether the first quotation mark like `mark` in the value at `start` ends it: what stays was read up to there.
    fn ends_at_first(&self, start: usize, mark: Mark) -> bool {
        let seen = start..self.text.len().min(start + SENTENCE_MAX);
        let first = seen.into_iter().find(|at| self.text[*at] == mark.quote);
        first.is_none_or(|at| ends(self.text, at, mark, self.out))
    }

    /// Whether two quotation marks that are escaped alike stand before what begins at `start`.
    fn is_doubled(&self, start: usize) -> bool {
        is_doubled(self.text, start) && self.mark(start - 2) == self.mark(start - 1)
    }

    /// How many quotation marks like the one at `at` stand there beside each other.
    fn marks(&self, at: usize) -> usize {
        (at..self.text.len()).take_while(|other| self.mark(*other) == self.mark(at)).count()
    }

    fn mark(&self, at: usize) -> Mark {
        Mark::of(self.text, at, self.out)
    }

    /// The next quotation mark that is escaped no more often than the first one, and that is not doubled, as in SQL's
    /// `'it''s'` and Python's `'''it'''`.
    fn end_of_quoted(&self, start: usize, mark: Mark) -> usize {
        let is_doubled = self.is_doubled(start);
        let mut at = start;
        while let Some(byte) = self.text.get(at) {
            match byte {
                byte if is_doubled && *byte == mark.quote => match end_of_doubled(self.marks(at)) {
                    (length, true) => return at + length,
                    (length, false) => at += length,
                },
                // In a text without escapes of its own one backslash still is before what it escapes.
                b'\\' if self.out.level(at) == 0 => at += 2,
                byte if *byte == mark.quote && ends(self.text, at, mark, self.out) => {
                    if at + 1 == self.text.len() || self.mark(at + 1) != self.mark(at) {
                        return at;
                    }
                    at += 2;
                }
                _ => at += 1,
            }
        }
        self.text.len()
    }

    /// `<name>value</name>`. Without an end it is the parameter of a type, or a place in a route: `Result<Token>`,
    /// `/users/<session>/items`; but a text may be cut off within a value.
    fn element(&mut self, sign: usize) -> usize {
        let head = &self.text[sign.saturating_sub(TAG_MAX)..sign];
        let open =
            head.iter().rposition(|byte| matches!(byte, b'<' | b'>')).filter(|open| head[*open] == b'<');
        let Some(open) = open else { return sign + 1 };
        let (ahead, tag) = (head[..open].last(), &head[open + 1..]);
        let length = tag.iter().take_while(|byte| is_name(**byte) || **byte == b':').count();
        let name = tag[..length].rsplit(|byte| *byte == b':').next().unwrap_or(tag);
        if name.is_empty() || tag.ends_with(b"/") {
            return sign + 1;
        }
        // What is the value of a name that came before: `<key>password</key><string>…`, `<string name="password">…`.
        let is_named = sign < self.named_until;
        let is_of_name = NAMES.iter().any(|word| name.eq_ignore_ascii_case(word));
        if !is_named && !is_of_name && naming_in_text(name) == Naming::Plain {
            return sign + 1;
        }
        let text = &self.text[..self.frames.end(sign, self.out)];
        let (start, stop) = match text[sign + 1..].starts_with(CDATA.0) {
            true => (sign + 1 + CDATA.0.len(), CDATA.1),
            false => (sign + 1, &b"<"[..]),
        };
        let rest = &text[start..];
        if !is_named && is_of_name {
            // Only looked at: whatever it is, it is searched like all else.
            let seen = &rest[..rest.len().min(NAME_MAX + stop.len())];
            let length = seen.windows(stop.len()).position(|part| part == stop).unwrap_or(0);
            let value = rest[..length].trim_ascii();
            let ends = stop == CDATA.1 || rest[length..].starts_with(b"</");
            if ends && !value.is_empty() && naming_in_text(value) != Naming::Plain {
                self.named_until = start + length + PAIR_MAX;
            }
            return sign + 1;
        }
        if start < self.out.done() {
            return sign + 1;
        }
        // `&lt;` is a sign of the text where the element is not escaped, too. As deep as this it is not told.
        let level = |at: usize| self.out.level(at).min(TAG_LEVELS);
        let is_stop =
            |at: &usize| text[*at..].starts_with(stop) && (stop == CDATA.1 || level(*at) <= level(sign));
        let found = (start..text.len()).find(is_stop).map(|at| at - start);
        let length = found.unwrap_or(rest.len());
        let value = rest[..length].trim_ascii();
        let ends = match found {
            // Without an end, text as it is has been cut off within: all that there is of it goes, and is not read again.
            _ if stop == CDATA.1 => true,
            Some(_) => rest[length..].starts_with(b"</"),
            None => {
                let is_word = !value.iter().any(u8::is_ascii_whitespace);
                is_word && ahead.is_none_or(|byte| byte.is_ascii_whitespace() || matches!(byte, b'>' | b'"'))
            }
        };
        // `<AdministratorPassword><Value>`.
        if let Some(length) = inner_tag(rest) {
            self.named_until = start + length;
        }
        if !ends {
            // What was read has no other element in it.
            return sign + 1;
        }
        if !value.is_empty() && !is_gone(value) {
            self.out.put(start, start + length, REDACTED);
            (self.named_until, self.named_at) = (0, None);
        }
        start + length
    }

    /// `("name", "value")`: two quoted words beside each other, in round brackets or where the second looks like a secret.
    fn listed(&mut self, sign: usize) -> usize {
        let head = &self.text[..sign];
        let blanks = head.iter().rev().take(BLANKS_MAX).take_while(|byte| **byte == b' ').count();
        let Some((quote @ (b'"' | b'\''), head)) = head[..sign - blanks].split_last() else {
            return self.tuple(sign, sign - blanks);
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
        // `expecting 'PASSWORD', 'TOKEN'`.
        let is_capital = |byte: &u8| byte.is_ascii_uppercase() || *byte == b'_';
        let looks_secret = looks_secret && !(name.iter().all(is_capital) && value.iter().all(is_capital));
        if is_key || !(is_pair || looks_secret) {
            // A value that stays is read again from its sign: no further than it is long.
            return end.min(self.text.len());
        }
        let name = Name::alone(name);
        self.value(sign + 1 + blanks, name, sign + 1)
    }

    /// `[name, value]` of .NET, and `{:name, "value"}` of Elixir and Erlang, whose name is not quoted and ends at `end`.
    fn tuple(&mut self, sign: usize, end: usize) -> usize {
        let Some((place, opener)) = tuples::name(self.text, end) else { return sign + 1 };
        let blanks = self.text[sign + 1..].iter().take(BLANKS_MAX).take_while(|byte| **byte == b' ').count();
        let start = sign + 1 + blanks;
        let (value, quote) = self.unwrapped(start);
        let rest = &self.text[value..];
        let is_pair =
            (opener == b'[' && tuples::ends_pair(rest)) || (opener == b'{' && rest.starts_with(b"<<\""));
        if quote.is_none() && !is_pair {
            return sign + 1;
        }
        self.value(start, self.name(place), sign + 1)
    }

    /// `--name value`, and the short options of commands that take a password: `mysql -p…`.
    fn option(&mut self, sign: usize) -> usize {
        if before(self.text, sign).is_some_and(is_name) {
            return sign + 1;
        }
        let start = sign + self.text[sign..].iter().take(2).take_while(|byte| **byte == b'-').count();
        let length = self.text[start..].iter().take(NAME_MAX).take_while(|byte| is_name(**byte)).count();
        let end = start + length;
        let name = self.name(start..end);
        // In a list of quoted words the value is in the next one: `'--password', '…'`.
        let is_listed = matches!(self.text.get(end), Some(b'"' | b'\''))
            && self.text.get(end).copied() == before(self.text, sign);
        let around = if is_listed { end + 1 } else { sign };
        if let Some(secret) = self.commands.secret_of(sign, start, end) {
            let text = &self.text[..self.frames.end(around, self.out)];
            if secret.start < self.out.done() || secret.start >= text.len() {
                return start;
            }
            let end = secret.end(text);
            if secret.start < end && !is_gone(&text[secret.start..end]) {
                self.out.put(secret.start, end, REDACTED);
            }
            return end.max(start);
        }
        let next = next_word(self.text, sign, end).filter(|_| length > 0);
        let Some(next) = next.filter(|_| naming_in_text(name.text) != Naming::Plain) else { return start };
        let opens = usize::from(matches!(self.text.get(next), Some(b'"' | b'\'')));
        if self.text.get(next + opens) == Some(&b'-') {
            return start;
        }
        self.value(next, name, if is_listed { next } else { end })
    }

    /// A name that begins a line, and its value behind a tab.
    fn column(&mut self, sign: usize) -> usize {
        // Nothing stands between.
        if !before(self.text, sign).is_some_and(is_name) {
            return sign + 1;
        }
        let place = name_before(self.text, sign);
        let begins =
            place.end == sign && matches!(before(self.text, place.start), None | Some(b'\n' | b'\r'));
        if !begins || naming_in_text(&self.text[place.clone()]) == Naming::Plain {
            return sign + 1;
        }
        let start = self.skip_signs(sign + 1);
        self.value(start, self.name(place), sign + 1)
    }
}

pub(super) fn is_forbidden(name: &[u8]) -> bool {
    naming_in_text(name) == Naming::Forbidden
}

pub(super) const fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'[' | b']')
}

/// Where the word before the sign at `sign` is, without the quotes, brackets and blanks around it.
pub(super) fn name_before(text: &[u8], sign: usize) -> Range<usize> {
    let count = |text: &[u8], max: usize, is_it: fn(u8) -> bool| {
        text.iter().rev().take(max).take_while(|byte| is_it(**byte)).count()
    };
    let head = &text[..sign];
    let head = &head[..head.len() - count(head, BLANKS_MAX, |byte| matches!(byte, b' ' | b'\t'))];
    let closers = count(head, CLOSERS_MAX, |byte| {
        matches!(byte, b'"' | b'\'' | b'\\' | b'`' | b']' | b')' | b' ' | b'*')
    });
    let head = &head[..head.len() - closers];
    head.len() - count(head, NAME_MAX, is_name)..head.len()
}

/// The last word of a name: behind a dot, a bracket or a hyphen.
pub(super) fn last_word(name: &[u8]) -> &[u8] {
    name.rsplit(|byte| !byte.is_ascii_alphanumeric()).next().unwrap_or(name)
}

pub(super) fn ends_with_word(name: &[u8], word: &[u8]) -> bool {
    name.len() >= word.len() && name[name.len() - word.len()..].eq_ignore_ascii_case(word)
}

pub(super) const fn ends_value(byte: u8) -> bool {
    byte.is_ascii_whitespace()
        || matches!(byte, b',' | b';' | b'&' | b'"' | b'\'' | b')' | b'}' | b']' | b'|' | b'\\')
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
            (r#"{"pin": 1234}"#, r#"{"pin": "[redacted]"}"#),
            (r#"{\"password\":\"hun\\\"ter2\",\"a\":1}"#, r#"{\"password\":\"[redacted]\",\"a\":1}"#),
            ("Authorization: Token abc def\nHost: x", "Authorization: [redacted]\nHost: x"),
            ("set-cookie: a=b; c=d", "set-cookie: [redacted]"),
            ("{'api_key': 'x y'}", "{'api_key': '[redacted]'}"),
            ("password[0]=abc&password[1]=def", "password[0]=[redacted]&password[1]=[redacted]"),
            ("client_secret=abc, x=1", "client_secret=[redacted], x=1"),
            (r#"{"password":["a",{"b":1}],"c":2}"#, r#"{"password":"[redacted]","c":2}"#),
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

//! A text as it reads once its escapes are undone: those of JSON and of programming languages (`\n`, `\"`, `\u0026`,
//! `\x3d`), of URLs (`%3D`) and of HTML (`&quot;`), each of them also escaped again, as a text within texts is.
//!
//! What is to be hidden is found in this reading, whatever way it came; where it is found is replaced in the text as it
//! came, and all else stays to the byte.

use std::ops::Range;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct View {
    /// The text without escapes.
    pub(crate) bytes: Vec<u8>,
    /// Where each of its bytes begins in the text as it came; and where the last one ends.
    places: Vec<u32>,
    /// How often each byte is escaped: a quotation mark ends what one that is escaped as often has begun.
    levels: Vec<u8>,
}

/// Whether `text` may have something escaped.
pub(crate) fn may_be_escaped(byte: u8) -> bool {
    matches!(byte, b'\\' | b'%' | b'&')
}

/// Escapes of different kinds within each other: JSON in the query of a URL that is in JSON.
const ROUNDS_MAX: usize = 4;

impl View {
    /// The reading of `text`; `None` when nothing in it is escaped.
    pub(crate) fn of(text: &[u8]) -> Option<Self> {
        let mut view = Self::once(text)?;
        for _ in 1..ROUNDS_MAX {
            let Some(inner) = Self::once(&view.bytes) else { break };
            view = view.with(inner);
        }
        Some(view)
    }

    /// The reading of this reading: `inner` is of its bytes.
    fn with(&self, inner: Self) -> Self {
        // An escape is at least as deep as each of the characters that it is made of.
        let level = |(level, places): (&u8, &[u32])| {
            let made_of = &self.levels[places[0] as usize..places[1] as usize];
            level.saturating_add(made_of.iter().copied().max().unwrap_or(0))
        };
        let levels = inner.levels.iter().zip(inner.places.windows(2)).map(level).collect();
        let places = inner.places.iter().map(|place| self.places[*place as usize]).collect();
        Self { bytes: inner.bytes, places, levels }
    }

    /// The reading of `text` with escapes of one kind undone in each place.
    fn once(text: &[u8]) -> Option<Self> {
        let first = text.iter().position(|byte| may_be_escaped(*byte))?;
        let mut view = Self::default();
        let (mut at, mut is_escaped) = (first, false);
        view.plain(text, 0..first);
        while at < text.len() {
            let slashes = text[at..].iter().take_while(|byte| **byte == b'\\').count();
            // Of more than can be one escape the last ones are.
            if slashes > BACKSLASHES_MAX {
                let length = slashes - BACKSLASHES_MAX;
                view.plain(text, at..at + length);
                at += length;
                continue;
            }
            let length = match escape(&text[at..]) {
                Some(Escape { characters, count, length, level }) => {
                    is_escaped = true;
                    view.put(&characters[..count], at, length, level);
                    length
                }
                None => {
                    // Where several backslashes escape nothing, neither do fewer of them.
                    let seen = slashes.max(1);
                    let more = text[at + seen..].iter().position(|byte| may_be_escaped(*byte));
                    let length = more.map_or(text.len() - at, |more| more + seen);
                    view.plain(text, at..at + length);
                    length
                }
            };
            at += length;
        }
        view.places.push(text.len() as u32);
        is_escaped.then_some(view)
    }

    fn plain(&mut self, text: &[u8], range: Range<usize>) {
        self.places.extend(range.clone().map(|at| at as u32));
        self.levels.resize(self.levels.len() + range.len(), 0);
        self.bytes.extend_from_slice(&text[range]);
    }

    /// Characters that `length` bytes at `at` stand for.
    fn put(&mut self, characters: &[u8], at: usize, length: usize, level: u8) {
        self.bytes.extend_from_slice(characters);
        self.levels.resize(self.levels.len() + characters.len(), level);
        // All of the escape belongs to the first byte.
        let places = (0..characters.len()).map(|index| if index == 0 { at } else { at + length });
        self.places.extend(places.map(|place| place as u32));
    }

    /// The stretch of the text as it came that `start..end` of the reading is.
    pub(crate) fn place(&self, start: usize, end: usize) -> Range<usize> {
        self.places[start] as usize..self.places[end] as usize
    }

    /// How often the byte at `at` is escaped.
    pub(crate) fn level(&self, at: usize) -> u8 {
        self.levels[at]
    }
}

struct Escape {
    characters: [u8; 4],
    count: usize,
    length: usize,
    level: u8,
}

impl Escape {
    fn byte(byte: u8, length: usize, level: usize) -> Self {
        Self::character(char::from(byte), length, level)
    }

    fn character(character: char, length: usize, level: usize) -> Self {
        let mut characters = [0; 4];
        let count = character.encode_utf8(&mut characters).len();
        Self { characters, count, length, level: u8::try_from(level).unwrap_or(u8::MAX) }
    }
}

/// Backslashes before one character that are read as one escape: each level doubles them, and adds one.
const BACKSLASHES_MAX: usize = 64;

/// The escape that `text` begins with.
fn escape(text: &[u8]) -> Option<Escape> {
    match text[0] {
        b'\\' => backslash(text),
        b'%' => percent(text),
        b'&' => entity(text),
        _ => None,
    }
}

fn backslash(text: &[u8]) -> Option<Escape> {
    let count = text.iter().take(BACKSLASHES_MAX).take_while(|byte| **byte == b'\\').count();
    let next = *text.get(count)?;
    let one = |byte| Some(Escape::byte(byte, count + 1, count));
    match next {
        b'"' | b'\'' | b'`' | b'/' => one(next),
        b'n' | b'v' | b'f' => one(b'\n'),
        b'r' => one(b'\r'),
        b't' => one(b'\t'),
        b'b' | b'a' | b'e' | b'0' if !text.get(count + 1).is_some_and(u8::is_ascii_lowercase) => one(b' '),
        b'x' => hex(text.get(count + 1..count + 3)?)
            .and_then(|byte| Some(Escape::byte(u8::try_from(byte).ok()?, count + 3, count))),
        b'u' => unicode(text, count),
        // Any other letter is no part of a number behind it.
        b'a'..=b'z' | b'A'..=b'Z' if text.get(count + 1).is_some_and(u8::is_ascii_digit) => one(b' '),
        _ => None,
    }
}

/// `\u0026`, `\u{26}`, or a pair of surrogates.
fn unicode(text: &[u8], count: usize) -> Option<Escape> {
    let digits = count + 1;
    if text.get(digits) == Some(&b'{') {
        let end = text[digits + 1..].iter().take(7).position(|byte| *byte == b'}')?;
        let code = hex(&text[digits + 1..digits + 1 + end])?;
        return Some(Escape::character(char::from_u32(code)?, digits + end + 2, count));
    }
    let first = hex(text.get(digits..digits + 4)?)?;
    let end = digits + 4;
    if (0xd800..0xdc00).contains(&first) {
        let second = text.get(end + count..end + count + 5).filter(|rest| rest[0] == b'u');
        let second = second.and_then(|rest| hex(&rest[1..])).filter(|unit| (0xdc00..0xe000).contains(unit));
        if let Some(second) = second {
            let code = 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00);
            return Some(Escape::character(char::from_u32(code)?, end + count + 5, count));
        }
    }
    let character = char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER);
    Some(Escape::character(character, end, count))
}

/// `%3D`, `%253D`, and so on; of a character of several bytes all of them, or none: `%B4` may begin what the stripe of a
/// card holds.
fn percent(text: &[u8]) -> Option<Escape> {
    percent_character(text).or_else(|| {
        // `%25B4` is `%B4`, and no byte of its own.
        text.starts_with(b"%25").then(|| Escape::byte(b'%', 3, 1))
    })
}

fn percent_character(text: &[u8]) -> Option<Escape> {
    let (byte, mut length, level) = percent_byte(text)?;
    let count = match byte {
        0..0x80 => 1,
        0xc2..0xe0 => 2,
        0xe0..0xf0 => 3,
        0xf0..0xf5 => 4,
        _ => return None,
    };
    let mut bytes = [byte, 0, 0, 0];
    for more in &mut bytes[1..count] {
        let (byte, further, _) = percent_byte(&text[length..])?;
        (*more, length) = (byte, length + further);
    }
    let character = std::str::from_utf8(&bytes[..count]).ok()?.chars().next()?;
    Some(Escape::character(character, length, level))
}

/// How often the byte that `text` begins with, as it came, is encoded as in a URL.
pub(crate) fn percents(text: &[u8]) -> u8 {
    percent_byte(text).map_or(0, |(_, _, level)| level as u8)
}

/// One byte, how long its escape is, and how often it is escaped.
fn percent_byte(text: &[u8]) -> Option<(u8, usize, usize)> {
    if text.first() != Some(&b'%') {
        return None;
    }
    let again = text[1..].chunks_exact(2).take(8).take_while(|pair| *pair == b"25").count();
    let at = 1 + 2 * again;
    match text.get(at..at + 2).and_then(hex) {
        Some(byte) => Some((byte as u8, at + 2, again + 1)),
        None if again > 0 => Some((b'%', at, again)),
        None => None,
    }
}

/// `&quot;`, `&#61;`, `&#x3d;` and their like.
fn entity(text: &[u8]) -> Option<Escape> {
    const NAMED: [(&[u8], u8); 8] = [
        (b"&quot;", b'"'),
        (b"&apos;", b'\''),
        (b"&amp;", b'&'),
        (b"&lt;", b'<'),
        (b"&gt;", b'>'),
        (b"&equals;", b'='),
        (b"&colon;", b':'),
        (b"&commat;", b'@'),
    ];
    if let Some(number) = text.strip_prefix(b"&#") {
        /// The last character has seven digits.
        const DIGITS_MAX: usize = 8;
        let end = number.iter().take(DIGITS_MAX).position(|byte| *byte == b';')?;
        let (radix, digits) = match number.get(..end).filter(|digits| !digits.is_empty())? {
            [b'x' | b'X', digits @ ..] if !digits.is_empty() => (16, digits),
            digits => (10, digits),
        };
        let digit = |byte: &u8| char::from(*byte).to_digit(radix);
        let code = digits.iter().try_fold(0_u32, |code, byte| Some(code * radix + digit(byte)?))?;
        return Some(Escape::character(char::from_u32(code)?, 2 + end + 1, 1));
    }
    let (name, byte) = NAMED.iter().find(|(name, _)| text.starts_with(name))?;
    Some(Escape::byte(*byte, name.len(), 1))
}

fn hex(digits: &[u8]) -> Option<u32> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u32, |number, byte| Some(number << 4 | digit(byte)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_undone_however_often() {
        let rows = [
            (r"card\n4111", "card\n4111"),
            (r"card\\n4111", "card\n4111"),
            (r#"{\"a\":\\\"b\\\"}"#, r#"{"a":"b"}"#),
            (r"a\u003d1\u0026b\x3d2", "a=1&b=2"),
            (r"jos\u00e9@\u{1F600}\ud83d\ude00\ud83d", "josé@😀😀\u{fffd}"),
            ("a%3D1%26b%253D2%25", "a=1&b=2%"),
            ("jos%C3%A9", "josé"),
            ("&quot;a&quot;&#x27;&amp;b", r#""a"'&b"#),
            ("a&#61;b&#x3D;c&commat;&#233;", "a=b=c@é"),
            ("%7B%5C%22a%5C%22%7D", r#"{"a"}"#),
            (r"a\u0026lt;b\u0026amp;quot;", "a<b\""),
            ("%25B4111%255E", "%B4111^"),
            (r"C:\temp \k4 \kx", "C:\temp  4 \\kx"),
            (r"\\\\k \\k\n", "\\\\\\\\k \\\\k\n"),
        ];
        for (text, expected) in rows {
            let view = View::of(text.as_bytes()).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(String::from_utf8_lossy(&view.bytes), expected, "{text}");
            assert_eq!(view.place(0, view.bytes.len()), 0..text.len(), "{text}");
        }
    }

    #[test]
    fn of_a_long_run_of_backslashes_the_last_ones_escape() {
        for count in [1, 63, 64, 65, 100, 1_000] {
            let text = format!("a{}\"b", "\\".repeat(count));
            let view = View::once(text.as_bytes()).expect("a quotation mark is escaped");
            let left = "\\".repeat(count.saturating_sub(BACKSLASHES_MAX));
            assert_eq!(String::from_utf8_lossy(&view.bytes), format!("a{left}\"b"));
            assert!(View::of("\\".repeat(count).as_bytes()).is_none(), "nothing is behind them");
        }
    }

    #[test]
    fn what_is_not_escaped_has_no_other_reading() {
        for text in [
            "",
            "plain",
            r"C:\Users",
            "100 %",
            "a & b",
            "50%zz",
            "\\",
            "%B4111",
            "%C3",
            "%C3x",
            "&#;",
            "&#x;",
            "&#+1;",
            "&#55296;",
        ] {
            assert!(View::of(text.as_bytes()).is_none(), "{text}");
        }
    }

    #[test]
    fn any_bytes_have_a_reading_whose_places_are_in_order() {
        let parts: [&[u8]; 12] =
            [b"\\", b"u", b"{", b"00e9", b"d83d", b"%", b"25", b"&quot;", b"x", b"n", b"\xff", b"}"];
        let mut rng = policy::Rng::new(3);
        for _ in 0..20_000 {
            let count = rng.below(12);
            let text = (0..count).map(|_| parts[rng.below(12) as usize]).collect::<Vec<_>>().concat();
            let Some(view) = View::of(&text) else { continue };
            assert_eq!((view.places.len(), view.levels.len()), (view.bytes.len() + 1, view.bytes.len()));
            assert!(view.places.is_sorted() && view.places[0] == 0, "{text:?}");
        }
    }
}

//! Telephone numbers: international ones anywhere, Indian mobile numbers and others where a name says what they are.

use std::ops::Range;

use super::numbers::{Called, called, is_measured, is_part_of_another};
use super::{before, goes_on, is_inside};
use crate::rewrite::Rewrite;

/// The digits that stay.
const SHOWN: usize = 2;
/// Digits of an international number (E.164), the country's among them.
const LENGTHS: std::ops::RangeInclusive<usize> = 8..=15;
const LENGTHS_COUNT: usize = *LENGTHS.end() - *LENGTHS.start() + 1;
/// What people write between the groups of a number; the longest of those that begin alike comes first.
const SEPARATORS: [&[u8]; 15] = [
    b" - ",
    b" (",
    b" ",
    b") ",
    b")-",
    b")",
    b"(",
    b"-",
    b".",
    b"/",
    b"\xc2\xa0",
    b"\xe2\x80\x91",
    b"\xe2\x80\x93",
    b"\xe2\x80\xaf",
    b"\xe2\x88\x92",
];

/// Bytes between a number and the next one of the same name: `9876543210, 9876543211`.
const BETWEEN_MAX: usize = 8;
/// Digits of a difference at the most; the numbers of most countries have more.
const DIFFERENCE_MAX: usize = 10;
/// Digits of a fraction at the most.
const PLACES_MAX: usize = 2;
/// What is counted in these is no telephone, whatever sign is before it.
const UNITS: [&[u8]; 16] = [
    b"bytes",
    b"lines",
    b"rows",
    b"records",
    b"items",
    b"events",
    b"messages",
    b"points",
    b"tokens",
    b"ms",
    b"us",
    b"ns",
    b"KB",
    b"MB",
    b"kB",
    b"B",
];

/// Replaces numbers; `is_expected` where the key of the value says that it is one.
pub(crate) fn redact(text: &[u8], is_expected: bool, out: &mut Rewrite<'_>) {
    let mut at = 0;
    // The last number that a name has named, or that follows one.
    let mut named: Option<Range<usize>> = None;
    while let Some(digit) = text[at..].iter().position(u8::is_ascii_digit) {
        let start = at + digit;
        let first = end_of_digits(text, start);
        // What is left of one that was masked is none, whatever stands behind it.
        if before(text, start) == Some(b'*') && first - start <= SHOWN {
            at = first;
            continue;
        }
        at = match number_end(text, start) {
            Some(end) if !goes_on(text, start) => {
                let is_named = called(text, start) == Called::Phone
                    || named.as_ref().is_some_and(|last| is_next(text, last, &(start..end)));
                if is_named {
                    named = Some(start..end);
                }
                if is_named || is_expected || is_international(text, start, end) {
                    out.put(start, end, &masked(&text[start..end]));
                    end
                } else {
                    first
                }
            }
            _ => first,
        };
    }
}

fn end_of_digits(text: &[u8], at: usize) -> usize {
    text[at..].iter().position(|byte| !byte.is_ascii_digit()).map_or(text.len(), |length| at + length)
}

/// Where the number that begins at `start` ends, if it has as many digits as one has: behind as many of its groups as
/// there may be.
fn number_end(text: &[u8], start: usize) -> Option<usize> {
    // As many groups end behind so many digits.
    let mut ends = [0; LENGTHS_COUNT];
    let (mut at, mut digits, mut count) = (start, 0, 0);
    loop {
        let most = text.len().min(at + LENGTHS.end() + 1);
        let end = end_of_digits(&text[..most], at);
        digits += end - at;
        if digits > *LENGTHS.end() {
            break;
        }
        // An extension is apart: `+1 415 555 2671x12`.
        let rest = &text[end..];
        let is_extension = matches!(rest, [b'x', digit, ..] if digit.is_ascii_digit());
        let is_apart = is_extension || !rest.first().copied().is_some_and(is_inside);
        if is_apart && LENGTHS.contains(&digits) {
            ends[count] = end;
            count += 1;
        }
        let follows = |separator: &&&[u8]| {
            let behind = rest.strip_prefix(**separator).and_then(<[u8]>::first);
            behind.is_some_and(u8::is_ascii_digit)
        };
        match SEPARATORS.iter().find(follows) {
            Some(separator) => at = end + separator.len(),
            None => break,
        }
    }
    ends[..count].iter().rev().copied().find(|end| !is_part_of_another(text, start, *end))
}

/// Whether `next` follows `last` in a list, and has as many digits.
fn is_next(text: &[u8], last: &Range<usize>, next: &Range<usize>) -> bool {
    let digits =
        |place: &Range<usize>| text[place.clone()].iter().filter(|byte| byte.is_ascii_digit()).count();
    let between = &text[last.end..next.start.min(last.end + BETWEEN_MAX)];
    let is_between = |byte: &u8| {
        byte.is_ascii_whitespace() || matches!(byte, b',' | b';' | b'/' | b'|' | b'"' | b'\'' | b'+')
    };
    let joins = |word: &[u8]| word.is_empty() || word == b"and" || word == b"or";
    last.end + BETWEEN_MAX >= next.start
        && !between.is_empty()
        && between.split(is_between).all(joins)
        && digits(last) == digits(next)
}

/// A plus sign that follows nothing; and no country begins with a zero. A difference has such a sign, too: of something that
/// its name or its unit measures; and so has a year.
fn is_international(text: &[u8], start: usize, end: usize) -> bool {
    before(text, start) == Some(b'+')
        && text[start] != b'0'
        && !goes_on(text, start - 1)
        && before(text, start - 1) != Some(b'+')
        && !is_date(&text[start..end])
        && !is_fraction(&text[start..end])
        && !(is_short(&text[start..end]) && (is_measured(text, start) || has_unit(&text[end..])))
}

/// Whether a number may be a difference: with more digits, or in groups, it is a telephone whatever stands beside it.
fn is_short(number: &[u8]) -> bool {
    number.len() <= DIFFERENCE_MAX && number.iter().all(u8::is_ascii_digit)
}

fn has_unit(rest: &[u8]) -> bool {
    let rest = rest.strip_prefix(b" ").unwrap_or_default();
    let ends = |rest: &[u8]| !rest.first().is_some_and(u8::is_ascii_alphanumeric);
    UNITS.iter().any(|unit| rest.strip_prefix(*unit).is_some_and(ends))
}

/// `12345678.90`: no number is written with one dot, and so few digits behind it.
fn is_fraction(number: &[u8]) -> bool {
    let mut parts = number.split(|byte| *byte == b'.');
    let (whole, places) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    (1..=PLACES_MAX).contains(&places.len())
        && parts.next().is_none()
        && [whole, places].concat().iter().all(u8::is_ascii_digit)
}

/// `2026-11-28`: no number of Egypt has these groups.
fn is_date(number: &[u8]) -> bool {
    let is_digit = |at: usize| number.get(at).is_some_and(u8::is_ascii_digit);
    number.len() == 10
        && (number.starts_with(b"19") || number.starts_with(b"20"))
        && [2, 3, 5, 6, 8, 9].into_iter().all(is_digit)
        && number[4] == b'-'
        && number[7] == b'-'
}

fn masked(number: &[u8]) -> Vec<u8> {
    let hidden = number.iter().filter(|byte| byte.is_ascii_digit()).count().saturating_sub(SHOWN);
    let mut seen = 0;
    let star = |byte: &u8| {
        seen += usize::from(byte.is_ascii_digit());
        if byte.is_ascii_digit() && seen <= hidden { b'*' } else { *byte }
    };
    number.iter().map(star).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect;

    fn redacted(text: &str, is_expected: bool) -> String {
        detect::redacted(text, |text, out| redact(text, is_expected, out))
    }

    #[test]
    fn two_digits_stay() {
        let rows = [
            ("+919876543210", false, "+**********10"),
            ("call +91 98765 43210 now", false, "call +** ***** ***10 now"),
            ("tel=%2B4915112345678&x", false, "tel=%2b***********78&x"),
            (r"tel\n+919876543210", false, r"tel\n+**********10"),
            ("9876543210", true, "********10"),
            ("98765-43210", true, "*****-***10"),
            ("+1 (415) 555-2671", false, "+* (***) ***-**71"),
            ("+1.415.555.2671x12", false, "+*.***.***.**71x12"),
            ("(+49) 151/234567", false, "(+**) ***/****67"),
            ("+33 6 12 34 56 78, +44 (0)20 7946 0958", false, "+** * ** ** ** 78, +** (*)** **** **58"),
            ("(415) 555-2671", true, "(***) ***-**71"),
            ("phone: 9876543210 / 9876543211, 17", false, "phone: ********10 / ********11, 17"),
            ("phones: 9876543210 and 9876543211", false, "phones: ********10 and ********11"),
            ("call time: +919876543210", false, "call time: +**********10"),
            ("+14155552671 lines busy", false, "+*********71 lines busy"),
            ("account +919876543210", false, "account +**********10"),
            ("phone: 9876543210", false, "phone: ********10"),
            ("{\"mobileno\":\"98765 43210\"}", false, "{\"mobileno\":\"***** ***10\"}"),
        ];
        for (text, is_expected, expected) in rows {
            assert_eq!(redacted(text, is_expected).to_lowercase(), expected);
        }
    }

    #[test]
    fn other_numbers_stay() {
        for text in [
            "9876543210",
            "phone 42",
            "order 9876543210",
            "2026-11-22T10:00:00+05:30",
            "1e+10",
            "a+12345678",
            "C++20260101",
            "+1234567",
            "+0123456789",
            "offset +123456789",
            "+123456789 bytes",
            "+2026-11-28",
            "phone_verified_at=1795334309858",
        ] {
            assert_eq!(redacted(text, false), text);
        }
    }
}

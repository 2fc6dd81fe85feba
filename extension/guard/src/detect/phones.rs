//! Telephone numbers: international ones anywhere, Indian mobile numbers and others where a name says what they are.

use super::numbers::{Called, called, is_part_of_another};
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

/// Replaces numbers; `is_expected` where the key of the value says that it is one.
pub(crate) fn redact(text: &[u8], is_expected: bool, out: &mut Rewrite<'_>) {
    let mut at = 0;
    while let Some(digit) = text[at..].iter().position(u8::is_ascii_digit) {
        let start = at + digit;
        let first = end_of_digits(text, start);
        // What is left of one that was masked is none, whatever stands behind it.
        if before(text, start) == Some(b'*') && first - start <= SHOWN {
            at = first;
            continue;
        }
        at = match number_end(text, start) {
            Some(end) if !goes_on(text, start) && is_phone(text, start, is_expected) => {
                out.put(start, end, &masked(&text[start..end]));
                end
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

fn is_phone(text: &[u8], start: usize, is_expected: bool) -> bool {
    is_expected || is_international(text, start) || called(text, start) == Called::Phone
}

/// A plus sign that follows nothing; and no country begins with a zero.
fn is_international(text: &[u8], start: usize) -> bool {
    before(text, start) == Some(b'+')
        && text[start] != b'0'
        && !goes_on(text, start - 1)
        && before(text, start - 1) != Some(b'+')
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
        ] {
            assert_eq!(redacted(text, false), text);
        }
    }
}

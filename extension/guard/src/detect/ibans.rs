//! IBANs: the numbers of bank accounts in some eighty countries, by their country's length and the remainder of ISO 13616.

use super::{goes_on, is_inside};
use crate::rewrite::{Rewrite, stars};

/// Letters and digits that stay: the country, and the last four.
const SHOWN: (usize, usize) = (2, 4);
/// What stands between groups of four, the longer first; a form of the web writes a plus sign for a blank.
const SEPARATORS: [&[u8]; 7] = [b"  ", b" ", b"-", b"+", b".", b"\xc2\xa0", b"\xe2\x80\xaf"];
/// How many characters an IBAN of each country has.
///
/// # Source
/// SWIFT's registry of IBANs, compared with what schwifty 2026.10.1 (PyPI) has of it on 2026-11-28. Countries that write
/// numbers so without being registered are left out.
const COUNTRIES: [(&[u8; 2], u8); 89] = [
    (b"AD", 24),
    (b"AE", 23),
    (b"AL", 28),
    (b"AT", 20),
    (b"AZ", 28),
    (b"BA", 20),
    (b"BE", 16),
    (b"BG", 22),
    (b"BH", 22),
    (b"BI", 27),
    (b"BR", 29),
    (b"BY", 28),
    (b"CH", 21),
    (b"CR", 22),
    (b"CY", 28),
    (b"CZ", 24),
    (b"DE", 22),
    (b"DJ", 27),
    (b"DK", 18),
    (b"DO", 28),
    (b"EE", 20),
    (b"EG", 29),
    (b"ES", 24),
    (b"FI", 18),
    (b"FK", 18),
    (b"FO", 18),
    (b"FR", 27),
    (b"GB", 22),
    (b"GE", 22),
    (b"GI", 23),
    (b"GL", 18),
    (b"GR", 27),
    (b"GT", 28),
    (b"HN", 28),
    (b"HR", 21),
    (b"HU", 28),
    (b"IE", 22),
    (b"IL", 23),
    (b"IQ", 23),
    (b"IS", 26),
    (b"IT", 27),
    (b"JO", 30),
    (b"KW", 30),
    (b"KZ", 20),
    (b"LB", 28),
    (b"LC", 32),
    (b"LI", 21),
    (b"LT", 20),
    (b"LU", 20),
    (b"LV", 21),
    (b"LY", 25),
    (b"MC", 27),
    (b"MD", 24),
    (b"ME", 22),
    (b"MK", 19),
    (b"MN", 20),
    (b"MR", 27),
    (b"MT", 31),
    (b"MU", 30),
    (b"NI", 28),
    (b"NL", 18),
    (b"NO", 15),
    (b"OM", 23),
    (b"PK", 24),
    (b"PL", 28),
    (b"PS", 29),
    (b"PT", 25),
    (b"QA", 29),
    (b"RO", 24),
    (b"RS", 22),
    (b"RU", 33),
    (b"SA", 24),
    (b"SC", 31),
    (b"SD", 18),
    (b"SE", 24),
    (b"SI", 19),
    (b"SK", 24),
    (b"SM", 27),
    (b"SO", 23),
    (b"ST", 25),
    (b"SV", 28),
    (b"TL", 23),
    (b"TN", 24),
    (b"TR", 26),
    (b"UA", 29),
    (b"VA", 22),
    (b"VG", 24),
    (b"XK", 20),
    (b"YE", 30),
];

/// The check digits are the rarest part: they lead.
pub(crate) fn redact(text: &[u8], out: &mut Rewrite<'_>) {
    let mut at = 0;
    while let Some(digit) = text[at..].iter().position(u8::is_ascii_digit) {
        let digit = at + digit;
        let start = digit.checked_sub(2).filter(|start| *start >= out.done() && !goes_on(text, *start));
        at = match start.and_then(|start| Some((start, iban_end(text, start)?))) {
            Some((start, end)) => {
                out.put(start, end, &stars(&text[start..end], SHOWN.0, SHOWN.1));
                end
            }
            None => digit + 1,
        };
    }
}

/// Where the IBAN that begins at `start` ends: unbroken, or in groups of four.
fn iban_end(text: &[u8], start: usize) -> Option<usize> {
    let country: [u8; 2] = text.get(start..start + 2)?.try_into().expect("there are two");
    // Digits before digits are no country: most are told by it.
    if !country[0].is_ascii_alphabetic() {
        return None;
    }
    let known = COUNTRIES
        .binary_search_by_key(&&country.map(|letter| letter.to_ascii_uppercase()), |(known, _)| *known);
    let (_, length) = &COUNTRIES[known.ok()?];
    let is_lower = country[0].is_ascii_lowercase();
    let behind = text.get(start + 4..).unwrap_or_default();
    let separator = SEPARATORS.iter().find(|separator| behind.starts_with(separator));
    let (mut at, mut count, mut rest) = (start, 0, 0_u32);
    // The country and the check digits count last.
    let mut first = 0_u32;
    while count < usize::from(*length) {
        if let Some(separator) = separator.filter(|_| count > 0 && count.is_multiple_of(4)) {
            if !text[at..].starts_with(separator) {
                return None;
            }
            at += separator.len();
        }
        let byte = *text.get(at)?;
        let value = char::from(byte)
            .to_digit(36)
            .filter(|_| byte.is_ascii_digit() || byte.is_ascii_lowercase() == is_lower)?;
        if (2..4).contains(&count) && !byte.is_ascii_digit() {
            return None;
        }
        let sum = if count < 4 { &mut first } else { &mut rest };
        *sum = (*sum * if value < 10 { 10 } else { 100 } + value) % if count < 4 { u32::MAX } else { 97 };
        (at, count) = (at + 1, count + 1);
    }
    // Two letters and two digits have six digits.
    let remainder = (u64::from(rest) * 1_000_000 + u64::from(first)) % 97;
    (remainder == 1 && !text.get(at).copied().is_some_and(is_inside)).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect;

    fn redacted(text: &str) -> String {
        detect::redacted(text, redact)
    }

    #[test]
    fn the_country_and_the_last_four_stay() {
        let rows = [
            ("DE89370400440532013000", "DE****************3000"),
            ("IBAN DE89 3704 0044 0532 0130 00.", "IBAN DE** **** **** **** **30 00."),
            ("iban=GB82WEST12345698765432&x", "iban=GB****************5432&x"),
            ("gb82west12345698765432", "gb****************5432"),
            ("NO93 8601 1117 947", "NO** **** ***7 947"),
            ("\"FR1420041010050500013M02606\"", "\"FR*********************2606\""),
            ("DE89+3704+0044+0532+0130+00", "DE**+****+****+****+**30+00"),
            ("DE89  3704  0044  0532  0130  00", "DE**  ****  ****  ****  **30  00"),
            ("NL91-ABNA-0417-1643-00", "NL**-****-****-**43-00"),
            (r"to\nCH9300762011623852957", r"to\nCH***************2957"),
        ];
        for (text, expected) in rows {
            assert_eq!(redacted(text), expected);
            assert_eq!(redacted(expected), expected);
        }
    }

    #[test]
    fn look_alikes_stay() {
        for text in [
            "DE88370400440532013000",
            "DE893704004405320130001",
            "xDE89370400440532013000",
            "DE89 3704 0044 0532 0130",
            "DE89 37040044 05320130 00",
            "ZZ89370400440532013000",
            "De89370400440532013000",
            "DE",
            "us-east-1",
        ] {
            assert_eq!(redacted(text), text);
        }
    }

    #[test]
    fn countries_are_sorted_and_no_two_alike() {
        assert!(COUNTRIES.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }
}

//! Payment cards: 13 to 19 digits that an issuer gives out and whose check digit is right; and what a stripe holds.
//!
//! The first six digits and the last four may be shown (PCI DSS 4.0, requirement 3.4.1); the rest becomes stars.

use super::numbers::{Run, begins_stripe, end_of_first, float_at, is_part_of_another, next_run};
use super::{goes_on, number_goes_on};
use crate::limits::cut;
use crate::rewrite::Rewrite;

/// As many digits are shown at the beginning, and at the end.
const SHOWN: (usize, usize) = (6, 4);
/// Digits of a card.
const LENGTHS: std::ops::RangeInclusive<usize> = 13..=19;
/// How cards are written in groups.
const FORMS: [&[usize]; 6] =
    [&[4, 4, 4, 4], &[4, 4, 4, 4, 3], &[4, 6, 5], &[4, 6, 4], &[4, 4, 4, 1], &[6, 13]];
/// How long the data behind the number on a stripe may be.
const STRIPE_MAX: usize = 80;

pub(crate) fn redact(text: &[u8], out: &mut Rewrite<'_>) {
    let mut at = 0;
    while let Some(run) = next_run(text, at) {
        if let Some((end, digits)) = float_at(text, run.start()).filter(|(_, digits)| is_card(digits)) {
            let shown = [
                &digits[..SHOWN.0],
                &vec![b'*'; digits.len() - SHOWN.0 - SHOWN.1],
                &digits[digits.len() - SHOWN.1..],
            ];
            out.put(run.start(), end, &shown.concat());
            at = end;
            continue;
        }
        at = match card_in(text, &run) {
            Some(card) => {
                let (start, end) = (card.start(), card.end());
                let stripe = end_of_stripe(text, end);
                let mut fitting = card.masked(text, SHOWN.0, SHOWN.1);
                fitting.extend(text[end..stripe].iter().map(|_| b'*'));
                out.put(start, stripe, &fitting);
                stripe
            }
            None => end_of_first(&run),
        };
    }
}

/// The digits of `number` are those of a card.
pub(crate) fn is_card(digits: &[u8]) -> bool {
    issuer_allows(digits) && passes_luhn(digits)
}

/// The card that `run` begins with: groups of a usual form, or one unbroken group.
fn card_in(text: &[u8], run: &Run) -> Option<Run> {
    let candidates = (1..=run.count()).rev().map(|count| run.first(count));
    candidates.into_iter().find(|part| {
        let has_form = part.count() == 1 || FORMS.iter().any(|form| part.has_form(form));
        let (start, end) = (part.start(), part.end());
        has_form
            && LENGTHS.contains(&part.lengths().sum::<usize>())
            && stands_apart(text, start, end)
            && is_card(&part.digits(text))
            && !is_part_of_another(text, start, end)
    })
}

/// On its own; or behind the `B` that begins the first track of a stripe, or before the `D` of a second track.
fn stands_apart(text: &[u8], start: usize, end: usize) -> bool {
    let is_track_2 = text.get(end) == Some(&b'D') && text.get(end + 1).is_some_and(u8::is_ascii_digit);
    let end_is_apart = is_track_2 || !number_goes_on(text, end);
    (begins_stripe(text, start) || !goes_on(text, start)) && end_is_apart
}

/// Where the stripe's data behind the number ends: `=` or `D` and digits, or `^` and a name and digits.
fn end_of_stripe(text: &[u8], end: usize) -> usize {
    let rest = cut(&text[end..], STRIPE_MAX);
    let length = match rest.first() {
        Some(b'=' | b'D') if rest.len() > 7 && rest[1..8].iter().all(u8::is_ascii_digit) => {
            1 + rest[1..].iter().take_while(|byte| byte.is_ascii_digit()).count()
        }
        Some(b'^') if rest[1..].contains(&b'^') => rest
            .iter()
            .position(|byte| *byte == b'?' || *byte == b'"' || *byte == b'\n')
            .unwrap_or(rest.len()),
        _ => 0,
    };
    end + length
}

/// Whether a network gives out numbers that begin and are as long as this one.
///
/// # Source
/// ISO/IEC 7812; the ranges as <https://en.wikipedia.org/wiki/Payment_card_number> lists them.
fn issuer_allows(digits: &[u8]) -> bool {
    let length = digits.len();
    if !LENGTHS.contains(&length) {
        return false;
    }
    let number = digits[..6].iter().fold(0_u32, |number, digit| number * 10 + u32::from(digit - b'0'));
    let (two, three, four) = (number / 10_000, number / 1_000, number / 100);
    match number {
        // Visa. Numbers of 13 digits are not given out any more, and as many ids of shops look like one.
        400_000..=499_999 => matches!(length, 16 | 19),
        // Mastercard.
        510_000..=559_999 | 222_100..=272_099 => length == 16,
        // American Express.
        _ if matches!(two, 34 | 37) => length == 15,
        // Mir.
        220_000..=220_499 => length >= 16,
        // Diners Club.
        _ if matches!(three, 300..=305) || four == 3_095 || matches!(two, 36 | 38 | 39) => {
            length == 14 || length == 16
        }
        // JCB, and RuPay on its network.
        _ if (3_528..=3_589).contains(&four) => length == 16,
        // RuPay and Discover.
        _ if two == 60 || two == 65 || matches!(three, 508 | 644..=649) || matches!(two, 81 | 82) => {
            length == 16
        }
        // UnionPay.
        _ if two == 62 => (16..=19).contains(&length),
        // Maestro.
        _ if matches!(four, 5_018 | 5_020 | 5_038 | 5_893 | 6_304 | 6_759 | 6_761 | 6_762 | 6_763) => true,
        _ => false,
    }
}

/// # Source
/// ISO/IEC 7812-1, annex B.
fn passes_luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(index, digit)| match (index % 2, u32::from(digit - b'0')) {
            (0, value) => value,
            (_, value) => value * 2 / 10 + value * 2 % 10,
        })
        .sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect;

    fn redacted(text: &str) -> String {
        detect::redacted(text, redact)
    }

    #[test]
    fn cards_show_their_first_six_and_last_four_digits() {
        let rows = [
            ("4111111111111111", "411111******1111"),
            ("4111 1111 1111 1111", "4111 11** **** 1111"),
            ("4111-1111-1111-1111", "4111-11**-****-1111"),
            ("pay 5555555555554444!", "pay 555555******4444!"),
            ("378282246310005", "378282*****0005"),
            ("3782 822463 10005", "3782 82**** *0005"),
            ("6011111111111117", "601111******1117"),
            ("30569309025904", "305693****5904"),
            ("6074820000000009", "607482******0009"),
            ("card=4111111111111111&x=1", "card=411111******1111&x=1"),
            ("4111%201111%201111%201111", "4111%2011**%20****%201111"),
            ("5555555555554444 4111111111111111", "555555******4444 411111******1111"),
            ("4111 1111 1111 1111 2026", "4111 11** **** 1111 2026"),
            ("4111111111111111.0", "411111******1111.0"),
            ("{ number: 4111111111111111n }", "{ number: 411111******1111n }"),
            ("4111—1111—1111—1111", "4111—11**—****—1111"),
            ("map[card:4.111111111111111e+15]", "map[card:411111******1111]"),
            ("5.5E15, 4.111111111111111e15", "5.5E15, 411111******1111"),
            ("4111  1111  1111  1111", "4111  11**  ****  1111"),
            ("4111\t1111\t1111\t1111", "4111\t11**\t****\t1111"),
            ("4111–1111–1111–1111", "4111–11**–****–1111"),
            ("4111_1111_1111_1111", "4111_11**_****_1111"),
            ("4111/1111/1111/1111", "4111/11**/****/1111"),
            (r"card\n4111111111111111", r"card\n411111******1111"),
            (r"card\\\\t4111111111111111\\n", r"card\\\\t411111******1111\\n"),
            (r"card\u003d4111111111111111\u0026", r"card\u003d411111******1111\u0026"),
            (";4111111111111111=25121010000000000?", ";411111******1111******************?"),
            ("{\"card\":\"4111111111111111\"}", "{\"card\":\"411111******1111\"}"),
        ];
        for (text, expected) in rows {
            assert_eq!(redacted(text), expected);
        }
        assert!(!redacted("%B4111111111111111^DOE/JANE^25121010000000000?").contains("DOE"));
    }

    #[test]
    fn look_alikes_stay() {
        for text in [
            "4111111111111112",
            "1795334309858000000",
            "1795334309858",
            "a4111111111111111",
            "41111111111111110000",
            "0.4111111111111111",
            "4bf92f3577b34da6a3ce929d0e0e4736",
            "20261122101112",
            "550e8400-e29b-41d4-a716-446655440000",
            "411111******1111",
            "4111-1111-1111",
        ] {
            assert_eq!(redacted(text), text);
        }
    }
}

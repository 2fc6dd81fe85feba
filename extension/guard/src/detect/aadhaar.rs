//! Aadhaar numbers: twelve digits, the first from 2 to 9, the last one a Verhoeff check digit.
//!
//! The last four digits stay, as on a masked Aadhaar (UIDAI, <https://uidai.gov.in>).

use super::numbers::{Called, Run, called, end_of_first, float_at, is_part_of_another, next_run};
use super::{goes_on, number_goes_on};
use crate::rewrite::Rewrite;

const SHOWN: usize = 4;

pub(crate) fn redact(text: &[u8], out: &mut Rewrite<'_>) {
    let (mut at, mut last) = (0, None);
    while let Some(run) = next_run(text, at) {
        if let Some((end, digits)) = float_at(text, run.start()).filter(|(_, digits)| is_aadhaar(digits)) {
            let mut shown = vec![b'*'; digits.len() - SHOWN];
            shown.extend_from_slice(&digits[digits.len() - SHOWN..]);
            out.put(run.start(), end, &shown);
            at = end;
            continue;
        }
        let candidates = [run.first(3), run.first(1)];
        let found = candidates.into_iter().find(|part| is_number(text, part, last));
        at = match found {
            Some(number) => {
                last = Some(number.end());
                out.put(number.start(), number.end(), &number.masked(text, 0, SHOWN));
                number.end()
            }
            None => end_of_first(&run),
        };
    }
}

/// Whether `run` is one; `last` is where the one before it ends, which may stand beside it.
fn is_number(text: &[u8], run: &Run, last: Option<usize>) -> bool {
    let is_beside = last.is_some_and(|last| run.start() == last + 1);
    (run.has_form(&[12]) || run.has_form(&[4, 4, 4]))
        && !goes_on(text, run.start())
        && !number_goes_on(text, run.end())
        && is_aadhaar(&run.digits(text))
        && (is_beside || !run.is_among_others(text))
        && !is_part_of_another(text, run.start(), run.end())
        && called(text, run.start()) != Called::Reference
        && !has_unit(&text[run.end()..])
}

/// Whether a unit follows: `234123412346 ns`.
fn has_unit(rest: &[u8]) -> bool {
    const UNITS: [&[u8]; 6] = [b"ns", b"us", b"ms", b"bytes", b"\xc2\xb5s", b"B"];
    let rest = rest.strip_prefix(b" ").unwrap_or_default();
    let ends = |rest: &[u8]| !rest.first().is_some_and(u8::is_ascii_alphanumeric);
    UNITS.iter().any(|unit| rest.strip_prefix(*unit).is_some_and(ends))
}

/// The digits of `number` are those of an Aadhaar.
pub(crate) fn is_aadhaar(digits: &[u8]) -> bool {
    digits.len() == 12
        && digits[0] >= b'2'
        && passes_verhoeff(digits)
        && !digits.iter().eq(digits.iter().rev())
}

/// The products of the dihedral group of a pentagon.
const PRODUCT: [[u8; 10]; 10] = [
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
    [1, 2, 3, 4, 0, 6, 7, 8, 9, 5],
    [2, 3, 4, 0, 1, 7, 8, 9, 5, 6],
    [3, 4, 0, 1, 2, 8, 9, 5, 6, 7],
    [4, 0, 1, 2, 3, 9, 5, 6, 7, 8],
    [5, 9, 8, 7, 6, 0, 4, 3, 2, 1],
    [6, 5, 9, 8, 7, 1, 0, 4, 3, 2],
    [7, 6, 5, 9, 8, 2, 1, 0, 4, 3],
    [8, 7, 6, 5, 9, 3, 2, 1, 0, 4],
    [9, 8, 7, 6, 5, 4, 3, 2, 1, 0],
];
/// What Verhoeff's permutation makes of each digit, once.
const PERMUTED: [u8; 10] = [1, 5, 7, 6, 2, 8, 3, 0, 9, 4];

/// # Source
/// J. Verhoeff, *Error Detecting Decimal Codes*, 1969.
fn passes_verhoeff(digits: &[u8]) -> bool {
    let mut check = 0_u8;
    for (index, digit) in digits.iter().rev().enumerate() {
        let permuted = (0..index % 8).fold(digit - b'0', |value, _| PERMUTED[usize::from(value)]);
        check = PRODUCT[usize::from(check)][usize::from(permuted)];
    }
    check == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect;

    fn redacted(text: &str) -> String {
        detect::redacted(text, redact)
    }

    #[test]
    fn the_check_digit_is_verhoeffs() {
        // His own example, 236 with check digit 3; and the number UIDAI prints on its specimen.
        assert!(passes_verhoeff(b"2363"));
        assert!(!passes_verhoeff(b"2364"));
        assert!(is_aadhaar(b"234123412346"));
    }

    #[test]
    fn the_last_four_digits_stay() {
        let rows = [
            ("234123412346", "********2346"),
            ("2341 2341 2346", "**** **** 2346"),
            ("2341 2341 2346 2341 2341 2346", "**** **** 2346 **** **** 2346"),
            ("uid 2341-2341-2346.", "uid ****-****-2346."),
            (r"uid\n234123412346", r"uid\n********2346"),
            ("2.34123412346e+11", "********2346"),
        ];
        for (text, expected) in rows {
            assert_eq!(redacted(text), expected);
        }
    }

    #[test]
    fn look_alikes_stay() {
        for text in [
            "234123412347",
            "134123412346",
            "222222222222",
            "1795334309858",
            "arn:aws:iam::234123412346:role/r",
            "x234123412346",
            "2341 2341 23460",
            "2341-2341-2346-1234",
            "1234-2341-2341-2346",
            "rrn 234123412346",
            "234123412346 ns",
        ] {
            assert_eq!(redacted(text), text);
        }
    }
}

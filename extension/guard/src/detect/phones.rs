//! Telephone numbers: international ones anywhere, Indian mobile numbers where their key says what they are.

use super::numbers::{end_of_first, is_part_of_another, next_run};
use super::{before, is_apart};
use crate::rewrite::Rewrite;

/// The digits that stay.
const SHOWN: usize = 2;
/// Digits of an international number (E.164), the country's among them.
const LENGTHS: std::ops::RangeInclusive<usize> = 8..=15;

/// Replaces numbers; `is_expected` where the key of the value says that it is one.
pub(crate) fn redact(text: &[u8], is_expected: bool, out: &mut Rewrite<'_>) {
    let mut at = 0;
    while let Some(run) = next_run(text, at) {
        let found = (1..=run.count()).rev().map(|count| run.first(count)).find(|part| {
            let (start, end) = (part.start(), part.end());
            let digits = part.digits(text);
            let is_apart = is_apart(text, start, end) && !is_part_of_another(text, start, end);
            is_apart
                && LENGTHS.contains(&digits.len())
                && (is_expected || is_international(text, start, &digits))
        });
        at = match found {
            Some(part) => {
                out.put(part.start(), part.end(), &part.masked(text, 0, SHOWN));
                part.end()
            }
            None => end_of_first(&run),
        };
    }
}

/// A plus sign that follows nothing; and no country begins with a zero.
fn is_international(text: &[u8], start: usize, digits: &[u8]) -> bool {
    before(text, start) == Some(b'+') && digits[0] != b'0' && !super::goes_on(text, start - 1)
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
        ];
        for (text, is_expected, expected) in rows {
            assert_eq!(redacted(text, is_expected).to_lowercase(), expected);
        }
    }

    #[test]
    fn other_numbers_stay() {
        for text in
            ["9876543210", "2026-11-22T10:00:00+05:30", "1e+10", "a+12345678", "+1234567", "+0123456789"]
        {
            assert_eq!(redacted(text, false), text);
        }
    }
}

//! Indian income-tax numbers (PAN): five letters, four digits, a letter; the fourth letter says who holds it.

use super::is_apart;
use crate::rewrite::{Rewrite, stars};

const LENGTH: usize = 10;
/// Person, company, family, trust and so on.
///
/// # Source
/// Guides to the number, which agree; the tax department's own page was not read.
const HOLDERS: &[u8] = b"ABCFGHJLPT";

pub(crate) fn redact(text: &[u8], out: &mut Rewrite<'_>) {
    let mut at = 0;
    // The digits are rarer than the letters: they lead.
    while let Some(digit) = text[at..].iter().position(u8::is_ascii_digit) {
        let digit = at + digit;
        let start = digit.checked_sub(5);
        let found = start.filter(|start| *start >= out.done() && is_pan(text, *start));
        at = match found {
            Some(start) => {
                out.put(start, start + LENGTH, &stars(&text[start..start + LENGTH], 2, 1));
                start + LENGTH
            }
            None => digit + 1,
        };
    }
}

fn is_pan(text: &[u8], start: usize) -> bool {
    let Some(candidate) = text.get(start..start + LENGTH) else { return false };
    let (letters, rest) = candidate.split_at(5);
    let is_letter = |byte: &u8| {
        byte.is_ascii_alphabetic() && byte.is_ascii_uppercase() == letters[0].is_ascii_uppercase()
    };
    letters.iter().all(is_letter)
        && HOLDERS.contains(&letters[3].to_ascii_uppercase())
        && rest[..4].iter().all(u8::is_ascii_digit)
        && is_letter(&rest[4])
        && (is_apart(text, start, start + LENGTH) || is_in_gstin(text, start))
}

/// Whether the number is a part of one for the tax on goods and services: a state, the PAN, how many there are of it, a `Z`
/// and a check digit.
fn is_in_gstin(text: &[u8], start: usize) -> bool {
    let state = start.checked_sub(2).filter(|state| text[*state..start].iter().all(u8::is_ascii_digit));
    let end = start + LENGTH;
    let is_tail = matches!(text.get(end..end + 3), Some([count, b'Z' | b'z', check])
        if count.is_ascii_alphanumeric() && check.is_ascii_alphanumeric());
    state.is_some_and(|state| is_tail && is_apart(text, state, end + 3))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect;

    fn redacted(text: &str) -> String {
        detect::redacted(text, redact)
    }

    #[test]
    fn a_pan_keeps_its_ends() {
        let rows = [
            ("ABCPE1234F", "AB*******F"),
            ("pan=AAACB5678K;", "pan=AA*******K;"),
            ("pan abcpe1234f", "pan ab*******f"),
            (r"pan\nABCPE1234F", r"pan\nAB*******F"),
        ];
        for (text, expected) in rows {
            assert_eq!(redacted(text), expected);
        }
    }

    #[test]
    fn look_alikes_stay() {
        for text in
            ["ABCDE1234F", "abCpe1234f", "XABCPE1234F", "ABCPE12345", "ABCPE1234FG", "AKIAIOSFODNN7EXAMPLE"]
        {
            assert_eq!(redacted(text), text);
        }
    }
}

//! Numbers that a name beside them makes a secret: the code on a card, a PIN, a one-time password.

use super::secrets::{DIGITS_MIN, last_word};
use crate::keys::{Naming, naming_in_text};

/// What stands between such digits and what they are.
const SAID: [&[u8]; 4] = [b" is your ", b" is the ", b" as your ", b" as the "];
/// Bytes behind such digits that may name them: `123456 is your OTP`.
const CODE_TAIL_MAX: usize = 40;

/// Whether a number of `length` digits is what `name` says: the code on a card, a PIN, a one-time password.
pub(super) fn is_code(name: &[u8], length: usize) -> bool {
    // Most numbers stand beside others, or alone.
    if !name.iter().any(u8::is_ascii_alphabetic) {
        return false;
    }
    // A postal PIN has six digits, and three of them are no password.
    let fits = match last_word(name).to_ascii_lowercase().as_slice() {
        b"pin" => length == 4,
        word if word.starts_with(b"cv") || word == b"csc" => length <= 4,
        _ => length >= 4,
    };
    fits && naming_in_text(name) == Naming::Forbidden
}

/// `OTP for the payment is 123456`.
pub(super) fn is_about_otp(head: &[u8], length: usize) -> bool {
    let mut words = head.split(|byte| !byte.is_ascii_alphanumeric());
    length >= DIGITS_MIN && words.any(|word| word.eq_ignore_ascii_case(b"otp"))
}

/// `123456 is your OTP`.
pub(super) fn is_named_behind(rest: &[u8], length: usize) -> bool {
    let said = SAID.iter().find_map(|words| rest.strip_prefix(*words));
    let tail = said.map_or(&b""[..], |tail| &tail[..tail.len().min(CODE_TAIL_MAX)]);
    let mut words = tail.split(|byte| !byte.is_ascii_alphanumeric());
    length >= DIGITS_MIN
        && words.any(|word| {
            [&b"otp"[..], b"code", b"password", b"passcode", b"pin"]
                .iter()
                .any(|name| word.eq_ignore_ascii_case(name))
        })
}

/// The last two words before a number, without `is` and blanks behind them.
pub(super) fn last_words(head: &[u8]) -> &[u8] {
    let head = head.trim_ascii_end();
    let head =
        head.strip_suffix(b" is").or_else(|| head.strip_suffix(b" was")).unwrap_or(head).trim_ascii_end();
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    let mut words = 0;
    let mut start = head.len();
    for (index, byte) in head.iter().enumerate().rev() {
        match byte {
            byte if is_word(byte) => start = index,
            b' ' if words == 0 && start < head.len() => words += 1,
            _ => break,
        }
    }
    &head[start..]
}

//! What looks like the name of a secret and its sign, and is a part of something else: of a path, of an ARN, of a sentence.

use std::ops::Range;

use super::numbers::holds_arn;
use super::secrets::{NAME_MAX, RANDOM_MIN, ends_with_word};

/// Changes between letters and digits that no name of a program has: `OAuth2Client` has two.
const CHANGES_MIN: usize = 3;

/// Whether the colon at `sign` is one of two in the path of a program, as in `JWT::ExpiredSignature`: what follows is a name.
/// Letters and digits in disorder are none.
pub(super) fn is_path(text: &[u8], sign: usize, name_end: usize) -> bool {
    let Some(rest) = text[sign..].strip_prefix(b"::").filter(|_| name_end == sign) else { return false };
    let length = rest.iter().take(NAME_MAX).take_while(|byte| byte.is_ascii_alphanumeric()).count();
    let changes = |pair: &&[u8]| pair[0].is_ascii_digit() != pair[1].is_ascii_digit();
    let is_random = length >= RANDOM_MIN && rest[..length].windows(2).filter(changes).count() >= CHANGES_MIN;
    rest.first().is_some_and(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'_' | b'<' | b'~' | b'*'))
        && !is_random
}

/// Whether the name is a part of an ARN: `arn:aws:secretsmanager:eu-west-1:123456789012:secret:prod/db` names a secret.
pub(super) fn is_in_arn(text: &[u8], name: &Range<usize>) -> bool {
    let head = &text[name.start.saturating_sub(NAME_MAX)..name.start];
    let word = head.rsplit(|byte| byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'')).next();
    head.ends_with(b":") && word.is_some_and(holds_arn)
}

/// Whether the name is a parser's word for what it reads: `Unexpected token: <`.
pub(super) fn is_of_parser(text: &[u8], name: &Range<usize>) -> bool {
    let head = text[..name.start].trim_ascii_end();
    ends_with_word(&text[name.clone()], b"token")
        && [&b"unexpected"[..], b"expected", b"illegal"].iter().any(|word| ends_with_word(head, word))
}

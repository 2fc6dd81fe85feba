//! Credentials that are known by their shape: JWTs, what follows `Bearer` and `Basic`, keys of AWS and others, PEM.

use std::ops::Range;

use super::frames::Frames;
use super::has_word;
use super::numbers::is_uuid;
use super::prefixes::{BOT, PREFIXES};
use crate::rewrite::{REDACTED, Rewrite};

/// A JWT begins with `{"` in Base64.
const JWT: &[u8] = b"eyJ";
const JWT_HEAD_MIN: usize = 10;
const PEM: &[u8] = b"-----BEGIN ";
/// Words between `-----BEGIN ` and the five dashes behind them.
const PEM_LABEL_MAX: usize = 64;
/// Shorter words behind `Bearer` are a sentence.
const BEARER_MIN: usize = 8;
const BEARER_SURE: usize = 20;
/// Digits of the number of a token.
const NUMBER_MAX: usize = 20;
/// Characters of a name and a password in Base64 that are read.
const BASIC_MAX: usize = 512;

/// The bytes that a credential begins with.
const STARTS: [bool; 256] = {
    let mut starts = [false; 256];
    let mut index = 0;
    while index < PREFIXES.len() {
        starts[PREFIXES[index].0[0] as usize] = true;
        index += 1;
    }
    starts[b'e' as usize] = true;
    starts[b'b' as usize] = true;
    starts[b'B' as usize] = true;
    starts[b'-' as usize] = true;
    index = 0;
    while index < HOOKS.len() {
        starts[HOOKS[index][0] as usize] = true;
        index += 1;
    }
    starts
};

/// Where the prefixes with each first byte are.
const OF_FIRST: [(u8, u8); 256] = {
    let mut places = [(0, 0); 256];
    let mut index = 0;
    while index < PREFIXES.len() {
        let first = PREFIXES[index].0[0] as usize;
        if places[first].1 == 0 {
            places[first].0 = index as u8;
        }
        places[first].1 = index as u8 + 1;
        index += 1;
    }
    places
};
const _: () = assert!(PREFIXES.len() < 256, "a place is a byte");

/// What a byte may be: the beginning of a credential, a part of a word.
const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        classes[byte] = if is_token(byte as u8) { PART } else { 0 } | if STARTS[byte] { START } else { 0 };
        byte += 1;
    }
    classes
};
const PART: u8 = 1;
const START: u8 = 2;

pub(crate) fn redact(text: &[u8], out: &mut Rewrite<'_>) {
    let (mut at, mut is_inside) = (0, false);
    let mut frames = Frames::of(text);
    while let Some(byte) = text.get(at) {
        // Only a word's beginning can be a credential's: each byte is looked at once.
        let class = CLASSES[usize::from(*byte)];
        let found = match class & START != 0 && !is_inside {
            // One that has been cut off ends with the text that it is in.
            true if text[at..].starts_with(PEM) => credential(&text[..frames.end(at, out)], at),
            true => credential(text, at),
            false => None,
        };
        match found {
            Some((start, end)) => {
                out.put(start, end, REDACTED);
                at = end;
                is_inside = super::before(text, end).is_some_and(is_token);
            }
            None => {
                is_inside = class & PART != 0;
                at += 1;
            }
        }
    }
}

/// The credential of the word that begins at `at`.
fn credential(text: &[u8], at: usize) -> Option<(usize, usize)> {
    let found = match text[at] {
        b'e' => jwt_end(text, at).map(|end| (at, end)).or_else(|| key(text, at)),
        b'b' | b'B' => {
            bearer(text, at).or_else(|| basic(text, at)).or_else(|| key(text, at)).or_else(|| bot(text, at))
        }
        b's' | b't' | b'w' => key(text, at).or_else(|| hook(text, at)),
        b'-' => pem_end(text, at).map(|end| (at, end)),
        _ => key(text, at),
    };
    found.filter(|(start, end)| start < end)
}

const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

fn end_while(text: &[u8], start: usize, is_part: impl Fn(u8) -> bool) -> usize {
    text[start..].iter().position(|byte| !is_part(*byte)).map_or(text.len(), |length| start + length)
}

/// Three parts with dots between them; what is cut off in the second is one all the same.
fn jwt_end(text: &[u8], at: usize) -> Option<usize> {
    let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    let head = text[at..].starts_with(JWT).then(|| end_while(text, at, is_base64))?;
    let is_long = head - at >= JWT_HEAD_MIN;
    match text.get(head) {
        None if is_long => Some(head),
        Some(b'.') if is_long => Some(end_while(text, head, |byte| is_base64(byte) || byte == b'.')),
        _ => None,
    }
}

fn bearer(text: &[u8], at: usize) -> Option<(usize, usize)> {
    let start = scheme_end(text, at, b"bearer")?;
    // Laravel Sanctum's tokens have their number before them: `12|…`.
    let digits = text[start..].iter().take(NUMBER_MAX).take_while(|byte| byte.is_ascii_digit()).count();
    let numbered = digits > 0 && text.get(start + digits) == Some(&b'|');
    let body = if numbered { start + digits + 1 } else { start };
    let end = end_while(text, body, |byte| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'+' | b'/' | b'=')
    });
    let word = &text[body..end];
    // Base64 ends in `=`, and `Bearer expires_in=3600` is no credential.
    let pad = word.iter().position(|byte| *byte == b'=').unwrap_or(word.len());
    if word[pad..].iter().any(|byte| *byte != b'=') {
        return None;
    }
    let has_digit = word.iter().any(u8::is_ascii_digit);
    (word.len() >= BEARER_SURE || (word.len() >= BEARER_MIN && has_digit)).then_some((start, end))
}

/// `Basic` and what is a name, a colon and a password in Base64.
fn basic(text: &[u8], at: usize) -> Option<(usize, usize)> {
    let start = scheme_end(text, at, b"basic")?;
    let end =
        end_while(text, start, |byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='));
    holds_colon(&text[start..end]).then_some((start, end))
}

/// Where the credentials behind the name of a scheme begin.
fn scheme_end(text: &[u8], at: usize, scheme: &[u8]) -> Option<usize> {
    let end = at + scheme.len();
    if !has_word(text, at, scheme) {
        return None;
    }
    let spaces = text[end..].iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    (spaces > 0).then_some(end + spaces)
}

/// Whether `word`, read as Base64, has a colon in it: a name and a password have, a sentence has not.
fn holds_colon(word: &[u8]) -> bool {
    let sextet = |byte: u8| match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    };
    // Behind a name and a password that are longer nothing is looked at.
    let sextets: Vec<u8> = word.iter().take(BASIC_MAX).map_while(|byte| sextet(*byte)).collect();
    let group = |four: &[u8]| {
        let at = |index: usize| four.get(index).copied().unwrap_or(0);
        let bytes = [at(0) << 2 | at(1) >> 4, at(1) << 4 | at(2) >> 2, at(2) << 6 | at(3)];
        // The last group may have fewer characters, and then has fewer bytes.
        bytes.into_iter().take(four.len().saturating_sub(1))
    };
    let plain: Vec<u8> = sextets.chunks(4).flat_map(group).collect();
    word.len() >= 8
        && plain.contains(&b':')
        && plain.iter().all(|byte| (0x20..0x7f).contains(byte) || *byte >= 0x80)
}

/// Bytes of a key by which it is known: more than the shortest one of any prefix. They are read again for each beginning.
const KEY_SEEN: usize = 128;
/// Letters of both cases that no word has without a break.
const UNBROKEN_MIN: usize = 16;

/// A prefix and at least as much as its keys have: where the key begins, and where it ends. Where keys have capitals or
/// digits, a word without both is a word: `sk-learn-contrib-…`. Of an address that lets everyone in who knows it the host
/// stays.
fn key(text: &[u8], at: usize) -> Option<(usize, usize)> {
    let (from, to) = OF_FIRST[usize::from(text[at])];
    let second = *text.get(at + 1)?;
    let same = PREFIXES[usize::from(from)..usize::from(to)].iter();
    // Most words are told by their second letter.
    let mut known =
        same.filter(|(prefix, _)| prefix[1] == second && text[at..].starts_with(prefix)).peekable();
    known.peek()?;
    // What is no key by its first bytes is none: the next one may begin within it, and would be read to its end again.
    let seen = &text[..text.len().min(at + KEY_SEEN)];
    let end = key_end(seen, at);
    let is_key = |(prefix, length_min): &(&[u8], usize)| {
        let has_capital_in =
            |part: &[u8]| part.len() >= UNBROKEN_MIN && part.iter().any(u8::is_ascii_uppercase);
        let is_unbroken = |body: &[u8]| body.split(|byte| !byte.is_ascii_alphanumeric()).any(has_capital_in);
        // A prefix that ends in a full stop may end a sentence: `in SG.`
        let body = text.get(at + prefix.len()..end).unwrap_or_default();
        end - at >= *length_min && (body.iter().any(u8::is_ascii_digit) || is_unbroken(body))
    };
    let (prefix, _) = known.find(|known| is_key(known) || has_no_digits(known.0, &text[at..end], known.1))?;
    let host = prefix.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
    Some((at + host, key_end(text, at)))
}

/// Where the key ends that begins at `at`.
fn key_end(text: &[u8], at: usize) -> usize {
    let end = end_while(text, at, |byte| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'~' | b'/' | b'+')
    });
    // The key of a bot is a number, a colon and letters.
    let is_bot = text[at..].starts_with(BOT) && text.get(end) == Some(&b':');
    let end = if is_bot { end_while(text, end + 1, is_token) } else { end };
    // A full stop ends a sentence.
    end - text[at..end].iter().rev().take(2).take_while(|byte| **byte == b'.').count()
}

/// The parts of a path behind which the secret of a webhook stands, whatever host is before them: three of Slack's,
/// Discord's, and that of Teams.
const HOOKS: [&[u8]; 5] = [b"services/", b"triggers/", b"workflows/", b"webhooks/", b"webhookb2/"];
/// That of Teams' older ones.
const OLD_HOOK: &[u8] = b"webhook/";
/// Digits of the number of a bot of Telegram, and what follows its colon at the least.
const BOT_DIGITS: Range<usize> = 6..13;
const BOT_KEY_MIN: usize = 30;
/// Bytes of the last part of a webhook of Slack and of Discord at the least.
const SLACK_KEY_MIN: usize = 20;
const DISCORD_KEY_MIN: usize = 50;

/// `bot123456789:…` in the path of a request to Telegram.
fn bot(text: &[u8], at: usize) -> Option<(usize, usize)> {
    let start = at + 3;
    let digits = text[at..].strip_prefix(b"bot")?.iter().take(BOT_DIGITS.end);
    let colon = start + digits.take_while(|byte| byte.is_ascii_digit()).count();
    let end = end_while(&text[..text.len().min(colon + KEY_SEEN)], (colon + 1).min(text.len()), is_token);
    let is_key =
        BOT_DIGITS.contains(&(colon - start)) && text.get(colon) == Some(&b':') && end - colon > BOT_KEY_MIN;
    is_key.then(|| (start, end_while(text, end, is_token)))
}

/// What makes the address of a webhook one, told by the form of its parts: the host may be a proxy's, or not be there.
fn hook(text: &[u8], at: usize) -> Option<(usize, usize)> {
    let path = HOOKS.iter().chain([&OLD_HOOK]).find(|path| text[at..].starts_with(path))?;
    let start = at + path.len();
    let is_part = |byte: u8| is_token(byte) || matches!(byte, b'/' | b'@');
    let end = end_while(&text[..text.len().min(start + KEY_SEEN)], start, is_part);
    let seen = &text[start..end];
    let mut parts = seen.split(|byte| *byte == b'/');
    let (first, second, third) = (parts.next()?, parts.next()?, parts.next().unwrap_or_default());
    let is_id = |part: &[u8], letters: &[u8]| {
        part.len() >= 8
            && letters.contains(&part[0])
            && part.iter().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
    };
    let is_number = |part: &[u8]| part.len() >= 8 && part.iter().all(u8::is_ascii_digit);
    let is_slack =
        is_id(first, b"TE") && (is_id(second, b"ABWF") || is_number(second)) && third.len() >= SLACK_KEY_MIN;
    let is_discord = *path == b"webhooks/" && is_number(first) && second.len() >= DISCORD_KEY_MIN;
    let is_teams = first.splitn(2, |byte| *byte == b'@').filter(|id| is_uuid(id)).count() == 2;
    (is_slack || is_discord || is_teams).then(|| (start, end_while(text, end, is_part)))
}

/// Keys of AWS may have no digit, and are all capitals.
fn has_no_digits(prefix: &[u8], key: &[u8], length_min: usize) -> bool {
    prefix.iter().all(u8::is_ascii_uppercase)
        && key.len() >= length_min
        && key.iter().take(length_min).all(u8::is_ascii_uppercase)
}

/// A private key from its first dashes to its last, or to the end of what there is. Certificates are public.
fn pem_end(text: &[u8], at: usize) -> Option<usize> {
    let label = text[at..].strip_prefix(PEM)?;
    let label = &label[..label.len().min(PEM_LABEL_MAX)];
    let dashes = label.windows(5).position(|part| part == b"-----")?;
    let label = &label[..dashes];
    // PGP's are blocks.
    if !label.strip_suffix(b" BLOCK").unwrap_or(label).ends_with(b"PRIVATE KEY") {
        return None;
    }
    let body = at + PEM.len() + dashes + 5;
    let end = text[body..].windows(9).position(|part| part == b"-----END ").map(|offset| body + offset + 9);
    let Some(end) = end else { return Some(text.len()) };
    let last = text[end..].windows(5).position(|part| part == b"-----");
    Some(last.map_or(text.len(), |offset| end + offset + 5))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect;
    use crate::rewrite::Action;

    fn redacted(text: &str) -> String {
        detect::redacted(text, redact)
    }

    #[test]
    fn credentials_go_whole() {
        let rows = [
            ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P", "[redacted]"),
            ("token eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOi", "token [redacted]"),
            ("Authorization: Bearer 0a1b2c3d4e5f", "Authorization: Bearer [redacted]"),
            ("bearer abcdefghijklmnopqrstuvwx", "bearer [redacted]"),
            ("Basic YWxhZGRpbjpvcGVuc2VzYW1l", "Basic [redacted]"),
            ("id AKIAIOSFODNN7EXAMPLE.", "id [redacted]."),
            ("ghp_0123456789abcdefghijklmnopqrstuvwxyz", "[redacted]"),
            (
                "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\nnext",
                "[redacted]\nnext",
            ),
            ("-----BEGIN PRIVATE KEY-----\nMIIE", "[redacted]"),
        ];
        for (text, expected) in rows {
            assert_eq!(redacted(text), expected);
            assert_eq!(redacted(expected), expected);
        }
    }

    #[test]
    fn words_stay() {
        for text in [
            "Bearer authentication failed",
            "Basic authentication",
            "token_type=Bearer expires_in=3600",
            "made in SG.",
            "dp.pt.",
            "SG...",
            "basic access",
            "eyJ.x",
            "keyJhbGciOiJIUzI1NiJ9.x",
            "/services/TOKENISE/payments/0123456789abcdef01234567",
            "/webhooks/123456789012345678/events",
            "/bot123456789:start",
            "webhookb2/",
            "AKIA1234",
            "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
            "4bf92f3577b34da6a3ce929d0e0e4736",
        ] {
            assert_eq!(redacted(text), text);
        }
    }

    #[test]
    fn every_prefix_alone_or_cut_off_anywhere_is_text() {
        for (prefix, length_min) in PREFIXES {
            let prefix = String::from_utf8_lossy(prefix);
            for end in ["", ".", "..", "...", " ", "-", "/", ":", "~", "a", "a.", "*"] {
                for text in [
                    format!("{prefix}{end}"),
                    format!("in {prefix}{end}"),
                    format!("{prefix}{end}").repeat(9),
                ] {
                    assert!(text.len() >= *length_min || redacted(&text) == text, "{text}");
                }
            }
            // One that is whole goes, however long it is.
            for length in [*length_min, 300, 5_000] {
                let key = format!("{prefix}{}", "a1B2".repeat(length));
                assert!(!redacted(&key).contains("a1B2"), "{prefix}");
            }
        }
    }

    #[test]
    fn beginnings_without_end_cost_linear_time() {
        for word in ["eyJ", "-----BEGIN PRIVATE KEY", "Bearer ", "Basic ", "AKIA"] {
            let text = word.repeat(1_000_000 / word.len());
            let mut out = Rewrite::new(text.as_bytes(), Action::Fitting, None);
            redact(text.as_bytes(), &mut out);
        }
    }
}

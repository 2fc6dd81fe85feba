//! Runs of digits in a text, with what may separate their groups: what cards, Aadhaar numbers and phones are made of.

use std::ops::Deref;

use super::goes_on;
use crate::keys::{call, measures};

/// Groups of one run at most: a card has five, and what has more is no number that anyone writes so.
const GROUPS_MAX: usize = 5;

/// No number of interest has more digits.
const DIGITS_MAX: usize = 19;

/// The digits of a number, where it is read: a text of nothing but numbers is to cost no allocation for each.
#[derive(Debug, Default)]
pub(crate) struct Digits {
    bytes: [u8; DIGITS_MAX],
    count: usize,
}

impl Digits {
    fn extend(&mut self, digits: &[u8]) {
        let count = digits.len().min(DIGITS_MAX - self.count);
        self.bytes[self.count..self.count + count].copy_from_slice(&digits[..count]);
        self.count += count;
    }
}

impl Deref for Digits {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.count]
    }
}

/// Digits in groups, such as `4111 1111 1111 1111`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Run {
    /// Where each group is.
    groups: [(usize, usize); GROUPS_MAX],
    count: usize,
    /// What is between them; empty where there is one.
    separator: &'static [u8],
}

impl Run {
    pub(crate) const fn start(&self) -> usize {
        self.groups[0].0
    }

    pub(crate) const fn end(&self) -> usize {
        self.groups[self.count.saturating_sub(1)].1
    }

    /// How long each group is.
    pub(crate) fn lengths(&self) -> impl Iterator<Item = usize> {
        self.groups[..self.count].iter().map(|(start, end)| end - start)
    }

    /// Whether the groups are as long as `form` says.
    pub(crate) fn has_form(&self, form: &[usize]) -> bool {
        self.count == form.len() && self.lengths().eq(form.iter().copied())
    }

    /// The digits, without what separates them; no more than are of interest.
    pub(crate) fn digits(&self, text: &[u8]) -> Digits {
        let mut digits = Digits::default();
        self.groups[..self.count].iter().for_each(|(start, end)| digits.extend(&text[*start..*end]));
        digits
    }

    /// The whole run, with stars for its digits but the `first` and the `last` ones.
    pub(crate) fn masked(&self, text: &[u8], first: usize, last: usize) -> Vec<u8> {
        let mut masked = text[self.start()..self.end()].to_vec();
        let places = self.groups[..self.count].iter().flat_map(|(start, end)| *start..*end);
        let places: Vec<usize> = places.map(|place| place - self.start()).collect();
        let hidden = places.len().saturating_sub(first + last);
        places.iter().skip(first).take(hidden).for_each(|place| masked[*place] = b'*');
        masked
    }

    /// The first `count` groups of it.
    pub(crate) fn first(&self, count: usize) -> Self {
        Self { count: count.min(self.count), ..self.clone() }
    }

    pub(crate) const fn count(&self) -> usize {
        self.count
    }

    /// Whether it is a part of more groups of four digits that are separated alike: of a number of another kind.
    pub(crate) fn is_among_others(&self, text: &[u8]) -> bool {
        if self.separator.is_empty() {
            return false;
        }
        let four = |bytes: Option<&[u8]>| bytes.is_some_and(|bytes| bytes.iter().all(u8::is_ascii_digit));
        let start = self.start().checked_sub(self.separator.len());
        let is_before = start.is_some_and(|start| {
            text[start..].starts_with(self.separator)
                && start.checked_sub(4).is_some_and(|from| four(text.get(from..start)))
        });
        let behind = text[self.end()..].strip_prefix(self.separator);
        let is_behind =
            behind.is_some_and(|rest| four(rest.get(..4)) && !rest.get(4).is_some_and(u8::is_ascii_digit));
        // A year behind a number is none of its groups.
        let is_apart = self.separator == b" ";
        is_before || (is_behind && !is_apart)
    }

    fn push(&mut self, group: (usize, usize)) {
        self.groups[self.count] = group;
        self.count += 1;
    }
}

/// The separators that people and programs write: each run keeps to one of them.
const SEPARATORS: [&[u8]; 15] = [
    b" ",
    b"  ",
    b"-",
    b".",
    b"+",
    b"\t",
    b"_",
    b"/",
    b" - ",
    b"\xc2\xa0",
    b"\xe2\x80\x91",
    b"\xe2\x80\x93",
    b"\xe2\x80\x94",
    b"\xe2\x80\xaf",
    b"\xe2\x88\x92",
];

/// The run whose first group begins at or after `from`: the longest one, of up to five groups. Groups that are
/// separated alike belong together; a group that stands inside a word begins no run.
pub(crate) fn next_run(text: &[u8], from: usize) -> Option<Run> {
    let mut at = from;
    loop {
        at += text[at..].iter().position(u8::is_ascii_digit)?;
        let end = end_of_digits(text, at);
        if goes_on(text, at) && !begins_stripe(text, at) {
            at = end;
            continue;
        }
        let mut run = Run::default();
        run.push((at, end));
        let separator = SEPARATORS.into_iter().find(|separator| follows(text, end, separator));
        if let Some(separator) = separator {
            run.separator = separator;
            let mut end = end;
            while run.count < GROUPS_MAX && follows(text, end, separator) {
                let start = end + separator.len();
                end = end_of_digits(text, start);
                run.push((start, end));
            }
        }
        return Some(run);
    }
}

/// Whether the digits at `at` are the first of a card's first track: `%B` and its number.
pub(crate) fn begins_stripe(text: &[u8], at: usize) -> bool {
    at >= 2 && text[at - 2..at].eq_ignore_ascii_case(b"%b")
}

/// A whole number in floating point as Go and C print it, `4.111111111111111e+15`: where it ends, and its digits.
pub(crate) fn float_at(text: &[u8], start: usize) -> Option<(usize, Digits)> {
    let rest = &text[start..text.len().min(start + DIGITS_MAX + 6)];
    let (first, places) = match rest {
        [first, b'.', places @ ..] if first.is_ascii_digit() => (*first, places),
        _ => return None,
    };
    let count = places.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (places, exponent) = places.split_at(count);
    let exponent = exponent.strip_prefix(b"e").or_else(|| exponent.strip_prefix(b"E"))?;
    let digits = exponent.strip_prefix(b"+").unwrap_or(exponent);
    let power = match digits {
        [tens, ones, ..] if tens.is_ascii_digit() && ones.is_ascii_digit() => {
            usize::from(tens - b'0') * 10 + usize::from(ones - b'0')
        }
        _ => return None,
    };
    let end = start + rest.len() - digits.len() + 2;
    let is_whole = count <= power && power < DIGITS_MAX && super::is_apart(text, start, end);
    is_whole.then(|| {
        let mut all = Digits { bytes: [b'0'; DIGITS_MAX], count: 0 };
        all.extend(&[first]);
        all.extend(places);
        all.count = power + 1;
        (end, all)
    })
}

/// Whether `separator` and a digit come at `at`.
fn follows(text: &[u8], at: usize, separator: &[u8]) -> bool {
    text[at..].strip_prefix(separator).is_some_and(|rest| rest.first().is_some_and(u8::is_ascii_digit))
}

fn end_of_digits(text: &[u8], at: usize) -> usize {
    text[at..].iter().position(|byte| !byte.is_ascii_digit()).map_or(text.len(), |length| at + length)
}

/// Where the first group of `run` ends: from there the next run is looked for, when this one is nothing.
pub(crate) const fn end_of_first(run: &Run) -> usize {
    run.groups[0].1
}

/// Whether the digits at `start..end` are a part of something longer that is no secret: a UUID, a fraction, an IP
/// address, a version, the account in an ARN or in a queue's URL.
///
/// A number whose name says that it refers to something is another thing: [`is_named`].
pub(crate) fn is_part_of_another(text: &[u8], start: usize, end: usize) -> bool {
    is_fraction(text, start, end) || is_in_uuid(text, start) || is_account(text, start, end)
}

/// `.0` makes no fraction: so pandas prints a whole number in a column with gaps.
fn is_fraction(text: &[u8], start: usize, end: usize) -> bool {
    let dot_before = start >= 2 && text[start - 1] == b'.' && text[start - 2].is_ascii_digit();
    let places = text.get(end..).and_then(|rest| rest.strip_prefix(b".")).unwrap_or_default();
    // A number has no more places than this.
    let zeros = places.iter().take(PLACES_MAX).take_while(|byte| **byte == b'0').count();
    let is_whole = zeros > 0 && !places.get(zeros).is_some_and(u8::is_ascii_digit);
    let dot_after = places.first().is_some_and(u8::is_ascii_digit) && !is_whole;
    dot_before || dot_after
}

const PLACES_MAX: usize = 16;

/// Where the groups of a UUID begin.
const UUID_GROUPS: [usize; 5] = [0, 9, 14, 19, 24];
const UUID_LENGTH: usize = 36;

fn is_in_uuid(text: &[u8], at: usize) -> bool {
    UUID_GROUPS.iter().any(|offset| {
        at.checked_sub(*offset).and_then(|start| text.get(start..start + UUID_LENGTH)).is_some_and(is_uuid)
    })
}

/// Whether `text` is hexadecimal digits in groups of 8, 4, 4, 4 and 12.
pub(crate) fn is_uuid(text: &[u8]) -> bool {
    // Most are told by their hyphens.
    const HYPHENS: [usize; 4] = [8, 13, 18, 23];
    let is_digit = |(at, byte): (usize, &u8)| HYPHENS.contains(&at) || byte.is_ascii_hexdigit();
    text.len() == UUID_LENGTH
        && HYPHENS.iter().all(|at| text[*at] == b'-')
        && text.iter().enumerate().all(is_digit)
}

/// Digits of an AWS account.
const ACCOUNT_LENGTH: usize = 12;

/// The twelve digits of an AWS account look like an Aadhaar number; one in twelve passes its check. They are one in an ARN,
/// and behind the host of a queue.
fn is_account(text: &[u8], at: usize, end: usize) -> bool {
    /// As far back as an ARN may begin before its account.
    const LOOK_BACK: usize = 64;
    if end - at != ACCOUNT_LENGTH {
        return false;
    }
    let head = &text[at.saturating_sub(LOOK_BACK)..at];
    let word = head.rsplit(|byte| byte.is_ascii_whitespace() || *byte == b'"').next().unwrap_or(head);
    let host = word.strip_suffix(b".amazonaws.com/").map(|host| host.rsplit(|byte| *byte == b'/').next());
    let is_queue = |host: &[u8]| host.starts_with(b"sqs.") || host.ends_with(b".queue") || host == b"queue";
    (word.ends_with(b":") && holds_arn(word)) || host.flatten().is_some_and(is_queue)
}

/// Whether an ARN begins in `word`, and not only a word that ends so: `warn:`.
///
/// # Source
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html>: the partition is `aws`, `aws-cn` and so on.
pub(crate) fn holds_arn(word: &[u8]) -> bool {
    let begins = |at: usize| !at.checked_sub(1).is_some_and(|before| word[before].is_ascii_alphanumeric());
    word.windows(7).enumerate().any(|(at, part)| part == b"arn:aws" && begins(at))
}

/// What a word before a number says that it is: `account 123456789012`, `"rrn":"…"`, `offset=…`, `phone: …`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Called {
    /// Nothing of these.
    Nothing,
    /// It refers to something, or is the measure of something.
    Reference,
    /// Somebody's telephone.
    Phone,
}

/// What the number that begins at `at` is called.
pub(crate) fn called(text: &[u8], at: usize) -> Called {
    /// As far back as a name may begin, and what may stand between it and the number.
    const LOOK_BACK: usize = 64;
    const BETWEEN_MAX: usize = 24;
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    let is_between = |byte: &&u8| !byte.is_ascii_alphanumeric();
    let mut rest = &text[at.saturating_sub(LOOK_BACK)..at];
    // `UPI Ref No: ` says it in its second word from the end.
    for _ in 0..4 {
        let between = rest.iter().rev().take(BETWEEN_MAX).take_while(is_between).count();
        rest = &rest[..rest.len() - between];
        let length = rest.iter().rev().take_while(|byte| is_word(byte)).count();
        let name = &rest[rest.len() - length..];
        // No word of any list is a number: digits beside digits are not asked.
        let found = if name.iter().any(u8::is_ascii_alphabetic) { call(name) } else { Called::Nothing };
        if found != Called::Nothing {
            return found;
        }
        if name.len() > 1 && !FILLERS.iter().any(|more| name.eq_ignore_ascii_case(more)) {
            break;
        }
        rest = &rest[..rest.len() - length];
    }
    Called::Nothing
}

/// Whether the word before the sign of the number at `at` says that it measures something: `offset=+…`.
pub(crate) fn is_measured(text: &[u8], at: usize) -> bool {
    /// As far back as the word may begin, and what may stand between it and the number.
    const LOOK_BACK: usize = 32;
    const BETWEEN_MAX: usize = 8;
    let head = &text[at.saturating_sub(LOOK_BACK)..at];
    let is_between = |byte: &&u8| !byte.is_ascii_alphanumeric();
    let between = head.iter().rev().take(BETWEEN_MAX).take_while(is_between).count();
    let head = &head[..head.len() - between];
    let is_word = |byte: &&u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    let length = head.iter().rev().take_while(is_word).count();
    measures(&head[head.len() - length..])
}

/// Words that only say that a number, or a value, follows.
const FILLERS: [&[u8]; 8] = [b"no", b"id", b"number", b"num", b"is", b"value", b"some", b"string"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_that_are_separated_alike_are_one_run() {
        let rows: [(&[u8], &[usize]); 8] = [
            (b"4111 1111 1111 1111", &[4, 4, 4, 4]),
            (b"2026-11-22 10:00", &[4, 2, 2]),
            (b"4111  1111", &[4, 4]),
            (b"4111\t1111_", &[4, 4]),
            (b"4111/1111", &[4, 4]),
            (b"x1 22", &[2]),
            (b"%4", &[1]),
            (b"1 2 3 4 5 6", &[1, 1, 1, 1, 1]),
        ];
        for (text, lengths) in rows {
            let run = next_run(text, 0).expect("digits");
            assert!(run.has_form(lengths), "{:?}: {run:?}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn a_name_says_what_a_number_is() {
        let rows = [
            ("account ", Called::Reference),
            ("{\"AccountId\":\"", Called::Reference),
            ("UPI Ref No: ", Called::Reference),
            ("UPI/", Called::Reference),
            ("txn_id=", Called::Reference),
            ("offset: ", Called::Reference),
            ("\"contentLength\":", Called::Reference),
            ("bytes_total ", Called::Reference),
            ("phone: ", Called::Phone),
            ("\"mobileNumber\":\"", Called::Phone),
            ("Mobile No. ", Called::Phone),
            ("account_phone=", Called::Phone),
            ("number ", Called::Nothing),
            ("aadhaar:", Called::Nothing),
            ("customer account ", Called::Reference),
            ("customer_account=", Called::Nothing),
            ("account.id=", Called::Reference),
            ("https://shop.example.com/x/", Called::Nothing),
            ("", Called::Nothing),
        ];
        for (head, expected) in rows {
            let text = format!("{head}234123412346");
            assert_eq!(called(text.as_bytes(), head.len()), expected, "{text}");
        }
    }

    #[test]
    fn what_is_part_of_another_is_known() {
        let rows: [(&str, &str, bool); 8] = [
            ("4111111111111111.0", "4111111111111111", false),
            ("4111111111111111.05", "4111111111111111", true),
            ("550e8400-e29b-41d4-a716-446655440000", "446655440000", true),
            ("0.4111111111111111", "4111111111111111", true),
            ("arn:aws:lambda:eu-west-1:234123412346:function:f", "234123412346", true),
            ("https://sqs.eu-west-1.amazonaws.com/234123412346/q", "234123412346", true),
            ("aadhaar:234123412346", "234123412346", false),
            ("card 4111111111111111.", "4111111111111111", false),
        ];
        for (text, number, expected) in rows {
            let start = text.find(number).expect("it is there");
            assert_eq!(is_part_of_another(text.as_bytes(), start, start + number.len()), expected, "{text}");
        }
    }
}

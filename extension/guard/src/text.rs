//! One text through all rules: a look at its bytes first, so that what holds nothing costs little.

use std::borrow::Cow;

use crate::detect::{aadhaar, addresses, cards, pan, phones, secrets, sql, tokens, urls};
use crate::keys::{Facts, Naming};
use crate::rewrite::{Action, REDACTED, Rewrite};
use crate::rules::{Kind, Own, Redaction};

/// Times that a text in which something was replaced is searched again, for what the replacement has laid bare.
const PASSES_MAX: usize = 3;
/// Fewer digits make none of the numbers.
const DIGITS_MIN: u32 = 8;
/// The least number of so many digits.
pub(crate) const NUMBER_MIN: u64 = 10_000_000;
/// Shorter texts hold no credential.
const TOKEN_MIN: usize = 8;

const DIGIT: u8 = 1;
const AT: u8 = 2;
const SIGN: u8 = 4;
const QUERY: u8 = 8;
const CAPITAL: u8 = 16;

/// The classes of bytes without which a kind is not there; none where it is told otherwise.
pub(crate) const fn telling(kind: Kind) -> u8 {
    match kind {
        Kind::Keys => SIGN,
        Kind::Urls => QUERY,
        Kind::Emails | Kind::Upi => AT,
        Kind::Pan => CAPITAL,
        Kind::Cards | Kind::Aadhaar | Kind::Phones | Kind::Tokens | Kind::Sql => 0,
    }
}

/// The bytes of the shortest value of a kind.
pub(crate) const fn shortest(kind: Kind) -> usize {
    match kind {
        Kind::Keys | Kind::Urls => 3,
        Kind::Sql => 1,
        Kind::Upi | Kind::Emails => 5,
        Kind::Phones | Kind::Tokens => 8,
        Kind::Pan => 10,
        Kind::Aadhaar => 12,
        Kind::Cards => 13,
    }
}

/// What each byte makes possible.
const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        classes[byte] = match byte as u8 {
            b'0'..=b'9' => DIGIT,
            b'A'..=b'Z' => CAPITAL,
            b'@' => AT,
            b'%' => AT,
            b'=' => SIGN | QUERY,
            b':' => SIGN | QUERY,
            b'?' | b'#' => QUERY,
            _ => 0,
        };
        byte += 1;
    }
    classes
};

/// How often each kind, and each own rule, has changed something.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hits {
    pub(crate) kinds: [u64; Kind::ALL.len()],
    pub(crate) own: Vec<u64>,
}

/// What is left of `text`, or `None` when it may stay as it is.
pub(crate) fn redact(text: &[u8], facts: &Facts, rules: &Redaction, hits: &mut Hits) -> Option<Vec<u8>> {
    let mut now = own_rules(text, facts, rules, hits);
    for pass in 0..=PASSES_MAX {
        let before = now.as_deref().unwrap_or(text);
        let Some(after) = built_in(before, facts, rules, hits) else { return now };
        // What changes for ever is nothing to pass on.
        now = Some(if pass == PASSES_MAX { REDACTED.to_vec() } else { after });
    }
    now
}

/// Whether nothing in `text` can be touched: told by its length and its bytes alone, and most texts are.
pub(crate) fn is_quiet(text: &[u8], facts: &Facts, rules: &Redaction) -> bool {
    let is_short = text.len() < rules.shortest;
    rules.own.is_empty()
        && (is_short || {
            let (classes, digits) = classes_of(text);
            is_hopeless(text, classes, digits, facts, rules)
        })
}

/// What the bytes of `text` make possible, and how many are digits.
fn classes_of(text: &[u8]) -> (u8, u32) {
    text.iter().fold((0, 0), |(classes, digits), byte| {
        let class = CLASSES[usize::from(*byte)];
        (classes | class, digits + u32::from(class & DIGIT))
    })
}

fn is_hopeless(text: &[u8], classes: u8, digits: u32, facts: &Facts, rules: &Redaction) -> bool {
    let says_nothing = classes & !DIGIT & rules.telling == 0 && digits < DIGITS_MIN;
    text.len() < rules.shortest || (says_nothing && !facts.is_sql && !rules.has_tokens)
}

/// One pass of what is built in.
fn built_in(text: &[u8], facts: &Facts, rules: &Redaction, hits: &mut Hits) -> Option<Vec<u8>> {
    let (classes, digits) = classes_of(text);
    if is_hopeless(text, classes, digits, facts, rules) {
        return None;
    }
    let mut now: Cow<'_, [u8]> = Cow::Borrowed(text);
    for (index, kind) in Kind::ALL.into_iter().enumerate() {
        let Some(action) = rules.kinds[index] else { continue };
        let is_possible = match kind {
            Kind::Keys => classes & SIGN != 0,
            Kind::Sql => facts.is_sql,
            Kind::Urls => classes & QUERY != 0,
            Kind::Tokens => text.len() >= TOKEN_MIN,
            Kind::Emails | Kind::Upi => classes & AT != 0,
            Kind::Cards | Kind::Aadhaar | Kind::Phones => digits >= DIGITS_MIN,
            Kind::Pan => digits >= 4 && classes & CAPITAL != 0,
        };
        let is_number = digits as usize == text.len();
        if !is_possible || is_excepted(kind, facts, is_number) {
            continue;
        }
        let mut out = Rewrite::new(&now, action, rules.hasher.as_ref());
        search(kind, &now, facts, rules, action, &mut out);
        hits.kinds[index] += out.hits;
        if let Some(changed) = out.finish() {
            now = Cow::Owned(changed);
        }
    }
    match now {
        Cow::Borrowed(_) => None,
        Cow::Owned(changed) => Some(changed),
    }
}

/// A time is no card; what was excepted keeps its values, but not its secrets.
const fn is_excepted(kind: Kind, facts: &Facts, is_number: bool) -> bool {
    match kind {
        Kind::Keys | Kind::Tokens => false,
        Kind::Cards | Kind::Aadhaar | Kind::Phones => (facts.is_measure && is_number) || facts.is_excepted,
        _ => facts.is_excepted,
    }
}

fn search(kind: Kind, text: &[u8], facts: &Facts, rules: &Redaction, action: Action, out: &mut Rewrite<'_>) {
    match kind {
        Kind::Keys => secrets::redact(text, out),
        Kind::Sql => sql::redact(text, out),
        Kind::Urls => urls::redact(text, facts.is_query, out),
        Kind::Tokens => tokens::redact(text, out),
        Kind::Emails => addresses::redact_emails(text, rules.hasher.as_ref(), action, out),
        Kind::Upi => addresses::redact_upi(text, out),
        Kind::Cards => cards::redact(text, out),
        Kind::Aadhaar => aadhaar::redact(text, out),
        Kind::Phones => phones::redact(text, facts.is_phone, out),
        Kind::Pan => pan::redact(text, out),
    }
}

/// The own rules, once: what they leave behind may well look to them like what they look for.
fn own_rules(text: &[u8], facts: &Facts, rules: &Redaction, hits: &mut Hits) -> Option<Vec<u8>> {
    let mut now: Option<Vec<u8>> = None;
    for (index, own) in rules.own.iter().enumerate() {
        let is_about_it = own.key.is_none() || facts.own & (1 << index) != 0;
        if is_about_it && !(facts.is_excepted && own.key.is_none()) {
            let before = now.as_deref().unwrap_or(text);
            let changed = own_rule(before, own, rules, &mut hits.own[index]);
            now = changed.or(now);
        }
    }
    now
}

fn own_rule(text: &[u8], own: &Own, rules: &Redaction, hits: &mut u64) -> Option<Vec<u8>> {
    let Some(pattern) = &own.value else {
        let mut out = Rewrite::new(text, own.action, rules.hasher.as_ref());
        out.put(0, text.len(), &vec![b'*'; text.len()]);
        *hits += out.hits;
        return out.finish();
    };
    let mut out = Rewrite::new(text, own.action, rules.hasher.as_ref());
    pattern.matches(text, |start, end| out.put(start, end, &vec![b'*'; end - start]));
    *hits += out.hits;
    out.finish()
}

/// What is done with a number that is a value: as a text it would be, or `None` when it may stay.
pub(crate) fn redact_number(
    number: u64,
    facts: &Facts,
    rules: &Redaction,
    hits: &mut Hits,
) -> Option<Vec<u8>> {
    if number < NUMBER_MIN && facts.own == 0 {
        return None;
    }
    redact(number.to_string().as_bytes(), facts, rules, hits)
}

/// Whether a value goes for what its key is called; `is_text` when it is no number or flag.
pub(crate) fn is_secret(facts: &Facts, is_text: bool, rules: &Redaction) -> bool {
    rules.action(Kind::Keys).is_some() && facts.naming == Naming::Secret && is_text
}

/// Whether the attribute itself goes for what its key is called.
pub(crate) fn is_forbidden(facts: &Facts, rules: &Redaction) -> bool {
    let deletes = |(index, own): (usize, &Own)| {
        own.action == Action::Delete && own.value.is_none() && facts.own & (1 << index) != 0
    };
    (rules.action(Kind::Keys).is_some() && facts.naming == Naming::Forbidden)
        || rules.own.iter().enumerate().any(deletes)
}

//! One text through all rules: a look at its bytes first, so that what holds nothing costs little.

use std::borrow::Cow;
use std::ops::Range;

use crate::detect::{aadhaar, addresses, cards, ibans, pan, phones, secrets, sql, tokens, urls};
use crate::keys::{Facts, Naming};
use crate::rewrite::{Action, REDACTED, Rewrite};
use crate::rules::{Kind, Own, Redaction};
use crate::view::{View, may_be_escaped};

/// Times that a text in which something was replaced is searched again, for what the replacement has laid bare.
const PASSES_MAX: usize = 3;
/// Fewer digits make none of the numbers.
const DIGITS_MIN: u32 = 8;
/// And fewer no PAN.
const PAN_DIGITS: u32 = 4;
/// The least number of so many digits.
pub(crate) const NUMBER_MIN: u64 = 10_000_000;
/// Shorter texts hold no credential.
const TOKEN_MIN: usize = 8;

const DIGIT: u8 = 1;
const AT: u8 = 2;
const SIGN: u8 = 4;
const QUERY: u8 = 8;
/// Something may be escaped, and be anything.
const ESCAPE: u8 = 16;
/// Words stand beside each other.
const BLANK: u8 = 32;

/// The classes of bytes without which a kind is not there; none where it is told otherwise.
pub(crate) const fn telling(kind: Kind) -> u8 {
    match kind {
        Kind::Keys => SIGN | ESCAPE,
        Kind::Urls => QUERY | ESCAPE,
        Kind::Emails | Kind::Upi => AT | ESCAPE,
        Kind::Pan | Kind::Ibans | Kind::Cards | Kind::Aadhaar | Kind::Phones | Kind::Tokens | Kind::Sql => 0,
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
        Kind::Ibans => 15,
    }
}

/// What each byte makes possible.
const CLASSES: [u8; 256] = {
    let mut classes = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        classes[byte] = match byte as u8 {
            b'0'..=b'9' => DIGIT,
            b'@' => AT,
            b'%' | b'\\' | b'&' => ESCAPE,
            b'=' => SIGN | QUERY,
            b':' => SIGN | QUERY,
            b'>' | b',' | b'-' | b'\t' | b'|' => SIGN,
            b'?' | b'#' => QUERY,
            b' ' => BLANK,
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
    /// Texts hidden whole, because they are beyond what is searched of one request.
    pub(crate) unsearched: u64,
}

/// What one request may still have searched.
///
/// A byte searched once is one unit, one read again without its escapes half of one, a byte searched by an own pattern as
/// many as its steps take, and a hash 64. Everything here runs
/// on the thread that asks for `/next`: a whole budget is 0.4 s of a whole core for letters alone, and 1 s for text that
/// makes every kind look twice, such as digits with blanks between.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget(usize);

impl Budget {
    /// Bytes of texts of one request: as much as a function sends that has long attributes, and no more than a function of
    /// 128 MB, with a thirteenth of a core, has time for.
    const WHOLE: usize = 4 << 20;
    /// What a text costs however short it is.
    const EACH: usize = 16;

    pub(crate) const fn whole() -> Self {
        Self(Self::WHOLE)
    }

    /// What making one hash takes, and room for its letters, in bytes searched: some 1 µs.
    const HASH: usize = 64;

    /// Has `out` make no more hashes than there is budget for.
    const fn lend(&self, out: &mut Rewrite<'_>) {
        out.hashes_left = self.0 / Self::HASH;
    }

    /// Takes what the hashes of `out` have cost; not when it has lacked some.
    const fn settle(&mut self, out: &Rewrite<'_>) -> Result<(), Spent> {
        let made = self.0 / Self::HASH - out.hashes_left;
        self.0 -= made * Self::HASH;
        if out.lacks_hashes { Err(Spent) } else { Ok(()) }
    }

    /// A text that something was replaced in is read without its escapes again, in half of the time of a search.
    const READING_SHARE: usize = 2;

    /// Takes what reading `length` bytes again costs.
    const fn take_reading(&mut self, length: usize) -> bool {
        self.take(length / Self::READING_SHARE)
    }

    /// Less is left than the search of any text of interest takes.
    const LEAST: usize = 256;

    /// What one request may have searched of keys that are not known yet, beside the texts: what a value is called is to be
    /// known behind the last text that is searched, too.
    pub(crate) const fn of_keys() -> Self {
        Self(Self::WHOLE / 4)
    }

    pub(crate) const fn is_spent(&self) -> bool {
        self.0 < Self::LEAST
    }

    /// Takes what searching `length` bytes costs, if there is as much.
    const fn take(&mut self, length: usize) -> bool {
        match self.0.checked_sub(length.saturating_add(Self::EACH)) {
            Some(left) => {
                self.0 = left;
                true
            }
            None => false,
        }
    }
}

/// What is left of `text`, or `None` when it may stay as it is.
///
/// A text beyond the budget is hidden whole, whatever is to be hidden: nobody has looked at it. The id of the invocation stays
/// in any case, unless a rule names its key.
pub(crate) fn redact(
    text: &[u8],
    facts: &Facts,
    rules: &Redaction,
    hits: &mut Hits,
    budget: &mut Budget,
) -> Option<Vec<u8>> {
    if facts.is_request_id(text) {
        return None;
    }
    let unsearched = |hits: &mut Hits| {
        let is_new = text != REDACTED;
        hits.unsearched += u64::from(is_new);
        is_new.then(|| REDACTED.to_vec())
    };
    let mut now = match own_rules(text, facts, rules, hits, budget) {
        Ok(now) => now,
        Err(Spent) => return unsearched(hits),
    };
    for pass in 0..=PASSES_MAX {
        let before = now.as_deref().unwrap_or(text);
        let (classes, digits) = classes_of(before);
        if is_hopeless(before, classes, digits, facts, rules) {
            return now;
        }
        if !budget.take(before.len()) {
            return unsearched(hits);
        }
        let after = match built_in(before, classes, digits, facts, rules, hits, budget) {
            Ok(Some(after)) => after,
            Ok(None) => return now,
            Err(Spent) => return unsearched(hits),
        };
        // What changes for ever is nothing to pass on.
        now = Some(if pass == PASSES_MAX { REDACTED.to_vec() } else { after });
    }
    now
}

/// Takes what asking a key takes, of all rules that are about keys; false when the budget does not reach.
pub(crate) fn takes(key: &[u8], rules: &Redaction, budget: &mut Budget) -> bool {
    let patterns = rules.own.iter().filter_map(|own| own.key.as_ref()).chain(&rules.except);
    budget.take(patterns.fold(0, |cost, pattern| pattern.cost(key).saturating_add(cost)))
}

/// The budget does not reach.
struct Spent;

/// Whether nothing in `text` can be touched: told by its length and its bytes alone, and most texts are.
pub(crate) fn is_quiet(text: &[u8], facts: &Facts, rules: &Redaction) -> bool {
    let is_short = text.len() < rules.shortest;
    rules.own.is_empty()
        // Credentials have no byte that tells them: then it is not told by looking at all bytes twice.
        && (is_short || !rules.has_tokens && {
            let (classes, digits) = classes_of(text);
            is_hopeless(text, classes, digits, facts, rules)
        })
}

/// The digits without which nothing is possible that has digits, where `kind` is looked for.
pub(crate) const fn fewest_digits(kind: Kind) -> u32 {
    match kind {
        Kind::Keys => 1,
        Kind::Pan => PAN_DIGITS,
        Kind::Ibans | Kind::Cards | Kind::Aadhaar | Kind::Phones => DIGITS_MIN,
        _ => u32::MAX,
    }
}

/// What the bytes of `text` make possible, and how many are digits: eight at a time, for every text is looked at.
fn classes_of(text: &[u8]) -> (u8, u32) {
    const DIGITS: u64 = u64::from_ne_bytes([DIGIT; 8]);
    let class = |byte: &u8| CLASSES[usize::from(*byte)];
    let (chunks, rest) = text.as_chunks::<8>();
    let (mut all, mut digits) = (0_u64, 0);
    for chunk in chunks {
        let classes = u64::from_ne_bytes(chunk.each_ref().map(class));
        all |= classes;
        digits += (classes & DIGITS).count_ones();
    }
    let whole = all.to_ne_bytes().into_iter().fold(0, |one, other| one | other);
    rest.iter().map(class).fold((whole, digits), |(classes, digits), class| {
        (classes | class, digits + u32::from(class & DIGIT))
    })
}

fn is_hopeless(text: &[u8], classes: u8, digits: u32, facts: &Facts, rules: &Redaction) -> bool {
    let says_nothing = classes & !DIGIT & rules.telling == 0 && digits < rules.digits_min;
    text.len() < rules.shortest || (says_nothing && !facts.is_sql && !rules.has_tokens)
}

/// One pass of what is built in.
fn built_in(
    text: &[u8],
    classes: u8,
    digits: u32,
    facts: &Facts,
    rules: &Redaction,
    hits: &mut Hits,
    budget: &mut Budget,
) -> Result<Option<Vec<u8>>, Spent> {
    let mut now = Reading::with(Cow::Borrowed(text), classes, digits);
    for (index, kind) in Kind::ALL.into_iter().enumerate() {
        let Some(action) = rules.kinds[index] else { continue };
        if !now.may_hold(kind, facts) || is_excepted(kind, facts, now.is_number()) {
            continue;
        }
        // The literals of a statement are found in it as it came, for a backslash is a part of it; and so are the values
        // of a query first, for an encoded `&` is a part of one.
        let mut find = |came: &[u8], view: Option<&View>, budget: &mut Budget| {
            let mut out = Rewrite::reading(came, view, action, rules.hasher.as_ref());
            budget.lend(&mut out);
            search(kind, view.map_or(came, |view| &view.bytes), facts, action, &mut out);
            hits.kinds[index] += out.hits;
            budget.settle(&out).map(|()| out.finish())
        };
        if matches!(kind, Kind::Sql | Kind::Urls) {
            let changed = find(&now.came, None, budget)?;
            now = now.after(changed, budget)?;
        }
        if kind != Kind::Sql && (kind != Kind::Urls || now.view.is_some()) {
            let changed = find(&now.came, now.view.as_ref(), budget)?;
            now = now.after(changed, budget)?;
        }
    }
    Ok(match now.came {
        Cow::Borrowed(_) => None,
        Cow::Owned(changed) => Some(changed),
    })
}

/// A text as it came, and as it reads.
struct Reading<'a> {
    came: Cow<'a, [u8]>,
    view: Option<View>,
    classes: u8,
    digits: u32,
}

impl<'a> Reading<'a> {
    /// Of a text whose bytes make this possible.
    fn with(came: Cow<'a, [u8]>, mut classes: u8, mut digits: u32) -> Self {
        let view = if classes & ESCAPE != 0 { View::of(&came) } else { None };
        if let Some(view) = &view {
            let (more, count) = classes_of(&view.bytes);
            (classes, digits) = (classes | more, digits.max(count));
        }
        Self { came, view, classes, digits }
    }

    /// With what has taken its place, if anything has.
    fn after(self, changed: Option<Vec<u8>>, budget: &mut Budget) -> Result<Self, Spent> {
        let Some(changed) = changed else { return Ok(self) };
        let (classes, digits) = classes_of(&changed);
        if classes & ESCAPE != 0 && !budget.take_reading(changed.len()) {
            return Err(Spent);
        }
        Ok(Self::with(Cow::Owned(changed), classes, digits))
    }

    fn is_number(&self) -> bool {
        self.digits as usize == self.came.len()
    }

    /// Whether its bytes allow for a value of `kind`.
    fn may_hold(&self, kind: Kind, facts: &Facts) -> bool {
        match kind {
            // A code or a password that stands behind its name has a digit, and no sign.
            Kind::Keys => self.classes & SIGN != 0 || (self.classes & BLANK != 0 && self.digits > 0),
            Kind::Sql => facts.is_sql,
            Kind::Urls => self.classes & QUERY != 0,
            Kind::Tokens => self.came.len() >= TOKEN_MIN,
            Kind::Emails | Kind::Upi => self.classes & AT != 0,
            Kind::Ibans | Kind::Cards | Kind::Aadhaar | Kind::Phones => self.digits >= DIGITS_MIN,
            Kind::Pan => self.digits >= PAN_DIGITS,
        }
    }
}

/// A time is no card; what was excepted keeps its values, but not its secrets.
const fn is_excepted(kind: Kind, facts: &Facts, is_number: bool) -> bool {
    match kind {
        Kind::Keys | Kind::Tokens => false,
        Kind::Aadhaar if facts.is_reference && is_number => true,
        Kind::Cards | Kind::Aadhaar | Kind::Phones => (facts.is_measure && is_number) || facts.is_excepted,
        _ => facts.is_excepted,
    }
}

fn search(kind: Kind, text: &[u8], facts: &Facts, action: Action, out: &mut Rewrite<'_>) {
    match kind {
        Kind::Keys => secrets::redact(text, out),
        Kind::Sql if facts.is_literal => out.put(0, text.len(), sql::PLACEHOLDER),
        Kind::Sql => sql::redact(text, out),
        Kind::Urls => urls::redact(text, facts.is_query, facts.is_url, out),
        Kind::Tokens => tokens::redact(text, out),
        Kind::Emails => addresses::redact_emails(text, action, out),
        Kind::Upi => addresses::redact_upi(text, out),
        Kind::Ibans => ibans::redact(text, out),
        Kind::Cards => cards::redact(text, out),
        Kind::Aadhaar => aadhaar::redact(text, out),
        Kind::Phones => phones::redact(text, facts.is_phone, out),
        Kind::Pan => pan::redact(text, out),
    }
}

/// The own rules, once: what they leave behind may well look to them like what they look for.
fn own_rules(
    text: &[u8],
    facts: &Facts,
    rules: &Redaction,
    hits: &mut Hits,
    budget: &mut Budget,
) -> Result<Option<Vec<u8>>, Spent> {
    let mut now: Option<Vec<u8>> = None;
    for (index, own) in rules.own.iter().enumerate() {
        let is_about_it = own.key.is_none() || facts.own & (1 << index) != 0;
        if is_about_it && !(facts.is_excepted && own.key.is_none()) {
            let before = now.as_deref().unwrap_or(text);
            // It is searched as it reads, too.
            let readings = if before.iter().any(|byte| may_be_escaped(*byte)) { 2 } else { 1 };
            let cost = own.value.as_ref().map_or(0, |pattern| pattern.cost(before) * readings);
            if !budget.take(cost) {
                return Err(Spent);
            }
            let changed = own_rule(before, own, rules, &mut hits.own[index], budget)?;
            now = changed.or(now);
        }
    }
    Ok(now)
}

fn own_rule(
    text: &[u8],
    own: &Own,
    rules: &Redaction,
    hits: &mut u64,
    budget: &mut Budget,
) -> Result<Option<Vec<u8>>, Spent> {
    let Some(pattern) = &own.value else {
        let mut out = Rewrite::new(text, own.action, rules.hasher.as_ref());
        budget.lend(&mut out);
        out.put(0, text.len(), &vec![b'*'; text.len()]);
        *hits += out.hits;
        return budget.settle(&out).map(|()| out.finish());
    };
    // As it came, for a pattern may be about an escape; and as it reads.
    let mut now = None;
    for is_reading in [false, true] {
        let before: &[u8] = now.as_deref().unwrap_or(text);
        let view = if is_reading { View::of(before) } else { None };
        if is_reading && view.is_none() {
            break;
        }
        let mut out = Rewrite::reading(before, view.as_ref(), own.action, rules.hasher.as_ref());
        let read = view.as_ref().map_or(before, |view| &view.bytes);
        budget.lend(&mut out);
        pattern.matches(read, |start, end| out.put(start, end, &vec![b'*'; end - start]));
        *hits += out.hits;
        budget.settle(&out)?;
        now = out.finish().or(now);
    }
    Ok(now)
}

/// What is done with a number that is a value: as a text it would be, or `None` when it may stay.
pub(crate) fn redact_number(
    number: u64,
    facts: &Facts,
    rules: &Redaction,
    hits: &mut Hits,
    budget: &mut Budget,
) -> Option<Vec<u8>> {
    if number < NUMBER_MIN && facts.own == 0 && !facts.is_literal {
        return None;
    }
    redact(number.to_string().as_bytes(), facts, rules, hits, budget)
}

/// What is left of `text` without the `secret` in it that what comes before it has told of.
pub(crate) fn redact_secret(
    text: &[u8],
    secret: Range<usize>,
    rules: &Redaction,
    hits: &mut Hits,
) -> Option<Vec<u8>> {
    let mut out = Rewrite::new(text, rules.action(Kind::Keys)?, rules.hasher.as_ref());
    out.put(secret.start, secret.end, REDACTED);
    hits.kinds[0] += out.hits;
    out.finish()
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

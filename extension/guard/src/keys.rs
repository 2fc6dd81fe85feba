//! What a key says of its value: worked out once per key, remembered in bounded memory.

use crate::detect::numbers::{Called, is_uuid};
use crate::exempt::{
    AMBIGUOUS, DIFFERENCES, KEYS_OF_STORES, MEDIA, NOT_FORBIDDEN, NOT_PHONES, OF_SCHEMES, SCHEMES,
};
use crate::words::{
    ABOUT, ACCOUNTS, FORBIDDEN, FORBIDDEN_PAIRS, HARMLESS, HARMLESS_PAIRS, LAST_SECRETS, MEASURES, PERSONAL,
    PHONES, POSTAL, REFERENCES, SECRET_ENDINGS, SECRET_PAIRS, SECRETS, TAILS, TIMES, TRACKS,
};

/// What the words of a name say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Naming {
    /// Nothing.
    Plain,
    /// That its value opens a door.
    Secret,
    /// That its value must never be stored, not even hidden (PCI DSS 4.0, requirement 3.3.1).
    Forbidden,
}

/// The words of one key: letters and digits between other characters, where a small letter meets a capital, and where the
/// last of several capitals begins a word (`DBPassword`).
/// Words beyond the sixteenth are not looked at; a key is cut at 128 bytes.
struct Words {
    lower: [u8; KEY_MAX],
    places: [(u8, u8); WORDS_MAX],
    count: usize,
    /// Where the last run of letters and digits begins, whatever humps it has: `APIkey`.
    unbroken: u8,
}

const KEY_MAX: usize = 128;
const WORDS_MAX: usize = 16;

impl Words {
    fn of(key: &[u8]) -> Self {
        // Of a long key the end says the most.
        let key = &key[key.len().saturating_sub(KEY_MAX)..];
        let mut words = Self { lower: [0; KEY_MAX], places: [(0, 0); WORDS_MAX], count: 0, unbroken: 0 };
        let mut start = None;
        for (index, byte) in key.iter().enumerate() {
            words.lower[index] = byte.to_ascii_lowercase();
            let is_part = byte.is_ascii_alphanumeric();
            let before = index.checked_sub(1).map_or(0, |before| key[before]);
            let ends_capitals =
                before.is_ascii_uppercase() && key.get(index + 1).is_some_and(u8::is_ascii_lowercase);
            let is_hump = byte.is_ascii_uppercase() && (before.is_ascii_lowercase() || ends_capitals);
            if let Some(from) = start.filter(|_| !is_part || is_hump) {
                words.push(from, index);
                start = None;
            }
            if is_part && start.is_none() {
                start = Some(index);
                if !before.is_ascii_alphanumeric() {
                    words.unbroken = index as u8;
                }
            }
        }
        if let Some(from) = start {
            words.push(from, key.len());
        }
        words
    }

    fn push(&mut self, start: usize, end: usize) {
        if self.count == WORDS_MAX {
            self.places.copy_within(1.., 0);
            self.count -= 1;
        }
        self.places[self.count] = (start as u8, end as u8);
        self.count += 1;
    }

    fn word(&self, index: usize) -> &[u8] {
        let (start, end) = self.places[index];
        &self.lower[usize::from(start)..usize::from(end)]
    }

    fn any(&self, list: &[&[u8]]) -> bool {
        (0..self.count).any(|index| list.contains(&self.word(index)))
    }

    fn has_pair(&self, pairs: &[(&[u8], &[u8])]) -> bool {
        (1..self.count).any(|index| pairs.contains(&(self.word(index - 1), self.word(index))))
    }

    /// Whether it has a word of `list`, with a number behind it or not: `phone1`.
    fn any_numbered(&self, list: &[&[u8]]) -> bool {
        (0..self.count).any(|index| list.contains(&unnumbered(self.word(index))))
    }

    /// Whether one of `pairs` stands in it with a dot between.
    fn has_dotted(&self, pairs: &[(&[u8], &[u8])]) -> bool {
        (1..self.count).any(|index| {
            pairs.contains(&(self.word(index - 1), self.word(index)))
                && self.lower[usize::from(self.places[index - 1].1)] == b'.'
        })
    }

    fn ends_with(&self, pairs: &[(&[u8], &[u8])]) -> bool {
        self.count > 1 && pairs.contains(&(self.word(self.count - 2), self.word(self.count - 1)))
    }

    fn last(&self) -> &[u8] {
        self.count.checked_sub(1).map_or(&[], |index| self.word(index))
    }

    /// The last word with all of its humps; empty where it has none.
    fn humped(&self) -> &[u8] {
        let (start, end) = self.count.checked_sub(1).map_or((0, 0), |index| self.places[index]);
        if start > self.unbroken { &self.lower[usize::from(self.unbroken)..usize::from(end)] } else { &[] }
    }

    /// Without the words at the end that say nothing.
    fn without_tails(mut self) -> Self {
        while self.count > 1 && TAILS.contains(&self.last()) {
            self.count -= 1;
        }
        self
    }
}

/// What words of secrets end in, by their last two letters: most words are told by it.
const SECRET_LAST: [bool; 256] = {
    let mut last = [false; 256];
    let mut index = 0;
    while index < SECRETS.len() {
        last[last_two(SECRETS[index])] = true;
        index += 1;
    }
    index = 0;
    while index < SECRET_ENDINGS.len() {
        last[last_two(SECRET_ENDINGS[index])] = true;
        index += 1;
    }
    last
};

/// A place in a table for the last two letters of a word that has as many; some share one.
const fn last_two(word: &[u8]) -> usize {
    ((word[word.len() - 1] as usize) * 7 + word[word.len() - 2] as usize) % 256
}

/// `word` without a number behind it: `password1`.
fn unnumbered(word: &[u8]) -> &[u8] {
    let digits = word.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    &word[..word.len() - digits]
}

fn is_secret_word(word: &[u8]) -> bool {
    let word = unnumbered(word);
    // No word of either list is shorter, or ends otherwise.
    if word.len() < 2 || !SECRET_LAST[last_two(word)] {
        return false;
    }
    let ends_so = SECRET_ENDINGS.iter().any(|ending| word.ends_with(ending));
    (ends_so || SECRETS.contains(&word)) && !word.starts_with(b"passwordless")
}

/// What the words of an attribute's key say, wherever they stand in it.
fn naming(key: &[u8], words: &Words) -> Naming {
    let is_about = words.count > 1 && ABOUT.contains(&words.last());
    if HARMLESS.contains(&key) || is_about || words.ends_with(HARMLESS_PAIRS) {
        return Naming::Plain;
    }
    let is_track = words.has_pair(TRACKS) && (words.count == 2 || words.any(PERSONAL));
    let is_forbidden = words.any(FORBIDDEN) || words.has_pair(FORBIDDEN_PAIRS) || is_track;
    let is_song = words.any(MEDIA) && words.last().starts_with(b"track");
    let is_other = words.any(AMBIGUOUS) && NOT_FORBIDDEN.contains(&words.last()) || is_song;
    if is_forbidden && !is_other && !words.has_pair(&[POSTAL]) {
        return Naming::Forbidden;
    }
    let has_secret =
        (0..words.count).any(|index| is_secret_word(words.word(index))) || is_secret_word(words.humped());
    // `auth_header`.
    let is_tail = words.count > 1 && matches!(words.last(), b"header" | b"value");
    let last = if is_tail { words.word(words.count - 2) } else { words.last() };
    let ends_so = LAST_SECRETS.contains(&unnumbered(last));
    let is_pair = words.has_pair(SECRET_PAIRS) && !words.has_dotted(KEYS_OF_STORES);
    if has_secret || ends_so || is_pair { Naming::Secret } else { Naming::Plain }
}

/// What a name inside a text says: only its last words count, for `token_count=12` is no token.
pub(crate) fn naming_in_text(name: &[u8]) -> Naming {
    let name = without_index(name);
    let all = Words::of(name);
    if HARMLESS.contains(&name) || all.has_pair(&[POSTAL]) {
        return Naming::Plain;
    }
    // `security_code` ends in a word that says nothing elsewhere.
    let is_pair = all.ends_with(FORBIDDEN_PAIRS);
    let is_secret_pair = all.ends_with(SECRET_PAIRS);
    let words = all.without_tails();
    let last = words.last();
    let is_track = words.ends_with(TRACKS) && (words.count == 2 || words.any(PERSONAL));
    let naming = if FORBIDDEN.contains(&last) || is_pair || words.ends_with(FORBIDDEN_PAIRS) || is_track {
        Naming::Forbidden
    } else if is_secret_word(last)
        || is_secret_word(words.humped())
        || LAST_SECRETS.contains(&unnumbered(last))
        || words.ends_with(SECRET_PAIRS)
        || is_secret_pair
    {
        Naming::Secret
    } else {
        return Naming::Plain;
    };
    // Few names come as far.
    if Words::of(name).ends_with(HARMLESS_PAIRS) { Naming::Plain } else { naming }
}

/// `password` of `password[0`, whose last bracket is none of the name.
fn without_index(name: &[u8]) -> &[u8] {
    let name = name.strip_suffix(b"]").unwrap_or(name);
    let digits = name.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    name[..name.len() - digits].strip_suffix(b"[").unwrap_or(name)
}

/// Whether a name ends in a word that is a secret's only where a sign follows: `auth`, `pass`, `sign`.
pub(crate) fn is_last_secret(name: &[u8]) -> bool {
    LAST_SECRETS.contains(&unnumbered(Words::of(name).last()))
}

/// Whether a name in a text may well be a word of a sentence: then what stands behind it must look like a secret.
pub(crate) fn is_weak(name: &[u8]) -> bool {
    let words = Words::of(name);
    let last = unnumbered(words.last());
    LAST_SECRETS.contains(&last)
        || matches!(last, b"session" | b"token" | b"secret" | b"pin" | b"otp" | b"authentication")
}

/// Whether a value says how one signs in, where its name is `auth` or the like.
pub(crate) fn is_scheme(name: &[u8], value: &[u8]) -> bool {
    SCHEMES.iter().any(|scheme| value.eq_ignore_ascii_case(scheme))
        && OF_SCHEMES.contains(&Words::of(name).last())
}

/// Whether words are about the number of somebody's telephone.
fn is_about_phone(words: &Words) -> bool {
    words.any_numbered(PHONES) && !NOT_PHONES.contains(&words.last()) && !words.has_pair(&[(b"i", b"phone")])
}

/// Whether the name of a number says that it measures something, and may be negative.
pub(crate) fn measures(name: &[u8]) -> bool {
    let words = Words::of(name);
    !words.any_numbered(PHONES)
        && !words.any(PERSONAL)
        && (words.any(MEASURES) || DIFFERENCES.contains(&words.last()) || TIMES.contains(&words.last()))
}

/// What the name of a number in a text says that it is.
pub(crate) fn call(name: &[u8]) -> Called {
    let words = Words::of(name);
    if is_about_phone(&words) {
        Called::Phone
    } else if !words.any(PERSONAL)
        && (words.any(REFERENCES) || words.any(MEASURES) || TIMES.contains(&words.last()))
    {
        Called::Reference
    } else {
        Called::Nothing
    }
}

/// What a key says of its value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts {
    pub(crate) naming: Naming,
    /// Its numbers are telephones.
    pub(crate) is_phone: bool,
    /// A value that is nothing but a number is a time or an account.
    pub(crate) is_measure: bool,
    /// A value that is nothing but a number refers to something: an account, a payment, an order.
    pub(crate) is_reference: bool,
    /// It is a statement for a database.
    pub(crate) is_sql: bool,
    /// It is a literal of a statement, and nothing else.
    pub(crate) is_literal: bool,
    /// It is the query of a URL, without the URL.
    pub(crate) is_query: bool,
    /// It is a URL, or what follows its host, and nothing else.
    pub(crate) is_url: bool,
    /// It may be four times as long as other values.
    pub(crate) is_stacktrace: bool,
    /// Nothing in the key itself is to be hidden.
    pub(crate) is_clean: bool,
    /// A semantic convention names it.
    pub(crate) is_convention: bool,
    /// Its value is the id of an invocation, by which everything here is found.
    pub(crate) is_invocation: bool,
    /// A rule says that its value is none of those that are looked for.
    pub(crate) is_excepted: bool,
    /// The own rules that are about it: one bit for each, in their order.
    pub(crate) own: u64,
    /// What `PREFREEZE_ATTRIBUTES` says of it.
    pub(crate) attribute: Verdict,
}

/// What the rules on attributes say of a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing.
    #[default]
    Keep,
    /// It goes.
    Deny,
    /// The limit of this number holds for it.
    Limit(u8),
}

impl Facts {
    /// Of what has no key: a span's name, a log record's text.
    pub(crate) const NONE: Self = Self {
        naming: Naming::Plain,
        is_phone: false,
        is_measure: false,
        is_reference: false,
        is_sql: false,
        is_literal: false,
        is_query: false,
        is_url: false,
        is_stacktrace: false,
        is_clean: false,
        is_convention: false,
        is_invocation: false,
        is_excepted: false,
        own: 0,
        attribute: Verdict::Keep,
    };

    /// Whether `text` is the id of an invocation that no rule names by its key: it has to stay, or the span that carries it
    /// names no invocation.
    pub(crate) fn is_request_id(&self, text: &[u8]) -> bool {
        self.is_invocation && self.own == 0 && is_uuid(text)
    }

    /// Of an entry of this key in a map that `map` is said of.
    pub(crate) const fn within(self, map: &Self) -> Self {
        Self {
            is_phone: self.is_phone || map.is_phone,
            is_excepted: self.is_excepted || map.is_excepted,
            is_literal: self.is_literal || map.is_literal,
            is_sql: self.is_sql || map.is_literal,
            own: self.own | map.own,
            ..self
        }
    }

    /// Of this key, the rules of the user aside.
    pub(crate) fn of(key: &[u8]) -> Self {
        let words = Words::of(key);
        Self {
            naming: naming(key, &words),
            is_phone: is_about_phone(&words),
            is_measure: (TIMES.contains(&words.last()) && !words.any(PERSONAL) && !words.any(PHONES))
                || ACCOUNTS.contains(&key),
            is_reference: (words.any(REFERENCES) || words.any(MEASURES)) && !words.any(PERSONAL),
            is_sql: matches!(key, b"db.statement" | b"db.query.text" | b"db.query" | b"sql" | b"db.sql")
                || key.starts_with(PARAMETERS),
            is_literal: key.starts_with(PARAMETERS),
            is_query: matches!(key, b"url.query" | b"http.query" | b"query_string" | b"url.fragment"),
            is_url: matches!(key, b"url.full" | b"url.original" | b"http.url" | b"http.target"),
            is_stacktrace: key.ends_with(b"stacktrace") || key.ends_with(b"stack_trace"),
            is_convention: is_convention(key),
            is_invocation: INVOCATIONS.contains(&key),
            ..Self::NONE
        }
    }
}

/// What the keys of a statement's parameters begin with.
const PARAMETERS: &[u8] = b"db.query.parameter.";

/// Keys under which an instrumentation names the invocation.
const INVOCATIONS: &[&[u8]] = &[b"faas.invocation_id", b"faas.execution"];

/// The first words of semantic conventions: what begins with one of them and a dot is left alone unless a rule
/// names it in full.
///
/// # Source
/// <https://opentelemetry.io/docs/specs/semconv/registry/attributes/>
const CONVENTIONS: &[&[u8]] = &[
    b"aws",
    b"az",
    b"azure",
    b"browser",
    b"cassandra",
    b"cicd",
    b"client",
    b"cloud",
    b"cloudevents",
    b"cloudfoundry",
    b"code",
    b"container",
    b"cpu",
    b"db",
    b"deployment",
    b"destination",
    b"device",
    b"disk",
    b"dns",
    b"elasticsearch",
    b"enduser",
    b"error",
    b"event",
    b"exception",
    b"faas",
    b"feature_flag",
    b"file",
    b"gcp",
    b"gen_ai",
    b"geo",
    b"graphql",
    b"heroku",
    b"host",
    b"http",
    b"hw",
    b"jvm",
    b"k8s",
    b"linux",
    b"log",
    b"messaging",
    b"net",
    b"network",
    b"nodejs",
    b"oci",
    b"os",
    b"otel",
    b"peer",
    b"process",
    b"profile",
    b"rpc",
    b"server",
    b"service",
    b"session",
    b"signalr",
    b"source",
    b"system",
    b"telemetry",
    b"test",
    b"thread",
    b"tls",
    b"url",
    b"user",
    b"user_agent",
    b"vcs",
    b"webengine",
];

fn is_convention(key: &[u8]) -> bool {
    let dot = key.iter().position(|byte| *byte == b'.');
    dot.is_some_and(|dot| CONVENTIONS.contains(&&key[..dot]))
}

/// Slots of the book; a key that meets another one in its slot takes its place.
const SLOTS: usize = 256;
/// Longer keys are worked out each time.
const REMEMBERED_MAX: usize = 96;

/// The facts of the keys that were seen lately: at most 256 of them, whatever keys there are. Nothing is allocated
/// before the first.
#[derive(Debug, Default)]
pub(crate) struct Book {
    slots: Vec<Option<(Box<[u8]>, Facts)>>,
}

impl Book {
    /// What `key` says, by `work_out` when it is not known, which tells whether it holds for good.
    pub(crate) fn facts(&mut self, key: &[u8], work_out: impl FnOnce(&[u8]) -> (Facts, bool)) -> Facts {
        if key.len() > REMEMBERED_MAX {
            return work_out(key).0;
        }
        if self.slots.is_empty() {
            self.slots.resize(SLOTS, None);
        }
        let slot = &mut self.slots[hash(key) as usize % SLOTS];
        match slot {
            Some((known, facts)) if **known == *key => *facts,
            _ => {
                let (facts, is_sure) = work_out(key);
                if is_sure {
                    *slot = Some((key.into(), facts));
                }
                facts
            }
        }
    }
}

/// FNV-1a with a last mixing: for tables and estimates, of values nobody chooses to collide.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut chunks = bytes.chunks_exact(8);
    for chunk in &mut chunks {
        let word = u64::from_le_bytes(chunk.try_into().expect("chunks have eight bytes"));
        hash = (hash ^ word).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(29);
    }
    for byte in chunks.remainder() {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    hash = (hash ^ bytes.len() as u64 ^ (hash >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    hash = (hash ^ (hash >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash ^ (hash >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_give_a_key_away() {
        let rows: [(&[u8], Naming); 59] = [
            (b"APIkey", Naming::Secret),
            (b"DBpass", Naming::Secret),
            (b"PaSsWoRd", Naming::Secret),
            (b"x.SetAPIkey", Naming::Secret),
            (b"MonKey", Naming::Plain),
            (b"password1", Naming::Secret),
            (b"secret_key", Naming::Secret),
            (b"secretKey", Naming::Secret),
            (b"db_pass", Naming::Secret),
            (b"PGPASSWORD", Naming::Secret),
            (b"DBPassword", Naming::Secret),
            (b"CSRFToken", Naming::Secret),
            (b"JWTToken", Naming::Secret),
            (b"AccountKey", Naming::Secret),
            (b"user.auth", Naming::Secret),
            (b"signature", Naming::Secret),
            (b"otp_code", Naming::Forbidden),
            (b"cvv_number", Naming::Forbidden),
            (b"otp.verified", Naming::Plain),
            (b"pin.attempts", Naming::Plain),
            (b"music.track.1", Naming::Plain),
            (b"track_1", Naming::Forbidden),
            (b"token.type", Naming::Plain),
            (b"session.duration", Naming::Plain),
            (b"auth.method", Naming::Plain),
            (b"pass.rate", Naming::Plain),
            (b"test.pass.total", Naming::Plain),
            (b"auth.passwordless", Naming::Plain),
            (b"boarding_pass.gate", Naming::Plain),
            (b"http.request.header.x-csrf-token", Naming::Secret),
            (b"APIKey", Naming::Secret),
            (b"keys.count", Naming::Plain),
            (b"password", Naming::Secret),
            (b"userPassword", Naming::Secret),
            (b"http.request.header.authorization", Naming::Secret),
            (b"http.request.header.set-cookie", Naming::Secret),
            (b"x-api-key", Naming::Secret),
            (b"clientSecret", Naming::Secret),
            (b"payment.cvv", Naming::Forbidden),
            (b"card_cvc", Naming::Forbidden),
            (b"upi.pin", Naming::Forbidden),
            (b"track2", Naming::Forbidden),
            (b"card.track_2", Naming::Forbidden),
            (b"address.pin_code", Naming::Plain),
            (b"pincode", Naming::Plain),
            (b"session.id", Naming::Plain),
            (b"http.route", Naming::Plain),
            (b"authHeader", Naming::Secret),
            (b"db_key", Naming::Secret),
            (b"redis.db.key", Naming::Plain),
            (b"video.pin", Naming::Forbidden),
            (b"music.track1", Naming::Plain),
            (b"pin.id", Naming::Plain),
            (b"cvv.id", Naming::Forbidden),
            (b"2fa_code", Naming::Forbidden),
            (b"mcp.session.id", Naming::Plain),
            (b"opinion", Naming::Plain),
            (b"gen_ai.usage.input_tokens", Naming::Plain),
            (b"tokenizer", Naming::Plain),
        ];
        for (key, expected) in rows {
            assert_eq!(Facts::of(key).naming, expected, "{}", String::from_utf8_lossy(key));
        }
    }

    #[test]
    fn the_book_forgets_and_is_right_all_the_same() {
        let mut book = Book::default();
        for round in 0..2_000_u32 {
            let key = format!("key.{}", round % 700);
            let facts =
                book.facts(key.as_bytes(), |key| (Facts { own: u64::from(key[4]), ..Facts::of(key) }, true));
            assert_eq!(facts.own, u64::from(key.as_bytes()[4]));
        }
        assert_eq!(book.slots.len(), SLOTS);
    }
}

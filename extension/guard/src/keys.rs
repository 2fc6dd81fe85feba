//! What a key says of its value: worked out once per key, remembered in bounded memory.

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

const SECRETS: &[&[u8]] = &[
    b"password",
    b"passwd",
    b"pwd",
    b"passphrase",
    b"passcode",
    b"secret",
    b"secrets",
    b"token",
    b"authorization",
    b"cookie",
    b"cookies",
    b"apikey",
    b"session",
    b"sessionid",
    b"jsessionid",
    b"phpsessid",
    b"credential",
    b"credentials",
    b"privatekey",
    b"secretkey",
    b"accesskey",
    b"accesstoken",
    b"refreshtoken",
    b"idtoken",
    b"authtoken",
    b"clientsecret",
    b"bearer",
    b"jwt",
];
const SECRET_PAIRS: &[(&[u8], &[u8])] = &[
    (b"api", b"key"),
    (b"access", b"key"),
    (b"private", b"key"),
    (b"encryption", b"key"),
    (b"signing", b"key"),
    (b"pass", b"word"),
];
const FORBIDDEN: &[&[u8]] = &[
    b"cvv",
    b"cvv2",
    b"cvc",
    b"cvc2",
    b"cvn",
    b"csc",
    b"pin",
    b"mpin",
    b"upipin",
    b"tpin",
    b"pinblock",
    b"otp",
    b"track1",
    b"track2",
    b"trackdata",
    b"magstripe",
];
const FORBIDDEN_PAIRS: &[(&[u8], &[u8])] =
    &[(b"track", b"data"), (b"track", b"1"), (b"track", b"2"), (b"security", b"code"), (b"mag", b"stripe")];
/// `pin.code` is a postal code in India.
const POSTAL: (&[u8], &[u8]) = (b"pin", b"code");
/// Names by convention that have such a word in them and mean no harm.
///
/// # Source
/// <https://opentelemetry.io/docs/specs/semconv/registry/attributes/>
const HARMLESS: &[&[u8]] = &[
    b"session.id",
    b"session.previous_id",
    b"aws.secretsmanager.secret.arn",
    b"gen_ai.token.type",
    b"aws.bedrock.session.id",
];
/// Words behind a secret's name in a text that leave it one: `cookie_header: …`.
const TAILS: &[&[u8]] = &[b"value", b"header", b"data", b"block", b"hash", b"id"];
/// Words that say that a number is somebody's telephone.
const PHONES: &[&[u8]] = &[
    b"phone",
    b"telephone",
    b"mobile",
    b"msisdn",
    b"tel",
    b"whatsapp",
    b"cell",
    b"cellphone",
    b"phonenumber",
    b"mobilenumber",
    b"mobileno",
    b"phoneno",
];
/// Words that say that a number is a time: twelve digits of nanoseconds are a few minutes, and no Aadhaar.
const TIMES: &[&[u8]] = &[
    b"time",
    b"timestamp",
    b"ms",
    b"us",
    b"ns",
    b"nanos",
    b"nano",
    b"millis",
    b"micros",
    b"duration",
    b"epoch",
];
/// Keys whose digits are an AWS account, or have one inside.
const ACCOUNTS: &[&[u8]] = &[b"cloud.account.id", b"aws.account.id", b"faas.instance", b"faas.invocation_id"];

/// The words of one key: letters and digits between other characters, and where a small letter meets a capital.
/// Words beyond the sixteenth are not looked at; a key is cut at 128 bytes.
struct Words {
    lower: [u8; KEY_MAX],
    places: [(u8, u8); WORDS_MAX],
    count: usize,
}

const KEY_MAX: usize = 128;
const WORDS_MAX: usize = 16;

impl Words {
    fn of(key: &[u8]) -> Self {
        // Of a long key the end says the most.
        let key = &key[key.len().saturating_sub(KEY_MAX)..];
        let mut words = Self { lower: [0; KEY_MAX], places: [(0, 0); WORDS_MAX], count: 0 };
        let mut start = None;
        for (index, byte) in key.iter().enumerate() {
            words.lower[index] = byte.to_ascii_lowercase();
            let is_part = byte.is_ascii_alphanumeric();
            let is_hump = byte.is_ascii_uppercase() && index > 0 && key[index - 1].is_ascii_lowercase();
            if let Some(from) = start.filter(|_| !is_part || is_hump) {
                words.push(from, index);
                start = None;
            }
            if is_part && start.is_none() {
                start = Some(index);
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

    fn last(&self) -> &[u8] {
        self.count.checked_sub(1).map_or(&[], |index| self.word(index))
    }

    /// Without the words at the end that say nothing.
    fn without_tails(mut self) -> Self {
        while self.count > 1 && TAILS.contains(&self.last()) {
            self.count -= 1;
        }
        self
    }
}

/// What the words of an attribute's key say, wherever they stand in it.
fn naming(key: &[u8], words: &Words) -> Naming {
    if HARMLESS.contains(&key) {
        Naming::Plain
    } else if (words.any(FORBIDDEN) || words.has_pair(FORBIDDEN_PAIRS)) && !words.has_pair(&[POSTAL]) {
        Naming::Forbidden
    } else if words.any(SECRETS) || words.has_pair(SECRET_PAIRS) {
        Naming::Secret
    } else {
        Naming::Plain
    }
}

/// What a name inside a text says: only its last word counts, for `token_count=12` is no token.
pub(crate) fn naming_in_text(name: &[u8]) -> Naming {
    if HARMLESS.contains(&name) {
        return Naming::Plain;
    }
    let words = Words::of(name).without_tails();
    let last = &[words.last()][..];
    let ends_with = |list: &[&[u8]]| list.contains(&last[0]);
    let ends_with_pair = |pairs: &[(&[u8], &[u8])]| {
        words.count > 1 && pairs.contains(&(words.word(words.count - 2), words.word(words.count - 1)))
    };
    if ends_with(FORBIDDEN) || ends_with_pair(FORBIDDEN_PAIRS) {
        Naming::Forbidden
    } else if ends_with(SECRETS) || ends_with_pair(SECRET_PAIRS) {
        Naming::Secret
    } else {
        Naming::Plain
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
    /// It is a statement for a database.
    pub(crate) is_sql: bool,
    /// It is the query of a URL, without the URL.
    pub(crate) is_query: bool,
    /// It may be four times as long as other values.
    pub(crate) is_stacktrace: bool,
    /// Nothing in the key itself is to be hidden.
    pub(crate) is_clean: bool,
    /// A semantic convention names it.
    pub(crate) is_convention: bool,
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
        is_sql: false,
        is_query: false,
        is_stacktrace: false,
        is_clean: false,
        is_convention: false,
        is_excepted: false,
        own: 0,
        attribute: Verdict::Keep,
    };

    /// Of this key, the rules of the user aside.
    pub(crate) fn of(key: &[u8]) -> Self {
        let words = Words::of(key);
        Self {
            naming: naming(key, &words),
            is_phone: words.any(PHONES),
            is_measure: TIMES.contains(&words.last()) || ACCOUNTS.contains(&key),
            is_sql: matches!(key, b"db.statement" | b"db.query.text" | b"db.query" | b"sql" | b"db.sql")
                || key.starts_with(b"db.query.parameter."),
            is_query: matches!(key, b"url.query" | b"http.query" | b"query_string" | b"url.fragment"),
            is_stacktrace: key.ends_with(b"stacktrace") || key.ends_with(b"stack_trace"),
            is_convention: is_convention(key),
            ..Self::NONE
        }
    }
}

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
    /// What `key` says, by `work_out` when it is not known.
    pub(crate) fn facts(&mut self, key: &[u8], work_out: impl FnOnce(&[u8]) -> Facts) -> Facts {
        if key.len() > REMEMBERED_MAX {
            return work_out(key);
        }
        if self.slots.is_empty() {
            self.slots.resize(SLOTS, None);
        }
        let slot = &mut self.slots[hash(key) as usize % SLOTS];
        match slot {
            Some((known, facts)) if **known == *key => *facts,
            _ => {
                let facts = work_out(key);
                *slot = Some((key.into(), facts));
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
        let rows: [(&[u8], Naming); 18] = [
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
            let facts = book.facts(key.as_bytes(), |key| Facts { own: u64::from(key[4]), ..Facts::of(key) });
            assert_eq!(facts.own, u64::from(key.as_bytes()[4]));
        }
        assert_eq!(book.slots.len(), SLOTS);
    }
}

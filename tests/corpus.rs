//! How sure redaction is: ten thousand values of each kind, true ones and look-alikes, in every print and through every
//! escape; the sets that others publish; and the rates in docs/privacy.md.
//!
//! One seed makes it all. It grows with every report: a value that was missed, or hidden for nothing, becomes a row here.
//!
//! `UPDATE=1 cargo test -p tests --test corpus` writes them; without `UPDATE` the page is compared.

#[path = "corpus/alike.rs"]
mod alike;
#[path = "corpus/attacked.rs"]
mod attacked;
#[path = "corpus/hidden.rs"]
mod hidden;
#[path = "corpus/kept.rs"]
mod kept;
#[path = "corpus/published.rs"]
mod published;
#[path = "corpus/styles.rs"]
mod styles;

use std::fs;
use std::path::Path;

use guard::{Guard, Limits, Redaction, Rules};
use policy::Rng;

use alike::ALIKE;
use attacked::ATTACKED;
use hidden::{HIDDEN, Report};
use kept::KEPT;
use published::{
    DATADOG, DETECT_SECRETS, ENCODINGS, PREFIXES, PREFIXES_LEFT_OUT, PREFIXES_SOURCE, SENTRY, Set,
};
use styles::{ESCAPES, PLACES, STYLES, printed};

const COUNT: u64 = 10_000;
const BEGIN: &str = "<!-- rates: written by a test -->";
const END: &str = "<!-- end of rates -->";

/// A kind of value, by how one is made.
struct Class {
    what: &'static str,
    make: fn(&mut Rng) -> String,
}

const fn class(what: &'static str, make: fn(&mut Rng) -> String) -> Class {
    Class { what, make }
}

fn digits(rng: &mut Rng, count: usize) -> String {
    (0..count).map(|_| char::from(b'0' + rng.below(10) as u8)).collect()
}

fn of(rng: &mut Rng, alphabet: &str, count: usize) -> String {
    let letters = alphabet.as_bytes();
    (0..count).map(|_| char::from(letters[rng.below(letters.len() as u64) as usize])).collect()
}

fn one(rng: &mut Rng, list: &[&str]) -> String {
    list[rng.below(list.len() as u64) as usize].to_owned()
}

const HEX: &str = "0123456789abcdef";
const WORDS: &str = "abcdefghijklmnopqrstuvwxyz";
const ALNUM: &str = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789";
const BASE64: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The digits and the one that makes Luhn's sum come out.
fn with_luhn(mut digits: String) -> String {
    let sum: u32 = digits
        .bytes()
        .rev()
        .enumerate()
        .map(|(index, digit)| {
            let value = u32::from(digit - b'0') * if index % 2 == 0 { 2 } else { 1 };
            value / 10 + value % 10
        })
        .sum();
    digits.push(char::from(b'0' + ((10 - sum % 10) % 10) as u8));
    digits
}

fn card(rng: &mut Rng) -> String {
    let (prefix, length) =
        [("4", 16), ("51", 16), ("2221", 16), ("34", 15), ("6011", 16), ("6074", 16), ("62", 16)]
            [rng.below(7) as usize];
    let middle = digits(rng, length - 1 - prefix.len());
    with_luhn(format!("{prefix}{middle}"))
}

fn grouped(number: &str, separator: &str) -> String {
    let groups: &[usize] = if number.len() == 15 { &[4, 6, 5] } else { &[4, 4, 4, 4] };
    let mut rest = number;
    let mut parts = Vec::new();
    for length in groups {
        let (part, tail) = rest.split_at((*length).min(rest.len()));
        parts.push(part);
        rest = tail;
    }
    parts.retain(|part| !part.is_empty());
    parts.join(separator)
}

/// Made without the product's tables: by trying the ten digits against D5 as reflections and rotations of a pentagon.
fn aadhaar(rng: &mut Rng) -> String {
    loop {
        let mut number = format!("{}{}", 2 + rng.below(8), digits(rng, 10));
        let check =
            (0..10).find(|digit| verhoeff(&format!("{number}{digit}")) == 0).expect("one of ten fits");
        number.push(char::from(b'0' + check as u8));
        if !number.chars().eq(number.chars().rev()) {
            return number;
        }
    }
}

fn verhoeff(number: &str) -> u32 {
    // Digits below five are turns of a pentagon, the others turns of its mirror image.
    let product = |one: u32, two: u32| match (one < 5, two < 5) {
        (true, true) => (one + two) % 5,
        (true, false) => 5 + (one + two - 5) % 5,
        (false, true) => 5 + (one - 5 + 5 - two) % 5,
        (false, false) => (one + 5 - two) % 5,
    };
    let permute = |digit: u32| [1, 5, 7, 6, 2, 8, 3, 0, 9, 4][digit as usize];
    let mut check = 0;
    for (index, digit) in number.bytes().rev().enumerate() {
        let permuted = (0..index % 8).fold(u32::from(digit - b'0'), |value, _| permute(value));
        check = product(check, permuted);
    }
    check
}

/// Of Germany: two letters, two check digits, eighteen digits. Made by trying, not by the product's way of counting.
fn iban(rng: &mut Rng) -> String {
    let account = digits(rng, 18);
    // Letters count as two digits, and the beginning counts last: D is 13, E is 14.
    let is_right = |check: &u64| {
        format!("{account}1314{check:02}")
            .bytes()
            .fold(0, |rest, digit| (rest * 10 + u64::from(digit - b'0')) % 97)
            == 1
    };
    let check = (2..99).find(is_right).expect("one of 97 fits");
    format!("DE{check:02}{account}")
}

/// A value that no mask leaves: what is hidden of it shows.
fn secret(rng: &mut Rng) -> String {
    format!("h{}9", of(rng, ALNUM, 10))
}

fn pan(rng: &mut Rng) -> String {
    let letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let holder = of(rng, "ABCFGHLJPT", 1);
    format!("{}{holder}{}{}{}", of(rng, letters, 3), of(rng, letters, 1), digits(rng, 4), of(rng, letters, 1))
}

/// Names whose values go.
const NAMES: [&str; 30] = [
    "password",
    "passwd",
    "pwd",
    "password1",
    "secret",
    "secret_key",
    "secretKey",
    "client_secret",
    "token",
    "access_token",
    "refreshToken",
    "api_key",
    "apiKey",
    "x-api-key",
    "pass",
    "db_pass",
    "PGPASSWORD",
    "DBPassword",
    "CSRFToken",
    "JWTToken",
    "AccountKey",
    "auth",
    "signature",
    "cvv",
    "cvv_number",
    "pin",
    "otp_code",
    "sessionid",
    "credentials",
    "user.password",
];

/// A kind of value that is printed with a name: what is searched for afterwards must be gone.
struct Kind {
    what: &'static str,
    name: fn(&mut Rng) -> String,
    value: fn(&mut Rng) -> String,
}

const KINDS: &[Kind] = &[
    Kind { what: "secrets, by their names", name: |rng| one(rng, &NAMES), value: secret },
    Kind { what: "cards", name: neutral, value: card },
    Kind {
        what: "cards in groups, by each of 12 separators",
        name: neutral,
        value: |rng| {
            let number = card(rng);
            grouped(&number, &one(rng, &SEPARATORS))
        },
    },
    Kind { what: "Aadhaar numbers", name: neutral, value: aadhaar },
    Kind {
        what: "Aadhaar numbers in groups, by each of them",
        name: neutral,
        value: |rng| {
            let number = aadhaar(rng);
            grouped(&number, &one(rng, &SEPARATORS))
        },
    },
    Kind { what: "Indian PANs", name: neutral, value: pan },
    Kind { what: "UPI addresses", name: neutral, value: |rng| format!("a{}z@okaxis", of(rng, WORDS, 8)) },
    Kind {
        what: "e-mail addresses",
        name: neutral,
        value: |rng| format!("j{}d@example.com", of(rng, WORDS, 8)),
    },
    Kind {
        what: "international telephone numbers",
        name: neutral,
        value: |rng| format!("+91{}{}", 6 + rng.below(4), digits(rng, 9)),
    },
    Kind {
        what: "national telephone numbers, by their names",
        name: |rng| {
            one(rng, &["phone", "mobile", "phone_number", "mobileNo", "customer.phone", "msisdn", "tel"])
        },
        value: |rng| format!("{}{}", 6 + rng.below(4), digits(rng, 9)),
    },
    Kind { what: "IBANs", name: neutral, value: iban },
    Kind {
        what: "keys of AWS",
        name: neutral,
        value: |rng| format!("AKIA{}", of(rng, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 16)),
    },
];

/// What stands between groups of digits.
const SEPARATORS: [&str; 12] =
    [" ", "  ", "-", "\t", ".", "_", "/", " - ", "\u{a0}", "\u{2011}", "\u{2013}", "\u{2014}"];

fn neutral(rng: &mut Rng) -> String {
    one(rng, &["note", "message", "customer", "input", "x", "detail", "Field", "arg0"])
}

fn guard() -> Guard {
    let rules = Rules { redaction: Redaction::everything(None), limits: Limits::NONE, attributes: None };
    Guard::new(rules).expect("there is something to do")
}

/// How many of how many prints of a kind are hidden, in every style, place and escape; and the first that are not.
fn printed_and_hidden(kind: &Kind, seed: u64) -> (u64, u64, Vec<String>) {
    let (mut rng, mut guard) = (Rng::new(seed), guard());
    let (mut hidden, mut all, mut missed) = (0, 0, Vec::new());
    for style in STYLES {
        for (before, behind) in PLACES {
            for (_, escape) in ESCAPES {
                let (name, value) = ((kind.name)(&mut rng), (kind.value)(&mut rng));
                let text = escape(&format!("{before}{}{behind}", printed(style, &name, &value)));
                // Of an address the domain stays, and of a number its last digits.
                let core = value.split('@').next().expect("there is a first");
                let shows = |text: &str| text.contains(core) || text.contains(&escape(core));
                let is_hidden = guard.text(&text).is_some_and(|left| !shows(&left));
                hidden += u64::from(is_hidden);
                all += 1;
                if !is_hidden && missed.len() < 40 {
                    missed.push(text);
                }
            }
        }
    }
    (hidden, all, missed)
}

/// How many of a set's names give their value away, in every encoding; and those that do not.
fn published(set: &Set) -> (u64, u64, Vec<String>) {
    let mut guard = guard();
    let (mut hidden, mut all, mut missed) = (0, 0, Vec::new());
    for name in set.names {
        for encoding in ENCODINGS {
            let text = printed(encoding, name, "hunter2X9zz");
            let is_hidden = guard.text(&text).is_some_and(|left| !left.contains("hunter2X9zz"));
            hidden += u64::from(is_hidden);
            all += 1;
            if !is_hidden {
                missed.push(text);
            }
        }
        let of_attribute = guard.value(name, "hunter2X9zz");
        let is_hidden = of_attribute.as_deref() != Some("hunter2X9zz");
        hidden += u64::from(is_hidden);
        all += 1;
        if !is_hidden {
            missed.push(format!("attribute {name}"));
        }
    }
    (hidden, all, missed)
}

fn published_prefixes() -> (u64, u64, Vec<String>) {
    let (mut rng, mut guard) = (Rng::new(77), guard());
    let (mut hidden, mut all, mut missed) = (0, 0, Vec::new());
    for (prefix, alphabet, length) in PREFIXES {
        for _ in 0..10 {
            let key = format!("{prefix}{}", of(&mut rng, alphabet, *length));
            let is_hidden =
                guard.text(&format!("call with {key} failed")).is_some_and(|left| !left.contains(&key));
            hidden += u64::from(is_hidden);
            all += 1;
            if !is_hidden {
                missed.push(key);
            }
        }
    }
    (hidden, all, missed)
}

fn around(rng: &mut Rng, value: &str) -> String {
    match rng.below(8) {
        0 | 1 => value.to_owned(),
        2 => format!("charged {value} for order 17"),
        3 => format!("{{\"number\":\"{value}\",\"amount\":4999}}"),
        4 => format!("number={value}"),
        5 => format!("number:{value},amount:4999"),
        6 => format!("https://shop.example.com/x/{value}"),
        _ => format!("({value})"),
    }
}

const TRUE: &[Class] = &[
    class("cards, unbroken", |rng| {
        let value = card(rng);
        around(rng, &value)
    }),
    class("cards in groups of four with spaces, dashes, `%20`", |rng| {
        let separator = one(rng, &[" ", "-", "%20"]);
        let value = grouped(&card(rng), &separator);
        around(rng, &value)
    }),
    class("cards glued to letters, or in groups of other sizes", |rng| match rng.below(2) {
        0 => format!("card{}", card(rng)),
        _ => {
            let number = card(rng);
            format!("{} {} {}", &number[..3], &number[3..9], &number[9..])
        }
    }),
    class("Aadhaar numbers, unbroken or in groups of four", |rng| {
        let number = aadhaar(rng);
        let value = match rng.below(3) {
            0 => number,
            1 => grouped(&number, " "),
            _ => grouped(&number, "-"),
        };
        around(rng, &value)
    }),
    class("Indian PANs", |rng| {
        let letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
        let value = format!(
            "{}{}{}{}{}",
            of(rng, letters, 3),
            of(rng, "ABCFGHLJPT", 1),
            of(rng, letters, 1),
            digits(rng, 4),
            of(rng, letters, 1)
        );
        around(rng, &value)
    }),
    class("IBANs, whole or in groups of four", |rng| {
        let number = iban(rng);
        let value = match rng.below(2) {
            0 => number,
            _ => number.as_bytes().chunks(4).map(String::from_utf8_lossy).collect::<Vec<_>>().join(" "),
        };
        around(rng, &value)
    }),
    class("`password hunter2X9zz` and the like: a name, a blank, letters and digits", |rng| {
        let name = one(rng, &["password", "token", "api key", "access token", "secret", "client secret"]);
        let opens = rng.below(3) as usize;
        let (open, close) = ([" ", " '", " ("][opens], ["", "'", ")"][opens]);
        format!("invalid {name}{open}{}{close} for jane", secret(rng))
    }),
    class("one-time passwords in sentences: `OTP is 482913`", |rng| {
        let number = digits(rng, 6);
        match rng.below(4) {
            0 => format!("Your OTP is {number}. Do not share it."),
            1 => format!("{number} is your OTP for the payment"),
            2 => format!("OTP for the payment is {number}"),
            _ => format!("otp {number}"),
        }
    }),
    class("UPI addresses with a known handle", |rng| {
        let local = of(rng, "abcdefghijklmnopqrstuvwxyz0123456789.", 8);
        let value =
            format!("a{local}z@{}", one(rng, &["okaxis", "ybl", "paytm", "upi", "ibl", "apl", "okhdfcbank"]));
        around(rng, &value)
    }),
    class("UPI addresses with an unknown handle", |rng| {
        format!("{}@{}", of(rng, WORDS, 8), of(rng, WORDS, 7))
    }),
    class("e-mail addresses, plain or in a URL", |rng| {
        let local = of(rng, "abcdefghijklmnopqrstuvwxyz0123456789._", 6);
        let at = one(rng, &["@", "%40"]);
        let value =
            format!("j{local}d{at}{}.{}", of(rng, WORDS, 7), one(rng, &["com", "co.in", "org", "io", "dev"]));
        around(rng, &value)
    }),
    class("international telephone numbers", |rng| {
        let number = format!("{}{}", 6 + rng.below(4), digits(rng, 9));
        let value = match rng.below(2) {
            0 => format!("+91{number}"),
            _ => format!("+91 {} {}", &number[..5], &number[5..]),
        };
        around(rng, &value)
    }),
    class("national telephone numbers, without a key that says so", |rng| {
        format!("{}{}", 6 + rng.below(4), digits(rng, 9))
    }),
    class("JWTs, `Bearer` tokens, keys of providers", |rng| {
        let value = match rng.below(4) {
            0 => format!("eyJ{}.eyJ{}.{}", of(rng, BASE64, 30), of(rng, BASE64, 60), of(rng, BASE64, 43)),
            1 => format!("Bearer {}", of(rng, BASE64, 40)),
            2 => format!("AKIA{}", of(rng, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 16)),
            _ => format!("ghp_{}", of(rng, BASE64.trim_end_matches("-_"), 36)),
        };
        around(rng, &value)
    }),
    class("`password=…`, `\"cvv\":\"…\"` and the like in texts", |rng| {
        let value = of(rng, "abcdefghijkmnp23456789!", 12);
        match rng.below(3) {
            0 => format!("user=jane&password={value}&x=1"),
            1 => format!("{{\"cvv\":\"{value}\"}}"),
            _ => format!("api_key: {value}"),
        }
    }),
];

/// How many of ten thousand are changed.
fn changed(class: &Class, seed: u64) -> u64 {
    let mut rng = Rng::new(seed);
    let mut guard = guard();
    (0..COUNT).filter(|_| guard.text(&(class.make)(&mut rng)).is_some()).count() as u64
}

/// What the rows of keys that only speak of a secret are called.
const SPOKEN_OF: &str =
    "attributes whose key speaks of a secret: `otp.verified`, `pin.attempts`, `music.track.1`";

/// How many of ten thousand attributes are changed, or gone, whose key only speaks of a secret.
fn changed_by_key(seed: u64) -> u64 {
    let (mut rng, mut guard) = (Rng::new(seed), guard());
    let key = |rng: &mut Rng| match rng.below(8) {
        0 => format!("music.track.{}", 1 + rng.below(9)),
        1 => one(rng, &["code.function.signature", "test.pass", "gpio.pin", "zodiac.sign", "session.id"]),
        _ => {
            let names =
                ["otp", "pin", "cvv", "token", "password", "session", "cookie", "auth", "secret", "api_key"];
            let about =
                ["verified", "attempts", "count", "expires", "type", "length", "enabled", "ttl", "status"];
            format!("{}{}{}", one(rng, &names), one(rng, &[".", "_"]), one(rng, &about))
        }
    };
    let changes = |_: &u64| guard.value(&key(&mut rng), "3").as_deref() != Some("3");
    (0..COUNT).filter(changes).count() as u64
}

fn percent(part: u64) -> String {
    let hundredths = part * 10_000 / COUNT;
    format!("{}.{:02} %", hundredths / 100, hundredths % 100)
}

fn share(part: u64, all: u64) -> String {
    let hundredths = part * 10_000 / all;
    format!("{}.{:02} %", hundredths / 100, hundredths % 100)
}

fn rates() -> String {
    let mut page = format!("{BEGIN}\n");
    page += "Ten thousand generated values of each kind, as the values of attributes whose keys say nothing, through\n";
    page += "`[\"all\"]`. Written by `UPDATE=1 cargo test -p tests --test corpus`; without `UPDATE`, that test compares.\n\n";
    page += "| true values | missed |\n|---|---|\n";
    for (index, class) in TRUE.iter().enumerate() {
        page += &format!("| {} | {} |\n", class.what, percent(COUNT - changed(class, 1_000 + index as u64)));
    }
    page += "\nThe same kinds, each in 48 prints (`name=value`, `\"name\": \"value\"`, `[name] => value`, `<name>value</name>`, …), in 14\n";
    page += "places, as it is and through 8 escapes (JSON up to four deep, Go's and Gson's JSON, URLs, HTML):\n\n";
    page += "| true values, printed | hidden | of |\n|---|---|---|\n";
    for (index, kind) in KINDS.iter().enumerate() {
        let (hidden, all, _) = printed_and_hidden(kind, 3_000 + index as u64);
        page += &format!("| {} | {} | {all} |\n", kind.what, share(hidden, all));
    }
    page += "\nWhat others hide, in eight encodings and as the keys of attributes:\n\n";
    page += "| published set | hidden | of | left out on purpose |\n|---|---|---|---|\n";
    for set in [&SENTRY, &DATADOG, &DETECT_SECRETS] {
        let (hidden, all, _) = published(set);
        page += &format!("| {} | {} | {all} | {} |\n", set.source, share(hidden, all), set.left_out);
    }
    let (hidden, all, _) = published_prefixes();
    page += &format!("| {PREFIXES_SOURCE} | {} | {all} | {PREFIXES_LEFT_OUT} |\n", share(hidden, all));
    page += "\n| look-alikes | changed all the same |\n|---|---|\n";
    for (index, class) in ALIKE.iter().enumerate() {
        page += &format!("| {} | {} |\n", class.what, percent(changed(class, 2_000 + index as u64)));
    }
    page += &format!("| {SPOKEN_OF} | {} |\n", percent(changed_by_key(4_000)));
    page += END;
    page
}

#[test]
fn the_rates_are_those_of_the_documentation() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/privacy.md");
    let page = fs::read_to_string(&path).expect("the documentation is there");
    let (begin, end) = (page.find(BEGIN).expect("marked"), page.find(END).expect("marked") + END.len());
    let rates = rates();
    if std::env::var_os("UPDATE").is_some() {
        return fs::write(&path, format!("{}{rates}{}", &page[..begin], &page[end..]))
            .expect("it can be written");
    }
    assert_eq!(&page[begin..end], rates, "UPDATE=1 writes what is true");
}

/// The least that is hidden, in hundredths of a per cent.
#[track_caller]
fn assert_hidden(what: &str, (hidden, all, missed): &(u64, u64, Vec<String>), least: u64) {
    let list = missed.iter().take(40).map(|text| format!("{text:?}")).collect::<Vec<_>>().join("\n  ");
    assert!(hidden * 10_000 >= all * least, "{what}: {} of {all} are hidden\n  {list}", share(*hidden, *all));
}

#[test]
fn every_kind_is_hidden_in_every_print_place_and_escape() {
    for (index, kind) in KINDS.iter().enumerate() {
        assert_hidden(kind.what, &printed_and_hidden(kind, 3_000 + index as u64), 9_900);
    }
}

#[test]
fn names_and_prefixes_that_others_hide_are_hidden() {
    for set in [&SENTRY, &DATADOG, &DETECT_SECRETS] {
        assert_hidden(set.source, &published(set), 9_500);
    }
    assert_hidden(PREFIXES_SOURCE, &published_prefixes(), 9_500);
}

/// Each at most once in a hundred; numbers of 12 and 16 digits aside, of which docs/privacy.md says why.
#[test]
fn look_alikes_stay() {
    for (index, class) in ALIKE.iter().enumerate() {
        let is_number = class.what.starts_with("numbers of 1") || class.what.starts_with("numbers as");
        let most = if is_number { 900 } else { 100 };
        let changed = changed(class, 2_000 + index as u64);
        assert!(changed <= most, "{}: {changed} of {COUNT}", class.what);
    }
    let changed = changed_by_key(4_000);
    assert!(changed <= 100, "{SPOKEN_OF}: {changed} of {COUNT}");
    let mut guard = guard();
    for key in ["card.us", "phone_us", "card.time"] {
        assert_ne!(guard.value(key, "4111111111111111").as_deref(), Some("4111111111111111"), "{key}");
    }
}

/// What is left of a report's text.
fn left_of(guard: &mut Guard, key: &str, text: &str) -> String {
    if key.is_empty() {
        return guard.text(text).unwrap_or_else(|| text.to_owned());
    }
    guard.value(key, text).unwrap_or_default()
}

#[test]
fn of_reported_texts_what_is_to_go_is_gone_and_the_rest_is_there() {
    let mut guard = guard();
    let mut wrong = Vec::new();
    for Report { key, text, gone, kept } in HIDDEN.iter().chain(ATTACKED) {
        let left = left_of(&mut guard, key, text);
        let shows = gone.iter().find(|part| left.contains(**part));
        let lacks = kept.iter().find(|part| !left.contains(**part));
        let again = left_of(&mut guard, key, &left);
        if shows.is_some() || lacks.is_some() || again != left {
            wrong.push(format!("{text:?} -> {left:?} -> {again:?}: {shows:?} shows, {lacks:?} is lost"));
        }
        // An escape hides nothing from the search: JSON, JSON in JSON, and so on.
        for (name, escape) in ESCAPES.iter().filter(|_| key.is_empty()) {
            let left = left_of(&mut guard, key, &escape(text));
            let shows = gone.iter().find(|part| left.contains(&escape(part)));
            if let Some(shows) = shows {
                wrong.push(format!("{text:?}, {name} -> {left:?}: {shows:?} shows"));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {}:\n  {}",
        wrong.len(),
        HIDDEN.len() + ATTACKED.len(),
        wrong.join("\n  ")
    );
}

#[test]
fn reported_texts_that_hold_nothing_stay() {
    let mut guard = guard();
    let mut wrong = Vec::new();
    for (key, text) in KEPT {
        let left = left_of(&mut guard, key, text);
        if left != *text {
            wrong.push(format!("{text:?} -> {left:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n  {}", wrong.len(), KEPT.len(), wrong.join("\n  "));
}

#[test]
fn chosen_values_are_told_apart() {
    let rules = Rules { redaction: Redaction::everything(None), limits: Limits::NONE, attributes: None };
    let mut guard = Guard::new(rules).expect("there is something to do");
    let hidden = [
        "4111111111111111",
        "paid with 5555 5555 5555 4444, thanks",
        "{\"pan\":\"378282246310005\"}",
        "card%3D4111111111111111",
        "%2B919876543210",
        "2341 2341 2346",
        "PAN ABCPE1234F",
        "9876543210@ybl",
        "mail jane.o'neil@example.co.in",
        "Authorization: Bearer abc123def456",
        "postgres://app:s3cret@db.example.com/pay",
        "https://api.example.com/pay?token=abc",
        "-----BEGIN EC PRIVATE KEY-----\nabc\n-----END EC PRIVATE KEY-----",
        "cookie: session=abc; theme=dark",
        "{\"password\": \"hunter2\"}",
    ];
    for text in hidden {
        let once = guard.text(text).unwrap_or_else(|| panic!("{text} is not hidden"));
        assert_eq!(guard.text(&once), None, "{text} -> {once}: once is enough");
    }
    let kept = [
        "GET /v1/payments/{id}",
        "DynamoDB.PutItem",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "Root=1-68a0c1d2-0123456789abcdef01234567;Parent=53995c3f42cd8ad8;Sampled=1",
        "arn:aws:iam::234123412346:role/pay",
        "python-requests/2.32.4",
        "Mozilla/5.0 (X11; Linux x86_64; rv:143.0) Gecko/20100101 Firefox/143.0",
        "at handler (/var/task/index.js:12:34)",
        "Task timed out after 3.00 seconds",
        "10.0.0.1:8443",
        "2026-11-22T10:00:00.123456789Z",
        "payments-authorize@1.4.2",
        "is this ok? yes",
        "a:b=c",
    ];
    for text in kept {
        assert_eq!(guard.text(text), None, "{text}");
    }
}

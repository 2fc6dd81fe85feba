//! How sure redaction is: ten thousand values of each kind, true ones and look-alikes, and the rates in docs/privacy.md.
//!
//! `UPDATE=1 cargo test -p tests --test corpus` writes them; without `UPDATE` the page is compared.

use std::fs;
use std::path::Path;

use guard::{Guard, Limits, Redaction, Rules};
use policy::Rng;

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

const ALIKE: &[Class] = &[
    class("numbers of 16 digits", |rng| digits(rng, 16)),
    class("numbers of 12 digits", |rng| digits(rng, 12)),
    class("numbers of 10 digits", |rng| digits(rng, 10)),
    class("order numbers such as `ORD-20261122-000123`", |rng| {
        format!("ORD-202611{:02}-{}", 1 + rng.below(30), digits(rng, 6))
    }),
    class("order numbers such as `2026/11/0000123456`", |rng| format!("2026/11/{}", digits(rng, 10))),
    class("seconds since 1970", |rng| (1_700_000_000 + rng.below(100_000_000)).to_string()),
    class("milliseconds since 1970", |rng| (1_700_000_000_000 + rng.below(100_000_000_000)).to_string()),
    class("microseconds since 1970", |rng| {
        (1_700_000_000_000_000 + rng.below(100_000_000_000_000)).to_string()
    }),
    class("nanoseconds since 1970", |rng| {
        (1_700_000_000_000_000_000 + rng.below(100_000_000_000_000_000)).to_string()
    }),
    class("dates and times", |rng| {
        let two = |rng: &mut Rng, max: u64| rng.below(max);
        format!(
            "2026-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}+05:30",
            1 + two(rng, 12),
            1 + two(rng, 28),
            two(rng, 24),
            two(rng, 60),
            two(rng, 60),
            rng.below(1_000)
        )
    }),
    class("trace ids", |rng| of(rng, HEX, 32)),
    class("span ids", |rng| of(rng, HEX, 16)),
    class("UUIDs", |rng| {
        let parts = [8, 4, 4, 4, 12].map(|length| of(rng, HEX, length));
        parts.join("-")
    }),
    class("ULIDs", |rng| format!("01{}", of(rng, "0123456789ABCDEFGHJKMNPQRSTVWXYZ", 24))),
    class("SHA-256 hashes", |rng| of(rng, HEX, 64)),
    class("versions", |rng| {
        format!("v{}.{}.{}-rc.{}", rng.below(20), rng.below(99), rng.below(99), rng.below(9))
    }),
    class("packages such as `react@18.2.0`", |rng| {
        format!("{}@{}.{}.{}", of(rng, WORDS, 6), rng.below(20), rng.below(9), rng.below(9))
    }),
    class("IPv4 addresses", |rng| [0; 4].map(|_| rng.below(256).to_string()).join(".")),
    class("IPv6 addresses", |rng| [0; 8].map(|_| of(rng, HEX, 4)).join(":")),
    class("prices", |rng| {
        format!("INR {},{},{}.{}", digits(rng, 2), digits(rng, 2), digits(rng, 3), digits(rng, 2))
    }),
    class("fractions with 16 places", |rng| format!("0.{}", digits(rng, 16))),
    class("ARNs", |rng| format!("arn:aws:lambda:ap-south-1:{}:function:pay", digits(rng, 12))),
    class("queue URLs", |rng| format!("https://sqs.ap-south-1.amazonaws.com/{}/pay", digits(rng, 12))),
    class("X-Ray headers", |rng| {
        format!("Root=1-{}-{};Parent={};Sampled=1", of(rng, HEX, 8), of(rng, HEX, 24), of(rng, HEX, 16))
    }),
    class("routes", |rng| format!("/v2/{}/{{id}}/{}", of(rng, WORDS, 6), of(rng, WORDS, 5))),
    class("statements with placeholders", |rng| {
        format!("SELECT {} FROM {} WHERE id = ?", of(rng, WORDS, 4), of(rng, WORDS, 6))
    }),
];

/// How many of ten thousand are changed.
fn changed(class: &Class, seed: u64) -> u64 {
    let mut rng = Rng::new(seed);
    let rules = Rules { redaction: Redaction::everything(None), limits: Limits::NONE, attributes: None };
    let mut guard = Guard::new(rules).expect("there is something to do");
    (0..COUNT).filter(|_| guard.text(&(class.make)(&mut rng)).is_some()).count() as u64
}

fn percent(part: u64) -> String {
    let hundredths = part * 10_000 / COUNT;
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
    page += "\n| look-alikes | changed all the same |\n|---|---|\n";
    for (index, class) in ALIKE.iter().enumerate() {
        page += &format!("| {} | {} |\n", class.what, percent(changed(class, 2_000 + index as u64)));
    }
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

/// The memory that this process takes, in KiB.
fn resident_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a line for it");
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number")
}

/// Spans of one request with one attribute each, encoded by hand: a million of them must not take a minute.
fn request(values: impl Iterator<Item = u64>) -> bytes::Bytes {
    let field = |number: u8, content: &[u8]| {
        let length = content.len();
        let mut out = vec![number << 3 | 2];
        if length < 0x80 {
            out.push(length as u8);
        } else {
            out.extend([length as u8 | 0x80, (length >> 7) as u8 | 0x80, (length >> 14) as u8]);
        }
        out.extend_from_slice(content);
        out
    };
    let spans: Vec<u8> = values
        .flat_map(|value| {
            let any = field(1, format!("customer-{value}").as_bytes());
            let pair = [field(1, b"customer.id"), field(2, &any)].concat();
            field(2, &field(9, &pair))
        })
        .collect();
    field(1, &field(2, &spans)).into()
}

#[test]
fn a_key_with_a_million_values_takes_no_more_memory_than_one_with_ten() {
    const OF_REQUEST: u64 = 1_000;
    let guard = || {
        let attributes = Some(guard::Attributes::default());
        let rules = Rules { redaction: Redaction::default(), limits: Limits::NONE, attributes };
        Guard::new(rules).expect("there is something to do")
    };
    let run = |guard: &mut Guard, value_of: fn(u64) -> u64| {
        for index in 0..1_000 {
            let values = (index * OF_REQUEST..(index + 1) * OF_REQUEST).map(value_of);
            guard.apply(policy::Signal::Traces, request(values)).expect("a good request");
        }
        resident_kib()
    };
    // The same work with ten values comes first, so that what the allocator keeps of it is the same.
    let (mut ten, mut million) = (guard(), guard());
    let after_ten = run(&mut ten, |value| value % 10);
    let after_million = run(&mut million, |value| value);
    assert_eq!(ten.take_identifiers().len(), 0);
    let found = million.take_identifiers();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].key, "customer.id");
    let more = after_million.saturating_sub(after_ten);
    println!("after ten values {after_ten} KiB, after a million {after_million} KiB");
    assert!(more < 512, "{more} KiB more; a million hashes alone would be 7,800 KiB");
}

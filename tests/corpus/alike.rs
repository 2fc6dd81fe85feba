//! What looks like a value that is to be hidden, and is none.

use policy::Rng;

use super::{Class, HEX, WORDS, class, digits, grouped, of, one};

/// Each kind, by how one is made.
pub(crate) const ALIKE: &[Class] = &[
    class("numbers of 16 digits", |rng| digits(rng, 16)),
    class("numbers as `dddd-dddd-dddd-dddd`", |rng| grouped(&digits(rng, 16), "-")),
    class("numbers of 12 digits", |rng| digits(rng, 12)),
    class("references of UPI, named: `UPI Ref No 412345678901`", |rng| {
        let number = digits(rng, 12);
        let name = one(
            rng,
            &["UPI Ref No ", "UPI/", "rrn=", "\"rrn\":\"", "RRN: ", "UTR ", "txnId: ", "transaction_id="],
        );
        format!("{name}{number}")
    }),
    class("AWS accounts, named: `account 123456789012`", |rng| {
        let number = digits(rng, 12);
        let name =
            one(rng, &["account ", "AccountId: ", "\"account\":\"", "owner=", "account_id=", "OwnerId\":\""]);
        format!("{name}{number}")
    }),
    class("ids of Shopify: 13 and 14 digits", |rng| {
        let length = 12 + rng.below(2) as usize;
        format!("{}{}", 4 + rng.below(6), digits(rng, length))
    }),
    class("how a secret is: `session: started`", |rng| {
        let name = one(rng, &["session", "token", "secret", "password", "auth", "otp", "cookie", "api_key"]);
        let state = one(
            rng,
            &[
                "started",
                "expired",
                "not found",
                "missing",
                "invalid",
                "is required",
                "must be set",
                "refreshed",
                "none",
                "valid",
            ],
        );
        let separator = one(rng, &[": ", "=", " = ", ":"]);
        format!("{name}{separator}{state}")
    }),
    class("repositories: `git@github.com:…`", |rng| {
        let host = one(rng, &["github.com", "gitlab.com", "bitbucket.org"]);
        format!("git@{host}:{}/{}.git", of(rng, WORDS, 6), of(rng, WORDS, 8))
    }),
    class("users of machines: `ec2-user@ip-….internal`", |rng| {
        let parts = [0; 4].map(|_| rng.below(256).to_string()).join("-");
        let domain = one(rng, &["eu-west-1.compute.internal", "ec2.internal", "ap-south-1.compute.internal"]);
        format!("ec2-user@ip-{parts}.{domain}")
    }),
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

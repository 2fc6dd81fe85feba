//! Our signatures are those of AWS's own crate, and of the vectors that come with it.

use std::time::{Duration, SystemTime};

use extension::aws::{Credentials, Request, Scope, sign};
use policy::UnixNanos;
use tests::aws::{Post, Role, authorization};

/// A source of numbers that is the same in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).expect("it is below")
    }

    /// Up to `most` of these letters.
    fn text(&mut self, letters: &str, most: usize) -> String {
        let letters: Vec<char> = letters.chars().collect();
        (0..self.below(most + 1)).map(|_| letters[self.below(letters.len())]).collect()
    }
}

const KEY: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
/// 2015-08-30 12:36:00, the time of the vectors.
const AT: UnixNanos = UnixNanos(1_440_938_160_000_000_000);

#[test]
fn ten_thousand_requests_are_signed_as_by_awss_own_crate() {
    let words = "abcdefghijklmnopqrstuvwxyz0123456789-";
    let mut random = Random(1);
    for round in 0..10_000 {
        let (service, region) =
            (format!("s{}", random.text(words, 12)), format!("r{}", random.text(words, 20)));
        let token = (random.below(3) > 0).then(|| format!("t{}", random.text("AZaz09+/=", 900)));
        let role = Role {
            key_id: format!("AKIA{}", random.text("ABCXYZ234567", 16)),
            secret_key: random.text("AZaz09+/", 40),
            token,
        };
        let host = format!(
            "{}x.example.com{}",
            random.text("abc.", 3).replace('.', ""),
            ["", ":4318"][random.below(2)]
        );
        let parts: Vec<String> =
            (0..random.below(4)).map(|_| format!("v{}", random.text("abcz09-_~", 9))).collect();
        let path = format!("/{}", parts.join("/"));
        let value = format!("application/{}", random.text("abc ;=", 30)).trim().to_owned();
        let body: Vec<u8> = (0..random.below(200)).map(|_| random.next().to_le_bytes()[0]).collect();
        let seconds = 1_000_000_000 + random.next() % 3_000_000_000;
        let url = format!("https://{host}{path}");
        let headers = [("content-type", &*value)];
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let expected =
            authorization(&Post { url: &url, headers: &headers, body: &body }, &role, &service, &region, at);
        let request = Request { host: &host, path: &path, query: "", headers: &headers, body: &body };
        let credentials = Credentials::new(&role.key_id, &role.secret_key, role.token.as_deref());
        let now = UnixNanos(seconds * 1_000_000_000 + random.next() % 1_000_000_000);
        let signed = sign(&request, &Scope { service, region }, &credentials, now);
        assert_eq!(signed.authorization, expected, "round {round}: {url} {value:?}");
        assert_eq!(signed.token, role.token);
    }
}

/// A session's token, in the vectors that have one.
const TOKEN: &str = "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA==";
const HASH: &str = "9095672bbd1f56dfc5b65f3e153adc8731a4a654192329106275f4c7b24d0b6e";
const FORM: &str = "application/x-www-form-urlencoded";
const UTF8: &str = "application/x-www-form-urlencoded; charset=utf-8";

/// The query, further headers, whether there is a token, the body, and the signature.
type Vector<'a> = (&'a str, &'a [(&'a str, &'a str)], bool, &'a str, &'a str);

/// Of AWS's test suite the cases whose requests are POSTs. Their credentials are published with them.
///
/// # Source
/// `aws-signing-test-suite/v4` in the crate `aws-sigv4` 1.6.4.
#[test]
fn awss_own_vectors_hold() {
    let length = ("content-length", "13");
    let hash = ("x-amz-content-sha256", HASH);
    let vectors: [Vector<'_>; 7] = [
        ("", &[], false, "", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
        (
            "",
            &[("my-header1", "value1")],
            false,
            "",
            "c5410059b04c1ee005303aed430f6e6645f61f4dc9e1461ec8f8916fdf18852c",
        ),
        (
            "",
            &[("my-header1", "VALUE1")],
            false,
            "",
            "cdbc9802e29d2942e5e10b5bccfdd67c5f22c7c4e8ae67b53629efa58b974b7d",
        ),
        ("", &[], true, "", "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead"),
        ("Param1=value1", &[], false, "", "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11"),
        (
            "",
            &[length, hash, ("content-type", FORM)],
            false,
            "Param1=value1",
            "d3875051da38690788ef43de4db0d8f280229d82040bfac253562e56c3f20e0b",
        ),
        (
            "",
            &[length, hash, ("content-type", UTF8)],
            false,
            "Param1=value1",
            "328d1b9eaadca9f5818ef05e8392801e091653bafec24fcab71e7344e7f51422",
        ),
    ];
    for (query, headers, has_token, body, signature) in vectors {
        let request =
            Request { host: "example.amazonaws.com", path: "/", query, headers, body: body.as_bytes() };
        let scope = Scope { service: "service".into(), region: "us-east-1".into() };
        let credentials = Credentials::new("AKIDEXAMPLE", KEY, has_token.then_some(TOKEN));
        let signed = sign(&request, &scope, &credentials, AT);
        let found = signed.authorization.rsplit('=').next();
        assert_eq!(found, Some(signature), "{query} {headers:?} {body}");
        assert_eq!(signed.date, "20150830T123600Z");
    }
}

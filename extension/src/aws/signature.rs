//! Signature Version 4 of a POST: pure arithmetic on what is sent.
//!
//! Paths here are plain ASCII and are signed as they are: settings refuse a URL that would need more.
//!
//! # Source
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html>. `tests/signing.rs` holds this file to `aws-sigv4`, and
//! to the vectors that come with it.

use std::fmt::Write;

use policy::UnixNanos;
use ring::{digest, hmac};

use super::Credentials;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const DATE: &str = "x-amz-date";
const TOKEN: &str = "x-amz-security-token";
/// `20150830`, of `20150830T123600Z`.
const DAY: usize = 8;

/// What a signature is good for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// The service's name in signatures: `xray`, `logs`.
    pub service: String,
    /// The region: `ap-south-1`.
    pub region: String,
}

/// What of a request is signed.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// As the header `host` has it.
    pub host: &'a str,
    /// From its first slash on.
    pub path: &'a str,
    /// Without its question mark.
    pub query: &'a str,
    /// Further headers, in lower case: `content-type`. None that a proxy may change.
    pub headers: &'a [(&'a str, &'a str)],
    /// As it is sent: packed.
    pub body: &'a [u8],
}

/// The headers that make a request a signed one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    /// `x-amz-date`.
    pub date: String,
    /// `authorization`: no secret, but good for five minutes for whoever reads it.
    pub authorization: String,
    /// `x-amz-security-token`, where the credentials have one.
    pub token: Option<String>,
}

impl Signature {
    /// Each with its name.
    pub fn headers(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let token = self.token.as_deref().map(|token| (TOKEN, token));
        [(DATE, &*self.date), ("authorization", &*self.authorization)].into_iter().chain(token)
    }
}

/// Signs `request`, which is sent at `now`, by `credentials` for `scope`.
pub fn sign(request: &Request<'_>, scope: &Scope, credentials: &Credentials, now: UnixNanos) -> Signature {
    let date = wire::time::basic_format(now);
    let token = credentials.token.as_deref();
    let mut headers: Vec<(&str, String)> =
        request.headers.iter().map(|(name, value)| (*name, one_line(value))).collect();
    headers.extend([("host", one_line(request.host)), (DATE, date.clone())]);
    headers.extend(token.map(|token| (TOKEN, one_line(token))));
    headers.sort();
    let names = headers.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(";");
    let lines: String = headers.iter().fold(String::new(), |mut lines, (name, value)| {
        let _ = writeln!(lines, "{name}:{value}");
        lines
    });
    let body = sha256(request.body);
    let canonical = format!("POST\n{}\n{}\n{lines}\n{names}\n{body}", request.path, request.query);
    let within = format!("{}/{}/{}/aws4_request", &date[..DAY], scope.region, scope.service);
    let to_sign = format!("{ALGORITHM}\n{date}\n{within}\n{}", sha256(canonical.as_bytes()));
    let first = format!("AWS4{}", credentials.secret_key());
    let key =
        within.split('/').fold(first.into_bytes(), |key, part| mac(&key, part.as_bytes()).as_ref().to_vec());
    let signature = hex(mac(&key, to_sign.as_bytes()).as_ref());
    let authorization = format!(
        "{ALGORITHM} Credential={}/{within}, SignedHeaders={names}, Signature={signature}",
        credentials.key_id
    );
    Signature { date, authorization, token: token.map(str::to_owned) }
}

/// A header's value without what proxies may change: blanks around it, and more than one in it.
fn one_line(value: &str) -> String {
    value.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

fn mac(key: &[u8], text: &[u8]) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text)
}

fn sha256(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |half: u8| char::from(DIGITS[usize::from(half)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

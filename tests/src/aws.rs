//! What AWS's endpoints look at before they take a request: its signature, by AWS's own crate, its time, and its size.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;

use crate::collector::{Answer, Reply, Request};

/// How far the time of a signature may be from AWS's.
const SLACK: Duration = Duration::from_secs(5 * 60);

/// A role that may send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    /// The id of its access key.
    pub key_id: String,
    /// The key.
    pub secret_key: String,
    /// Its session's token.
    pub token: Option<String>,
}

impl Role {
    /// One whose key and token are made of `name`.
    pub fn named(name: &str) -> Self {
        Self {
            key_id: format!("AKIA{name}"),
            secret_key: format!("secret/{name}+key"),
            token: Some(format!("token//{name}==")),
        }
    }

    fn credentials(&self) -> Credentials {
        Credentials::new(&self.key_id, &self.secret_key, self.token.clone(), None, "tests")
    }
}

/// A POST to be signed, as AWS's crate sees it.
#[derive(Clone, Copy, Debug)]
pub struct Post<'a> {
    /// The whole URL.
    pub url: &'a str,
    /// Headers besides those that signing adds.
    pub headers: &'a [(&'a str, &'a str)],
    /// The body, as sent.
    pub body: &'a [u8],
}

/// The header `authorization` that AWS's crate makes for `post`, signed by `role` for this service and region at `at`.
pub fn authorization(post: &Post<'_>, role: &Role, service: &str, region: &str, at: SystemTime) -> String {
    let identity = role.credentials().into();
    let params = SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name(service)
        .time(at)
        .settings(SigningSettings::default())
        .build()
        .expect("all is there")
        .into();
    let headers = post.headers.iter().copied();
    let request = SignableRequest::new("POST", post.url, headers, SignableBody::Bytes(post.body));
    let (instructions, _) = sign(request.expect("a request"), &params).expect("signed").into_parts();
    let mut headers = instructions.headers();
    let found = headers.find(|(name, _)| name.eq_ignore_ascii_case("authorization"));
    found.expect("it is signed").1.to_owned()
}

/// An endpoint of one service in one region, whose clock is `ahead` of this machine's by so many seconds.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// `xray`, `monitoring`, `logs`.
    pub service: &'static str,
    /// Its region.
    pub region: &'static str,
    /// The only one that may send.
    pub role: Role,
    /// How far its clock is ahead, in seconds.
    pub ahead: i64,
    /// What it answers to a request that it takes.
    pub answers: &'static str,
}

impl Endpoint {
    /// The answer to `request`: 200, or what AWS says against it, with the header `Date` that it sends.
    pub fn answer(&self, request: &Request) -> Answer {
        let now = if self.ahead < 0 {
            request.arrived_wall - Duration::from_secs(self.ahead.unsigned_abs())
        } else {
            request.arrived_wall + Duration::from_secs(self.ahead.unsigned_abs())
        };
        let (status, body) = match self.verdict(request, now) {
            Ok(()) => (200, self.answers),
            Err(body) => (403, body),
        };
        Answer::Reply(Reply::new(status).header("Date", http_date(now)).body(body.as_bytes()))
    }

    fn verdict(&self, request: &Request, now: SystemTime) -> Result<(), &'static str> {
        let header = |name| request.headers.get(name).unwrap_or_default();
        if header("x-amz-security-token") != self.role.token.clone().unwrap_or_default() {
            return Err("The security token included in the request is invalid.");
        }
        let at = time_of(header("x-amz-date")).ok_or("Date in x-amz-date is missing")?;
        let (early, late) = (now.duration_since(at), at.duration_since(now));
        if early.unwrap_or_default() > SLACK || late.unwrap_or_default() > SLACK {
            return Err("Signature expired: it is now earlier than five minutes ago");
        }
        let url = format!("http://{}{}", header("host"), request.path);
        let signed = header("authorization").split("SignedHeaders=").nth(1).unwrap_or_default();
        let names = signed.split(',').next().unwrap_or_default().split(';');
        let own = ["host", "x-amz-date", "x-amz-security-token"];
        let headers: Vec<_> =
            names.filter(|name| !own.contains(name)).map(|name| (name, header(name))).collect();
        let post = Post { url: &url, headers: &headers, body: &request.wire };
        let expected = authorization(&post, &self.role, self.service, self.region, at);
        if header("authorization") != expected {
            return Err("The request signature we calculated does not match: SignatureDoesNotMatch");
        }
        match header("content-encoding") {
            "" | "gzip" => Ok(()),
            _ => Err("Unsupported content encoding"),
        }
    }
}

/// The time of `20261122T075829Z`.
fn time_of(text: &str) -> Option<SystemTime> {
    let part = |range: std::ops::Range<usize>| text.get(range);
    let (year, month, day) = (part(0..4)?, part(4..6)?, part(6..8)?);
    let (hour, minute, second) = (part(9..11)?, part(11..13)?, part(13..15)?);
    let at = wire::time::rfc3339(&format!("{year}-{month}-{day}T{hour}:{minute}:{second}Z"))?;
    Some(SystemTime::UNIX_EPOCH + Duration::from_nanos(at.0))
}

/// `at` as the header `Date` has it.
pub fn http_date(at: SystemTime) -> String {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let nanos = at.duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_nanos();
    let text = wire::time::basic_format(policy::UnixNanos(u64::try_from(nanos).expect("before 2554")));
    let month: usize = text[4..6].parse().expect("a number");
    let (day, year, clock) = (&text[6..8], &text[..4], &text[9..15]);
    // The day of the week is nobody's business.
    format!("Mon, {day} {} {year} {}:{}:{} GMT", MONTHS[month - 1], &clock[..2], &clock[2..4], &clock[4..])
}

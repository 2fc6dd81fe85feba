//! The collector: one OTLP request out, and what its answer means for the messages in it.

use std::{env, error::Error, io::Write as _, time::Duration};

use flate2::{Compression, write::GzEncoder};
use opentelemetry::{
    KeyValue,
    trace::{SpanKind, TraceContextExt as _},
};
use reqwest::{
    Client, StatusCode, Url,
    header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue},
};
use telemetry::Telemetry;

use crate::parcel::{Parcel, Signal};

/// One request may take this long, unless `COLLECTOR_TIMEOUT_MS` says otherwise: a collector that hangs costs each signal as
/// much.
const TIMEOUT: Duration = Duration::from_secs(10);

type BoxError = Box<dyn Error + Send + Sync>;

/// The collector at `COLLECTOR_URL`.
#[derive(Debug)]
pub(crate) struct Collector {
    http: Client,
    base: Url,
    timeout: Duration,
}

/// What an answer means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It has arrived. What a partial success refuses is refused for good, and counted.
    Delivered,
    /// The collector does not take it now: nothing is wrong with it.
    Later,
    /// Something in it is wrong, or it is too large.
    Refused,
}

impl Collector {
    pub(crate) fn from_env() -> Result<Self, BoxError> {
        let base = env::var("COLLECTOR_URL").map_err(|_| "COLLECTOR_URL must name the collector")?;
        let timeout = match env::var("COLLECTOR_TIMEOUT_MS") {
            Ok(ms) => Duration::from_millis(ms.parse().map_err(|_| "COLLECTOR_TIMEOUT_MS must be a number")?),
            Err(_) => TIMEOUT,
        };
        let headers = headers(&env::var("COLLECTOR_HEADERS").unwrap_or_default())?;
        let http = Client::builder().default_headers(headers).redirect(reqwest::redirect::Policy::none());
        // A base without a slash at its end would lose its last part.
        let base = Url::parse(&format!("{}/", base.trim_end_matches('/')))?;
        Ok(Self { http: http.build()?, base, timeout })
    }

    /// Sends `parcels`, all of one signal, as one request.
    pub(crate) async fn post(
        &self,
        telemetry: &Telemetry,
        signal: Signal,
        parcels: &[Parcel<'_>],
        left: Duration,
    ) -> Verdict {
        let cx =
            telemetry.span(format!("POST /{}", signal.path()), SpanKind::Client, self.attributes(signal));
        let count = i64::try_from(parcels.len()).unwrap_or(i64::MAX);
        cx.span().set_attribute(KeyValue::new("forwarder.messages", count));
        let verdict = match self.ask(signal, pack(parcels), left).await {
            Ok(answer) => {
                let code = answer.status.as_u16();
                cx.span().set_attribute(KeyValue::new("http.response.status_code", i64::from(code)));
                if answer.rejected > 0 {
                    let rejected = i64::try_from(answer.rejected).unwrap_or(i64::MAX);
                    cx.span().set_attribute(KeyValue::new("forwarder.items.rejected", rejected));
                    eprintln!("the collector rejects {rejected} items of {}", signal.path());
                }
                let verdict = answer.verdict();
                if verdict != Verdict::Delivered {
                    telemetry::fail(&cx.span(), code.to_string(), "");
                }
                verdict
            }
            Err(error) => {
                telemetry::fail(&cx.span(), error_type(&error), "");
                Verdict::Later
            }
        };
        cx.span().end();
        verdict
    }

    async fn ask(&self, signal: Signal, body: Vec<u8>, left: Duration) -> reqwest::Result<Answer> {
        let request = self.http.post(self.url(signal)).timeout(self.timeout.min(left)).body(body);
        let request = request.header(CONTENT_TYPE, "application/x-protobuf").header(CONTENT_ENCODING, "gzip");
        let response = request.send().await?;
        let status = response.status();
        let content_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let is_web_page = content_type.is_some_and(|value| value.trim_start().starts_with("text/html"));
        // The status was said: a body that breaks off takes nothing back. It is not logged, for it may quote data.
        let body = response.bytes().await.unwrap_or_default();
        Ok(Answer { status, is_web_page, rejected: rejected(&body) })
    }

    fn url(&self, signal: Signal) -> Url {
        self.base.join(signal.path()).unwrap_or_else(|_| self.base.clone())
    }

    fn attributes(&self, signal: Signal) -> Vec<KeyValue> {
        let url = self.url(signal);
        let mut attributes =
            vec![KeyValue::new("http.request.method", "POST"), KeyValue::new("url.full", url.to_string())];
        attributes.extend(url.host_str().map(|host| KeyValue::new("server.address", host.to_owned())));
        let port = url.port_or_known_default().map(i64::from);
        attributes.extend(port.map(|port| KeyValue::new("server.port", port)));
        attributes
    }
}

/// What the collector has said.
#[derive(Clone, Copy, Debug)]
struct Answer {
    status: StatusCode,
    /// It is from a login page or a user interface, and none of them took the data.
    is_web_page: bool,
    /// Items that a partial success refuses.
    rejected: u64,
}

impl Answer {
    /// What it says of the messages in a request. Only what is surely their own fault makes them suspects: a wrong key or path is
    /// mended elsewhere, and they wait for that.
    fn verdict(self) -> Verdict {
        match self.status.as_u16() {
            _ if self.is_web_page => Verdict::Later,
            200..=299 => Verdict::Delivered,
            400 | 413 | 415 | 422 => Verdict::Refused,
            _ => Verdict::Later,
        }
    }
}

/// `partial_success.rejected_spans`, and the same field of metrics and logs: the first of the first. Anything else rejects nothing.
fn rejected(answer: &[u8]) -> u64 {
    let Some([0x0A, _, 0x08, digits @ ..]) = answer.get(..answer.len().min(16)) else { return 0 };
    let mut number = 0;
    for (place, byte) in digits.iter().enumerate().take(9) {
        number |= u64::from(byte & 0x7F) << (7 * place);
        if byte & 0x80 == 0 {
            return number;
        }
    }
    0
}

/// One request of all, packed. Not their packed forms one behind the other: not every server reads the second.
fn pack(parcels: &[Parcel<'_>]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    for parcel in parcels {
        packed.write_all(&parcel.otlp).expect("memory takes it");
    }
    packed.finish().expect("memory takes it")
}

/// `name=value,name=value` with values percent-encoded, as `OTEL_EXPORTER_OTLP_HEADERS` has it.
fn headers(text: &str) -> Result<HeaderMap, BoxError> {
    let mut headers = HeaderMap::new();
    for member in text.split(',').map(str::trim).filter(|member| !member.is_empty()) {
        let (name, value) =
            member.split_once('=').ok_or("COLLECTOR_HEADERS must be name=value,name=value")?;
        // Not with the reason: that would quote what may be a secret.
        let bad = |_| "COLLECTOR_HEADERS has a member that is no header";
        let mut value = HeaderValue::from_bytes(&decoded(value.trim())).map_err(|_| bad(()))?;
        value.set_sensitive(true);
        headers.insert(HeaderName::from_bytes(name.trim().as_bytes()).map_err(|_| bad(()))?, value);
    }
    Ok(headers)
}

/// With each `%` and two digits as the byte that they are; any other `%` is itself.
fn decoded(value: &str) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::new(), value.as_bytes());
    while let Some((byte, after)) = rest.split_first() {
        let digits = after.first_chunk::<2>().filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        let digits = digits.and_then(|digits| str::from_utf8(digits).ok());
        let encoded = digits.filter(|_| *byte == b'%').and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(encoded.unwrap_or(*byte));
        rest = if encoded.is_some() { &after[2..] } else { after };
    }
    bytes
}

fn error_type(error: &reqwest::Error) -> String {
    match error {
        _ if error.is_timeout() => "timeout".into(),
        _ if error.is_connect() => "connect".into(),
        _ => "_OTHER".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_says_whose_fault_it_is() {
        for (status, expected) in [
            (200, Verdict::Delivered),
            (202, Verdict::Delivered),
            (400, Verdict::Refused),
            (413, Verdict::Refused),
            (415, Verdict::Refused),
            (301, Verdict::Later),
            (401, Verdict::Later),
            (403, Verdict::Later),
            (404, Verdict::Later),
            (408, Verdict::Later),
            (429, Verdict::Later),
            (500, Verdict::Later),
            (503, Verdict::Later),
        ] {
            let status = StatusCode::from_u16(status).expect("a status");
            let answer = Answer { status, is_web_page: false, rejected: 0 };
            assert_eq!(answer.verdict(), expected, "{status}");
            assert_eq!(Answer { is_web_page: true, ..answer }.verdict(), Verdict::Later, "{status}");
        }
    }

    #[test]
    fn a_partial_success_says_how_many_were_rejected() {
        for (answer, expected) in [
            (&b""[..], 0),
            (b"\x0A\x02\x08\x03", 3),
            (b"\x0A\x03\x08\xAC\x02", 300),
            (b"\x0A\x0C\x08\x01\x12\x07too old", 1),
            (b"\x0A\x09\x12\x07too old", 0),
            (b"\x0A\x02\x08\xFF", 0),
            (b"{\"partialSuccess\":{}}", 0),
        ] {
            assert_eq!(rejected(answer), expected, "{answer:?}");
        }
    }

    #[test]
    fn headers_are_read_and_never_shown() {
        let found = headers(" authorization = Bearer%20s3cret=,x-tenant=a%,x-b=%2C ").expect("headers");
        assert_eq!(found["authorization"].to_str().ok(), Some("Bearer s3cret="));
        assert_eq!(
            (&found["x-tenant"], &found["x-b"]),
            (&"a%".parse().expect("one"), &",".parse().expect("one"))
        );
        assert!(!format!("{found:?}").contains("s3cret"));
        assert!(headers("").expect("none").is_empty());
        for text in ["a", "a b=c", "a=\u{1}s3cret"] {
            let error = headers(text).expect_err(text).to_string();
            assert!(!error.contains("s3cret"), "{error}");
        }
    }
}

//! What a backend's answer means: status, `Retry-After` and body into an outcome.

use policy::{Outcome, UnixNanos};
use std::time::Duration;

use crate::proto::{WireError, fields};
use crate::time::until_http_date;

/// How a backend has answered over HTTP.
#[derive(Clone, Copy, Debug, Default)]
pub struct Answer<'a> {
    /// The status.
    pub status: u16,
    /// The header `Retry-After`.
    pub retry_after: Option<&'a str>,
    /// The header `Content-Type`.
    pub content_type: Option<&'a str>,
    /// The body, or its beginning.
    pub body: &'a [u8],
}

impl Answer<'_> {
    /// The outcome of the export that was answered so.
    ///
    /// Shape: 2xx is delivered, less what a partial success refuses; 413 is too large; 401, 403 and a proxy's 407 are
    /// refused; 421, 425, 429, 502, 503, 504 and what Cloudflare says of a server that it does not reach (520 to 527, 530) are
    /// worth another try, and so is each [`Denial`]; everything else, redirects included, is final. A body that cannot be
    /// read does not change what the status said.
    ///
    /// 408 is not the answer to a request: a server or a balancer says it to a connection on which none came in time,
    /// and closes it. A request that crossed it on its way was lost with the connection. 421 and 425 are not said by who
    /// would have taken the request, either: it may come again, on another connection.
    ///
    /// # Source
    /// <https://opentelemetry.io/docs/specs/otlp/#otlphttp-response>; RFC 9110 §15.5.9 for 408, §15.5.20 for 421, RFC 8470 §5.2
    /// for 425; <https://developers.cloudflare.com/support/troubleshooting/http-status-codes/cloudflare-5xx-errors/>.
    pub fn outcome(&self, now: UnixNanos) -> Outcome {
        if self.denial().is_some() {
            return Outcome::Retry { after: None };
        }
        match self.status {
            200..=299 => Outcome::Delivered { rejected: self.rejected_items() },
            status @ (401 | 403 | 407) => Outcome::Refused { status },
            408 => Outcome::Lost,
            413 => Outcome::TooLarge,
            421 | 425 | 429 | 502..=504 | 520..=527 | 530 => {
                Outcome::Retry { after: self.retry_after.and_then(|text| pause(text, now)) }
            }
            status => Outcome::Rejected { status },
        }
    }

    /// Who has answered in the backend's place, or what the body says against the status.
    pub fn denial(&self) -> Option<Denial> {
        match self.status {
            200..=299 if self.is_web_page() => Some(Denial::WebPage),
            200..=299 => is_error_in_json(self.body).then_some(Denial::Error),
            400 => is_from_tls_port(self.body).then_some(Denial::TlsPort),
            // What a network says that wants a login first.
            511 => Some(Denial::WebPage),
            _ => None,
        }
    }

    /// Whether a person with a browser was meant, or markup that is no answer of OTLP: neither its protobuf nor its JSON can
    /// begin with `<`, whatever the answer is called. Who says `protobuf` has a receiver of OTLP, and is believed.
    fn is_web_page(&self) -> bool {
        let media_type = self.content_type.map(|value| value.split(';').next().unwrap_or_default().trim());
        let media_type = media_type.unwrap_or_default().to_ascii_lowercase();
        let is_markup = text_of(self.body).first() == Some(&b'<');
        media_type == "text/html" || is_markup && !media_type.ends_with("protobuf")
    }

    /// The items that a partial success refuses, in protobuf or in JSON: some backends answer in JSON whatever they
    /// are asked in, some do not say which, and some servers say `text/plain` of whatever they are not told of. No answer in
    /// protobuf begins with a brace, so that the body tells.
    fn rejected_items(&self) -> u32 {
        match object_of(self.body) {
            Some(answer) => rejected_in_json(&answer),
            None => rejected_items(self.body).unwrap_or(0),
        }
    }
}

/// An answer that has another meaning than its status: nobody has taken the data. It is kept, as where a backend cannot be
/// reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// A web page, or other markup, as a success: a login page, a captive portal or a user interface.
    WebPage,
    /// A success whose JSON has an error in it.
    Error,
    /// A port that expects TLS, and was sent plain HTTP.
    TlsPort,
}

/// Text without what may stand before it: white space, and the mark that says how it is encoded.
fn text_of(body: &[u8]) -> &[u8] {
    let body = body.trim_ascii_start();
    body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).trim_ascii_start()
}

/// A body that is an object in JSON.
fn object_of(body: &[u8]) -> Option<serde_json::Value> {
    let text = text_of(body);
    if text.first() == Some(&b'{') { serde_json::from_slice(text).ok() } else { None }
}

/// Whether an answer in JSON has an error in it, as gateways and functions answer with a status of 200. OTLP's own
/// has nothing but a partial success.
fn is_error_in_json(body: &[u8]) -> bool {
    let Some(answer) = object_of(body) else { return false };
    let says = |value: &serde_json::Value| match value {
        serde_json::Value::Null | serde_json::Value::Bool(false) => false,
        serde_json::Value::Number(number) => number.as_f64() != Some(0.0),
        serde_json::Value::String(text) => !text.is_empty(),
        serde_json::Value::Array(items) => !items.is_empty(),
        serde_json::Value::Object(fields) => !fields.is_empty(),
        serde_json::Value::Bool(true) => true,
    };
    ["error", "errors", "errorMessage"].iter().any(|name| answer.get(name).is_some_and(says))
}

/// Whether the words are those of a server that was sent plain HTTP where it expects TLS: Go's, nginx's, Apache's and Tomcat's.
fn is_from_tls_port(body: &[u8]) -> bool {
    let text = String::from_utf8_lossy(body).to_ascii_lowercase();
    let words = [
        "http request to an https server",
        "plain http request was sent to https port",
        "speaking plain http to an ssl-enabled",
        "combination of host and port requires tls",
    ];
    words.iter().any(|words| text.contains(words))
}

/// `Retry-After` in either form; absurd numbers saturate. Decimals are none of it, and some limiters write them: the whole
/// second behind them is meant.
fn pause(text: &str, now: UnixNanos) -> Option<Duration> {
    let text = text.trim();
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number(whole) && is_number(decimals) {
        let seconds: u64 = whole.parse().unwrap_or(u64::MAX);
        let has_more = decimals.bytes().any(|byte| byte != b'0');
        return Some(Duration::from_secs(seconds.saturating_add(u64::from(has_more))));
    }
    until_http_date(text, now)
}

/// `partial_success.rejected_spans`, and the same field of metrics and logs.
pub(crate) fn rejected_items(body: &[u8]) -> Result<u32, WireError> {
    let (mut rejected, mut response) = (0, fields(body));
    while let Some(partial) = response.next()? {
        if partial.number == 1 {
            let mut walk = fields(partial.value.bytes());
            while let Some(field) = walk.next()? {
                if field.number == 1 {
                    rejected = u32::try_from(field.value.varint()).unwrap_or(0);
                }
            }
        }
    }
    Ok(rejected)
}

/// The same in JSON, where a number of 64 bits is a string, and some write it as a number.
fn rejected_in_json(answer: &serde_json::Value) -> u32 {
    let either = |within: &serde_json::Value, names: &[&str]| {
        names.iter().find_map(|name| within.get(name)).cloned().unwrap_or_default()
    };
    let partial = either(answer, &["partialSuccess", "partial_success"]);
    let names = [
        "rejectedSpans",
        "rejectedDataPoints",
        "rejectedLogRecords",
        "rejected_spans",
        "rejected_data_points",
        "rejected_log_records",
    ];
    let rejected = either(&partial, &names);
    let number = rejected.as_f64().or_else(|| rejected.as_str()?.parse().ok());
    // Beyond its ends a number becomes the end; less than nothing is nothing.
    number.map_or(0, |number| number as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::otlp;

    #[test]
    fn answers_mean_what_the_specification_says() {
        let after = |seconds| Outcome::Retry { after: Some(Duration::from_secs(seconds)) };
        let rows = [
            (200, None, Outcome::Delivered { rejected: 0 }),
            (202, None, Outcome::Delivered { rejected: 0 }),
            (301, None, Outcome::Rejected { status: 301 }),
            (400, None, Outcome::Rejected { status: 400 }),
            (401, None, Outcome::Refused { status: 401 }),
            (403, None, Outcome::Refused { status: 403 }),
            (407, None, Outcome::Refused { status: 407 }),
            (421, None, Outcome::Retry { after: None }),
            (425, Some("1"), after(1)),
            (521, Some("2"), after(2)),
            (527, None, Outcome::Retry { after: None }),
            (528, None, Outcome::Rejected { status: 528 }),
            (530, None, Outcome::Retry { after: None }),
            (511, None, Outcome::Retry { after: None }),
            (408, None, Outcome::Lost),
            (413, None, Outcome::TooLarge),
            (429, Some("7"), after(7)),
            (500, None, Outcome::Rejected { status: 500 }),
            (502, None, Outcome::Retry { after: None }),
            (503, Some(" 3 "), after(3)),
            (503, Some("99999999999999999999"), after(u64::MAX)),
            (503, Some("-3"), Outcome::Retry { after: None }),
            (429, Some("1.5"), after(2)),
            (429, Some("1.0"), after(1)),
            (429, Some("1."), Outcome::Retry { after: None }),
            (429, Some(".5"), Outcome::Retry { after: None }),
            (429, Some("1.x"), Outcome::Retry { after: None }),
            (429, Some(""), Outcome::Retry { after: None }),
            (503, Some("Thu, 01 Jan 1970 00:00:09 GMT"), after(9)),
            (504, Some("soon"), Outcome::Retry { after: None }),
        ];
        for (status, retry_after, expected) in rows {
            let answer = Answer { status, retry_after, ..Answer::default() };
            assert_eq!(answer.outcome(UnixNanos(0)), expected, "{status} {retry_after:?}");
        }
    }

    #[test]
    fn a_partial_success_says_how_many_were_refused_in_every_content_type() {
        let protobuf = otlp::success(3, "too old");
        let rows: [(Option<&str>, &[u8], Outcome); 25] = [
            (Some("application/x-protobuf"), &protobuf, Outcome::Delivered { rejected: 3 }),
            (None, &protobuf, Outcome::Delivered { rejected: 3 }),
            (Some(""), &protobuf, Outcome::Delivered { rejected: 3 }),
            (Some("application/octet-stream"), &protobuf, Outcome::Delivered { rejected: 3 }),
            (
                Some("application/json; charset=utf-8"),
                br#"{"partialSuccess":{"rejectedSpans":"3"}}"#,
                Outcome::Delivered { rejected: 3 },
            ),
            (
                Some("Application/JSON"),
                br#"{"partialSuccess":{"rejectedLogRecords":3,"errorMessage":"x"}}"#,
                Outcome::Delivered { rejected: 3 },
            ),
            (None, br#" {"partial_success":{"rejected_data_points":3}}"#, Outcome::Delivered { rejected: 3 }),
            (Some("application/json"), br#"{"partialSuccess":{}}"#, Outcome::Delivered { rejected: 0 }),
            (
                Some("application/json"),
                br#"{"partialSuccess":{"rejectedSpans":-3}}"#,
                Outcome::Delivered { rejected: 0 },
            ),
            (Some("application/json"), b"no JSON", Outcome::Delivered { rejected: 0 }),
            (Some("text/plain"), b"ok", Outcome::Delivered { rejected: 0 }),
            (
                Some("text/plain; charset=utf-8"),
                br#"{"partialSuccess":{"rejectedSpans":"3"}}"#,
                Outcome::Delivered { rejected: 3 },
            ),
            (
                Some("application/x-protobuf"),
                b"\xef\xbb\xbf{\"partialSuccess\":{\"rejectedSpans\":3.0}}",
                Outcome::Delivered { rejected: 3 },
            ),
            (Some("application/json"), &protobuf, Outcome::Delivered { rejected: 3 }),
            (
                None,
                br#"{"partialSuccess":{"rejectedSpans":"1e30"}}"#,
                Outcome::Delivered { rejected: u32::MAX },
            ),
            (Some("application/xhtml+xml"), b"<?xml version='1.0'?><html>", Outcome::Retry { after: None }),
            (Some("text/plain"), b"<head>", Outcome::Retry { after: None }),
            (Some("text/HTML"), b"", Outcome::Retry { after: None }),
            (None, b"\xef\xbb\xbf <!-- portal --><html>", Outcome::Retry { after: None }),
            (Some("application/xml"), b"<Error/>", Outcome::Retry { after: None }),
            (Some("application/x-protobuf"), b"<html>thanks</html>", Outcome::Delivered { rejected: 0 }),
            (None, b"", Outcome::Delivered { rejected: 0 }),
            (Some("text/html; charset=utf-8"), b"<!DOCTYPE html>", Outcome::Retry { after: None }),
            (None, b"\n<!doctype html><title>Log in</title>", Outcome::Retry { after: None }),
            (None, b"<HTML>", Outcome::Retry { after: None }),
        ];
        for (content_type, body, expected) in rows {
            let answer = Answer { status: 200, content_type, body, ..Answer::default() };
            assert_eq!(answer.outcome(UnixNanos(0)), expected, "{answer:?}");
        }
    }

    #[test]
    fn an_answer_that_denies_its_status_is_no_success() {
        let rows: [(u16, &str, Option<Denial>); 20] = [
            (200, r#"{"error":{"code":401}}"#, Some(Denial::Error)),
            (202, r#"{"errors":["no such tenant"]}"#, Some(Denial::Error)),
            (200, r#" {"errorMessage":"x","errorType":"Error"}"#, Some(Denial::Error)),
            (200, r#"{"error":true}"#, Some(Denial::Error)),
            (200, r#"{"error":1}"#, Some(Denial::Error)),
            (200, r#"{"error":null,"errors":false}"#, None),
            (200, r#"{"error":"","errors":[],"errorMessage":{}}"#, None),
            (200, r#"{"errors":0}"#, None),
            (200, r#"{"partialSuccess":{"errorMessage":"deprecated"}}"#, None),
            (200, r#"{"code":200,"message":"ok"}"#, None),
            (200, r#"["error"]"#, None),
            (200, r#"{"error""#, None),
            (200, "error", None),
            (400, "Client sent an HTTP request to an HTTPS server.\n", Some(Denial::TlsPort)),
            (400, "<title>400 The plain HTTP request was sent to HTTPS port</title>", Some(Denial::TlsPort)),
            (
                400,
                "Reason: You're speaking plain HTTP to an SSL-enabled server port.<br />",
                Some(Denial::TlsPort),
            ),
            (400, "Bad Request\nThis combination of host and port requires TLS.\n", Some(Denial::TlsPort)),
            (400, "<html>bad request", None),
            (500, r#"{"error":"x"}"#, None),
            (511, "", Some(Denial::WebPage)),
        ];
        for (status, body, expected) in rows {
            let answer = Answer { status, body: body.as_bytes(), ..Answer::default() };
            assert_eq!(answer.denial(), expected, "{status} {body}");
            let is_kept = answer.outcome(UnixNanos(0)) == Outcome::Retry { after: None };
            assert_eq!(is_kept, expected.is_some(), "{status} {body}");
        }
    }
}

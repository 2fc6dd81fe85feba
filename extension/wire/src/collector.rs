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
    /// Shape: 2xx is delivered, less what a partial success refuses; 413 is too large; 401 and 403 are refused; 429, 502, 503
    /// and 504 are worth another try; everything else, redirects included, is final. A body that cannot be read does
    /// not change what the status said, but for a web page: that is from a login page, a captive portal or a user
    /// interface, and none of them took the data.
    ///
    /// 408 is not the answer to a request: a server or a balancer says it to a connection on which none came in time,
    /// and closes it. A request that crossed it on its way was lost with the connection.
    ///
    /// # Source
    /// <https://opentelemetry.io/docs/specs/otlp/#otlphttp-response>; RFC 9110 §15.5.9 for 408.
    pub fn outcome(&self, now: UnixNanos) -> Outcome {
        match self.status {
            200..=299 if self.is_web_page() => Outcome::Retry { after: None },
            200..=299 => Outcome::Delivered { rejected: self.rejected_items() },
            status @ (401 | 403) => Outcome::Refused { status },
            408 => Outcome::Lost,
            413 => Outcome::TooLarge,
            429 | 502 | 503 | 504 => {
                Outcome::Retry { after: self.retry_after.and_then(|text| pause(text, now)) }
            }
            status => Outcome::Rejected { status },
        }
    }

    /// Whether a person with a browser was meant.
    pub fn is_web_page(&self) -> bool {
        let is_html = |media_type: &str| media_type.eq_ignore_ascii_case("text/html");
        match self.media_type() {
            Some(media_type) if !media_type.is_empty() => is_html(media_type),
            _ => {
                let start = self.body.trim_ascii_start();
                let start = &start[..start.len().min(9)];
                start.eq_ignore_ascii_case(b"<!doctype")
                    || start.get(..5).is_some_and(|start| start.eq_ignore_ascii_case(b"<html"))
            }
        }
    }

    /// The items that a partial success refuses, in protobuf or in JSON: some backends answer in JSON whatever they
    /// are asked in, and some do not say which.
    fn rejected_items(&self) -> u32 {
        let is_json = match self.media_type() {
            Some(media_type) if !media_type.is_empty() => media_type.to_ascii_lowercase().ends_with("json"),
            _ => self.body.trim_ascii_start().first() == Some(&b'{'),
        };
        if is_json { rejected_in_json(self.body) } else { rejected_items(self.body).unwrap_or(0) }
    }

    fn media_type(&self) -> Option<&str> {
        self.content_type.map(|value| value.split(';').next().unwrap_or_default().trim())
    }
}

/// `Retry-After` in either form; absurd numbers saturate.
fn pause(text: &str, now: UnixNanos) -> Option<Duration> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
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
fn rejected_in_json(body: &[u8]) -> u32 {
    let answer: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let either = |within: &serde_json::Value, names: &[&str]| {
        names.iter().find_map(|name| within.get(name)).cloned().unwrap_or_default()
    };
    let partial = either(&answer, &["partialSuccess", "partial_success"]);
    let names = [
        "rejectedSpans",
        "rejectedDataPoints",
        "rejectedLogRecords",
        "rejected_spans",
        "rejected_data_points",
        "rejected_log_records",
    ];
    let rejected = either(&partial, &names);
    let number = rejected.as_u64().or_else(|| rejected.as_str()?.parse().ok());
    number.and_then(|number| u32::try_from(number).ok()).unwrap_or(0)
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
            (408, None, Outcome::Lost),
            (413, None, Outcome::TooLarge),
            (429, Some("7"), after(7)),
            (500, None, Outcome::Rejected { status: 500 }),
            (502, None, Outcome::Retry { after: None }),
            (503, Some(" 3 "), after(3)),
            (503, Some("99999999999999999999"), after(u64::MAX)),
            (503, Some("-3"), Outcome::Retry { after: None }),
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
        let rows: [(Option<&str>, &[u8], Outcome); 14] = [
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
            (Some("text/html; charset=utf-8"), b"<!DOCTYPE html>", Outcome::Retry { after: None }),
            (None, b"\n<!doctype html><title>Log in</title>", Outcome::Retry { after: None }),
            (None, b"<HTML>", Outcome::Retry { after: None }),
        ];
        for (content_type, body, expected) in rows {
            let answer = Answer { status: 200, content_type, body, ..Answer::default() };
            assert_eq!(answer.outcome(UnixNanos(0)), expected, "{answer:?}");
        }
    }
}

//! What a backend's answer means: status, `Retry-After` and body into an outcome.

use policy::{Outcome, UnixNanos};
use std::time::Duration;

use crate::proto::{WireError, fields};
use crate::time::until_http_date;

/// The outcome of an export that was answered.
///
/// Shape: 2xx is delivered, less what a partial success refuses; 413 is too large; 401 and 403 are refused;
/// 429, 502, 503 and 504 are worth another try; everything else, redirects included, is final. A body that cannot be read does
/// not change what the status said.
///
/// 408 is not the answer to a request: a server or a balancer says it to a connection on which none came in time, and
/// closes it. A request that crossed it on its way was lost with the connection.
///
/// # Source
/// <https://opentelemetry.io/docs/specs/otlp/#otlphttp-response>; RFC 9110 §15.5.9 for 408.
pub fn outcome(status: u16, retry_after: Option<&str>, body: &[u8], now: UnixNanos) -> Outcome {
    match status {
        200..=299 => Outcome::Delivered { rejected: rejected_items(body).unwrap_or(0) },
        401 | 403 => Outcome::Refused { status },
        408 => Outcome::Lost,
        413 => Outcome::TooLarge,
        429 | 502 | 503 | 504 => Outcome::Retry { after: retry_after.and_then(|text| pause(text, now)) },
        _ => Outcome::Rejected { status },
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
            assert_eq!(outcome(status, retry_after, b"", UnixNanos(0)), expected, "{status} {retry_after:?}");
        }
    }

    #[test]
    fn a_partial_success_says_how_many_were_refused() {
        let body = otlp::success(3, "too old");
        assert_eq!(outcome(200, None, &body, UnixNanos(0)), Outcome::Delivered { rejected: 3 });
        assert_eq!(outcome(200, None, b"<html>", UnixNanos(0)), Outcome::Delivered { rejected: 0 });
    }
}

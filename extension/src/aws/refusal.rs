//! What AWS has against a request that it refused: pure, from its answer.

use policy::UnixNanos;

/// Clocks that are farther apart than this are not the reason for a refusal: AWS takes five minutes.
const CLOCK_SLACK_S: i64 = 4 * 60;

/// Words of an answer to a signature whose time is wrong.
///
/// # Source
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/signature-v4-troubleshooting.html>
const OF_TIME: [&str; 6] = [
    "Signature expired",
    "Signature not yet current",
    "SignatureDoesNotMatch",
    "InvalidSignature",
    "RequestTimeTooSkewed",
    "RequestExpired",
];
/// Words of one to credentials that are not good, or not any more. AWS's JSON services answer 400 then.
const OF_CREDENTIALS: [&str; 4] =
    ["ExpiredToken", "InvalidClientTokenId", "UnrecognizedClient", "security token included in the request"];
/// What X-Ray answers where Transaction Search is off.
///
/// # Source
/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch-OTLPEndpoint.html>
const OF_DESTINATION: &str = "Trace Segment Destination";

/// What would help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// AWS's clock is so many seconds ahead of ours, or behind it where that is below zero: signatures by its time.
    Clock(i64),
    /// Other credentials.
    Credentials,
    /// That somebody switches Transaction Search on.
    NoTransactionSearch,
}

/// What an answer with this status, the header `Date` and this body says; `None` where nothing of the kind. The request was
/// signed for the time `signed_at`.
pub fn refusal(status: u16, date: Option<&str>, body: &[u8], signed_at: UnixNanos) -> Option<Refusal> {
    if !matches!(status, 400 | 401 | 403) {
        return None;
    }
    let text = String::from_utf8_lossy(body);
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    let seconds = |at: UnixNanos| i64::try_from(at.0 / 1_000_000_000).unwrap_or(i64::MAX);
    let ahead = date.and_then(wire::time::http_date).map(|theirs| seconds(theirs) - seconds(signed_at));
    match ahead {
        Some(ahead) if says(&OF_TIME) && ahead.abs() > CLOCK_SLACK_S => Some(Refusal::Clock(ahead)),
        _ if status == 400 && text.contains(OF_DESTINATION) => Some(Refusal::NoTransactionSearch),
        _ if status != 400 || says(&OF_CREDENTIALS) => Some(Refusal::Credentials),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_says_what_would_help() {
        let signed_at = wire::time::rfc3339("2026-11-22T08:00:00Z").expect("a time");
        let (late, near) = ("Sun, 22 Nov 2026 08:10:00 GMT", "Sun, 22 Nov 2026 08:04:00 GMT");
        let early = "Sun, 22 Nov 2026 07:55:59 GMT";
        let expired = "Signature expired: 20261122T080000Z is now earlier than 20261122T080500Z";
        let other = Some(Refusal::Credentials);
        for (status, date, body, expected) in [
            (403, Some(late), expired, Some(Refusal::Clock(600))),
            (400, Some(late), "InvalidSignatureException", Some(Refusal::Clock(600))),
            (401, Some(early), "RequestTimeTooSkewed", Some(Refusal::Clock(-241))),
            (403, Some(near), expired, other),
            (403, Some("soon"), expired, other),
            (403, None, expired, other),
            (403, Some(late), "not authorized to perform: xray:PutSpans", other),
            (401, Some(late), "", other),
            (400, Some(late), "ExpiredTokenException", other),
            (400, None, "The security token included in the request is invalid.", other),
            (400, Some(late), "1,001 data points", None),
            (
                400,
                None,
                "OTLP API is supported with CloudWatch Logs as a Trace Segment Destination.",
                Some(Refusal::NoTransactionSearch),
            ),
            (403, None, "as a Trace Segment Destination.", other),
            (429, Some(late), expired, None),
            (200, Some(late), expired, None),
        ] {
            let found = refusal(status, date, body.as_bytes(), signed_at);
            assert_eq!(found, expected, "{status} {date:?} {body}");
        }
    }
}

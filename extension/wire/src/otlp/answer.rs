//! What the receiver answers to the function's exporter, in the encoding of the request.
//!
//! # Source
//! <https://opentelemetry.io/docs/specs/otlp/#otlphttp-response>

use policy::Signal;
use serde_json::json;

use crate::proto::{put_bytes, put_message, put_number};

/// The body of a 200: empty when everything was taken, else a partial success that says how many items
/// were refused and why. The sender must not send those again.
pub fn success(refused: u32, why: &str) -> Vec<u8> {
    let mut out = Vec::new();
    if refused > 0 {
        put_message(&mut out, 1, |partial| {
            put_number(partial, 1, u64::from(refused));
            put_bytes(partial, 2, why.as_bytes());
        });
    }
    out
}

/// [`success`] for a request of `signal` that came as JSON.
pub fn success_json(signal: Signal, refused: u32, why: &str) -> Vec<u8> {
    if refused == 0 {
        return b"{}".to_vec();
    }
    let count = match signal {
        Signal::Traces => "rejectedSpans",
        Signal::Metrics => "rejectedDataPoints",
        Signal::Logs => "rejectedLogRecords",
    };
    // An int64, and so a string.
    let partial = json!({ count: refused.to_string(), "errorMessage": why });
    json!({ "partialSuccess": partial }).to_string().into()
}

/// The body of an error: a `google.rpc.Status` with its message. The code is left out, as OTLP allows.
pub fn failure(why: &str) -> Vec<u8> {
    let mut out = Vec::new();
    put_bytes(&mut out, 2, why.as_bytes());
    out
}

/// [`failure`] for a request that came as JSON.
pub fn failure_json(why: &str) -> Vec<u8> {
    json!({ "message": why }).to_string().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_answers_are_spelled_as_otlp_has_it() {
        let text = |bytes| String::from_utf8(bytes).expect("JSON is UTF-8");
        assert_eq!(text(success_json(Signal::Logs, 0, "why")), "{}");
        assert_eq!(
            text(success_json(Signal::Metrics, 2, "a \"b\"")),
            r#"{"partialSuccess":{"errorMessage":"a \"b\"","rejectedDataPoints":"2"}}"#
        );
        assert_eq!(text(failure_json("no")), r#"{"message":"no"}"#);
    }
}

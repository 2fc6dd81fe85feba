//! What the receiver answers to the function's exporter.
//!
//! # Source
//! <https://opentelemetry.io/docs/specs/otlp/#otlphttp-response>

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

/// The body of an error: a `google.rpc.Status` with its message. The code is left out, as OTLP allows.
pub fn failure(why: &str) -> Vec<u8> {
    let mut out = Vec::new();
    put_bytes(&mut out, 2, why.as_bytes());
    out
}

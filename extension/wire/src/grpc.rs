//! OTLP/gRPC as bytes: the methods, the five bytes before a message, and the statuses.
//!
//! # Source
//! <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>,
//! <https://opentelemetry.io/docs/specs/otlp/#otlpgrpc>

use std::fmt::Write;
use std::time::Duration;

use bytes::Bytes;
use policy::{Outcome, Signal};

use crate::base64;
use crate::collector::rejected_items;
use crate::proto::{Value, WireError, fields};

/// How many bytes stand before a message: whether it is packed, and its length.
pub const HEAD: usize = 5;

/// The status of a call.
///
/// # Source
/// <https://grpc.github.io/grpc/core/md_doc_statuscodes.html>
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// It went well.
    Ok = 0,
    /// What came is no request.
    InvalidArgument = 3,
    /// What came is too long.
    ResourceExhausted = 8,
    /// There is no such method, or no such packing.
    Unimplemented = 12,
    /// Nobody takes requests any more.
    Unavailable = 14,
}

/// The path of the method that takes a signal.
pub const fn path_of(signal: Signal) -> &'static str {
    match signal {
        Signal::Traces => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
        Signal::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
        Signal::Logs => "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
    }
}

/// The signal that the method of this path takes.
pub fn signal_of(path: &str) -> Option<Signal> {
    Signal::ALL.into_iter().find(|signal| path_of(*signal) == path)
}

/// What stands before a message of `length` bytes.
pub fn head(is_packed: bool, length: u32) -> [u8; HEAD] {
    let [a, b, c, d] = length.to_be_bytes();
    [u8::from(is_packed), a, b, c, d]
}

/// The only message of a body, and whether it is packed; `None` when there is not exactly one.
pub fn message(body: &Bytes) -> Option<(bool, Bytes)> {
    let (first, rest) = body.split_first_chunk::<HEAD>()?;
    let [flag @ (0 | 1), length @ ..] = *first else { return None };
    let is_whole = u32::from_be_bytes(length) as usize == rest.len();
    is_whole.then(|| (flag == 1, body.slice(HEAD..)))
}

/// A message for people as `grpc-message` wants it: printable ASCII, the rest percent-encoded.
pub fn status_message(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        match byte {
            b' '..=b'~' if byte != b'%' => out.push(char::from(byte)),
            _ => write!(out, "%{byte:02X}").expect("memory"),
        }
        out
    })
}

/// How a call has ended, as the backend tells it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ended<'a> {
    /// `grpc-status`.
    pub status: u16,
    /// `grpc-message`, as it came.
    pub message: &'a str,
    /// `grpc-status-details-bin`, as it came.
    pub details: &'a [u8],
    /// The body: the answer, with what stands before it.
    pub body: &'a [u8],
}

/// What a call came to.
///
/// Shape: OK is delivered, less what a partial success refuses; CANCELLED, DEADLINE_EXCEEDED, ABORTED, OUT_OF_RANGE,
/// UNAVAILABLE and DATA_LOSS are worth another try, RESOURCE_EXHAUSTED only where the backend says when; a message
/// that is too long for the backend is too large; PERMISSION_DENIED and UNAUTHENTICATED are refused; everything else is final, with the status as it is, below 17.
///
/// # Source
/// <https://opentelemetry.io/docs/specs/otlp/#failures>,
/// <https://github.com/googleapis/googleapis/blob/master/google/rpc/error_details.proto>
pub fn outcome(ended: &Ended<'_>) -> Outcome {
    let answer = ended.body.get(HEAD..).unwrap_or_default();
    let after = base64::decode(ended.details).and_then(|details| retry_info(&details).ok().flatten());
    match ended.status {
        0 => Outcome::Delivered { rejected: rejected_items(answer).unwrap_or(0) },
        8 | 11 if says_too_long(ended.message) => Outcome::TooLarge,
        8 if after.is_none() => Outcome::Rejected { status: 8 },
        1 | 4 | 8 | 10 | 11 | 14 | 15 => Outcome::Retry { after },
        7 | 16 => Outcome::Refused { status: ended.status },
        status => Outcome::Rejected { status },
    }
}

/// No status of its own says that a message is too long: the words of grpc-go, grpc-core, grpc-java, tonic and ours do.
fn says_too_long(message: &str) -> bool {
    let words = ["larger than max", "exceeds maximum size", "too large", "too long"];
    words.iter().any(|word| message.contains(word))
}

/// The delay of a `google.rpc.RetryInfo` among the details of a `google.rpc.Status`.
fn retry_info(status: &[u8]) -> Result<Option<Duration>, WireError> {
    let mut walk = fields(status);
    while let Some(detail) = walk.next()? {
        if detail.number != 3 {
            continue;
        }
        let (mut kind, mut value, mut any): (&[u8], &[u8], _) = (b"", b"", fields(detail.value.bytes()));
        while let Some(field) = any.next()? {
            match field.number {
                1 => kind = field.value.bytes(),
                2 => value = field.value.bytes(),
                _ => {}
            }
        }
        if kind.ends_with(b"/google.rpc.RetryInfo") {
            return retry_delay(value).map(Some);
        }
    }
    Ok(None)
}

fn retry_delay(info: &[u8]) -> Result<Duration, WireError> {
    let (mut seconds, mut nanos, mut walk) = (0, 0, fields(info));
    while let Some(delay) = walk.next()? {
        let mut duration = fields(delay.value.bytes());
        while let Some(field) = duration.next()? {
            match (field.number, field.value) {
                (1, Value::Varint(value)) => seconds = value.cast_signed(),
                (2, Value::Varint(value)) => nanos = value.cast_signed(),
                _ => {}
            }
        }
    }
    // A delay that lies behind us is none.
    let at_least_zero = |number: i64| u64::try_from(number).unwrap_or(0);
    let nanos = u32::try_from(at_least_zero(nanos)).unwrap_or(0).min(999_999_999);
    Ok(Duration::new(at_least_zero(seconds), nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_told_by_their_paths() {
        for signal in Signal::ALL {
            assert_eq!(signal_of(path_of(signal)), Some(signal));
        }
        assert_eq!(signal_of("/v1/traces"), None);
    }

    #[test]
    fn a_body_is_one_message() {
        let framed = |flag: bool, content: &[u8]| [&head(flag, content.len() as u32)[..], content].concat();
        let found = |flag, content: &'static [u8]| Some((flag, Bytes::from_static(content)));
        let rows = [
            (framed(false, b"abc"), found(false, b"abc")),
            (framed(true, b"abc"), found(true, b"abc")),
            (framed(false, b""), found(false, b"")),
            (framed(false, b"abc")[..7].to_vec(), None),
            ([framed(false, b"abc"), framed(false, b"")].concat(), None),
            (vec![2, 0, 0, 0, 0], None),
            (vec![0, 0, 0], None),
            (Vec::new(), None),
        ];
        for (body, expected) in rows {
            assert_eq!(message(&body.clone().into()), expected, "{body:?}");
        }
    }

    /// `google.rpc.Status` with a `RetryInfo` of 2.5 s behind another detail, in base64 without padding.
    const IN_TWO_AND_A_HALF: &[u8] =
        b"CA4SBGJ1c3kaDAoEYS9iYxIECAEQARo2Cih0eXBlLmdvb2dsZWFwaXMuY29tL2dvb2dsZS5ycGMuUmV0cnlJbmZvEgoKCAgCEIDKte4B";

    #[test]
    fn statuses_mean_what_the_specification_says() {
        let after = Some(Duration::from_millis(2_500));
        let rows: [(u16, &str, &[u8], Outcome); 16] = [
            (0, "", b"", Outcome::Delivered { rejected: 0 }),
            (1, "", b"", Outcome::Retry { after: None }),
            (2, "", b"", Outcome::Rejected { status: 2 }),
            (3, "", b"", Outcome::Rejected { status: 3 }),
            (4, "", b"", Outcome::Retry { after: None }),
            (8, "quota", b"", Outcome::Rejected { status: 8 }),
            (8, "quota", IN_TWO_AND_A_HALF, Outcome::Retry { after }),
            (8, "grpc: received message larger than max (9 vs. 4)", b"", Outcome::TooLarge),
            (8, "gRPC message exceeds maximum size 4194304: 5000000", b"", Outcome::TooLarge),
            (11, "Error, decoded message length too large: found 9 bytes", b"", Outcome::TooLarge),
            (11, "", b"", Outcome::Retry { after: None }),
            (13, "", b"", Outcome::Rejected { status: 13 }),
            (14, "", IN_TWO_AND_A_HALF, Outcome::Retry { after }),
            (14, "", b"no base64!", Outcome::Retry { after: None }),
            (7, "", b"", Outcome::Refused { status: 7 }),
            (16, "", b"", Outcome::Refused { status: 16 }),
        ];
        for (status, message, details, expected) in rows {
            let ended = Ended { status, message, details, body: b"" };
            assert_eq!(outcome(&ended), expected, "{status} {message:?}");
        }
        for status in [10, 15] {
            assert_eq!(outcome(&Ended { status, ..Ended::default() }), Outcome::Retry { after: None });
        }
    }

    #[test]
    fn a_partial_success_says_how_many_were_refused() {
        let answer = crate::otlp::success(3, "too old");
        let body = [&head(false, answer.len() as u32)[..], &answer].concat();
        assert_eq!(outcome(&Ended { body: &body, ..Ended::default() }), Outcome::Delivered { rejected: 3 });
    }

    #[test]
    fn messages_for_people_are_ascii() {
        assert_eq!(status_message("50 % of é\n"), "50 %25 of %C3%A9%0A");
    }
}

//! What is in a message: one OTLP request, unpacked.

use std::{fmt, io::Read as _};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use flate2::read::MultiGzDecoder;

use crate::event::Message;

/// No flush of an environment is larger than this; a message that is has no business here.
const UNPACKED_BYTES_MAX: u64 = 64 << 20;

/// A kind of telemetry. Requests of one kind can be joined, and go to one path of the collector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Signal {
    Traces,
    Metrics,
    Logs,
}

impl Signal {
    pub(crate) const fn path(self) -> &'static str {
        match self {
            Self::Traces => "v1/traces",
            Self::Metrics => "v1/metrics",
            Self::Logs => "v1/logs",
        }
    }

    fn named(name: &str) -> Option<Self> {
        match name {
            "traces" => Some(Self::Traces),
            "metrics" => Some(Self::Metrics),
            "logs" => Some(Self::Logs),
            _ => None,
        }
    }
}

/// A message that could be read.
#[derive(Debug)]
pub(crate) struct Parcel<'a> {
    pub(crate) message: &'a Message,
    pub(crate) signal: Signal,
    /// The name of its batch, which is the same whenever the batch is sent again.
    pub(crate) batch: Option<&'a str>,
    /// An OTLP request. Requests of one signal that follow one another are one request.
    pub(crate) otlp: Vec<u8>,
}

/// Why a message cannot be read. It never will be: it ends in the dead-letter queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    Signal,
    ContentType,
    ContentEncoding,
    Base64,
    Gzip,
    TooLarge,
    Otlp,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Signal => "its attribute signal is none of traces, metrics and logs",
            Self::ContentType => "its attribute content-type is not application/x-protobuf",
            Self::ContentEncoding => "its attribute content-encoding is not gzip",
            Self::Base64 => "its body is not base64",
            Self::Gzip => "its body is not gzip",
            Self::TooLarge => "its body has more than 64 MiB",
            Self::Otlp => "its body is not an OTLP request",
        })
    }
}

/// The signal of a message, and the request in it.
pub(crate) fn unpack(message: &Message) -> Result<(Signal, Vec<u8>), Unreadable> {
    let signal = message.attribute("signal").and_then(Signal::named).ok_or(Unreadable::Signal)?;
    if message.attribute("content-type") != Some("application/x-protobuf") {
        return Err(Unreadable::ContentType);
    }
    let packed = STANDARD.decode(&message.body).map_err(|_| Unreadable::Base64)?;
    let otlp = match message.attribute("content-encoding") {
        Some("gzip") => unzipped(&packed)?,
        None | Some("identity") => packed,
        Some(_) => return Err(Unreadable::ContentEncoding),
    };
    // One that breaks off, or that is something else, would take the beginning of the next one for its own end.
    if is_request(&otlp) { Ok((signal, otlp)) } else { Err(Unreadable::Otlp) }
}

/// Whether all of `otlp` is groups of items by their resources: the field 1 of a request, over and over.
fn is_request(mut otlp: &[u8]) -> bool {
    const GROUP: u8 = 1 << 3 | 2;
    while let [tag, rest @ ..] = otlp {
        let Some((length, rest)) = varint(rest) else { return false };
        let rest = usize::try_from(length).ok().and_then(|length| rest.get(length..));
        let (GROUP, Some(rest)) = (*tag, rest) else { return false };
        otlp = rest;
    }
    true
}

/// The number at the beginning of `bytes`, and what follows it.
fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let length = bytes.iter().take(9).position(|byte| byte & 0x80 == 0)? + 1;
    let (digits, rest) = bytes.split_at(length);
    let number = digits.iter().rev().fold(0, |number, byte| number << 7 | u64::from(byte & 0x7F));
    Some((number, rest))
}

fn unzipped(packed: &[u8]) -> Result<Vec<u8>, Unreadable> {
    let mut otlp = Vec::new();
    let unpacking = MultiGzDecoder::new(packed).take(UNPACKED_BYTES_MAX + 1).read_to_end(&mut otlp);
    match unpacking {
        Ok(length) if length as u64 > UNPACKED_BYTES_MAX => Err(Unreadable::TooLarge),
        Ok(_) => Ok(otlp),
        Err(_) => Err(Unreadable::Gzip),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::{Compression, write::GzEncoder};
    use serde_json::json;

    use super::*;

    /// One group.
    const SPANS: &[u8] = b"\x0A\x05spans";

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(bytes).expect("memory takes it");
        packed.finish().expect("memory takes it")
    }

    fn message(body: &str, attributes: &[(&str, &str)]) -> Message {
        let attributes =
            attributes.iter().map(|(name, value)| ((*name).to_owned(), json!({ "stringValue": value })));
        let attributes: serde_json::Map<_, _> = attributes.collect();
        let message =
            json!({ "messageId": "m", "receiptHandle": "r", "body": body, "messageAttributes": attributes });
        serde_json::from_value(message).expect("it is a message")
    }

    #[test]
    fn a_message_is_unpacked_or_says_why_not() {
        let (kind, packing) = (("content-type", "application/x-protobuf"), ("content-encoding", "gzip"));
        let good = STANDARD.encode(gzip(SPANS));
        let traces = ("signal", "traces");
        let plain = STANDARD.encode(SPANS);
        let broken = STANDARD.encode(gzip(&SPANS[..6]));
        for (body, attributes, expected) in [
            (&*good, vec![traces, kind, packing], Ok((Signal::Traces, SPANS.to_vec()))),
            (&*plain, vec![("signal", "logs"), kind], Ok((Signal::Logs, SPANS.to_vec()))),
            (&*good, vec![kind, packing], Err(Unreadable::Signal)),
            (&*good, vec![("signal", "profiles"), kind, packing], Err(Unreadable::Signal)),
            (&*good, vec![traces, packing], Err(Unreadable::ContentType)),
            (&*good, vec![traces, kind, ("content-encoding", "br")], Err(Unreadable::ContentEncoding)),
            ("spans!", vec![traces, kind, packing], Err(Unreadable::Base64)),
            ("c3BhbnM=", vec![traces, kind, packing], Err(Unreadable::Gzip)),
            (&*broken, vec![traces, kind, packing], Err(Unreadable::Otlp)),
            ("c3BhbnM=", vec![traces, kind], Err(Unreadable::Otlp)),
            (&good[..good.len() - 8], vec![traces, kind, packing], Err(Unreadable::Gzip)),
        ] {
            assert_eq!(unpack(&message(body, &attributes)), expected, "{body} {attributes:?}");
        }
    }

    /// What breaks off would make the next message its own, with which it is joined.
    #[test]
    fn a_request_is_whole_groups() {
        let long = [&[0x0A, 0xAC, 0x02][..], &[0; 300]].concat();
        for (otlp, is_one) in [
            (&b""[..], true),
            (SPANS, true),
            (&long, true),
            (&[SPANS, &long, SPANS].concat(), true),
            (&SPANS[..1], false),
            (&SPANS[..6], false),
            (&long[..302], false),
            (&[SPANS, &long[..2]].concat(), false),
            (b"\x12\x00", false),
            (b"\x0A\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01", false),
            (b"{}", false),
        ] {
            assert_eq!(is_request(otlp), is_one, "{otlp:?}");
        }
    }

    #[test]
    fn a_bomb_is_refused() {
        let body = STANDARD.encode(gzip(&vec![0; (UNPACKED_BYTES_MAX + 1) as usize]));
        let attributes =
            [("signal", "traces"), ("content-type", "application/x-protobuf"), ("content-encoding", "gzip")];
        assert_eq!(unpack(&message(&body, &attributes)), Err(Unreadable::TooLarge));
    }
}

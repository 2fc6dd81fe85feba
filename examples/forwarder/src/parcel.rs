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
    match message.attribute("content-encoding") {
        Some("gzip") => {}
        None | Some("identity") => return Ok((signal, packed)),
        Some(_) => return Err(Unreadable::ContentEncoding),
    }
    let mut otlp = Vec::new();
    let unpacking = MultiGzDecoder::new(&packed[..]).take(UNPACKED_BYTES_MAX + 1).read_to_end(&mut otlp);
    match unpacking {
        Ok(length) if length as u64 > UNPACKED_BYTES_MAX => Err(Unreadable::TooLarge),
        Ok(_) => Ok((signal, otlp)),
        Err(_) => Err(Unreadable::Gzip),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::{Compression, write::GzEncoder};
    use serde_json::json;

    use super::*;

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
        let good = STANDARD.encode(gzip(b"spans"));
        let traces = ("signal", "traces");
        for (body, attributes, expected) in [
            (&*good, vec![traces, kind, packing], Ok((Signal::Traces, b"spans".to_vec()))),
            ("c3BhbnM=", vec![("signal", "logs"), kind], Ok((Signal::Logs, b"spans".to_vec()))),
            (&*good, vec![kind, packing], Err(Unreadable::Signal)),
            (&*good, vec![("signal", "profiles"), kind, packing], Err(Unreadable::Signal)),
            (&*good, vec![traces, packing], Err(Unreadable::ContentType)),
            (&*good, vec![traces, kind, ("content-encoding", "br")], Err(Unreadable::ContentEncoding)),
            ("spans!", vec![traces, kind, packing], Err(Unreadable::Base64)),
            ("c3BhbnM=", vec![traces, kind, packing], Err(Unreadable::Gzip)),
            (&good[..good.len() - 8], vec![traces, kind, packing], Err(Unreadable::Gzip)),
        ] {
            assert_eq!(unpack(&message(body, &attributes)), expected, "{body} {attributes:?}");
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

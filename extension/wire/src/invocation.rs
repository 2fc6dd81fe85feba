//! The running invocation as a record, for the process that may have to tell its end.

use policy::{Duration, Instant, Invoke, RequestId, SpanId, TraceId, UnixNanos};
use serde::{Deserialize, Serialize};

use crate::trace_context;

#[derive(Deserialize, Serialize)]
struct Record {
    request_id: String,
    deadline_at: u64,
    received_at: u64,
    arn: String,
    xray: Option<String>,
    /// Absent in records of versions before it was written.
    #[serde(default)]
    seed: u64,
}

/// The record of `invoke`, and of the seed that its spans' ids are made from.
pub fn encode(invoke: &Invoke, seed: u64) -> Vec<u8> {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let xray = invoke.xray.as_ref().map(|xray| {
        let parent = xray.parent.map(|parent| format!(";Parent={}", hex(parent.bytes())));
        let sampled = xray.sampled.map(|sampled| format!(";Sampled={}", u8::from(sampled)));
        format!("Root={}{}{}", xray.root, parent.unwrap_or_default(), sampled.unwrap_or_default())
    });
    let record = Record {
        request_id: invoke.request_id.to_string(),
        deadline_at: invoke.deadline_at.0,
        received_at: invoke.received_at.0,
        arn: invoke.arn.to_string(),
        xray,
        seed,
    };
    serde_json::to_vec(&record).unwrap_or_default()
}

/// The invocation of a record, and its seed. Its deadline has passed: the process that was given it is dead.
///
/// # Errors
/// When the bytes are no such record.
pub fn decode(bytes: &[u8]) -> Result<(Invoke, u64), serde_json::Error> {
    let record: Record = serde_json::from_slice(bytes)?;
    let invoke = Invoke {
        request_id: record.request_id.into(),
        deadline: Instant::default(),
        deadline_at: UnixNanos(record.deadline_at),
        received_at: UnixNanos(record.received_at),
        arn: record.arn.into(),
        xray: record.xray.as_deref().and_then(trace_context::xray),
        waited: Duration::ZERO,
    };
    Ok((invoke, record.seed))
}

/// What the root of an invocation is known to be.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Root {
    request_id: String,
    trace_id: [u8; 16],
    span_id: [u8; 8],
}

impl Root {
    /// The root of `request_id`.
    pub fn new(request_id: &str, trace_id: &TraceId, span_id: &SpanId) -> Self {
        Self { request_id: request_id.into(), trace_id: *trace_id.bytes(), span_id: *span_id.bytes() }
    }

    /// Its record.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Whose it is, and its ids; `None` when the bytes are no such record.
    pub fn decode(bytes: &[u8]) -> Option<(RequestId, TraceId, SpanId)> {
        let Self { request_id, trace_id, span_id } = serde_json::from_slice(bytes).ok()?;
        Some((request_id.into(), TraceId::new(trace_id)?, SpanId::new(span_id)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_gives_back_what_a_trace_needs() {
        let invoke = Invoke {
            request_id: "request-1".into(),
            deadline: Instant::from_nanos(7),
            deadline_at: UnixNanos(8),
            received_at: UnixNanos(9),
            arn: "arn:aws:lambda:eu-west-1:123456789012:function:pay:live".into(),
            xray: trace_context::xray(
                "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1",
            ),
            waited: Duration::from_secs(1),
        };
        let (back, seed) = decode(&encode(&invoke, u64::MAX)).expect("just written");
        assert_eq!(seed, u64::MAX);
        assert_eq!((back.request_id, back.arn, back.xray), (invoke.request_id, invoke.arn, invoke.xray));
        assert_eq!((back.deadline_at, back.received_at), (invoke.deadline_at, invoke.received_at));
        assert!(decode(b"{}").is_err());
    }

    #[test]
    fn a_record_of_a_root_gives_back_its_ids() {
        let (trace_id, span_id) =
            (TraceId::new([7; 16]).expect("not zero"), SpanId::new([9; 8]).expect("not zero"));
        let record = Root::new("request-1", &trace_id, &span_id).encode();
        assert_eq!(Root::decode(&record), Some(("request-1".into(), trace_id, span_id)));
        assert_eq!(Root::decode(b"{}"), None);
    }
}

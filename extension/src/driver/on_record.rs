//! The running invocation on record: a process that finds it there tells how it ended, unless its root is known.

use policy::{Agent, BatchId, Content, Entry, Input, Invoke, Outcome, RequestId, SpanId, TraceId, UnixNanos};
use wire::invocation::{Root, encode};
use wire::otlp::Body;

use crate::spool::{Keepsake, Kind, Spool};

/// Records of one invocation, settled in the order of the fields: a root alone says nothing.
pub struct OnRecord {
    _invocation: Keepsake,
    root: Option<Keepsake>,
    request_id: RequestId,
    received_at: UnixNanos,
    /// The root that was made, and the request that it is in.
    made: Option<(BatchId, TraceId, SpanId)>,
}

impl OnRecord {
    /// Puts `invoke` on record; `None` where that cannot be written.
    pub fn begin(spool: &Spool, invoke: &Invoke, seed: u64) -> Option<Self> {
        let _invocation = spool.keep(Kind::Invocation, 1, &encode(invoke, seed))?;
        let (request_id, received_at) = (invoke.request_id.clone(), invoke.received_at);
        Some(Self { _invocation, root: None, request_id, received_at, made: None })
    }

    /// A request leaves: the root that was made may be in it. One that ended before this invocation began is of an
    /// earlier try under the same id.
    pub fn on_export(&mut self, id: BatchId, entries: &[Entry<Body>]) {
        let mut made = entries.iter().filter_map(|entry| match &entry.content {
            Content::Made(span) if span.invocation() == Some(&self.request_id) => Some(span),
            _ => None,
        });
        if let Some(span) = made.find(|span| span.end >= self.received_at) {
            self.made = Some((id, span.trace_id, span.span_id));
        }
    }

    /// The root that `input` delivers, if it does: one that was made is on no record, and until then the next process
    /// has to make it.
    pub fn delivered(&self, input: &Input<Body>) -> Option<(TraceId, SpanId)> {
        let Input::Exported { id, outcome: Outcome::Delivered { .. }, .. } = input else { return None };
        let (_, trace_id, span_id) = self.made.filter(|(made, ..)| made == id)?;
        Some((trace_id, span_id))
    }

    /// Puts its root on record as soon as it is known: `made`, or the function's own, which was on record when it was
    /// accepted, and is not any more when it is delivered.
    pub fn note_root(&mut self, spool: &Spool, agent: &Agent<Body>, made: Option<(TraceId, SpanId)>) {
        if self.root.is_none()
            && let Some((trace_id, span_id)) =
                made.or_else(|| agent.own_root(&self.request_id, self.received_at))
        {
            let record = Root::new(&self.request_id, &trace_id, &span_id).encode();
            self.root = spool.keep(Kind::Rooted, 1, &record);
        }
    }
}

//! The running invocation on record: a process that finds it there tells how it ended, unless its root is known.

use policy::{
    Agent, BatchId, Content, Entry, Input, Invoke, Outcome, RequestId, Signal, SpanId, TraceId, UnixNanos,
};
use wire::invocation::{Root, encode};
use wire::otlp::{Body, Identity, request};

use crate::spool::{Keepsake, Kind, Spool};

/// Records of one invocation, settled in the order of the fields: a root alone says nothing.
pub struct OnRecord {
    _invocation: Keepsake,
    root: Option<Keepsake>,
    request_id: RequestId,
    received_at: UnixNanos,
    made: Option<Made>,
}

/// The root that was made, and the request that it is in. It is on record as if the function had sent it: the next process
/// sends this one, and makes none that says something else.
struct Made {
    id: BatchId,
    trace_id: TraceId,
    span_id: SpanId,
    _record: Option<Keepsake>,
    /// Whether it goes nowhere else: then it need not be on record when it is delivered.
    is_sole: bool,
}

impl OnRecord {
    /// Puts `invoke` on record; `None` where that cannot be written.
    pub fn begin(spool: &Spool, invoke: &Invoke, seed: u64) -> Option<Self> {
        let _invocation = spool.keep(Kind::Invocation, 1, &encode(invoke, seed))?;
        let (request_id, received_at) = (invoke.request_id.clone(), invoke.received_at);
        Some(Self { _invocation, root: None, request_id, received_at, made: None })
    }

    /// Which invocation it is of.
    pub const fn request_id(&self) -> &RequestId {
        &self.request_id
    }

    /// A request leaves: the root that was made may be in it. One that ended before this invocation began is of an
    /// earlier try under the same id.
    pub fn on_export(
        &mut self,
        spool: &Spool,
        identity: &Identity,
        id: BatchId,
        entries: &[Entry<Body>],
        is_sole: bool,
    ) {
        let mut made = entries.iter().filter_map(|entry| match &entry.content {
            Content::Made(span) if span.invocation() == Some(&self.request_id) => Some((entry, span)),
            _ => None,
        });
        let Some((entry, span)) = made.find(|(_, span)| span.end >= self.received_at) else { return };
        let (trace_id, span_id) = (span.trace_id, span.span_id);
        if let Some(again) = self.made.as_mut().filter(|made| made.span_id == span_id) {
            again.id = id;
            return;
        }
        let record = request(std::slice::from_ref(entry), identity);
        let _record = spool.keep(Kind::Accepted(Signal::Traces), 1, &record);
        self.made = Some(Made { id, trace_id, span_id, _record, is_sole });
    }

    /// The root that `input` delivers, if it was made: then it need not be sent by the next process.
    pub fn delivered(&self, input: &Input<Body>) -> Option<(TraceId, SpanId)> {
        let Input::Exported { id, outcome: Outcome::Delivered { .. }, .. } = input else { return None };
        let made = self.made.as_ref().filter(|made| made.id == *id)?;
        Some((made.trace_id, made.span_id))
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
            // What is delivered is on record as a root, and not to be sent any more; another destination may not have it.
            self.made.take_if(|own| made.is_some() && own.is_sole);
        }
    }
}

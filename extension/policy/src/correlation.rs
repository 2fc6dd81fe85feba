//! Log records that wait to learn which span they belong to: it is known when their invocation's own span has come.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use crate::batch::BOOKKEEPING_BYTES;
use crate::facts::Body;
use crate::span::{Parcel, PlatformSpan, RequestId, Span, SpanId, TraceId, Value};

/// Invocations whose span is remembered, for records that come late.
const PLACES_MAX: usize = 32;
/// Memory for records that wait, bookkeeping included; further ones go on without a span.
const WAITING_BYTES_MAX: usize = 256 << 10;

/// See the module.
#[derive(Debug)]
pub(crate) struct Correlation<B> {
    places: VecDeque<(RequestId, TraceId, SpanId)>,
    waiting: Vec<(RequestId, Parcel<B>)>,
    waiting_bytes: usize,
}

impl<B> Default for Correlation<B> {
    fn default() -> Self {
        Self { places: VecDeque::new(), waiting: Vec::new(), waiting_bytes: 0 }
    }
}

impl<B: Body> Correlation<B> {
    /// A span was received: one that names its invocation is what the records of that belong to.
    pub(crate) fn on_span(&mut self, span: &Span<B>) {
        if let Some(request_id) = &span.request_id {
            self.learn(request_id, span.trace_id, span.span_id);
        }
    }

    /// A span was made for an invocation that sent none.
    pub(crate) fn on_made(&mut self, span: &PlatformSpan) {
        let named = span.attributes.iter().find(|(key, _)| *key == "faas.invocation_id");
        if let Some((_, Value::Text(request_id))) = named {
            self.learn(request_id, span.trace_id, span.span_id);
        }
    }

    fn learn(&mut self, request_id: &RequestId, trace_id: TraceId, span_id: SpanId) {
        // Of two spans that name an invocation the outer one ends, and so comes, last.
        self.places.retain(|(known, _, _)| known != request_id);
        if self.places.len() == PLACES_MAX {
            self.places.pop_front();
        }
        self.places.push_back((request_id.clone(), trace_id, span_id));
    }

    /// Takes records of `request_id` in; gives them back when they need not, or may not, wait.
    pub(crate) fn add(&mut self, request_id: RequestId, parcel: Parcel<B>) -> Option<Parcel<B>> {
        let size = parcel.size as usize + BOOKKEEPING_BYTES;
        if self.is_known(&request_id) || self.waiting_bytes + size > WAITING_BYTES_MAX {
            return Some(self.placed(&request_id, parcel));
        }
        self.waiting_bytes += size;
        self.waiting.push((request_id, parcel));
        None
    }

    /// Everything that waits, with its span where that is known by now.
    pub(crate) fn release(&mut self) -> Vec<Parcel<B>> {
        self.waiting_bytes = 0;
        let waiting = core::mem::take(&mut self.waiting);
        waiting.into_iter().map(|(request_id, parcel)| self.placed(&request_id, parcel)).collect()
    }

    /// Memory that is held for records that wait.
    pub(crate) const fn held_bytes(&self) -> usize {
        self.waiting_bytes
    }

    /// Records that wait.
    pub(crate) fn items(&self) -> u64 {
        self.waiting.iter().map(|(_, parcel)| u64::from(parcel.count)).sum()
    }

    fn is_known(&self, request_id: &RequestId) -> bool {
        self.places.iter().any(|(known, _, _)| known == request_id)
    }

    fn placed(&self, request_id: &RequestId, mut parcel: Parcel<B>) -> Parcel<B> {
        let place = self.places.iter().find(|(known, _, _)| known == request_id);
        if let Some((body, size)) =
            place.and_then(|(_, trace_id, span_id)| parcel.body.placed(trace_id, span_id))
        {
            (parcel.body, parcel.size) = (body, size);
        }
        parcel
    }
}

//! Letting go of requests of which little is needed: what is needed is copied out.

use std::sync::Arc;

use bytes::Bytes;
use policy::Signal;

use super::chunk::{Body, Chunk};
use super::scan::scan;
use super::splice::part;

/// What is copied is at most so many eighths of its request: there must be something to gain.
const EIGHTHS_MAX: usize = 7;

/// `bodies` are all that anybody needs of the requests that they are of. Of a request whose spans are a part, the others
/// having been sent or left out, these become a request of their own, and the bytes of the others are let go of.
///
/// The record on disk stays the old request's until the last of them is let go of, too.
pub(super) fn condense(bodies: &mut [&mut Body]) {
    // Those of one request together, in its order.
    bodies.sort_unstable_by_key(|body| (Arc::as_ptr(&body.chunk).addr(), body.span));
    for of_one in bodies.chunk_by_mut(|one, two| Arc::ptr_eq(&one.chunk, &two.chunk)) {
        condense_one(of_one);
    }
}

/// The same for the bodies of one request, in its order: one span may be there several times.
fn condense_one(bodies: &mut [&mut Body]) {
    let Some(chunk) = bodies.first().map(|body| body.chunk.clone()) else { return };
    // A request of metrics or logs is held as a whole.
    let Some(mut spans) = bodies.iter().map(|body| body.span).collect::<Option<Vec<u32>>>() else { return };
    spans.dedup();
    let is_less = |length: usize| length * 8 < chunk.bytes.len() * EIGHTHS_MAX;
    let length = |span: &u32| chunk.places().spans[*span as usize].field.len();
    if !is_less(spans.iter().map(length).sum()) {
        return;
    }
    // Without room to spare: it may be held for long.
    let bytes = Bytes::from(part(&chunk, &spans).into_boxed_slice());
    let copied =
        scan(Signal::Traces, &bytes).ok().filter(|scanned| scanned.receipt.spans.len() == spans.len());
    debug_assert!(copied.is_some(), "what was read once is read again");
    let Some(copied) = copied.filter(|_| is_less(bytes.len())) else { return };
    share_record(&chunk, &spans, copied.receipt.spans.first().map(|span| &span.body));
    let mut at = 0;
    for body in bodies {
        while spans[at] != body.span.unwrap_or_default() {
            at += 1;
        }
        **body = copied.receipt.spans[at].body.clone();
    }
}

/// The record of `old` is that of `new` as well, which has these spans of it.
fn share_record(old: &Chunk, spans: &[u32], new: Option<&Body>) {
    if let Some((keepsake, new)) = old.keepsake.get().zip(new) {
        let _ = new.chunk.keepsake.set(keepsake.clone());
        let _ = new.chunk.numbers.set(old.on_record(spans.iter().copied()).into());
    }
}

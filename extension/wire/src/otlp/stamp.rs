//! Writing what sampling has decided into a span: its tracestate, and why it was kept.

use policy::Stamp;
use policy::sampling::trace_state::rewrite;

use super::facts::has_attribute;
use super::scan::{SPAN_ATTRIBUTES, SPAN_TRACE_STATE};
use crate::proto::{Value, fields, put_bytes, put_message};

/// The attribute that says why a span was kept, which its trace's place in the sample does not.
pub(super) const REASON: &str = "sampling.reason";

/// The content of a span after `stamp`.
///
/// Shape: the tracestate is replaced where it stands, or appended; the reason is appended, unless the span has
/// one. Everything else stays byte for byte. The span has been scanned, so it is whole.
pub(super) fn stamped(span: &[u8], stamp: &Stamp) -> Vec<u8> {
    let state = rewrite(trace_state(span), stamp.threshold);
    let mut out = Vec::with_capacity(span.len() + 64);
    let (mut is_written, mut copied, mut walk) = (state.is_none(), 0, fields(span));
    while let (Some(state), Ok(Some(field))) = (&state, walk.next()) {
        if field.number == SPAN_TRACE_STATE {
            out.extend_from_slice(&span[copied..field.start]);
            copied = field.end;
            if !core::mem::replace(&mut is_written, true) {
                put_state(&mut out, state);
            }
        }
    }
    out.extend_from_slice(&span[copied..]);
    if let Some(state) = state.filter(|_| !is_written) {
        put_state(&mut out, &state);
    }
    if let Some(reason) = stamp.reason.filter(|_| !has_attribute(span, REASON)) {
        put_reason(&mut out, reason.as_str());
    }
    out
}

/// The reason as an attribute of a span.
pub(super) fn put_reason(out: &mut Vec<u8>, reason: &str) {
    put_message(out, SPAN_ATTRIBUTES, |attribute| {
        put_bytes(attribute, 1, REASON.as_bytes());
        put_message(attribute, 2, |value| put_bytes(value, 1, reason.as_bytes()));
    });
}

/// A tracestate that is empty is left out, as any encoder leaves it out.
pub(super) fn put_state(out: &mut Vec<u8>, state: &str) {
    if !state.is_empty() {
        put_bytes(out, SPAN_TRACE_STATE, state.as_bytes());
    }
}

fn trace_state(span: &[u8]) -> &str {
    let (mut state, mut walk): (&[u8], _) = (&[], fields(span));
    while let Ok(Some(field)) = walk.next() {
        if let (SPAN_TRACE_STATE, Value::Bytes(bytes)) = (field.number, field.value) {
            state = bytes;
        }
    }
    std::str::from_utf8(state).unwrap_or_default()
}

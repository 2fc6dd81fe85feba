//! Spans that were announced: each in bytes of its own, and closed where its function never did.

use bytes::Bytes;
use policy::{Signal, Span, UnixNanos, Value};

use super::chunk::Body;
use super::encode::put_attribute;
use super::resource::content;
use super::scan::{SPAN_ATTRIBUTES, SPAN_END, SPAN_STATUS, key_value, scan};
use super::status::put_error;
use crate::proto::{fields, put_bytes, put_fixed64, put_message};

const ERROR_TYPE: &str = "error.type";
/// Says that a span did not end by itself.
const UNFINISHED: &str = "prefreeze.unfinished";

/// Takes a span out of the request that announced it, so that it holds on to no more than itself.
///
/// Shape: the request of its own that it is in, and the span; `None` for a body that is not a span.
pub fn apart(span: &Span<Body>) -> Option<(Bytes, Span<Body>)> {
    rewritten(&span.body, |out, span| out.extend_from_slice(span))
}

/// The body of a span that was open when its function died at `end`, and its encoded size.
///
/// Shape: every byte of the announcement but its end, its status and its `error.type`, if it had any.
pub(super) fn closed(body: &Body, end: UnixNanos, class: &str) -> Option<(Body, u32)> {
    let (_, span) = rewritten(body, |out, span| {
        let mut walk = fields(span);
        // The scan has walked it before: it is whole.
        while let Ok(Some(field)) = walk.next() {
            let is_class = field.number == SPAN_ATTRIBUTES
                && key_value(field.value.bytes()).is_ok_and(|(key, _)| key == ERROR_TYPE.as_bytes());
            if !is_class && !matches!(field.number, SPAN_END | SPAN_STATUS) {
                out.extend_from_slice(&span[field.start..field.end]);
            }
        }
        put_fixed64(out, SPAN_END, end.0);
        put_attribute(out, ERROR_TYPE, &Value::Text(class.into()));
        put_attribute(out, UNFINISHED, &Value::Flag(true));
        put_error(out, class);
    })?;
    // What was put on record with the announcement stays there until this is settled: should our process be killed, the
    // next one closes the span again.
    span.body.keep(body.clone());
    Some((span.body, span.size))
}

/// The span in a request of its own, under the same resource and scope; `put` writes its message anew.
fn rewritten(body: &Body, put: impl FnOnce(&mut Vec<u8>, &[u8])) -> Option<(Bytes, Span<Body>)> {
    let chunk = &body.chunk;
    let at = chunk.places().spans.get(body.span? as usize)?;
    let scope = chunk.places().scopes.get(at.scope as usize)?;
    let group = chunk.places().groups.get(scope.group as usize)?;
    let mut request = Vec::new();
    put_message(&mut request, 1, |out| {
        out.extend_from_slice(group.resource.map_or(&[], |resource| chunk.slice(resource)));
        put_message(out, 2, |out| {
            scope.rest.iter().for_each(|rest| out.extend_from_slice(chunk.slice(*rest)));
            let mut span = Vec::new();
            put(&mut span, content(chunk.slice(at.field)));
            put_bytes(out, 2, &span);
        });
        group.rest.iter().for_each(|rest| out.extend_from_slice(chunk.slice(*rest)));
    });
    let request = Bytes::from(request);
    let span = scan(Signal::Traces, &request).ok()?.receipt.spans.pop()?;
    Some((request, span))
}

//! Encoding the spans that policy makes from the platform's events.

use policy::sampling::trace_state::rewrite;
use policy::{Kind, Link, PlatformSpan, Stamp, Value};

use super::resource::{Identity, SCHEMA_URL};
use super::stamp::{put_reason, put_state};
use super::status::put_error;
use crate::proto::{put_bytes, put_fixed64, put_message, put_number};

/// The instrumentation scope of the spans and metrics made here.
const SCOPE_NAME: &str = "prefreeze.lambda";
const SCOPE_VERSION: &str = env!("CARGO_PKG_VERSION");

/// A `ResourceSpans` field that holds `spans`.
pub(super) fn put_made(out: &mut Vec<u8>, spans: &[(&PlatformSpan, Option<&Stamp>)], identity: &Identity) {
    put_message(out, 1, |group| {
        put_bytes(group, 1, &identity.resource());
        put_message(group, 2, |scope_spans| {
            put_message(scope_spans, 1, put_scope);
            for (span, stamp) in spans {
                put_message(scope_spans, 2, |out| put_span(out, span, *stamp));
            }
            put_bytes(scope_spans, 3, SCHEMA_URL.as_bytes());
        });
        put_bytes(group, 3, SCHEMA_URL.as_bytes());
    });
}

/// The content of the scope of everything made here.
pub(super) fn put_scope(scope: &mut Vec<u8>) {
    put_bytes(scope, 1, SCOPE_NAME.as_bytes());
    put_bytes(scope, 2, SCOPE_VERSION.as_bytes());
}

fn put_span(out: &mut Vec<u8>, span: &PlatformSpan, stamp: Option<&Stamp>) {
    put_bytes(out, 1, span.trace_id.bytes());
    put_bytes(out, 2, span.span_id.bytes());
    if let Some(state) = stamp.and_then(|stamp| rewrite("", stamp.threshold)) {
        put_state(out, &state);
    }
    if let Some(parent) = &span.parent {
        put_bytes(out, 4, parent.bytes());
    }
    put_bytes(out, 5, span.name.as_bytes());
    put_number(out, 6, kind_code(span.kind));
    put_fixed64(out, 7, span.start.0);
    put_fixed64(out, 8, span.end.0);
    for (key, value) in &span.attributes {
        put_attribute(out, key, value);
    }
    if let Some(class) = &span.error_type {
        put_attribute(out, "error.type", &Value::Text(class.clone()));
    }
    if let Some(reason) = stamp.and_then(|stamp| stamp.reason) {
        put_reason(out, reason.as_str());
    }
    for link in &span.links {
        put_message(out, 13, |out| put_link(out, link));
    }
    if let Some(class) = &span.error_type {
        put_error(out, class);
    }
}

pub(super) fn put_attribute(out: &mut Vec<u8>, key: &str, value: &Value) {
    put_message(out, 9, |attribute| {
        put_bytes(attribute, 1, key.as_bytes());
        put_message(attribute, 2, |any| match value {
            Value::Text(text) => put_bytes(any, 1, text.as_bytes()),
            Value::Flag(flag) => put_number(any, 2, u64::from(*flag)),
            Value::Int(number) => put_number(any, 3, number.cast_unsigned()),
        });
    });
}

fn put_link(out: &mut Vec<u8>, link: &Link) {
    put_bytes(out, 1, link.trace_id.bytes());
    put_bytes(out, 2, link.span_id.bytes());
}

const fn kind_code(kind: Kind) -> u64 {
    match kind {
        Kind::Unspecified => 0,
        Kind::Internal => 1,
        Kind::Server => 2,
        Kind::Client => 3,
        Kind::Producer => 4,
        Kind::Consumer => 5,
    }
}

//! What the tests of whole requests share: values and requests in short, and guards by their rules.

use bytes::Bytes;
use guard::{Guard, Limits, Redaction, Rules};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;

pub(crate) const CARD: &str = "4111111111111111";
pub(crate) const MASKED: &str = "411111******1111";

pub(crate) fn any(value: Value) -> AnyValue {
    AnyValue { value: Some(value) }
}

pub(crate) fn pair(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.into(), value: Some(any(value)), ..KeyValue::default() }
}

pub(crate) fn text(key: &str, value: &str) -> KeyValue {
    pair(key, Value::StringValue(value.into()))
}

pub(crate) fn guard(rules: &str) -> Guard {
    let (redaction, faults) = Redaction::parse(rules, Some(b"key"));
    assert_eq!(faults, Vec::<String>::new());
    Guard::new(Rules { redaction, limits: Limits::NONE, attributes: None }).expect("there is something to do")
}

pub(crate) fn limited(limits: Limits) -> Guard {
    Guard::new(Rules { redaction: Redaction::default(), limits, attributes: None })
        .expect("there is something to do")
}

pub(crate) fn one_span(attributes: Vec<KeyValue>) -> Bytes {
    let span = Span { trace_id: vec![1; 16], span_id: vec![3; 8], attributes, ..Span::default() };
    request(span)
}

pub(crate) fn request(span: Span) -> Bytes {
    let scope_spans = vec![ScopeSpans { spans: vec![span], ..ScopeSpans::default() }];
    let group = ResourceSpans { scope_spans, ..ResourceSpans::default() };
    ExportTraceServiceRequest { resource_spans: vec![group] }.encode_to_vec().into()
}

pub(crate) fn span_of(guarded: &Bytes) -> Span {
    let request = ExportTraceServiceRequest::decode(&guarded[..]).expect("decodes");
    request.resource_spans[0].scope_spans[0].spans[0].clone()
}

pub(crate) fn attributes(span: &Span) -> Vec<(String, String)> {
    let shown = |value: &Option<AnyValue>| match value.as_ref().and_then(|any| any.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        other => format!("{other:?}"),
    };
    span.attributes.iter().map(|pair| (pair.key.clone(), shown(&pair.value))).collect()
}

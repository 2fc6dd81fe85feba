//! What policy asks of a received span, against what the sender's own types say.

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use policy::{Body as _, Fact, Signal};
use proptest::collection::vec;
use proptest::prelude::*;
use prost::Message;
use wire::otlp::{Body, scan};
use wire::proto::put_bytes;

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

fn span(id: u8, name: &str, attributes: Vec<KeyValue>) -> Span {
    Span {
        trace_id: vec![1; 16],
        span_id: vec![id; 8],
        trace_state: format!("ot=th:{id},other=1"),
        name: name.to_owned(),
        attributes,
        ..Span::default()
    }
}

/// Two services, each with a resource of its own; the first has two spans.
fn bodies() -> Vec<Body> {
    let group = |service: &str, spans: Vec<Span>| ResourceSpans {
        resource: Some(Resource {
            attributes: vec![attribute("service.name", Value::StringValue(service.into()))],
            ..Resource::default()
        }),
        scope_spans: spans
            .into_iter()
            .map(|span| ScopeSpans { spans: vec![span], ..ScopeSpans::default() })
            .collect(),
        ..ResourceSpans::default()
    };
    let values = vec![
        attribute("text", Value::StringValue("a".into())),
        attribute("text", Value::StringValue("b".into())),
        attribute("int", Value::IntValue(-3)),
        attribute("double", Value::DoubleValue(0.5)),
        attribute("flag", Value::BoolValue(true)),
        attribute("array", Value::ArrayValue(ArrayValue::default())),
        attribute("bytes", Value::BytesValue(vec![1])),
        KeyValue { key: "nothing".into(), value: None, ..KeyValue::default() },
    ];
    let request = ExportTraceServiceRequest {
        resource_spans: vec![
            group("pay", vec![span(1, "first", values), span(2, "second", Vec::new())]),
            group("ship", vec![span(3, "third", Vec::new())]),
        ],
    };
    let scanned = scan(Signal::Traces, &Bytes::from(request.encode_to_vec())).expect("prost writes it");
    scanned.receipt.spans.into_iter().map(|span| span.body).collect()
}

#[test]
fn every_kind_of_value_is_read() {
    let bodies = bodies();
    let rows = [
        ("text", Some(Fact::Text("a"))),
        ("int", Some(Fact::Int(-3))),
        ("double", Some(Fact::Double(0.5))),
        ("flag", Some(Fact::Flag(true))),
        ("array", None),
        ("bytes", None),
        ("nothing", None),
        ("missing", None),
        ("tex", None),
    ];
    for (key, fact) in rows {
        assert_eq!(bodies[0].attribute(key), fact, "{key}");
        assert_eq!(bodies[1].attribute(key), None, "{key} belongs to another span");
    }
}

/// A span's field: what prost writes of a span that has nothing else.
fn field() -> impl Strategy<Value = Span> {
    let name = "[a-z]{0,3}";
    prop_oneof![
        name.prop_map(|name| Span { name, ..Span::default() }),
        name.prop_map(|trace_state| Span { trace_state, ..Span::default() }),
        ("[a-c]", 0..9_i64).prop_map(|(key, value)| Span {
            attributes: vec![attribute(&key, Value::IntValue(value))],
            ..Span::default()
        }),
        (1..9_u32).prop_map(|dropped_attributes_count| Span { dropped_attributes_count, ..Span::default() }),
        // As much as two bytes can count, so that whatever follows lies beyond.
        Just(Span {
            attributes: vec![attribute("large", Value::StringValue("x".repeat(1 << 16)))],
            ..Span::default()
        }),
    ]
}

proptest! {
    #[test]
    fn whatever_order_the_fields_are_in(fields in vec(field(), 0..12)) {
        let ids = Span { trace_id: vec![1; 16], span_id: vec![1; 8], ..Span::default() };
        for is_last in [false, true] {
            let mut bytes: Vec<u8> = fields.iter().flat_map(Message::encode_to_vec).collect();
            let at = if is_last { bytes.len() } else { 0 };
            bytes.splice(at..at, ids.encode_to_vec());
            let told = Span::decode(bytes.as_slice()).expect("prost wrote it");
            let mut scope = Vec::new();
            put_bytes(&mut scope, 2, &bytes);
            let (mut group, mut request) = (Vec::new(), Vec::new());
            put_bytes(&mut group, 2, &scope);
            put_bytes(&mut request, 1, &group);
            let scanned = scan(Signal::Traces, &request.into()).expect("prost wrote it");
            let body = &scanned.receipt.spans[0].body;
            prop_assert_eq!((body.name(), body.trace_state()), (told.name.as_str(), told.trace_state.as_str()));
            let first = |key: &str| {
                let value = told.attributes.iter().find(|known| known.key == key)?.value.as_ref()?.value.as_ref()?;
                match value {
                    Value::IntValue(number) => Some(Fact::Int(*number)),
                    Value::StringValue(text) => Some(Fact::Text(text)),
                    _ => None,
                }
            };
            let keys = ["a", "b", "large", "c", "a", "none"];
            prop_assert_eq!(body.attributes(keys), keys.map(first));
            prop_assert_eq!(keys.map(|key| body.attribute(key)), keys.map(first));
        }
    }
}

#[test]
fn each_span_answers_for_itself_and_its_own_resource() {
    let seen: Vec<_> = bodies()
        .iter()
        .map(|body| {
            let service = body.resource("service.name").and_then(Fact::text).unwrap_or_default();
            (body.name().to_owned(), body.trace_state().to_owned(), service.to_owned())
        })
        .collect();
    let row =
        |name: &str, state: &str, service: &str| (name.to_owned(), state.to_owned(), service.to_owned());
    assert_eq!(
        seen,
        [
            row("first", "ot=th:1,other=1", "pay"),
            row("second", "ot=th:2,other=1", "pay"),
            row("third", "ot=th:3,other=1", "ship"),
        ]
    );
}

#[test]
fn metrics_and_logs_answer_nothing() {
    use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
    use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};

    let scope_logs = vec![ScopeLogs { log_records: vec![LogRecord::default()], ..ScopeLogs::default() }];
    let request = ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs { scope_logs, ..ResourceLogs::default() }],
    };
    let scanned = scan(Signal::Logs, &Bytes::from(request.encode_to_vec())).expect("valid");
    let body = &scanned.receipt.parcels[0].body;
    assert_eq!((body.name(), body.attribute("a"), body.resource("service.name")), ("", None, None));
}

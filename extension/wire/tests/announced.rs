//! Announced spans, taken apart and closed: nothing of them changes but their end.

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use policy::{Body as _, Content, Entry, Signal, UnixNanos};
use prost::Message;
use wire::otlp::{Body, Identity, apart, request, scan};

fn attribute(key: &str, value: any_value::Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, any_value::Value::StringValue(value.to_owned()))
}

fn span(id: u8) -> Span {
    Span {
        trace_id: vec![1; 16],
        span_id: vec![id; 8],
        parent_span_id: vec![9; 8],
        trace_state: "a=b".into(),
        name: format!("span {id}"),
        kind: 2,
        start_time_unix_nano: 1_000,
        attributes: vec![text("faas.invocation_id", "r-1"), text("payment", "p-1")],
        flags: 0x101,
        ..Span::default()
    }
}

/// A request with two spans of one scope, and one of another.
fn announcement(spans: [Span; 3]) -> ExportTraceServiceRequest {
    let [one, two, three] = spans;
    let scope = |name: &str, spans| ScopeSpans {
        scope: Some(InstrumentationScope { name: name.into(), ..InstrumentationScope::default() }),
        spans,
        schema_url: "https://example.com/scope".into(),
    };
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(Resource { attributes: vec![text("service.name", "pay")], ..Resource::default() }),
            scope_spans: vec![scope("first", vec![one, two]), scope("second", vec![three])],
            schema_url: "https://example.com/resource".into(),
        }],
    }
}

fn bodies(announcement: &ExportTraceServiceRequest) -> Vec<policy::Span<Body>> {
    let bytes = Bytes::from(announcement.encode_to_vec());
    scan(Signal::Traces, &bytes).expect("prost writes valid messages").receipt.spans
}

fn sent(body: Body, size: u32) -> ExportTraceServiceRequest {
    let content = Content::Received(body);
    let entry = Entry {
        signal: Signal::Traces,
        count: 1,
        size,
        is_precious: true,
        content,
        stamp: None,
        shared: None,
    };
    let bytes = request(&[entry], &Identity::default());
    ExportTraceServiceRequest::decode(bytes.as_slice()).expect("what is spliced is a valid request")
}

#[test]
fn a_span_that_is_taken_apart_is_what_it_was_under_what_it_was() {
    let announcement = announcement([span(1), span(2), span(3)]);
    for (index, whole) in bodies(&announcement).iter().enumerate() {
        let (bytes, alone) = apart(whole).expect("it is a span");
        let (spans, scope) = ([0, 0, 1][index], [0, 1, 0][index]);
        let mut expected = announcement.clone();
        let group = &mut expected.resource_spans[0];
        group.scope_spans = vec![group.scope_spans.remove(spans)];
        group.scope_spans[0].spans = vec![group.scope_spans[0].spans.remove(scope)];
        assert_eq!(ExportTraceServiceRequest::decode(bytes).expect("valid"), expected);
        assert_eq!((alone.span_id, alone.request_id.as_deref()), (whole.span_id, Some("r-1")));
        assert_eq!(sent(alone.body, alone.size), expected);
    }
}

#[test]
fn a_span_that_is_closed_differs_in_its_end_alone() {
    let mut begun = span(2);
    // What an SDK says of a span that has not ended is worth nothing.
    begun.end_time_unix_nano = 1_000;
    begun.status = Some(Status { code: StatusCode::Ok.into(), message: "fine".into() });
    begun.attributes.push(text("error.type", "none"));
    let announced = bodies(&announcement([span(1), begun, span(3)]));
    let (closed, size) = announced[1].body.closed(UnixNanos(5_000), "timeout").expect("it is a span");
    let sent = sent(closed, size);
    let mut expected = span(2);
    expected.end_time_unix_nano = 5_000;
    expected.status =
        Some(Status { code: StatusCode::Error.into(), message: "the invocation timed out".into() });
    expected.attributes.push(text("error.type", "timeout"));
    expected.attributes.push(attribute("prefreeze.unfinished", any_value::Value::BoolValue(true)));
    let scope = &sent.resource_spans[0].scope_spans[0];
    assert_eq!(scope.spans, [expected]);
    assert_eq!(scope.scope.as_ref().map(|scope| scope.name.as_str()), Some("first"));
    assert_eq!(
        sent.resource_spans[0].resource,
        announcement([span(1), span(2), span(3)]).resource_spans[0].resource
    );
    assert_eq!(size as usize, prost_field_len(scope.spans[0].encoded_len()));
}

/// A length-delimited field of a small number: its tag, its length, its content.
fn prost_field_len(length: usize) -> usize {
    1 + prost::length_delimiter_len(length) + length
}

#[test]
fn only_spans_can_be_taken_apart_or_closed() {
    use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
    use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
    let scope_logs = vec![ScopeLogs { log_records: vec![LogRecord::default()], ..ScopeLogs::default() }];
    let logs = ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs { scope_logs, ..ResourceLogs::default() }],
    };
    let scanned = scan(Signal::Logs, &Bytes::from(logs.encode_to_vec())).expect("valid");
    let body = scanned.receipt.parcels[0].body.clone();
    assert!(body.closed(UnixNanos(1), "timeout").is_none());
}

/// A record that shows whether it is still held.
struct OnRecord(#[expect(dead_code, reason = "held to be dropped")] std::sync::Arc<()>);

impl wire::otlp::Record for OnRecord {
    fn leave_out(&self, _spans: &[u32]) {}
}

#[test]
fn what_an_announcement_keeps_is_let_go_with_the_closed_span() {
    let spans = bodies(&announcement([span(1), span(2), span(3)]));
    let (_, open) = apart(&spans[0]).expect("it is a span");
    let settled = std::sync::Arc::new(());
    open.body.keep(OnRecord(settled.clone()));
    let (closed, _) = open.body.closed(UnixNanos(2_000), "timeout").expect("it is a span");
    drop((open, spans));
    assert_eq!(std::sync::Arc::strong_count(&settled), 2, "it is still on record");
    drop(closed);
    assert_eq!(std::sync::Arc::strong_count(&settled), 1);
}

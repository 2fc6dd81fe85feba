//! Requests that are well-formed HTTP and bad for whoever reads them: each has its answer, and the next one works.

use std::io::Write;
use std::net::TcpStream;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value as Any};
use prost::Message;
use tests::collector::Answer;
use tests::http1::Headers;
use tests::otlp::{Ids, traces};

use super::world::{World, protobuf, server_span, span};

/// Far deeper than any stack could follow, were it followed one call for each level.
const DEPTH: usize = 100_000;

fn json() -> Headers {
    Headers::from([("Content-Type", "application/json")])
}

/// A field of protobuf whose content has a length.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![number << 3 | 2];
    prost::encoding::encode_varint(content.len() as u64, &mut bytes);
    bytes.extend_from_slice(content);
    bytes
}

/// A request with one span, to which these bytes of fields are added.
fn with_fields(name: &str, seed: u64, fields: &[u8]) -> Vec<u8> {
    let mut bytes = span(name, Ids::new(seed)).encode_to_vec();
    bytes.extend_from_slice(fields);
    field(1, &field(2, &field(2, &bytes)))
}

/// Lists within lists, written from the inside out: backwards, or every level would copy all those within it.
fn deep_value() -> Vec<u8> {
    let mut backwards: Vec<u8> = Vec::new();
    let wrap = |backwards: &mut Vec<u8>, tag: u8| {
        let mut head = vec![tag];
        prost::encoding::encode_varint(backwards.len() as u64, &mut head);
        backwards.extend(head.iter().rev());
    };
    for _ in 0..DEPTH {
        wrap(&mut backwards, 1 << 3 | 2);
        wrap(&mut backwards, 5 << 3 | 2);
    }
    backwards.reverse();
    backwards
}

/// The answer's status is one of these, and an invocation after it arrives as if nothing had been.
#[track_caller]
fn assert_answered(what: &str, headers: &Headers, body: &[u8], allowed: &[u16]) {
    let world = World::start();
    let status = world.platform.post_otlp("/v1/traces", body, headers).status;
    assert!(allowed.contains(&status), "{what}: {status}");
    world.invoke_well("r-well", 99);
    let summary = world.close();
    let names = world.names();
    assert!(names.iter().any(|name| name == "r-well"), "{what}: {names:?}, {}", summary.0);
}

#[test]
fn what_is_deep_or_no_text_is_answered_and_spoils_nothing_else() {
    let nested = |open: &str, close: &str| {
        let value = format!("{}{}", open.repeat(DEPTH), close.repeat(DEPTH));
        format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{"attributes":{value}}}]}}]}}]}}"#)
    };
    let attribute = |value: &[u8]| field(9, &[field(1, b"key"), field(2, value)].concat());
    let deep = with_fields("deep", 1, &attribute(&deep_value()));
    let groups = vec![0x0b; DEPTH];
    assert_answered("deep JSON lists", &json(), nested("[", "]").as_bytes(), &[200]);
    assert_answered("deep JSON objects", &json(), nested(r#"{"a":"#, "}").as_bytes(), &[400]);
    assert_answered("deep protobuf", &protobuf(), &deep, &[200, 400]);
    assert_answered("deep protobuf groups", &protobuf(), &groups, &[400]);
    let not_text = b"\xff\xfe\xc0\xaf";
    let name = with_fields("name", 1, &field(5, not_text));
    assert_answered("a name that is no UTF-8", &protobuf(), &name, &[200, 400]);
    let value = with_fields("value", 1, &attribute(&field(1, not_text)));
    assert_answered("a value that is no UTF-8", &protobuf(), &value, &[200, 400]);
}

#[test]
fn a_span_that_no_backend_can_read_costs_itself_alone() {
    let world = World::start();
    world.collector.always(Answer::Strict);
    world.invoke("r-1");
    let not_text = b"\xff\xfe";
    let cut_off = [0x0a, 9, b'k'];
    let poisons = [
        field(5, not_text),
        field(3, not_text),
        field(9, &field(1, not_text)),
        field(9, &field(2, &field(1, not_text))),
        field(9, &cut_off),
        field(11, &field(2, not_text)),
        field(15, &field(2, not_text)),
        // A kind that is not a number.
        field(6, b"server"),
    ];
    for (seed, poison) in (10..).zip(&poisons) {
        let answer = world.post("/v1/traces", &with_fields("bad", seed, poison));
        let told = ExportTraceServiceResponse::decode(&answer.body[..]).expect("an answer of OTLP");
        let partial = told.partial_success.expect("it is told");
        assert_eq!(
            (answer.status, partial.rejected_spans),
            (200, 1),
            "{poison:?}: {}",
            partial.error_message
        );
    }
    world.post_spans([server_span("r-1", Ids::new(2), "r-1")]);
    world.platform.wait_next();
    world.span("r-1");
    assert_eq!(world.close().dropped(), 0);
}

#[test]
fn metrics_and_logs_that_no_backend_can_read_are_refused_and_spoil_nothing() {
    let world = World::start();
    world.collector.always(Answer::Strict);
    world.invoke("r-1");
    // Under a scope: a metric whose unit, and a record whose severity, is no text.
    for (path, number) in [("/v1/metrics", 3), ("/v1/logs", 3)] {
        let body = field(1, &field(2, &field(2, &field(number, b"\xff\xfe"))));
        let answer = world.post(path, &body);
        let told = ExportTraceServiceResponse::decode(&answer.body[..]).expect("an answer of OTLP");
        let refused = told.partial_success.expect("it is told").rejected_spans;
        assert_eq!((answer.status, refused), (200, 1), "{path}");
    }
    world.post_spans([server_span("r-1", Ids::new(2), "r-1")]);
    world.platform.wait_next();
    world.span("r-1");
    assert_eq!(world.close().dropped(), 0);
}

#[test]
fn a_span_with_a_hundred_thousand_attributes_arrives() {
    let world = World::start();
    world.invoke("r-1");
    let mut wide = server_span("wide", Ids::new(1), "r-1");
    wide.attributes.extend((0..100_000).map(|number| KeyValue {
        key: format!("key-{number}"),
        value: Some(AnyValue { value: Some(Any::IntValue(number)) }),
        ..KeyValue::default()
    }));
    world.post_spans([wide]);
    world.platform.wait_next();
    let arrived = world.expect_span("wide").span;
    assert_eq!((arrived.attributes.len(), arrived.dropped_attributes_count), (128, 99_873), "docs/limits.md");
    assert_eq!(world.close().dropped(), 0);
}

#[test]
fn trace_headers_of_a_request_are_not_believed() {
    let world = World::start();
    world.invoke("r-1");
    let mut headers = protobuf();
    for bad in ["00-0-0-00", "00-ffffffffffffffffffffffffffffffff-ffffffffffffffff-01", "\u{fc}", ""] {
        headers.0.push(("traceparent".to_owned(), bad.to_owned()));
    }
    headers.0.push(("baggage".to_owned(), format!("a={}", "b".repeat(60_000))));
    let body = traces([server_span("root", Ids::new(1), "r-1")]).encode_to_vec();
    assert_eq!(world.platform.post_otlp("/v1/traces", &body, &headers).status, 200);
    world.platform.wait_next();
    assert_eq!(world.span("root").span.trace_id, Ids::new(1).trace);
    assert_eq!(world.close().dropped(), 0);
}

#[test]
fn half_a_chunk_and_then_silence_holds_up_nothing() {
    let world = World::start();
    world.invoke("r-1");
    let mut stalled = TcpStream::connect(world.platform.receiver()).expect("it listens");
    let head = "POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\n";
    let half = format!("{head}Transfer-Encoding: chunked\r\n\r\nff\r\nhalf");
    stalled.write_all(half.as_bytes()).expect("it reads");
    world.post_spans([server_span("root", Ids::new(1), "r-1")]);
    world.platform.wait_next();
    world.span("root");
    let summary = world.close();
    assert_eq!((summary.count("received"), summary.dropped()), (1, 0));
}

//! The receiver's answers to the function: those that the OTLP specification asks for, to good requests and bad.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;
use tests::http1::{Connection, Headers, send, send_on};
use tests::otlp::{Ids, traces};

use super::world::{World, protobuf, server_span, span};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).expect("a vector takes every byte");
    encoder.finish().expect("a vector takes every byte")
}

/// The status of a POST with these header fields.
fn status(world: &World, path: &str, headers: &Headers, body: &[u8]) -> u16 {
    world.platform.post_otlp(path, body, headers).status
}

#[test]
fn good_spans_are_answered_200_and_protobuf() {
    let world = World::start();
    let response = world.post("/v1/traces", &traces([span("one", Ids::new(1))]).encode_to_vec());
    assert_eq!((response.status, response.body.len()), (200, 0));
    assert_eq!(response.headers.get("content-type"), Some("application/x-protobuf"));
}

#[test]
fn a_connection_may_be_kept() {
    let world = World::start();
    let stream = TcpStream::connect(world.platform.receiver()).expect("it listens");
    let mut connection = Connection::new(stream);
    for seed in 1..=3 {
        let body = traces([span("kept", Ids::new(seed))]).encode_to_vec();
        let response = send_on(&mut connection, "POST", "/v1/traces", &protobuf(), &body);
        assert_eq!(response.expect("an answer").status, 200);
    }
}

#[test]
fn gzip_is_understood() {
    let world = World::start();
    world.invoke("r-1");
    let headers = Headers::from([("Content-Type", "application/x-protobuf"), ("Content-Encoding", "gzip")]);
    let body = gzip(&traces([server_span("root", Ids::new(1), "r-1")]).encode_to_vec());
    assert_eq!(status(&world, "/v1/traces", &headers, &body), 200);
    world.platform.wait_next();
    world.span("root");
}

#[test]
fn zstd_is_understood() {
    let world = World::start();
    world.invoke("r-1");
    let headers = Headers::from([("Content-Type", "application/x-protobuf"), ("Content-Encoding", "zstd")]);
    let body = traces([server_span("root", Ids::new(1), "r-1")]).encode_to_vec();
    assert_eq!(status(&world, "/v1/traces", &headers, &zstd::encode_all(&body[..], 3).expect("memory")), 200);
    world.platform.wait_next();
    world.span("root");
    assert_eq!(status(&world, "/v1/traces", &headers, &body), 400);
}

#[test]
fn a_chunked_body_is_understood() {
    let world = World::start();
    world.invoke("r-1");
    let body = traces([server_span("root", Ids::new(1), "r-1")]).encode_to_vec();
    let mut chunks = Vec::new();
    for chunk in body.chunks(7) {
        chunks.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
        chunks.extend(chunk);
        chunks.extend(b"\r\n");
    }
    chunks.extend(b"0\r\n\r\n");
    let headers =
        Headers::from([("Content-Type", "application/x-protobuf"), ("Transfer-Encoding", "chunked")]);
    assert_eq!(status(&world, "/v1/traces", &headers, &chunks), 200);
    world.platform.wait_next();
    world.span("root");
}

#[test]
fn bad_requests_are_told_apart() {
    let world = World::start();
    let good = traces([span("one", Ids::new(1))]).encode_to_vec();
    let text = Headers::from([("Content-Type", "text/csv")]);
    let rot13 = Headers::from([("Content-Type", "application/x-protobuf"), ("Content-Encoding", "rot13")]);
    let gzip = Headers::from([("Content-Type", "application/x-protobuf"), ("Content-Encoding", "gzip")]);
    assert_eq!(status(&world, "/v1/nothing", &protobuf(), &good), 404);
    assert_eq!(status(&world, "/v1/traces", &protobuf(), b"\xff\xff\xff"), 400);
    assert_eq!(status(&world, "/v1/traces", &text, &good), 415);
    assert_eq!(status(&world, "/v1/traces", &rot13, &good), 415);
    assert_eq!(status(&world, "/v1/traces", &gzip, b"not gzip"), 400);
    let get = send(world.platform.receiver(), "GET", "/v1/traces", &Headers::default(), b"");
    assert_eq!(get.expect("an answer").status, 405);
    assert_eq!(world.close().count("received"), 0);
}

#[test]
fn an_empty_body_is_a_good_request() {
    let world = World::start();
    assert_eq!(status(&world, "/v1/traces", &protobuf(), b""), 200);
    world.close();
    assert!(world.collector.requests().is_empty(), "nothing is not sent on");
}

#[test]
fn spans_with_invalid_ids_are_rejected_by_number() {
    let world = World::start();
    world.invoke("r-1");
    let mut zero = span("zero", Ids::new(1));
    zero.trace_id = vec![0; 16];
    let mut short = span("short", Ids::new(2));
    short.span_id.pop();
    let mut none = span("none", Ids::new(3));
    none.span_id = Vec::new();
    let body = traces([zero, server_span("good", Ids::new(4), "r-1"), short, none]).encode_to_vec();
    let response = world.post("/v1/traces", &body);
    assert_eq!(response.status, 200);
    let answer = ExportTraceServiceResponse::decode(&response.body[..]).expect("protobuf");
    assert_eq!(answer.partial_success.expect("a partial success").rejected_spans, 3);
    world.platform.wait_next();
    assert_eq!(world.names(), ["good"]);
    world.close();
}

#[test]
fn a_gzip_bomb_is_refused_and_survived() {
    let world = World::with(|script| script.env("PREFREEZE_RECEIVER_MAX_BODY_BYTES", "1048576"));
    // A quarter of a gigabyte of zeros: members that follow one another are one body.
    let bomb = gzip(&vec![0; 1 << 20]).repeat(256);
    let headers = Headers::from([("Content-Type", "application/x-protobuf"), ("Content-Encoding", "gzip")]);
    assert_eq!(status(&world, "/v1/traces", &headers, &bomb), 413);
    world.invoke_well("r-1", 1);
    world.span("r-1");
}

/// A request of which only the beginning comes.
fn stall(world: &World) -> Connection {
    let stream = TcpStream::connect(world.platform.receiver()).expect("it listens");
    let mut stalled = Connection::new(stream);
    let head = "POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\n";
    stalled.write(format!("{head}Content-Length: 99\r\n\r\nfrom").as_bytes()).expect("it reads");
    stalled
}

#[test]
fn a_body_that_never_ends_holds_up_no_invocation() {
    let world = World::start();
    world.invoke("r-1");
    let _stalled = stall(&world);
    world.post_spans([server_span("root", Ids::new(1), "r-1")]);
    world.platform.wait_next();
    world.span("root");
}

#[test]
fn a_body_that_never_ends_is_waited_for_once() {
    const INVOCATIONS: u32 = 40;
    // What an invocation waits at least for a request that is being received, if it waits.
    const GRACE: Duration = Duration::from_millis(100);
    let world = World::start();
    let _stalled = stall(&world);
    let began = Instant::now();
    for number in 1..=INVOCATIONS {
        world.invoke_well(&format!("r-{number}"), u64::from(number));
    }
    assert!(began.elapsed() < GRACE * INVOCATIONS, "each was held: {:?}", began.elapsed());
    assert_eq!(world.close().count("exported"), u64::from(INVOCATIONS));
}

#[test]
fn a_body_that_never_ends_holds_up_no_shutdown() {
    let world = World::start();
    let _stalled = stall(&world);
    world.invoke_well("r-1", 1);
    let asked = Instant::now();
    world.close();
    assert!(asked.elapsed() < Duration::from_secs(1), "it took {:?}", asked.elapsed());
}

/// The specification's own example of a span, as `request_id`'s.
const JSON_SPAN: &str = r#"{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"my.service"}}]},"scopeSpans":[{"scope":{"name":"my.library","version":"1.0.0"},"spans":[{"traceId":"5B8EFFF798038103D269B633813FC60C","spanId":"EEE19B7EC3C1B174","parentSpanId":"EEE19B7EC3C1B173","name":"json","kind":2,"startTimeUnixNano":"1795000000000000000","endTimeUnixNano":"1795000000010000000","attributes":[{"key":"faas.invocation_id","value":{"stringValue":"r-1"}},{"key":"n","value":{"intValue":"-7"}}],"aFieldOfTheFuture":{"x":[null]}}]}]}]}"#;

#[test]
fn json_is_understood_and_answered_in_json() {
    let world = World::start();
    world.invoke("r-1");
    let json = Headers::from([("Content-Type", "application/json; charset=utf-8")]);
    let response = world.platform.post_otlp("/v1/traces", JSON_SPAN.as_bytes(), &json);
    assert_eq!((response.status, &response.body[..]), (200, &b"{}"[..]));
    assert_eq!(response.headers.get("content-type"), Some("application/json"));
    world.platform.wait_next();
    let seen = world.span("json");
    assert_eq!(seen.span.trace_id, 0x5B8E_FFF7_9803_8103_D269_B633_813F_C60C_u128.to_be_bytes());
    assert_eq!((seen.span.kind, seen.span.start_time_unix_nano), (2, 1_795_000_000_000_000_000));
}

#[test]
fn gzipped_json_is_understood() {
    let world = World::start();
    world.invoke("r-1");
    let headers = Headers::from([("Content-Type", "application/json"), ("Content-Encoding", "gzip")]);
    assert_eq!(status(&world, "/v1/traces", &headers, &gzip(JSON_SPAN.as_bytes())), 200);
    world.platform.wait_next();
    world.span("json");
}

#[test]
fn bad_json_is_refused_in_json_and_costs_nothing_else() {
    let world = World::start();
    let json = Headers::from([("Content-Type", "application/json")]);
    for bad in [&b""[..], b"[]", b"{", b"\xff\xfe", br#"{"resourceSpans":[{"scopeSpans":7}]}"#] {
        let response = world.platform.post_otlp("/v1/traces", bad, &json);
        assert_eq!(response.status, 400);
        let body: serde_json::Value = serde_json::from_slice(&response.body).expect("an answer in JSON");
        assert!(body["message"].as_str().is_some_and(|why| why.contains("line 1")), "{body}");
    }
    let half = JSON_SPAN.replace("EEE19B7EC3C1B174", "no id");
    let response = world.platform.post_otlp("/v1/traces", half.as_bytes(), &json);
    let body: serde_json::Value = serde_json::from_slice(&response.body).expect("an answer in JSON");
    assert_eq!((response.status, &body["partialSuccess"]["rejectedSpans"]), (200, &"1".into()));
    world.invoke_well("r-1", 1);
    world.span("r-1");
}

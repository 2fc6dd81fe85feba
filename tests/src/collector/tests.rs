//! The backend against plain HTTP clients: what it records, and each way of answering.

use std::io::{ErrorKind, Write};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use prost::Message;

use super::{Answer, Collector, Decoded};
use crate::http1::{Connection, Headers, Response, send, send_on};
use crate::otlp::{Ids, span, traces};

const PROTOBUF: (&str, &str) = ("Content-Type", "application/x-protobuf");

fn body() -> Vec<u8> {
    traces([span("work", Ids::new(1))]).encode_to_vec()
}

fn post(collector: &Collector) -> std::io::Result<Response> {
    send(collector.address(), "POST", "/v1/traces", &Headers::from([PROTOBUF]), &body())
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).expect("a vector takes every byte");
    encoder.finish().expect("a vector takes every byte")
}

#[test]
fn a_request_is_recorded_and_decoded() {
    let collector = Collector::start();
    assert_eq!(post(&collector).expect("an answer").status, 200);
    let request = &collector.requests()[0];
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/v1/traces"));
    assert_eq!(request.headers.get("content-type"), Some("application/x-protobuf"));
    assert_eq!(request.wire, body());
    assert_eq!(collector.spans()[0].span.name, "work");
}

#[test]
fn gzip_members_in_a_row_are_one_body() {
    let collector = Collector::start();
    let wire = [gzip(&body()), gzip(&body())].concat();
    let headers = Headers::from([PROTOBUF, ("Content-Encoding", "gzip")]);
    send(collector.address(), "POST", "/v1/traces", &headers, &wire).expect("an answer");
    assert_eq!(collector.spans().len(), 2);
    assert_eq!(collector.requests()[0].wire, wire);
}

#[test]
fn a_body_that_makes_no_sense_is_recorded_not_fatal() {
    let collector = Collector::start();
    let headers = Headers::from([PROTOBUF]);
    let answer = send(collector.address(), "POST", "/v1/traces", &headers, b"\xff\xff").expect("an answer");
    assert_eq!(answer.status, 200);
    assert!(matches!(collector.requests()[0].decoded, Decoded::Undecodable(_)));
}

#[test]
fn answers_come_in_the_order_of_the_queue_then_the_standing_one() {
    let collector = Collector::start();
    collector.answer([Answer::retry_after(503, "2"), Answer::partial_success(1, "no")]);
    collector.always(Answer::status(400));
    let first = post(&collector).expect("an answer");
    assert_eq!((first.status, first.headers.get("retry-after")), (503, Some("2")));
    assert_eq!(post(&collector).expect("an answer").body, [0x0a, 6, 8, 1, 0x12, 2, b'n', b'o']);
    assert_eq!(post(&collector).expect("an answer").status, 400);
    assert_eq!((collector.spans().len(), collector.offered_spans().len()), (1, 3));
}

#[test]
fn every_broken_answer_breaks_the_client_in_its_own_way() {
    let collector = Collector::start();
    let broken =
        [Answer::Reset(0), Answer::Reset(3), Answer::Reset(usize::MAX), Answer::Close, Answer::CutShort];
    collector.answer(broken);
    collector.answer([Answer::Raw(b"SSH-2.0\r\n\r\n".to_vec())]);
    let kinds: Vec<ErrorKind> = (0..6).map(|_| post(&collector).expect_err("broken").kind()).collect();
    use ErrorKind::{ConnectionReset, InvalidData, UnexpectedEof};
    let reset = ConnectionReset;
    assert_eq!(kinds, [reset, reset, reset, UnexpectedEof, UnexpectedEof, InvalidData]);
    assert_eq!(collector.requests()[1].wire.len(), 3);
    assert!(collector.spans().is_empty());
}

#[test]
fn a_held_request_is_answered_when_released() {
    let collector = Collector::start();
    collector.answer([Answer::Hold]);
    std::thread::scope(|scope| {
        let client = scope.spawn(|| post(&collector));
        collector.expect("the held request", |state| state.requests.len() == 1);
        assert_eq!(collector.requests()[0].status, None);
        collector.release();
        assert_eq!(client.join().expect("no panic").expect("an answer").status, 200);
    });
    collector.expect("the answer", |state| state.requests[0].answered.is_some());
}

#[test]
fn a_delayed_answer_comes_after_its_delay() {
    let collector = Collector::start();
    collector.answer([Answer::after(Duration::from_millis(30))]);
    post(&collector).expect("an answer");
    collector.expect("the answer", |state| state.requests[0].answered.is_some());
    let request = &collector.requests()[0];
    assert!(request.answered.expect("answered") - request.arrived >= Duration::from_millis(30));
}

#[test]
fn a_stopped_backend_refuses_and_a_resumed_one_has_the_same_port() {
    let collector = Collector::start();
    collector.stop();
    assert_eq!(post(&collector).expect_err("refused").kind(), ErrorKind::ConnectionRefused);
    collector.resume();
    assert_eq!(post(&collector).expect("an answer").status, 200);
}

#[test]
fn requests_are_counted_by_connection() {
    let collector = Collector::start();
    let stream = std::net::TcpStream::connect(collector.address()).expect("it listens");
    let mut connection = Connection::new(stream);
    for _ in 0..2 {
        send_on(&mut connection, "POST", "/v1/logs", &Headers::default(), b"").expect("an answer");
    }
    drop(connection);
    post(&collector).expect("an answer");
    collector.expect("the close", |state| state.connections[0].closed.is_some());
    let requests: Vec<usize> = collector.state().connections.iter().map(|seen| seen.requests).collect();
    assert_eq!(requests, [2, 1]);
}

#[tokio::test]
async fn an_async_test_waits_without_blocking() {
    let collector = Collector::start();
    let address = collector.address();
    std::thread::spawn(move || send(address, "POST", "/v1/traces", &Headers::default(), b""));
    let is_in_time = collector.wait_for_async(|state| state.requests.len() == 1, super::PATIENCE).await;
    assert!(is_in_time);
}

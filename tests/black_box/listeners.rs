//! The ways in besides the usual port: the Unix socket and the port of gRPC; and what holds when one is taken.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use prost::Message;
use tests::http1::send;
use tests::otlp::{Ids, traces};
use tests::platform::{Invoke, Platform, Script};

use super::world::{LONG, World, protobuf, server_span};

/// Posts one span over the Unix socket, and gives back the beginning of the answer.
fn post_over_socket(path: &Path, request_id: &str) -> String {
    let body = traces([server_span(request_id, Ids::new(1), request_id)]).encode_to_vec();
    let mut stream = UnixStream::connect(path).expect("it listens");
    let head = format!(
        "POST /v1/traces HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/x-protobuf\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(&[head.as_bytes(), &body].concat()).expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer in ASCII");
    answer
}

#[test]
fn spans_come_over_the_socket_which_is_for_its_user_alone() {
    let world = World::start();
    let socket = world.platform.socket();
    assert_eq!(fs::metadata(&socket).expect("it is bound").permissions().mode() & 0o777, 0o600);
    world.invoke("r-1");
    assert!(post_over_socket(&socket, "r-1").starts_with("HTTP/1.1 200 OK\r\n"));
    world.platform.wait_next();
    world.span("r-1");
}

#[test]
fn the_socket_of_a_killed_process_is_taken_over() {
    let script = Script::new();
    let first = Platform::ready(&script);
    first.kill();
    drop(first);
    let second = Platform::ready(&script);
    assert_eq!(second.log("receiver_unavailable").len(), 0);
    UnixStream::connect(second.socket()).expect("the second process listens");
}

#[test]
fn what_is_in_the_place_of_the_socket_stays_there() {
    let script = Script::new();
    let path = script.scratch().join("prefreeze.sock");
    fs::write(&path, "precious").expect("the folder is ours");
    let platform = Platform::ready(&script);
    let said = platform.expect_log("receiver_unavailable", 1);
    assert_eq!(said.len(), 1, "{said:?}");
    assert_eq!(said[0]["setting"], "PREFREEZE_RECEIVER_UDS");
    assert_eq!(fs::read(&path).expect("it is still there"), b"precious");
    platform.spin_down();
}

#[test]
fn each_listener_works_without_the_others() {
    let script = Script::new();
    let http = TcpListener::bind(script.receiver()).expect("a reserved port can be listened on");
    let platform = Platform::ready(&script);
    assert_eq!(platform.expect_log("receiver_unavailable", 1)[0]["setting"], "PREFREEZE_RECEIVER_HTTP");
    // Queued, for who waits until an event was read asks at the port that is taken here.
    platform.queue_next(&Invoke::new("r-1", LONG));
    platform.queue_next(&Invoke::new("r-2", LONG));
    // The port of gRPC takes OTLP/HTTP as well: whatever the first bytes are is spoken.
    let body = traces([server_span("r-1", Ids::new(1), "r-1")]).encode_to_vec();
    let answer = send(platform.grpc_receiver(), "POST", "/v1/traces", &protobuf(), &body);
    assert_eq!(answer.expect("an answer").status, 200);
    assert!(post_over_socket(&platform.socket(), "r-2").starts_with("HTTP/1.1 200 OK\r\n"));
    platform.spin_down();
    assert_eq!(platform.log("summary")[0]["received"], 2);
    drop(http);
}

#[test]
fn a_taken_port_of_grpc_and_a_living_socket_harm_nothing() {
    let port = TcpListener::bind(("127.0.0.1", 0)).expect("a port is free");
    let taken = port.local_addr().expect("it is bound").to_string();
    let script = Script::new().env("PREFREEZE_RECEIVER_GRPC", taken);
    let socket = UnixListener::bind(script.scratch().join("prefreeze.sock")).expect("the folder is ours");
    let platform = Platform::ready(&script);
    let said = platform.expect_log("receiver_unavailable", 2);
    let settings: Vec<_> = said.iter().map(|line| line["setting"].as_str()).collect();
    assert_eq!(settings, [Some("PREFREEZE_RECEIVER_GRPC"), Some("PREFREEZE_RECEIVER_UDS")]);
    let body = traces([server_span("r-1", Ids::new(1), "r-1")]).encode_to_vec();
    platform.answer_next(&Invoke::new("r-1", LONG));
    assert_eq!(platform.post_otlp("/v1/traces", &body, &protobuf()).status, 200);
    platform.spin_down();
    drop((socket, port));
}

#[test]
fn what_is_switched_off_is_not_there() {
    let script = Script::new().env("PREFREEZE_RECEIVER_GRPC", "none").env("PREFREEZE_RECEIVER_UDS", "none");
    let platform = Platform::ready(&script);
    assert!(!platform.socket().exists());
    assert!(std::net::TcpStream::connect(platform.grpc_receiver()).is_err());
    assert_eq!(platform.log("receiver_unavailable").len(), 0);
    platform.spin_down();
}

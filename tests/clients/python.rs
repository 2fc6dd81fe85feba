//! Python's SDK, and calls by grpcio that no SDK would make.

use std::process::Command;

use tests::platform::{Platform, Script};

use super::delivery::{REQUEST_ID, assert_delivered};
use super::toolbox::{python, run, source};

fn client(protocol: &str, endpoint: &str) -> Command {
    let mut command = Command::new(python());
    command.arg(source("send.py")).args([protocol, endpoint, REQUEST_ID]).env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

#[test]
fn http_with_protobuf() {
    assert_delivered("python http-protobuf", |platform| {
        client("http-protobuf", &format!("http://{}", platform.receiver()))
    });
}

#[test]
fn http_over_the_unix_socket() {
    assert_delivered("python http-protobuf", |platform| {
        let mut command = client("http-protobuf", "http://localhost");
        command.arg(platform.socket());
        command
    });
}

#[test]
fn grpc() {
    assert_delivered("python grpc", |platform| client("grpc", &platform.grpc_receiver().to_string()));
}

#[test]
fn grpc_over_the_unix_socket() {
    assert_delivered("python grpc", |platform| {
        client("grpc", &format!("unix://{}", platform.socket().display()))
    });
}

#[test]
fn calls_of_grpc_are_answered_with_the_status_that_they_deserve() {
    let longest = 1 << 20;
    let script = Script::new().env("PREFREEZE_RECEIVER_MAX_BODY_BYTES", longest.to_string());
    let platform = Platform::ready(&script);
    let mut calls = Command::new(python());
    calls.arg(source("calls.py")).arg(platform.grpc_receiver().to_string()).arg(longest.to_string());
    let said = run(&mut calls);
    let expected = "\
empty: OK b''
gzip: OK b''
deflate: OK b''
no such method: UNIMPLEMENTED not a method of OTLP
no such service: UNIMPLEMENTED not a method of OTLP
garbage: INVALID_ARGUMENT the body is not an OTLP request
too long: RESOURCE_EXHAUSTED the body is too long
a bomb: RESOURCE_EXHAUSTED the body is too long once unpacked
after all that: OK b''
";
    assert_eq!(said, expected);
    platform.spin_down();
}

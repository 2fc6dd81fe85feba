//! Node's SDK, whose exporters over HTTP speak JSON or protobuf.

use std::process::Command;

use tests::platform::Platform;

use super::delivery::{REQUEST_ID, assert_delivered};
use super::toolbox::{node, source};

#[track_caller]
fn assert_node_delivers(protocol: &str, endpoint: impl FnOnce(&Platform) -> String, over_socket: bool) {
    let Some(modules) = node() else { return };
    assert_delivered(&format!("node {protocol}"), |platform| {
        let mut command = Command::new("node");
        command.arg(source("send.mjs")).args([protocol, &endpoint(platform), REQUEST_ID]);
        if over_socket {
            command.arg(platform.socket());
        }
        command.env("CLIENTS_MODULES", modules);
        command
    });
}

fn http(platform: &Platform) -> String {
    format!("http://{}", platform.receiver())
}

#[test]
fn http_with_json() {
    assert_node_delivers("http-json", http, false);
}

#[test]
fn http_with_protobuf() {
    assert_node_delivers("http-protobuf", http, false);
}

#[test]
fn http_with_json_over_the_unix_socket() {
    assert_node_delivers("http-json", |_| "http://localhost".to_owned(), true);
}

#[test]
fn grpc() {
    assert_node_delivers("grpc", |platform| format!("http://{}", platform.grpc_receiver()), false);
}

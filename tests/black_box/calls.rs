//! Calls to a gRPC backend, and the connections that they go over.

use std::time::Duration;

use prost::Message;
use tests::grpc::{Ending, GrpcBackend, Seen};
use tests::otlp::{self, Ids, traces};
use tests::platform::{Invoke, Platform, Script};

use super::world::{LONG, protobuf, server_span};

/// What HTTP/2 calls a call that its client has no more use for.
const CANCEL: u32 = 8;

fn ready(backend: &GrpcBackend, timeout_ms: &str) -> Platform {
    let script = Script::new()
        .env("PREFREEZE_EXPORTER_OTLP_ENDPOINT", backend.endpoint())
        .env("PREFREEZE_EXPORTER_OTLP_PROTOCOL", "grpc")
        .env("PREFREEZE_EXPORTER_OTLP_TIMEOUT", timeout_ms)
        .env("PREFREEZE_METRICS", "none")
        .env("PREFREEZE_FLUSH", "end");
    let platform = Platform::ready(&script);
    backend.expect("a connection ahead", |seen| seen.len() == 1);
    platform
}

/// An invocation with one span, up to the next `/next`.
fn invoke(platform: &Platform, request_id: &str, seed: u64) {
    platform.answer_next(&Invoke::new(request_id, LONG));
    let request = traces([server_span(request_id, Ids::new(seed), request_id)]);
    assert_eq!(platform.post_otlp("/v1/traces", &request.encode_to_vec(), &protobuf()).status, 200);
    platform.wait_next();
}

fn exported(platform: &Platform) -> (serde_json::Value, serde_json::Value) {
    platform.spin_down();
    let summary = &platform.log("summary")[0];
    (summary["exported"].clone(), summary["dropped"].clone())
}

#[test]
fn calls_share_the_connection_that_was_opened_ahead() {
    let backend = GrpcBackend::start(&[]);
    let platform = ready(&backend, "10000");
    invoke(&platform, "r-1", 1);
    invoke(&platform, "r-2", 2);
    assert_eq!(backend.seen(), [[Seen::Call(1), Seen::Call(3)]]);
    assert_eq!(exported(&platform), (2.into(), serde_json::json!({})));
}

#[test]
fn a_connection_that_was_lost_in_a_freeze_costs_another_and_no_span() {
    let backend = GrpcBackend::start(&[]);
    let platform = ready(&backend, "10000");
    invoke(&platform, "r-1", 1);
    backend.cut();
    backend.expect("both sides have closed", |seen| seen[0].contains(&Seen::Closed));
    invoke(&platform, "r-2", 2);
    assert_eq!(backend.seen(), [vec![Seen::Call(1), Seen::Closed], vec![Seen::Call(1)]]);
    assert_eq!(exported(&platform), (2.into(), serde_json::json!({})));
    assert!(platform.log("backend_down").is_empty());
}

#[test]
fn a_call_whose_connection_breaks_is_made_once_more_at_once() {
    let backend = GrpcBackend::start(&[Ending::Cut]);
    let platform = ready(&backend, "10000");
    invoke(&platform, "r-1", 1);
    let seen = backend.seen();
    assert_eq!((seen.len(), seen[1].first()), (2, Some(&Seen::Call(1))), "{seen:?}");
    assert_eq!(exported(&platform), (1.into(), serde_json::json!({})));
}

#[test]
fn a_connection_that_says_goodbye_is_left_in_peace() {
    let backend = GrpcBackend::start(&[Ending::OkAndGoAway]);
    let platform = ready(&backend, "10000");
    invoke(&platform, "r-1", 1);
    invoke(&platform, "r-2", 2);
    let seen = backend.seen();
    assert_eq!((seen.len(), seen[0][0], seen[1][0]), (2, Seen::Call(1), Seen::Call(1)), "{seen:?}");
    assert_eq!(exported(&platform), (2.into(), serde_json::json!({})));
}

#[test]
fn a_call_that_is_given_up_is_reset_and_its_connection_not_trusted_again() {
    let backend = GrpcBackend::start(&[Ending::Hold]);
    let platform = ready(&backend, "100");
    invoke(&platform, "r-1", 1);
    backend.expect("the call is let go of", |seen| seen[0].get(1) == Some(&Seen::Reset(1, CANCEL)));
    backend.expect("it is made again", |seen| seen.get(1).is_some_and(|second| !second.is_empty()));
    let seen = backend.seen();
    // Nobody knows whether the backend was slow or the connection dead.
    assert_eq!((&seen[0][..2], seen[1][0]), (&[Seen::Call(1), Seen::Reset(1, CANCEL)][..], Seen::Call(1)));
    assert_eq!(exported(&platform), (1.into(), serde_json::json!({})));
}

#[test]
fn a_connection_for_one_call_at_a_time_carries_all_of_them() {
    let slow = Ending::Late(Duration::from_millis(30));
    let backend = GrpcBackend::start_narrow(&[slow; 6]);
    let platform = ready(&backend, "10000");
    for (request_id, seed) in [("r-1", 1), ("r-2", 2)] {
        platform.answer_next(&Invoke::new(request_id, LONG));
        // Three signals, which leave side by side; the first ones before the backend's settings have come.
        let metrics = otlp::metrics("payments", 1).encode_to_vec();
        assert_eq!(platform.post_otlp("/v1/metrics", &metrics, &protobuf()).status, 200);
        let logs = otlp::logs("paid").encode_to_vec();
        assert_eq!(platform.post_otlp("/v1/logs", &logs, &protobuf()).status, 200);
        let request = traces([server_span(request_id, Ids::new(seed), request_id)]);
        assert_eq!(platform.post_otlp("/v1/traces", &request.encode_to_vec(), &protobuf()).status, 200);
        platform.wait_next();
    }
    platform.spin_down();
    let summary = &platform.log("summary")[0];
    let exported = [&summary["exported"], &summary["logs"]["exported"], &summary["metrics"]["exported"]];
    assert_eq!(exported, [&2, &2, &2], "{summary}");
}

/// What a call may end with beside OK: what is said of it, and what becomes of its span.
#[test]
fn endings_are_named_and_what_nobody_took_is_kept() {
    // How it ended, the cause and the status in the line, and whether the span is sent again.
    let rows = [
        (Ending::Status(4), "unavailable", Some(4), true),
        (Ending::Status(10), "unavailable", Some(10), true),
        (Ending::Status(15), "unavailable", Some(15), true),
        (Ending::Status(2), "server_error", Some(2), false),
        (Ending::Page, "not_otlp", Some(200), true),
        (Ending::Bare, "no_grpc_status", Some(2), false),
    ];
    for (ending, cause, status, is_kept) in rows {
        let backend = GrpcBackend::start(&[ending]);
        let platform = ready(&backend, "10000");
        for (request_id, seed) in [("r-1", 1), ("r-2", 2), ("r-3", 3)] {
            invoke(&platform, request_id, seed);
        }
        let (exported, _) = exported(&platform);
        let lines = ["export_failed", "export_rejected"].map(|event| platform.log(event)).concat();
        assert_eq!(lines.len(), 1, "{ending:?}: {lines:?}");
        assert_eq!(
            (&lines[0]["cause"], &lines[0]["status"]),
            (&cause.into(), &serde_json::json!(status)),
            "{ending:?}"
        );
        assert_eq!(exported, if is_kept { 3 } else { 2 }, "{ending:?}");
    }
}

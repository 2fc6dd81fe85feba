//! The Telemetry API: told twice, late, wrongly, or not at all.

use serde_json::{Value, json};
use tests::http1::{Headers, send};
use tests::otlp::Ids;
use tests::platform::events::{event, init_runtime_done, init_start, now_unix_ms, runtime_done, start};
use tests::platform::{Kind, Subscription};

use super::world::{LONG, World, server_span, span};

#[test]
fn a_batch_that_is_delivered_twice_counts_once() {
    let world = World::start();
    let now = now_unix_ms();
    let batch = [
        init_start(now - 400, "on-demand"),
        init_runtime_done(now - 100, "on-demand"),
        start(now, "r-1"),
        runtime_done(now + 30, "r-1", "success", 30.0),
    ];
    world.invoke("r-1");
    world.platform.post_telemetry(&batch);
    world.platform.post_telemetry(&batch);
    world.platform.wait_next();
    world.platform.post_telemetry(&batch);
    world.close();
    assert_eq!(world.names(), ["init orders", "orders"]);
}

#[test]
fn events_may_come_in_any_order() {
    let world = World::start();
    let now = now_unix_ms();
    world.invoke("r-1");
    world.platform.post_telemetry(&[init_runtime_done(now - 100, "on-demand"), start(now, "r-1")]);
    world.platform.post_telemetry(&[runtime_done(now + 30, "r-1", "success", 30.0)]);
    world.platform.wait_next();
    world.platform.post_telemetry(&[init_start(now - 400, "on-demand")]);
    world.close();
    assert_eq!(world.names(), ["init orders", "orders"]);
}

/// A batch as AWS documents it.
fn recorded(json: &str) -> Vec<Value> {
    serde_json::from_str(json).expect("the payload is an array")
}

#[test]
fn what_aws_documents_is_understood() {
    let world = World::start();
    let id = "2ceb2c3e-0000-4000-8000-000000000001";
    world.invoke(id);
    world.platform.post_telemetry(&recorded(include_str!("../payloads/telemetry/on-demand.json")));
    world.platform.wait_next();
    let root = world.span("orders").span;
    let began = 1_795_334_312_354_000_000; // 2026-11-22T07:58:32.354Z
    assert_eq!((root.start_time_unix_nano, root.end_time_unix_nano), (began, began + 140_000_000));
    world.close();
}

#[test]
fn what_makes_no_sense_harms_nothing() {
    let world = World::start();
    world.invoke("r-1");
    world.platform.post_telemetry(&recorded(include_str!("../payloads/telemetry/strange.json")));
    world.platform.assert_no_next("nothing was said about this invocation");
    world.runtime_done("r-1");
    world.platform.wait_next();
    let summary = world.close();
    assert_eq!(summary.dropped(), 0);
}

#[test]
fn what_a_function_forges_costs_no_span() {
    // It shares the loopback interface with the listener, and may know nothing but what it makes up.
    let world = World::start();
    let now = now_unix_ms();
    world.invoke("r-1");
    let report = json!({"requestId": "r-2", "status": "timeout", "metrics": {"durationMs": -1.0, "billedDurationMs": u64::MAX}});
    world.platform.post_telemetry(&[
        runtime_done(now + 86_400_000, "r-2", "failure", 1e300),
        event(now, "platform.report", &report),
        start(now - 86_400_000, "r-2"),
    ]);
    world.platform.assert_no_next("nothing was said about this invocation");
    world.post_spans([span("child", Ids::new(2)), server_span("r-1", Ids::new(1), "r-1")]);
    world.platform.wait_next();
    // Its next invocation may be over before it has begun: what it sends leaves with the one after.
    world.invoke("r-2");
    world.post_spans([server_span("r-2", Ids::new(3), "r-2")]);
    world.invoke_well("r-3", 4);
    let summary = world.close();
    let sent = ["child", "r-1", "r-2", "r-3"];
    assert!(sent.iter().all(|name| world.spans(name).len() == 1), "{:?} {}", world.names(), summary.0);
    assert_eq!(summary.dropped(), 0);
}

#[test]
fn unknown_events_are_skipped_and_what_follows_is_read() {
    let world = World::start();
    let now = now_unix_ms();
    world.invoke("r-1");
    let unknown = [
        event(now, "platform.somethingNew", &json!({"requestId": "r-1"})),
        event(now, "function", &json!("a line of the function's log")),
        event(now, "platform.start", &json!("not an object")),
        json!("not even an event"),
        json!({"type": "platform.runtimeDone"}),
        event(
            now,
            "platform.logsDropped",
            &json!({"reason": "slow", "droppedRecords": 3, "droppedBytes": 99}),
        ),
        runtime_done(now, "r-1", "success", 3.0),
    ];
    world.platform.post_telemetry(&unknown);
    world.platform.wait_next();
}

#[test]
fn a_broken_batch_is_accepted_and_forgotten() {
    let world = World::start();
    world.invoke("r-1");
    for broken in [&b"[{\"time\":"[..], b"", b"null", b"{}", b"\xff\xfe", b"[[[[[[[[[["] {
        let response = world.platform.post_telemetry_bytes(broken);
        assert_eq!(response.status, 200, "anything else is redelivered for ever: {broken:?}");
    }
    world.runtime_done("r-1");
    world.platform.wait_next();
}

#[test]
fn a_batch_may_come_in_chunks_and_to_any_path() {
    let world = World::start();
    world.invoke("r-1");
    let subscription = world.platform.state().calls_of(Kind::Subscribe)[0].json();
    let uri = subscription["destination"]["URI"].as_str().expect("a URI").to_owned();
    let port = uri.split(':').nth(2).and_then(|rest| rest.split('/').next()).expect("a port");
    let event = json!([runtime_done(now_unix_ms(), "r-1", "success", 3.0)]).to_string();
    let chunks = format!("{:x}\r\n{event}\r\n0\r\n\r\n", event.len());
    let headers = Headers::from([("Transfer-Encoding", "chunked")]);
    let response = send(format!("127.0.0.1:{port}"), "POST", "/", &headers, chunks.as_bytes());
    assert_eq!(response.expect("an answer").status, 200);
    world.platform.wait_next();
}

/// Without telemetry the function's own SERVER span is the end, from the second invocation on: nobody knows before the
/// first one that its function sends any.
#[track_caller]
fn assert_works_without(subscription: Subscription) {
    let world = World::with(|script| script.subscription(subscription));
    for (request_id, seed) in [("r-1", 1), ("r-2", 2), ("r-3", 3)] {
        let root = Ids::new(seed);
        world.invoke(request_id);
        world.post_spans([span("child", root.sibling(1)), server_span(request_id, root, request_id)]);
        let next = world.platform.wait_next();
        if seed > 1 {
            assert!(world.span("r-1").arrived <= next && world.span(request_id).arrived <= next);
        }
    }
    let summary = world.close();
    assert_eq!((summary.count("exported"), summary.dropped()), (6, 0));
}

#[test]
fn where_telemetry_is_closed_spans_still_leave_before_next() {
    assert_works_without(Subscription::Status(403));
}

#[test]
fn where_telemetry_does_not_exist_spans_still_leave_before_next() {
    assert_works_without(Subscription::Status(404));
}

#[test]
fn where_telemetry_is_broken_spans_still_leave_before_next() {
    assert_works_without(Subscription::Status(500));
}

#[test]
fn where_telemetry_never_answers_spans_still_leave_before_next() {
    assert_works_without(Subscription::Silence);
}

#[test]
fn a_refused_subscription_is_asked_for_again_where_that_may_help() {
    const NEW: &str = "2025-01-29";
    const OLD: &str = "2022-12-13";
    let rows: &[(Subscription, &[&str], Option<&str>)] = &[
        // What the platform does, which schemas it is asked for, the line.
        (Subscription::Status(200), &[NEW], None),
        (Subscription::Status(202), &[NEW], Some("telemetry_unavailable")),
        (Subscription::Status(403), &[NEW], Some("telemetry_unavailable")),
        (Subscription::Status(404), &[NEW], Some("telemetry_unavailable")),
        (Subscription::Status(400), &[NEW, OLD], Some("telemetry_unavailable")),
        (Subscription::Status(500), &[NEW, NEW], Some("telemetry_unavailable")),
        (Subscription::Status(503), &[NEW, NEW], Some("telemetry_unavailable")),
        (Subscription::Silence, &[NEW], Some("telemetry_unavailable")),
        (Subscription::HangUp, &[NEW, NEW], Some("telemetry_unavailable")),
        (Subscription::FirstHangUp, &[NEW, NEW], None),
        (Subscription::First(500), &[NEW, NEW], None),
        (Subscription::Before(NEW), &[NEW, OLD], Some("telemetry_schema")),
    ];
    for (subscription, schemas, line) in rows {
        let world = World::with(|script| script.subscription(*subscription));
        // Every line has been read when the process has ended.
        world.close();
        let state = world.platform.state();
        let asked: Vec<_> =
            state.calls_of(Kind::Subscribe).iter().map(|call| call.json()["schemaVersion"].clone()).collect();
        assert_eq!(asked, *schemas, "{subscription:?}");
        let events = ["telemetry_unavailable", "telemetry_schema"];
        let lines: Vec<_> = events.iter().filter(|event| !world.platform.log(event).is_empty()).collect();
        assert_eq!(lines, line.iter().collect::<Vec<_>>(), "{subscription:?}");
        assert!(world.platform.stdout().len() <= 2, "{subscription:?}: one line at most, and the summary");
    }
}

#[test]
fn events_in_the_older_schema_are_events() {
    let world = World::with(|script| script.subscription(Subscription::Before("2025-01-29")));
    world.invoke("r-1");
    world.runtime_done("r-1");
    world.platform.wait_next();
    world.close();
    assert_eq!(world.names(), ["orders"]);
}

/// Nothing tells of the end of this invocation, and nothing can: it is not held until its deadline.
#[track_caller]
fn assert_silent_invocation_is_not_held(subscription: Subscription) {
    let world = World::with(|script| script.subscription(subscription));
    let begun = world.invoke("r-1");
    let next = world.platform.wait_next();
    assert!(next - begun < LONG / 10, "{subscription:?}");
    world.close();
}

#[test]
fn without_telemetry_the_first_silent_invocation_is_not_held_to_its_deadline() {
    for subscription in [202, 403, 404, 400, 500].map(Subscription::Status) {
        assert_silent_invocation_is_not_held(subscription);
    }
    assert_silent_invocation_is_not_held(Subscription::HangUp);
    assert_silent_invocation_is_not_held(Subscription::Silence);
}

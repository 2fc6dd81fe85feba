//! What the function logs, as OTLP log records under the span of its invocation; only where it is asked for.

use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use serde_json::{Value, json};
use tests::collector::{Decoded, attribute_text};
use tests::otlp::Ids;
use tests::platform::Kind;
use tests::platform::events::{event, now_unix_ms, report, runtime_done_error, start};

use super::world::{World, server_span};

fn wanting(level: &str) -> World {
    World::with(|script| script.env("PREFREEZE_LOGS", level))
}

fn line(record: &Value) -> Value {
    event(now_unix_ms(), "function", record)
}

/// All records that the backend has taken.
fn records(world: &World) -> Vec<LogRecord> {
    let mut records = Vec::new();
    for request in world.collector.requests().into_iter().filter(tests::collector::Request::is_taken) {
        if let Decoded::Logs(logs) = request.decoded {
            for group in logs.resource_logs {
                let resource = group.resource.expect("a resource");
                assert_eq!(attribute_text(&resource.attributes, "faas.name"), Some("orders"));
                records.extend(group.scope_logs.into_iter().flat_map(|scope| scope.log_records));
            }
        }
    }
    records
}

fn body(record: &LogRecord) -> &str {
    match record.body.as_ref().and_then(|body| body.value.as_ref()) {
        Some(Any::StringValue(text)) => text,
        other => panic!("{other:?}"),
    }
}

fn subscribed(world: &World) -> Value {
    world.platform.state().calls_of(Kind::Subscribe)[0].json()["types"].clone()
}

#[test]
fn lines_lie_under_the_span_of_their_invocation() {
    let world = wanting("all");
    assert_eq!(subscribed(&world), json!(["platform", "function"]), "never our own");
    let now = now_unix_ms();
    let own = Ids::new(7);
    let traced = json!({"level": "warn", "message": "traced", "trace_id": "0af7651916cd43dd8448eb211c80319c",
        "span_id": "b7ad6b7169203331", "amount": 12});
    for (request_id, ids) in [("r-1", Ids::new(1)), ("r-2", own)] {
        world.invoke(request_id);
        let lines = [
            start(now, request_id),
            line(&json!(format!("plain of {request_id}\n"))),
            line(&json!("2026-11-22T07:58:30.000Z\tr-1\tERROR\tlate of r-1")),
            line(&traced),
        ];
        world.platform.post_telemetry(&lines);
        world.post_spans([server_span(request_id, ids, request_id)]);
        world.platform.wait_next();
    }
    let summary = world.close();
    let records = records(&world);
    assert_eq!(records.len(), 6);
    let find = |text: &str| records.iter().filter(|record| body(record) == text).collect::<Vec<_>>();
    for (text, ids) in [("plain of r-1", Ids::new(1)), ("plain of r-2", own), ("late of r-1", Ids::new(1))] {
        for record in find(text) {
            assert_eq!(record.trace_id, ids.trace, "{text}");
            assert_eq!(record.span_id, ids.span, "{text}");
        }
    }
    assert_eq!((find("late of r-1")[0].severity_number, find("late of r-1").len()), (17, 2));
    let traced = find("traced");
    assert_eq!(traced[0].trace_id[0], 0x0a, "its own ids stay");
    assert_eq!(attribute_text(&traced[0].attributes, "faas.invocation_id"), Some("r-1"));
    assert!(traced[0].attributes.iter().any(|pair| pair.key == "amount"));
    assert_eq!((&summary.0["logs"]["received"], &summary.0["logs"]["exported"]), (&json!(6), &json!(6)));
}

#[test]
fn what_the_platform_says_of_an_invocation_is_an_event() {
    let world = wanting("all");
    let now = now_unix_ms();
    world.invoke("r-1");
    world.platform.post_telemetry(&[
        start(now, "r-1"),
        runtime_done_error(now, "r-1", "error", 9.0, "Runtime.ExitError"),
    ]);
    world.platform.wait_next();
    world.platform.post_telemetry(&[report(now, "r-1", "error", 12.0)]);
    world.close();
    let records = records(&world);
    let events: Vec<_> = records.iter().map(|record| record.event_name.as_str()).collect();
    assert_eq!(events, ["faas.invocation.exception", "aws.lambda.report"]);
    assert_eq!(attribute_text(&records[0].attributes, "exception.type"), Some("Runtime.ExitError"));
    // The span that was made for the invocation, which sent none.
    let root = world.span("orders").span;
    for record in &records {
        assert_eq!((&record.trace_id, &record.span_id), (&root.trace_id, &root.span_id));
    }
}

#[test]
fn only_errors_on_request() {
    let world = wanting("errors");
    world.invoke("r-1");
    world.platform.post_telemetry(&[
        line(&json!({"level": "info", "message": "fine"})),
        line(&json!({"level": "error", "message": "bad"})),
        line(&json!("plain")),
    ]);
    world.post_spans([server_span("r-1", Ids::new(1), "r-1")]);
    world.platform.wait_next();
    world.close();
    let records = records(&world);
    assert_eq!(records.iter().map(body).collect::<Vec<_>>(), ["bad"]);
}

#[test]
fn nothing_unless_asked_for() {
    let world = World::start();
    assert_eq!(subscribed(&world), json!(["platform"]));
    world.invoke("r-1");
    world.platform.post_telemetry(&[line(&json!("a line all the same"))]);
    world.runtime_done("r-1");
    world.platform.wait_next();
    let summary = world.close();
    assert_eq!(summary.0["logs"]["received"], 0);
}

#[test]
fn what_must_not_leave_does_not_leave_in_a_line() {
    let world =
        World::with(|script| script.env("PREFREEZE_LOGS", "all").env("PREFREEZE_REDACT", r#"["emails"]"#));
    world.invoke("r-1");
    world.platform.post_telemetry(&[
        line(&json!("sent to asha@example.com")),
        line(&json!({"message": "x", "to": "asha@example.com"})),
    ]);
    world.post_spans([server_span("r-1", Ids::new(1), "r-1")]);
    world.platform.wait_next();
    world.close();
    assert_eq!(records(&world).len(), 2);
    for request in world.collector.requests() {
        let plain = request.plain.expect("plain");
        assert!(!plain.windows(4).any(|window| window == b"asha"));
    }
}

#[test]
fn thousands_of_lines_are_neither_lost_nor_held_without_bound() {
    let world = wanting("all");
    world.invoke("r-1");
    for batch in 0..20 {
        let lines: Vec<_> =
            (0..500).map(|n| line(&json!(format!("{batch} {n} {}", "x".repeat(90))))).collect();
        world.platform.post_telemetry(&lines);
    }
    world.post_spans([server_span("r-1", Ids::new(1), "r-1")]);
    world.platform.wait_next();
    let summary = world.close();
    assert_eq!(summary.0["logs"]["received"], 10_000);
    assert_eq!(records(&world).len(), 10_000);
}

//! Managed Instances: no INVOKE, no runtimeDone, no freeze, and many invocations at once.

use prost::Message;
use serde_json::{Value, json};
use tests::otlp::{Ids, traces};
use tests::platform::Registration;
use tests::platform::events::{event, now_unix_ms, start};

use super::world::{Questions, World, nanos, server_span, span};

fn managed() -> World {
    World::with(|script| {
        script
            .registration(Registration::RefuseInvoke)
            .env("AWS_LAMBDA_INITIALIZATION_TYPE", "lambda-managed-instances")
    })
}

/// `platform.report`, as it is there: a duration, and no other figure.
fn report(request_id: &str, status: &str) -> Value {
    report_of(request_id, status, 12.5)
}

fn report_of(request_id: &str, status: &str, duration_ms: f64) -> Value {
    let record =
        json!({ "requestId": request_id, "status": status, "metrics": { "durationMs": duration_ms } });
    event(now_unix_ms(), "platform.report", &record)
}

#[test]
fn a_silent_invocation_has_the_length_that_its_report_gives() {
    for (status, is_error) in [("timeout", true), ("error", true), ("failure", true), ("success", false)] {
        let world = managed();
        let begun = now_unix_ms() - 3_000;
        world.platform.post_telemetry(&[start(begun, "r-1"), report_of("r-1", status, 3_000.0)]);
        // Of one that ends well, the function's own span may still come.
        world.close();
        let seen = world.span("orders");
        assert_eq!(seen.is_error(), is_error, "{status}");
        assert_eq!(seen.span.start_time_unix_nano, nanos(begun), "{status}");
        assert_eq!(seen.span.end_time_unix_nano, nanos(begun + 3_000), "{status}");
    }
}

#[test]
fn invocations_at_once_are_told_apart_by_their_reports() {
    let world = managed();
    let now = now_unix_ms();
    world.platform.post_telemetry(&[start(now, "r-1"), start(now, "r-2"), start(now, "r-3")]);
    world.post_spans([server_span("r-3", Ids::new(3), "r-3")]);
    world.post_spans([server_span("r-1", Ids::new(1), "r-1")]);
    // In any order, and one of a function that could send nothing.
    world.platform.post_telemetry(&[report("r-3", "success"), report("r-2", "timeout")]);
    world.platform.post_telemetry(&[report("r-1", "success")]);
    for name in ["r-1", "r-3"] {
        assert!(!world.expect_span(name).is_error());
    }
    let dead = world.expect_span("orders");
    assert!(dead.is_error());
    assert_eq!((dead.text("error.type"), dead.text("faas.invocation_id")), (Some("timeout"), Some("r-2")));
    let summary = world.close();
    assert_eq!((summary.count("invocations"), summary.dropped(), summary.count("held")), (3, 0, 0));
    assert!(world.names().iter().all(|name| !name.starts_with("init ")), "nobody waited for an init");
}

#[test]
fn a_time_out_closes_what_its_own_trace_had_open() {
    let world = managed();
    let now = now_unix_ms();
    world.platform.post_telemetry(&[start(now, "r-1"), start(now, "r-2")]);
    let [one, two] = [Ids::new(1), Ids::new(2)];
    let begun = traces([
        server_span("r-1", one, "r-1"),
        server_span("r-2", two, "r-2"),
        span("background", Ids::new(3)),
    ]);
    assert_eq!(world.post("/v1/started", &begun.encode_to_vec()).status, 200);
    world.platform.post_telemetry(&[report("r-1", "timeout")]);
    assert!(world.expect_span("r-1").is_error());
    world.post_spans([server_span("r-2", two, "r-2")]);
    world.platform.post_telemetry(&[report("r-2", "success")]);
    assert!(!world.expect_span("r-2").is_error());
    world.close();
    assert_eq!(world.names(), ["r-1", "r-2"]);
}

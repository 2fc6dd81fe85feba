//! The init span: once, in the first invocation's trace, with the platform's times.

use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use serde_json::Value;
use tests::otlp::{Ids, SpanExt};
use tests::platform::events::{init_report, init_runtime_done, init_start, now_unix_ms};

use super::world::{LONG, Questions, World, nanos, server_span};

/// What the platform tells of an init that began `ago` milliseconds ago and took 340 ms.
fn init(ago: i64, kind: &str) -> (i64, [Value; 3]) {
    let start = now_unix_ms() - ago;
    let told = [
        init_start(start, kind),
        init_runtime_done(start + 340, kind),
        init_report(start + 352, kind, 352.1),
    ];
    (start, told)
}

#[test]
fn init_is_a_span_under_the_first_server_span() {
    let world = World::start();
    let (start, told) = init(500, "on-demand");
    let root = Ids::new(1);
    world.invoke("r-1");
    world.platform.post_telemetry(&told);
    world.post_spans([server_span("root", root, "r-1")]);
    world.platform.wait_next();
    let init = world.expect_span("init orders");
    assert_eq!((&init.span.trace_id[..], &init.span.parent_span_id[..]), (&root.trace[..], &root.span[..]));
    assert_eq!(init.span.start_time_unix_nano, nanos(start));
    assert_eq!(init.span.end_time_unix_nano, nanos(start + 340));
    assert_eq!(init.span.kind, i32::from(SpanKind::Internal));
    assert!(init.is_cold() && !init.is_error());
}

#[test]
fn init_stands_beside_a_server_span_that_has_a_caller() {
    let world = World::start();
    let (_, told) = init(500, "on-demand");
    let (caller, root) = (Ids::new(1), Ids::new(1).sibling(1));
    world.invoke("r-1");
    world.platform.post_telemetry(&told);
    world.post_spans([server_span("root", root, "r-1").with_parent(caller)]);
    world.platform.wait_next();
    let init = world.expect_span("init orders");
    assert_eq!(
        (&init.span.trace_id[..], &init.span.parent_span_id[..]),
        (&caller.trace[..], &caller.span[..])
    );
}

#[test]
fn init_that_is_told_before_the_first_invoke_leaves_with_it() {
    let world = World::start();
    let (_, told) = init(500, "on-demand");
    world.platform.post_telemetry(&told);
    let root = world.invoke_well("r-1", 1);
    assert_eq!(world.expect_span("init orders").span.trace_id, root.trace);
}

#[test]
fn a_second_invocation_has_no_init_span() {
    let world = World::start();
    let (_, told) = init(500, "on-demand");
    world.platform.post_telemetry(&told);
    let first = world.invoke_well("r-1", 1);
    world.invoke_well("r-2", 2);
    world.close();
    assert_eq!(world.names(), ["init orders", "r-1", "r-2"]);
    assert_eq!(world.span("init orders").span.trace_id, first.trace);
}

#[test]
fn init_that_is_told_after_the_first_invocation_still_joins_its_trace() {
    let world = World::start();
    let (start, told) = init(500, "on-demand");
    let first = world.invoke_well("r-1", 1);
    world.platform.post_telemetry(&told);
    world.invoke_well("r-2", 2);
    world.close();
    let init = world.span("init orders");
    assert_eq!((&init.span.trace_id[..], &init.span.parent_span_id[..]), (&first.trace[..], &first.span[..]));
    assert_eq!(init.span.start_time_unix_nano, nanos(start));
}

#[test]
fn provisioned_concurrency_is_never_a_cold_start() {
    let kind = "provisioned-concurrency";
    let world = World::with(|script| script.env("AWS_LAMBDA_INITIALIZATION_TYPE", kind));
    world.platform.post_telemetry(&init(500, kind).1);
    world.invoke("r-1");
    world.runtime_done("r-1");
    world.close();
    assert!(!world.collector.spans().is_empty(), "the invocation is described");
    assert!(world.collector.spans().iter().all(|seen| !seen.is_cold()));
}

#[test]
fn an_environment_made_ahead_of_its_request_is_not_a_cold_start() {
    let world = World::start();
    // The platform warmed it up two minutes ago: no request waited for that.
    world.platform.post_telemetry(&init(120_000, "on-demand").1);
    world.invoke("r-1");
    world.runtime_done("r-1");
    world.close();
    assert!(world.collector.spans().iter().all(|seen| !seen.is_cold()));
}

#[test]
fn replayed_init_events_of_a_snapshot_make_no_span() {
    let kind = "snap-start";
    let world = World::with(|script| script.env("AWS_LAMBDA_INITIALIZATION_TYPE", kind));
    // They carry the time at which the snapshot was made.
    world.platform.post_telemetry(&init(86_400_000, kind).1);
    world.invoke_well("r-1", 1);
    world.close();
    assert_eq!(world.names(), ["r-1"]);
}

#[test]
fn init_does_not_lengthen_the_wait_for_next() {
    let world = World::start();
    let begun = world.invoke("r-1");
    world.post_spans([server_span("root", Ids::new(1), "r-1")]);
    let next = world.platform.wait_next();
    assert!(next - begun < LONG / 10, "init was never told, and never waited for");
}

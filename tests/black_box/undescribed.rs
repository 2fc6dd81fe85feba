//! Invocations that the function does not describe itself: it sends nothing, times out, or dies.

use std::time::Duration;

use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use tests::collector::SpanSeen;
use tests::otlp::{Ids, SpanExt};
use tests::platform::events::{now_unix_ms, report, runtime_done, runtime_done_error, start};
use tests::platform::{Invoke, Reason};

use super::world::{Questions, World, nanos, server_span, span};

/// The one SERVER span that names this request.
#[track_caller]
fn root(world: &World, request_id: &str) -> SpanSeen {
    let is_root = |seen: &SpanSeen| {
        seen.span.kind == i32::from(SpanKind::Server) && seen.text("faas.invocation_id") == Some(request_id)
    };
    let mut roots: Vec<_> = world.collector.spans().into_iter().filter(is_root).collect();
    assert_eq!(roots.len(), 1, "SERVER spans of {request_id}:\n{}", world.collector.state());
    roots.remove(0)
}

#[test]
fn a_function_that_sends_nothing_is_described_by_the_platform() {
    let world = World::start();
    let begun = now_unix_ms();
    world.invoke("r-1");
    world.platform.post_telemetry(&[start(begun, "r-1"), runtime_done(begun + 141, "r-1", "success", 140.5)]);
    let next = world.platform.wait_next();
    let root = root(&world, "r-1");
    assert!(root.arrived <= next);
    assert_eq!(root.span.name, "orders");
    assert_eq!(root.span.start_time_unix_nano, nanos(begun));
    assert_eq!(root.span.end_time_unix_nano, nanos(begun) + 140_500_000);
    assert_eq!((root.span.trace_id.len(), root.span.span_id.len()), (16, 8));
    assert!(root.span.parent_span_id.is_empty());
    assert!(!root.is_error());
    assert_eq!(root.text("error.type"), None);
    assert_eq!(root.resource_text("service.name"), Some("orders"));
}

#[test]
fn a_described_invocation_names_its_function_and_account() {
    let world = World::start();
    let arn = "arn:aws:lambda:us-east-1:123456789012:function:orders:live";
    world.platform.answer_next(&Invoke::new("r-1", Duration::from_secs(60)).arn(arn));
    world.runtime_done("r-1");
    world.platform.wait_next();
    let root = root(&world, "r-1");
    assert_eq!(root.text("aws.lambda.invoked_arn"), Some(arn));
    assert_eq!(
        root.text("cloud.account.id").or(root.resource_text("cloud.account.id")),
        Some("123456789012")
    );
    let resolved = "arn:aws:lambda:us-east-1:123456789012:function:orders:$LATEST";
    assert_eq!(root.text("cloud.resource_id"), Some(resolved));
}

#[test]
fn what_went_wrong_is_told_by_its_class() {
    let table = [
        ("error", Some("Function.Unknown"), "Function.Unknown"),
        ("error", None, "_OTHER"),
        ("failure", Some("Sandbox.Failure"), "Sandbox.Failure"),
        ("timeout", None, "timeout"),
        ("timeout", Some("Sandbox.Timedout"), "timeout"),
        ("error", Some("Sandbox.Timedout"), "timeout"),
    ];
    for (status, error_type, class) in table {
        let world = World::start();
        let now = now_unix_ms();
        world.invoke("r-1");
        let done = match error_type {
            Some(error_type) => runtime_done_error(now + 20, "r-1", status, 20.0, error_type),
            None => runtime_done(now + 20, "r-1", status, 20.0),
        };
        world.platform.post_telemetry(&[start(now, "r-1"), done]);
        world.platform.wait_next();
        let root = root(&world, "r-1");
        assert!(root.is_error(), "{status}");
        assert_eq!(root.text("error.type"), Some(class), "{status} {error_type:?}");
        let message = root.span.status.map(|status| status.message).unwrap_or_default();
        assert!(message.contains(' '), "{status} {error_type:?}: {message:?} is a sentence");
    }
}

/// The platform's `runtimeDone` is lost, and `platform.report` comes with the next invocation.
#[test]
fn a_failure_that_only_the_report_tells_of_is_a_failure() {
    for (status, class) in
        [("error", None), ("timeout", Some("timeout")), ("failure", None), ("success", None)]
    {
        for sends in [false, true] {
            let world = World::start();
            let now = now_unix_ms();
            world.invoke("r-1");
            world.platform.post_telemetry(&[start(now, "r-1")]);
            if sends {
                post_children(&world, Ids::new(3));
            }
            // The one signal of its end that is left.
            assert_eq!(world.post("/v1/flush?request_id=r-1", b"").status, 202);
            world.platform.wait_next();
            world.invoke("r-2");
            world.platform.post_telemetry(&[report(now + 20, "r-1", status, 20.0), start(now + 30, "r-2")]);
            world.runtime_done("r-2");
            world.platform.wait_next();
            world.close();
            let told = root(&world, "r-1");
            assert_eq!(told.is_error(), status != "success", "{status}, sends {sends}");
            if class.is_some() {
                assert_eq!(told.text("error.type"), class, "{status}, sends {sends}");
            }
            assert!(!root(&world, "r-2").is_error(), "{status}, sends {sends}");
        }
    }
}

/// A function with a caller-less SERVER span that never ends, and two children that did.
fn post_children(world: &World, parent: Ids) {
    // They begin now, and so after everything that ended before.
    let now = nanos(now_unix_ms() + 1);
    let child = |number| span(&format!("child-{number}"), parent.sibling(number)).with_parent(parent);
    world.post_spans([1, 2].map(|number| child(number).with_times(now, now)));
}

/// The rebuilt SERVER span has the id that the children name, and they are under it.
#[track_caller]
fn assert_family(world: &World, request_id: &str, parent: Ids) -> SpanSeen {
    let root = root(world, request_id);
    assert_eq!(root.span.trace_id, parent.trace);
    assert_eq!(root.span.span_id, parent.span);
    for name in ["child-1", "child-2"] {
        assert_eq!(world.span(name).span.parent_span_id, root.span.span_id);
    }
    root
}

#[test]
fn a_timeout_leaves_no_orphans() {
    let world = World::start();
    let (parent, begun) = (Ids::new(3), now_unix_ms());
    let invoke = Invoke::new("r-1", Duration::from_millis(1_000));
    world.platform.answer_next(&invoke);
    post_children(&world, parent);
    world.platform.wait_next();
    // The platform needs a moment to stop the runtime; the function had until its deadline.
    let done = runtime_done(invoke.deadline_unix_ms + 7, "r-1", "timeout", 1_007.0);
    world.platform.post_telemetry(&[start(begun, "r-1"), done]);
    world.end(Reason::Timeout);
    let root = assert_family(&world, "r-1", parent);
    assert!(root.is_error());
    assert_eq!(root.text("error.type"), Some("timeout"));
    assert_eq!(root.span.end_time_unix_nano, nanos(invoke.deadline_unix_ms));
    assert_eq!(world.summary().dropped(), 0);
}

#[test]
fn children_that_came_before_invoke_was_read_are_no_orphans_either() {
    let world = World::start();
    world.invoke_well("r-1", 1);
    let parent = Ids::new(3);
    post_children(&world, parent);
    world.platform.answer_next(&Invoke::new("r-2", Duration::from_millis(1_000)));
    world.platform.wait_next();
    world.end(Reason::Timeout);
    assert!(assert_family(&world, "r-2", parent).is_error());
}

/// An SDK that sends in the background ends its batch when the environment thaws: before INVOKE is read, or after.
#[track_caller]
fn assert_late_spans_stay_where_they_belong(is_before_invoke: bool) {
    let world = World::start();
    let begun = nanos(now_unix_ms());
    let first = world.invoke_well("r-1", 1);
    let late = || {
        let span = span("late", first.sibling(1)).with_parent(first);
        world.post_spans([span.with_times(begun, begun + 1_000)]);
    };
    let invoke = Invoke::new("r-2", Duration::from_millis(1_000));
    if is_before_invoke {
        late();
        world.platform.answer_next(&invoke);
    } else {
        world.platform.answer_next(&invoke);
        late();
    }
    world.platform.wait_next();
    world.end(Reason::Timeout);
    let second = root(&world, "r-2").span;
    assert_ne!(second.span_id, first.span, "two spans have one id");
    assert_ne!(second.trace_id, first.trace);
    assert_eq!(world.span("late").span.parent_span_id, first.span);
}

#[test]
fn late_spans_that_come_before_the_next_invoke_are_not_taken_for_its_own() {
    assert_late_spans_stay_where_they_belong(true);
}

#[test]
fn late_spans_that_come_during_the_next_invocation_are_not_taken_for_its_own() {
    assert_late_spans_stay_where_they_belong(false);
}

#[test]
fn a_timeout_is_told_even_if_the_platforms_word_is_lost() {
    let world = World::start();
    let parent = Ids::new(3);
    let invoke = Invoke::new("r-1", Duration::from_millis(1_000));
    world.platform.answer_next(&invoke);
    post_children(&world, parent);
    world.platform.wait_next();
    world.end(Reason::Timeout);
    let root = assert_family(&world, "r-1", parent);
    assert!(root.is_error());
    assert_eq!(root.text("error.type"), Some("timeout"));
    assert_eq!(root.span.end_time_unix_nano, nanos(invoke.deadline_unix_ms));
}

#[test]
fn a_crash_leaves_no_orphans() {
    let world = World::start();
    let (parent, begun) = (Ids::new(3), now_unix_ms());
    world.invoke("r-1");
    post_children(&world, parent);
    let done = runtime_done_error(begun + 80, "r-1", "error", 80.25, "Runtime.ExitError");
    world.platform.post_telemetry(&[start(begun, "r-1"), done]);
    world.platform.wait_next();
    world.end(Reason::Failure);
    let root = assert_family(&world, "r-1", parent);
    assert!(root.is_error());
    assert_eq!(root.text("error.type"), Some("Runtime.ExitError"));
    assert_eq!(root.span.end_time_unix_nano, nanos(begun) + 80_250_000);
}

#[test]
fn a_crash_that_only_shutdown_tells_of_is_an_error_too() {
    let world = World::start();
    let parent = Ids::new(3);
    world.platform.answer_next(&Invoke::new("r-1", Duration::from_millis(1_000)));
    post_children(&world, parent);
    world.platform.wait_next();
    world.end(Reason::Failure);
    assert!(assert_family(&world, "r-1", parent).is_error());
}

#[test]
fn a_handled_error_is_not_taken_for_a_crash() {
    let world = World::start();
    let (parent, begun) = (Ids::new(3), now_unix_ms());
    world.invoke("r-1");
    post_children(&world, parent);
    // The runtime lives on and may still send its SERVER span: nobody else may take that span's id.
    let done = runtime_done_error(begun + 80, "r-1", "error", 80.0, "Runtime.HandledError");
    world.platform.post_telemetry(&[start(begun, "r-1"), done]);
    world.platform.wait_next();
    world.close();
    assert!(world.collector.spans().iter().all(|seen| seen.span.span_id != parent.span));
}

#[test]
fn a_function_that_falls_silent_is_described_at_the_latest_at_shutdown() {
    let world = World::start();
    world.invoke_well("r-1", 1);
    world.invoke("r-2");
    world.runtime_done("r-2");
    world.platform.wait_next();
    world.close();
    root(&world, "r-1");
    assert_eq!(root(&world, "r-2").span.name, "orders");
}

#[test]
fn a_server_span_that_comes_late_is_not_doubled() {
    let world = World::start();
    world.invoke_well("r-1", 1);
    world.invoke("r-2");
    world.runtime_done("r-2");
    world.platform.wait_next();
    world.invoke("r-3");
    world.post_spans([server_span("r-2", Ids::new(2), "r-2")]);
    world.post_spans([server_span("r-3", Ids::new(3), "r-3")]);
    world.platform.wait_next();
    world.close();
    assert_eq!(world.names(), ["r-1", "r-2", "r-3"]);
}

#[test]
fn an_x_ray_header_never_makes_an_orphan() {
    let world = World::start();
    let header = "Root=1-68a0c1d2-0123456789abcdef01234567;Parent=53995c3f42cd8ad8;Sampled=0";
    world.platform.answer_next(&Invoke::new("r-1", Duration::from_secs(60)).tracing(Some(header)));
    world.runtime_done("r-1");
    world.platform.wait_next();
    // The segment it names exists in X-Ray alone; and `Sampled=0` is what every untraced caller says.
    assert!(root(&world, "r-1").span.parent_span_id.is_empty());
}

#[test]
fn an_x_ray_header_is_the_parent_where_that_is_wanted() {
    let world = World::with(|script| script.env("PREFREEZE_XRAY_PARENT", "parent"));
    let header = "Root=1-68a0c1d2-0123456789abcdef01234567;Parent=53995c3f42cd8ad8;Sampled=1";
    world.platform.answer_next(&Invoke::new("r-1", Duration::from_secs(60)).tracing(Some(header)));
    world.runtime_done("r-1");
    world.platform.wait_next();
    let root = root(&world, "r-1").span;
    assert_eq!(root.trace_id, 0x68a0_c1d2_0123_4567_89ab_cdef_0123_4567_u128.to_be_bytes());
    assert_eq!(root.parent_span_id, 0x5399_5c3f_42cd_8ad8_u64.to_be_bytes());
}

#[test]
fn an_invocation_without_a_tracing_header_is_described_as_well() {
    let world = World::start();
    world.platform.answer_next(&Invoke::new("r-1", Duration::from_secs(60)).tracing(None));
    world.runtime_done("r-1");
    world.platform.wait_next();
    root(&world, "r-1");
}

/// The runtime died in an init that ran inside the invocation: INVOKE never comes.
#[test]
fn an_invocation_whose_init_failed_is_told_of_without_invoke() {
    let world = World::start();
    let begun = now_unix_ms();
    let done = runtime_done_error(begun + 180, "r-1", "error", 180.0, "Runtime.ExitError");
    world.platform.post_telemetry(&[start(begun, "r-1"), done]);
    world.end(Reason::Failure);
    let root = root(&world, "r-1");
    assert!(root.is_error());
    assert_eq!(root.text("error.type"), Some("Runtime.ExitError"));
    assert_eq!(root.span.start_time_unix_nano, nanos(begun));
    assert_eq!(root.span.end_time_unix_nano, nanos(begun) + 180_000_000);
    assert_eq!(world.summary().count("invocations"), 1);
}

/// Its start is all that the platform tells, before the environment fails.
#[test]
fn an_invocation_that_only_began_is_closed_by_the_failure_of_its_environment() {
    let world = World::start();
    world.platform.post_telemetry(&[start(now_unix_ms(), "r-1")]);
    world.end(Reason::Timeout);
    let root = root(&world, "r-1");
    assert_eq!((root.is_error(), root.text("error.type")), (true, Some("timeout")));
}

#[test]
fn nothing_is_made_up_of_an_environment_that_is_not_needed_any_more() {
    let world = World::start();
    let begun = now_unix_ms();
    world.platform.post_telemetry(&[start(begun, "r-1"), runtime_done(begun + 5, "r-2", "success", 5.0)]);
    world.close();
    assert_eq!(world.names(), Vec::<String>::new());
}

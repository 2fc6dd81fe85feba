//! When an invocation is done: at the first signal that can be trusted, with its spans safe before `/next`.

use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use tests::collector::Answer;
use tests::otlp::{Ids, SpanExt};
use tests::platform::{Invoke, Subscription};

use super::world::{World, server_span, span};

/// Runs an invocation with two spans of which `end` says that they are the last; both must be safe before `/next`.
#[track_caller]
fn assert_done_by(end: impl FnOnce(&World, Ids)) {
    let world = World::start();
    let root = Ids::new(7);
    world.invoke("r-1");
    world.post_spans([span("child", root.sibling(1)).with_parent(root)]);
    end(&world, root);
    let next = world.platform.wait_next();
    for name in ["child", "root"] {
        assert!(world.span(name).arrived <= next, "{name} left after /next");
    }
    let requests = world.collector.requests();
    assert!(requests.iter().all(|request| request.content_encoding() == "gzip"));
}

#[test]
fn a_server_span_with_the_invocation_id_ends_it() {
    assert_done_by(|world, root| world.post_spans([server_span("root", root, "r-1")]));
}

#[test]
fn a_server_span_with_the_older_attribute_ends_it() {
    assert_done_by(|world, root| {
        let span = span("root", root).with_kind(SpanKind::Server).with_text("faas.execution", "r-1");
        world.post_spans([span]);
    });
}

#[test]
fn a_consumer_span_ends_it() {
    assert_done_by(|world, root| {
        world.post_spans([server_span("root", root, "r-1").with_kind(SpanKind::Consumer)]);
    });
}

#[test]
fn the_platforms_runtime_done_ends_it() {
    assert_done_by(|world, root| {
        world.post_spans([span("root", root)]);
        world.runtime_done("r-1");
    });
}

#[test]
fn a_request_to_flush_ends_it() {
    assert_done_by(|world, root| {
        world.post_spans([span("root", root)]);
        assert_eq!(world.post("/v1/flush?request_id=r-1", b"").status, 202);
    });
}

#[test]
fn a_request_to_flush_another_invocation_ends_nothing() {
    let world = World::start();
    world.invoke("r-1");
    world.post("/v1/flush?request_id=r-0", b"");
    world.platform.assert_no_next("only another request is done");
    world.post("/v1/flush", b"");
    world.platform.wait_next();
}

#[test]
fn the_deadline_ends_it_where_nothing_else_does() {
    let world = World::start();
    let left = Duration::from_millis(1_200);
    let deadline = Instant::now() + left;
    world.platform.answer_next(&Invoke::new("r-1", left));
    world.post_spans([span("only", Ids::new(1))]);
    let next = world.platform.wait_next();
    assert!(next < deadline, "/next came {:?} after the deadline", next - deadline);
    assert!(world.span("only").arrived <= next);
}

/// INVOKE is on its way to the runtime and to us at once, and a fast function is done before we have read ours.
#[track_caller]
fn assert_done_before_invoke(end: impl FnOnce(&World)) {
    let world = World::start();
    world.invoke_well("r-1", 1);
    end(&world);
    world.invoke("r-2");
    world.platform.wait_next();
    let summary = world.close();
    assert_eq!((summary.count("invocations"), summary.dropped()), (2, 0));
}

#[test]
fn a_function_that_is_done_before_invoke_is_read_was_heard() {
    assert_done_before_invoke(|world| world.post_spans([server_span("r-2", Ids::new(2), "r-2")]));
}

#[test]
fn a_runtime_done_before_invoke_is_read_was_heard() {
    assert_done_before_invoke(|world| world.runtime_done("r-2"));
}

#[test]
fn a_request_to_flush_before_invoke_is_read_was_heard() {
    assert_done_before_invoke(|world| {
        world.post("/v1/flush?request_id=r-2", b"");
    });
}

#[test]
fn what_was_heard_before_an_invoke_does_not_end_another() {
    let world = World::start();
    world.runtime_done("r-2");
    world.invoke("r-1");
    world.platform.assert_no_next("only a request to come was said to be done");
    world.runtime_done("r-1");
    world.invoke("r-2");
    world.platform.wait_next();
}

#[test]
fn a_server_span_of_another_request_ends_nothing() {
    let world = World::start();
    world.invoke("r-1");
    world.post_spans([server_span("other", Ids::new(1), "r-0")]);
    world.platform.assert_no_next("only another request is done");
    world.post_spans([server_span("own", Ids::new(2), "r-1")]);
    world.platform.wait_next();
    assert_eq!(world.names(), ["other", "own"]);
}

#[test]
fn an_internal_span_with_the_invocation_id_ends_nothing() {
    let world = World::start();
    world.invoke("r-1");
    world.post_spans([span("inner", Ids::new(1)).with_text("faas.invocation_id", "r-1")]);
    world.platform.assert_no_next("only a span inside the invocation has ended");
    world.runtime_done("r-1");
    world.platform.wait_next();
}

#[test]
fn a_runtime_done_of_another_request_ends_nothing() {
    let world = World::start();
    world.invoke("r-1");
    world.post_spans([span("child", Ids::new(1))]);
    world.runtime_done("r-0");
    world.platform.assert_no_next("only another request is done");
    world.runtime_done("r-1");
    let next = world.platform.wait_next();
    assert!(world.span("child").arrived <= next);
}

#[test]
fn next_waits_for_the_backends_word() {
    let world = World::start();
    world.collector.answer([Answer::Hold]);
    world.invoke("r-1");
    world.post_spans([server_span("root", Ids::new(1), "r-1")]);
    world.collector.expect("the export", |state| state.requests.len() == 1);
    world.platform.assert_no_next("the backend has not answered");
    world.collector.release();
    world.platform.wait_next();
    world.span("root");
}

#[test]
fn a_backend_that_never_answers_holds_an_invocation_only_so_long() {
    let world = World::start();
    world.collector.always(Answer::Hold);
    world.invoke("r-1");
    world.post_spans([server_span("root", Ids::new(1), "r-1")]);
    world.platform.wait_next();
}

#[test]
fn a_short_invocation_is_left_before_its_deadline_although_the_backend_hangs() {
    let world = World::start();
    world.collector.always(Answer::Hold);
    let left = Duration::from_millis(600);
    let deadline = Instant::now() + left;
    world.platform.answer_next(&Invoke::new("r-1", left));
    world.post_spans([server_span("root", Ids::new(1), "r-1")]);
    let next = world.platform.wait_next();
    assert!(next < deadline, "/next came {:?} after the deadline", next - deadline);
}

#[test]
fn where_no_end_is_ever_heard_only_the_first_invocation_is_held() {
    let world = World::with(|script| script.subscription(Subscription::Status(403)));
    world.platform.answer_next(&Invoke::new("r-1", Duration::from_millis(1_000)));
    world.platform.wait_next();
    for number in 2..=4 {
        // A minute each: were they held, this test would not end.
        world.invoke(&format!("r-{number}"));
        world.platform.wait_next();
    }
    // The function speaks again, and is waited for again.
    world.invoke("r-5");
    world.platform.wait_next();
    world.post_spans([server_span("r-5", Ids::new(5), "r-5")]);
    world.invoke("r-6");
    world.platform.assert_no_next("an end was heard: the next invocation is held for its own");
    world.post_spans([server_span("r-6", Ids::new(6), "r-6")]);
    world.platform.wait_next();
    assert_eq!(world.close().dropped(), 0);
}

//! A backend that fails, and comes back: nothing is lost, nothing is counted twice.

use std::time::Duration;

use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use tests::collector::{Answer, Reply};
use tests::otlp::{Ids, SpanExt};
use tests::platform::Script;

use super::world::{Summary, World, server_span, span};

/// An invocation whose spans meet this backend, then two with a healthy one; everything must arrive.
#[track_caller]
fn assert_nothing_lost(fail: impl FnOnce(&World), heal: impl FnOnce(&World)) -> Summary {
    let world = World::start();
    fail(&world);
    world.invoke("r-1");
    world.post_spans([server_span("r-1", Ids::new(1), "r-1")]);
    world.platform.wait_next();
    heal(&world);
    world.invoke_well("r-2", 2);
    world.invoke_well("r-3", 3);
    let summary = world.close();
    let mut names = world.names();
    names.dedup();
    assert_eq!(names, ["r-1", "r-2", "r-3"]);
    assert_eq!((summary.count("received"), summary.dropped(), summary.count("held")), (3, 0, 0));
    summary
}

/// A backend that gives this answer to everything, until it is healed.
#[track_caller]
fn assert_survived(answer: Answer) {
    assert_nothing_lost(
        |world| world.collector.always(answer),
        |world| {
            world.collector.always(Answer::ok());
            world.collector.release();
        },
    );
}

#[test]
fn a_backend_that_refuses_connections_gets_the_spans_later() {
    assert_nothing_lost(|world| world.collector.stop(), |world| world.collector.resume());
}

#[test]
fn a_backend_that_is_overloaded_gets_the_spans_later() {
    assert_survived(Answer::status(503));
}

#[test]
fn a_backend_that_asks_for_a_pause_gets_the_spans_later() {
    assert_survived(Answer::retry_after(429, "1"));
}

#[test]
fn a_pause_that_makes_no_sense_is_survived() {
    assert_survived(Answer::retry_after(503, "-5"));
    assert_survived(Answer::retry_after(503, "the day after tomorrow"));
}

#[test]
fn a_backend_that_never_answers_gets_the_spans_later() {
    assert_survived(Answer::Hold);
}

#[test]
fn a_backend_that_resets_connections_gets_the_spans_later() {
    assert_survived(Answer::Reset(0));
    assert_survived(Answer::Reset(usize::MAX));
}

#[test]
fn a_backend_that_hangs_up_gets_the_spans_later() {
    assert_survived(Answer::Close);
}

#[test]
fn a_backend_that_speaks_something_else_gets_the_spans_later() {
    assert_survived(Answer::Raw(b"220 smtp.example.com ESMTP\r\n".to_vec()));
}

#[test]
fn one_failure_is_repeated_within_the_invocation() {
    let world = World::start();
    world.collector.answer([Answer::status(503)]);
    world.invoke_well("r-1", 1);
    world.span("r-1");
    assert_eq!(world.collector.requests().len(), 2);
}

#[test]
fn a_pooled_connection_that_died_is_replaced_at_once() {
    let world = World::start();
    world.invoke_well("r-1", 1);
    // A frozen environment's sockets die in silence: the first it learns of it is the reset.
    world.collector.stop();
    world.collector.resume();
    world.invoke_well("r-2", 2);
    world.span("r-2");
}

#[test]
fn connections_are_reused() {
    let world = World::start();
    for (request_id, seed) in [("r-1", 1), ("r-2", 2), ("r-3", 3)] {
        world.invoke_well(request_id, seed);
    }
    let used: Vec<usize> =
        world.collector.state().connections.iter().map(|it| it.requests).filter(|it| *it > 0).collect();
    assert_eq!(used, [3]);
}

#[test]
fn a_request_that_is_refused_for_good_is_counted_once() {
    for status in [400, 404, 500] {
        let world = World::start();
        world.collector.answer([Answer::status(status)]);
        world.invoke_well("r-1", 1);
        world.invoke_well("r-2", 2);
        let summary = world.close();
        assert_eq!(world.names(), ["r-2"], "{status} is not repeated");
        assert_eq!(
            (summary.dropped_for("rejected"), summary.dropped(), summary.count("exported")),
            (1, 1, 1)
        );
    }
}

#[test]
fn a_key_that_is_refused_is_said_once_and_hardly_asked_again() {
    let world = World::start();
    world.collector.always(Answer::status(401));
    for seed in 1..=5 {
        world.invoke_well(&format!("r-{seed}"), seed);
    }
    assert_eq!(world.collector.requests().len(), 1, "within a minute");
    let summary = world.close();
    assert_eq!((summary.dropped(), summary.count("held")), (0, 5), "{}", summary.0);
    assert_eq!(world.collector.requests().len(), 2, "and once at the end");
    let lines = world.platform.stdout();
    let about: Vec<_> = lines.iter().filter(|line| line.contains("401")).collect();
    assert_eq!(about.len(), 1, "{lines:#?}");
}

#[test]
fn what_the_backend_did_not_take_is_counted_and_not_repeated() {
    let world = World::start();
    world.collector.answer([Answer::partial_success(2, "too old")]);
    world.invoke("r-1");
    let root = Ids::new(1);
    let children = (1..=4).map(|number| span("child", root.sibling(number)));
    world.post_spans(children.chain([server_span("root", root, "r-1")]));
    world.platform.wait_next();
    let summary = world.close();
    assert_eq!(world.collector.requests().len(), 1);
    assert_eq!((summary.count("exported"), summary.dropped_for("partly_rejected")), (3, 2));
}

#[test]
fn a_warning_without_rejected_spans_loses_nothing() {
    let world = World::start();
    world.collector.answer([Answer::partial_success(0, "please upgrade")]);
    world.invoke_well("r-1", 1);
    let summary = world.close();
    assert_eq!((summary.count("exported"), summary.dropped()), (1, 0));
}

#[test]
fn an_answer_that_is_no_protobuf_is_still_a_success() {
    let world = World::start();
    world.collector.always(Answer::body(*b"<html>thanks</html>"));
    world.invoke_well("r-1", 1);
    let summary = world.close();
    assert_eq!(world.collector.requests().len(), 1, "a 200 is not repeated");
    assert_eq!(summary.count("received"), 1);
}

#[test]
fn an_answer_that_is_cut_short_is_a_success_or_repeated() {
    let world = World::start();
    world.collector.answer([Answer::CutShort]);
    world.invoke_well("r-1", 1);
    let summary = world.close();
    assert_eq!((summary.count("exported"), summary.dropped()), (1, 0));
}

#[test]
fn a_redirect_is_not_taken_for_success() {
    // Followed the usual way, a POST becomes a GET without a body, and the answer to that is 200.
    let world = World::start();
    let elsewhere = format!("{}/elsewhere", world.collector.endpoint());
    world.collector.answer([Answer::Reply(Reply::new(302).header("Location", elsewhere))]);
    world.invoke_well("r-1", 1);
    let summary = world.close();
    assert_eq!((summary.count("exported"), summary.dropped_for("rejected")), (0, 1));
}

#[test]
fn a_batch_that_is_too_large_is_sent_in_parts() {
    let world = World::start();
    world.collector.always_with(|request| {
        let length: usize = request.headers.get("content-length").and_then(|it| it.parse().ok()).unwrap_or(0);
        if length > 4_000 { Answer::status(413) } else { Answer::ok() }
    });
    world.invoke("r-1");
    let root = Ids::new(1);
    let children = (1..=200).map(|number| span("child", root.sibling(number)));
    world.post_spans(children.chain([server_span("root", root, "r-1")]));
    world.platform.wait_next();
    let summary = world.close();
    assert_eq!((summary.count("exported"), summary.dropped()), (201, 0));
}

#[test]
fn a_slow_backend_is_waited_for() {
    let world = World::start();
    world.collector.answer([Answer::after(Duration::from_millis(300))]);
    world.invoke_well("r-1", 1);
    world.span("r-1");
    assert_eq!(world.collector.requests().len(), 1);
}

#[test]
fn a_request_that_takes_too_long_is_given_up_and_repeated() {
    let world = World::with(|script| script.env("PREFREEZE_EXPORTER_OTLP_TIMEOUT", "200"));
    world.collector.answer([Answer::Hold]);
    world.invoke_well("r-1", 1);
    world.invoke_well("r-2", 2);
    let summary = world.close();
    assert_eq!(world.names(), ["r-1", "r-2"]);
    assert_eq!((summary.count("exported"), summary.dropped()), (2, 0));
}

#[test]
fn a_full_buffer_gives_up_the_least_valuable_and_counts_it() {
    let tight = |script: Script| script.env("PREFREEZE_BUFFER_BYTES", "65536").env("PREFREEZE_SPOOL", "off");
    let world = World::with(tight);
    world.collector.stop();
    world.invoke("r-1");
    let root = Ids::new(1);
    world.post_spans([span("failed", root.sibling(1)).with_status(StatusCode::Error, "it broke")]);
    for hundred in 0..20 {
        world.post_spans((0..100).map(|one| span("ordinary", root.sibling(2 + hundred * 100 + one))));
    }
    world.runtime_done("r-1");
    world.platform.wait_next();
    world.collector.resume();
    world.invoke_well("r-2", 2);
    let summary = world.close();
    let lost = summary.dropped_for("outbox_full");
    assert!(lost > 0 && summary.dropped() == lost, "{}", summary.0);
    assert_eq!(summary.count("exported"), world.collector.spans().len() as u64);
    world.span("failed");
    let lines = world.platform.stdout();
    assert_eq!(
        lines.iter().filter(|line| line.contains("outbox_full")).count(),
        2,
        "once, and in the books: {lines:#?}"
    );
}

//! Data that comes when nobody waits for it, and invocations that follow one another without a pause.

use std::thread;

use tests::otlp::{Ids, SpanExt};
use tests::platform::Invoke;

use super::world::{LONG, World, server_span, span};

#[test]
fn two_invocations_in_a_row_both_leave() {
    let world = World::start();
    world.invoke("r-1");
    world.platform.queue_next(&Invoke::new("r-2", LONG));
    world.post_spans([server_span("r-1", Ids::new(1), "r-1")]);
    world.expect_span("r-1");
    world.platform.wait_events_sent(2);
    world.post_spans([server_span("r-2", Ids::new(2), "r-2")]);
    world.platform.wait_next();
    world.expect_span("r-2");
    let summary = world.close();
    assert_eq!((summary.count("invocations"), summary.count("exported")), (2, 2));
}

#[test]
fn spans_that_come_after_the_end_leave_with_the_next_invocation() {
    let world = World::start();
    world.invoke_well("r-1", 1);
    world.post_spans([span("late", Ids::new(2))]);
    world.invoke_well("r-2", 3);
    world.expect_span("late");
    let summary = world.close();
    assert_eq!((summary.count("received"), summary.dropped()), (3, 0));
}

#[test]
fn the_same_span_sent_twice_is_passed_on_not_judged() {
    let world = World::start();
    world.invoke("r-1");
    let child = span("child", Ids::new(1));
    world.post_spans([child.clone(), child]);
    world.runtime_done("r-1");
    world.platform.wait_next();
    assert_eq!(world.spans("child").len(), 2);
}

#[test]
fn a_hundred_senders_at_once_are_all_heard() {
    let world = World::start();
    world.invoke("r-1");
    let root = Ids::new(1);
    thread::scope(|scope| {
        for number in 1..=100 {
            let world = &world;
            scope.spawn(move || world.post_spans([span("one", root.sibling(number)).with_parent(root)]));
        }
    });
    world.post_spans([server_span("root", root, "r-1")]);
    world.platform.wait_next();
    assert_eq!(world.spans("one").len(), 100);
    let summary = world.close();
    assert_eq!((summary.count("received"), summary.dropped()), (101, 0));
}

#[test]
fn ten_thousand_spans_all_arrive() {
    let world = World::start();
    world.invoke("r-1");
    let root = Ids::new(1);
    for hundred in 0..100 {
        world.post_spans((0..100).map(|one| span("many", root.sibling(1 + hundred * 100 + one))));
    }
    world.post_spans([server_span("root", root, "r-1")]);
    world.platform.wait_next();
    let summary = world.close();
    assert_eq!(world.spans("many").len(), 10_000);
    assert_eq!((summary.count("received"), summary.dropped()), (10_001, 0));
}

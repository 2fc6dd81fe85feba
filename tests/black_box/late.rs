//! Data that comes when nobody waits for it, and invocations that follow one another without a pause.

use std::thread;

use opentelemetry_proto::tonic::trace::v1::Span;
use tests::otlp::{Ids, SpanExt};
use tests::platform::Invoke;
use tests::platform::events::{now_unix_ms, report, start};

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

/// The spans of the backend that stand for an invocation: SERVER spans, by request id.
fn roots(world: &World) -> Vec<String> {
    let spans = world.collector.spans().into_iter().filter(|seen| seen.span.kind == SERVER);
    let mut ids: Vec<_> =
        spans.map(|seen| seen.text("faas.invocation_id").unwrap_or_default().to_owned()).collect();
    ids.sort();
    ids
}

const SERVER: i32 = 2;

/// How an SDK that sends by a timer is late.
#[derive(Clone, Copy, Debug)]
struct Lag {
    /// How many invocations later a span arrives.
    invocations: usize,
    /// Whether that is after the INVOKE of its invocation.
    is_after_invoke: bool,
    /// Whether it is after the platform's report on the invocation before.
    is_after_report: bool,
}

/// Five invocations of a function whose SDK is late; one root each, whether it is made or the SDK's.
#[track_caller]
fn assert_one_root_each(lag: Lag) {
    let register = "--require @opentelemetry/auto-instrumentations-node/register";
    let world = World::with(|script| script.env("NODE_OPTIONS", register));
    let ids: Vec<String> = (1..=5).map(|number| format!("r-{number}")).collect();
    let mut ended: Vec<Span> = Vec::new();
    for (index, request_id) in ids.iter().enumerate() {
        let now = now_unix_ms();
        let told = [start(now, request_id), report(now, &format!("r-{index}"), "success", 12.5)];
        let late = |ended: &[Span]| {
            let due = index.checked_sub(lag.invocations).and_then(|index| ended.get(index));
            due.into_iter().for_each(|span| world.post_spans([span.clone()]));
        };
        if !lag.is_after_invoke {
            late(&ended);
        }
        world.invoke(request_id);
        // As JavaScript's SDK flags a root: sampled, and of its parent, which it does not have, that it is not remote.
        let own = server_span("own", Ids::new(1 + index as u64), request_id);
        ended.push(Span { flags: 0x101, ..own });
        if lag.is_after_report {
            world.platform.post_telemetry(&told);
        }
        if lag.is_after_invoke {
            late(&ended);
        }
        if !lag.is_after_report {
            world.platform.post_telemetry(&told);
        }
        world.runtime_done(request_id);
        world.platform.wait_next();
    }
    world.close();
    assert_eq!(roots(&world), ids, "{lag:?}\n{}", world.collector.state());
}

#[test]
fn an_sdk_that_sends_by_a_timer_leaves_each_invocation_one_root() {
    for (invocations, is_after_invoke) in [(0, true), (1, false), (1, true)] {
        for is_after_report in [false, true] {
            assert_one_root_each(Lag { invocations, is_after_invoke, is_after_report });
        }
    }
}

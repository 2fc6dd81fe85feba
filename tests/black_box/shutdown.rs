//! SHUTDOWN: the process ends in time with code 0, whatever the backend does, and asks for nothing more.

use std::time::{Duration, Instant};

use serde_json::json;
use tests::collector::Answer;
use tests::otlp::Ids;
use tests::platform::events::now_unix_ms;
use tests::platform::{Invoke, Reason, Turn};

use super::world::{Questions, World, server_span, span};

#[test]
fn with_a_healthy_backend_it_ends_in_time() {
    let world = World::start();
    world.invoke_well("r-1", 1);
    world.close();
    world.span("r-1");
}

#[test]
fn with_a_backend_that_hangs_it_ends_in_time() {
    let world = World::start();
    world.collector.always(Answer::Hold);
    world.invoke("r-1");
    world.post_spans([server_span("r-1", Ids::new(1), "r-1")]);
    let summary = world.close();
    assert_eq!((summary.count("received"), summary.count("exported")), (1, 0));
}

#[test]
fn with_a_backend_that_refuses_it_ends_in_time() {
    let world = World::start();
    world.collector.stop();
    world.invoke("r-1");
    world.post_spans([server_span("r-1", Ids::new(1), "r-1")]);
    world.close();
}

#[test]
fn with_a_deadline_in_the_past_it_ends_at_once() {
    let world = World::start();
    world.collector.always(Answer::Hold);
    world.post_spans([span("left", Ids::new(1))]);
    let asked = Instant::now();
    world.platform.shutdown_late(Reason::Spindown, Duration::from_millis(50));
    let (status, ended) = world.platform.wait_exit();
    assert!(status.success(), "{status}");
    assert!(ended - asked < Duration::from_millis(500), "it took {:?}", ended - asked);
    world.summary();
}

#[test]
fn without_any_invocation_it_ends_and_describes_none() {
    let world = World::start();
    let summary = world.close();
    assert_eq!((summary.count("invocations"), summary.count("made")), (0, 0));
    assert!(world.collector.spans().is_empty());
}

#[test]
fn spans_that_nothing_flushed_leave_now() {
    let world = World::start();
    world.invoke_well("r-1", 1);
    world.post_spans([span("after", Ids::new(2))]);
    world.close();
    assert_eq!(world.names(), ["after", "r-1"]);
}

#[test]
fn an_open_invocation_is_flushed_with_what_it_sent() {
    let world = World::start();
    world.invoke("r-1");
    world.post_spans([span("child", Ids::new(1))]);
    world.runtime_done("r-1");
    world.end(Reason::Failure);
    world.span("child");
}

#[test]
fn a_reason_is_understood_in_any_spelling() {
    // The documentation writes SPINDOWN, the open emulator Timeout, ReleaseFail and spindown. It also writes
    // SandboxTerminated, after a success: a reason that is not known tells of no failure.
    let rows = [
        ("TIMEOUT", true),
        ("Timeout", true),
        ("FAILURE", true),
        ("ReleaseFail", true),
        ("SandboxTerminated", false),
        ("SPINDOWN", false),
    ];
    for (reason, is_error) in rows {
        let world = World::start();
        world.platform.answer_next(&Invoke::new("r-1", Duration::from_millis(400)));
        world.platform.wait_next();
        let deadline = now_unix_ms() + 2_000;
        let event = json!({"eventType": "SHUTDOWN", "shutdownReason": reason, "deadlineMs": deadline});
        world.platform.queue_turn(Turn::Event(event));
        assert!(world.platform.wait_exit().0.success());
        assert_eq!(world.span("orders").is_error(), is_error, "{reason}");
    }
}

#[test]
fn with_little_time_left_it_still_ends_in_time() {
    let world = World::start();
    world.collector.always(Answer::Hold);
    world.post_spans([span("left", Ids::new(1))]);
    let deadline = world.platform.shutdown(Reason::Timeout, Duration::from_millis(600));
    let (status, ended) = world.platform.wait_exit();
    assert!(status.success() && ended < deadline, "{status}");
}

#[test]
fn in_the_middle_of_a_back_off_it_tries_once_more_and_ends_in_time() {
    for is_well_again in [true, false] {
        let world = World::start();
        world.collector.always(Answer::retry_after(503, "3600"));
        world.invoke("r-1");
        world.post_spans([server_span("r-1", Ids::new(1), "r-1")]);
        world.platform.wait_next();
        if is_well_again {
            world.collector.always(Answer::ok());
        }
        let summary = world.close();
        let ended = (summary.count("exported"), summary.count("held"), summary.dropped());
        assert_eq!(ended, if is_well_again { (1, 0, 0) } else { (0, 1, 0) }, "{}", summary.0);
    }
}

#[test]
fn two_good_invocations_and_then_a_time_out() {
    let world = World::start();
    world.invoke_well("r-1", 1);
    world.invoke_well("r-2", 2);
    world.platform.answer_next(&Invoke::new("r-3", Duration::from_millis(400)));
    world.platform.wait_next();
    world.end(Reason::Timeout);
    assert_eq!(world.names(), ["orders", "r-1", "r-2"]);
    assert!(world.span("orders").is_error() && !world.span("r-2").is_error());
    let summary = world.summary();
    assert_eq!((summary.count("invocations"), summary.dropped(), summary.count("held")), (3, 0, 0));
}

/// A pause of nothing is no invitation: SHUTDOWN lasts for two seconds, and each environment of a function ends some day.
#[test]
fn a_backend_that_asks_for_no_pause_is_not_flooded() {
    for pause in ["0", "Wed, 21 Oct 2015 07:28:00 GMT"] {
        let world = World::start();
        world.collector.always(Answer::retry_after(503, pause));
        for (request_id, seed) in [("r-1", 1), ("r-2", 2), ("r-3", 3), ("r-4", 4)] {
            world.invoke_well(request_id, seed);
        }
        let summary = world.close();
        assert_eq!((summary.count("held"), summary.dropped()), (4, 0), "{}", summary.0);
        let requests = world.collector.requests().len();
        // Four batches, each at growing pauses.
        assert!(requests <= 60, "Retry-After: {pause}: {requests} requests");
    }
}

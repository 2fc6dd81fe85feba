//! `/next` itself: whatever comes back, the extension asks again, for the function waits behind it.

use serde_json::json;
use tests::platform::Turn;
use tests::platform::events::{FUNCTION_ARN, now_unix_ms};

use tests::otlp::Ids;

use super::world::{World, server_span};

/// After this turn the extension still serves an invocation, and ends as it should.
#[track_caller]
fn assert_goes_on_after(turn: Turn) {
    let world = World::start();
    world.platform.queue_turn(turn);
    world.platform.expect("a turn", |state| state.calls_of(tests::platform::Kind::Next).len() == 2);
    world.invoke_well("r-1", 1);
    world.close();
    world.span("r-1");
}

#[test]
fn an_event_of_an_unknown_type_is_passed_over() {
    assert_goes_on_after(Turn::Event(json!({"eventType": "RESTORE", "deadlineMs": now_unix_ms() + 9_000})));
}

#[test]
fn an_answer_that_is_no_event_is_passed_over() {
    assert_goes_on_after(Turn::Event(json!("hello")));
}

#[test]
fn a_failure_of_the_platform_is_asked_past() {
    assert_goes_on_after(Turn::Fail(500));
}

#[test]
fn a_connection_that_breaks_is_replaced() {
    assert_goes_on_after(Turn::HangUp);
    assert_goes_on_after(Turn::Reset);
}

#[test]
fn an_invoke_that_cannot_be_read_is_passed_over() {
    assert_goes_on_after(Turn::Event(json!({"eventType": "INVOKE", "requestId": 7})));
}

#[test]
fn an_invoke_without_an_arn_costs_no_span_and_is_served_from_the_second_on() {
    let world = World::start();
    let event = |request_id: &str| json!({"eventType": "INVOKE", "requestId": request_id, "deadlineMs": now_unix_ms() + 60_000});
    let served = |request_id: &str, seed: u64| {
        world.platform.queue_turn(Turn::Event(event(request_id)));
        world.platform.wait_events_sent(seed as usize);
        world.post_spans([server_span(request_id, Ids::new(seed), request_id)]);
        world.platform.wait_next();
    };
    served("r-1", 1);
    served("r-2", 2);
    // The first is not seen as an invocation: what it sent left with the second.
    assert_eq!(world.names(), ["r-1", "r-2"]);
    let summary = world.close();
    assert_eq!((summary.count("invocations"), summary.count("exported")), (1, 2));
    assert_eq!(world.platform.log("event_unreadable").len(), 1);
}

#[test]
fn an_invoke_with_more_than_is_known_is_served() {
    let world = World::start();
    let event = json!({
        "eventType": "INVOKE", "requestId": "r-1", "deadlineMs": now_unix_ms() + 60_000,
        "invokedFunctionArn": FUNCTION_ARN, "tenantId": "blue", "future": {"deep": [1, null]},
        "tracing": {"type": "X-Amzn-Trace-Id", "value": format!("Root=1-68a0c1d2-0123456789abcdef01234567;{}", "x".repeat(30_000))},
    });
    world.platform.queue_turn(Turn::Event(event));
    world.platform.wait_events_sent(1);
    world.runtime_done("r-1");
    world.platform.wait_next();
    world.span("orders");
}

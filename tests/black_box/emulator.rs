//! A local emulator, as `sam local` runs one: no Telemetry API (202), no freeze, and a caller who waits for our `/next`.

use std::time::Duration;

use tests::collector::Answer;
use tests::otlp::Ids;
use tests::platform::Subscription;

use super::world::{World, server_span, span};

/// Far below what an end is waited for, and far above what a busy machine takes.
const SOON: Duration = Duration::from_millis(700);

fn emulator() -> World {
    World::with(|script| script.subscription(Subscription::Status(202)))
}

#[test]
fn no_invocation_is_held_whatever_the_function_sends() {
    let world = emulator();
    for number in 1..=9 {
        let request_id = format!("r-{number}");
        let begun = world.invoke(&request_id);
        let next = world.platform.wait_next();
        assert!(next - begun < SOON, "{request_id} was held for {:?}", next - begun);
        // Sampled every other time, and sent by a timer, when the invocation is long over.
        if number % 2 == 0 {
            world.post_spans([server_span(&request_id, Ids::new(number), &request_id)]);
        }
    }
    let summary = world.close();
    assert_eq!(summary.dropped(), 0);
}

/// Nothing freezes: a user who looks at the backend between two invocations sees the first.
#[test]
fn what_is_sent_while_next_is_asked_leaves_at_once() {
    let world = emulator();
    world.invoke("r-1");
    world.platform.wait_next();
    let root = Ids::new(1);
    world.post_spans([span("child", root.sibling(1)), server_span("root", root, "r-1")]);
    world.expect_span("root");
    world.expect_span("child");
    let summary = world.close();
    assert_eq!((summary.count("exported"), summary.dropped()), (2, 0));
}

/// A backend that hangs costs the caller nothing.
#[test]
fn no_invocation_is_held_for_a_backend() {
    let world = emulator();
    world.collector.always(Answer::after(Duration::from_secs(3)));
    for number in 1..=4 {
        let request_id = format!("r-{number}");
        let begun = world.invoke(&request_id);
        let next = world.platform.wait_next();
        assert!(next - begun < SOON, "{request_id} was held for {:?}", next - begun);
        world.post_spans([server_span(&request_id, Ids::new(number), &request_id)]);
    }
    world.collector.always(Answer::ok());
    world.close();
}

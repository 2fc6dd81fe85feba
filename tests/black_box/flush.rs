//! When data leaves: the modes of flushing, and what each of them lets an invocation pay.

use std::time::{Duration, Instant};

use tests::collector::{Answer, Collector};
use tests::otlp::Ids;

use super::world::{World, server_span};

/// One invocation after the backend has fallen silent; says how long its end waited for `/next`.
fn wait_with_silent_backend(world: &World, request_id: &str, seed: u64) -> Duration {
    world.collector.always(Answer::Hold);
    world.invoke(request_id);
    let done = Instant::now();
    world.post_spans([server_span(request_id, Ids::new(seed), request_id)]);
    world.platform.wait_next() - done
}

/// The backend speaks again, and everything it was owed arrives.
#[track_caller]
fn assert_all_arrive(world: &World, spans: u64) {
    world.collector.always(Answer::ok());
    world.collector.release();
    let summary = world.close();
    assert_eq!((summary.count("received"), summary.dropped(), summary.count("held")), (spans, 0, 0));
}

fn taken(collector: &Collector) -> usize {
    collector.spans().len()
}

#[test]
fn continuous_flushing_never_waits_for_the_backend() {
    let world = World::with(|script| script.env("PREFREEZE_FLUSH", "continuous"));
    let waited = wait_with_silent_backend(&world, "r-1", 1);
    assert!(waited < Duration::from_millis(500), "{waited:?}");
    assert_eq!(taken(&world.collector), 0);
    assert_all_arrive(&world, 1);
}

#[test]
fn the_ceiling_of_a_flush_is_kept() {
    let world = World::with(|script| script.env("PREFREEZE_FLUSH_TIMEOUT_MS", "100"));
    let waited = wait_with_silent_backend(&world, "r-1", 1);
    assert!(waited >= Duration::from_millis(90) && waited < Duration::from_millis(800), "{waited:?}");
    assert_all_arrive(&world, 1);
}

#[test]
fn rare_invocations_leave_nothing_behind() {
    let world = World::with(|script| script.env("PREFREEZE_FLUSH", "end"));
    for seed in 1..=30 {
        world.invoke_well(&format!("r-{seed}"), seed);
        assert_eq!(taken(&world.collector), usize::try_from(seed).expect("small"));
    }
}

#[test]
fn frequent_invocations_stop_paying_for_a_slow_backend() {
    let world = World::start();
    world.collector.always(Answer::after(Duration::from_millis(25)));
    for seed in 1..=30 {
        world.invoke_well(&format!("r-{seed}"), seed);
    }
    let waited = wait_with_silent_backend(&world, "r-31", 31);
    assert!(waited < Duration::from_millis(500), "{waited:?}");
    assert_all_arrive(&world, 31);
}

#[test]
fn a_cap_on_the_cost_of_flushing_is_kept_and_said_once() {
    let world = World::with(|script| {
        script.env("PREFREEZE_FLUSH", "end").env("PREFREEZE_COST_CAP_MS_PER_MIN", "250")
    });
    world.collector.always(Answer::after(Duration::from_millis(100)));
    for number in 1..=6 {
        world.invoke_well(&format!("r-{number}"), number);
    }
    let summary = world.close();
    assert_eq!((summary.count("exported"), summary.dropped()), (6, 0), "{}", summary.0);
    assert_eq!(world.platform.log("cost_cap_reached").len(), 1);
}

//! Defects of one kind each, in a world that is made for it: what an invocation is held for nothing, and what is too late.

use simulation::World;

const MS: u64 = 1_000_000;

#[test]
fn a_refused_subscription_holds_nothing_to_its_deadline() {
    let story = World::refused().run();
    assert!(story.held < 28 * 100 * MS, "held for {} ms", story.held / MS);
}

#[test]
fn one_dead_connection_costs_one_wait() {
    let story = World::one_dead().run();
    // Answers take up to 22 ms after a handshake of 40 ms, and a connection is suspected after 200 ms at the least.
    assert!(story.held < 28 * 70 * MS + 1_000 * MS, "held for {} ms", story.held / MS);
}

#[test]
fn a_request_that_never_ends_is_waited_for_once() {
    let story = World::half_sent().run();
    let begun = story.coverage.of("a request that never ends");
    assert!(begun > 0, "the scene shows nothing");
    assert!(story.held < begun * 100 * MS + 28 * 70 * MS, "held for {} ms, {begun} begun", story.held / MS);
}

#[test]
fn continuous_waits_for_no_event_that_it_does_not_need() {
    let story = World::brief().run();
    // The platform's event comes 25 ms after the end; the first invocations wait for it, to learn how long handlers take.
    assert!(story.held < 8 * 26 * MS, "held for {} ms", story.held / MS);
}

#[test]
fn the_first_of_many_entry_spans_is_no_end_for_long() {
    let story = World::siblings().run();
    assert!(story.after_next <= 3, "{} of 28 invocations sent spans after /next", story.after_next);
}

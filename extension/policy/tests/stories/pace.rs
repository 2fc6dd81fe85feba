//! When an invocation is let go: at once while its data may wait, for a flush when that is stale, and never by the word of
//! another.

use crate::story::{MS, Story};
use policy::{Config, Duration, FlushMode, Input, Outcome, Receipt};

/// The backend has taken everything.
fn answer(story: &mut Story) {
    for id in std::mem::take(&mut story.flying) {
        let outcome = Outcome::Delivered { rejected: 0 };
        story.hear(Input::Exported { id, outcome, raw_bytes: 0, sent_bytes: 0 });
    }
}

/// An invocation that is done after 50 ms, with a backend that answers `takes` later, and the 50 ms up to the next;
/// for how long it was held.
fn live(story: &mut Story, takes: u64) -> u64 {
    story.invoke();
    story.pass(50);
    let (done, asked) = (story.now, story.asked);
    let request_id = story.request_id();
    story.send(Some(&request_id));
    while story.asked == asked {
        story.pass(1);
        if story.now >= done + takes * MS {
            answer(story);
        }
    }
    let held = (story.now - done) / MS;
    story.pass(50);
    held
}

#[test]
fn what_is_stale_is_waited_for() {
    let bounds = policy::Bounds { in_flight: 1, ..Config::default().bounds };
    let staleness = Duration::from_secs(1);
    let mut story = Story::new(Config { flush: FlushMode::Adaptive, bounds, staleness, ..Config::default() });
    for _ in 0..40 {
        live(&mut story, 20);
        answer(&mut story);
    }
    assert_eq!(live(&mut story, 20), 0, "frequent and dear: it goes with the next one");
    // The backend has fallen silent, with one request: what comes after that is stale after a second.
    let held: Vec<_> = (0..14).map(|_| live(&mut story, 900)).collect();
    assert!(held[..9].iter().all(|held| *held == 0), "{held:?}");
    assert!(held[9..].iter().any(|held| *held > 100), "{held:?}");
}

#[test]
fn a_flush_is_cut_where_the_minute_has_had_its_share() {
    let cost_cap = Some(Duration::from_millis(150));
    let mut story = Story::new(Config { flush: FlushMode::End, cost_cap, ..Config::default() });
    let held: Vec<_> = (0..4).map(|_| live(&mut story, 100)).collect();
    assert_eq!(held, [100, 50, 0, 0]);
    answer(&mut story);
    story.now += 60_000 * MS;
    assert_eq!(live(&mut story, 100), 100, "another minute");
}

#[test]
fn only_its_own_end_ends_an_invocation() {
    let mut story = Story::new(Config { flush: FlushMode::Continuous, ..Config::default() });
    live(&mut story, 0);
    story.invoke();
    let asked = story.asked;
    story.hear(Input::Flush { request_id: Some("r-1".into()) });
    story.send(Some("r-1"));
    story.send(None);
    assert_eq!(story.asked, asked, "all that is of the one before");
    story.hear(Input::Flush { request_id: None });
    assert_eq!(story.asked, asked + 1);
    // Said before INVOKE was read.
    story.hear(Input::Flush { request_id: Some("r-3".into()) });
    story.invoke();
    assert_eq!(story.asked, asked + 2);
}

#[test]
fn what_is_being_received_at_the_end_is_waited_for() {
    let mut story = Story::new(Config { flush: FlushMode::Continuous, ..Config::default() });
    for is_received in [true, false] {
        story.invoke();
        let asked = story.asked;
        story.hear(Input::Receiving);
        story.hear(Input::Flush { request_id: Some(story.request_id().as_str().into()) });
        story.pass(90);
        assert_eq!(story.asked, asked, "it is of this invocation");
        if is_received {
            story.hear(Input::Received(Receipt::EMPTY));
        } else {
            story.pass(10);
        }
        assert_eq!(story.asked, asked + 1, "not longer than it takes, nor than a sender may stall");
    }
}

#[test]
fn a_retry_that_comes_too_late_is_not_waited_for() {
    let mut story = Story::new(Config { flush: FlushMode::End, ..Config::default() });
    for (after, asked) in [(100, 0), (10_000, 1)] {
        story.invoke();
        let before = story.asked;
        let request_id = story.request_id();
        story.send(Some(&request_id));
        let id = story.flying.pop().expect("a flush");
        let outcome = Outcome::Retry { after: Some(Duration::from_millis(after)) };
        story.hear(Input::Exported { id, outcome, raw_bytes: 0, sent_bytes: 0 });
        assert_eq!(story.asked - before, asked, "told to wait for {after} ms");
        story.pass(200);
        answer(&mut story);
        assert_eq!(story.asked - before, 1);
    }
}

#[test]
fn what_hangs_is_taken_back_when_the_backend_counts_as_down() {
    let mut story = Story::new(Config { flush: FlushMode::End, ..Config::default() });
    let mut hanging = Vec::new();
    for _ in 0..3 {
        story.invoke();
        let request_id = story.request_id();
        story.send(Some(&request_id));
        hanging.push((story.flying.len(), story.cancelled));
        story.pass(1_000);
    }
    assert_eq!(hanging, [(1, 0), (2, 0), (3, 0)]);
    assert_eq!((story.flying.len(), story.cancelled, story.asked), (3, 0, 4), "three flushes in vain");
}

/// A ceiling, and then only the time that its answers took, before it counts as down; and again when it has answered. On top
/// of that come the rare waits for a probe, after freezes that have cut one off.
#[test]
fn a_backend_that_hangs_costs_one_ceiling_and_two_usual_answers() {
    for flush in [FlushMode::End, FlushMode::Adaptive, FlushMode::Continuous] {
        for (gap, answers) in [(0, 0), (0, 3), (1_000, 0), (1_000, 3), (61_000, 0), (61_000, 3)] {
            let mut story = Story::new(Config { flush, ..Config::default() });
            let live = |story: &mut Story, takes: u64| {
                story.now += gap * MS;
                live(story, takes)
            };
            // Where answers were read after freezes, they seem to take longer.
            let mut usual = if gap > 0 {
                500
            } else if answers > 0 {
                50
            } else {
                300
            };
            for _ in 0..2 {
                for _ in 0..answers {
                    live(&mut story, 20);
                }
                let held: Vec<_> = (0..40).map(|_| live(&mut story, 100_000)).collect();
                let row = format!("{flush:?}, every {gap} ms, {answers} answers: {held:?}");
                // From the fourth wait on, probes.
                let waits: Vec<_> = held.iter().filter(|held| **held > 0).collect();
                let first: u64 = waits.iter().take(3).copied().sum();
                assert!(first <= 1_000 + 2 * usual, "{row}");
                assert!(waits.iter().skip(3).all(|held| **held <= 500) && waits.len() <= 10, "{row}");
                // It is well again.
                for _ in 0..200 {
                    answer(&mut story);
                    live(&mut story, 20);
                }
                answer(&mut story);
                assert!(story.agent.held_items(policy::Signal::Traces) <= 1, "{row}");
                usual = if gap > 0 { 500 } else { 50 };
            }
        }
    }
}

/// The backend says nothing, and flushes are cut by the cap, or by their own end, or by both at once.
#[test]
fn a_flush_that_the_cap_has_cut_says_nothing_of_the_backend() {
    let rows = [
        // The cap, the time between two invocations, in ms, and for how long four of them are held. After a freeze that has
        // cut a probe off, the next one is waited for.
        (50, 61_000, [50, 50, 50, 50]),
        (1_000, 61_000, [1_000, 300, 300, 300]),
        (10_000, 0, [1_000, 300, 300, 0]),
    ];
    for (cap, gap, expected) in rows {
        let cost_cap = Some(Duration::from_millis(cap));
        let mut story = Story::new(Config { flush: FlushMode::End, cost_cap, ..Config::default() });
        let held = [0; 4].map(|_| {
            story.now += gap * MS;
            live(&mut story, 100_000)
        });
        assert_eq!(held, expected, "{cap} ms in each minute, every {gap} ms");
    }
}

//! 401 and 403: what was sent is as good as ever, and passes when the key is repaired.

use policy::{Config, FlushMode, Input, Outcome, ShutdownReason};

use crate::story::{MS, Story};

const REFUSED: Outcome = Outcome::Refused { status: 401 };

/// The backend answers everything that is with it so, until nothing more is sent; how many requests that were.
fn answer(story: &mut Story, outcome: Outcome) -> usize {
    let mut requests = 0;
    while let Some(id) = story.flying.pop() {
        requests += 1;
        assert!(requests < 100, "it is asked again and again");
        story.hear(Input::Exported { id, outcome, raw_bytes: 1, sent_bytes: 1 });
    }
    requests
}

/// One invocation after a wait; how many requests were refused in it, and for how long it was held.
fn invoke(story: &mut Story, wait_ms: u64, outcome: Outcome) -> (usize, u64) {
    story.invoke_after(wait_ms);
    let mut requests = answer(story, outcome);
    story.pass(100);
    requests += answer(story, outcome);
    let (asked, done) = (story.asked, story.now);
    story.receive(vec![story.entry(1, story.now / MS)]);
    requests += answer(story, outcome);
    while story.asked == asked {
        story.pass(1);
        requests += answer(story, outcome);
    }
    (requests, (story.now - done) / MS)
}

#[test]
fn a_key_that_is_repaired_loses_nothing() {
    for flush in [FlushMode::End, FlushMode::Adaptive, FlushMode::Continuous] {
        let mut story = Story::new(Config { flush, ..Config::default() });
        let mut refused = 0;
        for number in 0..5 {
            let (requests, held) = invoke(&mut story, 30_000, REFUSED);
            refused += requests;
            assert!(held == 0 || number < 3, "{flush:?}: invocation {number} is held for {held} ms");
        }
        // Five invocations are two and a half minutes.
        assert!((2..=4).contains(&refused), "{flush:?}: asked {refused} times");
        assert_eq!(story.agent.ledger().spans.delivered, 0);
        for _ in 0..4 {
            invoke(&mut story, 30_000, Outcome::Delivered { rejected: 0 });
        }
        story.shut_down(ShutdownReason::Spindown);
        let spans = story.agent.ledger().spans;
        assert_eq!(spans.delivered, spans.received + spans.made, "{flush:?}: {spans:?}");
        assert_eq!(spans.received, 9);
    }
}

#[test]
fn a_key_that_stays_wrong_is_asked_about_once_at_the_end() {
    let mut story = Story::new(Config { flush: FlushMode::End, ..Config::default() });
    invoke(&mut story, 10, REFUSED);
    let launched = story.launched.len();
    story.hear(Input::Shutdown(policy::Shutdown {
        reason: ShutdownReason::Spindown,
        deadline: policy::Instant::from_nanos(story.now + 2_000 * MS),
        received_at: policy::UnixNanos(story.now),
        waited: policy::Duration::ZERO,
    }));
    answer(&mut story, REFUSED);
    story.pass(2_000);
    answer(&mut story, REFUSED);
    assert_eq!(story.launched.len() - launched, 1);
}

//! What an INVOKE finds from before it, and what becomes of that.

use crate::story::{MS, Story};
use policy::{
    Bounds, Config, Duration, EndStatus, Ending, FlushMode, Input, Kind, Outcome, PlatformEvent, Response,
    UnixNanos,
};

/// An environment whose first invocation is being flushed.
fn flushing() -> Story {
    let mut story = Story::new(Config { flush: FlushMode::End, ..Config::default() });
    story.invoke();
    let request_id = story.request_id();
    story.send(Some(&request_id));
    assert_eq!((story.flying.len(), story.asked), (1, 1));
    story
}

#[test]
fn an_answer_may_take_its_time_anew_after_a_freeze() {
    let mut story = flushing();
    story.pass(1_000);
    assert_eq!((story.cancelled, story.asked), (0, 2), "held for no longer than a flush may take");
    story.invoke_after(15_000);
    story.pass(9_900);
    assert_eq!(story.cancelled, 0, "most of the time that it took was the freeze's");
    story.pass(200);
    assert_eq!(story.cancelled, 1, "it has had ten seconds");
}

/// Of two requests to a slow backend, the later one ends like this: only an answer shows that the other should have its own.
#[test]
fn a_connection_that_breaks_says_nothing_of_another_one() {
    let answered = Outcome::Delivered { rejected: 0 };
    for (outcome, is_suspected) in [(Outcome::Lost, false), (answered, true)] {
        let bounds = Bounds { batch_items: 1, ..Config::default().bounds };
        let mut story = Story::new(Config { flush: FlushMode::End, bounds, ..Config::default() });
        story.invoke();
        let request_id = story.request_id();
        story.receive(vec![story.span(9, 0, Kind::Client, None)]);
        story.send(Some(&request_id));
        let [first, second] = story.flying[..] else { panic!("{:?}", story.flying) };
        story.pass(10);
        story.flying.retain(|id| *id != second);
        story.hear(Input::Exported { id: second, outcome, raw_bytes: 1, sent_bytes: 1 });
        story.pass(500);
        let times = story.launched.iter().filter(|id| **id == first).count();
        assert_eq!((story.cancelled, times), if is_suspected { (1, 2) } else { (0, 1) }, "{outcome:?}");
    }
}

#[test]
fn what_a_long_freeze_has_cut_off_is_sent_anew() {
    for (ms, times) in [(19_999, 0), (20_000, 1)] {
        let mut story = flushing();
        story.pass(1_000);
        story.invoke_after(ms);
        assert_eq!(story.cancelled, 0, "its answer may be in the socket, after {ms} ms");
        story.pass(250);
        assert_eq!(story.cancelled, times, "after {ms} ms");
        assert_eq!(story.flying.len(), 1, "it is under way, or again");
        assert_eq!(story.agent.ledger().resent, times, "and that is in the books");
    }
}

#[test]
fn what_the_backend_asked_for_does_not_end_with_an_invocation() {
    // As long as any of our own pauses, and longer.
    for seconds in [2, 3] {
        let mut story = flushing();
        let id = story.flying.pop().expect("one");
        let outcome = Outcome::Retry { after: Some(Duration::from_secs(seconds)) };
        story.hear(Input::Exported { id, outcome, raw_bytes: 0, sent_bytes: 0 });
        assert_eq!((story.flying.len(), story.asked), (0, 2), "too late for this flush");
        story.invoke();
        assert!(story.flying.is_empty(), "a pause of {seconds} s");
        story.pass(1_000 * seconds);
        assert_eq!(story.flying.len(), 1, "and then it is over");
    }
}

#[test]
fn an_end_that_nobody_tells_of_is_waited_for_once() {
    let mut story = Story::new(Config { flush: FlushMode::Continuous, ..Config::default() });
    story.invoke();
    story.pass(59_000);
    assert_eq!(story.asked, 1);
    story.pass(1_000);
    assert_eq!(story.asked, 2, "the deadline has come near");
    story.invoke();
    assert_eq!(story.asked, 3, "nothing will be heard of this one either");
    let request_id = story.request_id();
    story.send(Some(&request_id));
    story.invoke();
    assert_eq!(story.asked, 3, "an end was heard again");
}

/// Three invocations, the second of which has no span of its own when it ends; its request id.
fn without_a_root() -> (Story, String) {
    let mut story = Story::new(Config { flush: FlushMode::Continuous, ..Config::default() });
    story.invoke();
    let first = story.request_id();
    story.send(Some(&first));
    story.invoke();
    let second = story.request_id();
    story.hear(Input::Platform(PlatformEvent::RuntimeDone {
        request_id: second.as_str().into(),
        at: UnixNanos(story.now),
        ending: Ending { status: EndStatus::Success, error_type: None },
        duration: None,
        produced_bytes: None,
        response: Response::default(),
    }));
    story.invoke();
    (story, second)
}

#[test]
fn a_root_that_may_still_come_is_put_off_until_the_next_end() {
    for comes in [false, true] {
        let (mut story, late) = without_a_root();
        assert_eq!(story.made, 0);
        if comes {
            story.send(Some(&late));
        }
        story.now += 1;
        let request_id = story.request_id();
        story.send(Some(&request_id));
        story.invoke();
        assert_eq!(story.made, u64::from(!comes), "one of them, and not both: {comes}");
    }
}

#[test]
fn while_the_backend_has_asked_for_patience_neither_a_probe_nor_new_data_goes_there() {
    let mut story = Story::new(Config { flush: FlushMode::End, ..Config::default() });
    let begun = story.now;
    let mut sent = Vec::new();
    for _ in 0..500 {
        story.invoke_after(1_000);
        let request_id = story.request_id();
        story.pass(5);
        story.send(Some(&request_id));
        story.pass(50);
        while let Some(id) = story.flying.pop() {
            sent.push((story.now - begun) / MS / 1_000);
            let outcome = Outcome::Retry { after: Some(Duration::from_secs(3_600)) };
            story.hear(Input::Exported { id, outcome, raw_bytes: 0, sent_bytes: 0 });
        }
        story.pass(1_000);
        assert_eq!(story.agent.phase(), policy::Phase::Waiting, "nothing waits for it");
    }
    assert!(sent.windows(2).all(|pair| pair[1] >= pair[0] + 299), "{sent:?}");
    assert!(sent.len() >= 3, "it is tried again after five minutes: {sent:?}");
}

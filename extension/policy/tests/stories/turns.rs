//! For how long an invocation is held, and what says that it is over.

use crate::story::{MS, Story};
use policy::{
    Bounds, Config, DropReason, Duration, EndStatus, FlushMode, Input, Kind, LaneId, Outcome, Parked, Place,
    Receipt, ShutdownReason, Signal, Span, SpanId, Subscription,
};

fn story(flush: FlushMode) -> Story {
    Story::new(Config { flush, ..Config::default() })
}

/// The invocation that runs ends, as the platform tells 25 ms later.
fn end(story: &mut Story) {
    let (request_id, ended) = (story.request_id(), story.now / MS);
    story.pass(25);
    story.tell_done(&request_id, ended, EndStatus::Success, None);
    story.answer();
}

#[test]
fn nothing_waits_for_events_that_are_not_delivered() {
    for flush in [FlushMode::End, FlushMode::Continuous, FlushMode::Adaptive] {
        let mut story = story(flush);
        story.hear(Input::Subscribed(Subscription::Refused));
        story.invoke();
        assert_eq!(story.asked, 2, "the first, which says nothing, is not held in {flush:?}");
        story.receive(vec![story.span(1, 1, Kind::Client, None)]);
        story.invoke();
        assert_eq!(story.flying.len(), 1, "what it sends leaves with the next in {flush:?}");
        story.answer();
        assert_eq!(story.asked, 3);
    }
}

#[test]
fn a_function_that_tells_of_its_ends_is_waited_for_without_the_platform() {
    let mut story = story(FlushMode::End);
    story.hear(Input::Subscribed(Subscription::Refused));
    story.invoke();
    story.receive(vec![story.entry(1, story.now / MS)]);
    for _ in 0..3 {
        story.invoke();
        let asked = story.asked;
        story.pass(300);
        assert_eq!(story.asked, asked, "it runs");
        story.receive(vec![story.entry(1, story.now / MS - 300)]);
        story.answer();
        assert_eq!(story.asked, asked + 1, "it is over");
    }
    // One whose span is not sampled sends nothing.
    story.invoke();
    let asked = story.asked;
    story.pass(1_199);
    assert_eq!(story.asked, asked, "four times as long as any took, and a second at least");
    story.pass(1);
    assert_eq!(story.asked, asked + 1);
    story.invoke();
    assert_eq!(story.asked, asked + 2, "and not again");
}

#[test]
fn a_request_that_stalls_is_waited_for_once() {
    let mut story = story(FlushMode::End);
    story.invoke();
    story.hear(Input::Receiving);
    for held in [100, 0, 0] {
        story.receive(vec![story.entry(1, story.now / MS)]);
        let (asked, now) = (story.asked, story.now);
        story.answer();
        if held > 0 {
            story.pass(held - 1);
            assert_eq!(story.asked, asked, "it may still come");
            story.pass(1);
            story.answer();
        }
        assert_eq!((story.asked, (story.now - now) / MS), (asked + 1, held));
        story.invoke();
    }
    // Another request is waited for as ever.
    story.hear(Input::Receiving);
    let request_id = story.request_id();
    story.tell_done(&request_id, story.now / MS, EndStatus::Success, None);
    let asked = story.asked;
    story.pass(50);
    assert_eq!(story.asked, asked);
    story.hear(Input::Received(Receipt::EMPTY));
    story.answer();
    assert_eq!(story.asked, asked + 1);
}

#[test]
fn a_span_inside_another_is_no_end() {
    let mut story = story(FlushMode::End);
    story.invoke();
    for parent_is_remote in [Some(false), None] {
        let inner = Span { parent_is_remote, kind: Kind::Consumer, ..story.entry(2, story.now / MS) };
        let parent = SpanId::new([1; 8]);
        if parent_is_remote.is_none() {
            // Its parent has come.
            story.receive(vec![story.span(1, story.now / MS, Kind::Internal, None)]);
        }
        story.receive(vec![Span { parent, ..inner }]);
        assert_eq!(story.asked, 1, "{parent_is_remote:?}");
    }
    story.pass(5);
    story.receive(vec![story.entry(3, 1)]);
    story.answer();
    assert_eq!(story.asked, 2, "the outermost is");
}

#[test]
fn a_function_of_which_many_spans_name_an_invocation_is_not_done_with_the_first() {
    let mut story = story(FlushMode::End);
    for number in 0..3 {
        story.invoke();
        let (asked, began) = (story.asked, story.now / MS);
        for record in 1..=20 {
            story.pass(2);
            let own = Span { kind: Kind::Consumer, ..story.entry(record, began) };
            story.receive(vec![own]);
            story.answer();
            let is_held = story.asked == asked;
            assert!(is_held || number == 0, "{record} of 20 spans before /next in invocation {number}");
        }
        end(&mut story);
        assert_eq!(story.asked, asked + 1);
    }
    story.shut_down(ShutdownReason::Spindown);
    assert_eq!(story.made, 0);
}

#[test]
fn continuous_asks_at_once_where_nothing_is_left_to_send() {
    let mut story = story(FlushMode::Continuous);
    let mut held = Vec::new();
    for _ in 0..4 {
        story.invoke();
        let asked = story.asked;
        story.answer();
        story.pass(40);
        if story.asked == asked {
            end(&mut story);
            held.push(true);
        } else {
            // It is told after the thaw.
            let (request_id, ended) = (story.request_id(), story.now / MS);
            story.now += 100 * MS;
            let duration = Some(Duration::from_millis(40));
            story.tell_done_after(&request_id, ended, duration);
            held.push(false);
        }
        let (request_id, ended) = (story.request_id(), story.now / MS);
        story.tell_done_after(&request_id, ended, Some(Duration::from_millis(40)));
    }
    assert_eq!(held, [true, false, false, false], "handlers are known to be brief after the first");
    let books = *story.agent.ledger();
    assert_eq!(books.held, Duration::from_millis(25), "only the first was held");
    story.shut_down(ShutdownReason::Spindown);
    assert_eq!(story.made, 4, "and each has its root");
}

#[test]
fn the_time_held_counts_from_the_end() {
    // The platform tells 25 ms late.
    let mut story = story(FlushMode::End);
    story.invoke();
    story.pass(10);
    end(&mut story);
    assert_eq!(story.agent.ledger().held, Duration::from_millis(25));
    // A request is still being received, and then the backend takes its time.
    story.invoke();
    story.hear(Input::Receiving);
    story.pass(10);
    story.receive(vec![story.entry(1, story.now / MS - 10)]);
    story.pass(100);
    story.pass(70);
    story.answer();
    assert_eq!(story.agent.ledger().held, Duration::from_millis(25 + 170));
    // Nothing told before the deadline came near, and the platform tells afterwards.
    story.invoke();
    let (request_id, ended) = (story.request_id(), story.now / MS + 100);
    story.pass(59_500);
    story.answer();
    assert_eq!(story.agent.ledger().held, Duration::from_millis(25 + 170), "nobody knows yet");
    story.tell_done(&request_id, ended, EndStatus::Success, None);
    assert_eq!(story.agent.ledger().held, Duration::from_millis(25 + 170 + 59_400));
}

/// A process that is killed then leaves on record what it was killed in.
#[test]
fn an_invocation_runs_on_after_next_was_asked_until_its_end_is_told() {
    let mut story = story(FlushMode::Continuous);
    story.invoke();
    story.answer();
    story.pass(40);
    let (first, ended) = (story.request_id(), story.now / MS);
    story.tell_done_after(&first, ended, Some(Duration::from_millis(40)));
    story.answer();
    assert!(!story.agent.runs_on(&first.as_str().into()), "it was over");
    story.invoke();
    story.answer();
    let second = story.request_id();
    let runs_on = |story: &Story| [&first, &second].map(|id| story.agent.runs_on(&id.as_str().into()));
    assert_eq!((story.asked, runs_on(&story)), (3, [false, true]), "nobody waits for its end");
    story.now += 40 * MS;
    story.tell_done_after(&second, story.now / MS, Some(Duration::from_millis(40)));
    assert_eq!(runs_on(&story), [false, false]);
}

/// The backend takes 11 kB a second. What was read back from the disk does not fit into the rest of the flush, and for want of
/// room what it waits for is given up: nobody is held for that any more, and no timer would end it.
#[test]
fn an_invocation_is_not_held_for_what_had_to_go() {
    let bounds =
        Bounds { held_bytes: 20_300, batch_bytes: 20_300, spooled_bytes: 0, ..Config::default().bounds };
    let mut story = Story::new(Config { flush: FlushMode::End, bounds, ..Config::default() });
    for (size, took) in [(100, 1), (10_000, 900)] {
        story.invoke();
        story.receive(vec![Span { size, ..story.entry(1, story.now / MS) }]);
        story.pass(took);
        story.answer();
    }
    story.invoke();
    let (lane, place) = (LaneId::of(Signal::Traces), Place(1));
    story.hear(Input::Found(Parked { place, lane, count: 1, size: 20_000 }));
    story.receive(vec![story.entry(1, story.now / MS)]);
    let id = story.flying.pop().expect("it is sent");
    let outcome = Outcome::Retry { after: None };
    story.hear(Input::Exported { id, outcome, raw_bytes: 0, sent_bytes: 0 });
    let asked = story.asked;
    let read = Span { size: 20_000, ..story.span(2, 1, Kind::Client, None) };
    story.hear(Input::Unparked { lane, receipt: Receipt { spans: vec![read], parcels: Vec::new() } });
    assert_eq!(story.agent.ledger().spans.dropped_for(DropReason::OutboxFull), 1);
    assert_eq!((story.flying.len(), story.asked), (0, asked + 1));
}

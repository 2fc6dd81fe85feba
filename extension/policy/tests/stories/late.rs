//! Spans that come late, or with the times of another invocation: whose root they belong to.

use crate::story::{MS, Story, on_demand, request_of, roots, trace};
use policy::{
    Config, Duration, EndStatus, FlushMode, Input, Instant, Invoke, Kind, ShutdownReason, Span, Subscription,
    UnixNanos,
};

fn millis(at: UnixNanos) -> u64 {
    at.0 / MS
}

/// An invocation, which is over at once as far as anybody tells.
fn turn(story: &mut Story) {
    let asked = story.asked;
    story.invoke_after(100);
    story.answer();
    story.pass(2_000);
    story.answer();
    assert_eq!(story.asked, asked + 1);
}

/// Nobody tells of ends there, and a function that waits for long is let go of before it has done anything.
#[test]
fn an_own_span_that_began_long_after_invoke_is_its_invocations_where_nobody_told_the_end() {
    let mut story = Story::new(Config { expects_spans: true, ..Config::default() });
    story.hear(Input::Subscribed(Subscription::Refused));
    story.invoke();
    let first = story.request_id();
    story.pass(5_000);
    turn(&mut story);
    turn(&mut story);
    // It began two seconds after INVOKE, and is sent by a timer, after a child of it.
    let of_first = |span: Span<()>| Span { trace_id: trace(7), end: UnixNanos(4_900 * MS), ..span };
    story.receive(vec![of_first(story.span(2, 2_010, Kind::Client, Some(1)))]);
    turn(&mut story);
    let own = Span { request_id: Some(first.as_str().into()), ..story.span(1, 2_000, Kind::Server, None) };
    story.receive(vec![of_first(own)]);
    (0..6).for_each(|_| turn(&mut story));
    story.shut_down(ShutdownReason::Spindown);
    let made: Vec<_> = roots(&story).iter().map(|span| request_of(span).to_owned()).collect();
    assert!(!made.contains(&first), "it has one of its own: {made:?}");
    assert!(made.contains(&"r-2".to_owned()), "others have none: {made:?}");
}

/// The platform's events have whole milliseconds, and what came before `/next` was asked is of no later invocation.
#[test]
fn what_came_before_next_was_asked_is_not_of_the_next_invocation() {
    let mut story = on_demand();
    story.hear(Input::Flush { request_id: None });
    story.invoke();
    story.pass(5);
    // It begins in the millisecond in which the invocation ends.
    story.now += MS / 2;
    let late = Span { start: UnixNanos(story.now), ..story.span(2, 0, Kind::Client, Some(1)) };
    story.receive(vec![Span { trace_id: trace(7), end: UnixNanos(story.now), ..late }]);
    story.hear(Input::Flush { request_id: None });
    story.answer();
    assert_eq!(story.asked, 2);
    let first = story.request_id();
    story.tell_report(&first, story.now / MS, Some(5), EndStatus::Success);
    story.invoke_after(20);
    let second = story.request_id();
    story.pass(3);
    story.hear(Input::Flush { request_id: None });
    story.answer();
    story.tell_report(&second, story.now / MS, Some(3), EndStatus::Success);
    story.shut_down(ShutdownReason::Spindown);
    let found: Vec<_> =
        roots(&story).iter().map(|span| (request_of(span), span.trace_id == trace(7))).collect();
    assert_eq!(found, [(&*first, true), (&*second, false)]);
}

/// The first of several entry spans is no end, and what another says of its end holds as well.
#[test]
fn an_invocation_has_not_ended_before_any_span_that_names_it() {
    let mut story = Story::new(Config { flush: FlushMode::End, ..Config::default() });
    story.hear(Input::Subscribed(Subscription::Refused));
    story.invoke();
    let first = story.request_id();
    let named = |story: &Story, id, began| Span {
        request_id: Some(first.as_str().into()),
        trace_id: trace(7),
        ..story.span(id, began, Kind::Server, None)
    };
    story.pass(100);
    story.receive(vec![named(&story, 1, 2)]);
    story.answer();
    assert_eq!(story.asked, 2, "let go of");
    // A second one, with a span in a trace of its own that began when the first had ended.
    story.pass(500);
    let other = Span { trace_id: trace(8), ..story.span(3, 400, Kind::Client, None) };
    story.receive(vec![named(&story, 2, 50), other]);
    story.invoke_after(300);
    story.pass(2_000);
    story.answer();
    story.shut_down(ShutdownReason::Spindown);
    let made = roots(&story);
    assert_eq!(made.len(), 1, "of the second invocation");
    assert_eq!((millis(made[0].start), made[0].trace_id == trace(8)), (901, false));
}

/// What a sibling sent late names the invocation before, in a trace that began before all that is remembered.
#[test]
fn a_trace_with_the_own_span_of_another_invocation_is_not_joined() {
    let mut story = Story::new(Config { flush: FlushMode::End, ..Config::default() });
    story.hear(Input::Subscribed(Subscription::Refused));
    story.invoke();
    let first = story.request_id();
    let named = |story: &Story, id, began| Span {
        request_id: Some(first.as_str().into()),
        trace_id: trace(7),
        ..story.span(id, began, Kind::Server, None)
    };
    story.pass(2_000);
    story.receive(vec![named(&story, 1, 2)]);
    story.answer();
    story.pass(500);
    story.invoke_after(300);
    story.pass(700);
    story.hear(Input::Flush { request_id: None });
    story.answer();
    story.invoke_after(1);
    // A child of a sibling that began when the first had ended.
    let child = Span { trace_id: trace(7), ..story.span(3, 2_100, Kind::Client, Some(2)) };
    story.receive(vec![Span { end: UnixNanos(2_200 * MS), ..child }]);
    story.pass(2_000);
    story.answer();
    story.shut_down(ShutdownReason::Spindown);
    let of_second = roots(&story).into_iter().find(|span| request_of(span) == "r-2").cloned();
    assert_ne!(of_second.map(|span| span.trace_id), Some(trace(7)));
}

/// Its first try ended in what is the future by the clock as it was set back since.
#[test]
fn a_retry_is_not_over_by_a_span_of_its_first_try_where_the_clock_was_set_back() {
    let mut story = Story::new(Config { expects_spans: true, flush: FlushMode::End, ..Config::default() });
    story.now = 1_000_000 * MS;
    story.invoke_as("same", 1);
    let began = story.now / MS;
    story.pass(5);
    story.tell_done("same", story.now / MS, EndStatus::Error, None);
    story.answer();
    assert_eq!(story.asked, 2);
    let mut own = story.entry(1, began);
    own.request_id = Some("same".into());
    // The wall clock is nine minutes behind now; the caller's runs on.
    story.now += 60_000 * MS;
    story.hear(Input::Invoke(Invoke {
        request_id: "same".into(),
        deadline: Instant::from_nanos(story.now) + Duration::from_secs(900),
        deadline_at: UnixNanos(story.now - 540_000 * MS + 900_000 * MS),
        received_at: UnixNanos(story.now - 540_000 * MS),
        arn: "".into(),
        xray: None,
        waited: Duration::from_secs(60),
    }));
    story.receive(vec![own]);
    story.answer();
    assert_eq!(story.asked, 2, "it runs");
    story.pass(5);
    story.tell_done("same", story.now / MS - 540_000, EndStatus::Success, None);
    story.answer();
    assert_eq!(story.asked, 3);
}

/// A clock that is wrong says when its span ended; the span names the invocation, and is read before INVOKE.
#[test]
fn a_span_with_impossible_times_ends_its_invocation_also_where_invoke_is_read_after_it() {
    for end in [1, 86_400_000 * 99, 86_400_000 * 101] {
        let mut story = Story::new(Config { flush: FlushMode::Continuous, ..Config::default() });
        story.now = 86_400_000 * 100 * MS;
        for (n, request_id) in [(1, "a"), (2, "b")] {
            let (start, end) = (UnixNanos(end * MS), UnixNanos((end + 10) * MS));
            let own = Span { start, end, request_id: Some(request_id.into()), ..story.entry(n, 0) };
            story.receive(vec![own]);
            let asked = story.asked;
            story.invoke_as(request_id, 5);
            story.answer();
            assert_eq!(story.asked, asked + 1, "{request_id} is over, ended at {end:?}");
        }
    }
}

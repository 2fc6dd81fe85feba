//! A function that dies when its own span has ended: the caller's span is not made here, and one span tells of the death.

use policy::{Config, EndStatus, FlushMode, Kind, PlatformSpan, ShutdownReason, Span, SpanId};

use crate::story::{MS, Story, on_demand, roots, trace};

fn id(number: u8) -> SpanId {
    SpanId::new([number; 8]).expect("not zero")
}

/// The invocation that runs is out of time a minute after it began, and the environment ends.
fn time_out(story: &mut Story, began: u64, is_told: bool) {
    story.now = (began + 60_000) * MS;
    if is_told {
        story.tell_done(&story.request_id(), began + 60_000, EndStatus::Timeout, None);
    }
    story.shut_down(ShutdownReason::Timeout);
}

/// From when to when an invocation of 60 s ran by the spans made, which have failed, and below what.
fn failed(story: &Story, began: u64) -> Vec<(&PlatformSpan, u64, u64)> {
    let failed = story.spans.iter().filter(|span| span.error_type.as_deref() == Some("timeout"));
    failed.map(|span| (span, span.start.0 / MS - began, span.end.0 / MS - began)).collect()
}

/// Its SDK does not say that the parent of a SERVER span is remote.
#[test]
fn the_callers_span_is_not_made_here() {
    let mut story = on_demand();
    story.invoke();
    let began = story.now / MS;
    story.pass(10);
    let server = story.span(2, began, Kind::Server, Some(9));
    story.receive(vec![story.span(3, began + 1, Kind::Client, Some(2)), server]);
    story.answer();
    time_out(&mut story, began, true);
    let made: Vec<_> = roots(&story).iter().map(|root| (root.trace_id, root.parent, root.kind)).collect();
    assert_eq!(made, [(trace(1), Some(id(2)), Kind::Internal)], "below the function's own");
    assert!(story.spans.iter().all(|span| span.span_id != id(9)));
}

/// It dies in the second record, of which a child was sent, or by an event loop that does not end. The platform tells of it
/// when the first record has ended, in SHUTDOWN, or never.
#[test]
fn a_death_after_an_entry_span_is_told_once() {
    for (has_second, is_told) in [(true, true), (true, false), (false, true), (false, false)] {
        let mut story = on_demand();
        story.invoke();
        let began = story.now / MS;
        story.pass(10);
        story.receive(vec![Span { trace_id: trace(10), ..story.entry(1, began) }]);
        story.answer();
        story.pass(10);
        if has_second {
            let child = story.span(3, began + 12, Kind::Client, Some(2));
            story.receive(vec![Span { trace_id: trace(11), ..child }]);
            story.answer();
        }
        time_out(&mut story, began, is_told);
        let told = format!("second record: {has_second}, told: {is_told}");
        let [(root, 0, 60_000)] = failed(&story, began)[..] else { panic!("{told}: {:?}", story.spans) };
        // The entry of the second record, or what became of the first.
        let place = (root.trace_id, root.span_id == id(2), root.parent, root.kind);
        let expected = if has_second {
            (trace(11), true, None, Kind::Server)
        } else {
            (trace(10), false, Some(id(1)), Kind::Internal)
        };
        assert_eq!(place, expected, "{told}");
        assert_eq!(story.spans.len(), 1, "{told}");
    }
}

/// It has failed already, or its invocation has ended well, by the platform's word, before the environment fails.
#[test]
fn what_is_told_by_the_functions_own_span_or_was_no_death_needs_no_other() {
    for (is_error, status) in [(true, EndStatus::Timeout), (false, EndStatus::Success)] {
        let mut story = on_demand();
        story.invoke();
        let began = story.now / MS;
        story.pass(10);
        story.receive(vec![Span { is_error, ..story.entry(1, began) }]);
        story.answer();
        story.tell_done(&story.request_id(), story.now / MS, status, None);
        story.shut_down(ShutdownReason::Failure);
        assert!(story.spans.is_empty(), "{status:?}: {:?}", story.spans);
    }
}

/// The platform's word comes while the first of several records is known not to be the end.
#[test]
fn a_death_is_told_where_entry_spans_are_no_ends() {
    let mut story = Story::new(Config { flush: FlushMode::End, ..Config::default() });
    for n in 0..2 {
        story.invoke();
        let began = story.now / MS;
        for record in 1..=2 {
            story.pass(10);
            let own = story.entry(2 * n + record, story.now / MS - 10);
            story.receive(vec![Span { trace_id: trace(2 * n + record), ..own }]);
            story.answer();
        }
        if n == 0 {
            story.tell_done(&story.request_id(), story.now / MS, EndStatus::Success, None);
            story.answer();
        } else {
            assert_eq!(story.asked, 2, "it is not over");
            time_out(&mut story, began, true);
            let [(_, 0, 60_000)] = failed(&story, began)[..] else { panic!("{:?}", story.spans) };
        }
    }
}

/// It called others, whose spans come with its own; the platform tells of the time-out after `/next`.
#[test]
fn a_death_is_told_below_the_own_span_whatever_that_called() {
    for calls in 0..3 {
        let mut story = on_demand();
        story.invoke();
        let began = story.now / MS;
        story.pass(10);
        let mut spans: Vec<_> =
            (0..calls).map(|call| story.span(5 + call, began + 1, Kind::Client, Some(1))).collect();
        spans.push(story.entry(1, began));
        story.receive(spans);
        story.answer();
        story.tell_done(&story.request_id(), story.now / MS, EndStatus::Timeout, None);
        story.answer();
        story.shut_down(ShutdownReason::Spindown);
        let made: Vec<_> = story.spans.iter().map(|span| (span.parent, span.kind)).collect();
        assert_eq!(made, [(Some(id(1)), Kind::Internal)], "{calls} calls: {:?}", story.spans);
    }
}

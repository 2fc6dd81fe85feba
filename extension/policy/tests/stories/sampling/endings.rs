//! A trace is judged by how its invocation ended, also where that is reported late.

use super::*;

#[test]
fn a_crash_after_the_last_span_brings_the_trace_back() {
    for (status, class, decision) in [
        (EndStatus::Timeout, None, Decision::Timeout),
        (EndStatus::Error, Some("Runtime.ExitError"), Decision::Crash),
        (EndStatus::Error, Some("TypeError"), Decision::Error),
    ] {
        let mut story = Story::with(plain(0.01));
        let number = story.invocation(trace(0.0), |_| {});
        assert!(story.numbers().is_empty(), "nothing speaks for it yet");
        story.invoke();
        story.invocations -= 1;
        story.runtime_done(status, class);
        story.invocations += 1;
        story.runtime_done(EndStatus::Success, None);
        assert_eq!((story.numbers(), story.reason(number)), (vec![number], Some(decision)), "{status:?}");
    }
}

#[test]
fn a_good_end_or_two_more_invocations_let_it_go() {
    let mut story = Story::with(plain(0.01));
    story.invocation(trace(0.0), |_| {});
    assert_eq!((story.agent.held_items(Signal::Traces), story.agent.ledger().spans.sampled_out), (1, 0));
    story.runtime_done(EndStatus::Success, None);
    assert_eq!((story.agent.held_items(Signal::Traces), story.agent.ledger().spans.sampled_out), (0, 1));
    (1..4).for_each(|number| {
        story.now += 1_000 * MS;
        story.invocation(trace(f64::from(number) / 1_000.0), |_| {});
    });
    assert!(story.agent.held_items(Signal::Traces) <= 2, "the platform never told of their ends");
    story.shut_down(ShutdownReason::Spindown);
    let books = story.agent.ledger();
    assert_eq!((books.spans.sampled_out, books.sampled_out_bytes), (4, 400));
}

#[test]
fn what_the_function_says_it_is_done_with_is_judged_at_once() {
    let mut story = Story::with(plain(0.5));
    story.invoke();
    let inner = story.span(trace(0.9));
    let number = inner.body.number;
    story.receive(vec![inner]);
    assert!(story.numbers().is_empty(), "more may come of it");
    story.hear(Input::Flush { request_id: Some(story.request_id()) });
    assert_eq!(story.numbers(), [number], "it leaves with this flush, and not with the next one");
}

/// INVOKE is read late, and the trace was left out in the invocation before, of which a span seems to end later yet.
#[test]
fn a_span_that_names_its_invocation_waits_for_the_end_of_that_one() {
    let mut story = Story::with(plain(0.01));
    story.invoke();
    let (mut long, entry) = (story.span(trace(0.0)), story.entry(trace(0.0)));
    long.end = UnixNanos(1_048 * MS);
    story.receive(vec![long, entry]);
    story.runtime_done(EndStatus::Success, None);
    assert_eq!(story.agent.ledger().spans.sampled_out, 2);
    story.received_ms = 1_050;
    story.invoke();
    let mut entry = story.entry(trace(0.0));
    (entry.start, entry.end) = (UnixNanos(1_045 * MS), UnixNanos(1_060 * MS));
    let number = entry.body.number;
    story.receive(vec![entry]);
    story.hear(Input::Platform(PlatformEvent::RuntimeDone {
        request_id: story.request_id(),
        at: UnixNanos(1_065 * MS),
        ending: Ending { status: EndStatus::Error, error_type: Some("Runtime.ExitError".into()) },
        duration: Some(Duration::from_millis(15)),
        produced_bytes: None,
        response: policy::Response::default(),
    }));
    story.shut_down(ShutdownReason::Spindown);
    assert_eq!((story.numbers(), story.reason(number)), (vec![number], Some(Decision::Crash)));
}

#[test]
fn the_last_invocation_before_a_timeout_is_kept_though_nobody_told_of_it() {
    let mut story = Story::with(plain(0.01));
    story.invoke();
    let inner = story.span(trace(0.0));
    let number = inner.body.number;
    story.receive(vec![inner]);
    // The deadline comes near, and the platform has said nothing: nothing can be judged yet.
    story.now += 59_600 * MS;
    story.hear(Input::Tick);
    assert!(story.numbers().is_empty());
    story.shut_down(ShutdownReason::Timeout);
    assert_eq!(story.numbers(), [number]);
    assert_eq!(story.decided(Decision::Timeout), 1);
}

/// Its own span had said that it was over, and only SHUTDOWN tells that its function died after it: all its traces are kept.
#[test]
fn the_traces_of_an_invocation_that_died_after_its_own_span_are_kept() {
    for (reason, kept) in [(ShutdownReason::Failure, 2), (ShutdownReason::Spindown, 0)] {
        let mut story = Story::with(plain(0.01));
        story.invoke();
        let spans = vec![story.span(trace(0.001)), story.entry(trace(0.0))];
        story.receive(spans);
        assert!(story.numbers().is_empty(), "nothing speaks for it yet");
        story.shut_down(reason);
        assert_eq!(story.numbers().len(), kept, "{reason:?}");
    }
}

#[test]
fn late_spans_follow_their_trace_and_a_late_failure_is_kept() {
    let mut story = Story::with(plain(0.25));
    for (share, is_kept) in [(0.0, false), (0.9, true)] {
        story.received_ms = 900;
        let number = story.invocation(trace(share), |_| {});
        story.runtime_done(EndStatus::Success, None);
        assert_eq!(story.numbers().contains(&number), is_kept);
        story.received_ms = 1_050;
        story.invoke();
        let late = story.span(trace(share));
        let late_number = late.body.number;
        story.receive(vec![late]);
        let mut failed = story.span(trace(share));
        failed.is_error = true;
        let failed_number = failed.body.number;
        story.receive(vec![failed]);
        story.runtime_done(EndStatus::Success, None);
        assert_eq!(story.numbers().contains(&late_number), is_kept, "{share}");
        assert!(story.numbers().contains(&failed_number), "{share}");
    }
}

#[test]
fn a_trace_that_comes_again_is_judged_again() {
    let mut story = Story::with(plain(0.01));
    story.invocation(trace(0.0), |_| {});
    story.runtime_done(EndStatus::Success, None);
    let again = story.invocation(trace(0.0), |entry| {
        (entry.start, entry.end) = (UnixNanos(2_000 * MS), UnixNanos(2_010 * MS));
        entry.is_error = true;
    });
    assert_eq!(story.numbers(), [again], "its failure is its own");
}

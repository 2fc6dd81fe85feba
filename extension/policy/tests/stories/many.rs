//! Many invocations within the time in which an SDK's timer sends.

use std::collections::VecDeque;

use crate::made;
use crate::story::{MS, Story, share};
use policy::{Config, EndStatus, FlushMode, InitType, ShutdownReason, Span, TraceId, UnixNanos};

/// The function's own span of this number, in a trace of its own, that names `request_id`.
fn own(number: u64, (start, end): (u64, u64), request_id: &str) -> Span<()> {
    let mut trace_id = [0; 16];
    trace_id[..8].copy_from_slice(&(number + 1).to_be_bytes());
    let trace_id = TraceId::new(trace_id).expect("not zero");
    let (start, end) = (UnixNanos(start), UnixNanos(end));
    Span { trace_id, start, end, ..made::span((number + 1).to_be_bytes(), Some(request_id), 100, ()) }
}

/// Only failures are kept.
fn failures() -> Config {
    let sampling = share(0.0);
    Config { flush: FlushMode::End, sampling, expects_spans: true, ..Config::default() }
}

/// On Managed Instances the first of many runs out of time; all spans come five seconds later.
#[test]
fn a_failure_among_many_at_once_is_kept_and_no_other_waits() {
    for count in [100, 1_000] {
        let mut story = Story::new(Config { init_type: InitType::ManagedInstances, ..failures() });
        let mut spans = Vec::new();
        for number in 0..count {
            let (request_id, began) = (format!("r-{number}"), story.now);
            story.tell_start(&request_id, began / MS);
            story.now += 2 * MS;
            let status = if number == 0 { EndStatus::Timeout } else { EndStatus::Success };
            story.tell_report(&request_id, story.now / MS, Some(2), status);
            spans.push(own(number, (began, story.now), &request_id));
        }
        story.pass(5_000 - count * 2);
        story.receive(spans);
        story.answer();
        story.pass(60_000);
        story.answer();
        let (delivered, waiting) = (story.agent.ledger().spans.delivered, story.agent.unjudged_spans());
        assert_eq!((delivered, waiting), (1, 0), "of {count}");
    }
}

/// The first of many brief ones fails; the spans of all come in another, by a timer, with a freeze before or none.
#[test]
fn a_failure_of_many_brief_invocations_is_kept() {
    for frozen_ms in [1, 600_000] {
        let mut story = Story::new(failures());
        let mut spans = Vec::new();
        for number in 0..200 {
            let request_id = format!("r-{number}");
            story.invoke_as(&request_id, 1);
            let began = story.now;
            story.pass(10);
            let status = if number == 0 { EndStatus::Error } else { EndStatus::Success };
            story.tell_done(&request_id, story.now / MS, status, None);
            story.answer();
            spans.push(own(number, (began, story.now), &request_id));
        }
        story.invoke_as("last", frozen_ms);
        story.receive(spans);
        story.pass(10);
        story.tell_done("last", story.now / MS, EndStatus::Success, None);
        story.answer();
        story.shut_down(ShutdownReason::Spindown);
        assert_eq!(story.agent.ledger().spans.delivered, 1, "after {frozen_ms} ms");
    }
}

/// On Managed Instances each span comes five seconds after its invocation, and none is made beside it.
#[test]
fn no_second_roots_are_made_at_400_invocations_a_second() {
    let config = Config { init_type: InitType::ManagedInstances, expects_spans: true, ..Config::default() };
    let mut story = Story::new(config);
    let mut due = VecDeque::new();
    for number in 0..2_600 {
        let (request_id, began) = (format!("r-{number}"), story.now);
        story.tell_start(&request_id, began / MS);
        story.now += 1_000 * MS / 400;
        story.tell_report(&request_id, story.now / MS + 1, Some(1), EndStatus::Success);
        due.push_back((story.now + 5_000 * MS, own(number, (began, story.now), &request_id)));
        story.pass(0);
        while let Some((_, span)) = due.pop_front_if(|(at, _)| *at <= story.now) {
            story.receive(vec![span]);
        }
        story.answer();
    }
    while let Some((at, span)) = due.pop_front() {
        story.pass(at.saturating_sub(story.now) / MS);
        story.receive(vec![span]);
        story.answer();
    }
    story.shut_down(ShutdownReason::Spindown);
    let spans = &story.agent.ledger().spans;
    assert_eq!((spans.received, spans.made), (2_600, 0));
}

//! Failures are kept where a trace spans invocations, or what is told of one comes when the next has begun.

use crate::story::{MS, Story, request_of, roots, share};
use policy::sampling::Sampling;
use policy::{
    Config, Duration, EndStatus, Ending, FlushMode, InitPhase, InitType, Input, Instant, Invoke, Kind,
    PlatformEvent, ShutdownReason, Span, SpanId, SpoolMode, TraceId, UnixNanos,
};

/// A trace that chance does not keep.
fn low() -> TraceId {
    TraceId::new([1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 1]).expect("not zero")
}

/// An environment that keeps failures, and next to nothing else.
fn keeps_failures(init_type: InitType) -> Story {
    let sampling = share(0.000_1);
    Story::new(Config { init_type, sampling, flush: FlushMode::End, ..Config::default() })
}

/// A span of that trace, which began at `began` ms and ends now; of `request_id`, if that is named.
fn span(story: &Story, id: u8, began: u64, request_id: Option<&str>) -> Span<()> {
    let kind = if request_id.is_some() { Kind::Server } else { Kind::Client };
    Span {
        trace_id: low(),
        request_id: request_id.map(Into::into),
        ..story.span(id, began, kind, request_id.is_none().then_some(1))
    }
}

fn left_out(story: &Story) -> u64 {
    story.agent.ledger().spans.sampled_out
}

#[test]
fn where_invocations_overlap_a_late_span_is_judged_with_its_trace() {
    let mut story = keeps_failures(InitType::ManagedInstances);
    story.tell_start("a", 0);
    story.pass(10);
    story.receive(vec![span(&story, 1, 1, Some("a"))]);
    story.pass(10);
    // The failure of the first was seen at once, or is told by the platform.
    story.receive(vec![span(&story, 2, 15, None)]);
    story.tell_report("a", 21, Some(21), EndStatus::Error);
    story.pass(2);
    story.receive(vec![span(&story, 3, 22, None)]);
    story.pass(8_000);
    story.answer();
    story.shut_down(ShutdownReason::Spindown);
    assert_eq!(left_out(&story), 0);
}

#[test]
fn the_good_end_of_one_invocation_leaves_nothing_of_another_out() {
    let mut story = keeps_failures(InitType::ManagedInstances);
    story.tell_start("a", 0);
    story.tell_start("b", 1);
    story.pass(100);
    story.receive(vec![span(&story, 1, 2, Some("b"))]);
    story.tell_report("b", 100, Some(99), EndStatus::Success);
    story.pass(100);
    assert_eq!(left_out(&story), 1);
    // What began before the other ended is no late part of that.
    story.receive(vec![span(&story, 2, 50, None), span(&story, 3, 5, Some("a"))]);
    story.pass(1_000);
    story.tell_report("a", 1_200, Some(1_200), EndStatus::Timeout);
    story.pass(8_000);
    story.answer();
    story.shut_down(ShutdownReason::Spindown);
    assert_eq!(left_out(&story), 1, "that of b only");
}

#[test]
fn a_failure_that_is_told_when_the_next_one_is_over_is_kept() {
    let mut story = keeps_failures(InitType::OnDemand);
    for (number, is_told) in [(1, false), (2, true), (3, true)] {
        story.invoke_after(1);
        story.pass(2);
        let own = TraceId::new([number; 16]).expect("not zero");
        let own = if number == 1 { low() } else { own };
        let began = story.now / MS - 1;
        story.receive(vec![Span { trace_id: own, ..span(&story, number, began, None) }]);
        story.hear(Input::Flush { request_id: None });
        story.answer();
        if is_told && number == 2 {
            story.tell_done("r-1", began - 2, EndStatus::Error, None);
        }
    }
    story.answer();
    story.shut_down(ShutdownReason::Spindown);
    assert!(roots(&story).iter().any(|root| request_of(root) == "r-1"), "its root, and what it sent");
}

#[test]
fn what_comes_before_invoke_in_a_trace_that_waits_is_of_the_next_invocation_too() {
    for is_named in [false, true] {
        let mut story = keeps_failures(InitType::OnDemand);
        story.invoke_after(1_000);
        story.pass(5);
        story.receive(vec![span(&story, 1, 1_000, Some("r-1"))]);
        story.answer();
        story.now += 1_000 * MS;
        let began = story.now / MS - 4;
        let early = span(&story, 2, began, is_named.then_some("r-2"));
        let parent = early.parent.and(SpanId::new([9; 8]));
        story.receive(vec![Span { parent, ..early }]);
        story.invoke_after(50);
        story.pass(500);
        story.tell_done("r-1", 1_005, EndStatus::Success, None);
        story.pass(59_000);
        story.answer();
        story.shut_down(ShutdownReason::Timeout);
        assert_eq!(left_out(&story), 0, "named: {is_named}");
    }
}

#[test]
fn after_the_clock_was_set_back_nothing_is_a_late_part_of_what_was_before() {
    let mut story = keeps_failures(InitType::OnDemand);
    story.now = 7_200_000 * MS;
    story.invoke_after(1);
    story.pass(5);
    story.receive(vec![span(&story, 1, story.now / MS - 4, Some("r-1"))]);
    story.tell_done("r-1", story.now / MS, EndStatus::Success, None);
    story.answer();
    assert_eq!(left_out(&story), 1);
    story.now += 1_000 * MS;
    let received = story.now / MS - 3_600_000;
    story.hear(Input::Invoke(Invoke {
        request_id: "r-2".into(),
        deadline: Instant::from_nanos(story.now) + Duration::from_secs(3),
        deadline_at: UnixNanos((received + 3_000) * MS),
        received_at: UnixNanos(received * MS),
        arn: "".into(),
        xray: None,
        waited: Duration::from_secs(1),
    }));
    story.pass(5);
    let late = Span { end: UnixNanos((received + 4) * MS), ..span(&story, 2, received + 1, None) };
    story.receive(vec![late]);
    story.tell_done("r-2", received + 5, EndStatus::Error, None);
    story.answer();
    story.shut_down(ShutdownReason::Spindown);
    assert_eq!(left_out(&story), 1, "that of the first only");
}

#[test]
fn what_is_left_over_is_judged_with_what_it_is_left_from() {
    let mut story = keeps_failures(InitType::OnDemand);
    story.invoke_after(1_000);
    story.pass(5);
    let failed = Span { is_error: true, ..span(&story, 1, 1_001, Some("r-1")) };
    story.receive(vec![failed]);
    story.answer();
    story.pass(5);
    story.receive(vec![span(&story, 2, 1_008, None)]);
    story.invoke_after(1_000);
    story.tell_done("r-1", 1_010, EndStatus::Error, None);
    story.pass(5);
    story.tell_done("r-2", story.now / MS, EndStatus::Success, None);
    story.answer();
    story.shut_down(ShutdownReason::Spindown);
    assert_eq!(left_out(&story), 1, "the root of the second");
}

/// A function calls itself, and the caller's span claims to have begun, or to be open, in the invocation that it calls. It came
/// in its own invocation, or late, beside the handler of the called one, with the own span of its own. Nothing says that this
/// parent is remote. Whatever it claims, the called invocation has its own span.
#[test]
fn the_own_span_below_one_of_an_earlier_invocation_stands_for_its_invocation() {
    for (is_late, claimed) in [false, true].into_iter().flat_map(|late| [0, 5, 120, 999].map(|at| (late, at)))
    {
        let mut story = Story::new(Config { flush: FlushMode::End, ..Config::default() });
        story.invoke();
        let began = story.now / MS;
        story.pass(10);
        let (start, end) = (UnixNanos(claimed * MS), UnixNanos(10_000 * MS));
        let call = Span { start, end, ..story.span(1, began, Kind::Client, Some(9)) };
        let calling = vec![story.entry(9, began), call];
        if !is_late {
            story.receive(calling.clone());
        }
        story.tell_done(&story.request_id(), story.now / MS, EndStatus::Success, None);
        story.answer();
        story.invoke_after(100);
        let began = story.now / MS;
        story.pass(5);
        if is_late {
            story.receive(calling);
        }
        story.pass(5);
        let request_id = Some(story.request_id().as_str().into());
        story.receive(vec![Span { request_id, ..story.span(2, began, Kind::Server, Some(1)) }]);
        story.tell_done(&story.request_id(), story.now / MS, EndStatus::Success, None);
        story.answer();
        for _ in 0..2 {
            story.invoke_after(6_000);
            story.pass(10);
            story.tell_done(&story.request_id(), story.now / MS, EndStatus::Success, None);
            story.answer();
        }
        story.shut_down(ShutdownReason::Spindown);
        let made: Vec<_> = roots(&story).into_iter().map(request_of).collect();
        assert!(!made.contains(&"r-2"), "late: {is_late}, the caller claims {claimed} ms: {made:?}");
    }
}

/// The span of init joins the trace of the first invocation, when its own span has come: that trace is judged with the
/// invocation, and leaves in its flush.
#[test]
fn the_first_invocation_leaves_in_its_own_flush_with_the_span_of_init() {
    let sampling = Sampling { keeps_cold_starts: true, ..share(0.000_1) };
    let mut story = Story::new(Config { sampling, flush: FlushMode::End, ..Config::default() });
    let at = |ms: u64| UnixNanos(ms * MS);
    for event in [
        PlatformEvent::InitStart { at: at(0), phase: InitPhase::Init, restore: false, runtime_version: None },
        PlatformEvent::InitRuntimeDone { at: at(50), restore: false, ending: Ending::SUCCESS },
    ] {
        story.hear(Input::Platform(event));
    }
    story.invoke_after(100);
    let began = story.now / MS;
    story.pass(10);
    story.receive(vec![Span { trace_id: low(), ..story.entry(1, began) }]);
    assert_eq!((story.made, story.agent.unjudged_spans()), (1, 0), "the span of init is on its way");
    story.answer();
    assert_eq!((story.agent.ledger().spans.delivered, story.asked), (2, 2));
}

/// Of two traces in one request, one has failed: the spans of the other are told of, where the request is on record.
#[test]
fn what_is_left_out_is_told_of_where_it_is_on_record() {
    for (spool, told) in [(SpoolMode::Always, 2), (SpoolMode::Outage, 0), (SpoolMode::Off, 0)] {
        let sampling = share(0.000_1);
        let mut story = Story::new(Config { sampling, spool, flush: FlushMode::End, ..Config::default() });
        story.invoke();
        let began = story.now / MS;
        story.pass(10);
        let other = TraceId::new([1; 16]).expect("not zero");
        let failed = Span { is_error: true, trace_id: other, ..story.span(3, began, Kind::Client, None) };
        let own = Span { trace_id: low(), ..story.entry(1, began) };
        story.receive(vec![span(&story, 2, began, None), failed, own]);
        story.tell_done(&story.request_id(), story.now / MS, EndStatus::Success, None);
        story.answer();
        assert_eq!((story.left_out, left_out(&story)), (told, 2), "{spool:?}");
        assert_eq!(story.agent.ledger().spans.delivered, 1, "{spool:?}");
    }
}

//! One root for each invocation: whose it is, where it hangs, from when to when, and that there is only one.

use crate::story::{MS, Story, managed, on_demand, request_of, roots, trace};
use policy::{
    Config, Duration, EndStatus, Ending, FlushMode, InitPhase, InitType, Input, Instant, Invoke, Kind,
    PlatformEvent, Receipt, ShutdownReason, Span, SpanId, UnixNanos, Value,
};

mod awaited;
mod killed;
mod overlapping;

fn id(number: u8) -> SpanId {
    SpanId::new([number; 8]).expect("not zero")
}

fn millis(at: UnixNanos) -> u64 {
    at.0 / MS
}

#[test]
fn a_timed_out_invocation_is_as_long_as_it_was() {
    // On demand, where INVOKE told the deadline.
    let mut story = on_demand();
    story.invoke();
    let request_id = story.request_id();
    story.tell_start(&request_id, 1);
    story.pass(60_000);
    story.tell_done(&request_id, 60_001, EndStatus::Timeout, None);
    story.answer();
    story.shut_down(ShutdownReason::Timeout);
    assert_eq!((millis(roots(&story)[0].start), millis(roots(&story)[0].end)), (1, 60_001));
    // Init ran again inside the first invocation, and no INVOKE ever came.
    let mut story = on_demand();
    story.tell_start("late", 100);
    story.pass(3_100);
    story.shut_down(ShutdownReason::Timeout);
    assert_eq!((millis(roots(&story)[0].start), millis(roots(&story)[0].end)), (100, 3_100));
}

#[test]
fn a_retry_under_the_same_request_id_is_another_invocation() {
    let mut story = on_demand();
    for status in [EndStatus::Error, EndStatus::Success] {
        story.invoke_as("same", 60_000);
        story.pass(5);
        story.tell_done("same", story.now / MS, status, None);
        story.answer();
    }
    story.shut_down(ShutdownReason::Spindown);
    let told: Vec<_> = roots(&story).iter().map(|span| span.error_type.is_some()).collect();
    assert_eq!(told, [true, false]);
    assert_ne!(roots(&story)[0].span_id, roots(&story)[1].span_id);
    assert_ne!(roots(&story)[0].trace_id, roots(&story)[1].trace_id);
}

#[test]
fn what_is_told_of_the_first_try_late_says_nothing_of_the_retry() {
    let mut story = on_demand();
    story.invoke_as("same", 60_000);
    story.pass(5);
    let own =
        Span { request_id: Some("same".into()), ..story.span(1, story.now / MS - 5, Kind::Server, None) };
    story.receive(vec![own]);
    story.answer();
    let ended = story.now / MS;
    story.invoke_as("same", 60_000);
    story.tell_done("same", ended, EndStatus::Error, None);
    assert_eq!(story.asked, 2, "the retry runs on");
    story.pass(5);
    story.tell_done("same", story.now / MS, EndStatus::Success, None);
    assert_eq!(story.asked, 3);
    story.shut_down(ShutdownReason::Spindown);
    assert_eq!(roots(&story).len(), 1, "of the retry, which sent none of its own");
    assert_eq!(roots(&story)[0].error_type, None);
}

#[test]
fn the_end_of_a_retry_that_is_told_before_its_invoke_is_not_lost() {
    let took = Some(Duration::from_millis(5));
    // The end of the first try is told twice, or never and its own span comes.
    for is_told in [true, false] {
        let mut story = on_demand();
        story.invoke_as("same", 1);
        let began = story.now / MS;
        story.pass(5);
        let kind = if is_told { Kind::Internal } else { Kind::Server };
        let request_id = (!is_told).then(|| "same".into());
        story.receive(vec![Span { request_id, ..story.span(1, began, kind, None) }]);
        for _ in 0..if is_told { 2 } else { 0 } {
            story.tell_done_after("same", began + 5, took);
            story.answer();
        }
        story.answer();
        assert_eq!(story.asked, 2);
        story.now += 120_000 * MS;
        story.tell_done_after("same", story.now / MS, took);
        story.invoke_as("same", 100);
        story.answer();
        assert_eq!(story.asked, 3, "the retry is over, told: {is_told}");
    }
}

#[test]
fn the_second_entry_span_of_a_retry_is_not_that_of_its_first_try() {
    let mut story = on_demand();
    for id in [1, 2] {
        story.invoke_as("same", 120_000);
        // All that the retry sends comes after it.
        story.receive(if id == 1 {
            vec![story.span(id, story.now / MS, Kind::Internal, None)]
        } else {
            vec![]
        });
        story.pass(5);
        story.tell_done("same", story.now / MS, EndStatus::Success, None);
        story.answer();
    }
    let began = story.now / MS - 5;
    let sibling =
        |id| Span { request_id: Some("same".into()), ..story.span(id, began + 2, Kind::Server, None) };
    let late = [sibling(3), sibling(4)];
    story.receive(late.into());
    story.shut_down(ShutdownReason::Spindown);
    assert_eq!(roots(&story).len(), 1, "of the first try, which sent none of its own");
}

#[test]
fn a_report_tells_how_an_invocation_ended_whose_end_was_lost() {
    let mut story = on_demand();
    story.invoke();
    let lost = story.request_id();
    story.pass(60_000);
    story.answer();
    story.invoke();
    story.tell_report(&lost, 60_002, Some(50), EndStatus::Error);
    let request_id = story.request_id();
    story.pass(5);
    story.tell_done(&request_id, story.now / MS, EndStatus::Success, None);
    story.answer();
    story.shut_down(ShutdownReason::Spindown);
    let told: Vec<_> =
        roots(&story).iter().map(|span| (request_of(span), span.error_type.is_some())).collect();
    assert_eq!(told, [(lost.as_str(), true), (request_id.as_str(), false)]);
    assert_eq!(millis(roots(&story)[0].end) - millis(roots(&story)[0].start), 50);
}

#[test]
fn a_span_that_claims_any_time_does_not_end_adoption() {
    for (start, end) in [(5, u64::MAX / 2), (u64::MAX / 2, u64::MAX), (0, 1), (0, u64::MAX)] {
        let mut story = on_demand();
        story.pass(1_000);
        story.invoke();
        story.pass(10);
        let bogus = Span { start: UnixNanos(start), end: UnixNanos(end), ..story.entry(9, 0) };
        story.receive(vec![bogus]);
        story.answer();
        story.invoke_after(1_000);
        let request_id = story.request_id();
        let began = story.now / MS;
        story.pass(10);
        let child = Span { trace_id: trace(7), ..story.span(2, began + 1, Kind::Client, Some(1)) };
        story.receive(vec![child]);
        story.tell_done(&request_id, story.now / MS, EndStatus::Error, Some("Runtime.ExitError"));
        story.answer();
        story.shut_down(ShutdownReason::Failure);
        let root = roots(&story)[0];
        assert_eq!(
            (root.trace_id, root.span_id, root.parent),
            (trace(7), id(1), None),
            "after {start}-{end}"
        );
        assert_eq!(millis(root.start), began, "after {start}-{end}");
        assert!(root.error_type.is_some());
    }
}

#[test]
fn spans_of_module_initialisation_are_of_no_invocation() {
    let mut story = Story::new(Config { flush: FlushMode::End, ..Config::default() });
    story.pass(500);
    let loading = Span { trace_id: trace(3), ..story.span(2, 100, Kind::Client, Some(1)) };
    story.receive(vec![loading]);
    story.invoke();
    let request_id = story.request_id();
    for event in [
        PlatformEvent::InitStart {
            at: UnixNanos(0),
            phase: InitPhase::Init,
            restore: false,
            runtime_version: None,
        },
        PlatformEvent::InitRuntimeDone { at: UnixNanos(500 * MS), restore: false, ending: Ending::SUCCESS },
    ] {
        story.hear(Input::Platform(event));
    }
    story.pass(20);
    story.tell_done(&request_id, 521, EndStatus::Timeout, None);
    story.answer();
    story.shut_down(ShutdownReason::Timeout);
    let root = roots(&story)[0];
    assert_ne!(root.trace_id, trace(3));
    assert_eq!(millis(root.start), 501);
    let init = story.spans.iter().find(|span| span.name.starts_with("init ")).expect("it was a cold start");
    assert_eq!((init.trace_id, init.parent), (root.trace_id, Some(root.span_id)));
}

#[test]
fn a_span_of_the_function_without_a_parent_is_no_parent_of_its_invocation() {
    let mut story = on_demand();
    story.invoke();
    let request_id = story.request_id();
    story.pass(200);
    story.receive(vec![story.span(1, 100, Kind::Internal, None), story.span(2, 110, Kind::Client, Some(1))]);
    story.tell_done(&request_id, 201, EndStatus::Success, None);
    story.answer();
    story.shut_down(ShutdownReason::Spindown);
    let root = roots(&story)[0];
    assert_eq!(
        (root.trace_id, root.parent, millis(root.start)),
        (trace(1), None, 1),
        "a second root beside it"
    );
}

#[test]
fn where_a_dead_functions_root_belongs() {
    let client = |story: &Story, number: u8, parent: Option<u8>, in_trace: u8| Span {
        trace_id: trace(in_trace),
        ..story.span(number, 10, Kind::Client, parent)
    };
    /// A client span: its id, its parent, its trace.
    type Client = (u8, Option<u8>, u8);
    /// The trace that the root joins, and the id that it takes over.
    type Standing = Option<(u8, Option<u8>)>;
    let rows: [(&[Client], Standing); 5] = [
        // Its children name it: it has the id that they name.
        (&[(2, Some(1), 7), (3, Some(1), 7)], Some((7, Some(1)))),
        // Several are missing: their root is above them.
        (&[(2, Some(1), 7), (3, Some(4), 7)], Some((7, None))),
        // A trace of which everything has come is not the one that misses its root.
        (&[(5, None, 8), (2, Some(1), 7)], Some((7, Some(1)))),
        // Several miss theirs: nothing tells.
        (&[(5, Some(6), 8), (2, Some(1), 7)], None),
        (&[], None),
    ];
    for (spans, expected) in rows {
        let mut story = on_demand();
        story.invoke();
        let request_id = story.request_id();
        story.pass(20);
        let spans =
            spans.iter().map(|(number, parent, in_trace)| client(&story, *number, *parent, *in_trace));
        let spans: Vec<_> = spans.collect();
        if !spans.is_empty() {
            story.receive(spans);
        }
        story.tell_done(&request_id, 21, EndStatus::Error, Some("Runtime.ExitError"));
        story.answer();
        story.shut_down(ShutdownReason::Failure);
        let root = roots(&story)[0];
        match expected {
            Some((in_trace, Some(adopted))) => {
                assert_eq!((root.trace_id, root.span_id), (trace(in_trace), id(adopted)));
            }
            Some((in_trace, None)) => {
                assert_eq!(root.trace_id, trace(in_trace));
                assert_eq!(story.spans.iter().filter(|span| span.name == "unfinished").count(), 2);
            }
            None => assert!((1..9).all(|number| root.trace_id != trace(number)), "{root:?}"),
        }
        assert_eq!(root.parent, None);
    }
}

/// A function hands on to itself, and its SDK does not say that the parent of its span is in another invocation.
#[test]
fn a_message_to_oneself_has_one_root_and_ends_with_it() {
    let mut story = on_demand();
    story.invoke();
    let began = story.now / MS;
    story.pass(10);
    story.receive(vec![story.span(2, began + 2, Kind::Producer, Some(1)), story.entry(1, began)]);
    story.answer();
    story.tell_done(&story.request_id(), story.now / MS, EndStatus::Success, None);
    story.invoke_after(600_000);
    let (began, asked) = (story.now / MS, story.asked);
    story.pass(10);
    story.receive(vec![Span { parent: Some(id(2)), kind: Kind::Consumer, ..story.entry(3, began) }]);
    story.answer();
    let (is_over, ended) = (story.asked > asked, story.now / MS);
    story.pass(25);
    story.tell_done(&story.request_id(), ended, EndStatus::Success, None);
    story.answer();
    story.shut_down(ShutdownReason::Spindown);
    assert_eq!((is_over, roots(&story).len()), (true, 0), "its own span ends it, and is its root");
}

/// The span that sends the message comes late, by a timer, without its own parent, and with an end that nobody can know.
#[test]
fn a_message_of_a_span_that_claims_any_end_has_one_root_and_ends_with_it() {
    for end in [u64::MAX, u64::MAX / 2, 0] {
        let mut story = on_demand();
        story.invoke();
        let began = story.now / MS;
        story.pass(10);
        story.receive(vec![story.entry(1, began)]);
        story.answer();
        let sends = story.span(2, began + 2, Kind::Producer, Some(7));
        story.receive(vec![Span { end: UnixNanos(end), ..sends }]);
        story.invoke_after(1_000);
        let (began, asked) = (story.now / MS, story.asked);
        story.pass(10);
        story.receive(vec![Span { parent: Some(id(2)), kind: Kind::Consumer, ..story.entry(3, began) }]);
        story.answer();
        let is_over = story.asked > asked;
        story.tell_done(&story.request_id(), story.now / MS, EndStatus::Success, None);
        story.answer();
        story.shut_down(ShutdownReason::Spindown);
        let made = roots(&story).len();
        assert_eq!((is_over, made), (true, 0), "its own span ends it, and is its root: {end}");
    }
}

/// With provisioned concurrency nobody waits for init, which was over long before the first invocation.
#[test]
fn the_first_invocation_is_no_cold_start_if_init_was_over_long_before() {
    for (init_type, waited, is_cold) in
        [(InitType::OnDemand, 100, true), (InitType::ProvisionedConcurrency, 60_000, false)]
    {
        let mut story = Story::new(Config { init_type, flush: FlushMode::End, ..Config::default() });
        story.hear(Input::Platform(PlatformEvent::InitStart {
            at: UnixNanos(0),
            phase: InitPhase::Init,
            restore: false,
            runtime_version: None,
        }));
        story.hear(Input::Platform(PlatformEvent::InitRuntimeDone {
            at: UnixNanos(50 * MS),
            restore: false,
            ending: Ending::SUCCESS,
        }));
        story.invoke_after(waited);
        story.pass(10);
        story.tell_done(&story.request_id(), story.now / MS, EndStatus::Success, None);
        story.shut_down(ShutdownReason::Spindown);
        let roots = roots(&story);
        let cold = Value::Flag(is_cold);
        let told = roots[0].attributes.iter().find(|(key, _)| *key == "faas.coldstart");
        assert_eq!(told, Some(&("faas.coldstart", cold)), "{init_type:?}");
    }
}

/// A span without a name comes late, of the time between the end of its invocation and the report on it.
#[test]
fn an_invocation_begins_after_the_report_on_the_one_before() {
    let mut story = on_demand();
    story.now = 990 * MS;
    story.invoke_after(10);
    story.pass(10);
    let own = story.entry(1, 1_000);
    story.receive(vec![own]);
    story.answer();
    story.tell_done("r-1", 1_010, EndStatus::Success, None);
    story.tell_report("r-1", 1_040, Some(30), EndStatus::Success);
    story.invoke_after(90);
    assert_eq!(story.now, 1_100 * MS);
    let late = Span { trace_id: trace(20), ..story.span(3, 1_020, Kind::Client, None) };
    story.receive(vec![late]);
    story.pass(10);
    story.tell_done("r-2", 1_110, EndStatus::Success, None);
    story.shut_down(ShutdownReason::Spindown);
    let made: Vec<_> = roots(&story).iter().map(|root| (request_of(root), root.start)).collect();
    assert_eq!(made, [("r-2", UnixNanos(1_100 * MS))]);
}

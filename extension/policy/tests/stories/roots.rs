//! One root for each invocation: whose it is, where it hangs, from when to when, and that there is only one.

use crate::story::{MS, Story, managed, on_demand, request_of, roots, trace};
use policy::{
    Config, Duration, EndStatus, Ending, FlushMode, InitPhase, InitType, Input, Instant, Invoke, Kind,
    PlatformEvent, Receipt, ShutdownReason, Span, SpanId, UnixNanos, Value,
};

fn id(number: u8) -> SpanId {
    SpanId::new([number; 8]).expect("not zero")
}

fn millis(at: UnixNanos) -> u64 {
    at.0 / MS
}

#[test]
fn where_invocations_overlap_a_silent_one_takes_nothing_from_another() {
    let mut story = managed();
    story.tell_start("a", 0);
    story.pass(10);
    story.receive(vec![Span { trace_id: trace(7), ..story.span(2, 5, Kind::Client, Some(1)) }]);
    story.tell_start("b", 10);
    story.pass(3_000);
    story.tell_report("b", 3_010, Some(3_000), EndStatus::Timeout);
    // Its process lives on, and may send its span yet.
    story.pass(8_000);
    story.answer();
    let silent = roots(&story)[0].clone();
    assert_eq!((request_of(&silent), silent.parent), ("b", None));
    assert_ne!(silent.trace_id, trace(7), "it is not known to be b's");
    assert_ne!(silent.span_id, id(1), "that is the root of a");
    assert_eq!((millis(silent.start), millis(silent.end)), (10, 3_010), "as long as the platform says");
    let own = Span { request_id: Some("a".into()), ..story.span(1, 0, Kind::Server, None) };
    story.receive(vec![Span { trace_id: trace(7), ..own }]);
    story.tell_report("a", 4_010, Some(4_010), EndStatus::Success);
    story.pass(8_000);
    story.answer();
    let ledger = story.agent.ledger();
    assert_eq!(ledger.spans.dropped.iter().sum::<u64>(), 0, "its own root arrives: {ledger:?}");
    assert_eq!(roots(&story).len(), 1);
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

/// A function whose SDK sends by a timer: its span of each invocation comes `late` invocations afterwards.
fn lives_late(config: Config, gap_ms: u64, late: usize) -> Story {
    let mut story = Story::new(config);
    let mut own = Vec::new();
    for number in 0..20_u8 {
        story.invoke_after(gap_ms);
        let began = story.now / MS;
        if own.len() > late {
            let spans = own.drain(..own.len() - late).collect();
            story.receive(spans);
        }
        story.pass(5);
        own.push(Span { trace_id: trace(100 + number), ..story.entry(100 + number, began) });
        let request_id = story.request_id();
        story.tell_done(&request_id, story.now / MS, EndStatus::Success, None);
        story.answer();
    }
    story.receive(own);
    story.shut_down(ShutdownReason::Spindown);
    story
}

#[test]
fn a_span_of_the_function_that_comes_late_is_awaited() {
    for gap_ms in [10, 100, 7_000, 30_000] {
        for late in [0, 1, 2] {
            if late == 2 && gap_ms >= 6_000 {
                // By then two invocations have gone by in which a timer that was due could fire.
                continue;
            }
            let config = Config { flush: FlushMode::End, expects_spans: true, ..Config::default() };
            let story = lives_late(config, gap_ms, late);
            assert_eq!(roots(&story).len(), 0, "{late} invocations late, {gap_ms} ms apart");
        }
    }
}

#[test]
fn what_is_awaited_in_vain_is_made() {
    // The SDK has sent what came after: the root is due with the next end, and not at SHUTDOWN only.
    let mut story = Story::new(Config { flush: FlushMode::End, expects_spans: true, ..Config::default() });
    for number in 0..2 {
        story.invoke_after(100);
        let (began, request_id) = (story.now / MS, story.request_id());
        story.pass(5);
        story.receive(vec![story.span(1, began + 1, Kind::Internal, None)]);
        story.tell_done(&request_id, story.now / MS, EndStatus::Success, None);
        story.answer();
        assert_eq!(roots(&story).len(), number, "after invocation {number}");
    }
    // It never sends anything: two invocations after its timers were due.
    let mut story = Story::new(Config { flush: FlushMode::End, expects_spans: true, ..Config::default() });
    for made in [0, 0, 1, 2] {
        story.invoke_after(7_000);
        let request_id = story.request_id();
        story.pass(5);
        story.tell_done(&request_id, story.now / MS, EndStatus::Success, None);
        story.answer();
        assert_eq!(roots(&story).len(), made);
    }
    // Nothing is expected of a function without an SDK.
    let mut story = on_demand();
    story.invoke();
    let request_id = story.request_id();
    story.tell_done(&request_id, 2, EndStatus::Success, None);
    assert_eq!(roots(&story).len(), 1);
}

#[test]
fn a_killed_process_leaves_an_invocation_whose_root_is_its_own() {
    let begun = |seed| {
        let mut story = Story::new(Config { seed, ..Config::default() });
        story.invoke();
        story.shut_down(ShutdownReason::Failure);
        roots(&story)[0].clone()
    };
    let before = begun(1);
    let invoke = Invoke {
        request_id: "r-1".into(),
        deadline: Instant::default(),
        deadline_at: UnixNanos(60_001 * MS),
        received_at: UnixNanos(MS),
        arn: "".into(),
        xray: None,
        waited: Duration::ZERO,
    };
    let receipt = |spans| Receipt { spans, parcels: Vec::new() };
    let mut story = Story::new(Config { seed: 2, ..Config::default() });
    story.now = 9_000 * MS;
    let client = |in_trace: u8, began, parent| Span {
        trace_id: trace(in_trace),
        end: UnixNanos(30 * MS),
        ..story.span(2, began, Kind::Client, Some(parent))
    };
    // Unsent spans of the one before, some of which came after INVOKE; and, in the second row, one of its own.
    type Row = (Vec<Span<()>>, Vec<Span<()>>, Option<u8>);
    let rows: [Row; 3] = [
        (vec![client(7, 0, 1)], vec![], None),
        (vec![client(7, 0, 1)], vec![client(7, 0, 1)], None),
        (vec![client(7, 0, 1)], vec![client(8, 2, 3)], Some(8)),
    ];
    for (earlier, since, expected) in rows {
        let mut story = Story::new(Config { seed: 2, ..Config::default() });
        story.now = 9_000 * MS;
        let (earlier, receipt) = (receipt(earlier), receipt(since));
        let invoke = Some(invoke.clone());
        story.hear(Input::Recovered { invoke, seed: 1, earlier, receipt, announced: Vec::new() });
        story.invoke();
        let root = roots(&story)[0];
        assert_eq!((request_of(root), root.error_type.is_some()), ("r-1", true));
        match expected {
            Some(in_trace) => assert_eq!((root.trace_id, root.span_id), (trace(in_trace), id(3))),
            None => assert_eq!((root.trace_id, root.span_id), (before.trace_id, before.span_id)),
        }
    }
}

/// Once it is delivered, the next process finds the invocation on record, and not the span.
#[test]
fn an_invocation_that_is_recovered_with_its_root_known_gets_no_second_one() {
    // Whose root is on record, and which roots the next process makes.
    for (of, expected) in [(None, &["r-1"][..]), (Some("r-1"), &[]), (Some("another"), &["r-1"])] {
        let mut first = Story::new(Config { seed: 1, ..Config::default() });
        first.invoke();
        let received_at = UnixNanos(first.now);
        assert_eq!(first.agent.own_root(&"r-1".into(), received_at), None);
        first.pass(5);
        let span = first.entry(7, first.now / MS);
        let own = (span.trace_id, span.span_id);
        first.receive(vec![span]);
        assert_eq!(first.agent.own_root(&"r-1".into(), received_at), Some(own), "accepted");
        assert_eq!(first.agent.own_root(&"r-1".into(), UnixNanos(0)), None, "an earlier try's");
        let mut next = Story::new(Config { seed: 2, ..Config::default() });
        next.now = 9_000 * MS;
        if let Some(of) = of {
            next.hear(Input::Rooted { request_id: of.into(), trace_id: own.0, span_id: own.1 });
        }
        next.hear(Input::Recovered {
            invoke: Some(Invoke {
                request_id: "r-1".into(),
                deadline: Instant::from_nanos(3_000 * MS),
                deadline_at: UnixNanos(3_000 * MS),
                received_at,
                arn: "".into(),
                xray: None,
                waited: Duration::ZERO,
            }),
            seed: 1,
            earlier: Receipt::EMPTY,
            receipt: Receipt::EMPTY,
            announced: Vec::new(),
        });
        next.invoke();
        let made: Vec<_> = roots(&next).into_iter().map(request_of).collect();
        assert_eq!(made, expected, "{of:?}");
    }
}

#[test]
fn where_invocations_overlap_announcements_are_forgotten_with_those_that_ended_well() {
    let mut story = managed();
    for number in 0..2_000_u64 {
        let request_id = format!("m-{number}");
        let began = story.now / MS;
        story.tell_start(&request_id, began);
        let span_id = SpanId::new((number + 1).to_be_bytes()).expect("not zero");
        let begun = Span { span_id, ..story.span(1, began, Kind::Internal, Some(9)) };
        story.hear(Input::Announced(vec![begun]));
        story.pass(1_100);
        story.tell_report(&request_id, story.now / MS, Some(1), EndStatus::Success);
        story.pass(1_100);
        story.answer();
    }
    let made = story.agent.ledger().spans.made;
    story.shut_down(ShutdownReason::Failure);
    let closed = story.agent.ledger().spans.made - made;
    assert!(closed <= 4, "{closed} spans of invocations that ended well were closed as failures");
}

#[test]
fn more_invocations_at_once_than_are_remembered_are_still_told() {
    let mut story = managed();
    for number in 0..1_100 {
        story.tell_start(&format!("m-{number}"), number + 1);
    }
    story.pass(8_000);
    story.answer();
    story.shut_down(ShutdownReason::Spindown);
    assert_eq!(roots(&story).len(), 1_100);
}

/// What a killed process left shows whether the function has an SDK, whose own span may come after the end.
#[test]
fn a_root_is_awaited_where_a_killed_process_left_spans_of_the_function() {
    for (earlier, current, is_awaited) in [(0, 0, false), (1, 0, true), (0, 1, true), (1, 1, true)] {
        let mut story = on_demand();
        let left = |ids: core::ops::Range<u8>| Receipt {
            spans: ids.map(|id| story.span(id + 1, 0, Kind::Client, None)).collect(),
            parcels: Vec::new(),
        };
        let (earlier_left, receipt) = (left(0..earlier), left(10..10 + current));
        let announced = Vec::new();
        story.hear(Input::Recovered { invoke: None, seed: 5, earlier: earlier_left, receipt, announced });
        story.invoke_after(1_000);
        story.answer();
        story.pass(5);
        let request_id = story.request_id();
        story.tell_done(&request_id, story.now / MS, EndStatus::Success, None);
        story.answer();
        assert_eq!(roots(&story).is_empty(), is_awaited, "{earlier} of earlier ones, {current} of the last");
    }
}

/// The function's own span of the first invocation is in a request that INVOKE of the third overtakes.
#[test]
fn a_root_that_may_be_in_a_request_under_way_is_not_made() {
    for is_coming in [false, true] {
        let config = Config { flush: FlushMode::Continuous, expects_spans: true, ..Config::default() };
        let mut story = Story::new(config);
        story.invoke();
        let first = story.now / MS;
        story.pass(40);
        story.tell_done_after("r-1", story.now / MS, Some(Duration::from_millis(40)));
        story.invoke_after(100);
        assert_eq!(story.asked, 3, "asked at once: nothing is left to send");
        story.pass(5);
        story.receive(vec![story.span(2, story.now / MS - 2, Kind::Client, None)]);
        if is_coming {
            story.hear(Input::Receiving);
        }
        story.invoke_after(10);
        // Everything is sent, and /next is asked at once again, unless something is still to come.
        story.answer();
        assert_eq!(story.asked, if is_coming { 3 } else { 4 });
        assert_eq!(story.agent.ledger().spans.made, u64::from(!is_coming), "it may be in that: {is_coming}");
        if is_coming {
            let end = UnixNanos((first + 38) * MS);
            let own = Span { end, ..story.span(1, first + 1, Kind::Server, None) };
            story.hear(Input::Received(Receipt { spans: vec![own], parcels: Vec::new() }));
            story.shut_down(ShutdownReason::Spindown);
            assert!(roots(&story).iter().all(|root| request_of(root) != "r-1"));
        }
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

/// Whatever the platform calls it, the sandbox has failed, and the function's process is gone with its root.
#[test]
fn the_root_that_a_failed_sandbox_took_along_is_made_under_its_own_id() {
    for class in ["Sandbox.Timedout", "Sandbox.Failure", "Sandbox.Crash"] {
        let mut story = on_demand();
        story.invoke();
        let began = story.now / MS;
        story.pass(10);
        let child = story.span(3, began, Kind::Client, Some(2));
        story.receive(vec![child]);
        story.tell_done(&story.request_id(), story.now / MS, EndStatus::Error, Some(class));
        story.answer();
        story.shut_down(ShutdownReason::Failure);
        let made: Vec<_> = roots(&story).iter().map(|root| root.span_id).collect();
        assert_eq!(made, [id(2)], "{class}");
    }
}

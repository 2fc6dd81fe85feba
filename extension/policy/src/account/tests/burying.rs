//! Invocations that died with their function, or with a killed process of ours: the root and the spans that are made for them.

use super::*;
use crate::announced::Part;

#[test]
fn a_process_that_serves_several_lives_on_after_a_time_out() {
    for (init_type, status, is_awaited) in [
        (InitType::ManagedInstances, EndStatus::Timeout, true),
        (InitType::ManagedInstances, EndStatus::Failure, false),
        (InitType::ManagedInstances, EndStatus::Success, true),
        (InitType::OnDemand, EndStatus::Timeout, false),
        (InitType::OnDemand, EndStatus::Success, true),
    ] {
        let mut told = Told::new(init_type);
        told.account.on_sdk();
        told.begin("r", 100).event(&done("r", 110, status)).close(111);
        assert_eq!(told.account.is_awaiting(), is_awaited, "{init_type:?} {status:?}");
        assert_eq!(told.account.take_made().len(), usize::from(!is_awaited), "{init_type:?} {status:?}");
    }
    // And the begins of others mean nothing for its spans.
    let mut told = Told::new(InitType::ManagedInstances);
    told.begin("r", 100).begin("s", 200).event(&done("r", 110, EndStatus::Success)).close(111);
    assert_eq!((told.account.open[0].from, told.account.open[0].floor), (UnixNanos(0), UnixNanos(0)));
}

#[test]
fn a_dead_ones_entry_is_no_root_if_spans_name_a_parent_that_never_came() {
    // How it ended, and the root that is made: one that has failed with its function says enough, if it is the root.
    for (status, parent, root) in
        [(EndStatus::Success, 7, None), (EndStatus::Timeout, 7, Some(id(7))), (EndStatus::Timeout, 1, None)]
    {
        let mut told = Told::new(InitType::OnDemand);
        let entry = Span { is_error: true, ..span(1, 101, Kind::Server, None) };
        let child = Span { parent: Some(id(parent)), ..span(2, 103, Kind::Client, None) };
        told.begin("r", 100).span(&entry).span(&child);
        told.event(&done("r", 110, status)).close(111);
        let made = told.account.take_made();
        assert_eq!(made.first().map(|span| span.span_id), root, "{status:?} {parent}");
        assert!(!told.account.is_awaiting(), "{status:?} {parent}");
    }
}

#[test]
fn one_parent_that_never_came_is_made_once() {
    let mut told = Told::new(InitType::OnDemand);
    let child = |span_id, ms| Span { parent: Some(id(7)), ..span(span_id, ms, Kind::Client, None) };
    told.begin("r", 100).span(&child(1, 101)).event(&done("r", 110, EndStatus::Timeout)).close(111);
    told.begin("s", 2_000).span(&child(2, 2_001)).event(&done("s", 2_010, EndStatus::Timeout)).close(2_011);
    let made = told.account.take_made();
    assert_eq!((made.len(), made[0].span_id, made[1].trace_id), (2, id(7), trace(9)));
    assert_ne!(made[1].span_id, id(7), "it has been made");
    assert_eq!(told.account.take_stand_ins(), [(trace(9), id(7))]);
}

#[test]
fn what_a_killed_process_left_has_failed_and_has_one_root() {
    // The spans that were accepted since, and the trace of the root that is made; `None` where there is one already.
    let named = |remote| Span {
        parent: Some(id(7)),
        parent_is_remote: remote,
        ..span(1, 5_001, Kind::Server, Some("r"))
    };
    let client = |ms| span(2, ms, Kind::Client, None);
    let mut told = Told::new(InitType::OnDemand);
    let mut recover = |spans: &[Span<()>], earlier: &[Span<()>]| {
        let invoke = Invoke {
            request_id: "r".into(),
            deadline: now(0),
            deadline_at: at(6_000),
            received_at: at(5_000),
            arn: "".into(),
            xray: None,
            waited: Duration::ZERO,
        };
        told.account.recover(&told.config, (invoke, 7), (earlier, spans), &told.announced);
        let failures: Vec<_> = told.account.take_closed().into_iter().map(|word| word.failure).collect();
        assert_eq!(failures, [Some(crate::sampling::Decision::Crash)]);
        assert_eq!(told.account.last_end, UnixNanos(0), "it is none of this process's");
        told.account.take_stand_ins();
        told.account.take_made().first().map(|root| (root.trace_id == trace(9), root.end))
    };
    assert_eq!(recover(&[named(None)], &[]), None, "its own span is there");
    assert_eq!(recover(&[], &[named(Some(true))]), None, "or was before");
    assert!(recover(&[named(Some(false))], &[]).is_some(), "a part of another");
    // When the one before ended, nobody knows: what began well before INVOKE was read may be of that.
    for (ms, is_its) in [(4_500, false), (4_979, false), (4_980, true), (5_500, true)] {
        let (is_in_trace, _) = recover(&[client(ms)], &[]).expect("it has none");
        assert_eq!(is_in_trace, is_its, "{ms}");
    }
    let other = Span { request_id: None, ..span(3, 4_000, Kind::Client, None) };
    assert_eq!(
        recover(&[client(5_500)], &[other]).map(|(is_in_trace, _)| is_in_trace),
        Some(false),
        "an older trace"
    );
    assert_eq!(
        recover(&[client(5_500)], &[]).map(|(_, end)| end),
        Some(at(5_505)),
        "its last span tells of its end"
    );
}

#[test]
fn a_parent_of_what_a_killed_process_left_is_of_its_invocation_though_it_began_before() {
    for (ms, start) in [(4_500, at(4_500)), (3_900, at(5_000))] {
        let mut told = Told::new(InitType::OnDemand);
        let parent = span(3, ms, Kind::Client, None);
        let child = Span { parent: Some(id(3)), ..span(2, 5_500, Kind::Client, None) };
        let invoke = Invoke {
            request_id: "r".into(),
            deadline: now(0),
            deadline_at: at(6_000),
            received_at: at(5_000),
            arn: "".into(),
            xray: None,
            waited: Duration::ZERO,
        };
        told.account.recover(&told.config, (invoke, 7), (&[], &[parent, child]), &told.announced);
        assert_eq!(told.account.take_made()[0].start, start, "the parent began at {ms}");
    }
}

#[test]
fn where_several_run_a_death_concerns_the_trace_of_the_announced_span_that_names_it() {
    let mut told = Told::new(InitType::ManagedInstances);
    told.begin("r", 100).begin("s", 101);
    let announced = |trace_id, span_id, request_id| Span {
        trace_id: trace(trace_id),
        ..span(span_id, 102, Kind::Server, request_id)
    };
    told.announced.add(announced(1, 1, Some("r")), 1);
    told.announced.add(announced(2, 2, Some("s")), 2);
    told.event(&done("s", 110, EndStatus::Failure)).close(111);
    let part =
        |trace_id, request_id: &str| Some(Part { trace: trace(trace_id), request_id: request_id.into() });
    let deaths: Vec<_> = told.account.take_deaths().into_iter().map(|death| death.part).collect();
    assert_eq!(deaths, [part(2, "s")]);
    told.event(&done("r", 110, EndStatus::Failure)).close(111);
    told.begin("t", 200).event(&done("t", 210, EndStatus::Failure)).close(211);
    let deaths: Vec<_> = told.account.take_deaths().into_iter().map(|death| death.part).collect();
    assert_eq!(deaths, [part(1, "r")], "nothing names the last one");
}

#[test]
fn what_a_dead_function_had_announced_is_of_its_invocation() {
    for (announced_ms, is_its) in [(102, true), (90, false)] {
        let mut told = Told::new(InitType::OnDemand);
        told.begin("r", 100);
        told.announced.add(span(1, announced_ms, Kind::Client, None), 1);
        told.event(&done("r", 110, EndStatus::Timeout)).close(111);
        let root = &told.account.take_made()[0];
        assert_eq!(root.trace_id == trace(9), is_its, "announced at {announced_ms}");
    }
}

#[test]
fn an_announced_span_that_names_nothing_stands_for_a_dead_one_if_it_began_in_it() {
    for (ms, stands) in [(2_001, true), (110, true), (109, false), (50, false)] {
        let mut told = Told::new(InitType::OnDemand);
        told.begin("r", 100).event(&unmeasured("r", 110)).close(111).begin("s", 2_000);
        told.account.take_made();
        told.announced.add(span(1, ms, Kind::Server, None), 2);
        told.event(&done("s", 2_010, EndStatus::Timeout)).close(2_011);
        let is_made = !told.account.take_made().is_empty();
        assert_eq!(is_made, !stands, "announced at {ms}");
    }
}

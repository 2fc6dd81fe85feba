//! A request id under which an invocation is tried again: what is told of one try is not taken for the other.

use crate::story::{MS, Story, on_demand, roots, share, trace};
use policy::sampling::Decision;
use policy::{
    Config, Duration, EndStatus, FlushMode, Input, Instant, Kind, ShutdownReason, Span, Subscription,
    UnixNanos,
};

mod own_spans;

/// From when to when invocations ran, by the spans made for them, and whether each failed.
fn told(story: &Story) -> Vec<(u64, u64, bool)> {
    let spans = roots(story).into_iter();
    spans.map(|span| (span.start.0 / MS, span.end.0 / MS, span.error_type.is_some())).collect()
}

/// `platform.runtimeDone` of the first try comes twice, and its retry a minute later.
#[test]
fn an_event_told_twice_ends_no_retry_of_a_function_with_own_spans() {
    let mut story = on_demand();
    story.invoke_as("same", 60_000);
    let began = story.now / MS;
    story.pass(5);
    let own = Span { request_id: Some("same".into()), ..story.span(1, began, Kind::Server, None) };
    story.receive(vec![own]);
    story.answer();
    let ended = story.now / MS + 1;
    story.pass(2);
    story.tell_done("same", ended, EndStatus::Error, None);
    story.tell_done("same", ended, EndStatus::Error, None);
    story.invoke_as("same", 60_000);
    assert_eq!(story.asked, 2, "the retry runs: /next must not be asked");
    let began = story.now / MS;
    story.pass(5);
    story.tell_done("same", story.now / MS, EndStatus::Success, None);
    story.shut_down(ShutdownReason::Spindown);
    assert_eq!(told(&story), [(began, began + 5, false)]);
}

/// The root of the first try is awaited, whether or not its function is known to send spans.
#[test]
fn an_event_told_twice_gives_a_silent_retry_neither_status_nor_times_of_the_first_try() {
    for expects_spans in [false, true] {
        let config = Config { flush: FlushMode::End, expects_spans, ..Config::default() };
        let mut story = Story::new(config);
        story.invoke_as("same", 60_000);
        let first = story.now / MS;
        story.pass(5);
        story.tell_done("same", first + 5, EndStatus::Error, None);
        story.tell_done("same", first + 5, EndStatus::Error, None);
        story.answer();
        story.invoke_as("same", 60_000);
        let began = story.now / MS;
        assert_eq!(story.asked, 2, "the retry runs: /next must not be asked");
        story.pass(5);
        story.tell_done("same", began + 5, EndStatus::Success, None);
        story.answer();
        story.shut_down(ShutdownReason::Spindown);
        assert_eq!(told(&story), [(first, first + 5, true), (began, began + 5, false)], "{expects_spans}");
    }
}

/// A retry that ends in the millisecond of its INVOKE is over then: the platform tells whole ones.
#[test]
fn a_brief_retry_is_not_held_until_its_deadline() {
    let mut story = on_demand();
    let mut held = Vec::new();
    for _ in 0..2 {
        story.invoke_as("same", 60_000);
        // INVOKE was read 0.3 ms after the millisecond that the event tells, and the handler took half of one.
        story.now += 500_000;
        let told = story.now / MS;
        let asked = story.asked;
        story.pass(25);
        story.tell_done("same", told, EndStatus::Error, Some("Error"));
        story.answer();
        let since = story.now;
        story.pass(if story.asked == asked { 59_900 } else { 0 });
        story.answer();
        assert_eq!(story.asked, asked + 1);
        held.push((story.agent.ledger().held.as_nanos() as u64 / MS, (story.now - since) / MS));
        // The next one is read in the middle of a millisecond, too.
        story.now = story.now / MS * MS + 300_000;
    }
    assert!(held.iter().all(|(_, waited)| *waited < 100), "held {held:?} ms");
}

/// Our process was killed in an asynchronous invocation; its end reaches the next process, and then comes its retry.
#[test]
fn the_end_of_an_invocation_that_killed_us_is_not_that_of_its_retry() {
    let mut story = on_demand();
    story.now = 100_000 * MS;
    let invoke = policy::Invoke {
        request_id: "same".into(),
        deadline: Instant::from_nanos(160_000 * MS),
        deadline_at: UnixNanos(160_000 * MS),
        received_at: UnixNanos(100_000 * MS),
        arn: "".into(),
        xray: None,
        waited: Duration::ZERO,
    };
    story.now = 101_000 * MS;
    let (earlier, receipt) = (policy::Receipt::EMPTY, policy::Receipt::EMPTY);
    story.hear(Input::Recovered { invoke: Some(invoke), seed: 5, earlier, receipt, announced: Vec::new() });
    story.tell_done("same", 100_500, EndStatus::Failure, Some("Extension.Crash"));
    story.invoke_as("same", 60_000);
    let began = story.now / MS;
    assert_eq!(story.flying.len(), 1, "the root of the first try, beside the handler");
    story.answer();
    assert_eq!(story.asked, 1, "the retry runs: /next must not be asked");
    story.pass(50);
    story.tell_done("same", story.now / MS, EndStatus::Success, None);
    story.answer();
    story.shut_down(ShutdownReason::Spindown);
    let told: Vec<_> =
        roots(&story).iter().map(|span| (span.error_type.is_some(), span.end.0 / MS)).collect();
    assert_eq!(told[1..], [(false, began + 50)]);
}

/// What is told of the retry in the end, with the end of the first try told once or twice.
#[test]
fn roots_and_waits_of_a_retry_whose_first_try_was_told_of_twice() {
    let told = |times: u32| {
        let mut story =
            Story::new(Config { flush: FlushMode::End, expects_spans: true, ..Config::default() });
        story.invoke_as("same", 60_000);
        let first = story.now / MS;
        story.pass(5);
        (0..times).for_each(|_| story.tell_done("same", first + 5, EndStatus::Error, None));
        story.answer();
        story.invoke_as("same", 60_000);
        let began = story.now / MS;
        let early = story.asked - 2;
        story.pass(5);
        story.tell_done("same", began + 5, EndStatus::Success, None);
        story.answer();
        story.shut_down(ShutdownReason::Spindown);
        let roots: Vec<_> = roots(&story)
            .iter()
            .map(|s| (s.start.0 / MS - first, s.end.0 / MS - first, s.error_type.is_some()))
            .collect();
        (early, roots)
    };
    assert_eq!(told(1), told(2), "(/next asked early, roots: start, end, failed): told once, and twice");
}

/// `platform.report` of the first try comes with the retry, as it always does, and says nothing of the retry.
#[test]
fn a_retry_that_goes_well_is_not_kept_for_the_failure_of_the_first_try() {
    let sampling = share(0.000_1);
    let mut kept = Vec::new();
    for is_reported in [false, true] {
        let config = Config { flush: FlushMode::End, sampling: sampling.clone(), ..Config::default() };
        let mut story = Story::new(config);
        let low = policy::TraceId::new([1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 1]).expect("not zero");
        for attempt in 0..2u8 {
            story.invoke_as("same", 60_000);
            let began = story.now / MS;
            if attempt == 1 && is_reported {
                story.tell_report("same", began - 59_900, Some(6), EndStatus::Error);
            }
            story.pass(5);
            if attempt == 1 {
                let own = Span {
                    trace_id: low,
                    request_id: Some("same".into()),
                    ..story.span(9, began, Kind::Server, None)
                };
                story.receive(vec![own]);
            }
            let status = if attempt == 0 { EndStatus::Error } else { EndStatus::Success };
            story.tell_done("same", story.now / MS, status, None);
            story.answer();
        }
        story.pass(100);
        story.answer();
        story.shut_down(ShutdownReason::Spindown);
        kept.push((story.agent.ledger().spans.sampled_out, story.agent.ledger().decided(Decision::Error)));
    }
    assert_eq!(
        kept[0], kept[1],
        "sampled out, and kept as errors: without and with the report of the first try"
    );
}

/// `platform.start` of a retry comes before INVOKE is read, and nothing was told of the first try's end.
#[test]
fn the_begin_of_a_retry_is_not_that_of_a_first_try_without_an_end() {
    let mut story = on_demand();
    story.invoke_as("same", 1_000);
    story.tell_start("same", 1_000);
    story.pass(59_900);
    story.answer();
    story.now += 60_000 * MS;
    let began = story.now / MS;
    story.tell_start("same", began);
    story.invoke_as("same", 200);
    story.pass(5);
    story.tell_done("same", began + 205, EndStatus::Success, None);
    story.answer();
    story.shut_down(ShutdownReason::Spindown);
    assert!(told(&story).contains(&(began, began + 205, false)), "{:?}", told(&story));
}

/// The end of a retry comes before its INVOKE is read, and nothing was told of the first try's end.
#[test]
fn the_end_of_a_retry_is_not_that_of_a_first_try_without_an_end() {
    let mut story = on_demand();
    story.invoke_as("same", 1_000);
    story.pass(59_900);
    story.answer();
    story.now += 60_000 * MS;
    story.tell_done("same", story.now / MS, EndStatus::Success, None);
    let asked = story.asked;
    story.invoke_as("same", 100);
    story.answer();
    assert_eq!(story.asked, asked + 1, "the retry is over");
    story.pass(10);
    assert_eq!(story.agent.ledger().held.as_nanos() as u64 / MS, 100, "it was held from its end to INVOKE");
}

/// It comes by a timer, in the retry or in another invocation, and both of these go well.
#[test]
fn a_late_span_of_a_failed_first_try_is_kept() {
    for second in ["other", "same"] {
        let sampling = share(0.0);
        let config = Config { flush: FlushMode::End, sampling, expects_spans: true, ..Config::default() };
        let mut story = Story::new(config);
        story.invoke_as("same", 10);
        let began = story.now / MS;
        story.pass(5);
        let own = Span { request_id: Some("same".into()), ..story.span(1, began, Kind::Server, None) };
        story.tell_done("same", story.now / MS, EndStatus::Error, Some("Function.Boom"));
        story.answer();
        story.invoke_as(second, 60_000);
        story.pass(1);
        story.receive(vec![own]);
        story.pass(5);
        story.tell_done(second, story.now / MS, EndStatus::Success, None);
        story.answer();
        story.shut_down(ShutdownReason::Spindown);
        assert_eq!(story.agent.ledger().spans.delivered, 1, "in `{second}`");
    }
}

/// Nothing is told of the first try, whose own span claims an end in an hour, and the retry is not waited for in vain.
#[test]
fn a_first_try_that_claims_to_end_after_its_deadline_takes_nothing_from_its_retry() {
    let mut story = on_demand();
    story.invoke_as("r", 1);
    let began = story.now;
    story.pass(5);
    let end = UnixNanos(story.now + 3_600_000 * MS);
    let own = Span { start: UnixNanos(began), end, request_id: Some("r".into()), ..story.entry(1, 0) };
    story.receive(vec![own]);
    story.answer();
    story.invoke_as("r", 61_000);
    story.pass(50);
    let asked = story.asked;
    story.tell_done("r", story.now / MS, EndStatus::Success, None);
    story.answer();
    assert_eq!(story.asked, asked + 1, "the retry is over");
}

/// What was said of a failed first try is no word on its retry, which goes well and is left out.
#[test]
fn only_the_try_that_failed_is_kept() {
    let sampling = share(0.0);
    let mut story = Story::new(Config { flush: FlushMode::End, sampling, ..Config::default() });
    for (attempt, status) in [(1, EndStatus::Error), (2, EndStatus::Success)] {
        story.invoke_as("same", 60_000);
        let began = story.now / MS;
        story.pass(5);
        let own = Span {
            trace_id: trace(attempt),
            request_id: Some("same".into()),
            ..story.span(attempt, began, Kind::Server, None)
        };
        story.receive(vec![own]);
        story.tell_done("same", story.now / MS, status, None);
        story.answer();
    }
    story.shut_down(ShutdownReason::Spindown);
    let ledger = story.agent.ledger();
    assert_eq!((ledger.spans.sampled_out, ledger.decided(Decision::Error)), (1, 1));
}

/// Of each try only the report is told, which comes after `/next` was asked.
#[test]
fn the_report_that_told_the_end_of_the_first_try_is_not_awaited_in_that_of_its_retry() {
    let mut story = Story::new(Config { flush: FlushMode::End, expects_spans: true, ..Config::default() });
    for _ in 0..2 {
        story.invoke_as("same", 60_000);
        story.pass(59_600);
        story.answer();
        story.tell_report("same", story.now / MS, Some(59_600), EndStatus::Error);
    }
    story.shut_down(ShutdownReason::Spindown);
    let failed: Vec<_> = told(&story).into_iter().map(|(.., has_failed)| has_failed).collect();
    assert_eq!(failed, [true, true]);
}

/// Of the first try the platform tells the end and not the report, of the retry the report alone.
#[test]
fn the_report_of_a_retry_is_not_that_of_the_first_try_whose_own_was_lost() {
    let mut story = Story::new(Config { flush: FlushMode::End, expects_spans: true, ..Config::default() });
    story.invoke_as("same", 60_000);
    story.pass(5);
    story.tell_done("same", story.now / MS, EndStatus::Success, None);
    story.answer();
    story.invoke_as("same", 60_000);
    story.pass(59_600);
    story.answer();
    story.tell_report("same", story.now / MS, Some(59_600), EndStatus::Error);
    story.shut_down(ShutdownReason::Spindown);
    let failed: Vec<_> = told(&story).into_iter().map(|(.., has_failed)| has_failed).collect();
    assert_eq!(failed, [false, true]);
}

/// `platform.start` of a retry overtakes its INVOKE, and nothing was told of the first try, which has time left.
#[test]
fn the_begin_of_a_retry_is_not_that_of_a_first_try_that_might_still_run() {
    let mut story = Story::new(Config { flush: FlushMode::End, expects_spans: true, ..Config::default() });
    story.invoke_as("same", 1_000);
    story.pass(59_600);
    story.answer();
    story.now += 800 * MS;
    let began = story.now / MS;
    story.tell_start("same", began);
    story.invoke_as("same", 400);
    story.pass(5);
    story.tell_done("same", began + 405, EndStatus::Success, None);
    story.answer();
    story.shut_down(ShutdownReason::Spindown);
    assert!(told(&story).contains(&(began, began + 405, false)), "{:?}", told(&story));
}

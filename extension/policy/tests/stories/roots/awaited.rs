//! A function's own root that may still come: how long it is awaited, and when one is made instead.

use super::*;

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

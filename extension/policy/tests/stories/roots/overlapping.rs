//! Roots where invocations overlap.

use super::*;

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

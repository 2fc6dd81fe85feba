//! A function that serves several records in an invocation, one after the other: each has a span that names the invocation, and
//! is sent as it ends.

use policy::{Config, EndStatus, FlushMode, Kind, ShutdownReason, Span, UnixNanos};

use crate::story::{MS, Story, on_demand, roots, share, trace};

/// Between the end of one record and the begin of the next.
const PAUSE: u64 = 1_000;

/// A record of 10 ms is served, and its span sent.
fn serve(story: &mut Story, id: u8, request_id: &str) {
    let start = UnixNanos(story.now);
    story.pass(10);
    let span = story.span(id, 0, Kind::Server, None);
    story.receive(vec![Span { trace_id: trace(id), start, request_id: Some(request_id.into()), ..span }]);
    story.answer();
    story.now += PAUSE;
}

#[test]
fn the_first_of_several_records_is_no_end_once_that_was_seen() {
    let mut story = on_demand();
    let mut early = 0;
    for n in 0..4 {
        story.invoke();
        let (request_id, asked) = (story.request_id(), story.asked);
        (0..3).for_each(|record| serve(&mut story, 1 + n * 3 + record, &request_id));
        early += u64::from(story.asked > asked);
        story.tell_done(&request_id, story.now / MS, EndStatus::Success, None);
        story.answer();
        story.now += 1_000 * MS;
    }
    assert_eq!(early, 1, "/next was asked after the first of three records in {early} of 4 invocations");
}

/// The first try fails, and so does its retry, which runs for 50 ms and sends nothing.
#[test]
fn a_record_of_the_first_try_is_neither_end_nor_root_of_its_retry() {
    let mut story = on_demand();
    story.invoke_as("same", 1);
    (1..=2).for_each(|id| serve(&mut story, id, "same"));
    story.tell_done("same", story.now / MS, EndStatus::Error, None);
    story.answer();
    let asked = story.asked;
    story.invoke_as("same", 60_000);
    story.answer();
    let is_let_go = story.asked > asked;
    story.pass(50);
    story.tell_done("same", story.now / MS, EndStatus::Error, Some("Boom"));
    story.answer();
    story.shut_down(ShutdownReason::Spindown);
    assert_eq!((is_let_go, roots(&story).len()), (false, 1));
}

/// That it has failed is told after the freeze.
#[test]
fn every_record_of_a_failed_batch_is_kept() {
    let sampling = share(0.0);
    let mut story = Story::new(Config { flush: FlushMode::End, sampling, ..Config::default() });
    story.invoke();
    let request_id = story.request_id();
    (1..=3).for_each(|id| serve(&mut story, id, &request_id));
    let ended = story.now / MS;
    story.invoke_after(1_000);
    story.tell_done(&request_id, ended, EndStatus::Error, Some("Boom"));
    let next = story.request_id();
    serve(&mut story, 4, &next);
    story.tell_done(&next, story.now / MS, EndStatus::Success, None);
    story.answer();
    story.shut_down(ShutdownReason::Spindown);
    assert_eq!(story.agent.ledger().spans.delivered, 3);
}

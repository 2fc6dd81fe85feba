//! In a local emulator nothing freezes, the platform tells nothing, and its caller waits until `/next` is asked.

use policy::{
    Config, EndStatus, FlushMode, Input, Kind, Outcome, ShutdownReason, Signal, Span, SpoolMode, Subscription,
};

use crate::story::{MS, Story, request_of, roots, share};

fn local(config: Config) -> Story {
    let mut story = Story::new(config);
    story.hear(Input::Subscribed(Subscription::Local));
    story
}

/// The span of the invocation that runs, as a timer of the SDK sends it, this long after its end.
fn late(story: &mut Story, ms: u64) -> Span<()> {
    let own = story.entry(1, story.now / MS - 1);
    story.pass(ms);
    own
}

/// Whatever the function sends, and whenever: with its end, by a timer, or nothing at all.
#[test]
fn no_invocation_is_held() {
    for flush in [FlushMode::End, FlushMode::Continuous, FlushMode::Adaptive] {
        let mut story = local(Config { flush, ..Config::default() });
        for turn in 0..12 {
            story.invoke_after(7_000);
            assert_eq!(story.asked, 2 + turn, "at once, in {flush:?}");
            let spans = match turn % 4 {
                0 => vec![story.entry(1, story.now / MS)],
                1 => vec![late(&mut story, 5_000)],
                2 => vec![story.span(2, story.now / MS, Kind::Client, None)],
                _ => continue,
            };
            story.receive(spans);
            assert_eq!(
                story.flying.len(),
                1,
                "and what comes leaves at once, though `/next` is asked, in {flush:?}"
            );
            story.answer();
        }
        story.shut_down(ShutdownReason::Spindown);
        assert!(roots(&story).iter().all(|root| root.error_type.is_none()), "no end was a failure");
        assert_eq!(story.agent.held_items(Signal::Traces), 0);
    }
}

/// An SDK that sends each span by itself does not make a request of each.
#[test]
fn what_comes_while_a_request_is_under_way_leaves_together_after_it() {
    let mut story = local(Config::default());
    story.invoke();
    for id in 1..=5 {
        story.receive(vec![story.span(id, story.now / MS, Kind::Client, None)]);
    }
    assert_eq!(story.flying.len(), 1, "the first");
    story.answer();
    assert_eq!(story.launched.len(), 2, "and the other four");
    assert_eq!(story.agent.held_items(Signal::Traces), 0);
}

/// Waits for `/next` are no freezes: a request that is under way in one is waited for, and not sent again.
#[test]
fn a_request_that_is_under_way_is_not_cut_off_by_a_wait() {
    let mut story = local(Config::default());
    story.invoke();
    story.receive(vec![story.entry(1, story.now / MS)]);
    for _ in 0..4 {
        story.pass(300);
        story.invoke_after(300);
    }
    assert_eq!((story.launched.len(), story.cancelled), (1, 0), "an answer may take its time");
    story.answer();
    assert_eq!(story.agent.held_items(Signal::Traces), 0);
}

/// A backend that fails is tried again while nobody invokes.
#[test]
fn what_failed_is_sent_again_between_invocations() {
    let mut story = local(Config { spool: SpoolMode::Off, ..Config::default() });
    story.invoke();
    story.receive(vec![story.entry(1, story.now / MS)]);
    let id = story.flying.pop().expect("it was sent");
    let outcome = Outcome::Retry { after: None };
    story.hear(Input::Exported { id, outcome, raw_bytes: 1, sent_bytes: 1 });
    story.pass(5_000);
    story.answer();
    assert_eq!(story.agent.held_items(Signal::Traces), 0);
}

/// The next INVOKE says that the one before is over; SHUTDOWN says how the last one ended, and nobody else will.
#[test]
fn a_function_without_an_sdk_has_a_span_for_each_invocation() {
    for (reason, status) in [
        (ShutdownReason::Spindown, EndStatus::Success),
        (ShutdownReason::Timeout, EndStatus::Timeout),
        (ShutdownReason::Failure, EndStatus::Failure),
    ] {
        let mut story = local(Config::default());
        for _ in 0..3 {
            story.invoke_after(50);
            story.pass(20);
            story.answer();
        }
        story.begin_shutdown(reason);
        story.answer();
        assert!(story.has_exited, "nothing is waited for in SHUTDOWN");
        let found: Vec<_> = roots(&story)
            .iter()
            .map(|root| (request_of(root).to_owned(), root.error_type.is_some()))
            .collect();
        let is_bad = status != EndStatus::Success;
        let expected = [("r-1", false), ("r-2", false), ("r-3", is_bad)];
        assert_eq!(found, expected.map(|(request_id, is_bad)| (request_id.to_owned(), is_bad)), "{reason:?}");
    }
}

/// Sampling waits for the end of an invocation, which its own span tells.
#[test]
fn what_is_sampled_leaves_when_the_own_span_has_come() {
    let mut story = local(Config { sampling: share(1.0), ..Config::default() });
    for _ in 0..3 {
        story.invoke_after(50);
        let own = late(&mut story, 5_000);
        story.receive(vec![own]);
        story.answer();
        story.pass(1_000);
        story.answer();
        assert_eq!(story.agent.held_items(Signal::Traces), 0);
    }
}

/// Where the platform refuses events and may freeze, a span that comes long after its invocation is nothing to wait for.
#[test]
fn an_end_that_is_told_by_a_timer_is_not_waited_for() {
    let mut story = Story::new(Config { flush: FlushMode::End, ..Config::default() });
    story.hear(Input::Subscribed(Subscription::Refused));
    for turn in 0..6 {
        story.invoke();
        story.answer();
        assert_eq!(story.asked, 2 + turn, "it is not held");
        let own = late(&mut story, 501);
        story.receive(vec![own]);
    }
    // One that comes in time is.
    story.invoke();
    story.answer();
    let own = late(&mut story, 500);
    story.receive(vec![own]);
    story.invoke();
    story.answer();
    let asked = story.asked;
    story.pass(900);
    assert_eq!(story.asked, asked);
}

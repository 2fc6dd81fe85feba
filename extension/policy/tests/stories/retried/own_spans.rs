//! The function's own spans of a first try and of its retry: each ends and stands for its own.

use super::*;

/// The function's own span of a retry comes before INVOKE is read, and nothing was told of the first try.
#[test]
fn the_own_span_of_a_retry_is_not_that_of_a_first_try_without_an_end() {
    let mut story = Story::new(Config { flush: FlushMode::End, expects_spans: true, ..Config::default() });
    story.invoke_as("same", 1_000);
    story.pass(59_900);
    story.answer();
    story.now += 60_000 * MS;
    let began = story.now / MS;
    story.now += 4 * MS;
    let own = Span { request_id: Some("same".into()), ..story.span(1, began, Kind::Server, None) };
    story.receive(vec![own]);
    let asked = story.asked;
    story.invoke_as("same", 1);
    story.answer();
    assert_eq!(story.asked, asked + 1, "the retry is over");
    story.shut_down(ShutdownReason::Spindown);
    assert_eq!(told(&story), [(1_000, 1_000, false)], "of the first try only");
}

/// The same in a process that was started anew after a kill in the first try; here INVOKE is read first, and late.
#[test]
fn the_own_span_of_a_retry_whose_invoke_was_read_late_is_its() {
    let mut story = on_demand();
    story.now = 101_000 * MS;
    let invoke = policy::Invoke {
        request_id: "same".into(),
        deadline: Instant::from_nanos(160_000 * MS),
        deadline_at: UnixNanos(160_000 * MS),
        received_at: UnixNanos(100_000 * MS),
        arn: "".into(),
        xray: None,
        waited: Duration::ZERO,
    };
    let (earlier, receipt) = (policy::Receipt::EMPTY, policy::Receipt::EMPTY);
    story.hear(Input::Recovered { invoke: Some(invoke), seed: 5, earlier, receipt, announced: Vec::new() });
    story.invoke_as("same", 60_060);
    let began = story.now / MS - 60;
    story.answer();
    story.pass(5);
    let own = Span { request_id: Some("same".into()), ..story.span(1, began, Kind::Server, None) };
    story.receive(vec![own]);
    story.answer();
    assert_eq!(story.asked, 2, "the retry is over");
}

/// The clock is set back by an hour before the retry, whose time the first try's own span then seems to be in.
#[test]
fn the_own_span_of_the_first_try_does_not_end_a_retry_after_the_clock_was_set_back() {
    let mut story = on_demand();
    story.now = 7_200_000 * MS;
    let own = Span { request_id: Some("same".into()), ..story.span(1, 7_200_000, Kind::Server, None) };
    story.invoke_as("same", 1);
    story.pass(5);
    story.tell_done("same", story.now / MS, EndStatus::Error, None);
    story.answer();
    let asked = story.asked;
    story.now += 60_000 * MS;
    let received_at = UnixNanos(story.now - 3_600_000 * MS);
    story.hear(Input::Invoke(policy::Invoke {
        request_id: "same".into(),
        deadline: Instant::from_nanos(story.now) + Duration::from_secs(3),
        deadline_at: UnixNanos(received_at.0 + 3_000 * MS),
        received_at,
        arn: "".into(),
        xray: None,
        waited: Duration::from_secs(60),
    }));
    story.receive(vec![own]);
    story.answer();
    assert_eq!(story.asked, asked, "the retry runs: /next must not be asked");
}

/// Nothing is told of either, and INVOKE of the retry is read when its own span has begun: the first try, which has time
/// left, had ended a minute before.
#[test]
fn the_own_span_of_a_retry_is_not_that_of_a_first_try_that_might_still_run() {
    let mut story = Story::new(Config { flush: FlushMode::End, expects_spans: true, ..Config::default() });
    story.hear(Input::Subscribed(Subscription::Refused));
    let invoke = |story: &mut Story, wait_ms: u64| {
        story.now += wait_ms * MS;
        story.hear(Input::Invoke(policy::Invoke {
            request_id: "same".into(),
            deadline: Instant::from_nanos(story.now) + Duration::from_secs(900),
            deadline_at: UnixNanos(story.now + 900_000 * MS),
            received_at: UnixNanos(story.now),
            arn: "".into(),
            xray: None,
            waited: Duration::from_millis(wait_ms),
        }));
    };
    invoke(&mut story, 1_000);
    let first = story.now / MS;
    story.pass(2_000);
    story.answer();
    invoke(&mut story, 60_000);
    let began = story.now / MS - 200;
    story.pass(20);
    let own = Span { request_id: Some("same".into()), ..story.span(1, began, Kind::Server, None) };
    story.receive(vec![own]);
    story.answer();
    story.shut_down(ShutdownReason::Spindown);
    let begins: Vec<_> = told(&story).into_iter().map(|(began, ..)| began).collect();
    assert_eq!(begins, [first], "a root is made for the first try alone");
}

/// Nothing is told of the first try's end, and its own span comes when the clock was set back by an hour and a retry runs:
/// it is not kept for another retry, which would be over as it begins.
#[test]
fn the_own_span_of_a_first_try_without_an_end_ends_no_retry_after_the_clock_was_set_back() {
    let mut story = on_demand();
    story.now = 7_200_000 * MS;
    let own = Span { request_id: Some("same".into()), ..story.span(1, 7_200_000, Kind::Server, None) };
    let flush = || Input::Flush { request_id: Some("same".into()) };
    story.invoke_as("same", 1);
    story.pass(5);
    story.hear(flush());
    story.answer();
    let invoke = |story: &mut Story| {
        story.now += 60_000 * MS;
        let received_at = UnixNanos(story.now - 3_600_000 * MS);
        story.hear(Input::Invoke(policy::Invoke {
            request_id: "same".into(),
            deadline: Instant::from_nanos(story.now) + Duration::from_secs(3),
            deadline_at: UnixNanos(received_at.0 + 3_000 * MS),
            received_at,
            arn: "".into(),
            xray: None,
            waited: Duration::from_secs(60),
        }));
    };
    invoke(&mut story);
    story.receive(vec![own]);
    story.hear(flush());
    story.answer();
    let asked = story.asked;
    invoke(&mut story);
    story.answer();
    assert_eq!(story.asked, asked, "the second retry runs: /next must not be asked");
}

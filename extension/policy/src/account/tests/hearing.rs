//! What the platform says, late or twice, of invocations that are closed, and which of several tries it is said of.

use super::*;

/// One that was received at 2 s and is over by its own span: the platform has yet to say how it ended.
fn claimed() -> Told {
    let mut told = Told::new(InitType::OnDemand);
    told.begin("r", 2_000).span(&span(1, 2_001, Kind::Server, Some("r"))).close(2_010);
    assert!(told.account.claimed.is_some());
    told
}

#[test]
fn a_start_that_is_told_after_the_own_span_is_of_that_invocation_if_invoke_came_about_then() {
    for (request_id, ms, is_its) in
        [("r", 1_000, true), ("r", 999, false), ("r", 2_001, true), ("r", 2_002, false), ("s", 2_000, false)]
    {
        let mut told = claimed();
        told.event(&start(request_id, ms));
        let started_at = told.account.claimed.and_then(|open| open.started_at);
        assert_eq!(started_at, is_its.then_some(at(ms)), "{request_id} {ms}");
    }
}

/// A retry comes a minute after the end of the first try, at the earliest: from 50 s on, its begin is not that of the first.
#[test]
fn a_start_long_after_invoke_is_that_of_a_retry() {
    for (ms, is_its) in [(2_000, true), (51_999, true), (52_000, false), (70_000, false)] {
        let mut told = Told::new(InitType::OnDemand);
        told.begin("r", 2_000);
        told.event(&start("r", ms));
        let started_at = told.account.open[0].started_at;
        assert_eq!(started_at, is_its.then_some(at(ms)), "{ms}");
    }
}

#[test]
fn an_end_that_is_told_after_the_own_span_is_of_that_invocation_unless_it_is_of_an_earlier_try() {
    for (request_id, ms, is_its) in
        [("r", 1_000, false), ("r", 1_001, true), ("r", 2_010, true), ("s", 2_010, false)]
    {
        let mut told = claimed();
        told.event(&done(request_id, ms, EndStatus::Failure));
        let has_died = told.account.claimed.is_some_and(|open| open.has_died());
        assert_eq!(has_died, is_its, "{request_id} {ms}");
    }
}

#[test]
fn of_tries_under_one_id_an_end_is_of_the_one_that_is_awaited_unless_it_was_before_that() {
    // What had ended before, when the end was that is told, and whether it is of the one that was received at 60 s.
    for (earlier, ms, is_its) in [
        (None, 110, true),
        (Some("other"), 110, true),
        (Some("r"), 110, false),
        (Some("r"), 59_000, false),
        (Some("r"), 59_001, true),
        (Some("r"), 60_010, true),
    ] {
        let mut told = Told::new(InitType::OnDemand);
        told.account.on_sdk();
        if let Some(request_id) = earlier {
            told.begin(request_id, 100).event(&done(request_id, 110, EndStatus::Error)).close(111);
        }
        told.begin("r", 60_000);
        told.account.close_older(now(60_100), &told.config, &told.announced, 0);
        told.event(&done("r", ms, EndStatus::Error));
        let awaited = told.account.awaited.find(&"r".into()).expect("its own span may come");
        assert_eq!(awaited.finish.is_some(), is_its, "{earlier:?} {ms}");
    }
}

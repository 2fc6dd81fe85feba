//! Invocations that are over: which spans and events are still theirs.

use super::*;

#[test]
fn a_span_is_of_the_invocation_that_was_over_if_it_began_in_it() {
    for (init_type, expected) in [
        // When a span began, in ms, and whether it is of the one before.
        (InitType::OnDemand, [(105, true), (110, true), (112, false), (250, false)]),
        (InitType::ManagedInstances, [(105, false), (110, false), (112, false), (250, false)]),
    ] {
        let mut told = Told::new(init_type);
        told.begin("r", 100).event(&done("r", 110, EndStatus::Success)).close(111).begin("s", 2_000);
        for (ms, is_its) in expected {
            let over = told.account.over_at(now(ms), &told.config, at(ms));
            assert_eq!(over.is_some(), is_its, "{init_type:?} {ms}");
        }
        // One that is over and was held for long: what began after the next one is of that.
        told.event(&report("r", 2_500, EndStatus::Success));
        let over =
            [999, 1_000, 2_200].map(|ms| told.account.over_at(now(ms), &told.config, at(ms)).is_some());
        assert_eq!(over, [init_type == InitType::OnDemand, false, false], "{init_type:?}");
    }
    let mut told = Told::new(InitType::OnDemand);
    told.begin("r", 2_000).event(&done("r", 2_010, EndStatus::Success)).close(2_011);
    for (ms, is_its) in [(999, false), (1_000, true), (2_010, true), (2_011, false)] {
        assert_eq!(told.account.over_at(now(ms), &told.config, at(ms)).is_some(), is_its, "none runs, {ms}");
    }
}

#[test]
fn a_span_is_of_an_invocation_whose_end_nobody_told_if_it_began_in_it() {
    let mut told = Told::new(InitType::OnDemand);
    told.begin("r", 1_000).account.on_asked(now(1_500));
    told.begin("s", 2_000);
    let of = |now_ms: u64, ms: u64| {
        told.account.over_at(now(now_ms), &told.config, at(ms)).map(|id| RequestId::from(&**id))
    };
    // Before both, in the first, perhaps in the second, in it, and by a clock that was set back since.
    let found = [999, 1_000, 1_499, 1_500, 2_000, 3_011].map(|ms| of(2_010, ms));
    let first = Some(RequestId::from("r"));
    assert_eq!(found, [None, first.clone(), first, None, None, None]);
    let mut told = Told::new(InitType::OnDemand);
    told.begin("r", 7_000).event(&done("r", 7_010, EndStatus::Error)).close(7_011);
    told.begin("s", 1_000);
    let of = |now_ms: u64, ms: u64| {
        told.account.over_at(now(now_ms), &told.config, at(ms)).map(|id| RequestId::from(&**id))
    };
    assert_eq!([7_005, 7_011].map(|ms| of(1_010, ms)), [Some(RequestId::from("r")), None], "it was set back");
    // A second after now is the latest that the running one may claim.
    for (now_ms, is_first) in [(6_004, true), (6_005, false), (6_100, false)] {
        assert_eq!(of(now_ms, 7_005).is_some(), is_first, "{now_ms}: it may be of the running one");
    }
}

#[test]
fn a_start_is_known_by_its_id_and_its_time() {
    let mut told = Told::new(InitType::ManagedInstances);
    told.begin("r", 100).begin("s", 200).event(&done("r", 110, EndStatus::Success)).close(111);
    for (request_id, ms, is_known) in [
        ("r", 90, true),
        ("r", 110, true),
        ("r", 112, false),
        ("s", 200, true),
        ("s", 100, false),
        ("t", 100, false),
    ] {
        assert_eq!(told.account.has_begun_at(&request_id.into(), at(ms)), is_known, "{request_id} {ms}");
    }
    let is_open = ["r", "s", "t"].map(|request_id| told.account.is_open(&request_id.into()));
    let has_begun = ["r", "s", "t"].map(|request_id| told.account.has_begun(&request_id.into()));
    assert_eq!((is_open, has_begun), ([false, true, false], [true, true, false]));
}

#[test]
fn the_oldest_that_is_open_has_a_number_and_the_next_one_if_none_is() {
    let mut told = Told::new(InitType::ManagedInstances);
    assert_eq!(told.account.oldest_open(), 1);
    told.begin("r", 100).begin("s", 200).begin("t", 300);
    assert_eq!(told.account.oldest_open(), 1);
    told.event(&done("r", 310, EndStatus::Success)).close(311);
    assert_eq!(told.account.oldest_open(), 2);
    told.event(&done("s", 320, EndStatus::Success)).event(&done("t", 320, EndStatus::Success)).close(321);
    assert_eq!(told.account.oldest_open(), 4);
}

#[test]
fn what_the_platform_tells_late_is_of_the_try_that_is_over() {
    let mut told = Told::new(InitType::OnDemand);
    told.begin("r", 100).event(&done("r", 110, EndStatus::Error)).close(111);
    let is_earlier = |told: &Told, event: &PlatformEvent| told.account.is_of_earlier_try(event);
    assert!(!is_earlier(&told, &done("r", 105, EndStatus::Error)), "no other try runs");
    told.begin("r", 60_000).begin("other", 60_001);
    for (event, expected) in [
        (done("r", 110, EndStatus::Error), true),
        (done("r", 111, EndStatus::Error), false),
        (done("other", 105, EndStatus::Error), false),
        // It is made before the retry begins.
        (report("r", 59_999, EndStatus::Error), true),
        (report("r", 60_100, EndStatus::Error), false),
        (report("other", 105, EndStatus::Error), false),
        (start("r", 105), false),
    ] {
        assert_eq!(is_earlier(&told, &event), expected, "{event:?}");
    }
    // Each has one report: a second one is of the try that runs.
    told.event(&report("r", 120, EndStatus::Error));
    assert!(!is_earlier(&told, &report("r", 59_999, EndStatus::Error)));
    assert!(is_earlier(&told, &report("r", 120, EndStatus::Error)), "told twice");
    assert_eq!(told.account.finished[0].ended_at, at(120));
    assert!(told.account.open.iter().all(|open| open.finish.is_none()), "nothing was told of those that run");
}

#[test]
fn earlier_tries_are_remembered() {
    let mut told = Told::new(InitType::OnDemand);
    for ms in [100, 60_000] {
        told.begin("r", ms).event(&done("r", ms + 10, EndStatus::Error)).close(ms + 11);
    }
    told.begin("s", 120_000).event(&done("s", 120_010, EndStatus::Error)).close(120_011);
    let older = ["r", "s", "t"].map(|request_id| told.account.has_older(&request_id.into()));
    assert_eq!(older, [true, true, false]);
    for (request_id, ms, is_over) in
        [("r", 110, true), ("r", 60_010, true), ("r", 60_011, false), ("t", 1, false)]
    {
        assert_eq!(told.account.is_over_at(&request_id.into(), at(ms)), is_over, "{request_id} {ms}");
    }
}

#[test]
fn one_is_over_that_has_run_and_does_not_run_again() {
    let mut told = Told::new(InitType::OnDemand);
    told.begin("r", 100).event(&done("r", 110, EndStatus::Success)).close(111).begin("s", 200);
    let over = |told: &Told| ["r", "s", "t"].map(|request_id| told.account.is_over(&request_id.into()));
    assert_eq!(over(&told), [true, false, false]);
    told.begin("r", 60_000);
    assert_eq!(over(&told), [false, false, false]);
}

#[test]
fn where_several_run_all_are_over_that_began_before_the_oldest_that_is_open() {
    let mut told = Told::new(InitType::ManagedInstances);
    assert_eq!(told.account.all_over_before(), UnixNanos(0));
    told.begin("r", 100).begin("s", 200).begin("t", 300);
    assert_eq!(told.account.all_over_before(), at(99), "less what the platform may be off by");
    told.event(&done("r", 310, EndStatus::Success)).close(311);
    assert_eq!(told.account.all_over_before(), at(199));
    told.event(&done("t", 320, EndStatus::Success)).event(&done("s", 320, EndStatus::Success)).close(321);
    assert_eq!(told.account.all_over_before(), at(299), "none is open");
}

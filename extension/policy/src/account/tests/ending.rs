//! The end of an invocation: who reports it, of which try it is, and what it says.

use super::*;

#[test]
fn the_running_invocation_ended_as_the_platform_says_or_else_its_own_span() {
    let mut told = Told::new(InitType::OnDemand);
    assert_eq!(told.account.current_ended_at(), None);
    assert!(told.account.is_current_over(true), "none runs");
    told.begin("r", 100);
    assert_eq!((told.account.current_ended_at(), told.account.is_current_over(true)), (None, false));
    told.span(&span(1, 101, Kind::Server, Some("r")));
    assert_eq!((told.account.current_ended_at(), told.account.is_current_over(true)), (Some(at(106)), true));
    // It was one of several: believed only where the platform tells nothing.
    told.span(&span(2, 110, Kind::Server, Some("r")));
    assert_eq!(told.account.current_ended_at(), None);
    assert_eq!([true, false].map(|delivered| told.account.is_current_over(delivered)), [false, true]);
    told.event(&done("r", 130, EndStatus::Success));
    assert_eq!((told.account.current_ended_at(), told.account.is_current_over(true)), (Some(at(130)), true));
}

#[test]
fn an_end_says_how_and_when_and_how_much_was_produced() {
    let mut told = Told::new(InitType::OnDemand);
    told.begin("r", 100).event(&done("r", 110, EndStatus::Error));
    let finish = told.account.open[0].finish.clone().expect("it was told");
    let Finish { ending, at: told_at, duration, produced_bytes, has_died, is_overlong } = finish;
    assert_eq!(
        (ending.status, told_at, duration),
        (EndStatus::Error, Some(at(110)), Some(Duration::from_millis(5)))
    );
    assert_eq!((produced_bytes, has_died, is_overlong), (Some(7), false, false));
    // A report alone has our own time in it, on demand.
    for (init_type, is_overlong) in [(InitType::OnDemand, true), (InitType::ManagedInstances, false)] {
        let mut told = Told::new(init_type);
        told.begin("r", 100).event(&report("r", 110, EndStatus::Timeout));
        let finish = told.account.open[0].finish.clone().expect("it was told");
        assert_eq!((finish.is_overlong, finish.has_died, finish.at), (is_overlong, true, Some(at(110))));
    }
}

#[test]
fn an_end_is_of_the_try_that_can_have_ended_then() {
    // Whether an earlier try is remembered, when the end was, and whether it is of the one that was received at 10 s and
    // may run until 910 s.
    for (has_older, ms, is_its) in [
        (false, 5_000, true),
        (false, 911_000, true),
        (false, 911_001, false),
        (false, 910_000 + 6 * 3_600_000 + 1, true),
        (true, 8_000, false),
        (true, 9_000, false),
        (true, 9_001, true),
        (true, 20_000, true),
        (true, 911_000, true),
        (true, 911_001, false),
    ] {
        let mut told = Told::new(InitType::OnDemand);
        if has_older {
            told.begin("r", 100).event(&done("r", 110, EndStatus::Error)).close(111);
        }
        told.begin("r", 10_000).event(&done("r", ms, EndStatus::Error));
        assert_eq!(told.account.open[0].finish.is_some(), is_its, "{has_older} {ms}");
        let is_early = told.account.unbegun.iter().any(|early| early.finish.is_some());
        assert_eq!(is_early, !is_its, "{has_older} {ms}");
    }
}

#[test]
fn an_end_that_is_told_late_or_twice_changes_nothing_of_the_next_try() {
    let mut told = Told::new(InitType::OnDemand);
    told.begin("r", 100).event(&done("r", 110, EndStatus::Error)).close(111).begin("r", 60_000);
    for event in [done("r", 110, EndStatus::Error), report("r", 110, EndStatus::Error)] {
        told.event(&event);
        assert!(
            told.account.open[0].finish.is_none() && told.account.unbegun.iter().next().is_none(),
            "{event:?}"
        );
    }
    // Another time is of another try, though it is before the end: its clock was set back.
    told.event(&done("r", 109, EndStatus::Error));
    assert_eq!(told.account.unbegun.iter().count(), 1);
}

#[test]
fn an_end_that_was_never_told_is_noted_when_it_is() {
    let mut told = Told::new(InitType::OnDemand);
    told.begin("r", 100).begin("s", 200);
    told.account.close_older(now(201), &told.config, &told.announced, 1);
    assert_eq!(told.open(), ["s"]);
    let known = |told: &Told| (told.account.finished[0].is_done, told.account.finished[0].told_at);
    assert_eq!(known(&told), (false, None));
    told.event(&done("r", 150, EndStatus::Success));
    assert_eq!(known(&told), (true, Some(at(150))));
    assert_eq!((told.account.finished[0].ended_at, told.account.last_end), (at(150), at(150)));
    assert!(told.account.unbegun.iter().next().is_none());
    // What ended long after its deadline is of one that is to come, and a report of nobody is of nobody.
    told.account.close_older(now(202), &told.config, &told.announced, 0);
    told.event(&done("s", 901_201, EndStatus::Success)).event(&report("t", 300, EndStatus::Success));
    let early: Vec<_> = told.account.unbegun.iter().map(|early| &*early.request_id).collect();
    assert_eq!((early, told.account.finished[1].is_done), (alloc::vec!["s"], false));
    told.event(&done("s", 901_200, EndStatus::Success));
    assert!(told.account.finished[1].is_done);
}

#[test]
fn one_that_is_awaited_without_a_word_on_its_end_is_told_of_it() {
    let mut told = Told::new(InitType::OnDemand);
    told.account.on_sdk();
    told.begin("r", 100).begin("s", 200);
    told.account.close_older(now(201), &told.config, &told.announced, 1);
    told.event(&done("r", 901_101, EndStatus::Error));
    let finish = |told: &mut Told| told.account.awaited.find(&"r".into()).and_then(|of| of.finish.clone());
    assert!(finish(&mut told).is_none(), "it cannot have run so long");
    told.event(&done("r", 150, EndStatus::Error));
    assert_eq!(finish(&mut told).and_then(|finish| finish.at), Some(at(150)));
    told.event(&done("r", 160, EndStatus::Success));
    assert_eq!(finish(&mut told).and_then(|finish| finish.at), Some(at(150)), "the first word counts");
}

#[test]
fn the_last_word_is_awaited_where_the_platform_tells_of_ends_and_not_yet_of_the_last() {
    for (init_type, is_expected) in [(InitType::OnDemand, true), (InitType::ManagedInstances, false)] {
        let mut told = Told::new(init_type);
        let awaits = |told: &Told| told.account.awaits_last_word(&told.config);
        assert!(!awaits(&told), "nothing has begun");
        told.begin("r", 100);
        assert!(!awaits(&told), "the platform has told of none");
        told.event(&done("r", 110, EndStatus::Success));
        assert!(!awaits(&told), "it has told of the last");
        told.close(111).begin("s", 200);
        assert_eq!(awaits(&told), is_expected, "{init_type:?}");
        told.span(&span(1, 201, Kind::Server, Some("s"))).close(210);
        assert_eq!(awaits(&told), is_expected, "its own span has come, and it is closed");
        told.event(&done("s", 211, EndStatus::Success));
        assert!(!awaits(&told));
    }
}

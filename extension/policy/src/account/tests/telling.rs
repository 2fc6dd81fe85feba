//! What tells of which invocation something is, and what it does not.

use super::*;

#[test]
fn a_span_in_the_trace_of_one_that_is_over_may_be_its_until_the_next_invoke_was_read() {
    let over = |told: &Told, trace_id, ms| {
        let over = told.account.over_in(&told.config, trace(trace_id), at(ms));
        over.map(|request_id| alloc::string::String::from(&**request_id))
    };
    for init_type in [InitType::OnDemand, InitType::ManagedInstances] {
        let mut told = Told::new(init_type);
        for (request_id, ms) in [("r", 100), ("s", 1_000)] {
            let own = span(1, ms + 1, Kind::Server, Some(request_id));
            told.begin(request_id, ms).span(&own).close(ms + 10);
        }
        assert_eq!(over(&told, 9, 1_999), None, "none runs");
        told.begin("t", 2_000);
        let latest = (init_type == InitType::OnDemand).then(|| "s".into());
        assert_eq!(over(&told, 9, 1_999), latest, "{init_type:?}");
        assert_eq!((over(&told, 9, 2_000), over(&told, 8, 1_999)), (None, None), "{init_type:?}");
    }
}

#[test]
fn a_span_is_left_over_if_the_one_that_it_is_a_part_of_had_ended() {
    // Its kind, whether its parent is said to be remote, its parent, which ended at 105, and when it began.
    for (kind, is_remote, parent, ms, is_left_over) in [
        (Kind::Client, None, Some(1), 105, true),
        (Kind::Client, None, Some(1), 104, false),
        (Kind::Client, None, None, 105, false),
        (Kind::Client, None, Some(2), 105, false),
        (Kind::Client, Some(false), Some(1), 105, true),
        (Kind::Client, Some(true), Some(1), 105, false),
        (Kind::Consumer, None, Some(1), 105, false),
        (Kind::Consumer, Some(true), Some(1), 105, false),
        (Kind::Consumer, Some(false), Some(1), 105, true),
    ] {
        let mut told = Told::new(InitType::OnDemand);
        told.begin("r", 100).span(&span(1, 100, Kind::Internal, None));
        let begun = Span { parent: parent.map(id), parent_is_remote: is_remote, ..span(3, ms, kind, None) };
        let text = alloc::format!("{kind:?} {is_remote:?} {parent:?} {ms}");
        assert_eq!(told.account.is_left_over(&begun), is_left_over, "{text}");
    }
}

#[test]
fn the_begin_of_an_invocation_is_lost_if_its_report_is_of_none_that_is_known() {
    let mut told = Told::new(InitType::ManagedInstances);
    told.begin("reported", 100).event(&report("reported", 110, EndStatus::Error)).close(111);
    told.begin("unreported", 200).span(&span(1, 201, Kind::Server, Some("unreported"))).close(210);
    told.begin("open", 300);
    for (request_id, ms, is_lost) in [
        ("open", 110, false),
        ("unreported", 400, false),
        ("reported", 110, false),
        ("reported", 111, true),
        ("unknown", 110, true),
    ] {
        assert_eq!(told.account.is_begin_lost(&request_id.into(), at(ms)), is_lost, "{request_id} {ms}");
    }
}

#[test]
fn where_several_run_the_death_of_their_runtime_is_awaited_until_it_is_told() {
    let mut told = Told::new(InitType::ManagedInstances);
    let awaits = |told: &Told| told.account.awaits_death(&told.config);
    told.begin("r", 100).begin("s", 101).begin("t", 102);
    told.event(&done("r", 110, EndStatus::Timeout));
    assert!(awaits(&told), "the runtime outlives the time-out of one");
    told.event(&done("s", 120, EndStatus::Failure));
    assert!(!awaits(&told));
    told.event(&done("t", 120, EndStatus::Success));
    assert!(!awaits(&told), "what is told later does not bring it back");
    assert!(!awaits(&Told::new(InitType::OnDemand)), "there SHUTDOWN says how the only one ended");
}

#[test]
fn a_span_that_claims_to_begin_later_than_now_is_not_of_a_retry() {
    // The retry was received at 60 s, ten milliseconds ago, and a span's clock may be a second ahead.
    for (has_older, ms, is_its) in [(true, 61_010, true), (true, 61_011, false), (false, 61_011, true)] {
        let mut told = Told::new(InitType::OnDemand);
        if has_older {
            told.begin("r", 100).event(&done("r", 110, EndStatus::Error)).close(111);
        }
        told.begin("r", 60_000);
        told.account.on_span(now(60_010), &told.config, &span(1, ms, Kind::Server, Some("r")));
        assert_eq!(told.account.open[0].entry.is_some(), is_its, "{has_older} {ms}");
    }
}

#[test]
fn what_begins_in_the_millisecond_of_invoke_is_not_of_the_future() {
    // A span that came before INVOKE was read, which was received at 150 ms: is it remembered?
    for (ms, is_known) in [(149, true), (150, true), (151, false)] {
        let mut told = Told::new(InitType::OnDemand);
        told.begin("r", 100).event(&done("r", 110, EndStatus::Success)).close(111);
        told.account.on_span(now(149), &told.config, &span(2, ms, Kind::Client, None));
        told.begin("s", 150);
        assert_eq!(told.account.relatives.has(trace(9), id(2)), is_known, "{ms}");
    }
}

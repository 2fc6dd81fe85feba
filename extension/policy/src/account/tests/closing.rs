//! The end of an invocation: when it is closed, and what is made of it.

use super::*;

fn shutdown(reason: ShutdownReason, ms: u64) -> Shutdown {
    Shutdown { reason, deadline: now(ms + 2_000), received_at: at(ms), waited: Duration::ZERO }
}

#[test]
fn one_is_closed_when_its_end_is_known_and_nothing_of_a_dead_one_may_still_come() {
    for (status, may_come, is_closed) in [
        (EndStatus::Success, true, true),
        (EndStatus::Success, false, true),
        (EndStatus::Timeout, true, false),
        (EndStatus::Timeout, false, true),
    ] {
        let mut told = Told::new(InitType::OnDemand);
        told.begin("r", 100);
        assert!(told.account.has_unexplained());
        told.close(101);
        assert_eq!(told.open(), ["r"], "nothing is known");
        told.event(&done("r", 110, status));
        assert!(!told.account.has_unexplained());
        told.account.close_known(now(111), &told.config, &told.announced, may_come);
        assert_eq!(told.open().is_empty(), is_closed, "{status:?} {may_come}");
        assert_eq!(told.account.take_deaths().len(), usize::from(is_closed && status == EndStatus::Timeout));
    }
    let mut told = Told::new(InitType::OnDemand);
    told.begin("r", 100).span(&span(1, 101, Kind::Server, Some("r")));
    assert!(!told.account.has_unexplained());
    told.account.close_known(now(111), &told.config, &told.announced, true);
    assert!(told.open().is_empty(), "its own span has come");
    let root = |told: &Told, ms| told.account.own_root(&"r".into(), at(ms));
    assert_eq!((root(&told, 100), root(&told, 101)), (Some((trace(9), id(1))), None));
}

#[test]
fn where_many_run_those_that_cannot_run_any_more_are_closed() {
    let limit = INVOCATION_MAX.as_millis() as u64;
    for (init_type, is_lost) in [(InitType::ManagedInstances, true), (InitType::OnDemand, false)] {
        let mut told = Told::new(init_type);
        told.begin("r", 100).begin("s", 101);
        told.close(100 + limit - 1);
        assert_eq!(told.open(), ["r", "s"]);
        told.close(100 + limit);
        assert_eq!(told.open().len(), 2 - usize::from(is_lost), "{init_type:?}");
        let closed: Vec<_> = told.account.take_closed().into_iter().map(|word| word.is_final).collect();
        assert_eq!(closed.len(), usize::from(is_lost));
    }
    let mut told = Told::new(InitType::ManagedInstances);
    for n in 0..OPEN_MAX as u64 {
        told.begin(&alloc::format!("r{n}"), 100 + n);
    }
    told.close(2_000);
    assert_eq!(told.open().len(), OPEN_MAX);
    told.begin("one more", 2_000).close(2_001);
    assert_eq!((told.open().len(), told.open()[0]), (OPEN_MAX, "r1"));
}

#[test]
fn shutdown_cuts_off_the_last_on_demand_and_all_where_several_run() {
    for (init_type, failures) in [
        (InitType::OnDemand, [None, Some(crate::sampling::Decision::Timeout)]),
        (InitType::ManagedInstances, [Some(crate::sampling::Decision::Timeout); 2]),
    ] {
        let mut told = Told::new(init_type);
        told.begin("r", 100).begin("s", 200);
        let cut = shutdown(ShutdownReason::Timeout, 500);
        told.account.close_all(now(500), &told.config, &cut, &told.announced);
        let closed: Vec<_> = told.account.take_closed().into_iter().map(|word| word.failure).collect();
        assert_eq!(closed, failures, "{init_type:?}");
        assert!(told.open().is_empty());
    }
    // What is awaited is made then.
    let mut told = Told::new(InitType::OnDemand);
    told.account.on_sdk();
    told.begin("r", 100).event(&done("r", 110, EndStatus::Success)).close(111);
    assert!(told.account.take_made().is_empty() && told.account.is_awaiting());
    told.account.close_all(now(500), &told.config, &shutdown(ShutdownReason::Spindown, 500), &told.announced);
    assert_eq!((told.account.take_made().len(), told.account.is_awaiting()), (1, false));
}

#[test]
fn so_many_are_remembered_and_each_with_how_it_was_told() {
    for (init_type, most) in
        [(InitType::OnDemand, FINISHED_MAX), (InitType::ManagedInstances, FINISHED_MAX_MANAGED)]
    {
        let mut told = Told::new(init_type);
        for n in 0..most as u64 + 5 {
            let request_id = alloc::format!("r{n}");
            told.begin(&request_id, 100 * n)
                .event(&report(&request_id, 100 * n + 10, EndStatus::Success))
                .close(100 * n + 11);
        }
        let finished = &told.account.finished;
        assert_eq!((finished.len(), &*finished[0].request_id), (most, "r5"));
        let is_managed = init_type == InitType::ManagedInstances;
        assert!(finished.iter().all(|known| known.is_done && known.is_reported));
        // On demand a report has our own time in it.
        assert!(finished.iter().all(|known| known.told_at.is_some() == is_managed));
        assert_eq!(finished[0].ended_at, at(510));
    }
    // On demand the report is yet to come where `platform.runtimeDone` told the end.
    let mut told = Told::new(InitType::OnDemand);
    told.begin("r", 100).event(&done("r", 110, EndStatus::Success)).close(111);
    assert!(!told.account.finished[0].is_reported);
}

#[test]
fn the_next_ones_spans_begin_after_the_end_of_the_one_before() {
    // When the next one's begin was told, and from when its spans are: from its INVOKE at the latest.
    for (started_ms, from) in [(None, at(140)), (Some(110), UnixNanos(110 * MS + 1)), (Some(130), at(130))] {
        let mut told = Told::new(InitType::OnDemand);
        told.begin("r", 100).begin("s", 140);
        if let Some(ms) = started_ms {
            told.event(&start("s", ms));
        }
        told.event(&done("r", 110, EndStatus::Success)).close(141);
        let next = &told.account.open[0];
        assert_eq!((next.from, next.floor), (from, at(110)), "{started_ms:?}");
    }
    // Where it begins later, ends are told in whole milliseconds.
    let mut told = Told::new(InitType::OnDemand);
    told.begin("r", 100).event(&done("r", 110, EndStatus::Success)).close(111).begin("s", 140);
    assert_eq!(told.account.open[0].from, UnixNanos(111 * MS + 1));
    told.event(&start("s", 105));
    assert_eq!(told.account.open[0].from, at(110), "not before the one before had ended");
}

#[test]
fn the_word_on_one_that_is_closed_is_final_if_its_end_was_told() {
    let is_final =
        |told: &mut Told| told.account.take_closed().iter().map(|word| word.is_final).collect::<Vec<_>>();
    let mut told = Told::new(InitType::OnDemand);
    told.begin("r", 100).span(&span(1, 101, Kind::Server, Some("r"))).close(110);
    assert_eq!(is_final(&mut told), [false]);
    told.begin("s", 200).event(&done("s", 210, EndStatus::Success)).close(211);
    assert_eq!(is_final(&mut told), [true]);
    told.begin("t", 300);
    told.account.close_older(now(400), &told.config, &told.announced, 0);
    assert_eq!(is_final(&mut told), [false], "it may be told of yet");
}

/// The trace of the root that is made when the environment ends.
fn root_at_the_end(told: &mut Told) -> Option<TraceId> {
    let end = shutdown(ShutdownReason::Spindown, 900_000);
    told.account.close_all(now(900_000), &told.config, &end, &told.announced);
    told.account.take_made().last().map(|span| span.trace_id)
}

#[test]
fn spans_that_began_after_its_end_are_not_of_an_invocation_where_that_is_known() {
    for (event, ms, is_its) in [
        (done("r", 110, EndStatus::Success), 110, true),
        (done("r", 110, EndStatus::Success), 150, false),
        (report("r", 110, EndStatus::Success), 110, true),
        (report("r", 110, EndStatus::Success), 150, false),
    ] {
        let mut told = Told::new(InitType::OnDemand);
        told.begin("r", 100).span(&span(1, ms, Kind::Client, None)).event(&event).close(160);
        assert_eq!(root_at_the_end(&mut told) == Some(trace(9)), is_its, "{event:?} {ms}");
    }
}

#[test]
fn what_began_before_invoke_in_an_older_trace_is_of_the_one_before_unless_the_begin_is_told() {
    for (ms, started_ms, is_its) in
        [(1_500, None, false), (1_500, Some(1_400), true), (2_000, None, true), (2_001, None, true)]
    {
        let mut told = Told::new(InitType::OnDemand);
        told.begin("r", 100)
            .span(&span(1, 101, Kind::Server, Some("r")))
            .event(&done("r", 110, EndStatus::Success))
            .close(111);
        told.begin("s", 2_000).span(&span(2, ms, Kind::Client, None));
        if let Some(ms) = started_ms {
            told.event(&start("s", ms));
        }
        told.event(&unmeasured("s", 2_010)).close(2_011);
        assert_eq!(root_at_the_end(&mut told) == Some(trace(9)), is_its, "{ms} {started_ms:?}");
    }
    // In a trace of its own it is of the next: the function was faster than INVOKE.
    let mut told = Told::new(InitType::OnDemand);
    told.begin("r", 100).event(&done("r", 110, EndStatus::Success)).close(111);
    told.begin("s", 2_000)
        .span(&span(2, 1_500, Kind::Client, None))
        .event(&unmeasured("s", 2_010))
        .close(2_011);
    assert_eq!(root_at_the_end(&mut told), Some(trace(9)));
}

#[test]
fn only_the_first_invocation_has_a_cold_start() {
    let mut told = Told::new(InitType::OnDemand);
    told.event(&init_done(50));
    for (request_id, ms) in [("r", 100), ("s", 200)] {
        told.begin(request_id, ms).event(&done(request_id, ms + 10, EndStatus::Success)).close(ms + 11);
    }
    let cold: Vec<_> = told.account.take_closed().into_iter().map(|word| word.is_cold).collect();
    assert_eq!(cold, [true, false]);
}

#[test]
fn spans_that_no_open_root_asks_for_are_forgotten() {
    let mut told = Told::new(InitType::OnDemand);
    told.begin("r", 10_000).span(&span(1, 10_001, Kind::Client, None));
    told.event(&done("r", 10_010, EndStatus::Success)).close(10_011);
    // It is awaited, and its spans are kept.
    told.begin("s", 20_000).span(&span(2, 20_001, Kind::Client, None));
    told.account.settle_overdue(now(10_012), &told.config);
    assert!(told.account.relatives.has(trace(9), id(1)));
    // A span that began after its end shows that it is awaited in vain.
    told.account.settle_ripe(now(20_010), &told.config, false);
    assert_eq!(told.account.take_made().len(), 1);
    assert!(!told.account.relatives.has(trace(9), id(1)) && told.account.relatives.has(trace(9), id(2)));
}

#[test]
fn an_end_without_a_duration_is_not_the_platforms_own_word() {
    let mut told = Told::new(InitType::OnDemand);
    let event = unmeasured("r", 110);
    told.begin("r", 100).event(&event).close(111);
    told.begin("s", 200).event(&done("s", 210, EndStatus::Success)).close(211);
    let told_at: Vec<_> = told.account.finished.iter().map(|known| known.told_at).collect();
    assert_eq!(told_at, [None, Some(at(210))]);
}

#[test]
fn what_x_ray_decided_is_told_with_an_invocation() {
    let mut told = Told::new(InitType::OnDemand);
    told.begin("r", 100);
    let xray = XrayContext { trace_id: trace(6), parent: None, root: "1-6".into(), sampled: Some(false) };
    told.account.open[0].invoke.xray = Some(xray);
    assert!(told.account.flushed(&told.config).is_none(), "nobody says that it is done");
    told.account.on_flush_request(None);
    let word = told.account.flushed(&told.config).expect("the function says so");
    assert_eq!((&*word.request_id, word.xray, word.is_cold, word.is_final), ("r", Some(false), true, false));
    told.event(&done("r", 110, EndStatus::Success)).close(111);
    let word = &told.account.take_closed()[0];
    assert_eq!((word.xray, word.at), (Some(false), Some(at(100))), "of the try that began then");
}

#[test]
fn where_nothing_told_of_an_end_it_is_no_later_than_the_next_one_was_heard_of() {
    let mut told = Told::new(InitType::OnDemand);
    let own = Span { end: at(400), ..span(1, 150, Kind::Client, None) };
    told.begin("r", 100).span(&own).begin("s", 200);
    told.account.close_older(now(400), &told.config, &told.announced, 1);
    let known = &told.account.finished[0];
    assert_eq!((&*known.request_id, known.ended_at), ("r", told.account.open[0].from));
    assert_eq!(told.account.last_end, UnixNanos(0), "it is no border");
}

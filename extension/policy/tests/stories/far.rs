//! Backends that are far away or ask for patience, and environments that nobody freezes.

use crate::story::{MS, Story, managed, on_demand, request_of, roots, share, trace};
use policy::{
    Agent, Bounds, Config, Duration, EndStatus, FlushMode, InitType, Input, Instant, Kind, Measuring,
    Outcome, Output, Shutdown, ShutdownReason, Span, SpoolMode, UnixNanos,
};

/// On Managed Instances an invocation whose `platform.report` was lost is closed once it cannot run any more.
#[test]
fn a_lost_report_does_not_keep_an_invocation_of_a_managed_instance_open_for_ever() {
    let mut story = managed();
    story.tell_start("lost", 0);
    for second in 1..=3_600u64 {
        story.pass(1_000);
        let request_id = format!("r-{second}");
        story.tell_start(&request_id, story.now / MS);
        story.tell_report(&request_id, story.now / MS + 5, Some(5), EndStatus::Success);
        story.answer();
    }
    assert!(
        roots(&story).iter().any(|span| request_of(span) == "lost"),
        "after an hour, where none runs for more than 15 minutes"
    );
}

/// `platform.start` that is told twice begins one invocation, also when 64 others have ended in between.
#[test]
fn a_start_told_twice_begins_once_on_a_busy_managed_instance() {
    let mut story = managed();
    story.tell_start("twice", 1_000);
    story.tell_report("twice", 1_005, Some(5), EndStatus::Success);
    for number in 0..64 {
        let request_id = format!("r-{number}");
        story.tell_start(&request_id, 1_010 + number);
        story.tell_report(&request_id, 1_015 + number, Some(5), EndStatus::Success);
    }
    story.pass(1_000);
    story.answer();
    // The platform delivers its batch again.
    story.tell_start("twice", 1_000);
    story.tell_report("twice", 1_005, Some(5), EndStatus::Success);
    story.pass(10_000);
    story.answer();
    story.shut_down(ShutdownReason::Spindown);
    assert_eq!(story.agent.ledger().invocations, 65);
    assert_eq!(story.made, 65, "and each has one root");
}

/// After a lost `platform.report`, traces that name no invocation wait 16 minutes at most to be left out.
#[test]
fn one_lost_report_does_not_make_every_later_trace_wait() {
    let run = |is_lost: bool| {
        let sampling = share(0.000_1);
        let mut story =
            Story::new(Config { init_type: InitType::ManagedInstances, sampling, ..Config::default() });
        story.tell_start("lost", 0);
        if !is_lost {
            story.tell_report("lost", 5, Some(5), EndStatus::Success);
        }
        let mut most = 0;
        for second in 1..=7_200u64 {
            let request_id = format!("r-{second}");
            story.tell_start(&request_id, story.now / MS);
            let mut id = [0; 16];
            id[..8].copy_from_slice(&second.to_be_bytes());
            let span = Span {
                trace_id: policy::TraceId::new(id).expect("not zero"),
                ..story.span(9, story.now / MS, Kind::Client, None)
            };
            story.receive(vec![span]);
            story.tell_report(&request_id, story.now / MS + 5, Some(5), EndStatus::Success);
            story.pass(1_000);
            story.answer();
            most = story.agent.unjudged_spans().max(most);
        }
        (most, story.agent.unjudged_spans())
    };
    let (told, lost) = (run(false), run(true));
    // It may run for 15 minutes, and any of these traces may be of it; then it is known to be over.
    assert!(lost.0 < 1_000, "one a second waits: {lost:?}");
    assert_eq!(told.1, lost.1, "traces waiting two hours later; one a second");
}

/// What a healthy backend delivers and drops whose answers take `latency_ms`, while ten spans of `size` come every 100 ms.
fn slow_backend(init_type: InitType, ceiling_ms: u64, latency_ms: u64, size: u32) -> (u64, u64) {
    let bounds = Bounds { held_bytes: 4 << 20, ..Config::default().bounds };
    let mut story = Story::new(Config {
        init_type,
        bounds,
        spool: SpoolMode::Off,
        flush_ceiling: Duration::from_millis(ceiling_ms),
        flush: FlushMode::Continuous,
        ..Config::default()
    });
    let mut answers: Vec<(policy::BatchId, u64)> = Vec::new();
    if init_type != InitType::ManagedInstances {
        story.invoke();
    }
    for turn in 0..3_000u64 {
        if init_type != InitType::ManagedInstances && turn % 10 == 0 && turn > 0 {
            story.send(Some(&story.request_id()));
            story.invoke();
        }
        let spans = (0..10)
            .map(|n| Span {
                span_id: policy::SpanId::new((turn * 10 + n + 1).to_be_bytes()).expect("not zero"),
                size,
                ..story.span(1, story.now / MS, Kind::Client, None)
            })
            .collect();
        story.receive(spans);
        for _ in 0..20 {
            for id in story.launched.drain(..) {
                answers.push((id, story.now + latency_ms * MS));
            }
            answers.retain(|(id, _)| story.flying.contains(id));
            let due: Vec<_> = answers.iter().filter(|(_, at)| *at <= story.now).map(|(id, _)| *id).collect();
            for id in due {
                answers.retain(|(known, _)| *known != id);
                story.flying.retain(|known| *known != id);
                let outcome = Outcome::Delivered { rejected: 0 };
                story.hear(Input::Exported { id, outcome, raw_bytes: 1, sent_bytes: 1 });
            }
            story.pass(5);
        }
    }
    let books = story.agent.ledger().spans;
    (books.delivered, books.dropped.iter().sum())
}

#[test]
fn a_backend_that_is_far_away_loses_nothing_on_managed_instances() {
    let near = slow_backend(InitType::ManagedInstances, 1_000, 600, 1_000);
    let far = slow_backend(InitType::ManagedInstances, 1_000, 800, 1_000);
    assert_eq!(
        (near.1, far.1),
        (0, 0),
        "dropped of 30,000 spans of 1 KB in 5 minutes: near {near:?}, far {far:?}"
    );
}

#[test]
fn a_backend_that_is_far_away_loses_nothing_beside_the_handler() {
    let near = slow_backend(InitType::OnDemand, 100, 60, 4_000);
    let far = slow_backend(InitType::OnDemand, 100, 90, 4_000);
    let default = slow_backend(InitType::OnDemand, 1_000, 90, 4_000);
    assert_eq!((default.1, near.1, far.1), (0, 0, 0), "{default:?} {near:?} {far:?}");
}

/// The same in `end` mode, with every setting at its default.
#[test]
fn a_backend_that_answers_within_the_flush_ceiling_loses_nothing_in_end_mode() {
    let run = |latency_ms: u64| {
        let bounds = Bounds { held_bytes: 4 << 20, ..Config::default().bounds };
        let mut story =
            Story::new(Config { flush: FlushMode::End, bounds, spool: SpoolMode::Off, ..Config::default() });
        let mut answers: Vec<(policy::BatchId, u64)> = Vec::new();
        for turn in 0..500u64 {
            story.invoke_after(5_000);
            let began = story.now / MS;
            let asked = story.asked;
            for ms in 0..1_200u64 {
                if ms == 50 {
                    let mut spans: Vec<_> = (0..39)
                        .map(|n| Span {
                            span_id: policy::SpanId::new((turn * 100 + n + 1_000_000).to_be_bytes())
                                .expect("not zero"),
                            size: 1_000,
                            ..story.span(1, began, Kind::Client, None)
                        })
                        .collect();
                    spans.push(Span {
                        span_id: policy::SpanId::new((turn + 1).to_be_bytes()).expect("not zero"),
                        ..story.entry(1, began)
                    });
                    story.receive(spans);
                }
                for id in story.launched.drain(..) {
                    answers.push((id, story.now + latency_ms * MS));
                }
                answers.retain(|(id, _)| story.flying.contains(id));
                let due: Vec<_> =
                    answers.iter().filter(|(_, at)| *at <= story.now).map(|(id, _)| *id).collect();
                for id in due {
                    story.flying.retain(|known| *known != id);
                    let outcome = Outcome::Delivered { rejected: 0 };
                    story.hear(Input::Exported { id, outcome, raw_bytes: 1, sent_bytes: 1 });
                }
                if story.asked > asked {
                    break;
                }
                story.pass(1);
            }
        }
        let ledger = story.agent.ledger();
        (
            ledger.spans.delivered,
            ledger.spans.dropped.iter().sum::<u64>(),
            ledger.held.as_nanos() as u64 / MS / 500,
        )
    };
    let (near, far) = (run(600), run(800));
    assert_eq!(
        (near.1, far.1),
        (0, 0),
        "(delivered, dropped, ms held per invocation) of 20,000: 600 ms {near:?}, 800 ms {far:?}"
    );
}

/// A request is packed by the time that there is, on Managed Instances too.
#[test]
fn a_request_of_a_managed_instance_is_packed_as_well_as_any() {
    let mut efforts = Vec::new();
    for init_type in [InitType::OnDemand, InitType::ManagedInstances] {
        let config =
            Config { init_type, flush: FlushMode::End, measuring: Measuring::OFF, ..Config::default() };
        let mut story = Story::new(config.clone());
        story.agent = Agent::new(config);
        story.hear(Input::Ready);
        if init_type == InitType::OnDemand {
            story.invoke();
        }
        story.now += 2_000 * MS;
        let span = story.entry(1, story.now / MS);
        story.agent.handle(
            Instant::from_nanos(story.now),
            Input::Received(policy::Receipt { spans: vec![span], parcels: Vec::new() }),
        );
        story.now += 2_000 * MS;
        story.agent.handle(Instant::from_nanos(story.now), Input::Tick);
        while let Some(output) = story.agent.poll() {
            if let Output::Export { effort, .. } = output {
                efforts.push(effort);
            }
        }
    }
    assert_eq!(efforts[0], efforts[1], "on demand, and managed");
}

/// On Managed Instances what is on disk leaves by itself while the backend is well.
#[test]
fn what_a_managed_instance_has_on_disk_leaves_without_new_traffic() {
    // One entry that is larger than memory is tried, refused with 503 once, and rests on disk.
    let bounds = Bounds { held_bytes: 1_000, spooled_bytes: 1 << 20, ..Config::default().bounds };
    let config = Config {
        init_type: InitType::ManagedInstances,
        bounds,
        spool: SpoolMode::Outage,
        measuring: Measuring::OFF,
        ..Config::default()
    };
    let mut agent: Agent<()> = Agent::new(config);
    let mut now = 0;
    let mut inputs = std::collections::VecDeque::from([Input::Ready]);
    let span = Span { size: 2_000, ..crate::made::span([1; 8], None, 2_000, ()) };
    let again = span.clone();
    inputs.push_back(Input::Receiving);
    inputs.push_back(Input::Received(policy::Receipt { spans: vec![span], parcels: Vec::new() }));
    let (mut refused, mut place) = (0, 0);
    for _ in 0..10_000 {
        let input = match inputs.pop_front() {
            Some(input) => input,
            None => match agent.deadline() {
                Some(due) => {
                    now = due.as_nanos().max(now);
                    Input::Tick
                }
                None => break,
            },
        };
        agent.handle(Instant::from_nanos(now), input);
        while let Some(output) = agent.poll() {
            match output {
                Output::Park { lane, .. } => {
                    place += 1;
                    inputs.push_back(Input::Parked { lane, place: Some(policy::Place(place)) });
                }
                Output::Unpark { lane, .. } => {
                    let receipt = policy::Receipt { spans: vec![again.clone()], parcels: Vec::new() };
                    inputs.push_back(Input::Unparked { lane, receipt });
                }
                Output::Export { id, .. } => {
                    let outcome = if refused == 0 {
                        Outcome::Retry { after: None }
                    } else {
                        Outcome::Delivered { rejected: 0 }
                    };
                    refused += 1;
                    inputs.push_back(Input::Exported { id, outcome, raw_bytes: 1, sent_bytes: 1 });
                }
                _ => {}
            }
        }
    }
    assert_eq!(
        (agent.ledger().spans.delivered, agent.deadline().is_none()),
        (1, true),
        "nothing more will happen by itself"
    );
}

/// What was received before a snapshot was taken is sent by every environment that is restored from it, as it was, so
/// that a backend which goes by ids has it once. No environment knows of the others, and none has sent it before: to each
/// it is new, and none counts it as sent again (`docs/limits.md`).
#[test]
fn a_span_of_a_snapshot_is_sent_by_each_environment_that_is_restored_from_it() {
    let mut books = Vec::new();
    for seed in [11, 12] {
        // The same process up to the snapshot, hence the same state.
        let config = Config { init_type: InitType::SnapStart, flush: FlushMode::End, ..Config::default() };
        let mut story = Story::new(config);
        story.pass(500);
        story.receive(vec![story.span(2, 100, Kind::Client, None)]);
        story.hear(Input::Restored { seed });
        story.invoke_after(60_000);
        story.pass(5);
        let own = Span { trace_id: trace(9), ..story.entry(9, story.now / MS - 5) };
        story.receive(vec![own]);
        story.answer();
        let ledger = story.agent.ledger();
        books.push((ledger.spans.received, ledger.spans.delivered, ledger.resent));
    }
    assert_eq!(books, [(2, 2, 0); 2], "received, delivered and resent: the span of init, and its own");
}

/// `Retry-After` holds to its end, whatever invocations begin meanwhile.
#[test]
fn what_the_backend_asked_for_is_kept_to_though_invocations_begin_meanwhile() {
    let mut sent = Vec::new();
    for asked_ms in [1_000u64, 2_000, 3_000] {
        let mut story = on_demand();
        let mut requests = 0;
        let mut until = 0;
        for turn in 0..100u8 {
            story.invoke_after(5);
            story.pass(5);
            if turn == 0 {
                story.receive(vec![story.entry(1, story.now / MS)]);
            } else {
                let (request_id, now) = (story.request_id(), story.now / MS);
                story.tell_done(&request_id, now, EndStatus::Success, None);
            }
            while let Some(id) = story.flying.pop() {
                requests += u32::from(story.now < until);
                if until == 0 {
                    until = story.now + asked_ms * MS;
                }
                let after = Some(Duration::from_nanos(until.saturating_sub(story.now)));
                story.hear(Input::Exported {
                    id,
                    outcome: Outcome::Retry { after },
                    raw_bytes: 1,
                    sent_bytes: 1,
                });
            }
        }
        sent.push(requests);
    }
    assert_eq!(
        sent,
        [0, 0, 0],
        "requests before 1, 2 and 3 seconds are over that the backend asked for, one invocation each 10 ms"
    );
}

/// The slowest answer took longer than SHUTDOWN does; the connection of the last request is dead.
#[test]
fn in_shutdown_a_request_without_an_answer_is_tried_again_though_answers_were_slow() {
    let mut story = on_demand();
    story.receive(vec![story.span(1, 0, Kind::Client, None)]);
    story.invoke();
    // What was left from before leaves beside the handler, and is answered in it.
    story.pass(2_100);
    story.answer();
    let request_id = story.request_id();
    story.tell_done(&request_id, story.now / MS, EndStatus::Success, None);
    story.answer();
    story.receive(vec![story.span(3, 0, Kind::Client, None)]);
    let deadline = Instant::from_nanos(story.now) + Duration::from_secs(2);
    let (reason, received_at) = (ShutdownReason::Spindown, UnixNanos(story.now));
    story.hear(Input::Shutdown(Shutdown { reason, deadline, received_at, waited: Duration::ZERO }));
    // The platform's last words are awaited first, and what they make is sent.
    story.pass(300);
    let (sent, silent) = (story.launched.len(), core::mem::take(&mut story.flying).len());
    assert!(silent > 0);
    for _ in 0..12 {
        story.pass(100);
        story.answer();
    }
    assert_eq!(story.launched.len(), sent + silent, "on other connections, while there is time");
    assert_eq!(story.agent.ledger().spans.held(), 0);
}

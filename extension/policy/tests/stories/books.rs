//! What the books say, number by number, and what an environment answers when it is asked.

use policy::{
    Agent, Bounds, Config, DropReason, Input, Instant, LaneId, Measuring, Notice, Output, Parcel, Parked,
    Place, PlatformEvent, Receipt, Shutdown, ShutdownReason, Signal, SpoolMode, UnixNanos,
};

use crate::made;
use crate::story::MS;

fn agent(config: Config) -> Agent<()> {
    Agent::new(Config { measuring: Measuring::OFF, ..config })
}

fn hear(agent: &mut Agent<()>, ms: u64, input: Input<()>) -> Vec<Output<()>> {
    agent.handle(Instant::from_nanos(ms * MS), input);
    std::iter::from_fn(|| agent.poll()).collect()
}

#[test]
fn a_restore_brings_a_seed_of_its_own() {
    let mut agent = agent(Config { seed: 7, ..Config::default() });
    assert_eq!(agent.seed(), 7);
    hear(&mut agent, 0, Input::Restored { seed: 9 });
    assert_eq!(agent.seed(), 9);
}

#[test]
fn events_that_the_platform_gave_up_on_are_counted() {
    let mut agent = agent(Config::default());
    for records in [3, 4] {
        hear(&mut agent, 0, Input::Platform(PlatformEvent::LogsDropped { records, bytes: 1 }));
    }
    assert_eq!(agent.ledger().platform_events_lost, 7);
}

#[test]
fn what_was_found_on_disk_is_in_the_books_and_what_of_it_is_unreadable_too() {
    let mut agent = agent(Config { spool: SpoolMode::Always, ..managed_config() });
    hear(&mut agent, 0, Input::Ready);
    let parked =
        |number, signal, count| Parked { lane: LaneId::of(signal), place: Place(number), count, size: 200 };
    let read = hear(&mut agent, 0, Input::Found(parked(1, Signal::Traces, 3)));
    let ledger = agent.ledger();
    assert_eq!((ledger.spans.recovered, ledger.logs.recovered, agent.held_items(Signal::Traces)), (3, 0, 3));
    assert!(read.iter().any(|output| matches!(output, Output::Unpark { place: Place(1), .. })), "{read:?}");
    // One of the three is there.
    let spans = vec![made::span([1; 8], None, 60, ())];
    let said = hear(
        &mut agent,
        1_001,
        Input::Unparked { lane: LaneId::of(Signal::Traces), receipt: Receipt { spans, parcels: Vec::new() } },
    );
    let lines = said.iter().filter(|output| {
        matches!(output, Output::Say(Notice::SpoolUnreadable(LaneId { signal: Signal::Traces, .. })))
    });
    assert_eq!(lines.count(), 1);
    let ledger = agent.ledger();
    assert_eq!(ledger.spans.dropped_for(DropReason::SpoolUnreadable), 2);
    assert_eq!(agent.held_items(Signal::Traces), 1);
    // What nobody had asked for means nothing.
    hear(&mut agent, 1_002, Input::Unparked { lane: LaneId::of(Signal::Traces), receipt: Receipt::EMPTY });
    assert_eq!(agent.held_items(Signal::Traces), 1);
}

fn managed_config() -> Config {
    Config { init_type: policy::InitType::ManagedInstances, ..Config::default() }
}

#[test]
fn a_disk_that_was_full_is_tried_again_with_the_next_beat() {
    let bounds = Bounds { held_bytes: 1_000, batch_bytes: 1_000, ..Config::default().bounds };
    let mut agent = agent(Config { spool: SpoolMode::Always, bounds, ..managed_config() });
    hear(&mut agent, 0, Input::Ready);
    let mut id = 0;
    let mut parks = |agent: &mut Agent<()>, ms| {
        let mut parks = 0;
        for _ in 0..4 {
            id += 1;
            hear(agent, ms, Input::Receiving);
            let spans = vec![made::span([id; 8], None, 400, ())];
            let mut outputs = hear(agent, ms, Input::Received(Receipt { spans, parcels: Vec::new() }));
            while let Some(output) = outputs.pop() {
                if let Output::Park { lane, .. } = output {
                    parks += 1;
                    outputs.extend(hear(agent, ms, Input::Parked { lane, place: None }));
                }
            }
        }
        parks
    };
    // The first beat is due at once, and the next one a second later.
    hear(&mut agent, 0, Input::Tick);
    assert_eq!(parks(&mut agent, 1), 1, "the disk is full");
    assert_eq!(parks(&mut agent, 999), 0, "nothing is tried meanwhile");
    assert_eq!(parks(&mut agent, 1_500), 1, "it may have room again");
}

#[test]
fn a_record_of_logs_comes_back_as_logs_and_nothing_else_of_it_counts() {
    let mut agent = agent(Config { spool: SpoolMode::Always, ..managed_config() });
    hear(&mut agent, 0, Input::Ready);
    let lane = LaneId::of(Signal::Logs);
    hear(&mut agent, 0, Input::Found(Parked { lane, place: Place(1), count: 3, size: 200 }));
    let parcel = |signal| Parcel { signal, count: 3, size: 200, body: () };
    let parcels = vec![parcel(Signal::Logs), parcel(Signal::Metrics)];
    hear(&mut agent, 1, Input::Unparked { lane, receipt: Receipt { spans: Vec::new(), parcels } });
    assert_eq!(Signal::ALL.map(|signal| agent.held_items(signal)), [0, 0, 3]);
    assert_eq!(agent.ledger().logs.dropped.iter().sum::<u64>(), 0);
}

/// A disk that takes nothing: which reason the books have, and when that is said.
#[test]
fn what_could_not_be_written_is_given_up_for_want_of_room_or_for_shutdown_and_said_once() {
    for is_end in [false, true] {
        let bounds = Bounds { held_bytes: 1_000, ..Config::default().bounds };
        let mut agent = agent(Config { spool: SpoolMode::Always, bounds, ..Config::default() });
        let mut outputs = hear(&mut agent, 0, Input::Ready);
        let size = if is_end { 100 } else { 2_000 };
        let mut lines = Vec::new();
        for id in 1..=3 {
            // A write that failed is tried again with the next invocation.
            let receipt = Receipt { spans: vec![made::span([id; 8], None, size, ())], parcels: Vec::new() };
            outputs.extend(hear(&mut agent, u64::from(id), Input::Receiving));
            outputs.extend(hear(&mut agent, u64::from(id), Input::Received(receipt)));
            agent_answers(&mut agent, u64::from(id), &mut outputs, &mut lines);
            if !is_end {
                assert_eq!(agent.ledger().spans.dropped_for(DropReason::OutboxFull), u64::from(id));
                assert_eq!(lines.len(), 2, "of the disk, and of memory: the first time");
            }
        }
        let (deadline, received_at) = (Instant::from_nanos(2_000 * MS), UnixNanos(0));
        let (reason, waited) = (ShutdownReason::Spindown, policy::Duration::ZERO);
        let shutdown = Shutdown { reason, deadline, received_at, waited };
        outputs.extend(hear(&mut agent, 4, Input::Shutdown(shutdown)));
        agent_answers(&mut agent, 4, &mut outputs, &mut lines);
        while let Some(due) = agent.deadline() {
            let ms = due.as_nanos().div_ceil(MS);
            outputs.extend(hear(&mut agent, ms, Input::Tick));
            agent_answers(&mut agent, ms, &mut outputs, &mut lines);
        }
        let spans = agent.ledger().spans;
        let dropped = [DropReason::OutboxFull, DropReason::Shutdown].map(|reason| spans.dropped_for(reason));
        assert_eq!(dropped, if is_end { [0, 3] } else { [3, 0] }, "{spans:?}");
        assert_eq!(lines.contains(&Notice::OutboxFull(Signal::Traces)), !is_end);
        assert_eq!(lines.iter().filter(|line| **line == Notice::SpoolUnusable).count(), 1);
    }
}

/// No write succeeds, and no request is answered.
fn agent_answers(agent: &mut Agent<()>, ms: u64, outputs: &mut Vec<Output<()>>, lines: &mut Vec<Notice>) {
    while let Some(output) = outputs.pop() {
        match output {
            Output::Park { lane, .. } => outputs.extend(hear(agent, ms, Input::Parked { lane, place: None })),
            Output::Close => outputs.extend(hear(agent, ms, Input::Closed)),
            Output::Say(notice @ (Notice::SpoolUnusable | Notice::OutboxFull(_))) => lines.push(notice),
            _ => {}
        }
    }
}

/// A killed process leaves spans of earlier invocations, and of the one it died in.
#[test]
fn what_a_killed_process_left_is_told_of_with_its_number() {
    let mut agent = agent(Config::default());
    hear(&mut agent, 0, Input::Ready);
    let spans = |ids: &[u8]| Receipt {
        spans: ids.iter().map(|id| made::span([*id; 8], None, 100, ())).collect(),
        parcels: Vec::new(),
    };
    let (earlier, receipt) = (spans(&[1, 2]), spans(&[3, 4, 5]));
    let said = hear(
        &mut agent,
        1,
        Input::Recovered { invoke: None, seed: 5, earlier, receipt, announced: Vec::new() },
    );
    assert!(said.iter().any(|output| matches!(output, Output::Say(Notice::Recovered(5)))), "{said:?}");
    assert_eq!(agent.ledger().spans.recovered, 5);
}

#[test]
fn nothing_is_said_of_room_while_there_is_room() {
    use policy::sampling::{Ratio, Sampling};
    let sampling = Sampling { ratio: Ratio::new(0.5).expect("a share"), ..Sampling::default() };
    let mut agent = agent(Config { sampling, ..Config::default() });
    hear(&mut agent, 0, Input::Ready);
    hear(&mut agent, 1, Input::Receiving);
    let receipt = Receipt { spans: vec![made::span([1; 8], None, 100, ())], parcels: Vec::new() };
    let said = hear(&mut agent, 1, Input::Received(receipt));
    assert!(!said.iter().any(|output| matches!(output, Output::Say(_))), "{said:?}");
}

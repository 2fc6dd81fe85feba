//! What the books say, number by number, and what an environment answers when it is asked.

use policy::{
    Agent, Bounds, Config, Input, Instant, LaneId, Measuring, Notice, Output, Parked, Place, PlatformEvent,
    Receipt, Signal, SpoolMode,
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
    let lines =
        said.iter().filter(|output| matches!(output, Output::Say(Notice::SpoolUnreadable(Signal::Traces))));
    assert_eq!(lines.count(), 1);
    let ledger = agent.ledger();
    assert_eq!(ledger.spans.dropped_for(policy::DropReason::SpoolUnreadable), 2);
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

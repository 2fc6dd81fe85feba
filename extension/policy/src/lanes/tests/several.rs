//! Several destinations: one copy of the bytes, a lane each, and what an ill one leaves on disk.

use super::*;
use crate::config::{Further, Takes};
use crate::routing::Router;

const SIZE: u32 = 1_000;

/// Two destinations for everything, the second of which holds invocations or not.
fn two(holds: bool) -> World {
    let further = Further {
        name: "second".into(),
        signals: Destinations::ALL,
        reaches: Destinations::ALL,
        limits: [crate::RequestLimit::NONE; Signal::ALL.len()],
        holds,
        when: Vec::new(),
        takes: Takes::Kept,
        is_exclusive: false,
    };
    World::with(|config| config.further = alloc::vec![further])
}

fn id(destination: u8) -> LaneId {
    LaneId { signal: Traces, destination }
}

/// A span that both take.
fn accept(world: &mut World) {
    let content = Content::Received(());
    let entry = Entry {
        signal: Traces,
        count: 1,
        size: SIZE,
        is_precious: false,
        content,
        stamp: None,
        shared: None,
    };
    let further = alloc::vec![two(true).further[0].clone()];
    let routes = Router::new(&Config { further, ..Config::default() }).of_entry::<()>(Traces, None);
    assert_eq!(world.lanes.accept(world.now, entry, routes), 2);
}

/// Everything that this lane has is sent, and answered so.
fn answer(world: &mut World, destination: u8, outcome: Outcome) {
    world.outputs.clear();
    let now = world.now;
    let (lanes, mut effects) = world.parts();
    let lane = lanes.get_mut(id(destination)).expect("it is there");
    lane.seal();
    lane.advance(now, Window::Open, &mut effects);
    let Some(Output::Export { id, .. }) = world.outputs.pop_front() else { panic!("nothing is sent") };
    let (lanes, mut effects) = world.parts();
    let answer = Answer { outcome, raw_bytes: 0, sent_bytes: 0 };
    lanes.get_mut(id.lane).expect("it is there").on_exported(now, id, answer, &mut effects);
    world.now = world.now + Duration::from_secs(2);
}

const DELIVERED: Outcome = Outcome::Delivered { rejected: 0 };
const FAILED: Outcome = Outcome::Retry { after: None };

#[test]
fn what_two_hold_counts_once_and_its_bookkeeping_for_each() {
    let size = SIZE as usize;
    let held = |world: &World| (world.lanes.held_bytes(), world.lanes.encoded_bytes());
    let mut world = two(true);
    accept(&mut world);
    assert_eq!(held(&world), (size + 2 * BOOKKEEPING_BYTES, size));
    accept(&mut world);
    assert_eq!(held(&world), (2 * size + 4 * BOOKKEEPING_BYTES, 2 * size));
    answer(&mut world, 1, DELIVERED);
    assert_eq!(held(&world), (2 * size + 2 * BOOKKEEPING_BYTES, 2 * size));
    answer(&mut world, 0, FAILED);
    assert_eq!(held(&world), (2 * size + 2 * BOOKKEEPING_BYTES, 2 * size));
    answer(&mut world, 0, DELIVERED);
    assert_eq!(held(&world), (0, 0));
    // One goes to the disk, comes back because that took nothing, and is given up.
    accept(&mut world);
    let (lanes, mut effects) = world.parts();
    assert!(lanes.get_mut(id(0)).expect("it is there").park_oldest(true, &mut effects));
    assert_eq!(held(&world), (size + BOOKKEEPING_BYTES, size));
    assert_eq!(world.lanes.on_parked(id(0), None, false), Some(Unwritten::Readmitted));
    assert_eq!(held(&world), (size + 2 * BOOKKEEPING_BYTES, size));
    for (left, expected) in [(1, size + BOOKKEEPING_BYTES), (0, 0)] {
        assert!(world.lanes.evict().is_some());
        assert_eq!(held(&world), (expected, left * size));
    }
}

#[test]
fn each_destination_has_lanes_and_those_of_one_signal_the_same_share() {
    for holds in [true, false] {
        let lanes = two(holds).lanes;
        let ids: Vec<_> = lanes.iter().map(|lane| (lane.signal(), lane.id().destination)).collect();
        let expected = [(Traces, 0), (Traces, 1), (OfMetrics, 0), (OfMetrics, 1), (Logs, 0), (Logs, 1)];
        assert_eq!(ids, expected);
        let holders: Vec<_> = lanes.holders().map(|lane| lane.id().destination).collect();
        assert_eq!(holders, if holds { &[0, 1][..] } else { &[0] });
        assert_eq!(lanes.room().share(), HELD / 3);
    }
}

#[test]
fn what_an_ill_destination_has_not_had_goes_to_disk_where_there_is_another() {
    for (is_ill, parked) in [(false, 0), (true, 1)] {
        let mut world = two(true);
        accept(&mut world);
        answer(&mut world, 1, DELIVERED);
        for _ in 0..if is_ill { 3 } else { 1 } {
            answer(&mut world, 0, FAILED);
        }
        world.outputs.clear();
        let (lanes, mut effects) = world.parts();
        lanes.park_ill(&mut effects);
        let lanes_parked = world.outputs.iter().filter(|output| {
            matches!(output, Output::Park { lane: LaneId { signal: Traces, destination: 0 }, .. })
        });
        assert_eq!((lanes_parked.count(), world.outputs.len()), (parked, parked), "{is_ill}");
    }
    let mut world = World::new();
    world.fail(Traces, 1_000);
    let (lanes, mut effects) = world.parts();
    lanes.park_ill(&mut effects);
    assert!(world.outputs.is_empty(), "alone, it stays in memory");
}

//! What lanes owe to each other when room runs out.

use alloc::collections::VecDeque;

use super::*;
use crate::config::BOOKKEEPING_BYTES;
use crate::config::{Bounds, Destinations};
use crate::entry::Content;
use crate::io::Output;
use crate::lane::retry::Outcome;
use crate::lane::shelf::Parked;
use crate::lane::{Answer, BatchId};
use crate::ledger::Ledger;
use crate::metrics::Metrics;

mod several;

/// All that may be held: a third of it, 4,000 bytes, is each lane's share.
const HELD: usize = 12_000;
const DISK: usize = 60_000;

struct World {
    further: Vec<crate::config::Further>,
    lanes: Lanes<()>,
    outputs: VecDeque<Output<()>>,
    ledger: Ledger,
    metrics: Metrics,
    now: Instant,
}

impl World {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut Config)) -> Self {
        let usual = Config::default().bounds;
        let bounds = Bounds { held_bytes: HELD, spooled_bytes: DISK, batch_bytes: 4_000, ..usual };
        let mut config = Config { bounds, spool: SpoolMode::Always, ..Config::default() };
        change(&mut config);
        Self {
            further: config.further.clone(),
            lanes: Lanes::new(&config),
            outputs: VecDeque::new(),
            ledger: Ledger::default(),
            metrics: Metrics::new(&config),
            now: Instant::default(),
        }
    }

    fn parts(&mut self) -> (&mut Lanes<()>, Effects<'_, ()>) {
        let effects =
            Effects { outputs: &mut self.outputs, ledger: &mut self.ledger, metrics: &mut self.metrics };
        (&mut self.lanes, effects)
    }

    /// An entry that takes so much in memory.
    fn accept(&mut self, signal: Signal, held: usize) {
        self.take(signal, held, false);
    }

    fn take(&mut self, signal: Signal, held: usize, is_precious: bool) {
        let size = u32::try_from(held - BOOKKEEPING_BYTES).expect("it is small");
        let content = Content::Received(());
        let entry = Entry { signal, count: 1, size, is_precious, content, stamp: None, shared: None };
        assert_eq!(self.lanes.accept(self.now, entry, Routes::FIRST), 1);
    }

    /// The same, and it is with the backend.
    fn launch(&mut self, signal: Signal, held: usize) -> BatchId {
        self.accept(signal, held);
        self.outputs.clear();
        self.advance(signal);
        match self.outputs.pop_front() {
            Some(Output::Export { id, .. }) => id,
            other => panic!("{other:?}"),
        }
    }

    fn advance(&mut self, signal: Signal) {
        let (now, (lanes, mut effects)) = (self.now, self.parts());
        let lane = lanes.get_mut(LaneId::of(signal)).expect("it is there");
        lane.seal();
        lane.advance(now, Window::Open, &mut effects);
    }

    /// Something of this lane is on disk.
    fn park(&mut self, signal: Signal, held: usize) {
        let lane = LaneId::of(signal);
        let (count, size) = (1, held - BOOKKEEPING_BYTES);
        let parked = Parked { place: Place(1), lane, count, size };
        self.lanes.get_mut(lane).expect("it is there").on_found(parked);
    }

    /// The backend of this lane is down; what it was sent, of this size, waits.
    fn fail(&mut self, signal: Signal, held: usize) {
        let id = self.launch(signal, held);
        for attempt in 0..3 {
            let answer = Answer { outcome: Outcome::Retry { after: None }, raw_bytes: 0, sent_bytes: 0 };
            let now = self.now;
            let (lanes, mut effects) = self.parts();
            lanes.get_mut(id.lane).expect("it is there").on_exported(now, id, answer, &mut effects);
            self.now = self.now + Duration::from_secs(2);
            if attempt < 2 {
                self.advance(signal);
            }
        }
        assert!(!self.lanes.of(signal).next().expect("it is there").is_well());
        self.outputs.clear();
    }

    /// Whether a record is read back now, and what is put on disk for it.
    fn unpark(&mut self, is_last: bool) -> (bool, usize) {
        self.outputs.clear();
        self.lanes.is_last = is_last;
        let (now, (lanes, mut effects)) = (self.now, self.parts());
        lanes.unpark(now, 0, &mut effects);
        let is_read = self.outputs.iter().any(|output| matches!(output, Output::Unpark { .. }));
        let parked = self.outputs.iter().filter(|output| matches!(output, Output::Park { .. }));
        (is_read, parked.count())
    }
}

use Signal::{Logs, Metrics as OfMetrics, Traces};

/// When a record of traces is read back, by what it takes, what traces have under way, what metrics have waiting, what logs
/// have under way, and what is held beside; and how many batches go to the disk for it.
#[test]
fn a_record_is_read_back_where_there_is_room_or_others_make_some() {
    let rows = [
        // record, traces, metrics, logs, beside, in SHUTDOWN: is read, written for it
        (1_000, 0, 0, 0, 0, false, (true, 0)),
        // Within its share: others make room for it.
        (1_000, 0, 12_000, 0, 0, false, (true, 0)),
        (1_000, 700, 11_000, 0, 0, false, (true, 0)),
        (4_000, 0, 12_000, 0, 0, false, (true, 0)),
        // Beyond it: only into what room there is.
        (3_000, 2_000, 7_000, 0, 0, false, (true, 0)),
        (3_000, 2_000, 7_001, 0, 0, false, (false, 0)),
        (3_000, 2_000, 7_000, 0, 1, false, (false, 0)),
        // Larger than its share, with nothing else of traces in memory: what waits goes to the disk, if that helps.
        (5_000, 0, 3_000, 0, 0, false, (true, 0)),
        (10_000, 0, 3_000, 0, 0, false, (true, 1)),
        (10_000, 0, 3_000, 0, 100, false, (false, 0)),
        (10_000, 0, 0, 0, 3_000, false, (false, 0)),
        (10_000, 0, 0, 3_000, 0, false, (true, 0)),
        (10_000, 0, 0, 3_000, 100, false, (false, 0)),
        // At last it is read whatever waits: that may never leave.
        (10_000, 0, 0, 3_000, 100, true, (true, 0)),
        (10_000, 0, 3_000, 0, 100, true, (true, 0)),
        // Larger than all memory.
        (40_000, 0, 0, 0, 0, false, (true, 0)),
    ];
    for (record, traces, metrics, logs, beside, is_last, expected) in rows {
        let row = alloc::format!("{record}, {traces}, {metrics}, {logs}, {beside}, {is_last}");
        let mut world = World::new();
        for (signal, held) in [(Traces, traces), (Logs, logs)] {
            if held > 0 {
                world.launch(signal, held);
            }
        }
        if metrics > 0 {
            world.accept(OfMetrics, metrics);
        }
        world.lanes.room_mut().set_beside(beside);
        world.park(Traces, record);
        assert_eq!(world.unpark(is_last), expected, "{row}");
    }
}

/// Where traces are crowded, because a record of theirs went to the disk for want of room, and none of them is under way.
#[test]
fn what_went_to_the_disk_for_want_of_room_comes_back_within_its_share_and_at_last_where_there_is_room() {
    for (record, metrics, is_last, is_read) in [
        // Within its share, and no room but what others make.
        (1_000, 12_000, false, true),
        // Beyond it, and there is room.
        (5_000, 3_000, false, false),
        (5_000, 3_000, true, true),
    ] {
        let mut world = World::new();
        world.accept(Traces, record);
        let (lanes, mut effects) = world.parts();
        lanes.all[0].seal();
        assert!(lanes.park_oldest(0, true, &mut effects));
        assert!(lanes.on_parked(LaneId::of(Traces), Some(Place(1)), false).is_none());
        world.accept(OfMetrics, metrics);
        assert_eq!(world.unpark(is_last).0, is_read, "{record} {metrics} {is_last}");
    }
}

#[test]
fn nothing_goes_to_the_disk_for_a_large_record_unless_all_of_it_has_room_there() {
    for (spooled, expected) in [(20_000, (true, 1)), (40_000, (false, 0))] {
        let mut world = World::new();
        world.park(Traces, 10_000);
        world.park(OfMetrics, spooled);
        world.accept(OfMetrics, 3_000);
        world.accept(Logs, 200);
        // Of the disk, 10,000 bytes are kept for each other lane that holds anything.
        let written = world.unpark(false);
        let is_read = world
            .outputs
            .iter()
            .any(|output| matches!(output, Output::Unpark { lane, .. } if lane.signal == Traces));
        assert_eq!((is_read, usize::from(written.1 > 0)), expected, "{spooled} bytes on disk");
    }
}

/// What is larger than all memory goes to the disk, of which a part is kept for each lane that holds anything.
#[test]
fn a_lane_that_holds_nothing_has_no_claim_on_the_disk() {
    let rows: [(Option<Signal>, bool, bool); 4] = [
        (None, false, true),
        (Some(OfMetrics), false, false),
        (Some(OfMetrics), true, false),
        (Some(Traces), false, true),
    ];
    for (other, is_on_disk, fits) in rows {
        let mut world = World::new();
        match other {
            Some(signal) if is_on_disk => world.park(signal, 300),
            Some(signal) => world.accept(signal, 300),
            None => {}
        }
        world.accept(Traces, 55_000);
        let (lanes, mut effects) = world.parts();
        let given_up = lanes.settle_outsize(&mut effects);
        assert_eq!(given_up.is_empty(), fits, "{other:?} holds something, on disk: {is_on_disk}");
        assert_eq!(given_up.iter().map(|(_, count)| count).sum::<u64>(), u64::from(!fits));
    }
}

#[test]
fn what_is_on_disk_is_counted_over_all_lanes() {
    let mut world = World::new();
    world.park(Traces, 1_000);
    world.park(Logs, 500);
    assert_eq!(world.lanes.spooled_bytes(), 1_500 - 2 * BOOKKEEPING_BYTES);
}

#[test]
fn the_disk_gets_no_more_than_it_may_however_large_a_batch_is() {
    for (spooled, is_parked) in [(45_000, true), (55_000, false)] {
        let mut world = World::new();
        world.park(Traces, spooled);
        world.accept(Traces, 10_000);
        world.lanes.iter_mut().for_each(Lane::seal);
        let (lanes, mut effects) = world.parts();
        assert_eq!(lanes.park_for_room(&mut effects), is_parked, "{spooled} bytes are there");
    }
}

#[test]
fn what_fills_all_memory_alone_is_held_there_and_what_is_larger_is_not() {
    for (held, is_parked) in [(HELD, false), (HELD + 1, true)] {
        let mut world = World::new();
        world.accept(Traces, held);
        world.lanes.iter_mut().for_each(Lane::seal);
        let (lanes, mut effects) = world.parts();
        assert!(lanes.settle_outsize(&mut effects).is_empty());
        assert_eq!(lanes.held_bytes() == 0, is_parked, "{held}");
    }
}

/// Whose entries go, in which order, until nothing waits.
fn evicted(world: &mut World) -> Vec<Signal> {
    core::iter::from_fn(|| world.lanes.evict()).map(|(lane, _)| lane.signal).collect()
}

#[test]
fn a_lane_that_is_ill_or_beyond_its_share_gives_before_one_that_is_neither() {
    let mut world = World::new();
    world.accept(Traces, 3_000);
    world.fail(OfMetrics, 500);
    world.accept(Logs, 3_500);
    assert_eq!(evicted(&mut world), [OfMetrics, Logs, Traces], "metrics are ill");
    let mut world = World::new();
    world.accept(Traces, 4_000);
    world.accept(OfMetrics, 4_001);
    world.take(Logs, 2_500, true);
    world.take(Logs, 2_500, true);
    assert_eq!(
        evicted(&mut world),
        [OfMetrics, Logs, Traces, Logs],
        "plain entries before others, of those beyond their share; then what is within it"
    );
}

/// What is under way can make no room, and does not count.
#[test]
fn the_lane_with_most_that_waits_gives_first() {
    let mut world = World::new();
    world.launch(OfMetrics, 3_900);
    world.accept(OfMetrics, 1_000);
    world.launch(Logs, 2_000);
    world.accept(Logs, 2_100);
    assert_eq!(evicted(&mut world), [Logs, OfMetrics]);
}

/// The oldest goes to the disk first, of the lanes first that others need not make room for.
#[test]
fn to_the_disk_goes_what_others_need_no_room_for() {
    let mut world = World::new();
    world.accept(Traces, 1_000);
    world.now = world.now + Duration::from_secs(1);
    world.fail(OfMetrics, 1_000);
    world.accept(Logs, 5_000);
    let (lanes, mut effects) = world.parts();
    while lanes.park_for_room(&mut effects) {}
    let parked = world.outputs.iter().map(|output| match output {
        Output::Park { lane, .. } => lane.signal,
        other => panic!("{other:?}"),
    });
    assert_eq!(parked.collect::<Vec<_>>(), [OfMetrics, Logs, Traces]);
}

/// Traces are ill and older, and have all of the disk that is not kept for the others. That part is for the metrics, if they
/// have to make room; if they have not, nothing of theirs goes there in place of what is ill.
#[test]
fn a_lane_whose_part_of_the_disk_is_full_does_not_keep_another_from_its_own() {
    for (are_metrics_ill, parked) in [(true, Some(OfMetrics)), (false, None)] {
        let mut world = World::new();
        world.park(Traces, 48_000);
        world.fail(Traces, 3_000);
        world.now = world.now + Duration::from_secs(1);
        if are_metrics_ill {
            world.fail(OfMetrics, 1_000);
        } else {
            world.accept(OfMetrics, 1_000);
        }
        world.outputs.clear();
        let (lanes, mut effects) = world.parts();
        assert_eq!(lanes.park_for_room(&mut effects), parked.is_some(), "metrics are ill: {are_metrics_ill}");
        let went = world.outputs.iter().find_map(|output| match output {
            Output::Park { lane, .. } => Some(lane.signal),
            _ => None,
        });
        assert_eq!(went, parked, "metrics are ill: {are_metrics_ill}");
    }
}

/// In SHUTDOWN all that a lane has is tried, whatever is believed of its backend: it keeps its share.
#[test]
fn at_last_others_make_room_for_an_ill_lane() {
    for (is_last, expected, is_evicted) in
        [(false, (false, 0), [Traces, OfMetrics]), (true, (true, 0), [OfMetrics, Traces])]
    {
        let mut world = World::new();
        world.fail(Traces, 500);
        world.accept(OfMetrics, 4_000);
        let mut other = World::new();
        other.fail(Traces, 500);
        assert_eq!(evicted(&mut other), [Traces]);
        // No probe is due.
        other.now = other.now.minus(Duration::from_secs(2));
        other.accept(OfMetrics, 12_000);
        other.park(Traces, 1_000);
        assert_eq!(other.unpark(is_last), expected, "{is_last}");
        world.lanes.is_last = is_last;
        assert_eq!(evicted(&mut world), is_evicted, "{is_last}");
    }
}

/// A batch that could not be written waits again, unless it is larger than memory, or nothing is held any more.
#[test]
fn what_could_not_be_written_waits_where_it_can() {
    let rows = [
        (1_000, false, Unwritten::Readmitted),
        (1_000, true, Unwritten::GivenUp(1)),
        (HELD + 1, false, Unwritten::GivenUp(1)),
        (HELD + 1, true, Unwritten::GivenUp(1)),
    ];
    for (held, is_end, expected) in rows {
        let mut world = World::new();
        world.accept(Traces, held);
        let (lanes, mut effects) = world.parts();
        lanes.park_all(&mut effects);
        assert_eq!(lanes.on_parked(LaneId::of(Traces), None, is_end), Some(expected), "{held} {is_end}");
        let waits = if expected == Unwritten::Readmitted { held } else { 0 };
        assert_eq!(lanes.held_bytes(), waits);
        world.accept(Traces, 200);
        let (lanes, mut effects) = world.parts();
        assert!(!lanes.park_for_room(&mut effects), "the disk is not tried again at once");
    }
}

#[test]
fn there_is_a_lane_for_each_signal_that_goes_anywhere() {
    let destinations = Destinations { metrics: false, ..Destinations::ALL };
    let lanes = Lanes::<()>::new(&Config { destinations, ..Config::default() });
    assert_eq!(Signal::ALL.map(|signal| lanes.of(signal).next().is_some()), [true, false, true]);
}

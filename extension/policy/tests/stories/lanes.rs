//! Three signals, each with a backend of its own: what one costs the others, and what each gives when room runs out.

use std::collections::BTreeMap;

use policy::{
    Agent, BatchId, Bounds, Config, Destinations, DropReason, Duration, EndStatus, Ending, FlushMode, Input,
    Instant, Invoke, Kind, LaneId, Measuring, Notice, Outcome, Output, Parcel, Place, PlatformEvent, Receipt,
    Response, Shutdown, ShutdownReason, Signal, Span, SpoolMode, UnixNanos,
};

use crate::made;
use crate::story::{MS, share};

mod isolated;

const DELIVERED: Outcome = Outcome::Delivered { rejected: 0 };

/// An environment with a disk, whose backends answer when they are told to.
struct World {
    agent: Agent<()>,
    now: u64,
    number: u64,
    asked: u64,
    flying: Vec<(BatchId, u64)>,
    /// What is on disk: items and bytes of each record.
    disk: BTreeMap<u64, (LaneId, Vec<(u32, u32)>)>,
    said: Vec<Notice>,
    has_exited: bool,
}

impl World {
    fn new(config: Config) -> Self {
        Self::with(Config { flush: FlushMode::End, ..config })
    }

    fn with(config: Config) -> Self {
        let agent = Agent::new(Config { measuring: Measuring::OFF, ..config });
        let mut world = Self {
            agent,
            now: 0,
            number: 0,
            asked: 0,
            flying: Vec::new(),
            disk: BTreeMap::new(),
            said: Vec::new(),
            has_exited: false,
        };
        world.hear(Input::Ready);
        world
    }

    fn hear(&mut self, input: Input<()>) {
        self.agent.handle(Instant::from_nanos(self.now), input);
        let mut outputs = 0;
        while let Some(output) = self.agent.poll() {
            outputs += 1;
            assert!(outputs < 500, "it goes on and on: {output:?}");
            let answer = match output {
                Output::Export { id, entries, .. } => {
                    self.flying.push((id, entries.iter().map(|entry| u64::from(entry.count)).sum()));
                    continue;
                }
                Output::Cancel(id) => {
                    self.flying.retain(|(other, _)| *other != id);
                    continue;
                }
                Output::Park { lane, entries } => {
                    self.number += 1;
                    let record = entries.iter().map(|entry| (entry.count, entry.size)).collect();
                    self.disk.insert(self.number, (lane, record));
                    Input::Parked { lane, place: Some(Place(self.number)) }
                }
                Output::Unpark { lane, place } => {
                    let (_, record) = self.disk.remove(&place.0).expect("it is there");
                    Input::Unparked { lane, receipt: self.receipt(lane.signal, &record) }
                }
                Output::Next => {
                    self.asked += 1;
                    continue;
                }
                Output::Say(notice) => {
                    self.said.push(notice);
                    continue;
                }
                Output::Close => Input::Closed,
                Output::Exit => {
                    self.has_exited = true;
                    continue;
                }
                _ => continue,
            };
            self.agent.handle(Instant::from_nanos(self.now), answer);
        }
        for signal in Signal::ALL {
            let books = self.agent.ledger().of(signal);
            assert_eq!(books.held(), self.agent.held_items(signal), "{signal:?}: {books:?}");
        }
    }

    fn receipt(&mut self, signal: Signal, items: &[(u32, u32)]) -> Receipt<()> {
        let (mut spans, mut parcels) = (Vec::new(), Vec::new());
        for (count, size) in items.iter().copied() {
            self.number += 1;
            if signal == Signal::Traces {
                let client = made::span(self.number.to_be_bytes(), None, size, ());
                spans.push(Span { kind: Kind::Client, ..client });
            } else {
                parcels.push(Parcel { signal, count, size, body: () });
            }
        }
        Receipt { spans, parcels }
    }

    /// The function sends items of these sizes.
    fn send(&mut self, signal: Signal, sizes: &[u32]) {
        let items: Vec<_> = sizes.iter().map(|size| (1, *size)).collect();
        let receipt = self.receipt(signal, &items);
        self.hear(Input::Receiving);
        self.hear(Input::Received(receipt));
    }

    fn invoke(&mut self) {
        self.invoke_after(10);
    }

    fn invoke_after(&mut self, ms: u64) {
        self.now += ms * MS;
        self.hear(Input::Invoke(Invoke {
            request_id: format!("r-{}", self.asked).as_str().into(),
            deadline: Instant::from_nanos(self.now) + Duration::from_secs(60),
            deadline_at: UnixNanos(self.now + 60_000 * MS),
            received_at: UnixNanos(self.now),
            arn: "".into(),
            xray: None,
            waited: Duration::from_millis(ms),
        }));
    }

    /// The platform says that the invocation of this number took 5 ms.
    fn tell_done(&mut self, number: u64) {
        let duration = Some(Duration::from_millis(5));
        self.hear(Input::Platform(PlatformEvent::RuntimeDone {
            request_id: format!("r-{number}").as_str().into(),
            at: UnixNanos(self.now),
            ending: Ending { status: EndStatus::Success, error_type: None },
            duration,
            produced_bytes: None,
            response: Response::default(),
        }));
    }

    /// Where handlers are brief, the function says nothing of its end, and data leaves beside the next invocation: then `/next`
    /// is asked as soon as no traces are left to send, which are answered at once.
    fn is_asked_early(&mut self) -> bool {
        let before = self.asked;
        self.invoke_after(20_000);
        self.answer(Signal::Traces, DELIVERED);
        self.asked > before
    }

    /// The function says that it is done.
    fn done(&mut self) {
        self.hear(Input::Flush { request_id: None });
    }

    /// Time passes, with every tick that falls into it.
    fn pass(&mut self, ms: u64) {
        let end = self.now + ms * MS;
        for _ in 0..10_000 {
            let due = self.agent.deadline().map(|due| due.as_nanos()).filter(|due| *due <= end);
            let Some(due) = due.filter(|_| !self.has_exited) else {
                self.now = end;
                return;
            };
            self.now = self.now.max(due);
            self.hear(Input::Tick);
        }
        panic!("it wakes up and does nothing");
    }

    /// The backend of `signal` answers everything that is with it now; how many items that were.
    fn answer(&mut self, signal: Signal, outcome: Outcome) -> u64 {
        let (with_it, others) =
            std::mem::take(&mut self.flying).into_iter().partition(|(id, _)| id.lane.signal == signal);
        self.flying = others;
        let with_it: Vec<(BatchId, u64)> = with_it;
        for (id, _) in &with_it {
            self.hear(Input::Exported { id: *id, outcome, raw_bytes: 1, sent_bytes: 1 });
        }
        with_it.iter().map(|(_, items)| items).sum()
    }

    /// The backend of `signal` refuses until it counts as down.
    fn fall_ill(&mut self, signal: Signal) {
        self.invoke();
        self.send(signal, &[100]);
        for _ in 0..3 {
            self.done();
            self.invoke();
            self.answer(signal, Outcome::Retry { after: None });
        }
        self.done();
        assert!(self.said.contains(&Notice::BackendDown(LaneId::of(signal))), "{:?}", self.said);
    }

    /// Items that are with the backend of each signal.
    fn flying(&self) -> [u64; 3] {
        Signal::ALL.map(|signal| {
            let of = self.flying.iter().filter(|(id, _)| id.lane.signal == signal);
            of.map(|(_, items)| items).sum()
        })
    }

    fn shut_down(&mut self) {
        self.hear(Input::Shutdown(Shutdown {
            reason: ShutdownReason::Spindown,
            deadline: Instant::from_nanos(self.now) + Duration::from_secs(2),
            received_at: UnixNanos(self.now),
            waited: Duration::ZERO,
        }));
    }
}

#[test]
fn an_invocation_is_held_for_traces_and_for_others_only_where_no_traces_are_sent() {
    for traces in [true, false] {
        let destinations = Destinations { traces, ..Destinations::ALL };
        let mut world = World::new(Config { destinations, ..Config::default() });
        world.invoke();
        world.send(Signal::Traces, &[100]);
        world.send(Signal::Metrics, &[100]);
        world.send(Signal::Logs, &[100]);
        world.done();
        assert_eq!((world.flying(), world.asked), ([u64::from(traces), 1, 1], 1), "traces: {traces}");
        if traces {
            world.answer(Signal::Traces, DELIVERED);
        } else {
            world.answer(Signal::Metrics, DELIVERED);
            assert_eq!(world.asked, 1, "logs are under way");
            world.answer(Signal::Logs, DELIVERED);
        }
        assert_eq!(world.asked, 2, "traces: {traces}");
    }
}

/// A probe goes out when it is due, though nothing else happens in a long handler.
#[test]
fn a_probe_is_woken_for_in_a_long_handler() {
    let mut world = World::new(Config::default());
    world.invoke();
    world.send(Signal::Traces, &[100]);
    world.done();
    for _ in 0..3 {
        assert_eq!(world.answer(Signal::Traces, Outcome::Retry { after: None }), 1);
        world.pass(if world.asked == 1 { 160 } else { 0 });
    }
    assert_eq!((world.asked, world.flying()), (2, [0, 0, 0]), "the backend counts as down");
    world.invoke();
    let before = world.flying();
    world.pass(1_000);
    assert_eq!((before, world.flying()), ([0, 0, 0], [1, 0, 0]), "a probe");
}

#[test]
fn a_refusal_is_said_once_for_each_status() {
    let mut world = World::new(Config::default());
    for status in [401, 401, 403] {
        world.invoke_after(61_000);
        world.send(Signal::Traces, &[100]);
        world.done();
        world.answer(Signal::Traces, Outcome::Refused { status });
        world.invoke_after(61_000);
        assert!(world.answer(Signal::Traces, Outcome::Refused { status }) > 0, "it is asked again");
        world.done();
    }
    let statuses: Vec<_> = world
        .said
        .iter()
        .filter_map(|notice| match notice {
            Notice::Refused { lane: LaneId { signal: Signal::Traces, .. }, status } => Some(*status),
            _ => None,
        })
        .collect();
    assert_eq!(statuses, [401, 403]);
}

/// The backend says nothing until the end: what is with it goes to the disk like everything else.
#[test]
fn what_is_under_way_when_shutdown_ends_is_kept_on_disk() {
    let mut world = World::new(Config { spool: SpoolMode::Always, ..Config::default() });
    world.invoke();
    world.send(Signal::Traces, &[100]);
    world.send(Signal::Logs, &[100]);
    world.shut_down();
    world.pass(500);
    assert!(world.flying().iter().sum::<u64>() > 0);
    world.pass(2_000);
    assert!(world.has_exited);
    let kept = |signal: Signal| {
        let of = world.disk.values().filter(|(lane, _)| lane.signal == signal);
        of.map(|(_, record)| record.len() as u64).sum::<u64>()
    };
    for signal in [Signal::Traces, Signal::Logs] {
        let books = world.agent.ledger().of(signal);
        assert_eq!(
            (kept(signal), books.dropped.iter().sum::<u64>()),
            (books.received + books.made, 0),
            "{books:?}"
        );
    }
}

#[test]
fn that_the_cap_is_reached_is_said_once_and_then() {
    let mut world = World::new(Config { cost_cap: Some(Duration::from_millis(150)), ..Config::default() });
    let mut lines = Vec::new();
    for _ in 0..5 {
        world.invoke();
        world.send(Signal::Traces, &[100]);
        world.done();
        world.pass(100);
        world.answer(Signal::Traces, DELIVERED);
        lines.push(world.said.iter().filter(|notice| **notice == Notice::CostCapReached).count());
    }
    assert_eq!(lines, [0, 0, 1, 1, 1]);
}

/// What a backend did not take in its flush waits in memory, and on disk only where an outage is to be outlived there.
#[test]
fn what_waits_after_a_flush_is_on_disk_in_an_outage_only() {
    for (spool, records) in [(SpoolMode::Always, 0), (SpoolMode::Outage, 1), (SpoolMode::Off, 0)] {
        let mut world = World::new(Config { spool, ..Config::default() });
        world.invoke();
        world.send(Signal::Traces, &[100]);
        world.done();
        world.answer(Signal::Traces, Outcome::Retry { after: Some(Duration::from_secs(5)) });
        assert_eq!((world.asked, world.disk.len()), (2, records), "{spool:?}");
    }
}

/// What it began would be frozen at once, and nobody waits for it: it leaves beside the next handler.
#[test]
fn where_no_traces_hold_an_invocation_nothing_else_is_sent_at_its_end() {
    let mut world = World::new(Config::default());
    world.invoke();
    world.send(Signal::Metrics, &[100]);
    world.send(Signal::Logs, &[100]);
    world.done();
    assert_eq!((world.flying(), world.asked), ([0, 0, 0], 2));
    world.invoke();
    assert_eq!(world.flying(), [0, 1, 1]);
}

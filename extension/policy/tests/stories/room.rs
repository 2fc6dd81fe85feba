//! What does not fit: a span larger than all that may be held, and log records that wait for their span.

use std::collections::{BTreeSet, VecDeque};

use crate::made;
use policy::{
    Agent, Bounds, Config, Content, Duration, Entry, FlushMode, Input, Instant, Invoke, Measuring, Outcome,
    Output, Parcel, Place, Receipt, Shutdown, ShutdownReason, Signal, Span, SpanId, SpoolMode, UnixNanos,
};

const MS: u64 = 1_000_000;
/// More outputs than any story here makes that does not go in circles.
const STEPS_MAX: usize = 2_000;

/// An environment with a disk, and a backend that refuses everything at once until it is well.
struct Story {
    agent: Agent<()>,
    now: u64,
    disk: VecDeque<(Place, Vec<Entry<()>>)>,
    places: u64,
    is_well: bool,
    exports: usize,
    /// The ids of spans that were made here.
    made: BTreeSet<SpanId>,
    has_exited: bool,
    steps: usize,
}

impl Story {
    fn new(held_bytes: usize, spool: SpoolMode) -> Self {
        let usual = Config::default();
        let bounds = Bounds { held_bytes, batch_bytes: held_bytes, ..usual.bounds };
        let config = Config { flush: FlushMode::End, measuring: Measuring::OFF, spool, bounds, ..usual };
        let (agent, disk) = (Agent::new(config), VecDeque::new());
        let mut story = Self {
            agent,
            now: 0,
            disk,
            places: 0,
            is_well: false,
            exports: 0,
            made: BTreeSet::new(),
            has_exited: false,
            steps: 0,
        };
        story.hear(Input::Ready);
        story
    }

    fn at(&self, ms: u64) -> Instant {
        Instant::from_nanos(self.now + ms * MS)
    }

    /// Hands `input` over, and carries out what follows from it; the backend takes a millisecond to say no.
    fn hear(&mut self, input: Input<()>) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            self.agent.handle(Instant::from_nanos(self.now), input);
            while let Some(output) = self.agent.poll() {
                self.steps += 1;
                assert!(self.steps < STEPS_MAX, "it goes in circles: {} exports", self.exports);
                inputs.extend(self.carry_out(output));
            }
        }
    }

    fn carry_out(&mut self, output: Output<()>) -> Option<Input<()>> {
        match output {
            Output::Park { lane, entries } => {
                self.places += 1;
                let place = Place(self.places);
                self.disk.push_back((place, entries.to_vec()));
                Some(Input::Parked { lane, place: Some(place) })
            }
            Output::Unpark { lane, place } => {
                let at = self.disk.iter().position(|(there, ..)| *there == place).expect("it was parked");
                let (_, entries) = self.disk.remove(at).expect("found");
                Some(Input::Unparked { lane, receipt: receipt_of(lane.signal, &entries) })
            }
            Output::Export { id, entries, .. } => {
                let made = |entry: &Entry<()>| match &entry.content {
                    Content::Made(span) => Some(span.span_id),
                    _ => None,
                };
                self.made.extend(entries.iter().filter_map(made));
                self.exports += 1;
                self.now += MS;
                let outcome = if self.is_well {
                    Outcome::Delivered { rejected: 0 }
                } else {
                    Outcome::Retry { after: None }
                };
                Some(Input::Exported { id, outcome, raw_bytes: 0, sent_bytes: 0 })
            }
            Output::Close => Some(Input::Closed),
            Output::Exit => {
                self.has_exited = true;
                None
            }
            _ => None,
        }
    }

    /// Lets time pass, with every tick that falls into it.
    fn pass(&mut self, ms: u64) {
        let end = self.at(ms);
        while !self.has_exited {
            match self.agent.deadline().filter(|due| *due <= end) {
                Some(due) => {
                    self.now = self.now.max(due.as_nanos());
                    self.steps += 1;
                    assert!(self.steps < STEPS_MAX, "it ticks in circles: {} exports", self.exports);
                    self.hear(Input::Tick);
                }
                None => break,
            }
        }
        self.now = self.now.max(end.as_nanos());
    }

    fn invoke(&mut self) {
        let (deadline, waited) = (self.at(60_000), Duration::from_millis(10));
        let (deadline_at, received_at) = (UnixNanos(0), UnixNanos(0));
        let (request_id, arn, xray) = ("r-1".into(), "".into(), None);
        self.hear(Input::Invoke(Invoke {
            request_id,
            deadline,
            deadline_at,
            received_at,
            arn,
            xray,
            waited,
        }));
    }

    fn send(&mut self, spans: Vec<Span<()>>) {
        self.hear(Input::Receiving);
        self.hear(Input::Received(Receipt { spans, parcels: Vec::new() }));
    }

    fn log(&mut self, size: u32) {
        let parcel = Parcel { signal: Signal::Logs, count: 1, size, body: () };
        let receipt = Receipt { spans: Vec::new(), parcels: vec![parcel] };
        self.hear(Input::Logged { request_id: Some("r-1".into()), receipt });
    }

    fn shut_down(&mut self) {
        let (deadline, waited) = (self.at(2_000), Duration::from_millis(10));
        let reason = ShutdownReason::Spindown;
        self.hear(Input::Shutdown(Shutdown { reason, deadline, received_at: UnixNanos(0), waited }));
        self.pass(2_000);
        assert!(self.has_exited, "it did not end in its time");
        let ledger = self.agent.ledger();
        for signal in Signal::ALL {
            assert_eq!(ledger.of(signal).held(), self.agent.held_items(signal), "{signal:?}");
        }
    }
}

fn receipt_of(signal: Signal, entries: &[Entry<()>]) -> Receipt<()> {
    if signal == Signal::Traces {
        return Receipt {
            spans: entries.iter().map(|entry| span(entry.size, None)).collect(),
            parcels: Vec::new(),
        };
    }
    let parcel = |entry: &Entry<()>| Parcel { signal, count: entry.count, size: entry.size, body: () };
    Receipt { spans: Vec::new(), parcels: entries.iter().map(parcel).collect() }
}

fn span(size: u32, request_id: Option<&str>) -> Span<()> {
    made::span([2; 8], request_id, size, ())
}

/// It goes to the disk at once, comes back to be sent, and must not come back a thousand times.
#[test]
fn a_span_larger_than_the_bound_is_tried_like_any_other_at_the_end() {
    let mut story = Story::new(10_000, SpoolMode::Always);
    story.invoke();
    story.send(vec![span(50_000, Some("r-1"))]);
    story.pass(1_500);
    let before = story.exports;
    story.shut_down();
    let tries = story.exports - before;
    assert!((2..=12).contains(&tries), "{tries} tries in SHUTDOWN");
    assert_eq!(story.disk.len(), 1, "it is left for the next process");
}

#[test]
fn a_span_larger_than_the_bound_arrives_when_the_backend_is_well() {
    for spool in [SpoolMode::Always, SpoolMode::Outage] {
        let mut story = Story::new(10_000, spool);
        story.invoke();
        story.is_well = true;
        story.send(vec![span(50_000, Some("r-1"))]);
        story.pass(1_500);
        story.shut_down();
        assert_eq!((story.disk.len(), story.agent.ledger().spans.delivered), (0, 1), "{spool:?}");
    }
}

#[test]
fn records_that_wait_count_as_held_and_make_room_like_anything_else() {
    let mut story = Story::new(10_000, SpoolMode::Off);
    story.invoke();
    for _ in 0..50 {
        story.log(1_000);
        assert!(story.agent.held_bytes() <= 10_000, "{} bytes", story.agent.held_bytes());
    }
    assert!(story.agent.held_bytes() > 7_000, "what there is room for waits, by batches");
    story.is_well = true;
    story.send(vec![span(100, Some("r-1"))]);
    story.shut_down();
    let logs = story.agent.ledger().logs;
    assert_eq!(logs.received, 50);
    assert!(logs.delivered >= 7, "{logs:?}");
    assert_eq!(logs.delivered + logs.dropped.iter().sum::<u64>(), 50, "{logs:?}");
}

#[test]
fn two_environments_of_one_snapshot_make_different_ids() {
    let made = |seed: u64| {
        let mut story = Story::new(100_000, SpoolMode::Off);
        story.hear(Input::Restored { seed });
        // The same request id, which no two environments are ever given: only the seed differs.
        story.invoke();
        story.pass(59_000);
        story.shut_down();
        story.made
    };
    assert_eq!((made(1).len(), made(1)), (1, made(1)), "one invocation that nothing is heard of");
    assert_ne!(made(1), made(2));
}

#[test]
fn two_environments_of_one_snapshot_draw_different_numbers() {
    let pauses = |seed: Option<u64>| {
        let mut story = Story::new(100_000, SpoolMode::Off);
        story.is_well = true;
        if let Some(seed) = seed {
            story.hear(Input::Restored { seed });
        }
        story.invoke();
        story.is_well = false;
        story.send(vec![span(100, Some("r-1"))]);
        story.agent.deadline()
    };
    // The pause before the next try is drawn.
    assert_eq!(pauses(None), pauses(None), "two copies of one state do the same");
    assert_ne!(pauses(Some(1)), pauses(Some(2)));
}

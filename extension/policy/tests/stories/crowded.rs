//! Little room: what is larger than all of it, what comes back larger than it went, and what must not wait for ever.

use std::collections::BTreeMap;

use crate::made;
use crate::story::share;
use policy::sampling::Sampling;
use policy::{
    Agent, BOOKKEEPING_BYTES, BatchId, Bounds, Config, DropReason, Duration, FlushMode, Input, Instant,
    Invoke, Kind, LaneId, Measuring, Outcome, Output, Parked, Place, Receipt, Shutdown, ShutdownReason,
    Signal, Span, SpoolMode, UnixNanos,
};

const MS: u64 = 1_000_000;
/// More outputs in one moment are a loop.
const OUTPUTS_MAX: usize = 200;

#[derive(Clone, Debug)]
struct Sized;

impl policy::Body for Sized {}

/// An environment with a disk, whose backend answers when it is told to.
struct Story {
    agent: Agent<Sized>,
    now: u64,
    number: u64,
    disk: BTreeMap<u64, Vec<u32>>,
    /// How much larger a record is when it is read back.
    growth: u32,
    flying: Vec<(BatchId, usize)>,
    sent: u64,
    has_exited: bool,
}

impl Story {
    fn new(spool: SpoolMode, sampling: Sampling, bounds: Bounds) -> Self {
        let (measuring, flush) = (Measuring::OFF, FlushMode::End);
        let config = Config { bounds, spool, sampling, measuring, flush, ..Config::default() };
        let mut story = Self {
            agent: Agent::new(config),
            now: 0,
            number: 0,
            disk: BTreeMap::new(),
            growth: 0,
            flying: Vec::new(),
            sent: 0,
            has_exited: false,
        };
        story.hear(Input::Ready);
        story
    }

    /// Hands `input` over; the disk answers at once.
    fn hear(&mut self, input: Input<Sized>) {
        let mut inputs = std::collections::VecDeque::from([input]);
        let mut outputs = 0;
        while let Some(input) = inputs.pop_front() {
            self.agent.handle(Instant::from_nanos(self.now), input);
            while let Some(output) = self.agent.poll() {
                outputs += 1;
                assert!(outputs < OUTPUTS_MAX, "it goes on and on: {output:?}");
                match output {
                    Output::Export { id, entries, .. } => self.flying.push((id, entries.len())),
                    Output::Cancel(id) => self.flying.retain(|(other, _)| *other != id),
                    Output::Park { lane, entries } => {
                        self.number += 1;
                        self.disk.insert(self.number, entries.iter().map(|entry| entry.size).collect());
                        inputs.push_back(Input::Parked { lane, place: Some(Place(self.number)) });
                    }
                    Output::Unpark { lane, place } => {
                        let sizes = self.disk.remove(&place.0).expect("it was put there");
                        let spans = sizes.into_iter().map(|size| self.span(size + self.growth)).collect();
                        let receipt = Receipt { spans, parcels: Vec::new() };
                        inputs.push_back(Input::Unparked { lane, receipt });
                    }
                    Output::Close => inputs.push_back(Input::Closed),
                    Output::Exit => self.has_exited = true,
                    _ => {}
                }
            }
            let spans = self.agent.ledger().spans;
            assert_eq!(spans.held(), self.agent.held_items(Signal::Traces), "{spans:?}");
        }
    }

    fn span(&mut self, size: u32) -> Span<Sized> {
        self.number += 1;
        made::span(self.number.to_be_bytes(), None, size, Sized)
    }

    fn invoke(&mut self) {
        self.now += 100 * MS;
        self.number += 1;
        let deadline = Instant::from_nanos(self.now) + Duration::from_secs(60);
        self.hear(Input::Invoke(Invoke {
            request_id: format!("request-{}", self.number).as_str().into(),
            deadline,
            deadline_at: UnixNanos(0),
            received_at: UnixNanos(self.now),
            arn: "".into(),
            xray: None,
            waited: Duration::ZERO,
        }));
    }

    fn receive(&mut self, sizes: &[u32]) {
        let spans = sizes.iter().map(|size| self.span(*size)).collect();
        self.hear(Input::Receiving);
        self.hear(Input::Received(Receipt { spans, parcels: Vec::new() }));
    }

    /// The backend answers everything that is with it.
    fn answer(&mut self, outcome: Outcome) {
        for (id, count) in std::mem::take(&mut self.flying) {
            self.sent += if matches!(outcome, Outcome::Delivered { .. }) { count as u64 } else { 0 };
            self.hear(Input::Exported { id, outcome, raw_bytes: 1, sent_bytes: 1 });
        }
    }

    /// SHUTDOWN, with a backend that answers so after a millisecond; how many requests it got.
    fn shut_down(&mut self, outcome: Outcome) -> u64 {
        let deadline = Instant::from_nanos(self.now) + Duration::from_secs(2);
        let received_at = UnixNanos(self.now);
        let (reason, waited) = (ShutdownReason::Spindown, Duration::ZERO);
        self.hear(Input::Shutdown(Shutdown { reason, deadline, received_at, waited }));
        let mut requests = 0;
        while !self.has_exited {
            if self.flying.is_empty() {
                self.now =
                    self.now.max(self.agent.deadline().expect("or else it would wait for ever").as_nanos());
                self.hear(Input::Tick);
            } else {
                requests += self.flying.len() as u64;
                self.now += MS;
                self.answer(outcome);
            }
        }
        requests
    }

    /// Time passes, with the timers in it; how many there were.
    fn pass(&mut self, millis: u64) -> u64 {
        let (until, mut ticks) = (self.now + millis * MS, 0);
        while let Some(due) = self.agent.deadline().filter(|due| due.as_nanos() <= until) {
            self.now = self.now.max(due.as_nanos());
            self.hear(Input::Tick);
            ticks += 1;
            assert!(ticks < 1_000, "it wakes up and does nothing");
        }
        self.now = until;
        ticks
    }

    fn dropped(&self, reason: DropReason) -> u64 {
        self.agent.ledger().spans.dropped_for(reason)
    }
}

const DELIVERED: Outcome = Outcome::Delivered { rejected: 0 };
const TIGHT: Bounds =
    Bounds { held_bytes: 10_000, spooled_bytes: 100_000, batch_bytes: 5_000, batch_items: 64, in_flight: 4 };

#[test]
fn a_span_larger_than_memory_goes_over_the_disk_and_nothing_else_has_to_go_for_it() {
    let mut story = Story::new(SpoolMode::Always, Sampling::default(), TIGHT);
    story.invoke();
    story.receive(&[100, 30_000, 100]);
    assert_eq!(story.disk.len(), 1, "it never was in memory");
    assert!(story.agent.held_bytes() <= TIGHT.held_bytes);
    // The two small ones leave first; then nothing is held, and it is read back to be sent alone.
    story.now += 59_600 * MS;
    story.hear(Input::Tick);
    story.answer(DELIVERED);
    story.invoke();
    assert!(story.disk.is_empty());
    story.answer(DELIVERED);
    assert_eq!(story.agent.ledger().spans.dropped.iter().sum::<u64>(), 0);
    story.shut_down(DELIVERED);
    assert_eq!(story.agent.ledger().spans.delivered, 3 + story.agent.ledger().spans.made);
}

#[test]
fn without_a_spool_it_alone_is_given_up() {
    for spool in [SpoolMode::Off, SpoolMode::Always] {
        let bounds = Bounds { spooled_bytes: 20_000, ..TIGHT };
        let mut story = Story::new(spool, Sampling::default(), bounds);
        story.invoke();
        story.receive(&[100, 30_000, 100]);
        assert_eq!(story.dropped(DropReason::OutboxFull), 1, "{spool:?}");
        assert_eq!(story.agent.held_items(Signal::Traces), 2, "{spool:?}");
    }
}

#[test]
fn in_shutdown_it_is_tried_with_pauses_and_goes_back_to_disk() {
    // A part of the disk is kept for other lanes.
    let bounds = Bounds { spooled_bytes: 120_000, ..TIGHT };
    let mut story = Story::new(SpoolMode::Always, Sampling::default(), bounds);
    story.receive(&[30_000, 40_000]);
    let requests = story.shut_down(Outcome::Retry { after: None });
    assert!((2..20).contains(&requests), "{requests} requests in two seconds");
    assert_eq!((story.disk.len(), story.dropped(DropReason::Shutdown)), (2, 0));
    let mut story = Story::new(SpoolMode::Always, Sampling::default(), bounds);
    story.receive(&[30_000, 40_000]);
    assert_eq!(story.shut_down(DELIVERED), 2);
    assert_eq!((story.disk.len(), story.agent.ledger().spans.delivered), (0, 2));
}

#[test]
fn what_comes_back_larger_than_it_went_is_not_read_again_and_again() {
    let bounds = Bounds { in_flight: 1, batch_bytes: 9_000, ..TIGHT };
    let mut story = Story::new(SpoolMode::Always, Sampling::default(), bounds);
    story.growth = 400;
    story.disk.insert(1, vec![1_000; 8]);
    story.number = 1;
    story.invoke();
    story.receive(&[100]);
    story.invoke();
    assert_eq!(story.flying.len(), 1, "the one request there may be, and it takes its time");
    story.hear(Input::Found(Parked {
        place: Place(1),
        lane: LaneId::of(Signal::Traces),
        count: 8,
        size: 8_000,
    }));
    assert_eq!(
        story.disk.values().map(Vec::len).sum::<usize>(),
        2,
        "it was read, and there was no room for one batch of it"
    );
    while story.agent.held_items(Signal::Traces) > 0 {
        story.now += MS;
        story.answer(DELIVERED);
        assert!(
            !story.flying.is_empty() || story.agent.held_items(Signal::Traces) == 0,
            "it leaves by and by"
        );
    }
    let spans = story.agent.ledger().spans;
    assert_eq!(spans.delivered, spans.received + spans.recovered + spans.made, "{spans:?}");
}

#[test]
fn what_is_only_held_in_case_that_it_failed_does_not_keep_a_record_on_disk() {
    let sampling = share(0.0);
    let mut story = Story::new(SpoolMode::Always, sampling, TIGHT);
    // A whole batch on disk, and a trace in memory of which nobody tells how its invocation ended.
    let size = TIGHT.batch_bytes;
    story.disk.insert(1, vec![size as u32]);
    story.number = 1;
    story.invoke();
    let request_id = Some(format!("request-{}", story.number).as_str().into());
    let mut entry = story.span(TIGHT.held_bytes as u32 - 4_000);
    (entry.kind, entry.request_id) = (Kind::Server, request_id);
    story.hear(Input::Received(Receipt { spans: vec![entry], parcels: Vec::new() }));
    story.hear(Input::Found(Parked { place: Place(1), lane: LaneId::of(Signal::Traces), count: 1, size }));
    assert!(story.agent.held_bytes() + size + BOOKKEEPING_BYTES > TIGHT.held_bytes);
    story.invoke();
    assert_eq!(story.flying.len(), 1, "it is on its way");
    assert_eq!(story.agent.ledger().spans.sampled_out, 1);
}

#[test]
fn a_probe_that_is_due_waits_for_the_pause_of_what_it_would_be() {
    let mut story = Story::new(SpoolMode::Always, Sampling::default(), TIGHT);
    story.invoke();
    story.receive(&[30_000]);
    // Three failures open the breaker, whose first pause is shorter than the one that the backend asks for.
    for _ in 0..3 {
        assert_eq!(story.flying.len(), 1);
        story.answer(Outcome::Retry { after: Some(Duration::from_secs(5)) });
        story.pass(4_900);
        assert!(story.flying.is_empty(), "the backend has asked for patience");
        story.pass(200);
    }
    assert_eq!(story.flying.len(), 1, "the probe");
}

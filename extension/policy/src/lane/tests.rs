//! One lane, told step by step: what it sends in the time there is, what it waits for, and what it holds against its backend.

use super::retry::Outcome;
use super::shelf::{Parked, Place};
use super::*;
use crate::config::Bounds;
use crate::entry::Content;

mod freezing;
mod probing;
mod reading;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const DELIVERED: Outcome = Outcome::Delivered { rejected: 0 };
/// Longer than after it a connection is trusted.
const FREEZE: Duration = Duration::from_secs(30);

struct Rig {
    lane: Lane<()>,
    outputs: VecDeque<Output<()>>,
    ledger: Ledger,
    metrics: Metrics,
    now: Instant,
}

impl Rig {
    /// A lane that an invocation is held for, or is not.
    fn new(holds: bool) -> Self {
        Self::with(&Config::default(), holds)
    }

    fn with(config: &Config, holds: bool) -> Self {
        let lane = Lane::new(LaneId::of(Signal::Traces), config, config.bounds.held_bytes, holds);
        let (outputs, ledger, metrics) = (VecDeque::new(), Ledger::default(), Metrics::new(config));
        Self { lane, outputs, ledger, metrics, now: Instant::default() + SECOND }
    }

    fn parts(&mut self) -> (&mut Lane<()>, Effects<'_, ()>) {
        let effects =
            Effects { outputs: &mut self.outputs, ledger: &mut self.ledger, metrics: &mut self.metrics };
        (&mut self.lane, effects)
    }

    fn accept(&mut self, count: usize, size: u32) {
        let (signal, content) = (Signal::Traces, Content::Received(()));
        let entry = Entry { signal, count: 1, size, is_precious: false, content, stamp: None, shared: None };
        (0..count).for_each(|_| self.lane.accept(self.now, entry.clone()));
    }

    /// What is sent in this window: the name and the entries of each request.
    fn advance(&mut self, window: Window) -> Vec<(BatchId, usize)> {
        self.outputs.clear();
        self.lane.seal();
        let (now, (lane, mut effects)) = (self.now, self.parts());
        lane.advance(now, window, &mut effects);
        let sent = self.outputs.iter().filter_map(|output| match output {
            Output::Export { id, entries, .. } => Some((*id, entries.len())),
            _ => None,
        });
        sent.collect()
    }

    /// One request, beside a handler.
    fn launch(&mut self) -> BatchId {
        self.accept(1, 100);
        self.launch_what_waits().expect("there is something, and a slot for it")
    }

    fn launch_what_waits(&mut self) -> Option<BatchId> {
        let end = self.now + SECOND * 60;
        self.advance(Window::Beside(end)).first().map(|(id, _)| *id)
    }

    fn answer(&mut self, id: BatchId, outcome: Outcome) {
        let answer = Answer { outcome, raw_bytes: 0, sent_bytes: 0 };
        let (now, (lane, mut effects)) = (self.now, self.parts());
        lane.on_exported(now, id, answer, &mut effects);
    }

    /// A wait for the next invocation is over, which begins.
    fn wait(&mut self, waited: Duration) {
        let asked_at = self.now;
        self.now = self.now + waited;
        self.lane.after_wait(asked_at, self.now, waited >= FREEZE, false);
        self.lane.begin_invocation();
    }

    /// The answers that a freeze has swallowed have had their time.
    fn expire(&mut self) {
        self.now = self.now + MS * 250;
        let (now, (lane, mut effects)) = (self.now, self.parts());
        lane.expire(now, &mut effects);
    }

    /// An invocation is over, and may be held for a second: is it?
    fn flush(&mut self, is_put_off: bool) -> bool {
        self.lane.begin_flush(self.now, self.now + SECOND, is_put_off);
        self.advance_held();
        self.lane.is_awaited(self.now)
    }

    fn advance_held(&mut self) -> usize {
        self.outputs.clear();
        let (now, (lane, mut effects)) = (self.now, self.parts());
        lane.advance(now, Window::Held, &mut effects);
        self.outputs.iter().filter(|output| matches!(output, Output::Export { .. })).count()
    }

    /// It is let go of after this time.
    fn end_flush(&mut self, held: Duration, is_cut: bool) {
        self.now = self.now + held;
        let (now, (lane, mut effects)) = (self.now, self.parts());
        lane.end_flush(now, is_cut, &mut effects);
    }

    /// Three failures: the backend counts as down, and what it was sent waits.
    fn go_down(&mut self) {
        let mut id = self.launch();
        for number in 0..3 {
            self.answer(id, Outcome::Retry { after: None });
            if number < 2 {
                self.now = self.now + SECOND;
                id = self.launch_what_waits().expect("its pause is over");
            }
        }
        assert!(!self.lane.is_well());
    }
}

#[test]
fn no_two_lanes_of_an_environment_draw_the_same_pauses() {
    for seed in [0, 7, u64::MAX] {
        let mut drawn = Vec::new();
        for signal in Signal::ALL {
            for destination in 0..3 {
                let mut rng = Lane::<()>::rng(LaneId { signal, destination }, seed);
                drawn.push(rng.below(u64::MAX));
            }
        }
        drawn.sort_unstable();
        drawn.dedup();
        assert_eq!(drawn.len(), 9, "{seed}");
    }
}

#[test]
fn no_more_is_sent_at_once_than_there_is_time_for() {
    let deadline = |rig: &Rig| Window::Beside(rig.now + SECOND * 60);
    // A backend that is 0.4 s away: what the way takes is on top of a second beside a handler.
    let mut rig = Rig::new(true);
    rig.lane.speed.on_answer(100, MS * 400);
    rig.lane.speed.on_answer(100_000, MS * 1_400);
    rig.accept(400, 1_000);
    let sent = rig.advance(deadline(&rig));
    assert!(sent.len() == 1 && (100..=110).contains(&sent[0].1), "{sent:?}");
    // One that takes 5,000 bytes a second, of which a quarter is reserve, and ten seconds for a request.
    let mut rig = Rig::new(true);
    rig.lane.speed.on_none(100_000, SECOND * 10);
    rig.accept(400, 1_000);
    let sent: Vec<_> = rig.advance(Window::Open).into_iter().map(|(_, entries)| entries).collect();
    assert_eq!(sent, [37]);
}

/// A backend that has become faster must be found out, by one request of a flush.
#[test]
fn a_flush_tries_one_request_at_least_and_no_other_if_that_took_all_its_time() {
    let mut rig = Rig::new(true);
    rig.lane.speed.on_none(10_000, SECOND * 10);
    rig.accept(100, 1_000);
    assert!(rig.flush(false));
    let flying: Vec<_> = rig.lane.outbox.flights().iter().map(|flight| flight.batch.id).collect();
    assert_eq!((flying.len(), rig.lane.items_in_flight()), (1, 16));
    rig.answer(flying[0], Outcome::Rejected { status: 400 });
    assert_eq!(rig.advance_held(), 0);
}

#[test]
fn there_are_never_more_requests_under_way_than_may_be() {
    let bounds = Bounds { batch_items: 1, in_flight: 2, ..Config::default().bounds };
    let mut rig = Rig::with(&Config { bounds, ..Config::default() }, true);
    rig.accept(5, 100);
    let sent = rig.advance(Window::Open);
    assert_eq!(sent.len(), 2);
    rig.answer(sent[0].0, DELIVERED);
    assert_eq!(rig.advance(Window::Open).len(), 1);
}

/// What had no answer within a whole flush says how much fits into the next one; what was sent before it does not.
#[test]
fn a_request_that_was_too_much_for_a_flush_makes_the_next_ones_smaller() {
    for (is_of_before, fits) in [(false, 37_500), (true, usize::MAX)] {
        let mut rig = Rig::new(true);
        rig.accept(100, 1_000);
        if is_of_before {
            assert!(rig.launch_what_waits().is_some());
            rig.now = rig.now + MS;
        }
        assert!(rig.flush(false));
        rig.end_flush(SECOND, false);
        assert_eq!(rig.lane.speed.fits(SECOND), fits, "sent before: {is_of_before}");
    }
}

/// In SHUTDOWN: by the time there is and the slowest answer, when a request is given up for another try.
#[test]
fn at_last_a_request_has_half_of_the_time_or_what_others_took_if_that_leaves_any() {
    let rows = [(2_000, 100, 1_000), (2_000, 750, 1_500), (2_000, 1_999, 3_998), (2_000, 2_000, 1_000)];
    for (left_ms, slowest_ms, due_ms) in rows.into_iter().chain([(1, 100, 20), (1, 5, 20), (42, 1, 21)]) {
        let mut rig = Rig::new(true);
        rig.lane.speed.on_answer(1, MS * slowest_ms);
        rig.accept(1, 100);
        let end = rig.now + MS * left_ms;
        assert_eq!(rig.advance(Window::Last(end)).len(), 1);
        assert_eq!(rig.lane.flight_due(), Some(rig.now + MS * due_ms), "{left_ms} ms, {slowest_ms} ms");
    }
}

/// The same of a request that was under way before: it has had its time, however slow answers are.
#[test]
fn at_last_what_was_under_way_before_has_half_of_the_time() {
    for slowest_ms in [100, 600, 1_200, 1_800] {
        let mut rig = Rig::new(true);
        rig.lane.speed.on_answer(1, MS * slowest_ms);
        rig.launch();
        rig.now = rig.now + MS * 5;
        rig.lane.begin_last(rig.now, rig.now + MS * 1_800);
        assert_eq!(rig.lane.flight_due(), Some(rig.now + MS * 900), "{slowest_ms}");
    }
}

/// Two requests at once, of which one is answered at once; another took long before, and there are 1.8 s.
#[test]
fn at_last_a_request_that_others_have_overtaken_has_half_of_the_time() {
    for (is_overtaken, due_ms) in [(true, 900), (false, 1_600)] {
        let bounds = Bounds { batch_items: 1, ..Config::default().bounds };
        let mut rig = Rig::with(&Config { bounds, ..Config::default() }, true);
        rig.lane.speed.on_answer(1, MS * 800);
        rig.accept(2, 100);
        let began = rig.now;
        let sent = rig.advance(Window::Last(began + MS * 1_800));
        rig.now = began + MS * 20;
        if is_overtaken {
            rig.answer(sent[1].0, DELIVERED);
        }
        let stall = rig.lane.speed.stall();
        let acts = rig.lane.outbox.flights().iter().map(|flight| flight.acts_at(stall).since(began));
        assert_eq!(acts.max(), Some(MS * due_ms), "overtaken: {is_overtaken}");
    }
}

#[test]
fn a_new_invocation_ends_pauses_that_we_chose() {
    let mut rig = Rig::new(true);
    let id = rig.launch();
    rig.answer(id, Outcome::Retry { after: None });
    assert_eq!(rig.launch_what_waits(), None, "a pause of 50 ms at the least");
    rig.wait(MS);
    assert_eq!(rig.launch_what_waits(), Some(id));
}

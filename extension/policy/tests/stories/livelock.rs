//! What a freeze cuts off is not sent for ever: answers get a grace, and what was cut off is awaited.

use crate::story::{MS, Story};
use policy::{BatchId, Config, FlushMode, Input, Kind, Outcome, Span};

const DELIVERED: Outcome = Outcome::Delivered { rejected: 0 };

/// An environment whose backend answers after so many milliseconds, and whose freezes swallow answers, or do not.
struct Freezing {
    story: Story,
    backend_ms: u64,
    swallows: bool,
    /// Requests, and when their answers come.
    answers: Vec<(BatchId, u64)>,
    /// Spans that arrived at the backend, by how often.
    requests: u64,
    is_ill: bool,
}

impl Freezing {
    fn new(flush: FlushMode, backend_ms: u64, swallows: bool) -> Self {
        let story = Story::new(Config { flush, ..Config::default() });
        Self { story, backend_ms, swallows, answers: Vec::new(), requests: 0, is_ill: false }
    }

    /// Notes what was sent and what was let go.
    fn look(&mut self) {
        for id in self.story.launched.drain(..) {
            let at = if self.is_ill { u64::MAX } else { self.story.now + self.backend_ms * MS };
            self.answers.retain(|(known, _)| *known != id);
            self.answers.push((id, at));
            self.requests += 1;
        }
        self.answers.retain(|(id, _)| self.story.flying.contains(id));
    }

    /// Time passes until `/next` is asked, or `most` has passed.
    fn run(&mut self, most: u64, ends_with: Option<u64>) {
        let until = self.story.now + most * MS;
        self.look();
        loop {
            let answer = self.answers.iter().map(|(_, at)| *at).min().unwrap_or(u64::MAX);
            let tick = self.story.agent.deadline().map_or(u64::MAX, |due| due.as_nanos());
            let next = answer.min(tick).min(until);
            self.story.now = self.story.now.max(next);
            if next == until && answer > until {
                return;
            }
            if answer <= tick {
                let index = self.answers.iter().position(|(_, at)| *at == answer).expect("it is the first");
                let (id, _) = self.answers.remove(index);
                self.story.flying.retain(|other| *other != id);
                self.story.hear(Input::Exported { id, outcome: DELIVERED, raw_bytes: 1, sent_bytes: 1 });
            } else {
                self.story.hear(Input::Tick);
            }
            self.look();
            if ends_with.is_some_and(|asked| self.story.asked > asked) {
                return;
            }
        }
    }

    /// One invocation, and the freeze after it; how long it was held.
    fn turn(&mut self, handler_ms: u64, gap_ms: u64) -> u64 {
        let asked = self.story.asked;
        self.run(handler_ms, None);
        let own = self.story.entry((self.story.asked % 255) as u8 + 1, self.story.now / MS - handler_ms);
        self.story.receive(vec![own]);
        self.look();
        let ended = self.story.now;
        if self.story.asked == asked {
            self.run(2_000, Some(asked));
        }
        assert_eq!(self.story.asked, asked + 1, "/next is asked");
        let held = (self.story.now - ended) / MS;
        // The answers that come during the freeze.
        let thaw = self.story.now + gap_ms * MS;
        // A machine that sleeps for a second only is sent the same again.
        if self.swallows && gap_ms >= 20_000 {
            self.answers.iter_mut().filter(|(_, at)| *at <= thaw).for_each(|(_, at)| *at = u64::MAX);
        }
        self.answers.iter_mut().for_each(|(_, at)| *at = if *at <= thaw { thaw + MS / 2 } else { *at });
        self.story.invoke_after(gap_ms);
        self.look();
        held
    }

    fn delivered(&self) -> u64 {
        self.story.agent.ledger().spans.delivered
    }
}

const MODES: [FlushMode; 3] = [FlushMode::End, FlushMode::Continuous, FlushMode::Adaptive];

/// Handlers, backends, gaps and freezes in which everything can be acknowledged: what takes longer than a flush may can
/// only be heard after a freeze that does not swallow it.
fn rows() -> Vec<(FlushMode, u64, u64, u64, bool)> {
    let mut rows = Vec::new();
    for mode in MODES {
        for handler in [1, 5, 50] {
            for backend in [5, 20, 90, 1_200] {
                for gap in [1_000, 30_000, 600_000] {
                    rows.push((mode, handler, backend, gap, false));
                    if backend < 1_000 {
                        rows.push((mode, handler, backend, gap, true));
                    }
                }
            }
        }
    }
    rows
}

#[test]
fn a_healthy_backend_has_everything_within_three_invocations_and_hardly_twice() {
    const TURNS: u64 = 40;
    for (mode, handler, backend, gap, swallows) in rows() {
        let row = format!("{mode:?}, handler {handler}, backend {backend}, gap {gap}, swallows {swallows}");
        let mut world = Freezing::new(mode, backend, swallows);
        world.story.invoke();
        for turn in 1..=TURNS {
            world.turn(handler, gap);
            assert!(world.delivered() + 3 >= turn, "{row}: {} of {turn}", world.delivered());
        }
        assert!(world.requests <= 2 * TURNS, "{row}: {} requests", world.requests);
        let resent = world.story.agent.ledger().resent;
        assert!(resent <= TURNS, "{row}: {resent} resent");
        if mode == FlushMode::End || !swallows {
            assert_eq!(resent, 0, "{row}");
        }
    }
}

#[test]
fn a_backend_that_was_ill_is_found_again_within_three_invocations() {
    for (mode, handler, backend, gap, swallows) in rows() {
        let row = format!("{mode:?}, handler {handler}, backend {backend}, gap {gap}, swallows {swallows}");
        let mut world = Freezing::new(mode, backend, swallows);
        world.story.invoke();
        for _ in 0..5 {
            world.turn(handler, gap);
        }
        world.is_ill = true;
        world.turn(handler, gap);
        world.is_ill = false;
        for _ in 0..4 {
            world.turn(handler, gap);
        }
        // An answer that takes longer than the gap is heard two invocations after its request.
        let in_the_pipe = if backend > gap { 4 } else { 2 };
        assert!(world.delivered() + in_the_pipe >= 10, "{row}: {} of 10", world.delivered());
    }
}

#[test]
fn a_backend_that_hangs_costs_less_and_less() {
    let mut world = Freezing::new(FlushMode::End, 20, false);
    world.story.invoke();
    for _ in 0..5 {
        world.turn(5, 30_000);
    }
    world.is_ill = true;
    let held: Vec<_> = (0..200).map(|_| world.turn(5, 30_000)).collect();
    let waits = held.iter().skip(10).filter(|held| **held > 0).count();
    let sum: u64 = held.iter().sum();
    assert!(waits <= 7, "{waits} waits in vain: {held:?}");
    assert!(sum <= 4_000, "{sum} ms: {held:?}");
}

#[test]
fn one_dead_connection_among_healthy_ones_is_left() {
    let bounds = policy::Bounds { batch_items: 1, ..Config::default().bounds };
    let mut story = Story::new(Config { flush: FlushMode::End, bounds, ..Config::default() });
    let mut held = Vec::new();
    for turn in 0..10 {
        story.invoke();
        let began = story.now / MS;
        // Two requests in each flush; one of those of the second is on a connection that is dead.
        story.receive(vec![story.span(200, began, Kind::Client, None), story.entry(turn + 1, began)]);
        assert_eq!(story.flying.len(), 2);
        let dead = if turn == 1 { Some(story.flying.remove(0)) } else { None };
        let (asked, ended) = (story.asked, story.now);
        for _ in 0..400 {
            story.flying.retain(|id| Some(*id) != dead || story.cancelled > 0);
            story.answer();
            if story.asked > asked {
                break;
            }
            story.pass(5);
        }
        held.push((story.now - ended) / MS);
    }
    assert!(held.iter().sum::<u64>() <= 210, "{held:?}");
    assert_eq!(story.agent.ledger().spans.delivered, 20);
    assert_eq!(story.agent.ledger().resent, 1);
}

#[test]
fn a_large_request_is_no_straggler_because_a_small_one_was_answered() {
    for (size, cancelled) in [(1_000_000, 0), (100, 1)] {
        let bounds = policy::Bounds { batch_items: 1, ..Config::default().bounds };
        let mut story = Story::new(Config { flush: FlushMode::End, bounds, ..Config::default() });
        story.invoke();
        let began = story.now / MS;
        let first = Span { size, ..story.span(200, began, Kind::Client, None) };
        story.receive(vec![first, story.entry(1, began)]);
        let large = story.flying.remove(0);
        story.answer();
        story.pass(900);
        assert_eq!(story.cancelled, cancelled, "{size} bytes");
        story.flying.push(large);
    }
}

/// One connection breaks, where nothing is frozen for more than a millisecond. What the next invocations are held for.
#[test]
fn one_broken_connection_costs_continuous_no_time() {
    for mode in [FlushMode::Continuous, FlushMode::Adaptive] {
        let mut world = Freezing::new(mode, 200, false);
        world.story.invoke();
        for _ in 0..40 {
            world.turn(50, 1);
        }
        let before: Vec<_> = (0..20).map(|_| world.turn(50, 1)).collect();
        let id = world.story.flying[0];
        world.story.flying.remove(0);
        world.story.hear(Input::Exported { id, outcome: Outcome::Lost, raw_bytes: 1, sent_bytes: 1 });
        world.look();
        let after: Vec<_> = (0..40).map(|_| world.turn(50, 1)).collect();
        let (before, after): (u64, u64) = (before.iter().sum(), after.iter().sum());
        assert!(
            after <= 2 * before + 200,
            "{mode:?}: held for {before} ms in 20 before, {after} ms in 40 after"
        );
    }
}

/// A backend that is well and takes its time, where no freeze swallows an answer: everything is acknowledged, nothing
/// is sent twice, and `continuous` holds nothing.
#[test]
fn a_backend_that_takes_longer_than_two_seconds_is_no_dead_one() {
    let mut wrong = Vec::new();
    for (mode, takes, gap) in [
        (FlushMode::Continuous, 1_900, 600),
        (FlushMode::Continuous, 2_200, 700),
        (FlushMode::Continuous, 3_000, 100),
        (FlushMode::Continuous, 3_000, 500),
        (FlushMode::Continuous, 3_000, 1_000),
        (FlushMode::Continuous, 5_000, 1_000),
        (FlushMode::Continuous, 8_000, 3_000),
        (FlushMode::Adaptive, 3_000, 100),
        (FlushMode::Adaptive, 5_000, 1_000),
        (FlushMode::End, 3_000, 1_000),
    ] {
        let mut world = Freezing::new(mode, takes, false);
        world.story.invoke();
        let held: u64 = (0..100).map(|_| world.turn(5, gap)).sum();
        let (delivered, resent) = (world.delivered(), world.story.agent.ledger().resent);
        let is_held = held > 0 && mode == FlushMode::Continuous;
        if delivered < 60 || resent > 1 || is_held {
            wrong.push(format!(
                "{mode:?}, {takes} ms, gap {gap}: {delivered} of 100, {resent} resent, held {held} ms, {} requests",
                world.requests
            ));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Five good invocations, 60 of an outage, and 3,000 with a backend that is well again and answers after so many
/// milliseconds: how long those were held, what was delivered in them, and what was sent again.
fn after_an_outage(mode: FlushMode, handler: u64, gap: u64, backend: u64) -> (u64, u64, u64) {
    let mut world = Freezing::new(mode, 20, false);
    world.story.invoke();
    for _ in 0..5 {
        world.turn(handler, gap);
    }
    world.is_ill = true;
    for _ in 0..60 {
        world.turn(handler, gap);
    }
    (world.is_ill, world.backend_ms) = (false, backend);
    let before = (world.delivered(), world.story.agent.ledger().resent);
    let held = (0..3_000).map(|_| world.turn(handler, gap)).sum();
    (held, world.delivered() - before.0, world.story.agent.ledger().resent - before.1)
}

/// A probe is not given up for its age in waits, which may be short.
#[test]
fn a_backend_that_is_well_again_is_found_between_invocations_that_follow_each_other_fast() {
    let mut wrong = Vec::new();
    for (mode, handler, gap, backend) in [
        (FlushMode::Adaptive, 50, 1, 300),
        (FlushMode::Adaptive, 5, 50, 300),
        (FlushMode::Adaptive, 5, 150, 900),
        (FlushMode::End, 50, 1, 300),
        (FlushMode::Continuous, 50, 1, 300),
    ] {
        let (held, delivered, _) = after_an_outage(mode, handler, gap, backend);
        if delivered < 2_000 {
            wrong.push(format!("{mode:?}, handler {handler}, gap {gap}, backend {backend}: {delivered} of 3065, held {held} ms"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// What is on its way for longer than invocations take is not sent again because of that.
#[test]
fn a_backend_that_is_well_again_and_slow_is_not_sent_the_same_over_and_over() {
    let (held, delivered, resent) = after_an_outage(FlushMode::Continuous, 5, 150, 600);
    assert!(
        delivered > 2_000 && resent < 300 && held < 10_000,
        "{delivered} of 3065, {resent} resent, held {held} ms"
    );
}

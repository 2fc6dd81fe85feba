//! One lane, told step by step: what it sends in the time there is, what it waits for, and what it holds against its backend.

use super::retry::Outcome;
use super::shelf::{Parked, Place};
use super::*;
use crate::config::Bounds;
use crate::entry::Content;

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
        let entry = Entry { signal, count: 1, size, is_precious: false, content, stamp: None };
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

/// Where an invocation is held for the answer, that tells whether the backend is there; elsewhere silence has to.
#[test]
fn freezes_that_swallow_every_answer_are_held_against_the_backend_where_nobody_waits_for_it() {
    for (holds, freezes, is_well) in [(false, 3, true), (false, 4, false), (true, 10, true)] {
        let mut rig = Rig::new(holds);
        rig.accept(1, 100);
        for number in 0..freezes {
            assert!(rig.launch_what_waits().is_some(), "{number} of {freezes}");
            rig.wait(FREEZE);
            rig.expire();
        }
        assert_eq!(rig.lane.is_well(), is_well, "{freezes} freezes, held for: {holds}");
    }
}

#[test]
fn a_request_is_cut_off_by_a_long_freeze_or_where_others_are_answered_or_by_a_long_silence() {
    let rows = [
        // a long freeze, overtaken, waits before, the latest answer after a freeze and silence in ms: cut off
        (true, false, 0, None, 1_000, true),
        (false, true, 0, None, 1_000, true),
        (false, false, 1, None, 10_000, true),
        (false, false, 1, None, 9_999, false),
        (false, false, 0, None, 10_000, false),
        (false, false, 0, None, 1_000, false),
        (false, false, 1, Some(20_000), 10_000, true),
        (false, false, 1, Some(20_000), 9_999, false),
        // At the end of its grace of 100 ms it is later than any was.
        (false, false, 0, Some(1_100), 1_001, true),
        (false, false, 0, Some(1_100), 1_000, false),
        (false, false, 0, Some(1_100), 999, false),
    ];
    for (is_long, is_overtaken, waits, latest_ms, silence_ms, is_cut_off) in rows {
        let mut rig = Rig::new(true);
        if let Some(ms) = latest_ms {
            rig.lane.speed.on_thawed(MS * ms, MS);
        }
        rig.launch();
        for flight in rig.lane.outbox.flights_mut().iter_mut() {
            (flight.is_overtaken, flight.waits) = (is_overtaken, waits);
        }
        let now = rig.now + MS * silence_ms;
        rig.lane.after_wait(rig.now, now, is_long, false);
        let graces: Vec<_> =
            rig.lane.outbox.flights().iter().map(|flight| flight.grace_end.is_some()).collect();
        assert_eq!(graces, [is_cut_off], "{is_long} {is_overtaken} {waits} {latest_ms:?} {silence_ms}");
    }
}

#[test]
fn a_probe_is_waited_for_only_after_a_freeze_that_has_cut_one_off() {
    let mut rig = Rig::new(true);
    rig.go_down();
    rig.now = rig.now + SECOND;
    assert!(rig.launch_what_waits().is_some(), "a probe");
    assert!(!rig.flush(false));
    rig.wait(MS * 10);
    assert!(!rig.flush(false), "a short wait cuts nothing off");
    rig.wait(FREEZE);
    assert!(rig.flush(false));
}

/// Each wait in vain doubles the number of invocations that do not wait for their probe, and only a wait does.
#[test]
fn a_backend_that_hangs_is_waited_for_ever_more_rarely() {
    let mut rig = Rig::new(true);
    rig.go_down();
    rig.now = rig.now + SECOND;
    let mut waits = Vec::new();
    for number in 0..40 {
        assert!(rig.launch_what_waits().is_some(), "a probe in invocation {number}");
        let is_held = rig.flush(false);
        if is_held {
            waits.push(number);
        }
        let held = if is_held { rig.lane.flush.end.since(rig.now) } else { Duration::ZERO };
        rig.end_flush(held, false);
        rig.wait(FREEZE);
        rig.expire();
    }
    assert_eq!(waits, [1, 3, 6, 11, 20, 37]);
}

/// The answer to a probe that is waited for brings the rest back at once, unless that is put off anyway.
#[test]
fn a_probe_that_is_answered_in_a_flush_is_followed_by_the_rest() {
    for (is_put_off, follow) in [(false, 1), (true, 0)] {
        let mut rig = Rig::new(true);
        rig.go_down();
        rig.now = rig.now + SECOND;
        let probe = rig.launch_what_waits().expect("a probe");
        rig.wait(FREEZE);
        rig.accept(1, 100);
        assert!(rig.flush(is_put_off));
        rig.answer(probe, DELIVERED);
        assert_eq!(rig.advance_held(), follow, "put off: {is_put_off}");
        assert_eq!(rig.lane.is_awaited(rig.now), follow > 0);
    }
}

/// It would be frozen at once: it goes out beside the next handler.
#[test]
fn a_probe_that_is_due_when_an_invocation_ends_is_not_sent_then() {
    let mut rig = Rig::new(true);
    rig.go_down();
    rig.now = rig.now + SECOND;
    assert!(!rig.flush(false));
    assert_eq!(rig.advance_held(), 0);
    assert!(rig.launch_what_waits().is_some());
}

#[test]
fn after_a_freeze_that_has_swallowed_an_answer_fifteen_flushes_wait_for_theirs() {
    let mut rig = Rig::new(true);
    rig.launch();
    rig.wait(FREEZE);
    rig.expire();
    let again = rig.launch_what_waits().expect("it is sent again");
    rig.answer(again, DELIVERED);
    let mut held = 0;
    for _ in 0..20 {
        let id = rig.launch();
        held += u32::from(rig.flush(true));
        rig.answer(id, DELIVERED);
        rig.end_flush(Duration::ZERO, false);
        rig.wait(MS);
    }
    assert_eq!(held, 15, "of flushes whose data may leave beside the next invocation");
}

/// The grace ends in the moment in which the invocation does: what the freeze has cut off is sent again, and nothing else.
#[test]
fn a_flush_whose_data_is_put_off_sends_what_a_freeze_has_cut_off() {
    let mut rig = Rig::new(true);
    let cut_off = rig.launch();
    rig.wait(FREEZE);
    rig.now = rig.now + MS;
    rig.accept(1, 100);
    rig.expire();
    rig.lane.seal();
    assert!(rig.flush(true));
    let flying: Vec<_> = rig.lane.outbox.flights().iter().map(|flight| flight.batch.id).collect();
    assert_eq!(flying, [cut_off]);
}

/// It is sent again 250 ms after the thaw, and awaited for 300 ms from then on, which nothing else that happens makes longer.
#[test]
fn what_is_sent_again_late_in_a_flush_has_its_time_and_nothing_else_has() {
    let mut rig = Rig::new(true);
    rig.launch();
    rig.wait(FREEZE);
    let thawed = rig.now;
    assert!(rig.flush(true));
    assert_eq!(rig.lane.flush.end, thawed + MS * 400, "the grace, and the time for an answer");
    rig.expire();
    for sent in [1, 0, 0] {
        assert_eq!((rig.advance_held(), rig.lane.flush.end), (sent, thawed + MS * 550));
        rig.now = rig.now + MS * 100;
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

/// The backend counts as down, and has asked for five seconds: the probe goes out when these are over, and not later.
#[test]
fn a_probe_waits_for_as_long_as_the_backend_has_asked_and_not_longer() {
    let mut rig = Rig::new(true);
    let flying = [rig.launch(), rig.launch(), rig.launch()];
    flying.into_iter().for_each(|id| rig.answer(id, Outcome::Retry { after: Some(SECOND * 5) }));
    assert!(!rig.lane.is_well());
    let asked_until = rig.now + SECOND * 5;
    assert_eq!(rig.lane.probe_due(), Some(asked_until));
    while rig.launch_what_waits().is_none() {
        rig.now = rig.now + MS * 100;
    }
    assert_eq!(rig.now, asked_until);
}

/// Three flushes that end without the answer they wait for; `is_cut`: by our own cap.
#[test]
fn a_flush_in_vain_is_held_against_a_backend_that_had_its_time_and_was_waited_for() {
    let rows = [
        // held for it, put off, cut by the cap: well
        (true, false, false, false),
        (true, false, true, true),
        (true, true, false, false),
        (true, true, true, true),
        (false, true, false, true),
    ];
    for (holds, is_put_off, is_cut, is_well) in rows {
        let mut rig = Rig::new(holds);
        rig.launch();
        if is_put_off {
            // What a freeze has cut off is waited for all the same.
            rig.wait(FREEZE);
        }
        for _ in 0..3 {
            let is_held = rig.flush(is_put_off);
            assert_eq!(is_held, holds);
            let held = if is_held { rig.lane.flush.end.since(rig.now) } else { SECOND };
            rig.end_flush(held, is_cut);
        }
        assert_eq!(rig.lane.is_well(), is_well, "{holds} {is_put_off} {is_cut}");
    }
}

#[test]
fn an_empty_lane_has_done_its_best_whatever_it_rested_for() {
    let mut rig = Rig::new(true);
    let end = rig.now + SECOND;
    rig.lane.shelf.rest_until(Some(rig.now + MS));
    assert!(rig.lane.has_done_its_best(end), "it rests, and has nothing");
    let (lane, place) = (rig.lane.id(), Place(1));
    rig.lane.on_found(Parked { place, lane, count: 1, size: 100 });
    assert!(!rig.lane.has_done_its_best(end), "it goes on reading in time");
    assert!(rig.lane.has_done_its_best(rig.now + MS), "when the time is over, it does not");
}

/// Whether a record that is on disk is wanted now, and whether to find out how the backend is.
fn wants(rig: &mut Rig, is_last: bool) -> Option<bool> {
    rig.lane.wants_record(rig.now, is_last).map(|wanted| wanted.is_probe)
}

fn find(rig: &mut Rig, count: u64) {
    let (lane, place) = (rig.lane.id(), Place(1));
    rig.lane.on_found(Parked { place, lane, count, size: 100 });
}

#[test]
fn a_record_is_read_back_one_at_a_time_and_not_while_the_backend_wants_to_be_left_alone() {
    let mut rig = Rig::new(true);
    find(&mut rig, 1);
    find(&mut rig, 1);
    assert_eq!(wants(&mut rig, false), Some(false));
    let id = rig.launch();
    assert_eq!(wants(&mut rig, false), Some(false), "beside what is under way");
    rig.answer(id, Outcome::Retry { after: Some(SECOND * 5) });
    assert_eq!(wants(&mut rig, false), None);
    rig.now = rig.now + SECOND * 5;
    assert_eq!(wants(&mut rig, false), Some(false));
    let (lane, mut effects) = rig.parts();
    lane.unpark(&mut effects);
    assert_eq!(wants(&mut rig, false), None, "one is being read");
}

#[test]
fn while_the_backend_is_down_a_record_is_read_back_as_a_probe_or_at_last() {
    let mut rig = Rig::new(true);
    rig.go_down();
    find(&mut rig, 1);
    rig.now = rig.now + SECOND;
    assert_eq!(
        [false, true].map(|is_last| wants(&mut rig, is_last)),
        [None, None],
        "what waits is the probe"
    );
    let mut rig = Rig::new(true);
    rig.go_down();
    let (lane, mut effects) = rig.parts();
    assert!(lane.park_oldest(false, &mut effects) && lane.on_parked(Some(Place(1))).is_none());
    assert_eq!([false, true].map(|is_last| wants(&mut rig, is_last)), [None, Some(false)]);
    rig.now = rig.now + SECOND;
    assert_eq!(wants(&mut rig, false), Some(true));
}

#[test]
fn a_lane_with_nothing_on_disk_does_not_wake_to_read() {
    let mut rig = Rig::new(true);
    let id = rig.launch();
    rig.answer(id, Outcome::Retry { after: Some(SECOND * 5) });
    assert_eq!((wants(&mut rig, false), rig.lane.rest_ends()), (None, None));
    find(&mut rig, 1);
    assert_eq!((wants(&mut rig, false), rig.lane.rest_ends()), (None, Some(rig.now + SECOND * 5)));
}

#[test]
fn only_a_record_of_which_something_is_missing_is_told_of() {
    for (read, told) in [(3, 0), (2, 1)] {
        let mut rig = Rig::new(true);
        find(&mut rig, 3);
        let (lane, mut effects) = rig.parts();
        lane.unpark(&mut effects);
        assert!(lane.on_read(read, &mut effects).is_some());
        let lines =
            rig.outputs.iter().filter(|output| matches!(output, Output::Say(Notice::SpoolUnreadable(_))));
        assert_eq!(lines.count(), told, "{read} of 3");
    }
}

/// The backend may have what was sent three times, and never have been asked for the rest.
#[test]
fn a_probe_takes_what_was_sent_least_often() {
    let bounds = Bounds { batch_items: 1, ..Config::default().bounds };
    let mut rig = Rig::with(&Config { bounds, ..Config::default() }, true);
    rig.go_down();
    rig.accept(1, 200);
    rig.now = rig.now + SECOND;
    assert!(rig.launch_what_waits().is_some(), "a probe");
    let sizes: Vec<_> = rig.lane.outbox.flights().iter().map(|flight| flight.batch.size).collect();
    assert_eq!(sizes, [200]);
}

//! A backend that counts as down: when it is probed, and how often an invocation waits for the answer.

use super::*;

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

/// The first one waits for a second in vain, or is answered in part.
#[test]
fn a_flush_in_vain_makes_the_next_ones_short_until_the_backend_answers() {
    for (holds, is_answered, second_ms) in [(true, false, 300), (true, true, 1_000), (false, false, 1_000)] {
        let mut rig = Rig::new(holds);
        let hanging = rig.launch();
        if is_answered {
            let other = rig.launch();
            assert!(rig.flush(false));
            rig.answer(other, DELIVERED);
        } else {
            rig.flush(false);
        }
        rig.end_flush(SECOND, false);
        let ends = |rig: &mut Rig| {
            rig.flush(false);
            rig.lane.flush.end.since(rig.now)
        };
        assert_eq!(ends(&mut rig), MS * second_ms, "{holds} {is_answered}");
        rig.answer(hanging, DELIVERED);
        assert_eq!(ends(&mut rig), SECOND, "it has answered");
    }
}

/// What is under way is not sent again: the backend may be slow.
#[test]
fn when_flushes_in_vain_show_that_it_is_down_the_oldest_request_is_the_probe() {
    let mut rig = Rig::new(true);
    let oldest = rig.launch();
    for _ in 0..3 {
        rig.now = rig.now + MS;
        rig.launch();
        assert!(rig.flush(false));
        let held = rig.lane.flush.end.since(rig.now);
        rig.end_flush(held, false);
    }
    assert!(!rig.lane.is_well());
    let lines = rig.outputs.iter().filter(|output| matches!(output, Output::Say(Notice::BackendDown(_))));
    assert_eq!(lines.count(), 1);
    let probes: Vec<_> =
        rig.lane.outbox.flights().iter().map(|flight| (flight.batch.id, flight.is_probe)).collect();
    assert_eq!((probes.len(), probes.iter().filter(|(_, is_probe)| *is_probe).count()), (4, 1));
    assert!(probes.contains(&(oldest, true)), "{probes:?}");
    rig.answer(oldest, DELIVERED);
    assert!(rig.lane.is_well());
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

/// Three requests under way, and flushes in vain: the oldest is the probe. Whatever becomes of another request, no second probe is
/// sent beside it. When the oldest is given up, the next probe is sent.
#[test]
fn while_a_probe_is_under_way_no_other_request_sends_a_second_one() {
    for outcome in [Outcome::Lost, Outcome::Retry { after: None }] {
        let mut rig = Rig::new(true);
        let [oldest, other, ..] = [(); 3].map(|()| {
            rig.now = rig.now + MS;
            rig.launch()
        });
        for _ in 0..3 {
            assert!(rig.flush(false));
            let held = rig.lane.flush.end.since(rig.now);
            rig.end_flush(held, false);
        }
        assert!(!rig.lane.is_well());
        rig.answer(other, outcome);
        rig.now = rig.now + SECOND;
        assert_eq!(rig.launch_what_waits(), None, "{outcome:?}");
        rig.now = rig.now + SECOND * 10;
        rig.expire();
        rig.now = rig.now + SECOND * 60;
        assert!(rig.launch_what_waits().is_some(), "{outcome:?}: {oldest:?} was given up");
    }
}

/// A refusal sets when the next probe is sent. What was under way as one before is none any more.
#[test]
fn after_a_refusal_what_was_a_probe_before_sends_no_second_one() {
    // `None`: it is without an answer for too long.
    for outcome in [Some(Outcome::Lost), Some(Outcome::Retry { after: None }), None] {
        let mut rig = Rig::new(true);
        let [oldest, other] = [(); 2].map(|()| rig.launch());
        for _ in 0..3 {
            assert!(rig.flush(false));
            let held = rig.lane.flush.end.since(rig.now);
            rig.end_flush(held, false);
        }
        rig.answer(other, Outcome::Refused { status: 401 });
        rig.now = rig.now + SECOND * 60;
        let probe = rig.launch_what_waits();
        assert!(probe.is_some(), "a minute is over");
        rig.accept(1, 100);
        match outcome {
            Some(outcome) => rig.answer(oldest, outcome),
            None => {
                (0..5).for_each(|_| rig.wait(MS));
                let (now, (lane, mut effects)) = (rig.now, rig.parts());
                lane.end_stale(now, &mut effects);
            }
        }
        let is_over = rig.lane.outbox.flights().iter().all(|flight| flight.batch.id != oldest);
        assert!(is_over, "{outcome:?}");
        rig.now = rig.now + SECOND;
        assert_eq!(rig.launch_what_waits(), None, "{outcome:?}: {probe:?} is under way");
    }
}

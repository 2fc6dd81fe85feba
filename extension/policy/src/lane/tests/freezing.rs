//! Requests that a freeze has cut off: when they are sent again, and what that says of the backend.

use super::*;

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

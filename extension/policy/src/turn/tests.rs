//! The rule about `/next` as a table: every phase, and what bears on it.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::*;
use crate::platform::ShutdownReason;
use crate::time::UnixNanos;

fn ms(ms: u64) -> Instant {
    Instant::from_nanos(ms * 1_000_000)
}

/// Until 900 an invocation is waited for, and 100 for what is being received when something has told of its end.
fn running(done_since: Option<u64>) -> Turn {
    Turn::Running(Running { done_since: done_since.map(ms), give_up_at: ms(900) })
}

/// Must end at 500; the platform's last words are waited for until 200.
fn draining(gate: Gate, is_open: bool) -> Turn {
    let shutdown = Shutdown {
        reason: ShutdownReason::Spindown,
        deadline: ms(600),
        received_at: UnixNanos(0),
        waited: Duration::ZERO,
    };
    let shutdown = is_open.then_some(shutdown);
    Turn::Draining(Draining { shutdown, deadline: ms(600), end: ms(500), last_words_end: ms(200), gate })
}

/// What is done at `now`, with those of the facts that are named.
fn decide(turn: &Turn, now: u64, named: &str) -> Decision {
    let is = |name: &str| named.split(' ').any(|word| word == name);
    turn.decide(&Facts {
        now: ms(now),
        is_receiving: is("receiving"),
        freezes: !is("awake"),
        needs_no_end: is("needs-no-end"),
        is_awaited: is("awaited"),
        is_all_told: is("told"),
        is_all_tried: is("tried"),
        is_disk_busy: is("busy"),
    })
}

#[test]
fn what_is_done_next_is_as_the_table_says() {
    use Decision::{Ask, Close, Exit, Flush, Leave, Shut, Wait};
    let starting = |is_ready| Turn::Starting(Starting { is_ready });
    let waiting = || Turn::Waiting(Waiting::default());
    let flushing = || Turn::Flushing(Flushing::at(ms(0)));
    let (open, closing, closed, leaving) = (Gate::Open, Gate::Closing, Gate::Closed, Gate::Leaving);
    let rows: Vec<(Turn, u64, &str, Decision)> = alloc::vec![
        (starting(false), 0, "", Wait),
        (starting(true), 0, "", Ask),
        (waiting(), 9_999, "told tried needs-no-end", Wait),
        // An invocation runs, and nothing has told of its end.
        (running(None), 0, "", Wait),
        (running(None), 899, "told tried", Wait),
        (running(None), 900, "receiving", Flush),
        (running(None), 10, "needs-no-end", Ask),
        (running(None), 0, "awake", Ask),
        (running(None), 0, "awake receiving", Ask),
        // Something has.
        (running(Some(50)), 50, "", Flush),
        (running(Some(50)), 50, "needs-no-end", Flush),
        (running(Some(50)), 50, "awake", Ask),
        (running(Some(50)), 50, "receiving", Wait),
        (running(Some(50)), 900, "receiving", Flush),
        (flushing(), 9_999, "awaited", Wait),
        (flushing(), 0, "", Ask),
        // SHUTDOWN: what is open is closed when nothing more is told of it, and none of the function's data is on its way.
        (draining(open, true), 0, "", Wait),
        (draining(open, true), 0, "tried", Wait),
        (draining(open, true), 0, "told", Close),
        (draining(open, true), 0, "told receiving", Wait),
        (draining(open, true), 199, "told receiving", Wait),
        (draining(open, true), 200, "receiving", Close),
        (draining(open, true), 500, "receiving", Close),
        (draining(closed, true), 0, "told", Close),
        // Then the function is heard out, while there is something to try and time for it.
        (draining(open, false), 0, "", Wait),
        (draining(open, false), 0, "tried", Shut),
        (draining(open, false), 499, "receiving", Wait),
        (draining(open, false), 500, "receiving", Shut),
        (draining(closing, false), 9_999, "told tried", Wait),
        (draining(closed, false), 0, "", Wait),
        (draining(closed, false), 0, "tried", Leave),
        (draining(closed, false), 500, "", Leave),
        // And what is left goes to the disk.
        (draining(leaving, false), 9_999, "tried busy", Wait),
        (draining(leaving, false), 0, "", Exit),
        (Turn::Exited, 9_999, "told tried needs-no-end", Wait),
    ];
    let wrong: Vec<String> = rows
        .iter()
        .filter(|(turn, now, named, expected)| decide(turn, *now, named) != *expected)
        .map(|(turn, now, named, expected)| {
            format!("{turn:?} at {now} with {named:?}: {:?}, not {expected:?}", decide(turn, *now, named))
        })
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn what_is_of_another_phase_is_not_looked_at() {
    let flags = ["receiving", "awake", "needs-no-end", "awaited", "told", "tried", "busy"]
        .map(|name| format!(" {name}"));
    // By phase: which of the facts change what is done, whatever else is so.
    let rows = [
        (Turn::Waiting(Waiting::default()), &[][..]),
        (running(None), &["awake", "needs-no-end"]),
        (running(Some(50)), &["receiving", "awake", "needs-no-end"]),
        (Turn::Flushing(Flushing::at(ms(0))), &["awaited"]),
        (draining(Gate::Open, true), &["receiving", "told"]),
        (draining(Gate::Closed, false), &["tried"]),
        (draining(Gate::Leaving, false), &["busy"]),
    ];
    for (turn, expected) in rows {
        let mut matter = Vec::new();
        for (index, flag) in flags.iter().enumerate() {
            let others = |bits: u32| -> String {
                let others = (0..7).filter(|other| *other != index && bits & (1 << other) != 0);
                others.map(|other| flags[other].as_str()).collect()
            };
            let changes = |bits| {
                let others = others(bits);
                decide(&turn, 50, &others) != decide(&turn, 50, &format!("{others}{flag}"))
            };
            if (0..128).any(changes) {
                matter.push(flag.trim());
            }
        }
        assert_eq!(matter, expected, "{turn:?}");
    }
}

#[test]
fn what_is_being_received_has_its_time_once() {
    let Turn::Running(told) = running(Some(50)) else { unreachable!() };
    let Turn::Running(untold) = running(None) else { unreachable!() };
    for (running, receiving, over_at, overdue_from) in
        [(told, true, 150, 150), (told, false, 900, 150), (untold, true, 900, 900), (untold, false, 900, 900)]
    {
        assert_eq!(running.over_at(receiving), ms(over_at));
        assert!(!running.is_overdue(ms(overdue_from - 1)) && running.is_overdue(ms(overdue_from)));
    }
    let mut reception = Reception::default();
    let mut seen = Vec::new();
    let mut note = |reception: &Reception| seen.push((reception.is_under_way(), reception.is_any()));
    reception.begin();
    note(&reception);
    reception.stall();
    note(&reception);
    reception.begin();
    note(&reception);
    reception.end();
    note(&reception);
    reception.end();
    note(&reception);
    assert_eq!(seen, [(true, true), (false, true), (true, true), (false, true), (false, false)]);
}

#[test]
fn phases_are_entered_by_what_leads_to_them() {
    let mut turn = Turn::Starting(Starting::default());
    assert!(turn.takes(Event::Ready) && !turn.takes(Event::Invoke));
    turn.enter(Event::Ready, Turn::Waiting(Waiting { is_early: true }));
    turn.enter(Event::Invoke, running(None));
    assert!(turn.takes(Event::Invoke), "the platform has moved on, whatever we believed");
    turn.enter(Event::Done, Turn::Flushing(Flushing::at(ms(7))));
    assert_eq!(turn.flushing().map(|flushing| (flushing.began, flushing.end)), Some((ms(7), ms(7))));
    assert!(!turn.is_closed() && !turn.is_leaving());
    turn.enter(Event::Shutdown, draining(Gate::Open, true));
    assert!(!turn.is_closed() && !turn.takes(Event::Invoke));
    turn = draining(Gate::Leaving, false);
    assert!(turn.is_closed() && turn.is_leaving());
}

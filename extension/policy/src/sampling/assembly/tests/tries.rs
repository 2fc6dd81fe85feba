//! Several tries under one request id: each is judged by what is known of itself.

use super::*;

#[test]
fn what_is_said_of_an_earlier_try_is_no_word_on_the_one_that_runs() {
    let mut assembly = assembly();
    begin(&mut assembly, 0, "a");
    add(&mut assembly, at(1), item(1, 1, false), Some(&id("a")));
    assembly.judge(at(2), None, |_| true);
    begin(&mut assembly, 60_000, "a");
    add(&mut assembly, at(60_001), item(2, 60_000_000_060, false), Some(&id("a")));
    assembly.judge(at(60_002), None, |_| true);
    assert_eq!(assembly.count(), 2);
    assembly.learn_of_earlier_try(Instant::default(), &id("b"), Some(Decision::Crash));
    assert_eq!(ruled(&mut assembly), (0, 0));
    assembly.learn_of_earlier_try(Instant::default(), &id("a"), Some(Decision::Crash));
    assert_eq!((ruled(&mut assembly), assembly.count()), ((1, 0), 1));
    assert!(assembly.fragments.get(trace(2)).is_some());
    // What comes late of it is of it, and what is said of the one that runs now is no word on that.
    add(&mut assembly, at(60_003), item(3, 2, false), Some(&id("a")));
    assembly.judge(at(60_004), None, |_| true);
    assert_eq!(ruled(&mut assembly), (1, 0));
    assembly.learn(Instant::default(), Circumstances { is_final: true, ..told("a") });
    assert_eq!((ruled(&mut assembly), assembly.count()), ((0, 1), 0));
}

#[test]
fn a_late_part_of_an_earlier_try_goes_its_way() {
    let mut assembly = assembly();
    begin(&mut assembly, 0, "a");
    add(&mut assembly, at(1), item(1, 1, false), Some(&id("a")));
    assembly.learn(Instant::default(), Circumstances { is_final: true, ..told("a") });
    assembly.judge(at(2), None, |_| true);
    assert_eq!(ruled(&mut assembly), (0, 1));
    begin(&mut assembly, 60_000, "a");
    add(&mut assembly, at(60_001), item(1, 1, false), Some(&id("a")));
    assert_eq!((ruled(&mut assembly), assembly.count()), ((0, 1), 0));
}

#[test]
fn what_is_said_of_a_try_when_the_next_one_runs_is_said_of_the_first() {
    let mut assembly = assembly();
    let (failure, is_final) = (Some(Decision::Crash), true);
    begin(&mut assembly, 0, "a");
    add(&mut assembly, at(1), item(1, 1, false), Some(&id("a")));
    assembly.judge(at(2), None, |_| true);
    begin(&mut assembly, 60_000, "a");
    add(&mut assembly, at(60_001), item(2, 60_000_000_060, false), Some(&id("a")));
    assembly.judge(at(60_002), None, |_| true);
    assembly
        .learn(Instant::default(), Circumstances { at: Some(UnixNanos(0)), failure, is_final, ..told("a") });
    assert_eq!((ruled(&mut assembly), assembly.count()), ((1, 0), 1), "that has failed");
    assembly.learn(
        Instant::default(),
        Circumstances { at: Some(UnixNanos(60_000_000_000)), is_final, ..told("a") },
    );
    assert_eq!((ruled(&mut assembly), assembly.count()), ((0, 1), 0), "and this one has not");
}

//! In which order waiting traces become ready, are settled, and are given up.

use super::*;
use crate::sampling::{Decision, Randomness, Threshold};
use crate::span::{Kind, Span, SpanId};

fn trace(number: u8) -> TraceId {
    TraceId::new([number; 16]).expect("not zero")
}

fn at(seconds: u64) -> Instant {
    Instant::from_nanos(seconds * 1_000_000_000)
}

/// A span of this trace that begins then.
fn item(trace_id: u8, start: u64) -> Item<()> {
    Item::Received(Span {
        trace_id: trace(trace_id),
        span_id: SpanId::new([1; 8]).expect("not zero"),
        parent: None,
        parent_is_remote: None,
        kind: Kind::Client,
        start: UnixNanos(start),
        end: UnixNanos(start),
        is_error: false,
        request_id: None,
        size: 100,
        body: (),
    })
}

fn doubt(seconds: u64, begun: u64) -> Option<Doubt> {
    let verdict = Verdict {
        decision: Decision::Unsampled,
        rule: None,
        threshold: Threshold::ALWAYS,
        randomness: Randomness::LEAST,
        is_counted: false,
        routes: crate::Routes::FIRST,
    };
    Some(Doubt { verdict, begun, at: at(seconds) })
}

/// Traces 1 to 4, each a second later than the one before: of `a`, of `b` and of none; 3 and 4 are in doubt.
fn fragments() -> Fragments<()> {
    let mut fragments = Fragments::new();
    for (number, invocation) in [(1, Some("a")), (2, None), (3, Some("b")), (4, None)] {
        let invocation = invocation.map(RequestId::from);
        fragments.push(at(number.into()), item(number, number.into()), invocation.as_ref());
        fragments.push(at(90), item(number, 50), Some(&"x".into()));
        if number > 2 {
            let invocations = invocation.into_iter().collect();
            fragments.set(trace(number), invocations, doubt(10 + u64::from(number), 7));
        }
    }
    fragments
}

fn numbers(traces: &[TraceId]) -> Vec<u8> {
    traces.iter().map(|trace| trace.bytes()[0]).collect()
}

#[test]
fn its_books_balance_whatever_moves() {
    let mut fragments = fragments();
    let (one, trace_bytes) = (item(1, 1).held(), TRACE_BYTES);
    let seen = |fragments: &Fragments<()>| {
        (fragments.size(), fragments.doubted(), fragments.count(), fragments.encoded_bytes())
    };
    assert_eq!(seen(&fragments), (8 * one + 4 * trace_bytes, 4 * one + 2 * trace_bytes, 8, 800));
    fragments.push(at(99), item(3, 9), None);
    assert_eq!(seen(&fragments), (9 * one + 4 * trace_bytes, 5 * one + 2 * trace_bytes, 9, 900));
    let taken = fragments.take(trace(3)).expect("it is there");
    assert_eq!((taken.items.len(), taken.size, taken.since), (3, 3 * one + trace_bytes, at(3)));
    assert_eq!(seen(&fragments), (6 * one + 3 * trace_bytes, 2 * one + trace_bytes, 6, 600));
    fragments.set(trace(4), Vec::new(), None);
    assert_eq!(fragments.doubted(), 0);
    for number in [1, 2, 4] {
        fragments.take(trace(number));
    }
    assert_eq!(seen(&fragments), (0, 0, 0, 0));
    let is_empty = fragments.unjudged.is_empty()
        && fragments.plain.is_empty()
        && fragments.doubts.iter().all(BTreeSet::is_empty);
    assert!(is_empty && fragments.by_invocation.iter().all(Groups::is_empty));
    assert!(fragments.take(trace(1)).is_none() && fragments.get(trace(1)).is_none());
}

#[test]
fn they_are_found_by_their_invocation_and_by_whether_they_are_judged() {
    let fragments = fragments();
    let of = |invocation: Option<&str>, is_in_doubt| {
        numbers(&fragments.of(invocation.map(Into::into).as_ref(), is_in_doubt))
    };
    assert_eq!(
        [of(Some("a"), false), of(Some("a"), true), of(None, false)],
        [alloc::vec![1], alloc::vec![], alloc::vec![2]]
    );
    assert_eq!(
        [of(Some("b"), true), of(None, true), of(Some("x"), false)],
        [alloc::vec![3], alloc::vec![4], alloc::vec![]]
    );
    assert_eq!(numbers(&fragments.unjudged()), [1, 2]);
    assert_eq!(
        fragments.oldest_doubt().map(|(trace_id, doubt)| (trace_id, doubt.at)),
        Some((trace(3), at(13)))
    );
    assert_eq!(fragments.oldest(), Some(trace(1)));
}

#[test]
fn what_is_worth_more_is_asked_about_once_and_anew_when_it_has_changed() {
    let mut fragments = fragments();
    let asked = core::cell::Cell::new(0);
    let plain = |fragments: &mut Fragments<()>| {
        asked.set(0);
        let is_worth_more = |fragment: &Fragment<()>| {
            asked.set(asked.get() + 1);
            !fragment.invocations.is_empty()
        };
        (fragments.oldest_plain(is_worth_more), asked.get())
    };
    assert_eq!(plain(&mut fragments), (Some(trace(2)), 2));
    assert_eq!(plain(&mut fragments), (Some(trace(2)), 1), "the first is worth more");
    fragments.set(trace(1), Vec::new(), None);
    assert_eq!(plain(&mut fragments), (Some(trace(1)), 1));
    for number in [1, 2] {
        fragments.take(trace(number));
    }
    assert_eq!(plain(&mut fragments), (None, 0), "those in doubt are judged");
}

#[test]
fn those_are_ready_that_are_old_or_whose_invocation_is_done() {
    let fragments = fragments();
    for (old_until, done, expected) in [
        (0, "none", &[][..]),
        (1, "none", &[1]),
        (2, "none", &[1, 2]),
        (0, "a", &[1]),
        (0, "b", &[]),
        (9, "a", &[1, 2]),
    ] {
        let ready = fragments.ready(|since| since <= at(old_until), |request_id| &**request_id == done);
        assert_eq!(numbers(&ready), expected, "{old_until} {done}");
    }
}

#[test]
fn those_in_doubt_are_ripe_in_the_order_in_which_they_were_judged() {
    let fragments = fragments();
    let ripe = |is_ripe: &dyn Fn(Instant, u64, bool) -> bool| numbers(&fragments.ripe(is_ripe));
    assert_eq!(ripe(&|_, _, _| true), [3, 4]);
    assert_eq!(ripe(&|_, _, is_of_some| is_of_some), [3]);
    assert_eq!(ripe(&|_, _, is_of_some| !is_of_some), [4]);
    assert_eq!(ripe(&|when, begun, _| when <= at(13) && begun == 7), [3]);
    assert_eq!(ripe(&|_, begun, _| begun == 8), []);
}

#[test]
fn what_came_while_none_ran_gets_the_owner_of_its_last_begin() {
    let mut fragments = fragments();
    for number in [1, 2, 4] {
        fragments.push(at(91), item(number, 60), None);
    }
    fragments.attribute(|began| (began == UnixNanos(60)).then(|| "c".into()));
    let of = |number| {
        let fragment = fragments.get(trace(number)).expect("it waits");
        (fragment.invocations.len(), fragment.doubt.is_some())
    };
    assert_eq!(numbers(&fragments.of(Some(&"c".into()), false)), [1, 2]);
    assert_eq!(numbers(&fragments.of(Some(&"c".into()), true)), [4]);
    assert_eq!([of(1), of(2), of(4)], [(2, false), (1, false), (1, true)]);
    fragments.attribute(|_| Some("d".into()));
    assert!(fragments.of(Some(&"d".into()), false).is_empty(), "once");
}

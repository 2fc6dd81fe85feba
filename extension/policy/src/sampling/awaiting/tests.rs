//! What waits, for which invocations, and what becomes of it.

use super::*;
use crate::sampling::{Decision, Randomness, Threshold};
use crate::span::{Kind, Span, SpanId};
use crate::time::{Duration, UnixNanos};

fn trace(number: u8) -> TraceId {
    TraceId::new([number; 16]).expect("not zero")
}

/// A span of 100 bytes of this trace.
fn item(number: u8) -> Item<()> {
    Item::Received(Span {
        trace_id: trace(number),
        span_id: SpanId::new([1; 8]).expect("not zero"),
        parent: None,
        parent_is_remote: None,
        kind: Kind::Server,
        start: UnixNanos(1),
        end: UnixNanos(2),
        is_error: false,
        request_id: None,
        size: 100,
        body: (),
    })
}

fn at(seconds: u64) -> Instant {
    Instant::default() + Duration::from_secs(seconds)
}

/// Trace 1 of `a`, trace 2 of `a` and `b`, of two spans.
fn awaiting() -> Awaiting<()> {
    let verdict = Verdict {
        decision: Decision::Ratio,
        rule: None,
        threshold: Threshold::ALWAYS,
        randomness: Randomness::LEAST,
        is_counted: false,
        routes: Routes::FIRST,
    };
    let mut awaiting = Awaiting::new();
    for (number, ids) in [(1, &["a"][..]), (2, &["a", "b"])] {
        let ids = ids.iter().map(|id| (*id).into()).collect();
        awaiting.add(
            (at(number), number),
            trace(number as u8),
            [item(number as u8)].into_iter(),
            (verdict, Routes::FIRST),
            ids,
        );
    }
    awaiting.follow(Routes::FIRST, &item(2));
    awaiting.follow(Routes::FIRST, &item(3));
    awaiting.follow(Routes::NONE, &item(2));
    awaiting
}

#[test]
fn it_takes_what_its_spans_take_and_nothing_when_they_are_gone() {
    let mut awaiting = awaiting();
    assert_eq!((awaiting.size(), awaiting.encoded_bytes()), (3 * item(1).held(), 300));
    assert_eq!(awaiting.take(trace(2)).iter().map(|part| part.items.len()).collect::<Vec<_>>(), [2]);
    assert!(awaiting.take(trace(2)).is_empty());
    assert_eq!(awaiting.size(), item(1).held());
    assert!(awaiting.forget_all() && !awaiting.forget_all());
    assert_eq!((awaiting.size(), awaiting.encoded_bytes()), (0, 0));
}

#[test]
fn a_failure_names_what_waited_for_it_and_a_good_end_of_all_forgets_it() {
    assert_eq!(awaiting().resolve(&"a".into(), true), [trace(1), trace(2)]);
    assert_eq!(awaiting().resolve(&"b".into(), true), [trace(2)]);
    let mut awaiting = awaiting();
    assert!(awaiting.resolve(&"a".into(), false).is_empty());
    assert_eq!(awaiting.size(), 2 * item(1).held(), "the other waits for b");
    awaiting.rename(&"b".into(), &"c".into());
    assert!(awaiting.resolve(&"b".into(), true).is_empty());
    assert_eq!(awaiting.resolve(&"c".into(), true), [trace(2)]);
}

#[test]
fn what_has_waited_long_is_forgotten() {
    let mut awaiting = awaiting();
    awaiting.forget(|since, begun| since <= at(1) && begun == 1);
    assert_eq!(awaiting.size(), 2 * item(1).held());
    awaiting.forget(|_, _| false);
    assert_eq!(awaiting.size(), 2 * item(1).held());
}

#[test]
fn what_is_encoded_is_counted_without_what_is_kept_beside_it() {
    let mut awaiting = awaiting();
    assert_eq!(awaiting.encoded_bytes(), 300);
    awaiting.take(trace(2));
    assert_eq!(awaiting.encoded_bytes(), 100);
    awaiting.take(trace(1));
    assert_eq!((awaiting.encoded_bytes(), awaiting.size()), (0, 0));
}

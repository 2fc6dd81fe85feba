//! Which waiting spans are kept and which are left out, and when that is decided.

use super::*;
use crate::sampling::{Action, LooksAt, Ratio, Rule, Slow};
use crate::span::{Kind, Span, SpanId};
use alloc::string::ToString;

mod routed;
mod tries;

fn at(ms: u64) -> Instant {
    Instant::from_nanos(ms * 1_000_000)
}

/// One that keeps failures only.
fn assembly() -> Assembly<()> {
    let ratio = Ratio::new(0.0).expect("a share");
    let (keeps_cold_starts, slow, keeps_rare) = (false, Slow::Never, false);
    Assembly::new(Sampling { ratio, keeps_cold_starts, slow, keeps_rare, ..Sampling::default() })
}

fn trace(number: u8) -> TraceId {
    TraceId::new([number; 16]).expect("not zero")
}

/// A span of this trace, which lasts one nanosecond.
fn item(trace_id: u8, start: u64, is_error: bool) -> Item<()> {
    Item::Received(Span {
        trace_id: trace(trace_id),
        span_id: SpanId::new([1; 8]).expect("not zero"),
        parent: None,
        parent_is_remote: None,
        kind: Kind::Client,
        start: UnixNanos(start),
        end: UnixNanos(start + 1),
        is_error,
        request_id: None,
        size: 100,
        body: (),
    })
}

fn add(assembly: &mut Assembly<()>, now: Instant, item: Item<()>, invocation: Option<&RequestId>) {
    assembly.add(now, item, invocation.map_or(Owner::Unknown, Owner::Likely));
}

fn id(request_id: &str) -> RequestId {
    request_id.into()
}

fn begin(assembly: &mut Assembly<()>, ms: u64, request_id: &str) {
    assembly.begin(at(ms), (&id(request_id), UnixNanos(ms * 1_000_000)), |_| None);
}

/// What was kept, and what was left out.
fn ruled(assembly: &mut Assembly<()>) -> (usize, u64) {
    let rulings = assembly.take_rulings();
    (rulings.kept.len(), rulings.left_out)
}

#[test]
fn what_is_in_doubt_is_left_out_when_two_have_begun_and_a_second_has_passed() {
    let mut assembly = assembly();
    begin(&mut assembly, 0, "a");
    add(&mut assembly, at(1), item(1, 1, false), Some(&id("a")));
    assembly.judge(at(2), None, |_| false);
    assert_eq!((assembly.count(), assembly.doubted()), (1, 0), "it runs");
    assembly.judge(at(10), None, |request_id| *request_id == id("a"));
    assert_eq!(assembly.doubted(), assembly.size(), "the platform has not said how it ended");
    begin(&mut assembly, 20, "b");
    assembly.judge(at(5_000), None, |_| false);
    assert_eq!(ruled(&mut assembly), (0, 0), "one has begun");
    begin(&mut assembly, 5_001, "c");
    let mut quick = assembly.clone();
    quick.judge(at(1_009), None, |_| false);
    assert_eq!(ruled(&mut quick), (0, 0), "it is told of within a second");
    quick.judge(at(1_010), None, |_| false);
    assert_eq!((ruled(&mut quick), quick.count()), ((0, 1), 0));
}

#[test]
fn a_trace_is_of_all_invocations_that_it_came_with() {
    let mut assembly = assembly();
    let of = |assembly: &Assembly<()>| {
        let fragment = assembly.fragments.get(trace(1)).expect("it waits");
        fragment.invocations.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    };
    add(&mut assembly, at(1), item(1, 1, false), None);
    assert_eq!(of(&assembly), "");
    for (invocation, expected) in [("a", "a"), ("a", "a"), ("b", "a b"), ("a", "a b")] {
        add(&mut assembly, at(2), item(1, 2, false), Some(&id(invocation)));
        assert_eq!(of(&assembly), expected);
    }
}

#[test]
fn a_trace_that_comes_again_is_judged_again_and_what_is_late_is_not() {
    let mut assembly = assembly();
    begin(&mut assembly, 0, "a");
    add(&mut assembly, at(1), item(1, 1, false), Some(&id("a")));
    assembly.judge(at(2), None, |_| true);
    add(&mut assembly, at(3), item(1, 2, false), Some(&id("a")));
    assert_eq!(
        (assembly.doubted(), assembly.count()),
        (assembly.size(), 2),
        "it began before the last had ended"
    );
    add(&mut assembly, at(3), item(1, 3, false), Some(&id("a")));
    assert_eq!((assembly.doubted(), assembly.count()), (0, 3));
    // A failure that is late settles the doubt.
    assembly.judge(at(4), None, |_| true);
    add(&mut assembly, at(5), item(1, 3, true), Some(&id("a")));
    assert_eq!((ruled(&mut assembly), assembly.count()), ((4, 0), 0));
    add(&mut assembly, at(6), item(1, 4, false), Some(&id("a")));
    assert_eq!(ruled(&mut assembly), (1, 0), "the others go its way");
}

#[test]
fn what_follows_a_trace_that_was_left_out_is_left_out_unless_it_failed() {
    let mut assembly = assembly();
    add(&mut assembly, at(1), item(1, 1, false), None);
    assembly.finish(at(2));
    assert_eq!(ruled(&mut assembly), (0, 1));
    add(&mut assembly, at(3), item(1, 2, false), None);
    assert_eq!((ruled(&mut assembly), assembly.count()), ((0, 1), 0));
    add(&mut assembly, at(4), item(1, 2, true), None);
    assert_eq!(ruled(&mut assembly), (1, 0));
    add(&mut assembly, at(5), item(1, 2, false), None);
    assert_eq!(ruled(&mut assembly), (1, 0), "from then on all of it is kept");
    add(&mut assembly, at(6), item(1, 3, false), None);
    assert_eq!(assembly.count(), 1, "it began after the last had ended");
}

#[test]
fn what_claims_to_end_in_the_future_makes_nothing_late_that_follows() {
    // When it claims to end, and whether a span that begins after its invocation is taken for a late part of it.
    for (end_ms, is_late) in [(1_008, true), (1_009, false), (90_000_000, false)] {
        let mut assembly = assembly();
        begin(&mut assembly, 0, "a");
        let Item::Received(span) = item(1, 1, false) else { unreachable!("it was made so") };
        let span = Span { end: UnixNanos(end_ms * 1_000_000), ..span };
        add(&mut assembly, at(1), Item::Received(span), Some(&id("a")));
        assembly
            .learn(at(5), Circumstances { request_id: id("a"), is_final: true, ..Circumstances::default() });
        assembly.judge(at(8), None, |_| true);
        assert_eq!(ruled(&mut assembly), (0, 1));
        add(&mut assembly, at(900), item(1, 900_000_000, false), None);
        assert_eq!(ruled(&mut assembly).1 == 1, is_late, "{end_ms} ms");
    }
}

fn told(request_id: &str) -> Circumstances {
    Circumstances { request_id: request_id.into(), ..Circumstances::default() }
}

#[test]
fn what_was_left_out_with_one_invocation_says_nothing_of_a_late_part_of_another() {
    // Both are of one trace, which begins in the first; the second one ends well, and is judged first.
    for (owner, kept) in [(Some("a"), 1), (Some("b"), 0)] {
        let mut assembly = assembly();
        begin(&mut assembly, 0, "a");
        begin(&mut assembly, 100, "b");
        add(&mut assembly, at(101), item(1, 101, false), Some(&id("b")));
        assembly.learn(Instant::default(), Circumstances { is_final: true, ..told("b") });
        assembly.judge(at(102), None, |_| true);
        assert_eq!(ruled(&mut assembly), (0, 1));
        let (failure, is_final) = (Some(Decision::Error), true);
        assembly.learn(Instant::default(), Circumstances { failure, is_final, ..told("a") });
        add(&mut assembly, at(103), item(1, 50, false), owner.map(id).as_ref());
        assembly.judge(at(104), None, |_| true);
        assert_eq!(ruled(&mut assembly), (kept, 1 - kept as u64), "late, of {owner:?}");
    }
}

#[test]
fn what_came_before_its_invoke_waits_for_it() {
    let mut assembly = assembly();
    begin(&mut assembly, 0, "a");
    add(&mut assembly, at(1), item(1, 1, false), Some(&id("a")));
    assembly.judge(at(2), None, |_| true);
    // The same trace, in an invocation that nobody knows of yet.
    add(&mut assembly, at(10), item(1, 10, false), None);
    assembly.learn(Instant::default(), Circumstances { is_final: true, ..told("a") });
    assembly.judge(at(11), None, |_| true);
    assert_eq!((ruled(&mut assembly), assembly.count()), ((0, 0), 2), "the next one may fail");
    begin(&mut assembly, 12, "b");
    assembly.learn(
        Instant::default(),
        Circumstances { failure: Some(Decision::Crash), is_final: true, ..told("b") },
    );
    assembly.judge(at(13), None, |_| true);
    assert_eq!(ruled(&mut assembly), (2, 0));
}

#[test]
fn what_begins_in_a_new_invocation_is_no_late_part_of_what_claims_to_end_later() {
    let mut assembly = assembly();
    begin(&mut assembly, 0, "a");
    // It has failed, and is kept; it claims to end when the next one begins.
    add(&mut assembly, at(5_000), item(1, 5_000_000_000, true), Some(&id("a")));
    assembly.judge(at(5_000), None, |_| true);
    assert_eq!(ruled(&mut assembly), (1, 0));
    begin(&mut assembly, 5_000, "b");
    add(&mut assembly, at(5_001), item(1, 4_999_999_999, false), Some(&id("b")));
    assert_eq!((ruled(&mut assembly), assembly.count()), ((1, 0), 0), "it began before");
    add(&mut assembly, at(5_001), item(1, 5_000_000_000, false), Some(&id("b")));
    assert_eq!((ruled(&mut assembly), assembly.count()), ((0, 0), 1), "it is judged with its invocation");
}

#[test]
fn where_invocations_overlap_doubt_ends_with_all_that_ran_then() {
    const OLD: u64 = OVERLAP_AGE_MAX.as_millis() as u64;
    let patience = OVERLAP_PATIENCE.as_millis() as u64;
    let longest = INVOCATION_MAX.as_millis() as u64;
    let overlap = |oldest_open| Some(Overlap { oldest_open, newest: 7 });
    // Whether the trace is of some invocation; how long it has been in doubt, the oldest that is open, and whether it
    // is left out then. Seven had begun when it was judged.
    for (is_of_some, waited, oldest_open, is_left_out) in [
        (false, patience, 8, true),
        (false, patience - 1, 8, false),
        (false, patience, 7, false),
        (false, longest, 7, true),
        (false, longest - 1, 7, false),
        (true, patience, 8, false),
        (true, longest, 7, true),
    ] {
        let mut assembly = assembly();
        let invocation = is_of_some.then(|| id("a"));
        add(&mut assembly, at(0), item(1, 1, false), invocation.as_ref());
        assembly.judge(at(OLD - 1), overlap(1), |_| false);
        assert_eq!(assembly.doubted(), 0, "it is not old");
        assembly.judge(at(OLD), overlap(1), |_| false);
        assert_eq!(assembly.doubted(), assembly.size());
        assembly.judge(at(OLD + waited), overlap(oldest_open), |_| false);
        let told = (is_of_some, waited, oldest_open);
        assert_eq!(ruled(&mut assembly).1 == 1, is_left_out, "{told:?}");
    }
}

#[test]
fn what_failed_is_kept_where_invocations_overlap_and_is_not_waited_for() {
    let mut assembly = assembly();
    add(&mut assembly, at(0), item(1, 1, true), None);
    assembly.judge(at(5_000), Some(Overlap { oldest_open: 1, newest: 1 }), |_| false);
    assert_eq!((ruled(&mut assembly), assembly.count()), ((1, 0), 0));
}

#[test]
fn a_failure_of_the_last_keeps_what_belongs_to_none_too() {
    let mut assembly = assembly();
    begin(&mut assembly, 0, "a");
    add(&mut assembly, at(1), item(3, 1, false), Some(&id("a")));
    assembly.judge(at(1), None, |_| true);
    assert_eq!(assembly.doubted(), assembly.size(), "a trace that is judged, and in doubt");
    add(&mut assembly, at(1), item(1, 1, false), Some(&id("a")));
    add(&mut assembly, at(1), item(2, 1, false), None);
    assembly.fail_last(Instant::default(), Decision::Timeout);
    assert!(!assembly.has_ended());
    assembly.finish(at(2));
    assert!(assembly.has_ended());
    let rulings = assembly.take_rulings();
    assert_eq!(
        (rulings.kept.len(), rulings.left_out, &rulings.decisions[..]),
        (3, 0, &[Decision::Timeout; 3][..])
    );
    assert_eq!(ruled(&mut assembly), (0, 0), "since the last call");
}

#[test]
fn room_is_made_with_doubt_then_with_what_is_plain_and_then_early() {
    let mut assembly = assembly();
    begin(&mut assembly, 0, "a");
    add(&mut assembly, at(1), item(1, 1, false), Some(&id("a")));
    assembly.judge(at(2), None, |_| true);
    begin(&mut assembly, 3, "b");
    add(&mut assembly, at(4), item(2, 4, true), Some(&id("b")));
    add(&mut assembly, at(5), item(3, 5, false), Some(&id("b")));
    add(&mut assembly, at(5), item(3, 5, false), Some(&id("b")));
    assert!(assembly.settle_oldest_doubt() && !assembly.settle_oldest_doubt());
    let rulings = assembly.take_rulings();
    assert_eq!((rulings.left_out, rulings.left_out_bytes), (1, 100));
    assert_eq!(assembly.shed(at(6)), Some(2), "what has not failed is given up");
    assert_eq!(assembly.shed(at(6)), Some(0), "what has is judged early");
    assert_eq!((ruled(&mut assembly), assembly.shed(at(6))), ((1, 0), None));
    // What probability would keep is not plain, and is judged early, for that keeps it.
    let mut all = Assembly::new(Sampling { ratio: Ratio::ALL, ..Sampling::default() });
    add(&mut all, at(1), item(1, 1, false), Some(&id("b")));
    assert_eq!((all.shed(at(2)), ruled(&mut all)), (Some(0), (1, 0)));
}

#[test]
fn a_begin_gives_what_belongs_to_none_to_the_one_that_was_over_or_to_the_new_one() {
    let mut assembly = assembly();
    add(&mut assembly, at(1), item(1, 1, false), None);
    add(&mut assembly, at(1), item(2, 9, false), None);
    assembly.begin(at(2), (&id("b"), UnixNanos(2_000_000)), |began| (began < UnixNanos(5)).then(|| id("a")));
    let of = |number| {
        assembly.fragments.get(trace(number)).and_then(|fragment| fragment.invocations.first().cloned())
    };
    assert_eq!((of(1), of(2)), (Some(id("a")), Some(id("b"))));
}

#[test]
fn what_is_recovered_is_kept_trace_by_trace() {
    let mut assembly = assembly();
    assembly.recover([item(1, 1, false), item(2, 1, false), item(1, 2, false)].into_iter());
    let rulings = assembly.take_rulings();
    assert_eq!((rulings.kept.len(), &rulings.decisions[..]), (3, &[Decision::Recovered; 2][..]));
}

#[test]
fn what_a_rule_drops_is_given_up_when_room_runs_out_for_it_may_fail_yet() {
    let rule = Rule {
        name: "r".into(),
        when: Vec::new(),
        looks_at: LooksAt::Entry,
        then: Action::Drop,
        even_failures: false,
    };
    let mut assembly = Assembly::new(Sampling { rules: alloc::vec![rule], ..Sampling::default() });
    add(&mut assembly, at(1), item(1, 1, false), None);
    assert_eq!((assembly.shed(at(2)), ruled(&mut assembly)), (Some(1), (0, 0)));
    // With its environment it ends, and nothing more is said of it.
    add(&mut assembly, at(3), item(2, 1, false), None);
    assembly.finish(at(4));
    assert_eq!(ruled(&mut assembly), (0, 1));
}

#[test]
fn what_waits_for_as_many_invocations_as_may_be_is_settled_when_one_more_begins() {
    let mut assembly = assembly();
    for n in 0..SPANNED_MAX {
        add(&mut assembly, at(1), item(1, 1, false), Some(&id(&alloc::format!("r{n}"))));
    }
    assembly.judge(at(2), None, |_| true);
    assert_eq!(assembly.doubted(), assembly.size());
    add(&mut assembly, at(3), item(1, 1, false), Some(&id("r3")));
    assert_eq!(ruled(&mut assembly), (0, 0), "it is one of those");
    add(&mut assembly, at(4), item(1, 1, false), None);
    assert_eq!(ruled(&mut assembly), (0, 0), "it names none");
    add(&mut assembly, at(5), item(1, 9, false), Some(&id("one more")));
    assert_eq!((ruled(&mut assembly).1, assembly.count()), (SPANNED_MAX as u64 + 2, 1));
}

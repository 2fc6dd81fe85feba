//! One trace is judged: which reason comes first, and which threshold the kept spans carry.

use super::*;
use crate::sampling::rules::{Condition, LooksAt, Pattern, Rule};
use crate::sampling::{Ratio, Slow};
use crate::span::{Kind, SpanId, TraceId};
use crate::time::UnixNanos;

/// A span's name, its attributes and its trace state.
#[derive(Clone, Debug, Default)]
struct Words(&'static str, &'static [(&'static str, Fact<'static>)], &'static str);

impl Body for Words {
    fn name(&self) -> &str {
        self.0
    }

    fn attribute(&self, key: &str) -> Option<Fact<'_>> {
        self.1.iter().find(|(known, _)| *known == key).map(|(_, fact)| *fact)
    }

    fn trace_state(&self) -> &str {
        self.2
    }
}

/// A SERVER span of 10 ms, with this share of randomness.
fn span(share: f64, body: Words) -> Span<Words> {
    let bits = (share * (1_u64 << 56) as f64) as u64;
    let mut id = [9; 16];
    id[9..].copy_from_slice(&bits.to_be_bytes()[1..]);
    Span {
        trace_id: TraceId::new(id).expect("not zero"),
        span_id: SpanId::new([1; 8]).expect("not zero"),
        parent: None,
        parent_is_remote: None,
        kind: Kind::Server,
        start: UnixNanos(0),
        end: UnixNanos(10_000_000),
        is_error: false,
        request_id: None,
        size: 1,
        body,
    }
}

fn share(share: f64) -> Ratio {
    Ratio::new(share).expect("a share")
}

/// Keeps a share, and nothing for a reason of its own.
fn plain(ratio: f64) -> Sampling {
    Sampling {
        ratio: share(ratio),
        keeps_cold_starts: false,
        slow: Slow::Never,
        keeps_rare: false,
        ..Sampling::default()
    }
}

fn rule(then: Action, even_failures: bool) -> Rule {
    let when = alloc::vec![Condition::Name(Pattern::new("ruled"))];
    Rule { name: "r".into(), when, looks_at: LooksAt::Entry, then, even_failures }
}

fn decided(sampling: Sampling, span: Span<Words>, about: &Circumstances) -> Verdict {
    let judged = Judge::new(sampling).explain(Instant::default(), alloc::vec![span], about);
    judged.expect("there is a span")
}

#[test]
fn the_codes_own_word_is_a_flag_a_number_or_a_text_that_reads_as_one() {
    type Attributes = &'static [(&'static str, Fact<'static>)];
    let rows: [(Attributes, Option<bool>); 16] = [
        (&[], None),
        (&[(KEEP, Fact::Flag(true))], Some(true)),
        (&[(KEEP, Fact::Flag(false))], Some(false)),
        (&[(KEEP, Fact::Text(" true "))], Some(true)),
        (&[(KEEP, Fact::Text("1"))], Some(true)),
        (&[(KEEP, Fact::Text("false"))], Some(false)),
        (&[(KEEP, Fact::Text("0"))], Some(false)),
        (&[(KEEP, Fact::Text("maybe"))], None),
        (&[(KEEP, Fact::Int(-1))], Some(true)),
        (&[(KEEP, Fact::Double(0.0))], Some(false)),
        (&[(PRIORITY, Fact::Int(1))], Some(true)),
        (&[(PRIORITY, Fact::Int(0))], Some(false)),
        (&[(PRIORITY, Fact::Int(-1))], Some(false)),
        (&[(PRIORITY, Fact::Flag(true))], None),
        (&[(KEEP, Fact::Text("maybe")), (PRIORITY, Fact::Text("2"))], Some(true)),
        (&[(KEEP, Fact::Flag(false)), (PRIORITY, Fact::Int(2))], Some(false)),
    ];
    for (attributes, word) in rows {
        assert_eq!(word_of(&Item::Received(span(0.5, Words("", attributes, "")))), word, "{attributes:?}");
    }
}

#[test]
fn an_operation_is_a_kind_a_name_and_a_route_and_its_executions_differ_by_outcome() {
    let of = |kind, body| keys(&Item::Received(Span { kind, ..span(0.5, body) }));
    let route: &'static [_] = &[("http.route", Fact::Text("/a"))];
    let base = of(Kind::Server, Words("n", &[], ""));
    for other in [
        of(Kind::Consumer, Words("n", &[], "")),
        of(Kind::Server, Words("m", &[], "")),
        of(Kind::Server, Words("n", route, "")),
    ] {
        assert_ne!(base.0, other.0);
        assert_ne!(base.1, other.1);
    }
    let with = |key, status| {
        let attributes = alloc::vec![(key, Fact::Int(status))].leak();
        of(Kind::Server, Words("n", attributes, ""))
    };
    for key in OUTCOME_KEYS {
        assert_eq!(with(key, 200).0, base.0, "{key}");
        assert_ne!(with(key, 200).1, with(key, 404).1, "{key}");
        assert_ne!(with(key, 200).1, base.1, "{key}");
        assert_eq!(with(key, 200).1, with("http.status_code", 200).1, "{key}");
    }
    assert_eq!(of(Kind::Server, Words("n", &[("other", Fact::Int(1))], "")), base);
    // FNV-1a, which begins by taking the seed in.
    assert_eq!(digest(0, b""), 0xcbf2_9ce4_8422_2325_u64.wrapping_mul(0x0100_0000_01b3));
    assert_eq!(digest(0xcbf2_9ce4_8422_2325, b"a"), 0x61 * 0x0100_0000_01b3);
    assert_ne!(digest(1, b"ab"), digest(1, b"ba"));
}

#[test]
fn what_settles_a_trace_comes_in_this_order() {
    let failed = |body| Span { is_error: true, ..span(0.0, body) };
    let none = Circumstances::default;
    let xray = |sampled| Circumstances { xray: Some(sampled), ..none() };
    let forced: &'static [_] = &[(KEEP, Fact::Flag(true))];
    let unwanted: &'static [_] = &[(KEEP, Fact::Flag(false))];
    let ruled = |attributes| Words("ruled", attributes, "");
    let with = |then, even_failures| Sampling {
        rules: alloc::vec![rule(then, even_failures)],
        obeys_xray: true,
        ..plain(0.5)
    };
    let cold = |sampling| Sampling { keeps_cold_starts: true, ..sampling };
    let is_cold = Circumstances { is_cold: true, ..none() };
    let timed_out = Circumstances { failure: Some(Decision::Timeout), ..none() };
    let rows = [
        (with(Action::Drop, true), failed(ruled(forced)), none(), Decision::RuleDrop),
        (with(Action::Keep, true), failed(ruled(&[])), none(), Decision::Error),
        (with(Action::Drop, false), failed(ruled(unwanted)), xray(false), Decision::Error),
        (with(Action::Drop, false), failed(ruled(&[])), timed_out, Decision::Timeout),
        (with(Action::Drop, false), span(0.0, ruled(forced)), xray(false), Decision::Forced),
        (with(Action::Keep, false), span(0.9, ruled(unwanted)), xray(true), Decision::Unwanted),
        (with(Action::Drop, false), span(0.0, ruled(&[])), xray(true), Decision::Upstream),
        (with(Action::Keep, false), span(0.9, ruled(&[])), xray(false), Decision::UpstreamDrop),
        (with(Action::Keep, false), span(0.0, ruled(&[])), none(), Decision::Rule),
        (cold(with(Action::Drop, false)), span(0.9, ruled(&[])), is_cold.clone(), Decision::RuleDrop),
        (with(Action::PerSecond(1.0), false), span(0.0, ruled(&[])), none(), Decision::Rule),
        (with(Action::PerSecond(0.0), false), span(0.0, ruled(&[])), none(), Decision::Rule),
        (with(Action::Ratio(share(0.2)), false), span(0.79, ruled(&[])), none(), Decision::Unsampled),
        (with(Action::Ratio(share(0.2)), false), span(0.81, ruled(&[])), none(), Decision::Ratio),
        (with(Action::Drop, false), span(0.51, Words("other", &[], "")), none(), Decision::Ratio),
        (with(Action::Drop, false), span(0.49, Words("other", &[], "")), none(), Decision::Unsampled),
        (cold(plain(0.5)), span(0.0, Words::default()), is_cold.clone(), Decision::ColdStart),
        (plain(0.5), span(0.0, Words::default()), is_cold, Decision::Unsampled),
        (
            Sampling { obeys_xray: false, ..plain(0.5) },
            span(0.0, Words::default()),
            xray(true),
            Decision::Unsampled,
        ),
        (Sampling { keeps_rare: true, ..plain(0.5) }, span(0.0, Words::default()), none(), Decision::Rare),
        (
            Sampling {
                slow: Slow::From(crate::time::Duration::from_millis(10)),
                keeps_rare: true,
                ..plain(0.5)
            },
            span(0.0, Words::default()),
            none(),
            Decision::Slow,
        ),
    ];
    for (index, (sampling, span, about, expected)) in rows.into_iter().enumerate() {
        assert_eq!(decided(sampling, span, &about).decision, expected, "row {index}");
    }
}

#[test]
fn a_limit_lets_so_many_pass_and_says_nothing_of_probability() {
    let mut judge =
        Judge::new(Sampling { rules: alloc::vec![rule(Action::PerSecond(2.0), false)], ..plain(0.5) });
    let mut judged = |seconds: u64, name| {
        let now = Instant::from_nanos(seconds * 1_000_000_000);
        let spans = alloc::vec![span(0.9, Words(name, &[], ""))];
        judge.explain(now, spans, &Circumstances::default()).expect("there is a span")
    };
    let at_once: Vec<_> = (0..3).map(|_| judged(9, "ruled").decision).collect();
    assert_eq!(at_once, [Decision::Rule, Decision::Rule, Decision::Limit]);
    let verdict = judged(10, "ruled");
    assert!(verdict.is_counted && !verdict.is_probable() && verdict.rule == Some(0));
    assert!(judged(10, "other").is_probable());
    let kept = decided(
        Sampling { rules: alloc::vec![rule(Action::Keep, false)], ..plain(0.5) },
        span(0.9, Words("ruled", &[], "")),
        &Circumstances::default(),
    );
    assert!(!kept.is_counted && kept.is_probable(), "it would have been kept anyway");
    assert_eq!(
        Judge::new(plain(0.5)).explain::<Words>(Instant::default(), alloc::vec![], &Circumstances::default()),
        None
    );
}

#[test]
fn a_rule_that_drops_even_failures_is_not_revised() {
    for (then, even_failures, expected) in
        [(Action::Drop, true, Decision::RuleDrop), (Action::Drop, false, Decision::Crash)]
    {
        let judge = Judge::new(Sampling { rules: alloc::vec![rule(then, even_failures)], ..plain(0.5) });
        let verdict =
            Verdict { decision: Decision::RuleDrop, rule: Some(0), ..judge.recovered::<Words>(&[]) };
        assert_eq!(judge.revise(verdict, Decision::Crash).decision, expected);
        let by_chance = Verdict { decision: Decision::Unsampled, ..verdict };
        assert_eq!(judge.revise(by_chance, Decision::Crash).decision, Decision::Crash, "it was not the rule");
    }
}

#[test]
fn randomness_is_what_a_trace_says_or_else_its_id() {
    let item = |share, state| Item::Received(span(share, Words("", &[], state)));
    let half = Randomness::from_hex("80000000000000").expect("14 digits");
    assert_eq!(randomness(&[item(0.5, "")]), half);
    assert_eq!(randomness(&[item(0.1, ""), item(0.2, "ot=rv:80000000000000")]), half);
    assert_eq!(randomness::<Words>(&[]), Randomness::LEAST);
    let judge = Judge::new(plain(0.5));
    assert!(judge.may_be_sampled(&[item(0.5, "")]) && !judge.may_be_sampled(&[item(0.49, "")]));
    assert_eq!(judge.recovered(&[item(0.5, "")]).randomness, half);
}

#[test]
fn a_span_is_stamped_with_the_threshold_that_held_for_it_and_the_reason_if_it_had_another() {
    use ThresholdEdit::{Erase, Leave, Write};
    let threshold = |text: &str| Threshold::from_hex(text).expect("a threshold");
    let verdict = |decision, at: &str, randomness: &str, is_counted| Verdict {
        decision,
        rule: None,
        threshold: threshold(at),
        randomness: Randomness::from_hex(randomness).expect("14 digits"),
        is_counted,
        routes: Routes::FIRST,
    };
    let (high, low) = ("c0000000000000", "40000000000000");
    let probable = verdict(Decision::Ratio, "8", high, false);
    let forced = verdict(Decision::Forced, "8", low, false);
    let counted = verdict(Decision::Rule, "8", high, true);
    let all = verdict(Decision::Ratio, "0", high, false);
    let left_out = verdict(Decision::Unsampled, "8", high, false);
    let rows = [
        (probable, "", Write(threshold("8")), None),
        (all, "", Leave, None),
        (forced, "", Leave, Some(Decision::Forced)),
        (counted, "", Leave, Some(Decision::Rule)),
        (left_out, "", Leave, Some(Decision::Unsampled)),
        (probable, "ot=th:4", Write(threshold("8")), None),
        (probable, "ot=th:8", Leave, None),
        (probable, "ot=th:c", Leave, None),
        (probable, "ot=th:d", Erase, None),
        (forced, "ot=th:4", Erase, Some(Decision::Forced)),
        (probable, "ot=th:X", Erase, None),
    ];
    for (verdict, state, threshold, reason) in rows {
        let item = Item::Received(span(0.5, Words("", &[], state)));
        for is_root in [true, false] {
            let stamp = verdict.stamp(&item, is_root);
            let reason = reason.filter(|_| is_root);
            let expected = (threshold != Leave || reason.is_some()).then_some(Stamp { threshold, reason });
            assert_eq!(stamp, expected, "{verdict:?} {state:?} {is_root}");
        }
    }
}

#[test]
fn a_boost_raises_what_departs_and_never_lowers() {
    let calm = Standing { is_slow: false, is_risen: false, turn: Turn::None };
    let risen = Standing { is_risen: true, ..calm };
    let of = |ratio, boost: f64, rule_of: Option<Action>, standing| {
        let rules = rule_of.map(|then| rule(then, false)).into_iter().collect();
        let sampling = Sampling { boost: Some(share(boost)), rules, ..plain(ratio) };
        Judge::new(sampling).threshold_for(rule_of.map(|_| 0), standing).share()
    };
    assert_eq!(of(0.25, 0.5, None, calm), 0.25);
    assert_eq!(of(0.25, 0.5, None, risen), 0.5);
    assert_eq!(of(0.5, 0.25, None, risen), 0.5);
    assert_eq!(of(0.25, 0.5, Some(Action::Ratio(share(0.125))), calm), 0.125);
    assert_eq!(of(0.25, 0.5, Some(Action::Ratio(share(0.125))), risen), 0.5);
    assert_eq!(of(0.25, 0.5, Some(Action::Ratio(share(0.0))), risen), 0.0, "it takes none, and means it");
    assert_eq!(of(0.25, 0.5, Some(Action::Keep), calm), 0.25);
    assert_eq!(Judge::new(plain(0.25)).threshold_for(None, risen).share(), 0.25, "nothing to raise it to");
    let judge = Judge::new(Sampling { boost: Some(share(0.5)), ..plain(0.25) });
    let verdict = |at| {
        let randomness = randomness(&[Item::Received(span(at, Words::default()))]);
        Verdict { threshold: Threshold::of(share(0.5)), randomness, ..judge.recovered::<Words>(&[]) }
    };
    let chances = [0.8, 0.6, 0.4].map(|at| judge.by_chance(&verdict(at)));
    assert_eq!(chances, [Decision::Ratio, Decision::Boost, Decision::Unsampled]);
}

#[test]
fn failures_raise_and_their_end_lowers_and_both_are_counted() {
    let mut judge = Judge::new(Sampling { boost: Some(share(1.0)), ..plain(0.5) });
    for (count, is_error, turns) in [(200, false, (0, 0)), (40, true, (1, 0)), (400, false, (1, 1))] {
        for _ in 0..count {
            let spans = alloc::vec![Span { is_error, ..span(0.0, Words("n", &[], "")) }];
            judge.explain(Instant::default(), spans, &Circumstances::default());
        }
        assert_eq!(judge.turns(), turns, "after {count}");
    }
}

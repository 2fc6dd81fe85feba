//! Why a trace is kept or left out: rules, what the sender decided, latency and error rates.

use super::*;

#[test]
fn the_first_thing_that_applies_settles_it() {
    let word = |key, fact| move |entry: &mut Span<Told>| entry.body.attributes.push((key, fact));
    let health = || Condition::Name(Pattern::new("health"));
    let drop = Rule { even_failures: false, ..rule(Action::Drop, vec![health()]) };
    let drop_all = Rule { even_failures: true, ..drop.clone() };
    let keep = rule(Action::Keep, vec![health()]);
    type Shape = Box<dyn Fn(&mut Span<Told>)>;
    let named = |more: Shape| -> Shape {
        Box::new(move |entry| {
            entry.body.name = "health";
            more(entry);
        })
    };
    let fails: fn(&mut Span<Told>) = |entry| entry.is_error = true;
    let rows: Vec<(&str, Option<Rule>, bool, Shape, Decision)> = vec![
        ("a cold start", None, true, Box::new(|_| {}), Decision::ColdStart),
        ("switched off", None, false, Box::new(|_| {}), Decision::Unsampled),
        ("a rule before a cold start", Some(drop.clone()), true, named(Box::new(|_| {})), Decision::RuleDrop),
        ("a failure before a rule", Some(drop.clone()), true, named(Box::new(fails)), Decision::Error),
        ("unless the rule says so", Some(drop_all), true, named(Box::new(fails)), Decision::RuleDrop),
        ("a rule that keeps", Some(keep.clone()), false, named(Box::new(|_| {})), Decision::Rule),
        ("and only what it is about", Some(keep.clone()), false, Box::new(|_| {}), Decision::Unsampled),
        (
            "the code before a rule",
            Some(drop),
            false,
            named(Box::new(word("sampling.keep", Fact::Flag(true)))),
            Decision::Forced,
        ),
        (
            "against a rule that keeps",
            Some(keep),
            true,
            named(Box::new(word("sampling.priority", Fact::Int(0)))),
            Decision::Unwanted,
        ),
        ("text", None, false, Box::new(word("sampling.keep", Fact::Text("true"))), Decision::Forced),
        ("a number", None, false, Box::new(word("sampling.priority", Fact::Double(1.0))), Decision::Forced),
        (
            "a failure before the code",
            None,
            false,
            Box::new(move |entry| {
                word("sampling.keep", Fact::Flag(false))(entry);
                entry.is_error = true;
            }),
            Decision::Error,
        ),
    ];
    for (why, rule, keeps_cold_starts, shape, decision) in rows {
        let mut story =
            Story::with(Sampling { rules: rule.into_iter().collect(), keeps_cold_starts, ..plain(0.01) });
        let number = story.invocation(trace(0.0), |entry| shape(entry));
        story.runtime_done(EndStatus::Success, None);
        assert_eq!(story.decided(decision), 1, "{why}: {:?}", story.agent.ledger().decisions);
        assert_eq!(story.numbers(), if decision.is_keep() { vec![number] } else { Vec::new() }, "{why}");
    }
}

#[test]
fn the_first_rule_that_matches_counts() {
    let name = |text| Condition::Name(Pattern::new(text));
    let rules = vec![
        rule(Action::Ratio(share(0.5)), vec![name("pay*"), Condition::Kind(Kind::Server)]),
        rule(Action::Drop, vec![name("*")]),
    ];
    let mut story = Story::with(Sampling { rules, ..plain(1.0) });
    for (name, at, is_kept) in
        [("pay card", 0.6, true), ("pay card", 0.4, false), ("list", 0.99, false), ("pay", 0.7, true)]
    {
        let number = story.invocation(trace(at), |entry| entry.body.name = name);
        assert_eq!(story.numbers().contains(&number), is_kept, "{name} {at}");
    }
}

#[test]
fn a_rule_that_counts_lets_so_many_pass_and_gives_no_share() {
    let rules = vec![rule(Action::PerSecond(2.0), Vec::new())];
    let mut story = Story::with(Sampling { rules, ..plain(1.0) });
    for n in 0..10 {
        // A tenth of a second apart.
        story.invocation(trace(0.999 - f64::from(n) / 1e4), |_| {});
    }
    story.shut_down(ShutdownReason::Spindown);
    assert_eq!((story.decided(Decision::Rule), story.decided(Decision::Limit)), (3, 7));
    assert!(
        story.exported.iter().all(|entry| {
            entry.stamp.as_deref().is_some_and(|stamp| stamp.reason == Some(Decision::Rule))
        })
    );
}

#[test]
fn what_the_sender_has_sampled_is_respected() {
    // (what came, the share kept here, the tracestate afterwards), for a trace of randomness 0.9.
    let rows = [
        ("ot=th:8", 0.25, Some("ot=th:c")),
        ("ot=th:c", 0.5, None),
        ("ot=th:fd70a", 0.25, Some("")),
        ("ot=th:zz", 0.25, Some("")),
        ("a=1", 0.25, Some("ot=th:c,a=1")),
    ];
    for (came, ratio, after) in rows {
        let mut story = Story::with(plain(ratio));
        let number = story.invocation(trace(0.9), |entry| entry.body.trace_state = came.into());
        let stamp = story.exported(number).stamp.as_deref();
        let rewritten = stamp.and_then(|stamp| trace_state::rewrite(came, stamp.threshold));
        assert_eq!(rewritten.as_deref(), after, "{came} at {ratio}");
    }
    // A trace that names its randomness is judged by it, whatever its id.
    let mut story = Story::with(plain(0.01));
    let number = story.invocation(trace(0.0), |entry| entry.body.trace_state = "ot=rv:ffffffffffffff".into());
    assert_eq!(story.numbers(), [number]);
}

#[test]
fn slow_is_what_lasts_longer_than_its_own_kind() {
    let took = |ms: u64| move |entry: &mut Span<Told>| entry.end = entry.start + Duration::from_millis(ms);
    let mut story = Story::with(Sampling { slow: Slow::Above(0.99), ..plain(0.01) });
    (0..200).for_each(|n| {
        story.invocation(trace(n as f64 / 1e4), took(10 + n % 5));
    });
    assert!(story.numbers().is_empty(), "{:?}", story.agent.ledger().decisions);
    let slow = story.invocation(trace(0.9), took(40));
    assert_eq!((story.numbers(), story.reason(slow)), (vec![slow], Some(Decision::Slow)));
    let mut story = Story::with(Sampling { slow: Slow::From(Duration::from_millis(30)), ..plain(0.01) });
    story.invocation(trace(0.0), took(29));
    let slow = story.invocation(trace(0.1), took(30));
    assert_eq!(story.numbers(), [slow]);
}

#[test]
fn rising_errors_raise_the_ratio_for_a_while() {
    let mut story = Story::with(Sampling { boost: Some(share(0.5)), ..plain(0.01) });
    let mut rng = Rng::new(5);
    let mut kept_of = |story: &mut Story, count: u64, fails_every: u64| {
        let before = story.decided(Decision::Boost) + story.decided(Decision::Ratio);
        for n in 0..count {
            let at = rng.below(1 << 53) as f64 / (1_u64 << 53) as f64;
            story.invocation(trace(at), |entry| entry.is_error = n % fails_every == 0);
        }
        story.decided(Decision::Boost) + story.decided(Decision::Ratio) - before
    };
    let calm = kept_of(&mut story, 500, 100);
    let risen = kept_of(&mut story, 200, 2);
    assert_eq!((story.agent.ledger().boosts, story.agent.ledger().boosts_ended), (1, 0));
    let falling = kept_of(&mut story, 200, 100);
    let after = kept_of(&mut story, 500, 100);
    assert!(calm < 15 && after < 15, "{calm} and {after} of 500 at 1 %");
    assert!((30..70).contains(&risen), "{risen} of 100 that did not fail, at 50 %");
    assert!((10..100).contains(&falling), "{falling}");
    assert_eq!((story.agent.ledger().boosts, story.agent.ledger().boosts_ended), (1, 1));
}

//! Sampling in the swarm: what a world keeps, and what must be true of what was kept.

use policy::sampling::trace_state::ThresholdEdit;
use policy::sampling::{
    Action, Condition, LooksAt, Pattern, Randomness, Ratio, Rule, Sampling, Slow, Threshold,
};
use policy::{Content, Duration, Entry, Rng, TraceId};

use super::disk::{Body, MADE};

/// What a world keeps: everything in every second one. Its own stream of numbers, so that a world is the same
/// with and without.
pub(crate) fn pick(seed: u64) -> Sampling {
    let mut rng = Rng::new(seed ^ 0x5a3b_11e5);
    if rng.below(2) == 0 {
        return Sampling::default();
    }
    let share = |share| Ratio::new(share).expect("a share");
    let ratio = share([0.0, 0.01, 0.3, 0.9, 1.0][rng.below(5) as usize]);
    let actions = [
        Action::Drop,
        Action::Keep,
        Action::Ratio(share(0.5)),
        Action::PerSecond(0.2),
        Action::Ratio(share(0.0)),
    ];
    let rules = (0..rng.below(3)).map(|n| {
        let names = ["pay", "health", "l?st"];
        let when = vec![Condition::Name(Pattern::new(names[rng.below(3) as usize]))];
        let looks_at = [LooksAt::Entry, LooksAt::Any][rng.below(2) as usize];
        let then = actions[rng.below(5) as usize];
        Rule { name: format!("rule {n}").as_str().into(), when, looks_at, then, even_failures: false }
    });
    let rules = rules.collect();
    Sampling {
        ratio,
        rules,
        keeps_cold_starts: rng.below(2) == 0,
        slow: [Slow::Never, Slow::From(Duration::from_nanos(1)), Slow::Above(0.9)][rng.below(3) as usize],
        keeps_rare: rng.below(2) == 0,
        boost: (rng.below(2) == 0).then(|| ratio.times(10.0)),
        ..Sampling::default()
    }
}

/// Everything is kept.
pub(crate) fn none() -> Sampling {
    Sampling::default()
}

/// The trace of an invocation: evenly spread, as a tracer makes them.
pub(crate) fn trace_of(number: u64) -> TraceId {
    let mut rng = Rng::new(number ^ 0x7ace);
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&rng.number().to_be_bytes());
    bytes[8..].copy_from_slice(&rng.number().to_be_bytes());
    TraceId::new(bytes).expect("never all zero, for the numbers that a world has")
}

/// Whether probability alone keeps a trace, where no rule says otherwise.
pub(crate) fn is_sampled(sampling: &Sampling, trace_id: TraceId) -> bool {
    Threshold::of(sampling.ratio).admits(Randomness::of_trace(&trace_id))
}

/// What must be true of each span that leaves.
pub(crate) fn check(sampling: &Sampling, entries: &[Entry<Body>]) {
    for entry in entries {
        let Some(stamp) = entry.stamp.as_deref() else { continue };
        assert!(sampling.is_active(), "a span is changed where everything is kept");
        assert!(
            stamp.reason.is_none_or(|reason| reason.is_keep() && reason.as_str() != "ratio"),
            "what is in the sample says no reason: {stamp:?}"
        );
        if let (ThresholdEdit::Write(threshold), Content::Received(body)) = (stamp.threshold, &entry.content)
        {
            assert!(body.id >= MADE || threshold.admits(Randomness::of_trace(&body.trace_id)), "{stamp:?}");
            assert!(stamp.reason.is_none(), "it stands for others, or only for itself: {stamp:?}");
        }
    }
}

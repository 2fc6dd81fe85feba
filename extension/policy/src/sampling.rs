//! Keep or leave out: by what a trace turned out to be, and for the rest by consistent probability.
//!
//! What becomes of a trace is settled by the first of these that applies:
//!
//! 1. a rule that drops *even failures*;
//! 2. a failure: a time-out, a crash, a span with status ERROR — kept;
//! 3. the code's own word, an attribute `sampling.keep` or `sampling.priority`; and where it is obeyed, X-Ray's;
//! 4. the first rule that matches, if it keeps, drops, or allows so many in a second;
//! 5. a cold start, a slow or a rare execution — kept;
//! 6. probability: a ratio, raised while the operation departs from its baseline.
//!
//! So nothing but a rule that says so ever drops a failure, and a rule that drops health checks drops those of
//! a cold start too. Whatever is kept although its randomness is below the threshold carries no threshold, and
//! its local root says why: it must not be counted as one of many.

mod adaptive;
mod assembly;
mod awaiting;
mod bucket;
mod fragments;
mod item;
mod judge;
mod judged;
mod matching;
mod operations;
mod rare;
mod recent;
pub(crate) mod rules;
mod rulings;
pub(crate) mod settings;
mod slow;
pub(crate) mod threshold;
pub mod trace_state;
mod tries;
mod words;

pub(crate) use assembly::{Assembly, Overlap};
pub(crate) use item::Item;
pub use judge::{Judge, Verdict};
pub(crate) use judged::Owner;
pub use rules::{Action, Condition, LooksAt, Pattern, Rule, Test};
pub(crate) use rulings::Kept;
pub use settings::{Sampling, Slow};
pub use threshold::{Randomness, Ratio, Threshold};

use crate::platform::EndStatus;
use crate::span::RequestId;
use crate::time::UnixNanos;

/// Why a trace was kept or left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Kept: the function ran out of time.
    Timeout,
    /// Kept: the function's process died.
    Crash,
    /// Kept: a span of it failed, or the platform called it a failure.
    Error,
    /// Kept: the code asked for it.
    Forced,
    /// Kept: X-Ray's decision.
    Upstream,
    /// Kept: a rule.
    Rule,
    /// Kept: somebody waited for a cold start.
    ColdStart,
    /// Kept: slow.
    Slow,
    /// Kept: rare.
    Rare,
    /// Kept: found after a kill of our own process.
    Recovered,
    /// Kept by probability, which is raised because the operation departs from its baseline.
    Boost,
    /// Kept by probability.
    Ratio,
    /// Left out by probability.
    Unsampled,
    /// Left out: the code said so.
    Unwanted,
    /// Left out: X-Ray's decision.
    UpstreamDrop,
    /// Left out: a rule.
    RuleDrop,
    /// Left out: a rule allows no more in this second.
    Limit,
}

impl Decision {
    /// Every decision, kept ones first.
    pub const ALL: [Self; 17] = [
        Self::Timeout,
        Self::Crash,
        Self::Error,
        Self::Forced,
        Self::Upstream,
        Self::Rule,
        Self::ColdStart,
        Self::Slow,
        Self::Rare,
        Self::Recovered,
        Self::Boost,
        Self::Ratio,
        Self::Unsampled,
        Self::Unwanted,
        Self::UpstreamDrop,
        Self::RuleDrop,
        Self::Limit,
    ];

    /// Whether it keeps.
    pub const fn is_keep(self) -> bool {
        (self as usize) <= Self::Ratio as usize
    }

    /// Whether it is about a failure, which outweighs whatever was decided before it was known.
    pub const fn is_failure(self) -> bool {
        matches!(self, Self::Timeout | Self::Crash | Self::Error)
    }

    /// The word for it: in `sampling.reason`, in logs and in self-metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Crash => "crash",
            Self::Error => "error",
            Self::Forced => "forced",
            Self::Upstream => "upstream",
            Self::Rule => "rule",
            Self::ColdStart => "coldstart",
            Self::Slow => "slow",
            Self::Rare => "rare",
            Self::Recovered => "recovered",
            Self::Boost => "boost",
            Self::Ratio => "ratio",
            Self::Unsampled => "unsampled",
            Self::Unwanted => "unwanted",
            Self::UpstreamDrop => "upstream_drop",
            Self::RuleDrop => "rule_drop",
            Self::Limit => "limit",
        }
    }
}

/// What the platform said of an invocation, as far as sampling needs it.
#[derive(Clone, Debug, Default)]
pub struct Circumstances {
    /// Which invocation.
    pub request_id: RequestId,
    /// A time in it, if several may have this request id.
    pub at: Option<UnixNanos>,
    /// Whether somebody waited for its cold start.
    pub is_cold: bool,
    /// How it failed, if it did: [`Decision::Timeout`], [`Decision::Crash`] or [`Decision::Error`].
    pub failure: Option<Decision>,
    /// X-Ray's decision, where it made one.
    pub xray: Option<bool>,
    /// Whether the platform will say no more of it.
    pub is_final: bool,
}

/// How the platform's words for an end read here.
pub(crate) fn failure_of(status: EndStatus, has_died: bool) -> Option<Decision> {
    match status {
        EndStatus::Success => None,
        EndStatus::Timeout => Some(Decision::Timeout),
        EndStatus::Error | EndStatus::Failure if has_died => Some(Decision::Crash),
        EndStatus::Error | EndStatus::Failure => Some(Decision::Error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decisions_are_indexed_by_their_place_and_kept_ones_come_first() {
        for (index, decision) in Decision::ALL.into_iter().enumerate() {
            assert_eq!(decision as usize, index);
        }
        let kept = Decision::ALL.into_iter().filter(|decision| decision.is_keep()).count();
        assert!(Decision::ALL[..kept].iter().all(|decision| decision.is_keep()));
    }

    #[test]
    fn failures_come_first_and_each_decision_has_its_word() {
        let failures = Decision::ALL.into_iter().filter(|decision| decision.is_failure());
        assert!(failures.eq([Decision::Timeout, Decision::Crash, Decision::Error]));
        let words = [
            "timeout",
            "crash",
            "error",
            "forced",
            "upstream",
            "rule",
            "coldstart",
            "slow",
            "rare",
            "recovered",
            "boost",
            "ratio",
            "unsampled",
            "unwanted",
            "upstream_drop",
            "rule_drop",
            "limit",
        ];
        assert_eq!(Decision::ALL.map(Decision::as_str), words);
    }

    #[test]
    fn the_words_of_the_platform_for_an_end() {
        for has_died in [false, true] {
            let failure = if has_died { Decision::Crash } else { Decision::Error };
            for (status, expected) in [
                (EndStatus::Success, None),
                (EndStatus::Timeout, Some(Decision::Timeout)),
                (EndStatus::Error, Some(failure)),
                (EndStatus::Failure, Some(failure)),
            ] {
                assert_eq!(failure_of(status, has_died), expected, "{status:?} {has_died}");
            }
        }
    }
}

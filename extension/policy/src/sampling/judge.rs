//! One trace, or what this function did of it, judged: everything that the decision depends on comes together here.

use alloc::vec::Vec;

use super::adaptive::Turn;
use super::bucket::Bucket;
use super::item::{Item, local_root};
use super::matching::number_of;
use super::operations::{Operations, Standing};
use super::rare::Rare;
use super::rules::Action;
use super::threshold::{Randomness, Threshold};
use super::trace_state::{self, Sampled, ThresholdEdit};
use super::{Circumstances, Decision, Sampling};
use crate::entry::Stamp;
use crate::facts::{Body, Fact};
use crate::routing::{Router, Routes};
use crate::span::Span;
use crate::time::Instant;

/// The code's own word on a trace: a flag, or text that reads as one.
const KEEP: &str = "sampling.keep";
/// The same, older: zero to leave out, any other number to keep.
const PRIORITY: &str = "sampling.priority";
/// What tells kinds of one operation apart: the first of these that is there.
const OUTCOME_KEYS: [&str; 3] = ["http.response.status_code", "http.status_code", "rpc.grpc.status_code"];

/// What became of a trace, and why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What, and why.
    pub decision: Decision,
    /// The rule that matched, by its place in the list, whether or not it settled anything.
    pub rule: Option<usize>,
    /// The threshold that held for it.
    pub threshold: Threshold,
    /// Its randomness.
    pub randomness: Randomness,
    /// Whether a rule that counts let it pass: then probability says nothing of it.
    pub is_counted: bool,
    /// The destinations that it is for.
    pub routes: Routes,
}

impl Verdict {
    /// Whether it is in the sample by its randomness, whatever else speaks for it: then it stands for others.
    pub const fn is_probable(&self) -> bool {
        self.decision.is_keep() && !self.is_counted && self.threshold.admits(self.randomness)
    }

    /// What must change in a span that is kept so.
    pub(crate) fn stamp<B: Body>(&self, item: &Item<B>, is_local_root: bool) -> Option<Stamp> {
        let sampled = trace_state::read(item.trace_state()).sampled;
        let threshold = match sampled {
            Sampled::Unsaid if self.is_probable() && self.threshold > Threshold::ALWAYS => {
                ThresholdEdit::Write(self.threshold)
            }
            Sampled::Unsaid => ThresholdEdit::Leave,
            // Whoever sampled before had a threshold that this trace does not reach: nothing is known.
            Sampled::By(earlier) if !self.is_probable() || !earlier.admits(self.randomness) => {
                ThresholdEdit::Erase
            }
            Sampled::By(earlier) if earlier < self.threshold => ThresholdEdit::Write(self.threshold),
            Sampled::By(_) => ThresholdEdit::Leave,
            Sampled::Unreadable => ThresholdEdit::Erase,
        };
        let reason = (is_local_root && !self.is_probable()).then_some(self.decision);
        (threshold != ThresholdEdit::Leave || reason.is_some()).then_some(Stamp { threshold, reason })
    }
}

/// Judges traces, and remembers what it must of those before.
#[derive(Clone, Debug)]
pub struct Judge {
    sampling: Sampling,
    threshold: Threshold,
    boost: Option<Threshold>,
    /// One for each rule that counts, by the rule's place.
    limits: Vec<Option<Bucket>>,
    operations: Operations,
    rare: Rare,
    /// How often the ratio of an operation rose, and fell back.
    turns: (u64, u64),
    router: Router,
}

impl Judge {
    /// A judge who has seen nothing.
    pub fn new(sampling: Sampling) -> Self {
        let limit = |action| match action {
            Action::PerSecond(rate) => Some(Bucket::new(rate, if rate > 1.0 { rate } else { 1.0 })),
            _ => None,
        };
        Self {
            threshold: Threshold::of(sampling.ratio),
            boost: sampling.boost.map(Threshold::of),
            limits: sampling.rules.iter().map(|rule| limit(rule.then)).collect(),
            operations: Operations::new(),
            rare: Rare::new(),
            turns: (0, 0),
            router: Router::default(),
            sampling,
        }
    }

    /// The same, where there are several destinations.
    pub(crate) fn routed(self, router: Router) -> Self {
        Self { router, ..self }
    }

    pub(crate) const fn router(&self) -> &Router {
        &self.router
    }

    /// What would become of a trace of which the function did `spans`, as far as the spans can tell.
    /// `None` where there are none.
    pub fn explain<B: Body>(
        &mut self,
        now: Instant,
        spans: Vec<Span<B>>,
        about: &Circumstances,
    ) -> Option<Verdict> {
        let items: Vec<_> = spans.into_iter().map(Item::Received).collect();
        (!items.is_empty()).then(|| self.judge(now, &items, about))
    }

    /// How often the ratio of an operation rose because it departed from its baseline, and fell back.
    pub const fn turns(&self) -> (u64, u64) {
        self.turns
    }

    /// Judges what this function did of a trace, which is at least one span.
    pub(crate) fn judge<B: Body>(
        &mut self,
        now: Instant,
        items: &[Item<B>],
        about: &Circumstances,
    ) -> Verdict {
        let root = local_root(items).unwrap_or_default();
        let failure = about.failure.or(items.iter().any(Item::is_failure).then_some(Decision::Error));
        let (operation, kind) = items.get(root).map(keys).unwrap_or_default();
        let duration = items.get(root).map(|item| item.end().since(item.start())).unwrap_or_default();
        let standing = self.operations.add(operation, failure.is_some(), duration, self.sampling.slow);
        self.turns.0 += u64::from(standing.turn == Turn::Rises);
        self.turns.1 += u64::from(standing.turn == Turn::Falls);
        let is_rare = self.sampling.keeps_rare && self.rare.add(now, kind);
        let rules = &self.sampling.rules;
        let rule = rules.iter().position(|rule| rule.matches(items, root, &self.sampling.service));
        let mut verdict = Verdict {
            decision: Decision::Unsampled,
            rule,
            threshold: self.threshold_for(rule, standing),
            randomness: randomness(items),
            is_counted: false,
            routes: self.router.of_trace(items, root),
        };
        let word = || items.iter().filter_map(word_of).max();
        let settled = self.settled(now, rule, failure, word, about);
        verdict.is_counted = settled == Some(Decision::Rule)
            && rule.is_some_and(|rule| matches!(self.sampling.rules[rule].then, Action::PerSecond(_)));
        verdict.decision = settled
            .or_else(|| (self.sampling.keeps_cold_starts && about.is_cold).then_some(Decision::ColdStart))
            .or_else(|| standing.is_slow.then_some(Decision::Slow))
            .or_else(|| (is_rare && self.rare.may_keep(now)).then_some(Decision::Rare))
            .unwrap_or_else(|| self.by_chance(&verdict));
        verdict
    }

    /// What is found after a kill is kept: nobody knows any more what it was part of.
    pub(crate) fn recovered<B: Body>(&self, items: &[Item<B>]) -> Verdict {
        Verdict {
            decision: Decision::Recovered,
            rule: None,
            threshold: self.threshold,
            randomness: randomness(items),
            is_counted: false,
            routes: self.router.of_trace(items, local_root(items).unwrap_or_default()),
        }
    }

    /// `verdict`, which left a trace out, now that it is known to have failed.
    pub(crate) fn revise(&self, verdict: Verdict, failure: Decision) -> Verdict {
        let is_meant = verdict.decision == Decision::RuleDrop
            && verdict.rule.is_some_and(|rule| self.sampling.rules[rule].even_failures);
        if is_meant { verdict } else { Verdict { decision: failure, ..verdict } }
    }

    /// Whether probability alone would keep a trace, as far as its spans tell: what is worth less when room
    /// runs out before it can be judged.
    pub(crate) fn may_be_sampled<B: Body>(&self, items: &[Item<B>]) -> bool {
        self.threshold.admits(randomness(items))
    }

    fn threshold_for(&self, rule: Option<usize>, standing: Standing) -> Threshold {
        let of_rule = rule.and_then(|rule| match self.sampling.rules[rule].then {
            Action::Ratio(ratio) => Some(Threshold::of(ratio)),
            _ => None,
        });
        let threshold = of_rule.unwrap_or(self.threshold);
        // A rule that takes none means it: there is nothing to raise.
        let may_rise = standing.is_risen && threshold.share() > 0.0;
        self.boost.filter(|_| may_rise).map_or(threshold, |boost| boost.min(threshold))
    }

    /// What is settled before cold starts, slowness, rarity and chance are asked.
    fn settled(
        &mut self,
        now: Instant,
        rule: Option<usize>,
        failure: Option<Decision>,
        word: impl FnOnce() -> Option<bool>,
        about: &Circumstances,
    ) -> Option<Decision> {
        let matched = rule.map(|rule| &self.sampling.rules[rule]);
        let action = matched.map(|rule| rule.then);
        if action == Some(Action::Drop) && matched.is_some_and(|rule| rule.even_failures) {
            return Some(Decision::RuleDrop);
        }
        let upstream = || about.xray.filter(|_| self.sampling.obeys_xray);
        if failure.is_some() {
            return failure;
        }
        if let Some(is_wanted) = word() {
            return Some(if is_wanted { Decision::Forced } else { Decision::Unwanted });
        }
        if let Some(is_wanted) = upstream() {
            return Some(if is_wanted { Decision::Upstream } else { Decision::UpstreamDrop });
        }
        match action? {
            Action::Keep => Some(Decision::Rule),
            Action::Drop => Some(Decision::RuleDrop),
            Action::PerSecond(_) => {
                let may_pass = self.limits[rule?].as_mut().is_some_and(|limit| limit.take(now));
                Some(if may_pass { Decision::Rule } else { Decision::Limit })
            }
            Action::Ratio(_) => None,
        }
    }

    fn by_chance(&self, verdict: &Verdict) -> Decision {
        let ordinary = match verdict.rule.map(|rule| self.sampling.rules[rule].then) {
            Some(Action::Ratio(ratio)) => Threshold::of(ratio),
            _ => self.threshold,
        };
        if ordinary.admits(verdict.randomness) {
            Decision::Ratio
        } else if verdict.threshold.admits(verdict.randomness) {
            Decision::Boost
        } else {
            Decision::Unsampled
        }
    }
}

/// What a trace's place in any sample depends on: its `rv`, or else its id.
fn randomness<B: Body>(items: &[Item<B>]) -> Randomness {
    let own = items.iter().find_map(|item| trace_state::read(item.trace_state()).randomness);
    let of_id = || items.first().map(|item| Randomness::of_trace(&item.trace_id()));
    own.or_else(of_id).unwrap_or(Randomness::LEAST)
}

/// The code's own word on a span's trace. Of two words on a trace, the one that keeps it counts.
fn word_of<B: Body>(item: &Item<B>) -> Option<bool> {
    let [keep, priority] = item.attributes([KEEP, PRIORITY]);
    let keep = keep.and_then(|fact| match fact {
        Fact::Flag(flag) => Some(flag),
        Fact::Text(text) => match text.trim() {
            "true" | "1" => Some(true),
            "false" | "0" => Some(false),
            _ => None,
        },
        fact => number_of(fact).map(|number| number != 0.0),
    });
    keep.or_else(|| priority.and_then(number_of).map(|number| number > 0.0))
}

/// The operation that a local root stands for, and which kind of execution of it this was.
fn keys<B: Body>(root: &Item<B>) -> (u64, u64) {
    let route = root.attribute("http.route").and_then(Fact::text).unwrap_or_default();
    let operation = digest(digest(root.kind() as u64, root.name().as_bytes()), route.as_bytes());
    let outcome = OUTCOME_KEYS.iter().find_map(|key| root.attribute(key)).and_then(number_of);
    (operation, digest(operation, &outcome.unwrap_or_default().to_bits().to_be_bytes()))
}

/// FNV-1a: keys of a bounded memory, nobody gains by a collision.
fn digest(seed: u64, bytes: &[u8]) -> u64 {
    let start = (0xcbf2_9ce4_8422_2325 ^ seed).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(start, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests;

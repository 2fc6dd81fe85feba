//! The settings of sampling: how much is kept, and what of.

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::rules::{Action, Rule};
use super::threshold::Ratio;
use crate::time::Duration;

/// What is slow.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Slow {
    /// Nothing.
    Never,
    /// What takes at least so long.
    From(Duration),
    /// What takes longer than this share of the operation's own executions.
    Above(f64),
}

/// How much is kept, and what of.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampling {
    /// The share of traces that are kept for no reason of their own.
    pub ratio: Ratio,
    /// In order: the first that matches counts.
    pub rules: Vec<Rule>,
    /// Whether cold starts are kept.
    pub keeps_cold_starts: bool,
    /// Which executions are kept because they were slow.
    pub slow: Slow,
    /// Whether what has not been seen for long is kept.
    pub keeps_rare: bool,
    /// The share that is kept of an operation that departs from its baseline; `None` to change nothing then.
    pub boost: Option<Ratio>,
    /// Whether X-Ray's decision counts. Where X-Ray is off upstream it says "no" to everything.
    pub obeys_xray: bool,
    /// `service.name` of spans whose resource has none.
    pub service: Arc<str>,
}

impl Default for Sampling {
    /// Everything is kept.
    fn default() -> Self {
        Self {
            ratio: Ratio::ALL,
            rules: Vec::new(),
            keeps_cold_starts: true,
            slow: Slow::Above(0.99),
            keeps_rare: true,
            boost: None,
            obeys_xray: false,
            service: "".into(),
        }
    }
}

impl Sampling {
    /// Whether anything may be left out: otherwise spans flow as they come, and nothing is asked of them.
    pub fn is_active(&self) -> bool {
        let may_drop = |rule: &Rule| match rule.then {
            Action::Keep => false,
            Action::Ratio(ratio) => ratio < Ratio::ALL,
            Action::Drop | Action::PerSecond(_) => true,
        };
        self.ratio < Ratio::ALL || self.obeys_xray || self.rules.iter().any(may_drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampling::LooksAt;

    #[test]
    fn it_is_active_where_anything_may_be_left_out() {
        let share = |share| Ratio::new(share).expect("a share");
        let with = |then| Sampling {
            rules: alloc::vec![Rule {
                name: "r".into(),
                when: Vec::new(),
                looks_at: LooksAt::Entry,
                then,
                even_failures: false,
            }],
            ..Sampling::default()
        };
        let rows = [
            (Sampling::default(), false),
            (Sampling { ratio: share(0.5), ..Sampling::default() }, true),
            (Sampling { obeys_xray: true, ..Sampling::default() }, true),
            (with(Action::Keep), false),
            (with(Action::Drop), true),
            (with(Action::PerSecond(1.0)), true),
            (with(Action::Ratio(share(0.5))), true),
            (with(Action::Ratio(Ratio::ALL)), false),
        ];
        for (sampling, is_active) in rows {
            assert_eq!(sampling.is_active(), is_active, "{sampling:?}");
        }
    }
}

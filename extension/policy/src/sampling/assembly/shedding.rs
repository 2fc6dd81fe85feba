//! What goes first when room runs out: what would be left out anyway, then what is plain, then the oldest.

use crate::facts::Body;
use crate::sampling::fragments::Fragment;
use crate::sampling::item::Item;
use crate::time::Instant;

use super::Assembly;

impl<B: Body> Assembly<B> {
    /// Makes room with what would be left out anyway; false when nothing is.
    pub(crate) fn settle_oldest_doubt(&mut self) -> bool {
        // What only waits to be sent a second time goes first.
        if self.awaiting.forget_all() {
            return true;
        }
        let Some((trace_id, doubt)) = self.fragments.oldest_doubt() else { return false };
        self.settle(trace_id, doubt.verdict);
        true
    }

    /// Makes room with what is not judged yet: first what probability would not keep and what has not
    /// failed, which is given up; then what has waited longest is judged early. The number of spans given
    /// up; `None` when nothing waits.
    pub(crate) fn shed(&mut self, now: Instant) -> Option<u64> {
        let (fragments, judge) = (&mut self.fragments, &self.judge);
        let is_worth_more = |fragment: &Fragment<B>| {
            fragment.items.iter().any(Item::is_failure) || judge.may_be_sampled(&fragment.items)
        };
        // Those in doubt have gone before.
        if let Some(plain) = fragments.oldest_plain(is_worth_more) {
            return self.fragments.take(plain).map(|fragment| fragment.items.len() as u64);
        }
        let any = self.fragments.oldest()?;
        if self.judge_one(now, any, true) {
            return Some(0);
        }
        // In doubt, it is given up and not left out: its invocation may fail yet.
        self.fragments.take(any).map(|fragment| fragment.items.len() as u64)
    }
}

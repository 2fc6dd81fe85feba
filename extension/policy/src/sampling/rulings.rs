//! What judging has settled: the spans that are kept, the spans that are left out, and the reasons.

use alloc::vec::Vec;

use super::Decision;
use super::item::{Item, local_root};
use super::judge::Verdict;
use crate::entry::{Entry, Stamp};
use crate::facts::Body;

/// Everything that was settled since the last [`Rulings::take`].
#[derive(Clone, Debug)]
pub(crate) struct Rulings<B> {
    pub(crate) kept: Vec<Entry<B>>,
    pub(crate) left_out: u64,
    /// Encoded bytes of the spans that were left out.
    pub(crate) left_out_bytes: u64,
    /// The function's own bytes of the spans that were left out.
    pub(crate) left_out_bodies: Vec<B>,
    pub(crate) decisions: Vec<Decision>,
}

impl<B: Body> Rulings<B> {
    pub(super) const fn new() -> Self {
        Self {
            kept: Vec::new(),
            left_out: 0,
            left_out_bytes: 0,
            left_out_bodies: Vec::new(),
            decisions: Vec::new(),
        }
    }

    /// Hands over everything since the last call.
    pub(super) const fn take(&mut self) -> Self {
        core::mem::replace(self, Self::new())
    }

    /// Keeps `items`, all of one trace.
    pub(super) fn keep(&mut self, items: Vec<Item<B>>, verdict: Verdict) {
        self.decisions.push(verdict.decision);
        let root = local_root(&items);
        for (index, item) in items.into_iter().enumerate() {
            let stamp = verdict.stamp(&item, Some(index) == root);
            self.keep_late(item, stamp);
        }
    }

    /// Keeps a late span of a trace whose decision is counted already.
    pub(super) fn keep_late(&mut self, item: Item<B>, stamp: Option<Stamp>) {
        self.kept.push(item.into_entry(stamp));
    }

    /// Leaves `items` out, all of one trace.
    pub(super) fn leave_out(&mut self, items: Vec<Item<B>>, decision: Decision) {
        self.decisions.push(decision);
        items.into_iter().for_each(|item| self.leave_out_late(item));
    }

    /// Leaves a late span out, of a trace whose decision is counted already.
    pub(super) fn leave_out_late(&mut self, item: Item<B>) {
        self.left_out += 1;
        self.left_out_bytes += u64::from(item.size());
        self.left_out_bodies.extend(item.into_body());
    }
}

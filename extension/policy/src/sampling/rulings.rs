//! What judging has settled: the spans that are kept, the spans that are left out, and the reasons.

use alloc::vec::Vec;

use super::Decision;
use super::item::{Item, local_root};
use super::judge::Verdict;
use crate::entry::Entry;
use crate::facts::Body;
use crate::routing::{Router, Routes, Way};
use crate::shared::Shared;

/// Everything that was settled since the last [`Rulings::take`].
#[derive(Clone, Debug)]
pub(crate) struct Rulings<B> {
    pub(crate) kept: Vec<Kept<B>>,
    pub(crate) left_out: u64,
    /// Encoded bytes of the spans that were left out.
    pub(crate) left_out_bytes: u64,
    /// The function's own bytes of the spans that were left out.
    pub(crate) left_out_bodies: Vec<B>,
    pub(crate) decisions: Vec<Decision>,
}

/// A span that is kept, and where it goes.
#[derive(Clone, Debug)]
pub(crate) struct Kept<B> {
    pub(crate) entry: Entry<B>,
    pub(crate) routes: Routes,
    /// Whether it is here before, for other destinations.
    pub(crate) is_again: bool,
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
    pub(super) fn keep(&mut self, items: Vec<Item<B>>, verdict: Verdict, router: &Router) {
        self.decisions.push(verdict.decision);
        let root = local_root(&items);
        let is_failure = verdict.decision.is_failure() || items.iter().any(Item::is_failure);
        for (index, item) in items.into_iter().enumerate() {
            self.send(item, verdict, (Some(index) == root, is_failure), router);
        }
    }

    /// Keeps a late span of a trace whose decision is counted already.
    pub(super) fn keep_late(&mut self, item: Item<B>, verdict: Verdict, router: &Router) {
        let is_failure = verdict.decision.is_failure() || item.is_failure();
        self.send(item, verdict, (false, is_failure), router);
    }

    /// Sends a kept span to those that take it.
    fn send(
        &mut self,
        item: Item<B>,
        verdict: Verdict,
        (is_root, is_failure): (bool, bool),
        router: &Router,
    ) {
        let (routes, shares) = match router.way(verdict.routes, is_failure, verdict.randomness) {
            Way::To(routes, shares) => (routes, shares),
            Way::Nowhere => (Routes::NONE, Routes::NONE),
            Way::Nobody => return self.leave_out_late(item),
        };
        let shared = routes.and(shares).is_several().then(|| Shared::new(item.size()));
        // One of a share stands for more than it did.
        for (share, threshold) in router.thresholds(shares) {
            let verdict = Verdict { threshold: threshold.max(verdict.threshold), ..verdict };
            let entry = item.clone().into_entry(verdict.stamp(&item, is_root));
            let is_again = !routes.is_empty() || share != shares.first();
            self.kept.push(Kept {
                entry: Entry { shared: shared.clone(), ..entry },
                routes: share,
                is_again,
            });
        }
        if !routes.is_empty() || shares.is_empty() {
            let stamp = verdict.stamp(&item, is_root);
            let entry = Entry { shared, ..item.into_entry(stamp) };
            self.kept.push(Kept { entry, routes, is_again: false });
        }
    }

    /// Sends `items` to `routes`, which have not had them with the others.
    pub(super) fn send_again(&mut self, items: Vec<Item<B>>, verdict: Verdict, routes: Routes) {
        let root = local_root(&items);
        for (index, item) in items.into_iter().enumerate() {
            let stamp = verdict.stamp(&item, Some(index) == root);
            self.kept.push(Kept { entry: item.into_entry(stamp), routes, is_again: true });
        }
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

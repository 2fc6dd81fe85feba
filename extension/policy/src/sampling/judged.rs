//! What became of a trace, and whether that is the last word on a span that comes later.

use alloc::vec::Vec;

use super::item::Item;
use super::judge::Verdict;
use crate::facts::Body;
use crate::span::RequestId;
use crate::time::UnixNanos;

/// Which invocation a span is of.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Owner<'a> {
    /// The span names it, or what came with it does.
    Named(&'a RequestId),
    /// The one that ran when it began, or runs now.
    Likely(&'a RequestId),
    /// It is a part of what had ended before: of the one that its trace was of.
    OfTrace,
    Unknown,
}

/// What became of a trace, and of which part of it.
#[derive(Clone, Debug)]
pub(super) struct Judged {
    pub(super) verdict: Verdict,
    /// Which invocations that was of, as far as they were known.
    pub(super) invocations: Vec<RequestId>,
    /// The end of its last span: what began later is not a late part of it.
    pub(super) until: UnixNanos,
}

impl Judged {
    /// Whether what became of the trace is the last word on `item`, too: it is a late part of what was judged. Where that was
    /// left out, and the item is of an `invocation` that had no part in it, that one may have failed.
    pub(super) fn concerns<B: Body>(&self, item: &Item<B>, invocation: Option<&RequestId>) -> bool {
        let is_part = |id: &RequestId| self.invocations.contains(id);
        let is_its = self.verdict.decision.is_keep() || invocation.is_none_or(is_part);
        item.start() <= self.until && is_its
    }
}

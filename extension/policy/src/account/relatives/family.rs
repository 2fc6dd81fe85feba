//! The spans of one invocation: which of them is outermost, which trace they are of, and which parents are missing.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use super::{Place, Relative};
use crate::span::{Span, SpanId, TraceId};
use crate::time::UnixNanos;

/// Parents of dead children for which a placeholder is made.
pub(super) const PLACEHOLDERS_MAX: usize = 16;

/// Traces of one invocation that are looked through for one that misses its root.
pub(super) const TRACES_MAX: usize = 16;

/// See the module.
#[derive(Clone, Debug, Default)]
pub(crate) struct Family {
    relatives: Vec<Relative>,
}

impl Family {
    pub(super) fn of(relatives: impl Iterator<Item = Relative>) -> Self {
        Self { relatives: relatives.collect() }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.relatives.len()
    }

    pub(super) fn add(&mut self, relative: Relative) {
        self.relatives.push(relative);
    }

    /// The spans of both.
    pub(super) fn join(mut self, other: Self) -> Self {
        self.relatives.extend(other.relatives);
        self
    }

    /// Those that came before `/next` was asked for the time of this number.
    pub(super) fn before(mut self, turn: u64) -> Self {
        self.relatives.retain(|relative| relative.turn < turn);
        self
    }

    /// The parents that its spans name in the same process.
    pub(super) fn local_parents(&self) -> BTreeSet<(TraceId, SpanId)> {
        self.relatives.iter().filter_map(Relative::local_parent).collect()
    }

    /// The same with `spans`, wherever they are from.
    pub(crate) fn and<B>(mut self, spans: &[&Span<B>]) -> Self {
        self.relatives.extend(spans.iter().map(|span| Relative::of(span, u64::MAX)));
        self
    }

    /// Those that came after `/next` had been asked for the time of this number: what came before is of no invocation that
    /// began later, whatever time it claims.
    pub(crate) fn since(mut self, turn: u64) -> Self {
        self.relatives.retain(|relative| relative.turn >= turn);
        self
    }

    /// Leaves out spans that `is_other`, asked with their places and begins, says are another invocation's.
    pub(crate) fn without(mut self, is_other: impl Fn(Place, UnixNanos) -> bool) -> Self {
        self.relatives.retain(|relative| !is_other(relative.place, relative.start));
        self
    }

    /// A span of an entry kind that can stand for the invocation although it does not name it: the first whose parent
    /// is not in the invocation too; and whether it has failed.
    pub(crate) fn entry(&self) -> Option<(Place, bool)> {
        let present = self.present();
        let is_outer = |relative: &&Relative| {
            let parent = relative.parent().filter(|_| relative.parent_is_remote != Some(true));
            relative.is_entry
                && relative.request_id.is_none()
                && relative.parent_is_remote != Some(false)
                && parent.is_none_or(|parent| !present.contains(&parent))
        };
        self.relatives.iter().find(is_outer).map(|relative| (relative.place, relative.is_error))
    }

    /// Its spans, to look many up in: an invocation may have thousands.
    pub(super) fn present(&self) -> BTreeSet<(TraceId, SpanId)> {
        self.relatives.iter().map(Relative::id).collect()
    }

    /// When the earliest span began.
    pub(crate) fn earliest(&self) -> Option<UnixNanos> {
        self.relatives.iter().map(|relative| relative.start).min()
    }

    /// When the latest span ended, of those that ended by `until`: a span may claim any time.
    pub(crate) fn latest(&self, until: UnixNanos) -> Option<UnixNanos> {
        self.relatives.iter().map(|relative| relative.end).filter(|end| *end <= until).max()
    }

    /// The traces of the spans, each once, in order of arrival; a few are enough to see that there are several.
    pub(crate) fn traces(&self) -> Vec<TraceId> {
        let mut traces = Vec::new();
        for relative in &self.relatives {
            if !traces.contains(&relative.place.trace_id) {
                traces.push(relative.place.trace_id);
                if traces.len() == TRACES_MAX {
                    break;
                }
            }
        }
        traces
    }

    /// The trace that all spans are of; `None` where there are several, or none.
    pub(crate) fn trace(&self) -> Option<TraceId> {
        let first = self.relatives.first()?.place.trace_id;
        self.relatives.iter().all(|relative| relative.place.trace_id == first).then_some(first)
    }

    /// Parents that spans of `trace` name and nobody sent, each once, in order of arrival.
    ///
    /// Shape: at most [`PLACEHOLDERS_MAX`]; without parents in other processes when `local_only`.
    pub(crate) fn missing_parents(&self, trace: TraceId, local_only: bool) -> Vec<SpanId> {
        let of_trace = || self.relatives.iter().filter(|relative| relative.place.trace_id == trace);
        let mut present: Vec<SpanId> = of_trace().map(|relative| relative.place.span_id).collect();
        present.sort_unstable();
        let mut missing = Vec::new();
        for relative in of_trace().filter(|relative| !(local_only && relative.has_remote_parent())) {
            let Some(parent) = relative.place.parent else { continue };
            if present.binary_search(&parent).is_err() && !missing.contains(&parent) {
                missing.push(parent);
                if missing.len() == PLACEHOLDERS_MAX {
                    break;
                }
            }
        }
        missing
    }
}

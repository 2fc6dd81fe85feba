//! How the spans received in one invocation hang together: what tells where a missing root belongs.

use alloc::vec::Vec;

use crate::span::{Kind, Span, SpanId, TraceId};
use crate::time::UnixNanos;

/// Spans remembered per invocation. Beyond it the trace is still delivered, but a root that the function
/// never sent is no longer rebuilt from its children: 4,096 × 48 bytes is what a 128 MB function can spare.
const RELATIVES_MAX: usize = 4_096;
/// Parents of dead children for which a placeholder is made.
pub(crate) const PLACEHOLDERS_MAX: usize = 16;

/// Where in a trace a span stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) trace_id: TraceId,
    pub(crate) span_id: SpanId,
    pub(crate) parent: Option<SpanId>,
}

#[derive(Clone, Copy, Debug)]
struct Relative {
    place: Place,
    parent_is_remote: bool,
}

/// The spans of one invocation, as far as they are remembered.
#[derive(Clone, Debug, Default)]
pub(crate) struct Family {
    relatives: Vec<Relative>,
    /// A SERVER or CONSUMER span that does not say which invocation it is.
    entry: Option<Place>,
    earliest: Option<UnixNanos>,
    latest: Option<UnixNanos>,
}

impl Family {
    pub(crate) fn add<B>(&mut self, span: &Span<B>) {
        let place = Place { trace_id: span.trace_id, span_id: span.span_id, parent: span.parent };
        self.earliest = Some(self.earliest.map_or(span.start, |earliest| earliest.min(span.start)));
        self.latest = self.latest.max(Some(span.end));
        if span.kind.is_entry() && self.entry.is_none() {
            self.entry = Some(place);
        }
        if self.relatives.len() < RELATIVES_MAX {
            self.relatives.push(Relative { place, parent_is_remote: span.parent_is_remote == Some(true) });
        }
    }

    /// A span of an entry kind that can stand for the invocation.
    pub(crate) const fn entry(&self) -> Option<Place> {
        self.entry
    }

    /// When the earliest span began.
    pub(crate) const fn earliest(&self) -> Option<UnixNanos> {
        self.earliest
    }

    /// When the latest span ended.
    pub(crate) const fn latest(&self) -> Option<UnixNanos> {
        self.latest
    }

    /// The trace of the first span.
    pub(crate) fn trace(&self) -> Option<TraceId> {
        self.relatives.first().map(|relative| relative.place.trace_id)
    }

    /// The first span of `trace` that has no parent.
    pub(crate) fn root(&self, trace: TraceId) -> Option<SpanId> {
        let mut of_trace = self.relatives.iter().filter(|relative| relative.place.trace_id == trace);
        of_trace.find(|relative| relative.place.parent.is_none()).map(|relative| relative.place.span_id)
    }

    /// Parents that spans of `trace` name and nobody sent, each once, in order of arrival.
    ///
    /// Shape: at most [`PLACEHOLDERS_MAX`]; without parents that the sender called remote when
    /// `local_only`; empty when the family was too large to remember, because then nothing is certain.
    pub(crate) fn missing_parents(&self, trace: TraceId, local_only: bool) -> Vec<SpanId> {
        if self.relatives.len() >= RELATIVES_MAX {
            return Vec::new();
        }
        let of_trace = || self.relatives.iter().filter(|relative| relative.place.trace_id == trace);
        let mut present: Vec<SpanId> = of_trace().map(|relative| relative.place.span_id).collect();
        present.sort_unstable();
        let mut missing = Vec::new();
        for relative in of_trace().filter(|relative| !(local_only && relative.parent_is_remote)) {
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

/// The kind of the span that stands for an invocation nobody described.
pub(crate) const UNDESCRIBED_KIND: Kind = Kind::Server;

#[cfg(test)]
mod tests {
    use super::*;

    fn span(id: u8, parent: Option<u8>, is_remote: bool) -> Span<()> {
        Span {
            trace_id: TraceId::new([9; 16]).expect("not zero"),
            span_id: SpanId::new([id; 8]).expect("not zero"),
            parent: parent.map(|id| SpanId::new([id; 8]).expect("not zero")),
            parent_is_remote: Some(is_remote),
            kind: Kind::Client,
            start: UnixNanos(u64::from(id)),
            end: UnixNanos(u64::from(id) + 10),
            is_error: false,
            request_id: None,
            size: 1,
            body: (),
        }
    }

    fn family(spans: &[Span<()>]) -> (Family, TraceId) {
        let mut family = Family::default();
        spans.iter().for_each(|span| family.add(span));
        (family, TraceId::new([9; 16]).expect("not zero"))
    }

    #[test]
    fn it_names_the_parents_that_nobody_sent() {
        let (family, trace) =
            family(&[span(1, Some(7), false), span(2, Some(1), false), span(3, Some(7), false)]);
        assert_eq!(family.missing_parents(trace, true), [SpanId::new([7; 8]).expect("not zero")]);
        assert_eq!(family.root(trace), None);
    }

    #[test]
    fn a_remote_parent_is_not_missing_here() {
        let (family, trace) = family(&[span(1, Some(7), true)]);
        assert!(family.missing_parents(trace, true).is_empty());
        assert_eq!(family.missing_parents(trace, false).len(), 1);
    }

    #[test]
    fn a_family_too_large_to_remember_claims_nothing() {
        let spans: Vec<_> = (0..RELATIVES_MAX).map(|_| span(1, Some(7), false)).collect();
        let (family, trace) = family(&spans);
        assert!(family.missing_parents(trace, true).is_empty());
        assert_eq!(family.latest(), Some(UnixNanos(11)));
    }
}

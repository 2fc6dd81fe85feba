//! One thing that waits to be sent: what every part of policy hands on, and nobody looks into.

use alloc::boxed::Box;
use alloc::sync::Arc;

use crate::config::BOOKKEEPING_BYTES;
use crate::metrics::Measured;
use crate::sampling::Decision;
use crate::sampling::trace_state::ThresholdEdit;
use crate::shared::Shared;
use crate::span::{PlatformSpan, Signal};

/// One thing waiting to be sent.
#[derive(Clone, Debug)]
pub struct Entry<B> {
    /// Its signal.
    pub signal: Signal,
    /// How many spans, points or records it is.
    pub count: u32,
    /// Its size in bytes, encoded; an estimate where it is encoded later.
    pub size: u32,
    /// Whether it goes last when room runs out: failures, and spans that only we can make.
    pub is_precious: bool,
    /// What it is.
    pub content: Content<B>,
    /// What sampling has to write into it; `None` to leave it as it is. Boxed, because most have none.
    pub stamp: Option<Box<Stamp>>,
    /// Where several lanes hold it: how many do.
    pub shared: Option<Arc<Shared>>,
}

/// What is written into a span that sampling has kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// What becomes of the threshold in its tracestate.
    pub threshold: ThresholdEdit,
    /// Why it was kept although its trace is not in the sample: the attribute `sampling.reason`.
    pub reason: Option<Decision>,
}

impl Stamp {
    /// How much larger it makes a span, at most.
    pub(crate) const fn size(self) -> u32 {
        if self.reason.is_some() { 64 } else { 24 }
    }
}

/// What an [`Entry`] is.
#[derive(Clone, Debug)]
pub enum Content<B> {
    /// Bytes that came from the function.
    Received(B),
    /// A span made here.
    Made(Arc<PlatformSpan>),
    /// Metrics measured here.
    Measured(Arc<Measured>),
}

/// A rough size of an encoded [`PlatformSpan`]: bounds need no better.
pub(crate) const PLATFORM_SPAN_SIZE: u32 = 512;

impl<B> Entry<B> {
    /// What holding it costs in memory.
    pub(crate) const fn held(&self) -> usize {
        self.size as usize + BOOKKEEPING_BYTES
    }

    /// Whether it is of our own measurements.
    pub(crate) const fn is_measured(&self) -> bool {
        matches!(self.content, Content::Measured(_))
    }

    /// The function's own bytes, if it is of these.
    pub(crate) const fn body(&self) -> Option<&B> {
        match &self.content {
            Content::Received(body) => Some(body),
            Content::Made(_) | Content::Measured(_) => None,
        }
    }

    /// The same.
    pub(crate) const fn body_mut(&mut self) -> Option<&mut B> {
        match &mut self.content {
            Content::Received(body) => Some(body),
            Content::Made(_) | Content::Measured(_) => None,
        }
    }

    pub(crate) fn made(span: PlatformSpan) -> Self {
        Self {
            signal: Signal::Traces,
            count: 1,
            size: PLATFORM_SPAN_SIZE,
            is_precious: true,
            content: Content::Made(Arc::new(span)),
            stamp: None,
            shared: None,
        }
    }

    /// Points go last when room runs out: they are few, and what they tell of is told nowhere else.
    pub(crate) fn measured(measured: Measured) -> Self {
        Self {
            signal: Signal::Metrics,
            count: u32::try_from(measured.points.len()).unwrap_or(u32::MAX),
            size: u32::try_from(measured.size()).unwrap_or(u32::MAX),
            is_precious: true,
            content: Content::Measured(Arc::new(measured)),
            stamp: None,
            shared: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A threshold, and a reason beside it.
    #[test]
    fn a_stamp_makes_a_span_larger_by_what_it_says() {
        let sizes = [None, Some(Decision::Error)].map(|reason| {
            let stamp = Stamp { threshold: ThresholdEdit::Erase, reason };
            stamp.size()
        });
        assert_eq!(sizes, [24, 64]);
    }

    #[test]
    fn an_entry_costs_its_bytes_and_its_bookkeeping() {
        let content = Content::Received(());
        let entry = |size| Entry {
            signal: Signal::Logs,
            count: 1,
            size,
            is_precious: false,
            content: content.clone(),
            stamp: None,
            shared: None,
        };
        assert_eq!([0, 1, 1_000].map(|size| entry(size).held()), [128, 129, 1_128]);
        assert!(!entry(1).is_measured());
    }
}

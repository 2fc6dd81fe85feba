//! What is sent together: entries of one signal, up to a bound in bytes and in items.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::metrics::Measured;
use crate::sampling::Decision;
use crate::sampling::trace_state::ThresholdEdit;
use crate::span::{PlatformSpan, Signal};
use crate::time::Instant;

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

/// What an entry costs in memory besides its bytes, at most: its own place in a queue, where its span is in
/// the request it came with, and a second of each, because queues grow by doubling. `wire` checks that for its
/// bodies. It matters: a small span has no more bytes than this.
pub const BOOKKEEPING_BYTES: usize = 128;

impl<B> Entry<B> {
    /// What holding it costs in memory.
    pub(crate) const fn held(&self) -> usize {
        self.size as usize + BOOKKEEPING_BYTES
    }

    pub(crate) fn made(span: PlatformSpan) -> Self {
        Self {
            signal: Signal::Traces,
            count: 1,
            size: PLATFORM_SPAN_SIZE,
            is_precious: true,
            content: Content::Made(Arc::new(span)),
            stamp: None,
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
        }
    }
}

/// The name of a batch, for as long as it is not acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BatchId(pub u64);

/// Entries that are sent as one request.
#[derive(Clone, Debug)]
pub(crate) struct Batch<B> {
    pub(crate) id: BatchId,
    pub(crate) signal: Signal,
    pub(crate) entries: Arc<[Entry<B>]>,
    /// Sum of the entries' sizes.
    pub(crate) size: usize,
    /// Sum of the entries' counts.
    pub(crate) count: u64,
    /// Failed tries so far.
    pub(crate) attempts: u32,
    /// Whether it is part of a batch that was too large: it is not put together with others again.
    pub(crate) is_part: bool,
    /// Whether a broken connection has been forgiven.
    pub(crate) was_lost: bool,
    /// Whether a freeze has cut off its answer.
    pub(crate) was_cut_off: bool,
    /// Whether the backend may have it already: it is sent again as it was, so that a backend can tell.
    pub(crate) is_doubtful: bool,
    /// Not to be tried before this.
    pub(crate) not_before: Option<Instant>,
    /// When its oldest entry came.
    pub(crate) since: Instant,
}

impl<B: Clone> Batch<B> {
    pub(crate) fn new(id: BatchId, signal: Signal, entries: Vec<Entry<B>>, since: Instant) -> Self {
        let size = entries.iter().map(|entry| entry.size as usize).sum();
        let count = entries.iter().map(|entry| u64::from(entry.count)).sum();
        Self {
            id,
            signal,
            entries: entries.into(),
            size,
            count,
            attempts: 0,
            is_part: false,
            was_lost: false,
            was_cut_off: false,
            is_doubtful: false,
            not_before: None,
            since,
        }
    }

    /// What holding it costs in memory.
    pub(crate) fn held(&self) -> usize {
        self.size + self.entries.len() * BOOKKEEPING_BYTES
    }

    const fn is_alone(&self) -> bool {
        self.is_part || self.is_doubtful
    }

    /// Whether `other` may follow in the same request.
    pub(crate) fn may_take(&self, other: &Self) -> bool {
        self.signal == other.signal && !(self.is_alone() || other.is_alone())
    }

    /// One batch of several, in order, under the name of the first. What is left of an outage goes in as few
    /// requests as it fits in.
    pub(crate) fn join(self, others: &[Self]) -> Self {
        if others.is_empty() {
            return self;
        }
        let parts = || core::iter::once(&self).chain(others);
        let entries = parts().flat_map(|batch| batch.entries.iter().cloned()).collect();
        let attempts = parts().map(|batch| batch.attempts).max().unwrap_or_default();
        // A connection is forgiven once, in whatever company.
        let was_lost = parts().any(|batch| batch.was_lost);
        Self { attempts, was_lost, ..Self::new(self.id, self.signal, entries, self.since) }
    }

    /// The first entries, as many as `room` takes and one at least, under this name, and the rest under a new one; the
    /// batch itself when it is a single entry.
    pub(crate) fn cut(self, room: usize, next_id: impl FnOnce() -> BatchId) -> Result<[Self; 2], Self> {
        let mut size = 0;
        let fitting = self.entries.iter().take_while(|entry| {
            size += entry.size as usize;
            size <= room
        });
        let at = fitting.count().max(1);
        if at >= self.entries.len() {
            return Err(self);
        }
        let (first, rest) = self.entries.split_at(at);
        let part = |id, entries: &[Entry<B>]| Self {
            attempts: self.attempts,
            is_part: self.is_part,
            was_lost: self.was_lost,
            was_cut_off: self.was_cut_off,
            is_doubtful: self.is_doubtful,
            ..Self::new(id, self.signal, entries.to_vec(), self.since)
        };
        Ok([part(self.id, first), part(next_id(), rest)])
    }

    /// The two halves, under new names, or `None` when there is nothing to halve.
    pub(crate) fn halves(&self, mut next_id: impl FnMut() -> BatchId) -> Option<[Self; 2]> {
        let middle = self.entries.len() / 2;
        (middle > 0).then(|| {
            let (first, second) = self.entries.split_at(middle);
            [first, second].map(|half| Self {
                is_part: true,
                was_cut_off: self.was_cut_off,
                is_doubtful: self.is_doubtful,
                ..Self::new(next_id(), self.signal, half.to_vec(), self.since)
            })
        })
    }

    /// The entries that go last, and how many items of others were left out; `None` when all are such.
    pub(crate) fn without_plain(&self) -> Option<(Vec<Entry<B>>, u64)> {
        let precious: Vec<_> = self.entries.iter().filter(|entry| entry.is_precious).cloned().collect();
        if precious.len() == self.entries.len() {
            return None;
        }
        let kept: u64 = precious.iter().map(|entry| u64::from(entry.count)).sum();
        Some((precious, self.count - kept))
    }
}

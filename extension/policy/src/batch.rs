//! What is sent together: entries of one signal, up to a bound in bytes and in items.

use alloc::sync::Arc;
use alloc::vec::Vec;

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
}

/// What an [`Entry`] is.
#[derive(Clone, Debug)]
pub enum Content<B> {
    /// Bytes that came from the function.
    Received(B),
    /// A span made here.
    Made(Arc<PlatformSpan>),
}

/// A rough size of an encoded [`PlatformSpan`]: bounds need no better.
const PLATFORM_SPAN_SIZE: u32 = 512;

impl<B> Entry<B> {
    pub(crate) fn made(span: PlatformSpan) -> Self {
        Self {
            signal: Signal::Traces,
            count: 1,
            size: PLATFORM_SPAN_SIZE,
            is_precious: true,
            content: Content::Made(Arc::new(span)),
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
    /// Whether a broken connection has been forgiven.
    pub(crate) was_lost: bool,
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
            was_lost: false,
            not_before: None,
            since,
        }
    }

    /// The two halves, under new names, or `None` when there is nothing to halve.
    pub(crate) fn halves(&self, mut next_id: impl FnMut() -> BatchId) -> Option<[Self; 2]> {
        let middle = self.entries.len() / 2;
        (middle > 0).then(|| {
            let (first, second) = self.entries.split_at(middle);
            [first, second].map(|half| Self::new(next_id(), self.signal, half.to_vec(), self.since))
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

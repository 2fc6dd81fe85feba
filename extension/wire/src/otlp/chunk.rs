//! One received request and the places of what is in it: shared by all of its spans, copied by none.

use std::fmt;
use std::num::NonZeroU16;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use policy::Receipt;

/// A stretch of the request's bytes. Requests are bounded far below 4 GiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stretch {
    start: u32,
    end: u32,
}

impl Stretch {
    pub(crate) fn new(start: usize, end: usize) -> Self {
        let narrow = |at: usize| u32::try_from(at).expect("a request is bounded far below 4 GiB");
        Self { start: narrow(start), end: narrow(end) }
    }

    pub(crate) const fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    pub(crate) const fn len(self) -> usize {
        (self.end - self.start) as usize
    }
}

/// A `ResourceSpans` (or `ResourceMetrics`, `ResourceLogs`).
#[derive(Clone, Debug)]
pub(crate) struct Group {
    /// Its content.
    pub(crate) content: Stretch,
    /// Its `resource` field, tag and all: the first one, should it be split over several.
    pub(crate) resource: Option<Stretch>,
    /// The fields that are neither the resource nor spans, as they are.
    pub(crate) rest: Vec<Stretch>,
    /// Whether every span in its content was taken.
    pub(crate) is_whole: bool,
    /// The range of its spans in [`Chunk::spans`].
    pub(crate) spans: Range<u32>,
}

/// A `ScopeSpans`.
#[derive(Clone, Debug)]
pub(crate) struct Scope {
    pub(crate) group: u32,
    /// The fields that are not spans, as they are.
    pub(crate) rest: Vec<Stretch>,
}

/// A span: its field in the `ScopeSpans`, tag and all. There is one for every span that is held, so it is small.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SpanAt {
    pub(crate) field: Stretch,
    pub(crate) scope: u16,
    /// `None` where they have to be looked for.
    pub(crate) attributes: Option<AttributesAt>,
    pub(crate) name: TextAt,
    pub(crate) trace_state: TextAt,
}

/// Where a span's attributes are in its message, if they are as every SDK sends them: one after the other. They are most of
/// a span, and it is asked for them several times.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AttributesAt {
    start: NonZeroU16,
    end: u16,
}

impl AttributesAt {
    /// `None` where they begin the message, or end beyond what two bytes can count.
    pub(crate) fn new(range: Range<usize>) -> Option<Self> {
        let start = NonZeroU16::new(u16::try_from(range.start).ok()?)?;
        Some(Self { start, end: u16::try_from(range.end).ok()? })
    }

    /// The attributes of `span`.
    pub(crate) fn of(self, span: &[u8]) -> &[u8] {
        &span[usize::from(self.start.get())..usize::from(self.end)]
    }
}

/// Where the field of a text of a span begins in its message, counted from one; zero where it has none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TextAt(u8);

impl TextAt {
    /// Beyond what a byte can count: it has to be looked for.
    const FAR: u8 = u8::MAX;

    /// Of a field that begins at `start`.
    pub(crate) fn new(start: usize) -> Self {
        Self(u8::try_from(start + 1).unwrap_or(Self::FAR))
    }

    /// What the text in `span` begins with: its field. `None` where it has to be looked for.
    pub(crate) fn of(self, span: &[u8]) -> Option<&[u8]> {
        match self.0 {
            Self::FAR => None,
            0 => Some(&[]),
            number => Some(&span[usize::from(number) - 1..]),
        }
    }
}

// Queues grow by doubling, so an entry may have twice the room that it needs; the list of places has while a request is scanned.
const _: () = assert!(
    2 * (size_of::<policy::Entry<Body>>() + size_of::<SpanAt>()) <= policy::BOOKKEEPING_BYTES,
    "policy counts a span's bookkeeping too low"
);

/// Where what is.
#[derive(Debug, Default)]
pub(crate) struct Places {
    pub(crate) groups: Vec<Group>,
    pub(crate) scopes: Vec<Scope>,
    pub(crate) spans: Vec<SpanAt>,
}

/// Bytes of all requests of this process of which anything is held. One process has one memory.
static HELD: AtomicUsize = AtomicUsize::new(0);

/// Bytes of all requests of which anything is held: of one with 500 spans all of them, for as long as a single one is.
pub fn held_bytes() -> usize {
    HELD.load(Ordering::Relaxed)
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Chunk {
    pub(crate) bytes: Bytes,
    /// Set when the scan has ended, and not changed any more: bodies are made while it goes on.
    places: OnceLock<Places>,
    /// Let go of when the last span of the request is.
    pub(crate) keepsake: OnceLock<Keepsake>,
    /// Which spans of the request on record these are, where this was copied out of that; else they are the same.
    pub(crate) numbers: OnceLock<Box<[u32]>>,
}

/// Something of the caller's that lives as long as a request does, or a span that was copied out of it: its record.
pub trait Record: Send + Sync {
    /// These spans of it, by their numbers, are not to be read back. Each is told of once.
    fn leave_out(&self, spans: &[u32]);
}

/// What something was made of, which is on record until that is let go of as a whole.
impl Record for Body {
    fn leave_out(&self, _spans: &[u32]) {}
}

/// A record, shared by what was copied out of its request.
#[derive(Clone)]
pub(crate) struct Keepsake(pub(crate) Arc<dyn Record>);

impl fmt::Debug for Keepsake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keepsake")
    }
}

impl Chunk {
    pub(crate) fn new(bytes: Bytes) -> Self {
        HELD.fetch_add(bytes.len(), Ordering::Relaxed);
        Self { bytes, places: OnceLock::new(), keepsake: OnceLock::new(), numbers: OnceLock::new() }
    }

    pub(crate) fn set_places(&self, mut places: Places) {
        // It may be held for long, and has twice the room that it needs.
        places.spans.shrink_to_fit();
        self.places.set(places).expect("a request is scanned once");
    }

    pub(crate) fn places(&self) -> &Places {
        self.places.get().expect("no body leaves a scan before it has ended")
    }

    /// Which spans of the request on record these `spans` are.
    pub(crate) fn on_record(&self, spans: impl Iterator<Item = u32>) -> Vec<u32> {
        match self.numbers.get() {
            Some(numbers) => spans.filter_map(|span| numbers.get(span as usize).copied()).collect(),
            None => spans.collect(),
        }
    }

    pub(crate) fn slice(&self, stretch: Stretch) -> &[u8] {
        &self.bytes[stretch.range()]
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        HELD.fetch_sub(self.bytes.len(), Ordering::Relaxed);
    }
}

/// What policy carries unseen: a span of a request, or a whole request of metrics or logs.
#[derive(Clone, Debug)]
pub struct Body {
    pub(crate) chunk: Arc<Chunk>,
    /// Which span; `None` for the whole.
    pub(crate) span: Option<u32>,
}

impl Body {
    /// Keeps `record` for as long as anything of the request is held; only the first one is taken.
    pub fn keep(&self, record: impl Record + 'static) {
        self.keep_shared(Arc::new(record));
    }

    fn keep_shared(&self, record: Arc<dyn Record>) {
        let _ = self.chunk.keepsake.set(Keepsake(record));
    }

    /// Which span of its request this is, counted as they stand there; `None` for a whole request.
    pub const fn number(&self) -> Option<u32> {
        self.span
    }
}

/// Keeps `record` for as long as anything of what `receipt` brought is held: a request, or the parcels that it was cut into.
/// Only the first one is taken.
pub fn keep(receipt: &Receipt<Body>, record: impl Record + 'static) {
    let record: Arc<dyn Record> = Arc::new(record);
    let first_span = receipt.spans.first().map(|span| &span.body);
    let parcels = receipt.parcels.iter().map(|parcel| &parcel.body);
    for body in first_span.into_iter().chain(parcels) {
        body.keep_shared(record.clone());
    }
}

/// `bodies` are let go of, and should not come back. Where other spans of their request are held, its record stays, and is
/// told of them.
pub fn leave_out(mut bodies: Vec<Body>) {
    bodies.sort_unstable_by_key(|body| (Arc::as_ptr(&body.chunk).addr(), body.span));
    for of_one in bodies.chunk_by(|one, two| Arc::ptr_eq(&one.chunk, &two.chunk)) {
        let Some(chunk) = of_one.first().map(|body| &body.chunk) else { continue };
        let Some(Keepsake(record)) = chunk.keepsake.get() else { continue };
        let is_held = Arc::strong_count(chunk) > of_one.len() || Arc::strong_count(record) > 1;
        if is_held {
            record.leave_out(&chunk.on_record(of_one.iter().filter_map(|body| body.span)));
        }
    }
}

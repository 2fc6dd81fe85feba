//! The simulated spool: records that survive a kill, and bodies that are on record until they are let go.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;
use std::rc::Rc;

use policy::{
    Content, Entry, Kind, Parked, Place, PlatformSpan, Receipt, Signal, Span, SpanId, TraceId, UnixNanos,
};

/// What a span of this world carries: its number, and its place on record while anyone holds it.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) id: u64,
    disk: Disk,
}

/// The body of a span.
#[derive(Clone, Debug)]
pub(crate) struct Body(Rc<Held>);

impl policy::Body for Body {}

impl Deref for Body {
    type Target = Held;

    fn deref(&self) -> &Held {
        &self.0
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut disk = self.disk.0.borrow_mut();
        // A killed process settles nothing.
        if !disk.is_dying {
            disk.accepted.remove(&self.id);
        }
    }
}

#[derive(Debug, Default)]
struct Records {
    /// Accepted and still held by someone, where everything accepted is recorded.
    accepted: BTreeSet<u64>,
    parked: BTreeMap<u64, Vec<Piece>>,
    places: u64,
    is_dying: bool,
}

/// A span in a parked record.
#[derive(Clone, Debug)]
enum Piece {
    Received(u64),
    Made(Rc<PlatformSpan>),
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk(Rc<RefCell<Records>>);

/// What a span that was read back is taken to be: about the mean of those that are sent.
const SPAN_BYTES: usize = 300;

/// Numbers from here on stand for spans that were made, parked and read back.
pub(crate) const MADE: u64 = 1 << 60;

impl Disk {
    /// A body that is not on record yet.
    pub(crate) fn body(&self, id: u64) -> Body {
        Body(Rc::new(Held { id, disk: self.clone() }))
    }

    /// `id` is accepted: on record until its body is let go.
    pub(crate) fn accept(&self, id: u64) {
        self.0.borrow_mut().accepted.insert(id);
    }

    /// Writes a record.
    pub(crate) fn park(&self, entries: &[Entry<Body>]) -> Place {
        let pieces = entries.iter().map(|entry| match &entry.content {
            Content::Received(body) => Piece::Received(body.id),
            Content::Made(span) => Piece::Made(Rc::new((**span).clone())),
        });
        let pieces = pieces.collect();
        let mut disk = self.0.borrow_mut();
        disk.places += 1;
        let place = disk.places;
        disk.parked.insert(place, pieces);
        Place(place)
    }

    /// Reads a record back; it is gone from the disk when its last body is.
    pub(crate) fn unpark(&self, place: Place, made: &mut Vec<Rc<PlatformSpan>>) -> Receipt<Body> {
        let pieces = self.0.borrow_mut().parked.remove(&place.0).unwrap_or_default();
        let spans = pieces.into_iter().map(|piece| match piece {
            Piece::Received(id) => self.span(id),
            Piece::Made(span) => {
                made.push(span);
                self.span(MADE + made.len() as u64 - 1)
            }
        });
        Receipt { spans: spans.collect(), parcels: Vec::new() }
    }

    /// What was read and not looked at before the process left goes back.
    pub(crate) fn put_back(&self, receipt: &Receipt<Body>, made: &[Rc<PlatformSpan>]) {
        let piece = |id: u64| match id.checked_sub(MADE) {
            Some(index) => Piece::Made(made[index as usize].clone()),
            None => Piece::Received(id),
        };
        let pieces = receipt.spans.iter().map(|span| piece(span.body.id)).collect();
        let mut disk = self.0.borrow_mut();
        disk.places += 1;
        let place = disk.places;
        disk.parked.insert(place, pieces);
    }

    /// The process is killed: `let_go` drops everything it held, and the disk keeps its records.
    pub(crate) fn survive(&self, let_go: impl FnOnce()) {
        self.0.borrow_mut().is_dying = true;
        let_go();
        self.0.borrow_mut().is_dying = false;
    }

    /// What was accepted and not settled, for the next process.
    pub(crate) fn recovered(&self) -> Receipt<Body> {
        let ids: Vec<_> = self.0.borrow().accepted.iter().copied().collect();
        Receipt { spans: ids.into_iter().map(|id| self.span(id)).collect(), parcels: Vec::new() }
    }

    /// The records, for the next process.
    pub(crate) fn found(&self) -> Vec<Parked> {
        let disk = self.0.borrow();
        let parked = disk.parked.iter().map(|(place, pieces)| Parked {
            place: Place(*place),
            signal: Signal::Traces,
            count: pieces.len() as u64,
            size: pieces.len() * SPAN_BYTES,
        });
        parked.collect()
    }

    /// Spans in parked records.
    pub(crate) fn parked(&self) -> u64 {
        self.0.borrow().parked.values().map(|pieces| pieces.len() as u64).sum()
    }

    /// About how many bytes they are.
    pub(crate) fn parked_bytes(&self) -> usize {
        self.parked() as usize * SPAN_BYTES
    }

    /// Whether `id` is in a parked record.
    pub(crate) fn has_parked(&self, id: u64) -> bool {
        let disk = self.0.borrow();
        disk.parked.values().flatten().any(|piece| matches!(piece, Piece::Received(other) if *other == id))
    }

    fn span(&self, id: u64) -> Span<Body> {
        self.accept(id);
        Span {
            trace_id: TraceId::new([0xaa; 16]).expect("not zero"),
            span_id: SpanId::new((id + 1).to_be_bytes()).expect("not zero"),
            parent: None,
            parent_is_remote: None,
            kind: Kind::Internal,
            start: UnixNanos(0),
            end: UnixNanos(1),
            is_error: false,
            request_id: None,
            size: SPAN_BYTES as u32,
            body: self.body(id),
        }
    }
}

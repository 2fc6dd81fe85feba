//! The simulated spool: records that survive a kill, and bodies that are on record until they are let go.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;

use policy::{
    Content, Entry, Kind, Measured, Parcel, Parked, Place, PlatformSpan, Receipt, Signal, Span, SpanId,
    TraceId, UnixNanos,
};

/// What a span of this world carries: its number, and its place on record while anyone holds it.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) id: u64,
    pub(crate) trace_id: TraceId,
    disk: Disk,
}

/// The body of a span.
#[derive(Clone, Debug)]
pub(crate) struct Body(Rc<Held>);

impl policy::Body for Body {
    fn name(&self) -> &str {
        ["pay", "list", "health"][self.id as usize % 3]
    }

    fn trace_state(&self) -> &str {
        ["", "ot=th:0", "a=1"][self.id as usize / 3 % 3]
    }
}

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
    /// Points that were ever parked.
    metered: Vec<Arc<Measured>>,
    places: u64,
    is_dying: bool,
}

/// A span in a parked record.
#[derive(Clone, Debug)]
enum Piece {
    Received(u64),
    Made(Rc<PlatformSpan>),
    /// Points, by their number.
    Metered(u64),
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk(Rc<RefCell<Records>>);

/// What a span that was read back is taken to be: about the mean of those that are sent.
const SPAN_BYTES: usize = 300;

/// The trace of what was read back: this disk does not remember it.
fn unknown_trace() -> TraceId {
    TraceId::new([0xaa; 16]).expect("not zero")
}

/// Numbers from here on stand for spans that were made, parked and read back.
pub(crate) const MADE: u64 = 1 << 60;
/// The same of metrics.
pub(crate) const METERED: u64 = 1 << 61;

impl Disk {
    /// A body that is not on record yet.
    pub(crate) fn body(&self, id: u64, trace_id: TraceId) -> Body {
        Body(Rc::new(Held { id, trace_id, disk: self.clone() }))
    }

    /// `id` is accepted: on record until its body is let go.
    pub(crate) fn accept(&self, id: u64) {
        self.0.borrow_mut().accepted.insert(id);
    }

    /// Writes a record.
    pub(crate) fn park(&self, entries: &[Entry<Body>]) -> Place {
        let mut disk = self.0.borrow_mut();
        let pieces = entries.iter().map(|entry| match &entry.content {
            Content::Received(body) if body.id >= METERED => Piece::Metered(body.id),
            Content::Received(body) => Piece::Received(body.id),
            Content::Made(span) => Piece::Made(Rc::new((**span).clone())),
            Content::Measured(measured) => {
                disk.metered.push(measured.clone());
                Piece::Metered(METERED + disk.metered.len() as u64 - 1)
            }
        });
        let pieces = pieces.collect();
        disk.places += 1;
        let place = disk.places;
        disk.parked.insert(place, pieces);
        Place(place)
    }

    /// Reads a record back; it is gone from the disk when its last body is.
    pub(crate) fn unpark(&self, place: Place, made: &mut Vec<Rc<PlatformSpan>>) -> Receipt<Body> {
        let pieces = self.0.borrow_mut().parked.remove(&place.0).unwrap_or_default();
        let mut receipt = Receipt::EMPTY;
        for piece in pieces {
            match piece {
                Piece::Received(id) => receipt.spans.push(self.span(id)),
                Piece::Made(span) => {
                    made.push(span);
                    receipt.spans.push(self.span(MADE + made.len() as u64 - 1));
                }
                Piece::Metered(id) => receipt.parcels.push(Parcel {
                    signal: Signal::Metrics,
                    count: self.metered(id).points.len() as u32,
                    size: SPAN_BYTES as u32,
                    body: self.body(id, unknown_trace()),
                }),
            }
        }
        receipt
    }

    /// Points that were parked under this number.
    pub(crate) fn metered(&self, id: u64) -> Arc<Measured> {
        self.0.borrow().metered[(id - METERED) as usize].clone()
    }

    /// What was read and not looked at before the process left goes back.
    pub(crate) fn put_back(&self, receipt: &Receipt<Body>, made: &[Rc<PlatformSpan>]) {
        let piece = |id: u64| match id.checked_sub(MADE) {
            Some(index) => Piece::Made(made[index as usize].clone()),
            None => Piece::Received(id),
        };
        let spans = receipt.spans.iter().map(|span| piece(span.body.id));
        let points = receipt.parcels.iter().map(|parcel| Piece::Metered(parcel.body.id));
        let pieces = spans.chain(points).collect();
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
        let points = |piece: &Piece| match piece {
            Piece::Metered(id) => Some(disk.metered[(id - METERED) as usize].points.len() as u64),
            _ => None,
        };
        let parked = disk.parked.iter().map(|(place, pieces)| {
            let is_metrics = pieces.iter().any(|piece| points(piece).is_some());
            Parked {
                place: Place(*place),
                signal: if is_metrics { Signal::Metrics } else { Signal::Traces },
                count: pieces.iter().map(|piece| points(piece).unwrap_or(1)).sum(),
                size: pieces.len() * SPAN_BYTES,
            }
        });
        parked.collect()
    }

    /// Spans in parked records.
    pub(crate) fn parked(&self) -> u64 {
        let disk = self.0.borrow();
        let spans = disk.parked.values().flatten().filter(|piece| !matches!(piece, Piece::Metered(_)));
        spans.count() as u64
    }

    /// About how many bytes they are.
    pub(crate) fn parked_bytes(&self) -> usize {
        let disk = self.0.borrow();
        let size = |piece: &Piece| match piece {
            Piece::Metered(id) => disk.metered[(id - METERED) as usize].points.len() * SPAN_BYTES,
            Piece::Received(_) | Piece::Made(_) => SPAN_BYTES,
        };
        disk.parked.values().flatten().map(size).sum()
    }

    /// Whether `id` is in a parked record.
    pub(crate) fn has_parked(&self, id: u64) -> bool {
        let disk = self.0.borrow();
        disk.parked.values().flatten().any(|piece| matches!(piece, Piece::Received(other) if *other == id))
    }

    fn span(&self, id: u64) -> Span<Body> {
        self.accept(id);
        let trace_id = unknown_trace();
        Span {
            trace_id,
            span_id: SpanId::new((id + 1).to_be_bytes()).expect("not zero"),
            parent: None,
            parent_is_remote: None,
            kind: Kind::Internal,
            start: UnixNanos(0),
            end: UnixNanos(1),
            is_error: false,
            request_id: None,
            size: SPAN_BYTES as u32,
            body: self.body(id, trace_id),
        }
    }
}

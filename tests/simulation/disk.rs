//! The simulated spool: records that survive a kill, and bodies that are on record until they are let go.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;

use policy::{
    Content, Entry, Kind, Measured, Parcel, Parked, Place, PlatformSpan, Receipt, Signal, Span, SpanId,
    TraceId, UnixNanos,
};

/// What a span or parcel of this world carries.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) id: u64,
    pub(crate) trace_id: TraceId,
    /// Log records in it.
    pub(crate) count: u32,
    /// A span that was announced, and closed with this end and class.
    pub(crate) closed: Option<(UnixNanos, String)>,
    /// The span that log records were put under.
    pub(crate) placed: Option<(TraceId, SpanId)>,
    /// The announcement of a closed span, which stays on record for as long as that is held.
    pub(crate) keeps: Option<Body>,
}

impl Default for Facts {
    fn default() -> Self {
        let trace_id = TraceId::new([0xaa; 16]).expect("not zero");
        Self { id: 0, trace_id, count: 1, closed: None, placed: None, keeps: None }
    }
}

/// The same, and its place on record while anyone holds it.
#[derive(Debug)]
pub(crate) struct Held {
    facts: Facts,
    disk: Disk,
}

/// The body of a span or parcel.
#[derive(Clone, Debug)]
pub(crate) struct Body(Rc<Held>);

impl Body {
    /// The same of other facts.
    fn with(&self, facts: Facts) -> Self {
        Self(Rc::new(Held { facts, disk: self.0.disk.clone() }))
    }
}

impl policy::Body for Body {
    fn name(&self) -> &str {
        ["pay", "list", "health"][self.id as usize % 3]
    }

    fn trace_state(&self) -> &str {
        ["", "ot=th:0", "a=1"][self.id as usize / 3 % 3]
    }

    fn placed(&self, trace_id: &TraceId, span_id: &SpanId) -> Option<(Self, u32)> {
        let placed = Some((*trace_id, *span_id));
        Some((self.with(Facts { placed, ..self.0.facts.clone() }), 100 * self.count + 26))
    }

    fn closed(&self, end: UnixNanos, class: &str) -> Option<(Self, u32)> {
        let (closed, keeps) = (Some((end, class.to_owned())), Some(self.clone()));
        Some((self.with(Facts { closed, keeps, ..self.0.facts.clone() }), 200))
    }
}

impl Deref for Body {
    type Target = Facts;

    fn deref(&self) -> &Facts {
        &self.0.facts
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut disk = self.disk.0.borrow_mut();
        // A killed process settles nothing.
        if !disk.is_dying && self.facts.keeps.is_none() {
            disk.accepted.remove(&self.facts.id);
        }
    }
}

#[derive(Debug, Default)]
struct Records {
    /// Accepted and still held by someone, where everything accepted is recorded.
    accepted: BTreeMap<u64, Span<Facts>>,
    parked: BTreeMap<u64, Vec<Piece>>,
    /// Records of metrics and logs that were read back.
    bundles: Vec<Vec<Piece>>,
    places: u64,
    is_dying: bool,
}

/// Something in a parked record.
#[derive(Clone, Debug)]
pub(crate) enum Piece {
    /// A span or log records: the number of the body, what else it carries, and its size.
    Received(u64, TraceId, Option<(UnixNanos, String)>, u32),
    Made(Rc<PlatformSpan>),
    /// Points, and their size.
    Metered(Arc<Measured>, u32),
    /// Log records, their count, and where they were put.
    Logged(u64, u32, Option<(TraceId, SpanId)>),
}

impl Piece {
    /// Its size when it is read back: what is made here was only estimated before.
    fn size(&self) -> usize {
        match self {
            Self::Received(_, _, _, size) => *size as usize,
            Self::Made(_) => 700,
            Self::Metered(_, size) => *size as usize,
            Self::Logged(_, count, _) => *count as usize * 100,
        }
    }

    fn count(&self) -> u64 {
        match self {
            Self::Received(..) | Self::Made(_) => 1,
            Self::Metered(measured, _) => measured.points.len() as u64,
            Self::Logged(_, count, _) => u64::from(*count),
        }
    }

    const fn signal(&self) -> Signal {
        match self {
            Self::Received(..) | Self::Made(_) => Signal::Traces,
            Self::Metered(..) => Signal::Metrics,
            Self::Logged(..) => Signal::Logs,
        }
    }
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk(Rc<RefCell<Records>>);

/// Whether a span of this number was announced.
pub(crate) const fn is_announced(id: u64) -> bool {
    id >= ANNOUNCED && id < MADE
}

/// Numbers from here on stand for log records.
pub(crate) const LOGGED: u64 = 1 << 58;
/// For spans that were announced.
pub(crate) const ANNOUNCED: u64 = 1 << 59;
/// For spans that were made, parked and read back.
pub(crate) const MADE: u64 = 1 << 60;
/// For records of metrics and logs that were read back.
pub(crate) const BUNDLED: u64 = 1 << 61;

impl Disk {
    /// A body that is not on record yet.
    pub(crate) fn body(&self, facts: Facts) -> Body {
        Body(Rc::new(Held { facts, disk: self.clone() }))
    }

    /// `span` is accepted: on record until its body is let go.
    pub(crate) fn accept(&self, span: &Span<Body>) {
        let record = with_body(span, span.body.0.facts.clone());
        self.0.borrow_mut().accepted.insert(span.body.id, record);
    }

    /// Writes a record.
    pub(crate) fn park(&self, entries: &[Entry<Body>]) -> Place {
        let mut disk = self.0.borrow_mut();
        let mut pieces = Vec::new();
        for entry in entries {
            match &entry.content {
                Content::Received(body) if body.id >= BUNDLED => {
                    pieces.extend(disk.bundles[(body.id - BUNDLED) as usize].clone());
                }
                Content::Received(body) if entry.signal == Signal::Logs => {
                    pieces.push(Piece::Logged(body.id, body.count, body.placed));
                }
                Content::Received(body) => {
                    let closed = body.closed.clone();
                    pieces.push(Piece::Received(body.id, body.trace_id, closed, entry.size));
                }
                Content::Made(span) => pieces.push(Piece::Made(Rc::new((**span).clone()))),
                Content::Measured(measured) => pieces.push(Piece::Metered(measured.clone(), entry.size)),
            }
        }
        disk.places += 1;
        let place = disk.places;
        disk.parked.insert(place, pieces);
        Place(place)
    }

    /// Reads a record back; it is gone from the disk when its last body is.
    pub(crate) fn unpark(&self, place: Place, made: &mut Vec<Rc<PlatformSpan>>) -> Receipt<Body> {
        let pieces = self.0.borrow_mut().parked.remove(&place.0).unwrap_or_default();
        let mut receipt = Receipt::EMPTY;
        let signal = pieces.first().map_or(Signal::Traces, Piece::signal);
        if signal != Signal::Traces {
            let count = pieces.iter().map(Piece::count).sum::<u64>() as u32;
            let size = pieces.iter().map(Piece::size).sum::<usize>() as u32;
            let mut disk = self.0.borrow_mut();
            disk.bundles.push(pieces);
            let id = BUNDLED + disk.bundles.len() as u64 - 1;
            drop(disk);
            let body = self.body(Facts { id, count, ..Facts::default() });
            receipt.parcels.push(Parcel { signal, count, size, body });
            return receipt;
        }
        for piece in pieces {
            let size = piece.size() as u32;
            let facts = match piece {
                // The announcement is not on record any more: what was closed is.
                Piece::Received(id, trace_id, closed, _) => {
                    Facts { id, trace_id, closed, ..Facts::default() }
                }
                Piece::Made(span) => {
                    made.push(span);
                    Facts { id: MADE + made.len() as u64 - 1, ..Facts::default() }
                }
                Piece::Metered(..) | Piece::Logged(..) => unreachable!("a record has one signal"),
            };
            receipt.spans.push(self.span(facts, size));
        }
        receipt
    }

    /// What is in a record of metrics or logs that was read back.
    pub(crate) fn bundle(&self, id: u64) -> Vec<Piece> {
        self.0.borrow().bundles[(id - BUNDLED) as usize].clone()
    }

    /// What was read and not looked at before the process left goes back.
    pub(crate) fn put_back(&self, receipt: &Receipt<Body>, made: &[Rc<PlatformSpan>]) {
        let piece = |span: &Span<Body>| match span.body.id.checked_sub(MADE) {
            Some(index) => Piece::Made(made[index as usize].clone()),
            None => Piece::Received(span.body.id, span.body.trace_id, span.body.closed.clone(), span.size),
        };
        let spans: Vec<_> = receipt.spans.iter().map(piece).collect();
        let bundled = receipt.parcels.iter().flat_map(|parcel| self.bundle(parcel.body.id));
        let pieces = spans.into_iter().chain(bundled).collect();
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

    /// What was accepted and not settled, and what was announced, for the next process.
    pub(crate) fn recovered(&self) -> (Receipt<Body>, Vec<Span<Body>>) {
        let records: Vec<_> = self.0.borrow().accepted.values().cloned().collect();
        let spans = records.into_iter().map(|record| with_body(&record, self.body(record.body.clone())));
        let is_open = |span: &Span<Body>| span.body.closed.is_none() && is_announced(span.body.id);
        let (announced, spans) = spans.partition(is_open);
        (Receipt { spans, parcels: Vec::new() }, announced)
    }

    /// The records, for the next process.
    pub(crate) fn found(&self) -> Vec<Parked> {
        let disk = self.0.borrow();
        let parked = disk.parked.iter().map(|(place, pieces)| Parked {
            place: Place(*place),
            signal: pieces.first().map_or(Signal::Traces, Piece::signal),
            count: pieces.iter().map(Piece::count).sum(),
            size: pieces.iter().map(Piece::size).sum(),
        });
        parked.collect()
    }

    /// Items of `signal` in parked records.
    pub(crate) fn parked(&self, signal: Signal) -> u64 {
        let disk = self.0.borrow();
        let of_signal = disk.parked.values().flatten().filter(|piece| piece.signal() == signal);
        of_signal.map(Piece::count).sum()
    }

    /// About how many bytes they are.
    pub(crate) fn parked_bytes(&self) -> usize {
        self.0.borrow().parked.values().flatten().map(Piece::size).sum()
    }

    /// Whether `id` is in a parked record.
    pub(crate) fn has_parked(&self, id: u64) -> bool {
        let disk = self.0.borrow();
        disk.parked.values().flatten().any(|piece| match piece {
            Piece::Received(other, ..) | Piece::Logged(other, ..) => *other == id,
            Piece::Made(_) | Piece::Metered(..) => false,
        })
    }

    fn span(&self, facts: Facts, size: u32) -> Span<Body> {
        let span = Span {
            trace_id: facts.trace_id,
            // This disk does not remember which: one that no other span has.
            span_id: SpanId::new(((1 << 63) + facts.id).to_be_bytes()).expect("not zero"),
            parent: None,
            parent_is_remote: None,
            kind: Kind::Internal,
            start: UnixNanos(0),
            end: UnixNanos(1),
            is_error: false,
            request_id: None,
            size,
            body: self.body(facts),
        };
        self.accept(&span);
        span
    }
}

fn with_body<A, B>(span: &Span<A>, body: B) -> Span<B> {
    Span {
        trace_id: span.trace_id,
        span_id: span.span_id,
        parent: span.parent,
        parent_is_remote: span.parent_is_remote,
        kind: span.kind,
        start: span.start,
        end: span.end,
        is_error: span.is_error,
        request_id: span.request_id.clone(),
        size: span.size,
        body,
    }
}

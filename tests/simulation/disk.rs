//! The simulated spool: records that survive a kill, and bodies that are on record until they are let go.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;

use policy::{
    Content, Entry, Fact, Kind, LaneId, Measured, Parcel, Parked, Place, PlatformSpan, Receipt, Signal, Span,
    SpanId, TraceId, UnixNanos,
};

/// What a span or parcel of this world carries.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) id: u64,
    /// The number of the invocation that it is of; 0 for one of init.
    pub(crate) of: u64,
    pub(crate) is_error: bool,
    pub(crate) trace_id: TraceId,
    pub(crate) span_id: SpanId,
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
        let span_id = SpanId::new([0xaa; 8]).expect("not zero");
        Self {
            id: 0,
            of: 0,
            is_error: false,
            trace_id,
            span_id,
            count: 1,
            closed: None,
            placed: None,
            keeps: None,
        }
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

    fn attribute(&self, key: &str) -> Option<Fact<'_>> {
        let is_marked = match key {
            "prefreeze.unfinished" => self.closed.is_some(),
            "prefreeze.synthetic" => self.id >= MADE,
            _ => false,
        };
        is_marked.then_some(Fact::Flag(true))
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

impl Body {
    /// Whether somebody else holds the same.
    pub(crate) fn is_shared(&self) -> bool {
        Rc::strong_count(&self.0) > 1
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
            disk.let_go(self.facts.id);
            if self.facts.id < LOGGED {
                disk.released.push((self.facts.id, self.facts.is_error));
            }
        }
    }
}

#[derive(Debug, Default)]
struct Records {
    /// Accepted and still held by someone, where everything accepted is recorded; with their place in the order.
    accepted: BTreeMap<u64, (u64, Span<Facts>)>,
    /// How many more bodies of such a span there are: what is read back for one destination another may hold yet.
    again: BTreeMap<u64, u32>,
    /// The last place in that order, and where the running invocation was put on record.
    order: u64,
    begun: u64,
    parked: BTreeMap<u64, Vec<Piece>>,
    /// The places of what is owed to the second destination, and which one is looked at.
    of_second: BTreeSet<u64>,
    at: u8,
    /// Records of metrics and logs that were read back.
    bundles: Vec<Vec<Piece>>,
    /// Spans whose body was let go since the last look, and whether each is an error.
    released: Vec<(u64, bool)>,
    places: u64,
    is_dying: bool,
}

/// Something in a parked record.
#[derive(Clone, Debug)]
pub(crate) enum Piece {
    /// A span: what it carries, and its size.
    Received(Facts, u32),
    Made(Rc<PlatformSpan>),
    /// Points, and their size.
    Metered(Arc<Measured>, u32),
    /// Log records, their count, and where they were put.
    Logged(u64, u32, Option<(TraceId, SpanId)>),
}

impl Piece {
    /// A span on its way to the disk. The announcement of a closed one is not on record any more: what was closed is.
    fn of(body: &Body, size: u32) -> Self {
        Self::Received(Facts { keeps: None, ..body.0.facts.clone() }, size)
    }

    /// Its size when it is read back: what is made here was only estimated before.
    fn size(&self) -> usize {
        match self {
            Self::Received(_, size) => *size as usize,
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

/// What a killed process leaves.
pub(crate) struct Recovered {
    /// Spans that were accepted before its last invocation was put on record.
    pub(crate) earlier: Vec<Span<Body>>,
    /// Those accepted since.
    pub(crate) since: Vec<Span<Body>>,
    pub(crate) announced: Vec<Span<Body>>,
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

impl Records {
    /// A body of this span is let go of.
    fn let_go(&mut self, id: u64) {
        match self.again.get_mut(&id) {
            Some(again) if *again > 0 => *again -= 1,
            _ => drop(self.accepted.remove(&id)),
        }
    }

    /// What is in parked records of the destination that is looked at.
    fn looked_at(&self) -> impl Iterator<Item = &Piece> {
        let is_it = |place: &u64| self.of_second.contains(place) == (self.at == 1);
        self.parked.iter().filter(move |(place, _)| is_it(place)).flat_map(|(_, pieces)| pieces)
    }
}

impl Disk {
    /// Looks at what is owed to this destination.
    pub(crate) fn look_at(&self, destination: u8) {
        self.0.borrow_mut().at = destination;
    }

    /// A body that is not on record yet.
    pub(crate) fn body(&self, facts: Facts) -> Body {
        Body(Rc::new(Held { facts, disk: self.clone() }))
    }

    /// `span` is accepted: on record until its body is let go.
    pub(crate) fn accept(&self, span: &Span<Body>) {
        let record = with_body(span, span.body.0.facts.clone());
        let mut disk = self.0.borrow_mut();
        disk.order += 1;
        let order = disk.order;
        if disk.accepted.insert(span.body.id, (order, record)).is_some() {
            *disk.again.entry(span.body.id).or_default() += 1;
        }
    }

    /// Spans whose body was let go since the last call, and whether each is an error.
    pub(crate) fn take_released(&self) -> Vec<(u64, bool)> {
        std::mem::take(&mut self.0.borrow_mut().released)
    }

    /// Spans that someone holds, and whether each is an error.
    pub(crate) fn held(&self) -> Vec<(u64, bool)> {
        let disk = self.0.borrow();
        disk.accepted.iter().map(|(id, (_, span))| (*id, span.is_error)).collect()
    }

    /// The running invocation is put on record.
    pub(crate) fn begin(&self) {
        let mut disk = self.0.borrow_mut();
        disk.begun = disk.order;
    }

    /// Writes a record.
    pub(crate) fn park(&self, entries: &[Entry<Body>], destination: u8) -> Place {
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
                Content::Received(body) => pieces.push(Piece::of(body, entry.size)),
                Content::Made(span) => pieces.push(Piece::Made(Rc::new((**span).clone()))),
                Content::Measured(measured) => pieces.push(Piece::Metered(measured.clone(), entry.size)),
            }
        }
        disk.places += 1;
        let place = disk.places;
        disk.parked.insert(place, pieces);
        if destination > 0 {
            disk.of_second.insert(place);
        }
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
                Piece::Received(facts, _) => facts,
                Piece::Made(span) => {
                    let (trace_id, span_id) = (span.trace_id, span.span_id);
                    made.push(span);
                    Facts { id: MADE + made.len() as u64 - 1, trace_id, span_id, ..Facts::default() }
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

    /// The process is killed: `let_go` drops everything it held, and the disk keeps its records.
    pub(crate) fn survive(&self, let_go: impl FnOnce()) {
        self.0.borrow_mut().is_dying = true;
        let_go();
        self.0.borrow_mut().is_dying = false;
    }

    /// What was accepted and not settled, and what was announced, for the next process; `max` spans of the first at the
    /// most. The rest is left to be found, and what it tells the end of is announced no more.
    pub(crate) fn recovered(&self, max: usize) -> Recovered {
        let (mut records, begun) = {
            let mut disk = self.0.borrow_mut();
            disk.again.clear();
            (disk.accepted.values().cloned().collect::<Vec<_>>(), disk.begun)
        };
        records.sort_by_key(|(order, _)| *order);
        let is_open = |span: &Span<Facts>| span.body.closed.is_none() && is_announced(span.body.id);
        let (announced, mut spans): (Vec<_>, Vec<_>) =
            records.into_iter().partition(|(_, span)| is_open(span));
        let rest: Vec<_> = spans.split_off(max.min(spans.len())).into_iter().map(|(_, span)| span).collect();
        let mut announced: Vec<_> = announced.into_iter().map(|(_, span)| span).collect();
        announced.retain(|span| !rest.iter().any(|other| other.span_id == span.span_id));
        self.leave(rest);
        let at = spans.partition_point(|(order, _)| *order <= begun);
        let (since, earlier) = (spans.split_off(at), spans);
        let with_bodies = |records: Vec<Span<Facts>>| -> Vec<Span<Body>> {
            records.into_iter().map(|record| with_body(&record, self.body(record.body.clone()))).collect()
        };
        let strip = |records: Vec<(u64, Span<Facts>)>| {
            with_bodies(records.into_iter().map(|(_, span)| span).collect())
        };
        Recovered { earlier: strip(earlier), since: strip(since), announced: with_bodies(announced) }
    }

    /// Leaves accepted spans as a record of their own.
    fn leave(&self, spans: Vec<Span<Facts>>) {
        let mut disk = self.0.borrow_mut();
        spans.iter().for_each(|span| drop(disk.accepted.remove(&span.body.id)));
        let pieces: Vec<_> = spans
            .into_iter()
            .map(|span| Piece::Received(Facts { keeps: None, ..span.body }, span.size))
            .collect();
        if !pieces.is_empty() {
            disk.places += 1;
            let place = disk.places;
            disk.parked.insert(place, pieces);
        }
    }

    /// The records, for the next process.
    pub(crate) fn found(&self) -> Vec<Parked> {
        let disk = self.0.borrow();
        let parked = disk.parked.iter().map(|(place, pieces)| Parked {
            place: Place(*place),
            lane: LaneId {
                signal: pieces.first().map_or(Signal::Traces, Piece::signal),
                destination: u8::from(disk.of_second.contains(place)),
            },
            count: pieces.iter().map(Piece::count).sum(),
            size: pieces.iter().map(Piece::size).sum(),
        });
        parked.collect()
    }

    /// Items of `signal` in parked records.
    pub(crate) fn parked(&self, signal: Signal) -> u64 {
        let disk = self.0.borrow();
        let of_signal = disk.looked_at().filter(|piece| piece.signal() == signal);
        of_signal.map(Piece::count).sum()
    }

    /// About how many bytes they are.
    pub(crate) fn parked_bytes(&self) -> usize {
        self.0.borrow().parked.values().flatten().map(Piece::size).sum()
    }

    /// Whether `id` is in a parked record.
    pub(crate) fn has_parked(&self, id: u64) -> bool {
        let disk = self.0.borrow();
        let mut looked_at = disk.looked_at();
        looked_at.any(|piece| match piece {
            Piece::Received(Facts { id: other, .. }, _) | Piece::Logged(other, ..) => *other == id,
            Piece::Made(_) | Piece::Metered(..) => false,
        })
    }

    /// The spans of the function in parked records.
    pub(crate) fn parked_spans(&self) -> BTreeSet<u64> {
        let disk = self.0.borrow();
        let spans = disk.looked_at().filter_map(|piece| match piece {
            Piece::Received(facts, _) => Some(facts.id),
            _ => None,
        });
        spans.collect()
    }

    fn span(&self, facts: Facts, size: u32) -> Span<Body> {
        let span = Span {
            trace_id: facts.trace_id,
            span_id: facts.span_id,
            parent: None,
            parent_is_remote: None,
            kind: Kind::Internal,
            start: UnixNanos(0),
            end: UnixNanos(1),
            is_error: facts.is_error,
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

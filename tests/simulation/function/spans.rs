//! The spans of one invocation, with real times and parents.

use policy::{Kind, Receipt, Rng, Span, SpanId, TraceId, UnixNanos};

use super::super::disk::{ANNOUNCED, Body, Disk, Facts, LOGGED};
use super::super::sampling::trace_of;
use super::character::{Character, Traces};

/// Numbers spans, and makes their bodies.
pub(crate) struct Bodies {
    pub(crate) last: u64,
    pub(crate) disk: Disk,
    /// The size of a span that is larger than all the memory that may be held.
    pub(crate) outsize: u32,
}

impl Bodies {
    /// The body of `facts`, under the next number of this kind.
    fn next(&mut self, kind: u64, facts: Facts) -> Body {
        self.last += 1;
        self.disk.body(Facts { id: kind + self.last, ..facts })
    }

    /// The body of `count` log records of invocation `number`.
    pub(crate) fn next_logs(&mut self, number: u64, count: u32) -> Body {
        let facts = Facts { of: number, trace_id: trace_of(number), count, ..Facts::default() };
        self.next(LOGGED, facts)
    }
}

/// A span before it has a body.
#[derive(Clone, Debug)]
pub(super) struct Sketch {
    pub(super) trace_id: TraceId,
    pub(super) span_id: SpanId,
    pub(super) parent: Option<SpanId>,
    pub(super) parent_is_remote: Option<bool>,
    pub(super) kind: Kind,
    /// Nanoseconds after the begin of the invocation.
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) is_error: bool,
    pub(super) is_named: bool,
}

/// Makes the spans of one invocation.
pub(crate) struct Maker<'a> {
    pub(crate) number: u64,
    pub(crate) request_id: &'a str,
    /// Wall time of the begin of the invocation.
    pub(crate) begun: UnixNanos,
    pub(crate) character: &'a Character,
    pub(crate) bodies: &'a mut Bodies,
}

impl Maker<'_> {
    /// The trace of the invocation.
    pub(crate) fn trace_id(&self) -> TraceId {
        trace_for(self.character, self.number)
    }

    /// Whether invocation `other` is in the same trace.
    pub(super) fn is_of_one_trace(&self, other: u64) -> bool {
        trace_for(self.character, other) == self.trace_id()
    }

    /// The trace of its child of this number.
    pub(super) fn trace_of_child(&self, child: u64) -> TraceId {
        match self.character.traces {
            Traces::Many if !child.is_multiple_of(3) => trace_of((self.number << 3) + child % 3 + (1 << 40)),
            _ => self.trace_id(),
        }
    }

    /// A child of `parent` in the trace of the invocation.
    pub(super) fn sketch(&self, span_id: SpanId, parent: Option<SpanId>, (start, end): (u64, u64)) -> Sketch {
        Sketch {
            trace_id: self.trace_id(),
            span_id,
            parent,
            parent_is_remote: None,
            kind: Kind::Client,
            start,
            end,
            is_error: false,
            is_named: false,
        }
    }

    /// The span, ended.
    pub(super) fn ended(&mut self, sketch: &Sketch, size: u32) -> Span<Body> {
        self.span(sketch, size, 0)
    }

    /// The span, announced: it has begun, and not ended.
    pub(super) fn announced(&mut self, sketch: &Sketch) -> Span<Body> {
        let span = self.span(sketch, 150, ANNOUNCED);
        Span { end: UnixNanos(0), ..span }
    }

    fn span(&mut self, sketch: &Sketch, size: u32, kind: u64) -> Span<Body> {
        let at = |after: u64| UnixNanos(self.begun.0 + after);
        let (start, end) = (at(sketch.start), at(sketch.end));
        let facts = Facts {
            of: self.number,
            trace_id: sketch.trace_id,
            span_id: sketch.span_id,
            is_error: sketch.is_error,
            ..Facts::default()
        };
        Span {
            trace_id: sketch.trace_id,
            span_id: sketch.span_id,
            parent: sketch.parent,
            parent_is_remote: sketch.parent_is_remote,
            kind: sketch.kind,
            start,
            end,
            is_error: sketch.is_error,
            request_id: sketch.is_named.then(|| self.request_id.into()),
            size,
            body: self.bodies.next(kind, facts),
        }
    }
}

/// The trace of invocation `number` of such a function.
pub(crate) fn trace_for(character: &Character, number: u64) -> TraceId {
    match character.traces {
        Traces::Spanning => trace_of(number / 4 * 4 + (1 << 41)),
        Traces::One | Traces::Many => trace_of(number),
    }
}

/// The span id of the root of invocation `number`.
pub(crate) fn root_of(number: u64) -> SpanId {
    SpanId::new((number + 1).to_be_bytes()).expect("not zero")
}

/// The span id of a child of it.
pub(crate) fn child_of(number: u64, child: u64) -> SpanId {
    SpanId::new((((number + 1) << 20) + child).to_be_bytes()).expect("not zero")
}

/// Spans of the initialisation of process `process`, which ended at `now`: an INTERNAL root and a call inside it.
pub(crate) fn of_init(process: u64, now: UnixNanos, bodies: &mut Bodies, rng: &mut Rng) -> Receipt<Body> {
    let trace_id = trace_of(process + (1 << 50));
    let root = SpanId::new(((1 << 50) + process).to_be_bytes()).expect("not zero");
    let call = SpanId::new(((1 << 51) + process).to_be_bytes()).expect("not zero");
    let mut span = |span_id, parent, kind, before: u64| {
        let facts = Facts { trace_id, span_id, ..Facts::default() };
        Span {
            trace_id,
            span_id,
            parent,
            parent_is_remote: None,
            kind,
            start: UnixNanos(now.0 - before),
            end: UnixNanos(now.0 - before / 4),
            is_error: false,
            request_id: None,
            size: 200 + rng.below(400) as u32,
            body: bodies.next(0, facts),
        }
    };
    let spans =
        vec![span(call, Some(root), Kind::Client, 40_000_000), span(root, None, Kind::Internal, 100_000_000)];
    Receipt { spans, parcels: Vec::new() }
}

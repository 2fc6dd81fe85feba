//! Reading a request in place: what policy must know of each span, and where its bytes are.

use std::sync::Arc;

use bytes::Bytes;
use policy::{Kind, Parcel, Receipt, RequestLimit, Signal, Span, SpanId, TraceId, UnixNanos};

use super::chunk::{AttributesAt, Body, Chunk, Group, Places, Scope, SpanAt, Stretch, TextAt};
use super::cut::cut;
use super::{readable, schema, valid};
use crate::proto::{Field, Value, WireError, fields};

pub(super) const RESOURCE_GROUPS: u32 = 1;
const GROUP_RESOURCE: u32 = 1;
pub(super) const GROUP_SCOPES: u32 = 2;
pub(super) const SCOPE_ITEMS: u32 = 2;

const SPAN_TRACE_ID: u32 = 1;
const SPAN_ID: u32 = 2;
pub(super) const SPAN_TRACE_STATE: u32 = 3;
const SPAN_PARENT: u32 = 4;
pub(super) const SPAN_NAME: u32 = 5;
const SPAN_KIND: u32 = 6;
const SPAN_START: u32 = 7;
pub(super) const SPAN_END: u32 = 8;
pub(super) const SPAN_ATTRIBUTES: u32 = 9;
pub(super) const SPAN_STATUS: u32 = 15;
const SPAN_FLAGS: u32 = 16;
const STATUS_CODE: u32 = 3;
const STATUS_CODE_ERROR: u64 = 2;
/// `SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK` and `SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK`.
const FLAG_KNOWS_REMOTE: u32 = 0x100;
const FLAG_IS_REMOTE: u32 = 0x200;

/// Room is made for as many spans at once as a request has that are no smaller.
const USUAL_SPAN_BYTES: usize = 400;

const ATTRIBUTE_DEPTH: u32 = valid::SPAN + 1;

/// The data of a `Metric`: gauge, sum, histogram, exponential histogram, summary.
pub(super) const METRIC_DATA: [u32; 5] = [5, 7, 9, 10, 11];
/// The points in each of them.
pub(super) const DATA_POINTS: u32 = 1;

const KEY: u32 = 1;
const VALUE: u32 = 2;
const VALUE_STRING: u32 = 1;
/// The invocation a span belongs to, today's name and the one before semantic conventions 1.19.
const INVOCATION_KEYS: [&[u8]; 2] = [b"faas.invocation_id", b"faas.execution"];

/// What a request held.
#[derive(Debug)]
pub struct Scanned {
    /// For policy.
    pub receipt: Receipt<Body>,
    /// Spans without a valid trace id and span id, or that no decoder could read: refused, and the sender is told.
    pub refused: u32,
}

/// Spans, groups or scopes of one request that are taken, further ones are refused: each costs some hundred bytes of
/// bookkeeping, and may take as few as thirty on the wire. A function that sends 10,000 spans at once is far below.
const TAKEN_MAX: usize = 32_768;

/// Reads an export request of `signal`.
///
/// Shape: a span, log record or metric that no decoder can read is refused alone, and so are those beyond 32,768.
///
/// # Errors
/// When the bytes are not such a request, or hold something outside of spans, log records and metrics that a decoder
/// refuses. Nothing of it is taken then.
pub fn scan(signal: Signal, bytes: &Bytes) -> Result<Scanned, WireError> {
    match scan_as_it_is(signal, bytes) {
        // Of logs and metrics a request is passed on as a whole: without what cannot be read it is one that can.
        Err(_) if signal != Signal::Traces => {
            let (readable, refused) = readable::only(signal, bytes)?;
            let scanned = scan_as_it_is(signal, &readable)?;
            Ok(Scanned { refused: scanned.refused.saturating_add(refused), ..scanned })
        }
        scanned => scanned,
    }
}

/// The same, with a request of metrics or logs in as many parcels as a backend wants that takes no more than the `limit` at
/// once, and each of one resource where that is asked for. What is larger by itself is a parcel all the same.
///
/// # Errors
/// As those of [`scan`].
pub fn scan_within(signal: Signal, bytes: &Bytes, limit: RequestLimit) -> Result<Scanned, WireError> {
    let mut scanned = scan(signal, bytes)?;
    let is_cut = |parcel: &Parcel<Body>| {
        let is_mixed = limit.parts_resources && parcel.body.chunk.places().groups.len() > 1;
        is_mixed || !limit.takes(parcel.size as usize, parcel.count as usize)
    };
    let Some(at) = scanned.receipt.parcels.iter().position(is_cut) else { return Ok(scanned) };
    let Parcel { body: Body { chunk, .. }, .. } = scanned.receipt.parcels.swap_remove(at);
    for piece in cut(signal, &chunk.bytes, chunk.places(), limit)? {
        scanned.receipt.parcels.extend(scan_as_it_is(signal, &piece)?.receipt.parcels);
    }
    Ok(scanned)
}

fn scan_as_it_is(signal: Signal, bytes: &Bytes) -> Result<Scanned, WireError> {
    let spans = if signal == Signal::Traces { bytes.len() / USUAL_SPAN_BYTES + 1 } else { 0 };
    let mut scan = Scan {
        chunk: Arc::new(Chunk::new(bytes.clone())),
        places: Places { spans: Vec::with_capacity(spans), ..Places::default() },
        found: Vec::with_capacity(spans),
        items: 0,
        refused: 0,
    };
    let mut request = fields(bytes);
    while let Some(field) = request.next()? {
        if field.number == RESOURCE_GROUPS {
            scan.group(signal, &field)?;
        }
    }
    Ok(scan.finish(signal))
}

struct Scan {
    chunk: Arc<Chunk>,
    places: Places,
    found: Vec<Span<Body>>,
    items: u32,
    refused: u32,
}

impl Scan {
    fn group(&mut self, signal: Signal, group: &Field<'_>) -> Result<(), WireError> {
        let base = group.content_start();
        let first_span = self.places.spans.len() as u32;
        let (refused_before, items_before) = (self.refused, self.items);
        let (mut resource, mut rest) = (None, Vec::new());
        let mut walk = fields(group.value.message()?);
        while let Some(field) = walk.next()? {
            let stretch = Stretch::new(base + field.start, base + field.end);
            if field.number != GROUP_SCOPES {
                valid::field(field.number, field.value, schema::group(signal), valid::GROUP)?;
            }
            match (field.number, signal) {
                // Protobuf allows the field to be split over several: the first is completed, the others pass as they are.
                (GROUP_RESOURCE, _) if resource.is_none() => resource = Some(stretch),
                (GROUP_SCOPES, Signal::Traces) => self.scope(base, &field)?,
                (GROUP_SCOPES, Signal::Metrics) => self.items += count_points(whole_scope(signal, &field)?)?,
                (GROUP_SCOPES, Signal::Logs) => {
                    self.items += count(whole_scope(signal, &field)?, SCOPE_ITEMS)?;
                }
                _ => rest.push(stretch),
            }
        }
        // What holds nothing is not remembered: two bytes on the wire would be sixty here.
        if self.places.spans.len() as u32 == first_span && self.items == items_before {
            return Ok(());
        }
        if self.places.groups.len() >= TAKEN_MAX {
            self.refused = self.refused.saturating_add(self.items - items_before);
            self.items = items_before;
            return Ok(());
        }
        self.places.groups.push(Group {
            content: Stretch::new(base, group.end),
            resource,
            rest,
            is_whole: self.refused == refused_before,
            spans: first_span..self.places.spans.len() as u32,
        });
        Ok(())
    }

    fn scope(&mut self, group_base: usize, scope: &Field<'_>) -> Result<(), WireError> {
        let base = group_base + scope.content_start();
        // Each that is remembered has a span.
        const { assert!(TAKEN_MAX <= u16::MAX as usize) };
        let index = self.places.scopes.len() as u16;
        let spans_before = self.places.spans.len();
        let mut rest = Vec::new();
        let mut walk = fields(scope.value.message()?);
        while let Some(field) = walk.next()? {
            let stretch = Stretch::new(base + field.start, base + field.end);
            if field.number != SCOPE_ITEMS {
                valid::field(field.number, field.value, schema::scope(Signal::Traces), valid::SCOPE)?;
                rest.push(stretch);
            } else if self.places.spans.len() < TAKEN_MAX
                && let Ok(Some(facts)) = Facts::read(field.value.message()?)
            {
                let body = Body { chunk: self.chunk.clone(), span: Some(self.places.spans.len() as u32) };
                let Facts { attributes, name, trace_state, .. } = facts;
                let at = SpanAt { field: stretch, scope: index, attributes, name, trace_state };
                self.places.spans.push(at);
                self.found.push(facts.span(stretch.len(), body));
            } else {
                self.refused += 1;
            }
        }
        if self.places.spans.len() == spans_before {
            return Ok(());
        }
        self.places.scopes.push(Scope { group: self.places.groups.len() as u32, rest });
        Ok(())
    }

    fn finish(self, signal: Signal) -> Scanned {
        let size = u32::try_from(self.chunk.bytes.len()).unwrap_or(u32::MAX);
        self.chunk.set_places(self.places);
        let mut receipt = Receipt { spans: self.found, parcels: Vec::new() };
        if self.items > 0 {
            let body = Body { chunk: self.chunk, span: None };
            receipt.parcels.push(Parcel { signal, count: self.items, size, body });
        }
        Scanned { receipt, refused: self.refused }
    }
}

/// What a span says, borrowed: no span is put together before it is known to be one.
struct Facts<'a> {
    trace_id: TraceId,
    span_id: SpanId,
    parent: Option<SpanId>,
    kind: Kind,
    start: u64,
    end: u64,
    flags: u32,
    is_error: bool,
    request_id: Option<&'a str>,
    attributes: Option<AttributesAt>,
    name: TextAt,
    trace_state: TextAt,
}

impl<'a> Facts<'a> {
    /// `None` when its ids are not valid.
    ///
    /// # Errors
    /// When a decoder would refuse it.
    #[inline]
    fn read(span: &'a [u8]) -> Result<Option<Self>, WireError> {
        let (mut trace_id, mut span_id, mut parent) = (None, None, None);
        let (mut kind, mut start, mut end, mut flags, mut is_error) = (Kind::Unspecified, 0, 0, 0_u32, false);
        // From the first attribute to the end of the last: all that is looked into again.
        let (mut attributes, mut are_usual) = (0..0, true);
        let (mut name, mut trace_state) = (TextAt::default(), TextAt::default());
        let mut walk = fields(span);
        while let Some(field) = walk.next()? {
            match (field.number, field.value) {
                (SPAN_ATTRIBUTES, Value::Bytes(attribute)) => {
                    valid::attribute(attribute, ATTRIBUTE_DEPTH)?;
                    are_usual = attributes.is_empty();
                    let first = if are_usual { field.start } else { attributes.start };
                    while let Some(more) = walk.more(SPAN_ATTRIBUTES)? {
                        valid::attribute(more, ATTRIBUTE_DEPTH)?;
                    }
                    attributes = first..walk.at();
                }
                (SPAN_TRACE_ID, Value::Bytes(id)) => trace_id = id.try_into().ok().and_then(TraceId::new),
                (SPAN_ID, Value::Bytes(id)) => span_id = id.try_into().ok().and_then(SpanId::new),
                // As the schema's way would, at a twentieth of what that takes.
                (SPAN_PARENT, Value::Bytes(id)) => match id.try_into() {
                    Ok(id) => parent = SpanId::new(id),
                    Err(_) if id.is_empty() => parent = None,
                    Err(_) => return Err(WireError::Type),
                },
                (SPAN_KIND, Value::Varint(code)) => kind = kind_of(code),
                (SPAN_START, Value::Fixed64(at)) => start = at,
                (SPAN_END, Value::Fixed64(at)) => end = at,
                (SPAN_FLAGS, Value::Fixed32(bits)) => flags = bits,
                (number, value) => {
                    valid::field(number, value, schema::SPAN, valid::SPAN)?;
                    match number {
                        SPAN_STATUS => is_error = is_error_status(value.bytes())?,
                        SPAN_NAME => name = TextAt::new(field.start),
                        SPAN_TRACE_STATE => trace_state = TextAt::new(field.start),
                        _ => {}
                    }
                }
            }
        }
        let (Some(trace_id), Some(span_id)) = (trace_id, span_id) else { return Ok(None) };
        let request_id = if kind.is_entry() { invocation_of(&span[attributes.clone()])? } else { None };
        let attributes = if are_usual { AttributesAt::new(attributes) } else { None };
        Ok(Some(Self {
            trace_id,
            span_id,
            parent,
            kind,
            start,
            end,
            flags,
            is_error,
            request_id,
            attributes,
            name,
            trace_state,
        }))
    }

    #[inline]
    fn span(self, size: usize, body: Body) -> Span<Body> {
        // JavaScript's SDK says of a span without a parent that its parent is not remote.
        let knows_remote = self.parent.is_some() && self.flags & FLAG_KNOWS_REMOTE != 0;
        Span {
            trace_id: self.trace_id,
            span_id: self.span_id,
            parent: self.parent,
            parent_is_remote: knows_remote.then_some(self.flags & FLAG_IS_REMOTE != 0),
            kind: self.kind,
            start: UnixNanos(self.start),
            end: UnixNanos(self.end),
            is_error: self.is_error,
            request_id: self.request_id.map(Into::into),
            size: u32::try_from(size).unwrap_or(u32::MAX),
            body,
        }
    }
}

const fn kind_of(code: u64) -> Kind {
    match code {
        1 => Kind::Internal,
        2 => Kind::Server,
        3 => Kind::Client,
        4 => Kind::Producer,
        5 => Kind::Consumer,
        _ => Kind::Unspecified,
    }
}

fn is_error_status(status: &[u8]) -> Result<bool, WireError> {
    let (mut code, mut walk) = (0, fields(status));
    while let Some(field) = walk.next()? {
        if field.number == STATUS_CODE {
            code = field.value.varint();
        }
    }
    Ok(code == STATUS_CODE_ERROR)
}

/// The invocation that a span says it is, among its attributes.
fn invocation_of(attributes: &[u8]) -> Result<Option<&str>, WireError> {
    let mut walk = fields(attributes);
    while let Some(field) = walk.next()? {
        if field.number == SPAN_ATTRIBUTES {
            let (key, value) = key_value(field.value.bytes())?;
            if INVOCATION_KEYS.contains(&key) {
                let text = string_value(value)?.and_then(|text| std::str::from_utf8(text).ok());
                if let Some(text) = text.filter(|text| !text.is_empty()) {
                    return Ok(Some(text));
                }
            }
        }
    }
    Ok(None)
}

/// The key and the encoded `AnyValue` of a `KeyValue`.
#[inline]
pub(super) fn key_value(message: &[u8]) -> Result<(&[u8], &[u8]), WireError> {
    match usual_key_value(message) {
        Some(usual) => Ok(usual),
        None => any_key_value(message),
    }
}

/// As every encoder writes it: the key and then the value, each once, and here with lengths of one byte. A third of
/// what the walk takes, which is most of what it takes to ask a span for an attribute.
#[inline]
pub(super) fn usual_key_value(message: &[u8]) -> Option<(&[u8], &[u8])> {
    const KEY_TAG: u8 = (KEY << 3 | 2) as u8;
    const VALUE_TAG: u8 = (VALUE << 3 | 2) as u8;
    let [KEY_TAG, key_len @ ..0x80, rest @ ..] = message else { return None };
    let (key, rest) = rest.split_at_checked(usize::from(*key_len))?;
    let [VALUE_TAG, value_len @ ..0x80, value @ ..] = rest else { return None };
    (value.len() == usize::from(*value_len)).then_some((key, value))
}

fn any_key_value(message: &[u8]) -> Result<(&[u8], &[u8]), WireError> {
    let (mut key, mut value): (&[u8], &[u8]) = (&[], &[]);
    let mut walk = fields(message);
    while let Some(field) = walk.next()? {
        match field.number {
            KEY => key = field.value.bytes(),
            VALUE => value = field.value.bytes(),
            _ => {}
        }
    }
    Ok((key, value))
}

fn string_value(value: &[u8]) -> Result<Option<&[u8]>, WireError> {
    let (mut text, mut walk) = (None, fields(value));
    while let Some(field) = walk.next()? {
        if let (VALUE_STRING, Value::Bytes(bytes)) = (field.number, field.value) {
            text = Some(bytes);
        }
    }
    Ok(text)
}

/// The content of a scope of metrics or logs, all of which can be read.
fn whole_scope<'a>(signal: Signal, scope: &Field<'a>) -> Result<&'a [u8], WireError> {
    let content = scope.value.message()?;
    valid::message(content, schema::scope(signal), valid::SCOPE)?;
    Ok(content)
}

fn count(message: &[u8], number: u32) -> Result<u32, WireError> {
    let (mut count, mut walk) = (0, fields(message));
    while let Some(field) = walk.next()? {
        count += u32::from(field.number == number);
    }
    Ok(count)
}

/// Data points in a `ScopeMetrics`.
fn count_points(scope: &[u8]) -> Result<u32, WireError> {
    let (mut points, mut walk) = (0, fields(scope));
    while let Some(metric) = walk.next()? {
        if metric.number == SCOPE_ITEMS {
            points += points_of(metric.value.bytes())?;
        }
    }
    Ok(points)
}

/// Data points in a `Metric`.
pub(super) fn points_of(metric: &[u8]) -> Result<u32, WireError> {
    let (mut points, mut data) = (0, fields(metric));
    while let Some(field) = data.next()? {
        if METRIC_DATA.contains(&field.number) {
            points += count(field.value.bytes(), DATA_POINTS)?;
        }
    }
    Ok(points)
}

//! Reading a request in place: what policy must know of each span, and where its bytes are.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use policy::{Kind, Parcel, Receipt, Signal, Span, SpanId, TraceId, UnixNanos};

use super::chunk::{Body, Chunk, Group, Scope, SpanAt, Stretch};
use crate::proto::{Field, Value, WireError, fields};

const RESOURCE_GROUPS: u32 = 1;
const GROUP_RESOURCE: u32 = 1;
const GROUP_SCOPES: u32 = 2;
const SCOPE_ITEMS: u32 = 2;

const SPAN_TRACE_ID: u32 = 1;
const SPAN_ID: u32 = 2;
const SPAN_PARENT: u32 = 4;
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
    /// Spans without a valid trace id and span id: refused, and the sender is told.
    pub refused: u32,
}

/// Reads an export request of `signal`.
///
/// # Errors
/// When the bytes are not such a request. Nothing of it is taken then.
pub fn scan(signal: Signal, bytes: &Bytes) -> Result<Scanned, WireError> {
    let mut scan = Scan { chunk: Chunk::empty(bytes), facts: Vec::new(), items: 0, refused: 0 };
    let mut request = fields(bytes);
    while let Some(field) = request.next()? {
        if field.number == RESOURCE_GROUPS {
            scan.group(signal, &field)?;
        }
    }
    Ok(scan.finish(signal))
}

impl Chunk {
    fn empty(bytes: &Bytes) -> Self {
        Self {
            bytes: bytes.clone(),
            groups: Vec::new(),
            scopes: Vec::new(),
            spans: Vec::new(),
            keepsake: OnceLock::new(),
        }
    }
}

/// The facts of a span before its body, which needs the finished chunk.
struct Facts {
    span: Span<()>,
}

struct Scan {
    chunk: Chunk,
    facts: Vec<Facts>,
    items: u32,
    refused: u32,
}

impl Scan {
    fn group(&mut self, signal: Signal, group: &Field<'_>) -> Result<(), WireError> {
        let base = group.content_start();
        let first_span = self.chunk.spans.len() as u32;
        let refused_before = self.refused;
        let (mut resources, mut rest) = (Vec::new(), Vec::new());
        let mut walk = fields(group.value.bytes());
        while let Some(field) = walk.next()? {
            let stretch = Stretch::new(base + field.start, base + field.end);
            match (field.number, signal) {
                (GROUP_RESOURCE, _) => resources.push(stretch),
                (GROUP_SCOPES, Signal::Traces) => self.scope(base, &field)?,
                (GROUP_SCOPES, Signal::Metrics) => self.items += count_points(field.value.bytes())?,
                (GROUP_SCOPES, Signal::Logs) => self.items += count(field.value.bytes(), SCOPE_ITEMS)?,
                _ => rest.push(stretch),
            }
        }
        // Protobuf allows the field to be split over several; such a resource is passed on as it is.
        let resource = if let [only] = resources[..] { Some(only) } else { None };
        if resource.is_none() {
            rest.append(&mut resources);
        }
        self.chunk.groups.push(Group {
            content: Stretch::new(base, group.end),
            resource,
            rest,
            is_whole: self.refused == refused_before,
            spans: first_span..self.chunk.spans.len() as u32,
        });
        Ok(())
    }

    fn scope(&mut self, group_base: usize, scope: &Field<'_>) -> Result<(), WireError> {
        let base = group_base + scope.content_start();
        let index = self.chunk.scopes.len() as u32;
        let mut rest = Vec::new();
        let mut walk = fields(scope.value.bytes());
        while let Some(field) = walk.next()? {
            let stretch = Stretch::new(base + field.start, base + field.end);
            if field.number != SCOPE_ITEMS {
                rest.push(stretch);
            } else if let Some(span) = span_facts(field.value.bytes(), stretch.len())? {
                self.chunk.spans.push(SpanAt { scope: index, field: stretch });
                self.facts.push(Facts { span });
            } else {
                self.refused += 1;
            }
        }
        self.chunk.scopes.push(Scope { group: self.chunk.groups.len() as u32, rest });
        Ok(())
    }

    fn finish(self, signal: Signal) -> Scanned {
        let size = u32::try_from(self.chunk.bytes.len()).unwrap_or(u32::MAX);
        let chunk = Arc::new(self.chunk);
        let body = |span| Body { chunk: chunk.clone(), span };
        let mut receipt = Receipt::EMPTY;
        if signal == Signal::Traces {
            let indexed = self.facts.into_iter().enumerate();
            receipt.spans =
                indexed.map(|(index, facts)| with_body(facts.span, body(Some(index as u32)))).collect();
        } else if self.items > 0 {
            receipt.parcels.push(Parcel { signal, count: self.items, size, body: body(None) });
        }
        Scanned { receipt, refused: self.refused }
    }
}

fn with_body(span: Span<()>, body: Body) -> Span<Body> {
    Span {
        trace_id: span.trace_id,
        span_id: span.span_id,
        parent: span.parent,
        parent_is_remote: span.parent_is_remote,
        kind: span.kind,
        start: span.start,
        end: span.end,
        is_error: span.is_error,
        request_id: span.request_id,
        size: span.size,
        body,
    }
}

/// The facts of a span, or `None` when its ids are not valid.
fn span_facts(span: &[u8], size: usize) -> Result<Option<Span<()>>, WireError> {
    let (mut trace_id, mut span_id, mut parent) = (None, None, None);
    let (mut kind, mut start, mut end, mut flags, mut is_error) = (Kind::Unspecified, 0, 0, 0_u32, false);
    let mut walk = fields(span);
    while let Some(field) = walk.next()? {
        match (field.number, field.value) {
            (SPAN_TRACE_ID, Value::Bytes(id)) => trace_id = id.try_into().ok().and_then(TraceId::new),
            (SPAN_ID, Value::Bytes(id)) => span_id = id.try_into().ok().and_then(SpanId::new),
            (SPAN_PARENT, Value::Bytes(id)) => parent = id.try_into().ok().and_then(SpanId::new),
            (SPAN_KIND, Value::Varint(code)) => kind = kind_of(code),
            (SPAN_START, Value::Fixed64(at)) => start = at,
            (SPAN_END, Value::Fixed64(at)) => end = at,
            (SPAN_STATUS, Value::Bytes(status)) => is_error = is_error_status(status)?,
            (SPAN_FLAGS, Value::Fixed32(bits)) => flags = bits,
            _ => {}
        }
    }
    let (Some(trace_id), Some(span_id)) = (trace_id, span_id) else { return Ok(None) };
    let request_id = if kind.is_entry() { invocation_of(span)?.map(Into::into) } else { None };
    Ok(Some(Span {
        trace_id,
        span_id,
        parent,
        parent_is_remote: (flags & FLAG_KNOWS_REMOTE != 0).then_some(flags & FLAG_IS_REMOTE != 0),
        kind,
        start: UnixNanos(start),
        end: UnixNanos(end),
        is_error,
        request_id,
        size: u32::try_from(size).unwrap_or(u32::MAX),
        body: (),
    }))
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

/// The invocation that a span says it is.
fn invocation_of(span: &[u8]) -> Result<Option<&str>, WireError> {
    let mut walk = fields(span);
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
pub(super) fn key_value(message: &[u8]) -> Result<(&[u8], &[u8]), WireError> {
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

fn count(message: &[u8], number: u32) -> Result<u32, WireError> {
    let (mut count, mut walk) = (0, fields(message));
    while let Some(field) = walk.next()? {
        count += u32::from(field.number == number);
    }
    Ok(count)
}

/// Data points in a `ScopeMetrics`: gauge 5, sum 7, histogram 9, exponential histogram 10, summary 11.
fn count_points(scope: &[u8]) -> Result<u32, WireError> {
    let (mut points, mut walk) = (0, fields(scope));
    while let Some(metric) = walk.next()? {
        if metric.number != SCOPE_ITEMS {
            continue;
        }
        let mut data = fields(metric.value.bytes());
        while let Some(field) = data.next()? {
            if matches!(field.number, 5 | 7 | 9 | 10 | 11) {
                points += count(field.value.bytes(), 1)?;
            }
        }
    }
    Ok(points)
}

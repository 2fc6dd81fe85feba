//! Log records under the span they belong to: ids are appended to those that have none.

use bytes::Bytes;
use policy::{Signal, SpanId, TraceId};

use super::chunk::Body;
use super::scan::scan;
use crate::proto::{WireError, fields, put_bytes, put_message};

const GROUPS: u32 = 1;
const SCOPES: u32 = 2;
const RECORDS: u32 = 2;
const TRACE_ID: u32 = 9;
const SPAN_ID: u32 = 10;

/// The same records under this span, and their size; `None` when nothing would change.
pub(super) fn placed(body: &Body, trace_id: &TraceId, span_id: &SpanId) -> Option<(Body, u32)> {
    let mut out = Vec::with_capacity(body.chunk.bytes.len() + 256);
    let ids = (trace_id.bytes().as_slice(), span_id.bytes().as_slice());
    put_request(&mut out, &body.chunk.bytes, ids).ok()?;
    let bytes = Bytes::from(out);
    let parcel = scan(Signal::Logs, &bytes).ok()?.receipt.parcels.pop()?;
    // What is on record for the old bytes stays so while the new ones are held.
    parcel.body.keep(body.clone());
    Some((parcel.body, parcel.size))
}

fn put_request(out: &mut Vec<u8>, request: &[u8], ids: (&[u8], &[u8])) -> Result<(), WireError> {
    nest(out, request, GROUPS, &mut |group, out| {
        nest(out, group, SCOPES, &mut |scope, out| {
            nest(out, scope, RECORDS, &mut |record, out| put_record(out, record, ids))
        })
    })
}

type Change<'a> = &'a mut dyn FnMut(&[u8], &mut Vec<u8>) -> Result<(), WireError>;

/// Copies `message`, with the content of its fields `number` changed.
fn nest(out: &mut Vec<u8>, message: &[u8], number: u32, change: Change<'_>) -> Result<(), WireError> {
    let mut walk = fields(message);
    while let Some(field) = walk.next()? {
        if field.number != number {
            out.extend_from_slice(&message[field.start..field.end]);
            continue;
        }
        let mut changed = Ok(());
        put_message(out, number, |out| changed = change(field.value.bytes(), out));
        changed?;
    }
    Ok(())
}

fn put_record(
    out: &mut Vec<u8>,
    record: &[u8],
    (trace_id, span_id): (&[u8], &[u8]),
) -> Result<(), WireError> {
    out.extend_from_slice(record);
    let (mut has_place, mut walk) = (false, fields(record));
    while let Some(field) = walk.next()? {
        has_place |= field.number == TRACE_ID || field.number == SPAN_ID;
    }
    if !has_place {
        put_bytes(out, TRACE_ID, trace_id);
        put_bytes(out, SPAN_ID, span_id);
    }
    Ok(())
}

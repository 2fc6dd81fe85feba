//! A request of logs or metrics without the records and metrics that no decoder can read: one of them costs no other.

use bytes::Bytes;
use policy::Signal;

use super::scan::{GROUP_SCOPES, RESOURCE_GROUPS, SCOPE_ITEMS};
use super::{schema, valid};
use crate::proto::{Field, WireError, fields, put_bytes};

/// `request` without them, and how many were left out.
///
/// # Errors
/// When what is around them cannot be read.
pub(super) fn only(signal: Signal, request: &[u8]) -> Result<(Bytes, u32), WireError> {
    let mut refused = 0;
    let readable = without(request, |field| match field.number {
        RESOURCE_GROUPS => group(signal, field.value.message()?, &mut refused).map(Kept::Changed),
        _ => Ok(Kept::AsItIs),
    })?;
    Ok((readable.into(), refused))
}

/// What becomes of a field.
enum Kept {
    AsItIs,
    Changed(Vec<u8>),
    LeftOut,
}

fn group(signal: Signal, group: &[u8], refused: &mut u32) -> Result<Vec<u8>, WireError> {
    without(group, |field| match field.number {
        GROUP_SCOPES => scope(signal, field.value.message()?, refused).map(Kept::Changed),
        _ => Ok(Kept::AsItIs),
    })
}

fn scope(signal: Signal, scope: &[u8], refused: &mut u32) -> Result<Vec<u8>, WireError> {
    let rows = schema::item(signal);
    without(scope, |field| {
        let is_bad = field.number == SCOPE_ITEMS
            && field.value.message().and_then(|item| valid::message(item, rows, valid::SPAN)).is_err();
        *refused += u32::from(is_bad);
        Ok(if is_bad { Kept::LeftOut } else { Kept::AsItIs })
    })
}

fn without(
    message: &[u8],
    mut keep: impl FnMut(&Field<'_>) -> Result<Kept, WireError>,
) -> Result<Vec<u8>, WireError> {
    let mut out = Vec::with_capacity(message.len());
    let mut walk = fields(message);
    while let Some(field) = walk.next()? {
        match keep(&field)? {
            Kept::AsItIs => out.extend_from_slice(&message[field.start..field.end]),
            Kept::Changed(content) => put_bytes(&mut out, field.number, &content),
            Kept::LeftOut => {}
        }
    }
    Ok(out)
}

//! `POST /v1/started`: the function says which spans it has begun, in an OTLP request like any other.

use policy::{Signal, Span};
use wire::otlp::{self, Body};

use super::body::{Fault, Refusal, refusal};
use crate::guarding::Guarded;
use crate::spool::{Kind, Spool};

/// Spans of one announcement that are taken: policy follows no more that are open.
const TAKEN_MAX: usize = 512;
/// Bytes that they may take together. Each is held with a copy of its resource and its scope, so that a resource of 60 KB
/// and 20,000 spans would be 1.2 GB; of usual ones 512 take less than 1 MiB.
const BYTES_MAX: usize = 4 << 20;

/// Reads an announcement: its spans, each of which is held on its own, and how many were refused, because they cannot be
/// read or are beyond the bounds.
///
/// On record first, as everything accepted: should we be killed, the next process still closes what was open.
///
/// # Errors
/// When the message is not an OTLP request.
pub(super) fn take(message: &Guarded, spool: Option<&Spool>) -> Result<(Vec<Span<Body>>, u32), Refusal> {
    let scanned = otlp::scan(Signal::Traces, message)
        .map_err(|_| refusal(Fault::Bad, "the body is not an OTLP request"))?;
    let spans = &scanned.receipt.spans;
    let mut left = BYTES_MAX;
    let apart = spans.iter().take(TAKEN_MAX).filter_map(otlp::apart).map_while(|(bytes, span)| {
        left = left.checked_sub(bytes.len())?;
        Some((bytes, span))
    });
    let on_record = apart.map(|(bytes, span)| {
        if let Some(keepsake) = spool.and_then(|spool| spool.keep(Kind::Announced, 1, &bytes)) {
            span.body.keep(keepsake);
        }
        span
    });
    let taken: Vec<_> = on_record.collect();
    let refused = scanned.refused.saturating_add((spans.len() - taken.len()) as u32);
    Ok((taken, refused.saturating_add(message.refused)))
}

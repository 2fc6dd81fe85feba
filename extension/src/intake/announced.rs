//! `POST /v1/started`: the function says which spans it has begun, in an OTLP request like any other.

use policy::{Signal, Span};
use wire::otlp::{self, Body};

use super::body::{Fault, Refusal, refusal};
use crate::guarding::Guarded;
use crate::spool::{Kind, Spool};

/// Reads an announcement: its spans, each of which is held on its own, and how many were refused.
///
/// On record first, as everything accepted: should we be killed, the next process still closes what was open.
///
/// # Errors
/// When the message is not an OTLP request.
pub(super) fn take(message: &Guarded, spool: Option<&Spool>) -> Result<(Vec<Span<Body>>, u32), Refusal> {
    let scanned = otlp::scan(Signal::Traces, message)
        .map_err(|_| refusal(Fault::Bad, "the body is not an OTLP request"))?;
    let apart = scanned.receipt.spans.iter().filter_map(otlp::apart);
    let on_record = apart.map(|(bytes, span)| {
        if let Some(keepsake) = spool.and_then(|spool| spool.keep(Kind::Announced, 1, &bytes)) {
            span.body.keep(keepsake);
        }
        span
    });
    Ok((on_record.collect(), scanned.refused))
}

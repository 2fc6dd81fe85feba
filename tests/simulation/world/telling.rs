//! What a world tells aloud of what happens in it.

use std::fmt;

use policy::{Counts, Input, LaneId, Receipt};

use super::super::disk::Body;

/// A lane as stories call it.
pub(super) struct Lane(pub(super) LaneId);

impl fmt::Debug for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.destination {
            0 => write!(f, "{:?}", self.0.signal),
            other => write!(f, "{:?}/{other}", self.0.signal),
        }
    }
}

/// An input in a few words, for a story that is told aloud.
pub(super) fn brief(input: &Input<Body>) -> String {
    let ids =
        |receipt: &Receipt<Body>| -> Vec<u64> { receipt.spans.iter().map(|span| span.body.id).collect() };
    match input {
        Input::Invoke(invoke) => format!("INVOKE {} heard", invoke.request_id),
        Input::Received(receipt) => format!("spans {:?}", ids(receipt)),
        Input::Unparked { receipt, .. } => format!("unparked {:?}", ids(receipt)),
        Input::Recovered { earlier, receipt, .. } => {
            format!("recovered {:?}, and earlier {:?}", ids(receipt), ids(earlier))
        }
        Input::Rooted { request_id, span_id, .. } => format!("the root of {request_id} is {span_id:?}"),
        Input::Platform(event) => format!("{event:?}"),
        Input::Exported { id, outcome, .. } => {
            format!("answer {:?} {} {outcome:?}", Lane(id.lane), id.number)
        }
        Input::Shutdown(shutdown) => format!("SHUTDOWN {:?}", shutdown.reason),
        Input::Parked { place, .. } => format!("parked {place:?}"),
        Input::Left(receipt) => format!("left {:?}", ids(receipt)),
        Input::Found(parked) => format!("{parked:?}"),
        Input::Logged { request_id, receipt } => format!("logs {request_id:?} {}", receipt.parcels.len()),
        Input::Announced(spans) => {
            format!("announced {:?}", spans.iter().map(|span| span.body.id).collect::<Vec<_>>())
        }
        Input::Ready => "ready".into(),
        Input::Receiving => "receiving".into(),
        Input::Flush { .. } => "flush asked for".into(),
        Input::Tick => "tick".into(),
        Input::Closed => "closed".into(),
        Input::Guarded(_) => "guarded".into(),
        Input::Restored { .. } => "restored".into(),
        Input::Subscribed(subscription) => format!("subscription: {subscription:?}"),
    }
}

/// The books in a line.
pub(super) fn told(counts: &Counts) -> String {
    let Counts { received, recovered, made, delivered, sampled_out, dropped, .. } = counts;
    format!(
        "came {received} + {recovered} + {made}, delivered {delivered}, left out {sampled_out}, dropped {dropped:?}"
    )
}

//! What the simulated function does in one invocation, as its character and its faults allow.

pub(crate) mod character;
mod planning;
pub(crate) mod spans;

use policy::{Parcel, Receipt, RequestId, Span, SpanId, TraceId};

use super::disk::Body;

pub(crate) use planning::plan;

pub(crate) const MS: u64 = 1_000_000;
/// The time-out of a function that does not stream.
pub(crate) const TIMEOUT: u64 = 3_000 * MS;

/// How an invocation ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Returns,
    /// The handler fails, and its process lives on.
    Errors,
    TimesOut,
    Crashes,
    /// It does its work and sends all it has, but no response: the platform ends it at its deadline.
    NeverAnswers,
    /// Init fails in it: the handler never begins.
    FailsInit,
}

impl Fate {
    /// Whether the platform ends it at the deadline.
    pub(crate) const fn is_timeout(self) -> bool {
        matches!(self, Self::TimesOut | Self::NeverAnswers)
    }

    /// Whether the handler comes to its end.
    pub(crate) const fn has_handled(self) -> bool {
        matches!(self, Self::Returns | Self::Errors | Self::NeverAnswers)
    }

    /// Whether the function's process ends with it, where one process serves one invocation.
    pub(crate) const fn is_death(self) -> bool {
        !matches!(self, Self::Returns | Self::Errors)
    }
}

/// Something that the function does, at a time after the begin of its invocation.
#[derive(Clone, Debug)]
pub(crate) enum Deed {
    /// It sends a request.
    Sends(Receipt<Body>),
    /// Its SDK holds spans until its timer fires.
    Buffers(Receipt<Body>),
    /// It begins a request that it never ends.
    HalfSends,
    /// It announces spans that it has begun.
    Announces(Vec<Span<Body>>),
    /// It writes log lines.
    Logs(Parcel<Body>),
    /// It says that it is done with this invocation, or with whatever runs.
    AsksForFlush(Option<String>),
}

/// One invocation, planned.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) number: u64,
    pub(crate) request_id: RequestId,
    pub(crate) fate: Fate,
    /// Nanoseconds from INVOKE to the function's end.
    pub(crate) duration: u64,
    pub(crate) deeds: Vec<(u64, Deed)>,
}

impl Plan {
    /// The requests with spans, and when they are sent or held.
    pub(crate) fn sends(&self) -> impl Iterator<Item = (u64, &Receipt<Body>)> {
        self.deeds.iter().filter_map(|(at, deed)| match deed {
            Deed::Sends(receipt) | Deed::Buffers(receipt) => Some((*at, receipt)),
            _ => None,
        })
    }

    /// The function's own spans of an entry kind, outermost ones, that it sends.
    pub(crate) fn entries(&self) -> Vec<(TraceId, SpanId)> {
        let spans = self.sends().flat_map(|(_, receipt)| &receipt.spans);
        // One that says that its parent is local is inside another, whether that is sent or not.
        let outer = spans.filter(|span| span.kind.is_entry() && span.parent_is_remote != Some(false));
        outer.map(|span| (span.trace_id, span.span_id)).collect()
    }
}

/// What is known of the environment when an invocation is planned.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    pub(crate) is_managed: bool,
    /// Its function says when it is done.
    pub(crate) asks_for_flush: bool,
    /// Its init has failed, and runs again in this invocation.
    pub(crate) runs_init: bool,
    pub(crate) request_id: RequestId,
    /// Wall time at which the handler can begin.
    pub(crate) wall: policy::UnixNanos,
}

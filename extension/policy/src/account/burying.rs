//! What dies with a function: the spans that it had announced, and not ended.

use alloc::vec::Vec;

use super::END_SLACK;
use super::closing::ended_at;
use super::ending::Finish;
use super::invocation::{Entry, Invocation};
use super::relatives::{Family, Place};
use crate::announced::Announced;
use crate::config::Config;
use crate::facts::Body;
use crate::platform::Ending;
use crate::span::{Span, TraceId};
use crate::time::UnixNanos;

/// The death of a function in one of its invocations.
#[derive(Clone, Debug)]
pub(crate) struct Death {
    pub(crate) at: UnixNanos,
    pub(crate) ending: Ending,
    /// The only trace that is concerned, where others run beside it.
    pub(crate) trace: Option<TraceId>,
}

/// The trace in which the function has died, where other invocations run beside `open`: the one whose announced entry
/// names it, if there is one. The outer `None` where nothing died that was announced.
fn trace_of_death<B: Body>(
    config: &Config,
    open: &Invocation,
    announced: &Announced<B>,
) -> Option<Option<TraceId>> {
    if !config.is_managed() {
        return Some(None);
    }
    let names_it = |span: &&Span<B>| span.request_id.as_ref() == Some(&open.invoke.request_id);
    announced.in_order(None).into_iter().find(names_it).map(|span| Some(span.trace_id))
}

/// The announced spans that were still open when the function died in `open`: they belong to the invocation as if they had
/// been sent.
pub(super) fn dying<'a, B: Body>(
    config: &Config,
    open: &Invocation,
    announced: &'a Announced<B>,
) -> Vec<&'a Span<B>> {
    let trace = if open.has_died() { trace_of_death(config, open, announced) } else { None };
    let mut begun = trace.map(|trace| announced.in_order(trace)).unwrap_or_default();
    begun.retain(|span| open.window().holds(span.start));
    begun
}

/// The function has died in `open`, and with it what it had announced; `None` where that concerns nothing.
pub(super) fn bury<B: Body>(
    config: &Config,
    open: &mut Invocation,
    family: &Family,
    finish: &Finish,
    announced: &Announced<B>,
) -> Option<Death> {
    let trace = trace_of_death(config, open, announced)?;
    let is_own = |span: &&Span<B>| {
        let names = span.request_id.as_ref().map(|id| *id == open.invoke.request_id);
        span.kind.is_entry() && names.unwrap_or(span.start + END_SLACK >= open.floor)
    };
    if open.entry.is_none()
        && let Some(span) = announced.in_order(trace).into_iter().find(is_own)
    {
        open.entry = Some(Entry { place: Place::of(span), end: span.end, receipt: 0 });
    }
    let at = ended_at(open, family);
    Some(Death { at, ending: finish.ending.clone(), trace })
}

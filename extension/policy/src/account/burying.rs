//! What dies with a function: the spans that it had announced, and not ended.

use alloc::vec::Vec;

use super::END_SLACK;
use super::closing::ended_at;
use super::ending::Finish;
use super::invocation::{Entry, Invocation};
use super::relatives::{Family, Place};
use crate::announced::{Announced, Part};
use crate::config::Config;
use crate::facts::Body;
use crate::platform::Ending;
use crate::span::Span;
use crate::time::UnixNanos;

/// The death of a function in one of its invocations.
#[derive(Clone, Debug)]
pub(crate) struct Death {
    pub(crate) at: UnixNanos,
    pub(crate) ending: Ending,
    /// All that is concerned, where others run beside it.
    pub(crate) part: Option<Part>,
}

/// What of the announced spans the death of the function concerns, where other invocations run beside `open`: the trace in
/// which an announced entry names it, if there is one. The outer `None` where nothing died that was announced.
fn part_of_death<B: Body>(
    config: &Config,
    open: &Invocation,
    announced: &Announced<B>,
) -> Option<Option<Part>> {
    if !config.is_managed() {
        return Some(None);
    }
    let request_id = &open.invoke.request_id;
    let entry =
        announced.in_order(None).into_iter().find(|span| span.request_id.as_ref() == Some(request_id))?;
    Some(Some(Part { trace: entry.trace_id, request_id: request_id.clone() }))
}

/// The announced spans that were still open when the function died in `open`: they belong to the invocation as if they had
/// been sent.
pub(super) fn dying<'a, B: Body>(
    config: &Config,
    open: &Invocation,
    announced: &'a Announced<B>,
) -> Vec<&'a Span<B>> {
    let part = if open.has_died() { part_of_death(config, open, announced) } else { None };
    let mut begun = part.map(|part| announced.in_order(part.as_ref())).unwrap_or_default();
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
    let part = part_of_death(config, open, announced)?;
    let is_own = |span: &&Span<B>| {
        let names = span.request_id.as_ref().map(|id| *id == open.invoke.request_id);
        span.kind.is_entry() && names.unwrap_or(span.start + END_SLACK >= open.floor)
    };
    if let Some(span) = announced.in_order(part.as_ref()).into_iter().find(is_own) {
        let closed = Entry { place: Place::of(span), end: span.end, receipt: 0, tells_death: true };
        open.entry.get_or_insert(closed).tells_death = true;
    }
    let at = ended_at(open, family);
    Some(Death { at, ending: finish.ending.clone(), part })
}

//! The invocation in which a process of ours was killed, closed by the next one.

use super::burying::dying;
use super::ending::Finish;
use super::entries::note_entry;
use super::invocation::{Entry, Invocation};
use super::relatives::{Place, Relatives, Window};
use super::{Account, INVOKE_DELAY_MAX};
use crate::announced::Announced;
use crate::config::Config;
use crate::facts::Body;
use crate::platform::Invoke;
use crate::span::{RequestId, Span, SpanId, TraceId};
use crate::time::{Duration, Instant};

/// INVOKE reaches us no later after the function than this, where our process has its share of the processor.
const INVOKE_DELAY: Duration = Duration::from_millis(20);

impl Account {
    /// An invocation that a killed process leaves behind, with the spans accepted since it began: it has failed. Its ids
    /// are those that the killed process would have made, from its `seed`. A trace that had begun in `earlier` is not its.
    pub(crate) fn recover<B: Body>(
        &mut self,
        config: &Config,
        (invoke, seed): (Invoke, u64),
        (earlier, spans): (&[Span<B>], &[Span<B>]),
        announced: &Announced<B>,
    ) {
        let (request_id, received_at) = (invoke.request_id.clone(), invoke.received_at);
        let deadline_at = Some(invoke.deadline_at);
        // It is none of this process's: the first of those is still to come.
        let mut open = Invocation::new(Instant::default(), seed, 0, invoke, deadline_at);
        // When the one before had ended, nobody knows here: what began well before INVOKE was read may be of that, unless
        // what began later names it as a parent.
        open.floor = received_at.minus(INVOKE_DELAY);
        open.from = open.floor;
        let last_end = self.last_end;
        for span in spans.iter().chain(earlier) {
            if span.request_id.as_ref() == Some(&request_id) && span.parent_is_remote != Some(false) {
                // Whether it has failed with us, nobody knows: it says what there is to say.
                let entry = Entry { place: Place::of(span), end: span.end, receipt: 0, tells_death: true };
                note_entry(&mut open.entry, entry);
            }
        }
        if let Some((_, place)) = self.rooted.take().filter(|(id, _)| *id == request_id) {
            // Where it is not here any more, it has been delivered.
            open.entry.get_or_insert(Entry { place, end: received_at, receipt: 0, tells_death: true });
        }
        let is_other = |trace: TraceId| {
            let mut of_trace = earlier.iter().filter(|span| span.trace_id == trace);
            of_trace.any(|span| span.request_id.as_ref() != Some(&request_id))
        };
        let mut relatives = Relatives::default();
        spans.iter().for_each(|span| relatives.add(span));
        let family = relatives.family(open.window());
        let latest = family.latest(open.invoke.deadline_at);
        let begun = announced.in_order(None).into_iter().map(|span| span.start).max();
        open.finish = Some(Finish::of_a_kill(latest.max(begun)));
        let family = family.and(&dying(config, &open, announced));
        let earliest = received_at.minus(INVOKE_DELAY_MAX);
        let family = relatives.with_ancestors(family, Window { from: earliest, ..open.window() });
        let family = family.without(|place, _| is_other(place.trace_id));
        self.close_with(Instant::default(), config, open, &family, announced);
        self.last_end = last_end;
    }

    /// The invocation that is recovered next has its root already.
    pub(crate) fn on_rooted(&mut self, request_id: RequestId, trace_id: TraceId, span_id: SpanId) {
        self.rooted = Some((request_id, Place { trace_id, span_id, parent: None }));
    }
}

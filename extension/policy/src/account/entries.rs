//! Spans of the function, and which invocations those are of that name one.

use super::invocation::Entry;
use super::relatives::Place;
use super::{Account, INVOKE_DELAY_MAX, Invocation, RETRIES_END, RETRY_PAUSE};
use crate::config::Config;
use crate::span::{RequestId, Span};
use crate::time::{Duration, Instant, UnixNanos};

/// A span that tells of the end of its invocation is sent by the end: within an SDK's flush, on a slow machine.
const IN_TIME: Duration = Duration::from_millis(500);

impl Account {
    /// A span was received.
    pub(crate) fn on_span<B>(&mut self, now: Instant, config: &Config, span: &Span<B>) {
        self.has_sdk = true;
        if let Some(request_id) = &span.request_id {
            self.on_entry(now, config, request_id, span);
        }
        if !config.is_managed() {
            self.relatives.add(span);
        }
    }

    /// A span names the invocation that it is of. One whose parent is in the same process is a part of another.
    fn on_entry<B>(&mut self, now: Instant, config: &Config, request_id: &RequestId, span: &Span<B>) {
        let named = self.open.iter().rfind(|open| open.invoke.request_id == *request_id);
        let began = named.map_or((UnixNanos(u64::MAX), 0), |open| (open.from, open.turn));
        let latest = self.open.last().map_or(UnixNanos(u64::MAX), |open| open.latest(now));
        let is_inner = span.parent_is_remote != Some(true) && self.relatives.has_outer(span, began, latest);
        if span.parent_is_remote == Some(false) || is_inner {
            return;
        }
        // What an SDK sends by a timer after the end is nothing to wait for: no end is told by it.
        let is_in_time = named
            .map_or_else(|| !self.has_begun(request_id), |open| open.now(now).since(span.end) <= IN_TIME);
        if is_in_time {
            self.was_heard = true;
            self.tells_ends = true;
        }
        let entry = Entry {
            place: Place::of(span),
            end: span.end,
            receipt: self.receipts,
            tells_death: span.is_error,
        };
        // An asynchronous invocation is retried under its own request id, a minute later: what began before the retry is of
        // the first try; and where the clock was set back since, that try ended in what is the future of the retry.
        let has_older = self.has_older(request_id);
        let is_it = |open: &Invocation| {
            let is_retry = open
                .deadline_at
                .is_some_and(|last| span.start > last + INVOKE_DELAY_MAX && span.start <= last + RETRIES_END);
            let is_over = self.is_retried_by(now, open, span.start);
            let is_future = has_older && span.start > open.latest(now);
            open.invoke.request_id == *request_id && !(is_retry || is_over || is_future)
        };
        let after = self.open.iter().rposition(|open| is_it(open) && span.start >= open.from);
        // INVOKE may be read late.
        let is_older = || self.is_over_at(request_id, span.start.minus(INVOKE_DELAY_MAX));
        let first = || self.open.iter().position(is_it).filter(|_| !is_older());
        if let Some(index) = after.or_else(first) {
            self.entries_mislead |= self.open[index].entry.is_some_and(|known| misled(&known, &entry));
            note_entry(&mut self.open[index].entry, entry);
        } else if let Some(invocation) =
            self.awaited.take(request_id, span.start, self.latest_try(request_id))
        {
            // It came after all: none is made.
            self.placed(&invocation, entry.place);
            self.tell_init(config);
        } else if let Some(known) = self.finished.iter_mut().rfind(|known| known.request_id == *request_id)
            && known.may_hold(span.start)
        {
            self.entries_mislead |= known.entry.is_some_and(|known| misled(&known, &entry));
            if known.deadline_at.is_none_or(|last| entry.end <= last) {
                known.ended_at = known.ended_at.max(entry.end);
                self.last_end = self.last_end.max(entry.end);
            }
        } else if let Some(early) = self.unbegun.note(request_id) {
            note_entry(&mut early.entry, entry);
        }
    }

    /// Whether what began at `start` is of a retry of `open`, although INVOKE of that was read later: this had ended long before.
    fn is_retried_by(&self, now: Instant, open: &Invocation, start: UnixNanos) -> bool {
        let is_retry = |other: &Invocation| {
            other.ordinal > open.ordinal && other.invoke.request_id == open.invoke.request_id
        };
        // What is in its future began before the clock was set back.
        let may_be_its =
            |other: &Invocation| start + RETRY_PAUSE > other.invoke.received_at && start <= other.latest(now);
        self.open.iter().any(|other| is_retry(other) && may_be_its(other))
    }

    /// When the latest try of `request_id` that is over began, as far as is remembered.
    fn latest_try(&self, request_id: &RequestId) -> Option<UnixNanos> {
        let mut tries = self.finished.iter().rev().filter(|finished| finished.request_id == *request_id);
        tries.next().map(|latest| latest.began_at)
    }
}

/// Notes a span that names an invocation. Of two the outer one stands for it: a CONSUMER span inside a SERVER span. It had
/// not ended before any of them.
pub(super) fn note_entry(known: &mut Option<Entry>, entry: Entry) {
    let Some(before) = known else {
        *known = Some(entry);
        return;
    };
    let is_outer = before.place.parent == Some(entry.place.span_id);
    let end = before.end.max(entry.end);
    let tells_death = before.tells_death || entry.tells_death;
    *before = Entry { end, tells_death, ..if is_outer { entry } else { *before } };
}

/// Whether `entry` shows that `known`, which came in a request before, was not the end of the invocation.
fn misled(known: &Entry, entry: &Entry) -> bool {
    let is_other = known.place.span_id != entry.place.span_id;
    is_other && entry.receipt > known.receipt && entry.end > known.end
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::span::{SpanId, TraceId};

    fn trace(number: u8) -> TraceId {
        TraceId::new([number; 16]).expect("not zero")
    }

    fn id(number: u8) -> SpanId {
        SpanId::new([number; 8]).expect("not zero")
    }

    /// An entry span in trace 9, which came in this request.
    fn entry(span_id: u8, parent: Option<u8>, end: u64, receipt: u64) -> Entry {
        Entry {
            place: Place { trace_id: trace(9), span_id: id(span_id), parent: parent.map(id) },
            end: UnixNanos(end),
            receipt,
            tells_death: false,
        }
    }

    #[test]
    fn of_two_spans_that_name_an_invocation_the_outer_one_stands_for_it() {
        for (known, other, stands) in [
            (None, entry(1, None, 5, 1), 1),
            (Some(entry(1, Some(2), 5, 1)), entry(2, None, 9, 1), 2),
            (Some(entry(1, None, 5, 1)), entry(2, Some(1), 9, 1), 1),
            (Some(entry(1, None, 5, 1)), entry(2, None, 9, 1), 1),
        ] {
            let mut noted = known;
            note_entry(&mut noted, other);
            assert_eq!(noted.map(|entry| entry.place.span_id), Some(id(stands)));
        }
    }

    #[test]
    fn a_span_misleads_if_another_ends_later_and_comes_in_a_later_request() {
        let known = entry(1, None, 5, 1);
        for (other, misleads) in [
            (entry(2, None, 9, 2), true),
            (entry(2, None, 9, 1), false),
            (entry(2, None, 5, 2), false),
            (entry(1, None, 9, 2), false),
        ] {
            assert_eq!(misled(&known, &other), misleads);
        }
    }

    #[test]
    fn an_invocation_had_not_ended_before_any_span_that_names_it() {
        for (known, other, stands, end) in [
            (entry(1, None, 5, 1), entry(2, None, 9, 1), 1, 9),
            (entry(1, None, 9, 1), entry(2, None, 5, 1), 1, 9),
            (entry(1, Some(2), 9, 1), entry(2, None, 5, 1), 2, 9),
        ] {
            let mut noted = Some(known);
            note_entry(&mut noted, other);
            let noted = noted.map(|entry| (entry.place.span_id, entry.end));
            assert_eq!(noted, Some((id(stands), UnixNanos(end))));
        }
    }

    #[test]
    fn a_death_is_told_if_any_span_that_names_the_invocation_tells_it() {
        for (known, other) in [(false, false), (true, false), (false, true), (true, true)] {
            // The second is the outer one, or the first is.
            for parent in [Some(2), None] {
                let mut noted = Some(Entry { tells_death: known, ..entry(1, parent, 5, 1) });
                note_entry(&mut noted, Entry { tells_death: other, ..entry(2, None, 9, 1) });
                let tells_death = noted.map(|entry| entry.tells_death);
                assert_eq!(tells_death, Some(known || other), "{known} {other} {parent:?}");
            }
        }
    }

    #[test]
    fn the_latest_try_that_is_over_is_remembered() {
        let mut account = Account::default();
        for (request_id, began) in [("r", 100), ("s", 150), ("r", 200)] {
            account.finished.push_back(super::super::invocation::Finished {
                request_id: request_id.into(),
                began_at: UnixNanos(began),
                ended_at: UnixNanos(began + 10),
                deadline_at: None,
                told_at: None,
                entry: None,
                is_done: true,
                is_reported: false,
            });
        }
        let latest = ["r", "s", "t"].map(|request_id| account.latest_try(&request_id.into()));
        assert_eq!(latest, [Some(UnixNanos(200)), Some(UnixNanos(150)), None]);
    }
}

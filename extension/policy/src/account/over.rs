//! Which invocations have begun and which are over: to which of them a span or an event belongs that comes later.

use super::invocation::{Finished, Invocation};
use super::{Account, END_SLACK, INVOKE_DELAY_MAX};
use crate::config::Config;
use crate::span::{RequestId, TraceId};
use crate::time::{Instant, UnixNanos};

impl Account {
    /// The invocation that was over when a span which began at `start` came, and that it began in; `None` where it is of the
    /// running one, or where invocations overlap. Where nobody has told its end, it was over when the next one began: not
    /// before `/next` was asked.
    pub(crate) fn over_at(&self, now: Instant, config: &Config, start: UnixNanos) -> Option<&RequestId> {
        let next = self.current().map_or(UnixNanos(u64::MAX), |open| open.from);
        // What is in the future of the running one began before the clock was set back.
        let is_future = self.current().is_some_and(|open| start > open.latest(now));
        let is_late = !config.is_managed() && (start < next || is_future);
        let is_of = |finished: &&Finished| {
            finished.began_at.minus(INVOKE_DELAY_MAX) <= start && start <= finished.ended_at
        };
        let finished =
            self.finished.iter().filter(|_| is_late).find(is_of).map(|finished| &finished.request_id);
        let mut before = self.open.iter().rev().skip(1).filter(|_| is_late);
        let is_before =
            |open: &&Invocation| open.from <= start && open.asked_at.is_some_and(|asked| start < asked);
        finished.or_else(|| before.find(is_before).map(|open| &open.invoke.request_id))
    }

    /// The invocation that is over and has its own span in `trace`, for a span that began at `start`, before INVOKE of the
    /// running one was read: by time it may be of either.
    pub(crate) fn over_in(&self, config: &Config, trace: TraceId, start: UnixNanos) -> Option<&RequestId> {
        let open = self.current().filter(|_| !config.is_managed())?;
        let is_of = |known: &&Finished| known.entry.is_some_and(|entry| entry.place.trace_id == trace);
        let mut known = self.finished.iter().rev().filter(|_| start < open.invoke.received_at);
        known.find(is_of).map(|known| &known.request_id)
    }

    /// Whether `request_id` is over, and does not run again.
    pub(crate) fn is_over(&self, request_id: &RequestId) -> bool {
        !self.is_open(request_id) && self.has_older(request_id)
    }

    /// Whether what happened at `at` is of an invocation of this request id that is over.
    pub(super) fn is_over_at(&self, request_id: &RequestId, at: UnixNanos) -> bool {
        self.finished.iter().any(|known| known.request_id == *request_id && at <= known.ended_at)
    }

    /// Whether an earlier try of `request_id` is remembered.
    pub(super) fn has_older(&self, request_id: &RequestId) -> bool {
        self.finished.iter().any(|finished| finished.request_id == *request_id)
    }

    /// Whether `request_id` has begun, as far as is remembered.
    pub(super) fn has_begun(&self, request_id: &RequestId) -> bool {
        self.is_open(request_id) || self.has_older(request_id)
    }

    /// Whether `platform.start` of `request_id` at `at` is of an invocation that is known already: it began then, or it was
    /// begun by its report, which is later than its end by some time.
    pub(crate) fn has_begun_at(&self, request_id: &RequestId, at: UnixNanos) -> bool {
        let is_open =
            |open: &Invocation| open.invoke.request_id == *request_id && open.invoke.received_at == at;
        let is_finished = |known: &Finished| {
            let from = known.began_at.minus(INVOKE_DELAY_MAX);
            known.request_id == *request_id && from <= at && at <= known.ended_at
        };
        self.open.iter().any(is_open) || self.finished.iter().any(is_finished)
    }

    /// Whether a report of `at` is of an invocation whose begin was never told.
    pub(crate) fn is_begin_lost(&self, request_id: &RequestId, at: UnixNanos) -> bool {
        let is_its = |known: &Finished| {
            known.request_id == *request_id && (!known.is_reported || at <= known.ended_at)
        };
        !self.is_open(request_id) && !self.finished.iter().any(is_its)
    }

    /// The number, in order of their begin, of the oldest invocation that is open; of the next one where none is.
    pub(crate) fn oldest_open(&self) -> u64 {
        self.open.first().map_or(self.begun + 1, |open| open.ordinal)
    }

    /// Every invocation that began before this time is over: the platform tells of begins in their order. For Managed
    /// Instances.
    pub(crate) fn all_over_before(&self) -> UnixNanos {
        let oldest_open = self.open.iter().map(|open| open.invoke.received_at).min();
        let newest_finished = || self.finished.iter().map(|finished| finished.began_at).max();
        oldest_open.or_else(newest_finished).unwrap_or_default().minus(END_SLACK)
    }
}

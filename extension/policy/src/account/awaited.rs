//! Invocations that have ended without a span of the function's own, which may still come: an SDK that sends by a
//! timer sends it after the response, often after a freeze. A root made at once would be a second one.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::invocation::Invocation;
use super::relatives::{Relatives, Window};
use super::{END_SLACK, INVOKE_DELAY_MAX};
use crate::span::RequestId;
use crate::time::{Duration, Instant, UnixNanos};

/// Invocations awaited at once: at 100 a second, ten seconds of them. The oldest is settled for a further one.
const AWAITED_MAX: usize = 1_024;
/// The timers of SDKs are due by then: the batch processors of all of them wait for five seconds by default.
///
/// # Source
/// `OTEL_BSP_SCHEDULE_DELAY`: <https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/>
const TIMERS_DUE: Duration = Duration::from_secs(6);
/// So many invocations must begin and end after that: in the first, a timer that was due in the freeze fires; what it
/// sends may arrive in the second.
const CHANCES: u8 = 2;

#[derive(Clone, Debug)]
struct Awaited {
    invocation: Invocation,
    /// When its end was known, and when it was.
    since: Instant,
    ended_at: UnixNanos,
    /// Invocations that have begun after timers were due, and ended.
    chances: u8,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Waiting {
    all: VecDeque<Awaited>,
}

impl Waiting {
    /// Awaits the own span of `invocation`, which ended at `ended_at`; gives an older one back that is awaited no longer.
    pub(super) fn add(
        &mut self,
        now: Instant,
        ended_at: UnixNanos,
        invocation: Invocation,
    ) -> Option<Invocation> {
        let oldest = if self.all.len() == AWAITED_MAX { self.all.pop_front() } else { None };
        self.all.push_back(Awaited { invocation, since: now, ended_at, chances: 0 });
        oldest.map(|awaited| awaited.invocation)
    }

    /// Takes out the invocation `request_id` that a span which began at `start` can be of. One that began after the ends of
    /// all is of the latest try, which began at `latest` and may have been taken out before.
    pub(super) fn take(
        &mut self,
        request_id: &RequestId,
        start: UnixNanos,
        latest: Option<UnixNanos>,
    ) -> Option<Invocation> {
        let is_it = |awaited: &Awaited| awaited.invocation.invoke.request_id == *request_id;
        let attempt = self.all.iter().position(|awaited| is_it(awaited) && start <= awaited.ended_at);
        let is_latest = |awaited: &Awaited| {
            // A retry begins a minute later.
            let is_near = start <= awaited.ended_at + INVOKE_DELAY_MAX;
            is_it(awaited) && is_near && latest.is_none_or(|at| at == awaited.invocation.invoke.received_at)
        };
        let index = attempt.or_else(|| self.all.iter().rposition(is_latest))?;
        self.all.remove(index).map(|awaited| awaited.invocation)
    }

    /// An invocation that began at `began` is over, at `now`. Takes out those awaited in vain: the function has sent a span
    /// that began after their end, so that its SDK has sent what ended before; or timers had their chances. While a request
    /// `is_underway`, it may be theirs, and others may have overtaken it; unless so many came that theirs would be forgotten.
    pub(super) fn ripe(
        &mut self,
        (began, now): (Instant, Instant),
        until: UnixNanos,
        relatives: &Relatives,
        is_underway: bool,
    ) -> Vec<Invocation> {
        for awaited in &mut self.all {
            awaited.chances += u8::from(began.since(awaited.since) >= TIMERS_DUE);
        }
        let may_wait = is_underway && !relatives.is_crowded();
        let is_passed = |awaited: &Awaited| {
            if may_wait && now.since(awaited.since) < TIMERS_DUE {
                return false;
            }
            // Its end is told in whole milliseconds, and may be later by one.
            let from = awaited.ended_at + END_SLACK + Duration::from_nanos(1);
            relatives.has_in(Window { from, until })
        };
        self.take_if(|awaited| awaited.chances >= CHANCES || is_passed(awaited))
    }

    /// Takes out those whose timers were due before `now`, where nothing freezes.
    pub(super) fn overdue(&mut self, now: Instant) -> Vec<Invocation> {
        self.take_if(|awaited| now.since(awaited.since) >= TIMERS_DUE)
    }

    /// Takes out all of them.
    pub(super) fn all(&mut self) -> Vec<Invocation> {
        self.take_if(|_| true)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The one of this request id that can have begun at `at`.
    pub(super) fn started(&self, request_id: &RequestId, at: UnixNanos) -> Option<u64> {
        let is_it = |awaited: &&Awaited| {
            awaited.invocation.invoke.request_id == *request_id && at <= awaited.ended_at
        };
        self.all.iter().find(is_it).map(|awaited| awaited.invocation.ordinal)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Invocation> {
        self.all.iter_mut().map(|awaited| &mut awaited.invocation)
    }

    /// The latest invocation of this request id that is awaited.
    pub(super) fn find(&mut self, request_id: &RequestId) -> Option<&mut Invocation> {
        let mut all = self.all.iter_mut().rev().map(|awaited| &mut awaited.invocation);
        all.find(|invocation| invocation.invoke.request_id == *request_id)
    }

    /// When the spans of the oldest one may have begun.
    pub(super) fn oldest_from(&self) -> Option<UnixNanos> {
        self.all.iter().map(|awaited| awaited.invocation.from).min()
    }

    fn take_if(&mut self, is_meant: impl Fn(&Awaited) -> bool) -> Vec<Invocation> {
        let (meant, rest) = core::mem::take(&mut self.all).into_iter().partition(|awaited| is_meant(awaited));
        self.all = rest;
        let meant: VecDeque<Awaited> = meant;
        meant.into_iter().map(|awaited| awaited.invocation).collect()
    }
}

//! Invocations that have ended without a span of the function's own, which may still come: an SDK that sends by a
//! timer sends it after the response, often after a freeze. A root made at once would be a second one.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::invocation::Invocation;
use super::relatives::{Relatives, Window};
use super::{END_SLACK, INVOKE_DELAY_MAX};
use crate::platform::Invoke;
use crate::span::RequestId;
use crate::time::{Duration, Instant, UnixNanos};

/// Invocations awaited at once: at 680 a second, those for which timers are not due. The oldest is settled for a further one.
const AWAITED_MAX: usize = 4_096;
/// The timers of SDKs are due by then: the batch processors of all of them wait for five seconds by default.
///
/// # Source
/// `OTEL_BSP_SCHEDULE_DELAY`: <https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/>
pub(crate) const TIMERS_DUE: Duration = Duration::from_secs(6);
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

impl Awaited {
    /// The latest time at which it can have ended. Where nobody has told, that was before the next one began, or when its
    /// time was over.
    fn ended_by(&self) -> UnixNanos {
        let Invocation { until, deadline_at, .. } = self.invocation;
        let told = self.invocation.finish.as_ref().and_then(|finish| finish.at);
        let last = told.unwrap_or_else(|| deadline_at.map_or(self.ended_at, |deadline| deadline.min(until)));
        last.max(self.ended_at)
    }
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

    /// Takes out the invocation `request_id` that a span which began at `start` can be of: of several tries, the one that ran
    /// then. The latest began at `latest`, and may have been taken out before.
    pub(super) fn take(
        &mut self,
        request_id: &RequestId,
        start: UnixNanos,
        latest: Option<UnixNanos>,
    ) -> Option<Invocation> {
        let is_it = |awaited: &Awaited| {
            let Invoke { request_id: known, received_at, .. } = &awaited.invocation.invoke;
            known == request_id && start + INVOKE_DELAY_MAX >= *received_at
        };
        let attempt = self.all.iter().position(|awaited| is_it(awaited) && start <= awaited.ended_at);
        let is_near = |awaited: &Awaited| {
            // A retry begins a minute later.
            let is_before = |at: UnixNanos| at == awaited.invocation.invoke.received_at || start < at;
            let is_near = start <= awaited.ended_by() + INVOKE_DELAY_MAX;
            is_it(awaited) && is_near && latest.is_none_or(is_before)
        };
        let index = attempt.or_else(|| self.all.iter().rposition(is_near))?;
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
            let from = awaited.ended_by() + END_SLACK + Duration::from_nanos(1);
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
            let Invoke { request_id: known, received_at, .. } = &awaited.invocation.invoke;
            known == request_id && at + INVOKE_DELAY_MAX >= *received_at && at <= awaited.ended_at
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

#[cfg(test)]
mod tests {
    use super::super::ending::Finish;
    use super::*;
    use crate::platform::Ending;
    use crate::span::{Kind, Span, SpanId, TraceId};

    const SECOND: u64 = 1_000_000_000;

    fn at(seconds: u64) -> Instant {
        Instant::from_nanos(seconds * SECOND)
    }

    /// The invocation of this request id and number, received at so many seconds.
    fn invocation(request_id: &str, ordinal: u64, received_at: u64) -> Invocation {
        let invoke = Invoke {
            request_id: request_id.into(),
            arn: "".into(),
            deadline: Instant::default(),
            deadline_at: UnixNanos(0),
            received_at: UnixNanos(received_at * SECOND),
            waited: Duration::ZERO,
            xray: None,
        };
        let from = UnixNanos(received_at * SECOND);
        Invocation { from, ..Invocation::new(at(received_at), 7, ordinal, invoke, None) }
    }

    /// A span that began at `start`.
    fn span(start: u64) -> Span<()> {
        Span {
            trace_id: TraceId::new([9; 16]).expect("not zero"),
            span_id: SpanId::new([1; 8]).expect("not zero"),
            parent: None,
            parent_is_remote: None,
            kind: Kind::Internal,
            start: UnixNanos(start),
            end: UnixNanos(start),
            is_error: false,
            request_id: None,
            size: 1,
            body: (),
        }
    }

    /// Two tries of `r` and one of `s`, each a second long.
    fn waiting() -> Waiting {
        let mut waiting = Waiting::default();
        for (request_id, ordinal, received_at) in [("r", 1, 10), ("s", 2, 30), ("r", 3, 90)] {
            let ended_at = UnixNanos((received_at + 1) * SECOND);
            let none =
                waiting.add(at(received_at + 1), ended_at, invocation(request_id, ordinal, received_at));
            assert!(none.is_none());
        }
        waiting
    }

    #[test]
    fn a_span_is_of_the_first_try_that_had_not_ended_when_it_began() {
        // When the span began, when the latest try did, and which invocation it is of.
        let latest = Some(90);
        for (request_id, start_ms, latest, ordinal) in [
            ("r", 10_500, latest, Some(1)),
            ("r", 11_000, latest, Some(1)),
            ("r", 11_001, latest, Some(1)),
            ("r", 12_001, latest, None),
            ("r", 8_999, latest, None),
            ("r", 9_000, latest, Some(1)),
            ("r", 88_999, latest, None),
            ("r", 89_000, latest, Some(3)),
            ("r", 91_000, latest, Some(3)),
            ("r", 91_500, latest, Some(3)),
            ("r", 92_000, latest, Some(3)),
            ("r", 92_001, latest, None),
            ("r", 91_500, Some(95), Some(3)),
            ("r", 91_500, Some(91), None),
            ("r", 92_000, Some(92), None),
            ("r", 91_500, None, Some(3)),
            ("s", 31_500, Some(30), Some(2)),
            ("t", 10_500, None, None),
        ] {
            let mut waiting = waiting();
            let (start, latest) = (UnixNanos(start_ms * 1_000_000), latest.map(|at| UnixNanos(at * SECOND)));
            let taken = waiting.take(&request_id.into(), start, latest);
            assert_eq!(taken.map(|of| of.ordinal), ordinal, "{request_id} at {start_ms} ms");
            assert_eq!(waiting.all.len(), 3 - usize::from(ordinal.is_some()));
        }
    }

    #[test]
    fn where_nobody_told_the_end_it_ran_until_its_deadline_or_the_next_one() {
        // Its deadline, when the next one began, when the platform said that it ended, all in seconds, and by when it had
        // ended: it was received at 10, and nothing was heard of it after 11.
        for (deadline, until, told, ended_by) in [
            (None, None, None, 11),
            (Some(60), None, None, 60),
            (Some(60), Some(40), None, 40),
            (Some(30), Some(40), None, 30),
            (Some(60), Some(40), Some(20), 20),
            (Some(60), Some(40), Some(5), 11),
            (Some(60), Some(10), None, 11),
        ] {
            let seconds = |at: u64| UnixNanos(at * SECOND);
            let mut open = invocation("r", 1, 10);
            (open.deadline_at, open.until) = (deadline.map(seconds), until.map_or(open.until, seconds));
            open.finish = told.map(|at| Finish::told(&Ending::SUCCESS, seconds(at), None));
            let text = alloc::format!("{deadline:?} {until:?} {told:?}");
            let mut waiting = Waiting::default();
            waiting.add(at(11), seconds(11), open);
            // A span is of it that began up to a second later, and one that began later still shows that it is over.
            let last = seconds(ended_by) + INVOKE_DELAY_MAX;
            let take = |start: UnixNanos| waiting.clone().take(&"r".into(), start, None).is_some();
            assert_eq!((take(last), take(last + Duration::from_nanos(1))), (true, false), "{text}");
            for (start, is_passed) in [(ended_by * SECOND, false), (ended_by * SECOND + 2_000_000, true)] {
                let mut relatives = Relatives::default();
                relatives.add(&span(start));
                let now = (at(12), at(12));
                let ripe = waiting.clone().ripe(now, UnixNanos(u64::MAX), &relatives, false);
                assert_eq!(ripe.len(), usize::from(is_passed), "{text}, a span that began at {start}");
            }
        }
    }

    #[test]
    fn it_is_awaited_for_two_invocations_after_timers_were_due() {
        let relatives = Relatives::default();
        let mut waiting = waiting();
        let ordinals = |all: Vec<Invocation>| all.iter().map(|of| of.ordinal).collect::<Vec<_>>();
        let until = UnixNanos(u64::MAX);
        // The end of `r` was known at 11: an invocation that begins before 17 gives its timers no chance.
        assert_eq!(ordinals(waiting.ripe((at(16), at(16)), until, &relatives, false)), []);
        assert_eq!(ordinals(waiting.ripe((at(17), at(17)), until, &relatives, false)), []);
        assert_eq!(ordinals(waiting.ripe((at(18), at(18)), until, &relatives, false)), [1]);
        assert_eq!(ordinals(waiting.ripe((at(40), at(40)), until, &relatives, false)), []);
        assert_eq!(ordinals(waiting.ripe((at(41), at(41)), until, &relatives, false)), [2]);
        assert!(!waiting.is_empty());
        assert_eq!(ordinals(waiting.all()), [3]);
        assert!(waiting.is_empty());
    }

    #[test]
    fn a_span_that_began_later_shows_that_what_ended_before_was_sent() {
        let end = 11 * SECOND;
        for (start, is_passed) in
            [(end, false), (end + 1_000_000, false), (end + 1_000_001, true), (50 * SECOND, false)]
        {
            let mut waiting = Waiting::default();
            waiting.add(at(11), UnixNanos(end), invocation("r", 1, 10));
            let mut relatives = Relatives::default();
            relatives.add(&span(start));
            let ripe = waiting.ripe((at(12), at(12)), UnixNanos(50 * SECOND), &relatives, false);
            assert_eq!(ripe.len(), usize::from(is_passed), "a span that began at {start}");
        }
    }

    #[test]
    fn where_nothing_freezes_only_time_tells() {
        let mut waiting = waiting();
        let ordinals = |all: Vec<Invocation>| all.iter().map(|of| of.ordinal).collect::<Vec<_>>();
        assert_eq!(ordinals(waiting.overdue(at(16))), []);
        assert_eq!(ordinals(waiting.overdue(at(17))), [1]);
        assert_eq!(ordinals(waiting.overdue(at(97))), [2, 3]);
    }

    #[test]
    fn the_try_that_runs_is_found() {
        let mut waiting = waiting();
        let started =
            |waiting: &Waiting, id: &str, s: u64| waiting.started(&id.into(), UnixNanos(s * SECOND));
        let found =
            [("r", 8), ("r", 9), ("r", 11), ("r", 12), ("r", 88), ("r", 89), ("r", 92), ("s", 30), ("t", 1)]
                .map(|(id, s)| started(&waiting, id, s));
        assert_eq!(found, [None, Some(1), Some(1), None, None, Some(3), None, Some(2), None]);
        assert_eq!(waiting.find(&"r".into()).map(|of| of.ordinal), Some(3), "the latest");
        assert!(waiting.find(&"t".into()).is_none());
        assert_eq!(waiting.iter_mut().map(|of| of.ordinal).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(waiting.oldest_from(), Some(UnixNanos(10 * SECOND)));
        assert_eq!(Waiting::default().oldest_from(), None);
    }

    #[test]
    fn the_oldest_is_given_back_where_there_are_too_many() {
        let mut waiting = Waiting::default();
        for n in 0..AWAITED_MAX as u64 {
            assert!(waiting.add(at(n), UnixNanos(n), invocation("r", n, n)).is_none());
        }
        let given = waiting.add(at(0), UnixNanos(0), invocation("r", 9_999, 0));
        assert_eq!((given.map(|of| of.ordinal), waiting.all.len()), (Some(0), AWAITED_MAX));
    }

    #[test]
    fn while_a_request_is_underway_it_may_be_the_one_that_is_awaited_until_timers_are_due() {
        for (is_underway, now, is_passed) in
            [(false, 12, true), (true, 12, false), (true, 16, false), (true, 17, true)]
        {
            let mut waiting = Waiting::default();
            waiting.add(at(11), UnixNanos(11 * SECOND), invocation("r", 1, 10));
            let mut relatives = Relatives::default();
            relatives.add(&span(12 * SECOND));
            let ripe = waiting.ripe((at(12), at(now)), UnixNanos(u64::MAX), &relatives, is_underway);
            assert_eq!(ripe.len(), usize::from(is_passed), "{is_underway} {now}");
        }
    }
}

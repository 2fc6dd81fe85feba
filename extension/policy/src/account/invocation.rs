//! One invocation: what is known of it, from its begin until its span is sent.

use super::ending::Finish;
use super::relatives::{Place, Window};
use super::{INVOKE_DELAY_MAX, RETRY_PAUSE};
use crate::id::Ids;
use crate::platform::{EndStatus, Invoke};
use crate::span::RequestId;
use crate::time::{Instant, UnixNanos};

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Invocation {
    pub(crate) invoke: Invoke,
    pub(super) ids: Ids,
    /// Counts invocations of the environment.
    pub(super) ordinal: u64,
    /// When its INVOKE, or its `platform.start`, was handled.
    pub(super) began: Instant,
    /// How often `/next` had been asked when it began, where one is never asked before the one before it is over.
    pub(super) turn: u64,
    /// When the platform kills it, where that is known.
    pub(super) deadline_at: Option<UnixNanos>,
    /// `platform.start`.
    pub(super) started_at: Option<UnixNanos>,
    /// The one before had ended by then.
    pub(super) floor: UnixNanos,
    /// No span that began earlier is of it.
    pub(super) from: UnixNanos,
    /// No span that began then or later is of it: the next invocation has begun.
    pub(super) until: UnixNanos,
    /// When `/next` was asked in it first.
    pub(super) asked_at: Option<UnixNanos>,
    /// Whether the platform has told when the next invocation began.
    pub(super) is_next_told: bool,
    /// The function's own SERVER or CONSUMER span that names it.
    pub(super) entry: Option<Entry>,
    pub(super) finish: Option<Finish>,
    /// The function said that it is done with it (`POST /v1/flush`).
    pub(super) flush_requested: bool,
}

/// A span that names the invocation which it stands for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) place: Place,
    pub(super) end: UnixNanos,
    /// The request that it came in.
    pub(super) receipt: u64,
    /// Whether it says enough where the function has died: it has failed, or is closed by that death. One that had ended well
    /// says nothing of it.
    pub(super) tells_death: bool,
}

impl Invocation {
    /// An invocation of which nothing is known but how it begins; `deadline_at` is `None` where no INVOKE told it.
    pub(super) fn new(
        now: Instant,
        seed: u64,
        ordinal: u64,
        invoke: Invoke,
        deadline_at: Option<UnixNanos>,
    ) -> Self {
        let attempt = deadline_at.unwrap_or(invoke.received_at);
        Self {
            ids: Ids { seed, request_id: invoke.request_id.clone(), attempt },
            ordinal,
            began: now,
            turn: 0,
            // One that has passed when it is told says nothing of when the invocation ended.
            deadline_at: deadline_at.filter(|at| *at >= invoke.received_at),
            started_at: None,
            floor: UnixNanos::default(),
            from: UnixNanos::default(),
            until: UnixNanos(u64::MAX),
            asked_at: None,
            is_next_told: false,
            entry: None,
            finish: None,
            flush_requested: false,
            invoke,
        }
    }

    /// Whether the process that ran it is known to be gone.
    pub(crate) fn has_died(&self) -> bool {
        self.finish.as_ref().is_some_and(|finish| finish.has_died)
    }

    /// Whether the platform, or a span that names it, has told when it ended.
    pub(super) fn is_end_told(&self) -> bool {
        self.entry.is_some() || self.finish.as_ref().is_some_and(|finish| finish.at.is_some())
    }

    /// The wall time at `now`, by the clock that told when its INVOKE was received.
    pub(super) fn now(&self, now: Instant) -> UnixNanos {
        self.invoke.received_at + now.since(self.began)
    }

    /// What its function sends by `now` has begun by then.
    pub(super) fn latest(&self, now: Instant) -> UnixNanos {
        self.now(now) + INVOKE_DELAY_MAX
    }

    pub(super) const fn is_first(&self) -> bool {
        self.ordinal == 1
    }

    pub(super) const fn window(&self) -> Window {
        Window { from: self.from, until: self.until }
    }

    /// When it began: `platform.start` where that is known, else when its INVOKE reached us, or when its earliest span
    /// shows that the function was faster than we were.
    pub(super) fn start(&self, earliest: Option<UnixNanos>) -> UnixNanos {
        let told = self.started_at.unwrap_or(self.invoke.received_at);
        earliest.map_or(told, |earliest| told.min(earliest))
    }

    /// When it ended, never before `start`. Its latest span tells where nothing else does.
    ///
    /// Shape: a time-out ends at the deadline, where one is known; else the platform's measured duration counts from
    /// its start, because `at` is when an event was made.
    pub(super) fn end(&self, start: UnixNanos, latest: Option<UnixNanos>) -> UnixNanos {
        let finish = self.finish.as_ref();
        let is_timeout = finish.is_some_and(|finish| finish.ending.outcome() == EndStatus::Timeout);
        let at_deadline = self.deadline_at.filter(|_| is_timeout);
        let duration = finish.and_then(|finish| finish.duration);
        let measured = self.started_at.zip(duration).map(|(start, duration)| start + duration);
        let told = finish.filter(|finish| !finish.is_overlong).and_then(|finish| finish.at);
        // Where only INVOKE told when it began, which may have been read late, its report is later than its end all the same.
        let last = finish.and_then(|finish| finish.at).unwrap_or(UnixNanos(u64::MAX));
        let guessed = duration.map(|duration| (start + duration).min(last));
        let end = at_deadline.or(measured).or(told).or(guessed).or(latest);
        end.unwrap_or(self.invoke.received_at).max(start)
    }
}

/// An invocation whose root is sent, by the function or by us: remembered for what is told late, or twice.
#[derive(Clone, Debug)]
pub(super) struct Finished {
    pub(super) request_id: RequestId,
    /// Where invocations overlap: the `platform.start` that it began with.
    pub(super) began_at: UnixNanos,
    pub(super) ended_at: UnixNanos,
    pub(super) deadline_at: Option<UnixNanos>,
    /// When it ended by `platform.runtimeDone`.
    pub(super) told_at: Option<UnixNanos>,
    /// The span that stood for it.
    pub(super) entry: Option<Entry>,
    /// Whether the platform has told of its end, and whether `platform.report` was it.
    pub(super) is_done: bool,
    pub(super) is_reported: bool,
}

impl Finished {
    /// Whether a span that names it, and began at `start`, is of this try. If only spans have told of its end, it may have gone
    /// on after them: a function that serves several records makes a span for each, one after the other.
    pub(super) fn may_hold(&self, start: UnixNanos) -> bool {
        let goes_on = !self.is_done
            && start < self.ended_at + RETRY_PAUSE
            && self.deadline_at.is_none_or(|last| start <= last);
        start <= self.ended_at || goes_on
    }

    /// The platform has told of its end late, or once more.
    pub(super) fn on_told(&mut self, at: UnixNanos, finish: &Finish) {
        if !finish.is_overlong {
            self.is_done = true;
            self.told_at.get_or_insert(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::Ending;
    use crate::time::Duration;

    /// An invocation received at 100, with this deadline.
    fn invocation(deadline_at: Option<u64>) -> Invocation {
        let invoke = Invoke {
            request_id: "r".into(),
            arn: "".into(),
            deadline: Instant::default(),
            deadline_at: UnixNanos(deadline_at.unwrap_or_default()),
            received_at: UnixNanos(100),
            waited: Duration::ZERO,
            xray: None,
        };
        Invocation::new(Instant::default(), 7, 1, invoke, deadline_at.map(UnixNanos))
    }

    fn finished() -> Finished {
        Finished {
            request_id: "r".into(),
            began_at: UnixNanos(1),
            ended_at: UnixNanos(2),
            deadline_at: None,
            told_at: None,
            entry: None,
            is_done: false,
            is_reported: false,
        }
    }

    fn finish(status: EndStatus, at: Option<u64>, duration: Option<u64>, is_overlong: bool) -> Finish {
        Finish {
            ending: Ending { status, error_type: None },
            at: at.map(UnixNanos),
            duration: duration.map(Duration::from_nanos),
            produced_bytes: None,
            has_died: false,
            is_overlong,
        }
    }

    #[test]
    fn a_deadline_that_has_passed_says_nothing_and_names_the_attempt_all_the_same() {
        for (deadline, known) in
            [(None, None), (Some(99), None), (Some(100), Some(100)), (Some(900), Some(900))]
        {
            let open = invocation(deadline);
            assert_eq!(open.deadline_at, known.map(UnixNanos));
            assert_eq!(open.ids.attempt, UnixNanos(deadline.unwrap_or(100)));
        }
    }

    #[test]
    fn it_begins_when_the_platform_says_or_invoke_came_or_its_first_span_began() {
        for (told, earliest, start) in [
            (None, None, 100),
            (Some(90), None, 90),
            (Some(90), Some(95), 90),
            (Some(90), Some(80), 80),
            (None, Some(101), 100),
        ] {
            let open = Invocation { started_at: told.map(UnixNanos), ..invocation(None) };
            assert_eq!(open.start(earliest.map(UnixNanos)), UnixNanos(start), "{told:?} {earliest:?}");
        }
    }

    #[test]
    fn it_ends_at_its_deadline_or_as_the_platform_says_or_with_its_last_span() {
        use EndStatus::{Success, Timeout};
        // `platform.start`, how it finished, its latest span, and its end: it began at 95, with a deadline at 900.
        let rows = [
            (None, None, None, 100),
            (None, None, Some(300), 300),
            (None, None, Some(50), 95),
            (None, Some(finish(Success, Some(400), None, false)), Some(300), 400),
            (None, Some(finish(Success, Some(400), Some(200), false)), Some(300), 400),
            (Some(90), Some(finish(Success, Some(400), Some(200), false)), Some(300), 290),
            (None, Some(finish(Success, Some(400), Some(200), true)), Some(300), 295),
            (None, Some(finish(Success, Some(400), None, true)), Some(300), 300),
            (None, Some(finish(Success, Some(400), Some(350), true)), Some(300), 400),
            (Some(90), Some(finish(Success, None, None, false)), None, 100),
            (Some(90), Some(finish(Timeout, Some(400), Some(200), false)), Some(300), 900),
        ];
        for (started_at, finish, latest, end) in rows {
            let told = alloc::format!("{started_at:?} {finish:?} {latest:?}");
            let open = Invocation { started_at: started_at.map(UnixNanos), finish, ..invocation(Some(900)) };
            assert_eq!(open.end(UnixNanos(95), latest.map(UnixNanos)), UnixNanos(end), "{told}");
        }
        let without =
            Invocation { finish: Some(finish(Timeout, Some(400), None, false)), ..invocation(None) };
        assert_eq!(without.end(UnixNanos(95), None), UnixNanos(400), "no deadline is known");
    }

    #[test]
    fn as_long_as_only_spans_told_of_its_end_the_next_one_may_begin_after_it() {
        let pause = RETRY_PAUSE.as_nanos() as u64;
        let late = 200 + pause;
        for (is_done, deadline, start, holds) in [
            (true, None, 200, true),
            (true, None, 201, false),
            (false, None, late - 1, true),
            (false, None, late, false),
            (false, Some(900), 900, true),
            (false, Some(900), 901, false),
        ] {
            let known = Finished {
                ended_at: UnixNanos(200),
                is_done,
                deadline_at: deadline.map(UnixNanos),
                ..finished()
            };
            assert_eq!(known.may_hold(UnixNanos(start)), holds, "{is_done} {deadline:?} {start}");
        }
    }

    #[test]
    fn what_is_told_late_is_kept_once_unless_our_own_time_is_in_it() {
        let mut known = finished();
        known.on_told(UnixNanos(5), &finish(EndStatus::Success, None, None, false));
        known.on_told(UnixNanos(6), &finish(EndStatus::Success, None, None, false));
        assert_eq!((known.is_done, known.told_at), (true, Some(UnixNanos(5))));
        let mut known = finished();
        known.on_told(UnixNanos(5), &finish(EndStatus::Success, None, None, true));
        assert_eq!((known.is_done, known.told_at), (false, None));
    }
}

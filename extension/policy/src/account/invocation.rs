//! One invocation: what is known of it, from its begin until its span is sent.

use super::ending::Finish;
use super::relatives::{Place, Window};
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
            // One that has passed when it is told says nothing of when the invocation ended.
            deadline_at: deadline_at.filter(|at| *at >= invoke.received_at),
            started_at: None,
            floor: UnixNanos::default(),
            from: UnixNanos::default(),
            until: UnixNanos(u64::MAX),
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
        let is_timeout = finish.is_some_and(|finish| finish.ending.status == EndStatus::Timeout);
        let at_deadline = self.deadline_at.filter(|_| is_timeout);
        let duration = finish.and_then(|finish| finish.duration);
        let measured = self.started_at.zip(duration).map(|(start, duration)| start + duration);
        let told = finish.filter(|finish| !finish.is_overlong).and_then(|finish| finish.at);
        let guessed = duration.map(|duration| start + duration);
        let end = at_deadline.or(measured).or(told).or(guessed).or(latest);
        end.unwrap_or(self.invoke.received_at).max(start)
    }
}

/// What was heard of an invocation before its INVOKE: the platform hands INVOKE to the function and to us
/// at once, and the function may be done before our process has been scheduled to read it.
#[derive(Clone, Debug, Default)]
pub(super) struct Early {
    pub(super) request_id: RequestId,
    pub(super) started_at: Option<UnixNanos>,
    pub(super) entry: Option<Entry>,
    pub(super) finish: Option<Finish>,
    pub(super) flush_requested: bool,
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
    /// The platform has told of its end late, or once more.
    pub(super) fn on_told(&mut self, at: UnixNanos, finish: &Finish) {
        if !finish.is_overlong {
            self.is_done = true;
            self.told_at.get_or_insert(at);
        }
    }
}

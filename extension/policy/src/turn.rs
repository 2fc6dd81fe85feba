//! When `/next` may be asked: the phases of an environment, each with what is meant in it alone, and one pure function from
//! what is known at a moment to what is done. It knows nothing of spans, lanes or backends.

use crate::lifecycle::{Event, Phase};
use crate::platform::Shutdown;
use crate::time::{Duration, Instant};

/// After a signal said that the function is done, how long requests of it that are still being received
/// may take. They were begun before the signal, so this is only reached by a sender that stalls.
const RECEIVING_GRACE: Duration = Duration::from_millis(100);

/// Where an environment is, and what is known of that.
#[derive(Clone, Debug)]
pub(crate) enum Turn {
    Starting(Starting),
    Waiting(Waiting),
    Running(Running),
    Flushing(Flushing),
    Draining(Draining),
    Exited,
}

/// Registered, and not asking for events.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Starting {
    /// Whether start-up is over.
    pub(crate) is_ready: bool,
}

/// `/next` is asked.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Waiting {
    /// Whether it was asked before anything told of the end of the invocation.
    pub(crate) is_early: bool,
}

/// An invocation runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Running {
    /// When a signal first said that it is done.
    pub(crate) done_since: Option<Instant>,
    /// When it is treated as done if nothing is heard of it.
    pub(crate) give_up_at: Instant,
}

/// What an invocation left is on its way out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flushing {
    pub(crate) began: Instant,
    /// When it must end at the latest.
    pub(crate) end: Instant,
    /// Whether the cap on cost, and not the budget, set that end.
    pub(crate) is_cut: bool,
    /// Whether the data of this invocation leaves beside the next one.
    pub(crate) is_put_off: bool,
}

impl Flushing {
    /// One that has not been measured: it ends as it begins.
    pub(crate) const fn at(now: Instant) -> Self {
        Self { began: now, end: now, is_cut: false, is_put_off: false }
    }
}

/// The last data is on its way out.
#[derive(Clone, Debug)]
pub(crate) struct Draining {
    /// SHUTDOWN, while the invocations that it found open are not closed.
    pub(crate) shutdown: Option<Shutdown>,
    /// When the process is killed.
    pub(crate) deadline: Instant,
    /// When it must be done.
    pub(crate) end: Instant,
    /// Until when the platform may still say how an open invocation ended.
    pub(crate) last_words_end: Instant,
    pub(crate) gate: Gate,
}

/// Whether the function is still listened to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gate {
    Open,
    /// The shell is handing over the last of what it has accepted.
    Closing,
    Closed,
    /// Nothing is sent any more: what is left goes to the disk, which has yet to say that it has it.
    Leaving,
}

/// What bears on what is done next, beside the phase: what is of another one is not looked at.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Facts {
    pub(crate) now: Instant,
    /// Requests of the function are being received, and have not stalled.
    pub(crate) is_receiving: bool,
    /// Running: the environment may be frozen once every extension has asked `/next`.
    pub(crate) freezes: bool,
    /// Running: nobody needs to be held for anything, and only the platform could tell of the end.
    pub(crate) needs_no_end: bool,
    /// Flushing: an answer that is worth waiting for may come.
    pub(crate) is_awaited: bool,
    /// Draining: nothing more will be told of the invocations that are open.
    pub(crate) is_all_told: bool,
    /// Draining: nothing is left that is worth another try.
    pub(crate) is_all_tried: bool,
    /// Draining: the disk has yet to answer.
    pub(crate) is_disk_busy: bool,
}

/// What is done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Nothing, before the next input or deadline.
    Wait,
    /// The invocation is over: it is held until what it left is safe.
    Flush,
    /// `/next` is asked.
    Ask,
    /// Invocations that are open are closed, with what is known.
    Close,
    /// The function is listened to no more.
    Shut,
    /// What is left goes to the disk.
    Leave,
    /// The process ends.
    Exit,
}

impl Turn {
    pub(crate) const fn phase(&self) -> Phase {
        match self {
            Self::Starting(_) => Phase::Starting,
            Self::Waiting(_) => Phase::Waiting,
            Self::Running(_) => Phase::Running,
            Self::Flushing(_) => Phase::Flushing,
            Self::Draining(_) => Phase::Draining,
            Self::Exited => Phase::Exited,
        }
    }

    /// Whether `event` means anything now.
    pub(crate) const fn takes(&self, event: Event) -> bool {
        self.phase().after(event).is_some()
    }

    /// Moves on to `next`, which is what `event` leads to.
    pub(crate) fn enter(&mut self, event: Event, next: Self) {
        debug_assert_eq!(self.phase().after(event), Some(next.phase()), "{event:?} in {:?}", self.phase());
        *self = next;
    }

    /// What is done next: the one rule about `/next`.
    pub(crate) fn decide(&self, facts: &Facts) -> Decision {
        match self {
            Self::Starting(starting) if starting.is_ready => Decision::Ask,
            // Data leaves while `/next` is asked, too: nobody is held for it.
            Self::Running(_) if !facts.freezes => Decision::Ask,
            Self::Running(running) if running.is_over(facts.now, facts.is_receiving) => Decision::Flush,
            Self::Running(_) if facts.needs_no_end => Decision::Ask,
            Self::Flushing(_) if !facts.is_awaited => Decision::Ask,
            Self::Draining(draining) => draining.decide(facts),
            Self::Starting(_) | Self::Waiting(_) | Self::Running(_) | Self::Flushing(_) | Self::Exited => {
                Decision::Wait
            }
        }
    }

    /// The flush that is under way.
    pub(crate) const fn flushing(&self) -> Option<Flushing> {
        if let Self::Flushing(flushing) = self { Some(*flushing) } else { None }
    }

    /// SHUTDOWN, if it has come.
    pub(crate) const fn draining(&self) -> Option<&Draining> {
        if let Self::Draining(draining) = self { Some(draining) } else { None }
    }

    pub(crate) const fn draining_mut(&mut self) -> Option<&mut Draining> {
        if let Self::Draining(draining) = self { Some(draining) } else { None }
    }

    /// Whether SHUTDOWN has come and what it found open is closed.
    pub(crate) fn is_closed(&self) -> bool {
        self.draining().is_some_and(|draining| draining.shutdown.is_none())
    }

    /// Whether nothing is sent any more.
    pub(crate) fn is_leaving(&self) -> bool {
        self.draining().is_some_and(|draining| draining.gate == Gate::Leaving)
    }
}

impl Running {
    /// Whether a trustworthy signal has told of the end, and nothing of the function is on its way to us; or nobody tells.
    pub(crate) fn is_over(&self, now: Instant, is_receiving: bool) -> bool {
        now >= self.give_up_at || self.done_since.is_some() && !is_receiving
    }

    /// Whether requests that are still being received have had their time.
    pub(crate) fn is_overdue(&self, now: Instant) -> bool {
        now >= self.give_up_at || self.done_since.is_some_and(|since| now >= since + RECEIVING_GRACE)
    }

    /// When it is taken to be over at the latest, as things stand.
    pub(crate) fn over_at(&self, is_receiving: bool) -> Instant {
        let grace = self.done_since.filter(|_| is_receiving).map(|since| since + RECEIVING_GRACE);
        grace.map_or(self.give_up_at, |grace| grace.min(self.give_up_at))
    }
}

impl Draining {
    fn decide(&self, facts: &Facts) -> Decision {
        let is_late = facts.now >= self.end;
        match self.gate {
            Gate::Closing => Decision::Wait,
            Gate::Leaving if facts.is_disk_busy => Decision::Wait,
            Gate::Leaving => Decision::Exit,
            Gate::Open | Gate::Closed if self.shutdown.is_some() => {
                let is_told = facts.is_all_told && !facts.is_receiving;
                if is_told || facts.now >= self.last_words_end || is_late {
                    Decision::Close
                } else {
                    Decision::Wait
                }
            }
            Gate::Open | Gate::Closed if !(facts.is_all_tried || is_late) => Decision::Wait,
            Gate::Open => Decision::Shut,
            Gate::Closed => Decision::Leave,
        }
    }

    /// Whether anything but an answer is waited for.
    pub(crate) const fn has_timers(&self) -> bool {
        matches!(self.gate, Gate::Open | Gate::Closed)
    }
}

/// Requests of the function that are being received.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Reception {
    open: u32,
    /// How many of these have stalled before: those were waited for.
    stalled: u32,
}

impl Reception {
    pub(crate) const fn begin(&mut self) {
        self.open += 1;
    }

    /// One that was not said to begin is none that anybody waited for.
    pub(crate) fn end(&mut self) {
        self.open = self.open.saturating_sub(1);
        self.stalled = self.stalled.min(self.open);
    }

    /// What is being received has had its time once, and is not waited for again.
    pub(crate) const fn stall(&mut self) {
        self.stalled = self.open;
    }

    /// Whether a request is being received that has not stalled.
    pub(crate) const fn is_under_way(&self) -> bool {
        self.open > self.stalled
    }

    /// Whether any is, stalled or not.
    pub(crate) const fn is_any(&self) -> bool {
        self.open > 0
    }
}

#[cfg(test)]
mod tests;

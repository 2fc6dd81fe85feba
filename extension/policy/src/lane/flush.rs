//! A flush, as a lane sees it: what it sends while an invocation is held, and whether it is worth holding one.

use super::{Effects, Lane, Window};
use crate::time::Instant;

/// After a freeze that has swallowed an answer, so many flushes wait for the answers to what they have sent, whatever
/// the mode; then one does not, to see whether freezes still do.
const SWALLOWED: u8 = 16;

/// What a flush waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum WaitsFor {
    /// All data is sent, and answered.
    #[default]
    Everything,
    /// Answers to requests that a freeze has cut off before: frozen once more, they would be sent without end.
    CutOff,
}

/// The flush that runs, or ran last.
#[derive(Debug, Default)]
pub(super) struct Flush {
    pub(super) began: Instant,
    /// Whether it has sent anything yet.
    pub(super) has_sent: bool,
    /// Whether the backend has answered anything in it.
    pub(super) is_answered: bool,
    pub(super) end: Instant,
    /// When it must end at the latest, whatever it waits for.
    limit: Instant,
    waits_for: WaitsFor,
    /// Whether the data leaves beside the next invocation.
    is_put_off: bool,
    /// Whether its time is over; that of another lane, which may be waited for longer, need not be.
    is_over: bool,
}

impl<B: Clone> Lane<B> {
    /// An invocation is done, and may be held until `end`. `is_put_off`: data leaves beside the next one.
    pub(crate) fn begin_flush(&mut self, now: Instant, end: Instant, is_put_off: bool) {
        let waits_for =
            if is_put_off || !self.breaker.is_closed() { WaitsFor::CutOff } else { WaitsFor::Everything };
        // A backend that hangs is waited for once for as long as a flush may: then for no longer than its answers took, until it
        // answers or counts as down.
        let end = if self.was_vain { end.min(now + self.speed.patience()) } else { end };
        self.flush = Flush { began: now, end, limit: end, waits_for, is_put_off, ..Flush::default() };
        if waits_for == WaitsFor::Everything {
            self.outbox.seal(false);
        } else if self.holds {
            let graces = self.outbox.flights().iter().filter_map(|flight| flight.grace_end);
            let grace_end = graces.fold(now, Instant::max);
            let awaited = if self.must_await() { grace_end + self.speed.patience() } else { now };
            self.flush.end = end.min(awaited);
        }
    }

    /// Goes on with it.
    pub(super) fn advance_flush(&mut self, now: Instant, effects: &mut Effects<'_, B>) {
        self.send_in_flush(now, effects);
        self.flush.is_over = now >= self.flush.end;
    }

    fn send_in_flush(&mut self, now: Instant, effects: &mut Effects<'_, B>) {
        let is_well = self.breaker.is_closed();
        if self.flush.waits_for == WaitsFor::CutOff && is_well && !self.flush.is_put_off {
            // The probe was answered: there is no reason to put the rest off.
            (self.flush.waits_for, self.flush.end) = (WaitsFor::Everything, self.flush.limit);
        }
        match self.flush.waits_for {
            WaitsFor::Everything => {
                self.outbox.seal(false);
                if is_well {
                    self.export_ready(now, Window::Held, effects);
                }
            }
            WaitsFor::CutOff if now < self.flush.end => {
                let under_way = self.outbox.flights().items();
                self.export_cut_off(now, effects);
                if self.outbox.flights().items() > under_way {
                    // What is sent again late has its time like what was sent again at the begin.
                    self.flush.end = self.flush.end.max(now + self.speed.patience()).min(self.flush.limit);
                }
            }
            WaitsFor::CutOff => {}
        }
    }

    /// Whether an invocation is held for it.
    pub(crate) fn is_awaited(&self, now: Instant) -> bool {
        if !self.holds || now >= self.flush.end {
            return false;
        }
        match self.flush.waits_for {
            // What was being read back when the invocation ended is sent, too.
            WaitsFor::Everything => {
                let is_over =
                    (self.is_safe() || self.is_pointless(self.flush.end)) && !self.shelf.is_reading();
                self.breaker.is_closed() && !is_over
            }
            WaitsFor::CutOff => self.has_awaited(),
        }
    }

    /// When something is to be done about it, as far as the flush is concerned.
    pub(crate) fn flush_due(&self, now: Instant) -> Option<Instant> {
        let end = (!self.flush.is_over && self.is_awaited(now)).then_some(self.flush.end);
        let is_free = self.flush.waits_for == WaitsFor::Everything && self.breaker.is_closed();
        let retry = self.retry_due().filter(|_| is_free);
        end.into_iter().chain(retry).min()
    }

    /// The invocation is let go of. `is_cut`: by our own cap, which says nothing of the backend.
    pub(crate) fn end_flush(&mut self, now: Instant, is_cut: bool, effects: &mut Effects<'_, B>) {
        if now < self.flush.end
            || self.flush.end <= self.flush.began && self.flush.waits_for == WaitsFor::CutOff
        {
            return;
        }
        match self.flush.waits_for {
            WaitsFor::Everything => {
                if !is_cut && !self.outbox.flights().is_empty() {
                    self.note_late(now);
                    self.was_vain |= self.holds && !self.flush.is_answered;
                    self.count_vain_wait(now, effects);
                }
            }
            WaitsFor::CutOff if !self.holds => {}
            WaitsFor::CutOff => {
                if self.has_probe() {
                    self.breaker.on_vain_wait();
                } else if self.has_awaited() && !is_cut {
                    self.count_failure(now, false, effects);
                }
            }
        }
    }

    /// A freeze has swallowed the answer to a request.
    pub(super) const fn note_swallowed(&mut self) {
        self.swallows = SWALLOWED;
    }

    /// Whether an answer is awaited whatever the mode: to a request that a freeze has cut off, or to a probe after one that
    /// was.
    fn must_await(&mut self) -> bool {
        if self.breaker.is_closed() {
            self.swallows = self.swallows.saturating_sub(1);
            return self.awaits_cut_off();
        }
        self.has_probe() && self.breaker.takes_wait()
    }

    pub(super) fn has_probe(&self) -> bool {
        self.outbox.flights().iter().any(|flight| flight.is_probe)
    }

    fn has_awaited(&self) -> bool {
        self.has_probe() || self.breaker.is_closed() && self.awaits_cut_off()
    }

    /// Whether a request is under way, or is to be sent again, whose answer a freeze has cut off.
    fn awaits_cut_off(&self) -> bool {
        let swallows = self.swallows > 0;
        let mut in_flight = self.outbox.flights().iter();
        in_flight.any(|flight| swallows || flight.batch.was_cut_off || flight.grace_end.is_some())
            || self.outbox.has_cut_off()
    }
}

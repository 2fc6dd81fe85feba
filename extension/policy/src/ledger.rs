//! The books: received + recovered + made + copied = delivered + sampled out + dropped + held, for every signal, at every step.

use crate::guarded::Guarded;
use crate::sampling::Decision;
use crate::span::Signal;
use crate::time::Duration;

/// Why something accepted was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropReason {
    /// No backend is configured for its signal.
    NoDestination,
    /// The bound on held bytes was reached, and it was the least valuable.
    OutboxFull,
    /// The backend refused the request for good.
    Rejected,
    /// The backend accepted the request, but not this part of it (OTLP partial success).
    PartlyRejected,
    /// Too large for the backend, even alone.
    TooLarge,
    /// The environment ended before it could be sent.
    Shutdown,
    /// It was in the spool and could not be read back.
    SpoolUnreadable,
    /// Its function had died, and it was sent as it was then, closed or rebuilt: two spans of one id would say two things.
    Replaced,
}

impl DropReason {
    /// Every reason, in the order in which they are printed.
    pub const ALL: [Self; 8] = [
        Self::NoDestination,
        Self::OutboxFull,
        Self::Rejected,
        Self::PartlyRejected,
        Self::TooLarge,
        Self::Shutdown,
        Self::SpoolUnreadable,
        Self::Replaced,
    ];

    /// The word for it in logs and self-metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoDestination => "no_destination",
            Self::OutboxFull => "outbox_full",
            Self::Rejected => "rejected",
            Self::PartlyRejected => "partly_rejected",
            Self::TooLarge => "too_large",
            Self::Shutdown => "shutdown",
            Self::SpoolUnreadable => "spool_unreadable",
            Self::Replaced => "replaced",
        }
    }
}

/// The books of one signal, in items: spans, data points or log records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Taken from the function.
    pub received: u64,
    /// Found in the spool of a process that was killed in this environment.
    pub recovered: u64,
    /// Made here from the platform's events, or closed here because the function died.
    pub made: u64,
    /// Counted once more for each further destination that they go to.
    pub copied: u64,
    /// Acknowledged by the backend.
    pub delivered: u64,
    /// Left out by a sampling decision, or because no destination takes such.
    pub sampled_out: u64,
    /// Given up, by [`DropReason`] in the order of [`DropReason::ALL`].
    pub dropped: [u64; DropReason::ALL.len()],
}

impl Counts {
    /// What must still be held: everything that came in and did not go anywhere.
    pub fn held(&self) -> u64 {
        let gone = self.delivered + self.sampled_out + self.dropped.iter().sum::<u64>();
        (self.received + self.recovered + self.made + self.copied).saturating_sub(gone)
    }

    /// How many were given up for `reason`.
    pub const fn dropped_for(&self, reason: DropReason) -> u64 {
        self.dropped[reason as usize]
    }
}

/// The books of one lane, in items; those of its signal have them, too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LaneBooks {
    /// Handed to this lane.
    pub taken: u64,
    /// Acknowledged by its backend.
    pub delivered: u64,
    /// Given up, by [`DropReason`] in the order of [`DropReason::ALL`].
    pub dropped: [u64; DropReason::ALL.len()],
}

impl LaneBooks {
    /// What it must still hold.
    pub fn held(&self) -> u64 {
        self.taken.saturating_sub(self.delivered + self.dropped.iter().sum::<u64>())
    }
}

/// The books of one environment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ledger {
    /// Spans.
    pub spans: Counts,
    /// Metric data points.
    pub metrics: Counts,
    /// Log records.
    pub logs: Counts,
    /// Invocations begun.
    pub invocations: u64,
    /// Export requests answered, however.
    pub exports: u64,
    /// Items sent once more because the answer to their first request was lost: the backend may have them twice.
    pub resent: u64,
    /// Encoded bytes in delivered requests, before compression.
    pub raw_bytes: u64,
    /// The same as it went over the wire.
    pub sent_bytes: u64,
    /// Time from the ends of invocations to `/next`, which is billed: the platform's event or the function's own span
    /// tells when an invocation ended, else the signal that it has.
    pub held: Duration,
    /// Of that, the time in which flushes waited for backends.
    pub flush: Duration,
    /// How often `adaptive` changed where data leaves; filled in at the end.
    pub flush_mode_changes: u64,
    /// Whether data left beside the next invocations in the end.
    pub is_continuous: bool,
    /// Encoded bytes of spans that sampling left out.
    pub sampled_out_bytes: u64,
    /// Billed time, as far as the platform has reported it.
    pub billed: Duration,
    /// Of that, the time for which invocations were held by our flushes.
    pub billed_own: Duration,
    /// What became of traces, by [`Decision`] in the order of [`Decision::ALL`]: one for each part of a trace
    /// that was judged. Nothing is judged where everything is kept.
    pub decisions: [u64; Decision::ALL.len()],
    /// How often the ratio of an operation rose because it departed from its baseline.
    pub boosts: u64,
    /// How often it fell back: the difference is how many are raised now.
    pub boosts_ended: u64,
    /// Events the platform gave up on delivering (`platform.logsDropped`).
    pub platform_events_lost: u64,
    /// What was hidden, changed or left out on receipt.
    pub guarded: Guarded,
}

impl Ledger {
    /// The books of `signal`.
    pub const fn of(&self, signal: Signal) -> &Counts {
        match signal {
            Signal::Traces => &self.spans,
            Signal::Metrics => &self.metrics,
            Signal::Logs => &self.logs,
        }
    }

    pub(crate) const fn of_mut(&mut self, signal: Signal) -> &mut Counts {
        match signal {
            Signal::Traces => &mut self.spans,
            Signal::Metrics => &mut self.metrics,
            Signal::Logs => &mut self.logs,
        }
    }

    /// How many traces were decided so.
    pub const fn decided(&self, decision: Decision) -> u64 {
        self.decisions[decision as usize]
    }

    pub(crate) fn drop(&mut self, signal: Signal, reason: DropReason, count: u64) {
        self.of_mut(signal).dropped[reason as usize] += count;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_indexed_by_their_place_in_the_list() {
        for (index, reason) in DropReason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index);
        }
    }

    #[test]
    fn each_reason_has_its_word() {
        let words = [
            "no_destination",
            "outbox_full",
            "rejected",
            "partly_rejected",
            "too_large",
            "shutdown",
            "spool_unreadable",
            "replaced",
        ];
        assert_eq!(DropReason::ALL.map(DropReason::as_str), words);
    }

    #[test]
    fn what_is_held_has_come_and_not_gone() {
        let mut counts = Counts {
            received: 100,
            recovered: 20,
            made: 3,
            delivered: 40,
            sampled_out: 5,
            ..Counts::default()
        };
        (counts.dropped[0], counts.dropped[7]) = (6, 1);
        assert_eq!(counts.held(), 71);
        assert_eq!(
            (counts.dropped_for(DropReason::NoDestination), counts.dropped_for(DropReason::Replaced)),
            (6, 1)
        );
        counts.delivered = 200;
        assert_eq!(counts.held(), 0);
    }
}

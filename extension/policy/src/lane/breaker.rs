//! A circuit breaker: a backend that is down must cost the function nothing.

use crate::time::{Duration, Instant};

/// Failures in a row after which flushes stop waiting for the backend.
const FAILURES_TO_OPEN: u32 = 3;
/// The first pause before a probe; each failed probe doubles it. Probes go out beside the handler and cost no invocation
/// anything, and most illnesses are short: with a second, a backend that was ill for 50 ms of every second was hardly
/// ever found well.
const COOL_DOWN_FIRST: Duration = Duration::from_millis(200);
/// No probe waits longer than this.
const COOL_DOWN_MAX: Duration = Duration::from_secs(30);

/// Whether the backend is believed to be there.
#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// It is, until so many failures more and one have come in a row.
    Closed { spare: u32 },
    /// It is not; a probe may go out at `probe_at`.
    Open { probe_at: Instant, cool_down: Duration },
    /// It is not, and a probe is under way.
    Probing { cool_down: Duration },
}

impl State {
    /// It is there, and nothing speaks against it.
    const WELL: Self = Self::Closed { spare: FAILURES_TO_OPEN - 1 };
}

/// Counts failures in a row, and says when an export may be tried.
#[derive(Clone, Debug)]
pub(crate) struct Breaker {
    state: State,
    /// Whether a freeze has cut off a probe since the backend was last heard of: the next ones are worth waiting for.
    is_cut_off: bool,
    /// Invocations that do not wait for their probe, and how many did not before the last wait, which was in vain.
    skips: u32,
    skipped: u32,
}

/// Between two waits for a probe that are in vain, no more invocations than this do without.
const SKIPS_MAX: u32 = 64;

/// What a report to the breaker changed: worth one line each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// As before.
    None,
    /// The backend is now believed to be down.
    Opened,
    /// It is back.
    Closed,
}

impl Breaker {
    pub(crate) const fn new() -> Self {
        Self { state: State::WELL, is_cut_off: false, skips: 0, skipped: 0 }
    }

    /// Whether exports may go out as usual.
    pub(crate) const fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed { .. })
    }

    /// When the next probe may go out; `None` while there is no need of one, or one is under way.
    pub(crate) const fn probe_at(&self) -> Option<Instant> {
        match self.state {
            State::Open { probe_at, .. } => Some(probe_at),
            _ => None,
        }
    }

    /// Whether a probe is under way.
    pub(crate) const fn is_probing(&self) -> bool {
        matches!(self.state, State::Probing { .. })
    }

    /// Whether [`Breaker::take_probe`] would say yes.
    pub(crate) fn is_probe_due(&self, now: Instant) -> bool {
        matches!(self.state, State::Open { probe_at, .. } if now >= probe_at)
    }

    /// Whether one export may go out as a probe; if so, it counts as under way.
    pub(crate) fn take_probe(&mut self, now: Instant) -> bool {
        match self.state {
            State::Open { probe_at, cool_down } if now >= probe_at => {
                self.state = State::Probing { cool_down };
                true
            }
            _ => false,
        }
    }

    /// What is under way already is the probe.
    pub(crate) const fn on_probe_under_way(&mut self) {
        if let State::Open { cool_down, .. } = self.state {
            self.state = State::Probing { cool_down };
        }
    }

    /// The probe under way ended without a verdict: its connection broke, or a freeze cut it off. That says
    /// nothing of the backend, so another one may go out at once.
    pub(crate) fn on_probe_lost(&mut self, now: Instant) {
        if let State::Probing { cool_down } = self.state {
            self.state = State::Open { probe_at: now, cool_down };
        }
    }

    /// A freeze has cut into the probe under way: where handlers are shorter than answers take, that would happen to every
    /// probe.
    pub(crate) fn on_probe_frozen(&mut self) {
        self.is_cut_off |= self.is_probing();
    }

    /// An invocation ends with a probe under way: whether it waits for the answer. Asked once for each.
    ///
    /// Shape: the first one after a probe that was cut off does; each wait in vain doubles the number of invocations that
    /// do not, up to [`SKIPS_MAX`].
    pub(crate) fn takes_wait(&mut self) -> bool {
        let waits = self.is_cut_off && self.skips == 0;
        self.skips = self.skips.saturating_sub(1);
        waits
    }

    /// The wait was in vain.
    pub(crate) fn on_vain_wait(&mut self) {
        self.skipped = (self.skipped * 2).clamp(1, SKIPS_MAX);
        self.skips = self.skipped;
    }

    /// The backend answered.
    pub(crate) fn on_success(&mut self) -> Change {
        let was_closed = self.is_closed();
        (self.is_cut_off, self.skips, self.skipped) = (false, 0, 0);
        self.state = State::WELL;
        if was_closed { Change::None } else { Change::Closed }
    }

    /// The backend did not answer in time, or asked to be left alone.
    pub(crate) fn on_failure(&mut self, now: Instant) -> Change {
        match self.state {
            State::Closed { spare: 0 } => {
                self.open(now, COOL_DOWN_FIRST);
                Change::Opened
            }
            State::Closed { spare } => {
                self.state = State::Closed { spare: spare - 1 };
                Change::None
            }
            State::Probing { cool_down } => {
                self.open(now, (cool_down * 2).min(COOL_DOWN_MAX));
                Change::None
            }
            State::Open { .. } => Change::None,
        }
    }

    /// The backend is there, and refuses us: the next probe may go after `pause`.
    pub(crate) fn on_refusal(&mut self, now: Instant, pause: Duration) -> Change {
        let was_closed = self.is_closed();
        self.open(now, pause);
        if was_closed { Change::Opened } else { Change::None }
    }

    fn open(&mut self, now: Instant, cool_down: Duration) {
        self.state = State::Open { probe_at: now + cool_down, cool_down };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A moment, in first pauses.
    fn at(pauses: u64) -> Instant {
        Instant::from_nanos(0) + COOL_DOWN_FIRST * u32::try_from(pauses).expect("a small number")
    }

    #[test]
    fn three_failures_open_it_and_a_good_probe_closes_it() {
        let mut breaker = Breaker::new();
        assert_eq!(breaker.on_failure(at(0)), Change::None);
        assert_eq!(breaker.on_failure(at(0)), Change::None);
        assert_eq!(breaker.on_failure(at(0)), Change::Opened);
        assert!(!breaker.take_probe(at(0)));
        assert!(breaker.take_probe(at(1)));
        assert!(!breaker.take_probe(at(1)), "one probe at a time");
        assert_eq!(breaker.on_failure(at(1)), Change::None);
        assert!(!breaker.take_probe(at(2)), "the pause has doubled");
        assert!(breaker.take_probe(at(3)));
        assert_eq!(breaker.on_success(), Change::Closed);
        assert!(breaker.is_closed());
    }

    #[test]
    fn a_probe_without_a_verdict_is_due_again() {
        let mut breaker = Breaker::new();
        for _ in 0..3 {
            breaker.on_failure(at(0));
        }
        assert!(breaker.take_probe(at(1)));
        breaker.on_probe_lost(at(1));
        assert!(breaker.take_probe(at(1)));
    }

    #[test]
    fn what_is_under_way_already_may_be_the_probe() {
        let mut breaker = Breaker::new();
        breaker.on_probe_under_way();
        assert!(breaker.is_closed(), "there is no need of one");
        breaker = open();
        breaker.on_probe_under_way();
        assert!(!breaker.take_probe(at(9)), "one probe at a time");
        assert_eq!(breaker.on_failure(at(0)), Change::None);
        assert_eq!(breaker.probe_at(), Some(at(2)), "the pause has doubled");
    }

    #[test]
    fn a_success_forgets_earlier_failures() {
        let mut breaker = Breaker::new();
        for _ in 0..10 {
            breaker.on_failure(at(0));
            breaker.on_failure(at(0));
            assert_eq!(breaker.on_success(), Change::None);
        }
        assert!(breaker.is_closed());
    }

    /// Open since `at(0)`.
    fn open() -> Breaker {
        let mut breaker = Breaker::new();
        (0..FAILURES_TO_OPEN).for_each(|_| assert_ne!(breaker.on_failure(at(0)), Change::Closed));
        breaker
    }

    #[test]
    fn it_says_when_a_probe_is_due() {
        let mut breaker = Breaker::new();
        assert_eq!((breaker.probe_at(), breaker.is_probe_due(at(9))), (None, false), "closed");
        breaker = open();
        assert_eq!(breaker.probe_at(), Some(at(1)));
        for now in 0..3 {
            assert_eq!(breaker.is_probe_due(at(now)), now >= 1);
        }
        assert!(breaker.take_probe(at(1)));
        assert_eq!((breaker.probe_at(), breaker.is_probe_due(at(9))), (None, false), "under way");
    }

    #[test]
    fn pauses_double_up_to_their_bound() {
        let mut breaker = open();
        let mut pauses = alloc::vec::Vec::new();
        for _ in 0..10 {
            let now = breaker.probe_at().expect("it is open");
            assert!(breaker.take_probe(now));
            breaker.on_failure(now);
            pauses.push(breaker.probe_at().expect("it is open").since(now).as_millis());
        }
        assert_eq!(pauses, [400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 30_000, 30_000, 30_000]);
    }

    #[test]
    fn a_probe_is_waited_for_after_one_that_was_cut_off_and_in_vain_ever_more_rarely() {
        let mut breaker = open();
        breaker.on_probe_frozen();
        assert!(!breaker.takes_wait(), "there was no probe to cut off");
        assert!(breaker.take_probe(at(1)));
        assert!(!breaker.takes_wait(), "none was cut off yet");
        breaker.on_probe_frozen();
        breaker.on_probe_lost(at(2));
        breaker.on_probe_frozen();
        // Invocations that do not wait, between one that does and the next.
        for skips in [1, 2, 4, 8, 16, 32, 64, 64, 64] {
            assert!(breaker.takes_wait(), "before {skips}");
            breaker.on_vain_wait();
            (0..skips).for_each(|number| assert!(!breaker.takes_wait(), "{number} of {skips}"));
        }
        assert!(breaker.takes_wait());
        breaker.on_vain_wait();
        breaker.on_success();
        assert!(!breaker.takes_wait(), "the backend was heard of");
        breaker = Breaker { is_cut_off: true, ..breaker };
        assert!(breaker.takes_wait(), "and what was in vain is forgotten");
    }
}

//! Adaptive flushing: whether the next invocation will carry this one's data soon enough.

use crate::config::{Config, FlushMode};
use crate::time::{Duration, Instant};

/// Invocations seen before a rate is believed.
const WARM_UP: u32 = 20;
/// A flush cheaper than this is not worth putting off.
const CHEAP_FLUSH: Duration = Duration::from_millis(2);

/// A handler that takes no longer is brief.
const BRIEF: Duration = Duration::from_secs(1);
/// Where nothing but the function tells of its end, that is waited for this long at least.
const PATIENCE_MIN: Duration = Duration::from_secs(1);

/// What is known of arrivals and of the cost of flushing, smoothed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pace {
    seen: u32,
    last: Option<Instant>,
    /// Mean time between invocations.
    gap: Duration,
    /// Mean deviation from it.
    spread: Duration,
    /// Mean time for which a flush held an invocation.
    cost: Duration,
    continuous: bool,
    /// How long handlers take at most, lately; `None` while the platform has told of none.
    longest: Option<Duration>,
    /// How often that has changed.
    changes: u64,
}

impl Pace {
    /// An invocation began.
    pub(crate) fn on_invoke(&mut self, now: Instant) {
        if let Some(last) = self.last.replace(now) {
            let gap = now.since(last);
            self.spread = smooth(self.spread, gap.abs_diff(self.gap));
            self.gap = if self.seen <= 1 { gap } else { smooth(self.gap, gap) };
        }
        self.seen = self.seen.saturating_add(1);
    }

    /// A flush held an invocation for `cost`.
    pub(crate) fn on_flush(&mut self, cost: Duration) {
        self.cost = if self.cost.is_zero() { cost } else { smooth(self.cost, cost) };
    }

    /// The platform has measured a handler.
    pub(crate) fn on_duration(&mut self, duration: Option<Duration>) {
        let known = self.longest.unwrap_or_default();
        self.longest = duration.map(|took| took.max(known - known / 8)).or(self.longest);
    }

    /// Whether handlers are known to be brief: what comes in the middle of one is not old at its end.
    pub(crate) fn is_brief(&self) -> bool {
        self.longest.is_some_and(|longest| longest <= BRIEF)
    }

    /// How long the function's own word on its end is waited for, where the platform's events do not come.
    pub(crate) fn patience(&self) -> Duration {
        (self.longest.unwrap_or_default() * 4).max(PATIENCE_MIN)
    }

    /// Whether data leaves beside the next invocation, by the setting or as things stand.
    pub(crate) fn is_continuous_for(&self, config: &Config) -> bool {
        config.flush == FlushMode::Continuous || config.flush == FlushMode::Adaptive && self.continuous
    }

    /// Whether data leaves beside the next invocation, as things stand.
    pub(crate) const fn is_continuous(&self) -> bool {
        self.continuous
    }

    /// How often that was decided otherwise.
    pub(crate) const fn changes(&self) -> u64 {
        self.changes
    }

    /// Whether the data of the invocation that is done now waits for the next one.
    ///
    /// Shape: with hysteresis. It begins when the next invocation is expected within half the staleness
    /// bound and flushing costs something; it ends when the expectation exceeds the bound. Data that is
    /// already older than the bound never waits.
    pub(crate) fn defers(&mut self, config: &Config, oldest: Duration) -> bool {
        match config.flush {
            FlushMode::End => false,
            FlushMode::Continuous => {
                self.continuous = true;
                true
            }
            FlushMode::Adaptive => {
                let expected = self.gap + self.spread * 4;
                let was_continuous = self.continuous;
                self.continuous = self.seen >= WARM_UP
                    && self.cost > CHEAP_FLUSH
                    && if self.continuous {
                        expected <= config.staleness
                    } else {
                        expected <= config.staleness / 2
                    };
                self.changes += u64::from(self.continuous != was_continuous);
                self.continuous && oldest <= config.staleness
            }
        }
    }
}

/// An eighth of the way from `old` to `new`.
fn smooth(old: Duration, new: Duration) -> Duration {
    (old * 7 + new) / 8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paced(count: u64, gap_ms: u64, cost_ms: u64) -> Pace {
        let mut pace = Pace::default();
        for n in 0..count {
            pace.on_invoke(Instant::from_nanos(n * gap_ms * 1_000_000));
            pace.on_flush(Duration::from_millis(cost_ms));
        }
        pace
    }

    #[test]
    fn it_defers_only_when_frequent_and_dear_and_known() {
        let config = Config::default();
        for (count, gap_ms, cost_ms, defers) in [
            (100, 100, 20, true),
            (10, 100, 20, false),     // too few to tell
            (100, 60_000, 20, false), // rare
            (100, 100, 1, false),     // cheap
        ] {
            let mut pace = paced(count, gap_ms, cost_ms);
            assert_eq!(pace.defers(&config, Duration::ZERO), defers, "{count} × {gap_ms} ms, {cost_ms} ms");
        }
    }

    #[test]
    fn stale_data_never_waits() {
        let config = Config::default();
        let mut pace = paced(100, 100, 20);
        assert!(pace.defers(&config, config.staleness));
        assert!(!pace.defers(&config, config.staleness + Duration::from_millis(1)));
    }

    #[test]
    fn fixed_modes_do_not_ask() {
        let end = Config { flush: FlushMode::End, ..Config::default() };
        let continuous = Config { flush: FlushMode::Continuous, ..Config::default() };
        assert!(!paced(100, 100, 20).defers(&end, Duration::ZERO));
        assert!(Pace::default().defers(&continuous, Duration::ZERO));
    }
}

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
        self.longest.unwrap_or_default().saturating_mul(4).max(PATIENCE_MIN)
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

    #[test]
    fn a_flush_at_the_bound_is_cheap() {
        assert!(!paced(100, 100, 2).defers(&Config::default(), Duration::ZERO));
        assert!(paced(100, 100, 3).defers(&Config::default(), Duration::ZERO));
    }

    #[test]
    fn it_begins_within_half_the_staleness_ends_beyond_all_of_it_and_counts_the_changes() {
        let config = Config::default();
        let half = config.staleness.as_millis() as u64 / 2;
        assert!(paced(200, half - 10, 20).defers(&config, Duration::ZERO));
        let mut pace = paced(200, half + 10, 20);
        assert!(!pace.defers(&config, Duration::ZERO), "not begun");
        assert_eq!((pace.is_continuous(), pace.changes()), (false, 0));
        pace.continuous = true;
        assert!(pace.defers(&config, Duration::ZERO), "nor ended");
        assert_eq!((pace.is_continuous(), pace.changes()), (true, 0));
        let rare = paced(200, 2 * half + 10, 20);
        pace = Pace { continuous: true, ..rare };
        assert!(!pace.defers(&config, Duration::ZERO));
        assert_eq!((pace.is_continuous(), pace.changes()), (false, 1));
        pace = Pace { changes: pace.changes, ..paced(200, 100, 20) };
        assert!(pace.defers(&config, Duration::ZERO));
        assert_eq!((pace.is_continuous(), pace.changes()), (true, 2));
    }

    #[test]
    fn what_comes_unevenly_is_expected_later() {
        let config = Config::default();
        // Two seconds in the mean, one from it: expected within six, which is more than half of ten.
        let mut pace = Pace::default();
        let mut now = Instant::from_nanos(0);
        for n in 0..200 {
            pace.on_invoke(now);
            pace.on_flush(Duration::from_millis(20));
            now = now + Duration::from_secs(if n % 2 == 0 { 1 } else { 3 });
        }
        assert!(!pace.defers(&config, Duration::ZERO));
        assert!(pace.gap < Duration::from_millis(2_200) && pace.gap > Duration::from_millis(1_800));
        assert!(paced(200, 2_000, 20).defers(&config, Duration::ZERO), "evenly, they are soon enough");
    }

    #[test]
    fn smoothing_goes_an_eighth_of_the_way() {
        let ms = Duration::from_millis;
        assert_eq!(
            (smooth(ms(80), ms(0)), smooth(ms(0), ms(80)), smooth(ms(16), ms(24))),
            (ms(70), ms(10), ms(17))
        );
        let mut pace = Pace::default();
        pace.on_flush(ms(80));
        assert_eq!(pace.cost, ms(80), "the first is all that is known");
        pace.on_flush(ms(0));
        assert_eq!(pace.cost, ms(70));
        pace.on_invoke(Instant::from_nanos(0));
        pace.on_invoke(Instant::from_nanos(0) + ms(80));
        assert_eq!((pace.gap, pace.spread), (ms(80), ms(10)));
        pace.on_invoke(Instant::from_nanos(0) + ms(80));
        assert_eq!((pace.gap, pace.spread), (ms(70), Duration::from_micros(18_750)));
    }

    #[test]
    fn the_longest_handler_lately_says_how_long_its_word_is_waited_for() {
        let mut pace = Pace::default();
        assert_eq!((pace.is_brief(), pace.patience()), (false, PATIENCE_MIN), "none is known");
        // What was measured, and then: whether handlers are brief, and how long to wait, in ms.
        for (took, is_brief, patience) in [
            (Some(100), true, 1_000),
            (Some(1_000), true, 4_000),
            (None, true, 4_000),
            (Some(1_001), false, 4_004),
            (Some(10), true, 3_503),
            (Some(800), true, 3_200),
            (Some(8_000), false, 32_000),
            (Some(7_500), false, 30_000),
        ] {
            pace.on_duration(took.map(Duration::from_millis));
            let told = pace.patience().as_millis();
            assert_eq!((pace.is_brief(), told), (is_brief, patience), "after {took:?}");
        }
    }

    #[test]
    fn a_setting_outweighs_what_is_known() {
        for (flush, continuous, expected) in [
            (FlushMode::End, true, false),
            (FlushMode::End, false, false),
            (FlushMode::Continuous, false, true),
            (FlushMode::Continuous, true, true),
            (FlushMode::Adaptive, false, false),
            (FlushMode::Adaptive, true, true),
        ] {
            let pace = Pace { continuous, ..Pace::default() };
            let config = Config { flush, ..Config::default() };
            assert_eq!(pace.is_continuous_for(&config), expected, "{flush:?} {continuous}");
        }
    }
}

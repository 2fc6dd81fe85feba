//! A cap on what flushing costs: billed milliseconds per minute, above which flushes leave the billed path.

use crate::time::{Duration, Instant};

/// The length of the window that the cap is for.
const WINDOW: Duration = Duration::from_secs(60);

/// What flushes have cost in the current minute.
#[derive(Clone, Debug)]
pub(crate) struct Cap {
    /// `None` when there is no cap.
    limit: Option<Duration>,
    window_began: Option<Instant>,
    spent: Duration,
}

impl Cap {
    pub(crate) const fn new(limit: Option<Duration>) -> Self {
        Self { limit, window_began: None, spent: Duration::ZERO }
    }

    /// How long a flush that begins at `now` may still hold an invocation; `None` when there is no cap.
    pub(crate) fn left(&mut self, now: Instant) -> Option<Duration> {
        if self.window_began.is_none_or(|began| now.since(began) >= WINDOW) {
            (self.window_began, self.spent) = (Some(now), Duration::ZERO);
        }
        self.limit.map(|limit| limit.saturating_sub(self.spent))
    }

    /// A flush has held an invocation for `cost`.
    pub(crate) fn on_flush(&mut self, cost: Duration) {
        self.spent += cost;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(s: u64) -> Instant {
        Instant::from_nanos(s * 1_000_000_000)
    }

    #[test]
    fn a_minute_has_its_own_budget() {
        let mut cap = Cap::new(Some(Duration::from_millis(300)));
        assert_eq!(cap.left(at(5)), Some(Duration::from_millis(300)));
        cap.on_flush(Duration::from_millis(200));
        assert_eq!(cap.left(at(6)), Some(Duration::from_millis(100)));
        cap.on_flush(Duration::from_millis(200));
        assert_eq!(cap.left(at(64)), Some(Duration::ZERO));
        assert_eq!(cap.left(at(65)), Some(Duration::from_millis(300)));
    }

    #[test]
    fn without_a_cap_nothing_is_counted_against_it() {
        let mut cap = Cap::new(None);
        cap.on_flush(Duration::from_secs(100));
        assert_eq!(cap.left(at(0)), None);
    }
}

//! Wall-clock times that advance monotonically, and how Lambda writes them down.

use std::fmt;
use std::time::{Duration, Instant, SystemTime};

/// A point in time, as nanoseconds since the Unix epoch.
///
/// Read once from the wall clock when the service starts and advanced by the monotonic clock from there, so
/// that differences are durations and never negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(Duration);

impl Time {
    /// The time `since_epoch` after 1970-01-01T00:00:00Z.
    pub const fn from_epoch(since_epoch: Duration) -> Self {
        Self(since_epoch)
    }

    /// Unix epoch milliseconds, the unit of `deadlineMs`.
    pub fn as_millis(self) -> u64 {
        u64::try_from(self.0.as_millis()).expect("the year 584,556,019 is far away")
    }

    /// Time from `earlier` to `self`; zero when `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// The time so many milliseconds later, or earlier.
    pub(crate) fn shifted(self, ms: i64) -> Self {
        let by = Duration::from_millis(ms.unsigned_abs());
        Self(if ms < 0 { self.0.saturating_sub(by) } else { self.0 + by })
    }

    /// Seconds since the epoch, as X-Ray ids carry them.
    pub fn as_secs(self) -> u64 {
        self.0.as_secs()
    }
}

impl std::ops::Add<Duration> for Time {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0 + duration)
    }
}

/// RFC 3339 in UTC with milliseconds, the form of every telemetry event: `2026-11-22T07:58:32.354Z`.
impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secs = self.0.as_secs();
        let (year, month, day) = civil_from_days(secs / 86_400);
        let (hour, minute, second) = (secs / 3600 % 24, secs / 60 % 60, secs % 60);
        let millis = self.0.subsec_millis();
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
    }
}

/// Milliseconds with three decimals, the precision of Lambda's metrics.
pub(crate) fn millis(duration: Duration) -> f64 {
    let micros = u64::try_from(duration.as_micros()).expect("no invocation lasts 584,000 years");
    micros as f64 / 1000.0
}

/// Proleptic Gregorian date of a day count since the epoch: years are counted from March, so that the leap
/// day is the last of its year and every 400 years have the same length.
fn civil_from_days(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

/// The only reader of the clocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    wall: Duration,
    started: Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        let wall =
            SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("the clock is set after 1970");
        Self { wall, started: Instant::now() }
    }

    pub(crate) fn now(&self) -> Time {
        Time(self.wall + self.started.elapsed())
    }

    /// When the service started; timelines count from here.
    pub(crate) fn origin(&self) -> Time {
        Time(self.wall)
    }

    /// The tokio instant at which `at` will be reached.
    pub(crate) fn instant(&self, at: Time) -> tokio::time::Instant {
        (self.started + at.0.saturating_sub(self.wall)).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_lambda_writes_them() {
        let cases = [
            (0, 0, "1970-01-01T00:00:00.000Z"),
            (951_782_399, 999, "2000-02-28T23:59:59.999Z"),
            (951_782_400, 0, "2000-02-29T00:00:00.000Z"),
            (1_795_334_312, 354, "2026-11-22T07:58:32.354Z"),
            (4_107_542_400, 0, "2100-03-01T00:00:00.000Z"),
        ];
        for (secs, ms, text) in cases {
            assert_eq!(Time(Duration::from_millis(secs * 1000 + ms)).to_string(), text);
        }
    }

    #[test]
    fn metrics_keep_three_decimals() {
        assert_eq!(millis(Duration::from_nanos(1_234_567)), 1.234);
        assert_eq!(millis(Duration::ZERO), 0.0);
    }
}

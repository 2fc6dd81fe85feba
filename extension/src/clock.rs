//! The only file that reads a clock.

#![expect(clippy::disallowed_methods, reason = "this is the file that the ban points to")]

use std::time::{Duration, Instant as Monotonic, SystemTime, UNIX_EPOCH};

use policy::{Instant, UnixNanos};

/// Reads both clocks; `Instant`s count from its making.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Monotonic,
}

/// Both clocks at one moment, to measure a wait that a freeze may lie in.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    monotonic: Instant,
    wall: UnixNanos,
}

impl Clock {
    /// A clock whose origin is now.
    pub fn start() -> Self {
        Self { origin: Monotonic::now() }
    }

    /// Now, on the monotonic clock.
    pub fn now(&self) -> Instant {
        Instant::from_nanos(nanos(self.origin.elapsed()))
    }

    /// Now, on the wall clock; the epoch itself when the wall clock is before it.
    pub fn wall(&self) -> UnixNanos {
        UnixNanos(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, nanos))
    }

    /// The monotonic instant of a wall-clock time in Unix milliseconds, as Lambda gives deadlines.
    ///
    /// Shape: at most 900 s ahead, the longest a function may run: a stepped clock moves it no further.
    pub fn at_unix_millis(&self, millis: u64) -> Instant {
        const LONGEST: Duration = Duration::from_secs(900);
        let ahead = UnixNanos(millis.saturating_mul(1_000_000)).since(self.wall());
        self.now() + ahead.min(LONGEST)
    }

    /// The runtime's own instant, for its timers.
    pub fn timer(&self, at: Instant) -> tokio::time::Instant {
        (self.origin + Duration::from_nanos(at.as_nanos())).into()
    }

    /// Both clocks now.
    pub fn moment(&self) -> Moment {
        Moment { monotonic: self.now(), wall: self.wall() }
    }

    /// The time since `moment`, by whichever clock says more: the monotonic one may stand in a freeze.
    pub fn since(&self, moment: Moment) -> Duration {
        self.now().since(moment.monotonic).max(self.wall().since(moment.wall))
    }

    /// A number that differs between environments, also between clones of one snapshot.
    pub fn seed(&self) -> u64 {
        self.wall().0 ^ u64::from(std::process::id()).rotate_left(40)
    }
}

/// Waits for `time`. Only after a failure whose end no signal tells, or to let something else go first, and
/// never for an invocation.
pub(crate) async fn pause(time: Duration) {
    tokio::time::sleep(time).await;
}

/// The same for a thread that has nothing else to do.
pub(crate) fn pause_thread(time: Duration) {
    std::thread::sleep(time);
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

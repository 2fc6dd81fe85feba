//! The only file that reads a clock.

#![expect(clippy::disallowed_methods, reason = "this is the file that the ban points to")]

mod alarm;

use std::sync::OnceLock;
use std::time::{Duration, Instant as Monotonic, SystemTime, UNIX_EPOCH};

use policy::{Instant, UnixNanos};

pub(crate) use alarm::Alarm;

/// Where the process began, among [`Instant`]s: ten years after their zero.
///
/// A snapshot may be restored on a machine that started later than the one on which it was made. Its monotonic clock
/// then reads less than at our start, by up to that machine's uptime, and must go on, not stand at zero.
const BEGAN_AT: Duration = Duration::from_secs(10 * 365 * 86_400);

/// When the process began, for those who wait without a clock of their own.
static BEGAN: OnceLock<Monotonic> = OnceLock::new();

/// Reads both clocks. Clones, and clones in other environments of one snapshot, count from the same moment.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    began: Monotonic,
}

/// Both clocks at one moment, to measure a wait that a freeze may lie in.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    monotonic: Instant,
    wall: UnixNanos,
}

impl Clock {
    /// A clock of a process that begins now.
    pub fn start() -> Self {
        Self { began: *BEGAN.get_or_init(Monotonic::now) }
    }

    /// Now, on the monotonic clock: forward in every environment, and back at a restore.
    pub fn now(&self) -> Instant {
        let now = Monotonic::now();
        match now.checked_duration_since(self.began) {
            Some(since) => Instant::from_nanos(nanos(BEGAN_AT + since)),
            None => Instant::from_nanos(nanos(BEGAN_AT.saturating_sub(self.began.duration_since(now)))),
        }
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

    /// Whether a restore has put the monotonic clock behind our start. Timers of the runtime are of no use then: it
    /// counts from its own start, takes every time before for past, and rings at once.
    fn is_behind(&self) -> bool {
        Monotonic::now() < self.began
    }

    /// The reading of the monotonic clock at `at`.
    fn reading(&self, at: Instant) -> Monotonic {
        let at = Duration::from_nanos(at.as_nanos());
        let reading = match at.checked_sub(BEGAN_AT) {
            Some(since) => self.began.checked_add(since),
            None => self.began.checked_sub(BEGAN_AT - at),
        };
        // Of a clock that cannot hold it: nothing is due before its time.
        reading.unwrap_or_else(Monotonic::now)
    }

    /// Both clocks now.
    pub fn moment(&self) -> Moment {
        Moment { monotonic: self.now(), wall: self.wall() }
    }

    /// The time since `moment`, by whichever clock says more: the monotonic one may stand in a freeze, and be set back
    /// by a restore.
    pub fn since(&self, moment: Moment) -> Duration {
        self.now().since(moment.monotonic).max(self.wall().since(moment.wall))
    }

    /// A number that differs between environments, also between clones of one snapshot.
    pub fn seed(&self) -> u64 {
        self.wall().0 ^ u64::from(std::process::id()).rotate_left(40)
    }
}

/// `/next` is asked in this time once it may be. Work that its asking must not wait for, such as half a millisecond of
/// building clients, begins after it.
pub(crate) const NEXT_FIRST: Duration = Duration::from_millis(1);

/// Waits for `time`. Only after a failure whose end no signal tells, or to let something else go first, and
/// never for an invocation.
pub(crate) async fn pause(time: Duration) {
    match BEGAN.get().filter(|began| Monotonic::now() < **began) {
        Some(_) => alarm::wait_on_a_thread(time).await,
        None => tokio::time::sleep(time).await,
    }
}

/// What `work` comes to within `time`, if anything.
pub(crate) async fn within<T>(time: Duration, work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        done = work => Some(done),
        () = pause(time) => None,
    }
}

/// What `work` comes to, if it does within `steps` half seconds in which this process was awake. A freeze costs one of them at
/// most, and what came in it is seen first.
pub(crate) async fn patiently<T>(steps: u32, work: impl Future<Output = T>) -> Option<T> {
    let mut work = std::pin::pin!(work);
    for _ in 0..steps {
        if let Some(done) = within(Duration::from_millis(500), work.as_mut()).await {
            return Some(done);
        }
    }
    None
}

/// The same for a thread that has nothing else to do.
pub(crate) fn pause_thread(time: Duration) {
    std::thread::sleep(time);
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
impl Clock {
    /// A clock of a process that was restored on a machine which started `later` than the one of its snapshot.
    pub(crate) fn restored(later: Duration) -> Self {
        Self { began: Monotonic::now() + later }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Waits until the clock has moved.
    fn next(clock: Clock, after: Instant) -> Instant {
        std::iter::repeat_with(|| clock.now()).find(|now| *now > after).expect("it never ends")
    }

    #[test]
    fn time_goes_on_wherever_the_process_is_restored() {
        const DAY: u64 = 86_400;
        for later in [0, 1, DAY, 3_000 * DAY] {
            let clock = Clock::restored(Duration::from_secs(later));
            let first = clock.now();
            let second = next(clock, first);
            assert!(second.since(first) < Duration::from_secs(60), "{later} s");
            let began = Instant::from_nanos(nanos(BEGAN_AT));
            let behind = began.since(second);
            assert!(
                behind <= Duration::from_secs(later)
                    && behind + Duration::from_secs(60) > Duration::from_secs(later)
            );
        }
    }

    #[test]
    fn an_instant_is_the_reading_that_it_was_made_from() {
        for later in [0, 1_000_000] {
            let clock = Clock::restored(Duration::from_secs(later));
            let at = clock.now() + Duration::from_secs(3);
            let (reading, now) = (clock.reading(at), Monotonic::now());
            let ahead = reading.checked_duration_since(now).expect("it lies ahead");
            assert!(ahead <= Duration::from_secs(3) && ahead > Duration::ZERO, "{later} s: {ahead:?}");
        }
        // No time is out of reach: what cannot be held is not later than now.
        let clock = Clock::start();
        assert!(clock.reading(Instant::default()) <= Monotonic::now());
        let _held_or_now = clock.reading(Instant::from_nanos(u64::MAX));
    }

    #[test]
    fn a_wait_over_a_restore_is_measured_by_the_wall() {
        let clock = Clock::start();
        let before = clock.moment();
        let restored = Clock::restored(Duration::from_secs(86_400));
        assert!(restored.now() < before.monotonic, "the reading is earlier");
        let earlier = Moment { wall: UnixNanos(before.wall.0 - 5_000_000_000), ..before };
        assert!(restored.since(earlier) >= Duration::from_secs(5));
        let deadline = restored.at_unix_millis(restored.wall().0 / 1_000_000 + 3_000);
        let left = deadline.since(restored.now());
        assert!(left <= Duration::from_secs(3) && left > Duration::ZERO, "{left:?}");
    }
}

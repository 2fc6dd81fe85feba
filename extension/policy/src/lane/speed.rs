//! How fast the backend takes data, by what earlier requests cost: how much of a batch fits into the time left.

use crate::time::Duration;

/// Requests smaller than this tell how long any answer takes, and that a backend is not slower than that; from here on, size
/// tells how fast it is.
const TELLING: usize = 8 << 10;
/// No request is cut to less than this, which tells: else a backend that was slow once would seem so for ever.
pub(crate) const PIECE_MIN: usize = 2 * TELLING;
/// The part of the time for sending that is planned with: no backend is equally fast twice.
const PLANNED: (u32, u32) = (3, 4);

/// Bounds of [`Speed::grace`], of [`Speed::patience`] and of [`Speed::stall`].
const GRACE: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(250));
const PATIENCE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));
/// The latter while no answer has been seen: it comes by a connection that is yet to be made, with TLS, and perhaps from far.
const PATIENCE_UNKNOWN: Duration = Duration::from_millis(300);
const STALL_MIN: Duration = Duration::from_millis(200);
/// The least of [`Speed::silence`].
const SILENCE_MIN: Duration = Duration::from_secs(2);
/// The time for an answer while none has been seen.
const UNKNOWN: Duration = Duration::from_millis(100);

/// What is known of it: nothing, until a request of some size was answered.
#[derive(Clone, Debug, Default)]
pub(crate) struct Speed {
    /// How long an answer takes at least, lately.
    latency: Option<Duration>,
    bytes_per_second: Option<u64>,
    /// How long an answer takes at most, lately.
    slowest: Option<Duration>,
    /// The same of requests that a freeze has cut into, with the freeze: no answer was later.
    thawed: Option<Duration>,
}

impl Speed {
    /// A request of `size` bytes, encoded, was answered after `took`.
    pub(crate) fn on_answer(&mut self, size: usize, took: Duration) {
        let known = self.slowest.unwrap_or_default();
        self.slowest = Some(took.max(known - known / 8));
        // The least that was seen, for what is more may be the size; a backend that moves away is believed slowly.
        let latency = self.latency.map_or(took, |known| took.min(known + known / 64));
        self.latency = Some(latency);
        let is_telling = size >= TELLING;
        let seen = rate(size, if is_telling { took.saturating_sub(latency) } else { took });
        // Down at once, up by halves: what did not fit costs more than what was left for later. What is small only takes back
        // what was believed too low: all of it was sent and answered in this time. Else a backend would seem slow for as long as
        // nothing larger is sent, because of one request that a dead connection has swallowed.
        if let Some(known) = self.bytes_per_second.filter(|known| seen > *known) {
            self.bytes_per_second = Some(known / 2 + seen / 2);
        } else if is_telling {
            self.bytes_per_second = Some(seen);
        }
    }

    /// An answer was there after `took`, freezes included, of which nothing was frozen for `awake`: it took no less. Where the
    /// waits are short, that is nearly all.
    pub(crate) fn on_thawed(&mut self, took: Duration, awake: Duration) {
        self.slowest = self.slowest.map(|slowest| slowest.max(awake));
        let known = self.thawed.unwrap_or_default();
        self.thawed = Some(took.max(known - known / 8));
    }

    /// A request of `size` bytes had no answer after `waited`: it would have taken at least twice as long.
    pub(crate) fn on_none(&mut self, size: usize, waited: Duration) {
        if size >= TELLING {
            let most = rate(size, waited * 2);
            self.bytes_per_second = Some(self.bytes_per_second.map_or(most, |known| known.min(most)));
        }
    }

    /// After a freeze, how long an answer may take that came meanwhile: it lies in the socket, or is sent again by the
    /// backend's machine. It is read beside the handler, where that costs nothing.
    pub(crate) fn grace(&self) -> Duration {
        self.usual().clamp(GRACE.0, GRACE.1)
    }

    /// How long one answer is worth waiting for, where nothing else is waited for.
    pub(crate) fn patience(&self) -> Duration {
        self.slowest.map_or(PATIENCE_UNKNOWN, |_| self.usual().clamp(PATIENCE.0, PATIENCE.1))
    }

    /// After how long without an answer, while others have theirs, a request's connection is not trusted.
    pub(crate) fn stall(&self) -> Duration {
        (self.usual() * 2).max(STALL_MIN)
    }

    /// After how long without an answer, freezes included, a request that freezes have cut into has lost it. `most` where no
    /// answer was ever seen: one that is cut off before it can come would never be known.
    pub(crate) fn silence(&self, most: Duration) -> Duration {
        self.slowest.map_or(most, |slowest| (slowest * 4).max(SILENCE_MIN))
    }

    /// The same where every answer takes longer than anybody waits, so that each is read after a freeze: one that comes later
    /// than all others did has been lost. `None` where any was ever seen to come without one.
    pub(crate) fn silence_thawed(&self) -> Option<Duration> {
        self.thawed.filter(|_| self.slowest.is_none())
    }

    /// Twice what the slowest answer took lately.
    pub(crate) fn usual(&self) -> Duration {
        self.slowest.map_or(UNKNOWN, |slowest| slowest * 2)
    }

    /// How long any answer takes, whatever the size.
    pub(crate) fn latency(&self) -> Duration {
        self.latency.unwrap_or_default()
    }

    /// How many bytes can be sent and answered in `left`; everything, while nothing is known.
    ///
    /// Shape: the reserve is part of what is left beside the latency. Were it part of the whole, nothing would seem to fit
    /// where the latency alone takes most of the time, though all of it does.
    pub(crate) fn fits(&self, left: Duration) -> usize {
        let Some(bytes_per_second) = self.bytes_per_second else { return usize::MAX };
        let sending = left.saturating_sub(self.latency()) * PLANNED.0 / PLANNED.1;
        let bytes = u128::from(bytes_per_second) * sending.as_nanos() / 1_000_000_000;
        usize::try_from(bytes).unwrap_or(usize::MAX)
    }
}

/// Bytes per second; time below a millisecond is not told from noise.
fn rate(size: usize, took: Duration) -> u64 {
    let nanos = took.max(Duration::from_millis(1)).as_nanos();
    u64::try_from(size as u128 * 1_000_000_000 / nanos).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn everything_fits_while_nothing_is_known() {
        let mut speed = Speed::default();
        assert_eq!(speed.fits(ms(1)), usize::MAX);
        speed.on_answer(TELLING - 1, ms(900));
        assert_eq!(speed.fits(ms(1)), usize::MAX, "a small request tells of latency only");
    }

    #[test]
    fn what_fits_is_what_was_seen_less_the_latency_and_a_quarter_of_the_rest() {
        let mut speed = Speed::default();
        speed.on_answer(100, ms(50));
        speed.on_answer(100_000, ms(1_050));
        let fits = speed.fits(ms(1_000));
        assert!((71_000..=71_250).contains(&fits), "{fits}");
        assert_eq!(speed.fits(ms(50)), 0);
    }

    #[test]
    fn it_believes_the_worse_at_once_and_the_better_by_halves() {
        let mut speed = Speed::default();
        speed.on_answer(100, ms(0));
        speed.on_answer(100_000, ms(1_000));
        speed.on_none(100_000, ms(1_000));
        assert_eq!(speed.fits(ms(4_000)), 150_000);
        speed.on_answer(100_000, ms(1_000));
        assert_eq!(speed.fits(ms(4_000)), 225_000);
    }

    #[test]
    fn what_is_small_takes_back_what_was_believed_too_low_and_nothing_else() {
        // Bytes a second that are believed, size and milliseconds of what was answered, and what is believed then.
        for (known, size, took, then) in [
            (None, 5_000, 20, None),
            (Some(5_000), 5_000, 20, Some(127_500)),
            (Some(5_000), 50, 20, Some(5_000)),
            (Some(249_998), 5_000, 20, Some(249_999)),
            (Some(250_000), 5_000, 20, Some(250_000)),
            (Some(250_002), 5_000, 20, Some(250_002)),
        ] {
            let mut speed = Speed { bytes_per_second: known, latency: Some(ms(10)), ..Speed::default() };
            speed.on_answer(size, ms(took));
            assert_eq!(speed.bytes_per_second, then, "{known:?} {size} {took}");
        }
    }

    #[test]
    fn where_each_answer_is_read_after_a_freeze_none_was_later_than_the_latest() {
        let mut speed = Speed::default();
        assert_eq!(speed.silence_thawed(), None, "none was read");
        speed.on_thawed(ms(2_000), ms(0));
        speed.on_thawed(ms(1_000), ms(900));
        assert_eq!(speed.silence_thawed(), Some(ms(1_750)), "an eighth of it is forgotten");
        speed.on_thawed(ms(2_500), ms(7));
        assert_eq!(speed.silence_thawed(), Some(ms(2_500)));
        speed.on_answer(1, ms(20));
        assert_eq!(speed.silence_thawed(), None, "one has come without a freeze");
        for (awake, usual) in [(10, 40), (300, 600), (299, 600)] {
            speed.on_thawed(ms(3_000), ms(awake));
            assert_eq!(speed.usual(), ms(usual), "{awake} ms without the freeze");
        }
    }

    #[test]
    fn times_follow_from_the_slowest_answer_lately_within_their_bounds() {
        let mut speed = Speed::default();
        assert_eq!([speed.grace(), speed.patience(), speed.stall()], [ms(100), ms(300), ms(200)], "unknown");
        assert_eq!((speed.silence(ms(7_000)), speed.latency()), (ms(7_000), ms(0)));
        let thawed = Speed { thawed: Some(ms(3_000)), ..Speed::default() };
        assert_eq!(thawed.silence(ms(7_000)), ms(7_000), "answers come after freezes only");
        // How long an answer took, and then: grace, patience, stall, silence.
        for (took, expected) in [
            (1, [20, 50, 200, 2_000]),
            (40, [80, 80, 200, 2_000]),
            (120, [240, 240, 480, 2_000]),
            (400, [250, 800, 1_600, 2_000]),
            (800, [250, 1_000, 3_200, 3_200]),
            // It is forgotten by eighths.
            (0, [250, 1_000, 2_800, 2_800]),
        ] {
            speed.on_answer(1, ms(took));
            let told = [speed.grace(), speed.patience(), speed.stall(), speed.silence(ms(7))];
            assert_eq!(told.map(|time| time.as_millis()), expected, "after {took} ms");
        }
    }

    #[test]
    fn latency_is_the_least_and_a_backend_that_moves_away_is_believed_slowly() {
        let mut speed = Speed::default();
        for (took, latency_us) in [(64, 64_000), (16, 16_000), (640, 16_250), (16, 16_000)] {
            speed.on_answer(1, ms(took));
            assert_eq!(speed.latency().as_micros(), latency_us, "after {took} ms");
        }
    }

    #[test]
    fn size_tells_from_a_bound_on_and_time_from_a_millisecond_on() {
        assert_eq!(
            (rate(1_000, ms(500)), rate(1_000, ms(1)), rate(1_000, ms(0))),
            (2_000, 1_000_000, 1_000_000)
        );
        assert_eq!((TELLING, PIECE_MIN), (8_192, 16_384));
        let mut speed = Speed::default();
        speed.on_none(TELLING - 1, ms(500));
        assert_eq!(speed.bytes_per_second, None);
        speed.on_none(TELLING, ms(500));
        assert_eq!(speed.bytes_per_second, Some(8_192));
        speed.on_none(TELLING, ms(50));
        assert_eq!(speed.bytes_per_second, Some(8_192), "more than is known is no news");
        speed = Speed { latency: Some(ms(0)), ..Speed::default() };
        speed.on_answer(TELLING, ms(1_000));
        assert_eq!(speed.bytes_per_second, Some(8_192));
        speed.on_answer(TELLING + 9, ms(1_000));
        assert_eq!(speed.bytes_per_second, Some(8_196), "up by halves");
        speed.on_answer(8_193, ms(1_000));
        assert_eq!(speed.bytes_per_second, Some(8_193), "down at once");
        speed.on_answer(8_193, ms(1_000));
        assert_eq!(speed.bytes_per_second, Some(8_193), "the same is no news");
    }
}

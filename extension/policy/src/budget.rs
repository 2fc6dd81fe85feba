//! How much of an invocation, or of SHUTDOWN, exports may spend.

use crate::config::Config;
use crate::time::{Duration, Instant};

/// When a flush that begins at `now` must have let go of an invocation with this `deadline`.
///
/// Shape: never before `now`, never after `deadline` less the safety time, never longer than the ceiling.
///
/// # Source
/// The function's timeout covers the runtime and the extensions together:
/// <https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html#runtimes-lifecycle-invoke>
pub(crate) fn flush_end(config: &Config, now: Instant, deadline: Instant) -> Instant {
    (now + config.flush_ceiling).min(deadline.minus(config.safety)).max(now)
}

/// When the last flush, in SHUTDOWN, must end; never before `now`.
pub(crate) fn shutdown_end(config: &Config, now: Instant, deadline: Instant) -> Instant {
    deadline.minus(config.shutdown_safety).max(now)
}

/// When an invocation of which nothing is heard is treated as done.
///
/// Shape: the margin before the deadline, but at most a quarter of the invocation's time: a function
/// with a timeout of one second is not given up on after half of it.
pub(crate) fn give_up_at(config: &Config, start: Instant, deadline: Instant) -> Instant {
    let quarter = deadline.since(start) / 4;
    deadline.minus(config.deadline_margin.min(quarter)).max(start)
}

/// How long SHUTDOWN waits for the platform to say how an open invocation ended.
///
/// Its `runtimeDone` is produced before SHUTDOWN and delivered within the buffering time asked for
/// (25 ms), so this is a bound for when it was lost, not a delay.
pub(crate) fn last_words_end(now: Instant, end: Instant) -> Instant {
    const LAST_WORDS: Duration = Duration::from_millis(200);
    (now + LAST_WORDS).min(now + end.since(now) / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Instant {
        Instant::from_nanos(ms * 1_000_000)
    }

    #[test]
    fn a_flush_is_bounded_by_the_ceiling_and_by_the_deadline() {
        let config = Config::default();
        let rows = [
            // now, deadline, end
            (0, 10_000, 1_000),
            (9_500, 10_000, 9_900),
            (9_950, 10_000, 9_950),
            (11_000, 10_000, 11_000),
        ];
        for (now, deadline, end) in rows {
            assert_eq!(flush_end(&config, ms(now), ms(deadline)), ms(end), "now {now} deadline {deadline}");
        }
    }

    #[test]
    fn the_margin_never_takes_more_than_a_quarter() {
        let config = Config::default();
        assert_eq!(give_up_at(&config, ms(0), ms(10_000)), ms(9_500));
        assert_eq!(give_up_at(&config, ms(0), ms(1_000)), ms(750));
        assert_eq!(give_up_at(&config, ms(5_000), ms(1_000)), ms(5_000));
    }

    #[test]
    fn the_last_words_of_the_platform_are_waited_for_a_while_and_never_for_more_than_half() {
        for (now, end, until) in [(0, 2_000, 200), (1_000, 3_000, 1_200), (0, 300, 150), (500, 400, 500)] {
            assert_eq!(last_words_end(ms(now), ms(end)), ms(until), "from {now} to {end}");
        }
    }

    #[test]
    fn shutdown_ends_before_the_kill() {
        let config = Config::default();
        for (now, deadline, end) in [(0, 2_000, 1_800), (1_900, 2_000, 1_900), (3_000, 2_000, 3_000)] {
            assert_eq!(shutdown_end(&config, ms(now), ms(deadline)), ms(end), "now {now}");
        }
    }
}

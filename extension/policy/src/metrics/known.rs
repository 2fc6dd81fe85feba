//! What is known of one invocation, until its end is counted and everything that is told of it was measured.

use super::series::{Label, Store};
use super::table::Metric;
use crate::account::{INVOCATION_MAX, INVOKE_DELAY_MAX};
use crate::platform::{EndStatus, Ending, Response};
use crate::time::{Duration, Instant, UnixNanos};

/// The report on an invocation follows its end within this time. Lambda retries one a minute later, at the earliest.
const REPORTED_WITHIN: Duration = Duration::from_secs(30);

/// The word for a failure whose class is not known.
const OTHER: &str = "_OTHER";
/// Classes of failures are the function's own words in part: longer ones are cut.
const CLASS_MAX: usize = 128;

/// What is known of one invocation.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// Its request id, hashed: kept as text, 64 small pieces of memory would come and go between large ones.
    pub(super) request_id: u64,
    /// When its INVOKE was read, if it was; what is told before waits for that.
    pub(super) begun_at: Option<UnixNanos>,
    /// The same by the time that the environment was awake, as far as is known.
    pub(super) begun: Instant,
    /// Whether its end is in a count.
    pub(super) is_counted: bool,
    /// `platform.runtimeDone` that came before INVOKE was read.
    pub(super) early: Option<Done>,
    /// From `platform.runtimeDone`.
    pub(super) runtime: Option<Duration>,
    pub(super) has_exited: bool,
    pub(super) is_done: bool,
    /// When, by `platform.runtimeDone`.
    pub(super) done_at: Option<UnixNanos>,
    /// When, by `platform.report`.
    pub(super) reported_at: Option<UnixNanos>,
    /// How long it was held from its end to `/next`.
    pub(super) held: Duration,
}

impl Known {
    pub(super) const fn is_begun(&self) -> bool {
        self.begun_at.is_some()
    }

    /// Whether it can have run at `at`: since INVOKE, which may have been read some time after it was over, and for no longer
    /// than any may. By a clock that was set since, one seems to have run for hours.
    pub(super) fn may_run_at(&self, at: UnixNanos) -> bool {
        self.begun_at.is_some_and(|begun| begun.minus(INVOKE_DELAY_MAX) <= at && at <= begun + INVOCATION_MAX)
    }

    /// Whether a report of this time is its own: it is made when all have asked for the next one, long before any retry.
    pub(super) fn is_reported_at(&self, at: UnixNanos) -> bool {
        self.done_at.is_some_and(|done| done <= at && at <= done + REPORTED_WITHIN)
    }

    /// Counts the end of an invocation, and measures what was told with it.
    pub(super) fn on_done(&mut self, store: &mut Store, done: &Done) {
        if core::mem::replace(&mut self.is_done, true) {
            return;
        }
        self.done_at = Some(done.at);
        let class = done.ending.error_class();
        self.count_end(store, done.ending.outcome(), class.as_deref());
        self.has_exited = class.as_deref() == Some("Runtime.ExitError");
        self.runtime = done.duration;
        store.count(Metric::OutOfMemory, &[], u64::from(class.as_deref() == Some("Runtime.OutOfMemory")));
        if let Some(took) = done.duration {
            store.measure(
                Metric::InvokeDuration,
                error_type(class.as_deref()).as_slice(),
                took.as_secs_f64(),
            );
        }
        for (metric, value) in [
            (Metric::ResponseLatency, done.response.latency),
            (Metric::ResponseDuration, done.response.duration),
        ] {
            if let Some(value) = value {
                store.measure(metric, &[], value.as_secs_f64());
            }
        }
        if let Some(bytes) = done.produced_bytes {
            store.measure(Metric::ProducedBytes, &[], bytes as f64);
        }
    }

    /// Counts an end that nobody will tell of any more.
    pub(super) fn settle(&mut self, store: &mut Store, status: EndStatus) {
        if self.is_begun() {
            self.count_end(store, status, None);
        }
    }

    pub(super) fn count_end(&mut self, store: &mut Store, status: EndStatus, class: Option<&str>) {
        if core::mem::replace(&mut self.is_counted, true) {
            return;
        }
        match status {
            EndStatus::Success => store.count(Metric::Invocations, &[], 1),
            EndStatus::Timeout => store.count(Metric::Timeouts, &[], 1),
            EndStatus::Error | EndStatus::Failure => {
                store.count(Metric::Errors, error_type(Some(class.unwrap_or(OTHER))).as_slice(), 1);
            }
        }
    }
}

/// What `platform.runtimeDone` says.
#[derive(Clone, Debug)]
pub(super) struct Done {
    pub(super) at: UnixNanos,
    pub(super) ending: Ending,
    pub(super) duration: Option<Duration>,
    pub(super) produced_bytes: Option<u64>,
    pub(super) response: Response,
}

/// FNV-1a: of the few ids that are remembered at once, no two come to the same.
pub(super) fn hash(request_id: &str) -> u64 {
    request_id
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The attribute of a failure, or nothing.
pub(super) fn error_type(class: Option<&str>) -> alloc::vec::Vec<Label<'_>> {
    class.map(|class| ("error.type", cut(class, CLASS_MAX))).into_iter().collect()
}

/// The begin of `text`, of `max` bytes at the most.
pub(super) fn cut(text: &str, max: usize) -> &str {
    let mut end = text.len().min(max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_cut_between_characters() {
        let rows = [
            ("", 3, ""),
            ("abc", 3, "abc"),
            ("abcd", 3, "abc"),
            ("aéé", 2, "a"),
            ("aéé", 3, "aé"),
            ("é", 1, ""),
        ];
        for (text, max, expected) in rows {
            assert_eq!(cut(text, max), expected, "{text} {max}");
        }
    }

    #[test]
    fn it_may_run_from_a_second_before_invoke_was_read_until_no_invocation_runs_any_more() {
        let second = 1_000_000_000;
        let begun = 10 * second;
        let known = Known { begun_at: Some(UnixNanos(begun)), ..Known::default() };
        let last = begun + INVOCATION_MAX.as_nanos() as u64;
        for (at, may_run) in [
            (begun - second - 1, false),
            (begun - second, true),
            (begun, true),
            (last, true),
            (last + 1, false),
        ] {
            assert_eq!(known.may_run_at(UnixNanos(at)), may_run, "{at}");
        }
        assert!(!Known::default().may_run_at(UnixNanos(begun)), "it has not begun");
    }
}

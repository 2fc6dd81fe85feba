//! What an export came to, and when to try it again.

use crate::rng::Rng;
use crate::time::Duration;

/// How an export ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The backend has it. `rejected` of its items it refused for good (OTLP partial success).
    Delivered {
        /// Items refused; never retried.
        rejected: u32,
    },
    /// A connection broke before an answer came. It may have died during a freeze, so the first time this
    /// happens to a batch it is sent again at once, on a fresh connection, and it is nobody's failure.
    Lost,
    /// Worth another try: 429, 502, 503, 504 and their like, or the backend could not be reached.
    ///
    /// # Source
    /// <https://opentelemetry.io/docs/specs/otlp/#retryable-response-codes>
    Retry {
        /// What the backend asked for in `Retry-After`.
        after: Option<Duration>,
    },
    /// 413: the same data in smaller pieces may pass.
    TooLarge,
    /// 401, 403, a proxy's 407, and gRPC's UNAUTHENTICATED and PERMISSION_DENIED: the key is wrong, or has no right to this. What was sent is
    /// as good as ever: it passes when the key is repaired or rotated.
    Refused {
        /// The HTTP status, or gRPC's, which is below 17.
        status: u16,
    },
    /// Any other answer: final.
    Rejected {
        /// The HTTP status; zero when it never got as far as a request.
        status: u16,
    },
}

/// The first pause; each further one doubles it.
const BACKOFF_FIRST: Duration = Duration::from_millis(50);
/// No pause that we choose is longer than this: a backend that is down is left alone by the breaker, for all batches
/// at once. A batch that grew its own pauses in an outage would still be waiting when the backend is long well.
const OWN_PAUSE_MAX: Duration = Duration::from_secs(2);
/// No pause is longer than this, whatever the backend asks.
const ASKED_PAUSE_MAX: Duration = Duration::from_secs(300);

/// How long a backend is left alone that has refused us, before it is asked again with one request: nobody repairs a key
/// within seconds, and each refusal may count against an account.
pub(crate) const REFUSED_PAUSE: Duration = Duration::from_secs(60);

/// The pause that a backend has asked for, five minutes at the most. Who asks for less than the first of our own pauses has asked
/// for none: `0`, and a date that has passed because its clock is behind ours, would be an invitation to a thousand requests a
/// second.
pub(crate) fn asked(after: Option<Duration>) -> Option<Duration> {
    after.filter(|after| *after >= BACKOFF_FIRST).map(|after| after.min(ASKED_PAUSE_MAX))
}

/// How long to leave a batch alone after its `attempts`th failure, where nothing was asked for.
///
/// Shape: 50 ms doubled per attempt with up to half of it as jitter, two seconds at the most.
pub(crate) fn pause(attempts: u32, rng: &mut Rng) -> Duration {
    let base = BACKOFF_FIRST.saturating_mul(1 << attempts.saturating_sub(1).min(16)).min(OWN_PAUSE_MAX);
    let jitter = u64::try_from(base.as_nanos() / 2).unwrap_or(u64::MAX);
    (base + Duration::from_nanos(rng.below(jitter.saturating_add(1)))).min(OWN_PAUSE_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_and_respect_the_backend() {
        let mut rng = Rng::new(1);
        for (attempts, floor_ms) in [(1, 50), (2, 100), (3, 200), (6, 1_600)] {
            let floor = Duration::from_millis(floor_ms);
            let pause = pause(attempts, &mut rng);
            assert!(pause >= floor && pause <= floor * 3 / 2, "{attempts}: {pause:?}");
        }
        for next_to_nothing in [Duration::ZERO, Duration::from_nanos(49_999_999)] {
            assert_eq!(asked(Some(next_to_nothing)), None);
        }
        for pause in [BACKOFF_FIRST, Duration::from_secs(7), ASKED_PAUSE_MAX] {
            assert_eq!(asked(Some(pause)), Some(pause));
        }
        assert_eq!(asked(None), None);
        assert_eq!(pause(90, &mut rng), OWN_PAUSE_MAX);
        assert_eq!(asked(Some(Duration::from_secs(90_000))), Some(ASKED_PAUSE_MAX));
    }
}

//! How an invocation ends, and what that means for the process that ran it.

use crate::platform::{EndStatus, Ending, Shutdown, ShutdownReason};
use crate::time::{Duration, UnixNanos};

/// How an invocation has ended, as far as it is known.
#[derive(Clone, Debug)]
pub(crate) struct Finish {
    pub(crate) ending: Ending,
    /// When, if the platform reported it.
    pub(crate) at: Option<UnixNanos>,
    pub(crate) duration: Option<Duration>,
    pub(crate) produced_bytes: Option<u64>,
    /// Whether the process that ran it is gone: nothing more will come from it.
    pub(crate) has_died: bool,
    /// Whether `at` and `duration` have the time in them for which extensions held the invocation after its end.
    pub(crate) is_overlong: bool,
}

impl Finish {
    /// What the platform's event says.
    pub(super) fn told(ending: &Ending, at: UnixNanos, duration: Option<Duration>) -> Self {
        let has_died = has_died(ending);
        Self {
            ending: ending.clone(),
            at: Some(at),
            duration,
            produced_bytes: None,
            has_died,
            is_overlong: false,
        }
    }

    /// When the invocation began, by the end and the duration that the platform tells; not from a report, which is made some
    /// time after the end that it is about.
    pub(super) fn began(&self) -> Option<UnixNanos> {
        let (at, duration) = self.at.zip(self.duration)?;
        (!self.is_overlong).then(|| at.minus(duration))
    }

    /// Whether every invocation of the environment ends with it: a runtime that serves several outlives the time-out of one.
    pub(super) fn takes_all_along(&self) -> bool {
        self.has_died && self.ending.outcome() != EndStatus::Timeout
    }

    /// What SHUTDOWN says of an invocation that is open then.
    ///
    /// Shape: a time-out ends at the invocation's `deadline`, if that is known. An environment that was idle is spun
    /// down: an invocation whose end was never reported has ended well, at a time that nobody knows.
    pub(super) fn of_shutdown(shutdown: &Shutdown, deadline: Option<UnixNanos>) -> Self {
        let at = match shutdown.reason {
            ShutdownReason::Timeout => Some(deadline.unwrap_or(shutdown.received_at)),
            ShutdownReason::Failure => Some(shutdown.received_at),
            ShutdownReason::Spindown => None,
        };
        let ending = Ending { status: shutdown.reason.status(), error_type: None };
        let has_died = ending.status != EndStatus::Success;
        Self { ending, at, duration: None, produced_bytes: None, has_died, is_overlong: false }
    }

    /// A process of ours that was killed took the invocation with it, at some time after `at`.
    pub(super) const fn of_a_kill(at: Option<UnixNanos>) -> Self {
        let ending = Ending { status: EndStatus::Failure, error_type: None };
        Self { ending, at, duration: None, produced_bytes: None, has_died: true, is_overlong: false }
    }
}

/// Whether an ending means that the runtime's process is gone.
///
/// A handler that returned an error (`error` with the runtime's own `errorType`) leaves it running.
pub(crate) fn has_died(ending: &Ending) -> bool {
    match ending.outcome() {
        EndStatus::Success => false,
        EndStatus::Timeout | EndStatus::Failure => true,
        EndStatus::Error => ending.error_type.as_deref().is_some_and(|class| {
            matches!(class, "Runtime.ExitError" | "Runtime.OutOfMemory" | "Extension.Crash")
                || class.starts_with("Sandbox.")
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Instant;

    #[test]
    fn which_endings_take_the_process_along() {
        let rows = [
            (EndStatus::Success, None, false),
            (EndStatus::Error, None, false),
            (EndStatus::Error, Some("Function.Unknown"), false),
            (EndStatus::Error, Some("Runtime.ExitError"), true),
            (EndStatus::Error, Some("Runtime.OutOfMemory"), true),
            (EndStatus::Error, Some("Extension.Crash"), true),
            (EndStatus::Error, Some("Sandbox.Timedout"), true),
            (EndStatus::Failure, None, true),
            (EndStatus::Timeout, None, true),
        ];
        for (status, class, died) in rows {
            let ending = Ending { status, error_type: class.map(Into::into) };
            assert_eq!(has_died(&ending), died, "{ending:?}");
        }
    }

    #[test]
    fn which_endings_take_all_invocations_along() {
        let rows = [
            (EndStatus::Error, Some("Runtime.ExitError"), true),
            (EndStatus::Failure, None, true),
            (EndStatus::Timeout, None, false),
            (EndStatus::Error, Some("Sandbox.Timedout"), false),
            (EndStatus::Error, Some("Function.Unknown"), false),
            (EndStatus::Success, None, false),
        ];
        for (status, class, all) in rows {
            let ending = Ending { status, error_type: class.map(Into::into) };
            assert_eq!(Finish::told(&ending, UnixNanos(1), None).takes_all_along(), all, "{ending:?}");
        }
    }

    #[test]
    fn what_shutdown_says_of_an_open_invocation() {
        let (deadline, received_at) = (UnixNanos(30), UnixNanos(40));
        let rows = [
            (ShutdownReason::Timeout, Some(deadline), EndStatus::Timeout, Some(deadline)),
            (ShutdownReason::Timeout, None, EndStatus::Timeout, Some(received_at)),
            (ShutdownReason::Failure, Some(deadline), EndStatus::Failure, Some(received_at)),
            (ShutdownReason::Spindown, Some(deadline), EndStatus::Success, None),
        ];
        for (reason, deadline, status, at) in rows {
            let (deadline_of_shutdown, waited) = (Instant::default(), Duration::ZERO);
            let shutdown = Shutdown { reason, deadline: deadline_of_shutdown, received_at, waited };
            let finish = Finish::of_shutdown(&shutdown, deadline);
            assert_eq!((finish.ending.status, finish.at), (status, at), "{reason:?}");
            assert_eq!(finish.has_died, reason != ShutdownReason::Spindown);
        }
    }
}

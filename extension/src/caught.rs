//! Panics as values: a bug of ours costs the work in which it shows, and nothing beside it.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

/// The work has panicked. The panic's line is in the log already ([`crate::log::panics`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Panicked;

/// Runs `work`.
///
/// What it was about to change may be half changed: a caller goes on only with what survives that, such as a lock that
/// is taken with [`std::sync::PoisonError::into_inner`].
pub(crate) fn caught<T>(work: impl FnOnce() -> T) -> Result<T, Panicked> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|_| Panicked)
}

/// The same for work that waits. It is dropped when it panics, and never polled again.
pub(crate) async fn caught_async<F: Future>(work: F) -> Result<F::Output, Panicked> {
    let mut work = pin!(work);
    poll_fn(|context| match caught(|| work.as_mut().poll(context)) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(done)) => Poll::Ready(Ok(done)),
        Err(panicked) => Poll::Ready(Err(panicked)),
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_ends_with_its_result_or_with_its_panic() {
        assert_eq!(caught(|| 1), Ok(1));
        assert_eq!(caught(|| -> u8 { panic!("planted") }), Err(Panicked));
        let waits = |panics: bool| async move {
            tokio::task::yield_now().await;
            assert!(!panics, "planted");
            1
        };
        assert_eq!(caught_async(waits(false)).await, Ok(1));
        assert_eq!(caught_async(waits(true)).await, Err(Panicked));
    }
}

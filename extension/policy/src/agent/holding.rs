//! For how long an invocation is held: from its end to `/next`, which is what the platform bills.

use crate::facts::Body;
use crate::platform::Invoke;
use crate::span::RequestId;
use crate::time::{Duration, Instant, UnixNanos};

use super::Agent;

/// INVOKE may reach us after the end of its invocation, but not by more than this. A span may claim any time.
const LATE_MAX: Duration = Duration::from_secs(1);

/// The invocation that was held last, or is.
#[derive(Clone, Debug)]
pub(super) struct Hold {
    request_id: RequestId,
    /// INVOKE, on both clocks.
    pub(super) began: Instant,
    /// When its function is killed.
    pub(super) deadline: Instant,
    received_at: UnixNanos,
    /// When it ended, as far as anything has told.
    ended: Option<Instant>,
    /// When `/next` was asked after it.
    asked: Option<Instant>,
}

impl Hold {
    pub(super) fn new(now: Instant, deadline: Instant, invoke: &Invoke) -> Self {
        let (request_id, received_at) = (invoke.request_id.clone(), invoke.received_at);
        Self { request_id, began: now, deadline, received_at, ended: None, asked: None }
    }

    /// Where `at` is on the monotonic clock.
    fn instant(&self, at: UnixNanos) -> Instant {
        (self.began + at.since(self.received_at)).minus(self.received_at.since(at))
    }
}

impl<B: Body> Agent<B> {
    /// Something has told that the running invocation is over: the platform or the function when, or else it was heard of
    /// `since` then.
    pub(super) fn note_end(&mut self, now: Instant, since: Instant) {
        let told = self.account.current_ended_at();
        let asked_at = self.asked_at;
        if let Some(hold) = &mut self.hold {
            let ended = told.map(|at| hold.instant(at)).filter(|at| *at >= hold.began.minus(LATE_MAX));
            let ended = ended.unwrap_or(since).clamp(asked_at.min(now), now);
            hold.ended = Some(ended);
            if !self.subscription.delivers() {
                self.pace.on_duration(Some(ended.since(hold.began)));
            }
        }
    }

    /// `/next` is asked.
    pub(super) fn note_asked(&mut self, now: Instant) {
        let Some(hold) = &mut self.hold else { return };
        hold.asked = Some(now);
        if let Some(ended) = hold.ended {
            self.add_held(now.since(ended));
        }
    }

    /// The platform tells when an invocation ended: nothing may have told before `/next` was asked.
    pub(super) fn note_late_end(&mut self, request_id: &RequestId, at: UnixNanos) {
        let before = if self.hold.as_ref().is_some_and(|hold| hold.asked.is_none()) {
            self.asked_at
        } else {
            Instant::default()
        };
        let Some(hold) = self.hold.as_mut().filter(|hold| hold.request_id == *request_id) else { return };
        if hold.asked.is_some() && hold.ended.is_some() {
            return;
        }
        let ended = hold.instant(at);
        if ended < hold.began.minus(LATE_MAX) {
            // Long before INVOKE ended an earlier try under the same id.
            return;
        }
        let ended = ended.max(before);
        hold.ended = Some(ended);
        if let Some(asked) = hold.asked {
            self.add_held(asked.since(ended));
        }
    }

    fn add_held(&mut self, held: Duration) {
        self.ledger.held += held;
        self.metrics.on_held(held);
    }
}

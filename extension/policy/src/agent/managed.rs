//! Where nothing freezes. On Managed Instances an invocation begins with the platform's event, and many run at once; in a local
//! emulator each has an INVOKE. In both, data leaves at any time.

use crate::facts::Body;
use crate::lane::{Lane, Window};
use crate::platform::{Invoke, PlatformEvent, Subscription};
use crate::span::RequestId;
use crate::time::{Duration, Instant, UnixNanos};

use super::Agent;

/// Where nothing freezes, no invocation end is awaited: data leaves on this beat.
const BEAT: Duration = Duration::from_secs(1);

impl<B: Body> Agent<B> {
    /// Managed Instances send no INVOKE: `platform.start` is where an invocation begins. It may be told twice. Where it was
    /// lost, or is late, the report tells when that was.
    pub(super) fn begin_managed(&mut self, now: Instant, event: &PlatformEvent) {
        match event {
            PlatformEvent::Start { request_id, at } if !self.account.has_begun_at(request_id, *at) => {
                self.begin_without_invoke(now, request_id, *at);
            }
            PlatformEvent::Report { request_id, at, duration, .. }
                if self.account.is_begin_lost(request_id, *at) =>
            {
                self.begin_without_invoke(now, request_id, at.minus(duration.unwrap_or_default()));
            }
            _ => {}
        }
    }

    pub(super) fn begin_without_invoke(&mut self, now: Instant, request_id: &RequestId, at: UnixNanos) {
        self.ledger.invocations += 1;
        self.metrics.on_time(now, at);
        self.metrics.on_invoke(request_id, at);
        let (request_id, arn, waited) = (request_id.clone(), "".into(), Duration::ZERO);
        let invoke =
            Invoke { request_id, deadline: now, deadline_at: at, received_at: at, arn, xray: None, waited };
        self.account.begin(now, &self.config, invoke, None);
    }

    /// Data leaves at any time, also while `/next` is asked.
    pub(super) fn advance_awake(&mut self, now: Instant) {
        self.unpark(now);
        if now >= self.next_beat {
            self.next_beat = now + BEAT;
            self.account.settle_overdue(now, &self.config);
            if self.config.is_managed() {
                let (before, account) = (self.account.all_over_before(), &self.account);
                self.announced.forget_begun_before(before, |request_id| account.is_over(request_id));
            }
            self.store_made(now);
            self.store_logs(now);
            self.meter_if_due(now);
            self.lanes.iter_mut().for_each(Lane::seal);
        } else if self.subscription == Subscription::Local {
            // An emulator may be stopped as soon as its caller has the answer. What comes while a request is under way
            // leaves together, after it.
            self.lanes.iter_mut().filter(|lane| lane.items_in_flight() == 0).for_each(Lane::seal);
        }
        // The beat cuts batches; what is cut leaves as soon as the backend has answered what was before it.
        self.advance_lanes(now, Window::Open);
    }
}

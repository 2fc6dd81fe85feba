//! Log records: under the span of their invocation where that is known before the flush that they leave with.

use crate::facts::Body;
use crate::io::Receipt;
use crate::span::{RequestId, Signal};
use crate::time::Instant;

use super::Agent;

impl<B: Body> Agent<B> {
    pub(super) fn on_logged(&mut self, now: Instant, request_id: Option<&RequestId>, receipt: Receipt<B>) {
        self.ledger.logs.received += receipt.count(Signal::Logs);
        // After the last flush nothing that is still to come tells more.
        let may_wait = !self.turn.is_closed();
        let mut ready = Receipt::EMPTY;
        for parcel in receipt.parcels {
            match request_id {
                Some(request_id) => ready.parcels.extend(self.logs.add(request_id.clone(), parcel)),
                None => ready.parcels.push(parcel),
            }
        }
        self.weigh_beside();
        self.take_in(now, ready);
        if may_wait {
            self.make_room(now);
        } else {
            self.store_logs(now);
        }
    }

    /// What has waited leaves with this flush.
    pub(super) fn store_logs(&mut self, now: Instant) {
        let parcels = self.logs.release();
        self.weigh_beside();
        self.take_in(now, Receipt { spans: alloc::vec::Vec::new(), parcels });
    }

    /// Ends their wait where there is no room for it: in the outbox they can go to the spool, or make room.
    pub(super) fn hurry_logs(&mut self, now: Instant) -> bool {
        let parcels = self.logs.release();
        self.weigh_beside();
        let is_any = !parcels.is_empty();
        let receipt = Receipt { spans: alloc::vec::Vec::new(), parcels };
        receipt.into_entries().for_each(|entry| self.queue(now, entry));
        is_any
    }

    pub(super) fn waiting_logs(&self, signal: Signal) -> u64 {
        if signal == Signal::Logs { self.logs.items() } else { 0 }
    }
}

//! Where everything that is kept goes: to each lane that it is for.

use crate::entry::Entry;
use crate::facts::Body;
use crate::lane::LaneId;
use crate::ledger::{DropReason, LaneBooks};
use crate::notice::Notice;
use crate::sampling::Kept;
use crate::span::Signal;
use crate::time::Instant;

use super::Agent;

impl<B: Body> Agent<B> {
    /// Queues what waits for no trace.
    pub(super) fn queue(&mut self, now: Instant, entry: Entry<B>) {
        if self.router.is_sole() {
            let (signal, count) = (entry.signal, u64::from(entry.count));
            if !self.lanes.accept_first(now, entry) {
                self.go_nowhere(signal, count);
            }
            return;
        }
        let routes = self.router.of_entry(entry.signal, entry.body());
        self.queue_kept(now, Kept { entry, routes, is_again: false });
    }

    pub(super) fn queue_kept(&mut self, now: Instant, Kept { entry, routes, is_again }: Kept<B>) {
        let (signal, count) = (entry.signal, u64::from(entry.count));
        let lanes = self.lanes.accept(now, entry, routes);
        let own = u64::from(!is_again);
        if lanes < own {
            self.go_nowhere(signal, count);
        } else {
            self.ledger.of_mut(signal).copied += (lanes - own) * count;
        }
    }

    /// There is no lane for `count` items.
    pub(super) fn go_nowhere(&mut self, signal: Signal, count: u64) {
        self.ledger.drop(signal, DropReason::NoDestination, count);
        if !core::mem::replace(&mut self.said.no_destination[signal as usize], true) {
            self.say(Notice::NoDestination(signal));
        }
    }

    /// So many items of a lane are given up for `reason`.
    pub(super) fn drop_of(&mut self, id: LaneId, reason: DropReason, count: u64) {
        if let Some(lane) = self.lanes.get_mut(id) {
            lane.drop(&mut self.ledger, reason, count);
        }
    }

    /// The lanes that there are.
    pub fn lane_ids(&self) -> impl Iterator<Item = LaneId> {
        self.lanes.iter().map(crate::lane::Lane::id)
    }

    /// The books of a lane, and the items that it holds, which must equal what they say.
    pub fn lane_books(&self, id: LaneId) -> Option<(LaneBooks, u64)> {
        let lane = self.lanes.iter().find(|lane| lane.id() == id)?;
        Some((*lane.books(), lane.held_items()))
    }
}

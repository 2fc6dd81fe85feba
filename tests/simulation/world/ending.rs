//! What must be true of a world that has ended: nothing is lost without a reason, every invocation has a root.

use policy::{DropReason, Signal, SpoolMode};

use super::super::function::MS;
use super::World;
use super::network::Request;

/// SHUTDOWN's flush ends so long before the kill.
const SHUTDOWN_SAFETY: u64 = 200 * MS;
/// What comes so shortly before that end may find no time for the requests that it needs.
const TOO_LATE: u64 = 50 * MS;

impl World {
    /// The process leaves: where the backend of a lane has been well since SHUTDOWN, it leaves nothing of that.
    pub(super) fn check_left(&mut self) {
        Signal::ALL.into_iter().for_each(|signal| self.check_left_of(signal));
    }

    fn check_left_of(&mut self, signal: Signal) {
        let bounds = self.config.bounds;
        let has_room = self.disk.parked_bytes() + bounds.batch_bytes < bounds.spooled_bytes / 3;
        let is_usable =
            self.config.spool != SpoolMode::Off && !self.is_disk_useless() && !self.faults.sends_outsize;
        let books = self.books(signal);
        let dropped = books.dropped_for(DropReason::Shutdown);
        assert!(
            dropped == 0 || !is_usable || !has_room,
            "{dropped} {signal:?} dropped at the end, with room on disk"
        );
        // An answer that takes longer than SHUTDOWN does is no fault of anyone.
        if !self.is_well_at_last || self.row.is_some() || self.is_last_try_dead(signal) {
            return;
        }
        // Who asks for patience, or refuses the key, with an answer that is still on its way, gets it.
        let is_hasty =
            self.others.backend(signal).is_some_and(|backend| backend.faults.asks_to_be_left_alone());
        if is_hasty || !self.recovers(signal) {
            return;
        }
        self.coverage.note("faults end with SHUTDOWN");
        let left = books.dropped_for(DropReason::Shutdown) + books.held();
        assert!(
            left <= self.made_at_last(signal) + self.came_too_late(signal),
            "the backend was well in SHUTDOWN, and data was left: {signal:?} {books:?}"
        );
    }

    /// A request of SHUTDOWN is on a connection that has died without a sign, and there was no time for another one by what
    /// answers had taken: nobody could know that none would come.
    fn is_last_try_dead(&self, signal: Signal) -> bool {
        let (end, slowest) = (self.deadline - SHUTDOWN_SAFETY, self.deliveries.slowest[signal as usize]);
        let is_sole_chance = |request: &Request| request.launched + 2 * slowest >= end;
        let mut own = self.network.live().filter(|request| request.id.lane.signal == signal);
        own.any(|request| request.is_on_dead && is_sole_chance(request))
    }

    /// Spans that came just before nothing was sent any more.
    fn came_too_late(&self, signal: Signal) -> u64 {
        let since = self.deadline - SHUTDOWN_SAFETY - TOO_LATE;
        let late = self.accepted.values().filter(|at| **at >= since).count() as u64;
        if signal == Signal::Traces { late } else { 0 }
    }

    /// The same of each destination.
    pub(super) fn check_end(&mut self) {
        self.each_destination(Self::check_end_of_one);
    }

    fn check_end_of_one(&mut self) {
        let spans = self.books(Signal::Traces);
        let dropped: u64 = self.dropped_before + spans.dropped.iter().sum::<u64>();
        assert!(
            self.processes > 1 || spans.received == self.accepted.len() as u64,
            "accepted and not in the books"
        );
        for signal in Signal::ALL {
            let (held, parked) = (self.books(signal).held(), self.disk.parked(signal));
            assert_eq!(held, parked, "{signal:?} held after the end, and on disk");
        }
        self.check_losses(dropped);
        let is_calm = self.row.is_none() && self.invocations >= self.healthy_from + super::HEALTHY;
        if is_calm {
            for signal in Signal::ALL.into_iter().filter(|signal| self.recovers(*signal)) {
                let books = self.books(signal);
                let left = books.dropped_for(DropReason::Shutdown) + books.held();
                assert!(
                    left <= self.made_at_last(signal) + self.came_too_late(signal),
                    "the backend has been well for some invocations, and data was left: {signal:?} {books:?}"
                );
            }
        }
        // What could not be written when an earlier process left.
        let could_lose = self.faults.disk_fails && self.processes > 1;
        // On Managed Instances an invocation is known by what the platform tells of it.
        let is_untold =
            self.config.is_managed() && (self.faults.has_no_telemetry || self.faults.loses_telemetry);
        let left_out = self.sampled_out_before + spans.sampled_out;
        let is_all_there = dropped == 0 && left_out == 0 && spans.held() == 0 && self.kills == 0;
        if is_all_there && !is_untold && !could_lose && self.at == 0 {
            self.check_all_have_roots();
        }
    }

    /// Everything accepted was delivered, is on disk, or was dropped and counted; across kills only where
    /// everything accepted is on record.
    pub(super) fn check_losses(&self, dropped: u64) {
        if self.faults.disk_fails || (self.kills > 0 && self.config.spool != SpoolMode::Always) {
            return;
        }
        let is_lost = |id: &&u64| !self.delivered.contains(id) && !self.disk.has_parked(**id);
        let lost = self.accepted.keys().filter(is_lost).count() as u64;
        let spans = self.books(Signal::Traces);
        let left_out = self.sampled_out_before + spans.sampled_out;
        assert!(lost <= dropped + left_out, "{lost} lost, {dropped} and {left_out} counted: {spans:?}");
        let lost: Vec<_> = self.worth_keeping.iter().filter(|(id, _)| is_lost(id)).collect();
        assert!(
            lost.len() as u64 <= dropped,
            "{lost:?} lost that no sampling leaves out, {dropped} counted: {spans:?}"
        );
    }
}

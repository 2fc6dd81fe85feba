//! When the spool is used: not again after a failure, not to and fro, and, where it is for outages, before a freeze.

use std::collections::VecDeque;

use policy::{Entry, FlushMode, Input, Signal, SpoolMode};

use super::super::disk::Body;
use super::super::function::MS;
use super::{Event, World};

/// On Managed Instances, where no INVOKE says when, a disk that has failed is tried again after this.
const AGAIN: u64 = 1_000 * MS;

/// What is known of how the disk was used.
#[derive(Debug, Default)]
pub(super) struct Spooled {
    /// When the agent heard of a write that failed, if it has not tried again since.
    failed_at: Option<u64>,
    /// Whether something of a signal was written for want of room, and nothing of it has left memory since.
    is_crowded: [bool; Signal::ALL.len()],
    /// Whether nothing was held before this step.
    was_empty: bool,
    /// Whether this step has written anything: in one step memory may be emptied and filled anew.
    has_parked: bool,
    /// Bytes of writes that have failed, while the agent has not heard so: it keeps room on the disk for them.
    unwritten: VecDeque<usize>,
}

impl World {
    /// `input` is about to be heard.
    pub(super) fn note_spool_input(&mut self, input: &Input<Body>) {
        match input {
            Input::Invoke(_) | Input::Shutdown(_) => self.spooled.is_crowded = Default::default(),
            Input::Exported { id, .. } if id.lane.destination == 0 => {
                self.spooled.is_crowded[id.lane.signal as usize] = false;
            }
            _ => {}
        }
        (self.spooled.has_parked, self.spooled.was_empty) = (false, self.agent.held_bytes() == 0);
        let is_again =
            self.config.is_managed() && self.spooled.failed_at.is_some_and(|at| self.now >= at + AGAIN);
        if matches!(input, Input::Invoke(_)) || is_again {
            self.spooled.failed_at = None;
        }
        if matches!(input, Input::Parked { place: None, .. }) {
            self.spooled.failed_at = Some(self.now);
            self.spooled.unwritten.pop_front();
        }
    }

    /// A write of these fails, as the agent will hear.
    pub(super) fn note_unwritten(&mut self, entries: &[Entry<Body>]) {
        self.spooled.unwritten.push_back(entries.iter().map(|entry| entry.size as usize).sum());
    }

    /// Bytes on the disk, and of what is thought to be on its way there.
    pub(super) fn bytes_for_disk(&self) -> usize {
        self.disk.parked_bytes() + self.spooled.unwritten.iter().sum::<usize>()
    }

    /// These are left out, and told of because they are on record: nobody holds them any more.
    pub(super) fn check_left_out(&mut self, bodies: &[Body]) {
        assert!(self.config.spool == SpoolMode::Always, "told of, and nothing is on record");
        let held = bodies.iter().filter(|body| body.is_shared()).count();
        assert_eq!(held, 0, "{held} of {} that are left out are held all the same", bodies.len());
        self.coverage.note("left out of what is on record");
    }

    pub(super) fn note_parked(&mut self, signal: Signal) {
        let may_be = self.spooled.failed_at.is_none() || self.config.is_managed();
        assert!(may_be, "the disk has failed, and is tried again");
        (self.spooled.is_crowded[signal as usize], self.spooled.has_parked) = (true, true);
    }

    /// Whether the disk may be believed to be of no use.
    pub(super) const fn is_disk_useless(&self) -> bool {
        self.spooled.failed_at.is_some()
    }

    /// Something is read back: not what went there for want of room, while nothing has made any.
    pub(super) fn check_unpark(&self, signal: Signal) {
        // What each has of the memory that they share, nobody knows here.
        if self.second.is_some() {
            return;
        }
        // What is parked at the end of a flush, and what is larger than memory, is not there for want of room.
        let is_other = self.config.spool == SpoolMode::Outage || self.faults.sends_outsize;
        // What comes back is sent at once where nothing else waits.
        let under_way = self.network.live().flat_map(|request| request.entries.iter());
        let under_way: usize = under_way.map(|entry| entry.size as usize + policy::BOOKKEEPING_BYTES).sum();
        let is_sole = self.agent.held_bytes() <= under_way;
        // Where nothing of a signal is under way, no answer will make room for it: what is within its share is sent at once.
        let is_idle = self.network.live().all(|request| request.id.lane.signal != signal);
        let may_be = is_other
            || is_idle
            || is_sole
            || self.held.down[signal as usize]
            || self.spooled.was_empty
            || self.agent.held_bytes() == 0;
        assert!(
            may_be || self.spooled.has_parked || !self.spooled.is_crowded[signal as usize],
            "{signal:?} are read back, and none have left memory since they were written: {} held, {under_way} under way",
            self.agent.held_bytes()
        );
    }

    /// `/next` is asked after a flush: what could not be sent is on disk, where that is for outages.
    pub(super) fn check_kept(&self) {
        let bounds = self.config.bounds;
        let is_meant = self.config.spool == SpoolMode::Outage && self.config.flush == FlushMode::End;
        let has_room = self.disk.parked_bytes() + 2 * bounds.batch_bytes < bounds.spooled_bytes / 3;
        let is_capped = self.config.cost_cap.is_some();
        let may_fail = self.faults_now().disk_fails || self.is_disk_useless();
        if self.held.is_new || !is_meant || !has_room || is_capped || may_fail || self.faults.sends_outsize {
            return;
        }
        for signal in Signal::ALL {
            let being_read = |event: &Event| match event {
                Event::Spool(Input::Unparked { receipt, .. }) => receipt.count(signal),
                _ => 0,
            };
            let elsewhere = self.pending.values().map(being_read).sum::<u64>() + self.under_way(signal);
            let held = self.waiting_items(signal);
            assert!(
                held <= elsewhere,
                "{held} {signal:?} held, and {elsewhere} of them with the backend or on the way from the disk"
            );
        }
    }
}

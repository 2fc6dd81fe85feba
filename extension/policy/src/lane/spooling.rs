//! What a lane puts on disk, and reads back.

use alloc::vec::Vec;

use super::batch::{Batch, Source};
use super::shelf::{Parked, Place, Taken};
use super::{Effects, Lane};
use crate::entry::Entry;
use crate::io::Output;
use crate::ledger::{DropReason, Ledger};
use crate::notice::Notice;
use crate::time::Instant;

/// A record that a lane would like to read back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    /// What it takes in memory.
    pub(crate) held: usize,
    /// Whether it is read to find out whether the backend is well again: nothing else is at hand.
    pub(crate) is_probe: bool,
    /// Whether the lane has nothing else to send.
    pub(crate) is_idle: bool,
}

impl<B: Clone> Lane<B> {
    /// Bytes that are on disk.
    pub(crate) const fn spooled_bytes(&self) -> usize {
        self.shelf.bytes()
    }

    /// The same, and those on their way there.
    pub(crate) fn claimed_bytes(&self) -> usize {
        self.shelf.claimed()
    }

    /// Whether the disk has yet to answer.
    pub(crate) fn is_busy(&self) -> bool {
        self.shelf.is_busy()
    }

    /// Whether nothing is on disk, or on its way there or back.
    pub(crate) fn has_none_on_disk(&self) -> bool {
        self.shelf.is_empty()
    }

    /// Encoded bytes of the batch that [`Lane::park_oldest`] would put on disk.
    pub(crate) fn oldest_size(&mut self) -> Option<usize> {
        self.outbox.oldest_size()
    }

    /// Puts the oldest batch that is not in flight on disk; false when there is none. `is_for_room`: it is read back only
    /// when an answer has made some.
    pub(crate) fn park_oldest(&mut self, is_for_room: bool, effects: &mut Effects<'_, B>) -> bool {
        let Some(batch) = self.outbox.give_oldest() else { return false };
        self.is_crowded |= is_for_room;
        self.park(batch, effects);
        true
    }

    /// Takes a batch out that is larger than all that may be held: where it waits, nothing else can.
    pub(crate) fn give_outsize(&mut self) -> Option<Batch<B>> {
        self.outbox.give_outsize()
    }

    /// Puts such a batch on disk. It goes there whenever it is not under way, and would be read back and tried again at once.
    pub(crate) fn park_outsize(&mut self, batch: Batch<B>, effects: &mut Effects<'_, B>) {
        self.shelf.rest_for(self.outbox.pause_of(&batch), batch.attempts);
        self.park(batch, effects);
    }

    fn park(&mut self, batch: Batch<B>, effects: &mut Effects<'_, B>) {
        effects.outputs.push_back(Output::Park { lane: self.id, entries: batch.entries.clone() });
        self.shelf.begin(batch);
    }

    /// The oldest [`Output::Park`] of this lane is answered. Gives the batch back that could not be written.
    pub(crate) fn on_parked(&mut self, place: Option<Place>) -> Option<Batch<B>> {
        self.shelf.end(self.id, place)
    }

    /// Takes a batch back that could not be written.
    pub(crate) fn readmit(&mut self, batch: Batch<B>) {
        self.outbox.readmit(batch);
    }

    /// The spool of a killed process holds this.
    pub(crate) fn on_found(&mut self, parked: Parked) {
        self.books.taken += parked.count;
        self.shelf.add(parked);
    }

    /// The record that is worth reading back now, if any: while the backend is well, or, with nothing else at hand, to find
    /// out whether it is well again. `is_last`: in SHUTDOWN everything is tried.
    pub(crate) fn wants_record(&mut self, now: Instant, is_last: bool) -> Option<Wanted> {
        // What the backend has asked to be left alone with could not be sent: it may have to go back at once.
        self.outbox.forget_asked(now);
        if !self.shelf.is_on_disk_empty() {
            self.shelf.rest_until(self.outbox.asked());
        }
        let is_idle = self.is_safe();
        let is_resting = self.shelf.is_resting(now);
        let is_probe = is_idle && self.breaker.is_probe_due(now);
        let is_wanted = self.breaker.is_closed() || (is_idle && is_last);
        if is_resting || self.shelf.is_reading() || !(is_wanted || is_probe) {
            return None;
        }
        let held = self.shelf.oldest_held()?;
        Some(Wanted { held, is_probe, is_idle })
    }

    /// Whether what was put on disk for want of room would only go back there.
    pub(crate) const fn is_crowded(&self) -> bool {
        self.is_crowded
    }

    /// Reads the oldest record back.
    pub(crate) fn unpark(&mut self, effects: &mut Effects<'_, B>) {
        let lane = self.id;
        effects.outputs.extend(self.shelf.take().map(|place| Output::Unpark { lane, place }));
    }

    /// What was being read has `count` items, or none where it could not be read.
    pub(crate) fn on_read(&mut self, count: u64, effects: &mut Effects<'_, B>) -> Option<Taken> {
        let taken = self.shelf.taken()?;
        let lost = taken.parked.count.saturating_sub(count);
        self.drop(effects.ledger, DropReason::SpoolUnreadable, lost);
        if lost > 0 && !core::mem::replace(&mut self.said.spool_unreadable, true) {
            effects.say(Notice::SpoolUnreadable(self.id));
        }
        Some(taken)
    }

    /// Takes back what was read: it may be more than there is room for beside other things. It was read to be sent, and room
    /// is made when that has been seen to.
    pub(crate) fn take_back(&mut self, now: Instant, taken: Taken, entries: Vec<Entry<B>>) {
        if taken.is_doubtful || taken.source == Source::Unknown {
            self.outbox.push_apart(now, taken.source, taken.is_doubtful, entries);
        } else {
            entries.into_iter().for_each(|entry| self.outbox.push(now, taken.source, entry));
        }
        self.outbox.seal(false);
        self.outbox.remember_attempts(self.shelf.take_attempts());
    }

    /// The end: what is in flight is in the way of nothing any more, and what waits goes in as few batches as it fits in.
    pub(crate) fn gather(&mut self) {
        self.outbox.ground();
        self.outbox.gather();
    }

    /// Gives up everything that is left in memory.
    pub(crate) fn give_up_the_rest(&mut self, ledger: &mut Ledger) {
        let left = self.outbox.drain().iter().map(|batch| batch.count).sum();
        self.drop(ledger, DropReason::Shutdown, left);
    }
}

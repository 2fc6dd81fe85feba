//! All lanes: which there are, which of them an invocation may be held for, and who gives when room runs out.

use alloc::vec::Vec;

use crate::config::{Config, SpoolMode};
use crate::entry::Entry;
use crate::lane::shelf::Place;
use crate::lane::{Effects, Lane, LaneId, Window};
use crate::room::Room;
use crate::routing::Routes;
use crate::shared::{Shared, Twice};
use crate::span::Signal;
use crate::time::{Duration, Instant};

/// See the module.
#[derive(Debug)]
pub(crate) struct Lanes<B> {
    /// In the order in which they are served.
    all: Vec<Lane<B>>,
    room: Room,
    /// What counts twice in what they hold.
    twice: Twice,
    /// SHUTDOWN has begun: each lane tries all that it has, whatever is believed of its backend.
    is_last: bool,
}

/// What became of a batch that could not be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unwritten {
    /// It waits in memory.
    Readmitted,
    /// So many items of it are given up.
    GivenUp(u64),
}

impl<B: Clone> Lanes<B> {
    /// A lane for each signal and each destination that it goes to. An invocation may be held for traces; for metrics and logs
    /// only where no traces are sent: nobody waits longer because a second backend does not answer.
    ///
    /// Each lane has a claim to what its signal has: what several destinations are sent is held once.
    pub(crate) fn new(config: &Config) -> Self {
        let signals = Signal::ALL.into_iter().filter(|signal| config.sends(*signal));
        let ids: Vec<_> = signals.clone().flat_map(|signal| Self::ids(config, signal)).collect();
        let room = Room::new(config.bounds, signals.count(), ids.len(), config.spool != SpoolMode::Off);
        let twice = Twice::default();
        let lane = |id: &LaneId| {
            let is_meant = id.signal == Signal::Traces || !config.sends(Signal::Traces);
            let further = usize::from(id.destination).checked_sub(1).map(|index| &config.further[index]);
            let lane = Lane::new(*id, config, room.share(), is_meant && further.is_none_or(|to| to.holds));
            let is_sole = ids.iter().filter(|other| other.signal == id.signal).count() == 1;
            if config.further.is_empty() { lane } else { lane.sharing(twice.clone(), is_sole) }
        };
        Self { all: ids.iter().map(lane).collect(), room, twice: twice.clone(), is_last: false }
    }

    /// The lanes of `signal`, in the order of their destinations.
    fn ids(config: &Config, signal: Signal) -> impl Iterator<Item = LaneId> {
        let first = config.destinations.has(signal).then_some(0);
        let further = (1..).zip(&config.further).filter(move |(_, to)| to.reaches.has(signal));
        let destinations = first.into_iter().chain(further.map(|(number, _)| number));
        destinations.map(move |destination| LaneId { signal, destination })
    }

    pub(crate) fn iter(&self) -> core::slice::Iter<'_, Lane<B>> {
        self.all.iter()
    }

    pub(crate) fn iter_mut(&mut self) -> core::slice::IterMut<'_, Lane<B>> {
        self.all.iter_mut()
    }

    /// Lanes that an invocation may be held for.
    pub(crate) fn holders(&self) -> impl Iterator<Item = &Lane<B>> {
        self.all.iter().filter(|lane| lane.holds())
    }

    /// The lane of this name.
    pub(crate) fn get_mut(&mut self, id: LaneId) -> Option<&mut Lane<B>> {
        self.all.iter_mut().find(|lane| lane.id() == id)
    }

    /// The lanes of `signal`.
    pub(crate) fn of(&self, signal: Signal) -> impl Iterator<Item = &Lane<B>> {
        self.all.iter().filter(move |lane| lane.signal() == signal)
    }

    /// Of all lanes of `signal` together.
    pub(crate) fn sum(&self, signal: Signal, items: impl Fn(&Lane<B>) -> u64) -> u64 {
        self.of(signal).map(items).sum()
    }

    pub(crate) const fn room(&self) -> &Room {
        &self.room
    }

    pub(crate) const fn room_mut(&mut self) -> &mut Room {
        &mut self.room
    }

    /// Takes `entry` in where there is one destination; false where it goes nowhere.
    pub(crate) fn accept_first(&mut self, now: Instant, entry: Entry<B>) -> bool {
        let lane = self.all.iter_mut().find(|lane| lane.signal() == entry.signal);
        lane.map(|lane| lane.accept(now, entry)).is_some()
    }

    /// Takes `entry` in by each lane among `routes`, and says how many these are. Making room is the caller's next step.
    pub(crate) fn accept(&mut self, now: Instant, mut entry: Entry<B>, routes: Routes) -> u64 {
        let signal = entry.signal;
        let mut lanes =
            self.all.iter_mut().filter(|lane| lane.signal() == signal && routes.has(lane.id().destination));
        let Some(mut last) = lanes.next() else { return 0 };
        let mut count = 1;
        for next in lanes {
            if entry.shared.is_none() {
                entry.shared = Some(Shared::new(entry.size));
            }
            last.accept(now, entry.clone());
            (last, count) = (next, count + 1);
        }
        last.accept(now, entry);
        count
    }

    /// Memory that is held, inside of lanes and outside.
    pub(crate) fn held_bytes(&self) -> usize {
        self.all.iter().map(Lane::held_bytes).sum::<usize>() - self.twice.bytes() + self.room.beside()
    }

    /// Encoded bytes of what the lanes hold.
    pub(crate) fn encoded_bytes(&self) -> usize {
        self.all.iter().map(Lane::encoded_bytes).sum::<usize>() - self.twice.bytes()
    }

    /// Bytes on disk.
    pub(crate) fn spooled_bytes(&self) -> usize {
        self.all.iter().map(Lane::spooled_bytes).sum()
    }

    /// Whether more is held than may be.
    pub(crate) fn is_over(&self) -> bool {
        self.room.is_over(self.held_bytes())
    }

    /// Whether nothing waits to be sent (in flight does not count).
    pub(crate) fn is_all_sent(&self) -> bool {
        self.all.iter().all(Lane::is_all_sent)
    }

    /// How long the oldest thing has been held that an invocation may be held for.
    pub(crate) fn age(&self, now: Instant) -> Duration {
        self.holders().map(|lane| lane.age(now)).max().unwrap_or_default()
    }

    /// Each goes as far as it can, beside a handler, where nothing freezes, or in SHUTDOWN.
    pub(crate) fn advance(&mut self, now: Instant, window: Window, effects: &mut Effects<'_, B>) {
        self.all.iter_mut().for_each(|lane| lane.advance(now, window, effects));
    }

    /// SHUTDOWN begins, and data may be sent until `end`.
    pub(crate) fn begin_last(&mut self, now: Instant, end: Instant) {
        self.is_last = true;
        self.all.iter_mut().for_each(|lane| lane.begin_last(now, end));
    }

    /// Goes on with a flush, and says whether it goes on. Lanes that no invocation is held for send with those that it is
    /// held for, and not alone: what they began would be frozen at once. It leaves beside the next handler.
    pub(crate) fn flush(&mut self, now: Instant, effects: &mut Effects<'_, B>) -> bool {
        for is_turn_of_holders in [true, false] {
            for lane in self.all.iter_mut().filter(|lane| lane.holds() == is_turn_of_holders) {
                lane.advance(now, Window::Held, effects);
            }
            if !self.holders().any(|lane| lane.is_awaited(now)) {
                return false;
            }
        }
        true
    }

    /// Reads back what is worth it now, one record for each lane. `doubted` of what is held beside the lanes is only held in
    /// case that it failed: that goes first when room runs out, and must not keep the rest on disk.
    pub(crate) fn unpark(&mut self, now: Instant, doubted: usize, effects: &mut Effects<'_, B>) {
        let is_last = self.is_last;
        for index in 0..self.all.len() {
            let Some(wanted) = self.all[index].wants_record(now, is_last) else { continue };
            // Larger than what a lane has a claim to, perhaps than all that may be held.
            let is_large = wanted.is_idle && !self.room.is_within_share(wanted.held);
            let is_free = |lanes: &Self| {
                let spare = if wanted.is_idle { doubted } else { 0 };
                !lanes.room.is_over((lanes.held_bytes() + wanted.held).saturating_sub(spare))
            };
            if is_large && self.all[index].is_well() && !is_free(self) {
                self.make_way(effects);
            }
            let (held, waiting) = (self.held_bytes(), self.waiting_bytes() + self.room.beside());
            let (is_free, room, lane) = (is_free(self), self.room, &mut self.all[index]);
            // Others make room for a lane that is well, or has its last chance, and keeps within its share.
            let is_due = (lane.is_well() || is_last) && room.is_within_share(lane.held_bytes() + wanted.held);
            // What is large is sent when nothing else waits; and at last whatever waits, which may never leave. Where nothing
            // of a lane is under way, no answer will tell it that there is room.
            let has_room = held == 0
                || (is_large && (waiting == 0 || is_last && lane.is_well()))
                || (is_due || is_last && is_free) && wanted.is_idle
                || !lane.is_crowded() && (is_free || is_due);
            if wanted.is_probe || has_room {
                lane.unpark(effects);
            }
        }
    }

    /// Puts everything on disk that waits, if that has room for all of it: for something that is sent only when nothing else
    /// waits, and what an ill lane holds may wait for hours.
    fn make_way(&mut self, effects: &mut Effects<'_, B>) {
        let fits = |index: usize| self.has_disk(index, self.all[index].waiting_bytes());
        if self.room.beside() == 0 && (0..self.all.len()).all(fits) {
            while self.park_for_room(effects) {}
        }
    }

    fn waiting_bytes(&self) -> usize {
        self.all.iter().map(Lane::waiting_bytes).sum()
    }

    /// Whether `size` more of this lane may be put on disk.
    fn has_disk(&self, index: usize, size: usize) -> bool {
        // A lane that holds nothing has no claim: many functions send traces alone.
        let holds = |lane: &Lane<B>| lane.held_bytes() + lane.claimed_bytes() > 0;
        let others = self.all.iter().enumerate().filter(|(other, lane)| *other != index && holds(lane));
        let others = others.map(|(_, lane)| self.room.kept_on_disk(lane.claimed_bytes())).sum();
        self.room.has_disk(self.all[index].claimed_bytes() + size, others)
    }

    /// What is larger than all that may be held goes straight to the disk, and is read back when nothing else is held; where
    /// the disk has no room for it either, it is given up, and nothing else has to go for it. Gives back what was.
    pub(crate) fn settle_outsize(&mut self, effects: &mut Effects<'_, B>) -> Vec<(LaneId, u64)> {
        let mut given_up = Vec::new();
        for index in 0..self.all.len() {
            while let Some(batch) = self.all[index].give_outsize() {
                if self.has_disk(index, batch.size) {
                    self.all[index].park_outsize(batch, effects);
                } else {
                    given_up.push((self.all[index].id(), batch.count));
                }
            }
        }
        given_up
    }

    /// Whether the lane gives nothing for the others.
    fn is_protected(&self, lane: &Lane<B>) -> bool {
        self.is_protected_with(lane, 0)
    }

    /// The same if it held so many bytes more.
    fn is_protected_with(&self, lane: &Lane<B>, more: usize) -> bool {
        (lane.is_well() || self.is_last) && self.room.is_within_share(lane.held_bytes() + more)
    }

    /// Puts the oldest batch that is not in flight on disk, of those that others need not make room for, or where none of
    /// these waits, of the others. A lane that has used its part of the disk does not keep the next one from its own.
    /// False when there is none, or no room.
    pub(crate) fn park_for_room(&mut self, effects: &mut Effects<'_, B>) -> bool {
        let waiting = self
            .all
            .iter()
            .enumerate()
            .filter_map(|(index, lane)| Some((self.is_protected(lane), lane.oldest()?, index)));
        let mut waiting: Vec<_> = waiting.collect();
        waiting.sort_unstable();
        let is_protected = waiting.first().is_some_and(|(is_protected, ..)| *is_protected);
        let mut candidates = waiting.into_iter().filter(|(is, ..)| *is == is_protected);
        candidates.any(|(.., index)| self.park_oldest(index, true, effects))
    }

    /// The same of lanes that are ill, where there are others: what these had would be sent to them again after a kill, for the
    /// sake of what the ill ones have not.
    pub(crate) fn park_ill(&mut self, effects: &mut Effects<'_, B>) {
        for index in 0..self.all.len() {
            let is_beside_others = !self.all[index].is_sole();
            while is_beside_others && !self.all[index].is_well() && self.park_oldest(index, false, effects) {}
        }
    }

    /// Puts everything on disk that is not in flight, while there is room.
    pub(crate) fn park_all(&mut self, effects: &mut Effects<'_, B>) {
        for index in 0..self.all.len() {
            while self.park_oldest(index, false, effects) {}
        }
    }

    fn park_oldest(&mut self, index: usize, is_for_room: bool, effects: &mut Effects<'_, B>) -> bool {
        let size = self.all[index].oldest_size().unwrap_or_default().max(self.room.batch_bytes());
        self.has_disk(index, size) && self.all[index].park_oldest(is_for_room, effects)
    }

    /// A write was answered. Says what became of a batch that could not be written; `is_end`: nothing is held any more.
    pub(crate) fn on_parked(&mut self, id: LaneId, place: Option<Place>, is_end: bool) -> Option<Unwritten> {
        let lane = self.all.iter_mut().find(|lane| lane.id() == id)?;
        let batch = lane.on_parked(place)?;
        self.room.set_disk(false);
        if is_end || self.room.is_outsize(batch.held()) {
            return Some(Unwritten::GivenUp(batch.count));
        }
        lane.readmit(batch);
        Some(Unwritten::Readmitted)
    }

    /// Gives up what is least valuable: plain entries before failures, of the lane that holds most first, and nothing of a
    /// lane that others make room for before all is gone of those that they do not.
    pub(crate) fn evict(&mut self) -> Option<(LaneId, u64)> {
        self.evict_of(false).or_else(|| self.evict_of(true))
    }

    /// The same where `waiting` bytes beside the lanes need the room, which will be of the lane of `signal`: as long as that gives
    /// nothing for the others even with them, lanes that do give go first.
    pub(crate) fn evict_for(&mut self, signal: Signal, waiting: usize) -> Option<(LaneId, u64)> {
        let is_protected = self.of(signal).any(|lane| self.is_protected_with(lane, waiting));
        if is_protected { self.evict_of(false) } else { None }
    }

    /// Gives up what is least valuable of lanes that give nothing for the others (`is_protected`), or of those that do.
    fn evict_of(&mut self, is_protected: bool) -> Option<(LaneId, u64)> {
        for only_plain in [true, false] {
            let mut order: Vec<_> = (0..self.all.len())
                .filter(|index| self.is_protected(&self.all[*index]) == is_protected)
                .collect();
            order.sort_by_key(|index| core::cmp::Reverse(self.all[*index].waiting_bytes()));
            let given = order.into_iter().find_map(|index| {
                let lane = &mut self.all[index];
                lane.evict(only_plain).map(|count| (lane.id(), count))
            });
            if given.is_some() {
                return given;
            }
        }
        None
    }
}

#[cfg(test)]
mod tests;

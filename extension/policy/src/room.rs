//! Room: how much all lanes may hold together, in memory and on disk, and what goes first when that runs out.
//!
//! Each lane has a claim to the share of its signal in memory: the bound, parted evenly. What several destinations are sent is
//! held once, and counts once; the disk has a copy for each. What one does not need, others may use. A lane
//! whose backend is well and that keeps within its share gives nothing for the others: one that is ill must not cost it
//! anything. On disk, half of each share is kept for its lane, while that holds anything. Among the rest what is least
//! valuable goes first, wherever it is.

use crate::config::Bounds;

/// See the module.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    bounds: Bounds,
    signals: usize,
    lanes: usize,
    /// Memory that is held outside of the lanes and counts against the same bound.
    beside: usize,
    /// Whether the disk takes anything: not after a write that failed, until it is tried again.
    is_disk_usable: bool,
}

impl Room {
    /// Room for so many lanes of so many signals.
    pub(crate) const fn new(bounds: Bounds, signals: usize, lanes: usize, has_disk: bool) -> Self {
        Self { bounds, signals, lanes, beside: 0, is_disk_usable: has_disk }
    }

    /// So much is held outside.
    pub(crate) const fn set_beside(&mut self, beside: usize) {
        self.beside = beside;
    }

    pub(crate) const fn beside(&self) -> usize {
        self.beside
    }

    /// What each lane has a claim to: those of one signal to the same, since what several destinations are sent is held once.
    pub(crate) const fn share(&self) -> usize {
        match self.bounds.held_bytes.checked_div(self.signals) {
            Some(share) => share,
            None => self.bounds.held_bytes,
        }
    }

    /// Whether a lane that holds so much keeps within its share.
    pub(crate) const fn is_within_share(&self, held: usize) -> bool {
        held <= self.share()
    }

    /// Whether what takes `held` in memory is more than may be held, even alone.
    pub(crate) const fn is_outsize(&self, held: usize) -> bool {
        held > self.bounds.held_bytes
    }

    /// Whether so much, all together, is more than may be held.
    pub(crate) const fn is_over(&self, held: usize) -> bool {
        held > self.bounds.held_bytes
    }

    /// Whether a lane may have `claimed` bytes on disk where so much is kept there for the others.
    pub(crate) const fn has_disk(&self, claimed: usize, others: usize) -> bool {
        self.is_disk_usable && claimed + others <= self.bounds.spooled_bytes
    }

    /// What is kept for a lane that has `claimed` bytes on disk: those, and half of an even share at least. What is on disk
    /// cannot make room for others, so an ill lane must not take all of it.
    pub(crate) fn kept_on_disk(&self, claimed: usize) -> usize {
        claimed.max(self.bounds.spooled_bytes / (2 * self.lanes.max(1)))
    }

    /// The largest batch.
    pub(crate) const fn batch_bytes(&self) -> usize {
        self.bounds.batch_bytes
    }

    /// The disk takes writes, as far as anyone knows: somebody else may have filled it, and made room again.
    pub(crate) const fn set_disk(&mut self, is_usable: bool) {
        self.is_disk_usable = is_usable;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn room(lanes: usize) -> Room {
        let usual = Config::default().bounds;
        let bounds = Bounds { held_bytes: 9_000, spooled_bytes: 600, batch_bytes: 5, ..usual };
        Room::new(bounds, lanes, lanes, true)
    }

    #[test]
    fn memory_is_parted_evenly_and_all_of_it_may_be_held() {
        assert_eq!([0, 1, 3].map(|lanes| room(lanes).share()), [9_000, 9_000, 3_000]);
        assert_eq!([2_999, 3_000, 3_001].map(|held| room(3).is_within_share(held)), [true, true, false]);
        for (held, is_over) in [(0, false), (8_999, false), (9_000, false), (9_001, true), (90_000, true)] {
            assert_eq!((room(3).is_over(held), room(3).is_outsize(held)), (is_over, is_over), "{held}");
        }
        assert_eq!(room(3).batch_bytes(), 5);
    }

    #[test]
    fn what_is_held_beside_the_lanes_is_remembered() {
        let mut room = room(3);
        assert_eq!(room.beside(), 0);
        room.set_beside(7);
        assert_eq!(room.beside(), 7);
    }

    #[test]
    fn a_lane_has_the_disk_but_for_what_is_kept_for_others_while_it_takes_writes() {
        let mut room = room(3);
        for (claimed, others, fits) in [(600, 0, true), (601, 0, false), (100, 500, true), (101, 500, false)]
        {
            assert_eq!(room.has_disk(claimed, others), fits, "{claimed} beside {others}");
        }
        for is_usable in [false, true] {
            room.set_disk(is_usable);
            assert_eq!(room.has_disk(1, 1), is_usable);
        }
    }

    #[test]
    fn half_of_an_even_share_of_the_disk_is_kept_for_each_lane() {
        for (lanes, claimed, kept) in [(3, 0, 100), (3, 99, 100), (3, 250, 250), (1, 0, 300), (0, 0, 300)] {
            assert_eq!(room(lanes).kept_on_disk(claimed), kept, "{claimed} of one of {lanes} lanes");
        }
    }
}

//! A second destination beside the first: a backend of its own for each signal, with faults of its own. What is checked of the lanes
//! to the first is checked of those to the second by the same code, which looks at one of them at a time.

use std::collections::BTreeSet;

use policy::{Counts, Destinations, Further, LaneId, RequestLimit, Rng, Signal, Takes};

use super::super::faults::Faults;
use super::World;
use super::delivery::Deliveries;
use super::lane::Lanes;
use super::network::HOLDER;
use super::others::Others;

/// One seed of so many is a world with a second destination.
const EVERY: u64 = 5;

/// What is known of the destination that is not looked at.
#[derive(Debug)]
pub(super) struct View {
    /// How its backends are; `None` where there is no second destination.
    others: Others,
    deliveries: Deliveries,
    lanes: Lanes,
    down: [bool; Signal::ALL.len()],
    back_in: [u64; Signal::ALL.len()],
    before: [([u64; Signal::ALL.len()], u64); 4],
    delivered: BTreeSet<u64>,
    dropped_before: u64,
    sampled_out_before: u64,
}

impl View {
    pub(super) fn new(others: Others) -> Self {
        Self {
            others,
            deliveries: Deliveries::default(),
            lanes: Lanes::default(),
            down: Default::default(),
            back_in: Default::default(),
            before: Default::default(),
            delivered: BTreeSet::new(),
            dropped_before: 0,
            sampled_out_before: 0,
        }
    }

    /// A new process believes nothing of its backends yet.
    pub(super) fn begin_process(&mut self) {
        (self.down, self.back_in, self.before) = Default::default();
    }

    /// Whether a request of its may be waited for to be tried again.
    pub(super) const fn may_retry(&self, now: u64, slack: u64) -> bool {
        self.deliveries.retries_until[HOLDER as usize] + slack >= now
    }

    /// Items that were sent to it again, at the least and at the most.
    pub(super) const fn resent(&self) -> (u64, u64) {
        (self.deliveries.resent, self.deliveries.resent_in_doubt)
    }

    /// Whether a lane of its counts as down that an invocation may be held for.
    pub(super) const fn is_down(&self, signal: Signal) -> bool {
        self.down[signal as usize]
    }
}

impl World {
    /// The same world with a second destination, if the seed has one.
    pub(super) fn with_second(self, seed: u64) -> Self {
        let mut rng = Rng::new(seed ^ 0xde57_0000);
        if rng.below(EVERY) > 0 || seed < 1_000 && seed % 40 == 39 {
            return self;
        }
        let faults =
            std::array::from_fn(|_| Faults { answers_401: rng.below(5) == 0, ..Faults::pick(&mut rng) });
        let is_dead = rng.below(4) == 0;
        let holds = rng.below(2) == 0;
        self.and_second(Others::second(seed, faults, is_dead), holds)
    }

    /// The same with a second destination whose backends are these.
    pub(super) fn and_second(mut self, others: Others, holds: bool) -> Self {
        self.config.destinations = Destinations::ALL;
        self.config.further = vec![Further {
            name: "second".into(),
            signals: Destinations::ALL,
            reaches: Destinations::ALL,
            limits: [RequestLimit::NONE; Signal::ALL.len()],
            holds,
            when: Vec::new(),
            takes: Takes::Kept,
            is_exclusive: false,
        }];
        // What finds no room is checked where one destination has it.
        self.faults.sends_outsize = false;
        self.second = Some(View::new(others));
        let character = self.character.clone();
        self.with(character)
    }

    /// Whether the second destination may hold invocations.
    pub(super) fn second_holds(&self) -> bool {
        self.config.further.iter().any(|to| to.holds)
    }

    /// Whether all backends are down that an invocation may be held for.
    pub(super) fn are_holders_down(&self) -> bool {
        let is_second_well = self.second.as_ref().is_some_and(|second| !second.is_down(HOLDER));
        self.held.is_down() && !(self.second_holds() && is_second_well)
    }

    /// Looks at a destination: what is known of it takes the place of what is known of the other.
    pub(super) fn look_at<T>(&mut self, destination: u8, then: impl FnOnce(&mut Self) -> T) -> T {
        if destination == self.at {
            return then(self);
        }
        self.turn();
        let result = then(self);
        self.turn();
        result
    }

    fn turn(&mut self) {
        self.at = 1 - self.at;
        self.network.look_at(self.at);
        self.disk.look_at(self.at);
        let Some(view) = &mut self.second else { panic!("there is no second destination") };
        std::mem::swap(&mut self.others, &mut view.others);
        std::mem::swap(&mut self.deliveries, &mut view.deliveries);
        std::mem::swap(&mut self.lanes, &mut view.lanes);
        std::mem::swap(&mut self.held.down, &mut view.down);
        std::mem::swap(&mut self.held.back_in, &mut view.back_in);
        std::mem::swap(&mut self.before, &mut view.before);
        std::mem::swap(&mut self.delivered, &mut view.delivered);
        std::mem::swap(&mut self.dropped_before, &mut view.dropped_before);
        std::mem::swap(&mut self.sampled_out_before, &mut view.sampled_out_before);
    }

    /// A process leaves.
    pub(super) fn leave_all(&mut self) {
        self.check_resent();
        self.each_destination(|world| {
            world.leave_deliveries();
            world.leave_lanes();
        });
    }

    /// Does the same for each destination.
    pub(super) fn each_destination(&mut self, then: impl Fn(&mut Self)) {
        then(self);
        if self.second.is_some() {
            self.look_at(1, |world| then(world));
        }
    }

    /// The books of `signal` as they were if it went to this destination alone.
    pub(super) fn books(&self, signal: Signal) -> Counts {
        let mut counts = *self.agent.ledger().of(signal);
        let other = LaneId { signal, destination: 1 - self.at };
        if let Some((books, _)) = self.agent.lane_books(other).filter(|_| self.second.is_some()) {
            counts.recovered -= books.taken - counts.copied;
            counts.delivered -= books.delivered;
            for (count, of_other) in counts.dropped.iter_mut().zip(books.dropped) {
                *count -= of_other;
            }
        }
        counts.copied = 0;
        counts
    }

    /// The items of `signal` that are held for this destination.
    pub(super) fn held_items(&self, signal: Signal) -> u64 {
        let other = LaneId { signal, destination: 1 - self.at };
        let of_other = self.agent.lane_books(other).filter(|_| self.second.is_some());
        self.agent.held_items(signal) - of_other.map_or(0, |(_, held)| held)
    }
}

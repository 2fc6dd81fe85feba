//! Worlds that are made for one defect each: what is seen in them is summed up in the story.

use policy::{FlushMode, InitType, Rng, SpoolMode};

use super::super::faults::Faults;
use super::super::function::MS;
use super::super::function::character::{Character, Entry, Pace};
use super::super::sampling::none;
use super::World;

/// Invocations of a scene before the healthy ones.
const INVOCATIONS: u64 = 20;

impl World {
    /// The subscription is refused, and the function says nothing of itself.
    pub fn refused() -> Self {
        let faults = Faults { refuses_subscription: true, has_no_telemetry: true, ..Faults::default() };
        // It may take 15 minutes, and takes 50 ms.
        let character = Character { pace: Pace::Streaming, entry: Entry::Absent, ..handler(50) };
        Self::scene(faults, FlushMode::End, character)
    }

    /// One connection of several is dead, and nothing tells so.
    pub fn one_dead() -> Self {
        let faults = Faults { sends_much: true, ..Faults::default() };
        let world = Self::scene(faults, FlushMode::End, handler(100));
        Self { dies_in: Some(6), ..world }
    }

    /// A request of the function that never ends, in one invocation of four.
    pub fn half_sent() -> Self {
        Self::scene(Faults { sends_half: true, ..Faults::default() }, FlushMode::End, handler(20))
    }

    /// Handlers that do not tell of their end, and are longer than an answer takes; data leaves beside the next one.
    pub fn brief() -> Self {
        let character = Character { entry: Entry::Absent, ..handler(100) };
        Self::scene(Faults::default(), FlushMode::Continuous, character)
    }

    /// Several spans that name the invocation in each.
    pub fn siblings() -> Self {
        let character = Character { entry: Entry::Siblings, ..handler(200) };
        Self::scene(Faults::default(), FlushMode::End, character)
    }

    fn scene(faults: Faults, flush: FlushMode, character: Character) -> Self {
        let modes = (flush, SpoolMode::Always, InitType::OnDemand, None);
        let world = Self::build(2, Rng::new(2), faults, modes, none(), INVOCATIONS);
        world.with(character)
    }
}

/// A handler that always works for so long.
const fn handler(ms: u64) -> Character {
    Character { fixed: Some(ms * MS), ..Character::PLAIN }
}

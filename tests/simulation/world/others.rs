//! Worlds in which metrics and logs have backends of their own, each with its own faults: they must cost the spans nothing.

use policy::{Destinations, Rng, Signal};

use super::super::faults::Faults;
use super::World;
use super::network::HOLDER;

/// One seed of so many is such a world.
const EVERY: u64 = 4;

/// A backend beside that of the spans.
#[derive(Clone, Debug)]
pub(super) struct Backend {
    pub(super) faults: Faults,
    /// It never becomes well.
    pub(super) is_dead: bool,
    /// Until when it is busy with what it has been sent, if it is narrow.
    busy_until: u64,
}

/// See the module. Without a backend of its own, a signal goes where the spans go.
#[derive(Clone, Debug)]
pub(super) struct Others {
    /// By signal; none of its own for what an invocation may be held for.
    backends: [Option<Backend>; Signal::ALL.len()],
    /// Which signals go anywhere.
    pub(super) destinations: Destinations,
    /// What happens at these backends must not change what happens elsewhere.
    rng: Rng,
}

impl Others {
    /// All signals go to one place, or to backends with the same faults.
    pub(super) fn none(seed: u64) -> Self {
        Self { backends: Default::default(), destinations: Destinations::ALL, rng: Rng::new(seed) }
    }

    /// One to three lanes; what is beside the spans has its own faults, and at times is dead for good.
    pub(super) fn pick(seed: u64) -> Self {
        let mut rng = Rng::new(seed ^ 0x1a5e_0000);
        if rng.below(EVERY) > 0 {
            return Self::none(seed);
        }
        let mut others = Self::ill(seed);
        let has = |rng: &mut Rng| rng.below(4) > 0;
        others.destinations = Destinations { traces: true, metrics: has(&mut rng), logs: has(&mut rng) };
        others
    }

    /// Three lanes, of which two are ill in their own ways.
    pub(super) fn ill(seed: u64) -> Self {
        let mut rng = Rng::new(seed ^ 0x1a5e_0001);
        let mut backend = || {
            let is_dead = rng.below(3) == 0;
            let faults = Faults { answers_401: rng.below(5) == 0, ..Faults::pick(&mut rng) };
            Some(Backend { faults, is_dead, busy_until: 0 })
        };
        let backends = [None, backend(), backend()];
        Self { backends, ..Self::none(seed) }
    }

    /// The spans alone.
    pub(super) fn alone(seed: u64) -> Self {
        let destinations = Destinations { traces: true, metrics: false, logs: false };
        Self { destinations, ..Self::none(seed) }
    }

    /// Whether a signal has a backend of its own.
    pub(super) fn is_any(&self) -> bool {
        self.backends.iter().any(Option::is_some)
    }

    /// The backend of `signal`, if it has its own.
    pub(super) const fn backend(&self, signal: Signal) -> Option<&Backend> {
        self.backends[signal as usize].as_ref()
    }

    pub(super) fn busy_until(&mut self, signal: Signal) -> Option<&mut u64> {
        self.backends[signal as usize].as_mut().map(|backend| &mut backend.busy_until)
    }
}

impl World {
    /// What decides for the backend of `signal`.
    pub(super) fn dice(&mut self, signal: Signal) -> &mut Rng {
        if signal != HOLDER && self.others.is_any() { &mut self.others.rng } else { &mut self.rng }
    }
}

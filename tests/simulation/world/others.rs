//! Worlds in which metrics and logs have backends of their own, each with its own faults: they must cost the spans nothing.

use policy::{Destinations, Rng, Signal};

use super::super::faults::Faults;
use super::World;
use super::network::HOLDER;

/// One seed of so many is such a world.
const EVERY: u64 = 4;
/// One of so many is one whose spans have the ill backend, for good.
const WITHOUT_SPANS_EVERY: u64 = 40;

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
    /// By signal; at most in one world of many one of its own for what an invocation may be held for.
    backends: [Option<Backend>; Signal::ALL.len()],
    /// Which signals go anywhere.
    pub(super) destinations: Destinations,
    /// What happens at these backends must not change what happens elsewhere.
    rng: Rng,
    /// Nor at the other of them, in a world that is compared: by signal.
    apart: Option<[Rng; Signal::ALL.len()]>,
}

impl Others {
    /// All signals go to one place, or to backends with the same faults.
    pub(super) fn none(seed: u64) -> Self {
        let destinations = Destinations::ALL;
        Self { backends: Default::default(), destinations, rng: Rng::new(seed), apart: None }
    }

    /// One to three lanes; what is beside the spans has its own faults, and at times is dead for good.
    pub(super) fn pick(seed: u64) -> Self {
        if seed % WITHOUT_SPANS_EVERY == WITHOUT_SPANS_EVERY / 2 + 3 {
            return Self::without_spans(seed);
        }
        let mut rng = Rng::new(seed ^ 0x1a5e_0000);
        if rng.below(EVERY) > 0 {
            return Self::none(seed);
        }
        let mut others = Self::ill(seed);
        let has = |rng: &mut Rng| rng.below(4) > 0;
        others.destinations = Destinations { traces: true, metrics: has(&mut rng), logs: has(&mut rng) };
        others
    }

    /// Three lanes, of which that of the spans is ill for good, in a way of its own.
    fn without_spans(seed: u64) -> Self {
        let mut rng = Rng::new(seed ^ 0x1a5e_0002);
        let mut on = || rng.below(2) == 0;
        let faults =
            Faults { refuses: on(), hangs: on(), answers_503: on(), answers_401: on(), ..Faults::default() };
        let backend = |faults, is_dead| Some(Backend { faults, is_dead, busy_until: 0 });
        let well = || backend(Faults::default(), false);
        Self { backends: [backend(faults, true), well(), well()], ..Self::none(seed) }
    }

    /// The backends of a second destination.
    pub(super) fn second(seed: u64, faults: [Faults; Signal::ALL.len()], is_dead: bool) -> Self {
        let backends = faults.map(|faults| Some(Backend { faults, is_dead, busy_until: 0 }));
        Self { backends, ..Self::none(seed ^ 0x5ec0_0000) }
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

    /// Beside the spans, whose backend may be ill, and `subject`, which is well where it is not them: lanes that are ill, or none
    /// (`is_alone`).
    pub(super) fn compared(seed: u64, subject: Signal, is_alone: bool) -> Self {
        let mut others = Self::ill(seed);
        if let Some(own) = &mut others.backends[subject as usize] {
            (own.faults, own.is_dead) = (Faults::default(), false);
        }
        let has = |signal| !is_alone || signal == subject;
        others.destinations =
            Destinations { traces: true, metrics: has(Signal::Metrics), logs: has(Signal::Logs) };
        others.apart = Some(Signal::ALL.map(|signal| Rng::new(seed ^ (0xa9a7 << signal as u32))));
        others
    }

    /// Whether a signal has a backend of its own.
    pub(super) fn is_any(&self) -> bool {
        self.backends.iter().any(Option::is_some)
    }

    /// The backend of `signal`, if it has its own.
    pub(super) const fn backend(&self, signal: Signal) -> Option<&Backend> {
        self.backends[signal as usize].as_ref()
    }

    /// Whether answers take the same time each: two worlds that are compared differ in what metrics tell of the lanes, and so in
    /// how many requests they take.
    pub(super) fn is_steady(&self, signal: Signal) -> bool {
        self.apart.is_some() && signal != HOLDER
    }

    pub(super) fn busy_until(&mut self, signal: Signal) -> Option<&mut u64> {
        self.backends[signal as usize].as_mut().map(|backend| &mut backend.busy_until)
    }
}

impl World {
    /// What decides for the backend of `signal`.
    pub(super) fn dice(&mut self, signal: Signal) -> &mut Rng {
        match &mut self.others.apart {
            _ if self.at == 1 => &mut self.others.rng,
            _ if signal == HOLDER || !self.others.backends.iter().any(Option::is_some) => &mut self.rng,
            Some(apart) => &mut apart[signal as usize],
            None => &mut self.others.rng,
        }
    }
}

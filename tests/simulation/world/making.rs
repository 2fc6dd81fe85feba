//! Which worlds there are: one for every seed, and some that are made on purpose.

use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use policy::sampling::Sampling;
use policy::{Agent, Config, Duration, FlushMode, InitType, Measuring, Rng, Signal, SpoolMode};

use super::super::bounds;
use super::super::coverage::Coverage;
use super::super::disk::Disk;
use super::super::faults::Faults;
use super::super::function::MS;
use super::super::function::character::{Character, Entry, Pace, Rhythm};
use super::super::function::spans::Bodies;
use super::super::row::{ROW_INVOCATIONS, Row};
use super::super::sampling;
use super::announced::Announced;
use super::budget::{Costs, Held};
use super::choices::Choices;
use super::delivery::Deliveries;
use super::lane::Lanes;
use super::logged::Logged;
use super::metered::Metered;
use super::network::Network;
use super::others::Others;
use super::roots::Roots;
use super::spooled::Spooled;
use super::truth::Truth;
use super::{HEALTHY, World};

/// One seed of so many is the world of an uneven function: too rare among all others.
const UNEVEN_EVERY: u64 = 40;
/// And of one whose spans are refused until their key is repaired.
const REFUSED_EVERY: u64 = 40;

impl World {
    /// The world that `seed` decides.
    pub fn new(seed: u64) -> Self {
        if seed % UNEVEN_EVERY == UNEVEN_EVERY - 1 {
            return Self::uneven(seed);
        }
        let mut rng = Rng::new(seed);
        let answers_401 = seed % REFUSED_EVERY == REFUSED_EVERY / 2 - 1;
        let faults = Faults { answers_401, ..Faults::pick(&mut rng) };
        let flush = [FlushMode::End, FlushMode::Continuous, FlushMode::Adaptive][rng.below(3) as usize];
        let invocations = 3 + rng.below(60);
        let spool = [SpoolMode::Off, SpoolMode::Outage, SpoolMode::Always][rng.below(3) as usize];
        let init_type = match rng.below(10) {
            0 => InitType::ProvisionedConcurrency,
            1 | 2 => InitType::SnapStart,
            3 | 4 => InitType::ManagedInstances,
            _ => InitType::OnDemand,
        };
        // A stream of its own, so that a world is the same with and without.
        let mut habits = Rng::new(seed ^ 0x0f1a_b175);
        let caps = [None, None, None, Some(0), Some(50), Some(400)];
        let cost_cap = caps[habits.below(6) as usize].map(Duration::from_millis);
        let modes = (flush, spool, init_type, cost_cap);
        let world = Self::build(seed, rng, faults, modes, sampling::pick(seed), invocations);
        let asks_for_flush = habits.below(4) == 0;
        Self { asks_for_flush, ..world.with(Character::pick(seed)) }
            .beside(Others::pick(seed))
            .with_second(seed)
    }

    /// The same world with these beside the backend of the spans.
    fn beside(mut self, others: Others) -> Self {
        if others.is_any() {
            self.faults.is_of_one_signal = false;
            self.network.part();
        }
        self.config.destinations = others.destinations;
        self.agent = Agent::new(self.config.clone());
        self.others = others;
        self
    }

    /// A world whose spans have a backend that may be ill, and whose metrics and logs have their own: `subject`, where it is one of
    /// them, is well, and what is left is ill; or the same without what is left, `is_alone`. Nothing else that happens depends on
    /// what that does.
    pub fn compared(seed: u64, subject: Signal, is_alone: bool) -> Self {
        let mut rng = Rng::new(seed);
        let faults = Faults {
            is_tight: false,
            disk_fails: false,
            is_of_one_signal: false,
            is_killed: false,
            kills_idle: false,
            tells_logs: true,
            ..Faults::pick(&mut rng)
        };
        let flush = [FlushMode::End, FlushMode::Continuous, FlushMode::Adaptive][rng.below(3) as usize];
        let spool = [SpoolMode::Off, SpoolMode::Outage, SpoolMode::Always][rng.below(3) as usize];
        let init_type = [InitType::OnDemand, InitType::ProvisionedConcurrency, InitType::SnapStart]
            [rng.below(3) as usize];
        let cost_cap = [None, Some(400)][rng.below(2) as usize].map(Duration::from_millis);
        let modes = (flush, spool, init_type, cost_cap);
        let invocations = 3 + rng.below(60);
        let world = Self::build(seed, rng, faults, modes, sampling::pick(seed), invocations);
        let character = Character { cpu: (0, 0), ..Character::pick(seed) };
        let mut world = world;
        // Room is shared, up to what each has a claim to: here nothing runs out of it.
        world.config.bounds.spooled_bytes = 1 << 30;
        world.config.bounds.held_bytes = 1 << 30;
        if subject == Signal::Metrics {
            // They tell of the other lanes: how many points there are must not decide how many requests they take.
            (world.config.bounds.batch_bytes, world.config.bounds.batch_items) = (1 << 20, 1 << 16);
        }
        let mut world = world.with(character).beside(Others::compared(seed, subject, is_alone));
        world.network.part();
        world.is_compared = true;
        world
    }

    /// A world that is compared with the same without a second destination, which is ill, and holds no invocation.
    pub fn compared_beside(seed: u64, is_alone: bool) -> Self {
        let mut world = Self::compared(seed, Signal::Traces, true);
        // A lane that is ill, and has another destination beside it, has its data put on disk before each freeze.
        world.faults = Faults { sends_outsize: false, ..world.faults.with_well_backend() };
        if is_alone {
            return world;
        }
        let mut rng = Rng::new(seed ^ 0xde57_0001);
        let faults =
            std::array::from_fn(|_| Faults { answers_401: rng.below(5) == 0, ..Faults::pick(&mut rng) });
        let destinations = world.config.destinations;
        let mut world = world.and_second(Others::second(seed, faults, rng.below(3) == 0), false);
        world.config.destinations = destinations;
        world.config.further[0].reaches = destinations;
        world.config.further[0].signals = destinations;
        let character = world.character.clone();
        world.with(character)
    }

    /// A world in which the function sends much in every other invocation, and the backend takes it slowly.
    pub fn narrow(seed: u64) -> Self {
        let faults = Faults { is_narrow: true, sends_much: true, ..Faults::default() };
        let modes = (FlushMode::End, SpoolMode::Always, InitType::OnDemand, None);
        Self::build(seed, Rng::new(seed), faults, modes, Sampling::default(), 40)
    }

    /// One of the environments that are restored from one snapshot; its function says nothing of its invocations.
    pub fn restored(seed: u64, copy: u64) -> Self {
        let modes = (FlushMode::End, SpoolMode::Always, InitType::SnapStart, None);
        let faults = Faults { never_names_itself: true, ..Faults::default() };
        let world = Self::build(seed, Rng::new(seed), faults, modes, Sampling::default(), 12);
        Self { copy, ..world }
    }

    /// A world without faults, whose function is invoked in bursts and at times waits for half a minute with its spans sent:
    /// where data leaves beside the next invocation, that one may be too late.
    pub fn uneven(seed: u64) -> Self {
        let modes = (FlushMode::Adaptive, SpoolMode::Always, InitType::OnDemand, None);
        let world = Self::build(seed, Rng::new(seed), Faults::default(), modes, Sampling::default(), 60);
        let (pace, rhythm, entry) = (Pace::Uneven, Rhythm::Bursty, Entry::Unnamed);
        world.with(Character { pace, rhythm, entry, ..Character::PLAIN })
    }

    /// The world of one row: every handler, answer and gap takes the same time.
    pub fn scripted(row: &Row) -> Self {
        let modes = (row.mode, SpoolMode::Always, InitType::OnDemand, None);
        let faults = Faults { freezes_machine: row.freezes_machine, ..Faults::default() };
        // With this seed, metrics leave once a minute, as they do by default.
        let world = Self::build(2, Rng::new(2), faults, modes, Sampling::default(), ROW_INVOCATIONS);
        let character = Character { fixed: Some(row.handler_ms * MS), ..Character::PLAIN };
        Self { row: Some(row.clone()), ..world.with(character) }
    }

    /// A world without faults.
    pub fn quiet(seed: u64) -> Self {
        Self::build(
            seed,
            Rng::new(seed),
            Faults::default(),
            (FlushMode::End, SpoolMode::Always, InitType::OnDemand, None),
            Sampling::default(),
            2,
        )
    }

    /// The same world with another character.
    pub(super) fn with(mut self, character: Character) -> Self {
        self.config.expects_spans = character.expects_spans;
        self.character = character;
        self.agent = Agent::new(self.config.clone());
        self
    }

    pub(super) fn build(
        seed: u64,
        rng: Rng,
        faults: Faults,
        modes: (FlushMode, SpoolMode, InitType, Option<Duration>),
        sampling: Sampling,
        invocations_left: u64,
    ) -> Self {
        let (flush, spool, init_type, cost_cap) = modes;
        let bounds = bounds::pick(seed, faults.is_tight);
        let interval = Duration::from_millis([0, 1_000, 60_000][(seed % 3) as usize]);
        let measuring = Measuring { interval, ..Measuring::DEFAULT };
        let usual = Config { flush, cost_cap, bounds, spool, ..Config::default() };
        let config = Config { sampling, seed, init_type, measuring, ..usual };
        let disk = Disk::default();
        let mut paths = Rng::new(seed ^ 0x9a7c);
        let (handshake, is_split) = ((1 + paths.below(40)) * MS, paths.below(3) == 0);
        Self {
            rng,
            faults,
            character: Character::PLAIN,
            now: 0,
            slept: 0,
            stepped: 0,
            events: BinaryHeap::new(),
            pending: BTreeMap::new(),
            sequence: 0,
            agent: Agent::new(config.clone()),
            config,
            invocations_left: invocations_left + HEALTHY,
            invocations: 0,
            last_end: 0,
            healthy_from: invocations_left,
            well_from: u64::MAX,
            is_well_at_last: false,
            is_asked: false,
            asked_at: 0,
            waited: 0,
            runs: false,
            current: 0,
            reported: 0,
            failing: BTreeSet::new(),
            retry: None,
            cancelled_at: 0,
            is_frozen: false,
            frozen_at: 0,
            is_gone: false,
            row: None,
            lag: 0,
            true_held: 0,
            after_next: BTreeSet::new(),
            dies_in: None,
            reset_at: 0,
            buffered: Vec::new(),
            cpu_spent: 0,
            frozen: Vec::new(),
            copy: 1,
            ids: BTreeSet::new(),
            is_planned: false,
            has_thawed: false,
            has_exited: false,
            deadline: 0,
            network: Network::new(handshake, is_split),
            others: Others::none(seed),
            at: 0,
            second: None,
            is_compared: false,
            served: Vec::new(),
            deliveries: Deliveries::default(),
            lanes: Lanes::default(),
            choices: Choices::default(),
            truth: Truth::default(),
            roots: Roots::default(),
            accepted: BTreeMap::new(),
            worth_keeping: BTreeMap::new(),
            delivered: BTreeSet::new(),
            bodies: Bodies { last: 0, disk: disk.clone(), outsize: bounds.held_bytes as u32 + 1_000 },
            disk,
            made: Vec::new(),
            metered: Metered::default(),
            announced: Announced::default(),
            logged: Logged::default(),
            spooled: Spooled::default(),
            clients: 0,
            crashes: 0,
            timeouts: 0,
            dropped_before: 0,
            sampled_out_before: 0,
            kills: 0,
            receiving: 0,
            stalled: 0,
            in_progress: BTreeSet::new(),
            processes: 0,
            process_seed: seed,
            is_reset: false,
            running: None,
            asked_in: None,
            held: Held::default(),
            costs: Costs::default(),
            held_before: Duration::ZERO,
            coverage: Coverage::default(),
            late: 0,
            busy_until: 0,
            cold_starts: BTreeSet::new(),
            before: Default::default(),
            lines: Vec::new(),
            is_aloud: false,
            asks_for_flush: false,
            guarded: Default::default(),
        }
    }
}

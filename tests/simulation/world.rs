//! A virtual platform, function and backend around the real policy, in virtual time.

mod backend;
mod ending;
mod platform;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::fmt::Write;
use std::rc::Rc;
use std::sync::Arc;

use policy::{
    Agent, BatchId, Bounds, Config, Entry, FlushMode, Input, Instant, Invoke, Ledger, Notice, Outcome,
    Output, PlatformEvent, PlatformSpan, Receipt, Rng, ShutdownReason, SpoolMode, UnixNanos,
};

use super::checks;
use super::disk::{Body, Disk};
use super::faults::Faults;
use super::function::{Bodies, MS, Plan};

/// Steps after which a world is stuck: a quiet one takes some hundred.
const STEPS_MAX: u64 = 60_000;
/// Wall time at the origin of the virtual clock.
const EPOCH: u64 = 1_795_334_400_000_000_000;

/// Something that is going to happen.
#[derive(Clone, Debug)]
enum Event {
    Invoke,
    Begin(Receipt<Body>),
    Arrive(Receipt<Body>),
    Ends(Plan),
    Tell(PlatformEvent),
    Answer(BatchId),
    Shutdown(ShutdownReason),
    /// The spool has answered.
    Spool(Input<Body>),
    /// SIGKILL for our process.
    Kill,
}

/// A request that is with the backend.
struct Request {
    entries: Arc<[Entry<Body>]>,
    outcome: Outcome,
}

/// What happened in a world.
pub struct Story {
    lines: Vec<String>,
    /// The books at the end.
    pub ledger: Ledger,
}

impl Story {
    /// All of it, a line for each event and output.
    pub fn text(&self) -> String {
        self.lines.join("\n") + "\n"
    }
}

/// See the module.
pub struct World {
    rng: Rng,
    faults: Faults,
    /// Nanoseconds, with every freeze in them.
    now: u64,
    /// Time that the monotonic clock has slept through.
    slept: u64,
    events: BinaryHeap<Reverse<(u64, u64)>>,
    pending: BTreeMap<u64, Event>,
    sequence: u64,
    agent: Agent<Body>,
    config: Config,
    invocations_left: u64,
    invocations: u64,
    healthy_from: u64,
    is_asked: bool,
    asked_at: u64,
    runs: bool,
    is_frozen: bool,
    /// What would have happened while frozen.
    frozen: Vec<Event>,
    has_exited: bool,
    deadline: u64,
    backend: BTreeMap<BatchId, Request>,
    accepted: BTreeSet<u64>,
    delivered: BTreeSet<u64>,
    roots: BTreeMap<String, u32>,
    bodies: Bodies,
    disk: Disk,
    made: Vec<Rc<PlatformSpan>>,
    /// Dropped by processes that were killed later.
    dropped_before: u64,
    kills: u32,
    running: Option<Invoke>,
    lines: Vec<String>,
    is_aloud: bool,
}

impl World {
    /// The same world, telling its story while it happens: what a failing seed did last is then known.
    pub fn aloud(mut self) -> Self {
        self.is_aloud = true;
        self
    }

    /// The world that `seed` decides.
    pub fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let faults = Faults::pick(&mut rng);
        let flush = [FlushMode::End, FlushMode::Continuous, FlushMode::Adaptive][rng.below(3) as usize];
        let invocations = 3 + rng.below(60);
        let spool = [SpoolMode::Off, SpoolMode::Outage, SpoolMode::Always][rng.below(3) as usize];
        Self::build(seed, rng, faults, (flush, spool), invocations)
    }

    /// A world without faults.
    pub fn quiet(seed: u64) -> Self {
        Self::build(seed, Rng::new(seed), Faults::default(), (FlushMode::End, SpoolMode::Always), 2)
    }

    fn build(
        seed: u64,
        rng: Rng,
        faults: Faults,
        modes: (FlushMode, SpoolMode),
        invocations_left: u64,
    ) -> Self {
        let (flush, spool) = modes;
        let held_bytes = if faults.is_tight { 20_000 } else { 4 << 20 };
        let bounds =
            Bounds { held_bytes, spooled_bytes: 200_000, batch_bytes: 16_000, batch_items: 64, in_flight: 4 };
        let config = Config { flush, bounds, spool, seed, ..Config::default() };
        let disk = Disk::default();
        Self {
            rng,
            faults,
            now: 0,
            slept: 0,
            events: BinaryHeap::new(),
            pending: BTreeMap::new(),
            sequence: 0,
            agent: Agent::new(config.clone()),
            config,
            invocations_left,
            invocations: 0,
            // The last five invocations meet a world in which everything works again.
            healthy_from: invocations_left,
            is_asked: false,
            asked_at: 0,
            runs: false,
            is_frozen: false,
            frozen: Vec::new(),
            has_exited: false,
            deadline: 0,
            backend: BTreeMap::new(),
            accepted: BTreeSet::new(),
            delivered: BTreeSet::new(),
            roots: BTreeMap::new(),
            bodies: Bodies { last: 0, disk: disk.clone() },
            disk,
            made: Vec::new(),
            dropped_before: 0,
            kills: 0,
            running: None,
            lines: Vec::new(),
            is_aloud: false,
        }
        .with_recovery()
    }

    fn with_recovery(mut self) -> Self {
        self.invocations_left += 5;
        self
    }

    fn is_healthy(&self) -> bool {
        self.invocations > self.healthy_from
    }

    /// Lives it to the end.
    pub fn run(mut self) -> Story {
        self.tell_init();
        self.step(Input::Ready);
        let mut steps = 0;
        while !self.has_exited {
            steps += 1;
            assert!(steps < STEPS_MAX, "stuck at {} ms in {:?}", self.now / MS, self.agent.phase());
            self.next_step();
        }
        self.check_end();
        Story { lines: self.lines, ledger: *self.agent.ledger() }
    }

    /// Takes the next event, or the agent's own deadline if that is first.
    fn next_step(&mut self) {
        let event_at = self.events.peek().map(|Reverse((at, _))| *at);
        let due = self.agent.deadline().map(|at| at.as_nanos() + self.slept).filter(|_| !self.is_frozen);
        match (event_at, due) {
            (event, Some(due)) if event.is_none_or(|event| due <= event) => {
                self.now = self.now.max(due);
                self.step(Input::Tick);
                self.freeze_if_idle();
            }
            (Some(_), _) => self.take_event(),
            (None, None) => panic!("nothing will ever happen again in {:?}", self.agent.phase()),
            (None, Some(_)) => unreachable!("the first arm takes it"),
        }
    }

    fn take_event(&mut self) {
        let Some(Reverse((at, sequence))) = self.events.pop() else { return };
        let event = self.pending.remove(&sequence).expect("each event is queued once");
        let thaws = matches!(event, Event::Invoke | Event::Shutdown(_));
        if let Event::Spool(input) = event {
            // The file was written before the freeze, and the answer lies in our own process.
            self.step(input);
            return;
        }
        if self.is_frozen && !thaws {
            // Nothing runs in a frozen sandbox: it happens right after the thaw.
            self.frozen.push(event);
            return;
        }
        if self.is_frozen {
            self.thaw(at);
        }
        self.now = self.now.max(at);
        self.happen(event);
        self.freeze_if_idle();
    }

    fn thaw(&mut self, at: u64) {
        self.is_frozen = false;
        if self.faults.clock_stands_in_freeze {
            self.slept += at.saturating_sub(self.now);
        }
        for event in std::mem::take(&mut self.frozen) {
            let jitter = self.rng.below(5 * MS);
            self.later(at + jitter, event);
        }
    }

    fn freeze_if_idle(&mut self) {
        if self.is_asked && !self.runs && !self.has_exited && !self.is_frozen {
            self.is_frozen = true;
            self.plan_next();
        }
    }

    fn plan_next(&mut self) {
        let gap = match self.rng.below(4) {
            _ if self.faults.freezes_long && self.rng.below(3) == 0 => 3_600_000 * MS,
            0 => 0,
            // An environment is made on demand: its first request waits for it.
            _ if self.invocations == 0 && !self.faults.freezes_long => 30 * MS,
            1 => self.rng.below(50) * MS,
            _ => self.rng.below(20_000) * MS,
        };
        let abrupt = self.faults.shuts_down_abruptly && self.rng.below(30) == 0;
        if self.invocations_left == 0 || abrupt {
            self.later(self.now + gap, Event::Shutdown(ShutdownReason::Spindown));
        } else {
            self.invocations_left -= 1;
            self.later(self.now + gap, Event::Invoke);
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Invoke => self.invoke(),
            Event::Begin(receipt) => {
                self.step(Input::Receiving);
                let stalls = self.faults.stalls_in_sending && self.rng.below(4) == 0;
                let takes = if stalls { 800 * MS } else { MS / 5 };
                self.later(self.now + takes, Event::Arrive(receipt));
            }
            Event::Arrive(receipt) => self.arrive(receipt),
            Event::Ends(plan) => self.end(&plan),
            Event::Tell(event) => self.step(Input::Platform(event)),
            Event::Answer(id) => self.answer(id),
            Event::Shutdown(reason) => self.shut_down(reason),
            Event::Spool(_) => unreachable!("taken before the freeze is looked at"),
            Event::Kill => self.kill(),
        }
    }

    fn later(&mut self, at: u64, event: Event) {
        self.sequence += 1;
        self.events.push(Reverse((at, self.sequence)));
        self.pending.insert(self.sequence, event);
    }

    fn wall(&self) -> UnixNanos {
        UnixNanos(EPOCH + self.now)
    }

    /// Hands `input` over, carries out what is wanted, and checks everything.
    fn step(&mut self, input: Input<Body>) {
        self.agent.handle(Instant::from_nanos(self.now - self.slept), input);
        while let Some(output) = self.agent.poll() {
            assert!(!self.has_exited, "an output after Exit: {output:?}");
            self.carry_out(output);
        }
        // What is in flight cannot be evicted: four batches at the most.
        let bounds = self.config.bounds;
        let batch_max = bounds.batch_bytes + bounds.batch_items * policy::BOOKKEEPING_BYTES;
        let held_max = bounds.held_bytes + bounds.in_flight * batch_max;
        checks::after_step(&self.agent, held_max);
    }

    fn carry_out(&mut self, output: Output<Body>) {
        match output {
            Output::Next => self.ask(),
            Output::Export { id, entries, .. } => self.export(id, entries),
            Output::Cancel(id) => {
                self.say(&format!("cancel {}", id.0));
                self.backend.remove(&id);
            }
            Output::Park { entries, .. } => {
                let fails = self.faults.disk_fails && self.rng.below(3) == 0;
                let place = (!fails).then(|| self.disk.park(&entries));
                self.say(&format!("park {} {place:?}", entries.len()));
                self.later(self.now, Event::Spool(Input::Parked { place }));
            }
            Output::Unpark(place) => {
                let receipt = self.disk.unpark(place, &mut self.made);
                self.say(&format!("unpark {}", receipt.spans.len()));
                self.later(self.now, Event::Spool(Input::Unparked(receipt)));
            }
            Output::Connect => self.say("connect"),
            Output::Reconnect => self.say("reconnect"),
            Output::Say(Notice::Summary(_)) => self.say("summary"),
            Output::Say(notice) => self.say(&format!("{notice:?}")),
            Output::Exit => {
                self.say("exit");
                self.has_exited = true;
            }
        }
    }

    fn ask(&mut self) {
        assert!(!std::mem::replace(&mut self.is_asked, true), "/next was asked twice");
        assert!(
            self.invocations == 0 || self.now <= self.deadline,
            "/next was asked {} ms after the deadline",
            (self.now - self.deadline) / MS
        );
        self.asked_at = self.now;
        self.running = None;
        self.say("next");
        if self.invocations == 0 {
            self.freeze_if_idle();
        }
    }

    fn say(&mut self, text: &str) {
        let mut line = String::new();
        let _ = write!(line, "{:>9.3} ms  {text}", self.now as f64 / MS as f64);
        if self.is_aloud {
            println!("{line}");
        }
        self.lines.push(line);
    }
}

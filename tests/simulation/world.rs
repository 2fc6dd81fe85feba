//! A virtual platform, function and backend around the real policy, in virtual time.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::fmt::Write;
use std::rc::Rc;
use std::sync::Arc;

use policy::{
    Agent, BatchId, Bounds, Config, Content, EndStatus, Ending, Entry, FlushMode, InitPhase, Input, Instant,
    Invoke, Ledger, Notice, Outcome, Output, PlatformEvent, PlatformSpan, Receipt, Rng, Shutdown,
    ShutdownReason, SpoolMode, UnixNanos,
};

use super::checks;
use super::disk::{Body, Disk, MADE};
use super::faults::Faults;
use super::function::{Bodies, Fate, MS, Plan, TIMEOUT, plan};

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

    fn tell_init(&mut self) {
        let at = |ms: u64| UnixNanos(EPOCH - ms * MS);
        let start = PlatformEvent::InitStart {
            at: at(300),
            phase: InitPhase::Init,
            restore: false,
            runtime_version: None,
        };
        let done = PlatformEvent::InitRuntimeDone { at: at(10), restore: false, ending: Ending::SUCCESS };
        self.tell(20 * MS, start);
        self.tell(25 * MS, done);
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

    fn invoke(&mut self) {
        assert!(std::mem::take(&mut self.is_asked), "INVOKE is only given to who asks");
        self.invocations += 1;
        let faults = if self.is_healthy() { Faults::default() } else { self.faults.clone() };
        let plan = plan(self.invocations, &faults, &mut self.rng, &mut self.bodies);
        self.runs = true;
        self.deadline = self.now + TIMEOUT;
        self.roots.insert(plan.request_id.clone(), 0);
        self.say(&format!("INVOKE {} {:?}", plan.request_id, plan.fate));
        for (after, receipt) in &plan.sends {
            self.later(self.now + after, Event::Begin(receipt.clone()));
        }
        let start = PlatformEvent::Start { request_id: plan.request_id.as_str().into(), at: self.wall() };
        self.tell(25 * MS, start);
        let invoke = Invoke {
            request_id: plan.request_id.as_str().into(),
            deadline: Instant::from_nanos(self.deadline - self.slept),
            deadline_at: UnixNanos(EPOCH + self.deadline),
            received_at: self.wall(),
            arn: "arn:aws:lambda:eu-west-1:123456789012:function:f".into(),
            xray: None,
            waited: std::time::Duration::from_nanos(self.now - self.asked_at),
        };
        if faults.is_killed && self.rng.below(6) == 0 {
            let at = self.now + self.rng.below(plan.duration + 1);
            self.later(at, Event::Kill);
        }
        self.later(self.now + plan.duration, Event::Ends(plan));
        self.running = Some(invoke.clone());
        self.step(Input::Invoke(invoke));
    }

    fn arrive(&mut self, receipt: Receipt<Body>) {
        for span in &receipt.spans {
            self.accepted.insert(span.body.id);
            self.disk.accept(span.body.id);
            if let Some(request_id) = span.request_id.as_deref() {
                *self.roots.entry(request_id.to_owned()).or_default() += 1;
            }
        }
        self.step(Input::Received(receipt));
    }

    fn end(&mut self, plan: &Plan) {
        self.runs = false;
        self.say(&format!("ends {}", plan.request_id));
        let (status, class) = match plan.fate {
            Fate::Returns => (EndStatus::Success, None),
            Fate::TimesOut => (EndStatus::Timeout, None),
            Fate::Crashes => (EndStatus::Error, Some("Runtime.ExitError".into())),
        };
        let done = PlatformEvent::RuntimeDone {
            request_id: plan.request_id.as_str().into(),
            at: self.wall(),
            ending: Ending { status, error_type: class },
            duration: Some(std::time::Duration::from_nanos(plan.duration)),
            produced_bytes: None,
        };
        self.tell(25 * MS, done);
        match plan.fate {
            Fate::Returns => {}
            Fate::TimesOut => self.reset(ShutdownReason::Timeout),
            Fate::Crashes => self.reset(ShutdownReason::Failure),
        }
    }

    /// The platform resets the environment: nothing runs after, in this world.
    fn reset(&mut self, reason: ShutdownReason) {
        self.invocations_left = 0;
        let when = if self.is_asked { self.now } else { self.now + 40 * MS };
        self.runs = true;
        self.later(when, Event::Shutdown(reason));
    }

    /// Our process is killed; the platform resets the environment, and a new process starts in it.
    fn kill(&mut self) {
        self.say("killed");
        self.kills += 1;
        self.dropped_before += self.agent.ledger().spans.dropped.iter().sum::<u64>();
        let fresh = Agent::new(self.config.clone());
        let disk = self.disk.clone();
        disk.survive(|| {
            self.agent = fresh;
            self.backend.clear();
            self.events.clear();
            self.pending.clear();
            self.frozen.clear();
        });
        (self.is_asked, self.runs, self.is_frozen) = (false, false, false);
        self.now += 300 * MS;
        self.deadline = self.now + TIMEOUT;
        if self.config.spool == SpoolMode::Always {
            let (invoke, receipt) = (self.running.take(), disk.recovered());
            self.step(Input::Recovered { invoke, receipt });
        }
        for parked in disk.found() {
            self.step(Input::Found(parked));
        }
        self.tell_init();
        self.step(Input::Ready);
    }

    fn shut_down(&mut self, reason: ShutdownReason) {
        if !self.is_asked {
            // SHUTDOWN is given to who asks; the agent is still flushing.
            self.later(self.now + 10 * MS, Event::Shutdown(reason));
            return;
        }
        self.is_asked = false;
        self.say(&format!("SHUTDOWN {reason:?}"));
        let allowed = if self.faults.shuts_down_abruptly { self.rng.below(2_000) * MS } else { 2_000 * MS };
        self.deadline = self.now + allowed;
        self.step(Input::Shutdown(Shutdown {
            reason,
            deadline: Instant::from_nanos(self.deadline - self.slept),
            received_at: self.wall(),
            waited: std::time::Duration::from_nanos(self.now - self.asked_at),
        }));
    }

    fn tell(&mut self, after: u64, event: PlatformEvent) {
        let faults = if self.is_healthy() { Faults::default() } else { self.faults.clone() };
        if self.faults.has_no_telemetry || (faults.loses_telemetry && self.rng.below(4) == 0) {
            return;
        }
        let delay = if faults.delays_telemetry { self.rng.below(2_000) * MS } else { 0 };
        self.later(self.now + after + delay, Event::Tell(event.clone()));
        if faults.doubles_telemetry && self.rng.below(3) == 0 {
            let again = self.rng.below(500) * MS;
            self.later(self.now + after + again, Event::Tell(event));
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
        let held_max = bounds.held_bytes + bounds.in_flight * bounds.batch_bytes;
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

    fn export(&mut self, id: BatchId, entries: Arc<[Entry<Body>]>) {
        assert!(!self.is_asked, "an export begins while /next is asked: it may be frozen at once");
        let count: u32 = entries.iter().map(|entry| entry.count).sum();
        let (outcome, takes) = self.answer_of(&entries);
        self.say(&format!("export {} of {count}: {outcome:?}", id.0));
        self.backend.insert(id, Request { entries, outcome });
        if let Some(takes) = takes {
            self.later(self.now + takes, Event::Answer(id));
        }
    }

    /// What the backend will say, and after how long; never for one that hangs.
    fn answer_of(&mut self, entries: &[Entry<Body>]) -> (Outcome, Option<u64>) {
        let faults = if self.is_healthy() { Faults::default() } else { self.faults.clone() };
        let takes = if faults.is_slow { self.rng.below(3_000) * MS } else { (2 + self.rng.below(20)) * MS };
        let mut on = |is_possible: bool| is_possible && self.rng.below(2) == 0;
        let delivered = (Outcome::Delivered { rejected: 0 }, Some(takes));
        if on(faults.refuses) {
            (Outcome::Retry { after: None }, Some(MS / 10))
        } else if on(faults.hangs) {
            (Outcome::Lost, None)
        } else if on(faults.answers_503) {
            (Outcome::Retry { after: None }, Some(takes))
        } else if on(faults.asks_for_patience) {
            let after = std::time::Duration::from_millis(self.rng.below(60_000));
            (Outcome::Retry { after: Some(after) }, Some(takes))
        } else if on(faults.breaks_connections) {
            (Outcome::Lost, Some(takes / 2))
        } else if on(faults.answers_400) {
            (Outcome::Rejected { status: 400 }, Some(takes))
        } else if faults.answers_413 && entries.len() > 3 {
            (Outcome::TooLarge, Some(takes))
        } else if on(faults.takes_part) {
            (Outcome::Delivered { rejected: 1 }, Some(takes))
        } else {
            delivered
        }
    }

    fn answer(&mut self, id: BatchId) {
        let Some(request) = self.backend.remove(&id) else { return };
        if matches!(request.outcome, Outcome::Delivered { .. }) {
            for entry in request.entries.iter() {
                match &entry.content {
                    Content::Received(body) if body.id >= MADE => {
                        let span = self.made[(body.id - MADE) as usize].clone();
                        self.note_root(&span);
                    }
                    Content::Received(body) => {
                        assert!(self.accepted.contains(&body.id), "a span that nobody sent");
                        self.delivered.insert(body.id);
                    }
                    Content::Made(span) => self.note_root(span),
                }
            }
        }
        self.step(Input::Exported { id, outcome: request.outcome, raw_bytes: 1, sent_bytes: 1 });
    }

    fn note_root(&mut self, span: &PlatformSpan) {
        let invocation = span.attributes.iter().find(|(key, _)| *key == "faas.invocation_id");
        if let Some((_, policy::Value::Text(request_id))) = invocation {
            *self.roots.entry(request_id.to_string()).or_default() += 1;
        }
    }

    fn check_end(&self) {
        let ledger = self.agent.ledger();
        let spans = &ledger.spans;
        let dropped: u64 = self.dropped_before + spans.dropped.iter().sum::<u64>();
        assert!(
            self.kills > 0 || spans.received == self.accepted.len() as u64,
            "accepted and not in the books"
        );
        // At the very end a write may fail without anyone left to hear of it.
        let on_disk = self.disk.parked() + self.being_read().len() as u64;
        let unheard = if self.faults.disk_fails { spans.held() } else { on_disk };
        assert_eq!(spans.held(), unheard, "held after the end, and not on disk: {spans:?}");
        self.check_losses(dropped);
        let is_calm = self.is_healthy() && !self.faults.asks_for_patience && !self.faults.shuts_down_abruptly;
        if is_calm {
            let left = spans.dropped_for(policy::DropReason::Shutdown) + spans.held();
            assert_eq!(
                left, 0,
                "the backend has been well for five invocations, and data was left: {spans:?}"
            );
        }
        if dropped == 0 && spans.held() == 0 && self.kills == 0 {
            for (request_id, roots) in &self.roots {
                assert!(*roots >= 1, "{request_id} has no root");
            }
        }
    }

    /// Spans of a record that was being read when the end came: it stays on disk.
    fn being_read(&self) -> Vec<u64> {
        let read = self.pending.values().filter_map(|event| match event {
            Event::Spool(Input::Unparked(receipt)) => Some(receipt.spans.iter().map(|span| span.body.id)),
            _ => None,
        });
        read.flatten().collect()
    }

    /// Everything accepted was delivered, is on disk, or was dropped and counted; across kills only where
    /// everything accepted is on record.
    fn check_losses(&self, dropped: u64) {
        if self.faults.disk_fails || (self.kills > 0 && self.config.spool != SpoolMode::Always) {
            return;
        }
        let being_read = self.being_read();
        let is_on_disk = |id: &u64| self.disk.has_parked(*id) || being_read.contains(id);
        let is_lost = |id: &&u64| !self.delivered.contains(id) && !is_on_disk(id);
        let lost = self.accepted.iter().filter(is_lost).count() as u64;
        assert!(lost <= dropped, "{lost} lost, {dropped} counted: {:?}", self.agent.ledger().spans);
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

//! A virtual platform, function and backend around the real policy, in virtual time.

mod announced;
mod backend;
mod budget;
mod ending;
mod logged;
mod making;
mod metered;
mod platform;
mod spooled;
mod start;
mod telling;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::fmt::Write;
use std::rc::Rc;
use std::sync::Arc;

use policy::{
    Agent, BatchId, Config, Entry, FlushMode, Guarded, InitType, Input, Instant, Invoke, Ledger, Notice,
    Outcome, Output, Parcel, PlatformEvent, PlatformSpan, Receipt, RequestId, Rng, ShutdownReason, SpoolMode,
    TraceId, UnixNanos,
};

use super::checks;
use super::coverage::Coverage;
use super::disk::{Body, Disk};
use super::faults::Faults;
use super::function::{Bodies, Deed, MS, Plan};
use announced::Announced;
use backend::Origin;
use budget::{Before, Costs, Held};
use logged::{Logged, Place};
use metered::Metered;
use spooled::Spooled;

/// Steps after which a world is stuck: a quiet one takes some hundred.
const STEPS_MAX: u64 = 120_000;
/// The last invocations of every world meet one in which everything works again.
const HEALTHY: u64 = 8;
/// Between the last fault and the first of those: longer than any pause between probes, or that a backend asks for here.
const RESPITE: u64 = 61_000 * MS;
/// On Managed Instances: from the last invocation to SHUTDOWN, longer than the platform is waited for to say how it ended.
const MANAGED_END: u64 = 22_000 * MS;
/// Wall time at the origin of the virtual clock.
const EPOCH: u64 = 1_795_334_400_000_000_000;

/// Something that is going to happen.
#[derive(Clone, Debug)]
enum Event {
    Invoke,
    /// Our process is scheduled at last, and reads INVOKE.
    Hear(String),
    /// The function does something, in its invocation of this number.
    Does(u64, Deed),
    Arrive(Receipt<Body>),
    /// The platform tells what the function logged in its invocation.
    Logs(Option<RequestId>, Parcel<Body>),
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
    launched: u64,
    /// Waits for `/next` that it has been through.
    waits: u32,
}

/// What happened in a world.
pub struct Story {
    lines: Vec<String>,
    /// The books of the last process.
    pub ledger: Ledger,
    /// What has happened, how often.
    pub coverage: Coverage,
    /// Flushes that ended with a request under way that they had begun.
    pub late: u64,
    /// Ids of spans that policy made, and the backend has.
    pub ids: BTreeSet<[u8; 8]>,
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
    /// By how much the wall clock has been stepped, in nanoseconds.
    stepped: i64,
    events: BinaryHeap<Reverse<(u64, u64)>>,
    pending: BTreeMap<u64, Event>,
    sequence: u64,
    agent: Agent<Body>,
    config: Config,
    invocations_left: u64,
    invocations: u64,
    /// The faults end with this invocation, or at this time.
    healthy_from: u64,
    well_from: u64,
    /// The faults have ended with this process's SHUTDOWN.
    is_well_at_last: bool,
    is_asked: bool,
    asked_at: u64,
    runs: bool,
    /// Traces of invocations that fail.
    failing: BTreeMap<TraceId, String>,
    /// When a request was last given up on.
    cancelled_at: u64,
    is_frozen: bool,
    /// What would have happened while frozen.
    frozen: Vec<Event>,
    /// Which copy of its snapshot this environment is.
    copy: u64,
    /// Ids of the spans that were made here.
    ids: BTreeSet<[u8; 8]>,
    /// Whether what ends the wait for `/next` has been decided on.
    is_planned: bool,
    /// Whether a frozen environment of this process has ever been thawed.
    has_thawed: bool,
    has_exited: bool,
    deadline: u64,
    backend: BTreeMap<BatchId, Request>,
    accepted: BTreeSet<u64>,
    /// Of those: failures, parts of invocations that failed, and what probability alone keeps; with the reason.
    worth_keeping: BTreeMap<u64, String>,
    delivered: BTreeSet<u64>,
    /// Spans that the backend has.
    sent: BTreeMap<Place, Origin>,
    roots: BTreeMap<String, u32>,
    bodies: Bodies,
    disk: Disk,
    made: Vec<Rc<PlatformSpan>>,
    metered: Metered,
    announced: Announced,
    logged: Logged,
    spooled: Spooled,
    /// CLIENT spans that were accepted.
    clients: u64,
    crashes: u64,
    timeouts: u64,
    /// Dropped by processes that were killed later.
    dropped_before: u64,
    /// Left out by their sampling.
    sampled_out_before: u64,
    kills: u32,
    /// Requests of the function that are being received.
    receiving: u32,
    /// Invocations that have begun and not ended.
    in_progress: BTreeSet<String>,
    /// Processes of ours so far.
    processes: u32,
    /// After this SHUTDOWN, the platform starts everything anew in the same environment.
    is_reset: bool,
    running: Option<Invoke>,
    held: Held,
    costs: Costs,
    coverage: Coverage,
    late: u64,
    /// Until when a narrow backend is busy with what it has been sent.
    busy_until: u64,
    /// Spans of cold starts that the backend has, by id.
    cold_starts: BTreeSet<[u8; 8]>,
    /// Invocations whose ends may be known before they begin.
    ends_told: BTreeSet<String>,
    /// When the last three invocations of this process began: what had come into its books, and the last span accepted.
    before: [(u64, u64); 3],
    lines: Vec<String>,
    is_aloud: bool,
    /// Whether its function says when it is done.
    asks_for_flush: bool,
    /// What was hidden by now, as this process was told, and as all before it were.
    guarded: [Guarded; 2],
}

impl World {
    /// The same world, telling its story while it happens: what a failing seed did last is then known.
    pub fn aloud(mut self) -> Self {
        self.is_aloud = true;
        self
    }

    fn is_healthy(&self) -> bool {
        self.invocations > self.healthy_from || self.now > self.well_from || self.is_well_at_last
    }

    /// The faults that are there now.
    fn faults_now(&self) -> Faults {
        if self.is_healthy() { Faults::default() } else { self.faults.clone() }
    }

    /// Lives it to the end.
    pub fn run(mut self) -> Story {
        self.note_kind();
        if self.is_aloud {
            println!("{:?}\n{:?}\n{:?}", self.faults, self.config.bounds, self.config.sampling);
        }
        self.start();
        let mut steps = 0;
        while !self.has_exited {
            steps += 1;
            assert!(steps < STEPS_MAX, "stuck at {} ms in {:?}", self.now / MS, self.agent.phase());
            self.next_step();
            if self.has_exited && self.is_reset && self.invocations_left > 0 {
                self.restart();
                self.freeze_if_idle();
            }
        }
        self.check_end();
        self.check_metrics();
        self.check_announced();
        self.check_logs();
        self.coverage.add("invocation", self.invocations);
        let (lines, ledger, coverage) = (self.lines, *self.agent.ledger(), self.coverage);
        Story { lines, ledger, coverage, late: self.late, ids: self.ids }
    }

    /// What this world is, and what it can suffer.
    fn note_kind(&mut self) {
        self.coverage.note(match self.config.init_type {
            InitType::OnDemand => "environment on demand",
            InitType::ProvisionedConcurrency => "environment provisioned",
            InitType::SnapStart => "environment from a snapshot",
            InitType::ManagedInstances => "environment managed",
        });
        self.coverage.note(match self.config.flush {
            FlushMode::End => "mode end",
            FlushMode::Continuous => "mode continuous",
            FlushMode::Adaptive => "mode adaptive",
        });
        self.coverage.note(match self.config.spool {
            SpoolMode::Off => "spool off",
            SpoolMode::Outage => "spool outage",
            SpoolMode::Always => "spool always",
        });
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
        let is_restore = self.config.init_type == InitType::SnapStart && !self.has_thawed;
        self.has_thawed = true;
        if is_restore {
            // The clock of a snapshot is that of another machine: it may be behind what was read before.
            self.slept = at - self.rng.below(self.monotonic() + 1);
            self.coverage.note("clock set back");
            self.now = at;
            // What no other copy of this snapshot is given.
            self.step(Input::Restored { seed: self.config.seed ^ (self.copy << 32) });
            self.tell_restore();
        } else if self.faults.clock_stands_in_freeze {
            self.slept += at.saturating_sub(self.now);
            self.coverage.note("clock stood in a freeze");
        }
        for event in std::mem::take(&mut self.frozen) {
            let jitter = self.rng.below(5 * MS);
            self.later(at + jitter, event);
        }
    }

    fn freeze_if_idle(&mut self) {
        let is_idle = self.is_asked && !self.runs && !self.has_exited;
        if !is_idle || self.is_frozen || self.is_planned {
            return;
        }
        if self.config.is_managed() {
            return self.plan_next();
        }
        if self.faults.never_freezes && self.config.init_type != InitType::SnapStart {
            self.coverage.note("idle without a freeze");
        } else {
            self.is_frozen = true;
        }
        self.plan_next();
    }

    fn plan_next(&mut self) {
        self.is_planned = true;
        let gap = self.gap();
        let abrupt = self.faults.shuts_down_abruptly && self.rng.below(30) == 0;
        if self.invocations_left == 0 || abrupt {
            let rest = if self.config.is_managed() { MANAGED_END } else { 0 };
            self.later(self.now + gap + rest, Event::Shutdown(ShutdownReason::Spindown));
        } else {
            self.invocations_left -= 1;
            self.later(self.now + gap, Event::Invoke);
        }
    }

    /// From the end of an invocation to the next one.
    fn gap(&mut self) -> u64 {
        let is_first = self.held.is_new;
        let gap = match self.rng.below(4) {
            // Many at once, and at times a pause.
            0 if self.config.is_managed() => self.rng.below(5_000) * MS,
            _ if self.config.is_managed() => self.rng.below(200) * MS,
            _ if self.faults.freezes_long && self.rng.below(3) == 0 => {
                self.coverage.note("frozen for an hour");
                3_600_000 * MS
            }
            // Made ahead of requests, or a snapshot that is restored some day.
            _ if is_first && self.config.init_type != InitType::OnDemand => self.rng.below(3_600_000) * MS,
            0 => {
                self.coverage.note("two INVOKEs back to back");
                0
            }
            // An environment is made on demand: its first request waits for it.
            _ if is_first && !self.faults.freezes_long => 30 * MS,
            1 => self.rng.below(50) * MS,
            _ => self.rng.below(20_000) * MS,
        };
        if self.invocations != self.healthy_from {
            return gap;
        }
        if self.config.is_managed() {
            // Nothing freezes there: what is sent during the respite must not meet a fault.
            self.well_from = self.now;
        }
        gap.max(RESPITE)
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Invoke => self.invoke(),
            Event::Hear(request_id) => self.hear_invoke(&request_id),
            Event::Does(number, deed) => self.does(number, deed),
            Event::Logs(request_id, parcel) => self.hear_logs(request_id, parcel),
            Event::Arrive(receipt) => self.arrive(receipt),
            Event::Ends(plan) => self.end(&plan),
            Event::Tell(event) => {
                if let PlatformEvent::RuntimeDone { request_id, .. } = &event {
                    self.note_end_told(request_id);
                }
                self.step(Input::Platform(event));
            }
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

    /// What the clock of the environment shows.
    fn monotonic(&self) -> u64 {
        self.now - self.slept
    }

    fn wall(&self) -> UnixNanos {
        UnixNanos((EPOCH + self.now).wrapping_add_signed(self.stepped))
    }

    /// Hands `input` over, carries out what is wanted, and checks everything.
    fn step(&mut self, input: Input<Body>) {
        if self.is_aloud {
            println!("{:>9.3} ms  <- {}", self.now as f64 / MS as f64, telling::brief(&input));
        }
        let full_before = self.given_up();
        let before = Before::of(&self.agent, &input);
        let books_before = self.agent.ledger().spans;
        self.note_spool_input(&input);
        self.agent.handle(Instant::from_nanos(self.monotonic()), input);
        while let Some(output) = self.agent.poll() {
            assert!(!self.has_exited, "an output after Exit: {output:?}");
            self.carry_out(output);
        }
        if self.is_aloud && self.agent.ledger().spans != books_before {
            println!(
                "{:>9.3} ms     {}",
                self.now as f64 / MS as f64,
                telling::told(&self.agent.ledger().spans)
            );
        }
        self.check_held_bytes();
        checks::after_step(&self.agent, self.config.is_managed());
        self.check_requests();
        if self.given_up() > full_before {
            self.check_full(&before);
        }
    }

    fn carry_out(&mut self, output: Output<Body>) {
        match output {
            Output::Next => self.ask(),
            Output::Export { id, entries, .. } => self.export(id, entries),
            Output::Cancel(id) => {
                self.cancelled_at = self.now;
                self.say(&format!("cancel {}", id.0));
                self.backend.remove(&id);
            }
            Output::Park { entries, .. } => {
                let fails = self.faults_now().disk_fails && self.rng.below(3) == 0;
                self.note_parked();
                self.coverage.note(if fails { "disk fails" } else { "parked" });
                let place = (!fails).then(|| self.disk.park(&entries));
                self.say(&format!("park {} {place:?}", entries.len()));
                let bound = self.config.bounds.spooled_bytes;
                // What is read back may be larger than what was written was taken to be.
                let most = bound + bound * 2 / 5;
                assert!(self.disk.parked_bytes() <= most, "{} on disk", self.disk.parked_bytes());
                self.later(self.now, Event::Spool(Input::Parked { place }));
            }
            Output::Unpark(place) => {
                self.check_unpark();
                let mut receipt = self.disk.unpark(place, &mut self.made);
                let is_lost = self.faults_now().disk_fails && self.rng.below(10) == 0;
                self.coverage.note(if is_lost { "spool unreadable" } else { "unparked" });
                if is_lost {
                    receipt = Receipt::EMPTY;
                }
                self.say(&format!("unpark {}", receipt.spans.len() + receipt.parcels.len()));
                self.later(self.now, Event::Spool(Input::Unparked(receipt)));
            }
            Output::Connect => self.say("connect"),
            Output::Measured(_) => unreachable!("lines are off"),
            Output::Reconnect => {
                self.coverage.note("reconnect");
                self.say("reconnect");
            }
            Output::Say(notice) => self.hear(&notice),
            Output::Close => self.later(self.now, Event::Spool(Input::Closed)),
            Output::Exit => {
                self.say("exit");
                self.has_exited = true;
                let asked = self.pending.values().filter(|event| matches!(event, Event::Spool(_))).count();
                assert_eq!(asked, 0, "the disk was asked, and nobody waits for what it says");
                self.check_left();
            }
        }
    }

    fn hear(&mut self, notice: &Notice) {
        match notice {
            Notice::Summary(_) => return self.say("summary"),
            Notice::BackendDown => {
                self.held.is_down = true;
                self.coverage.note("breaker opened");
            }
            Notice::BackendBack => {
                (self.held.is_down, self.held.was_down) = (false, false);
                self.coverage.note("breaker closed again");
            }
            _ => {}
        }
        self.say(&format!("{notice:?}"));
    }

    fn ask(&mut self) {
        assert!(!std::mem::replace(&mut self.is_asked, true), "/next was asked twice");
        self.check_held();
        self.check_kept();
        self.asked_at = self.now;
        self.is_planned = false;
        self.running = None;
        self.say("next");
        self.freeze_if_idle();
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

//! A virtual platform, function and backend around the real policy, in virtual time.

mod announced;
mod backend;
mod beside;
mod budget;
mod choices;
mod delivery;
mod ending;
mod invoking;
mod lane;
mod logged;
mod making;
mod metered;
mod network;
mod others;
mod outputs;
mod platform;
mod room;
mod roots;
mod scenes;
mod spooled;
mod start;
mod steps;
mod telling;
mod truth;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::fmt::Write;
use std::rc::Rc;

use policy::{
    Agent, Config, FlushMode, Guarded, InitType, Input, Instant, Invoke, Ledger, Parcel, PlatformEvent,
    PlatformSpan, Receipt, RequestId, Rng, ShutdownReason, Signal, SpoolMode, UnixNanos,
};

use super::checks;
use super::coverage::Coverage;
use super::disk::{Body, Disk};
use super::faults::Faults;
use super::function::character::Character;
use super::function::spans::Bodies;
use super::function::{Deed, MS, Plan};
use super::row::Row;
use announced::Announced;
use beside::View;
use budget::{Costs, Held};
use choices::Choices;
use delivery::Deliveries;
use lane::Lanes;
use logged::Logged;
use metered::Metered;
use network::Network;
use others::Others;
use roots::Roots;
use spooled::Spooled;
use truth::Truth;

pub(crate) use network::Reply;

/// Steps after which a world is stuck: a quiet one takes some hundred.
const STEPS_MAX: u64 = 200_000;
/// The last invocations of every world meet one in which everything works again.
const HEALTHY: u64 = 8;
/// Between the last fault and the first of those: longer than any pause between probes, or that a backend asks for here.
const RESPITE: u64 = 61_000 * MS;
/// On Managed Instances: from the last invocation to SHUTDOWN, longer than the platform is waited for to say how it ended, and an SDK for its timer.
const MANAGED_END: u64 = 28_000 * MS;
/// Wall time at the origin of the virtual clock.
const EPOCH: u64 = 1_795_334_400_000_000_000;

/// Something that is going to happen.
#[derive(Clone, Debug)]
enum Event {
    Invoke,
    /// Our process is scheduled at last, and reads INVOKE of the invocation of this number.
    Hear(u64),
    /// The function does something, in its invocation of this number.
    Does(u64, Deed),
    Arrive(Receipt<Body>),
    /// The timer of the function's SDK fires.
    SdkTimer,
    /// The platform tells what the function logged in its invocation.
    Logs(Option<RequestId>, Parcel<Body>),
    Ends(Plan),
    /// The platform tells of the invocation of this number, or of init.
    Tell(u64, PlatformEvent),
    /// A request arrives at its backend.
    Reach(u64),
    /// Its answer arrives here, or the end of its connection.
    Answer(u64),
    Shutdown(ShutdownReason),
    /// The spool has answered.
    Spool(Input<Body>),
    /// SIGKILL for our process.
    Kill,
    /// The host is lost, with everything on it.
    Vanish,
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
    /// The most often that one span was delivered.
    pub copies: u32,
    /// After how many healthy invocations a span was acknowledged at the latest.
    pub lag: u64,
    /// Nanoseconds from the ends of invocations to `/next`, all together.
    pub held: u64,
    /// Invocations that sent spans after `/next` had been asked.
    pub after_next: usize,
    /// What was served before each `/next`, until the first SHUTDOWN: how long that takes is nobody's wait.
    pub served: Vec<Served>,
}

/// How things stood when `/next` was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Served {
    /// Nanoseconds.
    pub at: u64,
    /// What the backend of each signal had: spans, of the function and made; invocations and calls that were counted; log records.
    pub items: [u64; Signal::ALL.len()],
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
    character: Character,
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
    /// When the last of them to end does.
    last_end: u64,
    /// The faults end with this invocation, or at this time.
    healthy_from: u64,
    well_from: u64,
    /// The faults have ended with this process's SHUTDOWN.
    is_well_at_last: bool,
    is_asked: bool,
    asked_at: u64,
    /// Time of all waits for `/next` so far.
    waited: u64,
    runs: bool,
    /// The invocation that runs, on demand, and those that fail.
    current: u64,
    /// Of the last report.
    reported: u64,
    failing: BTreeSet<u64>,
    /// The request id of an invocation that is going to be retried.
    retry: Option<RequestId>,
    /// When a request was last given up on.
    cancelled_at: u64,
    is_frozen: bool,
    frozen_at: u64,
    /// The host is lost.
    is_gone: bool,
    /// What a scripted world does, and after how many healthy invocations a span was acknowledged at the latest.
    row: Option<Row>,
    lag: u64,
    /// From the ends of invocations to `/next`, all together; those that sent spans after it; and in which one a connection dies.
    true_held: u64,
    after_next: BTreeSet<u64>,
    dies_in: Option<u64>,
    /// When the platform began to reset the environment.
    reset_at: u64,
    /// Spans that the function's SDK holds, and whether its timer runs.
    buffered: Vec<policy::Span<Body>>,
    /// Our own CPU time so far.
    cpu_spent: u64,
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
    network: Network,
    others: Others,
    /// Which destination is looked at, and what is known of the other, if there is a second one.
    at: u8,
    second: Option<View>,
    /// Whether this world is compared with another: what happens to one request must not shift what happens to others.
    is_compared: bool,
    /// What was served before each `/next`.
    served: Vec<Served>,
    deliveries: Deliveries,
    lanes: Lanes,
    choices: Choices,
    truth: Truth,
    /// Roots at the backend.
    roots: Roots,
    /// Spans that were accepted, and when.
    accepted: BTreeMap<u64, u64>,
    /// Of those: failures, parts of invocations that failed, and what probability alone keeps; with the reason.
    worth_keeping: BTreeMap<u64, String>,
    delivered: BTreeSet<u64>,
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
    /// Requests of the function that are being received, and those of them that were waited for in vain.
    receiving: u32,
    stalled: u32,
    /// Invocations that have begun and not ended.
    in_progress: BTreeSet<u64>,
    /// Processes of ours so far, and the seed of this one.
    processes: u32,
    process_seed: u64,
    /// After this SHUTDOWN, the platform starts everything anew in the same environment.
    is_reset: bool,
    running: Option<Invoke>,
    /// The one that was on record when `/next` was asked.
    asked_in: Option<Invoke>,
    held: Held,
    costs: Costs,
    /// By the books, before this step.
    held_before: policy::Duration,
    coverage: Coverage,
    late: u64,
    /// Until when a narrow backend is busy with what it has been sent.
    busy_until: u64,
    /// Spans of cold starts that the backend has, by id.
    cold_starts: BTreeSet<[u8; 8]>,
    /// When the last four invocations of this process began: what had come into its books, and the time.
    before: [([u64; Signal::ALL.len()], u64); 4],
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
            println!("{:?}\n{:?}", self.faults, self.character);
            println!("{:?}\n{:?}", self.config.bounds, self.config.sampling);
            println!("{:?} {:?} {:?}", self.config.flush, self.config.spool, self.config.cost_cap);
        }
        self.start();
        let mut steps = 0;
        while !self.has_exited && !self.is_gone {
            steps += 1;
            assert!(steps < STEPS_MAX, "stuck at {} ms in {:?}", self.now / MS, self.agent.phase());
            self.next_step();
            if self.has_exited && self.is_reset && self.invocations_left > 0 {
                self.restart();
                self.freeze_if_idle();
            }
        }
        if !self.is_gone {
            self.check_end();
            self.check_metrics();
            self.check_announced();
            self.check_logs();
            self.leave_all();
        }
        self.coverage.add("invocation", self.invocations);
        let (copies, ledger) = (self.copies(), *self.agent.ledger());
        let (held, after_next) = (self.true_held, self.after_next.len());
        let Self { lines, coverage, late, ids, lag, served, .. } = self;
        Story { lines, ledger, coverage, late, ids, copies, lag, held, after_next, served }
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

    fn later(&mut self, at: u64, event: Event) {
        self.sequence += 1;
        self.events.push(Reverse((at, self.sequence)));
        self.pending.insert(self.sequence, event);
    }

    /// Our own work takes CPU time.
    const fn spend(&mut self, nanos: u64) {
        self.now += nanos;
        self.cpu_spent += nanos;
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
        let before = self.before_step(&input);
        let books_before = self.agent.ledger().spans;
        self.held_before = self.agent.ledger().held;
        self.note_spool_input(&input);
        self.note_choice_before(&input);
        self.each_destination(|world| world.begin_lanes(&input));
        let is_invoke = matches!(input, Input::Invoke(_));
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
        self.spend(self.character.cpu.0);
        self.check_held_bytes();
        checks::after_step(&self.agent, self.config.is_managed());
        self.each_destination(|world| world.check_lanes(is_invoke));
        self.check_requests();
        self.check_reason_to_hold();
        self.note_regarded_as_over();
        self.check_value();
        if self.given_up() > full_before {
            self.check_full(&before);
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

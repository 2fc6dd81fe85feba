//! How our processes come and go in one environment: init, restore, kill, reset, and what the spool hands on.

use policy::{
    Agent, Config, EndStatus, Ending, InitPhase, InitType, Input, PlatformEvent, Receipt, ShutdownReason,
    Signal, SpoolMode, Subscription, UnixNanos,
};

use super::super::function::spans::of_init;
use super::super::function::{MS, TIMEOUT};
use super::beside::View;
use super::budget::Costs;
use super::choices::Choices;
use super::invoking::INIT_AGAIN;
use super::spooled::Spooled;
use super::{Event, Held, World};

/// How long a process takes from its start to the first `/next`, and the platform to start another.
const START: u64 = 300 * MS;

impl World {
    /// Our process asks for its first event.
    pub(super) fn start(&mut self) {
        self.processes += 1;
        self.held = Held::of_a_new_process();
        self.before = Default::default();
        self.second.iter_mut().for_each(View::begin_process);
        self.tell_init();
        if self.faults.refuses_subscription {
            self.coverage.note("subscription refused");
            self.step(Input::Subscribed(Subscription::Refused));
        } else {
            self.step(Input::Subscribed(Subscription::Accepted));
        }
        self.send_init();
        self.step(Input::Ready);
    }

    /// The function's module initialisation sends spans before the first INVOKE.
    fn send_init(&mut self) {
        if !self.character.sends_at_init {
            return;
        }
        self.coverage.note("spans of init");
        let (process, wall) = (u64::from(self.processes), self.wall());
        let receipt = of_init(process, wall, &mut self.bodies, &mut self.rng);
        self.receiving += 1;
        self.step(Input::Receiving);
        self.arrive(receipt);
    }

    fn tell_init(&mut self) {
        let has_failed = self.faults_now().fails_init && self.config.init_type == InitType::OnDemand;
        let status = if has_failed { EndStatus::Error } else { EndStatus::Success };
        let (begun, ended) = (UnixNanos(self.wall().0 - 300 * MS), UnixNanos(self.wall().0 - 10 * MS));
        self.tell_of_init(20 * MS, InitPhase::Init, false, (begun, ended), status);
    }

    /// Init has failed, and runs again inside the first invocation.
    pub(super) fn tell_init_again(&mut self) {
        if self.config.init_type != InitType::OnDemand {
            return;
        }
        self.coverage.note("init fails, and runs again in the invocation");
        let (begun, ended) = (self.wall(), UnixNanos(self.wall().0 + INIT_AGAIN));
        self.tell_of_init(INIT_AGAIN, InitPhase::Invoke, false, (begun, ended), EndStatus::Success);
    }

    /// A snapshot is restored: its init was long ago, and on another machine.
    pub(super) fn tell_restore(&mut self) {
        self.coverage.note("restored");
        let (begun, ended) = (UnixNanos(self.wall().0 - 200 * MS), self.wall());
        self.tell_of_init(20 * MS, InitPhase::Init, true, (begun, ended), EndStatus::Success);
    }

    fn tell_of_init(
        &mut self,
        after: u64,
        phase: InitPhase,
        restore: bool,
        (begun, ended): (UnixNanos, UnixNanos),
        status: EndStatus,
    ) {
        let start = PlatformEvent::InitStart { at: begun, phase, restore, runtime_version: None };
        let ending = Ending { status, error_type: None };
        let done = PlatformEvent::InitRuntimeDone { at: ended, restore, ending: ending.clone() };
        let report = PlatformEvent::InitReport { at: ended, phase, restore, ending, duration: None };
        self.tell(0, after, start);
        self.tell(0, after + 5 * MS, done);
        self.tell(0, after + 6 * MS, report);
    }

    /// The platform resets the environment: SHUTDOWN, and new processes in it.
    pub(super) fn reset(&mut self, reason: ShutdownReason) {
        (self.is_reset, self.reset_at) = (true, self.now);
        let when = if self.is_asked { self.now } else { self.now + 40 * MS };
        self.runs = true;
        self.later(when, Event::Shutdown(reason));
    }

    /// A new process after one that has left in order.
    pub(super) fn restart(&mut self) {
        self.say("started again");
        self.coverage.note("started again after a reset");
        self.replace();
        self.pass_time();
        self.start();
        self.find();
    }

    /// Our process is killed; the platform resets the environment, and a new process starts in it.
    pub(super) fn kill(&mut self) {
        self.say("killed");
        self.coverage.note("killed");
        self.kills += 1;
        self.note_killed_lives();
        let (disk, seed) = (self.disk.clone(), self.process_seed);
        // Where `/next` was asked before its end was told, it is still on record.
        let agent = &self.agent;
        let ran_on = self.asked_in.take().filter(|invoke| agent.runs_on(&invoke.request_id));
        let (in_progress, invoke) = (std::mem::take(&mut self.in_progress), self.running.take().or(ran_on));
        let root =
            invoke.as_ref().and_then(|invoke| self.agent.own_root(&invoke.request_id, invoke.received_at));
        let root = invoke.as_ref().zip(root);
        let rooted = root.map(|(invoke, (trace_id, span_id))| {
            let request_id = invoke.request_id.clone();
            Input::Rooted { request_id, trace_id, span_id }
        });
        disk.survive(|| self.replace());
        self.in_progress = in_progress;
        self.note_deaths_of_a_kill();
        // As much as half of memory takes is told of at once.
        let is_much =
            self.config.spool == SpoolMode::Always && self.rng.below(3) == 0 && self.second.is_none();
        let max = if is_much { self.rng.below(4) as usize } else { usize::MAX };
        let left = disk.recovered(max);
        self.note_recovered(left.earlier.iter().chain(&left.since));
        self.pass_time();
        self.start();
        self.find();
        if self.config.spool == SpoolMode::Always {
            self.coverage.note("recovered after a kill");
            let receipt = |spans| Receipt { spans, parcels: Vec::new() };
            let (earlier, receipt) = (receipt(left.earlier), receipt(left.since));
            rooted.into_iter().for_each(|rooted| self.step(rooted));
            self.step(Input::Recovered { invoke, seed, earlier, receipt, announced: left.announced });
        }
    }

    /// Nothing of the old process is left but its books.
    fn replace(&mut self) {
        self.each_destination(|world| {
            let spans = world.books(Signal::Traces);
            world.sampled_out_before += spans.sampled_out;
            world.dropped_before += spans.dropped.iter().sum::<u64>();
        });
        self.metered.leave(self.agent.ledger());
        self.leave_guarded();
        self.logged.leave(self.agent.ledger());
        self.leave_all();
        self.leave_network();
        // A new process draws its own numbers.
        self.process_seed = self.config.seed ^ (u64::from(self.processes) << 40);
        self.agent = Agent::new(Config { seed: self.process_seed, ..self.config.clone() });
        (self.truth.sdk_seen_at, self.stalled) = (None, 0);
        self.choices = Choices::default();
        self.buffered.clear();
        self.spooled = Spooled::default();
        self.costs = Costs::default();
        self.events.clear();
        self.pending.clear();
        self.frozen.clear();
        (self.is_asked, self.runs, self.is_frozen, self.is_planned) = (false, false, false, false);
        (self.has_thawed, self.has_exited, self.is_reset) = (false, false, false);
        (self.receiving, self.is_well_at_last) = (0, false);
        self.in_progress.clear();
        (self.running, self.asked_in) = (None, None);
    }

    fn pass_time(&mut self) {
        self.now += START;
        self.deadline = self.now + TIMEOUT;
    }

    /// The new process looks at the folder before it writes to it.
    fn find(&mut self) {
        for parked in self.disk.found() {
            self.coverage.note("found in the spool");
            self.look_at(parked.lane.destination, |world| {
                world.lanes.claims.insert(parked.place, (parked.lane.signal, parked.size));
            });
            self.step(Input::Found(parked));
        }
    }
}

//! The virtual platform and the function in it: invocations, their ends, kills, SHUTDOWN, and what is told of them.

use policy::{
    Agent, EndStatus, Ending, InitPhase, Input, Instant, Invoke, PlatformEvent, Receipt, Response, Shutdown,
    ShutdownReason, SpoolMode, UnixNanos,
};

use super::super::disk::Body;
use super::super::faults::Faults;
use super::super::function::{Fate, MS, Plan, TIMEOUT, plan};
use super::{EPOCH, Event, World};

impl World {
    pub(super) fn tell_init(&mut self) {
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

    pub(super) fn invoke(&mut self) {
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

    pub(super) fn arrive(&mut self, receipt: Receipt<Body>) {
        for span in &receipt.spans {
            self.accepted.insert(span.body.id);
            self.disk.accept(span.body.id);
            if let Some(request_id) = span.request_id.as_deref() {
                *self.roots.entry(request_id.to_owned()).or_default() += 1;
            }
        }
        self.step(Input::Received(receipt));
    }

    pub(super) fn end(&mut self, plan: &Plan) {
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
            response: Response::default(),
        };
        self.tell(25 * MS, done);
        match plan.fate {
            Fate::Returns => {}
            Fate::TimesOut => self.reset(ShutdownReason::Timeout),
            Fate::Crashes => self.reset(ShutdownReason::Failure),
        }
    }

    /// The platform resets the environment: nothing runs after, in this world.
    pub(super) fn reset(&mut self, reason: ShutdownReason) {
        self.invocations_left = 0;
        let when = if self.is_asked { self.now } else { self.now + 40 * MS };
        self.runs = true;
        self.later(when, Event::Shutdown(reason));
    }

    /// Our process is killed; the platform resets the environment, and a new process starts in it.
    pub(super) fn kill(&mut self) {
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
            self.step(Input::Recovered { invoke, receipt, announced: Vec::new() });
        }
        for parked in disk.found() {
            self.step(Input::Found(parked));
        }
        self.tell_init();
        self.step(Input::Ready);
    }

    pub(super) fn shut_down(&mut self, reason: ShutdownReason) {
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

    pub(super) fn tell(&mut self, after: u64, event: PlatformEvent) {
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
}

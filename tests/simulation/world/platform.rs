//! The virtual platform and the function in it: invocations, their ends, kills, SHUTDOWN, and what is told of them.

use policy::{
    EndStatus, Ending, Input, Instant, Invoke, Kind, PlatformEvent, Receipt, Response, Shutdown,
    ShutdownReason, UnixNanos, Usage,
};

use super::super::disk::Body;
use super::super::faults::Faults;
use super::super::function::{Fate, MS, Plan, TIMEOUT, plan};
use super::super::sampling::{is_sampled, trace_of};
use super::{EPOCH, Event, World};

impl World {
    pub(super) fn invoke(&mut self) {
        let is_managed = self.config.is_managed();
        if is_managed {
            // Nothing is asked for there, and nothing waits for the one before.
            self.is_planned = false;
        } else {
            assert!(std::mem::take(&mut self.is_asked), "INVOKE is only given to who asks");
        }
        self.invocations += 1;
        let faults = self.faults_now();
        let plan = plan(self.invocations, &faults, &mut self.rng, &mut self.bodies);
        self.note_plan(&plan);
        // On Managed Instances the spans of one that fails do not say that they are its.
        if plan.fate != Fate::Returns && !is_managed {
            self.failing.insert(trace_of(self.invocations));
        }
        self.roots.insert(plan.request_id.clone(), 0);
        self.say(&format!("INVOKE {} {:?}", plan.request_id, plan.fate));
        let start = PlatformEvent::Start { request_id: plan.request_id.as_str().into(), at: self.wall() };
        self.tell(25 * MS, start);
        let delay = if is_managed { 0 } else { self.begin(&plan, &faults) };
        for (after, receipt) in &plan.sends {
            self.later(self.now + delay + after, Event::Begin(receipt.clone()));
        }
        if faults.is_killed && !is_managed && self.rng.below(6) == 0 {
            let at = self.now + self.rng.below(delay + plan.duration + 1);
            self.later(at, Event::Kill);
        }
        self.later(self.now + delay + plan.duration, Event::Ends(plan));
    }

    /// The function begins, and we are told; says how much later its handler does.
    fn begin(&mut self, plan: &Plan, faults: &Faults) -> u64 {
        self.runs = true;
        self.deadline = self.now + TIMEOUT;
        let delay = if std::mem::take(&mut self.held.is_new) && faults.fails_init {
            self.tell_init_again()
        } else {
            0
        };
        let late = if faults.wakes_late { self.rng.below(500) * MS } else { 0 };
        if late > 0 {
            self.coverage.note("INVOKE heard late");
            self.later(self.now + late, Event::Hear(plan.request_id.clone()));
        } else {
            self.hear_invoke(&plan.request_id);
        }
        delay
    }

    /// INVOKE reaches us; the function may be done before.
    pub(super) fn hear_invoke(&mut self, request_id: &str) {
        let invoke = Invoke {
            request_id: request_id.into(),
            deadline: Instant::from_nanos(self.deadline - self.slept),
            deadline_at: UnixNanos(EPOCH + self.deadline),
            received_at: self.wall(),
            arn: "arn:aws:lambda:eu-west-1:123456789012:function:f".into(),
            xray: None,
            waited: std::time::Duration::from_nanos(self.now - self.asked_at),
        };
        self.running = Some(invoke.clone());
        self.note_begin(request_id);
        self.step(Input::Invoke(invoke));
    }

    fn note_plan(&mut self, plan: &Plan) {
        self.in_progress += 1;
        if self.in_progress > 1 {
            self.coverage.note("invocations at once");
        }
        let spans = plan.sends.iter().map(|(_, receipt)| receipt.spans.len()).sum::<usize>();
        let is_named =
            plan.sends.iter().flat_map(|(_, receipt)| &receipt.spans).any(|span| span.request_id.is_some());
        let is_late = plan.sends.iter().any(|(at, _)| *at > plan.duration);
        for (is_it, what) in [
            (plan.fate == Fate::TimesOut, "function times out"),
            (plan.fate == Fate::Crashes, "function crashes"),
            (spans == 0, "function sends nothing"),
            (spans > 100, "function sends much"),
            (spans > 0 && !is_named && plan.fate == Fate::Returns, "function never names itself"),
            (is_late, "function sends late"),
        ] {
            if is_it {
                self.coverage.note(what);
            }
        }
    }

    pub(super) fn arrive(&mut self, receipt: Receipt<Body>) {
        for span in &receipt.spans {
            self.accepted.insert(span.body.id);
            self.clients += u64::from(span.kind == Kind::Client);
            self.disk.accept(span.body.id);
            let sampling = &self.config.sampling;
            let is_sampled = sampling.rules.is_empty() && is_sampled(sampling, span.trace_id);
            if span.is_error || is_sampled || self.failing.contains(&span.trace_id) {
                self.worth_keeping.insert(span.body.id);
            }
            if let Some(request_id) = span.request_id.as_deref() {
                *self.roots.entry(request_id.to_owned()).or_default() += 1;
                self.note_end_told(request_id);
            }
        }
        self.receiving = self.receiving.saturating_sub(1);
        self.step(Input::Received(receipt));
    }

    pub(super) fn end(&mut self, plan: &Plan) {
        self.runs = false;
        self.in_progress -= 1;
        self.say(&format!("ends {}", plan.request_id));
        let (status, class) = match plan.fate {
            Fate::Returns => (EndStatus::Success, None),
            Fate::TimesOut => (EndStatus::Timeout, None),
            Fate::Crashes => (EndStatus::Error, Some("Runtime.ExitError".into())),
        };
        let (request_id, at, ending) =
            (plan.request_id.as_str().into(), self.wall(), Ending { status, error_type: class });
        let duration = Some(std::time::Duration::from_nanos(plan.duration));
        match plan.fate {
            Fate::Returns => {}
            Fate::TimesOut => self.timeouts += 1,
            Fate::Crashes => self.crashes += 1,
        }
        if self.config.is_managed() {
            // One process serves many invocations: it is not ended for one of them.
            return self.tell(
                25 * MS,
                PlatformEvent::Report { request_id, at, ending, duration, usage: Usage::default() },
            );
        }
        self.tell(
            25 * MS,
            PlatformEvent::RuntimeDone {
                request_id,
                at,
                ending,
                duration,
                produced_bytes: None,
                response: Response::default(),
            },
        );
        match plan.fate {
            Fate::Returns => {}
            Fate::TimesOut => self.reset(ShutdownReason::Timeout),
            Fate::Crashes => self.reset(ShutdownReason::Failure),
        }
    }

    pub(super) fn shut_down(&mut self, reason: ShutdownReason) {
        if !self.is_asked {
            // SHUTDOWN is given to who asks; the agent is still flushing.
            self.later(self.now + 10 * MS, Event::Shutdown(reason));
            return;
        }
        self.check_drained();
        self.is_asked = false;
        self.note_thaw();
        self.say(&format!("SHUTDOWN {reason:?}"));
        // Who has asked for patience, with an answer that is still on its way, gets it.
        let is_hasty = self.faults.shuts_down_abruptly || self.faults.asks_for_patience;
        self.is_well_at_last = !is_hasty && self.rng.below(2) == 0;
        let allowed =
            if self.faults_now().shuts_down_abruptly { self.rng.below(2_000) * MS } else { 2_000 * MS };
        self.deadline = self.now + allowed;
        self.step(Input::Shutdown(Shutdown {
            reason,
            deadline: Instant::from_nanos(self.deadline - self.slept),
            received_at: self.wall(),
            waited: std::time::Duration::from_nanos(self.now - self.asked_at),
        }));
    }

    pub(super) fn tell(&mut self, after: u64, event: PlatformEvent) {
        let faults = self.faults_now();
        if self.faults.has_no_telemetry {
            return self.coverage.note("telemetry missing altogether");
        }
        if faults.loses_telemetry && self.rng.below(4) == 0 {
            return self.coverage.note("telemetry lost");
        }
        let delay = if faults.delays_telemetry { self.rng.below(2_000) * MS } else { 0 };
        if delay > 0 {
            self.coverage.note("telemetry delayed");
        }
        self.later(self.now + after + delay, Event::Tell(event.clone()));
        if faults.doubles_telemetry && self.rng.below(3) == 0 {
            self.coverage.note("telemetry doubled");
            let again = self.rng.below(500) * MS;
            self.later(self.now + after + again, Event::Tell(event));
        }
    }
}

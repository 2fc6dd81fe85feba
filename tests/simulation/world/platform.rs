//! The virtual platform and the function in it: invocations, their ends, kills, SHUTDOWN, and what is told of them.

use policy::{
    EndStatus, Ending, InitType, Input, Instant, Invoke, Kind, PlatformEvent, Receipt, Response, Shutdown,
    ShutdownReason, UnixNanos, Usage,
};

use super::super::disk::Body;
use super::super::faults::Faults;
use super::super::function::{Deed, Fate, MS, Plan, Setting, TIMEOUT, plan};
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
        self.step_clock(&faults);
        let runs_init = faults.fails_init && self.held.is_new && self.config.init_type == InitType::OnDemand;
        let setting = Setting { is_managed, asks_for_flush: self.asks_for_flush, runs_init };
        let plan = plan(self.invocations, setting, &faults, &mut self.rng, &mut self.bodies);
        self.note_plan(&plan);
        // Who says which invocation it is, or that it is done, seems done before the platform says that it failed: what is held for that word
        // is the first to go where memory is tight. On Managed Instances nobody else says which spans are whose, and only
        // the platform how it ended.
        let is_named =
            plan.sends().any(|(_, receipt)| receipt.spans.iter().any(|span| span.request_id.is_some()));
        let is_told = is_named && !self.faults.has_no_telemetry && !self.faults.loses_telemetry;
        let is_held = !((is_named || self.asks_for_flush) && self.faults.is_tight);
        if plan.fate != Fate::Returns && is_held && (!is_managed || is_told) {
            self.failing.insert(trace_of(self.invocations), plan.request_id.clone());
        }
        self.roots.insert(plan.request_id.clone(), 0);
        self.say(&format!("INVOKE {} {:?}", plan.request_id, plan.fate));
        let start = PlatformEvent::Start { request_id: plan.request_id.as_str().into(), at: self.wall() };
        self.tell(25 * MS, start);
        let delay = if is_managed { 0 } else { self.begin(&plan, &faults) };
        for (after, deed) in &plan.deeds {
            self.later(self.now + delay + after, Event::Does(self.invocations, deed.clone()));
        }
        if faults.is_killed && !is_managed && self.rng.below(6) == 0 {
            let at = self.now + self.rng.below(delay + plan.duration + 1);
            self.later(at, Event::Kill);
        }
        self.later(self.now + delay + plan.duration, Event::Ends(plan));
    }

    /// The clock of the environment is set, by hours.
    fn step_clock(&mut self, faults: &Faults) {
        if faults.steps_clock && self.rng.below(4) == 0 {
            self.coverage.note("wall clock stepped");
            self.stepped += self.rng.below(14_400_000 * MS) as i64 - 7_200_000 * MS as i64;
        }
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
            deadline_at: UnixNanos((EPOCH + self.deadline).wrapping_add_signed(self.stepped)),
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
        self.in_progress.insert(plan.request_id.clone());
        if self.in_progress.len() > 1 {
            self.coverage.note("invocations at once");
        }
        let spans = plan.sends().map(|(_, receipt)| receipt.spans.len()).sum::<usize>();
        let is_named =
            plan.sends().flat_map(|(_, receipt)| &receipt.spans).any(|span| span.request_id.is_some());
        let is_late = plan.sends().any(|(at, _)| at > plan.duration);
        for (is_it, what) in [
            (plan.fate == Fate::TimesOut, "function times out"),
            (plan.fate == Fate::Crashes, "function crashes"),
            (plan.fate == Fate::NeverAnswers, "function never answers"),
            (plan.fate == Fate::FailsInit, "init fails again, in the invocation"),
            (spans == 0 && plan.fate != Fate::FailsInit, "function sends nothing"),
            (spans > 100, "function sends much"),
            (spans > 0 && !is_named && plan.fate == Fate::Returns, "function never names itself"),
            (is_late, "function sends late"),
        ] {
            if is_it {
                self.coverage.note(what);
            }
        }
    }

    /// The function does something in its invocation `number`.
    pub(super) fn does(&mut self, number: u64, deed: Deed) {
        match deed {
            Deed::Sends(receipt) => {
                self.receiving += 1;
                self.step(Input::Receiving);
                let stalls = self.faults_now().stalls_in_sending && self.rng.below(4) == 0;
                if stalls {
                    self.coverage.note("function stalls in sending");
                }
                let takes = if stalls { 800 * MS } else { MS / 5 };
                self.later(self.now + takes, Event::Arrive(receipt));
            }
            Deed::Announces(spans) => self.announce(number, spans),
            Deed::Logs(parcel) => self.tell_logs(number, parcel),
            Deed::AsksForFlush(request_id) => {
                self.coverage.note("function asks for a flush");
                self.note_flush_request(request_id.as_deref());
                self.step(Input::Flush { request_id: request_id.as_deref().map(Into::into) });
            }
        }
    }

    pub(super) fn arrive(&mut self, receipt: Receipt<Body>) {
        for span in &receipt.spans {
            self.accepted.insert(span.body.id);
            self.clients += u64::from(span.kind == Kind::Client);
            self.disk.accept(span);
            self.note_real(span);
            if span.size as usize > self.config.bounds.held_bytes {
                self.coverage.note("a span larger than memory");
            }
            let sampling = &self.config.sampling;
            let is_sampled = sampling.rules.is_empty() && is_sampled(sampling, span.trace_id);
            let failed = self.failing.get(&span.trace_id).map(|id| format!("{id} failed"));
            let reason = failed
                .or_else(|| span.is_error.then(|| "an error".into()))
                .or_else(|| is_sampled.then(|| "in the sample".into()));
            if let Some(reason) = reason {
                self.worth_keeping.insert(span.body.id, reason);
            }
            if let Some(request_id) = span.request_id.as_deref() {
                *self.roots.entry(request_id.to_owned()).or_default() += 1;
                self.logged.learn(&request_id.into(), (span.trace_id, span.span_id));
                self.note_end_told(request_id);
            }
        }
        self.receiving = self.receiving.saturating_sub(1);
        self.tell_guarded();
        self.step(Input::Received(receipt));
    }

    pub(super) fn end(&mut self, plan: &Plan) {
        self.runs = false;
        self.in_progress.remove(&plan.request_id);
        self.say(&format!("ends {}", plan.request_id));
        let (status, class) = match plan.fate {
            Fate::Returns => (EndStatus::Success, None),
            Fate::TimesOut | Fate::NeverAnswers => (EndStatus::Timeout, None),
            Fate::Crashes | Fate::FailsInit => (EndStatus::Error, Some("Runtime.ExitError".into())),
        };
        if plan.fate != Fate::Returns {
            self.note_death(&plan.request_id);
        }
        let (request_id, at, ending) =
            (plan.request_id.as_str().into(), self.wall(), Ending { status, error_type: class });
        let duration = Some(std::time::Duration::from_nanos(plan.duration));
        match plan.fate {
            Fate::Returns => {}
            Fate::TimesOut | Fate::NeverAnswers => self.timeouts += 1,
            Fate::Crashes | Fate::FailsInit => self.crashes += 1,
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
            Fate::TimesOut | Fate::NeverAnswers => self.reset(ShutdownReason::Timeout),
            Fate::Crashes | Fate::FailsInit => self.reset(ShutdownReason::Failure),
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

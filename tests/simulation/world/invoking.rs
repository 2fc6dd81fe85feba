//! The begin of an invocation: what the function is going to do in it, and when we hear of it.

use policy::{InitType, Input, Instant, Invoke, PlatformEvent, RequestId, UnixNanos};

use super::super::faults::Faults;
use super::super::function::{Fate, MS, Plan, Setting, plan};
use super::{Event, World};

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
        let is_set = self.step_clock(&faults);
        let is_first = self.held.is_new && self.config.init_type == InitType::OnDemand;
        let runs_init = faults.fails_init && is_first;
        let delay = if runs_init { INIT_AGAIN } else { 0 };
        let request_id = self.request_id();
        let setting = Setting {
            is_managed,
            asks_for_flush: self.asks_for_flush,
            runs_init,
            request_id,
            wall: self.wall() + std::time::Duration::from_nanos(delay),
        };
        let plan =
            plan(self.invocations, &setting, &self.character, &faults, &mut self.rng, &mut self.bodies);
        self.note_plan(&plan, is_set);
        self.say(&format!("INVOKE {} {:?}", plan.request_id, plan.fate));
        self.begin(plan, &faults, delay);
    }

    /// A new one, or that of an invocation that has failed.
    fn request_id(&mut self) -> RequestId {
        if let Some(again) = self.retry.take() {
            self.coverage.note("retried under the same request id");
            return again;
        }
        format!("request-{}", self.invocations).as_str().into()
    }

    /// The clock of the environment is set, by hours, or is not.
    fn step_clock(&mut self, faults: &Faults) -> bool {
        let is_set = faults.steps_clock && self.rng.below(4) == 0;
        if is_set {
            self.coverage.note("wall clock stepped");
            self.stepped += self.rng.below(14_400_000 * MS) as i64 - 7_200_000 * MS as i64;
        }
        is_set
    }

    /// The function begins, and we are told.
    fn begin(&mut self, plan: Plan, faults: &Faults, delay: u64) {
        let (number, timeout) = (plan.number, self.character.timeout());
        let is_managed = self.config.is_managed();
        if !is_managed {
            (self.runs, self.current) = (true, number);
            self.deadline = self.now + timeout;
        }
        let deadline = UnixNanos(self.wall().0 + timeout);
        self.begin_life(&plan, deadline);
        let at = self.told_wall();
        self.tell(number, 25 * MS, PlatformEvent::Start { request_id: plan.request_id.clone(), at });
        if !is_managed {
            if std::mem::take(&mut self.held.is_new) && faults.fails_init {
                self.tell_init_again();
            }
            self.wake(number, faults);
        }
        for (after, deed) in plan.deeds {
            self.later(self.now + delay + after, Event::Does(number, deed));
        }
        let duration = (delay + plan.duration).min(timeout);
        self.last_end = self.last_end.max(self.now + duration);
        if faults.is_killed && !is_managed && self.rng.below(6) == 0 {
            let at = self.now + self.rng.below(duration + 1);
            self.later(at, Event::Kill);
        }
        if faults.loses_host && self.rng.below(60) == 0 {
            let at = self.now + self.rng.below(duration + 1);
            self.later(at, Event::Vanish);
        }
        // Nothing but the agent may hold what was sent.
        let (request_id, fate, deeds) = (plan.request_id, plan.fate, Vec::new());
        self.later(self.now + duration, Event::Ends(Plan { number, request_id, fate, duration, deeds }));
    }

    /// INVOKE is there to be read; our process may be scheduled later.
    fn wake(&mut self, number: u64, faults: &Faults) {
        let late = if faults.wakes_late { self.rng.below(500) * MS } else { 0 };
        if late > 0 {
            self.coverage.note("INVOKE heard late");
            self.later(self.now + late, Event::Hear(number));
        } else {
            self.hear_invoke(number);
        }
    }

    /// INVOKE reaches us; the function may be done before.
    pub(super) fn hear_invoke(&mut self, number: u64) {
        let wall = self.wall();
        let life = self.truth.life_mut(number).expect("it has begun");
        life.heard = Some(wall);
        let invoke = Invoke {
            request_id: life.request_id.clone(),
            deadline: Instant::from_nanos(self.deadline - self.slept),
            deadline_at: life.deadline,
            received_at: wall,
            arn: "arn:aws:lambda:eu-west-1:123456789012:function:f".into(),
            xray: None,
            waited: std::time::Duration::from_nanos(self.now - self.asked_at),
        };
        self.choices.waited = self.now - self.asked_at;
        self.disk.begin();
        self.running = Some(invoke.clone());
        self.note_begin(number);
        self.step(Input::Invoke(invoke));
    }

    fn note_plan(&mut self, plan: &Plan, is_clock_set: bool) {
        self.in_progress.insert(plan.number);
        if self.in_progress.len() > 1 {
            self.coverage.note("invocations at once");
        }
        if self.in_progress.len() > 16 {
            self.coverage.note("many invocations at once");
        }
        // Who says which invocation it is, or that it is done, seems done before the platform says that it failed: what is
        // held for that word is the first to go where memory is tight. On Managed Instances nobody else says which spans
        // are whose, and only the platform how it ended.
        let is_named =
            plan.sends().any(|(_, receipt)| receipt.spans.iter().any(|span| span.request_id.is_some()));
        let faults = &self.faults;
        let is_reported = !faults.has_no_telemetry && !faults.loses_telemetry;
        let is_told = is_named && is_reported;
        let is_held = !((is_named || self.asks_for_flush) && faults.is_tight);
        // An error of the handler is only known by the platform's word, or by the function's own span.
        let is_heard = plan.fate.is_death() || (is_reported && !faults.delays_telemetry);
        // Spans that are sent after the end are judged as they come. So are those that come before INVOKE is read, with the
        // times of one that is long over: that the clock was set back, nothing has told by then.
        let is_timely = !(self.character.sends_by_timer || is_clock_set && faults.wakes_late);
        if plan.fate != Fate::Returns
            && is_held
            && is_heard
            && is_timely
            && (!self.config.is_managed() || is_told)
        {
            self.failing.insert(plan.number);
        }
        let spans = plan.sends().map(|(_, receipt)| receipt.spans.len()).sum::<usize>();
        let is_late = plan.sends().any(|(at, _)| at > plan.duration);
        let is_long = plan.duration > 10_000 * MS;
        for (is_it, what) in [
            (plan.fate == Fate::TimesOut, "function times out"),
            (plan.fate == Fate::Crashes, "function crashes"),
            (plan.fate == Fate::Errors, "handler fails"),
            (plan.fate == Fate::NeverAnswers, "function never answers"),
            (plan.fate == Fate::FailsInit, "init fails again, in the invocation"),
            (spans == 0 && plan.fate != Fate::FailsInit, "function sends nothing"),
            (spans > 100, "function sends much"),
            (spans > 0 && !is_named && plan.fate == Fate::Returns, "function never names itself"),
            (is_late, "function sends late"),
            (is_long, "an invocation of more than ten seconds"),
            (plan.duration <= 5 * MS, "an invocation of less than five milliseconds"),
            (plan.entries().len() > 1, "several entry spans in an invocation"),
        ] {
            if is_it {
                self.coverage.note(what);
            }
        }
    }
}

/// Init that runs a second time takes so long.
pub(super) const INIT_AGAIN: u64 = 200 * MS;

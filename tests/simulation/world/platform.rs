//! The virtual platform and the function in it: deeds, ends, kills, SHUTDOWN, and what is told of them.

use policy::{
    EndStatus, Ending, Input, Instant, Kind, PlatformEvent, Receipt, Response, Shutdown, ShutdownReason,
    UnixNanos, Usage,
};

use super::super::disk::Body;
use super::super::function::character::Traces;
use super::super::function::{Deed, Fate, MS, Plan};
use super::super::sampling::is_sampled;
use super::{Event, World};

/// SHUTDOWN takes no longer than this.
const SHUTDOWN_TIME: u64 = 2_000 * MS;
/// An SDK's batch processor sends after this time.
const SDK_TIMER: u64 = 5_000 * MS;
/// And it sends no more than this many spans at once.
const SDK_BATCH: usize = 512;

impl World {
    /// The function does something in its invocation `number`.
    pub(super) fn does(&mut self, number: u64, deed: Deed) {
        match deed {
            Deed::Sends(receipt) => self.begin_request(receipt),
            Deed::Buffers(receipt) => {
                if self.buffered.is_empty() {
                    self.later(self.now + SDK_TIMER, Event::SdkTimer);
                }
                self.buffered.extend(receipt.spans);
            }
            Deed::HalfSends => {
                self.coverage.note("a request that never ends");
                self.receiving += 1;
                self.step(Input::Receiving);
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

    fn begin_request(&mut self, receipt: Receipt<Body>) {
        self.receiving += 1;
        self.step(Input::Receiving);
        let stalls = self.faults_now().stalls_in_sending && self.rng.below(4) == 0;
        if stalls {
            self.coverage.note("function stalls in sending");
        }
        let takes = if stalls { 800 * MS } else { MS / 5 };
        self.later(self.now + takes, Event::Arrive(receipt));
    }

    /// The timer of the function's SDK fires: right after a thaw, if it was due in the freeze.
    pub(super) fn send_buffered(&mut self) {
        let rest = self.buffered.split_off(SDK_BATCH.min(self.buffered.len()));
        let spans = std::mem::replace(&mut self.buffered, rest);
        if !self.buffered.is_empty() {
            self.later(self.now + MS, Event::SdkTimer);
        }
        if !spans.is_empty() {
            self.coverage.note("SDK sends by its timer");
            self.begin_request(Receipt { spans, parcels: Vec::new() });
        }
    }

    pub(super) fn arrive(&mut self, receipt: Receipt<Body>) {
        for span in &receipt.spans {
            self.accepted.insert(span.body.id, self.now);
            if self.is_asked && span.body.of == self.current {
                self.after_next.insert(span.body.of);
            }
            self.clients += u64::from(span.kind == Kind::Client);
            self.disk.accept(span);
            self.note_real(span);
            if span.size as usize > self.config.bounds.held_bytes {
                self.coverage.note("a span larger than memory");
            }
            self.note_worth(span);
            self.note_came(span);
            if let Some(request_id) = &span.request_id {
                self.logged.learn(request_id, (span.trace_id, span.span_id));
                if tells_end(span) {
                    self.note_named(span.body.of, span.end);
                }
            }
        }
        self.receiving = self.receiving.saturating_sub(1);
        self.stalled = self.stalled.min(self.receiving);
        self.tell_guarded();
        self.step(Input::Received(receipt));
    }

    /// Whether no sampling may leave it out.
    fn note_worth(&mut self, span: &policy::Span<Body>) {
        let sampling = &self.config.sampling;
        let is_sampled = sampling.rules.is_empty() && is_sampled(sampling, span.trace_id);
        let number = span.body.of;
        // In a trace that spans several invocations, one that claims to be of 1970 seems a late part of what was judged before;
        // and on Managed Instances, where they run at once, one that comes before any that names its own may be of any of them.
        let is_unknowable = span.start.0 == 0 || self.config.is_managed() && self.faults.announces;
        let is_vague =
            self.character.traces == Traces::Spanning && span.request_id.is_none() && is_unknowable;
        let is_main = !is_vague
            && self.truth.life(number).is_some_and(|_| {
                span.trace_id == super::super::function::spans::trace_for(&self.character, number)
            });
        let failed = is_main && self.failing.contains(&number);
        let reason = failed
            .then(|| format!("request {number} failed"))
            .or_else(|| span.is_error.then(|| "an error".into()))
            .or_else(|| is_sampled.then(|| "in the sample".into()));
        if let Some(reason) = reason {
            self.worth_keeping.insert(span.body.id, reason);
        }
    }

    pub(super) fn end(&mut self, plan: &Plan) {
        let is_managed = self.config.is_managed();
        self.in_progress.remove(&plan.number);
        self.say(&format!("ends {}", plan.request_id));
        let (wall, now) = (self.wall(), self.now);
        let life = self.truth.life_mut(plan.number).expect("it has begun");
        life.ended = Some((wall, now));
        let duration = Some(std::time::Duration::from_nanos(now - life.begun_at));
        match plan.fate {
            Fate::Returns => {}
            Fate::TimesOut | Fate::NeverAnswers => self.timeouts += 1,
            Fate::Errors | Fate::Crashes | Fate::FailsInit => self.crashes += 1,
        }
        if plan.fate != Fate::Returns {
            self.note_death(plan.number, plan.fate);
            if self.character.is_retried && !is_managed && self.rng.below(2) == 0 {
                self.retry = Some(plan.request_id.clone());
            }
        }
        let (request_id, at) = (plan.request_id.clone(), self.told_wall());
        let ending = ending_of(plan.fate);
        if is_managed {
            // One process serves many invocations: it is not ended for one of them.
            let usage = Usage::default();
            let report = PlatformEvent::Report { request_id, at, ending, duration, usage };
            return self.tell(plan.number, 25 * MS, report);
        }
        self.runs = false;
        let done = PlatformEvent::RuntimeDone {
            request_id,
            at,
            ending,
            duration,
            produced_bytes: None,
            response: Response::default(),
        };
        self.tell(plan.number, 25 * MS, done);
        if plan.fate.is_death() {
            // What the SDK holds dies with its process.
            self.buffered.clear();
            let is_timeout = plan.fate.is_timeout();
            self.reset(if is_timeout { ShutdownReason::Timeout } else { ShutdownReason::Failure });
        }
    }

    /// The report of the invocation that has ended last: it is made when everybody has asked for the next one.
    pub(super) fn tell_report(&mut self) {
        if self.config.is_managed() {
            return;
        }
        let Some(life) = self.truth.life(self.current) else { return };
        let (number, request_id, ending) = (life.number, life.request_id.clone(), ending_of(life.fate));
        // A new process subscribes anew, and what was told of before its time is not told again.
        if life.ended.is_none()
            || life.process != self.processes
            || std::mem::replace(&mut self.reported, number) == number
        {
            return;
        }
        let duration = Some(std::time::Duration::from_nanos(self.now - life.begun_at));
        let (at, wall, usage) = (self.told_wall(), self.wall(), Usage::default());
        self.truth.life_mut(number).expect("it has ended").reported_end = wall;
        self.tell(number, 5 * MS, PlatformEvent::Report { request_id, at, ending, duration, usage });
    }

    /// The wall time in whole milliseconds, as the platform's events have it.
    pub(super) fn told_wall(&self) -> UnixNanos {
        UnixNanos(self.wall().0 / MS * MS)
    }

    pub(super) fn shut_down(&mut self, reason: ShutdownReason) {
        if !self.is_asked {
            // SHUTDOWN is given to who asks, and who does not ask in time is killed.
            if self.is_reset && self.now >= self.reset_at + SHUTDOWN_TIME {
                self.coverage.note("killed for not asking");
                return self.kill();
            }
            return self.later(self.now + 10 * MS, Event::Shutdown(reason));
        }
        self.each_destination(Self::check_drained);
        self.is_asked = false;
        self.note_shutdown();
        self.choices.waited = self.now - self.asked_at;
        self.note_thaw();
        self.say(&format!("SHUTDOWN {reason:?}"));
        // Who has asked for patience, with an answer that is still on its way, gets it.
        let is_hasty = self.faults.shuts_down_abruptly || self.faults.asks_to_be_left_alone();
        self.is_well_at_last = !is_hasty && self.rng.below(2) == 0;
        let allowed =
            if self.faults_now().shuts_down_abruptly { self.rng.below(2_000) * MS } else { SHUTDOWN_TIME };
        self.deadline = self.now + allowed;
        self.step(Input::Shutdown(Shutdown {
            reason,
            deadline: Instant::from_nanos(self.deadline - self.slept),
            received_at: self.wall(),
            waited: std::time::Duration::from_nanos(self.now - self.asked_at),
        }));
    }

    /// From here on, what was awaited is awaited no more.
    fn note_shutdown(&mut self) {
        let (process, at, wall) = (self.processes as usize, self.now, self.wall());
        self.truth.shutdowns.resize(process + 1, None);
        self.truth.shutdowns[process] = Some((at, wall));
    }

    pub(super) fn tell(&mut self, number: u64, after: u64, event: PlatformEvent) {
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
        self.later(self.now + after + delay, Event::Tell(number, event.clone()));
        if faults.doubles_telemetry && self.rng.below(3) == 0 {
            self.coverage.note("telemetry doubled");
            let again = self.rng.below(500) * MS;
            self.later(self.now + after + again, Event::Tell(number, event));
        }
    }
}

/// Whether a span tells that its invocation is over: it names it, and is no part of another span of the same process.
pub(super) fn tells_end(span: &policy::Span<Body>) -> bool {
    span.request_id.is_some() && span.parent_is_remote != Some(false)
}

fn ending_of(fate: Fate) -> Ending {
    let (status, class) = match fate {
        Fate::Returns => (EndStatus::Success, None),
        Fate::Errors => (EndStatus::Error, Some("Function.Error".into())),
        Fate::TimesOut | Fate::NeverAnswers => (EndStatus::Timeout, None),
        Fate::Crashes | Fate::FailsInit => (EndStatus::Error, Some("Runtime.ExitError".into())),
    };
    Ending { status, error_type: class }
}

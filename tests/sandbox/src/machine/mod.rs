//! One execution environment as a state machine: inputs in, outputs out, nothing else.
//!
//! ```text
//! Cold --> Init --> Idle <--> Invoke
//!           |         \        /
//!           |          Shutdown --> Reset --(next job: suppressed init)--> Init
//!           +--------------^  \--> Gone
//! ```
//!
//! On Managed Instances, Serve stands for Idle and Invoke, and every shutdown ends in Gone.
//!
//! The machine never waits, reads no clock and touches no process. `handle` takes what happened and when;
//! `poll` gives what is to be done, in order; `deadline` says when a [`Input::Tick`] is due.

mod events;
mod extension_state;
mod extensions;
mod init;
mod invocation;
mod io;
mod managed;
mod registry;
mod responses;
mod runtime_state;
mod shutdown;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use bytes::Bytes;
use serde_json::Value;

pub use io::{Exit, ShutdownReason};

pub(crate) use io::{Facts, Input, Job, Output, ResponseEnd, Role, Token};
pub(crate) use registry::Registration;

use crate::answer::{Answer, ApiError};
use crate::clock::Time;
use crate::faults::{InvocationFaults, Moment};
use crate::history::{Status, What};
use crate::ids::Ids;
use crate::telemetry::{EventKind, TelemetryEvent};
use init::Init;
use invocation::Invocation;
use managed::Crew;
use registry::Registry;
use runtime_state::{RuntimeEvent, RuntimeState};
use shutdown::Shutdown;

#[derive(Debug)]
pub(crate) struct Machine {
    facts: Facts,
    ids: Ids,
    phase: Phase,
    registry: Registry,
    runtime: Runtime,
    /// Waits for init to end.
    job: Option<Job>,
    /// From hand-out (or suppressed init) until the report.
    invocation: Option<Invocation>,
    /// In place of `job` and `invocation` on Managed Instances.
    crew: Crew,
    /// Init duration that the first invocation of an on-demand environment still has to report.
    init_to_report: Option<std::time::Duration>,
    /// Init was ahead of a snapshot, and nothing has been restored from it yet.
    restore_due: bool,
    frozen: bool,
    /// Milliseconds by which the platform's clock seems wrong to whoever it tells.
    clock_shift_ms: i64,
    /// `/event/next` is to fail so many times more.
    next_failures: u32,
    /// Extensions are still to be killed when they have registered.
    kills_registered: bool,
    /// Whom the kernel kills for want of memory.
    out_of_memory: Option<Role>,
    /// So many times the pool counts on hearing [`Output::Idle`].
    busy: usize,
    out: VecDeque<Output>,
}

#[derive(Debug)]
enum Phase {
    Cold,
    Init(Init),
    Idle,
    Invoke,
    /// As [`Self::Idle`] and [`Self::Invoke`] together, on Managed Instances.
    Serve,
    Shutdown(Shutdown),
    /// No processes; the next job is served by a suppressed init.
    Reset,
    Gone,
}

#[derive(Debug)]
struct Runtime {
    state: RuntimeState,
    /// The pending `/invocation/next`.
    waiting: Option<Token>,
    alive: bool,
    /// What it reported to `/init/error`.
    init_error: Option<Failure>,
}

impl Runtime {
    fn absent() -> Self {
        Self { state: RuntimeState::Absent, waiting: None, alive: false, init_error: None }
    }
}

/// Why an init or an invocation failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    status: Status,
    error_type: String,
    /// For the caller.
    message: String,
    /// The runtime's own words, passed to the caller as they are.
    payload: Option<Bytes>,
}

impl Failure {
    fn error(error_type: &str, message: impl Into<String>) -> Self {
        Self { status: Status::Error, error_type: error_type.into(), message: message.into(), payload: None }
    }
}

impl Machine {
    pub(crate) fn new(facts: Facts, ids: Ids) -> Self {
        Self {
            clock_shift_ms: 0,
            next_failures: facts.faults.next_failures,
            kills_registered: facts.faults.kill == Some(Moment::Register),
            out_of_memory: None,
            facts,
            ids,
            phase: Phase::Cold,
            registry: Registry::default(),
            runtime: Runtime::absent(),
            job: None,
            invocation: None,
            crew: Crew::default(),
            init_to_report: None,
            restore_due: false,
            frozen: false,
            busy: 0,
            out: VecDeque::new(),
        }
    }

    /// Takes what happened. Drain [`poll`](Self::poll) before the next call.
    pub(crate) fn handle(&mut self, now: Time, input: Input) {
        match input {
            Input::Start => {
                // There, an environment that starts is not busy: it says when it is ready.
                self.busy += usize::from(!self.is_managed());
                self.begin_init(now, false);
            }
            Input::Invoke(job) => self.on_invoke(now, job),
            Input::Shutdown(reason) => self.on_shutdown(now, reason),
            Input::LaunchFail { role, error_type, error } => {
                self.on_launch_fail(now, role, error_type, error);
            }
            Input::Exit { role, exit } => self.on_exit(now, role, exit),
            Input::Line { role, text } => self.on_line(now, role, text),
            Input::RuntimeNext { token } => self.on_runtime_next(now, token),
            Input::ResponseStart { token, request_id, streaming } => {
                self.on_response_start(now, token, &request_id, streaming);
            }
            Input::ResponseEnd { token, request_id, end } => {
                self.on_response_end(now, token, &request_id, end);
            }
            Input::InvocationError { token, request_id, error_type, body } => {
                self.on_invocation_error(now, token, &request_id, error_type.as_deref(), body);
            }
            Input::InitError { token, error_type, body } => {
                self.on_init_error(now, token, error_type.as_deref(), body);
            }
            Input::Register { token, registration } => self.on_register(now, token, &registration),
            Input::ExtensionNext { token, id } => self.on_extension_next(now, token, id.as_deref()),
            Input::ExtensionError { token, id, at_init, error_type, body } => {
                self.on_extension_error(token, id.as_deref(), at_init, error_type, &body);
            }
            Input::Subscribe { token, id, body } => self.on_subscribe(now, token, id.as_deref(), &body),
            Input::OutOfMemory { role } => {
                self.out_of_memory = Some(role);
                let process = self.process_name(role);
                self.note(What::Signalled { process, signal: "SIGKILL (out of memory)" });
                self.out.push_back(Output::Kill(role));
            }
            Input::Tick => self.on_tick(now),
        }
    }

    /// What is to be done, in order.
    pub(crate) fn poll(&mut self) -> Option<Output> {
        self.out.pop_front()
    }

    /// When [`Input::Tick`] is due.
    pub(crate) fn deadline(&self) -> Option<Time> {
        match &self.phase {
            Phase::Init(init) => Some(init.deadline),
            Phase::Invoke => self.invocation.as_ref().map(|i| i.deadline),
            Phase::Serve => self.crew.due(),
            Phase::Shutdown(shutdown) => shutdown.due(),
            Phase::Cold | Phase::Idle | Phase::Reset | Phase::Gone => None,
        }
    }

    /// The name people and telemetry know a process by.
    pub(crate) fn process_name(&self, role: Role) -> String {
        match role {
            Role::Runtime => "runtime".into(),
            Role::Extension(index) => self.registry.extensions[index].name.clone(),
        }
    }

    /// The invocation under way.
    pub(crate) fn request_id(&self) -> Option<&str> {
        self.invocation.as_ref().map(|i| i.job.request_id.as_str())
    }

    fn on_invoke(&mut self, now: Time, job: Job) {
        self.busy += 1;
        if self.is_managed() {
            return self.queue(now, job);
        }
        match self.phase {
            Phase::Cold => {
                self.job = Some(job);
                self.begin_init(now, false);
            }
            Phase::Reset => {
                self.job = Some(job);
                self.begin_init(now, true);
            }
            Phase::Idle => self.begin_invocation(now, job, self.restore_due),
            // A process crashed while the environment was idle; the job waits for the reset.
            Phase::Shutdown(_) => self.job = Some(job),
            Phase::Init(_) | Phase::Invoke | Phase::Serve | Phase::Gone => {
                unreachable!("the pool hands a job only to an environment that said it is idle")
            }
        }
    }

    fn on_tick(&mut self, now: Time) {
        if self.deadline().is_none_or(|due| now < due) {
            return;
        }
        match &self.phase {
            Phase::Init(init) if init.suppressed => self.time_out(now),
            Phase::Init(_) => self.on_init_timeout(now),
            Phase::Invoke => self.time_out(now),
            Phase::Serve => self.expire(now),
            Phase::Shutdown(_) => self.on_shutdown_due(now),
            Phase::Cold | Phase::Idle | Phase::Reset | Phase::Gone => {}
        }
    }

    fn on_line(&mut self, now: Time, role: Role, text: String) {
        let name = self.process_name(role);
        let (kind, what) = match role {
            Role::Runtime => {
                if let Some(invocation) = self.invocation.as_mut().or(self.crew.only()) {
                    invocation.log(&text);
                }
                (EventKind::FunctionLine, What::FunctionLog { line: text.clone() })
            }
            Role::Extension(_) => {
                (EventKind::ExtensionLine, What::ExtensionLog { extension: name, line: text.clone() })
            }
        };
        self.note(what);
        self.out.push_back(Output::Emit(TelemetryEvent { time: now, kind, record: Value::String(text) }));
    }

    fn on_exit(&mut self, now: Time, role: Role, exit: Exit) {
        let process = self.process_name(role);
        let expected = matches!(self.phase, Phase::Shutdown(_));
        match expected {
            true => self.note(What::Exited { process: process.clone(), exit: exit.to_string() }),
            false => self.note(What::Crashed { process: process.clone(), exit: exit.to_string() }),
        }
        let failure = match role {
            Role::Runtime => self.on_runtime_exit(exit),
            Role::Extension(index) => self.on_extension_exit(index, exit, expected),
        };
        match &mut self.phase {
            Phase::Init(_) => self.fail_init(now, &failure),
            Phase::Invoke => self.fail_invocation(now, &failure),
            Phase::Serve => self.fail_all(now, &failure),
            Phase::Idle => self.begin_shutdown(now, ShutdownReason::Failure, shutdown::Then::Reset),
            Phase::Shutdown(shutdown) => {
                shutdown.ended(now, process, exit);
                self.advance_shutdown(now);
            }
            Phase::Cold | Phase::Reset | Phase::Gone => {
                unreachable!("processes live in no other phase")
            }
        }
    }

    fn on_runtime_exit(&mut self, exit: Exit) -> Failure {
        self.runtime.alive = false;
        self.set_runtime(RuntimeEvent::Exit, "Exited").expect("a process can end in every state");
        let reported = self.runtime.init_error.take();
        if self.out_of_memory.take_if(|role| *role == Role::Runtime).is_some() {
            return Failure::error("Runtime.OutOfMemory", format!("Runtime exited with error: {exit}"));
        }
        reported.unwrap_or_else(|| {
            let how = match exit {
                Exit::Code(0) => "Runtime exited without providing a reason".to_owned(),
                other => format!("Runtime exited with error: {other}"),
            };
            Failure::error("Runtime.ExitError", how)
        })
    }

    fn set_runtime(&mut self, event: RuntimeEvent, call: &'static str) -> Result<RuntimeState, ApiError> {
        let from = self.runtime.state;
        self.runtime.state =
            from.on(event).ok_or(ApiError::InvalidStateTransition { from: from.name(), call })?;
        Ok(from)
    }

    fn thaw(&mut self) {
        if std::mem::take(&mut self.frozen) {
            self.out.push_back(Output::Thaw);
        }
    }

    fn freeze(&mut self) {
        if !self.facts.faults.never_freeze {
            self.frozen = true;
            self.out.push_back(Output::Freeze);
        }
    }

    /// Kills every extension, or stops it for a while, where that is wished for this moment.
    fn harm_extensions_at(&mut self, moment: Moment) {
        let faults = self.invocation.as_ref().map(|invocation| invocation.job.faults.clone());
        self.harm_extensions(moment, &faults.unwrap_or_default());
    }

    fn harm_extensions(&mut self, moment: Moment, faults: &InvocationFaults) {
        if faults.kill == Some(moment) || self.facts.faults.kill == Some(moment) {
            self.kill_extensions();
        }
        if let Some((_, pause)) = faults.stall.filter(|(when, _)| *when == moment) {
            for index in 0..self.registry.extensions.len() {
                let process = self.process_name(Role::Extension(index));
                self.note(What::Signalled { process, signal: "SIGSTOP" });
                self.out.push_back(Output::Stall(Role::Extension(index), pause));
            }
        }
    }

    fn kill_extensions(&mut self) {
        for index in 0..self.registry.extensions.len() {
            if self.registry.extensions[index].alive {
                let process = self.process_name(Role::Extension(index));
                self.note(What::Signalled { process, signal: "SIGKILL" });
                self.out.push_back(Output::Kill(Role::Extension(index)));
            }
        }
    }

    /// Tells the pool, once for each time it made us busy.
    fn idle(&mut self) {
        if self.busy > 0 {
            self.busy -= 1;
            self.out.push_back(Output::Idle);
        }
    }

    fn emit(&mut self, now: Time, kind: EventKind, record: Value) {
        self.note(What::Telemetry { kind });
        self.send(now, kind, record);
    }

    /// As [`Self::emit`], where several invocations may be under way.
    fn emit_of(&mut self, request_id: &str, now: Time, kind: EventKind, record: Value) {
        self.note_of(request_id, What::Telemetry { kind });
        self.send(now, kind, record);
    }

    fn send(&mut self, now: Time, kind: EventKind, record: Value) {
        let time = now.shifted(self.clock_shift_ms);
        self.out.push_back(Output::Emit(TelemetryEvent { time, kind, record }));
    }

    fn note(&mut self, what: What) {
        let request_id = self.request_id().map(str::to_owned);
        self.out.push_back(Output::Note(what, request_id));
    }

    fn note_of(&mut self, request_id: &str, what: What) {
        self.out.push_back(Output::Note(what, Some(request_id.to_owned())));
    }

    fn answer(&mut self, token: Token, answer: Answer) {
        self.out.push_back(Output::Answer(token, answer));
    }

    fn refuse(&mut self, token: Token, call: &'static str, error: ApiError) {
        let answer = Answer::from(error);
        let body = serde_json::from_slice::<Value>(&answer.body).unwrap_or_default();
        let error = format!("{}: {}", text(&body["errorType"]), text(&body["errorMessage"]));
        self.note(What::Refused { call, status: answer.status, error });
        self.answer(token, answer);
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

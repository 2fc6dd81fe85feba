//! Init: extensions register, then the runtime starts, then everybody asks for the first event.

use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;

use super::events::{extension_record, restore_done_record};
use super::invocation::Invocation;
use super::registry::Registry;
use super::responses::valid_error_type;
use super::runtime_state::{RuntimeEvent, RuntimeState};
use super::shutdown::Then;
use super::{Failure, Machine, Output, Phase, Role, Runtime, Token};
use crate::answer::Answer;
use crate::clock::{Time, millis};
use crate::config::InitType;
use crate::history::{Status, What};
use crate::machine::extension_state::ExtensionEvent;
use crate::telemetry::EventKind;

/// Init limit of everything that starts ahead of its invocations, unless the function timeout is longer.
const PROVISIONED_INIT_MAX: Duration = Duration::from_secs(130);

/// One attempt to initialise.
#[derive(Debug)]
pub(super) struct Init {
    /// Inside an invocation and its deadline, after a failed init or a reset.
    pub(super) suppressed: bool,
    started: Time,
    pub(super) deadline: Time,
}

impl Init {
    fn phase(&self) -> &'static str {
        if self.suppressed { "invoke" } else { "init" }
    }
}

impl Machine {
    pub(super) fn begin_init(&mut self, now: Time, suppressed: bool) {
        let init = Init { suppressed, started: now, deadline: now + self.init_limit(suppressed) };
        let phase = init.phase();
        self.registry = Registry::of_files(&self.facts.extensions);
        self.runtime = Runtime::absent();
        if suppressed {
            let job = self.job.take().expect("a suppressed init serves an invocation");
            self.invocation = Some(Invocation::new(job, now, init.deadline, true, &mut self.ids));
        }
        self.phase = Phase::Init(init);
        self.out.push_back(Output::BeginGeneration);
        self.note(What::InitStart { phase });
        let record = self.init_start_record(phase);
        self.emit(now, EventKind::InitStart, record);
        for index in 0..self.registry.extensions.len() {
            self.out.push_back(Output::Spawn(Role::Extension(index)));
        }
        self.advance_init(now);
    }

    fn init_limit(&self, suppressed: bool) -> Duration {
        match (suppressed, self.facts.init_type) {
            (true, _) => self.facts.timeout,
            (false, InitType::OnDemand) => self.facts.faults.init_timeout.unwrap_or(self.facts.init_timeout),
            (
                false,
                InitType::ProvisionedConcurrency { .. }
                | InitType::SnapStart { .. }
                | InitType::ManagedInstances { .. },
            ) => PROVISIONED_INIT_MAX.max(self.facts.timeout),
        }
    }

    /// Starts the runtime once every extension has registered; ends init once everybody waits for an event.
    pub(super) fn advance_init(&mut self, now: Time) {
        if self.runtime.state == RuntimeState::Absent && self.registry.all_registered() {
            self.set_runtime(RuntimeEvent::Spawn, "Started").expect("an absent runtime can start");
            self.runtime.alive = true;
            self.out.push_back(Output::Spawn(Role::Runtime));
        }
        if self.runtime.state == RuntimeState::Ready && self.registry.all_ready() {
            self.complete_init(now);
        }
    }

    /// The runtime asks for its first event.
    pub(super) fn on_runtime_ready(&mut self, now: Time) {
        self.note(What::RuntimeReady);
        if let Phase::Init(init) = &self.phase {
            let record = self.init_runtime_done_record(init.phase(), Status::Success, None);
            self.emit(now, EventKind::InitRuntimeDone, record);
            self.advance_init(now);
        }
    }

    pub(super) fn on_init_error(&mut self, now: Time, token: Token, error_type: Option<&str>, body: Bytes) {
        if let Err(error) = self.set_runtime(RuntimeEvent::InitError, "InitError") {
            return self.refuse(token, "init/error", error);
        }
        self.answer(token, Answer::accepted());
        let message = serde_json::from_slice::<Value>(&body).unwrap_or_default();
        let message = super::text(&message["errorMessage"]).to_owned();
        let mut failure = Failure::error(&valid_error_type(error_type), message);
        failure.payload = Some(body);
        self.runtime.init_error = Some(failure.clone());
        if matches!(self.phase, Phase::Init(_)) {
            self.fail_init(now, &failure);
        }
    }

    pub(super) fn on_launch_fail(&mut self, now: Time, role: Role, error_type: &'static str, error: String) {
        let process = self.process_name(role);
        self.note(What::LaunchFailed { process, error: error.clone() });
        let failure = match role {
            Role::Runtime => {
                self.runtime.alive = false;
                self.set_runtime(RuntimeEvent::Exit, "Exited").expect("a process can end in every state");
                Failure::error("Runtime.InvalidEntrypoint", error)
            }
            Role::Extension(index) => {
                let extension = &mut self.registry.extensions[index];
                extension.alive = false;
                extension.error_type = Some(error_type.into());
                extension.apply(ExtensionEvent::LaunchFail, "LaunchError").expect("it was only just started");
                Failure::error("Extension.LaunchError", error)
            }
        };
        match &mut self.phase {
            Phase::Init(_) => self.fail_init(now, &failure),
            // Another process failed before this one was started.
            Phase::Shutdown(_) => self.advance_shutdown(now),
            _ => unreachable!("processes are started in init"),
        }
    }

    pub(super) fn on_init_timeout(&mut self, now: Time) {
        let message = "the init phase took too long";
        let failure = Failure { status: Status::Timeout, ..Failure::error("Runtime.Unknown", message) };
        self.fail_init(now, &failure);
    }

    /// Closes a failed init. On demand, it is done again inside the invocation that waits.
    pub(super) fn fail_init(&mut self, now: Time, failure: &Failure) {
        let suppressed = matches!(&self.phase, Phase::Init(init) if init.suppressed);
        self.report_init_failure(now, failure);
        if suppressed {
            return self.fail_invocation(now, failure);
        }
        if self.is_managed() {
            self.refuse_queue(now, failure);
            self.out.push_back(Output::Failing);
            return self.kill_all(now, Then::End);
        }
        let then = if self.job.is_some() { Then::SuppressedInit } else { Then::Reset };
        self.kill_all(now, then);
    }

    /// The events of an init that did not end well.
    pub(super) fn report_init_failure(&mut self, now: Time, failure: &Failure) {
        let Phase::Init(init) = &self.phase else { unreachable!("only an init fails as one") };
        let (phase, ms) = (init.phase(), millis(now.since(init.started)));
        let error = Some(failure.error_type.as_str());
        let started = !matches!(self.runtime.state, RuntimeState::Absent | RuntimeState::Ready);
        if started {
            let record = self.init_runtime_done_record(phase, failure.status, error);
            self.emit(now, EventKind::InitRuntimeDone, record);
        }
        self.emit_extensions(now);
        let record = self.init_report_record(phase, failure.status, error, ms);
        self.emit(now, EventKind::InitReport, record);
        let error_type = failure.error_type.clone();
        self.note(What::InitFailed { status: failure.status, error_type, ms });
        self.out.push_back(Output::CloseSubscriptions);
    }

    fn complete_init(&mut self, now: Time) {
        let Phase::Init(init) = std::mem::replace(&mut self.phase, Phase::Idle) else {
            unreachable!("only an init completes")
        };
        let took = now.since(init.started);
        self.emit_extensions(now);
        let record = self.init_report_record(init.phase(), Status::Success, None, millis(took));
        self.emit(now, EventKind::InitReport, record);
        self.note(What::InitDone { ms: millis(took) });
        self.out.push_back(Output::CloseSubscriptions);
        if init.suppressed {
            return self.dispatch(now);
        }
        if self.facts.init_type == InitType::OnDemand {
            self.init_to_report = Some(took);
        }
        if self.is_managed() {
            return self.begin_to_serve(now);
        }
        self.restore_due = matches!(self.facts.init_type, InitType::SnapStart { .. });
        match self.job.take() {
            Some(job) => self.begin_invocation(now, job, true),
            None => {
                self.freeze();
                self.idle();
            }
        }
    }

    /// The processes go on where their snapshot was taken, as far as they can tell.
    pub(super) fn restore(&mut self, now: Time) {
        if std::mem::take(&mut self.restore_due) {
            let start = self.restore_start_record();
            self.emit(now, EventKind::RestoreStart, start);
            let done = restore_done_record();
            self.emit(now, EventKind::RestoreRuntimeDone, done.clone());
            let mut report = done;
            // Stopped processes go on at once: there is nothing to load.
            report["metrics"] = serde_json::json!({"durationMs": 0.0});
            self.emit(now, EventKind::RestoreReport, report);
        }
    }

    fn emit_extensions(&mut self, now: Time) {
        let records: Vec<_> = self.registry.extensions.iter().map(extension_record).collect();
        for record in records {
            self.emit(now, EventKind::Extension, record);
        }
    }
}

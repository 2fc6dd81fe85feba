//! Shutdown: the runtime first, then SHUTDOWN to the extensions, SIGKILL for whoever is left.

use std::time::Duration;

use serde_json::json;

use super::extension_state::{ExtensionEvent, ExtensionState};
use super::io::Exit;
use super::{Machine, Output, Phase, Role, ShutdownReason};
use crate::answer::Answer;
use crate::clock::{Time, millis};
use crate::faults::Moment;
use crate::history::What;
use crate::shutdown_report::{EnvironmentShutdown, ProcessEnd};

/// Budget with at least one external extension.
const EXTERNAL_BUDGET: Duration = Duration::from_millis(2000);
/// Budget with internal extensions only.
const INTERNAL_BUDGET: Duration = Duration::from_millis(500);
/// The runtime's share of the budget between SIGTERM and SIGKILL, in percent.
const RUNTIME_SHARE: u32 = 30;

#[derive(Debug)]
pub(super) struct Shutdown {
    reason: ShutdownReason,
    started: Time,
    runtime_deadline: Time,
    deadline: Time,
    stage: Stage,
    then: Then,
    ends: Vec<ProcessEnd>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The runtime was told to stop.
    Runtime,
    /// ... and was killed because it did not.
    RuntimeKilled,
    /// The extensions were told to stop.
    Extensions,
    /// Everybody was killed.
    Killed,
}

/// What follows when all processes are gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    Reset,
    SuppressedInit,
    End,
}

impl Shutdown {
    /// When the next signal is due.
    pub(super) fn due(&self) -> Option<Time> {
        match self.stage {
            Stage::Runtime => Some(self.runtime_deadline.min(self.deadline)),
            Stage::RuntimeKilled | Stage::Extensions => Some(self.deadline),
            Stage::Killed => None,
        }
    }

    pub(super) fn is_killing(&self) -> bool {
        self.stage == Stage::Killed
    }

    pub(super) fn ended(&mut self, now: Time, process: String, exit: Exit) {
        let after_ms = millis(now.since(self.started));
        self.ends.push(ProcessEnd { process, exit, after_ms });
    }
}

impl Machine {
    pub(super) fn on_shutdown(&mut self, now: Time, reason: ShutdownReason) {
        let waiting = self.job.take().is_some();
        if waiting || self.invocation.is_some() {
            self.out.push_back(Output::ReplyStopped);
            self.interrupt();
        }
        self.interrupt_all(now);
        match &mut self.phase {
            Phase::Shutdown(shutdown) => shutdown.then = Then::End,
            Phase::Cold | Phase::Reset => self.end(reason, vec![]),
            Phase::Init(_) | Phase::Idle | Phase::Invoke | Phase::Serve => {
                self.begin_shutdown(now, reason, Then::End);
            }
            Phase::Gone => {}
        }
    }

    pub(super) fn begin_shutdown(&mut self, now: Time, reason: ShutdownReason, then: Then) {
        self.thaw();
        let budget = self.shutdown_budget();
        self.phase = Phase::Shutdown(Shutdown {
            reason,
            started: now,
            runtime_deadline: now + budget * RUNTIME_SHARE / 100,
            deadline: now + budget,
            stage: Stage::Runtime,
            then,
            ends: vec![],
        });
        self.note(What::Shutdown { reason: reason.name().into() });
        self.out.push_back(Output::FlushTelemetry);
        if budget.is_zero() {
            self.kill_alive();
        } else if self.runtime.alive {
            // A runtime that used up its time gets none to say goodbye.
            match reason {
                ShutdownReason::Timeout => {
                    self.set_stage(Stage::RuntimeKilled);
                    self.signal(Role::Runtime, "SIGKILL");
                }
                ShutdownReason::Spindown | ShutdownReason::Failure => self.signal(Role::Runtime, "SIGTERM"),
            }
        }
        self.advance_shutdown(now);
    }

    /// Ends a failed init: no SHUTDOWN, no grace.
    pub(super) fn kill_all(&mut self, now: Time, then: Then) {
        self.begin_shutdown_with(now, then);
        self.kill_alive();
        self.advance_shutdown(now);
    }

    fn begin_shutdown_with(&mut self, now: Time, then: Then) {
        self.phase = Phase::Shutdown(Shutdown {
            reason: ShutdownReason::Failure,
            started: now,
            runtime_deadline: now,
            deadline: now,
            stage: Stage::Killed,
            then,
            ends: vec![],
        });
    }

    fn shutdown_budget(&self) -> Duration {
        let registered =
            |external| self.registry.extensions.iter().any(|e| e.external == external && e.id.is_some());
        let natural = match (registered(true), registered(false)) {
            (true, _) => EXTERNAL_BUDGET,
            (false, true) => INTERNAL_BUDGET,
            (false, false) => Duration::ZERO,
        };
        self.facts.faults.shutdown_budget.unwrap_or(natural)
    }

    pub(super) fn on_shutdown_due(&mut self, now: Time) {
        let Phase::Shutdown(shutdown) = &self.phase else { return };
        if shutdown.stage == Stage::Runtime && now < shutdown.deadline {
            self.set_stage(Stage::RuntimeKilled);
            self.signal(Role::Runtime, "SIGKILL");
        } else {
            self.kill_alive();
        }
        self.advance_shutdown(now);
    }

    pub(super) fn advance_shutdown(&mut self, now: Time) {
        let Phase::Shutdown(shutdown) = &self.phase else { unreachable!("only a shutdown advances") };
        let stage = shutdown.stage;
        if matches!(stage, Stage::Runtime | Stage::RuntimeKilled) && !self.runtime.alive {
            self.set_stage(Stage::Extensions);
            for index in 0..self.registry.extensions.len() {
                self.shut_down_extension(index);
            }
        }
        self.report_when_extensions_are_done(now);
        if !self.runtime.alive && self.registry.extensions.iter().all(|e| !e.alive) {
            self.finish_shutdown(now);
        }
    }

    /// An extension ended its current event during the shutdown.
    pub(super) fn on_next_in_shutdown(&mut self, now: Time, index: usize) {
        self.report_when_extensions_are_done(now);
        if matches!(&self.phase, Phase::Shutdown(s) if s.stage == Stage::Extensions) {
            self.shut_down_extension(index);
        }
    }

    /// Hands SHUTDOWN to an extension that waits for it; kills one that did not ask for it.
    fn shut_down_extension(&mut self, index: usize) {
        let extension = &self.registry.extensions[index];
        if !extension.alive {
            return;
        }
        if !extension.shutdown {
            return self.signal(Role::Extension(index), "SIGKILL");
        }
        if extension.state != ExtensionState::Ready {
            return;
        }
        let Phase::Shutdown(shutdown) = &self.phase else { unreachable!("called in shutdown only") };
        let reason =
            self.facts.faults.shutdown_reason.clone().unwrap_or_else(|| shutdown.reason.name().into());
        let shift = self.clock_shift_ms + self.facts.faults.shutdown_deadline_shift_ms;
        let deadline_ms = shutdown.deadline.shifted(shift).as_millis();
        let event = Answer::json(
            200,
            &json!({"eventType": "SHUTDOWN", "shutdownReason": reason, "deadlineMs": deadline_ms}),
        );
        let extension = &mut self.registry.extensions[index];
        extension.apply(ExtensionEvent::DeliverShutdown, "ShuttingDown").expect("it is ready");
        let token = extension.waiting.take().expect("a ready extension has a pending request");
        let name = extension.name.clone();
        self.note(What::ShutdownDelivered { extension: name });
        self.answer(token, event);
        if self.facts.faults.kill == Some(Moment::Shutdown) {
            self.signal(Role::Extension(index), "SIGKILL");
        }
    }

    fn kill_alive(&mut self) {
        self.set_stage(Stage::Killed);
        if self.runtime.alive {
            self.signal(Role::Runtime, "SIGKILL");
        }
        let alive: Vec<_> =
            (0..self.registry.extensions.len()).filter(|i| self.registry.extensions[*i].alive).collect();
        for index in alive {
            self.signal(Role::Extension(index), "SIGKILL");
        }
    }

    fn signal(&mut self, role: Role, signal: &'static str) {
        self.note(What::Signalled { process: self.process_name(role), signal });
        self.out.push_back(match signal {
            "SIGTERM" => Output::Terminate(role),
            _ => Output::Kill(role),
        });
    }

    fn set_stage(&mut self, stage: Stage) {
        if let Phase::Shutdown(shutdown) = &mut self.phase {
            shutdown.stage = stage;
        }
    }

    fn finish_shutdown(&mut self, now: Time) {
        self.report(now);
        let Phase::Shutdown(shutdown) = std::mem::replace(&mut self.phase, Phase::Reset) else {
            unreachable!("only a shutdown finishes")
        };
        self.init_to_report = None;
        self.out.push_back(Output::EndGeneration);
        match shutdown.then {
            Then::End => self.end(shutdown.reason, shutdown.ends),
            Then::SuppressedInit => self.begin_init(now, true),
            Then::Reset if self.job.is_some() => self.begin_init(now, true),
            Then::Reset => {
                self.note(What::Reset);
                self.idle();
            }
        }
    }

    fn end(&mut self, reason: ShutdownReason, ends: Vec<ProcessEnd>) {
        self.phase = Phase::Gone;
        self.note(What::Gone);
        let (environment, function) = (self.facts.environment, self.facts.function.clone());
        self.out.push_back(Output::Gone(EnvironmentShutdown { environment, function, reason, ends }));
    }
}

//! Managed Instances: one runtime with several workers, many invocations at once, no freeze and no reset.
//!
//! Extensions hear of no invocation, telemetry of no `runtimeDone`, and a time-out stops nobody. A process that ends takes
//! the whole environment with it.

use std::collections::VecDeque;

use super::invocation::Invocation;
use super::runtime_state::RuntimeEvent;
use super::shutdown::Then;
use super::{Failure, Job, Machine, Output, Phase, ShutdownReason, Token};
use crate::answer::ApiError;
use crate::clock::{Time, millis};
use crate::faults::Moment;
use crate::history::{Record, Status, What};
use crate::telemetry::EventKind;

/// Invocations that timed out, of which a late answer is told from a wrong one: as many as an environment can hold open.
const LATE_MAX: usize = 1_024;

/// Who waits for work, and what is worked on.
#[derive(Debug, Default)]
pub(super) struct Crew {
    /// Pending `/invocation/next`, the longest-waiting first.
    waiting: VecDeque<Token>,
    open: Vec<Invocation>,
    /// What no worker has asked for yet.
    queue: VecDeque<Queued>,
    /// Ids of invocations that timed out.
    late: VecDeque<String>,
}

#[derive(Debug)]
struct Queued {
    job: Job,
    /// Until when a worker may ask for it, once there are workers.
    until: Time,
    waits_for_init: bool,
}

impl Crew {
    /// When the next invocation is too old, running or not.
    pub(super) fn due(&self) -> Option<Time> {
        let open = self.open.iter().map(|invocation| invocation.deadline);
        open.chain(self.queue.iter().map(|queued| queued.until)).min()
    }

    pub(super) fn find(&mut self, request_id: &str) -> Option<&mut Invocation> {
        self.open.iter_mut().find(|invocation| invocation.job.request_id == request_id)
    }

    /// The only one open: what is logged now must be its.
    pub(super) fn only(&mut self) -> Option<&mut Invocation> {
        match self.open.as_mut_slice() {
            [only] => Some(only),
            _ => None,
        }
    }

    /// Why there is no open invocation of this id.
    pub(super) fn refusal(&self, request_id: &str) -> ApiError {
        match self.late.iter().any(|late| late == request_id) {
            true => ApiError::InvokeTimeout,
            false => ApiError::InvalidRequestId,
        }
    }

    fn take(&mut self, request_id: &str) -> Option<Invocation> {
        let place = self.open.iter().position(|invocation| invocation.job.request_id == request_id)?;
        Some(self.open.remove(place))
    }

    fn add_late(&mut self, request_id: String) {
        if self.late.len() == LATE_MAX {
            self.late.pop_front();
        }
        self.late.push_back(request_id);
    }
}

impl Machine {
    pub(super) fn is_managed(&self) -> bool {
        self.facts.init_type.is_managed()
    }

    /// Takes a job that waits for a worker; an environment that ends takes none.
    pub(super) fn queue(&mut self, now: Time, job: Job) {
        if matches!(self.phase, Phase::Shutdown(_) | Phase::Gone) {
            let failure = Failure::error("Runtime.Unavailable", "The environment is shutting down");
            return self.refuse_job(now, job, &failure);
        }
        let waits_for_init = !matches!(self.phase, Phase::Serve);
        self.crew.queue.push_back(Queued { job, until: now + self.facts.timeout, waits_for_init });
        if matches!(self.phase, Phase::Cold) {
            self.begin_init(now, false);
        }
        self.serve(now);
    }

    /// Init is over: whatever waited for it may wait as long again.
    pub(super) fn begin_to_serve(&mut self, now: Time) {
        self.phase = Phase::Serve;
        let until = now + self.facts.timeout;
        self.crew.queue.iter_mut().for_each(|queued| queued.until = until);
        self.out.push_back(Output::Ready);
        self.serve(now);
    }

    pub(super) fn on_worker_next(&mut self, now: Time, token: Token) {
        self.crew.waiting.push_back(token);
        self.serve(now);
    }

    /// Hands out what waits to whoever waits.
    fn serve(&mut self, now: Time) {
        while matches!(self.phase, Phase::Serve) && !self.crew.queue.is_empty() {
            let Some(token) = self.crew.waiting.pop_front() else { return };
            let Queued { job, waits_for_init, .. } = self.crew.queue.pop_front().expect("it is not empty");
            self.hand_out(now, token, job, waits_for_init);
        }
    }

    fn hand_out(&mut self, now: Time, token: Token, job: Job, cold_start: bool) {
        let deadline = now + self.facts.timeout;
        let mut invocation = Invocation::new(job, now, deadline, cold_start, &mut self.ids);
        invocation.dispatched = Some(now);
        let (request_id, faults) = (invocation.job.request_id.clone(), invocation.job.faults.clone());
        self.clock_shift_ms = faults.clock_step_ms;
        self.out.push_back(Output::ReleaseTelemetry(invocation.job.telemetry_faults.clone()));
        let next = invocation.next_answer(deadline.shifted(self.clock_shift_ms));
        let record = self.start_record(&invocation);
        self.crew.open.push(invocation);
        self.note_of(&request_id, What::Invoke { cold_start });
        self.emit_of(&request_id, now, EventKind::Start, record);
        for event in &faults.forged {
            self.emit_of(&request_id, now, EventKind::Forged, event.clone());
        }
        self.answer(token, next);
        self.harm_extensions(Moment::Invoke, &faults);
    }

    /// Closes an invocation that the runtime answered.
    pub(super) fn close_answered(&mut self, now: Time, request_id: &str) {
        let invocation = self.crew.take(request_id).expect("it was answered just now");
        let status = if invocation.error.is_some() { Status::Error } else { Status::Success };
        let (error, faults) = (invocation.error.clone(), invocation.job.faults.clone());
        self.close_with(now, invocation, status, error);
        self.harm_extensions(Moment::RuntimeDone, &faults);
        self.idle();
    }

    /// A deadline came: the caller has waited long enough. The code goes on, and nobody hears of it any more.
    pub(super) fn expire(&mut self, now: Time) {
        let seconds = self.facts.timeout.as_secs_f64();
        let message = format!("Task timed out after {seconds:.2} seconds");
        let failure = Failure { status: Status::Timeout, ..Failure::error("Sandbox.Timedout", message) };
        let (over, open) = std::mem::take(&mut self.crew.open).into_iter().partition(|i| i.deadline <= now);
        self.crew.open = open;
        let over: Vec<Invocation> = over;
        for invocation in over {
            self.crew.add_late(invocation.job.request_id.clone());
            self.fail_one(now, invocation, &failure);
            self.idle();
        }
        let busy = Failure::error("Runtime.Unavailable", "No worker asked for the invocation in time");
        while self.crew.queue.front().is_some_and(|queued| queued.until <= now) {
            let queued = self.crew.queue.pop_front().expect("there is a front");
            self.refuse_job(now, queued.job, &busy);
            self.idle();
        }
    }

    /// A process ended: everything that was open has failed, and the environment ends.
    pub(super) fn fail_all(&mut self, now: Time, failure: &Failure) {
        for invocation in std::mem::take(&mut self.crew.open) {
            self.fail_one(now, invocation, failure);
        }
        self.refuse_queue(now, failure);
        self.out.push_back(Output::Failing);
        self.begin_shutdown(now, ShutdownReason::Failure, Then::End);
    }

    /// Init failed: whoever waits for it has waited in vain.
    pub(super) fn refuse_queue(&mut self, now: Time, failure: &Failure) {
        for queued in std::mem::take(&mut self.crew.queue) {
            self.refuse_job(now, queued.job, failure);
        }
    }

    /// The service stops in the middle of it all.
    pub(super) fn interrupt_all(&mut self, now: Time) {
        let open = std::mem::take(&mut self.crew.open);
        if !open.is_empty() || !self.crew.queue.is_empty() {
            self.out.push_back(Output::ReplyStopped);
        }
        self.crew.queue.clear();
        for invocation in open {
            self.close_with(now, invocation, Status::Failure, Some("Sandbox.Failure".into()));
        }
    }

    fn fail_one(&mut self, now: Time, mut invocation: Invocation, failure: &Failure) {
        self.out.extend(invocation.fail(failure).into_iter().flatten());
        self.close_with(now, invocation, failure.status, Some(failure.error_type.clone()));
    }

    /// Answers the caller of a job that nobody began.
    fn refuse_job(&mut self, now: Time, job: Job, failure: &Failure) {
        let mut never_begun = Invocation::new(job, now, now, false, &mut self.ids);
        self.out.extend(never_begun.fail(failure).into_iter().flatten());
    }

    /// `platform.report`, and the record.
    fn close_with(&mut self, now: Time, invocation: Invocation, status: Status, error_type: Option<String>) {
        let request_id = invocation.job.request_id.clone();
        let ms = millis(now.since(invocation.started));
        let report = self.managed_report_record(&invocation, ms, status, error_type.as_deref());
        self.note_of(&request_id, What::Report { status, ms, billed_ms: 0, extension_ms: None });
        self.emit_of(&request_id, now, EventKind::Report, report);
        let record = Record {
            function: self.facts.function.clone(),
            environment: self.facts.environment,
            cold_start: invocation.cold_start,
            init_ms: None,
            started_at: invocation.started,
            response_at: invocation.response_end.or(invocation.response_start),
            runtime_done_at: now,
            last_next_at: None,
            duration_ms: ms,
            billed_ms: 0,
            extension_overhead_ms: 0.0,
            status,
            error_type,
            produced_bytes: invocation.produced_bytes,
            max_memory_used_mb: 0,
            logs: invocation.logs,
            request_id,
        };
        self.out.push_back(Output::Finish(Box::new(record)));
    }

    /// Whether the worker of an invocation may make this call now.
    pub(super) fn allow_worker(
        &mut self,
        request_id: &str,
        event: RuntimeEvent,
        call: &'static str,
    ) -> Result<(), ApiError> {
        let refusal = self.crew.refusal(request_id);
        let invocation = self.crew.find(request_id).ok_or(refusal)?;
        let from = invocation.worker;
        let refused = ApiError::InvalidStateTransition { from: from.name(), call };
        invocation.worker = from.on(event).ok_or(refused)?;
        Ok(())
    }
}

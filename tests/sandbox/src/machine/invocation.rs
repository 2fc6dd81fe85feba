//! One invocation: handed to everybody, answered by the runtime, over when the last extension says so.

use bytes::Bytes;
use serde_json::json;

use super::events::Report;
use super::extension_state::{ExtensionEvent, ExtensionState};
use super::registry::Extension;
use super::runtime_state::{RuntimeEvent, RuntimeState};
use super::shutdown::Then;
use super::{Failure, Job, Machine, Output, Phase, ShutdownReason, Token};
use crate::answer::{Answer, ApiError};
use crate::clock::{Time, millis};
use crate::faults::Moment;
use crate::history::{Record, Status, What};
use crate::ids::Ids;
use crate::telemetry::{EventKind, TelemetryEvent};

/// Log bytes kept per invocation, for its record and the caller's log tail.
const LOG_BYTES_MAX: usize = 256 * 1024;
/// What `X-Amz-Log-Result` holds.
const LOG_TAIL_BYTES: usize = 4 * 1024;

#[derive(Debug)]
pub(super) struct Invocation {
    pub(super) job: Job,
    pub(super) span_id: String,
    pub(super) started: Time,
    pub(super) deadline: Time,
    pub(super) cold_start: bool,
    /// When it was handed to the runtime.
    pub(super) dispatched: Option<Time>,
    pub(super) response_start: Option<Time>,
    pub(super) response_end: Option<Time>,
    pub(super) produced_bytes: usize,
    /// The caller has its answer, or the beginning of it.
    pub(super) answered: bool,
    /// The error that the runtime reported.
    pub(super) error: Option<String>,
    /// Where the worker stands that has it, on Managed Instances.
    pub(super) worker: RuntimeState,
    runtime_done: Option<Time>,
    /// The latest `/event/next` of an INVOKE extension.
    pub(super) last_next: Option<Time>,
    status: Status,
    error_type: Option<String>,
    pub(super) logs: Vec<String>,
    log_bytes: usize,
}

impl Invocation {
    pub(super) fn new(job: Job, started: Time, deadline: Time, cold_start: bool, ids: &mut Ids) -> Self {
        Self {
            job,
            span_id: ids.span_id(),
            started,
            deadline,
            cold_start,
            dispatched: None,
            response_start: None,
            response_end: None,
            produced_bytes: 0,
            answered: false,
            error: None,
            worker: RuntimeState::Running,
            runtime_done: None,
            last_next: None,
            status: Status::Success,
            error_type: None,
            logs: Vec::new(),
            log_bytes: 0,
        }
    }

    pub(super) fn log(&mut self, line: &str) {
        if self.log_bytes + line.len() <= LOG_BYTES_MAX {
            self.log_bytes += line.len();
            self.logs.push(line.to_owned());
        }
    }

    pub(super) fn log_tail(&self) -> String {
        let text = self.logs.join("\n");
        let start = text.len().saturating_sub(LOG_TAIL_BYTES);
        let start = (start..=text.len()).find(|i| text.is_char_boundary(*i)).unwrap_or(text.len());
        text[start..].to_owned()
    }

    /// What the runtime gets for its `/next`.
    pub(super) fn next_answer(&self, deadline: Time) -> Answer {
        let job = &self.job;
        let mut answer = Answer {
            status: 200,
            content_type: "application/json",
            headers: vec![],
            body: job.payload.clone(),
        }
        .with("Lambda-Runtime-Aws-Request-Id", &job.request_id)
        .with("Lambda-Runtime-Deadline-Ms", deadline.as_millis().to_string())
        .with("Lambda-Runtime-Invoked-Function-Arn", &job.arn);
        let optional = [
            ("Lambda-Runtime-Trace-Id", &job.trace),
            ("Lambda-Runtime-Client-Context", &job.client_context),
            ("Lambda-Runtime-Cognito-Identity", &job.cognito_identity),
            ("Lambda-Runtime-Aws-Tenant-Id", &job.tenant_id),
        ];
        for (name, value) in optional {
            if let Some(value) = value {
                answer = answer.with(name, value);
            }
        }
        answer
    }

    /// The caller's answer, unless it has one.
    pub(super) fn reply(&mut self, payload: Bytes, error_type: Option<String>) -> Option<[Output; 2]> {
        if std::mem::replace(&mut self.answered, true) {
            return None;
        }
        self.error.clone_from(&error_type);
        let (cold_start, log_tail) = (self.cold_start, self.log_tail());
        let (function_error, request_id) = (error_type.is_some(), self.job.request_id.clone());
        let responded = What::Responded { bytes: Some(payload.len()), error_type };
        let note = Output::Note(responded, Some(request_id.clone()));
        Some([note, Output::Reply { request_id, payload, function_error, log_tail, cold_start }])
    }

    /// The same for one that failed.
    pub(super) fn fail(&mut self, failure: &Failure) -> Option<[Output; 2]> {
        let body = failure.payload.clone().unwrap_or_else(|| {
            let message = format!("RequestId: {} Error: {}", self.job.request_id, failure.message);
            json!({"errorType": failure.error_type, "errorMessage": message}).to_string().into()
        });
        self.reply(body, Some(failure.error_type.clone()))
    }
}

impl Machine {
    pub(super) fn begin_invocation(&mut self, now: Time, job: Job, cold_start: bool) {
        let deadline = now + self.facts.timeout;
        self.invocation = Some(Invocation::new(job, now, deadline, cold_start, &mut self.ids));
        self.dispatch(now);
    }

    /// Hands the invocation to the extensions and to the runtime.
    pub(super) fn dispatch(&mut self, now: Time) {
        self.phase = Phase::Invoke;
        let invocation = self.invocation.as_mut().expect("there is one to hand out");
        invocation.dispatched = Some(now);
        let cold_start = invocation.cold_start;
        let faults = invocation.job.telemetry_faults.clone();
        let forged = invocation.job.faults.forged.clone();
        self.clock_shift_ms = invocation.job.faults.clock_step_ms;
        let deadline = invocation.deadline.shifted(self.clock_shift_ms);
        let event = invoke_event(invocation, deadline);
        let next = invocation.next_answer(deadline);
        self.thaw();
        self.restore(now);
        self.out.push_back(Output::ReleaseTelemetry(faults));
        self.note(What::Invoke { cold_start });
        self.emit_start(now);
        forged.into_iter().for_each(|event| self.emit(now, EventKind::Forged, event));
        // One that reported an error while nothing was frozen does not wait for events any more.
        let ready = |e: &&mut Extension| e.invoke && e.state == ExtensionState::Ready;
        for extension in self.registry.extensions.iter_mut().filter(ready) {
            extension.apply(ExtensionEvent::DeliverInvoke, "Running").expect("it waits for an event");
            let token = extension.waiting.take().expect("a ready extension has a pending request");
            self.out.push_back(Output::Answer(token, event.clone()));
        }
        self.set_runtime(RuntimeEvent::Invoke, "Running").expect("the runtime waits for an invocation");
        let token = self.runtime.waiting.take().expect("a ready runtime has a pending request");
        self.answer(token, next);
        self.harm_extensions_at(Moment::Invoke);
    }

    pub(super) fn on_runtime_next(&mut self, now: Time, token: Token) {
        let from = match self.set_runtime(RuntimeEvent::Next, "Ready") {
            Ok(from) => from,
            Err(error) => return self.refuse(token, "invocation/next", error),
        };
        if self.is_managed() {
            if from == RuntimeState::Started {
                self.on_runtime_ready(now);
            }
            return self.on_worker_next(now, token);
        }
        if let Some(abandoned) = self.runtime.waiting.replace(token) {
            let error = ApiError::InvalidStateTransition { from: from.name(), call: "Ready" };
            self.answer(abandoned, error.into());
        }
        if from == RuntimeState::Started {
            return self.on_runtime_ready(now);
        }
        if from == RuntimeState::Ready {
            return;
        }
        if matches!(self.phase, Phase::Invoke) {
            let error = self.invocation.as_ref().and_then(|i| i.error.clone());
            let status = if error.is_some() { Status::Error } else { Status::Success };
            self.runtime_done(now, status, error);
            self.harm_extensions_at(Moment::RuntimeDone);
            self.advance_invocation(now);
        }
    }

    /// Ends the invocation once the runtime is done and no INVOKE extension works on it any more.
    pub(super) fn advance_invocation(&mut self, now: Time) {
        let done = self.invocation.as_ref().is_some_and(|i| i.runtime_done.is_some());
        if !done || self.registry.any_running() {
            return;
        }
        self.phase = Phase::Idle;
        let of_invocation = self.invocation.as_ref().and_then(|invocation| invocation.job.faults.kill);
        let closed = self.close(now);
        // First the freeze: what is reported now is delivered after the thaw.
        self.freeze();
        self.publish(closed);
        self.idle();
        if of_invocation == Some(Moment::Frozen) {
            self.kill_extensions();
        }
    }

    /// The deadline came: for the runtime, or for an extension that still works after it.
    pub(super) fn time_out(&mut self, now: Time) {
        let seconds = self.facts.timeout.as_secs_f64();
        let message = format!("Task timed out after {seconds:.2} seconds");
        let failure = Failure { status: Status::Timeout, ..Failure::error("Sandbox.Timedout", message) };
        if matches!(self.phase, Phase::Init(_)) {
            self.report_init_failure(now, &failure);
        }
        self.end_badly(now, &failure);
        self.report(now);
        self.begin_shutdown(now, ShutdownReason::Timeout, Then::Reset);
    }

    /// A process failed: the caller and the telemetry learn it, the environment is reset.
    pub(super) fn fail_invocation(&mut self, now: Time, failure: &Failure) {
        self.end_badly(now, failure);
        self.begin_shutdown(now, ShutdownReason::Failure, Then::Reset);
    }

    /// The service stops in the middle of it.
    pub(super) fn interrupt(&mut self) {
        if let Some(invocation) = &mut self.invocation {
            invocation.status = Status::Failure;
            invocation.error_type = Some("Sandbox.Failure".into());
            invocation.answered = true;
        }
    }

    /// After a failure the report waits for the extensions that still work on the invocation.
    pub(super) fn report_when_extensions_are_done(&mut self, now: Time) {
        if self.invocation.is_some() && !self.registry.any_running() {
            self.report(now);
        }
    }

    /// Closes the invocation, if there is one, with `platform.report`.
    pub(super) fn report(&mut self, now: Time) {
        let closed = self.close(now);
        self.publish(closed);
    }

    fn publish(&mut self, closed: Option<(TelemetryEvent, Record)>) {
        let Some((report, record)) = closed else { return };
        let what = What::Telemetry { kind: EventKind::Report };
        self.out.push_back(Output::Note(what, Some(record.request_id.clone())));
        self.out.push_back(Output::Emit(report));
        self.out.push_back(Output::Finish(Box::new(record)));
    }

    /// Does the sums of an invocation that is over.
    fn close(&mut self, now: Time) -> Option<(TelemetryEvent, Record)> {
        let invocation = self.invocation.take()?;
        let runtime_done = invocation.runtime_done.unwrap_or(now);
        let init = self.init_to_report.take();
        let duration = now.since(invocation.started);
        let with_extensions = self.registry.extensions.iter().any(|e| e.invoke);
        let report = Report {
            status: invocation.status,
            error_type: invocation.error_type.clone(),
            duration_ms: millis(duration),
            billed_ms: billed_ms(duration + init.unwrap_or_default()),
            init_ms: init.map(millis),
            overhead_since: with_extensions.then_some(runtime_done),
            overhead_ms: millis(now.since(runtime_done)),
        };
        let extension_ms = with_extensions.then_some(report.overhead_ms);
        let (ms, billed_ms) = (report.duration_ms, report.billed_ms);
        let what = What::Report { status: report.status, ms, billed_ms, extension_ms };
        self.out.push_back(Output::Note(what, Some(invocation.job.request_id.clone())));
        let record = self.report_record(&invocation, &report);
        let time = now.shifted(self.clock_shift_ms);
        let event = TelemetryEvent { time, kind: EventKind::Report, record };
        Some((event, self.record(invocation, report, runtime_done)))
    }

    fn record(&self, invocation: Invocation, report: Report, runtime_done_at: Time) -> Record {
        Record {
            request_id: invocation.job.request_id,
            function: self.facts.function.clone(),
            environment: self.facts.environment,
            cold_start: invocation.cold_start,
            init_ms: report.init_ms,
            started_at: invocation.started,
            response_at: invocation.response_end.or(invocation.response_start),
            runtime_done_at,
            last_next_at: invocation.last_next,
            duration_ms: report.duration_ms,
            billed_ms: report.billed_ms,
            extension_overhead_ms: report.overhead_ms,
            status: report.status,
            error_type: report.error_type,
            produced_bytes: invocation.produced_bytes,
            max_memory_used_mb: 0,
            logs: invocation.logs,
        }
    }

    /// What a timeout and a failure have in common: the caller's answer, runtimeDone, the status.
    fn end_badly(&mut self, now: Time, failure: &Failure) {
        let Some(invocation) = &self.invocation else { return };
        if invocation.dispatched.is_none() {
            self.emit_start(now);
        }
        let (answered, runtime_done) =
            self.invocation.as_ref().map(|i| (i.answered, i.runtime_done.is_some())).expect("checked above");
        if !answered {
            let invocation = self.invocation.as_mut().expect("checked above");
            let outputs = invocation.fail(failure);
            self.out.extend(outputs.into_iter().flatten());
        }
        // On demand, a timeout carries no error type.
        let error_type = (failure.status != Status::Timeout).then(|| failure.error_type.clone());
        if !runtime_done {
            self.runtime_done(now, failure.status, error_type.clone());
        }
        let invocation = self.invocation.as_mut().expect("checked above");
        invocation.status = failure.status;
        invocation.error_type = error_type;
        self.out.push_back(Output::FlushTelemetry);
    }

    fn runtime_done(&mut self, now: Time, status: Status, error_type: Option<String>) {
        let invocation = self.invocation.as_mut().expect("the runtime works on one");
        invocation.runtime_done = Some(now);
        invocation.status = status;
        invocation.error_type.clone_from(&error_type);
        let ms = millis(now.since(invocation.dispatched.unwrap_or(invocation.started)));
        let invocation = self.invocation.as_ref().expect("it is still there");
        let record = self.runtime_done_record(invocation, now, status, error_type.as_deref());
        self.note(What::RuntimeDone { status, error_type, ms });
        self.emit(now, EventKind::RuntimeDone, record);
    }

    fn emit_start(&mut self, now: Time) {
        let invocation = self.invocation.as_ref().expect("an invocation starts");
        // Where it never got as far as the runtime, it began with the init inside of it.
        let now = if invocation.dispatched.is_some() { now } else { invocation.started };
        let record = self.start_record(invocation);
        self.emit(now, EventKind::Start, record);
    }
}

fn invoke_event(invocation: &Invocation, deadline: Time) -> Answer {
    let mut event = json!({
        "eventType": "INVOKE",
        "deadlineMs": deadline.as_millis(),
        "requestId": invocation.job.request_id,
        "invokedFunctionArn": invocation.job.arn,
    });
    if let Some(value) = &invocation.job.trace {
        event["tracing"] = json!({"type": "X-Amzn-Trace-Id", "value": value});
    }
    Answer::json(200, &event).with("Lambda-Extension-Event-Identifier", invocation.job.request_id.clone())
}

/// Whole milliseconds, rounded up.
fn billed_ms(duration: std::time::Duration) -> u64 {
    let nanos = duration.as_nanos();
    u64::try_from(nanos.div_ceil(1_000_000)).expect("no invocation lasts 584 million years")
}

//! The records of platform events.

use serde_json::{Value, json};

use super::Machine;
use super::invocation::Invocation;
use super::registry::Extension;
use crate::clock::{Time, millis};
use crate::history::Status;

impl Machine {
    pub(super) fn init_start_record(&self, phase: &str) -> Value {
        json!({
            "initializationType": self.facts.init_type.name(),
            "phase": phase,
            "functionName": self.facts.function,
            "functionVersion": self.facts.version,
            "instanceId": self.facts.log_stream,
            "instanceMaxMemory": u64::from(self.facts.memory_mb) * 1024 * 1024,
        })
    }

    pub(super) fn restore_start_record(&self) -> Value {
        json!({
            "functionName": self.facts.function,
            "functionVersion": self.facts.version,
            "instanceId": self.facts.log_stream,
            "instanceMaxMemory": u64::from(self.facts.memory_mb) * 1024 * 1024,
        })
    }

    pub(super) fn init_runtime_done_record(&self, phase: &str, status: Status, error: Option<&str>) -> Value {
        let mut record = json!({
            "initializationType": self.facts.init_type.name(),
            "phase": phase,
            "status": status.name(),
            "spans": [],
        });
        add_error(&mut record, error);
        record
    }

    pub(super) fn init_report_record(
        &self,
        phase: &str,
        status: Status,
        error: Option<&str>,
        ms: f64,
    ) -> Value {
        let mut record = self.init_runtime_done_record(phase, status, error);
        record["metrics"] = json!({"durationMs": ms});
        record
    }

    pub(super) fn start_record(&self, invocation: &Invocation) -> Value {
        let mut record = json!({"requestId": invocation.job.request_id, "version": self.facts.version});
        if self.is_managed() {
            record["functionArn"] = json!(invocation.job.arn);
        }
        add_invocation(&mut record, invocation);
        record
    }

    pub(super) fn runtime_done_record(
        &self,
        invocation: &Invocation,
        now: Time,
        status: Status,
        error: Option<&str>,
    ) -> Value {
        let began = invocation.dispatched.unwrap_or(invocation.started);
        let mut record = json!({
            "requestId": invocation.job.request_id,
            "status": status.name(),
            "metrics": {"durationMs": millis(now.since(began)), "producedBytes": invocation.produced_bytes},
            "spans": runtime_spans(invocation, began, now),
        });
        add_error(&mut record, error);
        add_invocation(&mut record, invocation);
        record
    }

    /// Without anything that needs the runtime's `/next`, or that is paid for by the invocation.
    pub(super) fn managed_report_record(
        &self,
        invocation: &Invocation,
        duration_ms: f64,
        status: Status,
        error: Option<&str>,
    ) -> Value {
        let mut record = json!({
            "requestId": invocation.job.request_id,
            "status": status.name(),
            "metrics": {"durationMs": duration_ms},
        });
        let spans = response_spans(invocation, invocation.started);
        if !spans.is_empty() {
            record["spans"] = spans.into();
        }
        add_error(&mut record, error);
        add_invocation(&mut record, invocation);
        record
    }

    /// `maxMemoryUsedMB` is 0: the shell, which can measure, fills it in.
    pub(super) fn report_record(&self, invocation: &Invocation, report: &Report) -> Value {
        let mut record = json!({
            "requestId": invocation.job.request_id,
            "status": report.status.name(),
            "metrics": {
                "durationMs": report.duration_ms,
                "billedDurationMs": report.billed_ms,
                "memorySizeMB": self.facts.memory_mb,
                "maxMemoryUsedMB": 0,
            },
            "spans": [],
        });
        if let Some(ms) = report.init_ms {
            record["metrics"]["initDurationMs"] = json!(ms);
        }
        if let Some(since) = report.overhead_since {
            record["spans"] = json!([span("extensionOverhead", since, report.overhead_ms)]);
        }
        add_error(&mut record, report.error_type.as_deref());
        add_invocation(&mut record, invocation);
        record
    }
}

/// The numbers of `platform.report`.
pub(super) struct Report {
    pub(super) status: Status,
    pub(super) error_type: Option<String>,
    pub(super) duration_ms: f64,
    pub(super) billed_ms: u64,
    pub(super) init_ms: Option<f64>,
    /// When the runtime was done, if extensions take part in invocations.
    pub(super) overhead_since: Option<Time>,
    pub(super) overhead_ms: f64,
}

pub(super) fn restore_done_record() -> Value {
    json!({"status": Status::Success.name(), "spans": []})
}

pub(super) fn extension_record(extension: &Extension) -> Value {
    let mut record =
        json!({"name": extension.name, "state": extension.state.name(), "events": extension.events()});
    add_error(&mut record, extension.error_type.as_deref());
    record
}

fn runtime_spans(invocation: &Invocation, began: Time, now: Time) -> Vec<Value> {
    let mut spans = response_spans(invocation, began);
    if let Some(last) = invocation.response_end {
        spans.push(span("runtimeOverhead", last, millis(now.since(last))));
    }
    spans
}

fn response_spans(invocation: &Invocation, began: Time) -> Vec<Value> {
    let (Some(first), Some(last)) = (invocation.response_start, invocation.response_end) else {
        return vec![];
    };
    vec![
        span("responseLatency", began, millis(first.since(began))),
        span("responseDuration", first, millis(last.since(first))),
    ]
}

fn span(name: &str, start: Time, duration_ms: f64) -> Value {
    json!({"name": name, "start": start.to_string(), "durationMs": duration_ms})
}

fn add_error(record: &mut Value, error: Option<&str>) {
    if let Some(error) = error {
        record["errorType"] = json!(error);
    }
}

/// The trace context, which is left out when the invocation has none, and the tenant.
fn add_invocation(record: &mut Value, invocation: &Invocation) {
    if let Some(value) = &invocation.job.trace {
        record["tracing"] = json!({"spanId": invocation.span_id, "type": "X-Amzn-Trace-Id", "value": value});
    }
    if let Some(tenant) = &invocation.job.tenant_id {
        record["tenantId"] = json!(tenant);
    }
}

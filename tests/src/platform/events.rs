//! The platform's own words: answers to `/next`, and the events of the Telemetry API.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

/// The account, region and function of every fake invocation.
pub const FUNCTION_ARN: &str = "arn:aws:lambda:us-east-1:123456789012:function:orders";

/// Milliseconds since 1970, by the wall clock.
pub fn now_unix_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
    i64::try_from(since.as_millis()).expect("the clock is before the year 292 million")
}

/// One INVOKE.
#[derive(Clone, Debug)]
pub struct Invoke {
    /// The request id.
    pub request_id: String,
    /// The deadline, in milliseconds since 1970.
    pub deadline_unix_ms: i64,
    /// The value of the X-Ray header; `None` leaves the whole object out, as local emulators do.
    pub tracing: Option<String>,
    /// The ARN that was called, with an alias if one was.
    pub arn: String,
}

impl Invoke {
    /// An invocation with this id that may take `left`, with the tracing header of a function without X-Ray.
    pub fn new(request_id: &str, left: Duration) -> Self {
        let left = i64::try_from(left.as_millis()).expect("at most 15 minutes");
        Self {
            request_id: request_id.to_owned(),
            deadline_unix_ms: now_unix_ms() + left,
            tracing: Some("Root=1-68a0c1d2-0123456789abcdef01234567;Lineage=1:f3c1a2b4:0".to_owned()),
            arn: FUNCTION_ARN.to_owned(),
        }
    }

    /// With this tracing header, or none.
    #[must_use]
    pub fn tracing(mut self, header: Option<&str>) -> Self {
        self.tracing = header.map(str::to_owned);
        self
    }

    /// With this ARN.
    #[must_use]
    pub fn arn(mut self, arn: &str) -> Self {
        arn.clone_into(&mut self.arn);
        self
    }

    pub(super) fn to_answer(&self) -> Value {
        let mut answer = json!({
            "eventType": "INVOKE",
            "deadlineMs": self.deadline_unix_ms,
            "requestId": self.request_id,
            "invokedFunctionArn": self.arn,
        });
        if let Some(header) = &self.tracing {
            answer["tracing"] = json!({"type": "X-Amzn-Trace-Id", "value": header});
        }
        answer
    }
}

/// Why an environment ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It was idle.
    Spindown,
    /// The function took too long.
    Timeout,
    /// The runtime or an extension ended unasked.
    Failure,
}

impl Reason {
    /// The word in `shutdownReason`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Spindown => "spindown",
            Self::Timeout => "timeout",
            Self::Failure => "failure",
        }
    }
}

/// SHUTDOWN with a deadline `left_ms` from now, which may be in the past.
pub(super) fn shutdown(reason: &str, left_ms: i64) -> Value {
    json!({"eventType": "SHUTDOWN", "shutdownReason": reason, "deadlineMs": now_unix_ms() + left_ms})
}

/// An event of any type.
pub fn event(unix_ms: i64, kind: &str, record: &Value) -> Value {
    json!({"time": iso(unix_ms), "type": kind, "record": record})
}

/// The start of the initialisation.
pub fn init_start(unix_ms: i64, initialization_type: &str) -> Value {
    let record = json!({
        "initializationType": initialization_type, "phase": "init", "runtimeVersion": "nodejs:22.v31",
        "runtimeVersionArn": "arn:aws:lambda:us-east-1::runtime:0cdc", "functionName": "orders",
        "functionVersion": "$LATEST", "instanceId": "2026/11/22/[$LATEST]0a1b2c3d4e5f60718293a4b5c6d7e8f9",
        "instanceMaxMemory": 134_217_728,
    });
    event(unix_ms, "platform.initStart", &record)
}

/// The end of the runtime's part of the initialisation.
pub fn init_runtime_done(unix_ms: i64, initialization_type: &str) -> Value {
    let record = json!({
        "initializationType": initialization_type, "phase": "init", "status": "success", "spans": [],
    });
    event(unix_ms, "platform.initRuntimeDone", &record)
}

/// The report on the initialisation.
pub fn init_report(unix_ms: i64, initialization_type: &str, duration_ms: f64) -> Value {
    let record = json!({
        "initializationType": initialization_type, "phase": "init", "status": "success",
        "metrics": {"durationMs": duration_ms}, "spans": [],
    });
    event(unix_ms, "platform.initReport", &record)
}

/// The start of an invocation.
pub fn start(unix_ms: i64, request_id: &str) -> Value {
    event(unix_ms, "platform.start", &json!({"requestId": request_id, "version": "$LATEST"}))
}

/// The end of an invocation: `status` is success, error, failure or timeout.
pub fn runtime_done(unix_ms: i64, request_id: &str, status: &str, duration_ms: f64) -> Value {
    let record = json!({
        "requestId": request_id, "status": status,
        "metrics": {"durationMs": duration_ms, "producedBytes": 16},
        "spans": [{"name": "responseLatency", "start": iso(unix_ms), "durationMs": duration_ms}],
    });
    event(unix_ms, "platform.runtimeDone", &record)
}

/// The end of an invocation that went wrong, with the platform's name for it.
pub fn runtime_done_error(
    unix_ms: i64,
    request_id: &str,
    status: &str,
    duration_ms: f64,
    error_type: &str,
) -> Value {
    let mut done = runtime_done(unix_ms, request_id, status, duration_ms);
    done["record"]["errorType"] = error_type.into();
    done
}

/// The report on an invocation, which comes when the next one runs.
pub fn report(unix_ms: i64, request_id: &str, status: &str, duration_ms: f64) -> Value {
    let record = json!({
        "requestId": request_id, "status": status,
        "metrics": {"durationMs": duration_ms, "billedDurationMs": duration_ms.ceil(), "memorySizeMB": 128,
                    "maxMemoryUsedMB": 90},
    });
    event(unix_ms, "platform.report", &record)
}

/// A moment as the Telemetry API writes it: `2026-11-22T07:58:32.354Z`.
pub fn iso(unix_ms: i64) -> String {
    let (days, ms) = (unix_ms.div_euclid(86_400_000), unix_ms.rem_euclid(86_400_000));
    let (year, month, day) = date(days);
    let (seconds, ms) = (ms / 1000, ms % 1000);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

/// Year, month and day of a day counted from 1970, by walking: the years of a test are few.
fn date(mut days: i64) -> (i64, i64, i64) {
    let mut year = 1970;
    loop {
        let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let lengths = [31, if is_leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        for (month, length) in (1..).zip(lengths) {
            if days < length {
                return (year, month, days + 1);
            }
            days -= length;
        }
        year += 1;
    }
}

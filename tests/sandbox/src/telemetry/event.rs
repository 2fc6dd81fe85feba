//! Telemetry events and their JSON forms.

use std::fmt;

use serde_json::{Value, json};

use super::subscription::SchemaVersion;
use crate::clock::Time;
use crate::config::LogFormat;

/// The `type` of a telemetry event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[allow(missing_docs, reason = "each variant is the type of the same name")]
pub enum EventKind {
    InitStart,
    InitRuntimeDone,
    InitReport,
    RestoreStart,
    RestoreRuntimeDone,
    RestoreReport,
    Extension,
    TelemetrySubscription,
    Start,
    RuntimeDone,
    Report,
    LogsDropped,
    FunctionLine,
    ExtensionLine,
    /// An event that a fault makes up.
    Forged,
}

impl EventKind {
    /// The value of `type`.
    pub fn name(self) -> &'static str {
        match self {
            Self::InitStart => "platform.initStart",
            Self::InitRuntimeDone => "platform.initRuntimeDone",
            Self::InitReport => "platform.initReport",
            Self::RestoreStart => "platform.restoreStart",
            Self::RestoreRuntimeDone => "platform.restoreRuntimeDone",
            Self::RestoreReport => "platform.restoreReport",
            Self::Extension => "platform.extension",
            Self::TelemetrySubscription => "platform.telemetrySubscription",
            Self::Start => "platform.start",
            Self::RuntimeDone => "platform.runtimeDone",
            Self::Report => "platform.report",
            Self::LogsDropped => "platform.logsDropped",
            Self::FunctionLine => "function",
            Self::ExtensionLine => "extension",
            Self::Forged => "forged",
        }
    }

    /// The kind whose [`name`](Self::name) is `name`.
    pub fn from_name(name: &str) -> Option<Self> {
        let all = [
            Self::InitStart,
            Self::InitRuntimeDone,
            Self::InitReport,
            Self::RestoreStart,
            Self::RestoreRuntimeDone,
            Self::RestoreReport,
            Self::Extension,
            Self::TelemetrySubscription,
            Self::Start,
            Self::RuntimeDone,
            Self::Report,
            Self::LogsDropped,
            Self::FunctionLine,
            Self::ExtensionLine,
        ];
        all.into_iter().find(|kind| kind.name() == name)
    }

    /// The subscription type it belongs to: `platform`, `function` or `extension`.
    pub fn stream(self) -> &'static str {
        match self {
            Self::FunctionLine => "function",
            Self::ExtensionLine => "extension",
            _ => "platform",
        }
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One telemetry event.
#[derive(Clone, Debug, PartialEq)]
pub struct TelemetryEvent {
    /// When the platform produced it.
    pub time: Time,
    /// Its type.
    pub kind: EventKind,
    /// Its record: an object for platform events, a string for lines.
    pub record: Value,
}

impl TelemetryEvent {
    /// The event as a subscriber of `schema` receives it.
    ///
    /// From 2022-12-13 on, a line that is a JSON object becomes one when the function logs in JSON.
    pub(crate) fn render(&self, schema: SchemaVersion, format: LogFormat) -> String {
        if self.kind == EventKind::Forged {
            return self.record.as_str().map_or_else(|| self.record.to_string(), str::to_owned);
        }
        let object = match &self.record {
            Value::String(line) if format == LogFormat::Json && schema.has_object_records() => {
                serde_json::from_str::<Value>(line).ok().filter(Value::is_object)
            }
            _ => None,
        };
        let record = object.as_ref().unwrap_or(&self.record);
        json!({"time": self.time.to_string(), "type": self.kind.name(), "record": record}).to_string()
    }

    /// The invocation it belongs to, if it says so.
    pub fn request_id(&self) -> Option<&str> {
        self.record.get("requestId").and_then(Value::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn line(text: &str) -> TelemetryEvent {
        let time = Time::from_epoch(Duration::from_millis(1_795_334_312_354));
        TelemetryEvent { time, kind: EventKind::FunctionLine, record: text.into() }
    }

    #[test]
    fn lines_become_objects_only_with_json_logs_and_a_newer_schema() {
        use LogFormat::{Json, Text};
        use SchemaVersion::{V2022_07_01, V2022_12_13, V2025_01_29};
        let string = r#""{\"a\":1}""#;
        let object = r#"{"a":1}"#;
        let cases = [
            (V2022_07_01, Json, string),
            (V2022_12_13, Text, string),
            (V2022_12_13, Json, object),
            (V2025_01_29, Json, object),
        ];
        for (schema, format, record) in cases {
            let text = line(r#"{"a":1}"#).render(schema, format);
            assert!(text.contains(&format!("\"record\":{record}")), "{schema:?} {format:?} {text}");
        }
        assert!(line("7").render(V2025_01_29, Json).contains("\"record\":\"7\""), "only objects");
    }

    #[test]
    fn names_and_kinds_are_one_to_one() {
        for name in ["platform.report", "platform.initStart", "function", "extension"] {
            assert_eq!(EventKind::from_name(name).map(EventKind::name), Some(name));
        }
        assert_eq!(EventKind::from_name("platform.unheardOf"), None);
    }
}

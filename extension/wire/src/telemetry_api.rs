//! The Telemetry API: the subscription, and batches of events, read leniently one by one.
//!
//! # Source
//! <https://docs.aws.amazon.com/lambda/latest/dg/telemetry-api-reference.html>

use std::sync::Arc;
use std::time::Duration;

use policy::{EndStatus, Ending, InitPhase, PlatformEvent, Response, UnixNanos, Usage};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::logs::{Reader, Record as LogRecord, Wanted};
use crate::time::rfc3339;

/// Where to subscribe, on the API host.
pub const SUBSCRIBE_PATH: &str = "/2022-07-01/telemetry";

/// No measurement of the platform lasts longer: invocations and inits take minutes. What claims to is none, and would outweigh
/// every true one in a sum.
const DURATION_MAX: Duration = Duration::from_secs(86_400);

/// A version of the events' schema. Every one is read: fields are optional, and unknown ones are skipped.
///
/// # Source
/// <https://docs.aws.amazon.com/lambda/latest/dg/telemetry-schema-reference.html>
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schema {
    /// The newest, and the only one that Managed Instances accept.
    Of2025January29,
    /// The one before, which older platforms and emulators know.
    Of2022December13,
}

impl Schema {
    /// In the order in which they are to be tried.
    pub const ALL: [Self; 2] = [Self::Of2025January29, Self::Of2022December13];

    /// Its name in a subscription.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Of2025January29 => "2025-01-29",
            Self::Of2022December13 => "2022-12-13",
        }
    }
}

/// The body of the subscription for events of `schema` to be posted to `port`.
///
/// Never our own lines (`extension`): they would feed themselves. The function's on request. 25 ms is the shortest
/// buffering that the platform allows.
pub fn subscription(schema: Schema, port: u16, with_lines: bool) -> String {
    let types: &[&str] = if with_lines { &["platform", "function"] } else { &["platform"] };
    serde_json::json!({
        "schemaVersion": schema.as_str(),
        "types": types,
        "buffering": { "maxItems": 1000, "maxBytes": 262_144, "timeoutMs": 25 },
        "destination": { "protocol": "HTTP", "URI": format!("http://sandbox.localdomain:{port}/") },
    })
    .to_string()
}

/// What one posted batch held.
#[derive(Debug, Default)]
pub struct Batch {
    /// The events that mean something to policy, in order.
    pub events: Vec<PlatformEvent>,
    /// Log records, in order.
    pub logs: Vec<LogRecord>,
    /// `instanceId` of the init event: the log stream's name, which extensions are not told otherwise.
    pub instance_id: Option<String>,
    /// Events, or whole batches, that could not be read. Unknown types are no such thing.
    pub unreadable: u32,
}

/// Reads a batch that came at `received_at`. One event that cannot be read costs only itself.
pub fn batch(body: &[u8], received_at: UnixNanos) -> Batch {
    batch_with_logs(body, received_at, &mut Reader::default(), Wanted::None)
}

/// The same, with the log records that are `wanted`.
pub fn batch_with_logs(body: &[u8], received_at: UnixNanos, reader: &mut Reader, wanted: Wanted) -> Batch {
    let mut batch = Batch::default();
    let Ok(events) = serde_json::from_slice::<Vec<&RawValue>>(body) else {
        batch.unreadable = 1;
        return batch;
    };
    for raw in events {
        match serde_json::from_str::<Envelope<'_>>(raw.get()) {
            Ok(envelope) => {
                read(&mut batch, &envelope, received_at);
                if wanted != Wanted::None {
                    let at = envelope.at(received_at);
                    let record = envelope.record.map_or("{}", RawValue::get);
                    batch.logs.extend(reader.read(&envelope.kind, at, record, wanted));
                }
            }
            Err(_) => batch.unreadable += 1,
        }
    }
    batch
}

#[derive(Deserialize)]
struct Envelope<'a> {
    /// A text, in events that can be read.
    #[serde(default)]
    time: Value,
    #[serde(rename = "type", default)]
    kind: String,
    #[serde(borrow)]
    record: Option<&'a RawValue>,
}

impl Envelope<'_> {
    /// What happened matters more than when: an event without a readable time is not thrown away.
    fn at(&self, received_at: UnixNanos) -> UnixNanos {
        self.time.as_str().and_then(rfc3339).unwrap_or(received_at)
    }
}

/// A platform record. Each field is read when it is asked for: one that the platform one day writes otherwise costs only
/// itself.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Record<'a> {
    #[serde(borrow)]
    request_id: Raw<'a>,
    #[serde(borrow)]
    phase: Raw<'a>,
    #[serde(borrow)]
    status: Raw<'a>,
    #[serde(borrow)]
    error_type: Raw<'a>,
    #[serde(borrow)]
    runtime_version: Raw<'a>,
    #[serde(borrow)]
    instance_id: Raw<'a>,
    #[serde(borrow)]
    metrics: Raw<'a>,
    #[serde(borrow)]
    spans: Raw<'a>,
    #[serde(borrow)]
    dropped_records: Raw<'a>,
    #[serde(borrow)]
    dropped_bytes: Raw<'a>,
}

/// A value that is not read yet; `null` is none.
type Raw<'a> = Option<&'a RawValue>;

/// The value, if it is of this type.
fn readable<'a, T: Deserialize<'a>>(raw: Raw<'a>) -> Option<T> {
    serde_json::from_str(raw?.get()).ok()
}

/// A text that is not empty.
fn text(raw: Raw<'_>) -> Option<String> {
    readable(raw).filter(|text: &String| !text.is_empty())
}

/// The numbers of a record's `metrics`.
struct Metrics(Value);

impl Metrics {
    fn millis(&self, metric: &str) -> Option<Duration> {
        self.0[metric].as_f64().and_then(millis)
    }

    /// What the platform writes as MB are units of 1,048,576 bytes.
    fn megabytes(&self, metric: &str) -> Option<u64> {
        self.0[metric].as_u64().map(|megabytes| megabytes.saturating_mul(1 << 20))
    }

    fn usage(&self) -> Usage {
        Usage {
            billed: self.millis("billedDurationMs"),
            memory_bytes: self.megabytes("memorySizeMB"),
            memory_used_bytes: self.megabytes("maxMemoryUsedMB"),
            init: self.millis("initDurationMs"),
            restore: self.millis("restoreDurationMs"),
        }
    }
}

impl Record<'_> {
    fn request_id(&self) -> Option<Arc<str>> {
        text(self.request_id).map(Into::into)
    }

    fn metrics(&self) -> Metrics {
        Metrics(readable(self.metrics).unwrap_or_default())
    }

    fn response(&self) -> Response {
        let spans: Value = readable(self.spans).unwrap_or_default();
        let spans = spans.as_array().map_or(&[][..], Vec::as_slice);
        let named = |name: &str| {
            let span = spans.iter().find(|span| span["name"] == name)?;
            span["durationMs"].as_f64().and_then(millis)
        };
        Response { latency: named("responseLatency"), duration: named("responseDuration") }
    }

    /// No status at all is success (init events of older schemas); one that is not known is a failure.
    fn ending(&self) -> Ending {
        let status = match self.status.map(RawValue::get) {
            None | Some("\"success\"") => EndStatus::Success,
            Some("\"error\"") => EndStatus::Error,
            Some("\"timeout\"") => EndStatus::Timeout,
            Some(_) => EndStatus::Failure,
        };
        Ending { status, error_type: text(self.error_type).map(Into::into) }
    }
}

fn read(batch: &mut Batch, envelope: &Envelope<'_>, received_at: UnixNanos) {
    if !envelope.kind.starts_with("platform.") {
        return;
    }
    let record = envelope.record.map_or("{}", RawValue::get);
    let record: Record<'_> = serde_json::from_str(record).unwrap_or_default();
    if let Some(instance_id) = text(record.instance_id) {
        batch.instance_id = Some(instance_id);
    }
    let event = event(&envelope.kind, envelope.at(received_at), &record);
    batch.unreadable += u32::from(event.is_none() && NAME_AN_INVOCATION.contains(&envelope.kind.as_str()));
    batch.events.extend(event);
}

/// Events that mean nothing where they do not say of which invocation they are.
const NAME_AN_INVOCATION: [&str; 3] = ["platform.start", "platform.runtimeDone", "platform.report"];

fn event(kind: &str, at: UnixNanos, record: &Record<'_>) -> Option<PlatformEvent> {
    let restore = kind.starts_with("platform.restore");
    let ending = record.ending();
    let phase =
        if text(record.phase).as_deref() == Some("invoke") { InitPhase::Invoke } else { InitPhase::Init };
    let metrics = record.metrics();
    let duration = metrics.millis("durationMs");
    Some(match kind {
        "platform.initStart" | "platform.restoreStart" => PlatformEvent::InitStart {
            at,
            restore,
            phase,
            runtime_version: text(record.runtime_version).map(Into::into),
        },
        "platform.initRuntimeDone" | "platform.restoreRuntimeDone" => {
            PlatformEvent::InitRuntimeDone { at, restore, ending }
        }
        "platform.initReport" | "platform.restoreReport" => {
            PlatformEvent::InitReport { at, phase, restore, ending, duration }
        }
        "platform.start" => PlatformEvent::Start { request_id: record.request_id()?, at },
        "platform.runtimeDone" => {
            let produced_bytes = metrics.0["producedBytes"].as_u64();
            let (response, request_id) = (record.response(), record.request_id()?);
            PlatformEvent::RuntimeDone { request_id, at, ending, duration, produced_bytes, response }
        }
        "platform.report" => {
            let usage = metrics.usage();
            PlatformEvent::Report { request_id: record.request_id()?, at, ending, duration, usage }
        }
        "platform.logsDropped" => PlatformEvent::LogsDropped {
            records: readable(record.dropped_records).unwrap_or(1),
            bytes: readable(record.dropped_bytes).unwrap_or(0),
        },
        _ => return None,
    })
}

fn millis(ms: f64) -> Option<Duration> {
    Duration::try_from_secs_f64(ms / 1_000.0).ok().filter(|duration| *duration <= DURATION_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(json: &str) -> PlatformEvent {
        let mut batch = batch(format!("[{json}]").as_bytes(), UnixNanos(7));
        assert_eq!((batch.events.len(), batch.unreadable), (1, 0), "{json}");
        batch.events.remove(0)
    }

    #[test]
    fn a_runtime_done_is_read_whole() {
        let event = one(
            r#"{"time":"2026-11-22T07:58:30.000Z","type":"platform.runtimeDone","record":{"requestId":"r1",
            "status":"error","errorType":"Runtime.ExitError","metrics":{"durationMs":140.25,"producedBytes":16},
            "spans":[{"name":"responseLatency","start":"2026-11-22T07:58:29.900Z","durationMs":70.0},{"name":"responseDuration","durationMs":0.02}]}}"#,
        );
        let PlatformEvent::RuntimeDone { request_id, ending, duration, produced_bytes, response, .. } = event
        else {
            panic!("{event:?}");
        };
        let (latency, whole) = (Duration::from_millis(70), Duration::from_micros(20));
        assert_eq!(response, Response { latency: Some(latency), duration: Some(whole) });
        assert_eq!((&*request_id, produced_bytes), ("r1", Some(16)));
        assert_eq!(duration, Some(Duration::from_micros(140_250)));
        assert_eq!(ending.error_class().as_deref(), Some("Runtime.ExitError"));
    }

    #[test]
    fn a_report_tells_what_was_used() {
        let event = one(
            r#"{"time":"2026-11-22T07:58:32.574Z","type":"platform.report","record":{"requestId":"r1","status":"success",
            "metrics":{"durationMs":220.1,"billedDurationMs":561,"memorySizeMB":128,"maxMemoryUsedMB":90,
            "initDurationMs":340.68}}}"#,
        );
        let PlatformEvent::Report { usage, .. } = event else { panic!("{event:?}") };
        let expected = Usage {
            billed: Some(Duration::from_millis(561)),
            memory_bytes: Some(128 << 20),
            memory_used_bytes: Some(90 << 20),
            init: Some(Duration::from_micros(340_680)),
            restore: None,
        };
        assert_eq!(usage, expected);
    }

    #[test]
    fn one_bad_event_costs_only_itself() {
        let read = batch(
            br#"[{"time":"2026-11-22T07:58:30.000Z","type":"platform.fromTheFuture","record":{"a":[1]}},
            {"time":"yesterday","type":"platform.start","record":{"requestId":"a"}},
            {"time":"2026-11-22T07:58:30.000Z","type":"platform.start","record":{"requestId":17}},
            {"time":"2026-11-22T07:58:30.000Z","type":"function","record":"text"},
            {"time":"2026-11-22T07:58:30.000Z","type":"platform.start","record":{"requestId":"b"}}]"#,
            UnixNanos(7),
        );
        assert_eq!(read.unreadable, 1);
        let [PlatformEvent::Start { at: UnixNanos(7), .. }, PlatformEvent::Start { request_id, .. }] =
            &read.events[..]
        else {
            panic!("{read:?}");
        };
        assert_eq!(&**request_id, "b");
        assert_eq!(batch(b"not json", UnixNanos(7)).unreadable, 1);
    }

    #[test]
    fn one_unreadable_field_costs_only_itself() {
        let whole = serde_json::json!({
            "time": "2026-11-22T07:58:30.000Z",
            "type": "platform.runtimeDone",
            "record": {
                "requestId": "r1", "status": "error", "errorType": "Runtime.ExitError",
                "metrics": { "durationMs": 140.25, "producedBytes": 16 },
                "spans": [{ "name": "responseLatency", "durationMs": 70.0 }],
                "tracing": { "spanId": "x", "type": "X-Amzn-Trace-Id", "value": "y" },
            },
        });
        let odd =
            [serde_json::json!(17), serde_json::json!(["x"]), serde_json::json!({ "x": 1 }), Value::Null];
        let fields = [
            "/time",
            "/record/status",
            "/record/errorType",
            "/record/metrics",
            "/record/metrics/durationMs",
            "/record/metrics/producedBytes",
            "/record/spans",
            "/record/spans/0",
            "/record/spans/0/durationMs",
            "/record/tracing",
        ];
        for (field, odd) in fields.iter().flat_map(|field| odd.iter().map(move |odd| (field, odd))) {
            let mut event = whole.clone();
            *event.pointer_mut(field).expect("it is there") = odd.clone();
            let read = batch(serde_json::json!([event]).to_string().as_bytes(), UnixNanos(7));
            let [PlatformEvent::RuntimeDone { request_id, ending, .. }] = &read.events[..] else {
                panic!("{field} as {odd}: {read:?}");
            };
            assert_eq!((&**request_id, read.unreadable), ("r1", 0), "{field} as {odd}");
            let is_success = ending.status == EndStatus::Success;
            assert_eq!(
                is_success,
                *field == "/record/status" && odd.is_null(),
                "{field} as {odd}: {ending:?}"
            );
        }
    }

    #[test]
    fn the_log_stream_is_learned_from_init() {
        let read = batch(
            br#"[{"time":"2026-11-22T07:58:29.858Z","type":"platform.initStart",
            "record":{"initializationType":"on-demand","phase":"init","instanceId":"2026/11/22/[$LATEST]0a"}}]"#,
            UnixNanos(7),
        );
        assert_eq!(read.instance_id.as_deref(), Some("2026/11/22/[$LATEST]0a"));
    }

    #[test]
    fn an_unknown_status_is_a_failure_and_a_missing_one_is_not() {
        let status = |json: &str| serde_json::from_str::<Record<'_>>(json).expect("valid").ending().status;
        assert_eq!(status("{}"), EndStatus::Success);
        assert_eq!(status(r#"{"status":"melted"}"#), EndStatus::Failure);
    }

    #[test]
    fn what_claims_to_last_longer_than_a_day_is_no_measurement() {
        for (written, read) in [
            ("86400000", Some(DURATION_MAX)),
            ("86400000.1", None),
            ("1e22", None),
            ("1e300", None),
            ("-1", None),
        ] {
            let text = format!(
                r#"[{{"time":"2026-11-22T07:58:30.000Z","type":"platform.report","record":{{"requestId":"r1",
                "metrics":{{"durationMs":{written},"billedDurationMs":{written},"initDurationMs":{written}}}}}}},
                {{"time":"2026-11-22T07:58:30.000Z","type":"platform.runtimeDone","record":{{"requestId":"r1",
                "spans":[{{"name":"responseLatency","durationMs":{written}}}]}}}}]"#
            );
            let events = batch(text.as_bytes(), UnixNanos(7)).events;
            let [PlatformEvent::Report { duration, usage, .. }, PlatformEvent::RuntimeDone { response, .. }] =
                &events[..]
            else {
                panic!("{events:?}");
            };
            let told = [*duration, usage.billed, usage.init, response.latency];
            assert_eq!(told, [read; 4], "{written}");
        }
    }
}

//! One environment of a story: a platform with the extension in it, and a backend; and the sentences of stories.

use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use prost::Message;
use serde_json::Value;
use tests::collector::{Collector, SpanSeen};
use tests::http1::{Headers, Response};
use tests::otlp::{self, Ids, SpanExt, traces};
use tests::platform::events::{now_unix_ms, runtime_done};
use tests::platform::{Invoke, Platform, Reason, Script};

/// Longer than any test waits: an invocation in which nothing may happen because its deadline is near.
pub(super) const LONG: Duration = Duration::from_secs(60);

/// The extension between its platform and its backend.
pub(super) struct World {
    /// Dropped first: the process must not see its backend go.
    pub(super) platform: Platform,
    pub(super) collector: Collector,
}

impl World {
    /// An extension that waits for its first invocation.
    pub(super) fn start() -> Self {
        Self::with(|script| script)
    }

    /// The same, with a script of the test's own shape.
    pub(super) fn with(shape: impl FnOnce(Script) -> Script) -> Self {
        Self::with_endpoint("PREFREEZE_EXPORTER_OTLP_ENDPOINT", "", shape)
    }

    /// The same, with the backend's URL and this path in this variable.
    pub(super) fn with_endpoint(variable: &str, path: &str, shape: impl FnOnce(Script) -> Script) -> Self {
        let collector = Collector::start();
        let endpoint = format!("{}{path}", collector.endpoint());
        let platform = Platform::ready(&shape(Script::new().env(variable, endpoint)));
        Self { platform, collector }
    }

    /// Begins an invocation that has a minute.
    #[track_caller]
    pub(super) fn invoke(&self, request_id: &str) -> Instant {
        self.platform.answer_next(&Invoke::new(request_id, LONG))
    }

    /// Sends spans as the function's SDK does; asserts that they are accepted.
    #[track_caller]
    pub(super) fn post_spans(&self, spans: impl IntoIterator<Item = Span>) {
        self.post_traces(&traces(spans));
    }

    /// Sends a request as the function's SDK does; asserts that it is accepted whole.
    #[track_caller]
    pub(super) fn post_traces(&self, request: &ExportTraceServiceRequest) {
        let response = self.post("/v1/traces", &request.encode_to_vec());
        assert_eq!((response.status, response.body), (200, Vec::new()), "the answer to spans");
    }

    /// Posts protobuf to the receiver.
    #[track_caller]
    pub(super) fn post(&self, path: &str, body: &[u8]) -> Response {
        self.platform.post_otlp(path, body, &protobuf())
    }

    /// An invocation that sends one SERVER span under its name and id: the usual good case, up to the next `/next`.
    #[track_caller]
    pub(super) fn invoke_well(&self, request_id: &str, seed: u64) -> Ids {
        let ids = Ids::new(seed);
        self.invoke(request_id);
        self.post_spans([server_span(request_id, ids, request_id)]);
        self.platform.wait_next();
        ids
    }

    /// `platform.runtimeDone` with status success.
    #[track_caller]
    pub(super) fn runtime_done(&self, request_id: &str) {
        self.platform.post_telemetry(&[runtime_done(now_unix_ms(), request_id, "success", 12.5)]);
    }

    /// Blocks until the backend has taken a span of this name.
    #[track_caller]
    pub(super) fn expect_span(&self, name: &str) -> SpanSeen {
        self.collector.expect(&format!("the span {name:?}"), |state| state.has_span(name));
        self.span(name)
    }

    /// The span of this name that the backend has taken.
    #[track_caller]
    pub(super) fn span(&self, name: &str) -> SpanSeen {
        let mut spans = self.spans(name);
        assert_eq!(spans.len(), 1, "spans {name:?}; the backend saw:\n{}", self.collector.state());
        spans.remove(0)
    }

    /// Every span of this name that the backend has taken.
    pub(super) fn spans(&self, name: &str) -> Vec<SpanSeen> {
        self.collector.spans().into_iter().filter(|seen| seen.span.name == name).collect()
    }

    /// The names of all spans that the backend has taken, sorted.
    pub(super) fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.collector.spans().into_iter().map(|seen| seen.span.name).collect();
        names.sort();
        names
    }

    /// SHUTDOWN in peace, and the books that the extension closed with.
    #[track_caller]
    pub(super) fn close(&self) -> Summary {
        self.platform.spin_down();
        self.summary()
    }

    /// SHUTDOWN for this reason, with the usual two seconds, which the extension keeps to.
    #[track_caller]
    pub(super) fn end(&self, reason: Reason) {
        self.platform.shutdown(reason, Duration::from_secs(2));
        assert!(self.platform.wait_exit().0.success());
    }

    /// The summary line of an extension that has ended.
    #[track_caller]
    pub(super) fn summary(&self) -> Summary {
        let mut lines = self.platform.log("summary");
        assert_eq!(lines.len(), 1, "summary lines");
        let summary = Summary(lines.remove(0));
        summary.assert_balanced();
        summary
    }
}

/// A span that has just ended, after 5 ms.
pub(super) fn span(name: &str, ids: Ids) -> Span {
    let end = nanos(now_unix_ms());
    otlp::span(name, ids).with_times(end - 5_000_000, end)
}

/// A SERVER span of this invocation that has just ended.
pub(super) fn server_span(name: &str, ids: Ids, request_id: &str) -> Span {
    let end = nanos(now_unix_ms());
    otlp::server_span(name, ids, request_id).with_times(end - 5_000_000, end)
}

/// The header of every protobuf request.
pub(super) fn protobuf() -> Headers {
    Headers::from([("Content-Type", "application/x-protobuf")])
}

/// The books, as printed.
#[derive(Debug)]
pub(super) struct Summary(pub(super) Value);

impl Summary {
    /// A count of the first level.
    #[track_caller]
    pub(super) fn count(&self, key: &str) -> u64 {
        self.0[key].as_u64().unwrap_or_else(|| panic!("no count {key:?} in {}", self.0))
    }

    /// How many spans were dropped, for whatever reason.
    pub(super) fn dropped(&self) -> u64 {
        let reasons = self.0["dropped"].as_object().expect("dropped is an object");
        reasons.values().map(|count| count.as_u64().expect("a count")).sum()
    }

    /// How many spans were dropped for one reason.
    pub(super) fn dropped_for(&self, reason: &str) -> u64 {
        self.0["dropped"][reason].as_u64().unwrap_or(0)
    }

    #[track_caller]
    fn assert_balanced(&self) {
        let copied = self.0["copied"].as_u64().unwrap_or(0);
        let came = self.count("received") + self.count("recovered") + self.count("made") + copied;
        let went = self.count("exported") + self.count("sampled_out") + self.count("held") + self.dropped();
        assert_eq!(came, went, "the books do not balance: {}", self.0);
    }
}

/// What a story asks of a span.
pub(super) trait Questions {
    /// Whether its status is ERROR; nothing else but UNSET is allowed.
    fn is_error(&self) -> bool;
    /// Whether it says that it waited for a cold start.
    fn is_cold(&self) -> bool;
}

impl Questions for SpanSeen {
    #[track_caller]
    fn is_error(&self) -> bool {
        let code = self.span.status.as_ref().map_or(0, |status| status.code);
        assert_ne!(code, i32::from(StatusCode::Ok), "OK is for the developer of the function to say");
        code == i32::from(StatusCode::Error)
    }

    fn is_cold(&self) -> bool {
        self.attribute("faas.coldstart") == Some(&Any::BoolValue(true))
    }
}

/// Nanoseconds of a moment in milliseconds.
pub(super) fn nanos(unix_ms: i64) -> u64 {
    u64::try_from(unix_ms).expect("after 1970") * 1_000_000
}

//! Builders of OTLP payloads: what a function's SDK would have sent.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, metric,
    number_data_point,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link, SpanKind};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};

/// When a built span starts unless told otherwise: a round moment of November 2026, in nanoseconds since 1970.
pub const START_UNIX_NANO: u64 = 1_795_000_000_000_000_000;

/// Ids made from a seed: the same seed gives the same ids, two seeds give different ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ids {
    /// Never zero.
    pub trace: [u8; 16],
    /// Never zero.
    pub span: [u8; 8],
}

impl Ids {
    /// A trace and a span in it.
    pub fn new(seed: u64) -> Self {
        let mut trace = [0; 16];
        trace[..8].copy_from_slice(&scramble(seed).to_be_bytes());
        trace[8..].copy_from_slice(&scramble(seed ^ u64::MAX).to_be_bytes());
        Self { trace, span: scramble(seed.wrapping_add(1) << 20).to_be_bytes() }
    }

    /// Another span of the same trace.
    #[must_use]
    pub fn sibling(self, number: u64) -> Self {
        let base = u64::from_be_bytes(self.span);
        Self { trace: self.trace, span: scramble(base.wrapping_add(number)).to_be_bytes() }
    }
}

/// A bijection without visible pattern (the finalizer of SplitMix64), kept away from zero, which no id may be.
fn scramble(seed: u64) -> u64 {
    let mut value = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (value ^ (value >> 31)).max(1)
}

/// A root span of kind INTERNAL that took 10 ms; shape it further with [`SpanExt`].
pub fn span(name: &str, ids: Ids) -> Span {
    Span {
        trace_id: ids.trace.to_vec(),
        span_id: ids.span.to_vec(),
        name: name.to_owned(),
        kind: SpanKind::Internal.into(),
        start_time_unix_nano: START_UNIX_NANO,
        end_time_unix_nano: START_UNIX_NANO + 10_000_000,
        ..Span::default()
    }
}

/// A SERVER span that says which invocation it belongs to, under the current attribute name.
pub fn server_span(name: &str, ids: Ids, request_id: &str) -> Span {
    span(name, ids).with_kind(SpanKind::Server).with_text("faas.invocation_id", request_id)
}

/// Shapes a span, step by step.
pub trait SpanExt: Sized {
    /// With this kind.
    #[must_use]
    fn with_kind(self, kind: SpanKind) -> Self;
    /// Under this parent, in the parent's trace.
    #[must_use]
    fn with_parent(self, parent: Ids) -> Self;
    /// With one more attribute.
    #[must_use]
    fn with_attribute(self, key: &str, value: any_value::Value) -> Self;
    /// With one more attribute, a string.
    #[must_use]
    fn with_text(self, key: &str, value: &str) -> Self {
        self.with_attribute(key, any_value::Value::StringValue(value.to_owned()))
    }
    /// With this status.
    #[must_use]
    fn with_status(self, code: StatusCode, message: &str) -> Self;
    /// With one more link.
    #[must_use]
    fn with_link(self, to: Ids) -> Self;
    /// With one more event, in the middle of the span.
    #[must_use]
    fn with_event(self, name: &str) -> Self;
    /// With these ends, in nanoseconds since 1970.
    #[must_use]
    fn with_times(self, start_unix_nano: u64, end_unix_nano: u64) -> Self;
}

impl SpanExt for Span {
    fn with_kind(mut self, kind: SpanKind) -> Self {
        self.kind = kind.into();
        self
    }

    fn with_parent(mut self, parent: Ids) -> Self {
        self.trace_id = parent.trace.to_vec();
        self.parent_span_id = parent.span.to_vec();
        self
    }

    fn with_attribute(mut self, key: &str, value: any_value::Value) -> Self {
        self.attributes.push(key_value(key, value));
        self
    }

    fn with_status(mut self, code: StatusCode, message: &str) -> Self {
        self.status = Some(Status { code: code.into(), message: message.to_owned() });
        self
    }

    fn with_link(mut self, to: Ids) -> Self {
        self.links.push(Link { trace_id: to.trace.to_vec(), span_id: to.span.to_vec(), ..Link::default() });
        self
    }

    fn with_event(mut self, name: &str) -> Self {
        let time_unix_nano = u64::midpoint(self.start_time_unix_nano, self.end_time_unix_nano);
        self.events.push(Event { time_unix_nano, name: name.to_owned(), ..Event::default() });
        self
    }

    fn with_times(mut self, start_unix_nano: u64, end_unix_nano: u64) -> Self {
        self.start_time_unix_nano = start_unix_nano;
        self.end_time_unix_nano = end_unix_nano;
        self
    }
}

/// A pair of key and value.
pub fn key_value(key: &str, value: any_value::Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

/// A pair of key and text.
pub fn text(key: &str, value: &str) -> KeyValue {
    key_value(key, any_value::Value::StringValue(value.to_owned()))
}

/// The resource that a bare SDK reports.
pub fn resource() -> Resource {
    let attributes = vec![
        text("service.name", "orders"),
        text("telemetry.sdk.name", "opentelemetry"),
        text("telemetry.sdk.language", "nodejs"),
        text("telemetry.sdk.version", "2.1.0"),
    ];
    Resource { attributes, ..Resource::default() }
}

/// The scope of every built span, record and metric.
pub fn scope() -> InstrumentationScope {
    InstrumentationScope {
        name: "app".to_owned(),
        version: "1.0".to_owned(),
        ..InstrumentationScope::default()
    }
}

/// A request with these spans in one scope of [`resource`].
pub fn traces(spans: impl IntoIterator<Item = Span>) -> ExportTraceServiceRequest {
    traces_of(resource(), spans)
}

/// A request with these spans in one scope of a resource.
pub fn traces_of(resource: Resource, spans: impl IntoIterator<Item = Span>) -> ExportTraceServiceRequest {
    let scope_spans =
        ScopeSpans { scope: Some(scope()), spans: spans.into_iter().collect(), ..ScopeSpans::default() };
    let group = ResourceSpans {
        resource: Some(resource),
        scope_spans: vec![scope_spans],
        ..ResourceSpans::default()
    };
    ExportTraceServiceRequest { resource_spans: vec![group] }
}

/// A request with one monotonic delta sum of a single point.
pub fn metrics(name: &str, value: i64) -> ExportMetricsServiceRequest {
    let point = NumberDataPoint {
        start_time_unix_nano: START_UNIX_NANO,
        time_unix_nano: START_UNIX_NANO + 1_000_000_000,
        value: Some(number_data_point::Value::AsInt(value)),
        ..NumberDataPoint::default()
    };
    let sum = Sum {
        data_points: vec![point],
        aggregation_temporality: AggregationTemporality::Delta.into(),
        is_monotonic: true,
    };
    let metric = Metric { name: name.to_owned(), data: Some(metric::Data::Sum(sum)), ..Metric::default() };
    let scope_metrics =
        ScopeMetrics { scope: Some(scope()), metrics: vec![metric], ..ScopeMetrics::default() };
    let group = ResourceMetrics {
        resource: Some(resource()),
        scope_metrics: vec![scope_metrics],
        ..ResourceMetrics::default()
    };
    ExportMetricsServiceRequest { resource_metrics: vec![group] }
}

/// A request with one log record.
pub fn logs(body: &str) -> ExportLogsServiceRequest {
    let record = LogRecord {
        time_unix_nano: START_UNIX_NANO,
        body: Some(AnyValue { value: Some(any_value::Value::StringValue(body.to_owned())) }),
        ..LogRecord::default()
    };
    let scope_logs = ScopeLogs { scope: Some(scope()), log_records: vec![record], ..ScopeLogs::default() };
    let group =
        ResourceLogs { resource: Some(resource()), scope_logs: vec![scope_logs], ..ResourceLogs::default() };
    ExportLogsServiceRequest { resource_logs: vec![group] }
}

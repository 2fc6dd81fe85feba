//! The messages of OTLP: the key of each field in JSON, its number, and how it is written in protobuf.
//!
//! # Source
//! <https://github.com/open-telemetry/opentelemetry-proto/tree/v1.11.0/opentelemetry/proto>

use policy::Signal;

/// The fields of a message, in the order of their numbers.
pub(super) type Rows = &'static [Row];

/// A field of a message.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) key: &'static str,
    pub(super) number: u32,
    pub(super) kind: Kind,
    pub(super) is_repeated: bool,
}

/// Bytes of an id. A Collector refuses a whole request for one that has others.
///
/// # Source
/// <https://github.com/open-telemetry/opentelemetry-collector/blob/main/pdata/internal/data/traceid.go>
const TRACE_ID: usize = 16;
const SPAN_ID: usize = 8;

/// What a field holds, and how it is written.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Text,
    /// So many bytes, or none; in JSON they are hex: trace ids and span ids.
    Id(usize),
    /// Bytes that are base64 in JSON.
    Bytes,
    Flag,
    /// `int32`, `int64`.
    Int,
    /// The `int64` of an `AnyValue`: a number in JSON that does not fit becomes its `double`.
    Whole,
    /// `uint32`, `uint64`.
    Unsigned,
    /// `sint32`.
    Zigzag,
    Fixed32,
    Fixed64,
    /// `sfixed64`.
    Signed64,
    Double,
    /// A number; its names, in the order of their numbers, are understood although they are not OTLP: protobuf's
    /// own JSON writers send them, and a batch is not lost for that.
    Enum(&'static [&'static str]),
    Message(&'static Rows),
}

impl Kind {
    /// Whether several are put into one field.
    pub(super) const fn is_packed(self) -> bool {
        !matches!(self, Self::Text | Self::Id(_) | Self::Bytes | Self::Message(_))
    }
}

/// `AnyValue.string_value` and `AnyValue.double_value`.
pub(super) const ANY_TEXT: u32 = 1;
pub(super) const ANY_DOUBLE: u32 = 4;

/// What becomes of a value in JSON that is not of the type of its field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mended {
    /// An `AnyValue` holds its JSON text.
    AsText,
    /// A text is what is written there.
    AsWords,
    /// The field is left out.
    LeftOut,
    /// The span, log record or metric is refused alone.
    Refused,
    /// It is for the message around it.
    Never,
}

/// What becomes of a value that is not of the type of `row`.
pub(super) fn mended(row: &Row) -> Mended {
    match row.kind {
        Kind::Message(rows) if std::ptr::eq(*rows, ANY_VALUE) => Mended::AsText,
        Kind::Message(rows) if [RESOURCE, SCOPE, ENTITY_REF].iter().any(|own| std::ptr::eq(*rows, *own)) => {
            Mended::LeftOut
        }
        Kind::Message(rows) if [SPAN, LOG_RECORD, METRIC].iter().any(|own| std::ptr::eq(*rows, *own)) => {
            Mended::Refused
        }
        // Its `AnyValue` is mended as a whole, for one that is of no type has no value.
        Kind::Text if row.key != "stringValue" => Mended::AsWords,
        Kind::Enum(_) => Mended::LeftOut,
        _ if row.key.starts_with("dropped") || row.key == "flags" => Mended::LeftOut,
        _ => Mended::Never,
    }
}

/// The export request of a signal.
pub(super) const fn request(signal: Signal) -> Rows {
    match signal {
        Signal::Traces => TRACES,
        Signal::Metrics => METRICS,
        Signal::Logs => LOGS,
    }
}

/// `ResourceSpans`, `ResourceMetrics` or `ResourceLogs`.
pub(super) const fn group(signal: Signal) -> Rows {
    match signal {
        Signal::Traces => RESOURCE_SPANS,
        Signal::Metrics => RESOURCE_METRICS,
        Signal::Logs => RESOURCE_LOGS,
    }
}

/// `ScopeSpans`, `ScopeMetrics` or `ScopeLogs`.
pub(super) const fn scope(signal: Signal) -> Rows {
    match signal {
        Signal::Traces => SCOPE_SPANS,
        Signal::Metrics => SCOPE_METRICS,
        Signal::Logs => SCOPE_LOGS,
    }
}

/// `Span`, `Metric` or `LogRecord`.
pub(super) const fn item(signal: Signal) -> Rows {
    match signal {
        Signal::Traces => SPAN,
        Signal::Metrics => METRIC,
        Signal::Logs => LOG_RECORD,
    }
}

/// Whether these are the fields of a message around items: of a request, a group or a scope's part of it.
pub(super) fn is_around_items(rows: Rows) -> bool {
    let around = |signal| [request(signal), group(signal), scope(signal)];
    Signal::ALL.into_iter().flat_map(around).any(|around| std::ptr::eq(around, rows))
}

const fn one(key: &'static str, number: u32, kind: Kind) -> Row {
    Row { key, number, kind, is_repeated: false }
}

const fn many(key: &'static str, number: u32, kind: Kind) -> Row {
    Row { key, number, kind, is_repeated: true }
}

static TRACES: Rows = &[many("resourceSpans", 1, Kind::Message(&RESOURCE_SPANS))];
static METRICS: Rows = &[many("resourceMetrics", 1, Kind::Message(&RESOURCE_METRICS))];
static LOGS: Rows = &[many("resourceLogs", 1, Kind::Message(&RESOURCE_LOGS))];

static RESOURCE: Rows = &[
    many("attributes", 1, Kind::Message(&KEY_VALUE)),
    one("droppedAttributesCount", 2, Kind::Unsigned),
    many("entityRefs", 3, Kind::Message(&ENTITY_REF)),
];

static ENTITY_REF: Rows = &[
    one("schemaUrl", 1, Kind::Text),
    one("type", 2, Kind::Text),
    many("idKeys", 3, Kind::Text),
    many("descriptionKeys", 4, Kind::Text),
];

static SCOPE: Rows = &[
    one("name", 1, Kind::Text),
    one("version", 2, Kind::Text),
    many("attributes", 3, Kind::Message(&KEY_VALUE)),
    one("droppedAttributesCount", 4, Kind::Unsigned),
];

pub(super) static KEY_VALUE: Rows = &[
    one("key", 1, Kind::Text),
    one("value", 2, Kind::Message(&ANY_VALUE)),
    one("keyStrindex", 3, Kind::Int),
];

static ANY_VALUE: Rows = &[
    one("stringValue", 1, Kind::Text),
    one("boolValue", 2, Kind::Flag),
    one("intValue", 3, Kind::Whole),
    one("doubleValue", 4, Kind::Double),
    one("arrayValue", 5, Kind::Message(&ARRAY_VALUE)),
    one("kvlistValue", 6, Kind::Message(&KEY_VALUE_LIST)),
    one("bytesValue", 7, Kind::Bytes),
    one("stringValueStrindex", 8, Kind::Int),
];

static ARRAY_VALUE: Rows = &[many("values", 1, Kind::Message(&ANY_VALUE))];
static KEY_VALUE_LIST: Rows = &[many("values", 1, Kind::Message(&KEY_VALUE))];

static RESOURCE_SPANS: Rows = &[
    one("resource", 1, Kind::Message(&RESOURCE)),
    many("scopeSpans", 2, Kind::Message(&SCOPE_SPANS)),
    one("schemaUrl", 3, Kind::Text),
];

static SCOPE_SPANS: Rows = &[
    one("scope", 1, Kind::Message(&SCOPE)),
    many("spans", 2, Kind::Message(&SPAN)),
    one("schemaUrl", 3, Kind::Text),
];

pub(super) static SPAN: Rows = &[
    one("traceId", 1, Kind::Id(TRACE_ID)),
    one("spanId", 2, Kind::Id(SPAN_ID)),
    one("traceState", 3, Kind::Text),
    one("parentSpanId", 4, Kind::Id(SPAN_ID)),
    one("name", 5, Kind::Text),
    one("kind", 6, Kind::Enum(SPAN_KINDS)),
    one("startTimeUnixNano", 7, Kind::Fixed64),
    one("endTimeUnixNano", 8, Kind::Fixed64),
    many("attributes", 9, Kind::Message(&KEY_VALUE)),
    one("droppedAttributesCount", 10, Kind::Unsigned),
    many("events", 11, Kind::Message(&EVENT)),
    one("droppedEventsCount", 12, Kind::Unsigned),
    many("links", 13, Kind::Message(&LINK)),
    one("droppedLinksCount", 14, Kind::Unsigned),
    one("status", 15, Kind::Message(&STATUS)),
    one("flags", 16, Kind::Fixed32),
];

static SPAN_KINDS: &[&str] = &[
    "SPAN_KIND_UNSPECIFIED",
    "SPAN_KIND_INTERNAL",
    "SPAN_KIND_SERVER",
    "SPAN_KIND_CLIENT",
    "SPAN_KIND_PRODUCER",
    "SPAN_KIND_CONSUMER",
];

static EVENT: Rows = &[
    one("timeUnixNano", 1, Kind::Fixed64),
    one("name", 2, Kind::Text),
    many("attributes", 3, Kind::Message(&KEY_VALUE)),
    one("droppedAttributesCount", 4, Kind::Unsigned),
];

static LINK: Rows = &[
    one("traceId", 1, Kind::Id(TRACE_ID)),
    one("spanId", 2, Kind::Id(SPAN_ID)),
    one("traceState", 3, Kind::Text),
    many("attributes", 4, Kind::Message(&KEY_VALUE)),
    one("droppedAttributesCount", 5, Kind::Unsigned),
    one("flags", 6, Kind::Fixed32),
];

static STATUS: Rows = &[
    one("message", 2, Kind::Text),
    one("code", 3, Kind::Enum(&["STATUS_CODE_UNSET", "STATUS_CODE_OK", "STATUS_CODE_ERROR"])),
];

static RESOURCE_LOGS: Rows = &[
    one("resource", 1, Kind::Message(&RESOURCE)),
    many("scopeLogs", 2, Kind::Message(&SCOPE_LOGS)),
    one("schemaUrl", 3, Kind::Text),
];

static SCOPE_LOGS: Rows = &[
    one("scope", 1, Kind::Message(&SCOPE)),
    many("logRecords", 2, Kind::Message(&LOG_RECORD)),
    one("schemaUrl", 3, Kind::Text),
];

static LOG_RECORD: Rows = &[
    one("timeUnixNano", 1, Kind::Fixed64),
    one("severityNumber", 2, Kind::Enum(SEVERITIES)),
    one("severityText", 3, Kind::Text),
    one("body", 5, Kind::Message(&ANY_VALUE)),
    many("attributes", 6, Kind::Message(&KEY_VALUE)),
    one("droppedAttributesCount", 7, Kind::Unsigned),
    one("flags", 8, Kind::Fixed32),
    one("traceId", 9, Kind::Id(TRACE_ID)),
    one("spanId", 10, Kind::Id(SPAN_ID)),
    one("observedTimeUnixNano", 11, Kind::Fixed64),
    one("eventName", 12, Kind::Text),
];

static SEVERITIES: &[&str] = &[
    "SEVERITY_NUMBER_UNSPECIFIED",
    "SEVERITY_NUMBER_TRACE",
    "SEVERITY_NUMBER_TRACE2",
    "SEVERITY_NUMBER_TRACE3",
    "SEVERITY_NUMBER_TRACE4",
    "SEVERITY_NUMBER_DEBUG",
    "SEVERITY_NUMBER_DEBUG2",
    "SEVERITY_NUMBER_DEBUG3",
    "SEVERITY_NUMBER_DEBUG4",
    "SEVERITY_NUMBER_INFO",
    "SEVERITY_NUMBER_INFO2",
    "SEVERITY_NUMBER_INFO3",
    "SEVERITY_NUMBER_INFO4",
    "SEVERITY_NUMBER_WARN",
    "SEVERITY_NUMBER_WARN2",
    "SEVERITY_NUMBER_WARN3",
    "SEVERITY_NUMBER_WARN4",
    "SEVERITY_NUMBER_ERROR",
    "SEVERITY_NUMBER_ERROR2",
    "SEVERITY_NUMBER_ERROR3",
    "SEVERITY_NUMBER_ERROR4",
    "SEVERITY_NUMBER_FATAL",
    "SEVERITY_NUMBER_FATAL2",
    "SEVERITY_NUMBER_FATAL3",
    "SEVERITY_NUMBER_FATAL4",
];

static RESOURCE_METRICS: Rows = &[
    one("resource", 1, Kind::Message(&RESOURCE)),
    many("scopeMetrics", 2, Kind::Message(&SCOPE_METRICS)),
    one("schemaUrl", 3, Kind::Text),
];

static SCOPE_METRICS: Rows = &[
    one("scope", 1, Kind::Message(&SCOPE)),
    many("metrics", 2, Kind::Message(&METRIC)),
    one("schemaUrl", 3, Kind::Text),
];

static METRIC: Rows = &[
    one("name", 1, Kind::Text),
    one("description", 2, Kind::Text),
    one("unit", 3, Kind::Text),
    one("gauge", 5, Kind::Message(&GAUGE)),
    one("sum", 7, Kind::Message(&SUM)),
    one("histogram", 9, Kind::Message(&HISTOGRAM)),
    one("exponentialHistogram", 10, Kind::Message(&EXPONENTIAL_HISTOGRAM)),
    one("summary", 11, Kind::Message(&SUMMARY)),
    many("metadata", 12, Kind::Message(&KEY_VALUE)),
];

static TEMPORALITIES: &[&str] = &[
    "AGGREGATION_TEMPORALITY_UNSPECIFIED",
    "AGGREGATION_TEMPORALITY_DELTA",
    "AGGREGATION_TEMPORALITY_CUMULATIVE",
];

static GAUGE: Rows = &[many("dataPoints", 1, Kind::Message(&NUMBER_POINT))];

static SUM: Rows = &[
    many("dataPoints", 1, Kind::Message(&NUMBER_POINT)),
    one("aggregationTemporality", 2, Kind::Enum(TEMPORALITIES)),
    one("isMonotonic", 3, Kind::Flag),
];

static HISTOGRAM: Rows = &[
    many("dataPoints", 1, Kind::Message(&HISTOGRAM_POINT)),
    one("aggregationTemporality", 2, Kind::Enum(TEMPORALITIES)),
];

static EXPONENTIAL_HISTOGRAM: Rows = &[
    many("dataPoints", 1, Kind::Message(&EXPONENTIAL_POINT)),
    one("aggregationTemporality", 2, Kind::Enum(TEMPORALITIES)),
];

static SUMMARY: Rows = &[many("dataPoints", 1, Kind::Message(&SUMMARY_POINT))];

static NUMBER_POINT: Rows = &[
    one("startTimeUnixNano", 2, Kind::Fixed64),
    one("timeUnixNano", 3, Kind::Fixed64),
    one("asDouble", 4, Kind::Double),
    many("exemplars", 5, Kind::Message(&EXEMPLAR)),
    one("asInt", 6, Kind::Signed64),
    many("attributes", 7, Kind::Message(&KEY_VALUE)),
    one("flags", 8, Kind::Unsigned),
];

static HISTOGRAM_POINT: Rows = &[
    one("startTimeUnixNano", 2, Kind::Fixed64),
    one("timeUnixNano", 3, Kind::Fixed64),
    one("count", 4, Kind::Fixed64),
    one("sum", 5, Kind::Double),
    many("bucketCounts", 6, Kind::Fixed64),
    many("explicitBounds", 7, Kind::Double),
    many("exemplars", 8, Kind::Message(&EXEMPLAR)),
    many("attributes", 9, Kind::Message(&KEY_VALUE)),
    one("flags", 10, Kind::Unsigned),
    one("min", 11, Kind::Double),
    one("max", 12, Kind::Double),
];

static EXPONENTIAL_POINT: Rows = &[
    many("attributes", 1, Kind::Message(&KEY_VALUE)),
    one("startTimeUnixNano", 2, Kind::Fixed64),
    one("timeUnixNano", 3, Kind::Fixed64),
    one("count", 4, Kind::Fixed64),
    one("sum", 5, Kind::Double),
    one("scale", 6, Kind::Zigzag),
    one("zeroCount", 7, Kind::Fixed64),
    one("positive", 8, Kind::Message(&BUCKETS)),
    one("negative", 9, Kind::Message(&BUCKETS)),
    one("flags", 10, Kind::Unsigned),
    many("exemplars", 11, Kind::Message(&EXEMPLAR)),
    one("min", 12, Kind::Double),
    one("max", 13, Kind::Double),
    one("zeroThreshold", 14, Kind::Double),
];

static BUCKETS: Rows = &[one("offset", 1, Kind::Zigzag), many("bucketCounts", 2, Kind::Unsigned)];

static SUMMARY_POINT: Rows = &[
    one("startTimeUnixNano", 2, Kind::Fixed64),
    one("timeUnixNano", 3, Kind::Fixed64),
    one("count", 4, Kind::Fixed64),
    one("sum", 5, Kind::Double),
    many("quantileValues", 6, Kind::Message(&QUANTILE)),
    many("attributes", 7, Kind::Message(&KEY_VALUE)),
    one("flags", 8, Kind::Unsigned),
];

static QUANTILE: Rows = &[one("quantile", 1, Kind::Double), one("value", 2, Kind::Double)];

static EXEMPLAR: Rows = &[
    one("timeUnixNano", 2, Kind::Fixed64),
    one("asDouble", 3, Kind::Double),
    one("spanId", 4, Kind::Id(SPAN_ID)),
    one("traceId", 5, Kind::Id(TRACE_ID)),
    one("asInt", 6, Kind::Signed64),
    many("filteredAttributes", 7, Kind::Message(&KEY_VALUE)),
];

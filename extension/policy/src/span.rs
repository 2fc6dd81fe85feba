//! What policy reads of a span, the opaque body it only carries, and the spans it makes itself.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::time::UnixNanos;

/// A W3C trace id: 16 bytes, never all zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TraceId([u8; 16]);

impl TraceId {
    /// The id made of `bytes`, or `None` when they are all zero, which the W3C calls invalid.
    pub fn new(bytes: [u8; 16]) -> Option<Self> {
        (bytes != [0; 16]).then_some(Self(bytes))
    }

    /// The 16 bytes, most significant first.
    pub const fn bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// A W3C span id (parent-id): 8 bytes, never all zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpanId([u8; 8]);

impl SpanId {
    /// The id made of `bytes`, or `None` when they are all zero.
    pub fn new(bytes: [u8; 8]) -> Option<Self> {
        (bytes != [0; 8]).then_some(Self(bytes))
    }

    /// The 8 bytes, most significant first.
    pub const fn bytes(&self) -> &[u8; 8] {
        &self.0
    }
}

/// The id Lambda gives an invocation: shared text, cheap to clone.
pub type RequestId = Arc<str>;

/// The role of a span, with OTLP's names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// Not said by the sender.
    #[default]
    Unspecified,
    /// Work inside the function.
    Internal,
    /// The function answering a request.
    Server,
    /// The function calling something and waiting for it.
    Client,
    /// The function handing a message on.
    Producer,
    /// The function handling a message.
    Consumer,
}

impl Kind {
    /// Whether a span of this kind is one that stands for a whole invocation.
    pub const fn is_entry(self) -> bool {
        matches!(self, Self::Server | Self::Consumer)
    }
}

/// Which OTLP signal an item belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Signal {
    /// Spans.
    Traces,
    /// Metric data points.
    Metrics,
    /// Log records.
    Logs,
}

impl Signal {
    /// Every signal, in the order in which batches of equal age are sent.
    pub const ALL: [Self; 3] = [Self::Traces, Self::Metrics, Self::Logs];
}

/// The facts of one received span, and its body.
#[derive(Clone, Debug)]
pub struct Span<B> {
    /// The trace it belongs to.
    pub trace_id: TraceId,
    /// Its own id.
    pub span_id: SpanId,
    /// The span it names as its parent; `None` for the root of a trace.
    pub parent: Option<SpanId>,
    /// Whether the sender said that the parent lives in another process (OTLP `flags`, bits 8 and 9); `None` of a span
    /// without a parent, whatever its flags are.
    pub parent_is_remote: Option<bool>,
    /// Its kind.
    pub kind: Kind,
    /// When it began.
    pub start: UnixNanos,
    /// When it ended.
    pub end: UnixNanos,
    /// Whether its status is ERROR.
    pub is_error: bool,
    /// The invocation it says it is (`faas.invocation_id`, or the older `faas.execution`); read on
    /// SERVER and CONSUMER spans only.
    pub request_id: Option<RequestId>,
    /// Its encoded size in bytes.
    pub size: u32,
    /// The bytes themselves, carried unseen.
    pub body: B,
}

/// A body of metrics or logs that is passed on as it came.
#[derive(Clone, Debug)]
pub struct Parcel<B> {
    /// Metrics or logs.
    pub signal: Signal,
    /// How many data points or log records are inside.
    pub count: u32,
    /// Its encoded size in bytes.
    pub size: u32,
    /// The bytes themselves, carried unseen.
    pub body: B,
}

/// The value of an attribute of a [`PlatformSpan`].
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Text.
    Text(Arc<str>),
    /// A flag.
    Flag(bool),
    /// A whole number.
    Int(i64),
}

/// A pointer from one span to another that is not its parent.
#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    /// The trace of the span pointed to.
    pub trace_id: TraceId,
    /// The span pointed to.
    pub span_id: SpanId,
}

/// A span that only the platform's events can tell of: made here, encoded by `wire`.
#[derive(Clone, Debug, PartialEq)]
pub struct PlatformSpan {
    /// The trace it belongs to.
    pub trace_id: TraceId,
    /// Its own id.
    pub span_id: SpanId,
    /// Its parent; `None` for a root.
    pub parent: Option<SpanId>,
    /// Its name, of low cardinality.
    pub name: String,
    /// Its kind.
    pub kind: Kind,
    /// When it began.
    pub start: UnixNanos,
    /// When it ended; never before `start`.
    pub end: UnixNanos,
    /// The low-cardinality class of the failure; `None` when it did not fail, and then the status is UNSET.
    pub error_type: Option<Arc<str>>,
    /// Attributes, each key once.
    pub attributes: Vec<(&'static str, Value)>,
    /// Links.
    pub links: Vec<Link>,
}

impl PlatformSpan {
    /// The invocation that it stands for, if it stands for one.
    pub fn invocation(&self) -> Option<&RequestId> {
        self.attributes.iter().find_map(|(key, value)| match (*key, value) {
            ("faas.invocation_id", Value::Text(id)) => Some(id),
            _ => None,
        })
    }
}

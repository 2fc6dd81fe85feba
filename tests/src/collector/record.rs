//! What the backend has seen: requests in order of arrival, decoded, and the connections they came on.

use std::fmt;
use std::io::Read;
use std::time::{Instant, SystemTime};

use flate2::read::MultiGzDecoder;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;

use crate::http1::{Head, Headers};

/// One request, as far as it was read.
#[derive(Clone, Debug)]
pub struct Request {
    /// When its head was complete, on the monotonic clock.
    pub arrived: Instant,
    /// The same moment on the wall clock.
    pub arrived_wall: SystemTime,
    /// Which of [`State::connections`] it came on.
    pub connection: usize,
    /// The method, as sent.
    pub method: String,
    /// Path and query, as sent.
    pub path: String,
    /// The header fields, as sent.
    pub headers: Headers,
    /// The body as it came over the wire; only its beginning where the backend reset the connection.
    pub wire: Vec<u8>,
    /// The body after decompression, or why that failed.
    pub plain: Result<Vec<u8>, String>,
    /// What the body says.
    pub decoded: Decoded,
    /// The status it was answered with; `None` while it waits, and when there never was an answer.
    pub status: Option<u16>,
    /// When the last byte of the answer was written.
    pub answered: Option<Instant>,
}

impl Request {
    pub(super) fn new(head: Head, connection: usize) -> Self {
        Self {
            arrived: Instant::now(),
            arrived_wall: SystemTime::now(),
            connection,
            method: head.method().to_owned(),
            path: head.path().to_owned(),
            headers: head.headers,
            wire: Vec::new(),
            plain: Ok(Vec::new()),
            decoded: Decoded::Unread,
            status: None,
            answered: None,
        }
    }

    /// Takes the body: decompresses and decodes it, noting what goes wrong.
    pub(super) fn complete(&mut self, wire: Vec<u8>) {
        self.wire = wire;
        self.plain = decompress(self.content_encoding(), &self.wire);
        self.decoded = match &self.plain {
            Ok(plain) => Decoded::from_bytes(&self.path, plain),
            Err(error) => Decoded::Undecodable(error.clone()),
        };
    }

    /// The `Content-Encoding`, empty when there is none.
    pub fn content_encoding(&self) -> &str {
        self.headers.get("content-encoding").unwrap_or_default()
    }

    /// Whether the backend said 2xx to it.
    pub fn is_taken(&self) -> bool {
        self.status.is_some_and(|status| (200..300).contains(&status))
    }

    /// Its spans, each with what surrounds it; none when it carries something else.
    pub fn spans(&self) -> Vec<SpanSeen> {
        let Decoded::Traces(request) = &self.decoded else { return Vec::new() };
        let of_scope = |resource: &Resource, scope: &InstrumentationScope, spans: &[Span]| -> Vec<SpanSeen> {
            let seen = |span: &Span| SpanSeen {
                resource: resource.clone(),
                scope: scope.clone(),
                span: span.clone(),
                arrived: self.arrived,
            };
            spans.iter().map(seen).collect()
        };
        let mut spans = Vec::new();
        for group in &request.resource_spans {
            let resource = group.resource.clone().unwrap_or_default();
            for scope in &group.scope_spans {
                spans.extend(of_scope(&resource, &scope.scope.clone().unwrap_or_default(), &scope.spans));
            }
        }
        spans
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { method, path, connection, wire, status, .. } = self;
        write!(
            f,
            "#{connection} {method} {path} {} B {:?} -> {status:?}",
            wire.len(),
            self.content_encoding()
        )?;
        match &self.decoded {
            Decoded::Undecodable(error) => write!(f, " undecodable: {error}"),
            _ => self.spans().iter().try_for_each(|seen| write!(f, " [{}]", seen.span.name)),
        }
    }
}

fn decompress(encoding: &str, wire: &[u8]) -> Result<Vec<u8>, String> {
    match encoding {
        "" | "identity" => Ok(wire.to_vec()),
        "gzip" => {
            let mut plain = Vec::new();
            // Members that follow one another are one body: the sender may have compressed chunks on their own.
            MultiGzDecoder::new(wire).read_to_end(&mut plain).map_err(|error| error.to_string())?;
            Ok(plain)
        }
        "zstd" => zstd::decode_all(wire).map_err(|error| error.to_string()),
        other => Err(format!("no decoder for {other:?}")),
    }
}

/// A body's message.
#[derive(Clone, Debug, PartialEq)]
pub enum Decoded {
    /// Nothing was read.
    Unread,
    /// Spans: of a path that ends so, and of every path that names no other signal.
    Traces(ExportTraceServiceRequest),
    /// Metrics.
    Metrics(ExportMetricsServiceRequest),
    /// Log records.
    Logs(ExportLogsServiceRequest),
    /// Something else, and why.
    Undecodable(String),
}

impl Decoded {
    fn from_bytes(path: &str, plain: &[u8]) -> Self {
        let decoded = if path.ends_with("/metrics") {
            ExportMetricsServiceRequest::decode(plain).map(Self::Metrics)
        } else if path.ends_with("/logs") {
            ExportLogsServiceRequest::decode(plain).map(Self::Logs)
        } else {
            ExportTraceServiceRequest::decode(plain).map(Self::Traces)
        };
        decoded.unwrap_or_else(|error| Self::Undecodable(error.to_string()))
    }
}

/// A span with what surrounds it in its request.
#[derive(Clone, Debug, PartialEq)]
pub struct SpanSeen {
    /// The resource of its group.
    pub resource: Resource,
    /// The instrumentation scope of its group.
    pub scope: InstrumentationScope,
    /// The span itself.
    pub span: Span,
    /// When the request that brought it arrived.
    pub arrived: Instant,
}

impl SpanSeen {
    /// The text of a span attribute; `None` when it is missing or not a string.
    pub fn text(&self, key: &str) -> Option<&str> {
        attribute_text(&self.span.attributes, key)
    }

    /// A span attribute of any type.
    pub fn attribute(&self, key: &str) -> Option<&any_value::Value> {
        attribute(&self.span.attributes, key)
    }

    /// The text of a resource attribute; `None` when it is missing or not a string.
    pub fn resource_text(&self, key: &str) -> Option<&str> {
        attribute_text(&self.resource.attributes, key)
    }
}

/// The value of the first attribute with this key.
pub fn attribute<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a any_value::Value> {
    let value = attributes.iter().find(|pair| pair.key == key)?.value.as_ref()?;
    value.value.as_ref()
}

/// The value of the first attribute with this key, where it is a string.
pub fn attribute_text<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a str> {
    let value = attributes.iter().find(|pair| pair.key == key)?.value.as_ref()?;
    match value {
        AnyValue { value: Some(any_value::Value::StringValue(text)) } => Some(text),
        _ => None,
    }
}

/// One connection of a sender.
#[derive(Clone, Debug)]
pub struct ConnectionSeen {
    /// When it was accepted.
    pub opened: Instant,
    /// How many requests began on it.
    pub requests: usize,
    /// When it ended, whoever ended it.
    pub closed: Option<Instant>,
}

/// Everything that the backend has seen.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// Requests in the order of their arrival; each is listed when its body was read.
    pub requests: Vec<Request>,
    /// Connections in the order in which they were accepted.
    pub connections: Vec<ConnectionSeen>,
}

impl State {
    /// Spans of the requests that were answered with 2xx.
    pub fn spans(&self) -> Vec<SpanSeen> {
        self.requests.iter().filter(|request| request.is_taken()).flat_map(Request::spans).collect()
    }

    /// Spans of all requests.
    pub fn offered_spans(&self) -> Vec<SpanSeen> {
        self.requests.iter().flat_map(Request::spans).collect()
    }

    /// Whether a span of this name was taken.
    pub fn has_span(&self, name: &str) -> bool {
        self.spans().iter().any(|seen| seen.span.name == name)
    }

    /// The metrics requests that were answered with 2xx.
    pub fn metrics(&self) -> Vec<&ExportMetricsServiceRequest> {
        self.taken()
            .filter_map(|decoded| if let Decoded::Metrics(it) = decoded { Some(it) } else { None })
            .collect()
    }

    /// The log requests that were answered with 2xx.
    pub fn logs(&self) -> Vec<&ExportLogsServiceRequest> {
        self.taken()
            .filter_map(|decoded| if let Decoded::Logs(it) = decoded { Some(it) } else { None })
            .collect()
    }

    fn taken(&self) -> impl Iterator<Item = &Decoded> {
        self.requests.iter().filter(|request| request.is_taken()).map(|request| &request.decoded)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} connections", self.connections.len())?;
        self.requests.iter().try_for_each(|request| writeln!(f, "{request}"))
    }
}

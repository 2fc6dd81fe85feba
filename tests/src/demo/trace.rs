//! Traces as the backend holds them: spans by trace, roots, orphans, and who links to whom.

use std::collections::{BTreeMap, BTreeSet};

use opentelemetry_proto::tonic::{
    common::v1::any_value::Value as Any,
    trace::v1::{span::SpanKind, status::StatusCode},
};
use serde_json::{Value, json};

use crate::collector::SpanSeen;

#[derive(Clone, Debug)]
pub(super) struct Span {
    pub(super) trace_id: String,
    pub(super) span_id: String,
    /// None for a root.
    pub(super) parent_id: Option<String>,
    pub(super) name: String,
    pub(super) kind: &'static str,
    pub(super) service: String,
    pub(super) start_ns: u64,
    pub(super) end_ns: u64,
    pub(super) is_error: bool,
    pub(super) status_message: String,
    pub(super) links: Vec<Target>,
    pub(super) attributes: BTreeMap<String, Value>,
}

/// The span that a link leads to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Target {
    pub(super) trace_id: String,
    pub(super) span_id: String,
}

/// The spans of one trace, by their start.
#[derive(Clone, Debug)]
pub(super) struct Trace {
    pub(super) id: String,
    pub(super) spans: Vec<Span>,
}

impl Span {
    fn new(seen: &SpanSeen) -> Self {
        let span = &seen.span;
        let status = span.status.as_ref();
        let attribute = |pair: &opentelemetry_proto::tonic::common::v1::KeyValue| {
            let value = pair.value.as_ref().and_then(|value| value.value.as_ref());
            (pair.key.clone(), value.map_or(Value::Null, plain))
        };
        Self {
            trace_id: hex(&span.trace_id),
            span_id: hex(&span.span_id),
            parent_id: Some(hex(&span.parent_span_id)).filter(|id| !id.is_empty()),
            name: span.name.clone(),
            kind: kind(span.kind()),
            service: seen.resource_text("service.name").unwrap_or_default().to_owned(),
            start_ns: span.start_time_unix_nano,
            end_ns: span.end_time_unix_nano,
            is_error: status.is_some_and(|status| status.code() == StatusCode::Error),
            status_message: status.map(|status| status.message.clone()).unwrap_or_default(),
            links: span
                .links
                .iter()
                .map(|l| Target { trace_id: hex(&l.trace_id), span_id: hex(&l.span_id) })
                .collect(),
            attributes: span.attributes.iter().map(attribute).collect(),
        }
    }

    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.attributes.get(key).and_then(Value::as_str)
    }

    pub(super) fn is(&self, key: &str) -> Option<bool> {
        self.attributes.get(key).and_then(Value::as_bool)
    }

    pub(super) fn error_type(&self) -> Option<&str> {
        self.is_error.then(|| self.text("error.type").unwrap_or("no error.type"))
    }

    pub(super) fn duration_ms(&self) -> f64 {
        self.end_ns.saturating_sub(self.start_ns) as f64 / 1e6
    }

    pub(super) fn target(&self) -> Target {
        Target { trace_id: self.trace_id.clone(), span_id: self.span_id.clone() }
    }

    pub(super) fn to_json(&self) -> Value {
        json!({
            "span_id": self.span_id,
            "parent_span_id": self.parent_id,
            "name": self.name,
            "kind": self.kind,
            "service": self.service,
            "start_unix_nano": self.start_ns,
            "end_unix_nano": self.end_ns,
            "duration_ms": self.duration_ms(),
            "status": if self.is_error { "ERROR" } else { "UNSET" },
            "status_message": self.status_message,
            "links": self.links.iter().map(|l| json!({ "trace_id": l.trace_id, "span_id": l.span_id })).collect::<Vec<_>>(),
            "attributes": self.attributes,
        })
    }
}

impl Trace {
    /// Sorts spans into traces, by the start of each trace.
    pub(super) fn gather(spans: &[SpanSeen]) -> Vec<Self> {
        let mut by_id = BTreeMap::<String, Vec<Span>>::new();
        for span in spans.iter().map(Span::new) {
            by_id.entry(span.trace_id.clone()).or_default().push(span);
        }
        let mut traces: Vec<Self> = by_id
            .into_iter()
            .map(|(id, mut spans)| {
                spans.sort_by_key(|span| span.start_ns);
                Self { id, spans }
            })
            .collect();
        traces.sort_by_key(|trace| trace.spans[0].start_ns);
        traces
    }

    pub(super) fn roots(&self) -> Vec<&Span> {
        self.spans.iter().filter(|span| span.parent_id.is_none()).collect()
    }

    /// Spans whose parent is not in this trace.
    pub(super) fn orphans(&self) -> Vec<&Span> {
        let ids: BTreeSet<&str> = self.spans.iter().map(|span| span.span_id.as_str()).collect();
        let is_orphan = |span: &&Span| span.parent_id.as_deref().is_some_and(|parent| !ids.contains(parent));
        self.spans.iter().filter(is_orphan).collect()
    }

    pub(super) fn children<'a>(&'a self, parent: &'a Span) -> impl Iterator<Item = &'a Span> {
        self.spans.iter().filter(|span| span.parent_id.as_ref() == Some(&parent.span_id))
    }

    pub(super) fn has_invocation(&self, request_id: &str) -> bool {
        self.spans.iter().any(|span| span.text("faas.invocation_id") == Some(request_id))
    }

    /// Spans that came more than once.
    pub(super) fn duplicates(&self) -> usize {
        let ids: BTreeSet<&str> = self.spans.iter().map(|span| span.span_id.as_str()).collect();
        self.spans.len() - ids.len()
    }

    pub(super) fn to_json(&self) -> Value {
        json!({ "trace_id": self.id, "spans": self.spans.iter().map(Span::to_json).collect::<Vec<_>>() })
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn kind(kind: SpanKind) -> &'static str {
    match kind {
        SpanKind::Unspecified => "UNSPECIFIED",
        SpanKind::Internal => "INTERNAL",
        SpanKind::Server => "SERVER",
        SpanKind::Client => "CLIENT",
        SpanKind::Producer => "PRODUCER",
        SpanKind::Consumer => "CONSUMER",
    }
}

/// An attribute's value in JSON; bytes and nested values, which no span here has, as text.
fn plain(value: &Any) -> Value {
    match value {
        Any::StringValue(text) => json!(text),
        Any::BoolValue(truth) => json!(truth),
        Any::IntValue(number) => json!(number),
        Any::DoubleValue(number) => json!(number),
        other => json!(format!("{other:?}")),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::otlp::{self, Ids, SpanExt as _};

    fn seen(span: opentelemetry_proto::tonic::trace::v1::Span) -> SpanSeen {
        SpanSeen { resource: otlp::resource(), scope: otlp::scope(), span, arrived: Instant::now() }
    }

    #[test]
    fn spans_become_traces_with_roots_and_orphans() {
        let (first, second) = (Ids::new(1), Ids::new(2));
        let spans = [
            otlp::span("child", first.sibling(1)).with_parent(first),
            otlp::server_span("root", first, "r-1"),
            otlp::span("lost", second.sibling(1)).with_parent(second),
        ];
        let traces = Trace::gather(&spans.map(seen));

        assert_eq!(traces.len(), 2);
        let of = |request_id: &str| traces.iter().find(|trace| trace.has_invocation(request_id));
        let trace = of("r-1").expect("it was gathered");
        let root = trace.roots()[0];
        assert_eq!((root.name.as_str(), root.kind, root.service.as_str()), ("root", "SERVER", "orders"));
        assert_eq!(trace.children(root).map(|span| span.name.as_str()).collect::<Vec<_>>(), ["child"]);
        assert!(trace.orphans().is_empty());

        let broken = traces.iter().find(|trace| !trace.orphans().is_empty()).expect("one has an orphan");
        assert_eq!(broken.orphans()[0].name, "lost");
        assert!(broken.roots().is_empty());
    }

    #[test]
    fn a_span_that_came_twice_is_noticed() {
        let span = || seen(otlp::span("twice", Ids::new(1)));
        assert_eq!(Trace::gather(&[span(), span()])[0].duplicates(), 1);
    }
}

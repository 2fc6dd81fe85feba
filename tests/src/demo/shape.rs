//! The shape of a trace: kinds, names, errors and who is below whom; what two traces of the same story share.

use std::fmt;

use super::trace::{Span, Trace};

/// A span without ids and times, and its children in the order of their text. Its `Display` is an indented list.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Shape {
    span: String,
    children: Vec<Shape>,
}

impl Shape {
    /// A span, such as `SERVER POST /payments`, that succeeded.
    pub(super) fn new(span: &str) -> Self {
        Self { span: span.to_owned(), children: Vec::new() }
    }

    /// A span that failed with this `error.type`.
    pub(super) fn failed(span: &str, error_type: &str) -> Self {
        Self::new(&format!("{span} ERROR {error_type}"))
    }

    /// With these below it.
    pub(super) fn with(mut self, children: impl IntoIterator<Item = Self>) -> Self {
        self.children.extend(children);
        self.children.sort();
        self
    }

    /// The shape of what is below `root`, itself included.
    pub(super) fn of(trace: &Trace, root: &Span) -> Self {
        Self::within(trace, root, trace.spans.len())
    }

    /// A trace whose parents form a circle has no root, so nothing here can be endless; `depth` holds anyway.
    fn within(trace: &Trace, span: &Span, depth: usize) -> Self {
        let name = format!("{} {}", span.kind, span.name);
        let shape = span.error_type().map_or_else(|| Self::new(&name), |error| Self::failed(&name, error));
        match depth.checked_sub(1) {
            Some(depth) => shape.with(trace.children(span).map(|child| Self::within(trace, child, depth))),
            None => shape,
        }
    }

    /// Spans in it.
    pub(super) fn count(&self) -> usize {
        1 + self.children.iter().map(Self::count).sum::<usize>()
    }

    /// Every span's text, a parent before its children, with the place of its parent in this list.
    #[cfg(test)]
    pub(super) fn rows(&self) -> Vec<(Option<usize>, &str)> {
        fn add<'a>(shape: &'a Shape, parent: Option<usize>, rows: &mut Vec<(Option<usize>, &'a str)>) {
            let place = rows.len();
            rows.push((parent, &shape.span));
            shape.children.iter().for_each(|child| add(child, Some(place), rows));
        }
        let mut rows = Vec::new();
        add(self, None, &mut rows);
        rows
    }

    fn write(&self, f: &mut fmt::Formatter<'_>, depth: usize) -> fmt::Result {
        writeln!(f, "{:indent$}{}", "", self.span, indent = 2 * depth)?;
        self.children.iter().try_for_each(|child| child.write(f, depth + 1))
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, 0)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use opentelemetry_proto::tonic::trace::v1::status::StatusCode;

    use super::*;
    use crate::{
        collector::SpanSeen,
        otlp::{self, Ids, SpanExt as _},
    };

    #[test]
    fn order_does_not_matter_and_errors_do() {
        let root = Ids::new(1);
        let spans = [
            otlp::span("b", root.sibling(2)).with_parent(root),
            otlp::server_span("root", root, "r-1"),
            otlp::span("a", root.sibling(1))
                .with_parent(root)
                .with_status(StatusCode::Error, "")
                .with_text("error.type", "503"),
        ];
        let seen = spans.map(|span| SpanSeen {
            resource: otlp::resource(),
            scope: otlp::scope(),
            span,
            arrived: Instant::now(),
        });
        let trace = &Trace::gather(&seen)[0];
        let shape = Shape::of(trace, trace.roots()[0]);

        let expected =
            Shape::new("SERVER root").with([Shape::new("INTERNAL b"), Shape::failed("INTERNAL a", "503")]);
        assert_eq!(shape, expected);
        assert_eq!(shape.count(), 3);
        assert_eq!(shape.to_string(), "SERVER root\n  INTERNAL a ERROR 503\n  INTERNAL b\n");
        assert_ne!(
            shape,
            Shape::new("SERVER root").with([Shape::new("INTERNAL a"), Shape::new("INTERNAL b")])
        );
    }
}

//! One trace as a tree, for eyes: what ran, of what kind, for how long; cold starts, errors and links.

use super::{
    evidence::Evidence,
    paint::Paint,
    trace::{Span, Trace},
};

/// A line of the tree before it is laid out.
struct Row<'a> {
    /// Lines and corners, then the name.
    prefix: String,
    span: &'a Span,
    /// What to say of a span that hangs here by a link.
    link: Option<String>,
}

/// Draws the trace; below each span that sent a message, the traces whose consumers link to it.
pub(super) fn draw(evidence: &Evidence, trace: &Trace, paint: Paint) -> String {
    let mut rows = Vec::new();
    for root in trace.roots() {
        rows.push(Row { prefix: String::new(), span: root, link: None });
        branch(evidence, trace, root, "", &mut rows);
    }
    let width = rows.iter().map(Row::width).max().unwrap_or_default();
    let service = rows.iter().map(|row| row.span.service.chars().count()).max().unwrap_or_default();
    rows.iter().map(|row| row.draw(width, service, paint)).collect()
}

/// The children of `parent`, and what links to it.
fn branch<'a>(
    evidence: &'a Evidence,
    trace: &'a Trace,
    parent: &'a Span,
    indent: &str,
    rows: &mut Vec<Row<'a>>,
) {
    let children: Vec<&Span> = trace.children(parent).collect();
    let linked = linked(evidence, parent);
    let last = (children.len() + linked.len()).saturating_sub(1);
    for (i, child) in children.iter().enumerate() {
        let (corner, line) = if i == last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        rows.push(Row { prefix: format!("{indent}{corner}"), span: child, link: None });
        branch(evidence, trace, child, &format!("{indent}{line}"), rows);
    }
    for (i, (trace, root)) in linked.into_iter().enumerate() {
        let (corner, line) =
            if children.len() + i == last { ("└┄ ", "   ") } else { ("├┄ ", "┆  ") };
        let link = format!("⇠ {}, trace {}", which(root.links.len()), &trace.id[..8]);
        rows.push(Row { prefix: format!("{indent}{corner}"), span: root, link: Some(link) });
        // Only senders have links to them, and no consumer here sends: the depth is bounded by the flow.
        branch(evidence, trace, root, &format!("{indent}{line}"), rows);
    }
}

fn which(links: usize) -> String {
    if links == 1 { "its only link".to_owned() } else { format!("one of its {links} links") }
}

/// The traces whose root links to `span`, with that root.
fn linked<'a>(evidence: &'a Evidence, span: &Span) -> Vec<(&'a Trace, &'a Span)> {
    let target = span.target();
    let root = |trace: &'a Trace| trace.roots().into_iter().find(|root| root.links.contains(&target));
    evidence.traces.iter().filter_map(|trace| Some((trace, root(trace)?))).collect()
}

impl Row<'_> {
    fn width(&self) -> usize {
        self.prefix.chars().count() + self.span.name.chars().count()
    }

    fn draw(&self, width: usize, service: usize, paint: Paint) -> String {
        let span = self.span;
        let name = if span.is_error { paint.red(&span.name) } else { paint.bold(&span.name) };
        let gap = " ".repeat(width - self.width());
        let line = format!(
            "{}{name}{gap}  {}  {}  {}  {}",
            paint.dim(&self.prefix),
            paint.cyan(&format!("{:<8}", span.kind)),
            paint.dim(&format!("{:<service$}", span.service)),
            duration(span.duration_ms()),
            self.marks(paint),
        );
        format!("  {}\n", line.trim_end())
    }

    fn marks(&self, paint: Paint) -> String {
        let span = self.span;
        let mut marks = Vec::new();
        if span.name.starts_with("init ") || span.is("faas.coldstart") == Some(true) {
            marks.push(paint.cyan("❄ cold start"));
        }
        if let Some(link) = &self.link {
            marks.push(paint.green(link));
        }
        if let Some(error) = span.error_type() {
            let message = if span.status_message.is_empty() { "" } else { ": " };
            marks.push(paint.red(&format!("✗ {error}{message}{}", span.status_message)));
        }
        marks.join("  ")
    }
}

/// Ten columns: `  12.3 ms`.
fn duration(ms: f64) -> String {
    if ms >= 1000.0 { format!("{:>7.2} s ", ms / 1000.0) } else { format!("{ms:>7.1} ms") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_line_up() {
        assert_eq!(
            [duration(0.04), duration(12.34), duration(2999.9)],
            ["    0.0 ms", "   12.3 ms", "   3.00 s "]
        );
    }
}

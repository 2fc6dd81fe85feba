//! Tables for the terminal: every invocation in a line, and what the extension did for each function.

use super::{
    evidence::{Evidence, Function},
    extension::Tally,
    paint::Paint,
    play::{Invocation, Part},
};

const LABEL: usize = 26;
const COLUMN: usize = 12;

/// A line per invocation: what it was, how it ended, its trace.
pub(super) fn invocations(evidence: &Evidence, paint: Paint) -> String {
    let head = format!(
        "  {:<10}  {:<24}  {:>10}  {:>9}  {:>5}  {}",
        "function", "what", "duration", "extension", "spans", "trace"
    );
    let mut lines = vec![paint.dim(&head)];
    lines.extend(evidence.played.invocations.iter().map(|invocation| line(evidence, invocation, paint)));
    lines.join("\n")
}

fn line(evidence: &Evidence, invocation: &Invocation, paint: Paint) -> String {
    let record = evidence.record(invocation);
    let duration = record.map(|record| record.duration_ms).unwrap_or_default();
    let overhead = record.map(|record| record.extension_overhead_ms).unwrap_or_default();
    let trace = evidence.traces(invocation).first().copied();
    let spans = trace.map(|trace| trace.spans.len()).unwrap_or_default();
    let id = trace.map_or("none", |trace| trace.id.as_str());
    let root_error = trace.and_then(|trace| trace.roots().first().and_then(|root| root.error_type()));
    let mut marks = String::new();
    if record.is_some_and(|record| record.cold_start) {
        marks += &paint.cyan(" ❄");
    }
    if let Some(error) = root_error {
        marks += &paint.red(&format!(" ✗ {error}"));
    }
    format!(
        "  {:<10}  {:<24}  {duration:>7.1} ms  {overhead:>6.1} ms  {spans:>5}  {}{marks}",
        invocation.function,
        invocation.part.name(),
        paint.dim(id),
    )
}

impl Part {
    pub(super) fn name(&self) -> String {
        match self {
            Self::Payment(payment) => format!("{} {}", payment.id, payment.end.name()),
            Self::Batch(batch) => {
                let ids: Vec<_> = batch.iter().map(|delivery| delivery.payment.id).collect();
                format!("batch of {}", ids.join(" "))
            }
            Self::Receipt(payment) => format!("receipt for {}", payment.id),
        }
    }
}

/// A column per function, and one for all.
pub(super) fn extension(evidence: &Evidence, paint: Paint) -> String {
    let functions = &evidence.functions;
    let total = evidence.total();
    let heads = functions.iter().map(|function| function.name).chain(["all"]);
    let mut lines = vec![paint.dim(&row("", heads.map(ToOwned::to_owned)))];
    let mut count = |label: &str, of: fn(&Tally) -> u64| {
        let cells = functions.iter().map(|function| &function.tally).chain([&total]);
        lines.push(row(label, cells.map(|tally| of(tally).to_string())));
    };
    count("invocations", |tally| tally.invocations);
    count("spans received", |tally| tally.received);
    count("spans made", |tally| tally.made);
    count("spans exported", |tally| tally.exported);
    count("spans lost", Tally::lost);
    count("OTLP bytes", |tally| tally.raw_bytes);
    count("bytes sent (compressed)", |tally| tally.sent_bytes);
    lines.push(row("cold starts", cold_starts(functions)));
    lines.push(row("overhead, median (ms)", overheads(functions, median)));
    lines.push(row("overhead, worst (ms)", overheads(functions, |sorted| sorted.last().copied())));
    lines.join("\n")
}

fn cold_starts(functions: &[Function]) -> impl Iterator<Item = String> {
    let counts: Vec<usize> = functions.iter().map(|function| function.cold_starts).collect();
    let all = counts.iter().sum();
    counts.into_iter().chain([all]).map(|count: usize| count.to_string())
}

fn overheads(functions: &[Function], of: fn(&[f64]) -> Option<f64>) -> impl Iterator<Item = String> {
    let mut all: Vec<f64> = functions.iter().flat_map(|function| function.overheads_ms.clone()).collect();
    all.sort_by(f64::total_cmp);
    let cell = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |ms| format!("{ms:.1}"));
    let each = functions.iter().map(move |function| of(&function.overheads_ms));
    each.chain([of(&all)]).map(cell)
}

/// Of sorted values; the lower one of an even number.
pub(super) fn median(sorted: &[f64]) -> Option<f64> {
    sorted.get(sorted.len().checked_sub(1)? / 2).copied()
}

fn row(label: &str, cells: impl Iterator<Item = String>) -> String {
    cells.fold(format!("  {label:<LABEL$}"), |line, cell| format!("{line}{cell:>COLUMN$}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_one_in_the_middle() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[1.0]), Some(1.0));
        assert_eq!(median(&[1.0, 2.0, 9.0]), Some(2.0));
        assert_eq!(median(&[1.0, 2.0]), Some(1.0));
    }
}

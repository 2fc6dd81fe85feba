//! What the extension says of its own work: the summary line that each of its processes logs at SHUTDOWN.

use std::{collections::BTreeMap, iter::Sum, ops::Add};

use sandbox::{TimelineEntry, What};
use serde_json::{Value, json};

/// Counts of spans and bytes, of one process or of many.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Tally {
    /// Processes that reported.
    pub(super) summaries: u64,
    pub(super) invocations: u64,
    /// Spans taken from the function.
    pub(super) received: u64,
    /// Spans that the extension made itself.
    pub(super) made: u64,
    /// Spans that the backend has acknowledged.
    pub(super) exported: u64,
    pub(super) sampled_out: u64,
    /// Spans given up, by reason.
    pub(super) dropped: BTreeMap<String, u64>,
    /// Spans that were still there at the end.
    pub(super) held: u64,
    /// OTLP before compression, and what went over the wire.
    pub(super) raw_bytes: u64,
    pub(super) sent_bytes: u64,
    pub(super) post_runtime_ms: f64,
}

impl Tally {
    /// The sum of all summaries of one function's extension.
    pub(super) fn of(function: &str, history: &[TimelineEntry]) -> Self {
        lines(function, history).filter(|line| line["event"] == "summary").map(|line| Self::read(&line)).sum()
    }

    fn read(line: &Value) -> Self {
        let count = |key: &str| line[key].as_u64().unwrap_or_default();
        let dropped = line["dropped"].as_object().into_iter().flatten();
        Self {
            summaries: 1,
            invocations: count("invocations"),
            received: count("received"),
            made: count("made"),
            exported: count("exported"),
            sampled_out: count("sampled_out"),
            dropped: dropped.map(|(reason, n)| (reason.clone(), n.as_u64().unwrap_or_default())).collect(),
            held: count("held"),
            raw_bytes: count("raw_bytes"),
            sent_bytes: count("sent_bytes"),
            post_runtime_ms: line["post_runtime_ms"].as_f64().unwrap_or_default(),
        }
    }

    /// Spans that did not reach the backend although nobody decided so.
    pub(super) fn lost(&self) -> u64 {
        self.dropped.values().sum::<u64>() + self.held
    }

    pub(super) fn to_json(&self) -> Value {
        json!({
            "summaries": self.summaries,
            "invocations": self.invocations,
            "spans_received": self.received,
            "spans_made": self.made,
            "spans_exported": self.exported,
            "spans_sampled_out": self.sampled_out,
            "spans_dropped": self.dropped,
            "spans_held": self.held,
            "spans_lost": self.lost(),
            "bytes_raw": self.raw_bytes,
            "bytes_sent": self.sent_bytes,
            "post_runtime_ms": self.post_runtime_ms,
        })
    }
}

impl Add for Tally {
    type Output = Self;

    fn add(mut self, other: Self) -> Self {
        for (reason, n) in other.dropped {
            *self.dropped.entry(reason).or_default() += n;
        }
        Self {
            summaries: self.summaries + other.summaries,
            invocations: self.invocations + other.invocations,
            received: self.received + other.received,
            made: self.made + other.made,
            exported: self.exported + other.exported,
            sampled_out: self.sampled_out + other.sampled_out,
            dropped: self.dropped,
            held: self.held + other.held,
            raw_bytes: self.raw_bytes + other.raw_bytes,
            sent_bytes: self.sent_bytes + other.sent_bytes,
            post_runtime_ms: self.post_runtime_ms + other.post_runtime_ms,
        }
    }
}

impl Sum for Tally {
    fn sum<I: Iterator<Item = Self>>(tallies: I) -> Self {
        tallies.fold(Self::default(), Add::add)
    }
}

/// Extension processes that were started beside this function.
pub(super) fn processes(function: &str, history: &[TimelineEntry]) -> u64 {
    let registered =
        |entry: &&TimelineEntry| entry.function == function && matches!(entry.what, What::Registered { .. });
    history.iter().filter(registered).count() as u64
}

/// Lines in which the extension complains.
pub(super) fn complaints(function: &str, history: &[TimelineEntry]) -> Vec<String> {
    let is_complaint = |line: &Value| matches!(line["level"].as_str(), Some("warn" | "error"));
    lines(function, history).filter(is_complaint).map(|line| line.to_string()).collect()
}

fn lines<'a>(function: &'a str, history: &'a [TimelineEntry]) -> impl Iterator<Item = Value> + 'a {
    history.iter().filter(move |entry| entry.function == function).filter_map(|entry| match &entry.what {
        What::ExtensionLog { line, .. } => serde_json::from_str(line).ok(),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(received: u64, dropped: &Value) -> Value {
        json!({ "level": "info", "event": "summary", "received": received, "made": 1, "exported": 4,
                "sampled_out": 0, "dropped": dropped, "held": 1, "raw_bytes": 900, "sent_bytes": 300,
                "post_runtime_ms": 1.5, "invocations": 2 })
    }

    #[test]
    fn summaries_add_up() {
        let first = Tally::read(&line(5, &json!({ "outbox_full": 2 })));
        let second = Tally::read(&line(7, &json!({ "outbox_full": 1, "expired": 3 })));
        let total: Tally = [first, second].into_iter().sum();

        assert_eq!((total.summaries, total.received, total.made, total.exported), (2, 12, 2, 8));
        assert_eq!(total.dropped, BTreeMap::from([("outbox_full".to_owned(), 3), ("expired".to_owned(), 3)]));
        assert_eq!(total.lost(), 8);
    }
}

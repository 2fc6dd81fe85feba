//! What was accepted, what arrived, and what the extension says of the difference.

use std::collections::BTreeMap;

use sandbox::{TimelineEntry, What};
use serde_json::Value;
use tests::collector::State;

/// A number of spans for each invocation, by the name that its spans have.
pub(crate) type PerInvocation = BTreeMap<String, u64>;

/// The spans that the function got a 200 for, whatever became of it afterwards.
pub(crate) fn accepted(history: &[TimelineEntry]) -> PerInvocation {
    let mut accepted = PerInvocation::new();
    for line in function_lines(history).filter(|line| line["answer"] == "accepted") {
        let name = line["invocation"].as_str().expect("the function names it").to_owned();
        *accepted.entry(name).or_default() += line["spans"].as_u64().expect("the function counts");
    }
    accepted
}

/// The answers to the function's requests other than 200.
pub(crate) fn refusals(history: &[TimelineEntry]) -> Vec<String> {
    let answers = function_lines(history).map(|line| line["answer"].as_str().unwrap_or_default().to_owned());
    answers.filter(|answer| answer != "accepted").collect()
}

/// The spans that the backend has, each as often as the function may have sent it.
///
/// A retry brings a span again, which must not make up for another one that is missing: `is_doubled` says that the
/// function itself sends twice. `is_deaf` says that the backend took requests without answering in full.
pub(crate) fn arrived(state: &State, is_doubled: bool, is_deaf: bool) -> PerInvocation {
    let spans = if is_deaf { state.offered_spans() } else { state.spans() };
    let mut spans: Vec<_> = spans.into_iter().map(|seen| (seen.span.name, seen.span.span_id)).collect();
    spans.sort();
    if !is_doubled {
        spans.dedup();
    }
    let mut arrived = PerInvocation::new();
    for (name, _) in spans {
        *arrived.entry(name).or_default() += 1;
    }
    arrived
}

/// How many of the `wanted` spans are not there.
pub(crate) fn missing(wanted: &PerInvocation, there: &PerInvocation) -> u64 {
    let missing =
        |(name, count): (&String, &u64)| count.saturating_sub(there.get(name).copied().unwrap_or(0));
    wanted.iter().map(missing).sum()
}

/// What the extension's processes said at their ends, together.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Books {
    /// Processes that reported.
    pub(crate) summaries: usize,
    /// Spans taken from the function.
    pub(crate) received: u64,
    /// Spans found in the spool of an earlier process.
    pub(crate) recovered: u64,
    /// Spans given up, by reason.
    pub(crate) dropped: BTreeMap<String, u64>,
    /// Spans that the last process left behind.
    pub(crate) held: u64,
}

impl Books {
    /// Adds up every summary, each of which must balance.
    pub(crate) fn read(history: &[TimelineEntry]) -> Self {
        let mut books = Self::default();
        for line in extension_lines(history).filter(|line| line["event"] == "summary") {
            books.add(&line);
        }
        books
    }

    fn add(&mut self, line: &Value) {
        let count = |key: &str| line[key].as_u64().expect("the summary has every count");
        let reasons = line["dropped"].as_object().expect("the summary has the reasons");
        let dropped: BTreeMap<String, u64> =
            reasons.iter().map(|(reason, n)| (reason.clone(), n.as_u64().expect("a count"))).collect();
        let came = count("received") + count("recovered") + count("made");
        let went = count("exported") + count("sampled_out") + dropped.values().sum::<u64>() + count("held");
        assert_eq!(came, went, "the books do not balance: {line}");
        self.summaries += 1;
        self.received += count("received");
        self.recovered += count("recovered");
        self.held = count("held");
        for (reason, n) in dropped {
            *self.dropped.entry(reason).or_default() += n;
        }
    }

    /// Spans that are accounted for although the backend does not have them.
    pub(crate) fn given_up(&self) -> u64 {
        self.dropped.values().sum::<u64>() + self.held
    }
}

fn function_lines(history: &[TimelineEntry]) -> impl Iterator<Item = Value> + '_ {
    history.iter().filter_map(|entry| match &entry.what {
        What::FunctionLog { line } => serde_json::from_str(line).ok(),
        _ => None,
    })
}

fn extension_lines(history: &[TimelineEntry]) -> impl Iterator<Item = Value> + '_ {
    history.iter().filter_map(|entry| match &entry.what {
        What::ExtensionLog { line, .. } => serde_json::from_str(line).ok(),
        _ => None,
    })
}

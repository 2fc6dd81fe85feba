//! All that a run leaves behind, and how to find one's way in it.

use sandbox::{Record, TimelineEntry};

use super::{
    extension::{self, Tally},
    functions::{AUTHORIZE, RECEIPT, RECONCILE},
    payments::Payment,
    play::{Invocation, Part, Played},
    trace::{Target, Trace},
};

pub(super) const FUNCTIONS: [&str; 3] = [AUTHORIZE, RECONCILE, RECEIPT];

#[derive(Debug)]
pub(super) struct Evidence {
    pub(super) played: Played,
    /// What the platform measured, an entry per invocation.
    pub(super) records: Vec<Record>,
    /// What the backend holds.
    pub(super) traces: Vec<Trace>,
    /// In the order of [`FUNCTIONS`].
    pub(super) functions: Vec<Function>,
}

/// One function, the extension beside it included.
#[derive(Debug)]
pub(super) struct Function {
    pub(super) name: &'static str,
    pub(super) tally: Tally,
    /// Extension processes; each owes a summary.
    pub(super) processes: u64,
    /// What the extension complained of.
    pub(super) complaints: Vec<String>,
    pub(super) cold_starts: usize,
    /// Milliseconds per invocation that Lambda bills for the extension alone, sorted.
    pub(super) overheads_ms: Vec<f64>,
}

impl Evidence {
    pub(super) fn new(
        played: Played,
        records: Vec<Record>,
        history: &[TimelineEntry],
        traces: Vec<Trace>,
    ) -> Self {
        let functions = FUNCTIONS.map(|name| Function::new(name, &records, history)).into();
        Self { played, records, traces, functions }
    }

    pub(super) fn record(&self, invocation: &Invocation) -> Option<&Record> {
        self.records.iter().find(|record| record.request_id == invocation.request_id)
    }

    /// Every trace with a span of this invocation: there should be one.
    pub(super) fn traces(&self, invocation: &Invocation) -> Vec<&Trace> {
        self.traces.iter().filter(|trace| trace.has_invocation(&invocation.request_id)).collect()
    }

    /// The span that sent this payment's message.
    pub(super) fn producer(&self, payment: &Payment) -> Option<Target> {
        let is_its = |it: &&Invocation| matches!(it.part, Part::Payment(paid) if paid.id == payment.id);
        let authorize = self.played.invocations.iter().find(is_its)?;
        let trace = *self.traces(authorize).first()?;
        trace.spans.iter().find(|span| span.kind == "PRODUCER").map(super::trace::Span::target)
    }

    pub(super) fn total(&self) -> Tally {
        self.functions.iter().map(|function| function.tally.clone()).sum()
    }

    /// Spans that the backend holds.
    pub(super) fn span_count(&self) -> usize {
        self.traces.iter().map(|trace| trace.spans.len()).sum()
    }
}

impl Function {
    fn new(name: &'static str, records: &[Record], history: &[TimelineEntry]) -> Self {
        let records = || records.iter().filter(|record| record.function == name);
        let mut overheads_ms: Vec<f64> = records().map(|record| record.extension_overhead_ms).collect();
        overheads_ms.sort_by(f64::total_cmp);
        Self {
            name,
            tally: Tally::of(name, history),
            processes: extension::processes(name, history),
            complaints: extension::complaints(name, history),
            cold_starts: records().filter(|record| record.cold_start).count(),
            overheads_ms,
        }
    }
}

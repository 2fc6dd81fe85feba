//! What the backend has been told in metrics, against what really happened in the world.

use std::collections::BTreeMap;

use policy::{DropReason, Guarded, Input, Ledger, Measured, Metric, Reading, Rng, Signal};

use super::super::function::Fate;
use super::World;
use super::truth::Life;

/// Points that have arrived, summed up.
#[derive(Debug, Default)]
pub(super) struct Metered {
    counts: BTreeMap<Metric, u64>,
    /// Calls of CLIENT spans.
    client_calls: u64,
    /// Whether a process has left that could not send all of its points.
    is_incomplete: bool,
}

impl Metered {
    fn take(&mut self, measured: &Measured) {
        assert!(measured.start < measured.at, "an empty interval: {measured:?}");
        for point in &measured.points {
            let count = match &point.reading {
                Reading::Int(number) => number.unsigned_abs(),
                Reading::Histogram(histogram) => histogram.count,
                Reading::Double(_) => 0,
            };
            *self.counts.entry(point.metric).or_default() += count;
            let is_client = point.attributes.iter().any(|(_, value)| &**value == "SPAN_KIND_CLIENT");
            if point.metric == Metric::SpanCalls && is_client {
                self.client_calls += count;
            }
        }
    }

    /// A process leaves with these books.
    pub(super) fn leave(&mut self, ledger: &Ledger) {
        let books = ledger.of(Signal::Metrics);
        let dropped: u64 = DropReason::ALL.into_iter().map(|reason| books.dropped_for(reason)).sum();
        self.is_incomplete |= dropped > 0 || books.held() > 0;
    }

    /// Invocations and calls that were counted.
    pub(super) fn counted(&self) -> u64 {
        let ends = [Metric::Invocations, Metric::Errors, Metric::Timeouts].map(|end| self.count(end));
        ends.iter().sum::<u64>() + self.client_calls
    }

    fn count(&self, metric: Metric) -> u64 {
        self.counts.get(&metric).copied().unwrap_or_default()
    }
}

impl World {
    pub(super) fn note_measured(&mut self, measured: &Measured) {
        self.metered.take(measured);
    }

    /// Something was hidden in what comes next, or nothing.
    pub(super) fn tell_guarded(&mut self) {
        let mut guarded = self.guarded[0];
        let mut rng = Rng::new(self.bodies.last ^ 0x9a4d_0000);
        let mut more = |count: &mut u64| *count += rng.below(8).saturating_sub(5);
        guarded.redactions.iter_mut().chain(&mut guarded.changes).for_each(&mut more);
        more(&mut guarded.identifiers);
        if guarded != self.guarded[0] {
            self.coverage.note("something hidden");
            self.guarded[0] = guarded;
            self.step(Input::Guarded(guarded));
        }
        assert_eq!(self.agent.ledger().guarded, guarded, "what was hidden is in the books");
    }

    /// A process leaves: what it was told was hidden.
    pub(super) fn leave_guarded(&mut self) {
        let [of_this, before] = &mut self.guarded;
        let counts = |guarded: &mut Guarded| {
            let Guarded { redactions, changes, identifiers } = guarded;
            redactions.iter_mut().chain(changes).chain([identifiers]).map(std::mem::take).collect::<Vec<_>>()
        };
        let mut of_this = counts(of_this).into_iter();
        let Guarded { redactions, changes, identifiers } = before;
        for count in redactions.iter_mut().chain(changes).chain([identifiers]) {
            *count += of_this.next().expect("as many");
        }
    }

    /// Every invocation and every span is in exactly one point, whatever was told twice, late or never.
    pub(super) fn check_metrics(&mut self) {
        self.metered.leave(self.agent.ledger());
        self.leave_guarded();
        // On Managed Instances only the platform tells how an invocation ended.
        let faults = &self.faults;
        let is_late = faults.has_no_telemetry || faults.loses_telemetry || faults.delays_telemetry;
        // An error of a handler that lives on is only known by the platform's word.
        let has_end = |life: &Life| life.done_told.is_some() || life.report_told.is_some();
        let is_untold_error = |life: &Life| life.fate == Fate::Errors && !has_end(life);
        let is_untold = (self.config.is_managed() || faults.errs) && is_late
            || self.truth.lives.iter().any(is_untold_error);
        let is_without = !self.config.destinations.metrics;
        if self.kills > 0 || self.metered.is_incomplete || is_untold || is_without {
            return;
        }
        self.coverage.note("metrics exact");
        let ends = [Metric::Invocations, Metric::Errors, Metric::Timeouts].map(|end| self.metered.count(end));
        let [crashed, timed_out] = [self.crashes, self.timeouts];
        let returned = self.invocations - crashed - timed_out;
        assert_eq!(ends, [returned, crashed, timed_out], "successes, errors, timeouts");
        assert_eq!(self.metered.client_calls, self.clients, "calls of CLIENT spans");
        let hidden = self.guarded[1].redactions.iter().sum::<u64>();
        assert_eq!(self.metered.count(Metric::GuardRedactions), hidden, "values that were hidden");
        assert!(self.metered.count(Metric::Coldstarts) <= self.processes.into());
    }
}

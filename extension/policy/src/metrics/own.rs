//! What Prefreeze tells of itself: its books, its exports, its flushes.

use alloc::borrow::Cow;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::cost::Cost;
use super::prices::Prices;
use super::series::{Label, Point, Reading, Store};
use super::table::Metric;
use crate::config::Further;
use crate::lane::LaneId;
use crate::ledger::{Counts, DropReason, LaneBooks, Ledger};
use crate::sampling::Decision;
use crate::span::Signal;
use crate::time::Duration;

/// What holds at the moment, beside what has happened.
#[derive(Clone, Debug)]
pub(crate) struct Gauges {
    pub(crate) ledger: Ledger,
    /// Items in memory, by signal: waiting and in flight.
    pub(crate) in_memory: [u64; Signal::ALL.len()],
    /// Of those, with the backend.
    pub(crate) in_flight: [u64; Signal::ALL.len()],
    /// Items that are in the spool only.
    pub(crate) spooled: [u64; Signal::ALL.len()],
    pub(crate) spooled_bytes: u64,
    pub(crate) is_continuous: bool,
    pub(crate) flush_changes: u64,
    /// What everything so far has cost.
    pub(crate) cost: Cost,
    /// Of each lane, where there are several destinations.
    pub(crate) lanes: Vec<LaneGauges>,
}

/// The same of one lane.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LaneGauges {
    pub(crate) id: LaneId,
    pub(crate) books: LaneBooks,
    pub(crate) held: u64,
    pub(crate) in_flight: u64,
    pub(crate) spooled: u64,
}

/// What was told last, so that the next points tell what came since.
#[derive(Debug, Default)]
pub(crate) struct Own {
    told: Ledger,
    told_changes: u64,
    told_cost: Cost,
    told_lanes: BTreeMap<LaneId, LaneBooks>,
    /// The names of the destinations beside the first.
    further: Vec<Arc<str>>,
}

/// The key of the destination's name, and the name of the first.
const DESTINATION: &str = "prefreeze.destination";
const FIRST: &str = "default";

/// How an exporter of a signal is called in `otel.component.type`.
const fn component(signal: Signal) -> &'static str {
    match signal {
        Signal::Traces => "otlp_http_span_exporter",
        Signal::Metrics => "otlp_http_metric_exporter",
        Signal::Logs => "otlp_http_log_exporter",
    }
}

const fn name(signal: Signal) -> &'static str {
    match signal {
        Signal::Traces => "otlp_http_span_exporter/prefreeze",
        Signal::Metrics => "otlp_http_metric_exporter/prefreeze",
        Signal::Logs => "otlp_http_log_exporter/prefreeze",
    }
}

/// The word for a signal in `signal`.
const fn word(signal: Signal) -> &'static str {
    match signal {
        Signal::Traces => "traces",
        Signal::Metrics => "metrics",
        Signal::Logs => "logs",
    }
}

impl Own {
    /// Nothing was told; there are these destinations beside the first.
    pub(super) fn of(further: &[Further]) -> Self {
        Self { further: further.iter().map(|to| to.name.clone()).collect(), ..Self::default() }
    }

    /// What a destination is called; `None` of the first.
    fn further(&self, lane: LaneId) -> Option<&Arc<str>> {
        self.further.get(usize::from(lane.destination).checked_sub(1)?)
    }

    /// How the exporter of a lane is called in `otel.component.name`.
    fn component_name(&self, lane: LaneId) -> Cow<'static, str> {
        let own = |to: &Arc<str>| Cow::Owned(alloc::format!("{}/{to}", component(lane.signal)));
        self.further(lane).map_or(Cow::Borrowed(name(lane.signal)), own)
    }

    /// A request ended after `took`, in a failure of `class` if in one.
    pub(super) fn on_request(&self, store: &mut Store, lane: LaneId, took: Duration, class: Option<&str>) {
        let name = self.component_name(lane);
        let both: [Label<'_>; 2] =
            [("otel.component.name", &name), ("otel.component.type", component(lane.signal))];
        let took = took.as_secs_f64();
        match class {
            None => store.measure(Metric::OperationDuration, &both, took),
            Some(class) => {
                store.measure(Metric::OperationDuration, &[both[0], both[1], ("error.type", class)], took);
            }
        }
    }

    pub(crate) fn on_retry(store: &mut Store) {
        store.count(Metric::Retries, &[], 1);
    }

    pub(crate) fn on_flush(store: &mut Store, held: Duration) {
        store.measure(Metric::FlushDuration, &[], held.as_secs_f64());
    }

    /// Counts what the books say has come since the last time.
    pub(super) fn tell(&mut self, store: &mut Store, gauges: &Gauges, prices: &Prices) {
        let now = gauges.ledger;
        for signal in Signal::ALL {
            let (mut rest, mut told) = (*now.of(signal), *self.told.of(signal));
            for lane in gauges.lanes.iter().filter(|lane| lane.id.signal == signal) {
                let told_of_lane = self.told_lanes.get(&lane.id).copied().unwrap_or_default();
                take_off(&mut rest, &lane.books);
                take_off(&mut told, &told_of_lane);
                self.tell_lane(store, lane, &told_of_lane);
            }
            tell_items(store, signal, &rest, &told);
        }
        self.told_lanes.extend(gauges.lanes.iter().map(|lane| (lane.id, lane.books)));
        for (stage, now, told) in
            [("raw", now.raw_bytes, self.told.raw_bytes), ("sent", now.sent_bytes, self.told.sent_bytes)]
        {
            store.count(Metric::ExportBytes, &[("stage", stage)], now - told);
        }
        store.count(Metric::Resent, &[], now.resent - self.told.resent);
        let lost = now.platform_events_lost - self.told.platform_events_lost;
        store.count(Metric::TelemetryLost, &[], lost);
        store.count(Metric::FlushChanges, &[], gauges.flush_changes - self.told_changes);
        for decision in Decision::ALL {
            let count = now.decisions[decision as usize] - self.told.decisions[decision as usize];
            store.count(Metric::Decisions, &[("decision", decision.as_str())], count);
        }
        for (rule, count) in now.guarded.redactions_since(&self.told.guarded) {
            store.count(Metric::GuardRedactions, &[("rule", rule)], count);
        }
        for (change, count) in now.guarded.changes_since(&self.told.guarded) {
            store.count(Metric::GuardChanges, &[("change", change)], count);
        }
        let identifiers = now.guarded.identifiers - self.told.guarded.identifiers;
        store.count(Metric::GuardIdentifiers, &[], identifiers);
        let avoided = now.sampled_out_bytes - self.told.sampled_out_bytes;
        store.count(Metric::AvoidedBytes, &[], avoided);
        tell_cost(store, prices, &gauges.cost, &self.told_cost);
        (self.told, self.told_changes, self.told_cost) = (now, gauges.flush_changes, gauges.cost);
    }

    /// The same of what a lane's backend has taken or refused, where there are several.
    fn tell_lane(&self, store: &mut Store, lane: &LaneGauges, told: &LaneBooks) {
        let signal = lane.id.signal;
        let destination = (DESTINATION, self.further(lane.id).map_or(FIRST, |name| name));
        let own = [("signal", word(signal)), destination];
        let name = self.component_name(lane.id);
        let component = [("otel.component.name", &*name), ("otel.component.type", component(signal))];
        let delivered = lane.books.delivered - told.delivered;
        store.count(Metric::Delivered, &own, delivered);
        let count = |reason: DropReason| lane.books.dropped[reason as usize] - told.dropped[reason as usize];
        tell_outcome(store, signal, (&own, &component), delivered, count);
    }

    /// Points of what holds.
    pub(super) fn levels(&self, gauges: &Gauges, points: &mut Vec<Point>) {
        let mut push = |metric, labels: &[Label<'_>], level: u64| {
            points.push(Point {
                metric,
                attributes: labels.iter().map(|(key, value)| (*key, (*value).into())).collect(),
                is_overflow: false,
                reading: Reading::Int(level.cast_signed()),
            });
        };
        for (signal, metric) in
            Signal::ALL.into_iter().zip([Metric::SpanInflight, Metric::PointInflight, Metric::LogInflight])
        {
            let own = ("signal", word(signal));
            let mut held = gauges.ledger.of(signal).held();
            for lane in gauges.lanes.iter().filter(|lane| lane.id.signal == signal) {
                let name = self.component_name(lane.id);
                let labels = [("otel.component.name", &*name), ("otel.component.type", component(signal))];
                let destination = (DESTINATION, self.further(lane.id).map_or(FIRST, |name| name));
                push(metric, &labels, lane.in_flight);
                push(Metric::Held, &[own, destination], lane.held);
                push(Metric::SpoolItems, &[own, destination], lane.spooled);
                held = held.saturating_sub(lane.held);
            }
            if gauges.lanes.is_empty() {
                let labels =
                    [("otel.component.name", name(signal)), ("otel.component.type", component(signal))];
                push(metric, &labels, gauges.in_flight[signal as usize]);
            }
            push(Metric::Held, &[own], held);
            if gauges.lanes.is_empty() {
                push(Metric::SpoolItems, &[own], gauges.spooled[signal as usize]);
            }
        }
        let queue = [("otel.component.name", "prefreeze"), ("otel.component.type", "prefreeze_outbox")];
        push(Metric::QueueSize, &queue, gauges.in_memory[Signal::Traces as usize]);
        push(Metric::SpoolBytes, &[], gauges.spooled_bytes);
        push(Metric::Boosted, &[], gauges.ledger.boosts - gauges.ledger.boosts_ended);
        push(Metric::FlushContinuous, &[], u64::from(gauges.is_continuous));
    }
}

/// Counts what has been spent and avoided since `told`.
fn tell_cost(store: &mut Store, prices: &Prices, now: &Cost, told: &Cost) {
    for (metric, kind, now, told) in [
        (Metric::CostSpent, "ingestion", now.sent.ingestion, told.sent.ingestion),
        (Metric::CostSpent, "egress", now.sent.egress, told.sent.egress),
        (Metric::CostSpent, "storage", now.sent.storage, told.sent.storage),
        (Metric::CostSpent, "function", now.function, told.function),
        (Metric::CostSpent, "extension", now.extension, told.extension),
        (Metric::CostAvoided, "ingestion", now.avoided.ingestion, told.avoided.ingestion),
        (Metric::CostAvoided, "egress", now.avoided.egress, told.avoided.egress),
        (Metric::CostAvoided, "storage", now.avoided.storage, told.avoided.storage),
    ] {
        let labels = [("kind", kind), ("currency", &*prices.currency), ("prices.as_of", &*prices.as_of)];
        store.add(metric, &labels, now - told);
    }
}

/// Takes what a lane has done off the books of its signal.
fn take_off(counts: &mut Counts, lane: &LaneBooks) {
    counts.delivered -= lane.delivered;
    for (count, of_lane) in counts.dropped.iter_mut().zip(lane.dropped) {
        *count -= of_lane;
    }
}

fn tell_items(store: &mut Store, signal: Signal, now: &Counts, told: &Counts) {
    let own = [("signal", word(signal))];
    for (metric, count) in [
        (Metric::Received, now.received - told.received),
        (Metric::Recovered, now.recovered - told.recovered),
        (Metric::Made, now.made - told.made),
        (Metric::Delivered, now.delivered - told.delivered),
        (Metric::SampledOut, now.sampled_out - told.sampled_out),
    ] {
        store.count(metric, &own, count);
    }
    let component = [("otel.component.name", name(signal)), ("otel.component.type", component(signal))];
    let delivered = now.delivered - told.delivered;
    tell_outcome(store, signal, (&own, &component), delivered, |reason| {
        now.dropped_for(reason) - told.dropped_for(reason)
    });
}

/// What a backend took, and what was given up, under our own labels and those of its exporter.
fn tell_outcome(
    store: &mut Store,
    signal: Signal,
    (own, component): (&[Label<'_>], &[Label<'_>; 2]),
    delivered: u64,
    count: impl Fn(DropReason) -> u64,
) {
    let exported = match signal {
        Signal::Traces => Metric::SpanExported,
        Signal::Metrics => Metric::PointExported,
        Signal::Logs => Metric::LogExported,
    };
    store.count(exported, component, delivered);
    for reason in DropReason::ALL {
        let labels: Vec<_> = own.iter().copied().chain([("reason", reason.as_str())]).collect();
        store.count(Metric::Dropped, &labels, count(reason));
        // What the backend refused was exported, in OpenTelemetry's words, and failed; the rest never got so far.
        if let DropReason::Rejected | DropReason::PartlyRejected | DropReason::TooLarge = reason {
            store.count(
                exported,
                &[component[0], component[1], ("error.type", reason.as_str())],
                count(reason),
            );
        }
    }
}

#[cfg(test)]
mod tests;

//! The one table of metrics: every name that is emitted, its unit, its attributes, and what it is taken from.

use crate::metrics::buckets;

/// How values of a metric go together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instrument {
    /// Counts up; points tell what came since the last ones (delta).
    Counter,
    /// Goes up and down; points tell what holds (cumulative since the environment began).
    UpDownCounter,
    /// The last value.
    Gauge,
    /// A distribution of what came since the last points (delta).
    Histogram,
}

impl Instrument {
    /// OpenTelemetry's word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "Counter",
            Self::UpDownCounter => "UpDownCounter",
            Self::Gauge => "Gauge",
            Self::Histogram => "Histogram",
        }
    }
}

/// One metric.
#[derive(Clone, Copy, Debug)]
pub struct Definition {
    /// Its name.
    pub name: &'static str,
    /// How its values go together.
    pub instrument: Instrument,
    /// Its unit, in UCUM.
    pub unit: &'static str,
    /// The keys of its attributes; a point need not have all of them.
    pub attributes: &'static [&'static str],
    /// What it tells, in one sentence.
    pub description: &'static str,
    /// What it is taken from.
    pub source: &'static str,
    /// The buckets that histograms of it have where given ones are asked for.
    pub buckets: &'static [f64],
}

macro_rules! table {
    ($($metric:ident = $name:literal $instrument:ident [$unit:literal] $attributes:tt
       $description:literal from $source:literal;)*) => {
        /// Every metric, by what it measures.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Metric {
            $(#[doc = $description] $metric,)*
        }

        impl Metric {
            /// All of them, in the order of the reference page.
            pub const ALL: &'static [Self] = &[$(Self::$metric,)*];

            /// What is known of it.
            pub const fn definition(self) -> &'static Definition {
                match self {
                    $(Self::$metric => const {
                        &Definition {
                            name: $name,
                            instrument: Instrument::$instrument,
                            unit: $unit,
                            attributes: &$attributes,
                            description: $description,
                            source: $source,
                            buckets: buckets($unit),
                        }
                    },)*
                }
            }
        }
    };
}

table! {
    Invocations = "faas.invocations" Counter ["{invocation}"] []
        "Invocations that succeeded; all of them are this, `faas.errors` and `faas.timeouts` together."
        from "`platform.runtimeDone` with status success";
    Errors = "faas.errors" Counter ["{error}"] ["error.type"]
        "Invocations that failed, crashes included and timeouts not."
        from "`platform.runtimeDone` with status error or failure; SHUTDOWN where that was never told";
    Timeouts = "faas.timeouts" Counter ["{timeout}"] []
        "Invocations that ran into the function's timeout."
        from "`platform.runtimeDone` with status timeout, or an `errorType` that names one; SHUTDOWN where that was never told";
    Coldstarts = "faas.coldstarts" Counter ["{coldstart}"] ["aws.lambda.initialization_type"]
        "Invocations that waited for an init or a restore."
        from "the first invocation, unless init was over more than 10 s before it";
    InitDuration = "faas.init_duration" Histogram ["s"] ["aws.lambda.initialization_type", "error.type"]
        "How long init took, extensions included; once for each try."
        from "`platform.initReport`, else the first `platform.report`";
    InvokeDuration = "faas.invoke_duration" Histogram ["s"] ["error.type"]
        "How long the function's code ran, without what extensions did after it."
        from "`platform.runtimeDone`; on Managed Instances `platform.report`";
    MemUsage = "faas.mem_usage" Histogram ["By"] []
        "The most memory that was in use up to the end of an invocation, all processes together."
        from "`platform.report`, which comes with the next invocation";
    RestoreDuration = "aws.lambda.restore_duration" Histogram ["s"] ["error.type"]
        "How long the restore of a snapshot took."
        from "`platform.restoreReport`, else the first `platform.report`";
    Duration = "aws.lambda.duration" Histogram ["s"] []
        "How long an invocation took, extensions included."
        from "`platform.report`";
    BilledDuration = "aws.lambda.billed_duration" Histogram ["s"] []
        "What is billed for an invocation."
        from "`platform.report`";
    PostRuntimeDuration = "aws.lambda.post_runtime_duration" Histogram ["s"] []
        "How long extensions ran after the function was done: what flushing costs."
        from "`platform.report` less `platform.runtimeDone`";
    ResponseLatency = "aws.lambda.response_latency" Histogram ["s"] []
        "From the begin of an invocation to the first byte of its response."
        from "`platform.runtimeDone`, span responseLatency";
    ResponseDuration = "aws.lambda.response_duration" Histogram ["s"] []
        "From the first byte of a response to its last."
        from "`platform.runtimeDone`, span responseDuration";
    ProducedBytes = "aws.lambda.produced_bytes" Histogram ["By"] []
        "The size of a response."
        from "`platform.runtimeDone`";
    OutOfMemory = "aws.lambda.out_of_memory" Counter ["{invocation}"] []
        "Invocations whose process was killed for want of memory."
        from "errorType Runtime.OutOfMemory, or an exit with all memory in use";
    SpanCalls = "traces.span.metrics.calls" Counter ["{call}"]
        ["span.name", "span.kind", "status.code", "server.address", "rpc.method"]
        "SERVER, CONSUMER and CLIENT spans, before any sampling; each counts for as many as its `ot=th` says."
        from "received spans";
    SpanDuration = "traces.span.metrics.duration" Histogram ["s"]
        ["span.name", "span.kind", "status.code", "server.address", "rpc.method"]
        "How long they took."
        from "received spans";
    SpanExported = "otel.sdk.exporter.span.exported" Counter ["{span}"]
        ["otel.component.name", "otel.component.type", "error.type"]
        "Spans of which the export ended; with `error.type` where it failed for good."
        from "backend";
    SpanInflight = "otel.sdk.exporter.span.inflight" UpDownCounter ["{span}"]
        ["otel.component.name", "otel.component.type"]
        "Spans that are with the backend, neither acknowledged nor given up."
        from "outbox";
    PointExported = "otel.sdk.exporter.metric_data_point.exported" Counter ["{data_point}"]
        ["otel.component.name", "otel.component.type", "error.type"]
        "The same of metric data points."
        from "backend";
    PointInflight = "otel.sdk.exporter.metric_data_point.inflight" UpDownCounter ["{data_point}"]
        ["otel.component.name", "otel.component.type"]
        "The same of metric data points."
        from "outbox";
    LogExported = "otel.sdk.exporter.log.exported" Counter ["{log_record}"]
        ["otel.component.name", "otel.component.type", "error.type"]
        "The same of log records."
        from "backend";
    LogInflight = "otel.sdk.exporter.log.inflight" UpDownCounter ["{log_record}"]
        ["otel.component.name", "otel.component.type"]
        "The same of log records."
        from "outbox";
    OperationDuration = "otel.sdk.exporter.operation.duration" Histogram ["s"]
        ["otel.component.name", "otel.component.type", "error.type"]
        "From sending a request to the end of its answer, freezes left out."
        from "backend";
    QueueSize = "otel.sdk.processor.span.queue.size" UpDownCounter ["{span}"]
        ["otel.component.name", "otel.component.type"]
        "Spans that wait in memory, in flight or not."
        from "outbox";
    Received = "prefreeze.items.received" Counter ["{item}"] ["signal"]
        "Items (spans, data points, log records) taken from the function."
        from "ledger";
    Recovered = "prefreeze.items.recovered" Counter ["{item}"] ["signal"]
        "Items found in the spool of a process that was killed."
        from "ledger";
    Made = "prefreeze.items.made" Counter ["{item}"] ["signal"]
        "Items that Prefreeze made itself; these data points among them."
        from "ledger";
    Delivered = "prefreeze.items.delivered" Counter ["{item}"] ["signal", "prefreeze.destination"]
        "Items that the backend acknowledged."
        from "ledger";
    SampledOut = "prefreeze.items.sampled_out" Counter ["{item}"] ["signal"]
        "Items left out by a sampling decision."
        from "ledger";
    Dropped = "prefreeze.items.dropped" Counter ["{item}"] ["signal", "prefreeze.destination", "reason"]
        "Items that were given up, and why."
        from "ledger";
    Held = "prefreeze.items.held" UpDownCounter ["{item}"] ["signal", "prefreeze.destination"]
        "Items accepted and neither delivered nor given up: in memory, in flight, or in the spool."
        from "ledger";
    ExportBytes = "prefreeze.export.bytes" Counter ["By"] ["stage"]
        "Bytes of delivered requests: `raw` before compression, `sent` as they went over the wire."
        from "backend";
    Retries = "prefreeze.export.retries" Counter ["{request}"] []
        "Requests that are tried again after a failure."
        from "backend";
    Resent = "prefreeze.items.resent" Counter ["{item}"] []
        "Items sent again because the answer to their request was lost: the backend may have them twice."
        from "ledger";
    FlushDuration = "prefreeze.flush.duration" Histogram ["s"] []
        "How long a flush held an invocation."
        from "flush clock";
    FlushContinuous = "prefreeze.flush.continuous" Gauge ["1"] []
        "Where flushing stands: 1 beside the next invocation, 0 before the freeze."
        from "PREFREEZE_FLUSH, or what `adaptive` decided";
    FlushChanges = "prefreeze.flush.changes" Counter ["{change}"] []
        "How often `adaptive` changed its mind."
        from "flush clock";
    SpoolItems = "prefreeze.spool.items" UpDownCounter ["{item}"] ["signal", "prefreeze.destination"]
        "Items that are in the spool only, not in memory."
        from "spool";
    SpoolBytes = "prefreeze.spool.bytes" UpDownCounter ["By"] []
        "Their size."
        from "spool";
    Billed = "prefreeze.billed.duration" Counter ["s"] ["owner"]
        "Billed time, split: `prefreeze` is for how long our flushes held invocations, `function` is the rest."
        from "`platform.report` and the flush clock";
    Decisions = "prefreeze.sampling.decisions" Counter ["{decision}"] ["decision"]
        "What became of traces, by why: one for each part of a trace that was judged."
        from "sampling";
    Boosted = "prefreeze.sampling.boosted" UpDownCounter ["{operation}"] []
        "Operations whose ratio is raised, because they depart from their own baseline."
        from "sampling";
    GuardRedactions = "prefreeze.guard.redactions" Counter ["{value}"] ["rule"]
        "Values hidden by `PREFREEZE_REDACT`, by the kind of rule; own rules are `own`."
        from "guard";
    GuardChanges = "prefreeze.guard.changes" Counter ["{change}"] ["change"]
        "What else was changed or left out on receipt, by limits and by `PREFREEZE_ATTRIBUTES`: see [privacy](privacy.md#what-it-says)."
        from "guard";
    GuardIdentifiers = "prefreeze.guard.identifiers" Counter ["{key}"] []
        "Keys of attributes whose values look like identifiers; the line `identifier_like_attribute` names each."
        from "guard";
    AvoidedBytes = "prefreeze.cost.avoided_bytes" Counter ["By"] []
        "Bytes of spans that sampling left out, before compression."
        from "ledger";
    CostSpent = "prefreeze.cost.spent" Counter ["{currency}"] ["kind", "currency", "prices.as_of"]
        "An estimate of what was spent, by `PREFREEZE_PRICES`: kinds ingestion, egress, storage, function, extension."
        from "ledger, prices";
    CostAvoided = "prefreeze.cost.avoided" Counter ["{currency}"] ["kind", "currency", "prices.as_of"]
        "The same of what sampling left out: kinds ingestion, egress, storage."
        from "ledger, prices";
    TelemetryLost = "prefreeze.telemetry.logs_dropped" Counter ["{record}"] []
        "Events that the platform gave up on delivering."
        from "`platform.logsDropped`";
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn every_metric_has_a_name_of_its_own() {
        let mut names: Vec<_> = Metric::ALL.iter().map(|metric| metric.definition().name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Metric::ALL.len());
        for (index, metric) in Metric::ALL.iter().enumerate() {
            assert_eq!(*metric as usize, index, "{metric:?}");
        }
    }

    #[test]
    fn instruments_are_called_as_opentelemetry_calls_them() {
        use Instrument::{Counter, Gauge, Histogram, UpDownCounter};
        let words = [Counter, UpDownCounter, Gauge, Histogram].map(Instrument::as_str);
        assert_eq!(words, ["Counter", "UpDownCounter", "Gauge", "Histogram"]);
    }
}

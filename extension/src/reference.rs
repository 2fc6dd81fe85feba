//! The reference of every metric that Prefreeze emits, from the one table in policy.

use std::fmt::Write;

use policy::Metric;

const HEAD: &str = "\
# Metrics

Written by `prefreeze metrics --markdown` from the table in the code; a test keeps it so.

Metrics see all of the traffic: they are taken before sampling. They leave with a flush, at most every
`PREFREEZE_METRICS_INTERVAL_MS`, and always at SHUTDOWN; `PREFREEZE_METRICS` says how (see
[configuration.md](configuration.md)). Their resource is that of the spans that Prefreeze makes: `faas.*`, `cloud.*`,
and what the function calls itself (`service.*`, `deployment.*`). `service.instance.id` is a random UUID, one for each
environment, unless `OTEL_RESOURCE_ATTRIBUTES` has one: a store that keeps series by resource needs it, or the points of
all environments of a function contradict each other; where only sums are wanted, drop it on the way in.

* **Counters** and **histograms** have delta temporality: a point tells what came since the one before, from
  `start_time` to `time`, and intervals of one environment never overlap. Points without news are left out. With
  `PREFREEZE_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE=cumulative` a point tells what came since the environment began.
  Which of the two is right: [below](#what-each-store-needs).
* **Up-down counters** tell what holds in one environment, cumulative since it began; put them together by sum.
* Histograms are exponential: at most 160 buckets, scale 20 and down, merged without loss by the backend. The error of
  a quantile is at most √base − 1, with base = 2^(2^−scale): 2.2 % where values lie within three decades.
  `PREFREEZE_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION` asks for given buckets instead.
* A metric has at most `PREFREEZE_METRICS_SERIES_MAX` series; the rest is counted together, under
  `otel.metric.overflow=true`. Nothing is left out.
* Every end of an invocation is counted once, however often it is told: `faas.invocations` counts **successes only**;
  all invocations are `faas.invocations` + `faas.errors` + `faas.timeouts`. What the platform never tells of follows
  from SHUTDOWN. `platform.report` comes with the next invocation or SHUTDOWN, so what is taken from it is late.
* What a killed process of ours had counted since its last export is lost with it; spans are not.
* A span that was sampled before it came (`ot=th:…` in its trace state) counts for as many as it stands for; fractions
  are carried on to the next one.
* Lines of CloudWatch's embedded metric format (`PREFREEZE_METRICS=emf`) hold the counters and histograms, all series
  of a metric together, with the one dimension `FunctionName`; not those of operations (`traces.span.metrics.*`),
  because CloudWatch bills each set of dimensions.
* `traces.span.metrics.*` has the names of the collector's spanmetrics connector, whose points are cumulative, and in
  milliseconds unless told otherwise. Send only one of the two to a store: `PREFREEZE_METRICS_SPANS=off` leaves ours out.

## What each store needs

A sandbox lives for minutes, and often sends its counters once. Functions that look at the rise within a series
(`increase`, `rate`) see nothing of a series with one point, and extend longer ones by a guess. These settings and queries
give the true number of invocations, for any number of environments:

| store | settings | query, for the last hour |
|---|---|---|
| a store that keeps deltas as they come: VictoriaMetrics, CloudWatch, Prometheus with `--enable-feature=otlp-native-delta-ingestion` | none | `sum(sum_over_time(…[1h]))` |
| a store that wants totals: Prometheus as it is, Thanos, and what is behind remote write | `PREFREEZE_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE=cumulative` | `sum(max_over_time(…[1h]))`, for environments that began within it |
| one that adds deltas up by itself: Prometheus with `--enable-feature=otlp-deltatocumulative` | none | the same |
| Datadog, Dynatrace, New Relic | none: they want deltas | their own sums |

Where a store begins a series with zero at its start time, `increase(…[1h] anchored)` on totals is true too; a plain `increase` is
not: half of the distance between two points is added. `service.instance.id` must stay a label of the series, or
environments overwrite each other. Where exponential histograms are not known, set
`PREFREEZE_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION=explicit_bucket_histogram`.

The first two rows are tested on the points of the real binary with the stores' documented rules
(`tests/black_box/stores.rs`), for 1, 2 and 4 environments of 3 to 60 invocations, and not on the stores themselves.

## Every metric

| name | instrument | unit | attributes | what | from |
|---|---|---|---|---|---|
";

/// The page.
pub fn metrics() -> String {
    let mut page = HEAD.to_owned();
    for metric in Metric::ALL {
        let metric = metric.definition();
        let attributes: Vec<_> = metric.attributes.iter().map(|key| format!("`{key}`")).collect();
        let attributes = if attributes.is_empty() { "–".to_owned() } else { attributes.join(", ") };
        let _ = writeln!(
            page,
            "| `{}` | {} | {} | {attributes} | {} | {} |",
            metric.name,
            metric.instrument.as_str(),
            metric.unit,
            metric.description,
            metric.source,
        );
    }
    page
}

/// The table, tab-separated, for tools: name, instrument, unit, attributes with commas.
pub fn metrics_plain() -> String {
    let row = |metric: &Metric| {
        let metric = metric.definition();
        let instrument = metric.instrument.as_str();
        format!("{}\t{instrument}\t{}\t{}\n", metric.name, metric.unit, metric.attributes.join(","))
    };
    Metric::ALL.iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_reference_page_is_what_the_table_says() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/metrics.md");
        let written = std::fs::read_to_string(page).unwrap_or_default();
        assert!(
            written == super::metrics(),
            "docs/metrics.md is out of date: prefreeze metrics --markdown writes it"
        );
    }
}

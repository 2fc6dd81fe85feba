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
all environments of a function contradict each other; where only sums are wanted, drop it on the way in. The resource stays as it
was when metrics first left, whatever the function calls itself later: totals under two names would be counted twice.

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

An environment lives for minutes, and often sends its counters once. `increase` and `rate` see nothing of a series with one
point, and guess at the ends of longer ones. With these settings and queries a store counts every invocation of the last hour,
for any number of environments:

| store | settings of Prefreeze | settings of the store | query, for `faas_invocations_total` | dashboard |
|---|---|---|---|---|
| VictoriaMetrics 1.151 | `…_HISTOGRAM_AGGREGATION=explicit_bucket_histogram` | `-opentelemetry.usePrometheusNaming`, `-dedup.minScrapeInterval=1ms` | `sum(sum_over_time(…[1h]))` | [deltas](dashboards/grafana-deltas.json) |
| the same, with totals | that, and `…_PREFERENCE=cumulative` | the same | `sum(last_over_time(…[1h]))` | [totals](dashboards/grafana-totals.json) |
| Prometheus 3.16 | `…_PREFERENCE=cumulative` | – | `sum(last_over_time(…[1h]))` | [totals](dashboards/grafana-totals.json) |
| | `…_PREFERENCE=cumulative` | `--enable-feature=created-timestamp-zero-ingestion` | that, or `sum(increase(…[1h] anchored))` | the same |
| | – | `--enable-feature=otlp-deltatocumulative` | `sum(last_over_time(…[1h]))` | the same |
| | – | `--enable-feature=otlp-native-delta-ingestion` | `sum(sum_over_time(…[1h]))` | [deltas](dashboards/grafana-deltas.json) |
| Mimir 3.0 | `…_PREFERENCE=cumulative` | `-distributor.otel-metric-suffixes-enabled` | `sum(last_over_time(…[1h]))` | [totals](dashboards/grafana-totals.json) |
| | – | that, and `-distributor.otel-native-delta-ingestion` | `sum(sum_over_time(…[1h]))` | [deltas](dashboards/grafana-deltas.json) |
| Grafana Cloud, Thanos | `…_PREFERENCE=cumulative` | – | `sum(last_over_time(…[1h]))`; not tested | [totals](dashboards/grafana-totals.json) |
| CloudWatch, by `PREFREEZE_METRICS=emf` | – | – | the statistic `Sum` | [CloudWatch](dashboards/cloudwatch.json) |
| Datadog, Dynatrace, New Relic | – | – | their own sums; not tested | – |

`…_PREFERENCE` is `PREFREEZE_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE`, and `…_HISTOGRAM_AGGREGATION` is
`PREFREEZE_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION`.

* Every Prometheus needs `--web.enable-otlp-receiver`. It needs `storage.tsdb.out_of_order_time_window: 1h` in its file, and Mimir
  `-ingester.out-of-order-time-window=1h`: a request that has to be sent again arrives after younger ones, and is refused otherwise
  (`cause` is `out_of_order`).
* `PREFREEZE_EXPORTER_OTLP_METRICS_ENDPOINT` is `http://HOST:9090/api/v1/otlp/v1/metrics` for Prometheus,
  `http://HOST:8080/otlp/v1/metrics` for Mimir, and `http://HOST:8428/opentelemetry/v1/metrics` for VictoriaMetrics.
* Without these features, Prometheus answers deltas with 500 and Mimir with 400: `export_rejected`, `cause` is `wrong_temporality`,
  and all metrics of the request are lost.
* `service.instance.id` must become a label of every series, or environments overwrite each other. Prometheus and Mimir make it
  `instance`, and of `service.name` they make `job`; VictoriaMetrics makes `service_instance_id` and `service_name`.
* Totals of environments that began before the hour are more than what happened in it. For these, take the total of an hour
  ago off, as the dashboards do:
  `sum(last_over_time(…[1h]) - (last_over_time(…[6h] offset 1h) or last_over_time(…[1h]) * 0))`.
* Wrong in each of these stores: `sum(increase(…[1h]))`. It is 0 for environments that have sent once, half as much again with
  `created-timestamp-zero-ingestion`, a tenth too much with `st-storage,use-start-timestamps`; VictoriaMetrics leaves out first
  values.
* Histograms are native ones in Prometheus and Mimir: `histogram_quantile(0.95, sum by (job) (sum_over_time(…[1h])))`, or `last_over_time` for
  totals. VictoriaMetrics makes a series of every bucket, and writes the bounds of exponential ones with four digits: narrower
  buckets, and with them the quantiles, vanish. Hence the setting.
* A request whose answer is lost is sent again. VictoriaMetrics then keeps its deltas twice, unless `-dedup.minScrapeInterval` is
  `1ms`; longer intervals, and downsampling, lose deltas. The others keep a point once.
* With `otlp-deltatocumulative`, Prometheus drops deltas that arrive after younger ones, without a word, and forgets all totals when
  it restarts: prefer `…_PREFERENCE=cumulative`.

`make foreign` runs Prefreeze with these three stores and compares what each query of this table gives with the true number, to within
1 %: 1, 2 and 4 environments of 3 to 60 invocations, with metrics sent once and at each invocation. It also compares every
query of the Grafana dashboards with what was sent, in the reverse order and twice.

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

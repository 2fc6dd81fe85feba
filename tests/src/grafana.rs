//! The queries of Grafana's dashboards, and what each is about.

use std::fs;
use std::path::Path;

use policy::{Instrument, Metric};
use serde_json::Value;

/// The dashboards: for stores of deltas, and for stores of totals.
pub const FILES: [&str; 2] = ["grafana-deltas.json", "grafana-totals.json"];

/// One query of a panel.
#[derive(Clone, Debug)]
pub struct Query {
    /// As it is in the file, with Grafana's variables.
    pub text: String,
    /// What it asks for.
    pub metric: Metric,
    /// The label besides that of the service, of which each value is a line.
    pub by: Option<String>,
    /// The share below the value, where a quantile is asked for.
    pub quantile: Option<f64>,
}

/// Every query of a dashboard.
///
/// # Panics
/// When a query asks for no metric of the table, or for several.
pub fn queries(file: &str) -> Vec<Query> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/dashboards").join(file);
    let text = fs::read_to_string(&path).expect("it is in the tree");
    let dashboard: Value = serde_json::from_str(&text).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels").iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().expect("targets"));
    targets.map(|target| query(target["expr"].as_str().expect("an expression"))).collect()
}

fn query(text: &str) -> Query {
    let is_of_a_name = |c: char| c.is_alphanumeric() || c == '_';
    let series = text
        .match_indices("{$label=~")
        .map(|(at, _)| text[..at].rsplit(|c| !is_of_a_name(c)).next().expect("a name").to_owned());
    let mut metrics: Vec<Metric> = series.map(|series| metric(&series)).collect();
    metrics.dedup();
    assert_eq!(metrics.len(), 1, "{text}");
    let between =
        |before: &str, after: &str| Some(text.split_once(before)?.1.split_once(after)?.0.to_owned());
    let by = between("by ($label, ", ")").filter(|by| by != "le, vmrange");
    let quantile = between("histogram_quantile(", ",").map(|share| share.parse().expect("a number"));
    Query { text: text.to_owned(), metric: metrics[0], by, quantile }
}

/// The metric that a store has under this name.
#[track_caller]
fn metric(series: &str) -> Metric {
    let is_it = |metric: &&Metric| {
        let name = in_prometheus(**metric);
        let is_part = metric.definition().instrument == Instrument::Histogram
            && series.strip_prefix(&name) == Some("_bucket");
        is_part || series == name
    };
    *Metric::ALL.iter().find(is_it).unwrap_or_else(|| panic!("nobody emits {series}"))
}

/// OpenTelemetry's rules: <https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/>.
fn in_prometheus(metric: Metric) -> String {
    let definition = metric.definition();
    let mut name = definition.name.replace('.', "_");
    let suffix = match definition.unit {
        "s" => "_seconds",
        "By" => "_bytes",
        "1" if definition.instrument == Instrument::Gauge => "_ratio",
        _ => "",
    };
    if !name.ends_with(suffix) {
        name += suffix;
    }
    if definition.instrument == Instrument::Counter { name + "_total" } else { name }
}

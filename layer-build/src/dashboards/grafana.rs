//! Grafana's form of the dashboard, over stores that speak PromQL: Prometheus, Mimir, Grafana Cloud, VictoriaMetrics.
//!
//! `tests/foreign` runs each query on real stores. None uses `increase`: it sees nothing of an environment that has sent its
//! counters once, and guesses at the ends of the others.

use serde_json::{Value, json};

use super::{Line, Metric, PANELS, Panel, Shown, Unit};

/// How long an environment may be silent and still be known: longer than Lambda keeps an idle one.
const SILENCE_MAX: &str = "6h";

/// What a store keeps of counters and histograms.
#[derive(Clone, Copy)]
pub(super) enum Points {
    /// What came since the point before.
    Deltas,
    /// What came since the environment began.
    Totals,
}

impl Points {
    /// A query for what came within each interval of a graph, by `series`.
    fn within(self, series: &str) -> String {
        match self {
            Self::Deltas => format!("sum_over_time({series}[$__interval])"),
            Self::Totals => {
                let total = format!("last_over_time({series}[$__interval])");
                let before = format!("last_over_time({series}[{SILENCE_MAX}] offset $__interval)");
                format!("({total} - ({before} or {total} * 0))")
            }
        }
    }
}

/// The grid has 24 columns.
const COLUMNS: usize = 2;
const WIDTH: usize = 24 / COLUMNS;
const HEIGHT: usize = 8;

/// The dashboard as Grafana imports it: it asks for the data source.
pub(super) fn dashboard(points: Points) -> String {
    let panels: Vec<Value> = PANELS.iter().enumerate().map(|(at, panel)| graph(at, panel, points)).collect();
    let (name, id) = match points {
        Points::Deltas => ("Prefreeze (a store of deltas)", "prefreeze-deltas"),
        Points::Totals => ("Prefreeze (a store of totals)", "prefreeze-totals"),
    };
    let dashboard = json!({
        "title": name,
        "uid": id,
        "tags": ["lambda", "opentelemetry"],
        "schemaVersion": 39,
        "time": { "from": "now-6h", "to": "now" },
        "refresh": "1m",
        "templating": { "list": [
            { "name": "source", "type": "datasource", "query": "prometheus", "label": "Data source" },
            // Prometheus and Mimir make the first of `service.name`, VictoriaMetrics the second.
            {
                "name": "label", "type": "custom", "label": "Label of services", "query": "job,service_name",
                "current": { "text": "job", "value": "job" },
            },
            {
                "name": "service", "type": "query", "label": "Service", "multi": true, "includeAll": true,
                "datasource": { "type": "prometheus", "uid": "${source}" },
                "query": "label_values(faas_invocations_total, $label)", "refresh": 2, "allValue": ".*",
            },
        ] },
        "panels": panels,
    });
    format!("{dashboard:#}\n")
}

fn graph(at: usize, panel: &Panel, points: Points) -> Value {
    let targets: Vec<Value> =
        (b'A'..).zip(panel.lines).filter_map(|(letter, line)| target(letter, line, points)).collect();
    let style =
        if panel.lines.iter().any(|line| matches!(line.shown, Shown::Quantile(_))) { "line" } else { "bars" };
    json!({
        "id": at + 1,
        "type": "timeseries",
        "title": panel.title,
        "description": panel.help,
        "datasource": { "type": "prometheus", "uid": "${source}" },
        "gridPos": { "x": at % COLUMNS * WIDTH, "y": at / COLUMNS * HEIGHT, "w": WIDTH, "h": HEIGHT },
        "fieldConfig": {
            "defaults": { "unit": unit(panel), "min": 0, "custom": { "drawStyle": style } },
            "overrides": [],
        },
        "targets": targets,
    })
}

/// None for what only the platform measures: it is in CloudWatch, not in these stores.
fn target(letter: u8, line: &Line, points: Points) -> Option<Value> {
    let Metric::Own(name, unit) = line.metric else { return None };
    let series = series(name, unit);
    let within = |suffix: &str| points.within(&format!("{series}{suffix}{{$label=~\"$service\"}}"));
    let (expression, kind) = match line.shown {
        Shown::Sum => (format!("sum by ($label) ({})", within("_total")), String::new()),
        Shown::SumBy(label) => {
            (format!("sum by ($label, {label}) ({})", within("_total")), format!(" {{{{{label}}}}}"))
        }
        Shown::Quantile(percent) => {
            let share = f64::from(percent) / 100.0;
            // Buckets of given bounds or of VictoriaMetrics, or else a native histogram.
            let buckets = format!("sum by ($label, le, vmrange) ({})", within("_bucket"));
            let native = format!("sum by ($label) ({})", within(""));
            let either =
                format!("histogram_quantile({share}, {buckets}) or histogram_quantile({share}, {native})");
            (either, String::new())
        }
    };
    Some(json!({
        "expr": expression,
        "legendFormat": format!("{}{kind} {{{{job}}}}{{{{service_name}}}}", line.label),
        "refId": char::from(letter).to_string(),
    }))
}

/// The name as OpenTelemetry's rules for Prometheus make it, without `_total`.
fn series(name: &str, unit: Unit) -> String {
    let suffix = match unit {
        Unit::Count => "",
        Unit::Seconds => "_seconds",
        Unit::Bytes => "_bytes",
    };
    let name = name.replace('.', "_");
    if name.ends_with(suffix) { name } else { name + suffix }
}

fn unit(panel: &Panel) -> &'static str {
    let first = panel.lines.iter().find_map(|line| match line.metric {
        Metric::Own(_, unit) => Some(unit),
        Metric::Lambda(_) => None,
    });
    match first {
        Some(Unit::Seconds) => "s",
        Some(Unit::Bytes) => "bytes",
        _ => "short",
    }
}

//! Grafana's form of the dashboard, over a Prometheus that takes OTLP (Prometheus itself, Mimir, Grafana Cloud).

use serde_json::{Value, json};

use super::{Line, Metric, PANELS, Panel, Shown, Unit};

/// The grid has 24 columns.
const COLUMNS: usize = 2;
const WIDTH: usize = 24 / COLUMNS;
const HEIGHT: usize = 8;

/// The dashboard as Grafana imports it: it asks for the data source.
pub(super) fn dashboard() -> String {
    let panels: Vec<Value> = PANELS.iter().enumerate().map(|(at, panel)| graph(at, panel)).collect();
    let dashboard = json!({
        "title": "Prefreeze",
        "uid": "prefreeze",
        "tags": ["lambda", "opentelemetry"],
        "schemaVersion": 39,
        "time": { "from": "now-6h", "to": "now" },
        "refresh": "1m",
        "templating": { "list": [
            { "name": "source", "type": "datasource", "query": "prometheus", "label": "Data source" },
            {
                "name": "service", "type": "query", "label": "Service", "multi": true, "includeAll": true,
                "datasource": { "type": "prometheus", "uid": "${source}" },
                "query": "label_values(faas_invocations_total, job)", "refresh": 2, "allValue": ".*",
            },
        ] },
        "panels": panels,
    });
    format!("{dashboard:#}\n")
}

fn graph(at: usize, panel: &Panel) -> Value {
    let targets: Vec<Value> =
        (b'A'..).zip(panel.lines).filter_map(|(letter, line)| target(letter, line)).collect();
    json!({
        "id": at + 1,
        "type": "timeseries",
        "title": panel.title,
        "description": panel.help,
        "datasource": { "type": "prometheus", "uid": "${source}" },
        "gridPos": { "x": at % COLUMNS * WIDTH, "y": at / COLUMNS * HEIGHT, "w": WIDTH, "h": HEIGHT },
        "fieldConfig": { "defaults": { "unit": unit(panel), "min": 0 }, "overrides": [] },
        "targets": targets,
    })
}

/// None for what only the platform measures: it is in CloudWatch, not in Prometheus.
fn target(letter: u8, line: &Line) -> Option<Value> {
    let Metric::Own(name, unit) = line.metric else { return None };
    let by = "{job=~\"$service\"}[$__rate_interval]";
    let expression = match line.shown {
        Shown::SumBy(label) => format!("sum by (job, {label}) (increase({}_total{by}))", series(name, unit)),
        Shown::Sum => format!("sum by (job) (increase({}_total{by}))", series(name, unit)),
        Shown::Total => format!("histogram_sum(sum by (job) (increase({}{by})))", series(name, unit)),
        Shown::Quantile(percent) => {
            let rate = format!("sum by (job) (rate({}{by}))", series(name, unit));
            format!("histogram_quantile({}, {rate})", f64::from(percent) / 100.0)
        }
    };
    let kind = if let Shown::SumBy(label) = line.shown { format!(" {{{{{label}}}}}") } else { String::new() };
    Some(json!({
        "expr": expression,
        "legendFormat": format!("{}{kind} {{{{job}}}}", line.label),
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

//! CloudWatch's form of the dashboard: every function that reports, found by search.

use serde_json::{Value, json};

use super::{Line, Metric, PANELS, Panel, Shown};

/// Where Prefreeze's lines put their metrics; the default of `PREFREEZE_METRICS_EMF_NAMESPACE`.
const NAMESPACE: &str = "Prefreeze";
/// The grid has 24 columns.
const COLUMNS: usize = 2;
const WIDTH: usize = 24 / COLUMNS;
const HEIGHT: usize = 6;
/// Seconds in one point of a graph.
const PERIOD: u32 = 300;

/// For any account: all functions that there are. The region is to be set by whoever imports it.
pub(super) fn standalone() -> String {
    format!("{:#}\n", dashboard("eu-central-1", "", "${PROP('Dim.FunctionName')}"))
}

/// For the template, as the value of a property: its own functions only.
pub(super) fn for_template() -> String {
    let functions = ["AuthorizeFunction", "ReconcileFunction", "ReceiptFunction"];
    let names: Vec<String> = functions.iter().map(|id| format!("\"${{{id}}}\"")).collect();
    let filter = format!(" FunctionName=({})", names.join(" OR "));
    // With an exclamation mark it is for CloudWatch, and not for Sub.
    let body = format!("{:#}", dashboard("${AWS::Region}", &filter, "${!PROP('Dim.FunctionName')}"));
    let lines: String = body.lines().map(|line| format!("  {line}\n")).collect();
    format!("DashboardBody: !Sub |\n{lines}")
}

/// `function` is what CloudWatch replaces by a function's name.
fn dashboard(region: &str, filter: &str, function: &str) -> Value {
    let widget = |(at, panel): (usize, &Panel)| {
        let searches: Vec<Value> =
            panel.lines.iter().map(|line| json!([search(line, filter, function)])).collect();
        json!({
            "type": "metric",
            "x": at % COLUMNS * WIDTH,
            "y": at / COLUMNS * HEIGHT,
            "width": WIDTH,
            "height": HEIGHT,
            "properties": {
                "title": panel.title,
                "region": region,
                "view": "timeSeries",
                "period": PERIOD,
                "metrics": searches,
            },
        })
    };
    json!({ "widgets": PANELS.iter().enumerate().map(widget).collect::<Vec<_>>() })
}

fn search(line: &Line, filter: &str, function: &str) -> Value {
    let (namespace, name) = match line.metric {
        Metric::Own(name, _) => (NAMESPACE, name),
        Metric::Lambda(name) => ("AWS/Lambda", name),
    };
    let statistic = match line.shown {
        Shown::Sum | Shown::SumBy(_) => "Sum".to_owned(),
        Shown::Quantile(percent) => format!("p{percent}"),
    };
    let what = format!("{{{namespace},FunctionName}} MetricName=\"{name}\"{filter}");
    json!({
        "expression": format!("SEARCH('{what}', '{statistic}', {PERIOD})"),
        "label": format!("{} {function}", line.label),
    })
}

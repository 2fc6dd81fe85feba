//! CloudWatch's embedded metric format: one log line that CloudWatch turns into metrics.
//!
//! # Source
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>

use policy::{Instrument, Measured, Metric, Reading};
use serde_json::{Map, Value, json};

/// A line may define so many metrics, and a metric may have so many values.
const METRICS_MAX: usize = 100;
const VALUES_MAX: usize = 100;
/// The dimension: with the function's name only, a metric costs the same however many environments there are.
const DIMENSION: &str = "FunctionName";

/// The line for `measured`, without its end; `None` when there is nothing to tell.
///
/// Shape: each metric stands for all of its series together, because a line has one value for a name. Metrics of
/// operations are left out: each set of dimensions is a metric that CloudWatch bills.
pub fn line(measured: &Measured, namespace: &str, function_name: &str) -> Option<String> {
    let mut line = Map::new();
    let mut definitions = Vec::new();
    for points in measured.points.chunk_by(|one, two| one.metric == two.metric) {
        let metric = points[0].metric;
        let definition = metric.definition();
        if !is_told(metric) || definitions.len() == METRICS_MAX {
            continue;
        }
        let Some(value) = together(points.iter().map(|point| &point.reading)) else { continue };
        definitions.push(json!({ "Name": definition.name, "Unit": unit(definition.unit) }));
        line.insert(definition.name.to_owned(), value);
    }
    if definitions.is_empty() {
        return None;
    }
    let directive = json!({ "Namespace": namespace, "Dimensions": [[DIMENSION]], "Metrics": definitions });
    line.insert(
        "_aws".into(),
        json!({ "Timestamp": measured.at.0 / 1_000_000, "CloudWatchMetrics": [directive] }),
    );
    line.insert(DIMENSION.into(), function_name.into());
    Some(Value::Object(line).to_string())
}

/// Levels of one environment mean nothing when those of many are put together under the function's name.
fn is_told(metric: Metric) -> bool {
    let is_of_operation = matches!(metric, Metric::SpanCalls | Metric::SpanDuration);
    let instrument = metric.definition().instrument;
    !is_of_operation && matches!(instrument, Instrument::Counter | Instrument::Histogram)
}

/// One value for all series of a metric.
fn together<'a>(readings: impl Iterator<Item = &'a Reading>) -> Option<Value> {
    let all = readings.cloned().reduce(|mut all, reading| {
        match (&mut all, reading) {
            (Reading::Int(sum), Reading::Int(more)) => *sum += more,
            (Reading::Double(sum), Reading::Double(more)) => *sum += more,
            (Reading::Histogram(histogram), Reading::Histogram(more)) => histogram.merge(&more),
            _ => {}
        }
        all
    })?;
    Some(match all {
        Reading::Int(number) => number.into(),
        Reading::Double(number) => number.into(),
        Reading::Histogram(histogram) => {
            let pairs = histogram.values(VALUES_MAX);
            if histogram.count <= VALUES_MAX as u64 {
                let each = pairs.iter().flat_map(|(value, times)| (0..*times).map(move |_| *value));
                return Some(each.collect());
            }
            // More values than an array may hold: the form of the collector's EMF exporter, which CloudWatch reads.
            let (values, counts): (Vec<f64>, Vec<u64>) = pairs.into_iter().unzip();
            json!({
                "Values": values,
                "Counts": counts,
                "Max": histogram.max,
                "Min": histogram.min,
                "Count": histogram.count,
                "Sum": histogram.sum,
            })
        }
    })
}

/// CloudWatch's word for a unit.
fn unit(unit: &str) -> &'static str {
    match unit {
        "s" => "Seconds",
        "By" => "Bytes",
        _ if unit.starts_with('{') => "Count",
        _ => "None",
    }
}

//! Every metric that a dashboard or an alarm asks for is one that is really emitted.

use std::collections::BTreeSet;
use std::fs;

use policy::{Instrument, Metric};
use serde_json::Value;

use super::tools::workspace;
use tests::grafana;
use tests::template::Template;

/// Metrics of AWS's own that are used, as its documentation names them.
const OF_AWS: &[(&str, &[&str])] = &[
    ("AWS/Lambda", &["Errors", "Invocations", "PostRuntimeExtensionsDuration", "Throttles"]),
    ("AWS/ApiGateway", &["5xx", "Count", "Latency"]),
    ("AWS/SQS", &["ApproximateAgeOfOldestMessage", "ApproximateNumberOfMessagesVisible"]),
];

/// What CloudWatch can be asked for: counters and histograms, see docs/metrics.md.
fn in_cloudwatch() -> BTreeSet<&'static str> {
    let told = |metric: &&Metric| {
        matches!(metric.definition().instrument, Instrument::Counter | Instrument::Histogram)
    };
    Metric::ALL.iter().filter(told).map(|metric| metric.definition().name).collect()
}

#[track_caller]
fn assert_known(namespace: &str, name: &str) {
    let is_known = match namespace {
        "Prefreeze" => in_cloudwatch().contains(name),
        other => OF_AWS.iter().any(|(theirs, names)| *theirs == other && names.contains(&name)),
    };
    assert!(is_known, "nobody emits {name} into {namespace}");
}

#[test]
fn the_cloudwatch_dashboard_searches_for_what_there_is() {
    let text = fs::read_to_string(workspace().join("docs/dashboards/cloudwatch.json")).expect("it is there");
    let dashboard: Value = serde_json::from_str(&text).expect("JSON");
    let mut seen = 0;
    for widget in dashboard["widgets"].as_array().expect("widgets") {
        for metric in widget["properties"]["metrics"].as_array().expect("metrics") {
            let search = metric[0]["expression"].as_str().expect("a search");
            let namespace = between(search, "{", ",FunctionName}");
            assert_known(namespace, between(search, "MetricName=\"", "\""));
            seen += 1;
        }
    }
    assert!(seen > 20, "{seen} searches");
}

#[test]
fn the_alarms_ask_for_what_there_is() {
    let template = Template::ours().expect("it can be read");
    let mut seen = 0;
    for (id, alarm) in template.resources("AWS::CloudWatch::Alarm") {
        let properties = &alarm["Properties"];
        let several = properties["Metrics"].as_array().into_iter().flatten();
        let metrics = several.map(|each| &each["MetricStat"]["Metric"]).chain([properties]);
        for metric in metrics {
            if let (Some(namespace), Some(name)) =
                (metric["Namespace"].as_str(), metric["MetricName"].as_str())
            {
                assert_known(namespace, name);
                seen += 1;
            }
        }
        let description = properties["AlarmDescription"].as_str().expect("a description");
        assert!(
            description.contains("docs/rollout.md#") || description.ends_with("window"),
            "{id}: no runbook"
        );
    }
    assert!(seen > 20, "{seen} metrics");
}

#[test]
fn every_alarm_has_its_runbook() {
    let page = fs::read_to_string(workspace().join("docs/rollout.md")).expect("it is there");
    let headings: Vec<String> = page
        .lines()
        .filter_map(|line| Some(line.strip_prefix('#')?.trim_start_matches('#').trim().to_lowercase()))
        .collect();
    let template = Template::ours().expect("it can be read");
    for kind in ["AWS::CloudWatch::Alarm", "AWS::CloudWatch::CompositeAlarm"] {
        for (id, alarm) in template.resources(kind) {
            let description = alarm["Properties"]["AlarmDescription"].as_str().expect("a description");
            if let Some((_, anchor)) = description.split_once("docs/rollout.md#") {
                assert!(headings.iter().any(|heading| heading == anchor), "{id}: no heading {anchor}");
            }
        }
    }
}

#[test]
fn the_grafana_dashboards_ask_for_what_there_is() {
    for file in grafana::FILES {
        let queries = grafana::queries(file);
        assert!(queries.len() > 20, "{file}: {} queries", queries.len());
        for query in queries {
            let by = query.by.map(|by| by.replace('_', "."));
            let known = query.metric.definition().attributes;
            assert!(by.is_none_or(|by| known.contains(&&by[..])), "{file}: {}", query.text);
        }
    }
}

#[track_caller]
fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    let rest = text.split_once(before).unwrap_or_else(|| panic!("no {before} in {text}")).1;
    rest.split_once(after).unwrap_or_else(|| panic!("no {after} in {text}")).0
}

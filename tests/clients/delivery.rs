//! One invocation whose telemetry a stock SDK sends, and everything that must be at the backend after it.

use std::process::Command;
use std::time::Duration;

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue};
use opentelemetry_proto::tonic::metrics::v1::{Metric, metric::Data, number_data_point};
use tests::collector::{Collector, State, attribute};
use tests::platform::{Invoke, Platform, Script};

use super::toolbox::run;

/// What the clients are told to name their invocation.
pub(super) const REQUEST_ID: &str = "8476a536-e9f4-11e8-9739-2dfe598c3fcd";

/// Runs the client that `client` makes, and checks that its span, metrics and log record arrive whole.
#[track_caller]
pub(super) fn assert_delivered(service: &str, client: impl FnOnce(&Platform) -> Command) {
    let collector = Collector::start();
    let script = Script::new().env("PREFREEZE_EXPORTER_OTLP_ENDPOINT", collector.endpoint());
    let platform = Platform::ready(&script);
    platform.answer_next(&Invoke::new(REQUEST_ID, Duration::from_secs(600)));
    run(&mut client(&platform));
    // The span names the request, and so ends the invocation: no timer, and no other sign, is there to.
    platform.wait_next();
    let seen = collector.state();
    assert_span(&seen, service);
    assert_metrics(&seen);
    assert_log(&seen);
    platform.spin_down();
    let summary = platform.log("summary").remove(0);
    for counts in [&summary, &summary["metrics"], &summary["logs"]] {
        assert_eq!(counts["exported"], counts["received"], "{summary}");
    }
}

#[track_caller]
fn assert_span(seen: &State, service: &str) {
    let spans: Vec<_> = seen.spans().into_iter().filter(|it| it.span.name == "pay").collect();
    let [it] = &spans[..] else { panic!("not one span `pay`:\n{seen}") };
    assert_eq!(it.resource_text("service.name"), Some(service));
    assert_eq!(it.resource_text("faas.name"), Some("orders"), "completed by us");
    assert_eq!((it.span.trace_id.len(), it.span.span_id.len(), it.span.kind), (16, 8, 2));
    let status = it.span.status.as_ref().expect("it has one");
    assert_eq!((status.code, &status.message[..]), (2, "declined"));
    assert_eq!(it.text("faas.invocation_id"), Some(REQUEST_ID));
    // The greatest whole number that JavaScript tells from its neighbours.
    assert_eq!(it.attribute("amount"), Some(&Value::IntValue(9_007_199_254_740_991)));
    assert_eq!(it.attribute("rate"), Some(&Value::DoubleValue(0.1)));
    let texts = ["a", "é"].map(|text| AnyValue { value: Some(Value::StringValue(text.to_owned())) });
    assert_eq!(it.attribute("list"), Some(&Value::ArrayValue(ArrayValue { values: texts.into() })));
    assert!(it.span.end_time_unix_nano >= it.span.start_time_unix_nano);
    assert!(it.span.start_time_unix_nano > 1_700_000_000_000_000_000);
    assert_eq!(it.span.events[0].name, "charged");
    assert_eq!(attribute(&it.span.events[0].attributes, "attempt"), Some(&Value::IntValue(1)));
}

#[track_caller]
fn assert_metrics(seen: &State) {
    let groups = seen.metrics().into_iter().flat_map(|request| &request.resource_metrics);
    let metrics: Vec<&Metric> =
        groups.flat_map(|group| &group.scope_metrics).flat_map(|scope| &scope.metrics).collect();
    let data = |name: &str| metrics.iter().find(|it| it.name == name).and_then(|it| it.data.as_ref());
    let Some(Data::Sum(sum)) = data("payments") else { panic!("no sum `payments`:\n{seen}") };
    let value = match sum.data_points[0].value {
        Some(number_data_point::Value::AsDouble(value)) => value,
        Some(number_data_point::Value::AsInt(value)) => value as f64,
        None => f64::NAN,
    };
    assert_eq!((value, sum.is_monotonic), (3.0, true));
    let currency = attribute(&sum.data_points[0].attributes, "currency");
    assert_eq!(currency, Some(&Value::StringValue("EUR".to_owned())));
    let Some(Data::Histogram(histogram)) = data("duration") else { panic!("no histogram:\n{seen}") };
    let point = &histogram.data_points[0];
    assert_eq!((point.count, point.sum), (1, Some(0.25)));
    assert_eq!(point.bucket_counts.iter().sum::<u64>(), 1);
    assert_eq!(point.bucket_counts.len(), point.explicit_bounds.len() + 1);
}

#[track_caller]
fn assert_log(seen: &State) {
    let groups = seen.logs().into_iter().flat_map(|request| &request.resource_logs);
    let records: Vec<_> =
        groups.flat_map(|group| &group.scope_logs).flat_map(|scope| &scope.log_records).collect();
    let [record] = records[..] else { panic!("not one log record:\n{seen}") };
    assert_eq!(record.severity_number, 9);
    let body = record.body.as_ref().and_then(|body| body.value.as_ref());
    let Some(Value::KvlistValue(members)) = body else { panic!("the body is {body:?}") };
    assert_eq!(attribute(&members.values, "said"), Some(&Value::StringValue("a payment".to_owned())));
    assert_eq!(attribute(&members.values, "bytes"), Some(&Value::BytesValue(vec![1, 2, 255])));
}

//! What a subscriber receives, and when.

use sandbox::{
    EventKind, Fate, Faults, FunctionSpec, InvokeRequest, LogFormat, SubscribeAnswer, TelemetryFault,
};
use serde_json::{Value, json};

use crate::harness::{Harness, act};

const ALL: &str = "subscribe=platform+function+extension,await=platform.runtimeDone";

fn kinds(harness: &Harness) -> Vec<String> {
    let lines = harness.lines("tracer.telemetry").into_iter();
    lines.map(|l| l["event"]["type"].as_str().unwrap().to_owned()).collect()
}

async fn received(harness: &Harness, kind: &str) -> Value {
    harness.wait_for_line("tracer.telemetry", |l| l["event"]["type"] == kind).await["event"]["record"].clone()
}

#[tokio::test]
async fn a_late_subscriber_gets_the_events_of_init() {
    let harness = Harness::start().await;
    let mut spec =
        harness.spec(&[("tracer", &format!("{ALL},subscribe-after=150")), ("other", "log-at-init=hi")]);
    spec.env.push(("RUNTIME_INIT".into(), "log".into()));
    harness.lambda.create_function(spec).unwrap();
    harness.invoke(act("echo")).await;
    received(&harness, "platform.start").await;
    let kinds = kinds(&harness);
    assert_eq!(kinds[0], "platform.initStart");
    for kind in ["function", "extension", "platform.initRuntimeDone", "platform.telemetrySubscription"] {
        assert!(kinds.iter().any(|k| k == kind), "{kind} of {kinds:?}");
    }
    assert_eq!(received(&harness, "function").await, "hello from init");
    assert_eq!(received(&harness, "extension").await, "hi");
    let start = received(&harness, "platform.initStart").await;
    assert_eq!((&start["phase"], &start["initializationType"]), (&json!("init"), &json!("on-demand")));
    let report = received(&harness, "platform.initReport").await;
    assert!(report["metrics"]["durationMs"].as_f64().unwrap() >= 150.0, "{report}");
    let extensions = harness.telemetry("tracer", "platform.extension");
    assert_eq!(extensions.len(), 2);
    assert_eq!(extensions[0]["event"]["record"]["state"], "Ready");
    harness.end().await;
}

#[tokio::test]
async fn runtime_done_comes_at_next_with_its_spans_and_the_report_after_the_extensions() {
    let harness = Harness::start().await;
    harness.create(&[("tracer", "subscribe=platform,hold=200,await=platform.runtimeDone")]);
    let request = InvokeRequest::json(&json!({"do": "linger", "ms": 60})).with_xray(sandbox::XRay::Active);
    let first = harness.invoke_with(request).await;
    harness.idle().await;
    harness.invoke(act("echo")).await;
    let done = received(&harness, "platform.runtimeDone").await;
    assert_eq!(done["requestId"], first.request_id.as_str());
    assert_eq!((&done["status"], &done["metrics"]["producedBytes"]), (&json!("success"), &json!(7)));
    let names: Vec<_> =
        done["spans"].as_array().unwrap().iter().map(|s| s["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["responseLatency", "responseDuration", "runtimeOverhead"]);
    assert!(done["spans"][2]["durationMs"].as_f64().unwrap() >= 60.0, "the runtime lingered: {done}");
    let start = received(&harness, "platform.start").await;
    assert_eq!(start["tracing"], done["tracing"]);
    assert_eq!(start["tracing"]["spanId"].as_str().unwrap().len(), 16);
    let report = received(&harness, "platform.report").await;
    assert_eq!(report["requestId"], first.request_id.as_str());
    assert_eq!(report["spans"][0]["name"], "extensionOverhead");
    let metrics = &report["metrics"];
    assert!(metrics["initDurationMs"].as_f64().unwrap() > 0.0);
    let sum = metrics["durationMs"].as_f64().unwrap() + metrics["initDurationMs"].as_f64().unwrap();
    // Rounded up from nanoseconds, which may be one more than from the three decimals shown.
    let billed = metrics["billedDurationMs"].as_f64().unwrap();
    assert!(billed >= sum && billed < sum + 1.01, "{metrics}");
    assert!(metrics["maxMemoryUsedMB"].as_u64().unwrap() > 0);
    assert_eq!(metrics["memorySizeMB"], 128);
    harness.idle().await;
    harness.invoke(act("echo")).await;
    let second = harness.wait_for_line("tracer.telemetry", |l| {
        l["event"]["type"] == "platform.report"
            && l["event"]["record"]["requestId"] != first.request_id.as_str()
    });
    assert!(second.await["event"]["record"]["metrics"]["initDurationMs"].is_null());
    harness.end().await;
}

#[tokio::test]
async fn a_batch_that_is_refused_comes_again() {
    let harness = Harness::start().await;
    harness.create(&[("tracer", "subscribe=platform,refuse=2,await=platform.runtimeDone")]);
    harness.invoke(act("echo")).await;
    harness.wait_for_line("tracer.telemetry", |l| l["refused"] == false).await;
    let starts = harness.telemetry("tracer", "platform.initStart");
    assert_eq!(
        starts.iter().map(|l| l["refused"].as_bool().unwrap()).collect::<Vec<_>>(),
        [true, true, false]
    );
    harness.end().await;
}

#[tokio::test]
async fn a_consumer_that_is_too_slow_loses_batches_and_is_told() {
    let harness = Harness::start().await;
    harness.create(&[("tracer", "subscribe=platform+function,answer-after=2000,await=platform.logsDropped")]);
    harness.complete(json!({"do": "log", "lines": 30_000})).await;
    let lost = received(&harness, "platform.logsDropped").await;
    let (records, bytes) = (lost["droppedRecords"].as_u64().unwrap(), lost["droppedBytes"].as_u64().unwrap());
    assert!(records >= 1000 && bytes > records, "{lost}");
    harness.end().await;
}

#[tokio::test]
async fn tcp_destinations_get_one_event_per_line() {
    let harness = Harness::start().await;
    harness.create(&[("tracer", "subscribe=platform,tcp,await=platform.runtimeDone")]);
    harness.invoke(act("echo")).await;
    received(&harness, "platform.runtimeDone").await;
    assert_eq!(kinds(&harness)[0], "platform.initStart");
    harness.end().await;
}

#[tokio::test]
async fn json_lines_become_objects_when_the_function_logs_json() {
    for (schema, expected) in [("2022-07-01", false), ("2022-12-13", true), ("2025-01-29", true)] {
        let harness = Harness::start().await;
        let spec = harness.spec(&[("tracer", &format!("subscribe=function,await=function,schema={schema}"))]);
        harness.lambda.create_function(FunctionSpec { log_format: LogFormat::Json, ..spec }).unwrap();
        harness.invoke(act("log-json")).await;
        assert_eq!(received(&harness, "function").await.is_object(), expected, "{schema}");
        harness.end().await;
    }
}

#[tokio::test]
async fn a_second_subscription_changes_nothing() {
    let harness = Harness::start().await;
    harness.create(&[("tracer", &format!("{ALL},subscribe-times=2"))]);
    harness.invoke(act("echo")).await;
    received(&harness, "platform.runtimeDone").await;
    assert_eq!(harness.telemetry("tracer", "platform.start").len(), 1);
    let states: Vec<_> = harness.telemetry("tracer", "platform.telemetrySubscription");
    assert_eq!(states[1]["event"]["record"]["state"], "Already subscribed");
    harness.end().await;
}

#[tokio::test]
async fn subscriptions_close_with_init() {
    let harness = Harness::start().await;
    harness.create(&[("tracer", "subscribe-late")]);
    harness.invoke(act("echo")).await;
    let line = harness.wait_for_line("tracer.events", |l| l["subscribe"].is_u64()).await;
    assert_eq!(
        (&line["subscribe"], &line["body"]["errorType"]),
        (&json!(403), &json!("Telemetry.SubscriptionClosed"))
    );
    harness.end().await;
}

#[tokio::test]
async fn a_subscription_can_be_refused_on_purpose() {
    let cases = [
        (SubscribeAnswer::NotSupported, 202, json!("Telemetry.NotSupported")),
        (SubscribeAnswer::Closed, 403, json!("Telemetry.SubscriptionClosed")),
        (SubscribeAnswer::NotFound, 404, json!("NotFound")),
        (SubscribeAnswer::ServerError, 500, json!("InternalServerError")),
    ];
    for (subscribe, status, error_type) in cases {
        let harness = Harness::start().await;
        let faults = Faults { subscribe, ..Faults::default() };
        let spec = FunctionSpec { faults, ..harness.spec(&[("tracer", "subscribe=platform")]) };
        harness.lambda.create_function(spec).unwrap();
        harness.invoke(act("echo")).await;
        let line = harness.wait_for_line("tracer.events", |l| l["subscribe"].is_u64()).await;
        assert_eq!((&line["subscribe"], &line["body"]["errorType"]), (&json!(status), &error_type));
        harness.end().await;
    }
}

/// One faulty invocation between honest ones: how often its event of `kind` came before the next invocation
/// and in all, and the order of its events.
async fn with_fault(kind: EventKind, fate: Fate, expected: usize) -> (usize, usize, Vec<String>) {
    let harness = Harness::start().await;
    harness.create(&[("tracer", "subscribe=platform,hold=100")]);
    harness.complete(act("echo")).await;
    let request = InvokeRequest::json(&act("echo")).with_telemetry_fault(TelemetryFault { kind, fate });
    let second = harness.invoke_with(request).await.request_id;
    harness.idle().await;
    let kinds = |harness: &Harness| -> Vec<String> {
        let lines = harness.lines("tracer.telemetry").into_iter().map(|line| line["event"].clone());
        let of_second = lines.filter(|event| event["record"]["requestId"] == second.as_str());
        of_second.map(|event| event["type"].as_str().unwrap().to_owned()).collect()
    };
    let count = |kinds: &[String]| kinds.iter().filter(|k| *k == kind.name()).count();
    let early = count(&kinds(&harness));
    let all_here =
        |kinds: &[String]| kinds.iter().any(|k| k == "platform.report") && count(kinds) >= expected;
    for _ in 0..50 {
        if all_here(&kinds(&harness)) {
            break;
        }
        harness.complete(act("echo")).await;
    }
    // Were there more of them, they would be on their way now.
    harness.complete(act("echo")).await;
    let kinds = kinds(&harness);
    harness.end().await;
    (early, count(&kinds), kinds)
}

#[tokio::test]
async fn events_can_be_dropped_duplicated_delayed_held_and_swapped() {
    let done = EventKind::RuntimeDone;
    let (_, all, _) = with_fault(done, Fate::Deliver, 1).await;
    assert_eq!(all, 1);
    let (_, all, _) = with_fault(done, Fate::Drop, 0).await;
    assert_eq!(all, 0);
    let (_, all, _) = with_fault(done, Fate::Duplicate(2), 3).await;
    assert_eq!(all, 3);
    let (early, all, _) = with_fault(done, Fate::HoldUntilNext, 1).await;
    assert_eq!((early, all), (0, 1));
    let (early, all, _) = with_fault(done, Fate::Delay(std::time::Duration::from_millis(800)), 1).await;
    assert_eq!((early, all), (0, 1));
    let (_, _, kinds) = with_fault(done, Fate::Swap, 1).await;
    assert_eq!(kinds, ["platform.start", "platform.report", "platform.runtimeDone"]);
}

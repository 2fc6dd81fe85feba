//! Between invocations nothing moves, and nothing is delivered.

use std::path::PathBuf;

use sandbox::{Faults, FunctionSpec, What};
use serde_json::json;

use crate::harness::{Harness, act, die, state, threads};

#[tokio::test]
async fn every_process_is_stopped_after_the_last_next() {
    let harness = Harness::start().await;
    harness.create(&[("tracer", ""), ("quiet", "events=SHUTDOWN")]);
    for round in 0..20 {
        harness.complete(act("echo")).await;
        for pid in harness.pids() {
            assert_eq!(state(pid), Some('T'), "round {round}");
        }
    }
    assert_eq!(harness.count(|w| matches!(w, What::Frozen { processes: 3 })), 20);
    harness.end().await;
}

#[tokio::test]
async fn a_frozen_process_makes_no_progress_and_goes_on_after_the_thaw() {
    let harness = Harness::start().await;
    harness.create(&[("tracer", "")]);
    let (outcome, _) = harness.complete(act("count")).await;
    let file = PathBuf::from(outcome.json().as_str().unwrap());
    let count = || std::fs::read_to_string(&file).map_or(0, |text| text.parse::<u64>().unwrap());
    let frozen = count();
    // No thread is left that could count on.
    assert!(harness.pids().into_iter().flat_map(threads).all(|state| state == 'T'));
    assert_eq!(count(), frozen);
    // A loaded machine may not give the thread its turn in every invocation.
    for _ in 0..100 {
        harness.invoke(json!({"do": "sleep", "ms": 50})).await;
        if count() > frozen {
            break;
        }
    }
    assert!(count() > frozen);
    harness.end().await;
}

#[tokio::test]
async fn children_of_the_runtime_freeze_with_it() {
    let harness = Harness::start().await;
    harness.create(&[]);
    let (outcome, _) = harness.complete(act("spawn")).await;
    let child = u32::try_from(outcome.json().as_u64().unwrap()).unwrap();
    assert_eq!(state(child), Some('T'));
    harness.end().await;
    die(&[child]).await;
}

#[tokio::test]
async fn the_report_is_held_until_the_thaw() {
    let harness = Harness::start().await;
    harness.create(&[("tracer", "subscribe=platform,await=platform.runtimeDone")]);
    let (first, _) = harness.complete(act("echo")).await;
    assert_eq!(harness.telemetry("tracer", "platform.runtimeDone").len(), 1, "it came while tracer held on");
    assert_eq!(harness.telemetry("tracer", "platform.report").len(), 0, "it is held back");
    let (_, second) = harness.complete(act("echo")).await;
    let of_first =
        |line: &serde_json::Value| line["event"]["record"]["requestId"] == first.request_id.as_str();
    let report = harness.wait_for_line("tracer.telemetry", |l| l["event"]["type"] == "platform.report").await;
    assert!(of_first(&report));
    assert!(
        report["at"].as_u64().unwrap() >= second.started_at.as_millis(),
        "the report of N comes during N+1"
    );
    harness.end().await;
}

#[tokio::test]
async fn the_last_report_comes_in_shutdown() {
    let harness = Harness::start().await;
    harness.create(&[("tracer", "subscribe=platform,shutdown-await=platform.report")]);
    harness.complete(act("echo")).await;
    let lambda = harness.lambda.clone();
    let report = lambda.shutdown().await;
    assert_eq!(harness.telemetry("tracer", "platform.report").len(), 1, "{report}\n{}", harness.timeline());
    harness.end().await;
}

#[tokio::test]
async fn freezing_can_be_switched_off() {
    let harness = Harness::start().await;
    let faults = Faults { never_freeze: true, ..Faults::default() };
    let spec = FunctionSpec { faults, ..harness.spec(&[("tracer", "subscribe=platform")]) };
    harness.lambda.create_function(spec).unwrap();
    harness.complete(act("echo")).await;
    assert_eq!(harness.count(|w| matches!(w, What::Frozen { .. })), 0);
    harness.wait_for_line("tracer.telemetry", |l| l["event"]["type"] == "platform.report").await;
    harness.end().await;
}

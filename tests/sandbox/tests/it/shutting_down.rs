//! How environments end: reasons, budgets, signals, and nothing left behind.

use sandbox::{Exit, Faults, FunctionSpec, ShutdownReason, What};
use serde_json::json;

use crate::harness::{Harness, act, die, is_alive};

#[tokio::test]
async fn spindown_tells_the_extensions_and_waits_for_them() {
    let harness = Harness::start().await;
    harness.create(&[("tracer", "shutdown-hold=300")]);
    harness.complete(act("echo")).await;
    let lambda = harness.lambda.clone();
    let report = lambda.shutdown().await;
    let ends = &report.environments[0].ends;
    assert_eq!(
        (ends[0].process.as_str(), ends[0].exit),
        ("runtime", Exit::Signal(15)),
        "SIGTERM comes first"
    );
    assert_eq!((ends[1].process.as_str(), ends[1].exit), ("tracer", Exit::Code(0)));
    assert!((300.0..1900.0).contains(&ends[1].after_ms), "{report}");
    let lines = harness.lines("tracer.events");
    assert!(lines.iter().any(|l| l["goodbye"] == true));
    let shutdown = harness.events("tracer").pop().unwrap();
    assert_eq!(
        (&shutdown["eventType"], &shutdown["shutdownReason"]),
        (&json!("SHUTDOWN"), &json!("spindown"))
    );
    harness.end().await;
}

#[tokio::test]
async fn whoever_ignores_shutdown_is_killed_after_two_seconds() {
    let harness = Harness::start().await;
    let mut spec = harness.spec(&[("tracer", "shutdown=hang"), ("quick", "shutdown=fail")]);
    spec.env.push(("RUNTIME_INIT".into(), "ignore-term".into()));
    harness.lambda.create_function(spec).unwrap();
    harness.complete(act("echo")).await;
    let report = harness.lambda.shutdown().await;
    let end = |name: &str| report.environments[0].ends.iter().find(|e| e.process == name).unwrap();
    assert!(end("runtime").was_killed() && (600.0..1900.0).contains(&end("runtime").after_ms), "{report}");
    assert!(end("tracer").was_killed() && (2000.0..3500.0).contains(&end("tracer").after_ms), "{report}");
    assert_eq!(end("quick").exit, Exit::Code(3), "an exit code in shutdown is harmless");
    harness.end().await;
}

#[tokio::test]
async fn whoever_did_not_ask_for_shutdown_is_killed_at_once() {
    let harness = Harness::start().await;
    harness.create(&[("tracer", "events=INVOKE")]);
    harness.complete(act("echo")).await;
    let report = harness.lambda.shutdown().await;
    let end = report.environments[0].ends.iter().find(|e| e.process == "tracer").unwrap();
    assert!(end.was_killed() && end.after_ms < 1900.0, "{report}");
    harness.end().await;
}

#[tokio::test]
async fn without_extensions_there_is_no_grace() {
    let harness = Harness::start().await;
    harness.create(&[]);
    harness.complete(act("echo")).await;
    let report = harness.lambda.shutdown().await;
    assert_eq!(report.environments[0].ends[0].exit, Exit::Signal(9));
    harness.end().await;
}

#[tokio::test]
async fn reason_and_budget_can_be_chosen() {
    let harness = Harness::start().await;
    let faults = Faults {
        shutdown_reason: Some("SandboxTerminated".into()),
        shutdown_budget: Some(std::time::Duration::from_millis(300)),
        ..Faults::default()
    };
    let spec = FunctionSpec { faults, ..harness.spec(&[("tracer", "shutdown=hang")]) };
    harness.lambda.create_function(spec).unwrap();
    harness.complete(act("echo")).await;
    let report = harness.lambda.spin_down_for("f", ShutdownReason::Failure).await;
    assert_eq!(harness.events("tracer").pop().unwrap()["shutdownReason"], "SandboxTerminated");
    let end = report.environments[0].ends.iter().find(|e| e.process == "tracer").unwrap();
    assert!((300.0..1900.0).contains(&end.after_ms), "{report}");
    harness.end().await;
}

#[tokio::test]
async fn an_invocation_under_way_is_cut_off() {
    let harness = Harness::start().await;
    harness.create(&[("tracer", "")]);
    let lambda = harness.lambda.clone();
    let caller =
        tokio::spawn(async move { lambda.invoke("f", sandbox::InvokeRequest::json(&act("hang"))).await });
    harness.wait_for(|w| matches!(w, What::Invoke { .. })).await;
    harness.lambda.shutdown().await;
    assert_eq!(caller.await.unwrap().unwrap_err(), sandbox::InvokeError::Stopped);
    let after = harness.lambda.invoke("f", sandbox::InvokeRequest::default()).await;
    assert_eq!(after.unwrap_err(), sandbox::InvokeError::Stopped);
    harness.end().await;
}

#[tokio::test]
async fn a_dropped_service_kills_what_it_started() {
    let harness = Harness::start().await;
    harness.create(&[("tracer", "")]);
    harness.complete(act("echo")).await;
    let pids = harness.pids();
    assert!(!pids.is_empty() && pids.iter().all(|pid| is_alive(*pid)));
    drop(harness);
    die(&pids).await;
}

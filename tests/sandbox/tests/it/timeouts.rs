//! The deadline covers the runtime and the extensions, and an init inside an invocation.

use std::time::Duration;

use sandbox::{FunctionSpec, LambdaConfig, Status, What};
use serde_json::json;

use crate::harness::{Harness, act};

fn quick(harness: &Harness, options: &str, ms: u64) {
    let spec = harness.spec(&[("tracer", options)]);
    let timeout = Duration::from_millis(ms);
    harness.lambda.create_function(FunctionSpec { timeout, ..spec }).unwrap();
}

#[tokio::test]
async fn a_runtime_that_is_too_slow_is_killed_and_the_environment_reset() {
    let harness = Harness::start().await;
    quick(&harness, "subscribe=platform,shutdown-await=platform.report", 800);
    harness.complete(act("echo")).await;
    let (outcome, record) = harness.complete(act("hang")).await;
    let message = format!("RequestId: {} Error: Task timed out after 0.80 seconds", outcome.request_id);
    assert_eq!(outcome.json(), json!({"errorType": "Sandbox.Timedout", "errorMessage": message}));
    assert_eq!(outcome.function_error.as_deref(), Some("Unhandled"));
    assert_eq!(record.status, Status::Timeout);
    assert!((800.0..1800.0).contains(&record.duration_ms), "{record:?}");
    let shutdown = harness.events("tracer").pop().unwrap();
    assert_eq!(
        (&shutdown["eventType"], &shutdown["shutdownReason"]),
        (&json!("SHUTDOWN"), &json!("timeout"))
    );
    for kind in ["platform.runtimeDone", "platform.report"] {
        let statuses: Vec<_> = harness
            .telemetry("tracer", kind)
            .iter()
            .map(|l| l["event"]["record"]["status"].clone())
            .collect();
        assert_eq!(statuses, ["success", "timeout"], "{kind}");
    }
    harness.end().await;
}

#[tokio::test]
async fn the_next_invocation_after_a_reset_pays_a_suppressed_init_with_new_identifiers_and_the_old_tmp() {
    let harness = Harness::start().await;
    quick(&harness, "subscribe=platform,await=platform.runtimeDone", 2000);
    let (first, _) = harness.complete(act("echo")).await;
    harness.complete(act("hang")).await;
    let (again, record) = harness.complete(act("echo")).await;
    assert_eq!(again.environment, first.environment, "the environment is used again");
    assert!(again.cold_start && record.init_ms.is_none(), "init is part of the duration");
    assert_ne!(again.json()["pid"], first.json()["pid"]);
    assert_eq!(again.json()["tmp"], first.json()["tmp"]);
    let phases: Vec<_> = harness
        .telemetry("tracer", "platform.initStart")
        .iter()
        .map(|l| l["event"]["record"]["phase"].clone())
        .collect();
    assert_eq!(phases, ["init", "invoke"]);
    harness.end().await;
}

#[tokio::test]
async fn an_extension_that_hangs_turns_a_success_into_a_timeout() {
    let harness = Harness::start().await;
    quick(&harness, "invoke=hang", 800);
    let (outcome, record) = harness.complete(act("echo")).await;
    assert_eq!(outcome.function_error, None, "the caller had its answer long before");
    assert_eq!((record.status, record.last_next_at), (Status::Timeout, None));
    assert!(record.extension_overhead_ms > 200.0, "{record:?}");
    assert_eq!(harness.count(|w| matches!(w, What::RuntimeDone { status: Status::Success, .. })), 1);
    let kill =
        harness.wait_for(|w| matches!(w, What::Signalled { process, .. } if process == "tracer")).await;
    let shutdown = harness.wait_for(|w| matches!(w, What::Shutdown { .. })).await;
    let grace = kill.at.since(shutdown.at).as_millis();
    assert!((2000..3500).contains(&grace), "{grace} ms");
    harness.end().await;
}

#[tokio::test]
async fn an_init_that_takes_too_long_is_done_again_inside_the_invocation() {
    let harness =
        Harness::with(LambdaConfig { init_timeout: Duration::from_millis(500), ..LambdaConfig::default() })
            .await;
    let mut spec = harness.spec(&[("tracer", "subscribe=platform,await=platform.runtimeDone")]);
    spec.env.push(("RUNTIME_INIT".into(), "hang-once".into()));
    harness.lambda.create_function(spec).unwrap();
    let (outcome, record) = harness.complete(act("echo")).await;
    assert_eq!(outcome.function_error, None);
    assert!(outcome.cold_start && record.init_ms.is_none());
    let timed_out = |w: &What| matches!(w, What::InitFailed { status: Status::Timeout, .. });
    assert_eq!(harness.count(timed_out), 1);
    let shutdowns = harness.events("tracer").iter().filter(|e| e["eventType"] == "SHUTDOWN").count();
    assert_eq!(shutdowns, 0, "a failed init says no goodbye");
    harness.end().await;
}

#[tokio::test]
async fn a_suppressed_init_is_bound_by_the_function_timeout() {
    let config = LambdaConfig { init_timeout: Duration::from_millis(300), ..LambdaConfig::default() };
    let harness = Harness::with(config).await;
    let mut spec = harness.spec(&[("tracer", "")]);
    spec.env.push(("RUNTIME_INIT".into(), "hang".into()));
    spec.timeout = Duration::from_millis(400);
    harness.lambda.create_function(spec).unwrap();
    let (outcome, record) = harness.complete(act("echo")).await;
    assert_eq!(outcome.json()["errorType"], "Sandbox.Timedout");
    assert_eq!(record.status, Status::Timeout);
    assert!(record.duration_ms >= 400.0);
    harness.end().await;
}

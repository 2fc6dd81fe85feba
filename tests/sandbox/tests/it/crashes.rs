//! Processes that end when they should not.

use sandbox::{EventKind, InitType, Status, What};
use serde_json::json;

use crate::harness::{Harness, act};

async fn recovers(harness: &Harness) {
    let (outcome, record) = harness.complete(act("echo")).await;
    assert!(outcome.cold_start && outcome.function_error.is_none());
    assert_eq!(record.status, Status::Success);
}

#[tokio::test]
async fn a_runtime_that_exits_fails_the_invocation() {
    let harness = Harness::start().await;
    harness.create(&[("tracer", "subscribe=platform,shutdown-await=platform.runtimeDone")]);
    let cases = [
        (json!({"do": "exit", "code": 7}), "Runtime exited with error: exit status 7"),
        (json!({"do": "exit", "code": 0}), "Runtime exited without providing a reason"),
        (json!({"do": "abort"}), "Runtime exited with error: signal: aborted"),
    ];
    for (event, how) in cases {
        let (outcome, record) = harness.complete(event).await;
        let message = format!("RequestId: {} Error: {how}", outcome.request_id);
        assert_eq!(outcome.json(), json!({"errorType": "Runtime.ExitError", "errorMessage": message}));
        assert_eq!((record.status, record.error_type.as_deref()), (Status::Error, Some("Runtime.ExitError")));
        assert_eq!(harness.events("tracer").pop().unwrap()["shutdownReason"], "failure");
        let done = harness.telemetry("tracer", "platform.runtimeDone").pop().unwrap();
        assert_eq!(done["event"]["record"]["errorType"], "Runtime.ExitError");
    }
    recovers(&harness).await;
    harness.end().await;
}

#[tokio::test]
async fn a_runtime_may_die_after_its_answer() {
    let harness = Harness::start().await;
    harness.create(&[("tracer", "")]);
    let (outcome, record) = harness.complete(act("exit-after")).await;
    assert_eq!((outcome.json(), outcome.function_error), (json!("last words"), None));
    assert_eq!((record.status, record.error_type.as_deref()), (Status::Error, Some("Runtime.ExitError")));
    recovers(&harness).await;
    harness.end().await;
}

#[tokio::test]
async fn a_busy_extension_hears_of_the_crash_when_it_is_done() {
    let harness = Harness::start().await;
    harness.create(&[("tracer", "hold=500")]);
    harness.complete(json!({"do": "exit", "code": 1})).await;
    let lines = harness.lines("tracer.events");
    let shutdown = lines.iter().find(|l| l["event"]["eventType"] == "SHUTDOWN").unwrap();
    let left = shutdown["event"]["deadlineMs"].as_i64().unwrap() - shutdown["at"].as_i64().unwrap();
    assert!((300..1700).contains(&left), "the budget counts from the crash: {left} ms left");
    harness.end().await;
}

#[tokio::test]
async fn an_extension_that_exits_fails_the_invocation_whatever_its_code() {
    let harness = Harness::start().await;
    harness.create(&[("tracer", "invoke=exit"), ("other", "")]);
    let (outcome, record) = harness.complete(json!({"do": "sleep", "ms": 10_000})).await;
    assert_eq!(outcome.json()["errorType"], "Extension.Crash");
    assert_eq!((record.status, record.error_type.as_deref()), (Status::Error, Some("Extension.Crash")));
    assert_eq!(harness.events("other").pop().unwrap()["shutdownReason"], "failure");
    harness.end().await;
}

#[tokio::test]
async fn an_extension_that_fails_init_fails_every_invocation() {
    let cases = [
        ("exit=start", "Extension.Crash"),
        ("exit=registered", "Extension.Crash"),
        ("exit=init-error", "Extension.InitError"),
        ("exit=exit-error", "Extension.ExitError"),
    ];
    for (options, error_type) in cases {
        let harness = Harness::start().await;
        harness.create(&[("tracer", options)]);
        for _ in 0..2 {
            let (outcome, record) = harness.complete(act("echo")).await;
            assert_eq!(outcome.json()["errorType"], error_type, "{options}");
            assert_eq!(outcome.function_error.as_deref(), Some("Unhandled"));
            assert_eq!(record.error_type.as_deref(), Some(error_type));
        }
        harness.end().await;
    }
}

#[tokio::test]
async fn after_an_init_error_every_call_is_refused() {
    let harness = Harness::start().await;
    harness.create(&[("tracer", "exit=init-error")]);
    harness.complete(act("echo")).await;
    let lines = harness.lines("tracer.events");
    assert!(lines.iter().any(|l| l["reported"] == "init" && l["status"] == 202));
    let refused = lines.iter().find(|l| l["next"].is_u64()).unwrap();
    assert_eq!(
        (&refused["next"], &refused["body"]["errorType"]),
        (&json!(403), &json!("Extension.InvalidExtensionState"))
    );
    harness.end().await;
}

#[tokio::test]
async fn the_runtimes_own_init_error_reaches_the_caller() {
    let harness = Harness::start().await;
    let mut spec = harness.spec(&[("tracer", "")]);
    spec.env.push(("RUNTIME_INIT".into(), "error".into()));
    harness.lambda.create_function(spec).unwrap();
    let (outcome, record) = harness.complete(act("echo")).await;
    assert_eq!(outcome.json(), json!({"errorMessage": "no table", "errorType": "ConfigError"}));
    assert_eq!(record.error_type.as_deref(), Some("Function.ConfigError"));
    assert_eq!(
        harness.count(|w| matches!(w, What::InitFailed { .. })),
        2,
        "once in init, once in the invocation"
    );
    harness.end().await;
}

#[tokio::test]
async fn a_runtime_that_exits_in_init_fails_the_invocation() {
    let harness = Harness::start().await;
    let mut spec = harness.spec(&[("tracer", "")]);
    spec.env.push(("RUNTIME_INIT".into(), "exit:3".into()));
    harness.lambda.create_function(spec).unwrap();
    let (outcome, _) = harness.complete(act("echo")).await;
    assert_eq!(outcome.json()["errorType"], "Runtime.ExitError");
    harness.end().await;
}

#[tokio::test]
async fn a_missing_bootstrap_is_an_invalid_entrypoint() {
    let harness = Harness::start().await;
    let spec = sandbox::FunctionSpec {
        command: vec!["/nowhere/bootstrap".into()],
        working_dir: Some("/".into()),
        ..harness.spec(&[("tracer", "")])
    };
    harness.lambda.create_function(spec).unwrap();
    let (outcome, _) = harness.complete(act("echo")).await;
    assert_eq!(outcome.json()["errorType"], "Runtime.InvalidEntrypoint");
    harness.end().await;
}

#[tokio::test]
async fn a_process_killed_while_idle_resets_the_environment() {
    let harness = Harness::start().await;
    harness.create(&[("tracer", "")]);
    harness.complete(act("echo")).await;
    for pid in harness.pids() {
        std::process::Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap();
    }
    harness.wait_for(|w| matches!(w, What::Reset)).await;
    recovers(&harness).await;
    harness.end().await;
}

#[tokio::test]
async fn a_snapshot_is_restored_for_its_first_invocation_only() {
    let harness = Harness::start().await;
    let init_type = InitType::SnapStart { environments: 1 };
    let spec = sandbox::FunctionSpec { init_type, ..harness.spec(&[("tracer", "")]) };
    harness.lambda.create_function(spec).unwrap();
    harness.idle().await;
    let restored = |w: &What| matches!(w, What::Telemetry { kind: EventKind::RestoreReport });
    assert_eq!((harness.count(|w| matches!(w, What::Frozen { .. })), harness.count(restored)), (1, 0));
    let (outcome, _) = harness.complete(act("env")).await;
    assert!(outcome.cold_start);
    assert_eq!(outcome.json()["AWS_LAMBDA_INITIALIZATION_TYPE"], "snap-start");
    let (outcome, _) = harness.complete(act("env")).await;
    assert!(!outcome.cold_start);
    assert_eq!(harness.count(restored), 1);
    harness.end().await;
}

#[tokio::test]
async fn provisioned_environments_start_without_an_invocation() {
    let harness = Harness::start().await;
    let init_type = InitType::ProvisionedConcurrency { environments: 2 };
    let spec = sandbox::FunctionSpec { init_type, ..harness.spec(&[("tracer", "")]) };
    harness.lambda.create_function(spec).unwrap();
    harness.idle().await;
    assert_eq!(harness.count(|w| matches!(w, What::Frozen { .. })), 2);
    let (outcome, record) = harness.complete(act("env")).await;
    assert!(!outcome.cold_start && record.init_ms.is_none());
    assert_eq!(outcome.json()["AWS_LAMBDA_INITIALIZATION_TYPE"], "provisioned-concurrency");
    let report = harness.end().await;
    assert_eq!(report.environments.len(), 2, "one of them never had an invocation");
}

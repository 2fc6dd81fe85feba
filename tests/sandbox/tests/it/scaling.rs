//! Several environments side by side.

use std::collections::HashSet;
use std::time::Duration;

use sandbox::{FunctionSpec, InvokeError, InvokeRequest, LambdaConfig, Overflow, What};
use serde_json::json;

use crate::harness::{Gate, Harness, act};

fn busy() -> InvokeRequest {
    InvokeRequest::json(&json!({"do": "sleep", "ms": 300}))
}

#[tokio::test]
async fn an_invocation_while_all_are_busy_starts_another_environment() {
    let harness = Harness::start().await;
    harness.create(&[("tracer", "")]);
    let (a, b, c) =
        tokio::join!(harness.invoke_with(busy()), harness.invoke_with(busy()), harness.invoke_with(busy()));
    let environments: HashSet<_> = [&a, &b, &c].iter().map(|o| o.environment.unwrap()).collect();
    assert_eq!(environments.len(), 3);
    let ids: HashSet<_> = [&a, &b, &c].iter().map(|o| o.request_id.clone()).collect();
    assert_eq!(ids.len(), 3);
    harness.idle().await;
    let again = harness.invoke(act("echo")).await;
    assert!(!again.cold_start && environments.contains(&again.environment.unwrap()));
    let report = harness.end().await;
    assert_eq!(report.environments.len(), 3);
}

#[tokio::test]
async fn an_extension_at_work_keeps_its_environment_busy() {
    let harness = Harness::start().await;
    let gate = Gate::new().await;
    harness.create(&[("tracer", &format!("gate={}", gate.address()))]);
    let first = harness.invoke(act("echo")).await;
    let second = harness.invoke(act("echo")).await;
    assert_ne!(first.environment, second.environment, "the first one's extension was not done");
    gate.open();
    harness.end().await;
}

#[tokio::test]
async fn beyond_the_limit_invocations_wait() {
    let harness = Harness::start().await;
    let spec = FunctionSpec { max_concurrency: 1, ..harness.spec(&[]) };
    harness.lambda.create_function(spec).unwrap();
    let (a, b, c) =
        tokio::join!(harness.invoke_with(busy()), harness.invoke_with(busy()), harness.invoke_with(busy()));
    assert!(a.environment == b.environment && b.environment == c.environment);
    assert_eq!(harness.count(|w| matches!(w, What::Queued)), 2);
    assert_eq!([&a, &b, &c].iter().filter(|o| o.cold_start).count(), 1);
    harness.end().await;
}

#[tokio::test]
async fn or_are_throttled() {
    let harness =
        Harness::with(LambdaConfig { overflow: Overflow::Throttle, ..LambdaConfig::default() }).await;
    let spec = FunctionSpec { max_concurrency: 1, ..harness.spec(&[]) };
    harness.lambda.create_function(spec).unwrap();
    let (a, b) = tokio::join!(harness.lambda.invoke("f", busy()), harness.lambda.invoke("f", busy()));
    assert!(a.is_ok());
    assert_eq!(b.unwrap_err(), InvokeError::Throttled);
    harness.end().await;
}

#[tokio::test]
async fn idle_environments_leave_after_a_while() {
    let config = LambdaConfig { idle_timeout: Some(Duration::from_millis(100)), ..LambdaConfig::default() };
    let harness = Harness::with(config).await;
    harness.create(&[("tracer", "")]);
    let first = harness.invoke(act("echo")).await;
    harness.wait_for(|w| matches!(w, What::Gone)).await;
    assert_eq!(harness.events("tracer").pop().unwrap()["shutdownReason"], "spindown");
    let second = harness.invoke(act("echo")).await;
    assert!(second.cold_start && second.environment != first.environment);
    harness.end().await;
}

#[tokio::test]
async fn many_invocations_through_freeze_and_thaw() {
    let harness = Harness::start().await;
    harness.create(&[("tracer", "subscribe=platform")]);
    for n in 0..200 {
        let outcome = harness.invoke(json!({"do": "echo", "n": n})).await;
        assert_eq!(outcome.json()["echo"]["n"], n);
        harness.idle().await;
    }
    assert_eq!(harness.count(|w| matches!(w, What::Frozen { .. })), 200);
    harness.end().await;
}

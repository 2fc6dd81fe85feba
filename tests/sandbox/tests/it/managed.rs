//! Managed Instances: many invocations in one process, and no freeze.

use std::collections::HashSet;
use std::time::Duration;

use sandbox::{FunctionSpec, InitType, InvokeError, InvokeRequest, LambdaConfig, Overflow, Status, What};
use serde_json::{Value, json};

use crate::harness::{Gate, Harness, act, state};

const AT_ONCE: usize = 4;

/// One environment for [`AT_ONCE`] invocations.
async fn managed(extensions: &[(&str, &str)], change: impl FnOnce(&mut FunctionSpec)) -> Harness {
    let harness =
        Harness::with(LambdaConfig { overflow: Overflow::Throttle, ..LambdaConfig::default() }).await;
    let mut spec = harness.spec(extensions);
    spec.init_type = InitType::ManagedInstances { environments: 1, concurrency: AT_ONCE };
    spec.max_concurrency = 1;
    change(&mut spec);
    harness.lambda.create_function(spec).unwrap();
    harness
}

fn wait_at(gate: &Gate, n: usize) -> InvokeRequest {
    InvokeRequest::json(&json!({"do": "wait", "gate": gate.address(), "n": n}))
}

const TRACER: (&str, &str) = ("tracer", "events=SHUTDOWN,subscribe=platform,schema=2025-01-29");

#[tokio::test]
async fn an_environment_takes_as_many_invocations_as_it_has_workers_and_no_more() {
    let harness = managed(&[TRACER], |_| ()).await;
    harness.idle().await;
    let gate = Gate::new().await;
    let call = |n| harness.invoke_with(wait_at(&gate, n));
    let meanwhile = async {
        let inside = gate.filled(AT_ONCE).await;
        let fifth = harness.lambda.invoke("f", InvokeRequest::json(&act("echo"))).await;
        assert_eq!(fifth.unwrap_err(), InvokeError::Throttled, "they are in there together");
        drop(inside);
    };
    let (a, b, c, d, ()) = tokio::join!(call(0), call(1), call(2), call(3), meanwhile);
    // Each has its own answer.
    let answers: Vec<Value> = [&a, &b, &c, &d].map(|outcome| outcome.json()).into();
    assert_eq!(answers, [json!(0), json!(1), json!(2), json!(3)]);
    let places: HashSet<_> = [&a, &b, &c, &d].iter().map(|o| o.environment.unwrap()).collect();
    assert_eq!(places.len(), 1);
    assert!([&a, &b, &c, &d].iter().all(|o| !o.cold_start), "it was ready before");
    harness.idle().await;
    assert_eq!(harness.invoke(act("echo")).await.json()["echo"], act("echo"));
    harness.idle().await;
    for pid in harness.pids() {
        assert_ne!(state(pid), Some('T'), "nothing is frozen");
    }
    assert_eq!(harness.count(|w| matches!(w, What::Frozen { .. })), 0);
    harness.end().await;
}

#[tokio::test]
async fn extensions_hear_of_init_start_and_report_and_of_shutdown() {
    let harness = managed(&[TRACER], |_| ()).await;
    let outcome = harness.invoke(act("echo")).await;
    // While the environment lives, and without another invocation.
    let report = harness.wait_for_line("tracer.telemetry", |l| l["event"]["type"] == "platform.report").await;
    let record = &report["event"]["record"];
    assert_eq!((&record["requestId"], &record["status"]), (&json!(outcome.request_id), &json!("success")));
    let metrics: Vec<&String> = record["metrics"].as_object().unwrap().keys().collect();
    assert_eq!(metrics, ["durationMs"]);
    let names: Vec<_> = record["spans"].as_array().unwrap().iter().map(|s| s["name"].clone()).collect();
    assert_eq!(names, ["responseLatency", "responseDuration"]);
    let start = harness.telemetry("tracer", "platform.start").remove(0);
    assert_eq!(start["event"]["record"]["functionArn"], outcome.json()["arn"]);
    let init = harness.telemetry("tracer", "platform.initStart").remove(0);
    assert_eq!(init["event"]["record"]["initializationType"], "lambda-managed-instances");
    let lambda = harness.lambda.clone();
    lambda.shutdown().await;
    assert!(harness.telemetry("tracer", "platform.runtimeDone").is_empty());
    let events = harness.events("tracer");
    assert_eq!(events.len(), 1, "no INVOKE: {events:?}");
    assert_eq!(events[0]["shutdownReason"], "spindown");
    harness.end().await;
}

#[tokio::test]
async fn invoke_is_refused_and_so_is_an_old_schema() {
    let harness = managed(&[("tracer", "events=SHUTDOWN,subscribe=platform")], |_| ()).await;
    harness.idle().await;
    let refused = |call: &str| {
        let history = harness.lambda.history();
        let of_call = history.into_iter().find_map(|entry| match entry.what {
            What::Refused { call: c, status, error } if c == call => Some((status, error)),
            _ => None,
        });
        of_call.unwrap_or_else(|| panic!("{call} was not refused:\n{}", harness.timeline()))
    };
    let (status, error) = refused("telemetry");
    assert_eq!((status, error.contains("2025-01-29")), (400, true), "{error}");
    harness.end().await;
    let harness = managed(&[("tracer", "events=INVOKE+SHUTDOWN")], |_| ()).await;
    let outcome = harness.invoke(act("echo")).await;
    assert_eq!(
        outcome.function_error.as_deref(),
        Some("Unhandled"),
        "a tracer that insists on INVOKE ends init"
    );
    let refusal = harness.wait_for(|w| matches!(w, What::Refused { call: "register", .. })).await;
    let text = refusal.what.to_string();
    assert!(text.contains("403 Extension.InvalidEventType: INVOKE: ErrorInvalidEventType"), "{text}");
    harness.end().await;
}

#[tokio::test]
async fn a_time_out_stops_nobody_and_a_late_answer_is_refused() {
    let harness = managed(&[TRACER], |spec| spec.timeout = Duration::from_secs(1)).await;
    harness.idle().await;
    let slow = Gate::new().await;
    let slow_call = harness.invoke_with(wait_at(&slow, 0));
    let other = async {
        let inside = slow.filled(1).await;
        let outcome = harness.invoke(act("echo")).await;
        assert_eq!(outcome.function_error, None);
        inside
    };
    let (late, inside) = tokio::join!(slow_call, other);
    assert_eq!(late.json()["errorType"], "Sandbox.Timedout");
    let record = harness.lambda.record(&late.request_id).unwrap();
    assert_eq!((record.status, record.error_type.as_deref()), (Status::Timeout, Some("Sandbox.Timedout")));
    drop(inside);
    slow.open();
    harness.wait_for(|w| matches!(w, What::FunctionLog { line } if line == "late 410")).await;
    assert_eq!(harness.invoke(act("echo")).await.function_error, None, "and goes on");
    assert_eq!(harness.count(|w| matches!(w, What::Shutdown { .. })), 0);
    harness.end().await;
}

#[tokio::test]
async fn a_job_that_finds_no_worker_is_unavailable_in_the_end() {
    let harness = managed(&[TRACER], |spec| {
        spec.timeout = Duration::from_secs(1);
        spec.init_type = InitType::ManagedInstances { environments: 1, concurrency: 1 };
    })
    .await;
    let gate = Gate::new().await;
    let (late, _inside) = tokio::join!(harness.invoke_with(wait_at(&gate, 0)), gate.filled(1));
    assert_eq!(late.json()["errorType"], "Sandbox.Timedout");
    let next = harness.invoke(act("echo")).await;
    assert_eq!(next.json()["errorType"], "Runtime.Unavailable", "its only worker is still at the first");
    harness.end().await;
}

#[tokio::test]
async fn a_process_that_ends_takes_the_environment_with_it_and_another_comes() {
    let harness = managed(&[TRACER], |spec| spec.max_concurrency = 2).await;
    harness.idle().await;
    let gate = Gate::new().await;
    let crash = async {
        let inside = gate.filled(1).await;
        (harness.invoke(json!({"do": "exit", "code": 7})).await, inside)
    };
    let (bystander, (culprit, _)) = tokio::join!(harness.invoke_with(wait_at(&gate, 0)), crash);
    for outcome in [&bystander, &culprit] {
        assert_eq!(outcome.json()["errorType"], "Runtime.ExitError");
        let record = harness.lambda.record(&outcome.request_id).unwrap();
        assert_eq!(record.status, Status::Error);
    }
    harness.wait_for(|w| matches!(w, What::Gone)).await;
    harness.idle().await;
    assert_eq!(harness.events("tracer").pop().unwrap()["shutdownReason"], "failure");
    let again = harness.invoke(act("echo")).await;
    assert!(
        again.environment > culprit.environment,
        "{:?} then {:?}",
        culprit.environment,
        again.environment
    );
    assert!(!again.cold_start, "it was there already");
    assert_eq!(harness.count(|w| matches!(w, What::Reset)), 0);
    harness.end().await;
}

#[tokio::test]
async fn invocations_wait_for_init_and_fail_with_it() {
    let harness = managed(&[TRACER], |spec| spec.env.push(("RUNTIME_INIT".into(), "exit:3".into()))).await;
    let outcome = harness.invoke(act("echo")).await;
    assert_eq!(outcome.json()["errorType"], "Runtime.ExitError");
    harness.idle().await;
    // One for the environment that came with the function, one for the invocation, and no loop.
    let inits = harness.count(|w| matches!(w, What::InitStart { .. }));
    assert!((1..=2).contains(&inits), "{inits}\n{}", harness.timeline());
    harness.end().await;
}

#[tokio::test]
async fn what_is_under_way_ends_with_the_service() {
    let harness = managed(&[TRACER], |_| ()).await;
    let gate = Gate::new().await;
    let ending = async {
        let inside = gate.filled(2).await;
        harness.lambda.shutdown().await;
        inside
    };
    let call = |n| harness.lambda.invoke("f", wait_at(&gate, n));
    let (one, two, _) = tokio::join!(call(0), call(1), ending);
    assert_eq!((one.unwrap_err(), two.unwrap_err()), (InvokeError::Stopped, InvokeError::Stopped));
    let statuses: Vec<Status> = harness.lambda.records().iter().map(|record| record.status).collect();
    assert_eq!(statuses, [Status::Failure, Status::Failure]);
    harness.end().await;
}

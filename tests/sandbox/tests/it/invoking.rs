//! What a caller, a runtime and an extension see of one invocation.

use std::time::Duration;

use sandbox::{FunctionSpec, InvokeRequest, Status, What, XRay};
use serde_json::json;

use crate::harness::{Gate, Harness, act};

#[tokio::test]
async fn the_response_does_not_wait_for_the_extensions() {
    let harness = Harness::start().await;
    harness.create(&[("tracer", "hold=1000")]);
    let (outcome, record) = harness.complete(act("echo")).await;
    let response = record.response_at.unwrap();
    assert!(record.last_next_at.unwrap().since(response) >= Duration::from_millis(500), "{record:?}");
    assert!(record.extension_overhead_ms >= 500.0, "{record:?}");
    assert!(record.duration_ms >= 1000.0 && record.billed_ms as f64 >= record.duration_ms);
    assert!(outcome.response_ms < record.init_ms.unwrap() + record.duration_ms - 400.0, "{outcome:?}");
    harness.end().await;
}

#[tokio::test]
async fn the_headers_of_next_and_the_event_agree() {
    let harness = Harness::start().await;
    harness.create(&[("tracer", "")]);
    let request = InvokeRequest {
        client_context: Some(r#"{"client":{"app":"x"}}"#.into()),
        cognito_identity: Some(r#"{"id":"y"}"#.into()),
        tenant_id: Some("blue".into()),
        qualifier: Some("live".into()),
        ..InvokeRequest::json(&act("echo")).with_xray(XRay::Active)
    };
    let outcome = harness.invoke_with(request).await;
    harness.idle().await;
    let (seen, event) = (outcome.json(), &harness.events("tracer")[0]);
    assert_eq!(seen["arn"], "arn:aws:lambda:us-east-1:123456789012:function:f:live");
    assert_eq!(event["invokedFunctionArn"], seen["arn"]);
    assert_eq!(event["requestId"], outcome.request_id.as_str());
    assert_eq!(event["deadlineMs"].to_string(), seen["deadline"].as_str().unwrap());
    assert_eq!(event["tracing"]["value"], seen["trace"]);
    assert_eq!(event["tracing"]["type"], "X-Amzn-Trace-Id");
    assert_eq!(seen["context"], r#"{"client":{"app":"x"}}"#);
    assert_eq!(seen["identity"], r#"{"id":"y"}"#);
    assert_eq!(seen["tenant"], "blue");
    harness.end().await;
}

#[tokio::test]
async fn every_form_of_trace_header_is_passed_on() {
    let harness = Harness::start().await;
    harness.create(&[("tracer", "")]);
    let header = "Root=1-68a0c1d2-0123456789abcdef01234567;Parent=53995c3f42cd8ad8;Sampled=0".to_owned();
    let forms = [
        (XRay::PassThrough, "Lineage="),
        (XRay::Active, ";Sampled=1"),
        (XRay::NotSampled, ";Sampled=0"),
        (XRay::Header(header), "Parent=53995c3f42cd8ad8;Sampled=0"),
    ];
    for (form, part) in forms {
        let seen = harness.invoke_with(InvokeRequest::json(&act("echo")).with_xray(form)).await.json();
        assert!(seen["trace"].as_str().unwrap().contains(part), "{seen}");
        harness.idle().await;
    }
    let seen = harness.invoke_with(InvokeRequest::json(&act("echo")).with_xray(XRay::Absent)).await.json();
    assert!(seen["trace"].is_null());
    harness.idle().await;
    assert!(harness.events("tracer").last().unwrap()["tracing"].is_null());
    harness.end().await;
}

#[tokio::test]
async fn a_handled_error_is_passed_on_and_the_environment_lives() {
    let harness = Harness::start().await;
    harness.create(&[("tracer", "")]);
    let (outcome, record) = harness.complete(act("error")).await;
    assert_eq!(outcome.function_error.as_deref(), Some("Unhandled"));
    assert_eq!(outcome.json(), json!({"errorType": "ValueError", "errorMessage": "no"}));
    assert_eq!((record.status, record.error_type.as_deref()), (Status::Error, Some("Function.ValueError")));
    let (outcome, record) = harness.complete(act("echo")).await;
    assert!(!outcome.cold_start && outcome.function_error.is_none());
    assert_eq!(record.status, Status::Success);
    harness.end().await;
}

#[tokio::test]
async fn the_wrapper_starts_the_runtime() {
    let harness = Harness::start().await;
    let wrapper = harness.dir().join("wrapper");
    std::fs::write(&wrapper, "#!/bin/sh\nexport WRAPPED=yes\nexec \"$@\" extra\n").unwrap();
    std::fs::set_permissions(&wrapper, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let spec = FunctionSpec { exec_wrapper: Some(wrapper.clone()), ..harness.spec(&[("tracer", "")]) };
    harness.lambda.create_function(spec).unwrap();
    let env = harness.invoke(act("env")).await.json();
    assert_eq!(env["WRAPPED"], "yes");
    assert_eq!(env["AWS_LAMBDA_EXEC_WRAPPER"], wrapper.display().to_string());
    let args = harness.invoke(act("args")).await.json();
    assert_eq!(args.as_array().unwrap().last().unwrap(), "extra");
    harness.end().await;
}

#[tokio::test]
async fn six_mebibytes_fit_and_more_is_refused() {
    let harness = Harness::start().await;
    harness.create(&[]);
    let limit = 6 * 1024 * 1024 + 100;
    let outcome = harness.invoke(json!({"do": "big", "bytes": limit})).await;
    assert_eq!((outcome.payload.len(), outcome.function_error), (limit, None));
    let (outcome, record) = harness.complete(json!({"do": "big", "bytes": limit + 1})).await;
    assert_eq!(outcome.json()["errorType"], "Function.ResponseSizeTooLarge");
    assert_eq!(record.status, Status::Error);
    assert_eq!(record.logs, ["response 413 \"RequestEntityTooLarge\""]);
    harness.end().await;
}

#[tokio::test]
async fn a_stream_reaches_the_caller_chunk_by_chunk() {
    let harness = Harness::start().await;
    harness.create(&[]);
    let gate = Gate::new().await;
    let request = InvokeRequest::json(&json!({"do": "stream", "chunks": 3, "gate": gate.address()}));
    let streamed = harness.lambda.invoke_streaming("f", request).await.unwrap();
    let done = |w: &What| matches!(w, What::RuntimeDone { .. });
    assert_eq!(harness.count(done), 0, "the answer begins before the runtime is done");
    gate.open();
    let outcome = streamed.collect().await;
    assert_eq!(outcome.payload, "chunk 0;chunk 1;chunk 2;");
    harness.idle().await;
    let record = harness.lambda.record(&outcome.request_id).unwrap();
    assert_eq!((record.produced_bytes, record.status), (24, Status::Success));
    harness.end().await;
}

#[tokio::test]
async fn a_stream_can_fail_in_the_middle() {
    let harness = Harness::start().await;
    harness.create(&[]);
    let (outcome, record) = harness.complete(json!({"do": "stream", "chunks": 2, "then": "error"})).await;
    assert_eq!(outcome.function_error.as_deref(), Some("Unhandled"));
    assert_eq!(record.error_type.as_deref(), Some("Function.MidStream"));
    let (outcome, record) = harness.complete(json!({"do": "stream", "chunks": 2, "then": "die"})).await;
    assert_eq!(outcome.function_error.as_deref(), Some("Unhandled"));
    assert_eq!(record.status, Status::Error);
    harness.end().await;
}

#[tokio::test]
async fn log_lines_belong_to_the_invocation_that_wrote_them() {
    let harness = Harness::start().await;
    harness.create(&[("tracer", "")]);
    for _ in 0..20 {
        let (outcome, record) = harness.complete(json!({"do": "log", "lines": 3})).await;
        assert_eq!(record.logs, ["line 0", "line 1", "line 2"]);
        assert_eq!(outcome.log_tail, "line 0\nline 1\nline 2");
    }
    harness.end().await;
}

#[tokio::test]
async fn an_event_is_accepted_at_once_and_retried_when_it_fails() {
    let config =
        sandbox::LambdaConfig { async_retries: vec![Duration::ZERO; 2], ..sandbox::LambdaConfig::default() };
    let harness = Harness::with(config).await;
    harness.create(&[]);
    let outcome = harness.invoke_with(InvokeRequest::json(&act("error")).asynchronous()).await;
    assert!(outcome.payload.is_empty() && outcome.function_error.is_none());
    let attempts = || harness.lambda.records().iter().filter(|r| r.request_id == outcome.request_id).count();
    harness.wait_for(|_| attempts() == 3).await;
    harness.end().await;
}

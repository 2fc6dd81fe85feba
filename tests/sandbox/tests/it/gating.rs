//! Who starts when, who may register, and what is answered to those who may not.

use sandbox::{Status, What};
use serde_json::{Value, json};

use crate::harness::{Harness, act};

fn spawned(name: &'static str) -> impl Fn(&What) -> bool {
    move |what| matches!(what, What::Spawned { process, .. } if process == name)
}

fn registered(name: &'static str) -> impl Fn(&What) -> bool {
    move |what| matches!(what, What::Registered { extension, .. } if extension == name)
}

#[tokio::test]
async fn the_runtime_starts_after_every_extension_has_registered() {
    let harness = Harness::start().await;
    harness.create(&[("quick", ""), ("slow", "register-after=150,next-after=50")]);
    let outcome = harness.invoke(act("echo")).await;
    assert!(outcome.cold_start);
    let runtime = harness.position(spawned("runtime"));
    assert!(harness.position(spawned("slow")) < harness.position(registered("quick")), "started in parallel");
    assert!(harness.position(registered("slow")) < runtime);
    let invoke = harness.position(|w| matches!(w, What::Invoke { .. }));
    let ready = |w: &What| matches!(w, What::ExtensionNext { extension } if extension == "slow");
    assert!(harness.position(ready) < invoke, "no invocation before the last first /next");
    harness.end().await;
}

#[tokio::test]
async fn a_function_without_extensions_runs_too() {
    let harness = Harness::start().await;
    let spec = sandbox::FunctionSpec { extensions_dir: None, ..harness.spec(&[]) };
    harness.lambda.create_function(spec).unwrap();
    let (outcome, record) = harness.complete(act("echo")).await;
    assert_eq!(outcome.json()["echo"], act("echo"));
    assert_eq!(record.last_next_at, None);
    harness.end().await;
}

#[tokio::test]
async fn wrong_calls_of_an_extension_get_typed_answers() {
    let harness = Harness::start().await;
    harness.create(&[("tracer", "misuse,account")]);
    harness.invoke(act("echo")).await;
    let lines = harness.lines("tracer.events");
    let answers: Vec<(&str, u64, &str)> = lines
        .iter()
        .filter_map(|l| Some((l["misuse"].as_str()?, l["status"].as_u64()?, l["type"].as_str()?)))
        .collect();
    let expected = [
        ("twice", 403, "Extension.InvalidExtensionState"),
        ("nameless", 403, "Extension.InvalidExtensionName"),
        ("garbage", 403, "InvalidRequestFormat"),
        ("unknown_event", 403, "Extension.InvalidEventType"),
        ("internal_shutdown", 403, "Extension.InvalidEventType"),
        ("no_identifier", 403, "Extension.MissingExtensionIdentifier"),
        ("bad_identifier", 403, "Extension.InvalidExtensionIdentifier"),
        ("unknown_identifier", 403, "Extension.UnknownExtensionIdentifier"),
        ("no_error_type", 403, "Extension.MissingHeader"),
        ("bad_subscription", 400, "ValidationError"),
        ("anonymous_subscription", 403, "Extension.MissingExtensionIdentifier"),
    ];
    assert_eq!(answers, expected);
    let about = lines.iter().find(|l| l["register"] == 200).expect("it registered")["body"].clone();
    let known = json!({"functionName": "f", "functionVersion": "$LATEST", "handler": "bootstrap",
                       "accountId": "123456789012"});
    assert_eq!(about, known);
    harness.end().await;
}

#[tokio::test]
async fn wrong_calls_of_a_runtime_get_typed_answers() {
    let harness = Harness::start().await;
    harness.create(&[]);
    let told = harness.invoke(act("misuse")).await.json();
    let expected = [
        ("wrong_id", json!([400, "InvalidRequestID"])),
        ("wrong_id_error", json!([400, "InvalidRequestID"])),
        ("next_while_busy", json!([403, "InvalidStateTransition"])),
        ("init_error_late", json!([403, "InvalidStateTransition"])),
        ("unknown_path", json!([404, "NotFound"])),
        ("unregistered", json!([403, "Extension.MissingExtensionIdentifier"])),
        ("logs_api", json!([202, "Logs.NotSupported"])),
    ];
    for (call, answer) in expected {
        assert_eq!(told[call], answer, "{call}");
    }
    harness.end().await;
}

#[tokio::test]
async fn registration_closes_when_the_runtime_is_ready() {
    let harness = Harness::start().await;
    harness.create(&[("tracer", "")]);
    let told = harness.invoke(act("late-register")).await.json();
    assert_eq!(told, json!([403, "Extension.RegistrationClosed"]));
    harness.end().await;
}

#[tokio::test]
async fn an_internal_extension_may_have_invoke_only() {
    let harness = Harness::start().await;
    let mut spec = harness.spec(&[]);
    spec.env.push(("RUNTIME_INIT".into(), "internal".into()));
    harness.lambda.create_function(spec).unwrap();
    harness.invoke(act("echo")).await;
    harness.wait_for(|w| matches!(w, What::FunctionLog { line } if line == "internal \"INVOKE\"")).await;
    let refused = |w: &What| matches!(w, What::FunctionLog { line } if line == "internal SHUTDOWN 403 \"Extension.InvalidEventType\"");
    assert_eq!(harness.count(refused), 1);
    let report = harness.end().await;
    // SIGTERM with a budget of 500 ms, which the fixture does not need.
    assert_eq!(report.environments[0].ends[0].exit, sandbox::Exit::Signal(15));
}

#[tokio::test]
async fn a_misnamed_extension_is_taken_for_an_internal_one_and_init_hangs() {
    let config = sandbox::LambdaConfig {
        init_timeout: std::time::Duration::from_millis(400),
        ..sandbox::LambdaConfig::default()
    };
    let harness = Harness::with(config).await;
    let spec = harness.spec(&[("tracer", "name=tracre,events=INVOKE")]);
    let timeout = std::time::Duration::from_millis(600);
    harness.lambda.create_function(sandbox::FunctionSpec { timeout, ..spec }).unwrap();
    let (outcome, record) = harness.complete(act("echo")).await;
    assert_eq!(outcome.json()["errorType"], "Sandbox.Timedout");
    assert_eq!(record.status, Status::Timeout);
    assert_eq!(harness.count(spawned("runtime")), 0, "the runtime waits for the file to register");
    assert_eq!(harness.count(|w| matches!(w, What::InitStart { phase: "init" })), 1);
    assert_eq!(harness.count(|w| matches!(w, What::InitStart { phase: "invoke" })), 1);
    harness.end().await;
}

#[tokio::test]
async fn a_file_that_cannot_be_executed_is_a_launch_error() {
    let harness = Harness::start().await;
    let spec = harness.spec(&[("tracer", "")]);
    std::fs::write(harness.dir().join("extensions/broken"), "not a program").unwrap();
    std::fs::create_dir(harness.dir().join("extensions/directory")).unwrap();
    harness.lambda.create_function(spec).unwrap();
    let (outcome, record) = harness.complete(act("echo")).await;
    assert_eq!(outcome.json()["errorType"], "Extension.LaunchError");
    assert_eq!(record.error_type.as_deref(), Some("Extension.LaunchError"));
    assert_eq!(harness.count(spawned("directory")), 0);
    harness.end().await;
}

#[tokio::test]
async fn extensions_do_not_see_the_host_nor_the_runtimes_variables() {
    let harness = Harness::start().await;
    harness.create(&[("tracer", "")]);
    let runtime = harness.invoke(act("env")).await.json();
    let lines = harness.lines("tracer.events");
    let extension: Vec<&str> = lines[0]["env"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(extension.contains(&"AWS_LAMBDA_RUNTIME_API") && extension.contains(&"FIXTURE_OUT"));
    for hidden in ["_HANDLER", "LAMBDA_TASK_ROOT", "AWS_LAMBDA_LOG_STREAM_NAME", "CARGO_MANIFEST_DIR", "HOME"]
    {
        assert!(!extension.contains(&hidden), "{hidden}");
    }
    assert_eq!(runtime["_HANDLER"], "bootstrap");
    assert_eq!(runtime["AWS_LAMBDA_INITIALIZATION_TYPE"], "on-demand");
    assert!(runtime["CARGO_MANIFEST_DIR"].is_null() && runtime["_X_AMZN_TRACE_ID"].is_null());
    harness.end().await;
}

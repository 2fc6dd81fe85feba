//! What happens before the first invocation, in which order.

use std::net::TcpListener;
use std::process::Command;

use serde_json::json;
use tests::otlp::Ids;
use tests::platform::events::{now_unix_ms, runtime_done};
use tests::platform::{Invoke, Kind, Platform, Registration, Script};

use super::world::{LONG, World, protobuf, span};

#[test]
fn the_receiver_listens_before_the_extension_registers() {
    let world = World::start();
    assert!(world.platform.state().calls_of(Kind::Register)[0].is_reachable);
}

#[test]
fn it_registers_under_its_file_name_for_invoke_and_shutdown() {
    let world = World::start();
    let state = world.platform.state();
    let calls = state.calls_of(Kind::Register);
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0].headers.get("lambda-extension-name"), Some("prefreeze"));
    assert_eq!(calls[0].json()["events"], json!(["INVOKE", "SHUTDOWN"]));
}

/// People rename the file, because extensions start in the order of their names, or start it by a script.
#[test]
fn a_renamed_file_registers_under_its_own_name() {
    // Where the binary lies, the name of the file in `/opt/extensions`, and how often it asks until it has it right.
    let rows = [
        ("extensions/prefreeze", "prefreeze", 1),
        ("extensions/00-prefreeze", "00-prefreeze", 1),
        ("bin/prefreeze-traces", "prefreeze", 1),
        ("bin/traces", "traces", 3),
    ];
    for (path, name, calls) in rows {
        let script = Script::new().registration(Registration::Named(name));
        let program = script.scratch().join(path);
        std::fs::create_dir_all(program.parent().expect("it has one")).expect("the folder can be made");
        std::os::unix::fs::symlink(script.binary(), &program).expect("it is not there yet");
        let platform = Platform::ready(&script.program([program]));
        platform.spin_down();
        assert_eq!(platform.state().calls_of(Kind::Register).len(), calls, "{path}");
        assert_eq!(platform.log("summary").len(), 1, "{path}");
    }
}

#[test]
fn the_subscription_lands_before_the_first_next() {
    let world = World::start();
    let state = world.platform.state();
    let calls = state.calls_of(Kind::Subscribe);
    assert_eq!(calls.len(), 1);
    let (answered, status) = calls[0].answer.expect("answered");
    assert_eq!(status, 200);
    assert!(answered <= state.calls_of(Kind::Next)[0].at);
    let body = calls[0].json();
    assert_eq!(body["schemaVersion"], "2025-01-29");
    assert_eq!(body["types"], json!(["platform"]));
    assert_eq!(body["buffering"]["timeoutMs"], 25);
    assert_eq!(body["destination"]["protocol"], "HTTP");
    let uri = body["destination"]["URI"].as_str().expect("a URI");
    assert!(uri.starts_with("http://sandbox.localdomain:"), "{uri}");
}

#[test]
fn the_telemetry_listener_listens_before_the_subscription() {
    let world = World::start();
    assert!(world.platform.state().calls_of(Kind::Subscribe)[0].is_reachable);
}

#[test]
fn where_invoke_is_refused_it_registers_for_shutdown_alone() {
    let world = World::with(|script| script.registration(Registration::RefuseInvoke));
    let state = world.platform.state();
    let events: Vec<_> =
        state.calls_of(Kind::Register).iter().map(|call| call.json()["events"].clone()).collect();
    assert_eq!(events, [json!(["INVOKE", "SHUTDOWN"]), json!(["SHUTDOWN"])]);
    world.post_spans([span("managed", Ids::new(1))]);
    let summary = world.close();
    world.span("managed");
    assert_eq!((summary.count("received"), summary.dropped()), (1, 0));
}

#[test]
fn on_managed_instances_spans_leave_without_any_event() {
    let world = World::with(|script| {
        script
            .registration(Registration::RefuseInvoke)
            .env("AWS_LAMBDA_INITIALIZATION_TYPE", "lambda-managed-instances")
    });
    world.post_spans([span("managed", Ids::new(1))]);
    world.expect_span("managed");
    world.close();
}

#[test]
fn a_proxy_of_the_customer_is_not_used_for_the_platform() {
    let world = World::with(|script| {
        // Nobody listens on the discard port: a call through it would fail.
        script.env("HTTP_PROXY", "http://127.0.0.1:9").env("http_proxy", "http://127.0.0.1:9")
    });
    assert!(world.platform.is_waiting());
}

#[test]
fn a_platform_that_refuses_every_registration_is_left_with_a_word() {
    let script = Script::new().registration(Registration::Status(500)).with_violations();
    let platform = Platform::start(&script);
    platform.wait_exit();
    let state = platform.state();
    assert_eq!(platform.stdout().len(), 1, "{state}");
    assert!(state.violations.iter().all(|violation| violation.contains("Extension.Crash")), "{state}");
}

#[test]
fn a_bug_is_said_in_one_line_without_what_it_was_about() {
    let ended = Command::new(env!("CARGO_BIN_EXE_panics")).output().expect("it was built with the tests");
    let said = String::from_utf8(ended.stdout).expect("JSON is UTF-8");
    let line: serde_json::Value = serde_json::from_str(&said).expect("one line of JSON");
    assert_eq!((&line["event"], &line["level"]), (&json!("panic"), &json!("error")));
    assert!(line["at"].as_str().is_some_and(|place| place.contains("panics.rs:")), "{said}");
    assert!(!said.contains("4111") && ended.stderr.is_empty());
}

#[test]
fn whichever_step_of_the_start_panics_the_function_lives() {
    let steps = Command::new(env!("CARGO_BIN_EXE_panics")).arg("steps").output().expect("it was built");
    let steps = String::from_utf8(steps.stdout).expect("names");
    assert!(steps.contains("Environment"), "{steps}");
    for step in steps.split(' ') {
        let program = [env!("CARGO_BIN_EXE_panics"), step];
        let platform = Platform::ready(&Script::new().program(program));
        let registered = platform.state().registered.expect("registered");
        // Before it has registered, nothing is worth an event for each invocation.
        if registered.iter().any(|event| event == "INVOKE") {
            for request_id in ["r-1", "r-2"] {
                platform.answer_next(&Invoke::new(request_id, LONG));
            }
        }
        let telemetry = platform.try_post_otlp("/v1/traces", b"", &protobuf());
        let is_taken = telemetry.is_ok_and(|response| response.status < 400);
        assert!(!is_taken, "{step}: what is sent now is kept by nobody, and its sender has to know");
        platform.spin_down();
        for (event, level) in [("panic", "error"), ("stopped", "error")] {
            let lines = platform.log(event);
            assert_eq!(lines.len(), 1, "{step}: {event}");
            assert_eq!(lines[0]["level"], level);
        }
        assert_eq!(platform.stdout().len(), 2, "{step}: nothing else to say");
    }
}

#[test]
fn a_receiver_port_that_is_taken_harms_nothing() {
    let script = Script::new();
    let taken = TcpListener::bind(script.receiver()).expect("a reserved port can be listened on");
    let platform = Platform::ready(&script);
    platform.queue_next(&Invoke::new("r-1", LONG));
    platform.expect("the event", |state| state.calls_of(Kind::Next)[0].answer.is_some());
    platform.post_telemetry(&[runtime_done(now_unix_ms(), "r-1", "success", 1.0)]);
    platform.spin_down();
    drop(taken);
    assert!(platform.stdout()[0].contains("PREFREEZE_RECEIVER_HTTP"), "{:?}", platform.stdout());
}

#[test]
fn a_missing_backend_holds_up_nothing() {
    let script = Script::new().env("PREFREEZE_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9");
    let platform = Platform::ready(&script);
    platform.spin_down();
}

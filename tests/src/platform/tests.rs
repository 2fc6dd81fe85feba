//! The fake itself: the test plays the extension with plain HTTP calls, beside a process that only waits.

use std::thread;
use std::time::Duration;

use super::{Invoke, Kind, Platform, Reason, Registration, Script, Subscription, events};
use crate::http1::{Headers, Response, send};

const IDENTIFIER: &str = "Lambda-Extension-Identifier";

/// A platform whose process does nothing.
fn start(shape: impl FnOnce(Script) -> Script) -> Platform {
    Platform::start(&shape(Script::new().stand_in("exec sleep 30")))
}

fn call(platform: &Platform, method: &str, path: &str, headers: &Headers, body: &str) -> Response {
    send(platform.api.address(), method, path, headers, body.as_bytes()).expect("the platform answers")
}

fn register(platform: &Platform, body: &str) -> Response {
    let headers = Headers::from([("Lambda-Extension-Name", "prefreeze")]);
    call(platform, "POST", "/2020-01-01/extension/register", &headers, body)
}

fn registered(platform: &Platform) -> Headers {
    let answer = register(platform, r#"{"events":["INVOKE","SHUTDOWN"]}"#);
    let identifier = answer.headers.get(IDENTIFIER).expect("an identifier").to_owned();
    Headers::from([
        (IDENTIFIER.to_owned(), identifier),
        ("Content-Type".to_owned(), "application/json".to_owned()),
    ])
}

fn next(platform: &Platform, identity: &Headers) -> Response {
    call(platform, "GET", "/2020-01-01/extension/event/next", identity, "")
}

fn subscribe(platform: &Platform, identity: &Headers, port: u16) -> Response {
    subscribe_with(platform, identity, port, "2025-01-29")
}

fn subscribe_with(platform: &Platform, identity: &Headers, port: u16, schema: &str) -> Response {
    let body = format!(
        r#"{{"schemaVersion":"{schema}","types":["platform"],"buffering":{{"timeoutMs":25}},
            "destination":{{"protocol":"HTTP","URI":"http://sandbox.localdomain:{port}/t"}}}}"#
    );
    call(platform, "PUT", "/2022-07-01/telemetry", identity, &body)
}

#[test]
fn a_faithful_extension_breaks_nothing() {
    let platform = start(|script| script);
    let identity = registered(&platform);
    assert_eq!(subscribe(&platform, &identity, 4323).body, b"\"OK\"");
    thread::scope(|scope| {
        let extension = scope.spawn(|| [next(&platform, &identity), next(&platform, &identity)]);
        platform.answer_next(&Invoke::new("r-1", Duration::from_secs(3)));
        platform.wait_next();
        platform.shutdown(Reason::Spindown, Duration::from_secs(2));
        let [invoke, shutdown] = extension.join().expect("no panic");
        assert!(String::from_utf8_lossy(&invoke.body).contains(r#""requestId":"r-1""#));
        assert!(String::from_utf8_lossy(&shutdown.body).contains(r#""shutdownReason":"spindown""#));
    });
    let kinds: Vec<Kind> = platform.state().calls.iter().map(|call| call.kind).collect();
    assert_eq!(kinds, [Kind::Register, Kind::Subscribe, Kind::Next, Kind::Next]);
}

#[test]
fn what_the_platform_would_refuse_is_refused_and_recorded() {
    let platform = start(Script::with_violations);
    let nobody = Headers::default();
    assert_eq!(next(&platform, &nobody).status, 403);
    let identity = registered(&platform);
    assert_eq!(register(&platform, "{}").status, 403);
    assert_eq!(subscribe(&platform, &identity, 9001).status, 400);
    assert_eq!(call(&platform, "GET", "/else", &identity, "").status, 404);
    assert_eq!(call(&platform, "POST", "/2020-01-01/extension/init/error", &identity, "").status, 202);
    thread::scope(|scope| {
        let waiting = scope.spawn(|| next(&platform, &identity));
        platform.wait_next();
        assert_eq!(next(&platform, &identity).status, 403);
        platform.shutdown(Reason::Failure, Duration::from_secs(2));
        assert_eq!(waiting.join().expect("no panic").status, 200);
        assert_eq!(subscribe(&platform, &identity, 4323).status, 200);
        let after = scope.spawn(|| next(&platform, &identity));
        platform.queue_next(&Invoke::new("r-2", Duration::from_secs(3)));
        assert_eq!(after.join().expect("no panic").status, 200);
    });
    let violations = platform.state().violations;
    assert_eq!(violations.len(), 8, "{violations:#?}");
}

#[test]
fn a_managed_instance_refuses_invoke_only() {
    let platform = start(|script| script.registration(Registration::RefuseInvoke));
    assert_eq!(register(&platform, r#"{"events":["INVOKE","SHUTDOWN"]}"#).status, 403);
    assert_eq!(register(&platform, r#"{"events":["SHUTDOWN"]}"#).status, 200);
    assert_eq!(platform.state().registered, Some(vec!["SHUTDOWN".to_owned()]));
}

#[test]
fn only_status_200_subscribes() {
    for (status, word) in [(202, "NotSupported"), (403, "Closed"), (404, "not found"), (500, "Internal")] {
        let platform = start(|script| script.subscription(Subscription::Status(status)));
        let identity = registered(&platform);
        let answer = subscribe(&platform, &identity, 4323);
        assert_eq!(answer.status, status);
        assert!(String::from_utf8_lossy(&answer.body).contains(word), "{word}");
        assert_eq!(platform.state().destination, None);
    }
}

#[test]
fn a_subscription_may_succeed_at_the_second_request() {
    let rows = [
        (Subscription::First(500), "2025-01-29", [500, 200]),
        (Subscription::Before("2025-01-29"), "2022-12-13", [400, 200]),
    ];
    for (subscription, second, statuses) in rows {
        let platform = start(|script| script.subscription(subscription));
        let identity = registered(&platform);
        let answers =
            ["2025-01-29", second].map(|schema| subscribe_with(&platform, &identity, 4323, schema).status);
        assert_eq!(answers, statuses, "{subscription:?}");
        assert!(platform.state().destination.is_some());
    }
}

#[test]
fn an_exit_before_shutdown_is_a_crash() {
    let platform = start(|script| script.stand_in("exit 0").with_violations());
    assert!(platform.wait_exit().0.success());
    assert!(platform.state().violations[0].contains("Extension.Crash"));
}

#[test]
fn a_line_that_is_no_json_object_is_a_violation() {
    let talk = "echo '{\"event\":\"hello\"}'; echo words; exec sleep 30";
    let platform = start(|script| script.stand_in(talk).with_violations());
    platform.expect("two lines", |state| state.lines.len() == 2);
    assert_eq!(platform.log("hello").len(), 1);
    assert_eq!(platform.state().violations, ["a line of output is not a JSON object: words"]);
}

#[test]
fn a_killed_process_is_the_tests_own_doing() {
    let platform = start(|script| script);
    platform.kill();
    assert!(!platform.wait_exit().0.success());
}

#[test]
fn moments_are_written_as_the_telemetry_api_does() {
    let table = [
        (0, "1970-01-01T00:00:00.000Z"),
        (951_782_400_123, "2000-02-29T00:00:00.123Z"),
        (1_795_334_312_354, "2026-11-22T07:58:32.354Z"),
        (1_798_761_599_999, "2026-12-31T23:59:59.999Z"),
    ];
    for (unix_ms, text) in table {
        assert_eq!(events::iso(unix_ms), text);
    }
}

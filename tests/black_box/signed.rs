//! Requests to AWS are signed as they are sent, and taken by an endpoint that looks at each of them as AWS does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tests::aws::{Endpoint, Role};
use tests::collector::{Answer, Collector, Reply, Request};
use tests::platform::{Kind, Platform, Reason, Script};

use super::world::{World, server_span};
use tests::otlp::Ids;

const XRAY: &str = "sigv4:xray:eu-west-1";

/// X-Ray in Ireland, which takes what this role sends.
fn xray(role: Role) -> Endpoint {
    Endpoint { service: "xray", region: "eu-west-1", role, ahead: 0, answers: "" }
}

/// An extension whose traces go to a backend that is no host of AWS's, signed as for X-Ray.
fn world(
    shape: impl FnOnce(Script) -> Script,
    answer: impl Fn(&Request) -> Answer + Send + 'static,
) -> World {
    let collector = Collector::start();
    collector.always_with(answer);
    let endpoint = format!("{}/v1/traces", collector.endpoint());
    let script = Script::new()
        .env("PREFREEZE_EXPORTER_OTLP_TRACES_ENDPOINT", endpoint)
        .env("PREFREEZE_EXPORTER_OTLP_TRACES_AUTH", XRAY)
        .env("PREFREEZE_FLUSH", "end");
    let platform = Platform::ready(&shape(script));
    World { platform, collector }
}

pub(super) fn with_role(script: Script, role: &Role) -> Script {
    script
        .env("AWS_ACCESS_KEY_ID", &role.key_id)
        .env("AWS_SECRET_ACCESS_KEY", &role.secret_key)
        .env("AWS_SESSION_TOKEN", role.token.clone().unwrap_or_default())
}

/// The statuses of all requests, in order.
fn statuses(world: &World) -> Vec<u16> {
    world.collector.requests().iter().filter_map(|request| request.status).collect()
}

/// The ids of the keys that requests were signed with, each once in a row.
fn keys(world: &World) -> Vec<String> {
    let mut keys: Vec<String> = Vec::new();
    for request in world.collector.requests() {
        let text = request.headers.get("authorization").unwrap_or_default().to_owned();
        let key = text.split(['=', '/']).nth(1).unwrap_or_default().to_owned();
        if keys.last() != Some(&key) {
            keys.push(key);
        }
    }
    keys
}

#[test]
fn each_request_is_signed_with_the_role_of_the_function() {
    let role = Role::named("FUNCTION");
    for packing in ["gzip", "none"] {
        let endpoint = xray(role.clone());
        let world = world(
            |script| with_role(script, &role).env("PREFREEZE_EXPORTER_OTLP_COMPRESSION", packing),
            move |_| Answer::Aws(endpoint.clone()),
        );
        for number in 1..=3 {
            world.invoke_well(&format!("r-{number}"), number);
        }
        world.close();
        assert_eq!(statuses(&world).iter().filter(|status| **status != 200).count(), 0, "{packing}");
        assert_eq!(world.names(), ["r-1", "r-2", "r-3"], "{packing}");
    }
}

/// A clock that is ten minutes off is found out once, and nothing is lost.
#[test]
fn a_wrong_clock_is_corrected_by_awss_own() {
    let role = Role::named("FUNCTION");
    for ahead in [600, -600] {
        let endpoint = Endpoint { ahead, ..xray(role.clone()) };
        let world = world(|script| with_role(script, &role), move |_| Answer::Aws(endpoint.clone()));
        for number in 1..=3 {
            world.invoke_well(&format!("r-{number}"), number);
        }
        let lines = world.platform.expect_log("clock_corrected", 1);
        let seconds = lines[0]["seconds"].as_i64().expect("a number");
        assert!((seconds - ahead).abs() <= 2, "{seconds} of {ahead}");
        world.close();
        assert_eq!(statuses(&world), [403, 200, 200, 200]);
        assert_eq!(world.names(), ["r-1", "r-2", "r-3"]);
    }
}

/// The platform hands out other credentials when those at hand are refused, as they are when they have expired.
#[test]
fn expired_credentials_are_replaced_at_once() {
    let (old, new) = (Role::named("OLD"), Role::named("NEW"));
    let endpoint = xray(new.clone());
    let world = world(
        |script| script.env("HTTP_PROXY", "http://127.0.0.1:9").credentials([old, new]),
        move |_| Answer::Aws(endpoint.clone()),
    );
    world.invoke_well("r-1", 1);
    world.invoke_well("r-2", 2);
    world.close();
    assert_eq!(
        (statuses(&world), keys(&world)),
        (vec![403, 200, 200], vec!["AKIAOLD".into(), "AKIANEW".into()])
    );
    assert_eq!(world.names(), ["r-1", "r-2"]);
}

/// Where no other ones are to be had, data is held, and sent when the role may do it.
#[test]
fn what_a_role_may_not_send_is_held() {
    let role = Role::named("FUNCTION");
    let (endpoint, may) = (xray(role.clone()), Arc::new(AtomicBool::new(false)));
    let allowed = may.clone();
    let world = world(
        |script| with_role(script, &role),
        move |_| {
            if allowed.load(Ordering::SeqCst) { Answer::Aws(endpoint.clone()) } else { Answer::status(403) }
        },
    );
    for number in 1..=3 {
        world.invoke_well(&format!("r-{number}"), number);
    }
    assert_eq!(statuses(&world), [403], "a probe a minute");
    may.store(true, Ordering::SeqCst);
    world.end(Reason::Spindown);
    let summary = world.summary();
    assert_eq!((summary.dropped(), world.names()), (0, vec!["r-1".into(), "r-2".into(), "r-3".into()]));
}

#[test]
fn where_transaction_search_is_off_the_command_is_told_and_data_is_held() {
    let role = Role::named("FUNCTION");
    let (endpoint, is_on) = (xray(role.clone()), Arc::new(AtomicBool::new(false)));
    let switch = is_on.clone();
    let off = b"\x12The OTLP API is supported with CloudWatch Logs as a Trace Segment Destination.";
    let world = world(
        |script| with_role(script, &role),
        move |_| {
            if switch.load(Ordering::SeqCst) {
                return Answer::Aws(endpoint.clone());
            }
            Answer::Reply(Reply::new(400).header("Content-Type", "application/x-protobuf").body(off))
        },
    );
    for number in 1..=3 {
        world.invoke_well(&format!("r-{number}"), number);
    }
    let lines = world.platform.expect_log("export_refused", 1);
    assert!(lines[0].to_string().contains("update-trace-segment-destination"), "{}", lines[0]);
    assert_eq!(statuses(&world), [400]);
    is_on.store(true, Ordering::SeqCst);
    world.end(Reason::Spindown);
    assert_eq!((world.summary().dropped(), world.names().len()), (0, 3));
}

/// What is fetched while a snapshot is made would be its builder's.
#[test]
fn credentials_of_a_snapshot_are_fetched_when_it_is_restored() {
    let role = Role::named("OWN");
    let (endpoint, kind) = (xray(role.clone()), "snap-start");
    let world = world(
        |script| script.env("AWS_LAMBDA_INITIALIZATION_TYPE", kind).credentials([role]),
        move |_| Answer::Aws(endpoint.clone()),
    );
    // The function sends while the snapshot is made.
    world.post_spans([server_span("init", Ids::new(9), "r-0")]);
    world.invoke_well("r-1", 1);
    world.close();
    let state = world.platform.state();
    let fetched: Vec<_> = state.calls_of(Kind::Credentials).iter().map(|call| call.at).collect();
    let first_next = state.calls_of(Kind::Next)[0].answer.expect("it was invoked").0;
    assert!(fetched.len() == 1 && fetched[0] > first_next, "{fetched:?} after {first_next:?}");
    assert!(statuses(&world).iter().all(|status| *status == 200) && !statuses(&world).is_empty());
}

//! Spans that the function announces when they begin: shown closed where it died, and never otherwise.

use std::time::Duration;

use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use tests::collector::SpanSeen;
use tests::http1::Headers;
use tests::otlp::{Ids, SpanExt, traces};
use tests::platform::events::{now_unix_ms, runtime_done, runtime_done_error};
use tests::platform::{Platform, Reason, Script};

use super::world::{Questions, World, nanos, protobuf, server_span, span};

/// Announces spans as a function does that has just begun them.
#[track_caller]
fn announce(world: &World, spans: impl IntoIterator<Item = Span>) {
    let begun = spans.into_iter().map(|span| Span { end_time_unix_nano: 0, status: None, ..span });
    let response = world.post("/v1/started", &traces(begun).encode_to_vec());
    assert_eq!((response.status, response.body), (200, Vec::new()), "the answer to an announcement");
}

/// A payment that asks a bank: its SERVER span, a step of it, and the call.
fn payment(request_id: &str) -> [Span; 3] {
    let root = Ids::new(1);
    let (step, call) = (root.sibling(1), root.sibling(2));
    [
        server_span("POST /payments", root, request_id),
        span("authorize", step).with_parent(root),
        span("POST bank", call).with_parent(step),
    ]
}

/// The platform tells that the process of the function has gone.
#[track_caller]
fn dies(world: &World, at: i64) {
    let died = runtime_done_error(at, "r-1", "error", 12.0, "Runtime.ExitError");
    world.platform.post_telemetry(&[died]);
}

/// SHUTDOWN for this reason, and the end of the extension.
#[track_caller]
fn ends(world: &World, reason: Reason) {
    world.platform.shutdown(reason, Duration::from_secs(2));
    world.platform.wait_exit();
}

#[track_caller]
fn assert_closed(seen: &SpanSeen, class: &str, end: Option<u64>) {
    assert!(seen.is_error());
    assert_eq!(seen.text("error.type"), Some(class));
    assert_eq!(seen.attribute("prefreeze.unfinished"), Some(&Any::BoolValue(true)));
    let end = end.unwrap_or(seen.span.start_time_unix_nano);
    assert_eq!(seen.span.end_time_unix_nano, end, "{}", seen.span.name);
}

#[test]
fn what_is_open_at_the_time_out_ends_with_it() {
    let world = World::start();
    let begun = payment("r-1");
    world.invoke("r-1");
    announce(&world, begun.clone());
    let ended = span("validate", Ids::new(1).sibling(3)).with_parent(Ids::new(1));
    announce(&world, [ended.clone()]);
    world.post_spans([ended.clone()]);
    world.platform.post_telemetry(&[runtime_done(now_unix_ms(), "r-1", "timeout", 60_000.0)]);
    ends(&world, Reason::Timeout);
    assert_eq!(world.names(), ["POST /payments", "POST bank", "authorize", "validate"]);
    for span in &begun {
        let seen = world.span(&span.name);
        let deadline = seen.span.end_time_unix_nano;
        assert!(deadline > span.end_time_unix_nano, "the deadline of the invocation, a minute from then");
        assert_closed(&seen, "timeout", Some(deadline));
        let told =
            Span { end_time_unix_nano: 0, status: None, attributes: span.attributes.clone(), ..seen.span };
        assert_eq!(told, Span { end_time_unix_nano: 0, status: None, ..span.clone() });
    }
    assert_eq!(world.span("validate").span, ended, "what ended by itself is as it was");
    let summary = world.summary();
    assert_eq!((summary.count("received"), summary.count("made"), summary.count("exported")), (1, 3, 4));
}

#[test]
fn what_is_open_when_the_process_dies_ends_then() {
    let world = World::start();
    world.invoke("r-1");
    announce(&world, payment("r-1"));
    let at = now_unix_ms() + 40;
    dies(&world, at);
    ends(&world, Reason::Failure);
    for name in ["POST /payments", "authorize", "POST bank"] {
        assert_closed(&world.span(name), "Runtime.ExitError", Some(nanos(at)));
    }
    assert_eq!(world.names().len(), 3, "the announced SERVER span is the root: none is made");
}

#[test]
fn a_shutdown_that_says_why_is_enough() {
    let world = World::start();
    world.invoke("r-1");
    announce(&world, payment("r-1"));
    world.runtime_done("r-1");
    world.platform.wait_next();
    // It had answered; what it still was at died with the environment.
    ends(&world, Reason::Failure);
    assert_closed_in_some_way(&world.span("POST bank"));
}

#[track_caller]
fn assert_closed_in_some_way(seen: &SpanSeen) {
    assert!(seen.is_error());
    assert_eq!(seen.text("error.type"), Some("_OTHER"));
}

#[test]
fn parents_that_were_announced_are_not_made_up() {
    let world = World::start();
    world.invoke("r-1");
    // They began after INVOKE, whose time is known better than to the millisecond.
    let begun = |span: Span| {
        let at = span.end_time_unix_nano + 1_000_000;
        span.with_times(at, at)
    };
    let [root, step, call] = payment("r-1").map(begun);
    announce(&world, [step]);
    world.post_spans([call]);
    dies(&world, now_unix_ms());
    ends(&world, Reason::Failure);
    assert_eq!(world.names(), ["POST bank", "authorize", "orders"]);
    assert_eq!(world.span("orders").span.span_id, root.span_id, "adopted by the announced step");
    assert_eq!(world.span("authorize").span.parent_span_id, root.span_id);
}

#[test]
fn what_ends_is_sent_once_and_what_does_not_is_forgotten() {
    let world = World::start();
    let [root, step, call] = payment("r-1");
    world.invoke("r-1");
    announce(&world, [root.clone(), step, call.clone()]);
    world.post_spans([call.clone(), root]);
    world.platform.wait_next();
    // An announcement that was overtaken by its span.
    announce(&world, [call]);
    world.invoke_well("r-2", 7);
    world.runtime_done("r-2");
    ends(&world, Reason::Failure);
    assert_eq!(world.names(), ["POST /payments", "POST bank", "r-2"]);
    assert_eq!(world.summary().count("made"), 0);
}

#[test]
fn an_announcement_that_comes_before_invoke_belongs_to_it() {
    let world = World::start();
    announce(&world, payment("r-1"));
    world.invoke("r-1");
    dies(&world, now_unix_ms());
    ends(&world, Reason::Failure);
    assert_eq!(world.names().len(), 3);
}

#[test]
fn what_was_open_outlives_a_kill_of_the_extension() {
    let script = Script::new();
    let collector = tests::collector::Collector::start();
    let script = script.env("PREFREEZE_EXPORTER_OTLP_ENDPOINT", collector.endpoint());
    let world = World { platform: Platform::ready(&script), collector };
    world.invoke("r-1");
    let [root, step, call] = payment("r-1");
    announce(&world, [root, step, call.clone()]);
    world.post_spans([call.clone()]);
    world.platform.kill();
    let World { platform, collector } = world;
    drop(platform);
    let world = World { platform: Platform::ready(&script), collector };
    world.invoke_well("r-2", 7);
    let summary = world.close();
    assert_eq!(world.names(), ["POST /payments", "POST bank", "authorize", "r-2"]);
    for name in ["POST /payments", "authorize"] {
        assert_closed(&world.span(name), "_OTHER", Some(call.end_time_unix_nano));
    }
    assert_eq!((summary.count("recovered"), summary.count("made"), summary.count("received")), (1, 2, 1));
    let left = std::fs::read_dir(script.scratch().join("prefreeze")).map_or(0, Iterator::count);
    assert_eq!(left, 0, "nothing is left on disk");
}

#[test]
fn announcements_are_bounded() {
    let world = World::start();
    world.invoke("r-1");
    let root = Ids::new(1);
    for hundred in 0..20 {
        announce(
            &world,
            (0..100).map(|number| span("open", root.sibling(hundred * 100 + number + 1)).with_parent(root)),
        );
    }
    dies(&world, now_unix_ms());
    ends(&world, Reason::Failure);
    assert_eq!(world.spans("open").len(), 512);
}

#[test]
fn what_is_no_announcement_is_refused() {
    let world = World::start();
    let status =
        |body: &[u8], headers: &Headers| world.platform.post_otlp("/v1/started", body, headers).status;
    assert_eq!(status(b"\x0a\xff", &protobuf()), 400);
    assert_eq!(status(b"", &Headers::from([("Content-Type", "text/csv")])), 415);
    let get = tests::http1::send(world.platform.receiver(), "GET", "/v1/started", &Headers::default(), b"");
    assert_eq!(get.expect("an answer").status, 405);
    announce(&world, []);
    world.close();
}

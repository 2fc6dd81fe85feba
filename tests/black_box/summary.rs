//! The extension's own voice: few lines, each one JSON object, and the books at the end.

use serde_json::Value;
use tests::otlp::Ids;

use super::world::{World, server_span, span};

#[test]
fn the_books_are_one_line_with_every_count() {
    let world = World::start();
    world.invoke("r-1");
    let root = Ids::new(1);
    world.post_spans([span("child", root.sibling(1)), server_span("root", root, "r-1")]);
    world.platform.wait_next();
    world.invoke("r-2");
    world.runtime_done("r-2");
    let summary = world.close();
    assert_eq!(summary.0["level"], "info");
    let counts = ["received", "made", "exported", "sampled_out", "held", "invocations"];
    assert_eq!(counts.map(|key| summary.count(key)), [2, 1, 3, 0, 0, 2]);
    assert!(summary.0["dropped"].is_object());
    assert!(summary.count("raw_bytes") > 0);
    let wire: usize = world.collector.requests().iter().map(|request| request.wire.len()).sum();
    assert_eq!(summary.count("sent_bytes"), u64::try_from(wire).expect("a small number"));
    assert!(summary.0["post_runtime_ms"].is_number());
}

#[test]
fn the_books_are_the_last_line() {
    let world = World::start();
    world.invoke_well("r-1", 1);
    world.close();
    let last: Value = serde_json::from_str(world.platform.stdout().last().expect("a line")).expect("JSON");
    assert_eq!(last["event"], "summary");
}

#[test]
fn every_line_says_how_serious_it_is_and_what_happened() {
    let world = World::with(|script| script.env("PREFREEZE_EXPORTER_OTLP_TIMEOUT", "soon"));
    world.collector.stop();
    world.invoke_well("r-1", 1);
    world.close();
    for line in world.platform.stdout() {
        let line: Value = serde_json::from_str(&line).expect("JSON, as every test asserts");
        assert!(matches!(line["level"].as_str(), Some("debug" | "info" | "warn" | "error")), "{line}");
        assert!(line["event"].is_string(), "{line}");
    }
}

#[test]
fn nothing_is_said_per_span_or_per_invocation() {
    let world = World::start();
    for seed in 1..=10 {
        let request_id = format!("r-{seed}");
        let root = Ids::new(seed);
        world.invoke(&request_id);
        world.post_spans((1..=50).map(|number| span("child", root.sibling(number))));
        world.post_spans([server_span("root", root, &request_id)]);
        world.platform.wait_next();
    }
    world.close();
    let lines = world.platform.stdout();
    assert_eq!(lines.len(), 1, "all is well, and only the books are worth saying: {lines:#?}");
}

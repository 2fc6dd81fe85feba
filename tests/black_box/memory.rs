//! What is held for a backend that is ill keeps within its bound, however little is kept of each request.

use std::fs;

use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use tests::collector::Answer;
use tests::otlp::{Ids, SpanExt};
use tests::platform::Script;

use super::world::{World, span};

/// Requests of the function, and their spans: 36 MB, three times the bound.
const REQUESTS: u64 = 300;
const SPANS: u64 = 300;
/// What may be held is a tenth of the function's 128 MB; beside it there are requests that are being read, written and
/// packed. 36 MB of requests held for little of what is in them are above this by far.
const GROWTH_MAX_KIB: u64 = (13 + 6) << 10;

/// What the process has in memory now.
fn resident_kib(world: &World) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", world.platform.process_id()));
    let status = status.expect("it lives");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("Linux");
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number")
}

/// Sends requests of many traces each to an environment whose backend refuses everything.
#[track_caller]
fn assert_bounded(what: &str, shape: impl Fn(Script) -> Script, each: impl Fn(Span, u64) -> Span) {
    let world = World::with(|script| shape(script.env("PREFREEZE_METRICS", "off")));
    world.collector.always_with(|_| Answer::status(503));
    let mut before = 0;
    for request in 0..REQUESTS {
        let request_id = format!("r-{request}");
        world.invoke(&request_id);
        let spans = (0..SPANS).map(|number| {
            let id = request * SPANS + number;
            each(span("work", Ids::new(id)).with_text("detail", &format!("{id:0>300}")), number)
        });
        world.post_spans(spans);
        world.runtime_done(&request_id);
        world.platform.wait_next();
        if request == 20 {
            before = resident_kib(&world);
        }
    }
    let after = resident_kib(&world);
    println!("{what}: {before} KiB, then {after} KiB");
    assert!(after < before + GROWTH_MAX_KIB, "{what}: {before} KiB, then {after} KiB");
}

#[test]
fn a_hundredth_of_each_request_is_kept() {
    let sampled = |script: Script| {
        ["COLD_STARTS", "SLOW", "RARE", "BOOST"]
            .iter()
            .fold(script, |script, name| script.env(&format!("PREFREEZE_SAMPLING_{name}"), "off"))
            .env("PREFREEZE_SAMPLING_RATIO", "0.01")
    };
    assert_bounded("a hundredth is kept", sampled, |span, _| span);
}

#[test]
fn one_failure_of_each_request_is_worth_keeping() {
    let unspooled = |script: Script| script.env("PREFREEZE_SPOOL", "off");
    assert_bounded("a failure in each", unspooled, |span, number| {
        if number == 7 { span.with_status(StatusCode::Error, "declined") } else { span }
    });
}

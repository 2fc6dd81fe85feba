//! What is held for a backend that is ill keeps within its bound, however little is kept of each request.

use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use tests::collector::Answer;
use tests::otlp::{Ids, SpanExt};
use tests::platform::Script;

use super::world::{World, span};

/// Requests of the function, and their spans: 36 MB, three times the bound. Those of the release binary are as many as were
/// once enough for 108 MB.
const REQUESTS: u64 = 300;
const REQUESTS_OF_RELEASE: u64 = 900;
const SPANS: u64 = 300;
/// What may be held: a tenth of the function's 128 MB.
const BOUND_KIB: u64 = 13 << 10;
/// Beside it there are requests that are being read, written and packed, and in the release binary itself. 36 MB of requests
/// held for little of what is in them are above this by far.
const BESIDE_KIB: u64 = 6 << 10;
/// What requests that are being received may take together: twice the longest.
const RECEIVED_KIB: u64 = 32 << 10;

/// Whether the binary is a release build that somebody wants to see: what it has at all is bounded then, and not only its
/// growth. A debug build takes more to begin with.
fn is_release() -> bool {
    std::env::var_os("PREFREEZE_BIN").is_some()
}

/// The process may have `most` more than nothing, or than `before` in a debug build.
#[track_caller]
fn assert_within(what: &str, after: u64, before: u64, most: u64) {
    println!("{what}: {before} KiB, then {after} KiB");
    let most = most + if is_release() { 0 } else { before };
    assert!(after <= most, "{what}: {before} KiB, then {after} KiB, of at most {most} KiB");
}

/// What the process has in memory now.
fn resident_kib(world: &World) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", world.platform.process_id()));
    let status = status.expect("it lives");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("Linux");
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number")
}

/// Sends requests of many traces each to an environment whose backend refuses everything.
#[track_caller]
fn assert_bounded(what: &str, most: u64, shape: impl Fn(Script) -> Script, each: impl Fn(Span, u64) -> Span) {
    let world = World::with(|script| shape(script.env("PREFREEZE_METRICS", "off")));
    world.collector.always_with(|_| Answer::status(503));
    let mut before = 0;
    for request in 0..if is_release() { REQUESTS_OF_RELEASE } else { REQUESTS } {
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
    assert_within(what, resident_kib(&world), before, most);
}

/// One trace of a hundred is kept, and nothing for a reason of its own.
fn sampled(script: Script) -> Script {
    ["COLD_STARTS", "SLOW", "RARE", "BOOST"]
        .iter()
        .fold(script, |script, name| script.env(&format!("PREFREEZE_SAMPLING_{name}"), "off"))
        .env("PREFREEZE_SAMPLING_RATIO", "0.01")
}

#[test]
fn a_hundredth_of_each_request_is_kept() {
    assert_bounded("a hundredth is kept", BOUND_KIB + BESIDE_KIB, sampled, |span, _| span);
}

#[test]
fn one_failure_of_each_request_is_worth_keeping() {
    let unspooled = |script: Script| script.env("PREFREEZE_SPOOL", "off");
    assert_bounded("a failure in each", BOUND_KIB + BESIDE_KIB, unspooled, |span, number| {
        if number == 7 { span.with_status(StatusCode::Error, "declined") } else { span }
    });
}

/// Each trace waits for the end of its invocation to be judged, until there is no room for it.
#[test]
fn one_invocation_brings_more_traces_than_there_is_room_for() {
    const SPANS_PER_REQUEST: u64 = 512;
    let world = World::with(|script| sampled(script.env("PREFREEZE_METRICS", "off")));
    world.invoke("r-1");
    let (before, mut after) = (resident_kib(&world), 0);
    for request in 0..54 {
        let ids = request * SPANS_PER_REQUEST..(request + 1) * SPANS_PER_REQUEST;
        world
            .post_spans(ids.map(|id| span("work", Ids::new(id)).with_text("detail", &format!("{id:0>300}"))));
        after = after.max(resident_kib(&world));
    }
    world.runtime_done("r-1");
    world.platform.wait_next();
    after = after.max(resident_kib(&world));
    assert_within("27,648 traces", after, before, BOUND_KIB + BESIDE_KIB);
}

#[test]
fn bodies_that_stall_take_what_requests_may_take_and_no_more() {
    const LENGTH: usize = 15 << 20;
    let world = World::start();
    world.invoke_well("r-1", 1);
    let before = resident_kib(&world);
    let stalled: Vec<TcpStream> = (0..8)
        .map(|_| {
            let mut stream = TcpStream::connect(world.platform.receiver()).expect("it listens");
            let head = "POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\n";
            stream
                .write_all(format!("{head}Content-Length: {LENGTH}\r\n\r\n").as_bytes())
                .expect("it is read");
            stream.set_write_timeout(Some(Duration::from_secs(2))).expect("a time");
            // All but the last byte; one that is refused stops reading, or closes.
            let _ = stream.write_all(&vec![0; LENGTH - 1]);
            stream
        })
        .collect();
    world.platform.barrier();
    assert_within("8 bodies that stall", resident_kib(&world), before, RECEIVED_KIB + BESIDE_KIB);
    world.invoke_well("r-2", 2);
    drop(stalled);
    world.close();
}

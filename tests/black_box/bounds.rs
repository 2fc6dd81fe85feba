//! Every bound of the listeners, exceeded: the documented answer (docs/limits.md), and the next good request works.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use tests::http1::{Headers, send};

use super::world::{World, protobuf};

/// Invokes once more, to see that all is well.
#[track_caller]
fn assert_well(world: &World) {
    world.invoke_well("r-well", 99);
    world.span("r-well");
    let summary = world.close();
    assert_eq!((summary.dropped(), summary.count("held")), (0, 0));
}

fn connect(world: &World) -> TcpStream {
    let stream = TcpStream::connect(world.platform.receiver()).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a valid time-out");
    stream
}

/// The status line that comes back for these bytes.
fn status_of(world: &World, bytes: &[u8]) -> String {
    let mut stream = connect(world);
    // Whoever is answered before the end of a request may be cut off in it.
    let _ = stream.write_all(bytes);
    let mut answer = [0; 12];
    stream
        .read_exact(&mut answer)
        .map_or_else(|error| error.to_string(), |()| String::from_utf8_lossy(&answer).into())
}

#[test]
fn headers_of_more_than_64_kib_are_refused() {
    let world = World::start();
    let long = format!("POST /v1/traces HTTP/1.1\r\nHost: x\r\nBaggage: {}\r\n\r\n", "b".repeat(256 << 10));
    assert_eq!(status_of(&world, long.as_bytes()), "HTTP/1.1 431");
    assert_well(&world);
}

#[test]
fn more_than_a_hundred_headers_are_refused() {
    let world = World::start();
    let fields: String = (0..200).map(|number| format!("X-{number}: x\r\n")).collect();
    let many = format!("POST /v1/traces HTTP/1.1\r\nHost: x\r\n{fields}\r\n");
    assert_eq!(status_of(&world, many.as_bytes()), "HTTP/1.1 431");
    assert_well(&world);
}

#[test]
fn a_body_of_20_mb_is_refused_whether_it_says_so_or_not() {
    let world = World::start();
    let body = vec![0; 20 << 20];
    let response = send(world.platform.receiver(), "POST", "/v1/traces", &protobuf(), &body);
    assert_eq!(response.expect("an answer").status, 413);
    let head = "POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\n";
    let mut chunked = format!("{head}Transfer-Encoding: chunked\r\n\r\n").into_bytes();
    for _ in 0..20 {
        chunked.extend_from_slice(b"100000\r\n");
        chunked.resize(chunked.len() + (1 << 20), 0);
        chunked.extend_from_slice(b"\r\n");
    }
    chunked.extend_from_slice(b"0\r\n\r\n");
    assert_eq!(status_of(&world, &chunked), "HTTP/1.1 413");
    assert_well(&world);
}

#[test]
fn what_is_not_http_is_refused() {
    let world = World::start();
    for garbage in
        ["\x16\x03\x01\x02\x00\x01\x00\x01\u{fc}\x03\x03", "GET\r\n\r\n", "\0\0\0\0\0\0\0\0\r\n\r\n"]
    {
        assert_eq!(status_of(&world, garbage.as_bytes()), "HTTP/1.1 400", "{garbage:?}");
    }
    assert_well(&world);
}

#[test]
fn a_thousand_connections_that_only_sit_there_make_room() {
    let world = World::start();
    let sitting: Vec<TcpStream> = (0..1_000).map(|_| connect(&world)).collect();
    let began = Instant::now();
    assert_well(&world);
    assert!(began.elapsed() < Duration::from_secs(8), "it took {:?}", began.elapsed());
    drop(sitting);
}

#[test]
fn more_connections_than_descriptors_cost_no_span() {
    let world = World::with(|script| script.within("ulimit -n 24"));
    let sitting: Vec<TcpStream> = (0..100).map(|_| connect(&world)).collect();
    // Whoever came too late is in the kernel's queue; those that end make room.
    drop(sitting);
    assert_well(&world);
}

#[test]
fn heads_that_never_end_make_room() {
    let world = World::start();
    let mut stalled: Vec<TcpStream> = (0..200).map(|_| connect(&world)).collect();
    for stream in &mut stalled {
        // Those that have been cut off already are not the point.
        let _ = stream.write_all(b"POST /v1/traces HTTP/1.1\r\nHo");
    }
    assert_well(&world);
}

#[test]
fn bodies_that_never_end_make_room_in_the_end() {
    let world = World::start();
    world.invoke("r-1");
    let mut stalled: Vec<TcpStream> = (0..100).map(|_| connect(&world)).collect();
    for stream in &mut stalled {
        let head = "POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\n";
        let _ = stream.write_all(format!("{head}Content-Length: 99\r\n\r\nfrom").as_bytes());
    }
    let began = Instant::now();
    world.post_spans([super::world::server_span("r-1", tests::otlp::Ids::new(1), "r-1")]);
    assert!(began.elapsed() < Duration::from_secs(8), "it took {:?}", began.elapsed());
    world.platform.wait_next();
    world.span("r-1");
    let summary = world.close();
    assert_eq!((summary.count("received"), summary.dropped(), summary.count("held")), (1, 0, 0));
}

#[test]
fn a_batch_of_telemetry_that_is_too_long_is_accepted_and_forgotten() {
    let world = World::start();
    world.invoke("r-1");
    let long = format!("[{{\"type\":\"function\",\"record\":\"{}\"}}]", "x".repeat(10 << 20));
    // Any other answer, and the platform would send it again and again.
    assert_eq!(world.platform.post_telemetry_bytes(long.as_bytes()).status, 200);
    world.runtime_done("r-1");
    world.platform.wait_next();
    world.span("orders");
    world.close();
}

#[test]
fn a_get_is_answered_by_what_is_allowed() {
    let world = World::start();
    for path in ["/v1/traces", "/v1/metrics", "/v1/logs", "/v1/flush", "/v1/started"] {
        let response =
            send(world.platform.receiver(), "GET", path, &Headers::default(), b"").expect("an answer");
        assert_eq!((response.status, response.headers.get("allow")), (405, Some("POST")), "{path}");
    }
    assert_well(&world);
}

//! Connections to the backend: one is open before it is needed, none does harm, and none is trusted for too long.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};
use tests::collector::{Answer, Collector};
use tests::otlp::{Ids, traces};
use tests::platform::{Invoke, Platform, Script};
use tests::tls::TlsBackend;

use super::world::{LONG, World, protobuf, server_span};
use prost::Message;

/// An invocation with one span, up to the next `/next`.
fn invoke(platform: &Platform, request_id: &str, seed: u64) {
    platform.answer_next(&Invoke::new(request_id, LONG));
    let request = traces([server_span(request_id, Ids::new(seed), request_id)]);
    assert_eq!(platform.post_otlp("/v1/traces", &request.encode_to_vec(), &protobuf()).status, 200);
    platform.wait_next();
}

#[test]
fn a_connection_is_open_before_the_first_invocation_and_carries_the_first_flush() {
    let world = World::start();
    world.collector.expect("a connection ahead", |state| state.connections.len() == 1);
    assert!(world.collector.requests().is_empty(), "nothing is asked before there is something to send");
    world.invoke_well("r-1", 1);
    world.invoke_well("r-2", 2);
    world.close();
    let used: Vec<usize> = world.collector.state().connections.iter().map(|seen| seen.requests).collect();
    assert_eq!(used, [2], "requests by connection");
}

#[test]
fn the_handshake_is_over_before_the_first_invocation() {
    let backend = TlsBackend::start(false);
    let platform = Platform::ready(&backend.trusted_by(Script::new()));
    backend.expect("a handshake", |backend| backend.handshakes() == 1);
    assert!(backend.bodies().is_empty());
    invoke(&platform, "r-1", 1);
    assert_eq!((backend.bodies().len(), backend.handshakes()), (1, 1));
}

#[test]
fn signals_of_one_backend_share_the_connection_and_those_of_another_do_not() {
    let other = Collector::start();
    let world = World::with(|script| {
        script.env("PREFREEZE_EXPORTER_OTLP_METRICS_ENDPOINT", format!("{}/v1/metrics", other.endpoint()))
    });
    for collector in [&world.collector, &other] {
        collector.expect("a connection ahead", |state| state.connections.len() == 1);
    }
    world.invoke_well("r-1", 1);
    let connections = |collector: &Collector| collector.state().connections.len();
    assert_eq!((connections(&world.collector), connections(&other)), (1, 1));
}

#[test]
fn a_connection_that_is_closed_before_it_is_needed_costs_one_more() {
    let world = World::start();
    world.collector.expect("a connection ahead", |state| state.connections.len() == 1);
    world.collector.stop();
    world.collector.resume();
    world.invoke_well("r-1", 1);
    world.span("r-1");
    assert!(world.platform.log("backend_down").is_empty());
}

#[test]
fn a_backend_that_is_down_at_the_start_is_no_news() {
    let collector = Collector::start();
    collector.stop();
    let platform =
        Platform::ready(&Script::new().env("PREFREEZE_EXPORTER_OTLP_ENDPOINT", collector.endpoint()));
    platform.answer_next(&Invoke::new("r-1", LONG));
    collector.resume();
    let request = traces([server_span("r-1", Ids::new(1), "r-1")]);
    platform.post_otlp("/v1/traces", &request.encode_to_vec(), &protobuf());
    platform.wait_next();
    assert_eq!(collector.spans().len(), 1);
    assert_eq!(platform.stdout(), [""; 0], "nothing was wrong when it mattered");
}

#[test]
fn a_handshake_that_hangs_during_start_up_holds_up_nothing() {
    let backend = TlsBackend::start_mute(1);
    let platform = Platform::ready(&backend.trusted_by(Script::new()));
    backend.expect("a connection that is not answered", |backend| backend.connections() == 1);
    invoke(&platform, "r-1", 1);
    assert_eq!((backend.bodies().len(), backend.connections()), (1, 2), "the request has opened its own");
}

#[test]
fn a_backend_that_never_accepts_holds_up_nothing() {
    // The kernel completes connections until the backlog is full; nobody ever reads from them.
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let address = listener.local_addr().expect("a bound port");
    let platform =
        Platform::ready(&Script::new().env("PREFREEZE_EXPORTER_OTLP_ENDPOINT", format!("https://{address}")));
    platform.spin_down();
    drop(listener);
}

#[test]
fn a_black_hole_costs_no_more_than_the_ceiling() {
    // With its queue full, a listener's kernel drops every further SYN, as a network without a way out does.
    let hole = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket can be made");
    hole.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("a free port");
    hole.listen(0).expect("a bound socket");
    let address =
        hole.local_addr().ok().and_then(|it| it.as_socket()).expect("a bound socket has an address");
    let _full: Vec<TcpStream> =
        (0..8).map_while(|_| TcpStream::connect_timeout(&address, Duration::from_millis(200)).ok()).collect();
    let is_full = TcpStream::connect_timeout(&address, Duration::from_millis(200)).is_err();
    assert!(is_full, "a connection was still completed");
    let platform =
        Platform::ready(&Script::new().env("PREFREEZE_EXPORTER_OTLP_ENDPOINT", format!("http://{address}")));
    let began = Instant::now();
    invoke(&platform, "r-1", 1);
    assert!(began.elapsed() < Duration::from_secs(3), "it took {:?}", began.elapsed());
    platform.spin_down();
    assert_eq!(platform.log("summary")[0]["held"], 1);
}

#[test]
fn a_connection_over_which_nothing_comes_any_more_costs_no_span() {
    // Its peer is gone and nobody says so: what is sent is never answered, on this connection.
    let world = World::start();
    world.invoke_well("r-1", 1);
    let dead = world.collector.requests()[0].connection;
    world.collector.always_with(
        move |request| {
            if request.connection == dead { Answer::Hold } else { Answer::ok() }
        },
    );
    world.invoke_well("r-2", 2);
    world.invoke_well("r-3", 3);
    let summary = world.close();
    assert_eq!(world.names(), ["r-1", "r-2", "r-3"], "{}", summary.0);
    assert_eq!((summary.dropped(), summary.count("held")), (0, 0));
}

#[test]
fn an_answer_before_any_request_is_not_taken_for_one() {
    // A backend that greets, or reports its own time-out (408) on a connection that stays idle.
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let address = listener.local_addr().expect("a bound port");
    let (requests, received) = mpsc::channel();
    let is_over = Arc::new(AtomicBool::new(false));
    let greeter = thread::spawn({
        let is_over = is_over.clone();
        move || greet(&listener, &is_over, &requests)
    });
    let platform =
        Platform::ready(&Script::new().env("PREFREEZE_EXPORTER_OTLP_ENDPOINT", format!("http://{address}")));
    invoke(&platform, "r-1", 1);
    platform.spin_down();
    assert_eq!(platform.log("summary")[0]["exported"], 1);
    is_over.store(true, Ordering::SeqCst);
    TcpStream::connect(address).expect("the greeter listens to the end");
    greeter.join().expect("the greeter ends");
    let requests: Vec<_> = received.iter().collect();
    assert!(matches!(&requests[..], [only] if only.starts_with("POST /v1/traces")), "{requests:?}");
}

/// Answers the first connection before it asks, and closes it; serves all others, of which a client may open one more
/// than it has a request for.
fn greet(listener: &TcpListener, is_over: &AtomicBool, requests: &mpsc::Sender<String>) {
    let (mut ahead, _) = listener.accept().expect("the connection ahead");
    ahead.write_all(b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").ok();
    drop(ahead);
    thread::scope(|scope| {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            if is_over.load(Ordering::SeqCst) {
                return;
            }
            scope.spawn(move || {
                let mut content = [0; 64 << 10];
                let count = stream.read(&mut content).unwrap_or_default();
                if count > 0 {
                    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").ok();
                    requests.send(String::from_utf8_lossy(&content[..count]).into_owned()).ok();
                }
            });
        }
    });
}

#[test]
fn a_break_in_the_middle_is_tried_once_more_at_once() {
    let world = World::start();
    world.collector.answer([Answer::Reset(usize::MAX)]);
    world.invoke_well("r-1", 1);
    world.span("r-1");
    assert_eq!(world.collector.requests().len(), 2);
}

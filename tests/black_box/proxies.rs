//! Which requests go through a proxy, and how: every cell of the table is right, or a line says why not.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use prost::Message;
use tests::otlp::{Ids, traces};
use tests::platform::{Invoke, Platform, Script};

use super::world::{LONG, protobuf, server_span};

/// A proxy that refuses everything; the first lines of what it is asked.
fn proxy() -> (String, mpsc::Receiver<String>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let port = listener.local_addr().expect("a bound port").port();
    let (asked, questions) = mpsc::channel();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let mut line = String::new();
            let mut reader = BufReader::new(stream);
            // A connection that is opened ahead asks nothing.
            if reader.read_line(&mut line).is_ok_and(|length| length > 0) {
                let _ = asked.send(line.trim_end().to_owned());
                let _ = reader.get_mut().write_all(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n");
            }
        }
    });
    (format!("http://127.0.0.1:{port}"), questions)
}

/// The first thing that a proxy in these variables is asked, if anything, and the problems that are logged.
fn asked(endpoint: &str, protocol: &str, variable: &str, excepted: &str) -> (Option<String>, usize) {
    let (proxy, questions) = proxy();
    let script = Script::new()
        .env("PREFREEZE_EXPORTER_OTLP_ENDPOINT", endpoint)
        .env("PREFREEZE_EXPORTER_OTLP_PROTOCOL", protocol)
        .env("PREFREEZE_FLUSH_TIMEOUT_MS", "300")
        .env("NO_PROXY", excepted)
        .env(variable, proxy);
    let platform = Platform::ready(&script);
    platform.answer_next(&Invoke::new("r-1", LONG));
    let request = traces([server_span("r-1", Ids::new(1), "r-1")]);
    assert_eq!(platform.post_otlp("/v1/traces", &request.encode_to_vec(), &protobuf()).status, 200);
    platform.wait_next();
    platform.shutdown(tests::platform::Reason::Spindown, Duration::from_millis(300));
    platform.wait_exit();
    let problems = platform.log("setting_ignored").len();
    let failed = platform.log("export_failed");
    let question = questions.try_recv().ok();
    let host = failed.first().and_then(|line| line["proxy"].as_str().map(str::to_owned));
    assert_eq!(host.is_some(), question.is_some(), "{variable} {endpoint}: {failed:?}");
    (question, problems)
}

#[test]
fn every_way_through_a_proxy_is_right_or_said() {
    const POST: &str = "POST http://backend.invalid/v1/traces HTTP/1.1";
    const CONNECT: &str = "CONNECT backend.invalid:443 HTTP/1.1";
    let (http, https) = ("http://backend.invalid", "https://backend.invalid");
    let mapped = "http://[::ffff:127.0.0.1]:9";
    // The endpoint, the protocol, the variable, NO_PROXY, what the proxy is asked, and how many problems are logged.
    let rows = [
        (http, "http/protobuf", "HTTP_PROXY", "", Some(POST), 0),
        (http, "http/protobuf", "http_proxy", "", Some(POST), 0),
        (http, "http/protobuf", "ALL_PROXY", "", Some(POST), 0),
        (http, "http/protobuf", "HTTPS_PROXY", "", None, 0),
        (https, "http/protobuf", "HTTPS_PROXY", "", Some(CONNECT), 0),
        (https, "http/protobuf", "https_proxy", "", Some(CONNECT), 0),
        (https, "http/protobuf", "ALL_PROXY", "", Some(CONNECT), 0),
        (https, "http/protobuf", "HTTP_PROXY", "", None, 0),
        (https, "grpc", "HTTPS_PROXY", "", Some(CONNECT), 0),
        (https, "grpc", "ALL_PROXY", "", Some(CONNECT), 0),
        (http, "grpc", "HTTP_PROXY", "", None, 1),
        (http, "grpc", "ALL_PROXY", "", None, 1),
        (http, "grpc", "HTTPS_PROXY", "", None, 0),
        (http, "grpc", "HTTP_PROXY", "backend.invalid", None, 0),
        (http, "http/protobuf", "HTTP_PROXY", "backend.invalid", None, 0),
        (https, "http/protobuf", "HTTPS_PROXY", ".invalid", None, 0),
        (https, "http/protobuf", "ALL_PROXY", "*", None, 0),
        (https, "http/protobuf", "HTTPS_PROXY", "other.invalid", Some(CONNECT), 0),
        ("http://127.0.0.1:9", "http/protobuf", "HTTP_PROXY", "", None, 0),
        ("http://localhost:9", "http/protobuf", "ALL_PROXY", "", None, 0),
        ("https://[::1]:9", "grpc", "HTTPS_PROXY", "", None, 0),
        (
            mapped,
            "http/protobuf",
            "HTTP_PROXY",
            "",
            Some("POST http://[::ffff:7f00:1]:9/v1/traces HTTP/1.1"),
            0,
        ),
    ];
    for rows in rows.chunks(6) {
        thread::scope(|scope| {
            for (endpoint, protocol, variable, excepted, question, problems) in rows {
                scope.spawn(move || {
                    let seen = asked(endpoint, protocol, variable, excepted);
                    let expected = (question.map(str::to_owned), *problems);
                    assert_eq!(seen, expected, "{variable} {endpoint} {protocol} {excepted}");
                });
            }
        });
    }
}

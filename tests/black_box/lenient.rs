//! Requests of SDKs that are a little wrong are taken by their intent; what is refused is logged once for each kind.

use std::io::{Read, Write};
use std::net::ToSocketAddrs;

use flate2::Compression;
use prost::Message;
use tests::http1::Headers;
use tests::otlp::{Ids, traces};
use tests::platform::Script;

use super::world::{World, protobuf, server_span};

fn request(seed: u64) -> Vec<u8> {
    let id = format!("r-{seed}");
    traces([server_span(&id, Ids::new(seed), &id)]).encode_to_vec()
}

/// The same in OTLP/JSON, under its original field names.
fn json(seed: u64) -> Vec<u8> {
    let ids = Ids::new(seed);
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    format!(
        r#" {{"resource_spans":[{{"scope_spans":[{{"spans":[{{"trace_id":"{}","span_id":"{}","name":"r-{seed}","start_time_unix_nano":"1","end_time_unix_nano":"2"}}]}}]}}]}}"#,
        hex(&ids.trace),
        hex(&ids.span)
    )
    .into_bytes()
}

fn raw_deflate(body: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::DeflateEncoder::new(Vec::new(), Compression::fast());
    packer.write_all(body).expect("memory takes it");
    packer.finish().expect("memory takes it")
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), Compression::fast());
    packer.write_all(body).expect("memory takes it");
    packer.finish().expect("memory takes it")
}

#[test]
fn a_request_whose_intent_is_plain_is_taken() {
    type Pack = fn(u64) -> Vec<u8>;
    /// A path, what makes the body, and a header.
    type Row = (&'static str, Pack, Option<(&'static str, &'static str)>);
    let plain: Pack = request;
    let rows: [Row; 15] = [
        ("/v1/traces", plain, Some(("Content-Type", "application/x-protobuf"))),
        ("/v1/traces/", plain, Some(("Content-Type", "application/x-protobuf"))),
        ("//v1/traces", plain, Some(("Content-Type", "application/x-protobuf"))),
        ("/v1/traces/v1/traces", plain, Some(("Content-Type", "application/x-protobuf"))),
        ("/otlp/v1/traces", plain, Some(("Content-Type", "application/x-protobuf"))),
        ("/v1/traces", plain, Some(("Content-Type", "application/protobuf"))),
        ("/v1/traces", plain, Some(("Content-Type", "application/octet-stream"))),
        ("/v1/traces", plain, None),
        ("/v1/traces", json, None),
        ("/v1/traces", json, Some(("Content-Type", "text/plain;charset=UTF-8"))),
        ("/v1/traces", json, Some(("Content-Type", "text/json"))),
        ("/v1/traces", json, Some(("Content-Type", "application/json"))),
        ("/v1/traces", |seed| gzip(&json(seed)), Some(("Content-Encoding", "gzip"))),
        ("/v1/traces", |seed| gzip(&request(seed)), Some(("Content-Encoding", "x-gzip"))),
        ("/v1/traces", |seed| raw_deflate(&request(seed)), Some(("Content-Encoding", "deflate"))),
    ];
    let world = World::start();
    for (seed, (path, body, headers)) in (1..).zip(rows) {
        let headers = headers.map_or_else(Headers::default, |header| Headers::from([header]));
        let response = world.platform.post_otlp(path, &body(seed), &headers);
        assert_eq!(response.status, 200, "{path} {headers:?}");
    }
    assert_eq!(world.close().count("exported"), rows.len() as u64);
    assert!(world.platform.log("request_refused").is_empty());
}

/// Some runtimes try IPv6 first for `localhost`.
#[test]
fn the_receiver_listens_on_the_loopback_interface_in_both_versions_of_ip() {
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        println!("skipped: there is no IPv6 here");
        return;
    }
    let world = World::start();
    for port in [world.platform.receiver().port(), world.platform.grpc_receiver().port()] {
        let address = std::net::SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, port));
        let response = tests::http1::send(address, "POST", "/v1/traces", &protobuf(), &request(1));
        assert_eq!(response.expect("an answer").status, 200);
    }
    assert_eq!(world.close().count("received"), 2);
}

#[test]
fn a_request_that_is_refused_is_logged_once_for_each_kind_and_counted() {
    let with = |name, value| Headers::from([(name, value)]);
    let rows = [
        ("/", protobuf(), 404),
        ("/v1/spans", protobuf(), 404),
        ("/v1/traces", with("Content-Type", "application/xml"), 415),
        ("/v1/traces", with("Content-Encoding", "br"), 415),
        ("/v1/traces", protobuf(), 400),
    ];
    let world = World::start();
    for _ in 0..5 {
        for (path, headers, status) in &rows {
            assert_eq!(world.platform.post_otlp(path, b"\xff\xff", headers).status, *status, "{path}");
        }
    }
    // A span without an id: the request is accepted without it.
    let mut span = server_span("r-1", Ids::new(1), "r-1");
    span.span_id.clear();
    let bare = traces([span]).encode_to_vec();
    for _ in 0..3 {
        assert_eq!(world.platform.post_otlp("/v1/traces", &bare, &protobuf()).status, 200);
    }
    world.close();
    let lines = world.platform.log("request_refused");
    let statuses: Vec<_> = lines.iter().map(|line| line["status"].as_u64().unwrap_or_default()).collect();
    assert_eq!(statuses, [404, 415, 415, 400], "{lines:?}");
    assert_eq!((&lines[0]["path"], &lines[1]["content_type"]), (&"/".into(), &"application/xml".into()));
    assert_eq!(world.platform.log("items_refused").len(), 1);
    let refused = &world.platform.log("refusals")[0]["refused"];
    let counts: u64 =
        refused.as_array().into_iter().flatten().filter_map(|kind| kind["count"].as_u64()).sum();
    assert_eq!(counts, 5 * 5 + 3, "{refused}");
}

/// JSON in which nothing is where OTLP has it: what is answered 200 would be lost without a word.
#[test]
fn json_of_which_nothing_can_be_read_is_refused() {
    let span = r#"{"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174","name":"a"}"#;
    let metric = r#"{"name":"m","gauge":{"dataPoints":[{"asInt":"1"}]}}"#;
    let rows = [
        (
            "/v1/traces",
            format!(r#"{{"data":{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{span}]}}]}}]}}}}"#),
        ),
        ("/v1/traces", format!(r#"{{"spans":[{span}]}}"#)),
        ("/v1/traces", format!(r#"{{"ResourceSpans":[{{"ScopeSpans":[{{"Spans":[{span}]}}]}}]}}"#)),
        ("/v1/traces", format!(r#"{{"resourceSpans":[{{"scope":{{}},"spans":[{span}]}}]}}"#)),
        ("/v1/metrics", format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{span}]}}]}}]}}"#)),
        ("/v1/traces", format!(r#"{{"resourceMetrics":[{{"scopeMetrics":[{{"metrics":[{metric}]}}]}}]}}"#)),
        ("/v1/logs", format!(r#"{{"resourceLogs":[{{"scopeLogs":[{{"spans":[{span}]}}]}}]}}"#)),
    ];
    let json = Headers::from([("Content-Type", "application/json")]);
    for (path, body) in rows {
        let world = World::start();
        assert_eq!(world.platform.post_otlp(path, body.as_bytes(), &json).status, 400, "{body}");
        world.close();
        assert_eq!(world.platform.log("request_refused").len(), 1, "{body}");
    }
    // Nothing is lost of these.
    let world = World::start();
    let resource = r#"{"resourceSpans":[{"resource":{"entities":[1]},"scopeSpans":[]}]}"#;
    for body in ["{}", r#"{"resourceSpans":[]}"#, r#"{"resourceSpans":null}"#, resource] {
        assert_eq!(world.platform.post_otlp("/v1/traces", body.as_bytes(), &json).status, 200, "{body}");
    }
    let marked = ["\u{feff}".as_bytes(), &self::json(1)].concat();
    for headers in [json, Headers::default()] {
        assert_eq!(world.platform.post_otlp("/v1/traces", &marked, &headers).status, 200, "{headers:?}");
    }
    assert_eq!(world.close().count("received"), 2);
    assert!(world.platform.log("request_refused").is_empty());
}

/// Sends these bytes and gives back what is answered, if anything.
fn converse(address: std::net::SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = std::net::TcpStream::connect(address).expect("it listens");
    let mut answer = Vec::new();
    // It may be closed before all of it is written.
    let _ = stream.write_all(bytes).and_then(|()| stream.read_to_end(&mut answer));
    answer
}

/// An exporter for gRPC that is not told to be insecure begins with TLS, and is nowhere seen but in the function's own log.
#[test]
fn a_connection_that_never_comes_to_a_request_is_logged_once() {
    let hello = [&[0x16, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3][..], &[7; 194]].concat();
    let long = format!("POST /v1/traces HTTP/1.1\r\nHost: a\r\nX-Long: {}\r\n\r\n", "a".repeat(300_000));
    let world = World::start();
    let ports = [world.platform.receiver(), world.platform.grpc_receiver()];
    for (port, bytes) in
        ports.into_iter().cycle().zip([&hello[..], &hello, long.as_bytes(), b"\x80\x01\0\x01", b""])
    {
        if bytes.is_empty() {
            // Somebody looks whether the port is open.
            drop(std::net::TcpStream::connect(port).expect("it listens"));
        } else {
            converse(port, bytes);
        }
    }
    world.close();
    let lines = world.platform.log("request_refused");
    let statuses: Vec<_> = lines.iter().map(|line| line["status"].as_u64().unwrap_or_default()).collect();
    assert_eq!(statuses, [400, 431], "{lines:?}");
    assert!(lines[0]["reason"].as_str().is_some_and(|reason| reason.contains("TLS")), "{lines:?}");
    let counts = &world.platform.log("refusals")[0]["refused"];
    assert_eq!((&counts[0]["count"], &counts[1]["count"]), (&3.into(), &1.into()), "{counts}");
}

/// A health check brings no telemetry: none is lost, and the first that really is must be logged.
#[test]
fn what_asks_and_brings_nothing_is_no_loss() {
    let world = World::start();
    let grpc = Headers::from([("Content-Type", "application/grpc")]);
    let refused = |path: &str| {
        let answer = world.platform.post_otlp(path, &[0; 5], &grpc);
        assert_eq!(answer.headers.get("grpc-status"), Some("12"), "{path}");
    };
    refused("/grpc.health.v1.Health/Check");
    refused("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo");
    refused("/jaeger.api_v2.SamplingManager/GetSamplingStrategy");
    refused("/jaeger.api_v2.CollectorService/PostSpans");
    world.close();
    let refused = &world.platform.log("refusals")[0]["refused"];
    assert_eq!(
        (world.platform.log("request_refused").len(), &refused[0]["count"]),
        (1, &1.into()),
        "{refused}"
    );
}

/// Names of this machine that a list of spellings does not have.
#[test]
fn data_does_not_go_round_in_a_circle_whatever_our_address_is_called() {
    let hosts = ["127.0.0.1", "127.1", "0", "LOCALHOST", "[::ffff:127.0.0.1]", "2130706433"];
    for protocol in ["http/protobuf", "grpc"] {
        for host in hosts {
            if (host.trim_matches(['[', ']']), 1).to_socket_addrs().is_err() {
                // The resolver here does not know this spelling.
                continue;
            }
            let script = Script::new();
            let port = script.receiver().port();
            let endpoint = format!("http://{host}:{port}");
            let script = script
                .env("PREFREEZE_EXPORTER_OTLP_ENDPOINT", endpoint)
                .env("PREFREEZE_EXPORTER_OTLP_PROTOCOL", protocol);
            let platform = tests::platform::Platform::ready(&script);
            for request_id in ["r-1", "r-2", "r-3"] {
                platform.answer_next(&tests::platform::Invoke::new(request_id, super::world::LONG));
                let span = server_span(request_id, Ids::new(7), request_id);
                let body = traces([span]).encode_to_vec();
                assert_eq!(platform.post_otlp("/v1/traces", &body, &protobuf()).status, 200);
                platform.wait_next();
            }
            platform.spin_down();
            let summary = platform.log("summary").remove(0);
            assert_eq!(
                (&summary["received"], &summary["exported"]),
                (&3.into(), &0.into()),
                "{host}: {summary}"
            );
            let circle = "data would go round in a circle";
            let said = platform.stdout().iter().filter(|line| line.contains(circle)).count();
            assert_eq!(said, 1, "{host} {protocol}: {:?}", platform.stdout());
        }
    }
}

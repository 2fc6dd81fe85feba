//! Requests of SDKs that are a little wrong are taken by their intent; what is refused is logged once for each kind.

use std::io::Write;
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

//! What must not leave does not: not in a request, not on disk, not in a log line; and what looks alike stays.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList,
};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, metric,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{Span, Status};
use prost::Message;
use tests::collector::Collector;
use tests::http1::Headers;
use tests::metrics::Points;
use tests::otlp::{self, Ids, SpanExt, text, traces_of};
use tests::platform::events::{event, now_unix_ms, runtime_done};
use tests::platform::{Platform, Reason, Script};

use super::world::{World, server_span, span};

/// Spans in the large test, and in each of its requests.
const SPANS: usize = 10_000;
const SPANS_OF_REQUEST: usize = 250;
const REQUESTS_WHILE_DOWN: usize = 4;

/// Values that no byte that leaves may hold, one line for each kind.
const PLANTED: [&[&str]; 6] = [
    &[
        "4111111111111111",
        "5555555555554444",
        "378282246310005",
        "4111 1111 1111 1111",
        "6011-1111-1111-1117",
    ],
    &["234123412346", "2341 2341 2346"],
    &["ABCPE1234F", "AAACB5678K"],
    &["jane.doe@okaxis", "9876543210@ybl", "shop%40paytm"],
    &[
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P",
        "AKIAIOSFODNN7EXAMPLE",
        "ghp_0123456789abcdefghijklmnopqrstuvwxyz",
    ],
    &["jane.doe@example.com", "j.d+news@shop.example.co.in"],
];
/// The card as a number, as OTLP encodes it: a varint, and a double.
const NUMBER: i64 = 4_111_111_111_111_111;

/// What looks like one of them and is none.
const LOOK_ALIKES: [&str; 12] = [
    "4111111111111112",
    "1795334309858",
    "1795334309858000000",
    "4bf92f3577b34da6a3ce929d0e0e4736",
    "550e8400-e29b-41d4-a716-446655440000",
    "d41d8cd98f00b204e9800998ecf8427e",
    "order 2026-11-22/0000017",
    "v1.27.0-rc.3",
    "10.240.117.203",
    "INR 1,24,999.00",
    "react@18.2.0",
    "234123412347",
];

/// A planted value, as a text has it.
fn planted(index: usize) -> &'static str {
    let kind = PLANTED[index % PLANTED.len()];
    kind[index / PLANTED.len() % kind.len()]
}

fn any(value: Any) -> AnyValue {
    AnyValue { value: Some(value) }
}

fn pair(key: &str, value: Any) -> KeyValue {
    KeyValue { key: key.into(), value: Some(any(value)), ..KeyValue::default() }
}

/// Attributes that hold planted values in every way an attribute can.
fn attributes(index: usize) -> Vec<KeyValue> {
    let value = |offset: usize| planted(index + offset).to_owned();
    let inner = |offset| any(Any::StringValue(value(offset)));
    vec![
        text("payment.note", &format!("from {} to {}", value(0), value(1))),
        text("http.route", "/payments/{id}"),
        pair("payment.number", Any::IntValue(NUMBER)),
        pair("payment.float", Any::DoubleValue(NUMBER as f64)),
        pair("payment.bytes", Any::BytesValue(value(2).into_bytes())),
        pair("payment.list", Any::ArrayValue(ArrayValue { values: vec![inner(3), inner(4)] })),
        pair(
            "payment.map",
            Any::KvlistValue(KeyValueList { values: vec![text("deep", &value(5)), text(&value(0), "key")] }),
        ),
        text("look.alike", LOOK_ALIKES[index % LOOK_ALIKES.len()]),
    ]
}

fn resource(index: usize) -> Resource {
    let mut attributes = attributes(index);
    attributes.push(text("service.name", "orders"));
    Resource { attributes, ..Resource::default() }
}

fn scope(index: usize) -> InstrumentationScope {
    InstrumentationScope { name: planted(index).into(), attributes: attributes(index), ..Default::default() }
}

fn planted_span(index: usize, ids: Ids) -> Span {
    let mut span = span(&format!("pay {}", planted(index)), ids)
        .with_status(StatusCode::Error, &format!("declined for {}", planted(index + 1)));
    span.attributes = attributes(index);
    span.events =
        vec![Event { name: planted(index + 2).into(), attributes: attributes(index), ..Event::default() }];
    span.links = vec![Link {
        trace_id: vec![7; 16],
        span_id: vec![7; 8],
        attributes: attributes(index),
        trace_state: format!("ot=th:c,app={}", planted(index + 3)),
        ..Link::default()
    }];
    span.trace_state = format!("app={},ot=th:c", planted(index + 4));
    span
}

fn planted_logs() -> ExportLogsServiceRequest {
    let record = |index: usize| LogRecord {
        severity_text: planted(index).into(),
        body: Some(match index % 2 {
            0 => any(Any::StringValue(format!("payment by {}", planted(index)))),
            _ => any(Any::KvlistValue(KeyValueList { values: attributes(index) })),
        }),
        attributes: attributes(index),
        ..LogRecord::default()
    };
    let scope_logs = ScopeLogs {
        scope: Some(scope(3)),
        log_records: (0..60).map(record).collect(),
        ..ScopeLogs::default()
    };
    let group =
        ResourceLogs { resource: Some(resource(1)), scope_logs: vec![scope_logs], ..ResourceLogs::default() };
    ExportLogsServiceRequest { resource_logs: vec![group] }
}

fn planted_metrics() -> ExportMetricsServiceRequest {
    let point = |index: usize| NumberDataPoint {
        attributes: attributes(index),
        exemplars: vec![Exemplar { filtered_attributes: attributes(index), ..Exemplar::default() }],
        ..NumberDataPoint::default()
    };
    let gauge = Gauge { data_points: (0..60).map(point).collect() };
    let metric = Metric {
        name: "payments".into(),
        description: planted(0).into(),
        data: Some(metric::Data::Gauge(gauge)),
        ..Metric::default()
    };
    let scope_metrics =
        ScopeMetrics { scope: Some(scope(5)), metrics: vec![metric], ..ScopeMetrics::default() };
    let group = ResourceMetrics {
        resource: Some(resource(2)),
        scope_metrics: vec![scope_metrics],
        ..Default::default()
    };
    ExportMetricsServiceRequest { resource_metrics: vec![group] }
}

/// The planted values that `bytes` hold.
fn found_in(bytes: &[u8]) -> BTreeSet<String> {
    let mut needles: Vec<Vec<u8>> =
        PLANTED.iter().flat_map(|kind| *kind).map(|text| text.as_bytes().to_vec()).collect();
    needles.push(any(Any::IntValue(NUMBER)).encode_to_vec());
    needles.push(any(Any::DoubleValue(NUMBER as f64)).encode_to_vec());
    let mut begins = vec![Vec::new(); 1 << 16];
    let begin = |bytes: &[u8]| usize::from(bytes[0]) << 8 | usize::from(bytes[1]);
    for needle in &needles {
        begins[begin(needle)].push(needle);
    }
    let mut found = BTreeSet::new();
    for (at, two) in bytes.windows(2).enumerate() {
        for needle in begins[begin(two)].iter().filter(|needle| bytes[at..].starts_with(needle)) {
            found.insert(String::from_utf8_lossy(needle).into_owned());
        }
    }
    found
}

fn files(folder: &Path) -> Vec<Vec<u8>> {
    let listed = fs::read_dir(folder.join("prefreeze")).expect("the spool's folder is there");
    listed.map(|file| fs::read(file.expect("listed").path()).expect("readable")).collect()
}

#[test]
fn none_of_ten_thousand_spans_betrays_what_was_planted() {
    let collector = Collector::start();
    let script = Script::new()
        .env("PREFREEZE_EXPORTER_OTLP_ENDPOINT", collector.endpoint())
        .env("PREFREEZE_REDACT", r#"["all"]"#)
        .env("PREFREEZE_BUFFER_BYTES", "268435456")
        .env("PREFREEZE_SPOOL_MAX_BYTES", "1073741824");
    let world = World { platform: Platform::ready(&script), collector };
    let root = Ids::new(1);
    let send = |request: usize| {
        let first = request * SPANS_OF_REQUEST;
        let spans = (first..first + SPANS_OF_REQUEST)
            .map(|index| planted_span(index, root.sibling(1 + index as u64)));
        let mut sent = traces_of(resource(request), spans);
        sent.resource_spans[0].scope_spans[0].scope = Some(scope(request));
        world.post_traces(&sent);
    };
    // The backend is down: what was accepted is on disk.
    world.collector.stop();
    world.invoke("r-1");
    (0..REQUESTS_WHILE_DOWN).for_each(send);
    assert_eq!(world.post("/v1/logs", &planted_logs().encode_to_vec()).status, 200);
    assert_eq!(world.post("/v1/metrics", &planted_metrics().encode_to_vec()).status, 200);
    let on_disk = files(script.scratch());
    let size: usize = on_disk.iter().map(Vec::len).sum();
    assert!(
        size > REQUESTS_WHILE_DOWN * SPANS_OF_REQUEST * 500,
        "what was accepted is on disk: {size} bytes"
    );
    for file in &on_disk {
        assert_eq!(found_in(file), BTreeSet::new(), "on disk");
    }
    world.collector.resume();
    world.post_spans([server_span("r-1", root, "r-1")]);
    world.platform.wait_next();
    for request in REQUESTS_WHILE_DOWN..SPANS / SPANS_OF_REQUEST {
        let request_id = format!("r-{request}");
        world.invoke(&request_id);
        send(request);
        world.post_spans([server_span(&request_id, root.sibling(u64::MAX - request as u64), &request_id)]);
        world.platform.wait_next();
    }
    let summary = world.close();
    assert_eq!((summary.dropped(), summary.count("held")), (0, 0), "{}", summary.0);
    let requests = world.collector.requests();
    for request in &requests {
        assert_eq!(
            found_in(request.plain.as_ref().expect("it unpacks")),
            BTreeSet::new(),
            "{}",
            request.path
        );
    }
    for path in ["/v1/traces", "/v1/logs", "/v1/metrics"] {
        assert!(requests.iter().any(|request| request.path == path && request.is_taken()), "{path}");
    }
    let spans = world.collector.spans();
    let pays = spans.iter().filter(|seen| seen.span.name.starts_with("pay "));
    assert_eq!(pays.clone().count(), SPANS, "every span arrives");
    for seen in pays {
        let alike = tests::collector::attribute_text(&seen.span.attributes, "look.alike");
        assert!(alike.is_some_and(|text| LOOK_ALIKES.contains(&text)), "{alike:?} is no look-alike any more");
    }
    let said: Vec<String> = world.platform.state().lines.into_iter().map(|line| line.text).collect();
    assert_eq!(found_in(said.join("\n").as_bytes()), BTreeSet::new(), "in the log");
    let counts = &world.platform.log("guarded")[0]["redacted"];
    for kind in ["cards", "aadhaar", "pan", "upi", "tokens", "emails"] {
        assert!(counts[kind].as_u64().is_some_and(|count| count > 1_000), "{counts}");
    }
}

/// What answers 200 to a request that was written by hand.
fn exchange(stream: &mut (impl Read + Write), head: &str, body: &[u8]) {
    stream.write_all(&[head.as_bytes(), body].concat()).expect("it reads");
    let mut answer = [0; 15];
    stream.read_exact(&mut answer).expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 200 OK");
}

/// A call over HTTP/2, by hand: preface, settings, head and message, and then all frames up to the trailers.
fn call(address: SocketAddr, message: &[u8]) {
    let frame = |kind: u8, flags: u8, stream: u32, content: &[u8]| {
        let length = u32::try_from(content.len()).expect("short").to_be_bytes();
        [&length[1..], &[kind, flags], &stream.to_be_bytes(), content].concat()
    };
    let headers = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/opentelemetry.proto.collector.trace.v1.TraceService/Export"),
        (":authority", "x"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ];
    let literal = |text: &str| [&[u8::try_from(text.len()).expect("short")], text.as_bytes()].concat();
    let head: Vec<u8> =
        headers.iter().flat_map(|(name, value)| [vec![0], literal(name), literal(value)].concat()).collect();
    let length = u32::try_from(message.len()).expect("short").to_be_bytes();
    let mut stream = TcpStream::connect(address).expect("it listens");
    let mut sent = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    sent.extend([frame(4, 0, 0, &[]), frame(1, 4, 1, &head)].concat());
    let framed = [&[0], &length[..], message].concat();
    let pieces = framed.chunks(16 << 10).count();
    for (index, piece) in framed.chunks(16 << 10).enumerate() {
        sent.extend(frame(0, u8::from(index + 1 == pieces), 1, piece));
    }
    stream.write_all(&sent).expect("it reads");
    loop {
        let mut frame = [0; 9];
        stream.read_exact(&mut frame).expect("a frame");
        let mut content = vec![0; usize::from(frame[1]) << 8 | usize::from(frame[2])];
        stream.read_exact(&mut content).expect("its content");
        // Trailers end the stream; a status other than 0 would be in them as text.
        if frame[3] == 1 && frame[4] & 1 == 1 {
            return;
        }
    }
}

/// One span with a planted value in each place that a span has, as JSON.
fn planted_json(ids: Ids) -> String {
    let hex = |id: &[u8]| id.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let sample = span("", ids);
    let value = |index: usize| serde_json::json!({ "stringValue": format!("of {}", planted(index)) });
    let pair = |index: usize| serde_json::json!({ "key": "note", "value": value(index) });
    let nested = serde_json::json!([
        pair(0),
        { "key": "list", "value": { "arrayValue": { "values": [value(1), { "kvlistValue": { "values": [pair(2)] } }] } } },
        { "key": "number", "value": { "intValue": NUMBER.to_string() } },
        { "key": "float", "value": { "doubleValue": NUMBER as f64 } },
        { "key": planted(3), "value": value(4) },
    ]);
    serde_json::json!({ "resourceSpans": [{
        "resource": { "attributes": nested },
        "scopeSpans": [{
            "scope": { "name": planted(5), "version": planted(0), "attributes": nested },
            "spans": [{
                "traceId": hex(&sample.trace_id), "spanId": hex(&sample.span_id), "name": format!("json {}", planted(1)),
                "traceState": format!("app={}", planted(2)), "kind": 3,
                "startTimeUnixNano": sample.start_time_unix_nano.to_string(),
                "endTimeUnixNano": sample.end_time_unix_nano.to_string(),
                "attributes": nested, "status": { "code": 2, "message": planted(3) },
                "events": [{ "name": planted(4), "attributes": nested }],
                "links": [{ "traceId": hex(&[7; 16]), "spanId": hex(&[7; 8]), "attributes": nested }],
            }],
        }],
    }] })
    .to_string()
}

fn packed<W: Write>(
    mut encoder: W,
    finish: impl FnOnce(W) -> std::io::Result<Vec<u8>>,
    body: &[u8],
) -> Vec<u8> {
    encoder.write_all(body).expect("memory");
    finish(encoder).expect("memory")
}

#[test]
fn no_way_in_goes_round_it() {
    let world = World::with(|script| {
        script.with_metrics().env("PREFREEZE_REDACT", r#"["all"]"#).env("PREFREEZE_LOGS", "all")
    });
    let scratch = world.platform.socket().parent().expect("a folder").to_owned();
    let root = Ids::new(7);
    let request = |index: usize| {
        let mut sent = traces_of(resource(index), [planted_span(index, root.sibling(10 + index as u64))]);
        sent.resource_spans[0].scope_spans[0].scope = Some(scope(index));
        sent.encode_to_vec()
    };
    world.collector.stop();
    world.invoke("r-1");
    let plain = Headers::from([("Content-Type", "application/json")]);
    let json = planted_json(root.sibling(1));
    assert_eq!(world.platform.post_otlp("/v1/traces", json.as_bytes(), &plain).status, 200);
    let gzip = packed(GzEncoder::new(Vec::new(), Compression::fast()), GzEncoder::finish, &request(1));
    let zlib = packed(ZlibEncoder::new(Vec::new(), Compression::fast()), ZlibEncoder::finish, &request(2));
    for (name, body) in [("gzip", gzip), ("deflate", zlib)] {
        let headers = Headers::from([("Content-Type", "application/x-protobuf"), ("Content-Encoding", name)]);
        assert_eq!(world.platform.post_otlp("/v1/traces", &body, &headers).status, 200, "{name}");
    }
    call(world.platform.grpc_receiver(), &request(3));
    let body = request(4);
    let head = format!(
        "POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    exchange(&mut UnixStream::connect(world.platform.socket()).expect("it listens"), &head, &body);
    // Begun, and never ended: the function dies.
    assert_eq!(world.post("/v1/started", &request(5)).status, 200);
    world.platform.post_telemetry(&[event(now_unix_ms(), "function", &planted(0).into())]);
    for file in &files(&scratch) {
        assert_eq!(found_in(file), BTreeSet::new(), "on disk");
    }
    world.collector.resume();
    world.platform.post_telemetry(&[runtime_done(now_unix_ms(), "r-1", "timeout", 60_000.0)]);
    world.platform.shutdown(Reason::Timeout, Duration::from_secs(2));
    world.platform.wait_exit();
    world.summary();
    let names = world.names();
    assert_eq!(names.iter().filter(|name| name.starts_with("pay ")).count(), 5, "{names:?}");
    assert_eq!(names.iter().filter(|name| name.starts_with("json ")).count(), 1, "{names:?}");
    let spans = world.collector.spans();
    let closed = spans.iter().filter(|seen| seen.attribute("prefreeze.unfinished").is_some()).count();
    assert_eq!(closed, 1, "what was announced is closed: {names:?}");
    let points = Points::of(&world.collector);
    let line = &world.platform.log("guarded")[0]["redacted"];
    for rule in ["cards", "aadhaar", "pan", "upi", "tokens", "emails"] {
        let told = points.sum_where("prefreeze.guard.redactions", |seen| seen.text("rule") == Some(rule));
        assert_eq!(Some(told as u64), line[rule].as_u64(), "{rule}: {line}");
    }
    for request in world.collector.requests() {
        let plain = request.plain.as_ref().expect("it unpacks");
        assert_eq!(found_in(plain), BTreeSet::new(), "{}", request.path);
    }
    let said: Vec<String> = world.platform.state().lines.into_iter().map(|line| line.text).collect();
    assert_eq!(found_in(said.join("\n").as_bytes()), BTreeSet::new(), "in the log");
}

#[test]
fn without_a_rule_a_span_arrives_as_it_was_sent() {
    let world = World::start();
    world.invoke("r-1");
    world.post_spans([planted_span(0, Ids::new(2)), server_span("r-1", Ids::new(1), "r-1")]);
    world.platform.wait_next();
    let sent = planted_span(0, Ids::new(2));
    let got = world.span(&sent.name).span;
    assert_eq!((&got.attributes, &got.events, &got.links), (&sent.attributes, &sent.events, &sent.links));
    world.close();
    assert_eq!(world.platform.log("guarded").len(), 0);
}

#[test]
fn a_bad_rule_is_named_by_its_place_and_the_others_hold() {
    let rules = r#"["cards", "crads", {"value":"(","action":"mask"}, {"name":"order","value":"ORD-[0-9]+"}]"#;
    let world = World::with(|script| script.env("PREFREEZE_REDACT", rules));
    world.invoke("r-1");
    world.post_spans([server_span("r-1", Ids::new(1), "r-1").with_text("note", "ORD-77 4111111111111111")]);
    world.platform.wait_next();
    let span = world.span("r-1").span;
    assert_eq!(tests::collector::attribute_text(&span.attributes, "note"), Some("****** 411111******1111"));
    let said: Vec<String> =
        world.platform.log("setting_ignored").iter().map(|line| line["error"].to_string()).collect();
    assert!(said[0].contains("PREFREEZE_REDACT: rule 2: ") && said[1].contains("rule 3: "), "{said:?}");
    world.close();
}

#[test]
fn rules_that_cannot_be_read_hide_everything() {
    for (name, value) in [("PREFREEZE_REDACT", "cards"), ("PREFREEZE_REDACT_FILE", "/no/such/file")] {
        let world = World::with(|script| script.env(name, value));
        world.invoke("r-1");
        world.post_spans([server_span("r-1", Ids::new(1), "r-1").with_text("note", "4111111111111111")]);
        world.platform.wait_next();
        let span = world.span("r-1").span;
        assert_eq!(
            tests::collector::attribute_text(&span.attributes, "note"),
            Some("411111******1111"),
            "{name}"
        );
        assert_eq!(world.platform.log("setting_ignored").len(), 1, "{name}");
        world.close();
    }
}

#[test]
fn rules_may_stand_in_a_file() {
    let world = World::with(|script| {
        let path = script.scratch().join("redact.json");
        fs::write(&path, r#"["emails"]"#).expect("the folder is ours");
        script.env("PREFREEZE_REDACT_FILE", path.to_str().expect("UTF-8"))
    });
    world.invoke("r-1");
    world.post_spans([server_span("r-1", Ids::new(1), "r-1").with_text("mail", "jane@example.com")]);
    world.platform.wait_next();
    let span = world.span("r-1").span;
    assert_eq!(tests::collector::attribute_text(&span.attributes, "mail"), Some("****@example.com"));
    world.close();
}

#[test]
fn a_request_that_cannot_be_read_is_refused_and_the_next_one_works() {
    let world = World::with(|script| script.env("PREFREEZE_REDACT", r#"["cards"]"#));
    world.invoke("r-1");
    let mut torn = otlp::traces([span("4111111111111111", Ids::new(3))]).encode_to_vec();
    torn.pop();
    assert_eq!(world.post("/v1/traces", &torn).status, 400);
    world.post_spans([server_span("r-1", Ids::new(1), "r-1")]);
    world.platform.wait_next();
    assert_eq!(world.close().count("exported"), 1, "of the torn request nothing was taken");
}

/// A request whose only span is these bytes.
fn request_of(span: &[u8]) -> Vec<u8> {
    let wrap = |number: u32, content: &[u8]| {
        let mut out = Vec::new();
        wire::proto::put_bytes(&mut out, number, content);
        out
    };
    wrap(1, &wrap(2, &wrap(2, span)))
}

#[test]
fn what_is_refused_and_what_is_not_searched_is_counted() {
    let world = World::with(|script| {
        script.with_metrics().env("PREFREEZE_METRICS_INTERVAL_MS", "0").env("PREFREEZE_REDACT", r#"["all"]"#)
    });
    world.invoke("r-1");
    // A field of a type that there is not: of this span nothing can be told.
    for _ in 0..2 {
        assert_eq!(world.post("/v1/traces", &request_of(&[0x0f])).status, 200);
    }
    // More text than is searched of one request.
    let status = Some(Status { code: 2, message: "no match ".repeat(600_000) });
    world.post_spans([Span { status, ..span("long", Ids::new(2)) }, server_span("r-1", Ids::new(1), "r-1")]);
    world.platform.wait_next();
    world.invoke_well("r-2", 3);
    world.close();
    let long = world.span("long").span.status.expect("it has one");
    assert_eq!(long.message, "[redacted]");
    let points = Points::of(&world.collector);
    let line = &world.platform.log("guarded")[0];
    for (change, field, expected) in
        [("item_refused", "items_refused", 2), ("value_unsearched", "values_unsearched", 1)]
    {
        let told = points.sum_where("prefreeze.guard.changes", |seen| seen.text("change") == Some(change));
        assert_eq!((told as u64, line[field].as_u64()), (expected, Some(expected)), "{change}: {line}");
    }
    for event in ["item_refused", "value_unsearched"] {
        assert_eq!(world.platform.log(event).len(), 1, "{event}: the first time is logged");
    }
}

#[test]
fn what_exceeds_a_limit_is_cut_or_left_out_and_said() {
    let world = World::start();
    world.invoke("r-1");
    let mut large = server_span("r-1", Ids::new(1), "r-1")
        .with_text("long", &"x".repeat(70_000))
        .with_text("exception.stacktrace", &"y".repeat(70_000));
    large.attributes.extend((0..200).map(|index| text(&format!("key{index}"), "value")));
    large.events =
        (0..130).map(|_| Event { time_unix_nano: 1, name: "e".into(), ..Event::default() }).collect();
    large.links =
        (0..140).map(|_| Link { trace_id: vec![7; 16], span_id: vec![7; 8], ..Link::default() }).collect();
    let mut huge = span("huge", Ids::new(2));
    huge.attributes = (0..40).map(|index| text(&format!("key{index}"), &"z".repeat(16_000))).collect();
    world.post_spans([huge, large]);
    world.platform.wait_next();
    let large = world.span("r-1").span;
    let length = |key| tests::collector::attribute_text(&large.attributes, key).map(str::len);
    assert_eq!((length("long"), length("exception.stacktrace")), (Some(65_536), Some(65_536)));
    assert_eq!((large.attributes.len(), large.dropped_attributes_count), (128, 75));
    assert_eq!((large.events.len(), large.dropped_events_count), (128, 2));
    assert_eq!((large.links.len(), large.dropped_links_count), (128, 12));
    let huge = world.span("huge").span;
    assert!(huge.encoded_len() <= 256 << 10 && huge.dropped_attributes_count > 20, "{}", huge.encoded_len());
    world.close();
    let said = &world.platform.log("guarded")[0];
    assert_eq!((said["values_cut"].as_u64(), said["items_too_large"].as_u64()), (Some(2), Some(1)), "{said}");
}

#[test]
fn what_comes_another_way_is_hidden_too() {
    let variables = "team=pay,contact=jane@example.com,db.password=hunter2,card.cvv=123";
    let world = World::with(|script| {
        script
            .env("PREFREEZE_REDACT", r#"["all"]"#)
            .env("OTEL_RESOURCE_ATTRIBUTES", variables)
            .env("OTEL_SERVICE_NAME", "of jane@example.com")
    });
    world.invoke("r-1");
    let mut done = runtime_done(now_unix_ms(), "r-1", "error", 12.5);
    done["record"]["errorType"] = "Declined.jane@example.com".into();
    world.platform.post_telemetry(&[done]);
    world.platform.wait_next();
    world.close();
    let seen = world.collector.spans();
    let resource = &seen[0].resource.attributes;
    let value = |key| tests::collector::attribute_text(resource, key);
    assert_eq!((value("team"), value("contact")), (Some("pay"), Some("****@example.com")));
    assert_eq!((value("db.password"), value("card.cvv")), (Some("[redacted]"), None));
    assert_eq!(value("service.name"), Some("of ****@example.com"));
    for request in world.collector.requests() {
        assert_eq!(
            found_in(request.plain.as_ref().expect("it unpacks")),
            BTreeSet::new(),
            "{}",
            request.path
        );
        let text = String::from_utf8_lossy(request.plain.as_ref().expect("it unpacks")).into_owned();
        assert!(!text.contains("jane"), "{text}");
    }
    assert!(seen.iter().any(|seen| {
        tests::collector::attribute_text(&seen.span.attributes, "error.type")
            .is_some_and(|class| class.contains("***"))
    }));
}

#[test]
fn lines_of_the_function_are_searched_like_its_telemetry() {
    let world =
        World::with(|script| script.env("PREFREEZE_REDACT", r#"["all"]"#).env("PREFREEZE_LOGS", "all"));
    world.invoke("r-1");
    let plain = format!("charged {} of {}", planted(0), planted(5));
    let object =
        serde_json::json!({"level": "info", "message": "paid", "note": planted(1), "password": "hunter2"});
    let lines =
        [serde_json::Value::from(plain), object].map(|record| event(now_unix_ms(), "function", &record));
    world.platform.post_telemetry(&lines);
    world.post_spans([server_span("r-1", Ids::new(1), "r-1")]);
    world.platform.wait_next();
    world.close();
    let requests = world.collector.requests();
    let logs: Vec<_> = requests.iter().filter(|request| request.path == "/v1/logs").collect();
    assert!(!logs.is_empty(), "the lines arrive");
    for request in logs {
        let plain = request.plain.as_ref().expect("it unpacks");
        assert_eq!(found_in(plain), BTreeSet::new());
        assert!(!String::from_utf8_lossy(plain).contains("hunter2"));
    }
}

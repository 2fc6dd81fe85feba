//! Export over gRPC, to a backend by grpcio: HTTP/2, framing and statuses that nobody here wrote.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics,
};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use rcgen::{CertificateParams, KeyPair};
use serde_json::Value;
use tests::http1::Headers;
use tests::otlp::{Ids, server_span, traces};
use tests::platform::{Invoke, Platform, Script};

use super::toolbox::{python, source};

/// A running backend; it ends with its standard input, which is closed when this is dropped.
struct Backend {
    process: Child,
    lines: BufReader<ChildStdout>,
    port: u16,
}

impl Backend {
    fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(python());
        command.arg(source("backend.py")).args(arguments).env("PYTHONDONTWRITEBYTECODE", "1");
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().expect("python starts");
        let mut lines = BufReader::new(process.stdout.take().expect("it is piped"));
        let mut first = String::new();
        lines.read_line(&mut first).expect("it says its port");
        let port = first.trim().parse().unwrap_or_else(|_| panic!("its first line is {first:?}"));
        Self { process, lines, port }
    }

    /// The extension that exports to it, with further settings.
    fn platform(&self, scheme: &str, shape: impl FnOnce(Script) -> Script) -> Platform {
        let endpoint = format!("{scheme}://localhost:{}", self.port);
        let script = Script::new()
            .env("PREFREEZE_EXPORTER_OTLP_ENDPOINT", endpoint)
            .env("PREFREEZE_EXPORTER_OTLP_PROTOCOL", "grpc");
        Platform::ready(&shape(script))
    }

    /// Ends it, and gives back what it has taken.
    fn end(mut self) -> Vec<Value> {
        drop(self.process.stdin.take());
        let lines = self.lines.by_ref().lines().map_while(Result::ok);
        let calls = lines.map(|line| serde_json::from_str(&line).expect("a line of JSON")).collect();
        self.process.wait().expect("it has ended");
        calls
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

fn post(platform: &Platform, path: &str, body: &[u8]) {
    let protobuf = Headers::from([("Content-Type", "application/x-protobuf")]);
    assert_eq!(platform.post_otlp(path, body, &protobuf).status, 200);
}

/// An invocation that sends these spans and then its own.
fn invoke(platform: &Platform, request_id: &str, seed: u64, more: impl IntoIterator<Item = Span>) {
    platform.answer_next(&Invoke::new(request_id, Duration::from_secs(600)));
    let own = server_span(request_id, Ids::new(seed), request_id);
    post(platform, "/v1/traces", &traces(more.into_iter().chain([own])).encode_to_vec());
    platform.wait_next();
}

/// SHUTDOWN, and the books.
fn close(platform: &Platform) -> Value {
    platform.spin_down();
    platform.log("summary").remove(0)
}

fn text(value: &str) -> Option<AnyValue> {
    Some(AnyValue { value: Some(any_value::Value::StringValue(value.to_owned())) })
}

fn metric(name: &str) -> Vec<u8> {
    let gauge = Gauge { data_points: vec![NumberDataPoint::default()] };
    let metric = Metric { name: name.to_owned(), data: Some(Data::Gauge(gauge)), ..Metric::default() };
    let scope = ScopeMetrics { metrics: vec![metric], ..ScopeMetrics::default() };
    let group = ResourceMetrics { scope_metrics: vec![scope], ..ResourceMetrics::default() };
    ExportMetricsServiceRequest { resource_metrics: vec![group] }.encode_to_vec()
}

fn log(words: &str) -> Vec<u8> {
    let record = LogRecord { body: text(words), ..LogRecord::default() };
    let scope = ScopeLogs { log_records: vec![record], ..ScopeLogs::default() };
    let group = ResourceLogs { scope_logs: vec![scope], ..ResourceLogs::default() };
    ExportLogsServiceRequest { resource_logs: vec![group] }.encode_to_vec()
}

#[test]
fn all_signals_go_out_with_headers_as_metadata() {
    let backend = Backend::start(&[]);
    let platform =
        backend.platform("http", |script| script.env("PREFREEZE_EXPORTER_OTLP_HEADERS", "x-api-key=a%20key"));
    post(&platform, "/v1/metrics", &metric("heat"));
    post(&platform, "/v1/logs", &log("warm"));
    invoke(&platform, "r-1", 1, []);
    assert_eq!(close(&platform)["exported"], 1);
    let mut calls = backend.end();
    calls.sort_by_key(|call| call["signal"].to_string());
    let seen: Vec<_> = calls.iter().map(|call| (&call["signal"], &call["names"][0])).collect();
    let expected =
        [("logs", "warm"), ("metrics", "heat"), ("trace", "r-1")].map(|(a, b)| (a.into(), b.into()));
    assert_eq!(seen, expected.each_ref().map(|(a, b)| (a, b)));
    for call in &calls {
        assert_eq!(call["metadata"]["x-api-key"], "a key");
        let agent = call["metadata"]["user-agent"].as_str();
        assert!(agent.is_some_and(|agent| agent.starts_with("prefreeze/")), "{agent:?}");
    }
}

#[test]
fn statuses_are_retried_or_not_as_the_specification_says() {
    // The status, whether the span is delivered, and how often it was sent.
    let rows = [
        ("UNAVAILABLE", 1, 2),
        ("DATA_LOSS", 1, 2),
        ("RESOURCE_EXHAUSTED+0.03", 1, 2),
        ("RESOURCE_EXHAUSTED", 0, 1),
        ("INVALID_ARGUMENT", 0, 1),
        // The key may be repaired meanwhile: it is kept, and asked again at the end.
        ("UNAUTHENTICATED", 1, 2),
        ("INTERNAL", 0, 1),
    ];
    for (status, delivered, calls) in rows {
        let backend = Backend::start(&[status]);
        let platform = backend.platform("http", |script| script);
        invoke(&platform, "r-1", 1, []);
        let summary = close(&platform);
        assert_eq!(summary["exported"], delivered, "{status}: {summary}");
        let dropped = if delivered == 0 { 1.into() } else { Value::Null };
        assert_eq!(summary["dropped"]["rejected"], dropped, "{status}: {summary}");
        assert_eq!(backend.end().len(), calls, "{status}");
    }
}

#[test]
fn a_partial_success_is_counted() {
    let backend = Backend::start(&["PARTIAL"]);
    let platform = backend.platform("http", |script| script);
    invoke(&platform, "r-1", 1, [tests::otlp::span("child", Ids::new(2))]);
    let summary = close(&platform);
    assert_eq!((&summary["exported"], &summary["dropped"]["partly_rejected"]), (&1.into(), &1.into()));
}

#[test]
fn what_is_too_long_for_the_backend_goes_in_pieces() {
    let backend = Backend::start(&["--longest", "20000"]);
    let platform = backend.platform("http", |script| script);
    let long = |seed| {
        let mut span = tests::otlp::span("long", Ids::new(seed));
        let value = text(&"x".repeat(5_000));
        span.attributes.push(KeyValue { key: "long".to_owned(), value, ..KeyValue::default() });
        span
    };
    invoke(&platform, "r-1", 1, (2..12).map(long));
    assert_eq!(close(&platform)["exported"], 11);
    let calls = backend.end();
    let names: usize = calls.iter().map(|call| call["names"].as_array().map_or(0, Vec::len)).sum();
    assert_eq!(names, 11);
    assert!(calls.len() >= 3, "{} calls", calls.len());
}

#[test]
fn a_backend_without_zstd_gets_gzip_at_once_and_from_then_on() {
    let backend = Backend::start(&[]);
    let platform =
        backend.platform("http", |script| script.env("PREFREEZE_EXPORTER_OTLP_COMPRESSION", "zstd"));
    for seed in 1..=3 {
        invoke(&platform, &format!("r-{seed}"), seed, []);
    }
    let summary = close(&platform);
    assert_eq!((&summary["exported"], &summary["exports"]), (&3.into(), &3.into()));
    assert_eq!(platform.log("export_rejected").len(), 0);
    assert_eq!(backend.end().len(), 3);
}

#[test]
fn a_backend_behind_tls_is_spoken_to() {
    let script = Script::new();
    let file = |name: &str| script.scratch().join(name);
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    let certificate = params.self_signed(&key).expect("a certificate");
    std::fs::write(file("certificate.pem"), certificate.pem()).expect("the folder is ours");
    std::fs::write(file("key.pem"), key.serialize_pem()).expect("the folder is ours");
    let paths = ["certificate.pem", "key.pem"].map(|name| file(name).to_string_lossy().into_owned());
    let backend = Backend::start(&["--tls", &paths[0], &paths[1]]);
    let platform = backend
        .platform("https", |script| script.env("PREFREEZE_EXPORTER_OTLP_CERTIFICATE", paths[0].clone()));
    for seed in 1..=2 {
        invoke(&platform, &format!("r-{seed}"), seed, []);
    }
    assert_eq!(close(&platform)["exported"], 2);
    assert_eq!(backend.end().len(), 2);
}

#[test]
fn a_backend_that_is_not_there_loses_nothing() {
    let platform = Platform::ready(
        &Script::new()
            .env("PREFREEZE_EXPORTER_OTLP_ENDPOINT", "http://localhost:9")
            .env("PREFREEZE_EXPORTER_OTLP_PROTOCOL", "grpc"),
    );
    invoke(&platform, "r-1", 1, []);
    let summary = close(&platform);
    assert_eq!((&summary["exported"], &summary["held"]), (&0.into(), &1.into()), "{summary}");
}

//! A real OpenTelemetry Collector between Prefreeze and the backend: whatever the connection, all that the function sent comes
//! through it as it was, and a Collector that is killed loses nothing.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::fs::{self, File};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::metrics::v1::Metric;
use prost::Message;
use serde_json::json;
use tests::collector::{Collector, Decoded};
use tests::http1::{Headers, Reserved};
use tests::otlp::{self, Ids, traces};
use tests::platform::{Invoke, Platform, Script};
use tests::tls::Papers;

use super::installed::program;
use super::samples;

const START_MAX: Duration = Duration::from_secs(30);
const MINUTE: Duration = Duration::from_secs(60);
/// How often it is killed, and how many spans come through it before that happens again.
const RESTARTS: usize = 5;
const SPANS_BETWEEN: usize = 10;
const INVOCATIONS_MAX: usize = 5_000;

/// What the Collector asks of its clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Security {
    None,
    Tls,
    MutualTls,
}

/// A Collector that hands on to `backend` before it answers, with nothing between that could be lost with it.
struct Pipeline {
    process: Child,
    http: Reserved,
    grpc: Reserved,
    security: Security,
    papers: Papers,
    settings: PathBuf,
}

impl Pipeline {
    /// Starts it; `None`, and a word about it, if it is not installed.
    fn start(backend: &Collector, security: Security) -> Option<Self> {
        let program = program("collector")?;
        let (http, grpc) = (Reserved::new(), Reserved::new());
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("foreign").join(http.address().to_string());
        fs::create_dir_all(&folder).expect("the target folder is ours");
        let papers = Papers::write(&folder);
        let settings = folder.join("collector.yaml");
        let text = settings_text([&http, &grpc], &backend.endpoint(), security, &papers);
        fs::write(&settings, text).expect("the folder is ours");
        let process = run(&program, &settings);
        let pipeline = Self { process, http, grpc, security, papers, settings };
        pipeline.wait();
        Some(pipeline)
    }

    fn wait(&self) {
        let until = Instant::now() + START_MAX;
        while [&self.http, &self.grpc].iter().any(|port| TcpStream::connect(port.address()).is_err()) {
            let log = || fs::read_to_string(self.settings.with_extension("log")).unwrap_or_default();
            assert!(Instant::now() < until, "the Collector does not listen: {}", log());
            sleep(Duration::from_millis(20));
        }
    }

    fn kill(&mut self) {
        self.process.kill().expect("it lives");
        self.process.wait().expect("it ends");
    }

    /// Starts it once more, on the same ports.
    fn restart(&mut self) {
        self.process = run(&program("collector").expect("it was there"), &self.settings);
        self.wait();
    }

    /// An extension that exports to it.
    fn before(&self, protocol: &str, compression: &str) -> Platform {
        let port = if protocol == "grpc" { &self.grpc } else { &self.http };
        let scheme = if self.security == Security::None { "http" } else { "https" };
        let endpoint = format!("{scheme}://localhost:{}", port.address().port());
        let Papers { authority, client, .. } = &self.papers;
        let mut script = Script::new()
            .env("PREFREEZE_EXPORTER_OTLP_ENDPOINT", endpoint)
            .env("PREFREEZE_EXPORTER_OTLP_PROTOCOL", protocol)
            .env("PREFREEZE_EXPORTER_OTLP_COMPRESSION", compression);
        if self.security != Security::None {
            script = script.env("PREFREEZE_EXPORTER_OTLP_CERTIFICATE", authority.to_string_lossy());
        }
        if self.security == Security::MutualTls {
            script = script
                .env("PREFREEZE_EXPORTER_OTLP_CLIENT_CERTIFICATE", client.0.to_string_lossy())
                .env("PREFREEZE_EXPORTER_OTLP_CLIENT_KEY", client.1.to_string_lossy());
        }
        Platform::ready(&script)
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
        self.settings.parent().map(fs::remove_dir_all);
    }
}

fn run(program: &Path, settings: &Path) -> Child {
    let mut command = Command::new(program);
    command.args(["--config", &format!("file:{}", settings.display())]);
    let log = File::create(settings.with_extension("log")).expect("the folder is ours");
    command.stdout(Stdio::null()).stderr(log).spawn().expect("it starts")
}

/// YAML, in its form of braces. Its exporter has no queue and does not try again: what it has taken, the backend has.
fn settings_text(ports: [&Reserved; 2], backend: &str, security: Security, papers: &Papers) -> String {
    let [http, grpc] = ports.map(|port| -> SocketAddr { port.address() });
    let (certificate, key) = (papers.server.0.display(), papers.server.1.display());
    let clients = match security {
        Security::MutualTls => format!(", client_ca_file: {}", papers.authority.display()),
        _ => String::new(),
    };
    let tls = match security {
        Security::None => String::new(),
        _ => format!(", tls: {{ cert_file: {certificate}, key_file: {key}{clients} }}"),
    };
    let pipes = ["traces", "metrics", "logs"]
        .map(|signal| format!("    {signal}: {{ receivers: [otlp], exporters: [otlp_http] }}\n"));
    format!(
        "receivers:\n  otlp:\n    protocols:\n      http: {{ endpoint: \"{http}\"{tls} }}\n      \
         grpc: {{ endpoint: \"{grpc}\"{tls} }}\n\
         exporters:\n  otlp_http:\n    endpoint: {backend}\n    sending_queue: {{ enabled: false }}\n    \
         retry_on_failure: {{ enabled: false }}\n\
         service:\n  telemetry: {{ metrics: {{ level: none }} }}\n  pipelines:\n{}",
        pipes.concat()
    )
}

fn post(platform: &Platform, path: &str, body: &[u8]) {
    let answer = platform.post_otlp(path, body, &Headers::from([("Content-Type", "application/x-protobuf")]));
    assert_eq!((answer.status, answer.body), (200, Vec::new()), "{path}");
}

/// One SERVER span under this name ends the invocation.
fn invoke(platform: &Platform, request_id: &str, seed: u64) {
    platform.answer_next(&Invoke::new(request_id, MINUTE));
    let server = otlp::server_span(request_id, Ids::new(seed), request_id);
    post(platform, "/v1/traces", &traces([server]).encode_to_vec());
    platform.wait_next();
}

/// The metrics that the backend has.
fn metrics_at(backend: &Collector) -> Vec<Metric> {
    let metrics = |request: tests::collector::Request| match request.decoded {
        Decoded::Metrics(metrics) => metrics.resource_metrics,
        _ => Vec::new(),
    };
    let groups = backend.requests().into_iter().flat_map(metrics);
    groups.flat_map(|group| group.scope_metrics).flat_map(|scope| scope.metrics).collect()
}

/// The log records that the backend has.
fn records_at(backend: &Collector) -> Vec<LogRecord> {
    let logs = |request: tests::collector::Request| match request.decoded {
        Decoded::Logs(logs) => logs.resource_logs,
        _ => Vec::new(),
    };
    let groups = backend.requests().into_iter().flat_map(logs);
    groups.flat_map(|group| group.scope_logs).flat_map(|scope| scope.log_records).collect()
}

/// `sent` is among what was taken, as it was.
#[track_caller]
fn assert_among<Part: PartialEq + Debug>(taken: &[Part], sent: &Part, way: &str) {
    assert!(taken.contains(sent), "{way}: {sent:#?} has become {taken:#?}");
}

#[test]
fn everything_comes_through_a_collector_as_it_was_sent() {
    let rows = [
        ("http/protobuf", "none", Security::None),
        ("http/protobuf", "gzip", Security::None),
        ("http/protobuf", "zstd", Security::None),
        ("grpc", "none", Security::None),
        ("grpc", "gzip", Security::None),
        ("grpc", "zstd", Security::None),
        ("http/protobuf", "gzip", Security::Tls),
        ("grpc", "zstd", Security::Tls),
        ("http/protobuf", "zstd", Security::MutualTls),
        ("grpc", "gzip", Security::MutualTls),
    ];
    for (protocol, compression, security) in rows {
        let way = format!("{protocol}, {compression}, {security:?}");
        let backend = Collector::start();
        let Some(pipeline) = Pipeline::start(&backend, security) else { return };
        let platform = pipeline.before(protocol, compression);
        let sent = (samples::span(Ids::new(7)), samples::metrics(), samples::record());
        platform.answer_next(&Invoke::new("r-1", MINUTE));
        post(&platform, "/v1/traces", &traces([sent.0.clone()]).encode_to_vec());
        let (mut metrics, mut logs) = (otlp::metrics("", 1), otlp::logs(""));
        metrics.resource_metrics[0].scope_metrics[0].metrics = sent.1.clone();
        logs.resource_logs[0].scope_logs[0].log_records = vec![sent.2.clone()];
        post(&platform, "/v1/metrics", &metrics.encode_to_vec());
        post(&platform, "/v1/logs", &logs.encode_to_vec());
        let server = otlp::server_span("r-1", Ids::new(7), "r-1");
        post(&platform, "/v1/traces", &traces([server]).encode_to_vec());
        platform.spin_down();
        let spans: Vec<_> = backend.spans().into_iter().map(|seen| seen.span).collect();
        assert_eq!(spans.len(), 2, "{way}");
        assert_among(&spans, &sent.0, &way);
        for metric in &sent.1 {
            assert_among(&metrics_at(&backend), metric, &way);
        }
        assert_among(&records_at(&backend), &sent.2, &way);
        let resources: Vec<_> = backend.spans().into_iter().map(|seen| seen.resource).collect();
        for attribute in otlp::resource().attributes {
            assert!(resources.iter().all(|resource| resource.attributes.contains(&attribute)), "{way}");
        }
    }
}

/// Killed after a third of the invocations and started again after two thirds, by either protocol.
#[test]
fn a_collector_that_is_killed_and_started_again_loses_nothing() {
    for protocol in ["http/protobuf", "grpc"] {
        let backend = Collector::start();
        let Some(mut pipeline) = Pipeline::start(&backend, Security::None) else { return };
        let platform = pipeline.before(protocol, "gzip");
        let names: BTreeSet<String> = (0..30).map(|number| format!("r-{number:02}")).collect();
        for (seed, name) in (1..).zip(&names) {
            match seed {
                11 => pipeline.kill(),
                21 => pipeline.restart(),
                _ => {}
            }
            invoke(&platform, name, seed);
        }
        platform.spin_down();
        let arrived: BTreeSet<String> = backend.spans().into_iter().map(|seen| seen.span.name).collect();
        assert_eq!(arrived, names, "{protocol}");
        assert!(!platform.log("export_failed").is_empty(), "{protocol}: it was away, and nobody noticed");
        let summary = platform.log("summary").remove(0);
        assert_eq!(
            (&summary["exported"], &summary["held"]),
            (&30.into(), &0.into()),
            "{protocol}: {summary}"
        );
    }
}

/// Killed and started again while invocations run, without regard to what is under way.
#[test]
fn a_collector_that_restarts_all_the_time_loses_nothing() {
    for protocol in ["http/protobuf", "grpc"] {
        let backend = Collector::start();
        let Some(mut pipeline) = Pipeline::start(&backend, Security::None) else { return };
        let platform = pipeline.before(protocol, "zstd");
        let mut names = BTreeSet::new();
        std::thread::scope(|scope| {
            let restarts = scope.spawn(|| {
                for restart in 1..=RESTARTS {
                    backend.expect("more spans", |state| state.spans().len() >= restart * SPANS_BETWEEN);
                    pipeline.kill();
                    pipeline.restart();
                }
            });
            while !restarts.is_finished() {
                assert!(names.len() < INVOCATIONS_MAX, "{protocol}: too little comes through");
                let name = format!("r-{:03}", names.len());
                invoke(&platform, &name, 1 + names.len() as u64);
                names.insert(name);
            }
        });
        invoke(&platform, "last", 999);
        names.insert("last".to_owned());
        platform.spin_down();
        let arrived: BTreeSet<String> = backend.spans().into_iter().map(|seen| seen.span.name).collect();
        assert_eq!(arrived, names, "{protocol}");
        assert!(!platform.log("export_failed").is_empty(), "{protocol}: it was away, and nobody noticed");
        let summary = platform.log("summary").remove(0);
        assert_eq!((&summary["held"], &summary["dropped"]), (&0.into(), &json!({})), "{protocol}: {summary}");
    }
}

//! A metric store of others: started, given to Prefreeze as its backend, and queried over HTTP.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tests::http1::{self, Headers, Reserved, Response};

use super::installed::program;

/// How long a store may take to start on a busy machine.
const START_MAX: Duration = Duration::from_secs(60);

/// Which store, and how it is set up.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// Prometheus with its OTLP receiver and these features.
    Prometheus(&'static str),
    /// VictoriaMetrics with the names of Prometheus.
    VictoriaMetrics,
    /// Mimir, all of it in one process, with this setting.
    Mimir(&'static str),
}

/// Where to find what of a store.
struct Paths {
    program: &'static str,
    health: &'static str,
    metrics: &'static str,
    queries: &'static str,
}

impl Kind {
    const fn paths(self) -> Paths {
        match self {
            Self::Prometheus(_) => Paths {
                program: "prometheus",
                health: "/-/ready",
                metrics: "/api/v1/otlp/v1/metrics",
                queries: "/api/v1/",
            },
            Self::VictoriaMetrics => Paths {
                program: "victoria-metrics",
                health: "/health",
                metrics: "/opentelemetry/v1/metrics",
                queries: "/api/v1/",
            },
            Self::Mimir(_) => Paths {
                program: "mimir",
                health: "/ready",
                metrics: "/otlp/v1/metrics",
                queries: "/prometheus/api/v1/",
            },
        }
    }
}

/// A line of a graph: its labels, and its values one step after the other.
pub(super) type Line = (BTreeMap<String, String>, Vec<f64>);

/// A running store, empty at first.
pub(super) struct Store {
    kind: Kind,
    process: Child,
    /// Its own, and one for what its parts say to each other.
    ports: [Reserved; 2],
    folder: PathBuf,
}

impl Store {
    /// Starts it and waits until it takes requests; `None`, and a word about it, if its program is not installed.
    pub(super) fn start(kind: Kind) -> Option<Self> {
        let program = program(kind.paths().program)?;
        let ports = [(); 2].map(|()| Reserved::new());
        let name = ports[0].address().to_string();
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("foreign").join(name);
        fs::remove_dir_all(&folder).ok();
        fs::create_dir_all(&folder).expect("the target folder is ours");
        let process = run(&program, kind, &ports, &folder);
        let store = Self { kind, process, ports, folder };
        store.wait();
        Some(store)
    }

    fn wait(&self) {
        let until = Instant::now() + START_MAX;
        while !self.send("GET", self.kind.paths().health, "").is_ok_and(|answer| answer.status == 200) {
            let log = || fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            assert!(Instant::now() < until, "{:?} does not start: {}", self.kind, log());
            sleep(Duration::from_millis(20));
        }
    }

    /// Ends it in peace; it keeps its data.
    pub(super) fn stop(&mut self) {
        let id = i32::try_from(self.process.id()).expect("a process id");
        kill(Pid::from_raw(id), Signal::SIGTERM).expect("it lives");
        self.process.wait().expect("it ends");
    }

    /// Starts it once more, where it was.
    pub(super) fn resume(&mut self) {
        let program = program(self.kind.paths().program).expect("it was there");
        self.process = run(&program, self.kind, &self.ports, &self.folder);
        self.wait();
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.ports[0].address()
    }

    /// The path that takes metrics.
    pub(super) fn path(&self) -> &'static str {
        self.kind.paths().metrics
    }

    /// The label that holds the name of the service.
    pub(super) fn service_label(&self) -> &'static str {
        match self.kind {
            Kind::Prometheus(_) | Kind::Mimir(_) => "job",
            Kind::VictoriaMetrics => "service_name",
        }
    }

    /// The only value that `query` has now; zero if there is none.
    #[track_caller]
    pub(super) fn ask(&self, query: &str) -> f64 {
        let answers = self.lines_of("query", &[("query", query), ("time", &now_s().to_string())]);
        assert!(answers.len() <= 1, "{query}: {answers:?}");
        answers.first().map_or(0.0, |(_, values)| values[0])
    }

    /// The lines that a graph of `query` shows, in steps of so many seconds, up to a few steps after what was so long ago.
    #[track_caller]
    pub(super) fn graph(&self, query: &str, ago: Duration, steps: u64, step_s: u64) -> Vec<Line> {
        // Grafana asks for multiples of a step; VictoriaMetrics moves all else there.
        let end = ((now_s() - ago.as_secs()) / step_s + 3) * step_s;
        let (start, end, step) = ((end - steps * step_s).to_string(), end.to_string(), format!("{step_s}s"));
        self.lines_of("query_range", &[("query", query), ("start", &start), ("end", &end), ("step", &step)])
    }

    #[track_caller]
    fn lines_of(&self, call: &str, parameters: &[(&str, &str)]) -> Vec<Line> {
        if matches!(self.kind, Kind::VictoriaMetrics) {
            // What was taken in the last seconds is not searched otherwise.
            self.send("GET", "/internal/force_flush", "").expect("it is there");
        }
        let form: Vec<_> =
            parameters.iter().map(|(name, value)| format!("{name}={}", percent_encoded(value))).collect();
        let answer = self
            .send("POST", &format!("{}{call}", self.kind.paths().queries), &form.join("&"))
            .expect("an answer");
        let text = String::from_utf8_lossy(&answer.body);
        assert_eq!(answer.status, 200, "{parameters:?}: {text}");
        let answer: Value = serde_json::from_str(&text).expect("JSON");
        answer["data"]["result"].as_array().expect("series").iter().map(line).collect()
    }

    fn send(&self, method: &str, path: &str, form: &str) -> std::io::Result<Response> {
        let headers = Headers::from([("Content-Type", "application/x-www-form-urlencoded")]);
        http1::send(self.address(), method, path, &headers, form.as_bytes())
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
        fs::remove_dir_all(&self.folder).ok();
    }
}

fn run(program: &Path, kind: Kind, ports: &[Reserved; 2], folder: &Path) -> Child {
    let log = File::create(folder.join("log")).expect("the folder is ours");
    let mut command = Command::new(program);
    command.args(arguments(kind, ports.each_ref().map(Reserved::address), folder));
    command.stdout(Stdio::null()).stderr(log).spawn().expect("it starts")
}

fn arguments(kind: Kind, [address, inner]: [SocketAddr; 2], folder: &Path) -> Vec<String> {
    let data = folder.join("data");
    match kind {
        Kind::Prometheus(features) => {
            let settings = folder.join("prometheus.yml");
            let text = "storage: { tsdb: { out_of_order_time_window: 1h } }\n";
            fs::write(&settings, text).expect("the folder is ours");
            vec![
                format!("--config.file={}", settings.display()),
                format!("--storage.tsdb.path={}", data.display()),
                format!("--web.listen-address={address}"),
                "--web.enable-otlp-receiver".to_owned(),
                format!("--enable-feature={features}"),
            ]
        }
        Kind::VictoriaMetrics => vec![
            format!("-storageDataPath={}", data.display()),
            format!("-httpListenAddr={address}"),
            "-opentelemetry.usePrometheusNaming".to_owned(),
            // It keeps a point that is sent again twice otherwise,
            "-dedup.minScrapeInterval=1ms".to_owned(),
            // and leaves out the last half minute.
            "-search.latencyOffset=0s".to_owned(),
        ],
        Kind::Mimir(setting) => mimir(setting, [address, inner], folder),
    }
}

/// Every part of it in one process, which is the only member of each of its rings.
fn mimir(setting: &str, [address, inner]: [SocketAddr; 2], folder: &Path) -> Vec<String> {
    let rings = [
        "alertmanager.sharding-ring",
        "compactor.ring",
        "distributor.ring",
        "ingester.partition-ring",
        "ingester.ring",
        "overrides-exporter.ring",
        "querier.ring",
        "query-scheduler.ring",
        "ruler.ring",
        "store-gateway.sharding-ring",
    ];
    let members = rings.iter().filter(|ring| **ring != "ingester.partition-ring").chain(&["query-frontend"]);
    let folders = [
        "activity-tracker.filepath",
        "alertmanager-storage.filesystem.dir",
        "alertmanager.storage.path",
        "blocks-storage.bucket-store.sync-dir",
        "blocks-storage.filesystem.dir",
        "blocks-storage.tsdb.dir",
        "compactor.data-dir",
        "ruler-storage.filesystem.dir",
        "ruler.rule-path",
    ];
    let fixed = [
        "target=all",
        "auth.multitenancy-enabled=false",
        "usage-stats.enabled=false",
        "common.storage.backend=filesystem",
        "server.http-listen-address=127.0.0.1",
        "server.grpc-listen-address=127.0.0.1",
        "ingester.ring.replication-factor=1",
        "ingester.ring.min-ready-duration=0s",
        "store-gateway.sharding-ring.replication-factor=1",
        "ingester.out-of-order-time-window=1h",
        "distributor.otel-metric-suffixes-enabled",
        setting,
    ];
    let ports = [
        format!("-server.http-listen-port={}", address.port()),
        format!("-server.grpc-listen-port={}", inner.port()),
    ];
    let fixed = fixed.iter().filter(|setting| !setting.is_empty()).map(|setting| format!("-{setting}"));
    let fixed = fixed.chain(ports).chain(rings.iter().map(|ring| format!("-{ring}.store=inmemory")));
    let fixed = fixed.chain(members.map(|ring| format!("-{ring}.instance-addr=127.0.0.1")));
    fixed.chain(folders.iter().map(|name| format!("-{name}={}", folder.join(name).display()))).collect()
}

/// A series of an answer: with one value, or with one for each step.
fn line(series: &Value) -> Line {
    let labels = series["metric"].as_object().expect("labels").iter();
    let labels = labels.map(|(name, value)| (name.clone(), value.as_str().expect("text").to_owned()));
    let number = |pair: &Value| pair[1].as_str().and_then(|text| text.parse().ok()).expect("a number");
    let values = match series["values"].as_array() {
        Some(values) => values.iter().map(number).collect(),
        None => vec![number(&series["value"])],
    };
    (labels.collect(), values)
}

/// The end of the second that is now: later than anything that was sent.
fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later than 1970").as_secs() + 1
}

fn percent_encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

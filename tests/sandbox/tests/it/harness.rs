//! A service, a function made of the fixtures, and what they wrote down.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sandbox::{FunctionSpec, InvokeRequest, Lambda, LambdaConfig, Outcome, Record, TimelineEntry, What};
use serde_json::{Value, json};

/// Long enough for a loaded machine, short enough to fail before the patience of whoever waits.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Harness {
    pub(crate) lambda: Lambda,
    dir: PathBuf,
}

impl Harness {
    pub(crate) async fn start() -> Self {
        Self::with(LambdaConfig::default()).await
    }

    pub(crate) async fn with(config: LambdaConfig) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("sandbox-it-{}-{number}", std::process::id()));
        std::fs::create_dir_all(dir.join("extensions")).unwrap();
        let config = LambdaConfig { scratch_dir: Some(dir.join("scratch")), ..config };
        Self { lambda: Lambda::start(config).await.unwrap(), dir }
    }

    /// A function `f` with the fixture runtime and one fixture extension per `(name, options)`.
    pub(crate) fn spec(&self, extensions: &[(&str, &str)]) -> FunctionSpec {
        let mut env = vec![("FIXTURE_OUT".to_owned(), self.dir.display().to_string())];
        for (name, options) in extensions {
            let link = self.dir.join("extensions").join(name);
            std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_fixture-extension"), link).unwrap();
            env.push((format!("EXT_{}", name.to_uppercase()), (*options).to_owned()));
        }
        FunctionSpec {
            name: "f".into(),
            command: vec![env!("CARGO_BIN_EXE_fixture-runtime").into()],
            timeout: Duration::from_secs(20),
            env,
            extensions_dir: Some(self.dir.join("extensions")),
            ..FunctionSpec::default()
        }
    }

    pub(crate) fn create(&self, extensions: &[(&str, &str)]) {
        self.lambda.create_function(self.spec(extensions)).unwrap();
    }

    pub(crate) fn dir(&self) -> PathBuf {
        self.dir.clone()
    }

    pub(crate) async fn invoke(&self, event: Value) -> Outcome {
        self.invoke_with(InvokeRequest::json(&event)).await
    }

    pub(crate) async fn invoke_with(&self, request: InvokeRequest) -> Outcome {
        let outcome = tokio::time::timeout(PATIENCE, self.lambda.invoke("f", request)).await;
        outcome.expect("the invocation ends").expect("the service invokes")
    }

    pub(crate) async fn idle(&self) {
        tokio::time::timeout(PATIENCE, self.lambda.wait_idle()).await.expect("everything becomes idle");
    }

    /// Invokes, waits until everything is idle, and returns the record too.
    pub(crate) async fn complete(&self, event: Value) -> (Outcome, Record) {
        let outcome = self.invoke(event).await;
        self.idle().await;
        let record = self.lambda.record(&outcome.request_id).expect("a finished invocation has a record");
        (outcome, record)
    }

    pub(crate) async fn wait_for(&self, wanted: impl Fn(&What) -> bool) -> TimelineEntry {
        let entry = tokio::time::timeout(PATIENCE, self.lambda.wait_for(|entry| wanted(&entry.what))).await;
        entry.unwrap_or_else(|_| panic!("it never happened:\n{}", self.timeline()))
    }

    /// Waits until a line of a fixture's file is accepted.
    pub(crate) async fn wait_for_line(&self, file: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let looking = async {
            loop {
                if let Some(line) = self.lines(file).into_iter().find(&wanted) {
                    return line;
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let found = tokio::time::timeout(PATIENCE, looking).await;
        found.unwrap_or_else(|_| {
            panic!("no such line in {file}: {:#?}\n{}", self.lines(file), self.timeline())
        })
    }

    /// What a fixture extension wrote: `name.events` or `name.telemetry`.
    pub(crate) fn lines(&self, file: &str) -> Vec<Value> {
        let text = std::fs::read_to_string(self.dir.join(file)).unwrap_or_default();
        // The last line may still be on its way.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The telemetry events that `name` received, with where and when.
    pub(crate) fn telemetry(&self, name: &str, kind: &str) -> Vec<Value> {
        let lines = self.lines(&format!("{name}.telemetry")).into_iter();
        lines.filter(|line| line["event"]["type"] == kind).collect()
    }

    /// The API events (INVOKE, SHUTDOWN) that `name` received.
    pub(crate) fn events(&self, name: &str) -> Vec<Value> {
        let lines = self.lines(&format!("{name}.events")).into_iter();
        lines.map(|line| line["event"].clone()).filter(|event| event.is_object()).collect()
    }

    pub(crate) fn timeline(&self) -> String {
        let origin = self.lambda.started_at();
        let line = |entry: &TimelineEntry| {
            let ms = entry.at.since(origin).as_secs_f64() * 1000.0;
            let environment = entry.environment.map(|e| e.to_string()).unwrap_or_default();
            format!("{ms:9.2} {environment} {}\n", entry.what)
        };
        self.lambda.history().iter().map(line).collect()
    }

    /// Position in the timeline of the first entry that `wanted` accepts.
    pub(crate) fn position(&self, wanted: impl Fn(&What) -> bool) -> usize {
        let history = self.lambda.history();
        history.iter().position(|e| wanted(&e.what)).unwrap_or_else(|| panic!("never:\n{}", self.timeline()))
    }

    pub(crate) fn count(&self, wanted: impl Fn(&What) -> bool) -> usize {
        self.lambda.history().iter().filter(|e| wanted(&e.what)).count()
    }

    /// Process ids of everything ever started.
    pub(crate) fn pids(&self) -> Vec<u32> {
        let pid = |entry: TimelineEntry| match entry.what {
            What::Spawned { pid, .. } => Some(pid),
            _ => None,
        };
        self.lambda.history().into_iter().filter_map(pid).collect()
    }

    /// Shuts down and checks that nothing is left.
    pub(crate) async fn end(self) -> sandbox::ShutdownReport {
        let report = tokio::time::timeout(PATIENCE, self.lambda.shutdown()).await.expect("a shutdown ends");
        for pid in self.pids() {
            assert!(!is_alive(pid), "process {pid} is left:\n{}", self.timeline());
        }
        report
    }
}

impl Drop for Harness {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

pub(crate) fn is_alive(pid: u32) -> bool {
    state(pid).is_some_and(|state| state != 'Z')
}

/// Waits until all of these have died: who was killed dies when it has its turn on a processor.
pub(crate) async fn die(pids: &[u32]) {
    let gone = async {
        while pids.iter().any(|pid| is_alive(*pid)) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), gone).await.expect("all of them die");
}

/// The state letter of /proc/<pid>/stat.
pub(crate) fn state(pid: u32) -> Option<char> {
    state_in(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// The state letter of each thread; a process that runs has one at least.
pub(crate) fn threads(pid: u32) -> Vec<char> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("the process is alive");
    let stats = tasks.flatten().flat_map(|task| std::fs::read_to_string(task.path().join("stat")));
    stats.map(|stat| state_in(&stat).expect("every thread has a state")).collect()
}

fn state_in(stat: &str) -> Option<char> {
    stat.rsplit_once(')')?.1.trim().chars().next()
}

/// Where fixtures wait until the test opens it: they connect, and go on when the connection ends.
pub(crate) struct Gate {
    listener: tokio::net::TcpListener,
}

impl Gate {
    pub(crate) async fn new() -> Self {
        Self { listener: tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap() }
    }

    pub(crate) fn address(&self) -> String {
        self.listener.local_addr().unwrap().to_string()
    }

    /// Waits until so many are there, and keeps them.
    pub(crate) async fn filled(&self, count: usize) -> Vec<tokio::net::TcpStream> {
        let mut inside = Vec::new();
        while inside.len() < count {
            inside.push(self.listener.accept().await.unwrap().0);
        }
        inside
    }

    /// Whoever waits goes on, and whoever comes later does not wait.
    pub(crate) fn open(self) {}
}

pub(crate) fn act(what: &str) -> Value {
    json!({"do": what})
}

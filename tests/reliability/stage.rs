//! One environment: a local Lambda with the function and the real extension, and a backend of its own.

use std::env;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sandbox::{
    FunctionSpec, InvokeRequest, Lambda, LambdaConfig, Outcome, Record, ShutdownReason, TimelineEntry, What,
};
use serde_json::Value;
use tests::collector::Collector;
use tests::http1::Reserved;
use tokio::task::JoinSet;

use super::gate::Gate;

/// The function, and its extension as the sandbox calls it.
pub(crate) const FUNCTION: &str = "orders";
pub(crate) const EXTENSION: &str = "prefreeze";

/// Far more than anything takes that ends at all.
const PATIENCE: Duration = Duration::from_secs(60);

/// It ends, with every process and file, when dropped.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) lambda: Lambda,
    pub(crate) collector: Collector,
    /// Kept from others.
    pub(crate) receiver: Reserved,
    folder: Folder,
    /// Opens the gate of [`fail_every_init`]; it ends with the stage.
    _gatekeeper: JoinSet<()>,
}

/// The variable that makes every init of the function fail, once the gate that it names is open.
const FAIL_EVERY_INIT: &str = "FAIL_EVERY_INIT";

/// Makes every init of the function fail, each when the extension has subscribed beside it.
pub(crate) fn fail_every_init(spec: &mut FunctionSpec) {
    // The stage puts the address of its gate in the place of this.
    spec.env.push((FAIL_EVERY_INIT.into(), String::new()));
}

impl Stage {
    /// Sets up everything; `shape` may change the function before it is created.
    pub(crate) async fn set(history_limit: usize, shape: impl FnOnce(&mut FunctionSpec)) -> Self {
        let (collector, receiver, folder) = (Collector::start(), Reserved::new(), Folder::new());
        let config = LambdaConfig {
            scratch_dir: Some(folder.0.join("scratch")),
            init_timeout: PATIENCE,
            history_limit,
            ..LambdaConfig::default()
        };
        let lambda = Lambda::start(config).await.expect("a sandbox starts");
        let mut spec = folder.function();
        spec.env.extend([
            ("PREFREEZE_RECEIVER_HTTP".to_owned(), receiver.address().to_string()),
            ("PREFREEZE_RECEIVER_GRPC".to_owned(), "none".to_owned()),
            // Every invocation has a name of its own here, by which its spans are counted.
            ("PREFREEZE_ATTRIBUTES".to_owned(), "off".to_owned()),
            ("PREFREEZE_EXPORTER_OTLP_ENDPOINT".to_owned(), collector.endpoint()),
            // The books know an invocation by the name of its spans, and there may be thousands.
            ("PREFREEZE_ATTRIBUTES".to_owned(), r#"{"names":0}"#.to_owned()),
        ]);
        shape(&mut spec);
        let mut gatekeeper = JoinSet::new();
        if let Some((_, address)) = spec.env.iter_mut().find(|(name, _)| name == FAIL_EVERY_INIT) {
            let gate = Gate::new().await;
            *address = gate.address().to_string();
            let mut timeline = lambda.timeline();
            gatekeeper.spawn(async move {
                // Each init has a runtime that comes to the gate, and one subscription.
                loop {
                    gate.pass(async { while !timeline.next().await.iter().any(is_subscription) {} }).await;
                }
            });
        }
        lambda.create_function(spec).expect("a function that Lambda accepts");
        Self { lambda, collector, receiver, folder, _gatekeeper: gatekeeper }
    }

    /// Invokes, and waits until the environment is frozen or gone.
    pub(crate) async fn invoke(&self, event: &Value) -> (Outcome, Record) {
        self.request(InvokeRequest::json(event)).await
    }

    /// The same, with whatever else the request says.
    pub(crate) async fn request(&self, request: InvokeRequest) -> (Outcome, Record) {
        let outcome = self.lambda.invoke(FUNCTION, request);
        let outcome = self.in_time("the invocation", outcome).await.expect("the service invokes");
        self.in_time("the freeze", self.lambda.wait_idle()).await;
        let record = self.lambda.record(&outcome.request_id).expect("a finished invocation has a record");
        (outcome, record)
    }

    /// Waits for something that happens within a minute on any machine.
    pub(crate) async fn in_time<T>(&self, what: &str, happening: impl Future<Output = T>) -> T {
        let happened = tokio::time::timeout(PATIENCE, happening).await;
        happened.unwrap_or_else(|_| panic!("waited {PATIENCE:?} for {what}:\n{}", self.timeline()))
    }

    /// The extension's process, the latest of them.
    pub(crate) fn extension_pid(&self) -> u32 {
        let pid = |what: What| match what {
            What::Spawned { process, pid } if process == EXTENSION => Some(pid),
            _ => None,
        };
        let mut pids = self.lambda.history().into_iter().filter_map(|entry| pid(entry.what));
        pids.next_back().expect("the extension was started")
    }

    /// Ends the environment, and everything.
    pub(crate) async fn strike(&self, reason: ShutdownReason) {
        self.in_time("SHUTDOWN", self.lambda.spin_down_for(FUNCTION, reason)).await;
        self.in_time("the end", self.lambda.shutdown()).await;
    }

    /// What happened, for whoever must find out why.
    pub(crate) fn timeline(&self) -> String {
        let origin = self.lambda.started_at();
        let history = self.lambda.history();
        let line = |entry: &TimelineEntry| {
            format!("{:9.1} {}\n", entry.at.since(origin).as_secs_f64() * 1000.0, entry.what)
        };
        let lines: String = history.iter().rev().take(400).rev().map(line).collect();
        format!("{}\n{lines}{}", self.folder.0.display(), self.collector.state())
    }
}

fn is_subscription(entry: &TimelineEntry) -> bool {
    matches!(entry.what, What::Subscribed { .. })
}

/// Holds what a stage needs on disk, and takes it away.
#[derive(Debug)]
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = env::temp_dir().join(format!("prefreeze-reliability-{}-{number}", std::process::id()));
        fs::create_dir_all(path.join("extensions")).expect("the temporary folder can be written");
        symlink(extension(), path.join("extensions").join(EXTENSION)).expect("a new folder is empty");
        Self(path)
    }

    fn function(&self) -> FunctionSpec {
        FunctionSpec {
            name: FUNCTION.into(),
            command: vec![env!("CARGO_BIN_EXE_reliability-function").into()],
            timeout: Duration::from_secs(20),
            extensions_dir: Some(self.0.join("extensions")),
            // The receiver's port is one environment's.
            max_concurrency: 1,
            ..FunctionSpec::default()
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

/// The real binary: `PREFREEZE_BIN`, or `prefreeze` in the directory above the test's own.
fn extension() -> PathBuf {
    let built = || {
        let test = env::current_exe().expect("a test knows its own path");
        let profile = test.parent().and_then(Path::parent).expect("tests lie in <profile>/deps");
        profile.join(EXTENSION)
    };
    let path = env::var_os("PREFREEZE_BIN").map_or_else(built, PathBuf::from);
    assert!(path.is_file(), "no extension at {}: build it first, or set PREFREEZE_BIN", path.display());
    path
}

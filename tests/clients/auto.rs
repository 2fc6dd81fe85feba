//! A Node function under zero-code instrumentation, whose SDK sends by a timer, after the response.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sandbox::{FunctionSpec, InvokeRequest, Lambda, LambdaConfig};
use serde_json::json;
use tests::collector::{Collector, SpanSeen};
use tests::http1::Reserved;

use super::toolbox::{auto, source};

/// Of one environment, which is frozen after each.
const INVOCATIONS: usize = 20;
/// `SPAN_KIND_SERVER`.
const SERVER: i32 = 2;
/// Far more than anything takes that ends at all.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn each_invocation_has_one_server_span_although_its_sdk_sends_it_late() {
    let Some(modules) = auto() else { return };
    // The SDK's timer, 5 s by default, ends in the same invocation, in the next one, or in one after it.
    for timer_ms in [1, 30, 150] {
        let (ids, spans) = play(modules, timer_ms).await;
        let mut of_request: BTreeMap<String, Vec<&SpanSeen>> = BTreeMap::new();
        for seen in spans.iter().filter(|seen| seen.span.kind == SERVER) {
            let id = seen.text("faas.invocation_id").or(seen.text("faas.execution")).unwrap_or("no id");
            of_request.entry(id.to_owned()).or_default().push(seen);
        }
        let counts: BTreeMap<_, _> = of_request.iter().map(|(id, seen)| (id, seen.len())).collect();
        let expected: BTreeMap<_, _> = ids.iter().map(|id| (id, 1)).collect();
        assert_eq!(counts, expected, "timer of {timer_ms} ms: SERVER spans by request");
        let of_sdk = of_request.values().flatten().filter(|seen| seen.scope.name.contains("aws-lambda"));
        assert!(of_sdk.count() >= INVOCATIONS / 2, "the SDK sends: otherwise this proves nothing");
        let init: Vec<_> = spans.iter().filter(|seen| seen.span.name.starts_with("init ")).collect();
        assert_eq!(init.len(), 1, "one cold start");
        let first = of_request[&ids[0]][0];
        assert_eq!(init[0].span.trace_id, first.span.trace_id, "init is in the first invocation's trace");
    }
}

/// The ids of all invocations, and what the backend has of them.
async fn play(modules: &Path, timer_ms: u32) -> (Vec<String>, Vec<SpanSeen>) {
    let (collector, receiver, folder) = (Collector::start(), Reserved::new(), Folder::new());
    let config = LambdaConfig { scratch_dir: Some(folder.0.join("scratch")), ..LambdaConfig::default() };
    let lambda = Lambda::start(config).await.expect("a sandbox starts");
    let pair = |name: &str, value: String| (name.to_owned(), value);
    let env = vec![
        pair("NODE_OPTIONS", "--require @opentelemetry/auto-instrumentations-node/register".into()),
        pair("NODE_PATH", modules.join("node_modules").display().to_string()),
        pair("OTEL_NODE_ENABLED_INSTRUMENTATIONS", "aws-lambda".into()),
        pair("OTEL_BSP_SCHEDULE_DELAY", timer_ms.to_string()),
        pair("OTEL_METRICS_EXPORTER", "none".into()),
        pair("OTEL_LOGS_EXPORTER", "none".into()),
        pair("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{}", receiver.address())),
        pair("PREFREEZE_RECEIVER_HTTP", receiver.address().to_string()),
        pair("PREFREEZE_RECEIVER_GRPC", "off".into()),
        pair("PREFREEZE_METRICS", "none".into()),
        pair("PREFREEZE_EXPORTER_OTLP_ENDPOINT", collector.endpoint()),
    ];
    let spec = FunctionSpec {
        name: "orders".into(),
        command: vec!["node".into(), source("auto/bootstrap.cjs").into()],
        handler: "handler.handler".into(),
        working_dir: Some(source("auto")),
        timeout: Duration::from_secs(30),
        extensions_dir: Some(folder.0.join("extensions")),
        max_concurrency: 1,
        env,
        ..FunctionSpec::default()
    };
    lambda.create_function(spec).expect("a function that Lambda accepts");
    let mut ids = Vec::new();
    let living = async {
        for _ in 0..INVOCATIONS {
            let outcome = lambda.invoke("orders", InvokeRequest::json(&json!({ "ms": 5 }))).await;
            let outcome = outcome.expect("the service invokes");
            assert_eq!(outcome.function_error, None, "{:?}", lambda.history());
            ids.push(outcome.request_id);
            lambda.wait_idle().await;
        }
        lambda.shutdown().await;
    };
    tokio::time::timeout(PATIENCE, living).await.expect("it ends");
    (ids, collector.spans())
}

/// Holds what the sandbox needs on disk, and takes it away.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = env::temp_dir().join(format!("prefreeze-auto-{}", std::process::id()));
        fs::create_dir_all(path.join("extensions")).expect("the temporary folder can be written");
        let built = || {
            let test = env::current_exe().expect("a test knows its own path");
            let profile = test.parent().and_then(Path::parent).expect("tests lie in <profile>/deps");
            profile.join("prefreeze")
        };
        let extension = env::var_os("PREFREEZE_BIN").map_or_else(built, PathBuf::from);
        symlink(extension, path.join("extensions/prefreeze")).expect("a new folder is empty");
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

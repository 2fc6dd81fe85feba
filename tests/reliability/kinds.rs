//! Environments that are not made on demand: no cold start where nobody waited, a restore where there was one.

use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use sandbox::{FunctionSpec, InitType, ShutdownReason};
use serde_json::json;
use tests::collector::SpanSeen;

use super::books::{self, Books};
use super::stage::Stage;

/// Three invocations of which each sends what it should; the spans that arrived.
async fn spans_of(init_type: InitType) -> Vec<SpanSeen> {
    let stage = Stage::set(1_000, |spec: &mut FunctionSpec| spec.init_type = init_type).await;
    stage.in_time("the environment", stage.lambda.wait_idle()).await;
    if matches!(init_type, InitType::SnapStart { .. }) {
        assert!(stage.collector.state().connections.is_empty(), "a snapshot holds no connection");
    }
    for number in 1..=3 {
        stage
            .invoke(
                &json!({ "name": format!("r-{number}"), "seed": number, "send": "good", "end": "respond" }),
            )
            .await;
    }
    stage.strike(ShutdownReason::Spindown).await;
    let history = stage.lambda.history();
    assert_eq!(books::refusals(&history), Vec::<String>::new());
    let books = Books::read(&history);
    assert_eq!((books.summaries, books.given_up()), (1, 0), "{books:?}");
    stage.collector.spans()
}

fn named<'a>(spans: &'a [SpanSeen], prefix: &str) -> Vec<&'a SpanSeen> {
    spans.iter().filter(|seen| seen.span.name.starts_with(prefix)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provisioned_environment_has_no_cold_start() {
    let spans = spans_of(InitType::ProvisionedConcurrency { environments: 1 }).await;
    assert!(named(&spans, "init ").is_empty(), "nobody waited for it");
    assert!(named(&spans, "r-").len() >= 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restored_environment_tells_of_its_restore_once() {
    let spans = spans_of(InitType::SnapStart { environments: 1 }).await;
    let restores = named(&spans, "restore ");
    assert!(named(&spans, "init ").is_empty(), "the init was long before");
    let [restore] = restores.as_slice() else { panic!("{} restores", restores.len()) };
    assert_eq!(restore.attribute("faas.coldstart"), Some(&Any::BoolValue(true)));
    assert_eq!(restore.text("aws.lambda.initialization_type"), Some("snap-start"));
}

//! The Rust example as it is, on Managed Instances: one process that authorizes four payments at once.

use std::env;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};

use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use sandbox::{InitType, InvokeRequest, Outcome, ShutdownReason, What};
use serde_json::{Value, json};
use tests::collector::SpanSeen;
use tests::http1::{Connection, Response};

use super::books::Books;
use super::play::{caller, count};
use super::stage::{FUNCTION, Stage};

const AT_ONCE: usize = 4;

/// The card that makes the example abort, once its fraud risk is known.
const CRASH: &str = "tok_crash";

/// A fraud API that answers nobody before it was asked for all the payments, and then whom `answers` says.
fn fraud_api(answers: fn(&Value) -> bool) -> (String, JoinHandle<Vec<Connection>>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port is free");
    let url = format!("http://{}", listener.local_addr().expect("a bound port"));
    let asked = thread::spawn(move || {
        let mut questions = Vec::new();
        while questions.len() < AT_ONCE {
            let (stream, _) = listener.accept().expect("a listener accepts");
            let mut connection = Connection::new(stream);
            let head = connection.read_head().expect("it is HTTP").expect("it is a request");
            let body = connection.read_body(&head).expect("it is whole");
            questions.push((connection, serde_json::from_slice(&body).expect("it is JSON")));
        }
        let verdict = json!({ "decision": "decline", "reason": "stolen card" }).to_string();
        let verdict = Response::new(200).header("content-type", "application/json").body(verdict).to_bytes();
        for (connection, _) in questions.iter_mut().filter(|(_, question)| answers(question)) {
            connection.write(&verdict).expect("the function reads");
        }
        // Whoever has no answer keeps waiting for it.
        questions.into_iter().map(|(connection, _)| connection).collect()
    });
    (url, asked)
}

/// The example's binary lies beside the extension.
fn example() -> PathBuf {
    let test = env::current_exe().expect("a test knows its own path");
    let profile = test.parent().and_then(Path::parent).expect("tests lie in <profile>/deps");
    let path = profile.join("authorize");
    assert!(path.is_file(), "no example at {}: build the workspace first", path.display());
    path
}

/// An environment of the example's that is ready for four payments.
async fn stage(fraud_url: String) -> Stage {
    let stage = Stage::set(10_000, |spec| {
        spec.command = vec![example().into()];
        spec.init_type = InitType::ManagedInstances { environments: 1, concurrency: AT_ONCE };
        let (_, receiver) =
            spec.env.iter().find(|(name, _)| name == "PREFREEZE_RECEIVER_HTTP").expect("the stage sets it");
        let endpoint = format!("http://{receiver}");
        let variables = [
            ("FRAUD_URL", fraud_url),
            ("FRAUD_TIMEOUT_MS", "60000".to_owned()),
            ("QUEUE_URL", "http://127.0.0.1:9/nobody-gets-so-far".to_owned()),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint),
            ("PAYMENTS_TEST_MODE", "1".to_owned()),
        ];
        spec.env.extend(variables.map(|(name, value)| (name.to_owned(), value)));
    })
    .await;
    stage.in_time("init", stage.lambda.wait_idle()).await;
    stage
}

/// The HTTP event of a payment.
fn payment(number: usize, card_token: &str) -> Value {
    let id = format!("p-{number}");
    let body = json!({ "id": id, "amount_minor": 1999, "currency": "EUR", "card_token": card_token });
    json!({
        "version": "2.0",
        "routeKey": "POST /payments",
        "rawPath": "/payments",
        "rawQueryString": "",
        "headers": { "content-type": "application/json", "host": "pay.example.com" },
        "requestContext": { "http": { "method": "POST", "path": "/payments", "protocol": "HTTP/1.1" } },
        "body": body.to_string(),
        "isBase64Encoded": false,
    })
}

/// Four payments at once, the first of them with this card.
async fn pay(stage: &Stage, first_card: &str) -> Vec<Outcome> {
    let call = |number: usize| {
        let card = if number == 0 { first_card } else { "tok_visa" };
        let request = InvokeRequest::json(&payment(number, card));
        Box::pin(async move { stage.lambda.invoke(FUNCTION, request).await.expect("the service invokes") })
    };
    let calls = async { tokio::join!(call(0), call(1), call(2), call(3)) };
    let (one, two, three, four) = stage.in_time("four payments", calls).await;
    vec![one, two, three, four]
}

/// The one SERVER span of an invocation.
fn root<'a>(spans: &'a [SpanSeen], request_id: &str) -> &'a SpanSeen {
    let is_root = |seen: &&SpanSeen| {
        seen.span.kind == i32::from(SpanKind::Server) && seen.text("faas.invocation_id") == Some(request_id)
    };
    let roots: Vec<_> = spans.iter().filter(is_root).collect();
    let [root] = roots.as_slice() else { panic!("{} roots of {request_id}", roots.len()) };
    root
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_payments_in_one_process_have_four_whole_traces() {
    let (url, asked) = fraud_api(|_| true);
    let stage = stage(url).await;
    let outcomes = pay(&stage, "tok_visa").await;
    asked.join().expect("it was asked for all four");
    stage.strike(ShutdownReason::Spindown).await;
    let spans = stage.collector.spans();
    for outcome in &outcomes {
        assert_eq!(outcome.json()["statusCode"], 402, "{}", stage.timeline());
        let root = root(&spans, &outcome.request_id);
        let of_trace = spans.iter().filter(|seen| seen.span.trace_id == root.span.trace_id);
        let mut below: Vec<&str> = of_trace
            .filter(|seen| seen.span.parent_span_id == root.span.span_id)
            .map(|seen| seen.span.name.as_str())
            .collect();
        below.sort_unstable();
        assert_eq!(below, ["POST /v1/scores", "validate payment"], "{}", stage.timeline());
    }
    let history = stage.lambda.history();
    let runtimes = |what: &What| matches!(what, What::Spawned { process, .. } if process == "runtime");
    assert_eq!(count(&history, runtimes), 1, "they had one process");
    let books = Books::read(&history);
    assert_eq!((books.received, books.given_up()), (3 * AT_ONCE as u64, 0), "{books:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_payment_that_aborts_the_process_leaves_four_traces_that_say_so() {
    let (url, asked) = fraud_api(|question| question["card_token"] == CRASH);
    let stage = stage(url).await;
    let outcomes = pay(&stage, CRASH).await;
    let _unanswered = asked.join().expect("it was asked for all four");
    stage.in_time("another environment", stage.lambda.wait_idle()).await;
    stage.strike(ShutdownReason::Spindown).await;
    let spans = stage.collector.spans();
    for outcome in &outcomes {
        assert_eq!(caller(outcome), "Runtime.ExitError", "{}", stage.timeline());
        let root = root(&spans, &outcome.request_id);
        let code = root.span.status.as_ref().map_or(0, |status| status.code);
        assert_eq!(code, i32::from(StatusCode::Error), "{}", stage.timeline());
        assert_eq!(root.text("error.type"), Some("Runtime.ExitError"));
    }
    let books = Books::read(&stage.lambda.history());
    assert_eq!((books.summaries, books.given_up()), (2, 0), "{books:?}");
}

//! The forwarder, as Lambda runs it, between a queue that checks signatures and a collector in every state: what failed comes
//! back and nothing else, and what did not has arrived once.

use std::path::PathBuf;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use opentelemetry_proto::tonic::common::v1::any_value;
use prost::Message as _;
use sandbox::{FunctionSpec, InvokeRequest, Lambda, LambdaConfig};
use serde_json::{Value, json};
use std::io::Write as _;
use tests::aws::Role;
use tests::collector::{Answer, Collector, Decoded, Reply, Request, SpanSeen};
use tests::otlp::{Ids, logs, metrics, span, traces};
use tests::queue::{Message, Queue};

const FORWARDER: &str = "forwarder";

/// The forwarder with everything around it.
struct World {
    lambda: Lambda,
    collector: Collector,
    queue: Queue,
    _sqs: Collector,
    /// Where its own spans go.
    own: Collector,
}

impl World {
    async fn start() -> Self {
        let (collector, sqs, own) = (Collector::start(), Collector::start(), Collector::start());
        // The sandbox's own, which stand before any that a function is given.
        let role = Role {
            key_id: "ASIASANDBOX000000000".to_owned(),
            secret_key: "not-a-secret".to_owned(),
            token: Some("not-a-token".to_owned()),
        };
        let queue = Queue::of(role).in_region("us-east-1");
        let answering = queue.clone();
        sqs.always(Answer::read(move |request| answering.answer(request)));
        let variables = [
            ("AWS_ENDPOINT_URL_SQS", sqs.endpoint()),
            ("QUEUE_URL", "https://sqs.us-east-1.amazonaws.com/111122223333/telemetry".to_owned()),
            ("COLLECTOR_URL", format!("{}/otlp", collector.endpoint())),
            ("COLLECTOR_HEADERS", "x-tenant=payments".to_owned()),
            ("COLLECTOR_TIMEOUT_MS", "1000".to_owned()),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", own.endpoint()),
            ("PREFREEZE_RECEIVER_UDS", "none".to_owned()),
        ];
        let lambda = Lambda::start(LambdaConfig::default()).await.expect("the sandbox starts");
        let spec = FunctionSpec {
            name: FORWARDER.to_owned(),
            command: vec![binary().into_os_string()],
            env: variables.map(|(name, value)| (name.to_owned(), value)).into(),
            timeout: Duration::from_secs(60),
            max_concurrency: 1,
            ..FunctionSpec::default()
        };
        lambda.create_function(spec).expect("it can be made");
        Self { lambda, collector, queue, _sqs: sqs, own }
    }

    /// What the forwarder answers to these messages, named by their places: the places of those that failed.
    async fn forward(&self, messages: &[Message], receives: u32) -> Vec<usize> {
        let records = messages.iter().enumerate();
        let records: Vec<_> =
            records.map(|(at, message)| message.record(&at.to_string(), receives)).collect();
        let request = InvokeRequest::json(&json!({ "Records": records }));
        let outcome = self.lambda.invoke(FORWARDER, request).await.expect("it can be invoked");
        assert_eq!(outcome.function_error, None, "{:?}", outcome.json());
        let answer = outcome.json();
        let failures = answer["batchItemFailures"].as_array().expect("there always is a list");
        let place =
            |failure: &Value| failure["itemIdentifier"].as_str().expect("an id").parse().expect("a place");
        let mut failed: Vec<usize> = failures.iter().map(place).collect();
        failed.sort_unstable();
        failed
    }

    /// The names of the spans that the collector took, sorted.
    fn names(&self) -> Vec<String> {
        let taken = self.collector.requests().into_iter().filter(Request::is_taken);
        let mut names: Vec<_> = taken.flat_map(|it| it.spans()).map(|seen| seen.span.name).collect();
        names.sort();
        names
    }

    /// The seconds that messages were postponed for, by receipt.
    fn postponed(&self) -> Vec<(String, u64)> {
        assert_eq!(self.queue.refused(), [""; 0]);
        let entries = self.queue.calls().into_iter().flat_map(|(action, input)| {
            assert_eq!(action, "ChangeMessageVisibilityBatch");
            input["Entries"].as_array().cloned().unwrap_or_default()
        });
        let read = |entry: Value| {
            let receipt = entry["ReceiptHandle"].as_str().expect("a receipt").to_owned();
            (receipt, entry["VisibilityTimeout"].as_u64().expect("seconds"))
        };
        entries.map(read).collect()
    }
}

fn binary() -> PathBuf {
    let own = std::env::current_exe().expect("a running test has a path");
    let folder = own.ancestors().nth(2).expect("it is in target/<profile>/deps");
    let binary = folder.join(FORWARDER);
    assert!(binary.exists(), "no {}: run `make test`", binary.display());
    binary
}

fn message(signal: &str, batch: &str, otlp: &[u8]) -> Message {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(otlp).expect("memory takes it");
    let mut body = Vec::new();
    wire::base64::encode_into(&packed.finish().expect("memory takes it"), &mut body);
    let attributes = [
        ("content-type", "application/x-protobuf"),
        ("content-encoding", "gzip"),
        ("signal", signal),
        ("prefreeze-batch", batch),
        ("service", "payments"),
    ];
    let attributes = attributes.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    Message { body: String::from_utf8(body).expect("base64 is text"), attributes }
}

/// A message with one span of this name.
fn of_span(number: usize) -> Message {
    let request = traces([span(&format!("span-{number}"), Ids::new(number as u64 + 1))]);
    message("traces", &format!("batch-{number}"), &request.encode_to_vec())
}

fn of_spans(count: usize) -> Vec<Message> {
    (0..count).map(of_span).collect()
}

fn names(numbers: impl IntoIterator<Item = usize>) -> Vec<String> {
    numbers.into_iter().map(|number| format!("span-{number}")).collect()
}

/// What no reader of protobuf takes.
fn poison() -> Message {
    message("traces", "poison", b"\xFF\xFF\xFF\xFF")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_becomes_one_request_for_each_signal() {
    let world = World::start().await;
    let mut messages = of_spans(4);
    messages.insert(1, message("logs", "batch-logs", &logs("hello").encode_to_vec()));
    messages.insert(3, message("metrics", "batch-metrics", &metrics("orders", 7).encode_to_vec()));
    messages.push(message("logs", "batch-more-logs", &logs("world").encode_to_vec()));
    // What `prefreeze doctor` sends.
    messages.push(message("traces", "batch-doctor", b""));
    assert_eq!(world.forward(&messages, 1).await, [0; 0]);
    let requests = world.collector.requests();
    let mut paths: Vec<_> = requests.iter().map(|request| &*request.path).collect();
    paths.sort_unstable();
    assert_eq!(paths, ["/otlp/v1/logs", "/otlp/v1/metrics", "/otlp/v1/traces"]);
    assert!(requests.iter().all(|request| request.headers.get("x-tenant") == Some("payments")));
    assert_eq!(world.names(), names(0..4));
    let records = requests.iter().filter_map(|request| match &request.decoded {
        Decoded::Logs(logs) => Some(logs.resource_logs.len()),
        _ => None,
    });
    assert_eq!(records.sum::<usize>(), 2, "two requests joined to one");
    assert_eq!(world.postponed(), []);
    // Its own spans, for whoever watches it: announced as they begin, and sent as they end.
    world.own.expect("its span", |state| counted(&state.spans()) == Some(8));
}

/// How many messages were delivered, by what the span of the invocation says.
fn counted(spans: &[SpanSeen]) -> Option<i64> {
    let own = spans.iter().filter(|seen| seen.span.name == "process telemetry");
    let mut attributes = own.flat_map(|seen| &seen.span.attributes);
    let found = attributes.find(|attribute| attribute.key == "forwarder.messages.delivered")?;
    match found.value.as_ref()?.value {
        Some(any_value::Value::IntValue(count)) => Some(count),
        _ => None,
    }
}

/// The status counts, whatever comes of the body; what part of it the collector rejects is rejected for good.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_taken_does_not_come_back() {
    for answer in [Answer::CutShort, Answer::partial_success(2, "too old"), Answer::status(202)] {
        let world = World::start().await;
        world.collector.answer([answer.clone()]);
        assert_eq!(world.forward(&of_spans(3), 1).await, [0; 0], "{answer:?}");
        assert_eq!(world.collector.requests().len(), 1, "{answer:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_collector_does_not_take_now_comes_back_later() {
    for answer in [
        Answer::status(429),
        Answer::status(503),
        Answer::status(401),
        Answer::status(404),
        Answer::Hold,
        Answer::Close,
    ] {
        let world = World::start().await;
        world.collector.always(answer.clone());
        assert_eq!(world.forward(&of_spans(12), 3).await, Vec::from_iter(0..12), "{answer:?}");
        assert_eq!(world.collector.requests().len(), 1, "it is asked once, and left alone: {answer:?}");
        let mut postponed = world.postponed();
        postponed.sort();
        let mut expected: Vec<_> = (0..12).map(|place| (format!("receipt-{place}"), 90)).collect();
        expected.sort();
        assert_eq!(postponed, expected, "{answer:?}");
        // It is back.
        world.collector.always(Answer::ok());
        assert_eq!(world.forward(&of_spans(12), 4).await, [0; 0]);
        let mut expected = names(0..12);
        expected.sort();
        assert_eq!(world.names(), expected, "each once: {answer:?}");
    }
}

/// A login page says 200 to everything, and has taken nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_web_page_is_no_collector() {
    let world = World::start().await;
    let page = Reply::new(200).header("Content-Type", "text/html; charset=utf-8").body("<!doctype html>");
    world.collector.always(Answer::Reply(page));
    assert_eq!(world.forward(&of_spans(3), 1).await, [0, 1, 2]);
}

/// Of ten messages one is no OTLP: the collector refuses whatever it is in.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_poisoned_message_fails_alone() {
    for place in [0, 4, 9] {
        let world = World::start().await;
        world.collector.always(Answer::Strict);
        let mut messages = of_spans(9);
        messages.insert(place, poison());
        assert_eq!(world.forward(&messages, 1).await, [place]);
        assert_eq!(world.names(), names(0..9), "the others once");
        assert_eq!(world.postponed(), [(format!("receipt-{place}"), 30)]);
        let requests = world.collector.requests().len();
        assert!(requests <= 9, "it is found by halves, not one by one: {requests}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_that_cannot_be_read_fails_alone() {
    let world = World::start().await;
    let mut messages = of_spans(4);
    messages[0].body = "no base64!".to_owned();
    messages[1].body = "bm8gZ3ppcA==".to_owned();
    messages[2].attributes.insert("signal".to_owned(), "profiles".to_owned());
    assert_eq!(world.forward(&messages, 1).await, [0, 1, 2]);
    assert_eq!(world.names(), names([3]));
}

/// Too much for the collector at once is parted until it is not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_large_together_arrives_in_parts() {
    let world = World::start().await;
    world.collector.always(Answer::read(|request| {
        if request.spans().len() > 3 { Answer::status(413) } else { Answer::ok() }
    }));
    assert_eq!(world.forward(&of_spans(10), 1).await, [0; 0]);
    assert_eq!(world.names(), names(0..10));
}

/// Refused, then taken by halves, until the collector has enough: the rest comes back, and nothing else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_has_arrived_before_the_collector_went_does_not_come_back() {
    let world = World::start().await;
    world.collector.answer([Answer::status(413), Answer::ok()]);
    world.collector.always(Answer::status(503));
    assert_eq!(world.forward(&of_spans(10), 1).await, [5, 6, 7, 8, 9]);
    assert_eq!(world.names(), names(0..5));
    // Another signal has nothing to do with it.
    world.collector.always_with(|request| {
        if request.path.ends_with("traces") { Answer::status(503) } else { Answer::ok() }
    });
    let messages = [of_span(20), message("logs", "batch-logs", &logs("hello").encode_to_vec()), of_span(21)];
    assert_eq!(world.forward(&messages, 1).await, [0, 2]);
}

/// SQS delivers twice what it delivers, an extension sends twice what it has no answer to: the collector gets it once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_comes_twice_is_sent_on_once() {
    let world = World::start().await;
    let messages = [of_span(0), of_span(1), of_span(0)];
    // While it has not arrived, it is no duplicate: one of them comes back.
    world.collector.answer([Answer::status(503)]);
    assert_eq!(world.forward(&messages, 1).await, [0, 1]);
    assert_eq!(world.forward(&messages, 2).await, [0; 0]);
    assert_eq!(world.forward(&[of_span(2), of_span(1)], 1).await, [0; 0]);
    assert_eq!(world.names(), names(0..3));
}

/// `forwarder redrive`, as a person runs it with credentials of one's own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redrive_moves_dead_letters_back() {
    let (sqs, role) = (Collector::start(), Role::named("PERSON"));
    let queue = Queue::of(role.clone());
    let answering = queue.clone();
    sqs.always(Answer::read(move |request| answering.answer(request)));
    let run = |arguments: &[&str]| {
        let mut command = std::process::Command::new(binary());
        command.args(arguments).env("AWS_REGION", "eu-west-1").env("AWS_ENDPOINT_URL_SQS", sqs.endpoint());
        command.env("AWS_ACCESS_KEY_ID", &role.key_id).env("AWS_SECRET_ACCESS_KEY", &role.secret_key);
        command.env("AWS_SESSION_TOKEN", role.token.as_deref().unwrap_or_default());
        command.output().expect("it runs")
    };
    let arn = "arn:aws:sqs:eu-west-1:111122223333:telemetry-dlq";
    let output = run(&["redrive", arn]);
    assert!(output.status.success(), "{output:?}");
    let expected = ("StartMessageMoveTask".to_owned(), json!({ "SourceArn": arn }));
    assert_eq!((queue.refused(), queue.calls()), (vec![], vec![expected]));
    for arguments in [&["redrive"][..], &["drive", arn], &["redrive", arn, "more"]] {
        assert!(!run(arguments).status.success(), "{arguments:?}");
    }
}

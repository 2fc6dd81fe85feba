//! A queue as the destination: each flush is a message that SQS takes, and nothing is lost between the function and the queue.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use prost::Message as _;
use tests::aws::Role;
use tests::collector::{Answer, Collector, Reply, Request};
use tests::otlp::{Ids, SpanExt, logs};
use tests::platform::{Platform, Reason, Script};
use tests::queue::{MESSAGE_BYTES_MAX, Message, Queue};

use super::signed::with_role;
use super::world::{World, span};

const ARN: &str = "arn:aws:sqs:eu-west-1:111122223333:telemetry";

fn role() -> Role {
    Role::named("PRODUCER")
}

/// An extension that sends everything to a queue, which `answer` stands for.
fn world(
    shape: impl FnOnce(Script) -> Script,
    answer: impl Fn(&Request) -> Answer + Send + Sync + 'static,
) -> World {
    let collector = Collector::start();
    collector.always(Answer::read(answer));
    let script = with_role(Script::new(), &role())
        .env("PREFREEZE_EXPORTER_OTLP_ENDPOINT", format!("sqs:{ARN}"))
        .env("AWS_ENDPOINT_URL_SQS", collector.endpoint())
        .env("PREFREEZE_METRICS", "none")
        .env("PREFREEZE_FLUSH", "end");
    let platform = Platform::ready(&shape(script));
    World { platform, collector }
}

fn names(messages: &[Message]) -> Vec<String> {
    let traces = messages.iter().filter(|message| message.attribute("signal") == "traces");
    let mut names: Vec<String> = traces.flat_map(Message::span_names).collect();
    names.sort();
    names
}

fn batches(messages: &[Message]) -> BTreeSet<String> {
    messages.iter().map(|message| message.attribute("prefreeze-batch").to_owned()).collect()
}

#[test]
fn each_flush_is_one_message_that_a_forwarder_can_read() {
    let queue = Queue::of(role());
    let answering = queue.clone();
    // The name has a letter that no message may have.
    let world = world(
        |script| script.env("OTEL_SERVICE_NAME", "pay\u{1}ments"),
        move |request| answering.answer(request),
    );
    for number in 1..=3 {
        world.invoke_well(&format!("r-{number}"), number);
    }
    let summary = world.close();
    let messages = queue.messages();
    assert_eq!((names(&messages), summary.dropped()), (vec!["r-1".into(), "r-2".into(), "r-3".into()], 0));
    assert_eq!((messages.len(), batches(&messages).len()), (3, 3));
    assert_eq!(queue.refused(), [""; 0]);
    for message in &messages {
        let attributes =
            ["content-type", "content-encoding", "signal", "service"].map(|name| message.attribute(name));
        assert_eq!(attributes, ["application/x-protobuf", "gzip", "traces", "payments"]);
    }
}

/// SQS has taken a message, and its answer is lost with the connection: the batch is sent again as it was, under its name.
#[test]
fn a_batch_that_is_sent_again_has_its_name_again() {
    let queue = Queue::of(role());
    let (answering, lost) = (queue.clone(), AtomicUsize::new(0));
    let world = world(
        |script| script,
        move |request| {
            let answer = answering.answer(request);
            if lost.fetch_add(1, Ordering::SeqCst) < 1 { Answer::Close } else { answer }
        },
    );
    for number in 1..=3 {
        world.invoke_well(&format!("r-{number}"), number);
    }
    world.close();
    let messages = queue.messages();
    assert_eq!(names(&messages), ["r-1", "r-1", "r-2", "r-3"]);
    assert_eq!(batches(&messages).len(), 3, "{messages:?}");
}

/// Spans and log records that gzip can do little with: three megabytes of them. A queue that was set to take less says so, and
/// spans are parted further.
#[test]
fn much_becomes_messages_within_the_limit_with_their_attributes() {
    for (bytes_max, record_count) in [(MESSAGE_BYTES_MAX, 500), (256 << 10, 50)] {
        let queue = Queue::of(role()).with_bytes_max(bytes_max);
        let answering = queue.clone();
        let world = world(
            |script| {
                let script = script.env("PREFREEZE_BUFFER_BYTES", "33554432");
                // The queue takes its time to check so much, as it was built for tests.
                let script = script.env("PREFREEZE_FLUSH_TIMEOUT_MS", "30000");
                script.env("OTEL_SERVICE_NAME", "é".repeat(300))
            },
            move |request| answering.answer(request),
        );
        world.invoke("r-1");
        let spans = (0..900_u64).map(|number| {
            span("many", Ids::new(7).sibling(number + 1)).with_text("noise", &noise(number, 2_000))
        });
        let spans: Vec<_> = spans.collect();
        spans.chunks(300).for_each(|spans| world.post_spans(spans.to_vec()));
        let mut request = logs("");
        let records = &mut request.resource_logs[0].scope_logs[0].log_records;
        let record = records[0].clone();
        *records =
            (0..record_count).map(|number| with_body(&record, noise(10_000 + number, 2_000))).collect();
        assert_eq!(world.post("/v1/logs", &request.encode_to_vec()).status, 200);
        world.runtime_done("r-1");
        world.platform.wait_next();
        let summary = world.close();
        // What a slow queue had not answered in time comes twice, under one name.
        let mut names_seen = BTreeSet::new();
        let mut messages = queue.messages();
        messages.retain(|message| names_seen.insert(message.attribute("prefreeze-batch").to_owned()));
        assert_eq!((summary.dropped(), summary.count("held")), (0, 0), "{}", summary.0);
        assert_eq!(names(&messages).iter().filter(|name| *name == "many").count(), 900);
        let records: usize =
            messages.iter().filter(|it| it.attribute("signal") == "logs").map(records_in).sum();
        assert_eq!(records as u64, record_count);
        let largest = messages.iter().map(Message::size).max().expect("there are some");
        assert!(largest <= bytes_max, "{largest}");
        if bytes_max == MESSAGE_BYTES_MAX {
            assert_eq!(queue.refused(), [""; 0], "what SQS takes is met without asking");
        }
    }
}

fn with_body(
    record: &opentelemetry_proto::tonic::logs::v1::LogRecord,
    text: String,
) -> opentelemetry_proto::tonic::logs::v1::LogRecord {
    use opentelemetry_proto::tonic::common::v1::{AnyValue, any_value::Value};
    let body = Some(AnyValue { value: Some(Value::StringValue(text)) });
    opentelemetry_proto::tonic::logs::v1::LogRecord { body, ..record.clone() }
}

fn records_in(message: &Message) -> usize {
    let request = ExportLogsServiceRequest::decode(&*message.otlp()).expect("OTLP");
    let scopes = request.resource_logs.iter().flat_map(|resource| &resource.scope_logs);
    scopes.map(|scope| scope.log_records.len()).sum()
}

/// Letters without a pattern, the same for each seed.
fn noise(seed: u64, length: usize) -> String {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let letter = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b'!' + (state % 90) as u8)
    };
    (0..length).map(letter).collect()
}

/// What a queue refuses until somebody mends it is held, and the cause is said.
#[test]
fn what_a_queue_does_not_take_yet_is_held() {
    for (error, cause) in [
        ("QueueDoesNotExist", "queue_not_found"),
        ("AccessDeniedException", "queue_denied"),
        ("KmsDisabled", "queue_denied"),
    ] {
        let queue = Queue::of(role());
        let (answering, is_mended) = (queue.clone(), Arc::new(AtomicBool::new(false)));
        let switch = is_mended.clone();
        let world = world(
            |script| script,
            move |request| {
                if switch.load(Ordering::SeqCst) {
                    return answering.answer(request);
                }
                let body = format!(r#"{{"__type":"com.amazonaws.sqs#{error}","message":"no"}}"#);
                Answer::Reply(Reply::new(400).body(body))
            },
        );
        for number in 1..=3 {
            world.invoke_well(&format!("r-{number}"), number);
        }
        let line = &world.platform.expect_log("export_refused", 1)[0];
        assert_eq!((&line["cause"], &line["error"]), (&cause.into(), &error.into()), "{line}");
        is_mended.store(true, Ordering::SeqCst);
        world.end(Reason::Spindown);
        assert_eq!((world.summary().dropped(), names(&queue.messages()).len()), (0, 3), "{error}");
    }
}

/// A queue as a further destination: both get everything, each as it takes it.
#[test]
fn a_queue_beside_a_backend_gets_the_same() {
    let (backend, queue) = (Collector::start(), Queue::of(role()));
    let answering = queue.clone();
    let list = format!(r#"[{{"name":"buffer","endpoint":"sqs:{ARN}"}}]"#);
    let url = backend.endpoint();
    let world = world(
        |script| {
            let script = script.env("PREFREEZE_EXPORTER_OTLP_ENDPOINT", url);
            script.env("PREFREEZE_DESTINATIONS", list)
        },
        move |request| answering.answer(request),
    );
    for number in 1..=3 {
        world.invoke_well(&format!("r-{number}"), number);
    }
    world.close();
    let mut at_backend: Vec<String> = backend.spans().into_iter().map(|seen| seen.span.name).collect();
    at_backend.sort();
    assert_eq!(
        (names(&queue.messages()), at_backend.clone()),
        (at_backend, vec!["r-1".into(), "r-2".into(), "r-3".into()])
    );
}

/// The only way to see that the role may send is to send: a message with nothing in it for each signal.
#[test]
fn the_doctor_asks_the_queue() {
    for (is_there, sentence) in
        [(true, "well, it took a message with nothing in it"), (false, "queue_not_found (status 400)")]
    {
        let (collector, queue) = (Collector::start(), Queue::of(role()));
        let answering = queue.clone();
        collector.always(Answer::read(move |request| {
            let gone = r#"{"__type":"com.amazonaws.sqs#QueueDoesNotExist"}"#;
            if is_there { answering.answer(request) } else { Answer::Reply(Reply::new(400).body(gone)) }
        }));
        let script = with_role(Script::new(), &role())
            .env("PREFREEZE_EXPORTER_OTLP_ENDPOINT", format!("sqs:{ARN}"))
            .env("AWS_ENDPOINT_URL_SQS", collector.endpoint());
        let output = script.run(&["doctor"]);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let url = "sqs:https://sqs.eu-west-1.amazonaws.com/111122223333/telemetry";
        assert!(text.contains(&format!("traces: {url}: {sentence}")), "{text}");
        assert_eq!(output.status.success(), is_there, "{text}");
        assert!(queue.messages().iter().all(|message| message.otlp().is_empty()));
        assert_eq!(queue.messages().len(), if is_there { 3 } else { 0 }, "one for each signal");
    }
}

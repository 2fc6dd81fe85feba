//! The mapping against a stub of SQS: what it asks, when it invokes, and what it deletes.

use std::{
    cell::RefCell,
    collections::VecDeque,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use serde_json::{Value, json};
use tokio::sync::Notify;

use super::*;

const ARN: &str = "arn:aws:sqs:us-east-1:000000000000:payments";

/// SQS as far as a mapping sees it: answers each poll with the next batch, then with nothing; records all.
struct Stub {
    url: String,
    seen: Arc<Mutex<Vec<(String, Value)>>>,
}

enum Answer {
    Messages(Vec<&'static str>),
    Refuse,
    HangUp,
}

impl Stub {
    fn start(answers: Vec<Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let url = format!("http://{}/000000000000/payments", listener.local_addr().expect("it is bound"));
        let seen = Arc::<Mutex<Vec<_>>>::default();
        let log = Arc::clone(&seen);
        thread::spawn(move || {
            let mut answers = VecDeque::from(answers);
            for stream in listener.incoming() {
                let mut stream = stream.expect("loopback accepts");
                let (action, input) = read_request(&stream);
                let answer =
                    if action == "DeleteMessageBatch" { deleted(&input) } else { poll(&mut answers) };
                log.lock().expect("no test panics with it").push((action, input));
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        Self { url, seen }
    }

    fn mapping(&self) -> EventSourceMapping {
        EventSourceMapping::new(&self.url, ARN)
    }

    fn inputs(&self, action: &str) -> Vec<Value> {
        let seen = self.seen.lock().expect("no test panics with it");
        seen.iter().filter(|(a, _)| a == action).map(|(_, input)| input.clone()).collect()
    }

    fn deleted_handles(&self) -> Vec<String> {
        let inputs = self.inputs("DeleteMessageBatch");
        let entries = inputs.iter().flat_map(|input| input["Entries"].as_array().expect("it has entries"));
        entries.map(|entry| entry["ReceiptHandle"].as_str().expect("it has a handle").to_owned()).collect()
    }
}

fn read_request(stream: &TcpStream) -> (String, Value) {
    let mut reader = BufReader::new(stream);
    let (mut action, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).expect("the mapping sends whole requests");
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length: ") {
            length = value.parse().expect("it is a number");
        }
        if let Some(target) = line.strip_prefix("x-amz-target: amazonsqs.") {
            action =
                if target == "receivemessage" { "ReceiveMessage" } else { "DeleteMessageBatch" }.to_owned();
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).expect("the body is complete");
    (action, serde_json::from_slice(&body).expect("the body is JSON"))
}

fn poll(answers: &mut VecDeque<Answer>) -> String {
    match answers.pop_front().unwrap_or(Answer::Messages(vec![])) {
        Answer::Messages(ids) => {
            respond(200, &json!({ "Messages": ids.into_iter().map(message).collect::<Vec<_>>() }))
        }
        Answer::Refuse => respond(400, &json!({ "__type": "QueueDoesNotExist", "message": "no such queue" })),
        Answer::HangUp => String::new(),
    }
}

fn message(id: &str) -> Value {
    json!({ "MessageId": id, "ReceiptHandle": format!("handle-{id}"), "Body": id, "MD5OfBody": "",
            "Attributes": { "ApproximateReceiveCount": "1" } })
}

fn deleted(input: &Value) -> String {
    respond(200, &json!({ "Successful": input["Entries"], "Failed": [] }))
}

fn respond(status: u16, body: &Value) -> String {
    let body = body.to_string();
    format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
}

/// Runs the mapping until the function was invoked as often as there are answers; says what it was given.
async fn run(
    mapping: EventSourceMapping,
    answers: Vec<Result<&'static str, &'static str>>,
) -> (Vec<Vec<String>>, Summary) {
    let batches = RefCell::new(Vec::new());
    let answers = RefCell::new(VecDeque::from(answers));
    let done = Notify::new();
    let invoke = async |event: Bytes| {
        let event: Value = serde_json::from_slice(&event).expect("the event is JSON");
        let records = event["Records"].as_array().expect("it has records");
        let ids = records.iter().map(|record| record["messageId"].as_str().expect("it has an id").to_owned());
        batches.borrow_mut().push(ids.collect::<Vec<_>>());
        let answer = answers.borrow_mut().pop_front().expect("no more invocations than answers");
        if answers.borrow().is_empty() {
            done.notify_one();
        }
        answer.map(Bytes::from)
    };
    let summary = mapping.run(invoke, done.notified()).await;
    (batches.into_inner(), summary)
}

#[tokio::test]
async fn what_succeeds_is_deleted() {
    let stub = Stub::start(vec![Answer::Messages(vec!["a", "b"])]);
    let (batches, summary) = run(stub.mapping(), vec![Ok(r#"{"batchItemFailures":[]}"#)]).await;

    assert_eq!(batches, [["a", "b"]]);
    assert_eq!(stub.deleted_handles(), ["handle-a", "handle-b"]);
    assert_eq!(summary, Summary { batches: 1, messages: 2, deleted: 2, ..Summary::default() });
}

#[tokio::test]
async fn what_is_reported_failed_is_left_to_reappear() {
    let stub = Stub::start(vec![Answer::Messages(vec!["a", "b", "c"])]);
    let (_, summary) =
        run(stub.mapping(), vec![Ok(r#"{"batchItemFailures":[{"itemIdentifier":"b"}]}"#)]).await;

    assert_eq!(stub.deleted_handles(), ["handle-a", "handle-c"]);
    assert_eq!((summary.deleted, summary.returned), (2, 1));
}

#[tokio::test]
async fn without_partial_responses_any_answer_is_success() {
    let stub = Stub::start(vec![Answer::Messages(vec!["a"])]);
    let mapping = EventSourceMapping { reports_item_failures: false, ..stub.mapping() };
    let (_, summary) = run(mapping, vec![Ok(r#"{"batchItemFailures":[{"itemIdentifier":"a"}]}"#)]).await;

    assert_eq!((summary.deleted, summary.returned), (1, 0));
}

#[tokio::test]
async fn a_failed_invocation_returns_the_batch_and_polling_goes_on() {
    let stub = Stub::start(vec![Answer::Messages(vec!["a", "b"]), Answer::Messages(vec!["c"])]);
    let (batches, summary) = run(stub.mapping(), vec![Err("Task timed out"), Ok("")]).await;

    assert_eq!(batches, [vec!["a", "b"], vec!["c"]]);
    assert_eq!(stub.deleted_handles(), ["handle-c"]);
    assert_eq!((summary.deleted, summary.returned), (1, 2));
}

#[tokio::test]
async fn a_window_gathers_and_a_full_batch_does_not_wait_for_it() {
    let polls =
        || vec![Answer::Messages(vec!["a"]), Answer::Messages(vec![]), Answer::Messages(vec!["b", "c"])];
    let window = Duration::from_millis(500);

    let stub = Stub::start(polls());
    let mapping = EventSourceMapping { batching_window: window, ..stub.mapping() };
    let (batches, _) = run(mapping, vec![Ok("")]).await;
    assert_eq!(batches, [["a", "b", "c"]]);

    let stub = Stub::start(polls());
    let mapping =
        EventSourceMapping { batching_window: Duration::from_secs(300), batch_size: 3, ..stub.mapping() };
    let (batches, _) = run(mapping, vec![Ok("")]).await;
    assert_eq!(batches, [["a", "b", "c"]]);
}

#[tokio::test]
async fn polls_ask_for_what_fits() {
    let stub = Stub::start(vec![Answer::Messages(vec!["a"])]);
    let mapping = EventSourceMapping {
        batch_size: 3,
        batching_window: Duration::from_millis(80),
        visibility_timeout: Some(Duration::from_secs(18)),
        ..stub.mapping()
    };
    run(mapping, vec![Ok("")]).await;

    let polls = stub.inputs("ReceiveMessage");
    let asked = |i: usize| (polls[i]["MaxNumberOfMessages"].clone(), polls[i]["WaitTimeSeconds"].clone());
    assert_eq!(asked(0), (json!(3), json!(20)));
    assert_eq!(asked(1), (json!(2), json!(0)));
    assert_eq!(polls[0]["VisibilityTimeout"], json!(18));
    assert_eq!(polls[0]["MessageSystemAttributeNames"], json!(["All"]));
    assert_eq!(polls[0]["MessageAttributeNames"], json!(["All"]));
}

#[tokio::test]
async fn a_poll_that_fails_is_tried_again() {
    let stub = Stub::start(vec![Answer::Refuse, Answer::HangUp, Answer::Messages(vec!["a"])]);
    let (batches, summary) = run(stub.mapping(), vec![Ok("")]).await;

    assert_eq!(batches, [["a"]]);
    assert_eq!(summary.errors, 2);
    assert!(summary.last_error.is_some());
}

#[tokio::test]
async fn a_queue_that_is_not_local_is_refused() {
    let mapping = EventSourceMapping::new("https://sqs.us-east-1.amazonaws.com/1/q", ARN);
    let invoke = async |event| Ok::<_, &str>(event);
    let summary = mapping.run(invoke, std::future::pending()).await;
    assert_eq!(summary.errors, 1);
}

#[tokio::test]
async fn it_stops_while_the_queue_is_empty() {
    let stub = Stub::start(vec![]);
    let invoke = async |event| Ok::<_, &str>(event);
    let stop = tokio::time::sleep(Duration::from_millis(30));
    let summary = stub.mapping().run(invoke, stop).await;
    assert_eq!(summary, Summary::default());
}

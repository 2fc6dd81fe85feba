//! A Lambda function that sends spans and then behaves as its event says; it writes down what was accepted of them.

use std::env;
use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use flate2::Compression;
use flate2::write::GzEncoder;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use serde_json::{Value, json};
use tests::http1::{Connection, Headers, Response, send, send_on};
use tests::otlp::{Ids, SpanExt, server_span, span, traces};

const RUNTIME: &str = "/2018-06-01/runtime/invocation";

/// The variable that makes every init fail, once the gate that it names is open.
const FAIL_EVERY_INIT: &str = "FAIL_EVERY_INIT";

/// The trailer in which a stream says that it failed.
const ERROR_TYPE: &str = "Lambda-Runtime-Function-Error-Type";

/// Far beyond what a receiver may unpack: a gigabyte, in members of one mebibyte.
const BOMB_MEMBERS: usize = 1024;

fn main() {
    if env::var_os("FAIL_FIRST_INIT").is_some() && File::create_new(scratch("init-failed")).is_ok() {
        process::exit(1);
    }
    if let Ok(gate) = env::var(FAIL_EVERY_INIT) {
        wait_at(&gate);
        process::exit(1);
    }
    if env::var_os("HANG_IN_FIRST_INIT").is_some() && File::create_new(scratch("init-hung")).is_ok() {
        hang();
    }
    // On Managed Instances, each of so many workers waits for an invocation of its own.
    let workers = env::var("AWS_LAMBDA_MAX_CONCURRENCY").map_or(1, |text| text.parse().expect("a number"));
    for _ in 1..workers {
        thread::spawn(|| work());
    }
    work()
}

fn work() -> ! {
    loop {
        let next = call("GET", "next", b"");
        let request_id =
            next.headers.get("lambda-runtime-aws-request-id").expect("every invocation has an id");
        let event: Value = serde_json::from_slice(&next.body).expect("the test sends JSON");
        handle(request_id, &event);
    }
}

fn handle(request_id: &str, event: &Value) {
    let word = |key: &str| event[key].as_str().unwrap_or_default();
    let sender =
        Sender { name: word("name"), root: Ids::new(event["seed"].as_u64().unwrap_or(1)), request_id };
    let gate = |moment: &str| event["gate"][moment].as_str().into_iter().for_each(wait_at);
    gate("before sending");
    sender.send(word("send"));
    gate("after sending");
    match word("end") {
        "exit" => process::exit(7),
        "exit0" => process::exit(0),
        "abort" => process::abort(),
        "grow" => grow(),
        // The platform refuses to hand out another event before it has an answer to this one.
        "forget" => return,
        "hang" => hang(),
        "error" => fail(request_id),
        "tear" => tear(request_id),
        "large" => respond(request_id, 3 << 20),
        // Lambda takes 6 MiB and a hundred bytes.
        "too large" => respond(request_id, (6 << 20) + 101),
        _ => respond(request_id, 0),
    }
    match word("end") {
        "respond, exit" => process::exit(7),
        "respond, hang" => hang(),
        _ => {}
    }
    gate("after responding");
    if word("send") == "late" {
        sender.post_spans(vec![sender.child(1)]);
    }
}

fn hang() -> ! {
    loop {
        thread::park();
    }
}

/// Says that all is well, in a document of at least so many bytes: JSON may have blanks after it.
fn respond(request_id: &str, bytes: usize) {
    let mut body = json!("ok").to_string().into_bytes();
    body.resize(body.len().max(bytes), b' ');
    call("POST", &format!("{request_id}/response"), &body);
}

/// What a handler that throws is to its runtime.
fn fail(request_id: &str) {
    let error = json!({ "errorType": "OutOfStock", "errorMessage": "there is none left" });
    call("POST", &format!("{request_id}/error"), error.to_string().as_bytes());
}

/// Begins a stream, and ends it with an error in its trailer.
fn tear(request_id: &str) {
    let api = env::var("AWS_LAMBDA_RUNTIME_API").expect("the sandbox sets it");
    let mut connection = Connection::new(TcpStream::connect(api).expect("the API listens"));
    let head = format!(
        "POST {RUNTIME}/{request_id}/response HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\
         Lambda-Runtime-Function-Response-Mode: streaming\r\nTrailer: {ERROR_TYPE}\r\n\r\n"
    );
    connection.write(format!("{head}4\r\nhalf\r\n").as_bytes()).expect("the API reads");
    connection.write(format!("0\r\n{ERROR_TYPE}: OutOfStock\r\n\r\n").as_bytes()).expect("the API reads");
    connection.read_head().expect("the API answers");
}

/// Whoever opens the gate closes the connection.
fn wait_at(gate: &str) {
    let mut gate = TcpStream::connect(gate).expect("the test listens");
    let _ = gate.read(&mut [0]);
}

/// Sends the spans of one invocation, in several ways.
struct Sender<'a> {
    name: &'a str,
    root: Ids,
    request_id: &'a str,
}

impl Sender<'_> {
    fn send(&self, how: &str) {
        match how {
            "nothing" => {}
            "child" => self.post_spans(vec![self.child(1)]),
            "announced" => {
                self.announce();
                self.post_spans(vec![self.child(1)]);
            }
            "late" => self.post_spans(vec![self.server()]),
            "many" => {
                for thousand in 0..10 {
                    self.post_spans((0..1000).map(|one| self.child(1 + thousand * 1000 + one)).collect());
                }
                self.finish();
            }
            "garbage" => {
                self.post(1, &[("Content-Type", "application/x-protobuf")], &[0xff; 64]);
                self.finish();
            }
            "bomb" => {
                let headers = [("Content-Type", "application/x-protobuf"), ("Content-Encoding", "gzip")];
                self.post(1, &headers, &bomb());
                self.finish();
            }
            "half" => {
                self.post_half();
                self.finish();
            }
            "json" => {
                let body = self.json().to_string();
                self.post(1, &[("Content-Type", "application/json")], body.as_bytes());
                self.finish();
            }
            "twice" => {
                self.post_spans(vec![self.child(1)]);
                self.post_spans(vec![self.child(1)]);
                self.finish();
            }
            _ => {
                // In one request, so that nothing hangs on where a batch ends.
                self.post_spans(vec![self.child(1), self.child(2), self.server()]);
            }
        }
    }

    /// The span that ends the invocation.
    fn finish(&self) {
        self.post_spans(vec![self.server()]);
    }

    /// Says that its span has begun, so that whoever adopts its children knows which invocation they are of.
    fn announce(&self) {
        let receiver = env::var("PREFREEZE_RECEIVER_HTTP").expect("the test sets it");
        let headers = Headers::from([("Content-Type", "application/x-protobuf")]);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_nanos() as u64;
        let begun = traces(vec![self.server().with_times(now, 0)]).encode_to_vec();
        let answer = send(receiver, "POST", "/v1/started", &headers, &begun).expect("the extension answers");
        assert_eq!(answer.status, 200, "what begins is always taken");
    }

    /// It ends as it is sent: a span that had ended long before would be no end to wait for.
    fn server(&self) -> Span {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_nanos() as u64;
        server_span(self.name, self.root, self.request_id).with_times(now - 1_000_000, now)
    }

    fn child(&self, number: u64) -> Span {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_nanos() as u64;
        span(self.name, self.root.sibling(number)).with_parent(self.root).with_times(now, now + 1_000)
    }

    fn json(&self) -> Value {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let child = self.child(1);
        let span = json!({
            "traceId": hex(&child.trace_id),
            "spanId": hex(&child.span_id),
            "parentSpanId": hex(&child.parent_span_id),
            "name": child.name,
            "kind": 1,
            "startTimeUnixNano": child.start_time_unix_nano.to_string(),
            "endTimeUnixNano": child.end_time_unix_nano.to_string(),
        });
        json!({ "resourceSpans": [{ "scopeSpans": [{ "spans": [span] }] }] })
    }

    /// The connection stays open for as long as the function lives.
    fn post_half(&self) {
        let receiver = env::var("PREFREEZE_RECEIVER_HTTP").expect("the test sets it");
        let mut connection = TcpStream::connect(receiver).expect("the extension listens");
        let head = "POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\n";
        let head = format!("{head}Content-Length: 100\r\n\r\n");
        connection.write_all(head.as_bytes()).expect("the extension reads");
        connection.write_all(&[0x0a; 50]).expect("the extension reads");
        std::mem::forget(connection);
    }

    fn post_spans(&self, spans: Vec<Span>) {
        let count = spans.len();
        self.post(count, &[("Content-Type", "application/x-protobuf")], &traces(spans).encode_to_vec());
    }

    fn post(&self, spans: usize, headers: &[(&str, &str)], body: &[u8]) {
        let receiver = env::var("PREFREEZE_RECEIVER_HTTP").expect("the test sets it");
        let headers = headers.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let word = match send(receiver, "POST", "/v1/traces", &Headers(headers), body) {
            Ok(answer) if answer.status == 200 => "accepted".to_owned(),
            Ok(answer) => format!("refused-{}", answer.status),
            Err(_) => "unheard".to_owned(),
        };
        println!("{}", json!({ "invocation": self.name, "spans": spans, "answer": word }));
    }
}

/// Takes memory, a megabyte at a time, until somebody ends it.
fn grow() -> ! {
    let mut held = Vec::new();
    loop {
        held.push(vec![1_u8; 1 << 20]);
        thread::sleep(Duration::from_micros(200));
    }
}

/// Members that follow one another are one body.
fn bomb() -> Vec<u8> {
    let mut member = GzEncoder::new(Vec::new(), Compression::default());
    member.write_all(&vec![0; 1 << 20]).expect("memory takes it");
    member.finish().expect("memory takes it").repeat(BOMB_MEMBERS)
}

/// One call of the Runtime API; `/next` is answered when there is an event, however late.
fn call(method: &str, path: &str, body: &[u8]) -> Response {
    let api = env::var("AWS_LAMBDA_RUNTIME_API").expect("the sandbox sets it");
    let mut connection = Connection::new(TcpStream::connect(api).expect("the API listens"));
    send_on(&mut connection, method, &format!("{RUNTIME}/{path}"), &Headers::default(), body)
        .expect("the API answers")
}

fn scratch(name: &str) -> PathBuf {
    PathBuf::from(env::var_os("TMPDIR").expect("the sandbox sets it")).join(name)
}

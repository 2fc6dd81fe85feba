//! The invoke endpoint, byte by byte.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::harness::{Harness, act};

struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    fn header(&self, name: &str) -> Option<&str> {
        let matches =
            |line: &&str| line.to_ascii_lowercase().starts_with(&format!("{}:", name.to_ascii_lowercase()));
        self.head.lines().find(matches).map(|line| line.split_once(':').unwrap().1.trim())
    }
}

async fn post(harness: &Harness, path: &str, headers: &str, body: &str) -> Answer {
    let endpoint = harness.lambda.endpoint();
    let address = endpoint.strip_prefix("http://").unwrap();
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let length = body.len();
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
    );
    // A refusal may come before everything is written.
    let _ = stream.write_all(request.as_bytes()).await;
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    Answer { status: head.split(' ').nth(1).unwrap().parse().unwrap(), head: head.into(), body: body.into() }
}

fn invocations(function: &str) -> String {
    format!("/2015-03-31/functions/{function}/invocations")
}

#[tokio::test]
async fn a_success_has_the_headers_of_lambda() {
    let harness = Harness::start().await;
    harness.create(&[("tracer", "")]);
    let context = "X-Amz-Client-Context: eyJrIjoxfQ==\r\nX-Amzn-Trace-Id: Root=1-68a0c1d2-0;Sampled=1\r\n";
    let answer = post(&harness, &invocations("f"), context, &act("echo").to_string()).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.header("X-Amz-Executed-Version"), Some("$LATEST"));
    assert_eq!(answer.header("x-amzn-RequestId").unwrap().len(), 36);
    assert_eq!(answer.header("X-Amz-Function-Error"), None);
    let seen = answer.json();
    assert_eq!(
        (&seen["context"], &seen["trace"]),
        (&json!("{\"k\":1}"), &json!("Root=1-68a0c1d2-0;Sampled=1"))
    );
    harness.end().await;
}

#[tokio::test]
async fn errors_of_the_function_are_200_and_marked() {
    let harness = Harness::start().await;
    harness.create(&[]);
    let answer =
        post(&harness, &invocations("f"), "X-Amz-Log-Type: Tail\r\n", &act("error").to_string()).await;
    assert_eq!((answer.status, answer.header("X-Amz-Function-Error")), (200, Some("Unhandled")));
    assert_eq!(answer.json()["errorType"], "ValueError");
    let answer = post(&harness, &invocations("f"), "X-Amz-Log-Type: Tail\r\n", &act("log").to_string()).await;
    assert_eq!(answer.header("X-Amz-Log-Result"), Some("bGluZSAw"), "base64 of `line 0`");
    harness.end().await;
}

#[tokio::test]
async fn types_of_invocation() {
    let harness = Harness::start().await;
    harness.create(&[]);
    let body = act("echo").to_string();
    let event = post(&harness, &invocations("f"), "X-Amz-Invocation-Type: Event\r\n", &body).await;
    assert_eq!((event.status, event.body.as_str()), (202, ""));
    harness.idle().await;
    assert_eq!(harness.lambda.records().len(), 1);
    let dry = post(&harness, &invocations("f"), "X-Amz-Invocation-Type: DryRun\r\n", &body).await;
    assert_eq!(dry.status, 204);
    harness.idle().await;
    assert_eq!(harness.lambda.records().len(), 1, "nothing ran");
    harness.end().await;
}

#[tokio::test]
async fn names_arns_and_qualifiers() {
    let harness = Harness::start().await;
    harness.create(&[]);
    let arn = "arn%3Aaws%3Alambda%3Aus-east-1%3A123456789012%3Afunction%3Af";
    for (path, suffix) in [
        (invocations("f"), ""),
        (invocations(arn), ""),
        (invocations("f:live"), ":live"),
        (invocations("f") + "?Qualifier=blue", ":blue"),
    ] {
        let seen = post(&harness, &path, "", "{}").await.json();
        assert_eq!(seen["arn"], format!("arn:aws:lambda:us-east-1:123456789012:function:f{suffix}"));
    }
    harness.end().await;
}

#[tokio::test]
async fn refusals_are_named() {
    let harness = Harness::start().await;
    harness.create(&[]);
    let large = format!("\"{}\"", "x".repeat(6 * 1024 * 1024 + 200));
    let cases = [
        (invocations("nobody"), "{}", 404, "ResourceNotFoundException"),
        (invocations("f"), "not json", 400, "InvalidRequestContentException"),
        (invocations("f"), large.as_str(), 413, "RequestTooLargeException"),
        ("/elsewhere".to_owned(), "{}", 404, "UnknownOperationException"),
    ];
    for (path, body, status, code) in cases {
        let answer = post(&harness, &path, "", body).await;
        assert_eq!((answer.status, answer.header("x-amzn-ErrorType")), (status, Some(code)));
    }
    harness.end().await;
}

#[tokio::test]
async fn a_stream_is_chunked() {
    let harness = Harness::start().await;
    harness.create(&[]);
    let body = json!({"do": "stream", "chunks": 2, "ms": 20}).to_string();
    let answer = post(&harness, &invocations("f"), "", &body).await;
    assert_eq!(answer.header("Transfer-Encoding"), Some("chunked"));
    assert!(answer.body.contains("chunk 0;") && answer.body.ends_with("0\r\n\r\n"), "{}", answer.body);
    harness.end().await;
}

//! Requests as a function sends them, made without a clock or chance: the same bytes on every machine.

use std::fmt::Write;

use bytes::Bytes;
use guard::{Attributes, Guard, Limits, Redaction, Rules};
use policy::Signal;
use wire::otlp;

/// No payload here comes near it.
const PAYLOAD_MAX: usize = 1 << 20;

/// The request id that the last span of [`traces`] names.
pub(crate) const REQUEST_ID: &str = "8a9b1c2d-0000-4000-8000-000000000001";

/// `count` spans of twelve attributes, the last of which is the invocation's own, as protobuf.
pub(crate) fn traces(count: u64) -> Bytes {
    let bytes = otlp::from_json(Signal::Traces, traces_json(count).as_bytes(), PAYLOAD_MAX);
    bytes.expect("the payload is OTLP/JSON").into()
}

/// The same as JSON.
pub(crate) fn traces_json(count: u64) -> String {
    let spans: Vec<String> = (1..=count).map(|index| span(index, index == count)).collect();
    let resource = attributes(&[("service.name", "payments"), ("service.version", "1.4.2")]);
    format!(
        r#"{{"resourceSpans":[{{"resource":{{"attributes":[{resource}]}},"scopeSpans":[{{"scope":{{"name":"opentelemetry.instrumentation.requests","version":"0.61b0"}},"spans":[{}]}}]}}]}}"#,
        spans.join(",")
    )
}

fn span(index: u64, is_entry: bool) -> String {
    let start = 1_790_000_000_000_000_000 + index * 1_000_003;
    let end = start + 4_000_037;
    let (kind, own) =
        if is_entry { (2, ("faas.invocation_id", REQUEST_ID)) } else { (3, ("peer.service", "cards")) };
    // Sampled, and it is known whether the parent is of another process: that of the invocation's own span is.
    let flags = if is_entry { 0x301 } else { 0x101 };
    let known = attributes(&[
        own,
        ("http.request.method", "POST"),
        ("url.full", "https://cards.example.com/v2/authorizations?currency=EUR"),
        ("server.address", "cards.example.com"),
        ("network.protocol.version", "1.1"),
        ("user_agent.original", "python-requests/2.32.5"),
        ("payment.method", "card"),
        ("payment.currency", "EUR"),
    ]);
    format!(
        r#"{{"traceId":"5b8efff798038103d269b633813fc60c","spanId":"{index:016x}","parentSpanId":"eee19b7ec3c1b174","flags":{flags},"name":"POST","kind":{kind},"startTimeUnixNano":"{start}","endTimeUnixNano":"{end}","attributes":[{known},{numbers}]}}"#,
        numbers = numbers(index),
    )
}

fn numbers(index: u64) -> String {
    let mut text = String::new();
    for (key, value) in
        [("server.port", 443), ("http.response.status_code", 200), ("payment.amount", 1_999 + index)]
    {
        let _ = write!(text, r#"{{"key":"{key}","value":{{"intValue":"{value}"}}}},"#);
    }
    text + r#"{"key":"payment.score","value":{"doubleValue":0.25}}"#
}

fn attributes(pairs: &[(&str, &str)]) -> String {
    let texts =
        pairs.iter().map(|(key, value)| format!(r#"{{"key":"{key}","value":{{"stringValue":"{value}"}}}}"#));
    texts.collect::<Vec<_>>().join(",")
}

/// Receives a request of so many bytes that has nothing but empty groups.
pub(crate) fn empty_groups(length: usize) {
    let bytes = Bytes::from([0x0a, 0].repeat(length / 2));
    let scanned = otlp::scan(Signal::Traces, &bytes).expect("it is OTLP");
    assert_eq!(scanned.receipt.spans.len(), 0);
}

/// The same as JSON.
pub(crate) fn empty_groups_json(length: usize) {
    let json = format!("{{\"resourceSpans\":[{}{{}}]}}", "{},".repeat(length / 3));
    let converted = otlp::convert_json(Signal::Traces, json.as_bytes(), length).expect("it is OTLP");
    let scanned = otlp::scan(Signal::Traces, &converted.bytes.into()).expect("it is OTLP");
    assert_eq!(scanned.receipt.spans.len(), 0);
}

/// As many spans as fit, of nothing but their ids, under a resource of 60 KB: what an announcement may be.
pub(crate) fn small_spans(length: usize) {
    let field = |number: u8, content: &[u8]| {
        let mut out = vec![number << 3 | 2];
        wire::proto::put_varint(&mut out, content.len() as u64);
        out.extend_from_slice(content);
        out
    };
    let large = field(1, &[field(1, b"large"), field(2, &field(1, &[b'x'; 60_000]))].concat());
    let span = field(2, &[field(1, &[1; 16]), field(2, &[2; 8])].concat());
    let group = [field(1, &large), field(2, &span.repeat(length / span.len()))].concat();
    let bytes = Bytes::from(field(1, &group));
    let scanned = otlp::scan(Signal::Traces, &bytes).expect("it is OTLP");
    assert!(!scanned.receipt.spans.is_empty());
}

/// A field of bytes.
fn field(number: u32, content: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    wire::proto::put_bytes(&mut out, number, content);
    out
}

fn guarded(signal: Signal, request: Vec<u8>) {
    let rules = Rules {
        redaction: Redaction::everything(None),
        limits: Limits::default(),
        attributes: Some(Attributes::default()),
    };
    let mut guard = Guard::new(rules).expect("there are rules");
    guard.apply(signal, request.into()).expect("it is OTLP");
}

/// A gauge of points that are empty but for one.
pub(crate) fn empty_points(length: usize) {
    let hit = field(7, &[field(1, b"k"), field(2, &field(1, b"4111111111111111"))].concat());
    let data = [field(1, &hit), [0x0a, 0].repeat(length / 2)].concat();
    guarded(Signal::Metrics, field(1, &field(2, &field(2, &[field(1, b"m"), field(5, &data)].concat()))));
}

/// One attribute that is an array of texts of one byte, each of which would be searched.
pub(crate) fn small_texts(length: usize) {
    let array = field(1, &field(1, b"=")).repeat(length / 5);
    let attribute = field(9, &[field(1, b"k"), field(2, &field(5, &array))].concat());
    let span = [field(1, &[1; 16]), field(2, &[2; 8]), attribute].concat();
    guarded(Signal::Traces, field(1, &field(2, &field(2, &span))));
}

/// Exponential histograms that are made alike, the first of them with as many buckets as fit.
pub(crate) fn long_buckets(length: usize) {
    let mut data = Vec::new();
    for index in 0..50 {
        let mail = format!("{index:06}@b.cd");
        let mut point = field(1, &[field(1, b"mail"), field(2, &field(1, mail.as_bytes()))].concat());
        wire::proto::put_fixed64(&mut point, 3, 7);
        let buckets = if index == 0 { length } else { 1 };
        point.extend(field(8, &field(2, &vec![1; buckets])));
        data.extend(field(1, &point));
    }
    wire::proto::put_number(&mut data, 2, 1);
    guarded(Signal::Metrics, field(1, &field(2, &field(2, &[field(1, b"m"), field(10, &data)].concat()))));
}

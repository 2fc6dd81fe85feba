//! Requests as a function sends them, made without a clock or chance: the same bytes on every machine.

use std::fmt::Write;

use bytes::Bytes;
use guard::{Attributes, Guard, Limits, Redaction, Refused, Rules};
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

/// An empty message with room for `length` bytes and what is put around and behind them: the memory that is measured is not
/// to be that of making the request.
fn roomy(length: usize) -> Vec<u8> {
    Vec::with_capacity(length + (8 << 10))
}

/// `content` within fields within each other, the innermost number first, where it lies.
fn wrapped(mut content: Vec<u8>, numbers: &[u32]) -> Vec<u8> {
    for number in numbers {
        let mut head = Vec::new();
        wire::proto::put_varint(&mut head, u64::from(*number << 3 | 2));
        wire::proto::put_varint(&mut head, content.len() as u64);
        content.splice(0..0, head);
    }
    content
}

fn guarded(signal: Signal, request: Vec<u8>) {
    guarded_by(Redaction::everything(None), signal, request);
}

fn guarded_by(redaction: Redaction, signal: Signal, request: Vec<u8>) {
    let rules = Rules { redaction, limits: Limits::default(), attributes: Some(Attributes::default()) };
    let mut guard = Guard::new(rules).expect("there are rules");
    // One with more changes than are made is refused.
    let guarded = guard.apply(signal, request.into());
    assert!(matches!(guarded, Ok(_) | Err(Refused::Crowded)), "it is OTLP");
}

/// A gauge of points that are empty but for one.
pub(crate) fn empty_points(length: usize) {
    let attribute = [field(1, b"k"), field(2, &field(1, b"4111111111111111"))].concat();
    let mut data = roomy(length);
    data.extend(field(1, &field(7, &attribute)));
    data.extend(std::iter::repeat_n([0x0a, 0], length / 2).flatten());
    guarded(Signal::Metrics, wrapped(data, &[5, 2, 2, 1]));
}

/// One attribute that is an array of texts of one byte, each of which would be searched.
pub(crate) fn small_texts(length: usize) {
    let mut array = roomy(length);
    array.extend(std::iter::repeat_n([0x0a, 3, 0x0a, 1, b'='], length / 5).flatten());
    let mut attribute = wrapped(array, &[5, 2]);
    attribute.extend(field(1, b"k"));
    guarded(Signal::Traces, wrapped(attribute, &[9, 2, 2, 1]));
}

/// Exponential histograms that are made alike, the first of them with as many buckets as fit.
pub(crate) fn long_buckets(length: usize) {
    let point = |buckets: Vec<u8>, index: usize| {
        let mail = format!("{index:06}@b.cd");
        let mut point = wrapped(buckets, &[2, 8]);
        point.extend(field(1, &[field(1, b"mail"), field(2, &field(1, mail.as_bytes()))].concat()));
        wire::proto::put_fixed64(&mut point, 3, 7);
        wrapped(point, &[1])
    };
    let mut first = roomy(length);
    first.resize(length, 1);
    let mut data = point(first, 0);
    (1..50).for_each(|index| data.extend(point(vec![1], index)));
    wire::proto::put_number(&mut data, 2, 1);
    guarded(Signal::Metrics, wrapped(data, &[10, 2, 2, 1]));
}

/// A rule of one's own.
fn own(rule: &str) -> Redaction {
    let (redaction, problems) = Redaction::parse(&format!("[{rule}]"), Some(b"key"));
    assert!(problems.is_empty(), "{problems:?}");
    redaction
}

/// A resource with attributes of one letter and a value of `value` letters.
fn attributes_of(length: usize, value: usize) -> Vec<u8> {
    let attribute = field(1, &[field(1, b"k"), field(2, &field(1, &vec![b'1'; value]))].concat());
    let mut resource = roomy(length);
    resource.extend(std::iter::repeat_n(&attribute, length / attribute.len()).flatten());
    wrapped(resource, &[1, 1])
}

/// Values of one letter, each of which is hashed, as long as the budget reaches.
pub(crate) fn small_hashes(length: usize) {
    guarded_by(own(r#"{"key":"k","action":"hash"}"#), Signal::Traces, attributes_of(length, 1));
}

/// Values that are hidden, and lengths that change with them: of the longest request nearly as many as are changed at most. With
/// shorter ones it is refused, and has taken 54 MB.
pub(crate) fn hidden_values(length: usize) {
    guarded_by(own(r#"{"key":"k","action":"mask"}"#), Signal::Traces, attributes_of(length, 56));
}

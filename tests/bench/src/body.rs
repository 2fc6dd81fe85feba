//! Requests as an instrumented function sends them: HTTP, AWS SDK and own spans, twelve attributes each.

use std::ops::Range;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use serde_json::json;

/// Every run measures the same bytes.
const SEED: u64 = 2_026;
/// As long as the request ids that take its place.
const REQUEST_ID: &str = "00000000-0000-4000-8000-000000000000";
const SERVER: i32 = 2;
const CLIENT: i32 = 3;
const INTERNAL: i32 = 1;

/// A request of `count` spans, none of which ends an invocation.
pub(crate) fn of_spans(count: usize) -> Bytes {
    request(&mut Random(SEED), count, None).encode_to_vec().into()
}

/// The same as OTLP/JSON.
pub(crate) fn of_spans_as_json(count: usize) -> String {
    let mut groups = request(&mut Random(SEED), count, None).resource_spans;
    let group = groups.pop().expect("there is one");
    let scopes = group.scope_spans.iter().map(|scope| {
        let own = scope.scope.as_ref().map(|own| json!({ "name": own.name, "version": own.version }));
        json!({ "scope": own, "spans": scope.spans.iter().map(span_as_json).collect::<Vec<_>>() })
    });
    let resource = group.resource.map(|resource| json!({ "attributes": as_json(&resource.attributes) }));
    let scopes: Vec<_> = scopes.collect();
    json!({ "resourceSpans": [{ "resource": resource, "scopeSpans": scopes }] }).to_string()
}

fn span_as_json(span: &Span) -> serde_json::Value {
    json!({
        "traceId": hex(&span.trace_id),
        "spanId": hex(&span.span_id),
        "parentSpanId": hex(&span.parent_span_id),
        "flags": span.flags,
        "name": span.name,
        "kind": span.kind,
        "startTimeUnixNano": span.start_time_unix_nano.to_string(),
        "endTimeUnixNano": span.end_time_unix_nano.to_string(),
        "attributes": as_json(&span.attributes),
    })
}

fn as_json(attributes: &[KeyValue]) -> Vec<serde_json::Value> {
    let value = |attribute: &KeyValue| match attribute.value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => json!({ "stringValue": text }),
        Some(Value::IntValue(number)) => json!({ "intValue": number.to_string() }),
        _ => unreachable!("only texts and whole numbers are made here"),
    };
    attributes.iter().map(|attribute| json!({ "key": attribute.key, "value": value(attribute) })).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A request whose last span is the invocation's own; it names the request id given last.
pub(crate) struct Ending {
    pub(crate) bytes: Vec<u8>,
    request_id: Range<usize>,
}

impl Ending {
    pub(crate) fn of_spans(count: usize) -> Self {
        let bytes = request(&mut Random(SEED), count, Some(REQUEST_ID)).encode_to_vec();
        let mut windows = bytes.windows(REQUEST_ID.len());
        let start = windows.position(|window| window == REQUEST_ID.as_bytes()).expect("one span names it");
        Self { bytes, request_id: start..start + REQUEST_ID.len() }
    }

    pub(crate) fn name(&mut self, request_id: &str) {
        self.bytes[self.request_id.clone()].copy_from_slice(request_id.as_bytes());
    }
}

/// The request id of the `number`th invocation.
pub(crate) fn request_id(number: u64) -> String {
    format!("{number:08x}-0000-4000-8000-000000000000")
}

fn request(random: &mut Random, count: usize, ends: Option<&str>) -> ExportTraceServiceRequest {
    let trace_id = random.bytes(16);
    let mut scopes: [Vec<Span>; 3] = Default::default();
    for index in 0..count {
        let is_last = index + 1 == count;
        match ends.filter(|_| is_last) {
            Some(request_id) => scopes[0].push(invocation_span(random, &trace_id, request_id)),
            None => scopes[index % 3].push(span(random, &trace_id, index)),
        }
    }
    let names =
        ["opentelemetry.instrumentation.requests", "opentelemetry.instrumentation.botocore", "payments"];
    let scope_spans = names.into_iter().zip(scopes).filter(|(_, spans)| !spans.is_empty());
    let resource = Resource { attributes: resource_attributes(), ..Resource::default() };
    let group = ResourceSpans {
        resource: Some(resource),
        scope_spans: scope_spans.map(|(name, spans)| scope(name, spans)).collect(),
        ..ResourceSpans::default()
    };
    ExportTraceServiceRequest { resource_spans: vec![group] }
}

fn scope(name: &str, spans: Vec<Span>) -> ScopeSpans {
    let scope = InstrumentationScope { name: name.into(), version: "0.61b0".into(), ..Default::default() };
    ScopeSpans { scope: Some(scope), spans, ..ScopeSpans::default() }
}

fn resource_attributes() -> Vec<KeyValue> {
    vec![
        text("service.name", "payments-authorize"),
        text("service.version", "1.4.2"),
        text("deployment.environment.name", "production"),
        text("telemetry.sdk.language", "python"),
        text("telemetry.sdk.name", "opentelemetry"),
        text("telemetry.sdk.version", "1.41.0"),
        text("cloud.provider", "aws"),
    ]
}

fn span(random: &mut Random, trace_id: &[u8], index: usize) -> Span {
    let (name, kind, attributes) = match index % 3 {
        0 => ("GET", CLIENT, http_attributes(random)),
        1 => ("DynamoDB.PutItem", CLIENT, sdk_attributes(random)),
        _ => ("score payment", INTERNAL, own_attributes(random)),
    };
    timed(random, trace_id, name, kind, attributes)
}

fn invocation_span(random: &mut Random, trace_id: &[u8], request_id: &str) -> Span {
    let mut attributes = own_attributes(random);
    attributes.truncate(11);
    attributes.push(text("faas.invocation_id", request_id));
    timed(random, trace_id, "authorize", SERVER, attributes)
}

fn timed(random: &mut Random, trace_id: &[u8], name: &str, kind: i32, attributes: Vec<KeyValue>) -> Span {
    let start = 1_790_000_000_000_000_000 + random.below(1_000_000_000);
    Span {
        trace_id: trace_id.to_vec(),
        span_id: random.bytes(8),
        parent_span_id: random.bytes(8),
        flags: 0x101,
        name: name.into(),
        kind,
        start_time_unix_nano: start,
        end_time_unix_nano: start + random.below(90_000_000),
        attributes,
        ..Span::default()
    }
}

fn http_attributes(random: &mut Random) -> Vec<KeyValue> {
    let order = random.below(1_000_000);
    vec![
        text("http.request.method", "GET"),
        text("url.full", &format!("https://api.example.com/v2/orders/{order}?expand=lines")),
        text("url.scheme", "https"),
        text("server.address", "api.example.com"),
        number("server.port", 443),
        number("http.response.status_code", 200),
        text("network.protocol.version", "1.1"),
        text("network.peer.address", &format!("10.0.{}.{}", random.below(256), random.below(256))),
        text("user_agent.original", "python-requests/2.32.4"),
        number("http.response.body.size", random.below(65_536)),
        number("http.request.resend_count", random.below(3)),
        text("http.response.header.x-request-id", &random.hex(16)),
    ]
}

fn sdk_attributes(random: &mut Random) -> Vec<KeyValue> {
    vec![
        text("rpc.system", "aws-api"),
        text("rpc.service", "DynamoDB"),
        text("rpc.method", "PutItem"),
        text("cloud.region", "eu-central-1"),
        text("aws.request_id", &random.hex(26).to_uppercase()),
        text("db.system", "dynamodb"),
        text("aws.dynamodb.table_names", "payments-ledger"),
        text("db.operation.name", "PutItem"),
        number("http.status_code", 200),
        text("server.address", "dynamodb.eu-central-1.amazonaws.com"),
        number("retry_attempts", random.below(3)),
        number("aws.dynamodb.consumed_capacity", random.below(10)),
    ]
}

fn own_attributes(random: &mut Random) -> Vec<KeyValue> {
    vec![
        text("payment.id", &random.hex(16)),
        text("payment.currency", "EUR"),
        number("payment.amount_cents", random.below(500_000)),
        text("payment.method", "card"),
        text("customer.tier", "gold"),
        text("customer.id", &random.hex(12)),
        number("risk.score", random.below(100)),
        text("risk.model", "gbm-2026-10"),
        text("risk.decision", "accept"),
        number("cart.items", random.below(20)),
        text("feature.flag", "new-checkout"),
        text("session.id", &random.hex(16)),
    ]
}

fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Value::StringValue(value.into()))
}

fn number(key: &str, value: u64) -> KeyValue {
    attribute(key, Value::IntValue(value.cast_signed()))
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.into(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

/// Splitmix64: enough disorder that a compressor finds none of it.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next().to_le_bytes()[0]).collect()
    }

    fn hex(&mut self, digits: usize) -> String {
        (0..digits).map(|_| char::from(b"0123456789abcdef"[(self.next() % 16) as usize])).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_twelve_attributes_and_some_five_hundred_bytes() {
        let bytes = of_spans(50);
        let request = ExportTraceServiceRequest::decode(bytes.clone()).expect("a request");
        let spans = request.resource_spans.iter().flat_map(|group| &group.scope_spans);
        assert!(spans.flat_map(|scope| &scope.spans).all(|span| span.attributes.len() == 12));
        assert!((20_000..35_000).contains(&bytes.len()), "{}", bytes.len());
    }

    #[test]
    fn json_and_protobuf_say_the_same() {
        let text = of_spans_as_json(50);
        let converted =
            wire::otlp::from_json(policy::Signal::Traces, text.as_bytes(), 1 << 20).expect("OTLP/JSON");
        let (one, other) = (ExportTraceServiceRequest::decode(&converted[..]), of_spans(50));
        assert_eq!(one.ok(), ExportTraceServiceRequest::decode(other).ok());
    }

    #[test]
    fn an_ending_names_its_invocation() {
        let mut ending = Ending::of_spans(5);
        ending.name(&request_id(7));
        let scanned =
            wire::otlp::scan(policy::Signal::Traces, &Bytes::from(ending.bytes)).expect("a request");
        let named = scanned.receipt.spans.iter().find_map(|span| span.request_id.as_deref());
        assert_eq!(named, Some(request_id(7).as_str()));
    }
}

//! Requests as real SDKs send them, mutated: no span is lost that was not refused by number, and nothing stops the next one.
//!
//! `MUTATED=100000` makes it as many as a release is tested with.

use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use policy::Rng;
use prost::Message;
use serde_json::Value;
use tests::http1::Headers;
use tests::otlp::Ids;

use super::world::{World, protobuf, server_span};

/// As sent by the SDKs of Go (otel v1.47.0), Java (1.49.0), JavaScript (sdk-trace-base 2.12.1, both formats) and Python
/// (1.45.2) on 2026-11-28, captured by `tests/payloads/sdk/capture/capture.sh`: four spans, with attributes of every type,
/// events, links, an exception and a status. There is none of .NET: its SDK is on no registry that the authors reach.
const SENT: [(&[u8], bool); 5] = [
    (include_bytes!("../payloads/sdk/go.bin"), false),
    (include_bytes!("../payloads/sdk/java.bin"), false),
    (include_bytes!("../payloads/sdk/node.bin"), false),
    (include_bytes!("../payloads/sdk/python.bin"), false),
    (include_bytes!("../payloads/sdk/node.json"), true),
];
/// Requests in `make test`.
const ROUNDS: u64 = 2_000;
/// Requests of one invocation: what they hold is sent before the next.
const OF_INVOCATION: u64 = 200;

/// The spans in a request, if a decoder can read it.
fn spans(body: &[u8], is_json: bool) -> Option<u64> {
    if !is_json {
        let request = ExportTraceServiceRequest::decode(body).ok()?;
        let scopes = request.resource_spans.iter().flat_map(|group| &group.scope_spans);
        return Some(scopes.map(|scope| scope.spans.len() as u64).sum());
    }
    let request: Value = serde_json::from_slice(body).ok()?;
    let list =
        |value: &Value, key: &str| value.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let scopes = list(&request, "resourceSpans").into_iter().flat_map(|group| list(&group, "scopeSpans"));
    Some(scopes.map(|scope| list(&scope, "spans").iter().filter(|span| !span.is_null()).count() as u64).sum())
}

/// How many spans an answer says were refused.
fn refused(body: &[u8], is_json: bool) -> u64 {
    if is_json {
        let answer: Value = serde_json::from_slice(body).expect("an answer in JSON");
        let count = &answer["partialSuccess"]["rejectedSpans"];
        return count.as_u64().or_else(|| count.as_str()?.parse().ok()).unwrap_or(0);
    }
    let answer = ExportTraceServiceResponse::decode(body).expect("an answer of OTLP");
    answer.partial_success.map_or(0, |partial| u64::try_from(partial.rejected_spans).expect("a count"))
}

#[test]
fn no_span_is_lost_that_was_not_refused_by_number() {
    let rounds = std::env::var("MUTATED").ok().and_then(|text| text.parse().ok()).unwrap_or(ROUNDS);
    let world = World::with(|script| script.env("PREFREEZE_REDACT", r#"["all"]"#));
    let headers = [protobuf(), Headers::from([("Content-Type", "application/json")])];
    let (mut taken, mut partly, mut whole, mut invocations) = (0, 0_u64, 0_u64, 0);
    for seed in 0..rounds {
        if seed % OF_INVOCATION == 0 {
            world.invoke(&format!("r-{seed}"));
            invocations += 1;
        }
        let mut rng = Rng::new(seed);
        let (sample, is_json) = SENT[rng.below(SENT.len() as u64) as usize];
        // One byte in half of them: most of those can be read, and say something else.
        let body = if rng.below(2) == 0 {
            let mut body = sample.to_vec();
            let at = rng.below(body.len() as u64) as usize;
            body[at] = rng.number() as u8;
            body
        } else {
            fuzz::mutate(&mut rng, sample)
        };
        let answer = world.platform.post_otlp("/v1/traces", &body, &headers[usize::from(is_json)]);
        let sent = spans(&body, is_json);
        match (answer.status, sent) {
            (200, Some(sent)) => {
                let refused = refused(&answer.body, is_json);
                assert!(refused <= sent, "seed {seed}: {refused} of {sent} refused");
                taken += sent - refused;
                whole += 1;
            }
            // A decoder refuses all of it, and here its other spans were taken: four at most.
            (200, None) => partly += 1,
            (400, _) => {}
            (status, _) => panic!("seed {seed}: {status}"),
        }
        if seed % OF_INVOCATION == OF_INVOCATION - 1 || seed == rounds - 1 {
            let id = format!("r-{}", seed / OF_INVOCATION * OF_INVOCATION);
            world.post_spans([server_span(&id, Ids::new(seed + 1), &id)]);
            world.platform.wait_next();
        }
    }
    let summary = world.close();
    assert_eq!((summary.dropped(), summary.count("held")), (0, 0), "{}", summary.0);
    assert!(whole > rounds / 4, "{whole} of {rounds} prove little");
    let received = summary.count("received") - invocations;
    // Mutation doubles stretches of bytes, and so may double a span.
    assert!(received >= taken && received <= taken + 16 * partly, "{received}, {taken}: {}", summary.0);
    println!("{rounds} requests, {whole} whole, {partly} in part: {received} spans received, none lost");
}

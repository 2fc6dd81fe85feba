//! What is counted: the ways that every span, request or invocation goes.

use std::hint::black_box;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use guard::{Attributes, Guard, Redaction, Rules};
use policy::{
    Agent, Config, Content, Entry, FlushMode, Input, Instant, Invoke, Outcome, Output, Signal, Span,
    UnixNanos,
};
use wire::otlp::{self, Body, Identity};

use crate::payload::{REQUEST_ID, traces, traces_json};

/// Invocations after which one costs what every later one does.
const REMEMBERED: u64 = 64;

/// Runs a case so many times.
type Case = fn(u64);

/// Every case, by name.
pub(crate) const CASES: &[(&str, Case)] = &[
    ("scan-50-spans", scan),
    ("splice-50-spans", |times| scan_and_splice(times, 50, 1)),
    ("splice-25-of-50-spans", |times| scan_and_splice(times, 50, 2)),
    ("splice-5-spans", |times| scan_and_splice(times, 5, 1)),
    ("guard-50-spans", |times| guard(times, Redaction::default())),
    ("redact-50-spans", |times| guard(times, Redaction::everything(None))),
    ("json-50-spans", json),
    ("invocation-of-5-spans", |times| invocations(times, 5)),
    ("invocation-of-50-spans", |times| invocations(times, 50)),
    ("platform-events", platform_events),
];

fn scan(times: u64) {
    repeat(times, &traces(50), |bytes| {
        drop(black_box(otlp::scan(Signal::Traces, bytes)));
    });
}

fn repeat(times: u64, bytes: &Bytes, run: impl Fn(&Bytes)) {
    for _ in 0..times {
        run(black_box(bytes));
    }
}

/// Of a function that has sent `bytes` before: the resource is known, as it nearly always is.
fn identity(bytes: &Bytes) -> Identity {
    let mut identity = Identity::default();
    for (key, value) in [
        ("cloud.provider", "aws"),
        ("cloud.platform", "aws_lambda"),
        ("cloud.region", "eu-central-1"),
        ("faas.name", "counts"),
        ("faas.version", "$LATEST"),
        ("service.name", "counts"),
    ] {
        identity.set(key, value);
    }
    let scanned = otlp::scan(Signal::Traces, bytes).expect("the payload is OTLP");
    identity.observe(&scanned.receipt.spans[0].body);
    identity
}

/// What becomes of a request of `spans`, `keep_one_in` of which are kept.
fn scan_and_splice(times: u64, spans: u64, keep_one_in: usize) {
    let bytes = traces(spans);
    let identity = identity(&bytes);
    repeat(times, &bytes, |bytes| {
        let scanned = otlp::scan(Signal::Traces, bytes).expect("the payload is OTLP");
        let kept = scanned.receipt.spans.into_iter().step_by(keep_one_in);
        let entries: Vec<Entry<Body>> = kept.map(entry).collect();
        black_box(otlp::request(&entries, &identity));
    });
}

fn entry(span: Span<Body>) -> Entry<Body> {
    let (size, is_precious) = (span.size, span.is_error);
    Entry {
        signal: Signal::Traces,
        count: 1,
        size,
        is_precious,
        content: Content::Received(span.body),
        stamp: None,
        shared: None,
    }
}

/// The guard as it is by default, or with every rule that is built in, on spans in which nothing is found: the usual
/// case.
fn guard(times: u64, redaction: Redaction) {
    let rules = Rules { redaction, attributes: Some(Attributes::default()), ..Rules::default() };
    let mut guard = Guard::new(rules).expect("it has something to look for");
    let bytes = traces(50);
    for _ in 0..times {
        drop(black_box(guard.apply(Signal::Traces, black_box(&bytes).clone())));
    }
}

fn json(times: u64) {
    let text = traces_json(50);
    for _ in 0..times {
        drop(black_box(otlp::from_json(Signal::Traces, black_box(text.as_bytes()), 1 << 20)));
    }
}

/// Invocations in a row in `end` mode, from INVOKE to `/next`, with the request scanned and the export spliced. Each has
/// an id of its own, so that as many are remembered as ever are.
fn invocations(times: u64, spans: u64) {
    let bytes = traces(spans);
    let identity = identity(&bytes);
    let mut bytes = BytesMut::from(&bytes[..]);
    let id_at = bytes.windows(REQUEST_ID.len()).position(|text| text == REQUEST_ID.as_bytes());
    let id_at = id_at.expect("the last span names it");
    let mut agent = Agent::<Body>::new(Config { flush: FlushMode::End, ..Config::default() });
    let mut now = Instant::default() + Duration::from_secs(1);
    let handle = |agent: &mut Agent<Body>, now: Instant, input| {
        agent.handle(now, input);
        while let Some(output) = agent.poll() {
            if let Output::Export { id, entries, .. } = output {
                let raw_bytes = black_box(otlp::request(&entries, &identity)).len() as u64;
                let outcome = Outcome::Delivered { rejected: 0 };
                agent.handle(now, Input::Exported { id, outcome, raw_bytes, sent_bytes: raw_bytes / 5 });
            }
        }
    };
    handle(&mut agent, now, Input::Ready);
    for number in 0..times + REMEMBERED {
        let request_id = format!("{}{number:012x}", &REQUEST_ID[..24]);
        bytes[id_at..][..REQUEST_ID.len()].copy_from_slice(request_id.as_bytes());
        now = now + Duration::from_millis(100);
        handle(&mut agent, now, Input::Invoke(invoke(now, &request_id)));
        handle(&mut agent, now, Input::Receiving);
        // As the socket reads it: into a place of its own, which comes back when all of it has been acknowledged.
        let request = black_box(bytes).freeze();
        let scanned = otlp::scan(Signal::Traces, &request).expect("the payload is OTLP");
        handle(&mut agent, now, Input::Received(scanned.receipt));
        bytes = request.try_into_mut().expect("nobody holds anything of it");
    }
    let counted = agent.ledger().of(Signal::Traces);
    assert!(
        counted.received == (times + REMEMBERED) * spans && counted.held() == 0,
        "this is not what was to be counted: {counted:?}"
    );
}

fn invoke(now: Instant, request_id: &str) -> Invoke {
    Invoke {
        request_id: request_id.into(),
        deadline: now + Duration::from_secs(10),
        deadline_at: UnixNanos(1_790_000_010_000_000_000),
        received_at: UnixNanos(1_790_000_000_000_000_000),
        arn: "arn:aws:lambda:eu-central-1:123456789012:function:counts".into(),
        xray: wire::trace_context::xray(
            "Root=1-6a9b1c2d-0123456789abcdef01234567;Parent=0123456789abcdef;Sampled=1",
        ),
        waited: Duration::from_millis(50),
    }
}

/// What the platform posts in one invocation.
fn platform_events(times: u64) {
    let events = format!(
        r#"[{{"time":"2026-09-21T12:00:00.000Z","type":"platform.runtimeDone","record":{{"requestId":"{REQUEST_ID}","status":"success","metrics":{{"durationMs":1.5,"producedBytes":2}},"spans":[]}}}},{{"time":"2026-09-21T12:00:00.001Z","type":"platform.report","record":{{"requestId":"{REQUEST_ID}","status":"success","metrics":{{"durationMs":1.5,"billedDurationMs":2,"memorySizeMB":128,"maxMemoryUsedMB":64}}}}}},{{"time":"2026-09-21T12:00:00.002Z","type":"platform.start","record":{{"requestId":"{REQUEST_ID}","version":"$LATEST"}}}}]"#
    );
    for _ in 0..times {
        let batch =
            wire::telemetry_api::batch(black_box(events.as_bytes()), UnixNanos(1_790_000_000_000_000_000));
        assert_eq!(black_box(batch).events.len(), 3);
    }
}

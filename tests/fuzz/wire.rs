//! The rest of `wire` on mutated bytes, and what it writes of its own: whatever comes in, what goes out can be read.

use bytes::Bytes;
use fuzz::{long_rounds, mutate, rounds};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use policy::sampling::trace_state::ThresholdEdit;
use policy::sampling::{Decision, Ratio, Threshold};
use policy::{
    Agent, Body as _, Config, Content, Duration, EndStatus, Ending, Entry, Input, Instant, Invoke, Kind,
    Measured, Measuring, Output, PlatformEvent, Receipt, Response, Rng, Signal, Span, SpanId, Stamp, TraceId,
    UnixNanos,
};
use prost::Message;
use wire::logs::{Reader, Wanted};
use wire::otlp::{Body, Identity, apart, convert_json, request, scan};

/// What the platform posts when it was asked for what the function logs too.
const LOGS: &[u8] = br#"[{"time":"2026-11-22T07:58:30.000Z","type":"platform.start","record":{"requestId":"r1"}},
    {"time":"2026-11-22T07:58:30.001Z","type":"function","record":"2026-11-22T07:58:30.001Z\tr1\tERROR\tno \u00e9\n"},
    {"time":"x","type":"function","record":"[WARN]\t2026-11-22T07:58:30.001Z\tr1\tslow"},
    {"time":"2026-11-22T07:58:30.002Z","type":"function","record":{"level":"fatal","message":"m","requestId":"r2",
        "trace_id":"5b8efff798038103d269b633813fc60c","span_id":"eee19b7ec3c1b174","n":[1,{"a":null}],"f":1e300}},
    {"time":"2026-11-22T07:58:30.003Z","type":"function","record":"{\"level\":30,\"msg\":\"in text\"}"},
    {"type":"platform.report","record":{"requestId":"r1","status":"timeout","metrics":{"billedDurationMs":3}}},
    {"type":"platform.initReport","record":{"status":"error","errorType":"Runtime.ExitError"}},
    {"type":"platform.logsDropped","record":{"reason":"slow","droppedRecords":3,"droppedBytes":100}}]"#;

fn entry<B>(signal: Signal, count: u32, size: u32, content: Content<B>) -> Entry<B> {
    Entry { signal, count, size, is_precious: false, content, stamp: None, shared: None }
}

#[test]
fn log_lines_become_records_that_decode_and_may_be_put_under_a_span() {
    long_rounds("logs", |seed| {
        let mut rng = Rng::new(seed);
        let body = mutate(&mut rng, LOGS);
        let wanted = [Wanted::None, Wanted::Errors, Wanted::All][rng.below(3) as usize];
        let batch = wire::telemetry_api::batch_with_logs(&body, UnixNanos(1), &mut Reader::default(), wanted);
        assert!(wanted != Wanted::None || batch.logs.is_empty());
        let records: Vec<_> = batch.logs.iter().collect();
        let bytes = Bytes::from(wire::logs::request(&records));
        let told = ExportLogsServiceRequest::decode(&bytes[..]).expect("what is written decodes");
        assert_eq!(count_logs(&told), records.len());
        let (trace, span) = ids(&mut rng);
        for parcel in scan(Signal::Logs, &bytes).expect("and is scanned").receipt.parcels {
            let (body, size) =
                parcel.body.placed(&trace, &span).unwrap_or((parcel.body.clone(), parcel.size));
            let sent = request(
                &[entry(Signal::Logs, parcel.count, size, Content::Received(body))],
                &Identity::default(),
            );
            let sent = ExportLogsServiceRequest::decode(&sent[..]).expect("placed, it decodes");
            assert_eq!(count_logs(&sent), parcel.count as usize, "and nothing of it is lost");
        }
        // One record as it stands, of any type.
        let record =
            String::from_utf8_lossy(&mutate(&mut rng, br#"{"requestId":"r","status":"error"}"#)).into_owned();
        for kind in ["function", "platform.start", "platform.runtimeDone", "platform.unheardOf"] {
            let _ = Reader::default().read(kind, UnixNanos(1), &record, Wanted::All);
        }
    });
}

fn count_logs(request: &ExportLogsServiceRequest) -> usize {
    let scopes = request.resource_logs.iter().flat_map(|group| &group.scope_logs);
    scopes.map(|scope| scope.log_records.len()).sum()
}

fn ids(rng: &mut Rng) -> (TraceId, SpanId) {
    let byte = rng.below(255) as u8 + 1;
    (TraceId::new([byte; 16]).expect("not zero"), SpanId::new([byte; 8]).expect("not zero"))
}

#[test]
fn mutated_logs_are_put_under_a_span_whole_or_left_alone() {
    let sample = wire::logs::request(
        &wire::telemetry_api::batch_with_logs(LOGS, UnixNanos(1), &mut Reader::default(), Wanted::All)
            .logs
            .iter()
            .collect::<Vec<_>>(),
    );
    long_rounds("placed logs", |seed| {
        let mut rng = Rng::new(seed);
        let bytes = Bytes::from(mutate(&mut rng, &sample));
        let Ok(scanned) = scan(Signal::Logs, &bytes) else { return };
        let decoded = ExportLogsServiceRequest::decode(&bytes[..]).is_ok();
        let (trace, span) = ids(&mut rng);
        for parcel in scanned.receipt.parcels {
            let Some((body, size)) = parcel.body.placed(&trace, &span) else { continue };
            let sent = entry(Signal::Logs, parcel.count, size, Content::Received(body));
            let sent = request(&[sent], &Identity::default());
            assert!(
                ExportLogsServiceRequest::decode(&sent[..]).is_ok() || !decoded,
                "placing has spoiled it"
            );
        }
    });
}

#[test]
fn records_of_invocations_times_and_words_are_read_without_a_panic() {
    let record = br#"{"request_id":"request-1","deadline_at":8,"received_at":9,"arn":"arn:aws:lambda:x:1:function:pay",
        "xray":"Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"}"#;
    assert!(
        wire::invocation::decode(record).is_ok_and(|(invoke, _)| invoke.xray.is_some()),
        "it is a whole one"
    );
    rounds("invocations, times, words", |seed| {
        let mut rng = Rng::new(seed);
        if let Ok((read, seed)) = wire::invocation::decode(&mutate(&mut rng, record)) {
            let again =
                wire::invocation::decode(&wire::invocation::encode(&read, seed)).expect("just written").0;
            assert_eq!((again.request_id, again.arn, again.xray), (read.request_id, read.arn, read.xray));
        }
        let text = |rng: &mut Rng, sample: &[u8]| String::from_utf8_lossy(&mutate(rng, sample)).into_owned();
        let _ = wire::time::rfc3339(&text(&mut rng, b"2026-11-22T07:58:30.000123Z"));
        let date = text(&mut rng, b"Sun, 22 Nov 2026 07:58:29 GMT");
        let _ = wire::time::until_http_date(&date, UnixNanos(rng.number()));
        let _ = wire::extensions_api::shutdown_reason(&text(&mut rng, b"timeout"));
        let path = text(&mut rng, b"/opentelemetry.proto.collector.trace.v1.TraceService/Export");
        let _ = wire::grpc::signal_of(&path);
        let said = wire::grpc::status_message(&path);
        assert!(said.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{said:?}");
        let mut walk = wire::proto::fields(path.as_bytes());
        while let Ok(Some(_)) = walk.next() {}
    });
}

#[test]
fn what_is_stamped_or_announced_of_a_mutated_request_is_as_valid_as_before() {
    let sample = wire::otlp::from_json(Signal::Traces, SPANS, 1 << 16).expect("a request");
    long_rounds("stamps and announcements", |seed| {
        let mut rng = Rng::new(seed);
        let bytes = Bytes::from(mutate(&mut rng, &sample));
        let decodes = ExportTraceServiceRequest::decode(&bytes[..]).is_ok();
        let Ok(scanned) = scan(Signal::Traces, &bytes) else { return };
        let threshold = Threshold::of(Ratio::new(rng.below(1_000) as f64 / 1_000.0).expect("a share"));
        let edits = [ThresholdEdit::Leave, ThresholdEdit::Erase, ThresholdEdit::Write(threshold)];
        let mut entries = Vec::new();
        for span in &scanned.receipt.spans {
            let (alone, again) = apart(span).expect("it is a span");
            assert!(!decodes || ExportTraceServiceRequest::decode(&alone[..]).is_ok());
            assert_eq!((again.trace_id, again.span_id), (span.trace_id, span.span_id));
            let reason = (rng.below(2) == 0).then_some(Decision::ALL[rng.below(17) as usize]);
            let stamp = Stamp { threshold: edits[rng.below(3) as usize], reason };
            let content = Content::Received(span.body.clone());
            entries
                .push(Entry { stamp: Some(Box::new(stamp)), ..entry(Signal::Traces, 1, span.size, content) });
        }
        let sent = request(&entries, &Identity::default());
        if decodes {
            let sent = ExportTraceServiceRequest::decode(&sent[..]).expect("a stamp spoils nothing");
            let scopes = sent.resource_spans.iter().flat_map(|group| &group.scope_spans);
            assert_eq!(scopes.map(|scope| scope.spans.len()).sum::<usize>(), entries.len());
        }
    });
}

const SPANS: &[u8] = br#"{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"pay"}}]},
    "scopeSpans":[{"spans":[{"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174","name":"a","kind":2,
    "traceState":"ot=th:8;rv:0123456789abcd,x=1","attributes":[{"key":"sampling.reason","value":{"stringValue":"mine"}}]},
    {"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b175","parentSpanId":"eee19b7ec3c1b174","name":"b"}
    ]}]}]}"#;

/// A body with a name and nothing else.
#[derive(Clone, Debug)]
struct Named(String);

impl policy::Body for Named {
    fn name(&self) -> &str {
        &self.0
    }
}

#[test]
fn points_are_written_so_that_they_can_be_read_whatever_was_measured() {
    long_rounds("points", |seed| {
        let mut rng = Rng::new(seed);
        let explicit_buckets = rng.below(2) == 0;
        let measuring =
            Measuring { emf: true, interval: Duration::ZERO, explicit_buckets, ..Measuring::DEFAULT };
        let mut agent: Agent<Named> = Agent::new(Config { seed, measuring, ..Config::default() });
        agent.handle(Instant::from_nanos(0), Input::Ready);
        for number in 1..=rng.below(3) + 1 {
            let now = Instant::from_nanos(number * 1_000_000);
            for input in an_invocation(&mut rng, number) {
                agent.handle(now, input);
                while let Some(output) = agent.poll() {
                    match output {
                        Output::Measured(points) => check_points(&points),
                        Output::Export { lane, entries, .. } if lane.signal == Signal::Metrics => {
                            for entry in entries.iter() {
                                let Content::Measured(points) = &entry.content else { continue };
                                check_points(points);
                            }
                        }
                        _ => {}
                    }
                }
            }
        }
    });
}

/// An invocation with any times and any name.
fn an_invocation(rng: &mut Rng, number: u64) -> [Input<Named>; 4] {
    let request_id: policy::RequestId = format!("r{number}").as_str().into();
    let deadline = Instant::from_nanos(number * 1_000_000 + 3_000_000_000);
    let invoke = Invoke {
        request_id: request_id.clone(),
        deadline,
        deadline_at: UnixNanos(rng.number()),
        received_at: UnixNanos(rng.number()),
        arn: "".into(),
        xray: None,
        waited: Duration::ZERO,
    };
    let (trace_id, span_id) = ids(rng);
    let name = String::from_utf8_lossy(&mutate(rng, "GET /\u{e9}\"\\".as_bytes())).into_owned();
    let span = Span {
        trace_id,
        span_id,
        parent: None,
        parent_is_remote: None,
        kind: [Kind::Client, Kind::Internal, Kind::Producer][rng.below(3) as usize],
        start: UnixNanos(rng.number()),
        end: UnixNanos(rng.number()),
        is_error: rng.below(2) == 0,
        request_id: None,
        size: 10,
        body: Named(name),
    };
    let done = PlatformEvent::RuntimeDone {
        request_id,
        at: UnixNanos(rng.number()),
        ending: Ending { status: EndStatus::Success, error_type: None },
        duration: Some(Duration::from_nanos(rng.number() >> rng.below(64))),
        produced_bytes: Some(rng.number() >> rng.below(64)),
        response: Response { latency: Some(Duration::from_nanos(rng.number())), duration: None },
    };
    let receipt = Receipt { spans: vec![span], parcels: Vec::new() };
    [Input::Invoke(invoke), Input::Receiving, Input::Received(receipt), Input::Platform(done)]
}

fn check_points(points: &std::sync::Arc<Measured>) {
    let content = Content::<Body>::Measured(points.clone());
    let bytes = request(&[entry(Signal::Metrics, 1, 0, content)], &Identity::default());
    let told = ExportMetricsServiceRequest::decode(&bytes[..]).expect("points decode");
    assert!(!told.resource_metrics.is_empty());
    let scanned =
        scan(Signal::Metrics, &Bytes::from(bytes)).expect("and are scanned, when they come from the spool");
    assert_eq!(scanned.receipt.count(Signal::Metrics), points.points.len() as u64);
    if let Some(line) = wire::emf::line(points, "Prefreeze", "f") {
        let value: serde_json::Value = serde_json::from_str(&line).expect("a line is JSON");
        assert!(value["_aws"]["CloudWatchMetrics"][0]["Metrics"].is_array());
    }
}

/// Whatever a value is, it costs no more than its own span: each one in a JSON is taken, or refused by number.
#[test]
fn every_span_of_a_json_is_taken_or_counted_as_refused() {
    const SENT: &[u8] = br#"{"resourceSpans":[{"resource":{"attributes":[{"key":"a","value":{"intValue":1}}]},"scopeSpans":[{"scope":{"name":"s"},"spans":[
        {"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174","name":"n","kind":2,"startTimeUnixNano":"7",
         "attributes":[{"key":"k","value":{"boolValue":true}},{"key":"l","value":{"arrayValue":{"values":[{"doubleValue":1.5}]}}}],
         "events":[{"timeUnixNano":9,"name":"e"}],"status":{"code":1}},
        {"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b175"}]}]}]}"#;
    rounds("JSON in part", |seed| {
        let mut rng = Rng::new(seed);
        let json = mutate(&mut rng, SENT);
        let Ok(converted) = convert_json(Signal::Traces, &json, 1 << 16) else { return };
        let scanned =
            scan(Signal::Traces, &Bytes::from(converted.bytes)).expect("what is written can be read");
        // What serde takes for JSON is; of a key that comes twice it keeps the last, and not both.
        let Ok(value) = serde_json::from_slice::<serde_json::Value>(&json) else { return };
        let list = |value: &serde_json::Value, key: &str| {
            value.get(key).and_then(serde_json::Value::as_array).cloned().unwrap_or_default()
        };
        let scopes = list(&value, "resourceSpans").into_iter().flat_map(|group| list(&group, "scopeSpans"));
        let spans = scopes
            .map(|scope| list(&scope, "spans").iter().filter(|span| !span.is_null()).count())
            .sum::<usize>();
        let counted = scanned.receipt.spans.len() + scanned.refused as usize + converted.refused as usize;
        assert!(counted >= spans, "{counted} of {spans}");
    });
}

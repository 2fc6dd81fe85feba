//! Every decoder on mutated bytes, and policy on random inputs: nothing panics, and what is read is right.
//!
//! `make fuzz T=60` goes on for a minute a target, `make fuzz ONLY=random_rules N=1000000` runs one target a
//! million times; `FUZZ_SEED=n` repeats one round.

use bytes::Bytes;
use fuzz::{mutate, rounds};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status, span};
use policy::sampling::trace_state::{self, ThresholdEdit};
use policy::sampling::{Ratio, Sampling, Slow, Threshold};
use policy::{
    Agent, BatchId, Body as _, Config, Content, EndStatus, Ending, Entry, Fact, InitPhase, Input, Instant,
    Invoke, Kind, LaneId, Measuring, Outcome, Output, Parcel, Parked, Place, PlatformEvent, Receipt,
    RequestLimit, Response, Rng, Shutdown, ShutdownReason, Signal, SpanId, SpoolMode, TraceId, UnixNanos,
    Usage,
};
use prost::Message;
use wire::otlp::{Body, Identity, from_json, pieces, request, scan, scan_within};

fn text(key: &str, value: &str) -> KeyValue {
    let value = any_value::Value::StringValue(value.to_owned());
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

/// A request with something of everything, to mutate.
fn sample() -> Vec<u8> {
    let span = |id: u8| Span {
        trace_id: vec![id; 16],
        span_id: vec![id; 8],
        parent_span_id: vec![id + 1; 8],
        name: "POST /payments".into(),
        kind: i32::from(id % 6),
        start_time_unix_nano: 1_795_334_309_858_000_000,
        end_time_unix_nano: 1_795_334_309_958_000_000,
        attributes: vec![text("http.route", "/payments"), text("faas.invocation_id", "request-1")],
        events: vec![span::Event { name: "exception".into(), ..span::Event::default() }],
        links: vec![span::Link { trace_id: vec![7; 16], span_id: vec![7; 8], ..span::Link::default() }],
        status: Some(Status { code: 2, message: "declined".into() }),
        flags: 0x301,
        ..Span::default()
    };
    let scope = InstrumentationScope { name: "payments".into(), ..InstrumentationScope::default() };
    let scope_spans =
        ScopeSpans { scope: Some(scope), spans: (1..6).map(span).collect(), schema_url: "s".into() };
    let resource = Resource { attributes: vec![text("service.name", "payments")], ..Resource::default() };
    let group =
        ResourceSpans { resource: Some(resource), scope_spans: vec![scope_spans], schema_url: "g".into() };
    ExportTraceServiceRequest { resource_spans: vec![group.clone(), group] }.encode_to_vec()
}

fn entries(spans: Vec<policy::Span<Body>>) -> Vec<Entry<Body>> {
    let entry = |span: policy::Span<Body>| Entry {
        signal: Signal::Traces,
        count: 1,
        size: span.size,
        is_precious: false,
        content: Content::Received(span.body),
        stamp: None,
        shared: None,
    };
    spans.into_iter().map(entry).collect()
}

fn count(request: &ExportTraceServiceRequest) -> usize {
    let is_valid = |span: &&Span| {
        let (trace, own) = (&span.trace_id, &span.span_id);
        // Of the others, one of another length would cost the whole request at a backend that checks it.
        let is_id = |id: &Vec<u8>, length: usize| id.is_empty() || id.len() == length;
        let mut links = span.links.iter();
        let others = links.all(|link| is_id(&link.trace_id, 16) && is_id(&link.span_id, 8));
        let is_own = trace.len() == 16 && own.len() == 8 && others && is_id(&span.parent_span_id, 8);
        is_own && trace.iter().any(|b| *b != 0) && own.iter().any(|b| *b != 0)
    };
    let scopes = request.resource_spans.iter().flat_map(|group| &group.scope_spans);
    scopes.flat_map(|scope| &scope.spans).filter(is_valid).count()
}

#[test]
fn a_trace_request_that_decodes_is_scanned_and_spliced_alike() {
    let sample = sample();
    let mut identity = Identity::default();
    identity.set("cloud.region", "eu-west-1");
    rounds("otlp traces", |seed| {
        let mut rng = Rng::new(seed);
        let bytes = Bytes::from(mutate(&mut rng, &sample));
        let decoded = ExportTraceServiceRequest::decode(&bytes[..]);
        let Ok(scanned) = scan(Signal::Traces, &bytes) else { return };
        let found = scanned.receipt.spans.len();
        for policy::Span { body, .. } in &scanned.receipt.spans {
            let _ = (
                body.name(),
                body.trace_state(),
                body.attribute("http.route"),
                body.resource("service.name"),
            );
            check_closed(body);
        }
        if let Ok(decoded) = &decoded {
            assert_eq!(found, count(decoded), "the scan and a decode see different spans");
        }
        let kept: Vec<_> = entries(scanned.receipt.spans).into_iter().filter(|_| rng.below(4) > 0).collect();
        let spliced = request(&kept, &identity);
        let mut joined = Vec::new();
        pieces(&kept, &identity, |piece| joined.extend_from_slice(piece));
        assert_eq!(joined, spliced, "the pieces are the whole");
        // Whether the request was valid or not: what cannot be decoded was refused, and spoils no batch.
        let spliced = ExportTraceServiceRequest::decode(&spliced[..]).expect("what was taken can be read");
        assert_eq!(count(&spliced), kept.len());
    });
}

/// Resources split over several fields, unknown groups anywhere, fields in any order: to a decoder what is spliced is what
/// came, and each resource is completed once.
#[test]
fn what_is_split_or_grouped_is_spliced_as_a_decoder_reads_it() {
    let wrap = |number: u8, content: &[u8]| {
        let mut out = vec![number << 3 | 2];
        prost::encoding::encode_varint(content.len() as u64, &mut out);
        out.extend_from_slice(content);
        out
    };
    const GROUP: &[u8] = &[0xd3, 0x05, 0x08, 1, 0x1b, 0x1c, 0xd4, 0x05];
    let mut identity = Identity::default();
    identity.set("service.name", "ours");
    identity.set("cloud.region", "eu-west-1");
    rounds("split and grouped", |seed| {
        let mut rng = Rng::new(seed);
        let mut mixed = |mut parts: Vec<Vec<u8>>| {
            if rng.below(3) == 0 {
                parts.push(GROUP.to_vec());
            }
            for index in (1..parts.len()).rev() {
                parts.swap(index, rng.below(index as u64 + 1) as usize);
            }
            parts.concat()
        };
        let span = |id: u8| Span {
            trace_id: vec![id; 16],
            span_id: vec![id; 8],
            name: "n".into(),
            ..Span::default()
        };
        let scopes = (0..3_u8).map(|scope| {
            let spans =
                (1..3_u8).map(|id| wrap(2, &mixed(vec![span(scope * 2 + id).encode_to_vec()]))).collect();
            wrap(2, &mixed(spans))
        });
        let mut parts: Vec<_> = scopes.collect();
        for (key, value) in [("service.name", "own"), ("host.name", "h"), ("a", "b")] {
            let part = Resource { attributes: vec![text(key, value)], ..Resource::default() };
            parts.push(wrap(1, &mixed(vec![part.encode_to_vec()])));
        }
        let bytes = Bytes::from(wrap(1, &mixed(parts)));
        let sent = ExportTraceServiceRequest::decode(&bytes[..]).expect("protobuf allows it");
        let scanned = scan(Signal::Traces, &bytes).expect("and so does the scan");
        let kept: Vec<_> = entries(scanned.receipt.spans).into_iter().filter(|_| rng.below(4) > 0).collect();
        let spliced =
            ExportTraceServiceRequest::decode(&request(&kept, &identity)[..]).expect("it can be read");
        assert_eq!((count(&sent), count(&spliced)), (6, kept.len()));
        for group in &spliced.resource_spans {
            let attributes = &group.resource.as_ref().expect("it has one").attributes;
            let mut keys: Vec<_> = attributes.iter().map(|pair| &*pair.key).collect();
            keys.sort_unstable();
            assert_eq!(keys, ["a", "cloud.region", "host.name", "service.name"]);
            assert!(attributes.contains(&text("service.name", "own")));
        }
    });
}

/// Closed, a span is one span, failed and ended.
fn check_closed(body: &Body) {
    let (closed, size) = body.closed(UnixNanos(7), "timeout").expect("it is a span");
    let content = Content::Received(closed);
    let entry = Entry {
        signal: Signal::Traces,
        count: 1,
        size,
        is_precious: true,
        content,
        stamp: None,
        shared: None,
    };
    let bytes = request(&[entry], &Identity::default());
    let request = ExportTraceServiceRequest::decode(&bytes[..]).expect("closing a span does not spoil it");
    let span = &request.resource_spans[0].scope_spans[0].spans[0];
    let code = span.status.as_ref().map(|status| status.code);
    assert_eq!((count(&request), span.end_time_unix_nano, code), (1, 7, Some(2)));
}

/// A metric of every kind, to mutate.
fn sample_of_metrics() -> Vec<u8> {
    use opentelemetry_proto::tonic::metrics::v1::metric::Data;
    use opentelemetry_proto::tonic::metrics::v1::{
        Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram, HistogramDataPoint,
        Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, Summary, SummaryDataPoint,
        exponential_histogram_data_point, number_data_point, summary_data_point,
    };
    let attributes = || vec![text("http.route", "/payments")];
    let exemplars =
        || vec![Exemplar { filtered_attributes: attributes(), span_id: vec![1; 8], ..Exemplar::default() }];
    let value = Some(number_data_point::Value::AsDouble(1.5));
    let points = || {
        vec![NumberDataPoint {
            attributes: attributes(),
            exemplars: exemplars(),
            value,
            ..NumberDataPoint::default()
        }]
    };
    let histogram = HistogramDataPoint {
        attributes: attributes(),
        bucket_counts: vec![1, 2, 3],
        explicit_bounds: vec![0.5, 1.0],
        exemplars: exemplars(),
        ..HistogramDataPoint::default()
    };
    let buckets = exponential_histogram_data_point::Buckets { offset: -3, bucket_counts: vec![1, 300, 0] };
    let exponential = ExponentialHistogramDataPoint {
        attributes: attributes(),
        scale: -1,
        positive: Some(buckets),
        ..ExponentialHistogramDataPoint::default()
    };
    let quantile = summary_data_point::ValueAtQuantile { quantile: 0.5, value: 2.0 };
    let summary = SummaryDataPoint {
        attributes: attributes(),
        quantile_values: vec![quantile],
        ..SummaryDataPoint::default()
    };
    let data = [
        Data::Gauge(Gauge { data_points: points() }),
        Data::Sum(Sum { data_points: points(), aggregation_temporality: 1, is_monotonic: true }),
        Data::Histogram(Histogram { data_points: vec![histogram], aggregation_temporality: 2 }),
        Data::ExponentialHistogram(ExponentialHistogram {
            data_points: vec![exponential],
            aggregation_temporality: 1,
        }),
        Data::Summary(Summary { data_points: vec![summary] }),
    ];
    let metric = |data| Metric {
        name: "http.server.duration".into(),
        unit: "s".into(),
        metadata: attributes(),
        data: Some(data),
        ..Metric::default()
    };
    let scope = ScopeMetrics { metrics: data.map(metric).into(), ..ScopeMetrics::default() };
    let group = ResourceMetrics { scope_metrics: vec![scope], ..ResourceMetrics::default() };
    ExportMetricsServiceRequest { resource_metrics: vec![group] }.encode_to_vec()
}

/// A log record with values of every type, to mutate.
fn sample_of_logs() -> Vec<u8> {
    use any_value::Value;
    use opentelemetry_proto::tonic::common::v1::{ArrayValue, KeyValueList};
    use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
    let any = |value| AnyValue { value: Some(value) };
    let values =
        vec![any(Value::IntValue(-1)), any(Value::DoubleValue(0.5)), any(Value::BytesValue(vec![0xff; 3]))];
    let list = any(Value::ArrayValue(ArrayValue { values }));
    let row = KeyValue { key: "list".into(), value: Some(list), ..KeyValue::default() };
    let body = any(Value::KvlistValue(KeyValueList { values: vec![row, text("plain", "\u{e9}")] }));
    let record = LogRecord {
        severity_number: 17,
        severity_text: "ERROR".into(),
        body: Some(body),
        attributes: vec![text("code", "declined")],
        trace_id: vec![1; 16],
        ..LogRecord::default()
    };
    let scope = ScopeLogs { log_records: vec![record], ..ScopeLogs::default() };
    let group = ResourceLogs { scope_logs: vec![scope], ..ResourceLogs::default() };
    ExportLogsServiceRequest { resource_logs: vec![group] }.encode_to_vec()
}

/// All of it or nothing, and what is taken can be read.
#[test]
fn metrics_and_logs_that_are_taken_can_be_read() {
    let samples = [sample_of_metrics(), sample_of_logs(), sample()];
    rounds("otlp metrics and logs", |seed| {
        let mut rng = Rng::new(seed);
        let sample = &samples[rng.below(3) as usize];
        let bytes = Bytes::from(mutate(&mut rng, sample));
        for signal in [Signal::Metrics, Signal::Logs] {
            let decodes = |bytes: &[u8]| match signal {
                Signal::Metrics => ExportMetricsServiceRequest::decode(bytes).is_ok(),
                _ => ExportLogsServiceRequest::decode(bytes).is_ok(),
            };
            let Ok(whole) = scan(signal, &bytes) else { continue };
            // However it is cut for its backend, all of it is there.
            let limit = RequestLimit {
                bytes: 1 + rng.below(2_000) as usize,
                items: 1 + rng.below(9) as usize,
                parts_resources: rng.below(2) == 0,
            };
            let scanned = scan_within(signal, &bytes, limit).expect("what can be read can be cut");
            let count = |receipt: &Receipt<_>| receipt.count(signal);
            assert_eq!(count(&scanned.receipt), count(&whole.receipt), "{signal:?} {limit:?}");
            let parcels = scanned.receipt.parcels.into_iter();
            let held: Vec<_> = parcels
                .map(|parcel| Entry {
                    signal,
                    count: parcel.count,
                    size: parcel.size,
                    is_precious: false,
                    content: Content::Received(parcel.body),
                    stamp: None,
                    shared: None,
                })
                .collect();
            assert!(decodes(&request(&held, &Identity::default())), "what was taken can be read: {signal:?}");
        }
    });
}

/// Whether another reader takes it, which wants text without control characters, as we do not.
fn is_json(bytes: &[u8]) -> bool {
    let text: String = String::from_utf8_lossy(bytes).replace(|char| char < ' ', " ");
    serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok()
}

#[test]
fn json_becomes_protobuf_or_is_refused() {
    let points = br#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"m","histogram":{"dataPoints":[{"count":"3",
        "sum":-1.5e9,"bucketCounts":["1",2,0],"explicitBounds":[0.5,"Infinity"],"attributes":[{"key":"k","value":
        {"kvlistValue":{"values":[{"key":"x","value":{"arrayValue":{"values":[{"bytesValue":"aGk="}]}}}]}}}]}]}}]}]}]}"#;
    let span = br#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"5b8efff798038103d269b633813fc60c","spanId":
        "eee19b7ec3c1b174","name":"a\u00e9 \ud83d","kind":2,"startTimeUnixNano":"1795000000000000000","status":null}]}]}]}"#;
    rounds("otlp json", |seed| {
        let mut rng = Rng::new(seed);
        let (signal, sample) =
            if rng.below(2) == 0 { (Signal::Traces, &span[..]) } else { (Signal::Metrics, &points[..]) };
        let json = mutate(&mut rng, sample);
        let Ok(bytes) = from_json(signal, &json, 1 << 16) else { return };
        assert!(bytes.len() <= 1 << 16);
        assert!(is_json(&json), "that was no JSON: {}", String::from_utf8_lossy(&json));
        scan(signal, &Bytes::from(bytes.clone())).expect("what is written is a request");
        match signal {
            Signal::Traces => drop(ExportTraceServiceRequest::decode(&bytes[..]).expect("and decodes")),
            _ => drop(ExportMetricsServiceRequest::decode(&bytes[..]).expect("and decodes")),
        }
    });
}

#[test]
fn the_platforms_and_the_backends_words_are_read_without_a_panic() {
    let batch = br#"[{"time":"2026-11-22T07:58:30.000Z","type":"platform.runtimeDone","record":{"requestId":"r1",
        "status":"error","errorType":"Runtime.ExitError","metrics":{"durationMs":140.25,"producedBytes":16}}},
        {"time":"2026-11-22T07:58:29.858Z","type":"platform.initStart","record":{"phase":"init","instanceId":"i"}}]"#;
    let next = br#"{"eventType":"INVOKE","deadlineMs":1764000003000,"requestId":"r","invokedFunctionArn":"arn:aws",
        "tracing":{"type":"X-Amzn-Trace-Id","value":"Root=1-68a0c1d2-0123456789abcdef01234567;Parent=53995c3f42cd8ad8"}}"#;
    let header =
        b"Root=1-68a0c1d2-0123456789abcdef01234567;Parent=53995c3f42cd8ad8;Sampled=1;Lineage=1:f3c1a2b4:0";
    rounds("platform and backend", |seed| {
        let mut rng = Rng::new(seed);
        let _ = wire::telemetry_api::batch(&mutate(&mut rng, batch), UnixNanos(1));
        let _ = wire::extensions_api::next_event(&mutate(&mut rng, next));
        let header = String::from_utf8_lossy(&mutate(&mut rng, header)).into_owned();
        let _ = wire::trace_context::xray(&header);
        let list = String::from_utf8_lossy(&mutate(&mut rng, b"a=1,b=%20x,c=%zz")).into_owned();
        let _ = wire::key_values::parse(&list).count();
        assert!(wire::key_values::unquoted(&list).len() <= list.len());
        let retry = String::from_utf8_lossy(&mutate(&mut rng, b"Sun, 22 Nov 2026 07:58:29 GMT")).into_owned();
        let body = mutate(&mut rng, &wire::otlp::success(3, "no"));
        let status = rng.below(600) as u16;
        let kind = String::from_utf8_lossy(&mutate(&mut rng, b"text/html; charset=utf-8")).into_owned();
        let answer = wire::collector::Answer {
            status,
            retry_after: Some(&retry),
            content_type: (rng.below(2) == 0).then_some(&*kind),
            body: &body,
        };
        let _ = answer.outcome(UnixNanos(rng.number()));
        let framed = mutate(&mut rng, &[&wire::grpc::head(false, 3)[..], b"abc"].concat());
        if let Some((_, message)) = wire::grpc::message(&framed.clone().into()) {
            assert_eq!(message.len(), framed.len() - wire::grpc::HEAD);
        }
        let details = mutate(
            &mut rng,
            b"CA4SBGJ1c3kaNgoodHlwZS5nb29nbGVhcGlzLmNvbS9nb29nbGUucnBjLlJldHJ5SW5mbxIKCggIAhCAyrXuAQ",
        );
        let ended = wire::grpc::Ended { status, message: &retry, details: &details, body: &body };
        let _ = wire::grpc::outcome(&ended);
    });
}

#[test]
fn policy_survives_any_sequence_of_inputs() {
    rounds("policy", |seed| {
        let mut rng = Rng::new(seed);
        let mut agent: Agent<Number> = {
            let interval = policy::Duration::from_nanos(rng.below(2_000_000_000));
            let measuring = Measuring { interval, emf: rng.below(2) == 0, ..Measuring::DEFAULT };
            let sampling = any_sampling(&mut rng);
            let spool = [SpoolMode::Off, SpoolMode::Always][rng.below(2) as usize];
            Agent::new(Config { seed, measuring, sampling, spool, ..Config::default() })
        };
        let (mut now, mut flying, mut has_exited) = (0, Vec::new(), false);
        let mut is_closing = false;
        for _ in 0..rng.below(60) {
            now += rng.below(2_000_000_000);
            let is_closed = is_closing && rng.below(4) == 0;
            let input = if is_closed { Input::Closed } else { any_input(&mut rng, now, &flying) };
            agent.handle(Instant::from_nanos(now), input);
            while let Some(output) = agent.poll() {
                assert!(!has_exited, "an output after Exit");
                match output {
                    Output::Export { id, .. } => flying.push(id),
                    Output::Cancel(id) => flying.retain(|other| *other != id),
                    Output::Close => is_closing = true,
                    Output::Exit => has_exited = true,
                    _ => {}
                }
            }
            for signal in Signal::ALL {
                assert_eq!(agent.ledger().of(signal).held(), agent.held_items(signal), "{signal:?}");
            }
            assert!(agent.ledger().boosts >= agent.ledger().boosts_ended);
        }
    });
}

/// Everything kept in every second environment; else rules as somebody may have written them.
fn any_sampling(rng: &mut Rng) -> Sampling {
    if rng.below(2) == 0 {
        return Sampling::default();
    }
    let ratio = Ratio::new(rng.below(101) as f64 / 100.0).expect("a share");
    let text = String::from_utf8_lossy(&mutate(rng, RULES)).into_owned();
    let rules = wire::rules::parse(&text).0;
    let slow = [Slow::Never, Slow::From(policy::Duration::from_millis(5)), Slow::Above(0.9)];
    Sampling {
        ratio,
        rules,
        slow: slow[rng.below(3) as usize],
        boost: Some(Ratio::ALL),
        ..Sampling::default()
    }
}

/// Rules with something of everything, to mutate.
const RULES: &[u8] = br#"[{"match":{"name":"health*"},"drop":true,"failures":true},
    {"match":{"attributes":{"a":{"min":1,"max":9},"b":true}},"spans":"any","per_second":0.5},
    {"match":{"kind":"server","status":"ok","duration_ms":{"max":10}},"ratio":0.25},
    {"match":{"service":"pay?ents","route":"/*","trigger":"http"},"keep":true}]"#;

#[test]
fn rules_and_tracestates_are_read_without_a_panic_and_rewritten_in_part() {
    let state = b"ot=th:fd70a;rv:0123456789abcd;p:1,dd=s:2;t.dm:-3,congo=t61rcWkgMzE";
    rounds("rules and tracestates", |seed| {
        let mut rng = Rng::new(seed);
        let text = String::from_utf8_lossy(&mutate(&mut rng, RULES)).into_owned();
        let (rules, problems) = wire::rules::parse(&text);
        assert!(rules.len() + problems.len() > 0 || text.trim().starts_with('['));
        let state = String::from_utf8_lossy(&mutate(&mut rng, state)).into_owned();
        let threshold = Threshold::of(Ratio::new(rng.below(1_000) as f64 / 1_000.0).expect("a share"));
        for edit in [ThresholdEdit::Leave, ThresholdEdit::Erase, ThresholdEdit::Write(threshold)] {
            let Some(after) = trace_state::rewrite(&state, edit) else { continue };
            assert_eq!(
                trace_state::read(&after).randomness,
                trace_state::read(&state).randomness,
                "{state:?}"
            );
            assert_eq!(trace_state::rewrite(&after, edit), None, "{state:?}");
        }
    });
}

/// A body whose answers its number decides.
#[derive(Clone, Debug)]
struct Number(u64);

impl policy::Body for Number {
    fn name(&self) -> &str {
        ["", "POST /payments", "health"][self.0 as usize % 3]
    }

    fn attribute(&self, key: &str) -> Option<Fact<'_>> {
        let bits = self.0.rotate_left(key.len() as u32);
        let facts = [Fact::Text("a"), Fact::Int(bits as i64), Fact::Double(0.5), Fact::Flag(bits & 8 == 0)];
        facts.get(bits as usize % 8).copied()
    }

    fn resource(&self, key: &str) -> Option<Fact<'_>> {
        (key.len() as u64 == self.0 % 16).then_some(Fact::Text("payments"))
    }

    fn trace_state(&self) -> &str {
        ["", "ot=th:8", "ot=th:c;rv:ffffffffffffff,x=y", "ot=;;"][self.0 as usize % 4]
    }

    fn placed(&self, _trace_id: &TraceId, _span_id: &SpanId) -> Option<(Self, u32)> {
        self.0.is_multiple_of(3).then(|| (self.clone(), self.0 as u32 % 1_000))
    }

    fn closed(&self, _end: UnixNanos, _class: &str) -> Option<(Self, u32)> {
        (!self.0.is_multiple_of(5)).then(|| (self.clone(), self.0 as u32 % 1_000))
    }
}

fn any_input(rng: &mut Rng, now: u64, flying: &[BatchId]) -> Input<Number> {
    let request_id = || -> policy::RequestId { "r".into() };
    let soon = |rng: &mut Rng| Instant::from_nanos(now.saturating_add(rng.below(5_000_000_000)));
    let signal = if rng.below(4) > 0 { Signal::Traces } else { Signal::ALL[rng.below(3) as usize] };
    // A record may name a lane that this process does not have.
    let lane = LaneId { signal, destination: u8::from(rng.below(20) == 0) };
    match rng.below(16) {
        0 => Input::Ready,
        1 | 2 => Input::Invoke(Invoke {
            request_id: format!("r{}", rng.below(3)).as_str().into(),
            deadline: soon(rng),
            deadline_at: UnixNanos(rng.number()),
            received_at: UnixNanos(rng.number()),
            arn: "arn:aws:lambda:x:1:function:f:a".into(),
            xray: None,
            waited: policy::Duration::from_nanos(rng.below(100_000_000_000)),
        }),
        3 if rng.below(4) == 0 => Input::Shutdown(Shutdown {
            reason: ShutdownReason::Failure,
            deadline: soon(rng),
            received_at: UnixNanos(rng.number()),
            waited: policy::Duration::ZERO,
        }),
        4 => Input::Receiving,
        5 => Input::Received(Receipt {
            spans: (0..rng.below(4)).map(|_| any_span(rng)).collect(),
            parcels: Vec::new(),
        }),
        6 => Input::Flush { request_id: (rng.below(2) == 0).then(request_id) },
        7 => Input::Platform(any_event(rng)),
        9 => Input::Announced((0..rng.below(4)).map(|_| any_span(rng)).collect()),
        11 => Input::Logged {
            request_id: (rng.below(3) > 0).then(|| format!("r{}", rng.below(3)).as_str().into()),
            receipt: Receipt {
                spans: Vec::new(),
                parcels: (0..rng.below(3)).map(|_| any_logs(rng)).collect(),
            },
        },
        12 => Input::Parked { lane, place: (rng.below(3) > 0).then(|| Place(rng.number())) },
        13 => Input::Found(Parked {
            place: Place(rng.number()),
            lane,
            count: FOUND,
            size: rng.below(1_000) as usize,
        }),
        14 => {
            let spans = (0..rng.below(FOUND + 1)).map(|_| any_span(rng)).collect();
            Input::Unparked { lane, receipt: Receipt { spans, parcels: Vec::new() } }
        }
        10 if rng.below(20) == 0 => Input::Recovered {
            seed: 0,
            earlier: Receipt::EMPTY,
            invoke: None,
            receipt: Receipt {
                spans: (0..rng.below(3)).map(|_| any_span(rng)).collect(),
                parcels: Vec::new(),
            },
            announced: (0..rng.below(3)).map(|_| any_span(rng)).collect(),
        },
        8 if !flying.is_empty() => Input::Exported {
            id: flying[rng.below(flying.len() as u64) as usize],
            outcome: any_outcome(rng),
            raw_bytes: rng.below(1_000),
            sent_bytes: rng.below(1_000),
        },
        _ => Input::Tick,
    }
}

/// Spans in a record that was found: no record holds more than it says.
const FOUND: u64 = 3;

fn any_logs(rng: &mut Rng) -> Parcel<Number> {
    let (count, size) = (rng.below(9) as u32, rng.below(200_000) as u32);
    Parcel { signal: Signal::Logs, count, size, body: Number(rng.number()) }
}

fn any_span(rng: &mut Rng) -> policy::Span<Number> {
    let byte = |rng: &mut Rng| rng.below(5) as u8 + 1;
    policy::Span {
        trace_id: TraceId::new([byte(rng); 16]).expect("not zero"),
        span_id: SpanId::new([byte(rng); 8]).expect("not zero"),
        parent: (rng.below(2) == 0).then(|| SpanId::new([byte(rng); 8]).expect("not zero")),
        parent_is_remote: [None, Some(true), Some(false)][rng.below(3) as usize],
        kind: [Kind::Server, Kind::Consumer, Kind::Client][rng.below(3) as usize],
        start: UnixNanos(rng.number()),
        end: UnixNanos(rng.number()),
        is_error: rng.below(2) == 0,
        request_id: (rng.below(2) == 0).then(|| format!("r{}", rng.below(3)).as_str().into()),
        size: rng.below(100_000) as u32,
        body: Number(rng.number()),
    }
}

fn any_event(rng: &mut Rng) -> PlatformEvent {
    let at = UnixNanos(rng.number());
    let status =
        [EndStatus::Success, EndStatus::Error, EndStatus::Failure, EndStatus::Timeout][rng.below(4) as usize];
    let ending = Ending { status, error_type: (rng.below(2) == 0).then(|| "Runtime.ExitError".into()) };
    let request_id: policy::RequestId = format!("r{}", rng.below(3)).as_str().into();
    let restore = rng.below(4) == 0;
    let duration = (rng.below(2) == 0).then(|| policy::Duration::from_nanos(rng.number()));
    match rng.below(7) {
        0 => PlatformEvent::InitStart { at, phase: InitPhase::Invoke, restore, runtime_version: None },
        1 => PlatformEvent::InitRuntimeDone { at, restore, ending },
        2 => PlatformEvent::InitReport { at, phase: InitPhase::Init, restore, ending, duration },
        3 => PlatformEvent::Start { request_id, at },
        4 => PlatformEvent::LogsDropped { records: rng.below(9), bytes: 1 },
        5 => {
            let usage = Usage { billed: duration, memory_used_bytes: Some(rng.number()), ..Usage::default() };
            PlatformEvent::Report { request_id, at, ending, duration, usage }
        }
        _ => PlatformEvent::RuntimeDone {
            request_id,
            at,
            ending,
            duration,
            produced_bytes: None,
            response: Response { latency: duration, duration: None },
        },
    }
}

fn any_outcome(rng: &mut Rng) -> Outcome {
    let after = (rng.below(2) == 0).then(|| policy::Duration::from_nanos(rng.number()));
    match rng.below(6) {
        0 => Outcome::Delivered { rejected: rng.below(4) as u32 },
        1 => Outcome::Lost,
        2 => Outcome::Retry { after },
        3 => Outcome::TooLarge,
        4 => Outcome::Refused { status: 401 },
        _ => Outcome::Rejected { status: rng.below(600) as u16 },
    }
}

//! Scanning and splicing against a full decode: whatever a sender sends, both must see the same spans.

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList, any_value,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use policy::{Content, Entry, Kind, PlatformSpan, Signal, SpanId, TraceId, UnixNanos, Value};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use prost::Message;
use wire::otlp::{Body, Identity, pieces, request, scan};

fn text(key: &str, value: &str) -> KeyValue {
    let value = any_value::Value::StringValue(value.to_owned());
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

fn entries(request: &ExportTraceServiceRequest) -> Vec<Entry<Body>> {
    let bytes = Bytes::from(request.encode_to_vec());
    let scanned = scan(Signal::Traces, &bytes).expect("prost writes valid messages");
    let entry = |span: policy::Span<Body>| Entry {
        signal: Signal::Traces,
        count: 1,
        size: span.size,
        is_precious: span.is_error,
        content: Content::Received(span.body),
        stamp: None,
        shared: None,
    };
    scanned.receipt.spans.into_iter().map(entry).collect()
}

fn body_mut(entry: &mut Entry<Body>) -> Option<&mut Body> {
    match &mut entry.content {
        Content::Received(body) => Some(body),
        _ => None,
    }
}

fn decode(bytes: &[u8]) -> ExportTraceServiceRequest {
    ExportTraceServiceRequest::decode(bytes).expect("what is spliced is a valid request")
}

/// Every span with the resource and scope it stands under: what must survive any regrouping.
fn flat(
    request: &ExportTraceServiceRequest,
) -> Vec<(Option<Resource>, Option<InstrumentationScope>, String, Span)> {
    let mut flat = Vec::new();
    for group in &request.resource_spans {
        for scope in &group.scope_spans {
            for span in &scope.spans {
                flat.push((
                    group.resource.clone(),
                    scope.scope.clone(),
                    scope.schema_url.clone(),
                    span.clone(),
                ));
            }
        }
    }
    flat
}

fn id<const N: usize>() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(1_u8.., N)
}

fn any_span() -> impl Strategy<Value = Span> {
    let facts = (id::<16>(), id::<8>(), proptest::option::of(id::<8>()), 0..6_i32, 0..3_i32, any::<u32>());
    (facts, "[a-z]{0,12}", proptest::collection::vec(("[a-z.]{1,9}", "\\PC{0,40}"), 0..5)).prop_map(
        |((trace_id, span_id, parent, kind, code, flags), name, attributes)| Span {
            trace_id,
            span_id,
            parent_span_id: parent.unwrap_or_default(),
            kind,
            flags,
            name,
            start_time_unix_nano: 7,
            end_time_unix_nano: 9,
            attributes: attributes.iter().map(|(key, value)| text(key, value)).collect(),
            status: (code > 0).then(|| Status { code, message: "why".into() }),
            ..Span::default()
        },
    )
}

fn any_request() -> impl Strategy<Value = ExportTraceServiceRequest> {
    let scope =
        (proptest::collection::vec(any_span(), 0..5), "[a-z]{0,5}").prop_map(|(spans, name)| ScopeSpans {
            scope: Some(InstrumentationScope { name, ..InstrumentationScope::default() }),
            spans,
            schema_url: "scope-schema".into(),
        });
    let resource = proptest::option::of(proptest::collection::vec("[a-z.]{1,9}", 0..4));
    let group =
        (proptest::collection::vec(scope, 0..4), resource).prop_map(|(scope_spans, keys)| ResourceSpans {
            resource: keys.map(|keys| Resource {
                attributes: keys.iter().map(|key| text(key, "r")).collect(),
                ..Resource::default()
            }),
            scope_spans,
            schema_url: "group-schema".into(),
        });
    proptest::collection::vec(group, 0..4)
        .prop_map(|resource_spans| ExportTraceServiceRequest { resource_spans })
}

/// The same cases in every run: a failure anywhere is a failure everywhere.
fn fixed() -> ProptestConfig {
    ProptestConfig { rng_seed: RngSeed::Fixed(2_026), failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(fixed())]

    #[test]
    fn splicing_everything_gives_the_same_spans(sent in any_request()) {
        let spliced = decode(&request(&entries(&sent), &Identity::default()));
        prop_assert_eq!(flat(&spliced), flat(&sent));
    }

    #[test]
    fn splicing_a_part_gives_just_that_part(sent in any_request(), keep in proptest::collection::vec(any::<bool>(), 80)) {
        let kept: Vec<_> = entries(&sent).into_iter().zip(&keep).filter(|(_, keep)| **keep).map(|(e, _)| e).collect();
        let expected: Vec<_> = flat(&sent).into_iter().zip(&keep).filter(|(_, keep)| **keep).map(|(s, _)| s).collect();
        let spliced = decode(&request(&kept, &Identity::default()));
        prop_assert_eq!(flat(&spliced), expected);
        let is_empty = |group: &ResourceSpans| group.scope_spans.iter().all(|scope| scope.spans.is_empty());
        prop_assert!(!spliced.resource_spans.iter().any(is_empty), "an envelope without a span is not sent");
    }

    #[test]
    fn what_is_copied_out_of_a_request_is_what_was_in_it(
        sent in any_request(),
        keep in proptest::collection::vec(any::<bool>(), 80),
    ) {
        let mut kept: Vec<_> = entries(&sent).into_iter().zip(&keep).filter(|(_, keep)| **keep).map(|(e, _)| e).collect();
        let expected: Vec<_> = flat(&sent).into_iter().zip(&keep).filter(|(_, keep)| **keep).map(|(s, _)| s).collect();
        // Some are held twice, as one that is sent again is.
        let mut twice: Vec<_> = kept.iter().step_by(3).cloned().collect();
        policy::Body::condense(&mut kept.iter_mut().chain(&mut twice).filter_map(body_mut).collect::<Vec<_>>());
        prop_assert_eq!(flat(&decode(&request(&kept, &Identity::default()))), expected.as_slice());
        let again: Vec<_> = expected.into_iter().step_by(3).collect();
        prop_assert_eq!(flat(&decode(&request(&twice, &Identity::default()))), again);
    }

    #[test]
    fn facts_are_what_a_decode_says(sent in any_request()) {
        let bytes = Bytes::from(sent.encode_to_vec());
        let facts = scan(Signal::Traces, &bytes).expect("valid").receipt.spans;
        let spans = flat(&sent);
        prop_assert_eq!(facts.len(), spans.len());
        for (fact, (.., span)) in facts.iter().zip(&spans) {
            prop_assert_eq!(&fact.trace_id.bytes()[..], &span.trace_id[..]);
            prop_assert_eq!(&fact.span_id.bytes()[..], &span.span_id[..]);
            prop_assert_eq!(fact.parent.map(|id| id.bytes().to_vec()).unwrap_or_default(), span.parent_span_id.clone());
            prop_assert_eq!(fact.is_error, span.status.as_ref().is_some_and(|status| status.code == 2));
            prop_assert_eq!(fact.kind == Kind::Server, span.kind == 2);
            prop_assert_eq!((fact.start, fact.end), (UnixNanos(7), UnixNanos(9)));
            let is_told = !span.parent_span_id.is_empty() && span.flags & 0x100 != 0;
            let remote = is_told.then_some(span.flags & 0x200 != 0);
            prop_assert_eq!(fact.parent_is_remote, remote);
        }
    }

    #[test]
    fn any_bytes_are_refused_or_read_but_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        for signal in Signal::ALL {
            let _ = scan(signal, &Bytes::from(bytes.clone()));
        }
    }
}

fn one_span(attributes: Vec<KeyValue>, kind: i32) -> ExportTraceServiceRequest {
    let span = Span { trace_id: vec![1; 16], span_id: vec![2; 8], kind, attributes, ..Span::default() };
    let scope_spans = vec![ScopeSpans { spans: vec![span], ..ScopeSpans::default() }];
    let resource = Resource { attributes: vec![text("service.name", "mine")], ..Resource::default() };
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(resource),
            scope_spans,
            ..ResourceSpans::default()
        }],
    }
}

fn invocation_of(sent: &ExportTraceServiceRequest) -> Option<String> {
    let scanned = scan(Signal::Traces, &Bytes::from(sent.encode_to_vec())).expect("valid");
    scanned.receipt.spans[0].request_id.as_deref().map(str::to_owned)
}

#[test]
fn an_invocation_is_recognised_by_either_name_on_entry_spans_only() {
    let with = |key, kind| invocation_of(&one_span(vec![text("a", "b"), text(key, "request-1")], kind));
    assert_eq!(with("faas.invocation_id", 2).as_deref(), Some("request-1"));
    assert_eq!(with("faas.execution", 5).as_deref(), Some("request-1"));
    assert_eq!(with("faas.invocation_id", 3), None);
    assert_eq!(with("faas.name", 2), None);
    assert_eq!(invocation_of(&one_span(vec![text("faas.invocation_id", "")], 2)), None);
}

#[test]
fn resources_are_completed_and_never_overwritten() {
    let mut identity = Identity::default();
    identity.set("service.name", "ours");
    identity.set("cloud.region", "eu-west-1");
    identity.set_int("faas.max_memory", 1 << 27);
    let spliced = decode(&request(&entries(&one_span(Vec::new(), 2)), &identity));
    let resource = spliced.resource_spans[0].resource.as_ref().expect("it had one");
    let keys: Vec<_> = resource.attributes.iter().map(|attribute| attribute.key.as_str()).collect();
    assert_eq!(keys, ["service.name", "cloud.region", "faas.max_memory"]);
    assert_eq!(resource.attributes[0], text("service.name", "mine"));
}

/// What an SDK calls a service that nobody named is no name.
#[test]
fn a_service_that_its_sdk_does_not_know_gets_its_name() {
    let rows = [
        ("unknown_service", "ours"),
        ("unknown_service:/usr/bin/node", "ours"),
        ("unknown_service:python", "ours"),
        ("unknown_services", "unknown_services"),
        ("my unknown_service", "my unknown_service"),
        ("", ""),
    ];
    for (sent, expected) in rows {
        let mut request_of = one_span(Vec::new(), 2);
        let resource = request_of.resource_spans[0].resource.as_mut().expect("it has one");
        resource.attributes = vec![text("a", "1"), text("service.name", sent), text("b", "2")];
        let entries = entries(&request_of);
        for is_seen in [false, true] {
            let mut identity = Identity::default();
            identity.set("service.name", "ours");
            if is_seen && let Content::Received(body) = &entries[0].content {
                identity.observe(body);
            }
            let spliced = decode(&request(&entries, &identity));
            let attributes = &spliced.resource_spans[0].resource.as_ref().expect("it has one").attributes;
            let names: Vec<_> = attributes.iter().filter(|pair| pair.key == "service.name").collect();
            assert_eq!(names, [&text("service.name", expected)], "{sent:?}, seen {is_seen}");
            assert_eq!(attributes.len(), 3, "{sent:?}: nothing else is lost");
        }
        // Without a name of ours there is nothing better.
        let spliced = decode(&request(&entries, &Identity::default()));
        let attributes = &spliced.resource_spans[0].resource.as_ref().expect("it has one").attributes;
        assert_eq!(attributes[1], text("service.name", sent));
    }
}

/// A Collector refuses all that was sent with an id of another length: it is refused alone, wherever it stands.
#[test]
fn ids_of_another_length_are_refused_alone() {
    let field = |number: u32, content: &[u8]| {
        let mut out = Vec::new();
        wire::proto::put_bytes(&mut out, number, content);
        out
    };
    let request = |items: [&[u8]; 2]| {
        let items = items.map(|item| field(2, item)).concat();
        Bytes::from(field(1, &field(2, &items)))
    };
    let ids = [field(1, &[1; 16]), field(2, &[2; 8])].concat();
    // Of 64 bits, as in B3 and Datadog's propagation, and others that are no id at all; without any it is well.
    for (length, is_id) in
        [(0, [true, true]), (6, [false; 2]), (8, [false, true]), (16, [true, false]), (32, [false; 2])]
    {
        let id = vec![7; length];
        let exemplar = |number: u32| field(5, &field(1, &field(5, &field(number, &id))));
        let rows = [
            (Signal::Traces, [ids.clone(), [&ids[..], &field(4, &id)].concat()], is_id[1]),
            (Signal::Traces, [ids.clone(), [&ids[..], &field(13, &field(1, &id))].concat()], is_id[0]),
            (Signal::Traces, [ids.clone(), [&ids[..], &field(13, &field(2, &id))].concat()], is_id[1]),
            (Signal::Logs, [Vec::new(), field(9, &id)], is_id[0]),
            (Signal::Logs, [Vec::new(), field(10, &id)], is_id[1]),
            (Signal::Metrics, [field(1, b"good"), exemplar(5)], is_id[0]),
            (Signal::Metrics, [field(1, b"good"), exemplar(4)], is_id[1]),
        ];
        for (index, (signal, items, is_taken)) in rows.into_iter().enumerate() {
            let scanned = scan(signal, &request([&items[0], &items[1]])).expect("the other one is well");
            assert_eq!(scanned.refused, u32::from(!is_taken), "row {index}, {length} bytes");
        }
    }
}

#[test]
fn a_span_without_valid_ids_is_refused_alone() {
    let mut sent = one_span(Vec::new(), 2);
    let spans = &mut sent.resource_spans[0].scope_spans[0].spans;
    spans.push(Span { trace_id: vec![0; 16], span_id: vec![2; 8], ..Span::default() });
    spans.push(Span { trace_id: vec![1; 15], span_id: vec![2; 8], ..Span::default() });
    let scanned = scan(Signal::Traces, &Bytes::from(sent.encode_to_vec())).expect("valid");
    assert_eq!((scanned.receipt.spans.len(), scanned.refused), (1, 2));
    let spliced = decode(&request(&entries(&sent), &Identity::default()));
    assert_eq!(flat(&spliced).len(), 1);
}

#[test]
fn fields_of_the_future_pass_through() {
    // Field 99 of the span, of the scope's envelope and of the resource's.
    let mut span = one_span(Vec::new(), 2).resource_spans[0].scope_spans[0].spans[0].encode_to_vec();
    let future = [0x9a, 0x06, 3, b'n', b'e', b'w'];
    span.extend(future);
    let mut scope = vec![0x12, span.len() as u8];
    scope.extend(&span);
    scope.extend(future);
    let mut group = vec![0x12, scope.len() as u8];
    group.extend(&scope);
    group.extend(future);
    let mut sent = vec![0x0a, group.len() as u8];
    sent.extend(&group);
    let sent = Bytes::from(sent);
    let mut spans = scan(Signal::Traces, &sent).expect("valid").receipt.spans;
    let span = spans.remove(0);
    let entry = Entry {
        signal: Signal::Traces,
        count: 1,
        size: span.size,
        is_precious: false,
        content: Content::Received(span.body),
        stamp: None,
        shared: None,
    };
    assert_eq!(request(&[entry], &Identity::default()), sent, "nothing to complete: byte for byte");
}

#[test]
fn a_span_made_here_says_everything_it_holds() {
    let mut identity = Identity::default();
    identity.set("service.name", "payments");
    let made = PlatformSpan {
        trace_id: TraceId::new([1; 16]).expect("not zero"),
        span_id: SpanId::new([2; 8]).expect("not zero"),
        parent: SpanId::new([3; 8]),
        name: "init payments".into(),
        kind: Kind::Internal,
        start: UnixNanos(10),
        end: UnixNanos(20),
        error_type: Some("timeout".into()),
        attributes: vec![("faas.coldstart", Value::Flag(true)), ("n", Value::Int(-1))],
        links: Vec::new(),
    };
    let entry = Entry {
        signal: Signal::Traces,
        count: 1,
        size: 0,
        is_precious: true,
        content: Content::Made(made.into()),
        stamp: None,
        shared: None,
    };
    let spliced = decode(&request(&[entry], &identity));
    let (resource, scope, _, span) = flat(&spliced).remove(0);
    assert_eq!(resource.expect("set").attributes, [text("service.name", "payments")]);
    assert_eq!(scope.expect("set").name, "prefreeze.lambda");
    assert_eq!((span.parent_span_id, span.kind), (vec![3; 8], 1));
    assert_eq!((span.start_time_unix_nano, span.end_time_unix_nano), (10, 20));
    assert_eq!(span.status.expect("failed").code, 2);
    assert_eq!(span.attributes[2], text("error.type", "timeout"));
    let any_value::Value::IntValue(number) =
        span.attributes[1].value.clone().and_then(|v| v.value).expect("set")
    else {
        panic!("not a number");
    };
    assert_eq!(number, -1);
}

#[test]
fn metrics_and_logs_are_counted_and_passed_on_whole() {
    use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
    use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
    use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
    use opentelemetry_proto::tonic::metrics::v1::{
        Gauge, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, metric,
    };

    let gauge = Gauge { data_points: vec![NumberDataPoint::default(); 3] };
    let metric = Metric { data: Some(metric::Data::Gauge(gauge)), ..Metric::default() };
    let scope_metrics =
        vec![ScopeMetrics { metrics: vec![metric.clone(), metric], ..ScopeMetrics::default() }];
    let metrics = ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics { scope_metrics, ..ResourceMetrics::default() }],
    };
    let scope_logs = vec![ScopeLogs { log_records: vec![LogRecord::default(); 4], ..ScopeLogs::default() }];
    let logs = ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs { scope_logs, ..ResourceLogs::default() }],
    };
    for (signal, sent, count) in
        [(Signal::Metrics, metrics.encode_to_vec(), 6), (Signal::Logs, logs.encode_to_vec(), 4)]
    {
        let sent = Bytes::from(sent);
        let mut parcels = scan(signal, &sent).expect("valid").receipt.parcels;
        assert_eq!((parcels.len(), parcels[0].count), (1, count), "{signal:?}");
        let content = Content::Received(parcels.remove(0).body);
        let entry = Entry {
            signal,
            count,
            size: sent.len() as u32,
            is_precious: false,
            content,
            stamp: None,
            shared: None,
        };
        assert_eq!(request(&[entry], &Identity::default()), sent);
    }
}

#[test]
fn pieces_are_the_whole() {
    let spans = |name: &str| Span {
        trace_id: vec![1; 16],
        span_id: vec![2; 8],
        attributes: vec![text("text", &name.repeat(40_000))],
        ..Span::default()
    };
    let one = |name| ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            scope_spans: vec![ScopeSpans { spans: vec![spans(name)], ..ScopeSpans::default() }],
            ..ResourceSpans::default()
        }],
    };
    let entries: Vec<_> = ["a", "b", "c", "d", "e"].iter().flat_map(|name| entries(&one(*name))).collect();
    let (mut count, mut all) = (0, Vec::new());
    pieces(&entries, &Identity::default(), |piece| {
        count += 1;
        all.extend_from_slice(piece);
    });
    assert_eq!(all, request(&entries, &Identity::default()));
    assert_eq!(count, 3, "two spans of 40 KB are more than one piece");
    let mut of_nothing = Vec::new();
    pieces(&[], &Identity::default(), |piece| of_nothing.push(piece.len()));
    assert_eq!(of_nothing, [0]);
}

/// Lists of rows and lists of values within each other, `depth` of them.
fn nested(depth: usize, of_rows: bool) -> AnyValue {
    let innermost = AnyValue { value: Some(any_value::Value::StringValue("inner".to_owned())) };
    (0..depth).fold(innermost, |inner, _| {
        let value = if of_rows {
            let row = KeyValue { key: "k".to_owned(), value: Some(inner), ..KeyValue::default() };
            any_value::Value::KvlistValue(KeyValueList { values: vec![row] })
        } else {
            any_value::Value::ArrayValue(ArrayValue { values: vec![inner] })
        };
        AnyValue { value: Some(value) }
    })
}

#[test]
fn a_span_is_taken_as_deep_as_a_decoder_follows_and_no_deeper() {
    for of_rows in [true, false] {
        let mut deepest = 0;
        for depth in 1..60 {
            let attribute =
                KeyValue { key: "k".to_owned(), value: Some(nested(depth, of_rows)), ..KeyValue::default() };
            let bytes = Bytes::from(one_span(vec![attribute], 1).encode_to_vec());
            let is_read = ExportTraceServiceRequest::decode(&bytes[..]).is_ok();
            let scanned = scan(Signal::Traces, &bytes).expect("its envelope is whole");
            assert_eq!(scanned.refused == 0, is_read, "depth {depth}, of rows: {of_rows}");
            deepest = if is_read { depth } else { deepest };
        }
        assert!((20..59).contains(&deepest), "{deepest}");
    }
}

#[test]
fn a_resource_in_several_fields_is_completed_once() {
    let resource =
        |key: &str, value: &str| Resource { attributes: vec![text(key, value)], ..Resource::default() };
    let group = |resource: Option<Resource>| ResourceSpans {
        resource,
        scope_spans: vec![ScopeSpans {
            spans: (1..3)
                .map(|id| Span { trace_id: vec![id; 16], span_id: vec![id; 8], ..Span::default() })
                .collect(),
            ..ScopeSpans::default()
        }],
        ..ResourceSpans::default()
    };
    let empty = ResourceSpans { scope_spans: Vec::new(), ..group(Some(resource("service.name", "own"))) };
    let split = [group(Some(resource("host.name", "h"))).encode_to_vec(), empty.encode_to_vec()].concat();
    let mut bytes = vec![0x0a];
    prost::encoding::encode_varint(split.len() as u64, &mut bytes);
    bytes.extend(split);
    let bytes = Bytes::from(bytes);
    let mut identity = Identity::default();
    identity.set("service.name", "platform");
    identity.set("cloud.region", "eu-west-1");
    for keep in [2, 1] {
        let scanned = scan(Signal::Traces, &bytes).expect("valid");
        let entries: Vec<_> = scanned
            .receipt
            .spans
            .into_iter()
            .take(keep)
            .map(|span| Entry {
                signal: Signal::Traces,
                count: 1,
                size: span.size,
                is_precious: false,
                content: Content::Received(span.body),
                stamp: None,
                shared: None,
            })
            .collect();
        let sent = decode(&request(&entries, &identity));
        let attributes = &sent.resource_spans[0].resource.as_ref().expect("it has one").attributes;
        let mut keys: Vec<_> = attributes.iter().map(|pair| &*pair.key).collect();
        keys.sort_unstable();
        assert_eq!(keys, ["cloud.region", "host.name", "service.name"], "{keep} kept");
        let own = attributes.iter().find(|pair| pair.key == "service.name");
        assert_eq!(own, Some(&text("service.name", "own")));
    }
}

//! The guard on mutated requests: it never panics, what it lets through is a request, and once is enough.

use bytes::Bytes;
use fuzz::{long_rounds, mutate};
use guard::{Attributes, Guard, Limits, Redaction, Rules};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, KeyValue, KeyValueList, any_value::Value,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use policy::{Rng, Signal};
use prost::Message;

/// What is planted, and no mutation makes by chance.
const PLANTED: [&str; 6] = [
    "4111111111111111",
    "2341 2341 2346",
    "ABCPE1234F",
    "jane.doe@okaxis",
    "jane.doe@example.com",
    "AKIAIOSFODNN7EXAMPLE",
];

fn any(value: Value) -> AnyValue {
    AnyValue { value: Some(value) }
}

fn pair(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(any(value)), ..KeyValue::default() }
}

fn attributes() -> Vec<KeyValue> {
    let text = |index: usize| any(Value::StringValue(PLANTED[index].into()));
    vec![
        pair("note", Value::StringValue(format!("a {} b {} c", PLANTED[0], PLANTED[3]))),
        pair("number", Value::IntValue(4_111_111_111_111_111)),
        pair("list", Value::ArrayValue(ArrayValue { values: vec![text(1), text(2)] })),
        pair(
            "map",
            Value::KvlistValue(KeyValueList { values: vec![pair(PLANTED[5], Value::BoolValue(true))] }),
        ),
        pair("url.full", Value::StringValue(format!("https://u:p@a.io/x?mail={}#f=1", PLANTED[4]))),
        pair("db.query.text", Value::StringValue("SELECT 'it''s' FROM t WHERE a = 42 /* x */".into())),
        pair("body", Value::StringValue(r#"{"password":"x y","cvv": 123, "list":[1,{"a":"b"}]}"#.into())),
        pair("db.password", Value::StringValue("hunter2".into())),
        pair("card.cvv", Value::IntValue(123)),
    ]
}

fn sample() -> Vec<u8> {
    let span = |id: u8| Span {
        trace_id: vec![id; 16],
        span_id: vec![id; 8],
        name: format!("GET /o/{id}{id}"),
        attributes: attributes(),
        dropped_attributes_count: 3,
        events: vec![Event { name: PLANTED[1].into(), attributes: attributes(), ..Event::default() }],
        links: vec![Link { attributes: attributes(), ..Link::default() }],
        status: Some(Status { code: 2, message: PLANTED[4].into() }),
        ..Span::default()
    };
    let scope_spans = ScopeSpans { spans: (1..3).map(span).collect(), ..ScopeSpans::default() };
    let resource = Resource { attributes: attributes(), ..Resource::default() };
    let group = ResourceSpans {
        resource: Some(resource),
        scope_spans: vec![scope_spans],
        ..ResourceSpans::default()
    };
    ExportTraceServiceRequest { resource_spans: vec![group] }.encode_to_vec()
}

fn guard(rng: &mut Rng) -> Guard {
    let limits = match rng.below(3) {
        0 => Limits::NONE,
        1 => Limits::default(),
        _ => Limits { value: 24, stacktrace: 24, attributes: 5, events: 1, links: 1, item: 600 },
    };
    Guard::new(Rules { redaction: Redaction::everything(Some(b"key")), limits, attributes: None })
        .expect("there are rules")
}

#[test]
fn a_request_that_decodes_comes_out_as_one_and_unchanged_the_second_time() {
    let sample = sample();
    long_rounds("guard", |seed| {
        let mut rng = Rng::new(seed);
        let bytes = Bytes::from(mutate(&mut rng, &sample));
        let decodes = ExportTraceServiceRequest::decode(&bytes[..]).is_ok();
        let mut guard = guard(&mut rng);
        let Ok(guarded) = guard.apply(Signal::Traces, bytes) else {
            assert!(!decodes, "a good request is not refused");
            return;
        };
        if decodes {
            ExportTraceServiceRequest::decode(&guarded[..]).expect("what came in good goes out good");
        }
        let again = guard.apply(Signal::Traces, guarded.clone()).expect("it could be read before");
        assert_eq!(again, guarded, "once is enough");
    });
}

#[test]
fn what_stands_alone_is_hidden_whatever_stands_around_it() {
    long_rounds("guarded texts", |seed| {
        let mut rng = Rng::new(seed);
        let planted = PLANTED[rng.below(PLANTED.len() as u64) as usize];
        let noise = |rng: &mut Rng| {
            let length = rng.below(12) as usize;
            mutate(rng, &b" a=1,\"b\": {x} 42 ?y=z @ %41 eyJ:/ "[..length])
        };
        // Between blanks and brackets a value stands alone, whatever else is in the text.
        let text = [&noise(&mut rng)[..], b" (", planted.as_bytes(), b") ", &noise(&mut rng)].concat();
        let mut guard = guard(&mut Rng::new(0));
        let text = String::from_utf8_lossy(&text).into_owned();
        let hidden = guard.text(&text).unwrap_or_else(|| panic!("nothing is hidden in {text:?}"));
        assert!(!hidden.contains(planted), "{text:?} -> {hidden:?}");
        assert_eq!(guard.text(&hidden), None, "once is enough: {text:?} -> {hidden:?}");
    });
}

#[test]
fn rules_are_read_without_a_panic() {
    let redact = br#"["cards",{"use":"emails","action":"hash"},{"name":"n","key":"^a\\.","value":"x{1,3}","action":"mask"},{"except":"b"}]"#;
    let attributes =
        br#"{"deny":["a.*"],"allow":["b"],"limit":{"c":{"distinct":5,"then":"hash","length":9}},"names":7}"#;
    long_rounds("guard's rules", |seed| {
        let mut rng = Rng::new(seed);
        let text = String::from_utf8_lossy(&mutate(&mut rng, redact)).into_owned();
        let (redaction, _) = Redaction::parse(&text, Some(b"key"));
        let text = String::from_utf8_lossy(&mutate(&mut rng, attributes)).into_owned();
        let (attributes, _) = Attributes::parse(&text, Some(b"key"));
        let rules = Rules { redaction, limits: Limits::NONE, attributes: Some(attributes) };
        if let Some(mut guard) = Guard::new(rules) {
            guard.text("axxb 4111111111111111 jane@example.com");
        }
    });
}

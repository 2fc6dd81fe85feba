//! What sampling writes into spans, against a full decode: nothing else changes, and the limits of W3C hold.

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use policy::sampling::trace_state::{self, Sampled, ThresholdEdit};
use policy::sampling::{Decision, Ratio, Threshold};
use policy::{Content, Entry, Signal, Stamp};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use prost::Message;
use wire::otlp::{Body, Identity, request, scan};

fn text(key: &str, value: &str) -> KeyValue {
    let value = any_value::Value::StringValue(value.to_owned());
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

fn entries(request: &ExportTraceServiceRequest, stamps: &[Option<Stamp>]) -> Vec<Entry<Body>> {
    let bytes = Bytes::from(request.encode_to_vec());
    let spans = scan(Signal::Traces, &bytes).expect("prost writes valid messages").receipt.spans;
    let entry = |(span, stamp): (policy::Span<Body>, &Option<Stamp>)| Entry {
        signal: Signal::Traces,
        count: 1,
        size: span.size,
        is_precious: span.is_error,
        content: Content::Received(span.body),
        stamp: stamp.map(Box::new),
        shared: None,
    };
    spans.into_iter().zip(stamps).map(entry).collect()
}

fn spliced(sent: &ExportTraceServiceRequest, stamps: &[Option<Stamp>]) -> ExportTraceServiceRequest {
    let bytes = request(&entries(sent, stamps), &Identity::default());
    ExportTraceServiceRequest::decode(&bytes[..]).expect("what is spliced is a valid request")
}

fn spans(request: &ExportTraceServiceRequest) -> Vec<Span> {
    let scopes = request.resource_spans.iter().flat_map(|group| &group.scope_spans);
    scopes.flat_map(|scope| scope.spans.clone()).collect()
}

fn any_state() -> impl Strategy<Value = String> {
    let member = prop_oneof![
        "[a-z]{1,4}=[a-z0-9:;]{0,8}",
        "ot=(th:[0-9a-f]{1,14};?)?(rv:[0-9a-f]{14})?(;x:[a-z]{1,3})?",
        "[a-z]{1,3}",
        Just(String::new()),
    ];
    prop_oneof![
        3 => proptest::collection::vec(member, 0..4).prop_map(|members| members.join(",")),
        1 => "\\PC{0,40}",
    ]
}

fn any_span() -> impl Strategy<Value = Span> {
    let reason = proptest::bool::weighted(0.1).prop_map(|has| has.then(|| text("sampling.reason", "theirs")));
    let keys = proptest::collection::vec(("[a-z.]{1,9}", "\\PC{0,20}"), 0..4);
    (any_state(), "[a-z]{0,12}", keys, 0..3_i32, reason).prop_map(
        |(trace_state, name, keys, code, reason)| Span {
            trace_id: vec![1; 16],
            span_id: vec![2; 8],
            trace_state,
            name,
            kind: 2,
            attributes: keys.iter().map(|(key, value)| text(key, value)).chain(reason).collect(),
            status: Some(Status { code, message: "why".into() }),
            flags: 0x101,
            ..Span::default()
        },
    )
}

fn any_stamp() -> impl Strategy<Value = Option<Stamp>> {
    let share = (0.0_f64..1.0).prop_map(|share| Threshold::of(Ratio::new(share).expect("a share")));
    let threshold = prop_oneof![
        Just(ThresholdEdit::Leave),
        Just(ThresholdEdit::Erase),
        share.prop_map(ThresholdEdit::Write)
    ];
    let reason = proptest::option::of(Just(Decision::Slow));
    proptest::option::of((threshold, reason).prop_map(|(threshold, reason)| Stamp { threshold, reason }))
}

fn request_of(groups: &[Vec<Span>]) -> ExportTraceServiceRequest {
    let group = |spans: &Vec<Span>| ResourceSpans {
        scope_spans: vec![ScopeSpans {
            spans: spans.clone(),
            schema_url: "s".into(),
            ..ScopeSpans::default()
        }],
        ..ResourceSpans::default()
    };
    ExportTraceServiceRequest { resource_spans: groups.iter().map(group).collect() }
}

proptest! {
    #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(5), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_stamp_changes_what_it_says_and_nothing_else(
        groups in proptest::collection::vec(proptest::collection::vec(any_span(), 1..4), 1..4),
        stamps in proptest::collection::vec(any_stamp(), 12),
    ) {
        let sent = request_of(&groups);
        let after = spans(&spliced(&sent, &stamps));
        let before = spans(&sent);
        prop_assert_eq!(after.len(), before.len());
        for ((mut after, before), stamp) in after.into_iter().zip(before).zip(&stamps) {
            let Some(stamp) = stamp else {
                prop_assert_eq!(after, before);
                continue;
            };
            let has_reason = before.attributes.iter().any(|attribute| attribute.key == "sampling.reason");
            if stamp.reason.is_some() && !has_reason {
                prop_assert_eq!(after.attributes.pop(), Some(text("sampling.reason", "slow")));
            }
            let expected = trace_state::rewrite(&before.trace_state, stamp.threshold);
            prop_assert_eq!(&after.trace_state, &expected.unwrap_or_else(|| before.trace_state.clone()));
            after.trace_state.clone_from(&before.trace_state);
            prop_assert_eq!(after, before);
        }
    }

    #[test]
    fn a_rewritten_tracestate_says_what_it_should_and_keeps_the_rest(state in any_state(), stamp in any_stamp()) {
        let edit = stamp.map_or(ThresholdEdit::Leave, |stamp| stamp.threshold);
        let Some(after) = trace_state::rewrite(&state, edit) else { return Ok(()) };
        let foreign = |state: &str| -> Vec<String> {
            let members = state.split(',').map(|member| member.trim_matches([' ', '\t']).to_owned());
            members.filter(|member| !member.is_empty() && !member.starts_with("ot=")).collect()
        };
        prop_assert_eq!(foreign(&after), foreign(&state), "other members stay, in order");
        prop_assert_eq!(trace_state::read(&after).randomness, trace_state::read(&state).randomness);
        let sampled = trace_state::read(&after).sampled;
        match edit {
            ThresholdEdit::Write(threshold) => prop_assert_eq!(sampled, Sampled::By(threshold)),
            _ => prop_assert_eq!(sampled, Sampled::Unsaid),
        }
        prop_assert_eq!(trace_state::rewrite(&after, edit), None, "once is enough");
    }
}

#[test]
fn fields_of_the_future_stay_byte_for_byte_beside_a_stamp() {
    let span = Span { trace_id: vec![1; 16], span_id: vec![2; 8], name: "n".into(), ..Span::default() };
    let mut span = span.encode_to_vec();
    let future = [0x9a, 0x06, 3, b'n', b'e', b'w'];
    let state = [0x1a, 4, b'a', b'=', b'1', b','];
    span.extend(future);
    span.extend(state);
    span.extend(future);
    let wrap = |tag: u8, inner: &[u8]| [&[tag, inner.len() as u8][..], inner].concat();
    let bytes = Bytes::from(wrap(0x0a, &wrap(0x12, &wrap(0x12, &span))));
    let mut received = scan(Signal::Traces, &bytes).expect("valid").receipt.spans;
    let threshold = ThresholdEdit::Write(Threshold::from_hex("8").expect("a threshold"));
    let entry = Entry {
        signal: Signal::Traces,
        count: 1,
        size: 1,
        is_precious: false,
        content: Content::Received(received.remove(0).body),
        stamp: Some(Box::new(Stamp { threshold, reason: None })),
        shared: None,
    };
    let old: Vec<u8> = [&future[..], &state, &future].concat();
    let new: Vec<u8> = [&future[..], &wrap(0x1a, b"ot=th:8,a=1"), &future].concat();
    let expected = [&span[..span.len() - old.len()], &new].concat();
    let expected = wrap(0x0a, &wrap(0x12, &wrap(0x12, &expected)));
    assert_eq!(request(&[entry], &Identity::default()), expected);
}

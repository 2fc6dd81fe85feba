//! What is wrong in one place of a request costs no more than that place: no other span, no byte that nobody asked for,
//! and nothing that is to be hidden.

mod shared;

use bytes::Bytes;
use guard::{Attributes, Guard, Limits, Redaction, Refused, Rules};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue, KeyValueList};
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use policy::Signal;
use prost::Message;
use shared::{CARD, MASKED, any, attributes, guard, limited, one_span, pair, request, span_of, text};

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

/// A field's tag, its length and its content.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    prost::encoding::encode_varint(content.len() as u64, &mut out);
    out.extend_from_slice(content);
    out
}

fn in_request(scope: &[u8]) -> Bytes {
    field(1, &field(2, scope)).into()
}

#[test]
fn a_span_that_cannot_be_read_is_left_out_alone() {
    let good =
        |id: u8| Span { trace_id: vec![id; 16], span_id: vec![id; 8], name: CARD.into(), ..Span::default() };
    let broken = [&good(2).encode_to_vec()[..], &[0x4a, 99, 1]].concat();
    let spans =
        [&good(1).encode_to_vec()[..], &broken, &good(3).encode_to_vec()].map(|span| field(2, span)).concat();
    let mut searching = guard(r#"["cards"]"#);
    let guarded = searching.apply(Signal::Traces, in_request(&spans)).expect("one span costs no request");
    let request = ExportTraceServiceRequest::decode(&guarded[..]).expect("decodes");
    let left: Vec<_> = request.resource_spans[0].scope_spans[0]
        .spans
        .iter()
        .map(|span| (span.span_id[0], &*span.name))
        .collect();
    assert_eq!(left, [(1, MASKED), (3, MASKED)]);
    assert_eq!(searching.limited().refused, 1);
    // Where nothing is to be hidden it passes: the scan refuses it, and tells the sender.
    let mut counting = limited(Limits { attributes: 1, ..Limits::NONE });
    let guarded = counting.apply(Signal::Traces, in_request(&spans)).expect("it passes");
    assert_eq!(guarded, in_request(&spans));
}

#[test]
fn a_group_is_passed_over() {
    let span = Span { trace_id: vec![1; 16], span_id: vec![3; 8], name: CARD.into(), ..Span::default() };
    // Field 99 of the span, a group with a number in it.
    let span = [&span.encode_to_vec()[..], &[0x9b, 0x06, 0x08, 1, 0x9c, 0x06]].concat();
    let guarded =
        guard(r#"["cards"]"#).apply(Signal::Traces, in_request(&field(2, &span))).expect("it is OTLP");
    assert_eq!(span_of(&guarded).name, MASKED);
}

/// Every order of a span's fields in which an empty value, or an empty name, stands directly before a count: the order of
/// the JavaScript SDK among them.
#[test]
fn an_empty_value_before_a_count_is_replaced_where_it_stands() {
    let empty = field(9, &[&field(1, b"user.id")[..], &[0x12, 0]].concat());
    let denied = field(9, &field(1, b"debug.x"));
    let names = r#"{"names":1,"deny":["debug.*"],"limit":{"user.id":{"distinct":0,"then":"hash"}}}"#;
    let ids = [field(1, &[1; 16]), field(2, &[3; 8])].concat();
    let parts: [&[u8]; 5] = [&empty, &[0x50, 0], &[0x2a, 0], &[0x60, 0], &denied];
    let mut orders = vec![Vec::new()];
    for _ in 0..parts.len() {
        let more = |order: &Vec<usize>| {
            let left = (0..parts.len()).filter(|part| !order.contains(part));
            left.map(|part| [&order[..], &[part]].concat()).collect::<Vec<_>>()
        };
        orders = orders.iter().flat_map(more).collect();
    }
    for order in orders {
        let (rules, faults) = Attributes::parse(names, Some(b"key"));
        assert_eq!(faults, Vec::<String>::new());
        let rules = Rules { redaction: Redaction::default(), limits: Limits::NONE, attributes: Some(rules) };
        let mut guard = Guard::new(rules).expect("there are rules");
        let first =
            Span { name: "one".into(), trace_id: vec![1; 16], span_id: vec![3; 8], ..Span::default() };
        guard.apply(Signal::Traces, request(first)).expect("a request");
        let span = [&ids[..], &order.iter().map(|part| parts[*part]).collect::<Vec<_>>().concat()].concat();
        let guarded = guard.apply(Signal::Traces, in_request(&field(2, &span))).expect("a request");
        let span = span_of(&guarded);
        assert_eq!((&*span.name, span.dropped_attributes_count), ("other", 1), "{order:?}");
        let [(key, value)] = &attributes(&span)[..] else { panic!("{order:?}: {span:?}") };
        assert!(key == "user.id" && value.starts_with('{'), "{order:?}: {span:?}");
    }
}

/// What is hidden makes a value shorter: what was behind the cut must not come into it cut in two.
#[test]
fn a_value_that_gets_shorter_shows_nothing_that_was_behind_the_cut() {
    let jwt = format!("eyJhbGciOiJIUzI1NiJ9.{}.c2ln", "a".repeat(200));
    for padding in 0..40 {
        let value = format!("{}Bearer {jwt} then {CARD} end", "x".repeat(padding));
        let rules = Rules {
            redaction: Redaction::everything(None),
            limits: Limits { value: 64, ..Limits::NONE },
            attributes: None,
        };
        let mut guard = Guard::new(rules).expect("there are rules");
        let guarded = guard.apply(Signal::Traces, one_span(vec![text("k", &value)])).expect("a request");
        assert!(!holds(&guarded, &CARD[..11]), "{padding}: {:?}", attributes(&span_of(&guarded)));
        assert!(attributes(&span_of(&guarded))[0].1.len() <= 64);
    }
}

/// A card that a cut makes of more digits is hidden too: so is what is sent through twice.
#[test]
fn a_cut_makes_nothing_that_would_be_hidden() {
    let rules = Rules {
        redaction: Redaction::everything(None),
        limits: Limits { value: 16, ..Limits::NONE },
        attributes: None,
    };
    let mut guard = Guard::new(rules).expect("there are rules");
    let once =
        guard.apply(Signal::Traces, one_span(vec![text("k", "41111111111111110000")])).expect("a request");
    assert_eq!(guard.apply(Signal::Traces, once.clone()), Ok(once));
}

#[test]
fn what_an_own_pattern_does_not_match_stays_to_the_byte() {
    let binary = b"\xff\xfe\x00binary\xe2\x82".to_vec();
    let long = format!("{}ORD-123456{}", "x".repeat(65_530), "y".repeat(40_000));
    let span = Span {
        trace_id: vec![1; 16],
        span_id: vec![3; 8],
        attributes: vec![pair("b", Value::BytesValue(binary.clone()))],
        status: Some(Status { code: 2, message: long.clone() }),
        ..Span::default()
    };
    let mut guard = guard(r#"[{"value":"ORD-[0-9]{6}","action":"mask"}]"#);
    let left = span_of(&guard.apply(Signal::Traces, request(span)).expect("a request"));
    assert_eq!(left.attributes[0], pair("b", Value::BytesValue(binary)));
    assert_eq!(left.status.expect("it has one").message, long.replace("ORD-123456", "**********"));
}

#[test]
fn what_is_beyond_the_budget_of_a_request_is_hidden_whole_and_counted() {
    let long = "word ".repeat(100_000);
    let spans = (0..20_u8).map(|id| Span {
        trace_id: vec![1; 16],
        span_id: vec![id + 1; 8],
        attributes: vec![text("k", &long)],
        ..Span::default()
    });
    let scope_spans = vec![ScopeSpans { spans: spans.collect(), ..ScopeSpans::default() }];
    let group = ResourceSpans { scope_spans, ..ResourceSpans::default() };
    let sent = Bytes::from(ExportTraceServiceRequest { resource_spans: vec![group] }.encode_to_vec());
    let mut guard = guard(r#"["all"]"#);
    let guarded = guard.apply(Signal::Traces, sent).expect("a request");
    let left = ExportTraceServiceRequest::decode(&guarded[..]).expect("decodes");
    let spans = &left.resource_spans[0].scope_spans[0].spans;
    let hidden = spans.iter().filter(|span| attributes(span)[0].1 == "[redacted]").count();
    assert!((10..15).contains(&hidden), "{hidden}");
    assert_eq!(guard.limited().unsearched, hidden as u64);
    // The next request has a budget of its own.
    guard.apply(Signal::Traces, one_span(vec![text("k", &long)])).expect("a request");
    assert_eq!(guard.limited().unsearched, hidden as u64);
}

/// Each kind that changes a text with escapes has it read anew for the next one: that is time, too.
#[test]
fn reading_a_text_anew_is_paid_for() {
    let searched = |first: &str| {
        let long = format!("{first}{}", "word ".repeat(20_000));
        let sent = one_span(vec![text("k", &long); 100]);
        let left = guard(r#"["all"]"#).apply(Signal::Traces, sent).expect("a request");
        attributes_of(&left).iter().filter(|(_, text)| text != "[redacted]").count()
    };
    let [cards, more] = [
        "4111111111111111 ",
        "4111111111111111 jane@example.com ABCPE1234F +919876543210 password=hunter2X ",
    ];
    let escaped = |text: &str| searched(&format!("\\n{text}"));
    // Twice each, and once more for what follows.
    assert_eq!([searched(cards), searched(more)], [20, 20]);
    assert_eq!([escaped(cards), escaped(more)], [16, 9]);
}

/// The counts of what is left out take room too.
#[test]
fn a_trimmed_span_is_within_its_bound_to_the_byte() {
    for length in 0..60 {
        let mut guard = limited(Limits { item: 600, ..Limits::NONE });
        let attributes = (0..20).map(|index| text(&format!("k{index}"), &"x".repeat(20 + length))).collect();
        let span = Span {
            trace_id: vec![1; 16],
            span_id: vec![3; 8],
            attributes,
            events: vec![Event { name: "x".repeat(90 - length), ..Event::default() }; 4],
            links: vec![Link { trace_state: "y".repeat(70 + length), ..Link::default() }; 3],
            ..Span::default()
        };
        let left = span_of(&guard.apply(Signal::Traces, request(span)).expect("good"));
        assert!(left.encoded_len() <= 600, "{length}: {}", left.encoded_len());
    }
}

#[test]
fn what_cannot_be_read_passes_where_nothing_is_to_be_hidden() {
    // An attribute's value whose last field has the number 0.
    let attribute = [&[0x0a, 1, b'k', 0x12, 3, 0x0b, 0x0c, 0][..]].concat();
    let span = [&[0x4a, attribute.len() as u8][..], &attribute].concat();
    let scope = [&[0x12, span.len() as u8][..], &span].concat();
    let group = [&[0x12, scope.len() as u8][..], &scope].concat();
    let bytes = Bytes::from([&[0x0a, group.len() as u8][..], &group].concat());
    let counting = |attributes| {
        Guard::new(Rules { redaction: Redaction::default(), limits: Limits::default(), attributes })
            .expect("rules")
    };
    for attributes in [None, Some(Attributes::default())] {
        assert_eq!(counting(attributes).apply(Signal::Traces, bytes.clone()), Ok(bytes.clone()));
    }
    let torn = Bytes::from_static(&[0x0a, 5, 1]);
    assert_eq!(counting(None).apply(Signal::Traces, torn.clone()), Ok(torn));
    let mut searching = guard(r#"["cards"]"#);
    let left = searching.apply(Signal::Traces, bytes).expect("the span goes alone");
    assert!(!holds(&left, "k"));
    assert_eq!(searching.limited().refused, 1);
}

#[test]
fn what_cannot_be_read_does_not_pass() {
    let mut guard = guard(r#"["cards"]"#);
    let bad = Bytes::from_static(&[0x0a, 5, 1]);
    assert!(matches!(guard.apply(Signal::Traces, bad), Err(Refused::Malformed(_))));
    let mut value = any(Value::StringValue(CARD.into()));
    for _ in 0..30 {
        value = any(Value::ArrayValue(ArrayValue { values: vec![value] }));
    }
    let deep = |value: AnyValue| {
        one_span(vec![KeyValue { key: "k".into(), value: Some(value), ..Default::default() }])
    };
    let guarded = guard.apply(Signal::Traces, deep(value.clone())).expect("not too deep");
    assert!(!holds(&guarded, CARD));
    for _ in 0..10 {
        value = any(Value::KvlistValue(KeyValueList {
            values: vec![KeyValue { key: "k".into(), value: Some(value), ..KeyValue::default() }],
        }));
    }
    let guarded = guard.apply(Signal::Traces, deep(value)).expect("one value costs no request");
    assert!(!holds(&guarded, CARD));
    let (_, left) = attributes(&span_of(&guarded)).remove(0);
    assert!(left.contains("[redacted]"), "{left}");
    assert_eq!(guard.limited().unsearched, 1, "and is counted");
}

#[test]
fn a_span_that_cannot_be_read_takes_no_bound_from_the_others() {
    let span = |id: u8| Span {
        trace_id: vec![id; 16],
        span_id: vec![id; 8],
        name: format!("n{id}"),
        ..Span::default()
    };
    let broken = [&span(2).encode_to_vec()[..], &[0x4a, 99, 1]].concat();
    let spans =
        [&span(1).encode_to_vec()[..], &broken, &span(3).encode_to_vec()].map(|span| field(2, span)).concat();
    let rules = Attributes::parse(r#"{"names":1}"#, None).0;
    let rules = Rules { redaction: Redaction::default(), limits: Limits::NONE, attributes: Some(rules) };
    let mut guard = Guard::new(rules).expect("there are rules");
    let guarded = guard.apply(Signal::Traces, in_request(&spans)).expect("one span costs no request");
    let expected = Span { name: "other".into(), ..span(3) };
    let spans = [&span(1).encode_to_vec()[..], &broken, &expected.encode_to_vec()]
        .map(|span| field(2, span))
        .concat();
    assert_eq!(guarded, in_request(&spans));
}

/// Decoders put a message together that comes in several pieces.
#[test]
fn a_value_in_several_pieces_is_hidden() {
    let secret = field(2, &field(1, b"hunter2X"));
    for pieces in [[&secret[..], &field(2, b"")], [&field(2, b""), &secret], [&secret, &secret]] {
        let attribute = [field(1, b"password"), pieces.concat()].concat();
        let span = [field(1, &[1; 16]), field(2, &[2; 8]), field(9, &attribute)].concat();
        let left =
            guard(r#"["all"]"#).apply(Signal::Traces, in_request(&field(2, &span))).expect("a request");
        assert!(!holds(&left, "hunter2X"), "{left:?}");
    }
}

/// What is left of a text is one, wherever a detector stops: no decoder would take it, and with a resource all is lost.
#[test]
fn what_is_left_of_a_text_is_one() {
    let domain = |letter: &str| format!("jane@{}.example.com", letter.repeat(130));
    for text_in in [
        format!("4111111111111111^a{}^{}", "é".repeat(20), "é".repeat(60)),
        format!("4111111111111111^{}^{}", "😀".repeat(3), "😀".repeat(60)),
        domain("é"),
        domain("aé"),
        domain("文"),
        domain("😀"),
    ] {
        for action in ["", r#","action":"mask""#, r#","action":"hash""#, r#","action":"delete""#] {
            let mut guard = guard(&format!(r#"[{{"use":"all"{action}}}]"#));
            let left = guard.apply(Signal::Traces, one_span(vec![text("k", &text_in)])).expect("a request");
            // Decodes: each text is UTF-8.
            assert_eq!(span_of(&left).attributes.len(), 1, "{text_in}");
        }
    }
}

/// A rule on a key is one on its value, whatever that is.
#[test]
fn a_rule_on_a_key_hides_maps_and_fractions() {
    let list =
        |values: Vec<Value>| Value::ArrayValue(ArrayValue { values: values.into_iter().map(any).collect() });
    let map = |pairs: Vec<KeyValue>| Value::KvlistValue(KeyValueList { values: pairs });
    let jane = || map(vec![text("name", "Jane Doe")]);
    let rows = [
        ("customer", jane(), "Jane Doe"),
        ("customer", list(vec![jane()]), "Jane Doe"),
        ("customer", map(vec![pair("inner", list(vec![jane()]))]), "Jane Doe"),
        ("salary", Value::DoubleValue(52_341.75), "52341.75"),
        ("salary", list(vec![Value::DoubleValue(52_341.75)]), "52341.75"),
        ("salary", map(vec![pair("net", Value::IntValue(5))]), "IntValue(5)"),
        ("note", map(vec![text("a", "ORD-1")]), "ORD-1"),
        ("phone", map(vec![text("home", "9876543210")]), "9876543210"),
    ];
    for (key, value, secret) in rows {
        let rules = r#"["phones",{"key":"^customer$","action":"mask"},{"key":"^salary$"},
            {"key":"^note$","value":"ORD-[0-9]"}]"#;
        let left = guard(rules).apply(Signal::Traces, one_span(vec![pair(key, value)])).expect("a request");
        let left = format!("{:?}", span_of(&left).attributes);
        assert!(!left.contains(secret), "{left}");
    }
}

/// Each key that is not known costs what its search takes; and what nobody has looked at is hidden, key and value.
#[test]
fn keys_are_within_the_budget() {
    let rules = r#"[{"key":"^(?:[a-z]*-)*(?:[a-z]?){150}id$"}]"#;
    let count = 500;
    let attributes: Vec<KeyValue> = (0..count)
        .map(|index| pair(&format!("{}{index}", "abcd".repeat(1_000)), Value::BoolValue(true)))
        .collect();
    let is_hidden = |value: &Option<AnyValue>| *value == Some(any(Value::StringValue("[redacted]".into())));
    let mut guard = guard(rules);
    let left = guard.apply(Signal::Traces, one_span(attributes)).expect("a request");
    let hidden = span_of(&left).attributes.iter().filter(|pair| is_hidden(&pair.value)).count();
    assert!(hidden > count - 100 && hidden < count, "{hidden} of {count}");
    assert_eq!(guard.limited().unsearched, hidden as u64);
    // The next request has a budget of its own, and knows what the last one had no time for.
    let known = guard.apply(Signal::Traces, one_span(vec![text("abcd", "v")])).expect("a request");
    assert_eq!(attributes_of(&known), [("abcd".to_owned(), "v".to_owned())]);
}

fn attributes_of(bytes: &Bytes) -> Vec<(String, String)> {
    attributes(&span_of(bytes))
}

/// Letters beyond ASCII ask every set of a pattern: a text of them costs as much more as they take.
#[test]
fn texts_of_other_scripts_are_within_the_budget() {
    let sets: String =
        (0..200).map(|index| format!("[é{}-ह]", char::from_u32(0x500 + index).expect("a letter"))).collect();
    let rules = format!(r#"[{{"value":"[अ-ह]{{2}}{sets}"}}]"#);
    for (letters, is_hidden) in [("कखगघङचछज", true), ("abcdefgh", false)] {
        let mut guard = guard(&rules);
        let text = letters.repeat(200_000 / letters.len());
        assert_eq!(guard.text(&text).as_deref() == Some("[redacted]"), is_hidden, "{letters}");
    }
}

/// Behind the budget an array or a map is hidden whole: one by one, its values would take more than they are.
#[test]
fn what_is_left_of_an_array_is_hidden_whole() {
    let count = 300_000;
    let array = ArrayValue { values: vec![any(Value::StringValue("=".into())); count] };
    let map = KeyValueList { values: vec![text("a", "="); count] };
    for value in [Value::ArrayValue(array), Value::KvlistValue(map)] {
        let mut guard = guard(r#"["all"]"#);
        let left =
            guard.apply(Signal::Traces, one_span(vec![pair("k", value), text("a", "b")])).expect("a request");
        let expected = [("k".to_owned(), "[redacted]".to_owned()), ("a".to_owned(), "[redacted]".to_owned())];
        assert_eq!(attributes_of(&left), expected);
    }
}

/// More changes than there is room for are refused, and not made.
#[test]
fn a_request_of_nothing_but_changes_is_refused() {
    let resource = |count: usize| {
        let attribute = field(1, &[field(1, b""), field(2, &field(1, b"="))].concat());
        Bytes::from(field(1, &field(1, &attribute.repeat(count))))
    };
    let mut guard = guard(r#"["all"]"#);
    assert!(guard.apply(Signal::Traces, resource(250_000)).is_ok());
    assert_eq!(guard.apply(Signal::Traces, resource(800_000)), Err(Refused::Crowded));
}

#[test]
fn hashes_are_paid_for_and_a_text_of_many_is_hidden_whole() {
    for (rules, unit) in [
        (r#"[{"value":"x","action":"hash"}]"#, "x"),
        (r#"[{"use":"upi","action":"hash"}]"#, "ab@upi "),
        (r#"["emails"]"#, "a@b.co,"),
    ] {
        let mut guard = guard(rules);
        let few = guard.text(&unit.repeat(100)).expect("they are hashed");
        assert_eq!(few.matches('{').count(), 100, "{rules}: {few}");
        assert_eq!(guard.limited().unsearched, 0);
        assert_eq!(
            guard.text(&unit.repeat((2 << 20) / unit.len())).as_deref(),
            Some("[redacted]"),
            "{rules}"
        );
        assert_eq!(guard.limited().unsearched, 1, "{rules}");
    }
}

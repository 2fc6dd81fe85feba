//! Whole requests through the guard, built and read by a library that knows nothing of it.

mod shared;

use bytes::Bytes;
use guard::{Attributes, Guard, Kind, Limits, Redaction, Rules};
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{ArrayValue, InstrumentationScope, KeyValue, KeyValueList};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::metrics::v1::{
    Exemplar, ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram, HistogramDataPoint,
    Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, Summary, SummaryDataPoint, metric,
};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use policy::Signal;
use prost::Message;
use shared::{CARD, MASKED, any, attributes, guard, limited, one_span, pair, request, span_of, text};

/// Every type a value can have, with a card in each that can hold one.
fn everywhere() -> Vec<KeyValue> {
    let inner = || any(Value::StringValue(CARD.into()));
    vec![
        text("plain", "nothing"),
        text("text", &format!("paid with {CARD}")),
        pair("number", Value::IntValue(4_111_111_111_111_111)),
        pair("float", Value::DoubleValue(4_111_111_111_111_111.0)),
        pair("bytes", Value::BytesValue(CARD.into())),
        pair(
            "array",
            Value::ArrayValue(ArrayValue { values: vec![inner(), any(Value::BoolValue(true)), inner()] }),
        ),
        pair("map", Value::KvlistValue(KeyValueList { values: vec![text("deep", CARD), text(CARD, "key")] })),
    ]
}

fn resource() -> Resource {
    Resource { attributes: everywhere(), ..Resource::default() }
}

fn scope() -> InstrumentationScope {
    InstrumentationScope {
        name: CARD.into(),
        version: CARD.into(),
        attributes: everywhere(),
        ..Default::default()
    }
}

fn traces() -> ExportTraceServiceRequest {
    let event = Event { name: CARD.into(), attributes: everywhere(), time_unix_nano: 7, ..Event::default() };
    let link =
        Link { trace_id: vec![1; 16], span_id: vec![2; 8], attributes: everywhere(), ..Link::default() };
    let span = Span {
        trace_id: vec![1; 16],
        span_id: vec![3; 8],
        name: format!("pay {CARD}"),
        start_time_unix_nano: 1_795_334_309_858_000_000,
        attributes: everywhere(),
        events: vec![event.clone(), event],
        links: vec![link],
        status: Some(Status { code: 2, message: format!("card {CARD} declined") }),
        ..Span::default()
    };
    let clean = Span { trace_id: vec![1; 16], span_id: vec![4; 8], name: "clean".into(), ..Span::default() };
    let scope_spans = ScopeSpans { scope: Some(scope()), spans: vec![span, clean], schema_url: "s".into() };
    let group =
        ResourceSpans { resource: Some(resource()), scope_spans: vec![scope_spans], schema_url: "g".into() };
    ExportTraceServiceRequest { resource_spans: vec![group.clone(), group] }
}

fn logs() -> ExportLogsServiceRequest {
    let record = LogRecord {
        severity_text: CARD.into(),
        event_name: CARD.into(),
        body: Some(any(Value::KvlistValue(KeyValueList { values: everywhere() }))),
        attributes: everywhere(),
        ..LogRecord::default()
    };
    let plain =
        LogRecord { body: Some(any(Value::StringValue(format!("card={CARD}")))), ..LogRecord::default() };
    let scope_logs =
        ScopeLogs { scope: Some(scope()), log_records: vec![record, plain], ..ScopeLogs::default() };
    let group =
        ResourceLogs { resource: Some(resource()), scope_logs: vec![scope_logs], ..ResourceLogs::default() };
    ExportLogsServiceRequest { resource_logs: vec![group] }
}

fn metrics() -> ExportMetricsServiceRequest {
    let exemplars = || vec![Exemplar { filtered_attributes: everywhere(), ..Exemplar::default() }];
    let number =
        || NumberDataPoint { attributes: everywhere(), exemplars: exemplars(), ..Default::default() };
    let histogram =
        HistogramDataPoint { attributes: everywhere(), exemplars: exemplars(), ..Default::default() };
    let exponential = ExponentialHistogramDataPoint {
        attributes: everywhere(),
        exemplars: exemplars(),
        ..Default::default()
    };
    let summary = SummaryDataPoint { attributes: everywhere(), ..SummaryDataPoint::default() };
    let data = [
        metric::Data::Gauge(Gauge { data_points: vec![number()] }),
        metric::Data::Sum(Sum { data_points: vec![number()], ..Sum::default() }),
        metric::Data::Histogram(Histogram { data_points: vec![histogram], ..Histogram::default() }),
        metric::Data::ExponentialHistogram(ExponentialHistogram {
            data_points: vec![exponential],
            ..ExponentialHistogram::default()
        }),
        metric::Data::Summary(Summary { data_points: vec![summary] }),
    ];
    let metric = |data| Metric {
        name: CARD.into(),
        description: CARD.into(),
        metadata: everywhere(),
        data: Some(data),
        ..Metric::default()
    };
    let scope_metrics = ScopeMetrics {
        scope: Some(scope()),
        metrics: data.into_iter().map(metric).collect(),
        ..ScopeMetrics::default()
    };
    let group = ResourceMetrics {
        resource: Some(resource()),
        scope_metrics: vec![scope_metrics],
        ..ResourceMetrics::default()
    };
    ExportMetricsServiceRequest { resource_metrics: vec![group] }
}

#[test]
fn a_card_is_hidden_wherever_it_stands() {
    let requests = [
        (Signal::Traces, traces().encode_to_vec()),
        (Signal::Logs, logs().encode_to_vec()),
        (Signal::Metrics, metrics().encode_to_vec()),
    ];
    for (signal, bytes) in requests {
        let mut guard = guard(r#"["cards"]"#);
        let guarded = guard.apply(signal, Bytes::from(bytes)).expect("a good request");
        let at = guarded.windows(16).position(|window| window == CARD.as_bytes());
        assert_eq!(
            at.map(|at| String::from_utf8_lossy(&guarded[at.saturating_sub(60)..at + 30])),
            None,
            "{signal:?}"
        );
        // Numbers are text now; nothing else can hold them.
        let debug = match signal {
            Signal::Traces => {
                format!("{:?}", ExportTraceServiceRequest::decode(&guarded[..]).expect("decodes"))
            }
            Signal::Logs => format!("{:?}", ExportLogsServiceRequest::decode(&guarded[..]).expect("decodes")),
            Signal::Metrics => {
                format!("{:?}", ExportMetricsServiceRequest::decode(&guarded[..]).expect("decodes"))
            }
        };
        assert!(!debug.contains(CARD) && !debug.contains("4111111111111111"), "{debug}");
        assert!(debug.contains(MASKED));
        let again = guard.apply(signal, guarded.clone()).expect("a good request");
        assert_eq!(again.as_ptr(), guarded.as_ptr(), "once is enough, and nothing is copied for nothing");
    }
}

#[test]
fn what_no_rule_touches_stays_to_the_byte() {
    let clean = ExportTraceServiceRequest { resource_spans: Vec::new() }.encode_to_vec();
    let mut bytes = clean;
    // Fields that no version of OTLP has yet, in the request, in a group and in a span.
    let span = [
        &Span { name: format!("pay {CARD}"), ..Span::default() }.encode_to_vec()[..],
        &[0xfa, 0x3e, 2, 8, 1],
    ]
    .concat();
    let scope = [&[0x12, span.len() as u8][..], &span, &[0xa2, 0x06, 1, b'u']].concat();
    let group = [&[0x12, scope.len() as u8][..], &scope, &[0xa8, 0x06, 7]].concat();
    bytes.extend([&[0x0a, group.len() as u8][..], &group, &[0xb0, 0x06, 9]].concat());
    let guarded =
        guard(r#"["cards"]"#).apply(Signal::Traces, Bytes::from(bytes.clone())).expect("a good request");
    assert_eq!(String::from_utf8_lossy(&guarded), String::from_utf8_lossy(&bytes).replace(CARD, MASKED));
}

#[test]
fn a_clean_request_is_the_same_bytes() {
    let clean = traces().encode_to_vec();
    let bytes = Bytes::from(String::from_utf8_lossy(&clean).replace(CARD, "no").into_bytes());
    let _ = bytes;
    let bytes = Bytes::from(
        ExportTraceServiceRequest {
            resource_spans: vec![ResourceSpans {
                scope_spans: vec![ScopeSpans {
                    spans: vec![Span { name: "GET /orders".into(), ..Span::default() }],
                    ..ScopeSpans::default()
                }],
                ..ResourceSpans::default()
            }],
        }
        .encode_to_vec(),
    );
    let everything =
        Rules { redaction: Redaction::everything(None), limits: Limits::default(), attributes: None };
    let guarded = Guard::new(everything).expect("rules").apply(Signal::Traces, bytes.clone()).expect("good");
    assert_eq!(guarded.as_ptr(), bytes.as_ptr());
}

#[test]
fn nothing_asked_for_is_no_guard() {
    assert!(
        Guard::new(Rules { redaction: Redaction::default(), limits: Limits::NONE, attributes: None })
            .is_none()
    );
}

#[test]
fn keys_give_their_values_away() {
    let sent = one_span(vec![
        text("db.password", "hunter2"),
        pair("session.token", Value::BytesValue(b"abc".to_vec())),
        pair("http.request.header.cookie", Value::ArrayValue(ArrayValue { values: vec![] })),
        pair("token_count", Value::IntValue(7)),
        text("card.cvv", "123"),
        pair("upi.pin", Value::IntValue(1_234)),
        text("http.route", "/pay"),
    ]);
    let span = span_of(&guard(r#"["keys"]"#).apply(Signal::Traces, sent).expect("good"));
    let rows = [
        ("db.password", "[redacted]"),
        ("session.token", "[redacted]"),
        ("http.request.header.cookie", "[redacted]"),
        ("token_count", "Some(IntValue(7))"),
        ("http.route", "/pay"),
    ];
    assert_eq!(attributes(&span), rows.map(|(key, value)| (key.to_owned(), value.to_owned())));
    assert_eq!(span.dropped_attributes_count, 2, "what was deleted is counted where others count");
}

#[test]
fn a_map_that_is_a_name_and_its_value_is_searched_as_one() {
    let map = |values: Vec<KeyValue>| Value::KvlistValue(KeyValueList { values });
    let named = |name: &str, value: Value| map(vec![text("name", name), pair("value", value)]);
    let hunter = || Value::StringValue("hunter2X9zz".into());
    let hidden = || Value::StringValue("[redacted]".into());
    let rows = [
        (named("x-api-key", hunter()), named("x-api-key", hidden())),
        (
            map(vec![pair("Value", hunter()), text("Key", "DB_PASSWORD"), text("region", "eu")]),
            map(vec![pair("Value", hidden()), text("Key", "DB_PASSWORD"), text("region", "eu")]),
        ),
        (named("cvv", Value::IntValue(123)), named("cvv", hidden())),
        (named("token", Value::IntValue(7)), named("token", Value::IntValue(7))),
        (named("region", hunter()), named("region", hunter())),
        (
            map(vec![named_list(&named("password", hunter()))]),
            map(vec![named_list(&named("password", hidden()))]),
        ),
    ];
    for (sent, expected) in rows {
        let request = one_span(vec![pair("header", sent)]);
        let span = span_of(&guard(r#"["keys"]"#).apply(Signal::Traces, request).expect("good"));
        assert_eq!(span.attributes, [pair("header", expected)]);
    }
}

/// Within a list.
fn named_list(value: &Value) -> KeyValue {
    pair("list", Value::ArrayValue(ArrayValue { values: vec![any(value.clone())] }))
}

#[test]
fn a_scheme_is_no_secret() {
    let sent = one_span(vec![text("auth", "oauth2"), text("user.auth", "hunter2X9zz")]);
    let span = span_of(&guard(r#"["keys"]"#).apply(Signal::Traces, sent).expect("good"));
    let rows = [("auth", "oauth2"), ("user.auth", "[redacted]")];
    assert_eq!(attributes(&span), rows.map(|(key, value)| (key.to_owned(), value.to_owned())));
}

#[test]
fn own_rules_work_by_key_and_by_value() {
    let rules = r#"[{"name":"order","value":"ORD-[0-9]{6}","action":"hash"}, {"key":"^customer\\.","action":"mask"},
        {"key":"^drop\\.me$","action":"delete"}, {"key":"^note$","value":"secret \\w+","action":"delete"},
        "aadhaar", {"except":"^ledger\\.entry$"}]"#;
    let sent = one_span(vec![
        text("order", "about ORD-123456"),
        text("again", "ORD-123456"),
        text("customer.name", "José"),
        pair("customer.age", Value::IntValue(42)),
        pair("customer.is_minor", Value::BoolValue(false)),
        text("drop.me", "x"),
        text("note", "a secret word"),
        text("other", "a secret word"),
        text("ledger.entry", "234123412346"),
        text("uid", "234123412346"),
    ]);
    let mut guard = guard(rules);
    let span = span_of(&guard.apply(Signal::Traces, sent).expect("good"));
    let shown = attributes(&span);
    let hashed = shown[1].1.clone();
    assert!(hashed.starts_with('{') && hashed.len() == 22, "{hashed}");
    let rows = [
        ("order", &*format!("about {hashed}")),
        ("again", &hashed),
        ("customer.name", "*****"),
        ("customer.age", "**"),
        ("customer.is_minor", "[redacted]"),
        ("note", "a "),
        ("other", "a secret word"),
        ("ledger.entry", "234123412346"),
        ("uid", "********2346"),
    ];
    assert_eq!(shown, rows.map(|(key, value)| (key.to_owned(), value.to_owned())));
    let counts: Vec<_> = guard.redacted().map(|(name, count)| (name.to_owned(), count)).collect();
    assert!(counts.contains(&("order".into(), 2)) && counts.contains(&("aadhaar".into(), 1)), "{counts:?}");
}

#[test]
fn the_id_of_an_invocation_stays_unless_a_rule_names_its_key() {
    let id = "8a9b1c2d-0000-4000-8000-000000000001";
    let stays = [r#"[{"value":"[0-9]+"}]"#, r#"["all",{"value":"[0-9]"}]"#, r#"[{"value":"(?:a|b|4)*c"}]"#];
    for rules in stays {
        for key in ["faas.invocation_id", "faas.execution"] {
            // What is before it spends all that may be searched.
            let long = "1 ".repeat(4 << 20);
            let sent = one_span(vec![text("long", &long), text(key, id), text("another.id", id)]);
            let shown = attributes(&span_of(&guard(rules).apply(Signal::Traces, sent).expect("good")));
            assert_eq!(shown[1], (key.to_owned(), id.to_owned()), "{rules}");
            assert_ne!(shown[2].1, id, "{rules}: nobody has searched it");
        }
    }
    let hidden = [
        (r#"[{"key":"^faas\\.invocation_id$","action":"mask"}]"#, id),
        // Another form is no id that the platform gives.
        (r#"[{"value":"[0-9]+"}]"#, "4111111111111111"),
        (r#"[{"value":"[0-9]+"}]"#, "8a9b1c2d-0000-4000-8000-00000000000g"),
    ];
    for (rules, value) in hidden {
        let sent = one_span(vec![text("faas.invocation_id", value)]);
        let shown = attributes(&span_of(&guard(rules).apply(Signal::Traces, sent).expect("good")));
        assert_ne!(shown[0].1, value, "{rules}");
    }
}

#[test]
fn a_trace_state_is_searched_entry_by_entry() {
    let rows = [
        (
            "ot=th:c;rv:36000000000008,dd=s:1;p:00f067aa0ba902b7",
            "ot=th:c;rv:36000000000008,dd=s:1;p:00f067aa0ba902b7",
        ),
        (
            "ot=th:c;rv:36000000000008, app=4111111111111111",
            "ot=th:c;rv:36000000000008, app=411111******1111",
        ),
        ("ot=x:jane@example.com;th:c,session=abcdef,", "ot=x:****@example.com;th:c,session=[redacted],"),
        ("", ""),
    ];
    for (sent, expected) in rows {
        let link = Link { trace_state: sent.into(), ..Link::default() };
        let span = Span { trace_state: sent.into(), links: vec![link], ..Span::default() };
        let redaction = Redaction::everything(None);
        let mut guard =
            Guard::new(Rules { redaction, limits: Limits::NONE, attributes: None }).expect("rules");
        let got = span_of(&guard.apply(Signal::Traces, request(span)).expect("good"));
        assert_eq!((&*got.trace_state, &*got.links[0].trace_state), (expected, expected));
    }
}

#[test]
fn kinds_work_together() {
    let sent = one_span(vec![
        text("url.full", "https://jane:pw@shop.io/pay?card=4111111111111111&x=1"),
        text("db.query.text", "SELECT * FROM cards WHERE pan = '4111111111111111'"),
        text(
            "log",
            "Authorization: Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P",
        ),
        text("mail", "jane@example.com"),
        text("contact.phone", "9876543210"),
        text("trace", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
    ]);
    let everything = Rules { redaction: Redaction::everything(None), limits: Limits::NONE, attributes: None };
    let span = span_of(&Guard::new(everything).expect("rules").apply(Signal::Traces, sent).expect("good"));
    let rows = [
        ("url.full", "https://REDACTED:REDACTED@shop.io/pay?card=REDACTED&x=REDACTED"),
        ("db.query.text", "SELECT * FROM cards WHERE pan = ?"),
        ("log", "Authorization: [redacted]"),
        ("mail", "****@example.com"),
        ("contact.phone", "********10"),
        ("trace", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
    ];
    assert_eq!(attributes(&span), rows.map(|(key, value)| (key.to_owned(), value.to_owned())));
}

#[test]
fn every_kind_can_be_masked_hashed_and_deleted() {
    let value = "4111111111111111 234123412346 ABCPE1234F jane@okaxis jane@example.com +919876543210";
    for action in ["mask", "hash", "delete"] {
        for kind in Kind::ALL.into_iter().filter(|kind| kind.as_str() != "sql") {
            let mut guard = guard(&format!(r#"[{{"use":"{}","action":"{action}"}}]"#, kind.as_str()));
            let once = guard.apply(Signal::Traces, one_span(vec![text("x", value)])).expect("good");
            let twice = guard.apply(Signal::Traces, once.clone()).expect("good");
            assert_eq!(once, twice, "{} {action}", kind.as_str());
        }
    }
}

#[test]
fn what_is_too_large_is_cut_or_left_out_and_counted() {
    let mut guard = limited(Limits { value: 4 << 10, stacktrace: 16 << 10, ..Limits::default() });
    let long = "é".repeat(4_000);
    let mut sent: Vec<KeyValue> = vec![text("long", &long), text("exception.stacktrace", &long)];
    sent.extend((0..200).map(|index| pair(&format!("key{index}"), Value::IntValue(index))));
    let span = Span {
        attributes: sent,
        dropped_attributes_count: 5,
        events: (0..130).map(|_| Event { time_unix_nano: 1, ..Event::default() }).collect(),
        links: (0..131).map(|_| Link { trace_id: vec![1; 16], ..Link::default() }).collect(),
        ..Span::default()
    };
    let span = span_of(&guard.apply(Signal::Traces, request(span)).expect("good"));
    let shown = attributes(&span);
    assert_eq!((shown.len(), span.dropped_attributes_count), (128, 5 + 74));
    assert_eq!((span.events.len(), span.dropped_events_count), (128, 2));
    assert_eq!((span.links.len(), span.dropped_links_count), (128, 3));
    assert_eq!((shown[0].1.len(), shown[1].1.len()), (4_096, 8_000));
    assert_eq!((guard.limited().values, guard.limited().attributes), (1, 74));
}

#[test]
fn a_span_too_large_as_a_whole_loses_its_largest_parts() {
    let mut guard = limited(Limits { item: 64 << 10, ..Limits::default() });
    let long = "x".repeat(4_000);
    let mut sent: Vec<KeyValue> = (0..30).map(|index| text(&format!("long{index}"), &long)).collect();
    sent.push(text("short", "stays"));
    let span = span_of(&guard.apply(Signal::Traces, one_span(sent)).expect("good"));
    assert!(span.encoded_len() <= 64 << 10, "{}", span.encoded_len());
    assert!(span.encoded_len() > 60 << 10, "no more goes than has to: {}", span.encoded_len());
    assert_eq!(span.attributes.len() + span.dropped_attributes_count as usize, 31);
    assert!(span.attributes.iter().any(|pair| pair.key == "short"));
    assert_eq!(guard.limited().items, 1);
}

/// A prompt of a language model, and a long statement: OpenTelemetry itself has no limit.
#[test]
fn long_values_pass_by_default() {
    for length in [8_007, 60_000] {
        let sent = one_span(vec![text("gen_ai.prompt", &"word ".repeat(length / 5))]);
        assert_eq!(limited(Limits::default()).apply(Signal::Traces, sent.clone()), Ok(sent));
    }
}

#[test]
fn no_number_stands_cut_at_the_end_of_a_value() {
    let (redaction, _) = Redaction::parse(r#"["cards"]"#, None);
    let mut guard =
        Guard::new(Rules { redaction, limits: Limits { value: 100, ..Limits::NONE }, attributes: None })
            .expect("rules");
    for offset in 80..101 {
        let value = format!("{} {CARD} and more {}", "x".repeat(offset - 1), "y".repeat(300));
        let span = span_of(&guard.apply(Signal::Traces, one_span(vec![text("x", &value)])).expect("good"));
        let left = &attributes(&span)[0].1;
        assert!(left.len() <= 100 && !left.contains("4111111"), "{left}");
    }
}

#[test]
fn limits_hold_for_log_records_and_not_for_metrics() {
    let many: Vec<_> = (0..300).map(|index| text(&format!("key{index}"), "value")).collect();
    let record = LogRecord { attributes: many, ..LogRecord::default() };
    let scope_logs = vec![ScopeLogs { log_records: vec![record], ..ScopeLogs::default() }];
    let group = ResourceLogs { scope_logs, ..ResourceLogs::default() };
    let sent = ExportLogsServiceRequest { resource_logs: vec![group] }.encode_to_vec();
    let guarded = limited(Limits::default()).apply(Signal::Logs, sent.into()).expect("good");
    let got = ExportLogsServiceRequest::decode(&guarded[..]).expect("decodes");
    let record = &got.resource_logs[0].scope_logs[0].log_records[0];
    assert_eq!((record.attributes.len(), record.dropped_attributes_count), (128, 172));

    let bytes = Bytes::from(metrics().encode_to_vec());
    let guarded =
        limited(Limits { attributes: 1, value: 1, ..Limits::NONE }).apply(Signal::Metrics, bytes.clone());
    assert_eq!(guarded.expect("good").as_ptr(), bytes.as_ptr());
}

fn census(rules: &str) -> Guard {
    let (attributes, faults) = Attributes::parse(rules, None);
    assert_eq!(faults, Vec::<String>::new());
    let attributes = Some(attributes);
    Guard::new(Rules { redaction: Redaction::default(), limits: Limits::NONE, attributes }).expect("rules")
}

#[test]
fn attributes_are_denied_cut_and_counted_by_rule() {
    let mut guard = census(
        r#"{"deny":["debug.*"],"limit":{"cart":{"length":4},"user":{"distinct":10,"then":"drop"}},"names":3}"#,
    );
    let mut kept = 0;
    for index in 0..100 {
        let sent = one_span(vec![
            text("debug.x", "x"),
            text("cart", "long enough"),
            text("user", &format!("user-{index}")),
            text("url.full", &format!("/{index}")),
        ]);
        let span = span_of(&guard.apply(Signal::Traces, sent).expect("good"));
        assert_eq!(span.attributes.len() + span.dropped_attributes_count as usize, 4);
        assert_eq!(attributes(&span)[0].1, "long");
        let is_kept = span.attributes.iter().any(|pair| pair.key == "user");
        kept += u64::from(is_kept);
        assert!(is_kept == (index < 10) || (8..13).contains(&index), "an estimate is not exact: {index}");
    }
    assert_eq!(guard.counts().dropped, 100 + 100 - kept);
}

#[test]
fn names_and_dimensions_are_bounded() {
    let mut guard = census(r#"{"names":2,"templates":"always","dimensions":2}"#);
    let names: Vec<_> = ["GET /o/1", "GET /o/2", "b", "c"]
        .map(|name| {
            span_of(
                &guard
                    .apply(Signal::Traces, request(Span { name: name.into(), ..Span::default() }))
                    .expect("good"),
            )
            .name
        })
        .into();
    assert_eq!(names, ["GET /o/{id}", "GET /o/{id}", "b", "other"]);

    let point = |index: i64| NumberDataPoint {
        attributes: vec![pair("user", Value::IntValue(index))],
        ..Default::default()
    };
    let gauge = Gauge { data_points: (0..5).map(point).collect() };
    let metric = Metric { name: "m".into(), data: Some(metric::Data::Gauge(gauge)), ..Metric::default() };
    let scope_metrics = vec![ScopeMetrics { metrics: vec![metric], ..ScopeMetrics::default() }];
    let group = ResourceMetrics { scope_metrics, ..ResourceMetrics::default() };
    let sent = ExportMetricsServiceRequest { resource_metrics: vec![group] }.encode_to_vec();
    let guarded = guard.apply(Signal::Metrics, sent.into()).expect("good");
    let got = format!("{:?}", ExportMetricsServiceRequest::decode(&guarded[..]).expect("decodes"));
    assert_eq!(got.matches("other").count(), 1, "{got}");
    assert!(got.contains("IntValue(0)") && got.contains("IntValue(1)") && !got.contains("IntValue(2)"));
}

#[test]
fn a_key_that_looks_like_an_identifier_is_named_once() {
    let mut guard = census("{}");
    for index in 0..1_000 {
        let sent = one_span(vec![text("order.id", &format!("{index}")), text("method", "upi")]);
        let before = sent.clone();
        assert_eq!(guard.apply(Signal::Traces, sent).expect("good"), before, "reported, no more");
    }
    let found = guard.take_identifiers();
    assert_eq!(found.iter().map(|found| &*found.key).collect::<Vec<_>>(), ["order.id"]);
    assert!(guard.take_identifiers().is_empty());
}

/// What is left of the words of a command, as an array of texts.
#[track_caller]
fn assert_words_left(words: &[&str], expected: &[&str]) {
    let array = |words: &[&str]| {
        let values = words.iter().map(|word| any(Value::StringValue((*word).into()))).collect();
        one_span(vec![pair("process.command_args", Value::ArrayValue(ArrayValue { values }))])
    };
    let guarded = guard(r#"["all"]"#).apply(Signal::Traces, array(words)).expect("it is a request");
    assert_eq!(attributes(&span_of(&guarded)), attributes(&span_of(&array(expected))), "{words:?}");
}

#[test]
fn the_words_of_a_command_are_read_together() {
    let rows: [(&[&str], &[&str]); 8] = [
        (&["app", "--password", "hunter two", "-v"], &["app", "--password", "[redacted]", "-v"]),
        (&["/usr/bin/mysql", "-phunter2X9zz", "db"], &["/usr/bin/mysql", "-p[redacted]", "db"]),
        (&["docker", "login", "-p", "hunter"], &["docker", "login", "-p", "[redacted]"]),
        (&["curl", "-sSu", "jane:hunter"], &["curl", "-sSu", "jane:[redacted]"]),
        (&["curl", "--user", "jane:hunter"], &["curl", "--user", "jane:[redacted]"]),
        (&["curl", "-sujane:hunter", CARD], &["curl", "-sujane:[redacted]", MASKED]),
        (&["keytool", "-storepassword", "hunter"], &["keytool", "-storepassword", "[redacted]"]),
        (&["sshpass", "-p", "[redacted]", "ssh"], &["sshpass", "-p", "[redacted]", "ssh"]),
    ];
    for (words, expected) in rows {
        assert_words_left(words, expected);
    }
    for words in [
        &["ssh", "-p", "22", "h"][..],
        &["app", "--password", "-v"],
        &["app", "--password", "required"],
        &["app", "--token"],
        &["app", "--user", "1000:1000"],
        &["curl", "-so", "a:b"],
        &["password", "hunter", ""],
    ] {
        assert_words_left(words, words);
    }
}

//! The guard on mutated requests: it never panics, what it lets through is a request, and once is enough.

use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use fuzz::{long_rounds, mutate, rounds};
use guard::{Attributes, Guard, Limits, Redaction, Rules};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, KeyValue, KeyValueList, any_value::Value,
};
use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{
    ExponentialHistogram, ExponentialHistogramDataPoint, Gauge, Histogram, HistogramDataPoint, Metric,
    NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, Summary, SummaryDataPoint, number_data_point,
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
    Guard::new(Rules { redaction: Redaction::everything(Some(b"key")), limits, attributes: bounds(rng) })
        .expect("there are rules")
}

/// No bounds on names and dimensions, those that hold by default, or narrow ones.
fn bounds(rng: &mut Rng) -> Option<Attributes> {
    match rng.below(4) {
        0 => None,
        1 => Some(Attributes::default()),
        2 => Some(Attributes::parse(r#"{"names":1,"dimensions":1}"#, None).0),
        _ => Some(Attributes::parse(r#"{"names":1,"templates":"always","dimensions":1}"#, None).0),
    }
}

/// What only counts, and bounds names, sees little of a request: what it lets through is one all the same.
#[test]
fn bounds_alone_let_a_good_request_through() {
    let sample = sample();
    long_rounds("guard's bounds", |seed| {
        let mut rng = Rng::new(seed);
        let bytes = Bytes::from(mutate(&mut rng, &sample));
        let decodes = ExportTraceServiceRequest::decode(&bytes[..]);
        let limits = if rng.below(2) == 0 { Limits::NONE } else { Limits::default() };
        let rules = Rules { redaction: Redaction::default(), limits, attributes: bounds(&mut rng) };
        let Some(mut guard) = Guard::new(rules) else { return };
        match (guard.apply(Signal::Traces, bytes), decodes) {
            (Ok(guarded), Ok(decoded)) => {
                let left = ExportTraceServiceRequest::decode(&guarded[..]).expect("good goes out good");
                let spans = |request: &ExportTraceServiceRequest| -> usize {
                    let scopes = request.resource_spans.iter().flat_map(|group| &group.scope_spans);
                    scopes.map(|scope| scope.spans.len()).sum()
                };
                assert_eq!(spans(&left), spans(&decoded));
                let again = guard.apply(Signal::Traces, guarded.clone()).expect("it could be read before");
                assert_eq!(again, guarded, "once is enough");
            }
            (Err(error), Ok(_)) => panic!("a good request is refused: {error:?}"),
            _ => {}
        }
    });
}

/// Points of every kind of data, of few users, so that a narrow bound makes many alike.
fn metrics(rng: &mut Rng) -> ExportMetricsServiceRequest {
    let mut user =
        || vec![pair("user", Value::IntValue(rng.below(5) as i64)), pair("a", Value::BoolValue(true))];
    let numbers: Vec<_> = (0..6)
        .map(|time| NumberDataPoint {
            attributes: user(),
            time_unix_nano: time,
            value: Some(number_data_point::Value::AsInt(1)),
            ..NumberDataPoint::default()
        })
        .collect();
    let histograms = (0..6).map(|time| HistogramDataPoint {
        attributes: user(),
        time_unix_nano: time,
        count: 1,
        sum: Some(1.0),
        bucket_counts: vec![0, 1],
        explicit_bounds: vec![time as f64 / 4.0],
        ..HistogramDataPoint::default()
    });
    let histograms = histograms.collect();
    let exponential = (0..6).map(|time| ExponentialHistogramDataPoint {
        attributes: user(),
        time_unix_nano: time,
        count: 2,
        scale: 3 - time as i32,
        positive: Some(Buckets { offset: time as i32 * 90 - 200, bucket_counts: vec![1, 1] }),
        ..ExponentialHistogramDataPoint::default()
    });
    let exponential = exponential.collect();
    let summaries = (0..6).map(|_| SummaryDataPoint { attributes: user(), count: 1, ..Default::default() });
    let summaries = summaries.collect();
    let aggregation_temporality = 1 + rng.below(2) as i32;
    let data = [
        Data::Gauge(Gauge { data_points: numbers.clone() }),
        Data::Sum(Sum { data_points: numbers, aggregation_temporality, is_monotonic: true }),
        Data::Histogram(Histogram { data_points: histograms, aggregation_temporality }),
        Data::ExponentialHistogram(ExponentialHistogram {
            data_points: exponential,
            aggregation_temporality,
        }),
        Data::Summary(Summary { data_points: summaries }),
    ];
    let metrics = data.map(|data| Metric { name: "m".into(), data: Some(data), ..Metric::default() }).into();
    let scope_metrics = vec![ScopeMetrics { metrics, ..ScopeMetrics::default() }];
    ExportMetricsServiceRequest {
        resource_metrics: vec![ResourceMetrics { scope_metrics, ..ResourceMetrics::default() }],
    }
}

/// For each metric: what its points say of whom, how much in sum, and how many values lie in buckets.
fn told(request: &ExportMetricsServiceRequest) -> Vec<(Vec<String>, u64, u64)> {
    let scopes = request.resource_metrics.iter().flat_map(|group| &group.scope_metrics);
    let who = |attributes: &[KeyValue]| format!("{attributes:?}");
    let of_metric = |metric: &Metric| match metric.data.as_ref().expect("each has data") {
        Data::Gauge(Gauge { data_points }) | Data::Sum(Sum { data_points, .. }) => {
            let value = |point: &NumberDataPoint| match point.value {
                Some(number_data_point::Value::AsInt(value)) => value.cast_unsigned(),
                _ => 0,
            };
            let series = data_points.iter().map(|point| who(&point.attributes)).collect();
            (series, data_points.iter().map(value).sum(), 0)
        }
        Data::Histogram(Histogram { data_points, .. }) => {
            let series = data_points.iter().map(|point| who(&point.attributes)).collect();
            (series, data_points.iter().map(|point| point.count).sum(), 0)
        }
        Data::ExponentialHistogram(ExponentialHistogram { data_points, .. }) => {
            let series = data_points.iter().map(|point| who(&point.attributes)).collect();
            let buckets = data_points.iter().filter_map(|point| point.positive.as_ref());
            let inside = buckets.flat_map(|run| &run.bucket_counts).sum();
            (series, data_points.iter().map(|point| point.count).sum(), inside)
        }
        Data::Summary(Summary { data_points }) => {
            let series = data_points.iter().map(|point| who(&point.attributes)).collect();
            (series, data_points.iter().map(|point| point.count).sum(), 0)
        }
    };
    scopes.flat_map(|scope| &scope.metrics).map(of_metric).collect()
}

#[test]
fn points_that_a_bound_makes_alike_become_one_and_nothing_added_is_lost() {
    let attributes = || Some(Attributes::parse(r#"{"dimensions":1}"#, None).0);
    let guard = || {
        let (redaction, limits) = (Redaction::default(), Limits::NONE);
        Guard::new(Rules { redaction, limits, attributes: attributes() }).expect("there are rules")
    };
    rounds("points made alike", |seed| {
        let mut rng = Rng::new(seed);
        let sent = metrics(&mut rng);
        let is_delta = matches!(
            &sent.resource_metrics[0].scope_metrics[0].metrics[1].data,
            Some(Data::Sum(sum)) if sum.aggregation_temporality == 1
        );
        let bytes = Bytes::from(sent.encode_to_vec());
        let guarded = guard().apply(Signal::Metrics, bytes.clone()).expect("a good request");
        let left = ExportMetricsServiceRequest::decode(&guarded[..]).expect("good goes out good");
        for (index, (before, after)) in told(&sent).into_iter().zip(told(&left)).enumerate() {
            let others = after.0.iter().filter(|series| series.contains("other")).count();
            assert!(others <= 1, "{after:?}");
            // Of gauges, and of a cumulative series that comes twice, the last one counts.
            if is_delta && (1..4).contains(&index) {
                assert_eq!((before.1, before.2), (after.1, after.2), "{index}");
            }
        }
        // And whatever comes: no panic, nothing endless, and what decodes still does.
        let mutated = Bytes::from(mutate(&mut rng, &bytes));
        let decodes = ExportMetricsServiceRequest::decode(&mutated[..]).is_ok();
        let mut guard = guard();
        match guard.apply(Signal::Metrics, mutated) {
            Ok(guarded) if decodes => {
                ExportMetricsServiceRequest::decode(&guarded[..]).expect("good goes out good");
                let again = guard.apply(Signal::Metrics, guarded.clone()).expect("it could be read before");
                assert_eq!(again, guarded, "once is enough");
            }
            Err(_) => assert!(!decodes, "a good request is not refused"),
            Ok(_) => {}
        }
    });
}

#[test]
fn a_request_that_decodes_comes_out_as_one_and_unchanged_the_second_time() {
    let sample = sample();
    long_rounds("guard", |seed| {
        let mut rng = Rng::new(seed);
        let bytes = Bytes::from(mutate(&mut rng, &sample));
        let decodes = ExportTraceServiceRequest::decode(&bytes[..]).is_ok();
        let mut guard = guard(&mut rng);
        let guarded = match guard.apply(Signal::Traces, bytes) {
            Ok(guarded) => guarded,
            Err(refused) => {
                assert!(!decodes, "a good request is refused: {refused:?}");
                return;
            }
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

/// Panics of this process. The guard catches those of a span, so that they cost that span: here each is a failure.
static PANICS: AtomicU64 = AtomicU64::new(0);

/// Whether nothing in `run` panics, caught or not.
fn is_calm<T>(run: impl FnOnce() -> T) -> (T, bool) {
    static COUNTED: Once = Once::new();
    COUNTED.call_once(|| {
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            PANICS.fetch_add(1, Ordering::Relaxed);
            hook(panic);
        }));
    });
    let before = PANICS.load(Ordering::Relaxed);
    let done = run();
    (done, PANICS.load(Ordering::Relaxed) == before)
}

/// A pattern that nobody has thought of, four brackets deep at most; some cannot be read, which is a case too.
fn any_pattern(rng: &mut Rng, depth: u32) -> String {
    const SINGLE: [&str; 24] = [
        "a",
        "1",
        "4",
        " ",
        "@",
        "e",
        "x",
        ".",
        r"\\d",
        r"\\w",
        r"\\s",
        r"\\D",
        r"\\b",
        r"\\B",
        "^",
        "$",
        "[0-9]",
        "[^ ]",
        "[a-z4]",
        "[[:upper:]]",
        "é",
        "(?i)",
        r"\\.",
        "jane",
    ];
    const REPEATS: [&str; 10] = ["", "", "", "*", "+", "?", "*?", "+?", "{2}", "{1,3}"];
    let mut pattern = String::new();
    for _ in 0..=rng.below(3) {
        if depth < 4 && rng.below(4) == 0 {
            pattern.push_str(["(", "(?:"][rng.below(2) as usize]);
            pattern.push_str(&any_pattern(rng, depth + 1));
            if rng.below(2) == 0 {
                pattern.push('|');
                pattern.push_str(&any_pattern(rng, depth + 1));
            }
            pattern.push(')');
        } else {
            pattern.push_str(SINGLE[rng.below(24) as usize]);
        }
        pattern.push_str(REPEATS[rng.below(10) as usize]);
    }
    pattern
}

/// A rule that nobody has thought of: a kind with any action, an own pattern, or an exception.
fn any_rule(rng: &mut Rng) -> String {
    const USES: [&str; 12] = [
        "all", "cards", "aadhaar", "pan", "ibans", "upi", "emails", "phones", "tokens", "keys", "urls", "sql",
    ];
    const KEYS: [&str; 6] = ["number", "^list$", ".", "no", "card", "url"];
    const ACTIONS: [&str; 4] = ["", r#","action":"mask""#, r#","action":"hash""#, r#","action":"delete""#];
    let action = ACTIONS[rng.below(4) as usize];
    let key = if rng.below(4) == 0 { any_pattern(rng, 0) } else { KEYS[rng.below(6) as usize].to_owned() };
    match rng.below(8) {
        0 => format!(r#"{{"except":"{key}"}}"#),
        1 => format!(r#"{{"key":"{key}"{action}}}"#),
        2 => format!(r#"{{"key":"{key}","value":"{}"{action}}}"#, any_pattern(rng, 0)),
        3 | 4 => format!(r#"{{"value":"{}"{action}}}"#, any_pattern(rng, 0)),
        _ => format!(r#"{{"use":"{}"{action}}}"#, USES[rng.below(12) as usize]),
    }
}

fn any_redaction(rng: &mut Rng) -> Redaction {
    let rules: Vec<_> = (0..=rng.below(4)).map(|_| any_rule(rng)).collect();
    Redaction::parse(&format!("[{}]", rules.join(",")), Some(b"key")).0
}

fn any_attributes(rng: &mut Rng) -> Option<Attributes> {
    const RULES: [&str; 8] = [
        r#""deny":["n*"]"#,
        r#""allow":["note","list"]"#,
        r#""limit":{"note":{"distinct":0,"then":"hash"}}"#,
        r#""limit":{"*":{"length":3}}"#,
        r#""limit":{"list":{"distinct":0,"then":"drop"},"map":{"then":"hash","distinct":0}}"#,
        r#""names":1"#,
        r#""names":1,"templates":"always""#,
        r#""semantic_conventions":true,"deny":["db.*","url.*"]"#,
    ];
    if rng.below(4) == 0 {
        return None;
    }
    Some(Attributes::parse(&format!("{{{}}}", RULES[rng.below(8) as usize]), Some(b"key")).0)
}

fn any_limits(rng: &mut Rng) -> Limits {
    let mut bound = |most: u64| if rng.below(2) == 0 { 0 } else { rng.below(most) as usize + 1 };
    Limits {
        value: bound(60),
        stacktrace: bound(60),
        attributes: bound(6),
        events: bound(2),
        links: bound(2),
        item: bound(900),
    }
}

/// The fields of a message in another order, and an unknown group among them: as protobuf allows, and SDKs do.
fn shuffled(rng: &mut Rng, message: &[u8]) -> Vec<u8> {
    let mut parts = Vec::new();
    let mut walk = wire::proto::fields(message);
    while let Some(field) = walk.next().expect("prost writes messages") {
        parts.push(&message[field.start..field.end]);
    }
    // Field 90: a group with a number in it.
    const GROUP: &[u8] = &[0xd3, 0x05, 0x08, 1, 0xd4, 0x05];
    if rng.below(4) == 0 {
        parts.push(GROUP);
    }
    for index in (1..parts.len()).rev() {
        parts.swap(index, rng.below(index as u64 + 1) as usize);
    }
    parts.concat()
}

/// A text of pieces that detectors begin or end at, in any order: mostly short, one in 256 long.
fn any_text(rng: &mut Rng) -> String {
    const PIECES: [&str; 60] = [
        " ",
        " ",
        "\n",
        "\t",
        "=",
        ":",
        "=>",
        "\"",
        "'",
        "`",
        "\\",
        "\\\"",
        "\\n",
        "\\u003d",
        "%3D",
        "%26",
        "&quot;",
        "{",
        "}",
        "[",
        "]",
        ",",
        ";",
        "?",
        "&",
        "#",
        "@",
        "-",
        "--",
        "/*",
        "*/",
        "://",
        "password",
        "Cookie",
        "token",
        "authorization",
        "Bearer ",
        "Basic ",
        "4111",
        "4111111111111111",
        "-----BEGIN RSA PRIVATE KEY-----",
        "eyJ",
        "AKIA",
        "jane",
        "example.com",
        "+91",
        "é",
        "\u{2013}",
        "SG.",
        "dp.pt.",
        "hvs.",
        "ya29.",
        "xoxe.xoxp-",
        "sk-",
        "glpat-",
        "hooks.slack.com/services/",
        "api.telegram.org/bot",
        ".",
        "~",
        "DE89",
    ];
    let most = if rng.below(256) == 0 { 2_000 } else { 12 };
    (0..rng.below(most)).map(|_| PIECES[rng.below(60) as usize]).collect()
}

/// A small request whose span has its fields in any order, with an attribute that has an empty value.
fn small(rng: &mut Rng, texts: usize) -> Vec<u8> {
    let keep = |rng: &mut Rng, all: Vec<KeyValue>| -> Vec<KeyValue> {
        all.into_iter().filter(|_| rng.below(2) == 0).collect()
    };
    let mut own = keep(rng, attributes());
    own.push(KeyValue { key: "note".into(), value: Some(AnyValue { value: None }), ..KeyValue::default() });
    for key in ["http.url", "db.statement", "note", "headers"].into_iter().take(texts) {
        own.push(pair(key, Value::StringValue(any_text(rng))));
    }
    let span = Span {
        trace_id: vec![1; 16],
        span_id: vec![2; 8],
        name: ["", "GET /o/17", PLANTED[0]][rng.below(3) as usize].into(),
        trace_state: ["", "ot=th:8;rv:1,a=b", "v=4111111111111111"][rng.below(3) as usize].into(),
        attributes: own,
        dropped_attributes_count: rng.below(3) as u32,
        dropped_events_count: rng.below(3) as u32,
        dropped_links_count: rng.below(3) as u32,
        events: (0..rng.below(3))
            .map(|_| Event { attributes: keep(rng, attributes()), ..Event::default() })
            .collect(),
        links: (0..rng.below(3))
            .map(|_| Link { attributes: keep(rng, attributes()), ..Link::default() })
            .collect(),
        status: Some(Status { code: 2, message: format!("because {}", PLANTED[rng.below(6) as usize]) }),
        ..Span::default()
    };
    let span = shuffled(rng, &span.encode_to_vec());
    let wrap = |number: u8, content: &[u8]| {
        let mut out = vec![number << 3 | 2];
        prost::encoding::encode_varint(content.len() as u64, &mut out);
        out.extend_from_slice(content);
        out
    };
    wrap(1, &wrap(2, &wrap(2, &span)))
}

#[test]
fn random_rules_panic_nowhere_and_what_comes_out_decodes() {
    rounds("guard's random rules", |seed| {
        let mut rng = Rng::new(seed);
        let texts = rng.below(3) as usize * 2;
        let small = small(&mut rng, texts);
        let sample = if rng.below(2) == 0 { small } else { mutate(&mut rng, &small) };
        let bytes = Bytes::from(sample);
        let rules = Rules {
            redaction: any_redaction(&mut rng),
            limits: any_limits(&mut rng),
            attributes: any_attributes(&mut rng),
        };
        let Some(mut guard) = Guard::new(rules) else { return };
        let decodes = ExportTraceServiceRequest::decode(&bytes[..]).is_ok();
        let (guarded, is_calm) = is_calm(|| guard.apply(Signal::Traces, bytes.clone()));
        assert!(is_calm, "a panic, which would have cost a span");
        match guarded {
            Ok(guarded) if decodes => {
                ExportTraceServiceRequest::decode(&guarded[..]).expect("what came in good goes out good");
                assert!(
                    guarded != bytes || guarded.as_ptr() == bytes.as_ptr(),
                    "untouched, it is the same allocation"
                );
            }
            Ok(_) => {}
            Err(refused) => assert!(!decodes, "a good request is refused: {refused:?}"),
        }
    });
}

#[test]
fn what_is_planted_is_in_nothing_that_comes_out_whatever_the_limits() {
    rounds("guard's planted values", |seed| {
        let mut rng = Rng::new(seed);
        let bytes = Bytes::from(small(&mut rng, 0));
        let action = ["", r#","action":"mask""#, r#","action":"hash""#, r#","action":"delete""#];
        let rule = format!(r#"[{{"use":"all"{}}}]"#, action[rng.below(4) as usize]);
        let redaction = Redaction::parse(&rule, Some(b"key")).0;
        let rules = Rules { redaction, limits: any_limits(&mut rng), attributes: any_attributes(&mut rng) };
        let mut guard = Guard::new(rules).expect("there are rules");
        let guarded = guard.apply(Signal::Traces, bytes).expect("a good request");
        for planted in PLANTED.iter().chain(&["hunter2", "x y"]) {
            let is_in = guarded.windows(planted.len()).any(|part| part == planted.as_bytes());
            assert!(!is_in, "{planted} is in what comes out");
        }
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

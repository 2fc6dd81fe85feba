//! What a sender sends costs the function nothing: no memory beyond a bound, no time of the next invocation, and no span
//! but those that it got wrong itself.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use guard::Kind;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use prost::Message;
use tests::http1::Headers;
use tests::otlp::{Ids, traces};
use tests::platform::Invoke;

use super::world::{World, protobuf, server_span, span};

/// The time of an invocation in which hostile texts arrive. What is compared with it is the time that the processor had for
/// them: on a machine that does other work beside, the time on the clock says nothing.
const DEADLINE: Duration = Duration::from_secs(3);
const LONG: Duration = Duration::from_secs(60);
/// All but the last bytes of what is searched of one request: in one text, what grows with the square shows most.
const SEARCHED: usize = (4 << 20) - (8 << 10);
/// And texts that are as long as functions have them: more than are searched of one request, and as many as one may hold.
const TEXT: usize = 256 << 10;
const TEXTS: u64 = 20;
const TEXTS_MOST: u64 = 59;
/// All that the process may take, whatever it is sent: 32 MiB for requests under way, one copy of the longest, a tenth of
/// the memory held, and itself.
const RESIDENT_MAX_KIB: u64 = 72 << 10;

/// Where a text stands in its span.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// It is the message of its status.
    Text,
    Value(&'static str),
    Key,
    Name,
}
use Place::{Key, Name, Text, Value};

/// A text that makes a search look again at what it has seen: where it stands, what it begins with, and what is repeated.
type Hostile = (Place, &'static str, &'static str);

/// The hostile texts of each kind of value. One that is new does not compile without its own.
fn hostile(kind: Kind) -> &'static [Hostile] {
    match kind {
        Kind::Keys => &[
            (Text, "", "cookie:* "),
            (Text, "", "<password><![CDATA[x "),
            (Text, "curl ", "-ua:*)"),
            (Text, "", "('password','"),
            (Text, "", "password abc12345 "),
            (Text, "", "\t"),
            (Text, "", "OTP is 1234 is your "),
        ],
        Kind::Sql => &[
            (Value("db.query.text"), "", "'\\' "),
            (Value("db.query.text"), "", "$a"),
            (Value("db.query.text"), "", "\"a\" "),
            (Value("db.statement"), "{", "\"a\":"),
        ],
        Kind::Urls => &[(Text, "", "a:b@c:1"), (Text, "", "://"), (Value("url.query"), "", "?a=b&")],
        Kind::Tokens => &[(Text, "", "SG."), (Text, "", "-----BEGIN "), (Text, "", "Basic YTpi")],
        Kind::Emails => &[(Text, "", "a@b."), (Text, "", "o'"), (Text, "", "a@")],
        Kind::Upi => &[(Text, "", "a@"), (Text, "", "a@okaxis-")],
        Kind::Ibans => &[(Text, "", "DE89 3704 "), (Text, "", "DE89")],
        Kind::Cards => &[(Text, "", "4111 "), (Text, "", "4111-"), (Text, "", "4.1e+15 ")],
        Kind::Aadhaar => &[(Text, "", "2341 "), (Text, "", "234123412346 ns ")],
        Kind::Phones => &[(Text, "", "1-"), (Value("phone"), "", "1 "), (Text, "", "+1 (")],
        Kind::Pan => &[(Text, "", "ABCPE1234"), (Text, "", "ABCP1")],
    }
}

/// Texts for all kinds together.
const UNITS: [&str; 24] = [
    "cookie:* ",
    "authorization:x ",
    "a@",
    "4111 ",
    "eyJ.",
    "?a&",
    "-----BEGIN ",
    "{\"token\":",
    "1 ",
    "password=\\\"",
    "%25",
    "('password','",
    "ABCPE1234",
    "<password>",
    "password abc12345 ",
    "curl -u a:b@c:1 -p",
    "%5C%22&#x3d;",
    "<name>password</name>",
    "OTP is 1234 is your ",
    "DE89 3704 +1 (4.1e+15 ",
    "sk-~",
    "<token><![CDATA[ ",
    "--user=a:*,",
    "\\",
];

/// Every form of a rule of the user's, and a text for it.
const RULES: [(&str, &str, Hostile); 14] = [
    (REDACT, r#"[{"value":"\\d+(?:.*USD)?","action":"mask"}]"#, (Text, "", "1 ")),
    (
        REDACT,
        r#"[{"value":"\\d+(?:.*USD)?","action":"hash"}]"#,
        (Text, "", "41111111111111111111111111111111 "),
    ),
    (REDACT, r#"[{"value":"(?:a|b|4)*c","action":"delete"}]"#, (Text, "", "a@")),
    (REDACT, r#"[{"value":".+?x"}]"#, (Text, "", "4111 ")),
    (REDACT, r#"[{"value":".+?x"}]"#, (Text, "", "%2D")),
    (REDACT, r#"[{"key":"^note$","value":"(?:a|b|4)*c"}]"#, (Value("note"), "", "ab")),
    (REDACT, r#"[{"key":"(?:a|b)+c"}]"#, (Key, "", "ab")),
    (REDACT, r#"["all",{"key":"a.*b.*c","action":"delete"}]"#, (Key, "", "ab")),
    (REDACT, r#"["all",{"except":"a.*b.*c"}]"#, (Key, "", "ab")),
    (REDACT, r#"[{"use":"all","action":"hash"}]"#, (Text, "", "4111111111111111 a@b.io ")),
    (ATTRIBUTES, r#"{"deny":["a*"],"limit":{"b*":{"length":1}}}"#, (Key, "", "ba")),
    (ATTRIBUTES, r#"{"allow":["b*"]}"#, (Key, "", "ab")),
    (ATTRIBUTES, r#"{"limit":{"*":{"distinct":0,"then":"hash"}}}"#, (Value("note"), "", "ab")),
    (ATTRIBUTES, r#"{"names":1,"templates":"always"}"#, (Name, "", "/1")),
];
const REDACT: &str = "PREFREEZE_REDACT";
const ATTRIBUTES: &str = "PREFREEZE_ATTRIBUTES";

fn json() -> Headers {
    Headers::from([("Content-Type", "application/json")])
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
    packer.write_all(bytes).expect("memory");
    packer.finish().expect("memory")
}

/// A span with a text in it.
fn hostile_span(place: Place, text: String, ids: Ids) -> Span {
    let attribute = |key: String, value: String| {
        let value = Some(AnyValue { value: Some(Any::StringValue(value)) });
        vec![KeyValue { key, value, ..KeyValue::default() }]
    };
    let span = span("hostile", ids);
    match place {
        Text => Span { status: Some(Status { code: 2, message: text }), ..span },
        Value(key) => Span { attributes: attribute(key.into(), text), ..span },
        Key => Span { attributes: attribute(text, "x".into()), ..span },
        Name => Span { name: text, ..span },
    }
}

#[track_caller]
fn assert_next_in_time(variable: &str, rules: &str, texts: u64, (place, begins, unit): Hostile) {
    let world = World::with(|script| script.env(variable, rules).env("PREFREEZE_REDACT_KEY", "k"));
    for (seed, count, length) in [(1, 1, SEARCHED), (2, texts, TEXT)] {
        // What the platform gives as an id: it stays in its span, whatever is hidden.
        let request_id = format!("8a9b1c2d-0000-4000-8000-{seed:012x}");
        let ids = Ids::new(seed);
        let text = format!("{begins}{}", unit.repeat(length / unit.len()));
        let mut spans: Vec<Span> =
            (1..=count).map(|index| hostile_span(place, text.clone(), ids.sibling(index))).collect();
        spans.push(server_span(&request_id, ids, &request_id));
        let before = processor_time(&world);
        world.platform.answer_next(&Invoke::new(&request_id, LONG));
        world.post_traces(&traces(spans));
        world.platform.wait_next();
        let took = processor_time(&world) - before;
        println!("{count} × {length} of {unit:?} in {place:?} with {rules}: {took:?}");
        assert!(took < DEADLINE, "{count} × {length} of {unit:?} in {place:?} with {rules}: {took:?}");
    }
    assert_eq!(world.close().dropped(), 0);
}

/// The time that the processor has had for the extension so far, in hundredths of a second.
fn processor_time(world: &World) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", world.platform.process_id()));
    let stat = stat.expect("it lives");
    // Behind its name, which may have anything in it: user and system time are the 12th and 13th.
    let (_, fields) = stat.rsplit_once(')').expect("Linux");
    let ticks =
        fields.split_whitespace().skip(11).take(2).map(|field| field.parse::<u64>().expect("a number"));
    Duration::from_millis(ticks.sum::<u64>() * 10)
}

#[test]
fn next_is_asked_in_time_whatever_is_searched() {
    for unit in UNITS {
        assert_next_in_time(REDACT, r#"["all"]"#, TEXTS_MOST, (Text, "", unit));
    }
}

#[test]
fn next_is_asked_in_time_whatever_each_kind_searches() {
    for kind in Kind::ALL {
        assert!(!hostile(kind).is_empty(), "{kind:?} has no text");
        for text in hostile(kind) {
            assert_next_in_time(REDACT, &format!("[\"{}\"]", kind.as_str()), TEXTS, *text);
        }
    }
}

#[test]
fn next_is_asked_in_time_whatever_a_rule_searches() {
    for (variable, rules, text) in RULES {
        assert_next_in_time(variable, rules, TEXTS, text);
    }
}

/// The most that the process has had in memory.
fn resident_most_kib(world: &World) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", world.platform.process_id()));
    let status = status.expect("it lives");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("Linux");
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number")
}

/// Sends one of these; then a good span arrives, and no more memory was taken than there may be.
#[track_caller]
fn assert_memory(what: &str, send: impl FnOnce(&World)) {
    let world = World::start();
    send(&world);
    world.invoke_well("r-well", 99);
    let most = resident_most_kib(&world);
    println!("{what}: {most} KiB");
    assert!(most < RESIDENT_MAX_KIB, "{what}: {most} KiB");
    world.close();
    world.span("r-well");
}

#[test]
fn memory_is_bounded_whatever_is_sent() {
    assert_memory("16 MiB of empty groups, packed", |world| {
        let packed = gzip(&[0x0a, 0].repeat(8 << 20)[..(16 << 20) - 2]);
        let headers =
            Headers::from([("Content-Type", "application/x-protobuf"), ("Content-Encoding", "gzip")]);
        assert_eq!(world.platform.post_otlp("/v1/traces", &packed, &headers).status, 200);
    });
    assert_memory("a JSON of empty groups, packed", |world| {
        let packed = gzip(format!("{{\"resourceSpans\":[{}{{}}]}}", "{},".repeat(5_000_000)).as_bytes());
        let headers = Headers::from([("Content-Type", "application/json"), ("Content-Encoding", "gzip")]);
        let status = world.platform.post_otlp("/v1/traces", &packed, &headers).status;
        assert!([200, 413].contains(&status), "{status}");
    });
    for count in [5_000, 10_000, 20_000] {
        assert_memory(&format!("{count} announcements with a large resource"), |world| {
            let value = Some(AnyValue { value: Some(Any::StringValue("x".repeat(60_000))) });
            let attributes = vec![KeyValue { key: "large".into(), value, ..KeyValue::default() }];
            let spans = (1..=count).map(|seed| span("begun", Ids::new(seed))).collect();
            let group = ResourceSpans {
                resource: Some(Resource { attributes, ..Resource::default() }),
                scope_spans: vec![ScopeSpans { spans, ..ScopeSpans::default() }],
                ..ResourceSpans::default()
            };
            let request = ExportTraceServiceRequest { resource_spans: vec![group] }.encode_to_vec();
            assert_eq!(world.platform.post_otlp("/v1/started", &request, &protobuf()).status, 200);
        });
    }
    assert_memory("spans of thirty bytes", |world| {
        let request = traces((1..300_000).map(|seed| {
            let ids = Ids::new(seed);
            Span { name: String::new(), ..span("", ids) }
        }));
        let status = world.platform.post_otlp("/v1/traces", &request.encode_to_vec(), &protobuf()).status;
        assert!([200, 413].contains(&status), "{status}");
    });
}

#[test]
fn bodies_that_stall_share_what_there_is_however_many() {
    for count in [4, 8, 16] {
        assert_stalled_share(count);
    }
}

#[track_caller]
fn assert_stalled_share(count: usize) {
    let world = World::start();
    let length = 15 << 20;
    let stalled: Vec<TcpStream> = (0..count)
        .map(|_| {
            let mut stream = TcpStream::connect(world.platform.receiver()).expect("it listens");
            let head = format!(
                "POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\nContent-Length: {length}\r\n\r\n"
            );
            stream.write_all(head.as_bytes()).expect("it is read");
            stream.set_write_timeout(Some(Duration::from_secs(2))).expect("a time");
            // All but the last byte; one that is refused stops reading, or closes.
            let _ = stream.write_all(&vec![0; length - 1]);
            stream
        })
        .collect();
    world.platform.barrier();
    let most = resident_most_kib(&world);
    println!("{count} bodies that stall: {most} KiB");
    assert!(most < RESIDENT_MAX_KIB, "{most} KiB");
    world.invoke_well("r-well", 1);
    drop(stalled);
    world.close();
    world.span("r-well");
}

/// Requests of real SDKs in which one value is what their language makes of it.
#[test]
fn one_bad_value_costs_no_other_span() {
    const CASES: [(&str, &str, &[&str]); 6] = [
        ("js-null-attribute", include_str!("../payloads/cases/js-null-attribute.json"), &["innocent", "op"]),
        ("js-large-integer", include_str!("../payloads/cases/js-large-integer.json"), &["innocent", "op"]),
        (
            "js-exponent-integer",
            include_str!("../payloads/cases/js-exponent-integer.json"),
            &["innocent", "op"],
        ),
        ("bool-as-text", include_str!("../payloads/cases/bool-as-text.json"), &["innocent", "op"]),
        ("nested-forty", include_str!("../payloads/cases/nested-forty.json"), &["innocent", "op"]),
        ("snake-case", include_str!("../payloads/cases/snake-case.json"), &["n"]),
    ];
    for (name, body, expected) in CASES {
        let world = World::with(|script| {
            let limits = r#"{"deny":["debug.*"],"limit":{"user.id":{"distinct":0,"then":"hash"}}}"#;
            script.env("PREFREEZE_REDACT_KEY", "k").env("PREFREEZE_ATTRIBUTES", limits)
        });
        world.invoke("r-1");
        let response = world.platform.post_otlp("/v1/traces", body.as_bytes(), &json());
        assert_eq!((response.status, &*response.body), (200, &b"{}"[..]), "{name}");
        world.post_spans([server_span("r-1", Ids::new(1), "r-1")]);
        world.platform.wait_next();
        world.close();
        for span in expected {
            assert_eq!(world.spans(span).len(), 1, "{name}: {span}; {:?}", world.names());
        }
        assert_eq!(world.platform.log("panic"), Vec::<serde_json::Value>::new(), "{name}");
    }
}

#[test]
fn the_first_value_that_a_limit_cuts_is_logged() {
    let world = World::with(|script| script.env("PREFREEZE_LIMIT_VALUE_BYTES", "100"));
    world.invoke("r-1");
    for seed in 1..4 {
        let value = Some(AnyValue { value: Some(Any::StringValue("x".repeat(200 + seed as usize))) });
        let attributes = vec![KeyValue { key: "long".into(), value, ..KeyValue::default() }];
        let filler = (0..10).map(|_| "y".repeat(90)).collect::<Vec<_>>().join(" ");
        let status = Some(Status { code: 0, message: filler });
        world.post_spans([Span { attributes, status, ..span("long", Ids::new(seed)) }]);
    }
    world.post_spans([server_span("r-1", Ids::new(9), "r-1")]);
    world.platform.wait_next();
    world.close();
    assert_eq!(world.platform.log("value_cut").len(), 1, "the first, and no other");
}

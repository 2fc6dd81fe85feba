//! Rows of what JSON may look like, and what it becomes.

use super::*;
use crate::otlp::scan;
use crate::proto::{Value, fields};

/// The path of field numbers to the first value there, walking messages.
fn at<'a>(bytes: &'a [u8], path: &[u32]) -> Option<Value<'a>> {
    let (first, rest) = path.split_first()?;
    let mut walk = fields(bytes);
    while let Some(field) = walk.next().expect("what is written is valid") {
        if field.number == *first {
            return if rest.is_empty() { Some(field.value) } else { at(field.value.bytes(), rest) };
        }
    }
    None
}

fn span(fields: &str) -> Vec<u8> {
    let json = format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{{{fields}}}]}}]}}]}}"#);
    from_json(Signal::Traces, json.as_bytes(), 1 << 20).unwrap_or_else(|error| panic!("{error}: {json}"))
}

fn attribute(value: &str) -> Vec<u8> {
    span(&format!(r#""attributes":[{{"key":"k","value":{value}}}]"#))
}

const SPAN: [u32; 3] = [1, 2, 2];

#[test]
fn fields_of_a_span_are_spelled_in_many_ways() {
    let time = Some(Value::Fixed64(1_544_712_660_300_000_000));
    let trace_id = Some(Value::Bytes(b"\x5b\x8e\xff\xf7\x98\x03\x81\x03\xd2\x69\xb6\x33\x81\x3f\xc6\x0c"));
    let rows: [(&str, u32, Option<Value<'_>>); 34] = [
        (r#""traceId":"5B8EFFF798038103D269B633813FC60C""#, 1, trace_id),
        (r#""spanId":"eee19b7ec3c1b174""#, 2, Some(Value::Bytes(b"\xee\xe1\x9b\x7e\xc3\xc1\xb1\x74"))),
        (r#""spanId":"7uGbfsPBsXQ=""#, 2, Some(Value::Bytes(b"\xee\xe1\x9b\x7e\xc3\xc1\xb1\x74"))),
        (r#""traceId":"W47/95gDgQPSabYzgT/GDA==""#, 1, trace_id),
        (r#""spanId":"W47/95gDgQPSabYzgT/GDA==""#, 2, None),
        (r#""spanId":"7uGbfsPBsX==""#, 2, None),
        (r#""spanId":"=""#, 2, None),
        (r#""parentSpanId":"""#, 4, None),
        (r#""parentSpanId":null"#, 4, None),
        (r#""trace_id":"5b8efff798038103d269b633813fc60c""#, 1, trace_id),
        (r#""start_time_unix_nano":1544712660300000000"#, 7, time),
        (r#""kind":"nan""#, 6, None),
        (r#""kind":true"#, 6, None),
        (r#""flags":4294967296"#, 16, None),
        (r#""droppedEventsCount":"many""#, 12, None),
        (r#""name":{"a":[1]}"#, 5, Some(Value::Bytes(br#"{"a":[1]}"#))),
        (r#""startTimeUnixNano":"1544712660300000000""#, 7, time),
        (r#""startTimeUnixNano":1544712660300000000"#, 7, time),
        (r#""startTimeUnixNano":1.5447126603e18"#, 7, time),
        (r#""startTimeUnixNano":"1.5447126603e18""#, 7, time),
        (r#""endTimeUnixNano":18446744073709551615"#, 8, Some(Value::Fixed64(u64::MAX))),
        (r#""kind":2"#, 6, Some(Value::Varint(2))),
        (r#""kind":"2""#, 6, Some(Value::Varint(2))),
        (r#""kind":"SPAN_KIND_CLIENT""#, 6, Some(Value::Varint(3))),
        (r#""flags":769"#, 16, Some(Value::Fixed32(769))),
        (r#""droppedEventsCount":7"#, 12, Some(Value::Varint(7))),
        (r#""name":"a\u00e9\"b""#, 5, Some(Value::Bytes("aé\"b".as_bytes()))),
        (r#""name":"cut \ud83d""#, 5, Some(Value::Bytes("cut \u{fffd}".as_bytes()))),
        (r#""unknown":{"deep":[1,{"x":null}]},"kind":1"#, 6, Some(Value::Varint(1))),
        (r#""attributes":null"#, 9, None),
        (r#""attributes":[]"#, 9, None),
        (r#""attributes":[null]"#, 9, None),
        (r#""status":{}"#, 15, Some(Value::Bytes(b""))),
        (r#""status":{"code":"STATUS_CODE_ERROR"}"#, 15, Some(Value::Bytes(b"\x18\x02"))),
    ];
    for (json, number, expected) in rows {
        let bytes = span(json);
        assert_eq!(at(&bytes, &[&SPAN[..], &[number]].concat()), expected, "{json}");
    }
}

#[test]
fn values_of_attributes_are_spelled_in_many_ways() {
    let double = |value: f64| Some(Value::Fixed64(value.to_bits()));
    let minus_two = Some(Value::Varint((-2_i64).cast_unsigned()));
    let rows: [(&str, &[u32], Option<Value<'_>>); 20] = [
        (r#"{"stringValue":""}"#, &[1], Some(Value::Bytes(b""))),
        (r#"{"boolValue":false}"#, &[2], Some(Value::Varint(0))),
        (r#"{"intValue":"-2"}"#, &[3], minus_two),
        (r#"{"intValue":-2}"#, &[3], minus_two),
        (r#"{"intValue":-2.0}"#, &[3], minus_two),
        (r#"{"intValue":"9223372036854775807"}"#, &[3], Some(Value::Varint(i64::MAX as u64))),
        (r#"{"doubleValue":1}"#, &[4], double(1.0)),
        (r#"{"doubleValue":-0.5}"#, &[4], double(-0.5)),
        (r#"{"doubleValue":-0}"#, &[4], double(-0.0)),
        (r#"{"doubleValue":18446744073709551616}"#, &[4], double(18_446_744_073_709_551_616.0)),
        (r#"{"doubleValue":"2.5"}"#, &[4], double(2.5)),
        (r#"{"doubleValue":"NaN"}"#, &[4], double(f64::NAN)),
        (r#"{"doubleValue":"Infinity"}"#, &[4], double(f64::INFINITY)),
        (r#"{"doubleValue":"-Infinity"}"#, &[4], double(f64::NEG_INFINITY)),
        (r#"{"bytesValue":"aGk="}"#, &[7], Some(Value::Bytes(b"hi"))),
        (r#"{"arrayValue":{"values":[{"intValue":1}]}}"#, &[5, 1, 3], Some(Value::Varint(1))),
        (r#"{"arrayValue":{}}"#, &[5], Some(Value::Bytes(b""))),
        (
            r#"{"kvlistValue":{"values":[{"key":"a","value":{"boolValue":true}}]}}"#,
            &[6, 1, 2, 2],
            Some(Value::Varint(1)),
        ),
        (
            r#"{"arrayValue":{"values":[{"arrayValue":{"values":[{"stringValue":"deep"}]}}]}}"#,
            &[5, 1, 5, 1, 1],
            Some(Value::Bytes(b"deep")),
        ),
        ("{}", &[1], None),
    ];
    for (json, path, expected) in rows {
        let bytes = attribute(json);
        assert_eq!(at(&bytes, &[&SPAN[..], &[9, 2], path].concat()), expected, "{json}");
    }
}

#[test]
fn points_of_metrics_come_packed() {
    let json = br#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"m","histogram":{"aggregationTemporality":2,"dataPoints":[
        {"count":"3","sum":1.5,"bucketCounts":["1",2],"explicitBounds":[0.5,"Infinity"],"min":0}]}}]}]}]}"#;
    let bytes = from_json(Signal::Metrics, json, 1 << 20).expect("valid");
    let point = [1, 2, 2, 9, 1];
    let of = |number| at(&bytes, &[&point[..], &[number]].concat());
    let bounds = [0.5_f64.to_le_bytes(), f64::INFINITY.to_le_bytes()].concat();
    assert_eq!(of(4), Some(Value::Fixed64(3)));
    assert_eq!(of(6), Some(Value::Bytes(&[1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0])));
    assert_eq!(of(7), Some(Value::Bytes(&bounds)));
    assert_eq!(of(11), Some(Value::Fixed64(0)), "zero is not the same as none");
    assert_eq!(of(12), None);
    let exponential =
        br#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"exponentialHistogram":{"dataPoints":[
        {"scale":-3,"positive":{"offset":-1,"bucketCounts":["300",0]}}]}}]}]}]}"#;
    let bytes = from_json(Signal::Metrics, exponential, 1 << 20).expect("valid");
    assert_eq!(at(&bytes, &[1, 2, 2, 10, 1, 6]), Some(Value::Varint(5)));
    assert_eq!(at(&bytes, &[1, 2, 2, 10, 1, 8]), Some(Value::Bytes(&[8, 1, 18, 3, 0xac, 2, 0])));
}

#[test]
fn what_is_no_request_is_refused_with_its_place() {
    let rows: [(&str, usize); 11] = [
        ("", 1),
        (r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"a" "b"}]}]}]}"#, 1),
        ("{\"resourceSpans\":[\n{\"unknown\":tru}]}", 2),
        ("[]", 1),
        ("null", 1),
        ("{\"resourceSpans\":\n  7}", 2),
        (r#"{"resourceSpans":{}}"#, 1),
        (r#"{"resourceSpans":[]"#, 1),
        (r#"{} {}"#, 1),
        (r#"{"resourceSpans":[{"scopeSpans":7}]}"#, 1),
        (r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"startTimeUnixNano":-1]}]}]}"#, 1),
    ];
    for (json, line) in rows {
        let error = from_json(Signal::Traces, json.as_bytes(), 1 << 20).expect_err(json);
        assert!(matches!(error, JsonError::Invalid { line: at, .. } if at == line), "{json}: {error}");
    }
    let secret = br#"{"resourceSpans":"a secret"}"#;
    let error = from_json(Signal::Traces, secret, 1 << 20).expect_err("a string is no array");
    assert!(!error.to_string().contains("secret"), "{error}");
}

#[test]
fn what_grows_is_bounded() {
    let counts = "0,".repeat(1_000);
    let json = format!(
        r#"{{"resourceMetrics":[{{"scopeMetrics":[{{"metrics":[{{"histogram":{{"dataPoints":[{{"bucketCounts":[{counts}0]}}]}}}}]}}]}}]}}"#
    );
    assert_eq!(from_json(Signal::Metrics, json.as_bytes(), 8_000), Err(JsonError::TooLong));
    assert!(from_json(Signal::Metrics, json.as_bytes(), 9_000).is_ok());
    let deep = format!("{}{}", r#"{"arrayValue":{"values":["#.repeat(1_000), "]}}".repeat(1_000));
    let json =
        format!(r#"{{"resourceSpans":[{{"resource":{{"attributes":[{{"key":"k","value":{deep}}}]}}}}]}}"#);
    let converted = convert_json(Signal::Traces, json.as_bytes(), 1 << 20).expect("it is JSON");
    assert_eq!((converted.mended, converted.refused), (1, 0), "the deepest value is its JSON text");
    assert!(scan(Signal::Traces, &converted.bytes.into()).is_ok(), "no deeper than decoders follow");
}

#[test]
fn a_value_of_another_type_costs_no_other() {
    let double = |value: f64| Some(Value::Fixed64(value.to_bits()));
    let text = |text: &'static str| Some(Value::Bytes(text.as_bytes()));
    let rows: [(&str, u32, Option<Value<'_>>); 13] = [
        (r#"{"intValue":9223372036854776000}"#, 4, double(9_223_372_036_854_775_808.0)),
        (r#"{"intValue":1e+21}"#, 4, double(1e21)),
        (r#"{"intValue":"1e+21"}"#, 4, double(1e21)),
        (r#"{"intValue":-1e300}"#, 4, double(-1e300)),
        (r#"{"intValue":1.5}"#, 4, double(1.5)),
        (r#"{"boolValue":"true"}"#, 2, Some(Value::Varint(1))),
        (r#"{"boolValue":"yes"}"#, 1, text(r#"{"boolValue":"yes"}"#)),
        (r#"{"boolValue":1}"#, 1, text(r#"{"boolValue":1}"#)),
        (r#"{"doubleValue":1e400}"#, 1, text(r#"{"doubleValue":1e400}"#)),
        (r#"{"stringValue":{"a":"}"}}"#, 1, text(r#"{"stringValue":{"a":"}"}}"#)),
        (r#"{"bytesValue":"*"}"#, 1, text(r#"{"bytesValue":"*"}"#)),
        (r#""bare""#, 1, text(r#""bare""#)),
        (r#"{"kvlistValue":[]}"#, 1, text(r#"{"kvlistValue":[]}"#)),
    ];
    for (json, number, expected) in rows {
        let bytes = attribute(json);
        assert_eq!(at(&bytes, &[&SPAN[..], &[9, 2, number]].concat()), expected, "{json}");
    }
}

#[test]
fn what_has_no_meaning_is_refused_alone() {
    const GOOD: &str = r#"{"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174"}"#;
    for bad in [
        r#"{"startTimeUnixNano":-1}"#,
        r#"{"startTimeUnixNano":"yesterday"}"#,
        r#"{"attributes":{"a":1}}"#,
        r#"{"events":[7]}"#,
        r#"{"traceId":7}"#,
        "7",
        "[[]]",
    ] {
        let json = format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{GOOD},{bad},{GOOD}]}}]}}]}}"#);
        let converted = convert_json(Signal::Traces, json.as_bytes(), 1 << 20).expect("it is JSON");
        assert_eq!(converted.refused, 1, "{bad}");
        let scanned = scan(Signal::Traces, &converted.bytes.into()).expect("it is protobuf");
        assert_eq!((scanned.receipt.spans.len(), scanned.refused), (2, 0), "{bad}");
    }
    let json = format!(
        r#"{{"resourceSpans":[{{"resource":{{"attributes":7}},"scopeSpans":[{{"scope":[],"spans":[{GOOD}]}}]}}]}}"#
    );
    let converted = convert_json(Signal::Traces, json.as_bytes(), 1 << 20).expect("it is JSON");
    assert_eq!(
        (converted.refused, converted.mended),
        (0, 2),
        "a resource or scope without meaning is left out"
    );
}

#[test]
fn a_span_without_a_readable_id_costs_no_other() {
    let json = br#"{"resourceSpans":[{"scopeSpans":[{"spans":[
        {"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174"},
        {"traceId":"not hex, and 32 characters long!","spanId":"eee19b7ec3c1b174"},
        {"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b1"}]}]}]}"#;
    let bytes = from_json(Signal::Traces, json, 1 << 20).expect("it is JSON");
    let scanned = scan(Signal::Traces, &bytes.into()).expect("it is protobuf");
    assert_eq!((scanned.receipt.spans.len(), scanned.refused), (1, 2));
}

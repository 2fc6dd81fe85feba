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
    let rows: [(&str, u32, Option<Value<'_>>); 24] = [
        (
            r#""traceId":"5B8EFFF798038103D269B633813FC60C""#,
            1,
            Some(Value::Bytes(b"\x5b\x8e\xff\xf7\x98\x03\x81\x03\xd2\x69\xb6\x33\x81\x3f\xc6\x0c")),
        ),
        (r#""spanId":"eee19b7ec3c1b174""#, 2, Some(Value::Bytes(b"\xee\xe1\x9b\x7e\xc3\xc1\xb1\x74"))),
        (r#""spanId":"7uGbfsPBsXQ=""#, 2, None),
        (r#""parentSpanId":"""#, 4, None),
        (r#""parentSpanId":null"#, 4, None),
        (r#""trace_id":"5b8efff798038103d269b633813fc60c""#, 1, None),
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
    let rows: [(&str, usize); 15] = [
        ("", 1),
        (r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"a" "b"}]}]}]}"#, 1),
        (
            r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"attributes":[{"value":{"doubleValue":1e400}}]}]}]}]}"#,
            1,
        ),
        ("{\"resourceSpans\":[\n{\"unknown\":tru}]}", 2),
        ("[]", 1),
        ("null", 1),
        ("{\"resourceSpans\":\n  7}", 2),
        (r#"{"resourceSpans":{}}"#, 1),
        (r#"{"resourceSpans":[]"#, 1),
        (r#"{} {}"#, 1),
        (r#"{"resourceSpans":[{"schemaUrl":7}]}"#, 1),
        (r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"kind":true}]}]}]}"#, 1),
        (r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"kind":"nan"}]}]}]}"#, 1),
        (r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"startTimeUnixNano":-1}]}]}]}"#, 1),
        (r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"flags":4294967296}]}]}]}"#, 1),
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
    assert!(matches!(from_json(Signal::Traces, json.as_bytes(), 1 << 20), Err(JsonError::Invalid { .. })));
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

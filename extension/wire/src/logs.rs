//! What the function writes and the platform reports, as OTLP log records.
//!
//! # Source
//! Lambda's log formats: <https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-logformat.html>

use std::sync::Arc;

use policy::UnixNanos;
use serde_json::{Map, Value};

use crate::proto::{put_bytes, put_double, put_fixed64, put_message, put_number};

/// Further fields of a JSON line that become attributes, at the most.
const FIELDS_MAX: usize = 32;
/// The severities of OTLP that are told apart.
const TRACE: u64 = 1;
const DEBUG: u64 = 5;
const INFO: u64 = 9;
const WARN: u64 = 13;
const ERROR: u64 = 17;
const FATAL: u64 = 21;

/// Which records are made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wanted {
    /// None: the platform is not even asked for them.
    #[default]
    None,
    /// Those that tell of an error.
    Errors,
    /// All.
    All,
}

/// One record.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// When.
    pub at: UnixNanos,
    /// The invocation it belongs to, where that is known.
    pub request_id: Option<Arc<str>>,
    severity: u64,
    /// The function's own word for it; empty when it said none.
    level: String,
    body: String,
    event: Option<&'static str>,
    attributes: Map<String, Value>,
    trace_id: Option<Vec<u8>>,
    span_id: Option<Vec<u8>>,
}

/// A JSON value; `None` when it is none. Half of a pair of surrogates, which JavaScript writes of a text cut in the middle
/// of a character, is the replacement character: a record is not lost for it.
fn json(text: &str) -> Option<Value> {
    serde_json::from_str(text).or_else(|_| serde_json::from_str(&whole_pairs(text))).ok()
}

/// `text` with `\ufffd` for each escaped half of a pair of surrogates that has no other half.
fn whole_pairs(text: &str) -> String {
    let unit = |at: usize| {
        let digits = text.get(at..at + 6)?.strip_prefix("\\u")?;
        u16::from_str_radix(digits, 16).ok()
    };
    let (mut out, mut done, mut at) = (String::with_capacity(text.len()), 0, 0);
    while let Some(found) = text[at..].find('\\') {
        at += found;
        match (unit(at), unit(at + 6)) {
            (Some(0xd800..0xdc00), Some(0xdc00..0xe000)) => at += 12,
            (Some(0xd800..0xe000), _) => {
                out += &text[done..at];
                out += "\\ufffd";
                at += 6;
                done = at;
            }
            (Some(_), _) => at += 6,
            // Whatever is escaped here has at least one byte, and may have more.
            (None, _) => at += 1 + text[at + 1..].chars().next().map_or(0, char::len_utf8),
        }
    }
    out += &text[done..];
    out
}

/// Reads the stream of events, in which lines stand between the start and the end of what wrote them.
#[derive(Clone, Debug, Default)]
pub struct Reader {
    current: Option<Arc<str>>,
}

impl Reader {
    /// The record that an event makes, if it makes one that is `wanted`.
    pub fn read(&mut self, kind: &str, at: UnixNanos, record: &str, wanted: Wanted) -> Option<Record> {
        let value = json(record)?;
        if kind == "platform.start" {
            self.current = value["requestId"].as_str().map(Into::into);
        }
        let made = match kind {
            "function" => self.line(at, value),
            _ => self.platform(kind, at, &value),
        }?;
        (wanted == Wanted::All || (wanted == Wanted::Errors && made.severity >= ERROR)).then_some(made)
    }

    fn line(&self, at: UnixNanos, value: Value) -> Option<Record> {
        match value {
            Value::String(text) => Some(self.plain(at, text.trim_end())),
            Value::Object(fields) => Some(self.structured(at, fields)),
            _ => None,
        }
    }

    fn record(&self, at: UnixNanos, level: &str, body: String) -> Record {
        Record {
            at,
            request_id: self.current.clone(),
            severity: severity(level).unwrap_or(INFO),
            level: level.to_owned(),
            body,
            event: None,
            attributes: Map::new(),
            trace_id: None,
            span_id: None,
        }
    }

    /// `time<TAB>request id<TAB>LEVEL<TAB>message` of Node.js, `[LEVEL]<TAB>time<TAB>request id<TAB>message` of Python,
    /// or anything else. A line of text may hold a JSON object, which is read as such.
    fn plain(&self, at: UnixNanos, text: &str) -> Record {
        if let Some(Value::Object(fields)) = text.starts_with('{').then(|| json(text)).flatten() {
            return self.structured(at, fields);
        }
        let parts: Vec<_> = text.splitn(4, '\t').collect();
        let (level, request_id, message) = match parts[..] {
            [_, request_id, level, message] if severity(level).is_some() => (level, request_id, message),
            [level, _, request_id, message] if level.starts_with('[') => {
                (level.trim_matches(['[', ']']), request_id, message)
            }
            _ => ("", "", text),
        };
        let mut record = self.record(at, level, message.to_owned());
        if !request_id.is_empty() {
            record.request_id = Some(request_id.into());
        }
        record
    }

    fn structured(&self, at: UnixNanos, mut fields: Map<String, Value>) -> Record {
        let mut take = |names: &[&str]| {
            names.iter().find_map(|name| match fields.remove(*name)? {
                Value::String(text) => Some(text),
                other => Some(other.to_string()),
            })
        };
        let level = take(&["level", "severity", "log.level"]).unwrap_or_default();
        let message = take(&["message", "msg", "errorMessage"]);
        let request_id = take(&["requestId", "AWSRequestId", "aws_request_id", "request_id"]);
        let trace_id = take(&["trace_id", "traceId", "trace.id"]).and_then(|text| hex(&text, 16));
        let span_id = take(&["span_id", "spanId", "span.id"]).and_then(|text| hex(&text, 8));
        let body = message.unwrap_or_else(|| Value::Object(fields.clone()).to_string());
        let mut record = self.record(at, &level, body);
        record.request_id = request_id.map(Into::into).or(record.request_id);
        // A span without its trace is none.
        record.span_id = span_id.filter(|_| trace_id.is_some());
        record.trace_id = trace_id;
        record.attributes = fields.into_iter().take(FIELDS_MAX).collect();
        record
    }

    fn platform(&self, kind: &str, at: UnixNanos, value: &Value) -> Option<Record> {
        let status = value["status"].as_str().unwrap_or("success").to_owned();
        let class = value["errorType"].as_str().unwrap_or(&status).to_owned();
        let mut record = match kind {
            "platform.runtimeDone" if status != "success" => {
                let mut record = self.record(at, "ERROR", format!("the invocation ended with {class}"));
                record.event = Some("faas.invocation.exception");
                record.attributes.insert("exception.type".into(), class.into());
                record.attributes.insert("exception.message".into(), record.body.clone().into());
                record
            }
            "platform.report" => {
                let mut record = self.record(at, "INFO", value.to_string());
                record.event = Some("aws.lambda.report");
                record.attributes = value["metrics"].as_object().cloned().unwrap_or_default();
                record
            }
            "platform.initReport" if status != "success" => {
                let mut record = self.record(at, "ERROR", format!("init ended with {class}"));
                (record.event, record.request_id) = (Some("aws.lambda.init.failed"), None);
                record
            }
            "platform.logsDropped" => {
                let mut record =
                    self.record(at, "WARN", value["reason"].as_str().unwrap_or_default().to_owned());
                (record.event, record.request_id) = (Some("aws.lambda.logs_dropped"), None);
                record
            }
            _ => return None,
        };
        if let Some(request_id) = value["requestId"].as_str() {
            record.request_id = Some(request_id.into());
        }
        Some(record)
    }
}

/// The export request that holds `records`; its resource is completed when it is sent, like that of any other.
pub fn request(records: &[&Record]) -> Vec<u8> {
    let mut out = Vec::new();
    put_message(&mut out, 1, |group| {
        put_message(group, 2, |scope| {
            put_message(scope, 1, |name| put_bytes(name, 1, b"prefreeze.lambda"));
            records.iter().for_each(|record| put_message(scope, 2, |out| put_record(out, record)));
        });
    });
    out
}

fn put_record(out: &mut Vec<u8>, record: &Record) {
    put_fixed64(out, 1, record.at.0);
    put_fixed64(out, 11, record.at.0);
    put_number(out, 2, record.severity);
    put_bytes(out, 3, record.level.as_bytes());
    put_message(out, 5, |any| put_bytes(any, 1, record.body.as_bytes()));
    for (key, value) in &record.attributes {
        put_attribute(out, key, value);
    }
    if let Some(request_id) = &record.request_id {
        put_attribute(out, "faas.invocation_id", &Value::String(request_id.to_string()));
    }
    for (number, id) in [(9, &record.trace_id), (10, &record.span_id)] {
        if let Some(id) = id {
            put_bytes(out, number, id);
        }
    }
    if let Some(event) = record.event {
        put_bytes(out, 12, event.as_bytes());
    }
}

fn put_attribute(out: &mut Vec<u8>, key: &str, value: &Value) {
    put_message(out, 6, |attribute| {
        put_bytes(attribute, 1, key.as_bytes());
        put_message(attribute, 2, |any| match value {
            Value::String(text) => put_bytes(any, 1, text.as_bytes()),
            Value::Bool(flag) => put_number(any, 2, u64::from(*flag)),
            Value::Number(number) => match number.as_i64() {
                Some(int) => put_number(any, 3, int.cast_unsigned()),
                None => put_double(any, 4, number.as_f64().unwrap_or_default()),
            },
            other => put_bytes(any, 1, other.to_string().as_bytes()),
        });
    });
}

/// The severity that a word means; `None` for a word that means none.
fn severity(level: &str) -> Option<u64> {
    Some(match level.trim().to_ascii_uppercase().as_str() {
        "TRACE" => TRACE,
        "DEBUG" => DEBUG,
        "INFO" | "INFORMATION" | "NOTICE" => INFO,
        "WARN" | "WARNING" => WARN,
        "ERROR" | "ERR" => ERROR,
        "FATAL" | "CRITICAL" | "PANIC" => FATAL,
        _ => return None,
    })
}

/// An id of so many bytes, written in hexadecimal; none that is all zero.
fn hex(text: &str, bytes: usize) -> Option<Vec<u8>> {
    let is_hex = text.len() == 2 * bytes && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let id: Vec<u8> =
        (0..bytes).filter_map(|at| u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()).collect();
    (is_hex && id.iter().any(|byte| *byte != 0)).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(kind: &str, record: &str) -> Option<Record> {
        let mut reader = Reader::default();
        reader.read("platform.start", UnixNanos(1), r#"{"requestId":"r-1"}"#, Wanted::All);
        reader.read(kind, UnixNanos(2), record, Wanted::All)
    }

    #[test]
    fn lines_of_every_runtime_are_told_apart() {
        let rows = [
            (r#""plain\n""#, INFO, "plain", "r-1"),
            (r#""2026-11-22T07:58:30.000Z\tr-2\tERROR\tboom""#, ERROR, "boom", "r-2"),
            (r#""[WARNING]\t2026-11-22T07:58:30.000Z\tr-2\tslow""#, WARN, "slow", "r-2"),
            (r#"{"level":"FATAL","message":"gone","requestId":"r-9"}"#, FATAL, "gone", "r-9"),
            (r#""{\"level\":\"debug\",\"msg\":\"deep\"}""#, DEBUG, "deep", "r-1"),
            (r#"{"a":1}"#, INFO, r#"{"a":1}"#, "r-1"),
            (r#"{"level":"ERROR","message":"cut \ud83d"}"#, ERROR, "cut \u{fffd}", "r-1"),
            (
                r#"{"level":"ERROR","message":"\udc00é\ud83d\ude00\\\\ud800"}"#,
                ERROR,
                "\u{fffd}é😀\\\\ud800",
                "r-1",
            ),
            (r#""{\"level\":\"error\",\"msg\":\"deep \\ud83d\"}""#, ERROR, "deep \u{fffd}", "r-1"),
        ];
        for (line, severity, body, request_id) in rows {
            let record = read("function", line).expect(line);
            assert_eq!((record.severity, &*record.body), (severity, body), "{line}");
            assert_eq!(record.request_id.as_deref(), Some(request_id), "{line}");
        }
    }

    #[test]
    fn ids_of_a_json_line_are_kept_and_bad_ones_are_not() {
        let line =
            r#"{"message":"x","traceId":"0af7651916cd43dd8448eb211c80319c","span_id":"b7ad6b7169203331"}"#;
        let record = read("function", line).expect("a line");
        assert_eq!(record.trace_id.map(|id| id.len()), Some(16));
        assert_eq!(record.span_id.map(|id| id.len()), Some(8));
        for bad in ["", "00000000000000000000000000000000", "zz", "é"] {
            let line = format!(r#"{{"message":"x","traceId":"{bad}","span_id":"b7ad6b7169203331"}}"#);
            let record = read("function", &line).expect("a line");
            assert_eq!((record.trace_id, record.span_id), (None, None), "{bad}");
        }
    }

    #[test]
    fn the_platforms_words_are_events() {
        let done = r#"{"requestId":"r-7","status":"error","errorType":"Runtime.ExitError"}"#;
        let record = read("platform.runtimeDone", done).expect("an exception");
        assert_eq!((record.event, record.severity), (Some("faas.invocation.exception"), ERROR));
        assert_eq!(record.request_id.as_deref(), Some("r-7"));
        assert_eq!(record.attributes["exception.type"], "Runtime.ExitError");
        assert!(read("platform.runtimeDone", r#"{"requestId":"r","status":"success"}"#).is_none());
        let report = read("platform.report", r#"{"requestId":"r","metrics":{"durationMs":2.5}}"#);
        assert_eq!(report.map(|record| record.event), Some(Some("aws.lambda.report")));
    }

    #[test]
    fn only_what_is_wanted_is_made() {
        let mut reader = Reader::default();
        let mut is_made = |record, wanted| reader.read("function", UnixNanos(1), record, wanted).is_some();
        assert!(is_made(r#"{"level":"error"}"#, Wanted::Errors));
        assert!(!is_made(r#"{"level":"warn"}"#, Wanted::Errors));
        assert!(!is_made(r#"{"level":"error"}"#, Wanted::None));
    }
}

//! `prefreeze explain`: what the environment's settings would make of recorded spans, without sending anything.
//!
//! It asks the same judge as the extension does. What only the platform knows is not in a file: a time-out or a crash
//! that no span tells of, and the word of X-Ray.

use std::collections::BTreeMap;
use std::fmt::Write;

use bytes::Bytes;
use policy::sampling::{Circumstances, Decision, Judge, Sampling, Verdict};
use policy::{Body as _, Fact, Instant, Signal, Span, TraceId};
use wire::otlp::{Body, from_json, scan};

use crate::settings::Settings;

/// The longest request that is read from JSON, as protobuf: far more than any sender puts into one.
const REQUEST_MAX: usize = 256 << 20;

/// What there is to print, and whether everything could be read.
pub struct Explained {
    /// For people.
    pub text: String,
    /// Whether every file, every span and every setting was as it should be.
    pub is_well: bool,
}

/// Explains the spans in `files`: OTLP trace requests, one in protobuf, or in JSON one or one a line.
pub fn explain(settings: &Settings, files: &[String]) -> Explained {
    let (mut text, mut is_well, mut spans) = (String::new(), true, Vec::new());
    for problem in &settings.problems {
        is_well = false;
        let _ = writeln!(text, "problem: {problem}");
    }
    for file in files {
        let read = std::fs::read(file).map_err(|error| error.to_string()).and_then(|bytes| read(&bytes));
        match read {
            Ok((more, refused)) => {
                spans.extend(more);
                if refused > 0 {
                    is_well = false;
                    let _ = writeln!(
                        text,
                        "problem: {file}: {refused} spans without a valid trace id and span id, or that cannot be decoded"
                    );
                }
            }
            Err(reason) => {
                is_well = false;
                let _ = writeln!(text, "problem: {file}: {reason}");
            }
        }
    }
    tell(&mut text, &settings.policy.sampling, spans);
    Explained { text, is_well }
}

/// The spans of a file, and how many were refused.
fn read(bytes: &[u8]) -> Result<(Vec<Span<Body>>, u32), String> {
    let is_json = bytes.iter().find(|byte| !byte.is_ascii_whitespace()).is_some_and(|byte| *byte == b'{');
    let requests = if is_json { from_json_file(bytes)? } else { vec![Bytes::copy_from_slice(bytes)] };
    let (mut spans, mut refused) = (Vec::new(), 0);
    for request in requests {
        let scanned =
            scan(Signal::Traces, &request).map_err(|error| format!("not an OTLP trace request: {error}"))?;
        spans.extend(scanned.receipt.spans);
        refused += scanned.refused;
    }
    Ok((spans, refused))
}

/// One request over any number of lines, or one a line, as the collector's file exporter writes them.
fn from_json_file(bytes: &[u8]) -> Result<Vec<Bytes>, String> {
    let whole = match from_json(Signal::Traces, bytes, REQUEST_MAX) {
        Ok(request) => return Ok(vec![request.into()]),
        Err(error) => error,
    };
    let lines = bytes.split(|byte| *byte == b'\n').enumerate();
    let lines: Vec<_> = lines.filter(|(_, line)| !line.trim_ascii().is_empty()).collect();
    if lines.len() < 2 || !lines.iter().all(|(_, line)| line.trim_ascii().starts_with(b"{")) {
        return Err(whole.to_string());
    }
    let request = |(number, line): (usize, &[u8])| {
        let request = from_json(Signal::Traces, line, REQUEST_MAX);
        request.map(Bytes::from).map_err(|error| format!("request in line {}: {error}", number + 1))
    };
    lines.into_iter().map(request).collect()
}

/// What this function did of a trace.
struct Trace {
    id: TraceId,
    spans: Vec<Span<Body>>,
}

/// The traces, in the order in which they ended: what is slow or rare depends on those before.
fn traces(spans: Vec<Span<Body>>) -> Vec<Trace> {
    let mut traces = BTreeMap::<TraceId, Vec<Span<Body>>>::new();
    for span in spans {
        traces.entry(span.trace_id).or_default().push(span);
    }
    let mut traces: Vec<_> = traces.into_iter().map(|(id, spans)| Trace { id, spans }).collect();
    traces.sort_by_key(|trace| (trace.ended_at(), trace.id));
    traces
}

impl Trace {
    fn ended_at(&self) -> u64 {
        self.spans.iter().map(|span| span.end.0).max().unwrap_or_default()
    }

    fn is_cold(&self) -> bool {
        self.spans.iter().any(|span| span.body.attribute("faas.coldstart") == Some(Fact::Flag(true)))
    }

    /// The name of the span that stands for it: the first of an entry kind, or the first.
    fn name(&self) -> &str {
        let entry = self.spans.iter().find(|span| span.kind.is_entry());
        entry.or(self.spans.first()).map(|span| span.body.name()).unwrap_or_default()
    }
}

fn tell(text: &mut String, sampling: &Sampling, spans: Vec<Span<Body>>) {
    let mut judge = Judge::new(sampling.clone());
    let mut counts = BTreeMap::<usize, u64>::new();
    let traces = traces(spans);
    let (total, mut kept) = (traces.len(), 0);
    if !sampling.is_active() {
        text.push_str("nothing is left out by these settings; what is said is what would be the reason\n");
    }
    for trace in traces {
        let now = Instant::from_nanos(trace.ended_at());
        let about = Circumstances { is_cold: trace.is_cold(), is_final: true, ..Circumstances::default() };
        let (name, count) = (trace.name().to_owned(), trace.spans.len());
        let Some(verdict) = judge.explain(now, trace.spans, &about) else { continue };
        *counts.entry(verdict.decision as usize).or_default() += 1;
        kept += usize::from(verdict.decision.is_keep());
        let id: String = trace.id.bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        let _ = writeln!(text, "{id}  {}  {name}, spans: {count}", words(sampling, &verdict));
    }
    let list = |is_keep: bool| {
        let meant = Decision::ALL.into_iter().filter(|decision| decision.is_keep() == is_keep);
        let counted = meant.filter_map(|decision| {
            Some(format!("{} {}", counts.get(&(decision as usize))?, decision.as_str()))
        });
        let counted: Vec<_> = counted.collect();
        if counted.is_empty() { String::new() } else { format!(" ({})", counted.join(", ")) }
    };
    let left_out = total - kept;
    let _ = writeln!(text, "{total} traces, {kept} kept{}, {left_out} left out{}", list(true), list(false));
}

fn words(sampling: &Sampling, verdict: &Verdict) -> String {
    let what = if verdict.decision.is_keep() { "kept    " } else { "left out" };
    let mut words = format!("{what} {:<9}", verdict.decision.as_str());
    let _ = write!(words, "  R {} {} T {}", verdict.randomness, relation(verdict), verdict.threshold);
    if let Some(rule) = verdict.rule.and_then(|rule| sampling.rules.get(rule)) {
        let _ = write!(words, "  rule {:?}", rule.name);
    }
    words
}

fn relation(verdict: &Verdict) -> &'static str {
    if verdict.threshold.admits(verdict.randomness) { ">=" } else { "<" }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/payments");

    fn settings(variables: &[(&str, &str)]) -> Settings {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Settings::from_variables(variables)
    }

    /// What is said of `content` in a file of its own.
    fn said_of(name: &str, content: &[u8]) -> Explained {
        let path = std::env::temp_dir().join(format!("prefreeze-explain-{}-{name}", std::process::id()));
        std::fs::write(&path, content).expect("a temporary file can be written");
        let explained = explain(&settings(&[]), &[path.to_str().expect("ASCII").to_owned()]);
        std::fs::remove_file(&path).expect("it is ours");
        explained
    }

    #[test]
    fn the_example_is_explained_trace_by_trace() {
        let rules = format!("{EXAMPLES}/sampling-rules.json");
        let settings = settings(&[
            ("PREFREEZE_SAMPLING_RATIO", "0.01"),
            ("PREFREEZE_SAMPLING_RARE", "off"),
            ("PREFREEZE_SAMPLING_RULES_FILE", &rules),
        ]);
        let explained = explain(&settings, &[format!("{EXAMPLES}/traces.json")]);
        assert!(explained.is_well, "{}", explained.text);
        let lines: Vec<_> = explained.text.lines().collect();
        let rows = [
            ("left out rule_drop", "rule \"health checks\""),
            ("left out unsampled", "< T fd70a"),
            ("kept     error", "< T fd70a"),
            ("kept     rule", "rule \"large payments\""),
            ("kept     ratio", ">= T fd70a"),
            ("kept     ratio", ">= T fd70a"),
            ("left out unsampled", "rule \"reconciliation\""),
        ];
        for (line, (what, why)) in lines.iter().zip(rows) {
            assert!(line.contains(what) && line.contains(why), "{what}, {why}: {line}");
        }
        let sum = "7 traces, 4 kept (1 error, 1 rule, 2 ratio), 3 left out (2 unsampled, 1 rule_drop)";
        assert_eq!(lines.last(), Some(&sum));
    }

    #[test]
    fn what_cannot_be_read_is_named_and_the_rest_is_explained() {
        let example = std::fs::read_to_string(format!("{EXAMPLES}/traces.json")).expect("it is in the tree");
        let first = example.lines().next().expect("it has lines");
        let spread = first.replace(',', ",\n");
        let protobuf = from_json(Signal::Traces, first.as_bytes(), REQUEST_MAX).expect("it is OTLP");
        for (name, content) in [("spread", spread.as_bytes()), ("protobuf", &protobuf)] {
            let explained = said_of(name, content);
            assert!(explained.is_well && explained.text.contains("1 traces, 1 kept"), "{}", explained.text);
        }
        let broken = format!("{first}\n{{\"resourceSpans\": 7}}\n");
        for (name, content, why) in [
            ("broken", broken.as_bytes(), "request in line 2"),
            ("garbage", b"garbage", "not an OTLP trace request"),
        ] {
            let explained = said_of(name, content);
            assert!(!explained.is_well && explained.text.contains(why), "{why}: {}", explained.text);
        }
    }
}

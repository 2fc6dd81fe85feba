//! Requests, errors and durations of operations, from the spans of all traffic.

use super::known::cut;
use super::series::{Label, Store};
use super::table::Metric;
use crate::facts::{Body, Fact};
use crate::sampling::Randomness;
use crate::sampling::trace_state::{self, Sampled};
use crate::span::{Kind, PlatformSpan, Span, TraceId};
use crate::time::Duration;

/// Names and addresses are the function's own words: longer ones are cut, so that series are bounded in bytes too.
const WORD_MAX: usize = 200;
/// The method that was called, and where the address of the server is: today's name, and those before semantic
/// conventions 1.21.
const CLIENT_KEYS: [&str; 4] = ["rpc.method", "server.address", "net.peer.name", "http.host"];
/// No span is believed to stand for more than a million: no sampler takes less than one in that many.
const WEIGHT_MAX: f64 = 1e6;

/// Counts and measures a received span, if it is one that asks or is asked.
pub(super) fn on_span<B: Body>(store: &mut Store, span: &Span<B>) {
    let Some(kind) = kind_of(span.kind) else { return };
    let body = &span.body;
    let mut labels = Labels::new(cut(body.name(), WORD_MAX), kind, span.is_error);
    if span.kind == Kind::Client {
        let facts = body.attributes(CLIENT_KEYS);
        let [method, addresses @ ..] =
            facts.map(|fact| fact.and_then(Fact::text).map(|text| cut(text, WORD_MAX)));
        labels.push("server.address", addresses.into_iter().flatten().next());
        labels.push("rpc.method", method);
    }
    record(
        store,
        labels.as_slice(),
        span.end.since(span.start),
        adjusted_count(body.trace_state(), &span.trace_id),
    );
}

/// The same of a span that was made for an invocation.
pub(super) fn on_made(store: &mut Store, span: &PlatformSpan) {
    if let Some(kind) = kind_of(span.kind) {
        let labels = Labels::new(cut(&span.name, WORD_MAX), kind, span.error_type.is_some());
        record(store, labels.as_slice(), span.end.since(span.start), 1.0);
    }
}

fn record(store: &mut Store, labels: &[Label<'_>], took: Duration, weight: f64) {
    store.count_and_measure([Metric::SpanCalls, Metric::SpanDuration], labels, took.as_secs_f64(), weight);
}

/// The collector's word for a kind that stands for an operation; `None` for the others.
const fn kind_of(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Server => Some("SPAN_KIND_SERVER"),
        Kind::Consumer => Some("SPAN_KIND_CONSUMER"),
        Kind::Client => Some("SPAN_KIND_CLIENT"),
        Kind::Producer | Kind::Internal | Kind::Unspecified => None,
    }
}

/// Labels of an operation, on the stack.
struct Labels<'a> {
    all: [Label<'a>; 5],
    len: usize,
}

impl<'a> Labels<'a> {
    fn new(name: &'a str, kind: &'a str, is_error: bool) -> Self {
        // OK and UNSET are one here: the difference is the developer's, and no one's alarm.
        let status = if is_error { "STATUS_CODE_ERROR" } else { "STATUS_CODE_UNSET" };
        let all = [("span.name", name), ("span.kind", kind), ("status.code", status), ("", ""), ("", "")];
        Self { all, len: 3 }
    }

    fn push(&mut self, key: &'static str, value: Option<&'a str>) {
        if let Some(value) = value {
            self.all[self.len] = (key, value);
            self.len += 1;
        }
    }

    fn as_slice(&self) -> &[Label<'a>] {
        &self.all[..self.len]
    }
}

/// For how many spans one stands that was sampled with `ot=th:…`; one where nothing is said, or nothing that can be: a
/// trace whose randomness is below the threshold was not sampled by it.
///
/// # Source
/// <https://opentelemetry.io/docs/specs/otel/trace/tracestate-probability-sampling/#adjusted-count>
fn adjusted_count(trace_state: &str, trace_id: &TraceId) -> f64 {
    let state = trace_state::read(trace_state);
    let Sampled::By(threshold) = state.sampled else { return 1.0 };
    let randomness = state.randomness.unwrap_or_else(|| Randomness::of_trace(trace_id));
    let weight = 1.0 / threshold.share();
    if threshold.admits(randomness) && weight <= WEIGHT_MAX { weight } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threshold_says_how_many_a_span_stands_for() {
        let low = "rv:00000000000000";
        let rows = [
            ("", 1.0),
            ("ot=th:0", 1.0),
            ("ot=th:8", 2.0),
            ("vendor=x, ot=rv:f123456789abcd;th:c", 4.0),
            ("ot=th:fd70a", 100.0),
            ("ot=th:zz", 1.0),
            ("ot=th:", 1.0),
            ("ot=th:+8", 1.0),
            ("ot=th:C", 1.0),
            ("ot=th:0123456789abcdef", 1.0),
            ("other=th:8", 1.0),
            // Not sampled by that threshold, whatever it claims; nor by one that no sampler has.
            (&alloc::format!("ot=th:8;{low}"), 1.0),
            ("ot=th:fffff", 1.0),
            ("ot=th:ffffffffffffff", 1.0),
        ];
        let random = TraceId::new([0xff; 16]).expect("not zero");
        for (state, expected) in rows {
            let told = adjusted_count(state, &random);
            assert!((told - expected).abs() < expected * 1e-4, "{state}: {told} for {expected}");
        }
        let low = TraceId::new([1; 16]).expect("not zero");
        assert!((adjusted_count("ot=th:8", &low) - 1.0).abs() < 1e-9, "its id is its randomness");
    }

    /// A span's name, its attributes and trace state.
    #[derive(Clone)]
    struct Words(&'static str, &'static [(&'static str, &'static str)]);

    impl Body for Words {
        fn name(&self) -> &str {
            self.0
        }

        fn attribute(&self, key: &str) -> Option<Fact<'_>> {
            self.1.iter().find(|(known, _)| *known == key).map(|(_, text)| Fact::Text(text))
        }
    }

    fn lines_of(kind: Kind, is_error: bool, body: Words) -> alloc::vec::Vec<alloc::string::String> {
        let mut store = Store::new(200, false);
        let span = Span {
            trace_id: TraceId::new([1; 16]).expect("not zero"),
            span_id: crate::span::SpanId::new([1; 8]).expect("not zero"),
            parent: None,
            parent_is_remote: None,
            kind,
            start: crate::time::UnixNanos(1_000_000_000),
            end: crate::time::UnixNanos(1_250_000_000),
            is_error,
            request_id: None,
            size: 1,
            body,
        };
        on_span(&mut store, &span);
        store.take().iter().map(super::super::Point::line).collect()
    }

    #[test]
    fn an_operation_is_counted_and_measured_by_its_name_kind_and_status() {
        let words = [("rpc.method", "Get"), ("net.peer.name", "old.test"), ("server.address", "db.test")];
        let all = || {
            Words(
                "query",
                const { &[("rpc.method", "Get"), ("net.peer.name", "old.test"), ("server.address", "db.test")] },
            )
        };
        assert_eq!(all().1, words);
        let client = "[span.name=query, span.kind=SPAN_KIND_CLIENT, status.code=STATUS_CODE_ERROR, \
                      server.address=db.test, rpc.method=Get]";
        assert_eq!(
            lines_of(Kind::Client, true, all()),
            [
                alloc::format!("traces.span.metrics.calls {client} 1"),
                alloc::format!("traces.span.metrics.duration {client} 1 values, 0.250000 in all"),
            ]
        );
        let old = lines_of(Kind::Client, false, Words("query", &[("net.peer.name", "old.test")]));
        assert!(old[0].contains("STATUS_CODE_UNSET, server.address=old.test]"), "{old:?}");
        for (kind, word) in [(Kind::Server, "SERVER"), (Kind::Consumer, "CONSUMER")] {
            let labels = alloc::format!(
                "[span.name=query, span.kind=SPAN_KIND_{word}, status.code=STATUS_CODE_UNSET]"
            );
            assert_eq!(
                lines_of(kind, false, all())[0],
                alloc::format!("traces.span.metrics.calls {labels} 1")
            );
        }
        for kind in [Kind::Producer, Kind::Internal, Kind::Unspecified] {
            assert!(lines_of(kind, true, all()).is_empty(), "{kind:?}");
        }
    }

    #[test]
    fn a_span_that_was_made_is_an_operation_too() {
        let made = |kind, error_type| PlatformSpan {
            trace_id: TraceId::new([1; 16]).expect("not zero"),
            span_id: crate::span::SpanId::new([1; 8]).expect("not zero"),
            parent: None,
            name: "function".into(),
            kind,
            start: crate::time::UnixNanos(0),
            end: crate::time::UnixNanos(500_000_000),
            error_type,
            attributes: alloc::vec::Vec::new(),
            links: alloc::vec::Vec::new(),
        };
        let mut store = Store::new(200, false);
        on_made(&mut store, &made(Kind::Internal, None));
        on_made(&mut store, &made(Kind::Server, None));
        on_made(&mut store, &made(Kind::Server, Some("timeout".into())));
        let lines: alloc::vec::Vec<_> = store.take().iter().map(super::super::Point::line).collect();
        let server = "[span.name=function, span.kind=SPAN_KIND_SERVER, status.code=STATUS_CODE";
        assert_eq!(
            lines,
            [
                alloc::format!("traces.span.metrics.calls {server}_UNSET] 1"),
                alloc::format!("traces.span.metrics.duration {server}_UNSET] 1 values, 0.500000 in all"),
                alloc::format!("traces.span.metrics.calls {server}_ERROR] 1"),
                alloc::format!("traces.span.metrics.duration {server}_ERROR] 1 values, 0.500000 in all"),
            ]
        );
    }
}

//! When the spans end, and how they are counted, that a dying function had begun and not sent.

use policy::{
    Agent, Body, Config, Content, Duration, EndStatus, Ending, FlushMode, Input, Instant, Invoke, Kind,
    Measuring, Outcome, Output, PlatformEvent, Reading, Receipt, Shutdown, ShutdownReason, Span, SpanId,
    UnixNanos, Usage,
};

use crate::made;
use crate::story::{MS, trace};

/// A body that knows when it was closed.
#[derive(Clone, Debug, Default)]
struct Closed(Option<UnixNanos>);

impl Body for Closed {
    fn closed(&self, end: UnixNanos, _class: &str) -> Option<(Self, u32)> {
        Some((Self(Some(end)), 100))
    }
}

/// An environment whose backend takes everything at once.
struct Story {
    agent: Agent<Closed>,
    /// When spans were closed, in ms.
    closed: Vec<u64>,
    /// Spans that the metrics count.
    calls: i64,
}

impl Story {
    fn new() -> Self {
        let measuring = Measuring { otlp: false, emf: true, ..Measuring::DEFAULT };
        let config = Config { flush: FlushMode::End, measuring, ..Config::default() };
        let mut story = Self { agent: Agent::new(config), closed: Vec::new(), calls: 0 };
        story.hear(0, Input::Ready);
        story
    }

    fn hear(&mut self, ms: u64, input: Input<Closed>) {
        let now = Instant::from_nanos(ms * MS);
        self.agent.handle(now, input);
        while let Some(output) = self.agent.poll() {
            match output {
                Output::Export { id, entries, .. } => {
                    self.closed.extend(entries.iter().filter_map(|entry| match &entry.content {
                        Content::Received(Closed(at)) => at.map(|at| at.0 / MS),
                        _ => None,
                    }));
                    let outcome = Outcome::Delivered { rejected: 0 };
                    self.agent.handle(now, Input::Exported { id, outcome, raw_bytes: 1, sent_bytes: 1 });
                }
                Output::Measured(measured) => {
                    let calls = |point: &&policy::Point| {
                        point.metric.definition().name == "traces.span.metrics.calls"
                    };
                    self.calls += measured.points.iter().filter(calls).map(count).sum::<i64>();
                }
                Output::Close => self.agent.handle(now, Input::Closed),
                _ => {}
            }
        }
    }

    fn invoke(&mut self, ms: u64, request_id: &str) {
        self.hear(
            ms,
            Input::Invoke(Invoke {
                request_id: request_id.into(),
                deadline: Instant::from_nanos((ms + 60_000) * MS),
                deadline_at: UnixNanos((ms + 60_000) * MS),
                received_at: UnixNanos(ms * MS),
                arn: "".into(),
                xray: None,
                waited: Duration::ZERO,
            }),
        );
    }

    fn shut_down(&mut self, ms: u64, reason: ShutdownReason) {
        let (deadline, received_at) = (Instant::from_nanos((ms + 2_000) * MS), UnixNanos(ms * MS));
        self.hear(ms, Input::Shutdown(Shutdown { reason, deadline, received_at, waited: Duration::ZERO }));
        self.hear(ms + 1_900, Input::Tick);
    }
}

fn count(point: &policy::Point) -> i64 {
    let Reading::Int(count) = point.reading else { panic!("{point:?}") };
    count
}

/// A span of this number, from and to these ms.
fn span(id: u8, (start, end): (u64, u64), request_id: Option<&str>, parent: Option<u8>) -> Span<Closed> {
    Span {
        kind: if request_id.is_some() { Kind::Server } else { Kind::Client },
        parent: parent.and_then(|id| SpanId::new([id; 8])),
        start: UnixNanos(start * MS),
        end: UnixNanos(end * MS),
        ..made::span([id; 8], request_id, 100, Closed::default())
    }
}

/// INVOKE is read at 1,000, when the function has run for 10 ms; its first record has its span, and the process dies in the
/// second. Only the report tells of that, with how long it took.
#[test]
fn what_had_begun_ends_when_its_function_died_which_began_before_invoke_was_read() {
    let mut story = Story::new();
    story.invoke(500, "r-0");
    let first = Span { trace_id: trace(9), ..span(9, (500, 505), Some("r-0"), None) };
    story.hear(505, Input::Receiving);
    story.hear(505, Input::Received(Receipt { spans: vec![first], parcels: Vec::new() }));
    story.invoke(1_000, "r-1");
    let spans = vec![span(2, (990, 1_004), None, Some(1)), span(1, (991, 1_005), Some("r-1"), None)];
    story.hear(1_005, Input::Receiving);
    story.hear(1_005, Input::Announced(vec![span(3, (1_006, 1_006), None, None)]));
    story.hear(
        1_005,
        Input::Platform(PlatformEvent::Report {
            request_id: "r-1".into(),
            at: UnixNanos(1_200 * MS),
            ending: Ending { status: EndStatus::Error, error_type: Some("Runtime.ExitError".into()) },
            duration: Some(Duration::from_millis(50)),
            usage: Usage::default(),
        }),
    );
    story.hear(1_006, Input::Received(Receipt { spans, parcels: Vec::new() }));
    story.shut_down(1_210, ShutdownReason::Failure);
    assert_eq!(story.closed, [1_040]);
}

/// 100 % of the traffic is measured: also what was never sent.
#[test]
fn spans_that_are_closed_for_a_dead_function_are_counted_in_the_metrics_of_spans() {
    let mut story = Story::new();
    story.invoke(1_000, "r-1");
    let begun = vec![span(1, (1_001, 1_001), Some("r-1"), None), span(2, (1_002, 1_002), None, Some(1))];
    story.hear(1_003, Input::Announced(begun));
    story.shut_down(1_100, ShutdownReason::Failure);
    assert_eq!((story.closed.len(), story.calls), (2, 2));
}

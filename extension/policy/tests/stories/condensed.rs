//! Memory that is held for nothing is let go of in all that waits: to be judged, to be sent, or to end.

use policy::sampling::Sampling;
use policy::{
    Agent, Body, Config, Content, Duration, FlushMode, Input, Instant, Invoke, Kind, Measuring, Outcome,
    Output, Parcel, Receipt, Shutdown, ShutdownReason, Signal, Span, UnixNanos,
};

use crate::made;
use crate::story::{MS, Story, share, trace};

/// A body that knows whether it was condensed.
#[derive(Clone, Debug)]
struct Piece(bool);

impl Body for Piece {
    fn closed(&self, _end: UnixNanos, _class: &str) -> Option<(Self, u32)> {
        Some((self.clone(), 100))
    }

    fn condense(bodies: &mut [&mut Self]) {
        bodies.iter_mut().for_each(|body| body.0 = true);
    }
}

/// Whether each span of the function that is sent in the end was condensed: one that it had sent, and one that it had
/// announced when it died.
fn sent(sampling: Sampling, is_condensed: bool) -> Vec<bool> {
    let config = Config { sampling, flush: FlushMode::End, measuring: Measuring::OFF, ..Config::default() };
    let mut agent = Agent::new(config);
    let (now, received_at, waited) = (Instant::from_nanos(MS), UnixNanos(0), Duration::ZERO);
    agent.handle(now, Input::Ready);
    agent.handle(
        now,
        Input::Invoke(Invoke {
            request_id: "r".into(),
            deadline: now + Duration::from_secs(60),
            deadline_at: UnixNanos(60_000 * MS),
            received_at,
            arn: "".into(),
            xray: None,
            waited,
        }),
    );
    let span = |number| made::span([number; 8], None, 100, Piece(false));
    agent.handle(now, Input::Receiving);
    agent.handle(now, Input::Received(Receipt { spans: vec![span(1)], parcels: Vec::new() }));
    agent.handle(now, Input::Announced(vec![span(2)]));
    if is_condensed {
        agent.condense();
    }
    let (reason, deadline) = (ShutdownReason::Failure, now + Duration::from_secs(2));
    agent.handle(now, Input::Shutdown(Shutdown { reason, deadline, received_at, waited }));
    agent.handle(now + Duration::from_secs(1), Input::Tick);
    let exported = std::iter::from_fn(|| agent.poll()).filter_map(|output| match output {
        Output::Export { entries, .. } => Some(entries),
        _ => None,
    });
    let received = exported.flat_map(|entries| entries.to_vec()).filter_map(|entry| match entry.content {
        Content::Received(Piece(is_condensed)) => Some(is_condensed),
        _ => None,
    });
    received.collect()
}

#[test]
fn all_that_waits_is_condensed() {
    for is_condensed in [false, true] {
        for sampling in [Sampling::default(), share(0.0)] {
            assert_eq!(sent(sampling.clone(), is_condensed), [is_condensed; 2], "{sampling:?}");
        }
    }
}

/// Spans of 100 and 7 bytes, and records: to be judged, queued, in flight, cut into batches because the backend was ill, gone.
#[test]
fn the_bytes_of_what_is_held_are_known_wherever_it_is() {
    // What sampling writes into a span makes it longer.
    for (sampling, is_judged_later, stamps) in [(Sampling::default(), false, 0), (share(0.5), true, 3 * 24)] {
        let mut story = Story::new(Config { sampling, flush: FlushMode::End, ..Config::default() });
        story.invoke();
        story.pass(10);
        let long = Span { trace_id: trace(0xff), size: 100, ..story.span(1, 5, Kind::Client, None) };
        let short = Span { size: 7, span_id: made::span([2; 8], None, 0, ()).span_id, ..long.clone() };
        story.receive(vec![long, short]);
        assert_eq!(story.agent.unjudged_spans(), 2 * u64::from(is_judged_later));
        let parcel = Parcel { signal: Signal::Logs, count: 3, size: 50, body: () };
        story.hear(Input::Receiving);
        story.hear(Input::Received(Receipt { spans: Vec::new(), parcels: vec![parcel] }));
        assert_eq!(story.agent.encoded_bytes(), 157, "it waits");
        let entry = Span { trace_id: trace(0xff), size: 1_000, ..story.entry(3, 1) };
        story.receive(vec![entry]);
        assert!(!story.flying.is_empty(), "its own span ends it");
        assert_eq!(story.agent.encoded_bytes(), 1_157 + stamps, "it is in flight");
        for id in std::mem::take(&mut story.flying) {
            story.hear(Input::Exported {
                id,
                outcome: Outcome::Retry { after: None },
                raw_bytes: 1,
                sent_bytes: 1,
            });
        }
        assert_eq!(story.agent.encoded_bytes(), 1_157 + stamps, "the backend did not take it");
        story.pass(2_000);
        story.answer();
        assert_eq!((story.agent.encoded_bytes(), story.agent.held_bytes()), (0, 0), "all is delivered");
    }
}

//! A probe that is lost without an answer: the backend must be probed again, not given up on until SHUTDOWN.

use crate::made;
use policy::{
    Agent, BatchId, Config, Duration, FlushMode, Input, Instant, Invoke, Measuring, Outcome, Output, Receipt,
    UnixNanos,
};

/// An environment, and what it wanted since it was last asked.
struct Story {
    agent: Agent<()>,
    now: u64,
    invocations: u64,
}

impl Story {
    fn new() -> Self {
        let config = Config { flush: FlushMode::End, measuring: Measuring::OFF, ..Config::default() };
        let mut story = Self { agent: Agent::new(config), now: 0, invocations: 0 };
        story.hear(Input::Ready);
        story
    }

    /// Hands `input` over; the exports that it made begin.
    fn hear(&mut self, input: Input<()>) -> Vec<BatchId> {
        self.agent.handle(Instant::from_nanos(self.now), input);
        let outputs = std::iter::from_fn(|| self.agent.poll());
        outputs
            .filter_map(|output| if let Output::Export { id, .. } = output { Some(id) } else { None })
            .collect()
    }

    /// An INVOKE after a wait; the exports that begin beside its handler.
    fn invoke(&mut self, waited: Duration) -> Vec<BatchId> {
        self.now += waited.as_nanos() as u64;
        self.invocations += 1;
        let deadline = Instant::from_nanos(self.now) + Duration::from_secs(60);
        self.hear(Input::Invoke(Invoke {
            request_id: self.request_id().as_str().into(),
            deadline,
            deadline_at: UnixNanos(0),
            received_at: UnixNanos(0),
            arn: "".into(),
            xray: None,
            waited,
        }))
    }

    /// The function's own span, with which it is done; the exports of the flush that follows.
    fn done(&mut self) -> Vec<BatchId> {
        self.hear(Input::Receiving);
        let span = made::span(self.invocations.to_be_bytes(), Some(&self.request_id()), 100, ());
        self.hear(Input::Received(Receipt { spans: vec![span], parcels: Vec::new() }))
    }

    fn ended(&mut self, id: BatchId, outcome: Outcome) -> Vec<BatchId> {
        self.hear(Input::Exported { id, outcome, raw_bytes: 0, sent_bytes: 0 })
    }

    fn request_id(&self) -> String {
        format!("request-{}", self.invocations)
    }

    /// Three invocations with a backend that refuses: nothing is sent as usual any more.
    fn open_the_breaker(&mut self) {
        self.invoke(Duration::from_millis(10));
        let mut exports = self.done();
        for _ in 0..3 {
            let id = exports.pop().expect("the breaker is closed until the third failure");
            self.ended(id, Outcome::Retry { after: None });
            self.now += 400_000_000;
            exports = self.hear(Input::Tick);
        }
        assert!(exports.is_empty(), "the third failure opened it");
    }
}

#[test]
fn a_probe_whose_connection_breaks_is_followed_by_another() {
    let mut story = Story::new();
    story.open_the_breaker();
    let probe = story.invoke(Duration::from_secs(2)).pop().expect("a probe beside the handler");
    let again =
        story.ended(probe, Outcome::Lost).pop().expect("another probe at once, on a fresh connection");
    assert!(story.ended(again, Outcome::Lost).is_empty(), "the second time it is the backend's failure");
    story.done();
    assert_eq!(story.invoke(Duration::from_secs(10)).len(), 1, "and there is a next probe");
}

#[test]
fn a_probe_that_a_long_freeze_cuts_off_is_followed_by_another() {
    let mut story = Story::new();
    story.open_the_breaker();
    assert_eq!(story.invoke(Duration::from_secs(2)).len(), 1, "a probe beside the handler");
    story.done();
    assert!(story.invoke(Duration::from_secs(3_600)).is_empty(), "its answer may be in the socket");
    story.now += 250_000_000;
    assert_eq!(story.hear(Input::Tick).len(), 1, "another probe, on a fresh connection");
}

#[test]
fn a_probe_that_is_answered_brings_everything_back() {
    let mut story = Story::new();
    story.open_the_breaker();
    let probe = story.invoke(Duration::from_secs(2)).pop().expect("a probe beside the handler");
    story.ended(probe, Outcome::Delivered { rejected: 0 });
    assert_eq!(story.done().len(), 1, "flushes are as usual");
}

#[test]
fn a_backend_that_refuses_what_it_is_sent_is_there() {
    for outcome in [Outcome::Rejected { status: 400 }, Outcome::TooLarge] {
        let mut story = Story::new();
        for _ in 0..5 {
            story.invoke(Duration::from_millis(10));
            let export = story.done().pop().expect("flushes are as usual, however often it refuses");
            story.ended(export, outcome);
        }
        story.open_the_breaker();
        let probe = story.invoke(Duration::from_secs(2)).pop().expect("a probe beside the handler");
        story.ended(probe, outcome);
        assert_eq!(story.done().len(), 1, "{outcome:?} is an answer: flushes are as usual");
    }
}

//! When an invocation is let go: at once while its data may wait, for a flush when that is stale, and never by the word of
//! another.

use policy::{
    Agent, BatchId, Config, Duration, FlushMode, Input, Instant, Invoke, Kind, Measuring, Outcome, Output,
    Receipt, Span, SpanId, TraceId, UnixNanos,
};

const MS: u64 = 1_000_000;

/// An environment that is called ten times a second, and whose backend answers when it is told to.
struct Story {
    agent: Agent<()>,
    now: u64,
    number: u64,
    flying: Vec<BatchId>,
    /// How often `/next` was asked.
    asked: u64,
}

impl Story {
    fn new(config: Config) -> Self {
        let agent = Agent::new(Config { measuring: Measuring::OFF, ..config });
        let mut story = Self { agent, now: 0, number: 0, flying: Vec::new(), asked: 0 };
        story.hear(Input::Ready);
        story
    }

    fn hear(&mut self, input: Input<()>) {
        self.agent.handle(Instant::from_nanos(self.now), input);
        while let Some(output) = self.agent.poll() {
            match output {
                Output::Export { id, .. } => self.flying.push(id),
                Output::Cancel(id) => self.flying.retain(|other| *other != id),
                Output::Next => self.asked += 1,
                _ => {}
            }
        }
    }

    /// Time passes, with every tick that falls into it.
    fn pass(&mut self, ms: u64) {
        let end = self.now + ms * MS;
        while let Some(due) = self.agent.deadline().map(|due| due.as_nanos()).filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.hear(Input::Tick);
        }
        self.now = end;
    }

    fn answer(&mut self) {
        for id in std::mem::take(&mut self.flying) {
            let outcome = Outcome::Delivered { rejected: 0 };
            self.hear(Input::Exported { id, outcome, raw_bytes: 0, sent_bytes: 0 });
        }
    }

    fn request_id(&self) -> String {
        format!("r-{}", self.number)
    }

    fn invoke(&mut self) {
        self.number += 1;
        self.hear(Input::Invoke(Invoke {
            request_id: self.request_id().as_str().into(),
            deadline: Instant::from_nanos(self.now) + Duration::from_secs(60),
            deadline_at: UnixNanos(0),
            received_at: UnixNanos(self.now),
            arn: "".into(),
            xray: None,
            waited: Duration::from_millis(1),
        }));
    }

    fn send(&mut self, request_id: Option<&str>) {
        let span = Span {
            trace_id: TraceId::new([1; 16]).expect("not zero"),
            span_id: SpanId::new((self.now + 1).to_be_bytes()).expect("not zero"),
            parent: None,
            parent_is_remote: None,
            kind: Kind::Server,
            start: UnixNanos(1),
            end: UnixNanos(2),
            is_error: false,
            request_id: request_id.map(Into::into),
            size: 100,
            body: (),
        };
        self.hear(Input::Receiving);
        self.hear(Input::Received(Receipt { spans: vec![span], parcels: Vec::new() }));
    }

    /// An invocation that is done after 50 ms, with a backend that answers `takes` later, and the 50 ms up to the next;
    /// for how long it was held.
    fn live(&mut self, takes: u64) -> u64 {
        self.invoke();
        self.pass(50);
        let (done, asked) = (self.now, self.asked);
        let request_id = self.request_id();
        self.send(Some(&request_id));
        while self.asked == asked {
            self.pass(1);
            if self.now >= done + takes * MS {
                self.answer();
            }
        }
        let held = (self.now - done) / MS;
        self.pass(50);
        held
    }
}

#[test]
fn what_is_stale_is_waited_for() {
    let bounds = policy::Bounds { in_flight: 1, ..Config::default().bounds };
    let staleness = Duration::from_secs(1);
    let mut story = Story::new(Config { flush: FlushMode::Adaptive, bounds, staleness, ..Config::default() });
    for _ in 0..40 {
        story.live(20);
        story.answer();
    }
    assert_eq!(story.live(20), 0, "frequent and dear: it goes with the next one");
    // The backend has fallen silent, with one request: what comes after that is stale after a second.
    let held: Vec<_> = (0..14).map(|_| story.live(900)).collect();
    assert!(held[..9].iter().all(|held| *held == 0), "{held:?}");
    assert!(held[9..].iter().any(|held| *held > 100), "{held:?}");
}

#[test]
fn a_flush_is_cut_where_the_minute_has_had_its_share() {
    let cost_cap = Some(Duration::from_millis(150));
    let mut story = Story::new(Config { flush: FlushMode::End, cost_cap, ..Config::default() });
    let held: Vec<_> = (0..4).map(|_| story.live(100)).collect();
    assert_eq!(held, [100, 50, 0, 0]);
    story.answer();
    story.now += 60_000 * MS;
    assert_eq!(story.live(100), 100, "another minute");
}

#[test]
fn only_its_own_end_ends_an_invocation() {
    let mut story = Story::new(Config { flush: FlushMode::Continuous, ..Config::default() });
    story.live(0);
    story.invoke();
    let asked = story.asked;
    story.hear(Input::Flush { request_id: Some("r-1".into()) });
    story.send(Some("r-1"));
    story.send(None);
    assert_eq!(story.asked, asked, "all that is of the one before");
    story.hear(Input::Flush { request_id: None });
    assert_eq!(story.asked, asked + 1);
    // Said before INVOKE was read.
    story.hear(Input::Flush { request_id: Some("r-3".into()) });
    story.invoke();
    assert_eq!(story.asked, asked + 2);
}

#[test]
fn what_is_being_received_at_the_end_is_waited_for() {
    let mut story = Story::new(Config { flush: FlushMode::Continuous, ..Config::default() });
    for is_received in [true, false] {
        story.invoke();
        let asked = story.asked;
        story.hear(Input::Receiving);
        story.hear(Input::Flush { request_id: Some(story.request_id().as_str().into()) });
        story.pass(90);
        assert_eq!(story.asked, asked, "it is of this invocation");
        if is_received {
            story.hear(Input::Received(Receipt::EMPTY));
        } else {
            story.pass(10);
        }
        assert_eq!(story.asked, asked + 1, "not longer than it takes, nor than a sender may stall");
    }
}

#[test]
fn a_retry_that_comes_too_late_is_not_waited_for() {
    let mut story = Story::new(Config { flush: FlushMode::End, ..Config::default() });
    for (after, asked) in [(100, 0), (10_000, 1)] {
        story.invoke();
        let before = story.asked;
        let request_id = story.request_id();
        story.send(Some(&request_id));
        let id = story.flying.pop().expect("a flush");
        let outcome = Outcome::Retry { after: Some(Duration::from_millis(after)) };
        story.hear(Input::Exported { id, outcome, raw_bytes: 0, sent_bytes: 0 });
        assert_eq!(story.asked - before, asked, "told to wait for {after} ms");
        story.pass(200);
        story.answer();
        assert_eq!(story.asked - before, 1);
    }
}

//! Failures are kept, whoever tells of them late: what would be left out waits for the platform's word.

use policy::sampling::{Action, Condition, LooksAt, Pattern, Rule, Sampling, Slow};
use policy::{
    Agent, Bounds, Config, DropReason, Duration, EndStatus, Ending, FlushMode, InitType, Input, Instant,
    Invoke, Kind, Measuring, Outcome, Output, PlatformEvent, Receipt, RequestId, Response, Shutdown,
    ShutdownReason, Signal, Span, SpanId, TraceId, UnixNanos, Usage,
};

const MS: u64 = 1_000_000;

#[derive(Clone, Debug)]
struct Nothing;

impl policy::Body for Nothing {}

/// An environment that keeps failures and, by a rule, nothing else; its backend takes everything at once.
struct Story {
    agent: Agent<Nothing>,
    now: u64,
    delivered: u64,
}

impl Story {
    fn new(init_type: InitType, bounds: Bounds) -> Self {
        let when = vec![Condition::Name(Pattern::new("*"))];
        let (looks_at, then, even_failures) = (LooksAt::Any, Action::Drop, false);
        let rules = vec![Rule { name: "all".into(), when, looks_at, then, even_failures }];
        let (keeps_cold_starts, slow, keeps_rare) = (false, Slow::Never, false);
        let sampling = Sampling { rules, keeps_cold_starts, slow, keeps_rare, ..Sampling::default() };
        // Where nothing is heard of an end, none is waited for.
        let (flush, measuring) = (FlushMode::Continuous, Measuring::OFF);
        let config = Config { init_type, sampling, flush, measuring, bounds, ..Config::default() };
        let mut story = Self { agent: Agent::new(config), now: 0, delivered: 0 };
        story.hear(Input::Ready);
        story
    }

    fn hear(&mut self, input: Input<Nothing>) {
        self.agent.handle(Instant::from_nanos(self.now), input);
        while let Some(output) = self.agent.poll() {
            if let Output::Export { id, entries, .. } = output {
                self.delivered += entries.len() as u64;
                let outcome = Outcome::Delivered { rejected: 0 };
                let input = Input::Exported { id, outcome, raw_bytes: 1, sent_bytes: 1 };
                self.agent.handle(Instant::from_nanos(self.now), input);
            }
        }
    }

    fn invoke(&mut self, request_id: &str) {
        self.now += MS;
        let invoke = Invoke {
            request_id: request_id.into(),
            deadline: Instant::from_nanos(self.now) + Duration::from_secs(3),
            deadline_at: UnixNanos(self.now + 3_000 * MS),
            received_at: UnixNanos(self.now),
            arn: "".into(),
            xray: None,
            waited: Duration::ZERO,
        };
        self.hear(Input::Invoke(invoke));
    }

    fn receive(&mut self, trace: u8, numbers: &[u64], request_id: Option<&str>) {
        let span = |number: &u64| Span {
            trace_id: TraceId::new([trace; 16]).expect("not zero"),
            span_id: SpanId::new(number.to_be_bytes()).expect("not zero"),
            parent: None,
            parent_is_remote: None,
            kind: if request_id.is_some() { Kind::Server } else { Kind::Internal },
            start: UnixNanos(self.now),
            end: UnixNanos(self.now + 1),
            is_error: false,
            request_id: request_id.map(Into::into),
            size: 100,
            body: Nothing,
        };
        let spans = numbers.iter().map(span).collect();
        self.hear(Input::Received(Receipt { spans, parcels: Vec::new() }));
    }

    /// Time passes, with every timer in it.
    fn pass(&mut self, millis: u64) {
        let until = self.now + millis * MS;
        while let Some(due) = self.agent.deadline().filter(|due| due.as_nanos() <= until) {
            self.now = self.now.max(due.as_nanos());
            self.hear(Input::Tick);
        }
        self.now = until;
    }

    fn shut_down(&mut self, reason: ShutdownReason) {
        let deadline = Instant::from_nanos(self.now) + Duration::from_secs(2);
        let (received_at, waited) = (UnixNanos(self.now), Duration::ZERO);
        self.hear(Input::Shutdown(Shutdown { reason, deadline, received_at, waited }));
        self.pass(2_000);
    }
}

fn failed() -> Ending {
    Ending { status: EndStatus::Error, error_type: Some("TypeError".into()) }
}

#[test]
fn on_managed_instances_a_failure_is_kept_whatever_is_told_first() {
    let request_id = || -> RequestId { "r".into() };
    let start = || PlatformEvent::Start { request_id: request_id(), at: UnixNanos(1) };
    let report = || PlatformEvent::Report {
        request_id: request_id(),
        at: UnixNanos(2),
        ending: failed(),
        duration: None,
        usage: Usage::default(),
    };
    let tellings: [(&str, Vec<PlatformEvent>); 4] = [
        ("begin and end", vec![start(), report()]),
        ("the end first", vec![report(), start()]),
        ("the end only", vec![report()]),
        ("twice", vec![start(), report(), report()]),
    ];
    for (what, events) in tellings {
        for pause in [10, 6_000] {
            let mut story = Story::new(InitType::ManagedInstances, Config::default().bounds);
            story.receive(1, &[1, 2], Some("r"));
            for event in events.clone() {
                // Longer than spans wait that say nothing of their invocation.
                story.pass(pause);
                story.hear(Input::Platform(event));
            }
            story.pass(20_000);
            let spans = story.agent.ledger().spans;
            assert_eq!((story.delivered, spans.sampled_out), (2, 0), "{what}, {pause} ms apart: {spans:?}");
        }
    }
}

#[test]
fn the_span_of_an_earlier_invocation_does_not_take_a_trace_with_it() {
    let mut story = Story::new(InitType::OnDemand, Config::default().bounds);
    // Nothing is heard of the first one's end; then its INVOKE is read late, and the spans come first.
    story.invoke("one");
    story.pass(3_000);
    story.receive(1, &[1, 2], None);
    story.invoke("two");
    story.shut_down(ShutdownReason::Failure);
    let spans = story.agent.ledger().spans;
    assert_eq!(spans.sampled_out, 0, "the second one has failed, and the trace may be its: {spans:?}");
    assert!(story.delivered >= 3, "with the span of an invocation at least: {spans:?}");
}

#[test]
fn what_is_given_up_early_for_want_of_room_says_nothing_of_what_follows() {
    let bounds = Bounds { held_bytes: 1_000, ..Config::default().bounds };
    let mut story = Story::new(InitType::OnDemand, bounds);
    story.invoke("one");
    // The third does not fit beside two others, and nobody knows yet what is to become of them.
    story.receive(1, &[1, 2, 3], None);
    let given_up = story.agent.ledger().spans.dropped_for(DropReason::OutboxFull);
    assert_eq!((given_up, story.agent.ledger().spans.sampled_out), (3, 0));
    story.receive(1, &[4], None);
    let done = PlatformEvent::RuntimeDone {
        request_id: "one".into(),
        at: UnixNanos(9),
        ending: failed(),
        duration: None,
        produced_bytes: None,
        response: Response::default(),
    };
    story.hear(Input::Platform(done));
    story.shut_down(ShutdownReason::Spindown);
    let spans = story.agent.ledger().spans;
    assert_eq!(spans.sampled_out, 0, "it has failed: {spans:?}");
    assert_eq!(spans.held(), story.agent.held_items(Signal::Traces));
    assert!(story.delivered >= 1);
}

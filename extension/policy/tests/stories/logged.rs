//! Log records: under the span of their invocation where that comes before the flush that they leave with.

use policy::{
    Agent, Config, Content, Duration, EndStatus, Ending, FlushMode, InitType, Input, Instant, Invoke, Kind,
    Measuring, Outcome, Output, Parcel, PlatformEvent, Receipt, Response, Shutdown, ShutdownReason, Signal,
    Span, SpanId, TraceId, UnixNanos,
};

use crate::made;
use crate::story::MS;

/// A record, and the span that it was put under.
#[derive(Clone, Debug)]
struct Record(Option<SpanId>);

impl policy::Body for Record {
    fn placed(&self, _trace_id: &TraceId, span_id: &SpanId) -> Option<(Self, u32)> {
        Some((Self(Some(*span_id)), 126))
    }
}

/// An environment whose backends take everything at once, and the span of each record that they got.
struct Story {
    agent: Agent<Record>,
    now: u64,
    records: Vec<Option<SpanId>>,
    has_exited: bool,
}

impl Story {
    fn new() -> Self {
        Self::of(Config::default())
    }

    fn of(config: Config) -> Self {
        let config = Config { flush: FlushMode::End, measuring: Measuring::OFF, ..config };
        let mut story = Self { agent: Agent::new(config), now: 0, records: Vec::new(), has_exited: false };
        story.hear(Input::Ready);
        story
    }

    fn hear(&mut self, input: Input<Record>) {
        self.agent.handle(Instant::from_nanos(self.now), input);
        while let Some(output) = self.agent.poll() {
            match output {
                Output::Export { id, entries, .. } => {
                    for entry in entries.iter().filter(|entry| entry.signal == Signal::Logs) {
                        let Content::Received(record) = &entry.content else { panic!("{entry:?}") };
                        self.records.push(record.0);
                    }
                    let outcome = Outcome::Delivered { rejected: 0 };
                    let exported = Input::Exported { id, outcome, raw_bytes: 1, sent_bytes: 1 };
                    self.agent.handle(Instant::from_nanos(self.now), exported);
                }
                Output::Close => self.hear(Input::Closed),
                Output::Exit => self.has_exited = true,
                _ => {}
            }
        }
    }

    fn invoke(&mut self, request_id: &str) {
        self.invoke_after(request_id, 1_000);
    }

    fn invoke_after(&mut self, request_id: &str, ms: u64) {
        self.now += ms * MS;
        self.hear(Input::Invoke(Invoke {
            request_id: request_id.into(),
            deadline: Instant::from_nanos(self.now) + Duration::from_secs(60),
            deadline_at: UnixNanos(self.now + 60_000 * MS),
            received_at: UnixNanos(self.now),
            arn: "".into(),
            xray: None,
            waited: Duration::from_millis(ms),
        }));
    }

    fn log(&mut self, request_id: &str) {
        let parcel = Parcel { signal: Signal::Logs, count: 1, size: 100, body: Record(None) };
        let receipt = Receipt { spans: Vec::new(), parcels: vec![parcel] };
        self.hear(Input::Logged { request_id: Some(request_id.into()), receipt });
    }

    fn done(&mut self, request_id: &str, status: EndStatus) {
        self.hear(Input::Platform(PlatformEvent::RuntimeDone {
            request_id: request_id.into(),
            at: UnixNanos(self.now),
            ending: Ending { status, error_type: None },
            duration: None,
            produced_bytes: None,
            response: Response::default(),
        }));
    }

    /// The own span of an invocation, which is over with it.
    fn send(&mut self, id: u8, request_id: &str) {
        self.send_from(id, request_id, self.now);
    }

    fn send_from(&mut self, id: u8, request_id: &str, began: u64) {
        let (start, end) = (UnixNanos(began), UnixNanos(began.max(self.now)));
        let own = made::span([id; 8], Some(request_id), 100, Record(None));
        let own = Span { kind: Kind::Server, start, end, ..own };
        self.hear(Input::Receiving);
        self.hear(Input::Received(Receipt { spans: vec![own], parcels: Vec::new() }));
    }
}

fn under(id: u8) -> Option<SpanId> {
    SpanId::new([id; 8])
}

#[test]
fn a_record_leaves_with_the_flush_of_its_invocation_under_its_span() {
    let mut story = Story::new();
    for (id, request_id) in [(1, "r-1"), (2, "r-2")] {
        story.invoke(request_id);
        let before = story.agent.encoded_bytes();
        story.log(request_id);
        assert_eq!(story.agent.encoded_bytes() - before, 100, "it waits");
        story.now += 5 * MS;
        story.send(id, request_id);
    }
    assert_eq!(story.records, [under(1), under(2)]);
}

/// The span of the first try is made when the retry ends, or comes by a timer while that runs.
#[test]
fn records_of_a_retry_lie_under_its_own_span() {
    for comes in [false, true] {
        let mut story = Story::of(Config { expects_spans: true, ..Config::default() });
        story.invoke("same");
        let first = story.now;
        story.now += 5 * MS;
        story.done("same", EndStatus::Error);
        story.invoke_after("same", 60_000);
        let began = story.now;
        story.now += 5 * MS;
        story.log("same");
        if comes {
            story.send_from(1, "same", first);
        }
        story.send_from(2, "same", began);
        story.log("same");
        story.done("same", EndStatus::Success);
        story.invoke("other");
        story.done("other", EndStatus::Success);
        assert_eq!(story.records, [under(2); 2], "the span of the first try comes: {comes}");
    }
}

/// In SHUTDOWN it waits for the last words on its invocation, and not longer: nothing that is still to come tells more.
#[test]
fn a_record_that_comes_in_shutdown_leaves_with_it() {
    let mut story = Story::new();
    story.invoke("r-1");
    story.now += 5 * MS;
    let deadline = Instant::from_nanos(story.now) + Duration::from_secs(2);
    let (reason, received_at) = (ShutdownReason::Spindown, UnixNanos(story.now));
    story.hear(Input::Receiving);
    story.hear(Input::Shutdown(Shutdown { reason, deadline, received_at, waited: Duration::ZERO }));
    story.log("r-1");
    story.send(1, "r-1");
    story.log("other");
    while let Some(due) = story.agent.deadline().filter(|_| !story.has_exited) {
        story.now = story.now.max(due.as_nanos());
        story.hear(Input::Tick);
    }
    story.log("late");
    assert_eq!(story.records, [under(1), None]);
    let logs = story.agent.ledger().logs;
    assert_eq!((logs.delivered, logs.held()), (2, 0), "{logs:?}");
}

/// Managed Instances serve many at once, and what is logged in them comes between two beats.
#[test]
fn records_of_as_many_as_run_at_once_lie_under_their_spans() {
    let mut story = Story::of(Config { init_type: InitType::ManagedInstances, ..Config::default() });
    for id in 1..=250 {
        let request_id = format!("r-{id}");
        let at = UnixNanos(story.now);
        story.hear(Input::Platform(PlatformEvent::Start { request_id: request_id.as_str().into(), at }));
        story.now += MS;
        story.send(id, &request_id);
    }
    (1..=250).for_each(|id| story.log(&format!("r-{id}")));
    story.now += 1_500 * MS;
    story.hear(Input::Tick);
    assert_eq!(story.records, (1..=250).map(under).collect::<Vec<_>>());
}

/// An asynchronous invocation that failed is tried again under its request id.
#[test]
fn a_record_of_a_retry_waits_for_the_span_of_the_retry() {
    let mut story = Story::new();
    for id in [1, 2] {
        story.invoke("r-1");
        story.log("r-1");
        story.now += 5 * MS;
        story.send(id, "r-1");
    }
    assert_eq!(story.records, [under(1), under(2)]);
}

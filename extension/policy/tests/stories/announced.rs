//! A function that dies: its own spans where they still can, what was made in their place where not, and never both.

use policy::{
    Agent, BatchId, Config, Content, Duration, EndStatus, Ending, Entry, Fact, FlushMode, InitType, Input,
    Instant, Invoke, Kind, LaneId, Measuring, Outcome, Output, Parked, Place, PlatformEvent, Receipt,
    Response, Shutdown, ShutdownReason, Signal, Span, SpanId, TraceId, UnixNanos, Usage,
};

mod unended;

const MS: u64 = 1_000_000;

/// The span that it is of, and whether it was closed here.
#[derive(Clone, Debug)]
struct Note(u8, bool);

impl policy::Body for Note {
    fn attribute(&self, key: &str) -> Option<Fact<'_>> {
        (self.1 && key == "prefreeze.unfinished").then_some(Fact::Flag(true))
    }

    fn closed(&self, _end: UnixNanos, _class: &str) -> Option<(Self, u32)> {
        Some((Self(self.0, true), 100))
    }
}

/// An environment whose backend takes everything in a millisecond.
struct Story {
    agent: Agent<Note>,
    now: u64,
    /// What has arrived: each span's number, and who it is from.
    sent: Vec<(u8, &'static str)>,
    flying: Vec<(BatchId, Vec<(u8, &'static str)>)>,
}

impl Story {
    fn new(config: Config) -> Self {
        let config = Config { flush: FlushMode::End, measuring: Measuring::OFF, ..config };
        let mut story = Self { agent: Agent::new(config), now: 0, sent: Vec::new(), flying: Vec::new() };
        story.hear(Input::Ready);
        story
    }

    fn hear(&mut self, input: Input<Note>) {
        self.agent.handle(Instant::from_nanos(self.now), input);
        while let Some(output) = self.agent.poll() {
            match output {
                Output::Export { id, entries, .. } => {
                    self.flying.push((id, entries.iter().map(origin).collect()));
                }
                Output::Close => self.hear(Input::Closed),
                _ => {}
            }
        }
        let spans = self.agent.ledger().spans;
        assert_eq!(spans.held(), self.agent.held_items(Signal::Traces), "{spans:?}");
    }

    /// The backend answers all that it has.
    fn answer(&mut self) {
        while let Some((id, spans)) = self.flying.pop() {
            self.now += MS;
            self.sent.extend(spans);
            let outcome = Outcome::Delivered { rejected: 0 };
            self.hear(Input::Exported { id, outcome, raw_bytes: 1, sent_bytes: 1 });
        }
    }

    fn invoke(&mut self, request_id: &str) {
        self.now += 100 * MS;
        self.hear(Input::Invoke(Invoke {
            request_id: request_id.into(),
            deadline: Instant::from_nanos(self.now) + Duration::from_secs(60),
            deadline_at: UnixNanos(100),
            received_at: UnixNanos(1),
            arn: "".into(),
            xray: None,
            waited: Duration::ZERO,
        }));
    }

    fn announce(&mut self, span: Span<Note>) {
        self.hear(Input::Announced(vec![span]));
    }

    fn send(&mut self, spans: &[Span<Note>]) {
        self.hear(Input::Receiving);
        self.hear(Input::Received(Receipt { spans: spans.to_vec(), parcels: Vec::new() }));
    }

    /// The platform tells that the function's process has gone.
    fn die(&mut self, request_id: &str) {
        let error_type = Some("Runtime.ExitError".into());
        self.tell_done(request_id, Ending { status: EndStatus::Error, error_type });
    }

    fn tell_done(&mut self, request_id: &str, ending: Ending) {
        self.hear(Input::Platform(PlatformEvent::RuntimeDone {
            request_id: request_id.into(),
            at: UnixNanos(50),
            ending,
            duration: None,
            produced_bytes: None,
            response: Response::default(),
        }));
    }

    fn shut_down(&mut self) {
        self.shut_down_for(ShutdownReason::Failure);
    }

    fn shut_down_for(&mut self, reason: ShutdownReason) {
        self.now += MS;
        self.hear(Input::Shutdown(Shutdown {
            reason,
            deadline: Instant::from_nanos(self.now) + Duration::from_secs(2),
            received_at: UnixNanos(60),
            waited: Duration::ZERO,
        }));
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

    /// Everything that arrives by the end.
    fn end(&mut self) -> Vec<(u8, &'static str)> {
        self.answer();
        self.sent.sort_unstable();
        self.sent.clone()
    }

    fn replaced(&self) -> u64 {
        self.agent.ledger().spans.dropped_for(policy::DropReason::Replaced)
    }
}

/// A span's number, and who it is from.
fn origin(entry: &Entry<Note>) -> (u8, &'static str) {
    match &entry.content {
        Content::Received(Note(number, is_closed)) => (*number, if *is_closed { "closed" } else { "own" }),
        Content::Made(span) if span.name == "unfinished" => (span.span_id.bytes()[0], "placeholder"),
        Content::Made(span) if number_of(span.span_id) => {
            assert_eq!(span.parent, None, "what children name as their parent is the root");
            (span.span_id.bytes()[0], "made")
        }
        Content::Made(_) => (0, "made"),
        Content::Measured(_) => panic!("nothing is measured"),
    }
}

/// Whether an id is one of those that the functions here give.
fn number_of(span_id: SpanId) -> bool {
    let bytes = span_id.bytes();
    bytes.iter().all(|byte| *byte == bytes[0])
}

fn span(number: u8, parent: Option<u8>, request_id: Option<&str>) -> Span<Note> {
    let id = |number: u8| SpanId::new([number; 8]).expect("not zero");
    Span {
        trace_id: TraceId::new([9; 16]).expect("not zero"),
        span_id: id(number),
        parent: parent.map(id),
        parent_is_remote: None,
        kind: if request_id.is_some() { Kind::Server } else { Kind::Internal },
        start: UnixNanos(2),
        end: UnixNanos(3),
        is_error: false,
        request_id: request_id.map(Into::into),
        size: 100,
        body: Note(number, false),
    }
}

/// A function that has begun spans 1 and 2, and asked for a flush: `/next` is asked.
fn between() -> Story {
    let mut story = Story::new(Config::default());
    story.invoke("r-1");
    story.announce(span(1, None, Some("r-1")));
    story.announce(span(2, Some(1), None));
    story.hear(Input::Flush { request_id: Some("r-1".into()) });
    story.answer();
    story
}

#[test]
fn what_a_dead_function_had_sent_wins_while_nothing_else_has_left() {
    let mut story = between();
    story.die("r-1");
    story.send(&[span(2, Some(1), None)]);
    story.shut_down();
    assert_eq!(story.end(), [(1, "closed"), (2, "own")]);
    assert_eq!(story.replaced(), 0);
}

#[test]
fn a_request_that_is_being_received_is_waited_for() {
    let mut story = between();
    story.hear(Input::Receiving);
    story.die("r-1");
    story.shut_down();
    story.hear(Input::Received(Receipt { spans: vec![span(2, Some(1), None)], parcels: Vec::new() }));
    assert_eq!(story.end(), [(1, "closed"), (2, "own")]);
}

#[test]
fn the_next_invoke_ends_the_wait_for_what_a_dead_function_may_have_sent() {
    let mut story = between();
    story.die("r-1");
    story.invoke("r-2");
    story.hear(Input::Flush { request_id: Some("r-2".into()) });
    story.answer();
    story.shut_down();
    let end = story.end();
    assert!([(1, "closed"), (2, "closed")].iter().all(|one| end.contains(one)), "{end:?}");
}

#[test]
fn what_comes_after_its_stand_in_has_left_is_counted_and_goes_no_further() {
    let mut story = Story::new(Config::default());
    story.invoke("r-1");
    story.announce(span(1, None, Some("r-1")));
    story.die("r-1");
    story.answer();
    story.send(&[span(1, None, Some("r-1")), span(2, Some(1), None)]);
    // Announced once more, it is not closed once more.
    story.announce(span(1, None, Some("r-1")));
    story.shut_down();
    assert_eq!(story.end(), [(1, "closed"), (2, "own")]);
    assert_eq!(story.replaced(), 1);
}

#[test]
fn a_root_that_was_rebuilt_under_its_own_id_is_not_followed_by_it() {
    let mut story = Story::new(Config::default());
    story.invoke("r-1");
    story.send(&[span(2, Some(1), None), span(3, Some(1), None)]);
    story.die("r-1");
    story.answer();
    story.send(&[span(1, None, Some("r-1"))]);
    story.shut_down();
    assert_eq!(story.end(), [(1, "made"), (2, "own"), (3, "own")]);
    assert_eq!(story.replaced(), 1);
}

#[test]
fn placeholders_are_not_followed_by_what_they_stand_for() {
    let mut story = Story::new(Config::default());
    story.invoke("r-1");
    story.send(&[span(2, Some(4), None), span(3, Some(5), None)]);
    story.die("r-1");
    story.answer();
    story.send(&[span(4, Some(1), None)]);
    story.shut_down();
    let sent = [(0, "made"), (2, "own"), (3, "own"), (4, "placeholder"), (5, "placeholder")];
    assert_eq!(story.end(), sent);
    assert_eq!(story.replaced(), 1);
}

#[test]
fn a_parent_that_had_come_is_not_made_up() {
    let mut story = Story::new(Config::default());
    story.invoke("r-1");
    story.send(&[span(1, None, Some("r-1"))]);
    story.answer();
    story.invoke("r-2");
    // Two of the invocation before, sent late, by a function that then dies.
    story.send(&[span(2, Some(1), None), span(3, Some(1), None)]);
    story.die("r-2");
    story.shut_down();
    assert_eq!(story.end(), [(0, "made"), (1, "own"), (2, "own"), (3, "own")]);
}

#[test]
fn what_is_read_back_is_not_sent_beside_its_stand_in() {
    let mut story = Story::new(Config::default());
    let place = Place(7);
    let lane = LaneId::of(Signal::Traces);
    story.hear(Input::Found(Parked { place, lane, count: 2, size: 200 }));
    story.invoke("r-1");
    story.announce(span(1, None, Some("r-1")));
    story.die("r-1");
    // The span itself, and what was closed by an earlier process and put on disk unsent.
    let mut closed = span(1, None, Some("r-1"));
    closed.body.1 = true;
    let receipt = Receipt { spans: vec![span(1, None, Some("r-1")), closed], parcels: Vec::new() };
    story.hear(Input::Unparked { lane, receipt });
    story.shut_down();
    assert_eq!(story.end(), [(1, "closed"), (1, "closed")], "what was closed is known by its mark");
    assert_eq!(story.replaced(), 1);
}

#[test]
fn an_invocation_that_the_platform_tells_of_twice_is_one() {
    let config = Config { init_type: InitType::ManagedInstances, ..Config::default() };
    let mut story = Story::new(config);
    let start = || Input::Platform(PlatformEvent::Start { request_id: "r-1".into(), at: UnixNanos(1) });
    let ending = Ending { status: EndStatus::Success, error_type: None };
    story.hear(start());
    story.hear(Input::Platform(PlatformEvent::Report {
        request_id: "r-1".into(),
        at: UnixNanos(5),
        ending,
        duration: None,
        usage: Usage::default(),
    }));
    story.hear(start());
    story.shut_down();
    assert_eq!(story.end(), [(0, "made")]);
    assert_eq!(story.agent.ledger().invocations, 1);
}

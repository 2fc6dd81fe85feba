//! One environment, told step by step.

use policy::{
    Agent, BatchId, Config, Content, Duration, EndStatus, Ending, FlushMode, InitType, Input, Instant,
    Invoke, Kind, Measuring, Outcome, Output, PlatformEvent, PlatformSpan, Receipt, RequestId, Response,
    Shutdown, ShutdownReason, Span, TraceId, UnixNanos, Usage, Value,
};

use crate::made;
use policy::sampling::{Ratio, Sampling, Slow};

pub(crate) const MS: u64 = 1_000_000;

/// Sampling that keeps failures and this share of the rest, and nothing for any other reason.
pub(crate) fn share(ratio: f64) -> Sampling {
    Sampling {
        ratio: Ratio::new(ratio).expect("a share"),
        keeps_cold_starts: false,
        slow: Slow::Never,
        keeps_rare: false,
        ..Sampling::default()
    }
}

/// A trace of this number.
pub(crate) fn trace(number: u8) -> TraceId {
    TraceId::new([number; 16]).expect("not zero")
}

/// An environment that is frozen between invocations, and flushes at the end of each.
pub(crate) fn on_demand() -> Story {
    Story::new(Config { flush: FlushMode::End, ..Config::default() })
}

/// One that nobody freezes, in which several invocations run at once.
pub(crate) fn managed() -> Story {
    Story::new(Config { init_type: InitType::ManagedInstances, ..Config::default() })
}

/// The spans made that stand for invocations.
pub(crate) fn roots(story: &Story) -> Vec<&PlatformSpan> {
    let is_root = |span: &&PlatformSpan| span.attributes.iter().any(|(key, _)| *key == "faas.invocation_id");
    story.spans.iter().filter(is_root).collect()
}

/// The request id that a span made for an invocation names.
pub(crate) fn request_of(span: &PlatformSpan) -> &str {
    let named = span.attributes.iter().find(|(key, _)| *key == "faas.invocation_id");
    let Some((_, Value::Text(request_id))) = named else { panic!("{span:?}") };
    request_id
}

/// An environment whose backend answers when it is told to.
pub(crate) struct Story {
    pub(crate) agent: Agent<()>,
    pub(crate) now: u64,
    number: u64,
    /// Exports under way.
    pub(crate) flying: Vec<BatchId>,
    /// Every request, in order: one that is sent again has the same name.
    pub(crate) launched: Vec<BatchId>,
    pub(crate) cancelled: u64,
    /// How often `/next` was asked.
    pub(crate) asked: u64,
    /// Spans that were said to be left out, where they are on record.
    pub(crate) left_out: usize,
    /// Whether the extension has done all that it will.
    pub(crate) has_exited: bool,
    /// Spans made for invocations that are, or were, on their way.
    pub(crate) made: u64,
    /// The same, each as it was first sent.
    pub(crate) spans: Vec<PlatformSpan>,
}

impl Story {
    pub(crate) fn new(config: Config) -> Self {
        let agent = Agent::new(Config { measuring: Measuring::OFF, ..config });
        let mut story = Self {
            agent,
            now: 0,
            number: 0,
            flying: Vec::new(),
            cancelled: 0,
            asked: 0,
            left_out: 0,
            has_exited: false,
            made: 0,
            spans: Vec::new(),
            launched: Vec::new(),
        };
        story.hear(Input::Ready);
        story
    }

    pub(crate) fn hear(&mut self, input: Input<()>) {
        self.agent.handle(Instant::from_nanos(self.now), input);
        while let Some(output) = self.agent.poll() {
            match output {
                Output::Export { id, entries, .. } => {
                    for entry in entries.iter() {
                        if let Content::Made(span) = &entry.content {
                            self.made += 1;
                            let is_new = self.spans.iter().all(|known| known.span_id != span.span_id);
                            self.spans.extend(is_new.then(|| (**span).clone()));
                        }
                    }
                    self.flying.push(id);
                    self.launched.push(id);
                }
                Output::Cancel(id) => {
                    self.cancelled += 1;
                    self.flying.retain(|other| *other != id);
                }
                Output::Next => self.asked += 1,
                Output::Close => self.agent.handle(Instant::from_nanos(self.now), Input::Closed),
                Output::LeftOut(bodies) => self.left_out += bodies.len(),
                Output::Exit => self.has_exited = true,
                _ => {}
            }
        }
    }

    /// Time passes, with every tick that falls into it.
    pub(crate) fn pass(&mut self, ms: u64) {
        let end = self.now + ms * MS;
        while let Some(due) = self.agent.deadline().map(|due| due.as_nanos()).filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.hear(Input::Tick);
        }
        self.now = end;
    }

    pub(crate) fn request_id(&self) -> String {
        format!("r-{}", self.number)
    }

    pub(crate) fn invoke(&mut self) {
        self.invoke_after(1);
    }

    /// An INVOKE after a wait of so many milliseconds, in which the environment may have been frozen.
    pub(crate) fn invoke_after(&mut self, ms: u64) {
        self.number += 1;
        let request_id = self.request_id();
        self.invoke_as(&request_id, ms);
    }

    /// The same under this request id.
    pub(crate) fn invoke_as(&mut self, request_id: &str, ms: u64) {
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

    pub(crate) fn send(&mut self, request_id: Option<&str>) {
        let id = (self.now + 1).to_be_bytes();
        let (start, end) = (UnixNanos(self.now), UnixNanos(self.now));
        let span = Span { kind: Kind::Server, start, end, ..made::span(id, request_id, 100, ()) };
        self.hear(Input::Receiving);
        self.hear(Input::Received(Receipt { spans: vec![span], parcels: Vec::new() }));
    }

    /// The request of these spans arrives.
    pub(crate) fn receive(&mut self, spans: Vec<Span<()>>) {
        self.hear(Input::Receiving);
        self.hear(Input::Received(Receipt { spans, parcels: Vec::new() }));
    }

    /// A span that began at `began` ms and ends now.
    pub(crate) fn span(&self, id: u8, began: u64, kind: Kind, parent: Option<u8>) -> Span<()> {
        let spans = [Some(id), parent].map(|id| id.map(|id| policy::SpanId::new([id; 8]).expect("not zero")));
        let [span_id, parent] = spans;
        Span {
            span_id: span_id.expect("it was given"),
            parent,
            kind,
            start: UnixNanos(began * MS),
            end: UnixNanos(self.now),
            ..made::span([1; 8], None, 100, ())
        }
    }

    /// The function's own span for the invocation that runs.
    pub(crate) fn entry(&self, id: u8, began: u64) -> Span<()> {
        let request_id = Some(self.request_id().as_str().into());
        Span { request_id, ..self.span(id, began, Kind::Server, None) }
    }

    /// The backend answers everything that is with it, until nothing more is sent.
    pub(crate) fn answer(&mut self) {
        while let Some(id) = self.flying.pop() {
            let outcome = Outcome::Delivered { rejected: 0 };
            self.hear(Input::Exported { id, outcome, raw_bytes: 1, sent_bytes: 1 });
        }
    }

    /// `platform.start` of the invocation that runs, which began at this time.
    pub(crate) fn tell_start(&mut self, request_id: &str, ms: u64) {
        let (request_id, at) = (RequestId::from(request_id), UnixNanos(ms * MS));
        self.hear(Input::Platform(PlatformEvent::Start { request_id, at }));
    }

    /// `platform.runtimeDone`, at this time.
    pub(crate) fn tell_done(&mut self, request_id: &str, ms: u64, status: EndStatus, class: Option<&str>) {
        let ending = Ending { status, error_type: class.map(Into::into) };
        self.hear(Input::Platform(PlatformEvent::RuntimeDone {
            request_id: request_id.into(),
            at: UnixNanos(ms * MS),
            ending,
            duration: None,
            produced_bytes: None,
            response: Response::default(),
        }));
    }

    /// `platform.runtimeDone` of a good end, with what it measured.
    pub(crate) fn tell_done_after(&mut self, request_id: &str, ms: u64, duration: Option<Duration>) {
        self.hear(Input::Platform(PlatformEvent::RuntimeDone {
            request_id: request_id.into(),
            at: UnixNanos(ms * MS),
            ending: Ending::SUCCESS,
            duration,
            produced_bytes: None,
            response: Response::default(),
        }));
    }

    /// `platform.report`, at this time.
    pub(crate) fn tell_report(&mut self, request_id: &str, at: u64, took: Option<u64>, status: EndStatus) {
        self.hear(Input::Platform(PlatformEvent::Report {
            request_id: request_id.into(),
            at: UnixNanos(at * MS),
            ending: Ending { status, error_type: None },
            duration: took.map(Duration::from_millis),
            usage: Usage::default(),
        }));
    }

    /// SHUTDOWN, with all the time there is, and a backend that answers at once.
    pub(crate) fn shut_down(&mut self, reason: ShutdownReason) {
        self.begin_shutdown(reason);
        self.answer();
        self.pass(200);
        self.answer();
    }

    /// SHUTDOWN is handed over, with all the time there is.
    pub(crate) fn begin_shutdown(&mut self, reason: ShutdownReason) {
        let deadline = Instant::from_nanos(self.now) + Duration::from_secs(2);
        let (received_at, waited) = (UnixNanos(self.now), Duration::ZERO);
        self.hear(Input::Shutdown(Shutdown { reason, deadline, received_at, waited }));
    }
}

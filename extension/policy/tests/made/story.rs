//! One environment, told step by step.

use policy::{
    Agent, BatchId, Config, Content, Duration, Input, Instant, Invoke, Kind, Measuring, Output, Receipt,
    Span, UnixNanos,
};

use crate::made;

pub(crate) const MS: u64 = 1_000_000;

/// An environment whose backend answers when it is told to.
pub(crate) struct Story {
    pub(crate) agent: Agent<()>,
    pub(crate) now: u64,
    number: u64,
    /// Exports under way.
    pub(crate) flying: Vec<BatchId>,
    pub(crate) cancelled: u64,
    /// How often `/next` was asked.
    pub(crate) asked: u64,
    /// Spans made for invocations that are, or were, on their way.
    pub(crate) made: u64,
}

impl Story {
    pub(crate) fn new(config: Config) -> Self {
        let agent = Agent::new(Config { measuring: Measuring::OFF, ..config });
        let mut story =
            Self { agent, now: 0, number: 0, flying: Vec::new(), cancelled: 0, asked: 0, made: 0 };
        story.hear(Input::Ready);
        story
    }

    pub(crate) fn hear(&mut self, input: Input<()>) {
        self.agent.handle(Instant::from_nanos(self.now), input);
        while let Some(output) = self.agent.poll() {
            match output {
                Output::Export { id, entries, .. } => {
                    let made = entries.iter().filter(|entry| matches!(entry.content, Content::Made(_)));
                    self.made += made.count() as u64;
                    self.flying.push(id);
                }
                Output::Cancel(id) => {
                    self.cancelled += 1;
                    self.flying.retain(|other| *other != id);
                }
                Output::Next => self.asked += 1,
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
        self.now += ms * MS;
        self.number += 1;
        self.hear(Input::Invoke(Invoke {
            request_id: self.request_id().as_str().into(),
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
}

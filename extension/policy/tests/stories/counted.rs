//! Every end is counted once, as what it was, in whatever order it is told, and however late.

use std::collections::BTreeMap;

use policy::{
    Agent, Config, Content, Duration, EndStatus, Ending, Entry, FlushMode, Input, Instant, Invoke, Kind,
    Measuring, Metric, Outcome, Output, PlatformEvent, Reading, Receipt, Response, Shutdown, ShutdownReason,
    Span, Subscription, UnixNanos, Usage,
};

use crate::made;

const MS: u64 = 1_000_000;

/// An environment whose backend takes everything at once, and what that was told.
struct Counted {
    agent: Agent<()>,
    now: u64,
    counts: BTreeMap<Metric, u64>,
}

impl Counted {
    fn new() -> Self {
        Self::with(Config::default())
    }

    fn with(config: Config) -> Self {
        let measuring = Measuring { interval: Duration::ZERO, ..Measuring::DEFAULT };
        let config = Config { flush: FlushMode::End, measuring, ..config };
        let mut story = Self { agent: Agent::new(config), now: 0, counts: BTreeMap::new() };
        story.hear(Input::Ready);
        story
    }

    fn hear(&mut self, input: Input<()>) {
        self.agent.handle(Instant::from_nanos(self.now), input);
        while let Some(output) = self.agent.poll() {
            let next = match output {
                Output::Export { id, entries, .. } => {
                    entries.iter().for_each(|entry| self.count(entry));
                    let outcome = Outcome::Delivered { rejected: 0 };
                    Input::Exported { id, outcome, raw_bytes: 1, sent_bytes: 1 }
                }
                Output::Close => Input::Closed,
                _ => continue,
            };
            self.agent.handle(Instant::from_nanos(self.now), next);
        }
    }

    fn count(&mut self, entry: &Entry<()>) {
        let Content::Measured(measured) = &entry.content else { return };
        for point in &measured.points {
            if let Reading::Int(number) = point.reading {
                *self.counts.entry(point.metric).or_default() += number.unsigned_abs();
            }
        }
    }

    fn invoke(&mut self, request_id: &str) {
        self.invoke_after(request_id, Duration::ZERO);
    }

    /// INVOKE after a wait of this length, which has passed.
    fn invoke_after(&mut self, request_id: &str, waited: Duration) {
        self.hear(Input::Invoke(Invoke {
            request_id: request_id.into(),
            deadline: Instant::from_nanos(self.now) + Duration::from_secs(3),
            deadline_at: UnixNanos(self.now + 3_000 * MS),
            received_at: UnixNanos(self.now),
            arn: "".into(),
            xray: None,
            waited,
        }));
    }

    /// The function's own span of an invocation that began 10 ms ago.
    fn entry(&mut self, request_id: &str) {
        let (start, end) = (UnixNanos(self.now - 10 * MS), UnixNanos(self.now));
        let id = self.now.to_be_bytes();
        let span = Span { kind: Kind::Server, start, end, ..made::span(id, Some(request_id), 100, ()) };
        self.hear(Input::Receiving);
        self.hear(Input::Received(Receipt { spans: vec![span], parcels: Vec::new() }));
    }

    /// SHUTDOWN, with what is told while it lasts.
    fn shut_down(&mut self, told: Option<PlatformEvent>) -> [u64; 2] {
        let deadline = Instant::from_nanos(self.now) + Duration::from_secs(2);
        let (reason, received_at) = (ShutdownReason::Spindown, UnixNanos(self.now));
        self.hear(Input::Shutdown(Shutdown { reason, deadline, received_at, waited: Duration::ZERO }));
        self.now += 5 * MS;
        told.into_iter().for_each(|event| self.hear(Input::Platform(event)));
        while let Some(due) = self.agent.deadline() {
            self.now = self.now.max(due.as_nanos());
            self.hear(Input::Tick);
        }
        [Metric::Invocations, Metric::Errors].map(|end| self.counts.get(&end).copied().unwrap_or_default())
    }
}

fn ending(status: EndStatus) -> Ending {
    Ending { status, error_type: None }
}

fn done(request_id: &str, ms: u64, status: EndStatus) -> PlatformEvent {
    PlatformEvent::RuntimeDone {
        request_id: request_id.into(),
        at: UnixNanos(ms * MS),
        ending: ending(status),
        duration: Some(Duration::from_millis(10)),
        produced_bytes: None,
        response: Response::default(),
    }
}

fn report(request_id: &str, ms: u64, status: EndStatus) -> PlatformEvent {
    PlatformEvent::Report {
        request_id: request_id.into(),
        at: UnixNanos(ms * MS),
        ending: ending(status),
        duration: Some(Duration::from_millis(20)),
        usage: Usage::default(),
    }
}

#[test]
fn two_tries_are_counted_in_whatever_order_they_are_told() {
    // The order of four events, by a number below 4!.
    let told = |order: usize| {
        let (error, success) = (EndStatus::Error, EndStatus::Success);
        let mut events = vec![
            done("same", 1_010, error),
            report("same", 1_020, error),
            done("same", 61_010, success),
            report("same", 61_020, success),
        ];
        [order / 6, order / 2 % 3, order % 2, 0].map(|next| events.remove(next))
    };
    for order in 0..24 {
        let mut story = Counted::new();
        story.hear(Input::Platform(PlatformEvent::Start { request_id: "same".into(), at: UnixNanos(0) }));
        for began in [1_000, 61_000] {
            story.now = began * MS;
            story.invoke("same");
            story.now += 10 * MS;
            story.entry("same");
        }
        story.now = 90_000 * MS;
        story.invoke("other");
        story.now += 10 * MS;
        told(order).into_iter().for_each(|event| story.hear(Input::Platform(event)));
        story.hear(Input::Platform(done("other", 90_010, EndStatus::Success)));
        assert_eq!(story.shut_down(None), [2, 1], "successes and errors, in order {order}");
    }
}

/// `/next` was asked, and everything frozen, before the platform had told of the end.
#[test]
fn the_failure_of_the_last_invocation_is_told_in_shutdown() {
    let mut story = Counted::new();
    story.now = 1_000 * MS;
    story.hear(Input::Platform(PlatformEvent::Start { request_id: "r".into(), at: UnixNanos(story.now) }));
    story.invoke("r");
    story.now += 10 * MS;
    story.entry("r");
    story.now += 300_000 * MS;
    assert_eq!(story.shut_down(Some(done("r", 1_010, EndStatus::Error))), [0, 1], "successes and errors");
}

/// Its own span came, points left with its flush, and the platform never told how it ended.
#[test]
fn an_end_that_nobody_told_is_counted_in_shutdown() {
    let mut story = Counted::new();
    for second in [1, 2] {
        story.now = second * 1_000 * MS;
        story.invoke(if second == 1 { "a" } else { "b" });
        story.now += 10 * MS;
        story.entry(if second == 1 { "a" } else { "b" });
    }
    assert_eq!(story.shut_down(None), [2, 0], "successes and errors");
}

/// An SDK that sends by a timer of five seconds: each invocation is one call, whoever describes it, and whether the platform
/// tells of its end, refuses to, or is an emulator that knows none.
#[test]
fn each_invocation_is_one_call_where_an_sdk_sends_late() {
    const INVOCATIONS: u64 = 80;
    for subscription in [Subscription::Accepted, Subscription::Refused, Subscription::Local] {
        // Between two invocations, and how many of them the timer's five seconds span.
        for (pause, batch, sends_last) in
            [(20, 60, true), (700, 7, false), (1_500, 3, true), (7_000, 1, false)]
        {
            // Variables of the SDK are set, so its spans are waited for from the first one on.
            let mut story = Counted::with(Config { expects_spans: true, ..Config::default() });
            story.hear(Input::Subscribed(subscription));
            let mut unsent: Vec<Span<()>> = Vec::new();
            for number in 1..=INVOCATIONS {
                let request_id = format!("r-{number}");
                story.now += pause * MS;
                story.invoke_after(&request_id, Duration::from_millis(pause));
                let id = number.to_be_bytes();
                let own = made::span(id, Some(&request_id), 100, ());
                let start = UnixNanos(story.now);
                story.now += 5 * MS;
                if unsent.len() >= batch {
                    let receipt = Receipt { spans: std::mem::take(&mut unsent), parcels: Vec::new() };
                    story.hear(Input::Receiving);
                    story.hear(Input::Received(receipt));
                }
                story.now += 5 * MS;
                unsent.push(Span { kind: Kind::Server, start, end: UnixNanos(story.now), ..own });
                story.now += 2 * MS;
                if subscription == Subscription::Accepted {
                    story.hear(Input::Platform(done(&request_id, story.now / MS, EndStatus::Success)));
                }
            }
            if sends_last {
                story.hear(Input::Receiving);
                story.hear(Input::Received(Receipt { spans: unsent, parcels: Vec::new() }));
            }
            story.shut_down(None);
            let calls = story.counts[&Metric::SpanCalls];
            assert_eq!(calls, INVOCATIONS, "{pause} ms apart, {subscription:?}");
        }
    }
}

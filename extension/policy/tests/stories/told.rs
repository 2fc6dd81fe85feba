//! What is told late, or before INVOKE is read, is booked once, and on the invocation that it is of.

use crate::story::{MS, on_demand};
use policy::{
    Agent, Config, Duration, EndStatus, Ending, FlushMode, Input, Instant, Measuring, Outcome, Output,
    PlatformEvent, ShutdownReason, Span, UnixNanos, Usage,
};

/// Our share in billed time is the time from the end to `/next`, once.
#[test]
fn what_a_flush_held_is_billed_to_us_once() {
    let mut story = on_demand();
    story.agent = Agent::new(Config {
        flush: FlushMode::End,
        measuring: Measuring { interval: Duration::from_secs(3_600), ..Measuring::DEFAULT },
        ..Config::default()
    });
    story.hear(Input::Ready);
    story.invoke();
    let request_id = story.request_id();
    story.pass(50);
    let ended = story.now / MS;
    story.receive(vec![story.entry(1, ended - 50)]);
    story.pass(40);
    story.answer();
    assert_eq!(story.agent.ledger().held, Duration::from_millis(40));
    story.tell_done_after(&request_id, ended, Some(Duration::from_millis(50)));
    // Another extension asked for its next event 100 ms after the end.
    story.invoke_after(1_000);
    story.hear(Input::Platform(PlatformEvent::Report {
        request_id: request_id.as_str().into(),
        at: UnixNanos((ended + 100) * MS),
        ending: Ending::SUCCESS,
        duration: Some(Duration::from_millis(150)),
        usage: Usage { billed: Some(Duration::from_millis(150)), ..Usage::default() },
    }));
    assert_eq!(story.agent.ledger().billed_own, Duration::from_millis(40));
}

/// What is announced after the deadline of an invocation is of the next one, although INVOKE is yet to be read and nobody
/// told the end of the one before.
#[test]
fn what_is_announced_before_invoke_is_read_is_closed_when_its_function_dies() {
    for before_invoke in [false, true] {
        let mut story = Noted::new();
        story.invoke(1);
        story.pass(60_000);
        // Its end was never told (or is told later, as after `/next` that was asked early).
        story.invoke(2);
        story.pass(5);
        story.done(2, EndStatus::Success, None);
        assert!(story.asked >= 3);
        story.invoke(3);
        // Held to its deadline in vain: /next is asked, and the function has gone on.
        story.pass(59_600);
        assert_eq!(story.asked, 4);
        story.now += 1_000 * MS;
        if before_invoke {
            story.announce(7);
            story.invoke(4);
        } else {
            story.invoke(4);
            story.announce(7);
        }
        story.pass(5);
        story.done(4, EndStatus::Error, Some("Runtime.ExitError"));
        story.pass(5);
        story.hear(Input::Shutdown(policy::Shutdown {
            reason: ShutdownReason::Failure,
            deadline: Instant::from_nanos(story.now) + Duration::from_secs(2),
            received_at: UnixNanos(story.now),
            waited: Duration::ZERO,
        }));
        story.pass(300);
        assert!(story.closed.contains(&7), "announced before INVOKE was read: {before_invoke}");
    }
}

#[derive(Clone, Debug)]
struct Note(u8, bool);

impl policy::Body for Note {
    fn closed(&self, _end: UnixNanos, _class: &str) -> Option<(Self, u32)> {
        Some((Self(self.0, true), 100))
    }
}

struct Noted {
    agent: Agent<Note>,
    now: u64,
    asked: u64,
    closed: Vec<u8>,
    /// Invocations that went well and that failed, as counted.
    counted: Vec<(&'static str, i64)>,
}

impl Noted {
    fn new() -> Self {
        let config = Config { flush: FlushMode::End, measuring: Measuring::OFF, ..Config::default() };
        let mut noted =
            Self { agent: Agent::new(config), now: 0, asked: 0, closed: Vec::new(), counted: Vec::new() };
        noted.hear(Input::Ready);
        noted
    }

    fn hear(&mut self, input: Input<Note>) {
        let mut inputs = std::collections::VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            self.agent.handle(Instant::from_nanos(self.now), input);
            while let Some(output) = self.agent.poll() {
                match output {
                    Output::Export { id, entries, .. } => {
                        for entry in entries.iter() {
                            if let policy::Content::Received(Note(number, true)) = &entry.content {
                                self.closed.push(*number);
                            }
                            if let policy::Content::Measured(measured) = &entry.content {
                                for point in &measured.points {
                                    let is_it = [policy::Metric::Errors, policy::Metric::Invocations];
                                    if let (true, policy::Reading::Int(value)) =
                                        (is_it.contains(&point.metric), &point.reading)
                                    {
                                        self.counted.push((point.metric.definition().name, *value));
                                    }
                                }
                            }
                        }
                        let outcome = Outcome::Delivered { rejected: 0 };
                        inputs.push_back(Input::Exported { id, outcome, raw_bytes: 1, sent_bytes: 1 });
                    }
                    Output::Next => self.asked += 1,
                    Output::Close => inputs.push_back(Input::Closed),
                    _ => {}
                }
            }
        }
    }

    fn pass(&mut self, ms: u64) {
        let end = self.now + ms * MS;
        while let Some(due) = self.agent.deadline().map(|due| due.as_nanos()).filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.hear(Input::Tick);
        }
        self.now = end;
    }

    fn invoke(&mut self, number: u64) {
        self.now += MS;
        self.hear(Input::Invoke(policy::Invoke {
            request_id: format!("n-{number}").as_str().into(),
            deadline: Instant::from_nanos(self.now) + Duration::from_secs(60),
            deadline_at: UnixNanos(self.now + 60_000 * MS),
            received_at: UnixNanos(self.now),
            arn: "".into(),
            xray: None,
            waited: Duration::from_millis(1),
        }));
    }

    fn done(&mut self, number: u64, status: EndStatus, class: Option<&str>) {
        self.hear(Input::Platform(PlatformEvent::RuntimeDone {
            request_id: format!("n-{number}").as_str().into(),
            at: UnixNanos(self.now),
            ending: Ending { status, error_type: class.map(Into::into) },
            duration: None,
            produced_bytes: None,
            response: policy::Response::default(),
        }));
    }

    fn announce(&mut self, number: u8) {
        let span = Span {
            start: UnixNanos(self.now),
            ..crate::made::span([number; 8], None, 100, Note(number, false))
        };
        self.hear(Input::Announced(vec![span]));
    }
}

/// The end of a retry counts, also where it is read before its INVOKE.
#[test]
fn the_end_of_a_retry_that_is_read_before_its_invoke_is_counted() {
    let mut told = Vec::new();
    for second in [2, 1] {
        let mut story = Noted::new();
        story.agent = Agent::new(Config { flush: FlushMode::End, ..Config::default() });
        story.hear(Input::Ready);
        story.invoke(1);
        story.pass(5);
        story.done(1, EndStatus::Success, None);
        story.now += 60_000 * MS;
        story.done(second, EndStatus::Error, Some("Boom"));
        story.invoke(second);
        story.pass(60_000);
        story.hear(Input::Shutdown(policy::Shutdown {
            reason: ShutdownReason::Spindown,
            deadline: Instant::from_nanos(story.now) + Duration::from_secs(2),
            received_at: UnixNanos(story.now),
            waited: Duration::ZERO,
        }));
        story.pass(300);
        told.push(story.counted);
    }
    assert_eq!(told[0], told[1], "another invocation, and a retry");
}

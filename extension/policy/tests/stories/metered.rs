//! What an environment measures of itself, from the outside: every point that leaves, as text.

use policy::{
    Agent, BatchId, Bounds, Config, Content, Duration, EndStatus, Ending, FlushMode, Input, Instant, Invoke,
    Kind, LaneId, Ledger, Measured, Measuring, Notice, Outcome, Output, Parcel, PlatformEvent, Point,
    Reading, Receipt, RequestLimit, Response, Shutdown, ShutdownReason, Signal, Span, Subscription,
    UnixNanos, Usage,
};

use crate::made;
use crate::story::MS;

mod ends;
mod held;

/// An environment with metrics on, whose backend answers when it is told to.
struct Metered {
    agent: Agent<()>,
    now: u64,
    flying: Vec<(BatchId, Signal)>,
    /// What left as lines, and in pieces to the backend.
    measured: Vec<Measured>,
    pieces: Vec<usize>,
    said: Vec<Notice>,
}

const DELIVERED: Outcome = Outcome::Delivered { rejected: 0 };

impl Metered {
    fn new(config: Config) -> Self {
        let measuring = Measuring { emf: true, ..Measuring::DEFAULT };
        let agent = Agent::new(Config { flush: FlushMode::End, measuring, ..config });
        let (flying, measured, pieces, said) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut metered = Self { agent, now: 0, flying, measured, pieces, said };
        metered.hear(Input::Ready);
        metered
    }

    fn hear(&mut self, input: Input<()>) {
        self.agent.handle(Instant::from_nanos(self.now * MS), input);
        while let Some(output) = self.agent.poll() {
            match output {
                Output::Export { id, lane, entries, .. } => {
                    for entry in entries.iter() {
                        if let Content::Measured(piece) = &entry.content {
                            self.pieces.push(piece.points.len());
                        }
                    }
                    self.flying.push((id, lane.signal));
                }
                Output::Cancel(id) => self.flying.retain(|(other, _)| *other != id),
                Output::Measured(measured) => self.measured.push((*measured).clone()),
                Output::Say(notice) => self.said.push(notice),
                Output::Close => return self.hear(Input::Closed),
                _ => {}
            }
        }
    }

    fn pass(&mut self, ms: u64) {
        let end = self.now + ms;
        while let Some(due) = self.agent.deadline().map(|due| due.as_nanos()).filter(|due| *due <= end * MS) {
            self.now = self.now.max(due.div_ceil(MS));
            self.hear(Input::Tick);
        }
        self.now = end;
    }

    fn invoke(&mut self, request_id: &str) {
        self.invoke_after(request_id, 1);
    }

    /// INVOKE after a wait of so many milliseconds, which has passed.
    fn invoke_after(&mut self, request_id: &str, waited: u64) {
        self.hear(Input::Invoke(Invoke {
            request_id: request_id.into(),
            deadline: Instant::from_nanos((self.now + 60_000) * MS),
            deadline_at: UnixNanos((self.now + 60_000) * MS),
            received_at: UnixNanos(self.now * MS),
            arn: "".into(),
            xray: None,
            waited: Duration::from_millis(waited),
        }));
    }

    /// The function's own span of `request_id`, which ends now, and so many points of the function's.
    fn send(&mut self, id: u8, request_id: &str, points: u32) {
        let span = Span {
            kind: Kind::Server,
            start: UnixNanos((self.now - 5) * MS),
            end: UnixNanos(self.now * MS),
            ..made::span([id; 8], Some(request_id), 100, ())
        };
        let parcel = Parcel { signal: Signal::Metrics, count: points, size: 50, body: () };
        let parcels = if points > 0 { vec![parcel] } else { Vec::new() };
        self.hear(Input::Receiving);
        self.hear(Input::Received(Receipt { spans: vec![span], parcels }));
    }

    /// The backend answers the oldest request of `signal` so.
    fn answer(&mut self, signal: Signal, outcome: Outcome) {
        let index = self.flying.iter().position(|(_, other)| *other == signal).expect("it is under way");
        let (id, _) = self.flying.remove(index);
        self.hear(Input::Exported { id, outcome, raw_bytes: 1_000, sent_bytes: 250 });
    }

    fn answer_all(&mut self) {
        while let Some((_, signal)) = self.flying.first().copied() {
            self.answer(signal, DELIVERED);
        }
    }

    fn end(&mut self) {
        let (deadline, received_at) =
            (Instant::from_nanos((self.now + 2_000) * MS), UnixNanos(self.now * MS));
        let (reason, waited) = (ShutdownReason::Spindown, Duration::ZERO);
        self.hear(Input::Shutdown(Shutdown { reason, deadline, received_at, waited }));
        for _ in 0..20 {
            self.answer_all();
            self.pass(50);
        }
    }
}

fn line(point: &Point) -> String {
    let labels: Vec<_> = point.attributes.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let reading = match &point.reading {
        Reading::Int(int) => format!("{int}"),
        Reading::Double(double) => format!("{double:.9}"),
        Reading::Histogram(of) => format!("{} values, {:.6} in all", of.count, of.sum),
    };
    format!("{} [{}] {reading}", point.metric.definition().name, labels.join(", "))
}

/// Without what costs: those are fractions of a cent, and have tests of their own.
fn told(measured: &Measured) -> String {
    let lines = measured.points.iter().map(line).filter(|line| !line.starts_with("prefreeze.cost."));
    lines.fold(format!("{} to {} ms\n", measured.start.0 / MS, measured.at.0 / MS), |text, line| {
        text + &line + "\n"
    })
}

fn done(request_id: &str, ms: u64) -> Input<()> {
    Input::Platform(PlatformEvent::RuntimeDone {
        request_id: request_id.into(),
        at: UnixNanos(ms * MS),
        ending: Ending::SUCCESS,
        duration: Some(Duration::from_millis(5)),
        produced_bytes: Some(7),
        response: Response::default(),
    })
}

fn report(request_id: &str, ms: u64) -> Input<()> {
    Input::Platform(PlatformEvent::Report {
        request_id: request_id.into(),
        at: UnixNanos(ms * MS),
        ending: Ending { status: EndStatus::Success, error_type: None },
        duration: Some(Duration::from_millis(65)),
        usage: Usage { billed: Some(Duration::from_millis(66)), ..Usage::default() },
    })
}

#[test]
fn the_points_of_a_short_life() {
    let mut life = Metered::new(Config::default());
    life.now = 1_000;
    life.invoke("r-1");
    life.now += 10;
    life.send(1, "r-1", 3);
    assert_eq!(
        life.flying.iter().map(|(_, signal)| *signal).collect::<Vec<_>>(),
        [Signal::Traces, Signal::Metrics]
    );
    life.pass(20);
    life.answer(Signal::Traces, Outcome::Delivered { rejected: 1 });
    life.pass(10);
    // No invocation is held for metrics: they are sent again with the next one.
    life.answer(Signal::Metrics, Outcome::Retry { after: None });
    life.hear(done("r-1", 1_010));
    // A minute later points are due, and leave with the flush.
    life.now = 62_000;
    life.invoke("r-2");
    life.hear(report("r-1", 1_140));
    life.now += 10;
    life.send(2, "r-2", 0);
    assert_eq!(life.measured.len(), 1);
    life.pass(5);
    life.answer(Signal::Traces, Outcome::Rejected { status: 400 });
    life.answer_all();
    life.hear(done("r-2", 62_010));
    life.end();
    let ledger = life.agent.ledger();
    let Ledger {
        invocations, exports, resent, raw_bytes, sent_bytes, held, flush, billed, billed_own, ..
    } = ledger;
    let mut books = format!(
        "{invocations} invocations, {exports} exports, {resent} resent, {sent_bytes} of {raw_bytes} bytes\n"
    );
    books += &format!(
        "held {held:?}, of that {flush:?} in flushes; billed {billed:?}, of that {billed_own:?} ours\n"
    );
    for counts in [ledger.spans, ledger.metrics, ledger.logs] {
        books += &format!("{counts:?}\n");
    }
    for notice in life.said.iter().filter(|notice| !matches!(notice, Notice::Summary(_))) {
        books += &format!("{notice:?}\n");
    }
    let text: Vec<_> = life.measured.iter().map(told).chain([books]).collect();
    let text = text.join("\n");
    assert_eq!(text, include_str!("metered.txt"), "what is left is what it says now");
}

#[test]
fn a_backend_that_knows_no_metrics_is_asked_once_and_that_is_no_fault() {
    for (status, is_without) in [(404, true), (405, true), (501, true), (400, false), (500, false)] {
        let mut life = Metered::new(Config::default());
        for n in 1..=3 {
            life.now += 61_000;
            let request_id = format!("r-{n}");
            life.invoke(&request_id);
            life.now += 10;
            life.send(n, &request_id, 0);
            while let Some((_, signal)) = life.flying.first().copied() {
                let refused = Outcome::Rejected { status };
                life.answer(signal, if signal == Signal::Metrics { refused } else { DELIVERED });
            }
        }
        assert_eq!(life.said.contains(&Notice::NoMetrics(status)), is_without, "{status}");
        let refused = Notice::Rejected { lane: LaneId::of(Signal::Metrics), status };
        let lines = life.said.iter().filter(|notice| **notice == refused).count();
        assert_eq!(lines, usize::from(!is_without), "{status}: once");
        let sent = life.pieces.len();
        assert_eq!(sent, if is_without { 1 } else { 2 }, "{status}");
        assert_eq!(life.measured.len(), 2, "lines are written all the same");
    }
    // The function's own points are refused as any others.
    let mut life = Metered::new(Config::default());
    life.now = 1_000;
    life.invoke("r-1");
    life.now += 10;
    life.send(1, "r-1", 3);
    life.answer(Signal::Metrics, Outcome::Rejected { status: 404 });
    assert!(life.said.contains(&Notice::Rejected { lane: LaneId::of(Signal::Metrics), status: 404 }));
}

#[test]
fn points_leave_in_pieces_that_fit_into_little_memory_and_that_the_backend_takes() {
    let none = RequestLimit::NONE;
    for (held_bytes, limit, most) in [
        (32 << 20, none, 256),
        (4 * 300 * 5 + 4, none, 5),
        (1_000, none, 1),
        (32 << 20, RequestLimit { items: 7, ..none }, 7),
        (32 << 20, RequestLimit { bytes: 300 * 6 + 299, ..none }, 6),
        (32 << 20, RequestLimit { bytes: 10, ..none }, 1),
    ] {
        let bounds = Bounds { held_bytes, ..Config::default().bounds };
        let request_limits =
            [RequestLimit { bytes: 1, items: 1, ..none }, limit, RequestLimit { bytes: 1, items: 1, ..none }];
        let mut life = Metered::new(Config { bounds, request_limits, ..Config::default() });
        life.now = 1_000;
        life.invoke("r-1");
        life.now += 10;
        life.send(1, "r-1", 0);
        life.answer_all();
        life.end();
        let points: usize = life.measured.iter().map(|measured| measured.points.len()).sum();
        assert!(points > 20);
        let largest = life.pieces.iter().max().copied().unwrap_or_default();
        assert_eq!(largest, most.min(points), "{held_bytes} {limit:?}: {:?}", life.pieces);
    }
}

#[test]
fn nothing_is_said_of_a_backend_that_is_well() {
    let mut life = Metered::new(Config::default());
    for n in 1..=3 {
        life.now += 1_000;
        let request_id = format!("r-{n}");
        life.invoke(&request_id);
        life.now += 10;
        life.send(n, &request_id, 2);
        life.answer_all();
    }
    life.end();
    assert!(matches!(life.said[..], [Notice::Summary(_)]), "{:?}", life.said);
}

/// What the platform measures is a number in a text, and may be any.
#[test]
fn measurements_beyond_reason_stop_nothing() {
    let mut life = Metered::new(Config::default());
    let longest = Duration::from_secs(u64::MAX / 2 + 1);
    for request_id in ["r-1", "r-2", "r-3"] {
        life.now += 1_000;
        life.invoke(request_id);
        life.now += 10;
        let at = UnixNanos(life.now * MS);
        life.hear(Input::Platform(PlatformEvent::RuntimeDone {
            request_id: request_id.into(),
            at,
            ending: Ending::SUCCESS,
            duration: Some(longest),
            produced_bytes: Some(u64::MAX),
            response: Response { latency: Some(longest), duration: Some(longest) },
        }));
        life.hear(Input::Platform(PlatformEvent::Report {
            request_id: request_id.into(),
            at,
            ending: Ending::SUCCESS,
            duration: Some(longest),
            usage: Usage {
                billed: Some(longest),
                init: Some(longest),
                restore: Some(longest),
                ..Usage::default()
            },
        }));
        life.answer_all();
    }
    // Without the platform's events, the end of the next one is waited for in line with what is known.
    life.hear(Input::Subscribed(Subscription::Refused));
    life.now += 1_000;
    life.invoke("r-4");
    life.end();
    assert_eq!(life.agent.ledger().invocations, 4);
}

/// The lines of this metric, without when.
fn lines_of(life: &Metered, metric: &str) -> Vec<String> {
    let text: String = life.measured.iter().map(told).collect();
    text.lines().filter(|line| line.starts_with(metric)).map(Into::into).collect()
}

#[test]
fn the_span_that_is_made_for_a_silent_function_is_in_the_metrics_of_spans() {
    let mut life = Metered::new(Config::default());
    life.now = 1_000;
    life.invoke("r-1");
    life.now += 10;
    life.hear(done("r-1", 1_010));
    life.end();
    let lines = lines_of(&life, "traces.span.metrics.calls");
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("SPAN_KIND_SERVER") && lines[0].ends_with(" 1"), "{lines:?}");
}

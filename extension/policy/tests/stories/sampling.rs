//! What is kept and what is left out, told as stories of one environment; and that counts can be made up again.

use std::collections::BTreeMap;

use policy::sampling::trace_state::{self, ThresholdEdit};
use policy::sampling::{
    Action, Condition, Decision, LooksAt, Pattern, Randomness, Ratio, Rule, Sampling, Slow, Threshold,
};
use policy::{
    Agent, Body, Bounds, Config, Duration, EndStatus, Ending, Entry, Fact, FlushMode, Input, Instant, Invoke,
    Kind, Outcome, Output, PlatformEvent, Receipt, Rng, Shutdown, ShutdownReason, Signal, Span, SpanId,
    TraceId, UnixNanos,
};

mod endings;
mod reasons;

/// A body with the facts that a test gave it.
#[derive(Clone, Debug, Default)]
struct Told {
    name: &'static str,
    attributes: Vec<(&'static str, Fact<'static>)>,
    trace_state: String,
    /// Which span it is, for the test.
    number: u64,
}

impl Body for Told {
    fn name(&self) -> &str {
        self.name
    }

    fn attribute(&self, key: &str) -> Option<Fact<'_>> {
        self.attributes.iter().find(|(known, _)| *known == key).map(|(_, fact)| *fact)
    }

    fn trace_state(&self) -> &str {
        &self.trace_state
    }
}

const MS: u64 = 1_000_000;

/// A trace id whose randomness is this share of the whole: 0.0 is in no sample but the whole, 0.99 in most.
fn trace(share: f64) -> TraceId {
    let mut bytes = [7; 16];
    bytes[8..].copy_from_slice(&((share * 72_057_594_037_927_935.0) as u64).to_be_bytes());
    TraceId::new(bytes).expect("it begins with sevens")
}

fn span(trace_id: TraceId, number: u64) -> Span<Told> {
    Span {
        trace_id,
        span_id: SpanId::new((number + 1).to_be_bytes()).expect("not zero"),
        parent: None,
        parent_is_remote: None,
        kind: Kind::Internal,
        start: UnixNanos(1_000 * MS),
        end: UnixNanos(1_010 * MS),
        is_error: false,
        request_id: None,
        size: 100,
        body: Told { number, ..Told::default() },
    }
}

/// An environment, what it has exported, and where its clock is.
struct Story {
    agent: Agent<Told>,
    now: u64,
    number: u64,
    invocations: u64,
    /// When INVOKE is received, in milliseconds: spans begin later, if nothing else is said.
    received_ms: u64,
    exported: Vec<Entry<Told>>,
}

impl Story {
    fn with(sampling: Sampling) -> Self {
        Self::of(Config { sampling, flush: FlushMode::End, ..Config::default() })
    }

    fn of(config: Config) -> Self {
        let (agent, exported) = (Agent::new(config), Vec::new());
        let mut story = Self { agent, now: 0, number: 0, invocations: 0, received_ms: 900, exported };
        story.hear(Input::Ready);
        story
    }

    fn hear(&mut self, input: Input<Told>) {
        self.agent.handle(Instant::from_nanos(self.now), input);
        self.drain();
    }

    /// The backend takes everything at once.
    fn drain(&mut self) {
        while let Some(output) = self.agent.poll() {
            if let Output::Export { id, entries, .. } = output {
                self.exported.extend(entries.iter().filter(|entry| entry.signal == Signal::Traces).cloned());
                let delivered = Outcome::Delivered { rejected: 0 };
                let landed = Input::Exported { id, outcome: delivered, raw_bytes: 0, sent_bytes: 0 };
                self.agent.handle(Instant::from_nanos(self.now), landed);
            }
        }
        let spans = self.agent.ledger().of(Signal::Traces);
        assert_eq!(spans.held(), self.agent.held_items(Signal::Traces), "{spans:?}");
    }

    fn request_id(&self) -> policy::RequestId {
        format!("request-{}", self.invocations).as_str().into()
    }

    fn invoke(&mut self) {
        self.now += 100 * MS;
        self.invocations += 1;
        let invoke = Invoke {
            request_id: self.request_id(),
            deadline: Instant::from_nanos(self.now) + Duration::from_secs(60),
            deadline_at: UnixNanos(61_000 * MS),
            received_at: UnixNanos(self.received_ms * MS),
            arn: "".into(),
            xray: None,
            waited: Duration::from_millis(100),
        };
        self.hear(Input::Invoke(invoke));
    }

    fn receive(&mut self, spans: Vec<Span<Told>>) {
        self.hear(Input::Receiving);
        self.hear(Input::Received(Receipt { spans, parcels: Vec::new() }));
    }

    /// A new span of this trace.
    fn span(&mut self, trace_id: TraceId) -> Span<Told> {
        self.number += 1;
        span(trace_id, self.number)
    }

    /// The SERVER span of the running invocation.
    fn entry(&mut self, trace_id: TraceId) -> Span<Told> {
        Span { kind: Kind::Server, request_id: Some(self.request_id()), ..self.span(trace_id) }
    }

    /// An invocation of one SERVER span.
    fn invocation(&mut self, trace_id: TraceId, shape: impl FnOnce(&mut Span<Told>)) -> u64 {
        self.invoke();
        let mut entry = self.entry(trace_id);
        shape(&mut entry);
        let number = entry.body.number;
        self.receive(vec![entry]);
        number
    }

    fn runtime_done(&mut self, status: EndStatus, class: Option<&str>) {
        let ending = Ending { status, error_type: class.map(Into::into) };
        let done = PlatformEvent::RuntimeDone {
            request_id: self.request_id(),
            at: UnixNanos(1_020 * MS),
            ending,
            duration: Some(Duration::from_millis(20)),
            produced_bytes: None,
            response: policy::Response::default(),
        };
        self.hear(Input::Platform(done));
    }

    fn shut_down(&mut self, reason: ShutdownReason) {
        self.now += 100 * MS;
        let deadline = Instant::from_nanos(self.now) + Duration::from_secs(2);
        let shutdown =
            Shutdown { reason, deadline, received_at: UnixNanos(2_000 * MS), waited: Duration::ZERO };
        self.hear(Input::Shutdown(shutdown));
        while let Some(due) = self.agent.deadline() {
            self.now = due.as_nanos();
            self.hear(Input::Tick);
        }
    }

    /// Numbers of the received spans that the backend has.
    fn numbers(&self) -> Vec<u64> {
        let received = self.exported.iter().filter_map(|entry| match &entry.content {
            policy::Content::Received(body) => Some(body.number),
            _ => None,
        });
        received.collect()
    }

    fn exported(&self, number: u64) -> &Entry<Told> {
        let is_it = |entry: &&Entry<Told>| matches!(&entry.content, policy::Content::Received(body) if body.number == number);
        self.exported.iter().find(is_it).unwrap_or_else(|| panic!("span {number} was not exported"))
    }

    fn reason(&self, number: u64) -> Option<Decision> {
        self.exported(number).stamp.as_ref().and_then(|stamp| stamp.reason)
    }

    fn decided(&self, decision: Decision) -> u64 {
        self.agent.ledger().decided(decision)
    }
}

fn share(share: f64) -> Ratio {
    Ratio::new(share).expect("a share")
}

/// Nothing but probability and failures.
fn plain(ratio: f64) -> Sampling {
    Sampling {
        ratio: share(ratio),
        keeps_cold_starts: false,
        slow: Slow::Never,
        keeps_rare: false,
        ..Sampling::default()
    }
}

fn rule(then: Action, when: Vec<Condition>) -> Rule {
    Rule { name: "test".into(), when, looks_at: LooksAt::Entry, then, even_failures: false }
}

#[test]
fn where_everything_is_kept_spans_leave_as_they_came_and_early() {
    let mut story = Story::of(Config {
        bounds: Bounds { batch_items: 10, ..Config::default().bounds },
        ..Config::default()
    });
    story.invoke();
    let spans = (0..10).map(|_| story.span(trace(0.0))).collect();
    story.receive(spans);
    assert_eq!(story.exported.len(), 10, "a full batch leaves beside the handler");
    assert!(story.exported.iter().all(|entry| entry.stamp.is_none()));
    assert_eq!(story.agent.ledger().decisions, [0; Decision::ALL.len()]);
}

#[test]
fn probability_decides_by_the_trace_alone_and_is_written_down() {
    let mut story = Story::with(plain(0.25));
    let rows = [(0.0, false), (0.74, false), (0.7501, true), (0.999, true)];
    for (share, is_kept) in rows {
        let number = story.invocation(trace(share), |_| {});
        assert_eq!(story.numbers().contains(&number), is_kept, "{share}");
        if is_kept {
            let stamp = story.exported(number).stamp.as_deref().expect("it stands for others");
            let threshold = Threshold::from_hex("c").expect("a threshold");
            assert_eq!((stamp.threshold, stamp.reason), (ThresholdEdit::Write(threshold), None));
        }
    }
    story.shut_down(ShutdownReason::Spindown);
    assert_eq!((story.decided(Decision::Ratio), story.decided(Decision::Unsampled)), (2, 2));
    assert_eq!(story.agent.ledger().spans.sampled_out, 2);
}

#[test]
fn a_failure_is_kept_whole_says_why_and_stands_for_nobody_else() {
    let mut story = Story::with(plain(0.01));
    story.invoke();
    let mut child = story.span(trace(0.0));
    child.is_error = true;
    child.body.trace_state = "ot=th:8,x=1".into();
    let entry = story.entry(trace(0.0));
    let (child_number, entry_number) = (child.body.number, entry.body.number);
    child.parent = Some(entry.span_id);
    story.receive(vec![child, entry]);
    assert_eq!(story.reason(entry_number), Some(Decision::Error), "on the local root");
    let child = story.exported(child_number).stamp.as_deref().expect("its threshold is not true any more");
    assert_eq!((child.threshold, child.reason), (ThresholdEdit::Erase, None));
    // One that probability would have kept anyway is one of the sample.
    let lucky = story.invocation(trace(0.999), |entry| entry.is_error = true);
    assert_eq!(story.reason(lucky), None);
    assert_eq!(story.decided(Decision::Error), 2);
}

#[test]
fn when_room_runs_out_the_unsampled_go_first_and_failures_last() {
    let bounds = Bounds { held_bytes: 40_000, spooled_bytes: 0, ..Config::default().bounds };
    let mut story = Story::of(Config { sampling: plain(0.5), bounds, ..Config::default() });
    story.invoke();
    for n in 0..1_000_u64 {
        let mut span = story.span(trace(n as f64 / 1_000.0));
        span.is_error = n % 100 == 0;
        story.receive(vec![span]);
        assert!(story.agent.held_bytes() <= 40_000);
    }
    story.runtime_done(EndStatus::Success, None);
    story.shut_down(ShutdownReason::Spindown);
    let failed = (1..=1_000).filter(|number| (number - 1) % 100 == 0);
    let numbers = story.numbers();
    for number in failed {
        assert!(numbers.contains(&number), "the failure {number} is lost");
    }
    assert!(story.agent.ledger().spans.dropped_for(policy::DropReason::OutboxFull) > 0);
}

#[test]
fn what_a_killed_process_left_is_kept() {
    let mut story = Story::with(plain(0.01));
    let spans = vec![story.span(trace(0.0)), story.span(trace(0.0))];
    story.hear(Input::Recovered {
        seed: 0,
        earlier: Receipt::EMPTY,
        invoke: None,
        receipt: Receipt { spans, parcels: Vec::new() },
        announced: Vec::new(),
    });
    story.invoke();
    story.runtime_done(EndStatus::Success, None);
    assert_eq!(story.numbers().len(), 2);
    assert_eq!(story.decided(Decision::Recovered), 1);
}

/// Totals made up again from what was kept: each of the sample stands for so many, and nothing else counts.
///
/// The bound: of a population of `n` at a share of `p`, the estimate has the standard deviation
/// `sqrt(n * (1 - p) / p)`; five of them are exceeded once in two million times, and the seed is fixed.
#[test]
fn totals_are_made_up_again_without_bias() {
    let rules = vec![
        rule(Action::Ratio(share(0.2)), vec![Condition::Name(Pattern::new("list"))]),
        rule(Action::Keep, vec![Condition::Name(Pattern::new("audit"))]),
    ];
    let mut story = Story::with(Sampling { rules, ..plain(0.05) });
    let mut rng = Rng::new(2_026);
    let mut sent = BTreeMap::<&str, u64>::new();
    for n in 0..20_000_u64 {
        let name = ["pay", "pay", "list", "audit"][rng.below(4) as usize];
        *sent.entry(name).or_default() += 1;
        let at = rng.below(1 << 53) as f64 / (1_u64 << 53) as f64;
        let presampled = rng.below(3) == 0;
        let id = trace(at);
        // Some SDKs have sampled before, half of what they saw: what they left out never reaches us.
        let half = Threshold::of(share(0.5));
        if presampled && !half.admits(Randomness::of_trace(&id)) {
            continue;
        }
        story.invocation(id, |entry| {
            entry.body.name = name;
            entry.is_error = n % 50 == 0;
            entry.body.trace_state = if presampled { "ot=th:8".into() } else { String::new() };
        });
    }
    story.shut_down(ShutdownReason::Spindown);
    for (name, ratio) in [("pay", 0.05), ("list", 0.2), ("audit", 0.05)] {
        let mut estimate = 0.0;
        for entry in &story.exported {
            let policy::Content::Received(body) = &entry.content else { continue };
            let edit = entry.stamp.as_deref().map_or(ThresholdEdit::Leave, |stamp| stamp.threshold);
            let state =
                trace_state::rewrite(&body.trace_state, edit).unwrap_or_else(|| body.trace_state.clone());
            if let (true, trace_state::Sampled::By(threshold)) =
                (body.name == name, trace_state::read(&state).sampled)
            {
                estimate += 1.0 / threshold.share();
            }
        }
        let population = sent[name] as f64;
        let bound = 5.0 * (population * (1.0 - ratio) / ratio).sqrt();
        let error = (estimate - population).abs();
        assert!(error < bound, "{name}: {estimate} made up of {population}, {error} off, {bound} allowed");
    }
}

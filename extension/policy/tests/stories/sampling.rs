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
fn a_crash_after_the_last_span_brings_the_trace_back() {
    for (status, class, decision) in [
        (EndStatus::Timeout, None, Decision::Timeout),
        (EndStatus::Error, Some("Runtime.ExitError"), Decision::Crash),
        (EndStatus::Error, Some("TypeError"), Decision::Error),
    ] {
        let mut story = Story::with(plain(0.01));
        let number = story.invocation(trace(0.0), |_| {});
        assert!(story.numbers().is_empty(), "nothing speaks for it yet");
        story.invoke();
        story.invocations -= 1;
        story.runtime_done(status, class);
        story.invocations += 1;
        story.runtime_done(EndStatus::Success, None);
        assert_eq!((story.numbers(), story.reason(number)), (vec![number], Some(decision)), "{status:?}");
    }
}

#[test]
fn a_good_end_or_two_more_invocations_let_it_go() {
    let mut story = Story::with(plain(0.01));
    story.invocation(trace(0.0), |_| {});
    assert_eq!((story.agent.held_items(Signal::Traces), story.agent.ledger().spans.sampled_out), (1, 0));
    story.runtime_done(EndStatus::Success, None);
    assert_eq!((story.agent.held_items(Signal::Traces), story.agent.ledger().spans.sampled_out), (0, 1));
    (1..4).for_each(|number| {
        story.now += 1_000 * MS;
        story.invocation(trace(f64::from(number) / 1_000.0), |_| {});
    });
    assert!(story.agent.held_items(Signal::Traces) <= 2, "the platform never told of their ends");
    story.shut_down(ShutdownReason::Spindown);
    let books = story.agent.ledger();
    assert_eq!((books.spans.sampled_out, books.sampled_out_bytes), (4, 400));
}

#[test]
fn what_the_function_says_it_is_done_with_is_judged_at_once() {
    let mut story = Story::with(plain(0.5));
    story.invoke();
    let inner = story.span(trace(0.9));
    let number = inner.body.number;
    story.receive(vec![inner]);
    assert!(story.numbers().is_empty(), "more may come of it");
    story.hear(Input::Flush { request_id: Some(story.request_id()) });
    assert_eq!(story.numbers(), [number], "it leaves with this flush, and not with the next one");
}

/// INVOKE is read late, and the trace was left out in the invocation before, of which a span seems to end later yet.
#[test]
fn a_span_that_names_its_invocation_waits_for_the_end_of_that_one() {
    let mut story = Story::with(plain(0.01));
    story.invoke();
    let (mut long, entry) = (story.span(trace(0.0)), story.entry(trace(0.0)));
    long.end = UnixNanos(1_048 * MS);
    story.receive(vec![long, entry]);
    story.runtime_done(EndStatus::Success, None);
    assert_eq!(story.agent.ledger().spans.sampled_out, 2);
    story.received_ms = 1_050;
    story.invoke();
    let mut entry = story.entry(trace(0.0));
    (entry.start, entry.end) = (UnixNanos(1_045 * MS), UnixNanos(1_060 * MS));
    let number = entry.body.number;
    story.receive(vec![entry]);
    story.hear(Input::Platform(PlatformEvent::RuntimeDone {
        request_id: story.request_id(),
        at: UnixNanos(1_065 * MS),
        ending: Ending { status: EndStatus::Error, error_type: Some("Runtime.ExitError".into()) },
        duration: Some(Duration::from_millis(15)),
        produced_bytes: None,
        response: policy::Response::default(),
    }));
    story.shut_down(ShutdownReason::Spindown);
    assert_eq!((story.numbers(), story.reason(number)), (vec![number], Some(Decision::Crash)));
}

#[test]
fn the_last_invocation_before_a_timeout_is_kept_though_nobody_told_of_it() {
    let mut story = Story::with(plain(0.01));
    story.invoke();
    let inner = story.span(trace(0.0));
    let number = inner.body.number;
    story.receive(vec![inner]);
    // The deadline comes near, and the platform has said nothing: nothing can be judged yet.
    story.now += 59_600 * MS;
    story.hear(Input::Tick);
    assert!(story.numbers().is_empty());
    story.shut_down(ShutdownReason::Timeout);
    assert_eq!(story.numbers(), [number]);
    assert_eq!(story.decided(Decision::Timeout), 1);
}

/// Its own span had said that it was over, and only SHUTDOWN tells that its function died after it: all its traces are kept.
#[test]
fn the_traces_of_an_invocation_that_died_after_its_own_span_are_kept() {
    for (reason, kept) in [(ShutdownReason::Failure, 2), (ShutdownReason::Spindown, 0)] {
        let mut story = Story::with(plain(0.01));
        story.invoke();
        let spans = vec![story.span(trace(0.001)), story.entry(trace(0.0))];
        story.receive(spans);
        assert!(story.numbers().is_empty(), "nothing speaks for it yet");
        story.shut_down(reason);
        assert_eq!(story.numbers().len(), kept, "{reason:?}");
    }
}

#[test]
fn late_spans_follow_their_trace_and_a_late_failure_is_kept() {
    let mut story = Story::with(plain(0.25));
    for (share, is_kept) in [(0.0, false), (0.9, true)] {
        story.received_ms = 900;
        let number = story.invocation(trace(share), |_| {});
        story.runtime_done(EndStatus::Success, None);
        assert_eq!(story.numbers().contains(&number), is_kept);
        story.received_ms = 1_050;
        story.invoke();
        let late = story.span(trace(share));
        let late_number = late.body.number;
        story.receive(vec![late]);
        let mut failed = story.span(trace(share));
        failed.is_error = true;
        let failed_number = failed.body.number;
        story.receive(vec![failed]);
        story.runtime_done(EndStatus::Success, None);
        assert_eq!(story.numbers().contains(&late_number), is_kept, "{share}");
        assert!(story.numbers().contains(&failed_number), "{share}");
    }
}

#[test]
fn a_trace_that_comes_again_is_judged_again() {
    let mut story = Story::with(plain(0.01));
    story.invocation(trace(0.0), |_| {});
    story.runtime_done(EndStatus::Success, None);
    let again = story.invocation(trace(0.0), |entry| {
        (entry.start, entry.end) = (UnixNanos(2_000 * MS), UnixNanos(2_010 * MS));
        entry.is_error = true;
    });
    assert_eq!(story.numbers(), [again], "its failure is its own");
}

#[test]
fn the_first_thing_that_applies_settles_it() {
    let word = |key, fact| move |entry: &mut Span<Told>| entry.body.attributes.push((key, fact));
    let health = || Condition::Name(Pattern::new("health"));
    let drop = Rule { even_failures: false, ..rule(Action::Drop, vec![health()]) };
    let drop_all = Rule { even_failures: true, ..drop.clone() };
    let keep = rule(Action::Keep, vec![health()]);
    type Shape = Box<dyn Fn(&mut Span<Told>)>;
    let named = |more: Shape| -> Shape {
        Box::new(move |entry| {
            entry.body.name = "health";
            more(entry);
        })
    };
    let fails: fn(&mut Span<Told>) = |entry| entry.is_error = true;
    let rows: Vec<(&str, Option<Rule>, bool, Shape, Decision)> = vec![
        ("a cold start", None, true, Box::new(|_| {}), Decision::ColdStart),
        ("switched off", None, false, Box::new(|_| {}), Decision::Unsampled),
        ("a rule before a cold start", Some(drop.clone()), true, named(Box::new(|_| {})), Decision::RuleDrop),
        ("a failure before a rule", Some(drop.clone()), true, named(Box::new(fails)), Decision::Error),
        ("unless the rule says so", Some(drop_all), true, named(Box::new(fails)), Decision::RuleDrop),
        ("a rule that keeps", Some(keep.clone()), false, named(Box::new(|_| {})), Decision::Rule),
        ("and only what it is about", Some(keep.clone()), false, Box::new(|_| {}), Decision::Unsampled),
        (
            "the code before a rule",
            Some(drop),
            false,
            named(Box::new(word("sampling.keep", Fact::Flag(true)))),
            Decision::Forced,
        ),
        (
            "against a rule that keeps",
            Some(keep),
            true,
            named(Box::new(word("sampling.priority", Fact::Int(0)))),
            Decision::Unwanted,
        ),
        ("text", None, false, Box::new(word("sampling.keep", Fact::Text("true"))), Decision::Forced),
        ("a number", None, false, Box::new(word("sampling.priority", Fact::Double(1.0))), Decision::Forced),
        (
            "a failure before the code",
            None,
            false,
            Box::new(move |entry| {
                word("sampling.keep", Fact::Flag(false))(entry);
                entry.is_error = true;
            }),
            Decision::Error,
        ),
    ];
    for (why, rule, keeps_cold_starts, shape, decision) in rows {
        let mut story =
            Story::with(Sampling { rules: rule.into_iter().collect(), keeps_cold_starts, ..plain(0.01) });
        let number = story.invocation(trace(0.0), |entry| shape(entry));
        story.runtime_done(EndStatus::Success, None);
        assert_eq!(story.decided(decision), 1, "{why}: {:?}", story.agent.ledger().decisions);
        assert_eq!(story.numbers(), if decision.is_keep() { vec![number] } else { Vec::new() }, "{why}");
    }
}

#[test]
fn the_first_rule_that_matches_counts() {
    let name = |text| Condition::Name(Pattern::new(text));
    let rules = vec![
        rule(Action::Ratio(share(0.5)), vec![name("pay*"), Condition::Kind(Kind::Server)]),
        rule(Action::Drop, vec![name("*")]),
    ];
    let mut story = Story::with(Sampling { rules, ..plain(1.0) });
    for (name, at, is_kept) in
        [("pay card", 0.6, true), ("pay card", 0.4, false), ("list", 0.99, false), ("pay", 0.7, true)]
    {
        let number = story.invocation(trace(at), |entry| entry.body.name = name);
        assert_eq!(story.numbers().contains(&number), is_kept, "{name} {at}");
    }
}

#[test]
fn a_rule_that_counts_lets_so_many_pass_and_gives_no_share() {
    let rules = vec![rule(Action::PerSecond(2.0), Vec::new())];
    let mut story = Story::with(Sampling { rules, ..plain(1.0) });
    for n in 0..10 {
        // A tenth of a second apart.
        story.invocation(trace(0.999 - f64::from(n) / 1e4), |_| {});
    }
    story.shut_down(ShutdownReason::Spindown);
    assert_eq!((story.decided(Decision::Rule), story.decided(Decision::Limit)), (3, 7));
    assert!(
        story.exported.iter().all(|entry| {
            entry.stamp.as_deref().is_some_and(|stamp| stamp.reason == Some(Decision::Rule))
        })
    );
}

#[test]
fn what_the_sender_has_sampled_is_respected() {
    // (what came, the share kept here, the tracestate afterwards), for a trace of randomness 0.9.
    let rows = [
        ("ot=th:8", 0.25, Some("ot=th:c")),
        ("ot=th:c", 0.5, None),
        ("ot=th:fd70a", 0.25, Some("")),
        ("ot=th:zz", 0.25, Some("")),
        ("a=1", 0.25, Some("ot=th:c,a=1")),
    ];
    for (came, ratio, after) in rows {
        let mut story = Story::with(plain(ratio));
        let number = story.invocation(trace(0.9), |entry| entry.body.trace_state = came.into());
        let stamp = story.exported(number).stamp.as_deref();
        let rewritten = stamp.and_then(|stamp| trace_state::rewrite(came, stamp.threshold));
        assert_eq!(rewritten.as_deref(), after, "{came} at {ratio}");
    }
    // A trace that names its randomness is judged by it, whatever its id.
    let mut story = Story::with(plain(0.01));
    let number = story.invocation(trace(0.0), |entry| entry.body.trace_state = "ot=rv:ffffffffffffff".into());
    assert_eq!(story.numbers(), [number]);
}

#[test]
fn slow_is_what_lasts_longer_than_its_own_kind() {
    let took = |ms: u64| move |entry: &mut Span<Told>| entry.end = entry.start + Duration::from_millis(ms);
    let mut story = Story::with(Sampling { slow: Slow::Above(0.99), ..plain(0.01) });
    (0..200).for_each(|n| {
        story.invocation(trace(n as f64 / 1e4), took(10 + n % 5));
    });
    assert!(story.numbers().is_empty(), "{:?}", story.agent.ledger().decisions);
    let slow = story.invocation(trace(0.9), took(40));
    assert_eq!((story.numbers(), story.reason(slow)), (vec![slow], Some(Decision::Slow)));
    let mut story = Story::with(Sampling { slow: Slow::From(Duration::from_millis(30)), ..plain(0.01) });
    story.invocation(trace(0.0), took(29));
    let slow = story.invocation(trace(0.1), took(30));
    assert_eq!(story.numbers(), [slow]);
}

#[test]
fn rising_errors_raise_the_ratio_for_a_while() {
    let mut story = Story::with(Sampling { boost: Some(share(0.5)), ..plain(0.01) });
    let mut rng = Rng::new(5);
    let mut kept_of = |story: &mut Story, count: u64, fails_every: u64| {
        let before = story.decided(Decision::Boost) + story.decided(Decision::Ratio);
        for n in 0..count {
            let at = rng.below(1 << 53) as f64 / (1_u64 << 53) as f64;
            story.invocation(trace(at), |entry| entry.is_error = n % fails_every == 0);
        }
        story.decided(Decision::Boost) + story.decided(Decision::Ratio) - before
    };
    let calm = kept_of(&mut story, 500, 100);
    let risen = kept_of(&mut story, 200, 2);
    assert_eq!((story.agent.ledger().boosts, story.agent.ledger().boosts_ended), (1, 0));
    let falling = kept_of(&mut story, 200, 100);
    let after = kept_of(&mut story, 500, 100);
    assert!(calm < 15 && after < 15, "{calm} and {after} of 500 at 1 %");
    assert!((30..70).contains(&risen), "{risen} of 100 that did not fail, at 50 %");
    assert!((10..100).contains(&falling), "{falling}");
    assert_eq!((story.agent.ledger().boosts, story.agent.ledger().boosts_ended), (1, 1));
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

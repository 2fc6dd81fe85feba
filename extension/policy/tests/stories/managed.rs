//! On Managed Instances nothing freezes: what is cut leaves as soon as there is room for it, between two beats too.

use std::collections::VecDeque;

use policy::{
    Agent, BatchId, Bounds, Config, Duration, EndStatus, Ending, InitType, Input, Instant, Kind, Measuring,
    Outcome, Output, Place, PlatformEvent, Receipt, ShutdownReason, Span, SpanId, SpoolMode, TraceId,
    UnixNanos, Usage,
};

use crate::made;
use crate::story::{MS, Story, request_of, roots};

const SPANS: u64 = 12;

#[derive(Clone)]
struct Nothing;

impl policy::Body for Nothing {}

fn span(number: u64) -> Span<Nothing> {
    Span {
        trace_id: TraceId::new([1; 16]).expect("not zero"),
        span_id: SpanId::new((number + 1).to_be_bytes()).expect("not zero"),
        parent: None,
        parent_is_remote: None,
        kind: Kind::Client,
        start: UnixNanos(1),
        end: UnixNanos(2),
        is_error: false,
        request_id: None,
        size: 100,
        body: Nothing,
    }
}

#[test]
fn a_backlog_leaves_at_the_pace_of_the_backend() {
    let bounds = Bounds { batch_items: 1, in_flight: 2, ..Config::default().bounds };
    let config = Config { init_type: InitType::ManagedInstances, bounds, ..Config::default() };
    let mut agent: Agent<Nothing> = Agent::new(config);
    let mut now = Instant::from_nanos(0);
    let mut hear = |millis: u64, input| -> Vec<BatchId> {
        now = now + Duration::from_millis(millis);
        agent.handle(now, input);
        let outputs = std::iter::from_fn(|| agent.poll());
        outputs
            .filter_map(|output| if let Output::Export { id, .. } = output { Some(id) } else { None })
            .collect()
    };
    hear(0, Input::Ready);
    let receipt = Receipt { spans: (0..SPANS).map(span).collect(), parcels: Vec::new() };
    let mut flying = hear(0, Input::Received(receipt));
    flying.extend(hear(1_000, Input::Tick));
    let mut sent = flying.len() as u64;
    while let Some(id) = flying.pop() {
        let delivered =
            Input::Exported { id, outcome: Outcome::Delivered { rejected: 0 }, raw_bytes: 1, sent_bytes: 1 };
        let more = hear(5, delivered);
        sent += more.len() as u64;
        flying.extend(more);
    }
    assert_eq!(sent, SPANS, "within one beat of a second, with two requests at a time");
}

/// A record that is larger than memory is refused once, rests on disk, and no more traffic comes: it leaves all the same.
#[test]
fn what_rests_on_disk_is_woken_for() {
    let bounds = Bounds { held_bytes: 1_000, spooled_bytes: 1 << 20, ..Config::default().bounds };
    let init_type = InitType::ManagedInstances;
    let config = Config {
        init_type,
        bounds,
        spool: SpoolMode::Outage,
        measuring: Measuring::OFF,
        ..Config::default()
    };
    let mut agent: Agent<()> = Agent::new(config);
    let spans = vec![made::span([1; 8], None, 2_000, ())];
    let receipt = Receipt { spans, parcels: Vec::new() };
    let mut inputs = VecDeque::from([Input::Ready, Input::Receiving, Input::Received(receipt.clone())]);
    let (mut now, mut requests) = (Instant::default(), 0);
    for _ in 0..100 {
        let Some(input) = inputs.pop_front().or_else(|| {
            now = agent.deadline()?.max(now);
            Some(Input::Tick)
        }) else {
            break;
        };
        agent.handle(now, input);
        while let Some(output) = agent.poll() {
            match output {
                Output::Park { lane, .. } => {
                    inputs.push_back(Input::Parked { lane, place: Some(Place(requests)) });
                }
                Output::Unpark { lane, .. } => {
                    inputs.push_back(Input::Unparked { lane, receipt: receipt.clone() });
                }
                Output::Export { id, .. } => {
                    requests += 1;
                    let refused = Outcome::Retry { after: None };
                    let outcome = if requests == 1 { refused } else { Outcome::Delivered { rejected: 0 } };
                    inputs.push_back(Input::Exported { id, outcome, raw_bytes: 1, sent_bytes: 1 });
                }
                _ => {}
            }
        }
    }
    assert_eq!((agent.ledger().spans.delivered, agent.deadline()), (1, None));
}

/// `platform.start` is lost, or comes after the report, which is the end of the invocation all the same.
#[test]
fn an_invocation_whose_begin_was_never_told_has_its_root_and_its_end() {
    for is_late in [false, true] {
        let config = Config { expects_spans: false, ..Config::default() };
        let mut story = Story::new(Config { init_type: InitType::ManagedInstances, ..config });
        story.pass(100);
        for _ in 0..2 {
            // Told twice, it is one.
            story.tell_report("r-1", 60, Some(50), EndStatus::Error);
        }
        if is_late {
            story.tell_start("r-1", 8);
        }
        story.pass(20_000);
        story.answer();
        story.shut_down(ShutdownReason::Spindown);
        let roots = roots(&story);
        let told: Vec<_> = roots.iter().map(|root| (request_of(root), root.error_type.is_some())).collect();
        assert_eq!(told, [("r-1", true)], "late: {is_late}");
        assert_eq!((roots[0].start, roots[0].end), (UnixNanos(10 * MS), UnixNanos(60 * MS)));
        assert_eq!(story.agent.ledger().invocations, 1);
    }
}

/// A runtime dies with four invocations open. What the platform tells of that was made before SHUTDOWN, and comes after it: in
/// one batch or in two, wherever the border is between them.
#[test]
fn a_death_that_is_told_after_shutdown_is_told_truly() {
    let names = ["r-1", "r-2", "r-3", "r-4"];
    let (at, class) = (UnixNanos(60 * MS), Some("Runtime.ExitError"));
    let starts = names.map(|name| PlatformEvent::Start { request_id: name.into(), at: UnixNanos(10 * MS) });
    let deaths = names.map(|name| PlatformEvent::Report {
        request_id: name.into(),
        at,
        ending: Ending { status: EndStatus::Error, error_type: class.map(Into::into) },
        duration: Some(Duration::from_millis(50)),
        usage: Usage::default(),
    });
    let events: Vec<PlatformEvent> = starts.into_iter().chain(deaths).collect();
    for (before, first) in (0..=4).flat_map(|before| (before..=8).map(move |first| (before, first))) {
        let text = format!("{before} events before SHUTDOWN, then {} together", first - before);
        let mut story = Story::new(Config { init_type: InitType::ManagedInstances, ..Config::default() });
        let tell = |story: &mut Story, events: &[PlatformEvent]| {
            events.iter().for_each(|event| story.hear(Input::Platform(event.clone())));
        };
        // One that was there before, so that the environment is known to have had some.
        story.tell_start("r-0", 1);
        story.tell_report("r-0", 5, Some(4), EndStatus::Success);
        story.pass(60);
        // The span of one has ended, which is the end of it.
        let own = Span { request_id: Some("r-4".into()), ..story.span(4, 10, Kind::Server, None) };
        story.receive(vec![own]);
        tell(&mut story, &events[..before]);
        story.begin_shutdown(ShutdownReason::Failure);
        story.pass(20);
        story.answer();
        tell(&mut story, &events[before..first]);
        story.pass(20);
        story.answer();
        tell(&mut story, &events[first..]);
        story.pass(1_000);
        story.answer();
        let failed = story.spans.iter().filter(|span| span.error_type.is_some());
        let mut told: Vec<_> = failed.map(|span| (request_of(span), span.error_type.as_deref())).collect();
        told.sort_unstable();
        let unended = &names[..3];
        assert!(told.into_iter().eq(unended.iter().map(|name| (*name, class))), "{text}: {:?}", story.spans);
        assert!(story.has_exited, "{text}");
    }
}

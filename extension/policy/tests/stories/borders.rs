//! Which spans are of which invocation where nothing parts them: INVOKE is read late, ends are told late or never, clocks are
//! set, and requests overtake each other.

use crate::story::{MS, Story, on_demand, request_of, roots, trace};
use policy::{
    Config, Duration, EndStatus, FlushMode, Input, Instant, Invoke, Kind, Receipt, ShutdownReason, Span,
    UnixNanos,
};

/// A span of this trace, which began and ended at these times.
fn span(
    story: &Story,
    id: u8,
    in_trace: u8,
    (began, ended): (u64, u64),
    kind: Kind,
    parent: Option<u8>,
) -> Span<()> {
    let (start, end) = (UnixNanos(began * MS), UnixNanos(ended * MS));
    Span { trace_id: trace(in_trace), start, end, ..story.span(id, 0, kind, parent) }
}

/// The invocation whose spans tell nothing, with its own SERVER span, which names none, and one call inside it.
fn own(story: &Story, id: u8, (began, ended): (u64, u64)) -> Vec<Span<()>> {
    let call = span(story, id + 100, id, (began + 1, ended), Kind::Client, Some(id));
    vec![call, span(story, id, id, (began, ended), Kind::Server, None)]
}

/// The made roots, by the invocation that they name, with their parents and whether they are in a trace of the function's.
fn made(story: &Story) -> Vec<(String, bool, bool)> {
    let is_known = |span: &policy::PlatformSpan| (1..200).any(|number| span.trace_id == trace(number));
    let told =
        |span: &policy::PlatformSpan| (request_of(span).to_owned(), span.parent.is_some(), is_known(span));
    roots(story).into_iter().map(told).collect()
}

#[test]
fn a_guessed_end_is_no_border() {
    // The third INVOKE is read late, when its function has sent what it has; nobody told the end of the second, and the
    // latest span that could be of that is one of the third.
    for is_start_told in [false, true] {
        let mut story = on_demand();
        story.invoke_after(1_000);
        story.receive(own(&story, 1, (1_000, 1_005)));
        story.tell_done("r-1", 1_005, EndStatus::Success, None);
        story.answer();
        story.invoke_after(1_000);
        let second = story.now / MS;
        story.receive(own(&story, 2, (second, second + 5)));
        story.pass(59_600);
        story.answer();
        // What is told twice shows that ends are told.
        story.tell_done("r-1", 1_005, EndStatus::Success, None);
        let third = story.now / MS + 10;
        story.now = (third + 60) * MS;
        let inside = span(&story, 150, 3, (third + 71, third + 75), Kind::Client, Some(3));
        story.receive(own(&story, 3, (third + 1, third + 60)));
        story.invoke_after(10);
        story.pass(10);
        story.receive(vec![inside]);
        if is_start_told {
            story.tell_start("r-3", third);
        }
        story.tell_done("r-3", third + 80, EndStatus::Success, None);
        story.answer();
        story.shut_down(ShutdownReason::Spindown);
        assert_eq!(made(&story), [], "each has sent its own, start told: {is_start_told}");
    }
}

#[test]
fn a_report_bounds_which_spans_are_of_an_invocation() {
    // Of the first one only the report is told, and that when the second has sent its spans.
    let mut story = on_demand();
    story.invoke_after(1_000);
    story.receive(vec![span(&story, 101, 1, (1_000, 1_004), Kind::Client, Some(1))]);
    story.pass(59_600);
    story.answer();
    let ended = story.now / MS;
    story.now += 8 * MS;
    story.receive(own(&story, 2, (ended + 3, ended + 7)));
    story.tell_report("r-1", ended, Some(59_600), EndStatus::Success);
    story.invoke_after(2);
    story.pass(3);
    story.tell_done("r-2", ended + 8, EndStatus::Success, None);
    story.answer();
    story.shut_down(ShutdownReason::Spindown);
    assert_eq!(made(&story), [("r-1".to_owned(), true, true)], "the root of the second is not the first's");
}

#[test]
fn an_end_and_a_duration_tell_the_begin() {
    // The first invocation of an environment dies; its spans came before INVOKE was read, and `platform.start` is late.
    let mut story = on_demand();
    story.now = 1_080 * MS;
    story.receive(vec![span(&story, 101, 1, (1_010, 1_070), Kind::Client, Some(1))]);
    story.invoke_after(20);
    let ending = policy::Ending { status: EndStatus::Error, error_type: Some("Runtime.ExitError".into()) };
    story.hear(Input::Platform(policy::PlatformEvent::RuntimeDone {
        request_id: "r-1".into(),
        at: UnixNanos(1_090 * MS),
        ending,
        duration: Some(Duration::from_millis(90)),
        produced_bytes: None,
        response: policy::Response::default(),
    }));
    story.answer();
    story.shut_down(ShutdownReason::Failure);
    let root = roots(&story)[0];
    assert_eq!((root.trace_id, root.start.0 / MS, root.end.0 / MS), (trace(1), 1_000, 1_090));
}

#[test]
fn no_root_is_made_below_a_span_of_the_dead_function() {
    // An INTERNAL root came before INVOKE was read; what is inside it was announced after that, and never ended. Nobody told
    // the end of the one before, nor when this one began.
    let mut story = on_demand();
    story.invoke_after(1_000);
    story.pass(59_600);
    story.answer();
    let began = story.now / MS + 100;
    story.now = (began + 100) * MS;
    story.receive(vec![span(&story, 2, 2, (began + 10, began + 90), Kind::Internal, None)]);
    story.invoke_after(100);
    story.hear(Input::Announced(vec![span(&story, 102, 2, (began + 201, 0), Kind::Internal, Some(2))]));
    story.pass(59_000);
    story.tell_done("r-2", story.now / MS, EndStatus::Timeout, None);
    story.answer();
    story.shut_down(ShutdownReason::Timeout);
    let root = roots(&story).into_iter().find(|span| request_of(span) == "r-2").expect("it has one");
    assert_eq!((root.trace_id, root.parent), (trace(2), None));
}

#[test]
fn what_is_left_over_is_no_sign_of_the_next_invocation() {
    // The function's own span has come, and something inside it begins after that; the next invocation says nothing, and dies.
    let mut story = on_demand();
    story.invoke_after(1_000);
    story.pass(50);
    let entry = Span { trace_id: trace(1), ..story.entry(1, 1_000) };
    story.receive(vec![entry]);
    story.answer();
    story.pass(5);
    story.hear(Input::Announced(vec![span(&story, 101, 1, (1_054, 0), Kind::Internal, Some(1))]));
    let made_before = story.agent.ledger().spans.made;
    story.invoke_after(400);
    story.pass(59_000);
    story.tell_done("r-2", story.now / MS, EndStatus::Timeout, None);
    story.answer();
    story.shut_down(ShutdownReason::Timeout);
    assert_eq!(made(&story), [("r-2".to_owned(), false, false)], "it is in a trace of its own");
    assert_eq!(story.agent.ledger().spans.made, made_before + 1, "what was left over did not die with it");
}

#[test]
fn a_message_of_an_earlier_invocation_is_a_sign_of_the_next_one_whatever_kind_its_span_has() {
    // It is announced before INVOKE is read; its producer ended with the invocation before, and its consumer dies.
    for (kind, is_remote, is_of_next) in [
        (Kind::Consumer, None, true),
        (Kind::Internal, Some(true), true),
        (Kind::Internal, Some(false), false),
        (Kind::Internal, None, false),
    ] {
        let mut story = on_demand();
        story.invoke_after(1_000);
        story.pass(50);
        let producer = span(&story, 2, 1, (1_010, 1_020), Kind::Producer, Some(1));
        let entry = Span { trace_id: trace(1), ..story.entry(1, 1_000) };
        story.receive(vec![producer, entry]);
        story.answer();
        story.pass(300);
        let consumer = span(&story, 101, 1, (1_340, 0), kind, Some(2));
        story.hear(Input::Announced(vec![Span { parent_is_remote: is_remote, ..consumer }]));
        story.invoke_after(10);
        story.pass(59_000);
        story.tell_done("r-2", story.now / MS, EndStatus::Timeout, None);
        story.answer();
        story.shut_down(ShutdownReason::Timeout);
        let dies = roots(&story).iter().all(|root| root.trace_id == trace(1));
        assert_eq!(dies, is_of_next, "{kind:?} {is_remote:?}: {:?}", story.spans);
    }
}

#[test]
fn what_was_announced_before_an_invocation_that_kills_us_is_none_of_it() {
    let invoke = Invoke {
        request_id: "r-2".into(),
        deadline: Instant::default(),
        deadline_at: UnixNanos(60_000 * MS),
        received_at: UnixNanos(1_300 * MS),
        arn: "".into(),
        xray: None,
        waited: Duration::ZERO,
    };
    // When an inner span was announced, whose parent never came; and whether that is taken for the root of what we died in.
    for (began, is_its) in [(1_030, false), (1_310, true)] {
        let mut story = on_demand();
        story.now = 9_000 * MS;
        let announced = vec![span(&story, 101, 1, (began, 0), Kind::Internal, Some(1))];
        let (earlier, receipt) = (Receipt::EMPTY, Receipt::EMPTY);
        let invoke = Some(invoke.clone());
        story.hear(Input::Recovered { invoke, seed: 1, earlier, receipt, announced });
        story.invoke();
        assert_eq!(roots(&story)[0].trace_id == trace(1), is_its, "announced at {began} ms");
    }
}

#[test]
fn what_overtakes_a_request_does_not_settle_what_it_may_bring() {
    // The first invocation's request stalls while the second's is read.
    let mut story = Story::new(Config { flush: FlushMode::End, expects_spans: true, ..Config::default() });
    story.invoke_after(1_000);
    story.pass(5);
    story.hear(Input::Receiving);
    let own = Span { trace_id: trace(1), ..story.entry(1, 1_001) };
    story.tell_done("r-1", 1_005, EndStatus::Success, None);
    story.pass(100);
    story.answer();
    story.invoke_after(100);
    let began = story.now / MS;
    story.pass(5);
    story.receive(vec![span(&story, 2, 2, (began + 1, began + 4), Kind::Internal, None)]);
    story.tell_done("r-2", began + 5, EndStatus::Success, None);
    story.pass(100);
    story.answer();
    story.hear(Input::Received(Receipt { spans: vec![own], parcels: Vec::new() }));
    story.answer();
    story.shut_down(ShutdownReason::Spindown);
    let made: Vec<_> = roots(&story).into_iter().map(request_of).collect();
    assert_eq!(made, ["r-2"], "the first has sent its own");
}

#[test]
fn a_report_in_the_millisecond_of_a_span_leaves_it_to_its_invocation() {
    // The first one is brief, and `/next` asked before it ends: its report has the whole millisecond in which its spans began.
    // They come when the second has begun, of which the platform tells before it is over, or does not.
    for (is_start_told, made_roots) in [(true, vec![]), (false, vec![("r-1".to_owned(), false, false)])] {
        let config = Config { flush: FlushMode::Continuous, expects_spans: true, ..Config::default() };
        let mut story = Story::new(config);
        story.invoke_after(1_000);
        story.tell_report("r-1", 1_000, Some(1), EndStatus::Success);
        story.invoke_after(2);
        let mut own = own(&story, 1, (1_000, 1_001));
        own.iter_mut().for_each(|span| span.start = UnixNanos(1_000 * MS + MS / 4));
        story.receive(own);
        if is_start_told {
            story.tell_start("r-2", 1_002);
        }
        story.tell_done("r-2", 1_003, EndStatus::Success, None);
        story.pass(7_000);
        story.answer();
        story.shut_down(ShutdownReason::Spindown);
        let made: Vec<_> = made(&story).into_iter().filter(|(id, ..)| id == "r-1").collect();
        assert_eq!(made, made_roots, "start told: {is_start_told}");
    }
}

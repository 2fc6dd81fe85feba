//! Roots after a kill of our own process, or of the sandbox.

use super::*;

#[test]
fn a_killed_process_leaves_an_invocation_whose_root_is_its_own() {
    let begun = |seed| {
        let mut story = Story::new(Config { seed, ..Config::default() });
        story.invoke();
        story.shut_down(ShutdownReason::Failure);
        roots(&story)[0].clone()
    };
    let before = begun(1);
    let invoke = Invoke {
        request_id: "r-1".into(),
        deadline: Instant::default(),
        deadline_at: UnixNanos(60_001 * MS),
        received_at: UnixNanos(MS),
        arn: "".into(),
        xray: None,
        waited: Duration::ZERO,
    };
    let receipt = |spans| Receipt { spans, parcels: Vec::new() };
    let mut story = Story::new(Config { seed: 2, ..Config::default() });
    story.now = 9_000 * MS;
    let client = |in_trace: u8, began, parent| Span {
        trace_id: trace(in_trace),
        end: UnixNanos(30 * MS),
        ..story.span(2, began, Kind::Client, Some(parent))
    };
    // Unsent spans of the one before, some of which came after INVOKE; and, in the second row, one of its own.
    type Row = (Vec<Span<()>>, Vec<Span<()>>, Option<u8>);
    let rows: [Row; 3] = [
        (vec![client(7, 0, 1)], vec![], None),
        (vec![client(7, 0, 1)], vec![client(7, 0, 1)], None),
        (vec![client(7, 0, 1)], vec![client(8, 2, 3)], Some(8)),
    ];
    for (earlier, since, expected) in rows {
        let mut story = Story::new(Config { seed: 2, ..Config::default() });
        story.now = 9_000 * MS;
        let (earlier, receipt) = (receipt(earlier), receipt(since));
        let invoke = Some(invoke.clone());
        story.hear(Input::Recovered { invoke, seed: 1, earlier, receipt, announced: Vec::new() });
        story.invoke();
        let root = roots(&story)[0];
        assert_eq!((request_of(root), root.error_type.is_some()), ("r-1", true));
        match expected {
            Some(in_trace) => assert_eq!((root.trace_id, root.span_id), (trace(in_trace), id(3))),
            None => assert_eq!((root.trace_id, root.span_id), (before.trace_id, before.span_id)),
        }
    }
}

/// Once it is delivered, the next process finds the invocation on record, and not the span.
#[test]
fn an_invocation_that_is_recovered_with_its_root_known_gets_no_second_one() {
    // Whose root is on record, and which roots the next process makes.
    for (of, expected) in [(None, &["r-1"][..]), (Some("r-1"), &[]), (Some("another"), &["r-1"])] {
        let mut first = Story::new(Config { seed: 1, ..Config::default() });
        first.invoke();
        let received_at = UnixNanos(first.now);
        assert_eq!(first.agent.own_root(&"r-1".into(), received_at), None);
        first.pass(5);
        let span = first.entry(7, first.now / MS);
        let own = (span.trace_id, span.span_id);
        first.receive(vec![span]);
        assert_eq!(first.agent.own_root(&"r-1".into(), received_at), Some(own), "accepted");
        assert_eq!(first.agent.own_root(&"r-1".into(), UnixNanos(0)), None, "an earlier try's");
        let mut next = Story::new(Config { seed: 2, ..Config::default() });
        next.now = 9_000 * MS;
        if let Some(of) = of {
            next.hear(Input::Rooted { request_id: of.into(), trace_id: own.0, span_id: own.1 });
        }
        next.hear(Input::Recovered {
            invoke: Some(Invoke {
                request_id: "r-1".into(),
                deadline: Instant::from_nanos(3_000 * MS),
                deadline_at: UnixNanos(3_000 * MS),
                received_at,
                arn: "".into(),
                xray: None,
                waited: Duration::ZERO,
            }),
            seed: 1,
            earlier: Receipt::EMPTY,
            receipt: Receipt::EMPTY,
            announced: Vec::new(),
        });
        next.invoke();
        let made: Vec<_> = roots(&next).into_iter().map(request_of).collect();
        assert_eq!(made, expected, "{of:?}");
    }
}

/// Whatever the platform calls it, the sandbox has failed, and the function's process is gone with its root.
#[test]
fn the_root_that_a_failed_sandbox_took_along_is_made_under_its_own_id() {
    for class in ["Sandbox.Timedout", "Sandbox.Failure", "Sandbox.Crash"] {
        let mut story = on_demand();
        story.invoke();
        let began = story.now / MS;
        story.pass(10);
        let child = story.span(3, began, Kind::Client, Some(2));
        story.receive(vec![child]);
        story.tell_done(&story.request_id(), story.now / MS, EndStatus::Error, Some(class));
        story.answer();
        story.shut_down(ShutdownReason::Failure);
        let made: Vec<_> = roots(&story).iter().map(|root| root.span_id).collect();
        assert_eq!(made, [id(2)], "{class}");
    }
}

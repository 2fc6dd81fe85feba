//! Announced spans that never ended: of which invocation they are, and who closes them.

use super::*;

/// On Managed Instances the platform's events come in batches: that an invocation began may be told after it has announced
/// its span, together with the begins and ends of others.
#[test]
fn what_is_announced_before_the_begin_is_told_waits_for_the_end_of_its_invocation() {
    for told_at_once in [1, 2, 5, 100] {
        let mut story = Story::new(Config { init_type: InitType::ManagedInstances, ..Config::default() });
        let at = |ms: u64| UnixNanos(ms * MS);
        // Spans 1 to 4 are of invocations that end well, span 9 is of one that does not.
        let names = ["r-1", "r-2", "r-3", "r-4", "r-9"];
        for (number, name) in (1..).zip(names) {
            let number = if name == "r-9" { 9 } else { number };
            let start = at(100 + u64::from(number));
            let trace_id = TraceId::new([number; 16]).expect("not zero");
            story.announce(Span { trace_id, start, end: start, ..span(number, None, Some(name)) });
        }
        let begins = (1..).zip(names).map(|(ms, name)| PlatformEvent::Start {
            request_id: name.into(),
            at: at(if name == "r-9" { 109 } else { 100 + ms }),
        });
        let ending = |status, class: Option<&str>| Ending { status, error_type: class.map(Into::into) };
        let report = |name: &str, ms, ending| PlatformEvent::Report {
            request_id: name.into(),
            at: at(ms),
            ending,
            duration: None,
            usage: Usage::default(),
        };
        let good = names[..4].iter().map(|name| report(name, 120, ending(EndStatus::Success, None)));
        let events: Vec<_> = begins.chain(good).collect();
        for events in events.chunks(told_at_once) {
            story.now += 2_000 * MS;
            events.iter().for_each(|event| story.hear(Input::Platform(event.clone())));
            story.hear(Input::Tick);
        }
        story.now += 3_000 * MS;
        story.hear(Input::Tick);
        let timeout = ending(EndStatus::Error, Some("Sandbox.Timedout"));
        story.hear(Input::Platform(report("r-9", 3_109, timeout)));
        for _ in 0..3 {
            story.answer();
            story.now += 2_000 * MS;
            story.hear(Input::Tick);
        }
        let closed: Vec<_> = story.sent.iter().filter(|(_, origin)| *origin == "closed").collect();
        assert_eq!(closed, [&(9, "closed")], "{told_at_once} events at once: {:?}", story.sent);
    }
}

/// SHUTDOWN may be handed over before the platform's last events are delivered: they tell then of an invocation whose span
/// was closed already.
#[test]
fn an_announced_span_that_shutdown_closes_stays_the_only_one_of_its_invocation() {
    for class in ["Runtime.ExitError", "Sandbox.Timedout"] {
        let mut story = Story::new(Config { init_type: InitType::ManagedInstances, ..Config::default() });
        let start = |request_id: &str| {
            Input::Platform(PlatformEvent::Start { request_id: request_id.into(), at: UnixNanos(1) })
        };
        let report = |request_id: &str, ending| {
            Input::Platform(PlatformEvent::Report {
                request_id: request_id.into(),
                at: UnixNanos(50),
                ending,
                duration: None,
                usage: Usage::default(),
            })
        };
        // One before it is over, with a span of its own.
        story.hear(start("r-1"));
        story.send(&[span(1, None, Some("r-1"))]);
        story.hear(report("r-1", Ending::SUCCESS));
        story.announce(span(9, None, Some("r-9")));
        story.shut_down();
        story.hear(start("r-9"));
        story.hear(report("r-9", Ending { status: EndStatus::Error, error_type: Some(class.into()) }));
        assert_eq!(story.end(), [(1, "own"), (9, "closed")], "{class}");
    }
}

/// Its function went on after `/next` was asked, and ended well: what dies later is another invocation.
#[test]
fn what_was_announced_after_next_was_asked_is_no_part_of_the_invocation_that_follows() {
    let mut story = between();
    story.announce(span(3, None, None));
    story.invoke("r-2");
    story.die("r-2");
    story.shut_down();
    let end = story.end();
    assert!(end.iter().all(|(number, _)| *number != 3), "{end:?}");
}

/// SHUTDOWN may say that the function has died when no invocation is open: what it had announced meanwhile is of the next one,
/// whose INVOKE was never read, or, where several run at once, of one that the platform never tells of.
#[test]
fn what_was_announced_and_is_of_no_known_invocation_is_closed_where_its_function_has_died() {
    for init_type in [InitType::OnDemand, InitType::ManagedInstances] {
        for (reason, closed) in [(ShutdownReason::Failure, 1), (ShutdownReason::Spindown, 0)] {
            let mut story = Story::new(Config { init_type, ..Config::default() });
            if init_type == InitType::OnDemand {
                story.invoke("r-1");
                story.send(&[span(1, None, Some("r-1"))]);
                story.tell_done("r-1", Ending::SUCCESS);
                story.answer();
            }
            story.announce(span(2, None, Some("r-2")));
            story.shut_down_for(reason);
            story.pass(200);
            let end = story.end();
            let count = end.iter().filter(|one| **one == (2, "closed")).count();
            assert_eq!(count, closed, "{init_type:?} {reason:?}: {end:?}");
        }
    }
}

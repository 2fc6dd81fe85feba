//! Each invocation is counted once, in whatever order the platform reports it.

use super::super::series::Reading;
use super::*;
use alloc::format;

mod starting;

fn config() -> Config {
    Config::default()
}

fn done(request_id: &str, status: EndStatus, class: Option<&str>) -> PlatformEvent {
    PlatformEvent::RuntimeDone {
        request_id: request_id.into(),
        at: UnixNanos(1),
        ending: Ending { status, error_type: class.map(Into::into) },
        duration: Some(Duration::from_millis(10)),
        produced_bytes: Some(7),
        response: Response::default(),
    }
}

fn report(request_id: &str, used: u64) -> PlatformEvent {
    PlatformEvent::Report {
        request_id: request_id.into(),
        at: UnixNanos(2),
        ending: Ending::SUCCESS,
        duration: Some(Duration::from_millis(25)),
        usage: Usage {
            billed: Some(Duration::from_millis(26)),
            memory_bytes: Some(128),
            memory_used_bytes: Some(used),
            init: Some(Duration::from_millis(300)),
            restore: None,
        },
    }
}

/// The count, or the number of values, of a metric over all of its series.
fn total(points: &[super::super::Point], metric: Metric) -> i64 {
    let of_metric = points.iter().filter(|point| point.metric == metric);
    let counts = of_metric.map(|point| match &point.reading {
        Reading::Int(int) => *int,
        Reading::Histogram(histogram) => histogram.count as i64,
        Reading::Double(_) => panic!("{point:?}"),
    });
    counts.sum()
}

fn ends(store: &mut Store) -> [i64; 3] {
    let points = store.take();
    [Metric::Invocations, Metric::Errors, Metric::Timeouts].map(|metric| total(&points, metric))
}

#[test]
fn every_end_is_counted_once_whatever_is_told_twice_or_early() {
    let (mut faas, mut store) = (Faas::default(), Store::new(200, false));
    let rows = [
        ("ok", EndStatus::Success, None),
        ("bad", EndStatus::Error, Some("Function.Error")),
        ("slow", EndStatus::Timeout, None),
        ("gone", EndStatus::Failure, Some("Sandbox.Failure")),
    ];
    for (index, (request_id, status, class)) in rows.into_iter().enumerate() {
        if index % 2 == 0 {
            faas.on_invoke(&mut store, &request_id.into(), UnixNanos(0));
        }
        faas.on_event(&config(), &mut store, &done(request_id, status, class));
        faas.on_event(&config(), &mut store, &done(request_id, status, class));
        if index % 2 == 1 {
            faas.on_invoke(&mut store, &request_id.into(), UnixNanos(0));
        }
        faas.on_event(&config(), &mut store, &report(request_id, 90));
        faas.on_event(&config(), &mut store, &report(request_id, 90));
    }
    faas.settle_all(&config(), &mut store, ShutdownReason::Failure);
    let points = store.take();
    let counts = |metric| total(&points, metric);
    assert_eq!([Metric::Invocations, Metric::Errors, Metric::Timeouts].map(counts), [1, 2, 1]);
    assert_eq!(
        [Metric::InvokeDuration, Metric::Duration, Metric::PostRuntimeDuration].map(counts),
        [4, 4, 4]
    );
    assert_eq!(counts(Metric::InitDuration), 1);
}

#[test]
fn what_is_never_told_follows_from_shutdown() {
    for (reason, expected) in [
        (ShutdownReason::Spindown, [2, 0, 0]),
        (ShutdownReason::Timeout, [1, 0, 1]),
        (ShutdownReason::Failure, [1, 1, 0]),
    ] {
        let (mut faas, mut store) = (Faas::default(), Store::new(200, false));
        faas.on_invoke(&mut store, &"one".into(), UnixNanos(0));
        faas.on_invoke(&mut store, &"two".into(), UnixNanos(0));
        faas.settle_all(&config(), &mut store, reason);
        assert_eq!(ends(&mut store), expected, "{reason:?}");
    }
}

#[test]
fn without_a_word_of_the_platform_ends_are_told_all_the_same() {
    let (mut faas, mut store) = (Faas::default(), Store::new(200, false));
    for n in 0..1_000 {
        faas.on_time(Instant::from_nanos(n * 1_000_000_000));
        faas.on_invoke(&mut store, &format!("r{n}").as_str().into(), UnixNanos(0));
    }
    assert_eq!(ends(&mut store), [998, 0, 0]);
    assert!(faas.known.len() <= KNOWN_MAX);
    // With one word of it, they wait for theirs, within bounds.
    faas.on_event(&config(), &mut store, &PlatformEvent::Start { request_id: "x".into(), at: UnixNanos(1) });
    for n in 1_000..3_000 {
        faas.on_invoke(&mut store, &format!("r{n}").as_str().into(), UnixNanos(0));
    }
    assert!(faas.known.len() <= KNOWN_MAX_MANAGED);
    faas.settle_all(&config(), &mut store, ShutdownReason::Spindown);
    assert_eq!(ends(&mut store), [2_002, 0, 0]);
}

#[test]
fn a_report_is_of_the_try_that_had_ended_just_before() {
    let second = 1_000_000_000;
    let ended = |at: u64, status| PlatformEvent::RuntimeDone {
        request_id: "r".into(),
        at: UnixNanos(at * second),
        ending: Ending { status, error_type: None },
        duration: None,
        produced_bytes: None,
        response: Response::default(),
    };
    let report = |at: u64, status| PlatformEvent::Report {
        request_id: "r".into(),
        at: UnixNanos(at * second),
        ending: Ending { status, error_type: None },
        duration: None,
        usage: Usage::default(),
    };
    // When the retry begins: the clock was set back before.
    for begins in [1_100, 900] {
        let (mut faas, mut store) = (Faas::default(), Store::new(200, false));
        faas.on_invoke(&mut store, &"r".into(), UnixNanos(1_000 * second));
        faas.on_event(&config(), &mut store, &ended(1_001, EndStatus::Error));
        faas.on_invoke(&mut store, &"r".into(), UnixNanos(begins * second));
        faas.on_event(&config(), &mut store, &report(1_002, EndStatus::Error));
        faas.on_event(&config(), &mut store, &ended(begins + 1, EndStatus::Success));
        faas.on_event(&config(), &mut store, &report(begins + 2, EndStatus::Success));
        assert_eq!(ends(&mut store), [1, 1, 0], "at {begins}");
    }
}

#[test]
fn a_burst_is_over_before_the_platform_says_its_first_word() {
    let hour = Duration::from_secs(3_600);
    for (apart_ms, expected) in [(5, [0, 3, 0]), (125, [1, 2, 0]), (124, [0, 3, 0])] {
        let (mut faas, mut store) = (Faas::default(), Store::new(200, false));
        for n in 0..3 {
            // The environment is frozen for an hour before each of them.
            faas.on_wait(hour);
            faas.on_time(Instant::from_nanos(n * apart_ms * 1_000_000) + hour * (n as u32 + 1));
            let at = UnixNanos(n * 3_600_000_000_000);
            faas.on_invoke(&mut store, &format!("r{n}").as_str().into(), at);
        }
        for n in 0..3 {
            let failed = done(&format!("r{n}"), EndStatus::Error, Some("Function.Error"));
            faas.on_event(&config(), &mut store, &failed);
        }
        assert_eq!(ends(&mut store), expected, "{apart_ms} ms apart");
    }
}

#[test]
fn an_exit_with_all_memory_in_use_is_for_want_of_memory() {
    for (class, used, expected) in [
        ("Runtime.ExitError", 128, 1),
        ("Runtime.ExitError", 127, 0),
        ("Function.Error", 128, 0),
        ("Runtime.OutOfMemory", 128, 1),
    ] {
        let (mut faas, mut store) = (Faas::default(), Store::new(200, false));
        faas.on_invoke(&mut store, &"r".into(), UnixNanos(0));
        faas.on_event(&config(), &mut store, &done("r", EndStatus::Error, Some(class)));
        faas.on_event(&config(), &mut store, &report("r", used));
        assert_eq!(total(&store.take(), Metric::OutOfMemory), expected, "{class} {used}");
    }
}

#[test]
fn a_report_says_nothing_of_an_earlier_invocation_whose_own_was_lost() {
    let (mut faas, mut store) = (Faas::default(), Store::new(200, false));
    for (id, status, class) in
        [("gone", EndStatus::Error, Some("Runtime.ExitError")), ("full", EndStatus::Success, None)]
    {
        faas.on_invoke(&mut store, &id.into(), UnixNanos(0));
        faas.on_event(&config(), &mut store, &done(id, status, class));
    }
    faas.on_event(&config(), &mut store, &report("full", 128));
    assert_eq!(total(&store.take(), Metric::OutOfMemory), 0, "it was another one that exited");
}

/// Every point, as a line.
fn lines(store: &mut Store) -> alloc::vec::Vec<alloc::string::String> {
    let mut lines: alloc::vec::Vec<_> = store.take().iter().map(super::super::Point::line).collect();
    lines.sort();
    lines
}

#[test]
fn what_is_told_of_one_invocation_is_measured() {
    let (mut faas, mut store) = (Faas::default(), Store::new(200, false));
    faas.on_invoke(&mut store, &"r".into(), UnixNanos(0));
    let ms = |ms| Some(Duration::from_millis(ms));
    let done = PlatformEvent::RuntimeDone {
        request_id: "r".into(),
        at: UnixNanos(1),
        ending: Ending { status: EndStatus::Error, error_type: Some("E".into()) },
        duration: ms(10),
        produced_bytes: Some(7),
        response: Response { latency: ms(3), duration: ms(2) },
    };
    faas.on_event(&config(), &mut store, &done);
    faas.on_held(Duration::from_millis(4));
    faas.on_held(Duration::from_millis(5));
    let usage = Usage {
        billed: ms(46),
        memory_bytes: Some(128),
        memory_used_bytes: Some(90),
        init: ms(300),
        restore: ms(200),
    };
    let report = |at, duration, usage| PlatformEvent::Report {
        request_id: "r".into(),
        at: UnixNanos(at),
        ending: Ending::SUCCESS,
        duration,
        usage,
    };
    faas.on_event(&config(), &mut store, &report(2, ms(45), usage));
    let expected = [
        "aws.lambda.billed_duration [] 1 values, 0.046000 in all",
        "aws.lambda.duration [] 1 values, 0.045000 in all",
        "aws.lambda.post_runtime_duration [] 1 values, 0.035000 in all",
        "aws.lambda.produced_bytes [] 1 values, 7.000000 in all",
        "aws.lambda.response_duration [] 1 values, 0.002000 in all",
        "aws.lambda.response_latency [] 1 values, 0.003000 in all",
        "aws.lambda.restore_duration [] 1 values, 0.200000 in all",
        "faas.errors [error.type=E] 1",
        "faas.init_duration [aws.lambda.initialization_type=on-demand] 1 values, 0.300000 in all",
        "faas.invoke_duration [error.type=E] 1 values, 0.010000 in all",
        "faas.mem_usage [] 1 values, 90.000000 in all",
        "prefreeze.billed.duration [owner=function] 0.037000",
        "prefreeze.billed.duration [owner=prefreeze] 0.009000",
    ];
    assert_eq!(lines(&mut store), expected);
    assert_eq!(faas.billed(), (Duration::from_millis(46), Duration::from_millis(9)));
}

#[test]
fn our_share_is_what_we_held_within_what_ran_after_the_function_and_was_billed() {
    for (held, whole, billed, own) in [(4, 45, 46, 4), (50, 45, 46, 35), (50, 45, 20, 20)] {
        let (mut faas, mut store) = (Faas::default(), Store::new(200, false));
        faas.on_invoke(&mut store, &"r".into(), UnixNanos(0));
        faas.on_event(&config(), &mut store, &done("r", EndStatus::Success, None));
        faas.on_held(Duration::from_millis(held));
        let usage = Usage { billed: Some(Duration::from_millis(billed)), ..Usage::default() };
        let (request_id, ending) = ("r".into(), Ending::SUCCESS);
        let duration = Some(Duration::from_millis(whole));
        let report = PlatformEvent::Report { request_id, at: UnixNanos(2), ending, duration, usage };
        faas.on_event(&config(), &mut store, &report);
        let expected = (Duration::from_millis(billed), Duration::from_millis(own));
        assert_eq!(faas.billed(), expected, "held for {held} ms");
    }
}

#[test]
fn one_in_which_our_process_was_killed_has_failed_and_is_told_of_once() {
    let (mut faas, mut store) = (Faas::default(), Store::new(200, false));
    faas.on_recovered(&mut store, &"r".into(), UnixNanos(0));
    faas.on_event(&config(), &mut store, &report("r", 1));
    faas.settle_all(&config(), &mut store, ShutdownReason::Spindown);
    let lines = lines(&mut store);
    assert!(lines.contains(&"faas.errors [error.type=_OTHER] 1".into()), "{lines:?}");
    assert!(!lines.iter().any(|line| line.starts_with("faas.invocations")), "{lines:?}");
}

#[test]
fn on_managed_instances_a_report_is_the_end() {
    let (mut faas, mut store) = (Faas::default(), Store::new(200, false));
    let managed = Config { init_type: InitType::ManagedInstances, ..config() };
    faas.on_invoke(&mut store, &"r".into(), UnixNanos(0));
    faas.on_event(&managed, &mut store, &report("r", 1));
    let lines = lines(&mut store);
    assert!(lines.contains(&"faas.invoke_duration [] 1 values, 0.025000 in all".into()), "{lines:?}");
    // And all that are open when it ends have ended with it.
    faas.on_invoke(&mut store, &"one".into(), UnixNanos(0));
    faas.on_invoke(&mut store, &"two".into(), UnixNanos(0));
    faas.settle_all(&managed, &mut store, ShutdownReason::Failure);
    assert_eq!(ends(&mut store), [0, 2, 0]);
}

#[test]
fn those_that_have_ended_are_forgotten_first_and_those_that_run_not_before_there_are_too_many() {
    let (mut faas, mut store) = (Faas::default(), Store::new(200, false));
    let id = |n: usize| RequestId::from(&*format!("r{n}"));
    let start = |n| PlatformEvent::Start { request_id: id(n), at: UnixNanos(1) };
    faas.on_event(&config(), &mut store, &start(0));
    faas.on_invoke(&mut store, &id(0), UnixNanos(0));
    let room = faas.known.capacity();
    for n in 1..200 {
        faas.on_invoke(&mut store, &id(n), UnixNanos(0));
        faas.on_event(&config(), &mut store, &done(&id(n), EndStatus::Success, None));
    }
    assert_eq!((faas.known.len(), faas.known.capacity()), (KNOWN_MAX, room));
    assert!(faas.known.iter().any(|known| known.request_id == hash("r0")), "it runs");
    assert_eq!(ends(&mut store), [199, 0, 0]);
    // As many at once as Managed Instances have.
    for n in 200..200 + KNOWN_MAX {
        faas.on_invoke(&mut store, &id(n), UnixNanos(0));
    }
    assert_eq!((faas.known.len(), ends(&mut store)), (KNOWN_MAX + 1, [0, 0, 0]));
    for n in 300..300 + 2 * KNOWN_MAX_MANAGED {
        faas.on_invoke(&mut store, &id(n), UnixNanos(0));
    }
    assert_eq!(faas.known.len(), KNOWN_MAX_MANAGED);
    assert_eq!(ends(&mut store), [(1 + KNOWN_MAX + KNOWN_MAX_MANAGED) as i64, 0, 0]);
}

#[test]
fn one_that_is_counted_and_not_yet_told_of_is_remembered() {
    let (mut faas, mut store) = (Faas::default(), Store::new(200, false));
    faas.on_recovered(&mut store, &"killed".into(), UnixNanos(0));
    for n in 0..2 * KNOWN_MAX {
        let id = RequestId::from(&*format!("r{n}"));
        faas.on_event(
            &config(),
            &mut store,
            &PlatformEvent::Start { request_id: id.clone(), at: UnixNanos(1) },
        );
        faas.on_invoke(&mut store, &id, UnixNanos(0));
        faas.on_event(&config(), &mut store, &done(&id, EndStatus::Success, None));
    }
    assert!(faas.known.iter().any(|known| known.request_id == hash("killed")));
}

#[test]
fn ids_are_told_apart_by_fnv_1a() {
    // Test vectors of its authors, <http://www.isthe.com/chongo/tech/comp/fnv/>.
    let hashes = ["", "a", "foobar"].map(hash);
    assert_eq!(hashes, [0xcbf2_9ce4_8422_2325, 0xaf63_dc4c_8601_ec8c, 0x8594_4171_f739_67e8]);
}

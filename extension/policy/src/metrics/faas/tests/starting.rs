//! Init, restores and cold starts: each is measured once.

use super::*;

#[test]
fn each_try_of_init_is_measured_once() {
    let tried = |at| PlatformEvent::InitReport {
        at: UnixNanos(at),
        phase: crate::platform::InitPhase::Init,
        restore: false,
        ending: Ending::SUCCESS,
        duration: Some(Duration::from_millis(300)),
    };
    for (events, expected) in [
        (alloc::vec![tried(1), tried(1), report("r", 1)], 1),
        (alloc::vec![report("r", 1), tried(1)], 1),
        (alloc::vec![tried(1), tried(2), tried(1)], 2),
    ] {
        let (mut faas, mut store) = (Faas::default(), Store::new(200, false));
        faas.on_invoke(&mut store, &"r".into(), UnixNanos(0));
        events.iter().for_each(|event| faas.on_event(&config(), &mut store, event));
        assert_eq!(total(&store.take(), Metric::InitDuration), expected, "{events:?}");
    }
}

#[test]
fn a_cold_start_is_counted_with_the_first_invocation_only() {
    for (told, count) in [([true, true], 1), ([false, true], 0), ([true, false], 1)] {
        let (mut faas, mut store) = (Faas::default(), Store::new(200, false));
        told.iter().for_each(|is_cold| faas.on_first(&config(), &mut store, *is_cold));
        let expected = ["faas.coldstarts [aws.lambda.initialization_type=on-demand] 1"];
        assert_eq!(lines(&mut store), expected[..count], "{told:?}");
    }
}

#[test]
fn a_restore_is_measured_apart_from_init() {
    let (mut faas, mut store) = (Faas::default(), Store::new(200, false));
    let snap_start = Config { init_type: InitType::SnapStart, ..config() };
    let told = |at, restore, status| PlatformEvent::InitReport {
        at: UnixNanos(at),
        phase: crate::platform::InitPhase::Init,
        restore,
        ending: Ending { status, error_type: None },
        duration: Some(Duration::from_millis(300)),
    };
    // The snapshot was made long before, and init with it.
    faas.on_event(&snap_start, &mut store, &told(3, false, EndStatus::Success));
    faas.on_event(&snap_start, &mut store, &told(1, true, EndStatus::Timeout));
    faas.on_event(&snap_start, &mut store, &told(2, true, EndStatus::Success));
    assert_eq!(
        lines(&mut store),
        [
            "aws.lambda.restore_duration [] 1 values, 0.300000 in all",
            "aws.lambda.restore_duration [error.type=timeout] 1 values, 0.300000 in all",
        ]
    );
}

#[test]
fn an_init_that_failed_is_measured_with_its_class() {
    let (mut faas, mut store) = (Faas::default(), Store::new(200, false));
    let failed = PlatformEvent::InitReport {
        at: UnixNanos(1),
        phase: crate::platform::InitPhase::Init,
        restore: false,
        ending: Ending { status: EndStatus::Timeout, error_type: None },
        duration: Some(Duration::from_secs(10)),
    };
    faas.on_event(&config(), &mut store, &failed);
    let labels = "aws.lambda.initialization_type=on-demand, error.type=timeout";
    assert_eq!(lines(&mut store), [format!("faas.init_duration [{labels}] 1 values, 10.000000 in all")]);
}

//! How invocations ended, as metrics count it.

use super::*;

/// The platform names it by its status, or as an error of a class.
#[test]
fn a_timeout_is_counted_as_one_however_it_is_named() {
    for (status, class) in [
        (EndStatus::Timeout, None),
        (EndStatus::Error, Some("Sandbox.Timedout")),
        (EndStatus::Failure, Some("Sandbox.Timeout")),
        (EndStatus::Error, Some("Runtime.InvokeTimeout")),
    ] {
        let mut life = Metered::new(Config::default());
        life.now = 1_000;
        life.invoke("r-1");
        life.now = 61_000;
        life.hear(Input::Platform(PlatformEvent::RuntimeDone {
            request_id: "r-1".into(),
            at: UnixNanos(61_000 * MS),
            ending: Ending { status, error_type: class.map(Into::into) },
            duration: Some(Duration::from_secs(60)),
            produced_bytes: None,
            response: Response::default(),
        }));
        life.end();
        let text: String = life.measured.iter().map(told).collect();
        let ends: Vec<_> = ["faas.invocations", "faas.errors", "faas.timeouts"]
            .map(|metric| text.lines().filter(|line| line.starts_with(metric)).count())
            .into();
        assert_eq!(ends, [0, 0, 1], "{status:?} {class:?}: {text}");
    }
}

/// `platform.runtimeDone` is lost.
#[test]
fn a_failure_that_only_the_report_tells_is_counted_with_its_class() {
    let mut life = Metered::new(Config::default());
    life.now = 1_000;
    life.invoke("r-1");
    life.now += 50;
    life.hear(Input::Platform(PlatformEvent::Report {
        request_id: "r-1".into(),
        at: UnixNanos(1_050 * MS),
        ending: Ending { status: EndStatus::Error, error_type: Some("Function.Boom".into()) },
        duration: Some(Duration::from_millis(45)),
        usage: Usage::default(),
    }));
    life.end();
    assert_eq!(lines_of(&life, "faas.errors"), ["faas.errors [error.type=Function.Boom] 1"]);
}

/// The environment is frozen for an hour after each invocation, before the platform has said its first word.
#[test]
fn a_freeze_is_no_silence_of_the_platform() {
    let mut life = Metered::new(Config::default());
    life.now = 1_000;
    for number in 1..=4 {
        let request_id = format!("r-{number}");
        life.invoke_after(&request_id, if number == 1 { 1 } else { 3_600_000 });
        life.now += 10;
        life.send(number, &request_id, 0);
        life.answer_all();
        life.now += 3_600_000;
    }
    life.invoke_after("r-5", 3_600_000);
    life.hear(Input::Platform(PlatformEvent::RuntimeDone {
        request_id: "r-1".into(),
        at: UnixNanos(1_012 * MS),
        ending: Ending { status: EndStatus::Error, error_type: Some("Function.Boom".into()) },
        duration: Some(Duration::from_millis(12)),
        produced_bytes: None,
        response: Response::default(),
    }));
    life.end();
    assert_eq!(lines_of(&life, "faas.errors"), ["faas.errors [error.type=Function.Boom] 1"]);
}

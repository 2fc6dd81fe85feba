//! The life of an environment, told as inputs and outputs.

use std::time::Duration;

use super::io::T0;
use super::*;
use crate::config::InitType;

/// A machine, a clock that only tests move, and the outputs as short words.
struct Story {
    machine: Machine,
    ms: u64,
    tokens: u64,
    ids: Vec<String>,
}

impl Story {
    fn new(change: impl FnOnce(&mut Facts)) -> Self {
        let mut facts = Facts::example();
        change(&mut facts);
        Self { machine: Machine::new(facts, Ids::new(1)), ms: 0, tokens: 0, ids: vec![] }
    }

    fn feed(&mut self, input: Input) -> String {
        let now = T0 + Duration::from_millis(self.ms);
        self.machine.handle(now, input);
        let mut words = vec![];
        while let Some(output) = self.machine.poll() {
            if let Output::Answer(_, answer) = &output {
                let id = answer.headers.iter().find(|(name, _)| *name == "Lambda-Extension-Identifier");
                self.ids.extend(id.map(|(_, value)| value.clone()));
            }
            words.extend(word(&output));
        }
        words.join(" ")
    }

    /// Moves the clock, and the machine if something is due.
    fn wait(&mut self, ms: u64) -> String {
        self.ms += ms;
        self.feed(Input::Tick)
    }

    fn token(&mut self) -> Token {
        self.tokens += 1;
        Token(self.tokens)
    }

    fn invoke(&mut self, id: &str) -> String {
        self.feed(Input::Invoke(Job { request_id: id.into(), ..Job::default() }))
    }

    fn register(&mut self, name: &str, events: &str) -> String {
        let body = format!("{{\"events\":{events}}}").into();
        let registration = Registration { name: name.into(), wants_account_id: false, body };
        let token = self.token();
        self.feed(Input::Register { token, registration })
    }

    fn extension_next(&mut self) -> String {
        let (token, id) = (self.token(), self.ids.last().cloned());
        self.feed(Input::ExtensionNext { token, id })
    }

    fn runtime_next(&mut self) -> String {
        let token = self.token();
        self.feed(Input::RuntimeNext { token })
    }

    fn respond(&mut self, id: &str) -> String {
        let (token, request_id) = (self.token(), id.to_owned());
        let start =
            self.feed(Input::ResponseStart { token, request_id: request_id.clone(), streaming: false });
        assert_eq!(start, "proceed");
        let token = self.token();
        self.feed(Input::ResponseEnd { token, request_id, end: ResponseEnd::Complete("1".into()) })
    }

    fn exit(&mut self, role: Role, exit: Exit) -> String {
        self.feed(Input::Exit { role, exit })
    }

    /// Init with one extension, up to the first invocation.
    fn started(change: impl FnOnce(&mut Facts)) -> Self {
        let mut story = Self::new(change);
        story.invoke("r1");
        story.register("tracer", r#"["INVOKE","SHUTDOWN"]"#);
        story.extension_next();
        story.runtime_next();
        story
    }
}

/// One output as one word; notes are for people and left out.
fn word(output: &Output) -> Option<String> {
    let role = |role: &Role| match role {
        Role::Runtime => "runtime".to_owned(),
        Role::Extension(index) => format!("ext{index}"),
    };
    Some(match output {
        Output::Note(..) | Output::ReleaseTelemetry(_) | Output::CloseSubscriptions => return None,
        Output::BeginGeneration => "begin".into(),
        Output::EndGeneration => "end".into(),
        Output::Spawn(r) => format!("spawn-{}", role(r)),
        Output::Terminate(r) => format!("term-{}", role(r)),
        Output::Kill(r) => format!("kill-{}", role(r)),
        Output::Stall(r, pause) => format!("stall-{}-{}", role(r), pause.as_millis()),
        Output::Freeze => "freeze".into(),
        Output::Thaw => "thaw".into(),
        Output::Answer(_, answer) => {
            let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
            let event = body["eventType"].as_str().or(body["errorType"].as_str()).unwrap_or_default();
            format!("{}{event}", answer.status)
        }
        Output::Proceed(_) => "proceed".into(),
        Output::Emit(event) => {
            let status = event.record["status"].as_str().map(|s| format!("={s}")).unwrap_or_default();
            format!("{}{status}", event.kind.name().trim_start_matches("platform."))
        }
        Output::Subscribe { .. } => "subscribe".into(),
        Output::FlushTelemetry => "flush".into(),
        Output::Reply { function_error, .. } => if *function_error { "reply-error" } else { "reply" }.into(),
        Output::ReplyStream { .. } => "reply-stream".into(),
        Output::ReplyStopped => "reply-stopped".into(),
        Output::Finish(_) => "record".into(),
        Output::Idle => "idle".into(),
        Output::Ready => "ready".into(),
        Output::Failing => "failing".into(),
        Output::Gone(_) => "gone".into(),
    })
}

#[test]
fn a_cold_start_and_an_invocation() {
    let mut story = Story::new(|_| ());
    assert_eq!(story.invoke("r1"), "begin initStart spawn-ext0");
    assert_eq!(story.register("tracer", r#"["INVOKE","SHUTDOWN"]"#), "200 spawn-runtime");
    assert_eq!(story.runtime_next(), "initRuntimeDone=success");
    assert_eq!(story.extension_next(), "extension initReport=success start 200INVOKE 200");
    assert_eq!(story.respond("r1"), "reply 202");
    assert_eq!(story.runtime_next(), "runtimeDone=success");
    assert_eq!(story.extension_next(), "freeze report=success record idle");
    assert_eq!(story.invoke("r2"), "thaw start 200INVOKE 200");
}

#[test]
fn the_report_waits_for_invoke_extensions_only() {
    let mut story = Story::new(|_| ());
    story.invoke("r1");
    story.register("tracer", r#"["SHUTDOWN"]"#);
    story.extension_next();
    assert_eq!(story.runtime_next(), "initRuntimeDone=success extension initReport=success start 200");
    story.respond("r1");
    assert_eq!(story.runtime_next(), "runtimeDone=success freeze report=success record idle");
}

#[test]
fn calls_out_of_turn_are_refused() {
    let mut story = Story::new(|_| ());
    story.invoke("r1");
    story.register("tracer", r#"["INVOKE","SHUTDOWN"]"#);
    assert_eq!(story.extension_next(), "");
    assert_eq!(story.extension_next(), "403Extension.InvalidExtensionState", "two at the same time");
    story.runtime_next();
    assert_eq!(story.runtime_next(), "403InvalidStateTransition", "without an answer");
    let (token, request_id) = (story.token(), "r0".to_owned());
    let start = Input::ResponseStart { token, request_id, streaming: false };
    assert_eq!(story.feed(start), "400InvalidRequestID");
    story.respond("r1");
    let (token, request_id) = (story.token(), "r1".to_owned());
    let again = Input::ResponseStart { token, request_id, streaming: false };
    assert_eq!(story.feed(again), "403InvalidStateTransition", "a second answer");
    let late = story.register("latecomer", "[]");
    assert_eq!(late, "403Extension.RegistrationClosed");
    let (token, id) = (story.token(), story.ids.last().cloned());
    let subscribe = Input::Subscribe { token, id, body: Bytes::new() };
    assert_eq!(story.feed(subscribe), "403Telemetry.SubscriptionClosed");
}

#[test]
fn a_runtime_may_ask_again_after_it_lost_its_connection() {
    let mut story = Story::started(|_| ());
    story.respond("r1");
    assert_eq!(story.runtime_next(), "runtimeDone=success");
    assert_eq!(story.runtime_next(), "403InvalidStateTransition", "the request that it gave up");
    story.extension_next();
    assert_eq!(story.invoke("r2"), "thaw start 200INVOKE 200");
}

#[test]
fn an_extension_that_reports_an_error_and_stays_is_waited_for() {
    let mut story = Story::started(|_| ());
    let (token, id) = (story.token(), story.ids.last().cloned());
    let error_type = Some("Extension.Broken".to_owned());
    let report = Input::ExtensionError { token, id, at_init: false, error_type, body: Bytes::new() };
    assert_eq!(story.feed(report), "202");
    story.respond("r1");
    assert_eq!(story.runtime_next(), "runtimeDone=success");
    assert_eq!(story.extension_next(), "403Extension.InvalidExtensionState");
    assert_eq!(story.wait(3_000), "flush report=timeout record flush kill-runtime");
}

#[test]
fn an_extension_that_gave_up_while_idle_gets_no_invocation() {
    let mut story = Story::started(|facts| facts.faults.never_freeze = true);
    story.respond("r1");
    story.runtime_next();
    story.extension_next();
    let (token, id) = (story.token(), story.ids.last().cloned());
    let error_type = Some("Extension.Broken".to_owned());
    story.feed(Input::ExtensionError { token, id, at_init: false, error_type, body: Bytes::new() });
    assert_eq!(story.invoke("r2"), "start 200", "the runtime alone");
    let exit = story.exit(Role::Extension(0), Exit::Code(1));
    assert!(exit.starts_with("reply-error runtimeDone=error"), "{exit}");
}

#[test]
fn a_timeout() {
    let mut story = Story::started(|_| ());
    assert_eq!(story.wait(2_999), "");
    let over = "reply-error runtimeDone=timeout flush report=timeout record flush kill-runtime";
    assert_eq!(story.wait(1), over);
    assert_eq!(story.exit(Role::Runtime, Exit::Signal(9)), "", "the extension is still at work");
    assert_eq!(story.extension_next(), "200SHUTDOWN");
    assert_eq!(story.exit(Role::Extension(0), Exit::Code(0)), "end idle");
    assert_eq!(story.invoke("r2"), "begin initStart spawn-ext0", "a suppressed init");
}

#[test]
fn a_hung_extension_is_killed_two_seconds_after_the_deadline() {
    let mut story = Story::started(|_| ());
    story.respond("r1");
    story.runtime_next();
    assert_eq!(story.wait(3_000), "flush report=timeout record flush kill-runtime");
    story.exit(Role::Runtime, Exit::Signal(9));
    assert_eq!(story.wait(1_999), "");
    assert_eq!(story.wait(1), "kill-ext0");
    assert_eq!(story.exit(Role::Extension(0), Exit::Signal(9)), "end idle");
}

#[test]
fn a_crash_of_the_runtime_is_reported_when_the_extension_is_done() {
    let mut story = Story::started(|_| ());
    let exit = story.exit(Role::Runtime, Exit::Code(1));
    assert_eq!(exit, "reply-error runtimeDone=error flush flush");
    assert_eq!(story.extension_next(), "report=error record 200SHUTDOWN");
    assert_eq!(story.exit(Role::Extension(0), Exit::Code(0)), "end idle");
}

#[test]
fn a_crash_of_an_extension_ends_the_runtime_politely() {
    let mut story = Story::started(|_| ());
    let exit = story.exit(Role::Extension(0), Exit::Code(0));
    assert_eq!(exit, "reply-error runtimeDone=error flush flush term-runtime report=error record");
    assert_eq!(story.wait(600), "kill-runtime", "30 % of the budget");
    assert_eq!(story.exit(Role::Runtime, Exit::Signal(9)), "end idle");
}

#[test]
fn spindown() {
    let mut story = Story::started(|_| ());
    story.respond("r1");
    story.runtime_next();
    story.extension_next();
    assert_eq!(story.feed(Input::Shutdown(ShutdownReason::Spindown)), "thaw flush term-runtime");
    assert_eq!(story.exit(Role::Runtime, Exit::Signal(15)), "200SHUTDOWN");
    assert_eq!(story.wait(2_000), "kill-ext0");
    assert_eq!(story.exit(Role::Extension(0), Exit::Signal(9)), "end gone");
}

#[test]
fn an_init_that_is_too_slow_is_done_again_inside_the_invocation() {
    let mut story = Story::new(|_| ());
    story.invoke("r1");
    story.register("tracer", r#"["INVOKE","SHUTDOWN"]"#);
    let over = "initRuntimeDone=timeout extension initReport=timeout kill-runtime kill-ext0";
    assert_eq!(story.wait(10_000), over);
    assert_eq!(story.exit(Role::Extension(0), Exit::Signal(9)), "");
    assert_eq!(story.exit(Role::Runtime, Exit::Signal(9)), "end begin initStart spawn-ext0");
    story.register("tracer", r#"["INVOKE","SHUTDOWN"]"#);
    assert_ne!(story.ids[0], story.ids[1], "identifiers are fresh");
    story.runtime_next();
    assert_eq!(story.extension_next(), "extension initReport=success start 200INVOKE 200");
}

#[test]
fn provisioned_concurrency_initialises_without_a_job() {
    let provisioned = InitType::ProvisionedConcurrency { environments: 1 };
    let mut story = Story::new(|facts| facts.init_type = provisioned);
    assert_eq!(story.feed(Input::Start), "begin initStart spawn-ext0");
    story.register("tracer", r#"["INVOKE"]"#);
    story.runtime_next();
    assert_eq!(story.extension_next(), "extension initReport=success freeze idle");
    assert_eq!(story.wait(130_000), "", "nothing is due");
}

#[test]
fn a_job_that_meets_a_crash_of_the_idle_environment_waits_for_the_reset() {
    let mut story = Story::started(|_| ());
    story.respond("r1");
    story.runtime_next();
    story.extension_next();
    assert_eq!(story.exit(Role::Runtime, Exit::Signal(9)), "thaw flush 200SHUTDOWN");
    assert_eq!(story.invoke("r2"), "");
    assert_eq!(story.exit(Role::Extension(0), Exit::Code(0)), "end begin initStart spawn-ext0");
}

#[test]
fn without_extensions_a_shutdown_kills() {
    let mut story = Story::new(|facts| facts.extensions = vec![]);
    assert_eq!(story.invoke("r1"), "begin initStart spawn-runtime");
    assert_eq!(story.feed(Input::Shutdown(ShutdownReason::Spindown)), "reply-stopped flush kill-runtime");
    assert_eq!(story.exit(Role::Runtime, Exit::Signal(9)), "end gone");
}

#[test]
fn a_response_too_large_is_refused_and_the_runtime_goes_on() {
    let mut story = Story::started(|_| ());
    let (token, request_id) = (story.token(), "r1".to_owned());
    story.feed(Input::ResponseStart { token, request_id: request_id.clone(), streaming: false });
    let end = Input::ResponseEnd { token: story.token(), request_id, end: ResponseEnd::TooLarge };
    assert_eq!(story.feed(end), "reply-error 413RequestEntityTooLarge");
    assert_eq!(story.runtime_next(), "runtimeDone=error");
}

/// Managed Instances, with one extension and so many workers that wait.
fn managed(workers: usize) -> Story {
    let init_type = InitType::ManagedInstances { environments: 1, concurrency: 2 };
    let mut story = Story::new(|facts| facts.init_type = init_type);
    assert_eq!(story.feed(Input::Start), "begin initStart spawn-ext0");
    assert_eq!(story.register("tracer", r#"["INVOKE","SHUTDOWN"]"#), "403Extension.InvalidEventType");
    story.register("tracer", r#"["SHUTDOWN"]"#);
    story.extension_next();
    assert_eq!(story.runtime_next(), "initRuntimeDone=success extension initReport=success ready");
    (1..workers).for_each(|_| assert_eq!(story.runtime_next(), ""));
    story
}

#[test]
fn managed_instances_serve_several_at_once_in_any_order() {
    let mut story = managed(2);
    assert_eq!(story.invoke("r1"), "start 200");
    assert_eq!(story.invoke("r2"), "start 200");
    assert_eq!(story.respond("r2"), "reply 202 report=success record idle");
    assert_eq!(story.runtime_next(), "");
    assert_eq!(story.respond("r1"), "reply 202 report=success record idle");
    let (token, request_id) = (story.token(), "r1".to_owned());
    let again = Input::ResponseStart { token, request_id, streaming: false };
    assert_eq!(story.feed(again), "400InvalidRequestID", "it is over");
}

#[test]
fn managed_instances_hand_out_what_waited_for_a_worker() {
    let mut story = managed(1);
    story.invoke("r1");
    assert_eq!(story.invoke("r2"), "", "nobody asked for it yet");
    assert_eq!(story.respond("r1"), "reply 202 report=success record idle");
    assert_eq!(story.runtime_next(), "start 200");
    assert_eq!(story.invoke("r3"), "");
    assert_eq!(story.wait(3_000), "reply-error report=timeout record idle reply-error idle");
}

#[test]
fn managed_instances_time_out_one_invocation_and_refuse_its_answer() {
    let mut story = managed(2);
    story.invoke("r1");
    story.ms += 1_000;
    story.invoke("r2");
    assert_eq!(story.wait(2_000), "reply-error report=timeout record idle");
    let (token, request_id) = (story.token(), "r1".to_owned());
    let late = Input::ResponseStart { token, request_id, streaming: false };
    assert_eq!(story.feed(late), "410InvokeTimeout");
    assert_eq!(story.respond("r2"), "reply 202 report=success record idle", "the other has its own deadline");
}

#[test]
fn managed_instances_end_with_any_of_their_processes() {
    let mut story = managed(2);
    story.invoke("r1");
    story.invoke("r2");
    let failed = "reply-error report=error record reply-error report=error record";
    let ended = story.exit(Role::Runtime, Exit::Code(1));
    assert_eq!(ended, format!("{failed} failing flush 200SHUTDOWN"));
    assert_eq!(story.invoke("r3"), "reply-error", "it came too late");
    assert_eq!(story.exit(Role::Extension(0), Exit::Code(0)), "end gone", "no reset");
}

//! The account told of one thing after another: what it makes of each.

use super::*;
use crate::announced::Announced;
use crate::platform::{
    EndStatus, Ending, InitType, PlatformEvent, Response, Shutdown, ShutdownReason, Usage, XrayContext,
};
use crate::span::{Kind, SpanId, TraceId};
use invocation::Entry;

mod closing;
mod hearing;
mod telling;

const MS: u64 = 1_000_000;

/// An account, told of events at wall times in milliseconds. The caller's clock is the same, less its origin.
struct Told {
    account: Account,
    config: Config,
    announced: Announced<()>,
}

fn at(ms: u64) -> UnixNanos {
    UnixNanos(ms * MS)
}

fn now(ms: u64) -> Instant {
    Instant::from_nanos(ms * MS)
}

fn trace(id: u8) -> TraceId {
    TraceId::new([id; 16]).expect("not zero")
}

fn id(id: u8) -> SpanId {
    SpanId::new([id; 8]).expect("not zero")
}

/// A span of trace 9 that lasts 5 ms.
fn span(span_id: u8, start_ms: u64, kind: Kind, request_id: Option<&str>) -> Span<()> {
    Span {
        trace_id: trace(9),
        span_id: id(span_id),
        parent: None,
        parent_is_remote: None,
        kind,
        start: at(start_ms),
        end: at(start_ms + 5),
        is_error: false,
        request_id: request_id.map(Into::into),
        size: 1,
        body: (),
    }
}

fn start(request_id: &str, ms: u64) -> PlatformEvent {
    PlatformEvent::Start { request_id: request_id.into(), at: at(ms) }
}

fn done(request_id: &str, ms: u64, status: EndStatus) -> PlatformEvent {
    PlatformEvent::RuntimeDone {
        request_id: request_id.into(),
        at: at(ms),
        ending: Ending { status, error_type: None },
        duration: Some(Duration::from_millis(5)),
        produced_bytes: Some(7),
        response: Response::default(),
    }
}

/// The same without what the platform has measured, which would say when it began.
fn unmeasured(request_id: &str, ms: u64) -> PlatformEvent {
    let mut event = done(request_id, ms, EndStatus::Success);
    if let PlatformEvent::RuntimeDone { duration, .. } = &mut event {
        *duration = None;
    }
    event
}

fn report(request_id: &str, ms: u64, status: EndStatus) -> PlatformEvent {
    PlatformEvent::Report {
        request_id: request_id.into(),
        at: at(ms),
        ending: Ending { status, error_type: None },
        duration: Some(Duration::from_millis(8)),
        usage: Usage::default(),
    }
}

fn init_done(ms: u64) -> PlatformEvent {
    PlatformEvent::InitRuntimeDone { at: at(ms), restore: false, ending: Ending::SUCCESS }
}

impl Told {
    fn new(init_type: InitType) -> Self {
        let config = Config { init_type, ..Config::default() };
        Self { account: Account::default(), config, announced: Announced::new(1_000) }
    }

    fn begin(&mut self, request_id: &str, received_ms: u64) -> &mut Self {
        let invoke = Invoke {
            request_id: request_id.into(),
            deadline: now(received_ms + 900_000),
            deadline_at: at(received_ms + 900_000),
            received_at: at(received_ms),
            arn: "".into(),
            xray: None,
            waited: Duration::ZERO,
        };
        let deadline_at = (!self.config.is_managed()).then_some(invoke.deadline_at);
        self.account.begin(now(received_ms), &self.config, invoke, deadline_at);
        self
    }

    fn event(&mut self, event: &PlatformEvent) -> &mut Self {
        self.account.on_event(&self.config, event);
        self
    }

    fn span(&mut self, span: &Span<()>) -> &mut Self {
        self.account.on_receipt();
        self.account.on_span(Instant::from_nanos(span.end.0), &self.config, span);
        self
    }

    fn close(&mut self, ms: u64) -> &mut Self {
        self.account.close_known(now(ms), &self.config, &self.announced, false);
        self
    }

    /// The request ids of those that are open.
    fn open(&self) -> Vec<&str> {
        self.account.open.iter().map(|open| &*open.invoke.request_id).collect()
    }
}

#[test]
fn without_any_invoke_those_that_ended_badly_are_untold() {
    use EndStatus::{Error, Success};
    for is_bad_end in [false, true] {
        let mut told = Told::new(InitType::OnDemand);
        let untold = |told: &Told| {
            let untold = told.account.untold(is_bad_end);
            untold.into_iter().map(|(id, at)| (alloc::string::String::from(&*id), at)).collect::<Vec<_>>()
        };
        assert!(told.account.may_be_untold() && untold(&told).is_empty());
        told.event(&start("silent", 1)).event(&start("bad", 2)).event(&start("good", 3));
        assert!(told.account.may_be_untold(), "no end was told");
        told.event(&done("bad", 12, Error)).event(&done("good", 13, Success)).event(&done(
            "never begun",
            14,
            Error,
        ));
        assert!(!told.account.may_be_untold());
        let mut expected = alloc::vec![("bad".into(), at(2))];
        if is_bad_end {
            expected.insert(0, ("silent".into(), at(1)));
        }
        assert_eq!(untold(&told), expected);
        told.begin("other", 20);
        assert!(untold(&told).is_empty() && !told.account.may_be_untold());
        // An end alone is one, whatever began.
        let mut told = Told::new(InitType::OnDemand);
        assert!(!told.begin("r", 1).account.may_be_untold(), "an invocation has begun");
    }
}

#[test]
fn whether_the_first_invocation_was_cold_is_known_when_init_is() {
    let mut told = Told::new(InitType::OnDemand);
    let cold = |told: &Told| [false, true].map(|is_final| told.account.first_is_cold(&told.config, is_final));
    assert_eq!(cold(&told), [None, None], "none has begun");
    told.event(&init_done(10));
    assert_eq!(cold(&told), [None, None]);
    told.begin("r", 20);
    assert_eq!(cold(&told), [Some(true), Some(true)]);
    let mut told = Told::new(InitType::OnDemand);
    told.begin("r", 20);
    assert_eq!(cold(&told), [None, Some(true)], "nothing more will be told");
    let mut told = Told::new(InitType::OnDemand);
    told.event(&init_done(10)).begin("r", 60_000).begin("s", 11);
    assert_eq!(cold(&told), [Some(false), Some(false)], "nobody waited for that init");
}

#[test]
fn the_running_invocation_ended_as_the_platform_says_or_else_its_own_span() {
    let mut told = Told::new(InitType::OnDemand);
    assert_eq!(told.account.current_ended_at(), None);
    assert!(told.account.is_current_over(true), "none runs");
    told.begin("r", 100);
    assert_eq!((told.account.current_ended_at(), told.account.is_current_over(true)), (None, false));
    told.span(&span(1, 101, Kind::Server, Some("r")));
    assert_eq!((told.account.current_ended_at(), told.account.is_current_over(true)), (Some(at(106)), true));
    // It was one of several: believed only where the platform tells nothing.
    told.span(&span(2, 110, Kind::Server, Some("r")));
    assert_eq!(told.account.current_ended_at(), None);
    assert_eq!([true, false].map(|delivered| told.account.is_current_over(delivered)), [false, true]);
    told.event(&done("r", 130, EndStatus::Success));
    assert_eq!((told.account.current_ended_at(), told.account.is_current_over(true)), (Some(at(130)), true));
}

#[test]
fn a_span_is_of_the_invocation_that_was_over_if_it_began_in_it() {
    for (init_type, expected) in [
        // When a span began, in ms, and whether it is of the one before.
        (InitType::OnDemand, [(105, true), (110, true), (112, false), (250, false)]),
        (InitType::ManagedInstances, [(105, false), (110, false), (112, false), (250, false)]),
    ] {
        let mut told = Told::new(init_type);
        told.begin("r", 100).event(&done("r", 110, EndStatus::Success)).close(111).begin("s", 2_000);
        for (ms, is_its) in expected {
            let over = told.account.over_at(now(ms), &told.config, at(ms));
            assert_eq!(over.is_some(), is_its, "{init_type:?} {ms}");
        }
        // One that is over and was held for long: what began after the next one is of that.
        told.event(&report("r", 2_500, EndStatus::Success));
        let over =
            [999, 1_000, 2_200].map(|ms| told.account.over_at(now(ms), &told.config, at(ms)).is_some());
        assert_eq!(over, [init_type == InitType::OnDemand, false, false], "{init_type:?}");
    }
    let mut told = Told::new(InitType::OnDemand);
    told.begin("r", 2_000).event(&done("r", 2_010, EndStatus::Success)).close(2_011);
    for (ms, is_its) in [(999, false), (1_000, true), (2_010, true), (2_011, false)] {
        assert_eq!(told.account.over_at(now(ms), &told.config, at(ms)).is_some(), is_its, "none runs, {ms}");
    }
}

#[test]
fn a_span_is_of_an_invocation_whose_end_nobody_told_if_it_began_in_it() {
    let mut told = Told::new(InitType::OnDemand);
    told.begin("r", 1_000).account.on_asked(now(1_500));
    told.begin("s", 2_000);
    let of = |now_ms: u64, ms: u64| {
        told.account.over_at(now(now_ms), &told.config, at(ms)).map(|id| RequestId::from(&**id))
    };
    // Before both, in the first, perhaps in the second, in it, and by a clock that was set back since.
    let found = [999, 1_000, 1_499, 1_500, 2_000, 3_011].map(|ms| of(2_010, ms));
    let first = Some(RequestId::from("r"));
    assert_eq!(found, [None, first.clone(), first, None, None, None]);
    let mut told = Told::new(InitType::OnDemand);
    told.begin("r", 7_000).event(&done("r", 7_010, EndStatus::Error)).close(7_011);
    told.begin("s", 1_000);
    let of = |now_ms: u64, ms: u64| {
        told.account.over_at(now(now_ms), &told.config, at(ms)).map(|id| RequestId::from(&**id))
    };
    assert_eq!([7_005, 7_011].map(|ms| of(1_010, ms)), [Some(RequestId::from("r")), None], "it was set back");
    // A second after now is the latest that the running one may claim.
    for (now_ms, is_first) in [(6_004, true), (6_005, false), (6_100, false)] {
        assert_eq!(of(now_ms, 7_005).is_some(), is_first, "{now_ms}: it may be of the running one");
    }
}

#[test]
fn a_start_is_known_by_its_id_and_its_time() {
    let mut told = Told::new(InitType::ManagedInstances);
    told.begin("r", 100).begin("s", 200).event(&done("r", 110, EndStatus::Success)).close(111);
    for (request_id, ms, is_known) in [
        ("r", 90, true),
        ("r", 110, true),
        ("r", 112, false),
        ("s", 200, true),
        ("s", 100, false),
        ("t", 100, false),
    ] {
        assert_eq!(told.account.has_begun_at(&request_id.into(), at(ms)), is_known, "{request_id} {ms}");
    }
    let is_open = ["r", "s", "t"].map(|request_id| told.account.is_open(&request_id.into()));
    let has_begun = ["r", "s", "t"].map(|request_id| told.account.has_begun(&request_id.into()));
    assert_eq!((is_open, has_begun), ([false, true, false], [true, true, false]));
}

#[test]
fn the_oldest_that_is_open_has_a_number_and_the_next_one_if_none_is() {
    let mut told = Told::new(InitType::ManagedInstances);
    assert_eq!(told.account.oldest_open(), 1);
    told.begin("r", 100).begin("s", 200).begin("t", 300);
    assert_eq!(told.account.oldest_open(), 1);
    told.event(&done("r", 310, EndStatus::Success)).close(311);
    assert_eq!(told.account.oldest_open(), 2);
    told.event(&done("s", 320, EndStatus::Success)).event(&done("t", 320, EndStatus::Success)).close(321);
    assert_eq!(told.account.oldest_open(), 4);
}

#[test]
fn a_flush_request_is_noted_for_the_invocation_that_it_names_or_that_runs() {
    // What the function names, whether what runs is flushed, and whether it is noted for one that is to come.
    for (named, is_flushed, is_early) in [
        (None, true, false),
        (Some("r"), true, false),
        (Some("later"), false, true),
        (Some("over"), false, false),
    ] {
        let mut told = Told::new(InitType::OnDemand);
        told.begin("over", 10).event(&done("over", 15, EndStatus::Success)).close(16).begin("r", 100);
        assert!(!told.account.tells_ends());
        told.account.on_flush_request(named.map(Into::into).as_ref());
        assert!(told.account.tells_ends());
        assert_eq!(told.account.is_current_over(true), is_flushed, "{named:?}");
        assert_eq!(told.account.flushed(&told.config).is_some(), is_flushed, "{named:?}");
        assert_eq!(told.account.early.iter().any(|early| early.flush_requested), is_early, "{named:?}");
        if is_early {
            told.begin("later", 200);
            assert!(told.account.is_current_over(true));
        }
    }
}

#[test]
fn a_span_inside_of_another_one_of_the_same_process_is_no_entry() {
    // The parent that a span names, whether it is said to be remote, when the span began, and whether it stands for its
    // invocation. The parent of this number began with the invocation and ended at 106.
    for (parent, is_remote, ms, is_entry) in [
        (None, None, 102, true),
        (Some(1), None, 102, false),
        (Some(1), None, 107, false),
        (Some(1), Some(true), 102, true),
        (Some(1), Some(false), 102, false),
        (Some(7), None, 102, true),
        (Some(7), Some(true), 102, true),
        (Some(7), Some(false), 102, false),
    ] {
        let mut told = Told::new(InitType::OnDemand);
        told.begin("r", 100).span(&span(1, 101, Kind::Internal, None));
        let named = Span {
            parent: parent.map(id),
            parent_is_remote: is_remote,
            ..span(2, ms, Kind::Server, Some("r"))
        };
        told.span(&named);
        let place = told.account.open[0].entry.map(|entry| entry.place.span_id);
        assert_eq!(place, is_entry.then_some(id(2)), "{parent:?} {is_remote:?} {ms}");
        assert_eq!((told.account.take_heard(), told.account.tells_ends()), (is_entry, is_entry));
        assert!(!told.account.take_heard(), "since the last look");
    }
}

#[test]
fn where_a_function_has_an_sdk_its_own_span_is_awaited() {
    type Tell = fn(&mut Account, &Config);
    let tells: [(Tell, bool); 3] = [
        (|_, _| {}, false),
        (|account, _| account.on_sdk(), true),
        (|account, config| account.on_span(now(1), config, &span(1, 1, Kind::Internal, None)), true),
    ];
    for (index, (tell, is_awaited)) in tells.into_iter().enumerate() {
        let mut told = Told::new(InitType::OnDemand);
        tell(&mut told.account, &told.config);
        told.begin("r", 100).event(&done("r", 110, EndStatus::Success)).close(111);
        assert_eq!(told.account.is_awaiting(), is_awaited, "{index}");
        assert_eq!(told.account.take_made().len(), usize::from(!is_awaited), "{index}");
    }
}

#[test]
fn what_the_platform_tells_late_is_of_the_try_that_is_over() {
    let mut told = Told::new(InitType::OnDemand);
    told.begin("r", 100).event(&done("r", 110, EndStatus::Error)).close(111);
    let is_earlier = |told: &Told, event: &PlatformEvent| told.account.is_of_earlier_try(event);
    assert!(!is_earlier(&told, &done("r", 105, EndStatus::Error)), "no other try runs");
    told.begin("r", 60_000).begin("other", 60_001);
    for (event, expected) in [
        (done("r", 110, EndStatus::Error), true),
        (done("r", 111, EndStatus::Error), false),
        (done("other", 105, EndStatus::Error), false),
        // It is made before the retry begins.
        (report("r", 59_999, EndStatus::Error), true),
        (report("r", 60_100, EndStatus::Error), false),
        (report("other", 105, EndStatus::Error), false),
        (start("r", 105), false),
    ] {
        assert_eq!(is_earlier(&told, &event), expected, "{event:?}");
    }
    // Each has one report: a second one is of the try that runs.
    told.event(&report("r", 120, EndStatus::Error));
    assert!(!is_earlier(&told, &report("r", 59_999, EndStatus::Error)));
    assert!(is_earlier(&told, &report("r", 120, EndStatus::Error)), "told twice");
    assert_eq!(told.account.finished[0].ended_at, at(120));
    assert!(told.account.open.iter().all(|open| open.finish.is_none()), "nothing was told of those that run");
}

#[test]
fn earlier_tries_are_remembered() {
    let mut told = Told::new(InitType::OnDemand);
    for ms in [100, 60_000] {
        told.begin("r", ms).event(&done("r", ms + 10, EndStatus::Error)).close(ms + 11);
    }
    told.begin("s", 120_000).event(&done("s", 120_010, EndStatus::Error)).close(120_011);
    let older = ["r", "s", "t"].map(|request_id| told.account.has_older(&request_id.into()));
    assert_eq!(older, [true, true, false]);
    for (request_id, ms, is_over) in
        [("r", 110, true), ("r", 60_010, true), ("r", 60_011, false), ("t", 1, false)]
    {
        assert_eq!(told.account.is_over_at(&request_id.into(), at(ms)), is_over, "{request_id} {ms}");
    }
}

#[test]
fn an_end_says_how_and_when_and_how_much_was_produced() {
    let mut told = Told::new(InitType::OnDemand);
    told.begin("r", 100).event(&done("r", 110, EndStatus::Error));
    let finish = told.account.open[0].finish.clone().expect("it was told");
    let Finish { ending, at: told_at, duration, produced_bytes, has_died, is_overlong } = finish;
    assert_eq!(
        (ending.status, told_at, duration),
        (EndStatus::Error, Some(at(110)), Some(Duration::from_millis(5)))
    );
    assert_eq!((produced_bytes, has_died, is_overlong), (Some(7), false, false));
    // A report alone has our own time in it, on demand.
    for (init_type, is_overlong) in [(InitType::OnDemand, true), (InitType::ManagedInstances, false)] {
        let mut told = Told::new(init_type);
        told.begin("r", 100).event(&report("r", 110, EndStatus::Timeout));
        let finish = told.account.open[0].finish.clone().expect("it was told");
        assert_eq!((finish.is_overlong, finish.has_died, finish.at), (is_overlong, true, Some(at(110))));
    }
}

#[test]
fn a_start_is_of_the_only_one_of_its_id_or_of_one_received_by_then() {
    let mut told = Told::new(InitType::OnDemand);
    told.begin("r", 100).event(&start("r", 150));
    assert_eq!(told.account.open[0].started_at, Some(at(150)), "the only one");
    // A retry: what begins after its INVOKE was received is of another one yet.
    for (ms, is_its) in [(59_990, true), (60_001, true), (60_002, false), (110, false)] {
        let mut told = Told::new(InitType::OnDemand);
        told.begin("r", 100).event(&done("r", 110, EndStatus::Error)).close(111);
        told.begin("r", 60_000).event(&start("r", ms));
        assert_eq!(told.account.open[0].started_at, is_its.then_some(at(ms)), "{ms}");
        let is_early = told.account.early.iter().any(|early| early.started_at == Some(at(ms)));
        assert_eq!(is_early, ms == 60_002, "{ms}: what is over is told of no more");
    }
}

#[test]
fn an_end_is_of_the_try_that_can_have_ended_then() {
    // Whether an earlier try is remembered, when the end was, and whether it is of the one that was received at 10 s and
    // may run until 910 s.
    for (has_older, ms, is_its) in [
        (false, 5_000, true),
        (false, 911_000, true),
        (false, 911_001, false),
        (false, 910_000 + 6 * 3_600_000 + 1, true),
        (true, 8_000, false),
        (true, 9_000, false),
        (true, 9_001, true),
        (true, 20_000, true),
        (true, 911_000, true),
        (true, 911_001, false),
    ] {
        let mut told = Told::new(InitType::OnDemand);
        if has_older {
            told.begin("r", 100).event(&done("r", 110, EndStatus::Error)).close(111);
        }
        told.begin("r", 10_000).event(&done("r", ms, EndStatus::Error));
        assert_eq!(told.account.open[0].finish.is_some(), is_its, "{has_older} {ms}");
        let is_early = told.account.early.iter().any(|early| early.finish.is_some());
        assert_eq!(is_early, !is_its, "{has_older} {ms}");
    }
}

#[test]
fn an_end_that_is_told_late_or_twice_changes_nothing_of_the_next_try() {
    let mut told = Told::new(InitType::OnDemand);
    told.begin("r", 100).event(&done("r", 110, EndStatus::Error)).close(111).begin("r", 60_000);
    for event in [done("r", 110, EndStatus::Error), report("r", 110, EndStatus::Error)] {
        told.event(&event);
        assert!(told.account.open[0].finish.is_none() && told.account.early.is_empty(), "{event:?}");
    }
    // Another time is of another try, though it is before the end: its clock was set back.
    told.event(&done("r", 109, EndStatus::Error));
    assert_eq!(told.account.early.len(), 1);
}

#[test]
fn an_end_that_was_never_told_is_noted_when_it_is() {
    let mut told = Told::new(InitType::OnDemand);
    told.begin("r", 100).begin("s", 200);
    told.account.close_older(now(201), &told.config, &told.announced, 1);
    assert_eq!(told.open(), ["s"]);
    let known = |told: &Told| (told.account.finished[0].is_done, told.account.finished[0].told_at);
    assert_eq!(known(&told), (false, None));
    told.event(&done("r", 150, EndStatus::Success));
    assert_eq!(known(&told), (true, Some(at(150))));
    assert_eq!((told.account.finished[0].ended_at, told.account.last_end), (at(150), at(150)));
    assert!(told.account.early.is_empty());
    // What ended long after its deadline is of one that is to come, and a report of nobody is of nobody.
    told.account.close_older(now(202), &told.config, &told.announced, 0);
    told.event(&done("s", 901_201, EndStatus::Success)).event(&report("t", 300, EndStatus::Success));
    let early: Vec<_> = told.account.early.iter().map(|early| &*early.request_id).collect();
    assert_eq!((early, told.account.finished[1].is_done), (alloc::vec!["s"], false));
    told.event(&done("s", 901_200, EndStatus::Success));
    assert!(told.account.finished[1].is_done);
}

#[test]
fn one_that_is_awaited_without_a_word_on_its_end_is_told_of_it() {
    let mut told = Told::new(InitType::OnDemand);
    told.account.on_sdk();
    told.begin("r", 100).begin("s", 200);
    told.account.close_older(now(201), &told.config, &told.announced, 1);
    told.event(&done("r", 901_101, EndStatus::Error));
    let finish = |told: &mut Told| told.account.awaited.find(&"r".into()).and_then(|of| of.finish.clone());
    assert!(finish(&mut told).is_none(), "it cannot have run so long");
    told.event(&done("r", 150, EndStatus::Error));
    assert_eq!(finish(&mut told).and_then(|finish| finish.at), Some(at(150)));
    told.event(&done("r", 160, EndStatus::Success));
    assert_eq!(finish(&mut told).and_then(|finish| finish.at), Some(at(150)), "the first word counts");
}

#[test]
fn the_last_word_is_awaited_where_the_platform_tells_of_ends_and_not_yet_of_the_last() {
    for (init_type, is_expected) in [(InitType::OnDemand, true), (InitType::ManagedInstances, false)] {
        let mut told = Told::new(init_type);
        let awaits = |told: &Told| told.account.awaits_last_word(&told.config);
        assert!(!awaits(&told), "nothing has begun");
        told.begin("r", 100);
        assert!(!awaits(&told), "the platform has told of none");
        told.event(&done("r", 110, EndStatus::Success));
        assert!(!awaits(&told), "it has told of the last");
        told.close(111).begin("s", 200);
        assert_eq!(awaits(&told), is_expected, "{init_type:?}");
        told.span(&span(1, 201, Kind::Server, Some("s"))).close(210);
        assert_eq!(awaits(&told), is_expected, "its own span has come, and it is closed");
        told.event(&done("s", 211, EndStatus::Success));
        assert!(!awaits(&told));
    }
}

#[test]
fn one_is_over_that_has_run_and_does_not_run_again() {
    let mut told = Told::new(InitType::OnDemand);
    told.begin("r", 100).event(&done("r", 110, EndStatus::Success)).close(111).begin("s", 200);
    let over = |told: &Told| ["r", "s", "t"].map(|request_id| told.account.is_over(&request_id.into()));
    assert_eq!(over(&told), [true, false, false]);
    told.begin("r", 60_000);
    assert_eq!(over(&told), [false, false, false]);
}

#[test]
fn where_several_run_all_are_over_that_began_before_the_oldest_that_is_open() {
    let mut told = Told::new(InitType::ManagedInstances);
    assert_eq!(told.account.all_over_before(), UnixNanos(0));
    told.begin("r", 100).begin("s", 200).begin("t", 300);
    assert_eq!(told.account.all_over_before(), at(99), "less what the platform may be off by");
    told.event(&done("r", 310, EndStatus::Success)).close(311);
    assert_eq!(told.account.all_over_before(), at(199));
    told.event(&done("t", 320, EndStatus::Success)).event(&done("s", 320, EndStatus::Success)).close(321);
    assert_eq!(told.account.all_over_before(), at(299), "none is open");
}

#[test]
fn a_span_that_began_long_after_the_deadline_is_of_a_retry() {
    // The deadline is 900 s after INVOKE; retries end six hours after it.
    let (last, retries) = (900_100 + 1_000, 900_100 + 6 * 3_600 * 1_000);
    for (ms, is_its) in [(101, true), (last, true), (last + 1, false), (retries, false), (retries + 1, true)]
    {
        let mut told = Told::new(InitType::OnDemand);
        told.begin("r", 100).span(&span(1, ms, Kind::Server, Some("r")));
        assert_eq!(told.account.open[0].entry.is_some(), is_its, "{ms}");
        assert_eq!(told.account.early.iter().any(|early| early.entry.is_some()), !is_its, "{ms}");
    }
}

#[test]
fn of_two_tries_under_one_id_a_span_is_of_the_last_that_had_begun() {
    for (ms, of) in [(150, 0), (60_010, 1)] {
        let mut told = Told::new(InitType::ManagedInstances);
        told.begin("r", 100).begin("r", 60_000);
        (told.account.open[0].from, told.account.open[1].from) = (at(100), at(60_000));
        told.span(&span(1, ms, Kind::Server, Some("r")));
        let named: Vec<_> = told.account.open.iter().map(|open| open.entry.is_some()).collect();
        assert_eq!(named, [of == 0, of == 1], "{ms}");
    }
}

#[test]
fn what_was_heard_before_invoke_is_of_an_earlier_try_if_it_ended_long_before() {
    enum Earlier {
        None,
        Other,
        Over,
        Open,
    }
    // INVOKE comes at 30,000 s; from a second before it, an end is the new try's, and from six hours before that an earlier
    // one's.
    let (received, last) = (30_000_000, 30_000_000 - 1_000);
    let first = last - 6 * 3_600_000;
    for (earlier, ms, is_its) in [
        (Earlier::None, last - 1, true),
        (Earlier::Other, last - 1, true),
        (Earlier::Over, last, true),
        (Earlier::Over, last - 1, false),
        (Earlier::Over, first, false),
        (Earlier::Over, first - 1, true),
        (Earlier::Open, last, true),
        (Earlier::Open, last - 1, false),
    ] {
        let mut told = Told::new(InitType::OnDemand);
        match earlier {
            Earlier::None => {}
            Earlier::Other => drop(told.begin("other", 100)),
            Earlier::Over => drop(told.begin("r", 100).event(&done("r", 110, EndStatus::Error)).close(111)),
            Earlier::Open => drop(told.begin("r", 100)),
        }
        let own = span(1, ms - 5, Kind::Server, Some("r"));
        let entry = Entry { place: Place::of(&own), end: own.end, receipt: 1, tells_death: false };
        told.account.early(&"r".into()).expect("it is noted").entry = Some(entry);
        told.begin("r", received);
        let begun = told.account.open.last().expect("it has begun");
        assert_eq!((begun.entry.is_some(), told.account.early.len()), (is_its, 0), "{ms}");
    }
}

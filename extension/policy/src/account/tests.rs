//! The account told of one thing after another: what it makes of each.

use super::*;
use crate::announced::Announced;
use crate::platform::{Ending, InitType, Response, Usage};
use crate::span::{Kind, SpanId, TraceId};

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
        self.account.on_span(&self.config, span);
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

/// An entry span in trace 9, which came in this request.
fn entry(span_id: u8, parent: Option<u8>, end: u64, receipt: u64) -> Entry {
    Entry {
        place: Place { trace_id: trace(9), span_id: id(span_id), parent: parent.map(id) },
        end: at(end),
        receipt,
    }
}

#[test]
fn of_two_spans_that_name_an_invocation_the_outer_one_stands_for_it() {
    for (known, other, stands) in [
        (None, entry(1, None, 5, 1), 1),
        (Some(entry(1, Some(2), 5, 1)), entry(2, None, 9, 1), 2),
        (Some(entry(1, None, 5, 1)), entry(2, Some(1), 9, 1), 1),
        (Some(entry(1, None, 5, 1)), entry(2, None, 9, 1), 1),
    ] {
        let mut noted = known;
        note_entry(&mut noted, other);
        assert_eq!(noted.map(|entry| entry.place.span_id), Some(id(stands)));
    }
}

#[test]
fn a_span_misleads_if_another_ends_later_and_comes_in_a_later_request() {
    let known = entry(1, None, 5, 1);
    for (other, misleads) in [
        (entry(2, None, 9, 2), true),
        (entry(2, None, 9, 1), false),
        (entry(2, None, 5, 2), false),
        (entry(1, None, 9, 2), false),
    ] {
        assert_eq!(misled(&known, &other), misleads);
    }
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
            let over = told.account.over_at(&told.config, at(ms));
            assert_eq!(over.is_some(), is_its, "{init_type:?} {ms}");
        }
        // One that is over and was held for long: what began after the next one is of that.
        told.event(&report("r", 2_500, EndStatus::Success));
        let over = [999, 1_000, 2_200].map(|ms| told.account.over_at(&told.config, at(ms)).is_some());
        assert_eq!(over, [init_type == InitType::OnDemand, false, false], "{init_type:?}");
    }
    let mut told = Told::new(InitType::OnDemand);
    told.begin("r", 2_000).event(&done("r", 2_010, EndStatus::Success)).close(2_011);
    for (ms, is_its) in [(999, false), (1_000, true), (2_010, true), (2_011, false)] {
        assert_eq!(told.account.over_at(&told.config, at(ms)).is_some(), is_its, "none runs, {ms}");
    }
}

#[test]
fn a_start_is_known_by_its_id_and_its_time() {
    let mut told = Told::new(InitType::ManagedInstances);
    told.begin("r", 100).begin("s", 200).event(&done("r", 110, EndStatus::Success)).close(111);
    for (request_id, ms, is_known) in
        [("r", 100, true), ("r", 101, false), ("s", 200, true), ("s", 100, false), ("t", 100, false)]
    {
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

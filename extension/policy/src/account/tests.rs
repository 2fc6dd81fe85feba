//! The account told of one thing after another: what it makes of each.

use super::*;
use crate::announced::Announced;
use crate::platform::{
    EndStatus, Ending, InitType, PlatformEvent, Response, Shutdown, ShutdownReason, Usage, XrayContext,
};
use crate::span::{Kind, SpanId, TraceId};
use invocation::Entry;

mod burying;
mod closing;
mod ending;
mod hearing;
mod over;
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
        assert_eq!(told.account.unbegun.iter().any(|early| early.flush_requested), is_early, "{named:?}");
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

/// A span that names an invocation whose INVOKE has not been read tells of an end that nobody knew; one that is over and forgotten,
/// of nothing new.
#[test]
fn an_entry_span_of_what_has_not_begun_tells_of_its_end() {
    for (named, is_heard) in [("later", true), ("over", false), ("r", true)] {
        let mut told = Told::new(InitType::OnDemand);
        told.begin("over", 10).event(&done("over", 15, EndStatus::Success)).close(16).begin("r", 100);
        assert!(told.account.take_heard(), "of the one that is over");
        told.span(&span(2, 101, Kind::Server, Some(named)));
        assert_eq!((told.account.take_heard(), told.account.tells_ends()), (is_heard, is_heard), "{named}");
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
        let is_early = told.account.unbegun.iter().any(|early| early.started_at == Some(at(ms)));
        assert_eq!(is_early, ms == 60_002, "{ms}: what is over is told of no more");
    }
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
        assert_eq!(told.account.unbegun.iter().any(|early| early.entry.is_some()), !is_its, "{ms}");
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
        told.account.unbegun.note(&"r".into()).expect("it is noted").entry = Some(entry);
        told.begin("r", received);
        let begun = told.account.open.last().expect("it has begun");
        assert_eq!((begun.entry.is_some(), told.account.unbegun.iter().count()), (is_its, 0), "{ms}");
    }
}

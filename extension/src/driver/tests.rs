//! The end of the loop: nothing that was answered with 200 is forgotten, and nothing more is taken.

use std::path::PathBuf;

use bytes::Bytes;
use policy::{Config, InitType, Measuring, Shutdown, ShutdownReason, Signal, SpoolMode, UnixNanos};

use super::*;
use crate::settings::Vaults;
use crate::spool::Leftover;

/// A folder that is taken away.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        Self(std::env::temp_dir().join(format!("prefreeze-driver-{name}-{}", std::process::id())))
    }

    /// As it is now, for another process while this one lives.
    fn copy_to(&self, copy: &Self) {
        std::fs::create_dir(&copy.0).expect("a folder");
        for entry in std::fs::read_dir(&self.0).expect("the folder").flatten() {
            std::fs::copy(entry.path(), copy.0.join(entry.file_name())).expect("a copy");
        }
    }

    /// What a next process would find there.
    fn leftovers(&self) -> Vec<Leftover> {
        let spool = Spool::open(&self.0, 1 << 20).expect("the folder is ours");
        std::iter::from_fn(|| spool.find_more()).flatten().collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

const UNLIMITED: RequestLimits = [policy::RequestLimit::NONE; 3];

fn driver(folder: &Folder, inbox: &Inbox, clock: Clock) -> Driver {
    let spool = Spool::open(&folder.0, 1 << 20).expect("a temporary folder can be written");
    let usual = Config::default();
    let config = Config { spool: SpoolMode::Always, measuring: Measuring::OFF, ..usual };
    Driver {
        prices: config.prices.clone(),
        agent: Agent::new(config),
        clock,
        exporter: Exporter::new([], None, Vaults::default(), inbox.clone(), clock),
        identity: Arc::default(),
        measured_as: None,
        next: mpsc::unbounded_channel().0,
        emf_namespace: String::new(),
        function_name: "orders".into(),
        inbox: inbox.clone(),
        destinations: Vec::new(),
        request_limits: UNLIMITED,
        spool: Some(spool),
        socket: None,
        records_invocations: false,
        invocation: None,
        guarding: Guarding::default(),
        refusals: Default::default(),
        is_snapshot: false,
        names_instance: true,
        guarded: Default::default(),
        recovery: None,
        is_asked: false,
    }
}

fn shutdown(clock: Clock) -> Message {
    Message::Input(Input::Shutdown(Shutdown {
        reason: ShutdownReason::Spindown,
        // Past: it ends with the first look at the clock.
        deadline: clock.now(),
        received_at: UnixNanos(0),
        waited: policy::Duration::ZERO,
    }))
}

/// A request with one span of this id.
fn encoded(id: u8) -> Bytes {
    // ResourceSpans { ScopeSpans { Span { trace_id, span_id } } }
    let span = [&[0x0a, 16][..], &[7; 16], &[0x12, 8], &[id; 8]].concat();
    let scope = [&[0x12, span.len() as u8][..], &span].concat();
    let resource = [&[0x12, scope.len() as u8][..], &scope].concat();
    [&[0x0a, resource.len() as u8][..], &resource].concat().into()
}

/// One, scanned: what the receiver hands over before it answers.
fn request() -> Input<Body> {
    let scanned = wire::otlp::scan(Signal::Traces, &encoded(9)).expect("it is a request");
    assert_eq!(scanned.receipt.spans.len(), 1);
    Input::Received(scanned.receipt)
}

fn invoke(clock: Clock, request_id: &str) -> Input<Body> {
    let minute = policy::Duration::from_secs(60);
    Input::Invoke(policy::Invoke {
        request_id: request_id.into(),
        deadline: clock.now() + minute,
        deadline_at: clock.wall() + minute,
        received_at: clock.wall(),
        arn: "".into(),
        xray: None,
        waited: policy::Duration::ZERO,
    })
}

#[tokio::test]
async fn what_was_accepted_before_the_end_is_kept() {
    let (folder, clock) = (Folder::new("kept"), Clock::start());
    let (inbox, received) = Inbox::new();
    let driver = driver(&folder, &inbox, clock);
    inbox.send(Message::Input(Input::Ready));
    inbox.send(shutdown(clock));
    // Accepted when the loop has not yet read that the environment ends.
    for _ in 0..3 {
        inbox.send(Message::Input(Input::Receiving));
        assert!(inbox.offer(request()));
    }
    Box::new(driver).run(received).await;
    let count: u64 = folder.leftovers().iter().map(|leftover| leftover.count).sum();
    assert_eq!(count, 3, "spans on disk");
    assert!(!inbox.offer(request()), "nothing more is taken");
}

#[tokio::test]
async fn the_first_event_after_a_snapshot_brings_new_randomness() {
    let (folder, clock) = (Folder::new("snapshot"), Clock::start());
    let (inbox, _received) = Inbox::new();
    let mut driver = driver(&folder, &inbox, clock);
    driver.agent = Agent::new(Config { init_type: InitType::SnapStart, ..Config::default() });
    driver.is_snapshot = true;
    driver.take(Input::Ready);
    assert!(driver.is_snapshot, "the snapshot is taken after this");
    driver.carry_out();
    driver.hear(shutdown(clock));
    assert!(!driver.is_snapshot);
}

#[tokio::test]
async fn what_a_killed_process_left_is_read_when_next_was_asked_and_before_an_invocation_is_heard_of() {
    let (folder, clock) = (Folder::new("recovery"), Clock::start());
    let left = Spool::open(&folder.0, 1 << 20).expect("a temporary folder can be written");
    left.write(Kind::Parked(LaneId::of(Signal::Traces)), 3, b"three spans").expect("there is room");
    drop(left);
    let (inbox, received) = Inbox::new();
    let mut driver = driver(&folder, &inbox, clock);
    let (next, mut permits) = mpsc::unbounded_channel();
    let spool = driver.spool.clone().expect("it was opened");
    assert!(spool.has_unread(), "opening reads nothing");
    (driver.next, driver.recovery) = (next, Some(Recovery::new(spool.clone(), 1 << 20, UNLIMITED)));
    inbox.send(Message::Input(Input::Ready));
    inbox.send(shutdown(clock));
    let running = tokio::spawn(Box::new(driver).run(received));
    permits.recv().await.expect("`/next` may be asked");
    assert!(spool.has_unread(), "nothing was read before");
    running.await.expect("it does not panic");
    assert!(!spool.has_unread(), "it was read before the end was heard of");
}

/// K. The function's own span was acknowledged and is settled, another request is under way, and our process is killed: the
/// record of the invocation says that nothing came of it.
#[test]
fn k_a_kill_between_the_acknowledgement_of_the_own_span_and_next_makes_no_second_root() {
    use policy::{Content, FlushMode, Kind as SpanKind, Outcome};
    let (folder, copy) = (Folder::new("own"), Folder::new("own-copy"));
    let ((inbox, _received), clock) = (Inbox::new(), Clock::start());
    let mut driver = driver(&folder, &inbox, clock);
    driver.records_invocations = true;
    let usual = Config::default();
    let bounds = policy::Bounds { batch_items: 1, ..usual.bounds };
    let config = Config {
        spool: SpoolMode::Always,
        flush: FlushMode::End,
        bounds,
        measuring: Measuring::OFF,
        ..usual
    };
    driver.agent = Agent::new(config.clone());
    driver.take(Input::Ready);
    driver.carry_out();
    let wall = clock.wall();
    driver.take(invoke(clock, "r-1"));
    let mut flying = Vec::new();
    for (id, is_own) in [(1u8, false), (2, true)] {
        let bytes = encoded(id);
        let mut receipt = wire::otlp::scan(Signal::Traces, &bytes).expect("it is a request").receipt;
        let keepsake =
            driver.spool.as_ref().expect("a spool").keep(Kind::Accepted(Signal::Traces), 1, &bytes);
        receipt.spans[0].body.keep(keepsake.expect("there is room"));
        (receipt.spans[0].start, receipt.spans[0].end) = (wall, clock.wall());
        if is_own {
            (receipt.spans[0].kind, receipt.spans[0].request_id) = (SpanKind::Server, Some("r-1".into()));
        }
        driver.take(Input::Receiving);
        driver.take(Input::Received(receipt));
        while let Some(output) = driver.agent.poll() {
            assert!(!matches!(output, Output::Next));
            if let Output::Export { id, .. } = output {
                flying.push(id);
            }
        }
    }
    assert_eq!(flying.len(), 2);
    let outcome = Outcome::Delivered { rejected: 0 };
    driver.take(Input::Exported { id: flying[1], outcome, raw_bytes: 1, sent_bytes: 1 });
    assert!(driver.agent.poll().is_none(), "/next is not asked while the other one is under way");
    assert_eq!(driver.agent.ledger().spans.delivered, 1, "the own span");
    // SIGKILL: what is on disk now is what the next process finds.
    folder.copy_to(&copy);
    let mut recovery = Recovery::new(Spool::open(&copy.0, 1 << 20).expect("the copy"), 1 << 20, UNLIMITED);
    let mut next: Agent<Body> = Agent::new(config);
    next.handle(clock.now(), Input::Ready);
    while let Some(inputs) = recovery.step() {
        inputs.into_iter().for_each(|input| next.handle(clock.now(), input));
    }
    next.handle(clock.now(), invoke(clock, "r-2"));
    next.handle(clock.now(), Input::Flush { request_id: Some("r-2".into()) });
    let mut made = Vec::new();
    for _ in 0..10 {
        while let Some(output) = next.poll() {
            if let Output::Export { id, entries, .. } = output {
                made.extend(entries.iter().filter_map(|entry| match &entry.content {
                    Content::Made(span) => Some((span.attributes[0].1.clone(), span.error_type.clone())),
                    _ => None,
                }));
                next.handle(clock.now(), Input::Exported { id, outcome, raw_bytes: 1, sent_bytes: 1 });
            }
        }
    }
    let of_it: Vec<_> = made.iter().filter(|(id, _)| *id == policy::Value::Text("r-1".into())).collect();
    assert!(of_it.is_empty(), "r-1 has its own root at the backend, and now a second one: {of_it:?}");
}

/// The platform has told of a good end, the root that was made is under way, and our process is killed.
#[test]
fn a_kill_while_the_made_root_is_under_way_makes_no_failure_of_a_success() {
    use policy::{Content, EndStatus, Ending, FlushMode, Outcome, PlatformEvent, Response};
    let (folder, copy) = (Folder::new("made"), Folder::new("made-copy"));
    let ((inbox, _received), clock) = (Inbox::new(), Clock::start());
    let mut driver = driver(&folder, &inbox, clock);
    driver.records_invocations = true;
    let config = Config {
        spool: SpoolMode::Always,
        flush: FlushMode::End,
        measuring: Measuring::OFF,
        ..Config::default()
    };
    driver.agent = Agent::new(config.clone());
    driver.take(Input::Ready);
    driver.carry_out();
    driver.take(invoke(clock, "r-1"));
    driver.take(Input::Platform(PlatformEvent::RuntimeDone {
        request_id: "r-1".into(),
        at: clock.wall(),
        ending: Ending { status: EndStatus::Success, error_type: None },
        duration: None,
        produced_bytes: None,
        response: Response::default(),
    }));
    let (mut made, mut flying) = (None, None);
    while let Some(output) = driver.agent.poll() {
        if let Output::Export { id, entries, .. } = output {
            flying = Some(id);
            let (invocation, spool) =
                (driver.invocation.as_mut().expect("it is on record"), driver.spool.as_ref());
            invocation.on_export(spool.expect("a spool"), &driver.identity, id, &entries, true);
            made = entries.iter().find_map(|entry| match &entry.content {
                Content::Made(span) => Some(span.clone()),
                _ => None,
            });
        }
    }
    let made = made.expect("a root for the silent function");
    assert_eq!(made.error_type, None);
    // SIGKILL: what is on disk now is what the next process finds.
    folder.copy_to(&copy);
    let mut recovery = Recovery::new(Spool::open(&copy.0, 1 << 20).expect("the copy"), 1 << 20, UNLIMITED);
    let mut next: Agent<Body> = Agent::new(config);
    next.handle(clock.now(), Input::Ready);
    let mut found = Vec::new();
    while let Some(inputs) = recovery.step() {
        for input in inputs {
            if let Input::Recovered { receipt, .. } = &input {
                found.extend(receipt.spans.iter().map(|span| (span.span_id, span.end, span.is_error)));
            }
            next.handle(clock.now(), input);
        }
    }
    assert_eq!(found, [(made.span_id, made.end, false)], "the same span");
    assert_eq!(next.ledger().spans.made, 0, "and none that says something else");
    // Delivered, it is not sent again.
    let (id, outcome) = (flying.expect("it is under way"), Outcome::Delivered { rejected: 0 });
    driver.take(Input::Exported { id, outcome, raw_bytes: 1, sent_bytes: 1 });
    let kinds: Vec<_> = folder.leftovers().iter().map(|left| left.kind).collect();
    assert!(!kinds.contains(&Kind::Accepted(Signal::Traces)), "{kinds:?}");
}

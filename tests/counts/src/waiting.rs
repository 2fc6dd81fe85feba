//! What the policy does for many spans that wait: for traces that are not judged yet, and for one invocation at its end.

use policy::sampling::{Ratio, Sampling, Slow};
use policy::{
    Agent, Bounds, Config, DropReason, EndStatus, Ending, FlushMode, InitType, Input, Instant, Invoke, Kind,
    PlatformEvent, Receipt, Response, Span, SpanId, SpoolMode, TraceId, UnixNanos,
};

/// One span for so many bytes of the length.
const BYTES: usize = 16;
/// Spans of one request.
const REQUEST: u64 = 64;

fn span(trace: u64, number: u64, parent: Option<u64>) -> Span<()> {
    let mut trace_id = [0; 16];
    trace_id[..8].copy_from_slice(&trace.to_be_bytes());
    trace_id[8..].copy_from_slice(&trace.to_be_bytes());
    let id = |number: u64| SpanId::new(number.to_be_bytes()).expect("not zero");
    Span {
        trace_id: TraceId::new(trace_id).expect("not zero"),
        span_id: id(number),
        parent: parent.map(id),
        parent_is_remote: None,
        kind: Kind::Client,
        start: UnixNanos(number),
        end: UnixNanos(number + 1),
        is_error: false,
        request_id: None,
        size: 100,
        body: (),
    }
}

fn receive(agent: &mut Agent<()>, now: Instant, spans: Vec<Span<()>>) {
    agent.handle(now, Input::Receiving);
    agent.handle(now, Input::Received(Receipt { spans, parcels: Vec::new() }));
    while agent.poll().is_some() {}
}

fn invoke(now: Instant) -> Invoke {
    Invoke {
        request_id: "r-1".into(),
        deadline: now + std::time::Duration::from_secs(60),
        deadline_at: UnixNanos(60_000_000_000),
        received_at: UnixNanos(0),
        arn: "".into(),
        xray: None,
        waited: std::time::Duration::ZERO,
    }
}

/// On a managed instance, where one invocation never ends: any trace that names none may be of it, and waits.
pub(crate) fn traces(length: usize) {
    let ratio = Ratio::new(0.000_1).expect("a share");
    let (slow, off) = (Slow::Never, false);
    let sampling = Sampling { ratio, keeps_cold_starts: off, slow, keeps_rare: off, ..Sampling::default() };
    let bounds = Bounds { held_bytes: 32 << 20, ..Config::default().bounds };
    let init_type = InitType::ManagedInstances;
    let mut agent = Agent::<()>::new(Config { init_type, sampling, bounds, ..Config::default() });
    agent.handle(Instant::default(), Input::Ready);
    let start = PlatformEvent::Start { request_id: "runs".into(), at: UnixNanos(0) };
    agent.handle(Instant::default(), Input::Platform(start));
    for number in 1..=(length / BYTES) as u64 {
        let now = Instant::from_nanos(number * 1_000_000);
        receive(&mut agent, now, vec![span(number, number, None)]);
        agent.handle(now, Input::Tick);
        while agent.poll().is_some() {}
    }
}

/// One invocation sends more traces than memory takes: nearly all would be left out, unless it fails.
pub(crate) fn shedding(length: usize) {
    let ratio = Ratio::new(0.01).expect("a share");
    let (slow, off) = (Slow::Never, false);
    let sampling = Sampling { ratio, keeps_cold_starts: off, slow, keeps_rare: off, ..Sampling::default() };
    // A quarter fits, with what each costs beside its hundred bytes while it waits.
    crowd(length, Config { sampling, ..Config::default() }, length / BYTES / 4 * 612, |_| false);
}

/// One invocation sends more spans than memory takes: the first quarter are failures, and outlast the others.
pub(crate) fn giving_up(length: usize) {
    let count = (length / BYTES) as u64;
    crowd(length, Config::default(), length / BYTES / 2 * 228, |number| number <= count / 4);
}

/// One invocation sends spans of a trace each, in requests, where so many bytes may be held, and there is no disk.
fn crowd(length: usize, config: Config, held_bytes: usize, is_error: impl Fn(u64) -> bool) {
    let bounds = Bounds { held_bytes, ..config.bounds };
    let mut agent = Agent::<()>::new(Config { bounds, spool: SpoolMode::Off, ..config });
    let now = Instant::from_nanos(1_000_000_000);
    agent.handle(now, Input::Ready);
    agent.handle(now, Input::Invoke(invoke(now)));
    // The last bytes of a trace's id are its randomness: they must be spread.
    let span = |number: u64| Span {
        is_error: is_error(number),
        ..span(number.wrapping_mul(0x9e37_79b9_7f4a_7c15), number, None)
    };
    for first in (1..=(length / BYTES) as u64).step_by(REQUEST as usize) {
        receive(&mut agent, now, (first..first + REQUEST).map(span).collect());
    }
    assert!(agent.ledger().spans.dropped_for(DropReason::OutboxFull) > 0, "there was room for all");
}

/// The function dies with many spans sent whose parents never came.
pub(crate) fn relatives(length: usize) {
    let mut agent = Agent::<()>::new(Config { flush: FlushMode::End, ..Config::default() });
    let now = Instant::from_nanos(1_000_000_000);
    agent.handle(now, Input::Ready);
    agent.handle(now, Input::Invoke(invoke(now)));
    let count = (length / BYTES) as u64;
    receive(&mut agent, now, (1..=count).map(|number| span(1, number, Some(number + count))).collect());
    let class = Some("Runtime.ExitError".into());
    let done = PlatformEvent::RuntimeDone {
        request_id: "r-1".into(),
        at: UnixNanos(1_000_000_000),
        ending: Ending { status: EndStatus::Error, error_type: class },
        duration: None,
        produced_bytes: None,
        response: Response::default(),
    };
    agent.handle(now, Input::Platform(done));
    while agent.poll().is_some() {}
}

//! Nothing is dropped in silence: for every reason there is a line at the time, and only one.

use policy::{
    Agent, Bounds, Config, Destinations, DropReason, FlushMode, Input, Instant, Kind, LaneId, Ledger,
    Measuring, Notice, Outcome, Output, Parked, Place, Receipt, Shutdown, ShutdownReason, Signal, Span,
    SpoolMode, UnixNanos,
};

use crate::made;

/// What the backend answers, and whether the spool can be written and read.
#[derive(Clone, Copy)]
struct World {
    outcome: Outcome,
    has_disk: bool,
}

/// Three spans, each in a request of its own, or on disk; then the end. What was said, and the books.
fn live(config: Config, world: World, inputs: Vec<Input<()>>) -> (Vec<Notice>, Ledger) {
    let mut agent: Agent<()> =
        Agent::new(Config { flush: FlushMode::End, measuring: Measuring::OFF, ..config });
    let (mut said, mut inputs) = (Vec::new(), std::collections::VecDeque::from(inputs));
    let mut now = 0;
    for _ in 0..1_000 {
        let Some(input) = inputs.pop_front().or_else(|| {
            now = agent.deadline()?.as_nanos().max(now);
            Some(Input::Tick)
        }) else {
            break;
        };
        agent.handle(Instant::from_nanos(now), input);
        while let Some(output) = agent.poll() {
            match output {
                Output::Say(notice) => said.push(notice),
                Output::Export { id, .. } => {
                    inputs.push_front(Input::Exported {
                        id,
                        outcome: world.outcome,
                        raw_bytes: 1,
                        sent_bytes: 1,
                    });
                }
                Output::Park { lane, .. } => {
                    inputs.push_front(Input::Parked { lane, place: world.has_disk.then_some(Place(1)) });
                }
                Output::Unpark { lane, .. } => {
                    inputs.push_front(Input::Unparked { lane, receipt: Receipt::EMPTY });
                }
                Output::Close => inputs.push_back(Input::Closed),
                _ => {}
            }
        }
    }
    (said, *agent.ledger())
}

fn request(id: u8) -> [Input<()>; 2] {
    let span = Span { kind: Kind::Client, ..made::span([id; 8], None, 400, ()) };
    [Input::Receiving, Input::Received(Receipt { spans: vec![span], parcels: Vec::new() })]
}

fn requests() -> Vec<Input<()>> {
    let end = Input::Shutdown(Shutdown {
        reason: ShutdownReason::Spindown,
        deadline: Instant::from_nanos(2_000_000_000),
        received_at: UnixNanos(0),
        waited: policy::Duration::ZERO,
    });
    [Input::Ready].into_iter().chain((1..=3).flat_map(request)).chain([end]).collect()
}

/// The line of a reason: `None` where the summary has it, in the same moment, or the backend has the item.
const fn line(reason: DropReason) -> Option<Notice> {
    const OF: Signal = Signal::Traces;
    match reason {
        DropReason::NoDestination => Some(Notice::NoDestination(OF)),
        DropReason::OutboxFull => Some(Notice::OutboxFull(OF)),
        DropReason::Rejected => Some(Notice::Rejected { lane: LaneId::of(OF), status: 400 }),
        DropReason::PartlyRejected => Some(Notice::PartlyRejected(LaneId::of(OF))),
        DropReason::TooLarge => Some(Notice::TooLarge(LaneId::of(OF))),
        DropReason::SpoolUnreadable => Some(Notice::SpoolUnreadable(LaneId::of(OF))),
        DropReason::Shutdown | DropReason::Replaced => None,
    }
}

fn dropped_for(reason: DropReason) -> Option<(Vec<Notice>, Ledger)> {
    let usual = Config::default();
    let well = World { outcome: Outcome::Delivered { rejected: 0 }, has_disk: true };
    let answering = |outcome| live(Config::default(), World { outcome, ..well }, requests());
    Some(match reason {
        DropReason::NoDestination => live(
            Config { destinations: Destinations { traces: false, ..Destinations::ALL }, ..usual },
            well,
            requests(),
        ),
        DropReason::OutboxFull => {
            let bounds = Bounds { held_bytes: 1_000, ..usual.bounds };
            live(Config { bounds, spool: SpoolMode::Off, ..usual }, well, requests())
        }
        DropReason::Rejected => answering(Outcome::Rejected { status: 400 }),
        DropReason::PartlyRejected => answering(Outcome::Delivered { rejected: 1 }),
        DropReason::TooLarge => answering(Outcome::TooLarge),
        DropReason::Shutdown => {
            let outcome = Outcome::Retry { after: None };
            live(Config { spool: SpoolMode::Off, ..usual }, World { outcome, has_disk: false }, requests())
        }
        DropReason::SpoolUnreadable => {
            let mut inputs = requests();
            for number in [7, 8] {
                let parked =
                    Parked { place: Place(number), lane: LaneId::of(Signal::Traces), count: 2, size: 200 };
                inputs.insert(1, Input::Found(parked));
            }
            live(usual, well, inputs)
        }
        // The backend has one of that id: `announced` and `roots` tell.
        DropReason::Replaced => return None,
    })
}

#[test]
fn every_reason_to_drop_has_its_line_once() {
    for reason in DropReason::ALL {
        let Some((said, ledger)) = dropped_for(reason) else { continue };
        assert!(ledger.spans.dropped_for(reason) > 0, "{reason:?}: {:?}", ledger.spans);
        assert!(matches!(said.last(), Some(Notice::Summary(_))), "{reason:?}: {said:?}");
        if let Some(line) = line(reason) {
            assert_eq!(said.iter().filter(|notice| **notice == line).count(), 1, "{reason:?}: {said:?}");
        }
    }
}

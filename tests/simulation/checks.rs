//! What must hold after every step, whatever happened.

use std::sync::OnceLock;

use policy::{Agent, Phase, Signal};

use super::disk::Body;

/// Checks the agent itself.
pub(crate) fn after_step(agent: &Agent<Body>, is_managed: bool) {
    for signal in Signal::ALL {
        let counts = agent.ledger().of(signal);
        let gone = counts.delivered + counts.sampled_out + counts.dropped.iter().sum::<u64>();
        assert!(
            gone <= counts.received + counts.recovered + counts.made + counts.copied,
            "{signal:?}: more went than came: {counts:?}"
        );
        assert_eq!(
            counts.held(),
            agent.held_items(signal),
            "{signal:?}: the books do not balance: {counts:?}"
        );
    }
    for lane in agent.lane_ids() {
        let (books, held) = agent.lane_books(lane).expect("it is there");
        assert_eq!(books.held(), held, "{lane:?}: the books of the lane do not balance: {books:?}");
    }
    let may_freeze = agent.phase() == Phase::Waiting && !is_managed;
    if may_freeze || agent.phase() == Phase::Exited {
        assert_eq!(agent.deadline(), None, "a timer is armed in {:?}", agent.phase());
    }
}

/// Whether the check of this name is on: `SIM_WITHOUT="root trace,resent"` leaves these two out, to look behind what they
/// find.
pub(crate) fn is_on(name: &str) -> bool {
    static WITHOUT: OnceLock<Vec<String>> = OnceLock::new();
    let without = WITHOUT.get_or_init(|| {
        let names = std::env::var("SIM_WITHOUT").unwrap_or_default();
        names.split(',').map(|name| name.trim().to_owned()).collect()
    });
    !without.iter().any(|other| other == name)
}

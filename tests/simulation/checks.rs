//! What must hold after every step, whatever happened.

use policy::{Agent, Phase, Signal};

use super::disk::Body;

/// Checks the agent itself.
pub(crate) fn after_step(agent: &Agent<Body>, is_managed: bool) {
    for signal in Signal::ALL {
        let counts = agent.ledger().of(signal);
        let gone = counts.delivered + counts.sampled_out + counts.dropped.iter().sum::<u64>();
        assert!(
            gone <= counts.received + counts.recovered + counts.made,
            "{signal:?}: more went than came: {counts:?}"
        );
        assert_eq!(
            counts.held(),
            agent.held_items(signal),
            "{signal:?}: the books do not balance: {counts:?}"
        );
    }
    let may_freeze = agent.phase() == Phase::Waiting && !is_managed;
    if may_freeze || agent.phase() == Phase::Exited {
        assert_eq!(agent.deadline(), None, "a timer is armed in {:?}", agent.phase());
    }
}

//! What there is too little of: memory, and time on the CPU.

use std::time::Duration;

use tokio::time::Instant;

use super::Environment;
use crate::history::What;
use crate::machine::{Input, Role};
use crate::process;

/// How often memory is looked at while it is enforced: a process grows by some tens of megabytes meanwhile.
const LOOK: Duration = Duration::from_millis(5);
/// The kernel, too, gives its share in every tenth of a second.
const PERIOD: Duration = Duration::from_millis(100);

/// What the environment's faults limit, and when to look again.
#[derive(Debug)]
pub(super) struct Limits {
    pub(super) is_frozen: bool,
    /// Whether the processes are stopped for the rest of the period.
    is_throttled: bool,
    due: Instant,
    /// One is dying for want of memory.
    has_killed: Option<i32>,
}

impl Limits {
    pub(super) fn new() -> Self {
        Self { is_frozen: false, is_throttled: false, due: Instant::now(), has_killed: None }
    }
}

impl Environment {
    /// When [`Self::limit`] is due; never where nothing is limited, or while nothing runs.
    pub(super) fn limits_due(&self) -> Option<Instant> {
        let faults = &self.spec.faults;
        let is_limited = faults.enforces_memory || faults.cpu_percent.is_some();
        (is_limited && !self.limits.is_frozen && !self.processes.is_empty()).then_some(self.limits.due)
    }

    pub(super) async fn limit(&mut self) {
        self.limits.due = Instant::now() + LOOK;
        if let Some(percent) = self.spec.faults.cpu_percent {
            self.throttle(percent);
        }
        if self.spec.faults.enforces_memory {
            self.enforce_memory().await;
        }
    }

    /// Stops everything for its part of the period, or lets it go on.
    fn throttle(&mut self, percent: u8) {
        let share = PERIOD * u32::from(percent.clamp(1, 99)) / 100;
        let is_throttled = !self.limits.is_throttled;
        self.limits.is_throttled = is_throttled;
        if is_throttled {
            process::stop(&self.groups());
            self.limits.due = Instant::now() + (PERIOD - share);
        } else {
            process::thaw(&self.groups());
            self.limits.due = Instant::now() + share;
        }
    }

    /// Kills the largest process where all of them hold too much, as the kernel would.
    async fn enforce_memory(&mut self) {
        let held = |role: &Role| {
            let group = self.processes[role].group;
            (*role, group, process::resident_now_mb(group))
        };
        let all: Vec<_> = self.processes.keys().map(held).collect();
        let total: u64 = all.iter().map(|(.., mb)| mb).sum();
        let Some((role, group, _)) = all.into_iter().max_by_key(|(.., mb)| *mb) else { return };
        if total > u64::from(self.facts.memory_mb) && self.limits.has_killed != Some(group) {
            self.limits.has_killed = Some(group);
            self.note(What::OutOfMemory { mb: total });
            self.step(Input::OutOfMemory { role }).await;
        }
    }
}

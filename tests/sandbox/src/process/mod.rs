//! Real processes: how they are started, watched, stopped, and never left behind.

mod group;
mod launch;
mod logs;
mod variables;
mod watchdog;

pub(crate) use group::{freeze, members, resident_mb, resident_now_mb, stop, thaw};
pub(crate) use launch::{Launch, LaunchError, Process};
pub(crate) use logs::{Drained, LogWatch};
pub(crate) use variables::{Surroundings, Variables, of_extension, of_runtime};
pub(crate) use watchdog::Watchdog;

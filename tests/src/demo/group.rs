//! A child process in a process group of its own, which ends when we do, with all that it started.

use std::io;

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use tokio::process::{Child, Command};

/// Dropping it kills the group.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) leader: Child,
}

impl Group {
    /// Ctrl-C in a terminal reaches the foreground group: this one it spares, so that we decide what ends when.
    pub(super) fn spawn(command: &mut Command) -> io::Result<Self> {
        Ok(Self { leader: command.process_group(0).kill_on_drop(true).spawn()? })
    }

    /// Kills the group and waits until its leader is gone.
    pub(super) async fn end(mut self) {
        self.kill();
        // It fails only where the child was waited for before.
        let _ = self.leader.wait().await;
    }

    fn kill(&self) {
        // No id means that the leader was waited for: its number may be somebody else's by now.
        let id = self.leader.id().and_then(|id| i32::try_from(id).ok());
        if let Some(id) = id {
            // It fails only where the whole group is gone.
            let _ = killpg(Pid::from_raw(id), Signal::SIGKILL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

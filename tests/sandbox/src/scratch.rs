//! The directory that stands for the private /tmp of the environments.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::clock::{Clock, Time};
use crate::config::LambdaConfig;

/// Makes a directory that no other service uses. The watchdog removes it.
pub(crate) fn make(config: &LambdaConfig, clock: Clock) -> io::Result<PathBuf> {
    let base = config.scratch_dir.clone().unwrap_or_else(std::env::temp_dir);
    let base = std::path::absolute(base)?;
    std::fs::create_dir_all(&base)?;
    let stamp = clock.now().since(Time::from_epoch(Duration::ZERO)).as_nanos();
    for attempt in 0.. {
        let dir = base.join(format!("sandbox-{}-{stamp:x}-{attempt}", std::process::id()));
        match std::fs::create_dir(&dir) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            result => return result.map(|()| dir),
        }
    }
    unreachable!("one of so many names is free")
}

//! The directory that stands for the private /tmp of the environments.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::clock::{Clock, Time};
use crate::config::LambdaConfig;

/// Removed with everything in it when the service and its last environment are gone.
#[derive(Debug)]
pub(crate) struct ScratchDir(PathBuf);

impl ScratchDir {
    /// Makes a directory that no other service uses.
    pub(crate) fn make(config: &LambdaConfig, clock: Clock) -> io::Result<Self> {
        let base = config.scratch_dir.clone().unwrap_or_else(std::env::temp_dir);
        std::fs::create_dir_all(&base)?;
        let stamp = clock.now().since(Time::from_epoch(Duration::ZERO)).as_nanos();
        for attempt in 0.. {
            let dir = base.join(format!("sandbox-{}-{stamp:x}-{attempt}", std::process::id()));
            match std::fs::create_dir(&dir) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                result => return result.map(|()| Self(dir)),
            }
        }
        unreachable!("one of so many names is free")
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for ScratchDir {
    fn drop(&mut self) {
        // Nothing depends on the directory being gone.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

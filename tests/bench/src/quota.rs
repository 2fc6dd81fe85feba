//! The share of a processor that Lambda gives to a function of 128 MB, by the kernel's own accounting.
//!
//! On Lambda the function and its extensions share it; here it is for the extension alone, so what is measured is what
//! its own CPU time turns into, and not what the function takes from it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Result, setup};

/// How long a period of the kernel's accounting is, and how much of it may be used: 128 of 1,769 MB, which make one
/// processor.
///
/// # Source
/// <https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html>
const PERIOD_US: u64 = 20_000;
const SHARE_US: u64 = PERIOD_US * 128 / 1_769;

/// A group of processes that get the share; removed when it is let go, after they have ended.
pub(crate) struct Quota {
    folder: PathBuf,
}

impl Quota {
    /// A group named `name`; `None` where the machine does not let us make one.
    pub(crate) fn new(name: &str) -> Option<Self> {
        let name = format!("prefreeze-bench-{}-{name}", std::process::id());
        Self::first_version(&name).or_else(|| Self::second_version(&name))
    }

    fn first_version(name: &str) -> Option<Self> {
        let quota = Self::make(Path::new("/sys/fs/cgroup/cpu"), name)?;
        quota.set("cpu.cfs_period_us", &PERIOD_US.to_string())?;
        quota.set("cpu.cfs_quota_us", &SHARE_US.to_string())?;
        Some(quota)
    }

    fn second_version(name: &str) -> Option<Self> {
        let quota = Self::make(Path::new("/sys/fs/cgroup"), name)?;
        quota.set("cpu.max", &format!("{SHARE_US} {PERIOD_US}"))?;
        Some(quota)
    }

    fn make(root: &Path, name: &str) -> Option<Self> {
        let folder = root.join(name);
        // Only a folder of the kernel's file system has files as soon as it is made.
        fs::create_dir(&folder).ok()?;
        let quota = Self { folder };
        quota.folder.join("cgroup.procs").exists().then_some(quota)
    }

    fn set(&self, file: &str, value: &str) -> Option<()> {
        let path = self.folder.join(file);
        path.exists().then(|| fs::write(path, value).ok()).flatten()
    }

    /// Puts a process under it, and among all others: what runs ahead of them has no quota.
    pub(crate) fn hold(&self, pid: u32) -> Result<()> {
        if setup::is_ahead() {
            let _ = Command::new("chrt").args(["--other", "--pid", "0", &pid.to_string()]).status()?;
        }
        Ok(fs::write(self.folder.join("cgroup.procs"), pid.to_string())?)
    }
}

impl Drop for Quota {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.folder);
    }
}

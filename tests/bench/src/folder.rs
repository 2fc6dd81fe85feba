//! A folder that goes with its measurement.

use std::path::PathBuf;

use crate::Result;

/// See the module.
pub(crate) struct Folder {
    pub(crate) path: PathBuf,
}

impl Folder {
    /// Under the system's folder for such, as the extension's own spool is.
    pub(crate) fn new(name: &str) -> Result<Self> {
        let path = std::env::temp_dir().join(format!("prefreeze-bench-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path)?;
        Ok(Self { path })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed is the system's to sweep.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

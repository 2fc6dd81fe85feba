//! Where things are: the binaries that were built, the folder that the demo works in, the Python function.

use std::{
    env,
    fs::{self, File},
    io,
    path::PathBuf,
};

use super::Trouble;

/// The extension's binary; also the name under which it registers.
const EXTENSION: &str = "prefreeze";

#[derive(Debug)]
pub(super) struct Places {
    /// Where cargo put this program, and so the others.
    binaries: PathBuf,
    /// `target/demo`: everything that the demo makes, and nothing else.
    pub(super) work: PathBuf,
    /// `examples/payments/receipt`.
    pub(super) receipt: PathBuf,
}

impl Places {
    pub(super) fn find() -> Result<Self, Trouble> {
        let program = env::current_exe().map_err(|error| Trouble::new("cannot find this program", error))?;
        let binaries = program.parent().map(PathBuf::from).ok_or("this program is in no folder")?;
        let target = binaries.parent().ok_or("this program is not in a target folder")?;
        let work = target.join("demo");
        fs::create_dir_all(&work)
            .map_err(|error| Trouble::new(format!("cannot make {}", work.display()), error))?;
        let receipt = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/payments/receipt"));
        let receipt = receipt
            .canonicalize()
            .map_err(|error| Trouble::new(format!("cannot find {}", receipt.display()), error))?;
        Ok(Self { binaries, work, receipt })
    }

    /// A program of this workspace. Reads it once, so that a cold start measures an init and not the disk.
    pub(super) fn binary(&self, name: &str) -> Result<PathBuf, Trouble> {
        let path = self.binaries.join(name);
        let read = || io::copy(&mut File::open(&path)?, &mut io::sink());
        match read() {
            Ok(_) => Ok(path),
            Err(error) => Err(Trouble::new(format!("no {}: run `make demo`", path.display()), error)),
        }
    }

    /// A folder that stands for `/opt/extensions`, with the extension in it and nothing else.
    pub(super) fn extensions(&self) -> Result<PathBuf, Trouble> {
        let dir = self.work.join("extensions");
        let from = self.binary(EXTENSION)?;
        let copy = || {
            if dir.exists() {
                fs::remove_dir_all(&dir)?;
            }
            fs::create_dir_all(&dir)?;
            fs::copy(&from, dir.join(EXTENSION))
        };
        copy().map_err(|error| {
            Trouble::new(format!("cannot put the extension into {}", dir.display()), error)
        })?;
        Ok(dir)
    }

    pub(super) fn timeline(&self) -> PathBuf {
        self.work.join("timeline.log")
    }

    pub(super) fn report(&self) -> PathBuf {
        self.work.join("report.json")
    }
}

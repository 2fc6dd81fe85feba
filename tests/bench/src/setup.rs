//! The binaries under measurement: the baseline, which is compiled here, and the extension.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;

/// How often each start is measured.
const ROUNDS: usize = 40;

pub(crate) struct Setup {
    /// Where the report and the baseline go.
    pub(crate) folder: PathBuf,
    /// What is measured, the baseline first.
    pub(crate) variants: Vec<Variant>,
    pub(crate) rounds: usize,
}

pub(crate) struct Variant {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
}

impl Setup {
    /// Compiles the baseline and finds the extension's release binary, which must have been built.
    ///
    /// `BENCH_ALSO=name=path,…` adds other builds of the extension; `BENCH_ROUNDS` changes the rounds.
    pub(crate) fn prepare() -> Result<Self> {
        let target = target_folder();
        let folder = target.join("bench");
        std::fs::create_dir_all(&folder)?;
        let mut variants = vec![
            Variant { name: "floor".to_owned(), path: compile_floor(&folder)? },
            Variant { name: "prefreeze".to_owned(), path: target.join("release/prefreeze") },
        ];
        variants.extend(other_builds()?);
        for variant in &variants {
            if !variant.path.is_file() {
                return Err(format!("{} is not there: cargo build --release", variant.path.display()).into());
            }
        }
        let rounds = std::env::var("BENCH_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(ROUNDS);
        Ok(Self { folder, variants, rounds })
    }

    /// The extension.
    pub(crate) fn extension(&self) -> &Variant {
        &self.variants[1]
    }
}

fn target_folder() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from)
}

fn workspace() -> PathBuf {
    let own = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    own.and_then(|folder| folder.ancestors().nth(2).map(Path::to_owned)).unwrap_or_else(|| PathBuf::from("."))
}

fn compile_floor(folder: &Path) -> Result<PathBuf> {
    let floor = folder.join("floor");
    let source = workspace().join("tests/bench/floor.c");
    let status = Command::new("cc")
        .args(["-O2", "-s", "-static", "-Wall", "-D_GNU_SOURCE", "-o"])
        .arg(&floor)
        .arg(source)
        .status()?;
    if status.success() { Ok(floor) } else { Err("cc cannot compile the baseline".into()) }
}

fn other_builds() -> Result<Vec<Variant>> {
    let list = std::env::var("BENCH_ALSO").unwrap_or_default();
    let builds = list.split(',').filter(|build| !build.is_empty()).map(|build| {
        let (name, path) = build.split_once('=').ok_or("BENCH_ALSO wants name=path")?;
        Ok(Variant { name: name.to_owned(), path: PathBuf::from(path) })
    });
    builds.collect()
}

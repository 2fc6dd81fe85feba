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
    /// Compiles the baseline and finds the binary of the layer, which must have been built: what is shipped is linked
    /// otherwise than what `cargo build --release` makes.
    ///
    /// `BENCH_ALSO=name=path,…` adds other builds of the extension; `BENCH_ROUNDS` changes the rounds.
    pub(crate) fn prepare() -> Result<Self> {
        let target = target_folder();
        let folder = target.join("bench");
        std::fs::create_dir_all(&folder)?;
        let mut variants = vec![
            Variant { name: "floor".to_owned(), path: compile_floor(&folder)? },
            Variant { name: "prefreeze".to_owned(), path: target.join(layer_binary()) },
        ];
        variants.extend(other_builds()?);
        for variant in &mut variants {
            if !variant.path.is_file() {
                return Err(format!("{} is not there: make layer", variant.path.display()).into());
            }
            variant.path = install(&variant.path, &folder.join("installed").join(&variant.name))?;
        }
        let rounds = std::env::var("BENCH_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(ROUNDS);
        Ok(Self { folder, variants, rounds })
    }

    /// The extension.
    pub(crate) fn extension(&self) -> &Variant {
        &self.variants[1]
    }
}

/// Where `make layer` leaves the binary for this machine.
fn layer_binary() -> PathBuf {
    let triple = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    PathBuf::from(triple).join("release/prefreeze")
}

fn target_folder() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from)
}

pub(crate) fn workspace() -> PathBuf {
    let own = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    own.and_then(|folder| folder.ancestors().nth(2).map(Path::to_owned)).unwrap_or_else(|| PathBuf::from("."))
}

/// What it is measured on, in a line: to be read beside the figures.
pub(crate) fn machine() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let load = read("/proc/loadavg");
    format!(
        "{}{} of {}, Linux {}, load {}, {}",
        std::thread::available_parallelism().map_or(0, Into::into),
        " processors",
        model.trim_start_matches(['\t', ' ', ':']),
        read("/proc/sys/kernel/osrelease").trim(),
        load.split(' ').next().unwrap_or_default(),
        if is_ahead() { "ahead of all other processes" } else { "among other processes" },
    )
}

/// Whether we run before everything that is not of real time: field 41 of `stat`, SCHED_FIFO.
pub(crate) fn is_ahead() -> bool {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(") ").next().unwrap_or_default();
    after_name.split(' ').nth(38) == Some("1")
}

/// A copy, written from front to back as a layer's zip is unpacked. A linker writes here and there, which leaves small
/// pieces in the page cache: the same program then starts 0.2 ms later.
fn install(from: &Path, to: &Path) -> Result<PathBuf> {
    std::fs::create_dir_all(to.parent().unwrap_or(to))?;
    std::fs::copy(from, to)?;
    Ok(to.to_owned())
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

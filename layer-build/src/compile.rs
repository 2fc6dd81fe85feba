//! Release binaries for Lambda: one target, glibc 2.26, no path of this machine inside.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::target::{GLIBC, Target};
use crate::{Result, elf, tools};

/// The code at a fixed address: 4,700 relocations less to carry out, and the pages they are in stay untouched and
/// shared, which is a tenth of a start (docs/performance.md). Heap, stack and libraries are at random addresses
/// all the same.
const FIXED_ADDRESS: &str = "-Crelocation-model=static";

/// httparse asks the processor what it can do before it reads its first head: some instructions that a hypervisor
/// answers, 55 µs between register and `/next` on the machine of docs/performance.md. Heads of 200 bytes need no AVX.
const ASK_NO_PROCESSOR: (&str, &str) = ("CARGO_CFG_HTTPARSE_DISABLE_SIMD", "1");

/// Builds `binary` of `package`, checks that Lambda can start it, and returns its bytes.
pub(crate) fn release(package: &str, binary: &str, target: Target) -> Result<Vec<u8>> {
    release_in(None, package, binary, target)
}

/// The same in a target folder of its own, where nothing that was built before can be used.
///
/// One package at a time: cargo would otherwise give the extension the dependency features of the examples.
pub(crate) fn release_in(
    folder: Option<&Path>,
    package: &str,
    binary: &str,
    target: Target,
) -> Result<Vec<u8>> {
    let rustc = tools::rustc(target)?;
    let tools = tools::zigbuild()?;
    let (major, minor) = GLIBC;
    let triple = target.triple();
    let mut cargo = Command::new(tools.join("cargo-zigbuild"));
    cargo
        .args(["zigbuild", "--locked", "--release", "--package", package, "--bin", binary])
        .args(["--target", &format!("{triple}.{major}.{minor}")])
        .current_dir(tools::workspace())
        .env("PATH", with_first(&tools)?)
        .env(ASK_NO_PROCESSOR.0, ASK_NO_PROCESSOR.1)
        .env("RUSTFLAGS", format!("{} {FIXED_ADDRESS}", remapped_paths()))
        .envs(folder.map(|folder| ("CARGO_TARGET_DIR", folder)))
        .envs(rustc.map(|rustc| ("RUSTC", rustc)));
    tools::run(&mut cargo)?;

    let bytes = std::fs::read(path_in(folder.unwrap_or(&tools::target_folder()), binary, target))?;
    elf::check(&bytes, target, GLIBC)?;
    Ok(bytes)
}

/// Where cargo leaves the binary.
pub(crate) fn path(binary: &str, target: Target) -> PathBuf {
    path_in(&tools::target_folder(), binary, target)
}

fn path_in(folder: &Path, binary: &str, target: Target) -> PathBuf {
    folder.join(target.triple()).join("release").join(binary)
}

/// `PATH` with `folder` before all else.
fn with_first(folder: &Path) -> Result<OsString> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    Ok(std::env::join_paths(std::iter::once(folder.to_owned()).chain(std::env::split_paths(&path)))?)
}

/// Panic messages hold source paths: without this, two people's layers would differ by their home folders.
fn remapped_paths() -> String {
    let home = |variable: &str, folder: &str| {
        let default = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(folder);
        std::env::var_os(variable).map_or_else(default, PathBuf::from)
    };
    let remap = |from: PathBuf, to: &str| format!("--remap-path-prefix={}={to}", from.display());
    [remap(home("CARGO_HOME", ".cargo"), "cargo"), remap(tools::workspace(), "prefreeze")].join(" ")
}

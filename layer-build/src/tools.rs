//! The programs a cross build needs, fetched once into `target/tools` from the package registries.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::target::Target;
use crate::{Result, debian};

/// zig links for a glibc older than this machine's; cargo-zigbuild hands it to cargo. Both are wheels on PyPI.
const ZIG: &str = "ziglang==0.17.1";
const ZIGBUILD: &str = "cargo-zigbuild==0.24.0";

/// The workspace: where cargo says this tool lives, or else where it was called.
pub(crate) fn workspace() -> PathBuf {
    let own = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    own.and_then(|folder| folder.parent().map(Path::to_owned))
        .unwrap_or_else(|| std::path::absolute(".").unwrap_or_default())
}

/// Where cargo puts what it builds, as a path that holds from any folder.
pub(crate) fn target_folder() -> PathBuf {
    let folder =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from);
    std::path::absolute(&folder).unwrap_or(folder)
}

/// The folder with `cargo-zigbuild` and the Python that has zig, made when it is not there yet.
pub(crate) fn zigbuild() -> Result<PathBuf> {
    let home = target_folder().join("tools").join(format!("{ZIGBUILD}-{ZIG}").replace("==", "-"));
    let programs = home.join("bin");
    if !programs.join("cargo-zigbuild").exists() {
        eprintln!("cargo-zigbuild and zig are not here yet: installing them under {} (once)", home.display());
        run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&home))?;
        run(Command::new(programs.join("pip")).args(["install", "--quiet", ZIG, ZIGBUILD]))?;
    }
    Ok(programs)
}

/// The compiler for `target`: `None` for the one in `PATH`, when it has that target's standard library.
///
/// # Errors
/// When there is none and none can be fetched; the text says what to install.
pub(crate) fn rustc(target: Target) -> Result<Option<PathBuf>> {
    let folder =
        output(Command::new("rustc").args(["--print", "target-libdir", "--target", target.triple()]))?;
    if Path::new(folder.trim()).is_dir() {
        return Ok(None);
    }
    if debian::is_here() {
        return debian::rustc(
            &target_folder().join("tools").join(format!("rust-{}", target.debian())),
            target,
        )
        .map(Some);
    }
    let triple = target.triple();
    Err(format!("rustc has no standard library for {triple}; install it: rustup target add {triple}").into())
}

/// Sees to it that binaries for `target` can be run here: `None` where the machine itself does, or else the program
/// that is to be given the binary.
///
/// # Errors
/// When there is no emulator and none can be fetched.
pub(crate) fn emulator(target: Target) -> Result<Option<PathBuf>> {
    if target.triple().starts_with(std::env::consts::ARCH) {
        return Ok(None);
    }
    if !debian::is_here() {
        return Err(format!("cannot fetch an emulator for {}: this is no Debian", target.name()).into());
    }
    let folder = target_folder().join("tools").join(format!("emulator-{}", target.name()));
    debian::emulator(&folder, target).map(Some)
}

/// Runs a program to its end; an error names it when it cannot start or says no.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let name = command.get_program().display().to_string();
    let status = command.status().map_err(|error| format!("cannot start {name}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{name} failed: {status}").into()) }
}

/// Runs a program to its end and returns what it printed.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let name = command.get_program().display().to_string();
    let output = command.output().map_err(|error| format!("cannot start {name}: {error}"))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(format!("{name} failed: {}", String::from_utf8_lossy(&output.stderr)).into())
    }
}

//! The clients' packages, installed once under the target folder, and how to run a client for a bounded time.

use std::ffi::OsStr;
use std::fs;
use std::io::{Write, stderr};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

/// Scripts, requirements and lock files.
pub(super) const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/clients");

/// Seconds a command may take: far more than a client needs, and enough to install over a slow network.
const PATIENCE_S: &str = "300";

/// A Python with the SDK.
pub(super) fn python() -> &'static Path {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(|| python_with("python", "requirements.txt"))
}

/// A Python with moto.
pub(super) fn aws() -> &'static Path {
    static AWS: OnceLock<PathBuf> = OnceLock::new();
    AWS.get_or_init(|| python_with("aws", "aws-requirements.txt"))
}

/// A Python of this name with what the file of `requirements` says.
fn python_with(name: &str, requirements: &str) -> PathBuf {
    let folder = install(name, &read(requirements), |folder| {
        run(Command::new("python3").args(["-m", "venv"]).arg(folder));
        let pip = ["-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"];
        let mut install = Command::new(folder.join("bin/python"));
        run(install.args(pip).arg("--no-deps").arg("-r").arg(source(requirements)));
    });
    folder.join("bin/python")
}

/// The folder with Node's SDK; `None`, and a word about it, where there is no Node that it runs on.
pub(super) fn node() -> Option<&'static Path> {
    static NODE: OnceLock<Option<PathBuf>> = OnceLock::new();
    NODE.get_or_init(|| node_modules("node", "")).as_deref()
}

/// The same with Node's auto-instrumentation.
pub(super) fn auto() -> Option<&'static Path> {
    static AUTO: OnceLock<Option<PathBuf>> = OnceLock::new();
    AUTO.get_or_init(|| node_modules("auto", "auto/")).as_deref()
}

/// A folder of this name with what the lock file `at` this place of the sources says.
fn node_modules(name: &str, at: &str) -> Option<PathBuf> {
    if let Err(why) = has_node() {
        // Not by `println!`, which a test that passes keeps to itself.
        writeln!(stderr(), "SKIPPED: the clients in Node, because {why}").ok();
        return None;
    }
    let wanted = read(&format!("{at}package-lock.json"));
    Some(install(name, &wanted, |folder| {
        fs::create_dir_all(folder).expect("the target folder can be written");
        for file in ["package.json", "package-lock.json"] {
            let from = source(&format!("{at}{file}"));
            fs::copy(from, folder.join(file)).expect("the target folder can be written");
        }
        let quiet = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"];
        run(Command::new("npm").args(quiet).current_dir(folder));
    }))
}

fn has_node() -> Result<(), String> {
    let said = Command::new("node").arg("--version").output().map_err(|_| "there is no `node`")?;
    let version = String::from_utf8_lossy(&said.stdout).trim().to_owned();
    let major = version.trim_start_matches('v').split('.').next().and_then(|text| text.parse::<u32>().ok());
    if major.is_none_or(|major| major < 20) {
        return Err(format!("the SDK needs Node 20, and this is {version:?}"));
    }
    Command::new("npm").arg("--version").output().map_err(|_| "there is no `npm`")?;
    Ok(())
}

/// A folder in which `make` has put what is `wanted`, now or in an earlier run.
fn install(name: &str, wanted: &str, make: impl FnOnce(&Path)) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("clients").join(name);
    // Written last: an installation that was interrupted has none.
    let stamp = folder.join("installed");
    if !fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        fs::remove_dir_all(&folder).ok();
        make(&folder);
        fs::write(stamp, wanted).expect("the target folder can be written");
    }
    folder
}

pub(super) fn source(name: &str) -> PathBuf {
    Path::new(SOURCES).join(name)
}

fn read(name: &str) -> String {
    fs::read_to_string(source(name)).expect("it is part of the repository")
}

/// Runs a command to its good end, and gives back what it printed.
///
/// # Panics
/// When it fails, with what it said last; `timeout` ends one that hangs.
#[track_caller]
pub(super) fn run(command: &mut Command) -> String {
    let mut bounded = Command::new("timeout");
    bounded.args(["--kill-after=5", PATIENCE_S]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        bounded.env(name, value.unwrap_or(OsStr::new("")));
    }
    if let Some(folder) = command.get_current_dir() {
        bounded.current_dir(folder);
    }
    let Output { status, stdout, stderr } = bounded
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{:?}: {error}", command.get_program()));
    let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{command:?}: {status}\n{stdout}{stderr}");
    stdout.into_owned()
}

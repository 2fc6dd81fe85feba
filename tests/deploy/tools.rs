//! The tools that `make deploy-test` has installed, and how they are run.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The workspace.
pub(super) fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is in the workspace")
}

/// The target folder: this test lies in `<target>/<profile>/deps`.
pub(super) fn target() -> PathBuf {
    let test = env::current_exe().expect("a test knows its own path");
    test.ancestors().nth(3).expect("tests lie in <target>/<profile>/deps").to_owned()
}

/// A program from PyPI.
pub(super) fn python(name: &str) -> Option<Command> {
    installed(&target().join("tools/deploy/venv/bin").join(name))
}

/// The folder of what came from npm.
pub(super) fn npm() -> Option<PathBuf> {
    let folder = target().join("tools/deploy/npm/node_modules");
    if folder.is_dir() {
        return Some(folder);
    }
    skip(&format!("no {}: `make deploy-test` has not installed it", folder.display()));
    None
}

fn installed(path: &Path) -> Option<Command> {
    if path.is_file() {
        return Some(Command::new(path));
    }
    skip(&format!("no {}: `make deploy-test` has not installed it", path.display()));
    None
}

/// Says why a test does nothing; in `make deploy-test` that is a failure.
///
/// # Panics
/// When `DEPLOY_TESTS=required`.
pub(super) fn skip(why: &str) {
    assert!(env::var_os("DEPLOY_TESTS").is_none_or(|value| value != "required"), "not to be skipped: {why}");
    eprintln!("skipped: {why}");
}

/// An empty folder of this test's own.
pub(super) fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("deploy").join(name);
    fs::remove_dir_all(&folder).ok();
    fs::create_dir_all(&folder).expect("the target folder is ours");
    folder
}

/// Runs it to its end; what it printed.
///
/// # Panics
/// When it cannot start, or says no: with its own words.
#[track_caller]
pub(super) fn run(command: &mut Command) -> String {
    // None of these tools may phone home, or ask anybody anything.
    command.envs([
        ("SAM_CLI_TELEMETRY", "0"),
        ("SLS_TELEMETRY_DISABLED", "1"),
        ("SLS_INTERACTIVE_SETUP_ENABLE", "0"),
    ]);
    command.envs([("AWS_DEFAULT_REGION", "eu-central-1"), ("AWS_EC2_METADATA_DISABLED", "true")]);
    command.envs([("AWS_ACCESS_KEY_ID", "none"), ("AWS_SECRET_ACCESS_KEY", "none"), ("CI", "1")]);
    let name = command.get_program().display().to_string();
    let output = command.output().unwrap_or_else(|error| panic!("cannot start {name}: {error}"));
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (stdout, stderr) = (said(&output.stdout), said(&output.stderr));
    assert!(output.status.success(), "{name} failed: {}\n{stdout}\n{stderr}", output.status);
    stdout
}

//! What `make foreign` has installed.

use std::env;
use std::io::{Write, stderr};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The program of this name; `None`, and a word about it, where it was not installed and need not be.
pub(super) fn program(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("tools").join("foreign/bin").join(name);
    if path.exists() {
        return Some(path);
    }
    skip(&format!("{name} is not installed: `make foreign` does that"));
    None
}

/// Whether a tool is on the path; a word about it where it is not.
pub(super) fn is_there(tool: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    let is_there = env::split_paths(&path).any(|folder| folder.join(tool).is_file());
    if !is_there {
        writeln!(stderr(), "SKIPPED: a function, because {tool} is not installed").ok();
    }
    is_there
}

/// Whether a mount namespace of one's own can be had, in which `/opt` is another folder.
pub(super) fn has_namespaces() -> bool {
    let made = Command::new("unshare").args(["--mount", "true"]).status();
    let is_made = made.is_ok_and(|status| status.success());
    if !is_made {
        skip("`unshare --mount` needs root");
    }
    is_made
}

/// Says why a test does nothing; in `make foreign` that is a failure.
fn skip(why: &str) {
    assert!(env::var_os("FOREIGN_TESTS").is_none_or(|wanted| wanted != "required"), "{why}");
    // Not by `println!`, which a test that passes keeps to itself.
    writeln!(stderr(), "SKIPPED: a foreign world, because {why}").ok();
}

//! A copy of the part of the workspace that is mutated and tested, with the switch beside it.

use std::fs;
use std::path::{Path, PathBuf};

use crate::Result;
use crate::list::Sources;

/// The crate that says which mutant is on.
const SWITCH: &str = include_str!("switch.rs");

/// A workspace of its own.
pub(crate) struct Tree {
    pub(crate) root: PathBuf,
}

/// What is copied.
pub(crate) struct Plan<'a> {
    /// The repository.
    pub(crate) root: &'a Path,
    /// The folder of the package that is mutated.
    pub(crate) mutated: &'a str,
    /// The folders of packages whose tests judge it, besides its own.
    pub(crate) judges: &'a [&'a str],
}

impl Tree {
    /// Copies into `root` all but the sources that get mutants: a file that reads as before is not built again.
    pub(crate) fn copy(plan: &Plan<'_>, root: PathBuf, sources: &Sources) -> Result<Self> {
        let manifest = root.join(plan.mutated).join("Cargo.toml");
        let is_kept =
            |path: &Path| path == manifest || sources.keys().any(|source| root.join(source) == path);
        for folder in plan.judges.iter().chain([&plan.mutated]) {
            copy_folder(&plan.root.join(folder), &root.join(folder), &is_kept)?;
        }
        write(&root.join("switch/src/lib.rs"), SWITCH)?;
        write(&root.join("switch/Cargo.toml"), "[package]\nname = \"switch\"\nedition = \"2024\"\n")?;
        write(&root.join("Cargo.lock"), &fs::read_to_string(plan.root.join("Cargo.lock"))?)?;
        write(&root.join("Cargo.toml"), &workspace(plan)?)?;
        let original = fs::read_to_string(plan.root.join(plan.mutated).join("Cargo.toml"))?;
        let depth = plan.mutated.split('/').count();
        write(&manifest, &with_switch(&original, &"../".repeat(depth))?)?;
        Ok(Self { root })
    }

    /// Puts texts into their files.
    pub(crate) fn write_all(&self, sources: &Sources) -> Result<()> {
        sources.iter().try_for_each(|(path, text)| write(&self.root.join(path), text))
    }
}

/// The manifest of the workspace, with fewer members.
fn workspace(plan: &Plan<'_>) -> Result<String> {
    const MEMBERS: &str = "\nmembers = [";
    let manifest = fs::read_to_string(plan.root.join("Cargo.toml"))?;
    let (before, list) = manifest.split_once(MEMBERS).ok_or("the workspace has no members")?;
    let (_, behind) = list.split_once(']').ok_or("the list of members does not end")?;
    let members: Vec<_> = plan.judges.iter().chain([&plan.mutated, &"switch"]).collect();
    let members = format!("{members:?}");
    Ok([before, MEMBERS, members.trim_start_matches('['), behind].concat())
}

/// The manifest of the mutated package, with the switch among what it depends on.
fn with_switch(manifest: &str, to_root: &str) -> Result<String> {
    const HEADING: &str = "\n[dependencies]\n";
    let (before, behind) = manifest.split_once(HEADING).ok_or("the package has no [dependencies]")?;
    Ok(format!("{before}{HEADING}switch = {{ path = \"{to_root}switch\" }}\n{behind}"))
}

fn copy_folder(from: &Path, to: &Path, is_kept: &dyn Fn(&Path) -> bool) -> Result<()> {
    fs::create_dir_all(to)?;
    let mut names = Vec::new();
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        names.push(entry.file_name());
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target, is_kept)?;
        } else if !is_kept(&target) && fs::read(&target).ok() != Some(fs::read(entry.path())?) {
            fs::copy(entry.path(), &target)?;
        }
    }
    // What a copy made before has, and the original no more.
    for entry in fs::read_dir(to)? {
        let entry = entry?;
        if !names.contains(&entry.file_name()) {
            let path = entry.path();
            if entry.file_type()?.is_dir() { fs::remove_dir_all(path)? } else { fs::remove_file(path)? }
        }
    }
    Ok(())
}

/// Writes a file, unless it reads so already: then nothing is built again.
fn write(path: &Path, text: &str) -> Result<()> {
    if fs::read_to_string(path).is_ok_and(|before| before == text) {
        return Ok(());
    }
    fs::create_dir_all(path.parent().expect("a file is in a folder"))?;
    Ok(fs::write(path, text)?)
}

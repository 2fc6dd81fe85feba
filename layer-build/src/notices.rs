//! The notices of other people's code in the binary: most licences ask that they come along.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::Result;
use crate::target::Target;
use crate::tools::{output, workspace};

/// A crate that is linked into the binary.
struct Crate {
    /// Name and version.
    title: String,
    licence: String,
    folder: PathBuf,
}

/// One text with every crate in `package`'s binary, and the terms of each.
pub(crate) fn of(package: &str, target: Target) -> Result<String> {
    let linked = linked(package, target)?;
    let mut crates = crates(target)?;
    crates.retain(|each| linked.contains(&each.title) && !each.folder.starts_with(workspace()));
    crates.sort_by(|a, b| a.title.cmp(&b.title));
    text(&crates)
}

/// Name and version of each crate that is linked: no procedural macro, no build script.
fn linked(package: &str, target: Target) -> Result<Vec<String>> {
    let mut tree = Command::new("cargo");
    tree.current_dir(workspace()).args([
        "tree",
        "--locked",
        "--edges",
        "normal,no-proc-macro",
        "--prefix",
        "none",
    ]);
    tree.args(["--package", package, "--target", target.triple()]);
    Ok(output(&mut tree)?.lines().map(title_of_line).collect())
}

/// `bytes v1.12.1 (*)` is `bytes 1.12.1`.
fn title_of_line(line: &str) -> String {
    let mut words = line.split(' ');
    let name = words.next().unwrap_or_default();
    let version = words.next().unwrap_or_default().trim_start_matches('v');
    format!("{name} {version}")
}

/// All crates that the workspace uses on `target`, with their terms and sources.
fn crates(target: Target) -> Result<Vec<Crate>> {
    let mut metadata = Command::new("cargo");
    metadata.current_dir(workspace()).args(["metadata", "--locked", "--format-version", "1"]);
    metadata.args(["--filter-platform", target.triple()]);
    let metadata: Value = serde_json::from_str(&output(&mut metadata)?)?;
    let packages = metadata["packages"].as_array().ok_or("cargo metadata names no packages")?;
    packages
        .iter()
        .map(|package| read_crate(package).ok_or_else(|| "a package without a name".into()))
        .collect()
}

fn read_crate(package: &Value) -> Option<Crate> {
    let field = |name: &str| package[name].as_str();
    Some(Crate {
        title: format!("{} {}", field("name")?, field("version")?),
        licence: field("license").unwrap_or("see below").to_owned(),
        folder: Path::new(field("manifest_path")?).parent()?.to_owned(),
    })
}

/// The list of crates, then each different licence text once.
fn text(crates: &[Crate]) -> Result<String> {
    let mut text =
        "Prefreeze is linked with these crates, under the terms named and given below.\n\n".to_owned();
    let mut terms: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for each in crates {
        text += &format!("  {} ({})\n", each.title, each.licence);
        for file in licence_files(&each.folder)? {
            let content = fs::read_to_string(file)?;
            terms.entry(content.trim().to_owned()).or_default().push(&each.title);
        }
    }
    for (content, titles) in &terms {
        text += &format!("\n{}\n{}:\n\n{content}\n", "-".repeat(78), titles.join(", "));
    }
    Ok(text)
}

/// The files with the terms. Where a crate offers a choice, one is enough: MIT, which is the shortest.
fn licence_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_uppercase();
        if path.is_file()
            && ["LICENSE", "LICENCE", "COPYING", "NOTICE"].iter().any(|start| name.starts_with(start))
        {
            files.push(path);
        }
    }
    files.sort();
    let is_mit = |path: &PathBuf| path.to_string_lossy().to_uppercase().ends_with("-MIT");
    if files.iter().any(is_mit) {
        files.retain(is_mit);
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_cargo_tree() {
        assert_eq!(title_of_line("bytes v1.12.1"), "bytes 1.12.1");
        assert_eq!(title_of_line("hyper v1.12.0 (*)"), "hyper 1.12.0");
    }

    #[test]
    fn the_extension_names_its_tls_and_not_itself() {
        let text = of("extension", Target::X86_64).expect("cargo knows the workspace");
        assert!(text.contains("  rustls 0."), "{text}");
        assert!(text.contains("  ring 0."), "{text}");
        assert!(!text.contains("  policy 0."), "our own crates are under our own licence");
        assert!(!text.contains("  serde_derive 1."), "procedural macros are not in the binary");
        assert!(text.contains("Permission is hereby granted"), "the texts themselves are there");
    }
}

//! A release: everything that is published, in one folder, and the commands that publish it, printed and not run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::target::Target;
use crate::tools::{output, target_folder, workspace};
use crate::{Result, checksum, pack};

const VERSION: &str = env!("CARGO_PKG_VERSION");
const UNRELEASED: &str = "Unreleased";

/// Gathers the layers that were built last, with checksums, bills of materials and the changes, and prints what to do.
///
/// # Errors
/// When a layer was not built yet.
pub(crate) fn prepare() -> Result<()> {
    let folder = target_folder().join(format!("release-{VERSION}"));
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder)?;
    let mut sums = String::new();
    for target in Target::ALL {
        let zip = pack::layer_path(target);
        for path in [zip.clone(), zip.with_extension("cdx.json")] {
            let name = path.file_name().expect("a path that ends in a file's name");
            let bytes =
                fs::read(&path).map_err(|error| format!("{}: {error}; run `make layer`", path.display()))?;
            sums += &checksum::line(&bytes, &name.to_string_lossy());
            fs::write(folder.join(name), bytes)?;
        }
    }
    let changes = changes(&fs::read_to_string(workspace().join("CHANGELOG.md"))?, VERSION)?;
    fs::write(folder.join("SHA256SUMS"), &sums)?;
    fs::write(folder.join("CHANGES.md"), &changes.text)?;
    fs::copy(workspace().join("LICENSE"), folder.join("LICENSE"))?;
    print!("{}", report(&folder, &sums, &changes, &doubts(&changes)));
    Ok(())
}

/// The section of the changelog that a release is described by.
#[derive(Debug, PartialEq, Eq)]
struct Changes {
    /// Its heading: the version, or that there is none yet.
    heading: String,
    text: String,
}

/// The section of `version`, or else what is not released yet.
fn changes(changelog: &str, version: &str) -> Result<Changes> {
    let section = |name: &str| {
        let is_heading = |line: &&str| {
            let title = line.strip_prefix("## ").unwrap_or_default();
            title.split([' ', '[', ']']).any(|word| word == name)
        };
        let heading = changelog.lines().find(is_heading)?;
        let (_, after) = changelog.split_once(heading)?;
        let text = after.split("\n## ").next().unwrap_or_default().trim();
        Some(Changes { heading: name.to_owned(), text: format!("{text}\n") })
    };
    section(version)
        .or_else(|| section(UNRELEASED))
        .ok_or_else(|| format!("CHANGELOG.md has no section for {version}").into())
}

/// What speaks against publishing this.
fn doubts(changes: &Changes) -> Vec<String> {
    let mut doubts = Vec::new();
    if changes.heading == UNRELEASED {
        doubts
            .push(format!("CHANGELOG.md has no section for {VERSION} yet: these are the unreleased changes"));
    }
    let mut status = Command::new("git");
    status.current_dir(workspace()).args(["status", "--porcelain"]);
    if output(&mut status).is_ok_and(|changed| !changed.is_empty()) {
        doubts.push("the work tree has changes that are not committed".to_owned());
    }
    doubts
}

/// The layer's name with its version, as Lambda allows it: no dots.
fn layer_name(target: Target, version: &str) -> String {
    format!("prefreeze-{}-{}", target.name(), version.replace('.', "_"))
}

fn publish(target: Target, zip: &Path) -> String {
    format!(
        "aws lambda publish-layer-version --layer-name {} --description \"Prefreeze {VERSION}\" \\\n    \
         --license-info Apache-2.0 --compatible-architectures {} --zip-file fileb://{}",
        layer_name(target, VERSION),
        target.name(),
        zip.display()
    )
}

fn report(folder: &Path, sums: &str, changes: &Changes, doubts: &[String]) -> String {
    let mut lines =
        vec![format!("Prefreeze {VERSION} in {}", folder.display()), String::new(), sums.to_owned()];
    lines.push(format!("{}\n\n{}", changes.heading, changes.text));
    lines.extend(doubts.iter().map(|doubt| format!("NOT FOR PUBLICATION: {doubt}")));
    lines.push("To publish, in each region (nothing was run):\n".to_owned());
    let zip = |target| -> PathBuf {
        folder.join(pack::layer_path(target).file_name().expect("a path that ends in a file's name"))
    };
    lines.extend(Target::ALL.map(|target| publish(target, &zip(target))));
    lines.push(format!("git tag --annotate v{VERSION} --file {}", folder.join("CHANGES.md").display()));
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHANGELOG: &str = "# Changelog\n\n## Unreleased\n\n- new\n\n## [0.2.0] 2026-12-01\n\n- old\n- older\n\n## 0.1.0\n\n- first\n";

    #[test]
    fn a_section_is_found_by_its_version() {
        for (version, heading, text) in [
            ("0.2.0", "0.2.0", "- old\n- older\n"),
            ("0.1.0", "0.1.0", "- first\n"),
            ("0.3.0", UNRELEASED, "- new\n"),
        ] {
            let expected = Changes { heading: heading.to_owned(), text: text.to_owned() };
            assert_eq!(changes(CHANGELOG, version).expect("a section"), expected, "{version}");
        }
        assert!(changes("# Changelog\n", "0.1.0").is_err());
    }

    #[test]
    fn ours_has_a_section() {
        let text = fs::read_to_string(workspace().join("CHANGELOG.md")).expect("it is there");
        assert!(!changes(&text, VERSION).expect("a section").text.trim().is_empty());
    }

    #[test]
    fn a_layer_has_its_version_in_a_name_that_lambda_takes() {
        let name = layer_name(Target::Arm64, "0.1.0");
        assert_eq!(name, "prefreeze-arm64-0_1_0");
        assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c)), "{name}");
    }
}

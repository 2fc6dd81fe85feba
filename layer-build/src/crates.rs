//! Other people's code in the binary: which crates are linked, under what terms, and which of them uses which.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::Result;
use crate::target::Target;
use crate::tools::{output, workspace};

/// What one binary is linked from: no procedural macro, no build script, nothing that only tests need.
pub(crate) struct Linked {
    /// By name and version; our own crates are among them.
    pub(crate) crates: BTreeMap<Title, Crate>,
    /// The package that was asked for.
    pub(crate) root: Title,
}

/// Name and version: what tells one crate from another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Title {
    pub(crate) name: String,
    pub(crate) version: String,
}

/// One crate that is linked.
pub(crate) struct Crate {
    /// An SPDX expression.
    pub(crate) licence: String,
    /// Where its sources are on this machine.
    pub(crate) folder: PathBuf,
    /// Where its sources are for everybody.
    pub(crate) repository: Option<String>,
    /// SHA-256 of the package in the registry, in hex; our own crates have none.
    pub(crate) checksum: Option<String>,
    /// The crates that it uses itself.
    pub(crate) uses: BTreeSet<Title>,
}

impl Crate {
    /// Whether it belongs to this repository.
    pub(crate) fn is_ours(&self) -> bool {
        self.folder.starts_with(workspace())
    }
}

impl std::fmt::Display for Title {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.name, self.version)
    }
}

/// The crates that are linked into `package`'s binary for `target`.
pub(crate) fn linked(package: &str, target: Target) -> Result<Linked> {
    let uses = uses(&tree(package, target)?)?;
    let root = uses.root.ok_or("cargo tree names no package")?;
    let checksums = checksums(&fs::read_to_string(workspace().join("Cargo.lock"))?)?;
    let mut described = described(target)?;
    let mut crates = BTreeMap::new();
    for (title, uses) in uses.of {
        let mut each = described.remove(&title).ok_or_else(|| format!("cargo metadata has no {title}"))?;
        each.checksum = checksums.get(&title).cloned();
        each.uses = uses;
        crates.insert(title, each);
    }
    Ok(Linked { crates, root })
}

/// What is linked, one line a crate: its depth, its name, its version.
fn tree(package: &str, target: Target) -> Result<String> {
    let mut tree = Command::new("cargo");
    tree.current_dir(workspace()).args(["tree", "--locked", "--edges", "normal,no-proc-macro"]);
    tree.args(["--prefix", "depth", "--package", package, "--target", target.triple()]);
    output(&mut tree)
}

#[derive(Default)]
struct Uses {
    root: Option<Title>,
    of: BTreeMap<Title, BTreeSet<Title>>,
}

/// Reads the lines of `cargo tree --prefix depth`: a crate is used by the nearest one above that is less deep.
fn uses(tree: &str) -> Result<Uses> {
    let mut uses = Uses::default();
    let mut path: Vec<Title> = Vec::new();
    for line in tree.lines().filter(|line| !line.is_empty()) {
        let (depth, title) = tree_line(line).ok_or_else(|| format!("cargo tree said: {line}"))?;
        path.truncate(depth);
        match path.last() {
            Some(user) => {
                uses.of.entry(user.clone()).or_default().insert(title.clone());
            }
            None => uses.root = Some(title.clone()),
        }
        uses.of.entry(title.clone()).or_default();
        path.push(title);
    }
    Ok(uses)
}

/// `2bytes v1.12.1 (*)` is `bytes 1.12.1`, used by a crate that the root uses.
fn tree_line(line: &str) -> Option<(usize, Title)> {
    let name = line.find(|c: char| !c.is_ascii_digit())?;
    let depth = line[..name].parse().ok()?;
    let mut words = line[name..].split(' ');
    let name = words.next()?.to_owned();
    let version = words.next()?.strip_prefix('v')?.to_owned();
    Some((depth, Title { name, version }))
}

/// All crates that the workspace uses on `target`, without what they use.
fn described(target: Target) -> Result<BTreeMap<Title, Crate>> {
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

fn read_crate(package: &Value) -> Option<(Title, Crate)> {
    let field = |name: &str| package[name].as_str();
    let title = Title { name: field("name")?.to_owned(), version: field("version")?.to_owned() };
    let each = Crate {
        // Before SPDX expressions, crates.io took a slash for a choice.
        licence: field("license").unwrap_or("LicenseRef-see-source").replace('/', " OR "),
        folder: Path::new(field("manifest_path")?).parent()?.to_owned(),
        repository: field("repository").map(str::to_owned),
        checksum: None,
        uses: BTreeSet::new(),
    };
    Some((title, each))
}

/// The checksums in a `Cargo.lock`.
fn checksums(lock: &str) -> Result<BTreeMap<Title, String>> {
    let lock: toml::Table = lock.parse()?;
    let packages =
        lock.get("package").and_then(toml::Value::as_array).ok_or("Cargo.lock names no packages")?;
    let read = |package: &toml::Value| {
        let field = |name: &str| Some(package.get(name)?.as_str()?.to_owned());
        Some((Title { name: field("name")?, version: field("version")? }, field("checksum")?))
    };
    Ok(packages.iter().filter_map(read).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn title(text: &str) -> Title {
        let (name, version) = text.split_once(' ').expect("name and version");
        Title { name: name.to_owned(), version: version.to_owned() }
    }

    #[test]
    fn lines_of_cargo_tree() {
        assert_eq!(tree_line("0bytes v1.12.1"), Some((0, title("bytes 1.12.1"))));
        assert_eq!(tree_line("12hyper v1.12.0 (*)"), Some((12, title("hyper 1.12.0"))));
        assert_eq!(tree_line("nonsense"), None);
    }

    #[test]
    fn each_crate_is_used_by_the_one_above_it() {
        let tree = "0a v1.0.0 (/a)\n1b v1.0.0\n2c v2.0.0\n1c v2.0.0 (*)\n1d v0.1.0\n";
        let uses = uses(tree).expect("a tree");
        assert_eq!(uses.root, Some(title("a 1.0.0")));
        let of = |name| uses.of[&title(name)].iter().map(Title::to_string).collect::<Vec<_>>();
        assert_eq!(of("a 1.0.0"), ["b 1.0.0", "c 2.0.0", "d 0.1.0"]);
        assert_eq!(of("b 1.0.0"), ["c 2.0.0"]);
        assert_eq!(of("c 2.0.0"), Vec::<String>::new());
    }

    #[test]
    fn the_extension_is_linked_with_its_tls_and_no_macro() {
        let linked = linked("extension", Target::X86_64).expect("cargo knows the workspace");
        let find = |name: &str| linked.crates.iter().find(|(title, _)| title.name == name);
        let (_, rustls) = find("rustls").expect("TLS is linked");
        assert!(rustls.uses.iter().any(|title| title.name == "ring"), "{:?}", rustls.uses);
        assert_eq!(rustls.checksum.as_ref().map(String::len), Some(64), "SHA-256 in hex");
        assert!(!rustls.is_ours());
        let (_, policy) = find("policy").expect("our own crates are linked too");
        assert!(policy.is_ours() && policy.checksum.is_none());
        assert!(find("serde_derive").is_none(), "procedural macros are not in the binary");
        assert_eq!(linked.root.name, "extension");
    }
}

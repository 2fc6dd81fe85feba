//! Dependencies point one way: extension to guard to wire to policy, and policy to nothing.

use toml::{Table, Value};

use super::source::{Look, keep, without_tests};
use super::tree::{Tree, Violation};

/// Which of our own crates may be used by each: (package, what it may use). Examples are users' code: see below.
const ARROWS: &[(&str, &[&str])] = &[
    ("policy", &[]),
    ("wire", &["policy"]),
    ("guard", &["policy", "wire"]),
    ("extension", &["policy", "wire", "guard"]),
    ("layer-build", &[]),
    ("sandbox", &[]),
    ("simulation", &["policy"]),
    ("mutants", &[]),
    ("fuzz", &["policy", "wire", "guard"]),
    ("bench", &["policy", "wire", "guard", "extension"]),
    ("tests", &["policy", "wire", "guard", "extension", "sandbox", "fuzz"]),
    ("counts", &["policy", "wire", "guard"]),
];

/// The one crate that policy may depend on: arithmetic that `core` lacks.
const ALLOWED_IN_POLICY: &[&str] = &["libm"];

/// A workspace member as its manifest tells it.
struct Member<'a> {
    path: &'a str,
    name: String,
    manifest: Table,
}

/// Each member uses only those of our crates that lie below it.
pub(crate) fn arrows_point_one_way(tree: &Tree) -> Vec<Violation> {
    let members = members(tree);
    let ours: Vec<&str> = members.iter().map(|member| member.name.as_str()).collect();
    let mut found = Vec::new();
    for member in &members {
        let used = dependencies(member, &["dependencies", "build-dependencies", "dev-dependencies"]);
        for name in used.iter().filter(|name| ours.contains(&name.as_str())) {
            if !may_use(&members, member, name) {
                found.push(Violation::of_file(member.path, format!("{} points back to {name}", member.name)));
            }
        }
    }
    found
}

fn may_use(members: &[Member<'_>], member: &Member<'_>, used: &str) -> bool {
    match ARROWS.iter().find(|(name, _)| *name == member.name) {
        Some((_, allowed)) => allowed.contains(&used),
        // An example stands alone, so that it can be copied; it may share code with its neighbours.
        None => members.iter().any(|other| other.name == used && other.path.starts_with("examples/")),
    }
}

/// Policy's manifest has no dependency, so that nothing outside can even be named there.
pub(crate) fn policy_depends_on_nothing(tree: &Tree) -> Vec<Violation> {
    let policy = members(tree).into_iter().filter(|member| member.name == "policy");
    policy
        .flat_map(|member| {
            let used = dependencies(&member, &["dependencies", "build-dependencies"]);
            let strange = used.into_iter().filter(|name| !ALLOWED_IN_POLICY.contains(&name.as_str()));
            strange
                .map(move |name| Violation::of_file(member.path, format!("policy depends on {name}")))
                .collect::<Vec<_>>()
        })
        .collect()
}

/// Policy says `#![no_std]` plainly: as `cfg_attr` it would be undone by a feature, and nobody would notice.
pub(crate) fn policy_is_no_std(tree: &Tree) -> Vec<Violation> {
    const ROOT: &str = "extension/policy/src/lib.rs";
    let code = tree.files.get(ROOT).map(|text| without_tests(&keep(text, Look::Code))).unwrap_or_default();
    if code.lines().any(|line| line.trim() == "#![no_std]") {
        return Vec::new();
    }
    vec![Violation::of_file(ROOT, "policy has no plain #![no_std]")]
}

fn members(tree: &Tree) -> Vec<Member<'_>> {
    let manifests = tree.starting_with("").filter(|(path, _)| path.ends_with("/Cargo.toml"));
    manifests
        .filter_map(|(path, text)| {
            let manifest: Table = text.parse().ok()?;
            let name = manifest.get("package")?.get("name")?.as_str()?.to_owned();
            Some(Member { path, name, manifest })
        })
        .collect()
}

/// The names under the given headings, those for one target only among them.
fn dependencies(member: &Member<'_>, headings: &[&str]) -> Vec<String> {
    let targets = member.manifest.get("target").and_then(Value::as_table);
    let tables = targets.into_iter().flat_map(Table::values).filter_map(Value::as_table);
    let tables = tables.chain(std::iter::once(&member.manifest));
    tables
        .flat_map(|table| headings.iter().filter_map(|heading| table.get(*heading)?.as_table()))
        .flat_map(|used| used.iter().map(|(key, value)| package_name(key, value)))
        .collect()
}

/// A dependency may be renamed; its package is what counts.
fn package_name(key: &str, value: &Value) -> String {
    value.get("package").and_then(Value::as_str).unwrap_or(key).to_owned()
}

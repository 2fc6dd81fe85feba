//! Settings come first: no file that `config.rs` imports, directly or through others, imports `config.rs`.

use std::collections::{BTreeMap, VecDeque};

use super::source::{Look, keep, without_tests, word_positions};
use super::tree::{Tree, Violation};

const SOURCES: &str = "extension/policy/src/";
const CONFIG: &str = "extension/policy/src/config.rs";

/// `config.rs` is in no circle of imports.
pub(crate) fn config_is_in_no_circle(tree: &Tree) -> Vec<Violation> {
    // How each file that `config.rs` needs was reached first.
    let mut ways = BTreeMap::from([(CONFIG.to_owned(), CONFIG.to_owned())]);
    let mut next = VecDeque::from([CONFIG.to_owned()]);
    while let Some(path) = next.pop_front() {
        for used in imports(tree, &path) {
            if used == CONFIG {
                let message = format!("imports config.rs, which needs it: {}", ways[&path]);
                return vec![Violation::of_file(&path, message)];
            }
            if !ways.contains_key(&used) {
                let way = format!("{} -> {used}", ways[&path]);
                ways.insert(used.clone(), way);
                next.push_back(used);
            }
        }
    }
    Vec::new()
}

/// The files of policy that the one at `path` names a module of.
fn imports(tree: &Tree, path: &str) -> Vec<String> {
    let code = tree.files.get(path).map(|text| without_tests(&keep(text, Look::Code))).unwrap_or_default();
    let module = module_of(path);
    let mut found: Vec<String> =
        named(&code).iter().filter_map(|names| file_of(tree, &module, names)).collect();
    found.retain(|used| used != path);
    found.sort();
    found.dedup();
    found
}

fn module_of(path: &str) -> Vec<String> {
    let inside = path.trim_start_matches(SOURCES).trim_end_matches(".rs");
    if inside == "lib" { Vec::new() } else { inside.split('/').map(str::to_owned).collect() }
}

/// Every path that `code` imports, or names by `crate::` or `super::`.
fn named(code: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for at in word_positions(code, "use") {
        let item = &code[at + 3..];
        expand("", item.split(';').next().unwrap_or_default(), &mut found);
    }
    for word in ["crate::", "super::"] {
        for at in word_positions(code, word) {
            let is_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
            let end = code[at..].find(|c| !is_path(c)).map_or(code.len(), |length| at + length);
            expand("", &code[at..end], &mut found);
        }
    }
    found
}

/// Adds the paths of a tree of imports: `a::{b, c::d}` is `a::b` and `a::c::d`.
fn expand(prefix: &str, tree: &str, found: &mut Vec<Vec<String>>) {
    let tree = tree.trim();
    if let Some((head, group)) = tree.split_once('{') {
        let (mut depth, mut start) = (0_usize, 0);
        let group = group.strip_suffix('}').unwrap_or(group);
        for (at, c) in group.char_indices().chain([(group.len(), ',')]) {
            match c {
                '{' => depth += 1,
                '}' => depth = depth.saturating_sub(1),
                ',' if depth == 0 => {
                    expand(&format!("{prefix}{head}"), &group[start..at], found);
                    start = at + 1;
                }
                _ => {}
            }
        }
    } else if !tree.is_empty() {
        let whole = format!("{prefix}{tree}");
        let names = whole.split("::").map(|name| name.split_whitespace().next().unwrap_or_default());
        found.push(names.map(str::to_owned).collect());
    }
}

/// The file of the module that a path begins with, as seen from `module`; `None` where it leads out of policy.
fn file_of(tree: &Tree, module: &[String], names: &[String]) -> Option<String> {
    let mut names = names.to_vec();
    let mut from = module.to_vec();
    match names.first().map(String::as_str) {
        Some("crate") => from.clear(),
        Some("super") => drop(from.pop()),
        Some("self") => {}
        // A child of this module, or another crate.
        Some(_) => names.insert(0, String::new()),
        None => return None,
    }
    let is_child = names.remove(0).is_empty();
    while names.first().is_some_and(|name| name == "super") {
        names.remove(0);
        from.pop();
    }
    let whole: Vec<String> = from.iter().chain(&names).cloned().collect();
    let least = from.len() + usize::from(is_child);
    let files = (least..=whole.len()).rev().map(|length| match length {
        0 => format!("{SOURCES}lib.rs"),
        _ => format!("{SOURCES}{}.rs", whole[..length].join("/")),
    });
    files.into_iter().find(|file| tree.has(file))
}

//! What every file keeps: a first sentence, a size one can read, nothing unfinished, nothing of one machine.

use super::source::{Look, functions, keep, line_of, without_tests, word_positions};
use super::tree::{Tree, Violation};

/// A file with more lines of code than this, its tests aside, holds more than one idea. Comments and blank lines
/// are not counted: nobody should be short of them.
const FILE_LINES_MAX: usize = 600;

/// In policy a file has no more lines than this, comments and tests among them: each is one idea with one owner of its
/// state, and is read from the first line to the last.
const POLICY_LINES_MAX: usize = 400;

/// A function longer than this does not fit a screen.
const FUNCTION_LINES_MAX: usize = 70;

/// Files and functions that may be longer, each with its reason: ("path" or "path fn name", "why").
const LONG: &[(&str, &str)] = &[];

/// Words that promise a later change; spelled apart, for this file is read too.
const UNFINISHED: &[&str] = &[
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("XX", "X"),
    concat!("todo", "!"),
    concat!("unimplemented", "!"),
];

/// Folders that exist on one machine only; spelled apart, for this file is read too.
const MACHINE_PATHS: &[&str] = &[concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/")];

/// Every name that the top level may show. Tools keep their settings in dot-files.
const TOP_LEVEL: &[&str] = &[
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "Makefile",
    "README.md",
    "SECURITY.md",
    "docs",
    "examples",
    "extension",
    "layer-build",
    "template.yaml",
    "tests",
];

/// Every Rust file begins with one sentence that says what it is.
pub(crate) fn start_with_a_sentence(tree: &Tree) -> Vec<Violation> {
    let mute = tree.rust("").filter(|(_, text)| !is_sentence(&first_paragraph(text)));
    mute.map(|(path, _)| Violation::at(path, 1, "does not begin with a //! sentence")).collect()
}

fn first_paragraph(text: &str) -> String {
    let lines = text.lines().map_while(|line| line.strip_prefix("//! "));
    lines.collect::<Vec<_>>().join(" ")
}

fn is_sentence(text: &str) -> bool {
    text.starts_with(|c: char| !c.is_lowercase()) && text.trim_end().ends_with(['.', ':', '?', '!'])
}

/// No file is too long to be one idea.
pub(crate) fn stay_short(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for (path, text) in tree.rust("").filter(|(path, _)| !is_exempt(path)) {
        let code = without_tests(&keep(text, Look::Code));
        let lines = code.lines().filter(|line| !line.trim().is_empty()).count();
        if lines > FILE_LINES_MAX {
            let message = format!("{lines} lines of code, of at most {FILE_LINES_MAX}");
            found.push(Violation::of_file(path, message));
        }
    }
    found
}

/// No file of policy is too long to be read at once.
pub(crate) fn policy_stays_short(tree: &Tree) -> Vec<Violation> {
    let lines = tree.rust("extension/policy/").map(|(path, text)| (path, text.lines().count()));
    let long = lines.filter(|(path, lines)| *lines > POLICY_LINES_MAX && !is_exempt(path));
    let message = |lines| format!("{lines} lines, of at most {POLICY_LINES_MAX} in policy");
    long.map(|(path, lines)| Violation::of_file(path, message(lines))).collect()
}

/// No function of the product is too long for a screen.
pub(crate) fn functions_stay_short(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for (path, text) in tree.rust("extension/") {
        let code = without_tests(&keep(text, Look::Code));
        for (name, line, lines) in functions(&code) {
            if lines > FUNCTION_LINES_MAX && !is_exempt(&format!("{path} fn {name}")) {
                let message = format!("fn {name} has {lines} lines, of at most {FUNCTION_LINES_MAX}");
                found.push(Violation::at(path, line, message));
            }
        }
    }
    found
}

fn is_exempt(what: &str) -> bool {
    LONG.iter().any(|(long, _)| *long == what)
}

/// What is committed is finished; what is not has an issue, not a mark in the text.
pub(crate) fn nothing_unfinished(tree: &Tree) -> Vec<Violation> {
    find_words(tree, UNFINISHED, |_, _| true, "is unfinished")
}

/// Nothing names a folder that only one machine has.
pub(crate) fn no_machine_paths(tree: &Tree) -> Vec<Violation> {
    // Inside a longer path or an address the same letters are innocent.
    let begins_path =
        |text: &str, at: usize| !text[..at].ends_with(|c: char| c.is_alphanumeric() || "._-~/}".contains(c));
    find_words(tree, MACHINE_PATHS, begins_path, "exists on one machine only")
}

fn find_words(
    tree: &Tree,
    words: &[&str],
    counts: fn(&str, usize) -> bool,
    complaint: &str,
) -> Vec<Violation> {
    let mut found = Vec::new();
    for (path, text) in tree.starting_with("").filter(|(path, _)| *path != "Cargo.lock" && *path != "LICENSE")
    {
        for word in words {
            let places = word_positions(text, word).into_iter().filter(|at| counts(text, *at));
            found.extend(
                places.map(|at| Violation::at(path, line_of(text, at), format!("`{word}` {complaint}"))),
            );
        }
    }
    found
}

/// The visible root stays as it was laid out.
pub(crate) fn top_level_is_fixed(tree: &Tree) -> Vec<Violation> {
    let mut names: Vec<&str> = tree.files.keys().filter_map(|path| path.split('/').next()).collect();
    names.dedup();
    let strange = names.into_iter().filter(|name| !name.starts_with('.') && !TOP_LEVEL.contains(name));
    strange.map(|name| Violation::of_file(name, "is not one of the names of the top level")).collect()
}

/// The changelog has a place for what comes next.
pub(crate) fn changelog_has_unreleased(tree: &Tree) -> Vec<Violation> {
    const PATH: &str = "CHANGELOG.md";
    let text = tree.files.get(PATH).map_or("", String::as_str);
    let is_heading = |line: &str| line.starts_with("## ") && line.to_lowercase().contains("unreleased");
    if text.lines().any(is_heading) {
        return Vec::new();
    }
    vec![Violation::of_file(PATH, "has no Unreleased section")]
}

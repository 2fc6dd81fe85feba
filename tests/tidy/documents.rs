//! What documents tell people to set, to type and to follow is really there.

use std::collections::BTreeSet;

use super::source::{Look, keep, line_of, without_tests};
use super::tree::{Tree, Violation};

/// The reference of all settings, which a test keeps equal to the table in the code.
const REFERENCE: &str = "docs/configuration.md";
const TROUBLESHOOTING: &str = "docs/troubleshooting.md";
const COMMAND: &str = "extension/src/main.rs";
const PREFIX: &str = "PREFREEZE_";
/// A setting whose row has this mark also has a form for each signal.
const PER_SIGNAL: char = '¹';
const SIGNALS: [&str; 3] = ["TRACES", "METRICS", "LOGS"];

/// Variables of the tests' own: never set by those who use Prefreeze.
const OF_TESTS: &[&str] = &["PREFREEZE_BIN"];

/// Every variable that a document, the template or an example names is one that the code reads.
pub(crate) fn named_variables_exist(tree: &Tree) -> Vec<Violation> {
    let known = documented(tree);
    let is_for_people = |path: &str| {
        path.ends_with(".md")
            || path.ends_with(".yaml")
            || path.ends_with(".json")
            || path.starts_with("examples/")
    };
    let mut found = Vec::new();
    for (path, text) in tree.starting_with("").filter(|(path, _)| is_for_people(path)) {
        for (at, name) in variables(text) {
            if !known.contains(name) && !OF_TESTS.contains(&name) {
                found.push(Violation::at(path, line_of(text, at), format!("there is no setting {name}")));
            }
        }
    }
    found
}

/// Every variable that the code reads is in the reference, and the reverse.
pub(crate) fn read_variables_are_documented(tree: &Tree) -> Vec<Violation> {
    let known = documented(tree);
    let mut read = BTreeSet::new();
    let mut found = Vec::new();
    // Tests have files of their own too, and set what is wrong on purpose.
    for (path, text) in tree.rust("extension/src/").filter(|(path, _)| !path.ends_with("/tests.rs")) {
        let code = without_tests(&keep(text, Look::CodeAndStrings));
        for (at, name) in variables(&code) {
            read.insert(name.to_owned());
            if !known.contains(name) {
                found.push(Violation::at(path, line_of(&code, at), format!("{name} is not in {REFERENCE}")));
            }
        }
    }
    let is_read = |name: &String| {
        let base = SIGNALS
            .iter()
            .fold(name.clone(), |name, signal| name.replace(&format!("OTLP_{signal}_"), "OTLP_"));
        read.contains(name) || read.contains(&base)
    };
    let unread = known.iter().filter(|name| !is_read(name));
    found.extend(unread.map(|name| Violation::of_file(REFERENCE, format!("nothing reads {name}"))));
    found
}

/// Every `prefreeze …` that a document tells to type is a command.
pub(crate) fn named_commands_exist(tree: &Tree) -> Vec<Violation> {
    let code = tree.files.get(COMMAND).map_or("", String::as_str);
    let mut found = Vec::new();
    for (path, text) in tree.starting_with("").filter(|(path, _)| path.ends_with(".md")) {
        for (at, opening) in text.match_indices("`prefreeze ") {
            let typed = text[at + opening.len()..].split(['`', '\n']).next().unwrap_or_default();
            let words = typed
                .split(' ')
                .take_while(|word| word.starts_with(|c: char| c.is_ascii_lowercase() || c == '-'));
            for word in words.take(1).chain(typed.split(' ').filter(|word| word.starts_with("--"))) {
                if !code.contains(&format!("\"{word}\"")) {
                    found.push(Violation::at(path, line_of(text, at), format!("prefreeze has no {word}")));
                }
            }
        }
    }
    found
}

/// Every line that the page on troubleshooting explains is one that the extension says.
pub(crate) fn explained_events_are_said(tree: &Tree) -> Vec<Violation> {
    let page = tree.files.get(TROUBLESHOOTING).map_or("", String::as_str);
    let is_said = |name: &str| {
        let literal = format!("\"{name}\"");
        tree.rust("extension/src/")
            .any(|(_, text)| without_tests(&keep(text, Look::CodeAndStrings)).contains(&literal))
    };
    let mut found = Vec::new();
    for (at, line) in page.lines().enumerate().filter(|(_, line)| line.starts_with("| `")) {
        let cell = line.trim_start_matches("| ").split(" |").next().unwrap_or_default();
        for name in cell
            .split(", ")
            .map(|name| name.trim_matches('`'))
            .filter(|name| !is_said(name) && *name != "event")
        {
            found.push(Violation::at(TROUBLESHOOTING, at + 1, format!("nothing says {name}")));
        }
    }
    found
}

/// Every line that the extension says is on the page on troubleshooting, by its name.
pub(crate) fn said_events_are_explained(tree: &Tree) -> Vec<Violation> {
    let page = tree.files.get(TROUBLESHOOTING).map_or("", String::as_str);
    let mut found = Vec::new();
    for (path, text) in tree.rust("extension/src/") {
        let code = keep(text, Look::CodeAndStrings);
        let code = without_tests(&code);
        for (at, _) in code.match_indices("say(").chain(code.match_indices("degraded(")) {
            let arguments = &code[at..];
            let arguments = &arguments[..arguments.find(';').unwrap_or(arguments.len())];
            let Some(name) = arguments.split('"').nth(1) else { continue };
            let is_name = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
            if is_name && !name.is_empty() && !page.contains(&format!("`{name}`")) {
                found.push(Violation::at(
                    path,
                    line_of(&code, at),
                    format!("{TROUBLESHOOTING} lacks {name}"),
                ));
            }
        }
    }
    found
}

/// Every link to a part of a document leads to a heading.
pub(crate) fn anchors_lead_to_headings(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for (path, text) in tree.starting_with("").filter(|(path, _)| path.ends_with(".md")) {
        for (at, opening) in text.match_indices("](") {
            let link = text[at + opening.len()..].split([')', '\n']).next().unwrap_or_default();
            let Some((file, anchor)) = link.split_once('#').filter(|_| !link.contains("://")) else {
                continue;
            };
            let target = if file.is_empty() { Some(path.to_owned()) } else { super::links::join(path, file) };
            let Some(page) = target.and_then(|target| tree.files.get(&target)) else { continue };
            if !page.lines().any(|line| line.starts_with('#') && slug(line) == anchor) {
                found.push(Violation::at(path, line_of(text, at), format!("no heading for {link}")));
            }
        }
    }
    found
}

/// What GitHub makes of a heading: lower case, blanks to hyphens, punctuation gone.
fn slug(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = text.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// Every setting of the reference, with its forms.
fn documented(tree: &Tree) -> BTreeSet<String> {
    let page = tree.files.get(REFERENCE).map_or("", String::as_str);
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let mut known = BTreeSet::new();
    for (name, rest) in rows.filter(|(name, _)| name.starts_with(PREFIX)) {
        known.insert(name.to_owned());
        if rest.trim_start().starts_with(PER_SIGNAL) {
            known.extend(SIGNALS.map(|signal| name.replace("OTLP_", &format!("OTLP_{signal}_"))));
        }
    }
    known
}

/// The variables of ours in `text`; `PREFREEZE_…` and `PREFREEZE_*` stand for many, and are none.
fn variables(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.match_indices(PREFIX).filter_map(|(at, _)| {
        let rest = &text[at..];
        let end = rest
            .find(|c: char| !c.is_ascii_uppercase() && !c.is_ascii_digit() && c != '_')
            .unwrap_or(rest.len());
        let name = &rest[..end];
        (!name.ends_with('_')).then_some((at, name))
    })
}

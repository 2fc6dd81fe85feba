//! What others expect of the Makefile: the targets that documents name, and those that `sam build` calls.

use super::source::line_of;
use super::tree::{Tree, Violation};

const MAKEFILE: &str = "Makefile";
const TEMPLATE: &str = "template.yaml";

/// Every `make …` in a document can be typed.
pub(crate) fn named_targets_exist(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for (path, text) in tree.starting_with("").filter(|(path, _)| path.ends_with(".md")) {
        let inline = text.match_indices("`make ");
        let typed = text.match_indices("\nmake ").filter(|(at, _)| is_in_block(text, *at));
        for (at, opening) in inline.chain(typed) {
            let target = first_word(&text[at + opening.len()..]);
            if !target.is_empty() && !has_target(tree, target) {
                found.push(Violation::at(path, line_of(text, at), format!("make has no target {target}")));
            }
        }
    }
    found
}

/// Whether a position lies in a fenced block: an odd number of fences goes before it.
fn is_in_block(text: &str, at: usize) -> bool {
    text[..=at].matches("\n```").count() % 2 == 1
}

/// Every artefact that the template has built by make has its target.
pub(crate) fn artefacts_have_targets(tree: &Tree) -> Vec<Violation> {
    let template = tree.files.get(TEMPLATE).map_or("", String::as_str);
    let built = template.match_indices("BuildMethod: makefile");
    let missing =
        built.filter(|(at, _)| !has_target(tree, &format!("build-{}", logical_id(&template[..*at]))));
    missing
        .map(|(at, _)| {
            let message = format!("the Makefile does not build {}", logical_id(&template[..at]));
            Violation::at(TEMPLATE, line_of(template, at), message)
        })
        .collect()
}

/// The resource that the last line of `before` belongs to: the nearest key two blanks deep.
fn logical_id(before: &str) -> &str {
    let keys = before.lines().rev().filter_map(|line| line.strip_prefix("  "));
    keys.into_iter().find(|line| line.starts_with(char::is_alphabetic)).map_or("", first_word)
}

fn has_target(tree: &Tree, name: &str) -> bool {
    let makefile = tree.files.get(MAKEFILE).map_or("", String::as_str);
    makefile.lines().any(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(':')))
}

fn first_word(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '-').unwrap_or(text.len());
    &text[..end]
}

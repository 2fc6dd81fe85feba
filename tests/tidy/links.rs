//! Links between our own documents lead somewhere.

use super::source::line_of;
use super::tree::{Tree, Violation};

/// Every relative link of a Markdown file leads to a file or folder of the tree.
pub(crate) fn relative_links_resolve(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for (path, text) in tree.starting_with("").filter(|(path, _)| path.ends_with(".md")) {
        let prose = without_code(text);
        for (at, link) in links(&prose) {
            if !resolves(tree, path, link) {
                found.push(Violation::at(path, line_of(&prose, at), format!("link leads nowhere: {link}")));
            }
        }
    }
    found
}

/// The targets of `[text](target)`, with their positions.
fn links(prose: &str) -> impl Iterator<Item = (usize, &str)> {
    prose.match_indices("](").filter_map(|(at, opening)| {
        let start = at + opening.len();
        let end = start + prose[start..].find([')', '\n'])?;
        Some((start, prose[start..end].split_whitespace().next().unwrap_or_default()))
    })
}

fn resolves(tree: &Tree, from: &str, link: &str) -> bool {
    let is_elsewhere = link.contains("://") || link.starts_with("mailto:") || link.starts_with('#');
    if is_elsewhere {
        return true;
    }
    let file = link.split('#').next().unwrap_or_default();
    join(from, file).is_some_and(|path| path.is_empty() || tree.has(&path) || tree.has_folder(&path))
}

/// `link` as seen from the folder of the file `from`; `None` when it leads out of the tree.
pub(crate) fn join(from: &str, link: &str) -> Option<String> {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in link.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

/// `text` with fenced blocks and inline code blanked out: there, brackets are not links.
fn without_code(text: &str) -> String {
    let mut fenced = false;
    let mut prose = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let is_fence = line.trim_start().starts_with("```");
        fenced ^= is_fence;
        if fenced || is_fence {
            prose.push('\n');
        } else {
            let parts = line.split('`').enumerate();
            prose.extend(
                parts.map(|(n, part)| if n % 2 == 0 { part.to_owned() } else { " ".repeat(part.len()) }),
            );
        }
    }
    prose
}

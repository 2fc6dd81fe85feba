//! The fenced blocks of a page that say who checks them: three backquotes, a language, `check=` and a name.

use std::fs;

use super::tools::workspace;

/// The blocks of `page` in this language that this check is to take, in their order.
///
/// # Panics
/// When the page cannot be read, or has none.
#[track_caller]
pub(super) fn of(page: &str, language: &str, check: &str) -> Vec<String> {
    let text = fs::read_to_string(workspace().join(page)).expect("the page is there");
    let blocks = find(&text, language, check);
    assert!(!blocks.is_empty(), "{page} has no {language} block for {check}");
    blocks
}

fn find(text: &str, language: &str, check: &str) -> Vec<String> {
    let opening = format!("```{language} check={check}\n");
    let blocks = text.match_indices(&opening).map(|(at, _)| &text[at + opening.len()..]);
    blocks.filter_map(|rest| Some(rest.split_once("\n```")?.0.to_owned() + "\n")).collect()
}

#[test]
fn only_marked_blocks_are_found() {
    let text = "```sh\na\n```\n\n```sh check=x\nb\nc\n```\n```yaml check=x\nd\n```\n```sh check=x\ne\n```\n";
    assert_eq!(find(text, "sh", "x"), ["b\nc\n", "e\n"]);
    assert_eq!(find(text, "sh", "y"), Vec::<String>::new());
}

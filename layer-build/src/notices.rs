//! The notices of other people's code in the binary: most licences ask that they come along.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::Result;
use crate::crates::Linked;

/// One text with every crate that is not ours, then each different licence text once.
pub(crate) fn of(linked: &Linked) -> Result<String> {
    let mut text =
        "Prefreeze is linked with these crates, under the terms named and given below.\n\n".to_owned();
    let mut terms: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (title, each) in linked.crates.iter().filter(|(_, each)| !each.is_ours()) {
        text += &format!("  {title} ({})\n", each.licence);
        for file in licence_files(&each.folder)? {
            let content = fs::read_to_string(file)?;
            terms.entry(content.trim().to_owned()).or_default().push(title.to_string());
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
    use crate::crates;
    use crate::target::Target;

    #[test]
    fn the_extension_names_its_tls_and_not_itself() {
        let linked = crates::linked("extension", Target::X86_64).expect("cargo knows the workspace");
        let text = of(&linked).expect("every crate can be read");
        assert!(text.contains("  rustls 0."), "{text}");
        assert!(text.contains("  ring 0."), "{text}");
        assert!(!text.contains("  policy 0."), "our own crates are under our own licence");
        assert!(text.contains("Permission is hereby granted"), "the texts themselves are there");
    }
}

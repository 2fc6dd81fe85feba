//! The template and the page on SAM, by `sam validate --lint` and `cfn-lint`.

use std::fs;
use std::path::Path;

use super::blocks;
use super::tools::{folder, python, run, workspace};

fn validate(template: &Path) {
    let Some(mut sam) = python("sam") else { return };
    let said = run(sam.args(["validate", "--lint", "--template"]).arg(template));
    assert!(said.contains("is a valid SAM Template"), "{said}");
}

#[test]
fn the_template_is_valid() {
    validate(&workspace().join("template.yaml"));
}

#[test]
fn the_template_is_free_of_every_complaint() {
    let Some(mut lint) = python("cfn-lint") else { return };
    let said =
        run(lint.args(["--non-zero-exit-code", "warning", "--"]).arg(workspace().join("template.yaml")));
    assert_eq!(said.trim(), "");
}

#[test]
fn the_page_is_valid() {
    for block in blocks::of("docs/deploy/sam.md", "yaml", "sam") {
        let template = folder("sam").join("template.yaml");
        fs::write(&template, block).expect("the folder is ours");
        validate(&template);
    }
}

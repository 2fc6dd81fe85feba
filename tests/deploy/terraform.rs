//! The page on Terraform: formatted as Terraform wants it, and valid where its AWS provider can be had.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::blocks;
use super::tools::{folder, run};

fn terraform(folder: &Path) -> Command {
    let mut command = Command::new("terraform");
    command.current_dir(folder).env("CHECKPOINT_DISABLE", "1").env_remove("TF_CLI_CONFIG_FILE");
    command
}

/// Neither the program nor its registry is on PyPI or npm, so nothing installs them: this is never required.
#[test]
fn the_page_is_terraform() {
    let folder = folder("terraform");
    let page = blocks::of("docs/deploy/terraform.md", "hcl", "terraform").concat();
    fs::write(folder.join("main.tf"), page).expect("the folder is ours");
    if terraform(&folder).arg("version").output().is_err() {
        eprintln!("skipped: no terraform in PATH");
        return;
    }
    run(terraform(&folder).args(["fmt", "-check", "-diff"]));
    let init = terraform(&folder).args(["init", "-backend=false", "-input=false"]).output();
    if !init.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: terraform validate, because the AWS provider cannot be had here");
        return;
    }
    run(terraform(&folder).arg("validate"));
}

//! The page on images, followed step by step without Docker.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::blocks;
use super::tools::{folder, run, skip, target};

const PAGE: &str = "docs/deploy/image.md";

#[test]
fn the_steps_leave_an_extension_that_starts() {
    let layers = target().join("layer");
    let native = if cfg!(target_arch = "x86_64") { "x86_64" } else { "arm64" };
    if !layers.join(format!("prefreeze-{native}.zip")).is_file() {
        return skip("no layer: `make layer` has not made it");
    }
    let folder = folder("image");
    fs::create_dir(folder.join("target")).expect("the folder is ours");
    std::os::unix::fs::symlink(layers, folder.join("target/layer")).expect("the folder is ours");
    fs::write(folder.join("app.py"), "def handler(event, context): pass\n").expect("the folder is ours");
    for script in blocks::of(PAGE, "sh", "image") {
        // This machine can start only its own.
        let script = script.replace("prefreeze-arm64.zip", &format!("prefreeze-{native}.zip"));
        run(Command::new("sh").args(["-ec", &script]).current_dir(&folder));
    }
    let image = folder.join("image");
    for line in blocks::of(PAGE, "dockerfile", "image").concat().lines() {
        if let Some(copy) = line.strip_prefix("COPY ") {
            let (from, to) = copy.trim().split_once(' ').expect("COPY has two sides");
            copy_into(&folder.join(from), &image.join(place(to).trim_start_matches('/')));
        }
    }
    let binary = image.join("opt/extensions/prefreeze");
    assert!(image.join("var/task/app.py").is_file());
    let said = run(Command::new(binary).arg("--version"));
    assert!(said.starts_with("prefreeze "), "{said}");
}

/// `LAMBDA_TASK_ROOT` is a variable of AWS's base images.
fn place(to: &str) -> String {
    to.replace("${LAMBDA_TASK_ROOT}", "/var/task")
}

/// As `COPY` does: a folder's contents, or a file; modes are kept.
fn copy_into(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("the folder is ours");
    let from = if from.is_dir() { from.join(".") } else { from.to_owned() };
    run(Command::new("cp").arg("-a").arg(from).arg(to));
}

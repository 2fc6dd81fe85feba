//! Keeps every "only" of this tree true, by reading it; and proves that each rule can fail.
//!
//! A rule that no machine checks drifts. What a rule means is said at the rule, in `tidy/`; to plant a
//! violation of a new one, add a row to `PLANTED` below.

mod tidy {
    pub(crate) mod circles;
    pub(crate) mod documents;
    pub(crate) mod files;
    pub(crate) mod layers;
    pub(crate) mod links;
    pub(crate) mod makefile;
    pub(crate) mod only;
    pub(crate) mod planted;
    pub(crate) mod source;
    pub(crate) mod tree;
}

use std::path::{Path, PathBuf};
use std::process::Command;

use tidy::tree::{Tree, Violation};
use tidy::{circles, documents, files, layers, links, makefile, only, planted};

/// Everything that is held, over a tree.
const RULES: &[fn(&Tree) -> Vec<Violation>] = &[
    only::each_thing_in_its_file,
    only::exemptions_match_homes,
    layers::arrows_point_one_way,
    layers::policy_depends_on_nothing,
    layers::policy_is_no_std,
    circles::config_is_in_no_circle,
    files::start_with_a_sentence,
    files::stay_short,
    files::policy_stays_short,
    files::functions_stay_short,
    files::nothing_unfinished,
    files::no_machine_paths,
    files::top_level_is_fixed,
    files::changelog_has_unreleased,
    links::relative_links_resolve,
    documents::named_variables_exist,
    documents::read_variables_are_documented,
    documents::named_commands_exist,
    documents::explained_events_are_said,
    documents::said_events_are_explained,
    documents::anchors_lead_to_headings,
    makefile::named_targets_exist,
    makefile::artefacts_have_targets,
];

fn violations(tree: &Tree) -> Vec<String> {
    RULES.iter().flat_map(|rule| rule(tree)).map(|violation| violation.to_string()).collect()
}

#[test]
fn the_tree_is_tidy() {
    let found = violations(&Tree::read(&workspace()).expect("the workspace can be read"));
    assert!(found.is_empty(), "{} violations:\n{}", found.len(), found.join("\n"));
}

#[test]
fn a_clean_tree_passes() {
    assert_eq!(violations(&planted::clean_tree()), Vec::<String>::new());
}

#[test]
fn what_only_looks_like_a_violation_passes() {
    for (path, text) in planted::INNOCENT {
        assert_eq!(violations(&planted::tree_with(path, text)), Vec::<String>::new(), "{path}:\n{text}");
    }
}

#[test]
fn each_planted_violation_is_found() {
    for (path, text, complaint) in planted::GUILTY {
        assert_only_complaint(path, text, complaint);
    }
}

#[test]
fn long_files_and_functions_are_found() {
    let file = format!("//! D.\n{}", "const A: u8 = 1;\n".repeat(1000));
    assert_only_complaint("extension/src/driver.rs", &file, "1000 lines of code, of at most");
    let function = format!("//! D.\nfn f() {{\n{}}}\n", "    g();\n".repeat(80));
    assert_only_complaint("extension/src/driver.rs", &function, "fn f has 82 lines, of at most");
    for path in ["extension/policy/src/agent.rs", "extension/policy/tests/stories/roots.rs"] {
        let lines = |count: usize| format!("//! P.\n{}", "// Why.\n".repeat(count - 1));
        assert_only_complaint(path, &lines(401), "401 lines, of at most 400 in policy");
        assert_eq!(violations(&planted::tree_with(path, &lines(400))), Vec::<String>::new());
    }
    let documented = format!("//! D.\n{}", "// Why.\n\n".repeat(1000));
    let tests =
        format!("//! D.\n#[cfg(test)]\nmod tests {{\n    fn f() {{\n{}    }}\n}}\n", "g();\n".repeat(1000));
    for text in [documented, tests] {
        let found = violations(&planted::tree_with("extension/src/driver.rs", &text));
        assert_eq!(found, Vec::<String>::new());
    }
}

/// Three files in a circle, by each way of naming a module.
#[test]
fn a_circle_through_config_is_found() {
    const FOLDER: &str = "extension/policy/src/";
    let ways = [
        (
            "use crate::metrics::{cost::Prices, Measuring};",
            "pub use cost::Prices;",
            "use crate::config::Config;",
        ),
        (
            "use crate::metrics::Measuring;",
            "use cost::{Prices};",
            "use super::super::config::{Bounds, Config};",
        ),
        ("fn f(_: crate::metrics::cost::Prices) {}", "", "fn f(_: &crate::config::Config) {}"),
    ];
    for (of_config, of_metrics, of_cost) in ways {
        let mut tree = planted::clean_tree();
        for (name, text) in [("config", of_config), ("metrics", of_metrics), ("metrics/cost", of_cost)] {
            tree.files.insert(format!("{FOLDER}{name}.rs"), format!("//! P.\n{text}\n"));
        }
        let found = violations(&tree);
        let complaint =
            format!("{FOLDER}metrics/cost.rs: imports config.rs, which needs it: {FOLDER}config.rs -> ");
        assert!(found.len() == 1 && found[0].starts_with(&complaint), "{of_config}: {found:?}");
        // A test may import what it likes, and so may whoever only reads the settings.
        let tests = format!("//! P.\n#[cfg(test)]\nmod tests {{\n    {of_cost}\n}}\n");
        tree.files.insert(format!("{FOLDER}metrics/cost.rs"), tests);
        tree.files.insert(format!("{FOLDER}budget.rs"), format!("//! P.\n{of_cost}\n"));
        assert_eq!(violations(&tree), Vec::<String>::new(), "{of_config}");
    }
}

#[test]
fn a_rule_without_its_file_is_found() {
    let mut tree = planted::clean_tree();
    tree.files.remove("extension/src/clock.rs");
    let found = violations(&tree);
    assert_eq!(found, ["extension/src/clock.rs: is not there, but tidy says that only it reads a clock"]);
}

#[track_caller]
fn assert_only_complaint(path: &str, text: &str, complaint: &str) {
    let found = violations(&planted::tree_with(path, text));
    assert!(!found.is_empty(), "not told: {complaint}\n{path}:\n{text}");
    assert!(
        found.iter().all(|line| line.contains(complaint)),
        "not only \"{complaint}\": {found:?}\n{path}:\n{text}"
    );
}

/// The compiler's own proof, beside the text rules: with `no_std` and no dependency, the world has no name.
#[test]
fn policy_cannot_name_the_world() {
    assert!(compile_policy_with("").is_ok(), "policy compiles alone: {:?}", compile_policy_with(""));
    for item in planted::WORLD {
        let refusal = compile_policy_with(item).expect_err(item);
        assert!(refusal.contains("std"), "refused for another reason than std: {item}\n{refusal}");
    }
}

/// Compiles policy's sources, with `item` added at the end, as a crate of its own; the compiler's words if it cannot.
fn compile_policy_with(item: &str) -> Result<(), String> {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("policy-alone");
    let sources = Tree::read(&workspace().join("extension/policy/src")).expect("policy has sources");
    for (path, text) in &sources.files {
        let copy = folder.join(path);
        std::fs::create_dir_all(copy.parent().expect("a file in a folder"))
            .expect("the target folder is ours");
        std::fs::write(copy, text).expect("the target folder is ours");
    }
    let root = folder.join("lib.rs");
    let text = format!("{}\n{item}\n", sources.files.get("lib.rs").expect("policy has a root"));
    std::fs::write(&root, text).expect("the target folder is ours");

    let arithmetic = folder.join("libm.rs");
    std::fs::write(&arithmetic, ARITHMETIC).expect("the target folder is ours");
    compile("libm", &arithmetic, &folder)?;
    compile("policy", &root, &folder)
}

/// A stand-in for `libm`, policy's only dependency, of which the real one lies where only cargo knows.
const ARITHMETIC: &str = "#![no_std]
macro_rules! of { ($($name:ident)*) => { $(pub fn $name(x: f64) -> f64 { x })* } }
of! { ceil floor round fabs sqrt exp exp2 log log2 log10 log1p }
pub fn pow(x: f64, _: f64) -> f64 { x }
";

/// Compiles one crate, against what is in `folder` already.
fn compile(name: &str, root: &Path, folder: &Path) -> Result<(), String> {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc)
        .args(["--crate-name", name, "--crate-type", "lib", "--edition", "2024", "--emit", "metadata"])
        .args(["--extern", "libm", "--cap-lints", "allow", "-L"])
        .arg(folder)
        .arg("--out-dir")
        .arg(folder)
        .arg(root)
        .output()
        .expect("rustc is beside cargo");
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is in the workspace").to_owned()
}

//! What documents tell people to type: blocks marked `run` are run, and every `aws …` is one that the AWS CLI knows.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::tools::{python, run, target, workspace};

/// Reads commands, one a line, and says which of them the models of AWS's own SDK do not know.
const KNOWN: &str = r#"
import shlex, sys
import botocore.session
from botocore import xform_name
session = botocore.session.get_session()
problems = []
for line in sys.stdin:
    _, service, command, *words = shlex.split(line)
    try:
        model = session.get_service_model(service)
    except Exception:
        problems.append(f"no service {service}: {line}")
        continue
    names = {xform_name(name, '-'): name for name in model.operation_names}
    if command not in names:
        problems.append(f"no command {command}: {line}")
        continue
    shape = model.operation_model(names[command]).input_shape
    options = {xform_name(name, '-') for name in shape.members} | {'region', 'output', 'query', 'profile'}
    given = [word[2:].split('=')[0] for word in words if word.startswith('--')]
    problems += [f"no option --{word}: {line}" for word in given if word not in options]
    missing = [name for name in map(lambda name: xform_name(name, '-'), shape.required_members) if name not in given]
    # The zip of a layer is inside of a structure that the CLI fills from --zip-file.
    problems += [f"--{name} is missing: {line}" for name in missing if not (name == 'content' and 'zip-file' in given)]
    problems = [problem for problem in problems if not problem.startswith('no option --zip-file')]
print('\n'.join(problems))
"#;

/// The Markdown files, by their paths.
fn documents() -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![workspace().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder of ours").map_while(Result::ok) {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            if path.is_dir() && name != "target" && name != "node_modules" && !name.starts_with('.') {
                folders.push(path);
            } else if name.ends_with(".md") {
                let text = fs::read_to_string(&path).expect("a document is text");
                found.insert(path, text);
            }
        }
    }
    found
}

/// The lines in fenced blocks, with those that end in a backslash put together.
fn lines_in_blocks(text: &str) -> Vec<String> {
    let mut is_inside = false;
    let mut lines = Vec::new();
    for line in text.replace("\\\n", " ").lines() {
        if line.starts_with("```") {
            is_inside = !is_inside;
        } else if is_inside {
            lines.push(line.to_owned());
        }
    }
    lines
}

#[test]
fn blocks_marked_run_can_be_run() {
    let built = target().join(
        Path::new(&env::current_exe().expect("a path")).parent().and_then(Path::parent).expect("a profile"),
    );
    assert!(built.join("prefreeze").is_file(), "no prefreeze in {}: `make test` builds it", built.display());
    let path =
        env::join_paths([built].into_iter().chain(env::split_paths(&env::var_os("PATH").expect("a PATH"))));
    let path = path.expect("a PATH");
    let mut count = 0;
    for (page, text) in documents() {
        for (at, opening) in text.match_indices("```sh run\n") {
            let script = text[at + opening.len()..].split("\n```").next().expect("an end");
            println!("{}: {script}", page.display());
            run(Command::new("bash").args(["-euc", script]).env("PATH", &path).current_dir(workspace()));
            count += 1;
        }
    }
    assert!(count > 0, "nothing was run");
}

#[test]
fn every_aws_command_is_known() {
    let Some(mut python) = python("python") else { return };
    let lines = documents().into_values().flat_map(|text| lines_in_blocks(&text));
    let commands: Vec<String> = lines.filter(|line| line.starts_with("aws ")).collect();
    assert!(commands.len() > 3, "{commands:?}");
    let file = super::tools::folder("aws").join("commands");
    fs::write(&file, commands.join("\n")).expect("the folder is ours");
    let file = fs::File::open(file).expect("it was written");
    let said = run(python.args(["-c", KNOWN]).stdin(file));
    assert_eq!(said.trim(), "");
}

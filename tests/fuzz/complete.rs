//! Every decoder is under the fuzzer: each function of `wire` and `guard` that reads bytes or text is called by a target.

use std::fs;
use std::path::{Path, PathBuf};

/// What writes text or bytes and reads none; each with the reason why it needs no target.
const WRITERS: &[(&str, &str)] = &[
    ("put_bytes", "writes what it is given"),
    ("encode_into", "writes what it is given"),
    ("success", "writes a sentence of ours"),
    ("success_json", "writes a sentence of ours"),
    ("failure", "writes a sentence of ours"),
    ("failure_json", "writes a sentence of ours"),
    ("set", "takes a setting"),
    ("set_int", "takes a setting"),
    ("set_if_missing", "takes a setting"),
    ("has", "takes a key of ours"),
    ("everything", "takes a key of any bytes"),
];
/// Decoders whose caller is the target: what calls them, by the name in the target.
const INSIDE: &[(&str, &str)] = &[
    // The `match` of each rule.
    ("conditions", "rules::parse("),
    // The guard reads a value of the function's own environment as it reads a text.
    ("value", "text("),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn sources(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of this repository").flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}

/// Public functions that take bytes or text: their names, each with its file.
fn readers() -> Vec<(String, PathBuf)> {
    let mut files = Vec::new();
    for folder in ["extension/wire/src", "extension/guard/src"] {
        sources(&root().join(folder), &mut files);
    }
    let mut readers = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).expect("a source file");
        for after in text.split("pub fn ").skip(1) {
            let Some((name, rest)) = after.split_once('(') else { continue };
            let taken = rest.split(") ").next().unwrap_or_default();
            let reads =
                ["[u8]", "str", "Bytes", "Ended<", "Span<Body>"].iter().any(|kind| taken.contains(kind));
            if reads {
                let name = name.split('<').next().unwrap_or_default();
                readers.push((name.to_owned(), file.clone()));
            }
        }
    }
    readers
}

#[test]
fn every_decoder_of_wire_and_guard_has_a_target() {
    let mut files = Vec::new();
    sources(Path::new(env!("CARGO_MANIFEST_DIR")), &mut files);
    let is_target = |file: &&PathBuf| !file.ends_with("complete.rs");
    let targets: String =
        files.iter().filter(is_target).map(|file| fs::read_to_string(file).expect("a target")).collect();
    let readers = readers();
    assert!(readers.len() > 20, "the sources are not where they were: {readers:?}");
    let is_writer = |name: &str| WRITERS.iter().any(|(writer, _)| *writer == name);
    let call = |name: &str| {
        let inside = INSIDE.iter().find(|(decoder, _)| *decoder == name);
        inside.map_or_else(|| format!("{name}("), |(_, call)| (*call).to_owned())
    };
    let missing: Vec<_> =
        readers.iter().filter(|(name, _)| !is_writer(name) && !targets.contains(&call(name))).collect();
    assert!(missing.is_empty(), "no target calls these: {missing:?}");
    // A reason for what is no longer there explains nothing.
    let named = WRITERS.iter().chain(INSIDE).map(|(name, _)| *name);
    let gone: Vec<_> = named.filter(|name| !readers.iter().any(|(reader, _)| reader == name)).collect();
    assert!(gone.is_empty(), "these are not there any more: {gone:?}");
}

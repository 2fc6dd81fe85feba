//! Builds the copy with its mutants in it, and takes out those that no compiler takes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

use crate::list::{Mutant, Sources};
use crate::tree::Tree;
use crate::weave::{Woven, weave};
use crate::{Result, digest};

/// The profile that everything is built in.
const PROFILE: &str = "mutants";
/// Each round takes out whole kinds of errors: types first, borrows behind. Far more than are needed.
const ROUNDS_MAX: usize = 20;

/// What became of the mutants when they were compiled.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Sorted {
    /// Of which mutants of which sources this is said.
    digest: u64,
    /// No compiler takes these.
    pub(crate) unviable: BTreeSet<u32>,
    /// These cannot lie behind a switch.
    pub(crate) misfits: BTreeSet<u32>,
    /// Functions that constants are computed by.
    constant: BTreeSet<String>,
}

/// A test program, and the folder it is to be run in.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    pub(crate) path: PathBuf,
    pub(crate) folder: PathBuf,
}

/// By the folder of its package, the kind of its target (`lib` for unit tests, or `test`) and its name.
pub(crate) type Programs = BTreeMap<(String, String, String), Program>;

/// Weaves all mutants but those sorted out, and compiles until there is nothing to complain of.
pub(crate) fn sort_out(
    tree: &Tree,
    package: &str,
    mutants: &BTreeMap<u32, Mutant>,
    sources: &Sources,
) -> Result<Sorted> {
    // What was found out in the session before holds as long as nothing has changed; only tests have, most of the time.
    let path = tree.root.join("sorted.json");
    let digest = digest(&format!("{mutants:?} {sources:?}"));
    let known = std::fs::read_to_string(&path).ok().and_then(|text| serde_json::from_str(&text).ok());
    let known = known.filter(|known: &Sorted| known.digest == digest);
    let mut sorted = known.unwrap_or_else(|| Sorted { digest, ..Sorted::default() });
    for _ in 0..ROUNDS_MAX {
        let woven = weave_all(mutants, sources, &mut sorted)?;
        let texts = woven.iter().map(|(path, woven)| (path.clone(), woven.text.clone()));
        tree.write_all(&texts.collect())?;
        let messages = cargo(tree, &["check", "--package", package])?;
        if messages.is_success {
            std::fs::write(&path, serde_json::to_string(&sorted)?)?;
            return Ok(sorted);
        }
        for error in &messages.errors {
            sorted.on_error(error, &woven)?;
        }
    }
    Err("the mutants do not become fewer".into())
}

fn weave_all(
    mutants: &BTreeMap<u32, Mutant>,
    sources: &Sources,
    sorted: &mut Sorted,
) -> Result<BTreeMap<String, Woven>> {
    let mut all = BTreeMap::new();
    for (path, source) in sources {
        let is_in = |(number, mutant): &(&u32, &Mutant)| {
            mutant.path == *path && !sorted.unviable.contains(number) && !sorted.misfits.contains(number)
        };
        let here: Vec<_> = mutants.iter().filter(is_in).map(|(number, mutant)| (*number, mutant)).collect();
        let woven = weave(source, &here, &sorted.constant)?;
        sorted.unviable.extend(&woven.unviable);
        sorted.misfits.extend(&woven.misfits);
        all.insert(path.clone(), woven);
    }
    Ok(all)
}

impl Sorted {
    /// An error is a mutant's own fault, or that of a place where no switch may be read.
    fn on_error(&mut self, error: &Diagnostic, woven: &BTreeMap<String, Woven>) -> Result<()> {
        const NOT_CONSTANT: &str = "E0015";
        let is_constant = error.code.as_ref().is_some_and(|code| code.code == NOT_CONSTANT);
        let places = error.spans.iter().filter(|span| span.is_primary).map(DiagnosticSpan::written);
        let places: Vec<_> =
            places.filter_map(|span| Some((woven.get(&span.file_name)?, span.byte_start))).collect();
        let mut is_known = false;
        for (woven, at) in &places {
            if let Some((_, number)) = woven.mutants.iter().find(|(range, _)| range.contains(at))
                && !is_constant
            {
                is_known = true;
                self.unviable.insert(*number);
            } else if let Some((_, numbers)) = woven.sites.iter().find(|(range, _)| range.contains(at)) {
                // The innermost site is closed, and so listed, first.
                is_known = true;
                self.misfits.extend(numbers);
            }
        }
        if !is_known
            && is_constant
            && let Some(name) = error.message.split('`').nth(1)
        {
            let name = name.rsplit("::").next().unwrap_or(name);
            is_known = self.constant.insert(name.to_owned());
        }
        // An error that ends the list has no place, and says how many there were.
        if is_known || error.spans.is_empty() {
            return Ok(());
        }
        Err(format!(
            "no mutant is to blame for this: {}",
            error.rendered.as_deref().unwrap_or(&error.message)
        )
        .into())
    }
}

/// Builds the tests that these words choose; `None` if they do not compile.
pub(crate) fn programs(tree: &Tree, chosen: &[&str]) -> Result<Option<Programs>> {
    let messages = cargo(tree, &[&["test", "--no-run"], chosen].concat())?;
    Ok(messages.is_success.then_some(messages.programs))
}

/// What cargo said.
struct Messages {
    is_success: bool,
    errors: Vec<Diagnostic>,
    programs: Programs,
}

fn cargo(tree: &Tree, words: &[&str]) -> Result<Messages> {
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(words)
        .args(["--profile", PROFILE, "--message-format", "json", "--quiet"])
        .current_dir(&tree.root)
        .env("CARGO_TARGET_DIR", tree.root.join("target"))
        // Mutants are allowed to look odd; and nobody debugs them.
        .env("RUSTFLAGS", "--cap-lints allow")
        .stderr(Stdio::inherit())
        .output()?;
    let mut messages =
        Messages { is_success: output.status.success(), errors: Vec::new(), programs: Programs::new() };
    for line in String::from_utf8(output.stdout)?.lines().filter(|line| line.starts_with('{')) {
        match serde_json::from_str(line)? {
            Message::Complaint { message } if message.level.starts_with("error") => {
                messages.errors.push(message);
            }
            Message::Built { manifest_path, target, executable: Some(path) } => {
                let folder = Path::new(&manifest_path).parent().unwrap_or(&tree.root).to_owned();
                let package = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
                let kind = target.kind.first().cloned().unwrap_or_default();
                messages.programs.insert((package, kind, target.name), Program { path, folder });
            }
            _ => {}
        }
    }
    Ok(messages)
}

#[derive(Deserialize)]
#[serde(tag = "reason")]
enum Message {
    #[serde(rename = "compiler-message")]
    Complaint { message: Diagnostic },
    #[serde(rename = "compiler-artifact")]
    Built { manifest_path: PathBuf, target: Target, executable: Option<PathBuf> },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct Target {
    kind: Vec<String>,
    name: String,
}

#[derive(Deserialize)]
struct Diagnostic {
    level: String,
    message: String,
    code: Option<Code>,
    spans: Vec<DiagnosticSpan>,
    rendered: Option<String>,
}

#[derive(Deserialize)]
struct Code {
    code: String,
}

#[derive(Deserialize)]
struct DiagnosticSpan {
    file_name: String,
    byte_start: usize,
    is_primary: bool,
    expansion: Option<Box<Expansion>>,
}

#[derive(Deserialize)]
struct Expansion {
    span: DiagnosticSpan,
}

impl DiagnosticSpan {
    /// Where it is written, if a macro wrote it.
    fn written(&self) -> &Self {
        self.expansion.as_ref().map_or(self, |expansion| expansion.span.written())
    }
}

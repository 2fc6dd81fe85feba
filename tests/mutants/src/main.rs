//! Mutation tests of policy: changes one thing at a time, and sees that a test notices.
//!
//! cargo-mutants names the mutants. All of them lie behind switches in one copy of policy, which is built once; the tests
//! then run against each. A mutant that no test notices must be in the list of survivors, with its reason.

mod build;
mod known;
mod list;
mod session;
mod tree;
mod trial;
mod verdict;
mod weave;

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use known::Known;
use list::Mutant;
use session::{Fates, Session};
use tree::Plan;
use trial::{Fate, Stage};
use verdict::{Verdict, judge};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
const LIST: &str = "extension/policy/mutants.txt";
/// A sample has at most so many: fewer are built sooner.
const SAMPLE_MAX: usize = 200;

/// Ends a test program at the first panic, which then is a test that fails.
const AT_ONCE: &[(&str, &str)] = &[("MUTANT_DIES_AT_ONCE", "1")];
/// The quick ones first: what they kill, the others need not see.
const STAGES: [Stage; 4] = [
    Stage { name: "unit tests", program: ("policy", "lib", "policy"), tests: &[], variables: AT_ONCE },
    Stage { name: "stories", program: ("policy", "test", "stories"), tests: &[], variables: AT_ONCE },
    Stage {
        name: "simulation",
        program: ("simulation", "test", "simulation"),
        tests: &["every_seed"],
        variables: &[("SIM_RUNS", "300"), ("SIM_FAILURES", "1")],
    },
    Stage {
        name: "long simulation",
        program: ("simulation", "test", "simulation"),
        tests: &["every_seed"],
        variables: &[("SIM_RUNS", "1500"), ("SIM_FAILURES", "1")],
    },
];

/// What is asked for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Options {
    /// Where cargo-mutants is.
    tool: PathBuf,
    /// Where to build.
    target: PathBuf,
    /// A sample, tried for this long, chosen by a text: other texts, other samples.
    sample: Option<(Duration, String)>,
    /// Mutants only whose file and change hold this text.
    only: String,
    /// Mutants only that are listed: have they been killed?
    is_listed_only: bool,
}

fn main() -> ExitCode {
    match options(std::env::args().skip(1)).and_then(|options| run(&options)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("mutants: {error}");
            ExitCode::FAILURE
        }
    }
}

fn options(words: impl Iterator<Item = String>) -> Result<Options> {
    const USAGE: &str =
        "mutants --tool FILE --target FOLDER [--seconds N --order TEXT] [--only TEXT] [--listed]";
    let mut options = Options::default();
    let (mut seconds, mut order) = (None, String::new());
    let mut words = words;
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or(USAGE);
        match &*word {
            "--tool" => options.tool = std::path::absolute(value()?)?,
            "--target" => options.target = std::path::absolute(value()?)?,
            "--seconds" => seconds = Some(Duration::from_secs(value()?.parse()?)),
            "--order" => order = value()?,
            "--only" => options.only = value()?,
            "--listed" => options.is_listed_only = true,
            _ => return Err(USAGE.into()),
        }
    }
    if options.tool.as_os_str().is_empty() || options.target.as_os_str().is_empty() {
        return Err(USAGE.into());
    }
    options.sample = seconds.map(|seconds| (seconds, order));
    Ok(options)
}

/// Tries what is asked for, and says whether the list holds.
fn run(options: &Options) -> Result<bool> {
    let root = Path::new(ROOT);
    let mut known = Known::read(&std::fs::read_to_string(root.join(LIST))?)?;
    let (all, sources) = list::list(root, &options.tool, "policy")?;
    let session = Session {
        plan: Plan { root, mutated: "extension/policy", judges: &["tests/simulation"] },
        package: "policy",
        packages: &["policy", "simulation"],
        stages: &STAGES,
        folder: options.target.clone(),
        time: options.sample.as_ref().map(|(time, _)| *time),
    };
    let fates = session.run(chosen(&all, &known, options), &sources)?;
    std::fs::write(options.target.join("fates.txt"), table(&fates))?;
    let verdict = judge(&all, &fates, &known);
    print!("{}", told(&verdict));
    if std::env::var_os("UPDATE").is_some() {
        verdict.stale.iter().for_each(|name| known.remove(name));
        known.add(verdict.strange.iter().map(|(name, _)| name.clone()));
        std::fs::write(root.join(LIST), known.text())?;
    }
    // A sample is run with every change: what is listed in vain is said there, and mended in a run of all.
    let is_complete = options.sample.is_none();
    Ok(verdict.strange.is_empty() && !(is_complete && !verdict.stale.is_empty()))
}

/// The mutants to be tried, in their order.
fn chosen(all: &[Mutant], known: &Known, options: &Options) -> Vec<Mutant> {
    let listed = known.counts();
    let is_asked_for = |mutant: &&Mutant| {
        let is_named = format!("{}: {}", mutant.name.file, mutant.name.change).contains(&options.only);
        is_named && (!options.is_listed_only || listed.contains_key(&mutant.name))
    };
    let mut chosen: Vec<_> = all.iter().filter(is_asked_for).cloned().collect();
    if let Some((_, order)) = &options.sample {
        chosen.sort_by_cached_key(|mutant| digest(&format!("{order} {} {}", mutant.line, mutant.name)));
        chosen.truncate(SAMPLE_MAX);
    }
    chosen
}

/// FNV-1a: the same everywhere.
fn digest(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |digest, byte| (digest ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// One line for each mutant.
fn table(fates: &Fates) -> String {
    let mut text = String::new();
    for (mutant, fate) in fates {
        let fate = match fate {
            Some(Fate::Killed(stage)) => stage,
            Some(Fate::Survived) => "survived",
            Some(Fate::Unviable) => "unviable",
            None => "untried",
        };
        writeln!(text, "{fate}\t{}\t{}", mutant.line, mutant.name).expect("a string takes everything");
    }
    text
}

/// What a session came to.
fn told(verdict: &Verdict) -> String {
    let viable = verdict.killed + verdict.survived;
    let share = 100.0 * verdict.survived as f64 / viable.max(1) as f64;
    let mut text = format!(
        "{viable} viable mutants: {} killed, {} survive ({share:.1} %); {} unviable, {} untried\n",
        verdict.killed, verdict.survived, verdict.unviable, verdict.untried
    );
    for (name, line) in &verdict.strange {
        writeln!(text, "survives, and is not listed (line {line}): {name}")
            .expect("a string takes everything");
    }
    for name in &verdict.stale {
        writeln!(text, "is listed, and is killed or gone: {name}").expect("a string takes everything");
    }
    if !verdict.strange.is_empty() {
        let advice = "kill it by a test, or list it with its reason";
        writeln!(text, "{LIST}: {advice} (CONTRIBUTING.md)").expect("a string takes everything");
    }
    text
}

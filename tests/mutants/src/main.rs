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
use list::{Genre, Mutant};
use session::{Fates, Session};
use tree::Plan;
use trial::{Fate, Stage};
use verdict::{Verdict, judge};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
const MUTATED: &str = "extension/policy";
const LIST: &str = "extension/policy/mutants.txt";
/// Mutants of policy that people have named, for the simulation.
const NAMED: &str = "tests/simulation/mutants.tsv";
/// How many survivors nobody has looked at yet, and how many files, or begins of paths, nobody has gone through: these numbers
/// may only become smaller. All of the first came on 29 November 2026, with several destinations: tests of the binary play these, and no
/// mutant is run against them.
const LEFT_MAX: [usize; 2] = [33, 0];
/// Of the viable mutants, how many may survive, in a hundredth.
const SHARE_MAX: f64 = 5.0;
/// A sample has at most so many: fewer are built sooner.
const SAMPLE_MAX: usize = 200;

/// Ends a test program at the first panic, which then is a test that fails.
const AT_ONCE: &[(&str, &str)] = &[("MUTANT_DIES_AT_ONCE", "1")];
/// The quick ones first: what they kill, the others need not see.
const STAGES: [Stage; 3] = [
    Stage {
        name: "unit tests",
        program: ("policy", "lib", "policy"),
        tests: &[],
        variables: AT_ONCE,
        judges_named: false,
    },
    Stage {
        name: "stories",
        program: ("policy", "test", "stories"),
        tests: &[],
        variables: AT_ONCE,
        judges_named: false,
    },
    Stage {
        name: "simulation",
        program: ("simulation", "test", "simulation"),
        tests: &["every_seed"],
        variables: &[("SIM_RUNS", "300"), ("SIM_FAILURES", "1")],
        judges_named: true,
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
    let (mut all, sources) = list::list(root, &options.tool, "policy")?;
    all.extend(list::named(
        &std::fs::read_to_string(root.join(NAMED))?,
        &format!("{MUTATED}/src"),
        &sources,
    )?);
    let session = Session {
        plan: Plan { root, mutated: MUTATED, judges: &["tests/simulation"] },
        package: "policy",
        stages: &STAGES,
        folder: options.target.clone(),
        time: options.sample.as_ref().map(|(time, _)| *time),
    };
    let listed = known.counts();
    let is_meant = |mutant: &Mutant| {
        let is_named = format!("{}: {}", mutant.name.file, mutant.name.change).contains(&options.only);
        is_named && (!options.is_listed_only || listed.contains_key(&mutant.name))
    };
    let fates = session.run(built(&all, options), is_meant, &sources)?;
    std::fs::write(options.target.join("fates.txt"), table(&fates))?;
    let verdict = judge(&all, &fates, &known);
    print!("{}", told(&verdict, known.left()));
    if std::env::var_os("UPDATE").is_some() {
        verdict.stale.iter().for_each(|name| known.remove(name));
        known.add(verdict.strange.iter().map(|(name, _)| name.clone()));
        std::fs::write(root.join(LIST), known.text())?;
    }
    // A sample is run with every change: what is listed in vain is said there, and mended in a run of all.
    let is_sample = options.sample.is_some();
    let is_whole = !is_sample && verdict.untried == 0;
    Ok(verdict.strange.is_empty()
        && verdict.void.is_empty()
        && (is_sample || verdict.stale.is_empty())
        && !(is_whole && verdict.share() > SHARE_MAX)
        && is_within(known.left()))
}

/// Whether no more is left to look at than may be.
fn is_within(left: [usize; 2]) -> bool {
    left.iter().zip(LEFT_MAX).all(|(left, most)| *left <= most)
}

/// The mutants to be built: all, or those of a sample in its order.
fn built(all: &[Mutant], options: &Options) -> Vec<Mutant> {
    let mut built = all.to_vec();
    if let Some((_, order)) = &options.sample {
        // Those that people have named come first, in every sample.
        built.sort_by_cached_key(|mutant| {
            let digest = digest(&format!("{order} {} {}", mutant.line, mutant.name));
            (mutant.genre != Genre::Named, digest)
        });
        built.truncate(SAMPLE_MAX);
    }
    built
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
fn told(verdict: &Verdict, left: [usize; 2]) -> String {
    let mut text = format!(
        "{} viable mutants: {} killed, {} survive ({:.1} %, of at most {SHARE_MAX}); {} unviable, {} untried\n",
        verdict.killed + verdict.survived,
        verdict.killed,
        verdict.survived,
        verdict.share(),
        verdict.unviable,
        verdict.untried
    );
    for (name, line) in &verdict.strange {
        writeln!(text, "survives, and is not listed (line {line}): {name}")
            .expect("a string takes everything");
    }
    for name in &verdict.stale {
        writeln!(text, "is listed, and is killed or gone: {name}").expect("a string takes everything");
    }
    for name in &verdict.void {
        writeln!(text, "does not compile, and {NAMED} asks for it: {name}")
            .expect("a string takes everything");
    }
    if !verdict.strange.is_empty() {
        let advice = "kill it by a test, or list it with its reason";
        writeln!(text, "{LIST}: {advice} (CONTRIBUTING.md)").expect("a string takes everything");
    }
    let ([open, files], [open_max, files_max]) = (left, LEFT_MAX);
    writeln!(
        text,
        "to be looked at: {open} mutants listed as [open], of at most {open_max}, and {} in {files} [unread] files, of at most \
         {files_max}",
        verdict.unread
    )
    .expect("a string takes everything");
    text
}

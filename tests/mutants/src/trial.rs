//! Runs against each mutant the tests that reach it, several mutants at once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};

use crate::Result;
use crate::build::{Programs, programs};
use crate::list::{Genre, Mutant};
use crate::tree::Tree;

/// Of memory, in KiB: many times what the tests need. A mutant may want all there is.
const MEMORY_KIB: &str = "4000000";
/// A mutant that takes this many times the CPU time of the original does not end.
const PATIENCE: i64 = 5;
/// Added to the CPU time of the original, which is known in whole seconds only, and may be none. On a busy machine, whose
/// caches are cold, the bound without this killed a mutant that no test can tell from the original.
const SECONDS_SPARE: i64 = 2;

/// A test program as it is run, and what is said of a mutant that it kills.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stage {
    pub(crate) name: &'static str,
    /// The folder of the package, the kind of the target, and its name.
    pub(crate) program: (&'static str, &'static str, &'static str),
    /// Which tests of it, in the words that it understands.
    pub(crate) tests: &'static [&'static str],
    pub(crate) variables: &'static [(&'static str, &'static str)],
    /// Whether a mutant that a person has named must be noticed here.
    pub(crate) judges_named: bool,
}

impl Stage {
    /// The words that choose its program, of all that cargo could build.
    pub(crate) fn chosen(&self) -> Vec<&'static str> {
        let (package, kind, target) = self.program;
        match kind {
            "lib" => vec!["--package", package, "--lib"],
            _ => vec!["--package", package, "--test", target],
        }
    }
}

/// What became of a mutant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// By the stage of this name.
    Killed(&'static str),
    Survived,
    /// No compiler takes it.
    Unviable,
}

/// The tests that reach each mutant, by its number. A nameless thread is of some test or other.
type Reached = BTreeMap<u32, BTreeSet<String>>;

/// Stages in the order in which they are run, with what is known of each.
pub(crate) struct Trials<'a> {
    programs: &'a Programs,
    stages: Vec<Measured>,
}

struct Measured {
    stage: Stage,
    /// The CPU time that it may take.
    seconds: i64,
    reached: Reached,
}

impl<'a> Trials<'a> {
    /// Runs every stage without a mutant: it passes, and shows how long it takes and what it reaches.
    pub(crate) fn new(programs: &'a Programs, stages: &[Stage], folder: &Path) -> Result<Self> {
        let mut trials = Self { programs, stages: Vec::new() };
        let path = folder.join("trace.txt");
        for stage in stages {
            // The mutant with the number 0 is none; then again, slower, to see what is reached.
            let before = cpu_seconds()?;
            let passes = command(programs, *stage, 600, "0", stage.tests)?.status()?.success();
            let took = cpu_seconds()? - before;
            std::fs::write(&path, "")?;
            let mut tracing = command(programs, *stage, 600, "trace", stage.tests)?;
            // With one thread, tests would not run in threads of their own names.
            tracing.env("MUTANT_TRACE", &path).env("RUST_TEST_THREADS", "2");
            if !passes || !tracing.status()?.success() {
                return Err(format!("{} fails without any mutant", stage.name).into());
            }
            let reached = reached(&std::fs::read_to_string(&path)?)?;
            println!("{}: {took} s of CPU time, reaches {} mutants", stage.name, reached.len());
            trials.stages.push(Measured {
                stage: *stage,
                seconds: (took + SECONDS_SPARE) * PATIENCE,
                reached,
            });
        }
        Ok(trials)
    }

    /// Tries these mutants in their order, until the time is up: those behind have no fate then.
    pub(crate) fn run(
        &self,
        order: &[u32],
        mutants: &BTreeMap<u32, Mutant>,
        time: Option<Duration>,
    ) -> Result<BTreeMap<u32, Fate>> {
        let began = Instant::now();
        let (next, fates) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
        let work = || -> std::result::Result<(), String> {
            while time.is_none_or(|time| began.elapsed() < time)
                && let Some(mutant) = order.get(next.fetch_add(1, Ordering::Relaxed))
            {
                let fate = self.fate(*mutant, &mutants[mutant]).map_err(|error| error.to_string())?;
                let mut fates = fates.lock().expect("nothing panics with it in hand");
                fates.insert(*mutant, fate);
                if fate == Fate::Survived {
                    println!("survives: {} (line {})", mutants[mutant].name, mutants[mutant].line);
                }
                if fates.len().is_multiple_of(100) {
                    println!("{} of {} after {} s", fates.len(), order.len(), began.elapsed().as_secs());
                }
            }
            Ok(())
        };
        let count = std::thread::available_parallelism().map_or(1, usize::from);
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..count).map(|_| scope.spawn(work)).collect();
            workers.into_iter().try_for_each(|worker| worker.join().expect("a worker does not panic"))
        })?;
        Ok(fates.into_inner().expect("nobody holds it any more"))
    }

    /// What becomes of the mutant of this number. Tests that never come to its switch cannot tell it from none.
    fn fate(&self, number: u32, mutant: &Mutant) -> Result<Fate> {
        for measured in self.stages.iter().filter(|measured| measured.judges(mutant)) {
            let Some(tests) = measured.reached.get(&number) else { continue };
            let mut words = vec!["--exact"];
            words.extend(tests.iter().map(String::as_str));
            let is_named = tests.iter().all(|test| !test.is_empty());
            let words = if is_named { &words } else { measured.stage.tests };
            if !self.passes(measured, &number.to_string(), words)? {
                return Ok(Fate::Killed(measured.stage.name));
            }
        }
        Ok(Fate::Survived)
    }

    /// What becomes of a mutant without a switch, which `tree` has in its sources: each stage is built when it is needed.
    pub(crate) fn fate_alone(&self, tree: &Tree, mutant: &Mutant) -> Result<Fate> {
        for measured in self.stages.iter().filter(|measured| measured.judges(mutant)) {
            let Some(programs) = programs(tree, &measured.stage.chosen())? else { return Ok(Fate::Unviable) };
            let alone = Trials { programs: &programs, stages: Vec::new() };
            if !alone.passes(measured, "0", measured.stage.tests)? {
                return Ok(Fate::Killed(measured.stage.name));
            }
        }
        Ok(Fate::Survived)
    }

    fn passes(&self, measured: &Measured, mutant: &str, words: &[&str]) -> Result<bool> {
        let mut command = command(self.programs, measured.stage, measured.seconds, mutant, words)?;
        Ok(command.status()?.success())
    }
}

impl Measured {
    fn judges(&self, mutant: &Mutant) -> bool {
        mutant.genre != Genre::Named || self.stage.judges_named
    }
}

/// The program of a stage, within its bounds.
fn command(programs: &Programs, stage: Stage, seconds: i64, mutant: &str, words: &[&str]) -> Result<Command> {
    const BOUNDED: &str = r#"ulimit -t "$1" && ulimit -v "$2" && shift 2 && exec "$@""#;
    let (package, kind, target) = stage.program;
    let key = (package.to_owned(), kind.to_owned(), target.to_owned());
    let program = programs.get(&key).ok_or_else(|| format!("no program {key:?}"))?;
    let mut command = Command::new("sh");
    command
        .args(["-c", BOUNDED, "sh", &seconds.to_string(), MEMORY_KIB])
        .arg(&program.path)
        .args(words)
        .current_dir(&program.folder)
        .env("MUTANT", mutant)
        .envs(stage.variables.iter().copied())
        // As many at once as there are cores: each needs no more than one.
        .env("RUST_TEST_THREADS", "1")
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    Ok(command)
}

/// Of all programs that have ended.
fn cpu_seconds() -> Result<i64> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    Ok(usage.user_time().tv_sec() + usage.system_time().tv_sec())
}

fn reached(trace: &str) -> Result<Reached> {
    let mut reached = Reached::new();
    for line in trace.lines() {
        let (mutant, test) = line.split_once('\t').ok_or_else(|| format!("no line of a trace: {line}"))?;
        reached.entry(mutant.parse()?).or_default().insert(test.to_owned());
    }
    Ok(reached)
}

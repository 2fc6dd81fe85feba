//! One session: a copy with the mutants in it, built once, and every mutant tried.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use crate::Result;
use crate::build::{Programs, programs, sort_out};
use crate::list::{Mutant, Sources};
use crate::tree::{Plan, Tree};
use crate::trial::{Fate, Stage, Trials};
use crate::weave::replaced;

/// What is tried, and by what.
pub(crate) struct Session<'a> {
    pub(crate) plan: Plan<'a>,
    /// The package of the mutants.
    pub(crate) package: &'a str,
    pub(crate) stages: &'a [Stage],
    /// Where the copy is made.
    pub(crate) folder: PathBuf,
    /// With it, a mutant begins only before it is over, and those that need a build of their own are left out.
    pub(crate) time: Option<Duration>,
}

/// Each mutant with its fate; `None` if there was no time.
pub(crate) type Fates = Vec<(Mutant, Option<Fate>)>;

impl Session<'_> {
    /// Builds all of the mutants, and tries those that are meant in this order.
    pub(crate) fn run(
        &self,
        mutants: Vec<Mutant>,
        is_meant: impl Fn(&Mutant) -> bool,
        sources: &Sources,
    ) -> Result<Fates> {
        let tree = Tree::copy(&self.plan, self.folder.clone(), sources)?;
        let order: Vec<u32> = (1..).take(mutants.len()).collect();
        let mutants: BTreeMap<u32, Mutant> = order.iter().copied().zip(mutants).collect();
        let sorted = sort_out(&tree, self.package, &mutants, sources)?;
        println!(
            "{} mutants: {} do not compile, {} need a build of their own",
            mutants.len(),
            sorted.unviable.len(),
            sorted.misfits.len()
        );
        let mut built = Programs::new();
        for stage in self.stages {
            built.extend(programs(&tree, &stage.chosen())?.ok_or("the tests do not compile")?);
        }
        let trials = Trials::new(&built, self.stages, &tree.root)?;
        let is_switched = |number: &u32| {
            let is_sorted_out = sorted.unviable.contains(number) || sorted.misfits.contains(number);
            !is_sorted_out && is_meant(&mutants[number])
        };
        let switched: Vec<_> = order.into_iter().filter(is_switched).collect();
        let mut fates = trials.run(&switched, &mutants, self.time)?;
        fates.extend(sorted.unviable.iter().map(|number| (*number, Fate::Unviable)));
        if self.time.is_none() {
            for number in sorted.misfits.into_iter().filter(|number| is_meant(&mutants[number])) {
                fates.insert(number, self.build_alone(&tree, &mutants[&number], sources, &trials)?);
            }
        }
        Ok(mutants.into_iter().map(|(number, mutant)| (mutant, fates.remove(&number))).collect())
    }

    /// Builds and tries one mutant without a switch; its file has no others then.
    fn build_alone(
        &self,
        tree: &Tree,
        mutant: &Mutant,
        sources: &Sources,
        trials: &Trials<'_>,
    ) -> Result<Fate> {
        let source = &sources[&mutant.path];
        let text = replaced(source, &(0..source.len()), mutant);
        tree.write_all(&Sources::from([(mutant.path.clone(), text)]))?;
        let fate = trials.fate_alone(tree, mutant)?;
        tree.write_all(&Sources::from([(mutant.path.clone(), source.clone())]))?;
        Ok(fate)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::known::Known;
    use crate::list::{Genre, Name};
    use crate::verdict::judge;

    const MANIFEST: &str = r#"[workspace]
resolver = "3"
members = ["planted"]

[profile.mutants]
inherits = "dev"
"#;
    const PACKAGE: &str = "[package]\nname = \"planted\"\nedition = \"2024\"\n\n[dependencies]\n";
    const SOURCE: &str = r#"
const FOUR: u8 = twice(2);

const fn twice(n: u8) -> u8 {
    n + n
}

pub fn larger(a: u8, b: u8) -> u8 {
    if a > b { a } else { b }
}

pub fn largest(a: u8, b: u8) -> u8 {
    larger(a, b) + 0
}

pub fn count(n: u8) -> u8 {
    let mut i = 0;
    while i < n {
        i += 1;
    }
    i
}

pub fn is_four(n: Option<u8>, is_sure: bool) -> bool {
    match n {
        Some(n) if n == FOUR && !is_sure => true,
        None => is_sure,
        _ => false,
    }
}

#[test]
fn all() {
    assert_eq!((larger(1, 2), largest(2, 1), count(3)), (2, 2, 3));
    assert_eq!((FOUR, is_four(Some(4), false), is_four(None, true)), (4, true, true));
    assert!(!is_four(Some(5), false) && !is_four(None, false) && !is_four(Some(5), true));
}
"#;

    /// Planted mutants: the function of each, what is replaced, by what, and the fate that is its due.
    const PLANTED: &[(Genre, &str, &str, &str, Fate)] = &[
        (Genre::BinaryOperator, "if a «>» b", "<", "another value", KILLED),
        (Genre::BinaryOperator, "if a «>» b", ">=", "the same value", Fate::Survived),
        (Genre::BinaryOperator, "i «+=» 1", "*=", "never ends", KILLED),
        (Genre::BinaryOperator, "    n «+» n", "*", "two and two are four either way", Fate::Survived),
        (Genre::BinaryOperator, "    n «+» n", "-", "needed by a constant, and built alone", KILLED),
        (Genre::BinaryOperator, "n == FOUR «&&» !is_sure", "||", "in a condition of an arm", KILLED),
        (Genre::BinaryOperator, "n «==» FOUR", "!=", "in the same condition, deeper", KILLED),
        (Genre::UnaryOperator, "«!»is_sure", "", "the deepest", KILLED),
        (Genre::MatchArmGuard, "«n == FOUR && !is_sure» =>", "false", "the condition as a whole", KILLED),
        (Genre::MatchArm, "«None => is_sure,»", "", "an arm", KILLED),
        (Genre::Named, "«larger(a, b) + 0»", "b", "what a person thought of", KILLED),
        (Genre::FnValue, "«let mut i = 0;»", "3", "a value that the test happens to expect", Fate::Survived),
        (Genre::FnValue, "«let mut i = 0;»", "String::new()", "a value of another type", Fate::Unviable),
    ];
    const KILLED: Fate = Fate::Killed("unit tests");

    fn planted((genre, place, replacement, change, _): (Genre, &str, &str, &str, Fate)) -> Mutant {
        let (before, rest) = place.split_once('«').expect("it is marked");
        let (replaced, behind) = rest.split_once('»').expect("it is marked to its end");
        let start = SOURCE.find(&[before, replaced, behind].concat()).expect("it is there") + before.len();
        let name = Name { file: "lib.rs".to_owned(), change: change.to_owned(), code: String::new() };
        let path = "planted/src/lib.rs".to_owned();
        let range = start..start + replaced.len();
        Mutant { genre, name, path, line: 1, range, replacement: replacement.to_owned() }
    }

    #[test]
    fn planted_mutants_have_the_fate_that_is_due_to_them() {
        let folder = std::env::current_exe().expect("it runs").with_file_name("planted-mutants");
        let (root, copy) = (folder.join("original"), folder.join("copy"));
        fs::create_dir_all(root.join("planted/src")).expect("the target folder is writable");
        let lock = "version = 4\n\n[[package]]\nname = \"planted\"\nversion = \"0.0.0\"\n";
        let files = [("Cargo.toml", MANIFEST), ("Cargo.lock", lock), ("planted/Cargo.toml", PACKAGE)];
        for (name, text) in files.into_iter().chain([("planted/src/lib.rs", SOURCE)]) {
            fs::write(root.join(name), text).expect("the target folder is writable");
        }
        let stage = Stage {
            name: "unit tests",
            program: ("planted", "lib", "planted"),
            tests: &[],
            judges_named: true,
            variables: &[("MUTANT_DIES_AT_ONCE", "1")],
        };
        let session = Session {
            plan: Plan { root: &root, mutated: "planted", judges: &[] },
            package: "planted",
            stages: &[stage],
            folder: copy,
            time: None,
        };
        let mutants: Vec<_> = PLANTED.iter().copied().map(planted).collect();
        let sources = Sources::from([("planted/src/lib.rs".to_owned(), SOURCE.to_owned())]);
        let fates = session.run(mutants.clone(), |_| true, &sources).expect("it compiles");
        for ((mutant, fate), (.., due)) in fates.iter().zip(PLANTED) {
            assert_eq!(*fate, Some(*due), "{}", mutant.name);
        }
        // Who survives and is not listed is told; who is listed and dies, as well.
        let list = "[equal] Why.\n  lib.rs: the same value\n  lib.rs: another value\n";
        let verdict = judge(&mutants, &fates, &Known::read(list).expect("it is a list"));
        let names = |names: &[Name]| names.iter().map(|name| name.change.clone()).collect::<Vec<_>>();
        assert_eq!(names(&verdict.stale), ["another value"]);
        let strange: Vec<_> = verdict.strange.into_iter().map(|(name, _)| name).collect();
        assert_eq!(names(&strange), [PLANTED[11].3, PLANTED[3].3]);
    }
}

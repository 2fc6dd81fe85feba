//! What the fates of the mutants say of the list: who survives without being listed, and who is listed in vain.

use std::collections::BTreeMap;

use crate::known::Known;
use crate::list::{Genre, Mutant, Name};
use crate::session::Fates;
use crate::trial::Fate;

/// The outcome of a session.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) killed: usize,
    pub(crate) survived: usize,
    pub(crate) unviable: usize,
    /// There was no time for these.
    pub(crate) untried: usize,
    /// Of the survivors, those in files that nobody has gone through.
    pub(crate) unread: usize,
    /// Survivors that are not listed, with the line that each is in.
    pub(crate) strange: Vec<(Name, usize)>,
    /// Listed, and killed or not there any more.
    pub(crate) stale: Vec<Name>,
    /// Named by a person, and refused by the compiler: no test is asked about them.
    pub(crate) void: Vec<Name>,
}

impl Verdict {
    /// How many of a hundred viable mutants survive.
    pub(crate) fn share(&self) -> f64 {
        100.0 * self.survived as f64 / (self.killed + self.survived).max(1) as f64
    }
}

/// Judges: `all` are the mutants that there are, of which a session may have tried a part.
pub(crate) fn judge(all: &[Mutant], fates: &Fates, known: &Known) -> Verdict {
    let mut verdict = Verdict::default();
    let listed = known.counts();
    let mut survivors = BTreeMap::<&Name, Vec<&Mutant>>::new();
    let mut tried = BTreeMap::<&Name, usize>::new();
    for (mutant, fate) in fates {
        match fate {
            None => verdict.untried += 1,
            Some(Fate::Unviable) if mutant.genre == Genre::Named => verdict.void.push(mutant.name.clone()),
            Some(Fate::Unviable) => verdict.unviable += 1,
            Some(Fate::Killed(_)) => verdict.killed += 1,
            Some(Fate::Survived) => {
                verdict.survived += 1;
                survivors.entry(&mutant.name).or_default().push(mutant);
            }
        }
        *tried.entry(&mutant.name).or_default() += usize::from(fate.is_some());
    }
    for (name, mutants) in &survivors {
        let count = listed.get(name).copied().unwrap_or_default();
        let strange = mutants.iter().skip(count).map(|mutant| ((*name).clone(), mutant.line));
        if known.is_unread(&name.file) {
            verdict.unread += strange.count();
        } else {
            verdict.strange.extend(strange);
        }
    }
    for (name, count) in listed {
        let there = all.iter().filter(|mutant| mutant.name == *name).count();
        let survived = survivors.get(name).map_or(0, Vec::len);
        // Of mutants with one name, only all together say how many are listed in vain.
        if tried.get(name).copied().unwrap_or_default() == there {
            verdict.stale.extend((survived..count).map(|_| name.clone()));
        }
    }
    verdict
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::list::read;

    /// Two mutants of one name and one of another.
    fn mutants() -> Vec<Mutant> {
        const JSON: &str = r#"[
            {"file": "a/src/b.rs", "genre": "UnaryOperator", "replacement": "", "name": "a/src/b.rs:1:1: delete ! in f",
                "span": {"start": {"line": 1, "column": 1}, "end": {"line": 1, "column": 2}}},
            {"file": "a/src/b.rs", "genre": "UnaryOperator", "replacement": "", "name": "a/src/b.rs:2:1: delete ! in f",
                "span": {"start": {"line": 2, "column": 1}, "end": {"line": 2, "column": 2}}},
            {"file": "a/src/b.rs", "genre": "UnaryOperator", "replacement": "", "name": "a/src/b.rs:3:1: delete ! in g",
                "span": {"start": {"line": 3, "column": 1}, "end": {"line": 3, "column": 2}}}]"#;
        read(JSON, |_| Ok("!a\n!a\n!b\n".to_owned())).expect("it is a list").0
    }

    #[test]
    fn a_survivor_is_strange_or_listed_and_a_listed_one_that_dies_is_stale() {
        let (killed, survived) = (Some(Fate::Killed("stories")), Some(Fate::Survived));
        let f = "[open]\n  b.rs: delete ! in f\t«!»a\n";
        let both = "[open]\n  b.rs: delete ! in f\t«!»a\n  b.rs: delete ! in f\t«!»a\n";
        // What is listed, the three fates, and how many are strange and stale.
        let rows = [
            ("", [killed, killed, killed], 0, 0),
            ("", [survived, killed, survived], 2, 0),
            (f, [survived, killed, killed], 0, 0),
            (f, [survived, survived, killed], 1, 0),
            ("[unread]\n  b\n", [survived, survived, killed], 0, 0),
            ("[unread]\n  c\n", [survived, survived, killed], 2, 0),
            (f, [killed, killed, killed], 0, 1),
            (f, [killed, None, killed], 0, 0),
            (f, [Some(Fate::Unviable), killed, killed], 0, 1),
            (both, [survived, survived, killed], 0, 0),
            (both, [survived, killed, None], 0, 1),
            ("[equal] Why.\n  b.rs: delete ! in h\t«!»a\n", [killed, killed, killed], 0, 1),
        ];
        for (listed, fates, strange, stale) in rows {
            let all = mutants();
            let known = Known::read(listed).expect("it is a list");
            let verdict = judge(&all, &all.iter().cloned().zip(fates).collect(), &known);
            assert_eq!((verdict.strange.len(), verdict.stale.len()), (strange, stale), "{listed} {fates:?}");
        }
    }

    #[test]
    fn a_mutant_that_a_person_has_named_must_compile() {
        let rows = [(Genre::Named, Fate::Unviable, 1), (Genre::Named, Fate::Killed("simulation"), 0)];
        for (genre, fate, void) in rows.into_iter().chain([(Genre::UnaryOperator, Fate::Unviable, 0)]) {
            let all: Vec<_> =
                mutants().into_iter().take(1).map(|mutant| Mutant { genre, ..mutant }).collect();
            let fates = all.iter().cloned().map(|mutant| (mutant, Some(fate))).collect();
            assert_eq!(judge(&all, &fates, &Known::default()).void.len(), void, "{genre:?}: {fate:?}");
        }
    }
}

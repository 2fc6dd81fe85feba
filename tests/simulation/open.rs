//! Seeds that fail today: each is an open defect of the policy, or of an observer, and named as one. A seed that fails and
//! is not listed fails the test, and so does a listed one that holds.
//!
//! `UPDATE=1 cargo test --profile sim -p simulation every_seed` writes the list. It may only become shorter: a change that
//! makes it longer has made something worse, or has moved the seeds, which their stories tell apart (`make sim SEED=n`).

use std::collections::{BTreeMap, BTreeSet};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/open.tsv");
const HEAD: &str = "seed\tpromise that it breaks\n";
/// Of a failure's message, what is listed.
const WORDS_MAX: usize = 60;

/// The seeds below `runs` that are known to fail.
pub fn seeds(runs: u64) -> BTreeSet<u64> {
    let page = std::fs::read_to_string(PAGE).expect("the list is there");
    let lines = page.lines().skip(1).filter(|line| !line.is_empty());
    let seeds = lines.map(|line| {
        let seed = line.split('\t').next().unwrap_or_default();
        seed.parse().unwrap_or_else(|_| panic!("no seed: {line}"))
    });
    seeds.filter(|seed| *seed < runs).collect()
}

/// Lists these, with the messages of their failures.
pub fn write(failed: &BTreeMap<u64, &str>) {
    let lines = failed.iter().map(|(seed, message)| {
        let words = message.lines().next().unwrap_or_default();
        format!("{seed}\t{}\n", words.chars().take(WORDS_MAX).collect::<String>().trim_end())
    });
    let page = lines.fold(HEAD.to_owned(), |page, line| page + &line);
    std::fs::write(PAGE, page).expect("the source tree is writable when asked to update it");
}

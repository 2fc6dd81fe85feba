//! The whole policy in a simulated world: one seed decides everything, faults included, and replays exactly.
//!
//! `make sim SEED=7` replays one seed and tells its story; `make sim N=100000` runs many.

use simulation::{Story, World};

/// Seeds run by `make test`: some seconds; `make sim N=…` runs more.
const RUNS: u64 = 20_000;

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

fn run(seed: u64) -> Story {
    let outcome = std::panic::catch_unwind(|| World::new(seed).run());
    outcome.unwrap_or_else(|panic| {
        eprintln!("SEED={seed}   (make sim SEED={seed})");
        std::panic::resume_unwind(panic)
    })
}

#[test]
fn every_seed_keeps_every_promise() {
    if let Some(seed) = variable("SIM_SEED") {
        World::new(seed).aloud().run();
        return;
    }
    let (mut invocations, mut spans, mut exports) = (0, 0, 0);
    let runs = variable("SIM_RUNS").unwrap_or(RUNS);
    for seed in 0..runs {
        let story = run(seed);
        invocations += story.ledger.invocations;
        spans += story.ledger.spans.received + story.ledger.spans.made;
        exports += story.ledger.exports;
    }
    println!("{runs} seeds: {invocations} invocations, {spans} spans, {exports} exports");
}

#[test]
fn a_seed_replays_exactly() {
    for seed in 0..50 {
        assert_eq!(run(seed).text(), run(seed).text(), "seed {seed}");
    }
}

#[test]
fn the_story_of_a_quiet_environment() {
    let story = World::quiet(1).run();
    assert_prose(&story.text(), include_str!("quiet.txt"));
}

/// Compares as prose; `UPDATE=1` writes the file anew.
fn assert_prose(told: &str, expected: &str) {
    if std::env::var_os("UPDATE").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/quiet.txt");
        std::fs::write(path, told).expect("the source tree is writable when asked to update it");
    } else {
        assert_eq!(told, expected, "the story has changed; UPDATE=1 writes it anew");
    }
}

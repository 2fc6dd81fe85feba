//! Seeded mutation of bytes, and how long to go on with it.

use policy::Rng;

/// Rounds of one target in `make test`: a few seconds for all.
const ROUNDS: u64 = 60_000;

/// A long run says how far it is, so often.
const PROGRESS: u64 = 500_000;

/// Rounds of a target whose round does a hundred times as much.
const LONG_ROUNDS: u64 = 2_000;

/// As [`rounds`], for a target whose round takes long.
pub fn long_rounds(target: &str, round: impl FnMut(u64)) {
    run(target, LONG_ROUNDS, round);
}

/// Calls `round` with ever new seeds: a fixed number of times, `FUZZ_ROUNDS` times, or for `FUZZ_SECONDS`; from seed
/// `FUZZ_FROM` on where that is set, so that several processes can share a long run.
/// The same seed gives the same round; a round that panics names it.
pub fn rounds(target: &str, round: impl FnMut(u64)) {
    run(target, ROUNDS, round);
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().and_then(|text| text.parse().ok())
}

fn run(target: &str, count: u64, mut round: impl FnMut(u64)) {
    let count = number("FUZZ_ROUNDS").unwrap_or(count);
    let seconds = number("FUZZ_SECONDS");
    let until = seconds.map(|seconds| std::time::Instant::now() + std::time::Duration::from_secs(seconds));
    if let Some(seed) = number("FUZZ_SEED") {
        round(seed);
        return;
    }
    let from = number("FUZZ_FROM").unwrap_or(0);
    for seed in from.. {
        let done = seed - from;
        let is_over = until.map_or(done >= count, |until| std::time::Instant::now() >= until);
        if is_over {
            println!("{target}: {done} rounds");
            return;
        }
        if done > 0 && done.is_multiple_of(PROGRESS) {
            println!("{target}: {done} rounds so far");
        }
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| round(seed)));
        if let Err(panic) = outcome {
            eprintln!("{target}: FUZZ_SEED={seed}");
            std::panic::resume_unwind(panic);
        }
    }
}

/// `bytes` with up to eight changes: bits turned, bytes set, stretches cut, doubled or moved.
pub fn mutate(rng: &mut Rng, bytes: &[u8]) -> Vec<u8> {
    let mut mutated = bytes.to_vec();
    for _ in 0..rng.below(8) {
        change(rng, &mut mutated);
    }
    mutated
}

fn change(rng: &mut Rng, bytes: &mut Vec<u8>) {
    if bytes.is_empty() {
        bytes.push(rng.number() as u8);
        return;
    }
    let length = bytes.len() as u64;
    let at = rng.below(length) as usize;
    let end = at + rng.below(length - at as u64 + 1).min(64) as usize;
    match rng.below(7) {
        0 => bytes[at] ^= 1 << rng.below(8),
        1 => bytes[at] = rng.number() as u8,
        2 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][rng.below(5) as usize],
        3 => drop(bytes.drain(at..end)),
        4 => bytes.truncate(at),
        5 => {
            let doubled = bytes[at..end].to_vec();
            bytes.splice(at..at, doubled);
        }
        _ => bytes.insert(at, rng.number() as u8),
    }
}

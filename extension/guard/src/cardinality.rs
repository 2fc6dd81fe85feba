//! How many different values a key has, in memory that does not grow with them: HyperLogLog for each of the keys
//! seen most, which Space-Saving chooses.
//!
//! # Source
//! P. Flajolet and others, *HyperLogLog*, 2007; A. Metwally and others, *Efficient Computation of Frequent and
//! Top-k Elements in Data Streams*, 2005.

use crate::keys::hash;

/// Registers of one estimate: 2⁸, so that one is wrong by 6.5 % on average.
const REGISTERS: usize = 256;
/// Keys that are followed at a time. With their registers and names they take some 90 KiB, and never more.
const KEYS_MAX: usize = 256;
/// Longer keys are followed by their beginning.
const NAME_MAX: usize = 64;
/// Fewer values say nothing about a key.
const OBSERVED_MIN: u64 = 200;
/// A key that has more different values than this among those it had is an identifier.
const IDENTIFIER_RATIO: f64 = 0.8;
/// Keys that are named in the log, in the life of an environment: a function that makes up keys makes no more.
const NAMED_MAX: usize = 64;

/// An estimate of how many different values were seen.
#[derive(Clone, Debug)]
struct Distinct {
    registers: Box<[u8; REGISTERS]>,
}

impl Distinct {
    fn new() -> Self {
        Self { registers: Box::new([0; REGISTERS]) }
    }

    fn observe(&mut self, hash: u64) {
        let register = (hash >> 56) as usize;
        // One past the zeros at the front of what is left.
        let rank = ((hash << 8) | 0x80).leading_zeros() as u8 + 1;
        self.registers[register] = self.registers[register].max(rank);
    }

    fn estimate(&self) -> f64 {
        const SIZE: f64 = REGISTERS as f64;
        const ALPHA: f64 = 0.7213 / (1.0 + 1.079 / SIZE);
        let sum: f64 = self.registers.iter().map(|rank| 1.0 / (1_u64 << rank) as f64).sum();
        let raw = ALPHA * SIZE * SIZE / sum;
        let empty = self.registers.iter().filter(|rank| **rank == 0).count();
        if raw <= 2.5 * SIZE && empty > 0 { SIZE * (SIZE / empty as f64).ln() } else { raw }
    }
}

/// One key that is followed.
#[derive(Debug)]
struct Followed {
    hash: u64,
    name: Box<[u8]>,
    /// Since it is followed: what Space-Saving inherits is only for the order.
    observed: u64,
    weight: u64,
    distinct: Distinct,
    /// What the estimate was when it was last worked out, and at how many observations.
    known: (f64, u64),
    is_reported: bool,
}

/// A key that looks like an identifier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identifier {
    /// The key.
    pub key: String,
    /// How many different values it had, estimated.
    pub distinct: u64,
    /// Among how many.
    pub observed: u64,
}

/// What is known of the values of the keys seen most.
#[derive(Debug)]
pub(crate) struct Cardinality {
    keys: Vec<Followed>,
    /// Where to look for a key first: its place by the lowest bits of its hash.
    hints: Box<[u16; KEYS_MAX]>,
    named: usize,
    found: Vec<Identifier>,
}

/// What is known of one key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    pub(crate) distinct: f64,
    pub(crate) is_identifier: bool,
}

impl Cardinality {
    pub(crate) fn new() -> Self {
        Self { keys: Vec::new(), hints: Box::new([0; KEYS_MAX]), named: 0, found: Vec::new() }
    }

    /// Takes note of a value of `key`; says what is known of the key now.
    pub(crate) fn observe(&mut self, key: &[u8], value: &[u8]) -> Known {
        let index = self.place(key);
        let followed = &mut self.keys[index];
        followed.observed += 1;
        followed.weight += 1;
        followed.distinct.observe(hash(value));
        let (estimate, at) = followed.known;
        // Working it out costs as much as two hundred hashes: it is done when a tenth more was seen.
        let is_stale = followed.observed > at + at / 10;
        let distinct = if is_stale { followed.distinct.estimate() } else { estimate };
        if is_stale {
            followed.known = (distinct, followed.observed);
        }
        let is_identifier =
            followed.observed >= OBSERVED_MIN && distinct > IDENTIFIER_RATIO * followed.observed as f64;
        if is_identifier && !followed.is_reported {
            followed.is_reported = true;
            self.report(index);
        }
        Known { distinct, is_identifier }
    }

    /// The keys that turned out to be identifiers since this was last asked.
    pub(crate) fn take_found(&mut self) -> Vec<Identifier> {
        std::mem::take(&mut self.found)
    }

    fn report(&mut self, index: usize) {
        if self.named == NAMED_MAX {
            return;
        }
        self.named += 1;
        let followed = &self.keys[index];
        self.found.push(Identifier {
            key: String::from_utf8_lossy(&followed.name).into_owned(),
            distinct: followed.distinct.estimate() as u64,
            observed: followed.observed,
        });
    }

    /// Where `key` is followed, from now on if it was not: the key seen least makes room for it.
    fn place(&mut self, key: &[u8]) -> usize {
        let key_hash = hash(key);
        let slot = key_hash as usize % KEYS_MAX;
        let hint = usize::from(self.hints[slot]);
        if self.keys.get(hint).is_some_and(|followed| followed.hash == key_hash) {
            return hint;
        }
        let known = self.keys.iter().position(|followed| followed.hash == key_hash);
        let index = known.unwrap_or_else(|| self.follow(key, key_hash));
        self.hints[slot] = index as u16;
        index
    }

    fn follow(&mut self, key: &[u8], key_hash: u64) -> usize {
        let name = &key[..key.len().min(NAME_MAX)];
        if self.keys.len() < KEYS_MAX {
            self.keys.push(Followed {
                hash: key_hash,
                name: name.into(),
                observed: 0,
                weight: 0,
                distinct: Distinct::new(),
                known: (0.0, 0),
                is_reported: false,
            });
            return self.keys.len() - 1;
        }
        let least = self.keys.iter().enumerate().min_by_key(|(_, followed)| followed.weight);
        let index = least.expect("there are keys").0;
        let followed = &mut self.keys[index];
        followed.hash = key_hash;
        followed.name = name.into();
        followed.observed = 0;
        followed.distinct.registers.fill(0);
        followed.known = (0.0, 0);
        followed.is_reported = false;
        index
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn estimates_are_within_a_fifth() {
        for count in [10_u64, 100, 1_000, 10_000, 1_000_000] {
            let mut distinct = Distinct::new();
            for value in 0..count {
                distinct.observe(hash(format!("value-{value}").as_bytes()));
                distinct.observe(hash(format!("value-{value}").as_bytes()));
            }
            let error = (distinct.estimate() - count as f64).abs() / count as f64;
            assert!(error < 0.2, "{count}: {}", distinct.estimate());
        }
    }

    #[test]
    fn an_identifier_is_named_once() {
        let mut all = Cardinality::new();
        for index in 0..10_000 {
            all.observe(b"order.id", format!("order-{index}").as_bytes());
            all.observe(b"payment.method", [&b"card"[..], b"upi"][index % 2]);
        }
        let found = all.take_found();
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!((&*found[0].key, found[0].observed), ("order.id", 200));
        assert!((150..250).contains(&found[0].distinct), "{found:?}");
        assert_eq!(all.take_found(), []);
    }

    #[test]
    fn keys_without_end_take_no_more_room_and_hide_no_frequent_one() {
        let mut all = Cardinality::new();
        for index in 0..100_000_u64 {
            all.observe(format!("made.up.{index}").as_bytes(), b"x");
            all.observe(b"order.id", &index.to_le_bytes());
            all.observe(b"order.id", &(!index).to_le_bytes());
        }
        assert_eq!(all.keys.len(), KEYS_MAX);
        assert!(all.take_found().iter().any(|found| found.key == "order.id"));
    }
}

//! How many different values a key has, in memory that does not grow with them: HyperLogLog for each of the keys
//! seen most, which Space-Saving chooses.
//!
//! # Source
//! P. Flajolet and others, *HyperLogLog*, 2007; A. Metwally and others, *Efficient Computation of Frequent and
//! Top-k Elements in Data Streams*, 2005.

use crate::keys::hash;

/// Registers of one estimate: 2⁸, so that one is wrong by 6.5 % on average.
const REGISTERS: usize = 256;
/// Keys that are followed at a time. With their registers and names they take 96 KiB, and never more.
const KEYS_MAX: usize = 256;
/// Keys that are identifiers by what they are, on a span of every invocation: naming them helps nobody.
const WELL_KNOWN: &[&[u8]] =
    &[b"faas.invocation_id", b"faas.execution", b"aws.request_id", b"messaging.message.id"];
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
    registers: [u8; REGISTERS],
    /// Of 2 to the minus each register: exact, for each is a power of two.
    sum: f64,
    /// Registers that are still zero.
    empty: u16,
}

impl Distinct {
    const fn new() -> Self {
        Self { registers: [0; REGISTERS], sum: REGISTERS as f64, empty: REGISTERS as u16 }
    }

    /// Whether that changes the estimate: of many values fewer and fewer do.
    fn observe(&mut self, hash: u64) -> bool {
        let register = &mut self.registers[(hash >> 56) as usize];
        // One past the zeros at the front of what is left.
        let rank = ((hash << 8) | 0x80).leading_zeros() as u8 + 1;
        if *register >= rank {
            return false;
        }
        self.empty -= u16::from(*register == 0);
        self.sum += weight(rank) - weight(*register);
        *register = rank;
        true
    }

    fn estimate(&self) -> f64 {
        const SIZE: f64 = REGISTERS as f64;
        const ALPHA: f64 = 0.7213 / (1.0 + 1.079 / SIZE);
        let raw = ALPHA * SIZE * SIZE / self.sum;
        let is_small = raw <= 2.5 * SIZE && self.empty > 0;
        if is_small { SIZE * (SIZE / f64::from(self.empty)).ln() } else { raw }
    }
}

/// 2 to the minus `rank`.
fn weight(rank: u8) -> f64 {
    1.0 / (1_u64 << rank) as f64
}

/// One key that is followed.
#[derive(Debug)]
struct Followed {
    hash: u64,
    /// Its beginning, and how long that is.
    name: [u8; NAME_MAX],
    name_len: u8,
    /// Since it is followed: what Space-Saving inherits is only for the order.
    observed: u64,
    weight: u64,
    distinct: Distinct,
    /// The estimate.
    known: f64,
    /// It was named, or is one of those that need not be.
    is_reported: bool,
}

impl Followed {
    fn new(key: &[u8], hash: u64, weight: u64) -> Self {
        let name_len = key.len().min(NAME_MAX);
        let mut name = [0; NAME_MAX];
        name[..name_len].copy_from_slice(&key[..name_len]);
        Self {
            hash,
            name,
            name_len: name_len as u8,
            observed: 0,
            weight,
            distinct: Distinct::new(),
            known: 0.0,
            is_reported: WELL_KNOWN.contains(&key),
        }
    }

    fn name(&self) -> &[u8] {
        &self.name[..usize::from(self.name_len)]
    }
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

/// What is known of the values of the keys seen most; nothing is allocated before there is one.
#[derive(Debug, Default)]
pub(crate) struct Cardinality {
    /// One piece of memory from the first key on: pieces of their own, one by one, would split the heap.
    keys: Vec<Followed>,
    /// Where to look for a key first: its place by the lowest bits of its hash.
    hints: Vec<u16>,
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
    /// Takes note of a value of `key`; says what is known of the key now.
    pub(crate) fn observe(&mut self, key: &[u8], value: &[u8]) -> Known {
        let index = self.place(key);
        let followed = &mut self.keys[index];
        followed.observed += 1;
        followed.weight += 1;
        if followed.distinct.observe(hash(value)) {
            followed.known = followed.distinct.estimate();
        }
        let distinct = followed.known;
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

    /// Bytes that it takes, what was found and not yet taken aside.
    #[cfg(test)]
    pub(crate) fn size(&self) -> usize {
        self.keys.capacity() * size_of::<Followed>() + self.hints.capacity() * size_of::<u16>()
    }

    fn report(&mut self, index: usize) {
        if self.named == NAMED_MAX {
            return;
        }
        self.named += 1;
        let followed = &self.keys[index];
        self.found.push(Identifier {
            key: String::from_utf8_lossy(followed.name()).into_owned(),
            distinct: followed.known as u64,
            observed: followed.observed,
        });
    }

    /// Where `key` is followed, from now on if it was not: the key seen least makes room for it.
    #[inline]
    fn place(&mut self, key: &[u8]) -> usize {
        let key_hash = hash(key);
        let slot = key_hash as usize % KEYS_MAX;
        let hint = self.hints.get(slot).map_or(0, |hint| usize::from(*hint));
        if self.keys.get(hint).is_some_and(|followed| followed.hash == key_hash) {
            return hint;
        }
        let known = self.keys.iter().position(|followed| followed.hash == key_hash);
        let index = known.unwrap_or_else(|| self.follow(key, key_hash));
        self.hints[slot] = index as u16;
        index
    }

    fn follow(&mut self, key: &[u8], key_hash: u64) -> usize {
        if self.keys.is_empty() {
            self.keys.reserve_exact(KEYS_MAX);
            self.hints.resize(KEYS_MAX, 0);
        }
        if self.keys.len() < KEYS_MAX {
            self.keys.push(Followed::new(key, key_hash, 0));
            return self.keys.len() - 1;
        }
        let least = self.keys.iter().enumerate().min_by_key(|(_, followed)| followed.weight);
        let (index, weight) =
            least.map(|(index, followed)| (index, followed.weight)).expect("there are keys");
        self.keys[index] = Followed::new(key, key_hash, weight);
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
        let mut all = Cardinality::default();
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
    fn what_is_an_identifier_by_its_name_needs_no_naming() {
        let mut all = Cardinality::default();
        let known = (0..500_u32).map(|index| all.observe(b"faas.invocation_id", &index.to_le_bytes())).last();
        assert!(known.is_some_and(|known| known.is_identifier) && all.take_found().is_empty());
    }

    #[test]
    fn keys_without_end_take_no_more_room_and_hide_no_frequent_one() {
        let mut all = Cardinality::default();
        for index in 0..100_000_u64 {
            all.observe(format!("made.up.{index}").as_bytes(), b"x");
            all.observe(b"order.id", &index.to_le_bytes());
            all.observe(b"order.id", &(!index).to_le_bytes());
        }
        assert_eq!((all.keys.len(), all.keys.capacity()), (KEYS_MAX, KEYS_MAX));
        assert!(size_of::<Followed>() * KEYS_MAX <= 96 << 10, "{}", size_of::<Followed>());
        assert!(all.take_found().iter().any(|found| found.key == "order.id"));
    }
}

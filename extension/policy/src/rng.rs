//! A seeded generator (splitmix64): randomness is an input here, so a seed replays exactly.

/// A stream of numbers that its seed decides.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// The stream that `seed` decides.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number, evenly spread over all of `u64`.
    pub const fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// The next number below `bound`; zero when `bound` is zero.
    pub const fn below(&mut self, bound: u64) -> u64 {
        // The high half of the product: no division, and a bias of at most bound / 2^64.
        ((self.number() as u128 * bound as u128) >> 64) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_replays_and_a_bound_holds() {
        let (mut one, mut two) = (Rng::new(3), Rng::new(3));
        for _ in 0..1_000 {
            let number = one.below(10);
            assert_eq!(number, two.below(10));
            assert!(number < 10);
        }
        assert_eq!(one.below(0), 0);
    }

    #[test]
    fn the_numbers_are_those_of_splitmix64() {
        // The first of the reference implementation, <https://prng.di.unimi.it/splitmix64.c>, for the seed 0.
        let mut rng = Rng::new(0);
        let numbers = [rng.number(), rng.number(), rng.number()];
        assert_eq!(numbers, [0xe220_a839_7b1d_cdaf, 0x6e78_9e6a_a1b9_65f4, 0x06c4_5d18_8009_454f]);
        // And a bound takes the high half of the product: 0xe220… is 88 % of all numbers.
        assert_eq!(Rng::new(0).below(100), 88);
    }
}

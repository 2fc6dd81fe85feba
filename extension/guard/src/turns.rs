//! Whose turn it is to be looked at, where looking at everything would cost too much to do unasked.
//!
//! Whether a key is an identifier is told by a share: how many of the values it had are different ones. A share
//! is told as well by a fair sample, so the first are all looked at, and later ones by lot. The lot is drawn, and
//! not every sixteenth taken: traces repeat themselves, and the same span of each would come up for ever.

/// So many are all looked at: five times what it takes to judge a key that each span has.
const FIRST: u32 = 1_024;
/// Of later ones, one in so many.
const ONE_IN: u32 = 16;

#[derive(Clone, Debug)]
pub(crate) struct Turns {
    looked_at: u32,
    /// How many pass until the next.
    passing: u32,
    /// Of the generator (Marsaglia's xorshift); never zero.
    state: u32,
}

impl Default for Turns {
    fn default() -> Self {
        Self { looked_at: 0, passing: 0, state: 0x9e37_79b9 }
    }
}

impl Turns {
    /// Whether the next one is to be looked at.
    pub(crate) const fn next(&mut self) -> bool {
        if self.looked_at < FIRST {
            self.looked_at += 1;
            return true;
        }
        if self.passing > 0 {
            self.passing -= 1;
            return false;
        }
        self.state ^= self.state << 13;
        self.state ^= self.state >> 17;
        self.state ^= self.state << 5;
        // From 0 to 30, 15 on average.
        self.passing = self.state % (2 * ONE_IN - 1);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_are_all_looked_at_and_then_one_in_sixteen_wherever_it_stands() {
        let mut turns = Turns::default();
        assert!((0..FIRST).all(|_| turns.next()));
        let mut places = [0_u32; 8];
        for place in 0..160_000 {
            places[place % 8] += u32::from(turns.next());
        }
        let all: u32 = places.iter().sum();
        assert!((9_500..10_500).contains(&all), "{all}");
        assert!(places.iter().all(|count| (1_050..1_450).contains(count)), "{places:?}");
    }
}

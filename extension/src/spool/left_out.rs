//! Which items of a record are not to be read back, because sampling has left them out.

/// See the module. One bit for each item, up to the last that is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeftOut(Vec<u8>);

impl LeftOut {
    /// Those whose bits are set in `bits`, the lowest bit of each byte first.
    pub(super) const fn of_bits(bits: Vec<u8>) -> Self {
        Self(bits)
    }

    pub(super) fn bits(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn add(&mut self, item: u32) {
        let (byte, bit) = place(item);
        if self.0.len() <= byte {
            self.0.resize(byte + 1, 0);
        }
        self.0[byte] |= bit;
    }

    /// Whether the item of this number is among them, counted from 0.
    pub fn holds(&self, item: u32) -> bool {
        let (byte, bit) = place(item);
        self.0.get(byte).is_some_and(|bits| bits & bit != 0)
    }

    /// Those of the `count` items from `first` on, counted from there.
    pub(super) fn part(&self, first: u32, count: u32) -> Self {
        let mut part = Self::default();
        // Behind the last bit there is nothing to look at, however many items a record says it has.
        let end = u32::try_from(self.0.len() * 8).unwrap_or(u32::MAX).min(first.saturating_add(count));
        (first..end).filter(|item| self.holds(*item)).for_each(|item| part.add(item - first));
        part
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many they are.
    pub(super) fn count(&self) -> u64 {
        self.0.iter().map(|bits| u64::from(bits.count_ones())).sum()
    }
}

const fn place(item: u32) -> (usize, u8) {
    (item as usize / 8, 1 << (item % 8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_holds_what_was_added() {
        let mut left_out = LeftOut::default();
        assert!(!left_out.holds(0) && left_out.bits().is_empty());
        [0, 9, 9, 15].into_iter().for_each(|item| left_out.add(item));
        let held: Vec<u32> = (0..40).filter(|item| left_out.holds(*item)).collect();
        assert_eq!((held, left_out.count()), (vec![0, 9, 15], 3));
        assert_eq!(left_out.bits(), [1, 0b1000_0010]);
        assert_eq!(LeftOut::of_bits(left_out.bits().to_vec()), left_out);
    }

    #[test]
    fn a_part_of_it_is_counted_from_its_first_item() {
        let mut left_out = LeftOut::default();
        [0, 9, 15].into_iter().for_each(|item| left_out.add(item));
        for (first, count, expected) in
            [(0, 9, &[0][..]), (1, 8, &[]), (9, 7, &[0, 6]), (15, u32::MAX, &[0]), (u32::MAX, u32::MAX, &[])]
        {
            let part = left_out.part(first, count);
            let held: Vec<u32> = (0..40).filter(|item| part.holds(*item)).collect();
            assert_eq!(
                (held.as_slice(), part.is_empty()),
                (expected, expected.is_empty()),
                "{count} from {first}"
            );
        }
    }
}

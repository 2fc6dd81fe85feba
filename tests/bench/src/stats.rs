//! The three numbers that say most about a small sample.

/// Minimum, median and 90th percentile, each a value that was measured.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) min: u64,
    pub(crate) median: u64,
    pub(crate) p90: u64,
}

impl Summary {
    /// # Panics
    /// When there is no value.
    pub(crate) fn of(values: impl Iterator<Item = u64>) -> Self {
        let mut sorted: Vec<u64> = values.collect();
        sorted.sort_unstable();
        let last = sorted.len().checked_sub(1).expect("at least one round");
        Self { min: sorted[0], median: sorted[last / 2], p90: sorted[last * 9 / 10] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_one_and_of_ten() {
        assert_eq!(Summary::of([7].into_iter()), Summary { min: 7, median: 7, p90: 7 });
        assert_eq!(Summary::of((1..=11).rev()), Summary { min: 1, median: 6, p90: 10 });
    }
}

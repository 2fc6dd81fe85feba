//! The few numbers that say most about a small sample.

/// Minimum, median, 90th and 99th percentile, each a value that was measured.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) min: u64,
    pub(crate) median: u64,
    pub(crate) p90: u64,
    pub(crate) p99: u64,
}

impl Summary {
    /// # Panics
    /// When there is no value.
    pub(crate) fn of(values: impl Iterator<Item = u64>) -> Self {
        let mut sorted: Vec<u64> = values.collect();
        sorted.sort_unstable();
        let last = sorted.len().checked_sub(1).expect("at least one round");
        Self {
            min: sorted[0],
            median: sorted[last / 2],
            p90: sorted[last * 9 / 10],
            p99: sorted[last * 99 / 100],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_one_and_of_ten() {
        assert_eq!(Summary::of([7].into_iter()), Summary { min: 7, median: 7, p90: 7, p99: 7 });
        assert_eq!(Summary::of((1..=11).rev()), Summary { min: 1, median: 6, p90: 10, p99: 10 });
    }
}

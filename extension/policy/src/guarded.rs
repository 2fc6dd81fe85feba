//! What was hidden, changed or left out of the function's telemetry before it got here: counts, for the metrics.

/// Counts since the environment began; each list in the order of its words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Guarded {
    /// Values hidden, by [`Guarded::RULES`].
    pub redactions: [u64; Self::RULES.len()],
    /// Everything else, by [`Guarded::CHANGES`].
    pub changes: [u64; Self::CHANGES.len()],
    /// Keys whose values turned out to be identifiers.
    pub identifiers: u64,
}

impl Guarded {
    /// The kinds of rules; own rules are one, however many there are.
    pub const RULES: [&'static str; 12] = [
        "keys", "sql", "urls", "tokens", "emails", "upi", "ibans", "cards", "aadhaar", "phones", "pan", "own",
    ];
    /// What can be done to what is sent.
    pub const CHANGES: [&'static str; 13] = [
        "value_cut",
        "attribute_left_out",
        "event_left_out",
        "link_left_out",
        "item_too_large",
        "item_refused",
        "value_unsearched",
        "attribute_ruled_out",
        "attribute_hashed",
        "name_templated",
        "name_other",
        "dimension_other",
        "point_merged",
    ];

    /// What came since `told`, which is of the same environment: each word that something came for, and how much.
    pub(crate) fn redactions_since(&self, told: &Self) -> impl Iterator<Item = (&'static str, u64)> {
        since(Self::RULES, self.redactions, told.redactions)
    }

    /// The same of the other changes.
    pub(crate) fn changes_since(&self, told: &Self) -> impl Iterator<Item = (&'static str, u64)> {
        since(Self::CHANGES, self.changes, told.changes)
    }
}

fn since<const N: usize>(
    words: [&'static str; N],
    now: [u64; N],
    told: [u64; N],
) -> impl Iterator<Item = (&'static str, u64)> {
    let counts = now.into_iter().zip(told).map(|(now, told)| now.saturating_sub(told));
    words.into_iter().zip(counts).filter(|(_, count)| *count > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn only_what_is_new_is_told() {
        let mut told = Guarded::default();
        (told.redactions[0], told.changes[1]) = (2, 3);
        let mut now = told;
        assert_eq!((now.redactions_since(&told).count(), now.changes_since(&told).count()), (0, 0));
        (now.redactions[2], now.changes[1]) = (5, 4);
        assert_eq!(now.redactions_since(&told).collect::<Vec<_>>(), [("urls", 5)]);
        assert_eq!(now.changes_since(&told).collect::<Vec<_>>(), [("attribute_left_out", 1)]);
    }
}

//! What telemetry costs, by the books and by prices that the caller knows: an estimate.

use super::prices::{ByteCost, Prices};
use crate::ledger::Ledger;

impl Prices {
    /// What the books come to.
    pub fn of(&self, ledger: &Ledger) -> Cost {
        let packed =
            if ledger.raw_bytes == 0 { 1.0 } else { ledger.sent_bytes as f64 / ledger.raw_bytes as f64 };
        let own = ledger.billed_own.min(ledger.billed);
        Cost {
            sent: self.of_bytes(ledger.raw_bytes, ledger.sent_bytes as f64),
            avoided: self.of_bytes(ledger.sampled_out_bytes, ledger.sampled_out_bytes as f64 * packed),
            function: self.of_seconds((ledger.billed - own).as_secs_f64()),
            extension: self.of_seconds(own.as_secs_f64()),
        }
    }
}

/// What everything so far has cost, in the currency of the prices.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    /// What was sent.
    pub sent: ByteCost,
    /// What sampling left out, packed as well as what was sent.
    pub avoided: ByteCost,
    /// Billed time without our share.
    pub function: f64,
    /// Billed time for which invocations were held by us.
    pub extension: f64,
}

#[cfg(test)]
mod tests {
    use super::super::prices::Architecture;
    use super::*;
    use crate::time::Duration;

    #[test]
    fn the_books_come_to_what_a_hand_would_reckon() {
        let prices = Prices {
            ingested_gb: 2.0,
            egress_gb: 1.0,
            stored_gb_month: 4.0,
            stored_days: 15.0,
            ..Prices::listed(1 << 29, Architecture::X86)
        };
        let ledger = Ledger {
            raw_bytes: 500_000_000,
            sent_bytes: 100_000_000,
            sampled_out_bytes: 1_500_000_000,
            billed: Duration::from_secs(1_000),
            billed_own: Duration::from_secs(100),
            ..Ledger::default()
        };
        let cost = prices.of(&ledger);
        let near = |one: f64, two: f64| (one - two).abs() < 1e-12;
        assert!(
            near(cost.sent.ingestion, 1.0) && near(cost.sent.egress, 0.1) && near(cost.sent.storage, 1.0)
        );
        assert!(
            near(cost.avoided.ingestion, 3.0)
                && near(cost.avoided.egress, 0.3)
                && near(cost.avoided.storage, 3.0)
        );
        assert!(
            near(cost.function, 900.0 * 0.5 * 0.000_016_666_7)
                && near(cost.extension, 100.0 * 0.5 * 0.000_016_666_7)
        );
    }

    #[test]
    fn what_was_avoided_is_packed_as_well_as_what_was_sent_and_not_at_all_where_nothing_was() {
        let prices = Prices { egress_gb: 4.0, ..Prices::listed(1 << 30, Architecture::X86) };
        let of = |raw_bytes, sent_bytes| {
            let ledger =
                Ledger { raw_bytes, sent_bytes, sampled_out_bytes: 1_000_000_000, ..Ledger::default() };
            prices.of(&ledger).avoided.egress
        };
        assert!((of(0, 0) - 4.0).abs() < 1e-12 && (of(100, 25) - 1.0).abs() < 1e-12);
        let total = ByteCost { ingestion: 1.0, egress: 20.0, storage: 300.0 }.total();
        assert!((total - 321.0).abs() < 1e-12);
    }

    #[test]
    fn our_share_is_never_more_than_what_is_billed() {
        let prices = Prices::listed(1 << 30, Architecture::X86);
        let seconds = |seconds| Duration::from_secs(seconds);
        let ledger = Ledger { billed: seconds(1), billed_own: seconds(2), ..Ledger::default() };
        let cost = prices.of(&ledger);
        assert!(cost.function.abs() < 1e-12 && (cost.extension - 0.000_016_666_7).abs() < 1e-12);
    }
}

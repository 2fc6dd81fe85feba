//! What telemetry costs, by the books and by prices that the caller knows: an estimate, with its date.

use alloc::sync::Arc;

use crate::ledger::Ledger;

/// A gigabyte, as bills count it.
const GB: f64 = 1e9;
/// What Lambda bills memory in.
const GIB: f64 = 1_073_741_824.0;
/// Days in the month that storage is billed by.
const MONTH_DAYS: f64 = 30.0;

/// Prices, in one currency.
#[derive(Clone, Debug, PartialEq)]
pub struct Prices {
    /// When they were read, as their reader wrote it.
    pub as_of: Arc<str>,
    /// The currency.
    pub currency: Arc<str>,
    /// A gigabyte taken in by the backend, before compression.
    pub ingested_gb: f64,
    /// A gigabyte sent over the network, compressed.
    pub egress_gb: f64,
    /// A gigabyte kept for a month, before compression.
    pub stored_gb_month: f64,
    /// For how many days it is kept.
    pub stored_days: f64,
    /// A gigabyte of memory for a second of the function.
    pub lambda_gb_second: f64,
    /// The function's memory, in bytes.
    pub memory_bytes: u64,
}

/// The processor that a function runs on: Lambda bills its time by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Architecture {
    /// Graviton.
    Arm64,
    /// Intel and AMD.
    X86,
}

impl Architecture {
    /// The list price of a gigabyte of memory for a second, in USD: us-east-1, on demand, first tier.
    const fn gb_second(self) -> f64 {
        match self {
            Self::Arm64 => 0.000_013_333_4,
            Self::X86 => 0.000_016_666_7,
        }
    }
}

impl Prices {
    /// Public list prices of AWS in us-east-1, for a function of `memory_bytes` on `architecture`.
    ///
    /// # Source
    /// CloudWatch Logs ingestion and archival: <https://aws.amazon.com/cloudwatch/pricing/>; data transfer out to the
    /// internet, first 10 TB: <https://aws.amazon.com/ec2/pricing/on-demand/>; duration, first tier:
    /// <https://aws.amazon.com/lambda/pricing/>. A backend of another vendor has its own.
    pub fn listed(memory_bytes: u64, architecture: Architecture) -> Self {
        Self {
            as_of: "2025-06".into(),
            currency: "USD".into(),
            ingested_gb: 0.50,
            egress_gb: 0.09,
            stored_gb_month: 0.03,
            stored_days: 30.0,
            lambda_gb_second: architecture.gb_second(),
            memory_bytes,
        }
    }

    /// What `bytes` cost at the backend, of which `sent` went over the wire.
    pub fn of_bytes(&self, bytes: u64, sent: f64) -> ByteCost {
        let gigabytes = bytes as f64 / GB;
        ByteCost {
            ingestion: gigabytes * self.ingested_gb,
            egress: sent / GB * self.egress_gb,
            storage: gigabytes * self.stored_gb_month * self.stored_days / MONTH_DAYS,
        }
    }

    /// What `seconds` of billed time cost.
    pub fn of_seconds(&self, seconds: f64) -> f64 {
        seconds * self.memory_bytes as f64 / GIB * self.lambda_gb_second
    }

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

/// What bytes cost, in the currency of the prices.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ByteCost {
    /// The backend's taking them in.
    pub ingestion: f64,
    /// The network.
    pub egress: f64,
    /// The backend's keeping them.
    pub storage: f64,
}

impl ByteCost {
    /// All of it.
    pub fn total(&self) -> f64 {
        self.ingestion + self.egress + self.storage
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
    fn list_prices_are_those_of_their_day() {
        let [arm, x86] = [Architecture::Arm64, Architecture::X86].map(|kind| Prices::listed(1 << 30, kind));
        let list =
            [arm.ingested_gb, arm.egress_gb, arm.stored_gb_month, arm.stored_days, arm.lambda_gb_second];
        assert_eq!(list, [0.5, 0.09, 0.03, 30.0, 0.000_013_333_4]);
        assert_eq!(
            (x86.lambda_gb_second, x86.memory_bytes, &*x86.as_of, &*x86.currency),
            (0.000_016_666_7, 1 << 30, "2025-06", "USD")
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

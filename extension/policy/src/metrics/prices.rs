//! What a byte and a second cost, by prices that the caller knows, with their date.

use alloc::sync::Arc;

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

#[cfg(test)]
mod tests {
    use super::*;

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
}

//! The settings of metrics: what is measured, and how it leaves.

use crate::time::Duration;

/// What the points of counters and histograms say.
///
/// # Source
/// <https://opentelemetry.io/docs/specs/otel/metrics/data-model/#temporality>
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Temporality {
    /// What came since the points before.
    #[default]
    Delta,
    /// What came since the environment began.
    Cumulative,
}

/// What is measured, and how it leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measuring {
    /// As OTLP, where there is a backend for metrics.
    pub otlp: bool,
    /// As lines of CloudWatch's embedded metric format.
    pub emf: bool,
    /// Whether received spans are counted and measured by operation.
    pub spans: bool,
    /// The least time between two exports, SHUTDOWN's apart.
    pub interval: Duration,
    /// The most series of one metric between two exports, the one for everything else included.
    pub series_max: usize,
    /// Given buckets instead of exponential ones.
    pub explicit_buckets: bool,
    /// What the points of counters and histograms say, as OTLP. Lines are always of what came since those before.
    pub temporality: Temporality,
}

impl Measuring {
    /// Nothing.
    pub const OFF: Self = Self { otlp: false, emf: false, ..Self::DEFAULT };
    /// The documented defaults.
    pub const DEFAULT: Self = Self {
        otlp: true,
        emf: false,
        spans: true,
        interval: Duration::from_secs(60),
        series_max: 200,
        explicit_buckets: false,
        temporality: Temporality::Delta,
    };
}

//! Settings that cannot be wrong: what reaches policy has been checked.

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::metrics::measuring::Measuring;
use crate::metrics::prices::{Architecture, Prices};
use crate::platform::InitType;
use crate::sampling::rules::Condition;
use crate::sampling::settings::Sampling;
use crate::sampling::threshold::Ratio;
use crate::span::Signal;
use crate::time::Duration;

/// When the data of an invocation leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum FlushMode {
    /// Before `/next`: nothing is ever late, every invocation pays the backend's round trip.
    End,
    /// Beside the next invocation: nothing is paid, data waits for that invocation or for SHUTDOWN.
    Continuous,
    /// `End` while invocations are rare, `Continuous` while they are frequent and flushing is dear.
    #[default]
    Adaptive,
}

/// What is kept on disk, where it survives our own process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum SpoolMode {
    /// Nothing.
    Off,
    /// What could not be sent, before the environment may freeze, and what does not fit into memory.
    Outage,
    /// Everything accepted, before it is acknowledged to the function (the shell sees to that), and what
    /// does not fit into memory.
    #[default]
    Always,
}

/// What the X-Ray header of an invocation means for a span that has no other parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum XrayParent {
    /// A link and an attribute: the segment it names exists in X-Ray only.
    #[default]
    Link,
    /// The parent: right when the backend is X-Ray.
    Parent,
    /// Nothing.
    Ignore,
}

/// What one entry ([`crate::Entry`]) costs in memory besides its bytes, at most: its own place in a queue, where its span is in
/// the request it came with, and a second of each, because queues grow by doubling. `wire` checks that for its
/// bodies. It matters: a small span has no more bytes than this.
pub const BOOKKEEPING_BYTES: usize = 128;

/// How much may be held at once.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Memory for everything not yet acknowledged: encoded bytes, and [`crate::BOOKKEEPING_BYTES`] for each entry.
    pub held_bytes: usize,
    /// Encoded bytes that policy itself puts into the spool.
    pub spooled_bytes: usize,
    /// Encoded bytes in one export request.
    pub batch_bytes: usize,
    /// Spans (or points, or records) in one export request.
    pub batch_items: usize,
    /// Export requests under way at once.
    pub in_flight: usize,
}

impl Bounds {
    /// Whether `items` of `size` bytes may be one export request. It must also fit into this share of memory with its
    /// bookkeeping, for it may come back from the spool.
    pub(crate) const fn fits_batch(&self, share: usize, size: usize, items: usize) -> bool {
        let held = size + items * BOOKKEEPING_BYTES;
        size <= self.batch_bytes && items <= self.batch_items && held <= share
    }
}

/// The most that a backend takes in one export request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestLimit {
    /// Encoded bytes, before they are packed.
    pub bytes: usize,
    /// Spans, data points or log records.
    pub items: usize,
    /// Whether metrics and log records of different resources are for different destinations perhaps, and part.
    pub parts_resources: bool,
}

/// One for each signal, in the order of [`Signal::ALL`].
pub type RequestLimits = [RequestLimit; Signal::ALL.len()];

impl RequestLimit {
    /// No limit that anyone knows of.
    pub const NONE: Self = Self { bytes: usize::MAX, items: usize::MAX, parts_resources: false };

    /// Whether `items` of `size` bytes are within it.
    pub const fn takes(&self, size: usize, items: usize) -> bool {
        size <= self.bytes && items <= self.items
    }
}

/// Everything policy must be told once.
#[derive(Clone, Debug)]
pub struct Config {
    /// `AWS_LAMBDA_FUNCTION_NAME`: names the spans made here.
    pub function_name: Arc<str>,
    /// `AWS_LAMBDA_FUNCTION_VERSION`: replaces the alias in `cloud.resource_id`.
    pub function_version: Arc<str>,
    /// How the environment came to be.
    pub init_type: InitType,
    /// When data leaves.
    pub flush: FlushMode,
    /// The most that one flush may hold an invocation.
    pub flush_ceiling: Duration,
    /// Kept free before the function's deadline: a flush never runs into it.
    pub safety: Duration,
    /// An invocation of which nothing is heard is treated as done this long before its deadline.
    pub deadline_margin: Duration,
    /// Kept free before SIGKILL in SHUTDOWN.
    pub shutdown_safety: Duration,
    /// The most that flushes may hold invocations in one minute, all together; `None` for no cap.
    pub cost_cap: Option<Duration>,
    /// How old unsent data may get before a flush stops being put off.
    pub staleness: Duration,
    /// The longest a single export may take, by signal in the order of [`Signal::ALL`].
    pub export_timeouts: [Duration; Signal::ALL.len()],
    /// After a wait for `/next` of this length, connections are not trusted any more.
    pub thaw_gap: Duration,
    /// What is kept on disk.
    pub spool: SpoolMode,
    /// What the X-Ray header means.
    pub xray_parent: XrayParent,
    /// What is measured.
    pub measuring: Measuring,
    /// What things cost.
    pub prices: Prices,
    /// Which traces are kept.
    pub sampling: Sampling,
    /// Which signals the first destination takes.
    pub destinations: Destinations,
    /// Further destinations, [`FURTHER_MAX`] at most.
    pub further: Vec<Further>,
    /// How much may be held.
    pub bounds: Bounds,
    /// What the first backend of each signal takes in one request; metrics and logs are cut by what each of theirs takes.
    pub request_limits: RequestLimits,
    /// Text attributes that complete the resource of what leaves, where it has none of that name.
    pub resource: Vec<(Arc<str>, Arc<str>)>,
    /// Whether the environment's variables say that the function runs an OpenTelemetry SDK: its own span is awaited
    /// before one is made in its place.
    pub expects_spans: bool,
    /// Makes the ids of this environment its own, and the jitter of its retries.
    pub seed: u64,
}

/// Which signals have a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Destinations {
    /// Spans.
    pub traces: bool,
    /// Metrics.
    pub metrics: bool,
    /// Logs.
    pub logs: bool,
}

/// Destinations beside the first that there may be: [`crate::Routes`] has a bit for each.
pub const FURTHER_MAX: usize = 7;

/// A destination beside the first.
#[derive(Clone, Debug, PartialEq)]
pub struct Further {
    /// What lines and metrics call it.
    pub name: Arc<str>,
    /// Which signals are for it.
    pub signals: Destinations,
    /// Which of these can be sent there: not those that have nowhere to go, or may not go there.
    pub reaches: Destinations,
    /// What it takes in one request.
    pub limits: RequestLimits,
    /// Whether an invocation may be held for it.
    pub holds: bool,
    /// What is for it: all of this holds for the span that stands for the invocation, or the resource of metrics and logs.
    pub when: Vec<Condition>,
    /// What it takes of the traces that are for it.
    pub takes: Takes,
    /// Whether what is for it goes nowhere else.
    pub is_exclusive: bool,
}

/// What a destination takes of the traces that are for it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Takes {
    /// All that sampling keeps.
    #[default]
    Kept,
    /// Failures.
    Failures,
    /// This share of what sampling keeps, by the randomness of each trace.
    Share(Ratio),
}

impl Destinations {
    /// A backend for no signal.
    pub const NONE: Self = Self { traces: false, metrics: false, logs: false };
    /// A backend for every signal.
    pub const ALL: Self = Self { traces: true, metrics: true, logs: true };

    /// Whether `signal` has a backend.
    pub const fn has(&self, signal: Signal) -> bool {
        match signal {
            Signal::Traces => self.traces,
            Signal::Metrics => self.metrics,
            Signal::Logs => self.logs,
        }
    }
}

impl Config {
    /// Whether anything of `signal` can be sent anywhere.
    pub fn sends(&self, signal: Signal) -> bool {
        self.destinations.has(signal) || self.further.iter().any(|to| to.reaches.has(signal))
    }

    /// What all backends of each signal take in one request: metrics and logs are cut to that when they come, and by resource
    /// where that says where they go.
    pub fn parcel_limits(&self) -> RequestLimits {
        self.further.iter().fold(self.request_limits, |limits, to| {
            Signal::ALL.map(|signal| {
                let (limit, own) = (limits[signal as usize], to.limits[signal as usize]);
                let is_matched = to.signals.has(signal) && !to.when.is_empty();
                RequestLimit {
                    bytes: limit.bytes.min(own.bytes),
                    items: limit.items.min(own.items),
                    parts_resources: limit.parts_resources || is_matched,
                }
            })
        })
    }

    /// How much may be held, and what of it in one request of `signal` to this destination.
    pub(crate) fn bounds_of(&self, signal: Signal, destination: u8) -> Bounds {
        let further = usize::from(destination).checked_sub(1).and_then(|index| self.further.get(index));
        let limits = further.map_or(&self.request_limits, |to| &to.limits);
        let (bounds, limit) = (self.bounds, limits[signal as usize]);
        // Resources and envelopes are not counted in what a batch has: an eighth is for them.
        let batch_bytes = bounds.batch_bytes.min(limit.bytes - limit.bytes / 8);
        Bounds { batch_bytes, batch_items: bounds.batch_items.min(limit.items), ..bounds }
    }

    /// Whether many invocations run at once, and the environment never freezes.
    pub fn is_managed(&self) -> bool {
        self.init_type == InitType::ManagedInstances
    }
}

impl Default for Config {
    /// The documented defaults, for a 512 MB function.
    fn default() -> Self {
        Self {
            function_name: "function".into(),
            function_version: "$LATEST".into(),
            init_type: InitType::OnDemand,
            flush: FlushMode::Adaptive,
            flush_ceiling: Duration::from_millis(1_000),
            safety: Duration::from_millis(100),
            deadline_margin: Duration::from_millis(500),
            shutdown_safety: Duration::from_millis(200),
            cost_cap: None,
            staleness: Duration::from_secs(10),
            export_timeouts: [Duration::from_secs(10); Signal::ALL.len()],
            thaw_gap: Duration::from_secs(20),
            spool: SpoolMode::Off,
            xray_parent: XrayParent::Link,
            measuring: Measuring::DEFAULT,
            prices: Prices::listed(512 << 20, Architecture::X86),
            sampling: Sampling::default(),
            destinations: Destinations::ALL,
            further: Vec::new(),
            bounds: Bounds {
                held_bytes: 32 << 20,
                spooled_bytes: 64 << 20,
                batch_bytes: 4 << 20,
                batch_items: 8_192,
                in_flight: 4,
            },
            request_limits: [RequestLimit::NONE; Signal::ALL.len()],
            resource: Vec::new(),
            expects_spans: false,
            seed: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_defaults() {
        let bounds = Config::default().bounds;
        assert_eq!(
            (bounds.held_bytes, bounds.spooled_bytes, bounds.batch_bytes),
            (33_554_432, 67_108_864, 4_194_304)
        );
        assert_eq!(Config::default().prices.memory_bytes, 536_870_912);
    }

    #[test]
    fn a_request_is_within_what_its_backend_takes() {
        let limit = RequestLimit { bytes: 1_000, items: 9_000, parts_resources: false };
        let few = RequestLimit { items: 5_000, ..RequestLimit::NONE };
        let config = Config { request_limits: [RequestLimit::NONE, limit, few], ..Config::default() };
        let of = |signal| {
            let bounds = config.bounds_of(signal, 0);
            (bounds.batch_bytes, bounds.batch_items, bounds.held_bytes)
        };
        assert_eq!(of(Signal::Traces), (4 << 20, 8_192, 32 << 20));
        assert_eq!(of(Signal::Metrics), (875, 8_192, 32 << 20));
        assert_eq!(of(Signal::Logs), (4 << 20, 5_000, 32 << 20));
        let rows = [(1_000, 9_000, true), (1_001, 1, false), (1, 9_001, false)];
        for (size, items, takes) in rows {
            assert_eq!(limit.takes(size, items), takes, "{items} items of {size} bytes");
        }
    }

    #[test]
    fn a_request_fits_by_its_bytes_its_items_and_its_bookkeeping() {
        let share = 1_000 + 10 * BOOKKEEPING_BYTES;
        let bounds = Bounds { batch_bytes: 1_000, batch_items: 10, ..Config::default().bounds };
        let rows = [(1_000, 10, true), (1_001, 1, false), (1, 11, false), (0, 0, true)];
        for (size, items, fits) in rows {
            assert_eq!(bounds.fits_batch(share, size, items), fits, "{items} items of {size} bytes");
        }
        let share = share - 1;
        assert!(!bounds.fits_batch(share, 1_000, 10), "all of it would not fit into the share");
        assert!(bounds.fits_batch(share, 999, 10) && bounds.fits_batch(share, 1_000, 9));
    }

    #[test]
    fn each_signal_has_a_backend_of_its_own() {
        for signal in Signal::ALL {
            let only = Destinations {
                traces: signal == Signal::Traces,
                metrics: signal == Signal::Metrics,
                logs: signal == Signal::Logs,
            };
            for other in Signal::ALL {
                assert_eq!((only.has(other), Destinations::ALL.has(other)), (other == signal, true));
            }
        }
    }
}

//! Metrics: what is counted and measured of all traffic, before any sampling, between two exports.

mod cost;
mod faas;
mod histogram;
mod known;
pub(crate) mod measuring;
mod own;
pub(crate) mod prices;
mod red;
mod series;
mod table;
mod totals;

use crate::config::Config;
use crate::facts::Body;
use crate::lane::LaneId;
use crate::platform::{PlatformEvent, Shutdown};
use crate::span::{PlatformSpan, RequestId, Signal, Span};
use crate::time::{Duration, Instant, UnixNanos};

use faas::Faas;
use series::Store;
use totals::Totals;

pub use cost::Cost;
pub use histogram::{Buckets, Histogram};
pub use measuring::{Measuring, Temporality};
pub(crate) use own::{Gauges, LaneGauges, Own};
pub use prices::{Architecture, ByteCost, Prices};
pub use series::{Attributes, Measured, Point, Reading};
pub use table::{Definition, Instrument, Metric};

/// Buckets for what is measured in `unit`: the advice of the semantic conventions, carried on to where Lambda ends.
const fn buckets(unit: &str) -> &'static [f64] {
    const SECONDS: &[f64] = &[
        0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 15.0, 30.0, 60.0,
        120.0, 300.0, 600.0, 900.0,
    ];
    const MIB: f64 = 1_048_576.0;
    const BYTES: &[f64] = &[
        1_024.0,
        65_536.0,
        MIB,
        6.0 * MIB,
        16.0 * MIB,
        32.0 * MIB,
        64.0 * MIB,
        128.0 * MIB,
        256.0 * MIB,
        512.0 * MIB,
        768.0 * MIB,
        1_024.0 * MIB,
        2_048.0 * MIB,
        3_072.0 * MIB,
        4_096.0 * MIB,
        6_144.0 * MIB,
        8_192.0 * MIB,
        10_240.0 * MIB,
    ];
    match unit.as_bytes() {
        b"s" => SECONDS,
        b"By" => BYTES,
        _ => &[],
    }
}

/// Everything measured since the last export; see the module.
#[derive(Debug)]
pub(crate) struct Metrics {
    measuring: Measuring,
    store: Store,
    /// Where points say what came since the environment began.
    totals: Option<Totals>,
    faas: Faas,
    own: Own,
    /// When points were last made, or the first invocation began.
    last: Option<Instant>,
    times: Times,
    /// Whether the world, and not our own doing, has changed something since: our exports are no reason for another.
    has_news: bool,
}

impl Metrics {
    pub(crate) fn new(config: &Config) -> Self {
        let mut measuring = config.measuring;
        measuring.otlp &= config.sends(Signal::Metrics);
        Self {
            store: Store::new(measuring.series_max, measuring.explicit_buckets),
            totals: (measuring.otlp && measuring.temporality == Temporality::Cumulative)
                .then(|| Totals::new(measuring.series_max)),
            measuring,
            faas: Faas::default(),
            own: Own::of(&config.further),
            last: None,
            times: Times::default(),
            has_news: false,
        }
    }

    pub(crate) const fn is_on(&self) -> bool {
        self.measuring.otlp || self.measuring.emf
    }

    pub(crate) const fn has_lines(&self) -> bool {
        self.measuring.emf
    }

    pub(crate) const fn has_otlp(&self) -> bool {
        self.measuring.otlp
    }

    /// The backend has said that it does not know metrics.
    pub(crate) const fn stop_otlp(&mut self) {
        self.measuring.otlp = false;
    }

    /// A wait for `/next` is over.
    pub(crate) fn on_wait(&mut self, waited: Duration) {
        self.faas.on_wait(waited);
    }

    /// Where the caller's two clocks stand, which only events of the platform tell.
    pub(crate) fn on_time(&mut self, now: Instant, wall: UnixNanos) {
        self.times.on_time(now, wall);
        self.faas.on_time(now);
        // The first invocation is not the one to wait for a second connection.
        self.last.get_or_insert(now);
    }

    pub(crate) fn on_invoke(&mut self, request_id: &RequestId, at: UnixNanos) {
        if self.is_on() {
            self.faas.on_invoke(&mut self.store, request_id, at);
        }
    }

    pub(crate) fn on_recovered(&mut self, request_id: &RequestId, at: UnixNanos) {
        if self.is_on() {
            self.faas.on_recovered(&mut self.store, request_id, at);
        }
    }

    pub(crate) fn on_event(&mut self, config: &Config, event: &PlatformEvent) {
        if self.is_on() {
            let before = self.store.changes();
            self.faas.on_event(config, &mut self.store, event);
            self.has_news |= self.store.changes() != before;
        }
    }

    /// Every invocation is over, whatever was told of it.
    pub(crate) fn on_end(&mut self, config: &Config, shutdown: &Shutdown) {
        if self.is_on() {
            self.faas.settle_all(config, &mut self.store, shutdown.reason);
        }
    }

    /// The first invocation has, or has not, waited for a cold start; counted once.
    pub(crate) fn on_first(&mut self, config: &Config, is_cold: bool) {
        if self.is_on() {
            self.faas.on_first(config, &mut self.store, is_cold);
        }
    }

    pub(crate) fn on_span<B: Body>(&mut self, span: &Span<B>) {
        if self.is_on() && self.measuring.spans {
            red::on_span(&mut self.store, span);
            self.has_news = true;
        }
    }

    /// A span that was made for an invocation whose function sent none is that invocation's operation.
    pub(crate) fn on_made(&mut self, span: &PlatformSpan) {
        if self.is_on() && self.measuring.spans {
            red::on_made(&mut self.store, span);
            self.has_news = true;
        }
    }

    /// Our flush held the running invocation.
    pub(crate) fn on_held(&mut self, held: Duration) {
        if self.is_on() {
            self.faas.on_held(held);
        }
    }

    /// Billed time so far, and our share in it, as far as they are measured.
    pub(crate) const fn billed(&self) -> (Duration, Duration) {
        self.faas.billed()
    }

    /// A request of a lane ended after `took`, in a failure of `class` if in one.
    pub(crate) fn on_request(&mut self, lane: LaneId, took: Duration, class: Option<&str>) {
        self.own.on_request(&mut self.store, lane, took, class);
    }

    /// For what only the agent sees happen.
    pub(crate) const fn store(&mut self) -> &mut Store {
        &mut self.store
    }

    /// Whether points are due.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.is_on() && self.last.is_some_and(|last| now.since(last) >= self.measuring.interval)
    }

    /// Whether anything has happened since points were last made, but exporting them.
    pub(crate) const fn has_news(&self) -> bool {
        self.is_on() && self.has_news
    }

    /// Something was hidden, and is in the books.
    pub(crate) const fn on_guarded(&mut self) {
        self.has_news = true;
    }

    /// Everything since the last time, as points; what was told is forgotten.
    pub(crate) fn take(&mut self, now: Instant, gauges: &Gauges, prices: &Prices) -> Measured {
        self.last = Some(now);
        self.has_news = false;
        self.own.tell(&mut self.store, gauges, prices);
        let mut points = self.store.take();
        self.own.levels(gauges, &mut points);
        points.sort_by_key(|point| point.metric);
        let (begun, start, at) = self.times.interval(now);
        Measured { begun, start, at, temporality: Temporality::Delta, points }
    }

    /// The same as the backend wants it.
    pub(crate) fn for_backend(&mut self, measured: Measured) -> Measured {
        match &mut self.totals {
            Some(totals) => totals.of(measured),
            None => measured,
        }
    }
}

/// Wall time, of which policy hears only when the platform says something.
#[derive(Debug, Default)]
struct Times {
    /// The last time that both clocks were known.
    known: Option<(Instant, UnixNanos)>,
    /// When anything was first heard.
    begun: UnixNanos,
    /// Where the last interval ended.
    last: UnixNanos,
}

impl Times {
    fn on_time(&mut self, now: Instant, wall: UnixNanos) {
        if self.known.replace((now, wall)).is_none() {
            (self.begun, self.last) = (wall, wall);
        }
    }

    /// The begin of the environment, of this interval, and its end.
    ///
    /// Shape: intervals never overlap and are never empty, whatever the wall clock does.
    fn interval(&mut self, now: Instant) -> (UnixNanos, UnixNanos, UnixNanos) {
        let wall = self.known.map_or(self.last, |(then, wall)| wall + now.since(then));
        let start = self.last;
        self.last = wall.max(start + Duration::from_nanos(1));
        (self.begun, start, self.last)
    }
}

#[cfg(test)]
mod tests;

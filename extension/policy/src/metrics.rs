//! Metrics: what is counted and measured of all traffic, before any sampling, between two exports.

mod cost;
mod faas;
mod histogram;
mod known;
mod own;
mod red;
mod series;
mod table;
mod totals;

use crate::config::Config;
use crate::facts::Body;
use crate::platform::{PlatformEvent, Shutdown};
use crate::span::{PlatformSpan, RequestId, Span};
use crate::time::{Duration, Instant, UnixNanos};

use faas::Faas;
use series::Store;
use totals::Totals;

pub use cost::{Architecture, ByteCost, Cost, Prices};
pub use histogram::{Buckets, Histogram};
pub(crate) use own::{Gauges, Own};
pub use series::{Attributes, Measured, Point, Reading};
pub use table::{Definition, Instrument, Metric};
pub use totals::Temporality;

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
        measuring.otlp &= config.destinations.metrics;
        Self {
            store: Store::new(measuring.series_max, measuring.explicit_buckets),
            totals: (measuring.otlp && measuring.temporality == Temporality::Cumulative)
                .then(|| Totals::new(measuring.series_max)),
            measuring,
            faas: Faas::default(),
            own: Own::default(),
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
mod tests {
    use super::*;
    use crate::config::Destinations;
    use crate::platform::{Ending, Response, ShutdownReason, Usage};
    use crate::span::{Kind, SpanId, TraceId};
    use alloc::vec::Vec;

    fn at(seconds: u64) -> Instant {
        Instant::from_nanos(seconds * 1_000_000_000)
    }

    /// Metrics that leave so, where there is a backend for them or not.
    fn metrics(otlp: bool, emf: bool, has_backend: bool) -> Metrics {
        let measuring = Measuring { otlp, emf, ..Measuring::DEFAULT };
        let destinations = Destinations { metrics: has_backend, ..Destinations::ALL };
        Metrics::new(&Config { measuring, destinations, ..Config::default() })
    }

    #[test]
    fn what_is_on_follows_from_the_settings_and_from_the_backend() {
        for (otlp, emf, has_backend, expected) in [
            // whether anything is on, as OTLP, as lines
            (true, false, true, [true, true, false]),
            (true, false, false, [false; 3]),
            (false, true, true, [true, false, true]),
            (true, true, false, [true, false, true]),
            (false, false, true, [false; 3]),
        ] {
            let metrics = metrics(otlp, emf, has_backend);
            assert_eq!([metrics.is_on(), metrics.has_otlp(), metrics.has_lines()], expected);
        }
        assert_eq!((Measuring::OFF.otlp, Measuring::OFF.emf), (false, false));
        let mut refused = metrics(true, false, true);
        refused.stop_otlp();
        assert!(!refused.has_otlp() && !refused.is_on());
    }

    #[test]
    fn points_are_due_an_interval_after_the_last_ones_where_anything_is_measured() {
        let interval = Measuring::DEFAULT.interval.as_secs();
        let mut on = metrics(true, false, true);
        assert!(!on.is_due(at(1_000)), "nothing has begun");
        on.on_time(at(1), UnixNanos(0));
        on.on_time(at(30), UnixNanos(0));
        for (now, is_due) in [(1, false), (interval, false), (interval + 1, true), (interval + 9, true)] {
            assert_eq!(on.is_due(at(now)), is_due, "after {now} s");
        }
        let mut off = metrics(false, false, true);
        off.on_time(at(1), UnixNanos(0));
        assert!(!off.is_due(at(1_000)));
    }

    #[test]
    fn what_was_hidden_is_news_where_anything_is_measured() {
        let (mut on, mut off) = (metrics(true, false, true), metrics(false, false, true));
        assert!(!on.has_news());
        on.on_guarded();
        off.on_guarded();
        assert_eq!((on.has_news(), off.has_news()), (true, false));
    }

    #[test]
    fn intervals_follow_the_wall_clock_and_never_overlap() {
        let mut times = Times::default();
        let mut told = Vec::new();
        let of = |(begun, start, at): (UnixNanos, UnixNanos, UnixNanos)| (begun.0, start.0, at.0);
        told.push(of(times.interval(Instant::from_nanos(5))));
        times.on_time(Instant::from_nanos(10), UnixNanos(1_000));
        told.push(of(times.interval(Instant::from_nanos(15))));
        // The wall clock is set back.
        times.on_time(Instant::from_nanos(20), UnixNanos(900));
        told.push(of(times.interval(Instant::from_nanos(20))));
        times.on_time(Instant::from_nanos(30), UnixNanos(2_000));
        told.push(of(times.interval(Instant::from_nanos(32))));
        let expected = [(0, 0, 1), (1_000, 1_000, 1_005), (1_000, 1_005, 1_006), (1_000, 1_006, 2_002)];
        assert_eq!(told, expected);
    }

    #[test]
    fn given_buckets_are_round_and_ascend() {
        const MIB: f64 = 1_024.0 * 1_024.0;
        let bytes = buckets("By");
        assert_eq!(bytes[..2], [1_024.0, 65_536.0]);
        let mebibytes: Vec<_> = bytes[2..].iter().map(|bound| bound / MIB).collect();
        let expected = [
            1.0, 6.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 768.0, 1_024.0, 2_048.0, 3_072.0, 4_096.0,
            6_144.0, 8_192.0, 10_240.0,
        ];
        assert_eq!(mebibytes, expected);
        assert_eq!((buckets("s").first(), buckets("s").last()), (Some(&0.005), Some(&900.0)));
        for unit in ["s", "By"] {
            assert!(buckets(unit).is_sorted_by(|low, high| low < high), "{unit}");
        }
        assert!(buckets("{span}").is_empty());
    }

    fn span(kind: Kind) -> Span<()> {
        Span {
            trace_id: TraceId::new([1; 16]).expect("not zero"),
            span_id: SpanId::new([1; 8]).expect("not zero"),
            parent: None,
            parent_is_remote: None,
            kind,
            start: UnixNanos(1),
            end: UnixNanos(2),
            is_error: false,
            request_id: None,
            size: 1,
            body: (),
        }
    }

    fn made() -> PlatformSpan {
        let Span { trace_id, span_id, kind, start, end, .. } = span(Kind::Server);
        let (attributes, links) = (Vec::new(), Vec::new());
        PlatformSpan {
            trace_id,
            span_id,
            parent: None,
            name: "f".into(),
            kind,
            start,
            end,
            error_type: None,
            attributes,
            links,
        }
    }

    #[test]
    fn where_nothing_leaves_nothing_is_measured() {
        let config = Config::default();
        let shutdown = Shutdown {
            reason: ShutdownReason::Spindown,
            deadline: at(9),
            received_at: UnixNanos(1),
            waited: Duration::ZERO,
        };
        let start = PlatformEvent::Start { request_id: "r".into(), at: UnixNanos(1) };
        type Told<'a> = &'a dyn Fn(&mut Metrics);
        let ways: [(&str, Told<'_>, usize); 6] = [
            (
                "an invocation",
                &|metrics| {
                    metrics.on_invoke(&"r".into(), UnixNanos(0));
                    metrics.on_end(&config, &shutdown);
                },
                1,
            ),
            ("a recovered one", &|metrics| metrics.on_recovered(&"r".into(), UnixNanos(0)), 1),
            ("an event", &|metrics| metrics.on_event(&config, &start), 0),
            ("a cold start", &|metrics| metrics.on_first(&config, true), 1),
            ("a span", &|metrics| metrics.on_span(&span(Kind::Server)), 2),
            ("a span that was made", &|metrics| metrics.on_made(&made()), 2),
        ];
        for (way, tell, points) in ways {
            for (is_on, spans) in [(false, true), (true, true), (true, false)] {
                let mut metrics = metrics(is_on, false, true);
                metrics.measuring.spans = spans;
                tell(&mut metrics);
                let is_meant = is_on && (spans || !way.contains("span"));
                let expected = if is_meant { points } else { 0 };
                assert_eq!(metrics.store.take().len(), expected, "{way}, {is_on} {spans}");
                assert_eq!(metrics.has_news(), is_meant && way.contains("span"), "{way}, {is_on} {spans}");
            }
        }
    }

    #[test]
    fn an_event_is_news_if_it_was_measured_and_our_own_exports_are_none() {
        let mut metrics = metrics(true, false, true);
        let config = Config::default();
        metrics.on_invoke(&"r".into(), UnixNanos(0));
        metrics.on_event(&config, &PlatformEvent::Start { request_id: "r".into(), at: UnixNanos(1) });
        assert!(!metrics.has_news(), "nothing is measured by it");
        let done = |at| PlatformEvent::RuntimeDone {
            request_id: "r".into(),
            at: UnixNanos(at),
            ending: Ending::SUCCESS,
            duration: Some(Duration::from_millis(5)),
            produced_bytes: None,
            response: Response::default(),
        };
        metrics.on_event(&config, &done(2));
        assert!(metrics.has_news());
        metrics.on_event(&config, &done(2));
        assert!(metrics.has_news(), "and it stays so, when it is told again");
        metrics.on_held(Duration::from_millis(1));
        let usage = Usage { billed: Some(Duration::from_millis(9)), ..Usage::default() };
        let (request_id, ending, duration) = ("r".into(), Ending::SUCCESS, Some(Duration::from_millis(8)));
        let report = PlatformEvent::Report { request_id, at: UnixNanos(3), ending, duration, usage };
        metrics.on_event(&config, &report);
        assert_eq!(metrics.billed(), (Duration::from_millis(9), Duration::from_millis(1)));
    }
}

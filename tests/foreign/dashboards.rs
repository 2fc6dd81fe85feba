//! Grafana's dashboards on real stores: what each query shows is what the real binary has sent.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use opentelemetry_proto::tonic::metrics::v1::ResourceMetrics;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::trace::v1::Span;
use policy::Instrument;
use prost::Message;
use tests::collector::{Answer, Collector, Decoded};
use tests::grafana::{self, Query};
use tests::http1::{self, Headers};
use tests::metrics::{Points, Seen, Value};
use tests::otlp::{Ids, server_span, traces};
use tests::platform::events::{
    init_report, init_runtime_done, init_start, now_unix_ms, report, runtime_done, runtime_done_error,
};
use tests::platform::{Invoke, Platform, Script};

use super::store::{Kind, Store};

const SERVICE: &str = "orders";
/// A graph of a minute, in steps that are shorter than what is shown in it.
const STEPS: u64 = 40;
const STEP_S: u64 = 2;
/// How far a sum may be off: it goes through decimal text.
const ERROR_MAX: f64 = 1e-6;
/// How far a quantile may be off: the stores' buckets are wider than what was sent.
const QUANTILE_ERROR_MAX: f64 = 0.12;
const ENVIRONMENTS: u64 = 3;
const INVOCATIONS: u64 = 12;
/// A request whose answer was lost is sent again.
const TIMES: usize = 2;
const MINUTE: Duration = Duration::from_secs(60);
const AGO: Duration = Duration::from_secs(600);

/// In which order requests arrive: one that had to be sent again comes after younger ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    AsSent,
    Reversed,
}

/// How an environment is told to send metrics.
#[derive(Clone, Copy, Debug)]
struct Way {
    temporality: &'static str,
    histograms: &'static str,
}

/// An environment in which everything happens that a panel shows, with its points at the backend.
fn live(way: Way, number: u64) -> Collector {
    let backend = Collector::start();
    // One request of spans is refused for good, and one has to be tried again.
    backend.answer([Answer::status(503), Answer::status(400)]);
    let script = Script::new()
        .with_metrics()
        .env("OTEL_SERVICE_NAME", SERVICE)
        .env("PREFREEZE_EXPORTER_OTLP_ENDPOINT", backend.endpoint())
        .env("PREFREEZE_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", way.temporality)
        .env("PREFREEZE_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION", way.histograms)
        .env("PREFREEZE_METRICS_INTERVAL_MS", "0");
    let platform = Platform::ready(&script);
    for n in 0..INVOCATIONS {
        let (request_id, duration_ms) = (format!("r-{number}-{n}"), 20.0 + (number * 100 + n * n) as f64);
        platform.answer_next(&Invoke::new(&request_id, MINUTE));
        let now = now_unix_ms();
        if n == 0 {
            let report = init_report(now - 50, "on-demand", 300.0 + number as f64);
            platform.post_telemetry(&[
                init_start(now - 400, "on-demand"),
                init_runtime_done(now - 60, "on-demand"),
                report,
            ]);
        }
        post(&platform, server_span(&request_id, Ids::new(number * 1_000 + n), &request_id));
        platform.wait_next();
        let done = match n {
            3 => runtime_done_error(now, &request_id, "error", duration_ms, "Function.Declined"),
            5 => runtime_done(now, &request_id, "timeout", duration_ms),
            7 => runtime_done_error(now, &request_id, "failure", duration_ms, "Runtime.OutOfMemory"),
            _ => runtime_done(now, &request_id, "success", duration_ms),
        };
        platform.post_telemetry(&[done, report(now, &request_id, "success", duration_ms + 3.0)]);
    }
    platform.spin_down();
    backend
}

fn post(platform: &Platform, span: Span) {
    let headers = Headers::from([("Content-Type", "application/x-protobuf")]);
    let answer = platform.post_otlp("/v1/traces", &traces([span]).encode_to_vec(), &headers);
    assert_eq!(answer.status, 200);
}

/// Gives the store what `backend` was given, as if that had been a while ago: what is younger than half a minute, VictoriaMetrics
/// shows otherwise than it is.
fn replay(backend: &Collector, store: &Store, order: Order) {
    let mut requests = backend.requests();
    if order == Order::Reversed {
        requests.reverse();
    }
    for request in requests.into_iter().filter(tests::collector::Request::is_taken) {
        if let Decoded::Metrics(mut metrics) = request.decoded {
            metrics.resource_metrics.iter_mut().for_each(age);
            let body = metrics.encode_to_vec();
            let headers = Headers::from([("Content-Type", "application/x-protobuf")]);
            let answer =
                http1::send(store.address(), "POST", store.path(), &headers, &body).expect("an answer");
            assert!((200..300).contains(&answer.status), "{}", String::from_utf8_lossy(&answer.body));
        }
    }
}

/// Makes points of `AGO`.
fn age(group: &mut ResourceMetrics) {
    let ago = u64::try_from(AGO.as_nanos()).expect("minutes");
    let metrics = group.scope_metrics.iter_mut().flat_map(|scope| &mut scope.metrics);
    for data in metrics.filter_map(|metric| metric.data.as_mut()) {
        let mut all: Vec<(&mut u64, &mut u64)> = Vec::new();
        macro_rules! times {
            ($points:expr) => {
                all.extend(
                    $points.iter_mut().map(|at| (&mut at.start_time_unix_nano, &mut at.time_unix_nano)),
                )
            };
        }
        match data {
            Data::Sum(sum) => times!(sum.data_points),
            Data::Gauge(gauge) => times!(gauge.data_points),
            Data::Histogram(histogram) => times!(histogram.data_points),
            Data::ExponentialHistogram(histogram) => times!(histogram.data_points),
            Data::Summary(summary) => times!(summary.data_points),
        }
        for (start, end) in all {
            *start = start.saturating_sub(ago);
            *end -= ago;
        }
    }
}

/// What has happened, by the points of each environment.
struct Truth(Vec<Points>);

impl Truth {
    fn of(backends: &[Collector], way: Way) -> Self {
        let all = backends.iter().map(|backend| {
            let points = Points::of(backend);
            if way.temporality == "delta" { points } else { last_of_each(points) }
        });
        Self(all.collect())
    }

    fn seen<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Seen> {
        self.0.iter().flat_map(move |points| points.named(name))
    }

    /// The sum of the points of each value of the attribute that `query` tells apart.
    fn sums(&self, query: &Query) -> BTreeMap<String, f64> {
        let attribute = query.by.as_deref().unwrap_or_default().replace('_', ".");
        let mut sums = BTreeMap::new();
        for seen in self.seen(query.metric.definition().name) {
            let Value::Number(number) = seen.value else { panic!("{} is no number", seen.name) };
            *sums.entry(seen.text(&attribute).unwrap_or_default().to_owned()).or_default() += number;
        }
        sums
    }

    /// Between which values the quantile of `share` lies, as told by the buckets of the values around it.
    fn quantile(&self, name: &str, share: f64) -> RangeInclusive<f64> {
        let points = Points(self.seen(name).cloned().collect());
        if points.0.iter().all(|seen| matches!(seen.value, Value::Exponential(_))) {
            let told = points.distribution(name);
            let step = 1.0 / told.count as f64;
            let [least, most] =
                [share - step, share + step].map(|share| told.quantile(share.clamp(0.0, 1.0)));
            return least * (1.0 - QUANTILE_ERROR_MAX)..=most * (1.0 + QUANTILE_ERROR_MAX);
        }
        let mut buckets: Vec<(f64, u64)> = Vec::new();
        for seen in points.0 {
            let Value::Explicit(point) = seen.value else { panic!("{name} has two kinds of buckets") };
            buckets.resize(point.bucket_counts.len(), (f64::MAX, 0));
            buckets.iter_mut().zip(&point.explicit_bounds).for_each(|(bucket, bound)| bucket.0 = *bound);
            buckets.iter_mut().zip(&point.bucket_counts).for_each(|(bucket, count)| bucket.1 += count);
        }
        let count: u64 = buckets.iter().map(|bucket| bucket.1).sum();
        let rank = ((share * count as f64).ceil() as u64).max(1);
        let mut below = 0;
        let at = buckets.iter().position(|bucket| {
            below += bucket.1;
            below >= rank
        });
        let at = at.expect("a bucket for every value");
        let lower = if at == 0 { 0.0 } else { buckets[at - 1].0 };
        lower..=buckets[at].0
    }
}

/// What totals have come to.
fn last_of_each(points: Points) -> Points {
    let mut last = BTreeMap::new();
    for seen in points.0 {
        let key = (seen.name.clone(), format!("{:?}", seen.attributes));
        let is_newer = last.get(&key).is_none_or(|before: &Seen| before.time < seen.time);
        if is_newer {
            last.insert(key, seen);
        }
    }
    Points(last.into_values().collect())
}

/// With Grafana's variables filled in.
fn filled(query: &Query, store: &Store, interval: &str) -> String {
    let text = query.text.replace("$__interval", interval).replace("$service", SERVICE);
    text.replace("$label", store.service_label())
}

/// The bars of a graph add up to what has happened, each line by itself.
#[track_caller]
fn assert_sums(query: &Query, store: &Store, truth: &Truth) -> usize {
    let lines = store.graph(&filled(query, store, &format!("{STEP_S}s")), AGO, STEPS, STEP_S);
    let mut shown: BTreeMap<String, f64> = BTreeMap::new();
    for (labels, values) in lines {
        let line = query.by.as_ref().and_then(|by| labels.get(by)).cloned().unwrap_or_default();
        *shown.entry(line).or_default() += values.iter().sum::<f64>();
    }
    let told = truth.sums(query);
    let off = |line: &String| {
        let [shown, told] = [&shown, &told].map(|lines| lines.get(line).copied().unwrap_or_default());
        (shown - told).abs() / told.abs().max(1e-9)
    };
    let is_true = shown.keys().chain(told.keys()).all(|line| off(line) < ERROR_MAX);
    assert!(is_true, "{}: shown {shown:?}, told {told:?}", query.text);
    told.len()
}

/// A quantile lies where the values around it lie.
#[track_caller]
fn assert_quantile(query: &Query, store: &Store, truth: &Truth) {
    let share = query.quantile.expect("one is asked for");
    let told = truth.quantile(query.metric.definition().name, share);
    let shown = store.ask(&filled(query, store, "1h"));
    assert!(told.contains(&shown), "{}: {shown} is not within {told:?}", query.text);
}

#[test]
fn what_the_dashboards_show_is_what_was_sent() {
    let way = |temporality, histograms| Way { temporality, histograms };
    let (fine, given) = ("base2_exponential_bucket_histogram", "explicit_bucket_histogram");
    let (deltas, totals) = ("grafana-deltas.json", "grafana-totals.json");
    let rows = [
        (Kind::Prometheus("otlp-native-delta-ingestion"), way("delta", fine), deltas),
        (Kind::Prometheus("otlp-native-delta-ingestion"), way("delta", given), deltas),
        (Kind::VictoriaMetrics, way("delta", given), deltas),
        (Kind::Prometheus("otlp-deltatocumulative"), way("delta", fine), totals),
        (Kind::Prometheus("exemplar-storage"), way("cumulative", fine), totals),
        (Kind::Prometheus("exemplar-storage"), way("cumulative", given), totals),
        (Kind::VictoriaMetrics, way("cumulative", given), totals),
        (Kind::Mimir(""), way("cumulative", fine), totals),
        (Kind::Mimir(""), way("cumulative", given), totals),
        (Kind::Mimir("distributor.otel-native-delta-ingestion"), way("delta", fine), deltas),
    ];
    for (kind, way, file) in rows {
        let Some(store) = Store::start(kind) else { return };
        let backends: Vec<_> = (0..ENVIRONMENTS).map(|number| live(way, number)).collect();
        // `deltatocumulative` drops older deltas, and says nothing.
        let order = if matches!(kind, Kind::Prometheus("otlp-deltatocumulative")) {
            Order::AsSent
        } else {
            Order::Reversed
        };
        for _ in 0..TIMES {
            backends.iter().for_each(|backend| replay(backend, &store, order));
        }
        let truth = Truth::of(&backends, way);
        let mut lines = 0;
        for query in grafana::queries(file) {
            match query.metric.definition().instrument {
                Instrument::Histogram => assert_quantile(&query, &store, &truth),
                _ => lines += assert_sums(&query, &store, &truth),
            }
        }
        assert!(lines > 15, "{kind:?}, {way:?}: {lines} lines have something to show");
    }
}

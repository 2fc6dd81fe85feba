//! Real metric stores behind the real binary: which settings and queries give the true number of invocations.
//! `docs/metrics.md` says what is tested here.

use std::thread;
use std::time::Duration;

use serde_json::Value;
use tests::platform::events::{now_unix_ms, runtime_done};
use tests::platform::{Invoke, Platform, Script};

use super::store::{Kind, Store};

/// How often environments of one function are invoked: from a few times in their whole lives to an hour of every minute.
const LIVES: [&[u64]; 4] = [&[3], &[12, 12], &[3, 3, 3, 3], &[60, 7]];
/// Milliseconds between two exports: metrics leave once, with the end of the environment, or with every invocation.
const INTERVALS: [&str; 2] = ["60000", "0"];
/// What a count may be off.
const ERROR_MAX: f64 = 0.01;
const MINUTE: Duration = Duration::from_secs(60);

/// A store as it is set up, and which queries are true there.
struct Row {
    store: Kind,
    temporality: &'static str,
    /// With `COUNT` for the counter of invocations and `TIME` for the distribution of their durations.
    right: &'static [&'static str],
    /// Those that look right and are not.
    wrong: &'static [&'static str],
}

const TOTAL: &str = "sum(last_over_time(COUNT[1h]))";
const TOTAL_OF_TIMES: &str = "histogram_count(sum(last_over_time(TIME[1h])))";
const LARGEST: &str = "sum(max_over_time(COUNT[1h]))";
const SUM: &str = "sum(sum_over_time(COUNT[1h]))";
const SUM_OF_TIMES: &str = "histogram_count(sum(sum_over_time(TIME[1h])))";
const INCREASE: &str = "sum(increase(COUNT[1h]))";
const ANCHORED: &str = "sum(increase(COUNT[1h] anchored))";
const ANCHORED_TIMES: &str = "histogram_count(sum(increase(TIME[1h] anchored)))";

const ROWS: [Row; 10] = [
    Row {
        store: Kind::Prometheus("exemplar-storage"),
        temporality: "cumulative",
        right: &[TOTAL, TOTAL_OF_TIMES, LARGEST],
        wrong: &[SUM, INCREASE, ANCHORED],
    },
    Row {
        store: Kind::Prometheus("created-timestamp-zero-ingestion"),
        temporality: "cumulative",
        right: &[TOTAL, TOTAL_OF_TIMES, LARGEST, ANCHORED, ANCHORED_TIMES],
        wrong: &[SUM, INCREASE],
    },
    Row {
        store: Kind::Prometheus("st-storage,use-start-timestamps"),
        temporality: "cumulative",
        right: &[TOTAL, TOTAL_OF_TIMES, LARGEST, ANCHORED],
        wrong: &[SUM, INCREASE, ANCHORED_TIMES],
    },
    Row {
        store: Kind::Prometheus("otlp-deltatocumulative"),
        temporality: "delta",
        right: &[TOTAL, TOTAL_OF_TIMES, LARGEST],
        wrong: &[SUM, INCREASE, ANCHORED],
    },
    Row {
        store: Kind::Prometheus("otlp-deltatocumulative,created-timestamp-zero-ingestion"),
        temporality: "delta",
        right: &[TOTAL, TOTAL_OF_TIMES, LARGEST, ANCHORED, ANCHORED_TIMES],
        wrong: &[SUM, INCREASE],
    },
    Row {
        store: Kind::Prometheus("otlp-native-delta-ingestion"),
        temporality: "delta",
        right: &[SUM, SUM_OF_TIMES],
        wrong: &[TOTAL, INCREASE, ANCHORED],
    },
    Row {
        store: Kind::VictoriaMetrics,
        temporality: "delta",
        right: &[SUM, "sum(sum_over_time(TIMES_count[1h]))"],
        wrong: &[TOTAL, INCREASE],
    },
    Row {
        store: Kind::VictoriaMetrics,
        temporality: "cumulative",
        right: &[TOTAL, LARGEST, "sum(last_over_time(TIMES_count[1h]))"],
        wrong: &[SUM, INCREASE],
    },
    Row {
        store: Kind::Mimir(""),
        temporality: "cumulative",
        right: &[TOTAL, TOTAL_OF_TIMES, LARGEST],
        wrong: &[SUM, INCREASE],
    },
    Row {
        store: Kind::Mimir("distributor.otel-native-delta-ingestion"),
        temporality: "delta",
        right: &[SUM, SUM_OF_TIMES],
        wrong: &[TOTAL, INCREASE],
    },
];

/// An environment whose metrics go to `store`.
fn environment(store: &Store, service: &str, temporality: &str, interval: &str) -> Platform {
    let script = Script::new()
        .with_metrics()
        .env("OTEL_SERVICE_NAME", service)
        .env(
            "PREFREEZE_EXPORTER_OTLP_METRICS_ENDPOINT",
            format!("http://{}{}", store.address(), store.path()),
        )
        .env("PREFREEZE_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", temporality)
        .env("PREFREEZE_METRICS_INTERVAL_MS", interval);
    Platform::ready(&script)
}

/// The whole life of an environment that is invoked this many times.
fn live(store: &Store, service: &str, row: &Row, interval: &str, invocations: u64) {
    let platform = environment(store, service, row.temporality, interval);
    (0..invocations).for_each(|number| invoke(&platform, &format!("{service}-{number}")));
    platform.spin_down();
    for event in ["export_failed", "export_rejected", "export_refused", "export_partly_rejected"] {
        assert_eq!(platform.log(event), [Value::Null; 0], "{:?}", row.store);
    }
}

fn invoke(platform: &Platform, request_id: &str) {
    platform.answer_next(&Invoke::new(request_id, MINUTE));
    platform.post_telemetry(&[runtime_done(now_unix_ms(), request_id, "success", 12.5)]);
    platform.wait_next();
}

/// What `query` is off, as a share, in the worst of the given lives and intervals.
fn worst(store: &Store, told: &[(String, u64)], query: &str) -> f64 {
    let off = told.iter().map(|(service, invocations)| {
        let of = format!("{{{}=\"{service}\"}}", store.service_label());
        let query = query
            .replace("COUNT", &format!("faas_invocations_total{of}"))
            .replace("TIMES_count", &format!("faas_invoke_duration_seconds_count{of}"))
            .replace("TIME", &format!("faas_invoke_duration_seconds{of}"));
        let truth = *invocations as f64;
        (store.ask(&query) - truth).abs() / truth
    });
    off.fold(0.0, f64::max)
}

#[test]
fn the_queries_of_the_page_count_truly_in_real_stores() {
    for row in &ROWS {
        let Some(store) = Store::start(row.store) else { return };
        let mut told = Vec::new();
        for interval in INTERVALS {
            for lives in LIVES {
                let service = format!("service-{}", told.len());
                thread::scope(|scope| {
                    for invocations in lives {
                        scope.spawn(|| live(&store, &service, row, interval, *invocations));
                    }
                });
                told.push((service, lives.iter().sum()));
            }
        }
        for query in row.right {
            let off = worst(&store, &told, query);
            assert!(off <= ERROR_MAX, "{:?}, {}: {query} is off by {off}", row.store, row.temporality);
        }
        for query in row.wrong {
            let off = worst(&store, &told, query);
            assert!(off > ERROR_MAX, "{:?}, {}: {query} is true by now", row.store, row.temporality);
        }
    }
}

/// Prometheus and Mimir as they are accept no deltas: the log says so, and what to set.
#[test]
fn a_store_that_accepts_no_deltas_is_named_as_such() {
    for (kind, status) in [(Kind::Prometheus("exemplar-storage"), 500), (Kind::Mimir(""), 400)] {
        let Some(store) = Store::start(kind) else { return };
        let platform = environment(&store, "orders", "delta", "60000");
        invoke(&platform, "r-1");
        platform.spin_down();
        let lines = platform.log("export_rejected");
        assert_eq!(lines.len(), 1, "{lines:?}");
        let said = (&lines[0]["cause"], &lines[0]["status"]);
        assert_eq!(said, (&"wrong_temporality".into(), &status.into()), "{kind:?}: {lines:?}");
        let reason = lines[0]["reason"].as_str().expect("words");
        assert!(
            reason.contains("PREFREEZE_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE=cumulative"),
            "{reason}"
        );
    }
}

/// What is sent while a store is away is kept, and sent when it is back.
#[test]
fn a_store_that_restarts_misses_nothing() {
    let rows = [
        (Kind::Prometheus("exemplar-storage"), "cumulative", TOTAL, true),
        (Kind::Prometheus("otlp-native-delta-ingestion"), "delta", SUM, true),
        // It forgets what it has added up.
        (Kind::Prometheus("otlp-deltatocumulative"), "delta", TOTAL, false),
        (Kind::VictoriaMetrics, "delta", SUM, true),
        (Kind::Mimir(""), "cumulative", TOTAL, true),
    ];
    for (kind, temporality, query, is_true) in rows {
        let Some(mut store) = Store::start(kind) else { return };
        let platform = environment(&store, "orders", temporality, "0");
        for number in 1..=12 {
            match number {
                5 => store.stop(),
                9 => store.resume(),
                _ => {}
            }
            invoke(&platform, &format!("r-{number}"));
        }
        platform.spin_down();
        assert!(!platform.log("export_failed").is_empty(), "{kind:?} was away, and nobody noticed");
        let off = worst(&store, &[("orders".to_owned(), 12)], query);
        assert_eq!(off <= ERROR_MAX, is_true, "{kind:?}: {query} is off by {off}");
    }
}

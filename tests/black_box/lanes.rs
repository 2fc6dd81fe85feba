//! One backend, or one signal of a backend, is ill: the spans are served as if there were nothing else.

use std::net::TcpListener;

use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use prost::Message;
use tests::collector::{Answer, Collector, Decoded, Request, State};
use tests::otlp::{self, Ids, SpanExt};
use tests::platform::{Platform, Script};

use super::world::{Summary, World, server_span, span};

/// Enough for a breaker to open, and for every slot of a lane to hang.
const INVOCATIONS: u64 = 8;
/// Spans of one invocation.
const SPANS: usize = 3;
/// Longer than a test waits for `/next`: an invocation that is held for what is ill fails it.
const CEILING_MS: &str = "30000";
const MODES: [&str; 3] = ["end", "adaptive", "continuous"];

/// Which signal is ill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ill {
    Metrics,
    Logs,
}

impl Ill {
    const fn path(self) -> &'static str {
        match self {
            Self::Metrics => "/v1/metrics",
            Self::Logs => "/v1/logs",
        }
    }

    const fn variable(self) -> &'static str {
        match self {
            Self::Metrics => "PREFREEZE_EXPORTER_OTLP_METRICS_ENDPOINT",
            Self::Logs => "PREFREEZE_EXPORTER_OTLP_LOGS_ENDPOINT",
        }
    }

    fn body(self) -> Vec<u8> {
        match self {
            Self::Metrics => otlp::metrics("orders", 1).encode_to_vec(),
            Self::Logs => otlp::logs("a line").encode_to_vec(),
        }
    }
}

/// A row: what is ill, how, and whether it has a backend of its own.
#[derive(Clone, Copy, Debug)]
struct Row {
    ill: Ill,
    answer: fn() -> Answer,
    is_own_backend: bool,
    mode: &'static str,
}

/// An environment of this row; the second backend is of the ill signal, if it has its own.
fn world(row: Row) -> (World, Collector) {
    let (well, own) = (Collector::start(), Collector::start());
    let script = Script::new()
        .env("PREFREEZE_EXPORTER_OTLP_ENDPOINT", well.endpoint())
        .env("PREFREEZE_FLUSH_TIMEOUT_MS", CEILING_MS)
        .env("PREFREEZE_FLUSH", row.mode);
    let (script, ill) = if row.is_own_backend {
        (script.env(row.ill.variable(), format!("{}{}", own.endpoint(), row.ill.path())), &own)
    } else {
        (script, &well)
    };
    let path = row.ill.path();
    let answer = row.answer;
    ill.always_with(move |request| if request.path == path { answer() } else { Answer::ok() });
    (World { platform: Platform::ready(&script), collector: well }, own)
}

/// An invocation that sends spans and an item of the ill signal, up to the next `/next`.
fn invoke(world: &World, row: Row, number: u64) {
    let (request_id, root) = (format!("r-{number}"), Ids::new(number));
    world.invoke(&request_id);
    assert_eq!(world.post(row.ill.path(), &row.ill.body()).status, 200);
    let children = (1..SPANS as u64).map(|child| span("child", root.sibling(child)).with_parent(root));
    let own = server_span(&request_id, root, &request_id);
    world.post_spans(children.chain([own]));
    world.platform.wait_next();
}

/// Spans that the backend has answered for.
fn taken(state: &State) -> usize {
    state.spans().len()
}

/// All spans are there before each freeze, or, where data leaves beside the next invocation, with that one.
fn assert_spans_are_served(row: Row) -> (Summary, World, Collector) {
    let (world, own) = world(row);
    for number in 1..=INVOCATIONS {
        invoke(&world, row, number);
        if row.mode == "continuous" {
            // What the one before it has left is with the backend, which may not have answered yet.
            let due = (number - 1) as usize * SPANS;
            world.collector.expect(&format!("{row:?}: {due} spans"), |state| taken(state) >= due);
            continue;
        }
        let due = number as usize * SPANS;
        let state = world.collector.state();
        assert!(taken(&state) >= due, "{row:?}: {} of {due} spans before a freeze:\n{state}", taken(&state));
    }
    let summary = world.close();
    let all = INVOCATIONS * SPANS as u64;
    let books = (summary.count("received"), summary.count("exported"), summary.dropped());
    assert_eq!(books, (all, all, 0), "{row:?}: {}", summary.0);
    assert_eq!(world.collector.spans().len() as u64, all, "{row:?}: each arrives once");
    (summary, world, own)
}

/// Every mode, with the ill signal at its own backend and at the same one.
fn rows(ill: Ill, answer: fn() -> Answer) -> impl Iterator<Item = Row> {
    let places = [true, false];
    MODES
        .into_iter()
        .flat_map(move |mode| places.map(|is_own_backend| Row { ill, answer, is_own_backend, mode }))
}

#[test]
fn logs_that_are_answered_503_cost_the_spans_nothing() {
    for row in rows(Ill::Logs, || Answer::status(503)) {
        assert_spans_are_served(row);
    }
}

#[test]
fn logs_over_their_quota_cost_the_spans_nothing() {
    for row in rows(Ill::Logs, || Answer::retry_after(429, "60")) {
        let (_, world, _) = assert_spans_are_served(row);
        for line in world.platform.log("backend_down") {
            assert_eq!(line["signal"], "logs", "{row:?}: only the logs are refused");
        }
    }
}

#[test]
fn a_metrics_backend_that_never_answers_costs_nothing() {
    for row in rows(Ill::Metrics, || Answer::Hold) {
        assert_spans_are_served(row);
    }
}

#[test]
fn a_logs_backend_that_never_answers_costs_nothing() {
    for row in rows(Ill::Logs, || Answer::Hold) {
        assert_spans_are_served(row);
    }
}

/// For all invocations together: a backend that hangs costs no more than one ceiling and what its answers may take, one that is
/// not there next to nothing.
#[test]
fn a_trace_backend_that_is_down_costs_one_ceiling_once() {
    const CEILING_MS: u32 = 3_000;
    for mode in MODES {
        for (hangs, ceilings) in [(true, 2), (false, 1)] {
            let collector = Collector::start();
            collector.always(Answer::Hold);
            let nobody = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
            let nobody = format!("http://{}", nobody.expect("there is a free port"));
            let script = Script::new()
                .env("PREFREEZE_EXPORTER_OTLP_ENDPOINT", if hangs { collector.endpoint() } else { nobody })
                .env("PREFREEZE_FLUSH_TIMEOUT_MS", CEILING_MS.to_string())
                .env("PREFREEZE_FLUSH", mode);
            let world = World { platform: Platform::ready(&script), collector };
            for number in 1..=INVOCATIONS {
                let (request_id, root) = (format!("r-{number}"), Ids::new(number));
                world.invoke(&request_id);
                world.post_spans([server_span(&request_id, root, &request_id)]);
                world.platform.wait_next();
            }
            let summary = world.close();
            let held_ms = summary.0["post_runtime_ms"].as_f64().expect("a number");
            assert!(
                held_ms < f64::from(ceilings * CEILING_MS),
                "{mode}, hangs: {hangs}: {held_ms} ms\n{}",
                summary.0
            );
        }
    }
}

/// Whether a request holds exponential histograms.
fn has_exponential(request: &Request) -> bool {
    let Decoded::Metrics(metrics) = &request.decoded else { return false };
    let scopes = metrics.resource_metrics.iter().flat_map(|group| &group.scope_metrics);
    let data = scopes.flat_map(|scope| &scope.metrics).filter_map(|metric| metric.data.as_ref());
    data.into_iter().any(|data| matches!(data, Data::ExponentialHistogram(_)))
}

/// The function's own metrics that the backend has taken.
fn orders(state: &State) -> usize {
    let taken = state.requests.iter().filter(|request| request.is_taken());
    let metrics = taken.filter_map(|request| match &request.decoded {
        Decoded::Metrics(metrics) => Some(metrics),
        _ => None,
    });
    let scopes = metrics.flat_map(|metrics| &metrics.resource_metrics).flat_map(|group| &group.scope_metrics);
    scopes.flat_map(|scope| &scope.metrics).filter(|metric| metric.name == "orders").count()
}

#[test]
fn a_backend_that_refuses_our_histograms_has_the_functions_metrics() {
    for mode in MODES {
        let world = World::with(|script| {
            let script = script.with_metrics().env("PREFREEZE_METRICS_INTERVAL_MS", "0");
            script.env("PREFREEZE_FLUSH_TIMEOUT_MS", CEILING_MS).env("PREFREEZE_FLUSH", mode)
        });
        world
            .collector
            .always_with(|request| if has_exponential(request) { Answer::status(400) } else { Answer::ok() });
        let row = Row { ill: Ill::Metrics, answer: Answer::ok, is_own_backend: false, mode };
        for number in 1..=INVOCATIONS {
            invoke(&world, row, number);
        }
        let summary = world.close();
        let state = world.collector.state();
        assert!(state.requests.iter().any(has_exponential), "{mode}: ours have been refused");
        // At least once: a request that was given up at the end may have arrived.
        assert!(orders(&state) as u64 >= INVOCATIONS, "{mode}: {}\n{state}", summary.0);
        assert_eq!(summary.0["metrics"]["held"], 0, "{mode}: {}", summary.0);
    }
}

#[test]
fn a_kill_while_one_backend_hangs_loses_nothing_of_the_others() {
    for mode in MODES {
        let row = Row { ill: Ill::Logs, answer: || Answer::Hold, is_own_backend: true, mode };
        let well = Collector::start();
        let own = Collector::start();
        own.always(Answer::Hold);
        let script = Script::new()
            .env("PREFREEZE_EXPORTER_OTLP_ENDPOINT", well.endpoint())
            .env(row.ill.variable(), format!("{}{}", own.endpoint(), row.ill.path()))
            .env("PREFREEZE_FLUSH_TIMEOUT_MS", CEILING_MS)
            .env("PREFREEZE_FLUSH", mode);
        let world = World { platform: Platform::ready(&script), collector: well };
        for number in 1..=3 {
            invoke(&world, row, number);
        }
        // In the middle of an invocation.
        world.invoke("r-4");
        assert_eq!(world.post(row.ill.path(), &row.ill.body()).status, 200);
        world.post_spans([span("child", Ids::new(4).sibling(1)).with_parent(Ids::new(4))]);
        world.platform.kill();
        let World { platform, collector } = world;
        drop(platform);
        own.always(Answer::ok());
        own.release();
        let world = World { platform: Platform::ready(&script), collector };
        invoke(&world, row, 5);
        let summary = world.close();
        assert_eq!(summary.dropped(), 0, "{mode}: {}", summary.0);
        let mut roots: Vec<_> = world.names().into_iter().filter(|name| name.starts_with("r-")).collect();
        roots.dedup();
        assert_eq!(roots, ["r-1", "r-2", "r-3", "r-5"], "{mode}");
        let children = world.spans("child");
        let ids: std::collections::BTreeSet<_> = children.iter().map(|seen| &seen.span.span_id).collect();
        assert_eq!(ids.len(), 4 * (SPANS - 1) + 1, "{mode}: of the invocation that was killed, too");
        let lines = own.state().requests.into_iter().filter(Request::is_taken).count();
        assert!(lines > 0, "{mode}: what waited for the other backend is there when that is well");
    }
}

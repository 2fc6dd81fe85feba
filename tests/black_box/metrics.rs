//! Metrics of the real binary against counts that the test keeps itself.

use std::collections::BTreeSet;
use std::time::Duration;

use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use serde_json::{Value, json};
use tests::collector::{Answer, Collector, Decoded, attribute_text};
use tests::grpc::{Ending, GrpcBackend, Seen};
use tests::http1::Headers;
use tests::metrics::{Points, Value as Reading};
use tests::otlp::{Ids, SpanExt};
use tests::platform::events::{
    event, init_report, init_runtime_done, init_start, iso, now_unix_ms, report, runtime_done,
    runtime_done_error, start,
};
use tests::platform::{Invoke, Platform, Reason, Script};

use super::world::{LONG, World, nanos, server_span, span};

/// With metrics, at every flush.
fn at_every_flush(script: Script) -> Script {
    script.with_metrics().env("PREFREEZE_METRICS_INTERVAL_MS", "0")
}

/// What went through the environments of a story, counted by the story.
#[derive(Debug, Default)]
struct Truth {
    successes: u64,
    errors: u64,
    timeouts: u64,
    cold_starts: u64,
    /// Durations as the platform told them, in seconds.
    durations: Vec<f64>,
    billed: Vec<f64>,
    /// SERVER spans that the function sent, and CLIENT spans.
    servers: u64,
    clients: u64,
    failed_clients: u64,
}

/// A number below `bound` that `n` decides.
fn any(n: u64, bound: u64) -> u64 {
    let mut bits = n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits ^= bits >> 29;
    bits = bits.wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (bits ^ (bits >> 32)) % bound
}

impl Truth {
    /// One environment: a cold start, invocations of every kind, and an end; with its points.
    fn live(&mut self, number: u64, invocations: u64) -> Points {
        let world = World::with(at_every_flush);
        let now = now_unix_ms();
        let init = [
            init_start(now - 400, "on-demand"),
            init_runtime_done(now - 60, "on-demand"),
            init_report(now - 50, "on-demand", 340.0),
        ];
        self.cold_starts += 1;
        let ends_badly = number.is_multiple_of(2);
        for n in 0..invocations {
            let request_id = format!("r-{number}-{n}");
            let times_out = n + 1 == invocations && ends_badly;
            let left = if times_out { Duration::from_millis(300) } else { LONG };
            world.platform.answer_next(&Invoke::new(&request_id, left));
            if n == 0 {
                world.platform.post_telemetry(&init);
            }
            self.invoke(&world, number, n, &request_id, times_out);
        }
        if ends_badly {
            world.platform.shutdown(Reason::Timeout, Duration::from_secs(2));
        } else {
            world.platform.spin_down();
        }
        world.platform.wait_exit();
        world.summary();
        let points = Points::of(&world.collector);
        points.assert_intervals();
        points
    }

    /// One invocation up to `/next`, and the platform's late words on it.
    fn invoke(&mut self, world: &World, number: u64, n: u64, request_id: &str, times_out: bool) {
        let seed = number * 1_000 + n;
        let ids = Ids::new(seed);
        let duration_ms = 1.0 + any(seed, 4_000) as f64 / 8.0;
        let now = now_unix_ms();
        let calls = any(seed + 7, 4);
        let fails = |call: u64| any(seed * 7 + call, 5) == 0;
        let call = |call: u64| {
            let code = if fails(call) { StatusCode::Error } else { StatusCode::Unset };
            let span = span("GET", ids.sibling(call + 1)).with_parent(ids).with_kind(SpanKind::Client);
            span.with_text("server.address", "fraud.example.com").with_status(code, "")
        };
        let mut spans: Vec<_> = (0..calls).map(call).collect();
        self.clients += calls;
        self.failed_clients += (0..calls).filter(|call| fails(*call)).count() as u64;
        if !times_out {
            self.servers += 1;
            spans.push(server_span("POST /pay", ids, request_id));
        }
        world.post_spans(spans);
        let done = match any(seed + 3, 10) {
            _ if times_out => {
                self.timeouts += 1;
                // Nobody tells: SHUTDOWN has to say it.
                return;
            }
            0 => {
                self.errors += 1;
                runtime_done_error(now, request_id, "error", duration_ms, "Function.Declined")
            }
            1 => {
                self.timeouts += 1;
                runtime_done(now, request_id, "timeout", duration_ms)
            }
            _ => {
                self.successes += 1;
                runtime_done(now, request_id, "success", duration_ms)
            }
        };
        self.durations.push(duration_ms / 1_000.0);
        self.billed.push((duration_ms + 2.0).ceil() / 1_000.0);
        let late =
            [start(now, request_id), done.clone(), report(now, request_id, "success", duration_ms + 2.0)];
        world.platform.wait_next();
        world.platform.post_telemetry(&late);
        if n.is_multiple_of(5) {
            world.platform.post_telemetry(&[done]);
        }
    }
}

#[test]
fn what_the_platform_tells_is_counted_exactly_over_many_environments() {
    let mut truth = Truth::default();
    let mut points = Points::default();
    for number in 0..6 {
        points.0.extend(truth.live(number, 60).0);
    }
    let counts = |name| points.sum(name) as u64;
    assert_eq!(counts("faas.invocations"), truth.successes, "{truth:?}");
    assert_eq!(counts("faas.errors"), truth.errors);
    assert_eq!(counts("faas.timeouts"), truth.timeouts);
    assert_eq!(counts("faas.coldstarts"), truth.cold_starts);
    assert!(truth.errors > 10 && truth.timeouts > 10, "the story has something of everything: {truth:?}");
    let classes: BTreeSet<_> =
        points.named("faas.errors").filter_map(|seen| seen.text("error.type")).collect();
    assert_eq!(classes, BTreeSet::from(["Function.Declined"]));
    let durations = points.distribution("faas.invoke_duration");
    truth.durations.sort_by(f64::total_cmp);
    assert_eq!(durations.count, truth.durations.len() as u64);
    assert!((durations.sum - truth.durations.iter().sum::<f64>()).abs() < 1e-6);
    for q in [0.01, 0.25, 0.5, 0.9, 0.99, 1.0] {
        let rank = (q * truth.durations.len() as f64).ceil().max(1.0) as usize;
        let (told, exact) = (durations.quantile(q), truth.durations[rank - 1]);
        let off = (told - exact).abs() / exact;
        assert!(off <= durations.error() + 1e-9, "quantile {q}: {told} for {exact}");
    }
    assert!(durations.error() < 0.05, "{}", durations.error());
    let billed = points.distribution("aws.lambda.billed_duration");
    assert_eq!(billed.count, truth.billed.len() as u64);
    assert!((billed.sum - truth.billed.iter().sum::<f64>()).abs() < 1e-6);
    let init = points.distribution("faas.init_duration");
    assert_eq!((init.count, (init.sum * 1e6).round() as u64), (6, 6 * 340_000));
    let memory = points.distribution("faas.mem_usage");
    assert_eq!((memory.count, memory.sum as u64), (billed.count, billed.count * (90 << 20)));
    let calls = |kind: &str, status: Option<&str>| {
        points.sum_where("traces.span.metrics.calls", |seen| {
            seen.text("span.kind") == Some(kind)
                && status.is_none_or(|status| seen.text("status.code") == Some(status))
        }) as u64
    };
    assert_eq!(calls("SPAN_KIND_CLIENT", None), truth.clients);
    assert_eq!(calls("SPAN_KIND_CLIENT", Some("STATUS_CODE_ERROR")), truth.failed_clients);
    // Those that timed out without a span of their own have one that is made for them.
    assert_eq!(calls("SPAN_KIND_SERVER", None), truth.servers + 3);
}

#[test]
fn shutdown_always_sends_what_is_left() {
    let world = World::with(|script| script.with_metrics());
    world.invoke_well("r-1", 1);
    assert!(Points::of(&world.collector).0.is_empty(), "within the first minute, nothing leaves");
    world.runtime_done("r-1");
    world.close();
    let points = Points::of(&world.collector);
    assert_eq!(points.sum("faas.invocations") as u64, 1);
    assert_eq!(points.sum("faas.coldstarts") as u64, 1);
    let request = world.collector.requests().into_iter().find_map(|request| match request.decoded {
        Decoded::Metrics(metrics) => Some(metrics),
        _ => None,
    });
    let resource = request.and_then(|request| request.resource_metrics[0].resource.clone());
    let resource = resource.expect("metrics with a resource");
    assert_eq!(attribute_text(&resource.attributes, "faas.name"), Some("orders"));
}

#[test]
fn points_wait_for_a_backend_that_is_down_and_none_is_lost() {
    let world = World::with(at_every_flush);
    world.collector.stop();
    for n in 0..5 {
        let request_id = format!("r-{n}");
        world.invoke_well(&request_id, n);
        world.runtime_done(&request_id);
    }
    world.collector.resume();
    world.close();
    let points = Points::of(&world.collector);
    points.assert_intervals();
    assert_eq!(points.sum("faas.invocations") as u64, 5);
    assert_eq!(points.sum("traces.span.metrics.calls") as u64, 5);
    assert!(points.sum("prefreeze.export.retries") >= 1.0, "{:?}", points.names());
}

#[test]
fn a_backend_without_metrics_is_noticed_and_left_alone() {
    let world = World::with(at_every_flush);
    world
        .collector
        .always_with(|request| Answer::status(if request.path.ends_with("/metrics") { 404 } else { 200 }));
    world.invoke_well("r-0", 0);
    // Of a slow answer the next request would not know yet.
    world.platform.expect_log("no_metrics", 1);
    for n in 1..4 {
        world.invoke_well(&format!("r-{n}"), n);
    }
    world.close();
    let asked = world.collector.requests().iter().filter(|it| it.path.ends_with("/metrics")).count();
    assert_eq!(asked, 1, "once is enough");
    assert_eq!(world.platform.log("no_metrics").len(), 1);
    assert!(world.platform.log("export_rejected").is_empty(), "nothing is wrong");
}

/// In gRPC a backend for traces alone answers UNIMPLEMENTED.
#[test]
fn a_grpc_backend_without_metrics_is_noticed_and_left_alone() {
    let (traces, metrics) = (GrpcBackend::start(&[]), GrpcBackend::start(&[Ending::Unimplemented; 10]));
    let script = at_every_flush(Script::new())
        .env("PREFREEZE_EXPORTER_OTLP_PROTOCOL", "grpc")
        .env("PREFREEZE_EXPORTER_OTLP_TRACES_ENDPOINT", traces.endpoint())
        .env("PREFREEZE_EXPORTER_OTLP_METRICS_ENDPOINT", metrics.endpoint());
    let world = World { platform: Platform::ready(&script), collector: Collector::start() };
    world.invoke_well("r-0", 0);
    world.platform.expect_log("no_metrics", 1);
    for n in 1..4 {
        world.invoke_well(&format!("r-{n}"), n);
    }
    let summary = world.close();
    assert_eq!(summary.count("exported"), 4);
    let calls = metrics.seen().concat().iter().filter(|seen| matches!(seen, Seen::Call(_))).count();
    assert_eq!(calls, 1, "once is enough");
    assert_eq!(world.platform.log("no_metrics").len(), 1);
    assert!(world.platform.log("export_rejected").is_empty(), "nothing is wrong");
}

#[test]
fn without_an_endpoint_for_metrics_none_are_made_and_nothing_is_said() {
    let world = World::with_endpoint("PREFREEZE_EXPORTER_OTLP_TRACES_ENDPOINT", "/v1/traces", at_every_flush);
    world.invoke_well("r-1", 1);
    let summary = world.close();
    assert_eq!(summary.0["metrics"]["made"], 0);
    assert!(world.platform.log("no_destination").is_empty());
}

#[test]
fn series_are_bounded_and_the_rest_is_counted_together() {
    let world = World::with(|script| at_every_flush(script).env("PREFREEZE_METRICS_SERIES_MAX", "10"));
    world.invoke("r-1");
    let ids = Ids::new(1);
    let call = |n: u64| span(&format!("GET /{n}"), ids.sibling(n + 1)).with_kind(SpanKind::Client);
    world.post_spans((0..500).map(call));
    world.post_spans([server_span("POST /pay", ids, "r-1")]);
    world.platform.wait_next();
    world.close();
    let points = Points::of(&world.collector);
    assert_eq!(points.sum("traces.span.metrics.calls") as u64, 501);
    let rest = points.sum_where("traces.span.metrics.calls", tests::metrics::Seen::is_overflow) as u64;
    assert_eq!(rest, 492);
    assert_eq!(points.named("traces.span.metrics.calls").count(), 10);
}

#[test]
fn a_span_that_was_sampled_before_stands_for_as_many_as_it_says() {
    let world = World::with(at_every_flush);
    world.invoke("r-1");
    let ids = Ids::new(1);
    let mut sampled = span("GET", ids.sibling(1)).with_kind(SpanKind::Client);
    sampled.trace_state = "ot=th:c;rv:ffffffffffffff".to_owned();
    world.post_spans([sampled, server_span("POST /pay", ids, "r-1")]);
    world.platform.wait_next();
    world.close();
    let points = Points::of(&world.collector);
    let calls =
        |kind| points.sum_where("traces.span.metrics.calls", |seen| seen.text("span.kind") == Some(kind));
    assert_eq!((calls("SPAN_KIND_CLIENT"), calls("SPAN_KIND_SERVER")), (4.0, 1.0));
}

/// A span whose randomness, the last seven bytes of its trace id, is below the threshold that its tracestate claims: no
/// sampler has kept it at that. Taken at its word, it would stand for 72 quadrillion.
const POISON: &str = r#"{"resourceSpans":[{"resource":{"attributes":[]},"scopeSpans":[{"scope":{"name":"t","version":"1"},"spans":[{"traceId":"37f01210c3707a90b405420fb169779e","spanId":"dfb5b9342405157f","name":"op","kind":2,"startTimeUnixNano":"1795828709735076683","endTimeUnixNano":"1795828709735076684","status":{"code":0},"flags":257,"traceState":"ot=th:ffffffffffffff"}]}]}]}"#;

#[test]
fn a_span_that_claims_more_than_its_trace_allows_counts_once() {
    let world = World::with(at_every_flush);
    world.invoke("r-1");
    let json = Headers::from([("Content-Type", "application/json")]);
    assert_eq!(world.platform.post_otlp("/v1/traces", POISON.as_bytes(), &json).status, 200);
    world.post_spans([server_span("POST /pay", Ids::new(1), "r-1")]);
    world.platform.wait_next();
    world.close();
    let points = Points::of(&world.collector);
    assert_eq!(points.sum("traces.span.metrics.calls"), 2.0);
    // As it came: its own tracestate is not ours to correct.
    assert_eq!(world.span("op").span.trace_state, "ot=th:ffffffffffffff");
}

#[test]
fn a_failure_that_only_the_report_tells_of_is_counted() {
    for (status, errors, timeouts) in
        [("error", 1, 0), ("timeout", 0, 1), ("failure", 1, 0), ("success", 0, 0)]
    {
        let world = World::with(at_every_flush);
        let now = now_unix_ms();
        world.invoke("r-1");
        world.platform.post_telemetry(&[start(now, "r-1")]);
        assert_eq!(world.post("/v1/flush?request_id=r-1", b"").status, 202);
        world.platform.wait_next();
        world.invoke("r-2");
        world.platform.post_telemetry(&[report(now + 20, "r-1", status, 20.0), start(now + 30, "r-2")]);
        world.runtime_done("r-2");
        world.platform.wait_next();
        world.close();
        let points = Points::of(&world.collector);
        let counts = ["faas.errors", "faas.timeouts", "faas.invocations"].map(|name| points.sum(name) as u64);
        assert_eq!(counts, [errors, timeouts, 2 - errors - timeouts], "{status}");
    }
}

#[test]
fn given_buckets_on_request() {
    const AGGREGATION: &str = "PREFREEZE_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION";
    let world = World::with(|script| at_every_flush(script).env(AGGREGATION, "explicit_bucket_histogram"));
    world.invoke("r-1");
    world.runtime_done("r-1");
    world.platform.wait_next();
    world.close();
    let points = Points::of(&world.collector);
    let durations: Vec<_> = points.named("faas.invoke_duration").collect();
    let Reading::Explicit(point) = &durations[0].value else { panic!("{durations:?}") };
    // 12.5 ms lie between 10 and 25.
    let filled = point.bucket_counts.iter().position(|count| *count == 1).expect("one value");
    assert_eq!(&point.explicit_bounds[filled - 1..=filled], [0.01, 0.025]);
}

#[test]
fn lines_for_cloudwatch_are_written_in_its_format() {
    let world = World::with(|script| at_every_flush(script).env("PREFREEZE_METRICS", "both"));
    for n in 0..3 {
        let request_id = format!("r-{n}");
        world.invoke(&request_id);
        world.runtime_done(&request_id);
        world.platform.wait_next();
    }
    world.close();
    let lines: Vec<Value> =
        world.platform.stdout().iter().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let lines: Vec<_> = lines.into_iter().filter(|line| line.get("_aws").is_some()).collect();
    let mut successes = 0;
    for line in &lines {
        let directive = &line["_aws"]["CloudWatchMetrics"][0];
        let metrics = directive["Metrics"].as_array().expect("definitions");
        assert!(!metrics.is_empty() && metrics.len() <= 100);
        assert!(line["_aws"]["Timestamp"].as_u64().is_some_and(|at| at > 1_700_000_000_000));
        for dimension in directive["Dimensions"][0].as_array().expect("dimensions") {
            assert!(line[dimension.as_str().expect("a name")].is_string());
        }
        for metric in metrics {
            let value = &line[metric["Name"].as_str().expect("a name")];
            assert!(value.is_number() || value.is_array() || value["Count"].is_u64(), "{metric} {value}");
        }
        successes += line["faas.invocations"].as_u64().unwrap_or_default();
    }
    assert_eq!(successes, 3);
    assert_eq!(Points::of(&world.collector).sum("faas.invocations") as u64, 3, "beside OTLP");
}

#[test]
fn what_prefreeze_tells_of_itself_agrees_with_its_summary() {
    let world = World::with(at_every_flush);
    for n in 0..3 {
        world.invoke_well(&format!("r-{n}"), n);
    }
    let dropped = json!({"reason": "slow", "droppedRecords": 3, "droppedBytes": 99});
    world.platform.post_telemetry(&[event(now_unix_ms(), "platform.logsDropped", &dropped)]);
    let summary = world.close();
    let points = Points::of(&world.collector);
    let of_traces = |name: &str| points.sum_where(name, |seen| seen.text("signal") == Some("traces")) as u64;
    assert_eq!(of_traces("prefreeze.items.received"), summary.count("received"));
    assert_eq!(of_traces("prefreeze.items.delivered"), summary.count("exported"));
    assert_eq!(points.sum("otel.sdk.exporter.span.exported") as u64, summary.count("exported"));
    assert_eq!(points.sum("prefreeze.telemetry.logs_dropped") as u64, 3);
    assert!(points.distribution("otel.sdk.exporter.operation.duration").count >= 3);
    assert_eq!(points.distribution("prefreeze.flush.duration").count, 3);
    let held: Vec<_> = points.named("prefreeze.items.held").filter(|seen| !seen.is_delta).collect();
    assert_eq!(held.len() % 3, 0, "a level for each signal");
    assert!(points.sum_where("prefreeze.export.bytes", |seen| seen.text("stage") == Some("raw")) > 0.0);
}

#[test]
fn every_metric_that_is_sent_is_in_the_reference() {
    let world = World::with(at_every_flush);
    world.invoke("r-1");
    world.platform.post_telemetry(&[runtime_done(now_unix_ms(), "r-1", "error", 3.0)]);
    world.platform.wait_next();
    world.platform.post_telemetry(&[report(now_unix_ms(), "r-1", "error", 4.0)]);
    world.invoke_well("r-2", 2);
    world.close();
    let page = include_str!("../../docs/metrics.md");
    let points = Points::of(&world.collector);
    assert!(points.names().len() > 20, "{:?}", points.names());
    for seen in &points.0 {
        let row = page.lines().find(|line| line.starts_with(&format!("| `{}` |", seen.name)));
        let row = row.unwrap_or_else(|| panic!("{} is not in docs/metrics.md", seen.name));
        assert!(row.contains(&format!("| {} |", seen.unit)), "{row}");
        for attribute in &seen.attributes {
            assert!(row.contains(&format!("`{}`", attribute.key)), "{}: {}", seen.name, attribute.key);
        }
    }
}

#[test]
fn a_response_is_measured_as_the_platform_saw_it() {
    let world = World::with(at_every_flush);
    let now = now_unix_ms();
    let record = json!({
        "requestId": "r-1", "status": "success", "metrics": {"durationMs": 140.0, "producedBytes": 16},
        "spans": [{"name": "responseLatency", "start": iso(now), "durationMs": 70.0},
                  {"name": "responseDuration", "start": iso(now), "durationMs": 20.0}],
    });
    world.invoke("r-1");
    world.platform.post_telemetry(&[event(now, "platform.runtimeDone", &record)]);
    world.platform.wait_next();
    world.close();
    let points = Points::of(&world.collector);
    let sum = |name| (points.distribution(name).sum * 1e6).round() as u64;
    assert_eq!(sum("aws.lambda.response_latency"), 70_000);
    assert_eq!(sum("aws.lambda.response_duration"), 20_000);
    assert_eq!(sum("aws.lambda.produced_bytes"), 16_000_000);
    assert!(points.0.iter().all(|seen| seen.time < nanos(now + 60_000) && seen.start >= nanos(now - 60_000)));
}

/// The `service.instance.id` of everything that an environment sends.
fn instances(settings: &[(&str, &str)]) -> BTreeSet<String> {
    let shape = |script| {
        settings.iter().fold(at_every_flush(script), |script, (name, value)| script.env(name, *value))
    };
    let world = World::with(shape);
    world.invoke_well("r-1", 1);
    world.runtime_done("r-1");
    world.close();
    let metrics = world.collector.requests().into_iter().filter_map(|request| match request.decoded {
        Decoded::Metrics(metrics) => Some(metrics.resource_metrics),
        _ => None,
    });
    let metrics = metrics.flatten().filter_map(|group| group.resource);
    let resources: Vec<_> = metrics.chain([world.span("r-1").resource]).collect();
    assert!(resources.len() >= 2, "metrics and spans");
    let name = |resource: opentelemetry_proto::tonic::resource::v1::Resource| {
        attribute_text(&resource.attributes, "service.instance.id").map(str::to_owned).unwrap_or_default()
    };
    resources.into_iter().map(name).collect()
}

/// Without it, the series of all environments of a function are one, whose points contradict each other.
#[test]
fn each_environment_is_an_instance_of_its_own() {
    let (one, other) = (instances(&[]), instances(&[]));
    assert_eq!((one.len(), other.len()), (1, 1), "of all signals");
    assert!(one.is_disjoint(&other) && !one.contains(""), "{one:?} {other:?}");
    let named = instances(&[("OTEL_RESOURCE_ATTRIBUTES", "service.instance.id=mine")]);
    assert_eq!(named, BTreeSet::from(["mine".to_owned()]));
}

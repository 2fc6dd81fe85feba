//! What a known backend takes in one request is never met, though the function sends more: CloudWatch refuses it for good.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::metrics::v1::NumberDataPoint;
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value;
use prost::Message;
use tests::collector::{Answer, Collector, Decoded, Request};
use tests::otlp::{Ids, logs, metrics};
use tests::platform::{Platform, Script};

use super::world::{World, span};

/// Bytes and items of each signal, as AWS says of <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch-OTLPEndpoint.html>.
const LIMITS: [(&str, usize, usize); 3] =
    [("traces", 5_000_000, 10_000), ("metrics", 1_000_000, 1_000), ("logs", 1_048_576, 10_000)];

/// The function is in a region; its requests reach the collector as their proxy.
fn script(collector: &Collector) -> Script {
    // Without TLS nothing is signed, and no proxy could look at it with it.
    let services = [("TRACES", "xray"), ("METRICS", "monitoring"), ("LOGS", "logs")];
    let mut script = Script::new()
        .env("HTTP_PROXY", collector.endpoint())
        .env("PREFREEZE_METRICS", "otlp")
        .env("PREFREEZE_EXPORTER_OTLP_AUTH", "none");
    for (signal, service) in services {
        let path = signal.to_lowercase();
        let url = format!("http://{service}.eu-west-1.amazonaws.com/v1/{path}");
        script = script.env(&format!("PREFREEZE_EXPORTER_OTLP_{signal}_ENDPOINT"), url);
    }
    script
}

/// The signal of a request, its bytes, and how many items are in it. A log record counts 26 bytes more.
fn measured(request: &Request) -> (&'static str, usize, usize) {
    let bytes = request.plain.as_ref().map_or(0, Vec::len);
    match &request.decoded {
        Decoded::Traces(_) => ("traces", bytes, request.spans().len()),
        Decoded::Metrics(metrics) => {
            let scopes = metrics.resource_metrics.iter().flat_map(|group| &group.scope_metrics);
            let points = scopes.flat_map(|scope| &scope.metrics).map(|metric| match &metric.data {
                Some(Data::Gauge(data)) => data.data_points.len(),
                Some(Data::Sum(data)) => data.data_points.len(),
                Some(Data::Histogram(data)) => data.data_points.len(),
                Some(Data::ExponentialHistogram(data)) => data.data_points.len(),
                _ => 0,
            });
            ("metrics", bytes, points.sum())
        }
        Decoded::Logs(logs) => {
            let scopes = logs.resource_logs.iter().flat_map(|group| &group.scope_logs);
            let records: usize = scopes.map(|scope| scope.log_records.len()).sum();
            ("logs", bytes + 26 * records, records)
        }
        other => panic!("{other:?}"),
    }
}

fn is_within(request: &Request) -> bool {
    let (signal, bytes, items) = measured(request);
    let (_, most_bytes, most_items) = LIMITS.into_iter().find(|limit| limit.0 == signal).expect("a signal");
    bytes <= most_bytes && items <= most_items
}

/// 2,500 points of one sum.
fn points() -> Vec<u8> {
    let mut request = metrics("orders.open", 0);
    let metric = &mut request.resource_metrics[0].scope_metrics[0].metrics[0];
    let Some(Data::Sum(sum)) = &mut metric.data else { panic!("a sum") };
    let point = sum.data_points[0].clone();
    let numbered = |number| NumberDataPoint { value: Some(Value::AsInt(number)), ..point.clone() };
    sum.data_points = (0..2_500).map(numbered).collect();
    request.encode_to_vec()
}

/// 3 MiB of log records of 1 KiB.
fn records() -> Vec<u8> {
    let mut request = logs(&"x".repeat(1_000));
    let records = &mut request.resource_logs[0].scope_logs[0].log_records;
    *records = vec![records[0].clone(); 3 << 10];
    request.encode_to_vec()
}

/// Requests of each signal, and the items in them.
fn seen(collector: &Collector) -> BTreeMap<&'static str, (usize, usize)> {
    let mut seen = BTreeMap::new();
    for request in collector.requests() {
        assert!(is_within(&request), "{request}: {:?}", measured(&request));
        let (signal, _, items) = measured(&request);
        let (requests, all) = seen.entry(signal).or_insert((0, 0));
        (*requests, *all) = (*requests + 1, *all + items);
    }
    seen
}

fn send_much(world: &World) {
    for part in 0..2 {
        world.post_spans(
            (0..6_000).map(|number| span("many", Ids::new(7).sibling(part * 6_000 + number + 1))),
        );
    }
    for (path, body) in [("/v1/metrics", points()), ("/v1/logs", records())] {
        let response = world.post(path, &body);
        assert_eq!((response.status, response.body), (200, Vec::new()), "{path}");
    }
}

fn assert_all_there(collector: &Collector) {
    let seen = seen(collector);
    let of = |signal| seen.get(signal).copied().unwrap_or_default();
    let (traces, metrics, logs) = (of("traces"), of("metrics"), of("logs"));
    assert!(traces.0 >= 2 && traces.1 >= 12_000, "{seen:?}");
    assert!(metrics.0 >= 3 && metrics.1 >= 2_500, "{seen:?}");
    assert!(logs.0 >= 4 && logs.1 == 3 << 10, "{seen:?}");
}

#[test]
fn much_leaves_in_requests_that_a_known_backend_takes() {
    let collector = Collector::start();
    let world = World { platform: Platform::ready(&script(&collector)), collector };
    world.invoke("r-1");
    send_much(&world);
    world.runtime_done("r-1");
    world.platform.wait_next();
    let summary = world.close();
    assert_eq!(summary.dropped(), 0, "{}", summary.0);
    assert_all_there(&world.collector);
}

#[test]
fn much_that_outlived_a_kill_leaves_so_as_well() {
    let collector = Collector::start();
    collector.always(Answer::status(503));
    let script = script(&collector);
    let world = World { platform: Platform::ready(&script), collector };
    world.invoke("r-1");
    send_much(&world);
    world.platform.kill();
    let World { platform, collector } = world;
    drop(platform);
    let before = collector.requests().len();
    collector.always(Answer::ok());
    let world = World { platform: Platform::ready(&script), collector };
    world.invoke_well("r-2", 2);
    let summary = world.close();
    assert_eq!(summary.dropped(), 0, "{}", summary.0);
    assert!(world.collector.requests().len() > before);
    assert_all_there(&world.collector);
}

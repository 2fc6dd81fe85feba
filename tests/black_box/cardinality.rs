//! How many different names, dimensions and values may leave: by default, by rule, and not at all bounded.

use std::collections::{BTreeMap, BTreeSet};

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::metrics::v1::{
    AggregationTemporality, Metric, NumberDataPoint, ResourceMetrics, ScopeMetrics, Sum, metric,
};
use prost::Message;
use tests::collector::attribute_text;
use tests::metrics::Points;
use tests::otlp::{Ids, SpanExt, text};

use super::world::{World, server_span, span};

/// Different names and values of a dimension that pass by default.
const BOUND: u64 = 200;
/// More than that, and enough for a key to look like an identifier.
const ORDERS: u64 = 450;

/// One invocation in which each order has a span under its own name.
fn orders(world: &World, request_id: &str, root: Ids) {
    world.invoke(request_id);
    let spans = (0..ORDERS).map(|number| {
        span(&format!("GET /orders/{number}"), root.sibling(number + 1))
            .with_text("order.id", &format!("order-{number}"))
            .with_text("payment.method", "upi")
            .with_text("debug.dump", "x")
    });
    world.post_spans(spans);
    world.post_spans([span("charge", root.sibling(80_000)), span("refund", root.sibling(80_001))]);
}

/// A delta sum with a point for each user: `value` of each.
fn of_users(count: u64, value: i64) -> Vec<u8> {
    let point = |user: u64| NumberDataPoint {
        attributes: vec![
            text("user", &format!("user-{user}")),
            text("method", "upi"),
            text("http.route", &format!("/users/{user}")),
        ],
        start_time_unix_nano: 1,
        time_unix_nano: 2,
        value: Some(Number::AsInt(value)),
        ..NumberDataPoint::default()
    };
    let with_route = (0..count).map(point);
    // The same without what a semantic convention names, which is left alone.
    let without = with_route.clone().map(|mut point| {
        point.attributes.truncate(2);
        point
    });
    let metric = |name: &str, points: Vec<NumberDataPoint>| {
        let aggregation_temporality = AggregationTemporality::Delta as i32;
        let sum = Sum { data_points: points, aggregation_temporality, is_monotonic: true };
        Metric { name: name.into(), data: Some(metric::Data::Sum(sum)), ..Metric::default() }
    };
    let metrics =
        vec![metric("payments", without.collect()), metric("payments.by.route", with_route.collect())];
    let scope_metrics = vec![ScopeMetrics { metrics, ..ScopeMetrics::default() }];
    let group = ResourceMetrics { scope_metrics, ..ResourceMetrics::default() };
    ExportMetricsServiceRequest { resource_metrics: vec![group] }.encode_to_vec()
}

/// Every metric of this name that has arrived: its points, each once.
fn arrived(world: &World, name: &str) -> Vec<Vec<NumberDataPoint>> {
    let state = world.collector.state();
    let requests = state.metrics().into_iter();
    let groups =
        requests.flat_map(|request| &request.resource_metrics).flat_map(|group| &group.scope_metrics);
    let metrics = groups.flat_map(|scope| &scope.metrics).filter(|metric| metric.name == name);
    let points = metrics.map(|metric| match &metric.data {
        Some(metric::Data::Sum(sum)) => sum.data_points.clone(),
        other => panic!("{other:?}"),
    });
    points.collect()
}

fn total(points: &[NumberDataPoint]) -> i64 {
    let value = |point: &NumberDataPoint| match point.value {
        Some(Number::AsInt(value)) => value,
        other => panic!("{other:?}"),
    };
    points.iter().map(value).sum()
}

fn series(points: &[NumberDataPoint]) -> BTreeSet<String> {
    let key = |attributes: &[KeyValue]| format!("{attributes:?}");
    points.iter().map(|point| key(&point.attributes)).collect()
}

#[test]
fn nobody_asked_and_names_and_dimensions_are_bounded_while_attributes_stay() {
    let world = World::with(|script| script.with_metrics().env("PREFREEZE_METRICS_INTERVAL_MS", "0"));
    orders(&world, "r-1", Ids::new(1));
    for value in [1, 10] {
        assert_eq!(world.post("/v1/metrics", &of_users(BOUND + 50, value)).status, 200);
    }
    world.post_spans([server_span("r-1", Ids::new(1), "r-1")]);
    world.platform.wait_next();
    world.invoke_well("r-2", 2);
    world.close();

    let mut names: BTreeMap<String, u64> = BTreeMap::new();
    world.names().into_iter().for_each(|name| *names.entry(name).or_default() += 1);
    let raw = names.keys().filter(|name| name.starts_with("GET /orders/") && !name.contains('{')).count();
    assert_eq!((raw as u64, names["GET /orders/{id}"]), (BOUND, ORDERS - BOUND), "{names:?}");
    assert_eq!(names["other"], 4, "two steps and two invocations came too late: {names:?}");

    let spans = world.collector.spans();
    let of_orders = spans.iter().filter(|seen| seen.span.name.starts_with("GET /orders/"));
    for seen in of_orders {
        let keys: Vec<_> = seen.span.attributes.iter().map(|pair| &*pair.key).collect();
        assert_eq!(
            (keys, seen.span.dropped_attributes_count),
            (vec!["order.id", "payment.method", "debug.dump"], 0)
        );
        assert!(seen.text("order.id").is_some_and(|order| order.starts_with("order-")));
    }
    let said = world.platform.log("identifier_like_attribute");
    let keys: BTreeSet<_> = said.iter().filter_map(|line| line["key"].as_str()).collect();
    assert_eq!(said.len(), keys.len(), "once each: {said:?}");
    let order = said.iter().find(|line| line["key"] == "order.id").expect("it is named");
    assert_eq!(order["observed"], BOUND);
    assert!((160..=240).contains(&order["distinct"].as_u64().expect("an estimate")), "{order}");
    assert!(!keys.contains("payment.method"), "{keys:?}");

    let payments = arrived(&world, "payments");
    assert_eq!(payments.len(), 2, "both requests");
    for (points, value) in payments.iter().zip([1, 10]) {
        assert_eq!((points.len() as u64, series(points).len() as u64), (BOUND + 1, BOUND + 1), "none twice");
        assert_eq!(total(points), (BOUND as i64 + 50) * value, "and nothing is lost");
        let other: Vec<_> = points
            .iter()
            .filter(|point| attribute_text(&point.attributes, "user") == Some("other"))
            .collect();
        assert_eq!((other.len(), &other[0].value), (1, &Some(Number::AsInt(50 * value))));
    }
    let routes: BTreeSet<_> = arrived(&world, "payments.by.route")
        .concat()
        .iter()
        .filter_map(|point| attribute_text(&point.attributes, "http.route").map(str::to_owned))
        .collect();
    assert_eq!(routes.len() as u64, BOUND + 50, "what a convention names stays");

    let points = Points::of(&world.collector);
    let told = |change: &str| {
        points.sum_where("prefreeze.guard.changes", |seen| seen.text("change") == Some(change)) as u64
    };
    assert_eq!((told("name_templated"), told("point_merged")), (ORDERS - BOUND, 2 * 49));
    assert_eq!((told("dimension_other"), told("attribute_ruled_out")), (4 * 50, 0));
    assert_eq!(points.sum("prefreeze.guard.identifiers") as usize, said.len());
    let line = &world.platform.log("guarded")[0];
    assert_eq!((line["points_merged"].as_u64(), line["names_other"].as_u64()), (Some(98), Some(4)), "{line}");
}

#[test]
fn off_is_off() {
    let world = World::with(|script| script.env("PREFREEZE_ATTRIBUTES", "off"));
    orders(&world, "r-1", Ids::new(1));
    assert_eq!(world.post("/v1/metrics", &of_users(BOUND + 50, 1)).status, 200);
    world.post_spans([server_span("r-1", Ids::new(1), "r-1")]);
    world.platform.wait_next();
    world.close();
    let names: BTreeSet<_> = world.names().into_iter().collect();
    assert_eq!(names.len() as u64, ORDERS + 3);
    assert_eq!(series(&arrived(&world, "payments")[0]).len() as u64, BOUND + 50);
    for event in ["identifier_like_attribute", "guarded", "setting_ignored"] {
        assert!(world.platform.log(event).is_empty(), "{event}");
    }
}

#[test]
fn a_rule_that_is_asked_for_holds_from_the_first_span_on() {
    let rules = r#"{"names":3,"templates":"always","deny":["debug.*"]}"#;
    let world = World::with(|script| script.env("PREFREEZE_ATTRIBUTES", rules));
    for invocation in 0..3_u64 {
        let (request_id, root) = (format!("r-{invocation}"), Ids::new(100 + invocation));
        orders(&world, &request_id, root);
        world.post_spans([server_span(&request_id, root.sibling(90_000), &request_id)]);
        world.platform.wait_next();
    }
    world.close();
    let names = world.names();
    let count = |name: &str| names.iter().filter(|other| *other == name).count() as u64;
    assert_eq!((count("GET /orders/{id}"), count("charge"), count("refund")), (3 * ORDERS, 3, 3));
    assert_eq!(count("other"), 3, "the first three, and one for the rest");
    let spans = world.collector.spans();
    let first = &spans.iter().find(|seen| seen.span.name == "GET /orders/{id}").expect("it arrives").span;
    assert_eq!((first.attributes.len(), first.dropped_attributes_count), (2, 1));
    let said = world.platform.log("identifier_like_attribute");
    assert_eq!((said.len(), &said[0]["key"]), (1, &"order.id".into()), "{said:?}");
    let counts = &world.platform.log("guarded")[0];
    let count = |name: &str| counts[name].as_u64().expect("a count");
    assert_eq!((count("names_other"), count("attributes_ruled_out")), (3, 3 * ORDERS));
}

#[test]
fn a_hash_without_a_key_is_named_and_drops() {
    let rules = r#"{"limit":{"order.id":{"distinct":0,"then":"hash"},"payment.method":{"length":2}}}"#;
    let value = |key: Option<&str>| {
        let world = World::with(|script| {
            let script = script.env("PREFREEZE_ATTRIBUTES", rules);
            key.iter().fold(script, |script, key| script.env("PREFREEZE_REDACT_KEY", *key))
        });
        world.invoke("r-1");
        let sent = server_span("r-1", Ids::new(1), "r-1");
        world.post_spans([sent.with_text("order.id", "order-7").with_text("payment.method", "upi")]);
        world.platform.wait_next();
        world.close();
        let span = world.span("r-1").span;
        assert_eq!(attribute_text(&span.attributes, "payment.method"), Some("up"), "the others hold");
        let said = world.platform.log("setting_ignored");
        let hashed = attribute_text(&span.attributes, "order.id").map(str::to_owned);
        (
            hashed,
            span.dropped_attributes_count,
            said.iter().map(|line| line["error"].to_string()).collect::<Vec<_>>(),
        )
    };
    let (dropped, count, said) = value(None);
    assert_eq!((dropped, count, said.len()), (None, 1, 1), "{said:?}");
    let words = ["PREFREEZE_ATTRIBUTES: limit", "order.id", "hash needs a key"];
    assert!(words.iter().all(|word| said[0].contains(word)), "{said:?}");
    let (hashed, count, said) = value(Some("a key"));
    assert!(hashed.is_some_and(|text| text.len() == 22 && text.starts_with('{')));
    assert_eq!((count, said), (0, Vec::new()));
}

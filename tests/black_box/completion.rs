//! What is added to the function's data, and what is never touched.

use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use prost::Message;
use tests::collector::{Decoded, SpanSeen, attribute, attribute_text};
use tests::otlp::{Ids, SpanExt, logs, metrics, resource, scope, text, traces, traces_of};

use super::world::{World, server_span, span};

/// Sends one SERVER span with this resource, and gives back what arrived.
fn through(world: &World, resource: Resource) -> SpanSeen {
    world.invoke("r-1");
    world.post_traces(&traces_of(resource, [server_span("root", Ids::new(1), "r-1")]));
    world.platform.wait_next();
    world.span("root")
}

#[test]
fn what_the_resource_lacks_is_added() {
    let world = World::with(|script| script.env("AWS_LAMBDA_FUNCTION_VERSION", "7"));
    let seen = through(&world, Resource::default());
    for (key, value) in [
        ("cloud.provider", "aws"),
        ("cloud.platform", "aws_lambda"),
        ("cloud.region", "us-east-1"),
        ("faas.name", "orders"),
        ("faas.version", "7"),
        ("service.name", "orders"),
    ] {
        assert_eq!(seen.resource_text(key), Some(value), "{key}");
    }
    let memory = attribute(&seen.resource.attributes, "faas.max_memory");
    assert_eq!(memory, Some(&Any::IntValue(128 * 1_048_576)));
    assert!(seen.resource.attributes.iter().all(|pair| !pair.key.starts_with("telemetry.sdk.")));
}

#[test]
fn what_the_resource_says_is_kept() {
    let world = World::with(|script| script.env("OTEL_SERVICE_NAME", "from-environment"));
    let said = vec![
        text("service.name", "from-function"),
        text("cloud.provider", "elsewhere"),
        text("faas.name", "renamed"),
        text("telemetry.sdk.language", "cobol"),
    ];
    let seen = through(&world, Resource { attributes: said.clone(), ..Resource::default() });
    assert_eq!(seen.resource.attributes[..4], said);
    let mut keys: Vec<_> = seen.resource.attributes.iter().map(|pair| &pair.key).collect();
    keys.sort();
    let count = keys.len();
    keys.dedup();
    assert_eq!(keys.len(), count, "a key is there twice");
    assert_eq!(seen.resource_text("cloud.region"), Some("us-east-1"));
}

#[test]
fn the_service_is_named_by_the_usual_variables() {
    let world = World::with(|script| {
        script
            .env("OTEL_SERVICE_NAME", "checkout")
            .env("OTEL_RESOURCE_ATTRIBUTES", "service.name=ignored,deployment.environment.name=a%2Cb")
    });
    world.invoke("r-1");
    world.runtime_done("r-1");
    world.platform.wait_next();
    world.close();
    let root = world.span("orders");
    assert_eq!(root.resource_text("service.name"), Some("checkout"));
    assert_eq!(root.resource_text("deployment.environment.name"), Some("a,b"));
}

#[test]
fn our_own_spans_do_not_claim_the_functions_sdk() {
    let world = World::start();
    world.invoke("r-1");
    world.post_spans([span("child", Ids::new(1))]);
    world.runtime_done("r-1");
    world.platform.wait_next();
    // An SDK is at work: its own root is awaited until the end.
    world.close();
    let root = world.span("orders");
    assert!(root.resource.attributes.iter().all(|pair| !pair.key.starts_with("telemetry.sdk.")));
    assert_ne!(root.scope.name, scope().name);
    assert_eq!(world.span("child").resource_text("telemetry.sdk.language"), Some("nodejs"));
}

#[test]
fn the_functions_spans_arrive_as_they_were_sent() {
    let world = World::start();
    let root = Ids::new(1);
    let rich = span("rich", root.sibling(1))
        .with_parent(root)
        .with_status(StatusCode::Error, "it broke")
        .with_link(Ids::new(9))
        .with_event("happened")
        .with_attribute("n", Any::IntValue(-1))
        .with_attribute("x", Any::DoubleValue(0.5))
        .with_attribute("bytes", Any::BytesValue(vec![0, 255]))
        .with_text("text", "naïve ☃");
    let mut flagged = server_span("root", root, "r-1");
    (flagged.flags, flagged.trace_state) = (0x301, "vendor=1".to_owned());
    world.invoke("r-1");
    world.post_spans([rich.clone(), flagged.clone()]);
    world.platform.wait_next();
    assert_eq!(world.span("rich").span, rich);
    assert_eq!(world.span("root").span, flagged);
    assert_eq!(world.span("rich").scope, scope());
}

/// Field 999 with a text, which no version of OTLP has.
fn field_of_the_future() -> Vec<u8> {
    [&[0xba, 0x3e, 6][..], b"future"].concat()
}

/// One field of a message: its number and its bytes.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut encoded = vec![number << 3 | 2];
    prost::encode_length_delimiter(bytes.len(), &mut encoded).expect("a vector takes every byte");
    [encoded, bytes.to_vec()].concat()
}

#[test]
fn fields_of_the_future_survive() {
    let world = World::start();
    let span = [server_span("root", Ids::new(1), "r-1").encode_to_vec(), field_of_the_future()].concat();
    let scope_spans = [field(1, &scope().encode_to_vec()), field(2, &span), field_of_the_future()].concat();
    let resource_spans = [field(1, &resource().encode_to_vec()), field(2, &scope_spans)].concat();
    world.invoke("r-1");
    assert_eq!(world.post("/v1/traces", &field(1, &resource_spans)).status, 200);
    world.platform.wait_next();
    world.span("root");
    let sent: Vec<u8> =
        world.collector.requests().into_iter().flat_map(|it| it.plain.expect("plain")).collect();
    let needle = [span.as_slice()].concat();
    assert!(sent.windows(needle.len()).any(|window| window == needle), "the span's bytes have changed");
}

#[test]
fn metrics_and_logs_are_passed_on() {
    let world = World::start();
    world.invoke("r-1");
    assert_eq!(world.post("/v1/metrics", &metrics("orders.placed", 3).encode_to_vec()).status, 200);
    assert_eq!(world.post("/v1/logs", &logs("an order was placed").encode_to_vec()).status, 200);
    world.post_spans([server_span("root", Ids::new(1), "r-1")]);
    world.platform.wait_next();
    // An invocation is held for traces alone: the others may be on their way still.
    world.collector.expect("all signals", |state| !state.metrics().is_empty() && !state.logs().is_empty());
    let state = world.collector.state();
    let path_of = |is: fn(&Decoded) -> bool| {
        state.requests.iter().find(|request| is(&request.decoded)).map(|request| request.path.clone())
    };
    assert_eq!(path_of(|it| matches!(it, Decoded::Metrics(_))).as_deref(), Some("/v1/metrics"));
    assert_eq!(path_of(|it| matches!(it, Decoded::Logs(_))).as_deref(), Some("/v1/logs"));
    let metric = &state.metrics()[0].resource_metrics[0];
    assert_eq!(metric.scope_metrics, metrics("orders.placed", 3).resource_metrics[0].scope_metrics);
    let log = &state.logs()[0].resource_logs[0];
    assert_eq!(log.scope_logs, logs("an order was placed").resource_logs[0].scope_logs);
    let resource = log.resource.as_ref().expect("a resource");
    assert_eq!(attribute_text(&resource.attributes, "faas.name"), Some("orders"));
}

#[test]
fn several_requests_keep_their_own_resources() {
    let world = World::start();
    world.invoke("r-1");
    for (name, seed) in [("one", 1), ("two", 2)] {
        let resource = Resource { attributes: vec![text("service.name", name)], ..Resource::default() };
        world.post_traces(&traces_of(resource, [span(name, Ids::new(seed))]));
    }
    world.post_traces(&traces([server_span("root", Ids::new(3), "r-1")]));
    world.platform.wait_next();
    for name in ["one", "two"] {
        assert_eq!(world.span(name).resource_text("service.name"), Some(name));
    }
}

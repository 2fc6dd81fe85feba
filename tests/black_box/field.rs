//! What people report of layers like this one, as inputs: `tests/field/README.md` has each with its public source.

use prost::Message;
use tests::http1::Headers;
use tests::otlp::{Ids, traces};

use super::world::{World, protobuf, server_span};

/// The table of the field log, in which each source below must stand.
const LOG: &str = include_str!("../field/README.md");

#[track_caller]
fn assert_logged(source: &str) {
    assert!(LOG.contains(source), "{source} is not in tests/field/README.md");
}

/// Keys as people write them, and what the backend is sent. `None`: nothing under this name, and one line that says so.
#[test]
fn a_key_reaches_the_backend_as_it_was_meant() {
    let rows: &[(&str, &str, &str, Option<&str>)] = &[
        (
            "ocaml-tracing/ocaml-opentelemetry/pull/29",
            "Authorization=Bearer token",
            "authorization",
            Some("Bearer token"),
        ),
        (
            "opentelemetry-python/issues/4492",
            "Authorization=Basic%20MTE2NjAw%3D%3D",
            "authorization",
            Some("Basic MTE2NjAw=="),
        ),
        (
            "opentelemetry-js/issues/4041",
            "Authorization=Basic MTE2NjAw==",
            "authorization",
            Some("Basic MTE2NjAw=="),
        ),
        (
            "elastic-otel-node/issues/305",
            "Authorization=ApiKey%20a1Q0==,x-scope=1",
            "authorization",
            Some("ApiKey a1Q0=="),
        ),
        (
            "traceloop/openllmetry-js/issues/434",
            "Authorization=Api-Token%20dt0c01",
            "authorization",
            Some("Api-Token dt0c01"),
        ),
        (
            "prashar32/riskkernel/pull/76",
            " x-honeycomb-team = key , x-b = 2 ",
            "x-honeycomb-team",
            Some("key"),
        ),
        ("prashar32/riskkernel/pull/76", "\"x-honeycomb-team=key\"", "x-honeycomb-team", Some("key")),
        (
            "opentelemetry.io/pull/11340",
            "Authorization=\"Bearer token\"",
            "authorization",
            Some("Bearer token"),
        ),
        (
            "otel-export-trace-action/issues/24",
            "\"Lightstep-Access-Token\": token",
            "lightstep-access-token",
            None,
        ),
        ("otel-export-trace-action/issues/199", "{\"authorization\": \"Basic dTpw\"}", "authorization", None),
        ("aws-otel-lambda/issues/229", "x-honeycomb-team=${HONEYCOMB_API_KEY}", "x-honeycomb-team", None),
        ("opentelemetry-lambda/issues/1409", "api-key=${secretsmanager:prod/key}", "api-key", None),
        ("elastic-otel-python/issues/639", "Authorization=", "authorization", None),
    ];
    for (source, value, name, expected) in rows {
        assert_logged(source);
        let world = World::with(|script| script.env("PREFREEZE_EXPORTER_OTLP_HEADERS", *value));
        world.invoke_well("r-1", 1);
        world.close();
        let requests = world.collector.requests();
        assert_eq!(requests[0].headers.get(name), *expected, "{value}");
        let lines = world.platform.log("setting_ignored").len();
        assert_eq!(lines, usize::from(expected.is_none()), "{value}: one line where it is not understood");
    }
}

/// Where SDKs post to by mistake.
#[test]
fn a_path_is_taken_by_its_intent() {
    let rows = [
        ("SigNoz/signoz.io/issues/1936", "/v1/traces/v1/traces"),
        ("opentelemetry.io/pull/3627", "/v1/v1/traces"),
        ("langwatch/langwatch/pull/6822", "/api/collector/api/otel/v1/traces"),
        ("getsentry/sentry-docs/pull/14850", "/v1/traces/"),
    ];
    let world = World::start();
    for (seed, (source, path)) in (1..).zip(rows) {
        assert_logged(source);
        let body = traces([server_span("own", Ids::new(seed), "r-1")]).encode_to_vec();
        assert_eq!(world.platform.post_otlp(path, &body, &protobuf()).status, 200, "{path}");
    }
    // Nothing tells which signal this is.
    assert_logged("FriendsOfShopware/shopmon/pull/822");
    assert_eq!(world.platform.post_otlp("/", b"", &protobuf()).status, 404);
    let summary = world.close();
    assert_eq!(summary.count("received"), rows.len() as u64);
    assert_eq!(world.platform.log("request_refused").len(), 1);
}

/// OTLP/JSON of writers that do not keep to the specification: how many spans or records are taken.
#[test]
fn json_is_taken_as_its_writers_make_it() {
    let rows = [
        (
            "opentelemetry-swift/issues/537",
            "/v1/traces",
            r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"W47/95gDgQPSabYzgT/GDA==","spanId":"7uGbfsPBsXQ=","name":"a","startTimeUnixNano":"1","endTimeUnixNano":"2"}]}]}]}"#,
        ),
        (
            "opentelemetry-collector/issues/8720",
            "/v1/traces",
            r#"{"resource_spans":[{"resource":{"attributes":[{"key":"service.name","value":{"Value":{"StringValue":"a"}}}]},"scope_spans":[{"spans":[{"trace_id":"Z6z8LqVvEI+kU1/Ci6mXBQ==","span_id":"gMEgDJS+EXg=","name":"Simple","start_time_unix_nano":1697982593201336000,"end_time_unix_nano":1697982593201347750}]}],"schema_url":"https://opentelemetry.io/schemas/1.21.0"}]}"#,
        ),
        (
            "opentelemetry-collector/issues/3195",
            "/v1/traces",
            r#"{"resourceSpans":[{"resource":{"attributes":[]},"instrumentationLibrarySpans":[{"instrumentationLibrary":{"name":"l"},"spans":[{"traceId":"cgXI6uihz643E6Zqq7Nl4w==","spanId":"+iPdFTeJDX8=","name":"/metrics","kind":"SPAN_KIND_INTERNAL","startTimeUnixNano":"1621253293188761633","endTimeUnixNano":"1621253293190601010","status":{"code":"STATUS_CODE_OK"}}]}]}]}"#,
        ),
        (
            "dartastic_opentelemetry/pull/60",
            "/v1/traces",
            r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"5b8efff798038103d269b633813fc60c","spanId":"eee19b7ec3c1b174","links":[{"traceId":"7+8py1sPlLqG5c9Xm8WBgQ==","spanId":"7uGbfsPBsXQ="}],"name":"a","startTimeUnixNano":"1","endTimeUnixNano":"2"}]}]}]}"#,
        ),
        (
            "opentelemetry-js/issues/3892",
            "/v1/logs",
            r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"timeUnixNano":"1","body":{"stringValue":"a"},"traceId":"W47/95gDgQPSabYzgT/GDA==","spanId":"7uGbfsPBsXQ="}]}]}]}"#,
        ),
        (
            "opentelemetry-collector-contrib/issues/15281",
            "/v1/metrics",
            r#"{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"m","sum":{"aggregationTemporality":1,"isMonotonic":true,"dataPoints":[{"asInt":"1","timeUnixNano":"2"}]}}]}]}]}"#,
        ),
    ];
    let world = World::start();
    let json = Headers::from([("Content-Type", "application/json")]);
    for (source, path, body) in rows {
        assert_logged(source);
        let response = world.platform.post_otlp(path, body.as_bytes(), &json);
        assert_eq!(
            (response.status, String::from_utf8_lossy(&response.body)),
            (200, "{}".into()),
            "{source}"
        );
    }
    world.close();
    let books = &world.platform.log("summary")[0];
    let received = [&books["received"], &books["logs"]["received"], &books["metrics"]["received"]];
    assert_eq!(received.map(|count| count.as_u64()), [Some(4), Some(1), Some(1)]);
    assert!(world.platform.log("json_item_refused").is_empty());
}

/// HTTP to the port of gRPC: `localhost:4317` is what many pages say.
#[test]
fn each_port_speaks_each_protocol() {
    assert_logged("opentelemetry-js/issues/2330");
    assert_logged("aws-otel-lambda/issues/223");
    let world = World::start();
    let body = traces([server_span("own", Ids::new(1), "r-1")]).encode_to_vec();
    let port = world.platform.grpc_receiver();
    let response = tests::http1::send(port, "POST", "/v1/traces", &protobuf(), &body).expect("an answer");
    assert_eq!(response.status, 200);
    assert_eq!(world.close().count("received"), 1);
}

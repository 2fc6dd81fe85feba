//! What the environment variables do, and that no value of theirs can harm the function.

use tests::collector::Collector;
use tests::platform::{Platform, Script};

use super::world::World;

/// The lines that warn.
fn warnings(platform: &Platform) -> Vec<String> {
    let is_warning =
        |line: &String| line.contains(r#""level":"warn""#) || line.contains(r#""level":"error""#);
    platform.stdout().into_iter().filter(is_warning).collect()
}

#[test]
fn headers_are_sent_decoded() {
    let world = World::with(|script| {
        let headers = "api-key=se%20cret%2Cvalue,x-tenant = blue ,authorization=Basic%20dTpw%3D";
        script.env("PREFREEZE_EXPORTER_OTLP_HEADERS", headers)
    });
    world.invoke_well("r-1", 1);
    let request = &world.collector.requests()[0];
    assert_eq!(request.headers.get("api-key"), Some("se cret,value"));
    assert_eq!(request.headers.get("x-tenant"), Some("blue"));
    assert_eq!(request.headers.get("authorization"), Some("Basic dTpw="));
    world.close();
    let output = world.platform.stdout().concat();
    assert!(!output.contains("cret,value") && !output.contains("dTpw"), "a secret was printed: {output}");
}

#[test]
fn headers_of_a_signal_win() {
    let world = World::with(|script| {
        script
            .env("PREFREEZE_EXPORTER_OTLP_HEADERS", "x-team=all")
            .env("PREFREEZE_EXPORTER_OTLP_TRACES_HEADERS", "x-team=traces")
    });
    world.invoke_well("r-1", 1);
    assert_eq!(world.collector.requests()[0].headers.get("x-team"), Some("traces"));
}

#[test]
fn the_base_path_is_kept() {
    for (path, expected) in [
        ("", "/v1/traces"),
        ("/", "/v1/traces"),
        ("/otlp", "/otlp/v1/traces"),
        ("/a/b/", "/a/b/v1/traces"),
        ("/tempo", "/tempo/v1/traces"),
        // The URL of one signal, given as that of all.
        ("/v1/traces", "/v1/traces"),
        ("/otlp/v1/logs/", "/otlp/v1/traces"),
    ] {
        let world = World::with_endpoint("PREFREEZE_EXPORTER_OTLP_ENDPOINT", path, |script| script);
        world.invoke_well("r-1", 1);
        assert_eq!(world.collector.requests()[0].path, expected, "{path:?}");
    }
}

#[test]
fn the_endpoint_of_a_signal_is_used_as_it_is() {
    for (path, expected) in [("", "/"), ("/ingest?key=1", "/ingest?key=1"), ("/v2/", "/v2/")] {
        let world = World::with_endpoint("PREFREEZE_EXPORTER_OTLP_TRACES_ENDPOINT", path, |script| script);
        world.invoke_well("r-1", 1);
        assert_eq!(world.collector.requests()[0].path, expected, "{path:?}");
    }
}

#[test]
fn compression_can_be_turned_off() {
    let world = World::with(|script| script.env("PREFREEZE_EXPORTER_OTLP_COMPRESSION", "none"));
    world.invoke_well("r-1", 1);
    assert_eq!(world.collector.requests()[0].content_encoding(), "");
    world.span("r-1");
}

#[test]
fn requests_say_who_sends_them_and_what() {
    let world = World::start();
    world.invoke_well("r-1", 1);
    let request = &world.collector.requests()[0];
    assert_eq!(request.method, "POST");
    assert_eq!(request.headers.get("content-type"), Some("application/x-protobuf"));
    let agent = request.headers.get("user-agent").expect("a User-Agent");
    assert!(agent.to_lowercase().contains("prefreeze/"), "{agent}");
}

#[test]
fn without_an_endpoint_one_line_warns_and_the_function_runs_on() {
    let platform = Platform::ready(&Script::new());
    let world = World { platform, collector: Collector::start() };
    for (request_id, seed) in [("r-1", 1), ("r-2", 2), ("r-3", 3)] {
        world.invoke_well(request_id, seed);
    }
    let summary = world.close();
    assert_eq!(warnings(&world.platform).len(), 1, "{:?}", warnings(&world.platform));
    assert_eq!(summary.dropped_for("no_destination"), summary.count("received") + summary.count("made"));
    assert_eq!(summary.count("received"), 3);
}

#[test]
fn our_own_receiver_is_refused_as_a_backend() {
    // The same address by another name would be a loop as well.
    for host in ["127.0.0.1", "localhost"] {
        let script = Script::new();
        let endpoint = format!("http://{host}:{}", script.receiver().port());
        let platform = Platform::ready(&script.env("PREFREEZE_EXPORTER_OTLP_ENDPOINT", endpoint));
        let world = World { platform, collector: Collector::start() };
        world.invoke_well("r-1", 1);
        let summary = world.close();
        let warned = warnings(&world.platform).concat();
        assert!(warned.contains("PREFREEZE_EXPORTER_OTLP_ENDPOINT"), "{host}: {warned}");
        assert_eq!((summary.count("received"), summary.count("exported")), (1, 0), "{host}");
    }
}

#[test]
fn the_functions_own_endpoint_is_not_ours() {
    // OTEL_EXPORTER_OTLP_ENDPOINT tells the function's SDK to send to us; it is set in every test.
    let platform = Platform::ready(&Script::new().env("OTEL_EXPORTER_OTLP_HEADERS", "x-from=function"));
    platform.spin_down();
}

#[test]
fn nonsense_is_reported_by_name_and_harms_nothing() {
    let nonsense = [
        ("PREFREEZE_EXPORTER_OTLP_TIMEOUT", "soon"),
        ("PREFREEZE_EXPORTER_OTLP_COMPRESSION", "lzw"),
        ("PREFREEZE_EXPORTER_OTLP_HEADERS", "no-equals-sign-s3cr3t"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "lots"),
    ];
    let world =
        World::with(|script| nonsense.iter().fold(script, |script, (name, value)| script.env(name, *value)));
    world.invoke_well("r-1", 1);
    world.span("r-1");
    world.close();
    let warnings = warnings(&world.platform).concat();
    for (name, _) in &nonsense[..3] {
        assert!(warnings.contains(name), "{name} is not mentioned in {warnings}");
    }
    assert!(!warnings.contains("s3cr3t"), "a value that may be secret was printed: {warnings}");
}

#[test]
fn an_endpoint_that_is_no_url_harms_nothing() {
    for endpoint in ["", "not a url", "ftp://example.com", "http://", "http://127.0.0.1:99999"] {
        let platform = Platform::ready(&Script::new().env("PREFREEZE_EXPORTER_OTLP_ENDPOINT", endpoint));
        platform.spin_down();
    }
}

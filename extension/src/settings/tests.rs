//! Tables of variables and what they come to.

use super::*;

fn read(variables: &[(&str, &str)]) -> Settings {
    Settings::from_variables(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
}

fn traces_url(variables: &[(&str, &str)]) -> Option<String> {
    read(variables).destinations[0].as_ref().map(|destination| destination.url.clone())
}

const BASE: &str = "PREFREEZE_EXPORTER_OTLP_ENDPOINT";
const TRACES: &str = "PREFREEZE_EXPORTER_OTLP_TRACES_ENDPOINT";

#[test]
fn endpoints_follow_the_specification() {
    let rows = [
        (BASE, "http://c:4318", Some("http://c:4318/v1/traces")),
        (BASE, "http://c:4318/x/", Some("http://c:4318/x/v1/traces")),
        (TRACES, "https://c/x", Some("https://c/x")),
        (TRACES, "https://c", Some("https://c/")),
        (BASE, "http://c:4318/?token=abc", Some("http://c:4318/v1/traces?token=abc")),
        (BASE, "http://c:4318/x?token=abc&a=/b", Some("http://c:4318/x/v1/traces?token=abc&a=/b")),
        (BASE, "http://c:4318#part", Some("http://c:4318/v1/traces")),
        (TRACES, "https://c/x?token=abc", Some("https://c/x?token=abc")),
        (BASE, "https://user:pass@c", Some("https://user:pass@c/v1/traces")),
        (BASE, "http://[::2]:4318", Some("http://[::2]:4318/v1/traces")),
        (BASE, "http://c:99999", None),
        (BASE, "http://c:0", None),
        (BASE, "http://c:", None),
        (BASE, "http://:4318", None),
        (BASE, "http://", None),
        (BASE, "http:///v1", None),
        (BASE, "c:4318", None),
        (BASE, "ftp://c", None),
        (BASE, "", None),
    ];
    for (name, value, url) in rows {
        assert_eq!(traces_url(&[(name, value)]).as_deref(), url, "{name}={value}");
    }
    let both = [(BASE, "http://base"), (TRACES, "http://own/t")];
    assert_eq!(traces_url(&both).as_deref(), Some("http://own/t"));
    assert_eq!(read(&both).destinations[1].as_ref().map(|d| &*d.url), Some("http://base/v1/metrics"));
}

#[test]
fn our_own_address_is_no_backend() {
    for url in
        ["http://127.0.0.1:4318", "http://LocalHost.:4318/", "http://[::1]:4318", "http://0.0.0.0:4318"]
    {
        let settings = read(&[(BASE, url)]);
        assert_eq!(settings.destinations, [None, None, None], "{url}");
        assert_eq!(settings.problems.len(), 1, "said once for three signals: {:?}", settings.problems);
    }
    assert!(traces_url(&[(BASE, "http://127.0.0.1:4319")]).is_some());
    assert!(
        traces_url(&[(BASE, "http://127.0.0.1:4318"), ("PREFREEZE_RECEIVER_HTTP", "127.0.0.1:5000")])
            .is_some()
    );
}

#[test]
fn every_problem_is_named_and_the_default_holds() {
    let settings = read(&[
        ("PREFREEZE_FLUSH", "sometimes"),
        ("PREFREEZE_FLUSH_TIMEOUT_MS", "-1"),
        ("PREFREEZE_RECEIVER_HTTP", "here"),
        ("PREFREEZE_FLUHS", "end"),
        ("OTEL_RESOURCE_ATTRIBUTES", "a=1,b"),
        (BASE, "http://backend"),
        ("PREFREEZE_EXPORTER_OTLP_HEADERS", "ok=1,bad name=2"),
    ]);
    let mut names: Vec<_> = settings.problems.iter().map(|problem| problem.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(
        names,
        [
            "OTEL_RESOURCE_ATTRIBUTES",
            "PREFREEZE_EXPORTER_OTLP_HEADERS",
            "PREFREEZE_FLUHS",
            "PREFREEZE_FLUSH",
            "PREFREEZE_FLUSH_TIMEOUT_MS",
            "PREFREEZE_RECEIVER_HTTP",
        ]
    );
    assert_eq!(settings.policy.flush, FlushMode::Adaptive);
    assert_eq!(settings.receivers, read(&[]).receivers);
}

#[test]
fn each_receiver_has_its_default_and_can_be_switched_off() {
    let receivers = read(&[]).receivers;
    assert_eq!(receivers.http, Some(SocketAddr::from(([127, 0, 0, 1], 4318))));
    assert_eq!(receivers.grpc, Some(SocketAddr::from(([127, 0, 0, 1], 4317))));
    assert_eq!(receivers.socket, Some("/tmp/prefreeze.sock".into()));
    let names = ["PREFREEZE_RECEIVER_HTTP", "PREFREEZE_RECEIVER_GRPC", "PREFREEZE_RECEIVER_UDS"];
    for word in ["none", "off"] {
        let receivers = read(&names.map(|name| (name, word))).receivers;
        assert_eq!(receivers, Receivers { http: None, grpc: None, socket: None });
    }
    let settings = read(&[("TMPDIR", "/var/t"), ("PREFREEZE_RECEIVER_GRPC", "localhost:1")]);
    assert_eq!(settings.receivers.socket, Some("/var/t/prefreeze.sock".into()));
    assert_eq!(settings.receivers.grpc, Some(SocketAddr::from(([127, 0, 0, 1], 1))));
    for bad in ["relative.sock", &format!("/{}", "x".repeat(107))] {
        let settings = read(&[("PREFREEZE_RECEIVER_UDS", bad)]);
        assert_eq!(settings.problems.len(), 1);
        assert_eq!(settings.receivers.socket, Some("/tmp/prefreeze.sock".into()));
    }
}

#[test]
fn grpc_takes_scheme_host_and_port_of_its_endpoint() {
    let settings = read(&[
        (BASE, "https://otlp.example.com/"),
        ("PREFREEZE_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("PREFREEZE_EXPORTER_OTLP_METRICS_ENDPOINT", "http://metrics:4317/with/a/path"),
        ("PREFREEZE_EXPORTER_OTLP_LOGS_PROTOCOL", "http/protobuf"),
        ("PREFREEZE_EXPORTER_OTLP_LOGS_COMPRESSION", "zstd"),
    ]);
    let [traces, metrics, logs] = settings.destinations.map(|it| it.expect("each has an endpoint"));
    let method = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
    assert_eq!((traces.protocol, traces.url), (Protocol::Grpc, format!("https://otlp.example.com{method}")));
    assert!(metrics.url.starts_with("http://metrics:4317/opentelemetry.proto."), "{}", metrics.url);
    assert_eq!((logs.protocol, &logs.url[..]), (Protocol::HttpProtobuf, "https://otlp.example.com/v1/logs"));
    assert_eq!((traces.packing, logs.packing), (Packing::Gzip, Packing::Zstd));
}

#[test]
fn no_receiver_of_ours_is_a_backend() {
    let own = ["http://localhost:4318", "http://127.0.0.1:4317/x", "http://[::1]:4317"];
    for own in own {
        assert_eq!(read(&[(BASE, own)]).problems.len(), 1, "{own}");
    }
    assert_eq!(read(&[(BASE, "http://localhost:4316")]).problems, []);
}

#[test]
fn secrets_are_never_printed() {
    let settings = read(&[
        (BASE, "http://backend"),
        ("PREFREEZE_EXPORTER_OTLP_HEADERS", "x-api-key=s3cret,s3cret\n"),
        ("PREFREEZE_EXPORTER_OTLP_TRACES_HEADERS", "x-api-key=s3cret"),
    ]);
    assert!(!settings.describe().contains("s3cret"), "{}", settings.describe());
    assert!(!settings.problems.iter().any(|problem| problem.to_string().contains("s3cret")));
}

#[test]
fn the_buffer_follows_the_functions_memory_and_has_room_for_what_is_in_transit() {
    let held = |memory| read(&[("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", memory)]).policy.bounds.held_bytes >> 20;
    assert_eq!([held("128"), held("200"), held("1024")], [8, 13, 21]);
    assert_eq!(read(&[]).policy.bounds.held_bytes >> 20, 21);
}

#[test]
fn prices_that_are_known_better_replace_those_listed() {
    let text = r#"{"as_of":"2026-11-01","ingested_gb":0.1,"egress_gb":-1,"stored_days":"7","beer":3}"#;
    let settings = read(&[("PREFREEZE_PRICES", text)]);
    let prices = &settings.policy.prices;
    let listed = &read(&[]).policy.prices;
    assert_eq!((&*prices.as_of, prices.ingested_gb), ("2026-11-01", 0.1));
    assert_eq!(prices.lambda_gb_second, listed.lambda_gb_second);
    assert_eq!((prices.egress_gb, prices.stored_days), (listed.egress_gb, listed.stored_days));
    assert_eq!(settings.problems.len(), 3, "{:?}", settings.problems);
    assert_eq!(read(&[("PREFREEZE_PRICES", "cheap")]).problems.len(), 1);
    let second =
        read(&[("PREFREEZE_PRICES", r#"{"lambda_gb_second":0.00002}"#)]).policy.prices.lambda_gb_second;
    assert_eq!(second, 0.000_02, "on every architecture");
}

#[test]
fn the_reference_page_is_what_the_table_says() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/configuration.md");
    let written = std::fs::read_to_string(page).unwrap_or_default();
    assert!(
        written == reference(),
        "docs/configuration.md is out of date: prefreeze config --markdown writes it"
    );
}

#[test]
fn sampling_is_off_until_something_may_be_left_out() {
    use policy::sampling::{Ratio, Slow};

    assert!(!read(&[]).policy.sampling.is_active());
    assert!(!read(&[("PREFREEZE_SAMPLING_RULES", r#"[{"keep": true}]"#)]).policy.sampling.is_active());
    for (name, value) in [
        ("PREFREEZE_SAMPLING_RATIO", "0.01"),
        ("PREFREEZE_SAMPLING_RULES", r#"[{"match": {"name": "health"}, "drop": true}]"#),
        ("PREFREEZE_SAMPLING_XRAY", "obey"),
    ] {
        assert!(read(&[(name, value)]).policy.sampling.is_active(), "{name}");
    }
    let sampling = read(&[("PREFREEZE_SAMPLING_RATIO", "0.2")]).policy.sampling;
    assert_eq!((sampling.boost, sampling.slow), (Some(Ratio::ALL), Slow::Above(0.99)));
    let slow = |text| read(&[("PREFREEZE_SAMPLING_SLOW", text)]);
    assert_eq!(slow("1500").policy.sampling.slow, Slow::From(Duration::from_millis(1_500)));
    assert_eq!(slow("P99.9").policy.sampling.slow, Slow::Above(0.9990000000000001));
    assert_eq!(slow("off").policy.sampling.slow, Slow::Never);
    for wrong in ["p0", "p100", "-1", "fast"] {
        assert_eq!((slow(wrong).problems.len(), slow(wrong).policy.sampling.slow), (1, Slow::Above(0.99)));
    }
    assert_eq!(read(&[("PREFREEZE_SAMPLING_BOOST", "off")]).policy.sampling.boost, None);
}

#[test]
fn rules_come_from_a_variable_or_a_file_and_bad_ones_are_named() {
    let folder = std::env::temp_dir().join(format!("prefreeze-rules-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a temporary folder can be made");
    std::fs::write(folder.join("rules.json"), r#"[{"keep": true}, {"ratio": 7}, {"drop": true}]"#)
        .expect("and written to");
    let root = folder.to_str().expect("ASCII").to_owned();
    let from_file = read(&[("LAMBDA_TASK_ROOT", &root), ("PREFREEZE_SAMPLING_RULES_FILE", "rules.json")]);
    assert_eq!(from_file.policy.sampling.rules.len(), 2);
    let problem = Problem {
        name: "PREFREEZE_SAMPLING_RULES_FILE".into(),
        reason: "at [1].ratio: not a number from 0 to 1".into(),
    };
    assert_eq!(from_file.problems, [problem]);
    let both = read(&[
        ("LAMBDA_TASK_ROOT", &root),
        ("PREFREEZE_SAMPLING_RULES_FILE", "rules.json"),
        ("PREFREEZE_SAMPLING_RULES", "[]"),
    ]);
    assert_eq!((both.policy.sampling.rules.len(), both.problems.len()), (0, 1), "the inline form holds");
    let missing = read(&[("LAMBDA_TASK_ROOT", &root), ("PREFREEZE_SAMPLING_RULES_FILE", "none.json")]);
    assert_eq!((missing.policy.sampling.rules.len(), missing.problems.len()), (0, 1));
    std::fs::remove_dir_all(&folder).expect("it is ours");
}

/// The inline form holds, and the file that is not read is named: what it was to hide would leave.
#[test]
fn a_file_beside_its_inline_form_is_named() {
    for (name, text) in [("PREFREEZE_REDACT", r#"["cards"]"#), ("PREFREEZE_ATTRIBUTES", "{}")] {
        let file = format!("{name}_FILE");
        let both = read(&[(name, text), (&file, "/no/such/file")]);
        let problem = Problem { name: file.clone(), reason: format!("{name} is set too, and holds") };
        assert_eq!(both.problems, [problem]);
        assert_eq!(read(&[(name, text)]).problems, []);
    }
}

#[test]
fn an_sdk_is_expected_where_the_variables_load_or_set_up_one() {
    let register = "--require @opentelemetry/auto-instrumentations-node/register";
    let rows: [(&[(&str, &str)], bool); 10] = [
        (&[], false),
        (&[("OTEL_SERVICE_NAME", "orders")], false),
        (&[("NODE_OPTIONS", "--max-old-space-size=100")], false),
        (&[("NODE_OPTIONS", register)], true),
        (&[("NODE_OPTIONS", register), ("OTEL_SDK_DISABLED", "TRUE")], false),
        (&[("JAVA_TOOL_OPTIONS", "-javaagent:/opt/opentelemetry-javaagent.jar")], true),
        (&[("AWS_LAMBDA_EXEC_WRAPPER", "/opt/otel-instrument")], true),
        (&[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4318")], false),
        (&[("OTEL_TRACES_EXPORTER", "otlp")], true),
        (&[("OTEL_TRACES_EXPORTER", "none"), ("AWS_LAMBDA_EXEC_WRAPPER", "/opt/otel-instrument")], false),
    ];
    for (variables, expected) in rows {
        assert_eq!(read(variables).policy.expects_spans, expected, "{variables:?}");
    }
}

#[test]
fn words_of_yaml_are_taken_by_their_intent() {
    for word in ["off", "false", "No"] {
        let settings = read(&[
            (BASE, "http://c"),
            ("PREFREEZE_SPOOL", word),
            ("PREFREEZE_METRICS", word),
            ("PREFREEZE_LOGS", word),
            ("PREFREEZE_SAMPLING_RARE", word),
            ("PREFREEZE_SAMPLING_SLOW", word),
            ("PREFREEZE_RECEIVER_GRPC", word),
        ]);
        assert_eq!(settings.problems, [], "{word}");
        assert_eq!(settings.policy.spool, SpoolMode::Off, "{word}");
        assert!(!settings.policy.measuring.otlp && !settings.policy.sampling.keeps_rare, "{word}");
        assert_eq!(settings.receivers.grpc, None, "{word}");
    }
    assert!(read(&[("PREFREEZE_SAMPLING_RARE", "true")]).policy.sampling.keeps_rare);
    assert_eq!(read(&[("PREFREEZE_FLUSH", "false")]).problems.len(), 1, "it cannot be switched off");
}

#[test]
fn a_time_out_in_seconds_by_habit_is_named_and_not_taken() {
    const NAME: &str = "PREFREEZE_EXPORTER_OTLP_TIMEOUT";
    for (value, millis, problems) in
        [("10", 10_000, 1), ("49", 10_000, 1), ("50", 50, 0), ("0", 900_000, 0), ("3000", 3_000, 0)]
    {
        let settings = read(&[(NAME, value), (BASE, "http://c")]);
        assert_eq!(settings.policy.export_timeouts, [Duration::from_millis(millis); 3], "{value}");
        assert_eq!(settings.problems.len(), problems, "{value}: {:?}", settings.problems);
    }
}

#[test]
fn certificates_lie_in_the_package_like_other_files() {
    let tls = |path: &str| {
        let settings = read(&[
            (BASE, "https://c"),
            ("LAMBDA_TASK_ROOT", "/package"),
            ("PREFREEZE_EXPORTER_OTLP_CERTIFICATE", path),
            ("PREFREEZE_EXPORTER_OTLP_CLIENT_KEY", path),
        ]);
        settings.destinations.into_iter().flatten().next().expect("there is one").tls
    };
    for (path, expected) in [("ca.pem", "/package/ca.pem"), ("/opt/ca.pem", "/opt/ca.pem")] {
        let tls = tls(path);
        assert_eq!(tls.certificate.as_deref(), Some(expected));
        assert_eq!(tls.client_key.as_deref(), Some(expected));
    }
}

#[test]
fn nothing_secret_of_a_url_is_described() {
    let settings =
        read(&[(BASE, "https://user:s3cret@c:4318/x?token=t0ken"), (TRACES, "https://c/?key=t0ken")]);
    let text = settings.describe();
    assert!(!text.contains("s3cret") && !text.contains("t0ken"), "{text}");
    assert!(text.contains("https://…@c:4318/x?…") && text.contains("https://…@c:4318/x/v1/logs?…"), "{text}");
}

#[test]
fn an_sdk_that_sends_past_us_is_named() {
    let rows = [
        ("http://127.0.0.1:4318", 0),
        ("http://localhost:4317", 0),
        ("http://localhost:4318/v1/traces", 0),
        ("https://otlp.example.com:4318", 1),
        ("http://127.0.0.1:9999", 1),
        ("http://localhost", 1),
        ("https://localhost:4317", 1),
        ("https://127.0.0.1:4318", 1),
        ("localhost:4317", 1),
        ("127.0.0.1:4318", 1),
        ("", 0),
    ];
    for (value, hints) in rows {
        for name in ["OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"] {
            let settings = read(&[(name, value), (BASE, "http://c")]);
            assert_eq!(settings.hints.len(), hints, "{value}: {:?}", settings.hints);
            assert_eq!(settings.is_well(), hints == 0, "{value}");
        }
    }
    let moved = read(&[
        ("PREFREEZE_RECEIVER_HTTP", "127.0.0.1:9999"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9999"),
    ]);
    assert_eq!(moved.hints, []);
    assert!(!read(&[]).is_well(), "nothing goes anywhere");
    // It is switched off, or has the Unix socket alone.
    let elsewhere = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9999");
    let off = [("PREFREEZE_RECEIVER_HTTP", "none"), ("PREFREEZE_RECEIVER_GRPC", "none")];
    for others in [&[("OTEL_SDK_DISABLED", "true")][..], &[("OTEL_TRACES_EXPORTER", "none")], &off] {
        assert_eq!(read(&[others, &[elsewhere]].concat()).hints, [], "{others:?}");
    }
    let insecure =
        [("OTEL_EXPORTER_OTLP_ENDPOINT", "localhost:4317"), ("OTEL_EXPORTER_OTLP_INSECURE", "true")];
    assert_eq!(read(&insecure).hints, []);
    for (exporter, hints) in [("otlp", 0), ("otlp,console", 0), ("zipkin", 1), ("otlp,jaeger", 1)] {
        assert_eq!(read(&[("OTEL_TRACES_EXPORTER", exporter)]).hints.len(), hints, "{exporter}");
    }
}

/// The endpoint of one signal is sent to as it is; gRPC has no paths.
#[test]
fn an_endpoint_of_a_signal_without_its_path_is_hinted_at() {
    let rows = [
        ("http/protobuf", "http://127.0.0.1:4318", 1),
        ("http/json", "http://127.0.0.1:4318/", 1),
        ("http/protobuf", "http://127.0.0.1:4318/v1/metrics", 1),
        ("http/protobuf", "http://127.0.0.1:4318/v1/traces", 0),
        ("http/protobuf", "http://127.0.0.1:4318/v1/traces/", 0),
        ("grpc", "http://127.0.0.1:4317", 0),
        ("", "http://127.0.0.1:4318", 0),
    ];
    for (protocol, endpoint, hints) in rows {
        for name in ["OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"] {
            let settings = read(&[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", endpoint), (name, protocol)]);
            assert_eq!(settings.hints.len(), hints, "{protocol} {endpoint}: {:?}", settings.hints);
        }
    }
}

#[test]
fn a_proxy_that_hides_us_from_the_sdk_is_hinted_at() {
    let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318");
    let proxy = ("HTTP_PROXY", "http://proxy:3128");
    assert_eq!(read(&[endpoint, proxy]).hints.len(), 1);
    assert_eq!(read(&[endpoint, ("ALL_PROXY", "http://proxy:3128")]).hints.len(), 1);
    assert_eq!(read(&[endpoint, ("HTTPS_PROXY", "http://proxy:3128")]).hints, []);
    assert_eq!(read(&[endpoint, proxy, ("NO_PROXY", "localhost,127.0.0.1")]).hints, []);
    assert_eq!(read(&[proxy]).hints, [], "nothing says that there is an SDK");
}

#[test]
fn a_proxy_that_cannot_be_used_is_named() {
    let rows = [
        ("HTTPS_PROXY", "http://proxy:3128", 0),
        ("HTTPS_PROXY", "proxy:3128", 0),
        ("HTTPS_PROXY", "proxy", 0),
        ("https_proxy", "HTTP://user:pass@proxy:3128/", 0),
        ("HTTPS_PROXY", "https://[::1]:3128", 0),
        ("HTTPS_PROXY", "http://proxy:port", 1),
        ("HTTPS_PROXY", "::::", 1),
        ("ALL_PROXY", "http://", 1),
        ("ALL_PROXY", "socks5://proxy:1080", 1),
        ("HTTP_PROXY", "::::", 0),
    ];
    for (name, value, problems) in rows {
        let settings = read(&[(BASE, "https://backend"), (name, value)]);
        assert_eq!(settings.problems.len(), problems, "{name}={value}: {:?}", settings.problems);
        let to = settings.destinations[0].as_ref().expect("it goes somewhere");
        assert!(problems == 0 || to.proxy.is_none(), "{name}={value}");
    }
}

#[test]
fn small_mistakes_are_named_or_meant_well() {
    let one = |name, value| read(&[(BASE, "https://backend"), (name, value)]).problems;
    for (name, value) in [
        ("prefreeze_flush", "end"),
        ("Prefreeze_Flush", "end"),
        ("PREFREEZE_RECEIVER_HTTP", "127.0.0.1:0"),
        ("PREFREEZE_EXPORTER_OTLP_CLIENT_CERTIFICATE", "client.pem"),
        ("PREFREEZE_EXPORTER_OTLP_TRACES_CLIENT_KEY", "key.pem"),
    ] {
        let problems = one(name, value);
        assert_eq!(problems.len(), 1, "{name}={value}: {problems:?}");
        assert_eq!(problems[0].name, name);
    }
    for url in ["\"https://backend\"", "'https://backend'"] {
        assert_eq!(traces_url(&[(BASE, url)]).as_deref(), Some("https://backend/v1/traces"));
    }
}

/// `content-length` in the headers would cut each request short, and the rest of it would be the next one.
#[test]
fn headers_that_frame_a_request_are_ours() {
    let rows = [
        ("content-length=5", 1),
        ("Transfer-Encoding=chunked", 1),
        ("content-encoding=gzip", 1),
        ("Content-Type=application/json", 1),
        ("Content-Type=application/x-protobuf", 0),
        ("Expect=100-continue", 1),
    ];
    for (member, problems) in rows {
        let variables = [(BASE, "http://c"), ("PREFREEZE_EXPORTER_OTLP_HEADERS", &format!("a=1,{member}"))];
        let settings = read(&variables);
        assert_eq!(settings.problems.len(), problems, "{member}: {:?}", settings.problems);
        let to = settings.destinations[0].as_ref().expect("it goes somewhere");
        assert_eq!(to.headers, [("a".to_owned(), "1".to_owned())], "{member}");
    }
}

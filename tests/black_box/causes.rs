//! Why requests fail: each mistake that people make, and each fault of a network, is named in the log by its cause.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Mutex;
use std::thread;

use prost::Message;
use serde_json::Value;
use tests::collector::{Answer, Collector, Reply};
use tests::otlp::{Ids, traces};
use tests::platform::{Invoke, Platform, Reason, Script};
use tests::tls::TlsBackend;

use super::world::{LONG, protobuf, server_span};

/// What a test keeps alive while the extension talks to it.
type Kept = Box<dyn Send>;

/// One way in which exporting goes wrong.
struct Case {
    name: &'static str,
    /// Sets up the other end; gives back what must live on, and the settings.
    world: fn(Script) -> (Kept, Script),
    /// The value of `cause`.
    cause: &'static str,
    /// The value of `status`, where there was an answer.
    status: Option<u16>,
}

const fn case(
    name: &'static str,
    cause: &'static str,
    status: Option<u16>,
    world: fn(Script) -> (Kept, Script),
) -> Case {
    Case { name, world, cause, status }
}

const ENDPOINT: &str = "PREFREEZE_EXPORTER_OTLP_ENDPOINT";
const PROTOCOL: &str = "PREFREEZE_EXPORTER_OTLP_PROTOCOL";

/// Says these words to whoever has said something and ends the connection where `is_brief`; its port.
fn parrot(words: &'static [u8], is_brief: bool) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let port = listener.local_addr().expect("a bound port").port();
    thread::spawn(move || {
        let mut kept = Vec::new();
        for mut stream in listener.incoming().map_while(Result::ok) {
            // A client that breaks off is no matter.
            let _ = stream.read(&mut [0; 4096]).and_then(|_| stream.write_all(words));
            if !is_brief {
                kept.push(stream);
            }
        }
    });
    port
}

fn none() -> Kept {
    Box::new(())
}

/// A backend that answers everything so.
fn answering(script: Script, answer: Answer) -> (Kept, Script) {
    let collector = Collector::start();
    collector.always(answer);
    let script = script.env(ENDPOINT, collector.endpoint());
    (Box::new(collector), script)
}

fn over_tls(script: Script, words: &'static [u8]) -> (Kept, Script) {
    (none(), script.env(ENDPOINT, format!("https://localhost:{}", parrot(words, false))))
}

const CASES: [Case; 40] = [
    case("a name that is not there", "name_not_found", None, |script| {
        (none(), script.env(ENDPOINT, "http://backend.invalid:4318"))
    }),
    case("a port on which nothing listens", "connection_refused", None, |script| {
        let port = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
        let port = port.expect("a free port").port();
        (none(), script.env(ENDPOINT, format!("http://127.0.0.1:{port}")))
    }),
    case("a server that accepts and is silent", "no_answer", None, |script| {
        (none(), script.env(ENDPOINT, format!("http://127.0.0.1:{}", parrot(b"", false))))
    }),
    case("a handshake that stalls", "no_connection", None, |script| over_tls(script, b"")),
    case("a server that closes each connection", "connection_closed", None, |script| {
        (none(), script.env(ENDPOINT, format!("http://127.0.0.1:{}", parrot(b"", true))))
    }),
    case("an unknown authority", "tls_unknown_issuer", None, |script| {
        let backend = TlsBackend::start(false);
        let script = script.env(ENDPOINT, backend.endpoint());
        (Box::new(backend), script)
    }),
    case("a certificate of another name", "tls_wrong_name", None, |script| {
        let backend = TlsBackend::start(false);
        let script = backend.trusted_by(script).env(ENDPOINT, backend.endpoint_by_address());
        (Box::new(backend), script)
    }),
    case("an expired certificate", "tls_expired", None, |script| {
        let backend = TlsBackend::start_expired();
        let script = backend.trusted_by(script);
        (Box::new(backend), script)
    }),
    case("no client certificate where one is required", "tls_client_certificate", None, |script| {
        let backend = TlsBackend::start(true);
        let script = backend.trusted_by(script);
        (Box::new(backend), script)
    }),
    case("no cipher suite in common", "tls_nothing_in_common", None, |script| {
        over_tls(script, &[0x15, 3, 3, 0, 2, 2, 40])
    }),
    case("https:// to a port without TLS", "tls_not_spoken", None, |script| {
        over_tls(script, b"HTTP/1.1 400 Bad Request\r\n\r\n")
    }),
    case("http:// to a port with TLS", "not_http", None, |script| {
        let words = &[0x15, 3, 3, 0, 2, 2, 70];
        (none(), script.env(ENDPOINT, format!("http://127.0.0.1:{}", parrot(words, true))))
    }),
    case("http/protobuf to a port for gRPC", "not_http", None, |script| {
        // SETTINGS, as a server of HTTP/2 begins.
        let words = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
        (none(), script.env(ENDPOINT, format!("http://127.0.0.1:{}", parrot(words, true))))
    }),
    case("gRPC to a port for http/protobuf", "not_http2", None, |script| {
        let (kept, script) = answering(script, Answer::ok());
        (kept, script.env(PROTOCOL, "grpc"))
    }),
    case("a proxy that wants a password", "proxy_authentication", None, |script| {
        let words = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n";
        let proxy = format!("http://127.0.0.1:{}", parrot(words, false));
        (none(), script.env(ENDPOINT, "https://backend.invalid").env("HTTPS_PROXY", proxy))
    }),
    case("a proxy that refuses", "proxy_failed", None, |script| {
        let proxy = format!(
            "http://127.0.0.1:{}",
            parrot(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", false)
        );
        (none(), script.env(ENDPOINT, "https://backend.invalid").env("HTTPS_PROXY", proxy))
    }),
    case("a quota", "throttled", Some(429), |script| answering(script, Answer::status(429))),
    case("an outage", "unavailable", Some(503), |script| answering(script, Answer::status(503))),
    case("a key that is wrong", "unauthorized", Some(401), |script| answering(script, Answer::status(401))),
    case("a key that may not", "forbidden", Some(403), |script| answering(script, Answer::status(403))),
    case("a path that is wrong", "not_found", Some(404), |script| answering(script, Answer::status(404))),
    case("a method that is wrong", "wrong_method", Some(405), |script| {
        answering(script, Answer::status(405))
    }),
    case("no protobuf there", "unsupported_type", Some(415), |script| answering(script, Answer::status(415))),
    case("a request that is invalid", "bad_request", Some(400), |script| {
        answering(script, Answer::status(400))
    }),
    case("a store that accepts no deltas", "wrong_temporality", Some(500), |script| {
        let words = "invalid temporality and type combination for metric \"faas.invocations\"";
        answering(script, Answer::Reply(Reply::new(500).body(words)))
    }),
    case("a store that accepts points in their order", "out_of_order", Some(400), |script| {
        answering(script, Answer::Reply(Reply::new(400).body("out of order sample\n")))
    }),
    case("a store that has such a point", "out_of_order", Some(400), |script| {
        answering(script, Answer::Reply(Reply::new(400).body("Duplicate sample for timestamp 17; …")))
    }),
    case("a bug of the backend", "server_error", Some(500), |script| answering(script, Answer::status(500))),
    case("another refusal", "refused", Some(418), |script| answering(script, Answer::status(418))),
    case("another URL", "redirected", Some(308), |script| {
        answering(script, Answer::Reply(Reply::new(308).header("Location", "/elsewhere")))
    }),
    case("a login page", "not_otlp", Some(200), |script| {
        let page = Reply::new(200).header("Content-Type", "text/html; charset=utf-8").body("<html>Log in");
        answering(script, Answer::Reply(page))
    }),
    case("markup under another name", "not_otlp", Some(200), |script| {
        let page = Reply::new(200).header("Content-Type", "text/plain").body("<?xml version=\"1.0\"?><html>");
        answering(script, Answer::Reply(page))
    }),
    case("a network that wants a login", "not_otlp", Some(511), |script| {
        answering(script, Answer::status(511))
    }),
    case("a gateway whose function has failed", "error_in_success", Some(200), |script| {
        let body = r#"{"errorMessage":"x","errorType":"Error"}"#;
        answering(
            script,
            Answer::Reply(Reply::new(200).header("Content-Type", "application/json").body(body)),
        )
    }),
    case("http:// to a port with TLS that answers", "tls_expected", Some(400), |script| {
        let words = "Client sent an HTTP request to an HTTPS server.\n";
        answering(script, Answer::Reply(Reply::new(400).body(words)))
    }),
    case("an address that nobody reaches behind Cloudflare", "unavailable", Some(521), |script| {
        answering(script, Answer::status(521))
    }),
    case("a proxy that answers 407 itself", "proxy_authentication", Some(407), |script| {
        answering(script, Answer::status(407))
    }),
    case("a proxy for plain HTTP on which nothing listens", "proxy_failed", None, |script| {
        let port = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
        let proxy = format!("http://127.0.0.1:{}", port.expect("a free port").port());
        (none(), script.env(ENDPOINT, "http://backend.invalid").env("HTTP_PROXY", proxy))
    }),
    case("a balancer before a gRPC backend", "unavailable", Some(503), |script| {
        let words = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";
        (none(), script.env(ENDPOINT, format!("http://127.0.0.1:{}", parrot(words, true))))
    }),
    case("a proxy on which nothing listens", "proxy_failed", None, |script| {
        let port = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
        let proxy = format!("http://127.0.0.1:{}", port.expect("a free port").port());
        (none(), script.env(ENDPOINT, "https://backend.invalid").env("HTTPS_PROXY", proxy))
    }),
];

/// Up to three invocations meet what `case` sets up, and the end. Gives back the first line that names a cause.
fn line_about(case: &Case) -> Value {
    let (_kept, script) = (case.world)(Script::new());
    let platform = Platform::ready(&script.env("PREFREEZE_FLUSH_TIMEOUT_MS", "300"));
    for (seed, request_id) in [(1, "r-1"), (2, "r-2"), (3, "r-3")] {
        platform.answer_next(&Invoke::new(request_id, LONG));
        let request = traces([server_span(request_id, Ids::new(seed), request_id)]);
        assert_eq!(platform.post_otlp("/v1/traces", &request.encode_to_vec(), &protobuf()).status, 200);
        platform.wait_next();
    }
    platform.shutdown(Reason::Spindown, std::time::Duration::from_millis(500));
    platform.wait_exit();
    let events = ["export_failed", "export_rejected", "export_refused"];
    let lines = events.map(|event| platform.log(event)).concat();
    let of_a_cause = lines.iter().filter(|line| line["cause"] == case.cause).count();
    assert_eq!(of_a_cause, 1, "{}: one line for each cause: {lines:?}", case.name);
    lines.into_iter().next().expect("there is one")
}

#[test]
fn each_cause_is_named_with_its_host_and_status_the_first_time() {
    let said = Mutex::new(Vec::new());
    // Side by side: most of each is waiting.
    for cases in CASES.chunks(6) {
        thread::scope(|scope| {
            for case in cases {
                let said = &said;
                scope.spawn(move || {
                    let line = line_about(case);
                    assert_eq!(line["cause"], case.cause, "{}: {line}", case.name);
                    assert_eq!(
                        line["status"],
                        case.status.map_or(Value::Null, Value::from),
                        "{}: {line}",
                        case.name
                    );
                    assert!(
                        line["host"].as_str().is_some_and(|host| host.contains(':')),
                        "{}: {line}",
                        case.name
                    );
                    said.lock().expect("no panic").push((case.name, line));
                });
            }
        });
    }
    for (name, line) in said.into_inner().expect("no panic") {
        println!("{name}: {line}");
    }
}

/// A redirect is named by its host: what is behind it may be a secret.
#[test]
fn where_a_redirect_leads_is_told_as_far_as_it_is_no_secret() {
    let rows = [
        ("https://u:pw@login.example.com:8443/x?token=SECRET", "to https://login.example.com:8443".into()),
        ("https://backend/v1/traces", "to https://backend".into()),
        ("/elsewhere/SECRET", Value::Null),
        ("nonsense SECRET", Value::Null),
    ];
    for (location, expected) in rows {
        let collector = Collector::start();
        collector.always(Answer::Reply(Reply::new(301).header("Location", location)));
        let platform = Platform::ready(&Script::new().env(ENDPOINT, collector.endpoint()));
        platform.answer_next(&Invoke::new("r-1", LONG));
        let request = traces([server_span("r-1", Ids::new(1), "r-1")]);
        assert_eq!(platform.post_otlp("/v1/traces", &request.encode_to_vec(), &protobuf()).status, 200);
        platform.wait_next();
        platform.spin_down();
        let lines = platform.log("export_rejected");
        assert_eq!((lines.len(), &lines[0]["error"]), (1, &expected), "{location}: {lines:?}");
        assert!(!format!("{lines:?}").contains("SECRET"), "{lines:?}");
    }
}

/// One invocation, and no other: what never answered anything is named at the end, if not before.
#[test]
fn a_backend_that_never_answers_is_named_after_a_single_invocation() {
    for (endpoint, cause) in [("http", "no_answer"), ("https", "no_connection")] {
        let endpoint = format!("{endpoint}://localhost:{}", parrot(b"", false));
        let platform = Platform::ready(&Script::new().env(ENDPOINT, endpoint));
        platform.answer_next(&Invoke::new("r-1", LONG));
        let request = traces([server_span("r-1", Ids::new(1), "r-1")]);
        assert_eq!(platform.post_otlp("/v1/traces", &request.encode_to_vec(), &protobuf()).status, 200);
        platform.wait_next();
        platform.shutdown(Reason::Spindown, std::time::Duration::from_millis(300));
        platform.wait_exit();
        let lines = platform.log("export_failed");
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert_eq!(lines[0]["cause"], cause, "{lines:?}");
    }
}

/// A connection that idled through a freeze is closed by many backends: nobody wants a warning for it.
#[test]
fn one_connection_that_was_closed_between_is_no_news() {
    let collector = Collector::start();
    let platform = Platform::ready(&Script::new().env(ENDPOINT, collector.endpoint()));
    for (seed, request_id) in [(1, "r-1"), (2, "r-2"), (3, "r-3")] {
        platform.answer_next(&Invoke::new(request_id, LONG));
        let request = traces([server_span(request_id, Ids::new(seed), request_id)]);
        assert_eq!(platform.post_otlp("/v1/traces", &request.encode_to_vec(), &protobuf()).status, 200);
        platform.wait_next();
        collector.stop();
        collector.resume();
    }
    platform.spin_down();
    assert_eq!(platform.log("export_failed"), Vec::<Value>::new());
}

/// What `prefreeze doctor` says, and its exit code.
fn doctor(script: &Script, arguments: &[&str]) -> (String, Option<i32>) {
    let output = script.run(&[&["doctor"], arguments].concat());
    (String::from_utf8(output.stdout).expect("text"), output.status.code())
}

#[test]
fn the_doctor_names_each_cause() {
    for cases in CASES.chunks(6) {
        thread::scope(|scope| {
            for case in cases {
                scope.spawn(move || {
                    let (_kept, script) = (case.world)(Script::new());
                    let (text, code) = doctor(&script, &[]);
                    let lines =
                        text.lines().filter(|line| line.contains(&format!(": {}", case.cause))).count();
                    assert_eq!((lines, code), (3, Some(1)), "{}, once for each signal: {text}", case.name);
                });
            }
        });
    }
}

#[test]
fn the_doctor_names_what_is_wrong_with_settings() {
    let collector = Collector::start();
    let good = || Script::new().env(ENDPOINT, collector.endpoint());
    let (text, code) = doctor(&good(), &[]);
    assert_eq!((text.matches("well, an empty request").count(), code), (3, Some(0)), "{text}");
    let rows = [
        ("PREFREEZE_FLUSH", "sometimes", "PREFREEZE_FLUSH: not one of"),
        ("PREFREEZE_FLUHS", "end", "PREFREEZE_FLUHS: no such setting"),
        ("PREFREEZE_EXPORTER_OTLP_TIMEOUT", "10", "the unit is milliseconds"),
        ("PREFREEZE_EXPORTER_OTLP_HEADERS", "bad name=2", "is not a valid header"),
        ("PREFREEZE_EXPORTER_OTLP_TRACES_ENDPOINT", "http://c:99999", "not a number from 1 to 65535"),
        ("PREFREEZE_EXPORTER_OTLP_TRACES_ENDPOINT", "collector:4318", "not an http:// or https:// URL"),
        ("PREFREEZE_ALLOWED_HOSTS", "example.com", "not allowed: "),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://otlp.example.com", "past Prefreeze"),
        ("OTEL_RESOURCE_ATTRIBUTES", "a", "all of it is discarded"),
        ("PREFREEZE_SAMPLING_RULES_FILE", "none.json", "the file cannot be read"),
        ("PREFREEZE_SPOOL_DIR", "/proc/prefreeze", "cannot be written"),
        ("PREFREEZE_EXPORTER_OTLP_CERTIFICATE", "/none.pem", "the file holds no readable certificate"),
        ("PREFREEZE_EXPORTER_OTLP_CLIENT_KEY", "/none.pem", "the file holds no readable key"),
        ("PREFREEZE_EXPORTER_OTLP_CLIENT_CERTIFICATE", "/none.pem", "of no use without"),
        ("prefreeze_flush", "end", "in capitals"),
    ];
    for (name, value, said) in rows {
        let (text, code) = doctor(&good().env(name, value), &[]);
        assert!(text.contains(said), "{name}={value}: {text}");
        assert_eq!(code, Some(1), "{name}={value}: {text}");
    }
    let (text, code) = doctor(&Script::new(), &[]);
    assert_eq!((text.matches("go nowhere").count(), code), (3, Some(1)), "{text}");
}

#[test]
fn the_doctor_reads_variables_from_a_file() {
    let collector = Collector::start();
    let script = Script::new();
    let path = script.scratch().join("function.env");
    let path = path.to_str().expect("ASCII");
    let file = format!("# of the function\nexport {ENDPOINT}=\"{}\"\n\n", collector.endpoint());
    std::fs::write(path, file).expect("the folder can be written");
    let (text, code) = doctor(&script, &["--env-file", path]);
    assert_eq!((text.matches("well, an empty request").count(), code), (3, Some(0)), "{text}");
    for arguments in [&["--env-file"][..], &["--env-file", "/none"], &["--fast"]] {
        assert_eq!(doctor(&script, arguments).1, Some(2), "{arguments:?}");
    }
}

/// The backend need not ask for it today: "everything is well" would last until it does.
#[test]
fn the_doctor_names_a_key_of_another_certificate() {
    let (collector, one, other) = (Collector::start(), TlsBackend::start(false), TlsBackend::start(false));
    let script = Script::new();
    let path = |name: &str| script.scratch().join(name);
    one.write_client(&path("certificate.pem"), &path("key.pem"));
    other.write_client(&path("other.pem"), &path("other-key.pem"));
    for (key, said, code) in
        [("key.pem", "everything is well", 0), ("other-key.pem", "do not go together", 1)]
    {
        let variables = [
            (ENDPOINT, collector.endpoint()),
            ("PREFREEZE_EXPORTER_OTLP_CLIENT_CERTIFICATE", path("certificate.pem").display().to_string()),
            ("PREFREEZE_EXPORTER_OTLP_CLIENT_KEY", path(key).display().to_string()),
        ];
        let file = variables.map(|(name, value)| format!("{name}={value}\n")).concat();
        std::fs::write(path("function.env"), file).expect("the folder can be written");
        let (text, exit) = doctor(&script, &["--env-file", &path("function.env").display().to_string()]);
        assert!(text.contains(said), "{key}: {text}");
        assert_eq!(exit, Some(code), "{key}: {text}");
    }
}

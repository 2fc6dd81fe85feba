//! A backend behind TLS: trusted by the file that the settings name, and not otherwise.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant};

use tests::otlp::{Ids, traces};
use tests::platform::{Platform, Script};
use tests::tls::TlsBackend;

use super::world::{protobuf, server_span};
use prost::Message;

/// An extension that exports to `endpoint`, with whatever else `shape` says.
fn ready(endpoint: String, shape: impl FnOnce(Script) -> Script) -> Platform {
    Platform::ready(&shape(Script::new().env("PREFREEZE_EXPORTER_OTLP_ENDPOINT", endpoint)))
}

/// An invocation that sends one span, up to the next `/next`.
fn invoke(platform: &Platform) {
    platform.answer_next(&tests::platform::Invoke::new("r-1", super::world::LONG));
    let request = traces([server_span("r-1", Ids::new(1), "r-1")]);
    assert_eq!(platform.post_otlp("/v1/traces", &request.encode_to_vec(), &protobuf()).status, 200);
    platform.wait_next();
}

fn summary(platform: &Platform) -> serde_json::Value {
    platform.spin_down();
    platform.log("summary").remove(0)
}

#[test]
fn a_backend_is_trusted_by_the_certificate_file() {
    let backend = TlsBackend::start(false);
    let platform = Platform::ready(&backend.trusted_by(Script::new()));
    invoke(&platform);
    assert_eq!(backend.bodies().len(), 1, "before /next");
    assert_eq!(summary(&platform)["exported"], 1);
}

#[test]
fn a_client_shows_its_own_certificate_where_one_is_wanted() {
    let backend = TlsBackend::start(true);
    let script = backend.trusted_by(Script::new());
    let (certificate, key) = (script.scratch().join("client.pem"), script.scratch().join("client.key"));
    backend.write_client(&certificate, &key);
    let platform = Platform::ready(
        &script
            .env("PREFREEZE_EXPORTER_OTLP_CLIENT_CERTIFICATE", certificate.to_string_lossy())
            .env("PREFREEZE_EXPORTER_OTLP_CLIENT_KEY", key.to_string_lossy()),
    );
    invoke(&platform);
    assert_eq!(summary(&platform)["exported"], 1);
}

#[test]
fn a_backend_of_an_unknown_authority_gets_nothing_and_stops_nobody() {
    let backend = TlsBackend::start(false);
    let platform = ready(backend.endpoint(), |script| script);
    invoke(&platform);
    let summary = summary(&platform);
    assert_eq!((&summary["exported"], &summary["held"]), (&0.into(), &1.into()), "{summary}");
    assert!(backend.bodies().is_empty());
}

#[test]
fn a_backend_under_another_name_gets_nothing() {
    let backend = TlsBackend::start(false);
    let script = backend.trusted_by(Script::new());
    let elsewhere = backend.endpoint_by_address();
    let platform = Platform::ready(&script.env("PREFREEZE_EXPORTER_OTLP_ENDPOINT", elsewhere));
    invoke(&platform);
    assert_eq!(summary(&platform)["exported"], 0);
    assert!(backend.bodies().is_empty());
}

#[test]
fn a_certificate_that_has_expired_gets_nothing() {
    let backend = TlsBackend::start_expired();
    let platform = Platform::ready(&backend.trusted_by(Script::new()));
    invoke(&platform);
    let summary = summary(&platform);
    assert_eq!((&summary["exported"], &summary["held"]), (&0.into(), &1.into()), "{summary}");
    assert!(backend.bodies().is_empty());
}

/// curl, Python, Node and Go take one, where it is the certificate that they were told to trust.
#[test]
fn a_certificate_that_signs_itself_is_trusted_where_it_is_named_and_only_there() {
    // Whether it is named, whether it has expired, whether it is met under its own name, and what is delivered.
    let rows =
        [(true, false, true, 1), (true, true, true, 0), (true, false, false, 0), (false, false, true, 0)];
    for (is_named, is_expired, is_own_name, delivered) in rows {
        let backend = TlsBackend::start_self_signed(is_expired);
        let script = if is_named { backend.trusted_by(Script::new()) } else { Script::new() };
        let endpoint = if is_own_name { backend.endpoint() } else { backend.endpoint_by_address() };
        let platform = Platform::ready(&script.env("PREFREEZE_EXPORTER_OTLP_ENDPOINT", endpoint));
        invoke(&platform);
        let what = format!("named {is_named}, expired {is_expired}, own name {is_own_name}");
        assert_eq!(summary(&platform)["exported"], delivered, "{what}");
        assert_eq!(backend.bodies().len(), delivered, "{what}");
    }
}

/// Says these bytes to whoever has said something, and nothing more; its port. It ends with the process of the test.
fn parrot(words: Vec<u8>) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let port = listener.local_addr().expect("a bound port").port();
    thread::spawn(move || {
        let mut kept = Vec::new();
        for mut stream in listener.incoming().map_while(Result::ok) {
            // A client that breaks off is no matter.
            let _ = stream.read(&mut [0; 4096]).and_then(|_| stream.write_all(&words));
            kept.push(stream);
        }
    });
    port
}

/// With a backend that says this in the handshake, an invocation ends in time and its span is kept.
#[track_caller]
fn assert_held_for_the_ceiling_at_most(what: &str, words: Vec<u8>) {
    let platform = ready(format!("https://localhost:{}", parrot(words)), |script| script);
    let began = Instant::now();
    invoke(&platform);
    assert!(began.elapsed() < Duration::from_secs(3), "{what}: {:?}", began.elapsed());
    let summary = summary(&platform);
    assert_eq!((&summary["exported"], &summary["held"]), (&0.into(), &1.into()), "{what}: {summary}");
}

#[test]
fn a_handshake_that_goes_wrong_costs_no_more_than_the_ceiling() {
    // Alerts as RFC 8446 §6.2 numbers them, and the hello of a server that knows TLS 1.0 and nothing newer.
    let alert = |description: u8| vec![0x15, 3, 3, 0, 2, 2, description];
    let hello = [&[0x16, 3, 1, 0, 42, 2, 0, 0, 38, 3, 1][..], &[7; 32], &[0, 0x00, 0x2f, 0]].concat();
    let words = [
        ("protocol_version", alert(70)),
        ("unrecognized_name: another server lives under this name", alert(112)),
        ("handshake_failure", alert(40)),
        ("TLS 1.0 alone", hello),
        ("half a record", vec![0x16, 3, 3, 0x40, 0, 2]),
        ("nothing: it stalls", Vec::new()),
        ("no TLS", b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()),
    ];
    // Side by side: most of each is waiting.
    thread::scope(|scope| {
        for (what, words) in words {
            scope.spawn(move || assert_held_for_the_ceiling_at_most(what, words));
        }
    });
}

#[test]
fn a_certificate_file_that_is_none_costs_one_line() {
    let backend = TlsBackend::start(false);
    let platform = ready(backend.endpoint(), |script| {
        script.env("PREFREEZE_EXPORTER_OTLP_CERTIFICATE", "/no/such/file.pem")
    });
    invoke(&platform);
    assert_eq!(summary(&platform)["received"], 1);
    assert_eq!(platform.log("certificate_unusable").len(), 1);
}

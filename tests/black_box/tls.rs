//! A backend behind TLS: trusted by the file that the settings name, and not otherwise.

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
    let script = Script::new();
    let authority = script.scratch().join("authority.pem");
    backend.write_authority(&authority);
    let platform = ready(backend.endpoint(), |script| {
        script.env("PREFREEZE_EXPORTER_OTLP_CERTIFICATE", authority.to_string_lossy())
    });
    invoke(&platform);
    assert_eq!(backend.bodies().len(), 1, "before /next");
    assert_eq!(summary(&platform)["exported"], 1);
}

#[test]
fn a_client_shows_its_own_certificate_where_one_is_wanted() {
    let backend = TlsBackend::start(true);
    let script = Script::new();
    let file = |name: &str| script.scratch().join(name);
    let (authority, certificate, key) = (file("authority.pem"), file("client.pem"), file("client.key"));
    backend.write_authority(&authority);
    backend.write_client(&certificate, &key);
    let platform = ready(backend.endpoint(), |script| {
        script
            .env("PREFREEZE_EXPORTER_OTLP_CERTIFICATE", authority.to_string_lossy())
            .env("PREFREEZE_EXPORTER_OTLP_CLIENT_CERTIFICATE", certificate.to_string_lossy())
            .env("PREFREEZE_EXPORTER_OTLP_CLIENT_KEY", key.to_string_lossy())
    });
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
    let script = Script::new();
    let authority = script.scratch().join("authority.pem");
    backend.write_authority(&authority);
    let platform = ready(backend.endpoint_by_address(), |script| {
        script.env("PREFREEZE_EXPORTER_OTLP_CERTIFICATE", authority.to_string_lossy())
    });
    invoke(&platform);
    assert_eq!(summary(&platform)["exported"], 0);
    assert!(backend.bodies().is_empty());
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

//! Whom a backend must be signed by, and who we say that we are: the TLS settings of its connections.

mod pinned;

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::log;
use crate::settings::TlsFiles;

/// Reads the files. What cannot be read is said, and left out. Clones share the sessions that a later
/// handshake may resume.
pub(super) fn tls(files: &TlsFiles) -> rustls::ClientConfig {
    let mut roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let trusted = files.certificate.as_ref().map_or_else(Vec::new, |path| certificates(path));
    if files.certificate.is_some() && roots.add_parsable_certificates(trusted.iter().cloned()).0 == 0 {
        let message =
            "PREFREEZE_EXPORTER_OTLP_CERTIFICATE holds no readable certificate; the built-in roots are used";
        log::say(log::Level::Error, "certificate_unusable", message, serde_json::Value::Null);
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .expect("ring has the cipher suites of TLS 1.2 and 1.3");
    let builder = if trusted.is_empty() {
        builder.with_root_certificates(roots)
    } else {
        let inner = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
        let inner = inner.expect("there are roots, and no list of revocations");
        builder.dangerous().with_custom_certificate_verifier(Arc::new(pinned::Verifier { inner, trusted }))
    };
    match client_identity(files) {
        Some((chain, key)) => builder.clone().with_client_auth_cert(chain, key).unwrap_or_else(|error| {
            log::degraded("client_certificate_unusable", "going on without it", &error);
            builder.with_no_client_auth()
        }),
        None => builder.with_no_client_auth(),
    }
}

/// What of these files is of no use, and why: the variable that names it, and a reason.
pub(super) fn unusable(files: &TlsFiles) -> Vec<(&'static str, String)> {
    let mut unusable = Vec::new();
    if files.certificate.as_ref().is_some_and(|path| certificates(path).is_empty()) {
        let reason = "the file holds no readable certificate; the built-in roots are used";
        unusable.push(("PREFREEZE_EXPORTER_OTLP_CERTIFICATE", reason.to_owned()));
    }
    if let Some(path) = &files.client_certificate
        && certificates(path).is_empty()
    {
        let reason = "the file holds no readable certificate; none is sent";
        unusable.push(("PREFREEZE_EXPORTER_OTLP_CLIENT_CERTIFICATE", reason.to_owned()));
    }
    if let Some(path) = &files.client_key
        && PrivateKeyDer::from_pem_file(path).is_err()
    {
        let reason = "the file holds no readable key; no certificate is sent";
        unusable.push(("PREFREEZE_EXPORTER_OTLP_CLIENT_KEY", reason.to_owned()));
    }
    if unusable.is_empty()
        && let Some((chain, key)) = client_identity(files)
        && let Err(error) = trusting_nobody().with_client_auth_cert(chain, key)
    {
        let reason = format!("the key and the certificate do not go together ({error}); none is sent");
        unusable.push(("PREFREEZE_EXPORTER_OTLP_CLIENT_KEY", reason));
    }
    unusable
}

/// What a client identity can be tried with.
fn trusting_nobody() -> rustls::ConfigBuilder<rustls::ClientConfig, rustls::client::WantsClientCert> {
    rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring has the cipher suites of TLS 1.2 and 1.3")
        .with_root_certificates(rustls::RootCertStore::empty())
}

/// The readable certificates of a PEM file.
fn certificates(path: &str) -> Vec<CertificateDer<'static>> {
    let read = CertificateDer::pem_file_iter(path);
    read.map(|certificates| certificates.filter_map(Result::ok).collect()).unwrap_or_default()
}

type ClientIdentity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn client_identity(files: &TlsFiles) -> Option<ClientIdentity> {
    let (certificate, key) = files.client_certificate.as_ref().zip(files.client_key.as_ref())?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect);
    match (chain, PrivateKeyDer::from_pem_file(key)) {
        (Ok(chain), Ok(key)) => Some((chain, key)),
        (chain, key) => {
            let why = chain.err().or(key.err()).map_or_else(String::new, |error| error.to_string());
            log::degraded("client_certificate_unusable", "going on without it", &why);
            None
        }
    }
}

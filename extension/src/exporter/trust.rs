//! Whom a backend must be signed by, and who we say that we are: the TLS settings of its connections.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::log;
use crate::settings::TlsFiles;

/// Reads the files. What cannot be read is said, and left out. Clones share the sessions that a later
/// handshake may resume.
pub(super) fn tls(files: &TlsFiles) -> rustls::ClientConfig {
    let mut roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(path) = &files.certificate {
        let added = CertificateDer::pem_file_iter(path)
            .map(|certificates| roots.add_parsable_certificates(certificates.filter_map(Result::ok)).0);
        if !matches!(added, Ok(1..)) {
            let message = "PREFREEZE_EXPORTER_OTLP_CERTIFICATE holds no readable certificate; the built-in roots are used";
            log::say(log::Level::Error, "certificate_unusable", message, serde_json::Value::Null);
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has the cipher suites of TLS 1.2 and 1.3")
        .with_root_certificates(roots);
    match client_identity(files) {
        Some((chain, key)) => builder.clone().with_client_auth_cert(chain, key).unwrap_or_else(|error| {
            log::degraded("client_certificate_unusable", "going on without it", &error);
            builder.with_no_client_auth()
        }),
        None => builder.with_no_client_auth(),
    }
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

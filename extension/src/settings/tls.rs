//! The files of certificates and keys that connections are made with.

use policy::Signal;

use super::Reader;

const CERTIFICATE: &str = "PREFREEZE_EXPORTER_OTLP_CERTIFICATE";
const CLIENT_CERTIFICATE: &str = "PREFREEZE_EXPORTER_OTLP_CLIENT_CERTIFICATE";
const CLIENT_KEY: &str = "PREFREEZE_EXPORTER_OTLP_CLIENT_KEY";

/// Paths of PEM files; read when the client is built, after registration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// Certificates to trust besides the built-in roots.
    pub certificate: Option<String>,
    /// Our own chain.
    pub client_certificate: Option<String>,
    /// Its key.
    pub client_key: Option<String>,
}

impl Reader {
    /// A relative path begins in the function's package, as those of other files.
    pub(super) fn tls_files(&mut self, signal: Signal) -> TlsFiles {
        let path = |name| {
            let path = self.get(&self.form(name, signal))?;
            Some(self.package().join(path).to_string_lossy().into_owned())
        };
        let tls = TlsFiles {
            certificate: path(CERTIFICATE),
            client_certificate: path(CLIENT_CERTIFICATE),
            client_key: path(CLIENT_KEY),
        };
        self.report_half_identity(&tls, signal);
        tls
    }

    /// A client certificate is of no use without its key, and the reverse.
    fn report_half_identity(&mut self, tls: &TlsFiles, signal: Signal) {
        let (has, lacks) = match (&tls.client_certificate, &tls.client_key) {
            (Some(_), None) => (CLIENT_CERTIFICATE, CLIENT_KEY),
            (None, Some(_)) => (CLIENT_KEY, CLIENT_CERTIFICATE),
            _ => return,
        };
        let name = self.form(has, signal);
        self.problem(&name, format!("of no use without {lacks}"));
    }
}

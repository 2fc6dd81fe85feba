//! The extension's Unix socket: nearer than its port, and there only when the extension is.

use std::{
    env,
    os::unix::fs::FileTypeExt as _,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use opentelemetry_otlp::{
    HttpExporterBuilderSet, RetryPolicy, SpanExporter, SpanExporterBuilder, WithHttpConfig as _,
};
use reqwest::blocking::Client;

/// How long an export may take. The extension answers within a millisecond or two.
const EXPORT_BUDGET: Duration = Duration::from_secs(1);

/// A client all of whose requests go to the extension's socket; `None` when there is none, and the exporter's own
/// client and `OTEL_EXPORTER_OTLP_ENDPOINT` have to do. The extension binds it before the function starts.
pub(crate) fn client() -> Option<Client> {
    let path = path().filter(|path| path.metadata().is_ok_and(|it| it.file_type().is_socket()))?;
    let client = move || {
        // No certificate is ever looked at, so none are read.
        Client::builder().unix_socket(path).tls_certs_only([]).timeout(EXPORT_BUDGET).build()
    };
    // Outside of tokio, where a blocking client may not be made.
    thread::spawn(client).join().ok()?.ok()
}

/// An exporter that is still to be told its endpoint, over `client` where there is one. The extension is next door:
/// when it does not answer now, waiting only costs the caller.
pub(crate) fn exporter(client: Option<Client>) -> SpanExporterBuilder<HttpExporterBuilderSet> {
    let exporter = SpanExporter::builder().with_http().with_retry_policy(RetryPolicy::disabled());
    match client {
        Some(client) => exporter.with_http_client(client),
        None => exporter,
    }
}

/// `PREFREEZE_RECEIVER_UDS`, which the extension reads too, or its default.
fn path() -> Option<PathBuf> {
    match env::var_os("PREFREEZE_RECEIVER_UDS") {
        Some(path) if path == "none" || path == "off" => None,
        Some(path) if !path.is_empty() => Some(path.into()),
        _ => {
            let temporary = env::var_os("TMPDIR").unwrap_or_else(|| "/tmp".into());
            Some(Path::new(&temporary).join("prefreeze.sock"))
        }
    }
}

//! Whether the function's variables say that it runs an OpenTelemetry SDK.

use super::{Problem, Reader, Receivers, endpoint};

const DISABLED: &str = "OTEL_SDK_DISABLED";
/// Variables that load an SDK where their value has this word in it: agents, and the layers' wrappers.
const LOADERS: [(&str, &str); 5] = [
    ("AWS_LAMBDA_EXEC_WRAPPER", "otel"),
    ("JAVA_TOOL_OPTIONS", "opentelemetry"),
    ("NODE_OPTIONS", "opentelemetry"),
    ("PYTHONPATH", "opentelemetry"),
    ("DOTNET_STARTUP_HOOKS", "OpenTelemetry"),
];
/// Which exporter an SDK uses. That an endpoint is set says less: whoever follows our own pages has set it, with an SDK or
/// without.
const EXPORTER: &str = "OTEL_TRACES_EXPORTER";

/// Where an SDK sends to, by default `localhost:4318`: that is us.
const ENDPOINTS: [&str; 4] = [
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
    "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT",
];

/// Whether variable `name` is one of them.
pub(super) fn is_read(name: &str) -> bool {
    name == DISABLED
        || name == EXPORTER
        || ENDPOINTS.contains(&name)
        || LOADERS.iter().any(|(loader, _)| *loader == name)
}

impl Reader {
    /// Whether the function's own spans are to be expected: one that says nothing at its end may say it later.
    ///
    /// # Source
    /// <https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/>
    pub(super) fn expects_spans(&self) -> bool {
        let is = |name, word| self.get(name).is_some_and(|value| value.eq_ignore_ascii_case(word));
        if is(DISABLED, "true") || is(EXPORTER, "none") {
            return false;
        }
        let loads = |(name, word): &(&str, &str)| self.get(name).is_some_and(|value| value.contains(word));
        LOADERS.iter().any(loads) || self.get(EXPORTER).is_some()
    }

    /// Where the function's SDK is told to send its data to somewhere else than to us.
    pub(super) fn sdk_hints(&self, receivers: &Receivers) -> Vec<Problem> {
        let hint = |name: &&str| {
            let text = self.get(name)?;
            let uri: http::Uri = text.parse().ok()?;
            let host = uri.host()?;
            let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 });
            let mut own = receivers.http.iter().chain(&receivers.grpc);
            let reason = if !endpoint::is_here(host) {
                format!("the function's SDK sends to {host}, past Prefreeze")
            } else if own.any(|own| own.port() == port) {
                return None;
            } else {
                format!("the function's SDK sends to port {port}, where Prefreeze does not listen")
            };
            let ours =
                receivers.http.map_or_else(String::new, |own| format!("; Prefreeze is at http://{own}"));
            Some(Problem { name: (*name).to_owned(), reason: reason + &ours })
        };
        ENDPOINTS.iter().filter_map(hint).collect()
    }
}

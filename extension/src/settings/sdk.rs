//! Whether the function's variables say that it runs an OpenTelemetry SDK.

use std::net::SocketAddr;

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

/// Exporters whose data reaches us, or nobody.
const KNOWN_EXPORTERS: [&str; 4] = ["otlp", "otlp_proto_http", "otlp_proto_grpc", "console"];

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
        if self.is_silent() {
            return false;
        }
        let loads = |(name, word): &(&str, &str)| self.get(name).is_some_and(|value| value.contains(word));
        LOADERS.iter().any(loads) || self.get(EXPORTER).is_some()
    }

    /// Whether the function's variables switch its SDK off, or what it sends.
    fn is_silent(&self) -> bool {
        let is = |name, word| self.get(name).is_some_and(|value| value.eq_ignore_ascii_case(word));
        is(DISABLED, "true") || is(EXPORTER, "none")
    }

    /// Where the function's SDK is told to send its data somewhere else than to us, or in a way that we do not take.
    ///
    /// Where we listen on no port, it may reach us by the Unix socket: nothing is said of its port then.
    pub(super) fn sdk_hints(&self, receivers: &Receivers) -> Vec<Problem> {
        if self.is_silent() {
            return Vec::new();
        }
        let exporter = self.get(EXPORTER).unwrap_or(KNOWN_EXPORTERS[0]).to_ascii_lowercase();
        let strange = exporter.split(',').map(str::trim).find(|name| !KNOWN_EXPORTERS.contains(name));
        let strange = strange.map(|_| Problem {
            name: EXPORTER.to_owned(),
            reason: "Prefreeze receives OTLP alone, and this exporter sends something else".to_owned(),
        });
        ENDPOINTS.iter().filter_map(|name| self.endpoint_hint(name, receivers)).chain(strange).collect()
    }

    fn endpoint_hint(&self, name: &str, receivers: &Receivers) -> Option<Problem> {
        let uri: http::Uri = self.get(name)?.parse().ok()?;
        let host = uri.host()?;
        let is_tls = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let ports: Vec<_> = receivers.http.iter().chain(&receivers.grpc).map(SocketAddr::port).collect();
        let reason = if !endpoint::is_here(host) {
            format!("the function's SDK sends to {host}, past Prefreeze")
        } else if ports.contains(&port) {
            if !is_tls {
                return None;
            }
            "the function's SDK sends with TLS, which Prefreeze does not speak: use http://".to_owned()
        } else if ports.is_empty() {
            return None;
        } else {
            format!("the function's SDK sends to port {port}, where Prefreeze does not listen")
        };
        let ours = receivers.http.map_or_else(String::new, |own| format!("; Prefreeze is at http://{own}"));
        Some(Problem { name: name.to_owned(), reason: reason + &ours })
    }
}

//! Whether the function's variables say that it runs an OpenTelemetry SDK.

use std::net::SocketAddr;

use super::{Problem, Reader, Receivers, endpoint, proxies};

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

/// How the variables end that tell an exporter for gRPC not to use TLS where its endpoint has no scheme.
const INSECURE: &str = "INSECURE";

/// How an SDK sends: for all signals, and for those whose endpoints are above.
const PROTOCOLS: [&str; 4] = [
    "OTEL_EXPORTER_OTLP_PROTOCOL",
    "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
    "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL",
    "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL",
];

/// Whether variable `name` is one of them.
pub(super) fn is_read(name: &str) -> bool {
    name == DISABLED
        || name == EXPORTER
        || ENDPOINTS.contains(&name)
        || PROTOCOLS.contains(&name)
        || (name.starts_with("OTEL_EXPORTER_OTLP_") && name.ends_with(INSECURE))
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
        let hints = ENDPOINTS.iter().filter_map(|name| self.endpoint_hint(name, receivers));
        hints.chain(strange).chain(self.proxy_hint()).collect()
    }

    /// Where there is a proxy for plain HTTP, and nothing excepts us from it.
    fn proxy_hint(&self) -> Option<Problem> {
        let is_told = ENDPOINTS.iter().any(|name| self.get(name).is_some());
        let is_hidden = (is_told || self.expects_spans()) && self.is_receiver_behind_proxy();
        is_hidden.then(|| Problem {
            name: proxies::EXCEPTED[0].to_owned(),
            reason:
                "an SDK that reads HTTP_PROXY sends its data to the proxy: except 127.0.0.1 and localhost"
                    .to_owned(),
        })
    }

    /// Whether the endpoint of one signal is sent to as it is, and we do not receive that signal there.
    fn is_at_wrong_path(&self, name: &str, uri: &http::Uri) -> bool {
        let at = ENDPOINTS.iter().position(|known| *known == name).unwrap_or(0);
        let protocol = self.get(PROTOCOLS[at]).or_else(|| self.get(PROTOCOLS[0])).unwrap_or_default();
        // Where nothing says, it is gRPC in some languages, which has no paths.
        let is_over_http = protocol.to_ascii_lowercase().starts_with("http/");
        let path = ["", "/v1/traces", "/v1/metrics", "/v1/logs"][at];
        is_over_http && !uri.path().trim_end_matches('/').ends_with(path)
    }

    fn endpoint_hint(&self, name: &str, receivers: &Receivers) -> Option<Problem> {
        let text = self.get(name)?;
        let insecure = [name.replace("ENDPOINT", INSECURE), format!("OTEL_EXPORTER_OTLP_{INSECURE}")];
        let is_insecure = insecure
            .iter()
            .find_map(|name| self.get(name))
            .is_some_and(|word| word.eq_ignore_ascii_case("true"));
        if !text.contains("://") && !is_insecure {
            let reason = "there is no http:// before it: SDKs refuse it, or send with TLS";
            return Some(Problem { name: name.to_owned(), reason: reason.to_owned() });
        }
        let uri: http::Uri = text.parse().ok()?;
        let host = uri.host()?;
        let is_tls = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let ports: Vec<_> = receivers.http.iter().chain(&receivers.grpc).map(SocketAddr::port).collect();
        let reason = if !endpoint::is_here(host) {
            format!("the function's SDK sends to {host}, past Prefreeze")
        } else if ports.contains(&port) {
            if !is_tls {
                let reason = "the function's SDK sends to this path as it is, and Prefreeze does not receive the signal there: /v1/traces, /v1/metrics or /v1/logs is missing";
                let is_lost = self.is_at_wrong_path(name, &uri);
                return is_lost.then(|| Problem { name: name.to_owned(), reason: reason.to_owned() });
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

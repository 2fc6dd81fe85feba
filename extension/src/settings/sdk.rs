//! Whether the function's variables say that it runs an OpenTelemetry SDK.

use super::Reader;

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

/// Whether variable `name` is one of them.
pub(super) fn is_read(name: &str) -> bool {
    name == DISABLED || name == EXPORTER || LOADERS.iter().any(|(loader, _)| *loader == name)
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
}

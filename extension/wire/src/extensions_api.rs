//! The Extensions API's events, for the one case in which the `lambda-extension` crate gives up on them.

use serde::Deserialize;

/// An event as far as it could be read; nothing in it is required.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NextEvent {
    /// `INVOKE` or `SHUTDOWN`.
    pub event_type: String,
    /// When the invocation or the environment ends, in Unix milliseconds.
    pub deadline_ms: u64,
    /// Of an INVOKE.
    pub request_id: String,
    /// Of an INVOKE.
    pub invoked_function_arn: String,
    /// Of an INVOKE: the X-Ray header.
    pub tracing: Option<Tracing>,
    /// Of a SHUTDOWN.
    pub shutdown_reason: String,
}

/// Where the X-Ray header is.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Tracing {
    /// The header's value.
    pub value: String,
}

/// Reads an event.
///
/// # Errors
/// When the body is not a JSON object with these types.
pub fn next_event(body: &[u8]) -> Result<NextEvent, serde_json::Error> {
    serde_json::from_slice(body)
}

/// What a SHUTDOWN reason means; compared without case, because AWS's own sources disagree on it. A reason that is not
/// known says nothing of how the last invocation ended: AWS's emulator says `SandboxTerminated` after a success.
pub fn shutdown_reason(text: &str) -> policy::ShutdownReason {
    match text.to_ascii_lowercase().as_str() {
        "spindown" => policy::ShutdownReason::Spindown,
        "timeout" => policy::ShutdownReason::Timeout,
        reason if reason.contains("fail") => policy::ShutdownReason::Failure,
        _ => policy::ShutdownReason::Spindown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use policy::ShutdownReason::{Failure, Spindown, Timeout};

    #[test]
    fn a_reason_that_is_not_known_is_no_failure() {
        let rows = [
            ("spindown", Spindown),
            ("SPINDOWN", Spindown),
            ("timeout", Timeout),
            ("Timeout", Timeout),
            ("FAILURE", Failure),
            ("ReleaseFail", Failure),
            ("SandboxTerminated", Spindown),
            ("", Spindown),
        ];
        for (text, expected) in rows {
            assert_eq!(shutdown_reason(text), expected, "{text:?}");
        }
    }
}

//! What the environment's API answers: typed errors and their statuses, as values.

use bytes::Bytes;
use serde_json::{Value, json};

/// Largest body a runtime may send or an invocation may carry: 6 MiB and the 100 bytes AWS grants on top.
pub(crate) const PAYLOAD_LIMIT: usize = 6 * 1024 * 1024 + 100;

/// One HTTP answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_type: &'static str,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(status: u16, body: &Value) -> Self {
        Self { status, content_type: "application/json", headers: vec![], body: body.to_string().into() }
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// 202, what every accepted report of a runtime or an extension gets.
    pub(crate) fn accepted() -> Self {
        Self::json(202, &json!({"status": "OK"}))
    }
}

/// Everything the three APIs refuse, by AWS's `errorType`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ApiError {
    InvalidExtensionName,
    InvalidRequestFormat(String),
    InvalidEventType(String),
    /// The transition the extension's state does not allow.
    InvalidExtensionState {
        name: String,
        from: &'static str,
        call: &'static str,
    },
    RegistrationClosed,
    TooManyExtensions,
    MissingExtensionIdentifier,
    InvalidExtensionIdentifier,
    UnknownExtensionIdentifier(String),
    MissingHeader(&'static str),
    InvalidRequestId,
    InvalidStateTransition {
        from: &'static str,
        call: &'static str,
    },
    RequestEntityTooLarge,
    Validation(String),
    SubscriptionClosed,
    /// On Managed Instances, an answer to an invocation that timed out.
    InvokeTimeout,
    TelemetryNotSupported,
    LogsNotSupported,
    NotFound,
    Internal,
}

impl ApiError {
    fn status(&self) -> u16 {
        match self {
            Self::TelemetryNotSupported | Self::LogsNotSupported => 202,
            Self::InvalidRequestId | Self::Validation(_) => 400,
            Self::NotFound => 404,
            Self::InvokeTimeout => 410,
            Self::RequestEntityTooLarge => 413,
            Self::Internal => 500,
            _ => 403,
        }
    }

    fn error_type(&self) -> &'static str {
        match self {
            Self::InvalidExtensionName => "Extension.InvalidExtensionName",
            Self::InvalidRequestFormat(_) => "InvalidRequestFormat",
            Self::InvalidEventType(_) => "Extension.InvalidEventType",
            Self::InvalidExtensionState { .. } => "Extension.InvalidExtensionState",
            Self::RegistrationClosed => "Extension.RegistrationClosed",
            Self::TooManyExtensions => "Extension.TooManyExtensions",
            Self::MissingExtensionIdentifier => "Extension.MissingExtensionIdentifier",
            Self::InvalidExtensionIdentifier => "Extension.InvalidExtensionIdentifier",
            Self::UnknownExtensionIdentifier(_) => "Extension.UnknownExtensionIdentifier",
            Self::MissingHeader(_) => "Extension.MissingHeader",
            Self::InvalidRequestId => "InvalidRequestID",
            Self::InvalidStateTransition { .. } => "InvalidStateTransition",
            Self::RequestEntityTooLarge => "RequestEntityTooLarge",
            Self::Validation(_) => "ValidationError",
            Self::SubscriptionClosed => "Telemetry.SubscriptionClosed",
            Self::InvokeTimeout => "InvokeTimeout",
            Self::TelemetryNotSupported => "Telemetry.NotSupported",
            Self::LogsNotSupported => "Logs.NotSupported",
            Self::NotFound => "NotFound",
            Self::Internal => "InternalServerError",
        }
    }

    fn message(&self) -> String {
        match self {
            Self::InvalidExtensionName => "Lambda-Extension-Name is empty".into(),
            Self::InvalidRequestFormat(why) | Self::Validation(why) => why.clone(),
            Self::InvalidEventType(event) => format!("{event}: ErrorInvalidEventType"),
            Self::InvalidExtensionState { name, from, call } => {
                format!("State transition from {from} to {call} failed for extension {name}")
            }
            Self::RegistrationClosed => "The runtime has initialised: registration is closed".into(),
            Self::TooManyExtensions => "A function may have 10 extensions".into(),
            Self::MissingExtensionIdentifier => "Lambda-Extension-Identifier is missing".into(),
            Self::InvalidExtensionIdentifier => "Lambda-Extension-Identifier is not a UUID".into(),
            Self::UnknownExtensionIdentifier(id) => format!("No extension has the identifier {id}"),
            Self::MissingHeader(name) => format!("{name} is missing"),
            Self::InvalidRequestId => "Invalid request ID".into(),
            Self::InvalidStateTransition { from, call } => {
                format!("Transition from {from} to {call} is not allowed.")
            }
            Self::RequestEntityTooLarge => {
                format!("Exceeded maximum allowed payload size ({PAYLOAD_LIMIT} bytes).")
            }
            Self::SubscriptionClosed => "Telemetry subscription is closed after init".into(),
            Self::InvokeTimeout => "Invoke timeout".into(),
            Self::TelemetryNotSupported => "Telemetry API is not supported".into(),
            Self::LogsNotSupported => "Logs API is not supported".into(),
            Self::NotFound => "No such resource".into(),
            Self::Internal => "The environment failed".into(),
        }
    }
}

impl From<ApiError> for Answer {
    fn from(error: ApiError) -> Self {
        let body = json!({"errorMessage": error.message(), "errorType": error.error_type()});
        Self::json(error.status(), &body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_typed_json() {
        let cases = [
            (ApiError::RegistrationClosed, 403, "Extension.RegistrationClosed"),
            (ApiError::InvalidRequestId, 400, "InvalidRequestID"),
            (ApiError::RequestEntityTooLarge, 413, "RequestEntityTooLarge"),
            (ApiError::TelemetryNotSupported, 202, "Telemetry.NotSupported"),
            (ApiError::Validation("port".into()), 400, "ValidationError"),
            (ApiError::Internal, 500, "InternalServerError"),
        ];
        for (error, status, error_type) in cases {
            let answer = Answer::from(error);
            let body: Value = serde_json::from_slice(&answer.body).unwrap();
            assert_eq!((answer.status, body["errorType"].as_str()), (status, Some(error_type)));
            assert!(body["errorMessage"].is_string());
        }
    }
}

//! One invocation as its caller sees it: what goes in, what comes out.

use std::fmt;

use bytes::Bytes;
use http_body_util::{BodyExt, Channel};
use serde::Serialize;

use crate::faults::{InvocationFaults, TelemetryFault};
use crate::history::EnvironmentId;
use crate::xray::XRay;

/// Trailer by which a streaming runtime reports an error after the first byte.
pub(crate) const ERROR_TYPE_TRAILER: &str = "lambda-runtime-function-error-type";

/// `X-Amz-Invocation-Type`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum InvocationType {
    /// The caller waits for the response.
    #[default]
    RequestResponse,
    /// The caller gets 202; the service invokes, and retries what fails.
    Event,
    /// Nothing runs; the caller learns whether the function exists.
    DryRun,
}

/// One call of `Invoke`.
#[derive(Clone, Debug, Default)]
pub struct InvokeRequest {
    /// The event; at most 6 MiB (1 MiB for [`InvocationType::Event`]). Empty becomes `{}`.
    pub payload: Bytes,
    /// How the caller waits.
    pub invocation_type: InvocationType,
    /// The trace header.
    pub xray: XRay,
    /// `Lambda-Runtime-Client-Context`: the JSON text (already decoded from base64).
    pub client_context: Option<String>,
    /// `Lambda-Runtime-Cognito-Identity`: the JSON text.
    pub cognito_identity: Option<String>,
    /// `Lambda-Runtime-Aws-Tenant-Id`.
    pub tenant_id: Option<String>,
    /// Alias or version that the caller names; it appears in the invoked function's ARN.
    pub qualifier: Option<String>,
    /// Telemetry faults of this invocation; they come before those of the function.
    pub telemetry_faults: Vec<TelemetryFault>,
    /// What else goes wrong in it.
    pub faults: InvocationFaults,
}

impl InvokeRequest {
    /// A request with `payload` as its JSON event.
    ///
    /// # Panics
    /// When `payload` cannot be written as JSON (a map whose keys are not strings).
    pub fn json(payload: &impl Serialize) -> Self {
        let payload = serde_json::to_vec(payload).expect("the caller's value has a JSON form").into();
        Self { payload, ..Self::default() }
    }

    /// The same request with this trace header.
    #[must_use]
    pub fn with_xray(self, xray: XRay) -> Self {
        Self { xray, ..self }
    }

    /// The same request, asynchronous.
    #[must_use]
    pub fn asynchronous(self) -> Self {
        Self { invocation_type: InvocationType::Event, ..self }
    }

    /// The same request with one more telemetry fault.
    #[must_use]
    pub fn with_telemetry_fault(mut self, fault: TelemetryFault) -> Self {
        self.telemetry_faults.push(fault);
        self
    }
}

/// The answer to an invocation, complete.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The request id.
    pub request_id: String,
    /// The function's response, or the JSON error.
    pub payload: Bytes,
    /// `X-Amz-Function-Error`: `None` when the function succeeded.
    pub function_error: Option<String>,
    /// Milliseconds from the call to the response, as the caller saw it; includes queueing and cold start.
    pub response_ms: f64,
    /// Whether this invocation waited for an init.
    pub cold_start: bool,
    /// Where it ran; `None` for asynchronous calls and dry runs.
    pub environment: Option<EnvironmentId>,
    /// `X-Amz-Executed-Version`.
    pub executed_version: String,
    /// The last 4 KiB the function logged before it responded.
    pub log_tail: String,
}

impl Outcome {
    /// The payload as JSON; `Null` when it is not JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.payload).unwrap_or_default()
    }
}

/// The answer to an invocation whose payload may still be on its way.
#[derive(Debug)]
pub struct StreamedOutcome {
    /// Everything known when the response begins; `payload` is empty.
    pub head: Outcome,
    /// The payload, frame by frame, with the runtime's trailers.
    pub body: ResponseBody,
}

/// A response body: complete, or the runtime's stream.
pub type ResponseBody = http_body_util::Either<http_body_util::Full<Bytes>, Channel<Bytes, StreamAborted>>;

/// The runtime's stream ended before its last chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamAborted;

impl fmt::Display for StreamAborted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the runtime stopped in the middle of its response stream")
    }
}

impl std::error::Error for StreamAborted {}

impl StreamedOutcome {
    /// Waits for the rest of the payload. An error in the middle of the stream shows as `function_error`.
    pub async fn collect(self) -> Outcome {
        let mut outcome = self.head;
        let mut body = self.body;
        let mut payload = Vec::new();
        while let Some(frame) = body.frame().await {
            match frame.map(hyper::body::Frame::into_data) {
                Ok(Ok(data)) => payload.extend_from_slice(&data),
                Ok(Err(frame)) => {
                    if frame.trailers_ref().is_some_and(|t| t.contains_key(ERROR_TYPE_TRAILER)) {
                        outcome.function_error = Some("Unhandled".into());
                    }
                }
                Err(_) => {
                    outcome.function_error = Some("Unhandled".into());
                    break;
                }
            }
        }
        outcome.payload = payload.into();
        outcome
    }
}

/// Why the service did not invoke.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvokeError {
    /// No function has this name or ARN.
    NotFound(String),
    /// Every environment is busy and no more may be started or wait.
    Throttled,
    /// The payload exceeds the limit of the invocation type.
    TooLarge,
    /// The payload is not JSON.
    NotJson,
    /// The service shut down before the function answered.
    Stopped,
}

impl fmt::Display for InvokeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound(arn) => write!(f, "Function not found: {arn}"),
            Self::Throttled => f.write_str("Rate Exceeded."),
            Self::TooLarge => {
                f.write_str("Request must be smaller than 6291456 bytes for the InvokeFunction operation")
            }
            Self::NotJson => f.write_str("Could not parse request body into json"),
            Self::Stopped => f.write_str("The service shut down before the function answered"),
        }
    }
}

impl std::error::Error for InvokeError {}

//! What the runtime answers, and what the caller gets.

use bytes::Bytes;

use super::invocation::Invocation;
use super::io::ResponseEnd;
use super::runtime_state::RuntimeEvent;
use super::{Failure, Machine, Output, Token};
use crate::answer::{Answer, ApiError, PAYLOAD_LIMIT};
use crate::clock::Time;
use crate::history::What;

impl Machine {
    pub(super) fn on_response_start(&mut self, now: Time, token: Token, request_id: &str, streaming: bool) {
        let allowed = self.allow(request_id, RuntimeEvent::Response, "Responding");
        if let Err(error) = allowed {
            return self.refuse(token, "invocation/response", error);
        }
        let invocation = self.open(request_id);
        invocation.response_start = Some(now);
        if streaming {
            invocation.answered = true;
            let cold_start = invocation.cold_start;
            self.note_of(request_id, What::Responded { bytes: None, error_type: None });
            let request_id = request_id.to_owned();
            self.out.push_back(Output::ReplyStream { request_id, token, cold_start });
        }
        self.out.push_back(Output::Proceed(token));
    }

    pub(super) fn on_response_end(&mut self, now: Time, token: Token, request_id: &str, end: ResponseEnd) {
        let allowed = self.allow(request_id, RuntimeEvent::ResponseEnd, "Responded");
        if let Err(error) = allowed {
            return self.refuse(token, "invocation/response", error);
        }
        let invocation = self.open(request_id);
        invocation.response_end = Some(now);
        match end {
            ResponseEnd::Complete(body) => {
                invocation.produced_bytes = body.len();
                self.reply(request_id, body, None);
                self.answer(token, Answer::accepted());
            }
            ResponseEnd::Streamed { bytes, error_type } => {
                invocation.produced_bytes = bytes;
                invocation.error = error_type.map(|e| valid_error_type(Some(&e)));
                self.answer(token, Answer::accepted());
            }
            ResponseEnd::TooLarge => {
                let message = format!(
                    "Response payload size exceeded maximum allowed payload size ({PAYLOAD_LIMIT} bytes)."
                );
                self.reply_failure(request_id, &Failure::error("Function.ResponseSizeTooLarge", message));
                self.refuse(token, "invocation/response", ApiError::RequestEntityTooLarge);
            }
            ResponseEnd::Truncated => {
                self.reply_failure(
                    request_id,
                    &Failure::error("Runtime.TruncatedResponse", "The response was cut off"),
                );
                self.answer(token, Answer::accepted());
            }
        }
        self.close_if_managed(now, request_id);
    }

    pub(super) fn on_invocation_error(
        &mut self,
        now: Time,
        token: Token,
        request_id: &str,
        error_type: Option<&str>,
        body: Bytes,
    ) {
        let allowed = self.allow(request_id, RuntimeEvent::Error, "Responded");
        if let Err(error) = allowed {
            return self.refuse(token, "invocation/error", error);
        }
        let invocation = self.open(request_id);
        invocation.response_start = Some(now);
        invocation.response_end = Some(now);
        invocation.produced_bytes = body.len();
        self.reply(request_id, body, Some(valid_error_type(error_type)));
        self.answer(token, Answer::accepted());
        self.close_if_managed(now, request_id);
    }

    fn reply_failure(&mut self, request_id: &str, failure: &Failure) {
        let outputs = self.open(request_id).fail(failure);
        self.out.extend(outputs.into_iter().flatten());
    }

    fn reply(&mut self, request_id: &str, payload: Bytes, error_type: Option<String>) {
        let outputs = self.open(request_id).reply(payload, error_type);
        self.out.extend(outputs.into_iter().flatten());
    }

    /// Whether the runtime may make this call now, for this invocation.
    fn allow(&mut self, request_id: &str, event: RuntimeEvent, call: &'static str) -> Result<(), ApiError> {
        if self.is_managed() {
            return self.allow_worker(request_id, event, call);
        }
        if self.request_id() != Some(request_id) {
            return Err(ApiError::InvalidRequestId);
        }
        self.set_runtime(event, call).map(drop)
    }

    /// The invocation of a call that was allowed.
    fn open(&mut self, request_id: &str) -> &mut Invocation {
        let open = if self.is_managed() { self.crew.find(request_id) } else { self.invocation.as_mut() };
        open.expect("the id was checked against it")
    }

    /// There, the answer is the end; elsewhere it is the next `/next`.
    fn close_if_managed(&mut self, now: Time, request_id: &str) {
        if self.is_managed() {
            self.close_answered(now, request_id);
        }
    }
}

/// The error type as telemetry shows it: the runtime's own when it has the form `Runtime.X` or `Function.X`.
pub(super) fn valid_error_type(reported: Option<&str>) -> String {
    let reported = reported.unwrap_or_default();
    let (category, reason) = reported.split_once('.').unwrap_or_default();
    let named = reason.len() > 1
        && reason.starts_with(|c: char| c.is_ascii_uppercase())
        && reason.bytes().all(|b| b.is_ascii_alphabetic());
    match category {
        "Runtime" | "Function" if named => reported.to_owned(),
        "Runtime" => "Runtime.Unknown".to_owned(),
        _ => "Function.Unknown".to_owned(),
    }
}

//! What the runtime answers, and what the caller gets.

use bytes::Bytes;
use serde_json::json;

use super::io::ResponseEnd;
use super::runtime_state::RuntimeEvent;
use super::{Failure, Machine, Output, Token};
use crate::answer::{Answer, ApiError, PAYLOAD_LIMIT};
use crate::clock::Time;
use crate::history::What;

impl Machine {
    pub(super) fn on_response_start(&mut self, now: Time, token: Token, request_id: &str, streaming: bool) {
        let allowed = self.check_request(request_id).and_then(|()| {
            self.set_runtime(RuntimeEvent::Response, "Responding")?;
            Ok(())
        });
        if let Err(error) = allowed {
            return self.refuse(token, "invocation/response", error);
        }
        let invocation = self.invocation.as_mut().expect("the id was checked against it");
        invocation.response_start = Some(now);
        if streaming {
            invocation.answered = true;
            let cold_start = invocation.cold_start;
            self.note(What::Responded { bytes: None, error_type: None });
            self.out.push_back(Output::ReplyStream { token, cold_start });
        }
        self.out.push_back(Output::Proceed(token));
    }

    pub(super) fn on_response_end(&mut self, now: Time, token: Token, request_id: &str, end: ResponseEnd) {
        let allowed = self.check_request(request_id).and_then(|()| {
            self.set_runtime(RuntimeEvent::ResponseEnd, "Responded")?;
            Ok(())
        });
        if let Err(error) = allowed {
            return self.refuse(token, "invocation/response", error);
        }
        let invocation = self.invocation.as_mut().expect("the id was checked against it");
        invocation.response_end = Some(now);
        match end {
            ResponseEnd::Complete(body) => {
                invocation.produced_bytes = body.len();
                self.reply(body, None);
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
                self.reply_failure(&Failure::error("Function.ResponseSizeTooLarge", message));
                self.refuse(token, "invocation/response", ApiError::RequestEntityTooLarge);
            }
            ResponseEnd::Truncated => {
                self.reply_failure(&Failure::error("Runtime.TruncatedResponse", "The response was cut off"));
                self.answer(token, Answer::accepted());
            }
        }
    }

    pub(super) fn on_invocation_error(
        &mut self,
        now: Time,
        token: Token,
        request_id: &str,
        error_type: Option<&str>,
        body: Bytes,
    ) {
        let allowed = self.check_request(request_id).and_then(|()| {
            self.set_runtime(RuntimeEvent::Error, "Responded")?;
            Ok(())
        });
        if let Err(error) = allowed {
            return self.refuse(token, "invocation/error", error);
        }
        let invocation = self.invocation.as_mut().expect("the id was checked against it");
        invocation.response_start = Some(now);
        invocation.response_end = Some(now);
        invocation.produced_bytes = body.len();
        self.reply(body, Some(valid_error_type(error_type)));
        self.answer(token, Answer::accepted());
    }

    pub(super) fn reply_failure(&mut self, failure: &Failure) {
        let request_id = self.request_id().unwrap_or_default().to_owned();
        let body = failure.payload.clone().unwrap_or_else(|| {
            let message = format!("RequestId: {request_id} Error: {}", failure.message);
            json!({"errorType": failure.error_type, "errorMessage": message}).to_string().into()
        });
        self.reply(body, Some(failure.error_type.clone()));
    }

    fn reply(&mut self, payload: Bytes, error_type: Option<String>) {
        let invocation = self.invocation.as_mut().expect("only an invocation is answered");
        if std::mem::replace(&mut invocation.answered, true) {
            return;
        }
        invocation.error.clone_from(&error_type);
        let (cold_start, log_tail) = (invocation.cold_start, invocation.log_tail());
        let function_error = error_type.is_some();
        self.note(What::Responded { bytes: Some(payload.len()), error_type });
        self.out.push_back(Output::Reply { payload, function_error, log_tail, cold_start });
    }

    fn check_request(&self, request_id: &str) -> Result<(), ApiError> {
        match self.request_id() {
            Some(id) if id == request_id => Ok(()),
            _ => Err(ApiError::InvalidRequestId),
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

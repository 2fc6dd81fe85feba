//! Requests that are put into a queue: one message each, and what SQS answers to it.

use policy::{Outcome, Signal};
use ring::digest::{Context, SHA256};
use serde_json::Value;

use super::failure::{Cause, Failure};
use super::{Answered, Ended};
use crate::aws::{Message, Queue, Refusal};

/// So many bytes of a digest name a batch.
const NAME_BYTES: usize = 16;

/// Errors that somebody has to mend: data is held meanwhile.
///
/// # Source
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html#API_SendMessage_Errors>,
/// and the errors that all services have.
const OF_ROLE: [&str; 9] = [
    "AccessDenied",
    "Kms",
    "Token",
    "Signature",
    "UnrecognizedClient",
    "OptInRequired",
    "InvalidSecurity",
    "NotAuthorized",
    "AuthFailure",
];
const OF_QUEUE: [&str; 4] =
    ["QueueDoesNotExist", "NonExistentQueue", "QueueDeletedRecently", "InvalidAddress"];
/// Those that pass.
const PASSING: [&str; 4] = ["Throttl", "Internal", "ServiceUnavailable", "RequestTimeout"];
/// What the message of `InvalidParameterValue` says where a queue takes less than SQS does.
const TOO_LARGE: &str = "must be shorter than";

/// The name of a batch: a digest of its content, fed as it is packed. Content that is sent again has the same name, by
/// whichever process and however it is packed; where two names are equal, so is the content.
pub(super) struct Name(Context);

impl Name {
    pub(super) fn new(signal: Signal) -> Self {
        let mut context = Context::new(&SHA256);
        // The same bytes mean another thing as another signal.
        context.update(&[signal as u8]);
        Self(context)
    }

    pub(super) fn feed(&mut self, piece: &[u8]) {
        self.0.update(piece);
    }

    pub(super) fn finish(self) -> String {
        let digest = self.0.finish();
        digest.as_ref()[..NAME_BYTES].iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// The body of the request that puts `packed` into `queue`; `None` where it is too large for one.
pub(super) fn message(
    queue: &Queue,
    packed: &[u8],
    signal: Signal,
    name: Name,
    service: Option<&str>,
) -> Option<Vec<u8>> {
    let batch = name.finish();
    queue.request(&Message { packed, signal, batch: &batch, service })
}

/// What `answered` means.
pub(super) fn ended(answered: &Answered, refusal: Option<Refusal>) -> Ended {
    let status = answered.status;
    let answer: Value = serde_json::from_slice(&answered.body).unwrap_or_default();
    let failed = |outcome, cause, detail: &str| {
        let failure = Failure { status: Some(status), detail: detail.to_owned(), ..Failure::of(cause) };
        Ended::new(outcome, Some(failure))
    };
    if (200..300).contains(&status) {
        // Anybody can say 200: SQS names what it has taken.
        return match answer["MessageId"].as_str() {
            Some(_) => Ended::new(Outcome::Delivered { rejected: 0 }, None),
            None => failed(Outcome::Retry { after: None }, Cause::NotOtlp, ""),
        };
    }
    let error = error_of(&answer);
    let is_of = |names: &[&str]| names.iter().any(|name| error.contains(name));
    let text = answer["message"].as_str().or_else(|| answer["Message"].as_str()).unwrap_or_default();
    let (again, held) = (Outcome::Retry { after: None }, Outcome::Refused { status });
    let ended = match status {
        // Before the errors of keys: `KmsThrottled` passes.
        429 => failed(again, Cause::Throttled, error),
        _ if is_of(&["Throttl"]) => failed(again, Cause::Throttled, error),
        _ if status >= 500 || is_of(&PASSING) => failed(again, Cause::ServerError, error),
        408 => failed(Outcome::Lost, Cause::ConnectionClosed, error),
        _ if is_of(&OF_QUEUE) => failed(held, Cause::QueueNotFound, error),
        _ if is_of(&OF_ROLE) || matches!(status, 401 | 403) => failed(held, Cause::QueueDenied, error),
        413 => failed(Outcome::TooLarge, Cause::TooLarge, error),
        _ if text.contains(TOO_LARGE) => failed(Outcome::TooLarge, Cause::TooLarge, error),
        _ => failed(Outcome::Rejected { status }, Failure::answered(status).cause, error),
    };
    Ended { refusal, ..ended }
}

/// The type of an error. It is logged: only what looks like the name of one is believed to be it.
fn error_of(answer: &Value) -> &str {
    let named = answer["__type"].as_str().and_then(|text| text.rsplit('#').next()).unwrap_or_default();
    let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'.';
    if named.len() < 64 && named.bytes().all(is_letter) { named } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_content_has_the_same_name_however_it_comes() {
        let name = |signal, pieces: &[&str]| {
            let mut name = Name::new(signal);
            pieces.iter().for_each(|piece| name.feed(piece.as_bytes()));
            name.finish()
        };
        let whole = name(Signal::Traces, &["a span, another"]);
        assert_eq!(whole.len(), 2 * NAME_BYTES);
        assert_eq!(name(Signal::Traces, &["a span, ", "", "another"]), whole);
        assert_ne!(name(Signal::Traces, &["a span"]), whole);
        assert_ne!(name(Signal::Logs, &["a span, another"]), whole);
    }

    #[test]
    fn each_answer_of_a_queue_has_its_outcome() {
        let (again, large) = (Outcome::Retry { after: None }, Outcome::TooLarge);
        let held = |status| Outcome::Refused { status };
        let rejected = Outcome::Rejected { status: 400 };
        let of = |error: &str| format!(r#"{{"__type":"com.amazonaws.sqs#{error}","message":"m"}}"#);
        let short = r#"{"__type":"com.amazonaws.sqs#InvalidParameterValueException",
            "message":"One or more parameters are invalid. Reason: Message must be shorter than 262144 bytes."}"#;
        for (status, body, outcome, cause) in [
            (
                200,
                r#"{"MessageId":"1","MD5OfMessageBody":"2"}"#.into(),
                Outcome::Delivered { rejected: 0 },
                None,
            ),
            (200, "<html>".into(), again, Some(Cause::NotOtlp)),
            (200, "{}".into(), again, Some(Cause::NotOtlp)),
            (400, of("QueueDoesNotExist"), held(400), Some(Cause::QueueNotFound)),
            (400, of("AWS.SimpleQueueService.NonExistentQueue"), held(400), Some(Cause::QueueNotFound)),
            (404, of("InvalidAddress"), held(404), Some(Cause::QueueNotFound)),
            (400, of("AccessDeniedException"), held(400), Some(Cause::QueueDenied)),
            (403, "<xml>".into(), held(403), Some(Cause::QueueDenied)),
            (400, of("KmsAccessDenied"), held(400), Some(Cause::QueueDenied)),
            (400, of("UnrecognizedClientException"), held(400), Some(Cause::QueueDenied)),
            (400, of("KmsThrottled"), again, Some(Cause::Throttled)),
            (403, of("RequestThrottled"), again, Some(Cause::Throttled)),
            (400, of("ThrottlingException"), again, Some(Cause::Throttled)),
            (429, String::new(), again, Some(Cause::Throttled)),
            (500, of("InternalFailure"), again, Some(Cause::ServerError)),
            (503, String::new(), again, Some(Cause::ServerError)),
            (408, String::new(), Outcome::Lost, Some(Cause::ConnectionClosed)),
            (413, String::new(), large, Some(Cause::TooLarge)),
            (400, short.into(), large, Some(Cause::TooLarge)),
            (400, of("InvalidMessageContents"), rejected, Some(Cause::BadRequest)),
            (400, of("UnsupportedOperation"), rejected, Some(Cause::BadRequest)),
        ] {
            let answered = Answered { status, body: body.clone().into_bytes(), ..Answered::default() };
            let found = ended(&answered, None);
            assert_eq!(
                (found.outcome, found.failure.map(|it| it.cause)),
                (outcome, cause),
                "{status} {body}"
            );
        }
    }

    #[test]
    fn only_the_name_of_an_error_is_logged() {
        let answered = |text: &str| Answered {
            status: 400,
            body: format!(r#"{{"__type":"{text}"}}"#).into_bytes(),
            ..Answered::default()
        };
        let detail = |text| ended(&answered(text), None).failure.expect("it failed").detail;
        assert_eq!(detail("com.amazonaws.sqs#QueueDoesNotExist"), "QueueDoesNotExist");
        assert_eq!(detail("a secret: s3cret"), "");
    }
}

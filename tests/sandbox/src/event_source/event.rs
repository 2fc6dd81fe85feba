//! The two documents of an SQS invocation: the event, and the function's partial batch response.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::sqs::{Message, MessageAttribute};

/// What the function's answer says of its batch.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// These messages come back; all others were processed. None is success.
    Failed(Vec<String>),
    /// The answer cannot be trusted, so every message comes back.
    AllFailed,
}

/// The event as Lambda builds it.
///
/// # Source
/// <https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html>
pub(super) fn build(batch: &[Message], queue_arn: &str) -> Bytes {
    let records: Vec<Value> = batch.iter().map(|message| record(message, queue_arn)).collect();
    Bytes::from(json!({ "Records": records }).to_string())
}

fn record(message: &Message, queue_arn: &str) -> Value {
    let attributes: Map<String, Value> =
        message.message_attributes.iter().map(|(name, value)| (name.clone(), attribute(value))).collect();
    let mut record = json!({
        "messageId": message.message_id,
        "receiptHandle": message.receipt_handle,
        "body": message.body,
        "attributes": message.attributes,
        "messageAttributes": attributes,
        "md5OfBody": message.md5_of_body,
        "eventSource": "aws:sqs",
        "eventSourceARN": queue_arn,
        "awsRegion": queue_arn.split(':').nth(3).unwrap_or_default(),
    });
    if let Some(md5) = &message.md5_of_message_attributes {
        record["md5OfMessageAttributes"] = json!(md5);
    }
    record
}

fn attribute(attribute: &MessageAttribute) -> Value {
    let mut value = json!({
        "stringListValues": [],
        "binaryListValues": [],
        "dataType": attribute.data_type,
    });
    if let Some(text) = &attribute.string_value {
        value["stringValue"] = json!(text);
    }
    if let Some(base64) = &attribute.binary_value {
        value["binaryValue"] = json!(base64);
    }
    value
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    batch_item_failures: Option<Vec<ItemFailure>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ItemFailure {
    item_identifier: Option<String>,
}

/// Reads the answer by Lambda's rules: nothing said is success, anything wrong is a failure of the batch.
///
/// # Source
/// <https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html>
pub(super) fn read_answer(answer: &[u8], batch: &[Message]) -> Verdict {
    if answer.trim_ascii().is_empty() {
        return Verdict::Failed(Vec::new());
    }
    let Ok(answer) = serde_json::from_slice::<Option<Answer>>(answer) else {
        return Verdict::AllFailed;
    };
    let failures = answer.and_then(|answer| answer.batch_item_failures).unwrap_or_default();
    let known = |id: &String| batch.iter().any(|message| message.message_id == *id);
    let ids: Option<Vec<String>> =
        failures.into_iter().map(|failure| failure.item_identifier.filter(known)).collect();
    ids.map_or(Verdict::AllFailed, Verdict::Failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message() -> Message {
        let json = json!({
            "MessageId": "m-1", "ReceiptHandle": "r-1", "Body": "hello", "MD5OfBody": "5d41",
            "Attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": "1545082649183",
                           "AWSTraceHeader": "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1"},
            "MessageAttributes": {
                "traceparent": {"DataType": "String", "StringValue": "00-a-b-01"},
                "scan": {"DataType": "Binary.png", "BinaryValue": "AAEC"}},
            "MD5OfMessageAttributes": "9a0f"
        });
        serde_json::from_value(json).expect("it is a message")
    }

    #[test]
    fn the_event_has_lambdas_shape() {
        let event: Value =
            serde_json::from_slice(&build(&[message()], "arn:aws:sqs:eu-west-1:1:q")).expect("it is JSON");
        let expected = json!({"Records": [{
            "messageId": "m-1", "receiptHandle": "r-1", "body": "hello",
            "attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": "1545082649183",
                           "AWSTraceHeader": "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1"},
            "messageAttributes": {
                "traceparent": {"stringValue": "00-a-b-01", "stringListValues": [], "binaryListValues": [],
                                "dataType": "String"},
                "scan": {"binaryValue": "AAEC", "stringListValues": [], "binaryListValues": [],
                         "dataType": "Binary.png"}},
            "md5OfBody": "5d41", "md5OfMessageAttributes": "9a0f",
            "eventSource": "aws:sqs", "eventSourceARN": "arn:aws:sqs:eu-west-1:1:q", "awsRegion": "eu-west-1"
        }]});
        assert_eq!(event, expected);
    }

    #[test]
    fn the_answer_is_read_by_lambdas_rules() {
        let success = || Verdict::Failed(Vec::new());
        let cases = [
            ("", success()),
            ("null", success()),
            ("{}", success()),
            (r#"{"batchItemFailures":null}"#, success()),
            (r#"{"batchItemFailures":[]}"#, success()),
            (r#"{"batchItemFailures":[{"itemIdentifier":"m-1"}]}"#, Verdict::Failed(vec!["m-1".into()])),
            (r#"{"batchItemFailures":[{"itemIdentifier":"m-2"}]}"#, Verdict::AllFailed),
            (r#"{"batchItemFailures":[{"itemIdentifier":""}]}"#, Verdict::AllFailed),
            (r#"{"batchItemFailures":[{"itemIdentifier":null}]}"#, Verdict::AllFailed),
            (r#"{"batchItemFailures":[{}]}"#, Verdict::AllFailed),
            (r#"{"batchItemFailures":"m-1"}"#, Verdict::AllFailed),
            ("not json", Verdict::AllFailed),
        ];
        for (answer, verdict) in cases {
            assert_eq!(read_answer(answer.as_bytes(), &[message()]), verdict, "{answer}");
        }
    }
}

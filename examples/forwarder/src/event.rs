//! An SQS event in, a partial batch response out, and the CONSUMER span between them.
//!
//! `aws_lambda_events` has complete types; these are the fields that this function reads.

use std::collections::HashMap;

use opentelemetry::{
    KeyValue,
    trace::{SpanBuilder, SpanKind},
};
use serde::{Deserialize, Serialize};

#[derive(Debug, Deserialize)]
pub(crate) struct Batch {
    #[serde(rename = "Records")]
    pub(crate) records: Vec<Message>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Message {
    pub(crate) message_id: String,
    pub(crate) receipt_handle: String,
    pub(crate) body: String,
    #[serde(default)]
    attributes: SystemAttributes,
    #[serde(default)]
    message_attributes: HashMap<String, MessageAttribute>,
    #[serde(rename = "eventSourceARN", default)]
    event_source_arn: String,
}

/// What SQS itself says of a message.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct SystemAttributes {
    /// A number in quotes.
    approximate_receive_count: String,
}

/// What the sender says of a message; only text matters here.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct MessageAttribute {
    string_value: Option<String>,
}

/// The messages to deliver again. Needs `ReportBatchItemFailures` on the event source mapping.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BatchResponse {
    batch_item_failures: Vec<ItemFailure>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ItemFailure {
    item_identifier: String,
}

impl Batch {
    /// The invocation's span: CONSUMER, the root of its own trace. What is in the messages has traces of its own.
    pub(crate) fn span(&self) -> SpanBuilder {
        let queue = self.records.first().map_or("", Message::queue);
        let count = i64::try_from(self.records.len()).unwrap_or(i64::MAX);
        SpanBuilder::from_name(format!("process {queue}")).with_kind(SpanKind::Consumer).with_attributes([
            KeyValue::new("faas.trigger", "pubsub"),
            KeyValue::new("messaging.system", "aws_sqs"),
            KeyValue::new("messaging.operation.name", "process"),
            KeyValue::new("messaging.operation.type", "process"),
            KeyValue::new("messaging.destination.name", queue.to_owned()),
            KeyValue::new("messaging.batch.message_count", count),
        ])
    }
}

impl Message {
    pub(crate) fn queue(&self) -> &str {
        self.event_source_arn.rsplit(':').next().unwrap_or_default()
    }

    /// What its sender says of it under this name.
    pub(crate) fn attribute(&self, name: &str) -> Option<&str> {
        self.message_attributes.get(name)?.string_value.as_deref()
    }

    /// How often it was delivered, this time included.
    pub(crate) fn deliveries(&self) -> u32 {
        self.attributes.approximate_receive_count.parse().unwrap_or(1)
    }
}

impl BatchResponse {
    pub(crate) fn of(failed: &[&Message]) -> Self {
        let item = |message: &&Message| ItemFailure { item_identifier: message.message_id.clone() };
        Self { batch_item_failures: failed.iter().map(item).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENT: &str = r#"{"Records": [
        {"messageId": "m-1", "receiptHandle": "r-1", "body": "aGVsbG8=",
         "attributes": {"ApproximateReceiveCount": "3", "SentTimestamp": "1545082649183"},
         "messageAttributes": {
            "signal": {"stringValue": "traces", "stringListValues": [], "binaryListValues": [], "dataType": "String"},
            "scan": {"binaryValue": "AAEC", "stringListValues": [], "binaryListValues": [], "dataType": "Binary"}},
         "md5OfBody": "99914b932bd37a50b983c5e7c90ae93b", "eventSource": "aws:sqs",
         "eventSourceARN": "arn:aws:sqs:eu-central-1:123456789012:telemetry", "awsRegion": "eu-central-1"},
        {"messageId": "m-2", "receiptHandle": "r-2", "body": ""}
    ]}"#;

    #[test]
    fn an_event_is_read() {
        let batch: Batch = serde_json::from_str(EVENT).expect("it is an event");
        assert_eq!(batch.span().name, "process telemetry");
        let [first, second] = &batch.records[..] else { panic!("two messages") };
        assert_eq!(
            (first.attribute("signal"), first.attribute("scan"), first.deliveries()),
            (Some("traces"), None, 3)
        );
        assert_eq!((second.attribute("signal"), second.deliveries()), (None, 1));
    }

    #[test]
    fn only_failed_messages_come_back() {
        let json =
            |failed: &[&Message]| serde_json::to_string(&BatchResponse::of(failed)).expect("plain data");
        assert_eq!(json(&[]), r#"{"batchItemFailures":[]}"#);
        let message = Message { message_id: "m-2".into(), ..Message::default() };
        assert_eq!(json(&[&message]), r#"{"batchItemFailures":[{"itemIdentifier":"m-2"}]}"#);
    }
}

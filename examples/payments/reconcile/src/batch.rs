//! An SQS event in, a partial batch response out, and the CONSUMER span between them.
//!
//! `aws_lambda_events` has complete types; these are the fields that this function reads.

use std::collections::HashMap;

use opentelemetry::{
    KeyValue,
    trace::{Link, SpanBuilder, SpanKind, SpanRef},
};
use serde::{Deserialize, Serialize};

#[derive(Debug, Deserialize)]
pub(crate) struct Batch {
    #[serde(rename = "Records")]
    pub(crate) records: Vec<Message>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Message {
    pub(crate) message_id: String,
    pub(crate) receipt_handle: String,
    pub(crate) body: String,
    #[serde(default)]
    pub(crate) attributes: SystemAttributes,
    #[serde(default)]
    message_attributes: HashMap<String, MessageAttribute>,
    #[serde(rename = "eventSourceARN")]
    event_source_arn: String,
}

/// What SQS itself says of a message.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct SystemAttributes {
    /// A number in quotes.
    pub(crate) approximate_receive_count: String,
    #[serde(rename = "AWSTraceHeader")]
    aws_trace_header: Option<String>,
}

/// What the sender says of a message; only text matters here.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct MessageAttribute {
    string_value: Option<String>,
}

/// The messages to deliver again. Needs `ReportBatchItemFailures` on the event source mapping.
#[derive(Debug, Default, Serialize)]
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
    /// The invocation's span: CONSUMER, the root of its own trace, with a link to the sender of each
    /// message. A batch has many senders and a span has one parent: links are the only true answer.
    pub(crate) fn span(&self) -> SpanBuilder {
        SpanBuilder::from_name(format!("process {}", self.queue()))
            .with_kind(SpanKind::Consumer)
            .with_links(self.records.iter().filter_map(Message::link).collect())
            .with_attributes(self.attributes())
    }

    fn attributes(&self) -> Vec<KeyValue> {
        vec![
            KeyValue::new("faas.trigger", "pubsub"),
            KeyValue::new("messaging.system", "aws_sqs"),
            KeyValue::new("messaging.operation.name", "process"),
            KeyValue::new("messaging.operation.type", "process"),
            KeyValue::new("messaging.destination.name", self.queue().to_owned()),
            KeyValue::new(
                "messaging.batch.message_count",
                i64::try_from(self.records.len()).unwrap_or(i64::MAX),
            ),
        ]
    }

    /// An event source mapping reads one queue, so every message names the same.
    fn queue(&self) -> &str {
        self.records.first().map_or("", Message::queue)
    }
}

impl Message {
    pub(crate) fn queue(&self) -> &str {
        self.event_source_arn.rsplit(':').next().unwrap_or_default()
    }

    fn link(&self) -> Option<Link> {
        let headers: HashMap<String, String> = self
            .message_attributes
            .iter()
            .filter_map(|(name, attribute)| Some((name.clone(), attribute.string_value.clone()?)))
            .collect();
        let sender = telemetry::linked_context(&headers, self.attributes.aws_trace_header.as_deref())?;
        let id = KeyValue::new("messaging.message.id", self.message_id.clone());
        Some(Link::new(sender, vec![id], 0))
    }
}

impl BatchResponse {
    pub(crate) fn add(&mut self, message: &Message) {
        self.batch_item_failures.push(ItemFailure { item_identifier: message.message_id.clone() });
    }

    /// Puts the result on the span. For Lambda a partial failure is a success; for us it is not.
    pub(crate) fn record(&self, span: &SpanRef<'_>, messages: usize) {
        let failed = self.batch_item_failures.len();
        if failed > 0 {
            telemetry::fail(span, "batch_item_failure", format!("{failed} of {messages} messages failed"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENT: &str = r#"{"Records": [
        {"messageId": "m-1", "receiptHandle": "r-1", "body": "{}",
         "attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": "1545082649183",
            "AWSTraceHeader": "Root=1-0af76519-16cd43dd8448eb211c80319c;Parent=cccccccccccccccc;Sampled=1"},
         "messageAttributes": {
            "traceparent": {"stringValue": "00-0af7651916cd43dd8448eb211c80319c-aaaaaaaaaaaaaaaa-01",
                "stringListValues": [], "binaryListValues": [], "dataType": "String"},
            "scan": {"binaryValue": "AAEC", "stringListValues": [], "binaryListValues": [], "dataType": "Binary"}},
         "md5OfBody": "99914b932bd37a50b983c5e7c90ae93b", "eventSource": "aws:sqs",
         "eventSourceARN": "arn:aws:sqs:eu-central-1:123456789012:payments", "awsRegion": "eu-central-1"},
        {"messageId": "m-2", "receiptHandle": "r-2", "body": "{}",
         "attributes": {"ApproximateReceiveCount": "2",
            "AWSTraceHeader": "Root=1-0af76519-16cd43dd8448eb211c80319c;Parent=bbbbbbbbbbbbbbbb;Sampled=1"},
         "messageAttributes": {}, "md5OfBody": "99914b932bd37a50b983c5e7c90ae93b", "eventSource": "aws:sqs",
         "eventSourceARN": "arn:aws:sqs:eu-central-1:123456789012:payments", "awsRegion": "eu-central-1"},
        {"messageId": "m-3", "receiptHandle": "r-3", "body": "{}", "attributes": {}, "messageAttributes": {},
         "md5OfBody": "99914b932bd37a50b983c5e7c90ae93b", "eventSource": "aws:sqs",
         "eventSourceARN": "arn:aws:sqs:eu-central-1:123456789012:payments", "awsRegion": "eu-central-1"}
    ]}"#;

    fn batch() -> Batch {
        // The propagator is set by `Telemetry::start` in the function.
        let _ = telemetry::Telemetry::start();
        serde_json::from_str(EVENT).expect("it is an event")
    }

    #[test]
    fn a_batch_links_to_every_sender_it_knows() {
        let span = batch().span();
        let links = span.links.expect("two messages have a sender");
        let senders: Vec<_> = links.iter().map(|link| link.span_context.span_id().to_string()).collect();
        assert_eq!(senders, ["aaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbb"]);
        assert_eq!((span.name.as_ref(), span.span_kind), ("process payments", Some(SpanKind::Consumer)));
    }

    #[test]
    fn system_attributes_are_read() {
        let counts: Vec<_> =
            batch().records.into_iter().map(|m| m.attributes.approximate_receive_count).collect();
        assert_eq!(counts, ["1", "2", ""]);
    }

    #[test]
    fn only_failed_messages_come_back() {
        let mut response = BatchResponse::default();
        assert_eq!(serde_json::to_string(&response).expect("plain data"), r#"{"batchItemFailures":[]}"#);
        response.add(&batch().records[1]);
        assert_eq!(
            serde_json::to_string(&response).expect("plain data"),
            r#"{"batchItemFailures":[{"itemIdentifier":"m-2"}]}"#
        );
    }
}

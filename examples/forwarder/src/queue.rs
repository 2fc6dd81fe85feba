//! The queue: messages that failed wait longer each time, and those of the dead-letter queue can be moved back.

use std::{env, error::Error, time::Duration};

use aws_config::BehaviorVersion;
use aws_sdk_sqs::{
    Client,
    error::{DisplayErrorContext, ProvideErrorMetadata as _},
    types::ChangeMessageVisibilityBatchRequestEntry as Entry,
};
use aws_smithy_http_client::{
    Builder,
    tls::{Provider, rustls_provider::CryptoMode},
};
use opentelemetry::{
    KeyValue,
    trace::{SpanKind, TraceContextExt as _},
};
use telemetry::Telemetry;

use crate::event::Message;

/// After the first delivery; after the second twice as long, and so on. `RETRY_DELAY_S` overrides it.
const DELAY: Duration = Duration::from_secs(30);
/// A collector that is back after hours is found within this time.
const DELAY_MAX: Duration = Duration::from_secs(900);
/// As many messages as one call takes.
const CALL_MAX: usize = 10;

/// The queue at `QUEUE_URL`.
#[derive(Debug)]
pub(crate) struct Queue {
    sqs: Client,
    url: String,
    delay: Duration,
}

impl Queue {
    pub(crate) async fn from_env() -> Result<Self, Box<dyn Error + Send + Sync>> {
        let url = env::var("QUEUE_URL").map_err(|_| "QUEUE_URL must name the queue of the telemetry")?;
        let delay = match env::var("RETRY_DELAY_S") {
            Ok(seconds) => {
                Duration::from_secs(seconds.parse().map_err(|_| "RETRY_DELAY_S must be a number")?)
            }
            Err(_) => DELAY,
        };
        Ok(Self { sqs: client().await, url, delay })
    }

    /// Delays the next delivery of `messages`: a collector that is down should not use up their deliveries. Where that fails,
    /// the queue's own visibility timeout holds.
    pub(crate) async fn postpone(&self, telemetry: &Telemetry, messages: &[&Message]) {
        for messages in messages.chunks(CALL_MAX) {
            let queue = messages.first().map_or("", |message| message.queue()).to_owned();
            let cx = telemetry.span(
                format!("ChangeMessageVisibility {queue}"),
                SpanKind::Client,
                vec![
                    KeyValue::new("messaging.system", "aws_sqs"),
                    KeyValue::new("messaging.operation.name", "ChangeMessageVisibility"),
                    KeyValue::new("messaging.operation.type", "settle"),
                    KeyValue::new("messaging.destination.name", queue),
                ],
            );
            let entries = messages.iter().enumerate().map(|(index, message)| {
                let seconds = delay(self.delay, message.deliveries()).as_secs();
                let seconds = i32::try_from(seconds).unwrap_or(i32::MAX);
                let entry = Entry::builder().id(index.to_string()).receipt_handle(&message.receipt_handle);
                entry.visibility_timeout(seconds).build().expect("id and receipt are set")
            });
            let request = self.sqs.change_message_visibility_batch().queue_url(&self.url);
            let sent = Box::pin(request.set_entries(Some(entries.collect())).send()).await;
            if let Err(error) = sent {
                eprintln!("messages not postponed: {}", DisplayErrorContext(&error));
                telemetry::fail(&cx.span(), error.code().unwrap_or("_OTHER").to_owned(), "");
            }
            cx.span().end();
        }
    }
}

/// Begins to move the messages of the dead-letter queue with this ARN back to the queue that they came from; what was begun, for
/// people.
pub(crate) async fn redrive(arn: &str) -> Result<String, Box<dyn Error + Send + Sync>> {
    let request = client().await.start_message_move_task().source_arn(arn);
    let task = Box::pin(request.send()).await.map_err(|error| DisplayErrorContext(&error).to_string())?;
    let handle = task.task_handle().unwrap_or("without a handle");
    Ok(format!("moving: task {handle}\nsee: aws sqs list-message-move-tasks --source-arn {arn}"))
}

async fn client() -> Client {
    let http = Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    let config = aws_config::defaults(BehaviorVersion::latest()).http_client(http);
    Client::new(&Box::pin(config.load()).await)
}

fn delay(first: Duration, deliveries: u32) -> Duration {
    first.saturating_mul(deliveries.max(1)).min(DELAY_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_delivery_waits_longer() {
        assert_eq!(
            [0, 1, 2, 5, 30, 31, u32::MAX].map(|count| delay(DELAY, count).as_secs()),
            [30, 30, 60, 150, 900, 900, 900]
        );
    }
}

//! A failed message waits longer each time: its visibility timeout doubles with every delivery.

use std::{env, error::Error, time::Duration};

use aws_config::BehaviorVersion;
use aws_sdk_sqs::{
    Client,
    error::{DisplayErrorContext, ProvideErrorMetadata as _},
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

use crate::batch::Message;

const FIRST_DELAY: Duration = Duration::from_secs(1);
/// SQS accepts no visibility timeout beyond twelve hours; a quarter of an hour is patience enough.
const LONGEST_DELAY: Duration = Duration::from_secs(900);

/// The queue at `QUEUE_URL`.
#[derive(Debug)]
pub(crate) struct Retry {
    sqs: Client,
    queue_url: String,
}

impl Retry {
    pub(crate) async fn from_env() -> Result<Self, Box<dyn Error + Send + Sync>> {
        let queue_url = env::var("QUEUE_URL").map_err(|_| "QUEUE_URL must name the payment queue")?;
        let http = Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
        let config = aws_config::defaults(BehaviorVersion::latest()).http_client(http);
        Ok(Self { sqs: Client::new(&Box::pin(config.load()).await), queue_url })
    }

    /// Delays the next delivery. When that fails, the queue's own visibility timeout holds.
    pub(crate) async fn postpone(&self, telemetry: &Telemetry, message: &Message) {
        let delay = delay(&message.attributes.approximate_receive_count);
        let cx = telemetry.span(
            format!("ChangeMessageVisibility {}", message.queue()),
            SpanKind::Client,
            vec![
                KeyValue::new("messaging.system", "aws_sqs"),
                KeyValue::new("messaging.operation.name", "ChangeMessageVisibility"),
                KeyValue::new("messaging.operation.type", "settle"),
                KeyValue::new("messaging.destination.name", message.queue().to_owned()),
                KeyValue::new("messaging.message.id", message.message_id.clone()),
            ],
        );
        let request = self
            .sqs
            .change_message_visibility()
            .queue_url(&self.queue_url)
            .receipt_handle(&message.receipt_handle)
            .visibility_timeout(i32::try_from(delay.as_secs()).unwrap_or(i32::MAX));
        if let Err(error) = Box::pin(request.send()).await {
            eprintln!("message {} not postponed: {}", message.message_id, DisplayErrorContext(&error));
            telemetry::fail(&cx.span(), error.code().unwrap_or("_OTHER").to_owned(), "");
        }
        cx.span().end();
    }
}

fn delay(receive_count: &str) -> Duration {
    let deliveries: u32 = receive_count.parse().unwrap_or(1);
    let factor = 2_u32.saturating_pow(deliveries.saturating_sub(1));
    FIRST_DELAY.saturating_mul(factor).min(LONGEST_DELAY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_delivery_waits_twice_as_long() {
        let seconds = |count| delay(count).as_secs();
        assert_eq!([seconds("1"), seconds("2"), seconds("3")], [1, 2, 4]);
        assert_eq!([seconds("11"), seconds("400"), seconds("")], [900, 900, 1]);
    }
}

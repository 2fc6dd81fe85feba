//! The queue to reconciliation, and the PRODUCER span of each message: the span that consumers link to.

use std::{collections::HashMap, env, error::Error};

use aws_config::BehaviorVersion;
use aws_sdk_sqs::{
    Client,
    error::{ProvideErrorMetadata as _, SdkError},
    operation::send_message::{SendMessageError, SendMessageOutput},
    types::{
        MessageAttributeValue, MessageSystemAttributeNameForSends as SystemAttribute,
        MessageSystemAttributeValue,
    },
};
use aws_smithy_http_client::{
    Builder,
    tls::{Provider, rustls_provider::CryptoMode},
};
use opentelemetry::{
    Context, KeyValue,
    context::FutureExt as _,
    trace::{SpanKind, TraceContextExt as _},
};
use telemetry::Telemetry;

use crate::payment::Payment;

/// The queue at `QUEUE_URL`.
#[derive(Debug)]
pub(crate) struct Queue {
    sqs: Client,
    url: String,
}

type SendError = SdkError<SendMessageError>;

impl Queue {
    pub(crate) async fn from_env() -> Result<Self, Box<dyn Error + Send + Sync>> {
        let url = env::var("QUEUE_URL").map_err(|_| "QUEUE_URL must name the payment queue")?;
        let http = Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
        let config = aws_config::defaults(BehaviorVersion::latest()).http_client(http);
        Ok(Self { sqs: Client::new(&Box::pin(config.load()).await), url })
    }

    pub(crate) async fn send(&self, telemetry: &Telemetry, payment: &Payment) -> Result<(), SendError> {
        let name = format!("send {}", self.name());
        let cx = telemetry.span(name, SpanKind::Producer, self.attributes());
        let sent = Box::pin(self.send_message(payment)).with_context(cx.clone()).await;
        match &sent {
            Ok(message) => {
                let id = message.message_id().unwrap_or_default().to_owned();
                cx.span().set_attribute(KeyValue::new("messaging.message.id", id));
            }
            Err(error) => telemetry::fail(&cx.span(), error_type(error), ""),
        }
        cx.span().end();
        sent.map(drop)
    }

    /// The context travels twice: in message attributes, which any OpenTelemetry consumer reads, and in
    /// `AWSTraceHeader`, which AWS services read and which costs none of the ten attributes.
    async fn send_message(&self, payment: &Payment) -> Result<SendMessageOutput, SendError> {
        let cx = Context::current();
        let body = serde_json::to_string(&payment.authorized()).expect("a payment is plain data");
        let attributes = telemetry::headers(&cx).into_iter().map(|(name, value)| (name, text(value)));
        let xray = MessageSystemAttributeValue::builder()
            .data_type("String")
            .string_value(telemetry::xray_header(cx.span().span_context()))
            .build()
            .expect("the data type is set");
        self.sqs
            .send_message()
            .queue_url(&self.url)
            .message_body(body)
            .set_message_attributes(Some(attributes.collect::<HashMap<_, _>>()))
            .message_system_attributes(SystemAttribute::AwsTraceHeader, xray)
            .send()
            .await
    }

    fn attributes(&self) -> Vec<KeyValue> {
        vec![
            KeyValue::new("messaging.system", "aws_sqs"),
            KeyValue::new("messaging.operation.name", "send"),
            KeyValue::new("messaging.operation.type", "send"),
            KeyValue::new("messaging.destination.name", self.name().to_owned()),
            KeyValue::new("aws.sqs.queue.url", self.url.clone()),
        ]
    }

    fn name(&self) -> &str {
        self.url.rsplit('/').next().unwrap_or_default()
    }
}

fn text(value: String) -> MessageAttributeValue {
    let attribute = MessageAttributeValue::builder().data_type("String").string_value(value);
    attribute.build().expect("the data type is set")
}

fn error_type(error: &SendError) -> String {
    match error {
        SdkError::TimeoutError(_) => "timeout".into(),
        SdkError::DispatchFailure(_) => "connect".into(),
        _ => error.code().unwrap_or("_OTHER").to_owned(),
    }
}

//! Reconciles authorized payments: one invocation is a batch of messages, one link leads to each sender.

mod batch;
mod ledger;
mod retry;

use std::sync::Arc;

use lambda_runtime::{Error, LambdaEvent, service_fn};
use opentelemetry::{
    Context, KeyValue,
    context::FutureExt as _,
    trace::{SpanKind, TraceContextExt as _},
};
use telemetry::Telemetry;

use crate::{
    batch::{Batch, BatchResponse, Message},
    ledger::Rejection,
    retry::Retry,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let reconcile = Reconcile { telemetry: Telemetry::start(), retry: Retry::from_env().await? };
    let reconcile = Arc::new(reconcile);
    // One at a time, unless `AWS_LAMBDA_MAX_CONCURRENCY` asks for more workers: on Lambda Managed Instances.
    lambda_runtime::run_concurrent(service_fn(move |event| {
        let reconcile = Arc::clone(&reconcile);
        async move { reconcile.handle(event).await }
    }))
    .await
}

struct Reconcile {
    telemetry: Telemetry,
    retry: Retry,
}

impl Reconcile {
    async fn handle(&self, event: LambdaEvent<Batch>) -> Result<BatchResponse, Error> {
        let (batch, lambda) = event.into_parts();
        let cx = self.telemetry.invocation(batch.span(), &Context::new(), &lambda);

        let response = self.process(&batch).with_context(cx.clone()).await;

        response.record(&cx.span(), batch.records.len());
        cx.span().end();
        self.telemetry.flush().await;
        Ok(response)
    }

    /// Each message on its own: one that fails is reported, and comes back without the others.
    async fn process(&self, batch: &Batch) -> BatchResponse {
        let mut response = BatchResponse::default();
        for message in &batch.records {
            if self.reconcile(message).is_err() {
                response.add(message);
                self.retry.postpone(&self.telemetry, message).await;
            }
        }
        response
    }

    fn reconcile(&self, message: &Message) -> Result<(), Rejection> {
        let id = KeyValue::new("messaging.message.id", message.message_id.clone());
        let cx = self.telemetry.span("reconcile payment", SpanKind::Internal, vec![id]);
        let posted = ledger::post(&message.body);
        match &posted {
            Ok(payment) => cx.span().set_attribute(KeyValue::new("payment.id", payment.id.clone())),
            Err(rejection) => telemetry::fail(&cx.span(), rejection.error_type(), rejection.to_string()),
        }
        posted.map(drop)
    }
}

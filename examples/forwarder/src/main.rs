//! Sends telemetry from a queue on to a collector: a batch of messages in, one request for each signal out, and back to the
//! queue exactly what did not arrive.
//!
//! `forwarder redrive <ARN>` moves the messages of the dead-letter queue back to where they came from.

mod collector;
mod delivery;
mod event;
mod parcel;
mod queue;
mod seen;

use std::{
    env,
    process::ExitCode,
    sync::Arc,
    time::{Duration, SystemTime},
};

use lambda_runtime::{Error, LambdaEvent, service_fn};
use opentelemetry::{Context, context::FutureExt as _, trace::TraceContextExt as _};
use telemetry::Telemetry;

use crate::{
    collector::Collector,
    delivery::Delivery,
    event::{Batch, BatchResponse},
    queue::Queue,
    seen::Seen,
};

/// What is kept of an invocation's time for the answer, for what it postpones, and for its own spans.
const RESERVE: Duration = Duration::from_secs(5);
/// Of that for what it postpones. Without an answer, the whole batch would come back.
const POSTPONING: Duration = Duration::from_secs(3);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<ExitCode, Error> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if arguments.is_empty() {
        serve().await?;
        return Ok(ExitCode::SUCCESS);
    }
    match &arguments[..] {
        [word, arn] if word == "redrive" => println!("{}", queue::redrive(arn).await?),
        _ => {
            eprintln!("usage: forwarder redrive <ARN of the dead-letter queue>");
            return Ok(ExitCode::FAILURE);
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn serve() -> Result<(), Error> {
    let forwarder = Forwarder {
        telemetry: Telemetry::start(),
        collector: Collector::from_env()?,
        queue: Queue::from_env().await?,
        seen: Seen::default(),
    };
    let forwarder = Arc::new(forwarder);
    // One at a time, unless `AWS_LAMBDA_MAX_CONCURRENCY` asks for more workers: on Lambda Managed Instances.
    lambda_runtime::run_concurrent(service_fn(move |event| {
        let forwarder = Arc::clone(&forwarder);
        async move { forwarder.handle(event).await }
    }))
    .await
}

struct Forwarder {
    telemetry: Telemetry,
    collector: Collector,
    queue: Queue,
    seen: Seen,
}

impl Forwarder {
    /// Always answers with the list of what failed. An error would bring the whole batch back, what has arrived with it.
    async fn handle(&self, event: LambdaEvent<Batch>) -> Result<BatchResponse, Error> {
        let (batch, lambda) = event.into_parts();
        let cx = self.telemetry.invocation(batch.span(), &Context::new(), &lambda);

        let response = self.forward(&batch, left(lambda.deadline)).with_context(cx.clone()).await;

        cx.span().end();
        self.telemetry.flush().await;
        Ok(response)
    }

    async fn forward(&self, batch: &Batch, left: Duration) -> BatchResponse {
        let delivery = Delivery::new(&self.telemetry, &self.collector, &self.seen, left);
        let outcome = delivery.deliver(batch).await;
        outcome.record(&Context::current().span(), batch.records.len());
        let postponed = self.queue.postpone(&self.telemetry, &outcome.failed);
        if tokio::time::timeout(POSTPONING, postponed).await.is_err() {
            eprintln!("messages not postponed: SQS did not answer in time");
        }
        BatchResponse::of(&outcome.failed)
    }
}

/// The time that requests to the collector may take, in an invocation that ends at `deadline`, in milliseconds since 1970.
fn left(deadline: u64) -> Duration {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Duration::from_millis(deadline).saturating_sub(now).saturating_sub(RESERVE)
}

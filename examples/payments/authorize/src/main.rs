//! Authorizes a payment: asks a third party for its fraud risk, then queues it for reconciliation.

mod fraud;
mod http;
mod payment;
mod queue;

use std::{env, sync::Arc};

use lambda_runtime::{Error, LambdaEvent, service_fn};
use opentelemetry::{
    KeyValue,
    context::FutureExt as _,
    trace::{SpanKind, TraceContextExt as _},
};
use telemetry::Telemetry;

use crate::{
    fraud::{Fraud, Verdict},
    http::{Request, Response},
    payment::{Payment, Refusal},
    queue::Queue,
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let telemetry = Telemetry::start();
    let authorize = Authorize { telemetry, fraud: Fraud::from_env()?, queue: Queue::from_env().await? };
    let authorize = Arc::new(authorize);
    // One at a time, unless `AWS_LAMBDA_MAX_CONCURRENCY` asks for more workers: on Lambda Managed Instances.
    lambda_runtime::run_concurrent(service_fn(move |event| {
        let authorize = Arc::clone(&authorize);
        async move { authorize.handle(event).await }
    }))
    .await
}

struct Authorize {
    telemetry: Telemetry,
    fraud: Fraud,
    queue: Queue,
}

impl Authorize {
    async fn handle(&self, event: LambdaEvent<Request>) -> Result<Response, Error> {
        let (request, lambda) = event.into_parts();
        let caller = telemetry::context_from(&request.headers);
        let cx = self.telemetry.invocation(request.span(), &caller, &lambda);

        let answer = self.authorize(&request).with_context(cx.clone()).await;
        let response = Response::from(&answer);

        response.record(&cx.span());
        cx.span().set_attributes(payment::outcome(&answer));
        cx.span().end();
        self.telemetry.flush().await;
        Ok(response)
    }

    async fn authorize(&self, request: &Request) -> Result<Payment, Refusal> {
        let payment = self.validate(request)?;
        let verdict = self.fraud.score(&self.telemetry, &payment).await;
        crash_on_demand(&payment);
        match verdict {
            Ok(Verdict::Approve) => {}
            Ok(Verdict::Decline { reason }) => return Err(Refusal::Declined { reason }),
            Err(error) => return Err(Refusal::unavailable("fraud check", &error)),
        }
        self.queue
            .send(&self.telemetry, &payment)
            .await
            .map_err(|error| Refusal::unavailable("payment queue", &error))?;
        Ok(payment)
    }

    fn validate(&self, request: &Request) -> Result<Payment, Refusal> {
        let cx = self.telemetry.span("validate payment", SpanKind::Internal, vec![]);
        let payment = Payment::parse(request.body.as_deref().unwrap_or_default());
        if let Ok(payment) = &payment {
            cx.span().set_attribute(KeyValue::new("payment.id", payment.id.clone()));
        }
        payment
    }
}

/// Dies as a bug in native code would, to show what a crash looks like. Only the demo asks for it.
fn crash_on_demand(payment: &Payment) {
    if payment.card_token == "tok_crash" && env::var_os("PAYMENTS_TEST_MODE").is_some() {
        std::process::abort();
    }
}

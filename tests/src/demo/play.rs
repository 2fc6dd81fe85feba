//! The play itself: payments in, batches out of the queue, receipts beside them.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    time::{Duration, Instant},
};

use bytes::Bytes;
use sandbox::{
    InvokeRequest, Lambda, Outcome,
    event_source::{EventSourceMapping, Summary},
};
use serde_json::Value;
use tokio::sync::Notify;

use super::{
    Trouble,
    functions::{AUTHORIZE, RECEIPT, RECONCILE},
    payments::{End, PAYMENTS, Payment},
    progress::Progress,
    sqs::Sqs,
};

/// Gathers the payments of a moment into one batch, without making the demo wait.
const BATCHING_WINDOW: Duration = Duration::from_millis(300);
/// How long the last message may take after the last payment, its second delivery included.
const QUEUE_PATIENCE: Duration = Duration::from_secs(15);
/// Payments that get a receipt.
const RECEIPTS: usize = 2;

/// What was done, and what the functions answered.
#[derive(Debug)]
pub(super) struct Played {
    /// In the order in which they ended.
    pub(super) invocations: Vec<Invocation>,
    /// What the event source mapping did.
    pub(super) queue: Summary,
    /// Messages in the dead-letter queue at the end.
    pub(super) dead_letters: usize,
}

#[derive(Debug)]
pub(super) struct Invocation {
    pub(super) function: &'static str,
    pub(super) request_id: String,
    pub(super) part: Part,
    pub(super) function_error: Option<String>,
    pub(super) answer: Value,
}

/// What an invocation was for.
#[derive(Debug)]
pub(super) enum Part {
    Payment(&'static Payment),
    Batch(Vec<Delivery>),
    Receipt(&'static Payment),
}

/// One message of a batch.
#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) payment: &'static Payment,
    /// Whether the function reported it as failed.
    pub(super) is_failed: bool,
}

impl Invocation {
    fn new(function: &'static str, part: Part, outcome: &Outcome) -> Self {
        Self {
            function,
            request_id: outcome.request_id.clone(),
            part,
            function_error: outcome.function_error.clone(),
            answer: outcome.json(),
        }
    }
}

/// Plays until every message has come to its end, or patience is out; what is missing then, the checks find.
pub(super) async fn play(lambda: &Lambda, sqs: &Sqs, progress: &Progress) -> Result<Played, Trouble> {
    let invocations = RefCell::new(Vec::new());
    let over = Notify::new();
    let mapping = EventSourceMapping {
        batching_window: BATCHING_WINDOW,
        ..EventSourceMapping::new(&sqs.queue_url, &sqs.queue_arn)
    };
    let reconcile = async |event| reconcile(lambda, &invocations, event).await;
    let pay = async {
        let result = pay(lambda, sqs, &invocations, progress).await;
        over.notify_one();
        result
    };
    let (dead_letters, receipts, queue) =
        tokio::join!(pay, print_receipts(lambda, &invocations), mapping.run(reconcile, over.notified()),);
    receipts?;
    Ok(Played { dead_letters: dead_letters?, queue, invocations: invocations.into_inner() })
}

/// Makes every payment, then waits for the queue; says how many messages nobody could take.
async fn pay(
    lambda: &Lambda,
    sqs: &Sqs,
    invocations: &RefCell<Vec<Invocation>>,
    progress: &Progress,
) -> Result<usize, Trouble> {
    for payment in &PAYMENTS {
        let outcome = invoke(lambda, AUTHORIZE, InvokeRequest::json(&payment.http_event())).await?;
        progress.say(&line(payment, &outcome));
        invocations.borrow_mut().push(Invocation::new(AUTHORIZE, Part::Payment(payment), &outcome));
    }
    let deadline = Instant::now() + QUEUE_PATIENCE;
    let expected = PAYMENTS.iter().filter(|payment| payment.end == End::DeadLetter).count();
    loop {
        let dead_letters = sqs.dead_letters().await?;
        if dead_letters >= expected && is_all_delivered(&invocations.borrow()) {
            progress.say(&format!("queue: all delivered, {dead_letters} in the dead-letter queue"));
            return Ok(dead_letters);
        }
        if Instant::now() > deadline {
            progress.say(&format!("queue: not all delivered within {QUEUE_PATIENCE:?}"));
            return Ok(dead_letters);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn line(payment: &Payment, outcome: &Outcome) -> String {
    let status = outcome.json()["statusCode"].as_u64();
    let status = status.map_or_else(|| "no answer".into(), |status| format!("answered {status}"));
    let cold = if outcome.cold_start { "  cold start" } else { "" };
    let Outcome { response_ms, .. } = outcome;
    format!("payment {}  {:<12}  {status:<12}  {response_ms:>5.0} ms{cold}", payment.id, payment.end.name())
}

fn is_all_delivered(invocations: &[Invocation]) -> bool {
    let mut delivered = BTreeMap::<&str, usize>::new();
    for invocation in invocations {
        if let Part::Batch(deliveries) = &invocation.part {
            deliveries.iter().for_each(|delivery| *delivered.entry(delivery.payment.id).or_default() += 1);
        }
    }
    let delivered = |payment: &Payment| delivered.get(payment.id).copied().unwrap_or_default();
    PAYMENTS.iter().all(|payment| delivered(payment) >= payment.deliveries())
}

async fn print_receipts(lambda: &Lambda, invocations: &RefCell<Vec<Invocation>>) -> Result<(), Trouble> {
    for payment in PAYMENTS.iter().filter(|payment| payment.end == End::Reconciled).take(RECEIPTS) {
        let outcome = invoke(lambda, RECEIPT, InvokeRequest::json(&payment.receipt_event())).await?;
        invocations.borrow_mut().push(Invocation::new(RECEIPT, Part::Receipt(payment), &outcome));
    }
    Ok(())
}

/// What the event source mapping does with a batch.
async fn reconcile(
    lambda: &Lambda,
    invocations: &RefCell<Vec<Invocation>>,
    event: Bytes,
) -> Result<Bytes, Trouble> {
    let records: Value =
        serde_json::from_slice(&event).map_err(|error| Trouble::new("the mapping made no JSON", error))?;
    let request = InvokeRequest { payload: event, ..InvokeRequest::default() };
    let outcome = invoke(lambda, RECONCILE, request).await?;
    let part = Part::Batch(deliveries(&records, &outcome.json()));
    invocations.borrow_mut().push(Invocation::new(RECONCILE, part, &outcome));
    match outcome.function_error {
        None => Ok(outcome.payload),
        Some(error) => Err(error.into()),
    }
}

/// Which payments were in the batch, and which of them failed. A message that is no payment of ours is left
/// out: then the links of the trace do not fit, and the checks say so.
fn deliveries(event: &Value, answer: &Value) -> Vec<Delivery> {
    let records = event["Records"].as_array().map(Vec::as_slice).unwrap_or_default();
    let failures = answer["batchItemFailures"].as_array().map(Vec::as_slice).unwrap_or_default();
    let delivery = |record: &Value| {
        let body: Value = serde_json::from_str(record["body"].as_str()?).ok()?;
        let payment = PAYMENTS.iter().find(|payment| body["id"] == payment.id)?;
        let is_failed = failures.iter().any(|failure| failure["itemIdentifier"] == record["messageId"]);
        Some(Delivery { payment, is_failed })
    };
    records.iter().filter_map(delivery).collect()
}

async fn invoke(lambda: &Lambda, function: &str, request: InvokeRequest) -> Result<Outcome, Trouble> {
    let outcome = lambda.invoke(function, request).await;
    outcome.map_err(|error| Trouble::new(format!("cannot invoke {function}"), error))
}

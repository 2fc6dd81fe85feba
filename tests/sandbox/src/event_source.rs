//! SQS event source mapping: polls a queue, invokes a function with what it finds, deletes what succeeded.
//!
//! It speaks the AWS JSON 1.0 protocol of SQS to any local server, without signing its requests. Nothing
//! here knows the rest of the sandbox: the function is whatever closure [`EventSourceMapping::run`] is given.
//!
//! ```no_run
//! # async fn demo(lambda: sandbox::Lambda) {
//! use sandbox::event_source::EventSourceMapping;
//!
//! let mapping = EventSourceMapping::new(
//!     "http://127.0.0.1:4566/000000000000/payments",
//!     "arn:aws:sqs:us-east-1:000000000000:payments",
//! );
//! let invoke = async |event| Ok::<_, std::convert::Infallible>(event); // here goes the function
//! let summary = mapping.run(invoke, async { std::future::pending().await }).await;
//! println!("{} messages", summary.messages);
//! # }
//! ```

mod event;
mod sqs;

use std::{fmt, pin::pin, time::Duration};

use bytes::Bytes;
use tokio::time::Instant;

use self::{
    event::Verdict,
    sqs::{Message, Sqs},
};

/// SQS hands out at most this many messages at once; a larger batch takes several polls.
const RECEIVE_LIMIT: usize = 10;
/// How long SQS may hold a poll open while the queue is empty: its own maximum.
const LONG_POLL: Duration = Duration::from_secs(20);
/// Between two polls while a batch fills up: a window is often shorter than a long poll's whole seconds.
const SHORT_POLL_PAUSE: Duration = Duration::from_millis(50);
/// After a poll that failed. A local server that is gone rarely comes back at once.
const ERROR_PAUSE: Duration = Duration::from_millis(200);

/// What to poll and how to batch it; the fields are those of `CreateEventSourceMapping`.
///
/// Batches are invoked one after the other: the lowest concurrency that Lambda would use.
#[derive(Clone, Debug)]
pub struct EventSourceMapping {
    /// Where the queue is: `http://host:port/account/name`. Only plain HTTP.
    pub queue_url: String,
    /// `eventSourceARN` of every record; its fourth field is `awsRegion`.
    pub queue_arn: String,
    /// Messages in a batch, at most. Lambda allows 10,000; above 10 it wants a batching window.
    pub batch_size: usize,
    /// How long a batch that is not full waits for more, counted from its first message.
    pub batching_window: Duration,
    /// How long a received message stays hidden, in whole seconds; `None` leaves it to the queue, as Lambda does.
    pub visibility_timeout: Option<Duration>,
    /// `ReportBatchItemFailures`: the function's answer names the messages to deliver again. Without it an
    /// answer of any kind is a success of the whole batch.
    pub reports_item_failures: bool,
}

/// What a mapping did until it was stopped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Invocations.
    pub batches: usize,
    /// Messages in them; one that was delivered twice counts twice.
    pub messages: usize,
    /// Messages deleted, because the function took them.
    pub deleted: usize,
    /// Messages left to reappear, because the function did not.
    pub returned: usize,
    /// Requests to SQS that failed, and the last one's reason.
    pub errors: usize,
    /// Why the last failed request failed.
    pub last_error: Option<String>,
}

impl EventSourceMapping {
    /// A mapping with Lambda's defaults for SQS: ten messages, no window; and partial batch responses on.
    pub fn new(queue_url: impl Into<String>, queue_arn: impl Into<String>) -> Self {
        Self {
            queue_url: queue_url.into(),
            queue_arn: queue_arn.into(),
            batch_size: 10,
            batching_window: Duration::ZERO,
            visibility_timeout: None,
            reports_item_failures: true,
        }
    }

    /// Polls until `stop` resolves. A batch that is being processed then is finished first; a poll that is
    /// waiting is dropped, and what SQS gave to it reappears after its visibility timeout.
    ///
    /// `invoke` gets the event's JSON and gives the function's answer; an error means that the invocation
    /// failed (function error, throttle, timeout), and the whole batch reappears.
    pub async fn run<E: fmt::Display>(
        self,
        invoke: impl AsyncFn(Bytes) -> Result<Bytes, E>,
        stop: impl Future<Output = ()>,
    ) -> Summary {
        let mut stop = pin!(stop);
        let mut summary = Summary::default();
        let sqs = match Sqs::new(&self.queue_url, self.visibility_timeout) {
            Ok(sqs) => sqs,
            Err(error) => {
                summary.note(&error);
                return summary;
            }
        };
        loop {
            let batch = tokio::select! {
                biased;
                () = &mut stop => return summary,
                batch = self.next_batch(&sqs, &mut summary) => batch,
            };
            self.process(&sqs, batch, &invoke, &mut summary).await;
        }
    }

    /// Waits for a message, then for the batch to be full or the window to be over.
    async fn next_batch(&self, sqs: &Sqs, summary: &mut Summary) -> Vec<Message> {
        let mut batch = Vec::new();
        let mut closes_at = None;
        while closes_at.is_none_or(|at| Instant::now() < at) && batch.len() < self.batch_size {
            let patience = if batch.is_empty() { LONG_POLL } else { Duration::ZERO };
            let room = (self.batch_size - batch.len()).min(RECEIVE_LIMIT);
            match sqs.receive(room, patience).await {
                Ok(messages) if messages.is_empty() => tokio::time::sleep(SHORT_POLL_PAUSE).await,
                Ok(messages) => batch.extend(messages),
                Err(error) => {
                    summary.note(&error);
                    tokio::time::sleep(ERROR_PAUSE).await;
                }
            }
            if !batch.is_empty() && closes_at.is_none() {
                closes_at = Some(Instant::now() + self.batching_window);
            }
        }
        batch
    }

    async fn process<E: fmt::Display>(
        &self,
        sqs: &Sqs,
        batch: Vec<Message>,
        invoke: &impl AsyncFn(Bytes) -> Result<Bytes, E>,
        summary: &mut Summary,
    ) {
        summary.batches += 1;
        summary.messages += batch.len();
        let taken = match invoke(event::build(&batch, &self.queue_arn)).await {
            Err(_) => Vec::new(),
            Ok(_) if !self.reports_item_failures => batch.iter().collect(),
            Ok(answer) => match event::read_answer(&answer, &batch) {
                Verdict::AllFailed => Vec::new(),
                Verdict::Failed(ids) => batch.iter().filter(|m| !ids.contains(&m.message_id)).collect(),
            },
        };
        summary.returned += batch.len() - taken.len();
        for chunk in taken.chunks(RECEIVE_LIMIT) {
            match sqs.delete(chunk).await {
                Ok(deleted) => summary.deleted += deleted,
                Err(error) => summary.note(&error),
            }
        }
    }
}

impl Summary {
    fn note(&mut self, error: &sqs::Error) {
        self.errors += 1;
        self.last_error = Some(error.to_string());
    }
}

#[cfg(test)]
mod tests;

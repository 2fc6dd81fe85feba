//! One batch on its way: grouped by signal, joined, sent, and parted where the collector refuses it, down to the message
//! that is the reason.

use std::{collections::HashSet, time::Duration};

use opentelemetry::{KeyValue, trace::SpanRef};
use telemetry::Telemetry;
use tokio::time::Instant;

use crate::{
    collector::{Collector, Verdict},
    event::{Batch, Message},
    parcel::{Parcel, Signal, unpack},
    seen::Seen,
};

/// A request to the collector has no more than this before packing, or one message: collectors take 20 MiB, and
/// many stores less.
const REQUEST_BYTES_MAX: usize = 4 << 20;

/// So much is unpacked at once: six megabytes of messages may be gigabytes, and the function has 512 MB.
const UNPACKED_BYTES_MAX: usize = 128 << 20;

/// How a batch is delivered.
pub(crate) struct Delivery<'a> {
    telemetry: &'a Telemetry,
    collector: &'a Collector,
    seen: &'a Seen,
    until: Instant,
}

/// What became of a batch.
#[derive(Debug, Default)]
pub(crate) struct Outcome<'a> {
    /// Messages to deliver again, whatever they failed for.
    pub(crate) failed: Vec<&'a Message>,
    delivered: usize,
    /// Of batches that the collector has already.
    duplicates: usize,
    /// Of the failed: those that failed for what is in them.
    refused: usize,
}

impl<'a> Delivery<'a> {
    /// One that may take as long as there is time `left`.
    pub(crate) fn new(
        telemetry: &'a Telemetry,
        collector: &'a Collector,
        seen: &'a Seen,
        left: Duration,
    ) -> Self {
        Self { telemetry, collector, seen, until: Instant::now() + left }
    }

    pub(crate) async fn deliver<'b>(&self, batch: &'b Batch) -> Outcome<'b> {
        let mut outcome = Outcome::default();
        let mut parcels = parcels(batch, self.seen, &mut outcome);
        // Stable: within a signal they stay in their order.
        parcels.sort_by_key(|parcel| parcel.signal);
        for of_it in parcels.chunk_by(|one, other| one.signal == other.signal) {
            self.deliver_signal(of_it[0].signal, of_it, &mut outcome).await;
        }
        outcome
    }

    /// Sends parcels of one signal. Once the collector does not take it now, the rest of the signal is not tried.
    async fn deliver_signal<'b>(&self, signal: Signal, parcels: &[Parcel<'b>], outcome: &mut Outcome<'b>) {
        // What comes first is last.
        let mut waiting: Vec<_> = requests(parcels).into_iter().rev().collect();
        while let Some(request) = waiting.pop() {
            let left = self.until.saturating_duration_since(Instant::now());
            let verdict = match left {
                Duration::ZERO => Verdict::Later,
                left => self.collector.post(self.telemetry, signal, request, left).await,
            };
            match (verdict, request) {
                (Verdict::Delivered, _) => {
                    outcome.delivered += request.len();
                    request.iter().filter_map(|parcel| parcel.batch).for_each(|batch| self.seen.add(batch));
                }
                (Verdict::Refused, [parcel]) => outcome.refuse(parcel.message, "the collector refuses it"),
                (Verdict::Refused, _) => {
                    let (first, second) = request.split_at(request.len() / 2);
                    waiting.extend([second, first]);
                }
                (Verdict::Later, _) => {
                    let rest = waiting.iter().flat_map(|request| request.iter());
                    outcome.failed.extend(request.iter().chain(rest).map(|parcel| parcel.message));
                    return;
                }
            }
        }
    }
}

/// What is in the messages of `batch` that can be read, and are none that the collector has.
fn parcels<'b>(batch: &'b Batch, seen: &Seen, outcome: &mut Outcome<'b>) -> Vec<Parcel<'b>> {
    let (mut parcels, mut names, mut unpacked) = (Vec::new(), HashSet::new(), 0);
    for message in &batch.records {
        let name = message.attribute("prefreeze-batch");
        // The other one of this event may fail: then that one comes back, and is enough.
        if name.is_some_and(|name| seen.has(name) || !names.insert(name)) {
            outcome.duplicates += 1;
            continue;
        }
        match unpack(message) {
            // A message of `prefreeze doctor`: there is nothing to send on.
            Ok((_, otlp)) if otlp.is_empty() => outcome.delivered += 1,
            // Those before it make room for it: it comes back.
            Ok((_, otlp)) if unpacked + otlp.len() > UNPACKED_BYTES_MAX => outcome.failed.push(message),
            Ok((signal, otlp)) => {
                unpacked += otlp.len();
                parcels.push(Parcel { message, signal, batch: name, otlp });
            }
            Err(reason) => outcome.refuse(message, &reason.to_string()),
        }
    }
    parcels
}

/// Parts `parcels` so that each request is within the bound; one that is larger goes alone.
fn requests<'p, 'b>(parcels: &'p [Parcel<'b>]) -> Vec<&'p [Parcel<'b>]> {
    let mut requests = Vec::new();
    let (mut start, mut size) = (0, 0);
    for (index, parcel) in parcels.iter().enumerate() {
        if index > start && size + parcel.otlp.len() > REQUEST_BYTES_MAX {
            requests.push(&parcels[start..index]);
            (start, size) = (index, 0);
        }
        size += parcel.otlp.len();
    }
    if start < parcels.len() {
        requests.push(&parcels[start..]);
    }
    requests
}

impl<'a> Outcome<'a> {
    fn refuse(&mut self, message: &'a Message, reason: &str) {
        // Neither its body nor what the collector says of it: both may be data.
        eprintln!("message {} goes to the dead-letter queue if it fails on: {reason}", message.message_id);
        self.refused += 1;
        self.failed.push(message);
    }

    /// Puts it on the invocation's span. For Lambda a partial failure is a success; for us it is not.
    pub(crate) fn record(&self, span: &SpanRef<'_>, messages: usize) {
        let failed = self.failed.len();
        for (name, count) in [
            ("forwarder.messages.delivered", self.delivered),
            ("forwarder.messages.duplicate", self.duplicates),
            ("forwarder.messages.failed", failed),
            ("forwarder.messages.refused", self.refused),
        ] {
            span.set_attribute(KeyValue::new(name, i64::try_from(count).unwrap_or(i64::MAX)));
        }
        if failed > 0 {
            telemetry::fail(span, "batch_item_failure", format!("{failed} of {messages} messages failed"));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use base64::{Engine as _, engine::general_purpose::STANDARD};
    use flate2::{Compression, write::GzEncoder};
    use serde_json::json;

    use super::*;

    /// Nothing but zeros packs a thousandfold.
    #[test]
    fn what_is_unpacked_at_once_has_a_bound_and_the_rest_comes_back() {
        const SIZE: usize = 50 << 20;
        let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
        packed.write_all(&[0x0A, 0x80, 0x80, 0x80, 0x19]).expect("memory takes it");
        packed.write_all(&vec![0; SIZE]).expect("memory takes it");
        let body = STANDARD.encode(packed.finish().expect("memory takes it"));
        let text = |text: &str| json!({ "stringValue": text });
        let message = |number: usize| {
            json!({
                "messageId": number.to_string(), "receiptHandle": "r", "body": body, "messageAttributes": {
                    "signal": text("traces"), "content-type": text("application/x-protobuf"),
                    "content-encoding": text("gzip"), "prefreeze-batch": text(&number.to_string()),
                },
            })
        };
        let records: Vec<_> = (0..4).map(message).collect();
        let batch: Batch = serde_json::from_value(json!({ "Records": records })).expect("it is an event");
        let mut outcome = Outcome::default();
        let parcels = parcels(&batch, &Seen::default(), &mut outcome);
        let ids = |messages: &[&Message]| -> Vec<_> {
            messages.iter().map(|message| message.message_id.clone()).collect()
        };
        let read: Vec<_> = parcels.iter().map(|parcel| parcel.message).collect();
        assert_eq!(
            (ids(&read), ids(&outcome.failed)),
            (ids(&[&batch.records[0], &batch.records[1]]), ids(&[&batch.records[2], &batch.records[3]]))
        );
        assert_eq!((outcome.refused, parcels[0].otlp.len()), (0, SIZE + 5));
    }

    #[test]
    fn requests_are_within_the_bound_and_in_order() {
        let message = Message::default();
        let large = vec![0; REQUEST_BYTES_MAX / 2];
        let huge = vec![0; REQUEST_BYTES_MAX + 1];
        let small = [0; 10];
        let parcels: Vec<_> = [&small[..], &large, &large, &huge, &small, &small]
            .map(|otlp| Parcel { message: &message, signal: Signal::Logs, batch: None, otlp: otlp.to_vec() })
            .into();
        let lengths: Vec<_> = requests(&parcels).iter().map(|request| request.len()).collect();
        assert_eq!(lengths, [2, 1, 1, 2]);
        assert!(requests(&[]).is_empty());
    }
}

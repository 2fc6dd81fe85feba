//! What waits for one subscriber: when a batch leaves, when it is tried again, what is lost. Pure.

use std::collections::VecDeque;
use std::time::Duration;

use serde_json::json;

use super::event::{EventKind, TelemetryEvent};
use super::subscription::Subscription;
use crate::clock::Time;
use crate::config::LogFormat;

/// Full batches that may wait behind the one under way; beyond, the oldest is dropped and reported.
const BATCHES_MAX: usize = 8;
/// Pause after the first failed delivery; it doubles up to [`BACKOFF_MAX`].
const BACKOFF_MIN: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(10);

/// Events on their way to one subscriber.
///
/// One batch is out at a time. A batch that is not acknowledged stays first in line and is sent again, so
/// delivery is at least once and in order.
#[derive(Debug)]
pub(crate) struct Buffer {
    subscription: Subscription,
    format: LogFormat,
    /// Events that do not fill a batch yet.
    open: Batch,
    /// When the oldest event of `open` came.
    open_since: Option<Time>,
    full: VecDeque<Batch>,
    /// The batch that was handed out and not acknowledged; it is out when `out` says so.
    first: Option<Batch>,
    out: bool,
    /// Frozen: nothing is handed out.
    paused: bool,
    retry_at: Option<Time>,
    backoff: Duration,
    dropped: Dropped,
}

/// Rendered events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Batch {
    pub(crate) events: Vec<String>,
    bytes: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct Dropped {
    records: usize,
    bytes: usize,
}

impl Batch {
    fn push(&mut self, event: String) {
        self.bytes += event.len();
        self.events.push(event);
    }

    /// The JSON array that a POST carries.
    pub(crate) fn json(&self) -> String {
        format!("[{}]", self.events.join(","))
    }
}

impl Buffer {
    pub(crate) fn new(subscription: Subscription, format: LogFormat) -> Self {
        Self {
            subscription,
            format,
            open: Batch::default(),
            open_since: None,
            full: VecDeque::new(),
            first: None,
            out: false,
            paused: false,
            retry_at: None,
            backoff: BACKOFF_MIN,
            dropped: Dropped::default(),
        }
    }

    pub(crate) fn push(&mut self, now: Time, event: &TelemetryEvent) {
        if !self.subscription.wants(event.kind) {
            return;
        }
        let limits = self.subscription.buffering;
        let text = event.render(self.subscription.schema, self.format);
        if !self.open.events.is_empty() && self.open.bytes + text.len() > limits.bytes_max {
            self.close_open();
        }
        self.open.push(text);
        self.open_since.get_or_insert(now);
        if self.open.events.len() >= limits.items_max || self.open.bytes >= limits.bytes_max {
            self.close_open();
        }
    }

    /// The next batch to send, if one is due; the caller owes [`delivered`](Self::delivered) for it.
    pub(crate) fn poll(&mut self, now: Time) -> Option<Batch> {
        if self.paused || self.out || self.retry_at.is_some_and(|at| now < at) {
            return None;
        }
        if self.first.is_none() {
            if self.full.is_empty() && self.open_due().is_some_and(|due| due <= now) {
                self.close_open();
            }
            self.first = self.full.pop_front();
            if let Some(batch) = &mut self.first {
                report_drops(batch, &mut self.dropped, &self.subscription, now);
            }
        }
        self.out = self.first.is_some();
        self.first.clone()
    }

    /// The answer to the batch that is out.
    pub(crate) fn delivered(&mut self, now: Time, acknowledged: bool) {
        self.out = false;
        if acknowledged {
            self.first = None;
            self.retry_at = None;
            self.backoff = BACKOFF_MIN;
        } else {
            self.retry_at = Some(now + self.backoff);
            self.backoff = (self.backoff * 2).min(BACKOFF_MAX);
        }
    }

    /// When [`poll`](Self::poll) is due again; `None` while only another call can change its answer.
    pub(crate) fn deadline(&self) -> Option<Time> {
        if self.paused || self.out {
            None
        } else if self.first.is_some() || !self.full.is_empty() {
            Some(self.retry_at.unwrap_or(Time::from_epoch(Duration::ZERO)))
        } else {
            self.open_due()
        }
    }

    pub(crate) fn pause(&mut self) {
        self.paused = true;
    }

    pub(crate) fn resume(&mut self) {
        self.paused = false;
    }

    /// Sends what there is without waiting for the batch to fill or to age: a stream closed.
    pub(crate) fn flush(&mut self) {
        self.close_open();
        self.retry_at = None;
    }

    fn open_due(&self) -> Option<Time> {
        self.open_since.map(|since| since + self.subscription.buffering.timeout)
    }

    fn close_open(&mut self) {
        self.open_since = None;
        if self.open.events.is_empty() {
            return;
        }
        self.full.push_back(std::mem::take(&mut self.open));
        if self.full.len() > BATCHES_MAX {
            let lost = self.full.pop_front().expect("it was just too long");
            self.dropped.records += lost.events.len();
            self.dropped.bytes += lost.bytes;
        }
    }
}

/// Puts `platform.logsDropped` in front of the first batch that leaves after a loss.
fn report_drops(batch: &mut Batch, dropped: &mut Dropped, subscription: &Subscription, now: Time) {
    if dropped.records == 0 || !subscription.wants(EventKind::LogsDropped) {
        return;
    }
    let record = json!({
        "reason": "Some logs were dropped because the downstream consumer is slower than the logs production rate",
        "droppedRecords": dropped.records,
        "droppedBytes": dropped.bytes,
    });
    let event = TelemetryEvent { time: now, kind: EventKind::LogsDropped, record };
    let text = event.render(subscription.schema, LogFormat::Text);
    batch.bytes += text.len();
    batch.events.insert(0, text);
    *dropped = Dropped::default();
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: Time = Time::from_epoch(Duration::from_secs(1_000));

    fn at(ms: u64) -> Time {
        T0 + Duration::from_millis(ms)
    }

    fn buffer() -> Buffer {
        let body = json!({"schemaVersion": "2022-12-13", "types": ["platform", "function"],
            "buffering": {"maxItems": 1000, "maxBytes": 262_144, "timeoutMs": 25},
            "destination": {"protocol": "HTTP", "URI": "http://sandbox:4323"}});
        Buffer::new(Subscription::parse(body.to_string().as_bytes()).unwrap(), LogFormat::Text)
    }

    fn line(text: &str) -> TelemetryEvent {
        TelemetryEvent { time: T0, kind: EventKind::FunctionLine, record: text.into() }
    }

    fn len(batch: Option<Batch>) -> usize {
        batch.map_or(0, |b| b.events.len())
    }

    #[test]
    fn a_batch_leaves_when_its_oldest_event_has_waited_long_enough() {
        let mut buffer = buffer();
        assert_eq!(buffer.deadline(), None);
        buffer.push(at(0), &line("a"));
        buffer.push(at(20), &line("b"));
        assert_eq!(buffer.deadline(), Some(at(25)));
        assert_eq!(buffer.poll(at(24)), None);
        assert_eq!(len(buffer.poll(at(25))), 2);
        assert_eq!(buffer.poll(at(26)), None, "one batch at a time");
    }

    #[test]
    fn a_batch_leaves_at_once_when_it_is_full() {
        let mut items = buffer();
        (0..1000).for_each(|_| items.push(at(0), &line("x")));
        assert_eq!(len(items.poll(at(0))), 1000);

        let mut bytes = buffer();
        let big = "x".repeat(100_000);
        (0..3).for_each(|_| bytes.push(at(0), &line(&big)));
        assert_eq!(len(bytes.poll(at(0))), 2, "the third would exceed maxBytes");
        bytes.delivered(at(1), true);
        assert_eq!(bytes.poll(at(24)), None);
        assert_eq!(len(bytes.poll(at(25))), 1);
    }

    #[test]
    fn types_that_were_not_asked_for_are_left_out() {
        let mut buffer = buffer();
        buffer.push(at(0), &TelemetryEvent { kind: EventKind::ExtensionLine, ..line("x") });
        assert_eq!(buffer.deadline(), None);
    }

    #[test]
    fn what_is_not_acknowledged_comes_again_with_growing_pauses() {
        let mut buffer = buffer();
        buffer.push(at(0), &line("a"));
        let first = buffer.poll(at(25)).expect("due");
        buffer.delivered(at(30), false);
        buffer.push(at(31), &line("b"));
        assert_eq!(buffer.poll(at(129)), None);
        assert_eq!(buffer.poll(at(130)), Some(first.clone()), "the same batch, alone");
        buffer.delivered(at(131), false);
        assert_eq!(buffer.deadline(), Some(at(331)));
        assert_eq!(buffer.poll(at(331)), Some(first));
        buffer.delivered(at(332), true);
        assert_eq!(len(buffer.poll(at(332))), 1, "b, which has waited long enough");
    }

    #[test]
    fn nothing_leaves_while_paused() {
        let mut buffer = buffer();
        buffer.pause();
        buffer.push(at(0), &line("a"));
        assert_eq!((buffer.poll(at(1_000_000)), buffer.deadline()), (None, None));
        buffer.resume();
        assert_eq!(len(buffer.poll(at(1_000_000))), 1);
    }

    #[test]
    fn flush_does_not_wait() {
        let mut buffer = buffer();
        buffer.push(at(0), &line("a"));
        buffer.flush();
        assert_eq!(len(buffer.poll(at(1))), 1);
    }

    #[test]
    fn a_slow_consumer_loses_the_oldest_batches_and_is_told() {
        let mut buffer = buffer();
        let big = "x".repeat(262_000);
        for _ in 0..BATCHES_MAX + 4 {
            buffer.push(at(0), &line(&big));
            buffer.poll(at(0));
        }
        // One is out, eight wait, one is open, two are lost.
        assert_eq!(buffer.full.len(), BATCHES_MAX);
        buffer.delivered(at(1), true);
        let next = buffer.poll(at(1)).expect("more is waiting");
        assert!(next.events[0].contains("platform.logsDropped"), "{}", &next.events[0]);
        assert!(next.events[0].contains("\"droppedRecords\":2"), "{}", &next.events[0]);
        assert_eq!(next.events.len(), 2);
    }
}

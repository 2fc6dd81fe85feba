//! Telemetry from the machine to the subscribers: replay of the init backlog, and faults on the way.

use crate::clock::Time;
use crate::faults::{Fate, Faults, TelemetryFault};
use serde_json::json;

use crate::telemetry::{EventKind, Subscriber, TelemetryEvent};

/// Events of an init kept for later subscribers; a process that floods its log during init loses lines here.
const BACKLOG_MAX: usize = 10_000;

#[derive(Debug)]
pub(super) struct Router {
    faults: Faults,
    of_invocation: Vec<TelemetryFault>,
    subscribers: Vec<Subscriber>,
    /// Everything produced since init began, while one may still subscribe.
    backlog: Option<Vec<TelemetryEvent>>,
    /// Held back until the next invocation.
    held: Vec<TelemetryEvent>,
    /// To be held for one more invocation.
    held_for_two: Vec<TelemetryEvent>,
    /// Delivered after the next one.
    swapped: Option<TelemetryEvent>,
    delayed: Vec<(Time, TelemetryEvent)>,
}

impl Router {
    pub(super) fn new(faults: Faults) -> Self {
        Self {
            faults,
            of_invocation: vec![],
            subscribers: vec![],
            backlog: None,
            held: vec![],
            held_for_two: vec![],
            swapped: None,
            delayed: vec![],
        }
    }

    /// Forgets everything: new processes, new subscriptions.
    pub(super) fn begin_generation(&mut self) {
        *self = Self { backlog: Some(vec![]), ..Self::new(std::mem::take(&mut self.faults)) };
    }

    /// Adds a subscriber and replays what it missed.
    pub(super) fn subscribe(&mut self, subscriber: Subscriber) {
        self.backlog.iter().flatten().for_each(|event| subscriber.push(event.clone()));
        self.subscribers.push(subscriber);
    }

    pub(super) fn close_subscriptions(&mut self) {
        self.backlog = None;
    }

    pub(super) fn end_generation(&mut self) {
        self.subscribers.clear();
        self.held.clear();
        self.held_for_two.clear();
        self.delayed.clear();
        self.swapped = None;
    }

    /// An event was produced.
    pub(super) fn emit(&mut self, now: Time, event: TelemetryEvent) {
        match self.faults.fate(&self.of_invocation, &event) {
            Fate::Deliver => self.deliver(event),
            Fate::Drop => {}
            Fate::DropCounted => {
                let dropped_bytes = event.record.to_string().len();
                let record = json!({
                    "reason": "Consumer seems to have fallen behind as it has not acknowledged receipt of logs.",
                    "droppedRecords": 1,
                    "droppedBytes": dropped_bytes,
                });
                self.deliver(TelemetryEvent { kind: EventKind::LogsDropped, record, ..event });
            }
            Fate::Delay(by) => self.delayed.push((now + by, event)),
            Fate::Duplicate(times) => (0..=times).for_each(|_| self.deliver(event.clone())),
            Fate::Swap => {
                if let Some(earlier) = self.swapped.replace(event) {
                    self.deliver(earlier);
                }
            }
            Fate::HoldUntilNext => self.held.push(event),
            Fate::HoldForTwo => self.held_for_two.push(event),
        }
    }

    /// The next invocation began, with its own faults.
    pub(super) fn release(&mut self, of_invocation: Vec<TelemetryFault>) {
        self.of_invocation = of_invocation;
        let due = std::mem::replace(&mut self.held, std::mem::take(&mut self.held_for_two));
        due.into_iter().for_each(|event| self.deliver(event));
    }

    /// A stream closed: everything leaves now.
    pub(super) fn flush(&mut self) {
        let held = std::mem::take(&mut self.held).into_iter();
        let held = held.chain(std::mem::take(&mut self.held_for_two)).chain(self.swapped.take());
        held.collect::<Vec<_>>().into_iter().for_each(|event| self.deliver(event));
        self.subscribers.iter().for_each(Subscriber::flush);
    }

    /// Delivers what was delayed until `now`.
    pub(super) fn tick(&mut self, now: Time) {
        let (due, later) = std::mem::take(&mut self.delayed).into_iter().partition(|(at, _)| *at <= now);
        self.delayed = later;
        let due: Vec<(Time, TelemetryEvent)> = due;
        due.into_iter().for_each(|(_, event)| self.deliver(event));
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        self.delayed.iter().map(|(at, _)| *at).min()
    }

    /// Returns once no delivery will begin before [`resume`](Self::resume).
    pub(super) async fn pause(&self) {
        for subscriber in &self.subscribers {
            subscriber.pause().await;
        }
    }

    pub(super) fn resume(&self) {
        self.subscribers.iter().for_each(Subscriber::resume);
    }

    fn deliver(&mut self, event: TelemetryEvent) {
        let swapped = self.swapped.take();
        for event in std::iter::once(event).chain(swapped) {
            self.subscribers.iter().for_each(|subscriber| subscriber.push(event.clone()));
            if let Some(backlog) = self.backlog.as_mut().filter(|b| b.len() < BACKLOG_MAX) {
                backlog.push(event);
            }
        }
    }
}

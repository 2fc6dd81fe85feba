//! Metrics on their way out: when points are made, and with what they leave.

use alloc::sync::Arc;

use crate::batch::{Batch, Content, Entry};
use crate::facts::Body;
use crate::io::Output;
use crate::metrics::{Gauges, Own};
use crate::notice::Notice;
use crate::retry::Outcome;
use crate::span::Signal;
use crate::time::{Duration, Instant};

use super::Agent;

/// So many points are far below any backend's bound on requests, and small enough for a batch.
const PIECE_POINTS: usize = 256;
/// What is held may be so many pieces at least: a small bound must not be taken by one.
const PIECES_HELD: usize = 4;
/// About the size of a point.
const POINT_BYTES: usize = 300;
/// What a backend that knows no metrics answers to them: not found, not allowed, not implemented; in gRPC UNIMPLEMENTED.
const NO_METRICS: [u16; 4] = [404, 405, 501, 12];

impl<B: Body> Agent<B> {
    /// At the begin of a flush: points that are due go with it, and never alone.
    pub(super) fn meter_if_due(&mut self, now: Instant) {
        if self.metrics.is_due(now) {
            self.meter(now, false);
        }
    }

    /// At the end: everything that is left to tell.
    pub(super) fn meter_at_end(&mut self, now: Instant) {
        if self.metrics.is_on() {
            self.meter(now, true);
        }
    }

    /// After the last points were made, the platform may still tell of the last invocation, and the function send. Not
    /// for each request of a function that does not stop: when the points before have left, and at the very end.
    pub(super) fn meter_news(&mut self, now: Instant) {
        if self.shutdown.is_none() && self.metrics.has_news() {
            self.meter(now, true);
        }
    }

    fn meter(&mut self, now: Instant, is_final: bool) {
        if let Some(is_cold) = self.account.first_is_cold(&self.config, is_final) {
            self.metrics.on_first(&self.config, is_cold);
        }
        let gauges = self.gauges();
        let measured = Arc::new(self.metrics.take(now, &gauges, &self.config.prices));
        if self.metrics.has_lines() {
            self.outputs.push_back(Output::Measured(measured.clone()));
        }
        if self.metrics.has_otlp() {
            let fitting = self.config.bounds.held_bytes / PIECES_HELD / POINT_BYTES;
            for piece in measured.pieces(fitting.clamp(1, PIECE_POINTS)) {
                let entry = Entry::measured(piece);
                self.ledger.metrics.made += u64::from(entry.count);
                self.store(now, entry);
            }
        }
    }

    fn gauges(&self) -> Gauges {
        let in_flight = |signal| {
            let batches = self.outbox.in_flight().iter().map(|flight| &flight.batch);
            batches.filter(|batch| batch.signal == signal).map(|batch| batch.count).sum()
        };
        Gauges {
            ledger: self.ledger,
            in_memory: Signal::ALL.map(|signal| self.outbox.held_items(signal) + self.unjudged(signal)),
            in_flight: Signal::ALL.map(in_flight),
            spooled: Signal::ALL.map(|signal| self.shelf.items(signal)),
            spooled_bytes: self.shelf.bytes() as u64,
            is_continuous: self.pace.is_continuous(),
            flush_changes: self.pace.changes(),
            cost: self.config.prices.of(&self.ledger),
        }
    }

    /// A request has ended; `took` is `None` where a freeze was in it.
    pub(super) fn meter_request(&mut self, signal: Signal, took: Option<Duration>, outcome: Outcome) {
        if !self.metrics.is_on() {
            return;
        }
        let class = match outcome {
            Outcome::Delivered { rejected: 0 } => None,
            Outcome::Delivered { .. } => Some("partly_rejected"),
            Outcome::Lost => Some("lost"),
            Outcome::Retry { .. } => Some("unavailable"),
            Outcome::TooLarge => Some("too_large"),
            Outcome::Rejected { .. } => Some("rejected"),
        };
        if let Some(took) = took {
            Own::on_request(self.metrics.store(), signal, took, class);
        }
    }

    pub(super) fn meter_retry(&mut self) {
        if self.metrics.is_on() {
            Own::on_retry(self.metrics.store());
        }
    }

    pub(super) fn meter_flush(&mut self, held: Duration) {
        if self.metrics.is_on() {
            Own::on_flush(self.metrics.store(), held);
        }
    }

    /// Whether a backend that refused this batch does not know metrics at all: then no more are made, and that is no
    /// fault worth an alarm, for nobody had asked for them.
    pub(super) fn is_without_metrics(&mut self, batch: &Batch<B>, status: u16) -> bool {
        let is_ours = batch.entries.iter().all(|entry| matches!(entry.content, Content::Measured(_)));
        let is_without = is_ours && batch.signal == Signal::Metrics && NO_METRICS.contains(&status);
        if is_without && self.metrics.has_otlp() {
            self.metrics.stop_otlp();
            self.say(Notice::NoMetrics(status));
        }
        is_without
    }
}

//! Metrics on their way out: when points are made, and with what they leave.

use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::entry::Entry;
use crate::facts::Body;
use crate::io::Output;
use crate::lane::Lane;
use crate::metrics::{Gauges, LaneGauges, Own};
use crate::span::Signal;
use crate::time::{Duration, Instant};

use super::Agent;

/// So many points are far below any backend's bound on requests, and small enough for a batch.
const PIECE_POINTS: usize = 256;
/// What is held may be so many pieces at least: a small bound must not be taken by one.
const PIECES_HELD: usize = 4;
/// About the size of a point.
const POINT_BYTES: usize = 300;

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
        if self.turn.is_closed() && self.metrics.has_news() {
            self.meter(now, true);
        }
    }

    fn meter(&mut self, now: Instant, is_final: bool) {
        if let Some(is_cold) = self.account.first_is_cold(&self.config, is_final) {
            self.metrics.on_first(&self.config, is_cold);
        }
        let gauges = self.gauges();
        let measured = self.metrics.take(now, &gauges, &self.config.prices);
        if self.metrics.has_lines() {
            self.outputs.push_back(Output::Measured(Arc::new(measured.clone())));
        }
        if self.metrics.has_otlp() {
            let measured = self.metrics.for_backend(measured);
            let fitting = self.config.bounds.held_bytes / PIECES_HELD / POINT_BYTES;
            let limit = self.config.parcel_limits()[Signal::Metrics as usize];
            let fitting = fitting.min(limit.items).min(limit.bytes / POINT_BYTES);
            for piece in measured.pieces(fitting.clamp(1, PIECE_POINTS)) {
                let entry = Entry::measured(piece);
                self.ledger.metrics.made += u64::from(entry.count);
                self.store(now, entry);
            }
        }
    }

    fn gauges(&self) -> Gauges {
        let of = |items: fn(&Lane<B>) -> u64| Signal::ALL.map(|signal| self.lanes.sum(signal, items));
        let mut in_memory = of(Lane::items_in_memory);
        for signal in Signal::ALL {
            in_memory[signal as usize] += self.unjudged(signal);
        }
        let lane = |lane: &Lane<B>| LaneGauges {
            id: lane.id(),
            books: *lane.books(),
            held: lane.held_items(),
            in_flight: lane.items_in_flight(),
            spooled: lane.items_on_disk(),
        };
        Gauges {
            ledger: self.ledger,
            in_memory,
            in_flight: of(Lane::items_in_flight),
            spooled: of(Lane::items_on_disk),
            spooled_bytes: self.lanes.spooled_bytes() as u64,
            is_continuous: self.pace.is_continuous(),
            flush_changes: self.pace.changes(),
            cost: self.config.prices.of(&self.ledger),
            lanes: if self.router.is_sole() { Vec::new() } else { self.lanes.iter().map(lane).collect() },
        }
    }

    pub(super) fn meter_flush(&mut self, held: Duration) {
        if self.metrics.is_on() {
            Own::on_flush(self.metrics.store(), held);
        }
    }
}

//! What the function logs, told by the platform: delivered once, and under the span of its invocation where that is known.

use std::collections::{BTreeMap, BTreeSet};

use policy::{Input, Ledger, Parcel, Receipt, RequestId, Signal, SpanId, SpoolMode, TraceId};

use super::super::disk::Body;
use super::super::function::MS;
use super::{Event, World};

/// Where a span stands.
pub(super) type Place = (TraceId, SpanId);

/// Log records that were told of, and what became of them.
#[derive(Debug, Default)]
pub(super) struct Logged {
    /// By the number of their body: the invocation they are of, where the platform said which, and how many there are.
    told: BTreeMap<u64, (Option<RequestId>, u32)>,
    delivered: BTreeSet<u64>,
    /// Those that were put under a span.
    placed: Vec<(RequestId, Place)>,
    /// The spans that stand for an invocation.
    places: BTreeMap<RequestId, Vec<Place>>,
    dropped_before: u64,
    /// Records in the memory of processes that were killed.
    held_before: u64,
}

impl Logged {
    /// This span stands for the invocation.
    pub(super) fn learn(&mut self, request_id: &RequestId, place: Place) {
        self.places.entry(request_id.clone()).or_default().push(place);
    }

    /// How many records are in the parcel of this number.
    pub(super) fn count(&self, id: u64) -> u64 {
        self.told.get(&id).map_or(0, |(_, count)| u64::from(*count))
    }

    /// Log records that the backend has.
    pub(super) fn arrived(&self) -> u64 {
        self.delivered.iter().map(|id| self.count(*id)).sum()
    }

    /// A process leaves with these books.
    pub(super) fn leave(&mut self, ledger: &Ledger) {
        self.dropped_before += ledger.logs.dropped.iter().sum::<u64>();
        self.held_before += ledger.logs.held();
    }
}

impl World {
    /// The platform is going to tell of it, if nothing comes between.
    pub(super) fn tell_logs(&mut self, number: u64, parcel: Parcel<Body>) {
        let faults = self.faults_now();
        if self.faults.has_no_telemetry || (faults.loses_telemetry && self.rng.below(4) == 0) {
            return;
        }
        let delay = if faults.delays_telemetry { self.rng.below(2_000) * MS } else { 0 };
        let is_said = self.rng.below(5) > 0;
        let request_id = self.truth.life(number).map(|life| life.request_id.clone()).filter(|_| is_said);
        self.later(self.now + 25 * MS + delay, Event::Logs(request_id, parcel));
    }

    pub(super) fn hear_logs(&mut self, request_id: Option<RequestId>, parcel: Parcel<Body>) {
        self.logged.told.insert(parcel.body.id, (request_id.clone(), parcel.count));
        self.step(Input::Logged {
            request_id,
            receipt: Receipt { spans: Vec::new(), parcels: vec![parcel] },
        });
    }

    /// The backend has them.
    pub(super) fn note_logs(&mut self, id: u64, placed: Option<Place>) {
        self.logged.delivered.insert(id);
        let (request_id, _) = self.logged.told.get(&id).expect("nobody logged them");
        match (request_id, placed) {
            (Some(request_id), Some(place)) => {
                self.coverage.note("logs placed");
                self.logged.placed.push((request_id.clone(), place));
            }
            (None, Some(_)) => panic!("put under a span, and nobody knows of which invocation they are"),
            (_, None) => self.coverage.note("logs without a place"),
        }
    }

    /// Every record that was told of was delivered, is on disk, or was dropped and counted; and those under a span are
    /// under one of their own invocation.
    pub(super) fn check_logs(&mut self) {
        // A span that stands for an invocation and is never delivered is not known here.
        for (request_id, place) in &self.logged.placed {
            let places = self.logged.places.get(request_id).map_or(&[][..], Vec::as_slice);
            let is_elsewhere = self
                .logged
                .places
                .iter()
                .any(|(other, places)| other != request_id && places.contains(place));
            assert!(places.contains(place) || !is_elsewhere, "{request_id} has records under another's span");
        }
        if self.faults.disk_fails || (self.kills > 0 && self.config.spool == SpoolMode::Off) {
            return;
        }
        self.coverage.note("logs complete");
        let is_lost = |id: &u64| !self.logged.delivered.contains(id) && !self.disk.has_parked(*id);
        let lost: u64 = self
            .logged
            .told
            .iter()
            .filter(|(id, _)| is_lost(id))
            .map(|(_, (_, count))| u64::from(*count))
            .sum();
        let logs = self.books(Signal::Logs);
        let dropped = self.logged.dropped_before + logs.dropped.iter().sum::<u64>();
        // What a killed process held in memory is gone: log records are no spans, and are not on record.
        let killed = if self.kills > 0 { self.logged.held_before } else { 0 };
        let read = logs.held();
        assert!(lost <= dropped + killed + read, "{lost} log records lost, {dropped} counted: {logs:?}");
    }
}

//! What the agent chooses: which data is given up, when a connection is distrusted, whose patience is respected, and for how
//! long data is put off.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use policy::{DropReason, Duration, Entry, FlushMode, InitType, Input, Phase, Receipt, Signal};

use super::super::disk::{Body, LOGGED};
use super::super::function::MS;
use super::network::HOLDER;
use super::{Event, World};

/// A pause that is shorter than this may be ended by a new invocation, whoever asked for it.
pub(super) const PAUSE_ENDED: u64 = 2_000 * MS;
/// No pause is longer, whatever the backend asks for.
const ASKED_MAX: u64 = 300_000 * MS;
/// Who asks for less has asked for nothing.
const ASKED_MIN: u64 = 50 * MS;
/// A failure before this is forgotten.
const LATELY: u64 = 60_000 * MS;
/// Data may be older than the bound by the time in which one invocation ends.
const STALE_SLACK: u64 = 1_000 * MS;

/// For how long a backend wants to be left alone that answers `Retry-After: after`.
pub(super) fn asked(after: Option<Duration>) -> Option<u64> {
    let after = after?.as_nanos() as u64;
    (after >= ASKED_MIN).then_some(after.min(ASKED_MAX))
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Choices {
    /// Spans that are being written to the disk, record by record.
    parking: VecDeque<Vec<u64>>,
    /// Spans that the backend has asked to leave alone, and until when.
    patience: BTreeMap<(u8, u64), u64>,
    /// Given up for want of room, and replaced, before the step.
    before: [u64; 2],
    /// The spans of the request that is being handed over.
    arriving: BTreeSet<u64>,
    /// The spans of requests that were given up in the step: they were under way when room was made in it.
    cancelled: BTreeSet<u64>,
    /// The spans of a record that the disk could not read back in the step: it has lost them, and nobody gave them up.
    unreadable: BTreeSet<u64>,
    /// How long the last wait for `/next` was.
    pub(super) waited: u64,
}

impl World {
    pub(super) fn note_choice_before(&mut self, input: &Input<Body>) {
        let spans = &self.books(Signal::Traces);
        self.choices.before =
            [DropReason::OutboxFull, DropReason::Replaced].map(|why| spans.dropped_for(why));
        self.choices.arriving = match input {
            Input::Received(receipt) => receipt.spans.iter().map(|span| span.body.id).collect(),
            _ => BTreeSet::new(),
        };
        self.choices.cancelled.clear();
        self.choices.unreadable.clear();
        if matches!(input, Input::Parked { .. }) {
            self.choices.parking.pop_front();
        }
        self.disk.take_released();
    }

    /// These are no longer under way.
    pub(super) fn note_given_up(&mut self, entries: &[Entry<Body>]) {
        self.choices.cancelled.extend(spans_of(entries));
    }

    /// The disk loses these.
    pub(super) fn note_unreadable(&mut self, receipt: &Receipt<Body>) {
        self.choices.unreadable.extend(receipt.spans.iter().map(|span| span.body.id));
    }

    /// These are on their way to the disk.
    pub(super) fn note_parking(&mut self, entries: &[Entry<Body>]) {
        let ids: Vec<u64> = spans_of(entries).collect();
        for id in &ids {
            self.choices.patience.remove(&(self.at, *id));
        }
        self.choices.parking.push_back(ids);
    }

    /// The backend asks for patience with these.
    pub(super) fn note_patience(&mut self, entries: &[Entry<Body>], after: u64) {
        // An answer that is read before INVOKE tells how long a freeze has been: nobody knows when the backend gave it.
        if self.agent.phase() == Phase::Waiting {
            return;
        }
        let until = self.now + after;
        self.choices.patience.extend(spans_of(entries).map(|id| ((self.at, id), until)));
    }

    /// These are sent: not before the backend wants them.
    pub(super) fn check_patience_kept(&mut self, entries: &[Entry<Body>]) {
        let is_last = matches!(self.agent.phase(), Phase::Draining | Phase::Exited) || self.kills > 0;
        for id in spans_of(entries) {
            let until = self.choices.patience.remove(&(self.at, id)).unwrap_or_default();
            assert!(
                is_last || self.now + PAUSE_ENDED >= until,
                "span {id} is sent {} ms before the backend wants it",
                (until - self.now) / MS
            );
        }
    }

    /// Connections are distrusted after a long wait only.
    pub(super) fn check_reconnect(&self) {
        let is_long = self.choices.waited >= self.config.thaw_gap.as_nanos() as u64;
        let is_restored = self.config.init_type == InitType::SnapStart;
        assert!(is_long || is_restored, "connections are dropped after {} ms", self.choices.waited / MS);
    }

    /// What had to go for want of room was plain, or nothing plain was left.
    pub(super) fn check_value(&mut self) {
        let spans = &self.books(Signal::Traces);
        let now = [DropReason::OutboxFull, DropReason::Replaced].map(|why| spans.dropped_for(why));
        let is_sole = now[0] > self.choices.before[0] && now[1] == self.choices.before[1];
        let is_off = self.config.sampling.is_active() || self.faults.sends_outsize || self.faults.announces;
        let is_off = is_off || self.second.is_some();
        if !is_sole || self.choices.arriving.is_empty() || is_off {
            return;
        }
        let is_precious = |(id, is_error): &(u64, bool)| *is_error && !self.choices.unreadable.contains(id);
        let precious = self.disk.take_released().into_iter().find(is_precious);
        let Some((precious, _)) = precious else { return };
        self.coverage.note("a failure given up for want of room");
        // What comes after it in one request was not there yet, and what is let go of at the end of the step was under way.
        let is_old = |id: &u64| !self.choices.arriving.contains(id) && !self.choices.cancelled.contains(id);
        let plain = self.waiting().find(|(id, is_error)| !is_error && is_old(id));
        assert!(plain.is_none(), "span {precious}, a failure, is given up before span {plain:?}");
    }

    /// Spans that are held in memory, neither under way nor being written, and whether each is an error. What was cancelled
    /// and is on the wire yet is left out: who else holds it, nobody knows here.
    fn waiting(&self) -> impl Iterator<Item = (u64, bool)> {
        let requests = self.network.all().flat_map(|request| request.entries.iter());
        let being_read = self.pending.values().flat_map(|event| match event {
            Event::Spool(Input::Unparked { receipt, .. }) => receipt.spans.as_slice(),
            _ => &[],
        });
        let mut away: BTreeSet<u64> = requests.filter_map(span_of).collect();
        away.extend(being_read.map(|span| span.body.id));
        let is_here = move |id: &u64| *id < LOGGED && !away.contains(id);
        let held = self.disk.held().into_iter().filter(move |(id, _)| is_here(id));
        let parking: BTreeSet<u64> = self.choices.parking.iter().flatten().copied().collect();
        held.filter(move |(id, _)| !parking.contains(id))
    }

    /// `/next` is asked: what waits for the next invocation is not stale.
    pub(super) fn check_fresh(&self) {
        let bound = self.config.staleness.as_nanos() as u64 + STALE_SLACK;
        let is_adaptive = self.config.flush == FlushMode::Adaptive && !self.config.is_managed();
        // The answers of a row may take longer than a flush.
        let is_meant = is_adaptive && self.row.is_none();
        // Nothing has failed lately: then everything fits into a flush.
        let faults = &self.faults;
        let excused_at = self.deliveries.excused_at[HOLDER as usize];
        let has_failed = excused_at > 0 && excused_at + LATELY >= self.now;
        let is_well =
            !(has_failed || self.held.is_down() || faults.is_slow || faults.is_narrow || faults.hangs);
        let is_free = self.config.cost_cap.is_none() && !self.config.sampling.is_active();
        let is_plain =
            !(faults.is_tight || faults.sends_outsize || faults.stalls_in_sending || self.second.is_some());
        // What the backend had asked to be left alone with can first be sent beside this invocation, and the request that offers
        // it is without an answer as long as it may be held.
        let is_untried = self.deliveries.asked_until[HOLDER as usize] >= self.asked_at
            && self.network.awaited().any(|request| request.is_on_dead);
        let is_well = is_well && !is_untried;
        if !(is_meant && is_well && is_free && is_plain && self.held.is_certain()) {
            return;
        }
        let age = |id: u64| self.accepted.get(&id).map_or(0, |at| self.now - at);
        let stale = self.waiting().map(|(id, _)| (id, age(id))).find(|(_, age)| *age > bound);
        assert!(stale.is_none(), "{stale:?} (span, ns) is put off once more");
    }
}

/// The spans of the function among them.
fn spans_of(entries: &[Entry<Body>]) -> impl Iterator<Item = u64> {
    entries.iter().filter_map(span_of)
}

fn span_of(entry: &Entry<Body>) -> Option<u64> {
    match &entry.content {
        policy::Content::Received(body) if body.id < LOGGED => Some(body.id),
        _ => None,
    }
}

//! Spans that the function announces: each that never ends is closed once, when its invocation dies.

use std::collections::{BTreeMap, BTreeSet};

use policy::{Input, Kind, Phase, Signal, Span, SpanId, SpoolMode, UnixNanos};

use super::super::disk::Body;
use super::super::function::{Fate, MS};
use super::World;

/// How much later than it happens we may hear of a death, when only SHUTDOWN tells of it.
const TOLD_LATE: u64 = 4_000 * MS;

/// A span that was announced.
#[derive(Debug)]
struct Begun {
    number: u64,
    span_id: SpanId,
    is_root: bool,
    /// Whether it was certain which invocation it is of: its INVOKE had been heard, and its end had not been awaited in
    /// vain.
    is_certain: bool,
    closed: u32,
}

/// What has been announced, and what became of it.
#[derive(Debug, Default)]
pub(super) struct Announced {
    /// By the number of its body.
    begun: BTreeMap<u64, Begun>,
    /// Spans that were really sent, and when they came.
    real: BTreeMap<SpanId, u64>,
    /// Invocations that have died, when, and the wall time then; and whether the platform or a kill of ours ended it.
    deaths: BTreeMap<u64, (u64, UnixNanos, bool)>,
    closed: BTreeSet<SpanId>,
}

impl World {
    pub(super) fn announce(&mut self, number: u64, spans: Vec<Span<Body>>) {
        self.coverage.note("announced");
        let now = self.now;
        self.truth.sdk_seen_at.get_or_insert(now);
        for span in &spans {
            let is_running = self.running.is_some() && self.current == number;
            let is_certain = is_running && self.agent.phase() == Phase::Running;
            let span_id = span.span_id;
            let is_root = span.kind == Kind::Server;
            self.truth.traces.insert(span.trace_id);
            if let Some(life) = self.truth.life_mut(number) {
                life.announced.insert(span.trace_id);
                if is_root {
                    self.logged.learn(&life.request_id.clone(), (span.trace_id, span_id));
                }
            }
            self.announced
                .begun
                .insert(span.body.id, Begun { number, span_id, is_root, is_certain, closed: 0 });
            self.disk.accept(span);
        }
        self.step(Input::Announced(spans));
    }

    /// A span has really come.
    pub(super) fn note_real(&mut self, span: &Span<Body>) {
        self.announced.real.entry(span.span_id).or_insert(self.now);
        if self.announced.closed.contains(&span.span_id) {
            self.coverage.note("closed span and the real one");
        }
    }

    /// An invocation has ended badly, now, and its process with it.
    pub(super) fn note_death(&mut self, number: u64, fate: Fate) {
        if fate.is_death() {
            self.announced.deaths.insert(number, (self.now, self.wall(), true));
        }
    }

    /// The invocations that ran when our process was killed die with it.
    pub(super) fn note_deaths_of_a_kill(&mut self) {
        let (now, wall) = (self.now, self.wall());
        for number in std::mem::take(&mut self.in_progress) {
            self.announced.deaths.insert(number, (now, wall, false));
        }
    }

    /// The backend has a span that was closed for its function.
    pub(super) fn note_closed(&mut self, body: &Body) {
        self.coverage.note("announced span closed");
        let (end, class) = body.closed.clone().expect("an announced span leaves only when it is closed");
        let begun = self.announced.begun.get_mut(&body.id).expect("nobody announced it");
        begun.closed += 1;
        assert_eq!(begun.closed, 1, "closed twice: {begun:?}");
        self.announced.closed.insert(begun.span_id);
        let (number, is_root) = (begun.number, begun.is_root);
        if is_root {
            self.note_closed_root(number, (body.trace_id, body.span_id));
        }
        let begun = &self.announced.begun[&body.id];
        // Who finds an announcement after a kill does not know how its invocation ended.
        if !begun.is_certain || self.kills > 0 {
            return;
        }
        let Some((at, wall, is_told)) = self.announced.deaths.get(&begun.number) else {
            panic!("closed, and its invocation has not died: {begun:?}");
        };
        let real = self.announced.real.get(&begun.span_id);
        assert!(
            real.is_none_or(|real| real > at),
            "closed, although it had ended before: {begun:?} {real:?}"
        );
        assert!(!class.is_empty());
        // On a clock that is set meanwhile, and after a kill, nobody knows the moment.
        if *is_told && !self.faults.steps_clock && !self.config.is_managed() {
            let is_then = end.0 + 250 * MS >= wall.0 && end.0 <= wall.0 + TOLD_LATE;
            assert!(is_then, "closed at {end:?}, and the death was at {wall:?}: {begun:?}");
        }
    }

    /// Every announced span that never came, and whose invocation died, is closed; or lost and counted.
    pub(super) fn check_announced(&mut self) {
        for begun in self.announced.begun.values() {
            if begun.closed == 0 && self.announced.real.contains_key(&begun.span_id) {
                self.coverage.note("announced span came after all");
                break;
            }
        }
        // With little memory, announcements are not remembered; on Managed Instances only those of a trace whose own
        // announced root names the invocation.
        if self.faults.is_tight || self.config.is_managed() || self.faults.disk_fails {
            return;
        }
        if self.kills > 0 && self.config.spool != SpoolMode::Always {
            return;
        }
        self.coverage.note("announced spans complete");
        let is_lost = |id: &u64, begun: &Begun| {
            let has_died = self.announced.deaths.contains_key(&begun.number);
            let has_come = self.announced.real.contains_key(&begun.span_id);
            let is_due = has_died && begun.is_certain && !has_come;
            is_due && begun.closed == 0 && !self.disk.has_parked(*id)
        };
        let lost: Vec<_> = self.announced.begun.iter().filter(|(id, begun)| is_lost(id, begun)).collect();
        let dropped = self.dropped_before + self.books(Signal::Traces).dropped.iter().sum::<u64>();
        assert!(lost.len() as u64 <= dropped, "never closed: {lost:?}, {dropped} counted");
    }
}
